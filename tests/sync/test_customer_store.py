"""The file in which a sync keeps customers."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import attrs
import pytest

from ticketsource_async import (
    Address,
    Change,
    Consent,
    Created,
    Customer,
    CustomerStore,
    Deleted,
    Links,
    Membership,
    StoreError,
    StoreInUse,
    TicketSource,
    Updated,
)
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync.store import Stored

ZOE = Customer(
    id="cst-1",
    first_name="Zoë",
    last_name="O'Neill-Somebody",
    address=Address(line_1="1 High Street", extra={"town": "Leeds"}),
    membership=Membership(identifier="M1", start_date=date(2024, 1, 1)),
    consent=Consent(email=True, post=False),
    created_at=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
    links=Links(self_="https://x/1", extra={"shop": "https://x/shop"}),
    extra={"score": Decimal("0.10"), "long": "0.12345678901234567890123", "deep": [None, {"vip": True}]},
)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "customers.db"


async def mark_and_acknowledge(store: CustomerStore, change: Change) -> None:
    """Mark a change as pending and acknowledge it, as a loop does."""
    await store.mark_pending([(change, ())])
    await store.acknowledge(change)


async def stored_customers(store: CustomerStore) -> list[Customer]:
    """Return all customers in a store."""
    return [customer async for customer in store.not_seen(await store.start_sync_run())]


async def test_a_reopened_store_has_every_field_of_a_customer(path: Path) -> None:
    """The record equals the acknowledged one, with all digits and unknown attributes."""
    async with CustomerStore(path) as store:
        await mark_and_acknowledge(store, Created(ZOE))
    async with CustomerStore(path) as store:
        assert await stored_customers(store) == [ZOE]
        assert await store.differing([ZOE]) == []
        moved = attrs.evolve(ZOE, email="zoe@example.com")
        assert await store.differing([moved]) == [Stored(moved, ZOE, None, deleted=False)]
        await mark_and_acknowledge(store, Updated(ZOE, moved, ("email",)))
        assert await stored_customers(store) == [moved]
        await mark_and_acknowledge(store, Deleted(moved))
        assert await stored_customers(store) == []


async def test_get_returns_the_latest_record_of_a_customer(path: Path) -> None:
    """It does so before and after acknowledgement. It returns None for a deleted or unknown customer."""
    moved = attrs.evolve(ZOE, email="zoe@example.com")
    async with CustomerStore(path) as store:
        never = await store.get(ZOE.id)
        await store.mark_pending([(Created(ZOE), ())])
        new = await store.get(ZOE.id)
        await store.acknowledge(Created(ZOE))
        known_by_now = await store.get(ZOE.id)
        await store.mark_pending([(Updated(ZOE, moved, ("email",)), ("email",))])
        changed = await store.get(ZOE.id)
        await store.mark_pending([(Deleted(moved), ())])
        gone = await store.get(ZOE.id)

    assert (never, new, known_by_now, changed, gone) == (None, ZOE, ZOE, moved, None)


def contents(folder: Path) -> bytes:
    """Read all files in a folder in another process: to close a file here would end the locks on it."""
    return subprocess.run(["cat", *folder.iterdir()], capture_output=True, check=True).stdout


async def test_erase_leaves_no_trace_of_a_customer_in_the_files(path: Path) -> None:
    """Neither the file nor its journal has a word of the record, even while the store is open.

    Unordered ids and records of many lengths make SQLite split pages of the file, which leaves copies.
    """
    chance = random.Random(1)
    people = [
        attrs.evolve(ZOE, id=f"cst-{chance.getrandbits(64):016x}", last_name=f"{n:04}" * chance.randrange(2, 60))
        for n in range(3000)
    ]
    erased = people[:300]
    async with CustomerStore(path) as store:
        for person in people:
            await mark_and_acknowledge(store, Created(person))
        assert {await store.erase(person.id) for person in erased} == {True}
        assert not await store.erase("cst-nobody")
        assert {person.id for person in await stored_customers(store)} == {person.id for person in people[300:]}
        in_files = await asyncio.to_thread(contents, path.parent)

    for text in (in_files, path.read_bytes()):
        left = [person for person in erased if person.id.encode() in text or f'"{person.last_name}"'.encode() in text]
        assert left == []
        assert people[300].id.encode() in text


async def test_a_customer_erased_during_a_loop_is_not_stored_again_by_it(path: Path, many: Sandbox) -> None:
    """Neither the change in hand nor one of the same page restores them. A later page does not yield them."""
    everybody = many.customers.ids()
    erased = [everybody[0], everybody[1], everybody[250]]
    async with CustomerStore(path) as store, TicketSource(many.api_key, base_url=many.url) as ts:
        async with aclosing(ts.customers.changes(store)) as changes:
            assert (await anext(changes)).id == erased[0]
            for customer_id in erased:
                await store.erase(customer_id)
            assert [change.id async for change in changes] == [i for i in everybody[1:] if i != erased[2]]
        assert {customer.id for customer in await stored_customers(store)} == set(everybody) - set(erased)
        assert [change.id async for change in ts.customers.changes(store)] == erased
        assert [change async for change in ts.customers.changes(store)] == []


async def test_a_store_is_readable_by_its_owner_alone(path: Path) -> None:
    """The file and its journal hold people's addresses."""
    async with CustomerStore(path) as store:
        await mark_and_acknowledge(store, Created(ZOE))
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
        assert len(list(path.parent.iterdir())) == 2  # the file and its write-ahead log


async def test_an_existing_empty_file_becomes_private_and_a_link_is_followed(path: Path) -> None:
    """An empty file that others can read, and a link to a missing file, become private stores."""
    path.touch(mode=0o644)
    link = path.with_name("link.db")
    link.symlink_to(path.with_name("real.db"))
    for file in (path, link):
        async with CustomerStore(file) as store:
            await mark_and_acknowledge(store, Created(ZOE))

    assert link.is_symlink()
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


async def test_only_one_process_at_a_time_can_use_a_store(path: Path) -> None:
    """A second opening, in this process or another, raises at once. It succeeds when the first has ended."""
    code = f"""
import asyncio
from ticketsource_async import CustomerStore, StoreInUse

async def main():
    try:
        async with CustomerStore({str(path)!r}):
            print("opened")
    except StoreInUse as error:
        print(error, error.path)

asyncio.run(main())
"""

    async def other() -> str:
        return await asyncio.to_thread(subprocess.check_output, [sys.executable, "-W", "error", "-c", code], text=True)

    async with CustomerStore(path) as store:
        await mark_and_acknowledge(store, Created(ZOE))
        assert "is in use, by another process" in await other()
        assert (await other()).endswith(f"{path}\n")
        with pytest.raises(StoreInUse):
            await CustomerStore(path).__aenter__()
        assert "is in use" in await other()  # the failed opening has not released the lock
    assert await other() == "opened\n"


def other_database(path: Path) -> None:
    """Make a SQLite file that is not a store."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customer (id TEXT)")
    database.close()


def other_version(form: int, path: Path) -> None:
    """Make a store as another version of this library may have it."""

    async def make() -> None:
        async with CustomerStore(path):
            pass

    asyncio.run(make())
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {form}")
    database.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("id,title\n" * 1000), "is another kind of file"),
        (other_database, "is another database"),
        (partial(other_version, 1), "has the form 1 of another version .* this one reads form 3: name a new file"),
        (partial(other_version, 9), "has the form 9 of another version .* this one reads form 3: upgrade"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (lambda path: os.mkfifo(path, 0o644), "is not a regular file"),
    ],
)
def test_a_file_that_is_not_a_store_is_refused_and_unchanged(path: Path, make: object, said: str) -> None:
    """The error names the file and what it is instead."""
    make(path)  # type: ignore[operator]  # a table of functions
    before, mode = path.read_bytes() if path.is_file() else None, path.stat().st_mode

    async def open_it() -> None:
        await CustomerStore(path).__aenter__()

    with pytest.raises(StoreError, match=said) as caught:
        asyncio.run(open_it())
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert path.stat().st_mode == mode


async def test_a_missing_folder_is_reported(path: Path) -> None:
    """The store does not create the folder."""
    with pytest.raises(StoreError, match="No such file or directory"):
        await CustomerStore(path / "deeper").__aenter__()


async def test_a_store_can_be_used_only_while_it_is_open(path: Path) -> None:
    """Before, afterwards and at a second opening, a `StoreError` says what to do. Closing twice is allowed."""
    store = CustomerStore(path)
    with pytest.raises(StoreError, match="not open: use `async with`"):
        await mark_and_acknowledge(store, Created(ZOE))
    assert repr(store) == f"<CustomerStore {path} not opened>"
    async with store:
        assert repr(store) == f"<CustomerStore {path} open>"
        with pytest.raises(StoreError, match="was opened before"):
            await store.__aenter__()
    await store.aclose()
    assert repr(store) == f"<CustomerStore {path} closed>"
    with pytest.raises(StoreError, match="is closed"):
        await mark_and_acknowledge(store, Created(ZOE))
    with pytest.raises(StoreError, match="was opened before"):
        await store.__aenter__()


async def test_a_cancelled_acknowledge_still_takes_effect(path: Path) -> None:
    """A processed change is not yielded again because its consumer is cancelled at this moment."""
    async with CustomerStore(path) as store:
        await store.mark_pending([(Created(ZOE), ())])
        acknowledging = asyncio.create_task(store.acknowledge(Created(ZOE)))
        await asyncio.sleep(0)
        acknowledging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acknowledging
        assert await stored_customers(store) == [ZOE]


async def test_a_loop_that_is_cancelled_before_its_first_page_is_closed(
    path: Path, box: Sandbox, ts: TicketSource
) -> None:
    """It does not block `rebind`."""
    async with CustomerStore(path) as store:
        for turns in range(6):
            beginning = asyncio.ensure_future(anext(ts.customers.changes(store)))
            for _ in range(turns):
                await asyncio.sleep(0)
            beginning.cancel()
            with pytest.raises(asyncio.CancelledError):
                await beginning
        await ts.customers.rebind(store)


async def test_acknowledging_an_older_change_keeps_the_newer_one(path: Path) -> None:
    """This holds for an older update and for an older deletion."""
    moved = attrs.evolve(ZOE, email="moved@example.com")
    async with CustomerStore(path) as store:
        await mark_and_acknowledge(store, Created(ZOE))
        await mark_and_acknowledge(store, Updated(ZOE, moved, ("email",)))
        await store.mark_pending([(Deleted(moved), ())])
        await mark_and_acknowledge(store, Created(ZOE))
        await store.acknowledge(Deleted(moved))
        await store.acknowledge(Updated(ZOE, moved, ("email",)))
        assert await stored_customers(store) == [ZOE]
        assert await store.differing([ZOE]) == []


async def test_a_newer_loop_ends_an_older_one(path: Path, box: Sandbox, ts: TicketSource) -> None:
    """The older loop raises. If its change is acknowledged later, that does not overwrite the newer change."""
    [zoe] = box.customers.insert(1, at=0)
    box.customers.update(zoe, {"consent": {"email": True}})
    async with CustomerStore(path) as store:
        async for change in ts.customers.changes(store):
            assert isinstance(change, Created)
        box.customers.update(zoe, {"consent": {"email": False}})
        box.customers.update(box.customers.ids()[1], {"last_name": "Changed"})
        async with aclosing(ts.customers.changes(store)) as older:
            withdrawn = await anext(older)
            box.customers.update(zoe, {"consent": {"email": True}})
            given = [change async for change in ts.customers.changes(store)]
            box.customers.update(zoe, {"consent": {"email": False}})
            with pytest.raises(StoreInUse, match="loop over changes that began later"):
                await anext(older)
        await store.acknowledge(withdrawn)
        again = [change async for change in ts.customers.changes(store)]

    assert [(change.id, change.consent_changed) for change in given] == [(zoe, True), (box.customers.ids()[1], False)]
    assert [(change.id, change.consent_changed) for change in again] == [(zoe, True)]


async def test_a_new_key_is_accepted_only_if_it_finds_a_stored_customer(path: Path, box: Sandbox) -> None:
    """`rebind` accepts a rotated key. It refuses that of another box office, and one that the API refuses."""
    async with CustomerStore(path) as store, TicketSource(box.api_key, base_url=box.url) as ts:
        assert len([change async for change in ts.customers.changes(store)]) == 25
        async with (
            Sandbox(customers=5, seed=9, api_key="skl-other") as other,
            TicketSource(other.api_key, base_url=other.url) as elsewhere,
        ):
            with pytest.raises(StoreError, match=f"is of {box.url}, not of {other.url}"):
                await anext(elsewhere.customers.changes(store))
            with pytest.raises(StoreError, match="none of 25 customers in it is found"):
                await elsewhere.customers.rebind(store)
        async with TicketSource("skl-wrong", base_url=box.url) as wrong:
            with pytest.raises(Exception, match="401"):
                await wrong.customers.rebind(store)
        assert [change async for change in ts.customers.changes(store)] == []

        box.api_key = "skl-rotated"
        async with TicketSource(box.api_key, base_url=box.url) as rotated:
            with pytest.raises(StoreError, match="was filled with another API key"):
                await anext(rotated.customers.changes(store))
            await rotated.customers.rebind(store)
            assert [change async for change in rotated.customers.changes(store)] == []
    assert b"skl-rotated" not in path.read_bytes()


async def test_a_new_store_is_bound_by_the_first_answer_of_a_box_office(path: Path, box: Sandbox) -> None:
    """A first run with a wrong key does not bind the store. An open loop or a yielded change does."""
    async with (
        Sandbox(customers=2, seed=9) as other,
        TicketSource(other.api_key, base_url=other.url) as elsewhere,
        TicketSource("skl-wrong", base_url=box.url) as wrong,
        TicketSource(box.api_key, base_url=f"{box.url}/") as ts,
    ):
        async with CustomerStore(path) as store:
            with pytest.raises(Exception, match="401"):
                await anext(wrong.customers.changes(store))
            async with aclosing(ts.customers.changes(store)) as open_loop:
                await anext(open_loop)
                with pytest.raises(StoreError, match="name another file"):
                    await anext(elsewhere.customers.changes(store))
                with pytest.raises(StoreError, match="loop over changes that is open"):
                    await ts.customers.rebind(store)
        async with CustomerStore(path) as store, TicketSource(box.api_key, base_url=box.url) as same:
            with pytest.raises(StoreError, match="name another file"):
                await anext(elsewhere.customers.changes(store))
            assert len([change async for change in same.customers.changes(store)]) == 25


async def test_one_of_two_box_offices_that_start_at_once_is_refused(path: Path, box: Sandbox) -> None:
    """The store has no customer of the refused box office."""
    async with (
        Sandbox(customers=2, seed=9) as other,
        TicketSource(other.api_key, base_url=other.url) as elsewhere,
        TicketSource(box.api_key, base_url=box.url) as ts,
        CustomerStore(path) as store,
    ):
        loops = [aiter(client.customers.changes(store)) for client in (ts, elsewhere)]
        first = await asyncio.gather(*map(anext, loops), return_exceptions=True)
        refused = [type(outcome) for outcome in first]
        assert StoreError in refused  # the other has its first change, or is the older of the two loops
        there = other if refused[0] is StoreError else box
        assert {customer.id for customer in await stored_customers(store)} <= set(there.customers.ids())


async def test_a_page_larger_than_one_sqlite_query_is_compared(path: Path) -> None:
    """An API may send its whole list on one page. One query of SQLite can name fewer ids."""
    ids = [f"cst-{number}" for number in range(260_000)]
    async with CustomerStore(path) as store:
        await store.mark_pending([(Created(Customer(ids[-1])), ())])

        rows = await store._do(store._opened.stored, ids)

    assert len(rows) == len(ids)
    assert [customer_id for customer_id, row in rows.items() if any(row)] == [ids[-1]]
