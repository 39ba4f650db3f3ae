"""Convert the cells of a row to the values to write to a customer, and compare them with the saved record."""

import re
from datetime import date
from typing import Final, Literal

from attrs import evolve

from ticketsource_async.models import Consent, ConsentDraft, Customer, CustomerDraft
from ticketsource_async.models.customers import check_unreadable
from ticketsource_async.tables import WRITABLE, is_consent, to_json

_Shown = str | bool | int | None

Order = Literal["dmy", "mdy"]
"""The order of day, month and year in a file."""

_CONSENTS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MIDNIGHT: Final = re.compile(r"[ T]0?0:00(?::00(?:\.0+)?)?(?:Z|\+00:00)?\Z")
_NUMERIC: Final = re.compile(r"(?P<first>[0-9]{1,2})[-/. ](?P<second>[0-9]{1,2})[-/. ](?P<year>[0-9]{4}|[0-9]{2})")
_NAMED: Final = (
    re.compile(
        r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?[-/. ]+(?P<month>[a-z]{3,9})[-/., ]+(?P<year>[0-9]{4}|[0-9]{2})",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<month>[a-z]{3,9})[-/. ]+(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?[-/., ]+(?P<year>[0-9]{4}|[0-9]{2})",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})"),
)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)


def value_of(column: str, cell: str, order: Order | None = None) -> str | bool | date:
    """Return the value of a cell that is not empty; raise ValueError if it could have another meaning.

    `order` is the order of days that are not in ISO 8601. Without it, such days raise ValueError.
    """
    if WRITABLE[column].kind == "yes":
        if (consent := _CONSENTS.get(cell.lower())) is None:
            raise ValueError(f"{column} must be true or false, yes or no, 1 or 0, not {cell!r}")
        return consent
    if WRITABLE[column].kind != "day":
        return cell
    if (day := day_of(cell, order)) is None:
        raise ValueError(f"{column} must be a day such as 2026-01-31, not {cell!r}")
    if day[0] < 100:
        raise ValueError(f"{column} {cell!r} has a year of two digits: write all four digits")
    return date(*day)


def is_iso(cell: str) -> bool:
    """Say whether a cell is a day in ISO 8601."""
    return bool(_ISO.fullmatch(_MIDNIGHT.sub("", cell)))


def day_of(cell: str, order: Order | None) -> tuple[int, int, int] | None:
    """Return year, month and day of a cell, None if it is no day. A year of two digits stays below 100.

    Without an order, only ISO 8601 is read. A time of 00:00 is dropped.
    """
    text = _MIDNIGHT.sub("", cell)
    if is_iso(text):
        year, month, day = map(int, text.split("-"))
    elif order is None:
        return None
    elif found := _NUMERIC.fullmatch(text):
        parts = int(found["first"]), int(found["second"])
        day, month = parts if order == "dmy" else parts[::-1]
        year = int(found["year"])
    elif named := next(filter(None, (form.fullmatch(text) for form in _NAMED)), None):
        year, month, day = int(named["year"]), _month(named["month"]), int(named["day"])
    else:
        return None
    try:
        date(year if year > 99 else 2000 + year, month, day)
    except ValueError:
        return None
    return year, month, day


def _month(name: str) -> int:
    """Return the number of a month, 0 if the name is no month."""
    if name.isdecimal():
        return int(name)
    text = "sep" if name.lower() == "sept" else name.lower()
    return next((number for number, month in enumerate(_MONTHS, 1) if text in (month, month[:3])), 0)


def is_same_day(cell: str, order: Order | None, stored: object) -> bool:
    """Say whether a cell, read in this order, is the stored day."""
    day = day_of(cell, order)
    return (
        day is not None
        and isinstance(stored, date)
        and day
        in (
            (stored.year, stored.month, stored.day),
            (stored.year % 100, stored.month, stored.day),
        )
    )


def update_draft(before: Customer, after: Customer) -> CustomerDraft:
    """Return the draft that changes `before` into `after`, as `CustomerDraft.diff` does, but with fewer consents.

    It has each consent that differs, and each that is false. A consent that stays true is left out: the customer may
    withdraw it while the update is sent, and the update would undo that. A consent that stays null is left out: the API
    may refuse a null, and a withdrawal with it. Raises `UnreadableValue` if a sent address or membership would clear an
    unreadable value.
    """
    kept = {path: value for path, value in after.invalid.items() if path.partition(".")[0] != "consent"}
    unread = evolve(after, invalid=kept)
    draft = CustomerDraft.diff(evolve(before, invalid=kept), unread)
    for name in {path.partition(".")[0] for path in before.invalid.keys() - after.invalid.keys()} - {"consent"}:
        # An unreadable value is None, so a cleared one shows no difference.
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
    """Return the writable columns that differ, with the values before and after for JSON."""
    return {
        name: (to_json(old), to_json(new))
        for name, column in WRITABLE.items()
        if (old := column.get(before)) != (new := column.get(after))
    }


def not_taken(before: Customer, after: Customer, saved: Customer) -> list[str]:
    """Return the columns that the API did not change. A consent must be exactly as sent."""
    done = differing(before, saved)
    kept = [
        name
        for name, change in differing(before, after).items()
        if name not in done or (is_consent(name) and done[name] != change)
    ]
    # An unreadable value that was cleared is None before and after.
    cleared = before.invalid.keys() - after.invalid.keys()
    return kept + [name for name, column in WRITABLE.items() if column.path in cleared & saved.invalid.keys()]
