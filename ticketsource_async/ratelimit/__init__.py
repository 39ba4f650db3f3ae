"""The protocol of rate limiters, which keep the number of requests within what the API allows."""

from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol, get_args

Priority = Literal["interactive", "bulk"]
"""Whether somebody waits for this one call, or it is one of many."""


PRIORITIES: Final = frozenset(get_args(Priority))


def no_priority(given: object) -> ValueError:
    """Return the error for what is no priority: it would wait in no line."""
    return ValueError(f'priority must be "interactive" or "bulk", not {given!r}')


class RateLimiter(Protocol):
    """Anything that gives out slots; one object may serve many keys.

    `key` stands for an API key at a server: a hash that the client makes.
    """

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return what waits for a slot, and is held around exactly one request on the wire.

        If your limiter wraps one of this library, pass `priority` on unchanged: for the first page of a list it is a
        text that equals "interactive" and carries more information.
        """
        ...

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for `seconds`, because the server asks for that. Return at once."""
        ...
