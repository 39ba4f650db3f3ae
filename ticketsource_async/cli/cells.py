"""The other way of `export.flat`: from cells under the columns of the CSV to what is written of a customer."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketsource_async.models import Customer, CustomerDraft

READ_ONLY: Final = ("id", "created_at", "updated_at")
WRITABLE: Final = (
    *("title", "first_name", "last_name"),
    *("address_line_1", "address_line_2", "address_line_3", "address_line_4", "address_postcode"),
    *("telephone", "email", "membership_identifier", "membership_start_date", "membership_end_date"),
    *("consent_email", "consent_post", "consent_sms"),
)
"""The other columns of the export, written here once more since help is made of them without loading the models."""

OFTEN_DIGITS: Final = ("telephone", "address_postcode", "membership_identifier")
"""Texts that a spreadsheet takes for numbers, if they are digits alone."""

Value = str | bool | date | None
_Shown = str | bool | None
Values = Mapping[str, Value]
"""What to write, by column; None clears."""


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
    if column in OFTEN_DIGITS and re.fullmatch(r"\d([.,]\d+)?[Ee]\+\d+", cell):
        raise ValueError(f"{column} is {cell!r}, as a spreadsheet writes long numbers: make its column text there")
    return cell


def written(before: "Customer", values: Values) -> "Customer":
    """Return the customer with these values in the place of their own.

    Raises `UnreadableValue` for some of an address or a membership that could not be read at all: the rest would be
    cleared. A consent is sent by itself.
    """
    from attrs import evolve  # noqa: PLC0415 - help can do without this and the models

    from ticketsource_async.errors import UnreadableValue  # noqa: PLC0415
    from ticketsource_async.models import Address, Consent, Membership  # noqa: PLC0415

    empty: dict[str, Any] = {"address": Address(), "membership": Membership(), "consent": Consent()}
    changed, parts = _sorted(values)
    for part, given in parts.items():
        if part in before.invalid and part != "consent":
            raise UnreadableValue(
                f"{part} of {before.id} could not be read, so it cannot be changed in part: correct it in TicketSource "
                "first.",
                before.id,
                part,
            )
        old = getattr(before, part)
        if old is not None or any(value is not None for value in given.values()):
            changed[part] = evolve(old or empty[part], **given)
    # What is given anew need not be kept, though it could not be read.
    unread = {path: value for path, value in before.invalid.items() if path.replace(".", "_") not in values}
    return evolve(before, **changed, invalid=unread)


def update_draft(before: "Customer", after: "Customer") -> "CustomerDraft":
    """Return what turns `before` into `after`: as `CustomerDraft.diff`, but of the consents only what is sure.

    Those are each that differs, and each no. A yes that stays may be withdrawn while the update is on its way, which
    would undo that; a null may be refused, and with it a withdrawal. Raises `UnreadableValue` if an address or a
    membership would go whole and lose a value that could not be read and is not given.
    """
    from attrs import evolve  # noqa: PLC0415 - as above

    from ticketsource_async.models import Consent, ConsentDraft, CustomerDraft  # noqa: PLC0415
    from ticketsource_async.models.customers import check_unreadable  # noqa: PLC0415

    kept = {path: value for path, value in after.invalid.items() if path.partition(".")[0] != "consent"}
    unread = evolve(after, invalid=kept)
    draft = CustomerDraft.diff(evolve(before, invalid=kept), unread)
    for name in {path.partition(".")[0] for path in before.invalid.keys() - after.invalid.keys()} - {"consent"}:
        # A value that could not be read reads as None, so one that is cleared shows no difference.
        draft = evolve(draft, **{name: getattr(after, name)})
    check_unreadable(unread, draft)
    if not isinstance(draft.consent, Consent):
        return draft
    old = before.consent or Consent()
    sent = {
        way: now
        for way in ("email", "post", "sms")
        if (now := getattr(draft.consent, way)) is False or now != getattr(old, way)
    }
    return evolve(draft, consent=ConsentDraft(**sent))


def differing(before: "Customer", after: "Customer") -> dict[str, tuple[_Shown, _Shown]]:
    """Return the columns that can be written and differ, with what was there and what is."""
    from ticketsource_async.export import COLUMNS, values_of  # noqa: PLC0415 - as above

    return {
        column: (shown(old), shown(new))
        for column, old, new in zip(COLUMNS, values_of(before), values_of(after), strict=True)
        if old != new and column in WRITABLE
    }


def shown(value: object) -> _Shown:
    """Return a value as JSON has it."""
    return value if isinstance(value, str | bool | None) else str(value)


def not_taken(before: "Customer", after: "Customer", saved: "Customer") -> list[str]:
    """Return the columns that were to change and are still as before, or, if a consent, not as they were to be."""
    done = differing(before, saved)
    return [
        column
        for column, change in differing(before, after).items()
        if column not in done or (column.startswith("consent_") and done[column] != change)
    ]


def draft(values: Values) -> "CustomerDraft":
    """Return what creates a customer with these values."""
    from ticketsource_async.models import AddressDraft, ConsentDraft, CustomerDraft, MembershipDraft  # noqa: PLC0415

    drafts = {"address": AddressDraft, "membership": MembershipDraft, "consent": ConsentDraft}
    changed, parts = _sorted(values)
    for part, given in parts.items():
        changed[part] = drafts[part](**given)
    return CustomerDraft(**changed)


def _sorted(values: Values) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the values of the customer itself, and those of each part of it."""
    own: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for column, value in values.items():
        part, _, name = column.partition("_")
        if part in ("address", "membership", "consent"):
            parts.setdefault(part, {})[name] = value
        else:
            own[column] = value
    return own, parts
