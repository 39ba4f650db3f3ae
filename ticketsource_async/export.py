"""Customers, bookings and the programme as flat rows, and the writers of CSV, JSON, JSON Lines and Parquet.

What a file holds is decided here; where it goes, and who is in it, is the caller's.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import BinaryIO, Final, Protocol, TextIO

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.models import (
    Address,
    Amount,
    Booking,
    BookingConsent,
    BookingLine,
    Consent,
    Customer,
    DiscountCode,
    Discounts,
    Donation,
    Event,
    EventDate,
    Membership,
    Venue,
)

COLUMNS: Final = (
    "id",
    "title",
    "first_name",
    "last_name",
    "address_line_1",
    "address_line_2",
    "address_line_3",
    "address_line_4",
    "address_postcode",
    "telephone",
    "email",
    "membership_identifier",
    "membership_start_date",
    "membership_end_date",
    "consent_email",
    "consent_post",
    "consent_sms",
    "created_at",
    "updated_at",
)
"""The header of the CSV. Columns are only ever added at the end."""

BOOKING_COLUMNS: Final = (
    *("event_id", "event_name", "date_id", "date_start", "booking_id", "ref", "customer_id", "user_booked_by"),
    *("line", "line_type", "payment_method", "is_refund", "gross", "fee", "fee_vat", "net", "discount_automatic"),
    *("discount_code", "discount_code_amount", "gift_aid", "consent_third_party", "consent_email", "consent_post"),
    *("consent_sms", "created_at", "updated_at"),
)
"""The header of the bookings, one row a line; a booking without lines has one row. Columns are only ever added."""

PROGRAMME_COLUMNS: Final = (
    *("event_id", "event_name", "category", "genre", "date_id", "start", "end", "doors_open", "on_sale", "public"),
    *("cancelled", "venue_id", "venue_name", "venue_postcode", "book_now"),
)
"""The header of the programme. Columns are only ever added at the end."""


class _Record(Protocol):
    def to_dict(self) -> dict[str, object]: ...


Value = str | bool | int | date | Decimal | None

_ROWS_A_GROUP: Final = 10_000
_FORMULA_STARTS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the last four are full-width forms of the first four
_NUMBER_OR_PHONE: Final = re.compile(r"[+-]?[\d\s().-]+")


def flat(customer: Customer) -> tuple[str, ...]:
    """Return the cells of a customer, one for each of `COLUMNS`; what is None is an empty cell."""
    return tuple(map(_cell, values_of(customer)))


def values_of(customer: Customer) -> tuple[Value, ...]:
    """Return the values of a customer, one for each of `COLUMNS`."""
    address = customer.address or Address()
    membership = customer.membership or Membership()
    consent = customer.consent or Consent()
    return (
        *(customer.id, customer.title, customer.first_name, customer.last_name),
        *(address.line_1, address.line_2, address.line_3, address.line_4, address.postcode),
        *(customer.telephone, customer.email),
        *(membership.identifier, membership.start_date, membership.end_date),
        *(consent.email, consent.post, consent.sms),
        *(customer.created_at, customer.updated_at),
    )


def booking_rows(event: Event, event_date: EventDate, booking: Booking) -> list[tuple[Value, ...]]:
    """Return the rows of a booking, one for each line, by `BOOKING_COLUMNS`."""
    consent = booking.consent or BookingConsent()
    rows: list[tuple[Value, ...]] = []
    for number, line in enumerate(booking.lines or (BookingLine(),), 1):
        amount = line.amount or Amount()
        discounts = amount.discounts or Discounts()
        code = discounts.code or DiscountCode()
        rows.append(
            (
                *(event.id, event.name, event_date.id, event_date.start, booking.id, booking.ref),
                *(booking.customer_id, booking.user_booked_by, number if booking.lines else None),
                *(line.line_type, line.payment_method, line.is_refund),
                *(amount.gross, amount.fee, amount.fee_vat, amount.net),
                *(discounts.automatic, code.description, code.amount, (line.donation or Donation()).gift_aid),
                *(consent.third_party, consent.email, consent.post, consent.sms),
                *(booking.created_at, booking.updated_at),
            )
        )
    return rows


def programme_row(event: Event, event_date: EventDate, venue: Venue | None) -> tuple[Value, ...]:
    """Return the row of a date, by `PROGRAMME_COLUMNS`."""
    at = venue or Venue(id="")
    return (
        *(event.id, event.name, event.category, event.genre),
        *(event_date.id, event_date.start, event_date.end, event_date.doors_open),
        *(event_date.on_sale, event_date.public, event_date.cancelled),
        *(event_date.venue_id, at.name, (at.address or Address()).postcode, event_date.links.book_now),
    )


def row_writer(
    stream: TextIO, columns: Sequence[str], format_: str, *, escape_formulas: bool = True
) -> Callable[[Iterable[Sequence[Value]]], None]:
    """Return what writes rows as "csv", under a header, or as "jsonl", an object a row with money as text."""
    write_cells = _cell_writer(stream, columns, escape_formulas=escape_formulas) if format_ == "csv" else None

    def write(rows: Iterable[Sequence[Value]]) -> None:
        for row in rows:
            if write_cells is not None:
                write_cells(map(_cell, row))
            else:
                texts = [v if isinstance(v, str | bool | int | None) else _cell(v) for v in row]
                _write_line(stream, dict(zip(columns, texts, strict=True)))

    return write


def _cell_writer(stream: TextIO, columns: Sequence[str], *, escape_formulas: bool) -> Callable[[Iterable[str]], object]:
    """Write the header and return what writes the cells of one row."""
    writer = csv.writer(stream)
    writer.writerow(columns)
    return (lambda cells: writer.writerow(map(defuse, cells))) if escape_formulas else writer.writerow


def _write_line(stream: TextIO, found: Mapping[str, object]) -> None:
    stream.write(json_text(found) + "\n")


def json_text(data: object, *, indent: int | None = None) -> str:
    """Return data as JSON, in its own letters unless UTF-8 cannot hold one of them."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(data, indent=indent)
    return text


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def defuse(cell: str) -> str:
    """Return the cell, with a quote before it if a spreadsheet would run it; plain numbers and phones stay.

    A cell that is such a one behind quotes gets another, so that `undefuse` gives back what was there.
    """
    bare = cell.lstrip("'")
    if bare and bare[0] in _FORMULA_STARTS and not _NUMBER_OR_PHONE.fullmatch(bare):
        return f"'{cell}"
    return cell


def undefuse(cell: str) -> str:
    """Return the cell as it was before `defuse`."""
    return cell[1:] if cell.startswith("'") and defuse(cell[1:]) == cell else cell


def csv_writer(stream: TextIO, *, escape_formulas: bool = True) -> Callable[[Customer], None]:
    """Write the header and return what writes one customer; open `stream` with `newline=""`."""
    write_cells = _cell_writer(stream, COLUMNS, escape_formulas=escape_formulas)

    def write(customer: Customer) -> None:
        write_cells(flat(customer))

    return write


def jsonl_writer(stream: TextIO) -> Callable[[_Record], None]:
    """Return what writes one record as a line of JSON, with everything that `to_dict` has."""

    def write(record: _Record) -> None:
        _write_line(stream, record.to_dict())

    return write


@contextmanager
def json_writer(stream: TextIO) -> Iterator[Callable[[_Record], None]]:
    """Write an array of JSON around what the yielded function writes: records, with everything that `to_dict` has."""
    before = "[\n"

    def write(record: _Record) -> None:
        nonlocal before
        stream.write(before + json_text(record.to_dict()))
        before = ",\n"

    yield write
    stream.write("\n]\n" if before == ",\n" else "[]\n")


@contextmanager
def parquet_writer(stream: BinaryIO) -> Iterator[Callable[[Customer], None]]:
    """Yield what writes one customer to a Parquet file with `COLUMNS`, typed, times in UTC.

    Raises `ConfigurationError` without the extra `parquet`.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigurationError("Parquet needs an extra: pip install 'ticketsource-async[parquet]'") from None
    kinds = {
        **dict.fromkeys(("membership_start_date", "membership_end_date"), pa.date32()),
        **dict.fromkeys(("consent_email", "consent_post", "consent_sms"), pa.bool_()),
        **dict.fromkeys(("created_at", "updated_at"), pa.timestamp("us", "UTC")),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    rows: list[tuple[Value, ...]] = []
    with parquet.ParquetWriter(stream, schema) as writer:

        def write_group() -> None:
            columns = [
                pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.table(columns, schema=schema))
            rows.clear()

        def write(customer: Customer) -> None:
            rows.append(values_of(customer))
            if len(rows) >= _ROWS_A_GROUP:
                write_group()

        yield write
        if rows:
            write_group()
