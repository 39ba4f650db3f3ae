"""Findings about the connection: name, proxy, TLS, clock, key, firewall and limits. The functions make no calls."""

import ipaddress
import itertools
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from ticketsource_async import errors
from ticketsource_async.checking.calls import Call, Results
from ticketsource_async.checking.findings import REQUESTS_A_MINUTE, Finding, State, failure, listed

_GROUP: Final = "connection"
_MOST_DIFFERENCE: Final = 5.0  # seconds
_TOO_MANY: Final = 429

# The classes of aiohttp's errors for each part of the connection.
_NAME_ERROR: Final = "ClientConnectorDNSError"
_PROXY_ERRORS: Final = ("ClientProxyConnectionError", "ClientHttpProxyError")
_TLS_ERRORS: Final = ("ClientConnectorCertificateError", "ClientConnectorSSLError")

_FIREWALL: Final = (
    "A firewall in front of the API refuses the requests, not the API. The key may be good. Ask TicketSource support "
    "for the user agent that they give to integrators, and set TICKETSOURCE_USER_AGENT to it. Tell them the address "
    "of this machine on the internet, the time, and the Ray ID that is on the page of the firewall."
)
_USER_AGENT_IS_SET: Final = " TICKETSOURCE_USER_AGENT is set already: ask whether its value is still right."


@frozen
class Connection:
    """The connection to the API: its address, whether there is a proxy, the User-Agent, each attempt's status."""

    base_url: str
    proxied: bool
    own_user_agent: bool
    statuses: tuple[int | None, ...] = ()


def of_connection(found: Results, connection: Connection) -> list[Finding]:
    """Return a line for each part of the connection."""
    error = found.stopped_by
    cause = error.cause if isinstance(error, errors.TransportError) else ""
    reached = any(connection.statuses)
    reason = "the check was interrupted" if found.interrupted else "the API was not reached"
    unreached = "" if reached else f"Not known: {reason}."
    return [
        _name(connection, cause, unreached),
        _proxy(connection, cause, error, unreached),
        _tls(connection, cause, unreached),
        _link(error, unreached),
        _clock(found),
        _key(found, unreached),
        _firewall(found, connection, unreached),
        _rate_limit(found, connection),
        _request_ids(found),
        _redirects(connection, unreached),
        _answers(found),
    ]


def _finding(name: str, state: State, says: str) -> Finding:
    return Finding(_GROUP, name, state, says)


def _name(connection: Connection, cause: str, unreached: str) -> Finding:
    host = urlsplit(connection.base_url).hostname or ""
    if host == "localhost" or _is_address(host):
        return _finding("name resolution", "ok", "Not needed: the address of the API has no name to look up.")
    if connection.proxied:
        return _finding("name resolution", "ok", "The proxy looks the name up.")
    if cause.startswith(_NAME_ERROR):
        says = "The name of the API was not found. Check the network, and TICKETSOURCE_BASE_URL if you set it."
        return _finding("name resolution", "failed", f"{says} If a proxy is needed here, set HTTPS_PROXY.")
    if not unreached or (cause and not cause.startswith("ConnectionTimeoutError")):
        return _finding("name resolution", "ok", "The name of the API was found.")
    return _finding("name resolution", "open", unreached)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _proxy(connection: Connection, cause: str, error: Exception | None, unreached: str) -> Finding:
    if isinstance(error, errors.ConfigurationError):
        return _finding("proxy", "failed", "The environment names a proxy that cannot be used.")
    if cause.startswith(_PROXY_ERRORS):
        says = "The proxy refuses the requests. Check its name, user and password, or use --no-proxy."
        return _finding("proxy", "failed", says)
    if not connection.proxied:
        return _finding("proxy", "ok", "No proxy is used.")
    says = "A proxy is used." if unreached else "A proxy is used, and passes the requests on."
    return _finding("proxy", "open" if unreached else "ok", says)


def _tls(connection: Connection, cause: str, unreached: str) -> Finding:
    if connection.base_url.startswith("http:"):
        return _finding("TLS", "ok", "Not used: the API is on this machine.")
    if cause.startswith(_TLS_ERRORS):
        says = "No encrypted connection could be made: the certificate is not trusted here, has expired or has another"
        return _finding("TLS", "failed", f"{says} name. The error message says which of these, and what to do.")
    return _finding("TLS", "open", unreached) if unreached else _finding("TLS", "ok", "The certificate is trusted.")


def _link(error: Exception | None, unreached: str) -> Finding:
    if isinstance(error, errors.TransportError):
        what = type(error).__name__
        after = "before any answer came" if unreached else "after some answers had come"
        return _finding("reached", "failed", f"{what} ended the check {after}. Try again later.")
    if isinstance(error, errors.AccessBlocked):
        return _finding("reached", "open", "A firewall answers instead of the API.")
    return _finding("reached", "open", unreached) if unreached else _finding("reached", "ok", "The API answers.")


def _clock(found: Results) -> Finding:
    differences = [difference for call in found.calls if (difference := _clock_difference(call)) is not None]
    if not differences:
        says = "No answer has the time of the API."
        return _finding("clock", "open", says if found.has_answer else _why_no_answer(found))
    difference = min(differences, key=abs)
    if abs(difference) <= _MOST_DIFFERENCE:
        says = f"The clock of this machine agrees with the API within {_MOST_DIFFERENCE:.0f} s."
        return _finding("clock", "ok", says)
    where = "behind" if difference > 0 else "ahead of"
    says = f"The clock of this machine is {abs(difference):,.0f} s {where} that of the API."
    return _finding("clock", "odd", f"{says} Set it if it is wrong: certificates and logs depend on it.")


def _clock_difference(call: Call) -> float | None:
    """Return by how many seconds the clock of the API is ahead: the smallest difference that fits the answer."""
    try:
        there = parsedate_to_datetime(_headers(call).get("date", ""))
        latest: float = (there - call.began).total_seconds() + 1  # it is rounded down to seconds
        least: float = (there - call.ended).total_seconds()
    except (ValueError, TypeError, OverflowError):  # there is no date, or it has no time zone
        return None
    return 0.0 if least <= 0 <= latest else min(least, latest, key=abs)


def _why_no_answer(found: Results, otherwise: str = "no good answer came") -> str:
    return f"Not known: {'the check was interrupted' if found.interrupted else otherwise}."


def _headers(call: Call) -> Mapping[str, str]:
    return {} if call.answer is None else call.answer.headers


def _key(found: Results, unreached: str) -> Finding:
    if found.has_answer and isinstance(found.stopped_by, errors.AuthenticationFailed):
        return _finding(
            "key", "failed", "The API accepted the key at first, and refused it later: ask the owner of the account."
        )
    if found.has_answer:
        return _finding("key", "ok", "The API accepts the key.")
    refused = [call.error for call in found.failures()]
    if any(isinstance(error, errors.AuthenticationFailed) for error in refused):
        says = "The API refuses the key: it is wrong, revoked or of another account. TicketSource shows it"
        return _finding("key", "failed", f"{says} under Settings > API.")
    if any(isinstance(error, errors.PermissionDenied) for error in refused):
        return _finding("key", "failed", "The key is valid but may not read this: ask the owner of the account.")
    return _finding("key", "open", unreached or _why_no_answer(found, "no answer of the API itself came"))


def _firewall(found: Results, connection: Connection, unreached: str) -> Finding:
    if any(isinstance(call.error, errors.AccessBlocked) for call in found.calls):
        return _finding("firewall", "failed", f"{_FIREWALL}{_USER_AGENT_IS_SET if connection.own_user_agent else ''}")
    return (
        _finding("firewall", "open", unreached)
        if unreached
        else _finding("firewall", "ok", "No firewall refuses the requests.")
    )


_ABOUT_LIMIT: Final = re.compile(
    r"(x-)?rate-?limit(-(limit|remaining|reset|policy|used|second|minute|hour|day))*|retry-after"
)


def _rate_limit(found: Results, connection: Connection) -> Finding:
    answered = [call for call in found.calls if call.answer is not None]
    names = {name for call in answered for name in _headers(call) if _ABOUT_LIMIT.fullmatch(name)}
    limited = any(isinstance(call.error, errors.RateLimited) for call in found.calls)
    if limited or (found.interrupted and connection.statuses[-1:] == (_TOO_MANY,)):
        says = "The API says that there were too many requests. Others use the same key or address: try again later."
        return _finding("rate limit", "failed", says)
    if not answered:
        return _finding("rate limit", "open", _why_no_answer(found))
    if not names:
        says = f"No header says what the limit is. The library keeps to {REQUESTS_A_MINUTE} requests a minute."
        return _finding("rate limit", "open", says)
    limits = {_number(_headers(call).get("x-ratelimit-limit")) for call in answered} - {None}
    odd = []
    if limits - {REQUESTS_A_MINUTE}:
        said = ", ".join(map(str, sorted(filter(None, limits))))
        one = min(filter(None, limits), default=REQUESTS_A_MINUTE)
        odd.append(
            f"The limit is {said}, not {REQUESTS_A_MINUTE}. In a program pass `rate_limit=RateLimit({one}, per=60)`."
        )
    odd += _falling([_number(_headers(call).get("x-ratelimit-remaining")) for call in answered])
    return _finding("rate limit", "odd" if odd else "ok", " ".join([f"These headers come: {listed(names)}.", *odd]))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else None


def _falling(left: list[int | None]) -> list[str]:
    """Return what is odd about the API's numbers of remaining requests."""
    steps = [a - b for a, b in itertools.pairwise(left) if a is not None and b is not None]
    if steps and not any(steps):
        return ["X-RateLimit-Remaining does not fall, so it says nothing."]
    if sum(step > 2 for step in steps) > 1:  # a retry uses two
        return ["X-RateLimit-Remaining falls faster than this check sends: others use the same key or address."]
    return []


def _request_ids(found: Results) -> Finding:
    names = {n for call in found.calls for n in ("x-request-id", "cf-ray") if n in _headers(call)}
    if names:
        return _finding("request id", "ok", f"Answers have one: {listed(names)}.")
    if any(getattr(call.error, "request_id", None) for call in found.calls):
        return _finding("request id", "ok", "Errors have one. Tell it to TicketSource support.")
    says = "No answer has one, so you cannot tell TicketSource support which request you mean."
    return _finding("request id", "open", says if found.has_answer else _why_no_answer(found))


def _redirects(connection: Connection, unreached: str) -> Finding:
    count = sum(status is not None and 300 <= status < 400 for status in connection.statuses)
    if count:
        says = f"{count} requests were redirected. A redirect needs one more request, or fails."
        return _finding("redirects", "odd", f"{says} Check TICKETSOURCE_BASE_URL.")
    return _finding("redirects", "open", unreached) if unreached else _finding("redirects", "ok", "None.")


def _answers(found: Results) -> Finding:
    if failed := listed({failure(call) for call in found.failures()}):
        return _finding("answers", "failed", f"{failed}.")
    good = sum(call.answer is not None for call in found.calls)
    return _finding(
        "answers", "ok" if good else "open", f"{good} came, in JSON, as documented." if good else "None came."
    )
