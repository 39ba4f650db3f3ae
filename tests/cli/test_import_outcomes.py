"""The output of an import for people and programs: sums, refused rows, progress, and its requests."""

import asyncio
import json
import os
import pty
import sys
import termios
from pathlib import Path
from typing import Any

import command
import pytest
from command import EXPORT, run, table
from importing import import_, writes
from processes import pointed_at

from ticketsource_async import ConsentDraft, CustomerDraft, TicketSource
from ticketsource_async.files.reading import read
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


async def on_terminal(*arguments: str, box: Sandbox, stdout: Path | None = None) -> tuple[int, str]:
    """Import on a terminal, or with stdout in a file; return the exit code and what the terminal got."""
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (50, 120))
    written = None if stdout is None else stdout.open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticketsource_async", "customers", "import", *arguments),
        env=pointed_at(box) | {"TERM": "dumb"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=terminal if written is None else written,
        stderr=terminal,
    )
    os.close(terminal)
    if written is not None:
        written.close()

    def read_all() -> bytes:
        shown = b""
        while True:
            try:
                shown += (piece := os.read(ours, 65_536))
            except OSError:  # the other side is closed
                return shown
            if not piece:
                return shown

    shown = await asyncio.to_thread(read_all)
    os.close(ours)
    return await process.wait(), shown.decode()


async def test_a_terminal_shows_the_sums_and_the_refused_rows(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """It shows the given and withdrawn consents. `--json` prints the JSON of a pipe."""
    consent = ConsentDraft(email=True, post=True)
    await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=consent))
    file.write_text(
        "email,consent_email,consent_post,consent_sms\nzoe@example.com,no,no,yes\nn/a,,,\nnew@example.com,,yes,no\n"
    )
    how = (str(file), "--match", "email", "--give-consent")

    code, shown = await on_terminal(*how, box=box)
    _, as_json = await on_terminal(*how, "--json", box=box)

    assert code == 1
    assert "row  who" in shown
    assert "email 'n/a' is not an e-mail address" in shown
    assert "1 refused, 1 would create, 1 would update. Writing takes 3 requests. Nothing was written" in shown
    assert "Consents: 2 given (rows 2, 4), 2 withdrawn (row 2)." in shown
    assert '{"row"' not in shown
    assert '{"row": 3, "outcome": "refused"' in as_json
    assert "why it is not written" not in as_json


async def test_a_dry_run_on_a_terminal_shows_each_change(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """The table has the name, and the values before and after. A withdrawal is as visible as a given consent."""
    await ts.customers.create(
        CustomerDraft(email="zoe@example.com", first_name="Zoë", last_name="Old", consent=ConsentDraft(email=True))
    )
    file.write_text("email,last_name,consent_email\nzoe@example.com,New,no\nkarl@example.com,,yes\n")
    how = (str(file), "--match", "email", "--give-consent")

    _, shown = await on_terminal(*how, box=box)
    _, applied = await on_terminal(*how, "--apply", box=box)

    words = [line.split() for line in shown.splitlines()]
    assert ["row", "who", "column", "before", "after"] in words
    assert ["2", "Zoë", "Old", "last_name", "Old", "New"] in words
    assert ["2", "Zoë", "Old", "consent_email", "yes", "no"] in words
    assert ["3", "karl@example.com", "(new)", "email", "karl@example.com"] in words
    assert ["3", "karl@example.com", "(new)", "consent_email", "yes"] in words
    assert "1 given (row 3), 1 withdrawn (row 2)." in shown
    assert "before" not in applied


async def test_a_narrow_terminal_names_the_column_that_it_does_not_show(box: Sandbox, file: Path) -> None:
    """It also names the option that shows it."""
    file.write_text("email,last_name\nsomebody@example.com,Bartholomew-Featherstone\n")

    _, shown = await command.on_terminal("customers", "import", str(file), "--match", "email", box=box, columns=40)

    assert "Use a wider window or --json." in " ".join(shown.split())


async def test_many_changes_are_counted_on_a_terminal_and_all_in_a_file(
    box: Sandbox, ts: TicketSource, file: Path, tmp_path: Path
) -> None:
    """The file also has the id, the outcome, and what looks odd."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    rows = "".join(f"{number}@example.com,New\n" for number in range(30))
    file.write_text(f"email,last_name\n{rows}zoe@example.com,Zo&euml;\nn/a,Refused\n")
    target = tmp_path / "changes.csv"

    _, shown = await on_terminal(str(file), "--match", "email", box=box)
    _, both = await on_terminal(str(file), "--match", "email", "--changes", str(target), box=box)
    done, _ = await import_(file, "--match", "email", "--apply", "--changes", str(target), box=box)

    assert "21 more: add --changes changes.xlsx to write all of them to a file." in shown
    assert f"21more:{target}hasall." in "".join(both.split())  # the terminal folds the line
    assert f"{target}: 61 changes.\n" in done.err
    written = table(target.read_text("utf-8-sig"))
    assert len(written) == 61
    assert written[0]["outcome"] == "created"
    assert written[-1] == {
        "row": "32",
        "outcome": "updated",
        "id": zoe.id,
        "who": "Old",
        "column": "last_name",
        "before": "Old",
        "after": "Zo&euml;",
        "odd": "has letters as HTML writes them",
    }


async def test_an_import_can_be_tried_without_an_account(file: Path, tmp_path: Path) -> None:
    """It has the people of an export of the sample box office. What is written is gone afterwards, and that is said."""
    people = tmp_path / "people.csv"
    await run(*EXPORT, "--sandbox", "-o", str(people))
    first = table(people.read_text("utf-8"))[0]
    file.write_text(f"id,last_name\n{first['id']},Changed\n")
    how = ("customers", "import", str(file), "--match", "id", "--sandbox")

    dry = await run(*how)
    applied = await run(*how, "--apply")
    again = await run(*how)

    assert dry.code == applied.code == 0
    assert json.loads(dry.out)["changes"] == {"last_name": [first["last_name"], "Changed"]}
    assert json.loads(applied.out)["outcome"] == "updated"
    assert applied.err.endswith("The rows were written to a sample box office. It is gone now.\n")
    assert "gone" not in dry.err
    assert again.out == dry.out


async def test_the_table_of_refused_rows_says_who_they_are(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """It shows the name, else the e-mail, else the id in the file."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", first_name="Zoë", last_name="Old"))
    ann = await ts.customers.create(CustomerDraft(email="ann@example.com"))
    rows = (f"{zoe.id},,#N/A", f"{ann.id},,#N/A", "cst-nobody,Karl,#N/A", "cst-none,,")
    file.write_text("\n".join(("id,first_name,last_name", *rows)))

    _, shown = await on_terminal(str(file), "--match", "id", box=box)

    for row, who in ((2, "Zoë Old"), (3, "ann@example.com"), (4, "Karl"), (5, "cst-none")):
        assert f"{row}  {who}  " in shown


async def test_a_terminal_shows_a_part_of_many_refused_rows(box: Sandbox, file: Path) -> None:
    """The others are counted. The output names the option that writes all of them."""
    file.write_text("email\n" + "n/a\n" + "".join(f"n{number}\n" for number in range(99)))

    _, shown = await on_terminal(str(file), "--match", "email", box=box)

    assert shown.count("is not an e-mail address") == 40
    assert "60 more: add --refused refused.xlsx to write all of them to a file." in shown


async def test_progress_is_shown_while_rows_are_written_and_stdout_is_a_file(
    box: Sandbox, file: Path, tmp_path: Path
) -> None:
    """A dry run and `--quiet` show none."""
    file.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(20)))
    how = (str(file), "--match", "email")

    _, dry = await on_terminal(*how, box=box, stdout=tmp_path / "dry.jsonl")
    _, quiet = await on_terminal(*how, "--quiet", box=box, stdout=tmp_path / "quiet.jsonl")
    code, shown = await on_terminal(*how, "--apply", box=box, stdout=tmp_path / "out.jsonl")

    assert code == 0
    assert "20/20" in shown
    assert "rows/s" in shown
    assert "/20" not in dry
    assert quiet == ""
    assert (tmp_path / "out.jsonl").read_text().count('"created"') == 20


@pytest.mark.parametrize("kind", ["xlsx", "csv", "tsv"])
async def test_refused_rows_can_be_corrected_in_their_file_and_imported(
    box: Sandbox, file: Path, tmp_path: Path, kind: str
) -> None:
    """They have all columns of the file, and the reason in the first column."""
    rows = (
        "new@example.com;=Zoë;a;yes",
        "n/a;Karl;b;",
        "mail@example.com;'=x;c;;surplus",
        "Email;Last Name;Notes;consent_post",
    )
    file.write_text("\n".join(("Email;Last Name;Notes;consent_post", *rows)), "cp1252")
    refused = tmp_path / f"refused.{kind}"
    how = ("--match", "email", "--ignore-unknown")

    done, outcomes = await import_(file, *how, "--refused", str(refused), box=box)
    written = read(refused)
    _, again = await import_(refused, *how, "--refused", str(tmp_path / f"again.{kind}"), box=box)
    _, given = await import_(refused, *how, "--give-consent", box=box)

    assert f"{refused}: 4 rows to correct.\n" in done.err
    assert written.header.cells[:5] == ("refused_because", "Email", "Last Name", "Notes", "consent_post")
    assert [row.cells[0] for row in written.rows] == [outcome["reason"] for outcome in outcomes]
    assert [row.cells[1] for row in written.rows] == ["new@example.com", "n/a", "mail@example.com", "Email"]
    assert written.rows[2].cells[5] == "surplus"
    assert [outcome["reason"] for outcome in again] == [outcome["reason"] for outcome in outcomes]
    assert given[0]["values"] == {"email": "new@example.com", "last_name": "=Zoë", "consent_post": True}
    again_written = read(tmp_path / f"again.{kind}")
    assert (again_written.header.cells[:5], again_written.rows) == (written.header.cells[:5], written.rows)


async def test_refused_rows_never_replace_the_file_to_import(box: Sandbox, file: Path, tmp_path: Path) -> None:
    """The accepted rows would be lost. A format that cannot be imported is refused, too."""
    file.write_text("email\nn/a\n")
    (tmp_path / "link.csv").symlink_to(file)

    same, _ = await import_(file, "--match", "email", "--refused", str(tmp_path / "link.csv"), box=box)
    other, _ = await import_(file, "--match", "email", "--refused", str(tmp_path / "x.parquet"), box=box)
    changes, _ = await import_(file, "--match", "email", "--changes", str(tmp_path / "link.csv"), box=box)
    both, _ = await import_(
        file, "--match", "email", *(f"--{name}={tmp_path / 'x.csv'}" for name in ("changes", "refused")), box=box
    )

    assert (same.code, other.code, changes.code, both.code) == (2, 2, 2, 2)
    assert "--changes names the file to import" in changes.err
    assert "--refused and --changes name the same file" in both.err
    assert not box.requests
    assert "--refused names the file to import" in same.err
    assert "name a file that ends in one of .xlsx, .csv, .tsv." in other.err
    assert file.read_text() == "email\nn/a\n"


async def test_a_consent_of_a_new_customer_needs_give_consent(box: Sandbox, file: Path) -> None:
    """A new customer has said neither yes nor no."""
    file.write_text("email,consent_email,consent_post\nnew@example.com,yes,yes\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    said = "it sets consent_email and consent_post to yes for a new customer: that needs --give-consent"
    assert outcome["reason"] == said


async def test_a_telephone_without_its_zero_is_reported(box: Sandbox, file: Path) -> None:
    """It is still accepted. The summary names the first rows."""
    rows = "".join(f"{number}@example.com,16329600{number:02}\n" for number in range(8))
    file.write_text(f"email,phone\n{rows}")

    done, outcomes = await import_(file, "--match", "email", box=box)

    assert done.code == 0
    assert outcomes[0]["odd"] == {"telephone": "looks as if its zero or plus were lost"}
    assert "telephone looks as if its zero or plus were lost: rows 2, 3, 4, 5, 6 and 3 more.\n" in done.err


async def test_all_reasons_for_a_refused_row_are_reported(box: Sandbox, file: Path) -> None:
    """The user need not find them one by one."""
    file.write_text("email,last_name,consent_post,membership_end_date\nn/a,#N/A,maybe,soon\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    for said in (
        "email 'n/a'",
        "last_name is '#N/A'",
        "consent_post must be true or false",
        "membership_end_date must be a day",
    ):
        assert said in outcome["reason"]


@pytest.mark.parametrize(("rows", "requests"), [(1, 1), (10, 10), (1000, 13)])
async def test_a_dry_run_takes_few_requests(file: Path, rows: int, requests: int) -> None:
    """A few customers are read by id, many from the list. Some pages may be read in advance for nothing."""
    async with Sandbox(customers=1000, rate_limit=None) as box:
        file.write_text("\n".join(["id,last_name", *(f"{key},New" for key in box.customers.ids()[-rows:])]))

        done, outcomes = await import_(file, "--match", "id", box=box)

        assert len(outcomes) == rows
        assert len(box.requests) <= requests
        assert f"Writing takes {2 * rows:,} requests" in done.err


@pytest.mark.parametrize(("extra", "passes"), [("", 1), ("new@example.com,New", 2)])
async def test_the_list_is_read_again_only_if_a_customer_is_to_be_created(file: Path, extra: str, passes: int) -> None:
    """That takes twice the requests. Some pages after the end may be requested for nothing."""
    async with Sandbox(customers=0, rate_limit=None) as box:
        for number in range(1000):
            box.customers.create({"email": f"{number}@example.com"})
        file.write_text("\n".join(["email,last_name", *(f"{number}@example.com,New" for number in range(1000)), extra]))

        await import_(file, "--match", "email", box=box)

        assert 10 * passes <= len(box.requests) < 10 * passes + 10


async def test_a_few_ids_that_are_not_in_the_list_are_requested(many: Sandbox, file: Path) -> None:
    """If there are many of them, they are refused without a request for each."""
    keys = many.customers.ids()
    file.write_text("\n".join(["id", *keys[:40], *(f"cst-nobody{number}" for number in range(5))]))
    _, few = await import_(file, "--match", "id", box=many)
    many.requests.clear()
    file.write_text("\n".join(["id", *keys[:40], *(f"cst-nobody{number}" for number in range(500))]))
    _, lots = await import_(file, "--match", "id", box=many)

    assert [o.get("reason") for o in few if o["outcome"] == "refused"] == ["there is no customer with this id"] * 5
    assert [o.get("reason") for o in lots if o["outcome"] == "refused"] == ["no customer in the list has this id"] * 500
    assert len(many.requests) < 8


async def test_the_import_does_what_the_dry_run_announced(many: Sandbox, file: Path) -> None:
    """The rows have the same order, and the number of requests is the announced one."""
    people: list[dict[str, Any]] = [json.loads(json.dumps(row["attributes"])) for row in many.customers.rows(0, 60)]
    rows = [f"{one['email'] or 'n/a'},{number}" for number, one in enumerate(people)]
    file.write_text("\n".join(["email,last_name", *rows, "new1@example.com,x", "new2@example.com,y"]))
    how = ("--match", "email")

    dry, would = await import_(file, *how, box=many)
    many.requests.clear()
    _, done = await import_(file, *how, "--apply", box=many)

    def as_done(outcome: dict[str, Any]) -> dict[str, Any]:
        told = str(outcome["outcome"])
        return {**outcome, "outcome": {"would create": "created", "would update": "updated"}.get(told, told)}

    assert [as_done(outcome) for outcome in would] == [
        {name: value for name, value in outcome.items() if name != "id" or outcome["outcome"] != "created"}
        for outcome in done
    ]
    assert {outcome["outcome"] for outcome in done} == {"refused", "created", "updated"}
    creates, updates = writes(many).count("POST"), writes(many).count("PATCH")
    looked_up = sum(request.path.startswith("/customers/") for request in many.requests) - updates
    assert (creates, looked_up) == (2, updates)
    assert f"Writing takes {creates + 2 * updates} requests. " in dry.err


async def test_the_help_says_which_files_can_be_imported(box: Sandbox) -> None:
    """It says that a row with an error of a spreadsheet is refused."""
    done = await run("customers", "import", "--help")

    words = " ".join(done.out.split())
    assert "FILE is an xlsx, ods, xls or CSV file" in words
    assert "A row is refused if" in words
    assert "an error such as #N/A, or if it is a formula that no program has computed" in words


@pytest.mark.parametrize("where", ["nowhere/refused.csv", "people.csv/refused.csv"])
async def test_a_missing_folder_for_refused_rows_is_reported_before_any_request(
    box: Sandbox, file: Path, tmp_path: Path, where: str
) -> None:
    """After the import, it would be too late."""
    file.write_text("email\nn/a\nnew@example.com\n")

    done, outcomes = await import_(file, "--match", "email", "--apply", "--refused", str(tmp_path / where), box=box)

    assert (done.code, outcomes, list(box.requests)) == (2, [], [])
    assert "there is no folder" in done.err


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_refused_rows_have_the_delimiter_of_the_file_and_escaped_names(
    box: Sandbox, file: Path, tmp_path: Path, delimiter: str
) -> None:
    """The spreadsheet that wrote the file can open them, and runs no formula."""
    file.write_text(delimiter.join(("email", "=1+1", "last_name")) + "\n" + delimiter.join(("bad", "x", "A")) + "\n")
    refused, again = tmp_path / "refused.csv", tmp_path / "again.csv"
    how = ("--match", "email", "--column", "=1+1=title")

    _, (outcome,) = await import_(file, *how, "--refused", str(refused), box=box)
    await import_(refused, *how, "--refused", str(again), box=box)

    assert refused.read_text("utf-8-sig").splitlines() == [
        delimiter.join(("refused_because", "email", "'=1+1", "last_name")),
        delimiter.join((outcome["reason"], "bad", "x", "A")),
    ]
    assert again.read_bytes() == refused.read_bytes()


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("31/12/2019", "; for such days say --dates dmy"),
        ("12/31/2019", "; for such days say --dates mdy"),
        ("01/02/2019", "; for such days say --dates dmy or mdy"),
        ("43647", ""),
        ("2019-07-01T10:00:00", ""),
    ],
)
async def test_the_option_for_the_order_of_days_is_suggested_only_if_it_helps(
    box: Sandbox, file: Path, cell: str, hint: str
) -> None:
    """The user does not try an option that cannot help."""
    file.write_text(f"email,membership_start_date\nnew@example.com,{cell}\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["reason"] == f"membership_start_date must be a day such as 2026-01-31, not {cell!r}{hint}"
