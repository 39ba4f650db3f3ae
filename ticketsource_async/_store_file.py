"""The SQLite file of a `CustomerStore`: the SQL, and nothing of what it means.

Everything here blocks, so `customer_store.py` runs it in a thread.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

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


class StoreFile:
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
            raise Refused("is not a customer store but another database: name another file")
        elif version != _VERSION:
            raise Refused(
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


class Refused(Exception):
    """The file is not one that this version of the library can use."""
