"""The event loop in a thread, which the recipe for Celery uses."""

import asyncio
import importlib
import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import celery
import pytest
from agency import WORKERS

from ticketsource_async import errors


@pytest.fixture(name="loop")
def _loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(WORKERS))
    loop = importlib.import_module("loop_thread").LoopThread()
    yield loop
    loop.close()


class Alarm(Exception):
    """The error that the signal handler of these tests raises, as the handler of a time limit does."""


@pytest.fixture(name="alarm")
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR2, ring)
    yield
    signal.signal(signal.SIGUSR2, before)


def interrupt() -> None:
    """Send a signal to the main thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)


def test_run_returns_the_result_or_raises_the_error(loop: Any) -> None:
    """The class of the error is kept."""

    async def fail() -> None:
        raise LookupError("nobody")

    assert loop.run(lambda: asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError, match="nobody"):
        loop.run(fail)


def test_many_threads_share_one_loop(loop: Any) -> None:
    """Their work waits for each other in one other thread."""
    barrier = asyncio.Barrier(20)
    where = set()

    async def meet() -> None:
        where.add(threading.get_ident())
        await barrier.wait()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda _: loop.run(meet), range(20)))

    assert len(where) == 1
    assert threading.get_ident() not in where


def test_an_interruption_is_raised_after_the_work_has_ended(loop: Any, alarm: None) -> None:
    """The work is cancelled, and finishes its `finally` block."""
    told = []

    async def work() -> None:
        try:
            interrupt()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            told.append("tidied up")

    with pytest.raises(Alarm):
        loop.run(work)
    assert told == ["tidied up"]


def test_work_interrupted_while_it_is_submitted_is_not_completed(
    loop: Any, alarm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interruption comes just before or just after the submission."""
    begun, ended = [], []
    real = loop._loop.call_soon_threadsafe

    def interrupted(before: bool) -> Any:
        def order(*arguments: Any) -> None:
            monkeypatch.undo()
            if not before:
                real(*arguments)
            raise Alarm

        return order

    async def work(before: bool) -> None:
        begun.append(before)
        await asyncio.sleep(3600 if before else 0.05)
        ended.append(before)

    for before in (True, False):
        monkeypatch.setattr(loop._loop, "call_soon_threadsafe", interrupted(before))
        with pytest.raises(Alarm):
            loop.run(lambda: work(before))  # noqa: B023 - it is done with when the next begins

    assert loop.run(lambda: asyncio.sleep(0.1, "next")) == "next"
    assert True not in begun
    assert ended == []


def test_cancel_ends_only_the_named_work(loop: Any) -> None:
    """The thread that waits for it gets CancelledError."""
    both = threading.Barrier(3)

    async def work(seconds: float) -> str:
        await asyncio.to_thread(both.wait)
        await asyncio.sleep(seconds)
        return "done"

    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(loop.run, lambda: work(3600), "long")
        short = threads.submit(loop.run, lambda: work(0.05), "short")
        both.wait()
        loop.cancel("long")
        assert short.result() == "done"
        with pytest.raises(CancelledError):
            long.result()


def every_error() -> list[errors.TicketSourceError]:
    """Return an error of each class, and one with all the fields that a failed call has."""
    base = errors.TicketSourceError
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, base)]
    made = [kind("what happened") for kind in kinds]
    detail: errors.ErrorObject = {"code": "rate_limit", "detail": "Žižkov"}
    limited = errors.RateLimited("slow down", 429, [detail], "GET", "/customers", "req-1", 7.5, 4)
    return [*made, limited]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_survives_the_result_backend_of_celery(error: errors.TicketSourceError, serializer: str) -> None:
    """Its class and every field come back."""
    app = celery.Celery(backend="cache+memory://", set_as_current=False)
    app.conf.update(result_serializer=serializer, accept_content=["json", "pickle"])
    backend = app.backend
    stored = backend.encode(backend.prepare_exception(error, serializer))
    back = backend.exception_to_python(backend.decode(stored))

    assert type(back) is type(error)
    assert back.to_dict() == error.to_dict()
    assert json.loads(json.dumps(back.to_dict())) == error.to_dict()
