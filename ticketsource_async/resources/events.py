"""The operations on events, venues and dates, as in the vendor's OpenAPI file."""

from typing import Unpack

from ticketsource_async.models import Booking, Event, EventDate, StartFilter, Venue
from ticketsource_async.models.ids import checked_id
from ticketsource_async.pagination import Pager
from ticketsource_async.resources.base import ListOptions, Resource


class Events(Resource):
    """Events; read-only."""

    def list(self, **options: Unpack[ListOptions]) -> Pager[Event]:
        """Return all events.

        GET /events
        """
        return self._list(Event, options, "events")

    async def get(self, event: str | Event, /) -> Event:
        """Return one event.

        GET /events/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", Event, "events", checked_id(event, Event))

    def list_venues(self, event: str | Event, /, **options: Unpack[ListOptions]) -> Pager[Venue]:
        """Return the venues of an event.

        GET /events/{id}/venues. Raises `NotFound` and `InvalidID`.
        """
        return self._list(Venue, options, "events", checked_id(event, Event), "venues")

    def list_dates(
        self, event: str | Event, /, *, start: StartFilter | None = None, **options: Unpack[ListOptions]
    ) -> Pager[EventDate]:
        """Return the dates of an event at all of its venues; `start` keeps those within its bounds.

        Dates that the filter drops do not count towards `max_items`.

        GET /events/{id}/dates. Raises `NotFound` and `InvalidID`.
        """
        return self._list_dates(start, options, "events", checked_id(event, Event), "dates")


class Venues(Resource):
    """Venues; read-only. The API lists them only by event: `ts.events.list_venues`."""

    async def get(self, venue: str | Venue, /) -> Venue:
        """Return one venue.

        GET /venues/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", Venue, "venues", checked_id(venue, Venue))

    def list_dates(
        self, venue: str | Venue, /, *, start: StartFilter | None = None, **options: Unpack[ListOptions]
    ) -> Pager[EventDate]:
        """Return the dates at a venue; `start` keeps those within its bounds.

        Dates that the filter drops do not count towards `max_items`.

        GET /venues/{id}/dates. Raises `NotFound` and `InvalidID`.
        """
        return self._list_dates(start, options, "venues", checked_id(venue, Venue), "dates")


class Dates(Resource):
    """Dates; read-only. The API lists them by event or by venue."""

    async def get(self, date: str | EventDate, /) -> EventDate:
        """Return one date.

        GET /dates/{id}. Raises `NotFound` and `InvalidID`.
        """
        return await self._sender.call(self._priority, "GET", EventDate, "dates", checked_id(date, EventDate))

    def list_bookings(self, date: str | EventDate, /, **options: Unpack[ListOptions]) -> Pager[Booking]:
        """Return the bookings for a date.

        GET /dates/{id}/bookings. Raises `NotFound` and `InvalidID`.
        """
        return self._list(Booking, options, "dates", checked_id(date, EventDate), "bookings")
