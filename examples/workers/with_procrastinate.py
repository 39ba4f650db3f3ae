"""procrastinate, for those who have PostgreSQL already. Each worker gets an equal share of the limit.

Once: `procrastinate --app=with_procrastinate.app schema --apply`. Workers: `python -m run_procrastinate`. Set
DATABASE_URL, BOX_OFFICES, EXPORT_FOLDER and WORKERS, their number.
"""

import logging
import os

from export_job import Agency, wait_before_retry
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

STALLED = float(os.environ.get("STALLED_SECONDS", "30"))

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


class TryAgainLater(BaseRetryStrategy):
    """Retry a job after a temporary failure, after the wait that the API asks for."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        wait = wait_before_retry(exception, job.attempts + 1)
        return None if wait is None else RetryDecision(retry_in={"seconds": int(wait + 1)})


@app.task(name="export", pass_context=True, retry=TryAgainLater())
async def export(context: JobContext, name: str) -> None:
    """Export one chunk of a box office, and queue the next chunk for any free worker."""
    agency: Agency = context.additional_context["agency"]
    wait = await agency.export_chunk(name)
    if wait is not None:
        await export.configure(schedule_in={"seconds": int(wait)} if wait else None).defer_async(name=name)


@app.periodic(cron="* * * * * */5")
@app.task(name="take_over", queueing_lock="take_over", pass_context=True)
async def take_over(context: JobContext, timestamp: int) -> None:
    """Give the jobs of killed workers to other workers."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED):
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException as error:  # the worker was only slow and has ended the job, or the next round sees it
            logging.getLogger(__name__).warning("Job %s was not taken over: %s", job.id, error)


async def work() -> None:
    agency = Agency()
    await agency.open()
    try:
        async with app.open_async():
            await app.run_worker_async(
                concurrency=10,
                additional_context={"agency": agency},
                update_heartbeat_interval=STALLED / 3,
                stalled_worker_timeout=STALLED,
            )
    finally:
        await agency.close()
