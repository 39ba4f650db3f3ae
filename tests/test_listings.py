"""Many calls as one listing: whole, in order, bounded, and leaving nothing behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date
from decimal import Decimal

import pytest
from loops import our_tasks, read_until_it_raises, until
from mocked import ONCE

from ticketsource_async import ServerError, StartFilter, TicketSource
from ticketsource_async.sandbox import Sandbox

START = StartFilter.between(date(2026, 1, 10), date(2026, 1, 20))


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=12, dates_per_event=4, bookings_per_date=3, rate_limit=None) as hall:
        yield hall


@pytest.fixture(name="desk")
async def _desk(hall: Sandbox) -> AsyncIterator[TicketSource]:
    async with TicketSource(hall.api_key, base_url=hall.url, retry=ONCE, rate_limit=None) as desk:
        yield desk


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_the_programme_is_whole_and_in_order_and_no_venue_is_fetched_twice(
    desk: TicketSource, hall: Sandbox, concurrency: int
) -> None:
    """Each date comes once with its own event and venue, for the pages of events, dates and venues."""
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


async def test_venues_are_asked_for_only_where_a_date_is_kept(desk: TicketSource, hall: Sandbox) -> None:
    """With a filter, events without a date of those days cost one request."""
    rows = [row async for row in desk.programme(start=START)]

    days = {event_date.start.date() for _, event_date, _ in rows if event_date.start}
    assert rows
    assert min(days) >= date(2026, 1, 10)
    assert max(days) <= date(2026, 1, 20)
    kept = len({event.id for event, _, _ in rows})
    assert kept < 12
    assert len(hall.requests) == 1 + 12 + kept


async def test_a_venue_that_its_event_does_not_list_is_fetched_once(desk: TicketSource, hall: Sandbox) -> None:
    """A date at a venue that is not in the event's list gets it by its id, however many dates there are."""
    first = await desk.events.list().first()
    assert first is not None
    hall.fail(path=f"/events/{first.id}/venues", status=200, body='{"data": []}')
    hall.requests.clear()

    rows = [row async for row in desk.programme()]

    assert all(venue is not None for _, _, venue in rows)
    assert len(rows) == 48
    assert sum(request.path.startswith("/venues/") for request in hall.requests) == 1


@pytest.mark.parametrize("concurrency", [1, 3, 8])
async def test_all_bookings_are_there_once_and_add_up(desk: TicketSource, hall: Sandbox, concurrency: int) -> None:
    """Each booking comes once with its own event and date, and its lines add up."""
    rows = [row async for row in desk.all_bookings(concurrency=concurrency)]

    assert len({booking.id for _, _, booking in rows}) == len(rows) == 12 * 4 * 3
    for event, event_date, booking in rows:
        totals = booking.totals()
        assert (event_date.event_id, booking.date_id) == (event.id, event_date.id)
        assert totals.gross is not None
        assert totals.net == totals.gross - (totals.fee or 0) - (totals.fee_vat or 0)
    assert sum((b.totals().refunds or 0 for _, _, b in rows), Decimal(0)) < 0
    assert len(hall.requests) == 1 + 12 + 48


async def test_no_more_lists_are_read_at_a_time_than_asked_for() -> None:
    """With a concurrency of three, no more than three branches and the list of events are at the server."""
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


async def test_a_branch_that_fails_raises_with_its_ids_and_ends_the_others(desk: TicketSource, hall: Sandbox) -> None:
    """The rows before it came; the error says event and date; no task is left."""
    before = our_tasks()
    (event,) = await desk.events.list(max_items=1).collect()
    third = (await desk.events.list_dates(event).collect())[2]
    hall.fail(path=f"/dates/{third.id}/bookings", status=500)

    seen, error = await read_until_it_raises(desk.all_bookings())

    assert isinstance(error, ServerError)
    assert error.__notes__ == [f"This was in the branch of {event.id} and {third.id}."]
    assert len(seen) == 6
    assert our_tasks() == before


async def test_what_was_read_before_a_list_that_fails_comes_before_its_error(desk: TicketSource, hall: Sandbox) -> None:
    """The bookings of the first event are not lost because the dates of the second cannot be read."""
    first, second = await desk.events.list(max_items=2).collect()
    hall.fail(path=f"/events/{second.id}/dates", status=500)

    seen, error = await read_until_it_raises(desk.all_bookings())

    assert isinstance(error, ServerError)
    assert error.__notes__ == [f"This was in the branch of {second.id}."]
    assert {event.id for event, _, _ in seen} == {first.id}


@pytest.mark.parametrize("listing", ["programme", "all_bookings"])
@pytest.mark.parametrize("closing", [True, False])
async def test_leaving_the_loop_early_leaves_no_task(desk: TicketSource, listing: str, closing: bool) -> None:
    """With `aclosing` at once, after a bare `break` a few turns of the loop later."""
    before = our_tasks()
    if closing:
        async with aclosing(getattr(desk, listing)()) as rows:
            await anext(rows)
        assert our_tasks() == before
    else:
        async for _ in getattr(desk, listing)():
            break
        await until(lambda: our_tasks() == before)


async def test_a_concurrency_that_cannot_be_is_refused_at_once(desk: TicketSource) -> None:
    """Nothing at a time is nothing at all."""
    with pytest.raises(ValueError, match="concurrency"):
        desk.programme(concurrency=0)
    with pytest.raises(ValueError, match="concurrency"):
        desk.all_bookings(concurrency=0)
