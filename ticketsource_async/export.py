"""Customers as flat rows, and the writers of CSV and JSON Lines.

What a file holds is decided here; where it goes, and who is in it, is the caller's.
"""

import csv
import json
import re
from collections.abc import Callable
from datetime import date
from typing import Final, TextIO

from ticketsource_async.models import Address, Consent, Customer, Membership

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

_FORMULA_STARTS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the last four are full-width forms of the first four
_NUMBER_OR_PHONE: Final = re.compile(r"[+-]?[\d\s().-]+")


def flat(customer: Customer) -> tuple[str, ...]:
    """Return the cells of a customer, one for each of `COLUMNS`; what is None is an empty cell."""
    address = customer.address or Address()
    membership = customer.membership or Membership()
    consent = customer.consent or Consent()
    return tuple(
        map(
            _cell,
            (
                customer.id,
                customer.title,
                customer.first_name,
                customer.last_name,
                address.line_1,
                address.line_2,
                address.line_3,
                address.line_4,
                address.postcode,
                customer.telephone,
                customer.email,
                membership.identifier,
                membership.start_date,
                membership.end_date,
                consent.email,
                consent.post,
                consent.sms,
                customer.created_at,
                customer.updated_at,
            ),
        )
    )


def _cell(value: str | bool | date | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else value


def defuse(cell: str) -> str:
    """Return the cell, with a quote before it if a spreadsheet would run it; plain numbers and phones stay."""
    if cell and cell[0] in _FORMULA_STARTS and not _NUMBER_OR_PHONE.fullmatch(cell):
        return f"'{cell}"
    return cell


def csv_writer(stream: TextIO, *, escape_formulas: bool = True) -> Callable[[Customer], None]:
    """Write the header and return what writes one customer; open `stream` with `newline=""`."""
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)

    def write(customer: Customer) -> None:
        cells = flat(customer)
        writer.writerow(map(defuse, cells) if escape_formulas else cells)

    return write


def jsonl_writer(stream: TextIO) -> Callable[[Customer], None]:
    """Return what writes one customer as a line of JSON, with everything that `to_dict` has."""

    def write(customer: Customer) -> None:
        stream.write(json.dumps(customer.to_dict(), ensure_ascii=False) + "\n")

    return write
