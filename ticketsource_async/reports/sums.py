"""Add up the lines of bookings. A sum that lacks an amount is not known; what is missing is counted."""

from collections import Counter
from collections.abc import Iterable
from decimal import MAX_PREC, Decimal, localcontext
from typing import Final

from attrs import define, field

from ticketsource_async._words import counted
from ticketsource_async.models import Booking, BookingLine

SUMS: Final = ("gross", "discounts", "fees", "fee_vat", "net", "refunds", "donations", "other")
"""The names of the sums over lines; the first six are over lines of tickets, see `SalesRow`."""

_OF_TYPE: Final = {"TICKETS": SUMS[:6], "DONATION": ("donations",)}  # all others are in `other`
_NO_TYPE: Final = "a type"
_NO_WORD: Final = "a word on whether it is a refund"
_NO_MINUS: Final = "the minus of a refund"
_NO_LINES: Final = "lines"


@define
class Sums:
    """The sums over the lines added so far.

    The sums in `unknown` are not known. `lacking` counts the lines by what they lack. `types` has the types of the
    lines in `other`.
    """

    bookings: int = 0
    amounts: dict[str, Decimal] = field(factory=lambda: dict.fromkeys(SUMS, Decimal(0)))
    unknown: set[str] = field(factory=set)
    lacking: Counter[str] = field(factory=Counter)
    types: set[str] = field(factory=set)

    def add(self, booking: Booking, number: int) -> None:
        """Add the line with this number, from 0, of a booking."""
        line = (booking.lines or ())[number]
        lacks = set[str]()
        with localcontext(prec=MAX_PREC):  # exact, whatever precision the program has set
            for name, (value, what) in _parts(booking, number, line).items():
                if value is not None:
                    self.amounts[name] += value
                else:
                    self.unknown.add(name)
                    lacks.add(what)
        self.lacking.update(lacks)
        if line.line_type and line.line_type not in ("TICKETS", "DONATION"):
            self.types.add(line.line_type)

    def add_without_lines(self) -> None:
        """Add a booking whose lines are not known."""
        self.unknown.update(SUMS)
        self.lacking[_NO_LINES] += 1

    def merge(self, other: "Sums") -> None:
        """Add other sums, without their number of bookings: they may be the same bookings."""
        with localcontext(prec=MAX_PREC):
            for name, amount in other.amounts.items():
                self.amounts[name] += amount
        self.unknown |= other.unknown
        self.lacking.update(other.lacking)
        self.types |= other.types

    def known(self) -> dict[str, Decimal | None]:
        """Return the sums, None for each that is not known."""
        return {name: None if name in self.unknown else amount for name, amount in self.amounts.items()}

    def missing(self) -> list[str]:
        """Return what is missing, in words: "2 lines without gross"."""
        return [
            f"{counted(count, 'booking' if what == _NO_LINES else 'line')} without {what}"
            for what, count in sorted(self.lacking.items())
        ]


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum, whatever precision the program has set."""
    with localcontext(prec=MAX_PREC):
        return sum(amounts, Decimal(0))


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the exact sum; None if an amount is missing."""
    found = [*amounts]
    known = [amount for amount in found if amount is not None]
    return exact_sum(known) if len(known) == len(found) else None


def gross_of(line: BookingLine) -> Decimal | None:
    """Return the gross of a line, None if it is not known."""
    return None if line.amount is None else line.amount.gross


def lacks_minus(line: BookingLine) -> bool:
    """Say whether a line is marked as a refund but has a positive amount. It is not known which of the two is right."""
    return line.is_refund is True and (gross_of(line) or 0) > 0


def is_refund(line: BookingLine) -> bool | None:
    """Say whether the API marks a line for tickets as a refund; None if that is not known."""
    if lacks_minus(line):
        return None
    gross = gross_of(line)
    return None if line.is_refund is None and (gross is None or gross < 0) else bool(line.is_refund)


def _parts(booking: Booking, number: int, line: BookingLine) -> dict[str, tuple[Decimal | None, str]]:
    """Return what a line adds to each sum, or None and what is missing."""
    amount = line.amount
    if not line.line_type:
        return dict.fromkeys(SUMS, (None, _NO_TYPE))
    gross = gross_of(line), "gross"
    names = _OF_TYPE.get(line.line_type, ("other",))
    if lacks_minus(line):
        return dict.fromkeys(names, (None, _NO_MINUS))
    if line.line_type != "TICKETS":
        return dict.fromkeys(names, gross)
    parts: dict[str, tuple[Decimal | None, str]] = {
        "gross": gross,
        "discounts": (_discounts(booking, number, line), "discounts"),
        "fees": (None if amount is None else amount.fee, "a fee"),
        "fee_vat": (None if amount is None else amount.fee_vat, "VAT of the fee"),
        "net": (None if amount is None else amount.net, "net"),
    }
    if (refunded := is_refund(line)) is not False:
        parts["refunds"] = gross if refunded else (None, _NO_WORD)
    return parts


def _discounts(booking: Booking, number: int, line: BookingLine) -> Decimal | None:
    """Return the discounts of a line; None if an amount is missing. Without a code, its discount is 0."""
    found = None if line.amount is None else line.amount.discounts
    if found is None or found.automatic is None:
        return None
    code = found.code
    if code is None or not (code.description or code.amount is not None):
        at = f"lines[{number}].amount.discounts.code"
        reads = not any(path == at or path.startswith(f"{at}.") for path in booking.invalid)
        return found.automatic if reads else None
    return None if code.amount is None else found.automatic + code.amount
