"""Which changes are yielded again, which are acknowledged, and which are reversed."""

import asyncio
import json
from collections import Counter
from contextlib import aclosing

import pytest
from syncing import ODD_DAY, D, sync

from ticketsource_async import (
    Created,
    Customer,
    CustomerDraft,
    CustomerStore,
    Deleted,
    TicketSource,
    Updated,
)
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync import store as sync_store
from ticketsource_async.sync._packing import unpack


async def test_a_second_sync_yields_only_the_changes(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """The first sync yields each customer as created. The second yields a new, an updated and a deleted one."""
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


@pytest.mark.parametrize("how", ["error", "break", "cancel"])
async def test_a_loop_that_ends_early_yields_the_unacknowledged_changes_again(
    box: Sandbox, ts: TicketSource, store: CustomerStore, how: str
) -> None:
    """A change is acknowledged when the next is asked for. The change in hand and all later ones are yielded again."""
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


async def test_changes_can_be_acknowledged_by_hand(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """With `acknowledge=False`, a change is yielded again until `acknowledge` is called for it, in any order."""
    yielded = await sync(ts, store, acknowledge=False)
    for change in reversed(yielded[5:]):
        await store.acknowledge(change)

    assert await sync(ts, store) == yielded[:5]
    assert await sync(ts, store) == []


async def test_acknowledge_all_acknowledges_only_the_yielded_changes(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Deletions are acknowledged too. The other changes of the same page are not."""
    gone, *others = box.customers.ids()
    await sync(ts, store)
    box.customers.delete([gone])
    for customer_id in others:
        box.customers.update(customer_id, {"last_name": "Changed"})
    async with aclosing(ts.customers.changes(store, acknowledge=False)) as changes:
        assert [(await anext(changes)).id for _ in range(3)] == others[:3]
        await store.acknowledge_all()
        await anext(changes)
        await anext(changes)  # neither is acknowledged

    async with aclosing(ts.customers.changes(store, acknowledge=False)) as changes:
        in_hand = await anext(changes)
        await store.acknowledge_all()
    assert in_hand.id == others[3]
    assert [change.id for change in await sync(ts, store, acknowledge=False)] == [*others[4:], gone]
    async with aclosing(ts.customers.changes(store, acknowledge=False)):
        pass  # this loop is never started, so the one before is the latest
    await store.acknowledge_all()
    assert await sync(ts, store) == []


@pytest.mark.parametrize("acknowledge", [True, False])
async def test_the_reversal_of_an_unacknowledged_change_is_yielded(
    box: Sandbox, ts: TicketSource, store: CustomerStore, acknowledge: bool
) -> None:
    """The consumer may have processed the change: so a deletion and a return to the old consent are yielded."""
    [wavering] = box.customers.insert(1, at=0)
    box.customers.update(wavering, {"consent": {"email": False}})
    await sync(ts, store)
    box.customers.update(wavering, {"consent": {"email": True}})
    [new] = box.customers.insert(1, at=0)
    async with aclosing(ts.customers.changes(store, acknowledge=acknowledge)) as changes:
        assert isinstance(await anext(changes), Created)
        if not acknowledge:
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
async def test_a_withdrawal_is_marked_until_it_is_acknowledged(
    box: Sandbox, ts: TicketSource, store: CustomerStore, known: bool
) -> None:
    """The consumer may have processed the consent before it, and nothing since."""
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


async def test_a_customer_who_reappears_is_yielded_as_created_until_acknowledged(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """A consumer that processed the deletion has no record to update."""
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


async def test_acknowledge_all_leaves_the_change_in_hand_of_an_acknowledging_loop(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """`acknowledge_all` is for loops that acknowledge nothing themselves."""
    async with aclosing(ts.customers.changes(store)) as changes:
        in_hand = await anext(changes)
    await store.acknowledge_all()

    assert in_hand.id in {change.id for change in await sync(ts, store)}


async def test_a_customer_who_is_yielded_as_created_again_marks_a_withdrawal(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The consumer may have processed the first change, which had the consent. A new customer marks none."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}})
    first = await sync(ts, store, acknowledge=False)
    box.customers.update(zoe, {"consent": {"email": False}})

    again = await sync(ts, store)

    assert {type(change) for change in again} == {Created}
    assert [change.id for change in again if change.consent_changed] == [zoe]
    assert not [change for change in first if change.consent_changed]
    assert again[0].to_dict()["consent_changed"] is True


async def test_a_customer_erased_from_the_store_during_a_loop_is_not_yielded(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The list lacks the customers, so the loop asks for them by id. Even then it does not yield them."""
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


async def test_no_customer_is_yielded_twice_when_rows_shift(store: CustomerStore) -> None:
    """Customers who are inserted further up move a row to the next page, where it is listed again."""
    async with Sandbox(customers=1500, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        box.fail(page=14, insert=1400)
        yielded = await sync(ts, store, acknowledge=False)

    assert max(Counter(change.id for change in yielded).values()) == 1


async def test_a_repeated_change_does_not_name_a_field_that_became_unreadable(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The consumer would clear the field. When it can be read again, the change names it."""
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


async def test_a_record_that_differs_only_in_links_is_no_change_and_is_unpacked_once(
    box: Sandbox, ts: TicketSource, store: CustomerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store keeps the new form, so the second sync unpacks no record."""
    await sync(ts, store)
    unpacked: list[bytes] = []

    def counting(packed: bytes) -> Customer:
        unpacked.append(packed)
        return unpack(packed)

    monkeypatch.setattr(sync_store, "unpack", counting)
    rows = box.customers.rows(0, 25)
    for row in rows:
        row["links"]["bookings"] = "https://elsewhere.example/"  # type: ignore[index]  # it is JSON
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}), times=2)

    assert await sync(ts, store) == []
    assert len(unpacked) == 25
    assert await sync(ts, store) == []
    assert len(unpacked) == 25


async def test_changes_yielded_during_acknowledge_all_are_acknowledged_by_the_next_call(
    ts: TicketSource, store: CustomerStore, box: Sandbox
) -> None:
    """No change is acknowledged before it is yielded."""
    async with aclosing(ts.customers.changes(store, acknowledge=False)) as changes:
        await anext(changes)
        acknowledging = asyncio.create_task(store.acknowledge_all())
        await asyncio.sleep(0)
        seen = [change async for change in changes]
        await acknowledging
        await store.acknowledge_all()

    assert len(seen) == len(box.customers.ids()) - 1
    assert await sync(ts, store) == []


async def test_acknowledging_an_old_change_restores_no_deleted_or_erased_customer(
    ts: TicketSource, store: CustomerStore, box: Sandbox
) -> None:
    """The deletion of the first customer was acknowledged. The second was erased from the store."""
    first, second, *_ = await sync(ts, store)
    box.customers.delete([first.id])
    await sync(ts, store)
    await store.erase(second.id)

    await store.acknowledge(first)
    await store.acknowledge(second)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Created, second.id)]
