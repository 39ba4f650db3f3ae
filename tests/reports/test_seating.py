"""The seats of a booking, as people at a door read them."""

from collections.abc import Sequence

import pytest

from ticketsource_async import Attendee, Company, Seat, SeatReference
from ticketsource_async.reports import seating


def seat(
    row: str | None = None,
    number: str | None = None,
    category: str | None = "Adult",
    *,
    cancelled: bool | None = False,
    attendee: Attendee | None = None,
    invalid: dict[str, object] | None = None,
) -> Seat:
    """Return a seat that is booked."""
    return Seat(
        f"sea-{row}{number}",
        is_booked=True,
        is_cancelled=cancelled,
        reference=SeatReference(row, number),
        price_category=category,
        attendee=attendee,
        invalid=invalid or {},
    )


def in_row(row: str, *numbers: int, category: str | None = "Adult") -> list[Seat]:
    """Return seats of a row."""
    return [seat(row, str(number), category) for number in numbers]


@pytest.mark.parametrize(
    ("seats", "said"),
    [
        ([], ""),
        ([*in_row("A", 1, 2), *in_row("B", 4, category="Child")], "A1, A2 Adult; B4 Child"),
        (in_row("A", 3, 1, 2), "A1-A3 Adult"),
        (in_row("A", 10, 9, 2, 1), "A1, A2, A9, A10 Adult"),
        ([*in_row("C", *range(1, 21)), *in_row("D", *range(1, 21))], "C1-C20, D1-D20 Adult"),
        ([*in_row("A", 1, 2, 3, 5, 6, 7, 9)], "A1-A3, A5-A7, A9 Adult"),
        (in_row("A", 1, 1, 2), "A1, A1, A2 Adult"),
        (in_row("Stalls A", 1, 2, 3), "Stalls A1-Stalls A3 Adult"),
        (in_row("12", 3), "row 12 seat 3 Adult"),
        (in_row("12", 3, 4, 5), "row 12 seats 3-5 Adult"),
        ([seat("A", "L1"), seat("A", "07"), seat("A", "1" * 50)], f"A07, A{'1' * 50}, row A seat L1 Adult"),
        ([seat("A"), seat(None, "7"), seat(" A ", " 1 ")], "seat 7, row A, A1 Adult"),
        ([seat(), seat(), seat(category="Child")], "2 x Adult; 1 x Child"),
        ([seat(category=None), seat(category="")], "2 places"),
        ([seat(category=None)], "1 place"),
        ([seat("A", "1", None)], "A1"),
        ([seat("", ""), seat("A", "1")], "A1 Adult; 1 x Adult"),
        ([seat("A", "1"), seat("A", "2", cancelled=True)], "A1 Adult; cancelled: A2 Adult"),
        ([seat(cancelled=True), seat("B", "1", "Child", cancelled=True)], "cancelled: 1 x Adult, B1 Child"),
        ([seat("A", "1"), seat("A", "2", cancelled=None)], "A1 Adult; to check: A2 Adult"),
    ],
)
def test_seats_are_written_by_category_and_in_their_order(seats: Sequence[Seat], said: str) -> None:
    """Unallocated seats are counted. Cancelled seats and seats to check come at the end."""
    assert seating.in_words(seats) == said


@pytest.mark.parametrize("path", ["reference", "reference.row", "reference.seat"])
def test_an_unreadable_seat_does_not_count_as_unallocated(path: str) -> None:
    """The text says that it is unreadable."""
    said = seating.in_words([seat(invalid={path: 7}), seat("A", "1"), seat()])

    assert said == "A1, seat (unreadable) Adult; 1 x Adult"


def test_an_unreadable_category_does_not_count_as_missing() -> None:
    """Somebody at the door may ask for a student card."""
    said = seating.in_words([seat("A", "1", None, invalid={"price_category": {}}), seat("A", "2")])

    assert said == "A1 category (unreadable); A2 Adult"


def test_a_seat_without_a_reference_counts_as_unallocated() -> None:
    """The API sends such seats for some events."""
    assert seating.in_words([Seat("sea-1", is_booked=True, is_cancelled=False)]) == "1 place"


def test_only_sold_seats_count_as_places() -> None:
    """If the state of a seat is not known, neither is the number."""
    assert seating.places([seat(), seat(), seat(cancelled=True)]) == 2
    assert seating.places([seat(), seat(cancelled=None)]) is None
    assert seating.places([]) == 0


@pytest.mark.parametrize(
    ("attendee", "invalid", "name"),
    [
        (Attendee("Dr", " Ann\n", "Lee"), {}, "Dr Ann Lee"),
        (Attendee(last_name="Lee"), {}, "Lee"),
        (Attendee(company=Company("The Firm", "Head")), {}, "The Firm"),
        (Attendee(first_name="Ann", company=Company("The Firm", "Head")), {}, "Ann"),
        (Attendee(first_name="Ann"), {"attendee.last_name": 1}, "Ann (unreadable)"),
        (None, {"attendee": 1}, "(unreadable)"),
        (Attendee(first_name=" ", last_name=""), {}, ""),
        (None, {}, ""),
    ],
)
def test_an_attendee_has_the_name_that_the_booker_gave(
    attendee: Attendee | None, invalid: dict[str, object], name: str
) -> None:
    """It is one line. Without a name, it is that of the company."""
    assert seating.attendee_name(seat("A", "1", attendee=attendee, invalid=invalid)) == name


def test_attendees_are_in_the_order_of_their_seats_without_cancelled_ones() -> None:
    """A seat without a name is left out."""
    seats = [
        seat("B", "10", attendee=Attendee(last_name="Third")),
        seat("B", "2", attendee=Attendee(last_name="Second")),
        seat("A", "9", attendee=Attendee(last_name="First")),
        seat("A", "1", attendee=Attendee(last_name="Nobody"), cancelled=True),
        seat("A", "2"),
    ]

    assert [seating.attendee_name(one) for one in seating.attendees(seats)] == ["First", "Second", "Third"]
