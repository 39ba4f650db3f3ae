"""The pytest plugin with three fixtures: a sandbox in its own thread, a client for it, and one that skips waits.

The fixtures work in sync and async tests. They import slow modules only when they run, so that other test suites do not
import those modules.
"""

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from ticketsource_async.client import TicketSource
    from ticketsource_async.sandbox.server import Sandbox


MARKS: Final = {
    "ticketsource_sandbox(**options)": "options of the Sandbox of `ticketsource_sandbox`, for example customers=3",
    "ticketsource_client(**options)": "options of the TicketSource of `ticketsource_client`, for example retry=...",
}


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for mark, text in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {text}")


@pytest.fixture
def ticketsource_sandbox(request: pytest.FixtureRequest) -> "Iterator[Sandbox]":
    """Start a sandbox; `@pytest.mark.ticketsource_sandbox(customers=3)` sets its options."""
    import asyncio  # noqa: PLC0415
    import threading  # noqa: PLC0415
    from concurrent.futures import Future  # noqa: PLC0415

    from ticketsource_async.sandbox.server import Sandbox  # noqa: PLC0415

    marker = request.node.get_closest_marker("ticketsource_sandbox")
    box = Sandbox(*marker.args, **marker.kwargs) if marker else Sandbox()
    started: Future[Callable[[], object]] = Future()

    # The sandbox gets a thread for its event loop, because the test's thread may have a loop, running or set.
    async def serve() -> None:
        stopped = asyncio.Event()
        async with box:
            loop = asyncio.get_running_loop()
            started.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
            await stopped.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="ticketsource_sandbox")
    thread.start()
    stop = started.result()
    try:
        yield box
    finally:
        stop()
        thread.join()


@pytest.fixture
def ticketsource_client(request: pytest.FixtureRequest, ticketsource_sandbox: "Sandbox") -> "Iterator[TicketSource]":
    """Return a client for `ticketsource_sandbox`; `@pytest.mark.ticketsource_client(retry=...)` sets its options.

    After the test it has no open connection.
    """
    from ticketsource_async.client import TicketSource  # noqa: PLC0415

    marker = request.node.get_closest_marker("ticketsource_client")
    if marker is not None and marker.args:
        raise pytest.UsageError("ticketsource_client takes options by name only, for example retry=...")
    options = {"base_url": ticketsource_sandbox.url, **(marker.kwargs if marker else {})}
    ts = TicketSource(ticketsource_sandbox.api_key, **options)
    yield ts
    # The event loop of an async test is closed after this fixture, a loop of `asyncio.run` before it.
    if (loop := ts._transport.loop) is not None:  # noqa: SLF001 - only this plugin needs the loop
        _close(ts, loop)


def _close(ts: "TicketSource", loop: "asyncio.AbstractEventLoop") -> None:
    """Close a client in its event loop, which may still run in another thread."""
    import asyncio  # noqa: PLC0415
    from concurrent.futures import wait  # noqa: PLC0415

    if not loop.is_running():
        loop.run_until_complete(ts.aclose())
        return
    closed = asyncio.run_coroutine_threadsafe(ts.aclose(), loop)
    while loop.is_running() and not closed.done():
        wait([closed], timeout=0.1)
    if not closed.done():  # the loop was stopped before the client was closed
        loop.run_until_complete(asyncio.wrap_future(closed, loop=loop))
    closed.result()


@pytest.fixture
def ticketsource_no_waiting() -> "Iterator[list[float]]":
    """Skip the waits of all clients during the test, as `no_waiting()` does; return the list of skipped waits."""
    from ticketsource_async.testing import no_waiting  # noqa: PLC0415

    with no_waiting() as skipped:
        yield skipped
