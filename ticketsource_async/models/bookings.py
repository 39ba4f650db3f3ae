"""Bookings with their lines and money, and seats."""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import MAX_PREC, Decimal, localcontext
from typing import ClassVar

import attrs

from ticketsource_async.models.base import Part, Record, last_segment


@attrs.frozen
class DiscountCode(Part):
    """The discount that a code gave."""

    description: str | None = None
    """The text about the code."""
    amount: Decimal | None = None
    """The discount."""


@attrs.frozen
class Discounts(Part):
    """The discounts on a price: the `automatic` one, and the one by a `code`."""

    automatic: Decimal | None = None
    code: DiscountCode | None = None


@attrs.frozen
class Amount(Part):
    """Money exactly as the API writes it, in the currency of the box office.

    `net` is `gross` - `fee` - `fee_vat`.
    """

    gross: Decimal | None = None
    fee: Decimal | None = None
    fee_vat: Decimal | None = None
    net: Decimal | None = None
    discounts: Discounts | None = None


@attrs.frozen
class Donation(Part):
    """The extra data of a line that is a donation."""

    gift_aid: bool | None = None
    """Whether the donor said yes to Gift Aid; None is neither yes nor no."""


@attrs.frozen
class BookingLine(Part):
    """One line of a booking; a refund is a line of its own with negative amounts.

    `line_type` ("TICKETS", "DONATION", "SUNDRY") and `payment_method` may have other values than the documented ones.
    """

    line_type: str | None = None
    payment_method: str | None = None
    is_refund: bool | None = None
    """Whether the line is a refund."""
    amount: Amount | None = None
    """The money of the line."""
    donation: Donation | None = None
    """Set for a donation."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen
class BookingConsent(Part):
    """The consents that were given with this booking: by `email`, by `post` and by `sms`.

    None is neither yes nor no. `third_party` is what the API says about the consent for a third party.
    """

    third_party: str | None = None
    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None


@attrs.frozen
class Totals(Part):
    """The sums over the lines of a booking: `gross`, `fee`, `fee_vat`, `net`, `refunds` and `donations`.

    A sum is None if one of its amounts is missing. `refunds` is also None if the `is_refund` of a line could not be
    read, `donations` if the `line_type` of a line could not be read. It is then not known which lines belong to it.
    """

    gross: Decimal | None
    fee: Decimal | None
    fee_vat: Decimal | None
    net: Decimal | None
    refunds: Decimal | None
    donations: Decimal | None


@attrs.frozen
class Booking(Record):
    """A booking. Its lines have the money (see `totals`), its links the customer and the date."""

    API_TYPE: ClassVar[str] = "booking"
    ID_PREFIX: ClassVar[str] = "bkg-"

    ref: str | None = None
    """The reference of the booking."""
    lines: tuple[BookingLine, ...] | None = None
    """The lines: tickets, donations, refunds and others."""
    consent: BookingConsent | None = None
    """The consents that were given with it."""
    user_booked_by: str | None = None
    """What the API says about the user who made the booking."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def customer_id(self) -> str | None:
        """The id of the customer who booked, read from `links.customer`; None without that link."""
        return last_segment(self.links.customer)

    @property
    def date_id(self) -> str | None:
        """The id of the date of the booking, read from `links.date`; None without that link."""
        return last_segment(self.links.date)

    def totals(self) -> Totals:
        """Return the sums over all lines, including the negative amounts of refunds.

        `refunds` is the gross of the lines that are refunds, so it is negative. `donations` is the gross of the lines
        of type "DONATION".
        """
        if (lines := self.lines) is None:
            return Totals(None, None, None, None, None, None)
        return Totals(
            gross=_sum(lines, "gross"),
            fee=_sum(lines, "fee"),
            fee_vat=_sum(lines, "fee_vat"),
            net=_sum(lines, "net"),
            refunds=_sum([line for line in lines if line.is_refund], "gross") if self._can_read("is_refund") else None,
            donations=_sum([line for line in lines if line.line_type == "DONATION"], "gross")
            if self._can_read("line_type")
            else None,
        )

    def _can_read(self, name: str) -> bool:
        """Say whether a field could be read in every line."""
        return not any(re.fullmatch(rf"lines\[[0-9]+](\.{name})?", path) for path in self.invalid)


def _sum(lines: Iterable[BookingLine], name: str) -> Decimal | None:
    total = Decimal(0)
    for line in lines:
        part: Decimal | None = getattr(line.amount, name, None)
        if part is None:
            return None
        with localcontext(prec=MAX_PREC):  # the sum is exact with any precision that the program has set
            total += part
    return total


@attrs.frozen
class SeatReference(Part):
    """The `row` and the number (`seat`) of a seat; both are None while the seat is not allocated."""

    row: str | None = None
    seat: str | None = None


@attrs.frozen
class Company(Part):
    """The company of an attendee, and the attendee's title there."""

    name: str | None = None
    """The name of the company."""
    title: str | None = None
    """The title of the attendee there."""


@attrs.frozen
class Attendee(Part):
    """The person in a seat, if the box office asks for attendees."""

    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company: Company | None = None
    telephone: str | None = None
    email: str | None = None


@attrs.frozen
class Seat(Record):
    """A seat or a place of a booking."""

    API_TYPE: ClassVar[str] = "seat"
    ID_PREFIX: ClassVar[str] = "sea-"

    is_booked: bool | None = None
    """Whether the seat is booked."""
    is_cancelled: bool | None = None
    """Whether it is cancelled."""
    reference: SeatReference | None = None
    price_category: str | None = None
    """The name of the price category."""
    attendee: Attendee | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def booking_id(self) -> str | None:
        """The id of the booking of the seat, read from `links.booking`; None without that link."""
        return last_segment(self.links.booking)
