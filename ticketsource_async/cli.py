"""The `ticketsource` command: reads options, makes one call of the library, prints.

The library and the sandbox are imported inside the commands, so that help and completion are quick.
"""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

import click

from ticketsource_async import __version__

if TYPE_CHECKING:
    from ticketsource_async import Customer, Pager, TicketSource

    _Read = Pager[Any] | Awaitable[Any]

API_FAILED: Final = 1
WRONG_USE: Final = 2
NOT_AUTHENTICATED: Final = 4
TRY_AGAIN_LATER: Final = 75
INTERRUPTED: Final = 130

EXIT_CODES: Final = """\b
Exit codes:
  0    done (also when the reader of a pipe has seen enough)
  1    the API or the file system refused
  2    wrong use of the command
  4    no API key, or the API does not accept it
  75   try again later: rate limit, server error, no connection
  130  Ctrl-C"""

_format_option = click.option(
    "--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True
)
_output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="Write to this file, which appears only when it is whole; - is stdout.",
)
_excel_option = click.option(
    "--excel", is_flag=True, help="Begin the CSV with the byte order mark that Excel needs to read UTF-8."
)
_escape_option = click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Put a quote before CSV cells that a spreadsheet would run as a formula.  [default: on]",
)
_sandbox_option = click.option(
    "--sandbox", is_flag=True, help="Use a sample box office in this process: no account needed."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, package_name="ticketsource-async", prog_name="ticketsource")
def cli() -> None:
    """Work with a TicketSource box office.

    The API key is read from TICKETSOURCE_API_KEY, and from nowhere else.
    TICKETSOURCE_BASE_URL and TICKETSOURCE_USER_AGENT are read too.
    """


@cli.group()
def customers() -> None:
    """Export and look up customers."""


@customers.command("export", epilog="Example: ticketsource customers export --consent email -o mailing.csv")
@_format_option
@_output_option
@click.option(
    "--consent",
    type=click.Choice(["email", "post", "sms"]),
    multiple=True,
    help="Only customers who consent to be contacted this way; may be repeated, then all must hold.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many customers.")
@_excel_option
@_escape_option
@_sandbox_option
def export_customers(
    *,
    format_: str,
    output: Path,
    consent: tuple[str, ...],
    limit: int | None,
    excel: bool,
    escape_formulas: bool,
    sandbox: bool,
) -> None:
    """Stream every customer to stdout or a file, as CSV or JSON Lines."""
    _check_format(format_, excel=excel, escape_formulas=escape_formulas)

    async def export() -> None:
        from ticketsource_async import export  # noqa: PLC0415

        with _opened(output, "utf-8-sig" if excel else "utf-8") as stream:
            async with _box_office(sandbox=sandbox) as ts:
                if format_ == "csv":
                    write = export.csv_writer(stream, escape_formulas=escape_formulas)
                else:
                    write = export.jsonl_writer(stream)
                await _stream_customers(ts, write, consent, limit, to_stdout=str(output) == "-")

    _run(export())


def _check_format(format_: str, *, excel: bool, escape_formulas: bool) -> None:
    if format_ != "csv" and (excel or not escape_formulas):
        raise click.UsageError("--excel and --no-escape-formulas go with --format csv.")


def _add_exports() -> None:
    for group, explained in (
        ("bookings", "Stream every booking, one row for each of its lines, with its event and date."),
        ("programme", "Stream every date of every event, with its venue."),
    ):
        command = _exporting(group)
        for option in (_sandbox_option, _escape_option, _excel_option, _days_option, _output_option, _format_option):
            command = option(command)
        example = f"Example: ticketsource {group} export --from 2026-01-01 --to 2026-01-31 -o {group}.csv"
        cast(click.Group, cli.commands[group]).command("export", help=explained, epilog=example)(command)


def _exporting(group: str) -> Callable[..., None]:
    def export(
        *,
        format_: str,
        output: Path,
        first: datetime | None,
        last: datetime | None,
        excel: bool,
        escape_formulas: bool,
        sandbox: bool,
    ) -> None:
        _check_format(format_, excel=excel, escape_formulas=escape_formulas)
        if first and last and last < first:
            raise click.UsageError("--to is before --from.")

        async def work() -> None:
            from ticketsource_async import StartFilter, export  # noqa: PLC0415

            start = StartFilter(first and first.date(), last and last.date()) if first or last else None
            with _opened(output, "utf-8-sig" if excel else "utf-8") as stream:
                columns = export.BOOKING_COLUMNS if group == "bookings" else export.PROGRAMME_COLUMNS
                write = export.row_writer(stream, columns, format_, escape_formulas=escape_formulas)
                async with _box_office(sandbox=sandbox) as ts:
                    if group == "bookings":
                        async with aclosing(ts.all_bookings(start=start)) as bookings:
                            async for event, event_date, booking in bookings:
                                write(export.booking_rows(event, event_date, booking))
                    else:
                        async with aclosing(ts.programme(start=start)) as programme:
                            async for event, event_date, venue in programme:
                                write([export.programme_row(event, event_date, venue)])

        _run(work())

    return export


def _days_option(command: Callable[..., None]) -> Callable[..., None]:
    day = click.DateTime(["%Y-%m-%d"])
    command = click.option("--to", "last", type=day, help="Only dates that start on this day or before.")(command)
    return click.option("--from", "first", type=day, help="Only dates that start on this day or after.")(command)


async def _stream_customers(
    ts: "TicketSource",
    write: Callable[["Customer"], None],
    consent: tuple[str, ...],
    limit: int | None,
    *,
    to_stdout: bool,
) -> None:
    from tqdm import tqdm  # noqa: PLC0415 - 75 ms that help need not pay

    hidden = not sys.stderr.isatty() or (to_stdout and sys.stdout.isatty())
    written = 0
    # The limit counts those written: without a filter these are those read, and no page too many is asked for.
    customers = aiter(ts.customers.list(max_items=None if consent else limit, concurrency=8))
    with tqdm(unit=" customers", disable=hidden, file=sys.stderr) as progress:
        async with aclosing(customers):
            async for customer in customers:
                progress.update()
                if all(getattr(customer.consent, way, None) is True for way in consent):
                    write(customer)
                    written += 1
                    if written == limit:
                        break


def _add_reader(group: str, name: str, explained: str, read: "Callable[..., _Read]", *ids: str) -> None:
    """Add a command that prints one record as JSON, or a list as JSON Lines."""

    def command(*, sandbox: bool, **given: str) -> None:
        async def work() -> None:
            async with _box_office(sandbox=sandbox) as ts:
                try:
                    with _opened(Path("-"), "utf-8") as stdout:
                        await _print(read(ts, *(given[metavar.lower()] for metavar in ids)), stdout)
                except ValueError as error:
                    raise click.BadParameter(f"{error}.", param_hint=" ".join(ids)) from None

        _run(work())

    made: Callable[..., None] = _sandbox_option(command)
    for metavar in reversed(ids):
        made = click.argument(metavar.lower(), metavar=metavar)(made)
    example = " ".join(["Example: ticketsource", group, name, *_EXAMPLES[group][: len(ids)]])
    cast(click.Group, cli.commands[group]).command(name, help=explained, epilog=example)(made)


async def _print(found: "_Read", stdout: TextIO) -> None:
    from ticketsource_async import export  # noqa: PLC0415
    from ticketsource_async.pagination import Pager  # noqa: PLC0415

    if isinstance(found, Pager):
        write = export.jsonl_writer(stdout)
        async with aclosing(aiter(found)) as records:
            async for record in records:
                write(record)
    else:
        stdout.write(json.dumps((await found).to_dict(), ensure_ascii=False, indent=2) + "\n")


_EXAMPLES: Final = {
    "customers": ("cst-dQyWKER4Orw5glVX",),
    "events": ("evt-dQyWKER4Orw5glVX",),
    "venues": ("ven-dQyWKER4Orw5glVX",),
    "dates": ("dat-dQyWKER4Orw5glVX",),
    "bookings": ("bkg-dQyWKER4Orw5glVX",),
    "seats": ("sea-dQyWKER4Orw5glVX",),
    "notes": ("cst-dQyWKER4Orw5glVX", "csn-47azjpMWXREgVQN8"),
}


def _add_readers() -> None:
    for name, explained in (
        ("events", "Look up events, their venues and dates."),
        ("venues", "Look up venues and the dates there."),
        ("dates", "Look up dates and the bookings for them."),
        ("bookings", "Export bookings; look up single ones and their seats."),
        ("seats", "Look up seats."),
        ("notes", "Look up the notes on a customer."),
        ("programme", "Export what is on."),
    ):
        cli.add_command(click.Group(name, help=explained))
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


def _not_empty(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("it must not be empty.")
    return value


@cli.command("sandbox", epilog="Example: ticketsource sandbox --port 8080 --customers 5000")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on this machine; 0 takes a free one.")
@click.option(
    "--api-key", default="skl-sandbox", show_default=True, help="The key that it accepts.", callback=_not_empty
)
@click.option("--customers", "count", type=click.IntRange(0, 200_000), default=1000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives other people.")
@click.option(
    "--rate-limit",
    type=click.IntRange(min=0),
    default=240,
    show_default=True,
    help="Requests a minute that it allows; 0 is no limit.",
)
def serve_sandbox(*, port: int, api_key: str, count: int, seed: int, rate_limit: int) -> None:
    """Serve a sample box office on this machine until Ctrl-C.

    Prints the two variables to set in the shell where you want to use it.
    """

    async def serve() -> None:
        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        limit = (rate_limit, 60) if rate_limit else None
        async with Sandbox(count, seed, api_key=api_key, port=port, rate_limit=limit) as box:
            key = shlex.quote(box.api_key)
            click.echo(f"export TICKETSOURCE_BASE_URL={box.url}\nexport TICKETSOURCE_API_KEY={key}")
            click.echo(f"Serving {count:,} sample customers; Ctrl-C stops.", err=True)
            await asyncio.Event().wait()

    _run(serve())


@asynccontextmanager
async def _box_office(*, sandbox: bool) -> AsyncIterator["TicketSource"]:
    from ticketsource_async import TicketSource  # noqa: PLC0415

    if sandbox:
        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        async with Sandbox() as box, TicketSource(box.api_key, base_url=box.url) as ts:
            yield ts
    elif not os.environ.get("TICKETSOURCE_API_KEY"):
        _fail(
            "no API key: set TICKETSOURCE_API_KEY to the key of your box office, or add --sandbox to use a sample one.",
            NOT_AUTHENTICATED,
        )
    else:
        async with TicketSource.from_env() as ts:
            yield ts


@contextmanager
def _opened(output: Path, encoding: str) -> Iterator[TextIO]:
    """Yield a stream to stdout or to a file that takes its name only when all went well."""
    if str(output) == "-":
        # Not sys.stdout itself, whose encoding and line ends are those of the terminal.
        with open(sys.stdout.fileno(), "w", encoding=encoding, newline="", closefd=False) as stdout:
            yield stdout
        return
    target = output.resolve()  # through a link, so that the link stays
    if target.exists() and not target.is_file():  # /dev/null, a named pipe: nothing to put in its place
        with target.open("w", encoding=encoding, newline="") as stream:
            yield stream
        return
    # Readable by nobody else, as it holds people's addresses, unless the file that it replaces is.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding=encoding, newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _run(work: Coroutine[None, None, None]) -> None:
    from ticketsource_async import errors  # noqa: PLC0415

    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Else the interpreter complains when it flushes stdout on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", API_FAILED)
    except errors.TicketSourceError as error:
        _fail(" ".join([str(error), *getattr(error, "__notes__", ())]), _exit_code(error))


def _exit_code(error: Exception) -> int:
    from ticketsource_async import errors  # noqa: PLC0415

    match error:
        case errors.AuthenticationFailed() | errors.PermissionDenied():
            return NOT_AUTHENTICATED
        case errors.RateLimited() | errors.ServerError() | errors.TransportError():
            return TRY_AGAIN_LATER
        case errors.ConfigurationError():
            return WRONG_USE
        case _:
            return API_FAILED


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"ticketsource: {message}", err=True)
    raise click.exceptions.Exit(code)
