"""Run a worker; a program of its own, since procrastinate names tasks after the module that they are in."""

import asyncio

from with_procrastinate import work

asyncio.run(work())
