"""`ts.reports.sales` over HTTP: complete, with few requests, and with a report of every failure."""

import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from halls import answer_with, answer_without_end, fail_after, first_date, rows_of

from ticketsource_async import (
    AuthenticationFailed,
    Booking,
    BranchesFailed,
    InvalidID,
    NotFound,
    SalesTally,
    SeatCount,
    StartFilter,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async.errors import ListEnded
from ticketsource_async.reports.sales import By
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=7, dates_per_event=6, bookings_per_date=3, rate_limit=None) as hall:
        yield hall


async def test_the_sales_equal_the_sums_computed_from_the_json(desk: TicketSource, hall: Sandbox) -> None:
    """Every sum of every performance and the seats by price category are computed from the answers."""
    sales = await desk.reports.sales(seats=True)
    total = Counter[str]()
    rows = {row.date_id: row for row in sales.rows}

    for event in await rows_of(hall, "/events"):
        for one in await rows_of(hall, f"/events/{event['id']}/dates"):
            expected = Counter[str]()
            seats = Counter[tuple[str, bool]]()
            for booking in await rows_of(hall, f"/dates/{one['id']}/bookings"):
                expected["bookings"] += 1
                for line in booking["attributes"]["lines"]:
                    add(expected, line)
                for seat in await rows_of(hall, f"/bookings/{booking['id']}/seats"):
                    at = seat["attributes"]
                    seats[at["price_category"], at["is_cancelled"]] += at["is_booked"] or at["is_cancelled"]
            row = rows[one["id"]]
            assert {name: getattr(row, name) for name in expected} == expected
            assert row.seats == {
                category: SeatCount(seats[category, False], seats[category, True]) for category, _ in seats
            }
            assert (row.event, str(row.start)) == (event["attributes"]["name"], str(row.start))
            assert row.mark == ("cancelled" if one["attributes"]["cancelled"] else "")
            total += expected

    assert {name: getattr(sales.total, name) for name in total} == total
    assert (len(rows), sales.total.performances, sales.total.cancelled, sales.failed) == (42, 42, 1, ())


def add(sums: Counter[str], line: dict[str, Any]) -> None:
    """Add a line of the JSON to the sums."""
    amounts: dict[str, Any] = {name: value for name, value in line["amount"].items() if name != "discounts"}
    found: Any = {name: Fraction(value) for name, value in amounts.items()}
    if line["line_type"] != "TICKETS":
        sums["donations" if line["line_type"] == "DONATION" else "other"] += found["gross"]
        return
    off = line["amount"]["discounts"]
    found |= {"fees": found.pop("fee"), "discounts": Fraction(off["automatic"]) + Fraction(off["code"]["amount"])}
    for name, value in found.items():
        sums[name] += value
    sums["refunds"] += found["gross"] if line["is_refund"] else 0


async def test_no_list_is_read_twice(desk: TicketSource, hall: Sandbox) -> None:
    """Seats are read only if they are requested."""
    await desk.reports.sales(by="event")
    asked = Counter(request.path.split("/")[-1] for request in hall.requests)
    await desk.reports.sales(by="month", seats=True)
    with_seats = Counter(request.path.split("/")[-1] for request in list(hall.requests)[asked.total() :])

    assert asked == {"events": 1, "dates": 7, "venues": 7, "bookings": 42}
    assert with_seats == asked + Counter(seats=42 * 3)
    assert {request.query["per_page"] for request in hall.requests} == {"100"}


async def test_performances_are_chosen_by_day_and_event(desk: TicketSource, hall: Sandbox) -> None:
    """An event that is given as a record is not requested, and no event is listed twice."""
    events = await desk.events.list().collect()
    hall.requests.clear()

    chosen = await desk.reports.sales(
        start=StartFilter.between(date(2026, 1, 10), date(2026, 1, 20)), events=[events[0].id, events[1], events[0].id]
    )

    assert [(row.event_id, str(row.start)[:10]) for row in chosen.rows] == [
        (events[0].id, "2026-01-10"),
        (events[1].id, "2026-01-13"),
        (events[0].id, "2026-01-17"),
        (events[1].id, "2026-01-20"),
    ]
    alone = await desk.reports.sales(events=events[2].id)
    assert {row.event_id for row in alone.rows} == {events[2].id}
    assert [request.path for request in hall.requests].count(f"/events/{events[0].id}") == 1
    assert [request.path for request in hall.requests].count(f"/events/{events[1].id}") == 0


async def test_an_invalid_event_or_option_is_refused_before_any_request(desk: TicketSource, hall: Sandbox) -> None:
    """The error for an unknown option names the known ones."""
    with pytest.raises(InvalidID):
        await desk.reports.sales(events=["cst-1"])
    with pytest.raises(TypeError, match="sales\\(\\) has no 'group': it has by, start"):
        await desk.reports.sales(group="date")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="concurrency"):
        await desk.reports.sales(concurrency=0)
    assert not hall.requests


async def test_several_reports_share_their_requests(desk: TicketSource, hall: Sandbox) -> None:
    """Each tally gets every performance."""
    by_event, by_day = SalesTally("event"), SalesTally("sold-day")
    await desk.reports.read(by_event, by_day)

    assert len(hall.requests) == 1 + 7 + 7 + 42
    assert by_event.result().total.gross == by_day.result().total.gross
    assert len(by_event.result().rows) == 7


async def test_an_event_that_does_not_exist_is_a_failed_branch(desk: TicketSource) -> None:
    """The other events have their sums, and the total is empty."""
    first = await desk.events.list().first()
    assert first is not None

    sales = await desk.reports.sales(events=[first, "evt-gone"], by="event")

    assert [type(failed.error) for failed in sales.failed] == [NotFound]
    assert str(sales.failed[0]).startswith("event evt-gone could not be read: ")
    assert [(row.event_id, row.gross is None, row.missing) for row in sales.rows] == [
        (first.id, False, ""),
        ("evt-gone", True, said := "without the performances of 1 event"),
    ]
    assert (sales.total.gross, sales.total.missing) == (None, said)


async def test_the_sums_of_an_incomplete_list_are_empty(desk: TicketSource, hall: Sandbox) -> None:
    """The bookings of its performance are not counted."""
    _, date_id, rows = await first_date(hall)
    answer_without_end(hall, f"/dates/{date_id}/bookings", rows)

    sales = await desk.reports.sales()

    row = next(row for row in sales.rows if row.date_id == date_id)
    assert (row.gross, row.bookings, row.missing) == (None, None, "without 1 performance")
    assert (sales.total.gross, sales.total.missing) == (None, "without 1 performance")
    assert [(failed.is_end, failed.is_row) for failed in sales.failed] == [(True, False)]
    assert "10 pages in a row have no rows" in str(sales.failed[0])


@pytest.mark.parametrize("path", ["/events", "/events/{event}/dates", "/dates/{date}/bookings"])
async def test_a_listing_with_an_incomplete_list_yields_its_rows_and_then_raises(
    desk: TicketSource, hall: Sandbox, path: str
) -> None:
    """The programme raises too, except for a list of bookings, which it does not read."""
    whole = [booking.id async for _, _, booking in desk.all_bookings()]
    dates = [event_date.id async for _, event_date, _ in desk.programme()]
    event = (await rows_of(hall, "/events"))[0]["id"]
    at = path.format(event=event, date=(await rows_of(hall, f"/events/{event}/dates"))[0]["id"])
    answer_without_end(hall, at, await rows_of(hall, at))
    found = list[str]()

    async def read(listed: Any, key: Callable[[Any], str]) -> BranchesFailed | None:
        found.clear()
        try:
            async for row in listed:
                found.append(key(row))
        except BranchesFailed as error:
            return error
        return None

    of_bookings = await read(desk.all_bookings(), lambda row: str(row[2].id))
    assert found == whole
    of_dates = await read(desk.programme(), lambda row: str(row[1].id))
    assert found == dates

    assert of_bookings is not None
    assert [branch["error"] for branch in of_bookings.branches] == [ListEnded.__name__]
    assert (of_dates is None) == ("bookings" in path)


async def test_a_later_page_of_events_that_fails_costs_only_the_events_after_it(
    desk: TicketSource, hall: Sandbox
) -> None:
    """The rows of the events before it are there. The total is empty and says what is missing."""
    fail_after(hall, "/events", (await rows_of(hall, "/events"))[:3], status=500)

    sales = await desk.reports.sales(by="event")
    donations = await desk.reports.donations(on_error=lambda _: None)

    assert len(sales.rows) == 3
    assert {(row.gross is None, row.missing) for row in sales.rows} == {(False, "")}
    assert (sales.total.gross, sales.total.missing) == (None, "without further events")
    assert [str(failed).partition(": ")[0] for failed in sales.failed] == [
        "the rest of the list of events could not be read"
    ]
    assert donations.lost.words() == "further events"


@pytest.mark.parametrize("by", ["date", "event", "day", "month"])
async def test_a_performance_whose_bookings_fail_has_its_venue(desk: TicketSource, hall: Sandbox, by: By) -> None:
    """The venue is known from its own list."""
    whole = await desk.reports.sales(by=by)
    dates = [row.date_id for row in (await desk.reports.sales()).rows]
    for date_id in dates:
        hall.fail(path=f"/dates/{date_id}/bookings", status=501)

    without = await desk.reports.sales(by=by)

    assert [row.venue for row in without.rows] == [row.venue for row in whole.rows]
    assert None not in {row.venue for row in whole.rows}
    assert {row.gross for row in without.rows} == {None}
    assert len(without.failed) == len(dates) == 42


async def test_a_booking_that_cannot_be_read_empties_its_row_and_the_total(desk: TicketSource, hall: Sandbox) -> None:
    """All other rows are complete."""
    _, date_id, rows = await first_date(hall)
    rows[1]["id"] = "../x"
    answer_with(hall, f"/dates/{date_id}/bookings", rows)

    sales = await desk.reports.sales()

    assert [(row.date_id, row.missing) for row in sales.rows if row.missing] == [(date_id, "without 1 booking")]
    assert (sales.total.bookings, sales.total.missing) == (None, "without 1 booking")
    assert [failed.is_row for failed in sales.failed] == [True]


async def test_seats_that_cannot_be_read_are_named(desk: TicketSource, hall: Sandbox) -> None:
    """Their row has no seats. The total has no seats, but its sums of money."""
    booking = await anext(aiter(desk.all_bookings()))
    hall.fail(path=f"/bookings/{booking[2].id}/seats", status=501)

    sales = await desk.reports.sales(seats=True, by="event")

    assert [row.event_id for row in sales.rows if row.seats is None] == [booking[0].id]
    assert (sales.total.seats, sales.total.missing) == (None, "without the seats of 1 booking")
    assert sales.total.gross is not None
    assert f"the list of seats of booking {booking[2].id} could not be read" in str(sales.failed[0])


async def test_seats_that_fail_a_hundred_times_in_a_row_cost_no_sum_and_are_not_requested_any_more(
    desk: TicketSource, hall: Sandbox
) -> None:
    """A box office may have a hundred thousand bookings. The money was read before, and each booking is named."""
    ids = [booking.id async for _, _, booking in desk.all_bookings()]
    for booking_id in ids:
        hall.fail(path=f"/bookings/{booking_id}/seats", status=501, times=None)
    hall.requests.clear()

    sales = await desk.reports.sales(seats=True, concurrency=1)

    assert len(ids) == 42 * 3
    assert sum("/seats" in request.path for request in hall.requests) == 100
    assert sales.total.gross is not None
    assert (sales.total.seats, sales.total.missing) == (None, "without the seats of 126 bookings")
    assert [failed.booking_id for failed in sales.failed] == ids
    assert str(sales.failed[-1]) == (
        f"the list of seats of booking {ids[-1]} could not be read: "
        "No request was made, since 100 lists in a row could not be read."
    )


async def test_a_refused_key_ends_the_sales_also_while_seats_are_read(desk: TicketSource, hall: Sandbox) -> None:
    """It would be refused for all other calls."""
    _, _, rows = await first_date(hall)
    hall.fail(path=f"/bookings/{rows[0]['id']}/seats", status=401)

    with pytest.raises(AuthenticationFailed):
        await desk.reports.sales(seats=True)


async def test_a_failure_of_the_list_of_events_is_raised(desk: TicketSource, hall: Sandbox) -> None:
    """Without it, there is nothing to report."""
    hall.fail(path="/events", status=501)

    with pytest.raises(TicketSourceError):
        await desk.reports.sales()


async def test_an_empty_box_office_has_no_rows_and_a_total_of_zero() -> None:
    """It has no seats either."""
    async with Sandbox(customers=0, events=0) as hall, TicketSource(hall.api_key, base_url=hall.url) as ts:
        sales = await ts.reports.sales(seats=True)

    total: tuple[object, ...] = (sales.total.gross, sales.total.bookings, sales.total.seats)
    assert (sales.rows, total) == ((), (0, 0, {}))


@pytest.mark.slow
async def test_five_hundred_performances_take_few_requests_and_keep_few_bookings() -> None:
    """Of 40,000 bookings, only those of the performances that are being read are in memory."""
    most = 0

    class Watch:
        def add(self, _: object) -> None:
            nonlocal most
            most = max(most, sum(isinstance(one, Booking) for one in gc.get_objects()) if watched() else 0)

        def add_failed(self, _: object) -> None:
            raise AssertionError

    seen = 0

    def watched() -> bool:
        nonlocal seen
        seen += 1
        return seen % 50 == 0

    async with (
        Sandbox(customers=1000, events=50, dates_per_event=10, bookings_per_date=80, rate_limit=None) as hall,
        TicketSource(hall.api_key, base_url=hall.url, rate_limit=None) as ts,
    ):
        tally = SalesTally()
        await ts.reports.read(tally, Watch())
        sales = tally.result()

    assert (len(sales.rows), sales.total.bookings, len(hall.requests)) == (500, 40_000, 1 + 50 + 50 + 500)
    assert 0 < most <= (2 * 8 + 2) * 80
