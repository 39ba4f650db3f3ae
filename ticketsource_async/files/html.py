"""Write an HTML page to read or print, without scripts and without other files to load."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from attrs import frozen

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.models.values import escape_controls
from ticketsource_async.output import OnWarning, log_warning
from ticketsource_async.tables import Column, Printed, Table, Value, money_text, text_of

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T")

_NOT_IN_HTML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters that no HTML may have. Marks of direction belong to names in Arabic or Hebrew."""

_OWN_NAME: Final = re.compile(r"^[a-z0-9_]+\Z")
"""The form of the column names of this library. Other names are those of price categories, and stay as they are."""
_LONG: Final = re.compile(r"[^\s-]{20}(?=[^\s-])")
"""The part of a long word after which a line may break. It fits into a narrow column."""

_PAPER: Final = 780.0  # the width of A4 on its side without margins, in points
_LARGEST: Final = 9.0  # points
_SMALLEST: Final = 5.5  # a smaller type cannot be read
_LETTER: Final = 0.52  # the width of a usual letter, in ems
_BOLD: Final = 1.2  # the width of a bold letter, in usual letters
_LONGEST: Final = 16  # letters of a word in a heading; a longer one is broken
_PADDING: Final = 0.9  # of a cell, with its line, in ems
_LETTERS: Final = {"number": 6, "money": 8, "yes": 5, "day": 10}
"""The letters in a line of a printed column, by its kind. A longer word in its heading makes a column wider."""
_OTHER_LETTERS: Final = 12


@lru_cache(1)
def environment() -> "Environment":
    """Return the Jinja environment for the templates beside this module. It escapes all texts.

    Raises `ConfigurationError` without the extra `html`.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - an extra
        from markupsafe import Markup  # noqa: PLC0415 - of jinja2
    except ModuleNotFoundError:
        raise ConfigurationError("To write HTML, install an extra: pip install 'ticketsource-async[html]'") from None

    def breakable(text: str) -> str:
        """Return a text whose long words can break, so that they do not make a page too wide."""
        places = [0, *(found.end() for found in _LONG.finditer(text)), None]
        return Markup("<wbr>").join(text[begin:end] for begin, end in pairwise(places))

    made = Environment(
        loader=PackageLoader("ticketsource_async", "files/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_in_html,
    )
    made.filters["breakable"] = breakable
    return made


def _in_html(value: Any) -> Any:
    """Return a text in which an escape replaces each control character that HTML cannot have."""
    if isinstance(value, str) and _NOT_IN_HTML.search(value):
        return type(value)(_NOT_IN_HTML.sub(lambda found: escape_controls(found[0]), value))
    return value


@contextmanager
def writer(
    stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
) -> Iterator[Callable[[T], None]]:
    """Yield a function that writes one item as a row of a page.

    If the table is `printed`, the page has only the columns to print, with their names for people. Raises
    `ConfigurationError` without the extra `html`.
    """
    del escape_formulas, on_warning  # HTML runs no formulas and can hold every value
    # Each macro of the template writes one part of the page, so that only one row is in memory.
    page: Any = environment().get_template("table.html.jinja").module
    printed = table.printed
    columns = table.columns if printed is None else table.columns[: len(printed.widths)]
    headings = [_OWN_NAME.sub(lambda name: name[0].replace("_", " "), column.name) for column in columns]
    classes = [_class_of(column, printed) for column in columns]
    paper = _paper(columns, headings)
    written = 0

    def begin() -> None:
        if not written:
            stream.write(page.begin(table.name, printed, headings, classes, paper))

    def write(item: T) -> None:
        nonlocal written
        begin()
        written += 1
        cells = [_text(column.get(item)) for column in columns]
        is_void = printed is not None and printed.is_void(item)
        stream.write(page.row(zip(cells, classes, strict=True), is_void))

    yield write
    begin()
    stream.write(page.end("" if written else printed.if_empty if printed else "No rows."))


def _text(value: Value) -> str:
    """Return a value as the text of a cell. An amount has at least two decimals."""
    return money_text(value) if isinstance(value, Decimal) else text_of(value)


@frozen
class _Paper:
    """How a table fits on A4: the size of its type in points, and the width of each column in percent.

    If a type that fits would be too small, `labels` has the headings as texts of CSS. Each row is then printed as a
    paragraph, with the heading before each value.
    """

    size: float
    widths: tuple[float, ...]
    labels: tuple[str, ...]


def _paper(columns: Sequence[Column[T]], headings: Sequence[str]) -> _Paper:
    ems = []
    for column, heading in zip(columns, headings, strict=True):
        words = [_BOLD * min(len(word), _LONGEST) for word in heading.split()]
        ems.append(_LETTER * max([_LETTERS.get(column.kind, _OTHER_LETTERS), *words]) + _PADDING)
    width = sum(ems) or 1  # a table of another program may have no column
    size = _PAPER / width
    return _Paper(
        size=round(min(size, _LARGEST), 1) if size >= _SMALLEST else _LARGEST,
        widths=tuple(round(100 * one / width, 2) for one in ems),
        labels=tuple(map(_in_css, headings)) if size < _SMALLEST else (),
    )


def _in_css(text: str) -> str:
    """Return a text for a string in CSS. Each character but ASCII letters and digits is an escape."""
    return "".join(one if one.isascii() and one.isalnum() else f"\\{ord(one):x} " for one in text)


def _class_of(column: Column[T], printed: Printed[T] | None) -> str:
    """Return the CSS class for the cells of a column, or an empty text."""
    if printed is not None and column.name in (printed.ticked, printed.of_row):
        return "ticked" if column.name == printed.ticked else "of-row"
    return column.kind if column.kind in ("number", "money") else ""
