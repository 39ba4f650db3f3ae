"""What the headers of an answer say besides its body; pure."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from ticketsource_async._wire.request import Request

_MOST_SECONDS: Final = 100_000_000  # a larger `X-RateLimit-Reset` is a time of day: this one was in 1973


def request_id(request: Request, headers: Mapping[str, str]) -> str | None:
    """Return the id that the API, or else Cloudflare in front of it, gave a request; None if it names none."""
    return request.scrub(headers.get("x-request-id") or headers.get("cf-ray") or "") or None


def with_id(status: int, found: str | None) -> str:
    """Return a status for a message, with the id of the request if there is one."""
    return f"{status} (request id {found})" if found else str(status)


def asked_wait(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait, 0 or more; None if it does not, or talks nonsense.

    That is `Retry-After`, or on a 429 without it `X-RateLimit-Reset`, which is seconds or a time of day. A time of day
    is read against the server's own `Date`, so that a wrong clock on either side does no harm.
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
    """Return how many requests the server says are left in its window, None if it does not."""
    text = headers.get("x-ratelimit-remaining", "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _time(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None
