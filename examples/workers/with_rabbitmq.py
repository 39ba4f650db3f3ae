"""taskiq with RabbitMQ for the tasks, and Redis for their results and the limit that all workers share.

Workers: `taskiq worker with_rabbitmq:broker`. Set RABBITMQ_URL, REDIS_URL, BOX_OFFICES and EXPORT_FOLDER.
"""

import os

from taskiq_aio_pika import AioPikaBroker, Queue
from taskiq_redis import RedisAsyncResultBackend
from taskiq_tasks import work_for

broker = (
    # In this queue a short delay waits behind a longer one. RabbitMQ's plugin for delayed messages avoids that.
    AioPikaBroker(os.environ["RABBITMQ_URL"], delay_queue=Queue(name="ticketsource.later")).with_result_backend(
        RedisAsyncResultBackend(os.environ["REDIS_URL"], result_ex_time=3600)
    )
)
work_for(broker)
