"""The settings of a sender, and the state that a client shares with its views."""

import asyncio
from collections.abc import Callable

from attrs import define, field, frozen

from ticketsource_async.call_events import CallEvent
from ticketsource_async.config import RetryPolicy, Timeouts
from ticketsource_async.ratelimit import RateLimiter


@frozen
class SenderConfig:
    """The settings of a sender."""

    retry: RetryPolicy
    limiter: RateLimiter | None
    on_event: Callable[[CallEvent], None] | None
    timeouts: Timeouts


@define(eq=False)
class SkippedWaits:
    """How waits are skipped in tests; see `ticketsource_async.testing.no_waiting`."""

    skipped: list[float]
    attempts: int
    limiter: bool


@define(eq=False)
class Scope:
    """Work that ends when the client is closed, with its task.

    `timer` is the timer of the deadline. `aclose` sets it to now, because a timer ends work without cancelling the
    task.
    """

    timer: asyncio.Timeout
    task: "asyncio.Task[object] | None" = field(factory=asyncio.current_task)
    ended: asyncio.Event = field(factory=asyncio.Event)


@define(eq=False)
class State:
    """The state that a client and all its views share."""

    scopes: set[Scope] = field(factory=set[Scope])
    logged_paths: set[tuple[str, str]] = field(factory=set[tuple[str, str]])
    logged_names: set[str] = field(factory=set[str])
    good_answers: int = 0
    failing_since: float | None = None  # time of the first failure after the last good answer, by the loop's clock
    failed_last: float = 0.0
    closed: bool = False
