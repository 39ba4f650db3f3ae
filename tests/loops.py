"""Help with event loops: a loop in virtual time, the running tasks, and ways to wait for a condition."""

import asyncio
import selectors
from collections.abc import AsyncIterable, Callable
from typing import Any, TypeVar

from ticketsource_async import (
    CustomerDraft,
    TicketSource,
    TicketSourceError,
)

T = TypeVar("T")


async def call(ts: TicketSource, method: str) -> object:
    """Make the call on a customer for an HTTP method."""
    if method == "POST":
        return await ts.customers.create(CustomerDraft(first_name="Karl"))
    if method == "PATCH":
        return await ts.customers.update("cst-1", CustomerDraft(first_name="Karl"))
    if method == "DELETE":
        await ts.customers.delete("cst-1")
        return None
    return await ts.customers.get("cst-1")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when there is nothing else to do. Its sockets are real.

    Work in a thread or another process takes no virtual time, so a test in virtual time has none.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let this time pass. Raise if a year has passed: no test takes so long."""
        self._now += seconds
        if self._now > 31_536_000:
            raise AssertionError("a task has waited for a year of virtual time")


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout != 0 and len(self.get_map()) > 1:
            # A busy machine may take a moment to move bytes between sockets. One socket is the loop's own.
            ready = super().select(5 if timeout is None else 0.05 if timeout >= 1 else 0.002)
        if not ready and timeout is None:
            raise AssertionError("all tasks wait, and there is no timer to wake one")
        if not ready and timeout is not None:
            self._loop.jump(timeout)
        return ready


def our_tasks() -> set[asyncio.Task[Any]]:
    """Return the running tasks, except those of the sandbox."""
    served = ("RequestHandler", "_accept_connection2")
    return {task for task in asyncio.all_tasks() if not any(name in repr(task.get_coro()) for name in served)}


async def read_until_it_raises(items: AsyncIterable[T]) -> tuple[list[T], TicketSourceError | None]:
    """Return the items that came before the error, and the error."""
    seen: list[T] = []
    try:
        async for item in items:
            seen.append(item)  # noqa: PERF401 - a comprehension would lose them
    except TicketSourceError as error:
        return seen, error
    return seen, None


async def until_others(holds: Callable[[], bool]) -> None:
    """Wait until other processes have made a condition true, and leave them the processor."""
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop run until a condition is true."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
