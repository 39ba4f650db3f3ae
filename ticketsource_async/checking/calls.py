"""Make the requests of a check in their order, and no more than allowed."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from attrs import define, evolve, field, frozen

from ticketsource_async import errors
from ticketsource_async.checking.search import Search
from ticketsource_async.checking.shapes import days_of, is_in_summer, offset_in
from ticketsource_async.models.customers import Customer
from ticketsource_async.models.ids import id_of
from ticketsource_async.models.shows import StartFilter
from ticketsource_async.models.values import RECORD_KINDS, as_list
from ticketsource_async.operations import Answer, Operations
from ticketsource_async.ratelimit import Priority

MOST_REQUESTS: Final = 30
PER_PAGE: Final = 100
UTC_OFFSETS: Final = frozenset({"+00:00", "Z"})
UNKNOWN_ID: Final = f"{Customer.ID_PREFIX}0000000000000000"
"""An id that no customer has."""

_DAY: Final = timedelta(days=1)
_LEAST_LEFT: Final = 2  # a call may take two attempts
_MOST_EVENTS: Final = 3
_MOST_DATES: Final = 3
_MOST_BOOKINGS: Final = 2
_MOST_CUSTOMERS: Final = 2
_MOST_MORE: Final = 4


class NoRequestLeft(Exception):
    """The check has made all requests that it may make."""


class Allowance:
    """A limiter that allows a fixed number of requests, retries included, and then none."""

    def __init__(self, most: int = MOST_REQUESTS) -> None:
        self.most = self.left = most

    @asynccontextmanager
    async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:  # noqa: ARG002 - see `RateLimiter`
        """Count a request; raise `NoRequestLeft` if none is left."""
        if not self.left:
            raise NoRequestLeft
        self.left -= 1
        yield

    async def pause(self, seconds: float, *, key: str) -> None:
        """Do nothing: calls are made one at a time, and each waits by itself."""


@frozen
class Call:
    """A call and its result: an answer or an error.

    `path` has `{id}` in place of each id. `kind` is the kind of the records. `rows` are the records, None if `data` is
    neither a list nor a record. An error of the `expected` classes counts as an answer, not as a failure.
    """

    path: str
    kind: str
    began: datetime
    ended: datetime
    query: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    answer: Answer | None = field(default=None, repr=False)
    error: errors.TicketSourceError | None = None
    rows: Sequence[Any] | None = field(default=None, repr=False)
    expected: tuple[type[Exception], ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the list has another page, according to the answer."""
        if self.answer is None or not self.rows:
            return False
        link, said = self.answer.links.get("next", ""), str(self.answer.meta.get("per_page"))
        full = min(PER_PAGE, int(said)) if re.fullmatch("[1-9][0-9]{0,3}", said) else PER_PAGE
        return len(self.rows) >= full if link in ("", False) else link is not None


@frozen
class Summer:
    """A date in summer, as the API writes it and as it is parsed. It is only shown to the user, never reported."""

    written: str
    start: datetime
    event: str


@define
class Results:
    """The calls of a check and their results."""

    calls: list[Call] = field(factory=list)
    skipped: set[str] = field(factory=set)
    """The kinds of records that the check did not request."""
    stopped_by: errors.TicketSourceError | None = None
    interrupted: bool = False
    """Whether a person or the system ended the check early."""
    first: Call | None = None
    first_again: Call | None = None
    second: Call | None = None
    """The first page of customers, requested twice, and the second. If one page has all, each has one customer."""
    by_id: Call | None = None
    unknown_id: Call | None = None
    filtered: dict[str, Call] = field(factory=dict)
    """The dates that each filter by start returned: "ours", "after" and "before"."""
    all_days: dict[str, date] = field(factory=dict)
    """The days of the filtered dates by id, and the day of the filter."""
    day: date | None = None
    search: Search | None = None

    def of_kind(self, kind: str) -> list[Call]:
        """Return the calls for records of a kind."""
        return [call for call in self.calls if call.kind == kind]

    def rows_of(self, kind: str) -> list[Any]:
        """Return all rows of a kind."""
        return [row for call in self.of_kind(kind) for row in call.rows or ()]

    @property
    def is_empty(self) -> bool:
        """Whether the check ended before a good answer came. Then it found nothing about the contents of answers."""
        return (self.interrupted or self.stopped_by is not None) and not self.has_answer

    @property
    def has_answer(self) -> bool:
        """Whether a good answer came."""
        return any(call.answer is not None for call in self.calls)

    def failures(self) -> list[Call]:
        """Return the calls that failed unexpectedly."""
        failed = [call for call in self.calls if call.error is not None]
        return [one for one in failed if one.error is self.stopped_by or not isinstance(one.error, one.expected)]

    def summer(self) -> Summer | None:
        """Return a date in summer that is written as UTC, with the name of its event if that is known."""
        events = {row["id"]: row["attributes"].get("name") for row in self.rows_of("event") if _is_whole(row)}
        for call in self.of_kind("date"):
            for row in filter(_is_whole, call.rows or ()):
                start = row["attributes"].get("start")
                if is_in_summer(start) and offset_in(start) in UTC_OFFSETS and (read := _read(start)) is not None:
                    links = row.get("links")
                    link = links.get("event") if isinstance(links, dict) else None
                    return Summer(start, read, str(events.get(str(link).rpartition("/")[2]) or ""))
        return None


def _read(start: str) -> datetime | None:
    try:
        return datetime.fromisoformat(start)
    except ValueError:  # the 31st of June
        return None


def _is_whole(row: object) -> bool:
    """Say whether a row has the parts of a record that this check uses."""
    return isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("attributes"), dict)


# These errors end the whole check, since the next call would fail too.
_END_CHECK: Final = (
    errors.TransportError,
    errors.AuthenticationFailed,
    errors.AccessBlocked,
    errors.RateLimited,
    errors.ConfigurationError,
    errors.ClientClosed,
)


class Checker:
    """Make the calls of a check. `found` has the results so far, even if the check is interrupted."""

    def __init__(self, ts: Operations, allowance: Allowance) -> None:
        self._ts, self._allowance = ts, allowance
        self.found = Results()
        self._customer_ids: list[str] = []
        self._date_ids: list[str] = []

    async def run(self) -> None:
        """Make all calls, the most important first."""
        await self._customers()
        await self._programme()
        await self._count()
        await self._use_requests_left()

    async def _make_call(
        self,
        path: str,
        kind: str,
        *ids: str,
        query: Mapping[str, str] | None = None,
        single: bool = False,
        expected: tuple[type[Exception], ...] = (),
    ) -> Call | None:
        """Make one call, unless the check is over. Each id replaces an `{id}`."""
        found = self.found
        if found.stopped_by is not None or self._allowance.left < _LEAST_LEFT:
            found.skipped.add(kind)
            return None
        now = datetime.now(UTC)
        call = Call(path, kind, now, now, query or {}, expected=expected)
        try:
            answer = await self._ts.request("GET", path.replace("{id}", "{}").format(*ids), query=call.query)
            rows = [answer.data] if single else [] if answer.data is None else as_list(answer.data)
            call = evolve(call, answer=answer, rows=rows)
        except errors.TicketSourceError as error:
            call = evolve(call, error=error)
            if isinstance(error, _END_CHECK):
                found.stopped_by = error
        except ValueError as error:  # a key that would be part of a path; no key of TicketSource is
            found.stopped_by = errors.ConfigurationError(str(error))
            call = evolve(call, error=found.stopped_by)
        except NoRequestLeft:
            found.skipped.add(kind)
            return None
        call = evolve(call, ended=datetime.now(UTC))
        found.calls.append(call)
        return call

    async def _page(
        self,
        path: str,
        kind: str,
        *ids: str,
        number: int = 1,
        size: int = PER_PAGE,
        query: Mapping[str, str] | None = None,
        expected: tuple[type[Exception], ...] = (),
    ) -> Call | None:
        page = {"page": str(number), "per_page": str(size)}
        return await self._make_call(path, kind, *ids, query={**(query or {}), **page}, expected=expected)

    async def _customers(self) -> None:
        found, path = self.found, "/customers"
        found.first = await self._page(path, "customer")
        found.unknown_id = await self._make_call("/customers/{id}", "", UNKNOWN_ID, single=True, expected=_REFUSED)
        if found.first is None or not found.first.rows:
            return
        found.first_again = await self._page(path, "")  # not counted twice
        if found.first.goes_on:
            found.second = await self._page(path, "customer", number=2)
        elif len(found.first.rows) > 1:
            await self._page(path, "", size=1)  # for its `next`
            found.second = await self._page(path, "", number=2, size=1)
        ids = _ids(found.first.rows, "customer")
        if ids:
            found.by_id = await self._make_call("/customers/{id}", "", ids[0], single=True)
        self._customer_ids = _spread(ids)
        await self._first_rows_below(self._customer_ids[:_MOST_CUSTOMERS], "/customers/{id}/notes", "customer_note")

    async def _programme(self) -> None:
        listed = await self._page("/events", "event")
        events = _spread(_ids(listed.rows or () if listed else (), "event"))
        if not events:
            return
        await self._page("/events/{id}/venues", "venue", events[0])
        dates: list[Any] = []
        for event in events[:_MOST_EVENTS]:
            call = await self._page("/events/{id}/dates", "date", event)
            rows = list(filter(_is_whole, call.rows or ())) if call else []
            dates += rows
            if call is not None and rows and not self.found.filtered and not call.goes_on:
                await self._filter(event, days_of(rows))
            if any(is_in_summer(row["attributes"].get("start")) for row in rows):
                break
        dated = days_of(dates)
        ids = sorted(_ids(dates, "date"), key=lambda i: _days_from_today(dated.get(i)))
        self._date_ids = ids
        await self._bookings(ids[:_MOST_DATES])

    async def _bookings(self, dates: Sequence[str]) -> None:
        sold = await self._first_rows_below(dates, "/dates/{id}/bookings", "booking")
        await self._first_rows_below(_ids(sold, "booking")[:_MOST_BOOKINGS], "/bookings/{id}/seats", "seat")

    async def _use_requests_left(self) -> None:
        """If no bookings or notes were found, use the requests that are left to look for some."""
        if not self.found.rows_of("booking"):
            await self._bookings(self._date_ids[_MOST_DATES:][:_MOST_MORE])
        if not self.found.rows_of("customer_note"):
            ids = self._customer_ids[_MOST_CUSTOMERS:][:_MOST_MORE]
            await self._first_rows_below(ids, "/customers/{id}/notes", "customer_note")

    async def _first_rows_below(self, ids: Sequence[str], path: str, kind: str) -> list[Any]:
        """Request a list below each of these ids until one has rows; return the rows."""
        for record_id in ids:
            call = await self._page(path, kind, record_id)
            if call is not None and call.rows:
                return list(call.rows)
        return []

    async def _filter(self, event: str, days: dict[str, date]) -> None:
        """Request the dates of an event by the day of their start, with three useful filters."""
        if not days:
            return
        found = self.found
        found.all_days, found.day = days, sorted(days.values())[len(days) // 2]
        for name, query in (
            ("ours", StartFilter.on(found.day).query()),
            ("after", StartFilter(first=found.day + 2 * _DAY).query()),  # `StartFilter` adds a day on its side
            ("before", StartFilter(last=found.day - 2 * _DAY).query()),
        ):
            call = await self._page("/events/{id}/dates", "", event, query=query)
            if call is not None:
                found.filtered[name] = call

    async def _count(self) -> None:
        """Look for the last page of customers with the requests that are left."""
        found = self.found
        if found.first is None or found.first.rows is None:
            return
        search = found.search = Search(len(found.first.rows))
        search.note(1, len(found.first.rows), goes_on=found.first.goes_on)
        if found.first.goes_on and found.second is not None and found.second.rows is not None:
            if set(_ids(found.second.rows, "customer")) & set(_ids(found.first.rows, "customer")):
                found.search = None  # pages overlap, so page numbers say nothing
                return
            search.note(2, len(found.second.rows), goes_on=found.second.goes_on)
        while (page := search.next_page()) is not None and self._allowance.left >= _LEAST_LEFT:
            call = await self._page("/customers", "customer", number=page, expected=_NO_SUCH_PAGE)
            if call is None or (call.rows is None and not isinstance(call.error, _NO_SUCH_PAGE)):
                return
            search.note(page, len(call.rows or ()), goes_on=call.goes_on)


_NO_SUCH_PAGE: Final = (errors.NotFound, errors.ValidationFailed)
_REFUSED: Final = (errors.APIError, errors.InvalidResponse)


def _ids(rows: Sequence[Any], kind: str) -> list[str]:
    """Return the usable ids of rows."""
    found = [id_of(row.get("id"), RECORD_KINDS[kind]) for row in rows if isinstance(row, dict)]
    return [record_id for record_id in found if record_id is not None]


def _spread(ids: Sequence[str]) -> list[str]:
    """Return ids with the first, the last and the middle one in front: they are of old and new records."""
    return list(dict.fromkeys([ids[0], ids[-1], ids[len(ids) // 2], *ids])) if ids else []


def _days_from_today(day: date | None) -> tuple[bool, int]:
    """Return a key that sorts days near today first."""
    ahead = 0 if day is None else (day - datetime.now(UTC).date()).days
    return (day is None, abs(ahead))
