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

    `left`: how many rows may still come, None for no limit. `known`: the ids of all passes, None without `verify`.
    `last`: the last page that was read in a forward pass.
    """

    report: ListReport
    left: int | None
    known: set[str] | None
    last: URL
    pages_compared: int
    first_page: FirstPage = field(factory=FirstPage)
    pages: deque[set[str]] = field(factory=deque)
    recent: set[str] = field(factory=set)
    whole_pages: set[int] = field(factory=set)  # a hash of the ids of each page of this pass
    latest: int | None = None
    new: int = 0
    items: int = 0
    broken_pages: int = 0
    capped: bool = False  # whether a page was short but not the last: the API gives fewer rows than `per_page`
    ids: int = 0  # ids on the last page
    fresh: int = 0  # those of them that had not come in this pass
    nameless: bool = False  # whether the last page has a row without an id
    fresh_pages: int = 0
    empty: int = 0  # pages in a row without an id
    same: int = 0  # pages in a row with the ids of the page before
    repeated: int = 0  # pages in a row with ids but with no fresh id

    def which_are_new(self, ids: list[str | None], content: int | None = None) -> list[bool]:
        """Return for each row of a page whether it is new. The id of a new row is on none of the compared pages.

        `content`: a hash of the rows without an id, if these count as rows. They are compared by whole pages.
        """
        here = {record_id for record_id in ids if record_id is not None}
        counted = ids.count(None) if content else 0
        self.ids, self.nameless = len(here) + counted, None in ids and content is None
        whole = hash((frozenset(here), content))
        self.same = self.same + 1 if whole == self.latest and self.ids else 0
        self.latest = whole
        unseen = here.isdisjoint(self.recent) and (self.known is None or here.isdisjoint(self.known))
        if whole in self.whole_pages and here:  # the list has started again, or many rows were added at its front
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
        again = whole in self.whole_pages
        self.whole_pages.add(whole)
        self.fresh = len(here) + (0 if again else counted)
        if self.known is not None:
            self.known |= here
        self.recent |= here
        self.pages.append(here)
        if len(self.pages) > self.pages_compared:
            self.recent -= self.pages.popleft()
        return new

    def _is_new(self, record_id: str | None, here: set[str]) -> bool:
        first_pass = self.report.passes == 1
        if record_id is None:  # it is invalid, and its error must be passed on only once
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
        """Forget the last pages, because they will be read again."""
        self.recent.clear()
        self.pages.clear()
        self.whole_pages.clear()
        self.fresh_pages = self.empty = self.same = self.repeated = 0

    def why_end(self) -> str | None:
        """Return why to stop after the last page although it has a `next`; None to go on.

        If many rows are added at the front of a list, whole pages come again, but no more than were read before.
        """
        self.empty = 0 if self.ids else self.empty + 1
        self.fresh_pages += self.fresh > 0
        if self.ids:
            self.repeated = 0 if self.fresh else self.repeated + 1
        if self.empty == _MOST_EMPTY:
            return f"{_MOST_EMPTY} pages in a row have no rows" + (" with an id" if self.nameless else "")
        if self.same >= _MOST_REPEATED or self.repeated >= max(_MOST_REPEATED, self.fresh_pages + 1):
            return f"{self.repeated} pages in a row have only rows that came before"
        return None
