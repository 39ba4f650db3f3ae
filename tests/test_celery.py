"""The recipe for Celery is run: real workers of both kinds, a real RabbitMQ and a real Redis, and somebody who kills."""

import asyncio
import importlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from agency import all_exported, process
from loops import until
from servers import RedisServer

from ticketsource_async import NotFound
from ticketsource_async.sandbox import Sandbox

POOLS = ("prefork", "threads")


@pytest.fixture(name="broker", params=["rabbitmq", "redis"])
def _broker(
    request: pytest.FixtureRequest, recipe: None, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Set the two servers, and what a test cannot wait for."""
    rabbit = request.param == "rabbitmq"
    url: str = request.getfixturevalue("rabbit_server").url if rabbit else f"{redis_server.url}/1"
    for name, value in {
        "CELERY_BROKER_URL": url,
        "REDIS_URL": redis_server.url,
        "VISIBILITY_SECONDS": "5",
        "LOOK_AGAIN_SECONDS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return url


@pytest.fixture(name="tasks")
def _tasks(broker: str) -> Iterator[Any]:
    """Return the tasks, as the program that hands them out has them."""
    tasks = importlib.import_module("celery_tasks")
    yield tasks
    tasks.app.control.purge()  # of what came back from workers that have ended
    tasks.app.close()


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "workers.log"


def worker(pool: str, log: Path, *options: str, app: str = "celery_tasks") -> AbstractAsyncContextManager[Callable[[], None]]:
    """Run a worker with two processes or threads."""
    quick = ("--without-gossip", "--without-mingle", "--hostname", f"{os.urandom(4).hex()}@here", *options)
    return process("-m", "celery", "-A", app, "worker", "--pool", pool, "-c", "2", "-l", "DEBUG", *quick, log=log)


async def result_of(sent: Any, seconds: float = 60) -> Any:
    """Return the result of a task, or the error that it ended with."""
    return await asyncio.to_thread(sent.get, timeout=seconds, propagate=False)


@pytest.mark.parametrize("pool", POOLS)
async def test_results_and_errors_arrive_whole(tasks: Any, pool: str, boxes: dict[str, Sandbox], log: Path) -> None:
    """A task returns plain JSON, an error of ours comes with every field, and no key is anywhere."""
    box = boxes["hall-1"]
    async with worker(pool, log):
        customer_id = box.customers.ids(0, 1)[0]
        sent = [tasks.customer.delay("hall-1", id_) for id_ in (customer_id, "cst-nobody")]
        found, missing = [await result_of(task) for task in sent]

    assert found["id"] == customer_id
    assert isinstance(missing, NotFound)
    assert (missing.status, missing.method, missing.path) == (404, "GET", "/customers/cst-nobody")
    assert missing.errors[0].get("code") == "not_found"
    stored = [repr(vars(task)) + repr(task.backend.get_task_meta(task.id)) for task in sent]
    assert box.api_key not in "".join([*stored, log.read_text()])
