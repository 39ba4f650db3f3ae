"""taskiq with Redis alone, for the tasks, their results, and the limit that all workers share.

Workers: `taskiq worker with_redis:broker`; beside them, for tasks that are to be tried again later or were lost with
their worker, one `taskiq scheduler with_redis:scheduler --update-interval 1`. Set REDIS_URL, BOX_OFFICES and
EXPORT_FOLDER. What such a Redis forgets when it is killed (see its `appendfsync`) is lost: order it again.
"""

import os

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisAsyncResultBackend, RedisStreamBroker
from taskiq_tasks import work_for

REDIS = os.environ["REDIS_URL"]
later = ListRedisScheduleSource(REDIS)
broker = (
    # A task of a worker that was killed is given to another after `idle_timeout`, so no chunk may take as long.
    RedisStreamBroker(
        REDIS,
        idle_timeout=int(os.environ.get("IDLE_MILLISECONDS", "600000")),
        unacknowledged_lock_timeout=60,
        xread_count=1,
        maxlen=100_000,  # tasks that were done stay until then, and beyond it the oldest go, done or not
    ).with_result_backend(RedisAsyncResultBackend(REDIS, result_ex_time=3600))
)
scheduler = TaskiqScheduler(broker, [later, LabelScheduleSource(broker)])
work_for(broker, later)


@broker.task(schedule=[{"interval": 10}])
async def look_for_lost_tasks() -> None:
    """Do nothing: workers look for the tasks of those that were killed whenever another task arrives."""
