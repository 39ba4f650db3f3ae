"""Run the command in this process or in another one, and parse its output as rows."""

import asyncio
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import traceback
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner
from loops import until
from mocked import KEY
from processes import pointed_at
from pyarrow import parquet
from python_calamine import CalamineWorkbook

from ticketsource_async.cli import cli
from ticketsource_async.sandbox import Sandbox

EXPORT = ("customers", "export")


class Done(NamedTuple):
    """How a process ended."""

    code: int | None
    out: str
    err: str


async def run(*arguments: str, box: Sandbox | None = None, key: str | None = None, url: str = "") -> Done:
    """Run the command to its end in a thread of this process, without the caller's settings.

    It uses the sandbox, or the server at `url`.
    """
    settings = {"TICKETSOURCE_BASE_URL": url, "TICKETSOURCE_API_KEY": KEY} if url else _settings(box, key)
    runner = CliRunner(env=dict.fromkeys(k for k in os.environ if k.startswith("TICKETSOURCE_")) | settings)
    done = await asyncio.to_thread(runner.invoke, cli, arguments, prog_name="ticketsource")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        traceback.print_exception(done.exception)
        raise AssertionError("the command raised an uncaught error") from done.exception
    return Done(done.exit_code, done.stdout_bytes.decode(), done.stderr_bytes.decode())


def _settings(box: Sandbox | None, key: str | None) -> dict[str, str]:
    return {} if box is None else {"TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": key or box.api_key}


async def start(
    *arguments: str,
    box: Sandbox | None = None,
    key: str | None = None,
    stdin: int = subprocess.DEVNULL,
    ignore: str = "",
    env: dict[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start the command as a process, for tests of signals and pipes, without the caller's settings.

    `ignore` names a signal as a shell does: "HUP". `env` has more variables.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TICKETSOURCE_")}
    ignoring = ("sh", "-c", f"trap '' {ignore}; exec \"$@\"", "sh") if ignore else ()
    return await asyncio.create_subprocess_exec(
        *(*ignoring, sys.executable, "-W", "error", "-m", "ticketsource_async", *arguments),
        env=environment | _settings(box, key) | (env or {}),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def run_with_streams(redirected: str, *arguments: str, box: Sandbox, before: str = "") -> Done:
    """Run the command with a stream redirected as a shell does, such as ">&-", which closes stdout.

    `before` is a shell command that runs first.
    """
    command = (
        "sh",
        "-c",
        f'{before}\nexec "$@" {redirected}',
        "sh",
        sys.executable,
        "-m",
        "ticketsource_async",
        *arguments,
    )
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=pointed_at(box))
    return Done(done.returncode, done.stdout, done.stderr)


async def on_terminal(
    *arguments: str,
    box: Sandbox,
    answer: bytes = b"",
    stdout: bool = True,
    stdin: bool = False,
    columns: int = 80,
    encoding: str = "utf-8",
    env: dict[str, str] | None = None,
    interrupt_at: bytes = b"",
    interrupt_if: Callable[[], bool] = lambda: True,
) -> tuple[int, str]:
    """Run the command on a terminal; return its exit code and its output without colours.

    It gets a SIGINT, as from Ctrl-C, when it has printed `interrupt_at`, `interrupt_if` is true, and it waits.
    """
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST  # the terminal adds nothing of its own
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticketsource_async", *arguments),
        env={k: v for k, v in pointed_at(box).items() if k not in ("COLUMNS", "NO_COLOR")}
        | {"TERM": "dumb"}
        | (env or {}),
        stdin=terminal if stdin else asyncio.subprocess.DEVNULL,
        stdout=terminal if stdout else asyncio.subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    os.write(ours, answer)
    has_shown = asyncio.Event()
    loop = asyncio.get_running_loop()
    reading = asyncio.create_task(
        asyncio.to_thread(read_terminal, ours, interrupt_at, lambda: loop.call_soon_threadsafe(has_shown.set))
    )
    interrupting = asyncio.create_task(_interrupt(process, has_shown, interrupt_if))
    shown = await reading
    interrupting.cancel()
    return await process.wait(), shown.decode(encoding)


async def _interrupt(process: asyncio.subprocess.Process, has_shown: asyncio.Event, holds: Callable[[], bool]) -> None:
    await has_shown.wait()
    await until(holds)
    status = Path(f"/proc/{process.pid}/status")
    asleep = 0
    while asleep < 3:  # Python loses a signal that comes just before it waits for the user's answer
        await asyncio.sleep(0.05)
        asleep = asleep + 1 if "State:\tS" in status.read_text() else 0
    process.send_signal(signal.SIGINT)


def read_terminal(terminal: int, text: bytes = b"", then: Callable[[], object] = lambda: None) -> bytes:
    """Return the output until the other side is closed; call `then` when this text has come."""
    pieces = []
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
            if text and text in b"".join(pieces):
                text = b""
                then()
    except OSError:  # Linux reports the closed side like this
        pass
    finally:
        os.close(terminal)
    return b"".join(pieces)


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


class Rows(HTMLParser):
    """The rows of the table on a page. A box to tick is an empty cell; a heading has the name of its column."""

    def __init__(self) -> None:
        super().__init__()
        self._cells: list[list[str]] = []
        self._in_cell = False

    @classmethod
    def of(cls, page: str) -> list[dict[str, str]]:
        """Return the rows by column. A row above the headings is left out."""
        parser = cls()
        parser.feed(page)
        parser.close()
        width = max(map(len, parser._cells))
        header, *rest = parser._cells if len(parser._cells[0]) == width else parser._cells[1:]
        return [
            dict(
                zip(
                    [re.sub(r"^[a-z0-9 ]+$", lambda own: own[0].replace(" ", "_"), name) for name in header],
                    row,
                    strict=True,
                )
            )
            for row in rest
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self._cells.append([])
        elif tag in ("td", "th"):
            self._cells[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        """Take the text of a cell."""
        if self._in_cell:
            self._cells[-1][-1] += data


def rows_in(path: Path, kind: str) -> list[dict[str, str]]:
    """Return the rows of an exported file."""
    rows: list[dict[str, str]]
    if kind == "parquet":
        rows = parquet.read_table(path).to_pylist()
        return rows
    if kind == "xlsx":
        header, *rest = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
        rows = [dict(zip(map(str, header), map(str, row), strict=True)) for row in rest]
        return rows
    text = path.read_text("utf-8")
    if kind == "html":
        return Rows.of(text)
    if kind in ("csv", "tsv"):
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="," if kind == "csv" else "\t"))
    return [json.loads(line) for line in text.splitlines()] if kind == "jsonl" else list(json.loads(text))
