"""Make a call for each of many inputs, a bounded number at a time. The failure of one call does not stop the others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypeVar, cast

from attrs import frozen

from ticketsource_async._mistakes import await_first, hint_for, unknown_option_error
from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.tasks import TasksAhead
from ticketsource_async.config import check_whole
from ticketsource_async.errors import (
    AccessBlocked,
    AuthenticationFailed,
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    InvalidResponse,
    LimiterUnavailable,
    OutcomeUnknown,
    RateLimited,
    RequestTimedOut,
    TicketSourceError,
)

In = TypeVar("In")
Out = TypeVar("Out")


_AFFECT_ALL_CALLS: Final = (
    AuthenticationFailed,
    AccessBlocked,
    RateLimited,
    ConnectFailed,
    LimiterUnavailable,
    ClientClosed,
    ConfigurationError,
)


def affects_all_calls(error: Exception) -> bool:
    """Say whether other calls would probably fail for the same reason."""
    if isinstance(error, RequestTimedOut):
        return error.phase in ("connect", "slot")
    return isinstance(error, _AFFECT_ALL_CALLS) or not isinstance(error, TicketSourceError)


@frozen
class Outcome(Generic[In, Out]):
    """How the call for one input ended. `index` is its place among the inputs; `value` counts if `error` is None."""

    index: int
    input: In
    """The input as you passed it."""
    value: Out | None = None
    error: Exception | None = None

    def unwrap(self) -> Out:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast(Out, self.value)


class Bulk(Generic[In, Out]):
    """Many calls, made while you loop over their outcomes: `async for outcome in bulk`. You can loop once.

    An input is read when there is room for its call, so there may be any number of them. If the inputs themselves raise
    an error, it is raised after the outcomes of all calls that had begun. If the client is closed, `ClientClosed` is
    raised in the same way.

    If you may leave the loop early, put `async with bulk:` around it. Then `undelivered` has the outcomes that the loop
    did not get, and for all other inputs nothing was sent.
    """

    def __init__(
        self,
        sender: Sender,
        inputs: Iterable[In] | AsyncIterable[In],
        call: Callable[[In], Coroutine[Any, Any, Out]],
        *,
        concurrency: int = 8,
        fail_fast: bool = False,
        serialize_by: Callable[[In], object] | None = None,
        **unknown: object,
    ) -> None:
        if unknown:
            raise unknown_option_error("bulk call", unknown, ("concurrency", "fail_fast"))
        check_whole("concurrency", concurrency, error=ValueError)
        if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable | AsyncIterable):
            kind = f"{type(inputs).__name__}{await_first(inputs)}"
            raise TypeError(f"a bulk call takes an iterable or async iterable of inputs, not {kind}")
        self._sender = sender
        self._inputs = inputs
        self._call = call
        self._fail_fast = fail_fast
        self._serialize_by = serialize_by
        self._latest: dict[object, asyncio.Task[Outcome[In, Out]]] = {}
        self._calls = TasksAhead[Outcome[In, Out]](concurrency)
        self._yielded_task: asyncio.Task[Outcome[In, Out]] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False
        self._closed_by: ClientClosed | None = None
        self._collected: list[Outcome[In, Out]] = []

    if not TYPE_CHECKING:  # the checkers find these mistakes

        def __getitem__(self, _: object) -> NoReturn:  # see `Pager`
            raise TypeError("a bulk call is made with `async for`, or all at once with `await bulk.collect()`")

        def __enter__(self) -> NoReturn:
            raise TypeError("a bulk call is opened with `async with`, not `with`")

        def __exit__(self, *_: object) -> None: ...

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(hint_for(type(self), name))

    @property
    def undelivered(self) -> list[Outcome[In, Out]]:
        """The outcomes that the loop did not get.

        If you left the loop early, these are the calls that had ended, and the writes that were cancelled. The error of
        such a write is in the log too: `OutcomeUnknown`, or `InvalidResponse` if an update was accepted and its record
        was being read. For all other inputs nothing was sent.
        """
        waiting = [task for task in self._calls.ended() if task is not self._yielded_task and not task.cancelled()]
        return [*self._collected, *(task.result() for task in waiting)]

    async def collect(self) -> list[Outcome[In, Out]]:
        """Make all calls and return their outcomes, in the order of the inputs.

        If it ends early, by a cancellation or an error, `undelivered` has the outcomes.
        """
        async with self:
            async for outcome in self:
                self._collected.append(outcome)
        collected, self._collected = self._collected, []
        return sorted(collected, key=lambda outcome: outcome.index)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncGenerator[Outcome[In, Out], None]:
        if self._reader is not None:
            raise ConfigurationError(
                "You can loop over a bulk call only once: a second loop would write twice. Make another."
            )
        reader = self._reader = asyncio.create_task(self._read())
        reader.add_done_callback(self._calls.wake)
        try:
            while self._calls or not reader.done():
                for task in self._calls.ended():
                    self._yielded_task = task
                    if not task.cancelled():
                        yield task.result()
                    self._calls.take(task)
                await self._calls.until(lambda: bool(self._calls.ended()) or (reader.done() and not self._calls))
            if self._closed_by is not None:
                raise self._closed_by
            if not self._stopped:
                reader.result()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Cancel the calls in progress, and return when they have ended; `undelivered` is complete then."""
        self._stop()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._calls.aclose()

    def _stop(self) -> None:
        """Begin no more calls, and cancel those in progress."""
        self._stopped = True
        if self._reader is not None:
            self._reader.cancel()
        self._calls.cancel()

    async def _read(self) -> None:
        """Begin the call for each input as soon as there is room for it."""
        timer = asyncio.timeout(None)
        try:
            async with self._sender.until_closed(timer):
                await self._begin_calls()
        except TimeoutError:
            if not timer.expired():  # the inputs raised it
                raise
        self._sender.check_open()

    async def _begin_calls(self) -> None:
        index = 0
        await self._calls.until(lambda: not self._calls.full)
        async with aclosing(iterate(self._inputs)) as inputs:
            async for item in inputs:
                self._sender.check_open()
                if self._stopped:  # the inputs may ignore the cancellation
                    return
                key = None if self._serialize_by is None else self._serialize_by(item)
                task = self._calls.start(self._one(index, item, self._latest.get(key)))
                if key is not None:
                    self._latest[key] = task
                    task.add_done_callback(partial(self._forget, key))
                index += 1
                await self._calls.until(lambda: not self._calls.full)

    def _forget(self, key: object, task: "asyncio.Task[Outcome[In, Out]]") -> None:
        if self._latest.get(key) is task:
            del self._latest[key]

    async def _one(self, index: int, item: In, before: "asyncio.Task[Outcome[In, Out]] | None") -> Outcome[In, Out]:
        error: Exception
        try:
            if before is not None:
                await asyncio.wait([before])
            return Outcome(index, item, value=await self._call(item))
        except asyncio.CancelledError as cancelled:
            if isinstance(cancelled.__cause__, OutcomeUnknown | InvalidResponse):
                error = cancelled.__cause__
            elif cast("asyncio.Task[object]", asyncio.current_task()).cancelling():
                raise  # no write was sent
            else:
                error = TicketSourceError("Something within the call cancelled it, such as a rate limiter.")
        except Exception as failure:  # noqa: BLE001 - any failure is the outcome of this input alone
            error = failure
        if isinstance(error, ClientClosed):
            self._closed_by = error
        if self._fail_fast or isinstance(error, ClientClosed):
            self._stop()
        return Outcome(index, item, error=error)


async def iterate(inputs: Iterable[In] | AsyncIterable[In]) -> AsyncGenerator[In, None]:
    """Yield the items of an iterable or an async iterable."""
    if not isinstance(inputs, AsyncIterable):
        for item in inputs:
            yield item
        return
    items = aiter(inputs)
    try:
        async for item in items:
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
