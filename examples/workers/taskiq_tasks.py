"""The tasks of taskiq workers, for any broker; see with_rabbitmq.py and with_redis.py."""

from datetime import UTC, datetime, timedelta
from typing import Any

from export_job import Agency, wait_before_retry
from taskiq import (
    AsyncBroker,
    Context,
    NoResultError,
    ScheduleSource,
    TaskiqDepends,
    TaskiqEvents,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
    async_shared_broker,
)
from taskiq.kicker import AsyncKicker
from taskiq.state import TaskiqState


class TryAgainLater(TaskiqMiddleware):
    """Queue a task again after a temporary failure, with the wait that the API asks for."""

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        tries = int(message.labels.get("tries", 1))
        if (wait := wait_before_retry(exception, tries)) is None:
            return
        labels = {**message.labels, "tries": tries + 1}
        again = AsyncKicker[Any, Any](message.task_name, self.broker, labels).with_task_id(message.task_id)
        await send(again, wait, *message.args, **message.kwargs)
        result.error = NoResultError()  # there is no result yet


async def send(task: AsyncKicker[Any, Any], wait: float, *args: Any, **kwargs: Any) -> None:
    """Queue a task, to be done after this number of seconds."""
    schedule: ScheduleSource | None = task.broker.state.schedule
    if wait and schedule is not None:
        await task.schedule_by_time(schedule, datetime.now(UTC) + timedelta(seconds=wait), *args, **kwargs)
    else:
        await (task.with_labels(delay=wait) if wait else task).kiq(*args, **kwargs)


async def open_agency(state: TaskiqState) -> None:
    state.agency = Agency()
    await state.agency.open()


async def close_agency(state: TaskiqState) -> None:
    await state.agency.close()


def work_for(broker: AsyncBroker, schedule: ScheduleSource | None = None) -> None:
    """Let each worker of this broker open an agency, and send the tasks through this broker.

    A broker that cannot delay a message needs a schedule.
    """
    broker.state.schedule = schedule
    broker.add_middlewares(TryAgainLater())
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, open_agency)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, close_agency)
    async_shared_broker.default_broker(broker)


def agency_of(context: Context = TaskiqDepends()) -> Agency:
    return context.state.agency  # type: ignore[no-any-return]  # taskiq's state is untyped


@async_shared_broker.task
async def customer(name: str, customer_id: str, agency: Agency = TaskiqDepends(agency_of)) -> dict[str, object]:
    """Return one customer of a box office as plain JSON, which every result backend can store."""
    return (await agency.box_office(name).customers.get(customer_id)).to_dict()


@async_shared_broker.task
async def export(name: str, agency: Agency = TaskiqDepends(agency_of), context: Context = TaskiqDepends()) -> None:
    """Export one chunk of a box office, and queue the next chunk for any free worker."""
    wait = await agency.export_chunk(name)
    if wait is not None:
        # Not `export.kicker()`: it would keep the delay for all later exports.
        await send(AsyncKicker(context.message.task_name, context.broker, {}), wait, name)
