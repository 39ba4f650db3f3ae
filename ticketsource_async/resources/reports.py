"""Make the bulk calls for the reports of a box office. The modules of `reports` make the reports of the answers."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import date, datetime
from functools import partial
from typing import Any, Never, Protocol, TypeVar

from attrs import evolve

from ticketsource_async import listings
from ticketsource_async._mistakes import unknown_option_error
from ticketsource_async.bulk import affects_all_calls, iterate
from ticketsource_async.config import check_whole
from ticketsource_async.errors import NotFound, TicketSourceError
from ticketsource_async.failed_branches import FailedBranch, is_of_row
from ticketsource_async.listings import SeatsOfBooking, Sold, check_plain, in_order
from ticketsource_async.models import Booking, Customer, Event, EventDate, StartFilter, Venue
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import Pager
from ticketsource_async.reports import door_list
from ticketsource_async.reports.donations import BookingDonations, Donations, Period, donations_of
from ticketsource_async.reports.door_list import DoorEntry, DoorList, Fetched
from ticketsource_async.reports.lost import Lost
from ticketsource_async.reports.sales import By, Sales, SalesTally
from ticketsource_async.resources.base import Resource
from ticketsource_async.resources.bookings import Bookings
from ticketsource_async.resources.customers import Customers
from ticketsource_async.resources.events import Dates, Events, Venues
from ticketsource_async.resources.notes import Notes

T = TypeVar("T")
One = TypeVar("One")

OnProgress = Callable[[int, int], object]
"""A function that gets the number of requests made so far, and the number of all requests."""

_Call = Callable[[], Coroutine[Any, Any, Fetched[Any]]]


class Tally(Protocol):
    """An object that gets performances from `ts.reports.read`: a `SalesTally`, or one of your own."""

    def add(self, sold: Sold, /) -> None:
        """Take a performance with the bookings for it."""
        ...

    def add_failed(self, failed: FailedBranch, /) -> None:
        """Take a branch that could not be read. Branches in `sold.failed` are not given to this method."""
        ...


class Reports(Resource):
    """Sales, door lists and donations; read-only. All calls have the priority "bulk" and wait patiently."""

    async def donations(
        self,
        *,
        first: date | None = None,
        last: date | None = None,
        performances_from: date | None = None,
        gift_aid: bool = False,
        concurrency: int = 8,
        on_error: Callable[[FailedBranch | TicketSourceError], None] | None = None,
        on_donors: Callable[[int], None] | None = None,
        **unknown: Never,
    ) -> Donations:
        """Return the donations of the days from `first` to `last`, both included, with their donors.

        The day of a donation is the day of its line's `created_at`, as written; None is no bound. A donation is on the
        booking that it was made with: one made in January may be on a booking for December. So the bookings for all
        dates are read, except dates that start before `performances_from`. With `gift_aid`, only donors whose donations
        `gift_aid.gift_aid_schedule` may put on a schedule are read.

        Without `on_error`, unreadable parts raise `BranchesFailed` after all others are read, and a donor who cannot be
        read raises the error. `on_error` gets each of these errors instead, and the result counts them. A donor who is
        no longer there is no error. An error that concerns all parts ends the call, as in `all_bookings`. `on_donors`
        gets the number of donors before they are read.

        Requests: the pages of GET /events; for each event those of its dates; for each date those of its bookings; GET
        /customers/{id} for each donor.
        """
        if unknown:
            names = ("first", "last", "performances_from", "gift_aid", "concurrency", "on_error", "on_donors")
            raise unknown_option_error("donations", unknown, names)
        check_whole("concurrency", concurrency, error=ValueError)
        check_plain("on_error", on_error, "each part that cannot be read")
        check_plain("on_donors", on_donors, "the number of the donors")
        period = Period(first=first, last=last)
        start = None if performances_from is None else StartFilter(performances_from)
        lost, bookings, repeated = Lost(), dict[str, BookingDonations](), 0

        def note(failed: FailedBranch) -> None:
            lost.add(failed)
            if on_error is not None:
                on_error(failed)

        handler = None if on_error is None else note
        listed = listings.all_bookings(self._sender, start, concurrency, handler)
        async with aclosing(listed):
            async for event, event_date, booking in listed:
                found = donations_of(event, event_date, booking)
                if found is None or not found.concerns(period):
                    continue
                if booking.id in bookings:
                    repeated += 1
                else:
                    bookings[booking.id] = found
        donations = Donations(period=period, bookings=tuple(bookings.values()), repeated=repeated, lost=lost)
        ids = donations.donor_ids(gift_aid=gift_aid)
        if on_donors is not None:
            on_donors(len(ids))
        return await self._with_donors(donations, ids, concurrency, on_error)

    async def _with_donors(
        self,
        donations: Donations,
        ids: list[str],
        concurrency: int,
        on_error: Callable[[FailedBranch | TicketSourceError], None] | None,
    ) -> Donations:
        """Return the donations with these customers. Each customer is requested once."""
        donors: dict[str, Customer] = {}
        unread: dict[str, TicketSourceError] = {}
        gone: list[str] = []
        async with Customers(self._sender, "bulk").get_many(ids, concurrency=concurrency) as bulk:
            async for outcome in bulk:
                error = outcome.error
                if isinstance(error, NotFound) and error.is_from_api:
                    gone.append(outcome.input)
                elif isinstance(error, TicketSourceError) and on_error is not None and not affects_all_calls(error):
                    unread[outcome.input] = error
                    on_error(error)
                else:
                    donors[outcome.input] = outcome.unwrap()
        return evolve(donations, donors=donors, gone=tuple(gone), unread=unread)

    async def sales(
        self,
        *,
        by: By = "date",
        start: StartFilter | None = None,
        events: Iterable[str | Event] | None = None,
        payment_methods: bool = False,
        seats: bool = False,
        concurrency: int = 8,
        **unknown: Never,
    ) -> Sales:
        """Return what was sold, by performance ("date"), "event", "day", "month", or day of sale ("sold-day").

        `start` and `events` choose performances. `payment_methods` splits each row by method of payment. `seats` counts
        the seats by price category, which takes a request for each booking; not with `payment_methods` or "sold-day".
        See `SalesRow` for what the sums include. Money is exact, and a sum that lacks an amount is None.

        Parts that cannot be read are in `sales.failed`, and raise nothing. The total is empty then, unless the part is
        a venue. An error that concerns all parts is raised as in `ts.programme`. `concurrency` lists are read at a
        time. In memory are the bookings of that many performances, the sums of each row and the id of each booking.

        Requests: the pages of GET /events, or GET /events/{id} for each of `events` that is an id; for each event the
        pages of GET /events/{id}/dates and /venues, and GET /venues/{id} for a venue that is not in the list; for each
        date the pages of GET /dates/{id}/bookings; with `seats` for each booking those of GET /bookings/{id}/seats.
        """
        if unknown:
            options = ("by", "start", "events", "payment_methods", "seats", "concurrency")
            raise unknown_option_error("sales", unknown, options)
        tally = SalesTally(by, payment_methods=payment_methods, seats=seats)
        await self.read(tally, start=start, events=events, concurrency=concurrency)
        if seats:
            await self.read_seats(tally, concurrency=concurrency)
        return tally.result()

    async def read(
        self,
        *tallies: Tally,
        start: StartFilter | None = None,
        events: Iterable[str | Event] | None = None,
        concurrency: int = 8,
    ) -> None:
        """Read all performances and their bookings once, and give each to all of these tallies.

        So several reports need only the requests of one. Options, requests and errors are those of `sales`.
        """
        check_whole("concurrency", concurrency, error=ValueError)
        chosen = [events] if isinstance(events, str) else events
        listed = listings.sold_by_date(self._sender, start, concurrency, with_venues=True, of_events=chosen)
        async with aclosing(listed):
            async for found in listed:
                for tally in tallies:
                    if isinstance(found, FailedBranch):
                        tally.add_failed(found)
                    else:
                        tally.add(found)

    async def read_seats(
        self,
        tally: SalesTally,
        *,
        concurrency: int = 8,
        on_booking: Callable[[SeatsOfBooking], object] = lambda _: None,
    ) -> None:
        """Read the seats of all bookings of a tally, and call `on_booking` with the seats of each.

        Seats that cannot be read raise nothing. After a hundred failures in a row no more seats are requested.

        Requests: for each booking the pages of GET /bookings/{id}/seats.
        """
        check_whole("concurrency", concurrency, error=ValueError)
        check_plain("on_booking", on_booking, "the seats of each booking")
        listed = listings.seats_of_bookings(self._sender, tally.booking_ids, concurrency)
        async with aclosing(listed):
            async for found in listed:
                tally.add_seats(found)
                on_booking(found)

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
        """Return the bookings for a date by surname, with customers, seats and, with `notes`, the notes of staff.

        If a part of one booking or a later page of the bookings cannot be read, the list lacks it and has the error:
        see `DoorList.is_complete`. Raises `NotFound` if there is no such date, and any error of the first page of its
        bookings. Raises errors that affect all calls: a refused key, a firewall, the rate limit, no connection, a
        closed client.

        Requests: the date, its event, its venue and the pages of its bookings. Then for each booking its seats, and for
        each customer, once, the customer and the notes. `on_progress` is called before the first of these, and after
        each. `concurrency` of them run at a time.
        """
        if unknown:
            raise unknown_option_error("door_list", unknown, ("seats", "notes", "concurrency", "on_progress"))
        check_whole("concurrency", concurrency, error=ValueError)
        check_plain("on_progress", on_progress, "the requests made and those to make")
        date_id = checked_id(date, EventDate)
        found = Fetched(date) if isinstance(date, EventDate) else await _fetched(Dates(self._sender, "bulk").get(date))
        if any(isinstance(error, NotFound) for error in found.errors):
            raise found.errors[0]
        listed = await _rows(Dates(self._sender, "bulk").list_bookings, date_id)
        if listed.value is None:
            raise listed.errors[-1]
        bookings = list({booking.id: booking for booking in listed.value}.values())
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
            errors=(*listed.errors, *found.errors, *event.errors, *venue.errors),
            missing_bookings=sum(map(is_of_row, listed.errors)),
            ended=listed.ended,
            has_seats=seats,
            has_notes=notes,
            read_at=datetime.now().astimezone(),
        )

    async def _of_date(self, date: EventDate | None) -> tuple[Fetched[Event], Fetched[Venue]]:
        """Return the event and the venue of a date, if it names them."""
        event, venue = Fetched[Event](None), Fetched[Venue](None)
        if date is not None and date.event_id is not None:
            event = await _fetched(Events(self._sender, "bulk").get(date.event_id))
        if date is not None and date.venue_id is not None:
            venue = await _fetched(Venues(self._sender, "bulk").get(date.venue_id))
        return event, venue

    def _calls(self, bookings: Iterable[Booking], *, seats: bool, notes: bool) -> Iterable[tuple[str, _Call]]:
        """Yield the name and the function of each call that the bookings need. One for a customer may come twice."""
        people, of_people = Customers(self._sender, "bulk"), Notes(self._sender, "bulk")
        sold = Bookings(self._sender, "bulk")
        for booking in bookings:
            if (customer := booking.customer_id) is not None:
                yield f"customer {customer}", partial(_one, people.get, customer)
                if notes:
                    yield f"notes {customer}", partial(_rows, of_people.list, customer)
            if seats:
                yield f"seats {booking.id}", partial(_rows, sold.list_seats, booking.id)


async def _fetched(reading: Coroutine[Any, Any, One]) -> Fetched[One]:
    """Return the result of a call; raise an error that affects all calls."""
    try:
        return Fetched(await reading)
    except TicketSourceError as error:
        if affects_all_calls(error):
            raise
        return Fetched(None, (error.with_traceback(None),))  # the traceback would keep the answers in memory


async def _one(get: Callable[[str], Coroutine[Any, Any, One]], record_id: str) -> Fetched[One]:
    return await _fetched(get(record_id))


async def _rows(list_all: Callable[..., Pager[T]], record_id: str) -> Fetched[Sequence[T]]:
    """Return the rows of a list, and the errors of rows that could not be read; no rows if its first page fails.

    If a later page fails, the rows before it are returned. Raises an error that affects all calls.
    """
    errors: list[TicketSourceError] = []
    rows: list[T] = []
    number = 0
    try:
        pager = list_all(record_id, on_invalid=errors.append)  # raises for an id that cannot be one
        async with aclosing(pager.pages()) as pages:
            async for page in pages:
                rows += page.items
                number = page.number
    except TicketSourceError as error:
        if affects_all_calls(error):
            raise
        errors.append(error.with_traceback(None))
        if not number:
            return Fetched(None, tuple(errors))
        return Fetched(tuple(rows), tuple(errors), f"page {number + 1} could not be read")
    return Fetched(tuple(rows), tuple(errors), pager.report.ended)


async def _all(calls: Mapping[str, _Call], concurrency: int, on_progress: OnProgress) -> dict[str, Fetched[Any]]:
    """Make the calls, `concurrency` at a time, and return the result of each."""
    answers: dict[str, Fetched[Any]] = {}
    on_progress(0, len(calls))

    async def make(call: tuple[str, _Call]) -> list[tuple[str, Fetched[Any]]]:
        return [(call[0], await call[1]())]

    async with aclosing(in_order(iterate(calls.items()), make, concurrency)) as made:
        async for name, fetched in made:
            answers[name] = fetched
            on_progress(len(answers), len(calls))
    return answers
