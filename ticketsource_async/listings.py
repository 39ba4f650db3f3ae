"""Many calls as one listing: everything that is on, and everything that was sold.

Each reads in branches, so many at a time, and yields in the order of the lists. No task outlives its loop, also if
the loop is left early.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.tasks import TasksAhead
from ticketsource_async.models import Booking, Event, EventDate, StartFilter, Venue
from ticketsource_async.resources.events import Dates, Events, Venues

In = TypeVar("In")
Out = TypeVar("Out")


def programme(
    sender: Sender, start: StartFilter | None, concurrency: int
) -> AsyncGenerator[tuple[Event, EventDate, Venue | None], None]:
    """Return every date of every event with its venue."""
    events, venues = Events(sender), Venues(sender, "bulk")
    fetched: dict[str, Venue] = {}
    one_at_a_time = asyncio.Lock()

    async def venue_of(event_date: EventDate) -> Venue | None:
        venue_id = event_date.venue_id
        if venue_id is None:
            return None
        if venue_id not in fetched:  # not in the list of its event
            async with one_at_a_time:
                if venue_id not in fetched:
                    fetched[venue_id] = await venues.get(venue_id)
        return fetched[venue_id]

    async def branch(event: Event) -> list[tuple[Event, EventDate, Venue | None]]:
        with _naming_branch(event):
            dates = await events.list_dates(event, start=start).collect()
            if dates:
                fetched.update({venue.id: venue for venue in await events.list_venues(event).collect()})
            return [(event, event_date, await venue_of(event_date)) for event_date in dates]

    return _in_branches(aiter(events.list()), branch, concurrency)


def all_bookings(
    sender: Sender, start: StartFilter | None, concurrency: int
) -> AsyncGenerator[tuple[Event, EventDate, Booking], None]:
    """Return every booking for every date of every event."""
    events, dates = Events(sender), Dates(sender)
    gate = asyncio.Semaphore(concurrency)  # for the branches of both levels together

    async def dates_of(event: Event) -> list[tuple[Event, EventDate]]:
        with _naming_branch(event):
            async with gate:
                return [(event, event_date) async for event_date in events.list_dates(event, start=start)]

    async def bookings_for(pair: tuple[Event, EventDate]) -> list[tuple[Event, EventDate, Booking]]:
        event, event_date = pair
        with _naming_branch(event, event_date):
            async with gate:
                return [(event, event_date, booking) async for booking in dates.list_bookings(event_date)]

    pairs = _in_branches(aiter(events.list()), dates_of, concurrency)
    return _in_branches(pairs, bookings_for, concurrency)


async def _in_branches(
    source: AsyncGenerator[In, None],
    work: Callable[[In], Coroutine[Any, Any, list[Out]]],
    concurrency: int,
) -> AsyncGenerator[Out, None]:
    """Yield the rows that the work on each item finds, in order, with the work on so many going on at a time."""
    branches = TasksAhead[list[Out]](concurrency)
    failure: Exception | None = None
    try:
        async with aclosing(source):
            while failure is None:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001 - it is raised below: what began before comes before it
                    failure = error
                    continue
                _ = branches.start(work(item))  # `branches` owns it
                if branches.full:
                    for row in await branches.oldest():
                        yield row
            while branches:
                for row in await branches.oldest():
                    yield row
            if failure is not None:
                raise failure
    finally:
        await branches.aclose()


@contextmanager
def _naming_branch(*records: Event | EventDate) -> Iterator[None]:
    """Say on an error in which branch it happened."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was in the branch of {' and '.join(record.id for record in records)}.")
        raise
