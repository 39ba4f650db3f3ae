"""A signal at any moment gives an exit code, at most plain lines, and no part of a file."""

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from command import EXPORT, Done, start, table
from loops import until

from ticketsource_async.sandbox import Sandbox

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

MANY: Final = [(1, 3), pytest.param(2, 8, marks=pytest.mark.slow)]
"""The seeds, and the number of runs for each test."""


async def _signals_are_handled(process: asyncio.subprocess.Process) -> None:
    """Wait until the command handles signals: before that, the interpreter itself would die."""
    caught = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{process.pid}/status")

    def handles_signals() -> bool:
        line = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
        return bool(int(line.split()[1], 16) & caught)

    await until(lambda: process.returncode is not None or handles_signals())


@asynccontextmanager
async def _read(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.Task[tuple[bytes, bytes]]]:
    """Read the output of a process during the block, so that the process does not wait for a reader."""
    reading = asyncio.create_task(process.communicate())
    try:
        yield reading
    finally:
        if process.returncode is None:
            process.kill()
        await reading


async def _ended(
    *arguments: str, box: Sandbox, numbers: Sequence[signal.Signals] = (), requests: int | None = None, after: float = 0
) -> Done:
    """Run the command, and send signals after so many requests, or so many seconds after its start."""
    box.requests.clear()
    process = await start(*arguments, box=box)
    async with _read(process) as reading:
        await _signals_are_handled(process)
        await asyncio.sleep(after)
        await until(lambda: process.returncode is not None or len(box.requests) >= (requests or 0))
        for number in numbers:
            if process.returncode is None:
                process.send_signal(number)
        out, err = await reading
    code = await process.wait()
    # This is the code that a shell shows. Another signal may kill an interpreter that is about to end.
    return Done(128 - code if code < 0 else code, out.decode(), err.decode())


def _signals(chance: random.Random) -> list[signal.Signals]:
    """Return one signal, or the same signal several times, as from an impatient user."""
    return [chance.choice(SIGNALS)] * chance.choice((1, 1, 2, 5))


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_during_the_start_ends_the_command_quietly(
    many: Sandbox, tmp_path: Path, seed: int, times: int
) -> None:
    """It comes during the imports, the start of the loop, or the first request. Nothing is printed or left."""
    chance = random.Random(seed)
    many.fail(page=1, slow=60, times=None)
    for _ in range(times):
        numbers = _signals(chance)
        export = (*EXPORT, "-o", str(tmp_path / "x.csv"))
        done = await _ended(*export, box=many, numbers=numbers, after=chance.random() * 0.8)

        assert done == (128 + numbers[0], "", "")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_during_an_export_leaves_a_complete_file_or_none(tmp_path: Path, seed: int, times: int) -> None:
    """Answers arrive meanwhile. Only the exit code shows the signal."""
    chance, target = random.Random(seed), tmp_path / "x.csv"
    async with Sandbox(customers=5_000, rate_limit=None) as box:
        for _ in range(times):
            numbers, requests = _signals(chance), chance.randrange(1, 52)
            done = await _ended(*EXPORT, "-o", str(target), box=box, numbers=numbers, requests=requests)

            if done.code == 0:  # it had ended before
                assert len(table(target.read_text("utf-8"))) == 5_000
                target.unlink()
            assert (done.code in (0, 128 + numbers[0]), done.out, done.err) == (True, "", "")
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_during_an_import_says_what_to_do(tmp_path: Path, seed: int, times: int) -> None:
    """Each reported row was written, and at most one more that was in flight. stderr has plain lines only."""
    chance, file = random.Random(seed), tmp_path / "people.csv"
    file.write_text("email\n" + "".join(f"person-{number}@example.com\n" for number in range(100)))
    import_ = ("customers", "import", str(file), "--match", "email", "--apply", "--quiet")
    for _ in range(times):
        async with Sandbox(customers=5, rate_limit=None) as box:
            numbers = _signals(chance)
            done = await _ended(*import_, box=box, numbers=numbers, requests=chance.randrange(4, 60))

            assert done.code == 128 + numbers[0]
            assert "wait a minute, since TicketSource may still be at work on that row, then run it again" in done.err
            assert all(line.startswith(("POST /customers ", "The import ended")) for line in done.err.splitlines())
            reported = done.out.count('"created"')
            assert reported <= len(box.customers) - 5 <= reported + 1


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_during_a_sync_loses_no_customer(tmp_path: Path, seed: int, times: int) -> None:
    """Each customer is on stdout of this run or of the next."""
    chance = random.Random(seed)
    async with Sandbox(customers=500, rate_limit=None) as box:
        for count in range(times):
            numbers, requests = _signals(chance), chance.randrange(1, 6)
            follow = ("customers", "changes", "--store", str(tmp_path / f"{count}.db"), "--quiet")
            ended = await _ended(*follow, box=box, numbers=numbers, requests=requests)
            again = await _ended(*follow, box=box)

            assert (ended.code in (0, 128 + numbers[0]), again.code, ended.err, again.err) == (True, 0, "", "")
            printed = {json.loads(line)["id"] for line in (ended.out + again.out).splitlines()}
            assert printed == set(box.customers.ids())


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_a_signal_ends_an_export_that_waits_for_a_reader(tmp_path: Path, number: signal.Signals) -> None:
    """No process reads the pipe, so the event loop is blocked. The command still ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ends = [os.open(pipe, flag | os.O_NONBLOCK) for flag in (os.O_RDONLY, os.O_WRONLY)]
    try:
        async with Sandbox(customers=2_000, rate_limit=None) as box:
            process = await start(*EXPORT, "-o", str(pipe), box=box)
            async with _read(process) as reading:
                await until(lambda: not select.select([], ends[1:], [], 0)[1])  # it is full
                process.send_signal(number)
                assert await reading == (b"", b"")
    finally:
        for end in ends:
            os.close(end)

    assert process.returncode == 128 + number


async def test_the_command_keeps_the_signal_handlers_of_a_program() -> None:
    """In a program, the command handles only signals without a handler, and restores them."""
    program = """
import signal
from click.testing import CliRunner
from ticketsource_async.cli import cli

def own(number, frame):
    pass

signal.signal(signal.SIGTERM, own)
before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)}
print(CliRunner().invoke(cli, ["customers", "export", "--sandbox", "--limit", "1"]).exit_code)
print(before == {n: signal.getsignal(n) for n in before})
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    out, _ = await process.communicate()

    assert out.decode().split() == ["0", "True"]
