"""Who counts as deleted: nobody but those whom the API, asked by id, does not know."""

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


async def test_a_customer_who_is_hidden_by_a_deletion_is_not_deleted(store: CustomerStore) -> None:
    """Whom the list misses because rows moved is asked for by id, and found; one who is gone is not."""
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
async def test_a_404_that_is_not_the_apis_own_deletes_nobody(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """A gateway's 404 is a failure, and the customer comes as deleted only when the API says so."""
    await sync(ts, store)
    gone = box.customers.ids()[0]
    box.customers.delete([gone])
    box.fail(path=f"/customers/{gone}", **fault)

    with pytest.raises(NotFound):
        await sync(ts, store)
    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Deleted, gone)]


@pytest.mark.parametrize("fault", [{"status": 404, "html": True}, {"status": 500}, {"body": "[]", "status": 200}])
async def test_a_customer_who_cannot_be_asked_for_delays_nobody_else(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """The others are yielded as deleted first, then the loop ends with the error; next time it is only the one."""
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


async def test_a_server_that_fails_for_many_is_not_asked_for_all(
    box: Sandbox, ts: TicketSource, store: CustomerStore, tmp_path: Path
) -> None:
    """It says so; but any number of 404s that are a gateway's hold nobody else up."""
    await sync(ts, store)
    everybody = sorted(box.customers.ids())  # they are asked for in the order of their ids
    box.customers.delete(everybody)
    for customer_id in everybody[:22]:
        box.fail(path=f"/customers/{customer_id}", status=501)
    box.requests.clear()
    with pytest.raises(ServerError) as failed:
        await sync(ts, store, max_removed=25)
    assert failed.value.__notes__ == ["21 customers could not be asked for, so the run asked for no other customer."]

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


async def test_a_refused_key_while_asking_ends_the_loop_at_once(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Whoever is left is not asked for in vain."""
    await sync(ts, store)
    box.fail(path=f"/customers/{min(box.customers.ids())}", status=401)  # they are asked for in the order of their ids
    box.customers.delete(box.customers.ids(0, 25))
    box.requests.clear()

    with pytest.raises(AuthenticationFailed):
        await sync(ts, store, max_removed=25)
    assert len(box.requests) < 1 + 25


async def test_a_deletion_in_hand_comes_again_and_many_are_yielded(store: CustomerStore) -> None:
    """Leaving the loop there loses none of them, and what the loop has met is forgotten."""
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
async def test_a_sync_run_that_does_not_reach_its_end_deletes_nobody(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any], error: type[Exception]
) -> None:
    """If a page fails, no customer is asked for by id, and none is yielded as deleted."""
    await sync(ts, store)
    box.customers.delete(box.customers.ids(0, 3))
    box.requests.clear()
    box.fail(**fault)

    with pytest.raises(error):
        await sync(ts, store)
    assert {request.path for request in box.requests} == {"/customers"}


async def test_an_empty_list_deletes_nobody_who_is_there(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """If the API shows nobody for once, and that is allowed, everybody is asked for by id, and found."""
    await sync(ts, store)
    box.fail(page=1, body='{"data": []}', status=200)

    assert await sync(ts, store, max_removed=25) == []
    assert len(box.requests) == 1 + 1 + 25


async def test_a_row_that_cannot_be_read_is_neither_a_change_nor_deleted(api: MockedAPI, store: CustomerStore) -> None:
    """With `on_invalid` it is handed over once, and the store does not change; without it, the loop ends."""
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
