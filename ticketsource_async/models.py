"""What the API returns (records) and what is sent to it (drafts).

Plain values: nothing here reads JSON, knows an envelope or talks to anybody. `_wire/converters.py` does the mapping.
"""

import enum
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final, Self
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


def _extra() -> Any:
    # Not part of the hash: a dict has none, and a MappingProxyType, which has, cannot be pickled.
    return attrs.field(factory=dict, hash=False)


class _Record:
    __slots__ = ()

    def to_dict(self) -> dict[str, object]:
        """Return the record as JSON-able data, nested as the record is; dates and times in ISO 8601."""

        def serialize(_instance: object, _field: object, value: object) -> object:
            return value.isoformat() if isinstance(value, date) else value

        data = attrs.asdict(self, value_serializer=serialize)  # type: ignore[arg-type]  # every subclass is attrs
        if "links" in data:
            data["links"] = {"self" if k == "self_" else k: v for k, v in data["links"].items()}
        return data


@attrs.frozen
class Links(_Record):
    """Addresses of a record (`self_`) and of what belongs to it; links without a field of their own are in `extra`."""

    self_: str | None = None
    bookings: str | None = None
    notes: str | None = None
    customer: str | None = None
    extra: Mapping[str, object] = _extra()


@attrs.frozen
class Address(_Record):
    """A postal address; the API has no field for a town or a country."""

    line_1: str | None = None
    line_2: str | None = None
    line_3: str | None = None
    line_4: str | None = None
    postcode: str | None = None
    extra: Mapping[str, object] = _extra()


@attrs.frozen
class Membership(_Record):
    """A membership; the dates are the calendar days as written, whatever time or zone the API added."""

    identifier: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    extra: Mapping[str, object] = _extra()


@attrs.frozen
class Consent(_Record):
    """What the customer may be contacted by; None is neither yes nor no, so never take it for a yes."""

    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None
    extra: Mapping[str, object] = _extra()


@attrs.frozen
class Customer(_Record):
    """A customer; `title` is no longer used by TicketSource, `extra` keeps what this library does not know."""

    id: str
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address: Address | None = None
    telephone: str | None = None
    email: str | None = None
    membership: Membership | None = None
    consent: Consent | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    links: Links = attrs.field(factory=Links)
    extra: Mapping[str, object] = _extra()


@attrs.frozen
class Note(_Record):
    """A note that staff keep on a customer."""

    id: str
    description: str | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    links: Links = attrs.field(factory=Links)
    extra: Mapping[str, object] = _extra()

    @property
    def customer_id(self) -> str | None:
        """The customer the note is on, read from `links.customer`; None without that link."""
        return _last_segment(self.links.customer)


def _last_segment(link: str | None) -> str | None:
    return urlsplit(link).path.rpartition("/")[2] or None if link else None


def _only(*types: type) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    # Strict on purpose: the string "false" sent as a consent could be read as a yes.
    def check(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None or value is UNSET:
            return
        name = f"{type(instance).__name__}.{attribute.name}"
        if not isinstance(value, types) or isinstance(
            value, datetime
        ):  # a datetime is a date, but is sent as another text
            wanted = " or ".join(t.__name__ for t in types)
            raise TypeError(f"{name} takes {wanted}, None or UNSET, not {type(value).__name__}")
        if isinstance(value, _Draft) and not value:
            raise ValueError(f"{name} has nothing set: leave it UNSET to keep what is there, or pass None to clear it")

    return check


class _Draft:
    __slots__ = ()

    def __bool__(self) -> bool:
        """Say whether anything is set."""
        return any(getattr(self, f.name) is not UNSET for f in attrs.fields(type(self)))  # type: ignore[arg-type]  # as above


@attrs.frozen
class AddressDraft(_Draft):
    """The parts of an address to send."""

    line_1: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    line_2: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    line_3: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    line_4: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    postcode: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))


@attrs.frozen
class MembershipDraft(_Draft):
    """The parts of a membership to send; the API takes at most 20 characters as `identifier`."""

    identifier: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    start_date: date | Unset | None = attrs.field(default=UNSET, validator=_only(date))
    end_date: date | Unset | None = attrs.field(default=UNSET, validator=_only(date))


@attrs.frozen
class ConsentDraft(_Draft):
    """The consents to send."""

    email: bool | Unset | None = attrs.field(default=UNSET, validator=_only(bool))
    post: bool | Unset | None = attrs.field(default=UNSET, validator=_only(bool))
    sms: bool | Unset | None = attrs.field(default=UNSET, validator=_only(bool))


@attrs.frozen
class CustomerDraft(_Draft):
    """What to send of a customer: what is UNSET is not sent, None is sent as null.

    It is false while nothing is set. Whether the API merges a nested object that is sent in part into what it has, or
    replaces it, is not known: to be sure, send `address`, `membership` and `consent` whole; `Address`, `Membership` and
    `Consent` are taken too and send all their fields. `phone` comes back as `telephone`.
    """

    title: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    first_name: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    last_name: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    address: AddressDraft | Address | Unset | None = attrs.field(default=UNSET, validator=_only(AddressDraft, Address))
    email: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    phone: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    membership: MembershipDraft | Membership | Unset | None = attrs.field(
        default=UNSET, validator=_only(MembershipDraft, Membership)
    )
    consent: ConsentDraft | Consent | Unset | None = attrs.field(default=UNSET, validator=_only(ConsentDraft, Consent))

    @classmethod
    def diff(cls, before: Customer, after: Customer) -> Self:
        """Return the draft that turns `before` into `after`; it is false if there is nothing to send.

        An address, membership or consent in which anything differs goes whole. What the API does not let us write (id,
        times, links, `extra`) is not compared.
        """
        changes: dict[str, Any] = {}
        for name in ("title", "first_name", "last_name", "email"):
            if getattr(before, name) != getattr(after, name):
                changes[name] = getattr(after, name)
        if before.telephone != after.telephone:
            changes["phone"] = after.telephone
        for name in ("address", "membership", "consent"):
            if _sent(getattr(before, name)) != _sent(getattr(after, name)):
                changes[name] = getattr(after, name)
        return cls(**changes)


def _sent(nested: Address | Membership | Consent | None) -> Address | Membership | Consent | None:
    return None if nested is None else attrs.evolve(nested, extra={})


@attrs.frozen
class NoteDraft(_Draft):
    """A note to add to a customer; the API has no way to change one afterwards."""

    description: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
    created_by: str | Unset | None = attrs.field(default=UNSET, validator=_only(str))
