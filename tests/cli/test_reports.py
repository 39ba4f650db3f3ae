"""All commands for reports check before the first request whether they can write their output."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import rows_in, run
from halls import answer_with, fail_after, first_date, rows_of
from processes import pointed_at

from ticketsource_async.sandbox import Sandbox

COMMANDS = (("sales",), ("donations",), ("donations", "--gift-aid"), ("door-list", "dat-1"), ("report",))
WITHOUT = "import sys; sys.modules[{!r}] = None; from ticketsource_async.__main__ import main; main()"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_missing_folder_is_reported_before_the_first_request(
    box: Sandbox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Reading can take a long time."""
    done = await run(*command, "-o", str(tmp_path / "none" / "x.html"), box=box)

    assert (done.code, done.out, [*box.requests]) == (1, "", [])
    assert f"there is no folder {tmp_path / 'none'}" in done.err


@pytest.mark.parametrize(("library", "kind"), [("jinja2", "html"), ("xlsxwriter", "xlsx"), ("pyarrow", "parquet")])
@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
async def test_a_missing_extra_is_reported_before_the_first_request(
    box: Sandbox, tmp_path: Path, command: tuple[str, ...], library: str, kind: str
) -> None:
    """The error says what to install, and no file is left."""
    program = (sys.executable, "-c", WITHOUT.format(library), *command, "-o", str(tmp_path / f"x.{kind}"))
    done = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, env=pointed_at(box))

    assert done.returncode == 2
    assert done.stderr.endswith(f"install an extra: pip install 'ticketsource-async[{kind}]'\n")
    assert done.stderr.count("\n") == 1
    assert [*tmp_path.iterdir(), *box.requests] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_wrong_setting_is_the_only_thing_that_is_said(command: tuple[str, ...]) -> None:
    """No command says that it reads before it knows whether it can."""
    keyless = await run(*command)
    astray = await run(*command, url="ftp://box.example")

    assert (keyless.code, keyless.out, keyless.err.count("\n")) == (4, "", 1)
    assert keyless.err.startswith("ticketsource: there is no API key. ")
    assert (astray.code, astray.out, astray.err.count("\n")) == (2, "", 1)


async def test_excel_and_formulas_have_the_options_of_every_export(tmp_path: Path) -> None:
    """A list of donations, a schedule and what is to complete, sales and a door list are CSV as any other."""
    async with Sandbox(customers=10, events=1, dates_per_event=1, bookings_per_date=10, rate_limit=None) as hall:
        _, date, rows = await first_date(hall)
        for number, row in enumerate(rows):
            row["attributes"]["ref"] = f"=1+{number}"
            row["attributes"]["lines"][0]["line_type"] = "DONATION"
            row["attributes"]["lines"][0]["donation"] = {"gift_aid": True}
            row["attributes"]["lines"][0]["created_at"] = None
        answer_with(hall, f"/dates/{date}/bookings", rows)
        to_complete = tmp_path / "complete.csv"
        for command in (
            ("donations",),
            ("donations", "--gift-aid", "-o", str(tmp_path / "schedule.xlsx"), "--to-complete", str(to_complete)),
            ("door-list", date),
        ):
            texts = []
            for options in ((), ("--no-escape-formulas",), ("--excel",)):
                done = await run(*command, *options, "--quiet", box=hall)
                assert (done.code, done.err) == (0, "")
                texts.append(done.out or to_complete.read_text("utf-8"))
            guarded, plain, marked = texts
            assert "'=1+3" in guarded
            assert plain == guarded.replace("'=1+", "=1+")
            assert marked == "\ufeff" + guarded


@pytest.mark.parametrize("option", ["--excel", "--no-escape-formulas"])
@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
async def test_options_of_csv_are_refused_for_other_formats(
    box: Sandbox, tmp_path: Path, command: tuple[str, ...], option: str
) -> None:
    """Before any request."""
    for output in (("-o", str(tmp_path / "x.xlsx")), ("--format", "json"), ("--format", "table")):
        done = await run(*command, option, *output, box=box)

        assert (done.code, done.out, [*box.requests]) == (2, "", [])
        assert "--excel and --no-escape-formulas are for csv and tsv only. For " in " ".join(done.err.split())


async def test_two_files_without_csv_are_both_named_when_an_option_of_csv_is_refused(
    box: Sandbox, tmp_path: Path
) -> None:
    """Each by its format."""
    files = ("-o", str(tmp_path / "x.xlsx"), "--to-complete", str(tmp_path / "x.html"))
    done = await run("donations", "--gift-aid", "--excel", *files, box=box)

    assert "are for csv and tsv only. For xlsx and html, leave them out." in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (("sales",), 5),
        (("donations",), 1),
        (("donations", "--gift-aid", "--to-complete", os.devnull), 1),
        (("programme", "export"), 4),
        (("bookings", "export"), 36),
    ],
)
async def test_a_later_page_of_events_that_fails_costs_only_the_events_after_it(
    tmp_path: Path, command: tuple[str, ...], rows: int
) -> None:
    """The file has the rest, stderr names the list, and the exit code is 1."""
    target = tmp_path / "x.csv"
    async with Sandbox(customers=9, events=3, dates_per_event=2, bookings_per_date=9, rate_limit=None) as hall:
        fail_after(hall, "/events", (await rows_of(hall, "/events"))[:2], status=404)
        done = await run(*command, "-o", str(target), box=hall)

    assert done.code == 1
    assert "ticketsource: the rest of the list of events could not be read: GET /events?" in done.err
    assert "further events" in done.err + target.read_text("utf-8") or "export" in command
    assert len(rows_in(target, "csv")) >= rows


async def test_a_later_page_of_events_that_fails_is_told_on_the_page_of_the_report(tmp_path: Path) -> None:
    """It has the events before it."""
    target = tmp_path / "x.html"
    async with Sandbox(customers=5, events=3, dates_per_event=2, bookings_per_date=2, rate_limit=None) as hall:
        fail_after(hall, "/events", (await rows_of(hall, "/events"))[:2], status=404)
        done = await run("report", "-o", str(target), box=hall)

    assert done.code == 1
    assert "Not complete: without further events." in target.read_text("utf-8")


async def test_a_later_page_of_bookings_that_fails_costs_only_the_people_after_it(tmp_path: Path) -> None:
    """The door list says that people may be missing, on paper and on stderr. The exit code is 1."""
    target = tmp_path / "door.html"
    async with Sandbox(customers=10, events=1, dates_per_event=1, bookings_per_date=5, rate_limit=None) as hall:
        _, date, rows = await first_date(hall)
        fail_after(hall, f"/dates/{date}/bookings", rows[:3], status=404)
        done = await run("door-list", date, "--fast", "-o", str(target), box=hall)

    said = "People may be missing: the list of bookings could not be read to its end (page 2 could not be read)."
    assert done.code == 1
    assert f"ticketsource: GET /dates/{date}/bookings?page=2" in done.err
    assert said in done.err
    assert said in target.read_text("utf-8")
    assert len(rows_in(target, "html")) == 3
