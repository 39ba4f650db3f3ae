"""The options that several commands have, and the decorator that makes a command.

The library is imported inside the functions, so that help and completion are quick.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ticketsource_async.cli.help import Command

if TYPE_CHECKING:
    from ticketsource_async.files import Format

NO_PROXY: Final = "--no-proxy"


class _Text(click.types.StringParamType):
    """A text that can be sent. An argument that is not in UTF-8 is refused."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text: str = super().convert(value, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("it is not in UTF-8.", param, ctx)
        return text


TEXT: Final = _Text()

SAMPLE_CUSTOMER: Final = "cst-dQyWKER4Orw5glVX"
SAMPLE_NOTE: Final = "csn-47azjpMWXREgVQN8"

COMMANDS: Final[dict[str, dict[str, click.Command]]] = {}
"""The loaded commands, by group and name."""


def command(
    name: str, *, calls_api: bool = True, cls: type[Command] = Command, **options: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command from a function: `@command("customers export")`, or `@command("check")` without a group."""
    group, _, last = name.rpartition(" ")

    def make(function: Callable[..., None]) -> click.Command:
        made = click.command(last, cls, **options)(function)
        if calls_api:
            made.params.append(
                click.Option(
                    [NO_PROXY],
                    is_flag=True,
                    expose_value=False,
                    callback=lambda ctx, _, chosen: ctx.meta.update({NO_PROXY: chosen}),
                    help="Do not use the proxy that HTTPS_PROXY names.",
                )
            )
        return COMMANDS.setdefault(group, {}).setdefault(last, made)

    return make


class Lazy:
    """The base of click classes that compute an attribute in a property. Click's assignment to it is ignored."""

    def __setattr__(self, name: str, value: object) -> None:
        if not isinstance(getattr(type(self), name, None), property):
            super().__setattr__(name, value)


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="Write to this file. An old file stays until the new one is complete. Without this option, or with -, the "
    "output is printed.",
)


class FormatChoice(Lazy, click.Choice[str]):
    """The name of a format, in any case. The formats are loaded when they are needed."""

    def __init__(self, suits: "Callable[[Format], bool]" = lambda _: True, *besides: str) -> None:
        self._suits = suits
        self._besides = besides
        super().__init__([], case_sensitive=False)

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # an attribute there
        """The extra names, then the names of the suitable formats."""
        from ticketsource_async.files import FORMATS  # noqa: PLC0415 - help of a group can do without

        return (*self._besides, *(name for name, kind in FORMATS.items() if self._suits(kind)))


def format_option(default: str, explained: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option --format; `chosen_format` returns the format for its value."""
    return click.option(
        "--format",
        type=FormatChoice(),
        help=f"The format of the file.  [default: by the ending of --output, such as .xlsx; else {default}]  "
        f"{explained}",
    )


def chosen_format(output: Path, named: str | None, default: str, option: str = "--output") -> "Format":
    """Return the named format, else the format of the output's ending, else the default. `option` is for the error."""
    from ticketsource_async.errors import ConfigurationError  # noqa: PLC0415 - as above
    from ticketsource_async.files import FORMATS, format_of  # noqa: PLC0415

    if named is not None:
        return FORMATS[named]
    try:
        return format_of(output, default)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show only errors and warnings, no progress.")
strict_option = click.option(
    "--strict", is_flag=True, help="End with exit code 1 if a value could not be read, even if all rows are written."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask before the deletion.")
sandbox_option = click.option(
    "--sandbox", is_flag=True, help="Use a sample box office. You need no account and no API key."
)


class Day(click.DateTime):
    """A day, such as 2026-01-31."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the day, or fail with a text that says how to write a day."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a day. Write the year, the month and the day, such as 2026-01-31.", param, ctx)


def days_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add --from and --to; the function gets them as `start`, None for all."""

    @wraps(function)  # as above
    def with_days(*arguments: object, first: datetime | None, last: datetime | None, **given: object) -> None:
        from ticketsource_async import StartFilter  # noqa: PLC0415 - as above

        if first and last and last < first:
            raise click.UsageError("--to is before --from.")
        start = StartFilter(first and first.date(), last and last.date()) if first or last else None
        function(*arguments, start=start, **given)

    made: Callable[..., None] = with_days
    for option, name, side in (("--to", "last", "earlier"), ("--from", "first", "later")):
        explained = f"Only performances on this day or {side}, such as 2026-01-31."
        made = click.option(option, name, type=Day(), metavar="DAY", help=explained)(made)
    return made
