"""Read many lists as one listing: the whole programme, and all bookings.

A listing reads several branches at a time and yields rows in the order of the lists. A branch is an event or a date.
Its rows are yielded when all of them have been read, so a branch that fails yields none. If a single row cannot be
read, the other rows are still yielded. If the list of events fails after its first page, the events before are read,
and the rest of that list is a failed branch. No task outlives the loop, even if the loop ends early.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

from attrs import frozen

from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.tasks import TasksAhead
from ticketsource_async.bulk import affects_all_calls, iterate
from ticketsource_async.errors import BranchesFailed, InvalidResponse, ListEnded, NotFound, TicketSourceError
from ticketsource_async.failed_branches import FailedBranch, FailedBranches
from ticketsource_async.models import Booking, Event, EventDate, Seat, StartFilter, Venue
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import OnInvalid, Pager
from ticketsource_async.resources.bookings import Bookings
from ticketsource_async.resources.events import Dates, Events, Venues

In = TypeVar("In")
Out = TypeVar("Out")

_MOST_IN_A_ROW: Final = 100

OnBranchError = Callable[[FailedBranch], None]


def programme(
    sender: Sender, start: StartFilter | None, concurrency: int, on_branch_error: OnBranchError | None
) -> AsyncGenerator[tuple[Event, EventDate, Venue | None], None]:
    """Return every date of every event with its venue."""
    check_plain("on_branch_error", on_branch_error, "each FailedBranch")
    branches = _Branches()
    events, venues = Events(sender, "bulk"), _AllVenues(sender, branches)

    async def branch(event: Event) -> list[tuple[Event, EventDate, Venue | None] | FailedBranch] | FailedBranch:
        found = await branches.rows(lambda invalid: events.list_dates(event, start=start, on_invalid=invalid), event)
        if isinstance(found, FailedBranch):
            return found
        dates, failures = found
        if dates:
            await venues.read_list(event)
        rows = [(event, event_date, await venues.get(event, event_date.venue_id, failures)) for event_date in dates]
        return [*rows, *failures]

    return _yield_rows(_in_branches(_all_events(events), branch, concurrency), on_branch_error)


def all_bookings(
    sender: Sender, start: StartFilter | None, concurrency: int, on_branch_error: OnBranchError | None
) -> AsyncGenerator[tuple[Event, EventDate, Booking], None]:
    """Return every booking for every date of every event."""
    check_plain("on_branch_error", on_branch_error, "each FailedBranch")

    async def rows() -> AsyncGenerator[tuple[Event, EventDate, Booking] | FailedBranch, None]:
        async with aclosing(sold_by_date(sender, start, concurrency)) as listed:
            async for sold in listed:
                if isinstance(sold, FailedBranch):
                    yield sold
                    continue
                for booking in sold.bookings:
                    yield sold.event, sold.date, booking
                for failed in sold.failed:
                    yield failed

    return _yield_rows(rows(), on_branch_error)


_Performance = tuple[Event, EventDate, Venue | None]


@frozen
class Sold:
    """A performance with its bookings, except for those in `failed`, which could not be read.

    If the list of its bookings could not be read, `bookings` is empty, and `failed` has this list.
    """

    event: Event
    date: EventDate
    venue: Venue | None
    bookings: Sequence[Booking]
    """The bookings that could be read."""
    failed: Sequence[FailedBranch] = ()


def sold_by_date(
    sender: Sender,
    start: StartFilter | None,
    concurrency: int,
    *,
    with_venues: bool = False,
    of_events: Iterable[str | Event] | None = None,
) -> AsyncGenerator[Sold | FailedBranch, None]:
    """Return every performance with its bookings, of all events or of `of_events`, and each failed branch.

    A failed branch comes in its place in the order; those of the bookings for a performance are in its `Sold`.
    `concurrency` lists are read at a time. Without `with_venues` the venues are None.
    """
    branches, events, dates = _Branches(), Events(sender, "bulk"), Dates(sender, "bulk")
    venues = _AllVenues(sender, branches)
    limit = asyncio.Semaphore(concurrency)  # for the branches of both levels together

    async def dates_of(event: Event) -> list[_Performance | FailedBranch] | FailedBranch:
        async with limit:
            found = await branches.rows(
                lambda invalid: events.list_dates(event, start=start, on_invalid=invalid), event
            )
            if isinstance(found, FailedBranch):
                return found
            listed, failures = found
            if with_venues and listed:
                await venues.read_list(event)
            rows: list[_Performance | FailedBranch] = [
                (event, one, await venues.get(event, one.venue_id, failures) if with_venues else None) for one in listed
            ]
        return [*rows, *failures]

    async def bookings_for(performance: _Performance) -> list[Sold]:
        event, event_date, venue = performance
        async with limit:
            found = await branches.rows(
                lambda invalid: dates.list_bookings(event_date, on_invalid=invalid), event, event_date
            )
        return [Sold(event, event_date, venue, *_with_failures(found))]

    source = _all_events(events) if of_events is None else _given_events(events, branches, of_events, concurrency)
    return _in_branches(_in_branches(source, dates_of, concurrency), bookings_for, concurrency)


@frozen
class SeatsOfBooking:
    """The seats of a booking, except for those in `failed`, which could not be read."""

    booking_id: str
    seats: Sequence[Seat]
    failed: Sequence[FailedBranch] = ()


def seats_of_bookings(
    sender: Sender, booking_ids: Iterable[str], concurrency: int
) -> AsyncGenerator[SeatsOfBooking, None]:
    """Return the seats of these bookings; `concurrency` lists are read at a time.

    After a hundred failures in a row no more seats are requested: each of the other bookings is a failed branch.
    """
    branches, bookings = _Branches(), Bookings(sender, "bulk")
    may_request = True

    async def seats_of(booking_id: str) -> list[SeatsOfBooking]:
        nonlocal may_request
        if not may_request:
            error = TicketSourceError(f"No request was made, since {_MOST_IN_A_ROW} lists in a row could not be read.")
            return [SeatsOfBooking(booking_id, (), [FailedBranch(None, None, None, error, booking_id)])]
        try:
            found = await branches.rows(
                lambda invalid: bookings.list_seats(booking_id, on_invalid=invalid), None, booking_id=booking_id
            )
        except TicketSourceError as last:
            if affects_all_calls(last):
                raise
            may_request = False
            found = FailedBranch(None, None, None, last.with_traceback(None), booking_id)
        return [SeatsOfBooking(booking_id, *_with_failures(found))]

    return in_order(iterate(booking_ids), seats_of, concurrency)


def _with_failures(
    found: tuple[list[Out], list[FailedBranch]] | FailedBranch,
) -> tuple[list[Out], list[FailedBranch]]:
    """Return the rows of a list, and the failures in it; no rows if the list itself could not be read."""
    return ([], [found]) if isinstance(found, FailedBranch) else found


async def _all_events(events: Events) -> AsyncGenerator[Event | FailedBranch, None]:
    """Yield all events, and a failed branch for each part of their list that cannot be read.

    If a page after the first one cannot be read, the rest of the list is a failed branch. Raises the error of the first
    page, and any error that affects all calls.
    """
    invalid: list[InvalidResponse] = []
    listed = events.list(on_invalid=invalid.append)
    any_page = False
    try:
        async with aclosing(listed.pages()) as pages:
            async for page in pages:
                any_page = True
                for event in page.items:
                    yield event
                for error in invalid:
                    yield FailedBranch(None, None, None, error)
                invalid.clear()
    except TicketSourceError as error:
        if affects_all_calls(error) or not any_page:
            raise
        yield FailedBranch(None, None, None, error.with_traceback(None))
    for ended in _unread_rest(listed):
        yield FailedBranch(None, None, None, ended)


def _given_events(
    events: Events, branches: "_Branches", wanted: Iterable[str | Event], concurrency: int
) -> AsyncGenerator[Event | FailedBranch, None]:
    """Return these events, each once; an event that is given by its id is requested."""
    by_id = {checked_id(event, Event): event for event in wanted}

    async def get(event: str | Event) -> list[Event | FailedBranch]:
        return [await branches.read(events.get(event), Event(event)) if isinstance(event, str) else event]

    return in_order(iterate(by_id.values()), get, concurrency)


def _unread_rest(listed: Pager[Any]) -> list[ListEnded]:
    """Return the error for the rest of a list that was not read to its end; an empty list if it was."""
    return [] if listed.report.ended is None else [ListEnded(listed.report.ended)]


def check_plain(name: str, function: object, given: str) -> None:
    """Raise ValueError unless a callback is None or a plain function, because its result is not awaited."""
    if function is not None and (not callable(function) or inspect.iscoroutinefunction(function)):
        raise ValueError(f"{name} must be a plain function, called with {given}")


class _Branches:
    """Read the branches of one listing, each with its own error."""

    def __init__(self) -> None:
        self._failures_in_a_row = 0

    async def rows(
        self,
        list_all: Callable[[OnInvalid], Pager[Out]],
        event: Event | None,
        event_date: EventDate | None = None,
        *,
        booking_id: str | None = None,
    ) -> tuple[list[Out], list[FailedBranch]] | FailedBranch:
        """Return the rows of a list with the failures in it, or the failure of the list; raise as `read` does."""
        invalid: list[InvalidResponse] = []
        listed = list_all(invalid.append)
        found = await self.read(listed.collect(), event, event_date, booking_id=booking_id)
        if isinstance(found, FailedBranch):
            return found
        return found, [
            FailedBranch(event, event_date, None, error, booking_id) for error in (*invalid, *_unread_rest(listed))
        ]

    async def read(
        self,
        reading: Coroutine[Any, Any, Out],
        event: Event | None,
        event_date: EventDate | None = None,
        venue_id: str | None = None,
        *,
        booking_id: str | None = None,
    ) -> Out | FailedBranch:
        """Return the result of a branch, or its failure.

        Raises an error that affects all calls, with a note that names this branch. Also raises the last of a hundred
        failures in a row.
        """
        try:
            found = await reading
        except Exception as error:
            if isinstance(error, TicketSourceError) and not affects_all_calls(error):
                is_missing = isinstance(error, NotFound) and error.is_from_api  # then the API itself works
                self._failures_in_a_row = 0 if is_missing else self._failures_in_a_row + 1
                if self._failures_in_a_row < _MOST_IN_A_ROW:
                    # The frames of the traceback would keep the rows of the branch in memory.
                    return FailedBranch(event, event_date, venue_id, error.with_traceback(None), booking_id)
                error.add_note(f"This is failure {self._failures_in_a_row} in a row, so the listing ends.")
            ids = " and ".join([*(one.id for one in (event, event_date) if one), *filter(None, [booking_id])])
            error.add_note(f"This was in the branch of {ids}.")
            raise
        self._failures_in_a_row = 0
        return found


class _AllVenues:
    """The venues of all events; each venue is requested by its id at most once."""

    def __init__(self, sender: Sender, branches: _Branches) -> None:
        self._branches = branches
        self._events = Events(sender, "bulk")
        self._venues = Venues(sender, "bulk")
        self._fetched: dict[str, Venue | None] = {}  # None for one that could not be read
        self._lock = asyncio.Lock()

    async def read_list(self, event: Event) -> None:
        """Read the list of an event's venues; if that fails, `get` requests each venue."""
        found = await self._branches.read(self._events.list_venues(event).collect(), event)
        if not isinstance(found, FailedBranch):
            self._fetched.update({venue.id: venue for venue in found})

    async def get(self, event: Event, venue_id: str | None, failures: list[FailedBranch]) -> Venue | None:
        """Return a venue; None without an id, or if it cannot be read.

        The first failure of each venue is added to `failures`.
        """
        if venue_id is None:
            return None
        if venue_id not in self._fetched:  # the list of its event does not have it
            async with self._lock:
                if venue_id not in self._fetched:
                    found = await self._branches.read(self._venues.get(venue_id), event, venue_id=venue_id)
                    if isinstance(found, FailedBranch):
                        failures.append(found)
                    self._fetched[venue_id] = None if isinstance(found, FailedBranch) else found
        return self._fetched[venue_id]


def _in_branches(
    source: AsyncGenerator[In | FailedBranch, None],
    work: Callable[[In], Coroutine[Any, Any, Sequence[Out] | FailedBranch]],
    concurrency: int,
) -> AsyncGenerator[Out | FailedBranch, None]:
    """Yield the rows as `in_order` does; a branch that failed yields its failure instead of rows."""

    async def rows(item: In | FailedBranch) -> Sequence[Out | FailedBranch]:
        found = item if isinstance(item, FailedBranch) else await work(item)
        return [found] if isinstance(found, FailedBranch) else found

    return in_order(source, rows, concurrency)


async def in_order(
    source: AsyncGenerator[In, None], work: Callable[[In], Coroutine[Any, Any, Sequence[Out]]], concurrency: int
) -> AsyncGenerator[Out, None]:
    """Yield the rows that `work` returns for each item, in the order of the items, `concurrency` tasks at a time."""
    branches = TasksAhead[Sequence[Out]](concurrency)
    failure: Exception | None = None
    try:
        async with aclosing(source):
            while failure is None:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001 - it is raised below, after the rows of the items before it
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


async def _yield_rows(
    found: AsyncGenerator[Out | FailedBranch, None], on_branch_error: OnBranchError | None
) -> AsyncGenerator[Out, None]:
    """Yield the rows; pass each failed branch to `on_branch_error`, or raise all of them in one error at the end."""
    failed = FailedBranches()
    try:
        async with aclosing(found):
            async for row in found:
                if not isinstance(row, FailedBranch):
                    yield row
                elif on_branch_error is not None:
                    on_branch_error(row)
                else:
                    failed.add(row)
    except Exception as error:
        if failed.count:
            error.add_note(f"Before that, {failed}")
        raise
    if failed.count:
        raise BranchesFailed(
            f"{failed} Read these again, or pass on_branch_error to get each as it fails.",
            failed.branches,
            failed.count,
        )
