"""Many calls as one listing, which is complete, in order and bounded, and leaves no task."""

import asyncio
import json
import pickle
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any, Literal, cast

import pytest
from halls import answer_with, desk_of, rows_of
from loops import our_tasks, read_until_it_raises, until
from mocked import ONCE

from ticketsource_async import (
    AccessBlocked,
    APIError,
    AuthenticationFailed,
    Booking,
    BranchesFailed,
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    Event,
    EventDate,
    FailedBranch,
    InvalidResponse,
    LocalRateLimiter,
    NotFound,
    PaginationError,
    PermissionDenied,
    RateLimit,
    RateLimited,
    ServerError,
    StartFilter,
    TicketSource,
)
from ticketsource_async.sandbox import Sandbox

START = StartFilter.between(date(2026, 1, 10), date(2026, 1, 20))


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=12, dates_per_event=4, bookings_per_date=3, rate_limit=None) as hall:
        yield hall


def ids(row: tuple[Event, EventDate, Booking]) -> tuple[str, str, str]:
    """Return the ids of a row of all bookings."""
    event, event_date, booking = row
    return event.id, event_date.id, booking.id


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_the_programme_is_complete_and_in_order_and_fetches_nothing_twice(
    desk: TicketSource, hall: Sandbox, concurrency: int
) -> None:
    """Each date comes once with its own event and venue. Only the pages of events, dates and venues are requested."""
    rows = [row async for row in desk.programme(concurrency=concurrency)]

    assert len({event_date.id for _, event_date, _ in rows}) == len(rows) == 48
    assert [event.id for event, _, _ in rows] == [
        event.id for event in await desk.events.list().collect() for _ in range(4)
    ]
    for event, event_date, venue in rows:
        assert venue is not None
        assert (event_date.event_id, event_date.venue_id, venue.event_id) == (event.id, venue.id, event.id)
    asked = Counter(request.path for request in list(hall.requests)[:-1])
    assert asked.total() == 1 + 12 + 12
    assert max(asked.values()) == 1


async def test_venues_are_requested_only_for_events_with_a_matching_date(desk: TicketSource, hall: Sandbox) -> None:
    """With a filter, an event without a matching date takes one request."""
    rows = [row async for row in desk.programme(start=START)]

    days = {event_date.start.date() for _, event_date, _ in rows if event_date.start}
    assert rows
    assert min(days) >= date(2026, 1, 10)
    assert max(days) <= date(2026, 1, 20)
    kept = len({event.id for event, _, _ in rows})
    assert kept < 12
    assert len(hall.requests) == 1 + 12 + kept


async def test_a_venue_that_its_event_does_not_list_is_fetched_once(desk: TicketSource, hall: Sandbox) -> None:
    """The venue is fetched by its id, even if several dates are there."""
    first = await desk.events.list().first()
    assert first is not None
    hall.fail(path=f"/events/{first.id}/venues", status=200, body='{"data": []}')
    hall.requests.clear()

    rows = [row async for row in desk.programme()]

    assert all(venue is not None for _, _, venue in rows)
    assert len(rows) == 48
    assert sum(request.path.startswith("/venues/") for request in hall.requests) == 1


@pytest.mark.parametrize("concurrency", [1, 3, 8])
async def test_each_booking_comes_once_and_its_amounts_add_up(
    desk: TicketSource, hall: Sandbox, concurrency: int
) -> None:
    """Each booking comes with its own event and date."""
    rows = [row async for row in desk.all_bookings(concurrency=concurrency)]

    assert len({booking.id for _, _, booking in rows}) == len(rows) == 12 * 4 * 3
    for event, event_date, booking in rows:
        totals = booking.totals()
        assert (event_date.event_id, booking.date_id) == (event.id, event_date.id)
        assert totals.gross is not None
        assert totals.net == totals.gross - (totals.fee or 0) - (totals.fee_vat or 0)
    assert sum((b.totals().refunds or 0 for _, _, b in rows), Decimal(0)) < 0
    assert len(hall.requests) == 1 + 12 + 48


async def test_the_concurrency_limits_how_many_lists_are_read_at_once() -> None:
    """With a concurrency of three, at most three branches and the list of events are read."""
    async with Sandbox(customers=5, events=9, rate_limit=None, latency=0.01) as hall:
        async with TicketSource(hall.api_key, base_url=hall.url, rate_limit=None, max_connections=50) as desk:

            async def read() -> int:
                return len([row async for row in desk.all_bookings(concurrency=3)])

            reading = asyncio.create_task(read())
            at_once: set[int] = set()
            while not reading.done():
                at_once.add(sum(request.status is None for request in hall.requests))
                await asyncio.sleep(0)

        assert await reading == 9 * 6 * 5
        assert 2 <= max(at_once) <= 4


async def test_the_rows_of_other_branches_come_before_the_error_that_names_failed_ones(
    desk: TicketSource, hall: Sandbox
) -> None:
    """One event was deleted and the list of one date is broken. All other rows come in order."""
    before = our_tasks()
    everything = [ids(row) async for row in desk.all_bookings()]
    first, second = await desk.events.list(max_items=2).collect()
    third = (await desk.events.list_dates(first).collect())[2]
    hall.fail(path=f"/dates/{third.id}/bookings", status=500)
    hall.fail(path=f"/events/{second.id}/dates", status=404)

    seen, error = await read_until_it_raises(desk.all_bookings())

    assert [ids(row) for row in seen] == [row for row in everything if row[0] != second.id and row[1] != third.id]
    assert isinstance(error, BranchesFailed)
    assert error.count == 2
    assert [(b["event_id"], b["date_id"], b["venue_id"], b["error"]) for b in error.branches] == [
        (first.id, third.id, None, "ServerError"),
        (second.id, None, None, "NotFound"),
    ]
    assert f"GET /events/{second.id}/dates" in error.branches[1]["message"]
    for told in (
        "2 branches of the listing could not be read",
        f"date {third.id} of event {first.id} could not be read: GET /dates/{third.id}/bookings",
        f"event {second.id} could not be read: GET /events/{second.id}/dates",
    ):
        assert told in str(error)
    assert our_tasks() == before


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 404}, NotFound),
        ({"status": 404, "html": True}, NotFound),
        ({"status": 403}, PermissionDenied),
        ({"status": 409}, APIError),
        ({"status": 500}, ServerError),
        ({"cut": "body"}, ConnectionLost),
        ({"body": "<html>"}, InvalidResponse),
        ({"next": "cursor", "times": 2}, PaginationError),
    ],
)
async def test_on_branch_error_gets_each_failed_branch_and_nothing_is_raised(
    desk: TicketSource, hall: Sandbox, fault: dict[str, Any], kind: type[Exception], concurrency: int
) -> None:
    """`on_branch_error` gets each branch with its records and its error, in the order of the rows."""
    events = await desk.events.list().collect()
    date_gone = (await desk.events.list_dates(events[4]).collect())[1]
    hall.fail(path=f"/events/{events[1].id}/dates", **fault)
    hall.fail(path=f"/dates/{date_gone.id}/bookings", **fault)
    failed: list[FailedBranch] = []

    rows = [row async for row in desk.all_bookings(concurrency=concurrency, on_branch_error=failed.append)]

    assert len(rows) == (11 * 4 - 1) * 3
    assert [(f.event, f.date, f.venue_id, type(f.error)) for f in failed] == [
        (events[1], None, None, kind),
        (events[4], date_gone, None, kind),
    ]
    assert all(f.error.__traceback__ is None for f in failed)
    assert [str(pickle.loads(pickle.dumps(f))) for f in failed] == [str(f) for f in failed]


async def test_a_branch_that_fails_on_a_later_page_yields_none_of_its_rows() -> None:
    """A branch yields all of its rows or none."""
    async with (
        Sandbox(customers=30, events=3, dates_per_event=1, bookings_per_date=150, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        second = (await desk.events.list().collect())[1]
        (its_date,) = await desk.events.list_dates(second).collect()
        box.fail(path=f"/dates/{its_date.id}/bookings", page=2, status=500)
        failed: list[FailedBranch] = []

        seen = Counter([event.id async for event, _, _ in desk.all_bookings(on_branch_error=failed.append)])

    assert sorted(seen.values()) == [150, 150]
    assert second.id not in seen
    assert [f.event and f.event.id for f in failed] == [second.id]


async def test_the_error_names_twenty_failed_branches_and_counts_the_rest() -> None:
    """The field `branches` has all of them."""
    async with (
        Sandbox(customers=5, events=200, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        gone = [event.id for event in await desk.events.list().collect()][::6][:30]
        for event_id in gone:
            box.fail(path=f"/events/{event_id}/dates", status=404)

        seen, error = await read_until_it_raises(desk.programme())

    assert len(seen) == 170
    assert isinstance(error, BranchesFailed)
    assert error.count == 30
    assert [branch["event_id"] for branch in error.branches] == gone
    assert [event_id for event_id in gone if event_id in str(error)] == gone[:20]
    assert "10 more" in str(error)


async def test_the_error_of_a_thousand_long_failures_stays_small() -> None:
    """The error keeps 1,000 of 1,010 branches, shortens each, and counts all."""
    story = {"code": "not_found", "detail": "x" * 400}
    async with (
        Sandbox(customers=5, events=1010, dates_per_event=1, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        for event in await desk.events.list().collect():
            box.fail(path=f"/events/{event.id}/dates", status=404, body=json.dumps({"errors": [story] * 20}))

        seen, error = await read_until_it_raises(desk.programme())

    assert seen == []
    assert isinstance(error, BranchesFailed)
    assert (error.count, len(error.branches)) == (1010, 1000)
    assert "990 more" in str(error)
    assert len(str(error)) < 12_000
    assert len(json.dumps(error.args)) < 800_000


@pytest.mark.parametrize("listing", ["programme", "all_bookings"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 403, "html": True}, AccessBlocked),
        ({"status": 429, "headers": {"Retry-After": "900"}}, RateLimited),
    ],
)
async def test_an_error_that_concerns_every_branch_ends_the_listing(
    desk: TicketSource, hall: Sandbox, listing: str, fault: dict[str, Any], kind: type[Exception]
) -> None:
    """These are a refused key, a blocked access and a long wait. The rows before come, and a note names the branch."""
    events = await desk.events.list().collect()
    hall.fail(path=f"/events/{events[0].id}/dates", status=404)
    hall.fail(path=f"/events/{events[2].id}/dates", **fault)
    failed: list[FailedBranch] = []
    hall.requests.clear()

    seen, error = await read_until_it_raises(getattr(desk, listing)(concurrency=1, on_branch_error=failed.append))

    assert isinstance(error, kind)
    assert error.__notes__ == [f"This was in the branch of {events[2].id}."]
    assert {row[0].id for row in seen} == {events[1].id}
    assert [f.event for f in failed] == [events[0]]
    assert not any(events[4].id in request.path for request in hall.requests)


async def test_an_error_that_ends_the_listing_names_the_branches_that_failed_before(
    desk: TicketSource, hall: Sandbox
) -> None:
    """Without `on_branch_error`, they are in a note of that error."""
    first, second = await desk.events.list(max_items=2).collect()
    hall.fail(path=f"/events/{first.id}/dates", status=404)
    hall.fail(path=f"/events/{second.id}/dates", status=401)

    _, error = await read_until_it_raises(desk.programme())

    assert isinstance(error, AuthenticationFailed)
    assert len(error.__notes__) == 2
    assert f"event {first.id} could not be read: GET /events/{first.id}/dates" in error.__notes__[1]


async def test_an_unreachable_server_ends_the_listing() -> None:
    """Without a connection, the other branches are not tried."""
    failed: list[FailedBranch] = []
    async with Sandbox(customers=5, events=50, rate_limit=None) as box:
        desk = TicketSource(box.api_key, base_url=box.url, retry=ONCE, rate_limit=None)
        rows = desk.all_bookings(concurrency=1, on_branch_error=failed.append)
        await anext(rows)
    async with desk, aclosing(rows):
        _, error = await read_until_it_raises(rows)

    assert isinstance(error, ConnectFailed)
    assert len(failed) < 10  # those on a connection that was kept


async def test_a_closed_client_ends_the_listing_without_a_failed_branch(desk: TicketSource) -> None:
    """`aclose` in the middle raises ClientClosed."""
    failed: list[FailedBranch] = []
    async with aclosing(desk.all_bookings(on_branch_error=failed.append)) as rows:
        await anext(rows)
        await desk.aclose()
        _, error = await read_until_it_raises(rows)

    assert isinstance(error, ClientClosed)
    assert failed == []


async def test_a_cancellation_ends_the_listing(desk: TicketSource, hall: Sandbox) -> None:
    """The task ends as cancelled, and no other task is left."""
    before = our_tasks()
    first = await desk.events.list().first()
    assert first is not None
    hall.fail(path=f"/events/{first.id}/dates", slow=3600)
    failed: list[FailedBranch] = []

    async def read() -> None:
        async for _ in desk.programme(on_branch_error=failed.append):
            pass

    reading = asyncio.create_task(read())
    await until(lambda: any(first.id in request.path for request in hall.requests))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert failed == []
    assert our_tasks() == before


async def test_an_error_of_the_limiter_ends_the_listing() -> None:
    """It is not a failure of one branch: this library does not know what it means."""

    class Broken(LocalRateLimiter):
        @asynccontextmanager
        async def slot(self, *, key: str, priority: Literal["interactive", "bulk"]) -> AsyncGenerator[None, None]:
            if len(box.requests) >= 3:
                raise ZeroDivisionError
            async with super().slot(key=key, priority=priority):
                yield

    async with (
        Sandbox(customers=5, events=12, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, retry=ONCE, limiter=Broken(RateLimit(240))) as desk,
    ):
        with pytest.raises(ZeroDivisionError):
            _ = [row async for row in desk.programme()]


@pytest.mark.parametrize("listing", ["programme", "all_bookings"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [({"status": 500}, "ServerError"), ({"body": "<html>"}, "InvalidResponse"), ({"status": 404}, "NotFound")],
)
async def test_a_later_page_of_events_that_fails_costs_only_the_events_after_it(
    listing: str, fault: dict[str, Any], kind: str
) -> None:
    """The rows of the first page come. Then one error names the rest of the list, and what failed before."""
    async with (
        Sandbox(customers=5, events=120, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        first = await desk.events.list().first()
        assert first is not None
        box.fail(path=f"/events/{first.id}/dates", status=404)
        box.fail(path="/events", page=2, times=None, **fault)
        failed: list[FailedBranch] = []

        seen, error = await read_until_it_raises(getattr(desk, listing)())
        box.fail(path=f"/events/{first.id}/dates", status=404)
        taken = [row async for row in getattr(desk, listing)(on_branch_error=failed.append)]

    assert isinstance(error, BranchesFailed)
    assert [branch["error"] for branch in error.branches] == ["NotFound", kind]
    assert "the rest of the list of events could not be read: GET /events" in str(error)
    assert len(seen) == len(taken) == 99
    assert [(one.event, one.is_end, one.is_row) for one in failed] == [(first, False, False), (None, True, False)]


@pytest.mark.parametrize("listing", ["programme", "all_bookings"])
@pytest.mark.parametrize(
    ("page", "fault", "kind", "rows"),
    [(1, {"status": 500}, ServerError, 0), (2, {"status": 401}, AuthenticationFailed, 100)],
)
async def test_a_list_of_events_ends_the_listing_if_nothing_of_it_or_nothing_at_all_can_be_read(
    listing: str, page: int, fault: dict[str, Any], kind: type[Exception], rows: int
) -> None:
    """If the first page fails, no event is known. A refused key is refused everywhere."""
    async with (
        Sandbox(customers=5, events=120, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        box.fail(path="/events", page=page, **fault)
        failed: list[FailedBranch] = []

        seen, error = await read_until_it_raises(getattr(desk, listing)(on_branch_error=failed.append))

    assert isinstance(error, kind)
    assert (len(seen), failed) == (rows, [])


@pytest.mark.parametrize(("listing", "concurrency"), [("programme", 1), ("all_bookings", 1), ("all_bookings", 8)])
async def test_a_hundred_failures_in_a_row_end_the_listing(listing: str, concurrency: int) -> None:
    """A broken server does not get thousands of requests. Branches that the API answers 404 do not count."""
    async with (
        Sandbox(customers=5, events=300, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box,
        desk_of(box) as desk,
    ):
        events = await desk.events.list().collect()
        for event in events[20:180]:
            box.fail(path=f"/events/{event.id}/dates", status=404)
        failed: list[FailedBranch] = []
        rows = [row async for row in getattr(desk, listing)(on_branch_error=failed.append)]
        assert (len(rows), len(failed)) == (140, 160)

        for event in events[20:]:
            box.fail(path=f"/events/{event.id}/dates", status=503, times=None)
        failed.clear()
        seen, error = await read_until_it_raises(
            getattr(desk, listing)(concurrency=concurrency, on_branch_error=failed.append)
        )

    assert isinstance(error, ServerError)
    assert len(seen) == 20
    assert 100 - concurrency <= len(failed) < 120
    assert "in a row, so the listing ends" in error.__notes__[0]
    assert len(error.__notes__) == 2


async def test_an_error_in_on_branch_error_ends_the_listing(desk: TicketSource, hall: Sandbox) -> None:
    """That error is raised, and no task is left."""
    before = our_tasks()
    first = await desk.events.list().first()
    assert first is not None
    hall.fail(path=f"/events/{first.id}/dates", status=404)

    def stop(failed: FailedBranch) -> None:
        raise KeyError(failed.event and failed.event.id)

    with pytest.raises(KeyError, match=first.id):
        _ = [row async for row in desk.programme(on_branch_error=stop)]
    assert our_tasks() == before


async def test_the_dates_of_a_deleted_venue_still_come(desk: TicketSource, hall: Sandbox) -> None:
    """They come without the venue, but with its id. The error at the end names the venue once."""
    everything = [row async for row in desk.programme()]
    first = everything[0][0]
    gone = everything[0][1].venue_id
    hall.fail(path=f"/events/{first.id}/venues", status=200, body='{"data": []}')
    hall.fail(path=f"/venues/{gone}", status=404)
    hall.requests.clear()

    seen, error = await read_until_it_raises(desk.programme())

    assert [row[:2] for row in seen] == [row[:2] for row in everything]
    assert [date.venue_id for _, date, venue in seen if venue is None] == [gone] * 4
    assert sum(request.path == f"/venues/{gone}" for request in hall.requests) == 1
    assert isinstance(error, BranchesFailed)
    assert [(b["event_id"], b["date_id"], b["venue_id"], b["error"]) for b in error.branches] == [
        (first.id, None, gone, "NotFound")
    ]
    assert f"venue {gone} of event {first.id} could not be read: GET /venues/{gone}" in str(error)


@pytest.mark.parametrize("segment", ["evt-1", "ven-\x1b[31m\u202e", "ven-" + "x" * 5_000 + "!"])
async def test_a_date_with_an_invalid_venue_link_comes_without_its_venue(
    desk: TicketSource, hall: Sandbox, segment: str
) -> None:
    """An invalid id is not requested, and the message shows it shortened and escaped."""
    first = await desk.events.list().first()
    assert first is not None
    links = {"venue": f"https://api.example/venues/{segment}"}
    row = {"id": "dat-1", "type": "date", "attributes": {}, "links": links}
    hall.fail(path=f"/events/{first.id}/dates", status=200, body=json.dumps({"data": [row]}))

    seen, error = await read_until_it_raises(desk.programme())

    assert len(seen) == 1 + 11 * 4
    assert (seen[0][1].id, seen[0][2]) == ("dat-1", None)
    assert isinstance(error, BranchesFailed)
    assert [branch["error"] for branch in error.branches] == ["InvalidID"]
    assert f"a venue of event {first.id} could not be read: " in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 1000


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 500}, {"body": '{"data": [{"id": 7}]}'}])
async def test_all_venues_come_though_the_list_of_venues_is_broken(
    desk: TicketSource, hall: Sandbox, fault: dict[str, Any]
) -> None:
    """Each venue is then fetched by its id."""
    everything = [row async for row in desk.programme()]
    hall.fail(path=f"/events/{everything[0][0].id}/venues", **fault)

    assert [row async for row in desk.programme()] == everything


async def test_a_key_refused_at_a_list_of_venues_ends_the_listing(desk: TicketSource, hall: Sandbox) -> None:
    """This error concerns all branches."""
    first = await desk.events.list().first()
    assert first is not None
    hall.fail(path=f"/events/{first.id}/venues", status=401)

    seen, error = await read_until_it_raises(desk.programme())

    assert seen == []
    assert isinstance(error, AuthenticationFailed)
    assert error.__notes__ == [f"This was in the branch of {first.id}."]


@pytest.mark.parametrize("wrong", ["raise", 7])
async def test_an_on_branch_error_that_is_no_plain_function_is_refused(desk: TicketSource, wrong: Any) -> None:
    """A text, a number and a coroutine function are refused."""

    async def later(_: FailedBranch) -> None:
        raise AssertionError

    for given in (wrong, cast(Any, later)):
        with pytest.raises(ValueError, match="on_branch_error"):
            desk.programme(on_branch_error=given)
        with pytest.raises(ValueError, match="on_branch_error"):
            desk.all_bookings(on_branch_error=given)


@pytest.mark.parametrize("listing", ["programme", "all_bookings"])
@pytest.mark.parametrize("closing", [True, False])
async def test_leaving_the_loop_early_leaves_no_task(desk: TicketSource, listing: str, closing: bool) -> None:
    """With `aclosing` it ends at once, after a bare `break` a few turns of the event loop later."""
    before = our_tasks()
    if closing:
        async with aclosing(getattr(desk, listing)()) as rows:
            await anext(rows)
        assert our_tasks() == before
    else:
        async for _ in getattr(desk, listing)():
            break
        await until(lambda: our_tasks() == before)


async def test_a_concurrency_of_zero_is_refused(desk: TicketSource) -> None:
    """It is refused when the listing is made."""
    with pytest.raises(ValueError, match="concurrency"):
        desk.programme(concurrency=0)
    with pytest.raises(ValueError, match="concurrency"):
        desk.all_bookings(concurrency=0)


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_an_unreadable_row_is_reported_and_all_others_come(
    desk: TicketSource, hall: Sandbox, concurrency: int
) -> None:
    """It may be in the list of events, in the dates of an event, or in the bookings of a date."""
    everything = [row async for row in desk.all_bookings()]
    event, event_date, _ = everything[0]
    odd = {"id": None, "type": "what", "attributes": None}
    for path in ("/events", f"/events/{event.id}/dates", f"/dates/{event_date.id}/bookings"):
        answer_with(hall, path, [odd, *await rows_of(hall, path)])
    failed: list[FailedBranch] = []

    rows = [row async for row in desk.all_bookings(concurrency=concurrency, on_branch_error=failed.append)]

    assert rows == everything
    assert all(failure.is_row for failure in failed)
    assert sorted(str(failure).partition(" could not")[0] for failure in failed) == sorted(
        [
            "a row of the list of events",
            f"a row of event {event.id}",
            f"a row of date {event_date.id} of event {event.id}",
        ]
    )
