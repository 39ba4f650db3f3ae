"""Helpers for tests of programs that use this library. They need no test framework."""

from collections.abc import Iterator
from contextlib import contextmanager

from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.sending import SkippedWaits
from ticketsource_async.config import check_whole

__all__ = ["no_waiting"]


@contextmanager
def no_waiting(*, attempts: int = 4, limiter: bool = False) -> Iterator[list[float]]:
    """Skip the waits of all clients in this process: between two attempts and, without `limiter=True`, for the limiter.

    Yields a list. Each skipped wait between two attempts is added to it, in seconds. A client chooses its wait by
    chance; the list has the longest possible one. A call that begins in the block gets at most `attempts` attempts, or
    fewer if its `RetryPolicy` says so. The block also affects clients that were made before it, in all threads. Its
    effect ends with the block. If blocks overlap, the latest one counts.

    Raises ValueError if `attempts` is less than 1.
    """
    check_whole("attempts", attempts, error=ValueError)
    skipped: list[float] = []
    waiting = SkippedWaits(skipped, attempts, limiter)
    Sender.skipped_waits.append(waiting)
    try:
        yield skipped
    finally:
        # `remove` and not `pop`, because blocks in two tasks may end in the order in which they began.
        Sender.skipped_waits.remove(waiting)
