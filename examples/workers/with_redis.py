"""taskiq with Redis alone, for the tasks, their results, and the limit that all workers share.

Workers: `taskiq worker with_redis:broker`. Also run one `taskiq scheduler with_redis:scheduler --update-interval 1`:
it queues tasks that wait for a retry or were lost with their worker. Set REDIS_URL, BOX_OFFICES and EXPORT_FOLDER. If
Redis itself is killed, it may lose tasks (see its `appendfsync`): queue them again.
"""

import os

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisAsyncResultBackend, RedisStreamBroker
from taskiq_tasks import work_for

REDIS = os.environ["REDIS_URL"]
later = ListRedisScheduleSource(REDIS)
broker = (
    # A task of a killed worker is given to another after `idle_timeout`, so no chunk may take as long.
    RedisStreamBroker(
        REDIS,
        idle_timeout=int(os.environ.get("IDLE_MILLISECONDS", "600000")),
        unacknowledged_lock_timeout=60,
        xread_count=1,
        maxlen=100_000,  # done tasks are kept, too; beyond this number the oldest are dropped, done or not
    ).with_result_backend(RedisAsyncResultBackend(REDIS, result_ex_time=3600))
)
scheduler = TaskiqScheduler(broker, [later, LabelScheduleSource(broker)])
work_for(broker, later)


@broker.task(schedule=[{"interval": 10}])
async def look_for_lost_tasks() -> None:
    """Do nothing. Workers look for the tasks of killed workers when another task arrives."""
