"""From the cells of a row to what is written of a customer, and what came of it."""

import re
from datetime import date, datetime
from typing import Final

from attrs import evolve

from ticketsource_async.models import Consent, ConsentDraft, Customer, CustomerDraft
from ticketsource_async.models.customers import check_unreadable
from ticketsource_async.tables import WRITABLE, is_consent, to_json

OFTEN_DIGITS: Final = ("telephone", "address_postcode", "membership_identifier")
"""Texts that a spreadsheet takes for numbers, if they are digits alone."""

_Shown = str | bool | int | None


def value_of(column: str, cell: str) -> str | bool | date:
    """Return what a cell that is not empty says; raise ValueError if it could mean anything else."""
    if WRITABLE[column].kind == "yes":
        if cell.lower() not in ("true", "false"):  # spreadsheets write TRUE
            raise ValueError(f"{column} is true or false, not {cell!r}")
        return cell.lower() == "true"
    if WRITABLE[column].kind == "day":
        try:
            return datetime.strptime(cell, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            raise ValueError(f"{column} is a day such as 2026-01-31, not {cell!r}") from None
    if column in OFTEN_DIGITS and re.fullmatch(r"\d([.,]\d+)?[Ee]\+\d+", cell):
        raise ValueError(f"{column} is {cell!r}, as a spreadsheet writes long numbers: make its column text there")
    return cell


def update_draft(before: Customer, after: Customer) -> CustomerDraft:
    """Return what turns `before` into `after`: as `CustomerDraft.diff`, but of the consents only what is sure.

    It has each consent that differs, and each that is false. A consent that stays true may be withdrawn while the
    update is sent, and sending it would undo that. The API may refuse a null, and with it a withdrawal. Raises
    `UnreadableValue` if an address or a membership that is sent would clear a value that could not be read.
    """
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


def differing(before: Customer, after: Customer) -> dict[str, tuple[_Shown, _Shown]]:
    """Return the columns that can be written and differ, with what was there and what is, as JSON has it."""
    return {
        name: (to_json(old), to_json(new))
        for name, column in WRITABLE.items()
        if (old := column.get(before)) != (new := column.get(after))
    }


def not_taken(before: Customer, after: Customer, saved: Customer) -> list[str]:
    """Return the columns that the API did not change; a consent must be exactly as it was sent."""
    done = differing(before, saved)
    kept = [
        name
        for name, change in differing(before, after).items()
        if name not in done or (is_consent(name) and done[name] != change)
    ]
    # A value that could not be read and was cleared reads as None before and after.
    cleared = before.invalid.keys() - after.invalid.keys()
    return kept + [name for name, column in WRITABLE.items() if column.path in cleared & saved.invalid.keys()]
