"""The read-only data of the sandbox: events with venues and dates, bookings with consistent lines, and seats.

Like the sample people, each record is computed from a seed and an index, and none is stored: 20,000 bookings need no
more memory than one. This module has no HTTP.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

from attrs import frozen

from ticketsource_async.sandbox import sample
from ticketsource_async.sandbox.store import Refused

_VENUES: Final = 3  # the most that an event has
_SEATS: Final = 4  # the most that a booking has
_TICKET: Final = 1250  # pence
_METHODS: Final = ("CASH", "CARD", "CHEQUE")  # at the counter; online it is "TS"
_FIRST_START: Final = datetime(2026, 1, 3, 19, 30, tzinfo=UTC)
_CREATED_AT: Final = datetime(2025, 9, 26, 9, 0, tzinfo=UTC)
_PREFIXES: Final = {"event": "evt", "venue": "ven", "date": "dat", "booking": "bkg", "seat": "sea"}
READ_ONLY: Final = tuple(_PREFIXES)
_INDEX_DISTANCE: Final = 10**15  # the distance between the indices of two kinds, and of people
_DELETED_CUSTOMERS: Final = _INDEX_DISTANCE * 9  # the indices of customers who were deleted before the sandbox began
_STARTS: Final = {kind: _INDEX_DISTANCE * number for number, kind in enumerate(_PREFIXES, 1)}
_TITLES: Final = ("The Lighthouse", "Winter Songs", "A Night of Jazz", "The Baker's Son", "Comedy Cellar", "Swan Lane")
_GENRES: Final = ("Drama", "Choir", "Jazz", "Musical", "Comedy", "Ballet")
_HALLS: Final = (
    "Town Hall",
    "Harbour Theatre",
    "St Brannock's Church",
    "The Old Mill",
    "Castle Green",
    "Corn Exchange",
)


@frozen
class Programme:
    """Events, dates of each event and bookings for each date, in the given numbers. Customers book in turn."""

    seed: int
    events: int
    dates_per_event: int
    bookings_per_date: int
    customers: int
    customer_id: Callable[[int], str]
    base_url: Callable[[], str]

    def get(self, kind: str, record_id: str) -> dict[str, Any]:
        """Return a record as the API shows it; raise KeyError if there is none."""
        return self.row(kind, self._index(kind, record_id))

    def row(self, kind: str, index: int) -> dict[str, Any]:
        """Return the record with this index as the API shows it."""
        make: Callable[[int], tuple[dict[str, Any], dict[str, str]]] = getattr(self, f"_{kind}")
        attributes, links = make(index)
        changed = _CREATED_AT + timedelta(days=index % 90) if index % 3 == 0 else None
        times = {"created_at": _CREATED_AT.isoformat(), "updated_at": changed and changed.isoformat()}
        times |= {name: attributes[name] for name in times if name in attributes}
        path = f"{kind}s/{self._id(kind, index)}"
        links = {"self": path} | {name: link or f"{path}/{name}" for name, link in links.items()}
        return {
            "id": self._id(kind, index),
            "type": kind,
            "attributes": attributes | times,
            "links": {name: f"{self.base_url()}/{link}" for name, link in links.items()},
        }

    def all_events(self) -> Sequence[int]:
        """Return the indices of all events."""
        return range(self.events)

    def venues_of(self, event_id: str) -> Sequence[int]:
        """Return the indices of an event's venues; raise KeyError if there is no such event."""
        event = self._index("event", event_id)
        return range(event * _VENUES, event * _VENUES + _venue_count(event))

    def dates_of(self, kind: str, record_id: str) -> Sequence[int]:
        """Return the indices of the dates of an event or at a venue; raise KeyError if there is no such record."""
        index = self._index(kind, record_id)
        event = index if kind == "event" else index // _VENUES
        of_event = range(event * self.dates_per_event, (event + 1) * self.dates_per_event)
        return of_event if kind == "event" else [d for d in of_event if self._venue_of(d) == index]

    def filtered(self, dates: Sequence[int], query: Mapping[str, str]) -> Sequence[int]:
        """Return the dates that the filter of a query keeps.

        It is not known whether the bounds of the real API include their day. Here they do not, except for "on".
        """
        operator = query.get("filter[start][operator]")
        if operator is None:
            return dates
        try:
            bound = date.fromisoformat(query.get("filter[start][value]", ""))
            keeps = {"on": bound.__eq__, "before": bound.__gt__, "after": bound.__lt__}[operator]
        except (ValueError, KeyError):
            raise Refused(["The filter is not one that the sandbox knows."]) from None
        return [index for index in dates if keeps(self._start(index).date())]

    def bookings_of(self, date_id: str) -> Sequence[int]:
        """Return the indices of the bookings for a date; raise KeyError if there is no such date."""
        start = self._index("date", date_id) * self.bookings_per_date
        return range(start, start + self.bookings_per_date) if self.customers else ()

    def bookings_by(self, customer: int) -> Sequence[int]:
        """Return the indices of the bookings that a sample customer made."""
        made = range(customer, self._count("booking"), self.customers) if customer < self.customers else ()
        return [booking for booking in made if not _has_no_customer(booking)]

    def seats_of(self, booking_id: str) -> Sequence[int]:
        """Return the indices of a booking's seats; raise KeyError if there is no such booking."""
        booking = self._index("booking", booking_id)
        return range(booking * _SEATS, booking * _SEATS + _seat_count(booking))

    def _id(self, kind: str, index: int) -> str:
        return f"{_PREFIXES[kind]}-{sample.name_of(self.seed, _STARTS[kind] + index)}"

    def _index(self, kind: str, record_id: str) -> int:
        prefix, _, name = record_id.partition("-")
        found = sample.index_of(self.seed, name) if prefix == _PREFIXES[kind] else None
        index = -1 if found is None else found - _STARTS[kind]
        holes = (kind == "venue" and index % _VENUES >= _venue_count(index // _VENUES)) or (
            kind == "seat" and index % _SEATS >= _seat_count(index // _SEATS)
        )
        if not 0 <= index < self._count(kind) or holes:
            raise KeyError(record_id)
        return index

    def _count(self, kind: str) -> int:
        dates = self.events * self.dates_per_event
        bookings = dates * self.bookings_per_date if self.customers else 0
        return {
            "event": self.events,
            "venue": self.events * _VENUES,
            "date": dates,
            "booking": bookings,
            "seat": bookings * _SEATS,
        }[kind]

    def _venue_of(self, date_: int) -> int:
        event = date_ // self.dates_per_event
        return event * _VENUES + date_ % _venue_count(event)

    def _start(self, date_: int) -> datetime:
        event, number = divmod(date_, self.dates_per_event)
        return _FIRST_START + timedelta(days=3 * event + 7 * number, minutes=-300 if number % 4 == 3 else 0)

    def _event(self, index: int) -> tuple[dict[str, Any], dict[str, str]]:
        title = _TITLES[index % len(_TITLES)]
        name = title if index < len(_TITLES) else f"{title} {index // len(_TITLES) + 1}"
        asks = index % 4 == 1
        attributes = {
            "name": name,
            "reference": f"REF{index:04}",
            "description": f"<p>{name}, <em>live</em> &amp; on stage.</p>",
            "comment": None if index % 2 else "",
            "keywords": None if index % 3 else "family, evening",
            "terms": None,
            "category": "Music" if index % 2 else "Theatre",
            "genre": _GENRES[index % len(_GENRES)],
            "images": [{"type": "header", "src": f"https://images.example/{index}.png"}] if index % 5 else [],
            "third_party_consent": {
                "capture": asks,
                "name": "Visiting Company" if asks else "",
                "show_consent": {"email": asks, "post": False, "sms": False},
            },
            "activated": True,
            "archived": index % 10 == 9,
            "public": index % 7 != 6,
            "settled": index % 2 == 0,  # real answers have it, the vendor's file does not
        }
        return attributes, {"venues": "", "dates": ""}

    def _venue(self, index: int) -> tuple[dict[str, Any], dict[str, str]]:
        attributes = {
            "name": _HALLS[index % len(_HALLS)],
            "address": {
                "line_1": f"{index + 1} Bridge Street",
                "line_2": "Otterbourne",
                "line_3": None,
                "line_4": "United Kingdom",
                "postcode": "NE12 4AB",
            },
            "boxoffice": {"telephone": "01632960123", "email": f"boxoffice{index}@example.org"},
        }
        return attributes, {"dates": "", "event": f"events/{self._id('event', index // _VENUES)}"}

    def _date(self, index: int) -> tuple[dict[str, Any], dict[str, str]]:
        start = self._start(index)
        attributes = {
            "doors_open": None if index % 3 else (start - timedelta(minutes=30)).isoformat(),
            "start": start.isoformat(),
            "end": None if index % 5 == 4 else (start + timedelta(hours=2)).isoformat(),
            "on_sale": index % 9 != 8,
            "on_sale_start": _CREATED_AT.isoformat(),
            "on_sale_end": start.isoformat(),
            "public": True,
            "cancelled": _is_cancelled(index),
        }
        return attributes, {
            "book_now": f"book/{self._id('date', index)}",
            "bookings": "",
            "event": f"events/{self._id('event', index // self.dates_per_event)}",
            "venue": f"venues/{self._id('venue', self._venue_of(index))}",
        }

    def _booking(self, index: int) -> tuple[dict[str, Any], dict[str, str]]:
        rng = random.Random(f"{self.seed}/booking/{index}")
        lines = self._lines(index, rng)
        customer = _DELETED_CUSTOMERS + index if _has_no_customer(index) else index % self.customers
        sold, last = lines[0]["created_at"], lines[-1]["created_at"]
        attributes = {
            "ref": sample.name_of(self.seed, _STARTS["booking"] + index)[:6].upper(),
            "lines": lines,
            "consent": {"third_party": None, "email": rng.random() < 0.5, "post": False, "sms": rng.random() < 0.2},
            "user_booked_by": "" if index % 8 else "Staff Member",
            "created_at": sold,
            "updated_at": None if last == sold else last,
        }
        return attributes, {
            "seats": "",
            "customer": f"customers/{self.customer_id(customer)}",
            "date": f"dates/{self._id('date', index // self.bookings_per_date)}",
        }

    def _lines(self, index: int, rng: random.Random) -> list[dict[str, Any]]:
        """Return the lines of a booking. Each refund is some days later."""
        sold = _CREATED_AT + timedelta(days=7 * index % 90, minutes=index % 600)
        tickets = _seat_count(index) * _TICKET
        line = partial(_line, index, sold)
        lines = [line("TICKETS", tickets)]
        if index % 7 == 3:
            lines.append(line("SUNDRY", 300))
        if index % 5 == 0:
            pence = 2500 if index % 25 == 10 else 500
            declared = rng.random() < 0.5
            form = index // 5 % 8
            donation: dict[str, Any] = {} if form == 6 else {"donation": {"gift_aid": None if form == 5 else declared}}
            lines.append(line("DONATION", pence) | donation)
            if index % 35 == 30:
                lines.append(line("DONATION", -pence if index % 2 else -200, days=3) | donation)
        if index % 77 == 10:
            lines.append(line("SUNDRY", -300, days=5))
        if self._is_fully_cancelled(index):
            lines.append(line("TICKETS", -tickets, days=20))
        elif _is_partly_cancelled(index):
            lines.append(line("TICKETS", -_TICKET, days=10))
        return lines

    def _is_fully_cancelled(self, booking: int) -> bool:
        """Say whether all tickets of a booking were refunded because its date was cancelled. Some are not yet."""
        return _is_cancelled(booking // self.bookings_per_date) and booking % 3 != 0

    def _seat(self, index: int) -> tuple[dict[str, Any], dict[str, str]]:
        booking, number = divmod(index, _SEATS)
        allocated = booking % 3 != 0
        cancelled = self._is_fully_cancelled(booking) or (_is_partly_cancelled(booking) and number == 0)
        attributes = {
            "is_booked": not (cancelled and booking % 2),
            "is_cancelled": cancelled,
            "reference": {
                "row": chr(ord("A") + booking % 20) if allocated else None,
                "seat": str(number + 1) if allocated else None,
            },
            "price_category": "Concession" if booking % 9 == 4 else "Adult" if number < 2 else "Child",
            "attendee": {
                "title": None,
                "first_name": f"Guest {number + 1}" if booking % 2 else None,
                "last_name": "Sample" if booking % 2 else None,
                "company": {"name": "Sample & Sons" if booking % 12 == 7 else None, "title": None},
                "telephone": None,
                "email": None,
            },
        }
        return attributes, {"booking": f"bookings/{self._id('booking', booking)}"}


def _venue_count(event: int) -> int:
    return 1 + event % _VENUES


def _seat_count(booking: int) -> int:
    return 1 + booking % _SEATS


def _is_cancelled(date_: int) -> bool:
    return date_ % 40 == 39


def _is_partly_cancelled(booking: int) -> bool:
    return booking % 11 == 0


def _has_no_customer(booking: int) -> bool:
    return booking % 50 == 33


def _line(booking: int, sold: datetime, kind: str, pence: int, *, days: int = 0) -> dict[str, Any]:
    """Return a line of `pence`, written `days` after the sale. A negative amount is a refund."""
    fee = 0 if kind == "DONATION" or pence < 0 else pence * 65 // 1000
    vat = fee // 5
    with_code = kind == "TICKETS" and pence > 0 and booking % 6 == 0
    automatic = kind == "TICKETS" and pence > 0 and booking % 9 == 4
    return {
        "line_type": kind,
        "payment_method": _METHODS[booking // 8 % len(_METHODS)] if booking % 8 == 0 else "TS",
        "is_refund": pence < 0,
        "amount": {
            "gross": _pounds(pence),
            "fee": _pounds(fee),
            "fee_vat": _pounds(vat),
            "net": _pounds(pence - fee - vat),
            "discounts": {
                "automatic": 1.5 if automatic else 0,
                "code": {"description": "FRIEND" if with_code else "", "amount": 2 if with_code else 0},
            },
        },
        "created_at": (sold + timedelta(days=days)).isoformat(),
        "updated_at": None,
    }


def _pounds(pence: int) -> int | float:
    return pence // 100 if pence % 100 == 0 else pence / 100
