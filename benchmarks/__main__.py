"""Measure everything: `python -m benchmarks`, or the named parts. `--full` has limits of 240 requests in 60 s."""

import argparse
import asyncio
import logging
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import mixed, peers, server
from ticketsource_async import AttemptEvent, CallEvent, Pager, RateLimit, TicketSource


async def ours(url: str, concurrency: int = 1) -> int:
    """Stream all customers as records; return the number with an e-mail."""
    count = 0
    async with TicketSource(server.KEY, base_url=url, rate_limit=None) as ts:
        async for customer in ts.customers.list(concurrency=concurrency):
            count += customer.email is not None
    return count


def running(loop: Callable[..., Coroutine[Any, Any, object]], *arguments: object) -> Callable[[], object]:
    """Return a function that runs a loop in a new event loop."""
    return lambda: asyncio.run(loop(*arguments))


def peers_at(url: str) -> dict[str, Callable[[], object]]:
    """Return the loops that people write without this library, ready to run."""
    return {name: running(loop, url) for name, loop in peers.LOOPS.items()}


def interleaved(
    candidates: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Return the median of each candidate's times, taken in turns.

    Only turns are fair on a machine whose speed varies. Neither pyperf nor pytest-benchmark takes turns.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            began = clock()
            run()
            if turn:  # the first turn is a warm-up
                times[name].append(clock() - began)
    return {name: median(taken) for name, taken in times.items()}


def table(title: str, unit: str, measured: dict[str, float], base: str) -> None:
    """Print the measured values, and their ratios to the base."""
    print(f"\n{title}\n")
    for name, value in measured.items():
        print(f"    {name:<38} {value:>10.2f} {unit:<8} {value / measured[base]:>7.2f}")


def cpu() -> None:
    """Measure the CPU time of the client for a page of 100 customers."""
    pages = 50
    with server.pages(pages * 100) as url:
        candidates = {
            "ticketsource_async, typed": running(ours, url),
            "ticketsource_async, concurrency=8": running(ours, url, 8),
        }
        measured = interleaved(candidates | peers_at(url), 15, time.process_time)
    per_page = {name: seconds / pages * 1e6 for name, seconds in measured.items()}
    table("CPU time for a page of 100 customers, and its ratio", "us", per_page, "aiohttp + msgspec, untyped")


def reading() -> None:
    """Measure the CPU time of the client for a page of 100 rows of each kind, and of an untyped loop."""
    pages = 50
    measured: dict[str, float] = {}
    for kind, what in (
        ("documented", "customers as documented"),
        ("unknown", "customers, one unknown attribute each"),
        ("invalid", "customers, one unreadable value each"),
        ("bookings", "bookings of two lines"),
    ):
        path = "/dates/dat-1/bookings" if kind == "bookings" else "/customers"
        with server.pages(pages * 100, 0.0, kind) as url:
            candidates = {"ours": running(stream, url, kind), "untyped": running(peers.untyped, url, path)}
            taken = interleaved(candidates, 15, time.process_time)
        measured[what] = taken["ours"] / taken["untyped"]
        print(f"{what}: {taken['ours'] / pages * 1e6:.0f} us a page, {taken['untyped'] / pages * 1e6:.0f} us untyped")
    print("\nCPU time for a page of 100 rows, as a multiple of an untyped aiohttp + msgspec loop\n")
    for what, ratio in measured.items():
        print(f"    {what:<38} {ratio:>10.2f}")


async def stream(url: str, kind: str) -> int:
    """Stream all rows of a kind as records."""
    count = 0
    async with TicketSource(server.KEY, base_url=url, rate_limit=None) as ts:
        listed: Pager[Any] = ts.dates.list_bookings("dat-1") if kind == "bookings" else ts.customers.list()
        async for record in listed:
            count += record.created_at is not None
    return count


def wall() -> None:
    """Measure the time for 5,000 customers if each answer takes 50 ms."""
    with server.pages(5000, 0.05) as url:
        candidates = {f"ticketsource_async, concurrency={k}": running(ours, url, k) for k in (1, 4, 8)}
        measured = interleaved(candidates | peers_at(url), 5, time.perf_counter)
    table(
        "Time for 5,000 customers at 50 ms latency, and its ratio", "s", measured, "ticketsource_async, concurrency=8"
    )


def limiter(limit: int = 240, per: float = 6.0, windows: int = 3) -> None:
    """Measure the requests within a limit, and count those that the server refuses."""
    statuses: list[int | None] = []

    def count(event: CallEvent) -> None:
        if isinstance(event, AttemptEvent):
            statuses.append(event.status)

    async def use_up(url: str) -> float:
        async with TicketSource(server.KEY, base_url=url, rate_limit=RateLimit(limit, per=per), on_event=count) as ts:
            customer = await ts.customers.list().first()
            assert customer is not None
            began = time.perf_counter()
            calls = (ts.customers.get(customer) for _ in range(limit * windows - 1))
            await asyncio.gather(*calls)
            return time.perf_counter() - began

    with server.limited(limit, per) as url:
        seconds = asyncio.run(use_up(url))
    ideal = per * (windows - 1)
    print(f"\nThe limiter: {limit * windows} requests at {limit} in {per:g} s\n")
    print(f"    answered 429                           {statuses.count(429):>10}")
    print(f"    time, and its ratio to the ideal       {seconds:>10.2f} s        {seconds / ideal:>7.3f}")
    print(f"    requests in a window                   {limit * ideal / seconds:>10.1f} of {limit}")


def call() -> None:
    """Measure the CPU time of a single call."""
    calls = 300

    async def ours_one_by_one(url: str) -> None:
        async with TicketSource(server.KEY, base_url=url, rate_limit=RateLimit(100_000)) as ts:
            customer = await ts.customers.list().first()
            assert customer is not None
            for _ in range(calls):
                await ts.customers.get(customer)

    with server.pages(100) as url:
        measured = interleaved(
            {
                "ticketsource_async, typed": running(ours_one_by_one, url),
                "aiohttp + msgspec, untyped": running(peers.one_by_one, url, calls),
            },
            15,
            time.process_time,
        )
    per_call = {name: seconds / calls * 1e6 for name, seconds in measured.items()}
    table("CPU time of a single get, and its ratio", "us", per_call, "aiohttp + msgspec, untyped")


def memory() -> None:
    """Measure the peak memory of a process that streams many customers, as Linux reports it."""
    if not Path("/proc/self/status").exists():
        print("\nPeak memory is measured only on Linux.")
        return
    measured: dict[str, float] = {}
    for count in (10_000, 200_000):
        with server.pages(count) as url:
            for concurrency in (1, 8):
                command = [sys.executable, "-m", "benchmarks", "--peak", url, "--concurrency", str(concurrency)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                measured[f"{count:,} customers, concurrency={concurrency}"] = int(done.stdout) / 1024
    table("Peak memory of a process that streams all customers, and its ratio", "MiB", measured, next(iter(measured)))


def main() -> None:
    """Run the requested parts."""
    parts: dict[str, Callable[[], None]] = {
        "cpu": cpu,
        "reading": reading,
        "wall": wall,
        "limiter": limiter,
        "mixed": lambda: mixed.measure(given.full, given.redis, given.draw),
        "call": call,
        "memory": memory,
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all if none is named")
    parser.add_argument("--full", action="store_true", help="limits of 240 in 60 s, for two and for three minutes")
    parser.add_argument("--redis", help="URL of a Redis over which two processes make the mixed traffic")
    parser.add_argument("--draw", type=Path, help="draw the first minute of the mixed traffic to this SVG file")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--concurrency", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        asyncio.run(ours(given.peak, given.concurrency))
        print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]  # Linux has it
        return
    if wrong := set(given.parts) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(wrong))}")
    logging.getLogger("ticketsource_async").setLevel(logging.ERROR)  # `reading` has values that cannot be read
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, client and server apart")
    if given.full:
        parts["limiter"] = lambda: limiter(240, 60.0)
    for name in given.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
