"""Three ways to see what calls do: events, the log, and aiohttp's tracing for OpenTelemetry."""

import asyncio
import logging

from opentelemetry.instrumentation.aiohttp_client import create_trace_config

from ticketsource_async import TicketSource


async def main() -> None:
    logging.basicConfig(level=logging.INFO)  # the logger is "ticketsource_async"
    async with TicketSource.from_env(on_event=print, trace_configs=[create_trace_config()]) as ts:
        print(await ts.customers.list().first())


asyncio.run(main())
