"""The credentials, and the request of one attempt of a call; pure."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NoReturn, Self
from urllib.parse import quote, unquote

from attrs import evolve, field, frozen
from yarl import URL

from ticketsource_async import errors
from ticketsource_async.models.values import escape_controls


@frozen
class Secret:
    """An API key that its repr does not show, so that no traceback with locals shows it."""

    value: str = field(repr=False)


@frozen
class Credentials:
    """The address of the API, the headers with the key, and the key of the limiter."""

    base_url: URL
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    limiter_key: str

    @classmethod
    def of(cls, api_key: Secret, base_url: str, user_agent: str, auth: Literal["bearer", "basic"]) -> Self:
        """Return the credentials; raise `ConfigurationError`, which names the wrong setting but never shows the key."""
        if not isinstance(api_key.value, str) or not re.fullmatch(r"[\x21-\x7e]+", api_key.value):
            raise errors.ConfigurationError(
                "api_key is empty or has white space or other characters that a key cannot have: "
                "pass the key (skl-...) as TicketSource shows it."
            )
        if not isinstance(user_agent, str) or not re.fullmatch(r"[\x20-\x7e]+", user_agent):
            raise errors.ConfigurationError("user_agent must be one line of printable ASCII.")
        if auth not in ("bearer", "basic"):
            raise errors.ConfigurationError(f'auth must be "bearer" or "basic", not {auth!r}.')
        base = _checked_base(base_url)
        # Nothing may raise from here on, because these locals hold the key.
        key, basic = api_key.value, base64.b64encode(f"{api_key.value}:".encode()).decode()
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",  # the transport bounds the size of this one while it unpacks it
            "Authorization": f"Bearer {key}" if auth == "bearer" else f"Basic {basic}",
            "User-Agent": user_agent,
        }
        limiter_key = hashlib.sha256(f"{base.origin()}\n{key}".encode()).hexdigest()
        return cls(base, headers, (key, basic), limiter_key)

    def are_in(self, text: str) -> bool:
        """Say whether a text, such as an address, contains the key."""
        found = unquote(text)
        return any(secret in found for secret in self.secrets)

    def address(self, path: object, query: object) -> URL:
        """Return the address for a path and a query of the user.

        Raises ValueError or TypeError if they make no address, or contain the key. Addresses are logged.
        """
        if self.are_in(f"{path} {query}"):  # first, because the other errors show the path or the query
            raise ValueError(
                "the API key is in the path or the query: remove it, since the client sends it in a header"
            )
        return self.base_url.joinpath(*_segments_of(path)).with_query(_query_of(query))

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Return these credentials with more headers; a new header replaces the one of the same name."""
        added = {name.lower() for name in headers}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in added}
        return evolve(self, headers={**kept, **headers})

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TicketSource client cannot be pickled, because it has an API key: build one in each process")


def _checked_base(text: str) -> URL:
    try:
        url = URL(text)
    except (ValueError, TypeError):
        url = URL()
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise errors.ConfigurationError("base_url must not have a user, a password, a query or a fragment.")
    if not url.host or url.scheme not in ("https", "http"):
        raise errors.ConfigurationError(f"base_url must be an absolute http(s) URL, not {text!r}.")
    if url.scheme == "http" and not is_loopback(url.host):
        raise errors.ConfigurationError(f"base_url {text!r} must be https: http would send the API key unencrypted.")
    return url


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# No "..", and no character that a server may read as a slash, as a parameter, or as percent-encoding.
_SEGMENT: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~:@,-]{1,200}")


def _segments_of(path: object) -> list[str]:
    """Return the segments of a path such as "/customers"; raise ValueError for a text that is not a path."""
    if not isinstance(path, str):
        raise TypeError(f'a path is a text such as "/customers", not {type(path).__name__}')
    first, *segments = path.split("/")
    if first or not segments or not all(map(_SEGMENT.fullmatch, segments)):
        raise ValueError(
            f"{path[:200]!r} is not a path of the API. A path begins with a slash and has no host. Its parts have only "
            'letters, digits and . _ ~ : @ , -, as in "/customers/cst-1/notes". Pass parameters as query=.'
        )
    return segments


def _query_of(query: object) -> dict[str, str]:
    """Return the parameters of the user as texts; raise TypeError unless they are texts and whole numbers."""
    if query is None:
        return {}
    if not isinstance(query, Mapping):
        raise TypeError(f'query is a dict such as {{"page": 1}}, not {type(query).__name__}')
    for name, value in query.items():
        if not isinstance(name, str) or not isinstance(value, str | int) or isinstance(value, bool):
            raise TypeError(
                f"query takes texts and whole numbers, not {type(value).__name__} for {name!r}: write the value as the "
                'API wants it, such as "true" or "2026-05-10".'
            )
    return {name: str(value) for name, value in query.items()}


# The values of these parameters are not secret and help to find a mistake. Other values may be people's data.
_SHOWN: Final = re.compile(r"page|per_page|filter\[\w*\]\[\w*\]")


def without_values(address: str, names: Iterable[str]) -> str:
    """Return an address without the values of these parameters; it keeps the values of pages and filters."""
    for name in names:
        if not _SHOWN.fullmatch(name):
            either = "|".join({re.escape(name), re.escape(quote(name, safe=""))})
            address = re.sub(rf"(?<=[?&])({either})=[^&#]*", r"\1=...", address)
    return address


_SET_BY_CLIENT: Final = "it belongs to the request itself"
_CHANGES_METHOD: Final = "it would change the method of the request"
_RESERVED: Final = {
    "authorization": "the client sends the key",
    "proxy-authorization": "it belongs to the proxy: name that in HTTPS_PROXY",
    "user-agent": "pass user_agent= to TicketSource",
    **dict.fromkeys(("host", "content-length", "content-type", "content-encoding"), _SET_BY_CLIENT),
    **dict.fromkeys(("accept-encoding", "transfer-encoding", "te", "trailer", "expect", "range"), _SET_BY_CLIENT),
    **dict.fromkeys(("connection", "proxy-connection", "keep-alive", "upgrade"), _SET_BY_CLIENT),
    **dict.fromkeys(("x-http-method-override", "x-http-method", "x-method-override"), _CHANGES_METHOD),
}


def why_headers_refused(headers: object) -> str:
    """Return why the user's headers cannot be sent, without their values; an empty text if they can."""
    if not isinstance(headers, Mapping):
        return f"headers must be a dict of names and texts, not {type(headers).__name__}."
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}", name):
            return "headers has a name that no header can have: use letters, digits and -."
        if reason := _RESERVED.get(name.lower()):
            return f"headers may not have {name}: {reason}."
        if not isinstance(value, str) or not re.fullmatch(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?", value):
            return f"headers has a value for {name} that cannot be sent: it must be one line of printable ASCII."
    if len({name.lower() for name in headers}) < len(headers):
        return "headers has the same name in upper case and in lower case: pass it once."
    return ""


_MOST_SHOWN: Final = 500
_MOST_READ: Final = 20_000


@frozen
class Request:
    """One attempt of a call."""

    credentials: Credentials = field(repr=False)
    method: str
    url: URL
    body: bytes | None = field(default=None, repr=False)
    attempt: int = 1
    redirected: bool = False  # whether a redirect was followed, which is allowed once
    accepts_any_answer: bool = False
    """Whether the answer may be any JSON or text. It may if this library has no operation for the endpoint."""

    def __str__(self) -> str:
        call = f"{self.method} {without_values(self.url.path_qs, self.url.query)}"
        return call if self.attempt == 1 else f"{call} (attempt {self.attempt})"

    @property
    def is_idempotent(self) -> bool:
        """Whether a second execution does no harm, as when it sets the same values or deletes the same record.

        A second POST makes a second record. The effect of a PATCH of an unknown endpoint is not known.
        """
        return self.method != "POST" and not (self.method == "PATCH" and self.accepts_any_answer)

    def ids(self) -> list[str]:
        """Return the ids in the path: /customers/{id}/notes/{id}."""
        below = self.url.path.removeprefix(self.credentials.base_url.path.rstrip("/"))
        return below.split("/")[2::2]

    def key_is_in(self, url: URL) -> bool:
        """Say whether an address contains the key."""
        return self.credentials.are_in(str(url))

    def scrub(self, text: str) -> str:
        """Return a foreign text without the key and without control characters, short enough for a message."""
        for secret in self.credentials.secrets:
            text = text.replace(secret, "***")
        # The password of a proxy may contain a raw slash. `//\S+@` alone is far too slow for a text of many slashes.
        text = re.sub(r"//\S++", lambda found: re.sub(r"\A//.+@", "//***@", found[0]), text[:_MOST_READ])
        text = escape_controls(text[: _MOST_SHOWN + 1])
        return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
