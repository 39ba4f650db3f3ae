"""The way of one call: a free connection, a slot, one exchange, the answer read, and again or return.

No aiohttp here and no models. What a failure means is decided in `retry.py`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from attrs import define, frozen

from ticketsource_async import errors
from ticketsource_async._wire import protocol, retry
from ticketsource_async._wire.transport import Transport
from ticketsource_async.call_events import AttemptEvent, CallEvent, RetryEvent, WaitEvent
from ticketsource_async.config import RetryPolicy
from ticketsource_async.ratelimit import Priority, RateLimiter

_LOG: Final = logging.getLogger("ticketsource_async")
_WORTH_TELLING: Final = 0.001


@frozen
class Rules:
    """How a sender sends; clock, sleep and chance are here for tests to set."""

    policy: RetryPolicy
    limiter: RateLimiter | None
    max_connections: int
    on_event: Callable[[CallEvent], None] | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random


@define
class _Call:
    """Where a call stands: enough to say what is known of it whenever it is ended from outside."""

    request: protocol.Request
    priority: Priority
    deadline: float | None
    in_flight: bool = False
    last: errors.TicketSourceError | None = None
    unknown: errors.TicketSourceError | None = None


class Sender:
    """Send requests, at most `max_connections` at a time in each event loop."""

    def __init__(self, access: protocol.Access, transport: Transport, rules: Rules) -> None:
        self.access = access
        self._transport = transport
        self._rules = rules
        self._connections: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[asyncio.Task[protocol.Envelope]] = set()
        self.closed = False

    async def send(self, request: protocol.Request, priority: Priority = "interactive") -> protocol.Envelope:
        """Return what came in the envelope, or raise what went wrong."""
        self.check_open()
        seconds = self._rules.policy.deadline
        call = _Call(request, priority, None if seconds is None else self._rules.clock() + seconds)
        # A task of its own, so that `aclose` can end it without cancelling the caller's.
        task = asyncio.create_task(self._until_deadline(call))
        self._calls.add(task)
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 - a coroutine that awaits runs in a task
        cancelled_before = caller.cancelling()
        try:
            return await task
        except asyncio.CancelledError:
            if not self.closed or caller.cancelling() > cancelled_before:
                raise
        finally:
            self._calls.discard(task)
        raise retry.closed(call.request, call.unknown, in_flight=call.in_flight)

    async def _until_deadline(self, call: _Call) -> protocol.Envelope:
        seconds = self._rules.policy.deadline
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                return await self._until_answered(call)
        except TimeoutError:
            if seconds is None or not timer.expired():  # a limiter's own
                raise
        raise retry.out_of_time(call.request, seconds, call.last, call.unknown, in_flight=call.in_flight)

    async def _until_answered(self, call: _Call) -> protocol.Envelope:
        rules = self._rules
        while True:
            outcome = await self._attempt(call)
            if isinstance(outcome, protocol.Envelope):
                return outcome
            if retry.is_deleted(call.request, outcome, call.unknown):
                return protocol.Envelope(None, {}, call.request, 404)
            call.last = outcome
            if retry.fate_is_unknown(call.request, outcome):
                call.unknown = outcome
            left = None if call.deadline is None else call.deadline - rules.clock()
            wait = retry.wait_before_next(rules.policy, call.request, outcome, chance=rules.chance(), left=left)
            pause = retry.pause(rules.policy, outcome, wait)
            if pause and rules.limiter is not None:
                await rules.limiter.pause(pause, key=self.access.limiter_key)
            if wait is None:
                raise retry.verdict(call.request, outcome, call.unknown)
            self._tell_retry(call.request, outcome, wait)
            await rules.sleep(wait)
            call.request = call.request.again()

    async def _attempt(self, call: _Call) -> protocol.Envelope | errors.TicketSourceError:
        asked_at = self._rules.clock()
        outcome: protocol.Envelope | errors.TicketSourceError | None = None
        try:
            async with self._free_connection(), self._slot(call.priority):
                call.in_flight = True
                outcome = await self._exchange(call.request, self._rules.clock() - asked_at)
        except Exception:
            if outcome is None:
                raise
            # An answer is not given up because a limiter cannot take its slot back: the call would be made again.
            _LOG.exception("%s is done, but the rate limiter failed to take its slot back.", call.request)
        call.in_flight = False
        if outcome is None:
            raise errors.ConfigurationError("The limiter's slot swallows exceptions: let them through.")
        return outcome

    async def _exchange(self, request: protocol.Request, waited: float) -> protocol.Envelope | errors.TicketSourceError:
        if waited >= _WORTH_TELLING:
            self.tell(WaitEvent(method=request.method, path=request.url.path, attempt=request.attempt, waited=waited))
        began, response = self._rules.clock(), None
        outcome: protocol.Envelope | errors.TicketSourceError
        try:
            response = await self._transport.exchange(request)
            outcome = protocol.read(request, response)
        except errors.TicketSourceError as error:
            outcome = error
        elapsed = self._rules.clock() - began
        status = None if response is None else response.status
        failed = type(outcome).__name__ if isinstance(outcome, errors.TicketSourceError) else None
        _LOG.debug("%s: %s after %.3f s", request, failed or status, elapsed)
        self.tell(
            AttemptEvent(
                method=request.method,
                path=request.url.path,
                attempt=request.attempt,
                status=status,
                error=failed,
                elapsed=elapsed,
                waited=waited,
                quota_left=None if response is None else protocol.quota_left(response.headers),
            )
        )
        return outcome

    def _tell_retry(self, request: protocol.Request, error: errors.TicketSourceError, wait: float) -> None:
        name = type(error).__name__
        most = self._rules.policy.attempts
        _LOG.info(
            "%s %s: attempt %d of %d ended in %s, the next is in %.1f s.",
            *(request.method, request.url.path, request.attempt, most, name, wait),
        )
        status = getattr(error, "status", None)
        self.tell(
            RetryEvent(
                method=request.method,
                path=request.url.path,
                attempt=request.attempt,
                status=status,
                error=name,
                wait=wait,
            )
        )

    def tell(self, event: CallEvent) -> None:
        """Hand an event to `on_event`; if that raises, the call goes on and the log says so."""
        if self._rules.on_event is None:
            return
        try:
            self._rules.on_event(event)
        except Exception:  # noqa: BLE001 - whatever it is, the call must not end by it
            _LOG.exception("on_event raised on %s.", type(event).__name__)

    def _slot(self, priority: Priority) -> AbstractAsyncContextManager[None]:
        if self._rules.limiter is None:
            return nullcontext()
        return self._rules.limiter.slot(key=self.access.limiter_key, priority=priority)

    def _free_connection(self) -> asyncio.Semaphore:
        # Taken outside of the exchange, so that waiting for a connection eats nothing of its timeout. A semaphore
        # belongs to one event loop.
        loop = asyncio.get_running_loop()
        if self._connections is None or self._loop is not loop:
            self._connections, self._loop = asyncio.Semaphore(self._rules.max_connections), loop
        return self._connections

    def check_open(self) -> None:
        """Raise `ClientClosed` after `aclose`."""
        if self.closed:
            raise errors.ClientClosed("This TicketSource client is closed: make a new one, or close it later.")

    async def aclose(self) -> None:
        """Take no further call, end those that go on in this event loop, and close the transport."""
        self.closed = True
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        calls = [task for task in self._calls if task.get_loop() is loop and task is not this]
        for task in calls:
            task.cancel()
        try:
            if calls:
                await asyncio.wait(calls)
        finally:
            await self._transport.aclose()
