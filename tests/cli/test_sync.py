"""The commands that keep another system up to date."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from command import rows_in, run, start
from loops import until

from ticketsource_async import CustomerStore
from ticketsource_async.files import FORMATS
from ticketsource_async.sandbox import Sandbox


async def test_each_change_is_written_once_on_its_own_line(box: Sandbox, tmp_path: Path) -> None:
    """The first run writes all customers as created, the second the changes, and the third nothing."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    first = await run(*follow, box=box)
    gone, moved = box.customers.ids(0, 2)
    box.customers.delete([gone])
    before = box.customers.get(moved)
    assert before is not None
    box.customers.update(moved, {"last_name": "Zoë", "consent": {"email": True, "post": True, "sms": True}})
    second = await run(*follow, box=box)
    third = await run(*follow, "--quiet", box=box)

    assert [json.loads(line)["change"] for line in first.out.splitlines()] == ["created"] * 25
    assert first.err == "25 created, 0 updated, 0 deleted; 0 changed a consent.\n"
    updated, deleted = map(json.loads, second.out.splitlines())
    assert (updated["change"], updated["id"], updated["consent_changed"]) == ("updated", moved, True)
    assert updated["before"]["last_name"] == before["attributes"]["last_name"]  # type: ignore[index]  # it is JSON
    assert updated["after"]["last_name"] == "Zoë"
    assert (deleted["change"], deleted["id"], deleted["before"]["id"]) == ("deleted", gone, gone)
    assert second.err == "0 created, 1 updated, 1 deleted; 1 changed a consent.\n"
    assert third == (0, "", "")


async def test_a_closed_pipe_ends_the_changes_with_1(many: Sandbox, tmp_path: Path) -> None:
    """The next run prints the changes that were not written, but not those in the pipe."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    many.fail(page=3, slow=0.4)
    process = await start(*follow, box=many)
    assert process.stdout is not None
    assert process.stderr is not None
    first = await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as a reader that dies
    err = (await process.stderr.read()).decode()
    again = await run(*follow, box=many)

    assert await process.wait() == 1
    assert err.startswith(
        "ticketsource: the program that reads the output ended early. The last changes may be acknowledged "
    )
    yielded = {json.loads(line)["id"] for line in again.out.splitlines()}
    assert json.loads(first)["id"] not in yielded
    assert len(yielded) >= 100  # at least those of the page that was slow


async def test_changes_in_a_file_are_acknowledged_when_the_file_is_complete(many: Sandbox, tmp_path: Path) -> None:
    """A run that fails leaves no file, and its changes are written again. An old file is not replaced."""
    target = tmp_path / "changes.jsonl"
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "-o", str(target))
    many.fail(page=3, status=501)
    failed = await run(*follow, box=many)
    left = sorted(path.name for path in tmp_path.iterdir())
    many.fail(page=2, slow=60)
    many.requests.clear()
    ended = await start(*follow, box=many)
    await until(lambda: "2" in [request.query.get("page") for request in many.requests])
    ended.send_signal(signal.SIGTERM)
    await ended.communicate()
    left_again = sorted(path.name for path in tmp_path.iterdir())
    done = await run(*follow, box=many)
    kept = await run(*follow, box=many)
    lines = target.read_text("utf-8").splitlines()
    target.unlink()
    nothing = await run(*follow, box=many)

    assert (failed.code, ended.returncode, done.code) == (75, 143, 0)
    assert left == left_again == ["customers.db"]
    assert [json.loads(line)["id"] for line in lines] == list(many.customers.ids())
    assert (kept.code, kept.err) == (
        1,
        (
            f"ticketsource: {target} already has changes of an earlier run. Copy them to your other system, delete the "
            "file, and run the command again.\n"
        ),
    )
    assert (nothing.code, target.read_text()) == (0, "")


async def test_a_failed_call_for_one_customer_does_not_prevent_the_file(box: Sandbox, tmp_path: Path) -> None:
    """The file has the changes of all others, which are acknowledged. The exit code is 1."""
    target = tmp_path / "changes.jsonl"
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "-o", str(target))
    await run(*follow, box=box)
    target.unlink()
    gone, changed = box.customers.ids(0, 2)
    box.customers.delete([gone])
    box.customers.update(changed, {"last_name": "Changed"})
    box.fail(path=f"/customers/{gone}", status=404, html=True)
    failed = await run(*follow, box=box)
    changes = [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]
    target.unlink()
    done = await run(*follow, box=box)

    assert (failed.code, changes) == (1, [changed])
    assert f"GET /customers/{gone} was answered 404" in failed.err
    assert failed.err.startswith("0 created, 1 updated, 0 deleted; 0 changed a consent.\n")
    assert (done.code, [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]) == (0, [gone])


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"status": 400}, 1, "answered 400"),
        ({"status": 403, "body": '{"errors": [{"status": 403, "code": "forbidden"}]}'}, 4, "answered 403"),
        ({"status": 410, "html": True}, 1, "answered 410"),
        ({"status": 501}, 75, "answered 501"),
        ({"cut": "before", "times": None}, 75, "connection"),
        ({"body": "[]", "status": 200, "times": None}, 1, "something unexpected"),
    ],
)
@pytest.mark.usefixtures("ticketsource_no_waiting")
async def test_an_odd_answer_for_one_customer_does_not_hold_back_other_changes(
    box: Sandbox, tmp_path: Path, fault: dict[str, Any], code: int, said: str
) -> None:
    """The error is reported at the end, and decides the exit code."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "-o")
    await run(*follow, str(tmp_path / "first.jsonl"), box=box)
    odd, gone, moved = box.customers.ids(0, 3)
    box.customers.delete([odd, gone])
    box.customers.update(moved, {"last_name": "Changed"})
    box.fail(path=f"/customers/{odd}", **fault)
    failed = await run(*follow, str(tmp_path / "changes.jsonl"), box=box)

    changes = [json.loads(line) for line in (tmp_path / "changes.jsonl").read_text("utf-8").splitlines()]
    assert [(change["change"], change["id"]) for change in changes] == [("updated", moved), ("deleted", gone)]
    assert failed.code == code
    assert "0 created, 1 updated, 1 deleted; 0 changed a consent." in failed.err
    assert said in failed.err
    assert odd in failed.err


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"status": 401}, 4), ({"status": 429, "times": 4}, 75), ({"status": 403, "html": True}, 1)],
)
@pytest.mark.usefixtures("ticketsource_no_waiting")
async def test_a_refused_key_a_limit_or_a_firewall_leaves_no_file_and_no_acknowledged_change(
    box: Sandbox, tmp_path: Path, fault: dict[str, Any], code: int
) -> None:
    """These errors concern all calls, even if they answer the call for a single customer."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=box)
    gone, moved = box.customers.ids(0, 2)
    box.customers.delete([gone])
    box.customers.update(moved, {"last_name": "Changed"})
    box.fail(path=f"/customers/{gone}", **fault)
    failed = await run(*follow, "-o", str(tmp_path / "changes.jsonl"), box=box)
    done = await run(*follow, box=box)

    assert (failed.code, (tmp_path / "changes.jsonl").exists()) == (code, False)
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [moved, gone]


async def test_a_410_of_the_api_is_written_as_a_deletion(box: Sandbox, tmp_path: Path) -> None:
    """A 410 says that the customer is deleted."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=box)
    gone = box.customers.ids()[0]
    box.customers.delete([gone])
    box.fail(path=f"/customers/{gone}", status=410, body='{"errors": [{"status": 410, "code": "gone"}]}')

    done = await run(*follow, box=box)

    assert (done.code, [json.loads(line)["change"] for line in done.out.splitlines()]) == (0, ["deleted"])


async def test_a_merged_customer_is_reported_with_what_to_do(box: Sandbox, tmp_path: Path) -> None:
    """TicketSource may answer with the record of the other customer. After `forget`, the next run succeeds."""
    store = str(tmp_path / "customers.db")
    await run("customers", "changes", "--store", store, box=box)
    kept, merged = box.customers.ids(0, 2)
    box.customers.merge(kept, merged, form="survivor")

    odd = await run("customers", "changes", "--store", store, box=box)
    forgotten = await run("customers", "forget", merged, "--store", store)
    after = await run("customers", "changes", "--store", store, "--quiet", box=box)

    assert (odd.code, odd.out) == (1, "")
    assert f"The record may have been merged into {kept}." in odd.err
    assert "(the command: customers forget)" in odd.err
    assert "1 customer could not be read. Their changes are missing." in odd.err
    assert (forgotten.code, after) == (0, (0, "", ""))


async def test_the_file_of_the_changes_must_not_be_the_store(box: Sandbox, tmp_path: Path) -> None:
    """The file would replace the store."""
    store = tmp_path / "customers.db"

    done = await run("customers", "changes", "--store", str(store), "-o", f"{tmp_path}/./customers.db", box=box)

    assert (done.code, done.out, len(box.requests)) == (2, "", 0)
    assert "are the same file" in done.err


async def test_an_unreadable_row_ends_the_changes_with_1_after_the_others(box: Sandbox, tmp_path: Path) -> None:
    """Stderr names it. Its change is written when it can be read."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    rows = box.customers.rows(0, 25)
    odd = str(rows[3]["id"])
    rows[3]["attributes"] = None
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))

    done = await run(*follow, box=box)
    again = await run(*follow, box=box)

    assert done.code == 1
    assert odd in done.err
    assert done.err.endswith("ticketsource: 1 customer could not be read. Their changes are missing.\n")
    assert odd not in done.out
    assert [json.loads(line)["id"] for line in (*done.out.splitlines(), *again.out.splitlines())][-1] == odd
    assert (again.code, len(again.out.splitlines()), len(done.out.splitlines())) == (0, 1, 24)


async def test_rebind_accepts_a_new_key_and_forget_erases_a_customer(box: Sandbox, tmp_path: Path) -> None:
    """After `forget`, the next run writes the customer again."""
    store = ("--store", str(tmp_path / "customers.db"))
    none = await run("customers", "changes", *store, key=None)
    assert list(tmp_path.iterdir()) == []
    await run("customers", "changes", *store, box=box)
    box.api_key = "skl-new"
    refused = await run("customers", "changes", *store, box=box)
    taken = await run("customers", "changes", *store, "--rebind", box=box)
    someone = box.customers.ids()[7]
    forgot = await run("customers", "forget", someone, *store)
    nobody = await run("customers", "forget", someone, *store)
    again = await run("customers", "changes", *store, box=box)
    missing = await run("customers", "forget", someone, "--store", str(tmp_path / "other.db"))

    assert (none.code, refused.code, taken.code, taken.out) == (4, 1, 0, "")
    assert "--rebind" in refused.err
    assert (forgot, nobody.code, missing.code) == ((0, "", ""), 0, 2)
    assert f"has no customer with the id {someone}" in nobody.err
    assert [json.loads(line)["id"] for line in again.out.splitlines()] == [someone]


async def test_a_store_in_use_ends_with_75_and_one_of_another_box_office_with_1(box: Sandbox, tmp_path: Path) -> None:
    """The error is one line."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    async with CustomerStore(tmp_path / "customers.db"):
        busy = await run(*follow, box=box)
    await run(*follow, box=box)
    async with Sandbox(customers=3, seed=9, rate_limit=None) as other:
        wrong = await run(*follow, box=other)

    assert (busy.code, busy.out, busy.err.count("\n")) == (75, "", 1)
    assert "in use" in busy.err
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (1, "", 1)
    assert "name another file" in wrong.err


@pytest.mark.parametrize("kind", FORMATS)
async def test_changes_are_written_in_every_format(box: Sandbox, tmp_path: Path, kind: str) -> None:
    """A table has the new and the old values of a customer, and the old values of a deleted one."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=box)
    gone, moved = box.customers.ids(0, 2)
    before = box.customers.get(moved)
    assert before is not None
    box.customers.delete([gone])
    box.customers.update(moved, {"last_name": "Zoë", "telephone": "01632 960001"})
    target = tmp_path / f"changes.{kind}"
    done = await run(*follow, "-o", str(target), box=box)
    nothing = await run(*follow, "-o", str(tmp_path / f"nothing.{kind}"), box=box)

    updated, deleted = rows_in(target, kind)
    assert (done.code, nothing.code, rows_in(tmp_path / f"nothing.{kind}", kind)) == (0, 0, [])
    assert (updated["change"], updated["id"], deleted["change"], deleted["id"]) == ("updated", moved, "deleted", gone)
    if not kind.startswith("json"):
        assert {"last_name", "telephone"} <= set(updated["fields"].split())
        assert (updated["last_name"], updated["telephone"]) == ("Zoë", "01632 960001")
        assert updated["before_last_name"] == before["attributes"]["last_name"]  # type: ignore[index]  # it is JSON
        assert deleted["last_name"] == deleted["before_last_name"] != ""


async def test_changes_in_a_format_without_lines_are_acknowledged_after_the_last(many: Sandbox, tmp_path: Path) -> None:
    """If the run fails half-way, the output cannot be read. So the next run prints all changes again."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "--format", "json")
    many.fail(page=3, status=501)
    failed = await run(*follow, box=many)
    done = await run(*follow, box=many)
    nothing = await run(*follow, box=many)

    assert (failed.code, len(json.loads(done.out)), json.loads(nothing.out)) == (75, 300, [])
