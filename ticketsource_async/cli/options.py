"""The options that several commands have, and the decorator that makes a command.

The library is imported inside the functions, so that help and completion are quick.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ticketsource_async.cli.help import Command

if TYPE_CHECKING:
    from ticketsource_async import StartFilter
    from ticketsource_async.files import Format

NO_PROXY: Final = "--no-proxy"


class _Text(click.types.StringParamType):
    """A text that can be sent. An argument that is not in UTF-8 is refused."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text: str = super().convert(value, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("it is not in UTF-8. Set the terminal to UTF-8.", param, ctx)
        return text


TEXT: Final = _Text()


@dataclass(frozen=True)  # not attrs, which help would have to load
class IdArgument:
    """An id that a command takes: what it is of, a sample for examples, and the commands that print such ids."""

    of: str
    sample: str
    printed_by: str

    @property
    def beginning(self) -> str:
        """The prefix of such an id, such as `cst-`."""
        return self.sample.partition("-")[0] + "-"


IDS: Final = {
    "customers": IdArgument("a customer", "cst-dQyWKER4Orw5glVX", "`customers find TEXT`"),
    "events": IdArgument("an event", "evt-dQyWKER4Orw5glVX", "`events list`"),
    "venues": IdArgument("a venue", "ven-dQyWKER4Orw5glVX", "`programme export` or `events venues EVENT_ID`"),
    "dates": IdArgument("a date", "dat-dQyWKER4Orw5glVX", "`programme export` or `events dates EVENT_ID`"),
    "bookings": IdArgument("a booking", "bkg-dQyWKER4Orw5glVX", "`bookings export` or `dates bookings DATE_ID`"),
    "seats": IdArgument("a seat", "sea-dQyWKER4Orw5glVX", "`bookings seats BOOKING_ID`"),
    "notes": IdArgument("a note", "csn-47azjpMWXREgVQN8", "`notes list CUSTOMER_ID`"),
}
"""The ids that commands take, by the group of the commands that print such records."""


def about_ids(*ids: IdArgument) -> str:
    """Return what these ids are of, how they begin and how to find them: the end of "this is the id of"."""
    of = " or ".join(one.of for one in ids)
    beginnings = " or ".join(one.beginning for one in ids)
    commands = " or ".join(one.printed_by for one in ids)
    return f"{of}. Such an id begins with {beginnings}. To find it, run {commands}."


class Id(_Text):
    """An id that begins as `IDS` says. Another one is refused before the command does anything."""

    def __init__(self, of: str) -> None:
        self._of = IDS[of]

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id, or fail with a text that says how to find one."""
        text = super().convert(value, param, ctx)
        if not text.startswith(self._of.beginning):
            self.fail(f"{text!r} is not the id of {about_ids(self._of)}", param, ctx)
        return text


class WholeNumber(click.types.IntParamType):
    """A whole number with bounds. Unlike `click.IntRange`, it says in words what is allowed."""

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or fail with a text that says which numbers are allowed."""
        try:
            number = int(str(value))
        except ValueError:
            number = self._least - 1
        if number < self._least or (self._most is not None and number > self._most):
            allowed = f"from {self._least} to {self._most}" if self._most is not None else f"of {self._least} or more"
            self.fail(f"{value!r} is not a whole number {allowed}.", param, ctx)
        return number


class StoreFile(click.Path):
    """An existing store of `customers changes`."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or fail with a text that says how to make a store."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.exists():
            self.fail(f"{path} does not exist. To make it, run `customers changes --store {path}`.", param, ctx)
        return path


def stored_customers_option(use: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option --store of a command that reads a store; `use` says what for."""
    return click.option(
        "--store",
        type=StoreFile(),
        help=f"{use} `customers changes` writes this file. It has the customers as of its last run.",
    )


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

    def __init__(self, suits: "Callable[[Format], bool]" = lambda _: True, *others: str) -> None:
        self._suits = suits
        self._others = others
        super().__init__([], case_sensitive=False)

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # an attribute there
        """The other names, then the names of the suitable formats."""
        from ticketsource_async.files import FORMATS  # noqa: PLC0415 - help of a group can do without

        return (*self._others, *(name for name, kind in FORMATS.items() if self._suits(kind)))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with a text that says what to use instead."""
        name = str(value).lower()
        if name not in self.choices:
            self.fail(f"{value!r} is not one of {', '.join(self.choices)}.{self._hint(name)}", param, ctx)
        return name

    def _hint(self, name: str) -> str:
        """Return what to use in place of a name that is not a choice, as the end of a text."""
        from ticketsource_async.files import FORMATS  # noqa: PLC0415 - as above

        if name == "table":
            return " This command prints no table. To see one in Excel, write a file: -o FILE.xlsx."
        if name in FORMATS:
            return f" This command only prints, and {name} cannot be printed. For Excel, use --format csv > FILE.csv."
        return " For Excel, use xlsx." if "xlsx" in self.choices else ""


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


def none_found(what: str, start: "StartFilter | None") -> str:
    """Return the text for nothing in these days: "No performance from 2026-01-01 to 2026-01-31."."""
    days = [("from", start.first), ("to", start.last)] if start is not None else []
    return f"{' '.join([f'No {what}', *(f'{word} {day}' for word, day in days if day)])}."
