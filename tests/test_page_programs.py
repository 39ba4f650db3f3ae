"""The programs that people copy from the pages go on after a kill, an erasure, and false answers."""

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from attrs import fields
from processes import pointed_at

from ticketsource_async import CustomerDraft, RetryPolicy, TicketSource, Timeouts, ValidationFailed
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sandbox.faults import Cut

BY_EMAIL = {"email": True, "post": False, "sms": False}
NONE = {"email": False, "post": False, "sms": False}
PAGES = Path(__file__).parents[1] / "docs" / "pages" / "how-to"

# Run a program, and kill it when it begins a line with this text for the Nth time.
KILLER = """
import os, signal, sys

text, left = sys.argv.pop(1), int(sys.argv.pop(1))
del sys.argv[0]
with open(sys.argv[0]) as file:
    source = file.read()
numbers = [number for number, line in enumerate(source.splitlines(), 1) if line.strip().startswith(text)]


def in_program(frame, event, argument):
    global left
    left -= event == "line" and frame.f_lineno in numbers
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return in_program


sys.settrace(lambda frame, event, argument: in_program if frame.f_code.co_filename == sys.argv[0] else None)
exec(compile(source, sys.argv[0], "exec"), {"__name__": "__main__"})
"""


def file_of(page: str, name: str) -> str:
    """Return the file that a page writes by a shell block."""
    (text,) = re.findall(
        rf"^cat > {re.escape(name)} <<'(\w+)'\n(.*?)^\1$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL
    )
    return str(text[1])


# Create two people who wait in a database.
CREATE_WAITING = """
async def main():
    database = sqlite3.connect("people.sqlite")
    database.execute(TABLE)
    people = [(1, "Karl", "Jenkins", "karl@b.example"), (2, "Ann", "Sample", "ann@b.example")]
    with database:
        database.executemany(
            "INSERT OR IGNORE INTO new_people (id, first_name, last_name, email) VALUES (?, ?, ?, ?)", people
        )
    async with TicketSource.from_env() as ts:
        known = {customer.id async for customer in ts.customers.list(max_items=10)}
        await create_waiting(ts, database, known, wait=0)


asyncio.run(main())
"""


def blocks_of(page: str, count: int, language: str = "python") -> str:
    """Return the first blocks of a language of a page as one program."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    return "".join(found[:count])


class Copy:
    """The program of "Copy customers into a database", in a folder of its own."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box, self.folder = box, folder
        (folder / "copy_customers.py").write_text(file_of("database.md", "copy_customers.py"))

    async def run(self, *killed_at: str) -> tuple[int | None, str]:
        """Run the program to its end, or kill it at a line; return the exit code and what it printed."""
        program = ["-c", KILLER, *killed_at] if killed_at else []
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, "copy_customers.py"),
            cwd=self.folder,
            env=pointed_at(self.box),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    def rows(self, what: str = "*") -> list[tuple[Any, ...]]:
        """Return the rows of the table."""
        database = sqlite3.connect(self.folder / "box_office.sqlite")
        try:
            return database.execute(f"SELECT {what} FROM customers ORDER BY id").fetchall()
        finally:
            database.close()

    def expected(self) -> list[tuple[Any, ...]]:
        """Return the rows that the table must have."""
        found: list[tuple[Any, ...]] = []
        rows: list[dict[str, Any]] = self.box.customers.rows(0, len(self.box.customers))
        for row in rows:
            of = row["attributes"]
            may_mail = int((of["consent"] or {}).get("email") is True and bool(of["email"]))
            postcode = (of["address"] or {}).get("postcode")
            found.append((row["id"], of["first_name"], of["last_name"], of["email"], postcode, may_mail))
        return sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("await prepare(", 1),
        ("database.execute(TABLE)", 1),
        ("database.commit()", 1),
        ("async for change", 1),
        ("apply(database, change)", 1),
        ("apply(database, change)", 300),
        ("database.commit()", 2),
        ("await store.acknowledge_all()", 1),
        ("apply(database, change)", 900),
        ("await store.acknowledge_all()", 3),
        ("print(rows", 1),
    ],
)
async def test_a_copy_that_was_killed_in_its_first_run_is_made_by_the_next_run(
    line: str, time: int, tmp_path: Path
) -> None:
    """No change is lost, and those of the meantime are written, wherever the program was killed."""
    async with Sandbox(customers=1100, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        killed = await copy.run(line, str(time))
        first, second, third = box.customers.ids(0, 3)
        box.customers.update(first, {"last_name": "Changed"})
        box.customers.delete([second])
        box.customers.purge(third)
        done = await copy.run()

        assert killed == (-signal.SIGKILL, "")
        assert done == (0, "1099 customers\n")
        assert copy.rows() == copy.expected()


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["box_office.sqlite", "customers.db"])
async def test_a_copy_of_which_one_file_is_lost_says_so_until_the_other_is_deleted(lost: str, tmp_path: Path) -> None:
    """A table that has only what changed since would look whole."""
    (other,) = {"box_office.sqlite", "customers.db"} - {lost}
    async with Sandbox(customers=30, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        await copy.run()
        (tmp_path / lost).unlink()
        message = f"{lost} is lost: delete {other} too, and run this again.\n"

        assert [await copy.run() for _ in range(2)] == [(1, message)] * 2
        (tmp_path / other).unlink()
        assert await copy.run() == (0, "30 customers\n")
        assert copy.rows() == copy.expected()


@pytest.mark.slow
async def test_an_erased_person_may_not_be_mailed_even_if_the_consent_says_yes(tmp_path: Path) -> None:
    """The same holds for a record that was empty in the first run, and for a consent that changes afterwards."""
    async with Sandbox(customers=30, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        early, late = box.customers.ids(0, 2)
        box.customers.purge(early)
        box.customers.overwrite(early, {"consent": BY_EMAIL})
        box.customers.overwrite(late, {"consent": BY_EMAIL})
        await copy.run()
        before = dict(copy.rows("id, may_mail"))
        box.customers.purge(late)
        box.customers.overwrite(late, {"consent": BY_EMAIL})
        await copy.run()
        after = dict(copy.rows("id, may_mail"))
        for consent in (NONE, BY_EMAIL):
            box.customers.overwrite(early, {"consent": consent})
            box.customers.overwrite(late, {"consent": consent})
            await copy.run()
        at_last = dict(copy.rows("id, may_mail"))

        assert (before[early], before[late]) == (0, 1)
        assert (after[early], after[late]) == (0, 0)
        assert (at_last[early], at_last[late]) == (0, 0)
        assert copy.rows() == copy.expected()


@pytest.mark.slow
async def test_a_row_that_is_no_customer_stops_no_copy(tmp_path: Path) -> None:
    """The changes of later pages are written. The row, and a merge, have a line each; the exit code is 1."""
    async with Sandbox(customers=300, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        kept, gone, deleted, *_, last = box.customers.ids()
        box.customers.overwrite(last, {"consent": BY_EMAIL})
        await copy.run()
        box.customers.overwrite(last, {"consent": NONE})
        box.customers.delete([deleted])
        box.customers.merge(kept, gone, form="survivor")
        body = json.dumps({"data": [{"id": 5}], "links": {"next": f"{box.url}/customers?page=3"}})
        box.fail(method="GET", path="/customers", page=2, status=200, body=body)
        code, out = await copy.run()
        rows = dict(copy.rows("id, may_mail"))

    left_out = [line for line in out.splitlines() if line.startswith("Left out: ")]
    assert (code, len(left_out)) == (1, 2)
    assert f"store.erase('{gone}')" in left_out[1]
    assert (rows[last], deleted in rows, len(rows)) == (0, False, 299)


@pytest.mark.slow
async def test_a_copy_whose_people_are_all_erased_is_not_lost(tmp_path: Path) -> None:
    """The store counts none of them, and their rows are empty."""
    async with Sandbox(customers=2, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        await copy.run()
        first, second = box.customers.ids()
        box.customers.purge(first, form="null")
        box.customers.purge(second, form="empty")

        assert [await copy.run() for _ in range(2)] == [(0, "2 customers\n")] * 2


@pytest.fixture(name="page")
def _page() -> dict[str, Any]:
    page: dict[str, Any] = {}
    exec(blocks_of("lost-create.md", 1), page)
    return page


def an_empty_list(box: Sandbox) -> None:
    """Let the list have nobody, without an error."""
    box.fail(method="GET", path="/customers", times=None, status=200, body='{"data": [], "links": {"next": null}}')


def a_list_that_ends_early(box: Sandbox) -> None:
    """Let the third page be the last one."""
    rows = box.customers.rows(200, 300)
    body = json.dumps({"data": rows, "links": {"next": None}})
    box.fail(method="GET", path="/customers", page=3, times=None, status=200, body=body)


def a_list_of_empty_pages(box: Sandbox) -> None:
    """Let the pages from the fourth on be empty, with a next page each."""
    for page in range(4, 40):
        body = json.dumps({"data": [], "links": {"next": f"{box.url}/customers?page={page + 1}"}})
        box.fail(method="GET", path="/customers", page=page, times=None, status=200, body=body)


def a_list_with_an_error(box: Sandbox) -> None:
    """Let the second page not be there."""
    box.fail(method="GET", path="/customers", page=2, times=None, status=501)


def client_of(box: Sandbox) -> TicketSource:
    """Return a client without a rate limit."""
    return TicketSource(box.api_key, base_url=box.url, rate_limit=None)


def posts(box: Sandbox) -> int:
    """Count the creates that were sent."""
    return sum(request.method == "POST" for request in box.requests)


@pytest.mark.parametrize("spoil", [an_empty_list, a_list_that_ends_early, a_list_of_empty_pages, a_list_with_an_error])
@pytest.mark.parametrize("cut", ["before", "after_write"])
async def test_nobody_is_created_again_while_the_list_is_not_complete(
    page: dict[str, Any], spoil: Callable[[Sandbox], None], cut: Cut
) -> None:
    """An empty list, and one that ends too early, look like lists in which the customer is not."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins", email="karl.jenkins@example.com")
    async with Sandbox(640, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.fail(method="POST", path="/customers", cut=cut)
        spoil(box)
        with pytest.raises(page["PerhapsCreated"]):
            await page["create_once"](ts, draft, known, wait=0)
        with pytest.raises(page["PerhapsCreated"]):
            await page["create_once"](ts, draft, known, perhaps_created=True, wait=0)

        assert posts(box) == 1
        assert len(box.customers) == (641 if cut == "after_write" else 640)


async def test_a_list_is_complete_although_known_customers_were_deleted(page: dict[str, Any]) -> None:
    """They are asked for by id. Without any known customer nobody is created again."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins")
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.customers.delete(known[:3])
        with pytest.raises(page["PerhapsCreated"], match="not complete"):
            await page["create_once"](ts, draft, (), perhaps_created=True, wait=0)
        created = await page["create_once"](ts, draft, known, perhaps_created=True, wait=0)

        assert (created.last_name, len(box.customers)) == ("Jenkins", 38)


async def test_several_customers_who_match_are_left_to_a_person(page: dict[str, Any]) -> None:
    """Nobody is created, and the error has their ids."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins")
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        found = [str(box.customers.create({"first_name": "Karl", "last_name": "Jenkins"})["id"]) for _ in range(2)]
        with pytest.raises(page["PerhapsCreated"], match=".*".join(found)):
            await page["create_once"](ts, draft, known, perhaps_created=True, wait=0)

        assert posts(box) == 0


async def test_the_customer_of_an_unreadable_answer_is_found(page: dict[str, Any]) -> None:
    """It is not created again: an answer without a record means that the create took effect."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins")
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.fail(method="POST", path="/customers", status=201, body='{"data": {}}')
        box.customers.create({"first_name": "Karl", "last_name": "Jenkins"})
        found = await page["create_once"](ts, draft, known, wait=0)

        assert (found.last_name, posts(box), len(box.customers)) == ("Jenkins", 1, 41)


async def test_a_refused_create_raises_its_own_error(page: dict[str, Any]) -> None:
    """It is not `PerhapsCreated`, in the first create and in one after a failure."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins")
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        box.fail(method="POST", path="/customers", status=422, times=2)
        for perhaps_created in (False, True):
            with pytest.raises(ValidationFailed):
                await page["create_once"](ts, draft, box.customers.ids(0), perhaps_created=perhaps_created, wait=0)


async def test_a_known_customer_who_was_merged_makes_no_list_incomplete(page: dict[str, Any]) -> None:
    """The call by their id is answered with the other record. If the list lacks that one too, nobody is created."""
    draft = CustomerDraft(first_name="Karl", last_name="Jenkins")
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.customers.merge(*known[:2], form="survivor")
        body = json.dumps({"data": box.customers.rows(1, 100), "links": {"next": None}})
        box.fail(method="GET", path="/customers", status=200, body=body, times=2)
        with pytest.raises(page["PerhapsCreated"], match="not complete"):
            await page["create_once"](ts, draft, known, perhaps_created=True, wait=0)
        created = await page["create_once"](ts, draft, known, perhaps_created=True, wait=0)

        assert (created.last_name, len(box.customers)) == ("Jenkins", 40)


async def test_a_person_without_e_mail_and_name_is_not_taken_for_an_erased_one(page: dict[str, Any]) -> None:
    """Nothing is sent for such a draft."""
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.customers.purge(known[0])
        for draft in (CustomerDraft(telephone="01632 960001"), CustomerDraft(first_name=" ", email="")):
            with pytest.raises(ValueError, match="fill in an e-mail or a name"):
                await page["create_once"](ts, draft, known, wait=0)

        assert not box.requests


@pytest.fixture(name="people")
def _people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("people.sqlite")) as database:
        yield database


async def test_a_person_who_is_refused_does_not_hold_up_the_others(
    people: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal is noted, so the next run does not send it again. A cause of "Not clear yet" is printed."""
    page: dict[str, Any] = {}
    exec(blocks_of("lost-create.md", 2), page)
    people.execute(page["TABLE"])
    for name in ("Refused", "", "Unclear", "Good"):
        people.execute("INSERT INTO new_people (first_name) VALUES (?)", (name,))
    people.commit()
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        known = box.customers.ids(0)
        box.fail(method="POST", status=422)
        box.fail(method="POST", after=1, cut="before")
        box.fail(method="GET", path="/customers", status=401)
        for _ in range(2):
            await page["create_waiting"](ts, people, known, wait=0)
        rows = people.execute("SELECT first_name, perhaps_created, customer_id, refusal FROM new_people").fetchall()

        assert [(name, perhaps, id_ is None, text is None) for name, perhaps, id_, text in rows] == [
            *[("Refused", 0, True, False), ("", 0, True, False)],
            *[("Unclear", 0, False, True), ("Good", 0, False, True)],
        ]
        assert (len(box.customers), posts(box)) == (42, 4)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Refused", "Refused", "Not clear yet"]
    assert "401" in lines[2]


async def test_two_runs_at_a_time_create_nobody_twice(people: sqlite3.Connection) -> None:
    """The second one is refused."""
    page: dict[str, Any] = {}
    exec(blocks_of("lost-create.md", 2), page)
    people.execute(page["TABLE"])
    people.execute("INSERT INTO new_people (first_name) VALUES ('Karl')")
    people.commit()
    async with Sandbox(40, rate_limit=None) as box, client_of(box) as ts:
        runs = [page["create_waiting"](ts, people, box.customers.ids(0), wait=0) for _ in range(2)]
        first, second = await asyncio.gather(*runs, return_exceptions=True)

        assert (first, type(second)) == (None, sqlite3.OperationalError)
        assert len(box.customers) == 41


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["return await ts.customers.create(draft)", 'database.execute("UPDATE', "database.execute(done"]
)
@pytest.mark.parametrize("time", [1, 2])
async def test_a_program_that_is_killed_creates_nobody_twice(line: str, time: int, tmp_path: Path) -> None:
    """It is killed before a create, or when it has created somebody and not noted it. Then it runs to its end."""
    program = blocks_of("lost-create.md", 2) + CREATE_WAITING
    (tmp_path / "program.py").write_text(program)
    async with Sandbox(40, rate_limit=None) as box:
        for killed_at in ([line, str(time)], []):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *(["-c", KILLER, *killed_at] if killed_at else []), "program.py"),
                cwd=tmp_path,
                env=pointed_at(box),
            )
            await process.wait()

        created: list[dict[str, Any]] = box.customers.rows(40, 50)
        assert process.returncode == 0
        assert sorted(row["attributes"]["email"] for row in created) == ["ann@b.example", "karl@b.example"]


async def test_the_core_of_a_sync_gives_no_consent_to_an_erased_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when they are erased, nor when a consent of the empty record changes later."""
    program = blocks_of("crm.md", 1)
    monkeypatch.chdir(tmp_path)
    async with Sandbox(30, rate_limit=None) as box:
        monkeypatch.setenv("TICKETSOURCE_API_KEY", box.api_key)
        monkeypatch.setenv("TICKETSOURCE_BASE_URL", box.url)
        (erased,) = box.customers.ids(0, 1)
        written: list[Any] = []
        definitions, loop = program.split("async with", 1)
        page: dict[str, Any] = {}
        exec(f"{definitions}\nasync def sync():\n" + indent(f"async with{loop}", "    "), page)
        page["write_to_crm"] = lambda customer_id, values: written.append((customer_id, values))
        box.customers.overwrite(erased, {"consent": BY_EMAIL})
        await page["sync"]()
        box.customers.purge(erased)
        for consent in (BY_EMAIL, NONE, BY_EMAIL):
            box.customers.overwrite(erased, {"consent": consent})
            await page["sync"]()

    values = [values for customer_id, values in written if customer_id == erased]
    assert [each and each["consent"] for each in values] == [True, None, False, False]


async def test_a_row_that_is_no_customer_stops_no_core_of_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The customers of later pages are written, and the row is reported."""
    definitions, loop = blocks_of("crm.md", 1).split("async with", 1)
    monkeypatch.chdir(tmp_path)
    async with Sandbox(300, rate_limit=None) as box:
        monkeypatch.setenv("TICKETSOURCE_API_KEY", box.api_key)
        monkeypatch.setenv("TICKETSOURCE_BASE_URL", box.url)
        page: dict[str, Any] = {}
        exec(f"{definitions}\nasync def sync():\n" + indent(f"async with{loop}", "    "), page)
        written: list[str] = []
        page["write_to_crm"] = lambda customer_id, _: written.append(customer_id)
        body = json.dumps({"data": [{"id": 5}], "links": {"next": f"{box.url}/customers?page=3"}})
        box.fail(method="GET", path="/customers", page=2, status=200, body=body)
        await page["sync"]()

        assert written == [*box.customers.ids(0, 100), *box.customers.ids(200)]
    assert capsys.readouterr().out.startswith("Left out: ")


def test_the_page_about_timeouts_names_each_setting_with_its_default() -> None:
    """A setting that is new, or has another default, needs another row."""
    rows = re.findall(
        r"^\| `(Timeouts|RetryPolicy)\.(\w+)` \| (\S+) \|", (PAGES / "timeouts.md").read_text(), re.MULTILINE
    )
    said = {(kind, name): None if value == "None" else float(value) for kind, name, value in rows}
    settings = [
        (kind.__name__, field.name, field.default) for kind in (Timeouts, RetryPolicy) for field in fields(kind)
    ]

    assert said == {(kind, name): default for kind, name, default in settings}
