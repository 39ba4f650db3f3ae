"""The commands on customers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from command import EXPORT, run, start, table
from doubles import until
from pyarrow import parquet

from ticketsource_async import Customer, CustomerStore, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import CUSTOMERS


async def test_export_streams_every_customer_and_nothing_else_to_stdout(many: Sandbox) -> None:
    """All customers are on stdout as CSV; stderr, which is no terminal, stays empty."""
    done = await run(*EXPORT, box=many)

    assert (done.code, done.err) == (0, "")
    assert [row["id"] for row in table(done.out)] == list(many.customers.ids())
    assert tuple(table(done.out)[0]) == CUSTOMERS.names
    assert 3 <= len(many.requests) <= 3 + 7  # eight pages at a time


async def test_export_needs_no_account_with_the_sandbox() -> None:
    """`--sandbox` exports a sample box office without any setting."""
    done = await run(*EXPORT, "--sandbox", "--format", "jsonl")

    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 1000


@pytest.mark.parametrize("ways", [("email",), ("post", "sms")])
async def test_consent_lets_only_a_clear_yes_through(many: Sandbox, ways: tuple[str, ...]) -> None:
    """With `--consent`, every row has each consent asked for, and nobody who gave it is missing."""
    everybody = table((await run(*EXPORT, box=many)).out)

    done = await run(*EXPORT, *(part for way in ways for part in ("--consent", way)), box=many)

    wanted = [row["id"] for row in everybody if all(row[f"consent_{way}"] == "true" for way in ways)]
    assert [row["id"] for row in table(done.out)] == wanted
    assert 0 < len(wanted) < 300
    assert done.err == f"{300 - len(wanted)} left out: no consent to {' and '.join(ways)}.\n"


async def test_quiet_says_nothing_of_those_left_out(many: Sandbox) -> None:
    """With `--quiet` stderr stays empty."""
    done = await run(*EXPORT, "--consent", "email", "--quiet", box=many)

    assert (done.code, done.err) == (0, "")


async def test_limit_counts_the_customers_written(many: Sandbox) -> None:
    """`--limit` gives so many rows, with a filter too, and asks for no page too many."""
    plain = await run(*EXPORT, "--limit", "100", box=many)
    assert len(many.requests) == 1
    filtered = await run(*EXPORT, "--limit", "5", "--consent", "sms", box=many)

    assert len(table(plain.out)) == 100
    assert [row["consent_sms"] for row in table(filtered.out)] == ["true"] * 5


@pytest.mark.parametrize("options", [(), ("-o", "FILE")])
async def test_excel_gets_its_byte_order_mark_only_when_asked_for(
    many: Sandbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """`--excel` begins with the mark, on stdout and in a file; without it there is none."""
    target = tmp_path / "x.csv"
    options = tuple(str(target) if o == "FILE" else o for o in options)

    plain = await run(*EXPORT, *options, box=many)
    plain_text = target.read_text("utf-8") if options else plain.out
    excel = await run(*EXPORT, "--excel", *options, box=many)
    excel_text = target.read_text("utf-8") if options else excel.out

    assert plain_text.startswith("id,")
    assert excel_text == "\ufeff" + plain_text


async def test_formulas_are_defused_unless_told_otherwise(box: Sandbox) -> None:
    """A name that is a formula gets a quote; `--no-escape-formulas` leaves it."""
    row = json.dumps(
        {
            "data": [
                {"id": "cst-1", "type": "customer", "attributes": {"last_name": "=1+1", "telephone": "+447700900001"}}
            ]
        }
    )
    box.fail(status=200, body=row, times=2)

    guarded = table((await run(*EXPORT, box=box)).out)
    plain = table((await run(*EXPORT, "--no-escape-formulas", box=box)).out)

    assert [(r["last_name"], r["telephone"]) for r in (*guarded, *plain)] == [
        ("'=1+1", "+447700900001"),
        ("=1+1", "+447700900001"),
    ]


async def test_get_prints_one_customer_as_json(box: Sandbox) -> None:
    """`customers get` prints the record; an unknown id ends with 1, one that cannot be with 2."""
    customer_id = box.customers.ids()[0]

    found = await run("customers", "get", customer_id, box=box)
    missing = await run("customers", "get", "cst-nobody", box=box)
    wrong = await run("customers", "get", "../x", box=box)

    assert (found.code, json.loads(found.out)["id"]) == (0, customer_id)
    assert (missing.code, missing.out) == (1, "")
    assert "404: not_found" in missing.err
    assert wrong.code == 2
    assert "an id here is 'cst-'" in wrong.err


def test_progress_shows_on_a_terminal(tmp_path: Path) -> None:
    """Where stderr is a terminal, it counts the customers."""
    ours, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [sys.executable, "-m", "ticketsource_async", *EXPORT, "--sandbox", "-o", str(tmp_path / "x.csv")]

    subprocess.run(command, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(ours, 65536)
    os.close(ours)

    assert b"1000 customers" in shown


@pytest.mark.parametrize("customers", [0, 1, 300])
async def test_json_and_parquet_have_everybody_and_lose_nothing(tmp_path: Path, customers: int) -> None:
    """JSON is one array of records that are read back equal; Parquet has the columns of the CSV, typed."""
    async with (
        Sandbox(customers, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        done = await run(*EXPORT, "--format", "json", box=box)
        lines = await run(*EXPORT, "--format", "jsonl", box=box)
        file = await run(*EXPORT, "--format", "parquet", "-o", str(tmp_path / "x.parquet"), box=box)
        everybody = await ts.customers.list().collect()

    assert [Customer.from_dict(data) for data in json.loads(done.out)] == everybody
    assert [Customer.from_dict(json.loads(line)) for line in lines.out.splitlines()] == everybody
    read = parquet.read_table(tmp_path / "x.parquet")
    assert read.column_names == list(CUSTOMERS.names)
    assert [tuple(row.values()) for row in read.to_pylist()] == [CUSTOMERS.row(customer) for customer in everybody]
    assert (done.code, done.err, lines.err, file.code, file.out, file.err) == (0, "", "", 0, "", "")


async def test_parquet_needs_a_file_and_its_extra(box: Sandbox, tmp_path: Path) -> None:
    """To stdout it is wrong use; without pyarrow one line says what to install, and no file is left."""
    to_stdout = await run(*EXPORT, "--format", "parquet", box=box)
    code = "import sys; sys.modules['pyarrow'] = None; from ticketsource_async.__main__ import main; main()"
    arguments = (*EXPORT, "--sandbox", "--format", "parquet", "-o", str(tmp_path / "x.parquet"))
    without = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, *arguments], capture_output=True, text=True
    )

    assert (to_stdout.code, to_stdout.out) == (2, "")
    assert "--output" in to_stdout.err
    assert without.returncode == 2
    assert without.stderr == "ticketsource: Parquet needs an extra: pip install 'ticketsource-async[parquet]'\n"
    assert list(tmp_path.iterdir()) == []


async def test_changes_are_told_once_a_line_each(box: Sandbox, tmp_path: Path) -> None:
    """First everybody is created; then come the changes, with what they were before; then nothing."""
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


async def test_a_pipe_that_nobody_reads_ends_the_changes_with_1(many: Sandbox, tmp_path: Path) -> None:
    """What was not written comes again; what stood in the pipe does not, so it says to take a file."""
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
    assert err.startswith("ticketsource: nobody reads what is printed: the last lines may be acknowledged ")
    told = {json.loads(line)["id"] for line in again.out.splitlines()}
    assert json.loads(first)["id"] not in told
    assert len(told) >= 100  # at least those of the page that was slow


async def test_changes_in_a_file_count_as_told_when_it_has_its_name(many: Sandbox, tmp_path: Path) -> None:
    """A run that fails or is ended leaves no file and tells all again; a file that is still there is not replaced."""
    target = tmp_path / "changes.jsonl"
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "-o", str(target))
    many.fail(page=3, status=501)
    failed = await run(*follow, box=many)
    left = sorted(path.name for path in tmp_path.iterdir())
    many.fail(page=2, slow=60)
    ended = await start(*follow, box=many)
    await until(lambda: many.requests[-1].query["page"] == "2")
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
        f"ticketsource: {target} is there already: deal with its changes and take it away first.\n",
    )
    assert (nothing.code, target.read_text()) == (0, "")


async def test_one_who_cannot_be_asked_for_does_not_keep_the_file_back(box: Sandbox, tmp_path: Path) -> None:
    """The changes of all others are in it and count as told; the exit code is that of the failure."""
    target = tmp_path / "changes.jsonl"
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"), "-o", str(target))
    await run(*follow, box=box)
    target.unlink()
    gone, changed = box.customers.ids(0, 2)
    box.customers.delete([gone])
    box.customers.update(changed, {"last_name": "Changed"})
    box.fail(path=f"/customers/{gone}", status=404, html=True)
    failed = await run(*follow, box=box)
    told = [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]
    target.unlink()
    done = await run(*follow, box=box)

    assert (failed.code, told) == (1, [changed])
    assert f"GET /customers/{gone} was answered 404" in failed.err
    assert failed.err.startswith("0 created, 1 updated, 0 deleted; 0 changed a consent.\n")
    assert (done.code, [json.loads(line)["id"] for line in target.read_text("utf-8").splitlines()]) == (0, [gone])


async def test_the_store_is_no_place_for_the_changes(box: Sandbox, tmp_path: Path) -> None:
    """The file of changes would replace it."""
    store = tmp_path / "customers.db"

    done = await run("customers", "changes", "--store", str(store), "-o", f"{tmp_path}/./customers.db", box=box)

    assert (done.code, done.out, len(box.requests)) == (2, "", 0)
    assert "are the same file" in done.err


async def test_an_update_that_the_api_does_not_take_is_a_failure(box: Sandbox) -> None:
    """The record is printed as it is, and the exit code says that it is not what was wanted."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}})
    body = json.dumps({"data": box.customers.get(zoe)})
    box.fail(method="PATCH", status=200, body=body)

    done = await run("customers", "update", zoe, "--consent-email", "false", "--last-name", "New", box=box)

    assert (done.code, json.loads(done.out)["consent"]["email"]) == (1, True)
    assert done.err == "ticketsource: the API did not take last_name and consent_email.\n"


async def test_a_row_that_cannot_be_read_ends_the_changes_with_1_and_the_others_are_told(
    box: Sandbox, tmp_path: Path
) -> None:
    """It is named on stderr, and comes when it can be read."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    rows = box.customers.rows(0, 25)
    odd = str(rows[3]["id"])
    rows[3]["attributes"] = None
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))

    done = await run(*follow, box=box)
    again = await run(*follow, box=box)

    assert done.code == 1
    assert odd in done.err
    assert done.err.endswith("ticketsource: 1 could not be read, so their changes are missing.\n")
    assert odd not in done.out
    assert [json.loads(line)["id"] for line in (*done.out.splitlines(), *again.out.splitlines())][-1] == odd
    assert (again.code, len(again.out.splitlines()), len(done.out.splitlines())) == (0, 1, 24)


async def test_a_new_key_and_a_person_to_forget(box: Sandbox, tmp_path: Path) -> None:
    """`--rebind` goes on with another key; `forget` erases somebody from the store, so that they would come again."""
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
    assert f"has nobody with the id {someone}" in nobody.err
    assert [json.loads(line)["id"] for line in again.out.splitlines()] == [someone]


async def test_a_store_in_use_is_try_again_later_and_another_box_office_a_failure(box: Sandbox, tmp_path: Path) -> None:
    """While another process has the store the command ends with 75; with the key of another box office with 1."""
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


async def test_a_customer_is_created_updated_and_deleted(box: Sandbox) -> None:
    """Fields are options; an update sends what is given and clears what is empty; a deletion asks first."""
    created = await run(
        *("customers", "create", "--first-name", "Zoë", "--telephone", "01632 960001", "--address-line-1", "1 High St"),
        *("--consent-email", "true", "--membership-start-date", "2026-01-31"),
        box=box,
    )
    zoe = json.loads(created.out)
    updated = await run(
        *("customers", "update", zoe["id"], "--telephone", "", "--address-postcode", "LS1 1AA"),
        *("--consent-email", "false"),
        box=box,
    )
    same = await run("customers", "update", zoe["id"], "--first-name", "Zoë", box=box)
    asked = await run("customers", "delete", zoe["id"], box=box)
    deleted = await run("customers", "delete", zoe["id"], "--yes", box=box)
    gone = await run("customers", "get", zoe["id"], box=box)

    assert (zoe["first_name"], zoe["telephone"], zoe["consent"]["email"]) == ("Zoë", "01632 960001", True)
    assert zoe["membership"]["start_date"] == "2026-01-31"
    now = json.loads(updated.out)
    assert (now["telephone"], now["consent"]["email"], now["first_name"]) == (None, False, "Zoë")
    assert (now["address"]["line_1"], now["address"]["postcode"]) == ("1 High St", "LS1 1AA")
    assert json.loads(same.out) == now
    assert [r.method for r in box.requests] == ["POST", "GET", "PATCH", "GET", "DELETE", "GET"]
    assert asked.code == 1
    assert "for good?" in asked.err
    assert (deleted.code, deleted.out, deleted.err) == (0, "", "")
    assert gone.code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create",), "give at least one field"),
        (("create", "--last-name", ""), "give at least one field"),
        (("create", "--consent-email", "yes"), "'yes' is not one of"),
        (("create", "--membership-end-date", "31/01/2026"), "is a day such as 2026-01-31"),
        (("update", "cst-1"), "give at least one field"),
        (("update", "bkg-1", "--title", "x"), "an id here is 'cst-'"),
        (("delete", "bkg-1", "--yes"), "an id here is 'cst-'"),
        (("changes",), "Missing option '--store'"),
        (("create", "--last-name", "\udcff"), "it is not in UTF-8"),
        (("get", "cst-\udcff"), "it is not in UTF-8"),
    ],
)
async def test_what_cannot_be_written_is_wrong_use(box: Sandbox, arguments: tuple[str, ...], said: str) -> None:
    """It ends with 2, says what is wrong, and sends nothing."""
    done = await run("customers", *arguments, box=box)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not box.requests
