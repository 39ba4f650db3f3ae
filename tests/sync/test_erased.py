"""Customers who are erased or merged in TicketSource: what a sync yields, and what the store keeps."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import run
from loops import read_until_it_raises
from processes import pointed_at
from syncing import sync

from ticketsource_async import (
    Change,
    Created,
    Customer,
    CustomerStore,
    Deleted,
    Erased,
    NotFound,
    ServerError,
    TicketSource,
    TooManyRemoved,
    Updated,
)
from ticketsource_async.sandbox import Sandbox

BLANK: dict[str, Any] = {"first_name": None, "last_name": None, "email": None, "telephone": None, "address": None}
FULL = {
    "first_name": "Zoë",
    "last_name": "O'Neill",
    "email": "zoe@example.com",
    "telephone": "01632 960001",
    "address": {"line_1": "1 High Street", "postcode": "LS1 1AA"},
    "consent": {"email": True},
}


def show(box: Sandbox, customer_id: str, attributes: object, *, by_id: object = None) -> None:
    """Let the next list show `attributes` of a customer, and the next call by id `by_id`, if it is given."""
    rows = box.customers.rows(0, 25)
    next(row for row in rows if row["id"] == customer_id)["attributes"] = attributes
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {}}))
    if by_id is not None:
        row = {**(box.customers.get(customer_id) or {}), "attributes": by_id}
        box.fail(path=f"/customers/{customer_id}", status=200, body=json.dumps({"data": row}))


@pytest.fixture(name="zoe")
def _zoe(box: Sandbox) -> str:
    zoe = box.customers.ids()[3]
    box.customers.update(zoe, FULL)
    return zoe


@pytest.mark.parametrize("form", ["null", "empty"])
async def test_a_purged_customer_is_erased_once(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, form: str
) -> None:
    """The change has both records and marks a changed consent. The blank record is no further change."""
    before = await ts.customers.get(zoe)
    await sync(ts, store)
    box.customers.purge(zoe, form=form)  # type: ignore[arg-type]  # a parameter

    (erased,) = await sync(ts, store)

    assert erased == Erased(before, await ts.customers.get(zoe))
    assert (erased.kind, erased.id, erased.consent_changed) == ("erased", zoe, True)
    assert erased.to_dict()["change"] == "erased"
    assert await sync(ts, store) == []
    box.customers.update(zoe, {"membership": {"identifier": "M1"}})
    assert [type(change) for change in await sync(ts, store)] == [Updated]
    box.customers.update(zoe, FULL)
    assert [type(change) for change in await sync(ts, store)] == [Updated]
    box.customers.purge(zoe)
    assert [type(change) for change in await sync(ts, store)] == [Erased]


@pytest.mark.parametrize(
    "blank",
    [
        BLANK,
        dict.fromkeys(BLANK, ""),
        {**BLANK, "address": {"line_1": None, "line_2": "", "postcode": None}},
        {**BLANK, "address": []},
        {**BLANK, "title": None, "consent": {"email": True}},
        {**BLANK, "title": "Ms"},
        {**{k: v for k, v in BLANK.items() if k != "telephone"}, "phone": None},
    ],
)
async def test_every_form_of_an_empty_customer_is_erased(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, blank: object
) -> None:
    """Null, an empty text and an address of these are empty. The title and the consents do not matter."""
    await sync(ts, store)
    show(box, zoe, blank, by_id=blank)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Erased, zoe)]


@pytest.mark.parametrize(
    "odd",
    [
        *({k: v for k, v in BLANK.items() if k != name} for name in BLANK),
        {},
        [],
        {**BLANK, "email": ["x"], "last_name": None},
        {**BLANK, "address": "1 High Street"},
        {**BLANK, "address": {"line_1": None, "postcode": ["x"]}},
        {**BLANK, "address": {"line_1": None, "town": "Leeds"}},
        {**BLANK, "first_name": "Anonymised"},
        {**BLANK, "last_name": " "},
        {**BLANK, "phone": "01632 960001"},
    ],
)
async def test_a_customer_who_may_have_data_left_is_not_erased(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, odd: object
) -> None:
    """An attribute that is left out or cannot be read may still have data. The change is an update."""
    await sync(ts, store)
    show(box, zoe, odd, by_id=odd)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Updated, zoe)]


@pytest.mark.parametrize("odd", [{"email": ["x"]}, {"address": "1 High Street"}, {"address": {"postcode": ["x"]}}])
async def test_values_that_cannot_be_read_do_not_stop_a_run(
    ts: TicketSource, store: CustomerStore, box: Sandbox, odd: dict[str, Any]
) -> None:
    """They do not count as empty: each customer is updated, so that a withdrawal of consent does not wait."""
    await sync(ts, store)
    for customer_id in box.customers.ids():
        box.customers.overwrite(customer_id, {**BLANK, **odd, "consent": {"email": False}})
    box.requests.clear()

    changes = await sync(ts, store, max_removed=0)

    assert {type(change) for change in changes} == {Updated}
    assert len(changes) == 25
    assert {request.path for request in box.requests} == {"/customers"}
    assert await sync(ts, store, max_removed=0) == []


@pytest.mark.parametrize(("one", "other"), [(None, ""), ("", None)])
async def test_an_erased_customer_is_not_yielded_again_when_null_becomes_an_empty_text(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, one: object, other: object
) -> None:
    """Both count as empty. A new membership is still yielded."""
    await sync(ts, store)
    box.customers.overwrite(zoe, dict.fromkeys(BLANK, one))
    assert [type(change) for change in await sync(ts, store)] == [Erased]

    box.customers.overwrite(zoe, dict.fromkeys(BLANK, other))
    assert await sync(ts, store) == []
    box.customers.overwrite(zoe, {**dict.fromkeys(BLANK, other), "membership": {"identifier": "M1"}})
    assert [type(change) for change in await sync(ts, store)] == [Updated]


@pytest.mark.parametrize("listed", [BLANK, {}])
async def test_the_call_by_id_replaces_a_customer_who_is_empty_in_the_list(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, listed: object
) -> None:
    """By id the customer is unchanged, has another name, or does not exist."""
    await sync(ts, store)
    show(box, zoe, listed)
    assert await sync(ts, store) == []

    box.customers.update(zoe, {"last_name": "New"})
    show(box, zoe, listed)
    (updated,) = await sync(ts, store)
    assert isinstance(updated, Updated)
    assert updated.fields in (("last_name",), ("last_name", "updated_at"))  # if both are of one second

    show(box, zoe, listed)
    box.fail(path=f"/customers/{zoe}", status=404, body='{"errors": [{"code": "not_found"}]}')
    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Deleted, zoe)]


async def test_a_customer_with_data_in_the_list_is_not_asked_for_by_id(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """The API may show an old page for a while. The erasure is yielded when the list has it too."""
    await sync(ts, store)
    rows = box.customers.rows(0, 25)
    box.customers.purge(zoe)
    box.requests.clear()
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {}}))

    assert await sync(ts, store) == []
    assert [request.path for request in box.requests] == ["/customers"]
    assert [type(change) for change in await sync(ts, store)] == [Erased]


async def test_a_customer_missing_from_the_list_and_empty_by_id_is_erased(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """If the data return, the update names all of their fields."""
    await sync(ts, store)
    hidden = json.dumps({"data": [row for row in box.customers.rows(0, 25) if row["id"] != zoe], "links": {}})
    row = {**(box.customers.get(zoe) or {}), "attributes": BLANK}
    box.fail(path="/customers", status=200, body=hidden)
    box.fail(path=f"/customers/{zoe}", status=200, body=json.dumps({"data": row}))

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Erased, zoe)]
    (back,) = await sync(ts, store)
    assert isinstance(back, Updated)
    assert {"first_name", "last_name", "email", "telephone", "address"} <= set(back.fields)


@pytest.mark.parametrize(
    ("listed", "by_id", "kind"),
    [
        ({}, BLANK, Erased),
        ({"email": None}, dict.fromkeys(BLANK, ""), Erased),
        (BLANK, {}, Updated),
        (BLANK, {name: None for name in BLANK if name != "address"}, Updated),
        (BLANK, {**BLANK, "telephone": ["01632 960001"]}, Updated),
        ({**BLANK, "email": ["zoe@example.com"]}, BLANK, Updated),
    ],
)
async def test_the_call_by_id_decides_whether_a_customer_is_erased(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, listed: object, by_id: object, kind: type[Change]
) -> None:
    """It must have all attributes, the list may leave some out. A value that cannot be read is not empty."""
    await sync(ts, store)
    show(box, zoe, listed, by_id=by_id)

    assert [(type(change), change.id) for change in await sync(ts, store)] == [(kind, zoe)]


async def test_an_erasure_that_cannot_be_confirmed_is_yielded_by_the_next_run(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """The changes of the others come first."""
    await sync(ts, store)
    box.customers.purge(zoe)
    box.customers.delete([box.customers.ids()[9]])
    box.fail(path=f"/customers/{zoe}", status=501)

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert [type(change) for change in changes] == [Deleted]
    assert isinstance(error, ServerError)
    assert [(type(change), change.id) for change in await sync(ts, store)] == [(Erased, zoe)]


@pytest.mark.parametrize("told", ["created", "updated", "deleted"])
async def test_an_erasure_is_yielded_until_it_is_acknowledged(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str, told: str
) -> None:
    """This holds even if the change before was not acknowledged: the consumer may have the person's data."""
    if told != "created":
        await sync(ts, store)
    if told == "updated":
        box.customers.purge(zoe)
        await sync(ts, store)
        box.customers.update(zoe, FULL)
    if told == "deleted":
        rows = [row for row in box.customers.rows(0, 25) if row["id"] != zoe]
        box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))
        box.fail(path=f"/customers/{zoe}", status=404, body='{"errors": [{"code": "not_found"}]}')
    before = [change for change in await sync(ts, store, acknowledge=False) if change.id == zoe]
    box.customers.purge(zoe)

    for _ in range(3):
        (change,) = [change for change in await sync(ts, store, acknowledge=False) if change.id == zoe]
        assert isinstance(change, Erased)
    await store.acknowledge_all()

    assert [change.kind for change in before] == [told]
    assert await sync(ts, store) == []


async def test_a_customer_who_was_always_empty_is_created_and_not_erased(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """There was nothing to erase."""
    box.customers.purge(zoe)

    assert {type(change) for change in await sync(ts, store)} == {Created}


async def test_a_customer_whose_data_return_after_an_erasure_is_updated(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """The consumer may have removed the person, so the change names all fields that were empty."""
    await sync(ts, store)
    box.customers.purge(zoe)
    assert [type(change) for change in await sync(ts, store, acknowledge=False)] == [Erased]
    box.customers.update(zoe, FULL)

    (back,) = await sync(ts, store)

    assert isinstance(back, Updated)
    assert {"first_name", "last_name", "email", "telephone", "consent.email"} <= set(back.fields)
    assert {field.partition(".")[0] for field in back.fields} >= {"address"}


def in_files(folder: Path) -> bytes:
    """Read the store and its journal in another process: to close a file here would end the locks on it."""
    return subprocess.run(["cat", *folder.iterdir()], capture_output=True, check=True).stdout


@pytest.mark.parametrize("how", ["by itself", "all at once", "by hand", "killed"])
@pytest.mark.parametrize("form", ["null", "gone"])
async def test_the_store_keeps_no_trace_of_erased_and_deleted_customers(tmp_path: Path, how: str, form: str) -> None:
    """It keeps none in rows and none in free pages.

    The traces are removed at the end of the loop or by `acknowledge_all`. If each change was acknowledged by hand, or
    the process was killed, they are removed when the store is closed the next time.
    """
    path, kept = tmp_path / "customers.db", 800
    async with (
        Sandbox(customers=kept, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts,
    ):
        gone = box.customers.ids()[::29]
        for number, customer_id in enumerate(box.customers.ids()):
            box.customers.update(customer_id, {"last_name": f"<{customer_id}>" * (1 + number % 40)})
        async with CustomerStore(path) as store:
            await sync(ts, store)
        for customer_id in gone:
            box.customers.purge(customer_id, form=form)  # type: ignore[arg-type]  # a parameter
        if how == "killed":
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _DIES, str(path)), env=pointed_at(box), stdout=subprocess.PIPE
            )
            told, _ = await process.communicate()
            assert (process.returncode, int(told)) == (-signal.SIGKILL, len(gone))
        async with CustomerStore(path) as store:
            yielded: list[Change] = []
            if how != "killed":
                yielded = await sync(ts, store, acknowledge=how == "by itself")
                assert [change.kind for change in yielded] == len(gone) * ["erased" if form == "null" else "deleted"]
            if how == "all at once":
                await store.acknowledge_all()
            for change in yielded if how == "by hand" else ():
                await store.acknowledge(change)
            if how in ("by itself", "all at once"):
                assert _left(await asyncio.to_thread(in_files, tmp_path), gone) == []
            assert len([_ async for _ in store.customers()]) == kept - (len(gone) if form == "gone" else 0)
        assert _left(path.read_bytes(), gone) == []
        assert len(_left(path.read_bytes(), box.customers.ids())) == kept - len(gone)


_DIES = """
import asyncio, os, sys
from ticketsource_async import CustomerStore, TicketSource

async def main():
    async with TicketSource.from_env(rate_limit=None) as ts, CustomerStore(sys.argv[1]) as store:
        changes = [change async for change in ts.customers.changes(store, acknowledge=False)]
        for change in changes:
            await store.acknowledge(change)
        print(len(changes), flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def _left(text: bytes, gone: list[str]) -> list[str]:
    return [customer_id for customer_id in gone if f"<{customer_id}>".encode() in text]


async def test_too_many_erasures_stop_the_run_before_any_is_yielded(
    ts: TicketSource, store: CustomerStore, box: Sandbox
) -> None:
    """The list shows all customers as empty. None is yielded as erased or asked for by id."""
    await sync(ts, store)
    rows = box.customers.rows(0, 25)
    box.requests.clear()
    for attributes in ({**rows[0]["attributes"], **BLANK}, {}):  # type: ignore[dict-item]  # it is JSON
        body = json.dumps({"data": [{**row, "attributes": attributes} for row in rows], "links": {}})
        box.fail(page=1, status=200, body=body)
        changes, error = await read_until_it_raises(ts.customers.changes(store))
        assert (changes, type(error)) == ([], TooManyRemoved)
    assert {request.path for request in box.requests} == {"/customers"}
    assert await sync(ts, store) == []


async def test_erasures_and_deletions_count_together(store: CustomerStore) -> None:
    """Eleven deletions and ten erasures are more than twenty."""
    async with Sandbox(customers=100, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        await sync(ts, store)
        for number, customer_id in enumerate(box.customers.ids(0, 21)):
            box.customers.update(customer_id, FULL)
            box.customers.purge(customer_id, form="null" if number % 2 else "gone")
        changes, error = await read_until_it_raises(ts.customers.changes(store))
        allowed = await sync(ts, store, max_removed=21)

    assert (changes, type(error)) == ([], TooManyRemoved)
    assert sorted(change.kind for change in allowed) == ["deleted"] * 11 + ["erased"] * 10


async def test_a_deletion_names_the_customers_with_the_same_contact(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """They have the same e-mail, or the same telephone and surname. The telephone alone is not enough."""
    gone, email, number, number_alone, name, other, also_gone = box.customers.ids(0, 7)
    nobody = {"email": None, "telephone": None, "first_name": "A", "last_name": "B"}
    for customer_id in (email, number, number_alone, name, other):
        box.customers.update(customer_id, nobody)
    for customer_id in (gone, also_gone):
        box.customers.update(customer_id, FULL)
    box.customers.update(email, {"email": "ZOE@example.com"})
    box.customers.update(number, {"telephone": "+44 1632 960001", "last_name": "Oneill"})
    box.customers.update(number_alone, {"telephone": "01632 960001"})
    box.customers.update(name, {"first_name": "Zoë", "last_name": "O'Neill", "address": FULL["address"]})
    await sync(ts, store)
    box.customers.merge(email, gone)
    box.customers.delete([also_gone])

    deleted = await sync(ts, store)

    assert {change.id: set(getattr(change, "same_contact", ())) for change in deleted} == {
        gone: {email, number},
        also_gone: {email, number},
    }
    assert set(deleted[0].to_dict()["same_contact"]) == {email, number}  # type: ignore[call-overload]  # it is JSON


async def test_a_contact_shared_by_many_customers_is_ignored_and_counted(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Ten customers may be a family with friends. Eleven have the contact of a venue or of the box office."""
    everybody = box.customers.ids()
    nobody = {"email": None, "telephone": None, "last_name": None}
    for number, customer_id in enumerate(everybody):
        at_venue = number < 11
        box.customers.update(
            customer_id,
            {
                **nobody,
                **({"email": "info@venue.example.com"} if at_venue else {}),
                **({"telephone": "01632 960001 / 01632960001", "last_name": "Fox"} if at_venue and number else {}),
            },
        )
    await sync(ts, store)
    box.customers.delete(everybody[:2])

    first, second = sorted(await sync(ts, store), key=lambda change: everybody.index(change.id))

    assert isinstance(first, Deleted)
    assert isinstance(second, Deleted)
    assert (first.same_contact, first.ignored_contacts) == ((), 1)
    assert (set(second.same_contact), second.ignored_contacts) == ({*everybody[2:11]}, 1)
    assert second.to_dict()["ignored_contacts"] == 1
    for customer_id in everybody[11:13]:
        box.customers.update(customer_id, {"telephone": "+44 1632 960001", "last_name": "FOX"})
    await sync(ts, store)
    box.customers.delete([everybody[2]])
    (third,) = await sync(ts, store)
    assert isinstance(third, Deleted)
    assert (third.same_contact, third.ignored_contacts) == (tuple(sorted(everybody[3:11])), 1)


async def test_a_telephone_of_one_repeated_digit_is_no_shared_contact(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """Box offices write 00000000000 where they have none."""
    gone, other = box.customers.ids(0, 2)
    for customer_id in (gone, other):
        box.customers.update(customer_id, {"email": None, "telephone": "00000 000000", "last_name": "Smith"})
    await sync(ts, store)
    box.customers.delete([gone])

    (deleted,) = await sync(ts, store)

    assert isinstance(deleted, Deleted)
    assert deleted.same_contact == ()


async def test_the_command_counts_and_writes_erasures(box: Sandbox, tmp_path: Path, zoe: str) -> None:
    """With `--order safe`, erasures and withdrawals come before the other changes, which keep their order."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=box)
    ids = box.customers.ids()
    box.customers.purge(zoe)
    box.customers.delete([ids[9]])
    box.customers.update(ids[0], {"last_name": "Changed"})
    box.customers.update(ids[1], {"consent": {"email": True, "post": True, "sms": True}})
    box.customers.update(ids[2], {"last_name": "Other"})
    box.customers.insert(1)
    before = await run(*follow, "--format", "csv", "-o", str(tmp_path / "first.csv"), "--order", "safe", box=box)
    box.customers.update(ids[0], {"last_name": "Again"})
    box.customers.update(ids[1], {"consent": {"sms": False}})
    after = await run(*follow, "--order", "safe", box=box)
    nothing = await run(*follow, box=box)

    lines = (tmp_path / "first.csv").read_text("utf-8").splitlines()
    assert before.err == "1 created, 3 updated, 1 deleted, 1 erased; 1 changed a consent.\n"
    assert [line.split(",")[0] for line in lines[1:]][:2] == ["erased", "deleted"]
    assert [line.split(",")[1] for line in lines[3:6]] == ids[:3]
    assert [json.loads(line)["id"] for line in after.out.splitlines()] == [ids[1], ids[0]]
    assert nothing.out == ""


async def test_with_order_safe_a_failure_comes_after_the_other_changes(box: Sandbox, tmp_path: Path, zoe: str) -> None:
    """It is the same without the option."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "--order", "safe")
    await run(*follow, box=box)
    box.customers.delete([zoe])
    box.customers.update(box.customers.ids()[0], {"last_name": "Changed"})
    box.fail(path=f"/customers/{zoe}", status=404, html=True)

    failed = await run(*follow, box=box)

    assert (failed.code, [json.loads(line)["id"] for line in failed.out.splitlines()]) == (1, box.customers.ids(0, 1))


async def test_a_404_of_a_gateway_erases_no_customer(
    box: Sandbox, ts: TicketSource, store: CustomerStore, zoe: str
) -> None:
    """The customer is empty in the list, and the call by id fails."""
    await sync(ts, store)
    box.customers.purge(zoe)
    box.fail(path=f"/customers/{zoe}", status=404, html=True)

    changes, error = await read_until_it_raises(ts.customers.changes(store))

    assert (changes, type(error)) == ([], NotFound)


def test_a_record_made_by_a_program_equals_one_that_was_read() -> None:
    """The names of the attributes that came do not count."""
    assert Customer("cst-1") == Customer.from_dict({"id": "cst-1", "links": {}})
