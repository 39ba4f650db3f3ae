"""The reports of a box office: many calls, made over the limiter as bulk, and what `reports` makes of the answers."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import date
from typing import Never

from attrs import evolve

from ticketsource_async import listings
from ticketsource_async._mistakes import no_such_option
from ticketsource_async.config import check_whole
from ticketsource_async.errors import OF_ONE_RECORD, NotFound, TicketSourceError
from ticketsource_async.listings import FailedBranch
from ticketsource_async.models import Customer, StartFilter
from ticketsource_async.reports.donations import BookingDonations, Donations, Period, donations_of
from ticketsource_async.reports.missing import Missing
from ticketsource_async.resources.base import Resource
from ticketsource_async.resources.customers import Customers


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
        missing, bookings = Missing(), list[BookingDonations]()

        def note(failed: FailedBranch) -> None:
            missing.add(failed)
            if on_error is not None:
                on_error(failed)

        handler = None if on_error is None else note
        listed = listings.all_bookings(self._sender, start, concurrency, handler)
        async with aclosing(listed):
            async for event, event_date, booking in listed:
                found = donations_of(event, event_date, booking)
                if found is not None and found.concerns(period):
                    bookings.append(found)
        donations = Donations(period=period, bookings=tuple(bookings), missing=missing)
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
                elif isinstance(error, OF_ONE_RECORD) and on_error is not None:
                    unread[outcome.input] = error
                    on_error(error)
                else:
                    donors[outcome.input] = outcome.unwrap()
        return evolve(donations, donors=donors, gone=tuple(gone), unread=unread)
