"""Bookings with donations as the API sends them, and a server that has only these."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from aiohttp import web
from attrs import define, field

from ticketsource_async import Booking, Customer, Event, EventDate
from ticketsource_async.models.reader import read_row
from ticketsource_async.reports.donations import BookingDonations, donations_of

Row = dict[str, Any]


def line(kind: object, amount: object, day: str | None = "2026-01-05", **attributes: object) -> Row:
    """Return a line; a day such as "2026-01-05T10:00" has a time too."""
    moment = day and f"{day}:00+00:00" if day and "T" in day else day and f"{day}T12:00:00+00:00"
    money = amount if isinstance(amount, dict | str) or amount is None else {"gross": amount, "net": amount}
    return {"line_type": kind, "is_refund": False, "amount": money, "created_at": moment, **attributes}


def donation(amount: object, day: str | None = "2026-01-05", gift_aid: object = True, **attributes: object) -> Row:
    """Return a line that is a donation."""
    return line("DONATION", amount, day, donation={"gift_aid": gift_aid}, **attributes)


def refund(amount: object, day: str | None = "2026-01-06", gift_aid: object = True, **attributes: object) -> Row:
    """Return a line that refunds a donation, marked as the API does."""
    return donation(amount, day, gift_aid, **{"is_refund": True, **attributes})


def tickets(amount: object = 20, day: str | None = "2026-01-05", **attributes: object) -> Row:
    """Return a line that is no donation."""
    return line("TICKETS", amount, day, **attributes)


def booking(number: int, *lines: Row, customer: object = "cst-1", api: str = "https://api.example") -> Row:
    """Return a booking of a customer. With None, the booking names no customer."""
    links = {"self": f"{api}/bookings/bkg-{number}", "date": f"{api}/dates/dat-1"}
    if customer is not None:
        links["customer"] = f"{api}/customers/{customer}"
    attributes = {"ref": f"REF{number}", "lines": list(lines), "created_at": "2025-12-01T09:00:00+00:00"}
    return {"id": f"bkg-{number}", "type": "booking", "attributes": attributes, "links": links}


def customer(customer_id: str = "cst-1", **attributes: object) -> Row:
    """Return a customer with all fields that HMRC wants."""
    address = {"line_1": "1 High Street", "line_2": "Otterbourne", "postcode": "NE12 4AB"}
    given = {"title": "Ms", "first_name": "Alex", "last_name": "Sample", "address": address, **attributes}
    return {"id": customer_id, "type": "customer", "attributes": given, "links": {}}


EVENT = read_row({"id": "evt-1", "type": "event", "attributes": {"name": "Swan Lane"}}, Event)
DATE = read_row({"id": "dat-1", "type": "date", "attributes": {"start": "2026-12-20T19:30:00+00:00"}}, EventDate)


def found_in(*lines: Row, number: int = 1, customer: object = "cst-1") -> BookingDonations | None:
    """Return the donations of a booking with these lines."""
    row = json.loads(json.dumps(booking(number, *lines, customer=customer)), parse_float=Decimal)
    return donations_of(EVENT, DATE, read_row(row, Booking))


def person(customer_id: str = "cst-1", **attributes: object) -> Customer:
    """Return the customer as a record."""
    return read_row(customer(customer_id, **attributes), Customer)


@define
class BoxOffice:
    """The server: an event with dates, their bookings, and customers; its requests and failures.

    `dates` has the start of each date by its id. `failing` has the paths that answer 501, which is not retried.
    `refusing` has the paths that answer 401.
    """

    bookings: dict[str, list[Row]]
    customers: dict[str, Row] = field(factory=dict)
    dates: dict[str, str] = field(factory=dict)
    failing: set[str] = field(factory=set)
    refusing: set[str] = field(factory=set)
    url: str = ""
    asked: list[str] = field(factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        self.asked.append(request.path)
        names = request.path.strip("/").split("/")
        if request.path in self.failing:
            return web.Response(status=501, text="<html>failed</html>", content_type="text/html")
        if request.path in self.refusing:
            return self._json({"errors": [{"status": 401, "code": "unauthorized", "detail": "no"}]}, 401)
        if names[0] == "customers":
            if (row := self.customers.get(names[1])) is None:
                return self._json({"errors": [{"status": 404, "code": "not_found", "detail": "no"}]}, 404)
            return self._json({"data": row})
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 10))
        rows = self._rows(names)
        links = {"next": f"{self.url}{request.path}?page={page + 1}" if len(rows) > page * size else None}
        return self._json({"data": rows[(page - 1) * size : page * size], "links": links})

    def _rows(self, names: list[str]) -> list[Row]:
        if names == ["events"]:
            return [{"id": "evt-1", "type": "event", "attributes": {"name": "Swan Lane"}, "links": {}}]
        if names[-1] == "dates":
            starts = {name: self.dates.get(name, "2026-12-20T19:30:00+00:00") for name in self.bookings}
            return [{"id": name, "type": "date", "attributes": {"start": start}} for name, start in starts.items()]
        return self.bookings[names[1]]

    def _json(self, body: Row, status: int = 200) -> web.Response:
        return web.json_response(body, status=status)


@asynccontextmanager
async def box_office(*lists: list[Row], customers: list[Row] | None = None) -> AsyncIterator[BoxOffice]:
    """Serve a box office on a free port, with a date for each of these lists of bookings."""
    people = [customer()] if customers is None else customers
    office = BoxOffice(
        {f"dat-{number}": rows for number, rows in enumerate(lists, 1)}, {row["id"]: row for row in people}
    )
    runner = web.ServerRunner(web.Server(office.answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        office.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield office
    finally:
        await runner.cleanup()
