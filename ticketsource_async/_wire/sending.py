"""What a sender goes by: how it sends, and what a client has in common with its views."""

import asyncio
from collections.abc import Callable

from attrs import define, field, frozen

from ticketsource_async.call_events import CallEvent
from ticketsource_async.config import RetryPolicy, Timeouts
from ticketsource_async.ratelimit import RateLimiter


@frozen
class SenderConfig:
    """How a sender sends."""

    retry: RetryPolicy
    limiter: RateLimiter | None
    on_event: Callable[[CallEvent], None] | None
    timeouts: Timeouts


@define(eq=False)
class Waiting:
    """What to do instead of waiting, as `ticketsource_async.testing.no_waiting` says."""

    skipped: list[float]
    attempts: int
    limiter: bool


@define(eq=False)
class Scope:
    """A piece of work that ends when the client is closed, and the task that does it.

    Its timer is that of the deadline: `aclose` moves it to now, since a timer ends work without cancelling its task.
    """

    timer: asyncio.Timeout
    task: "asyncio.Task[object] | None" = field(factory=asyncio.current_task)
    ended: asyncio.Event = field(factory=asyncio.Event)


@define(eq=False)
class State:
    """What a client and all views of it have in common."""

    scopes: set[Scope] = field(factory=set[Scope])
    logged_paths: set[tuple[str, str]] = field(factory=set[tuple[str, str]])
    logged_names: set[str] = field(factory=set[str])
    good_answers: int = 0
    failing_since: float | None = None  # the first failure after the last good answer, by the loop's clock
    failed_last: float = 0.0
    closed: bool = False
