"""Failures of the network during a call, over real sockets."""

import asyncio
import gzip
import inspect
import zlib

import aiohttp
import pytest
from loops import call
from mocked import KEY, ONCE
from talking import answer, read_request, says, server

from ticketsource_async import (
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    CustomerDraft,
    InvalidResponse,
    OutcomeUnknown,
    RequestTimedOut,
    ServerError,
    TicketSource,
    TicketSourceError,
    Timeouts,
)
from ticketsource_async._wire import transport
from ticketsource_async.sandbox import Sandbox


async def first(url: str) -> object:
    """Ask the server for its first customer."""
    async with TicketSource("skl-test", base_url=url, retry=ONCE) as ts:
        return await ts.customers.list().first()


async def test_a_refused_connection_is_connect_failed() -> None:
    """No server listens. The error says that nothing was sent, and names the host."""
    async with server(says(b"")) as (url, _):
        pass

    with pytest.raises(ConnectFailed, match=r"was not sent: no connection to 127\.0\.0\.1") as caught:
        await first(url)

    assert caught.value.cause.startswith("ClientConnectorError")


async def test_an_unknown_host_is_connect_failed() -> None:
    """The name of the host cannot be resolved."""
    with pytest.raises(ConnectFailed, match=r"nowhere\.invalid:443"):
        await first("https://nowhere.invalid")


async def test_a_failed_tls_handshake_is_connect_failed() -> None:
    """The server does not use TLS."""
    async with server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as (url, _):
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
    """It is cut before or within the headers, or within the body. The error says that the request was sent."""
    async with server(says(answer)) as (url, _):
        with pytest.raises(ConnectionLost, match="was sent, but the connection broke"):
            await first(url)


async def test_an_answer_that_is_not_http_is_invalid() -> None:
    """The port has another protocol."""
    async with server(says(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")) as (url, _):
        with pytest.raises(InvalidResponse, match="not HTTP"):
            await first(url)


async def test_a_write_whose_answer_is_cut_off_has_an_unknown_outcome(ts: TicketSource, box: Sandbox) -> None:
    """The customer was created, but the client cannot know that. The request is not sent twice."""
    box.fail(cut="after_write")

    with pytest.raises(OutcomeUnknown) as caught:
        await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert caught.value.cause.startswith("ConnectionLost: ")
    assert [request.method for request in box.requests] == ["POST"]
    assert len(await ts.customers.list().collect()) == 26


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("timeouts", "phase", "seconds"),
    [
        (Timeouts(response=0.05, total=30), "response", 0.05),
        (Timeouts(connect=0.9, response=1, total=1), "total", 1),
    ],
)
async def test_the_timeout_of_a_silent_server_gives_its_phase_and_seconds(
    timeouts: Timeouts, phase: str, seconds: float
) -> None:
    """The server takes the request and sends nothing. The error names the limit that was reached."""

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(hang) as (url, seen), TicketSource(KEY, base_url=url, retry=ONCE, timeouts=timeouts) as ts:
        with pytest.raises(RequestTimedOut, match=rf"was sent, but .* {seconds} s\. The API") as caught:
            await ts.customers.get("cst-1")

    assert seen == ["GET"]
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == (phase, seconds, 1)


@pytest.mark.virtual_time
async def test_a_slow_body_is_cut_off_by_the_total_timeout() -> None:
    """The server is never silent for long, and never finishes."""

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.1)

    timeouts = Timeouts(connect=0.9, response=1, total=1)
    async with server(trickle) as (url, _), TicketSource(KEY, base_url=url, retry=ONCE, timeouts=timeouts) as ts:
        with pytest.raises(RequestTimedOut) as caught:
            await ts.customers.get("cst-1")

    assert caught.value.phase == "total"


async def test_a_write_without_a_connection_in_time_ends_in_the_connect_phase() -> None:
    """The server never answers the TLS handshake, so it is known that the write was not sent."""

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    timeouts = Timeouts(connect=0.1)
    async with (
        server(hang) as (url, _),
        TicketSource(KEY, base_url=url.replace("http:", "https:"), retry=ONCE, timeouts=timeouts) as ts,
    ):
        with pytest.raises(RequestTimedOut) as caught:
            await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert (caught.value.phase, caught.value.seconds) == ("connect", 0.1)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "POST"])
async def test_a_request_on_a_kept_connection_that_breaks_is_not_sent_again(method: str) -> None:
    """The server closes a used connection during the request. The request arrives once, and the call raises."""
    kept: list[str] = []

    async def keep_then_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {}}}', keep=True))
        kept.append(await read_request(reader))

    async with (
        server(keep_then_cut) as (url, seen),
        aiohttp.ClientSession() as session,  # in our own session, no write uses a connection again
        TicketSource(KEY, base_url=url, session=session, retry=ONCE) as ts,
    ):
        await ts.customers.get("cst-1")
        with pytest.raises(ConnectionLost if method == "GET" else OutcomeUnknown, match=f"{method} /customers"):
            await call(ts, method)

    assert seen == ["GET"]
    assert kept == [method]


LIST = b'{"data": []}'
GZIPPED = gzip.compress(LIST, mtime=0)  # the time would be in the names of tests, and differ in each of their processes


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (GZIPPED, "gzip", None),
        (b'{"data": []}', "identity", None),
        (gzip.compress(b" " * 50_000_000, mtime=0), "gzip", "more than 1,000 bytes"),
        (b'{"data": ["' + b"x" * 2000 + b'"]}', "identity", "more than 1,000 bytes"),
        (GZIPPED + b" " * 5000, "gzip", "more than 1,000 bytes"),
        (GZIPPED + b"<html>", "gzip", "a gzip body with other data after its end"),
        (GZIPPED * 2 + GZIPPED[:-12], "gzip", "a gzip body that ends too early"),
        (GZIPPED + gzip.compress(b" " * 50_000_000, mtime=0), "gzip", "more than 1,000 bytes"),
        (gzip.compress(b"", mtime=0) * 200, "gzip", "more than 1,000 bytes"),
        (zlib.compress(b" " * 50_000_000), "deflate", "more than 1,000 bytes"),
        (zlib.compress(LIST)[:-12], "deflate", "a deflate body that ends too early"),
        (zlib.compress(LIST)[:1], "deflate", "a deflate body that ends too early"),
        (zlib.compress(LIST) * 2, "deflate", "a deflate body with other data after its end"),
        (b"hello", "deflate", "a body that is not valid deflate"),
        (b'{"data": []}', "gzip", "a body that is not valid gzip"),
        (GZIPPED[:-12], "gzip", "a gzip body that ends too early"),
        (b'{"data": []}', "br", "an encoding that was not requested"),
    ],
    ids=lambda value: repr(value[:8]) if isinstance(value, bytes) else None,
)
async def test_a_body_is_unpacked_up_to_its_size_limit(body: bytes, encoding: str, said: str | None) -> None:
    """A zip bomb, a body that is too large and an encoding that was not requested are InvalidResponse."""
    says_it = says(answer(body, f"Content-Encoding: {encoding}"))
    async with server(says_it) as (url, _), TicketSource(KEY, base_url=url, retry=ONCE, max_body=1000) as ts:
        if said is None:
            assert await ts.customers.list().collect() == []
        else:
            with pytest.raises(InvalidResponse, match=said) as caught:
                await ts.customers.list().collect()
            assert caught.value.status == 200


async def test_a_delete_and_an_error_do_not_depend_on_their_body() -> None:
    """A 2xx to a DELETE means deleted, and a 500 is a ServerError, even if the body is too large."""
    huge = b"x" * 5000
    async with server(says(answer(huge))) as (url, _), TicketSource(KEY, base_url=url, max_body=1000) as ts:
        await ts.customers.delete("cst-1")
    failing = says(answer(huge, status=500))
    async with server(failing) as (url, _), TicketSource(KEY, base_url=url, max_body=1000, retry=ONCE) as ts:
        with pytest.raises(ServerError, match="a body of more than 1,000 bytes"):
            await ts.customers.get("cst-1")


async def test_the_defaults_of_a_borrowed_session_do_not_change_a_call() -> None:
    """Its key, timeout and middlewares do not apply. The error is one of this library."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(gzip.compress(b'{"data": []}'), "Content-Encoding: gzip", keep=True))
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b"{}", "Location: /elsewhere", status=302))

    async def meddle(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise AssertionError("a middleware of the borrowed session was run")

    async with (
        server(talk) as (url, seen),
        aiohttp.ClientSession(
            "http://elsewhere.invalid",
            raise_for_status=True,
            auto_decompress=False,
            cookies={"theirs": "1"},
            headers={"Authorization": "Bearer theirs", "Accept-Encoding": "br", "X-Theirs": "kept"},
            timeout=aiohttp.ClientTimeout(total=1e-9),
            middlewares=(meddle,),
        ) as session,
        TicketSource(KEY, base_url=url, session=session) as ts,
    ):
        assert await ts.customers.list().collect() == []
        with pytest.raises(InvalidResponse, match="a redirect to /elsewhere, to which the API key must not be sent"):
            await ts.customers.get("cst-1")

    assert seen == ["GET"]
    assert f"authorization: Bearer {KEY}\r\n".lower().encode() in heads[0].lower()
    assert b"accept-encoding: gzip\r\n" in heads[0].lower()
    assert heads[0].lower().count(b"authorization:") == 1
    assert b"X-Theirs: kept" in heads[0]


@pytest.fixture(name="no_proxies")
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def refused_by(url: str, base_url: str = "https://nowhere.invalid", *, trust_env: bool = True) -> str:
    """Return the error of a call through a proxy that refuses it, or without the proxy."""
    async with TicketSource(KEY, base_url=base_url, trust_env=trust_env, retry=ONCE) as ts:
        with pytest.raises(ConnectFailed) as caught:
            await ts.customers.list().first()
    assert "sekret" not in repr(caught.value)
    return str(caught.value).replace(url, "PROXY")


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("form", ["http://{}", "{}", "http://user:sek%23ret@{}/"])
async def test_a_proxy_of_the_environment_is_used_and_named(
    no_proxies: pytest.MonkeyPatch, name: str, form: str
) -> None:
    """This needs `trust_env`. The proxy can have several forms, and the error never shows its password."""
    async with server(says(answer(b"", status=503))) as (url, seen):
        no_proxies.setenv(name, form.format(url.removeprefix("http://")))
        through = await refused_by(url)
        without = await refused_by(url, trust_env=False)
        no_proxies.setenv("no_proxy", "example.org,.invalid:443")
        excepted = await refused_by(url)

    assert seen == ["CONNECT"]
    assert "no connection to nowhere.invalid:443 through the proxy PROXY (" in through
    assert "Check the proxy. To use no proxy, set NO_PROXY (the command: --no-proxy)." in through
    assert "no connection to nowhere.invalid:443, without a proxy (" in without
    assert excepted == without


async def test_a_borrowed_session_brings_its_own_proxy(no_proxies: pytest.MonkeyPatch) -> None:
    """It is used for all calls, also to this machine."""
    async with server(says(answer(b"", status=503))) as (url, seen), aiohttp.ClientSession(proxy=url) as session:
        for base_url, kind in (("https://nowhere.invalid", ConnectFailed), ("http://127.0.0.1:9", ServerError)):
            ts = TicketSource(KEY, base_url=base_url, session=session, retry=ONCE)
            with pytest.raises(kind):
                await ts.customers.list().first()

    assert seen == ["CONNECT", "GET"]


async def test_the_error_says_that_a_proxy_wants_a_password_or_is_unreachable(no_proxies: pytest.MonkeyPatch) -> None:
    """Neither is a fault of the API."""
    async with server(says(answer(b"", status=407))) as (url, _):
        no_proxies.setenv("https_proxy", url.replace("//", "//user:sekret@"))
        refused = await refused_by(url)
    unreachable = await refused_by(url)

    assert "The proxy asks for a user name and a password" in refused
    assert "through the proxy PROXY (" in unreachable
    assert "Check the proxy. " in unreachable


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_proxy_is_used_for_this_machine(no_proxies: pytest.MonkeyPatch, host: str) -> None:
    """So a sandbox works where a proxy is set."""
    async with server(says(b"")) as (url, seen), Sandbox(customers=1) as box:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            no_proxies.setenv(name, url)
        base_url = box.url.replace("127.0.0.1", host)
        async with TicketSource(box.api_key, base_url=base_url, trust_env=True, retry=ONCE) as ts:
            assert await ts.customers.list().first() is not None

    assert seen == []
    assert [r.headers["authorization"] for r in box.requests] == [f"Bearer {box.api_key}"]


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://user:sekret@127.0.0.1:1080", "begins with 'socks5', cannot be used"),
        ("http://user:sek#ret@127.0.0.1:3128", "percent-encode these characters"),
        ("user:1/sekret@127.0.0.1:3128", "percent-encode these characters"),
        ("http://user:sekret@[127", "cannot be used"),
        ("http://user:sekret@proxy:port", "cannot be used"),
        ("http://", "cannot be used"),
    ],
)
async def test_an_unusable_proxy_is_a_configuration_error(
    no_proxies: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    """The error does not show the password."""
    no_proxies.setenv("ALL_PROXY", proxy)
    async with TicketSource(KEY, trust_env=True) as ts:
        with pytest.raises(ConfigurationError, match=said) as caught:
            await ts.customers.create(CustomerDraft(first_name="Karl"))

    assert "sek" not in repr(caught.value)


async def test_a_proxy_that_never_answers_is_named(no_proxies: pytest.MonkeyPatch) -> None:
    """So the user knows where to look."""

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(hang) as (url, _):
        no_proxies.setenv("https_proxy", url)
        async with TicketSource(KEY, trust_env=True, retry=ONCE, timeouts=Timeouts(connect=0.1)) as ts:
            with pytest.raises(
                RequestTimedOut, match=f"was not sent: no connection within 0.1 s through the proxy {url}"
            ):
                await ts.customers.list().first()


async def test_no_cookie_of_the_server_is_sent_back() -> None:
    """A session of our own keeps no cookies."""
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 12\r\n\r\n" + b'{"data": []}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        heads.append(await reader.read(65536))
        writer.write(answer)

    async with server(talk) as (url, _), TicketSource(KEY, base_url=url.replace("127.0.0.1", "localhost")) as ts:
        await ts.customers.list().first()
        await ts.customers.list().first()

    assert b"GET /customers" in heads[0]
    assert b"cookie" not in heads[0].lower()


def test_every_error_of_aiohttp_has_a_row_in_the_table() -> None:
    """No row of the table hides a later one."""
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
def test_each_error_of_aiohttp_becomes_an_error_of_this_library(
    foreign: type[Exception], ours: type[TicketSourceError]
) -> None:
    """The first row that matches is used."""
    kind = next(mine for theirs, mine in transport._KINDS.items() if issubclass(foreign, theirs))

    assert kind is ours
