"""Any table to a file: `FORMATS` has each format once. `read` reads the files of other people."""

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
from ticketsource_async.output import OnWarning, check_writable, is_replaced, log_warning, opened
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

_ROWS_A_TURN: Final = 500  # so that the other tasks of the event loop get theirs


class Open(Protocol):
    """What begins a file, yields what writes one item, and ends the file when the block is left."""

    def __call__(
        self, stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
    ) -> AbstractContextManager[Callable[[T], None]]:
        """Begin a file; `stream` was opened with `newline=""`, and has a `buffer` if the format is binary.

        Nothing is written before the first item or the end. An error in the block leaves the file without its end.
        """
        ...


@frozen
class Format:
    """A kind of file: its name, which is the ending of its files too, and what writes it.

    `has_cells` says that there is a cell for each column, `by_line` that what was written is good without the rest, and
    `guards_formulas` that it knows `escape_formulas` and a byte order mark. `check_extra` raises `ConfigurationError`
    if an extra that it needs is not installed.
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


def format_named(name: str) -> Format:
    """Return a format, named in letters of any case; raise `ConfigurationError` if there is none of this name."""
    if (found := FORMATS.get(name.lower())) is None:
        raise ConfigurationError(f"There is no format {name!r}: choose one of {', '.join(FORMATS)}.")
    return found


def ending_of(path: str | os.PathLike[str]) -> str:
    """Return the ending of the name of a file, in small letters and without its dot; empty for what is no file."""
    path = Path(path)
    suffix = path.suffix or (path.name if path.name.startswith(".") else "")
    return suffix.lower().lstrip(".") if is_replaced(path) else ""


def format_of(path: str | os.PathLike[str], default: str = "csv") -> Format:
    """Return the format that the ending of a path names, in letters of any case.

    A name such as `.xlsx` is an ending alone. Stdout (`-`), a pipe, a device and a path without an ending have the
    default. Raises `ConfigurationError` for an ending that no format has.
    """
    ending = ending_of(path)
    if ending and ending not in FORMATS:
        works = ", ".join(f".{name}" for name in FORMATS)
        name = Path(path).name
        raise ConfigurationError(
            f"{name} ends in {name[-len(ending) - 1 :]}, which cannot be written. End the name in one of {works}, or "
            "add --format (in a program: format=)."
        )
    return FORMATS[ending or default]


def check_can_write(path: str | os.PathLike[str], *, format: str | None = None) -> None:  # noqa: A002 - as in `write`
    """Raise what `write` would raise for a format or a file, before there is a row; leave no file behind."""
    kind, path = format_of(path) if format is None else format_named(format), Path(path)
    kind.check_extra()
    if str(path) == "-" and sys.stdout is not None and sys.stdout.isatty():
        _check_shows(kind)
    check_writable(path)


def _check_shows(kind: Format) -> None:
    """Raise `ConfigurationError` if a terminal cannot show a format."""
    if kind.is_binary:
        raise ConfigurationError(f"A terminal cannot show {kind.name}: name a file, or another format.")


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

    The file is written atomically: it appears when it is whole, and if anything fails the old one stays. A new one can
    be read by nobody else. The format is that of the ending, see `format_of`, unless `format` names one; `path` may be
    "-" for stdout. `escape_formulas` changes csv and tsv alone, and `byte_order_mark` is for these. `on_warning` is
    called with what a reader of the file should know, such as cells that were cut; otherwise that is logged.

    Raises `ConfigurationError` for a format that there is not, whose extra is not installed, that has no byte order
    mark, or that cannot be shown on a terminal, and OSError for a file that cannot be written.
    """
    kind = format_of(path) if format is None else format_named(format)
    if byte_order_mark and not kind.guards_formulas:
        raise ConfigurationError(f"byte_order_mark is for csv and tsv, and this is {kind.name}.")
    path = Path(path)
    at_once = not is_replaced(path)  # somebody may wait for it
    written = 0
    with opened(path, "utf-8-sig" if byte_order_mark else "utf-8", on_warning) as stream:
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
        # To end a large file takes seconds. It gets its name after that, in this thread: if this is cancelled, never.
        await _in_thread(lambda: file.__exit__(None, None, None))
    return written


def as_text(rows: Iterable[T], table: Table[T], format: str) -> str:  # noqa: A002 - as above
    """Return the text of a file with these rows, such as the page that a web service answers with.

    Raises `ConfigurationError` for a format that there is not, whose extra is not installed, or that is no text.
    """
    kind = format_named(format)
    if kind.is_binary:
        raise ConfigurationError(f"{kind.name} is no text: write it to a file.")
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
    """Do work in a thread, to its end even if the caller is cancelled."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # nobody else will ask for it
        raise
