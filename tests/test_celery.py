"""The recipe for Celery, with real workers of each kind, a real RabbitMQ and a real Redis. Some tests kill workers."""

import asyncio
import fcntl
import gc
import importlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
from agency import Ending, all_exported, process
from celery.exceptions import TaskRevokedError
from loops import until_others
from servers import RedisServer

from ticketsource_async import NotFound
from ticketsource_async.sandbox import Sandbox

ALL = [(broker, pool) for broker in ("rabbitmq", "redis") for pool in ("prefork", "threads")]
EACH = [ALL[0], ALL[3]]
"""Each broker and each pool, but not each pair of them."""


def over(brokers_and_pools: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Run a test with these pairs."""
    return pytest.mark.parametrize(("broker", "pool"), brokers_and_pools, indirect=["broker"])


BOTH_BROKERS = pytest.mark.parametrize("broker", ["rabbitmq", "redis"], indirect=True)


@pytest.fixture(name="broker")
def _broker(
    request: pytest.FixtureRequest, recipe: None, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Set the two servers, and shorter times for a test."""
    rabbit = getattr(request, "param", "rabbitmq") == "rabbitmq"
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
    """Yield the tasks, as the program that queues them imports them."""
    tasks = importlib.import_module("celery_tasks")
    yield tasks
    tasks.app.control.purge()  # workers that have ended may have returned tasks
    gc.collect()  # results unsubscribe, which they cannot later
    tasks.app.close()
    kombu.pools.reset()
    tasks.app.backend.result_consumer.stop()
    tasks.app.backend.client.close()


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "workers.log"


def worker(pool: str, log: Path, *options: str, app: str = "celery_tasks") -> AbstractAsyncContextManager[Ending]:
    """Run a worker with two processes or threads."""
    quick = ("--without-gossip", "--without-mingle", "--hostname", f"{os.urandom(4).hex()}@here", *options)
    return process("-m", "celery", "-A", app, "worker", "--pool", pool, "-c", "2", "-l", "DEBUG", *quick, log=log)


async def result_of(sent: Any) -> Any:
    """Return the result of a task, or the error that it ended with."""
    async with asyncio.timeout(90):
        while not sent.ready():  # noqa: ASYNC110 - a worker stores it
            await asyncio.sleep(0.05)
    return sent.result


def all_in(server: RedisServer) -> str:
    """Return the contents of a Redis, in both of its databases."""
    found = []
    for database in (0, 1):
        with server.ask(database) as redis:
            for name in redis.scan_iter():
                values = {
                    b"string": redis.get,
                    b"hash": redis.hgetall,
                    b"list": lambda name: redis.lrange(name, 0, -1),
                    b"set": redis.smembers,
                    b"zset": lambda name: redis.zrange(name, 0, -1),
                }
                kind = redis.type(name)
                assert isinstance(kind, bytes)
                found.append(f"{name!r}: {values[kind](name)!r}")
    return "\n".join(found)


@over([*EACH, ("rabbitmq", "solo")])
async def test_results_and_errors_arrive_complete_and_without_a_key(
    tasks: Any, pool: str, boxes: dict[str, Sandbox], redis_server: RedisServer, log: Path
) -> None:
    """A task returns plain JSON, an error of this library has all its fields, and Redis and the log have no key."""
    box = boxes["hall-1"]
    async with worker(pool, log):
        customer_id = box.customers.ids(0, 1)[0]
        sent = [tasks.customer.delay("hall-1", id_) for id_ in (customer_id, "cst-nobody")]
        found, missing = [await result_of(task) for task in sent]

    assert found["id"] == customer_id
    assert isinstance(missing, NotFound)
    assert (missing.status, missing.method, missing.path) == (404, "GET", "/customers/cst-nobody")
    assert missing.errors[0].get("code") == "not_found"
    stored = all_in(redis_server)
    assert "cst-nobody" in stored
    assert "skl-" not in stored + log.read_text()


@over(EACH)
async def test_a_task_runs_again_after_the_wait_that_the_api_asks_for(
    tasks: Any, pool: str, boxes: dict[str, Sandbox], log: Path
) -> None:
    """The caller gets the result in the end."""
    box = boxes["hall-1"]
    customer_id = box.customers.ids(0, 1)[0]
    box.fail(status=429, headers={"Retry-After": "6"})
    clock = asyncio.get_running_loop().time
    async with worker(pool, log):
        sent = tasks.customer.delay("hall-1", customer_id)
        await until_others(lambda: len(box.requests) == 1)
        refused = clock()
        found = await result_of(sent)

    assert found["id"] == customer_id
    assert clock() - refused > 5.5
    assert [request.status for request in box.requests] == [429, 200]
    assert box.api_key not in log.read_text()


@pytest.mark.parametrize(
    ("broker", "pool", "killed"), [*((*with_, True) for with_ in ALL), (*ALL[0], False)], indirect=["broker"]
)
async def test_an_agency_exports_many_box_offices_though_a_worker_is_killed(
    tasks: Any, pool: str, boxes: dict[str, Sandbox], tmp_path: Path, log: Path, killed: bool
) -> None:
    """Each file has every customer once, and few pages are fetched twice, though every task is queued twice."""
    async with worker(pool, log), worker(pool, log) as kill:
        for name in [*boxes, *boxes]:
            tasks.export.delay(name)
        await all_exported(boxes, tmp_path / "export", kill if killed else None)


@BOTH_BROKERS
async def test_exports_go_on_after_every_process_of_a_worker_is_killed(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, log: Path
) -> None:
    """The worker starts new processes, and gives them the tasks."""

    def kill() -> None:
        pids = [pid for stats in tasks.app.control.inspect().stats().values() for pid in stats["pool"]["processes"]]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    async with worker("prefork", log):
        for name in boxes:
            tasks.export.delay(name)
        await until_others(lambda: sum(len(box.requests) for box in boxes.values()) > 3)
        await asyncio.to_thread(kill)
        await all_exported(boxes, tmp_path / "export", lambda: None)


async def test_an_export_is_tried_again_until_another_worker_releases_the_box_office(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, log: Path
) -> None:
    """The other worker may be killed, so the task does not rely on it."""
    (tmp_path / "export").mkdir()
    lock = tmp_path / "export" / "hall-1.lock"
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with worker("threads", log):
            tasks.export.delay("hall-1")
            await until_others(lambda: log.read_text().count("celery_tasks.export") > 4)
            assert not boxes["hall-1"].requests
            fcntl.flock(other, fcntl.LOCK_UN)
            await all_exported({"hall-1": boxes["hall-1"]}, tmp_path / "export", None)


class Silent:
    """A box office that takes requests and never answers."""

    def __init__(self) -> None:
        self._requests = asyncio.Semaphore(0)
        self._closings = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request, and wait until its sender closes the connection."""
        await reader.readuntil(b"\r\n\r\n")
        self._requests.release()
        await reader.read()
        self._closings.release()
        writer.close()

    async def request(self) -> None:
        """Wait for the next request."""
        async with asyncio.timeout(120):
            await self._requests.acquire()

    async def closing(self) -> None:
        """Wait until the sender of a request closes its connection."""
        async with asyncio.timeout(120):
            await self._closings.acquire()


@pytest.fixture(name="silent")
async def _silent(recipe: None, tmp_path: Path) -> AsyncIterator[Silent]:
    silent = Silent()
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    settings = json.loads((tmp_path / "offices.json").read_text())
    settings["silent"] = {"api_key": "skl-silent", "base_url": f"http://{host}:{port}"}
    (tmp_path / "offices.json").write_text(json.dumps(settings))
    async with server:
        yield silent


@over(EACH)
async def test_a_time_limit_and_a_revocation_cut_the_request_off(
    tasks: Any, pool: str, silent: Silent, boxes: dict[str, Sandbox], log: Path
) -> None:
    """After the time limit the task runs again. The worker then does other tasks as before."""
    async with worker(pool, log):
        sent = tasks.customer.apply_async(("silent", "cst-1"), soft_time_limit=2)
        await silent.request()
        await silent.closing()
        await silent.request()
        sent.revoke(terminate=True)
        await silent.closing()
        assert isinstance(await result_of(sent), TaskRevokedError)
        assert sent.state == "REVOKED"

        found = await result_of(tasks.customer.delay("hall-1", boxes["hall-1"].customers.ids(0, 1)[0]))
    assert found["id"] == boxes["hall-1"].customers.ids(0, 1)[0]


@over(ALL)
async def test_a_worker_ended_by_sigquit_leaves_its_task_to_another(
    tasks: Any, pool: str, silent: Silent, boxes: dict[str, Sandbox], log: Path
) -> None:
    """SIGQUIT cuts the request off. The message returns to the queue."""
    async with worker(pool, log) as end:
        tasks.customer.delay("silent", "cst-1")
        await silent.request()
        end(signal.SIGQUIT)
        await silent.closing()
    assert "nclosed" not in log.read_text()
    async with worker(pool, log) as end:
        await silent.request()
        end(signal.SIGKILL)
        await silent.closing()


PROBE = """
import os
from celery.signals import worker_process_shutdown, worker_shutdown
from celery_tasks import app, here

@worker_process_shutdown.connect
@worker_shutdown.connect
def note(**_):
    if hasattr(here, "_agency"):
        with open(os.environ["PROBE"], "a") as file:
            print(here._agency._session.closed, here.is_open, file=file)
"""


@over(EACH)
async def test_a_worker_ended_by_sigterm_finishes_its_task_and_closes_its_client(
    tasks: Any, pool: str, boxes: dict[str, Sandbox], tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process closes its own client."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PROBE", str(tmp_path / "closed.txt"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    box = boxes["hall-1"]
    box.fail(slow=1)
    async with worker(pool, log, app="probe"):
        sent = tasks.customer.delay("hall-1", box.customers.ids(0, 1)[0])
        await until_others(lambda: len(box.requests) == 1)

    assert (await result_of(sent))["id"] == box.customers.ids(0, 1)[0]
    assert (tmp_path / "closed.txt").read_text().splitlines() == ["True False"] * (2 if pool == "prefork" else 1)
    assert "Traceback" not in log.read_text()


@BOTH_BROKERS
async def test_a_note_is_not_added_twice_though_the_worker_is_killed(
    tasks: Any, boxes: dict[str, Sandbox], log: Path
) -> None:
    """The task is lost with the worker. Another worker does the read that follows."""
    box = boxes["hall-1"]
    customer_id = box.customers.ids(0, 1)[0]
    async with worker("threads", log) as kill:
        added = tasks.add_note.delay("hall-1", customer_id, "Needs leg room")
        note_id = await result_of(added)
        box.fail(method="POST", slow=60)
        tasks.add_note.delay("hall-1", customer_id, "Hard of hearing")
        await until_others(lambda: len(box.requests) == 2)
        kill()
    async with worker("threads", log):
        await asyncio.sleep(8)  # longer than Redis waits for a worker
        found = await result_of(tasks.customer.delay("hall-1", customer_id))

    assert found["id"] == customer_id
    assert note_id.startswith("csn-")
    assert [request.method for request in box.requests] == ["POST", "POST", "GET"]


async def test_a_worker_that_cannot_read_its_settings_says_that_it_cannot_begin(
    tasks: Any, tmp_path: Path, log: Path
) -> None:
    """It does not take tasks that would all fail."""
    (tmp_path / "offices.json").write_text("{")
    for pool in ("prefork", "threads"):
        async with worker(pool, log):
            await until_others(lambda: "The worker cannot begin" in log.read_text())
        log.unlink()
