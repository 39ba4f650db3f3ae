"""The warehouse of examples/warehouse: loaded by another process, as every night, and queried."""

import asyncio
import json
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import duckdb
import psycopg
import warehouse_program
from attrs import frozen
from processes import pointed_at

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox

NOW: Final = "2026-01-05T00:00:00+00:00"

# The import of dlt takes longer than the load of a small box office, so dlt is imported once.
_FORKED: Final = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        *("dlt", "dlt.destinations", "dlt.destinations.impl.duckdb.duck", "pyarrow.parquet", "psycopg2", "pytest"),
        *("ticketsource_async.client", "ticketsource_async.record_tables", "ticketsource_async.sandbox"),
    ]
)


@frozen
class Warehouse:
    """A warehouse in a folder, and in the PostgreSQL at `url` if it has one."""

    kind: str
    folder: Path
    url: str = ""

    def begin(
        self, box: Sandbox, *options: str, now: str = NOW, at_once: int = 100, dies_in: str = ""
    ) -> ForkServerProcess:
        """Start a run."""
        credentials = self.url.replace("postgres@", "postgres:none@")  # dlt wants a password
        environment = {**pointed_at(box), "DESTINATION__POSTGRES__CREDENTIALS": credentials}
        process = _FORKED.Process(
            target=warehouse_program.run,
            args=((self.kind, *options), self.folder, environment, now, at_once, dies_in),
        )
        process.start()
        return process

    async def load(
        self,
        box: Sandbox,
        *options: str,
        now: str = NOW,
        at_once: int = 100,
        ends_in: int = 0,
        dies_in: str = "",
    ) -> tuple[str, list[str]]:
        """Run the load to its end; return its output and the requested paths."""
        box.requests.clear()
        process = self.begin(box, *options, now=now, at_once=at_once, dies_in=dies_in)
        await asyncio.to_thread(process.join)
        said = (self.folder / "said.txt").read_text()
        assert process.exitcode == ends_in, said
        return said, [request.path for request in box.requests]

    @asynccontextmanager
    async def stopped_at(
        self, box: Sandbox, path: str, *options: str, page: int | None = None, at_once: int = 100
    ) -> AsyncIterator[None]:
        """Run the load until it reads a page of a list, which takes long, and kill it at the end of the block."""
        box.fail(path=path, page=page, slow=60)
        box.requests.clear()
        process = self.begin(box, *options, at_once=at_once)
        async with asyncio.timeout(120):  # a busy machine starts it slowly
            while not _is_asked_for(box, path, page):
                assert process.is_alive()
                await asyncio.sleep(0.01)
        yield
        process.kill()
        await asyncio.to_thread(process.join)

    def readable_by_others(self) -> set[str]:
        """Return the files and folders of a run that other users of the machine can read."""
        made = [path for path in self.folder.rglob("*") if path.name != "said.txt"]
        assert made
        return {str(path) for path in made if path.stat().st_mode & 0o77}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        if self.url:
            with psycopg.connect(self.url, options="-c search_path=ticketsource") as server:
                cursor = server.execute(query.encode())
                return cursor.fetchall() if cursor.description else []
        with duckdb.connect(str(self.folder / "box_office.duckdb")) as file:
            file.execute("SET search_path = 'ticketsource'")
            return file.execute(query).fetchall()

    def column(self, query: str) -> list[Any]:
        """Return the first column of the rows of a query."""
        return [row[0] for row in self.ask(query)]

    def valid(self) -> list[str]:
        """Return the customers with a valid row."""
        return self.column("SELECT id FROM customers WHERE _dlt_valid_to IS NULL ORDER BY id")


def _is_asked_for(box: Sandbox, path: str, page: int | None) -> bool:
    return any(request.path == path and page in (None, int(request.query["page"])) for request in list(box.requests))


def pages_of(box: Sandbox) -> list[int]:
    """Return the requested pages of customers."""
    return [int(request.query["page"]) for request in box.requests if request.path == "/customers"]


async def rows_at(box: Sandbox, path: str) -> list[Any]:
    """Return the rows of a list from the API."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        rows = await ts.paginate(path).collect()
    box.requests.clear()
    return list(rows)


def answer_with(box: Sandbox, path: str, data: object, *, times: int | None = None) -> None:
    """Let the API answer with these rows, or this record."""
    body: dict[str, object] = {"data": data, "links": {}} if isinstance(data, Sequence) else {"data": data}
    box.fail(path=path, status=200, body=json.dumps(body, default=float), times=times)


def end_early(box: Sandbox, path: str, first: int) -> None:
    """Let a list continue for ever from this page, without rows."""
    for page in range(first, first + 10):
        body = json.dumps({"data": [], "links": {"next": f"?page={page + 1}"}})
        box.fail(path=path, page=page, status=200, body=body)
