"""Track one loop over a list: its counts, which rows are new, and whether the list seems to be endless; pure."""

from collections import deque
from typing import Final

from attrs import define, field
from yarl import URL

from ticketsource_async.ratelimit.pacing import FirstPage

_MOST_EMPTY: Final = 10  # pages in a row
_MOST_REPEATED: Final = 3


@define
class ListReport:
    """The counts of a loop over a list so far."""

    passes: int = 0
    """Passes over the list that have begun."""
    requests: int = 0
    """Requests for pages, without retries."""
    duplicates: int = 0
    """Rows that were dropped because they had come before, on the same page or on one of the last pages."""
    invalid: int = 0
    """Rows whose error was passed to `on_invalid`."""
    found_later: int = 0
    """Rows that the first pass had missed."""
    unreadable: int = 0
    """Records with a value that could not be read; `record.invalid` has it."""
    complete: bool = False
    """Whether a later pass found nothing new. It is never true without `verify`."""
    ended: str | None = None
    """Why reading stopped although the list seems to go on. None if the list was read to its end."""


@define
class Loop:
    """The state of one loop over a list.

    `rows_left`: how many rows may still come, None for no limit. `all_ids`: the ids of all passes, None without
    `verify`. `last`: the last page that was read in a forward pass.
    """

    report: ListReport
    rows_left: int | None
    all_ids: set[str] | None
    last: URL
    pages_to_compare: int
    first_page: FirstPage = field(factory=FirstPage)
    pages: deque[set[str]] = field(factory=deque)
    recent: set[str] = field(factory=set)
    page_hashes: set[int] = field(factory=set)  # a hash of the ids of each page of this pass
    last_page_hash: int | None = None
    new_rows: int = 0  # rows of this pass that no pass had before
    items: int = 0
    broken_pages: int = 0
    has_short_page: bool = False  # whether a page was short but not the last: the API gives fewer rows than `per_page`
    id_count: int = 0  # ids on the last page
    new_on_page: int = 0  # those of them that had not come before in this pass
    has_row_without_id: bool = False  # whether the last page has a row without an id
    pages_with_new_rows: int = 0
    empty_pages: int = 0  # consecutive pages without an id
    same_pages: int = 0  # consecutive pages with the ids of the page before
    repeated_pages: int = 0  # consecutive pages with ids but with no new id

    def find_new(self, ids: list[str | None], content: int | None = None) -> list[bool]:
        """Return for each row of a page whether it is new. The id of a new row is on none of the compared pages.

        `content`: a hash of the rows without an id, if these count as rows. They are compared by whole pages.
        """
        here = {record_id for record_id in ids if record_id is not None}
        rows_without_id = ids.count(None) if content else 0
        self.id_count, self.has_row_without_id = len(here) + rows_without_id, None in ids and content is None
        page_hash = hash((frozenset(here), content))
        self.same_pages = self.same_pages + 1 if page_hash == self.last_page_hash and self.id_count else 0
        self.last_page_hash = page_hash
        all_are_new = here.isdisjoint(self.recent) and (self.all_ids is None or here.isdisjoint(self.all_ids))
        was_seen = page_hash in self.page_hashes
        if was_seen and here:  # the list has started again, or many rows were added at its front
            older = here - self.recent
            self.recent |= older
            new = [self._is_new(record_id, here) for record_id in ids]
            self.recent -= older
            here = set()
        elif all_are_new and len(here) == len(ids):  # the usual page
            new = [True] * len(ids)
            self.new_rows += len(here)
        else:
            here = set()
            new = [self._is_new(record_id, here) for record_id in ids]
        self.page_hashes.add(page_hash)
        self.new_on_page = len(here) + (0 if was_seen else rows_without_id)
        if self.all_ids is not None:
            self.all_ids |= here
        self.recent |= here
        self.pages.append(here)
        if len(self.pages) > self.pages_to_compare:
            self.recent -= self.pages.popleft()
        return new

    def _is_new(self, record_id: str | None, here: set[str]) -> bool:
        first_pass = self.report.passes == 1
        if record_id is None:  # it is invalid, and its error must be passed on only once
            return first_pass
        known = self.all_ids is not None and record_id in self.all_ids
        if record_id in self.recent or record_id in here or (known and first_pass):
            self.report.duplicates += 1
            return False
        here.add(record_id)
        if known:
            return False
        self.new_rows += 1
        return True

    def forget_pages(self) -> None:
        """Forget the last pages, because they will be read again."""
        self.recent.clear()
        self.pages.clear()
        self.page_hashes.clear()
        self.pages_with_new_rows = self.empty_pages = self.same_pages = self.repeated_pages = 0

    def reason_to_stop(self) -> str | None:
        """Return why to stop after the last page although it has a `next`; None to go on.

        If many rows are added at the front of a list, whole pages come again, but no more than were read before.
        """
        self.empty_pages = 0 if self.id_count else self.empty_pages + 1
        self.pages_with_new_rows += self.new_on_page > 0
        if self.id_count:
            self.repeated_pages = 0 if self.new_on_page else self.repeated_pages + 1
        if self.empty_pages == _MOST_EMPTY:
            return f"{_MOST_EMPTY} pages in a row have no rows" + (" with an id" if self.has_row_without_id else "")
        if self.same_pages >= _MOST_REPEATED or self.repeated_pages >= max(
            _MOST_REPEATED, self.pages_with_new_rows + 1
        ):
            return f"{self.repeated_pages} pages in a row have only rows that came before"
        return None
