"""One exchange with the server; the only file that knows aiohttp.

A request goes out, plain data or a typed error comes back: no object of aiohttp leaves this file, since its errors
carry the key. Nothing is tried again here, but that aiohttp itself repeats a GET if a connection that it kept has
broken.
"""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType

from ticketsource_async import errors
from ticketsource_async._wire.protocol import RawResponse, Request

CONNECT_SECONDS: Final = 15.0
TOTAL_SECONDS: Final = 60.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS)

_KINDS: Final[Mapping[type[Exception], type[errors.TicketSourceError]]] = {
    # The first match counts: the particular stands before the general.
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
    """Carry requests over a session of our own, opened late and once in each event loop, or over a borrowed one."""

    def __init__(self, session: aiohttp.ClientSession | None, *, trust_env: bool) -> None:
        if session is not None and session.auth is not None:
            raise errors.ConfigurationError(
                "The session has an `auth` of its own: pass one without, the key goes there."
            )
        self._session = session
        self._borrowed = session is not None
        self._trust_env = trust_env
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: AsyncGenerator[None, None] | None = None

    @property
    def open(self) -> bool:
        """Say whether a session of our own is open."""
        return not self._borrowed and self._session is not None and not self._session.closed

    async def exchange(self, request: Request) -> RawResponse:
        """Send the request once and return the whole answer, with the connection given back."""
        session = await self._usable_session()
        try:
            # What a borrowed session might do differently is said again on each request.
            async with session.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=_TIMEOUT,
                proxy=self._proxy(request),
                middlewares=(_send_once(),) if request.method == "DELETE" else None,
            ) as response:
                body = await response.read()
                headers: dict[str, str] = {}
                for name, value in response.headers.items():
                    headers.setdefault(name.lower(), value)
                return RawResponse(response.status, headers, body)
        except tuple(_KINDS) as error:
            failure = _failure(request, error)
        # Raised out here: inside the block above, `__context__` would hold aiohttp's error, and that holds the key.
        raise failure

    async def _usable_session(self) -> aiohttp.ClientSession:
        if self._borrowed:
            if self._session is None or self._session.closed:
                raise errors.ClientClosed(
                    "The aiohttp.ClientSession that this client borrows is closed: keep it open as long as the client."
                )
            return self._session
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._session = aiohttp.ClientSession(
                # No limit here: the sender bounds the connections, outside of aiohttp's timeouts.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._loop = loop
            self._keeper = _closed_with_its_loop(self._session)
            await anext(self._keeper)
        return self._session

    def _proxy(self, request: Request) -> str | None:
        # Not aiohttp's own trust_env, which also takes a password for the host from ~/.netrc, in the place of the key.
        if not self._trust_env or urllib.request.proxy_bypass(request.url.host or ""):
            return None
        return urllib.request.getproxies().get(request.url.scheme)

    async def aclose(self) -> None:
        """Close a session of our own."""
        keeper, self._keeper, loop = self._keeper, None, self._loop
        if keeper is not None and loop is asyncio.get_running_loop():
            await keeper.aclose()


def _send_once() -> ClientMiddlewareType:
    """Return what keeps aiohttp from sending a request again by itself when a connection that it kept has broken.

    A DELETE that was carried out would be answered 404 the second time. (A session's own middlewares are not run.)
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
    # An event loop that shuts down closes the generators that were started in it (`loop.shutdown_asyncgens`, as
    # asyncio.run does): so the connections of a client that outlives its loop are closed in the loop they belong to,
    # not left to the garbage collector.
    try:
        yield
    finally:
        await session.close()


def _failure(request: Request, error: Exception) -> errors.TicketSourceError:
    kind = next(ours for theirs, ours in _KINDS.items() if isinstance(error, theirs))
    cause = request.scrub(f"{type(error).__name__}: {error}".removesuffix(": "))
    where = (request.method, request.url.path)
    if kind is errors.RequestTimedOut:
        phase, seconds = (
            ("connect", CONNECT_SECONDS)
            if isinstance(error, aiohttp.ConnectionTimeoutError)
            else ("total", TOTAL_SECONDS)
        )
        return errors.RequestTimedOut(
            f"{request} took longer than {seconds:g} s ({phase}). Try again later; the API or the way to it is slow.",
            *where,
            cause=cause,
            phase=phase,
            seconds=seconds,
        )
    if kind is errors.ConnectFailed:
        return errors.ConnectFailed(
            f"{request} was not sent: no connection to {request.url.host}:{request.url.port} ({cause}). "
            "Check the network, the name and any proxy between.",
            *where,
            cause=cause,
        )
    if kind is errors.ConnectionLost:
        return errors.ConnectionLost(
            f"{request} was sent, but the connection broke before the whole answer came ({cause}). Try again later.",
            *where,
            cause=cause,
        )
    if kind is errors.ConfigurationError:
        return errors.ConfigurationError(f"{request} was not sent: the session refuses it ({cause}).")
    return errors.InvalidResponse(
        f"{request} was answered with something that is not HTTP ({cause}). Check base_url and any proxy between.",
        method=request.method,
        path=request.url.path,
    )
