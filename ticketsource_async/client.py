"""The client TicketSource: it builds the parts, opens them at the first request and closes them."""

import os
import platform
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Never, NoReturn, Self, TypedDict, Unpack

from ticketsource_async._environment import api_key, show_log
from ticketsource_async._mistakes import unknown_option_error
from ticketsource_async._version import __version__
from ticketsource_async._wire.request import Credentials, Secret
from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.sending import SenderConfig
from ticketsource_async._wire.transport import Transport
from ticketsource_async.call_events import CallEvent
from ticketsource_async.config import RateLimit, RetryPolicy, Timeouts, check_whole
from ticketsource_async.errors import ConfigurationError
from ticketsource_async.operations import Operations, check_kinds
from ticketsource_async.ratelimit import Priority, RateLimiter
from ticketsource_async.ratelimit.local import shared

if TYPE_CHECKING:
    from aiohttp import ClientSession, TraceConfig

BASE_URL: Final = "https://api.ticketsource.io"
MAX_BODY: Final = 32 * 1024 * 1024
_TIMEOUTS: Final = Timeouts()
_RETRY: Final = RetryPolicy()
_RATE_LIMIT: Final = RateLimit(240, per=60)


class ClientOptions(TypedDict, total=False):
    """Options of `TicketSource` besides the key."""

    base_url: str
    """https, or http on this machine; default https://api.ticketsource.io"""
    user_agent: str | None
    """The user agent that TicketSource support gave you if Cloudflare blocks you. None sends this library's own."""
    auth: Literal["bearer", "basic"]
    """How the key is sent; default "bearer". The API accepts both."""
    timeouts: Timeouts
    """How long one attempt may take; default 15 s to connect, 30 s without data from the server, 60 s in all."""
    retry: RetryPolicy
    """How many attempts a call has and how long it may take; default 4 attempts, no deadline."""
    rate_limit: RateLimit | None
    """How many requests may be sent in how many seconds; default 240 in 60 s. None turns the limit off.

    All clients of a process with the same key and the same limit share it.
    """
    limiter: RateLimiter | None
    """A limiter of your own, in place of `rate_limit`."""
    priority: Priority
    """Use "bulk" for a client that runs a nightly job: the single calls of other clients then go before its calls.

    By default single calls and the first page of a list are "interactive". All calls of a bulk client are retried like
    those of a job: see `RetryPolicy.patience`.
    """
    max_connections: int
    """Requests in flight at a time, in each event loop; default 10."""
    max_body: int
    """The most bytes that an answer may have when it is unpacked; default 32 MiB. A longer one raises an error."""
    session: "ClientSession | None"
    """A session of yours that the client uses. It does not change or close it. By default the client opens its own.

    Give its connector at least `max_connections`, because aiohttp counts the wait for a free connection as part of the
    request. Give the session no `auth`. Its middlewares are not run.

    A faulty server or proxy can send two answers to one request. aiohttp then takes the second one for the answer to
    the next call on that connection. If you cannot exclude that, make the connector with `force_close=True`: each
    request then gets a new connection. The client's own session needs no setting: each write gets a new connection.
    """
    trust_env: bool
    """Whether the client's own session uses the proxies of HTTPS_PROXY, ALL_PROXY and NO_PROXY; default no.

    Calls to this machine never use a proxy.
    """
    trace_configs: "Sequence[TraceConfig]"
    """aiohttp's tracing for the client's own session, for example by OpenTelemetry. It sees the key in the headers."""
    on_event: Callable[[CallEvent], None] | None
    """A plain function that is called with each attempt, wait, retry and page. An error that it raises is logged."""


class _ExplainsOptions:
    """Base of the client: it names the right option for a wrong one.

    In `TicketSource` itself, `__new__` would hide the parameters of `__init__` from `inspect.signature`.
    """

    if not TYPE_CHECKING:  # the checkers find this mistake

        def __new__(cls, *positional: object, **given: object) -> Self:
            """Raise an error that names the right option for a wrong one, before the error for a missing key."""
            known = ClientOptions.__annotations__
            unknown = [name for name in given if name not in known]
            is_without_key = not positional and "api_key" not in given and cls.__init__ is TicketSource.__init__
            given.clear()  # a report of the error with locals would show the key
            if is_without_key and unknown:
                raise unknown_option_error("TicketSource", unknown, known)
            return super().__new__(cls)


class TicketSource(_ExplainsOptions, Operations):
    """The client for the API of one box office; the tasks of an event loop may share it.

    You can build it anywhere: it needs no event loop, and opens a connection at the first request. Close it with `async
    with` or `await ts.aclose()`. If you use it again in a second `asyncio.run`, it opens again. The options are those
    of `ClientOptions`. Raises `ConfigurationError` for a setting that cannot work.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        user_agent: str | None = None,
        auth: Literal["bearer", "basic"] = "bearer",
        timeouts: Timeouts = _TIMEOUTS,
        retry: RetryPolicy = _RETRY,
        rate_limit: RateLimit | None = _RATE_LIMIT,
        limiter: RateLimiter | None = None,
        priority: Priority = "interactive",
        max_connections: int = 10,
        max_body: int = MAX_BODY,
        session: "ClientSession | None" = None,
        trust_env: bool = False,
        trace_configs: "Sequence[TraceConfig]" = (),
        on_event: Callable[[CallEvent], None] | None = None,
        **unknown: Never,
    ) -> None:
        key = Secret(api_key)
        del api_key  # a report of an error below with locals would show it
        if unknown:
            raise unknown_option_error("TicketSource", unknown, ClientOptions.__annotations__)
        show_log()
        check_whole("max_connections", max_connections)
        check_whole("max_body", max_body)
        check_kinds(timeouts=timeouts, retry=retry, rate_limit=rate_limit, on_event=on_event, priority=priority)
        if limiter is not None and not all(callable(getattr(limiter, name, None)) for name in ("slot", "pause")):
            raise ConfigurationError(f"limiter must be a RateLimiter, with `slot` and `pause`, not {limiter!r}.")
        for name, given in (("trust_env", trust_env), ("trace_configs", trace_configs)):
            if session is not None and given:
                raise ConfigurationError(
                    f"{name} has no effect on a session of yours: set it where you make the session."
                )
        if limiter is None and rate_limit is not None:
            limiter = shared(rate_limit)
        elif limiter is not None and rate_limit not in (None, _RATE_LIMIT):
            raise ConfigurationError("limiter replaces rate_limit: pass only one of them.")
        user_agent = _default_user_agent() if user_agent is None else user_agent
        self._transport = Transport(
            session,
            max_body=max_body,
            max_connections=max_connections,
            trust_env=trust_env,
            trace_configs=trace_configs,
        )
        credentials = Credentials.of(key, base_url, user_agent, auth)
        sender = Sender(credentials, self._transport, SenderConfig(retry, limiter, on_event, timeouts))
        super().__init__(sender, priority)

    @classmethod
    def from_env(cls, **options: Unpack[ClientOptions]) -> Self:
        """Return a client with TICKETSOURCE_API_KEY, TICKETSOURCE_BASE_URL and TICKETSOURCE_USER_AGENT.

        TICKETSOURCE_API_KEY_FILE may name a file with the key instead. An option that you pass replaces the variable of
        the environment. An empty variable counts as not set.
        """
        found: ClientOptions = {}
        if base_url := os.environ.get("TICKETSOURCE_BASE_URL"):
            found["base_url"] = base_url
        if user_agent := os.environ.get("TICKETSOURCE_USER_AGENT"):
            found["user_agent"] = user_agent
        found.update(options)
        return cls(api_key(), **found)  # pyright: ignore[reportArgumentType]  # pyright assumes that a TypedDict may have more keys

    if not TYPE_CHECKING:  # the checkers find this mistake

        def __enter__(self) -> NoReturn:
            raise TypeError("a TicketSource client is opened with `async with`, not `with`")

        def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Self:
        self._sender.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session, unless it is borrowed, and end all calls; these and later calls raise `ClientClosed`.

        Calls that are in flight, wait for a slot or wait between two attempts are ended, but their tasks are not
        cancelled. A write that was sent raises `OutcomeUnknown`. The method returns when all calls have ended. You may
        call it again.
        """
        await self._sender.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_sender"):
            return "<TicketSource that could not be built>"
        state = "closed" if self._sender.closed else "open" if self._transport.open else "not opened"
        return f"<TicketSource {self._sender.credentials.base_url} {state}>"

    def __del__(self) -> None:
        sender = getattr(self, "_sender", None)  # it is missing if the constructor raised
        if sender is None:
            return
        self._transport.drop_if_dead()
        if self._transport.open and not sender.closed:
            message = f"unclosed {self!r}: use `async with` or `await ts.aclose()`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def _default_user_agent() -> str:
    return f"ticketsource-async/{__version__} Python/{platform.python_version()}"
