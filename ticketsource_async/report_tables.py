"""The tables of reports: each column once."""

from collections.abc import Collection
from operator import attrgetter
from typing import Final

from attrs import evolve

from ticketsource_async.models.reader import Kind
from ticketsource_async.models.values import visible
from ticketsource_async.reports.sales import By, Sales, SalesRow
from ticketsource_async.tables import Column, Shown, Table

_MOST_LINES: Final = 20
_MOST_CATEGORIES: Final = 200  # with a column of their own: a sheet has no room for any number
_MOST_LETTERS: Final = 100

# Sales


def _own(kind: Kind, name: str, field: str = "") -> Column[SalesRow]:
    return Column(name, kind, attrgetter(field or name))


_ROW: Final = _own("text", "row", "kind")
_COUNTS: Final[tuple[Column[SalesRow], ...]] = (
    _own("number", "performances"),
    _own("number", "cancelled"),
    _own("number", "perhaps_cancelled"),
    _own("text", "mark"),
)
_SUBJECT: Final[dict[By, tuple[Column[SalesRow], ...]]] = {
    "date": (
        _own("text", "event_id"),
        _own("text", "event"),
        _own("text", "date_id"),
        _own("moment", "start"),
        _own("text", "venue"),
        _own("text", "mark"),
    ),
    "event": (
        _own("text", "event_id"),
        _own("text", "event"),
        _own("moment", "first_start", "start"),
        _own("moment", "last_start"),
        _own("text", "venue"),
        *_COUNTS,
    ),
    "day": (_own("day", "day"), _own("text", "event"), _own("text", "venue"), *_COUNTS),
    "month": (
        Column("month", "text", lambda row: f"{row.day:%Y-%m}" if row.day else None),
        _own("text", "event"),
        _own("text", "venue"),
        *_COUNTS,
    ),
    "sold-day": (_own("day", "sold_day", "day"),),
}
_SUMS: Final[tuple[Column[SalesRow], ...]] = (
    _own("number", "bookings"),
    _own("money", "gross_after_refunds", "gross"),
    _own("money", "discounts"),
    _own("money", "fees"),
    _own("money", "fee_vat"),
    _own("money", "net_after_refunds", "net"),
    _own("money", "refunds"),
    _own("money", "donations"),
    _own("money", "other"),
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
    """Return the table of these sales: the columns depend on what a row is of, and on the price categories."""
    methods = (_own("text", "payment_method"),) if sales.payment_methods else ()
    with_seats = sales.total.seats is not None or any(row.seats is not None for row in sales.rows)
    seats = _seats(sales) if with_seats else []
    subject: tuple[Shown, ...] = {
        "date": (Shown("start"),),
        "event": (Shown("first", ("first_start",)),),
    }.get(sales.by, ())
    shown = (
        *subject,
        *((Shown("paid by", ("payment_method",)),) if methods else ()),
        Shown("bookings"),
        *map(_shown_seats, seats[:2]),
        *_SHOWN_SUMS[:3],
        *map(_shown_seats, seats[3:]),
        *((Shown("mark"),) if sales.by != "sold-day" and any(row.mark for row in sales.rows) else ()),
        *_SHOWN_SUMS[3:],
        *((Shown("last", ("last_start",)),) if sales.by == "event" else ()),
        *((Shown("venue"),) if sales.by in ("date", "event") else ()),
    )
    return Table(
        (
            _ROW,
            *_SUBJECT[sales.by],
            *methods,
            *_SUMS,
            *seats,
            _own("text", "missing"),
        ),
        name="sales",
        shown=shown,
    )


def sales_on_terminal(sales: Sales) -> Table[SalesRow]:
    """Return the table of these sales for people who look at it: a column says what each row is of."""
    table = sales_table(sales)
    heading = {"date": "event", "sold-day": "sold on"}.get(sales.by, sales.by)
    subject = {"date": "event", "sold-day": "sold_day"}.get(sales.by, sales.by)
    value = next(column.get for column in table.columns if column.name == subject)
    label = Column[SalesRow]("label", "text", lambda row: _label(row, value(row)))
    return evolve(
        table,
        columns=(label, *table.columns),
        shown=(Shown(heading, ("label",)), *table.shown),
    )


def missing_lines(sales: Sales) -> list[str]:
    """Return lines for below a table: what each row lacks, at most twenty, and what the total lacks."""
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
    return [*lines, "Other rows may lack what the total is without."] if perhaps else lines


def _label(row: SalesRow, value: object) -> str:
    return "Total" if "total" in row.kind else str(value or "not known")


def _seats(sales: Sales) -> list[Column[SalesRow]]:
    """Return the columns of seats: of all, and of each price category, with those beyond the first ones together."""
    states = ("sold", "cancelled", "unknown")
    named = {category: visible(category) for category in sales.categories if category is not None}
    found: dict[str, list[str | None]] = {}
    for category, name in named.items():
        found.setdefault(f": {name}", []).append(category)
    first = list(found.items())[:_MOST_CATEGORIES]
    groups = {_shortened(name, number): categories for number, (name, categories) in enumerate(first, 1)}
    # These two cannot be the heading of a category, which has a colon.
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
    """Return a heading that every format can have, and no other category has."""
    return heading if len(heading) <= _MOST_LETTERS else f"{heading[:_MOST_LETTERS]}... ({number})"


def _shown_seats(column: Column[SalesRow]) -> Shown:
    return Shown(column.name.removeprefix("seats_"), (column.name,))
