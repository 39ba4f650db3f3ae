"""Decide when bulk calls wait so that single calls find a free slot; pure, and the same for both limiters."""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final, Self

from attrs import define, field

from ticketsource_async.ratelimit import Priority

SINGLE_CALLS_EXPECTED_FOR: Final = 600.0  # seconds after a single call for which more single calls are expected
_KEPT_SHARE: Final = 48
# Fewer slots, because slots come back all the time while bulk is paced, and a kept slot stays unused.
_KEPT_SHARE_PACED: Final = 96
_MOST_LISTS: Final = 100
_MOST_SAMPLES: Final = 240
_KEYS_WITHOUT_CLEANING: Final = 100


class FirstPage(str):
    """The priority of the first page of a list: it equals "interactive".

    A list of five notes is a single call to the person who waits for it. A list of 200 pages is a job, and its own
    first page must not make it paced. `goes_on` is True for a list of several pages, False for a list of one page, and
    None until that is known.
    """

    __slots__ = ("goes_on",)
    goes_on: bool | None

    def __new__(cls) -> Self:
        """Return the priority for a new list, with a `goes_on` of None."""
        made = super().__new__(cls, "interactive")
        made.goes_on = None
        return made


def kept_free(limit: int, *, paced: bool) -> int:
    """Return how many slots bulk calls leave to single calls: one in 48, so 5 of 240; while paced, 2 of 240."""
    return limit // (_KEPT_SHARE_PACED if paced else _KEPT_SHARE)


def sample_step(limit: int) -> int:
    """Return the step at which used slots are looked at: 1 for up to 240 slots, larger for more."""
    return -(-limit // _MOST_SAMPLES)


def next_bulk_slot_at(limit: int, back: Sequence[float], last: float) -> float:
    """Return when a paced bulk call may take the next slot; a time in the past means now.

    `back`: the sorted times at which used slots are free again, of every `sample_step(limit)`th used slot. `last`: the
    time at which a slot was last given out. While more than half of the slots are free, bulk calls take them at once.
    The other slots are spaced evenly, so that some are left when the next ones come back.
    """
    step = sample_step(limit)
    free = limit - len(back) * step
    if free > limit - limit // 2 or last == -inf:
        return -inf
    usable = free - kept_free(limit, paced=True)
    return max((last + (time - last) / max(usable + n * step + 1, 1) for n, time in enumerate(back)), default=last)


@define
class _CallsOfKey:
    """The single calls of one key: the time of the last one, and the first pages of lists since then."""

    last: float = -inf
    lists: deque[tuple[float, FirstPage]] = field(factory=lambda: deque(maxlen=_MOST_LISTS))


class SingleCalls:
    """Store for each key the time of the last single call."""

    def __init__(self) -> None:
        self._seen: dict[str, _CallsOfKey] = {}
        self._most_keys = _KEYS_WITHOUT_CLEANING

    def note(self, key: str, priority: Priority, now: float) -> None:
        """Store the time of a single call; a bulk call is ignored."""
        if priority != "interactive":
            return
        seen = self._seen.setdefault(key, _CallsOfKey())
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
            self._most_keys = 2 * len(self._seen) + _KEYS_WITHOUT_CLEANING

    def note_expected(self, key: str, until: float) -> None:
        """Store until when another process expects single calls."""
        seen = self._seen.setdefault(key, _CallsOfKey())
        seen.last = max(seen.last, until - SINGLE_CALLS_EXPECTED_FOR)

    def expected_for(self, key: str, now: float, *, only_certain: bool = False) -> float:
        """Return for how many seconds from now single calls are expected; 0 if none are.

        `only_certain` ignores lists that may still turn out to be jobs.
        """
        if (seen := self._seen.get(key)) is None:
            return 0.0
        jobs = (True, None) if only_certain else (True,)
        last = max([seen.last, *(time for time, page in list(seen.lists) if page.goes_on not in jobs)])
        return max(0.0, last + SINGLE_CALLS_EXPECTED_FOR - now)
