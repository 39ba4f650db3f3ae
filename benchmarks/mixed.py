"""Bulk and single calls with one key at the same time: how much of the quota they use, how long single calls wait."""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from attrs import define

from benchmarks import server
from ticketsource_async import AttemptEvent, CallEvent, LocalRateLimiter, RateLimit, RateLimiter, TicketSource
from ticketsource_async.sandbox import Sandbox

LIMIT = 240


@define
class Call:
    """One request: when it was answered, how long it had waited, in seconds, and the status of the answer."""

    at: float
    waited: float
    status: int | None
    single: bool


def measure(full: bool, redis: str | None, draw: Path | None) -> None:
    """Measure mixed traffic of three minutes, or of a tenth of that, and print the results."""
    per = 60.0 if full or redis else 6.0  # a window over Redis is a second longer, so it cannot be scaled down
    seconds = 190 * per / 60
    with server.limited(LIMIT, per, 0.2 * per / 60) as url:
        calls = _traffic(url, per, seconds, redis)
    waits = sorted(call.waited for call in calls if call.single)
    later = sorted(call.waited for call in calls if call.single and call.at - call.waited >= per)
    used = sum(call.status == 200 and call.at <= seconds for call in calls) / (LIMIT * seconds / per)
    over = "two processes over Redis" if redis else "one process"
    print(f"\nBulk, and a single call every {2 * per / 60:g} s, for {seconds:g} s: {over}, {LIMIT} in {per:g} s\n")
    print(f"    answered 429                           {sum(call.status == 429 for call in calls):>10}")
    print(f"    quota used                             {used:>10.1%}")
    for name, of in (("single calls wait", waits), ("the same after the first window", later)):
        parts = (of[len(of) // 2], of[len(of) * 9 // 10], of[len(of) * 99 // 100], of[-1])
        said = " ".join(f"{wait:>7.2f}" for wait in parts)
        print(f"    {name:<38} {said} s   (p50, p90, p99, max)")
    if draw is not None:
        _draw(calls, draw)


def _traffic(url: str, per: float, seconds: float, redis: str | None) -> list[Call]:
    """Return the calls of one process, or of two that share a limit over Redis."""
    count = 2 if redis else 1
    command = [sys.executable, "-m", "benchmarks.mixed", url, str(per), str(seconds), str(time.time() + 2)]
    options = ["--redis", redis] if redis else []
    started = [
        subprocess.Popen([*command, str(number), str(count), *options], stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    try:
        said = [process.communicate()[0] for process in started]
    finally:
        for process in started:
            process.terminate()
    return sorted((Call(*call) for text in said for call in json.loads(text)), key=lambda call: call.at)


async def _run(url: str, per: float, seconds: float, begins: float, number: int, count: int, redis: str | None) -> None:
    """Make the traffic of one process, and print its calls."""
    calls: list[Call] = []

    def noting(single: bool) -> Callable[[CallEvent], None]:
        def note(event: CallEvent) -> None:
            if isinstance(event, AttemptEvent):
                calls.append(Call(time.time() - begins, event.waited, event.status, single))

        return note

    async with AsyncExitStack() as stack:
        limiter: RateLimiter = LocalRateLimiter(RateLimit(LIMIT, per=per))
        if redis:
            from ticketsource_async.ratelimit.redis import RedisRateLimiter  # noqa: PLC0415 - an extra

            limiter = await stack.enter_async_context(RedisRateLimiter(redis, LIMIT, int(per)))
        web, job = [
            await stack.enter_async_context(
                TicketSource(server.KEY, base_url=url, limiter=limiter, on_event=noting(single))
            )
            for single in (True, False)
        ]

        customer = Sandbox(customers=1).customers.ids()[0]

        def ids() -> Iterator[str]:
            while time.time() - begins < seconds:
                yield customer

        async def bulk() -> None:
            async for _ in job.customers.get_many(ids()):
                pass

        async def single(at: float) -> None:
            await asyncio.sleep(at)
            await web.customers.get(customer)

        await asyncio.sleep(begins - time.time())
        every = 2 * per / 60
        times = [turn * every for turn in range(int(seconds / every)) if turn % count == number]
        await asyncio.gather(bulk(), *map(single, times))
    print(json.dumps([[call.at, call.waited, call.status, call.single] for call in calls]))


def _draw(calls: list[Call], path: Path) -> None:
    """Draw the first window: the answers in each second, and the count of the API."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - for this alone

    sent = {single: [0] * 60 for single in (True, False)}
    for call in calls:
        if call.status == 200 and call.at < 60:
            sent[call.single][int(call.at)] += 1
    used = [sum(sent[True][: n + 1]) + sum(sent[False][: n + 1]) for n in range(60)]
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rate-limit", "font.size": 11})
    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(9, 5.6), height_ratios=(3, 2), layout="constrained")
    seconds = range(60)
    above.bar(seconds, sent[False], width=0.8, color="#9ecae1", label="bulk calls")
    above.bar(seconds, sent[True], width=0.8, bottom=sent[False], color="#d94801", hatch="//", label="single calls")
    above.set_ylabel("answers in a second")
    above.legend(loc="upper right", frameon=False)
    above.set_title("Half of the window at once, the other half spread; each single call finds a free slot", loc="left")
    below.step(seconds, used, where="mid", color="#2171b5")
    below.axhline(LIMIT, color="black", linestyle="--", linewidth=1)
    below.text(0.5, LIMIT - 6, f"the limit: {LIMIT} in 60 s", va="top")
    below.set_ylabel("counted by the API")
    below.set_xlabel("seconds since bulk began")
    below.set_ylim(0, LIMIT * 1.08)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("url", "per", "seconds", "begins", "number", "count"):
        parser.add_argument(name, type=str if name == "url" else int if name in ("number", "count") else float)
    parser.add_argument("--redis")
    asyncio.run(_run(**vars(parser.parse_args())))
