"""The examples, run as whole programs in other processes."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from command import Rows
from processes import pointed_at, run_with
from servers import free_port

from ticketsource_async import Customer, TicketSource
from ticketsource_async.models.reader import read_row
from ticketsource_async.sandbox import Sandbox

if TYPE_CHECKING:
    from ticketsource_async.sandbox.faults import Cut

EXAMPLES = Path(__file__).parents[1] / "examples"
UVICORN = ("-m", "uvicorn", "--port", "{port}", "--log-level", "warning")
SERVICES = {
    "with_fastapi": (*UVICORN, "with_fastapi:app"),
    "with_starlette": (*UVICORN, "with_starlette:app"),
    "with_aiohttp": ("-m", "aiohttp.web", "-H", "127.0.0.1", "-P", "{port}", "with_aiohttp:make_app"),
    "with_quart": (*UVICORN, "with_quart:app"),
    "with_litestar": (*UVICORN, "with_litestar:app"),
}


PAGE = Path(__file__).parents[1] / "docs" / "pages" / "how-to" / "web-service.md"
UNKNOWN = ("cst-nobody", "evt-1", "a%20b", "cst-", "-é")
MISSING = {"detail": "There is no such record."}
NOT_READ = {"detail": "TicketSource could not be read."}


def test_every_example_of_a_web_service_is_tested() -> None:
    """Each file of `examples/web` is in the tests below."""
    assert {path.stem for path in (EXAMPLES / "web").glob("*.py")} == {*SERVICES, "door_list_with_fastapi", "answers"}


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
            assert statuses == {"cst-gone": (502, NOT_READ), **dict.fromkeys(UNKNOWN, (404, MISSING))}
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()

        assert re.findall("(?i)unclosed|never awaited|Traceback", err.decode()) == []
    assert len(box.requests) == 2 * (2 + 1 + 1)


@asynccontextmanager
async def served(box: Sandbox, service: str, folder: Path = EXAMPLES / "web") -> AsyncIterator[str]:
    """Run a service, and yield the address of its records when it answers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", *(word.format(port=port) for word in SERVICES.get(service, UVICORN))),
        *(() if service in SERVICES else (f"{service}:app",)),
        cwd=folder,
        env=pointed_at(box),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        of_dates = service == "door_list_with_fastapi"
        url = f"http://127.0.0.1:{port}/{'dates' if of_dates else 'customers'}"
        assert await answer_of(f"{url}/{'cst-1/door-list' if of_dates else 'evt-1'}", process) == (404, MISSING)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert re.findall("(?i)unclosed|never awaited|Traceback", err.decode()) == []
    assert box.api_key not in err.decode()


async def test_a_door_list_is_served_as_a_page_and_simultaneous_requests_share_it(shows: Sandbox) -> None:
    """Browsers may not store it. A page about an incomplete list says so, and still has the status 200."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        event = (await ts.events.list().collect())[0]
        full, other, *_ = await ts.events.list_dates(event).collect()
        (first, _) = [booking async for booking in ts.dates.list_bookings(other)]
        bookings = [booking async for booking in ts.dates.list_bookings(full)]
    shows.fail(path=f"/bookings/{first.id}/seats", status=501)
    shows.requests.clear()

    async with (
        served(shows, "door_list_with_fastapi") as url,
        aiohttp.ClientSession() as session,
    ):

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


FAULTS: list[tuple[dict[str, Any], int]] = [
    *[({"status": 404}, 404), ({"status": 404, "html": True}, 502), ({"status": 401}, 500), ({"status": 403}, 500)],
    *[({"status": 403, "html": True}, 502), ({"status": 501}, 503)],
    ({"status": 429, "headers": {"Retry-After": "3600"}}, 503),
]


async def test_each_error_of_a_door_list_has_a_fitting_http_status(shows: Sandbox) -> None:
    """The answer shows nothing else of the error. The next request gets the list."""
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        event = (await ts.events.list().collect())[0]
        date = (await ts.events.list_dates(event).collect())[0]

    async with (
        served(shows, "door_list_with_fastapi") as url,
        aiohttp.ClientSession() as session,
    ):
        for how, status in FAULTS:
            shows.fail(path=f"/dates/{date.id}/bookings", **how)
            async with session.get(f"{url}/{date.id}/door-list") as response:
                assert (response.status, (await response.json() == MISSING)) == (status, status == 404)
                assert ("Retry-After" in response.headers) == (status == 503)
        async with session.get(f"{url}/{date.id}/door-list") as response:
            assert response.status == 200


def test_the_page_about_web_services_has_the_rule_of_the_examples() -> None:
    """A program that is copied from the page has the same statuses."""
    rule = (EXAMPLES / "web" / "answers.py").read_text().partition("\n\n\n")[2]

    assert rule in PAGE.read_text()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, service: str) -> Path:
    if service != "app":
        return EXAMPLES / "web"
    (tmp_path / "app.py").write_text(PAGE.read_text().split("```python\n")[1].partition("```")[0])
    return tmp_path


@pytest.mark.parametrize("service", [*SERVICES, "app"])
async def test_an_error_is_the_same_http_status_in_each_web_service(box: Sandbox, service: str, folder: Path) -> None:
    """A 503 says when to ask again."""
    (who,) = box.customers.ids(0, 1)
    async with served(box, service, folder) as url, aiohttp.ClientSession() as session:
        for how, status in (*FAULTS, ({"status": 200, "body": "{}"}, 502)):
            box.fail(path=f"/customers/{who}", **how)
            async with session.get(f"{url}/{who}") as response:
                assert (response.status, set(await response.json())) == (status, {"detail"})
                assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.parametrize("service", ["with_fastapi", "app"])
async def test_a_web_service_creates_a_customer_once_or_says_what_is_wrong(
    box: Sandbox, service: str, folder: Path
) -> None:
    """If it is not known whether the customer was created, the answer says to look first."""
    known = len(box.customers)
    karl = {"first_name": "Karl", "last_name": "Jenkins", "email": "karl@b.example"}
    look_first = {"detail": "It may have been saved. Look before you send it again."}
    async with served(box, service, folder) as url, aiohttp.ClientSession() as session:

        async def post(values: dict[str, str]) -> tuple[int, Any]:
            async with session.post(url, json=values) as response:
                return response.status, await response.json()

        status, created = await post(karl)
        assert (status, created["last_name"], len(box.customers)) == (201, "Jenkins", known + 1)
        for nothing in ({}, {"last_name": ""}, {"first_name": " ", "email": ""}):
            assert await post(nothing) == (422, {"detail": "Fill in a name or an e-mail."})
        status, created = await post({"first_name": " Ann ", "email": ""})
        assert (status, created["first_name"], created["email"]) == (201, "Ann", None)
        refused: list[tuple[dict[str, Any], int]] = [
            *[({"status": 422}, 422), ({"status": 401}, 500)],
            ({"status": 429, "headers": {"Retry-After": "3600"}}, 503),
        ]
        for how, expected in refused:
            box.fail(method="POST", **how)
            assert (await post(karl))[0] == expected
        unfit: list[dict[str, Any]] = [{"status": 405}, {"status": 409}, {"status": 403, "html": True}]
        for how in unfit:
            box.fail(method="POST", **how)
            assert await post(karl) == (502, {"detail": "TicketSource did not accept it."})
        assert len(box.customers) == known + 2
        cuts: tuple[Cut, ...] = ("before", "after_write")
        for cut in cuts:
            box.fail(method="POST", cut=cut)
            assert await post(karl) == (504, look_first)
        assert len(box.customers) == known + 3


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
        "The API asks for a pause: no request is sent with this key for 1.0 s.",
        "GET /customers: attempt 1 of 4 ended in RateLimited. The next attempt is in 1.0 s.",
    ]
