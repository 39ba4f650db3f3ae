"""The way of one call: a free connection, one exchange, the answer read.

No aiohttp here and no models. A rate limiter's slot and the decision to try again belong around the exchange below,
each attempt with a slot of its own.
"""

import asyncio

from ticketsource_async import errors
from ticketsource_async._wire import protocol
from ticketsource_async._wire.transport import Transport


class Sender:
    """Send requests, at most `max_connections` at a time in each event loop."""

    def __init__(self, access: protocol.Access, transport: Transport, max_connections: int) -> None:
        self.access = access
        self._transport = transport
        self._max_connections = max_connections
        self._connections: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exchanges: set[asyncio.Task[protocol.RawResponse]] = set()
        self.closed = False

    async def send(self, request: protocol.Request) -> protocol.Envelope:
        """Return what came in the envelope, or raise what went wrong."""
        failure: errors.TicketSourceError
        async with self._free_connection():
            self.check_open()
            # A task of its own, so that `aclose` can end it without cancelling the caller's.
            exchange = asyncio.create_task(self._transport.exchange(request))
            self._exchanges.add(exchange)
            try:
                return protocol.read(request, await exchange)
            except errors.TicketSourceError as error:
                failure = protocol.outcome_unknown(request, error) or error
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if not self.closed or (caller is not None and caller.cancelling()):
                    raise
                failure = protocol.closed_in_flight(request)
            finally:
                self._exchanges.discard(exchange)
                if exchange.done() and not exchange.cancelled():
                    exchange.exception()  # looked at, so that asyncio does not complain if the caller was cancelled
        raise failure

    def _free_connection(self) -> asyncio.Semaphore:
        # Taken outside of the exchange, so that waiting for a connection eats nothing of its timeout. A semaphore
        # belongs to one event loop.
        loop = asyncio.get_running_loop()
        if self._connections is None or self._loop is not loop:
            self._connections, self._loop = asyncio.Semaphore(self._max_connections), loop
        return self._connections

    def check_open(self) -> None:
        """Raise `ClientClosed` after `aclose`."""
        if self.closed:
            raise errors.ClientClosed("This TicketSource client is closed: make a new one, or close it later.")

    async def aclose(self) -> None:
        """Take no further call, end those in flight in this event loop, and close the transport."""
        self.closed = True
        loop = asyncio.get_running_loop()
        exchanges = [exchange for exchange in self._exchanges if exchange.get_loop() is loop]
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await self._transport.aclose()
