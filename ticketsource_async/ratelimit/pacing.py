"""When bulk has to hold back, so that single calls find a free slot: pure, and the same for both limiters."""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, Self

from attrs import define, field

from ticketsource_async.ratelimit import Priority

SINGLES_STAY: Final = 600.0  # seconds: for so long after a single call others are expected
_KEPT_SHARE: Final = 48
_KEPT_SHARE_PACED: Final = 96  # fewer, since slots come back all the time, and one that is kept is not used
_MOST_LISTS: Final = 100
_MOST_LOOKED_AT: Final = 240
_KEYS_AT_REST: Final = 100


class FirstPage(str):
    """The priority of the first page of a list: it equals "interactive".

    A list of five notes is a single call to the person who waits for it. A list of 200 pages is a job, and must not be
    paced because of its own first page. `goes_on` is None until it is known which of them the list is.
    """

    __slots__ = ("goes_on",)
    goes_on: bool | None

    def __new__(cls) -> Self:
        """Return the priority of a list of which nothing is known yet."""
        made = super().__new__(cls, "interactive")
        made.goes_on = None
        return made


def kept_free(limit: int, *, paced: bool) -> int:
    """Return how many slots bulk leaves to single calls: one in 48, so 5 of 240; 2 of 240 while it is paced."""
    return limit // (_KEPT_SHARE_PACED if paced else _KEPT_SHARE)


def step_of(limit: int) -> int:
    """Return which part of the used slots to look at: every one, unless there are many."""
    return -(-limit // _MOST_LOOKED_AT)


def bulk_may_take_one_at(limit: int, back: Sequence[float], last: float) -> float:
    """Return when bulk may take its next slot while single calls are about; a time in the past means now.

    `back` has, sorted, when used slots will be free again: of every `step_of(limit)`th one. `last` is when a slot was
    given out last. While more than half of the slots are free, bulk takes them at once. The others are spaced evenly,
    so that they are not used up before the next ones come back.
    """
    step = step_of(limit)
    free = limit - len(back) * step
    if free > limit - limit // 2 or last == -inf:
        return -inf
    usable = free - kept_free(limit, paced=True)
    return max((last + (time - last) / max(usable + n * step + 1, 1) for n, time in enumerate(back)), default=last)


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
            while seen.lists and seen.lists[-1][1].goes_on:
                seen.lists.pop()
            seen.lists.append((now, priority))
        else:
            seen.last = now
            seen.lists.clear()
        if len(self._seen) > self._most_keys:
            for other in list(self._seen):
                if self.expected_for(other, now) <= 0:
                    self._seen.pop(other, None)
            self._most_keys = 2 * len(self._seen) + _KEYS_AT_REST

    def note_expected(self, key: str, until: float) -> None:
        """Take down what another process knows."""
        seen = self._seen.setdefault(key, _Seen())
        seen.last = max(seen.last, until - SINGLES_STAY)

    def expected_for(self, key: str, now: float, *, certainly: bool = False) -> float:
        """Return for how many seconds from now single calls are expected, 0 if they are not.

        `certainly` leaves out lists of which it is not known yet whether they are jobs.
        """
        if (seen := self._seen.get(key)) is None:
            return 0.0
        jobs = (True, None) if certainly else (True,)
        last = max([seen.last, *(time for time, page in list(seen.lists) if page.goes_on not in jobs)])
        return max(0.0, last + SINGLES_STAY - now)
