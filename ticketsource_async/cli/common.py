"""How a command runs: its client, its messages and its exit code.

The library and the sandbox are imported inside the functions, so that help and completion are quick.
"""

import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TextIO, Unpack

import click

from ticketsource_async._signals import Ending, ctrl_c_raises
from ticketsource_async._words import counted
from ticketsource_async.cli.options import NO_PROXY

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async import CallEvent, Customer, FailedBranch, RetryEvent, TicketSource, TicketSourceError
    from ticketsource_async.client import ClientOptions
    from ticketsource_async.models.base import Record

FAILED: Final = 1
WRONG_USE: Final = 2
NOT_AUTHENTICATED: Final = 4
TRY_AGAIN_LATER: Final = 75
INTERRUPTED: Final = 130

MOST_NAMED: Final = 20
_LONG_WAIT: Final = 10.0

EXIT_CODES: Final = """\b
Exit codes:
  0    done, also if the program that reads the output stops early
  1    not everything is done, and a message says why: something could not be
       read or written, the API or an import refused something, nobody was
       found, or a check failed
  2    the command or a setting is wrong, and a message says how
  4    there is no API key, the API refuses it, or it does not allow this
  75   try again later: rate limit, server error, no connection, store in use
  130  you pressed Ctrl-C; 143 or 129: SIGTERM or SIGHUP ended the command"""


_INCOMPLETE: Final = "ticketsource_async.incomplete"


@asynccontextmanager
async def box_office(*, sandbox: bool = False, **options: "Unpack[ClientOptions]") -> AsyncIterator["TicketSource"]:
    """Yield a client for the box office of the environment, or for a sample one.

    If a list ends early, stderr says so at once, and the exit code becomes 1 if the command has no other error.
    """
    from ticketsource_async import TicketSource  # noqa: PLC0415
    from ticketsource_async._environment import has_api_key  # noqa: PLC0415

    options |= {"on_event": _reporting_events(options.get("on_event")), "priority": "bulk"}
    if sandbox:
        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        async with Sandbox() as box:
            options["base_url"] = box.url
            async with TicketSource(box.api_key, **options) as ts:  # pyright: ignore[reportArgumentType]  # as in from_env
                yield ts
    elif not has_api_key():
        takes_sandbox = "sandbox" in click.get_current_context().params
        fail(
            "there is no API key. Set the environment variable TICKETSOURCE_API_KEY to the key of your box office. To "
            f"try this command without a key, {'add --sandbox' if takes_sandbox else 'run `ticketsource sandbox`'}.",
            NOT_AUTHENTICATED,
        )
    else:
        direct = click.get_current_context().meta.get(NO_PROXY, False)
        options["trust_env"] = not direct
        async with TicketSource.from_env(**options) as ts:
            yield ts


def _reporting_events(on_event: "Callable[[CallEvent], None] | None") -> "Callable[[CallEvent], None]":
    """Return a function that prints events for the user, and passes all events on."""
    from ticketsource_async import ListEndedEvent, RetryEvent  # noqa: PLC0415 - as above

    context = click.get_current_context()
    quiet = context.params.get("quiet", False)
    reported_at = -inf

    def report(event: "CallEvent") -> None:
        nonlocal reported_at
        if isinstance(event, RetryEvent) and not quiet and event.failing_for + event.wait >= _LONG_WAIT:
            if time.monotonic() - reported_at >= _LONG_WAIT:
                reported_at = time.monotonic()
                _write_line(_waiting_text(event))
        elif isinstance(event, ListEndedEvent):
            where = f"the list at {event.path} was not read beyond page {event.page}"
            _write_line(f"ticketsource: {where}: {event.reason}. Rows may be missing.")
            context.meta[_INCOMPLETE] = True
        if on_event is not None:
            on_event(event)

    return report


def _waiting_text(event: "RetryEvent") -> str:
    """Return a text that says what the command waits for, and until when."""
    error = f"{event.status} {event.error}" if event.status else event.error
    failed = f"has failed for {event.failing_for:.0f} s" if event.failing_for >= 1 else "failed"
    until = ""
    if event.patience is not None:
        until = f" The command gives up at {datetime.now() + timedelta(seconds=event.patience):%H:%M:%S}."  # noqa: DTZ005 - people's own time
    return (
        f"ticketsource: waiting: {event.method} {event.path} {failed} ({error}). The next attempt is in "
        f"{event.wait:.0f} s.{until}"
    )


def _write_line(line: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    from tqdm import tqdm  # noqa: PLC0415 - as below

    with tqdm.external_write_mode(file=sys.stderr):
        click.echo(line, err=True)


@contextmanager
def reporting_unreadable(*, strict: bool, in_cells: bool) -> "Iterator[Callable[[Record], None]]":
    """Yield a function that notes the values of a record that could not be read; report them on stderr at the end.

    Each path has one line, with the number of records and at most three ids. No value is printed.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}  # the ids in order, by path and kind of record

    def note(record: "Record") -> None:
        for path in record.invalid:
            key = re.sub("[0-9]+(?=])", "", path), record.API_TYPE.removeprefix("customer_")
            found.setdefault(key, {})[record.id] = None

    try:
        yield note
    finally:  # also if the command fails later on
        for (path, kind), ids in found.items():
            empty = ", so the cells are empty" if in_cells else ""
            say(f"{path} of {counted(len(ids), kind)} could not be read{empty}: {first_few(ids)}")
    if strict and found:
        raise click.exceptions.Exit(FAILED)


def first_few(ids: Collection[str]) -> str:
    """Return the first ids, and how many more there are."""
    more = f" and {len(ids) - 3:,} more" if len(ids) > 3 else ""
    return ", ".join(list(ids)[:3]) + more


class LeftOut:
    """Rows of a list or a store, or branches of a listing, that could not be read.

    Pass it as `on_invalid`, `on_damaged` or `on_branch_error`. At the end of its `with`, each has a line on stderr. If
    there are many, the rest are counted. The exit code is then 1.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lines: list[str] = []

    def __call__(self, failed: "FailedBranch | TicketSourceError") -> None:
        """Take what could not be read."""
        self.count += 1
        if len(self._lines) < MOST_NAMED:
            self._lines.append(str(failed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for line in self._lines:
            click.echo(f"ticketsource: {line}", err=True)
        if more := self.count - len(self._lines):
            click.echo(f"ticketsource: {more:,} more could not be read.", err=True)
        if self.count and kind is None:  # else the error that ends the command sets the code
            raise click.exceptions.Exit(FAILED)


def not_written(output: Path) -> str:
    """Return the end of an error text for an unchanged file: ", so sales.csv was not written"."""
    return "" if str(output) == "-" else f", so {output} was not written"


@contextmanager
def checked_ids(*metavars: str, explained: str = "") -> Iterator[None]:
    """Report an impossible id as wrong use of the command. `explained` says what the id is of and how to find it."""
    from ticketsource_async.errors import InvalidID  # noqa: PLC0415 - as above

    try:
        yield
    except InvalidID as error:
        what = f"{error.value} is not the id of {explained}" if explained else str(error)
        raise click.BadParameter(what, param_hint=" ".join(metavars)) from None


def called(customer: "Customer") -> str:
    """Return the name of a customer, else the e-mail, with the id."""
    name = " ".join(filter(None, (customer.first_name, customer.last_name))).strip() or customer.email
    return f"{name} ({customer.id})" if name else customer.id


def confirm_deletion(
    named: "Callable[[TicketSource], Awaitable[str]]", *metavars: str, yes: bool, explained: str = ""
) -> None:
    """Ask whether to delete the record that `named` returns the name of, unless `yes` is true."""
    if yes:
        return
    if sys.stdin is None:
        raise click.UsageError("stdin is closed, so the command cannot ask. Add --yes to delete without a question.")
    from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - as above

    what = ""

    async def look_up() -> None:
        nonlocal what
        async with box_office() as ts:
            with checked_ids(*metavars, explained=explained):
                what = await named(ts)

    run(look_up())
    with ctrl_c_raises():
        confirmed = click.confirm(f"Delete the {escape_controls(what)} for good?", err=True)
    if not confirmed:
        say("Nothing was deleted.")
        raise click.exceptions.Exit(FAILED)


def on_terminal(stream: TextIO | None) -> bool:
    """Say whether a stream is a terminal. A closed stream is None."""
    return stream is not None and stream.isatty()


def progress(of_what: str, *, quiet: bool, rows_to: Path | None = None, total: int | None = None) -> "tqdm[Any]":
    """Return a progress bar on stderr, hidden if stderr is no terminal or rows are written to the same terminal.

    With a `total` it shows how long the rest will take.
    """
    from tqdm import tqdm  # noqa: PLC0415 - help need not wait 75 ms for it

    mixed = str(rows_to) == "-" and on_terminal(sys.stdout)
    hidden = quiet or mixed or not on_terminal(sys.stderr)
    return tqdm(total=total, unit=f" {of_what}", disable=hidden, file=sys.stderr)


def run(work: Coroutine[None, None, None], *, unread: str = "") -> None:
    """Do the work of a command. If it fails, end as `EXIT_CODES` says.

    If the program that reads the output ends early, that is an ordinary end, unless `unread` says what the user must
    know then. The same sentence is added to the error if the command cannot print at all.
    """
    import asyncio  # noqa: PLC0415 - help can do without

    from ticketsource_async._environment import showing_log  # noqa: PLC0415

    reading = logging.getLogger("ticketsource_async.reading")
    reading.disabled = True  # the command itself reports the unreadable values and their records
    ending = Ending()
    try:
        with reporting_errors(unread=unread), showing_log(_write_line), ending:
            asyncio.run(ending.cancelling(work))
        context = click.get_current_context(silent=True)
        if context is not None and context.meta.get(_INCOMPLETE):
            raise click.exceptions.Exit(FAILED)
    except asyncio.CancelledError:
        if ending.number is None:
            raise
        raise click.exceptions.Exit(128 + ending.number) from None
    finally:
        reading.disabled = False


@contextmanager
def reporting_errors(*, unread: str = "") -> Iterator[None]:
    """Turn a failure into one line on stderr and an exit code of `EXIT_CODES`; `unread` is as in `run`."""
    from ticketsource_async import errors  # noqa: PLC0415 - as above

    unread = unread[:1].upper() + unread[1:]
    try:
        yield
    except BrokenPipeError:
        # Else the interpreter prints an error when it flushes stdout at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if unread:
            fail(f"the program that reads the output ended early. {unread}", FAILED)
    except OSError as error:
        what = f"{error.filename} cannot be written: " if error.filename else ""
        fail(with_notes(error, f"{what}{error.strerror or error}. {unread}".rstrip()), FAILED)
    except errors.TicketSourceError as error:
        fail(with_notes(error, str(error)), exit_code(error))


def with_notes(error: Exception, text: str) -> str:
    """Return a text about an error with its notes."""
    return " ".join([text, *getattr(error, "__notes__", ())])


def exit_code(error: Exception) -> int:
    """Return the exit code for an error that ends a command."""
    from ticketsource_async import errors  # noqa: PLC0415

    match error:
        case errors.AuthenticationFailed() | errors.PermissionDenied():
            return NOT_AUTHENTICATED
        case errors.RateLimited() | errors.ServerError() | errors.TransportError() | errors.StoreInUse():
            return TRY_AGAIN_LATER
        case errors.ConfigurationError():
            return WRONG_USE
        case _:
            return FAILED


def say(message: str) -> None:
    """Print one line on stderr, without control characters."""
    from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - as above

    _write_line(escape_controls(message))


@contextmanager
def reporting_click_errors() -> Iterator[None]:
    """Remove control characters from the errors of click, and report in one line that click cannot print."""
    try:
        yield
    except BrokenPipeError:
        raise  # click ends the command
    except OSError as error:
        fail(f"stdout cannot be written: {error.strerror or error}.", FAILED)
    except click.ClickException as error:
        from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - as above

        shown = "\n".join(map(escape_controls, error.message.split("\n")))
        error.message = shown  # type: ignore[misc]  # click's error classes are built and shown in different ways
        raise


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line on stderr."""
    say(f"ticketsource: {message}")
    raise click.exceptions.Exit(code)
