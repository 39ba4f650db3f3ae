"""The server of the sandbox: routes, authentication, rate limit, pages and errors, as in the API's guide.

`store.py` has the data. `faults.py` has the faults on demand.
"""

import asyncio
import base64
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from aiohttp import web
from attrs import frozen

from ticketsource_async.sandbox.faults import Cut, Fault, Faults, Next, RecordedRequest, wrong_links
from ticketsource_async.sandbox.programme import READ_ONLY, Programme
from ticketsource_async.sandbox.store import Customers, Nested, Notes, Refused

_CODES: Final = {
    400: ("validation_failed", "The request is not valid."),
    401: ("unauthorized", "No valid API Key provided"),
    403: ("forbidden", "You may not do this."),
    404: ("not_found", "The item you are looking for can't be found."),
    405: ("method_not_allowed", "This method is not supported here."),
    429: ("rate_limit", "You have made too many requests, check the response headers for more details."),
}
_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}
_WITHOUT_BODY: Final = (204, 304)
_HTML: Final = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><h1>{0}</h1></body></html>"


@frozen
class _Answer:
    status: int
    document: dict[str, Any] | None = None
    body: bytes = b""
    headers: Mapping[str, str] = {}
    kind: str = "application/json"

    def encoded(self) -> bytes:
        return self.body if self.document is None else json.dumps(self.document, ensure_ascii=False).encode()


def _refusal(status: int, *details: str) -> _Answer:
    code, detail = _CODES.get(status, ("server_error", "Something went wrong."))
    entries = [
        {
            "id": f"err-{status}-{number}",
            "links": {"about": f"https://docs.example/errors/{code}"},
            "status": status,
            "code": code,
            "title": _PHRASES.get(status, "Error"),
            "detail": text,
        }
        for number, text in enumerate(details or (detail,))
    ]
    return _Answer(status, {"errors": entries})


class Sandbox:
    """A local TicketSource: `async with Sandbox() as box`, then call `box.url` with `box.api_key`.

    All sample data are computed from `seed`: customers, events, the dates of each event and the bookings for each date.
    `rate_limit` is (requests, seconds) in a fixed window that starts with its first request, None for no limit.
    `latency` is in seconds. `nested` says what a PATCH does with an incomplete nested object. `next_keeps_query` says
    whether links repeat the parameters of the request; Laravel drops them, so the default is False. It listens on
    loopback unless `host` names another address.
    """

    def __init__(
        self,
        customers: int = 1000,
        seed: int = 0,
        *,
        events: int = 20,
        dates_per_event: int = 6,
        bookings_per_date: int = 5,
        api_key: str = "skl-sandbox",
        host: str = "127.0.0.1",
        port: int = 0,
        rate_limit: tuple[int, float] | None = (240, 60),
        latency: float = 0.0,
        nested: Nested = "merge",
        next_keeps_query: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if min(customers, events, dates_per_event, bookings_per_date, latency) < 0 or not api_key:
            raise ValueError("counts and latency must be 0 or more, and api_key must not be empty")
        if not host or not 0 <= port <= 65535:
            raise ValueError("host must not be empty, and port must be from 0 to 65535")
        if rate_limit is not None and (rate_limit[0] < 1 or rate_limit[1] <= 0):
            raise ValueError("rate_limit must be (requests, seconds), both more than 0, or None")
        if nested not in ("merge", "replace"):
            raise ValueError('nested must be "merge" or "replace"')
        self.api_key = api_key
        """The key that the sandbox accepts."""
        self.requests: deque[RecordedRequest] = deque(maxlen=10_000)
        """The latest requests, at most 10,000, in the order in which they came."""
        self.customers = Customers(customers, seed, nested=nested, base_url=lambda: self.url)
        self._notes = Notes(seed, self.customers, base_url=lambda: self.url)
        self._host, self._port = host, port
        self._rate_limit, self._latency, self._clock = rate_limit, latency, clock
        self._next_keeps_query = next_keeps_query
        self._window = (-math.inf, 0)  # over, whatever the clock counts from
        self._faults = Faults()
        self._runner: web.ServerRunner | None = None
        self._url: str | None = None
        self._handling: set[asyncio.Task[Any]] = set()
        programme = Programme(
            seed, events, dates_per_event, bookings_per_date, customers, self.customers.owner_of, lambda: self.url
        )
        one = "/customers/([^/]+)"
        self._routes: list[tuple[str, dict[str, Callable[..., _Answer]]]] = [
            ("/customers", {"GET": self._list_customers, "POST": self._create_customer}),
            *[(f"/{kind}s/([^/]+)", {"GET": self._getting(programme, kind)}) for kind in READ_ONLY],
            (one, {"GET": self._get_customer, "PATCH": self._update_customer, "DELETE": self._delete_customer}),
            (f"{one}/notes", {"GET": self._list_notes, "POST": self._create_note}),
            (f"{one}/notes/([^/]+)", {"GET": self._get_note, "DELETE": self._delete_note}),
            (f"{one}/bookings", {"GET": self._listing(programme, "booking", self._bookings_by(programme))}),
            ("/events", {"GET": self._listing(programme, "event", programme.all_events)}),
            ("/events/([^/]+)/venues", {"GET": self._listing(programme, "venue", programme.venues_of)}),
            ("/events/([^/]+)/dates", {"GET": self._listing(programme, "date", partial(programme.dates_of, "event"))}),
            ("/venues/([^/]+)/dates", {"GET": self._listing(programme, "date", partial(programme.dates_of, "venue"))}),
            ("/dates/([^/]+)/bookings", {"GET": self._listing(programme, "booking", programme.bookings_of)}),
            ("/bookings/([^/]+)/seats", {"GET": self._listing(programme, "seat", programme.seats_of)}),
        ]

    @property
    def url(self) -> str:
        """The address to use as `base_url`. Raises RuntimeError before the sandbox has started."""
        if self._url is None:
            raise RuntimeError("the sandbox has no address before it is started")
        return self._url

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start to listen. With port 0, a free port is taken."""
        if self._runner is not None:
            raise RuntimeError("the sandbox has started already")
        runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._url = f"http://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening, and end the answers in progress."""
        if self._runner is not None:
            for task in self._handling:
                task.cancel()
            await self._runner.cleanup()
            self._runner = None

    def fail(
        self,
        *,
        times: int | None = 1,
        after: int = 0,
        method: str | None = None,
        path: str | None = None,
        page: int | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        html: bool = False,
        cut: Cut | None = None,
        slow: float | None = None,
        next: Next | None = None,  # noqa: A002 - the API's own word for it
        insert: int = 0,
        delete: int = 0,
    ) -> None:
        """Add a fault for the next request, or for the next that match; see `Fault`.

        Faults wait in a queue. Each request gets the first fault that is for it. Another thread may call this.
        """
        fault = Fault(
            times=times,
            after=after,
            method=method,
            path=path,
            page=page,
            status=status,
            headers=headers or {},
            body=body,
            html=html,
            cut=cut,
            slow=slow,
            next=next,
            insert=insert,
            delete=delete,
        )
        self._faults.add(fault)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - aiohttp runs every handler in a task
        self._handling.add(task)
        try:
            return await self._handle(request)
        finally:
            self._handling.discard(task)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        recorded = RecordedRequest(request.method, request.path, dict(request.query), headers, body)
        self.requests.append(recorded)
        fault = self._faults.take(recorded)
        if fault is not None:
            self.customers.insert(fault.insert, at=0)
            self.customers.delete(self.customers.ids(0, fault.delete))
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is not None and fault.cut == "before":
            return _close_connection(request)
        answer = _fixed(fault) if fault is not None and fault.has_own_answer else self._answer(recorded)
        if fault is not None and fault.cut == "after_write":
            return _close_connection(request)
        if fault is not None and fault.next and answer.document is not None and "links" in answer.document:
            links = wrong_links(
                answer.document["links"], fault.next, f"{self.url}{recorded.path}", recorded.query.get("page", "1")
            )
            if links is None:
                del answer.document["links"], answer.document["meta"]
            else:
                answer.document["links"] = links
        recorded.status = answer.status
        return await _deliver(request, answer, fault)

    def _answer(self, request: RecordedRequest) -> _Answer:
        if not self._accepts(request.headers.get("authorization", "")):
            return _refusal(401)
        limit_headers, over = self._count()
        if over:
            answer = _refusal(429)
        else:
            try:
                answer = self._route(request)
            except KeyError:
                answer = _refusal(404)
            except Refused as refused:
                answer = _refusal(400, *refused.details)
        return _Answer(answer.status, answer.document, headers=limit_headers)

    def _accepts(self, authorization: str) -> bool:
        basic = base64.b64encode(f"{self.api_key}:".encode()).decode()
        return authorization in (f"Bearer {self.api_key}", f"Basic {basic}")

    def _count(self) -> tuple[dict[str, str], bool]:
        # Laravel's throttle: a window starts with its first request. When it is over, the next request starts another.
        if self._rate_limit is None:
            return {}, False
        limit, per = self._rate_limit
        now = self._clock()
        start, used = self._window
        if now >= start + per:
            start, used = now, 0
        over = used >= limit
        self._window = (start, used if over else used + 1)
        headers = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(limit - self._window[1])}
        if over:
            # Whole seconds, rounded down, as the real API may do: the wait may be up to one second too short.
            headers |= {"Retry-After": str(int(start + per - now)), "X-RateLimit-Reset": str(int(start + per))}
        return headers, over

    def _route(self, request: RecordedRequest) -> _Answer:
        allowed = False
        for pattern, handlers in self._routes:
            if found := re.fullmatch(pattern, request.path):
                if handler := handlers.get(request.method):
                    return handler(request, *found.groups())
                allowed = True
        return _refusal(405 if allowed else 404)

    def _list_customers(self, request: RecordedRequest) -> _Answer:
        return self._page(request, len(self.customers), self.customers.rows)

    def _create_customer(self, request: RecordedRequest) -> _Answer:
        return _Answer(201, {"data": self.customers.create(_attributes(request, "customer"))})

    def _get_customer(self, _: RecordedRequest, customer_id: str) -> _Answer:
        found = self.customers.get(customer_id)
        return _refusal(404) if found is None else _Answer(200, {"data": found})

    def _update_customer(self, request: RecordedRequest, customer_id: str) -> _Answer:
        if self.customers.get(customer_id) is None:
            return _refusal(404)
        return _Answer(200, {"data": self.customers.update(customer_id, _attributes(request, "customer", customer_id))})

    def _delete_customer(self, _: RecordedRequest, customer_id: str) -> _Answer:
        self.customers.delete([customer_id])
        return _Answer(204)

    def _list_notes(self, request: RecordedRequest, customer_id: str) -> _Answer:
        notes = list(self._notes.of(customer_id).values())
        return self._page(request, len(notes), lambda start, stop: notes[start:stop])

    def _create_note(self, request: RecordedRequest, customer_id: str) -> _Answer:
        self._notes.of(customer_id)
        return _Answer(201, {"data": self._notes.create(customer_id, _attributes(request, "customer_note"))})

    def _get_note(self, _: RecordedRequest, customer_id: str, note_id: str) -> _Answer:
        return _Answer(200, {"data": self._notes.of(customer_id)[note_id]})

    def _delete_note(self, _: RecordedRequest, customer_id: str, note_id: str) -> _Answer:
        del self._notes.of(customer_id)[note_id]
        return _Answer(204)

    def _getting(self, programme: Programme, kind: str) -> Callable[..., _Answer]:
        return lambda _, record_id: _Answer(200, {"data": programme.get(kind, record_id)})

    def _listing(
        self, programme: Programme, kind: str, indices: Callable[..., Sequence[int]]
    ) -> Callable[..., _Answer]:
        def answer(request: RecordedRequest, *ids: str) -> _Answer:
            found = indices(*ids)
            if kind == "date":
                found = programme.filtered(found, request.query)
            return self._page(
                request, len(found), lambda start, stop: [programme.row(kind, index) for index in found[start:stop]]
            )

        return answer

    def _bookings_by(self, programme: Programme) -> Callable[[str], Sequence[int]]:
        def indices(customer_id: str) -> Sequence[int]:
            if (index := self.customers.index(customer_id)) is None:
                raise KeyError(customer_id)
            return [found for one in self.customers.merged_into(index) for found in programme.bookings_by(one)]

        return indices

    def _page(self, request: RecordedRequest, total: int, rows: Callable[[int, int], list[dict[str, Any]]]) -> _Answer:
        page = _whole(request, "page", 1, 10**9)
        per_page = _whole(request, "per_page", 10, 100)
        start = (page - 1) * per_page
        data = rows(start, start + per_page)
        path = f"{self.url}{request.path}"
        kept = {k: v for k, v in request.query.items() if k != "page"} if self._next_keeps_query else {}

        def link(number: int) -> str:
            return f"{path}?{urlencode({**kept, 'page': number})}"

        links = {
            "first": link(1),
            "last": None,
            "prev": link(page - 1) if page > 1 else None,
            "next": link(page + 1) if start + per_page < total else None,
        }
        meta = {
            "current_page": page,
            "from": start + 1 if data else None,
            "path": path,
            "per_page": per_page,
            "to": start + len(data) if data else None,
        }
        return _Answer(200, {"data": data, "links": links, "meta": meta})


def _whole(request: RecordedRequest, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) <= most:
        raise Refused([f"The {name} must be a whole number from 1 to {most}."])
    return int(text)


def _attributes(request: RecordedRequest, kind: str, record_id: str | None = None) -> dict[str, Any]:
    try:
        document = json.loads(request.body)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair can be parsed, but not sent
    except (ValueError, RecursionError):
        raise Refused(["The body is not JSON."]) from None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise Refused(["The data field is required."])
    problems = []
    if data.get("type") != kind:
        problems.append(f"The data.type must be {kind}.")
    if record_id is not None and data.get("id") != record_id:
        problems.append("The data.id must match the id of the request.")
    if not isinstance(data.get("attributes"), dict):
        problems.append("The data.attributes field is required.")
    if problems:
        raise Refused(problems)
    attributes: dict[str, Any] = data["attributes"]
    return attributes


def _fixed(fault: Fault) -> _Answer:
    status = fault.status or 200
    if fault.html:
        # Only Cloudflare's firewall sends this header; a gateway's error page does not.
        marks = {"cf-mitigated": "challenge"} if status == HTTPStatus.FORBIDDEN else {}
        page = _HTML.format(status).encode()
        return _Answer(status, body=page, headers={**marks, **fault.headers}, kind="text/html; charset=UTF-8")
    if fault.body is not None:
        body = fault.body.encode() if isinstance(fault.body, str) else fault.body
        return _Answer(status, body=body, headers=fault.headers)
    return _Answer(status, _refusal(status).document, headers=fault.headers)


def _close_connection(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # the connection is closed


async def _deliver(request: web.BaseRequest, answer: _Answer, fault: Fault | None) -> web.StreamResponse:
    body = b"" if answer.status in _WITHOUT_BODY else answer.encoded()
    typed = not body or any(name.lower() == "content-type" for name in answer.headers)
    headers = {**({} if typed else {"Content-Type": answer.kind}), **answer.headers}
    if fault is None or (fault.cut is None and fault.slow is None):
        return web.Response(status=answer.status, body=body, headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    if fault.cut == "body":
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response
    size = max(1, len(body) // 4)
    for start in range(0, len(body), size):
        await response.write(body[start : start + size])
        await asyncio.sleep(fault.slow or 0)
    await response.write_eof()
    return response
