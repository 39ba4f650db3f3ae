"""The tables of the reports of a box office: each column once."""

from typing import Final

from attrs import evolve

from ticketsource_async.reports.door_list import DoorEntry, DoorList
from ticketsource_async.tables import Column, Printed, Shown, Table

# Door lists


_DOOR_WIDTHS: Final = {
    "arrived": 9,
    "name": 22,
    "ref": 9,
    "seats": 24,
    "places": 7,
    "attendees": 20,
    "telephone": 16,
    "notes": 18,
    "remarks": 18,
}

DOOR_LIST: Final = Table[DoorEntry](
    (
        Column("arrived", "text", lambda entry: entry.mark),
        Column("name", "text", lambda entry: entry.name),
        Column("ref", "text", lambda entry: entry.reference),
        Column("seats", "text", lambda entry: entry.seats_in_words),
        Column("places", "number", lambda entry: entry.places),
        Column("attendees", "text", lambda entry: entry.attendees),
        Column("telephone", "text", lambda entry: entry.telephone),
        Column("notes", "text", lambda entry: entry.notes_in_words),
        Column("remarks", "text", lambda entry: "; ".join(entry.remarks)),
        Column("booking_id", "text", lambda entry: entry.booking.id),
        Column("customer_id", "text", lambda entry: entry.booking.customer_id),
    ),
    name="door list",
    shown=(
        Shown("name"),
        Shown("ref"),
        Shown("seats"),
        Shown("mark", ("arrived",)),
        Shown("remarks"),
        Shown("telephone"),
        Shown("attendees"),
        Shown("places"),
        Shown("notes"),
    ),
)
"""All columns; `door_list_table` has those of a list, and what its page says."""


def door_list_table(found: DoorList) -> Table[DoorEntry]:
    """Return the table of a door list, for its `entries`."""
    left_out = set[str]()
    if not found.has_seats:
        left_out |= {"seats", "places", "attendees"}
    if not found.has_notes:
        left_out |= {"notes"}
    printed = Printed[DoorEntry](
        found.title,
        {name: width for name, width in _DOOR_WIDTHS.items() if name not in left_out},
        found.lines,
        found.warnings,
        found.reminder,
        ticked="arrived",
        of_row="name",
        is_void=lambda entry: entry.is_void,
        if_empty="Nobody has booked." if found.is_complete else "Nobody who has booked could be read.",
    )
    return evolve(
        DOOR_LIST,
        columns=tuple(column for column in DOOR_LIST.columns if column.name not in left_out),
        shown=tuple(shown for shown in DOOR_LIST.shown if left_out.isdisjoint(shown.names)),
        printed=printed,
    )
