"""A server of one list, whose pages a test can change in any way."""

import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from rows import customer_row

Query = Mapping[str, str]
Answer = Callable[[Query], Any]


def people(number: int) -> list[dict[str, Any]]:
    """Return this number of rows of customers."""
    return [customer_row(n) for n in range(number)]


def part(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    """Return the rows that a page should have."""
    number, size = int(query.get("page", 1)), int(query.get("per_page", 10))
    return rows[(number - 1) * size : number * size]


def page_of(rows: list[dict[str, Any]], query: Query, *, next_: object = None) -> dict[str, Any]:
    """Return a page with this `next`."""
    return {"data": part(rows, query), "links": {"next": next_}}


def ordinary(rows: list[dict[str, Any]], query: Query) -> dict[str, Any]:
    """Return a page as the API sends it."""
    number, size = int(query["page"]), int(query["per_page"])
    more = number * size < len(rows)
    return page_of(rows, query, next_=f"?page={number + 1}&per_page={size}" if more else None)


class Served:
    """A running server: its address, its queries, and methods to stop and start listening."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[dict[str, str]] = []
        self._answer = answer
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        self._site: web.TCPSite | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address, the same after a pause."""
        return f"http://127.0.0.1:{self._port}"

    async def listen(self) -> None:
        """Take connections."""
        await self.runner.setup()
        self._site = web.TCPSite(self.runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections and take none."""
        await self.runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query) | ({} if request.path == "/customers" else {"path": request.path}))
        made = self._answer(self.asked[-1])
        if inspect.isawaitable(made):
            made = await made
        return made if isinstance(made, web.StreamResponse) else web.Response(text=json.dumps(made))


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Served]:
    """Serve the results of a function of the query: an object to send as JSON, or a response. It may be async."""
    served = Served(answer)
    await served.listen()
    try:
        yield served
    finally:
        await served.stop()
