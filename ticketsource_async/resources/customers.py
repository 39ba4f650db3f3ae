"""The operations on customers.

The vendor's page: https://www.ticketsource.io/working-with-customers
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import Final, TypeVar, Unpack, cast

from ticketsource_async._mistakes import explains_fields_of
from ticketsource_async._wire import drafts
from ticketsource_async.bulk import Bulk
from ticketsource_async.config import check_whole
from ticketsource_async.errors import InvalidID, InvalidResponse, NotFound
from ticketsource_async.models import Booking, Customer, CustomerDraft
from ticketsource_async.models.customers import check_customers, check_unreadable
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import OnInvalid, Pager
from ticketsource_async.resources.base import BulkOptions, ListOptions, Resource
from ticketsource_async.sync.changes import Change
from ticketsource_async.sync.run import Source, changes
from ticketsource_async.sync.store import Account, CustomerStore

CustomerT = TypeVar("CustomerT", bound="str | Customer")
_Update = tuple[str | Customer, CustomerDraft]

_PAGES_OF_A_SYNC: Final[ListOptions] = {"per_page": 100, "concurrency": 4}


class Customers(Resource):
    """The customers of a box office."""

    def list(self, **options: Unpack[ListOptions]) -> Pager[Customer]:
        """Return all customers, in an order that the API does not document.

        GET /customers
        """
        return self._list(Customer, options, "customers")

    async def get(self, customer: str | Customer, /) -> Customer:
        """Return one customer.

        GET /customers/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", Customer, "customers", checked_id(customer, Customer))

    @explains_fields_of(CustomerDraft)
    async def create(self, draft: CustomerDraft, /) -> Customer:
        """Create a customer and return the record as the API stores it.

        The request is never sent twice. If the answer is lost, it raises `OutcomeUnknown`: look for the customer before
        you try again. Raises `ValidationFailed`, and ValueError for a draft with nothing set.

        POST /customers
        """
        body = drafts.body(draft, CustomerDraft)
        return await self._sender.call(self._priority, "POST", Customer, "customers", body=body)

    @explains_fields_of(CustomerDraft)
    async def update(self, customer: str | Customer, /, draft: CustomerDraft) -> Customer:
        """Change the fields that are set in the draft, and return the record as it is now.

        It is retried as a read is: to set the same values twice changes nothing, unless somebody else has set other
        values in between. If the API accepts the update without sending the record, the record is read afterwards. If
        that read fails, it raises `InvalidResponse`, which says that the update was accepted.

        Raises `NotFound`, `InvalidID`, `ValidationFailed`, `OutcomeUnknown`, and ValueError for a draft with nothing
        set. Raises `UnreadableValue` if `customer` is a record and the draft would destroy an unreadable value of it.

        PATCH /customers/{id}
        """
        customer_id = checked_id(customer, Customer)
        body = drafts.body(draft, CustomerDraft, customer_id)
        if isinstance(customer, Customer):
            check_unreadable(customer, draft)
        return await self._sender.call(self._priority, "PATCH", Customer, "customers", customer_id, body=body)

    async def save(self, before: Customer, after: Customer, /) -> Customer:
        """Send the differences between two states of a customer, and return the record as it is now.

        If nothing differs, nothing is sent. If a field of an address, a membership or a consent differs, that whole
        part is sent. This undoes changes that somebody else made in the part since `before` was read, so read it just
        before. See `CustomerDraft.diff`. Raises what `update` raises, and ValueError for the states of two customers.

        PATCH /customers/{id}
        """
        check_customers(before, after)
        if before.id != after.id:
            raise ValueError(f"before and after must be the same customer, not {before.id} and {after.id}")
        draft = CustomerDraft.diff(before, after)
        return await self.update(before.id, draft) if draft else before

    def changes(
        self,
        store: CustomerStore,
        /,
        *,
        acknowledge: bool = True,
        on_invalid: OnInvalid = "raise",
        max_removed: int | None = None,
    ) -> AsyncGenerator[Change, None]:
        """Return what changed since the last loop over this store: `Created`, `Updated`, `Deleted` and `Erased`.

        A change is acknowledged when you ask for the next one. If the loop ends first, the next loop yields it again.
        If the customer has changed back by then, the next loop still yields a change, because your system may have the
        first one already. With `acknowledge=False` you call `store.acknowledge(change)` or `store.acknowledge_all()`.
        So you can deal with many changes at once, or with deletions and withdrawn consents (`change.consent_changed`)
        first.

        A customer who is not in the list is asked for by id. They are `Deleted` only if the API itself answers 404 or
        410. If that call fails for one customer, or is answered with the record of another, the changes of the others
        come first. Use `contextlib.aclosing` if you leave the loop early.

        Erasures and deletions come last, and only if they are not too many, since a faulty answer must not delete
        all customers. If more than 20 customers and more than half of the store are not in the list with their data,
        `TooManyRemoved` is raised before any customer is asked for by id. If more than 20 customers and more than 5 %
        of the store are deleted or erased, it is raised before the first of them is yielded. `max_removed=N` replaces
        both limits by N for a store of any size. The limit is for one run. Deletions that are not acknowledged count
        again in the next run.

        Requests: the pages of GET /customers, and GET /customers/{id} for each customer in the store who is not in them
        or has no personal data there. Raises `StoreError` if the store is of another box office.
        """
        if max_removed is not None:
            check_whole("max_removed", max_removed, 0, error=ValueError)
        return changes(self._source, store, acknowledge=acknowledge, on_invalid=on_invalid, max_removed=max_removed)

    def _source(self, on_invalid: OnInvalid) -> Source:
        options: ListOptions = {**_PAGES_OF_A_SYNC, "on_invalid": on_invalid}
        return Source(Customers(self._sender, "bulk").list(**options), self.get_many, self._account())

    def _account(self) -> Account:
        credentials = self._sender.credentials
        return Account(str(credentials.base_url).rstrip("/"), credentials.limiter_key)

    async def check_store(self, store: CustomerStore, /) -> None:
        """Raise `StoreError` if a store has the customers of another box office. It makes no request."""
        await store.check(self._account())

    async def rebind(self, store: CustomerStore, /) -> None:
        """Bind a store to the API key and the base URL of this client.

        GET /customers/{id} for at most 100 customers in the store, until one is found. Raises `StoreError`, and changes
        nothing, if none is found or while a loop over `changes` is open.
        """
        ids = await store.some_ids()
        invalid: InvalidResponse | None = None
        async with self.get_many(ids) as found:
            async for outcome in found:
                if outcome.error is None:
                    break
                if isinstance(outcome.error, InvalidResponse):  # only this customer, such as one who was merged
                    invalid = invalid or outcome.error
                elif not isinstance(outcome.error, NotFound | InvalidID):
                    raise outcome.error
            else:
                if invalid is not None:
                    raise invalid
                if ids:
                    raise store.other_box_office_error(len(ids))
        await store.rebind(self._account())

    async def delete(self, customer: str | Customer, /) -> None:
        """Delete a customer for good. The API does not document what happens to their bookings.

        It is retried as a read is. A 404 after an attempt whose answer was lost means that the customer is deleted.
        Raises `NotFound`, `InvalidID` and `OutcomeUnknown`.

        DELETE /customers/{id}
        """
        await self._sender.delete(self._priority, "customers", checked_id(customer, Customer))

    def get_many(
        self, customers: Iterable[CustomerT] | AsyncIterable[CustomerT], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerT, Customer]:
        """Return these customers in the order in which they arrive; see `Bulk`, and `get` for the errors of each.

        GET /customers/{id} for each
        """
        return self._bulk(customers, Customers(self._sender, "bulk").get, options)

    def create_many(
        self, drafts: Iterable[CustomerDraft] | AsyncIterable[CustomerDraft], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerDraft, Customer]:
        """Create a customer for each draft; see `Bulk`, and `create` for the errors of each.

        POST /customers for each
        """
        return self._bulk(drafts, Customers(self._sender, "bulk").create, options)

    def update_many(
        self,
        updates: Mapping[str, CustomerDraft] | Iterable[_Update] | AsyncIterable[_Update],
        /,
        **options: Unpack[BulkOptions],
    ) -> Bulk[_Update, Customer]:
        """Change customers: `{id: draft}`, or pairs of customer and draft; see `Bulk`, and `update` for the errors.

        Drafts for the same customer are sent one after another, in their order.

        PATCH /customers/{id} for each
        """
        one = Customers(self._sender, "bulk")

        async def update(change: _Update) -> Customer:
            customer, draft = change
            return await one.update(customer, draft=draft)

        pairs = cast(Iterable[_Update], updates.items() if isinstance(updates, Mapping) else updates)
        return self._bulk(pairs, update, options, serialize_by=_id_in)

    def delete_many(
        self, customers: Iterable[CustomerT] | AsyncIterable[CustomerT], /, **options: Unpack[BulkOptions]
    ) -> Bulk[CustomerT, None]:
        """Delete these customers for good; see `Bulk`, and `delete` for the errors of each.

        If you pass a list that is still being read, each deletion hides a row of it. Collect the list first, or pass
        `list(verify=True)`.

        DELETE /customers/{id} for each
        """
        return self._bulk(customers, Customers(self._sender, "bulk").delete, options)

    def list_bookings(self, customer: str | Customer, /, **options: Unpack[ListOptions]) -> Pager[Booking]:
        """Return the bookings that a customer made.

        GET /customers/{id}/bookings. Raises `NotFound` and `InvalidID`.
        """
        return self._list(Booking, options, "customers", checked_id(customer, Customer), "bookings")


def _id_in(change: object) -> str | None:
    """Return the id of the customer of an update, None if it is no update."""
    customer = change[0] if isinstance(change, tuple | list) and change else None
    customer_id = getattr(customer, "id", customer)
    return customer_id if isinstance(customer_id, str) else None
