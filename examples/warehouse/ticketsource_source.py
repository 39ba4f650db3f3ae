"""The box office as a source for dlt, into a database or into files: `pipeline.run(ticketsource(...))`.

It needs `dlt[parquet]` 1.31 or newer, and what dlt needs for the destination. `load.py` runs it every night, and
`questions.sql` has questions to ask. `ticketsource(...).with_resources("customers")` reads a part alone.

| resource    | tables                                 | requests                                                  |
|-------------|----------------------------------------|-----------------------------------------------------------|
| `customers` | `customers`                            | one for 100 customers, one for each who is missed         |
| `programme` | `events`, `venues`, `dates`            | one for 100 events, two for each event                    |
| `bookings`  | `bookings`, `booking_lines`            | one for each date that is due, more if it has over 100    |
|             | `seats` with `seats=True`              | one for each booking that is read                         |
| `notes`     | `notes` with `notes=True`              | one for each customer                                     |

**Customers** have a row for each version, valid from `_dlt_valid_from` to `_dlt_valid_to`. So you see who consented to
what, and when. Rows can shift while the list is read, so a customer who was not in it is requested by id. If the API
says that the customer does not exist, none of their rows stays valid.

**Bookings** of a date, cancelled or not, are read in each run until the date is over, once when it is over, and once
more a week later. A later refund is missed, unless TicketSource changes the date, too: `full=True` reads the bookings
of all dates again. A date without a start is always read. If a date no longer lists a booking, the booking is requested
by id: a moved booking gets its new date, and the rows of a deleted booking are deleted.

**Events, venues and dates** that TicketSource no longer lists stay here, since bookings refer to them.

Each row has `read_at`. In the row of a record, `extra` has the values without a column, and `invalid` the values that
could not be read, both as JSON. A consent that could not be read is NULL, which is not a yes. Money is DECIMAL(38, 18);
an amount that does not fit is in `invalid`. Times are in UTC, as the API writes them, though they may be local times.
U+FFFD replaces a character that a database refuses. `unread` has a row for each part that a run could not read. The
rows of that part stay as they are, and the next run reads it again.

`snapshot=True` reads everything and appends it, for files. Their names begin with the id of the run. A run is complete
if its id is in `_dlt_loads` and none of its rows is in `unread`.

A destination is for one box office: a new API key is refused unless it finds a customer of this destination. Deleted
people keep their rows, and so do people whom TicketSource has purged. To erase a person, as data protection law
demands, delete them in TicketSource, run this, and then:

    DELETE FROM seats WHERE booking_id IN (SELECT id FROM bookings WHERE customer_id = 'cst-...');
    DELETE FROM notes WHERE customer_id = 'cst-...';
    DELETE FROM customers WHERE id = 'cst-...';
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import dlt
from attrs import frozen
from dlt.extract import DltResource
from ticketsource_tables import (
    KINDS,
    Row,
    bookings_in_warehouse,
    box_office,
    check_key,
    customers_in_warehouse,
    gone,
    in_batches,
    is_gone,
    lines_of,
    row_of,
    to_table,
    without_refused,
)

from ticketsource_async import (
    Customer,
    Event,
    EventDate,
    InvalidResponse,
    NotFound,
    Pager,
    PaginationError,
    PermissionDenied,
    Record,
    ServerError,
    StartFilter,
    TicketSource,
    TicketSourceError,
    Venue,
)

T = TypeVar("T", bound=Record)
In = TypeVar("In")
Out = TypeVar("Out")

A_DAY = timedelta(days=1)
A_WEEK = timedelta(days=7)
AT_A_TIME = 4  # parts that are read at the same time
AT_ONCE = 100  # parts with their rows in memory; dlt is slow with few rows
MOST_FAILURES = 20  # in a row; more failures do not concern single parts
OF_ONE_PART = (NotFound, PermissionDenied, ServerError, InvalidResponse, PaginationError)


@frozen
class Unread:
    """A part that could not be read, such as the bookings of one date, or one row of them, and why."""

    resource: str
    part: str
    error: TicketSourceError

    def __str__(self) -> str:
        return f"{self.resource}, {self.part}: {self.error}"


def log_unread(unread: Unread) -> None:
    logging.getLogger("ticketsource").warning("%s", unread)


def now() -> datetime:
    return datetime.now(UTC)


def new_client() -> TicketSource:
    return TicketSource.from_env(priority="bulk")


@dlt.source(name="ticketsource")
def ticketsource(
    *,
    notes: bool = False,
    seats: bool = False,
    full: bool = False,
    snapshot: bool = False,
    start: StartFilter | None = None,
    most: int | None = None,
    on_unread: Callable[[Unread], None] = log_unread,
) -> list[DltResource]:
    """Return the box office of TICKETSOURCE_API_KEY and TICKETSOURCE_BASE_URL.

    `start` selects dates and their bookings. `most` is the number of dates with their bookings, and of customers with
    their notes, that a run reads: run the same source again while `has_more` returns true.
    """
    office = BoxOffice(seats=seats, full=full, snapshot=snapshot, start=start, most=most, on_unread=on_unread)
    resources = [office.customers, office.programme, office.bookings, *([office.notes] if notes else [])]
    return [as_resource(read) for read in resources]


def as_resource(read: Callable[[], AsyncIterator[Any]]) -> DltResource:
    async def rows() -> AsyncIterator[Any]:  # dlt refuses methods
        async for some in read():
            yield some

    return dlt.resource(rows, name=read.__name__)


def has_more(resource: DltResource) -> bool:
    """Return whether the last run of this resource left parts for another run because of `most`."""
    return bool(resource.state.get("more"))


def is_over(event_date: EventDate, at: datetime) -> bool:
    """Return whether a date is certainly over. Its zone is unknown, and so is the length of a date without an end."""
    return event_date.start is not None and at >= max(event_date.start, event_date.end or event_date.start) + A_DAY


def is_due(event_date: EventDate, read_at: datetime | None, at: datetime) -> bool:
    """Return whether bookings that were read at `read_at` are due at `at`."""
    if read_at is None or not is_over(event_date, read_at):
        return True
    if event_date.updated_at is not None and event_date.updated_at > read_at - A_DAY:
        return True
    return is_over(event_date, at - A_WEEK) and not is_over(event_date, read_at - A_WEEK)


@frozen
class Listed(Generic[T]):
    """The rows of a list, whether it was read to its end, and whether all of its rows could be read."""

    rows: list[T]
    to_end: bool
    is_whole: bool


class BoxOffice:
    """The state that the resources of a source share. Each public method is a resource."""

    def __init__(
        self,
        *,
        seats: bool,
        full: bool,
        snapshot: bool,
        start: StartFilter | None,
        most: int | None,
        on_unread: Callable[[Unread], None],
    ) -> None:
        self._seats, self._full, self._snapshot = seats, full, snapshot
        self._start, self._most, self._on_unread = start, most, on_unread
        self._began = now()
        self._one_at_a_time = asyncio.Lock()
        self._programme: dict[str, dict[str, Record]] = {}
        self._tried = set[str]()  # the dates that this source has read, or could not read
        self._seen = set[str]()  # the bookings of this run, since one may move to another date meanwhile
        self._unread: list[Row] = []
        self._failures = 0

    async def customers(self) -> AsyncIterator[Any]:
        yield self._table("customers")
        seen, rows = set[str](), list[Row]()
        async with self._opened() as ts:
            pager = ts.customers.list(on_invalid=partial(self._note, "customers", "a row"))
            to_end = False
            try:
                async with aclosing(pager.pages()) as pages:
                    async for page in pages:
                        rows += self._rows("customers", [one for one in page.items if one.id not in seen])
                        seen.update(one.id for one in page.items)
                        if len(rows) >= 1000:
                            yield self._table("customers", rows)
                            rows = []
                to_end = self._was_read_to_end("customers", "the list", pager)
            except OF_ONE_PART as error:
                self._fail("customers", "the list", error)
            missing = (
                [one for one in customers_in_warehouse() if one not in seen] if to_end and not self._snapshot else []
            )
            async with ts.customers.get_many(missing) as asked:
                async for outcome in asked:
                    if is_gone(outcome.error):
                        rows.append(gone("customers", outcome.input))
                    elif isinstance(outcome.error, OF_ONE_PART):
                        self._fail("customers", outcome.input, outcome.error)
                    else:
                        rows += self._rows("customers", [outcome.unwrap()])
        yield self._table("customers", rows)
        yield self._table("unread", self._told())

    async def programme(self) -> AsyncIterator[Any]:
        async with self._opened() as ts:
            programme = await self._read_programme(ts)
        for name, records in programme.items():
            yield self._table(name)
            for some in in_batches([*records.values()], 1000):
                yield self._table(name, self._rows(name, some))
        yield self._table("unread", self._told())

    async def bookings(self) -> AsyncIterator[Any]:
        tables = ("bookings", "booking_lines", "seats") if self._seats else ("bookings", "booking_lines")
        for table in tables:
            yield self._table(table)
        self._seen.clear()
        state: dict[str, Any] = {} if self._snapshot else dlt.current.resource_state()
        # A date that was read without seats is due if seats are wanted now.
        read: list[dict[str, str]] = [state.setdefault(name, {}) for name in (["seats"] if self._seats else [])]
        read.append(state.setdefault("bookings", {}))
        async with self._opened() as ts:
            dates = (await self._read_programme(ts))["dates"].values()
            due = [one for one in dates if isinstance(one, EventDate) and self._is_due(one, read[0].get(one.id))]
            chosen = due[: self._most]
            state["more"] = len(chosen) < len(due)
            known = {} if self._snapshot else bookings_in_warehouse([one.id for one in chosen])
            for some in in_batches(chosen, AT_ONCE):
                began = now()
                found = await each(some, lambda one: self._read_date(ts, one, known.get(one.id, [])))
                for table in tables:
                    yield self._table(table, [row for rows, _ in found for row in rows[table]])
                for one, (_, is_whole) in zip(some, found, strict=True):
                    self._tried.add(one.id)
                    for dates_read in read if is_whole and is_over(one, began) else ():
                        dates_read[one.id] = began.isoformat(timespec="seconds")
        yield self._table("unread", self._told())

    async def notes(self) -> AsyncIterator[Any]:
        yield self._table("notes")
        state: dict[str, Any] = {} if self._snapshot else dlt.current.resource_state()
        if not state.get("more") or self._began - datetime.fromisoformat(state["began"]) > A_DAY:
            state.update(began=self._began.isoformat(), next_page=1)
        state["more"], first, seen = False, state["next_page"], set[str]()
        async with self._opened() as ts:
            pager = ts.customers.list(start_page=first, on_invalid=partial(self._note, "notes", "a customer"))
            try:
                async with aclosing(pager.pages()) as pages:
                    async for page in pages:
                        fresh = [customer for customer in page.items if customer.id not in seen]
                        seen.update(customer.id for customer in fresh)
                        for some in in_batches(fresh, AT_ONCE):
                            found = await each(some, lambda customer: self._read_notes(ts, customer))
                            yield self._table("notes", [row for rows in found for row in rows])
                        if self._most is not None and len(seen) >= self._most and page.next_url is not None:
                            state.update(next_page=page.number + 1, more=True)
                            break
                self._was_read_to_end("notes", "the list of customers", pager)
            except OF_ONE_PART as error:
                if first == 1 or not isinstance(error, NotFound):  # otherwise the list has become shorter
                    self._fail("notes", "the list of customers", error)
        yield self._table("unread", self._told())

    async def _read_programme(self, ts: TicketSource) -> dict[str, dict[str, Record]]:
        """Return the events, venues and dates by their ids, read once for all resources."""
        async with self._one_at_a_time:
            if not self._programme:
                events = await self._list("programme", "the list of events", ts.events.list)
                found: dict[str, dict[str, Record]] = {"events": {}, "venues": {}, "dates": {}}
                found["events"] |= {event.id: event for event in events.rows}
                for some in in_batches(events.rows, AT_ONCE):
                    for venues, dates in await each(some, lambda event: self._read_event(ts, event)):
                        found["venues"] |= {venue.id: venue for venue in venues}
                        found["dates"] |= {one.id: one for one in dates}
                self._programme = found
        return self._programme

    async def _read_event(self, ts: TicketSource, event: Event) -> tuple[list[Venue], list[EventDate]]:
        venues = await self._list("programme", f"venues of {event.id}", partial(ts.events.list_venues, event))
        listing = partial(ts.events.list_dates, event, start=self._start)
        return venues.rows, (await self._list("programme", f"dates of {event.id}", listing)).rows

    def _is_due(self, event_date: EventDate, read: str | None) -> bool:
        read_at = None if read is None else datetime.fromisoformat(read)
        return event_date.id not in self._tried and (self._full or is_due(event_date, read_at, self._began))

    async def _read_date(
        self, ts: TicketSource, event_date: EventDate, known: Iterable[str]
    ) -> tuple[dict[str, list[Row]], bool]:
        """Return the rows of the bookings of a date for each table, and whether all of them could be read."""
        rows: dict[str, list[Row]] = {"bookings": [], "booking_lines": [], "seats": []}
        listing = partial(ts.dates.list_bookings, event_date)
        listed = await self._list("bookings", event_date.id, listing, or_gone=True)
        bookings, is_whole = {booking.id: booking for booking in listed.rows}, listed.is_whole
        for booking_id in known if listed.to_end else ():
            if booking_id in bookings:
                continue
            try:
                bookings[booking_id] = await ts.bookings.get(booking_id)
            except OF_ONE_PART as error:
                if is_gone(error):
                    for table, found in rows.items():
                        found.append(gone(table, booking_id))
                else:
                    self._fail("bookings", booking_id, error)
                    is_whole = False
        fresh = [booking for booking in bookings.values() if booking.id not in self._seen]
        self._seen.update(booking.id for booking in fresh)
        for booking in fresh:
            read_at = now()
            row = row_of("bookings", booking, read_at)
            rows["bookings"].append({**row, "date_id": row["date_id"] or event_date.id})
            rows["booking_lines"] += [gone("booking_lines", booking.id), *lines_of(booking, read_at)]
            if self._seats:
                seats = await self._list("seats", booking.id, partial(ts.bookings.list_seats, booking))
                is_whole = is_whole and seats.is_whole
                rows["seats"] += self._parts("seats", booking, seats)
        return rows, is_whole

    async def _read_notes(self, ts: TicketSource, customer: Customer) -> list[Row]:
        return self._parts("notes", customer, await self._list("notes", customer.id, partial(ts.notes.list, customer)))

    def _parts(self, table: str, of: Record, listed: Listed[Any]) -> list[Row]:
        """Return the rows of the parts of a record. If the list is complete, its other parts are deleted."""
        rows = [{**row, KINDS[table].taken_by: of.id} for row in self._rows(table, listed.rows)]
        return [gone(table, of.id), *rows] if listed.is_whole else rows

    async def _list(
        self, resource: str, part: str, listing: Callable[..., Pager[T]], *, or_gone: bool = False
    ) -> Listed[T]:
        """Return the rows of a list. With `or_gone`, the list of a deleted record is empty."""
        rows, invalid = list[T](), list[InvalidResponse]()
        pager = listing(on_invalid=invalid.append)
        try:
            async for row in pager:
                rows.append(row)
        except OF_ONE_PART as error:
            to_end = or_gone and is_gone(error)
            if not to_end:
                self._fail(resource, part, error)
        else:
            self._failures = 0
            to_end = self._was_read_to_end(resource, part, pager)
        for odd in invalid:
            self._note(resource, f"a row of {part}", odd)
        return Listed(rows, to_end, to_end and not invalid)

    def _was_read_to_end(self, resource: str, part: str, pager: Pager[Any]) -> bool:
        if pager.report.ended is not None:
            self._note(resource, part, TicketSourceError(f"The list was left before its end: {pager.report.ended}."))
        return pager.report.ended is None

    def _fail(self, resource: str, part: str, error: TicketSourceError) -> None:
        """Record a part that could not be read; raise the error if it is one of many in a row."""
        self._note(resource, part, error)
        self._failures += 1
        if self._failures > MOST_FAILURES:
            raise error

    def _note(self, resource: str, part: str, error: TicketSourceError) -> None:
        unread = Unread(resource, part, error)
        self._on_unread(unread)
        self._unread.append(
            {
                "read_at": now(),
                "resource": resource,
                "part": part,
                "error": type(error).__name__,
                "message": without_refused(str(error)),
            }
        )

    def _told(self) -> list[Row]:
        told, self._unread = self._unread, []
        return told

    def _rows(self, table: str, records: Iterable[Record]) -> list[Row]:
        return [row_of(table, record, now()) for record in records]

    def _table(self, name: str, rows: Iterable[Row] = ()) -> Any:
        return to_table(name, rows, snapshot=self._snapshot)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[TicketSource]:
        """Yield a client. It is made here, since dlt runs a resource in another event loop."""
        async with new_client() as ts:
            if not self._snapshot:
                state = dlt.current.source_state()
                if state.get("box_office") != box_office():
                    await check_key(ts)
                    state["box_office"] = box_office()
            yield ts


async def each(items: Iterable[In], read: Callable[[In], Coroutine[Any, Any, Out]]) -> list[Out]:
    """Return the result of `read` for each item."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(item: In) -> Out:
        async with gate:
            return await read(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
