"""The pytest fixture `ticketsource_sandbox`: a sandbox in a thread of its own, for tests of any kind.

Whatever costs time to import is imported inside the fixture, so that suites that do not use it pay nothing.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ticketsource_async.sandbox.server import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "ticketsource_sandbox(**options): options of the fixture's Sandbox, for example customers=3"
    )


@pytest.fixture
def ticketsource_sandbox(request: pytest.FixtureRequest) -> "Iterator[Sandbox]":
    """A running sandbox; `@pytest.mark.ticketsource_sandbox(customers=3)` sets its options."""
    import asyncio  # noqa: PLC0415
    import threading  # noqa: PLC0415
    from concurrent.futures import Future  # noqa: PLC0415

    from ticketsource_async.sandbox.server import Sandbox  # noqa: PLC0415

    marker = request.node.get_closest_marker("ticketsource_sandbox")
    box = Sandbox(*marker.args, **marker.kwargs) if marker else Sandbox()
    started: Future[Callable[[], object]] = Future()

    # The loop lives in its thread alone: the test's own thread may have one, running or set.
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
