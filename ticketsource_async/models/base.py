"""The base classes of records and parts, the links, and the parts that several records share."""

import enum
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import attrs

from ticketsource_async._mistakes import ExplainsOptions, hint_for
from ticketsource_async.models import dicts
from ticketsource_async.models.reader import NOT_ATTRIBUTES, fields_of
from ticketsource_async.models.values import NOTHING, RECORD_KINDS


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""The value of a draft's field that is not sent. None, in contrast, is sent as null and clears the field."""


_PLACES: Final = {"id": -1, "links": 1, "extra": 2, "invalid": 3}  # attributes are at 0


def names_in_order(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a record or a part in reading order; attrs has those of `Part` first."""
    return tuple(sorted((field.name for field in attrs.fields(cls)), key=lambda name: _PLACES.get(name, 0)))


@attrs.frozen
class Part(ExplainsOptions):
    """Base of the parts of records; `extra` has the values of a part that have no field."""

    # It is not part of the hash, because a dict has no hash. A MappingProxyType has one but cannot be pickled.
    extra: Mapping[str, object] = attrs.field(default=NOTHING, hash=False, kw_only=True)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        # The repr that attrs makes shows the fields of a base class first.
        if cls.__repr__.__code__.co_filename.startswith("<attrs generated"):
            cls.__repr__ = Part.__repr__  # type: ignore[method-assign]  # to replace it is the purpose

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in names_in_order(self.__class__)]
        return f"{type(self).__name__}({', '.join(shown)})"

    if not TYPE_CHECKING:  # type checkers report a wrong name themselves

        def __getattr__(self, name: str) -> NoReturn:
            """Raise an error that names the right field for a wrong one."""
            if name.startswith("_") or name in attrs.fields_dict(type(self)):
                raise AttributeError(f"{type(self).__name__} has no {name!r}")
            if name in self.extra:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}: use extra[{name!r}]")
            raise AttributeError(_hint_for(type(self), name))

    def to_dict(self) -> dict[str, object]:
        """Return the record or the part as JSON-able data, nested as the record is.

        It leaves out missing links and an empty `invalid`. Days and times are in ISO 8601. Money is a text, because
        JSON numbers lose digits. `extra` and `invalid` are as in the API's JSON, but a number that a float cannot hold
        is a text.
        """
        return dicts.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Return the record or the part from the data that `to_dict` made of it.

        A missing value counts as left out by the API. No value is converted or dropped. Raises ValueError, which names
        the place, for data that `to_dict` does not make.
        """
        return dicts.from_dict(data, cls)


@lru_cache(1000)  # a program may ask for a name again and again, as `getattr` with a default does
def _hint_for(cls: Any, name: str) -> str:
    """Return the text of the error for a field that a record or a part does not have."""
    try:
        parts = [field for field in fields_of(cls) if field.kind == "part"]
    except (NameError, TypeError):  # a class of the user's own that cannot be read
        parts = []
    found = [(part.name, inner) for part in parts for inner in attrs.fields_dict(cast(type[Part], part.part))]
    plain = {inner: f"{part}.{inner}" for part, inner in reversed(found)}
    return hint_for(cls, name, parts={**plain, **{f"{part}_{inner}": f"{part}.{inner}" for part, inner in found}})


@attrs.frozen
class Links(Part):
    """The addresses of a record (`self_`) and of related records; other links are in `extra`.

    `bookings`, `notes`, `customer`, `event`, `venues`, `venue`, `dates`, `date`, `booking` and `seats` are addresses of
    the API. `book_now` is a page for buyers.
    """

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


@attrs.frozen
class Record(Part):
    """Base of all records; a class of your own needs `@attrs.frozen`, an `API_TYPE`, and a line for each attribute.

    `API_TYPE` is the API's `type` of these records. `ID_PREFIX` is the prefix of their ids, if they have one. The type
    of an attribute is `str | None`. In place of `str` it may have `bool`, `int`, `Decimal`, `datetime`, `date`, a class
    made from `Part`, or a tuple of such parts. Its only default is None. It has no alias, converter or validator,
    because the reader sets it. `extra` has the values that have no field. `invalid` has each value that is not of its
    field's type, by the dotted path to the field: `{"lines[3].amount.net": "abc"}`. The field itself is then None.
    """

    API_TYPE: ClassVar[str] = ""
    ID_PREFIX: ClassVar[str] = ""

    id: str
    links: Links = attrs.field(factory=Links, kw_only=True)
    invalid: Mapping[str, object] = attrs.field(default=NOTHING, hash=False, kw_only=True)

    def __init_subclass__(cls) -> None:
        # A class of the user's own must not change how other records are read.
        if cls.__module__.startswith("ticketsource_async.") and cls.API_TYPE:
            RECORD_KINDS[cls.API_TYPE] = cls.ID_PREFIX


class NamedRecord(Record):
    """Base of a record that keeps the names of the attributes it was read from, null or not; see `names_of`.

    The names are not a field. Two records with the same values are equal even if their names differ. A file or a copy
    of a record does not have the names.
    """

    __slots__ = ("_names",)


def names_of(record: NamedRecord) -> tuple[object, ...]:
    """Return the names of the attributes that a record was read from; none if it was not read from a row."""
    found: tuple[object, ...] = getattr(record, "_names", ())
    return found


def check_model(model: object) -> None:
    """Raise TypeError unless this is `dict` or a class of records that rows can be read as."""
    if model is dict:
        return
    if not isinstance(model, type) or not issubclass(model, Record) or not model.API_TYPE:
        raise TypeError(
            f"model must be dict, or a class made from ticketsource_async.Record that has an API_TYPE, not {model!r}"
        )
    _check_fields(model)


def _check_fields(cls: Any, *above: type) -> None:
    """Raise TypeError unless the reader can set all fields of a class; `above` are the classes that it is a part of."""
    if "__attrs_attrs__" not in vars(cls):
        raise TypeError(f"{cls.__name__} needs @attrs.frozen in front of it")
    for name in ("__attrs_pre_init__", "__attrs_post_init__"):
        if hasattr(cls, name):
            raise TypeError(f"{cls.__name__} has {name}, which would not run: the reader sets the fields")
    base = Record if issubclass(cls, Record) else Part
    own = [field for field in attrs.fields(cls) if field.name not in attrs.fields_dict(base)]
    _check_names(cls, base, [field.name for field in own])
    try:
        hints, fields = get_type_hints(cls), fields_of(cls)
    except (NameError, TypeError) as error:
        raise TypeError(f"the annotations of {cls.__name__} cannot be used: {error}") from None
    for field in own:
        if wrong := _field_problem(field, hints[field.name], base):
            raise TypeError(f"{cls.__name__}.{field.name} {wrong}")
    for name, part in [(f"{cls.__name__}.{field.name}", field.part) for field in fields if field.part is not None]:
        if not issubclass(part, Part) or issubclass(part, Record):
            raise TypeError(f"{name}: {part.__name__} must be a class made from ticketsource_async.Part")
        if part in (cls, *above):
            raise TypeError(f"{name}: a part cannot hold itself; leave the field out and use `extra`")
        _check_fields(part, cls, *above)


def _check_names(cls: Any, base: type, names: list[str]) -> None:
    """Raise TypeError if a field would hide an attribute of all records or parts, or another field."""
    redefined = [
        name for kind in cls.__mro__[: cls.__mro__.index(base)] for name in vars(kind).get("__annotations__", ())
    ]
    for name in [*names, *(name for name in redefined if name in attrs.fields_dict(base))]:
        if name in Record.__annotations__.keys() - NOT_ATTRIBUTES:
            raise TypeError(f"{cls.__name__}.{name} must have no annotation: it belongs to the class, not to a record")
        if hasattr(base, name) or name in NOT_ATTRIBUTES:
            what = "every record has an attribute of this name; leave the field out and use `extra`"
            raise TypeError(f"{cls.__name__}.{name}: {what}")
        if name.startswith("_"):
            raise TypeError(f"{cls.__name__}.{name} cannot begin with an underscore: the API has no such names")
        if name.endswith("_") and name.rstrip("_") in names:
            raise TypeError(f"{cls.__name__}.{name} and {name.rstrip('_')} are the same attribute of the API")


def _field_problem(field: "attrs.Attribute[Any]", hint: object, base: type) -> str:
    """Return why the reader cannot set a field as it is declared; an empty text if it can."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    is_tuple = len(kinds) == 1 and get_origin(kinds[0]) is tuple
    has_default = field.default is None or (base is Record and field.default is attrs.NOTHING)
    wrong = {
        "must be annotated with `| None`: a value that cannot be read is None": type(None) not in get_args(hint),
        "must have one type besides None": len(kinds) > 1,
        "must be a tuple of any length, as in `tuple[Line, ...] | None`": is_tuple and ... not in get_args(kinds[0]),
        "needs `= None`: a value that the API leaves out is None": not has_default,
        "has a converter or a validator, which would not run: the reader sets the field": field.converter is not None
        or field.validator is not None,
        "has an alias: it must have the name of the attribute in the API": field.alias != field.name,
        "has `init=False`: a copy with other values would lose it": not field.init,
    }
    return next((why for why, is_wrong in wrong.items() if is_wrong), "")


@attrs.frozen
class Address(Part):
    """A postal address; the API has no field for a town or a country."""

    line_1: str | None = None
    line_2: str | None = None
    line_3: str | None = None
    line_4: str | None = None
    postcode: str | None = None


@attrs.frozen
class Consent(Part):
    """Whether the customer may be contacted by `email`, by `post` and by `sms`.

    None is neither yes nor no: never take it for a yes.
    """

    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None


def last_segment(link: str | None) -> str | None:
    """Return the id at the end of a link; None without a link, and for a link that is no address."""
    try:
        return urlsplit(link).path.rpartition("/")[2] or None if link else None
    except ValueError:
        return None
