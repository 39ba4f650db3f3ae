"""The events that `on_event` gets while calls are made: frozen values with ids, but no query, header or body."""

from attrs import frozen


@frozen(kw_only=True)
class AttemptEvent:
    """An attempt has ended.

    `status` is None if no answer came. `error` is the name of the exception, None if there is none. `elapsed` is how
    many seconds the request took, `waited` how many it waited before for a connection and a slot. `quota_left` is what
    the server says in `X-RateLimit-Remaining`. `request_id` is the API's own id of the request, for questions to
    TicketSource support. Both are None if the answer does not have them.
    """

    method: str
    path: str
    attempt: int
    status: int | None
    error: str | None
    elapsed: float
    waited: float
    quota_left: int | None
    request_id: str | None = None


@frozen(kw_only=True)
class WaitEvent:
    """A call has waited `waited` seconds for a connection and a slot. Less than a millisecond makes no event.

    `priority` is "interactive" for a single call and the first page of a list, "bulk" for all others.
    """

    method: str
    path: str
    attempt: int
    waited: float
    priority: str


@frozen(kw_only=True)
class RetryEvent:
    """An attempt has failed, and another follows after `wait` seconds.

    `failing_for` is how many seconds have passed since the first failure after the last good answer of any call.
    `patience` is how many seconds a call of a job may still go on, with the wait; None if only attempts count.
    """

    method: str
    path: str
    attempt: int
    status: int | None
    error: str
    """The name of the exception."""
    wait: float
    failing_for: float
    patience: float | None


@frozen(kw_only=True)
class PageEvent:
    """A page of a list was read. `page` is its number, `rows` is how many rows it has."""

    method: str
    path: str
    page: int
    rows: int


@frozen(kw_only=True)
class ListEndedEvent:
    """A list was not read beyond this `page`, as it seems to go on for ever; `reason` says why. Rows may be missing."""

    method: str
    path: str
    page: int
    reason: str


CallEvent = AttemptEvent | WaitEvent | RetryEvent | PageEvent | ListEndedEvent
"""An event: `AttemptEvent`, `WaitEvent`, `RetryEvent`, `PageEvent` or `ListEndedEvent`."""
