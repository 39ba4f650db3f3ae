"""The tables of the warehouse: their columns, how rows are loaded, and which rows are there already."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import dlt
import pyarrow as pa
from attrs import frozen
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ticketsource_async import (
    Booking,
    BookingLine,
    ConfigurationError,
    Customer,
    Event,
    EventDate,
    Note,
    NotFound,
    Record,
    Seat,
    TicketSource,
    Venue,
)
from ticketsource_async.record_tables import LINES, TABLES
from ticketsource_async.tables import Column, columns

Row = dict[str, Any]
In = TypeVar("In")

# dlt warns for each table that JSON is text in Arrow.
logging.getLogger("dlt").addFilter(lambda record: "several column hints were different" not in record.getMessage())

TYPES = {
    "day": pa.date32(),
    "yes": pa.bool_(),
    "moment": pa.timestamp("us", "UTC"),
    "number": pa.int64(),
    "money": pa.decimal128(38, 18),  # PHP may write money with 17 decimals
}
OF_RECORDS = {"read_at": "moment", "extra": "json", "invalid": "json"}
OF_LINES = {"booking_id": "text", "line": "number", "read_at": "moment"}
OF_UNREAD = {"read_at": "moment", "resource": "text", "part": "text", "error": "text", "message": "text"}


@frozen
class Kind:
    """A table: its columns, the kinds of other columns, and the column by which `gone` deletes rows."""

    columns: tuple[Column[Any], ...] = ()
    taken_by: str = "id"
    besides: Mapping[str, str] = OF_RECORDS
    has_history: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        return {**{column.name: column.kind for column in self.columns}, **self.besides}

    @property
    def schema(self) -> pa.Schema:
        version = [pa.field("row_version", pa.string(), nullable=False)] if self.has_history else []
        return pa.schema([*((name, TYPES.get(kind, pa.string())) for name, kind in self.kinds.items()), *version])


KINDS = {
    "customers": Kind(TABLES[Customer].columns, has_history=True),
    "notes": Kind(TABLES[Note].columns, "customer_id"),
    "events": Kind(TABLES[Event].columns),
    "venues": Kind(TABLES[Venue].columns),
    "dates": Kind(TABLES[EventDate].columns),
    "bookings": Kind(TABLES[Booking].columns),
    "booking_lines": Kind((*LINES.columns, *columns(BookingLine, "created_at", "updated_at")), "booking_id", OF_LINES),
    "seats": Kind(TABLES[Seat].columns, "booking_id"),
    "unread": Kind(besides=OF_UNREAD),
}


def to_table(name: str, rows: Iterable[Row], *, snapshot: bool) -> Any:
    """Return rows for dlt. It makes the table even if there are none.

    They are an Arrow table, which keeps the types of columns with only NULL, and does not change texts.
    """
    kind = KINDS[name]
    hints: Any = {column: {"data_type": "json"} for column, type_ in kind.kinds.items() if type_ == "json"}
    disposition: Any = "append"
    if not snapshot and name != "unread":
        # Only rows that a run has read are replaced. A row without `read_at` deletes rows.
        taken = f"{kind.taken_by} IN (SELECT {kind.taken_by} FROM {{staging_table}} WHERE read_at IS NULL)"  # noqa: S608 - our own names
        read = "id IN (SELECT id FROM {staging_table})"
        disposition = {
            "disposition": "merge",
            "strategy": "delete-insert",
            "source_filter": "read_at IS NOT NULL",
            "destination_scope": f"({taken} OR {read})" if "id" in kind.kinds else taken,
        }
        if kind.has_history:
            disposition |= {"strategy": "scd2", "row_version_column_name": "row_version"}
    kept = [row for row in rows if not snapshot or row.get("read_at") is not None]
    return dlt.mark.with_hints(
        pa.Table.from_pylist(kept, kind.schema),
        dlt.mark.make_hints(table_name=name, columns=hints, write_disposition=disposition),
        create_table_variant=True,
    )


def gone(name: str, key: str) -> Row:
    """Return a row that deletes all rows of a table with this key; for a customer it ends the history."""
    return {KINDS[name].taken_by: key, "row_version": f"gone: {key}"}


def row_of(name: str, record: Record, read_at: datetime) -> Row:
    """Return the row of a record."""
    row, unfit = values_of(name, record)
    if isinstance(record, Booking):
        for index, line in enumerate(record.lines or ()):
            unfit |= {f"lines[{index}].{column}": raw for column, raw in values_of("booking_lines", line)[1].items()}
    row |= {
        "extra": as_json(dict(extras(record.to_dict()))),
        "invalid": as_json({**record.invalid, **unfit}),
    }
    if KINDS[name].has_history:
        row["row_version"] = sha256(json.dumps(row, default=str, sort_keys=True).encode()).hexdigest()
    return {**row, "read_at": read_at}


def lines_of(booking: Booking, read_at: datetime) -> Iterator[Row]:
    """Yield the rows of the lines of a booking; `extra` and `invalid` of them are in the row of the booking."""
    for number, line in enumerate(booking.lines or (), 1):
        yield {**values_of("booking_lines", line)[0], "booking_id": booking.id, "line": number, "read_at": read_at}


def values_of(name: str, item: object) -> tuple[Row, Row]:
    """Return the values of the columns, and the amounts that do not fit into their columns."""
    row, unfit = Row(), Row()
    for column in KINDS[name].columns:
        value = column.get(item)
        if isinstance(value, str):
            value = without_refused(value)
        elif isinstance(value, datetime):
            value = in_utc(value)  # otherwise the same moment could be another version
        elif isinstance(value, Decimal) and not fits(value):
            unfit[column.name], value = str(value), None
        row[column.name] = value
    return row, unfit


def without_refused(text: str) -> str:
    """Return a text with U+FFFD for each character that a database refuses."""
    return re.sub("[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar, where an hour does not matter
        return moment.replace(tzinfo=UTC)


def fits(amount: Decimal) -> bool:
    """Return whether an amount is exact in its column."""
    try:
        with localcontext(prec=60):
            return amount == amount.quantize(Decimal("1e-18")) and abs(amount) < Decimal("1e20")
    except InvalidOperation:
        return False


def extras(data: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the unknown attributes of a record and its parts, by their dotted path."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name == "extra":
                yield from ((path + inner, found) for inner, found in value.items())
            elif name != "invalid":
                yield from extras(value, f"{path}{name}.")
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from extras(value, f"{path.rstrip('.')}[{index}].")


def as_json(value: Mapping[str, object]) -> str | None:
    return json.dumps(storable(value), ensure_ascii=False, sort_keys=True) if value else None


def storable(value: object) -> object:
    if isinstance(value, str):
        return without_refused(value)
    if isinstance(value, Mapping):
        return {without_refused(name): storable(inner) for name, inner in value.items()}
    return [storable(inner) for inner in value] if isinstance(value, list | tuple) else value


def customers_in_warehouse(which: str = "") -> list[str]:
    """Return the customers with a valid row."""
    query = f"SELECT id FROM customers WHERE _dlt_valid_to IS NULL {which}"  # noqa: S608 - as above
    return [row[0] for row in ask(query)]


def bookings_in_warehouse(dates: Sequence[str]) -> dict[str, list[str]]:
    """Return the bookings for each of these dates."""
    found: dict[str, list[str]] = {}
    for some in in_batches(dates, 1000):
        query = f"SELECT id, date_id FROM bookings WHERE date_id IN ({', '.join(['%s'] * len(some))})"  # noqa: S608 - as above
        for booking, event_date in ask(query, *some):
            found.setdefault(event_date, []).append(booking)
    return found


def ask(query: str, *values: str) -> list[Any]:
    """Return the rows of a query, or none if the table does not exist yet."""
    with dlt.current.pipeline().sql_client() as sql:
        try:
            return list(sql.execute_sql(query, *values) or ())
        except DatabaseUndefinedRelation:
            return []


def in_batches(items: Sequence[In], size: int) -> Iterator[Sequence[In]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def box_office() -> str:
    """Return a text that identifies a box office, without its key."""
    key = os.environ.get("TICKETSOURCE_API_KEY") or Path(os.environ["TICKETSOURCE_API_KEY_FILE"]).read_text()
    return sha256(f"{os.environ.get('TICKETSOURCE_BASE_URL')} {key.strip()}".encode()).hexdigest()


async def check_key(ts: TicketSource) -> None:
    """Raise `ConfigurationError` if a new key finds none of a hundred customers of the warehouse."""
    some = customers_in_warehouse("ORDER BY random() LIMIT 100")
    errors = list[Exception]()
    async with ts.customers.get_many(some) as asked:
        async for outcome in asked:
            if outcome.error is None:
                return
            if not is_gone(outcome.error):
                errors.append(outcome.error)
    if errors:
        raise errors[0]
    if some:
        raise ConfigurationError(
            f"None of {len(some)} customers of this warehouse is known to this API key: set TICKETSOURCE_API_KEY and "
            "TICKETSOURCE_BASE_URL to those of their box office, or load another box office into another dataset by "
            "another pipeline."
        )


def is_gone(error: Exception | None) -> bool:
    """Return whether the API itself says that there is no such record. A 404 may also be of a gateway."""
    return isinstance(error, NotFound) and error.is_from_api
