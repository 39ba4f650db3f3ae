"""Run an import of customers, and read its outcomes."""

import json
from pathlib import Path
from typing import Any

from command import Done, run

from ticketsource_async.sandbox import Sandbox


async def import_(file: Path, *options: str, box: Sandbox) -> tuple[Done, list[dict[str, Any]]]:
    """Import a file, and return the result and the outcome of each row."""
    done = await run("customers", "import", str(file), *options, box=box)
    return done, [json.loads(line) for line in done.out.splitlines()]


def writes(box: Sandbox) -> list[str]:
    """Return the methods of the requests that write."""
    return [request.method for request in box.requests if request.method != "GET"]
