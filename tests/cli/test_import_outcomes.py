"""What an import tells people and programs: sums, refused rows, progress, and the requests it takes."""

import asyncio
import json
import os
import pty
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from command import run
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
            except OSError:  # nobody has the other side open
                return shown
            if not piece:
                return shown

    shown = await asyncio.to_thread(read_all)
    os.close(ours)
    return await process.wait(), shown.decode()


async def test_a_terminal_shows_the_sums_and_the_refused_rows(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """With the consents that are given and withdrawn; --json prints what a pipe gets."""
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
    assert "email 'n/a' is no e-mail address" in shown
    assert "1 refused, 1 would create, 1 would update. Writing takes 3 requests. Nothing was written" in shown
    assert "Consents: 2 given, 2 withdrawn." in shown
    assert '{"row"' not in shown
    assert '{"row": 3, "outcome": "refused"' in as_json
    assert "why it is not written" not in as_json


async def test_a_terminal_shows_a_part_of_many_refused_rows(box: Sandbox, file: Path) -> None:
    """The rest is counted, and an option writes all."""
    file.write_text("email\n" + "n/a\n" + "".join(f"n{number}\n" for number in range(99)))

    _, shown = await on_terminal(str(file), "--match", "email", box=box)

    assert shown.count("is no e-mail address") == 40
    assert "60 more: add --refused refused.xlsx to write all of them to a file." in shown


async def test_progress_is_shown_while_writing_although_stdout_goes_to_a_file(
    box: Sandbox, file: Path, tmp_path: Path
) -> None:
    """With the number of rows and the time that is left; nothing of it in a dry run or with --quiet."""
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
async def test_refused_rows_are_written_ready_to_correct_and_import(
    box: Sandbox, file: Path, tmp_path: Path, kind: str
) -> None:
    """They have the columns of the file, those that were left out too, and the reason before them."""
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
    """Rows that would be written would be gone; and a file that nobody can import is not written."""
    file.write_text("email\nn/a\n")
    (tmp_path / "link.csv").symlink_to(file)

    same, _ = await import_(file, "--match", "email", "--refused", str(tmp_path / "link.csv"), box=box)
    other, _ = await import_(file, "--match", "email", "--refused", str(tmp_path / "x.parquet"), box=box)

    assert (same.code, other.code) == (2, 2)
    assert not box.requests
    assert "--refused names the file to import" in same.err
    assert "name a file that ends in one of .xlsx, .csv, .tsv." in other.err
    assert file.read_text() == "email\nn/a\n"


async def test_a_new_customer_does_not_refuse_a_consent(box: Sandbox, file: Path) -> None:
    """Who does not exist yet has said neither yes nor no."""
    file.write_text("email,consent_email,consent_post\nnew@example.com,yes,yes\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    said = "it sets consent_email and consent_post to yes for a new customer: that needs --give-consent"
    assert outcome["reason"] == said


async def test_a_telephone_without_its_zero_is_pointed_out(box: Sandbox, file: Path) -> None:
    """It is taken all the same; the summary names the first rows."""
    rows = "".join(f"{number}@example.com,16329600{number:02}\n" for number in range(8))
    file.write_text(f"email,phone\n{rows}")

    done, outcomes = await import_(file, "--match", "email", box=box)

    assert done.code == 0
    assert outcomes[0]["odd"] == {"telephone": "looks as if its zero or plus were lost"}
    assert "telephone looks as if its zero or plus were lost: rows 2, 3, 4, 5, 6 and 3 more.\n" in done.err


async def test_all_reasons_of_a_row_are_said(box: Sandbox, file: Path) -> None:
    """Nobody finds them one by one."""
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
    """A few customers are asked for by id, many are taken from the list, of which pages ahead may be read in vain."""
    async with Sandbox(customers=1000, rate_limit=None) as box:
        file.write_text("\n".join(["id,last_name", *(f"{key},New" for key in box.customers.ids()[-rows:])]))

        done, outcomes = await import_(file, "--match", "id", box=box)

        assert len(outcomes) == rows
        assert len(box.requests) <= requests
        assert f"Writing takes {2 * rows:,} requests" in done.err


@pytest.mark.parametrize(("extra", "passes"), [("", 1), ("new@example.com,New", 2)])
async def test_the_list_is_read_again_only_if_somebody_is_to_be_created(file: Path, extra: str, passes: int) -> None:
    """That costs twice the requests; some pages behind the end are asked for in vain."""
    async with Sandbox(customers=0, rate_limit=None) as box:
        for number in range(1000):
            box.customers.create({"email": f"{number}@example.com"})
        file.write_text("\n".join(["email,last_name", *(f"{number}@example.com,New" for number in range(1000)), extra]))

        await import_(file, "--match", "email", box=box)

        assert 10 * passes <= len(box.requests) < 10 * passes + 10


async def test_ids_that_are_not_in_the_list_are_asked_for_if_they_are_few(many: Sandbox, file: Path) -> None:
    """Many more than the pages of the list are refused without a request for each."""
    keys = many.customers.ids()
    file.write_text("\n".join(["id", *keys[:40], *(f"cst-nobody{number}" for number in range(5))]))
    _, few = await import_(file, "--match", "id", box=many)
    many.requests.clear()
    file.write_text("\n".join(["id", *keys[:40], *(f"cst-nobody{number}" for number in range(500))]))
    _, lots = await import_(file, "--match", "id", box=many)

    assert [o.get("reason") for o in few if o["outcome"] == "refused"] == ["there is no customer with this id"] * 5
    assert [o.get("reason") for o in lots if o["outcome"] == "refused"] == ["no customer in the list has this id"] * 500
    assert len(many.requests) < 8


async def test_what_a_dry_run_says_is_what_is_done(many: Sandbox, file: Path) -> None:
    """Row by row, in the same order, with as many requests to write as it said."""
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


async def test_help_says_what_a_file_may_be(box: Sandbox) -> None:
    """People read there that an error of a spreadsheet is an empty cell."""
    done = await run("customers", "import", "--help")

    words = " ".join(done.out.split())
    assert "FILE is an xlsx, ods, xls or CSV file" in words
    assert "A cell with an error, such as #N/A, counts as empty in a spreadsheet" in words


@pytest.mark.parametrize("where", ["nowhere/refused.csv", "people.csv/refused.csv"])
async def test_a_folder_for_refused_rows_that_does_not_exist_is_seen_before_anything_is_written(
    box: Sandbox, file: Path, tmp_path: Path, where: str
) -> None:
    """After that it would be too late."""
    file.write_text("email\nn/a\nnew@example.com\n")

    done, outcomes = await import_(file, "--match", "email", "--apply", "--refused", str(tmp_path / where), box=box)

    assert (done.code, outcomes, list(box.requests)) == (2, [], [])
    assert "there is no folder" in done.err


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_refused_rows_have_the_delimiter_of_the_file_and_no_formula_as_a_name(
    box: Sandbox, file: Path, tmp_path: Path, delimiter: str
) -> None:
    """The spreadsheet that wrote the file opens them in the same way, and runs nothing."""
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
async def test_the_order_of_days_is_asked_for_only_where_it_helps(
    box: Sandbox, file: Path, cell: str, hint: str
) -> None:
    """Nobody tries an option in vain."""
    file.write_text(f"email,membership_start_date\nnew@example.com,{cell}\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["reason"] == f"membership_start_date must be a day such as 2026-01-31, not {cell!r}{hint}"
