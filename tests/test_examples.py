"""The examples are run: whole programs, in processes of their own."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import dlt
import duckdb
import pytest
from command import Rows
from loops import until
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


def test_every_web_service_is_run() -> None:
    """None is forgotten here."""
    assert {path.stem for path in (EXAMPLES / "web").glob("*.py")} == {*SERVICES, "door_list_with_fastapi"}


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


async def test_a_door_list_is_served_as_a_page_and_read_once_for_all_who_ask(shows: Sandbox) -> None:
    """No copy stays on a tablet. What is lacking is on the page, which has the status 200 all the same."""
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


async def test_an_error_of_a_door_list_is_the_http_status_that_says_whose_fault_it_is(shows: Sandbox) -> None:
    """Nothing of the error but that is told to who asks; the next one who asks gets the list."""
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


async def load(box: Sandbox, folder: Path) -> asyncio.subprocess.Process:
    """Start the program that loads the warehouse."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / "warehouse" / "with_dlt.py")),
        cwd=folder,
        env={**pointed_at(box), "PAGES_A_CHUNK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def loaded(box: Sandbox, folder: Path, *, ends_in: int = 0) -> str:
    """Run the program to its end and return what it said."""
    process = await load(box, folder)
    said, _ = await process.communicate()
    assert process.returncode == ends_in, said.decode()
    return said.decode()


async def killed(box: Sandbox, folder: Path, *, at_page: int) -> None:
    """Run the program, and kill it while it reads a page."""
    box.fail(page=at_page, slow=60)
    process = await load(box, folder)
    await until(lambda: pages_of(box)[-1:] == [at_page])
    process.kill()
    await process.communicate()


def pages_of(box: Sandbox) -> list[int]:
    """Return the pages that were asked for."""
    return [int(request.query["page"]) for request in box.requests if request.path == "/customers"]


def asked_by_id(box: Sandbox) -> set[str]:
    """Return the customers who were asked for one by one."""
    return {request.path.removeprefix("/customers/") for request in box.requests} - {"/customers"}


def in_warehouse(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds in the warehouse."""
    with duckdb.connect(str(folder / "box_office.duckdb"), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def valid_in(folder: Path) -> list[str]:
    """Return the customers who have a row that is valid."""
    found = in_warehouse(folder, "SELECT id FROM ticketsource.customers WHERE _dlt_valid_to IS NULL ORDER BY id")
    return [row[0] for row in found]


@pytest.mark.slow
async def test_the_warehouse_keeps_the_history_of_every_customer(tmp_path: Path) -> None:
    """A killed run goes on where it was; who is deleted is valid no more, who is hidden is, and a consent has dates."""
    async with Sandbox(customers=450, rate_limit=None) as box:
        everybody = box.customers.ids()
        await killed(box, tmp_path, at_page=4)
        await loaded(box, tmp_path)
        pages = pages_of(box)

        gone, changed = everybody[0], everybody[150]
        box.customers.delete([gone])
        email = not box.customers.get(changed)["attributes"]["consent"]["email"]  # type: ignore[index]  # it is there
        box.customers.update(changed, {"consent": {"email": email}})
        box.fail(page=2, delete=2)  # and two later ones are hidden
        await loaded(box, tmp_path)

    assert pages == [1, 2, 3, 4, 4, 5]
    columns = "id, consent_email, _dlt_valid_to IS NULL"
    versions = in_warehouse(tmp_path, f"SELECT {columns} FROM ticketsource.customers ORDER BY _dlt_valid_from")
    types = dict(in_warehouse(tmp_path, "SELECT name, type FROM pragma_table_info('ticketsource.customers')"))
    assert {version[0] for version in versions} == set(everybody)
    assert len(versions) == 450 + 1
    assert [version[1:] for version in versions if version[0] == changed] == [(not email, False), (email, True)]
    assert {version[0] for version in versions if not version[2]} == {gone, changed}
    assert (types["title"], types["consent_sms"], types["membership_end_date"]) == ("VARCHAR", "BOOLEAN", "DATE")
    assert "TIMESTAMP" in types["updated_at"]


@pytest.mark.slow
async def test_the_warehouse_follows_a_box_office_from_empty_to_empty(tmp_path: Path) -> None:
    """Nobody is no reason to fail, and all are valid no more when the API itself says of each that they are gone."""
    async with Sandbox(customers=0, rate_limit=None) as box:
        await loaded(box, tmp_path)
        nobody = valid_in(tmp_path)

        everybody = sorted(box.customers.insert(3))
        await loaded(box, tmp_path)
        all_there = valid_in(tmp_path)

        box.customers.delete(everybody)
        box.fail(path=f"/customers/{everybody[1]}", status=404, html=True)  # by a gateway
        said = await loaded(box, tmp_path, ends_in=1)
        still_there = valid_in(tmp_path)

        box.requests.clear()
        await loaded(box, tmp_path)

    assert nobody == []
    assert all_there == everybody
    assert still_there == [everybody[1]]
    assert f"GET /customers/{everybody[1]} was answered 404" in said
    assert asked_by_id(box) == {everybody[1]}
    assert valid_in(tmp_path) == []
    assert in_warehouse(tmp_path, "SELECT count(*) FROM ticketsource.customers") == [(3,)]


@pytest.mark.slow
async def test_the_warehouse_keeps_who_cannot_be_read_and_follows_the_others(tmp_path: Path) -> None:
    """Their row stays valid as it is, somebody else's withdrawal is loaded, and the run ends with the error."""
    async with Sandbox(customers=3, rate_limit=None) as box:
        await loaded(box, tmp_path)
        odd, other, _ = box.customers.ids()
        box.customers.update(other, {"consent": {"email": False, "sms": True}})
        rows = box.customers.rows(0, 3)
        rows[0]["attributes"] = None
        rows[2]["attributes"]["membership"] = {"end_date": "31.12.2020"}  # type: ignore[index]  # it is JSON
        box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))
        box.fail(path=f"/customers/{odd}", status=501)
        said = await loaded(box, tmp_path, ends_in=1)

    versions = in_warehouse(tmp_path, "SELECT id, consent_sms FROM ticketsource.customers WHERE _dlt_valid_to IS NULL")
    assert {version[0] for version in versions} == set(box.customers.ids())
    assert (other, True) in versions
    assert in_warehouse(tmp_path, f"SELECT count(*) FROM ticketsource.customers WHERE id = '{odd}'") == [(1,)]
    assert "all is loaded but who could not be read (2 sub-exceptions)" in said
    assert "at $.data[0].attributes" in said
    assert f"GET /customers/{odd} was answered 501" in said


@pytest.mark.slow
async def test_the_warehouse_refuses_another_box_office_but_takes_a_new_key(tmp_path: Path) -> None:
    """Another box office does not read as if all were deleted, nothing of it is read, and no key is in any file."""
    async with Sandbox(customers=3, rate_limit=None) as box, Sandbox(customers=3, seed=1, rate_limit=None) as another:
        await loaded(box, tmp_path)
        shutil.rmtree(tmp_path / "pipelines")  # as on another machine
        for customer_id in box.customers.ids():
            another.fail(path=f"/customers/{customer_id}", status=404, html=True)
        outage = await loaded(another, tmp_path, ends_in=1)
        another.requests.clear()
        said = await loaded(another, tmp_path, ends_in=1)
        refused = valid_in(tmp_path)

        box.api_key = "skl-replaced"
        said += await loaded(box, tmp_path)

    assert "is known to this API key" not in outage
    assert "was answered 404" in outage
    assert "is known to this API key" in said
    assert pages_of(another) == []
    assert asked_by_id(another) == set(box.customers.ids())
    assert refused == valid_in(tmp_path) == sorted(box.customers.ids())
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(key in text for key in (b"skl-sandbox", b"skl-replaced") for text in (said.encode(), *files))


@pytest.mark.slow
async def test_the_warehouse_begins_a_half_crawl_of_another_box_office_anew(tmp_path: Path) -> None:
    """As long as nobody is valid any box office may come, but never two in one crawl."""
    async with Sandbox(customers=150, rate_limit=None) as box, Sandbox(customers=120, seed=1, rate_limit=None) as other:
        await killed(box, tmp_path, at_page=2)
        await loaded(other, tmp_path)

    assert pages_of(other) == [1, 2]
    assert valid_in(tmp_path) == sorted(other.customers.ids())


@pytest.mark.slow
async def test_the_warehouse_begins_a_half_crawl_of_long_ago_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read days ago is not how the customers are now."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    async with Sandbox(customers=150, rate_limit=None) as box:
        await killed(box, tmp_path, at_page=2)
        pipeline = dlt.attach("box_office", pipelines_dir=str(tmp_path / "pipelines"))
        with pipeline.managed_state() as state:
            sources: Any = state.get("sources")
            sources["box_office"]["resources"]["crawled"]["began"] -= timedelta(days=2)
        pipeline.deactivate()
        await loaded(box, tmp_path)

    assert pages_of(box) == [1, 2, 1, 2]
    assert valid_in(tmp_path) == sorted(box.customers.ids())


@pytest.mark.slow
async def test_the_warehouse_begins_anew_when_the_page_to_go_on_at_is_gone(tmp_path: Path) -> None:
    """The list has become shorter; but a page that is gone whenever it is asked for does not go on for ever."""
    async with Sandbox(customers=150, rate_limit=None) as box:
        await killed(box, tmp_path, at_page=2)
        box.fail(page=2, status=404, times=2)
        await loaded(box, tmp_path, ends_in=1)
        await loaded(box, tmp_path)

    assert pages_of(box) == [1, 2, *(2, 1, 2), 2]
    assert valid_in(tmp_path) == sorted(box.customers.ids())


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
