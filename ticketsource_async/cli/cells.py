"""The other way of `export.flat`: from cells under the columns of the CSV to what is written of a customer."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import attrs

from ticketsource_async.export import COLUMNS
from ticketsource_async.models import (
    Address,
    AddressDraft,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Membership,
    MembershipDraft,
)

READ_ONLY: Final = ("id", "created_at", "updated_at")
WRITABLE: Final = tuple(column for column in COLUMNS if column not in READ_ONLY)

Value = str | bool | date | None
Values = Mapping[str, Value]
"""What to write, by column; None clears."""

_PARTS: Final[Mapping[str, tuple[type, type]]] = {
    "address": (Address, AddressDraft),
    "membership": (Membership, MembershipDraft),
    "consent": (Consent, ConsentDraft),
}


def value_of(column: str, cell: str) -> str | bool | date:
    """Return what a cell that is not empty says; raise ValueError if it could mean anything else."""
    if column.startswith("consent_"):
        if cell.lower() not in ("true", "false"):  # spreadsheets write TRUE
            raise ValueError(f"{column} is true or false, not {cell!r}")
        return cell.lower() == "true"
    if column.endswith("_date"):
        try:
            return datetime.strptime(cell, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            raise ValueError(f"{column} is a day such as 2026-01-31, not {cell!r}") from None
    return cell


def written(before: Customer, values: Values) -> Customer:
    """Return the customer with these values in the place of their own."""
    changed, parts = _sorted(values)
    for part, given in parts.items():
        old = getattr(before, part)
        if old is not None or any(value is not None for value in given.values()):
            changed[part] = attrs.evolve(old or _PARTS[part][0](), **given)
    return attrs.evolve(before, **changed)


def draft(values: Values) -> CustomerDraft:
    """Return what creates a customer with these values."""
    changed, parts = _sorted({column: value for column, value in values.items() if value is not None})
    if "telephone" in changed:
        changed["phone"] = changed.pop("telephone")
    for part, given in parts.items():
        changed[part] = _PARTS[part][1](**given)
    return CustomerDraft(**changed)


def _sorted(values: Values) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the values of the customer itself, and those of each part of it."""
    own: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for column, value in values.items():
        part, _, name = column.partition("_")
        if part in _PARTS:
            parts.setdefault(part, {})[name] = value
        else:
            own[column] = value
    return own, parts
