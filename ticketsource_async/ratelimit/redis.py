"""The limiter of many processes: a window in Redis, through the `limits` library (extra `redis`).

Every slot gets the time at which it is given out, from the clock of the machine that takes it. The window is one second
longer than the one asked for. That covers clocks that differ by half a second, and requests that overtake each other on
the way to the server. The server may count a request that takes more than a second in its next window. The API then
answers 429, which pauses the calls.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from math import inf, isfinite
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, cast
from urllib.parse import quote
from weakref import WeakValueDictionary

from attrs import define, evolve, field

from ticketsource_async.config import RateLimit, has_raw_password
from ticketsource_async.errors import ConfigurationError, LimiterUnavailable
from ticketsource_async.ratelimit import PRIORITIES, Priority, unknown_priority_error
from ticketsource_async.ratelimit.local import LocalRateLimiter
from ticketsource_async.ratelimit.pacing import kept_free, next_bulk_slot_at, sample_step

try:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import ConstantBackoff
    from redis.exceptions import AskError, ClusterCrossSlotError, RedisError
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("RedisRateLimiter needs an extra: pip install 'ticketsource-async[redis]'") from missing

Answer = TypeVar("Answer")

_LOG: Final = logging.getLogger("ticketsource_async")
_PER: Final = 60
_MARGIN: Final = 1  # seconds; the docstring of this module gives the reason
_PATIENCE: Final = 2.0  # seconds for Redis to connect and to answer
_UNAVAILABLE_FOR: Final = 5.0  # seconds after a failure before Redis is tried again
_FAILURES: Final = (RedisError, OSError)  # a TimeoutError is an OSError
_PREFIX: Final = "ticketsource"
# This script gets two times in milliseconds from this process: the pause of a key, and the time for which single calls
# are expected. It stores and returns the larger one of each time here and in Redis. It is one step in Redis, because
# many processes get a 429 at the same moment, and a shorter pause must not end a longer one.
_EXCHANGE_SCRIPT: Final = """
local longest = {}
for n, name in ipairs(KEYS) do
    local known, kept = tonumber(ARGV[n]), redis.call('pttl', name)
    if known > kept and known > 0 then
        redis.call('set', name, 1, 'px', ARGV[n])
        kept = known
    end
    longest[n] = kept
end
return longest
"""
# This script returns the times in a window that are later than the first argument, the newest first. The second
# argument is the step: 2 returns every second time. `limits` writes the list.
_TIMES_SCRIPT: Final = """
local times, index = {}, 0
while true do
    local time = redis.call('lindex', KEYS[1], index)
    if not time or tonumber(time) <= tonumber(ARGV[1]) then
        return times
    end
    times[#times + 1] = time
    index = index + tonumber(ARGV[2])
end
"""


@define
class _Connections:
    """The connections of one event loop to Redis, and a lock for each key and priority: one call at a time asks."""

    redis: "Redis"
    storage: RedisStorage
    locks: "WeakValueDictionary[tuple[str, Priority], asyncio.Lock]" = field(factory=WeakValueDictionary)


class RedisRateLimiter:
    """A `RateLimiter` for all processes that use one Redis: at most `limit` requests of a key in any `per` seconds.

    Pass it as `limiter=`. One limiter serves any number of clients and keys. If you give it a URL, it also serves any
    number of event loops. `limit` may be a whole `RateLimit`, such as `RateLimit(group="office")`. The clocks of the
    machines must agree to half a second. The entries in Redis expire by themselves. So if a process dies, its slots
    stay taken for one window and no longer. The names in Redis contain a hash of the key, or the name of the group.

    An interactive call takes the next free slot. Bulk calls leave the last slots (one in 48) free, but a bulk call that
    has waited for a whole window takes any free slot. For ten minutes after an interactive call of any process, bulk
    calls are paced as in `LocalRateLimiter`. A process reports a list of one page to the others with its next call.

    `on_unavailable` says what to do when Redis refuses, or twice does not answer within two seconds. "local" gives each
    process `local_share` of the limit until Redis is back. Choose at most 1 / the number of processes. "raise" raises
    `LimiterUnavailable`. A process on its local share observes only the pauses that it has seen itself.

    When Redis fails, the processes do not know which slots were used in the last window. So in that window they can use
    up to twice the limit. The same can happen when Redis comes back without its data. The API then answers 429, and
    that pauses all processes.

    `async with` or `aclose` closes the connections that the limiter made. A `redis.asyncio.Redis` of yours stays open.
    """

    def __init__(
        self,
        redis: "str | Redis",
        limit: int | RateLimit = 240,
        per: int | None = None,
        *,
        on_unavailable: Literal["local", "raise"] = "local",
        local_share: float = 0.25,
    ) -> None:
        if not isinstance(redis, str | Redis):
            raise ConfigurationError(f"redis must be a URL or a redis.asyncio.Redis, not {type(redis).__name__}.")
        if on_unavailable not in ("local", "raise"):
            raise ConfigurationError(f'on_unavailable must be "local" or "raise", not {on_unavailable!r}.')
        if isinstance(limit, RateLimit) and per is not None:
            raise ConfigurationError("Give `per` in the RateLimit only, not also to RedisRateLimiter.")
        rate = limit if isinstance(limit, RateLimit) else RateLimit(limit, per=_PER if per is None else per)
        if rate.per != int(rate.per):
            raise ConfigurationError(f"per must be whole seconds, not {rate.per!r}.")
        if rate.share > 1:
            raise ConfigurationError(
                "Processes that use the same Redis share the whole limit: remove `share` from the RateLimit."
            )
        if not 0 < local_share <= 1:
            raise ConfigurationError(f"local_share must be more than 0 and at most 1, not {local_share!r}.")
        if isinstance(redis, str) and (wrong := _url_problem(redis)):
            del redis  # a report of the error with locals would show the password
            raise ConfigurationError(wrong)
        self._redis_given = redis
        self._limit, self._group, self._is_paced = rate.limit, rate.group, rate.pace
        self._window = int(rate.per) + _MARGIN
        own_share = evolve(rate, limit=max(1, int(rate.limit * local_share)))
        local = LocalRateLimiter(own_share)
        self._local = local if on_unavailable == "local" else None
        self._unavailable_until = 0.0
        self._paused_until: dict[str, float] = {}
        self._single_calls = local.single_calls
        self._paced_until = 0.0
        self._by_loop: dict[asyncio.AbstractEventLoop, _Connections] = {}

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot of this key; hold it around one request: `async with limiter.slot(...)`."""
        if priority not in PRIORITIES:
            raise unknown_priority_error(priority)
        return self._slot(self._name(key), priority)

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for `seconds` in any process; a shorter pause does not end a longer one."""
        if not isfinite(seconds) or seconds <= 0:
            return
        key = self._name(key)
        await self._note_pause(key, seconds, time.monotonic())
        if not self._is_unavailable():
            try:
                await self._exchange_times(key)
            except _FAILURES as error:
                self._note_failure(error)

    async def _note_pause(self, key: str, seconds: float, since: float) -> None:
        # The pause is also stored here, in case Redis fails or comes back without its data.
        self._paused_until = {other: until for other, until in list(self._paused_until.items()) if until > since}
        self._paused_until[key] = max(self._paused_until.get(key, 0), since + seconds)
        if self._local is not None:
            await self._local.pause(seconds, key=key)

    def _name(self, key: str) -> str:
        return key if self._group is None else f"group:{quote(self._group, safe='')}"

    async def _exchange_times(self, key: str) -> tuple[float, bool]:
        """Return the seconds for which this key is paused, and whether single calls are expected.

        Both are exchanged with Redis, and the later time counts, here and for all processes.
        """
        asked = time.monotonic()
        pause = self._paused_until.get(key, 0) - asked
        single_calls_expected = self._single_calls.expected_for(key, asked, only_certain=True)
        names = f"{_PREFIX}:{key}:pause", f"{_PREFIX}:{key}:single-calls"
        # A pause must not grow on its way to Redis and back. So it is rounded down and counted from before the request.
        known = [max(int(seconds * 1000), 0) for seconds in (pause, single_calls_expected)]
        longest = await _ask_redis(lambda: self._connections().redis.eval(_EXCHANGE_SCRIPT, len(names), *names, *known))
        left, expected_for = (int(milliseconds) / 1000 for milliseconds in longest)
        if left > pause:
            await self._note_pause(key, left, asked)
        if expected_for > single_calls_expected:
            self._single_calls.note_expected(key, asked + expected_for)
        return left, self._single_calls.expected_for(key, asked) > 0

    @asynccontextmanager
    async def _slot(self, key: str, priority: Priority) -> AsyncGenerator[None, None]:
        self._single_calls.note(key, priority, time.monotonic())
        async with AsyncExitStack() as held:
            while (fallback := await self._slot_from_redis(key, priority)) is not None:
                try:
                    async with asyncio.timeout(_UNAVAILABLE_FOR):  # after that time Redis may be back
                        await held.enter_async_context(fallback.slot(key=key, priority=priority))
                    break
                except TimeoutError:
                    continue
            yield

    async def _slot_from_redis(self, key: str, priority: Priority) -> LocalRateLimiter | None:
        """Return None once Redis has given out a slot, or the limiter to use instead; raise `LimiterUnavailable`."""
        async with self._connections().locks.setdefault((key, priority), asyncio.Lock()):
            began = time.monotonic()
            while not self._is_unavailable():
                # After a whole window a bulk call takes any free slot, so that it does not wait for ever.
                leaves_slots_free = priority == "bulk" and time.monotonic() - began <= self._window
                try:
                    wait = await self._try_slot(key, leaves_slots_free=leaves_slots_free)
                except _FAILURES as error:
                    self._note_failure(error)
                    break
                if wait is None:
                    return None
                # The processes ask at different moments, so that no process is always the first.
                await asyncio.sleep(wait + random.uniform(0.001, 0.02))  # noqa: S311 - it is no secret
        if self._local is None:
            raise LimiterUnavailable(
                "The request was not sent: the rate limiter's Redis cannot be used. The log says why. Repair Redis, or "
                'pass on_unavailable="local": then calls go on without it.'
            )
        return self._local

    async def _try_slot(self, key: str, *, leaves_slots_free: bool) -> float | None:
        """Take a slot and return None, or return the seconds to wait before asking again."""
        paused, are_single_calls_expected = await self._exchange_times(key)
        if paused > 0:
            return paused
        paced = are_single_calls_expected or self._is_paced
        limit = self._limit - (kept_free(self._limit, paced=paced) if leaves_slots_free else 0)
        if leaves_slots_free and paced and (wait := await self._wait_of_bulk(key)) > 0:
            self._paced_until = time.monotonic() + wait
            return wait
        storage = self._connections().storage
        if await _ask_redis(lambda: storage.acquire_entry(key, limit, self._window)):
            self._note_answer()
            return None
        oldest, _ = await _ask_redis(lambda: storage.get_moving_window(key, limit, self._window))
        return min(max(oldest + self._window - time.time(), 0), self._window)

    async def _wait_of_bulk(self, key: str) -> float:
        """Return for how many seconds a bulk call waits so that single calls find a free slot."""
        connections, now = self._connections(), time.time()
        wanted = now - self._window, sample_step(self._limit)
        name = connections.storage.bridge.prefixed_key(key)
        times = [
            float(then) for then in await _ask_redis(lambda: connections.redis.eval(_TIMES_SCRIPT, 1, name, *wanted))
        ]
        back = [then + self._window for then in reversed(times)]
        return next_bulk_slot_at(self._limit, back, max(times, default=-inf)) - now

    def _connections(self) -> _Connections:
        loop = asyncio.get_running_loop()
        if (connections := self._by_loop.get(loop)) is None:
            for other in list(self._by_loop):
                if other.is_closed():
                    self._by_loop.pop(other, None)
            redis = self._redis_given if isinstance(self._redis_given, Redis) else _connect(self._redis_given)
            pool = cast(Any, redis.connection_pool)  # `limits` documents the option but leaves it out of its types
            storage = RedisStorage("redis://", implementation="redispy", key_prefix=_PREFIX, connection_pool=pool)
            connections = self._by_loop[loop] = _Connections(redis, storage)
        return connections

    def _is_unavailable(self) -> bool:
        return time.monotonic() < self._unavailable_until

    def _note_failure(self, error: Exception) -> None:
        if isinstance(error, AskError | ClusterCrossSlotError):  # MovedError is a subclass of AskError
            raise ConfigurationError(
                f"The rate limiter's Redis is a cluster ({type(error).__name__}). RedisRateLimiter needs a single "
                "Redis, or the primary of a replication."
            ) from None
        if not self._unavailable_until:
            then = "this process uses its local share" if self._local is not None else "calls raise LimiterUnavailable"
            _LOG.warning("The rate limiter's Redis cannot be used (%s). Until it can, %s.", type(error).__name__, then)
        self._unavailable_until = time.monotonic() + _UNAVAILABLE_FOR

    def _note_answer(self) -> None:
        if self._unavailable_until:
            _LOG.warning("The rate limiter's Redis answers again.")
        self._unavailable_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that the limiter made in this event loop; later use connects again."""
        connections = self._by_loop.pop(asyncio.get_running_loop(), None)
        if connections is not None and connections.redis is not self._redis_given:
            await connections.redis.aclose()

    def __repr__(self) -> str:
        state = "unavailable" if self._unavailable_until else "in use" if self._by_loop else "not connected"
        group = f", group {self._group}" if self._group else ""
        paced = ", bulk is paced" if time.monotonic() < self._paced_until else ""
        return f"<RedisRateLimiter {self._limit} per {self._window - _MARGIN} s{group}, Redis {state}{paced}>"


def _url_problem(url: str) -> str:
    """Return why a URL is not one of a Redis, or an empty text; the URL is not shown, as it may hold a password."""
    if has_raw_password(url):
        return (
            "redis is a URL with a #, / or ? in the user name or password: percent-encode these characters there "
            "(%23, %2F, %3F), as urllib.parse.quote(password, safe='') does."
        )
    try:
        ConnectionPool.from_url(url)  # it does not connect yet
    except ValueError:
        return (
            "redis must be the URL of a Redis, such as redis://localhost:6379/0. In a password, percent-encode all "
            "characters except letters and digits."
        )
    return ""


def _connect(url: str) -> "Redis":
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=4,  # at most two calls ask at a time for each key, and each takes a millisecond
        timeout=None,
        socket_connect_timeout=None,  # `_with_timeout` has the timeout
        socket_timeout=None,
        retry=Retry(ConstantBackoff(0.05), 1),  # for a connection that a restart of Redis has broken
    )
    return Redis.from_pool(pool)  # so that closing it also closes the pool


async def _ask_redis(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return the answer of Redis; ask a second time after a timeout, because this event loop may have been blocked."""
    try:
        return await _with_timeout(ask())
    except TimeoutError:
        return await _with_timeout(ask())


async def _with_timeout(answer: Awaitable[Answer]) -> Answer:
    """Return the answer of Redis within a timeout, and keep a cancellation that comes meanwhile.

    The timeout is our own, because redis-py with a timeout loses a cancellation that comes while it reads.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    cancelled_before = task.cancelling()
    async with asyncio.timeout(_PATIENCE):
        found = await answer
    if task.cancelling() > cancelled_before:
        raise asyncio.CancelledError
    return found
