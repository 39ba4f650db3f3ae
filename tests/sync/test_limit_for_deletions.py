"""The limit for deletions: a faulty answer must not delete everybody in the other system."""

import json
import pickle
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import run
from loops import read_until_it_raises
from syncing import sync

from ticketsource_async import CustomerStore, Deleted, StoreError, TicketSource, TooManyRemoved, Updated
from ticketsource_async.sandbox import Sandbox

NOT_FOUND = json.dumps({"errors": [{"status": 404, "code": "not_found"}]})


@pytest.fixture(name="thousand")
async def _thousand() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=1000, rate_limit=None) as box:
        yield box


@pytest.fixture(name="ts")
async def _ts(thousand: Sandbox) -> AsyncIterator[TicketSource]:
    async with TicketSource(thousand.api_key, base_url=thousand.url, rate_limit=None) as ts:
        yield ts


def calls_by_id(box: Sandbox) -> int:
    """Return how many calls asked for a customer by id."""
    return sum(request.path != "/customers" for request in box.requests)


async def test_an_empty_list_stops_the_run_before_any_call_by_id(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The error gives the numbers and the option that allows it. The next run, with a good answer, succeeds."""
    await sync(ts, store)
    thousand.fail(page=1, body='{"data": []}', status=200)

    with pytest.raises(StoreError, match=r"has 1,000 customers, and the list .* has only 0 of them") as caught:
        await sync(ts, store)

    assert isinstance(caught.value, TooManyRemoved)
    assert "max_removed=1000 (the command: --max-removed 1000)" in str(caught.value)
    assert (caught.value.remembered, caught.value.missing, caught.value.removed) == (1000, 1000, 0)
    assert calls_by_id(thousand) == 0
    assert await sync(ts, store) == []


@pytest.mark.parametrize("there", [499, 500])
async def test_a_list_with_less_than_half_of_the_customers_stops_the_run(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore, there: int
) -> None:
    """New customers do not count: the list may be that of another box office."""
    await sync(ts, store)
    rows = thousand.customers.rows(0, there)
    thousand.customers.insert(600)
    rows += thousand.customers.rows(1000, 1600)
    thousand.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert isinstance(error, TooManyRemoved) is (there < 500)
    assert not [change for change in changes if isinstance(change, Deleted)]
    assert calls_by_id(thousand) == (0 if there < 500 else 500)
    assert len(changes) == 600


async def test_many_404s_stop_the_run_before_any_deletion_is_yielded(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """More than 5 % of the customers answer 404. The run asks for no more of them than it needs to know that."""
    await sync(ts, store)
    everybody = thousand.customers.ids()
    thousand.customers.update(everybody[0], {"consent": {"email": True, "post": True, "sms": True}})
    thousand.customers.delete(everybody[600:])

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert isinstance(error, TooManyRemoved)
    assert "more than 50 of them are deleted or erased" in str(error)
    assert "max_removed=400 " in str(error)
    assert (error.remembered, error.missing, error.removed, error.allowed) == (1000, 400, 51, 50)
    assert [(type(change), change.id) for change in changes] == [(Updated, everybody[0])]
    assert 51 <= calls_by_id(thousand) <= 51 + 8


@pytest.mark.parametrize(
    ("customers", "gone", "stops"),
    [
        *[(1000, 50, False), (1000, 51, True), (100, 20, False), (100, 21, True)],
        *[(3, 3, False), (20, 20, False), (21, 21, True)],
    ],
)
async def test_twenty_customers_or_five_percent_may_be_deleted(
    store: CustomerStore, customers: int, gone: int, stops: bool
) -> None:
    """Up to twenty customers may be deleted, whatever their share is, and all of these deletions are yielded."""
    async with Sandbox(customers=customers, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        await sync(ts, store)
        box.customers.delete(box.customers.ids(0, gone))

        changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert isinstance(error, TooManyRemoved) is stops
    assert Counter(map(type, changes)) == ({} if stops else {Deleted: gone})


@pytest.mark.parametrize(("max_removed", "stops"), [(0, True), (599, True), (600, False), (10_000, False)])
async def test_max_removed_sets_how_many_customers_may_be_deleted(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore, max_removed: int, stops: bool
) -> None:
    """It replaces both limits, even if it is smaller."""
    await sync(ts, store)
    thousand.customers.delete(thousand.customers.ids(0, 600))

    changes, error = await read_until_it_raises(ts.customers.changes(store, max_removed=max_removed))

    assert isinstance(error, TooManyRemoved) is stops
    assert len(changes) == (0 if stops else 600)


@pytest.mark.parametrize("max_removed", [-1, 1.5, True, "20"])
async def test_an_invalid_max_removed_is_refused_before_any_request(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore, max_removed: object
) -> None:
    """It must be a whole number, and 0 or more."""
    with pytest.raises(ValueError, match="max_removed must be a whole number, 0 or more"):
        ts.customers.changes(store, max_removed=max_removed)  # type: ignore[arg-type]  # on purpose
    assert not thousand.requests


async def test_customers_missing_from_the_list_but_found_by_id_do_not_stop_the_run(
    thousand: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Their rows may have moved to a page that was already read."""
    await sync(ts, store)
    rows = thousand.customers.rows(0, 1000)
    thousand.fail(page=1, status=200, body=json.dumps({"data": rows[:700], "links": {}}))

    assert await sync(ts, store) == []
    assert calls_by_id(thousand) == 300


def test_the_error_keeps_its_numbers_through_pickle() -> None:
    """A worker process passes its errors on with pickle."""
    error = TooManyRemoved("too many", "customers.db", "", 1000, 400, 51, 50)

    again = pickle.loads(pickle.dumps(error))

    assert again.to_dict() == error.to_dict()
    assert (again.remembered, again.missing, again.removed, again.allowed) == (1000, 400, 51, 50)


async def test_the_command_writes_the_other_changes_and_exits_with_1(many: Sandbox, tmp_path: Path) -> None:
    """A withdrawal of consent does not wait for the deletions, which `--max-removed` allows."""
    target = tmp_path / "changes.jsonl"
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=many)
    gone, moved = many.customers.ids(0, 30), many.customers.ids()[40]
    many.customers.delete(gone)
    many.customers.update(moved, {"last_name": "Changed"})

    stopped = await run(*follow, "-o", str(target), box=many)
    written = [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]
    allowed = await run(*follow, "--max-removed", "30", box=many)

    assert (stopped.code, written) == (1, [moved])
    assert "0 created, 1 updated, 0 deleted; " in stopped.err
    assert stopped.err.splitlines()[-1].startswith("ticketsource: The customer store ")
    assert "more than 20 of them are deleted or erased" in stopped.err
    assert "--max-removed 30" in stopped.err
    assert allowed.code == 0
    assert {json.loads(line)["id"] for line in allowed.out.splitlines()} == set(gone)
