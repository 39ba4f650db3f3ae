"""The recipes for task workers, with real workers, a real RabbitMQ and a real Redis. Some tests kill workers."""

import asyncio
import errno
import fcntl
import importlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from agency import all_exported, process
from loops import until_others
from servers import PostgresServer, RedisServer

from ticketsource_async import LimiterUnavailable, NotFound, RateLimited, TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="job")
def _job(recipe: None) -> Any:
    """Return the module of the job, without a task queue."""
    return importlib.import_module("export_job")


@pytest.fixture(name="tasks", params=["with_rabbitmq", "with_redis"])
def _tasks(
    request: pytest.FixtureRequest, recipe: None, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return a recipe of taskiq."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("IDLE_MILLISECONDS", "10000")
    if request.param == "with_rabbitmq":
        monkeypatch.setenv("RABBITMQ_URL", request.getfixturevalue("rabbit_server").url)
    return importlib.import_module(request.param)


def worker(tasks: Any, log: Path | None = None) -> AbstractAsyncContextManager[Callable[[], None]]:
    """Run a worker of a recipe."""
    where = f"{tasks.__name__}:broker"
    level = "WARNING" if log is None else "INFO"
    return process("-m", "taskiq", "worker", where, "--workers", "1", "--log-level", level, log=log)


@asynccontextmanager
async def connected(tasks: Any) -> AsyncIterator[Any]:
    """Run the scheduler of a recipe, if it has one, connect to the broker, and yield the tasks."""
    async with AsyncExitStack() as stack:
        if hasattr(tasks, "scheduler"):
            where = f"{tasks.__name__}:scheduler"
            await stack.enter_async_context(process("-m", "taskiq", "scheduler", where, "--update-interval", "1"))
        await tasks.broker.startup()
        yield importlib.import_module("taskiq_tasks")
        await tasks.broker.shutdown()


async def test_results_and_errors_arrive_complete(tasks: Any, boxes: dict[str, Sandbox]) -> None:
    """A task returns plain JSON, and an error of this library has all its fields."""
    box = boxes["hall-1"]
    async with connected(tasks) as sending, worker(tasks):
        customer_id = box.customers.ids(0, 1)[0]
        sent = [await sending.customer.kiq("hall-1", id_) for id_ in (customer_id, "cst-nobody")]
        found, missing = [await task.wait_result(timeout=60) for task in sent]

    assert found.return_value["id"] == customer_id
    assert isinstance(missing.error, NotFound)
    assert (missing.error.status, missing.error.method, missing.error.path) == (404, "GET", "/customers/cst-nobody")
    assert missing.error.errors[0].get("code") == "not_found"
    assert box.api_key not in repr(missing)


async def test_a_task_runs_again_after_the_wait_that_the_api_asks_for(tasks: Any, boxes: dict[str, Sandbox]) -> None:
    """The caller gets the result in the end."""
    box = boxes["hall-1"]
    customer_id = box.customers.ids(0, 1)[0]
    box.fail(status=429, headers={"Retry-After": "6"})
    clock = asyncio.get_running_loop().time
    async with connected(tasks) as sending, worker(tasks):
        sent = await sending.customer.kiq("hall-1", customer_id)
        await until_others(lambda: len(box.requests) == 1)
        refused = clock()
        found = await sent.wait_result(timeout=90)

    assert found.return_value["id"] == customer_id
    assert clock() - refused > 5.5
    assert [request.status for request in box.requests] == [429, 200]


async def whole_export(job: Any, box: Sandbox, folder: Path, seconds: float = 0) -> list[str]:
    """Export chunks until a box office is complete; return the ids in the file."""
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        while (wait := await job.export_chunk(ts, "hall", folder, seconds)) is not None:
            assert wait == 0
            assert not (folder / "hall.jsonl").exists()
    return [json.loads(line)["id"] for line in (folder / "hall.jsonl").read_text().splitlines()]


async def test_an_export_reads_chunks_and_a_second_export_reads_nothing(
    job: Any, boxes: dict[str, Sandbox], tmp_path: Path
) -> None:
    """A chunk of zero seconds has one page."""
    box, folder = boxes["hall-4"], tmp_path / "new" / "export"
    for _ in range(2):
        assert await whole_export(job, box, folder) == list(box.customers.ids())
        assert [request.query["page"] for request in box.requests] == ["1", "2", "3", "4", "5", "6"]
    assert {path.name for path in folder.iterdir()} == {"hall.jsonl", "hall.lock"}
    assert folder.stat().st_mode & 0o77 == 0


async def test_an_export_whose_file_was_deleted_reads_everything_again(
    job: Any, boxes: dict[str, Sandbox], tmp_path: Path
) -> None:
    """No page of the last export is used again."""
    box = boxes["hall-4"]
    await whole_export(job, box, tmp_path)
    (tmp_path / "hall.jsonl").unlink()
    box.customers.delete(box.customers.ids(0, 1))

    assert await whole_export(job, box, tmp_path, seconds=60) == list(box.customers.ids())


async def test_an_export_that_could_not_write_its_file_requests_no_page_again(
    job: Any, boxes: dict[str, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages were stored. The next worker makes the file of them."""
    box = boxes["hall-2"]

    def no_space(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space")

    with monkeypatch.context() as full:
        full.setattr(job, "_assemble", no_space)
        with pytest.raises(OSError, match="No space"):
            await whole_export(job, box, tmp_path)

    assert await whole_export(job, box, tmp_path) == list(box.customers.ids())
    assert len(box.requests) == 3


@contextmanager
def taken(lock: Path) -> Iterator[None]:
    """Hold the lock of a box office, as a worker does."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_a_second_worker_at_a_box_office_gets_a_wait(job: Any, boxes: dict[str, Sandbox], tmp_path: Path) -> None:
    """It reads nothing. When the file exists, it gets None."""
    box = boxes["hall-2"]
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        chunks = [job.export_chunk(ts, "hall", tmp_path, 60) for _ in range(2)]
        assert await asyncio.gather(*chunks) == [None, 60]
        with taken(tmp_path / "hall.lock"):
            assert await job.export_chunk(ts, "hall", tmp_path, 60) is None

    assert len(box.requests) == 3


async def test_an_export_is_tried_again_until_another_worker_releases_the_box_office(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker may be killed, so the task does not rely on it. A new order has no delay."""
    monkeypatch.setenv("LOOK_AGAIN_SECONDS", "1")
    log = tmp_path / "workers.log"
    async with connected(tasks) as sending, worker(tasks, log):
        with taken(tmp_path / "export" / "hall-1.lock"):
            await sending.export.kiq("hall-1")
            await until_others(lambda: log.exists() and log.read_text().count("taskiq_tasks:export") > 2)
            assert not boxes["hall-1"].requests
        await all_exported({"hall-1": boxes["hall-1"]}, tmp_path / "export", None)
        assert "delay" not in sending.export.labels


def test_a_task_waits_longer_each_time_and_is_given_up_after_hours(job: Any) -> None:
    """It waits as long as the API asks for. A NotFound is given up at once."""
    limited = RateLimited("", status=429, method="GET", path="/customers", retry_after=70.0)
    assert job.wait_before_retry(limited, 1) == 71
    assert job.wait_before_retry(NotFound("", status=404, method="GET", path="/customers/cst-a"), 1) is None
    waits = [job.wait_before_retry(LimiterUnavailable("Redis"), tries) for tries in range(1, 46)]
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-2:] == [300, None]
    assert sum(waits[:-1]) > 3 * 3600


@pytest.mark.parametrize("killed", [False, True])
async def test_an_agency_exports_many_box_offices_though_a_worker_is_killed(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, killed: bool
) -> None:
    """Each file has every customer once, and few pages are fetched twice, though every task is queued twice."""
    async with connected(tasks) as sending, worker(tasks), worker(tasks) as kill:
        for name in [*boxes, *boxes]:
            await sending.export.kiq(name)
        await all_exported(boxes, tmp_path / "export", kill if killed else None)


@pytest.fixture(name="over_postgresql")
async def _over_postgresql(
    recipe: None, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Yield the recipe for procrastinate with an open connection."""
    settings = {"DATABASE_URL": postgres_server.url, "WORKERS": "2", "STALLED_SECONDS": "3", "LOOK_AGAIN_SECONDS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = importlib.import_module("with_procrastinate")
    async with found.app.open_async():
        if not await found.app.check_connection_async():
            await found.app.schema_manager.apply_schema_async()
        yield found


async def test_an_export_over_postgresql_is_tried_again_until_another_worker_releases_the_box_office(
    over_postgresql: Any, boxes: dict[str, Sandbox], tmp_path: Path
) -> None:
    """Each try is a new job."""
    jobs = over_postgresql.app.job_manager
    async with process("-m", "run_procrastinate"):
        with taken(tmp_path / "export" / "hall-1.lock"):
            order = await over_postgresql.export.defer_async(name="hall-1")
            async with asyncio.timeout(60):
                while max(job.id for job in await jobs.list_jobs_async(task="export")) < order + 2:  # noqa: ASYNC110 - a worker makes them
                    await asyncio.sleep(0.1)
            assert not boxes["hall-1"].requests
        await all_exported({"hall-1": boxes["hall-1"]}, tmp_path / "export", None)


@pytest.mark.parametrize("killed", [False, True])
async def test_an_agency_exports_many_box_offices_over_postgresql_though_a_worker_is_killed(
    over_postgresql: Any, boxes: dict[str, Sandbox], tmp_path: Path, killed: bool
) -> None:
    """The other worker takes over the jobs of a killed worker."""
    async with process("-m", "run_procrastinate"), process("-m", "run_procrastinate") as kill:
        for name in [*boxes, *boxes]:
            await over_postgresql.export.defer_async(name=name)
        await all_exported(boxes, tmp_path / "export", kill if killed else None)
