"""Find the donations in bookings, what was refunded of each, and what is not known about them."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from attrs import evolve, field, frozen

from ticketsource_async.errors import TicketSourceError
from ticketsource_async.models import Booking, BookingLine, Customer, Event, EventDate
from ticketsource_async.reports.lost import Lost
from ticketsource_async.reports.sums import exact_sum, lacks_minus

_OTHER_TYPES: Final = ("TICKETS", "SUNDRY")
"""The documented types of line that are no donation. A new type may be a donation."""


@frozen(kw_only=True)
class Period:
    """The calendar days from `first` to `last`, both included; None is no bound."""

    first: date | None = None
    last: date | None = None

    def __attrs_post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"no day is from {self.first} to {self.last}: give the earlier day first")

    def has(self, day: date | None) -> bool:
        """Say whether a day is in the period. A day that is not known (None) may be."""
        return day is None or ((self.first is None or day >= self.first) and (self.last is None or day <= self.last))


@frozen(kw_only=True)
class DonationLine:
    """A line of a booking that is a donation, or the refund of one.

    `kind` is "unclear" if the line does not say which. `day` is the day of its `created_at`, as written. `amount` is
    the gross amount: what the donor gave. `refunded` is how much of a donation later lines refunded. `remark` says what
    is odd.
    """

    number: int
    """The place of the line in its booking, from 1."""
    kind: Literal["donation", "refund", "unclear"]
    made_at: datetime | None = None
    """When the line was made, as written."""
    amount: Decimal | None = None
    gift_aid: bool | None = None
    """The donor's answer to Gift Aid; None is neither yes nor no."""
    gift_aid_is_unreadable: bool = False
    """Whether the answer to Gift Aid could not be read."""
    is_refund: bool | None = None
    """Whether the API says that the line is a refund."""
    remark: str = ""
    refunded: Decimal = Decimal(0)

    @property
    def day(self) -> date | None:
        """The calendar day as written; None if it is not known."""
        return self.made_at.date() if self.made_at else None

    @property
    def may_be_claimed(self) -> bool:
        """Whether it is, or may be, a donation with Gift Aid that was not refunded in full."""
        has_gift_aid = self.gift_aid is True or self.gift_aid_is_unreadable
        is_gift = self.kind == "donation" or (self.kind == "unclear" and self.is_refund is not True)
        return has_gift_aid and is_gift and self.amount != self.refunded


@frozen(kw_only=True)
class UnknownLine:
    """A line of a booking that may be a donation, since its type is missing or unknown.

    `line_type` is a type that TicketSource does not document, or None if there is none or it could not be read.
    `is_likely` says that the line has no type, or has fields that only donations have.
    """

    number: int
    """The place of the line in its booking, from 1."""
    day: date | None
    """The day of its `created_at`, as written."""
    line_type: str | None
    is_likely: bool


@frozen(kw_only=True)
class BookingDonations:
    """The donations of a booking, with its refunds of donations.

    `doubt` says why it is not known how much of each was refunded; it is empty if that is known. `takes_off` has, for
    the number of each refund, the numbers of the donations that it refunded. `unknown` has the lines that may be
    donations and are not in `lines`. `has_lines` is False if the lines of the booking could not be read at all.
    `invalid` has the values of all these that could not be read, like `invalid` of the booking.
    """

    event: Event
    date: EventDate
    booking_id: str
    """The id of the booking."""
    ref: str | None
    """The reference of the booking."""
    customer_id: str | None
    """The id of the customer who booked."""
    lines: tuple[DonationLine, ...] = ()
    doubt: str = ""
    takes_off: Mapping[int, tuple[int, ...]] = field(factory=dict, hash=False)
    unknown: tuple[UnknownLine, ...] = ()
    has_lines: bool = True
    invalid: Mapping[str, object] = field(factory=dict, hash=False)

    @property
    def called(self) -> str:
        """The reference of the booking, else its id."""
        return self.ref or self.booking_id

    def concerns(self, period: Period) -> bool:
        """Say whether a donation or a refund of the booking is, or may be, in a period."""
        days = [*(line.day for line in self.lines), *(line.day for line in self.unknown)]
        return not self.has_lines or any(map(period.has, days))


@frozen(kw_only=True)
class DonationRow:
    """A row of the list of donations; `donor` is None if the customer is not known."""

    booking: BookingDonations
    line: DonationLine
    donor: Customer | None = None
    remark: str = ""
    """What is odd."""

    @property
    def gift_aid(self) -> str:
        """The donor's answer about Gift Aid: yes, no or unknown."""
        return {True: "yes", False: "no", None: "unknown"}[self.line.gift_aid]


@frozen(kw_only=True)
class Donations:
    """The donations of a period, with their donors.

    `bookings` have all of their donations, also those before and after the period. `donors` has the customers by id.
    `gone` has the ids of donors whom TicketSource does not have any more. `unread` has the errors of donors who could
    not be read. `repeated` counts the bookings that were listed more than once; each counts once, as it was listed
    first. `lost` counts the parts of the box office that could not be read.
    """

    period: Period
    """The days that you asked for, from `period.first` to `period.last`."""
    bookings: tuple[BookingDonations, ...] = ()
    donors: Mapping[str, Customer] = field(factory=dict)
    gone: Collection[str] = ()
    unread: Mapping[str, TicketSourceError] = field(factory=dict)
    repeated: int = 0
    lost: Lost = field(factory=Lost)

    def rows(self) -> list[DonationRow]:
        """Return a row for each donation and each refund of the period, by day. Rows without a day come last."""
        rows = [
            DonationRow(
                booking=booking,
                line=line,
                donor=self.donors.get(booking.customer_id or ""),
                remark="; ".join(filter(None, (line.remark, self.why_no_donor(booking)))),
            )
            for booking in self.bookings
            for line in booking.lines
            if self.period.has(line.day)
        ]
        return sorted(rows, key=lambda row: (row.line.day is None, row.line.day or date.max))

    def why_no_donor(self, booking: BookingDonations) -> str:
        """Return why the donor of a booking is not known; empty if there is a donor, or if donors were not read."""
        if booking.customer_id is None:
            return "the booking has no customer"
        if booking.customer_id in self.gone:
            return f"customer {booking.customer_id} is no longer in TicketSource"
        if booking.customer_id in self.unread:
            return f"customer {booking.customer_id} could not be read"
        return ""

    def donor_ids(self, *, gift_aid: bool = False) -> list[str]:
        """Return the ids of the donors, each once. `gift_aid` keeps only those with a donation that may be claimed."""
        wanted: dict[str, None] = {}
        for booking in self.bookings:
            lines = [line for line in booking.lines if self.period.has(line.day)]
            if booking.customer_id and any(line.may_be_claimed or not gift_aid for line in lines):
                wanted[booking.customer_id] = None
        return list(wanted)


def donations_of(event: Event, event_date: EventDate, booking: Booking) -> BookingDonations | None:
    """Return the donations of a booking, None if it has none and no line that may be one."""
    found = BookingDonations(
        event=event,
        date=event_date,
        booking_id=booking.id,
        ref=booking.ref,
        customer_id=booking.customer_id,
    )
    if booking.lines is None:
        return evolve(found, has_lines=False, invalid={k: raw for k, raw in booking.invalid.items() if k == "lines"})
    unreadable = _unreadable(booking)
    lines: list[DonationLine] = []
    unknown: list[UnknownLine] = []
    for number, line in enumerate(booking.lines, 1):
        names = unreadable.get(number, set())
        if line.line_type == "DONATION":
            lines.append(_donation_line(number, line, names))
        elif line.line_type not in _OTHER_TYPES:
            day = line.created_at.date() if line.created_at else None
            likely = line.line_type is None or line.donation is not None
            unknown.append(UnknownLine(number=number, day=day, line_type=line.line_type, is_likely=likely))
    if not lines and not unknown:
        return None
    numbers = {*(line.number for line in lines), *(line.number for line in unknown)}
    invalid = {path: raw for path, raw in booking.invalid.items() if _number_in(path) in numbers}
    return _settled(evolve(found, lines=tuple(lines), unknown=tuple(unknown), invalid=invalid))


def _number_in(path: str) -> int | None:
    """Return the number of the line in a path, None if the path is not of a line."""
    at = re.match(r"lines\[([0-9]+)]", path)
    return int(at[1]) + 1 if at else None


def _unreadable(booking: Booking) -> dict[int, set[str]]:
    """Return the dotted paths of the unreadable values of each line, by its number."""
    found: dict[int, set[str]] = {}
    for path in booking.invalid:
        if number := _number_in(path):
            found.setdefault(number, set()).add(path.partition("].")[2])
    return found


def _donation_line(number: int, line: BookingLine, unreadable: Collection[str]) -> DonationLine:
    amount = line.amount.gross if line.amount else None
    remarks: list[str] = []
    kind: Literal["donation", "refund", "unclear"] = "donation"
    if amount is None:
        kind = "unclear"
        remarks.append(
            "its amount could not be read" if {"amount", "amount.gross"} & {*unreadable} else "it has no amount"
        )
    elif amount < 0 or (amount == 0 and line.is_refund):
        kind = "refund"
        if line.is_refund is not True:
            remarks.append("it counts as a refund, since its amount is negative, but it is not marked as one")
    elif lacks_minus(line):
        kind = "unclear"
        remarks.append("it is marked as a refund, but its amount is positive")
    elif amount > 0 and "is_refund" in unreadable:
        kind = "unclear"
        remarks.append("it may be a refund, since that could not be read")
    if line.created_at is None:
        remarks.append("its day could not be read" if "created_at" in unreadable else "it has no day")
    gift_aid_is_unreadable = bool({"donation", "donation.gift_aid"} & {*unreadable})
    if gift_aid_is_unreadable:
        remarks.append("its Gift Aid could not be read")
    return DonationLine(
        number=number,
        kind=kind,
        made_at=line.created_at,
        amount=amount,
        gift_aid=line.donation.gift_aid if line.donation else None,
        gift_aid_is_unreadable=gift_aid_is_unreadable,
        is_refund=True if kind == "refund" else line.is_refund,
        remark="; ".join(remarks),
    )


def _settled(found: BookingDonations) -> BookingDonations:
    """Return the donations of a booking with the refunded part of each, or with the doubt about it."""
    if doubt := _doubt(found):
        return evolve(found, doubt=doubt)
    refunds = [line for line in found.lines if line.kind == "refund" and line.amount]
    left = {line.number: line for line in found.lines if line.kind == "donation" and line.amount}
    if not refunds:
        return found
    if any(line.made_at is None for line in (*refunds, *left.values())):
        return evolve(found, doubt="a donation of the booking was refunded, and the day of a line is not known")
    takes_off: dict[int, tuple[int, ...]] = {}
    for refund in sorted(refunds, key=_moment):
        before = [line for line in left.values() if _moment(line) <= _moment(refund) and line.refunded != line.amount]
        taken = _taken(refund, before)
        if taken is None:
            return evolve(found, doubt=_why_unclear(refund, before))
        left |= {line.number: line for line in taken}
        takes_off[refund.number] = tuple(line.number for line in taken)
    lines = tuple(left.get(line.number, line) for line in found.lines)
    return evolve(found, lines=lines, takes_off=takes_off)


def _moment(line: DonationLine) -> datetime:
    assert line.made_at is not None  # noqa: S101 - `_settled` has checked this
    return line.made_at


def _doubt(found: BookingDonations) -> str:
    """Return why it is not known what was refunded, if the reason is not in a single refund."""
    if unknown := [line.number for line in found.unknown]:
        return f"{_numbered(unknown)} of the booking may be a donation or a refund: its type is not known"
    if unclear := [line.number for line in found.lines if line.kind == "unclear"]:
        return f"{_numbered(unclear)} of the booking may be a refund"
    return ""


def _numbered(numbers: Sequence[int]) -> str:
    return f"line {', '.join(map(str, numbers))}"


def _taken(refund: DonationLine, before: Sequence[DonationLine]) -> list[DonationLine] | None:
    """Return the donations after a refund; None if it is not certain which of them it refunded.

    It is certain if only one donation had something left, or if all that was left was refunded.
    """
    back = _amount(refund).copy_negate()  # `-` would round
    left = [exact_sum((_amount(line), line.refunded.copy_negate())) for line in before]
    if exact_sum(left) == back:
        return [evolve(line, refunded=_amount(line)) for line in before]
    if len(before) == 1 and back < left[0]:
        return [evolve(before[0], refunded=exact_sum((before[0].refunded, back)))]
    return None


def _amount(line: DonationLine) -> Decimal:
    assert line.amount is not None  # noqa: S101 - else its kind would be "unclear"
    return line.amount


def _why_unclear(refund: DonationLine, before: Sequence[DonationLine]) -> str:
    of = f"the refund of {refund.amount:f} on {refund.day}"
    if not before:
        return f"{of} is before the donations of the booking, or more than they were"
    if len(before) == 1:
        return f"{of} is more than was left of the donation"
    return f"{of} may be of line {' or '.join(str(line.number) for line in before)}, and the API does not say of which"
