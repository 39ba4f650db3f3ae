"""The command that makes a door list."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from ticketsource_async._words import counted
from ticketsource_async.cli.common import (
    LeftOut,
    box_office,
    checked_ids,
    first_few,
    progress,
    reporting_unreadable,
    run,
    say,
)
from ticketsource_async.cli.export import Options, check_options, table_or_file_options, write_file
from ticketsource_async.cli.options import IDS, Id, about_ids, command
from ticketsource_async.cli.recipients import requests_taken
from ticketsource_async.cli.terminal import print_rows, table_or_format

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async.reports.door_list import DoorList


@command("door-list", epilog=f"Example: ticketsource door-list {IDS['dates'].sample} -o door.html")
@click.argument("date", metavar="DATE_ID", type=Id("dates"))
@click.option("--fast", is_flag=True, help="Leave out seats and attendees. This saves a request for each booking.")
@click.option(
    "--notes", is_flag=True, help="Add the staff notes on each customer. This makes one more request for each customer."
)
@table_or_file_options
def door_list(options: Options, *, date: str, notes: bool, fast: bool) -> None:
    """List who has booked for a performance, by surname.

    A performance is one date of an event. DATE_ID is its id. To find it, run `programme export` or
    `events dates EVENT_ID`.

    Each booking has a row with name, reference, seats by price category, attendees, telephone and remarks. CANCELLED
    means that all seats of the booking are cancelled. REFUNDED means that all money for its tickets was paid back. Such
    bookings stay on the list.

    To print the list, write .html and open it in a browser, or write .xlsx. Every A4 page has the performance and the
    headings. Every booking has a box to tick.

    The command makes at least 4 requests, then one for each booking and one for each customer. It first says how many,
    and how long they take. If a booking or a part of one cannot be read, the list says so, a message says why, and the
    exit code is 1. Times are as TicketSource writes them.
    """
    kind = table_or_format(options.output, options.format)
    check_options(options, kind)

    async def work() -> None:
        from ticketsource_async import files  # noqa: PLC0415 - help can do without
        from ticketsource_async.report_tables import door_list_table  # noqa: PLC0415 - as above

        if kind is not None:
            files.check_can_write(options.output, format=kind.name)
        # The cells of the list say what could not be read.
        with LeftOut() as left_out, reporting_unreadable(strict=options.strict, in_cells=False) as note:
            found = await _read(date, options, seats=not fast, notes=notes)
            for record in found.records():
                note(record)
            for error in found.failures():
                left_out(error)
            table = door_list_table(found)
            if kind is None:
                print_rows(table, found.entries, [found.title, *found.lines, *found.warnings])
            else:
                await write_file(found.entries, table, options.output, kind, options)
            _tell(found, is_shown=kind is None, quiet=options.quiet)

    run(work())


async def _read(date: str, options: Options, *, seats: bool, notes: bool) -> "DoorList":
    """Print how many requests the door list takes, then return it."""
    shown: list[tqdm[object]] = []
    with ExitStack() as closing:

        def count(done: int, total: int) -> None:
            if shown:
                shown[0].update(done - shown[0].n)
                return
            if total and not options.quiet:
                what = "seats, customers and notes" if notes else "seats and customers"
                what = what if seats else what.removeprefix("seats, ").removeprefix("seats and ")
                say(f"Reading {what}: {requests_taken(total)}.")
            shown.append(
                closing.enter_context(progress("requests", quiet=options.quiet, rows_to=options.output, total=total))
            )

        async with box_office(sandbox=options.sandbox) as ts:
            with checked_ids("DATE_ID", explained=about_ids(IDS["dates"])):
                return await ts.reports.door_list(date, seats=seats, notes=notes, on_progress=count)


def _tell(found: "DoorList", *, is_shown: bool, quiet: bool) -> None:
    """Print warnings and numbers that a file shows only on its printed pages, or not at all."""
    gone = {e.booking.customer_id or "": None for e in found.entries if e.customer is not None and e.customer.is_gone}
    if gone:
        say(f"{counted(len(gone), 'customer')} can no longer be found in TicketSource: {first_few(gone)}")
    if nameless := [entry.reference for entry in found.entries if entry.customer is None]:
        say(f"No customer is named in {counted(len(nameless), 'booking')}: {first_few(nameless)}")
    if not is_shown:
        for warning in found.warnings:
            say(warning)
        if not quiet:
            say(" ".join((*found.lines, "" if found.entries else "Nobody has booked.")).strip())
