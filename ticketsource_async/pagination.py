"""One list call, as items or as pages, read one after another, ahead, or again and again until nobody is missed.

No connection is held open between two items: a loop may be left, or take all day, at any point. What was read ahead, or
is on its way, waits for it in tasks, which end with the loop.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Final, Generic, Literal, TypeVar

from attrs import define, field, frozen
from yarl import URL

from ticketsource_async._wire import paging
from ticketsource_async._wire.paging import Following
from ticketsource_async._wire.request import Request
from ticketsource_async._wire.response import Envelope, id_in
from ticketsource_async._wire.sender import Sender
from ticketsource_async._wire.tasks import TasksAhead
from ticketsource_async.call_events import ListEndedEvent, PageEvent
from ticketsource_async.config import check_whole
from ticketsource_async.errors import InvalidResponse, NotFound, PaginationError
from ticketsource_async.models.base import WholeRecord
from ticketsource_async.models.reader import Refused, read_row

T = TypeVar("T", bound=WholeRecord)

OnInvalid = Literal["raise"] | Callable[[InvalidResponse], None]
"""What to do with a row that is not what the API promises: raise, or hand the error over and go on without the row."""

_LOG: Final = logging.getLogger("ticketsource_async")
_PAGES_COMPARED: Final = 10  # a row that comes again within so many pages is dropped; more if more are read at a time
_MOST_EMPTY: Final = 10  # pages in a row
_MOST_REPEATED: Final = 3


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


@define
class ListReport:
    """What a loop over a list has met with so far.

    `passes` over the list have begun, and `requests` were made for its pages, retries not counted. `duplicates` are the
    rows dropped because they had come on this page or one shortly before, `invalid` those that `on_invalid` took, and
    `found_later` those that the first pass had missed. `unreadable` are the records with a value that could not be
    read, which they have in `record.invalid`. `complete` says that a later pass has found nothing new, so it is never
    true without `verify`. `ended` says why a list that seems to go on for ever was not followed further; it is None for
    a list that was read to its end.
    """

    passes: int = 0
    requests: int = 0
    duplicates: int = 0
    invalid: int = 0
    found_later: int = 0
    unreadable: int = 0
    complete: bool = False
    ended: str | None = None


@define
class _Loop:
    """Where one loop over a list stands: what may still come, what has, and in `last` the page without a `next`."""

    report: ListReport
    left: int | None
    known: set[str] | None
    last: URL
    pages_compared: int
    pages: deque[set[str]] = field(factory=deque)
    recent: set[str] = field(factory=set)
    whole_pages: set[int] = field(factory=set)  # for each page of this pass a hash of its ids
    latest: int | None = None
    new: int = 0
    items: int = 0
    rows: int = 0  # on the page read last, and how many of them had not come in this pass
    fresh: int = 0
    fresh_pages: int = 0
    empty: int = 0  # pages in a row without rows, with the rows of the page before, and with none that is fresh
    same: int = 0
    repeated: int = 0

    def which_are_new(self, ids: list[str | None]) -> list[bool]:
        """Return for each row of a page whether it is new: its id is in none of the pages that are compared."""
        here = {record_id for record_id in ids if record_id is not None}
        whole = hash(frozenset(here))
        self.same = self.same + 1 if whole == self.latest and here else 0
        self.latest = whole
        unseen = here.isdisjoint(self.recent) and (self.known is None or here.isdisjoint(self.known))
        if whole in self.whole_pages and here:  # the list has begun again, or has grown much at its front
            older = here - self.recent
            self.recent |= older
            new = [self._is_new(record_id, here) for record_id in ids]
            self.recent -= older
            here = set()
        elif unseen and len(here) == len(ids):  # the usual page
            new = [True] * len(ids)
            self.new += len(here)
        else:
            here = set()
            new = [self._is_new(record_id, here) for record_id in ids]
        self.whole_pages.add(whole)
        self.fresh = len(here)
        if self.known is not None:
            self.known |= here
        self.recent |= here
        self.pages.append(here)
        if len(self.pages) > self.pages_compared:
            self.recent -= self.pages.popleft()
        return new

    def _is_new(self, record_id: str | None, here: set[str]) -> bool:
        first_pass = self.report.passes == 1
        if record_id is None:  # it is invalid, and handed over once
            return first_pass
        known = self.known is not None and record_id in self.known
        if record_id in self.recent or record_id in here or (known and first_pass):
            self.report.duplicates += 1
            return False
        here.add(record_id)
        if known:
            return False
        self.new += 1
        return True

    def forget_pages(self) -> None:
        """Forget what came lately, since it is to be read again."""
        self.recent.clear()
        self.pages.clear()
        self.whole_pages.clear()
        self.fresh_pages = self.empty = self.same = self.repeated = 0

    def why_end(self) -> str | None:
        """Return why the page read last should be the end although it has a `next`; None if it should not.

        Many rows that are added at the front of a list make whole pages come again, but no more than were read before.
        """
        self.empty = 0 if self.rows else self.empty + 1
        self.fresh_pages += self.fresh > 0
        if self.rows:
            self.repeated = 0 if self.fresh else self.repeated + 1
        if self.empty == _MOST_EMPTY:
            return f"{_MOST_EMPTY} pages in a row have no rows"
        if self.same >= _MOST_REPEATED or self.repeated >= max(_MOST_REPEATED, self.fresh_pages + 1):
            return f"{self.repeated} pages in a row have only rows that came before"
        return None


class Pager(Generic[T]):
    """A list that has not been asked for yet; every loop over it starts anew.

    Rows come as the API has them at the moment their page is read. It has only page numbers, so rows shift while one
    reads. One that is deleted before the place where you read makes you miss another, which `verify` finds. One that is
    inserted there makes another come again; it is dropped if its id was on one of the last pages. `report` is of the
    loop that was begun last.
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
    ) -> None:
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
        self._url = url
        self._model = model
        self._per_page = per_page
        self._max_items = max_items
        self._concurrency = concurrency
        self._max_passes = max_passes if verify else 1
        self._on_invalid = on_invalid
        self._ours = {**(query or {}), "page": str(start_page), "per_page": str(per_page)}
        self._predicate = predicate

    def __repr__(self) -> str:
        return f"<Pager of {self._model.__name__} at {self._url.path}>"

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item
                del page  # or it would be kept until the next has come

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield page by page to the end of the list, or until `max_items` rows were read.

        The end is a `next` of null. Where `next` is missing or leads astray, the page after is asked for by its number,
        and is the end if it has no new row. `report.ended` says so if a list was not followed further because it seems
        to go on for ever. Raises `PaginationError`, after the page was yielded, if its `next` leads astray and pages
        have no numbers. A row that was dropped, or that `on_invalid` took, counts towards `max_items`. With `verify`
        the pages of all passes come, with the rows that have not come before.
        """
        known = set[str]() if self._max_passes > 1 else None
        report = self.report = ListReport()
        first = self._url.with_query(self._ours)
        loop = _Loop(report, self._max_items, known, first, max(_PAGES_COMPARED, self._concurrency + 1))
        while report.passes < self._max_passes and not report.complete:
            report.passes += 1
            loop.new = 0
            loop.forget_pages()
            backward = report.passes % 2 == 0
            reading = self._backward(loop, first) if backward else self._forward(loop, first, self._concurrency)
            async with aclosing(reading) as pages:
                async for page in pages:
                    yield page
                    del page
            report.complete = report.passes > 1 and not loop.new and report.ended is None

    async def _forward(self, loop: _Loop, url: URL, concurrency: int) -> AsyncGenerator[Page[T], None]:
        """Read from this page to the last.

        With a concurrency, the pages that should follow are asked for before the `next` that leads to them is known:
        first none, then more with every page that has one. They are dropped where the list goes on elsewhere.
        """
        asked, ahead = deque[URL](), TasksAhead[Envelope](1)
        seen = {paging.fingerprint(url)}
        number, at_a_time = paging.page_number(url.query.get("page")) or 1, 1
        came_by = Following(url)
        try:
            while loop.left != 0:
                if asked and paging.fingerprint(asked[0]) != paging.fingerprint(url):
                    await ahead.aclose()
                    asked, ahead = deque[URL](), TasksAhead[Envelope](1)
                    concurrency = at_a_time = 1  # no further guess: this list does not go on as others do
                if at_a_time > 1:
                    ahead.most = at_a_time
                    self._ask(loop, asked, ahead, url)
                    if ahead.ended():
                        # To read a page blocks the event loop: let the tasks of the new ones start, and send, first.
                        await asyncio.sleep(0)
                try:
                    envelope = await (ahead.oldest() if asked else self._read(loop, url))
                except NotFound:
                    if not came_by.by_number:
                        raise
                    self._log_end(came_by, number)
                    return
                if asked:
                    asked.popleft()
                page, following = self._page(loop, envelope, number, seen)
                del envelope
                if came_by.by_number and not loop.fresh:
                    self._log_end(came_by, number)
                    return
                loop.last = url
                yield page
                del page
                if loop.left == 0 or (next_url := self._next_url(loop, following, number)) is None:
                    return
                seen.add(paging.fingerprint(next_url))
                number = paging.page_number(next_url.query.get("page")) or number + 1
                url, came_by, at_a_time = next_url, following, min(2 * at_a_time, concurrency)
        finally:
            await ahead.aclose()

    async def _backward(self, loop: _Loop, first: URL) -> AsyncGenerator[Page[T], None]:
        """Read from the page without a `next`, as it is now, to the first.

        One page at a time, with any concurrency: a row that a deletion moves goes towards the pages still to be
        read only because they are read in this order.
        """
        try:
            async with aclosing(self._forward(loop, loop.last, 1)) as pages:  # it may have grown
                async for page in pages:
                    yield page
        except NotFound:  # or have shrunk: whether a page that is gone is empty or a 404 is not documented
            if loop.last == first:
                raise
        loop.forget_pages()
        url = loop.last
        while (before := paging.page_offset(url, -1, self._ours)) is not None:
            url = before
            page, _ = self._page(loop, await self._read(loop, url), int(url.query["page"]), ())
            yield page
        if url.query.get("page") != "1":
            raise PaginationError(
                f"The list at {self._url.path} cannot be verified, since it goes on by something else than the number "
                f"of a page: {url}. {loop.items} items were yielded so far. Read it without verify.",
                self._url.path,
                0,
                loop.items,
                str(url),
            )

    def _ask(self, loop: _Loop, asked: deque[URL], ahead: TasksAhead[Envelope], url: URL) -> None:
        """Ask for the page, and for those that should follow it, as many as may be on their way."""
        if loop.left is not None:
            ahead.most = min(ahead.most, -(-loop.left // self._per_page))
        following = paging.page_offset(asked[-1], 1, self._ours) if asked else url
        while following is not None and not ahead.full and not any(map(_ends_list, ahead.ended())):
            asked.append(following)
            _ = ahead.start(self._read(loop, following))  # `ahead` owns it
            following = paging.page_offset(following, 1, self._ours)

    async def _read(self, loop: _Loop, url: URL) -> Envelope:
        loop.report.requests += 1
        return await self._sender.send(Request(self._sender.credentials, "GET", url), "bulk")

    def _page(self, loop: _Loop, envelope: Envelope, number: int, seen: Collection[str]) -> tuple[Page[T], Following]:
        """Return the page, and where the list goes on."""
        rows = envelope.data
        if not isinstance(rows, list):
            raise envelope.invalid("`data` is not a list", "$.data")
        self._sender.emit(PageEvent(method="GET", path=self._url.path, page=number, rows=len(rows)))
        items = self._items(loop, rows, envelope)
        loop.items += len(items)
        loop.report.found_later += len(items) if loop.report.passes > 1 else 0
        following = paging.following(envelope, self._ours, seen, len(rows))
        next_url = None if following.url is None else str(following.url)
        return Page(tuple(items), number, self._per_page, next_url, envelope.links), following

    def _next_url(self, loop: _Loop, following: Following, number: int) -> URL | None:
        """Return the address of the page after the one of this number; None if the list is not to be read further."""
        if following.url is None:
            if following.wrong:
                raise PaginationError(
                    f"The `next` of page {number} of {self._url.path} must not be followed: {following.wrong} "
                    f"({following.link}). {loop.items} items were yielded so far; what comes after was not read. Tell "
                    "TicketSource support.",
                    self._url.path,
                    number,
                    loop.items,
                    following.link,
                )
            return None
        if (reason := loop.why_end()) is None:
            return following.url
        loop.report.ended = (
            f"The list at {self._url.path} was not read beyond page {number}, though it has a `next`: {reason}."
        )
        _LOG.warning("%s", loop.report.ended)
        self._sender.emit(ListEndedEvent(method="GET", path=self._url.path, page=number, reason=reason))
        return None

    def _log_end(self, came_by: Following, number: int) -> None:
        """Log that a list has ended with a page whose `next` was wrong."""
        if came_by.wrong:
            _LOG.warning(
                "The list at %s has ended: the `next` before page %d was not followed, since %s (%s), and that page, "
                "asked for by its number, has no new row.",
                *(self._url.path, number, came_by.wrong, came_by.link),
            )

    def _items(self, loop: _Loop, rows: list[object], envelope: Envelope) -> list[T]:
        """Return the items of a page that are to come, and count them, or all rows, off what is left."""
        loop.rows = len(rows)
        new = loop.which_are_new([id_in(row) for row in rows])
        item: T | None
        items: list[T] = []
        for index, is_new in enumerate(new):
            if loop.left == 0:
                break
            # The fewer objects there are, the less the garbage collector has to look at.
            row, rows[index] = rows[index], None
            item = None
            if is_new:
                try:
                    item = read_row(row, self._model)
                except Refused as refused:
                    self._refuse(loop, envelope.refused(refused, self._model, row, index))
            is_kept = item is not None and (self._predicate is None or self._predicate(item))
            # Rows that nobody asked for do not count: the server may not filter at all.
            if loop.left is not None and (is_kept or self._predicate is None):
                loop.left -= 1
            if item is not None and is_kept:
                items.append(item)
        for item in items:
            if item.invalid:
                loop.report.unreadable += 1
                self._sender.note_invalid(item.API_TYPE, item.invalid)
        return items

    def _refuse(self, loop: _Loop, error: InvalidResponse) -> None:
        """Hand the error of a row over, or raise it."""
        if not callable(self._on_invalid):
            raise error
        loop.report.invalid += 1
        self._on_invalid(error)

    async def first(self) -> T | None:
        """Return the first item, or None if there is none."""
        async with aclosing(aiter(self)) as items:
            return await anext(items, None)

    async def collect(self) -> list[T]:
        """Return all items at once, all of them in memory."""
        return [item async for item in self]


def _ends_list(task: asyncio.Task[Envelope]) -> bool:
    """Say whether this page failed, or has no `next`."""
    return task.cancelled() or task.exception() is not None or task.result().links.get("next") is None
