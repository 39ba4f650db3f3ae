"""Fixtures that more than one test file uses."""

from collections.abc import AsyncIterator, Iterator

import pytest
from doubles import KEY, ONCE, MockedAPI

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


@pytest.fixture(name="ts")
async def _ts(box: Sandbox) -> AsyncIterator[TicketSource]:
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts:
        yield ts
