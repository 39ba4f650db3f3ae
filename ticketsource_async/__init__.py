"""An asyncio client for the TicketSource API: the front door, public names and nothing else.

Each name is loaded from its room when it is first used, so that neither the pytest plugin nor `ticketsource --help`
pays for the HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ticketsource_async.bulk import Bulk, Outcome
    from ticketsource_async.call_events import AttemptEvent, CallEvent, PageEvent, RetryEvent, WaitEvent
    from ticketsource_async.changes import Change, Created, Deleted, Updated
    from ticketsource_async.client import ClientOptions, TicketSource
    from ticketsource_async.config import RateLimit, RetryPolicy, Timeouts
    from ticketsource_async.customer_store import CustomerStore
    from ticketsource_async.errors import (
        AccessBlocked,
        APIError,
        AuthenticationFailed,
        ClientClosed,
        ConfigurationError,
        ConnectFailed,
        ConnectionLost,
        ErrorObject,
        InvalidResponse,
        LimiterUnavailable,
        NotFound,
        OutcomeUnknown,
        PaginationError,
        PermissionDenied,
        RateLimited,
        RequestTimedOut,
        ServerError,
        StoreError,
        StoreInUse,
        TicketSourceError,
        TransportError,
        UnreadableValue,
        ValidationFailed,
    )
    from ticketsource_async.models import (
        UNSET,
        Address,
        AddressDraft,
        Amount,
        Attendee,
        Booking,
        BookingConsent,
        BookingLine,
        BoxOffice,
        Company,
        Consent,
        ConsentDraft,
        Customer,
        CustomerDraft,
        DiscountCode,
        Discounts,
        Donation,
        Event,
        EventDate,
        EventImage,
        Links,
        Membership,
        MembershipDraft,
        Note,
        NoteDraft,
        Seat,
        SeatReference,
        StartFilter,
        ThirdPartyConsent,
        Totals,
        Unset,
        Venue,
    )
    from ticketsource_async.pagination import ListReport, Page, Pager
    from ticketsource_async.ratelimit import RateLimiter
    from ticketsource_async.ratelimit.local import LocalRateLimiter
    from ticketsource_async.resources import BulkOptions, ListOptions

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "APIError",
    "AccessBlocked",
    "Address",
    "AddressDraft",
    "Amount",
    "AttemptEvent",
    "Attendee",
    "AuthenticationFailed",
    "Booking",
    "BookingConsent",
    "BookingLine",
    "BoxOffice",
    "Bulk",
    "BulkOptions",
    "CallEvent",
    "Change",
    "ClientClosed",
    "ClientOptions",
    "Company",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "Consent",
    "ConsentDraft",
    "Created",
    "Customer",
    "CustomerDraft",
    "CustomerStore",
    "Deleted",
    "DiscountCode",
    "Discounts",
    "Donation",
    "ErrorObject",
    "Event",
    "EventDate",
    "EventImage",
    "InvalidResponse",
    "LimiterUnavailable",
    "Links",
    "ListOptions",
    "ListReport",
    "LocalRateLimiter",
    "Membership",
    "MembershipDraft",
    "NotFound",
    "Note",
    "NoteDraft",
    "Outcome",
    "OutcomeUnknown",
    "Page",
    "PageEvent",
    "Pager",
    "PaginationError",
    "PermissionDenied",
    "RateLimit",
    "RateLimited",
    "RateLimiter",
    "RequestTimedOut",
    "RetryEvent",
    "RetryPolicy",
    "Seat",
    "SeatReference",
    "ServerError",
    "StartFilter",
    "StoreError",
    "StoreInUse",
    "ThirdPartyConsent",
    "TicketSource",
    "TicketSourceError",
    "Timeouts",
    "Totals",
    "TransportError",
    "UnreadableValue",
    "Unset",
    "Updated",
    "ValidationFailed",
    "Venue",
    "WaitEvent",
]

_ROOMS = (
    "errors",
    "models",
    "config",
    "call_events",
    "ratelimit",
    "ratelimit.local",
    "pagination",
    "bulk",
    "changes",
    "customer_store",
    "resources",
    "client",
)


def __getattr__(name: str) -> object:
    if name in __all__:
        for room in _ROOMS:  # from the ground up, so that an error or a model is found without the HTTP library
            if (found := getattr(import_module(f"{__name__}.{room}"), name, None)) is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
