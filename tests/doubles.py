"""What tests put in the place of the network and of time, and the guide's own payloads."""

import asyncio
import inspect
import json
import os
import re
import selectors
import subprocess
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses

from ticketsource_async import (
    AddressDraft,
    ConsentDraft,
    CustomerDraft,
    MembershipDraft,
    RetryPolicy,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async.sandbox import Sandbox

T = TypeVar("T")

API = "https://api.ticketsource.io"
KEY = "skl-not-a-real-key"
ONCE = RetryPolicy(attempts=1)


class _Response(aiohttp.ClientResponse):
    """What aioresponses answers with; aiohttp >= 3.14 wants an argument that aioresponses does not know."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs["stream_writer"] = Mock()
        super().__init__(*args, **kwargs)


class MockedAPI(aioresponses):
    """aioresponses at the API's address, with the requests it saw as plain data."""

    def answer(self, method: str, path: str, payload: object = None, *, status: int = 200, **how: Any) -> None:
        """Answer the next such request; `how` may have `body`, `headers` or `repeat`."""
        if payload is not None:
            how["body"] = json.dumps(payload)
        self.add(f"{API}{path}", method, status=status, response_class=_Response, **how)

    @property
    def sent(self) -> list[tuple[str, str, Any]]:
        """Method, path with query, and decoded body of each request, in order of first appearance of their address."""
        return [
            (method, url.path_qs, json.loads(call.kwargs["data"]) if call.kwargs["data"] is not None else None)
            for (method, url), calls in self.requests.items()
            for call in calls
        ]

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of each request, in the same order."""
        return [dict(call.kwargs["headers"]) for calls in self.requests.values() for call in calls]


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> str:
    """Read one request to its end and return its method, "TLS" if it is not one."""
    first = await reader.readexactly(1)
    if first == b"\x16":
        return "TLS"
    head = first + await reader.readuntil(b"\r\n\r\n")
    if length := re.search(rb"content-length: (\d+)", head, re.IGNORECASE):
        await reader.readexactly(int(length[1]))
    return head.split()[0].decode()


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve a raw socket on a free port; yield its address and the methods of the requests that began a connection."""
    talks: list[asyncio.Task[None]] = []
    seen: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await read_request(reader))
            await talk(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    listener = await asyncio.start_server(
        lambda reader, writer: talks.append(asyncio.create_task(connected(reader, writer))), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", seen
    finally:
        listener.close()
        for talking in talks:
            talking.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answer(body: bytes, *headers: str, status: int = 200, keep: bool = False) -> bytes:
    """Return an answer as it is on the wire."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, *([] if keep else ["Connection: close"])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(data: bytes) -> Talk:
    """Say these bytes and hang up."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return talk


async def call(ts: TicketSource, method: str) -> object:
    """Make the call on a customer that goes with a method."""
    if method == "POST":
        return await ts.customers.create(CustomerDraft(first_name="Karl"))
    if method == "PATCH":
        return await ts.customers.update("cst-1", CustomerDraft(first_name="Karl"))
    if method == "DELETE":
        await ts.customers.delete("cst-1")
        return None
    return await ts.customers.get("cst-1")


# A machine that is slow just now is no finding.
_PRELUDE = """
import logging
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
"""


async def _run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    return out.decode(), err.decode()


async def run_strictly(code: str, *arguments: str) -> tuple[str, str]:
    """Run a program with asyncio's debug mode and warnings as errors; return what it printed."""
    return await _run("-X", "dev", "-W", "error", "-c", _PRELUDE + code, *arguments)


def pointed_at(box: Sandbox) -> dict[str, str]:
    """Return this process's environment with the two variables of a sandbox."""
    return {**os.environ, "TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": box.api_key}


async def run_with(*arguments: str, box: Sandbox) -> tuple[str, str]:
    """Run Python with nothing but the two variables of a sandbox set; return what it printed."""
    return await _run("-W", "error", *arguments, environment=pointed_at(box))


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing else is to be done; sockets in it are real ones.

    What happens in a thread or in another process takes no time at all, so a test in virtual time has none of them.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let so much time pass; nothing that is tested here takes a year."""
        self._now += seconds
        if self._now > 31_536_000:
            raise AssertionError("somebody waits for what will never happen")


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout != 0 and len(self.get_map()) > 1:
            # A busy machine may need a moment to carry bytes from one socket to another; one is the loop's own.
            ready = super().select(5 if timeout is None else 0.05 if timeout >= 1 else 0.002)
        if not ready and timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        if not ready and timeout is not None:
            self._loop.jump(timeout)
        return ready


def our_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks that run, but for those in which the sandbox serves."""
    served = ("RequestHandler", "_accept_connection2")
    return {task for task in asyncio.all_tasks() if not any(name in repr(task.get_coro()) for name in served)}


async def read_until_it_raises(items: AsyncIterable[T]) -> tuple[list[T], TicketSourceError | None]:
    """Return the items that came before the error, and the error."""
    seen: list[T] = []
    try:
        async for item in items:
            seen.append(item)  # noqa: PERF401 - a comprehension would lose them
    except TicketSourceError as error:
        return seen, error
    return seen, None


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


def customer_row(number: int = 1, **attributes: object) -> dict[str, Any]:
    """Return a row as the guide shows it, with an id of its own; `attributes` replace those of the guide."""
    path = f"{API}/customers/cst-xxxxxxxxxx{number}"
    return {
        "id": f"cst-xxxxxxxxxx{number}",
        "type": "customer",
        "attributes": {
            "title": None,
            "first_name": "Sample",
            "last_name": "Customer",
            "address": {
                "line_1": "Off Edge",
                "line_2": "Station Approach",
                "line_3": "Penarth",
                "line_4": "United Kingdom",
                "postcode": "CF64 3EE",
            },
            "telephone": "03336664466",
            "email": "support@ticketsource.co.uk",
            "membership": {"identifier": None, "start_date": None, "end_date": None},
            "consent": {"email": True, "post": False, "sms": False},
            "created_at": "2019-02-12T10:58:34+00:00",
            "updated_at": None,
            **attributes,
        },
        "links": {"self": path, "bookings": f"{path}/bookings"},
    }


KARL_SENT: dict[str, Any] = {
    "data": {
        "type": "customer",
        "attributes": {
            "title": "",
            "first_name": "Karl",
            "last_name": "Jenkins",
            "address": {
                "line_1": "1 A Street",
                "line_2": "A Town",
                "line_3": "",
                "line_4": "",
                "postcode": "AB123CD",
            },
            "email": "karl@karljenkins.com",
            "phone": "01234555678",
            "membership": {"identifier": "A12345BCD", "start_date": "2020-01-01", "end_date": "2021-12-31"},
            "consent": {"email": True, "post": False, "sms": False},
        },
    }
}
"""The body of the guide's create example."""

KARL_DRAFT = CustomerDraft(
    title="",
    first_name="Karl",
    last_name="Jenkins",
    address=AddressDraft(line_1="1 A Street", line_2="A Town", line_3="", line_4="", postcode="AB123CD"),
    email="karl@karljenkins.com",
    telephone="01234555678",
    membership=MembershipDraft(identifier="A12345BCD", start_date=date(2020, 1, 1), end_date=date(2021, 12, 31)),
    consent=ConsentDraft(email=True, post=False, sms=False),
)
"""The draft that sends it."""

KARL = customer_row(
    2,
    first_name="Karl",
    last_name="Jenkins",
    address={"line_1": "1 A Street", "line_2": "A Town", "line_3": None, "line_4": None, "postcode": "AB123CD"},
    telephone="01234555678",
    email="karl@karljenkins.com",
    membership={"identifier": "A12345BCD", "start_date": "2020-01-01", "end_date": "2021-12-31"},
    created_at="2020-04-09T16:36:05+00:00",
)
"""The record that the guide's create example answers with."""


def page(rows: list[dict[str, Any]], next_: object = None, number: int = 1, per_page: int = 100) -> dict[str, Any]:
    """Return a list answer as the guide shows it."""
    path = f"{API}/customers"
    return {
        "data": rows,
        "links": {"first": f"{path}?page=1", "last": None, "prev": None, "next": next_},
        "meta": {"current_page": number, "from": 1, "path": path, "per_page": per_page, "to": len(rows)},
    }


def _row(kind: str, record_id: str, attributes: dict[str, Any], **links: str) -> dict[str, Any]:
    times = {"created_at": "2022-09-26T09:00:00+00:00", "updated_at": None}
    return {"id": record_id, "type": kind, "attributes": {**attributes, **times}, "links": links}


EVENT_ROW = _row(
    "event",
    "evt-1",
    {
        "name": "The Mousetrap's Cousin",
        "reference": "MOUSE",
        "description": "<p>Who did it?</p>",
        "comment": None,
        "keywords": None,
        "terms": None,
        "category": "Theatre",
        "genre": "Crime",
        "images": [{"type": "header", "src": "https://x/1.png"}, {"type": "thumb", "src": None}],
        "third_party_consent": {
            "capture": True,
            "name": "Visiting Company",
            "show_consent": {"email": True, "post": False, "sms": None},
        },
        "activated": True,
        "archived": False,
        "public": True,
        "settled": False,
    },
    self=f"{API}/events/evt-1",
    venues=f"{API}/events/evt-1/venues",
    dates=f"{API}/events/evt-1/dates",
)
VENUE_ROW = _row(
    "venue",
    "ven-1",
    {
        "name": "Town Hall",
        "address": {"line_1": "1 High Street", "line_2": None, "line_3": None, "line_4": None, "postcode": "AB1 2CD"},
        "boxoffice": {"telephone": "01632960000", "email": None},
    },
    self=f"{API}/venues/ven-1",
    event=f"{API}/events/evt-1",
    dates=f"{API}/venues/ven-1/dates",
)
DATE_ROW = _row(
    "date",
    "dat-1",
    {
        "doors_open": None,
        "start": "2026-05-10T19:30:00+00:00",
        "end": "2026-05-10T22:00:00+00:00",
        "on_sale": True,
        "on_sale_start": "2026-01-01T09:00:00+00:00",
        "on_sale_end": None,
        "public": True,
        "cancelled": False,
    },
    self=f"{API}/dates/dat-1",
    event=f"{API}/events/evt-1",
    venue=f"{API}/venues/ven-1",
    bookings=f"{API}/dates/dat-1/bookings",
    book_now="https://x/booking/dat-1",
)
BOOKING_ROW = _row(
    "booking",
    "bkg-1",
    {
        "ref": "A12BCD",
        "lines": [
            {
                "line_type": "TICKETS",
                "payment_method": "TS",
                "is_refund": False,
                "amount": {
                    "gross": 10,
                    "fee": 0.65,
                    "fee_vat": 0.13,
                    "net": 9.22,
                    "discounts": {"automatic": 0, "code": {"description": "FRIEND", "amount": 1.5}},
                },
                "created_at": "2022-09-26T09:00:00+00:00",
                "updated_at": None,
            },
            {
                "line_type": "DONATION",
                "payment_method": "CASH",
                "is_refund": False,
                "amount": {"gross": 5, "fee": 0, "fee_vat": 0, "net": 5},
                "donation": {"gift_aid": True},
            },
            {
                "line_type": "TICKETS",
                "payment_method": "TS",
                "is_refund": True,
                "amount": {"gross": -2.5, "fee": 0, "fee_vat": 0, "net": -2.5},
            },
        ],
        "consent": {"third_party": "Visiting Company", "email": True, "post": False, "sms": None},
        "user_booked_by": "",
    },
    self=f"{API}/bookings/bkg-1",
    seats=f"{API}/bookings/bkg-1/seats",
    customer=f"{API}/customers/cst-1",
    date=f"{API}/dates/dat-1",
)
SEAT_ROW = _row(
    "seat",
    "sea-1",
    {
        "is_booked": True,
        "is_cancelled": False,
        "reference": {"row": None, "seat": None},
        "price_category": "Adult",
        "attendee": {
            "title": None,
            "first_name": "Alex",
            "last_name": "Sample",
            "company": {"name": "Acme", "title": None},
            "telephone": None,
            "email": None,
        },
    },
    self=f"{API}/seats/sea-1",
    booking=f"{API}/bookings/bkg-1",
)
"""One row of each read-only kind, as the API sends it."""
