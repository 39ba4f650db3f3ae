"""What the lines of bookings come to. A sum that lacks an amount is not known, and what it lacks is counted."""

from collections import Counter
from decimal import MAX_PREC, Decimal, localcontext
from typing import Final

from attrs import define, field

from ticketsource_async._words import counted
from ticketsource_async.models import Booking, BookingLine

SUMS: Final = ("gross", "discounts", "fees", "fee_vat", "net", "refunds", "donations", "other")
"""The sums over lines: the first six over those of tickets, see `SalesRow`."""

_NO_TYPE: Final = "a type"
_NO_WORD: Final = "a word on whether it is a refund"
_NO_LINES: Final = "lines"


@define
class Sums:
    """Sums over lines so far.

    What is in `unknown` is not known. `lacking` says how many lines are without what, `types` which types of lines are
    in `other`.
    """

    bookings: int = 0
    amounts: dict[str, Decimal] = field(factory=lambda: dict.fromkeys(SUMS, Decimal(0)))
    unknown: set[str] = field(factory=set)
    lacking: Counter[str] = field(factory=Counter)
    types: set[str] = field(factory=set)

    def add(self, booking: Booking, number: int) -> None:
        """Add the line of a booking that has this number, counted from 0."""
        line = (booking.lines or ())[number]
        lacks = set[str]()
        with localcontext(prec=MAX_PREC):  # exact, with any precision that the program has set
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
        """Add other sums, but not the number of their bookings, which may be the same ones."""
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


def _parts(booking: Booking, number: int, line: BookingLine) -> dict[str, tuple[Decimal | None, str]]:
    """Return what a line adds to each sum, None for what is not known, and what is missing then."""
    amount = line.amount
    gross = (None if amount is None else amount.gross), "gross"
    if not line.line_type:
        return dict.fromkeys(SUMS, (None, _NO_TYPE))
    if line.line_type != "TICKETS":
        return {"donations" if line.line_type == "DONATION" else "other": gross}
    parts: dict[str, tuple[Decimal | None, str]] = {
        "gross": gross,
        "discounts": (_discounts(booking, number, line), "discounts"),
        "fees": (None if amount is None else amount.fee, "a fee"),
        "fee_vat": (None if amount is None else amount.fee_vat, "VAT of the fee"),
        "net": (None if amount is None else amount.net, "net"),
    }
    if line.is_refund:
        parts["refunds"] = gross
    elif line.is_refund is None and (gross[0] is None or gross[0] < 0):
        parts["refunds"] = None, _NO_WORD
    return parts


def _discounts(booking: Booking, number: int, line: BookingLine) -> Decimal | None:
    """Return what was taken off; None if an amount is missing. Without a code, nothing was taken off by one."""
    found = None if line.amount is None else line.amount.discounts
    if found is None or found.automatic is None:
        return None
    code = found.code
    if code is None or not (code.description or code.amount is not None):
        at = f"lines[{number}].amount.discounts.code"
        reads = not any(path == at or path.startswith(f"{at}.") for path in booking.invalid)
        return found.automatic if reads else None
    return None if code.amount is None else found.automatic + code.amount
