"""The examples, run as whole programs in other processes."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from command import Rows
from processes import pointed_at, run_with
from servers import free_port

from ticketsource_async import Customer, TicketSource
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


def test_every_example_of_a_web_service_is_tested() -> None:
    """Each file of `examples/web` is in the tests below."""
    assert {path.stem for path in (EXAMPLES / "web").glob("*.py")} == {*SERVICES, "door_list_with_fastapi"}


async def answer_of(url: str, process: asyncio.subprocess.Process) -> tuple[int, dict[str, object]]:
    """Return the answer of a service that may still be starting."""
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
    """It serves customers over one client, answers 404 for a wrong id, and leaves nothing unclosed."""
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


@asynccontextmanager
async def door_lists(box: Sandbox) -> AsyncIterator[str]:
    """Run the service of door lists, and yield its address when it answers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", *(word.format(port=port) for word in UVICORN), "door_list_with_fastapi:app"),
        cwd=EXAMPLES / "web",
        env=pointed_at(box),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        url = f"http://127.0.0.1:{port}/dates"
        assert await answer_of(f"{url}/cst-1/door-list", process) == (404, NO_DATE)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert re.findall("(?i)unclosed|never awaited|Traceback", err.decode()) == []
    assert box.api_key not in err.decode()


NO_DATE = {"detail": "There is no such date."}


async def test_a_door_list_is_served_as_a_page_and_simultaneous_requests_share_it(shows: Sandbox) -> None:
    """Browsers may not store it. A page about an incomplete list says so, and still has the status 200."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        event = (await ts.events.list().collect())[0]
        full, other, *_ = await ts.events.list_dates(event).collect()
        (first, _) = [booking async for booking in ts.dates.list_bookings(other)]
        bookings = [booking async for booking in ts.dates.list_bookings(full)]
    shows.fail(path=f"/bookings/{first.id}/seats", status=501)
    shows.requests.clear()

    async with door_lists(shows) as url, aiohttp.ClientSession() as session:

        async def page(path: str) -> tuple[int, str, str]:
            async with session.get(f"{url}/{path}") as response:
                return response.status, response.headers["Cache-Control"], await response.text()

        answers = await asyncio.gather(*(page(f"{full.id}/door-list") for _ in range(3)))
        asked = len(shows.requests)
        fast = await page(f"{full.id}/door-list?fast=true")
        asked_fast = len(shows.requests) - asked
        incomplete = await page(f"{other.id}/door-list")

    assert len(set(answers)) == 1
    status, cached, text = answers[0]
    assert (status, cached) == (200, "no-store")
    assert {row["ref"] for row in Rows.of(text)} == {booking.ref for booking in bookings}
    assert (asked, asked_fast) == (4 + 2 * len(bookings), 4 + len(bookings))
    assert set(Rows.of(fast[2])[0]) == {"arrived", "name", "ref", "telephone", "remarks"}
    assert incomplete[0] == 200
    assert "All or some of the seats of 1 booking could not be read." in incomplete[2]


async def test_each_error_of_a_door_list_has_a_fitting_http_status(shows: Sandbox) -> None:
    """The answer shows nothing else of the error. The next request gets the list."""
    faults: list[tuple[dict[str, Any], int]] = [
        *[({"status": 404}, 404), ({"status": 404, "html": True}, 502), ({"status": 401}, 500), ({"status": 403}, 500)],
        *[({"status": 403, "html": True}, 502), ({"status": 501}, 502)],
        ({"status": 429, "headers": {"Retry-After": "3600"}}, 503),
    ]
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        event = (await ts.events.list().collect())[0]
        date = (await ts.events.list_dates(event).collect())[0]

    async with door_lists(shows) as url, aiohttp.ClientSession() as session:
        for how, status in faults:
            shows.fail(path=f"/dates/{date.id}/bookings", **how)
            async with session.get(f"{url}/{date.id}/door-list") as response:
                answer = await response.json()
                assert response.status == status
                assert response.headers.get("Retry-After") == ("3600" if status == 503 else None)
            assert (answer == NO_DATE) == (status == 404)
        async with session.get(f"{url}/{date.id}/door-list") as response:
            assert response.status == 200


async def test_the_example_shows_calls_as_events_and_in_the_log() -> None:
    """Events are printed. The log has one line for a retry and one for a pause."""
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
