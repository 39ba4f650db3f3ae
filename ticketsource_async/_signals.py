"""How the command ends at Ctrl-C, SIGTERM and SIGHUP: without a traceback, and without a part of a file.

`__main__` needs this before it imports anything else, so it imports little.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final, Self

_MOST_SECONDS: Final = 5.0  # seconds until the command ends, although it waits, for example for the reader of a pipe
_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def leave(number: int, _frame: object) -> None:
    """End the process at once, without a message, with the exit code for a signal."""
    os._exit(128 + number)


def leave_at_signals() -> None:
    """From now on, end the process at once at a signal: there is nothing to clean up yet."""
    for number in _not_handled():
        signal.signal(number, leave)


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt`, so that a question can restore the terminal."""
    is_leave = signal.getsignal(signal.SIGINT) is leave
    if is_leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if is_leave:
            signal.signal(signal.SIGINT, leave)


class Ending:
    """Cancels work at a signal: `with Ending() as ending: asyncio.run(ending.cancelling(work))`.

    `number` is the number of the signal that came. If the work has not ended a few seconds later, the process ends
    anyway. Signals that are ignored, as by `nohup`, or that the program around the command handles, do nothing here.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._cancel: Callable[[], object] | None = None
        self._before: dict[int, object] = {}
        self._has_alarm = False

    def __enter__(self) -> Self:
        for number in _not_handled():
            # `loop.add_signal_handler` is not on Windows, and it leaves Ctrl-C to raise when the loop is closed. The
            # handler of `asyncio.run` raises KeyboardInterrupt the second time, wherever that is.
            self._before[number] = signal.signal(number, self._end)
        if sys.platform != "win32" and self._before and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._leave_after_alarm)
            self._has_alarm = True
        return self

    def __exit__(self, *_: object) -> None:
        self._set_alarm(0)
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]  # `signal.signal` returned it

    async def cancelling(self, work: Coroutine[None, None, None]) -> None:
        """Do the work; a signal cancels it."""
        import asyncio  # noqa: PLC0415 - a slow import that help does not need

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.number is not None:  # it came before the loop ran
            task.cancel()
        try:
            await work
        finally:
            self._cancel = None

    def _end(self, number: int, _frame: object) -> None:
        if self.number is None:
            self.number = number
            self._set_alarm(_MOST_SECONDS)
            if self._cancel is not None:
                self._cancel()
        elif not self._has_alarm:
            leave(self.number, None)

    def _set_alarm(self, seconds: float) -> None:
        if sys.platform != "win32" and self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def _leave_after_alarm(self, _number: int, _frame: object) -> None:
        assert self.number is not None  # noqa: S101 - the signal has set the timer
        leave(self.number, None)


def _not_handled() -> list[int]:
    """Return the signals to end that this process may handle and does not handle yet; other threads get none."""
    if threading.current_thread() is not threading.main_thread():
        return []
    defaults = (signal.SIG_DFL, signal.default_int_handler, leave)
    return [number for number in _ENDING if signal.getsignal(number) in defaults]
