"""The commands that export customers, bookings and the programme to a file."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, fields  # not attrs, which help would have to load
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ticketsource_async._words import counted
from ticketsource_async.cli.common import LeftOut, box_office, not_written, progress, reporting_unreadable, run, say
from ticketsource_async.cli.options import (
    TEXT,
    WholeNumber,
    chosen_format,
    command,
    days_options,
    format_option,
    none_found,
    output_option,
    quiet_option,
    sandbox_option,
    stored_customers_option,
    strict_option,
)
from ticketsource_async.cli.recipients import (
    Recipients,
    recipient_options,
    who_booked,
    with_requested_customers,
    with_stored_customers,
)
from ticketsource_async.cli.terminal import TABLE, table_or_file_option

if TYPE_CHECKING:
    from ticketsource_async import Customer, StartFilter, TicketSource
    from ticketsource_async.cli.recipients import Bookings
    from ticketsource_async.files import Format
    from ticketsource_async.models.base import Record
    from ticketsource_async.tables import Performance, SoldLine, Table

T = TypeVar("T")


@dataclass(frozen=True)
class Hooks:
    """The functions that an export calls for each record, each step, and each row or branch that it cannot read."""

    note: "Callable[[Record], None]"
    count: Callable[[], object]
    left_out: LeftOut


@dataclass(frozen=True)
class Options:
    """The options of all exports."""

    format: str | None
    output: Path
    excel: bool
    escape_formulas: bool
    strict: bool
    quiet: bool
    sandbox: bool


_FORMAT = format_option("csv", "For Excel, use xlsx.")
_CUSTOMERS_FORMAT = format_option(
    "csv", "For Excel, use xlsx. json and jsonl contain the whole record, all others have one column for each field."
)


def export_options(
    function: Callable[..., None], *, with_format: Callable[[Callable[..., None]], Callable[..., None]] = _FORMAT
) -> Callable[..., None]:
    """Add the options of all exports; the function gets them as `Options`. `with_format` adds --format."""

    @wraps(function)  # with the options that it has already
    def with_options(**given: object) -> None:
        options: dict[str, Any] = {field.name: given.pop(field.name) for field in fields(Options)}
        function(Options(**options), **given)

    made: Callable[..., None] = with_options
    for option in (
        sandbox_option,
        quiet_option,
        strict_option,
        click.option(
            "--escape-formulas/--no-escape-formulas",
            default=True,
            help="In csv and tsv, put a quote (') before text that a spreadsheet would run as a formula.  "
            "[default: on]",
        ),
        click.option(
            "--excel",
            is_flag=True,
            help="For a csv or tsv that you open in Excel: mark it as UTF-8. If not, Excel shows letters such as é "
            "wrongly.",
        ),
        output_option,
        with_format,
    ):
        made = option(made)
    return made


table_or_file_options = partial(export_options, with_format=table_or_file_option)
"""Add the options of all exports to a command that prints a table on a terminal."""


def check_options(options: Options, *kinds: "Format | None") -> None:
    """Refuse the options of csv and tsv if no output has such a format; None is a table on a terminal."""
    if (options.excel or not options.escape_formulas) and not any(kind and kind.guards_formulas for kind in kinds):
        names = " and ".join(dict.fromkeys(kind.name if kind else TABLE for kind in kinds))
        raise click.UsageError(
            f"--excel and --no-escape-formulas are for csv and tsv only. For {names}, leave them out."
        )


async def write_file(
    rows: "AsyncIterable[T] | Iterable[T]", table: "Table[T]", output: Path, kind: "Format", options: Options
) -> int:
    """Write rows to a file in a format, as the options say, and return their number."""
    from ticketsource_async import files  # noqa: PLC0415 - help can do without

    return await files.write(
        rows,
        table,
        output,
        format=kind.name,
        escape_formulas=options.escape_formulas,
        byte_order_mark=options.excel and kind.guards_formulas,
        on_warning=say,
    )


def _export(
    options: Options,
    table: "Table[T]",
    progress_of: str,
    items: "Callable[[TicketSource, Hooks], AsyncGenerator[T, None]]",
    tell: Callable[[int], str],
) -> None:
    """Write the items to the file in the options. At the end, print the text that `tell` returns for their number.

    If branches are left out and there is no item at all, the file keeps its old contents.
    """
    from ticketsource_async.errors import TicketSourceError  # noqa: PLC0415 - help can do without

    kind = chosen_format(options.output, options.format, "csv")
    check_options(options, kind)

    async def export() -> None:
        with (
            LeftOut() as left_out,
            reporting_unreadable(strict=options.strict, in_cells=kind.has_cells or table.whole is None) as note,
        ):

            async def rows() -> "AsyncGenerator[T, None]":
                any_row = False
                async with box_office(sandbox=options.sandbox) as ts:
                    with progress(progress_of, quiet=options.quiet, rows_to=options.output) as shown:
                        async with aclosing(items(ts, Hooks(note, shown.update, left_out))) as found:
                            async for item in found:
                                any_row = True
                                yield item
                if left_out.count and not any_row:
                    raise TicketSourceError(f"no row could be read{not_written(options.output)}.")

            number = await write_file(rows(), table, options.output, kind, options)
            if not options.quiet and (told := tell(number)):
                say(told)

    run(export())


@command(
    "customers export", epilog="Example: ticketsource customers export --consent email --require email -o mailing.xlsx"
)
@recipient_options
@click.option(
    "--event",
    "events",
    metavar="ID",
    type=TEXT,
    multiple=True,
    help="Only customers with a booking for this event. `events list` prints the ids. Each customer has one row. May "
    "be repeated, also together with --date: a booking for one of them is enough. Refunded bookings and cancelled "
    "performances count too.",
)
@click.option(
    "--date",
    "dates",
    metavar="ID",
    type=TEXT,
    multiple=True,
    help="Only customers with a booking for this performance, which is one date of an event. `events dates EVENT_ID` "
    "and `programme export` print the ids. Each customer has one row. May be repeated. Refunded bookings count too.",
)
@click.option("--limit", type=WholeNumber(1), metavar="N", help="Stop after N customers.")
@partial(export_options, with_format=_CUSTOMERS_FORMAT)
def export_customers(
    options: Options,
    *,
    consent: tuple[str, ...],
    require: tuple[str, ...],
    events: tuple[str, ...],
    dates: tuple[str, ...],
    limit: int | None,
) -> None:
    """Export all customers, or those you choose.

    If a value cannot be read, its cell is empty, and a message at the end says so. A consent that cannot be read does
    not count as consent. If a whole customer cannot be read, the file has no row for the customer, a message names the
    customer, and the exit code is 1. A customer can also be missing if somebody deletes other customers in TicketSource
    during the export.

    With --event or --date, the command makes one request for each customer with a booking. It first says how many.
    """
    from ticketsource_async.tables import CUSTOMERS  # noqa: PLC0415 - as above

    recipients = Recipients(consent, require)

    async def customers(ts: "TicketSource", hooks: Hooks) -> "AsyncGenerator[Customer, None]":
        written = 0
        listed: AsyncGenerator[Customer, None]
        if events or dates:
            listed = who_booked(ts, events, dates, hooks.left_out, limit=limit, quiet=options.quiet)
        else:
            # The limit counts written customers. Without a filter, all read customers are written, so it limits the
            # pages too.
            most = limit if recipients.is_everybody else None
            listed = aiter(ts.customers.list(max_items=most, concurrency=8, on_invalid=hooks.left_out))
        async with aclosing(listed):
            async for customer in listed:
                hooks.count()
                hooks.note(customer)
                if not recipients.take(customer):
                    continue
                yield customer
                written += 1
                if written == limit:
                    break

    def tell(number: int) -> str:
        recipients.report_left_out()
        return _written(number, "customer", options)

    _export(options, CUSTOMERS, "customers", customers, tell)


def _written(number: int, what: str, options: Options) -> str:
    """Return how many rows were written to a file; an empty text for stdout."""
    if str(options.output) == "-":
        return ""
    return f"{counted(number, what)} {'was' if number == 1 else 'were'} written to {options.output}."


async def _noted(listed: "Bookings", hooks: Hooks) -> "Bookings":
    async for sold in listed:
        for record in sold:
            hooks.note(record)
        hooks.count()
        yield sold


@command(
    "bookings export",
    epilog="Example: ticketsource bookings export --from 2026-01-01 --to 2026-01-31 -o bookings.csv",
)
@export_options
@days_options
@click.option(
    "--with-customer",
    is_flag=True,
    help="Add the name, the e-mail and the telephone of the customer. This makes one request for each customer. The "
    "command first says how many. It keeps all bookings in memory. With --store it makes no such request.",
)
@stored_customers_option("With --with-customer: take the customers from this store.")
def export_bookings(options: Options, *, start: "StartFilter | None", with_customer: bool, store: Path | None) -> None:
    """Export all bookings, with one row for each line of a booking.

    If an event or a performance cannot be read, all other rows are written, a message names it, and the exit code is 1.
    """
    from ticketsource_async.tables import BOOKINGS, BOOKINGS_WITH_CUSTOMER, sold_lines  # noqa: PLC0415 - as above

    if store is not None and not with_customer:
        raise click.UsageError("--store works only together with --with-customer.")

    async def lines(ts: "TicketSource", hooks: Hooks) -> "AsyncGenerator[SoldLine, None]":
        async with aclosing(ts.all_bookings(start=start, on_branch_error=hooks.left_out)) as listed:
            bookings = _noted(listed, hooks)
            if store is not None:
                sold = with_stored_customers(ts, bookings, store, hooks.left_out)
            elif with_customer:
                sold = with_requested_customers(
                    ts, bookings, hooks.left_out, output=options.output, quiet=options.quiet
                )
            else:
                sold = ((*booking, None) async for booking in bookings)
            async with aclosing(bookings), aclosing(sold):
                async for event, event_date, booking, customer in sold:
                    if customer is not None:
                        hooks.note(customer)
                    for line in sold_lines(event, event_date, booking, customer):
                        yield line

    def tell(number: int) -> str:
        return _written(number, "row", options) if number else none_found("booking for a performance", start)

    _export(options, BOOKINGS_WITH_CUSTOMER if with_customer else BOOKINGS, "bookings", lines, tell)


@command(
    "programme export",
    epilog="Example: ticketsource programme export --from 2026-01-01 --to 2026-01-31 -o programme.csv",
)
@export_options
@days_options
def export_programme(options: Options, *, start: "StartFilter | None") -> None:
    """Export all performances of all events, with their venues.

    A performance is one date of an event.

    If an event or a venue cannot be read, all other rows are written, a message names it, and the exit code is 1.
    """
    from ticketsource_async.tables import PROGRAMME, Performance  # noqa: PLC0415 - as above

    async def performances(ts: "TicketSource", hooks: Hooks) -> "AsyncGenerator[Performance, None]":
        async with aclosing(ts.programme(start=start, on_branch_error=hooks.left_out)) as programme:
            async for event, event_date, venue in programme:
                for record in (event, event_date, venue):
                    if record is not None:
                        hooks.note(record)
                yield Performance(event, event_date, venue)
                hooks.count()

    def tell(number: int) -> str:
        return _written(number, "performance", options) if number else none_found("performance", start)

    _export(options, PROGRAMME, "dates", performances, tell)
