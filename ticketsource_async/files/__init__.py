"""Any table to a file: `FORMATS` has each format once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, TextIO, TypeVar

from attrs import frozen

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.files import csv, json, parquet
from ticketsource_async.tables import Table

T = TypeVar("T")


class Open(Protocol):
    """What begins a file, yields what writes one item, and ends the file when the block is left."""

    def __call__(
        self, stream: TextIO, table: Table[T], *, escape_formulas: bool
    ) -> AbstractContextManager[Callable[[T], None]]:
        """Begin a file; `stream` was opened with `newline=""`, and has a `buffer` if the format is binary."""
        ...


@frozen
class Format:
    """A kind of file: what writes it, and whether it has a cell for each column, or is no text."""

    open: Open
    has_cells: bool = False
    is_binary: bool = False


FORMATS: Final[dict[str, Format]] = {
    "csv": Format(csv.writer, has_cells=True),
    "json": Format(json.array_writer),
    "jsonl": Format(json.lines_writer),
    "parquet": Format(parquet.writer, has_cells=True, is_binary=True),
}


def format_named(name: str) -> Format:
    """Return a format; raise `ConfigurationError` if there is none of this name."""
    if (found := FORMATS.get(name)) is None:
        raise ConfigurationError(f"There is no format {name!r}: choose one of {', '.join(FORMATS)}.")
    return found
