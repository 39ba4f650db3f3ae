"""An event loop in a thread, for programs without asyncio, such as tasks of Celery."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread. It does the work of any number of other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls: set[_Call[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event loop", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Awaitable[T]], name: str = "") -> T:
        """Do the work in the loop, and return its result.

        If the calling thread is interrupted, as by the signal of a time limit, the work is cancelled, and the exception
        is raised when the work has ended. If `cancel` cancels the work, this raises
        `concurrent.futures.CancelledError`.
        """
        call = _Call(work, name)
        try:
            self._loop.call_soon_threadsafe(self._begin, call)
            return call.ended.result()
        except BaseException:
            if not call.ended.done():
                self._loop.call_soon_threadsafe(call.cancel)
                wait([call.ended])
            raise

    def cancel(self, name: str) -> None:
        """Cancel the work with this name, if it has begun."""
        self._loop.call_soon_threadsafe(self._cancel, name)

    def close(self) -> None:
        """Stop the loop and its thread; no work may be left."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _begin(self, call: "_Call[Any]") -> None:
        self._calls.add(call)
        call.ended.add_done_callback(lambda _: self._calls.discard(call))
        call.begin()

    def _cancel(self, name: str) -> None:
        for call in self._calls:
            if call.name == name:
                call.cancel()


class _Call(Generic[T]):
    """Work that a thread waits for. The loop calls the methods."""

    def __init__(self, work: Callable[[], Awaitable[T]], name: str) -> None:
        self.name = name
        self.ended: Future[T] = Future()
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        self._task = asyncio.ensure_future(self._do())
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # it has not begun, so it never will
            self.ended.set_exception(CancelledError())

    async def _do(self) -> T:
        return await self._work()

    def _end(self, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            self.ended.set_exception(CancelledError())
        elif (error := task.exception()) is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())
