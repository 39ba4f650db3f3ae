"""Help for tests of programs that use this library. It needs no test framework."""

from collections.abc import Iterator
from contextlib import contextmanager

from ticketsource_async._wire.sender import Sender, Waiting

__all__ = ["no_waiting"]


@contextmanager
def no_waiting(*, attempts: int = 4, limiter: bool = False) -> Iterator[list[float]]:
    """Let no client of this process wait: not before another attempt, and not for the rate limit.

    Yield a list to which each skipped wait between two attempts is added: the longest that the client could have
    chosen, in seconds. A call is tried at most `attempts` times, or as often as its `RetryPolicy` says if that is less.
    `limiter=True` still asks the limiters of the clients for slots and pauses. It applies to clients that were made
    before it, too, in all threads; after the block everything is as it was.

    Raises ValueError if `attempts` is less than 1.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be 1 or more, not {attempts!r}.")
    skipped: list[float] = []
    waiting = Waiting(skipped, attempts, limiter)
    Sender.instead_of_waiting.append(waiting)
    try:
        yield skipped
    finally:
        # Not simply the last: two blocks in two tasks may end in the order in which they began.
        Sender.instead_of_waiting.remove(waiting)
