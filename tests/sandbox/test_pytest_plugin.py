"""The fixture `ticketsource_sandbox`, used as other projects would use it."""

import asyncio
import threading

import aiohttp
import pytest

from ticketsource_async import ServerError, TicketSource
from ticketsource_async.sandbox import Sandbox


def test_the_fixture_serves_a_test_without_a_loop(ticketsource_sandbox: Sandbox) -> None:
    """A plain test may run its own loop against it."""

    async def first() -> object:
        async with TicketSource(ticketsource_sandbox.api_key, base_url=ticketsource_sandbox.url) as ts:
            return await ts.customers.list().first()

    assert asyncio.run(first())
    assert len(ticketsource_sandbox.customers) == 1000


@pytest.mark.ticketsource_sandbox(customers=3, rate_limit=None)
async def test_the_marker_sets_options_and_faults_may_be_ordered_from_the_test(ticketsource_sandbox: Sandbox) -> None:
    """An async test may use it too; its options come from the marker, its faults from the test's thread."""
    async with TicketSource(ticketsource_sandbox.api_key, base_url=ticketsource_sandbox.url) as ts:
        assert len(await ts.customers.list().collect()) == 3
        ticketsource_sandbox.fail(status=500)
        with pytest.raises(ServerError):
            await ts.customers.list().first()


BOXES: list[Sandbox] = []


def test_the_sandbox_runs_in_a_thread_while_a_test_does(ticketsource_sandbox: Sandbox) -> None:
    """The fixture starts one thread."""
    BOXES.append(ticketsource_sandbox)
    assert "ticketsource_sandbox" in {thread.name for thread in threading.enumerate()}


async def test_thread_and_server_end_with_the_test() -> None:
    """After the test before this one, its thread is gone and its port refuses."""
    assert "ticketsource_sandbox" not in {thread.name for thread in threading.enumerate()}
    for box in BOXES:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(box.url)
