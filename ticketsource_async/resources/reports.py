"""The reports of a box office: many calls, made over the limiter as bulk, and what `reports` makes of the answers."""

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any, Never, TypeVar

from ticketsource_async._mistakes import no_such_option
from ticketsource_async.config import check_whole
from ticketsource_async.errors import InvalidResponse, NotFound, TicketSourceError
from ticketsource_async.listings import in_order, is_of_one_branch
from ticketsource_async.models import Booking, Event, EventDate, Venue
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import Pager
from ticketsource_async.reports import door_list
from ticketsource_async.reports.door_list import DoorEntry, DoorList, Fetched
from ticketsource_async.resources.base import Resource
from ticketsource_async.resources.bookings import Bookings
from ticketsource_async.resources.customers import Customers
from ticketsource_async.resources.events import Dates, Events, Venues
from ticketsource_async.resources.notes import Notes

T = TypeVar("T")
One = TypeVar("One")

OnProgress = Callable[[int, int], object]
"""What is called with the requests made so far, and with those to make in all."""

_Call = Callable[[], Coroutine[Any, Any, Fetched[Any]]]


class Reports(Resource):
    """Sales, door lists and donations; read-only. All calls are bulk, and patient."""

    async def door_list(
        self,
        date: str | EventDate,
        /,
        *,
        seats: bool = True,
        notes: bool = False,
        concurrency: int = 8,
        on_progress: OnProgress | None = None,
        **unknown: Never,
    ) -> DoorList:
        """Return who has booked for a date, by surname, with customers, seats and, if asked for, notes of staff.

        What cannot be read of one booking is lacking there, and its errors are in the list: see
        `DoorList.is_complete`. Raises `NotFound` if there is no such date, any error of the list of bookings, and what
        concerns all calls: a refused key, a wall, the rate limit, no connection, a closed client.

        Requests: the date, its event, its venue and the pages of its bookings. Then for each booking its seats, and for
        each customer, once, the customer and the notes. `on_progress` is called before the first of these, and after
        each; `concurrency` are on their way at a time.
        """
        if unknown:
            raise no_such_option("door_list", unknown, ("seats", "notes", "concurrency", "on_progress"))
        check_whole("concurrency", concurrency, error=ValueError)
        if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
            raise ValueError("on_progress must be a plain function, called with the requests made and those to make")
        date_id = checked_id(date, EventDate)
        found = Fetched(date) if isinstance(date, EventDate) else await _fetched(Dates(self._sender, "bulk").get(date))
        if any(isinstance(error, NotFound) for error in found.errors):
            raise found.errors[0]
        odd: list[InvalidResponse] = []
        pager = Dates(self._sender, "bulk").list_bookings(date_id, on_invalid=odd.append)
        bookings = list({booking.id: booking for booking in await pager.collect()}.values())
        event, venue = await self._of_date(found.value)
        calls = dict(self._calls(bookings, seats=seats, notes=notes))
        answers = await _all(calls, concurrency, on_progress or (lambda _done, _total: None))
        return DoorList(
            date_id,
            found.value,
            event.value,
            venue.value,
            door_list.in_order(
                DoorEntry(
                    booking,
                    answers.get(f"customer {booking.customer_id}"),
                    answers.get(f"seats {booking.id}"),
                    answers.get(f"notes {booking.customer_id}"),
                )
                for booking in bookings
            ),
            errors=(*odd, *found.errors, *event.errors, *venue.errors),
            missing_bookings=len(odd),
            ended=pager.report.ended,
            has_seats=seats,
            has_notes=notes,
            read_at=datetime.now().astimezone(),
        )

    async def _of_date(self, date: EventDate | None) -> tuple[Fetched[Event], Fetched[Venue]]:
        """Return the event and the venue of a date, as far as it names them."""
        event, venue = Fetched[Event](None), Fetched[Venue](None)
        if date is not None and date.event_id is not None:
            event = await _fetched(Events(self._sender, "bulk").get(date.event_id))
        if date is not None and date.venue_id is not None:
            venue = await _fetched(Venues(self._sender, "bulk").get(date.venue_id))
        return event, venue

    def _calls(self, bookings: Iterable[Booking], *, seats: bool, notes: bool) -> Iterable[tuple[str, _Call]]:
        """Yield a name for each call that the bookings need, and what makes it; a customer comes again with each."""
        people, of_people = Customers(self._sender, "bulk"), Notes(self._sender, "bulk")
        sold = Bookings(self._sender, "bulk")
        for booking in bookings:
            if (customer := booking.customer_id) is not None:
                yield f"customer {customer}", partial(_one, people.get, customer)
                if notes:
                    yield f"notes {customer}", partial(_whole, of_people.list, customer)
            if seats:
                yield f"seats {booking.id}", partial(_whole, sold.list_seats, booking.id)


async def _fetched(reading: Coroutine[Any, Any, One]) -> Fetched[One]:
    """Return what came of a call; raise what concerns all calls."""
    try:
        return Fetched(await reading)
    except TicketSourceError as error:
        if not is_of_one_branch(error):
            raise
        return Fetched(None, (error.with_traceback(None),))  # its frames hold what was read


async def _one(get: Callable[[str], Coroutine[Any, Any, One]], record_id: str) -> Fetched[One]:
    return await _fetched(get(record_id))


async def _whole(list_all: Callable[..., Pager[T]], record_id: str) -> Fetched[Sequence[T]]:
    """Return what came of a list: its rows, and the errors of those that could not be read."""
    odd: list[InvalidResponse] = []
    ended: str | None = None

    async def rows() -> Sequence[T]:
        nonlocal ended
        pager = list_all(record_id, on_invalid=odd.append)
        found = tuple(await pager.collect())
        ended = pager.report.ended
        return found

    fetched = await _fetched(rows())
    return Fetched(fetched.value, (*odd, *fetched.errors), ended)


async def _all(calls: Mapping[str, _Call], concurrency: int, on_progress: OnProgress) -> dict[str, Fetched[Any]]:
    """Make the calls, so many at a time, and return what came of each."""
    answers: dict[str, Fetched[Any]] = {}
    on_progress(0, len(calls))

    async def each() -> AsyncGenerator[tuple[str, _Call], None]:
        for call in calls.items():
            yield call

    async def make(call: tuple[str, _Call]) -> list[tuple[str, Fetched[Any]]]:
        return [(call[0], await call[1]())]

    async with aclosing(in_order(each(), make, concurrency)) as made:
        async for name, fetched in made:
            answers[name] = fetched
            on_progress(len(answers), len(calls))
    return answers
