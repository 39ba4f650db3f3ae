"""Tasks that a loop starts ahead of taking their results: at most so many at a time, and none outlives the loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class TasksAhead(Generic[T]):
    """Tasks of which at most `most` are not taken: they are on their way, or their results wait.

    The loop that starts them calls `aclose` when it is left, however it is left.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._tasks: dict[asyncio.Task[T], None] = {}  # those that are not taken, in the order of their start
        self._ended: dict[asyncio.Task[T], None] = {}  # those of them that have ended, in the order of their end
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def full(self) -> bool:
        """Whether a result must be taken before anything is started."""
        return len(self._tasks) >= self.most

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start work; look first whether it is `full`."""
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[T]") -> None:
        if task in self._tasks:
            self._ended[task] = None
        self.wake()

    async def oldest(self) -> T:
        """Take the result of what was started first."""
        task = next(iter(self._tasks))
        self._remove(task)
        return await task

    def ended(self) -> "list[asyncio.Task[T]]":
        """Return the tasks that have ended and are not taken, in the order in which they ended."""
        return list(self._ended)

    def take(self, task: "asyncio.Task[T]") -> None:
        """Make room for another task."""
        self._remove(task)
        self.wake()

    def _remove(self, task: "asyncio.Task[T]") -> None:
        del self._tasks[task]
        self._ended.pop(task, None)

    def wake(self, _: object = None) -> None:
        """Let all go on who wait in `until`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which is looked at whenever a task ends or is taken."""
        while not holds():
            await self._changed.wait()

    def cancel(self) -> None:
        """Cancel all tasks but the one that calls this."""
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def aclose(self) -> None:
        """Cancel all tasks, and return when they have ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
