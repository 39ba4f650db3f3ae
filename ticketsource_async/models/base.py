"""What all records are made of: the base, links, and the parts that more than one of them has."""

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self
from urllib.parse import urlsplit

import attrs

from ticketsource_async.models import dicts
from ticketsource_async.models.values import NOTHING, RECORD_KINDS


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given. None would not do: an attribute sent as null is cleared, one that is not sent stays as it is."""


def unknown() -> Any:
    """Return the field for attributes that this library does not know."""
    # Not part of the hash: a dict has none, and a MappingProxyType, which has, cannot be pickled.
    return attrs.field(default=NOTHING, hash=False)


def unreadable() -> Any:
    """Return the field for the values that could not be read."""
    return attrs.field(default=NOTHING, hash=False)


class Record:
    """Base of all that the API returns, and of its parts.

    The class of a whole record has the API's `type` and the prefix of its ids. Its `invalid` has each value that is not
    what its field promises, by the dotted path to the field, which is None then: `{"lines[3].amount.net": "abc"}`.
    """

    __slots__ = ()

    API_TYPE: ClassVar[str] = ""
    ID_PREFIX: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.API_TYPE:
            RECORD_KINDS[cls.API_TYPE] = cls.ID_PREFIX

    def to_dict(self) -> dict[str, object]:
        """Return the record as JSON-able data, nested as the record is.

        It leaves out missing links and an empty `invalid`. Dates and times are in ISO 8601;
        money is the text of its number, as written: JSON's own would not keep it. What is in `extra` and `invalid` is
        as the API has it in its JSON, but a number that a float cannot keep is a text.
        """
        return dicts.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Return the record that `to_dict` gave this of; what is left out counts as left out by the API.

        Raises ValueError, naming the place, for what `to_dict` does not give: nothing is coerced, nothing dropped.
        """
        return dicts.from_dict(data, cls)


class WholeRecord(Protocol):
    """What a record has that is not a part of another."""

    API_TYPE: ClassVar[str]
    ID_PREFIX: ClassVar[str]

    @property
    def id(self) -> str:
        """The id, as the API sends it."""
        ...

    @property
    def invalid(self) -> Mapping[str, object]:
        """What could not be read, by its path."""
        ...


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
