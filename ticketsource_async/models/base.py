"""What all records are made of: the base, links, and the parts that more than one of them has."""

import enum
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, NoReturn
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
        written: JSON's own would not keep it.
        """

        def serialize(_instance: object, _field: object, value: object) -> object:
            if isinstance(value, Decimal):
                return str(value)
            return value.isoformat() if isinstance(value, date) else value

        data = attrs.asdict(self, value_serializer=serialize)  # type: ignore[arg-type]  # every subclass is attrs
        if "links" in data:
            data["links"] = {"self" if k == "self_" else k: v for k, v in data["links"].items() if v is not None}
        return data


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
