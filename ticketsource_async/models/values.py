"""What a single value of the API reads as: itself, a form of it that loses nothing, or None and a note of it; pure.

Each reader takes the value, the dict to note in what cannot be read, the path to where the value stands, and its name.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NoReturn, cast

from attrs import frozen

MOST_DIGITS: Final = 100
"""How large or small an amount of money can be: a sum of larger ones would fill the memory."""


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


@frozen
class Unreadable:
    """A JSON value that Python cannot work with: a text that UTF-8 cannot hold, or a number beyond all bounds."""

    text: str


_PATH_SAFE: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~-]{1,200}")


def id_of(value: Any, prefix: str) -> str | None:
    """Return the id in a value; None if it has characters that a path cannot have, or is of another kind of record."""
    if value.__class__ is str and value.startswith(prefix) and value[len(prefix) :].isalnum() and value.isascii():
        return value  # as documented
    found = str(value) if value.__class__ is int else value
    if not isinstance(found, str) or not _PATH_SAFE.fullmatch(found) or found == prefix:
        return None
    return None if found[:4] != prefix and found[:4] in RECORD_KINDS.values() else found


# A path is None for the record itself, (path, name) for a field of it, and (path, 3) for an item of a list. It is made
# a text only for a value that cannot be read, which is rare.
Path = tuple[Any, str | int] | None


def _written(path: Path) -> str:
    if path is None:
        return ""
    above, last = _written(path[0]), path[1]
    if isinstance(last, int):
        return f"{above}[{last}]"
    return f"{above}.{last}" if above else last


def _flag(value: object, invalid: dict[str, object], path: Path, name: str | int) -> None:
    invalid[_written((path, name))] = kept(value)


def text(value: object, invalid: dict[str, object], path: Path, name: str) -> str | None:
    """Return a text; a number is the text of its digits."""
    if isinstance(value, str) or value is None:
        return value
    if value.__class__ is int or isinstance(value, Decimal):
        return _digits(value)
    _flag(value, invalid, path, name)
    return None


def _digits(number: object) -> str:
    if isinstance(number, int) and number.bit_length() > 10_000:  # Python refuses to write out longer ones
        number = Decimal(number)
    return str(number)


def yes_or_no(value: object, invalid: dict[str, object], path: Path, name: str) -> bool | None:
    """Return true or false, from nothing but these: a consent is law."""
    if value is True or value is False or value is None:
        return value
    if value != "":
        _flag(value, invalid, path, name)
    return None


_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET: Final = r"(Z|[+-][0-9]{2}:[0-5][0-9])"
_MOMENT: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}{_OFFSET}")
_DAY: Final = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})([T ]00:00:00(\.0+)?{_OFFSET}?)?")
# MySQL's "no date", and what Carbon makes of it.
_ZERO_DATE: Final = re.compile(rf"(0000-00-00|-0001-11-30)([T ]{_CLOCK}({_OFFSET}(:[0-5][0-9])?)?)?")


def moment(value: object, invalid: dict[str, object], path: Path, name: str) -> datetime | None:
    """Return a date-time with its offset; what is shorter than a microsecond is dropped."""
    if isinstance(value, str):
        try:
            if _MOMENT.fullmatch(value):
                return datetime.fromisoformat(value)
        except ValueError:  # the 30th of February, or the month 0
            pass
        if not value or _ZERO_DATE.fullmatch(value):
            return None
    _flag(value, invalid, path, name)
    return None


@lru_cache(4096)  # days repeat
def _day_in(written: str) -> date | None:
    if not written or _ZERO_DATE.fullmatch(written):
        return None
    if (found := _DAY.fullmatch(written)) is None:
        raise ValueError(written)
    return date.fromisoformat(found[1])


def day(value: object, invalid: dict[str, object], path: Path, name: str) -> date | None:
    """Return a day; a time of exactly midnight behind it is dropped."""
    try:
        if isinstance(value, str):
            return _day_in(value)
    except ValueError:
        pass
    _flag(value, invalid, path, name)
    return None


_AMOUNT: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def money(value: object, invalid: dict[str, object], path: Path, name: str) -> Decimal | None:
    """Return an amount of money, exactly as it is written."""
    if isinstance(value, int) and not isinstance(value, bool):
        amount = Decimal(value) if value.bit_length() < 400 else None  # which is more than MOST_DIGITS digits
    elif isinstance(value, str):
        if not value:
            return None
        amount = Decimal(value) if _AMOUNT.fullmatch(value) else None
    else:
        amount = value if isinstance(value, Decimal) else None
    if amount is not None and abs(amount.adjusted()) <= MOST_DIGITS:
        return amount
    _flag(value, invalid, path, name)
    return None


def part(value: object, invalid: dict[str, object], path: Path, name: str, read: Callable[..., Any]) -> Any:
    """Return a part of a record; `read` makes it of an object."""
    if isinstance(value, dict):
        return read(value, invalid, (path, name))
    if value == []:  # as PHP writes an empty object
        return read({}, invalid, (path, name))
    if value is not None and value != "":
        _flag(value, invalid, path, name)
    return None


def parts(value: object, invalid: dict[str, object], path: Path, name: str, read: Callable[..., Any]) -> Any:
    """Return a list of parts as a tuple."""
    if isinstance(value, dict) and all(isinstance(key, str) and key.isascii() and key.isdigit() for key in value):
        value = list(value.values())  # as PHP writes a list with gaps
    if not isinstance(value, list):
        if value != "":
            _flag(value, invalid, path, name)
        return None
    items = []
    for index, item in enumerate(value):
        if not isinstance(item, dict) and item != []:
            _flag(item, invalid, (path, name), index)
        # An item that cannot be read is an empty one, so that those behind it keep their places.
        items.append(read(item if isinstance(item, dict) else {}, invalid, ((path, name), index)))
    return tuple(items)


def links_of(value: object, invalid: dict[str, object], read: Callable[..., Any]) -> Any:
    """Return the links of a record, empty ones if there are none."""
    found = part(value, invalid, None, "links", read)
    return read({}, invalid, None) if found is None else found


EXTRA: Final = object()  # the key by which a dict of `to_dict` hands its `extra` over; no JSON has such a key


def rest(values: dict[Any, object], known: frozenset[str]) -> Mapping[str, object]:
    """Return what is unknown among the values of a record or a part."""
    if EXTRA in values:
        return cast(Mapping[str, object], kept(values[EXTRA])) or NOTHING
    return {name: kept(value) for name, value in values.items() if name not in known} or NOTHING


MOST_LEVELS: Final = 200
"""How deep a value can be that a record keeps. A deeper one could not be written as JSON again by all that reads it."""


def kept(value: object, levels: int = MOST_LEVELS) -> object:
    """Return a value as `extra` and `invalid` keep it: as JSON has it, but a number that JSON cannot keep as a text.

    Raises RecursionError for one that is too deep.
    """
    if levels < 0:
        raise RecursionError
    as_kept = value
    if isinstance(value, Unreadable):
        as_kept = value.text
    elif isinstance(value, int):
        as_kept = value if value.bit_length() <= 10_000 else _digits(value)
    elif isinstance(value, float | Decimal):
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        as_kept = exact if Decimal(repr(float(exact))) == exact else str(exact)
    elif isinstance(value, Mapping):
        as_kept = {name: kept(inner, levels - 1) for name, inner in value.items()}
    elif isinstance(value, list | tuple):
        as_kept = [kept(inner, levels - 1) for inner in value]
    return as_kept


def stand_in(
    values: dict[str, object], extra: Mapping[str, object], value: str | None, name: str, instead: str, invalid: Any
) -> tuple[str | None, Mapping[str, object]]:
    """Return a text and `extra` after looking at the other name that the text may have."""
    other = values.get(instead)
    if value is None and name not in invalid:
        value = text(other, invalid, None, name)
    elif other is not None and other != value:
        return value, extra
    return value, {key: inner for key, inner in extra.items() if key != instead} or NOTHING
