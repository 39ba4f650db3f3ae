"""The tables of reports: each column once."""

from operator import attrgetter
from typing import Final

from attrs import evolve

from ticketsource_async.models.reader import Kind
from ticketsource_async.models.values import visible
from ticketsource_async.reports.sales import By, Sales, SalesRow, SeatCount
from ticketsource_async.tables import Column, Shown, Table

_MOST_LINES: Final = 20

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
        "event": (Shown("first", ("first_start",)), Shown("last", ("last_start",))),
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
    """Return the columns of seats: of all, and of each price category."""

    def of_all(name: str) -> Column[SalesRow]:
        return Column(f"seats_{name}", "number", lambda row: _sum_of(row, name))

    def of_one(name: str, category: str | None, heading: str) -> Column[SalesRow]:
        def count(row: SalesRow) -> int | None:
            return None if row.seats is None else getattr(row.seats.get(category, SeatCount()), name)

        return Column(heading, "number", count)

    names = ("sold", "cancelled", "unknown")
    by_category = [
        # The second heading is that of no category, whatever the categories are called.
        of_one(name, category, f"{name}: {category}" if category else f"{name}, category not known")
        for category in sales.categories
        for name in names[: 3 if _any_unknown(sales, category) else 2]
    ]
    return [*map(of_all, names), *by_category]


def _shown_seats(column: Column[SalesRow]) -> Shown:
    return Shown(visible(column.name.removeprefix("seats_")), (column.name,))


def _sum_of(row: SalesRow, name: str) -> int | None:
    return None if row.seats is None else sum(getattr(count, name) for count in row.seats.values())


def _any_unknown(sales: Sales, category: str | None) -> bool:
    return any(row.seats.get(category, SeatCount()).unknown for row in sales.rows if row.seats is not None)
