"""What all groups of operations have in common: the options of lists and bulk calls, and how these are made."""

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn, TypedDict, TypeVar

from ticketsource_async._mistakes import hint_for, no_such_option
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
    """Rows a page, 1 to 100; the default of 100 makes the fewest requests."""
    start_page: int
    """Page to begin with, from 1."""
    max_items: int | None
    """Rows to read at most, dropped ones included; None reads all. No page is asked for beyond what that takes."""
    concurrency: int
    """Pages to ask for at a time, default 1; the items come in order all the same, and so many pages are in memory.

    Of these, one less than the client's `max_connections` are on the wire. Leave the loop with `contextlib.aclosing` if
    you leave it early, since the pages asked for go on until then.
    """
    verify: bool
    """Whether to read the list again, from its end to its front and so on, until a pass finds nothing new.

    Then nobody who is there throughout is missed and nobody comes twice, also if rows are deleted anywhere or added at
    the end while you read. If rows are inserted further up as well, that cannot be promised. It takes at least
    twice the requests, those from the end to the front one at a time, and keeps all ids in memory, about 100 bytes
    each. Not with `max_items` or `start_page`.
    """
    max_passes: int
    """Passes of `verify` at most, 2 or more; default 4. `pager.report.complete` says if that was enough."""
    on_invalid: OnInvalid
    """What to do with a row that is not what the API promises; the default is to raise."""


def check_list_options(options: Mapping[str, object], call: str = "list", *besides: str) -> None:
    """Raise TypeError for an option that no list has; `besides` are those of this call alone."""
    if unknown := [name for name in options if name not in ListOptions.__annotations__]:
        raise no_such_option(call, unknown, [*besides, *ListOptions.__annotations__])


class BulkOptions(TypedDict, total=False):
    """Options of every bulk call."""

    concurrency: int
    """Calls to make at a time, default 8; so many inputs and outcomes are in memory.

    Of these, one less than the client's `max_connections` are on the wire.
    """
    fail_fast: bool
    """Whether the first error ends it: no further call begins, and what became of writes in flight still comes."""


class Resource:
    """A group of operations; `priority` is for single calls and first pages. Later pages are always bulk."""

    def __init__(self, sender: Sender, priority: Priority = "interactive") -> None:
        self._sender = sender
        self._priority: Priority = priority

    if not TYPE_CHECKING:  # the checkers know the operations

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
