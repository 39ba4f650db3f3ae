"""Read a table that somebody made: CSV, TSV, or a sheet of a spreadsheet (`xlsx`, `ods`, `xls`)."""

import codecs
import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from functools import reduce
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from attrs import frozen

from ticketsource_async.errors import ConfigurationError, UnreadableFile
from ticketsource_async.files.formulas import SHEET_PART, with_errors_as_texts

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_SPREADSHEETS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
"""How a zip file (xlsx, ods) and an OLE file (xls, or an xlsx with a password) begin."""

_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: this mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

_LAST_CELL: Final = re.compile(r'<dimension ref="(?:[A-Z]+[0-9]+:)?([A-Z]{1,3})([0-9]{1,7})"')
_HEAD_OF_SHEET: Final = 4096
_MOST_CELLS: Final = 20_000_000  # a million customers with all columns

DELIMITERS: Final = (",", ";", "\t", "|")
"""The delimiters that are tried if none is named."""
_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
_SEP_LINE: Final = re.compile(r'"?sep=([^\r\n"])"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_DURATION: Final = re.compile(r"PT([0-9]+)H([0-9]{2})M([0-9]{2})S")  # a time of 24 hours or more in OpenDocument
_EMAIL_CELL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_UTF_8_LETTER: Final = re.compile(rb"\xc3[\x80-\xbf]|\xe2\x80[\x90-\xa6]")  # accents and curly quotes
_SAVE_AS_UTF_8: Final = (
    "If you know its encoding, give it as --encoding. Else save the file as xlsx or as CSV in UTF-8."
)
_MARKUP: Final = re.compile(r"\s*(?:<|\{|\[\s*[{\[])")


@frozen
class Row:
    """A row that is not empty.

    `number` is the row's number in a spreadsheet. `doubt` says why the row seems damaged.
    """

    number: int
    cells: tuple[str, ...]
    """The texts of the cells."""
    doubt: str = ""


@frozen
class FileRows:
    """The rows of a file. `taken` says how it was read, such as `Windows-1252, ";"`.

    `delimiter` is the text between the cells, empty for a spreadsheet.
    """

    taken: str
    header: Row
    """The row with the names of the columns."""
    rows: list[Row]
    """The rows below it."""
    delimiter: str = ""


def read(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    is_known: Callable[[str], bool] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
) -> FileRows:
    """Return the rows of a file. Its content, not its name, says what kind of file it is.

    For a text, a byte order mark says the encoding. Without one it is UTF-8, or else Windows-1252. The delimiter is the
    one that gives the header the most names for which `is_known` is true, then the most cells. `encoding` and
    `delimiter` overrule that.

    For a spreadsheet, the only sheet with rows is read, or the one that `sheet` names. A number without a fraction is
    read as its digits, a day as ISO 8601. An error is read as its text, such as `#N/A`, and a formula without a result
    as `#NOT COMPUTED!`; in `xls`, both are read as empty or as 0.

    Raises `UnreadableFile` for a file that is no table, and `ConfigurationError` for an option that does not fit.
    """
    if isinstance(source, str | os.PathLike):
        name, data = os.fspath(source), Path(source).read_bytes()
    else:
        name, data = str(getattr(source, "name", "the file")), source.read()
    if data.startswith(_SPREADSHEETS):
        for option, value in (("encoding", encoding), ("delimiter", delimiter)):
            if value is not None:
                raise ConfigurationError(
                    f"{name} is a spreadsheet, and --{option} is for text files only. Leave it out."
                )
        taken, rows = _of_spreadsheet(data, name, sheet)
        delimiter = ""
    else:
        if sheet is not None:
            raise ConfigurationError(f"{name} is a text file, and --sheet is for spreadsheets only. Leave it out.")
        taken, rows, delimiter = _of_text(data, name, encoding, delimiter, is_known or (lambda _: False))
    if not rows:
        raise UnreadableFile(f"{name} has no rows.", name)
    return FileRows(taken, rows[0], rows[1:], delimiter)


# Text


def _of_text(
    data: bytes, name: str, encoding: str | None, delimiter: str | None, is_known: Callable[[str], bool]
) -> tuple[str, list[Row], str]:
    text, used = _decoded(data, name, encoding)
    if _MARKUP.match(text):
        raise UnreadableFile(f"{name} is not a table. It is HTML, XML or JSON. Save the table as xlsx or CSV.", name)
    if (nul := text.find("\0")) >= 0:
        raise UnreadableFile(
            f"{name} cannot be read: line {_line_at(text, nul)} has a NUL character. It may be UTF-16. Try "
            "--encoding utf-16-le, or save the file as xlsx or as CSV in UTF-8.",
            name,
        )
    sep = _SEP_LINE.match(text)
    if delimiter is not None:
        delimiter = _NAMED.get(delimiter.lower(), delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n ':
            raise ConfigurationError(f"A delimiter must be one character, such as ; or tab. It is {delimiter!r}.")
    elif sep:
        delimiter = sep[1]
    text = text[sep.end() :] if sep else text  # a spreadsheet does not show this line as a row either
    text = text.rstrip("\x1a")  # old programs mark the end of a file with it
    delimiter = delimiter or max(DELIMITERS, key=lambda it: _fit(text, it, is_known))
    shown = "tab" if delimiter == "\t" else f'"{delimiter}"'
    return f"{used}, {shown}", list(_rows_of(text, name, delimiter, lines_before=1 if sep else 0)), delimiter


def _decoded(data: bytes, name: str, encoding: str | None) -> tuple[str, str]:
    """Return a text, and the name of its encoding for people."""
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    if codec := encoding or _MARKS.get(mark):
        data = data if encoding else data.removeprefix(mark)
        try:
            text = data.decode(codec)
        except UnicodeDecodeError as error:
            line = _line_at(data[: error.start].decode(codec, "replace"))
            raise UnreadableFile(
                f"{name} is not in {codec}: line {line} cannot be read. {_SAVE_AS_UTF_8}", name
            ) from None
        except (LookupError, UnicodeError):  # odd codecs such as `idna` raise UnicodeError
            raise ConfigurationError(
                f"There is no encoding {codec!r} for text. Choose one such as utf-8, windows-1252 or utf-16-le."
            ) from None
        return text.removeprefix("\ufeff"), encoding or codec.removesuffix("-le").removesuffix("-be").upper()
    try:
        return data.decode(), "UTF-8"
    except UnicodeDecodeError as error:
        _check_is_not_mixed(data, name, error.start)
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{name} is neither in UTF-8 nor in Windows-1252: line {_line_at(data[: error.start].decode('latin-1'))} "
            f"has the byte {data[error.start]:02x}. {_SAVE_AS_UTF_8}",
            name,
        ) from None


def _check_is_not_mixed(data: bytes, name: str, start: int) -> None:
    """Raise `UnreadableFile` if parts of a Windows-1252 text are in UTF-8: an accent would become two letters."""
    if _UTF_8_LETTER.search(data) or any(map(_is_utf_8_alone, data.splitlines())):
        line = _line_at(data[:start].decode("latin-1"))
        raise UnreadableFile(
            f"{name} has parts in UTF-8 and parts in another encoding: see line {line}. {_SAVE_AS_UTF_8}", name
        )


def _is_utf_8_alone(line: bytes) -> bool:
    """Say whether a line is valid UTF-8 and has a character that is not ASCII."""
    try:
        return not line.isascii() and bool(line.decode())
    except UnicodeDecodeError:
        return False


def _line_at(text: str, end: int | None = None) -> int:
    """Return the number of the line at the end of a text."""
    return len(_LINE_END.findall(text[:end])) + 1


class _Strict(csv.excel):
    """A CSV as people write it: a space after the delimiter is allowed, a misplaced quote is an error."""

    strict = True
    skipinitialspace = True


def _fit(text: str, delimiter: str, is_known: Callable[[str], bool]) -> tuple[int, int]:
    """Return how well a delimiter fits the first row that is not empty: its number of known names, then of cells."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), _Strict, delimiter=delimiter)
        header: list[str] = next(filter(any, rows), [])
    except csv.Error:
        return 0, 0
    return sum(map(is_known, header)), len(header)


def _rows_of(text: str, name: str, delimiter: str, *, lines_before: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), _Strict, delimiter=delimiter)
    number, line, width = 0, 0, 0
    while True:
        number, line = number + 1, lines_before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if "field limit" in str(error):
                raise UnreadableFile(
                    f"{name} has a cell of more than {csv.field_size_limit():,} characters in row {number}, which "
                    f"begins in line {line}. Look there for a quote too many, or shorten the cell.",
                    name,
                ) from None
            where = f"row {number}" if number == line else f"row {number}, which begins in line {line},"
            raise UnreadableFile(
                f"{name} cannot be read as CSV: {where} has a quote too many or too few ({error}). Correct it there. A "
                "quote within a cell is written twice.",
                name,
            ) from None
        if cells is None:
            return
        if _has_any(cells):
            width = width or len(cells)
            yield Row(number, tuple(cells), _doubt(cells, delimiter, width))


def _doubt(cells: list[str], delimiter: str, width: int) -> str:
    """Return why a cell seems to contain whole rows: a stray quote began it, and a quote in a later row ended it."""
    for cell in cells:
        lines = _LINE_END.split(cell)
        if len(lines) > 1 and any(_is_like_a_row(line, delimiter, width) for line in lines):
            return f"a quote too many seems to make one cell of {len(lines):,} lines: correct the quotes"
    return ""


def _is_like_a_row(line: str, delimiter: str, width: int) -> bool:
    cells = line.split(delimiter)
    return len(cells) > 1 and (len(cells) >= width or any(_EMAIL_CELL.fullmatch(cell.strip(' "')) for cell in cells))


# Spreadsheets


def _of_spreadsheet(data: bytes, name: str, sheet: str | None) -> tuple[str, list[Row]]:
    try:
        import python_calamine as calamine  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "To read a spreadsheet, install an extra: pip install 'ticketsource-async[xlsx]'"
        ) from None
    if far := next((cell for cell in _last_cells(data) if _cells_up_to(*cell) > _MOST_CELLS), None):
        raise UnreadableFile(
            f"{name} has too many cells to read: its last cell is {''.join(far)}. Delete the rows and columns after "
            "your data, and save the file again.",
            name,
        )
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(with_errors_as_texts(data)))
        found = _chosen(book, name, sheet)
        values = found.to_python(skip_empty_area=False) if found else []
    except BaseException as error:
        # Rust code raises PanicException for an impossible file. It is no subclass of Exception.
        if (
            not isinstance(error, calamine.CalamineError | zipfile.BadZipFile)
            and type(error).__name__ != "PanicException"
        ):
            raise
        said = f"{name} cannot be read as a spreadsheet ({error}). If it has a password, save it without one."
        raise UnreadableFile(said, name) from None
    rows = ((number, [_text_of(value) for value in row]) for number, row in enumerate(values, 1))
    named = f'sheet "{found.name}"' if found else "no sheet"
    return named, [Row(number, tuple(cells)) for number, cells in rows if _has_any(cells)]


def _chosen(book: "CalamineWorkbook", name: str, sheet: str | None) -> "CalamineSheet | None":
    """Return the sheet with this name, or the only sheet with rows; None if no sheet has rows."""
    if sheet is not None and sheet not in book.sheet_names:
        raise ConfigurationError(f"{name} has no sheet {sheet!r}. Its sheets are {_listed(book.sheet_names)}.")
    sheets = [book.get_sheet_by_name(found) for found in book.sheet_names if sheet in (None, found)]
    filled = [found for found in sheets if found.start is not None]
    if len(filled) > 1:
        names = _listed([found.name for found in filled])
        raise ConfigurationError(f"{name} has several sheets with rows: {names}. Choose one with --sheet.")
    return filled[0] if filled else None


def _last_cells(data: bytes) -> list[tuple[str, str]]:
    """Return the column and row of the last cell of each sheet, as the sheets of an XLSX file state them."""
    found = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            for part in filter(SHEET_PART.fullmatch, book.namelist()):
                with book.open(part) as sheet:
                    head = sheet.read(_HEAD_OF_SHEET).decode("utf-8", "replace")
                found += _LAST_CELL.findall(head)
    except Exception:  # noqa: BLE001 - a broken file is refused when it is read
        return []
    return found


def _cells_up_to(column: str, row: str) -> int:
    """Return the number of cells from the first of a sheet to this one. All of them are held in memory."""
    return int(row) * reduce(lambda number, letter: number * 26 + ord(letter) - ord("A") + 1, column, 0)


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _text_of(value: object) -> str:
    """Return a cell as text: a number without a fraction as its digits, a day without a time of 00:00."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not isfinite(value):
        value = "#NUM!"  # as spreadsheets show a number that is too great
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, str) and (duration := _DURATION.fullmatch(value)):
        return ":".join(duration.groups())
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _has_any(cells: list[str]) -> bool:
    return any(cell.strip() for cell in cells)
