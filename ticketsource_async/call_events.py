"""The events that `on_event` gets while calls are made: frozen values with ids, but no query, header or body."""

from attrs import frozen


@frozen(kw_only=True)
class AttemptEvent:
    """An attempt has ended: `status` is None if no answer came, `error` the name of its exception, if any.

    `elapsed` are the seconds on the wire, `waited` those before it for a connection and a slot. `quota_left` is what
    the server says in `X-RateLimit-Remaining`, None if it does not. `request_id` is the API's own id
    of the request, for questions to TicketSource support, None if the answer has none.
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
    """A call has waited so many seconds for a free connection and a slot; less than a millisecond makes no event.

    `priority` is "interactive" for a single call and the first page of a list, "bulk" for all others.
    """

    method: str
    path: str
    attempt: int
    waited: float
    priority: str


@frozen(kw_only=True)
class RetryEvent:
    """The attempt of this number has failed, and there will be another after `wait` seconds.

    `failing_for`: seconds since the first failure after the last good answer of any call. `patience`: seconds left for
    a call of a job, with the wait; None if only attempts count.
    """

    method: str
    path: str
    attempt: int
    status: int | None
    error: str
    wait: float
    failing_for: float
    patience: float | None


@frozen(kw_only=True)
class PageEvent:
    """A page of a list was read, with so many rows."""

    method: str
    path: str
    page: int
    rows: int


@frozen(kw_only=True)
class ListEndedEvent:
    """A list that seems to go on for ever was not read beyond this page, so rows may be missing; `reason` says why."""

    method: str
    path: str
    page: int
    reason: str


CallEvent = AttemptEvent | WaitEvent | RetryEvent | PageEvent | ListEndedEvent
