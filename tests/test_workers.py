"""The recipes for task workers are run: real workers, a real RabbitMQ and a real Redis, and somebody who kills."""

import asyncio
import importlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from doubles import until
from servers import PostgresServer, RedisServer

from ticketsource_async import NotFound
from ticketsource_async.sandbox import Sandbox

WORKERS = Path(__file__).parents[1] / "examples" / "workers"


@pytest.fixture(name="boxes")
async def _boxes() -> AsyncIterator[dict[str, Sandbox]]:
    async with AsyncExitStack() as stack:
        boxes = {f"hall-{n}": Sandbox(150 * n, n, rate_limit=(240, 60), latency=0.02) for n in range(1, 6)}
        for box in boxes.values():
            await stack.enter_async_context(box)
        yield boxes


@pytest.fixture(name="recipe", autouse=True)
def _recipe(boxes: dict[str, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set what all recipes need, and let each test import them afresh, as the program that hands out the tasks does."""
    offices = {name: {"api_key": box.api_key, "base_url": box.url} for name, box in boxes.items()}
    (tmp_path / "offices.json").write_text(json.dumps(offices))
    monkeypatch.setenv("BOX_OFFICES", str(tmp_path / "offices.json"))
    monkeypatch.setenv("EXPORT_FOLDER", str(tmp_path / "export"))
    monkeypatch.setenv("CHUNK_SECONDS", "0.1")
    monkeypatch.syspath_prepend(str(WORKERS))
    yield
    for path in WORKERS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(name="tasks", params=["with_rabbitmq", "with_redis"])
def _tasks(request: pytest.FixtureRequest, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a recipe of taskiq."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("IDLE_MILLISECONDS", "10000")
    if request.param == "with_rabbitmq":
        monkeypatch.setenv("RABBITMQ_URL", request.getfixturevalue("rabbit_server").url)
    return importlib.import_module(request.param)


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Callable[[], None]]:
    """Run Python among the recipes; yield what kills it and its children at once."""
    process = await asyncio.create_subprocess_exec(*(sys.executable, *arguments), cwd=WORKERS, start_new_session=True)
    try:
        yield lambda: os.killpg(process.pid, signal.SIGKILL)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def worker(tasks: Any) -> AbstractAsyncContextManager[Callable[[], None]]:
    """Run a worker of a recipe."""
    where = f"{tasks.__name__}:broker"
    return process("-m", "taskiq", "worker", where, "--workers", "1", "--log-level", "WARNING")


@asynccontextmanager
async def opened(tasks: Any) -> AsyncIterator[Any]:
    """Connect the program that hands out the tasks; yield these."""
    await tasks.broker.startup()
    yield importlib.import_module("taskiq_tasks")
    await tasks.broker.shutdown()


async def test_results_and_errors_arrive_whole(tasks: Any, boxes: dict[str, Sandbox]) -> None:
    """A task returns plain JSON, and an error of ours comes with every field."""
    box = boxes["hall-1"]
    async with opened(tasks) as sending, worker(tasks):
        customer_id = box.customers.ids(0, 1)[0]
        sent = [await sending.customer.kiq("hall-1", id_) for id_ in (customer_id, "cst-nobody")]
        found, missing = [await task.wait_result(timeout=60) for task in sent]

    assert found.return_value["id"] == customer_id
    assert isinstance(missing.error, NotFound)
    assert (missing.error.status, missing.error.method, missing.error.path) == (404, "GET", "/customers/cst-nobody")
    assert missing.error.errors[0].get("code") == "not_found"
    assert box.api_key not in repr(missing)


async def test_the_api_asks_to_wait_and_the_task_comes_again_that_much_later(
    tasks: Any, boxes: dict[str, Sandbox]
) -> None:
    """The worker is free meanwhile, and the caller gets the result in the end."""
    box = boxes["hall-1"]
    customer_id = box.customers.ids(0, 1)[0]
    box.fail(status=429, headers={"Retry-After": "6"})
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        sending = await stack.enter_async_context(opened(tasks))
        await stack.enter_async_context(worker(tasks))
        if hasattr(tasks, "scheduler"):
            where = f"{tasks.__name__}:scheduler"
            await stack.enter_async_context(process("-m", "taskiq", "scheduler", where, "--update-interval", "1"))
        sent = await sending.customer.kiq("hall-1", customer_id)
        await until(lambda: len(box.requests) == 1)
        refused = clock()
        found = await sent.wait_result(timeout=90)

    assert found.return_value["id"] == customer_id
    assert clock() - refused > 5.5
    assert [request.status for request in box.requests] == [429, 200]


async def all_exported(boxes: dict[str, Sandbox], folder: Path, kill: Callable[[], None] | None) -> None:
    """Wait for all files, and kill in the middle; then look whether they are whole and little was fetched twice."""
    if kill is not None:
        await until(lambda: sum(len(box.requests) for box in boxes.values()) > 8)
        kill()
    async with asyncio.timeout(150):
        while not all((folder / f"{name}.jsonl").exists() for name in boxes):  # noqa: ASYNC110 - others write them
            await asyncio.sleep(0.05)
    for name, box in boxes.items():
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == list(box.customers.ids())
        pages = [request for request in box.requests if request.path == "/customers"]
        asked = Counter(request.query["page"] for request in pages)
        assert {request.status for request in pages} <= {200, None}
        # Killed before its message was acknowledged, a chunk that has handed on the rest is repeated with all of that.
        assert max(asked.values()) <= (1 if kill is None else 2)


@pytest.mark.parametrize("killed", [False, True])
async def test_an_agency_exports_many_box_offices_though_a_worker_is_killed(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, killed: bool
) -> None:
    """Each file has every customer once, and few pages are fetched twice."""
    async with opened(tasks) as sending, worker(tasks), worker(tasks) as kill:
        for name in boxes:
            await sending.export.kiq(name)
        trickle = asyncio.create_task(keep_asking(sending))  # Redis looks for lost tasks when others arrive
        try:
            await all_exported(boxes, tmp_path / "export", kill if killed else None)
        finally:
            trickle.cancel()


async def keep_asking(sending: Any) -> None:
    """Hand out a small task now and then."""
    while True:
        await sending.customer.kiq("hall-1", "cst-nobody")
        await asyncio.sleep(1)


@pytest.mark.parametrize("killed", [False, True])
async def test_the_same_over_postgresql(
    postgres_server: PostgresServer,
    boxes: dict[str, Sandbox],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    """Procrastinate's workers export whole files, and take over from one that was killed."""
    for name, value in {"DATABASE_URL": postgres_server.url, "WORKERS": "2", "STALLED_SECONDS": "3"}.items():
        monkeypatch.setenv(name, value)
    recipe = importlib.import_module("with_procrastinate")
    async with recipe.app.open_async():
        if not await recipe.app.check_connection_async():
            await recipe.app.schema_manager.apply_schema_async()
        async with process("-m", "run_procrastinate"), process("-m", "run_procrastinate") as kill:
            for name in boxes:
                await recipe.export.defer_async(name=name)
            await all_exported(boxes, tmp_path / "export", kill if killed else None)
