"""A customer counts as deleted only if the API, asked by id, does not know them."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from mocked import KEY, ONCE, MockedAPI
from rows import customer_row, page
from syncing import sync

from ticketsource_async import (
    AuthenticationFailed,
    Change,
    CustomerStore,
    Deleted,
    InvalidResponse,
    NotFound,
    PaginationError,
    ServerError,
    TicketSource,
    Updated,
)
from ticketsource_async.sandbox import Sandbox


async def test_a_customer_missing_from_the_list_but_found_by_id_is_not_deleted(store: CustomerStore) -> None:
    """Rows moved to a page that was already read, so the list lacks them. The next run yields the real deletions."""
    async with Sandbox(customers=350, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        everybody = box.customers.ids()
        await sync(ts, store)
        box.fail(page=2, delete=7)  # which moves the first seven of the second page to the first
        while_shifting = await sync(ts, store)
        asked = [request.path.rpartition("/")[2] for request in box.requests if request.path != "/customers"]
        afterwards = await sync(ts, store)

    assert while_shifting == []
    assert sorted(asked) == sorted(everybody[100:107])
    assert {(type(change), change.id) for change in afterwards} == {(Deleted, gone) for gone in everybody[:7]}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404, "html": True},
        {"status": 404, "body": ""},
        {"status": 404, "body": '{"errors": []}'},
        {"status": 404, "body": '{"errors": [{"status": 404, "code": "no_route"}]}'},
    ],
)
async def test_a_404_without_the_error_code_of_the_api_deletes_no_customer(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """A gateway's 404 is an error. The customer is yielded as deleted only when the API says so."""
    await sync(ts, store)
    gone = box.customers.ids()[0]
    box.customers.delete([gone])
    box.fail(path=f"/customers/{gone}", **fault)

    with pytest.raises(NotFound):
        await sync(ts, store)
    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Deleted, gone)]


@pytest.mark.parametrize("fault", [{"status": 404, "html": True}, {"status": 500}, {"body": "[]", "status": 200}])
async def test_a_failed_call_for_one_customer_does_not_delay_the_other_deletions(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """The loop yields the other deletions and ends with the error. The next run yields the last deletion."""
    await sync(ts, store)
    gone = box.customers.ids(0, 9)
    box.customers.delete(gone)
    box.fail(path=f"/customers/{gone[0]}", **fault)
    yielded: list[Change] = []

    async def follow() -> None:
        async for change in ts.customers.changes(store):
            yielded.append(change)  # noqa: PERF401 - those before the error too

    with pytest.raises((NotFound, ServerError, InvalidResponse)):
        await follow()

    assert {(type(change), change.id) for change in yielded} == {(Deleted, customer_id) for customer_id in gone[1:]}
    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Deleted, gone[0])]


async def test_many_server_errors_stop_the_calls_by_id_and_gateway_404s_do_not(
    box: Sandbox, ts: TicketSource, store: CustomerStore, tmp_path: Path
) -> None:
    """The error says that the other customers were not asked for."""
    await sync(ts, store)
    everybody = sorted(box.customers.ids())  # they are asked for in the order of their ids
    box.customers.delete(everybody)
    for customer_id in everybody[:22]:
        box.fail(path=f"/customers/{customer_id}", status=501)
    box.requests.clear()
    with pytest.raises(ServerError) as failed:
        await sync(ts, store, max_removed=25)
    assert failed.value.__notes__ == ["21 customers could not be asked for, so the others were not."]

    async with Sandbox(customers=25, rate_limit=None) as gateway:
        store_of_it = CustomerStore(tmp_path / "other.db")
        async with store_of_it, TicketSource(gateway.api_key, base_url=gateway.url, retry=ONCE) as other:
            await sync(other, store_of_it)
            gateway.customers.delete(everybody)
            for customer_id in everybody[:22]:
                gateway.fail(path=f"/customers/{customer_id}", status=404, html=True)
            yielded = []

            async def follow() -> None:
                async for change in other.customers.changes(store_of_it, max_removed=25):
                    yielded.append(change.id)  # noqa: PERF401 - those before the error too

            with pytest.raises(NotFound):
                await follow()
    assert sorted(yielded) == everybody[22:]


async def test_a_refused_key_during_the_calls_by_id_ends_the_loop(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The remaining customers are not asked for."""
    await sync(ts, store)
    box.fail(path=f"/customers/{min(box.customers.ids())}", status=401)  # they are asked for in the order of their ids
    box.customers.delete(box.customers.ids(0, 25))
    box.requests.clear()

    with pytest.raises(AuthenticationFailed):
        await sync(ts, store, max_removed=25)
    assert len(box.requests) < 1 + 25


async def test_a_loop_that_ends_at_the_first_of_many_deletions_loses_none(store: CustomerStore) -> None:
    """The next run yields them all. The store has forgotten which customers the ended loop saw."""
    async with (
        Sandbox(customers=1200, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts,
    ):
        await sync(ts, store)
        gone = set(box.customers.ids(100, 1110))
        box.customers.delete(gone)
        async with aclosing(ts.customers.changes(store, max_removed=1200)) as changes:
            in_hand = await anext(changes)
        ended = await store.start_sync_run() - 1
        assert len([customer async for customer in store.not_seen(ended)]) == 1200
        rest = await sync(ts, store, max_removed=1200)
        assert await sync(ts, store) == []

    assert type(in_hand) is Deleted
    assert len(rest) == len(gone)
    assert {(type(change), change.id) for change in rest} == {(Deleted, customer_id) for customer_id in gone}


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"page": 1, "status": 500}, ServerError), ({"next": "cursor", "times": 2}, PaginationError)],
)
async def test_a_sync_run_whose_list_fails_asks_for_no_customer_by_id(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any], error: type[Exception]
) -> None:
    """A customer who is missing from an incomplete list may still exist."""
    await sync(ts, store)
    box.customers.delete(box.customers.ids(0, 3))
    box.requests.clear()
    box.fail(**fault)

    with pytest.raises(error):
        await sync(ts, store)
    assert {request.path for request in box.requests} == {"/customers"}


async def test_an_empty_list_deletes_no_existing_customer(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """If `max_removed` allows the empty list, the run asks for all customers by id and finds them."""
    await sync(ts, store)
    box.fail(page=1, body='{"data": []}', status=200)

    assert await sync(ts, store, max_removed=25) == []
    assert len(box.requests) == 1 + 1 + 25


async def test_a_row_that_cannot_be_read_is_neither_a_change_nor_a_deletion(
    api: MockedAPI, store: CustomerStore
) -> None:
    """`on_invalid` gets it once, and the store does not change. Without `on_invalid` the loop raises."""
    odd = {**customer_row(1), "attributes": None}
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1), customer_row(2)]))
        api.answer("GET", "/customers?page=1&per_page=100", page([odd, customer_row(2, email="x@example.com")]))
        api.answer("GET", "/customers?page=1&per_page=100", page([odd, customer_row(2)]))
        api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(2)]))
        api.answer("GET", "/customers/cst-xxxxxxxxxx1", {"data": odd})
        await sync(ts, store)
        errors: list[InvalidResponse] = []

        skipped = await sync(ts, store, on_invalid=errors.append)
        with pytest.raises(InvalidResponse):
            await sync(ts, store)
        again = await sync(ts, store, on_invalid=errors.append)

    assert [change.id for change in skipped] == ["cst-xxxxxxxxxx2"]
    assert [change.fields for change in again if isinstance(change, Updated)] == [("email",)]
    assert [error.json_path for error in errors] == ["$.data[0].attributes", "$.data.attributes"]
