"""Findings about the records, in words without a value, an id or a key. The functions make no calls."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from attrs import frozen

from ticketsource_async.checking.calls import Call, Results
from ticketsource_async.checking.shapes import Shape
from ticketsource_async.models import Booking, Customer, Event, EventDate, Note, Seat, Venue
from ticketsource_async.models.base import Record

State = Literal["ok", "odd", "open", "failed"]
"""ok: as documented. odd: different, but usable for the library. open: not known after it. failed: not working."""

REQUESTS_A_MINUTE: Final = 240

_MOST_NAMED: Final = 20

MODELS: Final[tuple[type[Record], ...]] = (Customer, Note, Event, Venue, EventDate, Booking, Seat)


@frozen
class Finding:
    """One line of the check: what was checked, its group, and the result."""

    group: str
    name: str
    state: State
    says: str


def failure(call: Call) -> str:
    """Return which call failed and how, without text from the server."""
    error = call.error
    status = getattr(error, "status", None)
    return f"GET {call.path} ended in {type(error).__name__}" + (f" ({status})" if status else "")


def listed(names: Iterable[str]) -> str:
    """Return some of the names, and how many more there are."""
    found = sorted(names)
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more


def why_not_known(found: Results, otherwise: str) -> str:
    """Return why something is not known: the check ended early, or `otherwise`."""
    ended = "the check was interrupted" if found.interrupted else "the check stopped early"
    return f"Not known: {otherwise if not (found.interrupted or found.stopped_by) else ended}."


def by_path(found: Mapping[str, Iterable[str]]) -> str:
    """Return the findings by path, such as `start (another text)`."""
    return listed(f"{path} ({', '.join(sorted(set(kinds)))})" for path, kinds in found.items())


def of_records(found: Results, shape: Shape) -> list[Finding]:
    """Return the findings about the records of one kind."""
    calls = found.of_kind(shape.name)
    group = shape.name.replace("_", " ") + "s"

    def finding(name: str, state: State, says: str) -> Finding:
        return Finding(group, name, state, says)

    if failed := [call for call in found.failures() if call.kind == shape.name]:
        records = finding("records", "failed", f"{listed({failure(call) for call in failed})}.")
    elif broken := {call.path for call in calls if call.error is None and call.rows is None}:
        records = finding("records", "failed", f"The `data` of {listed(broken)} is neither a list nor null.")
    elif shape.refused:
        what = listed(f"{reason} ({count})" for reason, count in shape.refused.items())
        records = finding(
            "records", "failed", f"Some rows cannot be read as this record. A list passes them to `on_invalid`. {what}."
        )
    elif shape.records:
        records = finding("records", "ok", f"{shape.records:,} read.")
    else:
        records = finding("records", "open", f"None read: {_why_none(found, shape.name)}.")
    return [records, *(_of_fields(shape, finding) if shape.records else ())]


def _why_none(found: Results, kind: str) -> str:
    if found.of_kind(kind):
        return "the lists are empty"
    if found.interrupted:
        return "the check was interrupted"
    if found.stopped_by is not None:
        return "the check stopped early"
    return "no request was left" if kind in found.skipped else "no record was found that has such a list"


_MakeFinding = Callable[[str, State, str], Finding]


def _of_fields(shape: Shape, finding: _MakeFinding) -> list[Finding]:
    unknown, missing = by_path(shape.unknown()), listed(shape.missing())
    unread, odd_kinds = listed(shape.unread), by_path(_without(shape.unusual(), shape.unread))
    forms, odd_forms = _forms(shape), by_path(shape.unusual_forms())
    attributes = f"Not documented, kept in `extra`: {unknown}." if unknown else "All are documented."
    values = " ".join(
        [
            *([f"Could not be read; in `record.invalid`, and None in the field: {unread}."] if unread else []),
            *([f"Could be read, although another kind is documented: {odd_kinds}."] if odd_kinds else []),
            *([f"{shape.odd_ids} ids are in another form than documented."] if shape.odd_ids else []),
            *([f"Links that do not end in an id as documented: {listed(shape.unlinked)}."] if shape.unlinked else []),
        ]
    )
    return [
        finding("attributes", "odd" if unknown else "ok", attributes),
        finding("values", "odd" if values else "ok", values or "All were read."),
        finding("fields", "odd" if missing else "ok", f"In no record: {missing}." if missing else "All fields came."),
        finding("dates", "odd" if odd_forms else "ok" if forms else "open", _dates(forms, odd_forms)),
    ]


def _dates(forms: str, odd_forms: str) -> str:
    if odd_forms:
        return f"In another form, or without an offset: {odd_forms}. All forms: {forms}."
    return f"Forms: {forms}." if forms else "No date was there."


def _forms(shape: Shape) -> str:
    counts = sum(shape.forms.values(), Counter[str]())
    return listed(f"{form} ({count:,})" for form, count in counts.items())


def _without(found: Mapping[str, Iterable[str]], others: Iterable[str]) -> dict[str, Iterable[str]]:
    return {path: kinds for path, kinds in found.items() if path not in set(others)}
