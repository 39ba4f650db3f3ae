"""The fixtures of the pytest plugin, as other projects use them."""

import asyncio
import threading

import aiohttp
import pytest

from ticketsource_async import RetryPolicy, ServerError, TicketSource
from ticketsource_async.sandbox import Sandbox

pytest_plugins = ["pytester"]


def test_the_sandbox_works_in_a_test_without_a_loop(ticketsource_sandbox: Sandbox) -> None:
    """A plain test may run its own loop."""

    async def first() -> object:
        async with TicketSource(ticketsource_sandbox.api_key, base_url=ticketsource_sandbox.url) as ts:
            return await ts.customers.list().first()

    assert asyncio.run(first())
    assert len(ticketsource_sandbox.customers) == 1000


@pytest.mark.ticketsource_sandbox(customers=3, rate_limit=None)
async def test_the_marker_sets_options_and_the_test_sets_faults(ticketsource_sandbox: Sandbox) -> None:
    """An async test may use it, too."""
    async with TicketSource(ticketsource_sandbox.api_key, base_url=ticketsource_sandbox.url) as ts:
        assert len(await ts.customers.list().collect()) == 3
        ticketsource_sandbox.fail(status=501)
        with pytest.raises(ServerError):
            await ts.customers.list().first()


BOXES: list[Sandbox] = []


def test_the_sandbox_runs_in_a_thread_during_a_test(ticketsource_sandbox: Sandbox) -> None:
    """The fixture starts one thread."""
    BOXES.append(ticketsource_sandbox)
    assert "ticketsource_sandbox" in {thread.name for thread in threading.enumerate()}


async def test_the_thread_and_the_server_end_with_the_test() -> None:
    """This test comes after the test above: its thread has ended and its port refuses connections."""
    assert "ticketsource_sandbox" not in {thread.name for thread in threading.enumerate()}
    for box in BOXES:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(box.url)


async def test_the_fixture_can_be_requested_while_a_loop_runs(request: pytest.FixtureRequest) -> None:
    """The loop runs in the thread of the test."""
    box: Sandbox = request.getfixturevalue("ticketsource_sandbox")

    async with TicketSource(box.api_key, base_url=box.url) as ts:
        assert await ts.customers.list().first()


def test_the_fixture_does_not_change_the_loop_of_the_test(pytester: pytest.Pytester) -> None:
    """The current loop of the test's thread is the same during and after the test."""
    pytester.makepyfile("""
        import asyncio, pytest

        @pytest.fixture(scope="module")
        def loop():
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            yield loop
            asyncio.set_event_loop(None)
            loop.close()

        def test_during(loop, ticketsource_sandbox):
            assert asyncio.get_event_loop() is loop

        def test_after(loop):
            assert asyncio.get_event_loop() is loop
    """)

    pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(passed=2)


def test_a_sandbox_that_cannot_start_is_an_error(pytester: pytest.Pytester) -> None:
    """The address is not one of this machine. The report shows the OSError."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.ticketsource_sandbox(host="203.0.113.1")
        def test_address(ticketsource_sandbox):
            pass
    """)

    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio", "--strict-markers")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*OSError*"])


@pytest.mark.ticketsource_sandbox(customers=3)
async def test_an_async_test_gets_a_client_of_the_sandbox(
    ticketsource_sandbox: Sandbox, ticketsource_client: TicketSource
) -> None:
    """A test needs only the two fixtures."""
    assert len(await ticketsource_client.customers.list().collect()) == 3
    assert len(ticketsource_sandbox.requests) == 1


def test_the_client_works_in_a_test_that_runs_its_own_loops(
    ticketsource_sandbox: Sandbox, ticketsource_client: TicketSource
) -> None:
    """The test may run one loop after another."""
    for _ in range(2):
        assert asyncio.run(ticketsource_client.customers.list().first())


@pytest.mark.ticketsource_client(retry=RetryPolicy(attempts=1), rate_limit=None)
async def test_the_marker_sets_options_of_the_client(
    ticketsource_sandbox: Sandbox, ticketsource_client: TicketSource
) -> None:
    """The marker sets one attempt."""
    ticketsource_sandbox.fail(status=503)
    with pytest.raises(ServerError):
        await ticketsource_client.customers.list().first()


async def test_the_no_waiting_fixture_skips_and_lists_the_waits(
    ticketsource_sandbox: Sandbox, ticketsource_client: TicketSource, ticketsource_no_waiting: list[float]
) -> None:
    """Its value is the list of skipped waits."""
    ticketsource_sandbox.fail(status=429, headers={"Retry-After": "60"})
    await ticketsource_client.customers.list().first()

    assert ticketsource_no_waiting == [61.0]
    assert len(ticketsource_sandbox.requests) == 2


def test_the_client_is_closed_after_a_test_of_any_kind(pytester: pytest.Pytester) -> None:
    """Warnings are errors, also those of the garbage collector. A test may close the client itself."""
    pytester.makepyfile("""
        import asyncio, gc, pytest

        @pytest.fixture(autouse=True)
        def collect():
            yield
            gc.collect()

        def test_plain(ticketsource_client):
            asyncio.run(ticketsource_client.customers.list().first())

        def test_closed(ticketsource_client):
            async def use():
                async with ticketsource_client as ts:
                    await ts.customers.list().first()
            asyncio.run(use())

        def test_unused(ticketsource_client):
            pass

        async def test_async(ticketsource_client):
            await ticketsource_client.customers.list().first()
    """)

    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    result = pytester.runpytest_subprocess("-W", "error", "--strict-markers")

    result.assert_outcomes(passed=4)


def test_the_client_is_closed_in_a_loop_that_runs_in_another_thread(pytester: pytest.Pytester) -> None:
    """The loop may go on after the test, or stop while the client is closed."""
    pytester.makepyfile("""
        import asyncio, gc, threading, pytest

        class Elsewhere(asyncio.SelectorEventLoop):
            stops_when_looked_at = False

            def is_running(self):
                running = super().is_running()
                if self.stops_when_looked_at:
                    self.stops_when_looked_at = False
                    self.end()
                return running

            def begin(self):
                self.thread = threading.Thread(target=self.run_forever)
                self.thread.start()

            def end(self):
                self.call_soon_threadsafe(self.stop)
                self.thread.join()

        @pytest.fixture
        def elsewhere():
            loop = Elsewhere()
            loop.begin()
            yield loop
            if loop.is_running():
                loop.end()
            loop.close()
            gc.collect()

        @pytest.fixture
        def closed(elsewhere):
            clients = []
            yield clients.append
            assert ["closed" in repr(ts) for ts in clients] == [True]

        def use(ts, loop):
            asyncio.run_coroutine_threadsafe(ts.customers.list().first(), loop).result()

        def test_loop_goes_on(elsewhere, closed, ticketsource_client):
            closed(ticketsource_client)
            use(ticketsource_client, elsewhere)

        def test_loop_stops(elsewhere, closed, ticketsource_client):
            closed(ticketsource_client)
            use(ticketsource_client, elsewhere)
            elsewhere.stops_when_looked_at = True

        def test_loop_was_stopped(elsewhere, closed, ticketsource_client):
            closed(ticketsource_client)
            use(ticketsource_client, elsewhere)
            elsewhere.end()
    """)

    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio", "--strict-markers")

    result.assert_outcomes(passed=3)
