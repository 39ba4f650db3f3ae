"""The limiter of one process, with an exact log of the window.

It is our own, because no library frees a slot according to the time of the answer, and none can pause. The server
counts a request at some time between its start and its answer. Here a slot is free again one window after the answer.
So it is never free earlier than at the server, however slow the network is, and no margin has to be guessed. There is
one exception: an attempt that a timeout or a cancellation ended may still wait in a queue of the server and be counted
later. The API then answers 429, which pauses the calls.
"""

import asyncio
import logging
import os
import time
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf, isfinite
from typing import Final

from attrs import evolve

from ticketsource_async.config import RateLimit
from ticketsource_async.ratelimit import PRIORITIES, Priority, unknown_priority_error
from ticketsource_async.ratelimit.pacing import SingleCalls, kept_free, next_bulk_slot_at, sample_step

_LOG: Final = logging.getLogger("ticketsource_async")
_BULK_TURN: Final = 9  # after so many interactive calls in a row, one waiting bulk call gets a slot
_KEYS_CHECKED: Final = 2  # keys that are checked for each new key, so that the number of keys cannot grow without bound
_LEAST_SLEEP: Final = 0.001  # a timer that fires too early by a rounding error must not spin


class LocalRateLimiter:
    """A `RateLimiter` for one process: at most `rate.limit` requests of a key in any `rate.per` seconds.

    Calls of one priority get slots in the order in which they ask. An interactive call takes the next free slot. Bulk
    calls leave one slot in 48 (5 of 240) free for interactive calls, and get at least one slot in ten. For ten minutes
    after an interactive call, bulk calls take half of the slots at once. They take the others at even intervals, until
    used slots are free again. The page "The rate limit" of the site explains this.

    The limiter works in any number of event loops. It forgets a key that was not used for a window. `clock` returns
    seconds and never goes back.
    """

    def __init__(self, rate: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._per = rate.limit // rate.share, rate.per
        self._group = rate.group
        self.always_paced = rate.pace
        self.single_calls = SingleCalls()
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._check_order: deque[str] = deque()  # the keys, in the order in which they are checked for disuse

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot of this key; hold it around one request: `async with limiter.slot(...)`."""
        if priority not in PRIORITIES:
            raise unknown_priority_error(priority)
        return self._hold_slot(self._group or key, priority)

    @asynccontextmanager
    async def _hold_slot(self, key: str, priority: Priority) -> AsyncIterator[None]:
        self.single_calls.note(key, priority, self._clock())
        while True:
            queue = (window := self._window(key)).queue()
            token = await queue.wait(priority)
            if window.forgotten_in != os.getpid():
                break
            queue.give_back(token)
            await asyncio.sleep(0)
        try:
            yield
        finally:
            queue.give_back(None)

    async def pause(self, seconds: float, *, key: str) -> None:
        """Give out no slot of this key for `seconds`; a shorter pause does not end a longer one."""
        key = self._group or key
        (window := self._window(key)).pause(seconds)
        while window.forgotten_in == os.getpid():
            await asyncio.sleep(0)
            (window := self._window(key)).pause(seconds)

    def _window(self, key: str) -> "_Window":
        if (window := self._windows.get(key)) is None:
            self._forget_idle(_KEYS_CHECKED)
            key_name = "this key" if self._group is None else f"a key of the group {self._group}"
            made = _Window(self._limit, self._per, self._clock, lambda: self._is_paced(key), key_name)
            window = self._windows.setdefault(key, made)
            if window is made:
                self._check_order.append(key)
        return window

    def _is_paced(self, key: str) -> bool:
        return self.always_paced or self.single_calls.expected_for(key, self._clock()) > 0

    def _forget_idle(self, most: int) -> None:
        """Check at most `most` keys, the longest unchecked first, and forget those that are no longer in use.

        Another thread may take a slot meanwhile. So a window is marked before it is checked. A slot that is taken
        before the mark shows that the window is in use. A slot that is taken after the mark is given back.
        """
        for _ in range(most):
            try:
                key = self._check_order.popleft()
            except IndexError:
                return
            window = self._windows[key]
            window.forgotten_in = os.getpid()
            if window.idle:
                del self._windows[key]  # the mark stays on it for threads that have found it before
            else:
                window.forgotten_in = 0
                self._check_order.append(key)

    def __repr__(self) -> str:
        self._forget_idle(len(self._check_order))
        keys = "".join(
            f", {'group' if self._group else 'key'} {self._group or key[:8]}: {window}"
            for key, window in list(self._windows.items())
        )
        return f"<LocalRateLimiter {self._limit} per {self._per:g} s{keys}>"


_shared: Final[dict[RateLimit, LocalRateLimiter]] = {}


def shared(rate: RateLimit) -> LocalRateLimiter:
    """Return the limiter of all clients of this process with the same rate; if one has `pace`, all are paced."""
    same = evolve(rate, pace=False)
    limiter = _shared.setdefault(same, LocalRateLimiter(same))
    limiter.always_paced = limiter.always_paced or rate.pace
    return limiter


class _Window:
    """The window of one key as tokens; a token is the time at which its slot is free. Each taken token is put back.

    To take or put a token is a single operation on a deque. So event loops in several threads share it without a lock.
    """

    def __init__(
        self, limit: int, per: float, clock: Callable[[], float], paces: Callable[[], bool], key_name: str
    ) -> None:
        self.clock = clock
        self._key_name = key_name
        self._is_paced = paces
        self._limit, self._per = limit, per
        self._tokens = deque([-inf] * limit)
        self._taken_last = -inf
        self._paused_until = -inf
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._process = os.getpid()
        # The id of the process that forgets it. In the child of a fork the parent's mark does not count.
        self.forgotten_in = 0

    @property
    def idle(self) -> bool:
        """Whether no call uses or awaits this key, all its slots are free, and no pause is left."""
        self._drop_closed_queues()
        now = self.clock()
        is_unused = len(self._tokens) == self._limit and max(self._tokens) <= now and self._paused_until <= now
        return is_unused and not any(queue.waiting for queue in self._open_queues())

    def _open_queues(self) -> "list[_Queue]":
        return [queue for loop, queue in list(self._queues.items()) if not loop.is_closed()]

    def queue(self) -> "_Queue":
        """Return the queue of the running event loop."""
        loop = asyncio.get_running_loop()
        if len(self._queues) != 1 or self._process != os.getpid() or loop not in self._queues:
            self._drop_closed_queues()
        if (queue := self._queues.get(loop)) is None:
            queue = self._queues[loop] = _Queue(self, loop)
        return queue

    def _drop_closed_queues(self) -> None:
        # The tokens of a closed loop are never put back. Nor are those of the parent's loops in the child of a fork.
        forked = self._process != os.getpid()
        self._process = os.getpid()
        for loop in list(self._queues):
            if (forked or loop.is_closed()) and (queue := self._queues.pop(loop, None)):
                self._tokens.extend([self.clock() + self._per] * queue.abandon())

    def free_at(self) -> float:
        """Return when a slot will be free: the exact time or an earlier one."""
        return self._more_free_at(0)

    def free_for_bulk_at(self) -> float:
        """Return when a bulk call may take a slot and leave enough to single calls: the exact time or an earlier."""
        now = self.clock()
        if (half_free_at := self._more_free_at(self._limit - self._limit // 2)) <= now:
            return half_free_at
        paced = self._is_paced()
        free_at = self._more_free_at(kept_free(self._limit, paced=paced))
        if free_at > now or not paced:
            return free_at
        tokens = list(self._tokens)
        in_flight_back = max(self._taken_last + self._per, tokens[-1])
        tokens += [in_flight_back] * (self._limit - len(tokens))
        back = tokens[bisect_right(tokens, now) :: sample_step(self._limit)]
        return max(free_at, next_bulk_slot_at(self._limit, back, self._taken_last))

    def _more_free_at(self, kept: int) -> float:
        try:
            soonest = self._tokens[kept]
        except IndexError:
            soonest = self.clock() + self._per
        return max(soonest, self._paused_until)

    def is_over(self, since: float) -> bool:
        """Say whether a whole window has passed since the time `since`."""
        return self.clock() - since > self._per

    def take(self) -> float | None:
        """Take and return a token of a free slot; None if there is none."""
        try:
            token = self._tokens.popleft()
        except IndexError:
            return None
        if token <= (now := self.clock()):
            self._taken_last = now
            return token
        self._tokens.appendleft(token)  # another thread took the free one
        return None

    def put_back(self, unused: float | None) -> None:
        """Put back an unused token as it was; None puts back the token of a request that ends now."""
        if unused is None:
            self._tokens.append(self.clock() + self._per)
        else:
            self._tokens.appendleft(unused)

    def pause(self, seconds: float) -> None:
        now = self.clock()
        if not isfinite(seconds) or seconds <= 0 or now + seconds <= self._paused_until:
            return
        if self._paused_until <= now:
            _LOG.info("The API asks for a pause: no request is sent with %s for %.1f s.", self._key_name, seconds)
        self._paused_until = now + seconds

    def __str__(self) -> str:
        now = self.clock()
        tokens = list(self._tokens)
        pause = f", paused for {self._paused_until - now:.1f} s" if self._paused_until > now else ""
        free = sum(token <= now for token in tokens)
        waiting = sum(queue.waiting for queue in self._open_queues())
        bulk = sum(queue.bulk_waiting for queue in self._open_queues())
        paced = ", bulk is paced" if bulk and self._is_paced() else ""
        return f"{free} free, {self._limit - len(tokens)} in flight, {waiting} waiting{paced}{pause}"


class _Queue:
    """The calls that wait for a slot of one key in one event loop, and the timer that wakes the next one."""

    def __init__(self, window: _Window, loop: asyncio.AbstractEventLoop) -> None:
        self._window = window
        self._loop = loop
        self._interactive: OrderedDict[asyncio.Future[float], None] = OrderedDict()
        self._bulk: OrderedDict[asyncio.Future[float], None] = OrderedDict()
        self._interactive_in_a_row = 0
        self._bulk_since = 0.0  # when bulk got its last slot, or began to wait
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._abandoned = False

    @property
    def waiting(self) -> int:
        return len(self._interactive) + len(self._bulk)

    @property
    def bulk_waiting(self) -> int:
        return len(self._bulk)

    async def wait(self, priority: Priority) -> float:
        """Wait for a slot and return its token."""
        future: asyncio.Future[float] = self._loop.create_future()
        waiting_calls = self._interactive if priority == "interactive" else self._bulk
        if waiting_calls is self._bulk and not waiting_calls:
            self._bulk_since = self._window.clock()
        waiting_calls[future] = None
        self.serve()
        try:
            return await future
        except BaseException:  # GeneratorExit too, which comes if the loop is gone
            if future.done() and not future.cancelled():
                self.give_back(future.result())
            else:
                waiting_calls.pop(future, None)
                self.serve()
            raise

    def give_back(self, unused: float | None) -> None:
        """Give a slot back: pass its token if it was not used, None if its request has just ended."""
        if self._abandoned:
            return
        self._in_flight -= 1
        self._window.put_back(unused)
        self.serve()

    def abandon(self) -> int:
        """Return how many slots are in flight, and ignore those that are given back later."""
        self._abandoned = True
        return self._in_flight

    def serve(self) -> None:
        """Give out the free slots in the order of turns, and set the timer for the next slot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (self._interactive or self._bulk) and not self._loop.is_closed():
            bulk_is_due = self._interactive_in_a_row >= _BULK_TURN or self._window.is_over(self._bulk_since)
            bulk_turn = bool(self._bulk) and (not self._interactive or bulk_is_due)
            leaves_slots_free = bulk_turn and not bulk_is_due
            free_at = self._window.free_for_bulk_at() if leaves_slots_free else self._window.free_at()
            wait = free_at - self._window.clock()
            token = self._window.take() if wait <= 0 else None
            if token is None:
                self._timer = self._loop.call_later(max(wait, _LEAST_SLEEP), self.serve)
                return
            future, _ = (self._bulk if bulk_turn else self._interactive).popitem(last=False)
            if future.done():  # cancelled, but not yet removed from the queue
                self._window.put_back(token)
                continue
            self._interactive_in_a_row = self._interactive_in_a_row + 1 if self._bulk and not bulk_turn else 0
            if bulk_turn:
                self._bulk_since = self._window.clock()
            self._in_flight += 1
            future.set_result(token)
