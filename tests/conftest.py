"""Fixtures for several test files, and the event loops of the tests."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from agency import WORKERS
from halls import desk_of
from loops import VirtualLoop
from mocked import KEY, ONCE, MockedAPI
from servers import PostgresServer, RabbitServer, RedisServer, TrytonServer

from ticketsource_async import CustomerStore, TicketSource
from ticketsource_async.sandbox import Sandbox

if TYPE_CHECKING:
    from warehouse import Warehouse

SERVERS = {"redis_server", "rabbit_server", "postgres_server", "tryton_server"}
Loops = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


def _eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    return loop


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Loops:
    """Choose the loop of a test: in virtual time if it is marked so, else the kind that TEST_LOOP names."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualLoop}
    kinds: Loops = {"plain": asyncio.new_event_loop, "eager": _eager_loop, "uvloop": _uvloop}
    kind = os.environ.get("TEST_LOOP", "plain")
    return {kind: kinds[kind]}


def pytest_configure() -> None:
    """Give child processes the default signals, even if the parent of this process ignores some.

    `nohup` ignores SIGHUP, and a script ignores SIGINT in its background jobs. A child inherits that. It does not
    inherit a handler that does nothing, so this process sets one.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(tryfirst=True)  # before pytest applies `-m`
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start another server as slow: they wait for its start and for real time."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(name="api")
def _api() -> Iterator[MockedAPI]:
    api = MockedAPI()
    with api:
        yield api


@pytest.fixture(name="desk")
async def _desk(hall: Sandbox) -> AsyncIterator[TicketSource]:
    """Yield a client for the sandbox that the test file has as `hall`."""
    async with desk_of(hall) as desk:
        yield desk


@pytest.fixture(name="mocked")
async def _mocked(api: MockedAPI) -> AsyncIterator[TicketSource]:
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        yield ts


@pytest.fixture(name="box")
async def _box() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=25, rate_limit=None) as box:
        yield box


@pytest.fixture(name="many")
async def _many() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=300, rate_limit=None) as box:
        yield box


@pytest.fixture(name="ts")
async def _ts(box: Sandbox) -> AsyncIterator[TicketSource]:
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts:
        yield ts


@pytest.fixture(name="redis_server")
def _redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture(name="rabbit_server", scope="session")
def _rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    yield server
    server.stop()


@pytest.fixture(name="postgres_server", scope="session")
def _postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(name="tryton_database", scope="session")
def _tryton_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TrytonServer.new_database(tmp_path_factory.mktemp("tryton"))


@pytest.fixture(name="tryton_server")
def _tryton_server(tryton_database: Path, tmp_path: Path) -> Iterator[TrytonServer]:
    server = TrytonServer(tryton_database, tmp_path)
    yield server
    server.stop()


@pytest.fixture(name="warehouse")
def _warehouse(tmp_path: Path) -> "Warehouse":
    from warehouse import Warehouse

    return Warehouse("duckdb", tmp_path)


@pytest.fixture(name="any_warehouse", params=["duckdb", "postgres"])
def _any_warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> "Warehouse":
    from warehouse import Warehouse

    if request.param == "duckdb":
        return Warehouse("duckdb", tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    server.drop("ticketsource", "ticketsource_staging")
    return Warehouse("postgres", tmp_path, server.url)


@pytest.fixture(name="store")
async def _store(tmp_path: Path) -> AsyncIterator[CustomerStore]:
    async with CustomerStore(tmp_path / "customers.db") as store:
        yield store


@pytest.fixture(name="shows")
async def _shows() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=4, dates_per_event=3, bookings_per_date=2, rate_limit=None) as shows:
        yield shows


@pytest.fixture(name="boxes")
async def _boxes() -> AsyncIterator[dict[str, Sandbox]]:
    async with AsyncExitStack() as stack:
        boxes = {f"hall-{n}": Sandbox(150 * n, n, rate_limit=(240, 60), latency=0.02) for n in range(1, 6)}
        for box in boxes.values():
            await stack.enter_async_context(box)
        yield boxes


@pytest.fixture(name="recipe")
def _recipe(boxes: dict[str, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the environment of the recipes. Each test imports them again, as the program that queues the tasks does."""
    offices = {name: {"api_key": box.api_key, "base_url": box.url} for name, box in boxes.items()}
    (tmp_path / "offices.json").write_text(json.dumps(offices))
    monkeypatch.setenv("BOX_OFFICES", str(tmp_path / "offices.json"))
    monkeypatch.setenv("EXPORT_FOLDER", str(tmp_path / "export"))
    monkeypatch.setenv("CHUNK_SECONDS", "0.1")
    monkeypatch.syspath_prepend(str(WORKERS))
    yield
    for path in WORKERS.glob("*.py"):
        sys.modules.pop(path.stem, None)
