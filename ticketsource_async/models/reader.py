"""Make a record from a row of the API; pure.

A row with invalid values is kept. A value that is not of its field's type becomes None and goes to `invalid`. An
unknown value goes to `extra`. Nothing is guessed.

The reader of each class is generated from its annotations, field by field, as in attrs and cattrs, because a loop over
the fields takes twice as long.
"""

import linecache
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from types import MemberDescriptorType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs

from ticketsource_async.models.ids import id_of
from ticketsource_async.models.values import MOST_LEVELS, NOTHING, RECORD_KINDS, as_list, digits, plain_json

T = TypeVar("T")

MOST_DIGITS: Final = 100
"""The largest decimal exponent of an amount of money, up or down. A sum of larger ones would fill the memory."""


class Refused(Exception):
    """An entry of `data` is no record of the requested kind; `path` is the place in the entry."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)
        self.what, self.path = what, path


def read_row(row: object, cls: type[T]) -> T:
    """Return the record in an entry of `data`; raise `Refused` if there is none.

    An entry is refused only if it is no object, is nested too deep, has no usable id or no object of `attributes`, or
    is another kind of record. With `dict` the result is the entry itself, with numbers as in `extra`.
    """
    if not isinstance(row, dict):
        raise Refused("Expected an object", "")
    kind: Any = cls
    if kind is dict:
        try:
            return cast(T, plain_json(row))
        except RecursionError:
            raise _too_deep() from None
    if (record_id := id_of(row.get("id"), kind.ID_PREFIX)) is None:
        raise Refused("Expected an id", ".id")
    api_type, attributes = row.get("type"), row.get("attributes")
    if api_type != kind.API_TYPE and isinstance(api_type, str) and api_type in RECORD_KINDS:
        raise Refused(f"Expected the type {kind.API_TYPE!r}", ".type")
    if not isinstance(attributes, dict) and attributes != []:
        raise Refused("Expected an object", ".attributes")
    try:
        invalid: dict[str, object] = {} if api_type == kind.API_TYPE else {"type": plain_json(api_type)}
        given: dict[Any, object] = attributes or {}
        record: T = reader_of(kind)[tuple(given)](given, invalid, record_id, row.get("links"))
    except RecursionError:
        raise _too_deep() from None
    return record


def _too_deep() -> Refused:
    return Refused(f"Expected at most {MOST_LEVELS} levels of nesting", "")


# Readers of values. Each one takes the value, the dict for values that cannot be read, the path to the object with the
# value, and the name of the value there.

# A path is None for the record itself, (path, name) for a field of it, and (path, 3) for an item of a list. It is made
# into a text only for a value that cannot be read, which is rare.
Path = tuple[Any, str | int] | None


def _path_text(path: Path) -> str:
    if path is None:
        return ""
    above, last = _path_text(path[0]), path[1]
    if isinstance(last, int):
        return f"{above}[{last}]"
    return f"{above}.{last}" if above else last


def _store_invalid(value: object, invalid: dict[str, object], path: Path, name: str | int) -> None:
    invalid[_path_text((path, name))] = plain_json(value)


def text(value: object, invalid: dict[str, object], path: Path, name: str) -> str | None:
    """Return a text; a number becomes the text of its digits."""
    if isinstance(value, str) or value is None:
        return value
    if value.__class__ is int or isinstance(value, Decimal):
        return digits(value)
    _store_invalid(value, invalid, path, name)
    return None


def yes_or_no(value: object, invalid: dict[str, object], path: Path, name: str) -> bool | None:
    """Return true or false; no other value counts as either, because consent is a matter of law."""
    if value is True or value is False or value is None:
        return value
    if value != "":
        _store_invalid(value, invalid, path, name)
    return None


_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET: Final = r"(Z|[+-][0-9]{2}:[0-5][0-9])"
_MOMENT: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}{_OFFSET}")
_DAY: Final = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})([T ]00:00:00(\.0+)?{_OFFSET}?)?")
# MySQL's "no date", and the date that PHP's Carbon makes from it.
_ZERO_DATE: Final = re.compile(rf"(0000-00-00|-0001-11-30)([T ]{_CLOCK}({_OFFSET}(:[0-5][0-9])?)?)?")


def moment(value: object, invalid: dict[str, object], path: Path, name: str) -> datetime | None:
    """Return a date-time with its offset; digits beyond the microseconds are dropped."""
    if isinstance(value, str):
        try:
            if _MOMENT.fullmatch(value):
                return datetime.fromisoformat(value)
        except ValueError:  # the 30th of February, or the month 0
            pass
        if not value or _ZERO_DATE.fullmatch(value):
            return None
    _store_invalid(value, invalid, path, name)
    return None


@lru_cache(4096)  # days repeat
def _day_in(written: str) -> date | Literal["no day"] | None:
    if not written or _ZERO_DATE.fullmatch(written):
        return None
    found = _DAY.fullmatch(written)
    try:
        return date.fromisoformat(found[1]) if found else "no day"
    except ValueError:  # the 30th of February, or the month 0
        return "no day"


def day(value: object, invalid: dict[str, object], path: Path, name: str) -> date | None:
    """Return a day; a time behind it is dropped if it is exactly midnight."""
    found = _day_in(value) if isinstance(value, str) else "no day"
    if found != "no day":
        return found
    _store_invalid(value, invalid, path, name)
    return None


_AMOUNT: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WHOLE: Final = re.compile(rf"-?[0-9]{{1,{MOST_DIGITS}}}")


def money(value: object, invalid: dict[str, object], path: Path, name: str) -> Decimal | None:
    """Return an amount of money with exactly the digits that it is written with."""
    if isinstance(value, int) and not isinstance(value, bool):
        amount = Decimal(value) if value.bit_length() < 400 else None  # 400 bits are more than MOST_DIGITS digits
    elif isinstance(value, str):
        if not value:
            return None
        amount = Decimal(value) if _AMOUNT.fullmatch(value) else None
    else:
        amount = value if isinstance(value, Decimal) else None
    if amount is not None and abs(amount.adjusted()) <= MOST_DIGITS:
        return amount
    _store_invalid(value, invalid, path, name)
    return None


def whole(value: object, invalid: dict[str, object], path: Path, name: str) -> int | None:
    """Return a whole number; a text of digits counts as one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value:
            return None
        if _WHOLE.fullmatch(value):
            return int(value)
    _store_invalid(value, invalid, path, name)
    return None


def part(value: object, invalid: dict[str, object], path: Path, name: str, readers: "_Readers") -> Any:
    """Return a part of a record."""
    if isinstance(value, dict):
        return readers.read(value, invalid, (path, name))
    if value == []:  # PHP writes an empty object like this
        return readers.read({}, invalid, (path, name))
    if value is not None and value != "":
        _store_invalid(value, invalid, path, name)
    return None


def parts(value: object, invalid: dict[str, object], path: Path, name: str, readers: "_Readers") -> Any:
    """Return a list of parts as a tuple."""
    found = as_list(value)
    if found is None:
        if value != "":
            _store_invalid(value, invalid, path, name)
        return None
    items = []
    above = path, name
    for index, item in enumerate(found):
        if not isinstance(item, dict):
            if item != []:
                _store_invalid(item, invalid, above, index)
            item = {}  # noqa: PLW2901 - an empty item, so that later items keep their places
        items.append(readers[tuple(item)](item, invalid, (above, index)))
    return tuple(items)


def links_of(value: object, invalid: dict[str, object], readers: "_Readers") -> Any:
    """Return the links of a record; empty links if it has none."""
    found = part(value, invalid, None, "links", readers)
    return readers.read({}, invalid, None) if found is None else found


EXTRA: Final = object()  # the key of `extra` in values that come from `to_dict`; no JSON has such a key


def unknown_values(values: dict[Any, object], known: frozenset[str]) -> Mapping[str, object]:
    """Return the values of a record or a part that have no field."""
    if EXTRA in values:
        return cast(Mapping[str, object], plain_json(values[EXTRA])) or NOTHING
    return {name: plain_json(value) for name, value in values.items() if name not in known} or NOTHING


def use_other_name(
    values: dict[str, object], extra: Mapping[str, object], value: str | None, name: str, other_name: str, invalid: Any
) -> tuple[str | None, Mapping[str, object]]:
    """Return a text and `extra`, after a look at the text's other name.

    The value of the other name replaces a null text. Otherwise it stays in `extra` if it differs from the text.
    """
    other = values.get(other_name)
    if value is None and name not in invalid:
        value = text(other, invalid, None, name)
    elif other is not None and other != value:
        return value, extra
    return value, {key: inner for key, inner in extra.items() if key != other_name} or NOTHING


# Readers of classes


def also_named(name: str) -> Any:
    """Return the field of a text that the API also sends under `name`; that value counts if this one is null."""
    return attrs.field(default=None, metadata={"other_name": name})


@cache
def is_record(cls: Any) -> bool:
    """Say whether a class is that of a record and not of a part."""
    return "id" in attrs.fields_dict(cls)


NOT_ATTRIBUTES: Final = frozenset({"id", "links", "extra", "invalid"})
"""The fields of records that are not attributes."""


Kind = Literal["text", "yes", "whole", "moment", "day", "money", "number", "part", "parts"]
"""The kind of the values of a field or of a table's column."""


@attrs.frozen
class Field:
    """An attribute of a record or a part: its name here, its `key` in JSON, its kind, and the class if it is a part."""

    name: str
    key: str
    kind: Kind
    part: type | None
    other_name: str | None


@cache
def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the attributes of a record or a part, read from its annotations."""
    hints = get_type_hints(cls)
    found = []
    for field in attrs.fields(cls):
        if field.name not in NOT_ATTRIBUTES:
            try:
                kind = _kind(hints[field.name])
            except TypeError as error:
                raise TypeError(f"{cls.__name__}.{field.name}: {error}") from None
            found.append(Field(field.name, field.name.rstrip("_"), *kind, field.metadata.get("other_name")))
    return tuple(found)


_KINDS: Final[Mapping[object, Kind]] = {
    str: "text", bool: "yes", int: "whole", datetime: "moment", date: "day", Decimal: "money"
}  # fmt: skip


def kind_of(cls: type, path: str) -> Kind:
    """Return the kind of the field at a dotted path."""
    *parts, last = path.split(".")
    for name in parts:
        cls = cast(type, _kind(get_type_hints(cls)[name])[1])
    return _kind(get_type_hints(cls)[last])[0]


def _kind(hint: object) -> tuple[Kind, type | None]:
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for choice in choices:
        if choice in _KINDS:
            return _KINDS[choice], None
        if attrs.has(cast(type, choice)):
            return "part", cast(type, choice)
        if get_origin(choice) is tuple:
            part = get_args(choice)[0]
            if not attrs.has(part):
                of = getattr(part, "__name__", part)
                raise TypeError(f"a tuple must have parts, not {of}; leave the field out and use `extra`")
            return "parts", part
    raise TypeError(f"a record cannot have a field of the type {hint}")


_LINES: Final[Mapping[str, str]] = {
    "text": "{v} if {v}.__class__ is str or {v} is None else text({v}, invalid, {path}, {key!r})",
    "yes": "{v} if {v} is None or {v} is True or {v} is False else yes({v}, invalid, {path}, {key!r})",
    "moment": "None if {v} is None else moment({v}, invalid, {path}, {key!r})",
    "whole": "None if {v} is None else whole({v}, invalid, {path}, {key!r})",
    "day": "None if {v} is None else day({v}, invalid, {path}, {key!r})",
    "money": "None if {v} is None else money({v}, invalid, {path}, {key!r})",
    "part": "None if {v} is None else {name}_readers[tuple({v})]({v}, invalid, ({path}, {key!r})) "
    "if {v}.__class__ is dict else part({v}, invalid, {path}, {key!r}, {name}_readers)",
    "parts": "None if {v} is None else parts({v}, invalid, {path}, {key!r}, {name}_readers)",
}


class _Readers(dict[tuple[object, ...], Callable[..., Any]]):
    """The readers of a class: one for each set of names in its values, made when the set first comes.

    A reader takes the values and the dict for values that cannot be read. The reader of a part also takes the path to
    the values, the reader of a record its id and its links. Most rows of a list have the same names, and then no name
    has to be looked up.
    """

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls, self._fields, self._is_record = cls, fields_of(cls), is_record(cls)
        self._any = frozenset(f.other_name for f in self._fields if f.other_name) | {EXTRA}
        names: dict[str, Any] = {
            "text": text, "yes": yes_or_no, "whole": whole, "moment": moment, "day": day,
            "money": money, "part": part, "parts": parts, "links_of": links_of,
            "use_other_name": use_other_name, "unknown_values": unknown_values, "plain_json": plain_json,
            "NOTHING": NOTHING,
            "known": frozenset(f.key for f in self._fields), "new": object.__new__, "Open": _settable(cls), "cls": cls,
            "unset": None if self._is_record else cls(),
            **{f"{f.name}_readers": reader_of(f.part) for f in self._fields if f.part is not None},
        }  # fmt: skip
        if self._is_record:
            names["links_readers"] = reader_of(get_type_hints(cls)["links"])
        self._names = names
        self._general = self._make(None)

    def read(self, given: dict[Any, object], *arguments: object) -> Any:
        """Read values with any names."""
        return self[tuple(given)](given, *arguments)

    def __missing__(self, names: tuple[object, ...]) -> Callable[..., Any]:
        if len(self) >= _MOST_READERS or len(names) > _MOST_NAMES or not self._any.isdisjoint(names):
            return self._general
        self[names] = made = self._make(cast(tuple[str, ...], names))
        return made

    def _make(self, given: tuple[str, ...] | None) -> Callable[..., Any]:
        """Generate the reader for values with these names in this order, or for any names."""
        names, variables = dict(self._names), {f.key: f"v_{f.name}" for f in self._fields}
        path = "None" if self._is_record else "path"
        if given is None:
            lines = [f"{variable} = values.get({key!r})" for key, variable in variables.items()]
            lines.append("extra = unknown_values(values, known)")
        else:
            unknown = {name: f"u_{n}" for n, name in enumerate(given) if name not in variables}
            names |= {f"name_{variable}": name for name, variable in unknown.items()}
            lines = [f"{', '.join(variables.get(n) or unknown[n] for n in given)}, = values.values()"] if given else []
            found = ", ".join(f"name_{variable}: plain_json({variable})" for variable in unknown.values())
            lines.append(f"extra = {{{found}}}" if found else "extra = NOTHING")
            variables = {key: variable for key, variable in variables.items() if key in given}
        if not self._is_record:  # parts are frozen, so records can share an empty part
            lines.append(f"if {' is None and '.join([*variables.values(), ''])}extra is NOTHING: return unset")
        lines.append("x = new(Open)")
        for field in self._fields:
            variable = variables.get(field.key)
            line = "None"
            if variable is not None:
                line = _LINES[field.kind].format(v=variable, path=path, key=field.key, name=field.name)
            if field.other_name and given is None:
                lines += [f"{variable} = {line}", f"if {field.other_name!r} in values:"]
                arguments = f"values, extra, {variable}, {field.key!r}, {field.other_name!r}, invalid"
                lines.append(f"    {variable}, extra = use_other_name({arguments})")
                line = str(variable)
            lines.append(f"x.{field.name} = {line}")
        if self._is_record:
            links = "links_readers[tuple(links)](links, invalid, (None, 'links')) if links.__class__ is dict else "
            lines += ["x.id = id", f"x.links = {links}links_of(links, invalid, links_readers)"]
            lines += ["x.invalid = invalid or NOTHING"]
        if isinstance(getattr(self._cls, "_names", None), MemberDescriptorType):  # not a constant of the user's own
            names["given"] = given
            lines.append(f"x._names = {'tuple(values)' if given is None else 'given'}")
        lines += ["x.extra = extra", "x.__class__ = cls", "return x"]
        arguments = "values, invalid, id, links" if self._is_record else "values, invalid, path"
        # Each reader needs a name of its own. Otherwise a traceback would show the lines of another reader.
        number = "" if given is None else f"_{len(self) + 1}"
        return _function(f"read_{self._cls.__name__}{number}", arguments, lines, names)


reader_of: Final = cache(_Readers)
# The most readers of a class, and the most names of a reader. Beyond these the general reader, a little slower, reads.
_MOST_READERS: Final = 50
_MOST_NAMES: Final = 200


def _function(name: str, arguments: str, lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    text = "\n    ".join([f"def {name}({arguments}):", *lines]) + "\n"
    file = f"<generated {__name__}.{name}>"
    exec(compile(text, file, "exec"), names)  # noqa: S102 - the code has only the names of our own fields
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # so that tracebacks show it
    made: Callable[..., Any] = names[name]
    return made


def _settable(cls: type) -> type:
    """Return a subclass whose fields can be set.

    The `__init__` of a frozen class sets each field through `object.__setattr__`, which takes three times as long.
    """
    members = {
        "__module__": cls.__module__,
        "__slots__": (),
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(f"Open{cls.__name__}", (cls,), members)
