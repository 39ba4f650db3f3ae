"""One call: its waits, its attempts, its deadline and its events."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from loops import call, until
from mocked import KEY, ONCE
from talking import answer, says, server

from ticketsource_async import (
    AttemptEvent,
    CallEvent,
    ClientClosed,
    ConnectionLost,
    CustomerDraft,
    CustomerStore,
    LocalRateLimiter,
    OutcomeUnknown,
    PageEvent,
    RateLimit,
    RateLimited,
    RequestTimedOut,
    RetryEvent,
    RetryPolicy,
    ServerError,
    TicketSource,
    TicketSourceError,
    Timeouts,
    WaitEvent,
)
from ticketsource_async.ratelimit import Priority
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting


class Limiter:
    """A limiter that records its calls, and can be slow or fail."""

    def __init__(self, *, slow: float = 0.0, fails: str = "") -> None:
        self.said: list[object] = []
        self.held = 0
        self._slow = slow
        self._fails = fails

    @asynccontextmanager
    async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
        """Grant a slot after a while."""
        assert KEY not in key
        self.said.append(priority)
        await asyncio.sleep(self._slow)
        if self._fails == "enter":
            raise OSError("no limiter there")
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1
        if self._fails == "exit":
            raise OSError("no limiter there any more")

    async def pause(self, seconds: float, *, key: str) -> None:
        """Record the pause."""
        assert KEY not in key
        self.said.append(seconds)


class SuppressingLimiter(Limiter):
    """A limiter whose slot suppresses every exception."""

    @asynccontextmanager
    async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
        """Suppress the exceptions in the slot."""
        with suppress(Exception):
            yield


async def failure(work: Awaitable[object]) -> TicketSourceError:
    """Return the error that a call raises."""
    with pytest.raises(TicketSourceError) as caught:
        await work
    return caught.value


async def test_every_attempt_takes_its_own_slot_and_a_429_pauses_the_key(box: Sandbox) -> None:
    """No slot is held between two attempts. The pause is a second longer than asked."""
    limiter = Limiter()
    box.fail(status=429, headers={"Retry-After": "7"})
    box.fail(status=503)
    with no_waiting(limiter=True) as slept:
        async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
            await ts.customers.get(box.customers.ids()[0])
            await ts.customers.list().collect()

    assert slept == [8.0, 1.0]
    assert limiter.said == ["interactive", 8.0, "interactive", "interactive", "interactive"]
    assert limiter.held == 0


async def test_a_429_pauses_the_key_even_if_the_call_gives_up(box: Sandbox) -> None:
    """The 429 is the answer to the last attempt."""
    limiter = Limiter()
    box.fail(status=429, headers={"Retry-After": "7"})
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter, retry=ONCE) as ts:
        assert type(await failure(ts.customers.list().collect())) is RateLimited

    assert limiter.said == ["interactive", 8.0]


async def test_eight_clients_of_one_key_keep_to_one_limit() -> None:
    """The clients are open at the same time and one after another. The server never answers 429."""
    async with Sandbox(customers=1, rate_limit=(20, 0.5)) as box:

        async def work() -> None:
            for _ in range(2):
                async with TicketSource(box.api_key, base_url=box.url, rate_limit=RateLimit(20, per=0.5)) as ts:
                    await asyncio.gather(*(ts.customers.list().collect() for _ in range(5)))

        await asyncio.gather(*(work() for _ in range(8)))

        assert [request.status for request in box.requests] == [200] * 80


async def test_rate_limit_none_sends_more_requests_than_the_default_limit() -> None:
    """The default limit is 240 a minute."""
    async with Sandbox(customers=1, rate_limit=None) as box:
        async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
            await asyncio.gather(*(ts.customers.list().collect() for _ in range(300)))
        assert len(box.requests) == 300


@pytest.mark.virtual_time
async def test_the_wait_for_a_slot_or_a_connection_does_not_count_for_the_timeout(box: Sandbox) -> None:
    """Calls that wait longer than an attempt may take are answered."""
    limits = Timeouts(connect=0.9, response=1, total=1)
    async with TicketSource(
        box.api_key, base_url=box.url, limiter=Limiter(slow=0.8), timeouts=limits, max_connections=1, retry=ONCE
    ) as ts:
        await asyncio.gather(*(ts.customers.list().collect() for _ in range(3)))

    assert len(box.requests) == 3


async def test_a_wait_beyond_the_deadline_is_not_begun(box: Sandbox) -> None:
    """With five seconds left, a Retry-After of seven ends the call at once with its own error."""
    box.fail(status=429, headers={"Retry-After": "7"})
    with no_waiting() as slept:
        async with TicketSource(box.api_key, base_url=box.url, retry=RetryPolicy(deadline=5)) as ts:
            error = await failure(ts.customers.list().collect())

    assert isinstance(error, RateLimited)
    assert (error.retry_after, slept, len(box.requests)) == (7.0, [], 1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_deadline_reached_while_waiting_for_a_slot_names_the_slot(method: str) -> None:
    """Nothing was sent: the phase is "slot", for writes too."""
    async with TicketSource(KEY, limiter=Limiter(slow=3600), retry=RetryPolicy(deadline=0.05)) as ts:
        error = await failure(call(ts, method))

    assert isinstance(error, RequestTimedOut)
    assert (error.phase, error.seconds) == ("slot", 0.05)


@pytest.mark.virtual_time
async def test_a_deadline_reached_while_waiting_for_the_next_slot_raises_the_last_error(box: Sandbox) -> None:
    """The last error says more than the wait."""
    box.fail(status=503, times=None)

    class SlowThen(Limiter):
        @asynccontextmanager
        async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
            await asyncio.sleep(3600 if self.said else 0)
            self.said.append(key)
            yield

    policy = RetryPolicy(deadline=1, wait_initial=0.01)
    async with TicketSource(box.api_key, base_url=box.url, limiter=SlowThen(), retry=policy) as ts:
        error = await failure(ts.customers.list().collect())

    assert isinstance(error, ServerError)
    assert error.attempts == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(("method", "kind"), [("GET", RequestTimedOut), ("POST", OutcomeUnknown)])
async def test_a_deadline_reached_in_flight_is_a_timeout_or_an_unknown_outcome(
    method: str, kind: type[TicketSourceError]
) -> None:
    """A read times out. The outcome of a write is unknown."""
    policy = RetryPolicy(deadline=1)
    async with server(hang) as (url, seen), TicketSource(KEY, base_url=url, retry=policy) as ts:
        error = await failure(call(ts, method))

    assert type(error) is kind
    assert "its deadline of 1 s" in str(error)
    assert seen == [method]


@pytest.mark.virtual_time
async def test_asyncio_timeout_ends_a_call_that_waits_for_its_next_attempt(box: Sandbox) -> None:
    """The caller needs no deadline of this library."""
    box.fail(status=503, times=None)
    policy = RetryPolicy(attempts=100, wait_initial=60, wait_max=60)
    async with TicketSource(box.api_key, base_url=box.url, retry=policy) as ts:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ts.customers.list().collect()


async def test_a_write_keeps_its_answer_if_its_slot_cannot_be_released(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is an error in the log, and does not create a second customer."""
    async with TicketSource(box.api_key, base_url=box.url, limiter=Limiter(fails="exit")) as ts:
        karl = await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert karl.first_name == "Karl"
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        "POST /customers has ended, but the rate limiter failed to take its slot back."
    ]
    assert len(box.requests) == 1


async def test_a_limiter_that_cannot_grant_a_slot_ends_the_call_with_its_error(box: Sandbox) -> None:
    """Nothing is sent without a slot, and the connection is free again."""
    async with TicketSource(box.api_key, base_url=box.url, limiter=Limiter(fails="enter"), max_connections=1) as ts:
        for _ in range(2):
            with pytest.raises(OSError, match="no limiter there"):
                await ts.customers.list().collect()

    assert not box.requests


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing until the client disconnects."""
    await reader.read()


@pytest.mark.virtual_time
@pytest.mark.parametrize("limiter", [SuppressingLimiter(), Limiter(fails="exit")])
async def test_a_faulty_limiter_does_not_hide_a_timeout_or_a_deadline(limiter: Limiter) -> None:
    """The caller's timeout raises TimeoutError. A write in flight at its deadline has an unknown outcome."""
    async with server(hang) as (url, _):
        async with TicketSource(KEY, base_url=url, limiter=limiter) as ts:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await call(ts, "POST")
        async with TicketSource(KEY, base_url=url, limiter=limiter, retry=RetryPolicy(deadline=0.1)) as ts:
            assert type(await failure(call(ts, "POST"))) is OutcomeUnknown


@pytest.mark.virtual_time
async def test_an_answer_is_returned_even_if_the_deadline_ends_during_the_release_of_the_slot(box: Sandbox) -> None:
    """The created customer is returned, instead of an unknown outcome."""

    class SlowToTake(Limiter):
        @asynccontextmanager
        async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
            yield
            await asyncio.sleep(3600)

    policy = RetryPolicy(deadline=1)
    async with TicketSource(box.api_key, base_url=box.url, limiter=SlowToTake(), retry=policy) as ts:
        assert (await ts.customers.create(CustomerDraft(first_name="Karl"))).first_name == "Karl"


@pytest.mark.parametrize("where", ["pause", "enter"])
async def test_a_limiter_that_fails_later_does_not_hide_an_earlier_unknown_outcome(box: Sandbox, where: str) -> None:
    """An earlier attempt may have made the change, so the error is OutcomeUnknown."""

    class FailsLater(Limiter):
        @asynccontextmanager
        async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
            self.said.append(key)
            if where == "enter" and len(self.said) == 2:
                raise OSError("no limiter there any more")
            yield

        async def pause(self, seconds: float, *, key: str) -> None:
            raise OSError("no limiter there any more")

    box.fail(status=500)
    box.fail(status=429, headers={"Retry-After": "3600"}, times=None)
    with no_waiting(limiter=True):
        async with TicketSource(box.api_key, base_url=box.url, limiter=FailsLater()) as ts:
            error = await failure(call(ts, "PATCH"))

    assert isinstance(error, OutcomeUnknown)
    assert error.attempts == len(box.requests)


async def test_an_interactive_call_gets_a_connection_while_bulk_calls_wait(box: Sandbox) -> None:
    """While more bulk calls than connections wait for a slot, a single call takes one of the slots kept for it."""
    limiter = LocalRateLimiter(RateLimit(48, per=3600))
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter, max_connections=3) as ts:
        customer = box.customers.ids()[0]
        reading = asyncio.create_task(ts.customers.get_many([customer] * 60, concurrency=60).collect())
        await until(lambda: "1 free, 0 in flight, 2 waiting" in repr(limiter))
        await asyncio.wait_for(ts.customers.get(customer), 30)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_only_the_first_page_of_a_list_is_interactive(box: Sandbox, concurrency: int) -> None:
    """A user may wait for the first page. The others are a bulk job."""
    limiter = Limiter()
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        await ts.customers.list(per_page=1, concurrency=concurrency).collect()
        await ts.customers.list(per_page=1).first()

    assert limiter.said[0] == limiter.said[-1] == "interactive"
    assert set(limiter.said[1:-1]) == {"bulk"}


async def test_the_long_jobs_of_the_library_are_bulk(box: Sandbox, tmp_path: Path) -> None:
    """These are listings, bulk calls and syncs, and all calls of a client whose priority is bulk."""
    limiter = Limiter()
    async with (
        TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts,
        CustomerStore(tmp_path / "customers.db") as store,
    ):
        _ = [row async for row in ts.programme()]
        _ = [row async for row in ts.all_bookings()]
        _ = [change async for change in ts.customers.changes(store)]
        await ts.customers.get_many(box.customers.ids()).collect()
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter, priority="bulk") as job:
        await job.customers.list().first()
        await job.customers.get(box.customers.ids()[0])

    assert set(limiter.said) == {"bulk"}


async def test_every_attempt_wait_retry_and_page_has_an_event(box: Sandbox) -> None:
    """A list of two pages with one failure has nine events, with paths, attempts, times and the quota."""
    events: list[CallEvent] = []
    async with Sandbox(customers=25) as limited:
        limited.fail(page=2, status=503)
        with no_waiting(limiter=True):
            async with TicketSource(
                limited.api_key, base_url=limited.url, on_event=events.append, limiter=Limiter(slow=0.02)
            ) as ts:
                await ts.customers.list(per_page=20).collect()

    assert [type(event) for event in events] == [
        *(WaitEvent, AttemptEvent, PageEvent),
        *(WaitEvent, AttemptEvent, RetryEvent),
        *(WaitEvent, AttemptEvent, PageEvent),
    ]
    assert {(event.method, event.path) for event in events} == {("GET", "/customers")}
    waits = [event for event in events if isinstance(event, WaitEvent)]
    assert [(w.priority, type(w.priority)) for w in waits] == [("interactive", str), ("bulk", str), ("bulk", str)]
    attempts = [event for event in events if isinstance(event, AttemptEvent)]
    assert [(a.attempt, a.status, a.error, a.quota_left) for a in attempts] == [
        (1, 200, None, 239),
        (1, 503, "ServerError", None),
        (2, 200, None, 238),
    ]
    assert all(a.elapsed > 0 and a.waited >= 0.01 for a in attempts)
    retries = [event for event in events if isinstance(event, RetryEvent)]
    assert [(r.attempt, r.status, r.error, r.wait) for r in retries] == [(1, 503, "ServerError", 0.5)]
    pages = [event for event in events if isinstance(event, PageEvent)]
    assert [(p.page, p.rows) for p in pages] == [(1, 20), (2, 5)]


async def test_an_attempt_without_an_answer_has_no_status(box: Sandbox) -> None:
    """The event of a cut connection has the name of the error. There is one such event."""
    events: list[CallEvent] = []
    box.fail(cut="before")
    async with TicketSource(box.api_key, base_url=box.url, on_event=events.append, retry=ONCE, rate_limit=None) as ts:
        assert isinstance(await failure(ts.customers.get(box.customers.ids()[0])), ConnectionLost)

    (event,) = [event for event in events if isinstance(event, AttemptEvent)]
    assert (event.status, event.error, event.quota_left) == (None, "ConnectionLost", None)
    assert event.path == f"/customers/{box.customers.ids()[0]}"


async def test_an_on_event_that_raises_does_not_end_the_call(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """The write is done and its answer comes back; the log has the traceback."""

    def broken(_: CallEvent) -> None:
        raise LookupError("no such metric")

    async with TicketSource(box.api_key, base_url=box.url, on_event=broken) as ts:
        karl = await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert karl.first_name == "Karl"
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors[-1] == "on_event raised on AttemptEvent."  # a wait of the call may have come before it
    assert "no such metric" in caplog.text


async def test_the_log_is_empty_on_success_and_has_one_line_per_retry(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The level is INFO. The line has the call without its query, the attempt, the reason and the wait."""
    caplog.set_level(logging.INFO, "ticketsource_async")
    with no_waiting():
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            await ts.customers.list().collect()
            assert not caplog.records
            box.fail(status=502, html=True)
            await ts.customers.list().collect()

    assert [r.getMessage() for r in caplog.records] == [
        "GET /customers: attempt 1 of 4 ended in ServerError, the next is in 0.5 s."
    ]


async def test_a_call_succeeds_after_the_server_closed_a_kept_connection() -> None:
    """The server closes it between two calls."""
    good = answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {}}}', keep=True)
    with no_waiting():
        async with server(says(good)) as (url, seen), TicketSource(KEY, base_url=url) as ts:
            await ts.customers.get("cst-1")
            await ts.customers.get("cst-1")

    assert seen == ["GET", "GET"]


@pytest.mark.parametrize("way", ["close", "cancel", "deadline"])
async def test_a_slot_that_is_granted_after_the_end_of_a_call_sends_nothing(box: Sandbox, way: str) -> None:
    """The limiter suppresses the cancellation, and grants the slot too late."""
    asked = asyncio.Event()

    class Late(Limiter):
        @asynccontextmanager
        async def slot(self, *, key: str, priority: Priority) -> AsyncIterator[None]:
            asked.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            yield

    retry = RetryPolicy(attempts=1, deadline=0.05 if way == "deadline" else None)
    async with TicketSource(box.api_key, base_url=box.url, limiter=Late(), retry=retry) as ts:
        calling = asyncio.create_task(ts.customers.create(CustomerDraft(first_name="Karl")))
        await asked.wait()
        if way == "close":
            await ts.aclose()
        if way == "cancel":
            calling.cancel()
        with pytest.raises((ClientClosed, asyncio.CancelledError, RequestTimedOut)):
            await calling

    assert not box.requests
