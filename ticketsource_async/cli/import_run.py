"""Run an import: read the file, find the customer of each row, write the rows, and report the outcomes.

A row whose meaning is not certain is refused. The other rows are written.
"""

import os
import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from attrs import frozen

from ticketsource_async._words import counted
from ticketsource_async.cli import cells
from ticketsource_async.cli.columns import KEYS, Columns, Match, known
from ticketsource_async.cli.common import FAILED, box_office, fail, on_terminal, progress, run, say
from ticketsource_async.cli.lines import Line, Plan, Rules, days_as_stored, first_misread_row, lines_of, plan, same_key
from ticketsource_async.cli.matching import check_is_listed, find_customers
from ticketsource_async.cli.outcomes import CHANGES, Change, Outcome, Outcomes, table_to_correct
from ticketsource_async.errors import (
    ConfigurationError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    UnreadableFile,
    ValidationFailed,
)
from ticketsource_async.files import FileRows, check_can_write, read, write
from ticketsource_async.files.csv import writer
from ticketsource_async.files.json import json_text
from ticketsource_async.files.reading import DELIMITERS
from ticketsource_async.output import open_output
from ticketsource_async.tables import to_json

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async import Customer, TicketSource

_TABLES: Final = (".xlsx", ".csv", ".tsv")
"""The files that people can open in a spreadsheet, and import again."""

_WITH_MARK: Final = "utf-8-sig"  # Excel recognises the encoding by its byte order mark

_NOT_DATED: Final = (
    "Without a column updated_at, the command cannot see who was changed in TicketSource after the export."
)
_NO_CUSTOMER: Final = (
    "The API lists no customer. If your box office has customers, do not add --apply: they would be created again."
)


@frozen
class Options:
    """The options of an import."""

    file: Path
    match: Match
    apply: bool
    give_consent: bool
    columns: dict[str, str]
    ignore_unknown: bool
    dates: cells.Order | None
    sheet: str | None
    encoding: str | None
    delimiter: str | None
    refused: Path | None
    changes: Path | None
    sandbox: bool
    json: bool
    escape_formulas: bool
    quiet: bool


def import_file(options: Options) -> None:
    """Import a file with these options, and end the command."""
    _check_outputs(options)
    file = _read(options)
    columns = Columns(file, options.columns, options.match, ignore_unknown=options.ignore_unknown)
    if columns.left_out and not options.quiet:
        say(f"Columns left out: {', '.join(columns.left_out)}.")
    if "id" in columns.at.values() and "updated_at" not in columns.at.values():
        say(_NOT_DATED)
    lines = lines_of(file, columns, options.match, escape_formulas=options.escape_formulas)
    run(_import(file, lines, options), unread="the import is not at its end.")


def _check_outputs(options: Options) -> None:
    """Raise click.UsageError if the file of --refused or --changes cannot be written."""
    for option, path in (("--refused", options.refused), ("--changes", options.changes)):
        if path is None:
            continue
        if path.exists() and options.file.exists() and path.samefile(options.file):
            raise click.UsageError(f"{option} names the file to import: its rows would be lost.")
        if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise click.BadParameter(f"there is no folder {str(path.parent)!r} to write to.", param_hint=option)
        if path.suffix.lower() not in _TABLES:
            raise click.BadParameter(f"name a file that ends in one of {', '.join(_TABLES)}.", param_hint=option)
        try:
            check_can_write(path)
        except (ConfigurationError, OSError) as error:
            raise click.BadParameter(f"{path}: {error}", param_hint=option) from None
    if options.refused is not None and options.refused == options.changes:
        raise click.UsageError("--refused and --changes name the same file.")


def _read(options: Options) -> FileRows:
    """Return the rows of the file, and print how it was read."""
    is_stdin = str(options.file) == "-"
    if is_stdin and sys.stdin is None:
        raise click.UsageError("stdin is closed, so there is nothing to import.")
    try:
        file = read(
            sys.stdin.buffer if is_stdin else options.file,
            is_known=lambda name: name in options.columns or known(name) is not None,
            encoding=options.encoding,
            delimiter=options.delimiter,
            sheet=options.sheet,
        )
    except (UnreadableFile, ConfigurationError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        fail(f"{options.file}: {error.strerror or error}", FAILED)
    if not options.quiet:
        say(f"{'stdin' if is_stdin else options.file}: {file.taken}")
    return file


async def _import(file: FileRows, lines: list[Line], options: Options) -> None:
    outcomes = Outcomes()
    with _printing(options) as print_outcome:
        async with box_office(sandbox=options.sandbox) as ts:
            is_empty = await find_customers(ts, lines, options.match, quiet=options.quiet)
            as_stored = days_as_stored(lines) if options.dates is None else {}
            rules = Rules(
                options.match, options.give_consent, options.dates, frozenset(as_stored), first_misread_row(lines)
            )
            if not options.quiet:
                for column, count in as_stored.items():
                    are, ones = ("is", "equals the stored one") if count == 1 else ("are", "equal the stored ones")
                    say(f"{column}: {counted(count, 'day')} {are} written in another form, but {ones}.")
            # New customers are created first. A person who signs up after the list was read would be created twice.
            ordered = sorted(lines, key=lambda line: line.before is not None)
            plans = [(line, plan(line, line.before, rules)) for line in ordered]
            creates = sum(made.does == "create" for _, made in plans)
            if is_empty and creates and not options.apply:
                say(_NO_CUSTOMER)
            is_doubtful = is_empty and creates > 1
            with _progress(sum(made.writes for _, made in plans), options) as shown:
                for line, made in plans:
                    with _reporting_where_it_ended(line, writing=options.apply):
                        outcome = await _write(ts, line, made, rules) if options.apply else _outcome(line, made)
                        print_outcome(outcome)
                    outcomes.add(outcome)
                    shown.update(made.writes)
                    if is_doubtful and outcome.outcome == "created":
                        await check_is_listed(ts, outcome.id, line.row.number)
                        is_doubtful = False
    await _tell(file, outcomes, options)


@contextmanager
def _printing(options: Options) -> Iterator[Callable[[Outcome], None]]:
    """Yield a function that prints an outcome as a line of JSON. It prints nothing on a terminal without --json."""
    if _for_people(options):
        yield lambda _: None
        return
    with open_output(Path("-"), "utf-8") as stdout:

        def print_outcome(outcome: Outcome) -> None:
            stdout.write(json_text(outcome.to_dict()) + "\n")
            stdout.flush()

        yield print_outcome


def _for_people(options: Options) -> bool:
    return on_terminal(sys.stdout) and not options.json


def _progress(total: int, options: Options) -> "tqdm[object]":
    """Return a progress bar for the written rows, with the remaining time."""
    rows_to = Path("-") if options.json else None
    return progress("rows", quiet=options.quiet or not options.apply, rows_to=rows_to, total=total)


@contextmanager
def _reporting_where_it_ended(line: Line, *, writing: bool) -> Iterator[None]:
    """Print the row at which an error or a signal ends the import."""
    try:
        yield
    except BaseException as error:
        first = ""
        if writing and isinstance(error, CancelledError):
            first = "wait a minute, since TicketSource may still be at work on that row, then "
        say(f"The import ended at row {line.row.number}: {first}run it again to go on.")
        raise


async def _tell(file: FileRows, outcomes: Outcomes, options: Options) -> None:
    """Print the changes, the rows to correct and the sums, and write the files of --changes and --refused."""
    if _for_people(options):
        if not options.apply:
            outcomes.show_changes(options.changes)
        outcomes.show_to_correct(options.refused)
    if not options.quiet:
        for line in outcomes.summary(applied=options.apply):
            say(line)
    for line in outcomes.warnings():
        say(line)
    if options.sandbox and options.apply:
        say("The rows were written to a sample box office. It is gone now.")
    if options.changes is not None:
        await _write_changes(outcomes.changes, options.changes, options)
    if options.refused is not None:
        await _write_refused(file, outcomes.to_correct, options.refused, options)
    if outcomes.to_correct:
        raise click.exceptions.Exit(FAILED)


async def _write_changes(changes: list[Change], path: Path, options: Options) -> None:
    try:
        await write(changes, CHANGES, path, byte_order_mark=path.suffix.lower() != ".xlsx", on_warning=say)
    except OSError as error:
        fail(f"{path}: {error.strerror or error}: the changes are not in this file.", FAILED)
    if not options.quiet:
        say(f"{path}: {counted(len(changes), 'change')}.")


async def _write_refused(file: FileRows, to_correct: list[Outcome], path: Path, options: Options) -> None:
    guard_names = options.escape_formulas and path.suffix.lower() != ".xlsx"
    table = table_to_correct(
        file.header,
        to_correct,
        escape_formulas=options.escape_formulas,
        guard_names=guard_names,
    )
    try:
        if path.suffix.lower() == ".csv":  # the spreadsheet that wrote the file may accept no other delimiter
            is_found = options.delimiter is not None or file.delimiter in DELIMITERS
            with (
                open_output(path, _WITH_MARK, say) as stream,
                writer(
                    stream,
                    table,
                    escape_formulas=options.escape_formulas,
                    delimiter=(is_found and file.delimiter) or ",",
                ) as write_row,
            ):
                for outcome in to_correct:
                    write_row(outcome)
        else:
            await write(
                to_correct,
                table,
                path,
                escape_formulas=options.escape_formulas,
                byte_order_mark=path.suffix.lower() == ".tsv",
                on_warning=say,
            )
    except OSError as error:
        fail(f"{path}: {error.strerror or error}: the rows to correct are not in this file.", FAILED)
    if not options.quiet:
        say(f"{path}: {counted(len(to_correct), 'row')} to correct.")


# One row


def _outcome(line: Line, made: Plan) -> Outcome:
    """Return the outcome of a row without --apply."""
    before = line.before
    outcome = Outcome(line, "refused", before.id if before else "", made.reason, as_stored=made.as_stored)
    outcome.odd = made.odd
    if made.does == "nothing":
        outcome.outcome = "unchanged"
    elif made.does == "create":
        outcome.outcome = "would create"
        outcome.values = {column: to_json(value) for column, value in made.values.items()}
    elif made.does == "update" and before is not None and made.after is not None:
        outcome.outcome = "would update"
        outcome.changes = cells.differing(before, made.after)
    return outcome


async def _write(ts: "TicketSource", line: Line, made: Plan, rules: Rules) -> Outcome:
    """Write a row, and return the outcome."""
    try:
        if made.does == "update" and line.before is not None:
            line.before = await _as_now(ts, line.before, rules)  # whole parts are sent, so the record must be current
            made = plan(line, line.before, rules)
    except _Refusal as refusal:
        made = Plan(reason=str(refusal))
    outcome = _outcome(line, made)
    try:
        if made.does == "create" and made.draft is not None:
            outcome.id = (await ts.customers.create(made.draft)).id
            outcome.outcome = "created"
        elif made.does == "update" and line.before and made.after and made.draft:
            saved = await ts.customers.update(line.before.id, made.draft)
            outcome.outcome, outcome.changes = "updated", cells.differing(line.before, saved)
            if ignored := cells.not_taken(line.before, made.after, saved):
                outcome.outcome = "unknown"
                outcome.reason = f"the API did not take {' and '.join(ignored)}"
    except (ValidationFailed, NotFound) as error:
        return Outcome(line, "refused", outcome.id, str(error))
    except (OutcomeUnknown, InvalidResponse) as error:
        return Outcome(line, "unknown", outcome.id, str(error))
    return outcome


class _Refusal(Exception):
    """A row is not written, since its customer changed."""


async def _as_now(ts: "TicketSource", before: "Customer", rules: Rules) -> "Customer":
    """Return the current record of a customer; raise _Refusal if the row is not for this customer any more."""
    try:
        now = await ts.customers.get(before.id)
    except NotFound:
        raise _Refusal("this customer does not exist any more") from None
    except InvalidResponse as error:
        raise _Refusal(str(error)) from None
    if not same_key(before, now, rules.match):
        raise _Refusal(f"the customer has another {KEYS[rules.match]} now")
    return now
