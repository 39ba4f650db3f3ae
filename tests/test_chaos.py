"""Random calls to a server that fails in every way, chosen by a seed, compared with the ledger of the server.

A failure names its seed: `CHAOS_SEED=... pytest tests/test_chaos.py` makes the same calls again, and
`CHAOS_SEED=... python tests/test_chaos.py` shows what was called and how it ended.
"""

import asyncio
import base64
import logging
import os
import random
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import aiohttp
import pytest
from attrs import define, field
from chaos import READERS, STRAY, Chaos, chaos, name_of
from loops import VirtualLoop
from mocked import KEY

from ticketsource_async import (
    Bulk,
    ClientClosed,
    Customer,
    CustomerDraft,
    InvalidResponse,
    OutcomeUnknown,
    RateLimit,
    RetryPolicy,
    TicketSource,
    TicketSourceError,
    Timeouts,
)

SECRETS: Final = (KEY, base64.b64encode(f"{KEY}:".encode()).decode())
TIMEOUTS: Final = Timeouts(connect=0.2, response=0.3, total=0.6)
CALLS_OF_A_CLIENT: Final = 300


@define(eq=False, repr=False)
class Ended:
    """How a call ended, as its caller knows it. `error` is the error of the call, or the cause of its cancellation."""

    method: str
    token: str
    error: BaseException | None = None
    value: object = None
    untouched: bool = False  # it was cut off, and the library says nothing about it

    @property
    def how(self) -> str:
        """Return the end of the call in one word or a few."""
        if self.untouched:
            return "nothing was done"
        return "done" if self.error is None else type(self.error).__name__


@define(eq=False, repr=False)
class Run:
    """One run: its calls, and what is wrong."""

    server: Chaos
    ended: list[Ended] = field(factory=list)
    wrong: list[str] = field(factory=list)
    number: int = 0

    def token(self, kind: str) -> str:
        """Return the id, or the name, of a customer whom no other call changes."""
        self.number += 1
        return f"cst-{kind}{self.number}"

    def look_for_secrets(self, error: BaseException) -> None:
        """Look into everything that a report of an error shows, locals too."""
        told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        if any(secret in text for secret in SECRETS for text in (told, repr(error), str(vars(error)))):
            self.wrong.append(f"{type(error).__name__} shows the key")


class Client:
    """A client with its deadline."""

    def __init__(self, run: Run, ts: TicketSource, deadline: float) -> None:
        self.run, self.ts, self.deadline = run, ts, deadline

    async def observed(self, ended: Ended, work: Callable[[], Awaitable[object]]) -> None:
        """Make one call, and record how it ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.run.ended.append(ended)
        ended.untouched = True
        try:
            ended.value = await work()
            ended.untouched = False
        except asyncio.CancelledError as cancelled:
            ended.error = cancelled.__cause__
            ended.untouched = ended.error is None
            self.run.look_for_secrets(cancelled)
            raise
        except TicketSourceError as error:
            ended.error, ended.untouched = error, False
            self.run.look_for_secrets(error)
        finally:
            if ended.method != "LIST" and loop.time() - began > self.deadline + 0.01:
                self.run.wrong.append(f"{ended.method} {ended.token} took {loop.time() - began:g} s")

    async def single(self, chance: random.Random) -> None:
        """Make one random call, which may be cut off."""
        customers, run = self.ts.customers, self.run
        kind = chance.choice(["GET", "GET", "GET", "LIST", "POST", "POST", "PATCH", "PATCH", "DELETE"])
        work: Callable[[], Awaitable[object]]
        if kind == "POST":
            token = run.token("c")
            work = partial(customers.create, CustomerDraft(first_name=token))
        elif kind == "PATCH":
            token = run.token("u")
            work = partial(customers.update, token, CustomerDraft(last_name=f"last {token}"))
        elif kind == "DELETE":
            token = run.token("d")
            work = partial(customers.delete, token)
        elif kind == "GET":
            token = chance.choice(READERS)
            work = partial(customers.get, token)
        else:
            token = str(chance.choice([None, 10, 50, 65]))
            most = None if token == "None" else int(token)
            ahead, size = chance.choice([1, 1, 4]), chance.choice([7, 30, 100])
            work = customers.list(per_page=size, max_items=most, concurrency=ahead).collect
        await cut_off(chance, self.observed(Ended(kind, token), work))

    async def bulk(self, chance: random.Random) -> None:
        """Make a random bulk call, which may be left early."""
        number = chance.randrange(1, 20)
        options: Any = {"concurrency": chance.randrange(1, 9), "fail_fast": chance.random() < 0.2}
        kind = chance.choice(["GET", "POST", "PATCH", "DELETE"])
        letter = {"POST": "c", "PATCH": "u", "DELETE": "d"}.get(kind, "")
        tokens = [self.run.token(letter) if letter else chance.choice(READERS) for _ in range(number)]
        bulk = many(self.ts, kind, tokens, options)
        ended = [Ended(kind, token, untouched=True) for token in tokens]
        self.run.ended += ended
        stop = chance.randrange(1, 40)

        def note(outcome: Any) -> None:
            one = ended[outcome.index]
            if not one.untouched:
                self.run.wrong.append(f"the outcome of {kind} {one.token} came twice")
            one.error, one.value, one.untouched = outcome.error, outcome.value, False
            if outcome.error is not None:
                self.run.look_for_secrets(outcome.error)

        async def loop() -> None:
            with suppress(ClientClosed):
                async with bulk:
                    async for outcome in bulk:
                        note(outcome)
                        if outcome.index == stop:
                            break

        async def collect() -> None:
            with suppress(ClientClosed):
                for outcome in await bulk.collect():
                    note(outcome)

        try:
            await cut_off(chance, chance.choice([loop, collect])())
        finally:
            for outcome in bulk.undelivered:
                note(outcome)


def many(ts: TicketSource, kind: str, tokens: list[str], options: Any) -> Bulk[Any, Any]:
    """Return the bulk call of a kind."""
    if kind == "POST":
        return ts.customers.create_many([CustomerDraft(first_name=token) for token in tokens], **options)
    if kind == "PATCH":
        pairs = [(token, CustomerDraft(last_name=f"last {token}")) for token in tokens]
        return ts.customers.update_many(pairs, **options)
    if kind == "DELETE":
        return ts.customers.delete_many(tokens, **options)
    return ts.customers.get_many(tokens, **options)


async def cut_off(chance: random.Random, work: Coroutine[Any, Any, None]) -> None:
    """Do work, and cut it off at random: by a cancellation after a time or a few turns, or by a timeout."""
    how = chance.choices(["not", "after a time", "after turns", "timeout"], [15, 2, 1, 1])[0]
    if how == "timeout":
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0, 0.5)):
                await work
        return
    task = asyncio.create_task(work)
    if how == "after a time":
        await asyncio.wait([task], timeout=chance.uniform(0, 0.5))
    for _ in range(chance.randrange(30) if how == "after turns" else 0):
        await asyncio.sleep(0)
    if how != "not":
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def client(run: Run, chance: random.Random) -> AsyncIterator[Client]:
    """Open a client with random settings."""
    deadline = chance.choice([0.7, 3.0, 6.0])
    async with AsyncExitStack() as stack:
        options: dict[str, Any] = {}
        if chance.random() < 0.2:
            connector = aiohttp.TCPConnector(force_close=True)
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        ts = TicketSource(
            KEY,
            base_url=run.server.url,
            auth=chance.choice(["bearer", "basic"]),
            timeouts=TIMEOUTS,
            retry=RetryPolicy(attempts=chance.choice([1, 3]), wait_initial=0.1, wait_max=0.3, deadline=deadline),
            rate_limit=chance.choice([None, None, RateLimit(600, per=1.0)]),
            max_body=30_000,
            max_connections=chance.choice([8, 30]),
            **options,
        )
        await stack.enter_async_context(ts)
        yield Client(run, ts, deadline)


async def calls_of_one_client(run: Run, chance: random.Random, most: int) -> None:
    """Make random calls, many at a time; the client may be closed while they go on."""
    async with client(run, chance) as one:
        last = len(run.ended) + most
        closes_early = chance.random() < 0.2

        async def work(own: random.Random) -> None:
            while len(run.ended) < last:
                with suppress(ClientClosed):
                    await (one.bulk if own.random() < 0.1 else one.single)(own)
                if closes_early and len(run.ended) >= last:
                    await one.ts.aclose()

        async with asyncio.TaskGroup() as group:
            for number in range(chance.choice([6, 40])):
                group.create_task(work(random.Random(f"{chance.random()} {number}")))


def judge(run: Run, ended: Ended) -> str | None:
    """Return what is wrong with how a call has ended, by the ledger."""
    arrivals = [arrival for arrival in run.server.arrivals.get(ended.token, ()) if arrival.method == ended.method]
    done = sum(arrival.done for arrival in arrivals)
    if ended.method == "POST" and any(arrival.fault != "429" for arrival in arrivals[:-1]):
        return "was sent again though it may have been done"
    if ended.error is None and not ended.untouched:
        return judge_value(ended, done)
    if ended.method in ("GET", "LIST") or not done:
        accepted = isinstance(ended.error, InvalidResponse) and ended.method not in ("GET", "LIST")
        return "is said to be accepted, and was not done" if accepted else None
    known = isinstance(ended.error, OutcomeUnknown) or (
        isinstance(ended.error, InvalidResponse) and "accepted" in str(ended.error)
    )
    return None if known else "was done, and its caller does not know"


def judge_value(ended: Ended, done: int) -> str | None:
    """Return what is wrong with what a call has returned."""
    token, value = ended.token, ended.value
    if ended.method == "LIST":
        assert isinstance(value, list)
        wanted = READERS if token == "None" else READERS[: int(token)]
        right = [(row.id, row.first_name) for row in value] == [(each, name_of(each)) for each in wanted]
        return None if right else "is not the list"
    if ended.method != "GET" and not done:
        return "is said to be done, and was not"
    if ended.method == "DELETE":
        return None
    assert isinstance(value, Customer)
    wanted_names = {
        "GET": (name_of(token), None),
        "POST": (token, None),
        "PATCH": (name_of(token), f"last {token}"),
    }[ended.method]
    given = (value.first_name, value.last_name)
    if STRAY in given:
        return "took an answer to nobody"
    return None if given == wanted_names and value.id else f"took the answer to another: {given}"


class LogChecker(logging.Handler):
    """Records what is wrong in a log."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.DEBUG)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """Look for the key, and for uncaught errors."""
        told = logging.Formatter().format(record)
        if any(secret in told for secret in SECRETS):
            self._run.wrong.append("the log shows the key")
        if record.levelno >= logging.ERROR:
            self._run.wrong.append(f"the log has an error: {told[-2000:]}")


async def run_chaos(seed: int, calls: int) -> Run:
    """Make this number of random calls, and compare what their callers know with the ledger."""
    chance = random.Random(seed)
    random.seed(seed)  # the waits before another attempt are random too
    ours = asyncio.all_tasks()
    loggers = [logging.getLogger(name) for name in ("ticketsource_async", "aiohttp", "asyncio")]
    levels = [logger.level for logger in loggers]
    async with chaos(seed) as server:
        run = Run(server)
        checker = LogChecker(run)
        for logger in loggers:
            logger.addHandler(checker)
            logger.setLevel(logging.DEBUG)
        try:
            while len(run.ended) < calls:
                await calls_of_one_client(run, chance, min(CALLS_OF_A_CLIENT, calls - len(run.ended)))
            # This ends when no connection is open and no task of the client runs.
            async with asyncio.timeout(60):
                while server.connections or asyncio.all_tasks() - ours:  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            run.wrong.append(f"{len(server.connections)} connections are left, {asyncio.all_tasks() - ours}")
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(checker)
                logger.setLevel(level)
    callers = {ended.token for ended in run.ended}
    for arrival in (arrival for each in server.arrivals.values() for arrival in each):
        if arrival.done and arrival.token not in callers:
            run.wrong.append(f"{arrival.method} {arrival.token} was done, and nobody has asked for it")
    for ended in run.ended:
        if wrong := judge(run, ended):
            faults = [(arrival.fault, arrival.done) for arrival in server.arrivals.get(ended.token, ())]
            run.wrong.append(f"{ended.method} {ended.token} {wrong}: {ended.how}; the ledger has {faults[:10]}")
    return run


def table(run: Run) -> str:
    """Return the counts of the ledger and of the callers."""
    arrivals = [arrival for each in run.server.arrivals.values() for arrival in each]
    lines = [f"{len(run.ended):,} calls, {len(arrivals):,} requests came whole to the server"]
    for method in ("GET", "LIST", "POST", "PATCH", "DELETE"):
        ends = Counter(ended.how for ended in run.ended if ended.method == method)
        lines.append(
            f"{method:7}{sum(ends.values()):7,}  " + ", ".join(f"{how} {n:,}" for how, n in ends.most_common())
        )
    for method in ("POST", "PATCH", "DELETE"):
        came = [arrival for arrival in arrivals if arrival.method == method]
        tokens = Counter(arrival.token for arrival in came if arrival.done)
        lines.append(
            f"{method:7}{len(came):7,}  requests; {len(tokens):,} writes were done, of which "
            f"{sum(1 for number in tokens.values() if number > 1):,} more than once"
        )
    faults = Counter(arrival.fault for arrival in arrivals)
    lines += ["what the server did: " + ", ".join(f"{fault} {number:,}" for fault, number in faults.most_common())]
    return "\n".join(lines)


async def check(seed: int, calls: int) -> Run:
    """Run, and fail with the seed if anything is wrong."""
    seed = int(os.environ.get("CHAOS_SEED", seed))
    try:
        run = await run_chaos(seed, calls)
    except BaseException as error:
        error.add_note(f"CHAOS_SEED={seed}")
        raise
    assert not run.wrong, f"{len(run.wrong)} things are wrong. CHAOS_SEED={seed}\n" + "\n".join(run.wrong[:20])
    return run


@pytest.mark.virtual_time
async def test_nothing_is_lost_doubled_or_leaked_in_2000_random_calls() -> None:
    """Every caller knows how their call ended."""
    run = await check(17, 2_000)

    assert run.server.made
    assert run.server.deleted


@pytest.mark.slow
@pytest.mark.virtual_time
@pytest.mark.parametrize("number", range(10))
async def test_nothing_is_lost_doubled_or_leaked_in_20000_random_calls(number: int) -> None:
    """Each run has other seeds."""
    await check(random.SystemRandom().randrange(10**9), 2_000)


async def _show(seed: int, calls: int) -> None:
    run = await run_chaos(seed, calls)
    sys.stdout.write(f"seed {seed}\n{table(run)}\nwrong: {len(run.wrong)}\n" + "\n".join(run.wrong[:30]) + "\n")


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    asyncio.Runner(loop_factory=VirtualLoop).run(_show(int(os.environ.get("CHAOS_SEED", "17")), calls))
