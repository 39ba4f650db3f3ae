"""The limiter of many processes: a window in Redis, through the `limits` library (extra `redis`).

Every slot is stamped when it is given out, by the clock of the machine that takes it. The window is a second longer
than asked for, which covers clocks that differ by half a second, and requests that reach the server sooner than those
before them.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import ceil
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from attrs import define, field

from ticketsource_async.config import RateLimit
from ticketsource_async.errors import ConfigurationError, LimiterUnavailable
from ticketsource_async.ratelimit import Priority, check_priority
from ticketsource_async.ratelimit.local import KEPT_SHARE, LocalRateLimiter

try:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import ConstantBackoff
    from redis.exceptions import RedisError
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("RedisRateLimiter needs more: pip install 'ticketsource-async[redis]'") from missing

_LOG: Final = logging.getLogger("ticketsource_async")
_MARGIN: Final = 1  # seconds; see above
_PATIENCE: Final = 2.0  # seconds for Redis to connect and to answer
_AWAY: Final = 5.0  # seconds until Redis is asked again after it failed
_FAILURES: Final = (RedisError, OSError)  # a TimeoutError is an OSError
_PREFIX: Final = "ticketsource"
# In one step, since many processes see a 429 at the same moment, and a shorter pause must end no longer one.
_PAUSE: Final = """
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[1]) then redis.call('set', KEYS[1], 1, 'px', ARGV[1]) end
"""


@define
class _Desk:
    """What belongs to one event loop: the connections to Redis, and those who wait, one at a time of each kind."""

    redis: "Redis"
    storage: RedisStorage
    turns: dict[tuple[str, Priority], asyncio.Lock] = field(factory=dict)


class RedisRateLimiter:
    """Let at most `limit` requests a key happen in any `per` seconds, in all processes that use the same Redis.

    A `RateLimiter`: pass it as `limiter=`; one serves any number of clients and keys, in any number of event loops if
    it is given a URL. Machines' clocks must agree to half a second. An interactive call takes the next free slot; bulk
    calls leave the last one in 48 to them for up to one window. What is kept in Redis expires by itself, so a process
    that dies leaves its slots taken for one window and no longer; names there are made of a hash of the key.

    When Redis does not answer within two seconds, `on_unavailable` says what to do: "local" gives each
    process `local_share` of the limit until Redis is back, so choose no more than one by the number of processes;
    "raise" raises `LimiterUnavailable`. A Redis that has lost its memory has forgotten the requests of the last window;
    the API then answers 429, which pauses everybody.

    Connections that it made itself are closed by `async with` or `aclose`; a `redis.asyncio.Redis` of yours stays open.
    """

    def __init__(
        self,
        redis: "str | Redis",
        limit: int = 240,
        per: int = 60,
        *,
        on_unavailable: Literal["local", "raise"] = "local",
        local_share: float = 0.25,
    ) -> None:
        if not isinstance(redis, str | Redis):
            raise ConfigurationError(f"redis must be a URL or a redis.asyncio.Redis, not {type(redis).__name__}.")
        if on_unavailable not in ("local", "raise"):
            raise ConfigurationError(f'on_unavailable must be "local" or "raise", not {on_unavailable!r}.')
        if not isinstance(per, int) or per != RateLimit(limit, per=per).per:
            raise ConfigurationError(f"per must be whole seconds, not {per!r}.")
        if not 0 < local_share <= 1:
            raise ConfigurationError(f"local_share must be more than 0 and at most 1, not {local_share!r}.")
        self._given = redis
        self._limit = limit
        self._window = per + _MARGIN
        self._local = (
            LocalRateLimiter(RateLimit(max(1, int(limit * local_share)), per=per))
            if on_unavailable == "local"
            else None
        )
        self._away_until = 0.0
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot of this key to hold around one request: `async with limiter.slot(...)`."""
        check_priority(priority)
        return self._slot(key, priority)

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for so many seconds, in any process; a shorter pause ends no longer one."""
        if self._local is not None:
            await self._local.pause(seconds, key=key)
        milliseconds = ceil(seconds * 1000)
        if milliseconds <= 0 or self._is_away():
            return
        try:
            redis = self._desk().redis
            async with _bounded():
                await redis.eval(_PAUSE, 1, _pause_of(key), milliseconds)
        except _FAILURES as error:
            self._went_away(error)

    @asynccontextmanager
    async def _slot(self, key: str, priority: Priority) -> AsyncGenerator[None, None]:
        if await self._given_out(key, priority):
            yield
        elif self._local is not None:
            async with self._local.slot(key=key, priority=priority):
                yield

    async def _given_out(self, key: str, priority: Priority) -> bool:
        """Return true once Redis has given out a slot, false if it is away; raise `LimiterUnavailable` if told to."""
        desk = self._desk()
        async with desk.turns.setdefault((key, priority), asyncio.Lock()):
            began = time.monotonic()
            while not self._is_away():
                kept = self._limit // KEPT_SHARE if priority == "bulk" else 0
                if time.monotonic() - began > self._window:  # nobody is put off for ever
                    kept = 0
                try:
                    wait = await self._ask(desk, key, self._limit - kept)
                except _FAILURES as error:
                    self._went_away(error)
                    break
                if wait is None:
                    return True
                # Not all processes at the same moment, or always the same one would be the first.
                await asyncio.sleep(wait + random.uniform(0.001, 0.02))  # noqa: S311 - it is no secret
        if self._local is None:
            raise LimiterUnavailable(
                "No slot, since the Redis of the rate limiter does not answer; the log says why. Nothing was sent. "
                'Look after Redis, or let the limiter go on by itself with on_unavailable="local".'
            )
        return False

    async def _ask(self, desk: _Desk, key: str, limit: int) -> float | None:
        """Take a slot and return None, or return the seconds until it is worth to ask again."""
        async with _bounded():
            paused = await desk.redis.pttl(_pause_of(key))
            if paused > 0:
                return float(paused) / 1000
            if await desk.storage.acquire_entry(key, limit, self._window):
                self._is_back()
                return None
            oldest, _ = await desk.storage.get_moving_window(key, limit, self._window)
            return min(max(oldest + self._window - time.time(), 0), self._window)

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if (desk := self._desks.get(loop)) is None:
            self._desks = {other: desk for other, desk in self._desks.items() if not other.is_closed()}
            redis = self._given if isinstance(self._given, Redis) else _connected(self._given)
            pool = cast(Any, redis.connection_pool)  # the option is documented, its type forgotten
            storage = RedisStorage("redis://", implementation="redispy", key_prefix=_PREFIX, connection_pool=pool)
            desk = self._desks[loop] = _Desk(redis, storage)
        return desk

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _went_away(self, error: Exception) -> None:
        if not self._away_until:
            then = "It keeps to its local share" if self._local is not None else "Calls are refused"
            _LOG.warning("The rate limiter's Redis does not answer (%s). %s until it does.", type(error).__name__, then)
        self._away_until = time.monotonic() + _AWAY

    def _is_back(self) -> None:
        if self._away_until:
            _LOG.warning("The rate limiter's Redis answers again.")
        self._away_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that it made in this event loop; it connects anew if it is used again."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is not None and desk.redis is not self._given:
            await desk.redis.aclose()

    def __repr__(self) -> str:
        state = "away" if self._away_until else "in use" if self._desks else "not connected"
        return f"<RedisRateLimiter {self._limit} per {self._window - _MARGIN} s, Redis {state}>"


def _connected(url: str) -> "Redis":
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=4,  # two kinds of waiters ask at a time for each key, and it takes a millisecond
        timeout=None,
        socket_connect_timeout=None,  # see `_bounded`
        socket_timeout=None,
        retry=Retry(ConstantBackoff(0.05), 1),  # a connection that a restart has broken
    )
    return Redis.from_pool(pool)  # which makes closing it close the pool


@asynccontextmanager
async def _bounded() -> AsyncGenerator[None, None]:
    """Bound the time that is spent on Redis, and let no cancellation get lost there.

    Ours, because redis-py with a timeout of its own swallows a cancellation that comes while it reads.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    cancelled_before = task.cancelling()
    async with asyncio.timeout(_PATIENCE):
        yield
    if task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


def _pause_of(key: str) -> str:
    return f"{_PREFIX}:{key}:pause"
