"""The `ticketsource` command.

The modules beside this one have the commands. A module is imported when its group is used, so that help is quick.
"""

import shlex
from importlib import import_module
from typing import Final

import click
from click.shell_completion import get_completion_class

from ticketsource_async import __version__
from ticketsource_async.cli.check import check
from ticketsource_async.cli.common import EXIT_CODES, INTERRUPTED, run, say, saying_what_is_wrong
from ticketsource_async.cli.donations import list_donations
from ticketsource_async.cli.door_list import door_list
from ticketsource_async.cli.help import Command
from ticketsource_async.cli.options import COMMANDS, Lazy
from ticketsource_async.cli.report import report
from ticketsource_async.cli.sales import sales

_COMPLETION_VARIABLE: Final = "_TICKETSOURCE_COMPLETE"

_GROUPS: Final = {
    "customers": (
        "Export, find, import and change customers; list their changes.",
        ("export", "find", "duplicates", "lookup", "edit", "sync", "importing"),
    ),
    "notes": ("Print, add and delete the notes on a customer.", ("lookup", "edit")),
    "bookings": ("Export all bookings; print one booking or its seats.", ("export", "lookup")),
    "programme": ("Export all performances of all events.", ("export",)),
    "events": ("Print events, their venues and their dates.", ("lookup",)),
    "venues": ("Print a venue or its dates.", ("lookup",)),
    "dates": ("Print a date of an event or its bookings.", ("lookup",)),
    "seats": ("Print a seat.", ("lookup",)),
}
"""The groups of commands: the help of each, and the modules with its commands."""


class _Root(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options in front of the name of a group."""
        with saying_what_is_wrong():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Ctrl-C ends it as `EXIT_CODES` says, also at a prompt, where click raises Abort."""
        try:
            with saying_what_is_wrong():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as ended:
            if KeyboardInterrupt in (type(ended), type(ended.__context__)):
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise


class _Group(Lazy, click.Group):
    """A group whose commands are imported when they are needed."""

    @property
    def commands(self) -> dict[str, click.Command]:  # type: ignore[override]  # an attribute there
        """The commands by name."""
        _, modules = _GROUPS[str(self.name)]
        for module in modules:
            import_module(f"{__name__}.{module}")
        return COMMANDS[str(self.name)]


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, package_name="ticketsource-async", prog_name="ticketsource")
def cli() -> None:
    """Export, import and check the data of your TicketSource box office.

    Set TICKETSOURCE_API_KEY to your API key. Or set TICKETSOURCE_API_KEY_FILE to the name of a file that contains the
    key. The command reads the key from nowhere else. To try an export or a look-up without a key, add --sandbox.

    TICKETSOURCE_BASE_URL sets another address of the API. TICKETSOURCE_USER_AGENT sets the name that each request
    sends. TICKETSOURCE_LOG=info shows retries on stderr, TICKETSOURCE_LOG=debug shows every request.
    """


for _name, (_explained, _) in _GROUPS.items():
    cli.add_command(_Group(_name, help=_explained))
cli.add_command(check)
cli.add_command(door_list)
cli.add_command(list_donations)
cli.add_command(report)
cli.add_command(sales)


@cli.command(cls=Command, epilog="Example: ticketsource completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script to complete commands with Tab.

    Add the script to the start-up file of your shell, as in the example.
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows these three
    click.echo(made(cli, {}, "ticketsource", _COMPLETION_VARIABLE).source())


def _not_empty(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("it must not be empty.")
    return value


@cli.command("sandbox", cls=Command, epilog="Example: ticketsource sandbox --port 8080 --customers 5000")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on this machine. 0 takes a free port.")
@click.option(
    "--api-key", default="skl-sandbox", show_default=True, help="The API key that it accepts.", callback=_not_empty
)
@click.option(
    "--customers",
    "count",
    type=click.IntRange(0, 200_000),
    default=1000,
    show_default=True,
    help="The number of sample customers.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another number gives other sample people.")
@click.option(
    "--rate-limit",
    type=click.IntRange(min=0),
    default=240,
    show_default=True,
    help="How many requests a minute it allows. 0 means no limit.",
)
def serve_sandbox(*, port: int, api_key: str, count: int, seed: int, rate_limit: int) -> None:
    """Run a sample box office on this machine.

    It runs until you press Ctrl-C. The command prints two lines. Run them in another shell: commands there then use
    the sample box office.
    """

    async def serve() -> None:
        import asyncio  # noqa: PLC0415 - help can do without

        from ticketsource_async.sandbox import Sandbox  # noqa: PLC0415

        limit = (rate_limit, 60) if rate_limit else None
        async with Sandbox(count, seed, api_key=api_key, port=port, rate_limit=limit) as box:
            key = shlex.quote(box.api_key)
            click.echo(f"export TICKETSOURCE_BASE_URL={box.url}\nexport TICKETSOURCE_API_KEY={key}")
            say(f"Serving {count:,} sample customers; Ctrl-C stops.")
            await asyncio.Event().wait()

    run(serve())
