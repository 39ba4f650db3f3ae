"""The limiter of one process: it keeps the limit, serves every call and forgets unused keys."""

import asyncio
import gc
import os
import sys
import threading
from collections import Counter, deque
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from attrs import define
from hypothesis import given, settings, strategies as st
from loops import VirtualLoop

from ticketsource_async import LocalRateLimiter, RateLimit, RateLimiter
from ticketsource_async.ratelimit.local import shared

PER = 60.0


def limiter_of(limit: int, loop: asyncio.AbstractEventLoop, *, pace: bool = False) -> LocalRateLimiter:
    """Return a limiter on the time of a loop."""
    return LocalRateLimiter(RateLimit(limit, per=PER, pace=pace), clock=loop.time)


def run(main: Coroutine[object, object, None], loop: VirtualLoop) -> None:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)


@define
class Caller:
    """One request: when it asks for a slot, how long it takes, when the server counts it, and when it gives up."""

    asks: float
    latency: float
    counted: float
    gives_up: float | None
    priority: Literal["interactive", "bulk"]
    key: str = "key"
    started: float | None = None
    arrived: float | None = None
    given_up: bool = False


async def call(caller: Caller, limiter: RateLimiter, asked: list[Caller], granted: list[Caller]) -> None:
    """Make the request. The server counts it at some moment between its start and its end."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(caller.asks)
    asked.append(caller)
    try:
        async with asyncio.timeout(caller.gives_up), limiter.slot(key=caller.key, priority=caller.priority):
            caller.started = loop.time()
            granted.append(caller)
            try:
                await asyncio.sleep(caller.latency)
            finally:
                caller.arrived = caller.started + caller.counted * (loop.time() - caller.started)
    except TimeoutError:
        caller.given_up = True


async def make(callers: list[Caller], limiter: RateLimiter) -> tuple[list[Caller], list[Caller]]:
    """Make all requests; return them as they asked and as they started."""
    asked: list[Caller] = []
    granted: list[Caller] = []
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(call(caller, limiter, asked, granted))
    return asked, granted


def most_in_a_window(callers: list[Caller]) -> int:
    """Return the most requests that the server counted in any window."""
    window: deque[float] = deque()
    most = 0
    for arrived in sorted(caller.arrived for caller in callers if caller.arrived is not None):
        window.append(arrived)
        while arrived - window[0] >= PER - 1e-6:
            window.popleft()
        most = max(most, len(window))
    return most


seconds = st.one_of(st.just(0.0), st.floats(0, 2), st.floats(0, 200))
callers_of_one_key = st.lists(
    st.builds(
        Caller,
        asks=seconds,
        latency=seconds,
        counted=st.floats(0, 1),
        gives_up=st.one_of(st.none(), seconds),
        priority=st.sampled_from(["interactive", "bulk"]),
    ),
    max_size=150,
)


@settings(max_examples=200, deadline=None)
@given(callers=callers_of_one_key, limit=st.integers(1, 100), pace=st.booleans())
def test_no_window_exceeds_the_limit_and_every_call_is_served(callers: list[Caller], limit: int, pace: bool) -> None:
    """Calls ask at any time, take any time, and may give up. The others are served in their order."""

    async def main() -> None:
        limiter = limiter_of(limit, loop, pace=pace)
        asked, _ = await make(callers, limiter)

        assert most_in_a_window(callers) <= limit
        assert all(caller.started is not None for caller in callers if not caller.given_up)
        for priority in ("interactive", "bulk"):
            # Of the calls of one moment, a new one may start before those that must first be woken.
            starts = [c.started for c in asked if c.priority == priority and c.started is not None]
            assert starts == sorted(starts)
        await asyncio.sleep(PER)
        assert repr(limiter) == f"<LocalRateLimiter {limit} per 60 s>"

    loop = VirtualLoop()
    run(main(), loop)


@settings(max_examples=25, deadline=None)
@given(
    latencies=st.lists(st.floats(0, 3), min_size=1, max_size=20),
    slow=st.sampled_from([0.0, 0.0, 5.0, 20.0, 90.0]),
    counted=st.floats(0, 1),
    priority=st.sampled_from(["interactive", "bulk"]),
)
def test_waiting_calls_use_nearly_the_whole_quota(
    latencies: list[float], slow: float, counted: float, priority: Literal["interactive", "bulk"]
) -> None:
    """They use at least 95 % at latencies up to 3 s, and 99 % of what longer latencies allow. Bulk has 235."""
    callers = [Caller(0, slow + latencies[n % len(latencies)], counted, None, priority) for n in range(240 * 4)]

    async def main() -> None:
        await make(callers, limiter_of(240, loop))

    loop = VirtualLoop()
    run(main(), loop)

    worst = max(caller.latency for caller in callers)
    share = 0.95 if worst <= 3 else 0.99 * PER / (PER + worst)
    quota = 240 if priority == "interactive" else 235
    begun = sorted(caller.started or 0.0 for caller in callers)
    whole_rounds = begun[quota * 3] - begun[0]
    assert quota * 3 / (whole_rounds / PER) >= share * quota
    assert most_in_a_window(callers) <= quota


@pytest.mark.parametrize("latency", [0.05, 3.0])
def test_six_hundred_calls_take_two_windows(latency: float) -> None:
    """600 calls at 240 a minute: the third round begins two windows and two latencies after the first."""
    callers = [Caller(0, latency, 0.5, None, "interactive") for _ in range(600)]

    async def main() -> None:
        await make(callers, limiter_of(240, loop))

    loop = VirtualLoop()
    run(main(), loop)

    assert max(caller.started or 0.0 for caller in callers) == pytest.approx(2 * (PER + latency), abs=0.01)


def test_bulk_leaves_five_of_240_slots_to_interactive_calls() -> None:
    """While 300 bulk calls wait, five interactive calls start at once, and the sixth gets the next slot."""
    bulk = [Caller(0, 0.1, 0.5, None, "bulk") for _ in range(300)]
    interactive = [Caller(1 + n, 0.1, 0.5, None, "interactive") for n in range(6)]

    async def main() -> None:
        await make([*bulk, *interactive], limiter_of(240, loop))

    loop = VirtualLoop()
    run(main(), loop)

    assert sum(caller.started == 0 for caller in bulk) == 235
    assert [caller.started for caller in interactive[:5]] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert interactive[5].started == pytest.approx(PER + 0.1, abs=0.01)
    assert min(caller.started for caller in bulk if caller.started) >= PER + 0.1


def test_bulk_gets_one_slot_in_ten_while_interactive_calls_wait() -> None:
    """With both waiting all the time, nine interactive calls go before each bulk call."""
    callers = [Caller(0, 0.1, 0.5, None, "interactive") for _ in range(200)]
    callers += [Caller(0, 0.1, 0.5, None, "bulk") for _ in range(20)]
    served: list[Caller] = []

    async def main() -> None:
        served.extend((await make(callers, limiter_of(20, loop)))[1])

    loop = VirtualLoop()
    run(main(), loop)

    later = [caller.priority for caller in served[20:180]]  # the first window was taken before any bulk call asked
    assert max(len(run) for run in "".join(p[0] for p in later).split("b")) == 9
    assert later.count("bulk") == 16


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    """The other calls are served in their order."""
    limiter = LocalRateLimiter(RateLimit(1, per=0.05))
    started: list[int] = []

    async def one(number: int) -> None:
        async with limiter.slot(key="k", priority="interactive"):
            started.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(5)]
    await asyncio.sleep(0)
    for number in (1, 3):
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert started == [0, 2, 4]


async def test_the_slot_of_a_task_that_is_cancelled_before_it_runs_is_free_again() -> None:
    """The slot is granted and the task is cancelled in the same iteration of the event loop."""
    clock = [0.0]
    limiter = LocalRateLimiter(RateLimit(1, per=60), clock=lambda: clock[0])
    async with limiter.slot(key="k", priority="bulk"):
        pass

    async def wait() -> None:
        async with limiter.slot(key="k", priority="bulk"):
            raise AssertionError("it never came to that")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    clock[0] = 60.0
    limiter._windows["k"].queue().serve()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async with asyncio.timeout(10), limiter.slot(key="k", priority="bulk"):
        assert "0 free, 1 in flight, 0 waiting" in repr(limiter)


def test_a_pause_stops_all_calls_of_its_key_and_no_others() -> None:
    """A shorter pause does not end it, and a pause of an invalid length has no effect."""
    paused = [Caller(n, 0.1, 0.5, None, "interactive") for n in range(5)]
    free = [Caller(n, 0.1, 0.5, None, "interactive", key="other") for n in range(5)]

    async def main() -> None:
        limiter = limiter_of(240, loop)
        await limiter.pause(30, key="key")
        await limiter.pause(10, key="key")
        for nonsense in (-5.0, 0.0, float("nan"), float("inf")):
            await limiter.pause(nonsense, key="key")
        assert "paused for 30.0 s" in repr(limiter)
        await make([*paused, *free], limiter)

    loop = VirtualLoop()
    run(main(), loop)

    assert [caller.started for caller in paused] == [pytest.approx(30.0, abs=0.01)] * 5
    assert [caller.started for caller in free] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_repeated_pauses_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ten answers 429 at once are one pause, and the key is not in the line."""
    caplog.set_level("INFO")
    limiter = LocalRateLimiter(RateLimit(240))

    async def main() -> None:
        for _ in range(10):
            await limiter.pause(5, key="secret")

    asyncio.run(main())

    assert [r.getMessage() for r in caplog.records] == ["The API asks for a pause: no request with this key for 5.0 s."]


def test_a_limiter_keeps_its_count_after_its_event_loop_is_closed() -> None:
    """Slots used in one loop count in the next, even if the first was closed with a waiting call."""
    clock = [0.0]
    limiter = LocalRateLimiter(RateLimit(2, per=60), clock=lambda: clock[0])

    async def hold() -> None:
        async with limiter.slot(key="k", priority="interactive"):
            await asyncio.Event().wait()

    async def start() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.sleep(0.01)
        return tasks

    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(start())
    assert "0 free, 2 in flight, 1 waiting" in repr(limiter)
    loop.set_exception_handler(lambda *_: None)  # asyncio reports tasks that were dropped while they waited
    loop.close()

    async def wait_a_window() -> None:
        limiter._windows["k"].queue()  # here the limiter notices that the loop is closed
        clock[0] = 61.0

    async def use_both() -> None:
        async with limiter.slot(key="k", priority="interactive"), limiter.slot(key="k", priority="interactive"):
            assert "0 free, 2 in flight, 0 waiting" in repr(limiter)

    asyncio.run(wait_a_window())
    asyncio.run(use_both())
    while tasks:
        tasks.pop()._log_destroy_pending = False  # type: ignore[attr-defined]  # no other way to drop a task quietly
    gc.collect()
    assert "0 in flight, 0 waiting" in repr(limiter)


def test_two_event_loops_in_threads_share_one_limit() -> None:
    """They make 30 calls, and no window has more than ten."""
    limiter = LocalRateLimiter(RateLimit(10, per=0.4))
    loop_of_time = asyncio.new_event_loop()
    starts: list[float] = []

    async def burst() -> None:
        async def one() -> None:
            async with limiter.slot(key="k", priority="interactive"):
                starts.append(loop_of_time.time())

        await asyncio.gather(*(one() for _ in range(15)))

    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, burst()) for _ in range(2)))

    asyncio.run(both())
    loop_of_time.close()

    starts.sort()
    assert len(starts) == 30
    assert all(later - earlier >= 0.4 for earlier, later in zip(starts, starts[10:], strict=False))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_the_slots_in_flight_are_counted_as_used() -> None:
    """The child cannot release the parent's slots. They are free one window after the fork."""
    clock = [0.0]
    limiter = LocalRateLimiter(RateLimit(3, per=60), clock=lambda: clock[0])

    async def parent() -> int:
        async with limiter.slot(key="k", priority="interactive"):
            if (child := os.fork()) == 0:
                os._exit(0 if in_child() else 1)
            return child

    def in_child() -> bool:
        async def look() -> bool:
            async with limiter.slot(key="k", priority="interactive"):
                before = repr(limiter)
            clock[0] = 120.0
            async with limiter.slot(key="k", priority="interactive"):
                return "1 free, 1 in flight" in before and "2 free, 1 in flight" in repr(limiter)

        return asyncio.run(look())

    _, status = os.waitpid(asyncio.run(parent()), 0)
    assert os.waitstatus_to_exitcode(status) == 0


async def test_a_slot_counts_when_it_is_entered_not_when_it_is_created() -> None:
    """The limiter may have forgotten the key between the two."""
    limiter = LocalRateLimiter(RateLimit(2, per=3600))
    early = [limiter.slot(key="k", priority="interactive") for _ in range(2)]
    assert repr(limiter) == "<LocalRateLimiter 2 per 3600 s>"

    async with early[0], early[1]:
        assert "0 free, 2 in flight" in repr(limiter)


async def test_a_key_is_forgotten_one_window_after_its_last_use() -> None:
    """The repr shows the beginning of the hash of each used key. A new key removes the unused ones."""
    clock = [0.0]
    limiter = LocalRateLimiter(RateLimit(2, per=60), clock=lambda: clock[0])
    for key in ("a" * 64, "b" * 64):
        async with limiter.slot(key=key, priority="bulk"):
            pass
    assert repr(limiter) == (
        "<LocalRateLimiter 2 per 60 s, key aaaaaaaa: 1 free, 0 in flight, 0 waiting, "
        "key bbbbbbbb: 1 free, 0 in flight, 0 waiting>"
    )

    clock[0] = 60.0
    async with limiter.slot(key="c", priority="bulk"):
        assert list(limiter._windows) == ["c"]


async def test_the_cost_of_a_new_key_does_not_grow_with_the_number_of_keys() -> None:
    """Each new key looks at a few windows only, and yet all unused keys are forgotten."""
    times, now = [0], [0.0]

    def clock() -> float:
        times[0] += 1
        return now[0]

    limiter = LocalRateLimiter(RateLimit(2, per=60), clock=clock)

    async def use(key: str) -> int:
        before = times[0]
        async with limiter.slot(key=key, priority="bulk"):
            return times[0] - before

    assert max([await use(f"early {n}") for n in range(2000)]) < 10
    now[0] = 60.0
    assert max([await use(f"late {n}") for n in range(2000)]) < 10
    assert not [key for key in limiter._windows if key.startswith("early")]
    now[0] = 120.0
    assert repr(limiter) == "<LocalRateLimiter 2 per 60 s>"


def test_no_slot_is_granted_twice_while_another_thread_forgets_its_key() -> None:
    """Six event loops use forty keys that are forgotten again and again. Each key has one slot at a time."""
    limiter = LocalRateLimiter(RateLimit(1, per=0.0001))
    held, most = Counter[str](), Counter[str]()
    lock = threading.Lock()

    async def use(first: int) -> None:
        for n in range(300):
            key = str((first + n * n) % 40)
            async with limiter.slot(key=key, priority="bulk"):
                with lock:
                    held[key] += 1
                    most[key] = max(most[key], held[key])
                await asyncio.sleep(0)
                with lock:
                    held[key] -= 1

    async def one_loop(first: int) -> None:
        await asyncio.gather(*(use(first + n) for n in range(5)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(asyncio.run, [one_loop(7 * n) for n in range(6)]))
    finally:
        sys.setswitchinterval(interval)

    assert set(most.values()) == {1}


async def test_a_share_is_the_limit_divided_and_rounded_down() -> None:
    """The limit is ten for three processes. Each takes three, and further calls wait."""
    limiter = LocalRateLimiter(RateLimit(10, per=3600, share=3))
    for _ in range(3):
        async with limiter.slot(key="k", priority="interactive"):
            pass

    assert repr(limiter) == "<LocalRateLimiter 3 per 3600 s, key k: 0 free, 0 in flight, 0 waiting>"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), limiter.slot(key="k", priority="interactive"):
            pass


def test_equal_rates_share_a_limiter() -> None:
    """A process has one limiter for each rate."""
    assert shared(RateLimit(240)) is shared(RateLimit(240, per=60))
    assert shared(RateLimit(240)) is not shared(RateLimit(120))


async def test_an_unknown_priority_is_refused() -> None:
    """The call raises instead of waiting for ever."""
    with pytest.raises(ValueError, match="interactive"):
        LocalRateLimiter(RateLimit(1)).slot(key="k", priority="urgent")  # type: ignore[arg-type]
