"""The commands that export."""

import asyncio
import csv
import io
import json
import os
import shlex
import subprocess
import sys
import termios
from decimal import Decimal
from pathlib import Path

import pytest
from command import EXPORT, rows_in, run, table
from processes import pointed_at
from pyarrow import parquet

from ticketsource_async import Customer, TicketSource
from ticketsource_async.files import FORMATS
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import CUSTOMERS


async def test_an_export_writes_every_customer_and_nothing_else_to_stdout(many: Sandbox) -> None:
    """All customers are on stdout as CSV. stderr, which is no terminal, is empty."""
    done = await run(*EXPORT, box=many)

    assert (done.code, done.err) == (0, "")
    assert [row["id"] for row in table(done.out)] == list(many.customers.ids())
    assert tuple(table(done.out)[0]) == CUSTOMERS.names
    assert 3 <= len(many.requests) <= 3 + 7  # eight pages at a time


async def test_an_export_from_the_sandbox_needs_no_account() -> None:
    """`--sandbox` exports a sample box office without any setting."""
    done = await run(*EXPORT, "--sandbox", "--format", "jsonl")

    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 1000


@pytest.mark.parametrize("ways", [("email",), ("post", "sms")])
async def test_consent_exports_only_customers_with_a_clear_yes(many: Sandbox, ways: tuple[str, ...]) -> None:
    """Every row has each requested consent, and no customer with it is missing."""
    everybody = table((await run(*EXPORT, box=many)).out)

    done = await run(*EXPORT, *(part for way in ways for part in ("--consent", way)), box=many)

    wanted = [row["id"] for row in everybody if all(row[f"consent_{way}"] == "true" for way in ways)]
    assert [row["id"] for row in table(done.out)] == wanted
    assert 0 < len(wanted) < 300
    assert done.err.splitlines()[0] == f"{300 - len(wanted)} left out: no consent to {' and '.join(ways)}."


async def test_quiet_does_not_report_customers_without_consent(many: Sandbox) -> None:
    """Stderr is empty."""
    done = await run(*EXPORT, "--consent", "email", "--quiet", box=many)

    assert (done.code, done.err) == (0, "")


async def test_limit_counts_the_customers_written(many: Sandbox) -> None:
    """It counts after a filter, and no page is requested that is not needed."""
    plain = await run(*EXPORT, "--limit", "100", box=many)
    assert len(many.requests) == 1
    filtered = await run(*EXPORT, "--limit", "5", "--consent", "sms", box=many)

    assert len(table(plain.out)) == 100
    assert [row["consent_sms"] for row in table(filtered.out)] == ["true"] * 5


@pytest.mark.parametrize("options", [(), ("-o", "FILE")])
async def test_only_the_option_excel_writes_a_byte_order_mark(
    many: Sandbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """It does so on stdout and in a file."""
    target = tmp_path / "x.csv"
    options = tuple(str(target) if o == "FILE" else o for o in options)

    plain = await run(*EXPORT, *options, box=many)
    plain_text = target.read_text("utf-8") if options else plain.out
    excel = await run(*EXPORT, "--excel", *options, box=many)
    excel_text = target.read_text("utf-8") if options else excel.out

    assert plain_text.startswith("id,")
    assert excel_text == "\ufeff" + plain_text


async def test_formulas_are_escaped_by_default(box: Sandbox) -> None:
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


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """If stderr is a terminal, it shows the number of customers."""
    ours, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [sys.executable, "-m", "ticketsource_async", *EXPORT, "--sandbox", "-o", str(tmp_path / "x.csv")]

    subprocess.run(command, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(ours, 65536)
    os.close(ours)

    assert b"1000 customers" in shown


@pytest.mark.parametrize("customers", [0, 1, 300])
async def test_json_and_parquet_have_all_customers_with_all_values(tmp_path: Path, customers: int) -> None:
    """Records that are read from JSON are equal. Parquet has the columns of the CSV, with types."""
    async with (
        Sandbox(customers, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        done = await run(*EXPORT, "--format", "json", box=box)
        lines = await run(*EXPORT, "--format", "jsonl", box=box)
        file = await run(*EXPORT, "--format", "parquet", "-o", str(tmp_path / "x.parquet"), "--quiet", box=box)
        everybody = await ts.customers.list().collect()

    assert [Customer.from_dict(data) for data in json.loads(done.out)] == everybody
    assert [Customer.from_dict(json.loads(line)) for line in lines.out.splitlines()] == everybody
    read = parquet.read_table(tmp_path / "x.parquet")
    assert read.column_names == list(CUSTOMERS.names)
    assert [tuple(row.values()) for row in read.to_pylist()] == [CUSTOMERS.row(customer) for customer in everybody]
    assert (done.code, done.err, lines.err, file.code, file.out, file.err) == (0, "", "", 0, "", "")


@pytest.mark.parametrize(
    ("kind", "library", "name"), [("parquet", "pyarrow", "Parquet"), ("xlsx", "xlsxwriter", "XLSX")]
)
async def test_for_a_missing_extra_the_error_says_what_to_install(
    tmp_path: Path, kind: str, library: str, name: str
) -> None:
    """It is one line, and no file is left."""
    code = f"import sys; sys.modules['{library}'] = None; from ticketsource_async.__main__ import main; main()"
    arguments = (*EXPORT, "--sandbox", "-o", str(tmp_path / f"x.{kind}"))
    without = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, *arguments], capture_output=True, text=True
    )

    assert without.returncode == 2
    assert (
        without.stderr == f"ticketsource: To write {name}, install an extra: pip install 'ticketsource-async[{kind}]'\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
async def test_a_binary_format_is_refused_on_a_terminal_and_written_to_a_pipe(
    many: Sandbox, tmp_path: Path, kind: str
) -> None:
    """On a terminal, no request is made."""
    export = [sys.executable, "-m", "ticketsource_async", *EXPORT, "--format", kind]
    terminal = f"exec {shlex.join(export)} >/dev/ptmx"
    refused = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", terminal], capture_output=True, text=True, env=pointed_at(many)
    )
    asked = len(many.requests)
    piped = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", f"{shlex.join(export)} | cat"], capture_output=True, env=pointed_at(many)
    )
    target = tmp_path / f"x.{kind}"
    target.write_bytes(piped.stdout)

    assert (refused.returncode, asked) == (2, 0)
    assert (
        refused.stderr
        == f"ticketsource: A terminal cannot show {kind}. Write it to a file, or choose another format.\n"
    )
    assert piped.stderr == b""
    assert len(rows_in(target, kind)) == 300


@pytest.mark.parametrize("ending", ["csv", "CSV", "tsv", "json", "Jsonl", "parquet", "XLSX"])
async def test_the_ending_of_the_file_decides_the_format(box: Sandbox, tmp_path: Path, ending: str) -> None:
    """Capitals do not matter."""
    target = tmp_path / f"x.{ending}"

    done = await run(*EXPORT, "-o", str(target), box=box)

    assert (done.code, done.err) == (0, f"25 customers were written to {target}.\n")
    assert [row["id"] for row in rows_in(target, ending.lower())] == list(box.customers.ids())


@pytest.mark.parametrize(("command", "name"), [("export", "JSONL"), ("find @", "Csv"), ("find @", "TABLE")])
async def test_the_name_of_a_format_can_have_capitals(box: Sandbox, command: str, name: str) -> None:
    """It is the same for the ending of a file."""
    done = await run("customers", *command.split(), "--format", name, box=box)
    same = await run("customers", *command.split(), "--format", name.lower(), box=box)

    assert done.code == 0
    assert done == same
    assert "cst-" in done.out


@pytest.mark.parametrize("ending", ["json", "XLSX"])
async def test_a_file_name_that_is_only_an_ending_decides_the_format(box: Sandbox, tmp_path: Path, ending: str) -> None:
    """Otherwise the file would be CSV with the name of another format."""
    target = tmp_path / f".{ending}"

    await run(*EXPORT, "-o", str(target), box=box)

    assert [row["id"] for row in rows_in(target, ending.lower())] == list(box.customers.ids())


@pytest.mark.parametrize("what", ["customers export", "bookings export", "programme export", "customers changes"])
@pytest.mark.parametrize("name", ["x.xls", "x.ODS", "customers.csv.gz", "x.2026", ".xls", ".hidden"])
async def test_an_unknown_ending_is_refused_before_the_first_request(
    shows: Sandbox, tmp_path: Path, what: str, name: str
) -> None:
    """The error lists the known endings. `--format` allows any ending."""
    target = tmp_path / name
    store = ("--store", str(tmp_path / "store.db")) if what == "customers changes" else ()

    refused = await run(*what.split(), *store, "-o", str(target), box=shows)
    asked = len(shows.requests)
    taken = await run(*what.split(), *store, "-o", str(target), "--format", "jsonl", box=shows)

    assert (refused.code, asked, taken.code) == (2, 0, 0)
    assert ".csv, .tsv, .json, .jsonl, .parquet, .xlsx" in " ".join(refused.err.split())
    assert rows_in(target, "jsonl")


@pytest.mark.parametrize("name", ["customers", "customers."])
async def test_a_file_without_an_ending_has_the_default_format_of_the_command(
    box: Sandbox, tmp_path: Path, name: str
) -> None:
    """That is CSV for an export and JSON Lines for changes."""
    await run(*EXPORT, "-o", str(tmp_path / name), box=box)
    follow = ("customers", "changes", "--store", str(tmp_path / "store.db"))
    changes = tmp_path / "changes" / name
    changes.parent.mkdir()
    await run(*follow, "-o", str(changes), box=box)

    assert len(rows_in(tmp_path / name, "csv")) == 25
    assert len(rows_in(changes, "jsonl")) == 25


async def test_a_pipe_has_the_default_format_with_any_name(box: Sandbox, tmp_path: Path) -> None:
    """The ending of a pipe does not decide."""
    pipe = tmp_path / "pipe.xlsx"
    os.mkfifo(pipe)
    export = asyncio.create_task(run(*EXPORT, "-o", str(pipe), box=box))
    text = await asyncio.to_thread(pipe.read_text, "utf-8")

    assert (await export).code == 0
    assert len(table(text)) == 25


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "xlsx"])
async def test_an_export_that_fails_at_once_prints_nothing(box: Sandbox, kind: str) -> None:
    """It prints no header, so the reader of a pipe does not see an empty table."""
    box.fail(status=401)

    done = await run(*EXPORT, "--format", kind, box=box)

    assert (done.code, done.out) == (4, "")


@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
async def test_an_export_that_fails_half_way_prints_no_part_of_a_binary_file(many: Sandbox, kind: str) -> None:
    """These formats are written completely or not at all."""
    many.fail(page=3, status=501)

    done = await run(*EXPORT, "--format", kind, box=many)

    assert (done.code, done.out) == (75, "")


async def test_each_line_of_a_booking_is_a_row_with_event_and_date(shows: Sandbox) -> None:
    """Money is as written. The filter uses the day of the performance."""
    whole = list(csv.DictReader(io.StringIO((await run("bookings", "export", box=shows)).out)))
    few = await run("bookings", "export", "--from", "2026-01-04", "--to", "2026-01-10", "--format", "jsonl", box=shows)

    assert len({row["booking_id"] for row in whole}) == 4 * 3 * 2
    assert len(whole) > 24
    for row in whole:
        assert Decimal(row["net"]) == Decimal(row["gross"]) - Decimal(row["fee"]) - Decimal(row["fee_vat"])
        assert row["event_name"]
    assert any(row["gross"] == "-12.5" and row["is_refund"] == "true" for row in whole)
    rows = [json.loads(line) for line in few.out.splitlines()]
    assert {row["date_start"][:10] for row in rows} == {"2026-01-06", "2026-01-09", "2026-01-10"}
    assert list(rows[0]) == list(whole[0])
    assert rows[0]["gross"] == "12.5" or Decimal(rows[0]["gross"]) > 0


async def test_the_programme_is_exported_to_a_file(shows: Sandbox, tmp_path: Path) -> None:
    """Each date is a row with its event and venue."""
    target = tmp_path / "programme.csv"

    done = await run("programme", "export", "-o", str(target), box=shows)

    assert (done.code, done.out, done.err) == (0, "", f"12 performances were written to {target}.\n")
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert len({row["date_id"] for row in rows}) == len(rows) == 12
    assert all(row["venue_name"] and row["event_name"] and row["start"] for row in rows)


@pytest.mark.parametrize(
    "wrong", [["--from", "2026-02-01", "--to", "2026-01-01"], ["--from", "soon"], ["--format", "jsonl", "--excel"]]
)
async def test_invalid_options_of_an_export_are_wrong_use(shows: Sandbox, wrong: list[str]) -> None:
    """Days in the wrong order, an invalid day, and Excel's mark in JSON end with 2."""
    assert (await run("programme", "export", *wrong, box=shows)).code == 2


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("programme", "export"), "performance"),
        (("bookings", "export"), "booking for a performance"),
        (("sales",), "performance"),
        (("report",), "performance"),
    ],
    ids=str,
)
async def test_days_without_performances_are_reported(
    shows: Sandbox, tmp_path: Path, command: tuple[str, ...], what: str
) -> None:
    """The file is written all the same, and the exit code is 0. With --quiet, nothing is said."""
    for number, (days, said) in enumerate(
        [
            (("--from", "2027-01-01", "--to", "2027-01-31"), " from 2027-01-01 to 2027-01-31"),
            (("--from", "2027-01-01"), " from 2027-01-01"),
            (("--to", "2020-01-01"), " to 2020-01-01"),
        ]
    ):
        target = tmp_path / f"{number}.html"
        done = await run(*command, *days, "-o", str(target), box=shows)
        quiet = await run(*command, *days, "-o", str(target), "--quiet", box=shows)

        assert (done.code, done.err, target.exists()) == (0, f"No {what}{said}.\n", True)
        assert (quiet.code, quiet.err) == (0, "")


async def events_of(box: Sandbox) -> list[str]:
    """Return the ids of all events, in their order."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        return [event.id async for event in ts.events.list()]


@pytest.mark.parametrize("what", ["bookings", "programme"])
@pytest.mark.parametrize("kind", FORMATS)
async def test_an_event_that_is_deleted_meanwhile_loses_only_its_own_rows(
    shows: Sandbox, tmp_path: Path, what: str, kind: str
) -> None:
    """The file has all other rows. stderr names the event and the reason, and the exit code is 1."""
    gone = (await events_of(shows))[1]
    target = tmp_path / f"x.{kind}"
    target.write_text("old")
    shows.fail(path=f"/events/{gone}/dates", status=404)

    done = await run(what, "export", "--format", kind, "-o", str(target), "--quiet", box=shows)

    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"ticketsource: event {gone} could not be read: GET /events/{gone}/dates")
    rows = rows_in(target, kind)
    assert len({row["event_id"] for row in rows}) == 3
    assert gone not in {row["event_id"] for row in rows}
    assert len({row["date_id"] for row in rows}) == 9
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


async def test_of_many_failures_twenty_are_named_and_the_others_are_counted() -> None:
    """Thirty of sixty events fail. The others are on stdout."""
    async with Sandbox(5, events=60, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box:
        gone = (await events_of(box))[::2]
        for event in gone:
            box.fail(path=f"/events/{event}/dates", status=404)

        done = await run("bookings", "export", box=box)

    assert done.code == 1
    assert len({row["event_id"] for row in table(done.out)}) == 30
    lines = done.err.splitlines()
    assert [line.split()[2] for line in lines[:-1]] == gone[:20]
    assert lines[-1] == "ticketsource: 10 more could not be read."


async def test_an_unreadable_date_is_named_with_its_event_even_with_quiet(shows: Sandbox) -> None:
    """`--quiet` hides no failure."""
    async with TicketSource(shows.api_key, base_url=shows.url) as ts:
        event, event_date, _ = await anext(ts.all_bookings())
    shows.fail(path=f"/dates/{event_date.id}/bookings", status=501)

    done = await run("bookings", "export", "--quiet", box=shows)

    assert done.code == 1
    assert done.err.startswith(f"ticketsource: date {event_date.id} of event {event.id} could not be read: GET /dates/")
    assert len({row["date_id"] for row in table(done.out)}) == 11


async def test_a_deleted_venue_has_empty_cells_and_is_named(shows: Sandbox) -> None:
    """Its dates are exported with the id of the venue."""
    everything = table((await run("programme", "export", box=shows)).out)
    gone = everything[0]["venue_id"]
    shows.fail(path=f"/events/{everything[0]['event_id']}/venues", status=404)
    shows.fail(path=f"/venues/{gone}", status=404)

    done = await run("programme", "export", box=shows)

    assert done.code == 1
    assert done.err.startswith(f"ticketsource: venue {gone} of event {everything[0]['event_id']} could not be read: ")
    assert [row["date_id"] for row in table(done.out)] == [row["date_id"] for row in everything]
    assert {(row["venue_id"], row["venue_name"]) for row in table(done.out) if not row["venue_name"]} == {(gone, "")}


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_an_export_in_which_every_event_fails_keeps_the_old_file(
    shows: Sandbox, tmp_path: Path, kind: str
) -> None:
    """The old file is more useful than an empty one. Nothing is printed on stdout."""
    for event in await events_of(shows):
        shows.fail(path=f"/events/{event}/dates", status=404, times=None)
    target = tmp_path / "bookings"
    target.write_text("old")

    done = await run("bookings", "export", "--format", kind, "-o", str(target), box=shows)
    printed = await run("bookings", "export", "--format", kind, box=shows)

    assert (done.code, printed.code) == (1, 1)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bookings"]
    lines = done.err.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith(
        f"ticketsource: no row could be read, so {target} was not written. {target} is unchanged: it is still "
        "the file of "
    )
    assert printed.out == ""


async def test_an_error_that_ends_the_export_keeps_its_exit_code_and_earlier_failures(
    shows: Sandbox, tmp_path: Path
) -> None:
    """The key is refused half-way. The old file is kept, and earlier failures are named."""
    first, second, *_ = await events_of(shows)
    target = tmp_path / "x.csv"
    target.write_text("old")
    shows.fail(path=f"/events/{first}/dates", status=404)
    shows.fail(path=f"/events/{second}/dates", status=401)

    done = await run("programme", "export", "-o", str(target), box=shows)

    assert (done.code, target.read_text()) == (4, "old")
    assert f"event {first} could not be read: " in done.err
    assert done.err.splitlines()[-1].startswith(f"ticketsource: GET /events/{second}/dates")
