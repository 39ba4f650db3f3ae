"""Make one call: wait for a connection and a slot, exchange, read the answer, and retry or return.

This module does not use aiohttp. `retry.py` decides what a failure means.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, ClassVar, Final, TypeVar, cast

from attrs import define, evolve
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire import headers, response, retry
from ticketsource_async._wire.advice import without_advice
from ticketsource_async._wire.request import Credentials, Request
from ticketsource_async._wire.response import Envelope
from ticketsource_async._wire.sending import Scope, SenderConfig, SkippedWaits, State
from ticketsource_async._wire.transport import Transport
from ticketsource_async.call_events import AttemptEvent, CallEvent, RetryEvent, WaitEvent
from ticketsource_async.models.base import Record
from ticketsource_async.models.reader import Refused, read_row
from ticketsource_async.ratelimit import Priority, RateLimiter

T = TypeVar("T", bound=Record)

_LOG: Final = logging.getLogger("ticketsource_async")
_READING_LOG: Final = logging.getLogger("ticketsource_async.reading")  # apart, because the command reports these itself
_LEAST_WAIT: Final = 0.001
_MOST_SERVER_WAITS: Final = 3600.0  # without a bound, a server that keeps asking to wait would be obeyed for ever
_MOST_PATHS: Final = 10_000


@define
class _Call:
    """The state of one call: enough to choose its error if it is cancelled, closed or out of time.

    `request`: the last attempt that was sent, or the first one if none was. `good_answers`: the number of good answers
    that the client had received before. `failures_alone`: how many attempts failed while other calls got good answers.
    `server_waits`: the seconds of waiting that the server asked for.
    """

    request: Request
    priority: Priority
    cancelling: int
    good_answers: int
    patient_with: Callable[[errors.TicketSourceError], bool]
    failures_alone: int = 0
    server_waits: float = 0.0
    in_flight: bool = False
    answer: Envelope | None = None
    moved: URL | None = None
    last: errors.TicketSourceError | None = None
    unknown: errors.TicketSourceError | None = None

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError if the task was cancelled since the call began."""
        task = asyncio.current_task()
        if task is not None and task.cancelling() > self.cancelling:
            raise asyncio.CancelledError

    def note(self, outcome: Envelope | errors.TicketSourceError) -> None:
        """Store how the attempt in flight ended."""
        self.in_flight = False
        if isinstance(outcome, Envelope):
            self.answer, self.moved = (outcome, None) if outcome.moved is None else (None, outcome.moved)
        elif retry.is_deleted(self.request, outcome, self.unknown):
            self.answer = Envelope(None, {}, self.request, 404)
        else:
            self.last = outcome
            if retry.may_have_taken_effect(self.request, outcome):
                self.unknown = outcome


class Sender:
    """Send requests and return the answers. Every call goes through here."""

    skipped_waits: ClassVar[list[SkippedWaits]] = []
    """The last entry applies to all senders of this process. The list is empty outside of tests."""

    def __init__(
        self, credentials: Credentials, transport: Transport, config: SenderConfig, state: State | None = None
    ) -> None:
        self.credentials = credentials
        self._transport = transport
        self._config = config
        self._state = State() if state is None else state

    def view(self, credentials: Credentials, **changes: Any) -> "Sender":
        """Return a sender with other credentials and settings that shares the transport and the state."""
        return Sender(credentials, self._transport, evolve(self._config, **changes), self._state)

    @property
    def closed(self) -> bool:
        """Whether the sender refuses further calls."""
        return self._state.closed

    def proxy(self) -> str | None:
        """Return the environment's proxy that calls use, without its password; None if they use none."""
        return self._transport.proxy_for(self.credentials.base_url)

    def url(self, *segments: str) -> URL:
        """Return the address of a path of the API."""
        return self.credentials.base_url.joinpath(*segments)

    async def call(
        self,
        priority: Priority,
        method: str,
        model: type[T],
        *segments: str,
        body: bytes | None = None,
        until: float | None = None,
    ) -> T:
        """Make a call and return its record.

        Except for a POST, the record must have the id in the last segment. `until` replaces the deadline of the policy:
        it is the event loop's time at which the call ends.
        """
        if until is None and (seconds := self._config.retry.deadline) is not None:
            until = asyncio.get_running_loop().time() + seconds
        request = Request(self.credentials, method, self.url(*segments), body)
        envelope = await self.send(request, priority, until)
        try:
            record = read_row(envelope.data, model)
        except Refused as error:
            refused = envelope.refused(error, model, envelope.data)
        else:
            if method != "POST" and record.id != segments[-1]:
                what = f"the requested record was {segments[-1]}"
                other = envelope.invalid(what, "$.data.id", resource=model.API_TYPE, record_id=record.id)
                raise retry.final_error(envelope.request, other, other if method == "PATCH" else None)
            if record.invalid:
                self.note_invalid(model.API_TYPE, record.invalid)
            return record
        if method == "PATCH":
            return await self._read_updated(refused, priority, model, *segments, until=until)
        raise refused

    async def _read_updated(
        self, refused: errors.InvalidResponse, priority: Priority, model: type[T], *segments: str, until: float | None
    ) -> T:
        """Read and return the record of an update whose answer had no record; the update is not sent again."""
        try:
            return await self.call(priority, "GET", model, *segments, until=until)
        except Exception as error:
            raise retry.updated_unread(refused, without_advice(error) or type(error).__name__) from error
        except asyncio.CancelledError as cancelled:
            cancelled.__cause__ = retry.updated_unread(refused, "the call was cancelled.")
            _LOG.warning("%s", cancelled.__cause__)
            raise

    async def delete(self, priority: Priority, *segments: str) -> None:
        """Delete the record at a path."""
        await self.send(Request(self.credentials, "DELETE", self.url(*segments)), priority)

    async def send(
        self,
        request: Request,
        priority: Priority = "interactive",
        until: float | None = None,
        *,
        patient_with: Callable[[errors.TicketSourceError], bool] = retry.is_outage,
    ) -> Envelope:
        """Send a request and return the envelope of its answer, or raise the error of the call.

        `until` replaces the deadline of the policy: it is the event loop's time at which the call ends. A "bulk" call
        is patient with the errors that `patient_with` accepts; see `RetryPolicy`.

        If the caller is cancelled while a write may have been carried out, the log has an `OutcomeUnknown`. The
        CancelledError has it as `__cause__`, unless code between here and the caller replaces the CancelledError.
        """
        task = asyncio.current_task()
        call = _Call(
            request, priority, 0 if task is None else task.cancelling(), self._state.good_answers, patient_with
        )
        seconds = self._config.retry.deadline
        timer = asyncio.timeout(seconds) if until is None else asyncio.timeout_at(until)
        try:
            async with self.until_closed(timer):
                await self._until_answered(call, timer)
        except TimeoutError:
            if not timer.expired():  # the limiter raised it
                raise
        except asyncio.CancelledError as cancelled:
            cancelled.__cause__ = self._outcome_unknown(call)
            raise
        if call.answer is not None:
            return call.answer
        if self._state.closed or seconds is None:
            raise retry.interrupted(call.request, call.unknown, "when the client was closed", in_flight=call.in_flight)
        raise retry.deadline_passed(call.request, seconds, call.last, call.unknown, in_flight=call.in_flight)

    @asynccontextmanager
    async def until_closed(self, timer: asyncio.Timeout) -> AsyncIterator[None]:
        """Run the body until it ends, the client is closed, or the timer expires.

        Raises TimeoutError if the client is closed or the timer expires first, and `ClientClosed` if the client is
        closed already.
        """
        if self._state.closed:
            self.check_open()
        scope = Scope(timer)
        self._state.scopes.add(scope)
        try:
            async with timer:
                yield
        finally:
            self._state.scopes.discard(scope)
            scope.ended.set()

    def _outcome_unknown(self, call: _Call) -> errors.OutcomeUnknown | None:
        """Return and log the error of a cancelled call if its write may have been carried out; else return None."""
        done = call.answer is not None  # the answer came at the moment of the cancellation
        error = retry.interrupted(call.request, call.unknown, "when it was cancelled", in_flight=call.in_flight or done)
        if not isinstance(error, errors.OutcomeUnknown):
            return None
        _LOG.warning("%s", error)
        return error

    async def _until_answered(self, call: _Call, timer: asyncio.Timeout) -> None:
        request = call.request
        while True:
            waiting = next(reversed(self.skipped_waits), None)
            policy, limiter, chance = self._config.retry, self._config.limiter, random.random()  # noqa: S311 - it is no secret
            if waiting is not None:
                policy, chance = evolve(policy, attempts=min(policy.attempts, waiting.attempts)), 1.0
                limiter = limiter if waiting.limiter else None
            await self._attempt(call, request, limiter)
            if call.answer is not None:
                self._state.good_answers, self._state.failing_since = self._state.good_answers + 1, None
                return
            if call.moved is not None:  # the request to the new address needs a slot of its own
                request, call.moved = evolve(request, url=call.moved, redirected=True), None
                continue
            failure = cast(errors.TicketSourceError, call.last)
            deadline, now = timer.when(), asyncio.get_running_loop().time()
            left = None if deadline is None else deadline - now
            patience = self._patience_left(call, failure, now)
            if waiting is not None and patience is not None:
                patience = 0.0
            wait = retry.wait_before_next(policy, request, failure, chance=chance, left=left, patience=patience)
            if limiter is not None and (seconds := retry.pause(policy, failure, wait)):
                await self._pause(limiter, seconds)
            if wait is None:
                raise retry.final_error(request, failure, call.unknown)
            if isinstance(failure, errors.APIError) and failure.retry_after is not None:
                call.server_waits = min(call.server_waits + wait, _MOST_SERVER_WAITS)
                patience = patience and patience + wait
            self._emit_retry(request, failure, wait, policy.attempts, now, patience)
            if waiting is not None:
                waiting.skipped.append(wait)
            await asyncio.sleep(wait if waiting is None else 0)
            request = evolve(request, attempt=request.attempt + 1)

    def _patience_left(self, call: _Call, failure: errors.TicketSourceError, now: float) -> float | None:
        """Return for how many seconds a failed call of a job may go on; None for a call of no job.

        A call gets no patience while other calls get answers, because then the cause lies in the call itself.
        """
        policy = self._config.retry
        if retry.is_outage(failure):
            # An old failure, after which no call was made, is not part of this outage.
            idle = now - self._state.failed_last > (policy.patience or 0) + policy.max_retry_after
            self._state.failing_since = now if self._state.failing_since is None or idle else self._state.failing_since
            self._state.failed_last = now
        if call.priority != "bulk" or not self._state.good_answers or policy.patience is None or policy.attempts == 1:
            return None
        if self._state.good_answers > call.good_answers and not isinstance(failure, errors.RateLimited):
            call.good_answers, call.failures_alone = self._state.good_answers, call.failures_alone + 1
        if (
            self._state.failing_since is None
            or call.failures_alone >= policy.attempts
            or not call.patient_with(failure)
        ):
            return 0.0
        return max(0.0, self._state.failing_since + policy.patience + call.server_waits - now)

    async def _attempt(self, call: _Call, request: Request, limiter: RateLimiter | None) -> None:
        asked_at = time.monotonic()
        interrupted: BaseException | None = None
        noted = False
        try:
            key, priority = self.credentials.limiter_key, call.priority
            slot = nullcontext() if limiter is None else limiter.slot(key=key, priority=priority)
            async with self._transport.connection(priority), slot:
                try:
                    call.raise_if_cancelled()  # the limiter may have ignored the cancellation
                    call.request, call.in_flight = request, True
                    call.note(await self._exchange(request, priority, time.monotonic() - asked_at))
                    noted = True
                except BaseException as error:
                    interrupted = error
                    raise
        except Exception as error:
            if error is interrupted:
                raise
            if noted or interrupted is not None:
                # The result of the call stays valid if the limiter fails afterwards.
                _LOG.exception("The rate limiter failed to take back the slot of %s, which has ended.", request)
            elif call.unknown is None:
                raise
            else:
                _LOG.exception("The rate limiter failed to give a slot to %s.", request)
                raise retry.final_error(call.request, cast(errors.TicketSourceError, call.last), call.unknown) from None
        if interrupted is not None:  # the slot ignored it, or raised another error instead
            raise interrupted

    async def _pause(self, limiter: RateLimiter, seconds: float) -> None:
        try:
            await limiter.pause(seconds, key=self.credentials.limiter_key)
        except Exception:  # noqa: BLE001 - no failure here may hide the result of the call
            _LOG.exception("The rate limiter failed to pause; the call goes on.")

    async def _exchange(
        self, request: Request, priority: Priority, waited: float
    ) -> Envelope | errors.TicketSourceError:
        on_event = self._config.on_event
        if on_event is not None and waited >= _LEAST_WAIT:
            self.emit(
                WaitEvent(
                    method=request.method,
                    path=request.url.path,
                    attempt=request.attempt,
                    waited=waited,
                    priority=str(priority),
                )
            )
        began, raw = time.monotonic(), None
        outcome: Envelope | errors.TicketSourceError
        try:
            raw = await self._transport.exchange(request, self._config.timeouts)
            outcome = response.read(request, raw)
        except errors.TicketSourceError as error:
            outcome = error
        elapsed = time.monotonic() - began
        status = None if raw is None else raw.status
        failed = type(outcome).__name__ if isinstance(outcome, errors.TicketSourceError) else None
        request_id = None
        if raw is not None and (on_event is not None or _LOG.isEnabledFor(logging.DEBUG)):
            request_id = headers.request_id(request, raw.headers)
        answered = f"{failed or status} (request id {request_id})" if request_id else failed or status
        _LOG.debug("%s: %s after %.3f s", request, answered, elapsed)
        if on_event is not None:
            self.emit(
                AttemptEvent(
                    method=request.method,
                    path=request.url.path,
                    attempt=request.attempt,
                    status=status,
                    error=failed,
                    elapsed=elapsed,
                    waited=waited,
                    quota_left=None if raw is None else headers.quota_left(raw.headers),
                    request_id=request_id,
                )
            )
        return outcome

    def _emit_retry(
        self,
        request: Request,
        error: errors.TicketSourceError,
        wait: float,
        most: int,
        now: float,
        patience: float | None,
    ) -> None:
        name = type(error).__name__
        bound = f"(at most {patience:.0f} s more)" if patience else f"of {most}"
        _LOG.info(
            "%s %s: attempt %d %s ended in %s. The next attempt is in %.1f s.",
            *(request.method, request.url.raw_path, request.attempt, bound, name, wait),
        )
        status = getattr(error, "status", None)
        self.emit(
            RetryEvent(
                method=request.method,
                path=request.url.path,
                attempt=request.attempt,
                status=status,
                error=name,
                wait=wait,
                failing_for=now - (now if self._state.failing_since is None else self._state.failing_since),
                patience=patience or None,
            )
        )

    def emit(self, event: CallEvent) -> None:
        """Call `on_event` with an event; if it raises, log that and go on."""
        if self._config.on_event is None:
            return
        try:
            self._config.on_event(event)
        except Exception:  # noqa: BLE001 - no failure here may end the call
            _LOG.exception("on_event raised an error for %s.", type(event).__name__)

    def note_invalid(self, resource: str, invalid: Mapping[str, object]) -> None:
        """Log once for each path that a value there could not be read; the value itself is not logged."""
        for path in invalid:
            if (resource, path) in self._state.logged_paths:
                continue
            whose = f"{resource}.{re.sub('[0-9]+(?=])', '', path)}"  # lines[3] and lines[4] are logged as one path
            if whose not in self._state.logged_names:
                _READING_LOG.warning(
                    "%s could not be read in a record. It is None there; `record.invalid` has the value.", whose
                )
            self._state.logged_names.add(whose)
            if len(self._state.logged_paths) < _MOST_PATHS:  # they only save the time to make `whose`
                self._state.logged_paths.add((resource, path))

    def check_open(self) -> None:
        """Raise `ClientClosed` after `aclose`."""
        if self.closed:
            raise errors.ClientClosed("This TicketSource client is closed: make a new one, or close it later.")

    async def aclose(self) -> None:
        """Refuse further calls, end the calls of this event loop, and close the transport."""
        self._state.closed = True
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        ongoing = [
            s for s in self._state.scopes if s.task is not None and s.task is not this and s.task.get_loop() is loop
        ]
        for scope in ongoing:
            if not scope.timer.expired():
                scope.timer.reschedule(loop.time())  # this ends the work without cancelling its task
        try:
            for scope in ongoing:
                await scope.ended.wait()
        finally:
            await self._transport.aclose()
