"""The limiter of one process: an exact log of the window.

Ours, because no library frees a slot by the answer or can pause. The server counts a request somewhere between its
start and its answer; a slot that is free again one window after the answer is therefore free no earlier than at the
server, however slow the network is, and no margin has to be guessed. (Only an attempt that was given up, by a timeout
or a cancellation, may still lie in a queue of the server and be counted later; a 429 then pauses.)
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
from ticketsource_async.ratelimit import PRIORITIES, Priority, no_priority
from ticketsource_async.ratelimit.pacing import SingleCalls, bulk_may_take_one_at, kept_free, step_of

_LOG: Final = logging.getLogger("ticketsource_async")
_BULK_TURN: Final = 9  # after so many interactive calls in a row, one bulk call that waits has its turn
_LOOKED_AT: Final = 2  # so many keys are looked at for each new one, or there could be more and more
_LEAST_SLEEP: Final = 0.001  # a timer that is due a rounding error too early must not spin


class LocalRateLimiter:
    """A `RateLimiter` for one process: at most `rate.limit` requests of a key in any `rate.per` seconds.

    Calls of one priority get slots in the order in which they ask. An interactive call takes the next free slot. Bulk
    calls leave one slot in 48 (5 of 240) free for interactive calls, and get at least one slot in ten. For ten minutes
    after an interactive call, bulk calls take half of the slots at once, and the others at even intervals until used
    slots are free again. docs/pages/understand/rate-limit.md shows it.

    It works in any number of event loops. It forgets a key that was not used for a window. `clock` is in seconds and
    never goes back.
    """

    def __init__(self, rate: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._per = rate.limit // rate.share, rate.per
        self._group = rate.group
        self.always_paces = rate.pace
        self.single_calls = SingleCalls()
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._in_turn: deque[str] = deque()  # the keys, in the order in which they are looked at to be forgotten

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot of this key to hold around one request: `async with limiter.slot(...)`."""
        if priority not in PRIORITIES:
            raise no_priority(priority)
        return self._hold(self._group or key, priority)

    @asynccontextmanager
    async def _hold(self, key: str, priority: Priority) -> AsyncIterator[None]:
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
        """Give out no slot of this key for so many seconds; a shorter pause does not end a longer one."""
        key = self._group or key
        (window := self._window(key)).pause(seconds)
        while window.forgotten_in == os.getpid():
            await asyncio.sleep(0)
            (window := self._window(key)).pause(seconds)

    def _window(self, key: str) -> "_Window":
        if (window := self._windows.get(key)) is None:
            self._forget_idle(_LOOKED_AT)
            whose = "this key" if self._group is None else f"a key of the group {self._group}"
            made = _Window(self._limit, self._per, self._clock, lambda: self._paces(key), whose)
            window = self._windows.setdefault(key, made)
            if window is made:
                self._in_turn.append(key)
        return window

    def _paces(self, key: str) -> bool:
        return self.always_paces or self.single_calls.expected_for(key, self._clock()) > 0

    def _forget_idle(self, most: int) -> None:
        """Look at so many keys, those that were not looked at for longest, and forget which nobody uses any more.

        Another thread may take a slot meanwhile. So a window is marked before it is looked at: a slot that is taken
        later, from a window with the mark, is given back, and one that was taken before shows that it is in use.
        """
        for _ in range(most):
            try:
                key = self._in_turn.popleft()
            except IndexError:
                return
            window = self._windows[key]
            window.forgotten_in = os.getpid()
            if window.idle:
                del self._windows[key]  # and the mark stays
            else:
                window.forgotten_in = 0
                self._in_turn.append(key)

    def __repr__(self) -> str:
        self._forget_idle(len(self._in_turn))
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
    limiter.always_paces = limiter.always_paces or rate.pace
    return limiter


class _Window:
    """The window of one key, as tokens: when each slot is free. Each one that is taken out is put back.

    Taking and putting are single operations on a deque, so that event loops in several threads share it without a lock.
    """

    def __init__(
        self, limit: int, per: float, clock: Callable[[], float], paces: Callable[[], bool], whose: str
    ) -> None:
        self.clock = clock
        self._whose = whose
        self._paces = paces
        self._limit, self._per = limit, per
        self._tokens = deque([-inf] * limit)
        self._taken_last = -inf
        self._paused_until = -inf
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._process = os.getpid()
        self.forgotten_in = 0  # the process that forgets it: in the child of a fork the mark of the parent says nothing

    @property
    def idle(self) -> bool:
        """Whether nobody uses or awaits this key, and nothing of its last use counts any more."""
        self._drop_dead()
        now = self.clock()
        at_rest = len(self._tokens) == self._limit and max(self._tokens) <= now and self._paused_until <= now
        return at_rest and not any(queue.waiting for queue in self._alive())

    def _alive(self) -> "list[_Queue]":
        return [queue for loop, queue in list(self._queues.items()) if not loop.is_closed()]

    def queue(self) -> "_Queue":
        """Return those who wait in the running event loop."""
        loop = asyncio.get_running_loop()
        if len(self._queues) != 1 or self._process != os.getpid() or loop not in self._queues:
            self._drop_dead()
        if (queue := self._queues.get(loop)) is None:
            queue = self._queues[loop] = _Queue(self, loop)
        return queue

    def _drop_dead(self) -> None:
        # Of a loop that was closed, and in the child of a fork of those of the parent, nobody puts a token back.
        forked = self._process != os.getpid()
        self._process = os.getpid()
        for loop in list(self._queues):
            if (forked or loop.is_closed()) and (queue := self._queues.pop(loop, None)):
                self._tokens.extend([self.clock() + self._per] * queue.abandon())

    def free_at(self) -> float:
        """Return when a slot will be free: exact, or earlier than that."""
        return self._more_free_at(0)

    def free_for_bulk_at(self) -> float:
        """Return when a bulk call may take a slot and leave enough to single calls: exact, or earlier than that."""
        now = self.clock()
        if (half_free_at := self._more_free_at(self._limit - self._limit // 2)) <= now:
            return half_free_at
        paced = self._paces()
        free_at = self._more_free_at(kept_free(self._limit, paced=paced))
        if free_at > now or not paced:
            return free_at
        tokens = list(self._tokens)
        in_flight_back = max(self._taken_last + self._per, tokens[-1])
        tokens += [in_flight_back] * (self._limit - len(tokens))
        back = tokens[bisect_right(tokens, now) :: step_of(self._limit)]
        return max(free_at, bulk_may_take_one_at(self._limit, back, self._taken_last))

    def _more_free_at(self, kept: int) -> float:
        try:
            soonest = self._tokens[kept]
        except IndexError:
            soonest = self.clock() + self._per
        return max(soonest, self._paused_until)

    def is_over(self, since: float) -> bool:
        """Say whether a whole window has passed since then."""
        return self.clock() - since > self._per

    def take(self) -> float | None:
        """Take out a token that is free, if there is one."""
        try:
            token = self._tokens.popleft()
        except IndexError:
            return None
        if token <= (now := self.clock()):
            self._taken_last = now
            return token
        self._tokens.appendleft(token)  # another thread was quicker
        return None

    def put_back(self, unused: float | None) -> None:
        """Put a token back: one that was not used as it was, else one for a request whose end is now."""
        if unused is None:
            self._tokens.append(self.clock() + self._per)
        else:
            self._tokens.appendleft(unused)

    def pause(self, seconds: float) -> None:
        now = self.clock()
        if not isfinite(seconds) or seconds <= 0 or now + seconds <= self._paused_until:
            return
        if self._paused_until <= now:
            _LOG.info("The API asks for a pause: no request with %s for %.1f s.", self._whose, seconds)
        self._paused_until = now + seconds

    def __str__(self) -> str:
        now = self.clock()
        tokens = list(self._tokens)
        pause = f", paused for {self._paused_until - now:.1f} s" if self._paused_until > now else ""
        free = sum(token <= now for token in tokens)
        waiting = sum(queue.waiting for queue in self._alive())
        bulk = sum(queue.bulk_waiting for queue in self._alive())
        paced = ", bulk is paced" if bulk and self._paces() else ""
        return f"{free} free, {self._limit - len(tokens)} in flight, {waiting} waiting{paced}{pause}"


class _Queue:
    """Those who wait for a slot of one key in one event loop, and the timer that wakes the next."""

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
        """Wait for a turn and return its token."""
        turn: asyncio.Future[float] = self._loop.create_future()
        line = self._interactive if priority == "interactive" else self._bulk
        if line is self._bulk and not line:
            self._bulk_since = self._window.clock()
        line[turn] = None
        self.serve()
        try:
            return await turn
        except BaseException:  # also GeneratorExit, if its loop is gone
            if turn.done() and not turn.cancelled():
                self.give_back(turn.result())
            else:
                line.pop(turn, None)
                self.serve()
            raise

    def give_back(self, unused: float | None) -> None:
        """Give a slot back: its token if it was not used, None if its request has ended now."""
        if self._abandoned:
            return
        self._in_flight -= 1
        self._window.put_back(unused)
        self.serve()

    def abandon(self) -> int:
        """Return how many slots are in flight, and take none of them back any more."""
        self._abandoned = True
        return self._in_flight

    def serve(self) -> None:
        """Give out the slots that are free, in the order of turns, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (self._interactive or self._bulk) and not self._loop.is_closed():
            overdue = self._interactive_in_a_row >= _BULK_TURN or self._window.is_over(self._bulk_since)
            bulk_turn = bool(self._bulk) and (not self._interactive or overdue)
            holds_back = bulk_turn and not overdue
            free_at = self._window.free_for_bulk_at() if holds_back else self._window.free_at()
            wait = free_at - self._window.clock()
            token = self._window.take() if wait <= 0 else None
            if token is None:
                self._timer = self._loop.call_later(max(wait, _LEAST_SLEEP), self.serve)
                return
            turn, _ = (self._bulk if bulk_turn else self._interactive).popitem(last=False)
            if turn.done():  # cancelled, and not yet gone from the line
                self._window.put_back(token)
                continue
            self._interactive_in_a_row = self._interactive_in_a_row + 1 if self._bulk and not bulk_turn else 0
            if bulk_turn:
                self._bulk_since = self._window.clock()
            self._in_flight += 1
            turn.set_result(token)
