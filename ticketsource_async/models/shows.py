"""What is on, where and when: events, venues and dates."""

from datetime import date, datetime, timedelta
from typing import ClassVar, Final, Self

import attrs

from ticketsource_async.models.base import Address, Consent, Part, Record, last_segment

_DAY: Final = timedelta(days=1)
_OPERATOR: Final = "filter[start][operator]"
_VALUE: Final = "filter[start][value]"


@attrs.frozen
class EventImage(Part):
    """A picture of an event: `type` says which, `src` where."""

    type: str | None = None
    src: str | None = None


@attrs.frozen
class ThirdPartyConsent(Part):
    """Whether buyers are asked to let a third party (`name`) contact them, and by which ways."""

    capture: bool | None = None
    name: str | None = None
    show_consent: Consent | None = None


@attrs.frozen
class Event(Record):
    """A show, without its venues and dates; `description` and `terms` are HTML, `category` is an open set."""

    API_TYPE: ClassVar[str] = "event"
    ID_PREFIX: ClassVar[str] = "evt-"

    name: str | None = None
    reference: str | None = None
    description: str | None = None
    comment: str | None = None
    keywords: str | None = None
    terms: str | None = None
    category: str | None = None
    genre: str | None = None
    images: tuple[EventImage, ...] | None = None
    third_party_consent: ThirdPartyConsent | None = None
    activated: bool | None = None
    archived: bool | None = None
    public: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen
class BoxOffice(Part):
    """Where to reach the box office of a venue."""

    telephone: str | None = None
    email: str | None = None


@attrs.frozen
class Venue(Record):
    """A place where an event is on."""

    API_TYPE: ClassVar[str] = "venue"
    ID_PREFIX: ClassVar[str] = "ven-"

    name: str | None = None
    address: Address | None = None
    boxoffice: BoxOffice | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def event_id(self) -> str | None:
        """The event it belongs to, read from `links.event`; None without that link."""
        return last_segment(self.links.event)


@attrs.frozen
class EventDate(Record):
    """One performance of an event (the API's "date"); `links.book_now` is the page to buy at.

    The times are as written, never converted: whether the API's `+00:00` means UTC or the clock on the wall in the
    United Kingdom is not documented.
    """

    API_TYPE: ClassVar[str] = "date"
    ID_PREFIX: ClassVar[str] = "dat-"

    doors_open: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    on_sale: bool | None = None
    on_sale_start: datetime | None = None
    on_sale_end: datetime | None = None
    public: bool | None = None
    cancelled: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def event_id(self) -> str | None:
        """The event it is of, read from `links.event`; None without that link."""
        return last_segment(self.links.event)

    @property
    def venue_id(self) -> str | None:
        """The venue it is at, read from `links.venue`; None without that link."""
        return last_segment(self.links.venue)


def _check_day(_: object, attribute: "attrs.Attribute[date | None]", value: object) -> None:
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise TypeError(f"{attribute.name} must be a day, a datetime.date, not {value!r}")


@attrs.frozen
class StartFilter:
    """Which dates of a list to keep, by the calendar day as written in `start`: from `first` to `last`, both in.

    None is no bound. A date without a `start` is kept, since it is not known to be outside.
    """

    first: date | None = attrs.field(default=None, validator=_check_day)
    last: date | None = attrs.field(default=None, validator=_check_day)

    def __attrs_post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"no day is from {self.first} to {self.last}: give the earlier day first")

    @classmethod
    def on(cls, day: date) -> Self:
        """Keep the dates that start on this day."""
        return cls(day, day)

    @classmethod
    def before(cls, day: date) -> Self:
        """Keep the dates that start before this day, not on it."""
        return cls(None, day - _DAY)

    @classmethod
    def after(cls, day: date) -> Self:
        """Keep the dates that start after this day, not on it."""
        return cls(day + _DAY, None)

    @classmethod
    def between(cls, first: date, last: date) -> Self:
        """Keep the dates that start on one of these days or between them."""
        return cls(first, last)

    def keeps(self, event_date: EventDate) -> bool:
        """Say whether a date is within the bounds, or not known to be outside."""
        if event_date.start is None:
            return True
        day = event_date.start.date()
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def query(self) -> dict[str, str]:
        """Return what to ask the server for: a day more than is kept on each side, also if its bounds are exclusive.

        Nobody knows what its bounds include, or in which zone its days are. It takes one bound, so the first counts
        where there are two.
        """
        try:
            if self.first is not None:
                return {_OPERATOR: "after", _VALUE: str(self.first - 2 * _DAY)}
            if self.last is not None:
                return {_OPERATOR: "before", _VALUE: str(self.last + 2 * _DAY)}
        except OverflowError:  # at the ends of the calendar nothing is outside
            pass
        return {}
