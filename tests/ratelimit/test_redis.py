"""The limiter over Redis, with a real Redis, real processes and a real server that counts."""

import asyncio
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from loops import until
from redis.asyncio import Redis
from servers import RedisServer, free_ports

from ticketsource_async import ConfigurationError, Customer, LimiterUnavailable, RateLimit, TicketSource
from ticketsource_async.ratelimit import Priority
from ticketsource_async.ratelimit.redis import RedisRateLimiter
from ticketsource_async.sandbox import Sandbox


async def take(limiter: RedisRateLimiter, *, key: str = "a", priority: Priority = "interactive") -> float:
    """Take a slot and return when that was."""
    async with limiter.slot(key=key, priority=priority):
        return time.monotonic()


def most_in(seconds: float, times: list[float]) -> int:
    """Return the largest number of these moments within `seconds`."""
    return max(sum(first <= moment < first + seconds for moment in times) for first in times)


WORKER = """
import asyncio, sys, time
url, base_url, requests, offset = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
right = time.time
time.time = lambda: right() + offset  # as on a machine with another clock

from ticketsource_async import AttemptEvent, TicketSource
from ticketsource_async.ratelimit.redis import RedisRateLimiter

statuses = []

def note(event):
    if isinstance(event, AttemptEvent):
        statuses.append(event.status)

async def main():
    async with RedisRateLimiter(url, 20, 1) as limiter:
        async with TicketSource("skl-sandbox", base_url=base_url, limiter=limiter, on_event=note) as ts:
            customer = await ts.customers.list().first()
            print("begun", flush=True)
            await asyncio.gather(*(ts.customers.get(customer) for _ in range(requests - 1)))
    print(statuses.count(200), statuses.count(429), flush=True)

asyncio.run(main())
"""


async def start_worker(
    redis_server: RedisServer, box: Sandbox, requests: int, offset: float = 0.0
) -> asyncio.subprocess.Process:
    """Start a process that makes `requests` requests, with a clock that is `offset` seconds ahead."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", WORKER, redis_server.url, box.url, str(requests), str(offset)),
        stdout=subprocess.PIPE,
    )


async def counts(worker: asyncio.subprocess.Process) -> tuple[int, int]:
    """Return how many requests of a worker were answered 200, and how many 429."""
    out, _ = await worker.communicate()
    done, refused = out.decode().split()[-2:]
    return int(done), int(refused)


@pytest.mark.parametrize("offsets", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.5), (0.5, 0.0, 0.25)])
async def test_processes_share_the_limit_even_if_their_clocks_differ(
    redis_server: RedisServer, offsets: tuple[float, ...]
) -> None:
    """The server counts the requests and answers none of them 429."""
    async with Sandbox(customers=5, rate_limit=(20, 1.0)) as box:
        workers = [await start_worker(redis_server, box, 30, offset) for offset in offsets]
        found = await asyncio.gather(*map(counts, workers))

    assert found == [(30, 0)] * len(offsets)


async def test_calls_continue_after_redis_restarts_or_loses_its_scripts(redis_server: RedisServer) -> None:
    """A restart loses the window, so the server may refuse some requests. In the end all calls succeed."""
    async with Sandbox(customers=5, rate_limit=(20, 1.0)) as box:
        worker = await start_worker(redis_server, box, 100)
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"begun\n"
        redis_server.ask().script_flush()
        await until(lambda: len(box.requests) > 35)
        redis_server.stop()
        redis_server.start()
        done, _ = await counts(worker)

    assert done == 100


async def test_unused_keys_are_forgotten(redis_server: RedisServer) -> None:
    """A process that serves thousands of keys does not grow with them."""
    async with RedisRateLimiter(redis_server.url, 10, 60) as limiter:
        await asyncio.gather(*(take(limiter, key=str(n % 50)) for n in range(100)))

        assert len(limiter._connections().locks) == 0


async def test_no_window_exceeds_the_limit(redis_server: RedisServer) -> None:
    """Many calls ask at once, and are served in their order."""
    async with RedisRateLimiter(redis_server.url, 10, 1) as limiter:
        times = await asyncio.gather(*(take(limiter) for _ in range(25)))

    assert most_in(1.0, times) <= 10
    assert times == sorted(times)


async def test_the_slots_of_a_killed_process_are_free_after_one_window(
    redis_server: RedisServer,
) -> None:
    """Before that, they count as used."""
    code = (
        "import asyncio, sys\n"
        "from ticketsource_async.ratelimit.redis import RedisRateLimiter\n"
        "async def main():\n"
        "    limiter = RedisRateLimiter(sys.argv[1], 3, 2)\n"
        "    slots = [limiter.slot(key='a', priority='interactive') for _ in range(3)]\n"
        "    for slot in slots: await slot.__aenter__()\n"
        "    print('taken', flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", code, redis_server.url, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"taken\n"
    taken = time.monotonic()
    worker.kill()
    await worker.wait()

    async with RedisRateLimiter(redis_server.url, 3, 2) as limiter:
        assert 1.5 < await take(limiter) - taken < 20


async def test_all_limiters_keep_a_pause_and_a_shorter_one_does_not_end_it(redis_server: RedisServer) -> None:
    """Two limiters act for two processes. Another key is not paused."""
    async with RedisRateLimiter(redis_server.url) as one, RedisRateLimiter(redis_server.url) as other:
        began = time.monotonic()
        await one.pause(1.0, key="a")
        await other.pause(0.1, key="a")
        await other.pause(0, key="a")

        assert await take(other, key="b") - began < 1.0
        assert await take(other) - began >= 1.0


async def test_the_longest_of_simultaneous_pauses_holds(redis_server: RedisServer) -> None:
    """Many processes may get a 429 at the same time, each with another wait."""
    async with RedisRateLimiter(redis_server.url) as one, RedisRateLimiter(redis_server.url) as other:
        for key in map(str, range(50)):
            await asyncio.gather(one.pause(60, key=key), other.pause(0.5, key=key), one.pause(1, key=key))
            assert int(str(redis_server.ask().pttl(f"ticketsource:{key}:pause"))) > 50_000


async def test_a_pause_is_kept_when_redis_loses_its_data(redis_server: RedisServer) -> None:
    """A limiter that knows the pause keeps it, and writes it again when Redis answers."""
    async with RedisRateLimiter(redis_server.url) as one, RedisRateLimiter(redis_server.url) as other:
        began = time.monotonic()
        await one.pause(3.0, key="a")
        redis_server.stop()
        redis_server.start()
        assert redis_server.ask().dbsize() == 0

        waiting = asyncio.create_task(take(one))
        await until(lambda: redis_server.ask().dbsize() == 1)
        assert await take(other) - began >= 2.9
        assert await waiting - began >= 3.0


async def test_a_limiter_on_its_local_share_keeps_the_pause_of_another(redis_server: RedisServer) -> None:
    """It read the pause from Redis before Redis stopped."""
    async with RedisRateLimiter(redis_server.url) as one, RedisRateLimiter(redis_server.url) as other:
        began = time.monotonic()
        await one.pause(2.0, key="a")
        waiting = asyncio.create_task(take(other))
        await until(lambda: bool(other._paused_until))
        redis_server.stop()

        assert await take(other) - began >= 1.9
        assert await waiting - began >= 1.9


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 0, -1])
async def test_a_pause_of_an_invalid_length_has_no_effect(redis_server: RedisServer, seconds: float) -> None:
    """It is the same in the limiter of one process."""
    async with RedisRateLimiter(redis_server.url) as limiter:
        await limiter.pause(seconds, key="a")
        await asyncio.wait_for(take(limiter), 10)


async def test_everything_that_is_stored_in_redis_expires(redis_server: RedisServer) -> None:
    """The slots and pauses expire within two windows. A single call is remembered for ten minutes."""
    async with RedisRateLimiter(redis_server.url, 5, 1) as limiter:
        await take(limiter, priority="bulk")
        await limiter.pause(0.2, key="a")
        redis = redis_server.ask()
        names: Any = redis.keys()
        assert 1 <= len(names) <= 2
        assert all(0 < int(str(redis.pttl(name))) <= 2000 for name in names)
        await asyncio.sleep(2.2)
        assert redis.dbsize() == 0
        await take(limiter)
        assert 590_000 < int(str(redis.pttl("ticketsource:a:single-calls"))) <= 600_000


async def test_a_key_at_its_limit_does_not_delay_another(redis_server: RedisServer) -> None:
    """One limiter serves many box offices."""
    async with RedisRateLimiter(redis_server.url, 2, 60) as limiter:
        waiting = [asyncio.create_task(take(limiter)) for _ in range(5)]
        await until(lambda: sum(task.done() for task in waiting) == 2)

        await asyncio.wait_for(take(limiter, key="b"), 10)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_bulk_leaves_the_last_slots_to_interactive_calls(redis_server: RedisServer) -> None:
    """While bulk calls wait, an interactive one has a slot at once."""
    async with RedisRateLimiter(redis_server.url, 96, 60) as limiter:
        bulk = [asyncio.create_task(take(limiter, priority="bulk")) for _ in range(100)]
        await until(lambda: sum(task.done() for task in bulk) == 94)
        await asyncio.wait_for(take(limiter), 10)

        assert sum(task.done() for task in bulk) == 94
        for task in bulk:
            task.cancel()
        await asyncio.gather(*bulk, return_exceptions=True)


async def served_at_once(tasks: list[asyncio.Task[float]], at_least: int) -> int:
    """Wait until `at_least` tasks have a slot, and a moment longer. Cancel the others; return how many have one."""
    await until(lambda: sum(task.done() for task in tasks) >= at_least)
    await asyncio.sleep(0.5)
    done = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return done


async def test_a_single_call_of_one_limiter_paces_the_bulk_of_another(redis_server: RedisServer) -> None:
    """Bulk of a key without single calls takes all slots at once, and paced bulk no more than half."""
    async with RedisRateLimiter(redis_server.url, 40, 600) as web, RedisRateLimiter(redis_server.url, 40, 600) as job:
        alone = [asyncio.create_task(take(job, key="b", priority="bulk")) for _ in range(45)]
        assert await served_at_once(alone, 40) == 40
        await take(web)

        paced = [asyncio.create_task(take(job, priority="bulk")) for _ in range(45)]
        assert await served_at_once(paced, 19) == 19
        assert repr(job) == "<RedisRateLimiter 40 per 600 s, Redis in use, bulk is paced>"
        assert await asyncio.wait_for(asyncio.gather(*(take(web) for _ in range(20))), 30)


async def test_the_first_page_of_a_long_list_does_not_pace_the_list(redis_server: RedisServer) -> None:
    """It does not pace another process either. A list of one page is a single call in both."""
    async with (
        Sandbox(customers=60, rate_limit=None) as box,
        RedisRateLimiter(redis_server.url, 60, 600) as limiter,
        TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts,
        RedisRateLimiter(redis_server.url, 60, 600) as other,
    ):
        key = ts._sender.credentials.limiter_key
        await asyncio.wait_for(ts.customers.list(per_page=2).collect(), 60)
        assert not (await other._exchange_times(key))[1]

        await ts.customers.list().collect()
        assert (await limiter._exchange_times(key))[1]  # the other learns of it with the next call of this one
        assert (await other._exchange_times(key))[1]


async def test_bulk_is_paced_while_redis_is_unreachable(redis_server: RedisServer) -> None:
    """The limiter remembers the single call of another process."""
    async with RedisRateLimiter(redis_server.url, 40, 600, local_share=1.0) as limiter:
        async with RedisRateLimiter(redis_server.url, 40, 600) as web:
            await take(web)
        await take(limiter, priority="bulk")
        redis_server.stop()

        paced = [asyncio.create_task(take(limiter, priority="bulk")) for _ in range(45)]
        assert await served_at_once(paced, 20) == 20


async def test_paced_bulk_is_spread_over_the_window(redis_server: RedisServer) -> None:
    """No window exceeds the limit."""
    async with RedisRateLimiter(redis_server.url, RateLimit(10, per=2, pace=True)) as limiter:
        began = time.monotonic()
        times = [when - began for when in await asyncio.gather(*(take(limiter, priority="bulk") for _ in range(20)))]

    assert most_in(2.0, times) <= 10
    assert times[9] - times[0] >= 1.0


async def test_keys_of_one_group_share_one_window_in_all_limiters(redis_server: RedisServer) -> None:
    """They share a pause, too."""
    rate = RateLimit(3, per=600, group="office")
    async with RedisRateLimiter(redis_server.url, rate) as one, RedisRateLimiter(redis_server.url, rate) as other:
        took = [asyncio.create_task(take(limiter, key=key)) for key in "abcd" for limiter in (one, other)]
        assert await served_at_once(took, 3) == 3
    rate = RateLimit(3, per=600, group="another: pause")
    async with RedisRateLimiter(redis_server.url, rate) as one, RedisRateLimiter(redis_server.url, rate) as other:
        await one.pause(600, key="a")
        assert repr(one) == "<RedisRateLimiter 3 per 600 s, group another: pause, Redis in use>"
        assert await served_at_once([asyncio.create_task(take(other, key="b"))], 0) == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"limit": RateLimit(share=2)}, "remove `share`"),
        ({"limit": RateLimit(per=30), "per": 60}, "Give `per` in the RateLimit only"),
        ({"limit": RateLimit(per=0.5)}, "per must be whole seconds, not 0.5"),
        ({"per": 0.5}, "per must be whole seconds, not 0.5"),
    ],
)
def test_a_rate_that_cannot_be_shared_is_refused(wrong: dict[str, Any], says: str) -> None:
    """It is refused before any request to Redis."""
    with pytest.raises(ConfigurationError, match=says):
        RedisRateLimiter("redis://localhost", **wrong)


async def test_interactive_calls_do_not_starve_a_bulk_call(redis_server: RedisServer) -> None:
    """A bulk call that has waited for one window may take any slot."""
    async with RedisRateLimiter(redis_server.url, 48, 1) as limiter:

        async def busy() -> None:
            while True:
                await take(limiter)

        crowd = [asyncio.create_task(busy()) for _ in range(60)]
        await asyncio.wait_for(take(limiter, priority="bulk"), 30)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)


async def test_a_limiter_keeps_to_its_local_share_while_redis_is_unreachable(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The share is a quarter of the limit. The log has one line then, and one when Redis answers again."""
    caplog.set_level(logging.WARNING)
    async with RedisRateLimiter(redis_server.url, 20, 1) as limiter:
        await take(limiter)
        redis_server.stop()
        times = await asyncio.gather(*(take(limiter) for _ in range(12)))
        await limiter.pause(0.1, key="a")
        assert most_in(1.0, times) <= 5
        redis_server.start()
        limiter._unavailable_until = 0.001  # so that the next call asks Redis at once
        await take(limiter)

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "cannot be used (ConnectionError). Until it can, this process uses its local share" in said[0]
    assert said[1] == "The rate limiter's Redis answers again."


async def test_a_call_that_waits_for_the_local_share_continues_when_redis_is_back(redis_server: RedisServer) -> None:
    """The local share of one call an hour is used up, but the call does not wait for an hour."""
    async with RedisRateLimiter(redis_server.url, 4, 3600) as limiter:
        redis_server.stop()
        await take(limiter)
        waiting = asyncio.create_task(take(limiter))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        redis_server.start()

        await asyncio.wait_for(waiting, 30)


async def test_a_busy_event_loop_is_not_taken_for_an_unreachable_redis(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has arrived, but the blocked loop reads it late."""
    async with RedisRateLimiter(redis_server.url, 20, 1) as limiter:
        await take(limiter)
        asking = asyncio.create_task(take(limiter))
        await asyncio.sleep(0)
        time.sleep(2.5)  # noqa: ASYNC251 - the test needs a blocked loop
        await asking

    assert not caplog.records


async def test_a_frozen_redis_does_not_block_calls_for_long(redis_server: RedisServer) -> None:
    """All waiting calls give it up together, after a few seconds."""
    async with RedisRateLimiter(redis_server.url, 20, 1) as limiter:
        await take(limiter)
        redis_server.freeze()

        await asyncio.wait_for(asyncio.gather(*(take(limiter, key=key) for key in "abcaa")), 20)


async def test_on_unavailable_raise_ends_a_call_before_it_is_sent(redis_server: RedisServer) -> None:
    """The call raises an error of this library if Redis is unreachable."""
    redis_server.stop()
    async with Sandbox(customers=1) as box, RedisRateLimiter(redis_server.url, on_unavailable="raise") as limiter:
        async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
            with pytest.raises(LimiterUnavailable, match="The request was not sent"):
                await ts.customers.list().first()
        await limiter.pause(1, key="a")

        assert not box.requests


async def test_a_waiting_call_can_be_cancelled(redis_server: RedisServer) -> None:
    """The cancelled calls leave the queue, and the others continue in order."""
    async with RedisRateLimiter(redis_server.url, 5, 1) as limiter:
        waiting = [asyncio.create_task(take(limiter)) for _ in range(20)]
        await until(lambda: sum(task.done() for task in waiting) == 5)
        for task in waiting[5:15]:
            task.cancel()
        found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)

    times = [moment for moment in found if isinstance(moment, float)]
    assert len(times) == 10
    assert times == sorted(times)


def test_a_limiter_works_in_a_second_event_loop(redis_server: RedisServer) -> None:
    """The calls of both `asyncio.run` count together."""
    limiter = RedisRateLimiter(redis_server.url, 3, 60)

    async def use() -> None:
        async with limiter:
            await take(limiter)

    asyncio.run(use())
    asyncio.run(use())

    assert int(str(redis_server.ask().llen("ticketsource:a"))) == 2
    assert repr(limiter) == "<RedisRateLimiter 3 per 60 s, Redis not connected>"


async def test_a_redis_client_of_the_caller_is_used_and_stays_open(redis_server: RedisServer) -> None:
    """The program may need it for something else."""
    async with Redis.from_url(redis_server.url) as redis:
        async with RedisRateLimiter(redis, 3, 60) as limiter:
            await take(limiter)
        assert await redis.ping()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((7,), {}),
        (("redis://x", 0), {}),
        (("redis://x", 240, 0.5), {}),
        (("redis://x",), {"on_unavailable": "ignore"}),
        (("localhost:6379",), {}),
        (("redis://x/zero?health_check_interval=x",), {}),
        (("redis://x",), {"local_share": 0}),
        (("redis://x",), {"local_share": 1.5}),
    ],
)
def test_an_invalid_setting_is_refused(arguments: Any, options: Any) -> None:
    """It is refused before any request to Redis."""
    with pytest.raises(ConfigurationError):
        RedisRateLimiter(*arguments, **options)


@pytest.mark.parametrize("secret", ["se#kret", "1#kret", "#", "se/kret", "12/34", "se?kret", "12?kret", "u#x:sekret"])
@pytest.mark.parametrize("rest", ["localhost:6379/0", "localhost", "10.0.0.1:7000/2?client_name=x"])
def test_an_unencoded_password_in_the_url_is_refused_and_not_shown(secret: str, rest: str) -> None:
    """Such a URL would be parsed wrongly, and the limiter would connect to another host."""
    with pytest.raises(ConfigurationError, match="percent-encode these characters") as caught:
        RedisRateLimiter(f"redis://{secret if ':' in secret else f':{secret}'}@{rest}")

    assert "kret" not in repr(caught.value)
    assert "localhost:6379" not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert frames
    assert "kret" not in repr([{**frame.f_locals, "self": None} for frame in frames])  # `self` is not built yet


@pytest.mark.parametrize("url", ["redis://:pa[ss@localhost", "redis://:sekret@localhost:port"])
def test_an_invalid_url_is_refused_and_not_shown(url: str) -> None:
    """It may contain a password."""
    with pytest.raises(ConfigurationError, match="percent-encode all") as caught:
        RedisRateLimiter(url)

    assert url.partition("://")[2][:8] not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:a%23b%2Fc%3Fd@localhost:6379/0",
        "redis://user:p@ss@localhost",
        "redis://localhost?client_name=a@b",
        "rediss://:p@10.0.0.1:7000/2?client_name=a@b/c",
        "unix:///tmp/a@b.sock?db=1",
        "unix://user:p@/tmp/redis.sock",
    ],
)
def test_a_url_with_an_encoded_password_or_an_at_sign_is_accepted(url: str) -> None:
    """An @ is allowed in many places of a URL."""
    assert "sock" not in repr(RedisRateLimiter(url))


@pytest.mark.parametrize("refusal", ["MOVED 866 127.0.0.1:7001", "ASK 866 127.0.0.1:7001", "CROSSSLOT Keys in request"])
async def test_a_redis_cluster_is_refused_in_spite_of_the_local_share(refusal: str, box: Sandbox) -> None:
    """A cluster never works, and every process would use its local share for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n"):
                words = [
                    await reader.readexactly(int((await reader.readuntil(b"\r\n"))[1:]) + 2)
                    for _ in range(int(head[1:]))
                ]
                writer.write(f"-{refusal}\r\n".encode() if words[0].upper().startswith(b"EVAL") else b"+OK\r\n")
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with (
        listener,
        RedisRateLimiter(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}") as limiter,
        TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts,
    ):
        with pytest.raises(ConfigurationError, match="Redis is a cluster"):
            await ts.customers.list().collect()

    assert not box.requests


@pytest.mark.slow
async def test_a_real_redis_cluster_is_refused(tmp_path: Path) -> None:
    """Two servers have half of the keys each, and the limiter asks one of them."""
    nodes: list[RedisServer] = []
    buses = free_ports(2)
    try:
        for number, slots in enumerate([(0, 8191), (8192, 16383)]):
            folder = tmp_path / str(number)
            folder.mkdir()
            nodes.append(RedisServer(folder, "--cluster-enabled", "yes", "--cluster-port", str(buses[number])))
            nodes[-1].ask().cluster("ADDSLOTSRANGE", *slots)
        nodes[0].ask().cluster("MEET", "127.0.0.1", nodes[1].port, buses[1])
        async with asyncio.timeout(60):
            while nodes[0].ask().cluster("INFO")["cluster_state"] != "ok":  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.1)
        async with RedisRateLimiter(nodes[0].url) as limiter:
            with pytest.raises(ConfigurationError, match="Redis is a cluster"):
                await asyncio.gather(*(take(limiter, key=str(number)) for number in range(40)))
    finally:
        for node in nodes:
            node.stop()


async def test_an_unknown_priority_is_refused(redis_server: RedisServer) -> None:
    """A wrong word must not count as one of the two priorities."""
    with pytest.raises(ValueError, match="priority"):
        RedisRateLimiter(redis_server.url).slot(key="a", priority="urgent")  # type: ignore[arg-type]  # on purpose


@pytest.fixture(name="box")
async def _box() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=5, rate_limit=(20, 1.0)) as box:
        yield box


async def test_a_client_can_use_the_redis_limiter(redis_server: RedisServer, box: Sandbox) -> None:
    """A list and single calls succeed, and the server refuses none of them."""
    async with (
        RedisRateLimiter(redis_server.url, 20, 1) as limiter,
        TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts,
    ):
        customers = await ts.customers.list().collect()
        found = await asyncio.gather(*(ts.customers.get(customer) for customer in customers * 5))

    assert all(isinstance(customer, Customer) for customer in found)
    assert {request.status for request in box.requests} == {200}
