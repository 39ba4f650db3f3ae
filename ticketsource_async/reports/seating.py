"""Count the seats of a booking, and write them in words for the staff at the door."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, Literal

from attrs import frozen

from ticketsource_async.models import Attendee, Seat

SeatState = Literal["sold", "cancelled"]

UNREADABLE: Final = "(unreadable)"
_SHORTEST_RUN: Final = 3


def state_of(seat: Seat) -> SeatState | None:
    """Return the state of a seat; None if the API's `is_booked` and `is_cancelled` do not say it."""
    if seat.is_cancelled:
        return "cancelled"
    return "sold" if seat.is_booked and seat.is_cancelled is False else None


def in_words(seats: Sequence[Seat]) -> str:
    """Return the seats by price category: `A1, A2 Adult; B4 Child; 2 x Concession; cancelled: A3 Adult`.

    Three or more seats in a row are written as `A1-A3`. Unallocated seats are counted. Cancelled seats, and seats for
    which the API does not say whether they are cancelled, come last.
    """
    sold, cancelled, unclear = (
        list(_by_category([seat for seat in seats if state_of(seat) == state])) for state in ("sold", "cancelled", None)
    )
    if unclear:
        sold.append(f"to check: {', '.join(unclear)}")
    if cancelled:
        sold.append(f"cancelled: {', '.join(cancelled)}")
    return "; ".join(sold)


def places(seats: Sequence[Seat]) -> int | None:
    """Return how many seats are sold and not cancelled; None if this is not known for a seat."""
    states = [state_of(seat) for seat in seats]
    return None if None in states else states.count("sold")


def attendees(seats: Sequence[Seat]) -> list[Seat]:
    """Return the seats that are not cancelled and have an attendee with a name, in the order of `in_words`."""
    taken = [seat for seat in seats if state_of(seat) != "cancelled" and attendee_name(seat)]
    return sorted(taken, key=lambda seat: _order(_label(seat)))


def attendee_name(seat: Seat) -> str:
    """Return the name of an attendee, else that of the company, else an empty text."""
    person = seat.attendee or Attendee()
    name = words(person.title, person.first_name, person.last_name)
    if not name and person.company:
        name = words(person.company.name)
    unread = any(path in ("attendee", "attendee.first_name", "attendee.last_name") for path in seat.invalid)
    return words(name, UNREADABLE) if unread else name


def words(*texts: str | None) -> str:
    """Return texts in one line, with one space between two words."""
    return " ".join(" ".join(filter(None, texts)).split())


@frozen
class _Label:
    """The row and the seat as texts, and the number of the seat if it has one."""

    row: str = ""
    seat: str = ""
    is_unreadable: bool = False

    @property
    def number(self) -> int | None:
        return int(self.seat) if self.row and re.fullmatch("[1-9][0-9]{0,5}", self.seat) else None

    @property
    def is_short(self) -> bool:
        """Whether row and seat can be written together: A and 12 as A12, but not 1 and 12 as 112."""
        return bool(re.fullmatch(r".*[^\W\d_]", self.row)) and bool(re.match(r"\d", self.seat))

    def __str__(self) -> str:
        if self.is_unreadable:
            return f"seat {UNREADABLE}"
        if self.is_short:
            return f"{self.row}{self.seat}"
        return words(self.row and f"row {self.row}", self.seat and f"seat {self.seat}")


def _label(seat: Seat) -> _Label:
    if any(path.partition(".")[0] == "reference" for path in seat.invalid):
        return _Label(is_unreadable=True)
    reference = seat.reference
    return _Label() if reference is None else _Label(words(reference.row), words(reference.seat))


def _order(label: _Label) -> tuple[list[tuple[int, int, str]], ...]:
    """Return a key that sorts B2 before B10 and unallocated seats last."""
    rank = 2 if label.is_unreadable else 0 if label.row or label.seat else 1
    parts = (
        [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d{1,9}|\D+", text)]
        for text in (label.row.casefold(), label.seat.casefold())
    )
    return ([(rank, 0, "")], *parts)


def _by_category(seats: Sequence[Seat]) -> Iterator[str]:
    """Yield the seats of each price category, in the order in which the categories first appear."""
    by_category: dict[str, list[_Label]] = {}
    for seat in seats:
        category = f"category {UNREADABLE}" if "price_category" in seat.invalid else words(seat.price_category)
        by_category.setdefault(category, []).append(_label(seat))
    for category, labels in by_category.items():
        known = sorted((label for label in labels if str(label)), key=_order)
        if known:
            yield words(", ".join(_runs(known)), category)
        if free := len(labels) - len(known):
            yield f"{free} x {category}" if category else f"{free} place{'s' * (free != 1)}"


def _runs(labels: Sequence[_Label]) -> Iterator[str]:
    """Yield the labels in order. Seats next to each other in a row give one label."""

    def run_of(numbered: tuple[int, _Label]) -> tuple[str, int | None, bool, int | None]:
        place, label = numbered
        number = label.number
        return (
            (label.row, None, label.is_short, place)
            if number is None
            else (label.row, number - place, label.is_short, None)
        )

    for _, group in groupby(enumerate(labels), run_of):
        run = [label for _, label in group]
        if len(run) < _SHORTEST_RUN:
            yield from map(str, run)
        elif run[0].is_short:
            yield f"{run[0]}-{run[-1]}"
        else:
            yield f"row {run[0].row} seats {run[0].seat}-{run[-1].seat}"
