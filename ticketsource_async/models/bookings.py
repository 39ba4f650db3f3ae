"""What was sold: bookings with their lines and money, and seats."""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import MAX_PREC, Decimal, localcontext
from typing import ClassVar

import attrs

from ticketsource_async.models.base import Part, Record, last_segment


@attrs.frozen
class DiscountCode(Part):
    """A discount by a code."""

    description: str | None = None
    amount: Decimal | None = None


@attrs.frozen
class Discounts(Part):
    """What was taken off: by itself, and by a code."""

    automatic: Decimal | None = None
    code: DiscountCode | None = None


@attrs.frozen
class Amount(Part):
    """Money exactly as written by the API, in the currency of the box office; net = gross - fee - fee_vat."""

    gross: Decimal | None = None
    fee: Decimal | None = None
    fee_vat: Decimal | None = None
    net: Decimal | None = None
    discounts: Discounts | None = None


@attrs.frozen
class Donation(Part):
    """What is particular to a line that is a donation."""

    gift_aid: bool | None = None


@attrs.frozen
class BookingLine(Part):
    """One line of a booking; a refund is a line of its own with negative amounts.

    `line_type` ("TICKETS", "DONATION", "SUNDRY") and `payment_method` are open sets.
    """

    line_type: str | None = None
    payment_method: str | None = None
    is_refund: bool | None = None
    amount: Amount | None = None
    donation: Donation | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen
class BookingConsent(Part):
    """What was agreed to with this booking; None is neither yes nor no."""

    third_party: str | None = None
    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None


@attrs.frozen
class Totals(Part):
    """Sums over the lines of a booking; None where an amount is missing, or it is not known whether one belongs there.

    `refunds` is None if it could not be read of a line whether it is a refund, `donations` if its type could not.
    """

    gross: Decimal | None
    fee: Decimal | None
    fee_vat: Decimal | None
    net: Decimal | None
    refunds: Decimal | None
    donations: Decimal | None


@attrs.frozen
class Booking(Record):
    """A booking; what it comes to is in its lines (see `totals`), who made it and for which date in its links."""

    API_TYPE: ClassVar[str] = "booking"
    ID_PREFIX: ClassVar[str] = "bkg-"

    ref: str | None = None
    lines: tuple[BookingLine, ...] | None = None
    consent: BookingConsent | None = None
    user_booked_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def customer_id(self) -> str | None:
        """The customer who booked, read from `links.customer`; None without that link."""
        return last_segment(self.links.customer)

    @property
    def date_id(self) -> str | None:
        """The date booked for, read from `links.date`; None without that link."""
        return last_segment(self.links.date)

    def totals(self) -> Totals:
        """Return the sums over all lines, refunds taken off.

        `refunds` is the gross of the lines that are refunds, so negative, `donations` that of the lines of type
        "DONATION".
        """
        if (lines := self.lines) is None:
            return Totals(None, None, None, None, None, None)
        return Totals(
            gross=_sum(lines, "gross"),
            fee=_sum(lines, "fee"),
            fee_vat=_sum(lines, "fee_vat"),
            net=_sum(lines, "net"),
            refunds=_sum([line for line in lines if line.is_refund], "gross") if self._reads("is_refund") else None,
            donations=_sum([line for line in lines if line.line_type == "DONATION"], "gross")
            if self._reads("line_type")
            else None,
        )

    def _reads(self, name: str) -> bool:
        """Say whether a field could be read in every line."""
        return not any(re.fullmatch(rf"lines\[[0-9]+](\.{name})?", path) for path in self.invalid)


def _sum(lines: Iterable[BookingLine], name: str) -> Decimal | None:
    total = Decimal(0)
    for line in lines:
        part: Decimal | None = getattr(line.amount, name, None)
        if part is None:
            return None
        with localcontext(prec=MAX_PREC):  # exact, with any precision that the program has set
            total += part
    return total


@attrs.frozen
class SeatReference(Part):
    """Which seat it is; both are None while it is not allocated."""

    row: str | None = None
    seat: str | None = None


@attrs.frozen
class Company(Part):
    """Whom an attendee comes for, and as what."""

    name: str | None = None
    title: str | None = None


@attrs.frozen
class Attendee(Part):
    """Who sits there, if the box office asks for that."""

    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company: Company | None = None
    telephone: str | None = None
    email: str | None = None


@attrs.frozen
class Seat(Record):
    """A seat, or a place, of a booking."""

    API_TYPE: ClassVar[str] = "seat"
    ID_PREFIX: ClassVar[str] = "sea-"

    is_booked: bool | None = None
    is_cancelled: bool | None = None
    reference: SeatReference | None = None
    price_category: str | None = None
    attendee: Attendee | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def booking_id(self) -> str | None:
        """The booking it belongs to, read from `links.booking`; None without that link."""
        return last_segment(self.links.booking)
