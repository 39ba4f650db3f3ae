"""What the API returns (records) and what is sent to it (drafts).

Plain values: nothing here knows an envelope or the network. `reader.py` makes records of the API's rows,
`_wire/drafts.py` makes the bodies that send drafts.
"""

from ticketsource_async.models.base import UNSET, Address, Consent, Links, Unset
from ticketsource_async.models.bookings import (
    Amount,
    Attendee,
    Booking,
    BookingConsent,
    BookingLine,
    Company,
    DiscountCode,
    Discounts,
    Donation,
    Seat,
    SeatReference,
    Totals,
)
from ticketsource_async.models.customers import (
    AddressDraft,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Membership,
    MembershipDraft,
    Note,
    NoteDraft,
)
from ticketsource_async.models.shows import (
    BoxOffice,
    Event,
    EventDate,
    EventImage,
    StartFilter,
    ThirdPartyConsent,
    Venue,
)
from ticketsource_async.models.values import NOTHING

__all__ = [
    "NOTHING",
    "UNSET",
    "Address",
    "AddressDraft",
    "Amount",
    "Attendee",
    "Booking",
    "BookingConsent",
    "BookingLine",
    "BoxOffice",
    "Company",
    "Consent",
    "ConsentDraft",
    "Customer",
    "CustomerDraft",
    "DiscountCode",
    "Discounts",
    "Donation",
    "Event",
    "EventDate",
    "EventImage",
    "Links",
    "Membership",
    "MembershipDraft",
    "Note",
    "NoteDraft",
    "Seat",
    "SeatReference",
    "StartFilter",
    "ThirdPartyConsent",
    "Totals",
    "Unset",
    "Venue",
]
