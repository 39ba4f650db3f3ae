"""A client that is cancelled, closed, forked or deleted leaves no task, socket or warning."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loops import call, our_tasks, until
from processes import run_strictly, run_with
from talking import answer, read_request, server

from ticketsource_async import (
    ClientClosed,
    CustomerDraft,
    LocalRateLimiter,
    OutcomeUnknown,
    RateLimit,
    RetryPolicy,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async.sandbox import Sandbox

PATIENT = RetryPolicy(attempts=100, wait_initial=3600, wait_max=3600)


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def outcome(work: Awaitable[object]) -> tuple[str, int]:
    """Return the name of the error that a call ends with, and how often its task was cancelled."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await work
    except TicketSourceError as error:
        return type(error).__name__, task.cancelling()
    return "", 0


@pytest.mark.parametrize(
    ("method", "fault", "ends"),
    [
        ("GET", {"status": 503}, "ClientClosed"),
        ("POST", {"status": 429}, "ClientClosed"),
        ("PATCH", {"status": 429}, "ClientClosed"),
        ("PATCH", {"status": 503}, "OutcomeUnknown"),
        ("DELETE", {"cut": "before"}, "OutcomeUnknown"),
    ],
)
async def test_closing_ends_a_call_between_two_attempts(
    box: Sandbox, method: str, fault: dict[str, Any], ends: str
) -> None:
    """The call raises ClientClosed, or OutcomeUnknown if a write may have been done."""
    box.fail(**fault, times=None)
    retried = asyncio.Event()
    ts = TicketSource(
        box.api_key,
        base_url=box.url,
        retry=PATIENT,
        rate_limit=None,
        on_event=lambda event: retried.set() if type(event).__name__ == "RetryEvent" else None,
    )
    calling = asyncio.create_task(outcome(call(ts, method)))
    await retried.wait()
    await ts.aclose()

    assert await calling == (ends, 0)
    assert len(box.requests) == 1


async def test_closing_ends_the_calls_that_wait_for_a_slot(box: Sandbox) -> None:
    """They raise ClientClosed, and the limiter has no waiting call."""
    limiter = LocalRateLimiter(RateLimit(1, per=3600))
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as other:
        await other.customers.list().collect()
    ts = TicketSource(box.api_key, base_url=box.url, limiter=limiter, max_connections=2)
    calls = [asyncio.create_task(outcome(call(ts, method))) for method in ("GET", "POST", "PATCH", "DELETE")]
    await until(lambda: "2 waiting" in repr(limiter))
    await ts.aclose()

    assert await asyncio.gather(*calls) == [("ClientClosed", 0)] * 4
    assert "0 free, 0 in flight, 0 waiting" in repr(limiter)
    assert len(box.requests) == 1


async def test_aclose_returns_when_all_calls_have_ended(box: Sandbox) -> None:
    """No task of the client is left then. Two calls of `aclose` at once are allowed."""
    box.fail(slow=3600, times=None)
    before = our_tasks()
    ts = TicketSource(box.api_key, base_url=box.url)
    calls = [asyncio.create_task(outcome(ts.customers.list().collect())) for _ in range(5)]
    await until(lambda: len(box.requests) == 5)
    await asyncio.gather(ts.aclose(), ts.aclose())

    assert not ts._sender._state.scopes
    assert await asyncio.gather(*calls) == [("ClientClosed", 0)] * 5
    assert our_tasks() == before


async def test_a_cancelled_aclose_still_closes_the_client(box: Sandbox) -> None:
    """It is cancelled while it waits for calls to end."""
    box.fail(slow=3600)
    ts = TicketSource(box.api_key, base_url=box.url)
    calling = asyncio.create_task(outcome(ts.customers.list().collect()))
    await until(lambda: len(box.requests) == 1)
    closing = asyncio.create_task(ts.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert await calling == ("ClientClosed", 0)
    assert repr(ts).endswith("closed>")
    assert not ts._transport.open


@pytest.mark.parametrize("turns", range(1, 60, 3))
@pytest.mark.parametrize("work", ["list", "create"])
async def test_a_call_cancelled_at_any_moment_frees_its_connection_and_slot(
    box: Sandbox, turns: int, work: str
) -> None:
    """No task is left either."""
    limiter = LocalRateLimiter(RateLimit(240))
    before = our_tasks()
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter, max_connections=1) as ts:
        box.fail(status=503)
        work_ = ts.customers.list(per_page=1).collect() if work == "list" else call(ts, "POST")
        calling = asyncio.ensure_future(outcome(work_))
        for _ in range(turns):
            await asyncio.sleep(0)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)

        assert our_tasks() == before
        assert not ts._sender._state.scopes
        assert "in flight" not in repr(limiter) or "0 in flight, 0 waiting" in repr(limiter)
        assert await asyncio.wait_for(ts.customers.list().first(), 10)
    assert our_tasks() == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
async def test_a_hundred_closed_clients_leave_no_socket_and_no_task(box: Sandbox) -> None:
    """No client, session or connector is left either."""
    before, tasks = open_files(), our_tasks()

    async def open_and_close() -> None:
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            await ts.customers.list().first()

    for _ in range(100):
        await open_and_close()
    await until(lambda: open_files() <= before)
    gc.collect()

    assert our_tasks() == tasks
    alive = gc.get_objects()
    assert not [o for o in alive if isinstance(o, (TicketSource, aiohttp.ClientSession, aiohttp.BaseConnector))]


async def test_trace_configs_of_aiohttp_see_the_requests(box: Sandbox) -> None:
    """Libraries for instrumentation make such configs."""
    seen: list[str] = []

    async def start(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(f"{params.method} {params.url.path}")

    config = aiohttp.TraceConfig()
    config.on_request_start.append(start)
    async with TicketSource(box.api_key, base_url=box.url, trace_configs=[config]) as ts:
        await ts.customers.list().first()

    assert seen == ["GET /customers"]


EVERYTHING = """
import asyncio, gc, sys
from ticketsource_async import CustomerDraft, NotFound, TicketSource

async def main():
    async with TicketSource(sys.argv[2], base_url=sys.argv[1]) as ts:
        rows = [c async for c in ts.customers.list(per_page=10)]
        async for _ in ts.customers.list(per_page=10):
            break
        try:
            async with asyncio.timeout(0.001):
                await asyncio.gather(*(ts.customers.get(c) for c in rows))
        except TimeoutError:
            pass
        karl = await ts.customers.create(CustomerDraft(first_name="Karl"))
        await ts.customers.delete(karl)
        try:
            await ts.customers.get(karl)
        except NotFound:
            print(len(rows))
    gc.collect()

if len(sys.argv) > 3:
    import uvloop
    uvloop.run(main(), debug=True)
else:
    asyncio.run(main(), debug=True)
gc.collect()
"""

CLOSED_LOOP = """
import asyncio, gc, sys
from ticketsource_async import TicketSource

def use(ts):
    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(ts.customers.list().first()).id)
    loop.close()

ts = TicketSource(sys.argv[2], base_url=sys.argv[1])
use(ts)
use(ts)
gc.collect()
asyncio.run(ts.aclose())
del ts
gc.collect()
ts = TicketSource(sys.argv[2], base_url=sys.argv[1])
use(ts)
asyncio.run(ts.aclose())
del ts
gc.collect()
"""

FORK = """
import asyncio, gc, os, sys
from ticketsource_async import TicketSource

ts = TicketSource("skl-test", base_url=sys.argv[1])

async def get():
    return (await ts.customers.get("cst-1")).id

async def in_child():
    print("child", await get(), await get())
    await ts.aclose()

async def main():
    print("parent", await get())
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        gc.collect()
        asyncio.run(in_child())
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print("parent", await get())
    await ts.aclose()

asyncio.run(main())
gc.collect()
"""


@pytest.mark.parametrize("loop", [[], ["uvloop"]])
async def test_typical_calls_cause_no_warning_in_debug_mode(box: Sandbox, loop: list[str]) -> None:
    """Lists, breaks, timeouts, writes and errors print nothing on stderr, with asyncio's loop and with uvloop."""
    assert await run_strictly(EVERYTHING, box.url, box.api_key, *loop) == ("25\n", "")


DELETED = """
import asyncio, gc, sys
from ticketsource_async import TicketSource

ts = TicketSource(sys.argv[2], base_url=sys.argv[1])
loop = asyncio.new_event_loop()
print(loop.run_until_complete(ts.customers.list().first()).id)
loop.close()
gc.collect()
gc.disable()
gc.callbacks.append(lambda phase, info: print("collected"))
del ts
gc.callbacks.clear()
"""


async def test_deleting_a_client_starts_no_garbage_collection(box: Sandbox) -> None:
    """A collection would stop the program, although the client's loop was closed and the client was not."""
    out, err = await run_with("-c", DELETED, box.url, box.api_key, box=box)

    assert out.split() == [box.customers.ids()[0]]
    assert "Unclosed" not in err


async def test_a_session_of_a_closed_loop_is_dropped_without_a_warning(box: Sandbox) -> None:
    """The loop was closed while the client was open. The next loop gets a new session."""
    out, err = await run_strictly(CLOSED_LOOP, box.url, box.api_key)

    assert out.split() == [box.customers.ids()[0]] * 3
    assert err == ""


def same_answer(body: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a function that gives all requests of a connection the same answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(answer(body, keep=True))
            await read_request(reader)

    return talk


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_after_a_fork_parent_and_child_use_their_own_connections() -> None:
    """The child opens a new session. The parent uses its connection again."""
    body = b'{"data": {"id": "cst-1", "type": "customer", "attributes": {}}}'
    async with server(same_answer(body)) as (url, connections):
        out, err = await run_strictly(FORK, url)

    assert out.splitlines() == ["parent cst-1", "child cst-1 cst-1", "parent cst-1"]
    assert err == ""
    assert connections == ["GET", "GET"]


async def test_a_write_in_flight_at_aclose_has_an_unknown_outcome(box: Sandbox) -> None:
    """The error names the call: the customer may have been created."""
    box.fail(slow=3600)
    ts = TicketSource(box.api_key, base_url=box.url)
    calling = asyncio.create_task(ts.customers.create(CustomerDraft(first_name="Karl")))
    await until(lambda: len(box.requests) == 1 and box.requests[0].status is not None)
    await ts.aclose()

    with pytest.raises(OutcomeUnknown, match="POST /customers was in flight when the client was closed"):
        await calling
    with pytest.raises(ClientClosed):
        await ts.customers.list().first()
