"""The branches of a listing that could not be read, and the error that names them."""

from typing import Final

from attrs import define, field, frozen

from ticketsource_async.errors import BranchError, InvalidID, InvalidResponse, ListEnded, TicketSourceError
from ticketsource_async.models import Event, EventDate

_MOST_NAMED: Final = 20
_MOST_KEPT: Final = 1_000
_MOST_LETTERS: Final = 500  # letters of an error to show; an error may have many reasons


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + "..."


def is_of_row(error: TicketSourceError) -> bool:
    """Say whether an error is that of one row of a list."""
    return isinstance(error, InvalidResponse) and error.json_path.startswith("$.data[")


@frozen
class FailedBranch:
    """A branch of a listing that could not be read, and the error.

    The fields that are not None say which list is not complete:

    - `event` and `date`: the bookings for that date
    - `event` alone: the dates of that event
    - `event` and `venue_id`: no list. The dates at that venue have None as venue
    - `booking_id`: the seats of that booking
    - none of them: the events

    If `is_row`, one row of the list is missing. If `is_end`, the rows at its end are missing. Otherwise the whole
    list is missing.
    """

    event: Event | None
    date: EventDate | None
    venue_id: str | None
    error: TicketSourceError
    """The error that ended it."""
    booking_id: str | None = None

    @property
    def is_row(self) -> bool:
        """Whether the branch is one row of a list."""
        return is_of_row(self.error)

    @property
    def is_end(self) -> bool:
        """Whether the branch is the rest of a list."""
        is_of_events = self.event is None and self.booking_id is None
        # If the first page of the list of events fails, there are no branches.
        return isinstance(self.error, ListEnded) or (is_of_events and not self.is_row)

    def __str__(self) -> str:
        part = f"date {self.date.id} of " if self.date else f"venue {self.venue_id} of " if self.venue_id else ""
        if isinstance(self.error, InvalidID):  # the id may have any characters; the error shows it escaped
            part = "a venue of "
        whose = f"event {self.event.id}" if self.event else "the list of events"
        if self.booking_id is not None:
            whose = f"the list of seats of booking {self.booking_id}"
        row = "a row of " if self.is_row else "the rest of " if self.is_end else ""
        return f"{row}{part}{whose} could not be read: {_shortened(str(self.error))}"


@define
class FailedBranches:
    """The number of failed branches, and those that the error at the end names."""

    count: int = 0
    named: list[str] = field(factory=list)
    branches: list[BranchError] = field(factory=list)

    def add(self, failed: FailedBranch) -> None:
        """Count a branch and keep its description; beyond a bound only count it."""
        self.count += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append(str(failed))
        if len(self.branches) < _MOST_KEPT:
            self.branches.append(
                {
                    "event_id": failed.event.id if failed.event else None,
                    "date_id": failed.date.id if failed.date else None,
                    "venue_id": failed.venue_id,
                    "error": type(failed.error).__name__,
                    "message": _shortened(str(failed.error)),
                }
            )

    def __str__(self) -> str:
        more = f" {self.count - len(self.named):,} more could not be read." if self.count > len(self.named) else ""
        branches = "branch" if self.count == 1 else "branches"
        return f"{self.count:,} {branches} of the listing could not be read: {' '.join(self.named)}{more}"
