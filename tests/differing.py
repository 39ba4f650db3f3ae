"""A server that answers as the API's documentation says, or differs from it in named ways.

Each text, name and id in its data has `PRIVATE` in it, so that tests can check that none is printed.
"""

import json
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import urlencode

from aiohttp import web
from attrs import define, field
from mocked import KEY

PRIVATE = "Zzqprivate"
LIMIT = 240

Difference = Literal[
    "drops per_page",
    "caps pages",
    "shuffles",
    "limits to 60",
    "fast clock",
    "unknown attributes",
    "odd values",
    "lacks fields",
    "no offsets",
    "summer time",
    "internal next",
    "relative next",
    "forbids unknown ids",
    "ignores the filter",
    "filter loses dates",
    "includes the day",
    "refuses the filter",
    "tells the total",
    "no links",
    "broken seats",
    "one page for all",
    "pages overlap",
    "404 beyond the end",
    "redirects",
    "more by id",
    "no limit headers",
    "no links to records",
    "others use the key",
    "no rows",
    "all at once",
    "names of people",
    "refuses the key",
]


Rows = list[dict[str, Any]]


@define
class Differing:
    """The server: its requests, and its answers."""

    ways: set[Difference]
    customers: int = 230
    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(factory=list)
    methods: set[str] = field(factory=set)
    left: int = LIMIT

    def does(self, way: Difference) -> bool:
        """Say whether the server differs in this way."""
        return way in self.ways

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        path, query = request.path, dict(request.query)
        self.asked.append((path, query))
        self.methods.add(request.method)
        self.left -= 7 if self.does("others use the key") else 1
        if request.headers.get("Authorization") != f"Bearer {KEY}" or self.does("refuses the key"):
            return self._refusal(401, "unauthorized", "No valid API Key provided")
        if self.does("redirects") and not path.endswith("/"):
            return web.Response(status=301, headers={"Location": f"{path}/?{request.query_string}"})
        names = path.strip("/").split("/")
        if names == ["bookings", f"bkg-{PRIVATE}1", "seats"] and self.does("broken seats"):
            return web.Response(status=500, text=f"<html><title>{PRIVATE} failed</title>", content_type="text/html")
        if len(names) == 2:
            return self._record(*names)
        rows = self._rows(names, query)
        return self._refusal(404, "not_found", f"no {PRIVATE}") if rows is None else self._page(path, query, rows)

    def _headers(self) -> dict[str, str]:
        now = datetime.now(UTC) + timedelta(hours=self.does("fast clock"))
        headers = {"Date": format_datetime(now, usegmt=True), "X-Request-Id": f"{PRIVATE}-{len(self.asked)}"}
        if not self.does("no limit headers"):
            limit = 60 if self.does("limits to 60") else LIMIT
            headers |= {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(self.left)}
        return headers

    def _refusal(self, status: int, code: str, detail: str) -> web.Response:
        body = {"errors": [{"status": status, "code": code, "detail": detail}]}
        return web.json_response(body, status=status, headers=self._headers())

    def _record(self, kind: str, record_id: str) -> web.Response:
        known = {"customers": self._all_customers()}
        row = next((row for row in known.get(kind, []) if row["id"] == record_id), None)
        if row is None and self.does("forbids unknown ids"):
            return self._refusal(403, "forbidden", PRIVATE)
        if row is None:
            return self._refusal(404, "not_found", PRIVATE)
        if self.does("names of people"):
            row["attributes"]["zzqname"] = True
        if self.does("more by id"):
            row["attributes"] |= {"loyalty_level": PRIVATE, "first_name": f"{PRIVATE} of another name"}
        return web.json_response({"data": row}, headers=self._headers())

    def _rows(self, names: list[str], query: dict[str, str]) -> Rows | None:
        """Return the rows of a list; None if there is no such list."""
        if names == ["customers"]:
            everybody = self._all_customers()
            rows: Rows | None = random.sample(everybody, len(everybody)) if self.does("shuffles") else everybody
        elif names[-1] == "dates":
            rows = self._filtered([self._date(number) for number in range(1, 8)], query)
        else:
            one = {
                "notes": lambda: self._row("customer_note", "csn", 1, description=PRIVATE, created_by=PRIVATE),
                "events": self._event,
                "venues": self._venue,
                "bookings": self._booking,
                "seats": self._seat,
            }
            rows = [one[names[-1]]()]
        return [] if self.does("no rows") else rows

    def _page(self, path: str, query: dict[str, str], rows: Rows) -> web.Response:
        page, size = int(query.get("page", 1)), int(query.get("per_page", 10))
        size = min(size, 50) if self.does("caps pages") else size
        start = 0 if self.does("one page for all") else (page - 1) * size
        start -= 5 * (page - 1) if self.does("pages overlap") else 0
        data = rows[start : start + size]
        data = rows if self.does("all at once") else data
        if not data and page > 1 and self.does("404 beyond the end"):
            return self._refusal(404, "not_found", PRIVATE)
        document = {"data": data, **self._beside(path, query, page, size, len(rows), at_end=start + size >= len(rows))}
        # `web.json_response` would not keep money with two decimals.
        text = json.dumps(document).replace('"12.50"', "12.50")
        return web.Response(text=text, content_type="application/json", headers=self._headers())

    def _beside(
        self, path: str, query: dict[str, str], page: int, size: int, total: int, *, at_end: bool
    ) -> dict[str, Any]:
        if self.does("no links"):
            return {}
        base = "http://10.1.2.3:8080/internal" if self.does("internal next") else self.url
        base = "" if self.does("relative next") else base
        kept = {} if self.does("drops per_page") else {k: v for k, v in query.items() if k != "page"}

        def link(number: int) -> str:
            name = "zzqname" if self.does("names of people") else "page"
            return f"{base}{path}?{urlencode({**kept, name: number})}"

        links = {"first": link(1), "last": None, "prev": None, "next": None if at_end else link(page + 1)}
        meta: dict[str, Any] = {"current_page": page, "from": 1, "to": size, "path": path, "per_page": size}
        if self.does("tells the total"):
            links["last"] = link(-(-total // size))
            meta |= {"total": total, "per_page": str(size), PRIVATE + "!": PRIVATE}
        if self.does("names of people"):
            links["zzqname"] = meta["zzqname"] = link(1)
        return {"links": links, "meta": meta}

    def _filtered(self, rows: Rows, query: dict[str, str]) -> Rows | None:
        operator = query.get("filter[start][operator]")
        if operator is None or self.does("ignores the filter"):
            return rows
        if self.does("refuses the filter"):
            return None
        bound = date.fromisoformat(query["filter[start][value]"])
        by_day = [(date.fromisoformat(row["attributes"]["start"][:10]), row) for row in rows]
        includes = self.does("includes the day")
        if operator == "after":
            kept = [row for day, row in by_day if day > bound or (includes and day == bound)]
            return kept[-1:] if self.does("filter loses dates") else kept
        return [row for day, row in by_day if day < bound or (includes and day == bound)]

    def _row(self, kind: str, prefix: str, number: int, **attributes: Any) -> dict[str, Any]:
        path = f"{self.url}/{prefix}"
        times = {"created_at": self._when(datetime(2024, 1, 9, 10, 30, tzinfo=UTC)), "updated_at": None}
        links = {} if self.does("no links to records") else {
            "customer": f"{path}/cst-{PRIVATE}1",
            "event": f"{path}/evt-{PRIVATE}1",
            "venue": f"{path}/ven-{PRIVATE}1",
            "date": f"{path}/dat-{PRIVATE}1",
            "booking": f"{path}/bkg-{PRIVATE}1",
        }  # fmt: skip
        return {
            "id": f"{prefix}-{PRIVATE}{number}",
            "type": kind,
            "attributes": attributes | times,
            "links": {"self": path, **links},
        }

    def _when(self, moment: datetime) -> str:
        """Return a time as the server writes it: in UTC in every season."""
        offset = "+01:00" if self.does("summer time") and 4 <= moment.month < 10 else "+00:00"
        return moment.replace(tzinfo=None).isoformat() + ("" if self.does("no offsets") else offset)

    def _all_customers(self) -> Rows:
        rows = [self._customer(number) for number in range(1, self.customers + 1)]
        if self.does("names of people") and rows:
            rows[-1]["attributes"]["zzqname"] = True
            rows[-1]["links"]["zzqname"] = PRIVATE
        return rows

    def _customer(self, number: int) -> dict[str, Any]:
        address = {"postcode": PRIVATE} | {f"line_{line}": f"{number} {PRIVATE} Street" for line in range(1, 5)}
        attributes: dict[str, Any] = {
            "title": None,
            "first_name": PRIVATE,
            "last_name": f"{PRIVATE} {number}",
            "address": address,
            "telephone": f"01632 960{number:03} {PRIVATE}",
            "email": f"{PRIVATE}.{number}@example.com",
            "membership": {"identifier": PRIVATE, "start_date": "2024-05-01", "end_date": None},
            "consent": {"email": True, "post": False, "sms": None},
        }
        if self.does("unknown attributes"):
            attributes |= {
                "loyalty_points": number,
                f"{PRIVATE} {number}": PRIVATE,
                "skl-private": PRIVATE,
                f"cst-{PRIVATE}": {PRIVATE: 1},
                "preferences": {PRIVATE: [PRIVATE]},
            }
            attributes["consent"] |= {"whatsapp": True, f"{PRIVATE}.{number}@example.com": True}
        if self.does("odd values"):
            attributes |= {"address": [], "telephone": 1632960000 + number}
            attributes["membership"] |= {"start_date": "31.12.2020", "end_date": f"the day of {PRIVATE}"}
            attributes["consent"]["email"] = 1
        if self.does("lacks fields"):
            del attributes["telephone"], attributes["consent"]["sms"]
        return self._row("customer", "cst", number, **attributes)

    def _event(self) -> dict[str, Any]:
        texts = ("name", "reference", "description", "comment", "keywords", "terms", "category", "genre")
        return self._row(
            *("event", "evt", 1),
            **dict[str, Any](dict.fromkeys(texts, PRIVATE)),
            images=[{"type": PRIVATE, "src": PRIVATE}],
            third_party_consent={
                "capture": True,
                "name": PRIVATE,
                "show_consent": {"email": True, "post": False, "sms": False},
            },
            activated=True,
            archived=False,
            public=True,
        )

    def _venue(self) -> dict[str, Any]:
        address = {"postcode": PRIVATE} | {f"line_{line}": PRIVATE for line in range(1, 5)}
        box_office = {"telephone": PRIVATE, "email": PRIVATE}
        return self._row("venue", "ven", 1, name=PRIVATE, address=address, boxoffice=box_office)

    def _date(self, number: int) -> dict[str, Any]:
        start = datetime(2026, 6, 10 + 2 * number, 19, 30, tzinfo=UTC)
        return self._row(
            *("date", "dat", number),
            doors_open=None,
            start=self._when(start),
            end=self._when(start + timedelta(hours=2)),
            on_sale=True,
            on_sale_start=self._when(datetime(2026, 1, 1, 9, tzinfo=UTC)),
            on_sale_end=None,
            public=True,
            cancelled=False,
        )

    def _booking(self) -> dict[str, Any]:
        code = {"description": PRIVATE, "amount": 1}
        amount = {"gross": 10, "fee": 1, "fee_vat": 0, "net": "12.50", "discounts": {"automatic": 0, "code": code}}
        times = {"created_at": self._when(datetime(2026, 2, 1, 9, tzinfo=UTC)), "updated_at": None}
        line = {
            "line_type": PRIVATE,
            "payment_method": PRIVATE,
            "is_refund": False,
            "amount": amount,
            "donation": {"gift_aid": True},
        }
        consent = {"third_party": PRIVATE, "email": True, "post": False, "sms": False}
        lines = [line | times]
        return self._row("booking", "bkg", 1, ref=PRIVATE, lines=lines, consent=consent, user_booked_by=PRIVATE)

    def _seat(self) -> dict[str, Any]:
        texts = ("title", "first_name", "last_name", "telephone", "email")
        company = {"name": PRIVATE, "title": PRIVATE}
        return self._row(
            *("seat", "sea", 1),
            is_booked=True,
            is_cancelled=False,
            reference={"row": PRIVATE, "seat": PRIVATE},
            price_category=PRIVATE,
            attendee=dict.fromkeys(texts, PRIVATE) | {"company": company},
        )


@asynccontextmanager
async def differing(
    *ways: Difference, customers: int = 230, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Differing]:
    """Serve the API on a free port, with these differences and number of customers; with TLS if `tls` is given."""
    api = Differing(set(ways), customers)
    runner = web.ServerRunner(web.Server(api.answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        api.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()
