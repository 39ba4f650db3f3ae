"""All commands for reports check before the first request whether they can write their output."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from command import run
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
