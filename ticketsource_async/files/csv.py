"""CSV, with a guard against cells that a spreadsheet would run."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO, TypeVar

from ticketsource_async.tables import Table, text_of

T = TypeVar("T")

_FORMULA_STARTS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the last four are full-width forms of the first four
_NUMBER_OR_PHONE: Final = re.compile(r"[+-]?[\d\s().-]+")


@contextmanager
def writer(stream: TextIO, table: Table[T], *, escape_formulas: bool = True) -> Iterator[Callable[[T], None]]:
    """Write the names of the columns, and yield what writes one item."""
    write_row = csv.writer(stream).writerow
    write_row(table.names)

    def write(item: T) -> None:
        cells = map(text_of, table.row(item))
        write_row(map(defuse, cells) if escape_formulas else cells)

    yield write


def defuse(cell: str) -> str:
    """Return the cell, with a quote before it if a spreadsheet would run it; plain numbers and phones stay.

    A cell that is such a one behind quotes gets another, so that `undefuse` gives back what was there.
    """
    bare = cell.lstrip("'")
    if bare and bare[0] in _FORMULA_STARTS and not _NUMBER_OR_PHONE.fullmatch(bare):
        return f"'{cell}"
    return cell


def undefuse(cell: str) -> str:
    """Return the cell as it was before `defuse`."""
    return cell[1:] if cell.startswith("'") and defuse(cell[1:]) == cell else cell
