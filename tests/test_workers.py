"""The recipes for task workers are run: real workers, a real RabbitMQ and a real Redis, and somebody who kills."""

import asyncio
import importlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from doubles import until
from servers import RabbitServer, RedisServer

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


@pytest.fixture(name="tasks")
def _tasks(
    boxes: dict[str, Sandbox],
    redis_server: RedisServer,
    rabbit_server: RabbitServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """Yield the recipe's module as the program that hands out the tasks imports it."""
    offices = {name: {"api_key": box.api_key, "base_url": box.url} for name, box in boxes.items()}
    (tmp_path / "offices.json").write_text(json.dumps(offices))
    for name, value in {
        "RABBITMQ_URL": rabbit_server.url,
        "REDIS_URL": redis_server.url,
        "BOX_OFFICES": str(tmp_path / "offices.json"),
        "EXPORT_FOLDER": str(tmp_path / "export"),
        "CHUNK_SECONDS": "0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(WORKERS))
    yield importlib.import_module("with_taskiq")
    sys.modules.pop("with_taskiq")
    sys.modules.pop("export_job")


@asynccontextmanager
async def worker() -> AsyncIterator[Callable[[], None]]:
    """Run a worker; yield what kills it and its children at once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskiq", "worker", "with_taskiq:broker", "--workers", "1", "--log-level", "WARNING"),
        cwd=WORKERS,
        start_new_session=True,
    )

    def kill() -> None:
        os.killpg(process.pid, signal.SIGKILL)

    try:
        yield kill
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def opened(tasks: Any) -> AsyncIterator[None]:
    """Connect the program that hands out the tasks."""
    await tasks.broker.startup()
    yield
    await tasks.broker.shutdown()


async def test_results_and_errors_arrive_whole(tasks: Any, boxes: dict[str, Sandbox]) -> None:
    """A task returns plain JSON, and an error of ours comes with every field."""
    box = boxes["hall-1"]
    async with opened(tasks), worker():
        customer_id = box.customers.ids(0, 1)[0]
        sent = [await tasks.customer.kiq("hall-1", id_) for id_ in (customer_id, "cst-nobody")]
        found, missing = [await task.wait_result(timeout=60) for task in sent]

    assert found.return_value["id"] == customer_id
    assert isinstance(missing.error, NotFound)
    assert (missing.error.status, missing.error.method, missing.error.path) == (404, "GET", "/customers/cst-nobody")
    assert missing.error.errors[0]["code"] == "not_found"
    assert box.api_key not in repr(missing)


async def test_the_api_asks_to_wait_and_the_task_comes_again_that_much_later(
    tasks: Any, boxes: dict[str, Sandbox]
) -> None:
    """The worker is free meanwhile, and the caller gets the result in the end."""
    box = boxes["hall-1"]
    customer_id = box.customers.ids(0, 1)[0]
    box.fail(status=429, headers={"Retry-After": "6"})
    clock = asyncio.get_running_loop().time
    async with opened(tasks), worker():
        sent = await tasks.customer.kiq("hall-1", customer_id)
        await until(lambda: len(box.requests) == 1)
        refused = clock()
        found = await sent.wait_result(timeout=60)

    assert found.return_value["id"] == customer_id
    assert clock() - refused > 5.5
    assert [request.status for request in box.requests] == [429, 200]


@pytest.mark.parametrize("killed", [False, True])
async def test_an_agency_exports_many_box_offices_though_a_worker_is_killed(
    tasks: Any, boxes: dict[str, Sandbox], tmp_path: Path, killed: bool
) -> None:
    """Each file has every customer once, and few pages are fetched twice."""
    whole = [tmp_path / "export" / f"{name}.jsonl" for name in boxes]
    async with opened(tasks), worker(), worker() as kill:
        for name in boxes:
            await tasks.export.kiq(name)
        if killed:
            await until(lambda: sum(len(box.requests) for box in boxes.values()) > 8)
            kill()
        async with asyncio.timeout(120):
            while not all(path.exists() for path in whole):  # noqa: ASYNC110 - another process writes them
                await asyncio.sleep(0.05)

    for name, box in boxes.items():
        rows = [json.loads(line) for line in (tmp_path / "export" / f"{name}.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == list(box.customers.ids())
        asked = Counter(request.query["page"] for request in box.requests)
        assert max(asked.values()) <= 2
        assert {request.status for request in box.requests} <= {200, None}
        assert sum(count - 1 for count in asked.values()) <= (1 if killed else 0)
