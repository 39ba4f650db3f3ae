"""The command as a process, and what it prints as rows."""

import asyncio
import csv
import io
import os
import signal
import subprocess
import sys
from typing import NamedTuple

from doubles import pointed_at

from ticketsource_async.sandbox import Sandbox

EXPORT = ("customers", "export")


class Done(NamedTuple):
    """How a process ended."""

    code: int | None
    out: str
    err: str


async def start(
    *arguments: str,
    box: Sandbox | None = None,
    key: str | None = None,
    stdin: int = subprocess.DEVNULL,
    ignore: signal.Signals | None = None,
) -> asyncio.subprocess.Process:
    """Start the command with nothing of the caller's settings, pointed at a sandbox."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TICKETSOURCE_")}
    if box is not None:
        environment |= {"TICKETSOURCE_BASE_URL": box.url, "TICKETSOURCE_API_KEY": key or box.api_key}

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs ignore
        if ignore is not None:
            signal.signal(ignore, signal.SIG_IGN)

    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "ticketsource_async", *arguments),
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


async def run(*arguments: str, box: Sandbox | None = None, key: str | None = None) -> Done:
    """Run the command to its end."""
    process = await start(*arguments, box=box, key=key)
    out, err = await process.communicate()
    return Done(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


async def run_with_streams(redirected: str, *arguments: str, box: Sandbox) -> Done:
    """Run the command with a stream redirected as a shell does, such as ">&-", which closes stdout."""
    command = ("sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "ticketsource_async", *arguments)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=pointed_at(box))
    return Done(done.returncode, done.stdout, done.stderr)


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text, newline="")))
