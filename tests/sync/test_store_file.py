"""A damaged or readable store, or one that is no file: the sync is correct, or a `StoreError` says what to do."""

import errno
import logging
import os
import random
import re
import shutil
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from command import run
from nodes import NODES
from syncing import sync

from ticketsource_async import Change, CustomerStore, Deleted, StoreError, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync._sqlite import StoreFile

Damage = Callable[[random.Random, Path], None]


def _flip_a_byte(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def _fill_a_byte(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def _damage_the_head_of_a_page(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data) // _PAGE) * _PAGE + chance.randrange(12)] = chance.randrange(256)
    path.write_bytes(data)


def _damage_the_head_of_the_file(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(100)] = chance.randrange(256)
    path.write_bytes(data)


def _truncate(chance: random.Random, path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(chance.randrange(1, path.stat().st_size))


def _empty_a_page(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data) // _PAGE) * _PAGE
    data[start : start + _PAGE] = bytes(_PAGE)
    path.write_bytes(data)


def _swap_two_pages(chance: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    one, two = (n * _PAGE for n in chance.sample(range(len(data) // _PAGE), 2))
    data[one : one + _PAGE], data[two : two + _PAGE] = data[two : two + _PAGE], data[one : one + _PAGE]
    path.write_bytes(data)


def _damage_a_record(chance: random.Random, path: Path) -> None:
    def flip(record: bytes) -> bytes:
        data = bytearray(record)
        data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)

    _change_a_row(chance, path, flip)


def _cut_a_record(chance: random.Random, path: Path) -> None:
    _change_a_row(chance, path, lambda record: record[: chance.randrange(len(record))])


def _put_foreign_json(chance: random.Random, path: Path) -> None:
    foreign = (
        *(b"null", b"[]", b"{}", b"1", b'"cst-1"', b'{"id": "cst-1"}', b'{"id": null}', b'{"customer": {}}'),
        *(b"[" * 100_000, b'"\xff"', b"\x00", b"", b"NaN", b'{"id": "cst-1", "last_name": 5}', b'{"data": [{}]}'),
    )
    _change_a_row(chance, path, lambda _: chance.choice(foreign))


def _put_another_kind_of_value(chance: random.Random, path: Path) -> None:
    _change_a_row(chance, path, lambda _: chance.choice((None, 0, 7, 1.5, "text", "[]")))


def _change_a_row(chance: random.Random, path: Path, change: Callable[[bytes], object]) -> None:
    with sqlite3.connect(path) as database:
        [(customer_id, record)] = chance.sample(database.execute("SELECT id, record FROM customer").fetchall(), 1)
        column = chance.choice(("record", "record", "record", "pending", "fields", "id"))
        value = change(record)
        if column in ("fields", "id") and isinstance(value, bytes):
            value = value.decode("latin-1")
        if not (column == "id" and value is None):  # which SQLite refuses
            database.execute(f"UPDATE customer SET {column} = ? WHERE id = ?", (value, customer_id))
    database.close()


def _change_the_tables(chance: random.Random, path: Path) -> None:
    statement = chance.choice(
        (
            "DROP TABLE customer",
            "DROP TABLE box_office",
            "DELETE FROM box_office",
            "UPDATE box_office SET key_hash = 'x'",
            "UPDATE box_office SET base_url = x'ff'",
            "ALTER TABLE customer DROP COLUMN fields",
            "ALTER TABLE customer RENAME COLUMN record TO kept",
            "PRAGMA application_id = 5",
            "PRAGMA user_version = -1",
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE customer (\x1b\u00e9'",
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = CAST(x'637265617465ff' AS TEXT)",
        )
    )
    database = sqlite3.connect(path)
    database.executescript(statement)
    database.commit()
    database.close()


def _spoil_the_journal(chance: random.Random, path: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(chance.randbytes(chance.choice((0, 31, 32, 5_000))))


_PAGE: Final = 4096
DAMAGES: Final[tuple[Damage, ...]] = (
    _flip_a_byte,
    _fill_a_byte,
    _damage_the_head_of_a_page,
    _damage_the_head_of_the_file,
    _truncate,
    _empty_a_page,
    _swap_two_pages,
    _damage_a_record,
    _cut_a_record,
    _put_foreign_json,
    _put_another_kind_of_value,
    _change_the_tables,
    _spoil_the_journal,
)


async def _prepared(path: Path, box: Sandbox, ts: TicketSource) -> list[Change]:
    """Fill a store, with some changes pending, then change customers, and return the changes that were yielded."""
    ids = box.customers.ids()
    async with CustomerStore(path) as store:
        yielded = await sync(ts, store)
        for number in (3, 30, 90):
            box.customers.update(ids[number], {"last_name": "Pending"})
        box.customers.delete([ids[40]])
        yielded += [change async for change in ts.customers.changes(store, acknowledge=False)]
    for number in (3, 50, 51):
        box.customers.update(ids[number], {"first_name": "Changed", "consent": {"email": False}})
    box.customers.delete([ids[120]])
    box.customers.insert(1, at=60)
    return yielded


def _damaged(chance: random.Random, damage: Damage, sound: Path, path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    shutil.copy(sound, path)
    damage(chance, path)


@pytest.mark.parametrize(("seed", "times"), [(1, 13), pytest.param(2, 40, marks=pytest.mark.slow, id="slow")])
async def test_a_sync_with_a_damaged_store_is_correct_or_raises_a_store_error(
    tmp_path: Path, seed: int, times: int
) -> None:
    """It deletes no existing customer. The error says what to do."""
    sound, path = tmp_path / "sound.db", tmp_path / "customers.db"
    chance, outcomes = random.Random(seed), Counter[bool]()
    async with (
        Sandbox(customers=150, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts,
    ):
        yielded = await _prepared(sound, box, ts)
        there = {customer.id: customer async for customer in ts.customers.list()}
        for damage in DAMAGES * times:
            _damaged(chance, damage, sound, path)
            other_system = {change.id: change.after for change in yielded}
            refused: StoreError | None = None
            try:
                async with CustomerStore(path) as store:
                    async for change in ts.customers.changes(store):
                        assert not isinstance(change, Deleted) or change.id not in there, damage
                        other_system[change.id] = change.after
            except StoreError as error:
                refused = error
            outcomes[refused is None] += 1
            if refused is None:
                assert {i: after for i, after in other_system.items() if i in there} == there, damage
            else:
                assert str(refused).startswith(f"The customer store {path} ")
                assert re.search("put back a copy|name a|upgrade|look at", str(refused)), damage
                assert str(refused).isprintable()

    assert outcomes[False] > outcomes[True] > 0


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_command_reports_a_damaged_store_in_one_line(tmp_path: Path, box: Sandbox, damage: Damage) -> None:
    """It shows no traceback, and deletes no customer."""
    sound, path = tmp_path / "sound.db", tmp_path / "customers.db"
    chance = random.Random(4)
    await run("customers", "changes", "--store", str(sound), box=box)
    for _ in range(3):
        _damaged(chance, damage, sound, path)
        done = await run("customers", "changes", "--store", str(path), box=box)

        assert (done.code, done.err.count("\n")) in ((0, 1), (1, 1))
        assert '"change": "deleted"' not in done.out
        assert done.code == 0 or done.err.startswith(f"ticketsource: The customer store {path} ")


async def test_a_damaged_row_is_named_and_can_be_erased(box: Sandbox, ts: TicketSource, tmp_path: Path) -> None:
    """The error has the customer's id. After `erase` the sync goes on, and yields the customer as created."""
    path = tmp_path / "customers.db"
    async with CustomerStore(path) as store:
        await sync(ts, store)
    odd = box.customers.ids()[7]
    with sqlite3.connect(path) as database:
        database.execute("UPDATE customer SET record = '{\"secret\": 1}' WHERE id = ?", (odd,))
    database.close()

    async with CustomerStore(path) as store:
        with pytest.raises(StoreError, match=f"in the row of the customer {odd}: .*customers forget") as caught:
            await sync(ts, store)
        assert (caught.value.path, caught.value.id) == (str(path), odd)
        assert "secret" not in str(caught.value)
        assert await store.erase(odd)
        assert [(change.kind, change.id) for change in await sync(ts, store)] == [("created", odd)]


async def test_an_invalid_id_in_the_store_is_not_shown_in_the_error(
    box: Sandbox, ts: TicketSource, tmp_path: Path
) -> None:
    """It may contain personal data or escape sequences."""
    path = tmp_path / "customers.db"
    async with CustomerStore(path) as store:
        await sync(ts, store)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE customer SET id = 'zoe@example.com' || char(27) WHERE id = ?", box.customers.ids(0, 1))
    database.close()

    async with CustomerStore(path) as store:
        with pytest.raises(StoreError, match=r"the id of a customer cannot be read.*put back a copy") as caught:
            await sync(ts, store)
    assert "zoe" not in str(caught.value)


async def test_a_store_without_its_box_office_is_refused_until_rebind(
    box: Sandbox, ts: TicketSource, tmp_path: Path
) -> None:
    """With the key of another box office, all customers would count as deleted."""
    path = tmp_path / "customers.db"
    async with CustomerStore(path) as store:
        await sync(ts, store)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM box_office")
    database.close()

    async with (
        Sandbox(customers=2, seed=9) as other,
        TicketSource(other.api_key, base_url=other.url) as elsewhere,
        CustomerStore(path) as store,
    ):
        with pytest.raises(StoreError, match="does not say whose customers"):
            await sync(elsewhere, store)
        await ts.customers.rebind(store)
        assert await sync(ts, store) == []


async def test_a_store_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    """So does the journal that a killed program has left."""
    path, journal = tmp_path / "customers.db", tmp_path / "customers.db-wal"
    async with CustomerStore(path):
        pass
    journal.touch()
    for file in (path, journal):
        file.chmod(0o666)

    async with CustomerStore(path):
        assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {
            path.name: 0o600,
            journal.name: 0o600,
        }


def test_a_file_system_that_forbids_chmod_causes_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Some file systems do so, such as vfat. The store can be used."""
    path = tmp_path / "customers.db"
    path.touch(0o644)

    def refuse(file: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(file))

    store = StoreFile(path, chmod=refuse)
    store.bind("https://x", "hash")
    store.close()

    [told] = caplog.records
    assert told.levelno == logging.WARNING
    assert told.getMessage() == (
        f"Others may be able to read {path}: its mode cannot be changed (Operation not permitted)."
    )


@pytest.mark.parametrize("kind", NODES)
@pytest.mark.parametrize("name", ["customers.db", "customers.db-wal", "customers.db-journal", "customers.db-shm"])
async def test_a_path_that_is_not_a_regular_file_is_refused_and_unchanged(
    box: Sandbox, tmp_path: Path, name: str, kind: str
) -> None:
    """This holds for the store and for the files that SQLite makes beside it. No other file is made."""
    NODES[kind](tmp_path / name)
    before = (tmp_path / name).stat()

    done = await run("customers", "changes", "--store", str(tmp_path / "customers.db"), box=box)

    if (name, kind) in (("customers.db", "folder"), ("customers.db", "link to a folder")):
        assert (done.code, "is a directory" in done.err) == (2, True)
    else:
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "is not a regular file: name another file" in done.err
        assert str(tmp_path / name) in done.err
    after = (tmp_path / name).stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert not box.requests
