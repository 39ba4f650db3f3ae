"""What changed among the customers since last time."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from doubles import KEY, ONCE, MockedAPI, customer_row, page, pointed_at
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ticketsource_async import (
    AuthenticationFailed,
    Change,
    Created,
    Customer,
    CustomerDraft,
    CustomerStore,
    Deleted,
    InvalidResponse,
    NotFound,
    PaginationError,
    ServerError,
    TicketSource,
    Updated,
)
from ticketsource_async.models.reader import read_row
from ticketsource_async.resources import customers as operations
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync import changes as sync_changes, store as sync_store


@pytest.fixture(name="store")
async def _store(tmp_path: Path) -> AsyncIterator[CustomerStore]:
    async with CustomerStore(tmp_path / "customers.db") as store:
        yield store


async def sync(ts: TicketSource, store: CustomerStore, **options: Any) -> list[Change]:
    """Deal with every change."""
    return [change async for change in ts.customers.changes(store, **options)]


async def test_a_second_sync_yields_what_changed_and_nothing_else(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """First everybody is created; then comes who is new, who differs and in what, and who is gone."""
    first = await sync(ts, store)
    assert [change.id for change in first] == box.customers.ids()
    assert {type(change) for change in first} == {Created}
    assert await sync(ts, store) == []

    gone, moved = box.customers.ids()[3], box.customers.ids()[5]
    box.customers.delete([gone])
    before = await ts.customers.get(moved)
    after = await ts.customers.update(moved, CustomerDraft(email="new@example.com", last_name=None))
    karl = await ts.customers.create(CustomerDraft(first_name="Karl"))

    second = await sync(ts, store)

    assert Created(karl) in second
    assert Updated(before, after, ("last_name", "email", "updated_at")) in second
    assert second[-1] == Deleted(next(change.after for change in first if change.id == gone))  # type: ignore[arg-type]
    assert len(second) == 3
    assert await sync(ts, store) == []


async def test_a_withdrawn_consent_is_marked(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """`consent_changed` is true if a consent differs, and only then; the field says which."""
    await sync(ts, store)
    first, second = box.customers.ids(0, 2)
    email = not (await ts.customers.get(first)).consent.email  # type: ignore[union-attr]  # samples have one
    box.customers.update(first, {"consent": {"email": email}})
    box.customers.update(second, {"telephone": "01632 960999", "phone": "01632 960999"})

    changes = {change.id: change for change in await sync(ts, store)}

    assert changes[first].consent_changed
    assert "consent.email" in changes[first].fields  # type: ignore[union-attr]  # it is an update
    assert not changes[second].consent_changed
    assert not Created(Customer(id="cst-1")).consent_changed
    assert not Deleted(Customer(id="cst-1")).consent_changed


@pytest.mark.parametrize("how", ["error", "break", "cancel"])
async def test_a_consumer_that_ends_early_sees_the_rest_again(
    box: Sandbox, ts: TicketSource, store: CustomerStore, how: str
) -> None:
    """What it came back from is dealt with; what it had in hand, and all after it, comes again."""
    seen: list[str] = []
    holding = asyncio.Event()

    async def consume() -> None:
        async with aclosing(ts.customers.changes(store)) as changes:
            async for change in changes:
                seen.append(change.id)
                if len(seen) == 8:
                    if how == "break":
                        break
                    if how == "error":
                        raise RuntimeError("the other system is down")
                    holding.set()
                    await asyncio.Event().wait()

    consumer = asyncio.create_task(consume())
    if how == "cancel":
        await holding.wait()
        consumer.cancel()
    await asyncio.wait([consumer])
    if not consumer.cancelled():
        consumer.exception()

    assert [change.id for change in await sync(ts, store)] == box.customers.ids()[7:]
    assert seen == box.customers.ids()[:8]


async def test_changes_can_be_remembered_by_hand(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """With `acknowledge=False` only what `remember` was called for is dealt with, in any order."""
    told = await sync(ts, store, acknowledge=False)
    for change in reversed(told[5:]):
        await store.acknowledge(change)

    assert await sync(ts, store) == told[:5]
    assert await sync(ts, store) == []


async def test_all_that_was_yielded_is_remembered_at_once(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """`remember_all` is for those that the loop has yielded, deletions too, and for no other of the same page."""
    gone, *others = box.customers.ids()
    await sync(ts, store)
    box.customers.delete([gone])
    for customer_id in others:
        box.customers.update(customer_id, {"last_name": "Changed"})
    async with aclosing(ts.customers.changes(store, acknowledge=False)) as changes:
        assert [(await anext(changes)).id for _ in range(3)] == others[:3]
        await store.acknowledge_all()
        await anext(changes)
        await anext(changes)  # neither of which is dealt with

    async with aclosing(ts.customers.changes(store, acknowledge=False)) as changes:
        in_hand = await anext(changes)
        await store.acknowledge_all()
    assert in_hand.id == others[3]
    assert [change.id for change in await sync(ts, store, acknowledge=False)] == [*others[4:], gone]
    async with aclosing(ts.customers.changes(store, acknowledge=False)):
        pass  # not begun, so the one before is the latest
    await store.acknowledge_all()
    assert await sync(ts, store) == []


@pytest.mark.parametrize("remember", [True, False])
async def test_what_was_told_and_not_remembered_is_taken_back(
    box: Sandbox, ts: TicketSource, store: CustomerStore, remember: bool
) -> None:
    """A consumer that died with changes in hand may have dealt with them: who is gone or as before comes again."""
    [wavering] = box.customers.insert(1, at=0)
    box.customers.update(wavering, {"consent": {"email": False}})
    await sync(ts, store)
    box.customers.update(wavering, {"consent": {"email": True}})
    [new] = box.customers.insert(1, at=0)
    async with aclosing(ts.customers.changes(store, acknowledge=remember)) as changes:
        assert isinstance(await anext(changes), Created)
        if not remember:
            assert isinstance(await anext(changes), Updated)
    box.customers.delete([new])
    box.customers.update(wavering, {"consent": {"email": False}})

    updated, deleted = await sync(ts, store)

    assert isinstance(updated, Updated)
    assert (updated.id, updated.consent_changed) == (wavering, True)
    assert updated.after == await ts.customers.get(wavering)
    assert (type(deleted), deleted.id) == (Deleted, new)
    assert await sync(ts, store) == []


@pytest.mark.parametrize("known", [True, False])
async def test_a_withdrawal_is_marked_until_it_is_remembered(
    box: Sandbox, ts: TicketSource, store: CustomerStore, known: bool
) -> None:
    """However often it is told: the consumer may have dealt with the yes before it, and with nothing since."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": not known}})
    await sync(ts, store, acknowledge=known)
    box.customers.update(zoe, {"consent": {"email": True}})
    await sync(ts, store, acknowledge=False)
    box.customers.update(zoe, {"consent": {"email": False}})
    for _ in range(3):
        change = next(change for change in await sync(ts, store, acknowledge=False) if change.id == zoe)
        assert isinstance(change, Updated if known else Created)
        assert change.consent_changed
        if isinstance(change, Updated):
            assert "consent.email" in change.fields
    await store.acknowledge_all()

    assert await sync(ts, store) == []


async def test_who_was_deleted_and_is_there_again_is_created_until_that_is_remembered(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """A consumer that has dealt with the deletion, and died with the return in hand, has nothing to update."""
    await sync(ts, store)
    zoe = box.customers.ids()[0]
    shown = [row for row in box.customers.rows(0, 25) if row["id"] != zoe]
    box.fail(page=1, status=200, body=json.dumps({"data": shown, "links": {}}))
    box.fail(path=f"/customers/{zoe}", status=404, body=json.dumps({"errors": [{"code": "not_found"}]}))
    (deleted,) = await sync(ts, store, acknowledge=False)
    for _ in range(2):
        (back,) = await sync(ts, store, acknowledge=False)
        assert (type(back), back.id) == (Created, zoe)
    await store.acknowledge_all()

    assert (type(deleted), deleted.id) == (Deleted, zoe)
    assert await sync(ts, store) == []


async def test_a_change_in_hand_that_failed_is_not_remembered_with_all_others(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """`remember_all` is for loops that remember nothing themselves."""
    async with aclosing(ts.customers.changes(store)) as changes:
        in_hand = await anext(changes)
    await store.acknowledge_all()

    assert in_hand.id in {change.id for change in await sync(ts, store)}


async def test_who_comes_as_created_again_tells_of_a_withdrawal(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """What was told first, and perhaps dealt with, was another consent; else no consent of somebody new is a change."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}})
    first = await sync(ts, store, acknowledge=False)
    box.customers.update(zoe, {"consent": {"email": False}})

    again = await sync(ts, store)

    assert {type(change) for change in again} == {Created}
    assert [change.id for change in again if change.consent_changed] == [zoe]
    assert not [change for change in first if change.consent_changed]
    assert again[0].to_dict()["consent_changed"] is True


async def test_who_is_erased_in_the_end_of_a_loop_is_not_told_of(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Not even if the list has missed them, and they are asked for by id."""
    await sync(ts, store)
    gone, *hidden = sorted(box.customers.ids())[:3]
    box.customers.delete([gone])
    shown = [row for row in box.customers.rows(0, 25) if row["id"] not in hidden]
    box.fail(page=1, status=200, body=json.dumps({"data": shown, "links": {}}))
    for customer_id in hidden:
        box.fail(path=f"/customers/{customer_id}", slow=0.3)
    async with aclosing(ts.customers.changes(store)) as changes:
        assert (await anext(changes)).id == gone
        for customer_id in hidden:
            await store.erase(customer_id)
        assert [change async for change in changes] == []

    assert [change.id for change in await sync(ts, store)] == [i for i in box.customers.ids() if i in hidden]


async def test_nobody_comes_twice_though_rows_shift(store: CustomerStore) -> None:
    """Somebody who is inserted further up pushes a row far on, which comes again: it is told once, by hand too."""
    async with Sandbox(customers=1500, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        box.fail(page=14, insert=1400)
        told = await sync(ts, store, acknowledge=False)

    assert max(Counter(change.id for change in told).values()) == 1


async def test_who_is_hidden_by_a_deletion_is_not_deleted(store: CustomerStore) -> None:
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
async def test_one_who_cannot_be_asked_for_holds_nobody_else_up(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any]
) -> None:
    """The others are told as deleted first, then the loop ends with the error; next time it is only the one."""
    await sync(ts, store)
    gone = box.customers.ids(0, 9)
    box.customers.delete(gone)
    box.fail(path=f"/customers/{gone[0]}", **fault)
    told: list[Change] = []

    async def follow() -> None:
        async for change in ts.customers.changes(store):
            told.append(change)  # noqa: PERF401 - those before the error too

    with pytest.raises((NotFound, ServerError, InvalidResponse)):
        await follow()

    assert {(type(change), change.id) for change in told} == {(Deleted, customer_id) for customer_id in gone[1:]}
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
        await sync(ts, store)
    assert failed.value.__notes__ == ["21 customers could not be asked for, so the others were not."]

    async with Sandbox(customers=25, rate_limit=None) as gateway:
        store_of_it = CustomerStore(tmp_path / "other.db")
        async with store_of_it, TicketSource(gateway.api_key, base_url=gateway.url, retry=ONCE) as other:
            await sync(other, store_of_it)
            gateway.customers.delete(everybody)
            for customer_id in everybody[:22]:
                gateway.fail(path=f"/customers/{customer_id}", status=404, html=True)
            told = []

            async def follow() -> None:
                async for change in other.customers.changes(store_of_it):
                    told.append(change.id)  # noqa: PERF401 - those before the error too

            with pytest.raises(NotFound):
                await follow()
    assert sorted(told) == everybody[22:]


async def test_a_refused_key_while_asking_ends_the_loop_at_once(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Whoever is left is not asked for in vain."""
    await sync(ts, store)
    box.fail(path=f"/customers/{min(box.customers.ids())}", status=401)  # they are asked for in the order of their ids
    box.customers.delete(box.customers.ids(0, 25))
    box.requests.clear()

    with pytest.raises(AuthenticationFailed):
        await sync(ts, store)
    assert len(box.requests) < 1 + 25


async def test_a_deletion_in_hand_comes_again_and_many_are_told(store: CustomerStore) -> None:
    """Leaving the loop there loses none of them, and what the loop has met is forgotten."""
    async with (
        Sandbox(customers=1200, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts,
    ):
        await sync(ts, store)
        gone = set(box.customers.ids(100, 1110))
        box.customers.delete(gone)
        async with aclosing(ts.customers.changes(store)) as changes:
            in_hand = await anext(changes)
        ended = await store.start_sync_run() - 1
        assert len([customer async for customer in store.not_seen(ended)]) == 1200
        rest = await sync(ts, store)
        assert await sync(ts, store) == []

    assert type(in_hand) is Deleted
    assert len(rest) == len(gone)
    assert {(type(change), change.id) for change in rest} == {(Deleted, customer_id) for customer_id in gone}


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"page": 1, "status": 500}, ServerError), ({"page": 1, "next": "loop"}, PaginationError)],
)
async def test_a_crawl_that_does_not_reach_its_end_deletes_nobody(
    box: Sandbox, ts: TicketSource, store: CustomerStore, fault: dict[str, Any], error: type[Exception]
) -> None:
    """If a page fails, no customer is asked for by id, and none is told as deleted."""
    await sync(ts, store)
    box.customers.delete(box.customers.ids(0, 3))
    box.requests.clear()
    box.fail(**fault)

    with pytest.raises(error):
        await sync(ts, store)
    assert {request.path for request in box.requests} == {"/customers"}


async def test_an_empty_list_deletes_nobody_who_is_there(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """If the API shows nobody for once, everybody is asked for by id, and found."""
    await sync(ts, store)
    box.fail(page=1, body='{"data": []}', status=200)

    assert await sync(ts, store) == []
    assert len(box.requests) == 1 + 1 + 25


async def test_a_row_that_cannot_be_read_is_neither_a_change_nor_deleted(api: MockedAPI, store: CustomerStore) -> None:
    """With `on_invalid` it is handed over once, and the customer stays as remembered; without, the loop ends."""
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


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the fields in which two customers differ, each given by attributes of a row."""
    return list(sync_changes._differing(*(read_row(customer_row(1, **given), Customer) for given in (before, after))))


D, ODD_DAY = "2030-01-31", "31.12.2020"


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({"membership": {"end_date": D}}, {"membership": {"end_date": ODD_DAY}}, []),
        (
            {"membership": {"end_date": D}},
            {"membership": {"end_date": ODD_DAY, "identifier": "M"}},
            ["membership.identifier"],
        ),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": D}}, ["membership.end_date"]),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": None}}, ["membership.end_date"]),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": "1.1.2021"}}, []),
        ({"membership": {"end_date": D}}, {"membership": "none"}, []),
        ({"membership": None}, {"membership": {"identifier": "M", "end_date": ODD_DAY}}, ["membership.identifier"]),
        ({"membership": {"end_date": D}}, {"membership": None}, ["membership"]),
        ({"membership": {"end_date": D}}, {"membership": []}, ["membership.end_date"]),
        ({"membership": None}, {"membership": {"identifier": None}}, []),
        ({"membership": None}, {"membership": []}, []),
        ({"consent": {"email": True}}, {"consent": {"email": 1}}, ["consent.email"]),
        ({"consent": {"email": True}}, {"consent": "yes"}, ["consent"]),
        ({"consent": {"email": 1}}, {"consent": {"email": None}}, ["consent.email"]),
        ({"consent": {"email": 1}}, {"consent": {"email": 0}}, []),
        ({"telephone": "1"}, {"telephone": ["2"]}, []),
        ({"telephone": ["1"]}, {"telephone": ["2"]}, []),
        ({"address": {"line_1": [], "line_2": "2"}}, {"address": None}, ["address"]),
        ({"telephone": "1"}, {"telephone": None, "phone": ["1"]}, []),
    ],
)
def test_a_field_that_cannot_be_read_is_no_change_but_a_consent_is(
    before: dict[str, Any], after: dict[str, Any], fields: list[str]
) -> None:
    """What a consumer has stays, since nobody knows better; a yes that cannot be read any more is no yes."""
    assert differing(before, after) == fields


async def test_a_withdrawal_is_told_though_another_field_cannot_be_read(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The change names the consent alone, `after.invalid` has the other field; its next good value is a change."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}, "membership": {"end_date": D}})
    await sync(ts, store)
    rows = box.customers.rows(0, 25)
    rows[0]["attributes"]["consent"]["email"] = False  # type: ignore[index]  # it is JSON
    rows[0]["attributes"]["membership"]["end_date"] = ODD_DAY  # type: ignore[index]  # it is JSON
    body = json.dumps({"data": rows, "links": {}})
    box.fail(page=1, status=200, body=body, times=2)
    (change,) = await sync(ts, store)
    nothing = await sync(ts, store)
    box.customers.update(zoe, {"consent": {"email": False}})
    (later,) = await sync(ts, store)

    assert isinstance(change, Updated)
    assert (change.id, change.fields, change.consent_changed) == (zoe, ("consent.email",), True)
    assert change.after.invalid == {"membership.end_date": ODD_DAY}
    assert nothing == []
    assert isinstance(later, Updated)
    assert "membership.end_date" in later.fields


async def test_a_change_that_comes_again_names_no_field_that_cannot_be_read_by_now(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The consumer would clear it; once it can be read again, it is named."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"membership": {"end_date": D}})
    await sync(ts, store)
    box.customers.update(zoe, {"membership": {"end_date": "2031-01-31"}, "last_name": "New"})
    await sync(ts, store, acknowledge=False)
    rows = box.customers.rows(0, 25)
    rows[0]["attributes"]["membership"]["end_date"] = ODD_DAY  # type: ignore[index]  # it is JSON
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}), times=1)

    odd, readable = await sync(ts, store, acknowledge=False), await sync(ts, store)

    for (change,), named in ((odd, False), (readable, True)):
        assert isinstance(change, Updated)
        assert ("membership.end_date" in change.fields) is named
        assert "last_name" in change.fields


async def test_a_record_that_is_as_it_was_is_written_anew_in_the_form_of_today(
    box: Sandbox, ts: TicketSource, store: CustomerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its links have moved: there is no change, and the record is unpacked once."""
    await sync(ts, store)
    unpacked: list[bytes] = []
    unpack = sync_store._unpack

    def counting(packed: bytes) -> Customer:
        unpacked.append(packed)
        return unpack(packed)

    monkeypatch.setattr(sync_store, "_unpack", counting)
    rows = box.customers.rows(0, 25)
    for row in rows:
        row["links"]["bookings"] = "https://elsewhere.example/"  # type: ignore[index]  # it is JSON
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}), times=2)

    assert await sync(ts, store) == []
    assert len(unpacked) == 25
    assert await sync(ts, store) == []
    assert len(unpacked) == 25


async def test_each_differing_field_is_named(api: MockedAPI, store: CustomerStore) -> None:
    """Parts are told field by field, or whole where one comes or goes; unknown attributes are told, links are not."""
    old = customer_row(1, membership=None, vip=True, old="x")
    new = customer_row(
        1, address=None, membership={"identifier": "M1"}, consent={"email": False, "post": False}, vip=False, new=None
    )
    new["links"]["self"] = "https://elsewhere/1"
    linked = json.loads(json.dumps(new))
    linked["links"]["self"] = "https://elsewhere/2"
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        for row in (old, new, linked, linked):
            api.answer("GET", "/customers?page=1&per_page=100", page([row]))
        runs = [await sync(ts, store) for _ in range(4)]

    (updated,) = runs[1]
    assert isinstance(updated, Updated)
    assert updated.fields == (
        "address",
        "membership",
        "consent.email",
        "consent.sms",
        "extra.vip",
        "extra.old",
        "extra.new",
    )
    assert updated.consent_changed
    assert runs[2:] == [[], []]


def test_links_that_could_not_be_read_are_no_change() -> None:
    """Links are not compared, whatever they were."""
    odd, even = ({**customer_row(1), "links": {"self": link}} for link in (7, "https://elsewhere/1"))

    assert list(sync_changes._differing(read_row(odd, Customer), read_row(even, Customer))) == []


def test_a_change_is_told_as_json() -> None:
    """`to_dict` says what happened, to whom, and has the records whole."""
    zoe = Customer(id="cst-1", first_name="Zoë")
    changed = attrs.evolve(zoe, first_name="Zoe")

    assert Created(zoe).to_dict() == {
        "change": "created",
        "id": "cst-1",
        "consent_changed": False,
        "customer": zoe.to_dict(),
    }
    assert Deleted(zoe).to_dict() == {"change": "deleted", "id": "cst-1", "before": zoe.to_dict()}
    assert Updated(zoe, changed, ("first_name",)).to_dict() == {
        "change": "updated",
        "id": "cst-1",
        "fields": ["first_name"],
        "consent_changed": False,
        "before": zoe.to_dict(),
        "after": changed.to_dict(),
    }


class Mirror(RuleBasedStateMachine):
    """Another system, kept in step with a box office where people come, change and go while it is read."""

    folder: ClassVar[Path]
    numbers = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.path = self.folder / f"{next(self.numbers)}.db"
        self.loop = asyncio.Runner()
        self.box = Sandbox(customers=23, rate_limit=None)
        self.ts = self.loop.run(self.begin())
        self.store = self.loop.run(CustomerStore(self.path).__aenter__())
        self.known: dict[str, Customer] = {}
        self.changes: AsyncGenerator[Change, None] | None = None

    async def begin(self) -> TicketSource:
        """Start the box office."""
        await self.box.start()
        return TicketSource(self.box.api_key, base_url=self.box.url, retry=ONCE, rate_limit=None)

    def somebody(self, number: int) -> list[str]:
        """Return the id of somebody who is there, if anybody is."""
        ids = self.box.customers.ids()
        return [ids[number % len(ids)]] if ids else []

    @rule(place=st.integers(0, 40), people=st.integers(1, 6))
    def people_come(self, place: int, people: int) -> None:
        """New rows may appear anywhere in the list."""
        self.box.customers.insert(people, at=min(place, len(self.box.customers)))

    @rule(number=st.integers(0, 40), people=st.integers(1, 8))
    def people_go(self, number: int, people: int) -> None:
        """Rows before the place that is read now may vanish too."""
        for _ in range(people):
            self.box.customers.delete(self.somebody(number))

    @rule(number=st.integers(0, 40), email=st.booleans(), sms=st.booleans())
    def somebody_changes_their_mind(self, number: int, email: bool, sms: bool) -> None:
        """A consent is given or withdrawn."""
        for customer_id in self.somebody(number):
            self.box.customers.update(customer_id, {"consent": {"email": email, "sms": sms}})

    @rule(number=st.integers(0, 40), name=st.sampled_from(["Zoë", "", "O'Neill"]))
    def somebody_changes_their_name(self, number: int, name: str) -> None:
        """An attribute changes, and perhaps back."""
        for customer_id in self.somebody(number):
            self.box.customers.update(customer_id, {"last_name": name})

    @rule(most=st.integers(1, 30), by_hand=st.booleans())
    def the_mirror_follows(self, most: int, by_hand: bool) -> None:
        """It takes some changes, and may leave the loop standing while more happens."""
        self.loop.run(self.follow(most, by_hand=by_hand))

    async def follow(self, most: int, *, by_hand: bool = False) -> None:
        """Deal with so many changes at most."""
        if self.changes is None:
            self.changes = self.ts.customers.changes(self.store, acknowledge=not by_hand)
        for _ in range(most):
            change = await anext(self.changes, None)
            if change is None:
                self.changes = None
                return
            self.deal_with(change)

    @rule()
    def what_is_done_is_remembered_by_hand(self) -> None:
        """All that it took from loops that remember nothing themselves is remembered at once."""
        self.loop.run(self.store.acknowledge_all())

    def deal_with(self, change: Change) -> None:
        """Do in the mirror what a change says; a second time it does no harm."""
        if isinstance(change, Deleted):
            assert self.box.customers.get(change.id) is None, "a false deletion"
            self.known.pop(change.id, None)
        elif isinstance(change, Created):
            self.known[change.id] = change.after
        else:  # as a mirror does that writes what is said to differ, and nothing else
            names = {field.partition(".")[0] for field in change.fields}
            differing = {name: getattr(change.after, name) for name in names}
            self.known[change.id] = attrs.evolve(self.known[change.id], **differing)

    @precondition(lambda self: self.changes is not None)
    @rule(in_hand=st.booleans())
    def the_mirror_crashes(self, in_hand: bool) -> None:
        """It dies, perhaps with a change in hand that it has not dealt with, and starts again."""

        async def crash() -> None:
            assert self.changes is not None
            if in_hand:
                await anext(self.changes, None)
            await self.changes.aclose()
            self.changes = None
            await self.store.aclose()
            self.store = await CustomerStore(self.path).__aenter__()

        self.loop.run(crash())

    @rule()
    def all_is_quiet(self) -> None:
        """When nothing happens for the length of a sync, the mirror is as the box office."""

        async def check() -> None:
            if self.changes is not None:
                await self.changes.aclose()
                self.changes = None
            await self.follow(sys.maxsize)
            assert self.changes is None
            truth = [customer async for customer in self.ts.customers.list()]
            assert self.known == {customer.id: customer for customer in truth}
            assert len(truth) == len(self.box.customers)

        self.loop.run(check())

    def teardown(self) -> None:
        """End with a quiet run, and leave nothing open."""
        self.all_is_quiet()

        async def end() -> None:
            await self.store.aclose()
            await self.ts.aclose()
            await self.box.stop()

        self.loop.run(end())
        self.loop.close()


def test_a_mirror_equals_the_box_office_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any sequence of edits, syncs and crashes, a quiet run makes the mirror true, and nobody is deleted falsely.

    Pages have four rows here, so that there are many.
    """
    monkeypatch.setattr(operations, "_PAGES_OF_A_SYNC", {"per_page": 4, "concurrency": 2})
    Mirror.folder = tmp_path

    run_state_machine_as_test(
        Mirror, settings=settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
    )


_SYNC = r"""
import asyncio, json, re, sys
from pathlib import Path
from ticketsource_async import CustomerStore, TicketSource

async def main():
    with open(sys.argv[2], "a") as journal:
        async with TicketSource.from_env(rate_limit=None) as ts, CustomerStore(sys.argv[1]) as store:
            async for change in ts.customers.changes(store):
                print(json.dumps(change.to_dict()), file=journal, flush=True)
    # Not ru_maxrss, which begins with what the process that started this one takes.
    print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)

asyncio.run(main())
"""


def start_sync(box: Sandbox, store: Path, journal: Path) -> "subprocess.Popen[str]":
    """Start a process that writes every change into a journal and prints at the end how many MB it took at most."""
    journal.touch()
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _SYNC, str(store), str(journal)],
        env=pointed_at(box),
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(journal: Path) -> list[dict[str, Any]]:
    """Return the changes in a journal, without a last one that was cut off in the middle."""
    return [json.loads(line) for line in journal.read_text().split("\n")[:-1]]


@pytest.mark.slow
@pytest.mark.ticketsource_sandbox(customers=1500, rate_limit=None)
def test_a_sync_that_is_killed_twenty_times_loses_and_repeats_nothing(
    ticketsource_sandbox: Sandbox, tmp_path: Path
) -> None:
    """What was finished before a kill -9 never comes again, and all that was not does, deletions too."""
    box, chance, store = ticketsource_sandbox, random.Random(7), tmp_path / "customers.db"
    mirror: dict[str, Any] = {}
    finished: dict[str, dict[str, Any]] = {}  # the last change of each customer
    killed = Counter[str]()
    while killed.total() < 20:
        journal = tmp_path / f"{killed.total()}.jsonl"
        process = start_sync(box, store, journal)
        at = chance.choice([0, 5, 31, 36, 90] if mirror else [0, 90, 700])
        while process.poll() is None and journal.read_bytes().count(b"\n") < at:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        changes = lines_of(journal)
        journal.unlink()
        in_hand = changes[-1:] if process.returncode == -signal.SIGKILL else []
        killed.update(change["change"] for change in in_hand or [{"change": "none"}])
        apply(changes, mirror, finished)
        for change in in_hand:
            finished.pop(change["id"], None)
        for customer_id in chance.sample(box.customers.ids(), 30):
            box.customers.update(customer_id, {"consent": {"email": chance.random() < 0.5}})
        box.customers.delete(chance.sample(box.customers.ids(), 5))
    last = start_sync(box, store, tmp_path / "last.jsonl")
    last.communicate()
    apply(lines_of(tmp_path / "last.jsonl"), mirror, finished)

    async def truth() -> dict[str, Any]:
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            return {customer.id: customer.to_dict() async for customer in ts.customers.list()}

    assert last.returncode == 0
    assert mirror == asyncio.run(truth())
    assert {"created", "updated"} < set(killed)


def apply(changes: list[dict[str, Any]], mirror: dict[str, Any], finished: dict[str, dict[str, Any]]) -> None:
    """Do in a mirror what changes say, none of which may be the last that was finished of its customer."""
    for change in changes:
        assert change != finished.get(change["id"])
        finished[change["id"]] = change
        if change["change"] == "deleted":
            mirror.pop(change["id"], None)
        else:
            mirror[change["id"]] = change.get("after") or change["customer"]


@pytest.mark.slow
@pytest.mark.ticketsource_sandbox(customers=100_000, rate_limit=None)
def test_a_hundred_thousand_customers_take_no_more_memory_than_a_few(
    ticketsource_sandbox: Sandbox, tmp_path: Path
) -> None:
    """The first sync and one without changes stay within 80 MB, of which a sync of nobody takes half."""
    first = start_sync(ticketsource_sandbox, tmp_path / "customers.db", tmp_path / "first.jsonl")
    most, _ = first.communicate()
    second = start_sync(ticketsource_sandbox, tmp_path / "customers.db", tmp_path / "second.jsonl")
    again, _ = second.communicate()

    assert (tmp_path / "first.jsonl").read_bytes().count(b"\n") == 100_000
    assert (tmp_path / "second.jsonl").read_bytes() == b""
    assert int(most) < 80
    assert int(again) < 80
