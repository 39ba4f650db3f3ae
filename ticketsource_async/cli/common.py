"""What the commands share: options, the box office to talk to, where output goes, and how a failure ends.

The library and the sandbox are imported inside the functions, so that help and completion are quick.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:
    from ticketsource_async import TicketSource
    from ticketsource_async.models.base import Record

API_FAILED: Final = 1
WRONG_USE: Final = 2
NOT_AUTHENTICATED: Final = 4
TRY_AGAIN_LATER: Final = 75
INTERRUPTED: Final = 130

EXIT_CODES: Final = """\b
Exit codes:
  0    done (also when the reader of a pipe has seen enough)
  1    the API or the file system refused, or a line of an import was
  2    wrong use of the command
  4    no API key, or the API does not accept it
  75   try again later: rate limit, server error, no connection, a store in use
  130  Ctrl-C"""

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="Write to this file, which appears only when it is whole; - is stdout.",
)
excel_option = click.option(
    "--excel", is_flag=True, help="Begin the CSV with the byte order mark that Excel needs to read UTF-8."
)
escape_option = click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Put a quote before CSV cells that a spreadsheet would run as a formula.  [default: on]",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but what went wrong.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
sandbox_option = click.option(
    "--sandbox", is_flag=True, help="Use a sample box office in this process: no account needed."
)


def check_format(format_: str, *, excel: bool, escape_formulas: bool) -> None:
    """Refuse options of CSV for another format."""
    if format_ != "csv" and (excel or not escape_formulas):
        raise click.UsageError("--excel and --no-escape-formulas go with --format csv.")


@asynccontextmanager
async def box_office(*, sandbox: bool) -> AsyncIterator["TicketSource"]:
    """Yield a client for the box office of the environment, or for a sample one."""
    from ticketsource_async import TicketSource  # noqa: PLC0415

    if sandbox:
        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        async with Sandbox() as box, TicketSource(box.api_key, base_url=box.url) as ts:
            yield ts
    elif not os.environ.get("TICKETSOURCE_API_KEY"):
        fail(
            "no API key: set TICKETSOURCE_API_KEY to the key of your box office, or add --sandbox to use a sample one.",
            NOT_AUTHENTICATED,
        )
    else:
        async with TicketSource.from_env() as ts:
            yield ts


@contextmanager
def opened(output: Path, encoding: str) -> Iterator[TextIOWrapper]:
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


@contextmanager
def checked_ids(*metavars: str) -> Iterator[None]:
    """Make wrong use of the ValueError that an id which cannot be one ends in."""
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint=" ".join(metavars)) from None


def confirm_deletion(what: str, *, yes: bool) -> None:
    """Ask whether to delete it, unless the answer was given with the command."""
    if not yes:
        click.confirm(f"Delete the {what} for good?", abort=True, err=True)


def print_record(record: "Record") -> None:
    """Print a record to stdout, for people and programs."""
    with opened(Path("-"), "utf-8") as stdout:
        stdout.write(json.dumps(record.to_dict(), ensure_ascii=False, indent=2) + "\n")


def run(work: Coroutine[None, None, None]) -> None:
    """Do the work of a command, and end as `EXIT_CODES` says if it fails."""
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
        fail(f"{where}{error.strerror or error}", API_FAILED)
    except errors.TicketSourceError as error:
        fail(" ".join([str(error), *getattr(error, "__notes__", ())]), _exit_code(error))


def _exit_code(error: Exception) -> int:
    from ticketsource_async import errors  # noqa: PLC0415

    match error:
        case errors.AuthenticationFailed() | errors.PermissionDenied():
            return NOT_AUTHENTICATED
        case errors.RateLimited() | errors.ServerError() | errors.TransportError() | errors.StoreInUse():
            return TRY_AGAIN_LATER
        case errors.ConfigurationError():
            return WRONG_USE
        case _:
            return API_FAILED


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line on stderr."""
    click.echo(f"ticketsource: {message}", err=True)
    raise click.exceptions.Exit(code)
