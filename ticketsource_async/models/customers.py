"""Customers, the notes on them, and the drafts of both."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, ClassVar, Self

import attrs

from ticketsource_async._mistakes import ExplainsOptions, await_first
from ticketsource_async.errors import UnreadableValue
from ticketsource_async.models.base import (
    UNSET,
    Address,
    Consent,
    NamedRecord,
    Part,
    Record,
    Unset,
    last_segment,
)
from ticketsource_async.models.reader import also_named
from ticketsource_async.models.values import NOTHING


@attrs.frozen
class Membership(Part):
    """A membership; its dates are calendar days without a time zone."""

    identifier: str | None = None
    """The number or name of the membership."""
    start_date: date | None = None
    """The first day."""
    end_date: date | None = None
    """The last day."""


@attrs.frozen
class Customer(NamedRecord):
    """A customer. TicketSource no longer uses `title`. `extra` has the attributes that have no field here."""

    API_TYPE: ClassVar[str] = "customer"
    ID_PREFIX: ClassVar[str] = "cst-"

    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address: Address | None = None
    telephone: str | None = also_named("phone")
    email: str | None = None
    membership: Membership | None = None
    consent: Consent | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen
class Note(Record):
    """A note that staff keep on a customer."""

    API_TYPE: ClassVar[str] = "customer_note"
    ID_PREFIX: ClassVar[str] = "csn-"

    description: str | None = None
    """The text."""
    created_by: str | None = None
    """The name of the person who wrote it."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def customer_id(self) -> str | None:
        """The id of the customer of the note, read from `links.customer`; None without that link."""
        return last_segment(self.links.customer)


def _of_type(*types: type) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    # The check is strict on purpose: a server could read the string "false" in a consent as a yes.
    def check(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None or value is UNSET:
            return
        name = f"{type(instance).__name__}.{attribute.name}"
        # A datetime is a date, but is sent as another text.
        if not isinstance(value, types) or isinstance(value, datetime):
            wanted = " or ".join(t.__name__ for t in types)
            raise TypeError(f"{name} takes {wanted}, None or UNSET, not {type(value).__name__}{await_first(value)}")
        if isinstance(value, _Draft) and not value:
            raise ValueError(f"{name} has nothing set: leave it UNSET to keep what is there, or pass None to clear it")

    return check


class _Draft(ExplainsOptions):
    __slots__ = ()

    API_TYPE: ClassVar[str] = ""

    def __bool__(self) -> bool:
        """Say whether anything is set."""
        return any(getattr(self, f.name) is not UNSET for f in attrs.fields(type(self)))  # type: ignore[arg-type]  # each draft is an attrs class


@attrs.frozen
class AddressDraft(_Draft):
    """The parts of an address to send."""

    line_1: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    line_2: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    line_3: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    line_4: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    postcode: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))


@attrs.frozen
class MembershipDraft(_Draft):
    """The parts of a membership to send; the API takes at most 20 characters as `identifier`."""

    identifier: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    start_date: date | Unset | None = attrs.field(default=UNSET, validator=_of_type(date))
    end_date: date | Unset | None = attrs.field(default=UNSET, validator=_of_type(date))


@attrs.frozen
class ConsentDraft(_Draft):
    """The consents to send: whether the customer may be contacted by `email`, by `post` and by `sms`."""

    email: bool | Unset | None = attrs.field(default=UNSET, validator=_of_type(bool))
    post: bool | Unset | None = attrs.field(default=UNSET, validator=_of_type(bool))
    sms: bool | Unset | None = attrs.field(default=UNSET, validator=_of_type(bool))


@attrs.frozen
class CustomerDraft(_Draft):
    """The fields of a customer to send. A field that is UNSET is not sent; None is sent as null.

    The draft is false while nothing is set. None counts as set: a draft whose fields are all None creates a customer
    without any data. It is not known whether the API merges a nested object that is sent in part
    into its own or replaces its own. To be sure, send `address`, `membership` and `consent` whole. The fields also take
    `Address`, `Membership` and `Consent`, which send all their fields.
    """

    API_TYPE: ClassVar[str] = "customer"

    title: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    first_name: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    last_name: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    address: AddressDraft | Address | Unset | None = attrs.field(
        default=UNSET, validator=_of_type(AddressDraft, Address)
    )
    email: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    telephone: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str), metadata={"sent_as": "phone"})
    membership: MembershipDraft | Membership | Unset | None = attrs.field(
        default=UNSET, validator=_of_type(MembershipDraft, Membership)
    )
    consent: ConsentDraft | Consent | Unset | None = attrs.field(
        default=UNSET, validator=_of_type(ConsentDraft, Consent)
    )

    @classmethod
    def diff(cls, before: Customer, after: Customer) -> Self:
        """Return the draft that turns `before` into `after`; it is false if there is nothing to send.

        An address, membership or consent that differs anywhere is sent whole, with its `extra`. Values that the API
        does not let us write (id, times, links, `extra`) are not compared. An empty part equals None. Raises
        `UnreadableValue` in two cases: a part that is sent would clear a value that could not be read, or `after` drops
        such a value of `before` and has no new one.
        """
        check_customers(before, after)
        changes: dict[str, Any] = {}
        for name in attrs.fields_dict(cls):
            if _writable(getattr(before, name)) != _writable(getattr(after, name)):
                changes[name] = getattr(after, name)
        draft = cls(**changes)
        for customer in (before, after):
            check_unreadable(customer, draft)
        for path in before.invalid.keys() - after.invalid.keys():
            name, _, inner = path.partition(".")
            if name in attrs.fields_dict(cls) and _value_at(after, path) is None:
                raise UnreadableValue(
                    f"{path} of {before.id} could not be read, so None does not clear it. To clear it, send "
                    f"{_draft_of(name, f'{inner}=None') if inner else f'CustomerDraft({name}=None)'}; to keep it, "
                    "leave it in `invalid`.",
                    before.id,
                    path,
                )
        return draft


def _writable(value: object) -> object:
    """Return a value without the data that the API does not let us write; an empty part is None."""
    if not isinstance(value, Address | Membership | Consent):
        return value
    bare = attrs.evolve(value, extra=NOTHING)
    return None if bare == type(bare)() else bare


def check_customers(*given: object) -> None:
    """Raise TypeError unless all arguments are customers."""
    for value in given:
        if not isinstance(value, Customer):
            raise TypeError(f"this call takes two customers, not {type(value).__name__}{await_first(value)}")


def check_unreadable(customer: Customer, draft: CustomerDraft) -> None:
    """Raise `UnreadableValue` if a part of a draft would destroy a value of the customer that could not be read."""
    for path in customer.invalid:
        name, _, inner = path.partition(".")
        part = getattr(draft, name, UNSET)
        if not isinstance(part, Part) or (inner and getattr(part, inner, None) is not None):
            continue
        if inner:
            what = f"its {inner} could not be read, and would be cleared. Set {inner} too"
        else:
            what = f"it could not be read, and would be replaced. To replace it, send {_draft_of(name, '...')}"
        hint = "; to change one consent, send CustomerDraft(consent=ConsentDraft(email=False))"
        raise UnreadableValue(
            f"{name} of {customer.id} cannot be sent whole: {what}{hint if name == 'consent' else ''}. Or correct it "
            "in TicketSource first.",
            customer.id,
            path,
        )


def _value_at(customer: Customer, path: str) -> object:
    value: object = customer
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _draft_of(part: str, given: str) -> str:
    """Return the code for the draft of a part of a customer."""
    return f"CustomerDraft({part}={part.title()}Draft({given}))"


@attrs.frozen
class NoteDraft(_Draft):
    """A note to add to a customer; the API cannot change a note afterwards."""

    API_TYPE: ClassVar[str] = "customer_note"

    description: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
    created_by: str | Unset | None = attrs.field(default=UNSET, validator=_of_type(str))
