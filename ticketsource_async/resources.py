"""The operations of the API, in small groups named after the first segment of their path.

A method here says which path, which draft and which model; everything else happens below. What every call can raise is
in `errors.py`. The vendor's pages: https://www.ticketsource.io/working-with-customers and the OpenAPI file linked from
there.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast

from yarl import URL

from ticketsource_async._wire import drafts, protocol
from ticketsource_async._wire.sender import Sender
from ticketsource_async.bulk import Bulk
from ticketsource_async.changes import Change, changes
from ticketsource_async.models import (
    Booking,
    Customer,
    CustomerDraft,
    Event,
    EventDate,
    Note,
    NoteDraft,
    Seat,
    StartFilter,
    Venue,
)
from ticketsource_async.models.base import WholeRecord
from ticketsource_async.models.customers import check_unreadable
from ticketsource_async.pagination import OnInvalid, Pager
from ticketsource_async.ratelimit import Priority

if TYPE_CHECKING:
    from ticketsource_async.customer_store import CustomerStore


T = TypeVar("T", bound=WholeRecord)
CustomerT = TypeVar("CustomerT", bound="str | Customer")
_Update = tuple[str | Customer, CustomerDraft]
In = TypeVar("In")
Out = TypeVar("Out")


class ListOptions(TypedDict, total=False):
    """Options of every list."""

    per_page: int
    """Rows a page, 1 to 100; the default of 100 makes the fewest requests."""
    start_page: int
    """Page to begin with, from 1."""
    max_items: int | None
    """Rows to read at most, dropped ones included; None reads all. No page is asked for beyond what that takes."""
    concurrency: int
    """Pages to ask for at a time, default 1; the items come in order all the same, and so many pages are in memory.

    Of these, one less than the client's `max_connections` are on the wire. Leave the loop with `contextlib.aclosing` if
    you leave it early, since the pages asked for go on until then.
    """
    verify: bool
    """Whether to read the list again, from its end to its front and so on, until a pass finds nothing new.

    Then nobody who is there throughout is missed and nobody comes twice, whatever is deleted while you read, and
    whatever is added at the end. If rows are inserted further up as well, that cannot be promised. It takes at least
    twice the requests, those from the end to the front one at a time, and keeps all ids in memory, about 100 bytes
    each. Not with `max_items` or `start_page`.
    """
    max_passes: int
    """Passes of `verify` at most, 2 or more; default 4. `pager.report.complete` says if that was enough."""
    on_invalid: OnInvalid
    """What to do with a row that is not what the API promises; the default is to raise."""


class BulkOptions(TypedDict, total=False):
    """Options of every bulk call."""

    concurrency: int
    """Calls to make at a time, default 8; so many inputs and outcomes are in memory.

    Of these, one less than the client's `max_connections` are on the wire.
    """
    fail_fast: bool
    """Whether the first error ends it: no further call begins, and what became of writes in flight still comes."""


class _Group:
    def __init__(self, sender: Sender, priority: Priority = "interactive") -> None:
        self._sender = sender
        self._priority: Priority = priority

    def _url(self, *segments: str) -> URL:
        return self._sender.access.base_url.joinpath(*segments)

    def _list(self, url: URL, model: type[T], options: ListOptions) -> Pager[T]:
        return Pager(self._sender, url, model, **options)

    def _list_dates(self, url: URL, start: StartFilter | None, options: ListOptions) -> Pager[EventDate]:
        if start is None:
            return self._list(url, EventDate, options)
        return Pager(self._sender, url, EventDate, query=start.query(), keeps=start.keeps, **options)

    def _bulk(
        self,
        inputs: Iterable[In] | AsyncIterable[In],
        call: Callable[[In], Coroutine[Any, Any, Out]],
        options: BulkOptions,
        in_turn: Callable[[In], object] | None = None,
    ) -> Bulk[In, Out]:
        return Bulk(self._sender, inputs, call, in_turn=in_turn, **options)

    async def _get(self, url: URL, model: type[T]) -> T:
        return self._record(await self._send("GET", url), model, url.name)

    async def _send(self, method: str, url: URL, body: bytes | None = None) -> protocol.Envelope:
        return await self._sender.send(protocol.build(self._sender.access, method, url, body), self._priority)

    def _record(self, envelope: protocol.Envelope, model: type[T], asked_for: str | None = None) -> T:
        record = envelope.record(model)
        if asked_for is not None and record.id != asked_for:
            what = f"the record asked for was {asked_for}"
            raise envelope.invalid(what, "$.data.id", resource=record.API_TYPE, record_id=record.id)
        if record.invalid:
            self._sender.note_invalid(record.API_TYPE, record.invalid)
        return record


def _body(
    draft: CustomerDraft | NoteDraft, kind: type[CustomerDraft | NoteDraft], record_id: str | None = None
) -> bytes:
    if not isinstance(draft, kind):
        raise TypeError(f"what is sent here is a {kind.__name__}, not a {type(draft).__name__}")
    if not draft:
        raise ValueError(f"this {type(draft).__name__} has nothing set, so there is nothing to send")
    return drafts.body(draft, record_id)


def _id_in(change: object) -> str | None:
    """Return whom a change is for, None if it is no change at all."""
    customer = change[0] if isinstance(change, tuple | list) and change else None
    customer_id = getattr(customer, "id", customer)
    return customer_id if isinstance(customer_id, str) else None


def _customer_id(customer: str | Customer) -> str:
    return protocol.checked_id(customer, Customer.ID_PREFIX)


class Customers(_Group):
    """The people a box office knows."""

    def list(self, **options: Unpack[ListOptions]) -> Pager[Customer]:
        """Return all customers, in an order that the API does not tell.

        GET /customers
        """
        return self._list(self._url("customers"), Customer, options)

    async def get(self, customer: str | Customer, /) -> Customer:
        """Return one customer.

        GET /customers/{id}. Raises `NotFound`; ValueError for something that cannot be an id, before any request.
        """
        return await self._get(self._url("customers", _customer_id(customer)), Customer)

    async def create(self, draft: CustomerDraft, /) -> Customer:
        """Create a customer and return the record as the API keeps it.

        POST /customers. Never sent twice: raises `OutcomeUnknown` if the answer got lost; then look for the customer
        before you try again. Raises `ValidationFailed`; ValueError for a draft with nothing set.
        """
        return self._record(await self._send("POST", self._url("customers"), _body(draft, CustomerDraft)), Customer)

    async def update(self, customer: str | Customer, /, draft: CustomerDraft) -> Customer:
        """Change what is set in the draft, nothing else, and return the record as it is now.

        PATCH /customers/{id}. Tried again like a read: to set the same values again changes nothing, unless somebody
        else has set others in between. Raises `NotFound`, `ValidationFailed`, `OutcomeUnknown`; ValueError for a draft
        with nothing set; `UnreadableValue` if `customer` is a record and a part in the draft would destroy a value of
        it that could not be read.
        """
        customer_id = _customer_id(customer)
        body = _body(draft, CustomerDraft, customer_id)
        if isinstance(customer, Customer):
            check_unreadable(customer, draft)
        return self._record(await self._send("PATCH", self._url("customers", customer_id), body), Customer, customer_id)

    async def save(self, before: Customer, after: Customer, /) -> Customer:
        """Send what differs, nothing else, and return the record as it is now; nothing is sent if nothing differs.

        An address, membership or consent in which anything differs goes whole, so that what somebody else has changed
        in it since `before` was read is undone: read it just before. See `CustomerDraft.diff`.

        PATCH /customers/{id}. Raises what `update` does; ValueError if these are two customers.
        """
        if before.id != after.id:
            raise ValueError(f"these are two customers: {before.id} and {after.id}")
        draft = CustomerDraft.diff(before, after)
        return await self.update(before.id, draft) if draft else before

    def changes(
        self, store: "CustomerStore", /, *, remember: bool = True, on_invalid: OnInvalid = "raise"
    ) -> AsyncGenerator[Change, None]:
        """Return what changed since the store was told last: `Created`, `Updated` and `Deleted`.

        A change is remembered when the loop is asked for the next one: whatever ends the loop before that makes it come
        again, and if it was taken back meanwhile that comes, since you may have dealt with it. With `remember=False` it
        is remembered when you call `store.remember(change)`, or `store.remember_all()`, so that many may be dealt with
        at once, or deletions and withdrawals of a consent (`change.consent_changed`) before all else. Whom the list
        does not show is asked for by id, and `Deleted` only on the API's own 404. If that fails for somebody, the
        others are told first. Leave the loop with `contextlib.aclosing` if you leave it early.

        Requests: the pages of GET /customers; GET /customers/{id} for each who is remembered and was not in them.
        Raises `StoreError` if the store is of another box office.
        """
        return changes(self, self._sender.access, store, remember=remember, on_invalid=on_invalid)

    async def delete(self, customer: str | Customer, /) -> None:
        """Delete a customer, for good; what becomes of their bookings is not documented.

        DELETE /customers/{id}. Tried again like a read; a 404 after an attempt whose answer got lost means deleted.
        Raises `NotFound`, `OutcomeUnknown`.
        """
        await self._send("DELETE", self._url("customers", _customer_id(customer)))

    def get_many(
        self, customers: Iterable[CustomerT] | AsyncIterable[CustomerT], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerT, Customer]:
        """Return these customers as they come; see `Bulk`.

        GET /customers/{id} for each
        """
        return self._bulk(customers, Customers(self._sender, "bulk").get, options)

    def create_many(
        self, drafts: Iterable[CustomerDraft] | AsyncIterable[CustomerDraft], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerDraft, Customer]:
        """Create a customer for each draft; see `Bulk`, and `create` for what each can end in.

        POST /customers for each
        """
        return self._bulk(drafts, Customers(self._sender, "bulk").create, options)

    def update_many(
        self,
        updates: Mapping[str, CustomerDraft] | Iterable[_Update] | AsyncIterable[_Update],
        /,
        **options: Unpack[BulkOptions],
    ) -> Bulk[_Update, Customer]:
        """Change customers: `{id: draft}`, or pairs of customer and draft; see `Bulk`.

        Drafts for the same customer are sent one after another, in their order.

        PATCH /customers/{id} for each
        """
        one = Customers(self._sender, "bulk")

        async def update(change: _Update) -> Customer:
            customer, draft = change
            return await one.update(customer, draft=draft)

        pairs = cast(Iterable[_Update], updates.items() if isinstance(updates, Mapping) else updates)
        return self._bulk(pairs, update, options, in_turn=_id_in)

    def delete_many(
        self, customers: Iterable[CustomerT] | AsyncIterable[CustomerT], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerT, None]:
        """Delete these customers, for good; see `Bulk`.

        Of a list that is still being read, each deletion hides a row: pass `list(verify=True)`, or collect it first.

        DELETE /customers/{id} for each
        """
        return self._bulk(customers, Customers(self._sender, "bulk").delete, options)

    def list_bookings(self, customer: str | Customer, /, **options: Unpack[ListOptions]) -> Pager[Booking]:
        """Return the bookings that a customer made.

        GET /customers/{id}/bookings
        """
        return self._list(self._url("customers", _customer_id(customer), "bookings"), Booking, options)


class Notes(_Group):
    """What staff noted about a customer; a note cannot be changed, only added and deleted."""

    def list(self, customer: str | Customer, /, **options: Unpack[ListOptions]) -> Pager[Note]:
        """Return the notes on a customer.

        GET /customers/{id}/notes
        """
        return self._list(self._url("customers", _customer_id(customer), "notes"), Note, options)

    async def get(self, customer: str | Customer, note: str | Note, /) -> Note:
        """Return one note.

        GET /customers/{id}/notes/{note_id}. Raises `NotFound`.
        """
        return await self._get(self._note(customer, note), Note)

    async def create(self, customer: str | Customer, /, draft: NoteDraft) -> Note:
        """Add a note to a customer and return it.

        POST /customers/{id}/notes. Never sent twice: raises `OutcomeUnknown` if the answer got lost. Raises `NotFound`,
        `ValidationFailed`.
        """
        url = self._url("customers", _customer_id(customer), "notes")
        return self._record(await self._send("POST", url, _body(draft, NoteDraft)), Note)

    async def delete(self, customer: str | Customer, note: str | Note, /) -> None:
        """Delete a note, for good.

        DELETE /customers/{id}/notes/{note_id}. Tried again like a read; a 404 after an attempt whose answer got lost
        means deleted. Raises `NotFound`, `OutcomeUnknown`.
        """
        await self._send("DELETE", self._note(customer, note))

    def _note(self, customer: str | Customer, note: str | Note) -> URL:
        return self._url("customers", _customer_id(customer), "notes", protocol.checked_id(note, Note.ID_PREFIX))


class Events(_Group):
    """What is on; read-only."""

    def list(self, **options: Unpack[ListOptions]) -> Pager[Event]:
        """Return all events.

        GET /events
        """
        return self._list(self._url("events"), Event, options)

    async def get(self, event: str | Event, /) -> Event:
        """Return one event.

        GET /events/{id}. Raises `NotFound`.
        """
        return await self._get(self._event(event), Event)

    def list_venues(self, event: str | Event, /, **options: Unpack[ListOptions]) -> Pager[Venue]:
        """Return the venues that an event is on at.

        GET /events/{id}/venues
        """
        return self._list(self._event(event, "venues"), Venue, options)

    def list_dates(
        self, event: str | Event, /, *, start: StartFilter | None = None, **options: Unpack[ListOptions]
    ) -> Pager[EventDate]:
        """Return the dates of an event, at all of its venues; with `start` those within its bounds.

        What a filter drops does not count towards `max_items`.

        GET /events/{id}/dates
        """
        return self._list_dates(self._event(event, "dates"), start, options)

    def _event(self, event: str | Event, *below: str) -> URL:
        return self._url("events", protocol.checked_id(event, Event.ID_PREFIX), *below)


class Venues(_Group):
    """Where it is on; read-only. The API lists venues by event alone: `ts.events.list_venues`."""

    async def get(self, venue: str | Venue, /) -> Venue:
        """Return one venue.

        GET /venues/{id}. Raises `NotFound`.
        """
        return await self._get(self._venue(venue), Venue)

    def list_dates(
        self, venue: str | Venue, /, *, start: StartFilter | None = None, **options: Unpack[ListOptions]
    ) -> Pager[EventDate]:
        """Return the dates at a venue; with `start` those within its bounds.

        What a filter drops does not count towards `max_items`.

        GET /venues/{id}/dates
        """
        return self._list_dates(self._venue(venue, "dates"), start, options)

    def _venue(self, venue: str | Venue, *below: str) -> URL:
        return self._url("venues", protocol.checked_id(venue, Venue.ID_PREFIX), *below)


class Dates(_Group):
    """When it is on; read-only. The API lists dates by event or venue."""

    async def get(self, date: str | EventDate, /) -> EventDate:
        """Return one date.

        GET /dates/{id}. Raises `NotFound`.
        """
        return await self._get(self._date(date), EventDate)

    def list_bookings(self, date: str | EventDate, /, **options: Unpack[ListOptions]) -> Pager[Booking]:
        """Return the bookings for a date.

        GET /dates/{id}/bookings
        """
        return self._list(self._date(date, "bookings"), Booking, options)

    def _date(self, date: str | EventDate, *below: str) -> URL:
        return self._url("dates", protocol.checked_id(date, EventDate.ID_PREFIX), *below)


class Bookings(_Group):
    """What was sold; read-only. The API lists bookings by date or customer."""

    async def get(self, booking: str | Booking, /) -> Booking:
        """Return one booking.

        GET /bookings/{id}. Raises `NotFound`.
        """
        return await self._get(self._booking(booking), Booking)

    def list_seats(self, booking: str | Booking, /, **options: Unpack[ListOptions]) -> Pager[Seat]:
        """Return the seats of a booking.

        GET /bookings/{id}/seats
        """
        return self._list(self._booking(booking, "seats"), Seat, options)

    def _booking(self, booking: str | Booking, *below: str) -> URL:
        return self._url("bookings", protocol.checked_id(booking, Booking.ID_PREFIX), *below)


class Seats(_Group):
    """Single seats; read-only. The API lists seats by booking."""

    async def get(self, seat: str | Seat, /) -> Seat:
        """Return one seat.

        GET /seats/{id}. Raises `NotFound`.
        """
        return await self._get(self._url("seats", protocol.checked_id(seat, Seat.ID_PREFIX)), Seat)
