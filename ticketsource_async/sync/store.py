"""The SQLite file that keeps the customers of one box office for a sync. One process at a time may use it.

`_sqlite.py` has the SQL. `CustomerStore` runs it in a thread of its own. `changes.py` decides what a change is.
"""

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import attrs
from attrs import frozen

from ticketsource_async.errors import StoreError, StoreInUse
from ticketsource_async.models import Customer
from ticketsource_async.sync._packing import has_impossible_id, pack, pack_fields, unpack, unpack_fields
from ticketsource_async.sync._sqlite import StoreFile, UnusableFile, damaged

T = TypeVar("T")


@frozen
class Account:
    """The identity of a box office: the base URL and a hash of the API key, not the key."""

    base_url: str
    key_hash: str


@frozen
class Stored:
    """A customer as they are now, and what the store has of them.

    `record`: the last version acknowledged, None if there is none. `pending`: the last version yielded but not yet
    acknowledged. `deleted`: the deletion was yielded but not yet acknowledged. `fields`: all fields yielded as changed
    since the last acknowledgement.
    """

    now: Customer
    record: Customer | None
    pending: Customer | None
    deleted: bool
    fields: tuple[str, ...] = ()


class AnyChange(Protocol):
    """What the store uses of a change."""

    @property
    def id(self) -> str:
        """The customer's id."""
        ...

    @property
    def before(self) -> Customer | None:
        """The customer as they were, None if the store did not have them."""
        ...

    @property
    def after(self) -> Customer | None:
        """The customer as they are now, None if they are gone."""
        ...


class CustomerStore:
    """The customers that `ts.customers.changes` compares with: `async with CustomerStore("customers.db") as store`.

    If the file does not exist, it is created. Only its owner can read it. It has the id and the record of each
    customer, a second record while a change is not acknowledged, the base URL, and a hash of the API key: each file is
    for one box office. One process at a time may use it. Do not open or copy the file in that process, for example with
    `open` or `shutil.copy`: the lock would be lost, and a second process could use the file at the same time.

    What is acknowledged is kept even if the process is killed. If the machine loses power, the last changes may be
    yielded again. When a deletion or an erasure is acknowledged and the loop has ended, the file has no data of the
    person any more. If it is acknowledged after the loop, this is so once the file is closed.

    Opening raises `StoreInUse`, and `StoreError` for a file that cannot be used. With `read_only`, several processes
    may read the file at once, as it was when they opened it. Meanwhile a `changes` of another process is refused. An
    empty file is refused with `read_only`.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._path = Path(path)
        self._read_only = read_only
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="customer-store")
        self._file: StoreFile | None = None
        self._closed = False
        self._bound: Account | None = None
        self._open_sync_runs = self._latest = 0
        self._yielded: dict[str, bool] = {}

    async def __aenter__(self) -> Self:
        if self._closed or self._file is not None:
            raise self._error("was opened before: make another CustomerStore")
        try:
            await self._run(self._open)
        except BaseException:
            await self.aclose()
            raise
        return self

    def _open(self) -> None:
        self._file = StoreFile(self._path, read_only=self._read_only)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._file is not None:
                await self._run(self._file.close)
        finally:
            self._thread.shutdown(wait=False)

    @property
    def path(self) -> str:
        """The path of the file, as you gave it."""
        return str(self._path)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not opened" if self._file is None else "open"
        return f"<CustomerStore {self._path} {state}>"

    async def acknowledge(self, change: AnyChange, /) -> None:
        """Note that you have dealt with a change, so that it is not yielded again.

        A loop over `changes` does this itself when you ask for the next change. Only the last change yielded for a
        customer counts: to acknowledge an older one does nothing.
        """
        after = change.after
        await self._run(self._opened.acknowledge, change.id, None if after is None else pack(after))
        self._yielded.pop(change.id, None)

    async def acknowledge_all(self) -> None:
        """Acknowledge all changes that the latest loop with `acknowledge=False` has yielded so far.

        The loop may still be running.
        """
        yielded, self._yielded = self._yielded, {}  # before the await, during which a loop may yield more
        await self._run(
            self._opened.acknowledge_pending,
            [(customer_id,) for customer_id, deleted in yielded.items() if not deleted],
            [(customer_id,) for customer_id, deleted in yielded.items() if deleted],
        )
        if not self._open_sync_runs:  # else the end of the last sync run does it
            await self._run(self._opened.wipe)

    async def erase(self, customer_id: str, /) -> bool:
        """Remove a customer, leave no trace in the file, and return whether the store had them.

        A loop over `changes` that is running does not store them again. While TicketSource still has the customer, the
        next loop yields them as `Created`, so delete them there first. This takes time, since the whole file is
        rewritten.
        """
        return await self._run(self._opened.erase, customer_id)

    async def get(self, customer_id: str, /) -> Customer | None:
        """Return a customer as of the last sync run, acknowledged or not; None if there is none."""
        record, pending, _ = (await self._run(self._opened.stored, [customer_id])).get(customer_id, (None, None, None))
        latest = record if pending is None else pending
        return self._read(customer_id, latest) if latest else None

    async def some_ids(self) -> list[str]:
        """Return the ids of at most 100 customers, chosen at random."""
        return await self._run(self._opened.some_ids)

    def other_box_office_error(self, asked: int) -> StoreError:
        """Return the error for a store of another box office: none of the `asked` customers was found."""
        return self._error(
            f"belongs to another box office: this API key finds none of {asked} customers in it. Use the key of its "
            "box office, or begin with a new file"
        )

    def impossible_id_note(self, customer_id: str) -> str:
        """Return the text that says what to do about a customer in the store with an impossible id."""
        return (
            f"The customer store {self._path} has this id, which no record can have. To remove it, call "
            f"store.erase({customer_id!r}) (the command: customers forget)."
        )

    def merge_note(self, customer_id: str, other_id: str) -> str:
        """Return the text that says what to do if the API answers with the record of another customer."""
        return (
            f"It is not known whether {customer_id} still exists. The record may have been merged into {other_id}. If "
            f"the TicketSource web site shows that, remove {customer_id} from your system, copy nothing to {other_id}, "
            f"and call store.erase({customer_id!r}) (the command: customers forget)."
        )

    async def rebind(self, account: Account) -> None:
        """Bind the store to this box office in place of the one before; see `ts.customers.rebind`.

        Raises `StoreError` while a loop over `changes` is open.
        """
        if self._open_sync_runs:
            raise self._error("is in use by a loop over changes: call rebind before the loop")
        self._bound = account
        await self._run(self._opened.bind, account.base_url, account.key_hash)

    async def check(self, account: Account) -> None:
        """Raise `StoreError` if the store is of another box office."""
        before = self._bound or await self._run(self._box_office)
        if before in (None, account):
            return
        if before.base_url != account.base_url:
            raise self._error(
                f"belongs to {before.base_url}, not to {account.base_url}. If the box office is the same and the API "
                "has a new address, call ts.customers.rebind(store) first (the command: customers changes --rebind). "
                "For another box office, name another file"
            )
        raise self._error(
            "was filled with another API key. If the key of this box office was replaced, call "
            "ts.customers.rebind(store) first (the command: customers changes --rebind). For another box office, name "
            "another file"
        )

    def _box_office(self) -> Account | None:
        found = self._opened.box_office()
        return None if found is None else Account(*found)

    async def bind(self, account: Account) -> None:
        """Bind the store to a box office that has answered. An empty store is bound until it is closed."""
        await self.check(account)
        self._bound = self._bound or account
        await self.check(account)  # another loop may have bound it first
        await self._run(self._opened.bind, account.base_url, account.key_hash)

    async def start_sync_run(self) -> int:
        """Return the number of a new sync run. `end_sync_run` ends it."""
        self._latest = sync_run = await self._run(self._opened.start_sync_run)
        self._open_sync_runs += 1
        self._yielded.clear()  # unacknowledged changes of an earlier loop are yielded again
        return sync_run

    async def mark_seen(self, sync_run: int, ids: Sequence[str]) -> list[bool]:
        """Note that a sync run has seen these customers, and return for each whether it is the first time."""
        return await self._run(self._opened.mark_seen, sync_run, ids)

    async def differing(self, customers: Sequence[Customer]) -> list[Stored]:
        """Return each customer who differs from the store, with what the store has of them.

        Customers who were erased since the sync run began are left out.
        """
        rows = await self._run(self._opened.stored, [customer.id for customer in customers])
        found: list[Stored] = []
        renewed: list[tuple[bytes, str, bytes]] = []
        for now in customers:
            if now.id not in rows:
                continue
            record, pending, fields = rows[now.id]
            packed = pack(now)
            if pending is None and record == packed:
                continue
            before = None if record is None else self._read(now.id, record)
            same = before is not None and attrs.evolve(before, links=now.links) == now
            if same and record is not None and pending is None:
                renewed.append((packed, now.id, record))  # else each sync run would unpack it again
                continue
            found.append(
                Stored(
                    now,
                    before,
                    None if pending in (None, b"") else self._read(now.id, pending),
                    deleted=pending == b"",
                    fields=self._read_fields(now.id, fields),
                )
            )
        if renewed:
            await self._run(self._opened.renew, renewed)
        return found

    async def mark_pending(self, changes: Sequence[tuple[AnyChange, Sequence[str]]], empty: Sequence[str] = ()) -> None:
        """Note the changes that will be yielded next, with all fields that the consumer may have in an old version.

        `empty` are the ids of the customers who have no personal data now.
        """
        rows = [
            (
                change.id,
                change.before is None,
                None if change.after is None else pack(change.after),
                pack_fields(fields),
            )
            for change, fields in changes
        ]
        gone = [(change.id,) for change, _ in changes if change.after is None or change.id in empty]
        await self._run(self._opened.mark_pending, rows, gone, empty)

    async def mark_empty(self, ids: Sequence[str]) -> None:
        """Note the customers whose acknowledged record has no personal data, so that they are not asked for by id."""
        await self._run(self._opened.mark_empty, ids)

    def check_latest(self, sync_run: int) -> None:
        """Raise `StoreInUse` if a later sync run has begun."""
        if sync_run != self._latest:
            raise self._error("is in use by a later loop over changes: end this loop", StoreInUse)

    def mark_yielded(self, change: AnyChange) -> None:
        """Note that a change was yielded. `acknowledge_all` uses this."""
        self._yielded[change.id] = change.after is None

    async def count(self) -> int:
        """Count the customers, acknowledged or not, without those whose deletion or erasure is acknowledged."""
        return await self._run(self._opened.count)

    async def count_not_seen(self, sync_run: int) -> int:
        """Return how many of the customers that `count` counts were not seen by a sync run."""
        return await self._run(self._opened.count_not_seen, sync_run)

    async def acknowledged(self, ids: Sequence[str]) -> list[Customer]:
        """Return the last acknowledged version of each customer, else the pending one. Leave out erased customers."""
        rows = await self._run(self._opened.records, ids)
        return [self._read(customer_id, packed) for customer_id, packed in rows]

    async def not_seen(self, sync_run: int) -> AsyncGenerator[Customer, None]:
        """Yield the customers that `count_not_seen` counts. If a record cannot be read, the customer has only an id."""
        async with aclosing(self._rows(partial(self._opened.not_seen, sync_run))) as rows:
            async for customer_id, record in rows:
                is_impossible = has_impossible_id(customer_id, record)
                yield Customer(customer_id) if is_impossible else self._read(customer_id, record)

    async def seen(self, sync_run: int) -> AsyncGenerator[Customer, None]:
        """Yield the customers that a sync run has seen, in the version that it saw. Impossible ids are left out."""
        async with aclosing(self._rows(partial(self._opened.seen, sync_run))) as rows:
            async for customer_id, record in rows:
                if not has_impossible_id(customer_id, record):
                    yield self._read(customer_id, record)

    async def customers(
        self, *, on_damaged: Callable[[StoreError], object] | None = None
    ) -> AsyncGenerator[Customer, None]:
        """Yield all customers as the last loop over `changes` found them, acknowledged or not.

        For a damaged row, `on_damaged` gets a `StoreError`. Without `on_damaged` the error is raised.
        """
        async with aclosing(self._rows(self._opened.latest)) as rows:
            async for customer_id, record in rows:
                try:
                    customer = self._read(customer_id, record)
                except StoreError as error:
                    if on_damaged is None:
                        raise
                    on_damaged(error)
                    continue
                yield customer

    async def _rows(self, after: Callable[[str], list[tuple[str, bytes]]]) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield all rows of a query that returns some rows after an id."""
        last = ""
        while rows := await self._run(after, last):
            for customer_id, record in rows:
                if customer_id <= last:  # else the loop would not end; not every SQLite finds this when it opens
                    raise self._error(damaged("its rows are not in order"))
                last = customer_id
                yield customer_id, record

    async def end_sync_run(self, sync_run: int) -> None:
        """Forget which customers a sync run has seen."""
        self._open_sync_runs -= 1
        if not self._closed:
            await self._run(self._opened.end_sync_run, sync_run)
            if not self._open_sync_runs:
                await self._run(self._opened.wipe)

    @property
    def _opened(self) -> StoreFile:
        if self._closed or self._file is None:
            raise self._error("is closed" if self._closed else "is not open: use `async with`")
        return self._file

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        """Do work in the store's thread. If the caller is cancelled, the work is still finished first."""
        doing = asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *arguments))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            if not doing.cancelled():
                doing.exception()  # else asyncio logs an exception that was never retrieved
            raise
        except (sqlite3.Error, OSError, UnusableFile, UnicodeDecodeError) as error:
            failure = error
        raise self._store_error(failure)

    def _store_error(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            message = "is in use, by another process or elsewhere in this one: wait until that has ended"
            return self._error(message, StoreInUse)
        if code == sqlite3.SQLITE_NOTADB:
            return self._error("is another kind of file: name another file")
        if isinstance(error, UnusableFile):
            return self._error(str(error))
        if isinstance(error, OSError) or code in _DISK_ERRORS:
            reason = getattr(error, "strerror", None) or error
            return self._error(
                f"cannot be used ({reason}): check its folder, its permissions and the space on the disk"
            )
        return self._error(damaged(ascii(str(error))))

    def _read(self, customer_id: str, packed: bytes) -> Customer:
        """Return a customer from the file; raise `StoreError` for a row that this library did not write."""
        try:
            if (customer := unpack(packed)).id == customer_id:
                return customer
        except (ValueError, TypeError, RecursionError):
            pass  # the row is damaged
        raise self._row_damaged(customer_id)

    def _read_fields(self, customer_id: str, packed: str | None) -> tuple[str, ...]:
        try:
            return unpack_fields(packed or "[]")
        except (ValueError, TypeError, AttributeError, RecursionError):
            pass  # the row is damaged
        raise self._row_damaged(customer_id)

    def _row_damaged(self, customer_id: str) -> StoreError:
        # Show only what looks like an id: anything else may be personal data.
        if re.fullmatch(r"[\w-]{1,50}", str(customer_id), re.ASCII) is None:
            return self._error(damaged("the id of a customer cannot be read"))
        return self._error(
            f"is damaged in the row of the customer {customer_id}: restore a copy of the file, or call "
            "store.erase(id) (the command: customers forget). The next loop then yields the customer as created or, if "
            "TicketSource has deleted them, not at all",
            customer_id=str(customer_id),
        )

    def _error(self, what: str, kind: type[StoreError] = StoreError, customer_id: str = "") -> StoreError:
        return kind(f"The customer store {self._path} {what}.", str(self._path), customer_id)


_DISK_ERRORS: Final = frozenset(
    {
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL),
    }
)
"""The errors of SQLite that do not mean that the file is damaged."""
