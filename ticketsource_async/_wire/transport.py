"""Exchange one request and answer with the server. In the client, only this file and `connector.py` use aiohttp.

A request is sent once and never retried here. The result is plain data or a typed error. No object of aiohttp leaves
this file, because aiohttp's errors carry the key.
"""

import asyncio
import gc
import os
import sys
import urllib.request
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Final, cast
from weakref import WeakSet

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire.advice import Advice
from ticketsource_async._wire.connector import Connector
from ticketsource_async._wire.request import Request, is_loopback
from ticketsource_async._wire.response import RawResponse
from ticketsource_async._wire.unpacking import Broken, Unpacking, too_large
from ticketsource_async.config import Timeouts, has_raw_password
from ticketsource_async.ratelimit import Priority

_MOST_HEADER_BYTES: Final = 65_536  # aiohttp's own bound of 8 kB is too small for a long policy in a header

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and so on. Python has no names for these.
_WRONG_DATE: Final = (9, 10)
_WRONG_NAME: Final = (62, 64)

_JSON: Final = {"Content-Type": "application/json"}

# Sent with each write, so that no data after its answer can reach another call.
_CLOSE_AFTER_ANSWER: Final = {"Connection": "close"}

_KINDS: Final[Mapping[type[Exception], type[errors.TicketSourceError]]] = {
    # The first match counts, so subclasses stand before their bases.
    aiohttp.ConnectionTimeoutError: errors.RequestTimedOut,
    TimeoutError: errors.RequestTimedOut,
    aiohttp.ClientConnectorError: errors.ConnectFailed,
    aiohttp.ServerFingerprintMismatch: errors.ConnectFailed,
    aiohttp.ClientHttpProxyError: errors.ConnectFailed,
    aiohttp.InvalidURL: errors.ConnectFailed,
    aiohttp.ClientResponseError: errors.InvalidResponse,
    aiohttp.ClientError: errors.ConnectionLost,
    ValueError: errors.ConfigurationError,
    OSError: errors.ConnectionLost,
}


class Transport:
    """Send requests over a borrowed session, or over our own, which is opened at the first request of an event loop.

    At most `max_connections` requests are in flight at a time in each event loop.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        *,
        max_body: int,
        max_connections: int,
        trust_env: bool = False,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        if session is not None and session.auth is not None:
            raise errors.ConfigurationError(
                "The session has its own `auth`, which would replace the API key: pass a session without `auth`."
            )
        self._session = session
        self._borrowed = session is not None
        self._max_body = max_body
        self._max_connections = max_connections
        self._free: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore, asyncio.Semaphore] | None = None
        self._trust_env = trust_env
        self._trace_configs = list(trace_configs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session_closer: AsyncGenerator[None, None] | None = None
        _transports.add(self)

    @property
    def open(self) -> bool:
        """Whether our own session is open in an event loop that can still close it."""
        return self.loop is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which our own session is open and can be closed; None if there is none."""
        return self._loop if self._own() is not None and self._loop is not None and not self._loop.is_closed() else None

    def proxy_for(self, url: URL) -> str | None:
        """Return the proxy for requests to an address, without its password; None if there is no usable one."""
        proxy = _proxy_of(url) if self._trust_env else None
        return str(proxy.origin()) if isinstance(proxy, URL) else None

    def _own(self) -> aiohttp.ClientSession | None:
        return None if self._borrowed or self._session is None or self._session.closed else self._session

    @asynccontextmanager
    async def connection(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for one of the connections and hold it during the body.

        The wait is outside of `exchange`, so that it counts towards no timeout. Bulk calls leave one connection to
        interactive calls. Otherwise an interactive call would wait until a bulk call got a slot and ended.
        """
        loop = asyncio.get_running_loop()
        if self._free is None or self._free[0] is not loop:  # a semaphore belongs to a loop
            most = self._max_connections
            self._free = loop, asyncio.Semaphore(most), asyncio.Semaphore(max(1, most - 1))
        _, all_calls, bulk_calls = self._free
        if priority == "bulk":
            async with bulk_calls, all_calls:
                yield
        else:
            async with all_calls:
                yield

    async def exchange(self, request: Request, timeouts: Timeouts) -> RawResponse:
        """Send the request once, read the whole answer, give the connection back, and return the answer."""
        session = await self._usable_session()
        proxy = _proxy_of(request.url) if self._trust_env else None
        if isinstance(proxy, str):
            raise errors.ConfigurationError(f"{request} was not sent: {proxy}")
        proxy_name = None if self._borrowed else "" if proxy is None else str(proxy.origin())
        try:
            # Each request repeats the settings that a borrowed session may have set otherwise.
            async with (
                asyncio.timeout(timeouts.total),
                session.request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers={
                        **request.credentials.headers,
                        **(_JSON if request.body is not None else {}),
                        **(_CLOSE_AFTER_ANSWER if request.method != "GET" else {}),
                    },
                    allow_redirects=False,
                    auto_decompress=False,
                    raise_for_status=False,
                    # `connect` covers all from the name lookup to TLS. `ceil_threshold` prevents whole seconds.
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=timeouts.connect, sock_read=timeouts.response, ceil_threshold=inf
                    ),
                    proxy=proxy,
                    middlewares=(_send_once(),),
                    max_line_size=_MOST_HEADER_BYTES,
                    max_field_size=_MOST_HEADER_BYTES,
                ) as response,
            ):
                body, broken = await self._body(response)
                headers: dict[str, str] = {}
                for name, value in response.headers.items():
                    headers.setdefault(name.lower(), value)
                return RawResponse(response.status, headers, body, broken)
        except tuple(_KINDS) as error:
            failure: BaseException = _failure(request, error, timeouts, proxy_name)
        except BaseException as error:  # noqa: BLE001 - it is raised again below, a cancellation above all
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None
        # It is raised outside of the `except`, without cause and context. aiohttp's errors and the locals of its frames
        # hold the key, and a reporter of errors with locals (Sentry by default) would show it.
        del proxy  # it may contain a password
        raise failure

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, str]:
        """Return the unpacked body; or, after closing the connection, an empty body and what is wrong with it."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        pieces: list[bytes] = []
        left = self._max_body
        try:
            unpacking = None if encoding in ("identity", "") else Unpacking(encoding, left)
            async for piece in response.content.iter_any():
                pieces.append(piece if unpacking is None else unpacking.piece(piece))
                left -= len(pieces[-1])
                if left < 0:
                    raise too_large(self._max_body)
            if unpacking is not None:
                unpacking.end()
        except Broken as broken:
            response.close()
            return b"", str(broken)
        return b"".join(pieces), ""

    async def _usable_session(self) -> aiohttp.ClientSession:
        loop, session = asyncio.get_running_loop(), self._session
        if session is not None and not session.closed and (self._borrowed or self._loop is loop):
            return session
        if self._borrowed:
            raise errors.ClientClosed(
                "The aiohttp.ClientSession that this client borrows is closed: keep it open as long as the client."
            )
        if self.open and self._loop is not loop and self._loop is not None and self._loop.is_running():
            raise errors.ConfigurationError(
                "This TicketSource client is in use in another running event loop: make one client for each loop."
            )
        self._drop_quietly_if_dead()
        self._session = aiohttp.ClientSession(
            connector=Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
        )
        self._loop = loop
        self._session_closer = _closed_with_its_loop(self._session)
        await anext(self._session_closer)
        return self._session

    def drop_if_dead(self) -> None:
        """Drop our own session if its event loop was closed first.

        The garbage collector closes its sockets. Nothing more can be written to them.
        """
        session = self._own()
        if session is None or self.open or sys.is_finalizing():
            return
        connector = cast(aiohttp.BaseConnector, session.connector)
        session.detach()
        with suppress(StopIteration):
            next(connector.close().__await__())  # without its loop the connector only drops its state and never waits
        self._session = self._session_closer = self._loop = None

    def _drop_quietly_if_dead(self) -> None:
        """Drop a dead session as `drop_if_dead` does, without warnings of its sockets; this is slow."""
        if self._own() is None or self.open:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.drop_if_dead()
            gc.collect()  # inside the block, because each of its connections warns when it is collected

    def leave_to_parent(self) -> None:
        """Drop the session that belongs to the parent of a fork, without closing it."""
        if self._own() is not None:
            _left_to_parents.append((self._session, self._session_closer, self._loop))
            self._session = self._session_closer = self._loop = None

    async def aclose(self) -> None:
        """Close our own session."""
        self._drop_quietly_if_dead()
        closer, self._session_closer, loop = self._session_closer, None, self._loop
        if closer is not None and loop is asyncio.get_running_loop():
            await closer.aclose()


# The child of a fork shares the sockets and the selector with its parent. If the child closed them, they would vanish
# from the parent's selector. So the child keeps them open.
_transports: "WeakSet[Transport]" = WeakSet()
_left_to_parents: list[object] = []


def _leave_all_to_parent() -> None:
    for transport in list(_transports):
        transport.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_leave_all_to_parent)


def _send_once() -> ClientMiddlewareType:
    """Return a middleware that stops aiohttp from sending a request again if a reused connection breaks.

    The second sending would pass no limiter, and would get a 404 for a DELETE that was already carried out. (The
    middlewares of a borrowed session are not run.)
    """
    failures: list[Exception] = []

    async def send_once(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        if failures:
            raise failures[0]
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            failures.append(error)
            raise

    return send_once


async def _closed_with_its_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    # An event loop that shuts down closes the generators that were started in it (`loop.shutdown_asyncgens`, which
    # asyncio.run calls). So if a client outlives its loop, that loop still closes the client's connections. They are
    # not left to the garbage collector.
    try:
        yield
    finally:
        await session.close()


def _proxy_of(url: URL) -> URL | str | None:
    """Return the environment's proxy for an address, or a text why it cannot be used; None for no proxy."""
    # aiohttp's own trust_env also takes a password for the host from ~/.netrc and sends it instead of the key.
    if is_loopback(url.host or "") or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    proxies = urllib.request.getproxies()
    if not (named := proxies.get(url.scheme) or proxies.get("all")):
        return None
    named = named if "://" in named else f"http://{named}"
    if has_raw_password(named):
        return (
            "the environment names a proxy with a #, / or ? in the user name or password: percent-encode these "
            "characters there (%23, %2F, %3F)."
        )
    with suppress(ValueError):
        if (proxy := URL(named)).host and proxy.scheme in ("http", "https"):
            return proxy
    return (
        f"the proxy in the environment, which begins with {named.partition('://')[0][:20]!r}, cannot be used. Set "
        "HTTPS_PROXY to an http:// or https:// URL, or use no proxy (--no-proxy)."
    )


def _failure(request: Request, error: Exception, timeouts: Timeouts, proxy: str | None) -> errors.TicketSourceError:
    """Return our error; `proxy` is the proxy that was used, empty if none was, None if that is not known."""
    through = f" through the proxy {proxy}" if proxy else ""
    way = ", without a proxy" if proxy == "" else through
    kind = next(ours for theirs, ours in _KINDS.items() if isinstance(error, theirs))
    cause = request.scrub(f"{type(error).__name__}: {error}".removesuffix(": "))
    where = (request.method, request.url.path, request.attempt, cause)
    if kind is errors.RequestTimedOut:
        phase, seconds = _phase(error, timeouts)
        happened = {
            "connect": f"{request} was not sent: no connection within {seconds:g} s{way}",
            "response": f"{request} was sent{through}, but no data came for {seconds:g} s",
            "total": f"{request} was sent{through}, but took longer than {seconds:g} s",
        }
        return errors.RequestTimedOut(
            f"{happened[phase]}. {Advice.SLOW}",
            *where,
            phase,
            seconds,
        )
    if kind is errors.ConnectFailed:
        return errors.ConnectFailed(
            f"{request} was not sent: no connection to {request.url.host}:{request.url.port}{way} ({cause}). "
            f"{_advice(error)}",
            *where,
        )
    if kind is errors.ConnectionLost:
        return errors.ConnectionLost(
            f"{request} was sent{through}, but the connection broke before the whole answer came ({cause}). "
            f"{Advice.LOST}",
            *where,
        )
    if kind is errors.ConfigurationError:
        return errors.ConfigurationError(f"{request} was not sent: the session refuses it ({cause}). {Advice.SESSION}")
    return errors.InvalidResponse(
        f"{request} was answered with something that is not HTTP ({cause}). {Advice.NOT_HTTP}",
        method=request.method,
        path=request.url.path,
        attempts=request.attempt,
    )


def _advice(error: Exception) -> Advice:
    """Return the advice for a connection that could not be made."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", None)
        if code in _WRONG_DATE:
            return Advice.CERTIFICATE_DATE
        if code in _WRONG_NAME:
            return Advice.CERTIFICATE_NAME
        return Advice.CERTIFICATE
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
        return Advice.PROXY_LOGIN
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return Advice.PROXY
    return Advice.NETWORK


def _phase(error: Exception, timeouts: Timeouts) -> tuple[str, float]:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "connect", timeouts.connect
    if isinstance(error, aiohttp.SocketTimeoutError):
        return "response", timeouts.response
    return "total", timeouts.total
