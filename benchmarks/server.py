"""The server that all candidates talk to, in a process of its own: `python -m benchmarks.server KIND ...`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from aiohttp import web

from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sandbox.store import Customers

KEY = "skl-benchmark"


@contextmanager
def pages(customers: int, latency: float = 0.0) -> Iterator[str]:
    """Serve customers in pages, each made once, and each answer so many seconds late; yield the address."""
    with _serving("pages", str(customers), str(latency)) as url:
        yield url


@contextmanager
def limited(limit: int, per: float) -> Iterator[str]:
    """Serve a sandbox that answers 429 beyond its limit in a fixed window; yield the address."""
    with _serving("limited", str(limit), str(per)) as url:
        yield url


@contextmanager
def _serving(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the server did not start: what it says is above"
            yield url
        finally:
            process.terminate()


async def _serve_pages(customers: int, latency: float) -> None:
    url = ""
    store = Customers(customers, 0, nested="merge", base_url=lambda: url)
    one = json.dumps({"data": store.rows(0, 1)[0]}).encode()

    @cache
    def page(number: int) -> bytes:
        first, last = (number - 1) * 100, number * 100
        following = f"{url}/customers?page={number + 1}" if last < customers else None
        return json.dumps({"data": store.rows(first, last), "links": {"next": following}}).encode()

    async def answer(request: web.Request) -> web.Response:
        if latency:
            await asyncio.sleep(latency)
        is_list = request.path == "/customers"
        body = page(int(request.query.get("page", "1"))) if is_list else one
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/customers", answer)
    app.router.add_get("/customers/{id}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for number in range(1, min(customers, 10_000) // 100 + 1):
        page(number)
    print(url, flush=True)
    await asyncio.Event().wait()


async def _serve_sandbox(limit: int, per: float) -> None:
    async with Sandbox(customers=1000, api_key=KEY, rate_limit=(limit, per)) as box:
        print(box.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    kind, first, second = sys.argv[1:]
    serve = _serve_pages if kind == "pages" else _serve_sandbox
    asyncio.run(serve(int(first), float(second)))
