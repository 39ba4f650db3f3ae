"""Single calls find a free slot while bulk runs. Bulk without single calls is not slowed down."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import inf
from typing import Literal, cast

import pytest
from attrs import define, field
from hypothesis import given, settings, strategies as st
from loops import VirtualLoop, until

from ticketsource_async import ConfigurationError, LocalRateLimiter, RateLimit, TicketSource
from ticketsource_async.ratelimit import Priority
from ticketsource_async.ratelimit.local import shared
from ticketsource_async.ratelimit.pacing import FirstPage, SingleCalls, bulk_may_take_one_at, step_of
from ticketsource_async.sandbox import Sandbox

PER = 60.0
LIMIT = 240


@define
class Traffic:
    """What happened: when each bulk call began, and when each single call asked and how long it waited."""

    bulk: list[float] = field(factory=list)
    waits: list[tuple[float, float]] = field(factory=list)
    counted: list[float] = field(factory=list)

    def waits_after(self, seconds: float) -> list[float]:
        """Return the waits of single calls that asked after so many seconds, the shortest first."""
        return sorted(wait for asked, wait in self.waits if asked >= seconds)

    @property
    def most_in_a_window(self) -> int:
        """The most requests that the server counted in any window."""
        counted = sorted(self.counted)
        return max(sum(first <= then < first + PER - 1e-6 for then in counted) for first in counted)


@define
class Office:
    """A box office with bulk and single calls, all of one key, in virtual time."""

    limiter: LocalRateLimiter
    loop: asyncio.AbstractEventLoop
    latency: Callable[[], float]
    counted: Callable[[], float] = field(default=lambda: 0.5)
    traffic: Traffic = field(factory=Traffic)

    async def call(self, priority: Priority) -> None:
        """Make one call; the server counts it at some moment between its start and its answer."""
        asked = self.loop.time()
        async with self.limiter.slot(key="key", priority=priority):
            began = self.loop.time()
            if priority == "bulk":
                self.traffic.bulk.append(began)
            else:
                self.traffic.waits.append((asked, began - asked))
            latency = self.latency()
            self.traffic.counted.append(began + self.counted() * latency)
            await asyncio.sleep(latency)

    async def bulk(self, until: float) -> None:
        """Make one bulk call after another."""
        while self.loop.time() < until:
            await self.call("bulk")

    async def singles(self, until: float, every: float) -> None:
        """Make a single call again and again, whether the last one has its answer or not."""
        async with asyncio.TaskGroup() as group:
            while self.loop.time() < until:
                group.create_task(self.call("interactive"))
                await asyncio.sleep(every)


def run(main: Callable[[asyncio.AbstractEventLoop], Coroutine[object, object, None]]) -> None:
    """Run to the end in virtual time."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))


def mixed(
    rate: RateLimit,
    *,
    seconds: float = 190,
    workers: int = 9,
    every: float = 2.0,
    latency: Callable[[], float] = lambda: 0.2,
    counted: Callable[[], float] = lambda: 0.5,
) -> Traffic:
    """Return what happens while bulk takes all it can get, and a single call is made every so many seconds."""
    traffic = Traffic()

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        office = Office(LocalRateLimiter(rate, clock=loop.time), loop, latency, counted, traffic)
        async with asyncio.TaskGroup() as group:
            group.create_task(office.singles(seconds, every))
            await asyncio.sleep(0.001)  # the first single call is there before all bulk has begun
            for _ in range(workers):
                group.create_task(office.bulk(seconds))

    run(main)
    return traffic


@pytest.mark.parametrize("workers", [9, 300])
def test_single_calls_hardly_wait_while_a_bulk_job_runs(workers: int) -> None:
    """In three minutes of both, no window exceeds the limit, and at least 96 % of the quota is used."""
    traffic = mixed(RateLimit(LIMIT), workers=workers)

    assert traffic.most_in_a_window <= LIMIT
    assert sum(then < 190 for then in traffic.counted) >= 0.96 * LIMIT * 190 / PER
    later = traffic.waits_after(60)
    assert later[len(later) * 9 // 10] <= 2
    assert traffic.waits_after(0)[-1] <= 10


def test_bulk_is_paced_after_half_of_a_window() -> None:
    """120 calls start at once, then two a second until those slots are free again, then about four a second."""
    traffic = mixed(RateLimit(LIMIT), workers=300)

    assert sum(then < 0.01 for then in traffic.bulk) == 119  # the single call had the first slot
    seconds = [sum(first <= then < first + 10 for then in traffic.bulk) for first in range(10, 180, 10)]
    assert all(14 <= calls <= 16 for calls in seconds[:4])
    assert all(30 <= calls <= 41 for calls in seconds[5:])
    later = [then for then in traffic.bulk if then > 130]
    assert max(later - earlier for earlier, later in pairwise(later)) < 2


def test_bulk_without_single_calls_is_not_paced() -> None:
    """200 calls begin at the same moment."""
    traffic = Traffic()

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        office = Office(LocalRateLimiter(RateLimit(LIMIT), clock=loop.time), loop, lambda: 0.2, traffic=traffic)
        await asyncio.gather(*(office.call("bulk") for _ in range(200)))

    run(main)
    assert traffic.bulk == [0.0] * 200


def test_pace_true_paces_bulk_without_single_calls() -> None:
    """Bulk takes half of the slots at once."""
    traffic = Traffic()

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        limiter = LocalRateLimiter(RateLimit(LIMIT, pace=True), clock=loop.time)
        office = Office(limiter, loop, lambda: 0.2, traffic=traffic)
        await asyncio.gather(*(office.call("bulk") for _ in range(200)))

    run(main)
    assert sum(then == 0 for then in traffic.bulk) == 120
    assert 30 < max(traffic.bulk) < PER


@pytest.mark.parametrize(("minutes", "at_once"), [(9.9, 120), (10.1, 200)])
def test_bulk_is_paced_for_ten_minutes_after_a_single_call(minutes: float, at_once: int) -> None:
    """After that, all bulk calls start at once again."""
    traffic = Traffic()

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        office = Office(LocalRateLimiter(RateLimit(LIMIT), clock=loop.time), loop, lambda: 0.2, traffic=traffic)
        await office.call("interactive")
        await asyncio.sleep(minutes * 60)
        await asyncio.gather(*(office.call("bulk") for _ in range(200)))

    run(main)
    assert traffic.bulk.count(traffic.bulk[0]) == at_once


def test_single_calls_of_another_key_do_not_pace_bulk() -> None:
    """Each key belongs to another box office."""
    starts: list[float] = []

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        limiter = LocalRateLimiter(RateLimit(LIMIT), clock=loop.time)
        async with limiter.slot(key="another", priority="interactive"):
            pass

        async def one() -> None:
            async with limiter.slot(key="key", priority="bulk"):
                starts.append(loop.time())

        await asyncio.gather(*(one() for _ in range(200)))

    run(main)
    assert starts == [0.0] * 200


@settings(max_examples=30, deadline=None)
@given(
    latencies=st.lists(st.floats(0, 3), min_size=1, max_size=20),
    counted=st.floats(0, 1),
    every=st.floats(2, 30),
    workers=st.sampled_from([1, 9, 100]),
    limit=st.integers(120, 300),
)
def test_paced_bulk_of_any_kind_hardly_delays_single_calls(
    latencies: list[float], counted: float, every: float, workers: int, limit: int
) -> None:
    """This holds for any latency, if single calls need a quarter of the limit at most."""
    rate = RateLimit(limit, pace=True)
    turns = iter(range(10**6))
    traffic = mixed(
        rate,
        workers=workers,
        every=every,
        latency=lambda: latencies[next(turns) % len(latencies)],
        counted=lambda: counted,
    )

    assert traffic.most_in_a_window <= limit
    waits = traffic.waits_after(0)
    assert waits[len(waits) * 9 // 10] <= 2
    assert waits[-1] <= 10


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 300),
    back=st.lists(st.floats(0, 60), max_size=300),
    last=st.floats(-60, 0),
)
def test_a_paced_call_waits_at_most_until_the_last_slot_is_free(limit: int, back: list[float], last: float) -> None:
    """Half of the slots are given out without a wait."""
    times = sorted(back[:limit])[:: step_of(limit)]
    found = bulk_may_take_one_at(limit, times, last)

    assert found <= max([last, *times]) + 1e-9
    at_once = limit - len(times) * step_of(limit) > limit - limit // 2
    assert (found == -inf) == at_once


def test_single_calls_that_start_during_a_job_wait_for_one_window_at_most() -> None:
    """The job was not paced and has left five slots. A minute later, single calls hardly wait."""
    traffic = Traffic()

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        office = Office(LocalRateLimiter(RateLimit(LIMIT), clock=loop.time), loop, lambda: 0.2, traffic=traffic)
        async with asyncio.TaskGroup() as group:
            for _ in range(9):
                group.create_task(office.bulk(190))
            await asyncio.sleep(30)
            group.create_task(office.singles(190, 2))

    run(main)
    waits = [wait for _, wait in traffic.waits]
    assert waits[:5] == [0.0] * 5
    assert 10 < max(waits) < 30
    assert traffic.waits_after(90)[-1] < 2


def test_pacing_looks_at_few_slots_even_if_the_limit_is_high() -> None:
    """Half of 100,000 slots are granted at once. For the others, the limiter does not look at all slots."""
    looked_at: list[int] = []

    class Times(list[float]):
        def __iter__(self) -> Iterator[float]:
            for time in super().__iter__():
                looked_at.append(1)
                yield time

    limit = 100_000
    assert bulk_may_take_one_at(limit, Times([60.0] * (limit // step_of(limit) // 4)), 0.0) == -inf
    found = bulk_may_take_one_at(limit, Times([60.0] * (limit // step_of(limit) * 3 // 4)), 0.0)
    assert 60 / limit * 3 < found < 60 / limit * 5
    assert len(looked_at) < 500


def test_single_calls_of_one_event_loop_do_not_starve_bulk_of_another() -> None:
    """Twenty tasks make single calls in another thread without a break."""
    limiter = LocalRateLimiter(RateLimit(10, per=0.5))
    done = threading.Event()

    async def singles() -> None:
        async def again_and_again() -> None:
            while not done.is_set():
                async with limiter.slot(key="key", priority="interactive"):
                    pass

        await asyncio.gather(*(again_and_again() for _ in range(20)))

    async def bulk() -> None:
        for _ in range(5):
            async with limiter.slot(key="key", priority="bulk"):
                pass

    with ThreadPoolExecutor(1) as threads:
        crowd = threads.submit(asyncio.run, singles())
        try:
            asyncio.run(asyncio.wait_for(bulk(), 60))
        finally:
            done.set()
        crowd.result()


async def test_the_first_page_of_a_long_list_does_not_pace_the_list() -> None:
    """A user may wait for its first page, but 200 pages are a bulk job."""
    async with Sandbox(customers=200) as box:
        limiter = LocalRateLimiter(RateLimit(LIMIT, per=3600))
        async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
            found = await asyncio.wait_for(ts.customers.list(per_page=1, concurrency=8).collect(), 60)

    assert len(found) == 200


@pytest.mark.parametrize("what", ["a get", "a list of one page", "the first of a long list"])
async def test_a_call_that_a_user_waits_for_paces_bulk(
    what: Literal["a get", "a list of one page", "the first of a long list"],
) -> None:
    """After it, bulk takes half of a window at once and no more."""
    async with Sandbox(customers=300) as box:
        customer = box.customers.ids()[0]
        limiter = LocalRateLimiter(RateLimit(20, per=3600))
        async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
            if what == "a get":
                await ts.customers.get(customer)
            elif what == "a list of one page":
                await ts.notes.list(customer).collect()
            else:
                await ts.customers.list().first()
            reading = asyncio.create_task(ts.customers.get_many([customer] * 20, concurrency=20).collect())
            await until(lambda: "10 free, 0 in flight" in repr(limiter))
            await asyncio.sleep(0.1)
            said = repr(limiter)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    assert len(box.requests) == 10
    assert "bulk is paced" in said


def test_a_list_with_a_second_page_is_not_a_single_call() -> None:
    """Of two lists that begin at the same time, either may go on first."""
    single_calls = SingleCalls()
    one, other = FirstPage(), FirstPage()
    single_calls.note("key", cast(Priority, one), 0.0)
    single_calls.note("key", cast(Priority, other), 1.0)
    assert single_calls.expected_for("key", 2.0) == 599.0
    assert single_calls.expected_for("key", 2.0, certainly=True) == 0.0
    other.goes_on = True
    assert single_calls.expected_for("key", 2.0) == 598.0
    one.goes_on = True
    assert single_calls.expected_for("key", 2.0) == 0.0


def test_a_list_of_one_page_is_a_single_call_among_many_longer_lists() -> None:
    """A user waited for it, and the lists after it do not change that."""
    single_calls = SingleCalls()
    for number in range(1000):
        page = FirstPage()
        single_calls.note("key", cast(Priority, page), 0.0)
        page.goes_on = number > 0

    assert single_calls.expected_for("key", 1.0) == 599.0


def test_single_calls_of_unused_keys_are_forgotten() -> None:
    """A process may serve thousands of box offices."""
    single_calls = SingleCalls()
    for n in range(10_000):
        single_calls.note(f"key {n}", "interactive", float(n))

    assert len(single_calls._seen) < 2000
    assert single_calls.expected_for("key 9990", 10_000.0) > 0


async def test_keys_of_one_group_share_one_window() -> None:
    """It is not known whether the API counts by key or by address. A group counts by its name."""
    limiter = LocalRateLimiter(RateLimit(2, per=3600, group="office"))
    for key in ("a", "b"):
        async with limiter.slot(key=key, priority="interactive"):
            pass

    assert "group office: 0 free" in repr(limiter)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), limiter.slot(key="c", priority="interactive"):
            pass


async def test_a_pause_stops_all_keys_of_a_group() -> None:
    """An answer 429 to one key may concern the address of all of them."""
    limiter = LocalRateLimiter(RateLimit(240, group="office"))
    await limiter.pause(3600, key="a")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), limiter.slot(key="b", priority="interactive"):
            pass


async def test_clients_of_one_group_share_a_limit() -> None:
    """The server counts the requests of both clients together, and refuses none."""
    async with Sandbox(customers=1, rate_limit=(10, 1.0)) as box:
        rate = RateLimit(10, per=1.0, group="office")
        async with (
            TicketSource(box.api_key, base_url=box.url, rate_limit=rate) as one,
            TicketSource(box.api_key, base_url=box.url, rate_limit=rate, auth="basic") as other,
        ):
            customer = box.customers.ids()[0]
            await asyncio.gather(*(ts.customers.get(customer) for ts in (one, other) * 10))

    assert {request.status for request in box.requests} == {200}


def test_a_client_with_pacing_shares_the_limit_of_the_others() -> None:
    """With separate limiters, each would use the whole limit."""
    rate = RateLimit(77)
    assert shared(RateLimit(77, pace=True)) is shared(rate)
    assert shared(rate).always_paces


@pytest.mark.parametrize("wrong", [{"group": ""}, {"group": " "}, {"group": 7}, {"pace": "yes"}, {"pace": 1}])
def test_an_invalid_group_or_pace_is_refused(wrong: dict[str, object]) -> None:
    """A group is a text, and pace is True or False. The error names the option."""
    with pytest.raises(ConfigurationError, match=f"RateLimit.{next(iter(wrong))} must be"):
        RateLimit(**wrong)  # type: ignore[arg-type]  # on purpose
