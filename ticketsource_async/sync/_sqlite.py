"""The SQL of the file of a `CustomerStore`; the other modules say what a change is.

Everything here blocks, so `store.py` runs it in a thread.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

_Row = tuple[bytes | None, bytes | None, str | None]

_LOG: Final = logging.getLogger("ticketsource_async.sync")

_APPLICATION: Final = 0x54536373  # no other program uses this number
_VERSION: Final = 3
_ROWS_AT_A_TIME: Final = 500
_MOST_SAMPLE_IDS: Final = 100
_NEW_FILE: Final = "name a new file. With it, every customer is yielded as created"
_FILE_ENDINGS: Final = ("", "-journal", "-wal", "-shm")  # of the file, and of the files that SQLite puts beside it

# `record`: the last version acknowledged. It is empty if the customer was yielded as created and not acknowledged.
# `pending`: the last version yielded but not yet acknowledged. It is empty for a deletion.
# `fields`: all fields yielded as changed since the last acknowledgement.
_SCHEMA: Final = (
    "CREATE TABLE box_office (row INTEGER PRIMARY KEY CHECK (row = 1), base_url TEXT NOT NULL, key_hash TEXT NOT NULL)",
    "CREATE TABLE customer (id TEXT PRIMARY KEY, record BLOB, pending BLOB, fields TEXT) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)

# Only the pending version can be acknowledged; an older one changes nothing.
_ACKNOWLEDGE: Final = "UPDATE customer SET record = pending, pending = NULL, fields = NULL WHERE id = ? AND pending = ?"
_ACKNOWLEDGE_PENDING: Final = (
    "UPDATE customer SET record = pending, pending = NULL, fields = NULL WHERE id = ? AND pending != x''"
)
_FORGET_DELETED: Final = "DELETE FROM customer WHERE id = ? AND (pending = x'' OR record IS NULL)"
_MARK_NEW: Final = "REPLACE INTO customer (pending, fields, id) VALUES (?, ?, ?)"
_MARK_PENDING: Final = "UPDATE customer SET pending = ?, fields = ? WHERE id = ?"
# The other customers have no data that could be deleted. The list may hide them, so each run would ask for them by id.
_WITH_DATA: Final = "NOT (pending IS NULL AND EXISTS (SELECT 1 FROM empty WHERE empty.id = customer.id))"
_MARK_DELETED: Final = "UPDATE customer SET pending = x'' WHERE id = ? AND record IS NOT NULL"


class StoreFile:
    """The SQLite file. Each method does all of its work or none."""

    def __init__(self, path: Path, chmod: Callable[[Path, int], None] = os.chmod, *, read_only: bool = False) -> None:
        self._path = Path(os.path.realpath(path))  # O_EXCL takes a symbolic link for an existing file
        self._chmod = chmod
        # This comes first: to change the mode or the owner of a device could break the machine.
        for file in self._files():
            if not file.is_file():
                beside = "" if file == self._path else f"cannot be used, since {file} beside it "
                raise UnusableFile(f"{beside}is not a regular file: name another file")
        if not read_only:
            with suppress(FileExistsError):  # do not open it: to close it would end a lock that this process has
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._read_only = read_only
        self._sync_runs = 0
        self._erased: dict[str, int] = {}
        # With `mode=ro` the files that readers make beside it would stay. `rw` does not create the file.
        self._sql = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", timeout=0, isolation_level=None, uri=True)
        try:
            if read_only:
                self._open_to_read()
            else:
                self._open()
        except BaseException:
            self._sql.close()
            raise

    def _files(self) -> list[Path]:
        """Return the file and the files beside it that exist."""
        files = [self._path.with_name(self._path.name + end) for end in _FILE_ENDINGS]
        return [file for file in files if os.path.lexists(file)]

    def _open_to_read(self) -> None:
        """Open the file for reading. Other processes may read it too, but none can write it meanwhile."""
        self._sql.execute("PRAGMA query_only = ON")
        self._sql.execute("BEGIN")
        if self._is_empty():
            raise UnusableFile("is empty: name a store that `customers changes` has filled")
        self._check()

    def _open(self) -> None:
        run = self._sql.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # the lock of the first transaction is kept until the file is closed
        run("BEGIN EXCLUSIVE")
        if self._is_empty():
            for statement in _SCHEMA:
                run(statement)
        else:
            self._check()
        # Customers yielded as deleted or erased, until no trace of them is left. Older files lack this table.
        run("CREATE TABLE IF NOT EXISTS to_wipe (id TEXT PRIMARY KEY) WITHOUT ROWID")
        # Customers whose latest version has no personal data. Older files lack this table.
        run("CREATE TABLE IF NOT EXISTS empty (id TEXT PRIMARY KEY) WITHOUT ROWID")
        run("COMMIT")
        self._make_private()
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA secure_delete = ON")
        run("PRAGMA temp_store = MEMORY")  # in a temporary file a copy would be deleted, but not wiped
        run("CREATE TEMP TABLE seen (sync_run INTEGER, id TEXT, PRIMARY KEY (sync_run, id)) WITHOUT ROWID")

    def _is_empty(self) -> bool:
        return bool(
            self._one("SELECT count(*) FROM sqlite_master")
            == self._one("PRAGMA application_id")
            == self._one("PRAGMA user_version")
            == 0
        )

    def _check(self) -> None:
        """Raise `UnusableFile` for a file that this version cannot use."""
        application, version = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        if application != _APPLICATION:
            raise UnusableFile("is the database of another program: name another file")
        if version != _VERSION:
            raise UnusableFile(
                f"has the format {version}, and this version of ticketsource_async reads the format {_VERSION}: "
                + ("upgrade ticketsource_async" if version > _VERSION else _NEW_FILE)
            )
        if self._one("PRAGMA integrity_check(1)") != "ok":  # 0.2 s for 200,000; a lost row would come as a new customer
            raise UnusableFile(damaged("its pages do not fit together"))

    def _make_private(self) -> None:
        """Let only the owner read the files. An empty file, or a copy with another mode, may have been there before."""
        for file in self._files():
            try:
                if file.stat().st_mode & 0o077:
                    self._chmod(file, 0o600)
            except OSError as error:
                _LOG.warning(
                    "Other users may be able to read %s: its mode cannot be changed (%s).", file, error.strerror
                )
                return  # SQLite gives the others the same mode

    def _one(self, query: str) -> Any:
        return self._sql.execute(query).fetchone()[0]

    def close(self) -> None:
        try:
            if not self._read_only:
                self.wipe()
        finally:
            self._sql.close()

    def acknowledge(self, customer_id: str, record: bytes | None) -> None:
        if record is None:
            self._sql.execute(_FORGET_DELETED, (customer_id,))
        elif customer_id not in self._erased:
            self._sql.execute(_ACKNOWLEDGE, (customer_id, record))

    def acknowledge_pending(self, changed: Sequence[tuple[str]], deleted: Sequence[tuple[str]]) -> None:
        with self._transaction():
            self._sql.executemany(_ACKNOWLEDGE_PENDING, changed)
            self._sql.executemany(_FORGET_DELETED, deleted)

    def renew(self, rows: Sequence[tuple[bytes, str, bytes]]) -> None:
        """Write the new bytes of records that did not change."""
        with self._transaction():
            self._sql.executemany(
                "UPDATE customer SET record = ? WHERE id = ? AND record = ? AND pending IS NULL", rows
            )

    def mark_pending(
        self, rows: Sequence[tuple[str, bool, bytes | None, str]], gone: Sequence[tuple[str]], empty: Sequence[str]
    ) -> None:
        """Note changes as pending.

        Each row has the id, whether the customer is new, the record (None for a deletion) and the fields. `gone` are
        the customers who are deleted or erased: once the change is acknowledged, `wipe` leaves no trace of them.
        `empty` are the ids of the customers whose record has no personal data now.
        """
        # The change is on the disk before it is yielded: it must survive a loss of power.
        self._sql.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            self._sql.executemany("INSERT OR IGNORE INTO to_wipe VALUES (?)", gone)
            self._sql.executemany("DELETE FROM empty WHERE id = ?", [(row[0],) for row in rows])
            self._sql.executemany("INSERT INTO empty VALUES (?)", [(one,) for one in empty if one not in self._erased])
            for customer_id, new, record, fields in rows:
                if customer_id in self._erased:
                    continue
                if record is None:
                    self._sql.execute(_MARK_DELETED, (customer_id,))
                else:
                    self._sql.execute(_MARK_NEW if new else _MARK_PENDING, (record, fields, customer_id))
        self._sql.execute("PRAGMA synchronous = NORMAL")

    def mark_empty(self, ids: Sequence[str]) -> None:
        """Note that the acknowledged records of these customers, if there are any, have no personal data."""
        with self._transaction():
            self._sql.executemany(
                "INSERT OR IGNORE INTO empty SELECT id FROM customer WHERE id = ? AND pending IS NULL",
                [(customer_id,) for customer_id in ids],
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:  # some errors end it themselves
                self._sql.execute("ROLLBACK")
            raise

    def erase(self, customer_id: str) -> bool:
        self._erased[customer_id] = self._sync_runs
        known = self._sql.execute("DELETE FROM customer WHERE id = ?", (customer_id,)).rowcount > 0
        self._sql.execute("DELETE FROM to_wipe WHERE id = ?", (customer_id,))
        self._sql.execute("DELETE FROM empty WHERE id = ?", (customer_id,))
        self._leave_no_trace()
        return known

    def wipe(self) -> None:
        """Leave no trace of customers whose deletion or erasure is acknowledged, also of those from an interrupted run.

        If this fails, it is logged and done again at the next call. It does not raise, since that would hide the error
        that ends a loop.
        """
        done = self._sql.execute(
            "SELECT id FROM to_wipe WHERE NOT EXISTS "
            "(SELECT 1 FROM customer WHERE customer.id = to_wipe.id AND pending IS NOT NULL)"
        ).fetchall()
        if done:
            try:
                self._leave_no_trace()  # before the ids are removed: after an interruption it is done again
                with self._transaction():
                    self._sql.executemany("DELETE FROM to_wipe WHERE id = ?", done)
            except sqlite3.Error as error:
                _LOG.warning(
                    "Data of deleted or erased customers are still in %s (%s). The next loop over changes, or the "
                    "closing of the store, removes them.",
                    *(self._path, error),
                )

    def _leave_no_trace(self) -> None:
        self._sql.execute("VACUUM")  # SQLite keeps old copies of rows in the free parts of pages
        self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the journal still has the record

    def box_office(self) -> tuple[str, str] | None:
        """Return the base URL and the hash of the key of the box office; None while the store has no customers."""
        if self._sql.execute("SELECT 1 FROM customer LIMIT 1").fetchone() is None:
            return None
        found: tuple[str, str] | None = self._sql.execute("SELECT base_url, key_hash FROM box_office").fetchone()
        if found is None:  # with the key of another box office, all customers would count as deleted
            raise UnusableFile(damaged("its box office is missing"))
        return found

    def bind(self, base_url: str, key_hash: str) -> None:
        self._sql.execute("REPLACE INTO box_office VALUES (1, ?, ?)", (base_url, key_hash))

    def some_ids(self) -> list[str]:
        query = "SELECT id FROM customer ORDER BY random() LIMIT ?"
        return [row[0] for row in self._sql.execute(query, (_MOST_SAMPLE_IDS,))]

    def start_sync_run(self) -> int:
        self._sync_runs += 1
        return self._sync_runs

    def mark_seen(self, sync_run: int, ids: Sequence[str]) -> list[bool]:
        """Return, for each customer, whether this sync run sees them for the first time.

        A customer who was erased before the sync run may be stored again.
        """
        for customer_id in self._erased.keys() & set(ids):
            if self._erased[customer_id] < sync_run:
                del self._erased[customer_id]
        insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
        return [self._sql.execute(insert, (sync_run, customer_id)).rowcount > 0 for customer_id in ids]

    def stored(self, ids: Sequence[str]) -> dict[str, _Row]:
        ids = [customer_id for customer_id in ids if customer_id not in self._erased]
        found: dict[str, _Row] = {}
        for start in range(0, len(ids), _ROWS_AT_A_TIME):
            some = ids[start : start + _ROWS_AT_A_TIME]
            places = ", ".join("?" * len(some))
            query = f"SELECT id, record, pending, fields FROM customer WHERE id IN ({places})"  # noqa: S608 - question marks alone
            found |= {row[0]: row[1:] for row in self._sql.execute(query, some)}
        return {customer_id: found.get(customer_id, (None, None, None)) for customer_id in ids}

    def not_seen(self, sync_run: int, after: str) -> list[tuple[str, bytes]]:
        query = (
            f"SELECT id, coalesce(record, pending) FROM customer WHERE id > ? AND {_WITH_DATA} AND NOT EXISTS "  # noqa: S608 - a constant
            "(SELECT 1 FROM seen WHERE sync_run = ? AND seen.id = customer.id) ORDER BY id LIMIT ?"
        )
        return self._sql.execute(query, (after, sync_run, _ROWS_AT_A_TIME)).fetchall()

    def count(self) -> int:
        found: int = self._one(f"SELECT count(*) FROM customer WHERE {_WITH_DATA}")  # noqa: S608 - as above
        return found

    def count_not_seen(self, sync_run: int) -> int:
        query = (
            f"SELECT count(*) FROM customer WHERE {_WITH_DATA} AND id NOT IN (SELECT id FROM seen WHERE sync_run = ?)"  # noqa: S608 - as above
        )
        found: int = self._sql.execute(query, (sync_run,)).fetchone()[0]
        return found

    def records(self, ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return each customer who is still stored: the last acknowledged version, else the pending one."""
        rows = {customer_id: record or pending for customer_id, (record, pending, _) in self.stored(ids).items()}
        return [(customer_id, packed) for customer_id, packed in rows.items() if packed]

    def seen(self, sync_run: int, after: str) -> list[tuple[str, bytes]]:
        query = (
            "SELECT id, coalesce(nullif(pending, x''), record) FROM seen JOIN customer USING (id) "
            "WHERE sync_run = ? AND id > ? ORDER BY id LIMIT ?"
        )
        return self._sql.execute(query, (sync_run, after, _ROWS_AT_A_TIME)).fetchall()

    def latest(self, after: str) -> list[tuple[str, bytes]]:
        query = (
            "SELECT id, coalesce(pending, record) FROM customer WHERE id > ? AND pending IS NOT x'' ORDER BY id LIMIT ?"
        )
        return self._sql.execute(query, (after, _ROWS_AT_A_TIME)).fetchall()

    def end_sync_run(self, sync_run: int) -> None:
        self._sql.execute("DELETE FROM seen WHERE sync_run = ?", (sync_run,))


class UnusableFile(Exception):
    """This version of the library cannot use the file."""


def damaged(why: str) -> str:
    """Return the error text for a file that is damaged as a whole."""
    return f"is damaged ({why}): restore a copy of it, or {_NEW_FILE}"
