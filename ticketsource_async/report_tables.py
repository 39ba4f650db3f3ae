"""The tables of the reports. Each column is defined once."""

from collections.abc import Collection
from operator import attrgetter
from typing import Final

from attrs import evolve

from ticketsource_async.models.reader import Kind
from ticketsource_async.models.values import escape_controls
from ticketsource_async.reports.donations import DonationRow
from ticketsource_async.reports.door_list import DoorEntry, DoorList
from ticketsource_async.reports.gift_aid import GiftAidRow
from ticketsource_async.reports.sales import By, Sales, SalesRow
from ticketsource_async.tables import Column, Printed, Shown, Table

_MOST_LINES: Final = 20
_MOST_CATEGORIES: Final = 200  # these have a column each; a sheet cannot have any number of columns
_MOST_LETTERS: Final = 100

# Donations


DONATIONS: Final = Table[DonationRow](
    (
        Column("day", "day", lambda row: row.line.day),
        Column("amount", "money", lambda row: row.line.amount),
        Column("gift_aid", "text", lambda row: row.gift_aid),
        Column("is_refund", "yes", lambda row: row.line.is_refund),
        Column("customer_id", "text", lambda row: row.booking.customer_id),
        Column("customer_first_name", "text", lambda row: row.donor.first_name if row.donor else None),
        Column("customer_last_name", "text", lambda row: row.donor.last_name if row.donor else None),
        Column("event_id", "text", lambda row: row.booking.event.id),
        Column("event_name", "text", lambda row: row.booking.event.name),
        Column("date_id", "text", lambda row: row.booking.date.id),
        Column("date_start", "moment", lambda row: row.booking.date.start),
        Column("booking_id", "text", lambda row: row.booking.booking_id),
        Column("ref", "text", lambda row: row.booking.ref),
        Column("line", "number", lambda row: row.line.number),
        Column("remark", "text", lambda row: row.remark),
    ),
    name="donations",
    shown=(
        Shown("day"),
        Shown("donor", ("customer_first_name", "customer_last_name")),
        Shown("amount"),
        Shown("gift aid"),
        Shown("ref"),
        Shown("event name"),
        Shown("remark"),
    ),
)
"""The columns of donations: a row for each `DonationRow`."""

_HMRC: Final[tuple[Column[GiftAidRow], ...]] = (
    Column("Title", "text", lambda row: row.title),
    Column("First name or initial", "text", lambda row: row.first_name),
    Column("Last name", "text", lambda row: row.last_name),
    Column("House name or number", "text", lambda row: row.house),
    Column("Postcode", "text", lambda row: row.postcode),
    Column("Aggregated donations", "text", lambda _: ""),  # for one row of several donors
    Column("Sponsored event", "text", lambda _: ""),
    Column("Donation date", "text", lambda row: row.donation_date),
    Column("Amount", "money", lambda row: row.amount),
)
"""The columns of HMRC's spreadsheet in its order. The numbers of the rows are left out: it has them already."""

_HMRC_SHOWN: Final = (
    Shown("donor", ("Title", "First name or initial", "Last name")),
    Shown("house", ("House name or number",)),
    Shown("postcode", ("Postcode",)),
    Shown("date", ("Donation date",)),
    Shown("amount", ("Amount",)),
)

GIFT_AID_SCHEDULE: Final = Table[GiftAidRow](_HMRC, name="schedule", shown=_HMRC_SHOWN)
"""The columns of HMRC's schedule of donations."""

GIFT_AID_TO_COMPLETE: Final = Table[GiftAidRow](
    (
        *_HMRC,
        Column("To complete", "text", lambda row: row.to_complete),
        Column("Customer id", "text", lambda row: row.booking.customer_id),
        Column("Booking", "text", lambda row: row.booking.ref),
        Column("Booking id", "text", lambda row: row.booking.booking_id),
        Column("Line", "number", lambda row: row.line.number),
    ),
    name="to complete",
    shown=(Shown("to complete", ("To complete",)), *_HMRC_SHOWN, Shown("booking", ("Booking",))),
)
"""The columns of the rows that lack something for the schedule."""


# Sales


def _field_column(kind: Kind, name: str, field: str = "") -> Column[SalesRow]:
    """Return the column of a field of the row. By default it has the name of the field."""
    return Column(name, kind, attrgetter(field or name))


_ROW: Final = _field_column("text", "row", "kind")
_COUNTS: Final[tuple[Column[SalesRow], ...]] = (
    _field_column("number", "performances"),
    _field_column("number", "cancelled"),
    _field_column("number", "perhaps_cancelled"),
    _field_column("text", "mark"),
)
_SUBJECT: Final[dict[By, tuple[Column[SalesRow], ...]]] = {
    "date": (
        _field_column("text", "event_id"),
        _field_column("text", "event"),
        _field_column("text", "date_id"),
        _field_column("moment", "start"),
        _field_column("text", "venue"),
        _field_column("text", "mark"),
    ),
    "event": (
        _field_column("text", "event_id"),
        _field_column("text", "event"),
        _field_column("moment", "first_start", "start"),
        _field_column("moment", "last_start"),
        _field_column("text", "venue"),
        *_COUNTS,
    ),
    "day": (_field_column("day", "day"), _field_column("text", "event"), _field_column("text", "venue"), *_COUNTS),
    "month": (
        Column("month", "text", lambda row: f"{row.day:%Y-%m}" if row.day else None),
        _field_column("text", "event"),
        _field_column("text", "venue"),
        *_COUNTS,
    ),
    "sold-day": (_field_column("day", "sold_day", "day"),),
}
_SUMS: Final[tuple[Column[SalesRow], ...]] = (
    _field_column("number", "bookings"),
    _field_column("money", "gross_after_refunds", "gross"),
    _field_column("money", "discounts"),
    _field_column("money", "fees"),
    _field_column("money", "fee_vat"),
    _field_column("money", "net_after_refunds", "net"),
    _field_column("money", "refunds"),
    _field_column("money", "donations"),
    _field_column("money", "other"),
    Column("other_types", "text", lambda row: ", ".join(row.other_types)),
)
_SHOWN_SUMS: Final = (
    Shown("gross after refunds"),
    Shown("refunds"),
    Shown("net after refunds"),
    Shown("donations"),
    Shown("other"),
    Shown("fees"),
    Shown("fee vat"),
    Shown("discounts"),
)


def sales_table(sales: Sales) -> Table[SalesRow]:
    """Return the table of these sales. Its columns depend on what a row is, and on the price categories."""
    methods = (_field_column("text", "payment_method"),) if sales.payment_methods else ()
    with_seats = sales.total.seats is not None or any(row.seats is not None for row in sales.rows)
    seats = _seats(sales) if with_seats else []
    of_all = seats[:3] if any(seats[2].get(row) for row in sales.rows if seats) else seats[:2]
    subject: tuple[Shown, ...] = {
        "date": (Shown("start"),),
        "event": (Shown("first start"),),
    }.get(sales.by, ())
    shown = (
        *subject,
        *((Shown("payment method"),) if methods else ()),
        Shown("bookings"),
        *map(_shown_seats, of_all),
        *_SHOWN_SUMS[:3],
        *map(_shown_seats, seats[3:]),
        *((Shown("mark"),) if sales.by != "sold-day" and any(row.mark for row in sales.rows) else ()),
        *_SHOWN_SUMS[3:],
        *((Shown("last start"),) if sales.by == "event" else ()),
        *((Shown("venue"),) if sales.by in ("date", "event") else ()),
    )
    return Table(
        (
            _ROW,
            *_SUBJECT[sales.by],
            *methods,
            *_SUMS,
            *seats,
            _field_column("text", "missing"),
        ),
        name="sales",
        shown=shown,
    )


def sales_on_terminal(sales: Sales) -> Table[SalesRow]:
    """Return the table of these sales for a terminal. One column says what each row is."""
    table = sales_table(sales)
    heading = {"date": "event", "sold-day": "sold day"}.get(sales.by, sales.by)
    subject = {"date": "event", "sold-day": "sold_day"}.get(sales.by, sales.by)
    value = next(column.get for column in table.columns if column.name == subject)
    label = Column[SalesRow]("label", "text", lambda row: _label(row, value(row)))
    return evolve(
        table,
        columns=(label, *table.columns),
        shown=(Shown(heading, ("label",)), *table.shown),
    )


def missing_lines(sales: Sales) -> list[str]:
    """Return the lines below a table: what each row lacks, for at most twenty rows, and what the total lacks."""
    table = sales_on_terminal(sales)
    label = table.columns[0].get
    perhaps = [row for row in sales.rows if row.missing.startswith("perhaps ")]
    lines = []
    for row in (*sales.rows, *sales.method_totals, sales.total):
        start = row.start if sales.by == "date" else None
        of = [label(row), start and f"{start:%Y-%m-%d %H:%M}", row.payment_method]
        if row.missing and not (row in perhaps and ";" not in row.missing):
            lines.append(f"{', '.join(str(one) for one in of if one)}: {row.missing}.")
    if len(lines) > _MOST_LINES + 1:
        lines[_MOST_LINES:-1] = [f"{len(lines) - _MOST_LINES - 1:,} more rows lack something."]
    return [*lines, "Other rows may lack the same as the total."] if perhaps else lines


def _label(row: SalesRow, value: object) -> str:
    return "Total" if "total" in row.kind else str(value or "not known")


def _seats(sales: Sales) -> list[Column[SalesRow]]:
    """Return the columns of seats: for all, for each price category, and for all after `_MOST_CATEGORIES` together."""
    states = ("sold", "cancelled", "unknown")
    named = {category: escape_controls(category) for category in sales.categories if category is not None}
    found: dict[str, list[str | None]] = {}
    for category, name in named.items():
        found.setdefault(f": {name}", []).append(category)
    first = list(found.items())[:_MOST_CATEGORIES]
    groups = {_shortened(name, number): categories for number, (name, categories) in enumerate(first, 1)}
    # No category has these two headings: the heading of a category has a colon.
    if rest := list(found.values())[_MOST_CATEGORIES:]:
        groups[", other categories"] = [category for categories in rest for category in categories]
    if None in sales.categories:
        groups[", category not known"] = [None]
    columns = [_seat_column(f"seats_{state}", state, sales.categories) for state in states]
    for name, categories in groups.items():
        of_group = [_seat_column(f"{state}{name}", state, categories) for state in states]
        columns += of_group if any(of_group[2].get(row) for row in sales.rows) else of_group[:2]
    return columns


def _seat_column(name: str, state: str, categories: Collection[str | None]) -> Column[SalesRow]:
    def count(row: SalesRow) -> int | None:
        if row.seats is None:
            return None
        counts: list[int] = [getattr(row.seats[one], state) for one in categories if one in row.seats]
        return sum(counts)

    return Column(name, "number", count)


def _shortened(heading: str, number: int) -> str:
    """Return a heading that every format can write and that differs from those of other categories."""
    return heading if len(heading) <= _MOST_LETTERS else f"{heading[:_MOST_LETTERS]}... ({number})"


def _shown_seats(column: Column[SalesRow]) -> Shown:
    return Shown(column.name.replace("seats_", "seats "), (column.name,))


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
        Shown("arrived"),
        Shown("remarks"),
        Shown("telephone"),
        Shown("attendees"),
        Shown("places"),
        Shown("notes"),
    ),
)
"""All columns. `door_list_table` returns the columns of one list and the texts of its page."""


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
