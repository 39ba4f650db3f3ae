"""The two other forms of a record: a row, as the API sends it, and the dict of `to_dict`; pure.

A row is kept whatever is in it. A value that is not what its field promises reads as None and goes to `invalid`; what
is unknown goes to `extra`; nothing is guessed. What counts as readable is in `values.py`.

The reader of each class is generated from its annotations, field by field, as attrs and cattrs do it: a loop over the
fields takes twice as long.
"""

import linecache
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs

from ticketsource_async.models import values
from ticketsource_async.models.values import EXTRA, NOTHING, RECORD_KINDS, id_of, kept

T = TypeVar("T")


class Refused(Exception):
    """An entry of `data` that is no record of the kind asked for; `path` is the place in the entry."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)
        self.what, self.path = what, path


# From a row to a record


def read_row(row: object, cls: type[T]) -> T:
    """Return the record in an entry of `data`; raise `Refused` if there is none.

    That is so only if it is no object, has no usable id, has no object of `attributes`, or is another kind of record.
    """
    if not isinstance(row, dict):
        raise Refused("Expected an object", "")
    kind: Any = cls
    if (record_id := id_of(row.get("id"), kind.ID_PREFIX)) is None:
        raise Refused("Expected an id", ".id")
    api_type, attributes = row.get("type"), row.get("attributes")
    if api_type != kind.API_TYPE and isinstance(api_type, str) and api_type in RECORD_KINDS:
        raise Refused(f"Expected the type {kind.API_TYPE!r}", ".type")
    if not isinstance(attributes, dict) and attributes != []:
        raise Refused("Expected an object", ".attributes")
    try:
        invalid: dict[str, object] = {} if api_type == kind.API_TYPE else {"type": kept(api_type)}
        given: dict[Any, object] = attributes or {}
        return cast(T, _readers(kind)[tuple(given)](given, invalid, None, record_id, row.get("links")))
    except RecursionError:
        raise Refused(f"Expected at most {values.MOST_LEVELS} levels of nesting", "") from None


# Readers, one for each class and choice of names


def instead_of(name: str) -> Any:
    """Return the field of a text that the API also sends under another name, which counts if this one is null."""
    return attrs.field(default=None, metadata={"instead": name})


def _is_record(cls: Any) -> bool:
    return "id" in attrs.fields_dict(cls)


OURS: Final = frozenset({"id", "links", "extra", "invalid"})
"""The fields of records that are no attributes."""


@attrs.frozen
class Field:
    """An attribute of a record or of a part: its name here, in JSON, its kind, and the class of a part."""

    name: str
    key: str
    kind: str
    part: type | None
    instead: str | None


@cache
def fields_of(cls: type) -> tuple[Field, ...]:
    """Return what the annotations of a record, or of a part, say of its attributes."""
    hints = get_type_hints(cls)
    return tuple(
        Field(field.name, field.name.rstrip("_"), *_kind(hints[field.name]), field.metadata.get("instead"))
        for field in attrs.fields(cls)
        if field.name not in OURS
    )


_KINDS: Final[Mapping[object, str]] = {str: "text", bool: "yes", datetime: "moment", date: "day", Decimal: "money"}


def _kind(hint: object) -> tuple[str, type | None]:
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for choice in choices:
        if choice in _KINDS:
            return _KINDS[choice], None
        if attrs.has(cast(type, choice)):
            return "part", cast(type, choice)
        if get_origin(choice) is tuple:
            return "parts", get_args(choice)[0]
    raise TypeError(f"no record can have a field of {hint}")


_LINES: Final[Mapping[str, str]] = {
    "text": "{v} if {v}.__class__ is str or {v} is None else text({v}, invalid, path, {key!r})",
    "yes": "{v} if {v} is None or {v} is True or {v} is False else yes({v}, invalid, path, {key!r})",
    "moment": "None if {v} is None else moment({v}, invalid, path, {key!r})",
    "day": "None if {v} is None else day({v}, invalid, path, {key!r})",
    "money": "None if {v} is None else money({v}, invalid, path, {key!r})",
    "part": "None if {v} is None else {name}_readers[tuple({v})]({v}, invalid, (path, {key!r})) "
    "if {v}.__class__ is dict else part({v}, invalid, path, {key!r}, {name}_readers.read)",
    "parts": "None if {v} is None else parts({v}, invalid, path, {key!r}, {name}_readers.read)",
}


class _Readers(dict[tuple[object, ...], Callable[..., Any]]):
    """The readers of a class: one for each choice of names that its values come with, made when it is first met.

    A reader takes the values, the dict of what cannot be read, and the path to the values; for a record also its id and
    its links. Most rows of a list come with the same names, so that none has to be looked up.
    """

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls, self._fields, self._is_record = cls, fields_of(cls), _is_record(cls)
        self._any = frozenset(f.instead for f in self._fields if f.instead) | {EXTRA}
        names: dict[str, Any] = {
            "text": values.text, "yes": values.yes_or_no, "moment": values.moment, "day": values.day,
            "money": values.money, "part": values.part, "parts": values.parts, "links_of": values.links_of,
            "stand_in": values.stand_in, "rest": values.rest, "kept": kept, "NOTHING": NOTHING,
            "known": frozenset(f.key for f in self._fields), "new": object.__new__, "Open": _open(cls), "cls": cls,
            "unset": None if self._is_record else cls(),
            **{f"{f.name}_readers": _readers(f.part) for f in self._fields if f.part is not None},
        }  # fmt: skip
        if self._is_record:
            names["links_readers"] = _readers(get_type_hints(cls)["links"])
        self._names = names
        self._general = self._make(None)

    def read(self, given: dict[Any, object], *arguments: object) -> Any:
        """Read values with whatever names they have."""
        return self[tuple(given)](given, *arguments)

    def __missing__(self, names: tuple[object, ...]) -> Callable[..., Any]:
        if len(self) >= _MOST_READERS or not self._any.isdisjoint(names):
            return self._general
        self[names] = made = self._make(cast(tuple[str, ...], names))
        return made

    def _make(self, given: tuple[str, ...] | None) -> Callable[..., Any]:
        """Generate the reader for values with these names in this order, or for any."""
        names, variables = dict(self._names), {f.key: f"v_{f.name}" for f in self._fields}
        if given is None:
            lines = [f"{variable} = values.get({key!r})" for key, variable in variables.items()]
            lines.append("extra = rest(values, known)")
        else:
            unknown = {name: f"u_{n}" for n, name in enumerate(given) if name not in variables}
            names |= {f"name_{variable}": name for name, variable in unknown.items()}
            lines = [f"{', '.join(variables.get(n) or unknown[n] for n in given)}, = values.values()"] if given else []
            found = ", ".join(f"name_{variable}: kept({variable})" for variable in unknown.values())
            lines.append(f"extra = {{{found}}}" if found else "extra = NOTHING")
            variables = {key: variable for key, variable in variables.items() if key in given}
        if not self._is_record:  # records are frozen, so they can share a part in which nothing is set
            lines.append(f"if {' is None and '.join([*variables.values(), ''])}extra is NOTHING: return unset")
        lines.append("x = new(Open)")
        for field in self._fields:
            variable = variables.get(field.key)
            line = "None" if variable is None else _LINES[field.kind].format(v=variable, key=field.key, name=field.name)
            if field.instead and given is None:
                lines += [f"{variable} = {line}", f"if {field.instead!r} in values:"]
                arguments = f"values, extra, {variable}, {field.key!r}, {field.instead!r}, invalid"
                lines.append(f"    {variable}, extra = stand_in({arguments})")
                line = str(variable)
            lines.append(f"x.{field.name} = {line}")
        if self._is_record:
            links = "links_readers[tuple(links)](links, invalid, LINKS) if links.__class__ is dict else "
            names["LINKS"] = (None, "links")
            lines += ["x.id = id", f"x.links = {links}links_of(links, invalid, links_readers.read)"]
            lines += ["x.invalid = invalid or NOTHING"]
        lines += ["x.extra = extra", "x.__class__ = cls", "return x"]
        arguments = "values, invalid, path, id, links" if self._is_record else "values, invalid, path"
        # Each has a name of its own, or a traceback would show the lines of another.
        number = "" if given is None else f"_{len(self) + 1}"
        return _function(f"read_{self._cls.__name__}{number}", arguments, lines, names)


_readers: Final = cache(_Readers)
_MOST_READERS: Final = 50  # of a class; from there on a new choice of names is read by the general one, a little slower


def _function(name: str, arguments: str, lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    text = "\n    ".join([f"def {name}({arguments}):", *lines]) + "\n"
    file = f"<generated {__name__}.{name}>"
    exec(compile(text, file, "exec"), names)  # noqa: S102 - made of the names of our own fields alone
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # so that tracebacks show it
    made: Callable[..., Any] = names[name]
    return made


def _open(cls: type) -> type:
    """Return the class while its fields can still be set.

    The `__init__` of a frozen class sets each of them through `object.__setattr__`, which takes three times as long.
    """
    thawed = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"Open{cls.__name__}", (cls,), thawed)


# From a record to a dict and back


def to_dict(record: Any) -> dict[str, object]:
    """Return a record, or a part, as JSON-able data; see `Record.to_dict`."""
    data: dict[str, object] = {}
    is_record = hasattr(record, "id")
    if is_record:
        data["id"] = record.id
    for field in fields_of(record.__class__):
        value = getattr(record, field.name)
        if value is not None and field.kind not in ("text", "yes"):
            value = _WRITTEN[field.kind](value)
        data[field.key] = value
    if is_record:
        links = to_dict(record.links)
        data["links"] = {name: value for name, value in links.items() if value is not None}
    data["extra"] = _json(record.extra)
    if is_record and record.invalid:
        data["invalid"] = _json(record.invalid)
    return data


_WRITTEN: Final[Mapping[str, Callable[[Any], object]]] = {
    "moment": datetime.isoformat,
    "day": date.isoformat,
    "money": "{:f}".format,
    "part": to_dict,
    "parts": lambda parts: [to_dict(part) for part in parts],
}


def _json(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    found = kept(value)
    return float(found) if isinstance(found, Decimal) else found


def from_dict(data: object, cls: type[T]) -> T:
    """Return the record, or the part, of such a dict; raise ValueError, naming the place, if `to_dict` gave it not."""
    try:
        record = _undone(data, cls)
        place = _difference(data, to_dict(record), "$")
    except _NotOurs as error:
        raise ValueError(f"This is no {cls.__name__} of to_dict: {error}.") from None
    if place is not None:
        raise ValueError(f"This is no {cls.__name__} of to_dict: it gives no such value at {place}.")
    return cast(T, record)


def _undone(data: object, cls: Any) -> Any:
    given, invalid = _values(data, cls, "$"), dict[str, object]()
    if not isinstance(data, Mapping) or not _is_record(cls):
        return _readers(cls).read(given, invalid, None)
    record_id, before = data.get("id"), data.get("invalid", NOTHING)
    if not isinstance(record_id, str) or id_of(record_id, cls.ID_PREFIX) is None:
        raise _NotOurs("no usable id at $.id")
    if not isinstance(before, Mapping):
        raise _NotOurs("no object at $.invalid")
    links = _values(data.get("links", {}), get_type_hints(cls)["links"], "$.links")
    record = _readers(cls).read(given, invalid, None, record_id, links)
    # What could not be read then is not read now; what cannot be read now is told by the caller.
    return attrs.evolve(record, invalid=kept(before)) if before and not invalid else record


class _NotOurs(Exception):
    """Data that `to_dict` did not give."""


def _values(data: object, cls: Any, place: str) -> dict[Any, object]:
    """Return the values of a dict as a reader takes them."""
    if not isinstance(data, Mapping):
        raise _NotOurs(f"no object at {place}")
    fields = {field.key: field for field in fields_of(cls)}
    if unknown := data.keys() - fields.keys() - (OURS if _is_record(cls) else {"extra"}):
        raise _NotOurs(f"there is no {min(map(str, unknown))!r}, at {place}")
    found: dict[Any, object] = {EXTRA: data.get("extra", NOTHING)}
    if not isinstance(found[EXTRA], Mapping):
        raise _NotOurs(f"no object at {place}.extra")
    for key, field in fields.items():
        value, inner = data.get(key), f"{place}.{key}"
        if field.kind == "part" and value is not None:
            value = _values(value, cast(type, field.part), inner)
        elif field.kind == "parts" and isinstance(value, list | tuple):
            value = [_values(v, cast(type, field.part), f"{inner}[{i}]") for i, v in enumerate(value)]
        found[key] = value
    return found


def _difference(given: object, ours: object, place: str) -> str | None:
    """Return the first place where data is not what `to_dict` gives of it; an object may lack something."""
    if isinstance(given, Mapping) and isinstance(ours, Mapping):
        for name, value in given.items():
            if name not in ours and not (value is None and place == "$.links"):
                return f"{place}.{name}"
            if (found := _difference(value, ours.get(name), f"{place}.{name}")) is not None:
                return found
        return None
    if isinstance(given, list | tuple) and isinstance(ours, list) and len(given) == len(ours):
        for index, (one, other) in enumerate(zip(given, ours, strict=True)):
            if (found := _difference(one, other, f"{place}[{index}]")) is not None:
                return found
        return None
    return None if type(given) is type(ours) and given == ours else place
