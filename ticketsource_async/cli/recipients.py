"""Choose the customers to export: those with a consent, those who can be reached, and those with a booking."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from ticketsource_async._words import counted
from ticketsource_async.cli.common import LeftOut, checked_ids, first_few, progress, say
from ticketsource_async.cli.options import IDS, about_ids
from ticketsource_async.errors import NotFound, StoreError, TicketSourceError

if TYPE_CHECKING:
    from ticketsource_async import Booking, Customer, Event, EventDate, Outcome, Pager, TicketSource

    Bookings = AsyncGenerator[tuple[Event, EventDate, Booking], None]
    BookingsWithCustomer = AsyncGenerator[tuple[Event, EventDate, Booking, Customer | None], None]

T = TypeVar("T")

_AT_A_TIME: Final = 8


def _has_email(customer: "Customer") -> bool:
    return re.fullmatch(r"[^@\s]+@[^@\s]+", (customer.email or "").strip()) is not None


def _has_post_address(customer: "Customer") -> bool:
    address = customer.address
    if address is None or not (address.postcode or "").strip():
        return False
    return any((line or "").strip() for line in (address.line_1, address.line_2, address.line_3, address.line_4))


def _has_telephone(customer: "Customer") -> bool:
    return re.search("[1-9]", customer.telephone or "") is not None  # many box offices write 0 if there is none


_REQUIRED: Final[Mapping[str, tuple[str, Callable[["Customer"], bool]]]] = {
    "email": ("e-mail address", _has_email),
    "post-address": ("post address", _has_post_address),
    "telephone": ("telephone number", _has_telephone),
}
_NEEDED_FIELD: Final = {"email": "email", "post": "post-address", "sms": "telephone"}
"""The field that each way of contact needs."""


def recipient_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add --consent and --require, the options of `Recipients`."""
    require = click.option(
        "--require",
        type=click.Choice(tuple(_REQUIRED)),
        multiple=True,
        help="Only customers with an e-mail address (it has an @), a post address (it has a line and a postcode) or a "
        "telephone number (it has a digit other than 0). Give the option more than once for customers who have "
        "all of these.",
    )
    consent = click.option(
        "--consent",
        type=click.Choice(tuple(_NEEDED_FIELD)),
        multiple=True,
        help="Only customers who agree to contact by e-mail, by post or by text message (sms). Give the option more "
        "than once for customers who agree to all of these. Use the file for one mailing. Do not add it to an older "
        "mailing list: that list keeps customers who have withdrawn their consent since then.",
    )
    return consent(require(function))


class Recipients:
    """A filter for customers that counts those who are left out or cannot be reached."""

    def __init__(self, consent: Collection[str], require: Collection[str]) -> None:
        self.is_everybody = not consent and not require
        self._consent = tuple(dict.fromkeys(consent))
        self._require = tuple(dict.fromkeys(require))
        self._taken = 0
        self._no_consent = 0
        self._lacking: Counter[str] = Counter()
        self._unreachable: Counter[str] = Counter()

    def take(self, customer: "Customer") -> bool:
        """Say whether a customer passes the filter, and count them."""
        if self.is_everybody:
            return True
        if not all(getattr(customer.consent, way, None) is True for way in self._consent):
            self._no_consent += 1
            return False
        lacking = [name for name, (_, has) in _REQUIRED.items() if not has(customer)]
        if missing := [name for name in self._require if name in lacking]:
            self._lacking[missing[0]] += 1
            return False
        self._taken += 1
        self._unreachable.update(way for way in self._consent if _NEEDED_FIELD[way] in lacking)
        return True

    def report_left_out(self) -> None:
        """Print how many were left out, and how many consent to a way of contact but have no address for it."""
        if self._consent:
            say(f"{self._no_consent:,} left out: no consent to {' and '.join(self._consent)}.")
        for name in self._require:
            say(f"{self._lacking[name]:,} left out: no {_REQUIRED[name][0]}.")
        for way, count in self._unreachable.items():
            name = _NEEDED_FIELD[way]
            say(
                f"{count:,} of {self._taken:,} with consent to {way} {'has' if count == 1 else 'have'} no "
                f"{_REQUIRED[name][0]}: --require {name} leaves them out."
            )


async def who_booked(
    ts: "TicketSource",
    events: Iterable[str],
    dates: Iterable[str],
    left_out: LeftOut,
    *,
    limit: int | None,
    quiet: bool,
) -> AsyncGenerator["Customer", None]:
    """Yield the customers of the bookings for these events and dates, each once, in the order of their first booking.

    It first prints how many requests it makes. A `limit` may save some of them. An event or a date that cannot be read
    is left out.
    """
    with checked_ids("--event", explained=about_ids(IDS["events"])):
        lists = [ts.events.list_dates(event, on_invalid=left_out) for event in dict.fromkeys(events)]
    with checked_ids("--date", explained=about_ids(IDS["dates"])):
        to_read = {date: ts.dates.list_bookings(date, on_invalid=left_out) for date in dates}
    async with aclosing(_rows_of(lists, left_out)) as found:
        to_read |= {date.id: ts.dates.list_bookings(date, on_invalid=left_out) async for date in found}
    if to_read and not quiet:
        say(f"Reading the bookings for {counted(len(to_read), 'date')}: at least {requests_taken(len(to_read))}.")
    ids: dict[str, None] = {}
    nobody = 0
    async with aclosing(_rows_of(to_read.values(), left_out)) as booked:
        async for booking in booked:
            if booking.customer_id:
                ids[booking.customer_id] = None
            else:
                nobody += 1
    if nobody:
        say(f"{counted(nobody, 'booking')} {'names' if nobody == 1 else 'name'} no customer.")
    elif not ids and not left_out.count and not quiet:
        say("Nobody has booked.")
    async with aclosing(customers_with(ts, ids, left_out, limit=limit, quiet=quiet)) as customers:
        async for customer in customers:
            yield customer


async def _rows_of(lists: "Iterable[Pager[T]]", left_out: LeftOut) -> AsyncGenerator[T, None]:
    """Yield the rows of these lists in order. Leave out a list with an error that concerns only this list."""
    from ticketsource_async.bulk import affects_all_calls  # noqa: PLC0415 - help can do without
    from ticketsource_async.listings import in_order  # noqa: PLC0415

    async def each() -> "AsyncGenerator[Pager[T], None]":
        for listed in lists:
            yield listed

    async def read(listed: "Pager[T]") -> list[T]:
        try:
            return await listed.collect()
        except TicketSourceError as error:
            if affects_all_calls(error):
                raise
            left_out(error)
            return []

    async with aclosing(in_order(each(), read, _AT_A_TIME)) as rows:
        async for row in rows:
            yield row


async def customers_with(
    ts: "TicketSource", ids: Collection[str], left_out: LeftOut, *, limit: int | None = None, quiet: bool
) -> AsyncGenerator["Customer", None]:
    """Print how many requests it takes, then yield the customers with these ids in their order.

    Customers whom TicketSource does not have any more are counted and named: they were deleted, merged or purged.
    """
    from ticketsource_async.bulk import affects_all_calls  # noqa: PLC0415 - as above

    if ids and not quiet:
        until, at_most = ("", "") if limit is None else (f", until {limit:,} are found", "at most ")
        say(f"Reading the {counted(len(ids), 'customer')} who booked{until}: {at_most}{requests_taken(len(ids))}.")
    gone: list[str] = []
    waiting: dict[int, Outcome[str, Customer]] = {}
    at = 0
    async with ts.customers.get_many(ids, concurrency=_AT_A_TIME) as bulk:
        async for outcome in bulk:
            waiting[outcome.index] = outcome
            while (ready := waiting.pop(at, None)) is not None:
                at += 1
                if isinstance(ready.error, NotFound) and ready.error.is_from_api:
                    gone.append(ready.input)
                elif isinstance(ready.error, TicketSourceError) and not affects_all_calls(ready.error):
                    left_out(ready.error)
                else:
                    yield ready.unwrap()
    if gone:
        whose = f"{counted(len(gone), 'customer')} of these bookings"
        say(f"{whose} can no longer be found in TicketSource: {first_few(gone)}")


async def with_requested_customers(
    ts: "TicketSource", bookings: "Bookings", left_out: LeftOut, *, output: Path, quiet: bool
) -> "BookingsWithCustomer":
    """Read all bookings, request each customer once, then yield each booking with its customer."""
    rows = [row async for row in bookings]
    ids = dict.fromkeys(booking.customer_id for _, _, booking in rows if booking.customer_id)
    customers: dict[str, Customer] = {}
    async with aclosing(customers_with(ts, ids, left_out, quiet=quiet)) as found:
        with progress("customers", quiet=quiet, rows_to=output, total=len(ids)) as shown:
            async for customer in found:
                customers[customer.id] = customer
                shown.update()
    for event, date, booking in rows:
        yield event, date, booking, customers.get(booking.customer_id or "")


async def with_stored_customers(
    ts: "TicketSource", bookings: "Bookings", store: Path, left_out: LeftOut
) -> "BookingsWithCustomer":
    """Yield each booking with its customer from a store, and print at the end which customers the store does not have.

    Raises `StoreError` before the first request if the store is of another box office.
    """
    from ticketsource_async import CustomerStore  # noqa: PLC0415 - help can do without

    missing: dict[str, None] = {}
    damaged: set[str] = set()
    async with CustomerStore(store, read_only=True) as in_store:
        await ts.customers.check_store(in_store)  # another box office may have the same ids
        async for event, date, booking in bookings:
            customer, customer_id = None, booking.customer_id
            if customer_id and customer_id not in damaged and customer_id not in missing:
                try:
                    if (customer := await in_store.get(customer_id)) is None:
                        missing[customer_id] = None
                except StoreError as error:
                    if not error.id:
                        raise
                    left_out(error)
                    damaged.add(customer_id)
            yield event, date, booking, customer
    if missing:
        say(
            f"{counted(len(missing), 'customer')} of these bookings cannot be found in {store}, so their cells are "
            f"empty: {first_few(missing)}. If they are new, run `customers changes` first: it adds them to the store."
        )


def requests_taken(number: int) -> str:
    """Return a text with the number of requests, and the time if they are more than the rate limit of a minute."""
    from ticketsource_async import RateLimit  # noqa: PLC0415 - help can do without

    minutes = (number - 1) // RateLimit().limit
    return counted(number, "request") + (f", which take {counted(minutes, 'minute')} or more" if minutes > 0 else "")
