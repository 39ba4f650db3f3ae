"""What the network does to a call, over real sockets."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from ticketsource_async import (
    ConnectFailed,
    ConnectionLost,
    CustomerDraft,
    InvalidResponse,
    OutcomeUnknown,
    RequestTimedOut,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async._wire import transport
from ticketsource_async.sandbox import Sandbox

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """Serve a raw socket on a free port and yield its address."""
    talks: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await talk(reader, writer)
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(
        lambda reader, writer: talks.append(asyncio.create_task(connected(reader, writer))), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.gather(*talks, return_exceptions=True)


def says(answer: bytes) -> Talk:
    """Answer these bytes and hang up."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return talk


async def first(url: str) -> object:
    """Ask the server for its first customer."""
    async with TicketSource("skl-test", base_url=url) as ts:
        return await ts.customers.list().first()


async def test_a_refused_connection_is_connect_failed() -> None:
    """Nothing listens: the error says that nothing was sent, and where to."""
    async with server(says(b"")) as url:
        pass

    with pytest.raises(ConnectFailed, match=r"was not sent: no connection to 127\.0\.0\.1") as caught:
        await first(url)

    assert caught.value.cause.startswith("ClientConnectorError")


async def test_a_name_that_does_not_resolve_is_connect_failed() -> None:
    """An unknown host is a failure to connect."""
    with pytest.raises(ConnectFailed, match=r"nowhere\.invalid:443"):
        await first("https://nowhere.invalid")


async def test_a_plain_server_where_tls_is_spoken_is_connect_failed() -> None:
    """A TLS handshake that fails is a failure to connect."""
    async with server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        with pytest.raises(ConnectFailed):
            await first(url.replace("http:", "https:"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
async def test_a_connection_cut_at_any_point_is_connection_lost(answer: bytes) -> None:
    """Cut before, within the headers, within the body: the error says that the request was sent."""
    async with server(says(answer)) as url:
        with pytest.raises(ConnectionLost, match="was sent, but the connection broke"):
            await first(url)


async def test_an_answer_that_is_not_http_is_invalid() -> None:
    """Another protocol on the port is InvalidResponse that says so."""
    async with server(says(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")) as url:
        with pytest.raises(InvalidResponse, match="not HTTP"):
            await first(url)


async def test_a_cut_write_has_an_unknown_outcome_even_if_it_took_effect(ts: TicketSource, box: Sandbox) -> None:
    """The customer was created, the answer was cut: the error does not claim to know, and nothing is sent twice."""
    box.fail(cut="after_write")

    with pytest.raises(OutcomeUnknown) as caught:
        await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert caught.value.cause.startswith("ConnectionLost: ")
    assert [request.method for request in box.requests] == ["POST"]
    assert len(await ts.customers.list().collect()) == 26


async def test_a_slow_answer_times_out_with_its_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time raises RequestTimedOut, which says where and after how long."""
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.05)
    monkeypatch.setattr(transport, "_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()

    async with server(hang) as url:
        with pytest.raises(RequestTimedOut, match=r"longer than 0.05 s \(total\)") as caught:
            await first(url)

    assert asked.is_set()
    assert (caught.value.phase, caught.value.seconds) == ("total", 0.05)


async def test_a_delete_whose_kept_connection_breaks_is_not_sent_again() -> None:
    """The server hangs up on a DELETE over a connection used before: it comes once, and its outcome is unknown."""
    seen: list[bytes] = []
    body = b'{"data": {"id": "cst-1", "type": "customer", "attributes": {}}}'

    async def keep_then_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(b"GET")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        while head := await reader.read(65536):
            seen.append(head.split()[0])
            return

    async with server(keep_then_cut) as url, TicketSource("skl-test", base_url=url) as ts:
        await ts.customers.get("cst-1")
        with pytest.raises(OutcomeUnknown, match="DELETE /customers/cst-1"):
            await ts.customers.delete("cst-1")

    assert seen == [b"GET", b"DELETE"]


async def test_a_proxy_is_used_only_when_the_environment_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `trust_env` the request goes through the proxy that HTTP_PROXY names; else it does not."""
    asked: list[bytes] = []
    body = b'{"data": []}'

    async def proxy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(b"")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with server(proxy) as url, Sandbox(customers=1) as box:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with TicketSource(box.api_key, base_url=box.url, trust_env=True) as ts:
            assert await ts.customers.list().first() is None
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            assert await ts.customers.list().first() is not None
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with TicketSource(box.api_key, base_url=box.url, trust_env=True) as ts:
            assert await ts.customers.list().first() is not None

    assert len(asked) == 1
    assert [r.headers["authorization"] for r in box.requests] == [f"Bearer {box.api_key}"] * 2


async def test_no_cookie_of_the_server_is_sent_back() -> None:
    """A session of our own keeps no cookies."""
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 12\r\n\r\n" + b'{"data": []}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        heads.append(await reader.read(65536))
        writer.write(answer)

    async with server(talk) as url, TicketSource("skl-test", base_url=url.replace("127.0.0.1", "localhost")) as ts:
        await ts.customers.list().first()
        await ts.customers.list().first()

    assert b"GET /customers" in heads[0]
    assert b"cookie" not in heads[0].lower()


def test_every_error_of_the_http_library_has_a_row() -> None:
    """No exception that aiohttp's client raises is unknown to the table, and the table's order hides none."""
    kinds = [kind for _, kind in inspect.getmembers(aiohttp.client_exceptions, inspect.isclass)]
    foreign = [k for k in kinds if issubclass(k, (aiohttp.ClientError, OSError))]

    for kind in foreign:
        assert any(issubclass(kind, known) for known in transport._KINDS), kind
    order = list(transport._KINDS)
    for index, known in enumerate(order):
        assert not any(issubclass(known, earlier) for earlier in order[:index]), known


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (aiohttp.ConnectionTimeoutError, RequestTimedOut),
        (aiohttp.SocketTimeoutError, RequestTimedOut),
        (aiohttp.ServerDisconnectedError, ConnectionLost),
        (aiohttp.ClientPayloadError, ConnectionLost),
        (aiohttp.ClientConnectionResetError, ConnectionLost),
        (ConnectionResetError, ConnectionLost),
        (TimeoutError, RequestTimedOut),
    ],
)
def test_each_kind_of_failure_becomes_one_of_ours(foreign: type[Exception], ours: type[TicketSourceError]) -> None:
    """The table maps by the most particular class."""
    kind = next(mine for theirs, mine in transport._KINDS.items() if issubclass(foreign, theirs))

    assert kind is ours
