"""Write CSV with commas or tabs, with a guard against cells that a spreadsheet would run as formulas."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TextIO, TypeVar

from ticketsource_async.output import OnWarning, log_warning
from ticketsource_async.tables import Table, text_of

T = TypeVar("T")

# A spreadsheet whose separator is not the comma, such as `;` in much of Europe, reads a part of a cell as a cell, and a
# line break in it as a new row. So a formula may begin after each of these characters, too.
_SEPARATORS: Final = r";|\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
_BEGIN: Final = rf"(?<![^{_SEPARATORS}])"
_SPACE: Final = rf"(?![{_SEPARATORS}])\s"
# A spreadsheet computes numbers with signs between them: +44-1632-960001 is -961589.
_TERM: Final = rf"(?:[(+-]|{_SPACE})*+\d[\d.]*+(?:\)|{_SPACE})*+"
_SUM: Final = rf"[+-]{_TERM}(?:[+-]{_TERM})++\Z"
_NUMBER_OR_PHONE: Final = re.compile(rf"(?:'|{_SPACE})*+(?!{_SUM})[+-]?(?:[\d().-]|{_SPACE})++")
# The last four are full-width forms of the first four. A spreadsheet may drop spaces and quotes before them.
_FORMULA: Final = rf"(?=(?:['\"]|{_SPACE})*+[-=+@\uff1d\uff0b\uff0d\uff20])"
# Most cells match this, which is quick to check.
_HARMLESS: Final = re.compile(rf"(?:[^-=+@\uff1d\uff0b\uff0d\uff20'\"\s{_SEPARATORS}][^{_SEPARATORS}]*)?")
_FORMULA_BEGINS: Final = re.compile(_BEGIN + _FORMULA)
_QUOTED_FORMULA: Final = re.compile(f"{_BEGIN}'{_FORMULA}")


@contextmanager
def writer(
    stream: TextIO,
    table: Table[T],
    *,
    escape_formulas: bool = True,
    on_warning: OnWarning = log_warning,
    delimiter: str = ",",
) -> Iterator[Callable[[T], None]]:
    """Yield a function that writes one item. The header is written before the first item, or at the end."""
    del on_warning  # CSV can hold every value
    write_row = csv.writer(stream, delimiter=delimiter).writerow
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun:
            begun = True
            write_row(table.names)

    def write(item: T) -> None:
        begin()
        cells = map(text_of, table.row(item))
        write_row(map(defuse, cells) if escape_formulas else cells)

    yield write
    begin()


def tab_writer(
    stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
) -> AbstractContextManager[Callable[[T], None]]:
    """Yield a function that writes one item, as `writer` does, with tabs between the cells."""
    return writer(stream, table, escape_formulas=escape_formulas, on_warning=on_warning, delimiter="\t")


def defuse(cell: str) -> str:
    """Return the cell, with a quote before each part that a spreadsheet would run as a formula.

    A number stays as it is, and so does a telephone that a spreadsheet does not compute. If a part begins with quotes,
    it gets one more, so that `undefuse` returns the original. A number after a separator gets a quote too: with the
    next cell it may be a formula.
    """
    if _HARMLESS.fullmatch(cell) or _NUMBER_OR_PHONE.fullmatch(cell):
        return cell
    return _FORMULA_BEGINS.sub("'", cell)


def undefuse(cell: str) -> str:
    """Return the cell as it was before `defuse`."""
    return cell if _NUMBER_OR_PHONE.fullmatch(cell) else _QUOTED_FORMULA.sub("", cell)
