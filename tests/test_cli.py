"""The command, as a process: what it prints where, what it leaves, how it ends."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from doubles import until

from ticketsource_async import __version__
from ticketsource_async.export import COLUMNS
from ticketsource_async.sandbox import Sandbox

EXPORT = ("customers", "export")


class Done(NamedTuple):
    """How a process ended."""

    code: int | None
    out: str
    err: str


async def start(*arguments: str, box: Sandbox | None = None, key: str | None = None) -> asyncio.subprocess.Process:
    """Start the command with nothing of the caller's settings, pointed at a sandbox."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TICKETSOURCE_")}
    if box is not None:
        environment |= {"TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": key or box.api_key}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "ticketsource_async", *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background jobs ignore
    )


async def run(*arguments: str, box: Sandbox | None = None, key: str | None = None) -> Done:
    """Run the command to its end."""
    process = await start(*arguments, box=box, key=key)
    out, err = await process.communicate()
    return Done(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(name="many")
async def _many() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=300, rate_limit=None) as box:
        yield box


async def test_export_streams_every_customer_and_nothing_else_to_stdout(many: Sandbox) -> None:
    """All customers are on stdout as CSV; stderr, which is no terminal, stays empty."""
    done = await run(*EXPORT, box=many)

    assert (done.code, done.err) == (0, "")
    assert [row["id"] for row in table(done.out)] == list(many.customers.ids())
    assert tuple(table(done.out)[0]) == COLUMNS
    assert 3 <= len(many.requests) <= 3 + 7  # eight pages at a time


async def test_export_needs_no_account_with_the_sandbox() -> None:
    """`--sandbox` exports a sample box office without any setting."""
    done = await run(*EXPORT, "--sandbox", "--format", "jsonl")

    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 1000


async def test_without_a_key_one_line_says_both_ways_on() -> None:
    """No key and no `--sandbox` ends with 4 and one line that names both."""
    done = await run(*EXPORT)

    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert "TICKETSOURCE_API_KEY" in done.err
    assert "--sandbox" in done.err


@pytest.mark.parametrize("ways", [("email",), ("post", "sms")])
async def test_consent_lets_only_a_clear_yes_through(many: Sandbox, ways: tuple[str, ...]) -> None:
    """With `--consent`, every row has each consent asked for, and nobody who gave it is missing."""
    everybody = table((await run(*EXPORT, box=many)).out)

    done = await run(*EXPORT, *(part for way in ways for part in ("--consent", way)), box=many)

    wanted = [row["id"] for row in everybody if all(row[f"consent_{way}"] == "true" for way in ways)]
    assert [row["id"] for row in table(done.out)] == wanted
    assert 0 < len(wanted) < 300


async def test_limit_counts_the_customers_written(many: Sandbox) -> None:
    """`--limit` gives so many rows, with a filter too, and asks for no page too many."""
    plain = await run(*EXPORT, "--limit", "100", box=many)
    assert len(many.requests) == 1
    filtered = await run(*EXPORT, "--limit", "5", "--consent", "sms", box=many)

    assert len(table(plain.out)) == 100
    assert [row["consent_sms"] for row in table(filtered.out)] == ["true"] * 5


async def test_a_file_appears_only_when_it_is_whole(many: Sandbox, tmp_path: Path) -> None:
    """A run that fails leaves the old file, and nothing beside it; one that succeeds replaces it."""
    target = tmp_path / "customers.csv"
    target.write_text("old")
    many.fail(page=3, status=501)

    failed = await run(*EXPORT, "-o", str(target), box=many)
    kept = target.read_text()
    done = await run(*EXPORT, "-o", str(target), box=many)

    assert (failed.code, kept) == (75, "old")
    assert (done.code, done.out) == (0, "")
    assert len(table(target.read_text("utf-8"))) == 300
    assert [p.name for p in tmp_path.iterdir()] == ["customers.csv"]


async def test_a_file_is_readable_by_its_owner_alone_unless_it_was_by_others(many: Sandbox, tmp_path: Path) -> None:
    """A new file has mode 600, one that is replaced keeps its own; a part file of another run is left alone."""
    new, shared, other = tmp_path / "new.csv", tmp_path / "shared.csv", tmp_path / "new.csv.other.part"
    shared.write_text("old")
    shared.chmod(0o640)
    other.write_text("of another run")

    for target in (new, shared):
        assert (await run(*EXPORT, "-o", str(target), box=many)).code == 0

    assert [path.stat().st_mode & 0o777 for path in (new, shared)] == [0o600, 0o640]
    assert other.read_text() == "of another run"


async def test_a_linked_file_stays_linked_and_a_pipe_is_written_to(many: Sandbox, tmp_path: Path) -> None:
    """A symbolic link is followed, and what is no file is not replaced."""
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")

    await run(*EXPORT, "-o", str(tmp_path / "link.csv"), box=many)
    to_null = await run(*EXPORT, "-o", "/dev/null", box=many)

    assert (tmp_path / "link.csv").is_symlink()
    assert len(table((tmp_path / "real.csv").read_text("utf-8"))) == 300
    assert to_null.code == 0
    assert Path("/dev/null").is_char_device()


async def test_a_file_that_cannot_be_written_is_said_before_anything_is_asked_for(
    many: Sandbox, tmp_path: Path
) -> None:
    """A missing folder ends with 1, names the path, and costs no request."""
    done = await run(*EXPORT, "-o", str(tmp_path / "missing" / "x.csv"), box=many)

    assert done.code == 1
    assert "missing" in done.err
    assert "No such file or directory" in done.err
    assert not many.requests


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


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"status": 429, "headers": {"Retry-After": "3600"}}, 75, "answered 429"),
        ({"status": 503, "times": None}, 75, "(attempt 4) was answered 503"),
        ({"cut": "before", "times": None}, 75, "connection broke"),
        ({"status": 401}, 4, "answered 401"),
        ({"status": 403}, 4, "answered 403"),
        ({"status": 403, "html": True}, 1, "user agent"),
        ({"status": 400}, 1, "answered 400"),
        ({"body": "<html>"}, 1, "HTML"),
        ({"next": "loop"}, 1, "must not be followed"),
    ],
)
async def test_a_failure_is_one_line_and_an_exit_code(
    many: Sandbox, fault: dict[str, object], code: int, said: str
) -> None:
    """Each kind of failure ends with its documented code and one line on stderr, without a traceback."""
    many.fail(**fault)  # type: ignore[arg-type]  # a table of keyword arguments

    done = await run(*EXPORT, box=many)

    assert done.code == code
    assert done.err.startswith("ticketsource: ")
    assert said in done.err
    assert done.err.count("\n") == 1


async def test_a_wrong_setting_in_the_environment_is_wrong_use(box: Sandbox) -> None:
    """A key that cannot be one ends with 2 and is not shown."""
    done = await run(*EXPORT, box=box, key="skl bad")

    assert done.code == 2
    assert "api_key" in done.err
    assert "skl bad" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        (*EXPORT, "--limit", "0"),
        (*EXPORT, "--format", "xml"),
        (*EXPORT, "--format", "jsonl", "--excel"),
        (*EXPORT, "--api-key", "x"),
        ("sandbox", "--port", "99999"),
        ("sandbox", "--api-key", ""),
    ],
)
async def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    """What the command does not know, and a key as an argument, is refused with 2."""
    done = await run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err


async def test_version_and_help_are_there() -> None:
    """`--version` says the version, `-h` the exit codes."""
    assert __version__ in (await run("--version")).out
    assert "75   try again later" in (await run("-h")).out


async def test_ctrl_c_ends_quietly_and_leaves_no_file(many: Sandbox, tmp_path: Path) -> None:
    """An interrupted export ends with 130, says nothing, and leaves neither the file nor a part of it."""
    many.fail(page=2, slow=60)
    process = await start(*EXPORT, "-o", str(tmp_path / "x.csv"), box=many)
    await until(lambda: len(many.requests) == 2)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert (process.returncode, out, err) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


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


async def test_a_closed_pipe_ends_quietly(many: Sandbox) -> None:
    """When the reader has seen enough, the export stops without a word."""
    process = await start(*EXPORT, box=many)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `head` does when it ends
    err = await process.stderr.read()

    assert (await process.wait(), err) == (0, b"")


async def test_the_sandbox_command_serves_until_ctrl_c() -> None:
    """It prints the two variables to set, serves with them, and ends with 130."""
    server = await start("sandbox", "--customers", "7", "--seed", "3", "--api-key", "skl-mine", "--rate-limit", "0")
    assert server.stdout is not None
    lines = [(await server.stdout.readline()).decode().strip() for _ in range(2)]
    settings = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticketsource_async", *EXPORT),
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
    )
    out, _ = await client.communicate()
    server.send_signal(signal.SIGINT)
    _, err = await server.communicate()

    assert len(table(out.decode())) == 7
    assert settings["TICKETSOURCE_API_KEY"] == "skl-mine"
    assert server.returncode == 130
    assert err.decode() == "Serving 7 sample customers; Ctrl-C stops.\n"


async def test_a_port_in_use_is_said_in_one_line(box: Sandbox) -> None:
    """A sandbox that cannot have its port ends with 1 and says why."""
    done = await run("sandbox", "--port", box.url.rpartition(":")[2])

    assert (done.code, done.out) == (1, "")
    assert "address already in use" in done.err
    assert done.err.count("\n") == 1


def test_without_the_extra_the_command_says_how_to_install_it() -> None:
    """Where click is missing, the command ends with 2 and the line to type."""
    code = "import sys; sys.modules['click'] = None; from ticketsource_async.__main__ import main; main()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pip install 'ticketsource-async[cli]'" in done.stderr


@pytest.fixture(name="shows")
async def _shows() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=4, dates_per_event=3, bookings_per_date=2, rate_limit=None) as shows:
        yield shows


async def test_every_kind_of_record_can_be_listed_and_got(shows: Sandbox) -> None:
    """From the list of events one gets, id by id, to a seat, a customer's bookings and notes; lists are JSON Lines."""

    async def lines(*arguments: str) -> list[dict[str, Any]]:
        done = await run(*arguments, box=shows)
        assert (done.code, done.err) == (0, "")
        return [json.loads(line) for line in done.out.splitlines()]

    async def record(*arguments: str) -> dict[str, Any]:
        done = await run(*arguments, box=shows)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)  # type: ignore[no-any-return]  # it is an object

    event = (await lines("events", "list"))[0]
    assert await record("events", "get", event["id"]) == event
    venue = (await lines("events", "venues", event["id"]))[0]
    assert await record("venues", "get", venue["id"]) == venue
    date = (await lines("venues", "dates", venue["id"]))[0]
    assert date in await lines("events", "dates", event["id"])
    assert await record("dates", "get", date["id"]) == date
    booking = (await lines("dates", "bookings", date["id"]))[0]
    assert await record("bookings", "get", booking["id"]) == booking
    seat = (await lines("bookings", "seats", booking["id"]))[0]
    assert await record("seats", "get", seat["id"]) == seat
    customer_id = booking["links"]["customer"].rpartition("/")[2]
    assert booking in await lines("customers", "bookings", customer_id)
    for customer in await lines("customers", "export", "--format", "jsonl"):
        for note in await lines("notes", "list", customer["id"]):
            assert await record("notes", "get", customer["id"], note["id"]) == note
            return
    raise AssertionError("no sample customer has a note")


async def test_a_wrong_id_of_any_kind_is_wrong_use(shows: Sandbox) -> None:
    """An id of another kind ends with 2 and says what an id is here."""
    for arguments in (["events", "get", "ven-1"], ["dates", "bookings", "x"], ["notes", "get", "cst-1", "evt-1"]):
        done = await run(*arguments, box=shows)

        assert done.code == 2
        assert "an id here is" in done.err


async def test_bookings_are_exported_a_row_a_line_with_event_and_date(shows: Sandbox) -> None:
    """Each line of each booking is a row; money is as written, and the filter is by the day of the date."""
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
    """A date a row, with event and venue."""
    target = tmp_path / "programme.csv"

    done = await run("programme", "export", "-o", str(target), box=shows)

    assert (done.code, done.out, done.err) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert len({row["date_id"] for row in rows}) == len(rows) == 12
    assert all(row["venue_name"] and row["event_name"] and row["start"] for row in rows)


@pytest.mark.parametrize(
    "wrong", [["--from", "2026-02-01", "--to", "2026-01-01"], ["--from", "soon"], ["--format", "jsonl", "--excel"]]
)
async def test_what_cannot_be_exported_is_wrong_use(shows: Sandbox, wrong: list[str]) -> None:
    """Days in the wrong order, no day, and Excel's mark in JSON end with 2."""
    assert (await run("programme", "export", *wrong, box=shows)).code == 2
