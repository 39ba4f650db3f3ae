"""The reports of a box office: many calls, made over the limiter as bulk, and what `reports` makes of the answers."""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Never, Protocol

from ticketsource_async import listings
from ticketsource_async._mistakes import no_such_option
from ticketsource_async.config import check_whole
from ticketsource_async.listings import FailedBranch, SeatsOfBooking, Sold
from ticketsource_async.models import Event, StartFilter
from ticketsource_async.reports.sales import By, Sales, SalesTally
from ticketsource_async.resources.base import Resource


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
