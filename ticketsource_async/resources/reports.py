"""The reports of a box office: many calls, made over the limiter as bulk, and what `reports` makes of the answers."""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import date
from typing import Never, Protocol

from attrs import evolve

from ticketsource_async import listings
from ticketsource_async._mistakes import no_such_option
from ticketsource_async.bulk import concerns_all
from ticketsource_async.config import check_whole
from ticketsource_async.errors import NotFound, TicketSourceError
from ticketsource_async.listings import FailedBranch, SeatsOfBooking, Sold
from ticketsource_async.models import Customer, Event, StartFilter
from ticketsource_async.reports.donations import BookingDonations, Donations, Period, donations_of
from ticketsource_async.reports.lost import Lost
from ticketsource_async.reports.sales import By, Sales, SalesTally
from ticketsource_async.resources.base import Resource
from ticketsource_async.resources.customers import Customers


class Tally(Protocol):
    """What `ts.reports.read` gives performances to: a `SalesTally`, or one of your own."""

    def add(self, sold: Sold, /) -> None:
        """Take a performance with the bookings for it."""
        ...

    def add_failed(self, failed: FailedBranch, /) -> None:
        """Take a branch that could not be read; those in `sold.failed` do not come here."""
        ...


class Reports(Resource):
    """Sales, door lists and donations; read-only. All calls are bulk, and patient."""

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
        """Return the donations of the days from `first` to `last`, both in, with their donors.

        The day of a donation is that of its line's `created_at`, as written; None is no bound. A donation is on the
        booking that it was made with, so one made in January may be on a booking for December: the bookings for all
        dates are read, without those that start before `performances_from`. With `gift_aid` only the donors are read
        whose donations `gift_aid.gift_aid_schedule` may put on a schedule.

        Without `on_error`, parts that cannot be read raise `BranchesFailed` when all others have been read, and a donor
        who cannot be read raises the error. With it, it is called with each, and the result tells of them. A donor who
        is no longer there is no error. What concerns all parts ends the call, as in `all_bookings`. `on_donors` is
        called with the number of the donors before they are read.

        Requests: the pages of GET /events; for each event those of its dates; for each date those of its bookings;
        GET /customers/{id} for each donor.
        """
        if unknown:
            names = ("first", "last", "performances_from", "gift_aid", "concurrency", "on_error", "on_donors")
            raise no_such_option("donations", unknown, names)
        check_whole("concurrency", concurrency, error=ValueError)
        period = Period(first=first, last=last)
        start = None if performances_from is None else StartFilter(performances_from)
        lost, bookings = Lost(), list[BookingDonations]()

        def note(failed: FailedBranch) -> None:
            lost.add(failed)
            if on_error is not None:
                on_error(failed)

        handler = None if on_error is None else note
        listed = listings.all_bookings(self._sender, start, concurrency, handler)
        async with aclosing(listed):
            async for event, event_date, booking in listed:
                found = donations_of(event, event_date, booking)
                if found is not None and found.concerns(period):
                    bookings.append(found)
        donations = Donations(period=period, bookings=tuple(bookings), lost=lost)
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
        """Return the donations with these customers, each of whom is asked for once."""
        donors: dict[str, Customer] = {}
        unread: dict[str, TicketSourceError] = {}
        gone: list[str] = []
        async with Customers(self._sender, "bulk").get_many(ids, concurrency=concurrency) as bulk:
            async for outcome in bulk:
                error = outcome.error
                if isinstance(error, NotFound) and error.is_from_api:
                    gone.append(outcome.input)
                elif isinstance(error, TicketSourceError) and on_error is not None and not concerns_all(error):
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

        `start` and `events` choose performances. `payment_methods` splits each row by how was paid. `seats` counts the
        seats by price category, which takes a request for each booking; not with `payment_methods` or "sold-day". See
        `SalesRow` for what the sums include. Money is exact, and a sum that lacks an amount is None.

        What cannot be read is in `sales.failed`, and then the total is empty: nothing is raised for it. What concerns
        all of them is raised as in `ts.programme`. `concurrency` lists are read at a time, and the bookings of as many
        performances are in memory, besides the sums of each row and the id of each booking.

        Requests: the pages of GET /events, or GET /events/{id} for each of `events` that is an id; for each event the
        pages of GET /events/{id}/dates and /venues, and GET /venues/{id} for a venue that is not there; for each date
        the pages of GET /dates/{id}/bookings; with `seats` for each booking those of GET /bookings/{id}/seats.
        """
        if unknown:
            options = ("by", "start", "events", "payment_methods", "seats", "concurrency")
            raise no_such_option("sales", unknown, options)
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
        """Read all performances and the bookings for them once, and give each to these tallies in turn.

        So several reports take the requests of one. Options, requests and errors are those of `sales`.
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
        """Read the seats of all bookings of a tally, and call `on_booking` with those of each.

        Requests: for each booking the pages of GET /bookings/{id}/seats.
        """
        check_whole("concurrency", concurrency, error=ValueError)
        listed = listings.seats_of_bookings(self._sender, tally.booking_ids, concurrency)
        async with aclosing(listed):
            async for found in listed:
                tally.add_seats(found)
                on_booking(found)
