"""Fixtures that more than one test file uses."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from doubles import KEY, ONCE, MockedAPI
from servers import PostgresServer, RabbitServer, RedisServer

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="api")
def _api() -> Iterator[MockedAPI]:
    api = MockedAPI()
    with api:
        yield api


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
