"""TicketSource, the session manager: puts the parts together, opens them late and closes them."""

import os
import platform
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, TypedDict, Unpack

from ticketsource_async._wire.protocol import Access
from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.transport import Transport
from ticketsource_async.errors import ConfigurationError
from ticketsource_async.resources import Customers, Notes

if TYPE_CHECKING:
    from aiohttp import ClientSession

BASE_URL: Final = "https://api.ticketsource.io"


class ClientOptions(TypedDict, total=False):
    """Options of `TicketSource` besides the key."""

    base_url: str
    """https, or http on this machine; default https://api.ticketsource.io"""
    user_agent: str | None
    """The one that TicketSource support gave you, if their wall blocks you; None says who we are."""
    auth: Literal["bearer", "basic"]
    """How the key is sent; both work alike, the default is "bearer"."""
    max_connections: int
    """Requests in flight at a time, in each event loop; default 10."""
    session: "ClientSession | None"
    """A session to borrow: it is neither changed nor closed. By default the client opens its own.

    Give its connector at least `max_connections`, since aiohttp counts the wait for its pool as part of the request,
    and give the session no `auth`.
    """
    trust_env: bool
    """Whether a session of our own takes proxies from HTTPS_PROXY and the like; default no."""


class TicketSource:
    """The API of one box office; safe to share among the tasks of an event loop.

    May be built anywhere: no event loop is needed and nothing is opened before the first request. Close it with `async
    with` or `await ts.aclose()`; if it outlives an `asyncio.run`, it opens anew in the next. Options: see
    `ClientOptions`. Raises `ConfigurationError` for a setting that cannot work.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        user_agent: str | None = None,
        auth: Literal["bearer", "basic"] = "bearer",
        max_connections: int = 10,
        session: "ClientSession | None" = None,
        trust_env: bool = False,
    ) -> None:
        if not isinstance(max_connections, int) or max_connections < 1:
            raise ConfigurationError(f"max_connections must be a whole number, 1 or more, not {max_connections!r}.")
        if session is not None and trust_env:
            raise ConfigurationError("trust_env has no effect on a borrowed session: set it where the session is made.")
        access = Access.of(api_key, base_url, _default_user_agent() if user_agent is None else user_agent, auth)
        self._transport = Transport(session, trust_env=trust_env)
        self._sender = Sender(access, self._transport, max_connections)
        self.customers = Customers(self._sender)
        self.notes = Notes(self._sender)

    @classmethod
    def from_env(cls, **options: Unpack[ClientOptions]) -> Self:
        """Build a client from TICKETSOURCE_API_KEY, TICKETSOURCE_BASE_URL and TICKETSOURCE_USER_AGENT.

        An option given here wins over the environment; a variable that is empty counts as not set.
        """
        api_key = os.environ.get("TICKETSOURCE_API_KEY", "")
        if not api_key:
            raise ConfigurationError(
                "TICKETSOURCE_API_KEY is not set: set it to the API key of the box office (skl-...)."
            )
        found: ClientOptions = {}
        if base_url := os.environ.get("TICKETSOURCE_BASE_URL"):
            found["base_url"] = base_url
        if user_agent := os.environ.get("TICKETSOURCE_USER_AGENT"):
            found["user_agent"] = user_agent
        found.update(options)
        return cls(api_key, **found)

    async def __aenter__(self) -> Self:
        self._sender.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session, unless it is borrowed, and end calls in flight; these and later ones raise `ClientClosed`.

        A write in flight raises `OutcomeUnknown`. May be called again.
        """
        await self._sender.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._sender.closed else "open" if self._transport.open else "not opened"
        return f"<TicketSource {self._sender.access.base_url} {state}>"

    def __del__(self) -> None:
        transport = getattr(self, "_transport", None)  # absent if the constructor raised
        if transport is not None and transport.open and not self._sender.closed:
            message = f"unclosed {self!r}: use `async with` or `await ts.aclose()`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def _default_user_agent() -> str:
    from ticketsource_async import __version__  # noqa: PLC0415 - the front door imports this file

    return f"ticketsource-async/{__version__} Python/{platform.python_version()}"
