"""Help to run the examples for a CRM and a mailing list."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import pointed_at

from ticketsource_async import Customer
from ticketsource_async.models.reader import read_row
from ticketsource_async.sandbox import Sandbox

CRM = Path(__file__).parents[1] / "examples" / "crm"


def people(box: Sandbox) -> dict[str, Customer]:
    """Return the current customers of a box office."""
    rows = [read_row(row, Customer) for row in box.customers.rows(0, len(box.customers))]
    return {customer.id: customer for customer in rows}


class Example:
    """An example program with its folder and environment."""

    def __init__(self, program: str, box: Sandbox, folder: Path, **environment: str) -> None:
        self._command = (sys.executable, "-W", "error", str(CRM / program))
        self._folder, self._env = folder, {**pointed_at(box), **environment}

    async def start(self) -> asyncio.subprocess.Process:
        """Start the program."""
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return await asyncio.create_subprocess_exec(*self._command, cwd=self._folder, env=self._env, **pipes)

    async def __call__(self, *, ends_in: int = 0) -> str:
        """Run the program to its end and return its output."""
        process = await self.start()
        said, _ = await process.communicate()
        assert process.returncode == ends_in, said.decode()
        return said.decode()
