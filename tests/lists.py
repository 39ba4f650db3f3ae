"""A server of one list, whose pages a test can make as odd as it likes."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from rows import customer_row

Query = Mapping[str, str]
Answer = Callable[[Query], Any]


def people(number: int) -> list[dict[str, Any]]:
    """Return so many rows of customers."""
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


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Serve what a function makes of each query; yield the address, and the queries that came.

    The function returns an object to send as JSON, or a whole response.
    """
    asked: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query) | ({} if request.path == "/customers" else {"path": request.path}))
        made = answer(asked[-1])
        return made if isinstance(made, web.StreamResponse) else web.Response(text=json.dumps(made))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2]), asked
    finally:
        await runner.cleanup()
