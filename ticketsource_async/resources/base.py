"""The base of all groups of operations, and the options of lists and bulk calls."""

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn, TypedDict, TypeVar

from ticketsource_async._mistakes import hint_for, unknown_option_error
from ticketsource_async._wire.sender import Sender
from ticketsource_async.bulk import Bulk
from ticketsource_async.models import EventDate, StartFilter
from ticketsource_async.models.base import Record
from ticketsource_async.pagination import OnInvalid, Pager
from ticketsource_async.ratelimit import Priority

T = TypeVar("T", bound=Record)
In = TypeVar("In")
Out = TypeVar("Out")


class ListOptions(TypedDict, total=False):
    """Options of every list."""

    per_page: int
    """Rows of a page, 1 to 100. The default of 100 makes the fewest requests."""
    start_page: int
    """Page to begin with, from 1; the default is 1."""
    max_items: int | None
    """The greatest number of rows to read, dropped rows included; None, the default, reads all.

    No further page is requested.
    """
    concurrency: int
    """Pages to request at a time, default 1. The items still come in order. This number of pages is in memory.

    At most one less than the client's `max_connections` are on the wire. If you leave the loop early, use
    `contextlib.aclosing`: without it, the requests in progress go on.
    """
    verify: bool
    """Whether to read the list again, from its end to its front and so on, until a pass finds nothing new.

    The default is False. With True, no row that is there all the time is missed, and none comes twice. This also holds
    if rows are deleted anywhere, or added at the end, while you read. It cannot be promised if rows are also inserted
    further up. It takes at least twice the requests, and those from the end to the front are made one at a time. It
    keeps all ids in memory, about 100 bytes each. Not with `max_items` or `start_page`.
    """
    max_passes: int
    """The most passes of `verify`, at least 2, default 4. `pager.report.complete` says if they were enough."""
    on_invalid: OnInvalid
    """What to do with a row that differs from the API's documentation; the default, "raise", raises its error."""


def check_list_options(options: Mapping[str, object], call: str = "list", *besides: str) -> None:
    """Raise TypeError for an option that no list has. `besides` are the options of this call only."""
    if unknown := [name for name in options if name not in ListOptions.__annotations__]:
        raise unknown_option_error(call, unknown, [*besides, *ListOptions.__annotations__])


class BulkOptions(TypedDict, total=False):
    """Options of every bulk call."""

    concurrency: int
    """Calls to make at a time, default 8. This number of inputs and outcomes is in memory.

    At most one less than the client's `max_connections` are on the wire.
    """
    fail_fast: bool
    """Whether the first error ends it. No further call begins; the outcomes of writes in progress still come."""


class Resource:
    """A group of operations. `priority` is for single calls and first pages; later pages are always bulk."""

    def __init__(self, sender: Sender, priority: Priority = "interactive") -> None:
        self._sender = sender
        self._priority: Priority = priority

    if not TYPE_CHECKING:  # type checkers know the operations

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(hint_for(type(self), name))

    def _list(self, model: type[T], options: ListOptions, *segments: str) -> Pager[T]:
        check_list_options(options)
        return Pager(self._sender, self._sender.url(*segments), model, priority=self._priority, **options)

    def _list_dates(self, start: StartFilter | None, options: ListOptions, *segments: str) -> Pager[EventDate]:
        check_list_options(options, "list_dates", "start")
        if start is None:
            return self._list(EventDate, options, *segments)
        url, query = self._sender.url(*segments), start.query()
        return Pager(
            self._sender, url, EventDate, query=query, predicate=start.keeps, priority=self._priority, **options
        )

    def _bulk(
        self,
        inputs: Iterable[In] | AsyncIterable[In],
        call: Callable[[In], Coroutine[object, object, Out]],
        options: BulkOptions,
        serialize_by: Callable[[In], object] | None = None,
    ) -> Bulk[In, Out]:
        return Bulk(self._sender, inputs, call, serialize_by=serialize_by, **options)
