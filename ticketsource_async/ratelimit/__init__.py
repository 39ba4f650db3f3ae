"""The protocol of rate limiters, which keep the requests within the API's rate limit."""

from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol, get_args

Priority = Literal["interactive", "bulk"]
"""The priority of a call: "interactive" if a person waits for it, "bulk" if it is one of many."""


PRIORITIES: Final = frozenset(get_args(Priority))


def unknown_priority_error(given: object) -> ValueError:
    """Return the error for a value that is no priority; a limiter has no queue for it."""
    return ValueError(f'priority must be "interactive" or "bulk", not {given!r}')


class RateLimiter(Protocol):
    """An object that gives out slots for requests; one object may serve many keys.

    `key` is a hash that the client makes from the API key and the server.
    """

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a context manager that waits for a slot and holds it around exactly one request on the wire.

        If your limiter wraps one of this library, pass `priority` on unchanged; do not build a new string. For the
        first page of a list it is an object that equals "interactive". It also tells the limiters of this library later
        whether the list has more pages.
        """
        ...

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for `seconds`, because the server asks for a pause. Return at once."""
        ...
