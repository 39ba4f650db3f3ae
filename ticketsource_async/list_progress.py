"""How far one loop over a list has come, which of its rows are new, and whether it seems to go on for ever; pure."""

from collections import deque
from typing import Final

from attrs import define, field
from yarl import URL

from ticketsource_async.ratelimit.pacing import FirstPage

_MOST_EMPTY: Final = 10  # pages in a row
_MOST_REPEATED: Final = 3


@define
class ListReport:
    """What a loop over a list has counted so far."""

    passes: int = 0
    """Passes over the list that have begun."""
    requests: int = 0
    """Requests for pages, retries not counted."""
    duplicates: int = 0
    """Rows that were dropped, because they had come on the same page or shortly before."""
    invalid: int = 0
    """Rows that `on_invalid` got."""
    found_later: int = 0
    """Rows that the first pass had missed."""
    unreadable: int = 0
    """Records with a value that could not be read; `record.invalid` has it."""
    complete: bool = False
    """Whether a later pass found nothing new. It is never true without `verify`."""
    ended: str | None = None
    """Why the list was not read further although it seems to go on. None if it was read to its end."""


@define
class Loop:
    """Where one loop over a list stands: what may still come, what has, and in `last` the page without a `next`."""

    report: ListReport
    left: int | None
    known: set[str] | None
    last: URL
    pages_compared: int
    first_page: FirstPage = field(factory=FirstPage)
    pages: deque[set[str]] = field(factory=deque)
    recent: set[str] = field(factory=set)
    whole_pages: set[int] = field(factory=set)  # for each page of this pass a hash of its ids
    latest: int | None = None
    new: int = 0
    items: int = 0
    broken_pages: int = 0
    capped: bool = False  # whether a page was short and not the last: the API gives fewer rows than it is asked for
    ids: int = 0  # on the page read last
    fresh: int = 0  # of these, how many had not come in this pass
    nameless: bool = False  # whether that page has a row without an id
    fresh_pages: int = 0
    empty: int = 0  # pages in a row without an id
    same: int = 0  # pages in a row with the ids of the page before
    repeated: int = 0  # pages in a row with ids, of which none is fresh

    def which_are_new(self, ids: list[str | None], content: int | None = None) -> list[bool]:
        """Return for each row of a page whether it is new: its id is in none of the pages that are compared.

        `content` is a hash of the rows without an id if these count as rows. They are told apart by page.
        """
        here = {record_id for record_id in ids if record_id is not None}
        counted = ids.count(None) if content else 0
        self.ids, self.nameless = len(here) + counted, None in ids and content is None
        whole = hash((frozenset(here), content))
        self.same = self.same + 1 if whole == self.latest and self.ids else 0
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
        self.empty = 0 if self.ids else self.empty + 1
        self.fresh_pages += self.fresh > 0
        if self.ids:
            self.repeated = 0 if self.fresh else self.repeated + 1
        if self.empty == _MOST_EMPTY:
            return f"{_MOST_EMPTY} pages in a row have no rows" + (" with an id" if self.nameless else "")
        if self.same >= _MOST_REPEATED or self.repeated >= max(_MOST_REPEATED, self.fresh_pages + 1):
            return f"{self.repeated} pages in a row have only rows that came before"
        return None
