"""The `ticketsource` command: reads options, makes one call of the library, prints.

The library and the sandbox are imported inside the commands, so that help and completion are quick.
"""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

import click

from ticketsource_async import __version__

if TYPE_CHECKING:
    from ticketsource_async import Customer, TicketSource

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

_sandbox_option = click.option(
    "--sandbox", is_flag=True, help="Use a sample box office in this process: no account needed."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, package_name="ticketsource-async", prog_name="ticketsource")
def cli() -> None:
    """Work with the customers of a TicketSource box office.

    The API key is read from TICKETSOURCE_API_KEY, and from nowhere else.
    TICKETSOURCE_BASE_URL and TICKETSOURCE_USER_AGENT are read too.
    """


@cli.group()
def customers() -> None:
    """Export and look up customers."""


@customers.command("export", epilog="Example: ticketsource customers export --consent email -o mailing.csv")
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="Write to this file, which appears only when it is whole; - is stdout.",
)
@click.option(
    "--consent",
    type=click.Choice(["email", "post", "sms"]),
    multiple=True,
    help="Only customers who consent to be contacted this way; may be repeated, then all must hold.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many customers.")
@click.option("--excel", is_flag=True, help="Begin the CSV with the byte order mark that Excel needs to read UTF-8.")
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Put a quote before CSV cells that a spreadsheet would run as a formula.  [default: on]",
)
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
    if format_ != "csv" and (excel or not escape_formulas):
        raise click.UsageError("--excel and --no-escape-formulas go with --format csv.")

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
    customers = aiter(ts.customers.list(max_items=None if consent else limit))
    with tqdm(unit=" customers", disable=hidden, file=sys.stderr) as progress:
        async with aclosing(customers):
            async for customer in customers:
                progress.update()
                if all(getattr(customer.consent, way, None) is True for way in consent):
                    write(customer)
                    written += 1
                    if written == limit:
                        break


@customers.command("get", epilog="Example: ticketsource customers get cst-dQyWKER4Orw5glVX")
@click.argument("customer_id", metavar="ID")
@_sandbox_option
def get_customer(*, customer_id: str, sandbox: bool) -> None:
    """Print one customer as JSON."""

    async def get() -> None:
        async with _box_office(sandbox=sandbox) as ts:
            try:
                customer = await ts.customers.get(customer_id)
            except ValueError as error:
                raise click.BadParameter(f"{error}.", param_hint="ID") from None
        with _opened(Path("-"), "utf-8") as stdout:
            stdout.write(json.dumps(customer.to_dict(), ensure_ascii=False, indent=2) + "\n")

    _run(get())


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
        _fail(str(error), _exit_code(error))


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
