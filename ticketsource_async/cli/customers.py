"""The commands on customers that do more than look up: export, changes, create, update, delete."""

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from ticketsource_async.cli import cells
from ticketsource_async.cli.common import (
    box_office,
    check_format,
    checked_ids,
    confirm_deletion,
    escape_option,
    excel_option,
    opened,
    output_option,
    print_record,
    quiet_option,
    run,
    sandbox_option,
    yes_option,
)

if TYPE_CHECKING:
    from ticketsource_async import Customer


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
    quiet: bool,
    sandbox: bool,
) -> None:
    """Stream every customer to stdout or a file, with what they consent to."""
    check_format(format_, excel=excel, escape_formulas=escape_formulas)
    if format_ == "parquet" and str(output) == "-":
        raise click.UsageError("--format parquet needs a file: name it with --output.")
    hidden = quiet or not sys.stderr.isatty() or (str(output) == "-" and sys.stdout.isatty())

    async def export() -> None:
        with opened(output, "utf-8-sig" if excel else "utf-8") as stream:
            async with box_office(sandbox=sandbox) as ts:
                # The limit counts those written: without a filter these are those read, and no page too many is read.
                listed = aiter(ts.customers.list(max_items=None if consent else limit, concurrency=8))
                with _writer(stream, format_, escape_formulas=escape_formulas) as write:
                    left_out = await _write_customers(listed, write, consent, limit, hidden=hidden)
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
    consent: tuple[str, ...],
    limit: int | None,
    *,
    hidden: bool,
) -> int:
    """Write those who consent, up to a limit, and return how many were left out."""
    from tqdm import tqdm  # noqa: PLC0415 - 75 ms that help need not pay

    written = left_out = 0
    with tqdm(unit=" customers", disable=hidden, file=sys.stderr) as progress:
        async with aclosing(listed):
            async for customer in listed:
                progress.update()
                if not all(getattr(customer.consent, way, None) is True for way in consent):
                    left_out += 1
                    continue
                write(customer)
                written += 1
                if written == limit:
                    break
    return left_out


@customers.command("changes", epilog="Example: ticketsource customers changes --store customers.db")
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file that remembers what was told; it is made when it is not there. One for each box office.",
)
@quiet_option
@sandbox_option
def follow_customers(*, store: Path, quiet: bool, sandbox: bool) -> None:
    """Print what changed since last time, a line of JSON for each change.

    The first time everybody is new. A line has "change" (created, updated or deleted), "id", and the customer, as
    they were "before" and are "after"; updates have "fields" and "consent_changed". A change counts as told when its
    line is written: if the command ends before that, it comes again.
    """

    async def follow() -> None:
        from ticketsource_async import CustomerStore, Updated  # noqa: PLC0415

        told: Counter[str] = Counter()
        with opened(Path("-"), "utf-8") as stdout:
            async with (
                CustomerStore(store) as remembered,
                box_office(sandbox=sandbox) as ts,
                aclosing(ts.customers.changes(remembered)) as changes,
            ):
                async for change in changes:
                    stdout.write(json.dumps(change.to_dict(), ensure_ascii=False) + "\n")
                    stdout.flush()
                    told[type(change).__name__.lower()] += 1
                    told["consents"] += isinstance(change, Updated) and change.consent_changed
        if not quiet:
            click.echo(
                f"{told['created']:,} created, {told['updated']:,} updated, {told['deleted']:,} deleted; "
                f"{told['consents']:,} changed a consent.",
                err=True,
            )

    run(follow())


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field that can be written."""
    for column in reversed(cells.WRITABLE):
        name = "--" + column.replace("_", "-")
        if column.startswith("consent_"):
            command = click.option(name, column, type=click.Choice(["true", "false"]))(command)
        else:
            command = click.option(name, column, metavar="DAY" if column.endswith("_date") else "TEXT")(command)
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
    if not values:
        raise click.UsageError("Nothing to write: give at least one field, such as --last-name.")
    return values


@customers.command(
    "create",
    epilog="Example: ticketsource customers create --first-name Karl --last-name Jenkins --consent-email true",
)
@_fields
@sandbox_option
def create_customer(*, sandbox: bool, **given: str | None) -> None:
    """Create a customer and print the record."""
    values = _values(given)

    async def create() -> None:
        async with box_office(sandbox=sandbox) as ts:
            print_record(await ts.customers.create(cells.draft(values)))

    run(create())


@customers.command(
    "update", epilog='Example: ticketsource customers update cst-dQyWKER4Orw5glVX --telephone "" --consent-sms false'
)
@click.argument("customer_id", metavar="ID")
@_fields
@sandbox_option
def update_customer(*, customer_id: str, sandbox: bool, **given: str | None) -> None:
    """Change the fields that are given, and print the record; an empty text clears a field."""
    values = _values(given)

    async def update() -> None:
        with checked_ids("ID"):
            async with box_office(sandbox=sandbox) as ts:
                before = await ts.customers.get(customer_id)
                print_record(await ts.customers.save(before, cells.written(before, values)))

    run(update())


@customers.command("delete", epilog="Example: ticketsource customers delete cst-dQyWKER4Orw5glVX")
@click.argument("customer_id", metavar="ID")
@yes_option
@sandbox_option
def delete_customer(*, customer_id: str, yes: bool, sandbox: bool) -> None:
    """Delete a customer, for good."""
    confirm_deletion(f"customer {customer_id}", yes=yes)

    async def delete() -> None:
        with checked_ids("ID"):
            async with box_office(sandbox=sandbox) as ts:
                await ts.customers.delete(customer_id)

    run(delete())
