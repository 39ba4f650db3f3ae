"""The operations on bookings and seats, as in the vendor's OpenAPI file."""

from typing import Unpack

from ticketsource_async.models import Booking, Seat
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import Pager
from ticketsource_async.resources.base import ListOptions, Resource


class Bookings(Resource):
    """Bookings; read-only. The API lists them by date or by customer."""

    async def get(self, booking: str | Booking, /) -> Booking:
        """Return one booking.

        GET /bookings/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", Booking, "bookings", checked_id(booking, Booking))

    def list_seats(self, booking: str | Booking, /, **options: Unpack[ListOptions]) -> Pager[Seat]:
        """Return the seats of a booking.

        GET /bookings/{id}/seats. Raises `NotFound` and `InvalidID`.
        """
        return self._list(Seat, options, "bookings", checked_id(booking, Booking), "seats")


class Seats(Resource):
    """Seats; read-only. The API lists them by booking."""

    async def get(self, seat: str | Seat, /) -> Seat:
        """Return one seat.

        GET /seats/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", Seat, "seats", checked_id(seat, Seat))
