"""What a seat of a booking counts as."""

from typing import Literal

from ticketsource_async.models import Seat

SeatState = Literal["sold", "cancelled"]


def state_of(seat: Seat) -> SeatState | None:
    """Return what a seat counts as; None if the API's `is_booked` and `is_cancelled` do not say it."""
    if seat.is_cancelled:
        return "cancelled"
    return "sold" if seat.is_booked and seat.is_cancelled is False else None
