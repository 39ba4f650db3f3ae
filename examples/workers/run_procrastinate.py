"""Run a worker. This is another program, since procrastinate names tasks after their module."""

import asyncio

from with_procrastinate import work

asyncio.run(work())
