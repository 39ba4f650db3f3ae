"""The limiter of many processes: a window in Redis, through the `limits` library (extra `redis`).

Every slot is stamped when it is given out, by the clock of the machine that takes it. The window is a second longer
than asked for, which covers clocks that differ by half a second, and requests that reach the server sooner than those
before them. (One that takes more than a second to get there may be counted in the next window; a 429 then pauses.)
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from math import isfinite
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, cast
from weakref import WeakValueDictionary

from attrs import define, field

from ticketsource_async.config import RateLimit, has_raw_password
from ticketsource_async.errors import ConfigurationError, LimiterUnavailable
from ticketsource_async.ratelimit import PRIORITIES, Priority, no_priority
from ticketsource_async.ratelimit.local import KEPT_SHARE, LocalRateLimiter

try:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import ConstantBackoff
    from redis.exceptions import AskError, ClusterCrossSlotError, RedisError
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("RedisRateLimiter needs more: pip install 'ticketsource-async[redis]'") from missing

Answer = TypeVar("Answer")

_LOG: Final = logging.getLogger("ticketsource_async")
_MARGIN: Final = 1  # seconds; see above
_PATIENCE: Final = 2.0  # seconds for Redis to connect and to answer
_AWAY: Final = 5.0  # seconds until Redis is asked again after it failed
_FAILURES: Final = (RedisError, OSError)  # a TimeoutError is an OSError
_PREFIX: Final = "ticketsource"
# Gives Redis the pause that is known here, and returns what is left of the longest that any process knows. In one
# step, since many processes see a 429 at the same moment, and a shorter pause must end no longer one.
_PAUSE: Final = """
local known, kept = tonumber(ARGV[1]), redis.call('pttl', KEYS[1])
if known > kept and known > 0 then
    redis.call('set', KEYS[1], 1, 'px', ARGV[1])
    return known
end
return kept
"""


@define
class _Desk:
    """What belongs to one event loop: the connections to Redis, and those who wait, one at a time of each kind."""

    redis: "Redis"
    storage: RedisStorage
    turns: "WeakValueDictionary[tuple[str, Priority], asyncio.Lock]" = field(factory=WeakValueDictionary)


class RedisRateLimiter:
    """Let at most `limit` requests a key happen in any `per` seconds, in all processes that use the same Redis.

    A `RateLimiter`: pass it as `limiter=`; one serves any number of clients and keys, in any number of event loops if
    it is given a URL. Machines' clocks must agree to half a second. An interactive call takes the next free slot; bulk
    calls leave the last one in 48 to them for up to one window, and take turns with them where both wait. What is kept
    in Redis expires by itself, so a process that dies leaves its slots taken for one window and no longer; names there
    are made of a hash of the key.

    When Redis does not answer within two seconds, twice, or refuses, `on_unavailable` says what to do: "local" gives
    each process `local_share` of the limit until Redis is back, so choose no more than one by the number of processes;
    "raise" raises `LimiterUnavailable`. A process on its share knows the pauses that it has seen itself. In the window
    in which Redis goes, up to twice the limit can be used, and as much when it comes back without its memory; the API
    then answers 429, which pauses everybody.

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
        if isinstance(redis, str) and (wrong := _what_is_wrong(redis)):
            del redis  # or a report with locals of the error would show it
            raise ConfigurationError(wrong)
        self._given = redis
        self._limit = limit
        self._window = per + _MARGIN
        self._local = (
            LocalRateLimiter(RateLimit(max(1, int(limit * local_share)), per=per))
            if on_unavailable == "local"
            else None
        )
        self._away_until = 0.0
        self._paused_until: dict[str, float] = {}
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot of this key to hold around one request: `async with limiter.slot(...)`."""
        if priority not in PRIORITIES:
            raise no_priority(priority)
        return self._slot(key, priority)

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for so many seconds, in any process; a shorter pause ends no longer one."""
        if not isfinite(seconds) or seconds <= 0:
            return
        await self._note_pause(key, seconds, time.monotonic())
        if not self._is_away():
            try:
                await self._pause_left(key)
            except _FAILURES as error:
                self._went_away(error)

    async def _note_pause(self, key: str, seconds: float, since: float) -> None:
        # Here too, for when Redis is away, or has come back and forgotten it.
        self._paused_until = {other: until for other, until in list(self._paused_until.items()) if until > since}
        self._paused_until[key] = max(self._paused_until.get(key, 0), since + seconds)
        if self._local is not None:
            await self._local.pause(seconds, key=key)

    async def _pause_left(self, key: str) -> float:
        """Return the seconds for which this key is paused, as anybody knows, and let everybody know."""
        asked = time.monotonic()
        known = self._paused_until.get(key, 0) - asked
        # Rounded down, and counted from before the question: a pause must not grow when it is passed on and back.
        name, milliseconds = f"{_PREFIX}:{key}:pause", max(int(known * 1000), 0)
        left = float(await _answer(lambda: self._desk().redis.eval(_PAUSE, 1, name, milliseconds))) / 1000
        if left > known:
            await self._note_pause(key, left, asked)
        return left

    @asynccontextmanager
    async def _slot(self, key: str, priority: Priority) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as held:
            while (instead := await self._asked(key, priority)) is not None:
                try:
                    async with asyncio.timeout(_AWAY):  # then Redis may be back
                        await held.enter_async_context(instead.slot(key=key, priority=priority))
                    break
                except TimeoutError:
                    continue
            yield

    async def _asked(self, key: str, priority: Priority) -> LocalRateLimiter | None:
        """Return None once Redis has given out a slot, or which limiter to ask instead; raise `LimiterUnavailable`."""
        async with self._desk().turns.setdefault((key, priority), asyncio.Lock()):
            began = time.monotonic()
            while not self._is_away():
                kept = self._limit // KEPT_SHARE if priority == "bulk" else 0
                if time.monotonic() - began > self._window:  # nobody is put off for ever
                    kept = 0
                try:
                    wait = await self._ask(key, self._limit - kept)
                except _FAILURES as error:
                    self._went_away(error)
                    break
                if wait is None:
                    return None
                # Not all processes at the same moment, or always the same one would be the first.
                await asyncio.sleep(wait + random.uniform(0.001, 0.02))  # noqa: S311 - it is no secret
        if self._local is None:
            raise LimiterUnavailable(
                "No slot, since the Redis of the rate limiter cannot be used; the log says why. Nothing was sent. "
                'Look after Redis, or let the limiter go on by itself with on_unavailable="local".'
            )
        return self._local

    async def _ask(self, key: str, limit: int) -> float | None:
        """Take a slot and return None, or return the seconds until it is worth to ask again."""
        if (paused := await self._pause_left(key)) > 0:
            return paused
        storage = self._desk().storage
        if await _answer(lambda: storage.acquire_entry(key, limit, self._window)):
            self._is_back()
            return None
        oldest, _ = await _answer(lambda: storage.get_moving_window(key, limit, self._window))
        return min(max(oldest + self._window - time.time(), 0), self._window)

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if (desk := self._desks.get(loop)) is None:
            for other in list(self._desks):
                if other.is_closed():
                    self._desks.pop(other, None)
            redis = self._given if isinstance(self._given, Redis) else _connected(self._given)
            pool = cast(Any, redis.connection_pool)  # the option is documented, its type forgotten
            storage = RedisStorage("redis://", implementation="redispy", key_prefix=_PREFIX, connection_pool=pool)
            desk = self._desks[loop] = _Desk(redis, storage)
        return desk

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _went_away(self, error: Exception) -> None:
        if isinstance(error, AskError | ClusterCrossSlotError):  # a MovedError is an AskError
            raise ConfigurationError(
                "The rate limiter's Redis is a cluster, which has its keys on several servers "
                f"({type(error).__name__}). RedisRateLimiter needs one that is none: a single Redis, or the primary of "
                "a replication."
            ) from None
        if not self._away_until:
            then = "It keeps to its local share" if self._local is not None else "Calls are refused"
            _LOG.warning("The rate limiter's Redis cannot be used (%s). %s until it can.", type(error).__name__, then)
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


def _what_is_wrong(url: str) -> str:
    """Return why a URL is none of a Redis, without any of it, since it may hold a password; nothing if it is one."""
    if has_raw_password(url):
        return (
            "redis is a URL with a #, / or ? in the user name or password: percent-encode these characters there "
            "(%23, %2F, %3F), as urllib.parse.quote(password, safe='') does."
        )
    try:
        ConnectionPool.from_url(url)  # which does not connect yet
    except ValueError:
        return (
            "redis is no URL of a Redis, such as redis://localhost:6379/0. In a password, all but letters and digits "
            "must be percent-encoded."
        )
    return ""


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


async def _answer(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what Redis answers; ask once more if none comes, since this event loop itself may have been held up."""
    try:
        return await _bounded(ask())
    except TimeoutError:
        return await _bounded(ask())


async def _bounded(answer: Awaitable[Answer]) -> Answer:
    """Bound the time that is spent on Redis, and let no cancellation get lost there.

    Ours, because redis-py with a timeout of its own swallows a cancellation that comes while it reads.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    cancelled_before = task.cancelling()
    async with asyncio.timeout(_PATIENCE):
        found = await answer
    if task.cancelling() > cancelled_before:
        raise asyncio.CancelledError
    return found
