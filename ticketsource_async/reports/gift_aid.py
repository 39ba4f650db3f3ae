"""Make HM Revenue & Customs' schedule of donations with Gift Aid, and list the rows to complete first.

The rules are those of HMRC's guidance ("Schedule spreadsheet to claim back tax on Gift Aid donations") and of the
service that checks the spreadsheets (github.com/hmrc/charities-claims-validation, GiftAidValidationService).
"""

import re
from datetime import date
from decimal import Decimal
from typing import Final
from unicodedata import normalize

from attrs import frozen

from ticketsource_async.models import Address, Customer
from ticketsource_async.reports.donations import BookingDonations, DonationLine, Donations
from ticketsource_async.reports.sums import exact_sum, total

MOST_ROWS: Final = 1_000
"""The rows that one schedule may have."""

_MOST_OF_A_NAME: Final = 35
_MOST_OF_A_HOUSE: Final = 40
_MOST_MONEY: Final = Decimal("9999999999999.99")
_FIRST_DAY: Final = date(2000, 1, 1)  # the schedule has two digits for the year
_TITLE: Final = re.compile("[A-Za-z][A-Za-z'-]{1,3}")
_POSTCODE: Final = re.compile(
    "GIR 0AA|(?:[A-Z][0-9][0-9]?|[A-Z][A-HJ-Y][0-9][0-9]?|[A-Z][0-9][A-Z]|[A-Z][A-HJ-Y][0-9]?[A-Z]) [0-9][A-Z]{2}"
)
_DROPPED: Final = re.compile(r"[^\x20-\x7e\xa1-\xff]")  # HMRC drops these letters: it reads Łukasz as ukasz
# The apostrophes and hyphens that phone keyboards type. HMRC would drop them.
_TYPED: Final = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "‐": "-", "‑": "-", "–": "-"})  # noqa: RUF001


@frozen(kw_only=True)
class GiftAidRow:
    """A row of the schedule, with the cells in HMRC's form.

    `to_complete` says what the row lacks; it is empty for a row of the schedule, whose `amount` has two decimals.
    """

    booking: BookingDonations
    line: DonationLine
    title: str = ""
    first_name: str = ""
    last_name: str = ""
    house: str = ""
    """The name or number of the house."""
    postcode: str = ""
    amount: Decimal | None = None
    to_complete: str = ""

    @property
    def donation_date(self) -> str:
        """The day as DD/MM/YY, empty if it is not known."""
        return f"{self.line.day:%d/%m/%y}" if self.line.day else ""


@frozen(kw_only=True)
class GiftAidSchedule:
    """The schedule of a period, the rows to complete, and what is in neither.

    The sums of `rows`, of `to_complete` and of `refunded` together are the sum of the donations with Gift Aid.
    `refunded` is the refunded amount. `no_answer` counts the donations without a yes or a no to Gift Aid. `titles` are
    the titles that HMRC would refuse; they are left out of the rows. `earlier` has the bookings with a refund in the
    period that gives back, or may give back, a donation from outside the period. Only donations with Gift Aid count.
    """

    rows: tuple[GiftAidRow, ...] = ()
    to_complete: tuple[GiftAidRow, ...] = ()
    refunded: Decimal = Decimal(0)
    no_answer: int = 0
    titles: int = 0
    earlier: tuple[BookingDonations, ...] = ()

    @property
    def sum(self) -> Decimal:
        """The sum of the schedule."""
        return total(row.amount for row in self.rows) or Decimal(0)

    @property
    def earliest(self) -> GiftAidRow | None:
        """The row with the earliest day, which the spreadsheet asks for; None without rows."""
        return self.rows[0] if self.rows else None


@frozen
class _Donor:
    """The cells of a donor, and what is missing in them."""

    title: str = ""
    first_name: str = ""
    last_name: str = ""
    house: str = ""
    postcode: str = ""
    lacks: tuple[str, ...] = ()
    has_other_title: bool = False


def gift_aid_schedule(donations: Donations, today: date) -> GiftAidSchedule:
    """Return the schedule for the donations of a period. HMRC accepts no day after `today`.

    Only a yes to Gift Aid counts. Refunds are taken off, also those after the period.
    """
    made: list[GiftAidRow] = []
    refunded: list[Decimal] = []
    no_answer = 0
    titles: set[str] = set()
    for booking in donations.bookings:
        for line in booking.lines:
            if not donations.period.has(line.day):
                continue
            if line.kind == "donation" and line.gift_aid is None and not line.gift_aid_is_unreadable and line.amount:
                no_answer += 1
            if line.gift_aid is True or line.gift_aid_is_unreadable:
                refunded.append(line.refunded)
            if line.may_be_claimed:
                donor = _donor_of(donations, booking)
                made.append(_row(booking, line, donor, today))
                if donor.has_other_title and booking.customer_id:
                    titles.add(booking.customer_id)
    made.sort(key=lambda row: (row.line.day is None, row.line.day or date.max))
    return GiftAidSchedule(
        rows=tuple(row for row in made if not row.to_complete),
        to_complete=tuple(row for row in made if row.to_complete),
        refunded=exact_sum(refunded),
        no_answer=no_answer,
        titles=len(titles),
        earlier=tuple(booking for booking in donations.bookings if _refunds_earlier(donations, booking)),
    )


def _row(booking: BookingDonations, line: DonationLine, donor: _Donor, today: date) -> GiftAidRow:
    lacks = [booking.doubt] if booking.doubt else []
    if line.gift_aid_is_unreadable:
        lacks.append("its Gift Aid could not be read")
    if line.day is None:
        lacks.append("the day of the donation is not known")
    elif not _FIRST_DAY <= line.day <= today:
        lacks.append(f"HMRC takes no donation made on {line.day}")
    amount = total((line.amount, line.refunded.copy_negate()))
    if amount is None:
        lacks.append("the amount of the donation is not known")
    elif (pounds := _in_pence(amount)) is None:
        lacks.append(f"the amount {amount:f} is not in pounds and pence")
    else:
        amount = pounds
    return GiftAidRow(
        booking=booking,
        line=line,
        title=donor.title,
        first_name=donor.first_name,
        last_name=donor.last_name,
        house=donor.house,
        postcode=donor.postcode,
        amount=amount,
        to_complete="; ".join((*lacks, *donor.lacks)),
    )


def _in_pence(amount: Decimal) -> Decimal | None:
    """Return an amount with two decimals; None if it has more decimals or is too large."""
    whole, _, pence = f"{amount:f}".partition(".")
    if amount > _MOST_MONEY or pence[2:].strip("0"):
        return None
    return Decimal(f"{whole}.{pence[:2]:0<2}")


def _refunds_earlier(donations: Donations, booking: BookingDonations) -> bool:
    """Say whether a refund in the period is, or may be, of a donation with Gift Aid outside the period."""
    outside = {
        line.number
        for line in booking.lines
        if line.gift_aid is not False and line.kind == "donation" and not donations.period.has(line.day)
    }
    refunds = [line for line in booking.lines if line.kind == "refund" and donations.period.has(line.day)]
    return any(outside.intersection(booking.takes_off.get(refund.number, outside)) for refund in refunds)


# Donors


def _donor_of(donations: Donations, booking: BookingDonations) -> _Donor:
    customer = donations.donors.get(booking.customer_id or "")
    if customer is None:
        return _Donor(lacks=(donations.why_no_donor(booking) or "the donor is not known",))
    address = customer.address or Address()
    title = _tidy(customer.title).removesuffix(".")
    first_name, last_name = _tidy(customer.first_name), _without_hyphens(_tidy(customer.last_name))
    house, postcode = _tidy(address.line_1), _spaced(address.postcode)
    lacks = (
        _wrong_with(customer, "first_name", first_name, _MOST_OF_A_NAME),
        _wrong_with(customer, "last_name", last_name, _MOST_OF_A_NAME),
        _wrong_with(customer, "address.line_1", house, _MOST_OF_A_HOUSE),
        _wrong_with(customer, "address.postcode", postcode) or _wrong_with_postcode(postcode),
    )
    is_taken = not title or _TITLE.fullmatch(title) is not None
    return _Donor(
        title=title if is_taken else "",
        first_name=first_name,
        last_name=last_name,
        house=house,
        postcode=postcode,
        lacks=tuple(filter(None, lacks)),
        has_other_title=not is_taken,
    )


def _tidy(text: str | None) -> str:
    """Return a text in one line, with letters, apostrophes and hyphens in the form that HMRC accepts."""
    return " ".join(normalize("NFC", text or "").translate(_TYPED).split())


def _without_hyphens(last_name: str) -> str:
    """Return a surname as HMRC asks for it: with a space instead of a hyphen."""
    return " ".join(last_name.replace("-", " ").split())


def _spaced(postcode: str | None) -> str:
    """Return a postcode in capitals with its space. A text that is no postcode of the United Kingdom stays as it is."""
    joined = re.sub(r"\s", "", _tidy(postcode)).upper()
    spaced = f"{joined[:-3]} {joined[-3:]}"
    return spaced if _POSTCODE.fullmatch(spaced) else _tidy(postcode)


_CALLED: Final = {
    "first_name": "first name",
    "last_name": "last name",
    "address.line_1": "first address line",
    "address.postcode": "postcode",
}


def _wrong_with(customer: Customer, path: str, text: str, most: int | None = None) -> str:
    """Return why HMRC would not accept the text of a field; empty if it would."""
    what = _CALLED[path]
    if not text:
        is_unreadable = bool({path, path.partition(".")[0]} & customer.invalid.keys())
        return f"the {what} could not be read" if is_unreadable else f"the {what} is missing"
    if most is not None and len(text) > most:
        return f"the {what} has {len(text)} characters, but HMRC takes only {most}"
    if dropped := dict.fromkeys(_DROPPED.findall(text)):
        named = [letter if letter.isprintable() else f"U+{ord(letter):04X}" for letter in dropped]
        return f"the {what} has letters that HMRC drops: {' '.join(named)}"
    return ""


def _wrong_with_postcode(postcode: str) -> str:
    if _POSTCODE.fullmatch(postcode):
        return ""
    return f"{postcode} is not a postcode of the United Kingdom (write X for a donor who lives abroad)"
