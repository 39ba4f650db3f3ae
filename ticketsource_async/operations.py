"""All operations of the API, without the opening and closing of a client."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from types import UnionType
from typing import TYPE_CHECKING, Final, Literal, Never, NoReturn, TypeVar, Unpack, cast, get_args, overload

from attrs import field, frozen

from ticketsource_async import listings
from ticketsource_async._mistakes import hint_for, unknown_option_error
from ticketsource_async._wire import drafts, headers
from ticketsource_async._wire.request import Request, why_headers_refused
from ticketsource_async._wire.sender import Sender
from ticketsource_async.call_events import CallEvent
from ticketsource_async.config import RateLimit, RetryPolicy, Timeouts, check_whole
from ticketsource_async.errors import ConfigurationError
from ticketsource_async.failed_branches import FailedBranch
from ticketsource_async.models import UNSET, Booking, Event, EventDate, Record, StartFilter, Unset, Venue
from ticketsource_async.models.base import check_model
from ticketsource_async.pagination import Pager
from ticketsource_async.ratelimit import PRIORITIES, Priority, unknown_priority_error
from ticketsource_async.resources.base import ListOptions, check_list_options
from ticketsource_async.resources.bookings import Bookings, Seats
from ticketsource_async.resources.customers import Customers
from ticketsource_async.resources.events import Dates, Events, Venues
from ticketsource_async.resources.notes import Notes
from ticketsource_async.resources.reports import Reports

Row = TypeVar("Row", bound=Record)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


_GROUPS: Final = ("customers", "notes", "events", "venues", "dates", "bookings", "seats", "reports")


@frozen(kw_only=True)
class Answer:
    """The answer of an endpoint.

    `data`, `links` and `meta` are those of the API's envelope. `extra` has the other parts of the envelope. If the
    answer has no envelope, `data` is all of its JSON, or its text, or None if it is empty. Numbers with a fraction are
    `Decimal`. `headers` has its names in lower case, and the first value of each name. `request_id` is for questions to
    TicketSource support. It is None if the API names none.
    """

    data: object
    links: Mapping[str, object]
    meta: Mapping[str, object]
    extra: Mapping[str, object]
    status: int
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None


class Operations:
    """All operations of the API, for a client or for a view of it that `with_options` returns."""

    def __init__(self, sender: Sender, priority: Priority = "interactive", client: "Operations | None" = None) -> None:
        self._sender = sender
        self._priority: Priority = priority
        self._client = client  # keeps the client alive: it would be collected, with a warning, while a view is in use
        self.customers = Customers(sender, priority)
        self.notes = Notes(sender, priority)
        self.events = Events(sender, priority)
        self.venues = Venues(sender, priority)
        self.dates = Dates(sender, priority)
        self.bookings = Bookings(sender, priority)
        self.seats = Seats(sender, priority)
        self.reports = Reports(sender, "bulk")

    if not TYPE_CHECKING:  # type checkers report a wrong name themselves

        def __getattr__(self, name: str) -> NoReturn:
            """Raise an error that names the right operation for a wrong one."""
            raise AttributeError(hint_for(type(self), name, _GROUPS))

    @property
    def base_url(self) -> str:
        """The address of the API that calls use."""
        return str(self._sender.credentials.base_url)

    @property
    def proxy(self) -> str | None:
        """The environment's proxy that calls use, without its password; None if they use none."""
        return self._sender.proxy()

    def programme(
        self,
        *,
        start: StartFilter | None = None,
        concurrency: int = 8,
        on_branch_error: Callable[[FailedBranch], None] | None = None,
        **unknown: Never,
    ) -> AsyncGenerator[tuple[Event, EventDate, Venue | None], None]:
        """Return each date of the programme with its event and venue; the venue is None if the API names none.

        `concurrency` events are read at a time. If the dates of an event cannot be read, the event has no rows. If a
        venue cannot be read, its dates have None as venue but still have their `venue_id`. If a later page of the list
        of events cannot be read, the events after it have no rows. Pass `on_branch_error` to get each of these failures
        in its place in the order of the rows. Otherwise `BranchesFailed` is raised after all rows and names them.

        An error that concerns all events ends the listing after the rows before it:

        - The first page of the list of events cannot be read.
        - The key is refused, a firewall blocks the call, or the API answers 429.
        - There is no connection, no slot before the deadline, or no Redis that the limiter needs.
        - The client is closed, or a setting is wrong.
        - The error is no `TicketSourceError`.
        - A hundred calls have failed in a row. The count begins again after a good answer, and after a 404 of the API
          itself, because that shows that the API works.

        The error has a note that names its event. If you may leave the loop early, use `contextlib.aclosing`.

        Requests: the pages of GET /events. For each event the pages of its dates and, if `start` keeps any date, of its
        venues. GET /venues/{id} for each venue that is not among them.
        """
        if unknown:
            raise unknown_option_error("programme", unknown, ("start", "concurrency", "on_branch_error"))
        check_whole("concurrency", concurrency, error=ValueError)
        return listings.programme(self._sender, start, concurrency, on_branch_error)

    def all_bookings(
        self,
        *,
        start: StartFilter | None = None,
        concurrency: int = 8,
        on_branch_error: Callable[[FailedBranch], None] | None = None,
        **unknown: Never,
    ) -> AsyncGenerator[tuple[Event, EventDate, Booking], None]:
        """Return every booking of the box office with its event and date.

        `concurrency` lists are read at a time, and as many dates with their bookings are in memory. If the dates of an
        event or the bookings of a date cannot be read, that event or date has no rows. `on_branch_error` and
        `BranchesFailed` report them as in `programme`, and an error that concerns all ends the listing as there.

        Requests: the pages of GET /events, for each event the pages of its dates, for each date the pages of its
        bookings.
        """
        if unknown:
            raise unknown_option_error("all_bookings", unknown, ("start", "concurrency", "on_branch_error"))
        check_whole("concurrency", concurrency, error=ValueError)
        return listings.all_bookings(self._sender, start, concurrency, on_branch_error)

    async def request(
        self,
        method: Method,
        path: str,
        *,
        json: object = None,
        query: Mapping[str, str | int] | None = None,
        **unknown: Never,
    ) -> Answer:
        """Call any endpoint and return its answer, also one that has no method in this library.

        `path` is the path in the API's documentation, such as "/customers/cst-1". `json` is sent as it is, so include
        the `{"data": ...}` that the API requires; None sends no body. The call has the limiter, the retries and the
        errors of every other call. A POST or a PATCH that may have been processed is not sent again. That holds for
        PATCH too, because the effect of a second one is not known for an unknown endpoint. If the answer to a DELETE
        was lost and the next attempt gets 404, `status` is 404. Raises ValueError or TypeError, before any request, for
        arguments that cannot be sent. If the answer is neither JSON nor text, a GET raises `InvalidResponse` and a
        write raises `OutcomeUnknown`.
        """
        if unknown:
            raise unknown_option_error("request", unknown, ("json", "query"))
        if method not in get_args(Method):
            raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
        if method == "GET" and json is not None:
            raise ValueError("a GET has no body: pass its parameters as query=")
        url = self._sender.credentials.address(path, query)
        body = None if json is None else drafts.encoded(json)
        request = Request(self._sender.credentials, method, url, body, accepts_any_answer=True)
        envelope = await self._sender.send(request, self._priority)
        return Answer(
            data=envelope.data,
            links=envelope.links,
            meta=envelope.meta,
            extra=envelope.extra,
            status=envelope.status,
            headers=envelope.headers,
            request_id=headers.request_id(request, envelope.headers),
        )

    def with_options(
        self,
        *,
        timeouts: Timeouts | Unset = UNSET,
        retry: RetryPolicy | Unset = UNSET,
        on_event: Callable[[CallEvent], None] | Unset | None = UNSET,
        priority: Priority | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
        **unknown: Never,
    ) -> "Operations":
        """Return a view of this client that makes its calls with other options, for one call or for many.

        The view shares the session, the connections and the limiter of the client. It keeps the client alive, and ends
        when the client is closed. The client itself does not change. Options that you leave out keep their values.
        `priority` means the same as in `ClientOptions`.

        `headers` are sent besides those of the client. A header that carries the key or belongs to the request itself
        is refused, such as `Authorization` or `Content-Type`. `Accept` replaces that of the client. Raises
        `ConfigurationError` for a setting that cannot work.
        """
        credentials, wrong = self._sender.credentials, ""
        if not isinstance(headers, Unset) and not (wrong := why_headers_refused(headers)):
            credentials = credentials.with_headers(headers)
        del headers  # a report of an error below with locals would show the values, which may be secret
        if unknown:
            raise unknown_option_error(
                "with_options", unknown, ("timeouts", "retry", "on_event", "priority", "headers")
            )
        if wrong:
            raise ConfigurationError(wrong)
        given = {"timeouts": timeouts, "retry": retry, "on_event": on_event, "priority": priority}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        check_kinds(**changes)
        changes.pop("priority", None)
        own = self._priority if isinstance(priority, Unset) else priority
        return Operations(self._sender.view(credentials, **changes), own, self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._sender.credentials.base_url}>"

    @overload
    def paginate(
        self, path: str, *, query: Mapping[str, str | int] | None = None, **options: Unpack[ListOptions]
    ) -> Pager[dict[str, object]]: ...

    @overload
    def paginate(
        self,
        path: str,
        *,
        model: type[dict[str, object]],
        query: Mapping[str, str | int] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[dict[str, object]]: ...

    @overload
    def paginate(
        self,
        path: str,
        *,
        model: type[Row],
        query: Mapping[str, str | int] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[Row]: ...

    def paginate(
        self,
        path: str,
        *,
        model: type[Row] | type[dict[str, object]] = dict,
        query: Mapping[str, str | int] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[Row] | Pager[dict[str, object]]:
        """Return the list at any path, also one that has no method in this library.

        With `dict` as `model` the rows are yielded as they are. With a class of your own, made from `Record`, they are
        yielded as its records. Rows of `dict` are compared by their `type` and `id`. A row without an id is never
        dropped. With `verify` it is invalid, because `verify` compares ids. Raises TypeError for any other `model`.
        """
        check_model(model)
        check_list_options(options, "paginate")
        url = self._sender.credentials.address(path, query)
        if both := {"page", "per_page"} & url.query.keys():
            raise ValueError(f"{min(both)} is set by the list itself: use start_page= and per_page=")
        parameters = dict(url.query)
        if model is dict:
            return Pager(self._sender, url, model, query=parameters, priority=self._priority, **options)
        return Pager(self._sender, url, cast(type[Row], model), query=parameters, priority=self._priority, **options)


def check_kinds(**options: object) -> None:
    """Raise `ConfigurationError` unless each option has a value of its type."""
    if (on_event := options.pop("on_event", None)) is not None and (
        not callable(on_event) or inspect.iscoroutinefunction(on_event)
    ):
        raise ConfigurationError("on_event must be a plain function, called with each event.")
    priority = options.pop("priority", "bulk")
    if not isinstance(priority, str) or priority not in PRIORITIES:
        raise ConfigurationError(str(unknown_priority_error(priority)))
    for name, value in options.items():
        kind, wanted = _KINDS[name]
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be {wanted}, not {value!r}.")


_KINDS: Final[Mapping[str, tuple[type | UnionType, str]]] = {
    "timeouts": (Timeouts, "Timeouts(...)"),
    "retry": (RetryPolicy, "RetryPolicy(...)"),
    "rate_limit": (RateLimit | None, "RateLimit(...) or None"),
}
