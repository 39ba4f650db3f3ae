"""The commands that look up one record by its id, or list records of one kind."""

from contextlib import aclosing
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import click

from ticketsource_async.cli.common import LeftOut, box_office, checked_ids, reporting_unreadable, run
from ticketsource_async.cli.options import IDS, TEXT, IdArgument, about_ids, command, sandbox_option, strict_option
from ticketsource_async.cli.terminal import Printing, limit_option, print_format_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketsource_async import Pager


def _add_getter(group: str, explained: str, *ids: str) -> None:
    """Add a command that prints one record."""

    def get(*, sandbox: bool, strict: bool, format: str | None, **given: str) -> None:  # noqa: A002 - as users know it
        printing = Printing(format)

        async def work() -> None:
            with reporting_unreadable(strict=strict, in_cells=printing.has_cells) as note:
                async with box_office(sandbox=sandbox) as ts:
                    with checked_ids(*ids, explained=about_ids(*_arguments(group, ids))):
                        record = await attrgetter(f"{group}.get")(ts)(*(given[metavar.lower()] for metavar in ids))
                note(record)
                printing.record(record)

        run(work())

    _add(print_format_option("json")(get), f"{group} get", explained, ids)


def _add_lister(name: str, explained: str, method: str, kind: str, *ids: str) -> None:
    """Add a command that lists the records that a method of the client returns."""
    group = name.partition(" ")[0]

    def list_all(
        *,
        sandbox: bool,
        strict: bool,
        format: str | None,  # noqa: A002 - as above
        limit: int | None,
        **given: str,
    ) -> None:
        printing = Printing(format, limit)

        async def work() -> None:
            from ticketsource_async import models  # noqa: PLC0415 - help can do without

            with LeftOut() as left_out, reporting_unreadable(strict=strict, in_cells=printing.has_cells) as note:
                async with box_office(sandbox=sandbox) as ts:
                    with checked_ids(*ids, explained=about_ids(*_arguments(group, ids))):
                        values = [given[metavar.lower()] for metavar in ids]
                        listed: Pager[Any] = attrgetter(method)(ts)(*values, on_invalid=left_out)
                    with printing.records(getattr(models, kind)) as wants_more:
                        async with aclosing(aiter(listed)) as records:
                            async for record in records:
                                note(record)
                                if not wants_more(record):
                                    break

        run(work())

    _add(print_format_option("jsonl")(limit_option(list_all)), name, explained, ids)


def _add(function: "Callable[..., None]", name: str, explained: str, ids: tuple[str, ...]) -> None:
    made = sandbox_option(strict_option(function))
    for metavar in reversed(ids):
        made = click.argument(metavar.lower(), metavar=metavar, type=TEXT)(made)
    arguments = _arguments(name.partition(" ")[0], ids)
    example = " ".join(["Example: ticketsource", name, *(argument.sample for argument in arguments)])
    sources = [
        f"{metavar} is the id of {about_ids(argument)}" for metavar, argument in zip(ids, arguments, strict=True)
    ]
    command(name, help="\n\n".join([explained, *sources]), epilog=example)(made)


def _arguments(group: str, metavars: tuple[str, ...]) -> list[IdArgument]:
    return [IDS["customers" if metavar == "CUSTOMER_ID" else group] for metavar in metavars]


_add_lister("customers bookings", "List the bookings of a customer.", "customers.list_bookings", "Booking", "ID")
_add_lister("events list", "List all events.", "events.list", "Event")
_add_getter("events", "Print one event.", "ID")
_add_lister("events venues", "List the venues of an event.", "events.list_venues", "Venue", "ID")
_add_lister("events dates", "List the dates of an event.", "events.list_dates", "EventDate", "ID")
_add_getter("venues", "Print one venue.", "ID")
_add_lister("venues dates", "List the dates at a venue.", "venues.list_dates", "EventDate", "ID")
_add_getter("dates", "Print one date of an event.", "ID")
_add_lister("dates bookings", "List the bookings for a date.", "dates.list_bookings", "Booking", "ID")
_add_getter("bookings", "Print one booking, with its lines.", "ID")
_add_lister("bookings seats", "List the seats of a booking.", "bookings.list_seats", "Seat", "ID")
_add_getter("seats", "Print one seat.", "ID")
_add_lister("notes list", "List the notes on a customer.", "notes.list", "Note", "CUSTOMER_ID")
_add_getter("notes", "Print one note.", "CUSTOMER_ID", "NOTE_ID")
