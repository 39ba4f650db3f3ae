"""The commands on customers that do more than look up: export, changes, forget, create, update, delete."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import click

from ticketsource_async.cli import cells
from ticketsource_async.cli.common import (
    FAILED,
    TEXT,
    box_office,
    check_format,
    checked_ids,
    confirm_deletion,
    escape_option,
    excel_option,
    fail,
    opened,
    output_option,
    print_record,
    progress,
    quiet_option,
    run,
    sandbox_option,
    strict_option,
    telling_unreadable,
    yes_option,
)
from ticketsource_async.errors import InvalidResponse, NotFound, ServerError, TicketSourceError

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async import CallEvent, Change, Customer


@click.group()
def customers() -> None:
    """Export, follow, import, look up and change customers."""


@customers.command("export", epilog="Example: ticketsource customers export --consent email -o mailing.csv")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "json", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
    help="csv and parquet have a column for each field, json and jsonl all that the API tells.",
)
@output_option
@click.option(
    "--consent",
    type=click.Choice(["email", "post", "sms"]),
    multiple=True,
    help="Only customers who consent to be contacted this way; may be repeated, then all must hold. For a mailing, not "
    "for a sync: who withdraws would just be missing, and the other system would go on writing to them.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many customers.")
@excel_option
@escape_option
@strict_option
@quiet_option
@sandbox_option
def export_customers(
    *,
    format_: str,
    output: Path,
    consent: tuple[str, ...],
    limit: int | None,
    excel: bool,
    escape_formulas: bool,
    strict: bool,
    quiet: bool,
    sandbox: bool,
) -> None:
    """Stream every customer to stdout or a file, with what they consent to.

    A value that cannot be read is an empty cell; at the end stderr tells which they are, and whose. Such a consent
    counts as no.
    """
    check_format(format_, excel=excel, escape_formulas=escape_formulas)
    if format_ == "parquet" and str(output) == "-":
        raise click.UsageError("--format parquet needs a file: name it with --output.")

    async def export() -> None:
        with (
            telling_unreadable(strict=strict, in_cells=format_ in ("csv", "parquet")) as note,
            opened(output, "utf-8-sig" if excel else "utf-8") as stream,
        ):
            async with box_office(sandbox=sandbox) as ts:
                # The limit counts those written: without a filter these are those read, and no page too many is read.
                listed = aiter(ts.customers.list(max_items=None if consent else limit, concurrency=8))
                with (
                    _writer(stream, format_, escape_formulas=escape_formulas) as write,
                    progress("customers", quiet=quiet, rows_to=output) as shown,
                ):
                    left_out = await _write_customers(listed, write, note, consent, limit, shown)
            if consent and not quiet:
                click.echo(f"{left_out:,} left out: no consent to {' and '.join(consent)}.", err=True)

    run(export())


def _writer(
    stream: TextIOWrapper, format_: str, *, escape_formulas: bool
) -> "AbstractContextManager[Callable[[Customer], None]]":
    from ticketsource_async import export  # noqa: PLC0415

    if format_ == "csv":
        return nullcontext(export.csv_writer(stream, escape_formulas=escape_formulas))
    if format_ == "parquet":
        return export.parquet_writer(cast(BinaryIO, stream.buffer))
    return export.json_writer(stream) if format_ == "json" else nullcontext(export.jsonl_writer(stream))


async def _write_customers(
    listed: "AsyncGenerator[Customer, None]",
    write: "Callable[[Customer], None]",
    note: "Callable[[Customer], None]",
    consent: tuple[str, ...],
    limit: int | None,
    shown: "tqdm[Any]",
) -> int:
    """Write those who consent, up to a limit, and return how many were left out."""
    written = left_out = 0
    async with aclosing(listed):
        async for customer in listed:
            shown.update()
            note(customer)
            if not all(getattr(customer.consent, way, None) is True for way in consent):
                left_out += 1
                continue
            write(customer)
            written += 1
            if written == limit:
                break
    return left_out


def _store_option(*, exists: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--store",
        type=click.Path(exists=exists, dir_okay=False, path_type=Path),
        required=True,
        help="The file that remembers what was told"
        + ("." if exists else "; it is made when it is not there. One for each box office."),
    )


@customers.command("changes", epilog="Example: ticketsource customers changes --store customers.db -o changes.jsonl")
@_store_option(exists=False)
@output_option
@click.option(
    "--rebind",
    is_flag=True,
    help="Go on with another API key or address than the store was filled with, if one of the customers that it "
    "remembers is found with them.",
)
@quiet_option
def follow_customers(*, store: Path, output: Path, rebind: bool, quiet: bool) -> None:
    """Write what changed since last time, a line of JSON for each change.

    The first time everybody is new. A line has "change" (created, updated or deleted), "id", and the customer, as
    they were "before" and are "after"; "consent_changed", and for updates "fields". All changes count as told when the
    file of --output has its name; on stdout each does when its line is written, and what stands in a pipe when its
    reader dies is lost. What does not count as told comes again. A customer who cannot be read is told on stderr.
    """
    if str(output) != "-" and output.resolve() == store.resolve():
        raise click.UsageError("--output and --store are the same file.")
    if output.is_file() and output.stat().st_size:
        fail(f"{output} is there already: deal with its changes and take it away first.", FAILED)

    a_line_each = str(output) == "-"

    async def follow() -> None:
        from ticketsource_async import CustomerStore  # noqa: PLC0415

        told: Counter[str] = Counter()
        with progress("customers", quiet=quiet, rows_to=output) as shown:
            async with box_office(on_event=_counting(shown)) as ts, CustomerStore(store) as remembered:
                if rebind:
                    await ts.customers.rebind(remembered)
                changes = ts.customers.changes(remembered, acknowledge=a_line_each, on_invalid=_telling(told))
                with (
                    telling_unreadable(strict=False, in_cells=False) as note,
                    opened(output, "utf-8") as stream,
                ):
                    failure = await _write_changes(changes, stream, told, note)
                await remembered.acknowledge_all()  # now that the file has its name
        if not quiet:
            click.echo(
                f"{told['created']:,} created, {told['updated']:,} updated, {told['deleted']:,} deleted; "
                f"{told['consents']:,} changed a consent.",
                err=True,
            )
        if failure is not None:
            raise failure
        if told["unreadable"]:
            fail(f"{told['unreadable']:,} could not be read, and what changed in them is not told.", FAILED)

    run(
        follow(),
        unread="what was printed last may count as told though nobody has it; take --output." if a_line_each else "",
    )


async def _write_changes(
    changes: "AsyncGenerator[Change, None]",
    stream: TextIOWrapper,
    told: Counter[str],
    note: "Callable[[Customer], None]",
) -> TicketSourceError | None:
    """Write the changes, and return what failed for a single customer, if all others are told."""
    from ticketsource_async.export import jsonl_writer  # noqa: PLC0415

    write = jsonl_writer(stream)
    try:
        async with aclosing(changes):
            async for change in changes:
                write(change)
                stream.flush()
                _note_new(change, note)
                told[type(change).__name__.lower()] += 1
                told["consents"] += change.consent_changed
    except (NotFound, ServerError, InvalidResponse) as error:
        if "/customers/" not in error.path:  # it is the list, so that not all is told
            raise
        return error
    return None


def _note_new(change: "Change", note: "Callable[[Customer], None]") -> None:
    """Note what could not be read in a customer, unless that was so before."""
    from attrs import evolve  # noqa: PLC0415 - help can do without

    if change.after is not None and change.after.invalid:
        before = getattr(change, "before", None)
        known = before.invalid if before is not None else {}
        new = {path: value for path, value in change.after.invalid.items() if path not in known}
        note(evolve(change.after, invalid=new))


def _counting(shown: "tqdm[Any]") -> "Callable[[CallEvent], None]":
    from ticketsource_async import PageEvent  # noqa: PLC0415

    def count(event: "CallEvent") -> None:
        if isinstance(event, PageEvent):
            shown.update(event.rows)

    return count


def _telling(told: Counter[str]) -> Callable[[InvalidResponse], None]:
    def tell(error: InvalidResponse) -> None:
        told["unreadable"] += 1
        click.echo(f"ticketsource: {error}", err=True)

    return tell


@customers.command("forget", epilog="Example: ticketsource customers forget cst-dQyWKER4Orw5glVX --store customers.db")
@click.argument("customer_id", metavar="ID", type=TEXT)
@_store_option(exists=True)
def forget_customer(*, customer_id: str, store: Path) -> None:
    """Erase a customer from what `changes` remembers, without a trace.

    In TicketSource they stay: delete them there first, or they come again as created.
    """

    async def forget() -> None:
        from ticketsource_async import CustomerStore  # noqa: PLC0415

        async with CustomerStore(store) as remembered:
            if not await remembered.erase(customer_id):
                click.echo(f"{store} remembers nobody with the id {customer_id}, and has no trace of them.", err=True)

    run(forget())


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field that can be written."""
    for column in reversed(cells.WRITABLE):
        name = "--" + column.replace("_", "-")
        if column.startswith("consent_"):
            command = click.option(name, column, type=click.Choice(["true", "false"]))(command)
        else:
            command = click.option(name, column, type=TEXT, metavar="DAY" if column.endswith("_date") else "TEXT")(
                command
            )
    return command


def _values(given: dict[str, str | None]) -> dict[str, cells.Value]:
    values: dict[str, cells.Value] = {}
    for column, text in given.items():
        if text is None:
            continue
        try:
            values[column] = cells.value_of(column, text) if text else None
        except ValueError as error:
            raise click.UsageError(f"{error}.") from None
    return values


_NOTHING: Final = "Nothing to write: give at least one field, such as --last-name."


@customers.command(
    "create",
    epilog="Example: ticketsource customers create --first-name Karl --last-name Jenkins --consent-email true",
)
@_fields
def create_customer(**given: str | None) -> None:
    """Create a customer and print the record."""
    values = {column: value for column, value in _values(given).items() if value is not None}
    if not values:
        raise click.UsageError(_NOTHING)

    async def create() -> None:
        async with box_office() as ts:
            print_record(await ts.customers.create(cells.draft(values)))

    run(create(), unread="the customer is created.")


@customers.command(
    "update", epilog='Example: ticketsource customers update cst-dQyWKER4Orw5glVX --telephone "" --consent-sms false'
)
@click.argument("customer_id", metavar="ID", type=TEXT)
@_fields
def update_customer(*, customer_id: str, **given: str | None) -> None:
    """Change the fields that are given, and print the record; an empty text clears a field."""
    values = _values(given)
    if not values:
        raise click.UsageError(_NOTHING)

    async def update() -> None:
        async with box_office() as ts:
            with checked_ids("ID"):
                before = await ts.customers.get(customer_id)
            after = cells.written(before, values)
            draft = cells.update_draft(before, after)
            saved = await ts.customers.update(before.id, draft) if draft else before
        print_record(saved)
        if ignored := cells.not_taken(before, after, saved):
            fail(f"the API did not take {' and '.join(ignored)}.", FAILED)

    run(update(), unread="the update is done.")


@customers.command("delete", epilog="Example: ticketsource customers delete cst-dQyWKER4Orw5glVX")
@click.argument("customer_id", metavar="ID", type=TEXT)
@yes_option
def delete_customer(*, customer_id: str, yes: bool) -> None:
    """Delete a customer, for good."""
    confirm_deletion(f"customer {customer_id}", yes=yes)

    async def delete() -> None:
        async with box_office() as ts:
            with checked_ids("ID"):
                await ts.customers.delete(customer_id)

    run(delete())
