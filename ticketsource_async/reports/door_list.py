"""A door list: the bookings for a performance, for the staff at the door."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, Generic, Literal, TypeVar

from attrs import frozen

from ticketsource_async._words import counted
from ticketsource_async.contacts import words_of
from ticketsource_async.errors import NotFound, TicketSourceError
from ticketsource_async.models import Booking, Customer, Event, EventDate, Note, Seat, Venue
from ticketsource_async.models.base import Record
from ticketsource_async.reports import seating
from ticketsource_async.reports.seating import UNREADABLE, state_of, words
from ticketsource_async.reports.sums import gross_of, is_refund, total

T_co = TypeVar("T_co", covariant=True)

Part = Literal["customer", "seats", "notes"]
Refund = Literal["in full", "in part", "unknown"]
_Names = tuple[str, str, str]

_LACKING: Final[dict[Part, str]] = {
    "customer": "The customer",
    "seats": "All or some of the seats",
    "notes": "All or some of the notes",
}


@frozen
class Fetched(Generic[T_co]):
    """The result of a call: its `value`, None if it failed.

    `errors` says why, or has the errors of the parts of a list that could not be read. `ended` says why a list was not
    read to its end.
    """

    value: T_co | None
    errors: tuple[TicketSourceError, ...] = ()
    ended: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether TicketSource itself answered that there is no such record."""
        return self.value is None and any(isinstance(e, NotFound) and e.is_from_api for e in self.errors)

    @property
    def is_whole(self) -> bool:
        """Whether everything could be read."""
        return not self.errors and self.ended is None


@frozen
class DoorEntry:
    """A booking on a door list. `customer`, `seats` and `notes` are None if you did not ask for them.

    `customer` is also None if the booking names no customer. The texts are for people.
    """

    booking: Booking
    customer: Fetched[Customer] | None = None
    seats: Fetched[Sequence[Seat]] | None = None
    notes: Fetched[Sequence[Note]] | None = None

    @property
    def reference(self) -> str:
        """The reference of the booking, or its id if it has none."""
        return words(self.booking.ref) or self.booking.id

    @property
    def _person(self) -> Customer | None:
        return None if self.customer is None else self.customer.value

    @property
    def _seats(self) -> Sequence[Seat]:
        return (self.seats and self.seats.value) or ()

    @property
    def name(self) -> str:
        """The name of the customer, surname first; else the name of an attendee, else the e-mail, else empty."""
        surname, title, first = self._names()
        return ", ".join(filter(None, (surname, words(title, first))))

    def _names(self) -> _Names:
        """Return the names under which the booking is listed."""
        own = self._own_names()
        if _plain(own[0]) or _plain(own[2]):
            return own
        if guest := self._named_attendee():
            return guest
        email = "" if self._person is None else words(self._person.email)
        return (email, "", "") if email else own

    def _own_names(self) -> _Names:
        """Return surname, title and first name of the customer."""
        if (person := self._person) is None:
            return "", "", ""
        return (
            UNREADABLE if "last_name" in person.invalid else words(person.last_name),
            words(person.title),
            UNREADABLE if "first_name" in person.invalid else words(person.first_name),
        )

    def _named_attendee(self) -> _Names | None:
        """Return the names of the first attendee who has some."""
        guests = (seat.attendee for seat in seating.attendees(self._seats) if seat.attendee)
        names = ((words(guest.last_name), words(guest.title), words(guest.first_name)) for guest in guests)
        return next((name for name in names if _plain(name[0]) or _plain(name[2])), None)

    @property
    def order(self) -> tuple[bool, str, str, str]:
        """The key that sorts the list: by surname, without regard to capitals, accents, spaces and apostrophes."""
        surname, _, first = map(_plain, self._names())
        return (not (surname or first), surname or first, first, self.reference)

    @property
    def attendees(self) -> str:
        """The names of the attendees, each once, in the order of their seats."""
        return ", ".join(dict.fromkeys(map(seating.attendee_name, seating.attendees(self._seats))))

    @property
    def telephone(self) -> str:
        """The telephone of the customer, else that of an attendee."""
        person = self._person
        if person is not None and "telephone" in person.invalid:
            return UNREADABLE
        numbers = [person.telephone if person else None]
        numbers += [seat.attendee.telephone for seat in self._seats if seat.attendee]
        return next(filter(None, (words(number) for number in numbers)), "")

    @property
    def seats_in_words(self) -> str:
        """The seats by price category. The text says what could not be read."""
        if self.seats is None:
            return ""
        if self.seats.value is None:
            return "(could not be read)"
        return seating.in_words(self.seats.value) or "none listed"

    @property
    def places(self) -> int | None:
        """How many seats are sold and not cancelled, None if that is not known."""
        if self.seats is None or self.seats.value is None or not self.seats.is_whole:
            return None
        return seating.places(self.seats.value)

    @property
    def notes_in_words(self) -> str:
        """The notes of staff on the customer, one a line."""
        if self.notes is None or self.notes.value is None:
            return "" if self.notes is None or self.notes.is_gone else "(could not be read)"
        said = (
            UNREADABLE if "description" in note.invalid else (note.description or "").strip()
            for note in self.notes.value
        )
        return "\n".join(filter(None, said))

    @property
    def mark(self) -> str:
        """CANCELLED if all seats are cancelled, REFUNDED if all money for tickets was paid back, else empty."""
        states = {state_of(seat) for seat in self._seats}
        if states == {"cancelled"} and self.seats is not None and self.seats.is_whole:
            return "CANCELLED"
        return "REFUNDED" if refund_of(self.booking) == "in full" else ""

    @property
    def is_void(self) -> bool:
        """Whether the booking has a mark, and no known seat that is not cancelled."""
        return bool(self.mark) and all(state_of(seat) == "cancelled" for seat in self._seats)

    @property
    def lacking(self) -> tuple[Part, ...]:
        """The parts of the booking that could not be read, or not completely."""
        return tuple(part for part, fetched in self._parts() if not fetched.is_whole and not self._is_expected(part))

    def _is_expected(self, part: Part) -> bool:
        """Say whether a part is missing because the box office deleted the customer, and with them the notes."""
        return part != "seats" and any(name == part and fetched.is_gone for name, fetched in self._parts())

    def _parts(self) -> "Iterator[tuple[Part, Fetched[Customer] | Fetched[Sequence[Seat]] | Fetched[Sequence[Note]]]]":
        if self.customer is not None:
            yield "customer", self.customer
        if self.seats is not None:
            yield "seats", self.seats
        if self.notes is not None:
            yield "notes", self.notes

    @property
    def errors(self) -> tuple[TicketSourceError, ...]:
        """The errors of the parts that could not be read."""
        return tuple(error for part, fetched in self._parts() if part in self.lacking for error in fetched.errors)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Other things that the staff at the door should know."""
        return tuple(self._remarks())

    def _remarks(self) -> Iterator[str]:
        refund = refund_of(self.booking)
        if refund == "unknown":
            yield "refunds could not be read"
        elif refund is not None and not (self.is_void and self.mark == "REFUNDED"):
            kept = ", seats not cancelled" if self.mark == "REFUNDED" else ""
            yield f"refunded {refund}{kept}"
        if self.customer is None:
            yield "the booking has no customer"
        elif self.customer.is_gone:
            yield "this customer is no longer in TicketSource"
        if self._named_attendee() and self._names() != self._own_names():
            yield "the name is that of an attendee"
        elif self._person is not None and not self.name:
            yield "the customer has no name"
        for part, fetched in self._parts():
            if part in self.lacking:
                some = "some " if fetched.value is not None else ""
                yield f"{some or 'the ' * (part == 'customer')}{part} could not be read"


def refund_of(booking: Booking) -> Refund | None:
    """Return how much of the money for tickets was paid back, None for nothing."""
    if booking.lines is None:
        return "unknown" if "lines" in booking.invalid else None
    lines = [line for line in booking.lines if line.line_type in ("TICKETS", None)]
    refunded = [is_refund(line) for line in lines]
    if not any(refunded):
        return "unknown" if None in refunded else None
    left = None if None in refunded else total(map(gross_of, lines))
    return "unknown" if left is None else "in full" if left <= 0 else "in part"


def _plain(name: str) -> str:
    """Return the key that sorts a name; it is empty for a name that could not be read."""
    return "" if name == UNREADABLE else "".join(words_of(name))


@frozen
class DoorList:
    """The bookings for a performance, by surname. A part that could not be read is None; `errors` has its error.

    `errors` are those of the list of bookings and of the performance. Each entry has its own errors. `ended` says why
    the list of bookings was not read to its end, None if it was. `read_at` is the time of reading, by the clock of this
    machine.
    """

    date_id: str
    date: EventDate | None
    event: Event | None
    venue: Venue | None
    entries: tuple[DoorEntry, ...]
    """The bookings, by surname."""
    errors: tuple[TicketSourceError, ...]
    missing_bookings: int
    """How many bookings could not be read."""
    ended: str | None
    has_seats: bool
    """Whether you asked for the seats."""
    has_notes: bool
    """Whether you asked for the notes."""
    read_at: datetime

    @property
    def title(self) -> str:
        """The performance: event, start as the API writes it without its offset, venue."""
        start = None if self.date is None else self.date.start
        when = "start unknown" if start is None else f"{start:%Y-%m-%d %H:%M}"
        event = words(None if self.event is None else self.event.name) or f"date {self.date_id}"
        return ", ".join(filter(None, (event, when, words(None if self.venue is None else self.venue.name))))

    @property
    def _is_cancelled(self) -> bool | None:
        return None if self.date is None else self.date.cancelled

    @property
    def is_complete(self) -> bool:
        """Whether no booking and no part of one is missing."""
        return not self.errors and self.ended is None and not any(entry.lacking for entry in self.entries)

    @property
    def reminder(self) -> str:
        """The performance and the most important warning, for the head of each page."""
        cancelled = {True: "CANCELLED", None: "PERHAPS CANCELLED"}.get(self._is_cancelled, "")
        return " - ".join(filter(None, (self.title, cancelled, "" if self.is_complete else "NOT COMPLETE")))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the performance or the list."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self._is_cancelled:
            yield "This performance is cancelled."
        elif self._is_cancelled is None:
            yield "TicketSource does not say whether this performance is cancelled."
        if self.ended is not None:
            yield f"People may be missing: the list of bookings could not be read to its end ({self.ended})."
        if self.missing_bookings:
            yield f"People are missing: {counted(self.missing_bookings, 'booking')} could not be read."
        for what, part in (("date", self.date), ("event", self.event), ("venue", self.venue)):
            if part is None and (what == "date" or (self.date is not None and getattr(self.date, f"{what}_id"))):
                yield f"The {'performance' if what == 'date' else what} could not be read."
        lacking = Counter(part for entry in self.entries for part in entry.lacking)
        for name, said in _LACKING.items():
            if number := lacking[name]:
                yield f"{said} of {counted(number, 'booking')} could not be read."

    @property
    def lines(self) -> tuple[str, ...]:
        """The numbers of bookings and seats, and when the list was read."""
        said = counted(len(self.entries), "booking")
        if self.has_seats:
            known = [entry.places for entry in self.entries if entry.places is not None]
            unknown = len(self.entries) - len(known)
            said += f", {counted(sum(known), 'place')}"
            said += f" besides those of {counted(unknown, 'booking')} that are not known" if unknown else ""
        if marked := sum(bool(entry.mark) for entry in self.entries):
            said += f"; {counted(marked, 'booking')} cancelled or refunded"
        start = None if self.date is None else self.date.start
        offset = "" if start is None else f" The start is as TicketSource writes it, in UTC{start.isoformat()[-6:]}."
        return (f"{said}. Read from TicketSource on {self.read_at:%Y-%m-%d at %H:%M}.{offset}",)

    def records(self) -> Iterator[Record]:
        """Yield every record of the list, so that you can report the values that could not be read."""
        yield from filter(None, (self.date, self.event, self.venue))
        customers: dict[str, Customer] = {}
        notes: dict[str, Note] = {}
        for entry in self.entries:
            yield entry.booking
            if entry.customer is not None and (person := entry.customer.value) is not None:
                customers[person.id] = person
            yield from (entry.seats and entry.seats.value) or ()
            notes |= {note.id: note for note in (entry.notes and entry.notes.value) or ()}
        yield from (*customers.values(), *notes.values())

    def failures(self) -> Iterator[TicketSourceError]:
        """Yield every error once. Those of the list come first."""
        told: dict[int, TicketSourceError] = {id(error): error for error in self.errors}
        for entry in self.entries:
            told |= {id(error): error for error in entry.errors}
        yield from told.values()


def in_order(entries: Iterable[DoorEntry]) -> tuple[DoorEntry, ...]:
    """Return the entries by surname. Those without a name come last, by reference."""
    return tuple(sorted(entries, key=lambda entry: entry.order))
