"""The JSON values that records keep in `extra` and `invalid`; pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from attrs import frozen


class _FrozenEmptyDict(dict[str, object]):
    """An empty dict that stays empty; all records without unknown values share one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a record is frozen, and so are its `extra` and its `invalid`")

    __setitem__: Any = _refuse
    __ior__: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: Final[Mapping[str, object]] = _FrozenEmptyDict()

RECORD_KINDS: Final[dict[str, str]] = {}
"""The prefix of the ids of each documented kind of record, by the API's `type`."""


CONTROLS: Final = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""The characters, besides C0, that control a terminal, for a regular expression.

They are DEL and C1, line separators, and marks of direction.
"""


_CONTROL_CHARACTER: Final = re.compile(rf"[\x00-\x1f{CONTROLS}]")


def escape_controls(text: str) -> str:
    r"""Return a text with an escape, such as \x1b, in place of each character that controls a terminal."""
    return _CONTROL_CHARACTER.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class NumberText(str):
    """The text of a number that a float cannot hold; it is a text in `extra`, and is sent as a number."""

    __slots__ = ()


@frozen
class Unreadable:
    """A JSON value that Python cannot hold: a text that UTF-8 cannot encode, or a number too large for `Decimal`."""

    text: str


def digits(number: object) -> str:
    """Return all digits of a number of any length."""
    if isinstance(number, int) and number.bit_length() > 10_000:  # Python refuses to convert longer ones to text
        number = Decimal(number)
    return str(number)


def as_list(value: object) -> list[Any] | None:
    """Return a value as a list; None if it is not one. PHP writes a list with gaps as an object with numeric keys."""
    if isinstance(value, dict) and all(isinstance(key, str) and key.isascii() and key.isdigit() for key in value):
        return list(value.values())
    return value if isinstance(value, list) else None


MOST_LEVELS: Final = 200
"""The deepest nesting of a value that a record keeps. Other programs could not read a deeper one as JSON."""


def plain_json(value: object, levels: int = MOST_LEVELS) -> object:
    """Return a value as `extra` and `invalid` keep it: plain JSON, with a number that a float cannot hold as a text.

    Raises RecursionError for a value that is nested too deep.
    """
    if isinstance(value, str) or value is None:  # most values are, so they are checked first
        return value
    if levels < 0:
        raise RecursionError
    plain = value
    if isinstance(value, Unreadable):
        plain = value.text
    elif isinstance(value, int):
        plain = value if value.bit_length() <= 10_000 else NumberText(digits(value))
    elif isinstance(value, float | Decimal):
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        plain = exact if Decimal(repr(float(exact))) == exact else NumberText(exact)
    elif isinstance(value, Mapping):
        plain = {name: plain_json(inner, levels - 1) for name, inner in value.items()}
    elif isinstance(value, list | tuple):
        plain = [plain_json(inner, levels - 1) for inner in value]
    return plain
