"""Connections of which no call can get the answer to another: the part of the transport that is aiohttp's connector."""

import asyncio
from functools import partial
from typing import cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Connections over which no call gets an answer that belongs to another.

    A server, or a proxy, may send two answers to one request, at once or a moment later. So a write gets a connection
    that nothing was sent over before, and a read none on which anything waits or has come since its last answer ended.
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
        """Return a connection for this request; those that were kept and that a write must not use stay kept."""
        passed_over: list[Connection] = []
        try:
            while True:
                connection = await super().connect(req, traces, timeout)
                protocol = cast(ResponseHandler, connection.protocol)
                if protocol not in self._known:
                    self._known.add(protocol)
                    break
                if req.method != "GET":
                    passed_over.append(connection)
                elif await _is_silent(connection, protocol):
                    break
        finally:
            for other in passed_over:
                other.release()
        if req.method == "GET":
            connection.add_callback(partial(_listen, connection, protocol))
        else:
            protocol.force_close()
        return connection


async def _is_silent(connection: Connection, protocol: ResponseHandler) -> bool:
    """Say whether nothing has come over a kept connection since its last answer; close it if something has."""
    transport = connection.transport
    try:
        for _ in range(2):  # in the first turn the event loop finds what waits, in the second it has told of it
            await asyncio.sleep(0)
        # What came together with the answer is with the protocol of aiohttp, and its reading may be paused.
        if transport is not None and not connection.closed and not protocol.should_close and transport.is_reading():
            transport.set_protocol(protocol)
            return True
    except BaseException:
        connection.close()
        raise
    connection.close()
    return False


def _listen(connection: Connection, protocol: ResponseHandler) -> None:
    transport = connection.transport
    if transport is not None and not transport.is_closing():
        transport.set_protocol(_Silence(transport, protocol))


class _Silence(asyncio.Protocol):
    """Ends a connection, while it is kept for the next call, if the server says anything."""

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self._transport = transport
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        self._transport.close()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
