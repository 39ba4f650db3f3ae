"""What a sync remembers of the customers of one box office: a SQLite file, used by one process at a time.

`_store_file.py` has the SQL, `CustomerStore` keeps it in a thread of its own. What is a change, and when it is dealt
with, is decided in `changes.py`.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import attrs
from attrs import frozen

from ticketsource_async._store_file import Refused, StoreFile
from ticketsource_async.errors import NotFound, StoreError, StoreInUse
from ticketsource_async.models import Customer

if TYPE_CHECKING:
    from ticketsource_async._wire.protocol import Access
    from ticketsource_async.changes import Change
    from ticketsource_async.client import TicketSource

T = TypeVar("T")


@frozen
class Remembered:
    """A customer as they are now, and what a consumer may have of them.

    That is the `record` it has dealt with, if any; and if it was told more since, `told`, or that they are `deleted`,
    and the `fields` that it was told to have changed.
    """

    now: "Customer"
    record: "Customer | None"
    told: "Customer | None"
    deleted: bool
    fields: tuple[str, ...] = ()


class CustomerStore:
    """What `ts.customers.changes` remembers: `async with CustomerStore("customers.db") as store`.

    The file, made where there is none and readable by its owner alone, holds the id and the record of each customer,
    twice while a change is told and not remembered, the base URL, and a hash of the API key, since it is for one box
    office. One process at a time may use it; do not open the file yourself in that process, since to close it again
    ends the lock on it. What is remembered outlives the death of the process at any moment; if the machine loses power,
    the last changes may come again. Opening it raises `StoreInUse`, and `StoreError` for a file that cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="customer-store")
        self._file: StoreFile | None = None
        self._closed = False
        self._bound: tuple[str, str] | None = None
        self._open_crawls = self._latest = 0
        self._handed_out: dict[str, bool] = {}

    async def __aenter__(self) -> Self:
        if self._closed or self._file is not None:
            raise self._error("was opened before: make another CustomerStore")
        try:
            await self._do(self._open)
        except BaseException:
            await self.aclose()
            raise
        return self

    def _open(self) -> None:
        self._file = StoreFile(self._path)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file; may be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._file is not None:
                await self._do(self._file.close)
        finally:
            self._thread.shutdown(wait=False)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not opened" if self._file is None else "open"
        return f"<CustomerStore {self._path} {state}>"

    async def remember(self, change: "Change", /) -> None:
        """Remember that a change is dealt with, so that it does not come again.

        A loop over `changes` does so itself when it is asked for the next one. Only what was last told of a customer
        counts: an older change is not remembered.
        """
        after = change.after
        await self._do(self._opened.remember, change.id, None if after is None else _pack(after))
        self._handed_out.pop(change.id, None)

    async def remember_all(self) -> None:
        """Remember all changes that the latest loop with `remember=False` has yielded, also if it goes on."""
        await self._do(
            self._opened.remember_told,
            [(customer_id,) for customer_id, deleted in self._handed_out.items() if not deleted],
            [(customer_id,) for customer_id, deleted in self._handed_out.items() if deleted],
        )
        self._handed_out = {}

    async def erase(self, customer_id: str, /) -> bool:
        """Forget a person, with no trace left in the file, and return whether they were remembered.

        A loop over `changes` that is open does not remember them again. As long as TicketSource has them they come
        again in the next, as `Created`: so delete them there first. Takes time, as the whole file is written anew.
        """
        return await self._do(self._opened.erase, customer_id)

    async def rebind(self, ts: "TicketSource", /) -> None:
        """Take the client's API key and base URL in the place of those before.

        Raises `StoreError`, and changes nothing, unless one of 100 remembered customers is found with them, and while a
        loop over `changes` is open.
        """
        ids = await self._do(self._opened.some_ids)
        async with aclosing(ts.customers.get_many(ids)) as found:
            async for outcome in found:
                if outcome.error is None:
                    break
                if not isinstance(outcome.error, NotFound):
                    raise outcome.error
            else:
                if ids:
                    raise self._error(
                        f"is not of this box office: none of {len(ids)} customers that it remembers is found with this "
                        "API key; use the key of its box office, or begin with a new file"
                    )
        if self._open_crawls:
            raise self._error("has a loop over changes that is open: call rebind before it")
        self._bound = _box_office(ts.customers._sender.access)  # noqa: SLF001 - not public, since it has the key
        await self._do(self._opened.bind, *self._bound)

    async def check(self, access: "Access") -> None:
        """Raise `StoreError` unless the store is of this box office, or as yet of none."""
        now = _box_office(access)
        before = self._bound or await self._do(self._opened.box_office)
        if before in (None, now):
            return
        if before[0] != now[0]:
            raise self._error(
                f"is of {before[0]}, not of {now[0]}: name another file; if the box office is the same, at a new "
                "address, call store.rebind(ts) first (the command: --rebind)"
            )
        raise self._error(
            "was filled with another API key: name another file for another box office; if the key of this one was "
            "replaced, call store.rebind(ts) first (the command: --rebind)"
        )

    async def bind(self, access: "Access") -> None:
        """Take a box office that has answered for that of the store, until it is closed even if it remembers nobody."""
        await self.check(access)
        self._bound = self._bound or _box_office(access)
        await self.check(access)  # another may have been first
        await self._do(self._opened.bind, *self._bound)

    async def start_crawl(self) -> int:
        """Return the number by which a crawl is told from others; it ends with `end_crawl`, or yields no more."""
        self._latest = crawl = await self._do(self._opened.start_crawl)
        self._open_crawls += 1
        self._handed_out.clear()  # what an earlier loop has yielded, and nobody remembered, comes again
        return crawl

    async def see(self, crawl: int, ids: Sequence[str]) -> list[bool]:
        """Note that a crawl has met these, and return of each whether it does so for the first time."""
        return await self._do(self._opened.see, crawl, ids)

    async def remembered(self, customers: "Sequence[Customer]") -> "list[Remembered]":
        """Return what is remembered of each who is not remembered as they are, nor erased since the crawl began."""
        rows = await self._do(self._opened.remembered, [customer.id for customer in customers])
        found: list[Remembered] = []
        renewed: list[tuple[bytes, str, bytes]] = []
        for now in customers:
            record, told, fields = rows.get(now.id, (b"", b"", None))
            packed = _pack(now)
            if now.id not in rows or (told is None and record == packed):
                continue
            before = _unpack(record) if record else None
            if record and before is not None and told is None and attrs.evolve(before, links=now.links) == now:
                renewed.append((packed, now.id, record))  # or it would be unpacked again every time
                continue
            told_last = _unpack(told) if told else None
            found.append(
                Remembered(now, before, told_last, deleted=told == b"", fields=tuple(json.loads(fields or "[]")))
            )
        if renewed:
            await self._do(self._opened.renew, renewed)
        return found

    async def tell(self, changes: "Sequence[tuple[Change, Sequence[str]]]") -> None:
        """Note what a consumer is about to be told, and all fields in which it may be behind that.

        From then on it may have dealt with that, or not.
        """
        rows = [
            (type(change).__name__, (change.id,))
            if change.after is None
            else (type(change).__name__, (_pack(change.after), json.dumps(fields), change.id))
            for change, fields in changes
        ]
        await self._do(self._opened.tell, rows)

    def check_latest(self, crawl: int) -> None:
        """Raise `StoreInUse` if a later loop has begun than that of the crawl."""
        if crawl != self._latest:
            raise self._error("is in use by a loop over changes that began later: end this one", StoreInUse)

    def hand_out(self, change: "Change") -> None:
        """Note that a change is yielded, for `remember_all`."""
        self._handed_out[change.id] = change.after is None

    async def unseen(self, crawl: int) -> "AsyncGenerator[Customer, None]":
        """Yield those remembered, or told of, whom a crawl has not met."""
        last = ""
        while rows := await self._do(self._opened.unseen, crawl, last):
            for _, record in rows:
                yield _unpack(record)
            last = rows[-1][0]

    async def end_crawl(self, crawl: int) -> None:
        """Forget whom a crawl has met."""
        self._open_crawls -= 1
        if not self._closed:
            await self._do(self._opened.end_crawl, crawl)

    @property
    def _opened(self) -> StoreFile:
        if self._closed or self._file is None:
            raise self._error("is closed" if self._closed else "is not open: use `async with`")
        return self._file

    async def _do(self, work: Callable[..., T], *arguments: object) -> T:
        """Do work in the store's thread, to its end even if the caller is cancelled."""
        doing = asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *arguments))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            if not doing.cancelled():
                doing.exception()  # nobody else will ask for it
            raise
        except (sqlite3.Error, OSError, Refused) as error:
            failure = error
        raise self._failed(failure)

    def _failed(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            message = "is in use, by another process or elsewhere in this one: wait until that has ended"
            return self._error(message, StoreInUse)
        if code == sqlite3.SQLITE_NOTADB:
            return self._error("is not a customer store but a file of another kind: name another file")
        if isinstance(error, Refused):
            return self._error(str(error))
        return self._error(f"cannot be used: {getattr(error, 'strerror', None) or error}")

    def _error(self, what: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(f"The customer store {self._path} {what}.", str(self._path))


def _pack(customer: Customer) -> bytes:
    """Return the bytes by which the store remembers a customer: the same for the same record."""
    return json.dumps(customer.to_dict(), separators=(",", ":")).encode()


def _unpack(packed: bytes) -> Customer:
    return Customer.from_dict(json.loads(packed))


def _box_office(access: "Access") -> tuple[str, str]:
    """Return what tells a box office from others, without its key."""
    return str(access.base_url).rstrip("/"), access.limiter_key
