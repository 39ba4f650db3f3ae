"""Read a list as items or as pages: one page after another, several ahead, or repeatedly until no row is missing.

No connection is held between two items, so a loop may stop or pause for hours at any point. Pages that are read ahead
wait in tasks. The tasks end with the loop.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Generic, Literal, NoReturn, TypeVar, cast

from attrs import frozen
from yarl import URL

from ticketsource_async._mistakes import hint_for
from ticketsource_async._wire import paging
from ticketsource_async._wire.paging import Following
from ticketsource_async._wire.request import Request, without_values
from ticketsource_async._wire.response import Envelope, id_in
from ticketsource_async._wire.retry import is_outage
from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.tasks import TasksAhead
from ticketsource_async.broken_pages import PageInParts, is_broken
from ticketsource_async.call_events import ListEndedEvent, PageEvent
from ticketsource_async.config import check_whole
from ticketsource_async.errors import InvalidResponse, NotFound, PaginationError, ServerError, TicketSourceError
from ticketsource_async.list_progress import ListReport, Loop
from ticketsource_async.models.base import Record
from ticketsource_async.models.reader import Refused, read_row
from ticketsource_async.ratelimit import Priority

T = TypeVar("T")

OnInvalid = Literal["raise"] | Callable[[InvalidResponse], None]
"""How to treat a row that is not what the API promises: raise its error, or pass the error on and drop the row."""

_LOG: Final = logging.getLogger("ticketsource_async.reading")  # apart, because the command reports this itself
_ROWS_AT_ONCE: Final = 1000
# A row that came on one of the last 10 pages is dropped. More pages count if more are read ahead.
_PAGES_COMPARED: Final = 10
_MOST_BROKEN: Final = 5


@frozen
class Page(Generic[T]):
    """One page of a list: `number` and `per_page` as requested, `next_url` to follow, `raw_links` as received.

    To continue after this page later, pass `start_page=page.number + 1` with the same `per_page`.
    """

    items: tuple[T, ...]
    """The rows of the page."""
    number: int
    per_page: int
    next_url: str | None
    raw_links: Mapping[str, object]


class Pager(Generic[T]):
    """A list. No request is sent before you loop over it, and each loop reads the list again.

    The API has only page numbers, so rows move while you read. If a row is deleted on a page that you have read, you
    miss another row; `verify` finds it. If a row is inserted there, another row comes twice. It is dropped if its id
    was on one of the last pages. `report` has the counts of the latest loop.
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
        concurrency: int = 1,
        verify: bool = False,
        max_passes: int = 4,
        on_invalid: OnInvalid = "raise",
        query: Mapping[str, str] | None = None,
        predicate: Callable[[T], bool] | None = None,
        priority: Priority = "interactive",
    ) -> None:
        self._url, self._model = url, model  # first, because `repr` needs them also after an error
        check_whole("per_page", per_page, 1, 100, error=ValueError)
        check_whole("start_page", start_page, error=ValueError)
        if max_items is not None:
            check_whole("max_items", max_items, 0, error=ValueError)
        check_whole("concurrency", concurrency, error=ValueError)
        check_whole("max_passes", max_passes, 2, error=ValueError)
        if verify and (max_items is not None or start_page > 1):
            raise ValueError("verify reads the whole list: leave max_items and start_page out")
        if on_invalid != "raise" and (not callable(on_invalid) or inspect.iscoroutinefunction(on_invalid)):
            raise ValueError('on_invalid must be "raise" or a plain function, called with the InvalidResponse of a row')
        self.report = ListReport()
        self._sender = sender
        self._id_of = _raw_id if model is dict else id_in
        self._per_page = per_page
        self._max_items = max_items
        self._concurrency = concurrency
        self._max_passes = max_passes if verify else 1
        self._on_invalid = on_invalid
        self._query = {**(query or {}), "page": str(start_page), "per_page": str(per_page)}
        self._predicate = predicate
        self._priority: Priority = priority

    if not TYPE_CHECKING:  # the checkers find these mistakes
        # A plain `for` loop calls this and gets the error. With `__iter__` a Pager would count as an iterable.
        def __getitem__(self, _: object) -> NoReturn:
            raise TypeError(f"{self!r} is read with `async for`, or all at once with `await pager.collect()`")

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(hint_for(type(self), name))

    def __repr__(self) -> str:
        return f"<Pager of {self._model.__name__} at {self._url.path}>"

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item
                del page  # frees the memory before the next page is read

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield the pages to the end of the list, or until `max_items` rows were read.

        The list ends at a page whose `next` is null. It also ends at a page that has no `next` and is not full. If a
        full page has no `next`, or if a `next` is wrong, the next page is requested by its number. If that page has no
        new row, the list has ended. If a list seems to be endless, reading stops, and `report.ended` says why.

        `max_items` also counts rows that are dropped or whose error goes to `on_invalid`. With `verify` the pages of
        all passes are yielded, each with its new rows only.

        Raises `PaginationError`, after it has yielded the page, if `next` is wrong and the pages have no numbers.
        """
        all_ids = set[str]() if self._max_passes > 1 else None
        report = self.report = ListReport()
        first = self._url.with_query(self._query)
        compared = max(_PAGES_COMPARED, self._concurrency + 1)
        loop = Loop(report, self._max_items, all_ids, first, compared)
        try:
            while report.passes < self._max_passes and not report.complete:
                report.passes += 1
                loop.new_rows = 0
                loop.forget_pages()
                backward = report.passes % 2 == 0
                reading = self._backward(loop, first) if backward else self._forward(loop, first, self._concurrency)
                async with aclosing(reading) as pages:
                    async for page in pages:
                        yield page
                        del page
                report.complete = report.passes > 1 and not loop.new_rows and report.ended is None
        finally:
            loop.first_page.goes_on = loop.first_page.goes_on or False

    async def _forward(self, loop: Loop, url: URL, concurrency: int) -> AsyncGenerator[Page[T], None]:
        """Yield the pages from `url` to the last one.

        With a concurrency above 1, the following page numbers are requested before their `next` is known: none at
        first, then more after every page that has a `next`. If the real next page is another one, they are dropped.
        """
        requested, ahead = deque[URL](), TasksAhead[Envelope](1)
        seen = {paging.fingerprint(url)}
        number, pages_at_a_time = paging.page_number(url.query.get("page")) or 1, 1
        followed = Following(url)
        try:
            while loop.rows_left != 0:
                if requested and paging.fingerprint(requested[0]) != paging.fingerprint(url):
                    await ahead.aclose()
                    requested, ahead = deque[URL](), TasksAhead[Envelope](1)
                    concurrency = pages_at_a_time = 1  # page numbers do not predict the next page of this list
                if pages_at_a_time > 1:
                    ahead.most = pages_at_a_time
                    self._request_ahead(loop, requested, ahead, url)
                    if ahead.ended():
                        # Reading a page blocks the event loop, so the new tasks must send their requests first.
                        await asyncio.sleep(0)
                try:
                    envelope = await (ahead.oldest() if requested else self._read(loop, url))
                except NotFound as error:
                    if not (followed.by_number and error.errors):
                        raise
                    self._log_end(followed, number)
                    return
                if requested:
                    requested.popleft()
                page, following = await self._page(loop, envelope, number, seen)
                del envelope
                if followed.by_number and not loop.new_on_page and not loop.has_row_without_id:
                    self._log_end(followed, number)
                    return
                loop.last = url
                yield page
                del page
                if loop.rows_left == 0 or (next_url := self._next_url(loop, following, number)) is None:
                    return
                seen.add(paging.fingerprint(next_url))
                number = paging.page_number(next_url.query.get("page")) or number + 1
                url, followed, pages_at_a_time = next_url, following, min(2 * pages_at_a_time, concurrency)
        finally:
            await ahead.aclose()

    async def _backward(self, loop: Loop, first: URL) -> AsyncGenerator[Page[T], None]:
        """Yield the pages from the current last one back to the first.

        One page is read at a time with any concurrency. Only in this order does a deletion move rows towards the pages
        that are not read yet.
        """
        try:
            async with aclosing(self._forward(loop, loop.last, 1)) as pages:  # the list may have grown
                async for page in pages:
                    yield page
        except NotFound:  # the list has shrunk; the API does not document whether a missing page is empty or a 404
            if loop.last == first:
                raise
        loop.forget_pages()
        url = loop.last
        while (before := paging.page_offset(url, -1, self._query)) is not None:
            url = before
            try:
                envelope = await self._read(loop, url)
            except NotFound as missing:  # the list has shrunk by more than a page
                if url == first or not missing.errors:
                    raise
                continue
            page, _ = await self._page(loop, envelope, int(url.query["page"]), ())
            del envelope
            yield page
        if url.query.get("page") != "1":
            where = without_values(str(url), self._query)
            raise PaginationError(
                f"The list at {self._url.path} cannot be verified, because its pages have no numbers: {where}. "
                f"{loop.items} items were yielded so far. Read it without verify.",
                self._url.path,
                0,
                loop.items,
                str(url),
            )

    def _request_ahead(self, loop: Loop, requested: deque[URL], ahead: TasksAhead[Envelope], url: URL) -> None:
        """Request the page and the pages that should follow it, as many as may be in flight."""
        if loop.rows_left is not None:
            ahead.most = min(ahead.most, -(-loop.rows_left // self._per_page))
        following = paging.page_offset(requested[-1], 1, self._query) if requested else url
        while following is not None and not ahead.full and not any(map(_ends_list, ahead.ended())):
            requested.append(following)
            _ = ahead.start(self._read(loop, following))  # `ahead` owns it
            following = paging.page_offset(following, 1, self._query)

    async def _read(self, loop: Loop, url: URL) -> Envelope:
        """Return a page; read it in parts if the API fails on this page but answers others."""
        try:
            return await self._request_page(loop, url, _api_is_down)
        except (ServerError, InvalidResponse) as error:
            number = paging.page_number(url.query.get("page"))
            if not is_broken(error) or error.attempts == 1 or number is None:
                raise
            failure: ServerError | InvalidResponse = error
        size = int(url.query["per_page"])
        later_row = number * size + size // 2 + 1
        for page, per_page in ((number - 1 or 2, size), (later_row, 1)):  # the neighbouring page may be broken too
            try:
                await self._request_page(loop, url.update_query(page=str(page), per_page=str(per_page)), _api_is_down)
            except (ServerError, InvalidResponse):
                continue
            except NotFound as missing:  # a 404 of the API is an answer too
                if not missing.errors:
                    raise
            return await self._read_in_parts(loop, url, failure)
        if isinstance(failure, InvalidResponse):
            raise failure
        return await self._request_page(loop, url, is_outage)

    async def _read_in_parts(self, loop: Loop, url: URL, error: TicketSourceError) -> Envelope:
        loop.broken_pages += 1
        if loop.broken_pages > _MOST_BROKEN or loop.has_short_page:
            raise error
        number, size = int(url.query["page"]), int(url.query["per_page"])
        page = PageInParts(lambda part: self._request_page(loop, part, _never), url, number, size, error)
        rows = await page.read()
        following = page.next
        if page.next and not page.has_ended:
            following = "" if page.next is True else f"?page={number + 1}"
        return Envelope(rows, {"next": following}, Request(self._sender.credentials, "GET", url), 200)

    async def _request_page(self, loop: Loop, url: URL, patient_with: Callable[[TicketSourceError], bool]) -> Envelope:
        loop.report.requests += 1
        priority: Priority = "bulk"
        if loop.report.requests > 1:
            loop.first_page.goes_on = True
        elif self._priority == "interactive":
            priority = cast(Priority, loop.first_page)
        request = Request(self._sender.credentials, "GET", url)
        return await self._sender.send(request, priority, patient_with=patient_with)

    async def _page(
        self, loop: Loop, envelope: Envelope, number: int, seen: Collection[str]
    ) -> tuple[Page[T], Following]:
        """Return the page and the page that follows it."""
        rows = envelope.rows()
        if self._max_passes > 1 and self._id_of is not id_in:
            rows = [_require_id(row, index, envelope) for index, row in enumerate(rows)]
        self._sender.emit(PageEvent(method="GET", path=self._url.path, page=number, rows=len(rows)))
        items = await self._items(loop, rows, envelope)
        loop.items += len(items)
        loop.report.found_later += len(items) if loop.report.passes > 1 else 0
        following = paging.following(envelope, self._query, seen, len(rows))
        loop.has_short_page = loop.has_short_page or (following.url is not None and len(rows) < self._per_page)
        next_url = None if following.url is None else str(following.url)
        return Page(tuple(items), number, self._per_page, next_url, envelope.links), following

    def _next_url(self, loop: Loop, following: Following, number: int) -> URL | None:
        """Return the address of the page after page `number`; None to stop reading."""
        if following.url is None:
            if following.wrong:
                raise PaginationError(
                    f"The `next` of page {number} of {self._url.path} must not be followed, because {following.wrong} "
                    f"({following.link}). {loop.items} items were yielded so far. Later items were not read. Tell "
                    "TicketSource support.",
                    self._url.path,
                    number,
                    loop.items,
                    following.link,
                )
            return None
        if (reason := loop.reason_to_stop()) is None:
            return following.url
        loop.report.ended = (
            f"The list at {self._url.path} was not read beyond page {number}, although it has a `next`: {reason}."
        )
        _LOG.warning("%s", loop.report.ended)
        self._sender.emit(ListEndedEvent(method="GET", path=self._url.path, page=number, reason=reason))
        return None

    def _log_end(self, followed: Following, number: int) -> None:
        """Log that a list has ended after a page whose `next` was wrong."""
        if followed.wrong:
            _LOG.warning(
                "The list at %s ends before page %d. The last `next` was not followed, because %s (%s), and page %d "
                "has no new row.",
                *(self._url.path, number, followed.wrong, followed.link, number),
            )

    async def _items(self, loop: Loop, rows: list[object], envelope: Envelope) -> list[T]:
        """Return the items of a page to yield, and subtract the rows of the page from `loop.left`.

        With a predicate only the items that it keeps are subtracted.
        """
        new = loop.find_new(list(map(self._id_of, rows)), None if self._id_of is id_in else _content(rows))
        item: T | None
        items: list[T] = []
        for index, is_new in enumerate(new):
            if loop.rows_left == 0:
                break
            if index % _ROWS_AT_ONCE == _ROWS_AT_ONCE - 1:  # the server may send far more rows than requested
                await asyncio.sleep(0)
            # Each row is released at once, because fewer objects mean less work for the garbage collector.
            row, rows[index] = rows[index], None
            item = None
            if is_new:
                try:
                    item = read_row(row, self._model)
                except Refused as refused:
                    own_error = row if isinstance(row, InvalidResponse) else None
                    self._report_invalid(loop, own_error or envelope.refused(refused, self._model, row, index))
            is_kept = item is not None and (self._predicate is None or self._predicate(item))
            # Rows that the predicate drops do not count, because the server may not filter at all.
            if loop.rows_left is not None and (is_kept or self._predicate is None):
                loop.rows_left -= 1
            if item is not None and is_kept:
                items.append(item)
        for item in items:
            if isinstance(item, Record) and item.invalid:
                loop.report.unreadable += 1
                self._sender.note_invalid(item.API_TYPE, item.invalid)
        return items

    def _report_invalid(self, loop: Loop, error: InvalidResponse) -> None:
        """Pass the error of a row to `on_invalid`, or raise it."""
        if not callable(self._on_invalid):
            raise error
        loop.report.invalid += 1
        self._on_invalid(error)

    async def first(self) -> T | None:
        """Return the first item, or None if there is none."""
        async with aclosing(aiter(self)) as items:
            return await anext(items, None)

    async def collect(self) -> list[T]:
        """Return all items as one list in memory."""
        return [item async for item in self]


def _raw_id(row: object) -> str | None:
    """Return the type and id of a row that is read as a dict; a list may have rows of several types."""
    found = id_in(row)
    return None if found is None or not isinstance(row, dict) else f"{row.get('type')}:{found}"


def _require_id(row: object, index: int, envelope: Envelope) -> object:
    """Return a row, or the error for a row without an id, because `verify` compares rows by their ids."""
    missing = isinstance(row, dict) and id_in(row) is None
    return envelope.invalid("Expected an id, because verify compares ids", f"$.data[{index}].id") if missing else row


def _content(rows: list[object]) -> int:
    """Return a hash of the rows without an id; 0 if all rows have one."""
    rows_without_id = [row for row in rows if _raw_id(row) is None]
    return hash(repr(rows_without_id)) if rows_without_id else 0


def _ends_list(task: asyncio.Task[Envelope]) -> bool:
    """Say whether the page of a task failed or has no `next`."""
    return task.cancelled() or task.exception() is not None or task.result().links.get("next") is None


def _api_is_down(error: TicketSourceError) -> bool:
    """Say whether the failure affects all calls, may be over in a minute, and is not caused by the page."""
    return is_outage(error) and not is_broken(error)


def _never(_: TicketSourceError) -> bool:
    return False
