"""When bulk has to hold back, so that single calls find a free slot: pure, and the same for both limiters."""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, cast

from attrs import define, field

from ticketsource_async.ratelimit import Priority

SINGLES_STAY: Final = 600.0  # seconds: for so long after a single call others are expected
_KEPT_SHARE: Final = 48
_MOST_LISTS: Final = 100
_KEYS_AT_REST: Final = 100


class FirstPage(str):
    """The priority of the first page of a list: it equals "interactive", and tells later what the list is.

    A list of five notes is a single call to the person who waits for it. A list of 200 pages is a job, and must not be
    paced because of its own first page: `goes_on` is set before its second page is asked for.
    """

    __slots__ = ("goes_on",)

    def __init__(self, _: object) -> None:
        self.goes_on = False


def first_page() -> tuple[Priority, FirstPage]:
    """Return the priority of a first page twice: typed as limiters take it, and as what tells them later."""
    made = FirstPage("interactive")
    return cast(Priority, made), made


def kept_free(limit: int) -> int:
    """Return how many slots bulk leaves to single calls: one in 48, so 5 of 240."""
    return limit // _KEPT_SHARE


def bulk_may_take_one_at(limit: int, back: Sequence[float], last: float) -> float:
    """Return when bulk may take its next slot while single calls are about; the past means now.

    `back` are the times at which the slots that are not free will be, in order; `last` is when a slot was given out
    last. More than half of the slots may go at once. The others are spread, so that they last until enough of those in
    use are back: between `last` and each time in `back`, the slots that are free until then go at equal intervals.
    """
    free = limit - len(back)
    if free > limit - limit // 2 or last == -inf:
        return -inf
    usable = free - kept_free(limit)
    return max((last + (time - last) / max(usable + n + 1, 1) for n, time in enumerate(back)), default=last)


@define
class _Seen:
    """The single calls of one key: when the last was made, and the first pages of lists since then."""

    last: float = -inf
    lists: deque[tuple[float, FirstPage]] = field(factory=lambda: deque(maxlen=_MOST_LISTS))


class SingleCalls:
    """Remembers for each key when somebody last waited for a single call."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._most_keys = _KEYS_AT_REST

    def note(self, key: str, priority: Priority, now: float) -> None:
        """Take down a call; one that is bulk says nothing."""
        if priority != "interactive":
            return
        seen = self._seen.setdefault(key, _Seen())
        if isinstance(priority, FirstPage):
            seen.lists.append((now, priority))
        else:
            seen.last = now
            seen.lists.clear()
        if len(self._seen) > self._most_keys:
            for other in list(self._seen):
                if self.expected_for(other, now) <= 0:
                    self._seen.pop(other, None)
            self._most_keys = 2 * len(self._seen) + _KEYS_AT_REST

    def expected_for(self, key: str, now: float) -> float:
        """Return for how many seconds from now single calls are expected, 0 if they are not."""
        if (seen := self._seen.get(key)) is None:
            return 0.0
        last = max([seen.last, *(time for time, page in list(seen.lists) if not page.goes_on)])
        return max(0.0, last + SINGLES_STAY - now)
