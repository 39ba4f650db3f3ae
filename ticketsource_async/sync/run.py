"""One sync run: find which customers changed since the last one.

The API does not say what changed. So each run reads the whole list and compares it with a `CustomerStore`. Rows shift
while the list is read, so a customer who was not in the list may still exist. The run asks for each of them by id, and
only that answer says that a customer is gone.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from attrs import define, frozen

from ticketsource_async._words import counted
from ticketsource_async.bulk import Bulk, Outcome, affects_all_calls
from ticketsource_async.contacts import SHARED_AT_MOST, contacts_of
from ticketsource_async.errors import (
    APIError,
    InvalidID,
    InvalidResponse,
    NotFound,
    TicketSourceError,
    TooManyRemoved,
)
from ticketsource_async.models import Customer
from ticketsource_async.models.ids import id_of
from ticketsource_async.pagination import OnInvalid, Pager
from ticketsource_async.sync.changes import Change, Deleted, Found, changes_of, store_pending
from ticketsource_async.sync.store import Account, CustomerStore

T = TypeVar("T")

_GONE: Final = 410
_FAILED_AT_MOST: Final = 20  # with more, the cause is not in single customers
_REMOVED_AT_MOST: Final = 20  # or one customer in `_ALLOWED_ONE_IN`, if that is more
_ALLOWED_ONE_IN: Final = 20
_YIELDED_AT_ONCE: Final = 100


@frozen
class Source:
    """The list of the customers, the calls by id, and the box office that has them."""

    listed: Pager[Customer]
    get_many: Callable[[AsyncIterable[Customer]], Bulk[Customer, Customer]]
    account: Account


async def changes(
    make_source: Callable[[OnInvalid], Source],
    store: CustomerStore,
    *,
    acknowledge: bool,
    on_invalid: OnInvalid,
    max_removed: int | None,
) -> AsyncGenerator[Change, None]:
    """Yield what changed since the last sync run; see `Customers.changes`."""
    unreadable: list[str] = []  # ids of rows that were skipped since the last page

    def skip(error: InvalidResponse) -> None:
        if error.id is not None:
            unreadable.append(error.id)  # they are in the list, so no call by id is needed
        if callable(on_invalid):
            on_invalid(error)

    source = make_source(skip if callable(on_invalid) else "raise")
    await store.check(source.account)
    sync_run = await store.start_sync_run()
    try:
        limit = _RemovalLimit(store, await store.count(), max_removed)
        emptied: dict[str, None] = {}
        for found in (
            _in_list(source, store, sync_run, unreadable, emptied, acknowledge=acknowledge),
            _by_id(source, store, sync_run, emptied, on_invalid, limit),
        ):
            async with aclosing(found):
                async for change in found:
                    store.check_latest(sync_run)
                    if not acknowledge:
                        store.mark_yielded(change)
                    yield change
                    if acknowledge:
                        await store.acknowledge(change)
    finally:
        await store.end_sync_run(sync_run)


async def _in_list(
    source: Source,
    store: CustomerStore,
    sync_run: int,
    unreadable: list[str],
    emptied: dict[str, None],
    *,
    acknowledge: bool,
) -> AsyncGenerator[Change, None]:
    """Yield the changes of customers in the list. Add the ids of those who have no personal data now to `emptied`."""
    async with aclosing(source.listed.pages()) as pages:
        async for page in pages:
            if page.number == 1:  # the API has accepted the key
                await store.bind(source.account)
            first_time = await store.mark_seen(sync_run, [*(customer.id for customer in page.items), *unreadable])
            unreadable.clear()
            # The list may have a customer twice. If changes are acknowledged, compare both rows; else both would be
            # yielded.
            rows = zip(page.items, first_time[: len(page.items)], strict=True)
            customers = [customer for customer, first in rows if first or acknowledge]
            found = await changes_of(store, customers)
            emptied |= dict.fromkeys(one.change.id for one in found if one.became_empty)
            for change in await store_pending(store, sync_run, [one for one in found if not one.became_empty]):
                yield change


@define
class _RemovalLimit:
    """The check that stops a run if too many of the customers in the store are gone."""

    store: CustomerStore
    remembered: int
    max_removed: int | None
    missing: int = 0

    @property
    def allowed(self) -> int:
        """How many customers may be gone."""
        return (
            max(_REMOVED_AT_MOST, self.remembered // _ALLOWED_ONE_IN) if self.max_removed is None else self.max_removed
        )

    def check_missing(self, missing: int) -> None:
        """Raise `TooManyRemoved` if too many customers are missing from the list. Then none is asked for by id."""
        self.missing = missing
        is_less_than_half = 2 * (self.remembered - missing) < self.remembered
        if is_less_than_half and missing > (_REMOVED_AT_MOST if self.max_removed is None else self.max_removed):
            raise self._error(
                f"the list of TicketSource has only {self.remembered - missing:,} of them, which is fewer than half", 0
            )

    def check_removed(self, removed: int) -> None:
        """Raise `TooManyRemoved` if too many customers are gone. Then none is yielded as gone."""
        if removed > self.allowed:
            raise self._error(f"more than {self.allowed:,} of them are deleted or erased in TicketSource", removed)

    def _error(self, what: str, removed: int) -> TooManyRemoved:
        return TooManyRemoved(
            f"The customer store {self.store.path} has {counted(self.remembered, 'customer')}, and {what}. "
            "The answers of the API may be wrong, so no customer was yielded as deleted or erased. Run the "
            "sync again. If the result is the same, and the TicketSource web site shows that so many customers are "
            f"gone, pass at most max_removed={self.missing} (the command: --max-removed {self.missing}).",
            *(self.store.path, "", self.remembered, self.missing, removed, self.allowed),
        )


async def _by_id(
    source: Source,
    store: CustomerStore,
    sync_run: int,
    emptied: dict[str, None],
    on_invalid: OnInvalid,
    limit: _RemovalLimit,
) -> AsyncGenerator[Change, None]:
    """Yield the changes of customers who were not in the list, or were empty there. Yield those who are gone last."""
    limit.check_missing(await store.count_not_seen(sync_run) + len(emptied))
    gone: dict[str, None] = {}
    emptied_now: list[Found] = []
    failures = _Failures(store, on_invalid)
    async with source.get_many(_to_request(store, sync_run, emptied)) as asked:
        async for outcome in asked:
            if outcome.error is None:
                await store.mark_seen(sync_run, [outcome.input.id])
                found = await changes_of(store, [outcome.unwrap()])
                emptied_now += [one for one in found if one.became_empty]
                for change in await store_pending(store, sync_run, [one for one in found if not one.became_empty]):
                    yield change
            elif _is_gone(outcome.error):
                gone[outcome.input.id] = None
            else:
                failures.add(outcome, outcome.error)
            limit.check_removed(len(gone) + len(emptied_now))
    for part in _in_parts(emptied_now):
        for change in await store_pending(store, sync_run, part):
            yield change
    ids_by_contact = await _ids_by_contact(store, sync_run, gone.keys())
    for ids in _in_parts(list(gone)):
        deleted = [_deleted(before, ids_by_contact, gone.keys()) for before in await store.acknowledged(ids)]
        for change in await store_pending(store, sync_run, [Found(change) for change in deleted]):
            yield change
    if failures.first is not None:
        raise failures.first


def _is_gone(error: Exception) -> bool:
    """Say whether the API itself says that the customer is gone. An error page of a proxy does not count."""
    if isinstance(error, NotFound):
        return error.is_from_api
    return isinstance(error, APIError) and error.status == _GONE and any("code" in entry for entry in error.errors)


async def _to_request(store: CustomerStore, sync_run: int, emptied: Iterable[str]) -> AsyncGenerator[Customer, None]:
    """Yield the customers to ask for by id."""
    async with aclosing(store.not_seen(sync_run)) as not_seen:
        async for customer in not_seen:
            yield customer
    for customer_id in emptied:
        yield Customer(customer_id)


def _in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split the items into parts. The changes of one part are marked as pending together, then yielded."""
    for start in range(0, len(items), _YIELDED_AT_ONCE):
        yield items[start : start + _YIELDED_AT_ONCE]


async def _ids_by_contact(store: CustomerStore, sync_run: int, gone: Collection[str]) -> dict[str, list[str]]:
    """Return each contact of the customers who are gone, with the ids of all customers who have it.

    At most `SHARED_AT_MOST + 1` ids are collected for a contact: one more than the limit shows that it is exceeded.
    """
    ids_by_contact: dict[str, list[str]] = {}
    for ids in _in_parts(list(gone)):
        for customer in await store.acknowledged(ids):
            for contact in _contacts_of(customer):
                _add(ids_by_contact.setdefault(contact, []), customer.id)
    if ids_by_contact:
        async with aclosing(store.seen(sync_run)) as seen:
            async for customer in seen:
                for contact in _contacts_of(customer) if customer.id not in gone else ():
                    if contact in ids_by_contact:
                        _add(ids_by_contact[contact], customer.id)
    return ids_by_contact


def _add(ids: list[str], customer_id: str) -> None:
    if len(ids) <= SHARED_AT_MOST:
        ids.append(customer_id)


def _deleted(before: Customer, ids_by_contact: Mapping[str, Sequence[str]], gone: Collection[str]) -> Deleted:
    sharing = [ids_by_contact.get(contact, ()) for contact in _contacts_of(before)]
    personal = [ids for ids in sharing if len(ids) <= SHARED_AT_MOST]
    same = dict.fromkeys(customer_id for ids in personal for customer_id in ids if customer_id not in gone)
    return Deleted(before, tuple(same), len(sharing) - len(personal))


def _contacts_of(customer: Customer) -> list[str]:
    found = (f"{reason} {contact}" for reason, contact in contacts_of(customer) if reason != "name and postcode")
    return list(dict.fromkeys(found))


def _other_id(error: InvalidResponse) -> str | None:
    """Return the id of the other customer, if the answer has the record of another than the one asked for."""
    return id_of(error.id, Customer.ID_PREFIX) if error.json_path == "$.data.id" else None


@define
class _Failures:
    """The errors of single calls by id. The first is raised at the end, after the changes of all other customers."""

    store: CustomerStore
    on_invalid: OnInvalid
    first: TicketSourceError | None = None
    count: int = 0
    failed: int = 0

    def add(self, outcome: Outcome[Customer, Customer], error: Exception) -> None:
        """Raise an error that affects all calls. Keep any other; raise it too if too many calls have failed."""
        if not isinstance(error, TicketSourceError) or affects_all_calls(error):
            raise error
        customer_id = outcome.input.id
        if isinstance(error, InvalidID):
            error.add_note(self.store.impossible_id_note(customer_id))
        if isinstance(error, InvalidResponse) and (other := _other_id(error)) is not None:
            error.add_note(self.store.merge_note(customer_id, other))
        if isinstance(error, InvalidResponse) and callable(self.on_invalid):
            self.on_invalid(error)
            return
        self.first = self.first or error
        self.count += 1
        self.failed += not isinstance(error, NotFound | InvalidResponse | InvalidID)
        if self.failed > _FAILED_AT_MOST:
            error.add_note(f"{self.count} customers could not be asked for, so the run asked for no other customer.")
            raise error
