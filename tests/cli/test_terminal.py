"""What a terminal shows of what the API sends: never a character that it would obey."""

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
from processes import pointed_at

from ticketsource_async.sandbox import Sandbox

# Clear the screen, set the title, move left, ring, delete, C1's "escape [", right to left, a mark, a line separator.
EVIL = "\x1b[2J\x1b]0;x\x07\rtoo\x08\x00\x7f\x9b1m\u202egro\u200e\u2066\u061c\u2028\x85\x0b\x0c"
OBEYED = {*map(chr, (*range(32), *range(0x7F, 0xA0))), *"\u202e\u200e\u200f\u2066\u061c\u2028\u2029"} - set("\t\n")


def row(kind: str, record_id: str, **attributes: Any) -> dict[str, Any]:
    """Return a row of the API."""
    return {"id": record_id, "type": kind, "attributes": attributes}


def put_evil_in(box: Sandbox, times: int = 1) -> None:
    """Let the next answers have control characters wherever they can."""
    part = {"line_1": EVIL, EVIL: EVIL}
    one = row("customer", "cst-1", first_name=EVIL, last_name="x\r\nline\ttab", telephone=[EVIL], address=part)
    box.fail(
        status=200, body=json.dumps({"data": [one, row("customer", "cst-2", consent={"email": EVIL})]}), times=times
    )


async def on_terminal(
    *arguments: str, box: Sandbox, answer: bytes = b"", stdout: bool = True, stdin: bool = False
) -> tuple[int, str]:
    """Run the command on a terminal; return its exit code and what the terminal got, without its colours."""
    ours, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST  # the terminal adds nothing of its own
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticketsource_async", *arguments),
        env=pointed_at(box) | {"TERM": "dumb"},
        stdin=terminal if stdin else asyncio.subprocess.DEVNULL,
        stdout=terminal if stdout else asyncio.subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    os.write(ours, answer)
    shown = await asyncio.to_thread(_read, ours)
    return await process.wait(), shown.decode()


def _read(terminal: int) -> bytes:
    """Return what comes until nobody has the other side open."""
    pieces = []
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    except OSError:  # how Linux says so
        pass
    finally:
        os.close(terminal)
    return b"".join(pieces)


def obeyed_in(shown: str) -> set[str]:
    """Return the characters that the terminal would obey, but for the ends of lines."""
    return OBEYED & set(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        *(("export", "--format", name) for name in ("csv", "json", "jsonl")),
        ("export", "--no-escape-formulas", "--excel"),
    ],
)
async def test_an_export_to_a_terminal_shows_escapes(box: Sandbox, arguments: tuple[str, ...]) -> None:
    """In every format; line breaks and tabs stay as they are, and everything else can still be read."""
    put_evil_in(box)

    code, shown = await on_terminal("customers", *arguments, box=box)

    assert code == 0
    assert obeyed_in(shown) == set()
    assert "[2J" in shown
    assert "\\u202e" in shown


@pytest.mark.parametrize("to", ["stdout", "file"])
async def test_a_file_and_a_pipe_get_the_data_as_they_are(box: Sandbox, tmp_path: Path, to: str) -> None:
    """Nothing of a name is changed where no terminal is."""
    put_evil_in(box)
    target = tmp_path / "x.csv"

    done = await run("customers", "export", *(() if to == "stdout" else ("-o", str(target))), box=box)

    written = done.out if to == "stdout" else target.read_bytes().decode()
    assert EVIL in written


async def test_a_terminal_that_is_named_as_the_file_shows_escapes(box: Sandbox) -> None:
    """`-o` with the name of a terminal is no file."""
    put_evil_in(box)
    ours, terminal = pty.openpty()

    done = await run("customers", "export", "-o", os.ttyname(terminal), box=box)
    os.close(terminal)

    assert done.code == 0
    shown = (await asyncio.to_thread(_read, ours)).decode().replace("\r\r\n", "\r\n")
    assert obeyed_in(shown) == set()
    assert "[2J" in shown


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("bookings", "export"), None),
        (("programme", "export"), None),
        (("events", "list"), None),
        (("customers", "get", "cst-1"), {"data": row("customer", "cst-1", first_name=EVIL, telephone=[EVIL])}),
        (("customers", "get", "cst-1"), {"data": row("customer", EVIL)}),
        (("customers", "get", "cst-1"), {"data": {"id": "cst-1", "type": EVIL, "attributes": EVIL}}),
    ],
)
async def test_no_record_reaches_a_terminal_raw(box: Sandbox, arguments: tuple[str, ...], body: object) -> None:
    """Neither a record, nor the error of one that cannot be read."""
    everything = {"data": [row("event", "evt-1", name=EVIL, description=EVIL)]}
    dates = {"data": [row("date", "dat-1", start="2026-01-01T10:00:00+00:00")]}
    bookings = {"data": [row("booking", "bkg-1", ref=EVIL, lines=[{"line_type": EVIL}])]}
    for path, found in (("/events", everything), ("/events/evt-1/dates", dates), ("/dates/dat-1/bookings", bookings)):
        box.fail(path=path, status=200, body=json.dumps(found), times=None)
    box.fail(path="/customers/cst-1", status=200, body=json.dumps(body), times=None)
    box.fail(path="/events/evt-1/venues", status=200, body='{"data": []}', times=None)

    code, shown = await on_terminal(*arguments, box=box)

    assert code in (0, 1)
    assert obeyed_in(shown) == set()
    assert "u001b" in shown or "x1b" in shown or "something unexpected" in shown


@pytest.mark.parametrize("status", [400, 401, 404, 409, 418, 500])
async def test_no_error_reaches_a_terminal_raw(box: Sandbox, status: int) -> None:
    """What the API says of an error is shown with escapes."""
    entry = {"code": EVIL, "title": EVIL, "detail": EVIL, "status": status}
    box.fail(status=status, body=json.dumps({"errors": [entry]}), headers={"X-Request-Id": "\x9b1m"}, times=None)

    code, shown = await on_terminal("notes", "create", "cst-1", "text", box=box)

    assert code not in (0, 2)
    assert obeyed_in(shown) == set()
    assert "\\x1b[2J" in shown


async def test_no_line_of_an_import_reaches_a_terminal_raw(box: Sandbox, tmp_path: Path) -> None:
    """Neither the cells of the file, which may be an export, nor what the API says of them, nor a wrong header."""
    evil = EVIL.replace("\x00", "")
    file, wrong, no_csv = tmp_path / "in.csv", tmp_path / "wrong.csv", tmp_path / "no.csv"
    lines = [f'"{evil}","{name}@example.com","{day}"' for name, day in (("a", ""), (evil, ""), ("b", evil))]
    file.write_text("\n".join(["first_name,email,membership_start_date", *lines]), "utf-8", newline="")
    wrong.write_text(f'"{evil}",email\n', "utf-8", newline="")
    no_csv.write_text(f'email\n"a"{evil}\n', "utf-8", newline="")

    # Without the progress bar, which goes to the begin of its line.
    imported = await on_terminal("customers", "import", str(file), "--match", "email", "--quiet", box=box)
    refused = await on_terminal("customers", "import", str(wrong), "--match", "email", box=box)
    broken = await on_terminal("customers", "import", str(no_csv), "--match", "email", box=box)

    assert [code for code, _ in (imported, refused, broken)] == [1, 2, 2]
    assert [obeyed_in(shown) for _, shown in (imported, refused, broken)] == [set()] * 3
    assert "would create" in imported[1]


@pytest.mark.parametrize("evil", [EVIL.replace("\x00", ""), "\x1b[8m"])
async def test_a_question_and_a_complaint_show_escapes(box: Sandbox, tmp_path: Path, evil: str) -> None:
    """An id, a file and an option that a program took from the API are shown as they are."""
    somebody = box.customers.ids()[0]
    box.customers.update(somebody, {"first_name": evil})
    asked = await on_terminal("customers", "delete", somebody, box=box, answer=b"n\n", stdin=True)
    piped = await on_terminal("customers", "delete", somebody, box=box, answer=b"n\n", stdin=True, stdout=False)
    others = [
        await on_terminal(*arguments, box=box)
        for arguments in (
            ("customers", "get", evil),
            ("customers", "delete", "-y", evil),
            ("customers", evil),
            (evil,),
            (f"--{evil}",),
            ("customers", "export", f"--{evil}"),
            ("customers", "export", "--format", evil),
            ("customers", "export", "-o", str(tmp_path / evil / "x")),
            ("customers", "export", "--from", evil),
            ("customers", "create", "--consent-email", evil),
            ("customers", "create", "--membership-start-date", evil),
            ("customers", "import", evil, "--match", "id"),
            ("customers", "changes", "--store", str(tmp_path / evil / "x")),
            ("bookings", "export", "--from", evil),
            ("sandbox", "--port", evil),
        )
    ]

    for code, shown in (asked, piped, *others):
        assert code in (1, 2), shown
        assert obeyed_in(shown) == set(), shown
    assert "Delete the customer \\x1b[" in asked[1]


async def test_changes_on_a_terminal_show_escapes(box: Sandbox, tmp_path: Path) -> None:
    """Also what is said of a customer whom the store does not have."""
    put_evil_in(box, times=2)
    store = str(tmp_path / "store.db")

    code, shown = await on_terminal("customers", "changes", "--store", store, box=box)
    _, nobody = await on_terminal("customers", "forget", EVIL.replace("\x00", ""), "--store", store, box=box)

    assert code == 0
    assert obeyed_in(shown.replace("\r", "")) == obeyed_in(nobody) == set()
    assert "nobody with the id \\x1b[2J" in nobody
