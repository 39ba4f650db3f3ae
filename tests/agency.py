"""Help for tests of the recipes for task workers: many box offices to export, and a way to kill the workers."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from loops import until_others

from ticketsource_async.sandbox import Sandbox


class Ending(Protocol):
    """A function that ends a process and its children by a signal, SIGKILL by default."""

    def __call__(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the signal."""


WORKERS = Path(__file__).parents[1] / "examples" / "workers"


@asynccontextmanager
async def process(*arguments: str, log: Path | None = None) -> AsyncIterator[Ending]:
    """Run Python in the folder of the recipes; yield a function that ends it and its children.

    Its output is added to the log, if there is one.
    """
    with nullcontext() if log is None else log.open("ab") as target:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments), cwd=WORKERS, start_new_session=True, stdout=target, stderr=target
        )

    def end(number: signal.Signals = signal.SIGKILL) -> None:
        os.killpg(process.pid, number)

    try:
        yield end
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def all_exported(boxes: dict[str, Sandbox], folder: Path, kill: Callable[[], None] | None) -> None:
    """Call `kill` in between, wait for all files, and check that they are complete and at most one page came twice."""
    if kill is not None:
        await until_others(lambda: sum(len(box.requests) for box in boxes.values()) > 8)
        kill()
    async with asyncio.timeout(240):  # a busy machine is slow
        while not all((folder / f"{name}.jsonl").exists() for name in boxes):  # noqa: ASYNC110 - others write them
            await asyncio.sleep(0.05)
    for name, box in boxes.items():
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == list(box.customers.ids())
        pages = [request for request in box.requests if request.path == "/customers"]
        asked = Counter(request.query["page"] for request in pages)
        assert {request.status for request in pages} <= {200, None}
        # Only the page that the killed worker was reading may be fetched twice.
        assert sum(asked.values()) - len(asked) <= (0 if kill is None else 1)
