"""Read the headers of an answer: the request id, the wait and the quota; pure."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from ticketsource_async._wire.request import Request

_MOST_SECONDS: Final = 100_000_000  # a larger `X-RateLimit-Reset` is a Unix time; this one was in 1973


def request_id(request: Request, headers: Mapping[str, str]) -> str | None:
    """Return the API's id of a request, or else Cloudflare's; None if the answer names neither."""
    return request.scrub(headers.get("x-request-id") or headers.get("cf-ray") or "") or None


def with_id(status: int, found: str | None) -> str:
    """Return a status as text for a message, with the id of the request if there is one."""
    return f"{status} (request id {found})" if found else str(status)


def asked_wait(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait, 0 or more; None if it names no usable time.

    The header is `Retry-After`. If a 429 lacks it, `X-RateLimit-Reset` counts. Each of them is a number of seconds or a
    point in time. A point in time is compared with the server's own `Date`, so that a wrong clock does no harm.
    """
    text = headers.get("retry-after", "").strip()
    if (seconds := _seconds(text)) is not None:
        return seconds
    now, until = _time(headers.get("date", "")), _time(text)
    if until is None and status == 429:
        until = _seconds(headers.get("x-ratelimit-reset", "").strip())
        if until is not None and until < _MOST_SECONDS:
            return until
    return None if now is None or until is None else max(0.0, until - now)


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", text) else None


def quota_left(headers: Mapping[str, str]) -> int | None:
    """Return how many requests are left in the server's window; None if the server does not say it."""
    text = headers.get("x-ratelimit-remaining", "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _time(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None
