"""What of a box office could not be read, counted for people."""

from attrs import define

from ticketsource_async.listings import FailedBranch


@define
class Missing:
    """Counts the parts of a listing of bookings that could not be read, so that its rows are missing.

    An event stands for all of its performances. `lists` are lists of events.
    """

    events: int = 0
    performances: int = 0
    bookings: int = 0
    lists: int = 0

    def add(self, failed: FailedBranch) -> None:
        """Count a part."""
        if failed.event is None:
            self.events += failed.is_row
            self.lists += not failed.is_row
        elif failed.date is not None:
            self.bookings += failed.is_row
            self.performances += not failed.is_row
        else:
            self.performances += failed.is_row
            self.events += not failed.is_row

    def __bool__(self) -> bool:
        return bool(self.events or self.performances or self.bookings or self.lists)

    def __str__(self) -> str:
        """Return it in words, such as "1 event and 2 performances"."""
        counted = ((self.events, "event"), (self.performances, "performance"), (self.bookings, "booking"))
        parts = [f"{number:,} {what}{'s' * (number != 1)}" for number, what in counted if number]
        parts += ["the rest of the list of events"] * bool(self.lists)
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
