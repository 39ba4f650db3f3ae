"""The settings of a client: its timeouts, its retries and its rate limit."""

import re
from typing import Final, cast

from attrs import Attribute, field, frozen
from attrs.validators import optional

from ticketsource_async._mistakes import ExplainsOptions
from ticketsource_async.errors import ConfigurationError

_MOST: Final = 100_000
_PATIENCE: Final[float | None] = 120.0
_MOST_SECONDS: Final = 86_400.0  # a day: more than that is a mistake in the unit


def _seconds(owner: object, attribute: "Attribute[float]", value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < cast(float, value) <= _MOST_SECONDS:  # nan is not within these bounds
        name = f"{type(owner).__name__}.{attribute.name}"
        raise ConfigurationError(f"{name} must be seconds, more than 0 and at most a day, not {value!r}.")


def _whole(owner: object, attribute: "Attribute[int]", value: object) -> None:
    check_whole(f"{type(owner).__name__}.{attribute.name}", value, 1, _MOST)


def _name(owner: object, attribute: "Attribute[str | None]", value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigurationError(f"{type(owner).__name__}.{attribute.name} must be a name or None, not {value!r}.")


def _boolean(owner: object, attribute: "Attribute[bool]", value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{type(owner).__name__}.{attribute.name} must be True or False, not {value!r}.")


def check_whole(
    name: str, value: object, least: int = 1, most: int | None = None, *, error: type[Exception] = ConfigurationError
) -> None:
    """Raise an error that names the setting unless it is a whole number within its bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f", {least} or more" if most is None else f" from {least} to {most:,}"
        raise error(f"{name} must be a whole number{bounds}, not {value!r}.")


def has_raw_password(url: str) -> bool:
    """Say whether a user name or password in a URL has a character that would end it: another host would be asked."""
    address = re.split("[/?#]", url.partition("://")[2], maxsplit=1)
    later_at = re.match("[^=]*@", address[1]) if len(address) > 1 else None  # but not that of ?client_name=a@b
    return "#" in url or (later_at is not None and not url.startswith("unix:"))


@frozen(kw_only=True)
class Timeouts(ExplainsOptions):
    """How long one attempt may take, in seconds. The wait before an attempt does not count.

    `connect` is for the look-up of the name, the connection and TLS. `response` is for each silence of the server:
    before the answer begins, and between two pieces of it. `total` is for the whole attempt. It must be longer than
    `connect`, and at least as long as `response`.
    """

    connect: float = field(default=15.0, validator=_seconds)
    response: float = field(default=30.0, validator=_seconds)
    total: float = field(default=60.0, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        # If `total` ended an attempt while it connects, it would not be known whether it was sent.
        if self.connect >= self.total or self.response > self.total:
            raise ConfigurationError(
                f"Timeouts.total of {self.total:g} s must be longer than connect ({self.connect:g} s) and at least as "
                f"long as response ({self.response:g} s): make these shorter too."
            )


@frozen(kw_only=True)
class RetryPolicy(ExplainsOptions):
    """How often a call is tried, and how long it waits between two attempts; `attempts=1` never tries again.

    The wait before attempt n + 1 is a random part of `wait_initial` * 2 ** (n - 1) seconds, at most `wait_max`. It is
    never shorter than the server asks for. If the server asks for more than `max_retry_after`, the call ends at once.
    `deadline` is the most seconds that one call may take with all attempts and waits; None sets no such limit.

    The calls of a job go on for longer. These are the pages of a list after the first, bulk calls, listings, syncs, and
    all calls of a client whose `priority` is "bulk". If the client has had a good answer before, such a call goes on
    while the API cannot be reached or answers 408, 425, 429, 500, 502 to 504, 520 to 527 or 530. It does so for
    `patience` seconds. They are counted from the first failure after the last good answer to any call of the client.
    Waits that the server asks for do not count, up to an hour. After a 429 that names no time it waits for a minute.
    With `patience=None` it ends as a single call does.
    """

    attempts: int = field(default=4, validator=_whole)
    wait_initial: float = field(default=0.5, validator=_seconds)
    wait_max: float = field(default=30.0, validator=_seconds)
    max_retry_after: float = field(default=120.0, validator=_seconds)
    patience: float | None = field(default=_PATIENCE, validator=optional(_seconds))
    deadline: float | None = field(default=None, validator=optional(_seconds))


@frozen
class RateLimit(ExplainsOptions):
    """At most `limit` requests in any `per` seconds. Lower it if another program uses the same key.

    `share` is the number of processes that divide the limit. Each keeps to its part, rounded down. Keys of the same
    `group` share one limit: use a group if the API counts by internet address. All clients of a group must give the
    same `limit` and `per`. A client without a `group` is not in it. `pace=True` always spreads bulk calls over the
    minute. Otherwise they are spread only for ten minutes after a single call.
    """

    limit: int = field(default=240, validator=_whole)
    per: float = field(default=60.0, validator=_seconds, kw_only=True)
    share: int = field(default=1, validator=_whole, kw_only=True)
    group: str | None = field(default=None, validator=_name, kw_only=True)
    pace: bool = field(default=False, validator=_boolean, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.share > self.limit:
            raise ConfigurationError(
                f"RateLimit.share of {self.share} is more than its limit of {self.limit}, so no process could send a "
                "request: use a smaller share."
            )
