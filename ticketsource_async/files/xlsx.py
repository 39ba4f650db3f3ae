"""Write XLSX, with each text as a text cell: a spreadsheet then keeps leading zeros, pluses and texts like formulas."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import pairwise
from math import isinf
from textwrap import wrap
from typing import TYPE_CHECKING, Final, Generic, TextIO, TypeVar
from unicodedata import east_asian_width

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.models.values import escape_controls
from ticketsource_async.output import OnWarning, log_warning, temporary_file_for
from ticketsource_async.tables import Printed, Table, Value, text_of

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

T = TypeVar("T")

_MOST_ROWS: Final = 1_048_576
_MOST_CHARACTERS: Final = 32_767  # in UTF-16
_MOST_DIGITS: Final = 15  # a spreadsheet keeps this many digits of a number
_FIRST_DAY: Final = date(1900, 3, 1)  # Excel has a 29 February 1900; other programs show earlier days as different days
_ROWS_MEASURED: Final = 1_000
_WIDEST: Final = 60
_MOST_OF_A_NAME: Final = 28  # a sheet's name may have 31 characters
_BUTTON: Final = 3  # the filter button in the header is this many characters wide
_A4: Final = 9
_MOST_OF_A_HEADER: Final = 255  # in UTF-16, with its codes
_HEADER_BEGINS: Final = "&L&12 "  # without the space, following digits would be part of the size
_MORE: Final = "..."
_LINE: Final = 15  # the height, in points
_LEAST: Final = 18  # the least height of a row to print, in points: room for a box
_BOX_SIZE: Final = 14  # points
_MARK_SIZE: Final = 9  # points; the usual size is 11
_GREY: Final = "#f3f3f3"
_DARK_GREY: Final = "#595959"
_MOST_LINES: Final = 27  # a row can be 409 points high
_ROOM: Final = 0.85  # the part of a column's width that text may fill, since fonts differ
_INCHES: Final = {"left": 0.4, "right": 0.4, "top": 1.2, "bottom": 0.6}  # the header needs room for four lines
_BOX: Final = "\N{BALLOT BOX}"
_TEXT: Final = 49  # Excel's built-in format for text; what people type later stays text too

_LOOKS: Final = {"day": "yyyy-mm-dd", "number": "0", "money": "0.00######", "yes": '"TRUE";"TRUE";"FALSE"'}
"""The number format of each kind of column, else text. Without "yes", LibreOffice shows booleans as 1 and 0."""


def check_extra() -> None:
    """Raise `ConfigurationError` without the extra `xlsx`."""
    try:
        import xlsxwriter  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError("To write XLSX, install an extra: pip install 'ticketsource-async[xlsx]'") from None


@contextmanager
def writer(
    stream: TextIO,
    table: Table[T],
    *,
    escape_formulas: bool = True,
    on_warning: OnWarning = log_warning,
    most_rows: int = _MOST_ROWS,
) -> Iterator[Callable[[T], None]]:
    """Yield a function that writes one item. The file is written to the `buffer` of the stream at the end.

    Days are dates. Money is a number unless a spreadsheet would round it. Times are text in ISO 8601. After `most_rows`
    rows a new sheet begins. Raises `ConfigurationError` without the extra `xlsx`.
    """
    del escape_formulas  # a text cell is never run
    check_extra()
    from xlsxwriter import Workbook  # noqa: PLC0415 - as above
    from xlsxwriter.exceptions import FileCreateError  # noqa: PLC0415

    with temporary_file_for(stream) as file:
        options = {"constant_memory": True, "tmpdir": str(file.parent), "use_zip64": True}
        sheets = _Sheets(Workbook(str(file), options), table, most_rows)
        try:
            yield sheets.write
            sheets.end()
        except FileCreateError as error:
            raise error.args[0] from None  # the OSError
        finally:
            sheets.close()
    if sheets.cut:
        cells = ", ".join(f"{count:,} of {name}" for name, count in sheets.cut.items())
        on_warning(f"A cell in XLSX has at most {_MOST_CHARACTERS:,} characters, so longer cells were cut: {cells}.")


class _Sheets(Generic[T]):
    """The sheets of a workbook. Each has the header."""

    def __init__(self, book: "Workbook", table: Table[T], most_rows: int) -> None:
        self._book = book
        self._table = table
        self._most_rows = most_rows
        self._formats: dict[tuple[int, bool, bool, bool], Format] = {}
        self._box = book.add_format({"num_format": _TEXT, "valign": "top", "align": "center", "font_size": _BOX_SIZE})
        self._header = book.add_format({"num_format": _TEXT, "bold": True})
        self._widths = [_width(column.name) + _BUTTON for column in table.columns]
        self._widest = [
            table.printed.widths.get(column.name, _WIDEST) if table.printed else _WIDEST for column in table.columns
        ]
        self._measured = 0
        self.cut: Counter[str] = Counter()
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        number, name = len(self._book.worksheets()) + 1, _sheet_name(self._table.name)
        self._sheet: Worksheet = self._book.add_worksheet(name if number == 1 else f"{name} {number}")
        self._sheet.freeze_panes(1, 0)
        # Else Excel offers to turn telephones into numbers.
        self._sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
        for index, column in enumerate(self._table.columns):
            _check(self._sheet.write_string(0, index, column.name, self._header))
        self._row = 1
        if self._table.printed is not None:
            self._set_page(self._table.printed)

    def _set_page(self, printed: Printed[T]) -> None:
        """Set the sheet to print on A4, scaled to the width of the page, with the table's header on each page."""
        self._sheet.set_landscape()
        self._sheet.set_paper(_A4)
        self._sheet.set_margins(**_INCHES)
        self._sheet.fit_to_pages(1, 0)
        self._sheet.repeat_rows(0)
        self._sheet.hide_gridlines(0)  # 0 prints the grid lines
        self._sheet.set_header(header_of([printed.reminder or printed.title, *printed.warnings, *printed.lines]))
        self._sheet.set_footer("&R&P / &N")

    def write(self, item: T) -> None:
        """Write an item. If the sheet is full, begin a new one."""
        if self._row == self._most_rows:
            self._end_sheet()
            self._begin_sheet()
        values = self._table.row(item)
        printed = self._table.printed
        is_void = printed is not None and printed.is_void(item)
        if printed is not None:
            _check(self._sheet.set_row(self._row, max(_LEAST, _LINE * self._lines_of(values))))
        for index, value in enumerate(values):
            if value is not None and value != "":
                self._write_cell(index, value, is_void=is_void)
            elif printed is not None and self._table.columns[index].name == printed.ticked:
                _check(self._sheet.write_string(self._row, index, _BOX, self._box))
            elif is_void:
                _check(self._sheet.write_blank(self._row, index, None, self._format(index, is_void=True)))
        if self._measured < _ROWS_MEASURED:
            self._measured += 1
            for index, value in enumerate(values):
                longest = max(map(_width, text_of(value).split("\n")))
                self._widths[index] = max(self._widths[index], min(longest + 1, self._widest[index]))
        self._row += 1

    def _lines_of(self, values: Sequence[Value]) -> int:
        """Return how many lines a row needs. Spreadsheet programs do not compute that when they open a file."""
        lines = [
            sum(max(1, len(wrap(line, max(1, int(_ROOM * widest))))) for line in text_of(value).split("\n"))
            for value, widest in zip(values, self._widest, strict=True)
            if value
        ]
        return min(max(lines, default=1), _MOST_LINES)

    def _format(self, index: int, *, is_void: bool = False, is_text: bool = False, wraps: bool = False) -> "Format":
        """Return the format of a cell of a column. Each is made once."""
        key = (index, is_void, is_text, wraps)
        if key not in self._formats:
            self._formats[key] = self._book.add_format(self._look(*key))
        return self._formats[key]

    def _look(self, index: int, is_void: bool, is_text: bool, wraps: bool) -> dict[str, object]:
        column, printed = self._table.columns[index], self._table.printed
        look: dict[str, object] = {"num_format": _TEXT if is_text else _LOOKS.get(column.kind, _TEXT)}
        if wraps or (is_text and printed is not None):
            look["text_wrap"] = True  # else a cell shows its lines on top of each other
        if printed is None:
            return look
        look["valign"] = "top"
        if is_void:
            look |= {"bg_color": _GREY, "font_color": _DARK_GREY}
        if column.name == printed.ticked:
            look |= {"align": "center", "bold": True, "font_size": _MARK_SIZE, "font_color": "black"}
        if column.name == printed.of_row:
            look |= {"bold": True, "font_strikeout": is_void}
        return look

    def _write_cell(self, index: int, value: Value, *, is_void: bool) -> None:
        kind = self._format(index, is_void=is_void)
        if isinstance(value, bool):
            _check(self._sheet.write_boolean(self._row, index, value, kind))
        elif (number := _as_number(value)) is not None:
            _check(self._sheet.write_number(self._row, index, number, kind))
        elif isinstance(value, date) and not isinstance(value, datetime) and value >= _FIRST_DAY:
            _check(self._sheet.write_datetime(self._row, index, datetime.combine(value, time()), kind))
        elif text := text_of(value):
            self._write_text(index, text, is_void=is_void)

    def _write_text(self, index: int, text: str, *, is_void: bool) -> None:
        if len(text) > _MOST_CHARACTERS // 2 and len(units := text.encode("utf-16-le")) > 2 * _MOST_CHARACTERS:
            text = units[: 2 * _MOST_CHARACTERS].decode("utf-16-le", "ignore")  # drops half a character at the end
            self.cut[self._table.columns[index].name] += 1
        look = self._format(index, is_void=is_void, is_text=True, wraps="\n" in text)
        if text.startswith("<r>") and text.endswith("</r>"):
            # xlsxwriter would write this text as raw markup. It does not do so with a text in two parts.
            _check(self._sheet.write_rich_string(self._row, index, "<", "r", text[2:], look))
        else:
            _check(self._sheet.write_string(self._row, index, text, look))

    def _end_sheet(self) -> None:
        for index, width in enumerate(self._widths):
            _check(self._sheet.set_column(index, index, width, self._format(index)))
        _check(self._sheet.autofilter(0, 0, self._row - 1, len(self._table.columns) - 1))
        if self._table.printed is not None:
            _check(self._sheet.print_area(0, 0, self._row - 1, len(self._table.printed.widths) - 1))

    def end(self) -> None:
        """Write the file."""
        self._end_sheet()
        self._book.close()

    def close(self) -> None:
        """Close xlsxwriter's temporary files. It does not close them itself if the workbook is not finished."""
        for sheet in self._book.worksheets():
            sheet._opt_close()  # noqa: SLF001 - there is no other way


def header_of(lines: Sequence[str]) -> str:
    """Return the page header, with as many of these lines as fit."""
    made = _HEADER_BEGINS
    for character, following in pairwise("\n".join(escape_controls(line) for line in lines) + "\n"):
        code = character
        if character == "&":
            # xlsxwriter reads &G and &[Picture] as pictures, also after another &. Italics on and off separate the two.
            code = "&&&I&I" if following in "G[" else "&&"
        if len((made + code + _MORE).encode("utf-16-le")) > 2 * _MOST_OF_A_HEADER:
            return made + _MORE
        made += code
    return made


def _sheet_name(name: str) -> str:
    """Return the name of a table as the name of a sheet: without forbidden characters, and with room for a number."""
    return re.sub(r"[\[\]:*?/\\]", " ", name)[:_MOST_OF_A_NAME].strip(" '") or "rows"


def _width(line: str) -> int:
    """Return how many digits wide a line is. A wide character counts as two."""
    return len(line) + (0 if line.isascii() else sum(east_asian_width(character) in "WF" for character in line))


def _as_number(value: Value) -> int | float | None:
    """Return the value as a number if a spreadsheet keeps it exactly, else None."""
    if not isinstance(value, int | Decimal) or (isinstance(value, Decimal) and not value.is_finite()):
        return None
    exact = Decimal(value).normalize()
    if len(exact.as_tuple().digits) > _MOST_DIGITS or isinf(number := float(exact)) or Decimal(repr(number)) != exact:
        return None
    return number


def _check(code: int | None) -> None:
    """Raise if xlsxwriter returns an error code."""
    if code:
        raise RuntimeError(f"XlsxWriter has not written a part of the file (code {code}).")
