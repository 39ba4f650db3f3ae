"""Ids in a store whose form differs from that in the documentation."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from command import run
from loops import read_until_it_raises
from mocked import KEY, ONCE, MockedAPI
from rows import customer_row, page
from syncing import sync

from ticketsource_async import (
    Created,
    CustomerStore,
    Deleted,
    InvalidID,
    StoreError,
    TicketSource,
)
from ticketsource_async.sandbox import Sandbox

NOT_FOUND = {"errors": [{"status": 404, "code": "not_found", "title": "Not found"}]}
LIST = "/customers?page=1&per_page=100"


def change_stored_record(path: Path, customer_id: str, **changed: object) -> None:
    """Change the record of a customer in a store, as another version may have written it."""
    database = sqlite3.connect(path)
    with database:
        (packed,) = database.execute("SELECT record FROM customer WHERE id = ?", [customer_id]).fetchone()
        record = {**json.loads(packed), **changed}
        row = (record["id"], json.dumps(record).encode(), customer_id)
        database.execute("UPDATE customer SET id = ?, record = ? WHERE id = ?", row)
    database.close()


async def filled(box: Sandbox, path: Path) -> list[str]:
    """Fill a store with the customers of a box office and return their ids."""
    async with TicketSource(box.api_key, base_url=box.url) as ts, CustomerStore(path) as store:
        return [change.id for change in await sync(ts, store)]


@pytest.mark.parametrize("customer_id", [12345, "12345", "00012", "-3", "CST-1", "cst_1", "cst-ab-cd", "a.b~c"])
async def test_a_customer_with_an_unusual_id_is_asked_for_like_any_other(
    api: MockedAPI, store: CustomerStore, customer_id: object
) -> None:
    """The customer is missing from the list. The call by id finds them once, and then does not know them."""
    odd = {**customer_row(2), "id": customer_id}
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        api.answer("GET", LIST, page([customer_row(1), odd]))
        for _ in range(3):
            api.answer("GET", LIST, page([customer_row(1)]))
        api.answer("GET", f"/customers/{customer_id}", {"data": odd})
        api.answer("GET", f"/customers/{customer_id}", NOT_FOUND, status=404)
        created = await sync(ts, store)
        still_there = await sync(ts, store)
        gone = await sync(ts, store)
        afterwards = await sync(ts, store)

    assert [(type(change), change.id) for change in created][1:] == [(Created, str(customer_id))]
    assert still_there == afterwards == []
    assert [(type(change), change.id) for change in gone] == [(Deleted, str(customer_id))]


@pytest.mark.parametrize("customer_id", ["a b", "a/b", "..", "é", "evt-1", "cst-", "a%2Fb", "x" * 201])
async def test_an_invalid_id_is_reported_after_the_changes_of_all_others(
    box: Sandbox, ts: TicketSource, tmp_path: Path, customer_id: str
) -> None:
    """The error names the id, the store and what to do. Every run raises it until that is done."""
    path = tmp_path / "customers.db"
    ids = await filled(box, path)
    change_stored_record(path, ids[0], id=customer_id)
    box.customers.delete([ids[0], ids[9]])

    async with CustomerStore(path) as store:
        changes: list[Any] = []
        for _ in range(2):
            before_it, error = await read_until_it_raises(ts.customers.changes(store))
            changes += [(type(change), change.id) for change in before_it]
            assert isinstance(error, InvalidID)
            assert str(error).startswith(f"{customer_id!r} is not the id of a customer")
            assert f"The customer store {path} has an id that cannot be asked for" in error.__notes__[0]
        await ts.customers.rebind(store)
        assert await store.erase(customer_id)
        assert await sync(ts, store) == []
    assert changes == [(Deleted, ids[9])]


async def test_the_command_writes_its_file_despite_an_invalid_id(box: Sandbox, tmp_path: Path) -> None:
    """The file has the changes of all other customers. The advice on stderr solves the problem."""
    path, target = tmp_path / "customers.db", tmp_path / "changes.jsonl"
    ids = await filled(box, path)
    change_stored_record(path, ids[0], id="a b")
    box.customers.delete([ids[0], ids[9]])
    follow = ("customers", "changes", "--store", str(path), "-o", str(target))

    failed = await run(*follow, box=box)
    changed = [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]
    target.unlink()
    forgotten = await run("customers", "forget", "a b", "--store", str(path), box=box)
    done = await run(*follow, box=box)

    assert (failed.code, changed) == (1, [ids[9]])
    assert failed.err.splitlines()[1].startswith("ticketsource: 'a b' is not the id of a customer: ")
    assert "call store.erase('a b') (the command: customers forget)" in failed.err
    assert (forgotten.code, forgotten.err) == (0, "")
    assert (done.code, target.read_text()) == (0, "")


async def test_rebind_refuses_a_store_with_only_invalid_ids(box: Sandbox, ts: TicketSource, tmp_path: Path) -> None:
    """`rebind` needs one customer who is found."""
    path = tmp_path / "customers.db"
    for number, customer_id in enumerate(await filled(box, path)):
        change_stored_record(path, customer_id, id=f"a {number}")

    async with CustomerStore(path) as store:
        with pytest.raises(StoreError, match="none of 25 customers in it is found"):
            await ts.customers.rebind(store)
