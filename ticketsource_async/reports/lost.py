"""Count the parts that a report lacks because they could not be read."""

from collections import Counter
from typing import Literal

from attrs import define, field

from ticketsource_async._words import counted
from ticketsource_async.failed_branches import FailedBranch

Kind = Literal[
    "performance", "performance without a date", "booking", "dates", "further dates", "further events", "seats"
]


def lost_by(failed: FailedBranch) -> Kind | None:
    """Return what is missing because a branch failed; None for a venue, since no booking is missing then."""
    if failed.venue_id is not None:
        return None
    if failed.booking_id is not None:
        return "seats"
    if failed.date is not None:
        return "booking" if failed.is_row else "performance"
    if failed.event is not None:
        return "performance without a date" if failed.is_row else "further dates" if failed.is_end else "dates"
    return "dates" if failed.is_row else "further events"


@define
class Lost:
    """How often each kind of thing is missing."""

    counts: Counter[Kind] = field(factory=Counter)
    """How many of each kind could not be read."""

    def add(self, failed: FailedBranch) -> None:
        """Count what is missing because a branch failed."""
        if (kind := lost_by(failed)) is not None:
            self.counts[kind] += 1

    @property
    def any_sum(self) -> bool:
        """Whether amounts are missing, not only seats."""
        return any(count for kind, count in self.counts.items() if kind != "seats")

    @property
    def any_performance(self) -> bool:
        """Whether an unknown number of performances is missing."""
        return any(count for kind, count in self.counts.items() if kind not in ("seats", "booking", "performance"))

    def __bool__(self) -> bool:
        return bool(self.counts)

    def words(self) -> str:
        """Return what is missing, in words: "2 performances and the performances of 1 event"."""
        count = self.counts
        performances = count["performance"] + count["performance without a date"]
        parts = [
            counted(performances, "performance") if performances else "",
            counted(count["booking"], "booking") if count["booking"] else "",
            f"the performances of {counted(count['dates'], 'event')}" if count["dates"] else "",
            f"further performances of {counted(count['further dates'], 'event')}" if count["further dates"] else "",
            "further events" if count["further events"] else "",
            f"the seats of {counted(count['seats'], 'booking')}" if count["seats"] else "",
        ]
        *first, last = [part for part in parts if part] or [""]
        return f"{', '.join(first)} and {last}" if first else last
