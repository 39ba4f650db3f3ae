"""The `ticketsource` command.

The modules beside this one have the commands. A module is imported when its group is used, so that help is quick.
"""

import errno
import os
import shlex
from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click
from click.shell_completion import get_completion_class

from ticketsource_async import __version__
from ticketsource_async._words import counted
from ticketsource_async.cli.check import check
from ticketsource_async.cli.common import EXIT_CODES, FAILED, INTERRUPTED, fail, reporting_click_errors, run, say
from ticketsource_async.cli.donations import list_donations
from ticketsource_async.cli.door_list import door_list
from ticketsource_async.cli.help import Command, Group
from ticketsource_async.cli.options import COMMANDS, IDS, Lazy, WholeNumber
from ticketsource_async.cli.report import report
from ticketsource_async.cli.sales import sales

_COMPLETION_VARIABLE: Final = "_TICKETSOURCE_COMPLETE"
_QUOTE: Final = "'"

_GROUPS: Final = {
    "customers": (
        "Export, find, import and change customers; list their changes.",
        "customers export -o customers.xlsx",
        ("export", "find", "duplicates", "lookup", "edit", "sync", "importing"),
    ),
    "notes": (
        "Print, add and delete the notes on a customer.",
        f"notes list {IDS['customers'].sample}",
        ("lookup", "edit"),
    ),
    "bookings": (
        "Export all bookings; print one booking or its seats.",
        "bookings export --from 2026-01-01 --to 2026-01-31 -o bookings.xlsx",
        ("export", "lookup"),
    ),
    "programme": ("Export all performances of all events.", "programme export -o programme.xlsx", ("export",)),
    "events": ("Print events, their venues and their dates.", "events list", ("lookup",)),
    "venues": ("Print a venue or its dates.", f"venues dates {IDS['venues'].sample}", ("lookup",)),
    "dates": ("Print a date of an event or its bookings.", f"dates bookings {IDS['dates'].sample}", ("lookup",)),
    "seats": ("Print a seat.", f"seats get {IDS['seats'].sample}", ("lookup",)),
}
"""The groups of commands: the help of each, an example, and the modules with its commands."""


class _Root(Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options in front of the name of a group."""
        with reporting_click_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Ctrl-C ends it as `EXIT_CODES` says, also at a prompt, where click raises Abort."""
        try:
            with reporting_click_errors():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as ended:
            if KeyboardInterrupt in (type(ended), type(ended.__context__)):
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise


class _Group(Lazy, Group):
    """A group whose commands are imported when they are needed."""

    @property
    def commands(self) -> dict[str, click.Command]:  # type: ignore[override]  # an attribute there
        """The commands by name."""
        *_, modules = _GROUPS[str(self.name)]
        for module in modules:
            import_module(f"{__name__}.{module}")
        return COMMANDS[str(self.name)]


_EXAMPLES: Final = (
    "ticketsource customers export --sandbox -o customers.xlsx",
    "ticketsource sales --from 2026-01-01 --to 2026-01-31",
    "ticketsource customers export --help",
)


@click.group(cls=_Root, examples=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, package_name="ticketsource-async", prog_name="ticketsource")
def cli() -> None:
    """Export, import and check the data of your TicketSource box office.

    To see how a command works, add --help after its name. To try an export, an import, a report or a look-up
    without an API key, add --sandbox: it then uses a sample box office.

    The command takes its settings from environment variables. Set TICKETSOURCE_API_KEY to your API key. Or set
    TICKETSOURCE_API_KEY_FILE to the name of a file that contains the key. There is no other way to give the key.

    TICKETSOURCE_BASE_URL is another address of the API. TICKETSOURCE_USER_AGENT is the name that each request sends.
    With TICKETSOURCE_LOG=info the command shows retries, with TICKETSOURCE_LOG=debug every request.

    Data goes to the standard output or to a file. Messages go to the standard error (stderr).
    """


for _name, (_explained, _example, _) in _GROUPS.items():
    cli.add_command(_Group(_name, help=_explained, examples=[f"ticketsource {_example}"]))
cli.add_command(check)
cli.add_command(door_list)
cli.add_command(list_donations)
cli.add_command(report)
cli.add_command(sales)


@cli.command(cls=Command, epilog="Example: ticketsource completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands when you press Tab.

    Add the script to the start-up file of your shell, as in the example. Then open a new shell.
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows these three
    click.echo(made(cli, {}, "ticketsource", _COMPLETION_VARIABLE).source())


def _not_empty(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("it must not be empty.")
    return value


def setting_lines(settings: Mapping[str, str], system: str) -> list[str]:
    """Return the lines that set environment variables: for PowerShell if `system` is "nt", else for a POSIX shell."""
    if system == "nt":
        return [f"$env:{name} = '{value.replace(_QUOTE, 2 * _QUOTE)}'" for name, value in settings.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]


@cli.command("sandbox", cls=Command, epilog="Example: ticketsource sandbox --port 8080 --customers 5000")
@click.option(
    "--port",
    type=WholeNumber(0, 65_535),
    default=0,
    metavar="N",
    help="The port of the sample box office on this machine.  [default: a free port]",
)
@click.option(
    "--api-key",
    default="skl-sandbox",
    show_default=True,
    help="The API key that the sample box office accepts.",
    callback=_not_empty,
)
@click.option(
    "--customers",
    "count",
    type=WholeNumber(0, 200_000),
    default=1000,
    metavar="N",
    show_default=True,
    help="The number of sample customers.",
)
@click.option(
    "--seed", type=int, default=0, metavar="N", show_default=True, help="Another number gives other sample people."
)
@click.option(
    "--rate-limit",
    type=WholeNumber(),
    default=240,
    metavar="N",
    show_default=True,
    help="How many requests a minute the sample box office allows. 0 means no limit.",
)
def serve_sandbox(*, port: int, api_key: str, count: int, seed: int, rate_limit: int) -> None:
    """Run a sample box office on this machine.

    The command prints two lines. Copy both into a second terminal and run them there; on Windows this is PowerShell.
    All commands in that terminal then use the sample box office. It runs until you press Ctrl-C. Then all changes are
    gone.
    """

    async def serve() -> None:
        import asyncio  # noqa: PLC0415 - help can do without

        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        limit = (rate_limit, 60) if rate_limit else None
        box = Sandbox(count, seed, api_key=api_key, port=port, rate_limit=limit)
        try:
            await box.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            fail(f"port {port} is in use by another program. Choose another --port, or leave it out.", FAILED)
        try:
            settings = {"TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": box.api_key}
            click.echo("\n".join(setting_lines(settings, os.name)))
            say(
                f"The sample box office has {counted(count, 'customer')}. Copy both lines into a second terminal"
                f"{' (PowerShell)' if os.name == 'nt' else ''}. To stop it, press Ctrl-C: your changes are gone then."
            )
            await asyncio.Event().wait()
        finally:
            await box.stop()

    run(serve())
