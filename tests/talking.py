"""A server on raw sockets, for answers that no HTTP library would send."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> str:
    """Read one request to its end and return its method; "TLS" if it is no HTTP request."""
    first = await reader.readexactly(1)
    if first == b"\x16":
        return "TLS"
    head = first + await reader.readuntil(b"\r\n\r\n")
    if length := re.search(rb"content-length: (\d+)", head, re.IGNORECASE):
        await reader.readexactly(int(length[1]))
    return head.split()[0].decode()


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve a raw socket on a free port; yield its address and the method of the first request of each connection."""
    talks: list[asyncio.Task[None]] = []
    seen: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await read_request(reader))
            await talk(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    listener = await asyncio.start_server(
        lambda reader, writer: talks.append(asyncio.create_task(connected(reader, writer))), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", seen
    finally:
        listener.close()
        for talking in talks:
            talking.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answer(body: bytes, *headers: str, status: int = 200, keep: bool = False) -> bytes:
    """Return the bytes of an answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, *([] if keep else ["Connection: close"])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(data: bytes) -> Talk:
    """Return a function that sends these bytes and closes the connection."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return talk
