"""The command that shows the sales."""

from collections.abc import Callable
from dataclasses import dataclass  # not attrs, which help would have to load
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ticketsource_async._words import counted, counted_once
from ticketsource_async.cli.common import (
    LeftOut,
    box_office,
    checked_ids,
    not_written,
    progress,
    reporting_unreadable,
    run,
    say,
)
from ticketsource_async.cli.export import Options, check_options, table_or_file_options, write_file
from ticketsource_async.cli.options import IDS, TEXT, about_ids, command, days_options, none_found
from ticketsource_async.cli.recipients import requests_taken
from ticketsource_async.cli.terminal import print_rows, table_or_format

if TYPE_CHECKING:
    from ticketsource_async import FailedBranch, Sales, SalesTally, SeatsOfBooking, Sold, StartFilter, TicketSource
    from ticketsource_async.files import Format
    from ticketsource_async.models.base import Record
    from ticketsource_async.reports.sales import By

BY: Final = ("date", "event", "day", "month", "sold-day")

events_option = click.option(
    "--event",
    "events",
    metavar="ID",
    type=TEXT,
    multiple=True,
    help="Only performances of this event. May be repeated.",
)


@command(
    "sales",
    epilog="Example: ticketsource sales --from 2026-01-01 --to 2026-01-31 --by event -o sales.xlsx",
)
@table_or_file_options
@days_options
@events_option
@click.option(
    "--by",
    type=click.Choice(BY),
    default="date",
    show_default=True,
    help="What one row is: a performance (date), an event, a day or a month of performances, or a day of sale.",
)
@click.option("--payment-methods", is_flag=True, help="Write a row and a total for each payment method.")
@click.option(
    "--tickets",
    is_flag=True,
    help="Add the seats that are sold and cancelled, by price category. This makes one request for each booking. The "
    "command first says how many, and how long they take. Not with --payment-methods or --by sold-day.",
)
def sales(
    options: Options,
    *,
    start: "StartFilter | None",
    events: tuple[str, ...],
    by: "By",
    payment_methods: bool,
    tickets: bool,
) -> None:
    """Show sales by performance, event, day or month, with a total.

    A performance is one date of an event. --from, --to and --event choose performances, also with --by sold-day.

    Gross, discounts, fees, VAT of fees and net are for tickets. Refunds are taken off. The column `refunds` shows them
    as negative amounts: do not take them off again. Donations and other sales, such as SUNDRY, have columns of their
    own. Their refunds are taken off, too. Their fees are in no column.

    If an amount is missing, or a refund has a positive amount, the sum is empty, and the column `missing` says why. If
    a performance or a booking cannot be read, the sums of its row and the total are empty, a message names it, and the
    exit code is 1.

    The column `mark` says what is cancelled or archived. The number of bookings includes refunded ones. With
    --by sold-day, a refund counts on the day of the refund. With it or with --payment-methods, a booking can count in
    several rows, and the rows can have more bookings than the total.

    A file ends with the totals. Their column `row` is "total" or "total of a payment method". Leave these rows out if
    you add up a column. Times and days are as the API writes them, and their time zone is not known. The API names no
    currency.
    """
    if tickets and (payment_methods or by == "sold-day"):
        raise click.UsageError(
            "The API does not say how or when a seat was sold. With --tickets, leave out --payment-methods and "
            "--by sold-day."
        )
    kind = table_or_format(options.output, options.format)
    check_options(options, kind)

    async def report() -> None:
        from ticketsource_async import SalesTally, files  # noqa: PLC0415 - help can do without

        if kind is not None:
            files.check_can_write(options.output, format=kind.name)
        tally = SalesTally(by, payment_methods=payment_methods, seats=tickets)
        in_cells = kind is not None
        with LeftOut() as left_out, reporting_unreadable(strict=options.strict, in_cells=in_cells) as note:
            async with box_office(sandbox=options.sandbox) as ts:
                await read_sales(
                    ts, tally, hooks=Hooks(note, left_out), quiet=options.quiet, start=start, events=events
                )
                if tickets:
                    await _read_seats(ts, tally, Hooks(note, left_out), options)
            check_any_read(tally, left_out, options.output)
            await _write(tally.result(), kind, options)

    run(report())


@dataclass(frozen=True)
class Hooks:
    """The functions for each record, and for each row or branch that cannot be read."""

    note: "Callable[[Record], None]"
    left_out: LeftOut


@dataclass(frozen=True)
class _Watch:
    """A tally that counts each performance and notes unreadable values."""

    hooks: Hooks
    count: Callable[[], object]

    def add(self, sold: "Sold") -> None:
        """Count a performance."""
        for record in (sold.event, sold.date, sold.venue, *sold.bookings):
            if record is not None:
                self.hooks.note(record)
        for failed in sold.failed:
            self.hooks.left_out(failed)
        self.count()

    def add_failed(self, failed: "FailedBranch") -> None:
        """Note a branch that could not be read."""
        self.hooks.left_out(failed)


async def read_sales(
    ts: "TicketSource",
    *tallies: "SalesTally",
    hooks: Hooks,
    quiet: bool,
    start: "StartFilter | None",
    events: tuple[str, ...],
) -> None:
    """Read the performances and their bookings once for all of these tallies. Print if there is no performance."""
    with (
        progress("performances", quiet=quiet) as shown,
        checked_ids("--event", explained=about_ids(IDS["events"])),
    ):
        await ts.reports.read(*tallies, _Watch(hooks, shown.update), start=start, events=events or None)
    if not tallies[0].read and not hooks.left_out.count and not quiet:
        say(none_found("performance", start))


async def _read_seats(ts: "TicketSource", tally: "SalesTally", hooks: Hooks, options: Options) -> None:
    """Print how many requests the seats take, then read them."""
    if not (number := len(tally.booking_ids)):
        return
    if not options.quiet:
        say(f"Reading the seats of {counted(number, 'booking')}: {requests_taken(number)}.")
    with progress("bookings", quiet=options.quiet, total=number) as shown:

        def add(found: "SeatsOfBooking") -> None:
            for seat in found.seats:
                hooks.note(seat)
            for failed in found.failed:
                hooks.left_out(failed)
            shown.update()

        await ts.reports.read_seats(tally, on_booking=add)


def check_any_read(tally: "SalesTally", left_out: LeftOut, output: Path) -> None:
    """Raise TicketSourceError if something could not be read and there is no performance."""
    from ticketsource_async.errors import TicketSourceError  # noqa: PLC0415 - help can do without

    if left_out.count and not tally.read:
        raise TicketSourceError(f"no performance could be read{not_written(output)}.")


async def _write(sales: "Sales", kind: "Format | None", options: Options) -> None:
    """Write the sales in a format of files, or print a table for None."""
    from ticketsource_async.report_tables import missing_lines, sales_on_terminal, sales_table  # noqa: PLC0415 - as above

    rows = (*sales.rows, *sales.method_totals, sales.total)
    if kind is None:
        from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - as above

        print_rows(sales_on_terminal(sales), rows, list(map(escape_controls, missing_lines(sales))))
    else:
        await write_file(rows, sales_table(sales), options.output, kind, options)
    if sales.repeated:
        say(counted_once(sales.repeated))
