"""The way of one call: a free connection, a slot, one exchange, the answer read, and again or return.

No aiohttp here and no models. What a failure means is decided in `retry.py`.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, ClassVar, Final, TypeVar, cast

from attrs import define, evolve, frozen

from ticketsource_async import errors
from ticketsource_async._wire import protocol, retry
from ticketsource_async._wire.transport import Transport
from ticketsource_async.call_events import AttemptEvent, CallEvent, RetryEvent, WaitEvent
from ticketsource_async.config import RetryPolicy
from ticketsource_async.ratelimit import Priority, RateLimiter

T = TypeVar("T")

_LOG: Final = logging.getLogger("ticketsource_async")
_READING_LOG: Final = logging.getLogger("ticketsource_async.reading")  # apart, since the command tells of it itself
_WORTH_TELLING: Final = 0.001


@frozen
class Rules:
    """How a sender sends."""

    policy: RetryPolicy
    limiter: RateLimiter | None
    max_connections: int
    on_event: Callable[[CallEvent], None] | None


@define(eq=False)
class Waiting:
    """What to do instead of waiting, as `ticketsource_async.testing.no_waiting` says."""

    skipped: list[float]
    attempts: int
    limiter: bool


@define
class _Call:
    """Where a call stands: enough to say what is known of it whenever it is ended from outside.

    `request` is the attempt that was sent last, or is to be the first.
    """

    request: protocol.Request
    priority: Priority
    deadline: float | None
    in_flight: bool = False
    answer: protocol.Envelope | None = None
    last: errors.TicketSourceError | None = None
    unknown: errors.TicketSourceError | None = None

    def note(self, outcome: protocol.Envelope | errors.TicketSourceError) -> None:
        """Take down how the attempt in flight ended."""
        self.in_flight = False
        if isinstance(outcome, protocol.Envelope):
            self.answer = outcome
        elif retry.is_deleted(self.request, outcome, self.unknown):
            self.answer = protocol.Envelope(None, {}, self.request, 404)
        else:
            self.last = outcome
            if retry.fate_is_unknown(self.request, outcome):
                self.unknown = outcome


class Sender:
    """Send requests, at most `max_connections` at a time in each event loop."""

    instead_of_waiting: ClassVar[list[Waiting]] = []
    """The last one counts, for all senders of this process; the list is empty outside of tests."""

    def __init__(self, access: protocol.Access, transport: Transport, rules: Rules) -> None:
        self.access = access
        self._transport = transport
        self._rules = rules
        self._gates: dict[asyncio.AbstractEventLoop, tuple[asyncio.Semaphore, asyncio.Semaphore]] = {}
        self._calls: set[asyncio.Task[Any]] = set()
        self._helpers: set[asyncio.Task[Any]] = set()
        self._noted: set[tuple[str, str]] = set()
        self._told: set[str] = set()
        self.closed = False

    async def send(self, request: protocol.Request, priority: Priority = "interactive") -> protocol.Envelope:
        """Return what came in the envelope, or raise what went wrong.

        If the caller is cancelled while a write may have been done, the log says so, and `__cause__` of the
        CancelledError, as far as that is passed on.
        """
        self.check_open()
        seconds = self._rules.policy.deadline
        call = _Call(request, priority, None if seconds is None else asyncio.get_running_loop().time() + seconds)
        # A task of its own, so that `aclose` can end it without cancelling the caller's.
        task = self.start_until_closed(self._until_deadline(call))
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 - a coroutine that awaits runs in a task
        cancelled_before = caller.cancelling()
        try:
            return await task
        except asyncio.CancelledError as cancelled:
            if not self.closed or caller.cancelling() > cancelled_before:
                cancelled.__cause__ = self._unknown_to_caller(call)
                raise
        if call.answer is not None:
            return call.answer
        raise retry.ended(call.request, call.unknown, "when the client was closed", in_flight=call.in_flight)

    def _unknown_to_caller(self, call: _Call) -> errors.OutcomeUnknown | None:
        """Return, and log, that a write may have been done whose caller is cancelled; None if it was not."""
        done = call.answer is not None  # in the very moment of the cancellation
        error = retry.ended(call.request, call.unknown, "when it was cancelled", in_flight=call.in_flight or done)
        if not isinstance(error, errors.OutcomeUnknown):
            return None
        _LOG.warning("%s", error)
        return error

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work that does nothing but make calls: `aclose`, which ends these, waits for its end.

        Whoever begins it also has to `end` it.
        """
        return self._begin(work, self._helpers)

    def start_until_closed(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work that `aclose` cancels, since it may wait for something else than a call.

        Whoever begins it also has to `end` it.
        """
        return self._begin(work, self._calls)

    def _begin(self, work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _until_deadline(self, call: _Call) -> protocol.Envelope:
        seconds = self._rules.policy.deadline
        if seconds is None:
            return await self._until_answered(call)
        timer = asyncio.timeout_at(call.deadline)
        try:
            async with timer:
                return await self._until_answered(call)
        except TimeoutError:
            if not timer.expired():  # a limiter's own
                raise
        if call.answer is not None:
            return call.answer
        raise retry.out_of_time(call.request, seconds, call.last, call.unknown, in_flight=call.in_flight)

    async def _until_answered(self, call: _Call) -> protocol.Envelope:
        policy, request = self._policy(), call.request
        while True:
            await self._attempt(call, request)
            if call.answer is not None:
                return call.answer
            failure = cast(errors.TicketSourceError, call.last)
            left = None if call.deadline is None else call.deadline - asyncio.get_running_loop().time()
            waiting = self._instead_of_waiting()
            chance = random.random() if waiting is None else 1.0  # noqa: S311 - it is no secret
            wait = retry.wait_before_next(policy, request, failure, chance=chance, left=left)
            await self._pause(retry.pause(policy, failure, wait))
            if wait is None:
                raise retry.verdict(request, failure, call.unknown)
            self._tell_retry(request, failure, wait, policy.attempts)
            if waiting is not None:
                waiting.skipped.append(wait)
            await asyncio.sleep(wait if waiting is None else 0)
            request = request.again()

    def _instead_of_waiting(self) -> Waiting | None:
        latest = self.instead_of_waiting[-1:]  # a copy, since another thread may leave its block just now
        return latest[0] if latest else None

    def _policy(self) -> RetryPolicy:
        policy, waiting = self._rules.policy, self._instead_of_waiting()
        return policy if waiting is None else evolve(policy, attempts=min(policy.attempts, waiting.attempts))

    def _limiter(self) -> RateLimiter | None:
        waiting = self._instead_of_waiting()
        return self._rules.limiter if waiting is None or waiting.limiter else None

    async def _attempt(self, call: _Call, request: protocol.Request) -> None:
        asked_at = time.monotonic()
        interrupted: BaseException | None = None
        noted = False
        try:
            own, everybody = self._free_connection(call.priority)
            async with own, everybody, self._slot(call.priority):
                call.request, call.in_flight = request, True
                try:
                    call.note(await self._exchange(request, time.monotonic() - asked_at))
                    noted = True
                except BaseException as error:
                    interrupted = error
                    raise
        except Exception as error:
            if error is interrupted:
                raise
            if noted or interrupted is not None:
                # What is known of the call is not given up because a limiter fails afterwards.
                _LOG.exception("%s has ended, but the rate limiter failed to take its slot back.", request)
            elif call.unknown is None:
                raise
            else:
                _LOG.exception("The rate limiter failed to give a slot to %s.", request)
                raise retry.verdict(call.request, cast(errors.TicketSourceError, call.last), call.unknown) from None
        if interrupted is not None:  # the slot has swallowed it, or failed in its place
            raise interrupted

    async def _pause(self, seconds: float) -> None:
        limiter = self._limiter()
        if not seconds or limiter is None:
            return
        try:
            await limiter.pause(seconds, key=self.access.limiter_key)
        except Exception:  # noqa: BLE001 - whatever it is, what is known of the call must not be lost by it
            _LOG.exception("The rate limiter failed to pause; the call goes on.")

    async def _exchange(self, request: protocol.Request, waited: float) -> protocol.Envelope | errors.TicketSourceError:
        if waited >= _WORTH_TELLING:
            self.tell(WaitEvent(method=request.method, path=request.url.path, attempt=request.attempt, waited=waited))
        began, response = time.monotonic(), None
        outcome: protocol.Envelope | errors.TicketSourceError
        try:
            response = await self._transport.exchange(request)
            outcome = protocol.read(request, response)
        except errors.TicketSourceError as error:
            outcome = error
        elapsed = time.monotonic() - began
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

    def _tell_retry(self, request: protocol.Request, error: errors.TicketSourceError, wait: float, most: int) -> None:
        name = type(error).__name__
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
        limiter = self._limiter()
        if limiter is None:
            return nullcontext()
        return limiter.slot(key=self.access.limiter_key, priority=priority)

    def _free_connection(self, priority: Priority) -> tuple[AbstractAsyncContextManager[None], asyncio.Semaphore]:
        # Taken outside of the exchange, so that waiting for a connection eats nothing of its timeout. Bulk leaves one
        # connection to interactive calls, or these would wait for a slot behind it. Semaphores belong to a loop.
        loop = asyncio.get_running_loop()
        if loop not in self._gates:
            self._gates = {other: gates for other, gates in self._gates.items() if not other.is_closed()}
            for tasks in (self._calls, self._helpers):
                tasks.difference_update([task for task in tasks if task.get_loop().is_closed()])
            most = self._rules.max_connections
            self._gates[loop] = asyncio.Semaphore(most), asyncio.Semaphore(max(1, most - 1))
        everybody, bulk = self._gates[loop]
        return bulk if priority == "bulk" else nullcontext(), everybody

    def note_invalid(self, resource: str, invalid: Mapping[str, object]) -> None:
        """Log, once for each path, that values of records of this kind could not be read; the values are not told."""
        for path in invalid:
            if (resource, path) in self._noted:
                continue
            whose = f"{resource}.{re.sub('[0-9]+(?=])', '', path)}"  # lines[3] and lines[4] are told together
            if whose not in self._told:
                _READING_LOG.warning(
                    "%s could not be read in a record: it is None there, `record.invalid` has it.", whose
                )
            self._noted.add((resource, path))
            self._told.add(whose)

    def check_open(self) -> None:
        """Raise `ClientClosed` after `aclose`."""
        if self.closed:
            raise errors.ClientClosed("This TicketSource client is closed: make a new one, or close it later.")

    async def aclose(self) -> None:
        """Take no further call, end those that go on in this event loop, and close the transport."""
        self.closed = True
        calls = _others(self._calls)
        for task in calls:
            task.cancel()
        try:
            if calls:
                await asyncio.wait(calls)
            if helpers := _others(self._helpers):
                await asyncio.wait(helpers)
        finally:
            await self._transport.aclose()


def _others(tasks: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    return [task for task in tasks if task.get_loop() is loop and task is not this]


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when they have ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
