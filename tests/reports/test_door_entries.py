"""The entries of a door list, and its warnings."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from ticketsource_async import (
    Amount,
    Attendee,
    Booking,
    BookingLine,
    Customer,
    DoorEntry,
    DoorList,
    Event,
    EventDate,
    Fetched,
    InvalidResponse,
    Note,
    NotFound,
    Seat,
    SeatReference,
    ServerError,
    Venue,
)
from ticketsource_async.report_tables import door_list_table
from ticketsource_async.reports.door_list import in_order, refund_of

GONE = Fetched[Any](None, (NotFound("gone", 404, [{"code": "not_found"}]),))
FAILED = Fetched[Any](None, (ServerError("failed"),))
NAMED = Attendee("Dr", "Guy", "Guest", telephone="01632 960009")


def line(gross: str | None, *, refund: bool | None = False, kind: str | None = "TICKETS") -> BookingLine:
    """Return a line of a booking."""
    return BookingLine(kind, is_refund=refund, amount=Amount(gross=None if gross is None else Decimal(gross)))


def seat(number: int = 1, *, cancelled: bool | None = False, attendee: Attendee | None = None) -> Seat:
    """Return a seat in row A."""
    reference = SeatReference("A", str(number))
    return Seat(f"sea-{number}", True, cancelled, reference, "Adult", attendee)


def entry(
    customer: Customer | Fetched[Customer] | None = None,
    seats: Sequence[Seat] | Fetched[Sequence[Seat]] | None = (),
    *,
    ref: str | None = "REF1",
    lines: Sequence[BookingLine] | None = (),
    notes: Fetched[Sequence[Note]] | None = None,
) -> DoorEntry:
    """Return an entry of a booking."""
    return DoorEntry(
        Booking("bkg-1", ref, None if lines is None else tuple(lines)),
        Fetched(customer) if isinstance(customer, Customer) else customer,
        Fetched(seats) if isinstance(seats, list | tuple) else seats,  # type: ignore[arg-type]  # of the sequences
        notes,
    )


def person(last: str | None, first: str | None = None, title: str | None = None, **others: Any) -> Customer:
    """Return a customer."""
    return Customer("cst-1", title=title, first_name=first, last_name=last, **others)


def listed(*entries: DoorEntry, **others: Any) -> DoorList:
    """Return a list with these entries."""
    start = datetime(2026, 1, 3, 19, 30, tzinfo=UTC)
    read_at = datetime(2026, 1, 2, 9, 5, tzinfo=UTC)
    date = EventDate("dat-1", start=start, cancelled=False)
    event, venue = Event("evt-1", "Swan Lane"), Venue("ven-1", "Town Hall")
    return evolve(
        DoorList("dat-1", date, event, venue, entries, (), 0, None, has_seats=True, has_notes=False, read_at=read_at),
        **others,
    )


# Names, and their order


@pytest.mark.parametrize(
    ("customer", "name"),
    [
        (person("Jenkins", "Karl", "Mr"), "Jenkins, Mr Karl"),
        (person(" Jenkins\n", None, None), "Jenkins"),
        (person(None, "Karl"), "Karl"),
        (person("", "Karl", "Mr"), "Mr Karl"),
        (person("山田", "太郎"), "山田, 太郎"),
        (person("<script>", "x"), "<script>, x"),
        (person(None, email="ann@example.com"), "ann@example.com"),
        (person("Lee", invalid={"first_name": 1}), "Lee, (unreadable)"),
        (person(None, "Ann", invalid={"last_name": []}), "(unreadable), Ann"),
        (person(None, invalid={"last_name": []}), "(unreadable)"),
        (person(None, email="ann@example.com", invalid={"last_name": []}), "ann@example.com"),
        (person(None), ""),
        (person("-", "."), "-, ."),
    ],
)
def test_a_booking_is_listed_under_the_surname_of_the_customer(customer: Customer, name: str) -> None:
    """Without a surname, another name or the e-mail is used."""
    assert entry(customer).name == name


@pytest.mark.parametrize("customer", [person(None), person("", " "), GONE, FAILED, None])
def test_a_booking_without_a_booker_name_is_listed_under_the_first_named_attendee(
    customer: Customer | Fetched[Customer] | None,
) -> None:
    """A remark says so. At a door, people do not give their e-mail."""
    guests = [seat(1), seat(3, attendee=Attendee(last_name="Later")), seat(2, attendee=NAMED)]
    of_booker = entry(person("Lee", "Ann"), guests)

    assert entry(customer, guests).name == "Guest, Dr Guy"
    assert "the name is that of an attendee" in entry(customer, guests).remarks
    assert of_booker.name == "Lee, Ann"
    assert of_booker.remarks == ()
    assert of_booker.attendees == "Dr Guy Guest, Later"


def test_the_list_is_sorted_by_surname_without_regard_to_capitals_and_accents() -> None:
    """Spaces and apostrophes do not count either. Entries without a name are at the end."""
    names = [
        *[("Ångström", "A"), ("de Souza", "A"), ("DE SOUZA", "B"), ("McAllister", "A"), ("mcdonald", "Z")],
        *[("O'Neill", "A"), ("O\u2019Neill", "B"), ("ONeill", "C"), ("Øster", "A"), ("Zoe", "A"), ("山田", "A")],
    ]
    people = [entry(person(last, first, "Dr" if first == "A" else None)) for last, first in names]
    nameless = [entry(GONE, ref="A1"), entry(None, ref="B2"), entry(person(None, invalid={"last_name": 1}), ref="C3")]
    same = [entry(person("Zoe", "A", "Dr"), ref="REF0")]

    ordered = in_order([*nameless[::-1], *people[::-1], *same])

    assert list(ordered) == [*people[:9], *same, *people[9:], *nameless]


@pytest.mark.parametrize(
    ("customer", "seats", "telephone"),
    [
        (person("Lee", telephone=" 01632 960001 "), [seat(attendee=NAMED)], "01632 960001"),
        (person("Lee"), [seat(attendee=NAMED)], "01632 960009"),
        (None, [seat(attendee=NAMED)], "01632 960009"),
        (person("Lee", invalid={"telephone": 1.5}), [seat(attendee=NAMED)], "(unreadable)"),
        (person("Lee"), [seat()], ""),
        (GONE, None, ""),
    ],
)
def test_the_telephone_is_that_of_the_booker_or_else_of_an_attendee(
    customer: Customer | Fetched[Customer] | None, seats: Sequence[Seat] | None, telephone: str
) -> None:
    """A telephone that could not be read is marked."""
    assert entry(customer, seats).telephone == telephone


@pytest.mark.parametrize("ref", [None, "", " "])
def test_a_booking_without_a_reference_is_listed_with_its_id(ref: str | None) -> None:
    """The box office can find the booking by its id."""
    assert entry(ref=ref).reference == "bkg-1"


# Refunds, cancelled seats


@pytest.mark.parametrize(
    ("lines", "refund"),
    [
        ([line("25")], None),
        ([line("0")], None),
        ([], None),
        ([line("25"), line("-25", refund=True)], "in full"),
        ([line("25"), line("-10", refund=True)], "in part"),
        ([line("25"), line("-10", refund=True), line("-15", refund=True)], "in full"),
        ([line("25"), line("-25", refund=None)], "unknown"),
        ([line("25"), line("25", refund=True)], "unknown"),  # a refund has a minus
        ([line("25"), line("5", refund=None)], None),
        ([line("25"), line("-25", refund=False)], None),  # such as a voucher
        ([line("25", kind=None), line("-25", refund=True, kind=None)], "in full"),
        ([line("25"), line("5", kind="DONATION"), line("-5", refund=True, kind="DONATION")], None),
        ([line("25"), line("5", kind="DONATION"), line("-25", refund=True)], "in full"),
        ([line("25"), line(None, refund=True)], "unknown"),
        ([line(None), line("-25", refund=True)], "unknown"),
        ([line("25"), line(None, refund=None)], "unknown"),
        ([line(None)], None),
        ([BookingLine("TICKETS")], "unknown"),
        ([line("1E+999999"), line("-1E+999999", refund=True), line("-1", refund=True)], "in full"),
        (None, None),
    ],
)
def test_a_refund_is_derived_from_the_lines_for_tickets(
    lines: Sequence[BookingLine] | None, refund: str | None
) -> None:
    """A line that is not marked as a refund is none, and no amount is guessed."""
    assert refund_of(entry(lines=lines).booking) == refund


def test_lines_that_could_not_be_read_may_have_a_refund() -> None:
    """A remark says so."""
    unread = evolve(entry(), booking=Booking("bkg-1", invalid={"lines": "x"}))

    assert refund_of(unread.booking) == "unknown"
    assert unread.remarks[0] == "refunds could not be read"


REFUNDED = (line("25"), line("-25", refund=True))
SOME = (line("25"), line("-5", refund=True))


@pytest.mark.parametrize(
    ("seats", "lines", "mark", "is_void", "remarks"),
    [
        ([seat()], [line("25")], "", False, ()),
        ([seat(cancelled=True)], REFUNDED, "CANCELLED", True, ("refunded in full",)),
        ([seat(cancelled=True)], [line("25")], "CANCELLED", True, ()),
        ([seat(1, cancelled=True), seat(2)], SOME, "", False, ("refunded in part",)),
        ([seat(1, cancelled=True), seat(2, cancelled=None)], [line("25")], "", False, ()),
        ([seat()], REFUNDED, "REFUNDED", False, ("refunded in full, seats not cancelled",)),
        ([], REFUNDED, "REFUNDED", True, ()),
        (None, REFUNDED, "REFUNDED", True, ()),
        (FAILED, REFUNDED, "REFUNDED", True, ("seats could not be read",)),
        (Fetched([seat(cancelled=True)], ended="x"), [line("25")], "", False, ("some seats could not be read",)),
        ([], [line("25")], "", False, ()),
    ],
)
def test_a_cancelled_or_refunded_booking_is_marked(
    seats: Any, lines: Sequence[BookingLine], mark: str, is_void: bool, remarks: tuple[str, ...]
) -> None:
    """It is not void as long as one seat may be valid."""
    found = entry(person("Lee"), seats, lines=lines)

    assert (found.mark, found.is_void, found.remarks) == (mark, is_void, remarks)


# What is missing


@pytest.mark.parametrize(
    ("found", "lacking", "remarks"),
    [
        (entry(GONE), (), ("this customer is no longer in TicketSource",)),
        (entry(GONE, notes=GONE), (), ("this customer is no longer in TicketSource",)),
        (entry(None), (), ("the booking has no customer",)),
        (entry(person(None)), (), ("the customer has no name",)),
        (entry(FAILED), ("customer",), ("the customer could not be read",)),
        (entry(person("Lee"), FAILED), ("seats",), ("seats could not be read",)),
        (entry(person("Lee"), GONE), ("seats",), ("seats could not be read",)),
        (
            entry(person("Lee"), Fetched([seat()], (InvalidResponse("x"),))),
            ("seats",),
            ("some seats could not be read",),
        ),
        (entry(person("Lee"), Fetched([seat()], ended="x")), ("seats",), ("some seats could not be read",)),
        (entry(person("Lee"), notes=FAILED), ("notes",), ("notes could not be read",)),
        (entry(person("Lee"), notes=Fetched([], ended="x")), ("notes",), ("some notes could not be read",)),
        (
            entry(FAILED, FAILED, notes=FAILED),
            ("customer", "seats", "notes"),
            ("the customer could not be read", "seats could not be read", "notes could not be read"),
        ),
    ],
)
def test_the_remarks_say_which_part_of_a_booking_could_not_be_read(
    found: DoorEntry, lacking: tuple[str, ...], remarks: tuple[str, ...]
) -> None:
    """The entry of a deleted customer is complete: TicketSource has no more."""
    assert (found.lacking, found.remarks) == (lacking, remarks)
    assert listed(found).is_complete == (not lacking)
    assert set(map(id, listed(found).failures())) == set(map(id, found.errors))


def test_a_cell_whose_value_could_not_be_read_is_not_empty() -> None:
    """An empty cell would say that there is no value."""
    unread = entry(person("Lee"), FAILED, notes=FAILED)

    assert (unread.seats_in_words, unread.places, unread.notes_in_words) == (
        "(could not be read)",
        None,
        unread.seats_in_words,
    )
    assert entry(person("Lee"), ()).seats_in_words == "none listed"
    assert entry(person("Lee"), None).seats_in_words == ""


def test_each_note_has_its_own_line() -> None:
    """An empty note is left out."""
    notes = [Note("csn-1", "Leg room "), Note("csn-2", None), Note("csn-3", None, invalid={"description": 1})]

    assert entry(notes=Fetched(notes)).notes_in_words == "Leg room\n(unreadable)"
    assert entry(notes=GONE).notes_in_words == ""


@pytest.mark.parametrize(
    ("others", "warnings", "reminder"),
    [
        ({}, (), "Swan Lane, 2026-01-03 19:30, Town Hall"),
        (
            {"date": EventDate("dat-1", cancelled=True)},
            ("This performance is cancelled.",),
            "Swan Lane, start unknown, Town Hall - CANCELLED",
        ),
        (
            {"date": EventDate("dat-1")},
            ("TicketSource does not say whether this performance is cancelled.",),
            "Swan Lane, start unknown, Town Hall - PERHAPS CANCELLED",
        ),
        (
            {"date": None, "event": None, "venue": None, "errors": FAILED.errors},
            (
                "TicketSource does not say whether this performance is cancelled.",
                "The performance could not be read.",
            ),
            "date dat-1, start unknown - PERHAPS CANCELLED - NOT COMPLETE",
        ),
        (
            {"ended": "it repeats"},
            ("People may be missing: the list of bookings could not be read to its end (it repeats).",),
            "Swan Lane, 2026-01-03 19:30, Town Hall - NOT COMPLETE",
        ),
        (
            {"missing_bookings": 2, "errors": FAILED.errors},
            ("People are missing: 2 bookings could not be read.",),
            "Swan Lane, 2026-01-03 19:30, Town Hall - NOT COMPLETE",
        ),
        (
            {"entries": (entry(FAILED, FAILED, notes=FAILED), entry(person("Lee"), FAILED))},
            (
                "The customer of 1 booking could not be read.",
                "All or some of the seats of 2 bookings could not be read.",
                "All or some of the notes of 1 booking could not be read.",
            ),
            "Swan Lane, 2026-01-03 19:30, Town Hall - NOT COMPLETE",
        ),
    ],
)
def test_a_printed_list_has_its_warnings_and_its_reminder(
    others: dict[str, object], warnings: tuple[str, ...], reminder: str
) -> None:
    """If people may be missing on paper, the paper must say so."""
    found = listed(**others)

    assert found.warnings == warnings
    assert found.reminder == reminder
    printed = door_list_table(found).printed
    assert printed is not None
    assert (printed.warnings, printed.reminder) == (warnings, reminder)


def test_an_unreadable_event_or_venue_is_reported_only_if_the_date_has_one() -> None:
    """A date without a link to one has none."""
    date = EventDate.from_dict(
        {
            "id": "dat-1",
            "cancelled": False,
            "links": {"event": "https://api.example.com/events/evt-1", "venue": "https://api.example.com/venues/ven-1"},
        }
    )

    assert listed(date=date, event=None, venue=None).warnings == (
        "The event could not be read.",
        "The venue could not be read.",
    )
    assert listed(event=None, venue=None).warnings == ()


def test_a_list_says_how_many_bookings_and_places_it_has_and_when_it_was_read() -> None:
    """Unknown places do not count as zero."""
    found = listed(
        entry(person("A"), [seat(1), seat(2), seat(3, cancelled=True)]),
        entry(person("B"), FAILED),
        entry(person("C"), [seat(cancelled=True)]),
    )

    (said,) = found.lines
    assert said == (
        "3 bookings, 2 places besides those of 1 booking that are not known; 1 booking cancelled or refunded. "
        "Read from TicketSource on 2026-01-02 at 09:05. The start is as TicketSource writes it, in UTC+00:00."
    )
    assert listed(entry(seats=None), has_seats=False).lines[0].startswith("1 booking. Read")
    assert listed().lines[0].startswith("0 bookings, 0 places. Read")


@pytest.mark.parametrize(
    ("seats", "notes", "names"),
    [
        (True, True, ["arrived", "name", "ref", "seats", "places", "attendees", "telephone", "notes", "remarks"]),
        (True, False, ["arrived", "name", "ref", "seats", "places", "attendees", "telephone", "remarks"]),
        (False, False, ["arrived", "name", "ref", "telephone", "remarks"]),
    ],
)
def test_a_list_has_the_requested_columns(seats: bool, notes: bool, names: list[str]) -> None:
    """Only files have the ids."""
    table = door_list_table(listed(has_seats=seats, has_notes=notes))

    assert list(table.names) == [*names, "booking_id", "customer_id"]
    assert table.printed is not None
    assert list(table.printed.widths) == names
    assert {name for shown in table.shown for name in shown.names} == set(names)


def test_an_empty_list_says_whether_nobody_has_booked_or_no_booking_could_be_read() -> None:
    """Only the second is a fault."""
    nobody, unread = (door_list_table(one).printed for one in (listed(), listed(ended="x")))

    assert nobody is not None
    assert nobody.if_empty == "Nobody has booked."
    assert unread is not None
    assert unread.if_empty == "Nobody who has booked could be read."
