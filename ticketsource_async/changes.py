"""What changed among the customers since last time, for keeping another system in step.

The API can tell nothing of that, so every loop reads the whole list and compares it with what a `CustomerStore`
remembers.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import attrs
from attrs import frozen

from ticketsource_async.errors import InvalidResponse, NotFound, ServerError, TicketSourceError
from ticketsource_async.models import Customer
from ticketsource_async.models.base import Record

if TYPE_CHECKING:
    from ticketsource_async._wire.protocol import Access
    from ticketsource_async.customer_store import CustomerStore, Remembered
    from ticketsource_async.pagination import OnInvalid
    from ticketsource_async.resources import Customers

_PAGES_AT_A_TIME: Final = 4
_ROWS_A_PAGE: Final = 100
_SERVER_ERRORS_AT_MOST: Final = 20  # more of them are no matter of single customers


@frozen
class Created:
    """A customer who is not remembered: a new one, or one whom the store has not met yet.

    One that comes again, since its first coming was not remembered, may differ from that: in a consent as well, which
    `consent_changed` says.
    """

    customer: Customer
    consent_changed: bool = False

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.customer.id

    @property
    def after(self) -> Customer:
        """The customer as they are now."""
        return self.customer

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": "created",
            "id": self.id,
            "consent_changed": self.consent_changed,
            "customer": self.customer.to_dict(),
        }


@frozen
class Updated:
    """A customer who differs from what is remembered in `fields`, such as "email", "consent.post" or "extra.vip".

    Where a whole part came or went, its name alone is there: "address". Links are not compared. A field that cannot be
    read now is in `after.invalid` and, unless it is a consent, not in `fields`: apply `fields` only, so that what could
    not be read does not clear what you have. `fields` is empty if nothing else differs.
    """

    before: Customer
    after: Customer
    fields: tuple[str, ...]

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.after.id

    @property
    def consent_changed(self) -> bool:
        """Whether a consent was given or withdrawn, or is told otherwise: deal with these first."""
        return _have_consent(self.fields)

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {
            "change": "updated",
            "id": self.id,
            "fields": list(self.fields),
            "consent_changed": self.consent_changed,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


@frozen
class Deleted:
    """A customer who is remembered and whom the API, asked by id, does not know any more."""

    before: Customer

    @property
    def id(self) -> str:
        """The customer's id."""
        return self.before.id

    @property
    def after(self) -> None:
        """Nothing."""
        return

    @property
    def consent_changed(self) -> bool:
        """Never true; but whoever is deleted may not be contacted either, so deal with them first too."""
        return False

    def to_dict(self) -> dict[str, object]:
        """Return the change as JSON-able data."""
        return {"change": "deleted", "id": self.id, "before": self.before.to_dict()}


Change = Created | Updated | Deleted


async def changes(
    customers: "Customers", access: "Access", store: "CustomerStore", *, remember: bool, on_invalid: "OnInvalid"
) -> AsyncGenerator[Change, None]:
    """Yield what changed since the store was told last; see `Customers.changes`."""
    await store.check(access)
    crawl = await store.start_crawl()
    try:
        # Rows shift while one reads, so whoever was not met is asked for before anybody believes they are gone.
        for found in (
            _crawled(customers, access, store, crawl, remember, on_invalid),
            _missed(customers, store, crawl, on_invalid),
        ):
            async with aclosing(found):
                async for change in found:
                    store.check_latest(crawl)
                    if not remember:
                        store.hand_out(change)
                    yield change
                    if remember:
                        await store.remember(change)
    finally:
        await store.end_crawl(crawl)


async def _crawled(
    customers: "Customers",
    access: "Access",
    store: "CustomerStore",
    crawl: int,
    remember: bool,
    on_invalid: "OnInvalid",
) -> AsyncGenerator[Change, None]:
    unreadable: list[str] = []

    def skip(error: InvalidResponse) -> None:
        if error.id is not None:
            unreadable.append(error.id)  # they are there, so there is nobody to ask for
        if callable(on_invalid):
            on_invalid(error)

    listed = customers.list(
        per_page=_ROWS_A_PAGE, concurrency=_PAGES_AT_A_TIME, on_invalid=skip if callable(on_invalid) else "raise"
    )
    async with aclosing(listed.pages()) as pages:
        async for page in pages:
            if page.number == 1:  # an answer that shows the key to be one
                await store.bind(access)
            first_time = await store.see(crawl, [*(customer.id for customer in page.items), *unreadable])
            unreadable.clear()
            # Whoever comes again may have changed since; but a change that is not remembered yet would come twice.
            met = [c for c, first in zip(page.items, first_time, strict=False) if first or remember]
            for change in await _told(store, crawl, met):
                yield change


async def _missed(
    customers: "Customers", store: "CustomerStore", crawl: int, on_invalid: "OnInvalid"
) -> AsyncGenerator[Change, None]:
    first_failure: TicketSourceError | None = None
    failed = server_errors = 0
    async with aclosing(customers.get_many(store.unseen(crawl))) as asked:
        async for outcome in asked:
            before, error = outcome.input, outcome.error
            if error is None:
                for change in await _told(store, crawl, [outcome.unwrap()]):
                    yield change
            elif isinstance(error, NotFound) and error.is_from_api:
                store.check_latest(crawl)
                await store.tell([(deleted := Deleted(before), ())])
                yield deleted
            elif isinstance(error, InvalidResponse) and callable(on_invalid):
                on_invalid(error)
            elif isinstance(error, NotFound | ServerError | InvalidResponse):
                first_failure = first_failure or error  # it is of this one: the others are told first
                failed += 1
                server_errors += isinstance(error, ServerError)
                if server_errors > _SERVER_ERRORS_AT_MOST:
                    error.add_note(f"{failed} customers could not be asked for, so the others were not.")
                    raise error
            else:
                raise error
    if first_failure is not None:
        raise first_failure


async def _told(store: "CustomerStore", crawl: int, customers: Sequence[Customer]) -> list[Change]:
    """Return what changed in these, after noting that it is told.

    Else a consumer that ends with a change in hand, dealt with or not, would never hear that it was taken back: when it
    is told next time, the customer may be as before, or gone.
    """
    found: list[tuple[Change, Sequence[str]]] = []
    for known in await store.remembered(customers):
        new = known.record is None or known.deleted
        befores = [known.told] if new else [known.record, known.told]
        differing = [name for before in befores if before is not None for name in _differing(before, known.now)]
        fields = tuple(dict.fromkeys((*known.fields, *differing)))
        if new:
            found.append((Created(known.now, _have_consent(fields)), fields))
        elif known.told is not None or fields or _newly_unreadable(known):
            before = known.told if known.told is not None and known.record == known.now else known.record
            assert before is not None  # noqa: S101 - else they are new
            readable = tuple(name for name in fields if _is_told(known.now, name))
            found.append((Updated(before, known.now, readable), fields))
    if found:
        store.check_latest(crawl)
        await store.tell(found)
    return [change for change, _ in found]


def _have_consent(fields: Iterable[str]) -> bool:
    return any(field.partition(".")[0] == "consent" for field in fields)


def _differing(before: Customer, after: Customer) -> Iterator[str]:
    """Yield the fields in which a customer differs.

    A field that cannot be read now is not among them, unless it is a consent; one that could not be read before is.
    """
    told = [name for name in _different_paths(before, after, after.invalid) if _is_told(after, name)]
    yield from told
    for path in before.invalid:
        if _is_compared(path) and not _touches(told, path) and not _touches(after.invalid, path):
            yield path


def _newly_unreadable(known: "Remembered") -> bool:
    """Say whether a field cannot be read any more."""
    before = known.record
    assert before is not None  # noqa: S101 - else they are new
    return any(path not in before.invalid and _is_compared(path) for path in known.now.invalid)


def _is_compared(path: str) -> bool:
    return path.partition(".")[0] not in ("type", "links")


def _is_told(after: Customer, name: str) -> bool:
    """Say whether a field that differs is told: it can be read now, or is a consent."""
    return name.partition(".")[0] == "consent" or not _touches(after.invalid, name)


def _touches(paths: Iterable[str], name: str) -> bool:
    """Say whether a field, the part that it is in, or a field in it is among these."""
    return any(f"{path}.".startswith(f"{name}.") or f"{name}.".startswith(f"{path}.") for path in paths)


def _different_paths(before: Record, after: Record, invalid: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for field in attrs.fields(type(after)):  # type: ignore[arg-type]  # every record is attrs
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new or field.name in ("links", "invalid"):
            continue
        name = f"{prefix}{field.name}"
        part = new if isinstance(new, Record) else old
        if isinstance(part, Record):
            nothing = type(part)()
            whole = old is None or new is None
            old, new = (nothing if value is None else value for value in (old, new))
            # A part that came or went is told by its name, unless some of it could not be read.
            if whole and old != new and not (new != nothing and _touches(invalid, name)):
                yield name
            else:
                yield from _different_paths(old, new, invalid, f"{name}.")
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from (f"{name}.{key}" for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT))
        else:
            yield name


_ABSENT: Final = object()
