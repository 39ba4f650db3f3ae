"""Events, their venues and their dates."""

from datetime import date, datetime, timedelta
from typing import ClassVar, Final, Self

import attrs

from ticketsource_async.models.base import Address, Consent, Part, Record, last_segment

_DAY: Final = timedelta(days=1)
_OPERATOR: Final = "filter[start][operator]"
_VALUE: Final = "filter[start][value]"


@attrs.frozen
class EventImage(Part):
    """A picture of an event: `type` is its kind, `src` its address."""

    type: str | None = None
    src: str | None = None


@attrs.frozen
class ThirdPartyConsent(Part):
    """Whether buyers are asked for consent to be contacted by a third party (`name`), and by which ways."""

    capture: bool | None = None
    """Whether buyers are asked."""
    name: str | None = None
    show_consent: Consent | None = None
    """The ways for which they are asked."""


@attrs.frozen
class Event(Record):
    """A show, without its venues and dates.

    `description` and `terms` are HTML. `category` may have other values than the documented ones.
    """

    API_TYPE: ClassVar[str] = "event"
    ID_PREFIX: ClassVar[str] = "evt-"

    name: str | None = None
    reference: str | None = None
    """The reference of the event."""
    description: str | None = None
    comment: str | None = None
    """The comment."""
    keywords: str | None = None
    """The keywords, in one text."""
    terms: str | None = None
    category: str | None = None
    genre: str | None = None
    images: tuple[EventImage, ...] | None = None
    """The pictures."""
    third_party_consent: ThirdPartyConsent | None = None
    """What buyers are asked on behalf of a third party."""
    activated: bool | None = None
    """Whether the event is activated."""
    archived: bool | None = None
    """Whether it is archived."""
    public: bool | None = None
    """Whether it is public."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen
class BoxOffice(Part):
    """The contact details of the box office of a venue."""

    telephone: str | None = None
    email: str | None = None


@attrs.frozen
class Venue(Record):
    """A place where an event takes place."""

    API_TYPE: ClassVar[str] = "venue"
    ID_PREFIX: ClassVar[str] = "ven-"

    name: str | None = None
    address: Address | None = None
    boxoffice: BoxOffice | None = None
    """How to reach the box office of the venue."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def event_id(self) -> str | None:
        """The id of the event at the venue, read from `links.event`; None without that link."""
        return last_segment(self.links.event)


@attrs.frozen
class EventDate(Record):
    """One performance of an event (the API's "date"); `links.book_now` is the page that sells it.

    The times are as the API writes them and are never converted. It is not documented whether the API's `+00:00` means
    UTC or the local time of the United Kingdom.
    """

    API_TYPE: ClassVar[str] = "date"
    ID_PREFIX: ClassVar[str] = "dat-"

    doors_open: datetime | None = None
    """When the doors open."""
    start: datetime | None = None
    """When the performance starts."""
    end: datetime | None = None
    """When it ends."""
    on_sale: bool | None = None
    """Whether tickets are on sale."""
    on_sale_start: datetime | None = None
    """When the sale starts."""
    on_sale_end: datetime | None = None
    """When the sale ends."""
    public: bool | None = None
    """Whether the date is public."""
    cancelled: bool | None = None
    """Whether it is cancelled."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def event_id(self) -> str | None:
        """The id of the event, read from `links.event`; None without that link."""
        return last_segment(self.links.event)

    @property
    def venue_id(self) -> str | None:
        """The id of the venue, read from `links.venue`; None without that link."""
        return last_segment(self.links.venue)


def _check_day(_: object, attribute: "attrs.Attribute[date | None]", value: object) -> None:
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise TypeError(f"{attribute.name} must be a day (datetime.date), not {value!r}")


@attrs.frozen
class StartFilter:
    """Keep the dates of a list whose `start` is from `first` to `last`, both days included.

    The calendar day is the one written in `start`. None is no bound. A date without a `start` is kept, because it may
    be within the bounds.
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
        """Keep the dates that start on `first`, on `last` or between them."""
        return cls(first, last)

    def keeps(self, event_date: EventDate) -> bool:
        """Say whether to keep a date: it is within the bounds, or has no `start`."""
        if event_date.start is None:
            return True
        day = event_date.start.date()
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def query(self) -> dict[str, str]:
        """Return the query for the server; it asks for at least one day more than is kept.

        It is not known whether the server includes its bounds, or in which time zone its days are. The server takes
        only one bound. If there are two, `first` is sent.
        """
        try:
            if self.first is not None:
                return {_OPERATOR: "after", _VALUE: str(self.first - 2 * _DAY)}
            if self.last is not None:
                return {_OPERATOR: "before", _VALUE: str(self.last + 2 * _DAY)}
        except OverflowError:  # no day lies beyond the ends of the calendar
            pass
        return {}
