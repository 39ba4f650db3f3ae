"""The commands that look up every kind of record, export bookings and the programme, and write notes."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ticketsource_async.cli.common import (
    TEXT,
    box_office,
    check_format,
    checked_ids,
    confirm_deletion,
    escape_option,
    excel_option,
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
from ticketsource_async.cli.customers import customers

if TYPE_CHECKING:
    from ticketsource_async import Pager, StartFilter, TicketSource
    from ticketsource_async.export import Value
    from ticketsource_async.models.base import WholeRecord

    _Read = Pager[Any] | Awaitable[Any]
    _Row = tuple[Value, ...]

GROUPS: Final = {
    "customers": customers,
    "notes": click.Group("notes", help="Look up the notes on a customer, add and delete them."),
    "bookings": click.Group("bookings", help="Export bookings; look up single ones and their seats."),
    "programme": click.Group("programme", help="Export what is on."),
    "events": click.Group("events", help="Look up events, their venues and dates."),
    "venues": click.Group("venues", help="Look up venues and the dates there."),
    "dates": click.Group("dates", help="Look up dates and the bookings for them."),
    "seats": click.Group("seats", help="Look up seats."),
}
"""All groups of commands, by name."""

_format_option = click.option(
    "--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True
)
_COUNTED: Final = {"bookings": "bookings", "programme": "dates"}
_CUSTOMER: Final = "cst-dQyWKER4Orw5glVX"
_NOTE: Final = "csn-47azjpMWXREgVQN8"


def _add_exports() -> None:
    for group, explained in (
        ("bookings", "Stream every booking, one row for each of its lines, with its event and date."),
        ("programme", "Stream every date of every event, with its venue."),
    ):
        command = _exporting(group)
        for option in (
            sandbox_option,
            quiet_option,
            strict_option,
            escape_option,
            excel_option,
            _days_option,
            output_option,
            _format_option,
        ):
            command = option(command)
        example = f"Example: ticketsource {group} export --from 2026-01-01 --to 2026-01-31 -o {group}.csv"
        GROUPS[group].command("export", help=explained, epilog=example)(command)


def _exporting(group: str) -> Callable[..., None]:
    def export(
        *,
        format_: str,
        output: Path,
        first: datetime | None,
        last: datetime | None,
        excel: bool,
        escape_formulas: bool,
        strict: bool,
        quiet: bool,
        sandbox: bool,
    ) -> None:
        check_format(format_, excel=excel, escape_formulas=escape_formulas)
        if first and last and last < first:
            raise click.UsageError("--to is before --from.")

        async def work() -> None:
            from ticketsource_async import StartFilter, export  # noqa: PLC0415

            start = StartFilter(first and first.date(), last and last.date()) if first or last else None
            columns = export.BOOKING_COLUMNS if group == "bookings" else export.PROGRAMME_COLUMNS
            with (
                telling_unreadable(strict=strict, in_cells=True) as note,
                opened(output, "utf-8-sig" if excel else "utf-8") as stream,
            ):
                write = export.row_writer(stream, columns, format_, escape_formulas=escape_formulas)
                async with box_office(sandbox=sandbox) as ts:
                    with progress(_COUNTED[group], quiet=quiet, rows_to=output) as shown:
                        async with aclosing(_rows(ts, group, start, note)) as found:
                            async for rows in found:
                                write(rows)
                                shown.update()

        run(work())

    return export


async def _rows(
    ts: "TicketSource", group: str, start: "StartFilter | None", note: "Callable[[WholeRecord], None]"
) -> "AsyncGenerator[list[_Row], None]":
    """Yield the rows of each booking, or the row of each date, and note what could not be read."""
    from ticketsource_async import export  # noqa: PLC0415

    if group == "bookings":
        async with aclosing(ts.all_bookings(start=start)) as bookings:
            async for event, event_date, booking in bookings:
                note(event)
                note(event_date)
                note(booking)
                yield export.booking_rows(event, event_date, booking)
    else:
        async with aclosing(ts.programme(start=start)) as programme:
            async for event, event_date, venue in programme:
                note(event)
                note(event_date)
                if venue is not None:
                    note(venue)
                yield [export.programme_row(event, event_date, venue)]


def _days_option(command: Callable[..., None]) -> Callable[..., None]:
    day = click.DateTime(["%Y-%m-%d"])
    command = click.option("--to", "last", type=day, help="Only dates that start on this day or before.")(command)
    return click.option("--from", "first", type=day, help="Only dates that start on this day or after.")(command)


def _add_reader(group: str, name: str, explained: str, read: "Callable[..., _Read]", *ids: str) -> None:
    """Add a command that prints one record as JSON, or a list as JSON Lines."""

    def command(*, sandbox: bool, strict: bool, **given: str) -> None:
        async def work() -> None:
            from ticketsource_async.pagination import Pager  # noqa: PLC0415

            with telling_unreadable(strict=strict, in_cells=False) as note:
                async with box_office(sandbox=sandbox) as ts:
                    with checked_ids(*ids):
                        found = read(ts, *(given[metavar.lower()] for metavar in ids))
                        record = None if isinstance(found, Pager) else await found
                    if isinstance(found, Pager):
                        await _print_all(found, note)
                    elif record is not None:
                        note(record)
                        print_record(record)

        run(work())

    made: Callable[..., None] = sandbox_option(strict_option(command))
    for metavar in reversed(ids):
        made = click.argument(metavar.lower(), metavar=metavar, type=TEXT)(made)
    example = " ".join(["Example: ticketsource", group, name, *_EXAMPLES[group][: len(ids)]])
    GROUPS[group].command(name, help=explained, epilog=example)(made)


async def _print_all(listed: "Pager[Any]", note: "Callable[[WholeRecord], None]") -> None:
    from ticketsource_async import export  # noqa: PLC0415

    with opened(Path("-"), "utf-8") as stdout:
        write = export.jsonl_writer(stdout)
        async with aclosing(aiter(listed)) as records:
            async for record in records:
                note(record)
                write(record)


_EXAMPLES: Final = {
    "customers": (_CUSTOMER,),
    "events": ("evt-dQyWKER4Orw5glVX",),
    "venues": ("ven-dQyWKER4Orw5glVX",),
    "dates": ("dat-dQyWKER4Orw5glVX",),
    "bookings": ("bkg-dQyWKER4Orw5glVX",),
    "seats": ("sea-dQyWKER4Orw5glVX",),
    "notes": (_CUSTOMER, _NOTE),
}


def _add_readers() -> None:
    _add_reader("customers", "get", "Print one customer.", lambda ts, i: ts.customers.get(i), "ID")
    _add_reader("customers", "bookings", "List their bookings.", lambda ts, i: ts.customers.list_bookings(i), "ID")
    _add_reader("events", "list", "List all events.", lambda ts: ts.events.list())
    _add_reader("events", "get", "Print one event.", lambda ts, i: ts.events.get(i), "ID")
    _add_reader("events", "venues", "List the venues of an event.", lambda ts, i: ts.events.list_venues(i), "ID")
    _add_reader("events", "dates", "List the dates of an event.", lambda ts, i: ts.events.list_dates(i), "ID")
    _add_reader("venues", "get", "Print one venue.", lambda ts, i: ts.venues.get(i), "ID")
    _add_reader("venues", "dates", "List the dates at a venue.", lambda ts, i: ts.venues.list_dates(i), "ID")
    _add_reader("dates", "get", "Print one date.", lambda ts, i: ts.dates.get(i), "ID")
    _add_reader("dates", "bookings", "List the bookings for a date.", lambda ts, i: ts.dates.list_bookings(i), "ID")
    _add_reader("bookings", "get", "Print one booking.", lambda ts, i: ts.bookings.get(i), "ID")
    _add_reader("bookings", "seats", "List the seats of a booking.", lambda ts, i: ts.bookings.list_seats(i), "ID")
    _add_reader("seats", "get", "Print one seat.", lambda ts, i: ts.seats.get(i), "ID")
    _add_reader("notes", "list", "List the notes on a customer.", lambda ts, i: ts.notes.list(i), "CUSTOMER_ID")
    _add_reader("notes", "get", "Print one note.", lambda ts, i, n: ts.notes.get(i, n), "CUSTOMER_ID", "NOTE_ID")


_add_readers()
_add_exports()


@GROUPS["notes"].command("create", epilog=f'Example: ticketsource notes create {_CUSTOMER} "Needs leg room"')
@click.argument("customer_id", metavar="CUSTOMER_ID", type=TEXT)
@click.argument("description", metavar="TEXT", type=TEXT)
@click.option("--created-by", metavar="NAME", type=TEXT, help="Who says so.")
def create_note(*, customer_id: str, description: str, created_by: str | None) -> None:
    """Add a note to a customer, and print it."""

    async def create() -> None:
        from ticketsource_async import NoteDraft  # noqa: PLC0415

        draft = NoteDraft(description) if created_by is None else NoteDraft(description, created_by)
        async with box_office() as ts:
            with checked_ids("CUSTOMER_ID"):
                note = await ts.notes.create(customer_id, draft)
        print_record(note)

    run(create(), unread="the note is created.")


@GROUPS["notes"].command("delete", epilog=f"Example: ticketsource notes delete {_CUSTOMER} {_NOTE}")
@click.argument("customer_id", metavar="CUSTOMER_ID", type=TEXT)
@click.argument("note_id", metavar="NOTE_ID", type=TEXT)
@yes_option
def delete_note(*, customer_id: str, note_id: str, yes: bool) -> None:
    """Delete a note, for good."""
    confirm_deletion(f"note {note_id}", yes=yes)

    async def delete() -> None:
        async with box_office() as ts:
            with checked_ids("CUSTOMER_ID", "NOTE_ID"):
                await ts.notes.delete(customer_id, note_id)

    run(delete())
