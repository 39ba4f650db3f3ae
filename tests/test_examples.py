"""The examples are run: whole programs, in processes of their own."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from processes import pointed_at, run_with
from servers import free_port

from ticketsource_async import Customer
from ticketsource_async.models.reader import read_row
from ticketsource_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"
UVICORN = ("-m", "uvicorn", "--port", "{port}", "--log-level", "warning")
SERVICES = {
    "with_fastapi": (*UVICORN, "with_fastapi:app"),
    "with_starlette": (*UVICORN, "with_starlette:app"),
    "with_aiohttp": ("-m", "aiohttp.web", "-H", "127.0.0.1", "-P", "{port}", "with_aiohttp:make_app"),
    "with_quart": (*UVICORN, "with_quart:app"),
    "with_litestar": (*UVICORN, "with_litestar:app"),
}


UNKNOWN = ("cst-nobody", "evt-1", "a%20b", "cst-", "-é")
MISSING = {"detail": "There is no such record."}


def test_every_web_service_is_run() -> None:
    """None is forgotten here."""
    assert {path.stem for path in (EXAMPLES / "web").glob("*.py")} == set(SERVICES)


async def answer_of(url: str, process: asyncio.subprocess.Process) -> tuple[int, dict[str, object]]:
    """Return what a service that is just starting answers."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            assert process.returncode is None
            try:
                async with session.get(url) as response:
                    return response.status, await response.json()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_web_service_starts_serves_and_stops_twice(box: Sandbox, service: str) -> None:
    """It serves a customer over one client, answers 404 for what is no id of one, and leaves nothing unclosed."""
    first, second = await asyncio.to_thread(box.customers.ids, 0, 2)
    for _ in range(2):
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", *(word.format(port=port) for word in SERVICES[service])),
            cwd=EXAMPLES / "web",
            env=pointed_at(box),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            url = f"http://127.0.0.1:{port}/customers"
            for customer_id in (first, second):
                expected = read_row(box.customers.get(customer_id), Customer).to_dict()
                assert await answer_of(f"{url}/{customer_id}", process) == (200, expected)
            box.fail(path="/customers/cst-gone", status=404, html=True)
            statuses = {i: await answer_of(f"{url}/{i}", process) for i in ("cst-gone", *UNKNOWN)}
            assert statuses == {"cst-gone": (502, MISSING), **dict.fromkeys(UNKNOWN, (404, MISSING))}
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()

        assert re.findall("(?i)unclosed|never awaited|Traceback", err.decode()) == []
    assert len(box.requests) == 2 * (2 + 1 + 1)


async def test_three_ways_of_seeing_calls() -> None:
    """Events are printed, a retry and a pause are one line each in the log, and the instrumentation takes part."""
    async with Sandbox(customers=3) as box:
        box.fail(status=429, headers={"Retry-After": "0"})
        out, err = await run_with(str(EXAMPLES / "observe.py"), box=box)

    said = [line.split("(")[0] for line in out.splitlines()]
    assert [name for name in said if name != "WaitEvent"] == [  # a slow machine waits a little for anything
        *("AttemptEvent", "RetryEvent", "AttemptEvent", "PageEvent", "Customer"),
    ]
    assert re.findall("INFO:ticketsource_async:(.*)", err) == [
        "The API asks for a pause: no request with this key for 1.0 s.",
        "GET /customers: attempt 1 of 4 ended in RateLimited, the next is in 1.0 s.",
    ]
