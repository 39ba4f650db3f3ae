"""The import of customers from a CSV: whom each line is for, what it would change, and with --apply the change.

A line whose meaning is not certain is refused; the others are not.
"""

import csv
import re
import string
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field  # not attrs, which help would have to load
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from ticketsource_async.cli.common import (
    FAILED,
    TRY_AGAIN_LATER,
    box_office,
    command,
    fail,
    progress,
    quiet_option,
    run,
    say,
)
from ticketsource_async.errors import (
    InvalidID,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    UnreadableValue,
    ValidationFailed,
)
from ticketsource_async.output import opened

if TYPE_CHECKING:
    from ticketsource_async import Customer, TicketSource
    from ticketsource_async.tables import Value

_MOST_IDS: Final = 10
_REFUSED: Final = ("refused", "unknown")
_SMALL: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass
class _Line:
    """A line of the file: whom it is for, what it would write, and why it is refused, if it is."""

    number: int
    key: str = ""
    id: str = ""
    dated: bool = False
    updated_at: datetime | None = None
    values: "dict[str, Value]" = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class ImportOptions:
    """How lines find their customers, and what is to be done with them."""

    match: str
    apply: bool
    give_consent: bool


class _Refusal(Exception):
    """A line is not written, for a reason that concerns it alone."""


@command(
    "customers import",
    epilog="Example: ticketsource customers import corrected.csv --match id  (then again with --apply)",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--match",
    type=click.Choice(["email", "id"]),
    required=True,
    help="How a line finds its customer. With email, a line that finds nobody creates a customer; with id, its email "
    "is written, even if somebody else has the same.",
)
@click.option("--apply", is_flag=True, help="Write. Without this, say what would be written.")
@click.option(
    "--give-consent",
    is_flag=True,
    help="Allow a line to set a consent to true. Without this such a line is refused, since the file may be older than "
    "a withdrawal.",
)
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Take away the quotes that the export puts before formulas.  [default: on]",
)
@quiet_option
def import_customers(
    *, file: Path, match: str, apply: bool, give_consent: bool, escape_formulas: bool, quiet: bool
) -> None:
    """Create or update customers from a CSV with the columns of the export, or some of them; - is stdin.

    An empty cell leaves what is there. For each line of the file, a line of JSON has its outcome. A line is refused
    if a cell is not what its column takes, if it is not certain whom it is for, or if the customer was changed after
    the export; then the exit code is 1. The import does not send a consent that stays true. It is not known whether
    the API then keeps the other consents: look at the "changes" in the output.

    New customers come first. To go on after a failure run it again: what is written already is then unchanged. If you
    interrupt it, wait a minute first: TicketSource may still be creating a customer, and the next import would create
    the same one again. Run one import at a time, for the same reason.
    """
    lines = _read(file, match, escape_formulas=escape_formulas)
    options = ImportOptions(match, apply, give_consent)

    async def import_them() -> None:
        from ticketsource_async.files.json import json_text  # noqa: PLC0415

        outcomes: Counter[str] = Counter()
        with opened(Path("-"), "utf-8") as stdout:
            async with box_office() as ts:
                listed, unknown = await _by_email(ts, lines, quiet=quiet) if match == "email" else ({}, [])
                # Customers who sign up between the list and the line would be there twice.
                for line in sorted(lines, key=lambda line: line.key in listed):
                    with _reporting_where_it_ended(line, writing=apply):
                        outcome = await _deal_with(ts, line, listed.get(line.key, []), unknown, options)
                        stdout.write(json_text({"line": line.number, **outcome}) + "\n")
                        stdout.flush()
                    outcomes[str(outcome["outcome"])] += 1
        if not quiet:
            counted = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items()) or "no lines"
            say(counted + ("." if apply else ". Nothing was written: --apply writes."))
        if any(outcomes[refused] for refused in _REFUSED):
            raise click.exceptions.Exit(FAILED)

    run(import_them(), unread="the import is not at its end.")


@contextmanager
def _reporting_where_it_ended(line: _Line, *, writing: bool) -> Iterator[None]:
    """Say at which line the import ends, however it does."""
    from asyncio import CancelledError  # noqa: PLC0415 - help can do without

    try:
        yield
    except BaseException as error:
        first = ""
        if writing and isinstance(error, CancelledError):
            first = "wait a minute, since TicketSource may still be at work on that line, then "
        say(f"The import ended at line {line.number}: {first}run it again to go on.")
        raise


def _read(file: Path, match: str, *, escape_formulas: bool) -> list[_Line]:
    """Return the lines of the file; those that cannot be for one customer are refused already."""
    try:
        with _text_of(file) as stream:
            lines = list(_lines(stream, match, escape_formulas=escape_formulas))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not in UTF-8: save it as 'CSV UTF-8'.") from None
    except csv.Error as error:
        raise click.UsageError(f"{file} is not a CSV: {error}.") from None
    except OSError as error:
        fail(f"{file}: {error.strerror or error}", FAILED)
    of_key: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        of_key[line.key].append(line.number)
    for line in lines:
        alike = of_key[line.key]
        if line.key and len(alike) > 1:
            others = [str(number) for number in alike[:4] if number != line.number][:3]
            more = f" and {len(alike) - 1 - len(others):,} more" if len(alike) - 1 > len(others) else ""
            have = f"lines {', '.join(others)}{more} have" if len(alike) > 2 else f"line {others[0]} has"
            line.refused = f"{have} the same {match}"
    return lines


def _text_of(file: Path) -> TextIO:
    if str(file) != "-":
        return file.open(encoding="utf-8-sig", newline="")
    if sys.stdin is None:
        raise click.UsageError("stdin is closed, so there is nothing to import.")
    return TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")


def _lines(stream: TextIO, match: str, *, escape_formulas: bool) -> Iterator[_Line]:
    from ticketsource_async.files.csv import undefuse  # noqa: PLC0415 - help can do without
    from ticketsource_async.tables import CUSTOMERS  # noqa: PLC0415

    reader = csv.reader(stream, strict=True)
    header = next(reader, [])
    unknown = [name for name in header if name not in CUSTOMERS.names]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if unknown:
        separated = " Separate the cells by commas." if re.search("[;\t]", unknown[0]) else ""
        raise click.UsageError(f"There is no column {unknown[0]!r} in an export.{separated}")
    if twice:
        raise click.UsageError(f"The column {twice[0]!r} is there twice.")
    if match not in header:
        raise click.UsageError(f"There is no column {match!r}, which --match {match} needs.")
    number = reader.line_num + 1
    for row in reader:
        if any(cell.strip() for cell in row):
            given = {name: cell if cell.strip() else "" for name, cell in zip(header, row, strict=False)}
            if escape_formulas:
                given = {name: undefuse(cell) for name, cell in given.items()}
            yield _line(number, given, match, len(row) - len(header))
        number = reader.line_num + 1


def _line(number: int, given: dict[str, str], match: str, surplus: int) -> _Line:
    from ticketsource_async.cli import cells  # noqa: PLC0415 - as above
    from ticketsource_async.tables import WRITABLE  # noqa: PLC0415

    for name in {"id", "email"} & given.keys():
        given[name] = given[name].strip()
    given.setdefault(match, "")
    line = _Line(number, _key_of(given[match]) if match == "email" else given[match], given.get("id", ""))
    # An empty cell of an export is a customer who was never changed; one of a line without an id says nothing.
    line.dated = bool("updated_at" in given and (line.id or given["updated_at"]))
    try:
        line.updated_at = _moment(given.get("updated_at", ""))
        line.values = {name: cells.value_of(name, cell) for name, cell in given.items() if cell and name in WRITABLE}
    except ValueError as error:
        line.refused = str(error)
    if not line.key:
        line.refused = f"it has no {match}, by which to find the customer"
    if surplus:
        line.refused = f"it has {abs(surplus)} cells too {'many' if surplus > 0 else 'few'}"
    return line


def _moment(cell: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(cell.strip()) if cell else None
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - refused below, as every moment without its offset
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"updated_at is a time such as 2026-01-31T09:30:00+00:00, not {cell!r}: leave it as exported")
    return moment


def _key_of(email: str) -> str:
    """Return what is the same for the same e-mail; only letters of ASCII are never those of two people."""
    return email.strip().translate(_SMALL)


async def _by_email(
    ts: "TicketSource", lines: list[_Line], *, quiet: bool
) -> "tuple[dict[str, list[Customer]], list[str]]":
    """Return the customers for the lines, by e-mail, and the ids of customers whose e-mail could not be read."""
    wanted = {line.key for line in lines if not line.refused}
    found: dict[str, list[Customer]] = defaultdict(list)
    unknown: list[str] = []
    if not wanted:
        return found, unknown
    listed = ts.customers.list(concurrency=8, verify=True)  # a customer who is missed would be created again
    with progress("customers read", quiet=quiet) as shown:
        async for customer in listed:
            shown.update()
            if "email" in customer.invalid:
                unknown.append(customer.id)
            if customer.email is not None and (key := _key_of(customer.email)) in wanted:
                found[key].append(customer)
    if not listed.report.complete:
        fail("the list of customers changes too fast to be sure who is there: try again later.", TRY_AGAIN_LATER)
    return found, unknown


async def _deal_with(
    ts: "TicketSource", line: _Line, listed: "list[Customer]", unknown: list[str], options: ImportOptions
) -> dict[str, object]:
    """Return the outcome of a line, after writing it if that is to be done."""
    if line.refused:
        return {"outcome": "refused", "reason": line.refused}
    shown: dict[str, object] = {"id": listed[0].id} if len(listed) == 1 else {}
    try:
        before = await _get(ts, line.key) if options.match == "id" else _only(line, listed)
        if before is None:
            _check_is_new(unknown)
            return await _create(ts, line, options)
        shown = {"id": before.id}
        return await _update(ts, line, before, options)
    except (_Refusal, ValidationFailed, NotFound, UnreadableValue) as refusal:
        return {"outcome": "refused", **shown, "reason": str(refusal)}
    except (OutcomeUnknown, InvalidResponse) as error:
        return {"outcome": "unknown", **shown, "reason": str(error)}


async def _get(ts: "TicketSource", customer_id: str) -> "Customer":
    """Return a customer as they are now; raise _Refusal if they cannot be had."""
    try:
        return await ts.customers.get(customer_id)
    except (NotFound, InvalidID):
        raise _Refusal("there is no customer with this id") from None
    except InvalidResponse as error:
        raise _Refusal(str(error)) from None


def _only(line: _Line, listed: "list[Customer]") -> "Customer | None":
    """Return the one customer with the line's e-mail, None if there is none; raise _Refusal if it is not certain."""
    ids = [customer.id for customer in listed]
    if len(ids) > 1:
        more = f" and {len(ids) - _MOST_IDS:,} more" if len(ids) > _MOST_IDS else ""
        raise _Refusal(f"{len(ids):,} customers have this email: {', '.join(ids[:_MOST_IDS])}{more}")
    if line.id and ids != [line.id]:
        of = f"of {ids[0]}" if ids else "of nobody"
        raise _Refusal(f"its id is {line.id}, but its email is {of}; match by id to change an email")
    return listed[0] if listed else None


def _check_is_new(unknown: list[str]) -> None:
    """Raise _Refusal if a customer whose e-mail could not be read may be the one to create."""
    if unknown:
        more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
        raise _Refusal(
            f"no customer is known to have this email, but that of {', '.join(unknown[:3])}{more} could not be read: "
            "correct it in TicketSource first, or the person may be there twice"
        )


async def _create(ts: "TicketSource", line: _Line, options: ImportOptions) -> dict[str, object]:
    from ticketsource_async.tables import draft_of, to_json  # noqa: PLC0415 - as above

    _check_consents(line.values, options)
    values = {column: to_json(value) for column, value in line.values.items()}
    if not options.apply:
        return {"outcome": "would create", "values": values}
    created = await ts.customers.create(draft_of(line.values))
    return {"outcome": "created", "id": created.id, "values": values}


async def _update(ts: "TicketSource", line: _Line, before: "Customer", options: ImportOptions) -> dict[str, object]:
    from ticketsource_async.cli import cells  # noqa: PLC0415 - as above
    from ticketsource_async.tables import apply_values  # noqa: PLC0415

    values = {column: value for column, value in line.values.items() if column != options.match}
    if options.apply and options.match == "email" and apply_values(before, values) != before:
        before = await _get(ts, before.id)  # as they are by now, since parts are sent whole
        if _key_of(before.email or "") != line.key:
            raise _Refusal("the customer has another email by now")
    after = apply_values(before, values)
    if after == before:
        return {"outcome": "unchanged", "id": before.id}
    changes = cells.differing(before, after)
    if line.dated and "updated_at" in before.invalid:
        raise _Refusal("the updated_at of the customer could not be read, so the file may be older: correct it first")
    if line.dated and line.updated_at != before.updated_at:
        raise _Refusal(f"the customer was changed at {before.updated_at}, since the file was written: export again")
    _check_consents({column: new for column, (_, new) in changes.items()}, options)
    for column in cells.OFTEN_DIGITS:
        _check_digits(column, *changes.get(column, (None, None)))
    draft = cells.update_draft(before, after)
    if options.apply:
        saved = await ts.customers.update(before.id, draft)
        changes = cells.differing(before, saved)
        if ignored := cells.not_taken(before, after, saved):
            reason = f"the API did not take {' and '.join(ignored)}"
            return {"outcome": "unknown", "id": before.id, "reason": reason, "changes": changes}
    return {"outcome": "updated" if options.apply else "would update", "id": before.id, "changes": changes}


def _check_consents(written: Mapping[str, object], options: ImportOptions) -> None:
    """Raise _Refusal for a consent that is given, unless it may be."""
    from ticketsource_async.tables import is_consent  # noqa: PLC0415 - as above

    given = [column for column, value in written.items() if value is True and is_consent(column)]
    if given and not options.give_consent:
        raise _Refusal(f"the customer does not give {' and '.join(given)}; --give-consent lets a line do so")


def _check_digits(column: str, old: object, new: object) -> None:
    """Raise _Refusal for digits that a spreadsheet took for a number, so that the plus or zero before them is gone."""
    if isinstance(old, str) and isinstance(new, str) and new.isdecimal():
        digits = re.sub(r"[\s().-]", "", old)
        if digits != new and digits.lstrip("+0") == new.lstrip("0"):
            raise _Refusal(f"{column} {old!r} became the number {new} in a spreadsheet: make its column text there")
