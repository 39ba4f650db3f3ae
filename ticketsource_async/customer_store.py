"""What a sync remembers of the customers of one box office: a SQLite file, used by one process at a time.

`_File` has the SQL, `CustomerStore` keeps it in a thread of its own. What is a change, and when it is dealt with, is
decided in `changes.py`.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs
from attrs import frozen

from ticketsource_async.errors import NotFound, StoreError, StoreInUse
from ticketsource_async.models import Customer

if TYPE_CHECKING:
    from ticketsource_async._wire.protocol import Access
    from ticketsource_async.changes import Change
    from ticketsource_async.client import TicketSource

T = TypeVar("T")

_Row = tuple[bytes | None, bytes | None, str | None]

_APPLICATION: Final = 0x54536373  # by which a store is told from any other SQLite file
_VERSION: Final = 2
_ROWS_AT_A_TIME: Final = 500
_ASKED_AT_MOST: Final = 100

# `record` is what a consumer has dealt with; `told` is what it was told last since then, and may have dealt with or
# not: a record, or nothing but an empty text for a deletion; `fields` are all those that it was told to have changed
# since then. A customer of whom it was told as created has no `record`.
_SCHEMA: Final = (
    "CREATE TABLE box_office (row INTEGER PRIMARY KEY CHECK (row = 1), base_url TEXT NOT NULL, key_hash TEXT NOT NULL)",
    "CREATE TABLE customer (id TEXT PRIMARY KEY, record BLOB, told BLOB, fields TEXT) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)

# Only what was told last: to have dealt with what was told before that says nothing of it.
_REMEMBER: Final = """
    INSERT INTO customer (id, record) VALUES (?, ?)
    ON CONFLICT (id) DO UPDATE SET record = excluded.record, told = NULL, fields = NULL WHERE told = excluded.record
"""
_REMEMBER_TOLD: Final = "UPDATE customer SET record = told, told = NULL, fields = NULL WHERE id = ? AND told != x''"
_FORGET_DELETED: Final = "DELETE FROM customer WHERE id = ? AND (told = x'' OR record IS NULL)"
_TELL: Final[Mapping[str, str]] = {
    "Created": "REPLACE INTO customer (told, fields, id) VALUES (?, ?, ?)",
    "Updated": "UPDATE customer SET told = ?, fields = ? WHERE id = ?",
    "Deleted": "UPDATE customer SET told = x'' WHERE id = ? AND record IS NOT NULL",
}


class _File:
    """The SQLite file; each method is whole or not done at all."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()  # through a link, which would count as existing
        with suppress(FileExistsError):  # which is not opened: closing it here would end a lock held in this process
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._crawls = 0
        self._erased: dict[str, int] = {}
        self._sql = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self._sql.close()
            raise

    def _open(self) -> None:
        run = self._sql.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # the lock of the first transaction is kept until the file is closed
        run("BEGIN EXCLUSIVE")
        application, version = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        if self._one("SELECT count(*) FROM sqlite_master") == application == version == 0:
            self._path.chmod(0o600)  # an empty file may have been there
            for statement in _SCHEMA:
                run(statement)
        elif application != _APPLICATION:
            raise _Refused("is not a customer store but another database: name another file")
        elif version != _VERSION:
            raise _Refused(
                f"has the form {version} of another version of ticketsource_async, and this one reads form {_VERSION}: "
                + ("upgrade ticketsource_async" if version > _VERSION else "name a new file, in which everybody is new")
            )
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA secure_delete = ON")
        run("PRAGMA temp_store = MEMORY")  # or `erase` would leave a copy of all in a file, deleted but not wiped
        run("CREATE TEMP TABLE seen (crawl INTEGER, id TEXT, PRIMARY KEY (crawl, id)) WITHOUT ROWID")

    def _one(self, query: str) -> Any:
        return self._sql.execute(query).fetchone()[0]

    def close(self) -> None:
        self._sql.close()

    def remember(self, customer_id: str, record: bytes | None) -> None:
        if record is None:
            self._sql.execute(_FORGET_DELETED, (customer_id,))
        elif customer_id not in self._erased:
            self._sql.execute(_REMEMBER, (customer_id, record))

    def remember_told(self, changed: Sequence[tuple[str]], deleted: Sequence[tuple[str]]) -> None:
        with self._whole():
            self._sql.executemany(_REMEMBER_TOLD, changed)
            self._sql.executemany(_FORGET_DELETED, deleted)

    def renew(self, rows: Sequence[tuple[bytes, str, bytes]]) -> None:
        """Write records anew that are as they were, but in other bytes."""
        with self._whole():
            self._sql.executemany("UPDATE customer SET record = ? WHERE id = ? AND record = ? AND told IS NULL", rows)

    def tell(self, rows: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        # What a consumer has and we, after a loss of power, know nothing of, would never be corrected.
        self._sql.execute("PRAGMA synchronous = FULL")
        with self._whole():
            for kind, values in rows:
                if values[-1] not in self._erased:
                    self._sql.execute(_TELL[kind], values)
        self._sql.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        self._sql.execute("BEGIN")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:  # some errors end it themselves
                self._sql.execute("ROLLBACK")
            raise

    def erase(self, customer_id: str) -> bool:
        self._erased[customer_id] = self._crawls
        known = self._sql.execute("DELETE FROM customer WHERE id = ?", (customer_id,)).rowcount > 0
        self._sql.execute("VACUUM")  # pages that were split still have copies in what is free of them
        self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the journal would still have the record
        return known

    def box_office(self) -> tuple[str, str] | None:
        """Return whose customers they are; while there are none it may be any."""
        found: tuple[str, str] | None = self._sql.execute(
            "SELECT base_url, key_hash FROM box_office WHERE EXISTS (SELECT 1 FROM customer)"
        ).fetchone()
        return found

    def bind(self, base_url: str, key_hash: str) -> None:
        self._sql.execute("REPLACE INTO box_office VALUES (1, ?, ?)", (base_url, key_hash))

    def some_ids(self) -> list[str]:
        query = "SELECT id FROM customer ORDER BY random() LIMIT ?"
        return [row[0] for row in self._sql.execute(query, (_ASKED_AT_MOST,))]

    def start_crawl(self) -> int:
        self._crawls += 1
        return self._crawls

    def see(self, crawl: int, ids: Sequence[str]) -> list[bool]:
        """Return of each whether the crawl sees it for the first time.

        Whoever was erased before the crawl may be remembered again.
        """
        for customer_id in self._erased.keys() & set(ids):
            if self._erased[customer_id] < crawl:
                del self._erased[customer_id]
        insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
        return [self._sql.execute(insert, (crawl, customer_id)).rowcount > 0 for customer_id in ids]

    def remembered(self, ids: Sequence[str]) -> dict[str, _Row]:
        ids = [customer_id for customer_id in ids if customer_id not in self._erased]
        places = ", ".join("?" * len(ids))
        query = f"SELECT id, record, told, fields FROM customer WHERE id IN ({places})"  # noqa: S608 - question marks alone
        found = {row[0]: row[1:] for row in self._sql.execute(query, ids)}
        return {customer_id: found.get(customer_id, (None, None, None)) for customer_id in ids}

    def unseen(self, crawl: int, after: str) -> list[tuple[str, bytes]]:
        query = (
            "SELECT id, coalesce(record, told) FROM customer WHERE id > ? AND NOT EXISTS "
            "(SELECT 1 FROM seen WHERE crawl = ? AND seen.id = customer.id) ORDER BY id LIMIT ?"
        )
        return self._sql.execute(query, (after, crawl, _ROWS_AT_A_TIME)).fetchall()

    def end_crawl(self, crawl: int) -> None:
        self._sql.execute("DELETE FROM seen WHERE crawl = ?", (crawl,))


class _Refused(Exception):
    """The file is not one that this version of the library can use."""


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
        self._file: _File | None = None
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
        self._file = _File(self._path)

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
    def _opened(self) -> _File:
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
        except (sqlite3.Error, OSError, _Refused) as error:
            failure = error
        raise self._failed(failure)

    def _failed(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            message = "is in use, by another process or elsewhere in this one: wait until that has ended"
            return self._error(message, StoreInUse)
        if code == sqlite3.SQLITE_NOTADB:
            return self._error("is not a customer store but a file of another kind: name another file")
        if isinstance(error, _Refused):
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
