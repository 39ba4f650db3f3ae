"""Performances with the bookings for them, made of JSON as the API sends it."""

import json
from collections.abc import Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, TypeVar

from rows import BOOKING_ROW, DATE_ROW, EVENT_ROW, VENUE_ROW

from ticketsource_async import Booking, Event, EventDate, FailedBranch, Sold, Venue
from ticketsource_async.models.reader import read_row

T = TypeVar("T")


def read(row: object, cls: type[T]) -> T:
    """Return the record of a row, read from JSON, so that amounts are exact."""
    return read_row(json.loads(json.dumps(row), parse_float=Decimal), cls)


EVENT = read(EVENT_ROW, Event)
VENUE = read(VENUE_ROW, Venue)


def line(kind: object = "TICKETS", gross: object = 10, **changed: object) -> dict[str, Any]:
    """Return a line as the API sends it, with some of its attributes changed."""
    made: dict[str, Any] = deepcopy(BOOKING_ROW["attributes"]["lines"][0])
    made |= {"line_type": kind} | changed
    if "amount" not in changed:
        made["amount"]["gross"] = gross
    return made


def booking(number: int, *lines: object, attributes: dict[str, Any] | None = None) -> Booking:
    """Return a booking with these lines."""
    row: dict[str, Any] = deepcopy(BOOKING_ROW) | {"id": f"bkg-{number}"}
    row["attributes"] |= {"lines": list(lines)} | (attributes or {})
    return read(row, Booking)


def performance(
    number: int,
    *bookings: Booking,
    event: Event = EVENT,
    venue: Venue | None = VENUE,
    failed: Sequence[FailedBranch] = (),
    **changed: object,
) -> Sold:
    """Return a performance with these bookings, and some attributes of its date changed."""
    row: dict[str, Any] = deepcopy(DATE_ROW) | {"id": f"dat-{number}"}
    row["attributes"] |= changed
    return Sold(event, read(row, EventDate), venue, bookings, failed)
