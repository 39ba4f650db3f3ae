"""Celery 5 with RabbitMQ or Redis: ordinary tasks that call the library, through one event loop in each process.

Workers: `celery -A celery_tasks worker`, or with `--pool threads` for many tasks in one process. Set CELERY_BROKER_URL,
REDIS_URL (for the results, and the limit that all workers share), BOX_OFFICES and EXPORT_FOLDER.

A worker may be killed at any moment. The broker then gives its tasks, except `add_note`, to other workers, which run
them again. RabbitMQ does so at once, Redis after VISIBILITY_SECONDS. If Redis itself is killed, it may lose tasks (see
its `appendfsync`): queue them again.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from billiard import current_process
from celery import Celery, Task
from celery.concurrency import get_implementation, prefork
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutdown
from celery.worker.request import Request
from celery.worker.state import revoked
from export_job import Agency, wait_before_retry
from kombu.exceptions import OperationalError
from loop_thread import LoopThread

from ticketsource_async import NoteDraft, TransportError

T = TypeVar("T")

BROKER = os.environ["CELERY_BROKER_URL"]
CHUNK = float(os.environ.get("CHUNK_SECONDS", "300"))
# A worker keeps the message of a task until the task is done, also while the task waits. RabbitMQ takes it back after
# half an hour (its `consumer_timeout`), Redis after VISIBILITY_SECONDS. Then another worker does the task, too.
LONGEST_WAIT = 600
LONGEST_TASK = CHUNK + 600


class ProcessAgency:
    """The agency of this process, in an event loop for all its tasks."""

    def __init__(self) -> None:
        self._loop: LoopThread | None = None
        self._cancelled: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self._loop is not None

    def open(self) -> None:
        if self._loop is None:
            self._agency, loop = Agency(), LoopThread()
            loop.run(self._agency.open)
            self._loop = loop

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run(self._agency.close)
            self._loop.close()
            self._loop = None

    def ask(self, work: Callable[[Agency], Awaitable[T]], task_id: str, limit: float | None) -> T:
        async def ask() -> T:
            if task_id in self._cancelled:
                raise asyncio.CancelledError
            time = asyncio.timeout(limit)
            try:
                async with time:
                    return await work(self._agency)
            except TimeoutError:
                if time.expired():
                    raise SoftTimeLimitExceeded from None
                raise

        self.open()
        assert self._loop is not None  # noqa: S101 - it is open
        try:
            return self._loop.run(ask, task_id)
        finally:
            self._cancelled.discard(task_id)

    def cancel(self, task_id: str) -> None:
        """Cancel the call of a task, or the call that it is about to make."""
        self._cancelled.add(task_id)
        assert self._loop is not None  # noqa: S101 - as above
        self._loop.cancel(task_id)


here = ProcessAgency()


@worker_init.connect
def begin(sender: Any, **_: Any) -> None:
    """Open the agency if threads do the tasks. If processes do them, only check that it can be made."""
    try:
        if issubclass(get_implementation(sender.pool_cls), prefork.TaskPool):
            Agency()
        else:
            here.open()
    except Exception as error:  # Celery would start without it
        raise SystemExit(f"The worker cannot begin: {error!r}") from error


@worker_process_init.connect
def begin_process(**_: Any) -> None:
    here.open()


@worker_shutdown.connect
@worker_process_shutdown.connect
def end(**_: Any) -> None:
    here.close()


class InThread(Request):
    """A request that can end its task in a thread, if the task is revoked or the worker must end. Celery cannot."""

    def terminate(self, pool: Any, signal: Any = None) -> None:
        if here.is_open:
            here.cancel(self.id)
        else:
            super().terminate(pool, signal)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        if here.is_open:
            here.cancel(self.id)
        else:
            super().cancel(pool, signal, emit_retry)


class Call(Task):  # type: ignore[type-arg]  # it takes none before Celery 5.7
    """A task that can `ask` the agency. It runs again after a temporary failure and the wait that the API asks for."""

    Request = f"{__name__}:InThread"
    max_retries = None  # `wait_before_retry` has the limit

    def ask(self, work: Callable[[Agency], Awaitable[T]]) -> T:
        """Return the result of work with the agency. A time limit or a revocation cancels the work."""
        _, soft = self.request.timelimit or (None, None)
        in_thread = current_process().name == "MainProcess"  # Celery has no time limits in threads
        return here.ask(work, self.request.id or "", (soft or self.soft_time_limit) if in_thread else None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._tried(*args, **kwargs)
        except CancelledError:
            if self.request.id is not None and self.request.id in revoked:
                self.backend.mark_as_revoked(self.request.id, "terminated", request=self.request)
                raise Ignore from None
            if not self.acks_late:
                raise
            raise Reject("the worker ends", requeue=True) from None
        except OperationalError as error:  # the broker refused the next task: do not acknowledge this one
            raise Reject(error, requeue=True) from None

    def _tried(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            cut_off = isinstance(error, SoftTimeLimitExceeded) and self.acks_late
            wait = wait_before_retry(TransportError() if cut_off else error, self.request.retries + 1)
            if wait is None:
                raise
            try:
                again = self.retry(exc=error, countdown=min(wait, LONGEST_WAIT), throw=False)
            except Reject as rejected:  # as above
                raise Reject(str(rejected), requeue=True) from None
        raise again


app = Celery("celery_tasks", broker=BROKER, backend=os.environ["REDIS_URL"], task_cls=Call)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=LONGEST_TASK,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options=(
        {
            "visibility_timeout": float(os.environ.get("VISIBILITY_SECONDS", "3600")),
            "unacked_restore_throttle": 1,  # look ten times as often for the tasks of killed workers
        }
        if BROKER.startswith("redis")
        else {"confirm_publish": True}
    ),
    result_expires=3600,
)


@app.task(bind=True)
def customer(self: Call, name: str, customer_id: str) -> dict[str, object]:
    """Return one customer of a box office as plain JSON, which every result backend can store."""
    return self.ask(lambda agency: agency.box_office(name).customers.get(customer_id)).to_dict()


@app.task(bind=True, acks_late=False)
def add_note(self: Call, name: str, customer_id: str, text: str) -> str:
    """Add a note to a customer, and return its id. If the worker is killed, the note may have been added or not."""
    note = NoteDraft(description=text)
    return self.ask(lambda agency: agency.box_office(name).notes.create(customer_id, note)).id


@app.task(bind=True, ignore_result=True)
def export(self: Call, name: str) -> None:
    """Export one chunk of a box office, and queue the next chunk for any free worker."""
    wait = self.ask(lambda agency: agency.export_chunk(name))
    if wait is not None:
        export.apply_async((name,), countdown=wait)
