"""The examples are run: whole programs, in processes of their own."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import duckdb
import pytest
from doubles import pointed_at, run_with, until
from servers import free_port

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
    """It serves a customer over one client, and leaves nothing unclosed when it is stopped."""
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
            for customer_id in (first, second):
                status, found = await answer_of(f"http://127.0.0.1:{port}/customers/{customer_id}", process)
                assert (status, found["id"]) == (200, customer_id)
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()

        assert re.findall("(?i)unclosed|never awaited|Traceback", err.decode()) == []
    assert len(box.requests) == 4


async def load(box: Sandbox, folder: Path) -> asyncio.subprocess.Process:
    """Start the program that loads the warehouse."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / "warehouse" / "with_dlt.py")),
        cwd=folder,
        env={**pointed_at(box), "PAGES_A_CHUNK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_the_warehouse_keeps_the_history_of_every_customer(tmp_path: Path) -> None:
    """A killed run goes on where it was; who is deleted is valid no more, who is hidden is, and a consent has dates."""
    async with Sandbox(customers=450, rate_limit=None) as box:
        everybody = box.customers.ids()
        box.fail(page=4, slow=60)
        killed = await load(box, tmp_path)
        await until(lambda: any(request.query.get("page") == "4" for request in box.requests))
        killed.kill()
        await killed.communicate()
        whole = await load(box, tmp_path)
        said, _ = await whole.communicate()
        assert whole.returncode == 0, said.decode()
        pages = [request.query["page"] for request in box.requests]

        gone, changed = everybody[0], everybody[150]
        box.customers.delete([gone])
        email = not box.customers.get(changed)["attributes"]["consent"]["email"]  # type: ignore[index]  # it is there
        box.customers.update(changed, {"consent": {"email": email}})
        box.fail(page=2, delete=2)  # and two later ones are hidden
        again = await load(box, tmp_path)
        said, _ = await again.communicate()
        assert again.returncode == 0, said.decode()

    assert pages == ["1", "2", "3", "4", "4", "5"]
    with duckdb.connect(str(tmp_path / "box_office.duckdb")) as warehouse:
        columns = "id, consent_email, _dlt_valid_to IS NULL"
        versions = warehouse.execute(
            f"SELECT {columns} FROM ticketsource.customers ORDER BY _dlt_valid_from"
        ).fetchall()
        types = dict(warehouse.execute("SELECT name, type FROM pragma_table_info('ticketsource.customers')").fetchall())
    assert {version[0] for version in versions} == set(everybody)
    assert len(versions) == 450 + 1
    assert [version[1:] for version in versions if version[0] == changed] == [(not email, False), (email, True)]
    assert {version[0] for version in versions if not version[2]} == {gone, changed}
    assert (types["title"], types["consent_sms"], types["membership_end_date"]) == ("VARCHAR", "BOOLEAN", "DATE")
    assert "TIMESTAMP" in types["updated_at"]


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
