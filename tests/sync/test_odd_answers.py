"""Customers who are gone or empty, where one odd answer, row or disk must not stop the sync of all others."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command import run
from loops import read_until_it_raises
from syncing import sync

from ticketsource_async import (
    AccessBlocked,
    APIError,
    AuthenticationFailed,
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    CustomerStore,
    Deleted,
    Erased,
    InvalidResponse,
    RateLimited,
    RequestTimedOut,
    TicketSource,
    TooManyRemoved,
    Updated,
)
from ticketsource_async.bulk import concerns_all
from ticketsource_async.sandbox import Sandbox

BLANK: dict[str, Any] = {"first_name": None, "last_name": None, "email": None, "telephone": None, "address": None}


def lists(box: Sandbox, *hidden: str) -> None:
    """Let the next list leave these out."""
    rows = [row for row in box.customers.rows(0, 1000) if row["id"] not in hidden]
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))


async def test_who_was_erased_and_is_hidden_by_the_list_is_neither_missing_nor_asked_for(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Of 25 all but two were erased and acknowledged: the list that leaves them out is as good as any other."""
    await sync(ts, store)
    erased, kept = box.customers.ids(0, 23), box.customers.ids()[23]
    for customer_id in erased:
        box.customers.overwrite(customer_id, BLANK)
    assert {type(change) for change in await sync(ts, store, max_removed=23)} == {Erased}
    box.requests.clear()

    lists(box, *erased)
    assert await sync(ts, store, max_removed=0) == []
    box.customers.update(kept, {"last_name": "Changed"})
    lists(box, *erased)
    assert [change.id for change in await sync(ts, store)] == [kept]

    assert {request.path for request in box.requests} == {"/customers"}
    box.customers.update(erased[0], {"first_name": "Zoë"})
    assert [type(change) for change in await sync(ts, store)] == [Updated]
    lists(box, erased[0])
    assert await sync(ts, store) == []
    assert box.requests[-1].path == f"/customers/{erased[0]}"


async def test_who_was_erased_and_not_acknowledged_is_still_asked_for(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Else the consumer would keep the data."""
    await sync(ts, store)
    gone = box.customers.ids()[0]
    box.customers.overwrite(gone, BLANK)
    await sync(ts, store, acknowledge=False)
    lists(box, gone)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Erased, gone)]


async def test_a_410_of_the_api_is_a_deletion_and_that_of_a_proxy_is_not(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """It says that the customer is gone, as a 404 does."""
    await sync(ts, store)
    one, other = box.customers.ids(0, 2)
    box.customers.delete([one, other])
    box.fail(path=f"/customers/{one}", status=410, body='{"errors": [{"status": 410, "code": "gone"}]}')
    box.fail(path=f"/customers/{other}", status=410, html=True)

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert [(type(change), change.id) for change in changes] == [(Deleted, one)]
    assert isinstance(error, APIError)
    assert error.status == 410


@pytest.mark.parametrize("status", [400, 403, 409, 418])
async def test_a_refusal_of_one_customer_holds_back_no_deletion_of_others(
    box: Sandbox, ts: TicketSource, store: CustomerStore, status: int
) -> None:
    """The loop ends with it, after the deletions."""
    await sync(ts, store)
    gone = sorted(box.customers.ids())
    box.customers.delete(gone[:3])
    body = json.dumps({"errors": [{"status": status, "code": "refused"}]})
    box.fail(path=f"/customers/{gone[0]}", status=status, body=body)

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert {(type(change), change.id) for change in changes} == {(Deleted, gone[1]), (Deleted, gone[2])}
    assert len(changes) == 2
    assert isinstance(error, APIError)
    assert error.status == status


@pytest.mark.parametrize("status", [400, 403, 501])
async def test_an_api_that_refuses_many_customers_is_not_asked_for_all(
    box: Sandbox, ts: TicketSource, store: CustomerStore, status: int
) -> None:
    """The twenty-first ends the loop, before any deletion: it is no matter of single customers."""
    await sync(ts, store)
    everybody = sorted(box.customers.ids())  # they are asked for in the order of their ids
    box.customers.delete(everybody)
    for customer_id in everybody[1:]:
        box.fail(path=f"/customers/{customer_id}", status=status)

    changes, error = await read_until_it_raises(ts.customers.changes(store, max_removed=25))

    assert changes == []
    assert isinstance(error, APIError)
    assert error.status == status
    assert error.__notes__ == ["21 customers could not be asked for, so the run asked for no other customer."]


@pytest.mark.parametrize("fault", [{"cut": "before"}, {"cut": "body"}])
async def test_a_connection_that_one_customer_breaks_holds_back_no_deletion_of_others(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """A row that makes the server die is a matter of this customer."""
    await sync(ts, store)
    gone = sorted(box.customers.ids())[:3]
    box.fail(path=f"/customers/{gone[0]}", **fault)
    lists(box, *gone)
    box.customers.delete(gone[1:])

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert {(type(change), change.id) for change in changes} == {(Deleted, one) for one in gone[1:]}
    assert len(changes) == 2
    assert isinstance(error, ConnectionLost | InvalidResponse)


@pytest.mark.parametrize(
    ("error", "all_of_them"),
    [
        (RequestTimedOut(phase="connect"), True),
        (RequestTimedOut(phase="slot"), True),
        (RequestTimedOut(phase="response"), False),
        (RequestTimedOut(phase="total"), False),
        (ConnectFailed(), True),
        (ConnectionLost(), False),
        (ClientClosed(), True),
        (KeyError(), True),
    ],
)
def test_a_call_that_takes_too_long_concerns_all_if_it_was_not_sent(error: Exception, all_of_them: bool) -> None:
    """Such as one that waited for the rate limit."""
    assert concerns_all(error) is all_of_them


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 429}, RateLimited),
        ({"status": 403, "html": True}, AccessBlocked),
    ],
)
async def test_what_concerns_all_ends_the_loop_at_the_first_customer(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any], kind: type[Exception]
) -> None:
    """A refused key, a limit or a firewall: the changes in the list came before, the deletions come at the next run."""
    await sync(ts, store)
    gone, moved = sorted(box.customers.ids())[:8], box.customers.ids()[-1]
    box.customers.delete([customer_id for customer_id in gone if customer_id != moved])
    box.customers.update(moved, {"last_name": "Changed"})
    box.fail(path=f"/customers/{next(one for one in gone if one != moved)}", **fault)

    changes, error = await read_until_it_raises(ts.customers.changes(store))
    again = await sync(ts, store)

    assert ([change.id for change in changes], type(error)) == ([moved], kind)
    assert {type(change) for change in again} == {Deleted}


@pytest.mark.parametrize("told", [True, False])
async def test_a_record_of_another_customer_is_no_proof_that_somebody_is_there_or_gone(
    box: Sandbox, ts: TicketSource, store: CustomerStore, told: bool
) -> None:
    """TicketSource may answer so for who was merged. The error says what to do, and comes until it is done."""
    await sync(ts, store)
    kept, merged, gone = box.customers.ids(0, 3)
    box.customers.merge(kept, merged, form="survivor")
    box.customers.delete([gone])
    box.customers.update(kept, {"last_name": "Changed"})

    for expected in ([(Updated, kept), (Deleted, gone)], []):
        skipped: list[InvalidResponse] = []
        options: Any = {"on_invalid": skipped.append} if told else {}
        changes, error = await read_until_it_raises(ts.customers.changes(store, **options))
        odd = skipped[0] if told else error
        assert [(type(change), change.id) for change in changes] == expected
        assert isinstance(odd, InvalidResponse)
        (note,) = odd.__notes__
        assert note.startswith(f"It is not known whether {merged} still exists. The record may have been merged into ")
        assert f"merged into {kept}." in note
        assert f"call store.erase('{merged}') (the command: customers forget)" in note
    assert await store.get(merged) is not None
    await store.erase(merged)
    assert await sync(ts, store) == []


async def test_a_record_that_is_none_says_nothing_of_a_merge(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """It has no id, or the id of another kind of record."""
    await sync(ts, store)
    one, other = box.customers.ids(0, 2)
    lists(box, one, other)
    for customer_id, given in ((one, None), (other, "evt-1")):
        row = {**(box.customers.get(customer_id) or {}), "id": given}
        box.fail(path=f"/customers/{customer_id}", status=200, body=json.dumps({"data": row}))
    skipped: list[InvalidResponse] = []

    assert await sync(ts, store, on_invalid=skipped.append) == []

    assert [getattr(error, "__notes__", []) for error in skipped] == [[], []]


async def test_one_merged_customer_does_not_stand_in_the_way_of_a_new_key(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The others are found; if nobody is, the odd answer is the error."""
    await sync(ts, store)
    everybody = box.customers.ids()
    for merged in everybody[1:]:
        box.customers.merge(everybody[0], merged, form="survivor")

    await ts.customers.rebind(store)
    box.fail(path=f"/customers/{everybody[0]}", status=404)
    with pytest.raises(InvalidResponse, match="the requested record was"):
        await ts.customers.rebind(store)


async def test_an_id_that_is_none_stops_no_deletion(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """A row that an older version has stored under it, and that the list still has, has no contact to compare."""
    await sync(ts, store)
    gone = box.customers.ids()[3]
    record = {**(await ts.customers.get(gone)).to_dict(), "id": "cst-1/2"}
    await store.aclose()
    with closing(sqlite3.connect(store.path)) as sql, sql:
        packed = json.dumps(record, separators=(",", ":")).encode()
        sql.execute("INSERT INTO customer VALUES (?, ?, NULL, NULL)", ("cst-1/2", packed))
    box.customers.delete([gone])
    rows = box.customers.rows(0, 25)
    body = json.dumps({"data": [*rows, {**rows[0], "id": "cst-1/2"}], "links": {}})
    box.fail(page=1, status=200, body=body)
    skipped: list[object] = []

    async with CustomerStore(store.path) as again:
        changes = await sync(ts, again, on_invalid=skipped.append)

    assert [(type(change), change.id) for change in changes] == [(Deleted, gone)]
    assert len(skipped) == 1


async def test_who_was_emptied_in_part_leaves_no_trace(box: Sandbox, ts: TicketSource, tmp_path: Path) -> None:
    """An attribute that is left out makes it an update; once it is acknowledged, the data are gone all the same."""
    path, zoe = tmp_path / "customers.db", box.customers.ids()[3]
    box.customers.update(zoe, {"first_name": "Zoë", "address": {"line_1": "<a trace of Zoe>", "line_2": "x" * 900}})
    async with CustomerStore(path) as store:
        await sync(ts, store)
        blank = {name: value for name, value in BLANK.items() if name != "telephone"}
        rows = box.customers.rows(0, 25)
        next(row for row in rows if row["id"] == zoe)["attributes"] = blank
        box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))
        row = {**(box.customers.get(zoe) or {}), "attributes": blank}
        box.fail(path=f"/customers/{zoe}", status=200, body=json.dumps({"data": row}))
        assert [(type(change), change.id) for change in await sync(ts, store)] == [(Updated, zoe)]

    assert b"<a trace of Zoe>" not in path.read_bytes()


async def test_a_disk_that_is_full_hides_no_error_and_the_traces_go_at_the_next_time(
    box: Sandbox, ts: TicketSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no room to write the file anew at the end of the loop: it is logged."""
    path, zoe = tmp_path / "customers.db", box.customers.ids()[3]
    box.customers.update(zoe, {"address": {"line_1": "<a trace of Zoe>"}})
    store = CustomerStore(path)
    async with store:
        await sync(ts, store)
        box.customers.delete([zoe])
        box.fail(path=f"/customers/{zoe}", status=404, body='{"errors": [{"code": "not_found"}]}')
        with caplog.at_level(logging.WARNING), pytest.raises(KeyError, match="the real one"):
            await _acknowledge_and_fail(ts, store)
        assert "Data of deleted or erased customers are still in" in caplog.text
    assert _to_wipe(path) == [(zoe,)]

    async with CustomerStore(path):
        pass
    assert _to_wipe(path) == []
    assert b"<a trace of Zoe>" not in path.read_bytes()


def _to_wipe(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as sql:
        return sql.execute("SELECT id FROM to_wipe").fetchall()


async def _acknowledge_and_fail(ts: TicketSource, store: CustomerStore) -> None:
    changes = ts.customers.changes(store, acknowledge=False)
    try:
        async for change in changes:
            await store.acknowledge(change)
            file = store._file
            assert file is not None
            await store._run(file._sql.set_authorizer, _no_vacuum)
            raise KeyError("the real one")
    finally:
        await changes.aclose()


def _no_vacuum(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


@pytest.mark.parametrize(("customers", "gone", "stops"), [(3, 3, False), (20, 20, False), (21, 21, True)])
async def test_a_small_box_office_may_lose_all_its_customers(
    store: CustomerStore, customers: int, gone: int, stops: bool
) -> None:
    """Up to twenty, half of them or not."""
    async with Sandbox(customers=customers, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        await sync(ts, store)
        box.customers.delete(box.customers.ids(0, gone))
        changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert isinstance(error, TooManyRemoved) is stops
    assert len(changes) == (0 if stops else gone)


async def test_the_error_counts_one_customer_as_one(store: CustomerStore) -> None:
    """And says "at most", since some of those who are not in the list may be there."""
    async with Sandbox(customers=1, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        await sync(ts, store)
        box.customers.delete(box.customers.ids())
        with pytest.raises(TooManyRemoved, match=r"has 1 customer, and .* pass at most max_removed=1 "):
            await sync(ts, store, max_removed=0)


async def test_with_order_safe_a_withdrawal_of_a_consent_that_this_version_does_not_know_comes_first(
    box: Sandbox, tmp_path: Path
) -> None:
    """TicketSource may add a way to contact people."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "--order", "safe")
    first, second, third = box.customers.ids(0, 3)
    consent = {"email": True, "post": True, "sms": True, "phone": True}
    for customer_id in (first, second, third):
        box.customers.overwrite(customer_id, {"consent": consent})
    await run(*follow, box=box)
    box.customers.update(first, {"last_name": "Changed"})
    box.customers.overwrite(second, {"consent": {**consent, "phone": False}})
    box.customers.overwrite(third, {"consent": {**consent, "email": None}})

    done = await run(*follow, box=box)

    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [second, third, first]


@pytest.mark.parametrize("listed", [True, False])
async def test_who_is_empty_in_an_older_store_is_asked_for_once_at_most(
    box: Sandbox, ts: TicketSource, store: CustomerStore, listed: bool
) -> None:
    """It does not say who was erased. They are told of at no run."""
    for customer_id in box.customers.ids(0, 3):
        box.customers.purge(customer_id)
    await sync(ts, store)
    await store.aclose()
    with closing(sqlite3.connect(store.path)) as sql, sql:
        sql.execute("DROP TABLE empty")
    box.requests.clear()

    async with CustomerStore(store.path) as older:
        assert await older.count() == 25
        for hidden in (False, True, True) if listed else (True, True, True):
            if hidden:
                lists(box, *box.customers.ids(0, 3))
            assert await sync(ts, older) == []
        assert await older.count() == 22

    asked = sorted(request.path.rpartition("/")[2] for request in box.requests if request.path != "/customers")
    assert asked == ([] if listed else sorted(box.customers.ids(0, 3)))
