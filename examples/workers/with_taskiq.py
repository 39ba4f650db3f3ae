"""taskiq with RabbitMQ for the tasks, and Redis for their results and the limit that all workers share.

Workers: `taskiq worker with_taskiq:broker`. Set RABBITMQ_URL, REDIS_URL, BOX_OFFICES and EXPORT_FOLDER.
"""

import os
from pathlib import Path
from typing import Any

from export_job import Agency, export_chunk
from taskiq import Context, NoResultError, TaskiqDepends, TaskiqEvents, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.kicker import AsyncKicker
from taskiq.state import TaskiqState
from taskiq_aio_pika import AioPikaBroker, Queue
from taskiq_redis import RedisAsyncResultBackend

from ticketsource_async import AccessBlocked, APIError, RateLimited, ServerError, TransportError

TRIES = 5


class TryAgainLater(TaskiqMiddleware):
    """Hand a task that failed for now back to the queue, for as long as the API asks."""

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        tries = int(message.labels.get("tries", 1))
        if tries >= TRIES or not isinstance(exception, RateLimited | ServerError | TransportError | AccessBlocked):
            return
        asked = exception.retry_after if isinstance(exception, APIError) else None
        later: AsyncKicker[Any, Any] = AsyncKicker(message.task_name, self.broker, message.labels)
        later.with_task_id(message.task_id).with_labels(
            tries=tries + 1, delay=2.0**tries if asked is None else asked + 1
        )
        await later.kiq(*message.args, **message.kwargs)
        result.error = NoResultError()  # there is none yet


broker = (
    AioPikaBroker(os.environ["RABBITMQ_URL"], delay_queue=Queue(name="ticketsource.later"))
    .with_result_backend(RedisAsyncResultBackend(os.environ["REDIS_URL"], result_ex_time=3600))
    .with_middlewares(TryAgainLater())
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_agency(state: TaskiqState) -> None:
    state.agency = Agency()
    await state.agency.open()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_agency(state: TaskiqState) -> None:
    await state.agency.close()


def agency_of(context: Context = TaskiqDepends()) -> Agency:
    return context.state.agency  # type: ignore[no-any-return]  # taskiq's state is untyped


@broker.task
async def customer(name: str, customer_id: str, agency: Agency = TaskiqDepends(agency_of)) -> dict[str, object]:
    """Return one customer of a box office, as plain JSON, which is all that travels."""
    return (await agency.box_office(name).customers.get(customer_id)).to_dict()


@broker.task
async def export(name: str, agency: Agency = TaskiqDepends(agency_of)) -> None:
    """Export a box office: do a chunk, and leave the next to whoever is free."""
    seconds = float(os.environ.get("CHUNK_SECONDS", "300"))
    if not await export_chunk(agency.box_office(name), name, Path(os.environ["EXPORT_FOLDER"]), seconds):
        await export.kiq(name)
