"""What all records are made of: the base, links, and the parts that more than one of them has."""

import enum
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, NoReturn, Self, get_args, get_type_hints
from urllib.parse import urlsplit

import attrs


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given. None would not do: an attribute sent as null is cleared, one that is not sent stays as it is."""


class _Nothing(dict[str, object]):
    """An empty dict that stays empty: all records in which nothing is unknown share one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a record is frozen, and so is its `extra`")

    __setitem__: Any = _refuse
    __ior__: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> str:
        return "NOTHING"


MOST_DIGITS: Final = 100
"""How large or small an amount of money can be: a sum of larger ones would fill the memory."""

NOTHING: Final[Mapping[str, object]] = _Nothing()


def unknown() -> Any:
    """Return the field for attributes that this library does not know."""
    # Not part of the hash: a dict has none, and a MappingProxyType, which has, cannot be pickled.
    return attrs.field(default=NOTHING, hash=False)


class Record:
    """Base of all that the API returns, and of its parts."""

    __slots__ = ()

    def to_dict(self) -> dict[str, object]:
        """Return the record as JSON-able data, nested as the record is.

        Links that there are not are left out. Dates and times are in ISO 8601; money is the text of its number, as
        written: JSON's own would not keep it. What is in `extra` is as the API has it in its JSON, but for a number of
        more digits than a float has: that is its text, and stays a text.
        """

        def serialize(_instance: object, field: Any, value: object) -> object:
            if field is not None and field.name == "extra":
                return _mapped(value, _number)
            if isinstance(value, Decimal):
                return str(value)
            return value.isoformat() if isinstance(value, date) else value

        data = attrs.asdict(self, value_serializer=serialize)  # type: ignore[arg-type]  # every subclass is attrs
        if "links" in data:
            data["links"] = {"self" if k == "self_" else k: v for k, v in data["links"].items() if v is not None}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Return the record that `to_dict` gave this of; what is left out counts as left out by the API.

        Raises ValueError, naming the place, for what `to_dict` does not give: nothing is coerced, nothing dropped.
        """
        import msgspec  # noqa: PLC0415 - a program that reads no such data need not load it

        try:
            record = msgspec.convert(_undone(data, cls, "$"), cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"This is no {cls.__name__} of to_dict: {error}.") from None
        if getattr(record, "id", None) == "":
            raise ValueError(f"This is no {cls.__name__} of to_dict: Expected an id at $.id.")
        if (place := naive_moment(record, "$")) is not None:
            raise ValueError(f"This is no {cls.__name__} of to_dict: a time without its offset at {place}.")
        return record


def _undone(data: object, cls: type, place: str) -> object:
    """Return the data of a record as the class names its fields, `extra` with the numbers that JSON cannot keep."""
    if not isinstance(data, Mapping):
        return data
    shape = shape_of(cls)
    names = {("self" if field.name == "self_" else field.name): field.name for field in attrs.fields(cls)}
    if (wrong := _wrong(data, shape, names, place)) is not None:
        raise ValueError(f"This is no {cls.__name__} of to_dict: {wrong}.")
    flat = {names[name]: value for name, value in data.items()}
    if "extra" in flat:
        flat["extra"] = _mapped(flat["extra"], _decimal) or NOTHING
    for name, part in {**shape.parts, "links": Links}.items():
        value = flat.get(name)
        if isinstance(value, list | tuple):
            flat[name] = [_undone(row, part, f"{place}.{name}[{index}]") for index, row in enumerate(value)]
        elif name in flat:
            flat[name] = _undone(value, part, f"{place}.{name}")
    return flat


def _wrong(data: Mapping[str, object], shape: "Shape", names: Mapping[str, str], place: str) -> str | None:
    """Return what msgspec would drop or coerce in the data of a record, None if there is nothing."""
    if unknown := data.keys() - names.keys():
        return f"there is no {min(map(str, unknown))!r}, at {place}"
    if not isinstance(data.get("extra", {}), Mapping):
        return f"Expected an object at {place}.extra"
    for name in shape.money & data.keys():
        if data[name] is not None and not _is_number(data[name]):
            return f"Expected the text of a number at {place}.{name}"
    return None


def _is_number(text: object) -> bool:
    try:
        number = Decimal(text) if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        return False
    return number.is_finite() and str(number) == text and abs(number.adjusted()) <= MOST_DIGITS


def _mapped(value: object, number: Callable[[Any], object]) -> object:
    """Return unknown data with each number that has a fraction replaced."""
    if isinstance(value, Mapping):
        return {name: _mapped(inner, number) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, number) for inner in value]
    return number(value) if isinstance(value, float | Decimal) else value


def _number(value: Decimal | float) -> float | str:
    return float(value) if _decimal(float(value)) == value else str(value)  # a text where a float would lose digits


def _decimal(value: Decimal | float) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(value))


@attrs.frozen
class Shape:
    """What the annotations of a record, or of a part of one, say of its attributes; `parts` are records themselves."""

    names: frozenset[str]
    parts: Mapping[str, type]
    lists: frozenset[str]
    money: frozenset[str]
    moments: frozenset[str]


@cache
def shape_of(cls: type) -> Shape:
    """Return the shape of a record; `id`, `links` and `extra` are ours, so an attribute called so is an unknown one."""
    hints = {
        name: get_args(hint) or (hint,)
        for name, hint in get_type_hints(cls).items()
        if name not in ("id", "links", "extra")
    }
    parts: dict[str, type] = {}
    lists: set[str] = set()
    for name, choices in hints.items():
        for choice in choices:
            inner = (get_args(choice) or (choice,))[0]
            if attrs.has(inner):
                parts[name] = inner
                lists |= {name} if inner is not choice else set()

    def having(kind: type) -> frozenset[str]:
        return frozenset(name for name, choices in hints.items() if kind in choices)

    return Shape(frozenset(hints), parts, frozenset(lists), having(Decimal), having(datetime))


def naive_moment(record: Any, place: str) -> str | None:
    """Return the place of a time without its offset in a record, None if there is none."""
    shape = shape_of(record.__class__)
    for name in shape.moments:
        moment = getattr(record, name)
        if moment is not None and moment.tzinfo is None:
            return f"{place}.{name}"
    for name in shape.parts:
        value = getattr(record, name)
        for index, part in enumerate(value or ()) if name in shape.lists else [("", value)]:
            where = f"{place}.{name}" if index == "" else f"{place}.{name}[{index}]"
            if part is not None and (found := naive_moment(part, where)) is not None:
                return found
    return None


@attrs.frozen
class Links(Record):
    """Addresses of a record (`self_`) and of what belongs to it; links without a field of their own are in `extra`."""

    self_: str | None = None
    bookings: str | None = None
    notes: str | None = None
    customer: str | None = None
    event: str | None = None
    venues: str | None = None
    venue: str | None = None
    dates: str | None = None
    date: str | None = None
    booking: str | None = None
    seats: str | None = None
    book_now: str | None = None
    extra: Mapping[str, object] = unknown()


@attrs.frozen
class Address(Record):
    """A postal address; the API has no field for a town or a country."""

    line_1: str | None = None
    line_2: str | None = None
    line_3: str | None = None
    line_4: str | None = None
    postcode: str | None = None
    extra: Mapping[str, object] = unknown()


@attrs.frozen
class Consent(Record):
    """What the customer may be contacted by; None is neither yes nor no, so never take it for a yes."""

    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None
    extra: Mapping[str, object] = unknown()


def last_segment(link: str | None) -> str | None:
    """Return the id at the end of a link, None without a link and for one that is no address."""
    try:
        return urlsplit(link).path.rpartition("/")[2] or None if link else None
    except ValueError:
        return None
