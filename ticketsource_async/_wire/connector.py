"""The connector of aiohttp, changed so that no call gets the answer to another call."""

import asyncio
from functools import partial
from typing import cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Give out connections over which no call gets the answer to another call.

    A server or a proxy may send two answers to one request, at once or a moment later. Therefore a write gets a new
    connection. A read may get a kept connection, but only if no data has come over it since its last answer ended.
    """

    def __init__(self) -> None:
        super().__init__(limit=0)  # `Transport.connection` bounds them, outside of aiohttp's timeouts
        self._known = WeakSet[ResponseHandler]()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - a name of aiohttp's
    ) -> Connection:
        """Return a connection for this request.

        A write must not use a kept connection. The connections that it passes over stay kept.
        """
        unused: list[Connection] = []
        try:
            while True:
                connection = await super().connect(req, traces, timeout)
                protocol = cast(ResponseHandler, connection.protocol)
                if protocol not in self._known:
                    self._known.add(protocol)
                    break
                if req.method != "GET":
                    unused.append(connection)
                elif await _is_silent(connection, protocol):
                    break
        finally:
            for other in unused:
                other.release()
        if req.method == "GET":
            connection.add_callback(partial(_close_on_data, connection, protocol))
        else:
            protocol.force_close()
        return connection


async def _is_silent(connection: Connection, protocol: ResponseHandler) -> bool:
    """Say whether a kept connection has been silent since its last answer; close it if it has not."""
    transport = connection.transport
    try:
        for _ in range(2):  # in the first turn the event loop finds data that waits, in the second it delivers them
            await asyncio.sleep(0)
        # Data that came together with the answer are in aiohttp's protocol. It may have paused the reading.
        if transport is not None and not connection.closed and not protocol.should_close and transport.is_reading():
            transport.set_protocol(protocol)
            return True
    except BaseException:
        connection.close()
        raise
    connection.close()
    return False


def _close_on_data(connection: Connection, protocol: ResponseHandler) -> None:
    transport = connection.transport
    if transport is not None and not transport.is_closing():
        transport.set_protocol(_CloseOnData(transport, protocol))


class _CloseOnData(asyncio.Protocol):
    """Close a connection that is kept for the next call as soon as the server sends anything."""

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self._transport = transport
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - any data close the connection
        self._transport.close()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
