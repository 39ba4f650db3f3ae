"""The records that the API returns, and the drafts that are sent to it.

They are plain values, independent of envelopes and of the network. `reader.py` makes records from the API's rows.
`_wire/drafts.py` makes the bodies that send drafts. Each name that is imported here is public.
"""

from ticketsource_async.models.base import (
    UNSET as UNSET,
    Address as Address,
    Consent as Consent,
    Links as Links,
    Part as Part,
    Record as Record,
    Unset as Unset,
)
from ticketsource_async.models.bookings import (
    Amount as Amount,
    Attendee as Attendee,
    Booking as Booking,
    BookingConsent as BookingConsent,
    BookingLine as BookingLine,
    Company as Company,
    DiscountCode as DiscountCode,
    Discounts as Discounts,
    Donation as Donation,
    Seat as Seat,
    SeatReference as SeatReference,
    Totals as Totals,
)
from ticketsource_async.models.customers import (
    AddressDraft as AddressDraft,
    ConsentDraft as ConsentDraft,
    Customer as Customer,
    CustomerDraft as CustomerDraft,
    Membership as Membership,
    MembershipDraft as MembershipDraft,
    Note as Note,
    NoteDraft as NoteDraft,
)
from ticketsource_async.models.shows import (
    BoxOffice as BoxOffice,
    Event as Event,
    EventDate as EventDate,
    EventImage as EventImage,
    StartFilter as StartFilter,
    ThirdPartyConsent as ThirdPartyConsent,
    Venue as Venue,
)
