"""The five questions of examples/warehouse/questions.sql, answered by DuckDB and PostgreSQL, and by Python."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from warehouse import Warehouse, answer_with, rows_at
from warehouse_program import EXAMPLE

from ticketsource_async import Amount, Booking, BookingLine, Customer, EventDate, Seat, TicketSource
from ticketsource_async.reports.seating import state_of
from ticketsource_async.sandbox import Sandbox

NOW = datetime(2026, 1, 20, tzinfo=UTC)


def questions() -> list[str]:
    """Return the queries of the file, in its order."""
    lines = (EXAMPLE / "questions.sql").read_text().splitlines()
    statements = "\n".join(line for line in lines if not line.startswith("--")).split(";")
    return [query for query in statements if "SELECT" in query]


async def prepare(box: Sandbox) -> None:
    """Make lines of several months, some without an amount or a month, and memberships that end."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        dates = [one async for _, one, _ in ts.programme()]
    count, bookings = 0, list[Any]()
    for one in dates:
        bookings = await rows_at(box, f"/dates/{one.id}/bookings")
        for booking in bookings:
            count += 1
            lines = booking["attributes"]["lines"]
            for line in lines:
                line["created_at"] = f"2025-{1 + count % 5:02}-01T00:30:00+01:00" if count % 17 else None
            if count % 4 == 0:  # all is refunded, months later
                amount = {name: -value for name, value in lines[0]["amount"].items() if name != "discounts"}
                refund = {**lines[0], "is_refund": True, "amount": amount, "created_at": "2025-09-30T23:59:59+00:00"}
                lines.append(refund)
            if count == 7:
                lines[0]["amount"]["gross"] = "a lot"
            if count == 11:
                lines[0]["is_refund"] = "perhaps"
        answer_with(box, f"/dates/{one.id}/bookings", bookings)
    first, second, third = box.customers.ids(0, 3)
    for customer_id, ends in ((first, "2001-01-31"), (second, "2002-02-28"), (third, "2999-12-31")):
        membership = {"identifier": f"M{ends}", "start_date": "2000-01-01", "end_date": ends}
        box.customers.overwrite(customer_id, {"membership": membership})
    box.customers.overwrite(second, {"email": "Renewed@example.com"})
    box.customers.overwrite(third, {"email": "renewed@EXAMPLE.com", "consent": {"email": None, "post": "yes"}})
    seats = await rows_at(box, f"/bookings/{bookings[0]['id']}/seats")
    erased = box.customers.ids(3, 4)[0]
    consent = {"email": True, "post": True, "sms": True}
    membership = {"identifier": "M4", "start_date": "2000-01-01", "end_date": "2003-03-31"}
    box.customers.purge(erased)
    box.customers.overwrite(erased, {"consent": consent, "membership": membership})
    answer_with(
        box,
        f"/bookings/{bookings[0]['id']}/seats",
        [{**seats[0], "attributes": {**seats[0]["attributes"], "is_cancelled": None, "price_category": None}}],
    )


async def truth_in(box: Sandbox) -> tuple[list[Customer], list[tuple[EventDate, Booking]], list[Seat]]:
    """Return all customers, all bookings with their dates, and all seats, read by the library alone."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        customers = await ts.customers.list().collect()
        bookings = [(one, booking) async for _, one, booking in ts.all_bookings()]
        seats = [seat for _, booking in bookings for seat in await ts.bookings.list_seats(booking).collect()]
    return customers, bookings, seats


def total(amounts: list[Decimal | None]) -> Decimal | None:
    """Return a sum; None if an amount is missing."""
    known = [amount for amount in amounts if amount is not None]
    return round(sum(known, Decimal(0)), 2) if len(known) == len(amounts) else None


def sales_by_month(bookings: list[tuple[EventDate, Booking]]) -> list[tuple[Any, ...]]:
    """Answer the first question."""
    months: dict[date | None, list[tuple[str, BookingLine]]] = defaultdict(list)
    for _, booking in bookings:
        for line in booking.lines or ():
            made = line.created_at and line.created_at.astimezone(UTC)
            months[made and date(made.year, made.month, 1)].append((booking.id, line))
    answer = []
    for month, lines in sorted(months.items(), key=lambda item: item[0] or date.max):
        amounts = [(line.is_refund, line.amount or Amount()) for _, line in lines]
        gross = [amount.gross for _, amount in amounts]
        refunds = [
            None if is_refund is None else amount.gross if is_refund else Decimal(0) for is_refund, amount in amounts
        ]
        net = total([amount.net for _, amount in amounts])
        booked = len({booking_id for booking_id, _ in lines})
        answer.append((month, booked, total(gross), total(refunds), net, gross.count(None)))
    return answer


def came_twice(customers: list[Customer], bookings: list[tuple[EventDate, Booking]]) -> list[tuple[Any, ...]]:
    """Answer the second question."""
    dates: dict[str | None, dict[str, datetime]] = defaultdict(dict)
    for one, booking in bookings:
        tickets = [line for line in booking.lines or () if line.line_type == "TICKETS"]
        paid = sum((line.amount.gross or 0 for line in tickets if line.amount), Decimal(0))
        is_kept = tickets and (not any(line.is_refund for line in tickets) or paid > 0)
        if is_kept and one.start is not None and one.start < NOW and not one.cancelled:
            dates[booking.customer_id][one.id] = one.start
    found = [
        (c.id, c.first_name, c.last_name, c.email, len(dates[c.id]), max(dates[c.id].values()))
        for c in customers
        if len(dates[c.id]) >= 2
    ]
    return sorted(found, key=lambda row: (-row[4], row[0]))


def lapsed(customers: list[Customer]) -> set[str]:
    """Answer the third question, by the ids alone."""
    today = datetime.now(UTC).date()
    ends = {c.id: c.membership and c.membership.end_date for c in customers}
    members = {c.email.lower() for c in customers if c.email and (end := ends[c.id]) and end >= today}
    return {c.id for c in customers if (end := ends[c.id]) and end < today and (c.email or "").lower() not in members}


def consents(customers: list[Customer]) -> tuple[float, ...]:
    """Answer the fourth question."""
    given = [
        [c.consent is not None and getattr(c.consent, way) is True for c in customers]
        for way in ("email", "post", "sms")
    ]
    return (len(customers), *(round(100 * sum(one) / len(customers), 1) for one in given))


@pytest.mark.slow
async def test_five_questions_have_the_same_answers_in_sql_and_in_python(any_warehouse: Warehouse) -> None:
    """The data has lines without an amount, refunds, renewed memberships, an erased person and unknown values."""
    async with Sandbox(customers=40, events=6, dates_per_event=4, bookings_per_date=5, rate_limit=None) as box:
        await prepare(box)
        everybody, bookings, seats = await truth_in(box)
        customers = [customer for customer in everybody if customer.last_name or customer.email]
        await any_warehouse.load(box, "--seats", now=NOW.isoformat())

    sales, twice, members, share, places = [any_warehouse.ask(query) for query in questions()]
    assert sales == sales_by_month(bookings)
    assert {row[2] is None for row in sales} == {row[3] is None for row in sales} == {True, False}
    assert twice == came_twice(everybody, bookings)
    assert len(twice) > 5
    assert {row[0] for row in members} == lapsed(customers)
    assert box.customers.ids(0, 3)[0] in lapsed(customers)
    assert box.customers.ids(0, 3)[1] not in lapsed(customers)
    assert len(customers) == 39  # one was erased
    assert [tuple(float(value) for value in share[0])] == [consents(customers)]
    states = Counter((seat.price_category, state_of(seat)) for seat in seats)
    categories = sorted({seat.price_category for seat in seats}, key=lambda name: name or "~")
    assert places == [(name, *(states[name, state] for state in ("sold", "cancelled", None))) for name in categories]


@pytest.mark.slow
async def test_five_questions_have_answers_for_a_box_office_without_customers(any_warehouse: Warehouse) -> None:
    """There are no rows, and the shares of consents are NULL."""
    async with Sandbox(customers=0, events=1, dates_per_event=1, rate_limit=None) as box:
        await any_warehouse.load(box, "--seats")

    assert [any_warehouse.ask(query) for query in questions()] == [[], [], [], [(0, None, None, None)], []]
