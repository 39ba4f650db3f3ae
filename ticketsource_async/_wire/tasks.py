"""Run a bounded number of tasks ahead of the loop that takes their results; no task outlives the loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class TasksAhead(Generic[T]):
    """Tasks that run ahead of their use. At most `most` of them may be running or have a result that is not taken.

    The loop that starts the tasks must call `aclose` whenever it ends.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._tasks: dict[asyncio.Task[T], None] = {}  # tasks that are not taken, in the order of their start
        self._ended: dict[asyncio.Task[T], None] = {}  # the tasks above that have ended, in the order of their end
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def full(self) -> bool:
        """Whether a result must be taken before another task may start."""
        return len(self._tasks) >= self.most

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start a task and return it; check `full` first."""
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[T]") -> None:
        if task in self._tasks:
            self._ended[task] = None
        self.wake()

    async def oldest(self) -> T:
        """Take and return the result of the task that was started first."""
        task = next(iter(self._tasks))
        self._remove(task)
        return await task

    def ended(self) -> "list[asyncio.Task[T]]":
        """Return the ended tasks that are not taken, in the order of their end."""
        return list(self._ended)

    def take(self, task: "asyncio.Task[T]") -> None:
        """Remove a task, to make room for another one."""
        self._remove(task)
        self.wake()

    def _remove(self, task: "asyncio.Task[T]") -> None:
        del self._tasks[task]
        self._ended.pop(task, None)

    def wake(self, _: object = None) -> None:
        """Wake every coroutine that waits in `until`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()` is true; it is called again whenever a task ends or is taken."""
        while not holds():
            await self._changed.wait()

    def cancel(self) -> None:
        """Cancel all tasks except the calling task."""
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def aclose(self) -> None:
        """Cancel all tasks and return when they have ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
