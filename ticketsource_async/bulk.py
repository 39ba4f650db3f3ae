"""One call for each of many inputs: bounded, as they complete, one failure spoiling nothing else."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeVar, cast

from attrs import frozen

from ticketsource_async._wire.sender import Sender, end
from ticketsource_async.errors import ClientClosed, ConfigurationError, OutcomeUnknown, TicketSourceError
from ticketsource_async.pagination import check_whole

In = TypeVar("In")
Out = TypeVar("Out")


@frozen
class Outcome(Generic[In, Out]):
    """How the call for one input ended: `value` counts if `error` is None; `index` is the place among the inputs."""

    index: int
    input: In
    value: Out | None = None
    error: Exception | None = None

    def unwrap(self) -> Out:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast(Out, self.value)


class Bulk(Generic[In, Out]):
    """Calls for many inputs, made as the outcomes are taken: `async for outcome in bulk`, once.

    Inputs are read when there is room for their calls, so their number does not matter. An error of the inputs
    themselves is raised when all that was started has come; `ClientClosed` likewise, if the client is closed meanwhile.

    If the loop may be left early, by `break` or by an error in its body, put it into `async with aclosing(bulk)` (of
    contextlib); a cancellation needs no such thing. Afterwards the inputs that the loop has not come to are untouched,
    and `unseen` has the rest.
    """

    def __init__(
        self,
        sender: Sender,
        inputs: Iterable[In] | AsyncIterable[In],
        call: Callable[[In], Coroutine[Any, Any, Out]],
        *,
        concurrency: int = 8,
        fail_fast: bool = False,
        in_turn: Callable[[In], object] | None = None,
    ) -> None:
        check_whole("concurrency", concurrency, 1)
        if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable | AsyncIterable):
            raise TypeError(f"many inputs are an iterable or async iterable, not a {type(inputs).__name__}")
        self._sender = sender
        self._inputs = inputs
        self._call = call
        self._fail_fast = fail_fast
        self._in_turn = in_turn
        self._latest: dict[object, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._done: deque[Outcome[In, Out]] = deque()
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def unseen(self) -> list[Outcome[In, Out]]:
        """The outcomes that the loop was not given, in the order they came.

        When it was left early, these are the calls that had ended, and the writes that were cut off in flight: their
        error is an `OutcomeUnknown`, which is in the log as well. All other inputs that the loop was not given are as
        they were.
        """
        return list(self._done)

    async def __aiter__(self) -> AsyncGenerator[Outcome[In, Out], None]:
        if self._reader is not None:
            raise ConfigurationError("A bulk call can be looped over once, or it would write twice: make another.")
        reader = self._reader = self._sender.start_until_closed(self._read())
        reader.add_done_callback(lambda _: self._news.set())
        try:
            while self._done or self._running or not reader.done():
                if self._done:
                    yield self._done.popleft()
                    self._room.release()
                else:
                    self._news.clear()
                    await self._news.wait()
            self._sender.check_open()
            if not self._stopped:
                reader.result()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """End what goes on, and return when it has ended; `unseen` is whole then."""
        self._stopped = True
        await end(self._begun())

    def _begun(self) -> "list[asyncio.Task[None]]":
        return [*self._running] if self._reader is None else [self._reader, *self._running]

    def _stop(self) -> None:
        """Begin no further call, and cut off those that go on."""
        self._stopped = True
        for task in self._begun():
            if task is not asyncio.current_task():
                task.cancel()

    async def _read(self) -> None:
        """Begin the call for each input as soon as there is room for it."""
        index = 0
        await self._room.acquire()
        async with aclosing(_each(self._inputs)) as inputs:
            async for item in inputs:
                self._sender.check_open()
                turn = None if self._in_turn is None else self._in_turn(item)
                task = self._sender.start(self._one(index, item, self._latest.get(turn)))
                self._running.add(task)
                task.add_done_callback(partial(self._forget, turn))
                if turn is not None:
                    self._latest[turn] = task
                index += 1
                await self._room.acquire()

    def _forget(self, turn: object, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if self._latest.get(turn) is task:
            del self._latest[turn]
        self._news.set()

    async def _one(self, index: int, item: In, before: "asyncio.Task[None] | None") -> None:
        error: Exception
        try:
            if before is not None:
                await asyncio.wait([before])
            self._done.append(Outcome(index, item, value=await self._call(item)))
        except asyncio.CancelledError as cancelled:
            if isinstance(cancelled.__cause__, OutcomeUnknown):
                error = cancelled.__cause__
            elif cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                raise  # and the input is untouched
            else:
                error = TicketSourceError("The call was cancelled by something within it, such as a limiter.")
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the outcome of this input alone
            error = failure
        else:
            return
        self._done.append(Outcome(index, item, error=error))
        if self._fail_fast or isinstance(error, ClientClosed):
            self._stop()


async def _each(inputs: Iterable[In] | AsyncIterable[In]) -> AsyncGenerator[In, None]:
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
