"""The commands that look up one record, or list records of one kind."""

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ticketsource_async.cli.common import (
    SAMPLE_CUSTOMER,
    SAMPLE_NOTE,
    TEXT,
    box_office,
    checked_ids,
    command,
    print_record,
    reporting_unreadable,
    run,
    sandbox_option,
    strict_option,
)
from ticketsource_async.output import opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketsource_async import Pager
    from ticketsource_async.models.base import WholeRecord

    _Read = Pager[Any] | Awaitable[Any]


def _add_reader(group: str, name: str, explained: str, read: "Callable[..., _Read]", *ids: str) -> None:
    """Add a command that prints one record as JSON, or a list as JSON Lines."""

    def look_up(*, sandbox: bool, strict: bool, **given: str) -> None:
        async def work() -> None:
            from ticketsource_async.pagination import Pager  # noqa: PLC0415

            with reporting_unreadable(strict=strict, in_cells=False) as note:
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

    made: Callable[..., None] = sandbox_option(strict_option(look_up))
    for metavar in reversed(ids):
        made = click.argument(metavar.lower(), metavar=metavar, type=TEXT)(made)
    example = " ".join(["Example: ticketsource", group, name, *_EXAMPLES[group][: len(ids)]])
    command(f"{group} {name}", help=explained, epilog=example)(made)


async def _print_all(listed: "Pager[Any]", note: "Callable[[WholeRecord], None]") -> None:
    from ticketsource_async.files.json import write_line  # noqa: PLC0415 - help can do without

    with opened(Path("-"), "utf-8") as stdout:
        async with aclosing(aiter(listed)) as records:
            async for record in records:
                note(record)
                write_line(stdout, record.to_dict())


_EXAMPLES: Final = {
    "customers": (SAMPLE_CUSTOMER,),
    "events": ("evt-dQyWKER4Orw5glVX",),
    "venues": ("ven-dQyWKER4Orw5glVX",),
    "dates": ("dat-dQyWKER4Orw5glVX",),
    "bookings": ("bkg-dQyWKER4Orw5glVX",),
    "seats": ("sea-dQyWKER4Orw5glVX",),
    "notes": (SAMPLE_CUSTOMER, SAMPLE_NOTE),
}


def _add_readers() -> None:
    _add_reader("customers", "get", "Print one customer.", lambda ts, i: ts.customers.get(i), "ID")
    _add_reader(
        "customers", "bookings", "List the bookings of a customer.", lambda ts, i: ts.customers.list_bookings(i), "ID"
    )
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
