"""Add up the lines of bookings by performance, event, day, month or day of sale."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

from attrs import define, field, frozen

from ticketsource_async.failed_branches import FailedBranch
from ticketsource_async.models import Booking, BookingLine, Event, EventDate, Venue
from ticketsource_async.reports.lost import Lost, lost_by
from ticketsource_async.reports.seating import state_of
from ticketsource_async.reports.sums import Sums

if TYPE_CHECKING:
    from ticketsource_async.listings import SeatsOfBooking, Sold

By = Literal["date", "event", "day", "month", "sold-day"]
"""What a row stands for: a performance, an event, a day or a month of performances, or a day of sale."""

RowKind = Literal["date", "event", "day", "month", "sold-day", "total of a payment method", "total"]


@frozen
class SeatCount:
    """How many seats are `sold` and `cancelled`. `unknown` counts the seats for which the API does not say it."""

    sold: int = 0
    cancelled: int = 0
    unknown: int = 0

    def __add__(self, other: "SeatCount") -> "SeatCount":
        return SeatCount(self.sold + other.sold, self.cancelled + other.cancelled, self.unknown + other.unknown)


@frozen(kw_only=True)
class SalesRow:
    """A row of the sales.

    `gross`, `discounts`, `fees`, `fee_vat` and `net` are sums over the lines of type "TICKETS", after refunds.
    `refunds` is the gross of the refunds among these lines: it is negative, and `gross` includes it. `donations` is the
    gross of the lines of type "DONATION", and `other` of all other types, which `other_types` names. Both are after
    refunds, too. The fees of these lines are in no sum.

    A line is a refund if the API says so. If the API does not say whether a negative line is a refund, `refunds` is
    None. If it says that a positive line is one, every sum with this line is None.

    A sum is None if an amount is missing, or if it is not known whether an amount belongs to it. `missing` says in
    words what is missing in how many lines, and which performances or bookings could not be read.

    `start` and `last_start` are the first and the last start of its performances, as the API writes them. Their time
    zone is not known. `cancelled` counts cancelled performances. `perhaps_cancelled` counts those for which the API
    does not say whether they are cancelled. `mark` says this in words, and whether the event is archived.

    A row of a day of sale or of a payment method does not count performances. Its `bookings` are those with a line in
    the row. A booking with lines in several rows counts in each of them, and once in the total.

    `seats` counts the seats of each price category; the key None is for seats without one. It is None if you did not
    ask for seats, or if some could not be read.
    """

    kind: RowKind
    """What the row stands for."""
    event_id: str | None = None
    """The id of the event; None if the row has several."""
    event: str | None = None
    """The name of the event. A row of several events has all names."""
    date_id: str | None = None
    """The id of the performance."""
    start: datetime | None = None
    last_start: datetime | None = None
    venue: str | None = None
    """The name of the venue. A row of several venues has all names."""
    day: date | None = None
    """The day of sale, the day of the performances, or the first day of their month."""
    payment_method: str | None = None
    """The payment method, if each row is of one method."""
    performances: int | None = None
    """The number of performances."""
    cancelled: int | None = None
    perhaps_cancelled: int | None = None
    mark: str = ""
    bookings: int | None = None
    gross: Decimal | None = None
    discounts: Decimal | None = None
    fees: Decimal | None = None
    fee_vat: Decimal | None = None
    net: Decimal | None = None
    refunds: Decimal | None = None
    donations: Decimal | None = None
    other: Decimal | None = None
    other_types: tuple[str, ...] = ()
    seats: Mapping[str | None, SeatCount] | None = None
    missing: str = ""


@frozen(kw_only=True)
class Sales:
    """The sales: rows by start or day, then by name. Rows without a start or a day come last.

    With payment methods, each row is of one method, and `method_totals` has the total of each. If a branch failed,
    `total` has no sum and no count, and its `missing` says what could not be read. `failed` are the branches that could
    not be read. `repeated` counts the bookings that were listed more than once; each counts once, where it was listed
    first.
    """

    by: By
    """What a row stands for."""
    payment_methods: bool
    """Whether each row is of one payment method."""
    rows: tuple[SalesRow, ...]
    """The rows."""
    method_totals: tuple[SalesRow, ...]
    total: SalesRow
    failed: tuple[FailedBranch, ...]
    repeated: int
    categories: tuple[str | None, ...]
    """The price categories of all seats in alphabetical order. None, for seats without a category, is the last."""


@define
class _Group:
    """The sums and counts of one row, or of the rows for its payment methods."""

    first_start: datetime | None = None
    last_start: datetime | None = None
    events: dict[str, str | None] = field(factory=dict)
    archived: bool | None = False
    venues: dict[str, None] = field(factory=dict)
    date_id: str | None = None
    day: date | None = None
    performances: int = 0
    cancelled: int = 0
    perhaps_cancelled: int = 0
    sums: dict[str | None, Sums] = field(factory=dict)
    seats: dict[str | None, SeatCount] = field(factory=dict)
    lost: Lost = field(factory=Lost)

    def add_event(self, event: Event) -> None:
        """Add an event of this row."""
        self.events[event.id] = event.name
        if self.archived is not True:
            self.archived = self.archived if event.archived is False else event.archived

    def add_performance(self, event_date: EventDate, venue: Venue | None) -> None:
        """Count a performance of this row."""
        self.performances += 1
        self.cancelled += event_date.cancelled is True
        self.perhaps_cancelled += event_date.cancelled is None
        if (start := event_date.start) is not None:
            self.first_start = min(self.first_start or start, start, key=_as_written)
            self.last_start = max(self.last_start or start, start, key=_as_written)
        if name := (venue and venue.name) or event_date.venue_id:
            self.venues[name] = None

    def mark(self, by: By) -> str:
        """Return in words which performances are cancelled, and whether the event is archived."""
        marks = []
        for count, what in ((self.cancelled, "cancelled"), (self.perhaps_cancelled, "perhaps cancelled")):
            if count:
                marks.append(what if by == "date" else f"{count:,} of {self.performances:,} {what}")
        if by in ("date", "event") and self.archived is not False:
            marks.append("event archived" if self.archived else "event perhaps archived")
        return ", ".join(marks)

    def order(self) -> tuple[object, ...]:
        """Return the key that sorts the rows."""
        when = self.day or (self.first_start and _as_written(self.first_start))
        name = next(iter(self.events.values()), None) or ""
        return (when is None, when or "", name, next(iter(self.events), ""), self.date_id or "")


def _as_written(moment: datetime) -> datetime:
    """Return a time without its offset, so that times sort as people read them."""
    return moment.replace(tzinfo=None)


class SalesTally:
    """The sales that you add; `result` returns the rows.

    `read` counts the performances whose bookings could be read. The tally keeps the sums of each row and the id of each
    booking, but no booking.
    """

    def __init__(self, by: By = "date", *, payment_methods: bool = False, seats: bool = False) -> None:
        """Raise ValueError for seats by payment method or day of sale: a seat has neither."""
        if by not in get_args(By):
            raise ValueError(f"by is one of {', '.join(get_args(By))}, not {by!r}")
        if seats and (payment_methods or by == "sold-day"):
            raise ValueError("seats do not say how or when they were sold: leave payment_methods and sold-day out")
        self._by: By = by
        self._by_method = payment_methods
        self._with_seats = seats
        self.read = 0
        self._all = _Group()
        self._groups: dict[object, _Group] = {}
        self._dates: set[str] = set()
        self._bookings: dict[str, _Group] = {}
        self._repeated = 0
        self._failed: list[FailedBranch] = []

    @property
    def booking_ids(self) -> tuple[str, ...]:
        """The ids of the bookings that were added."""
        return tuple(self._bookings)

    def add(self, sold: "Sold") -> None:
        """Add a performance with its bookings. A booking that was added before does not count again."""
        self.read += all(failed.is_end or lost_by(failed) != "performance" for failed in sold.failed)
        group = self._group_of(sold.event, sold.date, sold.venue)
        for booking in sold.bookings:
            if booking.id in self._bookings:
                self._repeated += 1
            else:
                self._bookings[booking.id] = group
                self._add_booking(group, booking)
        for failed in sold.failed:
            self.add_failed(failed)

    def add_failed(self, failed: FailedBranch) -> None:
        """Add a branch that could not be read. Sums that need it become None."""
        self._failed.append(failed)
        self._all.lost.add(failed)
        if (kind := lost_by(failed)) is not None and failed.event is not None and self._by != "sold-day":
            if failed.date is not None:
                self._group_of(failed.event, failed.date, None).lost.counts[kind] += 1
            elif self._by == "event":
                group = self._group(failed.event.id)
                group.add_event(failed.event)
                group.lost.counts[kind] += 1

    def add_seats(self, found: "SeatsOfBooking") -> None:
        """Add the seats of a booking that you have added."""
        group = self._bookings[found.booking_id]
        for seat in found.seats:
            category, state = seat.price_category or None, state_of(seat)
            one = SeatCount(int(state == "sold"), int(state == "cancelled"), int(state is None))
            group.seats[category] = group.seats.get(category, SeatCount()) + one
        self._failed += found.failed
        if found.failed:
            group.lost.counts["seats"] += 1
            self._all.lost.counts["seats"] += 1

    def _group(self, key: object) -> _Group:
        if (found := self._groups.get(key)) is None:
            found = self._groups[key] = _Group(day=key if isinstance(key, date) else None)
        return found

    def _group_of(self, event: Event, event_date: EventDate, venue: Venue | None) -> _Group:
        """Count a performance once, and return the group of its row. By day of sale, all share one group."""
        key: object = event_date.id if self._by == "date" else event.id
        if self._by in ("day", "month"):
            key = event_date.start and event_date.start.date()
            key = key.replace(day=1) if isinstance(key, date) and self._by == "month" else key
        group = self._all if self._by == "sold-day" else self._group(key)
        if self._by == "event":
            group.add_event(event)
        if event_date.id not in self._dates:
            self._dates.add(event_date.id)
            self._all.add_performance(event_date, None)
            if group is not self._all:
                group.add_event(event)
                group.add_performance(event_date, venue)
                group.date_id = event_date.id if self._by == "date" else None
        return group

    def _add_booking(self, group: _Group, booking: Booking) -> None:
        lines = booking.lines or (BookingLine(),)
        rows = {}
        for number, line in enumerate(lines):
            sums = self._sums(group, line)
            rows[id(sums)] = sums
            if booking.lines is None:
                sums.add_without_lines()
            elif booking.lines:
                sums.add(booking, number)
        for sums in rows.values():
            sums.bookings += 1

    def _sums(self, group: _Group, line: BookingLine) -> Sums:
        """Return the sums that a line belongs to."""
        if self._by == "sold-day":
            group = self._group(line.created_at and line.created_at.date())
        method = (line.payment_method or None) if self._by_method else None
        if (found := group.sums.get(method)) is None:
            found = group.sums[method] = Sums()
        return found

    # The result

    def result(self) -> Sales:
        """Return the rows and their total."""
        groups = sorted(self._groups.values(), key=_Group.order)
        rows = tuple(
            self._row(self._by, group, method, group.sums.get(method) or Sums())
            for group in groups
            for method in _in_order(group.sums or [None])
        )
        by_method, seats = dict[str | None, Sums](), dict[str | None, SeatCount]()
        for group in groups:
            for method, sums in group.sums.items():
                total_of_method = by_method.setdefault(method, Sums())
                total_of_method.merge(sums)
                total_of_method.bookings += sums.bookings
            for category, count in group.seats.items():
                seats[category] = seats.get(category, SeatCount()) + count
        whole = Sums(bookings=len(self._bookings))
        for sums in by_method.values():
            whole.merge(sums)
        everything = _Group(
            performances=self._all.performances,
            cancelled=self._all.cancelled,
            perhaps_cancelled=self._all.perhaps_cancelled,
            seats=seats,
            lost=self._all.lost,
        )
        return Sales(
            by=self._by,
            payment_methods=self._by_method,
            rows=rows,
            method_totals=tuple(
                self._row("total of a payment method", everything, method, by_method[method])
                for method in (_in_order(by_method) if self._by_method else ())
            ),
            total=self._row("total", everything, None, whole),
            failed=tuple(self._failed),
            repeated=self._repeated,
            categories=_in_order(seats),
        )

    def _row(self, kind: RowKind, group: _Group, method: str | None, sums: Sums) -> SalesRow:
        is_total = kind == "total"
        counts = (is_total or not self._by_method) and kind != "sold-day"
        lost = group.lost
        all_counted = counts and not (lost.any_sum if is_total else lost.any_performance)
        single = next(iter(group.events)) if len(group.events) == 1 else None
        return SalesRow(
            kind=kind,
            event_id=single,
            event="; ".join(name or event_id for event_id, name in group.events.items()) or None,
            date_id=group.date_id,
            start=group.first_start,
            last_start=group.last_start,
            venue="; ".join(group.venues) or None,
            day=group.day,
            payment_method=method,
            performances=group.performances if all_counted else None,
            cancelled=group.cancelled if all_counted else None,
            perhaps_cancelled=group.perhaps_cancelled if all_counted else None,
            mark=group.mark(self._by if kind == self._by else "event") if kind != "total of a payment method" else "",
            bookings=None if lost.any_sum else sums.bookings,
            **(dict.fromkeys(sums.known(), None) if lost.any_sum else sums.known()),
            other_types=tuple(sorted(sums.types)),
            seats=None if not self._with_seats or lost else dict(group.seats),
            missing="; ".join(self._missing(kind, group, sums)),
        )

    def _missing(self, kind: RowKind, group: _Group, sums: Sums) -> Iterator[str]:
        if group.lost:
            yield f"without {group.lost.words()}"
        elif kind != "date" and kind == self._by and (elsewhere := self._perhaps_lost()):
            yield f"perhaps without {elsewhere.words()}"
        yield from sums.missing()

    def _perhaps_lost(self) -> Lost:
        """Return what is missing if it is not known from which row."""
        lost = Lost(self._all.lost.counts.copy())
        for kind in ("seats",) if self._by == "sold-day" else ("seats", "performance", "booking"):
            del lost.counts[kind]
        if self._by == "event":
            lost.counts.clear()
        return lost


def _in_order(names: Iterable[str | None]) -> tuple[str | None, ...]:
    return tuple(sorted(names, key=lambda name: (name is None, name or "")))
