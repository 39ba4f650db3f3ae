"""Everything that can be asked of the API, without the opening and closing of a client."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from types import UnionType
from typing import TYPE_CHECKING, Final, Literal, Never, NoReturn, TypeVar, Unpack, cast, get_args, overload

from attrs import field, frozen

from ticketsource_async import listings
from ticketsource_async._mistakes import hint_for, no_such_option
from ticketsource_async._wire import drafts, headers
from ticketsource_async._wire.request import Request, why_not_sent
from ticketsource_async._wire.sender import Sender
from ticketsource_async.call_events import CallEvent
from ticketsource_async.config import RateLimit, RetryPolicy, Timeouts, check_whole
from ticketsource_async.errors import ConfigurationError
from ticketsource_async.listings import FailedBranch
from ticketsource_async.models import UNSET, Booking, Event, EventDate, Record, StartFilter, Unset, Venue
from ticketsource_async.models.base import check_model
from ticketsource_async.pagination import Pager
from ticketsource_async.ratelimit import PRIORITIES, Priority, no_priority
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
    """What an endpoint answered.

    `data`, `links` and `meta` are those of the API's envelope, `extra` what else is in it. If the answer has no
    envelope, `data` is all of its JSON, or its text, or None if it is empty. Numbers with a fraction are `Decimal`.
    `headers` have their names in lower case, of each name the first. `request_id` is for questions to TicketSource
    support, None if the API names none.
    """

    data: object
    links: Mapping[str, object]
    meta: Mapping[str, object]
    extra: Mapping[str, object]
    status: int
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None


class Operations:
    """All operations of the API: those of a client, or of a view of it that `with_options` returns."""

    def __init__(self, sender: Sender, priority: Priority = "interactive", client: "Operations | None" = None) -> None:
        self._sender = sender
        self._priority: Priority = priority
        self._client = client  # or it would be collected, with a warning, while a view of it is in use
        self.customers = Customers(sender, priority)
        self.notes = Notes(sender, priority)
        self.events = Events(sender, priority)
        self.venues = Venues(sender, priority)
        self.dates = Dates(sender, priority)
        self.bookings = Bookings(sender, priority)
        self.seats = Seats(sender, priority)
        self.reports = Reports(sender, "bulk")

    if not TYPE_CHECKING:  # the checkers know the operations

        def __getattr__(self, name: str) -> NoReturn:
            """Name the right operation for one that there is not."""
            raise AttributeError(hint_for(type(self), name, _GROUPS))

    @property
    def base_url(self) -> str:
        """The address that calls go to."""
        return str(self._sender.credentials.base_url)

    @property
    def proxy(self) -> str | None:
        """The proxy of the environment that calls go through, without its password; None if there is none."""
        return self._sender.proxy()

    def programme(
        self,
        *,
        start: StartFilter | None = None,
        concurrency: int = 8,
        on_branch_error: Callable[[FailedBranch], None] | None = None,
        **unknown: Never,
    ) -> AsyncGenerator[tuple[Event, EventDate, Venue | None], None]:
        """Return everything that is on: each date with its event and venue, None where the API names no venue.

        `concurrency` events are read at a time. An event whose dates cannot be read has no row here. A venue that
        cannot be read is None on its dates, which still have their `venue_id`. After all other rows `BranchesFailed`
        names them, or `on_branch_error` is called with each as its turn comes, and nothing is raised at the end.

        What concerns all events ends the listing after the rows before it: a failure of the list of events, a refused
        key, a wall, the rate limit, no connection, a closed client, a wrong setting, any error that is no
        `TicketSourceError`, and the last of a hundred failures in a row. (A 404 of the API itself is none: the API is
        well.) Such an error has a note that names its event. Leave the loop with `contextlib.aclosing` if you leave it
        early.

        Requests: the pages of GET /events; for each event those of its dates, and if `start` keeps any, of its venues;
        GET /venues/{id} for a venue that is not there.
        """
        if unknown:
            raise no_such_option("programme", unknown, ("start", "concurrency", "on_branch_error"))
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

        `concurrency` lists are read at a time, and as many dates with their bookings are in memory. An event whose
        dates, or a date whose bookings cannot be read has no row here: `BranchesFailed` and `on_branch_error` tell of
        them as in `programme`, and what concerns all of them ends the listing as there.

        Requests: the pages of GET /events; for each event those of its dates; for each date those of its bookings.
        """
        if unknown:
            raise no_such_option("all_bookings", unknown, ("start", "concurrency", "on_branch_error"))
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
        """Call any endpoint, such as one that this library does not know yet, and return what it answered.

        `path` is that of the API's documentation, such as "/customers/cst-1". `json` is sent as it is, with the
        `{"data": ...}` around it that the API wants; None sends no body. It has the limiter, the retries and the errors
        of every other call. A POST or a PATCH is not sent again if it may have been processed: what the PATCH of an
        endpoint that this library does not know does, nobody knows. If the answer to a DELETE was lost and the next
        attempt gets 404, `status` is 404. Raises ValueError or TypeError, before any request, for what cannot be sent.
        If the answer is neither JSON nor text, a GET raises `InvalidResponse` and a write `OutcomeUnknown`.
        """
        if unknown:
            raise no_such_option("request", unknown, ("json", "query"))
        if method not in get_args(Method):
            raise ValueError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
        if method == "GET" and json is not None:
            raise ValueError("a GET has no body: parameters go into query=")
        url = self._sender.credentials.address(path, query)
        body = None if json is None else drafts.encoded(json)
        request = Request(self._sender.credentials, method, url, body, takes_anything=True)
        came = await self._sender.send(request, self._priority)
        return Answer(
            data=came.data,
            links=came.links,
            meta=came.meta,
            extra=came.extra,
            status=came.status,
            headers=came.headers,
            request_id=headers.request_id(request, came.headers),
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

        It has the same session, connections and limiter, keeps its client alive, and ends when that is closed; nothing
        of the client changes. Options that you leave out keep their values. `priority` is that of `ClientOptions`.

        `headers` are sent besides those of the client. They cannot be those that carry the key or belong to the request
        itself, such as `Authorization` and `Content-Type`; `Accept` is replaced. Raises `ConfigurationError` for a
        setting that cannot work.
        """
        credentials, wrong = self._sender.credentials, ""
        if not isinstance(headers, Unset) and not (wrong := why_not_sent(headers)):
            credentials = credentials.with_headers(headers)
        del headers  # or a report with locals of an error below would show the values, which may be secret
        if unknown:
            raise no_such_option("with_options", unknown, ("timeouts", "retry", "on_event", "priority", "headers"))
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
        """Return the list at any path, such as one that this library does not know yet.

        With `dict` the rows come as they are. With a class of your own, made from `Record`, they come as its records.
        Rows of `dict` are told apart by their `type` and `id`; one without an id is never dropped, and is refused with
        `verify`, which goes by ids. Raises TypeError for any other `model`.
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
    """Raise `ConfigurationError` unless these options are of their kinds."""
    if (on_event := options.pop("on_event", None)) is not None and (
        not callable(on_event) or inspect.iscoroutinefunction(on_event)
    ):
        raise ConfigurationError("on_event must be a plain function, called with each event.")
    priority = options.pop("priority", "bulk")
    if not isinstance(priority, str) or priority not in PRIORITIES:
        raise ConfigurationError(str(no_priority(priority)))
    for name, value in options.items():
        kind, wanted = _KINDS[name]
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be {wanted}, not {value!r}.")


_KINDS: Final[Mapping[str, tuple[type | UnionType, str]]] = {
    "timeouts": (Timeouts, "Timeouts(...)"),
    "retry": (RetryPolicy, "RetryPolicy(...)"),
    "rate_limit": (RateLimit | None, "RateLimit(...) or None"),
}
