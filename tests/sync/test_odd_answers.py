"""One odd answer, odd row or full disk must not stop the sync of all other customers."""

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
from ticketsource_async.bulk import affects_all_calls
from ticketsource_async.sandbox import Sandbox

BLANK: dict[str, Any] = {"first_name": None, "last_name": None, "email": None, "telephone": None, "address": None}


def hide_in_next_list(box: Sandbox, *hidden: str) -> None:
    """Let the next list leave out these customers."""
    rows = [row for row in box.customers.rows(0, 1000) if row["id"] not in hidden]
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))


async def test_an_erased_customer_missing_from_the_list_is_not_asked_for_by_id(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """23 of 25 customers were erased, and the erasures acknowledged. A list without them is not faulty."""
    await sync(ts, store)
    erased, kept = box.customers.ids(0, 23), box.customers.ids()[23]
    for customer_id in erased:
        box.customers.overwrite(customer_id, BLANK)
    assert {type(change) for change in await sync(ts, store, max_removed=23)} == {Erased}
    box.requests.clear()

    hide_in_next_list(box, *erased)
    assert await sync(ts, store, max_removed=0) == []
    box.customers.update(kept, {"last_name": "Changed"})
    hide_in_next_list(box, *erased)
    assert [change.id for change in await sync(ts, store)] == [kept]

    assert {request.path for request in box.requests} == {"/customers"}
    box.customers.update(erased[0], {"first_name": "Zoë"})
    assert [type(change) for change in await sync(ts, store)] == [Updated]
    hide_in_next_list(box, erased[0])
    assert await sync(ts, store) == []
    assert box.requests[-1].path == f"/customers/{erased[0]}"


async def test_a_customer_whose_erasure_is_not_acknowledged_is_asked_for_by_id(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Otherwise the consumer would keep the data."""
    await sync(ts, store)
    gone = box.customers.ids()[0]
    box.customers.overwrite(gone, BLANK)
    await sync(ts, store, acknowledge=False)
    hide_in_next_list(box, gone)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Erased, gone)]


async def test_a_410_of_the_api_is_a_deletion_and_a_410_of_a_proxy_is_not(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """A 410 of the API means the same as its 404."""
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
async def test_a_refused_call_for_one_customer_does_not_stop_the_other_deletions(
    box: Sandbox, ts: TicketSource, store: CustomerStore, status: int
) -> None:
    """The loop yields the deletions, and then raises the refusal."""
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
async def test_the_calls_by_id_stop_after_many_refusals(
    box: Sandbox, ts: TicketSource, store: CustomerStore, status: int
) -> None:
    """The twenty-first refusal ends the loop before any deletion: single customers are not the cause."""
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
async def test_a_lost_connection_for_one_customer_does_not_stop_the_other_deletions(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """The row of this one customer may crash the server."""
    await sync(ts, store)
    gone = sorted(box.customers.ids())[:3]
    box.fail(path=f"/customers/{gone[0]}", **fault)
    hide_in_next_list(box, *gone)
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
def test_an_error_concerns_all_customers_if_the_request_was_not_sent(error: Exception, all_of_them: bool) -> None:
    """An example is a call that waited too long for the rate limit."""
    assert affects_all_calls(error) is all_of_them


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 429}, RateLimited),
        ({"status": 403, "html": True}, AccessBlocked),
    ],
)
async def test_an_error_that_concerns_all_customers_ends_the_loop(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any], kind: type[Exception]
) -> None:
    """The changes in the list are yielded before the error, the deletions by the next run."""
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
async def test_a_merged_customer_is_reported_until_they_are_erased_from_the_store(
    box: Sandbox, ts: TicketSource, store: CustomerStore, told: bool
) -> None:
    """TicketSource may answer with the record of the other customer. The error says what to do."""
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


async def test_an_answer_without_a_customer_id_is_not_reported_as_a_merge(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """It has no id, or the id of another kind of record."""
    await sync(ts, store)
    one, other = box.customers.ids(0, 2)
    hide_in_next_list(box, one, other)
    for customer_id, given in ((one, None), (other, "evt-1")):
        row = {**(box.customers.get(customer_id) or {}), "id": given}
        box.fail(path=f"/customers/{customer_id}", status=200, body=json.dumps({"data": row}))
    skipped: list[InvalidResponse] = []

    assert await sync(ts, store, on_invalid=skipped.append) == []

    assert [getattr(error, "__notes__", []) for error in skipped] == [[], []]


async def test_merged_customers_do_not_stop_rebind(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """One customer who is found is enough. If none is found, the odd answer is the error."""
    await sync(ts, store)
    everybody = box.customers.ids()
    for merged in everybody[1:]:
        box.customers.merge(everybody[0], merged, form="survivor")

    await ts.customers.rebind(store)
    box.fail(path=f"/customers/{everybody[0]}", status=404)
    with pytest.raises(InvalidResponse, match="the requested record was"):
        await ts.customers.rebind(store)


async def test_an_invalid_id_in_the_store_does_not_stop_a_deletion(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """An older version has stored a row under this id, and the list still has it."""
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


async def test_a_partly_emptied_customer_leaves_no_trace_in_the_store(
    box: Sandbox, ts: TicketSource, tmp_path: Path
) -> None:
    """One attribute is left out, so the change is an update. Once acknowledged, it leaves no data behind."""
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


async def test_a_failed_clean_up_hides_no_error_and_is_repeated_by_the_next_opening(
    box: Sandbox, ts: TicketSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file cannot be rewritten at the end of the loop, as on a full disk. A warning is logged."""
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


async def test_the_error_uses_the_singular_for_one_customer(store: CustomerStore) -> None:
    """It says "at most", since some customers who are missing from the list may still exist."""
    async with Sandbox(customers=1, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        await sync(ts, store)
        box.customers.delete(box.customers.ids())
        with pytest.raises(TooManyRemoved, match=r"has 1 customer, and .* pass at most max_removed=1 "):
            await sync(ts, store, max_removed=0)


async def test_with_order_safe_the_withdrawal_of_an_unknown_consent_comes_first(box: Sandbox, tmp_path: Path) -> None:
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
async def test_an_empty_customer_in_an_older_store_is_asked_for_at_most_once(
    box: Sandbox, ts: TicketSource, store: CustomerStore, listed: bool
) -> None:
    """An older store does not say who was erased. No run yields these customers."""
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
                hide_in_next_list(box, *box.customers.ids(0, 3))
            assert await sync(ts, older) == []
        assert await older.count() == 22

    asked = sorted(request.path.rpartition("/")[2] for request in box.requests if request.path != "/customers")
    assert asked == ([] if listed else sorted(box.customers.ids(0, 3)))
