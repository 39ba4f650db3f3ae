"""Show the errors of a workbook, and its formulas without a result. Calamine reads them as empty cells, or as 0."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final

SHEET_PART: Final = re.compile(r"xl/worksheets/[^/]+\.xml")
"""The names of the sheets in an XLSX, which is a zip file."""

NOT_COMPUTED: Final = "#NOT COMPUTED!"
"""The text of a formula that no program has computed yet."""
_ERROR_CELL: Final = re.compile(rb"""(<(?:\w+:)?c\b[^>]*?\s)t=["']e["']""")
_FORMULA_CELL: Final = re.compile(
    rb"""<((?:\w+:)?)c\b([^>]*)>\s*(<\1f\b(?:[^>]*/>|[^>]*>[^<]*</\1f>))\s*(?:<\1v(?:\s*/>|>([^<]*)</\1v>))?\s*</\1c>"""
)
_TYPE: Final = re.compile(rb"""\s+t=["'](\w+)["']""")
_TO_COMPUTE: Final = re.compile(rb"""\sfullCalcOnLoad=["'](?:1|true)["']""")
_ODS_CELL: Final = re.compile(rb"""<table:table-cell\b(?:[^>"']|"[^"]*"|'[^']*')*>""")
_ODS_TEXT: Final = re.compile(rb"""\soffice:(?:value-type|string-value)=(?:"[^"]*"|'[^']*')""")


def with_errors_as_texts(data: bytes) -> bytes:
    """Return a workbook in which errors, and formulas without a result, are texts.

    An XLS stays as it is. Raises `zipfile.BadZipFile` for a file that cannot be read.
    """
    if not data.startswith(b"PK"):
        return data
    written = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book, zipfile.ZipFile(written, "w") as copy:
            names = dict.fromkeys(book.namelist())
            is_to_compute = "xl/workbook.xml" in names and bool(_TO_COMPUTE.search(book.read("xl/workbook.xml")))
            changed = dict(_changed_parts(book, names, is_to_compute=is_to_compute))
            if not changed:
                return data
            for name in names:
                copy.writestr(name, changed.get(name) or book.read(name))
    except Exception as error:  # a broken file raises errors of many kinds
        raise zipfile.BadZipFile(str(error)) from error
    return written.getvalue()


def _changed_parts(book: zipfile.ZipFile, names: Iterable[str], *, is_to_compute: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the new content of each part that has cells with errors, or formulas without a result."""
    for name in names:
        if SHEET_PART.fullmatch(name):
            text = book.read(name)
            new = _FORMULA_CELL.sub(lambda cell: _formula_as_text(cell, is_to_compute=is_to_compute), text)
            new = _ERROR_CELL.sub(rb'\1t="str"', new)
        elif name == "content.xml":
            text = book.read(name)
            new = _ODS_CELL.sub(_ods_cell_with_error, text)
        else:
            continue
        if new != text:
            yield name, new


def _formula_as_text(cell: re.Match[bytes], *, is_to_compute: bool) -> bytes:
    """Return a cell of an XLSX with a formula. If the formula has no result, the cell is a text that says so.

    `is_to_compute` means that the file asks for a computation when it is opened. XlsxWriter asks for it, and writes 0.
    """
    prefix, attributes, _, value = cell.groups(default=b"")
    kind = _TYPE.search(attributes)
    if value.strip() not in ((b"", b"0") if is_to_compute else (b"",)):
        return cell[0]
    if not is_to_compute and kind and kind[1] == b"str":  # the result is an empty text
        return cell[0]
    attributes = _TYPE.sub(b"", attributes)
    return b'<%bc%b t="str"><%bv>%b</%bv></%bc>' % (prefix, attributes, prefix, NOT_COMPUTED.encode(), prefix, prefix)


def _ods_cell_with_error(cell: re.Match[bytes]) -> bytes:
    """Return the tag of a cell of an ODS. An error, and a formula without a result, become texts."""
    tag = cell[0]
    if b'calcext:value-type="error"' in tag and not tag.endswith(b"/>"):  # the error is the text within the cell
        return _ODS_TEXT.sub(b"", tag)[:-1] + b' office:value-type="string">'
    if b"table:formula=" in tag and b"office:value-type=" not in tag and tag.endswith(b"/>"):
        return b'%b office:value-type="string" office:string-value="%b"/>' % (tag[:-2], NOT_COMPUTED.encode())
    return tag
