# The public names, each once: type checkers read them here, and `__init__.py` finds here in which module a name is.

from ticketsource_async import files as files, report_tables as report_tables, tables as tables
from ticketsource_async._version import __version__ as __version__
from ticketsource_async.bulk import (
    Bulk as Bulk,
    Outcome as Outcome,
)
from ticketsource_async.call_events import (
    AttemptEvent as AttemptEvent,
    CallEvent as CallEvent,
    ListEndedEvent as ListEndedEvent,
    PageEvent as PageEvent,
    RetryEvent as RetryEvent,
    WaitEvent as WaitEvent,
)
from ticketsource_async.client import (
    ClientOptions as ClientOptions,
    TicketSource as TicketSource,
)
from ticketsource_async.config import (
    RateLimit as RateLimit,
    RetryPolicy as RetryPolicy,
    Timeouts as Timeouts,
)
from ticketsource_async.contacts import (
    comparable_email as comparable_email,
    contacts_of as contacts_of,
)
from ticketsource_async.errors import (
    AccessBlocked as AccessBlocked,
    APIError as APIError,
    AuthenticationFailed as AuthenticationFailed,
    BranchError as BranchError,
    BranchesFailed as BranchesFailed,
    ClientClosed as ClientClosed,
    ConfigurationError as ConfigurationError,
    ConnectFailed as ConnectFailed,
    ConnectionLost as ConnectionLost,
    ErrorObject as ErrorObject,
    InvalidID as InvalidID,
    InvalidResponse as InvalidResponse,
    LimiterUnavailable as LimiterUnavailable,
    ListEnded as ListEnded,
    NotFound as NotFound,
    OutcomeUnknown as OutcomeUnknown,
    PaginationError as PaginationError,
    PermissionDenied as PermissionDenied,
    RateLimited as RateLimited,
    RequestTimedOut as RequestTimedOut,
    ServerError as ServerError,
    StoreError as StoreError,
    StoreInUse as StoreInUse,
    TicketSourceError as TicketSourceError,
    TooManyRemoved as TooManyRemoved,
    TransportError as TransportError,
    UnreadableFile as UnreadableFile,
    UnreadableValue as UnreadableValue,
    ValidationFailed as ValidationFailed,
)
from ticketsource_async.failed_branches import (
    FailedBranch as FailedBranch,
)
from ticketsource_async.list_progress import (
    ListReport as ListReport,
)
from ticketsource_async.listings import (
    SeatsOfBooking as SeatsOfBooking,
    Sold as Sold,
)
from ticketsource_async.models import *  # noqa: F403 - they are listed there
from ticketsource_async.operations import (
    Answer as Answer,
    Operations as Operations,
)
from ticketsource_async.pagination import (
    Page as Page,
    Pager as Pager,
)
from ticketsource_async.ratelimit import (
    RateLimiter as RateLimiter,
)
from ticketsource_async.ratelimit.local import (
    LocalRateLimiter as LocalRateLimiter,
)
from ticketsource_async.reports.donations import (
    BookingDonations as BookingDonations,
    DonationLine as DonationLine,
    DonationRow as DonationRow,
    Donations as Donations,
    UnknownLine as UnknownLine,
)
from ticketsource_async.reports.door_list import (
    DoorEntry as DoorEntry,
    DoorList as DoorList,
    Fetched as Fetched,
)
from ticketsource_async.reports.gift_aid import (
    GiftAidRow as GiftAidRow,
    GiftAidSchedule as GiftAidSchedule,
    gift_aid_schedule as gift_aid_schedule,
)
from ticketsource_async.reports.sales import (
    Sales as Sales,
    SalesRow as SalesRow,
    SalesTally as SalesTally,
    SeatCount as SeatCount,
)
from ticketsource_async.resources.base import (
    BulkOptions as BulkOptions,
    ListOptions as ListOptions,
)
from ticketsource_async.resources.reports import (
    Tally as Tally,
)
from ticketsource_async.sync.changes import (
    Change as Change,
    Created as Created,
    Deleted as Deleted,
    Erased as Erased,
    Updated as Updated,
)
from ticketsource_async.sync.store import (
    CustomerStore as CustomerStore,
)
