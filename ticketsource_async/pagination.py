"""One list call, as items or as pages.

Nothing is held open between two items: a loop may be left, or take all day, at any point.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, Literal, TypeVar

from attrs import frozen
from yarl import URL

from ticketsource_async._wire import converters, protocol
from ticketsource_async._wire.sender import Sender
from ticketsource_async.call_events import PageEvent
from ticketsource_async.errors import InvalidResponse, PaginationError

T = TypeVar("T")

OnInvalid = Literal["raise"] | Callable[[InvalidResponse], None]
"""What to do with a row that is not what the API promises: raise, or hand the error over and go on without the row."""


@frozen
class Page(Generic[T]):
    """One page of a list: `number` and `per_page` as asked for, `next_url` to follow, `raw_links` as received.

    To go on from here later, pass `start_page=page.number + 1` with the same `per_page`.
    """

    items: tuple[T, ...]
    number: int
    per_page: int
    next_url: str | None
    raw_links: Mapping[str, object]


class Pager(Generic[T]):
    """A list that has not been asked for yet; every loop over it starts anew.

    Rows come as the API has them at the moment their page is read: a row deleted before the place where you read makes
    you miss one, a row inserted there makes one come twice.
    """

    def __init__(
        self,
        sender: Sender,
        url: URL,
        model: type[T],
        *,
        per_page: int = 100,
        start_page: int = 1,
        max_items: int | None = None,
        on_invalid: OnInvalid = "raise",
        query: Mapping[str, str] | None = None,
        keeps: Callable[[T], bool] | None = None,
    ) -> None:
        check_whole("per_page", per_page, 1, 100)
        check_whole("start_page", start_page, 1)
        if max_items is not None:
            check_whole("max_items", max_items, 0)
        if on_invalid != "raise" and (not callable(on_invalid) or inspect.iscoroutinefunction(on_invalid)):
            raise ValueError('on_invalid must be "raise" or a plain function, called with the InvalidResponse of a row')
        self._sender = sender
        self._url = url
        self._model = model
        self._per_page = per_page
        self._start_page = start_page
        self._max_items = max_items
        self._on_invalid = on_invalid
        self._query = query or {}
        self._keeps = keeps

    def __repr__(self) -> str:
        return f"<Pager of {self._model.__name__} at {self._url.path}>"

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Follow `links.next` from page to page until there is none, or `max_items` rows were read.

        A page without rows does not end the list. Raises `PaginationError`, after the page was yielded, if its `next`
        leads to another origin, to a page read before, or nowhere, and `InvalidResponse` if it is no address. A row
        that `on_invalid` took counts towards `max_items`.
        """
        ours = {**self._query, "page": str(self._start_page), "per_page": str(self._per_page)}
        url = self._url.with_query(ours)
        number, left, yielded = self._start_page, self._max_items, 0
        seen = {protocol.fingerprint(url)}
        while left is None or left > 0:
            envelope = await self._sender.send(protocol.build(self._sender.access, "GET", url), "bulk")
            rows = _rows(envelope)
            self._sender.tell(PageEvent(method="GET", path=url.path, page=number, rows=len(rows)))
            items, counted = self._items(rows, left, envelope)
            following, broken = None, None
            try:
                following = protocol.next_url(envelope, ours)
            except InvalidResponse as error:
                broken = error
            yielded += len(items)
            yield Page(items, number, self._per_page, None if following is None else str(following), envelope.links)
            left = None if left is None else left - counted
            if left == 0:
                return
            if broken is not None:
                raise broken
            if following is None:
                return
            leaks = "it has the API key in it" if envelope.request.is_in(following) else None
            if reason := leaks or protocol.why_not_follow(following, url, seen, ours):
                shown = envelope.request.scrub(str(following))
                raise PaginationError(
                    f"The `next` of page {number} of {self._url.path} must not be followed: {reason} ({shown}). "
                    f"{yielded} items were yielded so far; what comes after was not read. Tell TicketSource support.",
                    self._url.path,
                    number,
                    yielded,
                    shown,
                )
            seen.add(protocol.fingerprint(following))
            number = protocol.page_number(following.query.get("page")) or number + 1
            url = following

    def _items(self, rows: list[object], left: int | None, envelope: protocol.Envelope) -> tuple[tuple[T, ...], int]:
        """Return the items of a page, and how many count towards `max_items`."""
        if self._keeps is None:
            rows = rows[:left]
            return tuple(self._records(rows, envelope)), len(rows)
        # Rows that nobody asked for do not count: the server may not filter at all.
        items = tuple(filter(self._keeps, self._records(rows, envelope)))[:left]
        return items, len(items)

    def _records(self, rows: list[object], envelope: protocol.Envelope) -> list[T]:
        records: list[T] = []
        for index, row in enumerate(rows):
            try:
                records.append(converters.structure(row, self._model, envelope, f"$.data[{index}]"))
            except InvalidResponse as error:
                if not callable(self._on_invalid):
                    raise
                self._on_invalid(error)
        return records

    async def first(self) -> T | None:
        """Return the first item, or None if there is none."""
        async with aclosing(aiter(self)) as items:
            return await anext(items, None)

    async def collect(self) -> list[T]:
        """Return all items at once, all of them in memory."""
        return [item async for item in self]


def _rows(envelope: protocol.Envelope) -> list[object]:
    if not isinstance(envelope.data, list):
        raise envelope.invalid("`data` is not a list", "$.data")
    return envelope.data


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise ValueError naming the setting unless it is a whole number within its bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number, {bounds}, not {value!r}")
