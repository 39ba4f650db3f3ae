# The public names, each once: type checkers read them here, and `__init__.py` finds here in which module a name is.

from ticketsource_async._version import __version__ as __version__
from ticketsource_async.bulk import (
    Bulk as Bulk,
)
from ticketsource_async.bulk import (
    Outcome as Outcome,
)
from ticketsource_async.call_events import (
    AttemptEvent as AttemptEvent,
)
from ticketsource_async.call_events import (
    CallEvent as CallEvent,
)
from ticketsource_async.call_events import (
    PageEvent as PageEvent,
)
from ticketsource_async.call_events import (
    RetryEvent as RetryEvent,
)
from ticketsource_async.call_events import (
    WaitEvent as WaitEvent,
)
from ticketsource_async.client import (
    ClientOptions as ClientOptions,
)
from ticketsource_async.client import (
    TicketSource as TicketSource,
)
from ticketsource_async.config import (
    RateLimit as RateLimit,
)
from ticketsource_async.config import (
    RetryPolicy as RetryPolicy,
)
from ticketsource_async.config import (
    Timeouts as Timeouts,
)
from ticketsource_async.errors import (
    AccessBlocked as AccessBlocked,
)
from ticketsource_async.errors import (
    APIError as APIError,
)
from ticketsource_async.errors import (
    AuthenticationFailed as AuthenticationFailed,
)
from ticketsource_async.errors import (
    ClientClosed as ClientClosed,
)
from ticketsource_async.errors import (
    ConfigurationError as ConfigurationError,
)
from ticketsource_async.errors import (
    ConnectFailed as ConnectFailed,
)
from ticketsource_async.errors import (
    ConnectionLost as ConnectionLost,
)
from ticketsource_async.errors import (
    ErrorObject as ErrorObject,
)
from ticketsource_async.errors import (
    InvalidID as InvalidID,
)
from ticketsource_async.errors import (
    InvalidResponse as InvalidResponse,
)
from ticketsource_async.errors import (
    LimiterUnavailable as LimiterUnavailable,
)
from ticketsource_async.errors import (
    NotFound as NotFound,
)
from ticketsource_async.errors import (
    OutcomeUnknown as OutcomeUnknown,
)
from ticketsource_async.errors import (
    PaginationError as PaginationError,
)
from ticketsource_async.errors import (
    PermissionDenied as PermissionDenied,
)
from ticketsource_async.errors import (
    RateLimited as RateLimited,
)
from ticketsource_async.errors import (
    RequestTimedOut as RequestTimedOut,
)
from ticketsource_async.errors import (
    ServerError as ServerError,
)
from ticketsource_async.errors import (
    StoreError as StoreError,
)
from ticketsource_async.errors import (
    StoreInUse as StoreInUse,
)
from ticketsource_async.errors import (
    TicketSourceError as TicketSourceError,
)
from ticketsource_async.errors import (
    TransportError as TransportError,
)
from ticketsource_async.errors import (
    UnreadableValue as UnreadableValue,
)
from ticketsource_async.errors import (
    ValidationFailed as ValidationFailed,
)
from ticketsource_async.models import (
    UNSET as UNSET,
)
from ticketsource_async.models import (
    Address as Address,
)
from ticketsource_async.models import (
    AddressDraft as AddressDraft,
)
from ticketsource_async.models import (
    Amount as Amount,
)
from ticketsource_async.models import (
    Attendee as Attendee,
)
from ticketsource_async.models import (
    Booking as Booking,
)
from ticketsource_async.models import (
    BookingConsent as BookingConsent,
)
from ticketsource_async.models import (
    BookingLine as BookingLine,
)
from ticketsource_async.models import (
    BoxOffice as BoxOffice,
)
from ticketsource_async.models import (
    Company as Company,
)
from ticketsource_async.models import (
    Consent as Consent,
)
from ticketsource_async.models import (
    ConsentDraft as ConsentDraft,
)
from ticketsource_async.models import (
    Customer as Customer,
)
from ticketsource_async.models import (
    CustomerDraft as CustomerDraft,
)
from ticketsource_async.models import (
    DiscountCode as DiscountCode,
)
from ticketsource_async.models import (
    Discounts as Discounts,
)
from ticketsource_async.models import (
    Donation as Donation,
)
from ticketsource_async.models import (
    Event as Event,
)
from ticketsource_async.models import (
    EventDate as EventDate,
)
from ticketsource_async.models import (
    EventImage as EventImage,
)
from ticketsource_async.models import (
    Links as Links,
)
from ticketsource_async.models import (
    Membership as Membership,
)
from ticketsource_async.models import (
    MembershipDraft as MembershipDraft,
)
from ticketsource_async.models import (
    Note as Note,
)
from ticketsource_async.models import (
    NoteDraft as NoteDraft,
)
from ticketsource_async.models import (
    Seat as Seat,
)
from ticketsource_async.models import (
    SeatReference as SeatReference,
)
from ticketsource_async.models import (
    StartFilter as StartFilter,
)
from ticketsource_async.models import (
    ThirdPartyConsent as ThirdPartyConsent,
)
from ticketsource_async.models import (
    Totals as Totals,
)
from ticketsource_async.models import (
    Unset as Unset,
)
from ticketsource_async.models import (
    Venue as Venue,
)
from ticketsource_async.pagination import (
    ListReport as ListReport,
)
from ticketsource_async.pagination import (
    Page as Page,
)
from ticketsource_async.pagination import (
    Pager as Pager,
)
from ticketsource_async.ratelimit import (
    RateLimiter as RateLimiter,
)
from ticketsource_async.ratelimit.local import (
    LocalRateLimiter as LocalRateLimiter,
)
from ticketsource_async.resources import (
    BulkOptions as BulkOptions,
)
from ticketsource_async.resources import (
    ListOptions as ListOptions,
)
from ticketsource_async.sync.changes import (
    Change as Change,
)
from ticketsource_async.sync.changes import (
    Created as Created,
)
from ticketsource_async.sync.changes import (
    Deleted as Deleted,
)
from ticketsource_async.sync.changes import (
    Updated as Updated,
)
from ticketsource_async.sync.store import (
    CustomerStore as CustomerStore,
)
