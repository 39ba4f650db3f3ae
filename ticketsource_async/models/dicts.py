"""Convert a record to the dict of `to_dict` and back; pure."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar, cast, get_type_hints

import attrs

from ticketsource_async.models.ids import id_of
from ticketsource_async.models.reader import EXTRA, NOT_ATTRIBUTES, fields_of, is_record, reader_of
from ticketsource_async.models.values import NOTHING, NumberText, plain_json

T = TypeVar("T")


def to_dict(record: Any) -> dict[str, object]:
    """Return a record or a part as JSON-able data; see `Record.to_dict`."""
    data: dict[str, object] = {}
    whole = is_record(record.__class__)
    if whole:
        data["id"] = record.id
    for field in fields_of(record.__class__):
        value = getattr(record, field.name)
        if value is not None and field.kind not in ("text", "yes", "whole"):
            value = _WRITTEN[field.kind](value)
        data[field.key] = value
    if whole:
        links = to_dict(record.links)
        data["links"] = {name: value for name, value in links.items() if value is not None}
    data["extra"] = _json(record.extra)
    if whole and record.invalid:
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
    found = plain_json(value)
    if isinstance(found, NumberText):
        return str(found)  # some JSON writers refuse subclasses of str
    return float(found) if isinstance(found, Decimal) else found


def from_dict(data: object, cls: type[T]) -> T:
    """Return the record or the part from a dict of `to_dict`; raise ValueError for other data."""
    try:
        record = _rebuild(data, cls)
        place = _difference(data, to_dict(record), "$")
    except _NotFromToDict as error:
        raise ValueError(f"These data do not come from {cls.__name__}.to_dict: {error}.") from None
    if place is not None:
        raise ValueError(f"These data do not come from {cls.__name__}.to_dict: it makes no such value at {place}.")
    return cast(T, record)


def _rebuild(data: object, cls: Any) -> Any:
    given, invalid = _values(data, cls, "$"), dict[str, object]()
    if not isinstance(data, Mapping) or not is_record(cls):
        return reader_of(cls).read(given, invalid, None)
    record_id, before = data.get("id"), data.get("invalid", NOTHING)
    if not isinstance(record_id, str) or id_of(record_id, cls.ID_PREFIX) is None:
        raise _NotFromToDict("expected an id at $.id")
    if not isinstance(before, Mapping):
        raise _NotFromToDict("expected an object at $.invalid")
    links = _values(data.get("links", {}), _class_of_links(cls), "$.links")
    record = reader_of(cls).read(given, invalid, record_id, links)
    # Values that could not be read from the API stay in `invalid`. If a value of the dict itself cannot be read, the
    # caller raises.
    return attrs.evolve(record, invalid=plain_json(before)) if before and not invalid else record


@cache  # without the cache this is half of the time of `from_dict`
def _class_of_links(cls: type) -> Any:
    return get_type_hints(cls)["links"]


class _NotFromToDict(Exception):
    """The data were not made by `to_dict`."""


def _values(data: object, cls: Any, place: str) -> dict[Any, object]:
    """Return the values of a dict in the form that a reader takes."""
    if not isinstance(data, Mapping):
        raise _NotFromToDict(f"expected an object at {place}")
    fields = {field.key: field for field in fields_of(cls)}
    if unknown := data.keys() - fields.keys() - (NOT_ATTRIBUTES if is_record(cls) else {"extra"}):
        raise _NotFromToDict(f"unknown name {min(map(str, unknown))!r} at {place}")
    found: dict[Any, object] = {EXTRA: data.get("extra", NOTHING)}
    if not isinstance(found[EXTRA], Mapping):
        raise _NotFromToDict(f"expected an object at {place}.extra")
    for key, field in fields.items():
        value, inner = data.get(key), f"{place}.{key}"
        if field.kind == "part" and value is not None:
            value = _values(value, cast(type, field.part), inner)
        elif field.kind == "parts" and isinstance(value, list | tuple):
            value = [_values(v, cast(type, field.part), f"{inner}[{i}]") for i, v in enumerate(value)]
        found[key] = value
    return found


def _difference(given: object, expected: object, place: str) -> str | None:
    """Return the first place where the data differ from what `to_dict` makes; an object may lack values."""
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        for name, value in given.items():
            if name not in expected and not (value is None and place == "$.links"):
                return f"{place}.{name}"
            if (found := _difference(value, expected.get(name), f"{place}.{name}")) is not None:
                return found
        return None
    if isinstance(given, list | tuple) and isinstance(expected, list) and len(given) == len(expected):
        for index, (one, other) in enumerate(zip(given, expected, strict=True)):
            if (found := _difference(one, other, f"{place}[{index}]")) is not None:
                return found
        return None
    return None if type(given) is type(expected) and given == expected else place
