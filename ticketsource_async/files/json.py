"""Write JSON, as one array or one object a line, from the result of `Table.to_dict`."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO, TypeVar

from ticketsource_async.models.values import CONTROLS
from ticketsource_async.output import OnWarning, log_warning
from ticketsource_async.tables import Table

T = TypeVar("T")

_CONTROLS: Final = re.compile(f"[{CONTROLS}]")  # `json` escapes the others itself


def json_text(data: object, *, indent: int | None = None) -> str:
    """Return data as JSON.

    Letters are written as they are. Control characters are escaped. If UTF-8 cannot hold one of the characters, all
    other than ASCII are escaped.
    """
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    text = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(data, indent=indent)
    return text


@contextmanager
def lines_writer(
    stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
) -> Iterator[Callable[[T], None]]:
    """Yield a function that writes one item as a line."""
    del escape_formulas, on_warning  # JSON runs no formulas and can hold every value
    yield lambda item: write_line(stream, table.to_dict(item))


def write_line(stream: TextIO, data: object) -> None:
    """Write data as a line of JSON."""
    stream.write(json_text(data) + "\n")


@contextmanager
def array_writer(
    stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
) -> Iterator[Callable[[T], None]]:
    """Write an array, and yield a function that writes one item of it."""
    del escape_formulas, on_warning  # as above
    before = "[\n"

    def write(item: T) -> None:
        nonlocal before
        stream.write(before + json_text(table.to_dict(item)))
        before = ",\n"

    yield write
    stream.write("\n]\n" if before == ",\n" else "[]\n")
