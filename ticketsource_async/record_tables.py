"""The tables of the records that the look-up commands print. Each column is defined once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ticketsource_async.duplicates import Duplicate
from ticketsource_async.models import Booking, BookingLine, Customer, Event, EventDate, EventImage, Note, Seat, Venue
from ticketsource_async.tables import ADDRESS_FIELDS, CUSTOMERS, LINE_FIELDS, Column, Shown, Table, columns


def _sources(images: Sequence[EventImage] | None) -> str | None:
    return None if images is None else " ".join(image.src for image in images if image.src)


EVENTS: Final = Table[Event](
    (
        *columns(Event, "id", "name", "reference", "category", "genre", "activated", "archived", "public"),
        *columns(Event, "keywords", "comment", "description", "terms"),
        Column("images", "text", lambda event: _sources(event.images), reads=("images",)),
        *columns(Event, "third_party_consent.capture", "third_party_consent.name"),
        *columns(Event, *(f"third_party_consent.show_consent.{way}" for way in ("email", "post", "sms"))),
        *columns(Event, "created_at", "updated_at"),
    ),
    Event.to_dict,
    "events",
    (
        Shown("id"),
        Shown("name"),
        Shown("category"),
        Shown("genre"),
        Shown("public"),
        Shown("archived"),
        Shown("reference"),
        Shown("created", ("created_at",)),
    ),
)

VENUES: Final = Table[Venue](
    (
        *columns(Venue, "id", "name", *ADDRESS_FIELDS, "boxoffice.telephone", "boxoffice.email"),
        Column("event_id", "text", lambda venue: venue.event_id, reads=("links.event",)),
        *columns(Venue, "created_at", "updated_at"),
    ),
    Venue.to_dict,
    "venues",
    (
        Shown("id"),
        Shown("name"),
        Shown("address", tuple(path.replace(".", "_") for path in ADDRESS_FIELDS), ", "),
        Shown("telephone", ("boxoffice_telephone",)),
        Shown("email", ("boxoffice_email",)),
    ),
)

DATES: Final = Table[EventDate](
    (
        *columns(EventDate, "id", "start", "end", "doors_open", "cancelled"),
        *columns(EventDate, "on_sale", "on_sale_start", "on_sale_end", "public"),
        Column("event_id", "text", lambda date: date.event_id, reads=("links.event",)),
        Column("venue_id", "text", lambda date: date.venue_id, reads=("links.venue",)),
        *columns(EventDate, "created_at", "updated_at", book_now="links.book_now"),
    ),
    EventDate.to_dict,
    "dates",
    (
        Shown("id"),
        Shown("start"),
        Shown("end"),
        Shown("cancelled"),
        Shown("on sale"),
        Shown("public"),
        Shown("doors open"),
        Shown("event", ("event_id",)),
        Shown("venue", ("venue_id",)),
    ),
)

LINES: Final = Table[BookingLine](
    columns(BookingLine, **LINE_FIELDS),
    shown=(
        Shown("type", ("line_type",)),
        Shown("payment", ("payment_method",)),
        Shown("refund", ("is_refund",)),
        Shown("gross"),
        Shown("fee"),
        Shown("fee vat"),
        Shown("net"),
        Shown("gift aid"),
        Shown("discount", ("discount_automatic",)),
        Shown("code", ("discount_code",)),
        Shown("off by code", ("discount_code_amount",)),
    ),
)


def _total(name: str, of: str, *besides: str) -> Column[Booking]:
    """Return the column of a sum over the lines of a booking.

    The sum is of the amount `of`; the fields `besides` decide which lines count.
    """
    reads = (f"lines.amount.{of}", *(f"lines.{field}" for field in besides))
    return Column(name, "money", lambda booking: getattr(booking.totals(), name), reads=reads)


WHOLE_BOOKINGS: Final = Table[Booking](
    (
        *columns(Booking, "id", "ref"),
        Column("customer_id", "text", lambda booking: booking.customer_id, reads=("links.customer",)),
        Column("date_id", "text", lambda booking: booking.date_id, reads=("links.date",)),
        *columns(Booking, "user_booked_by"),
        Column("lines", "number", lambda booking: None if booking.lines is None else len(booking.lines)),
        *(_total(name, name) for name in ("gross", "fee", "fee_vat", "net")),
        _total("refunds", "gross", "is_refund"),
        _total("donations", "gross", "line_type"),
        *columns(Booking, "consent.third_party", "consent.email", "consent.post", "consent.sms"),
        *columns(Booking, "created_at", "updated_at"),
    ),
    Booking.to_dict,
    "bookings",
    (
        Shown("id"),
        Shown("ref"),
        Shown("booked", ("created_at",)),
        Shown("gross"),
        Shown("customer", ("customer_id",)),
        Shown("refunds"),
        Shown("donations"),
        Shown("date", ("date_id",)),
        Shown("booked by", ("user_booked_by",)),
    ),
    (LINES, lambda booking: booking.lines or ()),
)
"""A row for each booking; `BOOKINGS` has one for each of its lines."""

SEATS: Final = Table[Seat](
    (
        *columns(Seat, "id", "reference.row", "reference.seat", "price_category", "is_booked", "is_cancelled"),
        *columns(Seat, "attendee.title", "attendee.first_name", "attendee.last_name"),
        *columns(Seat, "attendee.company.name", "attendee.company.title", "attendee.telephone", "attendee.email"),
        Column("booking_id", "text", lambda seat: seat.booking_id, reads=("links.booking",)),
        *columns(Seat, "created_at", "updated_at"),
    ),
    Seat.to_dict,
    "seats",
    (
        Shown("id"),
        Shown("row", ("reference_row",)),
        Shown("seat", ("reference_seat",)),
        Shown("price", ("price_category",)),
        Shown("attendee", ("attendee_title", "attendee_first_name", "attendee_last_name")),
        Shown("cancelled", ("is_cancelled",)),
        Shown("booked", ("is_booked",)),
        Shown("email", ("attendee_email",)),
        Shown("telephone", ("attendee_telephone",)),
    ),
)

NOTES: Final = Table[Note](
    (
        *columns(Note, "id", "description", "created_by"),
        Column("customer_id", "text", lambda note: note.customer_id, reads=("links.customer",)),
        *columns(Note, "created_at", "updated_at"),
    ),
    Note.to_dict,
    "notes",
    (
        Shown("id"),
        Shown("description"),
        Shown("by", ("created_by",)),
        Shown("created", ("created_at",)),
    ),
)

DUPLICATES: Final = Table[Duplicate](
    (
        Column("group", "number", lambda row: row.group),
        Column("group_size", "number", lambda row: row.size),
        Column("same", "text", lambda row: ", ".join(row.reasons)),
        *columns(Duplicate, **{column.name: f"customer.{column.reads[0]}" for column in CUSTOMERS.columns}),
    ),
    name="duplicates",
    shown=(
        Shown("group"),
        Shown("same"),
        Shown("id"),
        Shown("name", ("title", "first_name", "last_name")),
        Shown("email"),
        Shown("telephone"),
        Shown("postcode", ("address_postcode",)),
    ),
)

TABLES: Final[Mapping[type, Table[Any]]] = {
    Customer: CUSTOMERS,
    Event: EVENTS,
    Venue: VENUES,
    EventDate: DATES,
    Booking: WHOLE_BOOKINGS,
    Seat: SEATS,
    Note: NOTES,
    Duplicate: DUPLICATES,
}
"""The table of each kind of record, or row."""
