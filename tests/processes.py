"""Run programs in other processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ticketsource_async.sandbox import Sandbox

# asyncio's warning about slow steps is off: a slow machine is no error.
_PRELUDE = """
import logging
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
"""


async def _run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    return out.decode(), err.decode()


async def run_strictly(code: str, *arguments: str) -> tuple[str, str]:
    """Run a program with asyncio's debug mode, with warnings as errors; return its output."""
    return await _run("-X", "dev", "-W", "error", "-c", _PRELUDE + code, *arguments)


def pointed_at(box: Sandbox) -> dict[str, str]:
    """Return this process's environment with the two variables of a sandbox."""
    return {**os.environ, "TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": box.api_key}


async def run_with(*arguments: str, box: Sandbox) -> tuple[str, str]:
    """Run Python with only the two variables of a sandbox set; return its output."""
    return await _run("-W", "error", *arguments, environment=pointed_at(box))


@contextmanager
def sandbox_command(*arguments: str) -> Iterator[dict[str, str]]:
    """Run `ticketsource sandbox`, and yield the variables that it says to set."""
    server = subprocess.Popen(
        [sys.executable, "-m", "ticketsource_async", "sandbox", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        lines = [server.stdout.readline().strip().removeprefix("export ") for _ in range(2)]
        if not all(lines):
            server.terminate()  # it may still be running, and `communicate` waits for its end
            pytest.fail(server.communicate()[1])
        yield dict(line.split("=", 1) for line in lines)
    finally:
        server.terminate()
        server.communicate()
