"""What a web service answers to an error of TicketSource: one rule for all programs in this folder."""

import logging
import math

from ticketsource_async import (
    AuthenticationFailed,
    ClientClosed,
    ConfigurationError,
    InvalidID,
    InvalidResponse,
    LimiterUnavailable,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    ServerError,
    TicketSourceError,
    TransportError,
    ValidationFailed,
)


def answer_to(error: TicketSourceError) -> tuple[int, object, dict[str, str]]:
    """Return the HTTP status, the detail and the headers of the answer."""
    if isinstance(error, InvalidID) or (isinstance(error, NotFound) and error.is_from_api):
        return 404, "There is no such record.", {}
    if isinstance(error, ValidationFailed):
        return 422, error.errors, {}
    logging.getLogger(__name__).error("%s", error)  # it names the call, and never the key
    if isinstance(error, OutcomeUnknown) or (isinstance(error, InvalidResponse) and error.method != "GET"):
        return 504, "It may have been saved. Look before you send it again.", {}
    if isinstance(error, RateLimited | ServerError | TransportError | LimiterUnavailable):
        wait = math.ceil(getattr(error, "retry_after", None) or 10)
        return 503, "Try again in a moment.", {"Retry-After": str(wait)}
    if isinstance(error, AuthenticationFailed | PermissionDenied | ConfigurationError | ClientClosed):
        return 500, "This service is not set up well: its log says more.", {}
    is_read = getattr(error, "method", "GET") == "GET"
    return 502, "TicketSource could not be read." if is_read else "TicketSource did not accept it.", {}
