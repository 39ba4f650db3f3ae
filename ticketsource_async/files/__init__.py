"""Write a table to a file in one of the `FORMATS`. `read` reads a table that somebody made."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AbstractContextManager, aclosing
from io import StringIO
from pathlib import Path
from typing import Final, Protocol, TextIO, TypeVar

from attrs import frozen

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.files import csv, html, json, parquet, xlsx
from ticketsource_async.files.reading import FileRows, Row, read
from ticketsource_async.output import OnWarning, check_writable, is_replaced, log_warning, open_output
from ticketsource_async.tables import Table

__all__ = (
    "FORMATS",
    "FileRows",
    "Format",
    "OnWarning",
    "Open",
    "Row",
    "as_text",
    "check_can_write",
    "ending_of",
    "format_named",
    "format_of",
    "read",
    "write",
)

T = TypeVar("T")

_ROWS_A_TURN: Final = 500  # then the other tasks of the event loop may run


class Open(Protocol):
    """A function that begins a file, yields a function that writes one item, and ends the file."""

    def __call__(
        self, stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
    ) -> AbstractContextManager[Callable[[T], None]]:
        """Begin a file. `stream` was opened with `newline=""`, and has a `buffer` if the format is binary.

        Nothing is written before the first item or the end. After an error in the block, the file has no end.
        """
        ...


@frozen
class Format:
    """A file format: its `name`, which is also the ending of its files, and the function that writes it (`open`).

    `has_cells`: each column has a cell. `is_binary`: it is no text. `by_line`: each line is complete without those
    after it. `guards_formulas`: it uses `escape_formulas` and a byte order mark. `check_extra` raises
    `ConfigurationError` if a package that it needs is not installed.
    """

    name: str
    open: Open
    has_cells: bool = False
    is_binary: bool = False
    by_line: bool = False
    guards_formulas: bool = False
    check_extra: Callable[[], object] = lambda: None


FORMATS: Final[dict[str, Format]] = {
    kind.name: kind
    for kind in (
        Format("csv", csv.writer, has_cells=True, by_line=True, guards_formulas=True),
        Format("tsv", csv.tab_writer, has_cells=True, by_line=True, guards_formulas=True),
        Format("json", json.array_writer),
        Format("jsonl", json.lines_writer, by_line=True),
        Format("parquet", parquet.writer, has_cells=True, is_binary=True, check_extra=parquet.check_extra),
        Format("xlsx", xlsx.writer, has_cells=True, is_binary=True, check_extra=xlsx.check_extra),
        Format("html", html.writer, has_cells=True, check_extra=html.environment),
    )
}
"""The formats by name: csv, tsv, json, jsonl, parquet, xlsx and html."""


def format_named(name: str) -> Format:
    """Return the format with this name, in any case; raise `ConfigurationError` if there is none."""
    if (found := FORMATS.get(name.lower())) is None:
        raise ConfigurationError(f"There is no format {name!r}. Choose one of {', '.join(FORMATS)}.")
    return found


def ending_of(path: str | os.PathLike[str]) -> str:
    """Return the ending of a file's name, in small letters and without the dot; empty if the path is no file."""
    path = Path(path)
    suffix = path.suffix or (path.name if path.name.startswith(".") else "")
    return suffix.lower().lstrip(".") if is_replaced(path) else ""


def format_of(path: str | os.PathLike[str], default: str = "csv") -> Format:
    """Return the format that the ending of a path names, in any case.

    The name `.xlsx` counts as an ending. Stdout (`-`), a pipe, a device and a path without an ending have the default.
    Raises `ConfigurationError` for an ending that no format has.
    """
    ending = ending_of(path)
    if ending and ending not in FORMATS:
        works = ", ".join(f".{name}" for name in FORMATS)
        name = Path(path).name
        raise ConfigurationError(
            f"{name} ends in {name[-len(ending) - 1 :]}, which is not a format. End the name in one of {works}, or add "
            "--format (in a program: format=)."
        )
    return FORMATS[ending or default]


def check_can_write(path: str | os.PathLike[str], *, format: str | None = None) -> None:  # noqa: A002 - as in `write`
    """Raise what `write` would raise for a format or a file, before there is a row. No file is left behind."""
    kind, path = format_of(path) if format is None else format_named(format), Path(path)
    kind.check_extra()
    if str(path) == "-" and sys.stdout is not None and sys.stdout.isatty():
        _check_shows(kind)
    check_writable(path)


def _check_shows(kind: Format) -> None:
    """Raise `ConfigurationError` if a terminal cannot show a format."""
    if kind.is_binary:
        raise ConfigurationError(f"A terminal cannot show {kind.name}. Write it to a file, or choose another format.")


async def write(
    rows: AsyncIterable[T] | Iterable[T],
    table: Table[T],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - as the option of the command is called
    escape_formulas: bool = True,
    byte_order_mark: bool = False,
    on_warning: OnWarning = log_warning,
) -> int:
    """Write rows to a file and return their number: `await files.write(ts.customers.list(), CUSTOMERS, "people.xlsx")`.

    The file is written atomically: it appears when it is complete. If anything fails, the old file stays. Only you can
    read a new file. `path` may be "-" for stdout. The ending gives the format, see `format_of`, unless `format` names
    one. `escape_formulas` and `byte_order_mark` are for csv and tsv. `on_warning` is called with what a reader of the
    file should know, such as cut cells. Without it, warnings are logged.

    Raises `ConfigurationError` if the format does not exist, if its extra is not installed, if it has no byte order
    mark, or if a terminal cannot show it. Raises OSError for a file that cannot be written.
    """
    kind = format_of(path) if format is None else format_named(format)
    if byte_order_mark and not kind.guards_formulas:
        raise ConfigurationError(f"byte_order_mark is for csv and tsv only. For {kind.name}, leave it out.")
    path = Path(path)
    at_once = not is_replaced(path)  # a reader of a pipe may wait for each row
    written = 0
    with open_output(path, "utf-8-sig" if byte_order_mark else "utf-8", on_warning) as stream:
        if stream.isatty():
            _check_shows(kind)
        file = kind.open(stream, table, escape_formulas=escape_formulas, on_warning=on_warning)
        write_row = file.__enter__()
        try:
            async with aclosing(_each(rows)) as each:
                async for row in each:
                    write_row(row)
                    written += 1
                    if at_once:
                        stream.flush()
                    if written % _ROWS_A_TURN == 0:
                        await asyncio.sleep(0)
        except BaseException:
            if not file.__exit__(*sys.exc_info()):
                raise
        # To end a large file takes seconds. Then it gets its name in this thread; after a cancellation it never does.
        await _in_thread(lambda: file.__exit__(None, None, None))
    return written


def as_text(rows: Iterable[T], table: Table[T], format: str) -> str:  # noqa: A002 - as above
    """Return the text of a file with these rows, such as an HTML page for a web service.

    Raises `ConfigurationError` if the format does not exist, if its extra is not installed, or if it is binary.
    """
    kind = format_named(format)
    if kind.is_binary:
        raise ConfigurationError(f"{kind.name} is not a text. Write it to a file.")
    stream = StringIO(newline="")
    with kind.open(stream, table) as write_row:
        for row in rows:
            write_row(row)
    return stream.getvalue()


async def _each(rows: AsyncIterable[T] | Iterable[T]) -> AsyncGenerator[T, None]:
    if not isinstance(rows, AsyncIterable):
        for row in rows:
            yield row
        return
    iterator = aiter(rows)
    try:
        async for row in iterator:
            yield row
    finally:
        if (aclose := getattr(iterator, "aclose", None)) is not None:
            await aclose()


async def _in_thread(work: Callable[[], object]) -> None:
    """Do work in a thread. If the caller is cancelled, the work is still finished first."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # else asyncio logs an exception that was never retrieved
        raise
