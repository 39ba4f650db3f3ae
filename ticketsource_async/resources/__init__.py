"""The operations of the API, in groups named after the first segment of their path.

A method says which path, which draft and which model; everything else happens below. What every call can raise is in
`errors.py`.
"""

from ticketsource_async.resources.base import BulkOptions, ListOptions
from ticketsource_async.resources.bookings import Bookings, Seats
from ticketsource_async.resources.customers import Customers
from ticketsource_async.resources.events import Dates, Events, Venues
from ticketsource_async.resources.notes import Notes

__all__ = ["Bookings", "BulkOptions", "Customers", "Dates", "Events", "ListOptions", "Notes", "Seats", "Venues"]
