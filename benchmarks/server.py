"""The server of the benchmarks, in another process: `python -m benchmarks.server KIND ...`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from aiohttp import web

from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sandbox.store import Customers

KEY = "skl-benchmark"


@contextmanager
def pages(rows: int, latency: float = 0.0, kind: str = "documented") -> Iterator[str]:
    """Serve rows in pages, with each answer `latency` seconds late; yield the address.

    `kind` is "documented", "unknown" (one unknown attribute a customer), "invalid" (one value a customer that cannot be
    read) or "bookings".
    """
    with _serving("pages", str(rows), str(latency), kind) as url:
        yield url


@contextmanager
def limited(limit: int, per: float, latency: float = 0.0) -> Iterator[str]:
    """Serve a sandbox that answers late, and 429 beyond its limit in a fixed window; yield the address."""
    with _serving("limited", str(limit), str(per), str(latency)) as url:
        yield url


@contextmanager
def _serving(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the server did not start: its output is above"
            yield url
        finally:
            process.terminate()


def _booking(number: int) -> dict[str, Any]:
    """Return a booking with two lines, as the API sends it."""
    booking_id, times = f"bkg-{number:016}", {"created_at": "2026-01-31T09:00:00+00:00", "updated_at": None}
    lines = [
        {
            "line_type": kind,
            "payment_method": "TS",
            "is_refund": False,
            "amount": {"gross": gross, "fee": 0.65, "fee_vat": 0.13, "net": gross - 0.78},
            **times,
        }
        for kind, gross in (("TICKETS", 20), ("DONATION", 5.5))
    ]
    consent = {"third_party": None, "email": True, "post": False, "sms": None}
    links = {name: f"https://api.example/{name}/{number}" for name in ("self", "seats", "customer", "date")}
    attributes = {"ref": f"A{number}", "lines": lines, "consent": consent, "user_booked_by": "", **times}
    return {"id": booking_id, "type": "booking", "attributes": attributes, "links": links}


async def _serve_pages(rows: int, latency: float, kind: str) -> None:
    url = ""
    store = Customers(rows, 0, nested="merge", base_url=lambda: url)
    one = json.dumps({"data": store.rows(0, 1)[0]}).encode()
    path = "/dates/dat-1/bookings" if kind == "bookings" else "/customers"

    def found(first: int, last: int) -> list[Any]:
        if kind == "bookings":
            return [_booking(number) for number in range(first, min(last, rows))]
        customers: list[Any] = json.loads(json.dumps(store.rows(first, last)))
        for row in customers:
            if kind == "unknown":
                row["attributes"]["loyalty"] = "gold"
            if kind == "invalid":
                row["attributes"]["membership"] = {"identifier": "M", "start_date": "31.12.2020", "end_date": None}
        return customers

    @cache
    def page(number: int) -> bytes:
        first, last = (number - 1) * 100, number * 100
        following = f"{url}{path}?page={number + 1}" if last < rows else None
        return json.dumps({"data": found(first, last), "links": {"next": following}}).encode()

    async def answer(request: web.Request) -> web.Response:
        if latency:
            await asyncio.sleep(latency)
        is_list = request.path == path
        body = page(int(request.query.get("page", "1"))) if is_list else one
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get(path, answer)
    app.router.add_get("/customers/{id}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for number in range(1, min(rows, 10_000) // 100 + 1):
        page(number)
    print(url, flush=True)
    await asyncio.Event().wait()


async def _serve_sandbox(limit: int, per: float, latency: float) -> None:
    async with Sandbox(customers=1000, api_key=KEY, rate_limit=(limit, per), latency=latency) as box:
        print(box.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    what, first, second, third = sys.argv[1:]
    if what == "pages":
        asyncio.run(_serve_pages(int(first), float(second), third))
    else:
        asyncio.run(_serve_sandbox(int(first), float(second), float(third)))
