"""The changes that a loop over `customers.changes` yields, and the comparison that finds them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from attrs import frozen

from ticketsource_async.models import Customer
from ticketsource_async.models.base import Part, names_in_order, names_of
from ticketsource_async.models.reader import fields_of
from ticketsource_async.sync.store import CustomerStore, Stored


@frozen
class Created:
    """A customer who is not in the store yet.

    If the change was not acknowledged, it is yielded again. The customer may then differ from the first time.
    `consent_changed` is True only if an earlier loop yielded the customer, that change was not acknowledged, and a
    consent has changed since.
    """

    customer: Customer
    """The customer as they are now."""
    consent_changed: bool = False

    @property
    def kind(self) -> Literal["created"]:
        """The kind of change."""
        return "created"

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.customer.id

    @property
    def before(self) -> None:
        """Always None: the store does not have the customer."""
        return

    @property
    def after(self) -> Customer:
        """The customer as they are now."""
        return self.customer

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": self.kind,
            "id": self.id,
            "consent_changed": self.consent_changed,
            "customer": self.customer.to_dict(),
        }


@frozen
class Updated:
    """A customer who differs from the store in `fields`, such as "email", "consent.post" or "extra.vip".

    If a whole part such as the address is new or gone, `fields` has only its name: "address". Links are not compared.

    A field that cannot be read now is in `after.invalid`. It is not in `fields`, unless it is a consent. So apply only
    `fields`: then an unreadable value does not clear what you have. If nothing else differs, `fields` is empty.
    """

    before: Customer
    """The customer as the store has them."""
    after: Customer
    """The customer as they are now."""
    fields: tuple[str, ...]

    @property
    def kind(self) -> Literal["updated"]:
        """The kind of change."""
        return "updated"

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.after.id

    @property
    def consent_changed(self) -> bool:
        """Whether a consent differs: deal with these changes first."""
        return _have_consent(self.fields)

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": self.kind,
            "id": self.id,
            "fields": list(self.fields),
            "consent_changed": self.consent_changed,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


@frozen
class Erased:
    """A customer whose name, e-mail, telephone and address are all empty now.

    The answer to the call by id decides: it has all of these fields, and each is empty. The call is made for a customer
    who has none of them in the list, or who is not in the list. It is not made for a customer who has one of them in
    the list.

    TicketSource erases a person for good when the retention period ends; the bookings stay. Remove the person's data
    from your system too. An erased customer is not asked for again, so a later deletion is not yielded.

    If the answer leaves one of these fields out, the customer is yielded as `Updated`. When that is acknowledged, the
    customer is not yielded as `Erased` later. So if `after` of an `Updated` has none of these fields, treat the person
    as erased.

    The API's documentation does not say how an erased customer looks. A placeholder such as "Anonymised" is not
    recognised: the customer is yielded as `Updated`. A customer whom the API does not know any more is yielded as
    `Deleted`.
    """

    before: Customer
    """The customer as the store had them."""
    after: Customer
    """The customer as they are now."""

    @property
    def kind(self) -> Literal["erased"]:
        """The kind of change."""
        return "erased"

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.after.id

    @property
    def consent_changed(self) -> Literal[True]:
        """Always true: you may not contact an erased person, even if the consents say yes."""
        return True

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": self.kind,
            "id": self.id,
            "consent_changed": self.consent_changed,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


@frozen
class Deleted:
    """A customer in the store for whom the call by id says that there is no such customer.

    The API does not say why. Somebody may have deleted the customer. TicketSource may have erased the person after the
    retention period. Or two records of one person were merged, and this one is gone. In each case you may not contact
    the customer by this record.

    `same_contact`: ids of customers still in TicketSource with the same e-mail, or the same telephone and surname. One
    of them may be the record that is left after a merge, or another person of the household. So copy nothing from one
    to the other, least of all a consent.

    `ignored_contacts`: how many contacts of the customer are shared by more than 10 customers, such as the e-mail of a
    venue. A customer who shares only such a contact is not in `same_contact`.
    """

    before: Customer
    """The customer as the store had them."""
    same_contact: tuple[str, ...] = ()
    ignored_contacts: int = 0

    @property
    def kind(self) -> Literal["deleted"]:
        """The kind of change."""
        return "deleted"

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.before.id

    @property
    def after(self) -> None:
        """Always None: there is no such customer."""
        return

    @property
    def consent_changed(self) -> bool:
        """Always false. But you may not contact a deleted customer either, so deal with these changes first too."""
        return False

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": self.kind,
            "id": self.id,
            "before": self.before.to_dict(),
            "same_contact": list(self.same_contact),
            "ignored_contacts": self.ignored_contacts,
        }


Change = Created | Updated | Deleted | Erased
"""A change of a customer: `Created`, `Updated`, `Deleted` or `Erased`."""


@frozen
class Found:
    """A change, and all fields that the consumer may have in an old version.

    `became_empty` says that the record had personal data and has none now.
    """

    change: Change
    fields: Sequence[str] = ()
    became_empty: bool = False


async def changes_of(store: CustomerStore, customers: Sequence[Customer]) -> list[Found]:
    """Return what changed in these customers. Note the others who have no personal data."""
    found = [one for stored in await store.differing(customers) if (one := _change_of(stored)) is not None]
    changed = {one.change.id for one in found}
    if empty := [customer.id for customer in customers if _is_empty(customer) and customer.id not in changed]:
        await store.mark_empty(empty)
    return found


async def store_pending(store: CustomerStore, sync_run: int, found: Sequence[Found]) -> list[Change]:
    """Note the changes as pending, and return them.

    If the loop ends, the consumer may or may not have dealt with its last change. Since the change is pending, the next
    loop yields the customer again, even if they are as before by then, or gone.
    """
    if found:
        store.check_latest(sync_run)
        empty = [one.change.id for one in found if one.change.after is not None and _is_empty(one.change.after)]
        await store.mark_pending([(one.change, one.fields) for one in found], empty)
    return [one.change for one in found]


def _change_of(stored: Stored) -> Found | None:
    now, new = stored.now, stored.record is None or stored.deleted
    # A consumer that has not dealt with a deletion still has the data, which are empty now.
    versions_before = [stored.pending] if new and not _is_empty(now) else [stored.record, stored.pending]
    differing = [name for before in versions_before if before is not None for name in _differing(before, now)]
    if stored.pending is None and stored.record is not None and _is_empty(stored.record) and _is_empty(now):
        differing = [name for name in differing if not _is_personal(name)]  # null and "" are both nothing
    fields = tuple(dict.fromkeys((*stored.fields, *differing)))
    before = stored.pending if stored.pending is not None and stored.record == now else stored.record
    had_personal_data = any(one is not None and not _is_empty(one) for one in (stored.record, stored.pending))
    became_empty = _is_empty(now) and (had_personal_data or any(map(_is_personal, stored.fields)))
    if became_empty and _is_erased(now):
        full = before or stored.pending
        assert full is not None  # noqa: S101 - else there would be no fields
        return Found(Erased(full, now), fields, became_empty)
    if new:
        return Found(Created(now, _have_consent(fields)), fields, became_empty)
    if stored.pending is None and not fields and not _has_become_unreadable(stored):
        return None
    assert before is not None  # noqa: S101 - else they are new
    readable = tuple(dict.fromkeys(part for name in fields for part in _readable_fields(now, name)))
    return Found(Updated(before, now, readable), fields, became_empty)


_PERSONAL: Final = ("first_name", "last_name", "address", "telephone", "email")


def _is_personal(path: str) -> bool:
    return path.partition(".")[0] in _PERSONAL


def _is_empty(customer: Customer) -> bool:
    """Say whether a customer has no name, address, telephone or e-mail, and none that cannot be read."""
    nothing = all(_is_nothing(getattr(customer, name)) for name in _PERSONAL)
    return nothing and not any(map(_is_personal, customer.invalid))


def _is_erased(empty: Customer) -> bool:
    """Say whether the answer has every personal field of an empty customer. A missing field may have a value."""
    names = names_of(empty)
    telephone = "telephone" in names or "phone" in names
    return telephone and all(name in names for name in ("first_name", "last_name", "address", "email"))


def _is_nothing(value: object) -> bool:
    if isinstance(value, Part):
        return all(_is_nothing(getattr(value, name)) for name in names_in_order(value.__class__))
    if isinstance(value, Mapping):
        return all(map(_is_nothing, value.values()))
    return value is None or value == ""


def _have_consent(fields: Iterable[str]) -> bool:
    return any(map(_is_consent, fields))


def _is_consent(path: str) -> bool:
    return path.partition(".")[0] == "consent"


def _differing(before: Customer, after: Customer) -> Iterator[str]:
    """Yield the fields that differ and can be applied.

    A field that could not be read before, and can be read now, counts as different.
    """
    unreadable = [path for path in before.invalid if _is_compared(path)]
    # A consent that cannot be read now is a change only if it could be read before or its raw value differs.
    unreadable = [path for path in unreadable if not (_is_consent(path) and _overlaps(after.invalid, path))]
    different = [
        name for path in _different_paths(before, after, after.invalid) for name in _readable_fields(after, path)
    ]
    yield from different
    for path in unreadable:
        for name in _readable_fields(after, path):
            if not _overlaps(different, name):
                different.append(name)
                yield name


def _readable_fields(after: Customer, name: str) -> Iterator[str]:
    """Yield a field that differs, unless it cannot be read now and is no consent.

    If a value in a part cannot be read, yield the readable fields of the part one by one.
    """
    if _is_consent(name) or not _overlaps(after.invalid, name):
        yield name
    elif not any(f"{name}.".startswith(f"{path}.") for path in after.invalid):
        part = getattr(after, name)
        names = [*(f.name for f in fields_of(part.__class__)), *(f"extra.{key}" for key in part.extra)]
        yield from (f"{name}.{inner}" for inner in names if f"{name}.{inner}" not in after.invalid)


def _has_become_unreadable(stored: Stored) -> bool:
    """Say whether a field cannot be read now and could be read before."""
    before = stored.record
    assert before is not None  # noqa: S101 - else they are new
    return any(path not in before.invalid and _is_compared(path) for path in stored.now.invalid)


def _is_compared(path: str) -> bool:
    return path.partition(".")[0] not in ("type", "links")


def _overlaps(paths: Iterable[str], name: str) -> bool:
    """Say whether `paths` has a field, the part that contains it, or a field in it."""
    return any(f"{path}.".startswith(f"{name}.") or f"{name}.".startswith(f"{path}.") for path in paths)


def _different_paths(before: Part, after: Part, invalid: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for field in names_in_order(after.__class__):
        old, new = getattr(before, field), getattr(after, field)
        if old == new or field in ("links", "invalid"):
            continue
        name = f"{prefix}{field}"
        part = new if isinstance(new, Part) else old
        if isinstance(part, Part):
            nothing = type(part)()
            whole = old is None or new is None
            old, new = (nothing if value is None else value for value in (old, new))
            # A part that is new or gone is yielded by its own name, unless a value in it could not be read.
            if whole and old != new and not (new != nothing and _overlaps(invalid, name)):
                yield name
            else:
                yield from _different_paths(old, new, invalid, f"{name}.")
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from (f"{name}.{key}" for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT))
        else:
            yield name


_ABSENT: Final = object()
