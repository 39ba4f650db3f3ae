"""The tables that people see. Each column is defined once: its name, kind, value and the field that it writes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from attrs import evolve, frozen

from ticketsource_async.errors import UnreadableValue
from ticketsource_async.models import (
    Address,
    AddressDraft,
    Booking,
    BookingLine,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Event,
    EventDate,
    Membership,
    MembershipDraft,
    Venue,
)
from ticketsource_async.models.reader import Kind, kind_of

if TYPE_CHECKING:
    from ticketsource_async.sync.changes import Change

T = TypeVar("T")

Value = str | bool | int | date | Decimal | None
"""The value of a cell."""


@frozen
class Column(Generic[T]):
    """A column of a table.

    `writes` is the field of a `CustomerDraft` that the column sets, with the field of the part; it is empty if there is
    none. `reads` are the dotted paths of the fields that give the value, without positions in lists:
    `lines.amount.net`.
    """

    name: str
    """The name, as in the first row of a file."""
    kind: Kind
    """The kind of its values."""
    get: Callable[[T], Value]
    """A function that returns the value of an item."""
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The dotted path of the field that the column writes, as in `record.invalid`."""
        return ".".join(self.writes)


@frozen
class Shown:
    """A column of a list on a terminal: its `heading`, and the columns that it `joins`, else the one of that name.

    `between` is the text between joined cells.
    """

    heading: str
    joins: tuple[str, ...] = ()
    between: str = " "

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.joins or (self.heading.replace(" ", "_"),)


@frozen
class Printed(Generic[T]):
    """How a table is printed: a `title` and `lines` above it, and `warnings` and a `reminder` on each page.

    `widths` has the columns to print, which are the first ones of the table, with the greatest number of characters in
    a line. In the column `ticked`, an empty cell is a box to tick. The column `of_row` names the row. `is_void` says
    whether an item does not count any more. `if_empty` is the text if there are no rows.
    """

    title: str
    widths: Mapping[str, int]
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reminder: str = ""
    ticked: str = ""
    of_row: str = ""
    is_void: Callable[[T], bool] = lambda _: False
    if_empty: str = "No rows."


@frozen
class Table(Generic[T]):
    """A table of items of one kind. New columns are added at the end; no column is removed.

    `whole` returns the whole item as JSON-able data, if it has more than the columns. `name` is the name of a sheet.
    `shown` has the columns of a list on a terminal, the most important first. `parts` has the table of the parts of an
    item, and a function that returns the parts. `printed` is set for a table that people print, from HTML or XLSX.
    """

    columns: tuple[Column[T], ...]
    """The columns in their order."""
    whole: Callable[[T], dict[str, object]] | None = None
    name: str = "rows"
    shown: tuple[Shown, ...] = ()
    parts: "tuple[Table[Any], Callable[[T], Sequence[Any]]] | None" = None
    printed: Printed[T] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def row(self, item: T) -> tuple[Value, ...]:
        """Return the values of an item, one for each column."""
        return tuple([column.get(item) for column in self.columns])

    def to_dict(self, item: T) -> dict[str, object]:
        """Return an item as JSON-able data."""
        if self.whole is not None:
            return self.whole(item)
        return {column.name: to_json(column.get(item)) for column in self.columns}


def _column(cls: type, path: str, name: str) -> Column[Any]:
    """Return the column of a field. Its kind is that of the field's type."""
    part, _, inner = path.rpartition(".")
    draft = attrs.fields_dict(CustomerDraft).keys() if cls is Customer else ()
    writes = tuple(path.split(".")) if path.partition(".")[0] in draft else ()
    get = _getter(*part.split("."), inner) if part else _getter(inner)
    return Column(name, kind_of(cls, path), get, writes, (path,))


def columns(cls: type, *paths: str, **named: str) -> tuple[Column[Any], ...]:
    """Return the columns of fields. Those in `paths` are named as their path; those in `named` have another name."""
    names = {path.replace(".", "_"): path for path in paths} | named
    return tuple(_column(cls, path, name) for name, path in names.items())


def _getter(*names: str) -> Callable[[Any], Any]:
    """Return a function that returns a field, or None if a part on the path is None."""

    def get(item: Any) -> Any:
        for name in names:
            if item is None:
                return None
            item = getattr(item, name)
        return item

    return get


def text_of(value: Value) -> str:
    """Return a value as the text of a cell. None is empty, days and times are in ISO 8601, money is as written."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"  # no exponent, as in `to_dict`
    return value.isoformat() if isinstance(value, date) else str(value)


def money_text(amount: Decimal) -> str:
    """Return an amount for people, with at least two decimals. It is never rounded."""
    whole, _, part = f"{amount:f}".partition(".")
    return f"{whole}.{part:0<2}"


def to_json(value: Value) -> str | bool | int | None:
    """Return a value for JSON. Days, times and money are texts."""
    return value if isinstance(value, str | bool | int | None) else text_of(value)


# Customers


ADDRESS_FIELDS: Final = ("address.line_1", "address.line_2", "address.line_3", "address.line_4", "address.postcode")
"""The paths of the fields of an address."""

CUSTOMERS: Final = Table[Customer](
    columns(
        Customer,
        *("id", "title", "first_name", "last_name"),
        *(*ADDRESS_FIELDS, "telephone", "email"),
        *("membership.identifier", "membership.start_date", "membership.end_date"),
        *("consent.email", "consent.post", "consent.sms"),
        *("created_at", "updated_at"),
    ),
    Customer.to_dict,
    "customers",
    (
        Shown("id"),
        Shown("name", ("title", "first_name", "last_name")),
        Shown("email"),
        Shown("telephone"),
        Shown("postcode", ("address_postcode",)),
        Shown("consent email"),
        Shown("consent post"),
        Shown("consent sms"),
        Shown("member", ("membership_identifier",)),
    ),
)
"""The columns of customers."""
WRITABLE: Final[Mapping[str, Column[Customer]]] = {c.name: c for c in CUSTOMERS.columns if c.writes}
"""The columns of `CUSTOMERS` that the API can write."""


def is_consent(name: str) -> bool:
    """Say whether a column is a consent to be contacted."""
    return WRITABLE[name].writes[:1] == ("consent",)


Values = Mapping[str, Value]
"""The values to write to a customer, by column. None clears a field."""

_PARTS: Final[Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "address": (Address, AddressDraft),
    "membership": (Membership, MembershipDraft),
    "consent": (Consent, ConsentDraft),
}


def apply_values(before: Customer, values: Values) -> Customer:
    """Return the customer with these new values.

    Raises `UnreadableValue` for single fields of an address or a membership that could not be read at all: the write
    would clear the rest of it. A consent is sent without the others.
    """
    changed: dict[str, Any] = {}
    for part, given in _by_part(values):
        if not part:
            changed |= given
            continue
        if part in before.invalid and part != "consent":
            raise UnreadableValue(
                f"{part} of {before.id} could not be read, so it cannot be changed in part: correct it in TicketSource "
                "first.",
                before.id,
                part,
            )
        old = getattr(before, part)
        if old is not None or any(value is not None for value in given.values()):
            changed[part] = evolve(old or _PARTS[part][0](), **given)
    # A new value replaces one that could not be read.
    replaced = {WRITABLE[name].path for name in values}
    return evolve(
        before, **changed, invalid={path: raw for path, raw in before.invalid.items() if path not in replaced}
    )


def draft_of(values: Values) -> CustomerDraft:
    """Return the draft that creates a customer with these values."""
    changed: dict[str, Any] = {}
    for part, given in _by_part(values):
        changed |= {part: _PARTS[part][1](**given)} if part else given
    return CustomerDraft(**changed)


def _by_part(values: Values) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the values of each part, with its name. The customer's own values come under an empty name."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        *part, field = WRITABLE[name].writes
        parts.setdefault("".join(part), {})[field] = value
    yield from parts.items()


# Bookings


@frozen
class SoldLine:
    """A row of the bookings: one line of a booking. `number` begins at 1. A booking without lines has one empty row."""

    event: Event
    date: EventDate
    booking: Booking
    number: int | None
    """The place of the line in its booking, from 1. None if the booking has no lines."""
    line: BookingLine
    """The line."""
    customer: Customer | None = None
    """The customer who booked, if you passed one."""


def sold_lines(
    event: Event, event_date: EventDate, booking: Booking, customer: Customer | None = None
) -> list[SoldLine]:
    """Return the rows of a booking."""
    if not booking.lines:
        return [SoldLine(event, event_date, booking, None, BookingLine(), customer)]
    return [
        SoldLine(event, event_date, booking, number, line, customer) for number, line in enumerate(booking.lines, 1)
    ]


LINE_FIELDS: Final = {
    "line_type": "line_type",
    "payment_method": "payment_method",
    "is_refund": "is_refund",
    "gross": "amount.gross",
    "fee": "amount.fee",
    "fee_vat": "amount.fee_vat",
    "net": "amount.net",
    "discount_automatic": "amount.discounts.automatic",
    "discount_code": "amount.discounts.code.description",
    "discount_code_amount": "amount.discounts.code.amount",
    "gift_aid": "donation.gift_aid",
}
"""The columns of a line, with the paths of their fields."""

BOOKINGS: Final = Table[SoldLine](
    (
        _column(SoldLine, "event.id", "event_id"),
        _column(SoldLine, "event.name", "event_name"),
        _column(SoldLine, "date.id", "date_id"),
        _column(SoldLine, "date.start", "date_start"),
        _column(SoldLine, "booking.id", "booking_id"),
        _column(SoldLine, "booking.ref", "ref"),
        Column("customer_id", "text", lambda row: row.booking.customer_id),
        _column(SoldLine, "booking.user_booked_by", "user_booked_by"),
        Column("line", "number", lambda row: row.number),
        *columns(SoldLine, **{name: f"line.{path}" for name, path in LINE_FIELDS.items()}),
        _column(SoldLine, "booking.consent.third_party", "consent_third_party"),
        _column(SoldLine, "booking.consent.email", "consent_email"),
        _column(SoldLine, "booking.consent.post", "consent_post"),
        _column(SoldLine, "booking.consent.sms", "consent_sms"),
        _column(SoldLine, "booking.created_at", "created_at"),
        _column(SoldLine, "booking.updated_at", "updated_at"),
    ),
    name="bookings",
)
"""The columns of bookings: a row for each line of a booking, made by `sold_lines`."""

BOOKINGS_WITH_CUSTOMER: Final = Table[SoldLine](
    (
        *BOOKINGS.columns,
        *(
            _column(SoldLine, f"customer.{name}", f"customer_{name}")
            for name in ("first_name", "last_name", "email", "telephone")
        ),
    ),
    name="bookings",
)
"""The columns of `BOOKINGS`, and the name, e-mail and telephone of the customer."""


# The programme


@frozen
class Performance:
    """A row of the programme: a date with its event, and its venue if the API names one."""

    event: Event
    date: EventDate
    venue: Venue | None


PROGRAMME: Final = Table[Performance](
    (
        _column(Performance, "event.id", "event_id"),
        _column(Performance, "event.name", "event_name"),
        _column(Performance, "event.category", "category"),
        _column(Performance, "event.genre", "genre"),
        _column(Performance, "date.id", "date_id"),
        _column(Performance, "date.start", "start"),
        _column(Performance, "date.end", "end"),
        _column(Performance, "date.doors_open", "doors_open"),
        _column(Performance, "date.on_sale", "on_sale"),
        _column(Performance, "date.public", "public"),
        _column(Performance, "date.cancelled", "cancelled"),
        Column("venue_id", "text", lambda row: row.date.venue_id),
        _column(Performance, "venue.name", "venue_name"),
        _column(Performance, "venue.address.postcode", "venue_postcode"),
        Column("book_now", "text", lambda row: row.date.links.book_now),
    ),
    name="programme",
)
"""The columns of the programme: a row for each `Performance`."""


# Changes


def _now_and_before(column: Column[Customer]) -> "tuple[Column[Change], Column[Change]]":
    """Return two columns for one of the customers: the value now (of a deletion, the last), and the value before."""

    def value_of(customer: Customer | None) -> Value:
        return None if customer is None else column.get(customer)

    def now(change: "Change") -> Value:
        return value_of(change.before if change.after is None else change.after)

    def before(change: "Change") -> Value:
        return value_of(change.before)

    return Column(column.name, column.kind, now), Column(f"before_{column.name}", column.kind, before)


CHANGES: Final = Table["Change"](
    (
        Column("change", "text", lambda change: change.kind),
        Column("id", "text", lambda change: change.id),
        Column("fields", "text", lambda change: " ".join(getattr(change, "fields", ()))),
        Column("consent_changed", "yes", lambda change: change.consent_changed),
        *(both for column in CUSTOMERS.columns[1:] for both in _now_and_before(column)),
        Column("same_contact", "text", lambda change: " ".join(getattr(change, "same_contact", ()))),
        Column("ignored_contacts", "number", lambda change: getattr(change, "ignored_contacts", None)),
    ),
    lambda change: change.to_dict(),
    "changes",
)
"""The columns of changes of customers: each field now and before."""
