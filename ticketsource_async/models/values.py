"""What records keep of JSON that they have no field for, or cannot read; pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from attrs import frozen


class _Nothing(dict[str, object]):
    """An empty dict that stays empty: all records in which nothing is unknown share one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a record is frozen, and so are its `extra` and its `invalid`")

    __setitem__: Any = _refuse
    __ior__: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: Final[Mapping[str, object]] = _Nothing()

RECORD_KINDS: Final[dict[str, str]] = {}
"""The prefix of the ids of each documented kind of record, by the API's `type`."""


CONTROLS: Final = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Characters, for a regular expression, that a terminal would obey: DEL and C1, separators, marks of direction."""


_OBEYED: Final = re.compile(rf"[\x00-\x1f{CONTROLS}]")


def visible(text: str) -> str:
    r"""Return text with an escape, such as \x1b, for each character that a terminal would obey."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class NumberText(str):
    """The text of a number that a float cannot keep: a text in `extra`, sent back as the number that it is."""

    __slots__ = ()


@frozen
class Unreadable:
    """A JSON value that Python cannot work with: a text that UTF-8 cannot hold, or a number beyond all bounds."""

    text: str


def digits(number: object) -> str:
    """Return the digits of a number, as long as they may be."""
    if isinstance(number, int) and number.bit_length() > 10_000:  # Python refuses to write out longer ones
        number = Decimal(number)
    return str(number)


def as_list(value: object) -> list[Any] | None:
    """Return a list, else None. PHP writes one that has gaps as an object with numeric keys."""
    if isinstance(value, dict) and all(isinstance(key, str) and key.isascii() and key.isdigit() for key in value):
        return list(value.values())
    return value if isinstance(value, list) else None


MOST_LEVELS: Final = 200
"""How deep a value can be that a record keeps. Other programs could not read a deeper one as JSON."""


def kept(value: object, levels: int = MOST_LEVELS) -> object:
    """Return a value as `extra` and `invalid` keep it: as JSON has it, but a number that JSON cannot keep as a text.

    Raises RecursionError for one that is too deep.
    """
    if isinstance(value, str) or value is None:  # as most are
        return value
    if levels < 0:
        raise RecursionError
    as_kept = value
    if isinstance(value, Unreadable):
        as_kept = value.text
    elif isinstance(value, int):
        as_kept = value if value.bit_length() <= 10_000 else NumberText(digits(value))
    elif isinstance(value, float | Decimal):
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        as_kept = exact if Decimal(repr(float(exact))) == exact else NumberText(exact)
    elif isinstance(value, Mapping):
        as_kept = {name: kept(inner, levels - 1) for name, inner in value.items()}
    elif isinstance(value, list | tuple):
        as_kept = [kept(inner, levels - 1) for inner in value]
    return as_kept
