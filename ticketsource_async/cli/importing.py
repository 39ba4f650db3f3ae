"""The import of customers from a CSV: whom each line is for, what it would change, and, if told so, the change.

A line whose meaning is not certain is refused, whatever the others are.
"""

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click
from attrs import define, field, frozen

from ticketsource_async.cli import cells
from ticketsource_async.cli.common import (
    API_FAILED,
    TRY_AGAIN_LATER,
    box_office,
    fail,
    opened,
    quiet_option,
    run,
    sandbox_option,
)
from ticketsource_async.errors import InvalidResponse, NotFound, OutcomeUnknown, TicketSourceError, ValidationFailed
from ticketsource_async.export import COLUMNS, undefuse, values_of
from ticketsource_async.models import Customer

if TYPE_CHECKING:
    from ticketsource_async import TicketSource

_REFUSED: Final = ("refused", "unknown")


@define
class _Line:
    """A line of the file: whom it is for, what it would write, and why it is refused, if it is."""

    number: int
    key: str = ""
    id: str = ""
    values: dict[str, cells.Value] = field(factory=dict)
    refused: str = ""


@frozen
class _How:
    """How lines find their customers, and what is to be done with them."""

    match: str
    apply: bool
    give_consent: bool


class _Refusal(Exception):
    """A line is not written, for a reason that concerns it alone."""


@click.command(
    "import", epilog="Example: ticketsource customers import corrected.csv --match id  (then again with --apply)"
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--match",
    type=click.Choice(["email", "id"]),
    required=True,
    help="How a line finds its customer. With email, a line that finds nobody creates a customer.",
)
@click.option("--apply", is_flag=True, help="Write. Without this, say what would be written.")
@click.option(
    "--give-consent",
    is_flag=True,
    help="Let a line give a consent that its customer does not give. Without this it is refused, since the file may be "
    "older than a withdrawal.",
)
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Take away the quote that the export puts before a cell that is a formula.  [default: on]",
)
@quiet_option
@sandbox_option
def import_customers(
    *, file: Path, match: str, apply: bool, give_consent: bool, escape_formulas: bool, quiet: bool, sandbox: bool
) -> None:
    """Create or update customers from a CSV with the columns of the export, or some of them.

    An empty cell leaves what is there. For each line of the file a line of JSON tells its outcome. A line is refused
    if a cell is not what its column takes, or if it is not certain whom it is for; then the exit code is 1. To go on
    after a failure run it again: what is written already is then unchanged.
    """
    lines = _read(file, match, escape_formulas=escape_formulas)
    how = _How(match, apply, give_consent)

    async def import_them() -> None:
        outcomes: Counter[str] = Counter()
        with opened(Path("-"), "utf-8") as stdout:
            async with box_office(sandbox=sandbox) as ts:
                hidden = quiet or not sys.stderr.isatty()
                found = await (_by_email(ts, lines, hidden=hidden) if match == "email" else _by_id(ts, lines))
                for line in lines:
                    try:
                        outcome = await _deal_with(ts, line, found.get(line.key, []), how)
                    except TicketSourceError as error:
                        error.add_note(f"The import ended before line {line.number}: run it again to go on.")
                        raise
                    stdout.write(json.dumps({"line": line.number, **outcome}, ensure_ascii=False) + "\n")
                    stdout.flush()
                    outcomes[str(outcome["outcome"])] += 1
        if not quiet:
            told = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items()) or "no lines"
            click.echo(told + ("." if apply else ". Nothing was written: --apply writes."), err=True)
        if any(outcomes[refused] for refused in _REFUSED):
            raise click.exceptions.Exit(API_FAILED)

    run(import_them())


def _read(file: Path, match: str, *, escape_formulas: bool) -> list[_Line]:
    """Return the lines of the file; those that cannot be for one customer are refused already."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(_lines(stream, match, escape_formulas=escape_formulas))
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not in UTF-8: save it as 'CSV UTF-8'.") from None
    except csv.Error as error:
        raise click.UsageError(f"{file} is not a CSV: {error}.") from None
    of_key: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        of_key[line.key].append(line.number)
    for line in lines:
        others = [str(number) for number in of_key[line.key] if number != line.number]
        if line.key and others:
            line.refused = f"line {', '.join(others)} has the same {match}"
    return lines


def _lines(stream: TextIO, match: str, *, escape_formulas: bool) -> Iterator[_Line]:
    reader = csv.reader(stream, strict=True)
    header = next(reader, [])
    unknown = [name for name in header if name not in COLUMNS]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if unknown or twice or match not in header:
        raise click.UsageError(
            f"There is no column {unknown[0]!r} in an export."
            if unknown
            else f"The column {twice[0]!r} is there twice."
            if twice
            else f"There is no column {match!r}, which --match {match} needs."
        )
    number = reader.line_num + 1
    for row in reader:
        if row:
            yield _line(number, dict(zip(header, row, strict=False)), match, len(row) - len(header), escape_formulas)
        number = reader.line_num + 1


def _line(number: int, row: Mapping[str, str], match: str, surplus: int, escape_formulas: bool) -> _Line:
    if surplus:
        return _Line(number, refused=f"it has {abs(surplus)} cells too {'many' if surplus > 0 else 'few'}")
    given = {name: undefuse(cell) if escape_formulas else cell for name, cell in row.items()}
    key = _key_of(given[match]) if match == "email" else given[match].strip()
    line = _Line(number, key, given.get("id", "").strip())
    try:
        line.values = {
            name: cells.value_of(name, cell) for name, cell in given.items() if cell and name in cells.WRITABLE
        }
    except ValueError as error:
        line.refused = str(error)
    if not key:
        line.refused = f"it has no {match}, by which to find the customer"
    return line


def _key_of(email: str) -> str:
    """Return what is the same for the same e-mail, however it is written."""
    return email.strip().casefold()


async def _by_email(ts: "TicketSource", lines: list[_Line], *, hidden: bool) -> dict[str, list[Customer]]:
    """Return the customers whom the lines may be for, by e-mail in small letters."""
    from tqdm import tqdm  # noqa: PLC0415 - as in the export

    wanted = {line.key for line in lines if not line.refused}
    found: dict[str, list[Customer]] = defaultdict(list)
    if not wanted:
        return found
    listed = ts.customers.list(concurrency=8, verify=True)  # whoever is missed would be created again
    with tqdm(unit=" customers read", disable=hidden, file=sys.stderr) as progress:
        async for customer in listed:
            progress.update()
            if customer.email is not None and (key := _key_of(customer.email)) in wanted:
                found[key].append(customer)
    if not listed.report.complete:
        fail("the list of customers changes too fast to be sure who is there: try again later.", TRY_AGAIN_LATER)
    return found


async def _by_id(ts: "TicketSource", lines: list[_Line]) -> dict[str, list[Customer]]:
    """Return the customers whom the lines are for, by id."""
    found: dict[str, list[Customer]] = {}
    async with aclosing(ts.customers.get_many([line.key for line in lines if not line.refused])) as asked:
        async for outcome in asked:
            if isinstance(outcome.error, ValueError):  # it can be no id
                found[outcome.input] = []
            elif not isinstance(outcome.error, NotFound):
                found[outcome.input] = [outcome.unwrap()]
    return found


async def _deal_with(ts: "TicketSource", line: _Line, found: list[Customer], how: _How) -> dict[str, object]:
    """Return the outcome of a line, after writing it if that is to be done."""
    shown: dict[str, object] = {"id": found[0].id} if len(found) == 1 else {}
    try:
        _check(line, found, how.match)
        if not found:
            return await _create(ts, line, how)
        return await _update(ts, line, found[0], how)
    except _Refusal as refusal:
        return {"outcome": "refused", **shown, "reason": str(refusal)}
    except (ValidationFailed, NotFound) as error:
        return {"outcome": "refused", **shown, "reason": str(error)}
    except (OutcomeUnknown, InvalidResponse) as error:
        return {"outcome": "unknown", **shown, "reason": str(error)}


def _check(line: _Line, found: list[Customer], match: str) -> None:
    """Raise _Refusal unless it is certain whom a line is for."""
    if line.refused:
        raise _Refusal(line.refused)
    if len(found) > 1:
        raise _Refusal(f"{len(found)} customers have this email: {', '.join(customer.id for customer in found)}")
    if match == "id" and not found:
        raise _Refusal("there is no customer with this id")
    if match == "email" and line.id and [customer.id for customer in found] != [line.id]:
        of = f"of {found[0].id}" if found else "of nobody"
        raise _Refusal(f"its id is {line.id}, but its email is {of}; match by id to change an email")


async def _create(ts: "TicketSource", line: _Line, how: _How) -> dict[str, object]:
    values = {column: _shown(value) for column, value in line.values.items()}
    if not how.apply:
        return {"outcome": "would create", "values": values}
    created = await ts.customers.create(cells.draft(line.values))
    return {"outcome": "created", "id": created.id, "values": values}


async def _update(ts: "TicketSource", line: _Line, before: Customer, how: _How) -> dict[str, object]:
    values = {column: value for column, value in line.values.items() if column != how.match}
    if how.apply and cells.written(before, values) != before:
        # As they are now: parts are sent whole, and somebody may have withdrawn a consent since the list was read.
        before = await ts.customers.get(before)
        if how.match == "email" and _key_of(before.email or "") != line.key:
            raise _Refusal("the customer has another email by now")
    after = cells.written(before, values)
    if after == before:
        return {"outcome": "unchanged", "id": before.id}
    changes = {
        column: [_shown(old), _shown(new)]
        for column, old, new in zip(COLUMNS, values_of(before), values_of(after), strict=True)
        if old != new
    }
    given = [column for column, (_, new) in changes.items() if column.startswith("consent_") and new is True]
    if given and not how.give_consent:
        raise _Refusal(f"the customer does not give {' and '.join(given)}; --give-consent lets a line do so")
    if how.apply:
        await ts.customers.save(before, after)
    return {"outcome": "updated" if how.apply else "would update", "id": before.id, "changes": changes}


def _shown(value: object) -> str | bool | None:
    return value if isinstance(value, str | bool | None) else str(value)
