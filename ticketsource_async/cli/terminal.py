"""Print records: on a terminal as tables drawn by `rich`, elsewhere in one of the file formats."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ticketsource_async.cli.common import on_terminal
from ticketsource_async.cli.options import FormatChoice, WholeNumber, chosen_format
from ticketsource_async.output import open_output

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.text import Text

    from ticketsource_async.files import Format
    from ticketsource_async.models.base import Record
    from ticketsource_async.tables import Column, Table, Value

T = TypeVar("T")

MOST_ROWS: Final = 100
"""The greatest number of rows of a table on a terminal, unless --limit asks for more."""

TABLE: Final = "table"
_GAP: Final = 2
_LEAST: Final = 10
"""The least width of a column. It is narrower only if its cells are."""
_LEAST_VALUE: Final = 20  # of a value of a single record, unless its name would have less than:
_LEAST_NAME: Final = 8
_FOLDED: Final = (32, 24, 16)
"""The longest word that is not folded. A shorter length is tried if there is not enough room for the columns."""
_ENOUGH: Final = 4
_UNKNOWN: Final = (80, 24)  # the size to assume for a pipe, which has none
_NARROWEST: Final = 20
_INSTEAD: Final = "--format json"


table_or_file_option = click.option(
    "--format",
    type=FormatChoice(lambda _: True, TABLE),
    help="The format. For Excel, use xlsx.  [default: by the ending of --output, such as .xlsx; else a table on a "
    "terminal, csv elsewhere]",
)


def table_or_format(output: Path, named: str | None) -> "Format | None":
    """Return the format for an output and `table_or_file_option`; None for a table on a terminal."""
    if named != TABLE and (named is not None or str(output) != "-" or not on_terminal(sys.stdout)):
        return chosen_format(output, named, "csv")
    if str(output) != "-":
        raise click.UsageError("--format table cannot be written to a file. Leave --output or --format out.")
    return None


def print_format_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option --format of a command that prints records; `default` is for a pipe."""
    explained = f"How to print.  [default: table on a terminal, elsewhere {default}]"
    return click.option("--format", type=FormatChoice(lambda kind: not kind.is_binary, TABLE), help=explained)


def limit_option_with(stops: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option --limit; `stops` is its help."""
    explained = f"{stops}  [default: {MOST_ROWS} in a table, else all]"
    return click.option("--limit", type=WholeNumber(1), metavar="N", help=explained)


limit_option = limit_option_with("Stop after N rows.")


@dataclass(frozen=True)  # not attrs, which help would have to load
class Printing:
    """How to print records: the options `--format` and `--limit`, None for the default."""

    format: str | None
    limit: int | None = None

    @property
    def is_table(self) -> bool:
        """Whether to print a table on a terminal."""
        return self.format == TABLE or (self.format is None and on_terminal(sys.stdout))

    @property
    def most(self) -> int | None:
        """How many records to print; None for all."""
        return self.limit or (MOST_ROWS if self.is_table else None)

    @property
    def has_cells(self) -> bool:
        """Whether an unreadable value gives an empty cell, so that it must be reported."""
        from ticketsource_async.files import FORMATS  # noqa: PLC0415 - as above

        return not self.is_table and self.format is not None and FORMATS[self.format].has_cells

    @contextmanager
    def records(self, kind: type[T], *, no_rows: str = "No rows.") -> Iterator[Callable[[T], bool]]:
        """Yield a function that prints a record of this kind, and returns whether another one is wanted.

        A table is printed at the end. If an error of the API or a signal ends the list, the table has the records so
        far.
        """
        from asyncio import CancelledError  # noqa: PLC0415 - help can do without

        from ticketsource_async.errors import TicketSourceError  # noqa: PLC0415 - as above
        from ticketsource_async.files import FORMATS  # noqa: PLC0415
        from ticketsource_async.record_tables import TABLES  # noqa: PLC0415

        table = TABLES[kind]
        if not self.is_table:
            count = 0
            with (
                open_output(Path("-"), "utf-8") as stdout,
                FORMATS[self.format or "jsonl"].open(stdout, table, escape_formulas=True) as write,
            ):

                def pass_on(record: T) -> bool:
                    nonlocal count
                    count += 1
                    write(record)
                    stdout.flush()  # a reader of the pipe may wait for it
                    return count != self.limit

                yield pass_on
            return
        rows: list[T] = []

        def keep(record: T) -> bool:
            rows.append(record)
            return len(rows) <= (self.most or 0)  # one row more than is shown, to see whether there are more

        try:
            yield keep
        except (TicketSourceError, CancelledError) as error:
            if rows:
                ended = ["... The list ended early. Rows are missing."] if isinstance(error, CancelledError) else []
                _print([*_table_of_rows(table, rows[: self.most]), *ended])
            raise
        if rows or no_rows:
            _print(_table_of_rows(table, rows[: self.most]) if rows else [no_rows])
        if self.most is not None and len(rows) > self.most:
            _print(["... more rows: use --limit N or --format csv"])

    def record(self, record: "Record") -> None:
        """Print one record."""
        from ticketsource_async.files.json import json_text  # noqa: PLC0415 - as above
        from ticketsource_async.record_tables import TABLES  # noqa: PLC0415

        if self.is_table:
            _print(_table_of_record(TABLES[type(record)], record))
        elif self.format in (None, "json"):
            with open_output(Path("-"), "utf-8") as stdout:
                stdout.write(json_text(record.to_dict(), indent=2) + "\n")
        else:
            with self.records(type(record)) as write:
                write(record)


def print_rows(table: "Table[T]", rows: Sequence[T], below: Sequence[str] = (), *, instead: str = _INSTEAD) -> None:
    """Print a table of rows that are no records, and lines below it. `instead` is the option that shows all columns."""
    _print([*_table_of_rows(table, rows, [{} for _ in rows], instead=instead), *below])


# The text of a cell


def _value_text(column: "Column[Any]", value: "Value", *, offset: str = "", exact: bool = False) -> str:
    """Return a value as text for people.

    An `offset` from UTC that is in the heading is left out. `exact` shows an empty text, which is not None, as "".
    """
    from ticketsource_async.tables import money_text  # noqa: PLC0415 - help can do without

    if value is None:
        return "unknown" if column.kind == "yes" and column.name.startswith("consent") else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return money_text(value)
    if isinstance(value, datetime):
        day_and_time, its_offset = _split(value)
        return day_and_time if offset else f"{day_and_time} {its_offset}"
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    shows = (not text and not exact) or any(character.isprintable() and not character.isspace() for character in text)
    return text if shows else f'"{text}"'  # else it would be invisible


def _split(moment: datetime) -> tuple[str, str]:
    """Return the day and the time as written, without zero seconds, and the offset from UTC."""
    naive = moment.replace(tzinfo=None)
    exact = moment.second or moment.microsecond
    return naive.isoformat(" ", "auto" if exact else "minutes"), moment.isoformat().removeprefix(naive.isoformat())


def _unreadable(invalid: Mapping[str, object], reads: Sequence[str]) -> list[object]:
    """Return the unreadable values of these fields, of fields in them, and of the parts that contain them."""
    return [raw for path, raw in invalid.items() if any(_within(path, read) or _within(read, path) for read in reads)]


def _within(path: str, other: str) -> bool:
    path = re.sub(r"\[[0-9]+]", "", path)
    other = re.sub(r"\[[0-9]+]", "", other)
    return not other or path == other or path.startswith(f"{other}.")


def _cell(
    columns: "Sequence[Column[Any]]",
    item: object,
    invalid: Mapping[str, object],
    *,
    between: str = " ",
    offset: str = "",
    exact: bool = False,
) -> "Text":
    """Return the text of a cell: the values of these columns, with `between` between them.

    A value that could not be read is marked as unreadable; `exact` adds the raw value. `offset` is as in `_value_text`.
    """
    from rich.text import Text  # noqa: PLC0415 - only here is a table drawn

    from ticketsource_async.files.json import json_text  # noqa: PLC0415 - help can do without

    cell = Text()
    for column in columns:
        value = column.get(item)
        if unread := _unreadable(invalid, column.reads):
            what = f": {', '.join(map(json_text, unread))}" if exact else ""
            said = Text(_printable(f"(unreadable{what})"), "red")
            if said.plain in cell.plain:
                continue  # the columns are parts of one unreadable value
        elif len(columns) > 1 and (value is None or not str(value).strip()):
            continue
        else:
            said = Text(_printable(_value_text(column, value, offset=offset, exact=exact)))
        cell = Text.assemble(cell, between if cell else "", said)
    return cell


def _printable(text: str) -> str:
    """Return a text that the terminal can show, without control characters. Line breaks stay in a cell."""
    from ticketsource_async.models.values import escape_controls  # noqa: PLC0415 - help can do without

    encoding = _encoding()
    shown = "\n".join(map(escape_controls, re.split(r"\r?\n", text)))
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


# Tables


def _table_of_rows(
    table: "Table[Any]",
    rows: Sequence[Any],
    invalid: Sequence[Mapping[str, object]] | None = None,
    *,
    instead: str = _INSTEAD,
) -> "list[RenderableType]":
    """Return the table of a list, and a line that names the columns that do not fit on the terminal.

    `invalid` has the unreadable values of each row, for rows that are parts of a record. `instead` is
    as in `print_rows`.
    """
    from rich.text import Text  # noqa: PLC0415 - as above

    by_name = {column.name: column for column in table.columns}
    unread = [row.invalid for row in rows] if invalid is None else invalid
    headings, cells, whole = list["Text"](), list[list["Text"]](), list[bool]()
    for shown in table.shown:
        columns = [by_name[name] for name in shown.names]
        offset = _common_offset(columns, rows)
        headings.append(Text(f"{shown.heading} {offset}".strip(), "bold", justify=_justify(columns)))
        cells.append(
            [
                _cell(columns, row, flags, between=shown.between, offset=offset)
                for row, flags in zip(rows, unread, strict=True)
            ]
        )
        whole.append(columns[0].name == "id" or columns[0].kind == "moment")
    widths = _column_widths(headings, cells, whole)
    drawn: list[RenderableType] = [_draw(headings, cells, widths)]
    if left_out := [shown.heading for shown in table.shown[len(widths) :]]:
        drawn.append(f"Not shown: {', '.join(left_out)}. Use a wider window or {instead}.")
    return drawn


def _common_offset(columns: "Sequence[Column[Any]]", rows: Sequence[Any]) -> str:
    """Return the offset from UTC of all times of a column, for its heading; empty if they differ."""
    if columns[0].kind != "moment":
        return ""
    offsets = {_split(moment)[1] for row in rows if isinstance(moment := columns[0].get(row), datetime)}
    return offsets.pop() if len(offsets) == 1 else ""


def _justify(columns: "Sequence[Column[Any]]") -> "JustifyMethod":
    return "right" if columns[0].kind in ("money", "number") else "left"


def _table_of_record(table: "Table[Any]", record: Any) -> "list[RenderableType]":
    """Return the table of one record, with a line for each column and unknown attribute, and the table of the parts."""
    from rich.text import Text  # noqa: PLC0415 - as above

    from ticketsource_async.files.json import json_text  # noqa: PLC0415

    names = [Text(column.name.replace("_", " "), "bold") for column in table.columns]
    cells = [_cell([column], record, record.invalid, exact=True) for column in table.columns]
    for path, value in _unknown(record.to_dict()):
        names.append(Text(_printable(path), "bold"))
        cells.append(Text(_printable(json_text(value))))
    room = _width() - _GAP
    widest = min(max(name.cell_len for name in names), room // 2, max(room - _LEAST_VALUE, _LEAST_NAME))
    drawn: list[RenderableType] = [_draw([], [names, cells], [widest, room - widest])]
    if table.parts is not None and (items := table.parts[1](record)):
        flags = [
            {path.partition("]")[2].lstrip("."): raw for path, raw in record.invalid.items() if f"[{number}]" in path}
            for number in range(len(items))
        ]
        drawn += ["", *_table_of_rows(table.parts[0], items, flags)]
    return drawn


def _unknown(data: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, object]]:
    """Yield the unknown attributes of a record and its parts, except parts in a list."""
    for key, value in data.items():
        if key == "extra":
            yield from ((f"{at}{name}", inner) for name, inner in value.items())
        elif isinstance(value, Mapping) and key not in ("links", "invalid"):
            yield from _unknown(value, f"{at}{key} ")


def _column_widths(headings: "Sequence[Text]", cells: "Sequence[Sequence[Text]]", whole: Sequence[bool]) -> list[int]:
    """Return the widths of the first columns that fit on the terminal, at least one.

    A column that is `whole`, such as the ids, is as wide as its cells. More than `_ENOUGH` columns are shown only if
    most rows still take one line.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - as above

    lengths = [[max(map(cell_len, text.plain.split("\n"))) for text in column] for column in cells]
    wanted = [max([cell_len(heading.plain), *column]) for heading, column in zip(headings, lengths, strict=True)]
    words = []
    for number, column in enumerate(cells):
        longest = sorted(max(map(cell_len, text.plain.split()), default=0) for text in column)
        usual = longest[-1 - len(longest) // 10]  # without the longest tenth, which would take too much room
        most = max(lengths[number]) if whole[number] else max(usual, min(max(lengths[number]), _LEAST))
        words.append(max(most, *map(cell_len, headings[number].plain.split())))
    best, widths = list[int](), list[int]()
    for folded in _FOLDED:
        least = [min(word, _FOLDED[0] if one else folded) for word, one in zip(words, whole, strict=True)]
        for count in range(len(cells), 0, -1):
            widths = _widths_that_fill(least[:count], wanted)
            in_one_line = [all(map(le, row, widths)) for row in zip(*lengths[:count], strict=True)]
            if widths and (count <= _ENOUGH or sum(in_one_line) * 2 > len(in_one_line)):
                break
        if min(len(widths), _ENOUGH) > len(best):
            best = widths
    return best


def _widths_that_fill(least: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Return widths that fill the terminal, each at least as given; an empty list if the terminal is too narrow."""
    room = _width() - _GAP * (len(least) - 1)
    if len(least) > 1 and sum(least) > room:
        return []
    widths = [min(width, room) for width in least]
    left = room - sum(widths)
    while left > 0 and (narrow := [number for number, width in enumerate(widths) if width < wanted[number]]):
        for number in narrow[:left]:
            widths[number] += 1
        left -= len(narrow)
    return widths


def _width() -> int:
    """Return how many characters a line can have. A terminal that is too narrow for a table folds the lines itself."""
    return max(shutil.get_terminal_size(_UNKNOWN).columns, _NARROWEST)


def _draw(headings: "Sequence[Text]", cells: "Sequence[Sequence[Text]]", widths: Sequence[int]) -> "RenderableType":
    """Return a table, with a rule of hyphens under its headings if it has some."""
    from rich.table import Table as Drawn  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    drawn = Drawn(box=None, padding=0, pad_edge=False, show_header=bool(headings))
    for number, width in enumerate(widths):
        heading = headings[number] if headings else Text()
        if number:
            drawn.add_column(width=_GAP)  # some versions of rich count padding as width
        drawn.add_column(heading, width=width, overflow="fold", justify=heading.justify or "left")
    rule = [tuple(Text("-" * width) for width in widths)] if headings else []
    for row in (*rule, *zip(*cells[: len(widths)], strict=True)):
        drawn.add_row(*[part for cell in row for part in ("", cell)][1:])
    return drawn


def _print(drawn: "Sequence[RenderableType]") -> None:
    """Print tables and lines to stdout. On a terminal they have colours, unless NO_COLOR is set."""
    import io  # noqa: PLC0415 - as above

    from rich.console import Console  # noqa: PLC0415

    is_terminal = on_terminal(sys.stdout)
    coloured = is_terminal and not os.environ.get("NO_COLOR")
    written = io.StringIO()
    console = Console(
        file=written,
        width=_width(),
        height=_UNKNOWN[1],  # else rich takes 80 columns for a dumb terminal
        force_terminal=is_terminal,
        color_system="auto" if coloured else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for one in drawn:
        console.print(one)
    text = re.sub(r" +$", "", written.getvalue(), flags=re.MULTILINE)
    with open_output(Path("-"), "utf-8") as stdout:
        # `stdout.write` would show the escapes of colours. Those in the data are already replaced.
        stdout.buffer.write(text.encode(_encoding(), "backslashreplace"))
