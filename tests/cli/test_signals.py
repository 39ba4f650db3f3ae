"""The command, ended by a signal at any moment: an exit code, at most plain lines, and no part of a file."""

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
"""Seeds, and how often each kind of run is ended."""


async def _begun(process: asyncio.subprocess.Process) -> None:
    """Wait until the first line of ours has run: before that, the signal meets an interpreter that is starting."""
    caught = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{process.pid}/status")

    def handles_signals() -> bool:
        line = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
        return bool(int(line.split()[1], 16) & caught)

    await until(lambda: process.returncode is not None or handles_signals())


@asynccontextmanager
async def _read(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.Task[tuple[bytes, bytes]]]:
    """Read what a process prints while the block goes on, so that it need not wait for its reader."""
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
    """Run the command, send signals when it has asked so often or, if that is None, so long after it began."""
    box.requests.clear()
    process = await start(*arguments, box=box)
    async with _read(process) as reading:
        await _begun(process)
        await asyncio.sleep(after)
        await until(lambda: process.returncode is not None or len(box.requests) >= (requests or 0))
        for number in numbers:
            if process.returncode is None:
                process.send_signal(number)
        out, err = await reading
    code = await process.wait()
    # As a shell tells it. A further signal may meet an interpreter that has all but ended, which dies of it.
    return Done(128 - code if code < 0 else code, out.decode(), err.decode())


def _numbers(chance: random.Random) -> list[signal.Signals]:
    """Return one signal, or some in a row, as when somebody is impatient or a parent repeats it."""
    return [chance.choice(SIGNALS)] * chance.choice((1, 1, 2, 5))


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_at_any_moment_of_the_start_is_quiet(
    many: Sandbox, tmp_path: Path, seed: int, times: int
) -> None:
    """While modules are imported, while the loop begins and while it asks: nothing is said, and no file is left."""
    chance = random.Random(seed)
    many.fail(page=1, slow=60, times=None)
    for _ in range(times):
        numbers = _numbers(chance)
        export = (*EXPORT, "-o", str(tmp_path / "x.csv"))
        done = await _ended(*export, box=many, numbers=numbers, after=chance.random() * 0.8)

        assert done == (128 + numbers[0], "", "")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_at_any_moment_of_an_export_leaves_a_whole_file_or_none(
    tmp_path: Path, seed: int, times: int
) -> None:
    """Answers come in while it is ended, and nothing but the exit code tells of it."""
    chance, target = random.Random(seed), tmp_path / "x.csv"
    async with Sandbox(customers=5_000, rate_limit=None) as box:
        for _ in range(times):
            numbers, requests = _numbers(chance), chance.randrange(1, 52)
            done = await _ended(*EXPORT, "-o", str(target), box=box, numbers=numbers, requests=requests)

            if done.code == 0:  # it had ended before
                assert len(table(target.read_text("utf-8"))) == 5_000
                target.unlink()
            assert (done.code in (0, 128 + numbers[0]), done.out, done.err) == (True, "", "")
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_at_any_moment_of_an_import_says_where_it_ended(tmp_path: Path, seed: int, times: int) -> None:
    """Plain lines alone. What was reported was written, and at most one more, since a create was in flight."""
    chance, file = random.Random(seed), tmp_path / "people.csv"
    file.write_text("email\n" + "".join(f"person-{number}@example.com\n" for number in range(100)))
    import_ = ("customers", "import", str(file), "--match", "email", "--apply", "--quiet")
    for _ in range(times):
        async with Sandbox(customers=5, rate_limit=None) as box:
            numbers = _numbers(chance)
            done = await _ended(*import_, box=box, numbers=numbers, requests=chance.randrange(4, 60))

            assert done.code == 128 + numbers[0]
            assert "wait a minute, since TicketSource may still be at work on that row, then run it again" in done.err
            assert all(
                line.startswith(("It is not known whether POST /customers ", "The import ended"))
                for line in done.err.splitlines()
            )
            reported = done.out.count('"created"')
            assert reported <= len(box.customers) - 5 <= reported + 1


@pytest.mark.parametrize(("seed", "times"), MANY)
async def test_a_signal_at_any_moment_of_a_sync_loses_nothing(tmp_path: Path, seed: int, times: int) -> None:
    """Each customer is on stdout, or the next run yields them again."""
    chance = random.Random(seed)
    async with Sandbox(customers=500, rate_limit=None) as box:
        for count in range(times):
            numbers, requests = _numbers(chance), chance.randrange(1, 6)
            follow = ("customers", "changes", "--store", str(tmp_path / f"{count}.db"), "--quiet")
            ended = await _ended(*follow, box=box, numbers=numbers, requests=requests)
            again = await _ended(*follow, box=box)

            assert (ended.code in (0, 128 + numbers[0]), again.code, ended.err, again.err) == (True, 0, "", "")
            printed = {json.loads(line)["id"] for line in (ended.out + again.out).splitlines()}
            assert printed == set(box.customers.ids())


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_a_signal_ends_what_waits_for_a_reader(tmp_path: Path, number: signal.Signals) -> None:
    """Nobody reads the pipe, so that the loop does not run; the command ends after some seconds."""
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


async def test_a_program_keeps_its_own_handling_of_signals() -> None:
    """The command, called in a program, handles only what nobody handles, and puts it back."""
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
