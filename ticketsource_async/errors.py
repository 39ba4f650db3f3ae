"""All exceptions that this library raises on purpose. This module has nothing else.

TicketSourceError
├── APIError                 the API answered with an error status
│   ├── ValidationFailed       400, 422
│   ├── AuthenticationFailed   401
│   ├── PermissionDenied       403
│   ├── NotFound               404
│   ├── RateLimited            429
│   └── ServerError            5xx
├── AccessBlocked            a firewall in front of the API answered, not the API
├── TransportError           no answer came
│   ├── ConnectFailed          nothing was sent
│   ├── ConnectionLost         the connection broke while the request was sent, or before the whole answer came
│   └── RequestTimedOut        too slow; `phase` says where
├── OutcomeUnknown           a write was sent, but it is not known whether it took effect
├── InvalidResponse          an answer came that is not what the API promises
├── PaginationError          a `links.next` that must not be followed, in a list without page numbers
├── ListEnded                the rest of a list of a listing was not read, because it seems to be endless
├── BranchesFailed           some events, dates or venues of a listing could not be read
├── InvalidID                the value passed as an id cannot be an id
├── UnreadableFile           a file to read is not a table, or not as a whole
├── UnreadableValue          a part cannot be sent whole, because a value in it could not be read
├── LimiterUnavailable       the store of the shared rate limiter does not answer
├── StoreError               a customer store cannot be used, or is of another box office
│   ├── StoreInUse             another process uses it
│   └── TooManyRemoved         too many customers are gone, so the answers of the API may be wrong
├── ClientClosed             the client, or the session it borrows, is closed
└── ConfigurationError       the client cannot work as it was set up

Task queues, pickle and copy rebuild an exception as `type(e)(*e.args)`. So every field is positional, has a default, is
JSON-able and is in `args`. `request_id` is the API's own id of the request, for questions to TicketSource support. It
is None if the answer has no id. No field holds the API key, a request or response body, or an object of the HTTP
library.
"""

from collections.abc import Iterable
from typing import TypedDict


class ErrorObject(TypedDict, total=False):
    """One entry of the API's `errors`; the API may leave any key out.

    If the API sends errors by field or as plain texts, `detail` has the text.
    """

    id: str
    """The API's id of this error."""
    status: int
    """The status of the answer."""
    code: str
    """The API's code of the kind of error, such as "not_found"."""
    title: str
    """The API's short text."""
    detail: str
    """The API's long text."""
    field: str
    """The field that is wrong, if the API names one."""


class TicketSourceError(Exception):
    """Base of every error of this library; `message` says what happened, to which call, and what to do."""

    def __init__(self, message: str = "", *fields: object) -> None:
        super().__init__(message, *fields)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, object]:
        """Return the class name as `error`, and every field, as JSON-able data."""
        return {"error": type(self).__name__, **{k: v for k, v in vars(self).items() if not k.startswith("_")}}


class APIError(TicketSourceError):
    """The API answered with an error `status`; one without a class of its own (405, 409 ...) raises this class itself.

    `errors` has the API's own error objects, at most a hundred. `retry_after` is in seconds. `attempts` is the number
    of requests that were sent.
    """

    def __init__(
        self,
        message: str = "",
        status: int = 0,
        errors: Iterable[ErrorObject] = (),
        method: str = "",
        path: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
    ) -> None:
        errors = list(errors)
        super().__init__(message, status, errors, method, path, request_id, retry_after, attempts)
        self.status = status
        self.errors: list[ErrorObject] = errors
        self.method = method
        self.path = path
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = attempts


class ValidationFailed(APIError):
    """The API refused the data of the call (400, 422); `errors` says what is wrong, and in which `field` if known."""


class AuthenticationFailed(APIError):
    """The API key is missing, wrong or revoked (401)."""


class PermissionDenied(APIError):
    """The API itself says that this key may not do this (403)."""


class NotFound(APIError):
    """There is no such record (404)."""

    @property
    def is_from_api(self) -> bool:
        """Whether the 404 comes from the API itself; a gateway may send one although the record exists."""
        return any(entry.get("code") == "not_found" for entry in self.errors)


class RateLimited(APIError):
    """The API got more requests than it allows (429); wait `retry_after` seconds if it is not None."""


class ServerError(APIError):
    """The API failed (5xx) on a call that changes nothing; a write raises `OutcomeUnknown` instead."""


class AccessBlocked(TicketSourceError):
    """A firewall in front of the API refused the request; the key may be good.

    TicketSource support gives out a user agent that the firewall accepts: pass it as `user_agent`. Tell them the
    `request_id`, which is the firewall's own id of the request.
    """

    def __init__(
        self,
        message: str = "",
        status: int = 0,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status, method, path, attempts, request_id)
        self.status = status
        self.method = method
        self.path = path
        self.attempts = attempts
        self.request_id = request_id


class TransportError(TicketSourceError):
    """No answer came; `cause` is the text of the error that caused this one, without the key."""

    def __init__(
        self, message: str = "", method: str = "", path: str = "", attempts: int = 1, cause: str = "", *fields: object
    ) -> None:
        super().__init__(message, method, path, attempts, cause, *fields)
        self.method = method
        self.path = path
        self.attempts = attempts
        self.cause = cause


class ConnectFailed(TransportError):
    """No connection could be made (name, network, TLS, proxy): nothing was sent."""


class ConnectionLost(TransportError):
    """The connection broke before the whole answer arrived; the request may have been processed."""


class RequestTimedOut(TransportError):
    """Something took longer than `seconds`; `phase` says what.

    "connect" (nothing was sent), "response" (the server sent no data) and "total" are the limits of `Timeouts` for one
    attempt. "slot" and "deadline" mean that the deadline of `RetryPolicy` passed: "slot" while the call waited for its
    first turn, "deadline" while it was in flight.
    """

    def __init__(
        self,
        message: str = "",
        method: str = "",
        path: str = "",
        attempts: int = 1,
        cause: str = "",
        phase: str = "",
        seconds: float | None = None,
    ) -> None:
        super().__init__(message, method, path, attempts, cause, phase, seconds)
        self.phase = phase
        self.seconds = seconds


class OutcomeUnknown(TicketSourceError):
    """A write was sent, but it is not known whether it took effect: look at the record before you send it again.

    `ids` has the ids in the path of the call. The path of a new customer has none. `cause` is the text of the error
    that caused this one.
    """

    def __init__(
        self,
        message: str = "",
        method: str = "",
        path: str = "",
        ids: Iterable[str] = (),
        attempts: int = 1,
        cause: str = "",
        request_id: str | None = None,
    ) -> None:
        ids = list(ids)
        super().__init__(message, method, path, ids, attempts, cause, request_id)
        self.method = method
        self.path = path
        self.ids: list[str] = ids
        self.attempts = attempts
        self.cause = cause
        self.request_id = request_id


class InvalidResponse(TicketSourceError):
    """An answer is not what the API promises; the library guessed nothing.

    `resource` (such as "customer") and `id` name the record, as far as they could be read. `json_path` is the place in
    the answer.
    """

    def __init__(
        self,
        message: str = "",
        resource: str = "",
        id: str | None = None,  # noqa: A002 - the API's own word for it
        json_path: str = "",
        status: int = 0,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, resource, id, json_path, status, method, path, attempts, request_id)
        self.resource = resource
        self.id = id
        self.json_path = json_path
        self.status = status
        self.method = method
        self.path = path
        self.attempts = attempts
        self.request_id = request_id


class PaginationError(TicketSourceError):
    """The `links.next` of page `page` must not be followed, and the pages have no numbers.

    `items` is the number of rows that were yielded before. `next_url` is that link.
    """

    def __init__(
        self, message: str = "", path: str = "", page: int = 0, items: int = 0, next_url: str | None = None
    ) -> None:
        super().__init__(message, path, page, items, next_url)
        self.path = path
        self.page = page
        self.items = items
        self.next_url = next_url


class ListEnded(TicketSourceError):
    """The rest of one list of a listing was not read, because the list seems to be endless; rows may be missing."""


class BranchError(TypedDict):
    """A branch of a listing that could not be read: the class of its `error`, and the `message`.

    `event_id`, `date_id` and `venue_id` say which branch it is; those that do not apply are None. If all are
    None, it is a row of the list of events, or the rest of that list.
    """

    event_id: str | None
    date_id: str | None
    venue_id: str | None
    error: str
    message: str


class BranchesFailed(TicketSourceError):
    """Some branches of a listing could not be read; the rows of all other branches were yielded before.

    `count` is the number of failed branches. `branches` has the first thousand of them. To get all of them, pass
    `on_branch_error` to the listing.
    """

    def __init__(self, message: str = "", branches: Iterable[BranchError] = (), count: int = 0) -> None:
        branches = list(branches)
        super().__init__(message, branches, count)
        self.branches: list[BranchError] = branches
        self.count = count


class InvalidID(TicketSourceError, ValueError):
    """The value that was passed as an id cannot be an id, so nothing was sent; `value` shows it."""

    def __init__(self, message: str = "", value: str = "") -> None:
        super().__init__(message, value)
        self.value = value


class UnreadableFile(TicketSourceError, ValueError):
    """A file is not the expected table, or a part of it is not; `file` is its name."""

    def __init__(self, message: str = "", file: str = "") -> None:
        super().__init__(message, file)
        self.file = file


class UnreadableValue(TicketSourceError, ValueError):
    """A write would clear or replace a value that could not be read; nothing was sent.

    `id` is the id of the record, `field` the dotted path to the value.
    """

    def __init__(self, message: str = "", id: str = "", field: str = "") -> None:  # noqa: A002 - as in InvalidResponse
        super().__init__(message, id, field)
        self.id = id
        self.field = field


class LimiterUnavailable(TicketSourceError):
    """No slot was given out, because the store of a shared rate limiter does not answer; nothing was sent."""


class StoreError(TicketSourceError):
    """The customer store at `path` cannot be used, or belongs to another box office.

    `id` is the id of the customer whose row is damaged, or an empty text.
    """

    def __init__(self, message: str = "", path: str = "", id: str = "") -> None:  # noqa: A002 - as in InvalidResponse
        super().__init__(message, path, id)
        self.path = path
        self.id = id


class StoreInUse(StoreError):
    """Another process, or another part of this one, uses the customer store."""


class TooManyRemoved(StoreError):
    """Too many customers are gone, so the answers of the API may be wrong. No deletion or erasure was yielded.

    The store has `remembered` customers. Of these, `missing` were not in the list with their data, and `removed` were
    found to be gone before the loop stopped. `allowed` is the largest number that may be gone.
    """

    def __init__(
        self,
        message: str = "",
        path: str = "",
        id: str = "",  # noqa: A002 - as in InvalidResponse
        remembered: int = 0,
        missing: int = 0,
        removed: int = 0,
        allowed: int = 0,
    ) -> None:
        super().__init__(message, path, id)
        self.args = (message, path, id, remembered, missing, removed, allowed)
        self.remembered = remembered
        self.missing = missing
        self.removed = removed
        self.allowed = allowed


class ClientClosed(TicketSourceError):
    """The client was closed, or the session that it borrows was."""


class ConfigurationError(TicketSourceError):
    """The client cannot work as it was set up; the message names the setting."""
