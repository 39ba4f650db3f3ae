"""The tables of reports: each column once."""

from operator import attrgetter
from typing import Final

from attrs import evolve

from ticketsource_async.models.reader import Kind
from ticketsource_async.reports.sales import By, Sales, SalesRow, SeatCount
from ticketsource_async.tables import Column, Shown, Table

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
    Shown("bookings"),
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
    rows = (*sales.rows, sales.total)
    subject: tuple[Shown, ...] = {
        "date": (Shown("start"),),
        "event": (Shown("first", ("first_start",)), Shown("last", ("last_start",))),
    }.get(sales.by, ())
    shown = (
        *subject,
        *((Shown("paid by", ("payment_method",)),) if methods else ()),
        *((Shown("missing"),) if any(row.missing for row in rows) else ()),
        *_SHOWN_SUMS[:4],
        *((Shown("sold", ("seats_sold",)), Shown("cancelled", ("seats_cancelled",))) if with_seats else ()),
        *((Shown("mark"),) if sales.by != "sold-day" and any(row.mark for row in rows) else ()),
        *_SHOWN_SUMS[4:],
        *((Shown("venue"),) if sales.by in ("date", "event") else ()),
    )
    return Table(
        (
            _ROW,
            *_SUBJECT[sales.by],
            *methods,
            *_SUMS,
            *(_seats(sales) if with_seats else ()),
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

    def label(row: SalesRow) -> str:
        return "Total" if "total" in row.kind else str(value(row) or "not known")

    return evolve(
        table,
        columns=(Column("label", "text", label), *table.columns),
        shown=(Shown(heading, ("label",)), *table.shown),
    )


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


def _sum_of(row: SalesRow, name: str) -> int | None:
    return None if row.seats is None else sum(getattr(count, name) for count in row.seats.values())


def _any_unknown(sales: Sales, category: str | None) -> bool:
    return any(row.seats.get(category, SeatCount()).unknown for row in sales.rows if row.seats is not None)
