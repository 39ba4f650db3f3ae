"""Decide what a failed attempt means and whether to retry; pure: no clock, no sleep, no randomness.

`sender.py` has the loop. It is our own: without patching, no sleep function can be passed to stamina,
and `aclose` cannot end its sleep.
"""

from ticketsource_async import errors
from ticketsource_async._wire.advice import Advice, without_advice
from ticketsource_async._wire.request import Request
from ticketsource_async.config import RetryPolicy

_TRANSIENT_STATUSES = (408, 425, 500, 502, 503, 504, *range(520, 528), 530)  # those from 520 on are Cloudflare's own
_ROUNDING_MARGIN = 1.0  # Laravel rounds to whole seconds, so it may ask for up to one second too few
_WINDOW = 60.0  # seconds, the vendor's window of the rate limit
_MOST_DOUBLINGS = 60
# aiohttp's names of the failures that do not pass by themselves.
_PERMANENT_FAILURES = ("ClientConnectorCertificateError", "ServerFingerprintMismatch", "InvalidURL")


def wait_before_next(
    policy: RetryPolicy,
    request: Request,
    error: errors.TicketSourceError,
    *,
    chance: float,
    left: float | None,
    patience: float | None = None,
) -> float | None:
    """Return the seconds to wait before the next attempt; None if there is no next attempt.

    `chance`: a random number from 0 to 1. `left`: the seconds until the deadline, None without a deadline. `patience`:
    the seconds for which a call of a job goes on beyond `policy.attempts`, None for a single call.
    """
    asked = error.retry_after if isinstance(error, errors.APIError) else None
    if not _may_be_retried(request, error, in_job=patience is not None):
        return None
    if request.attempt >= policy.attempts and not patience:
        return None
    if asked is not None and asked > policy.max_retry_after:
        return None
    wait = chance * _back_off(policy, request.attempt)
    if asked is not None:
        wait = max(wait, asked + _ROUNDING_MARGIN)
    elif patience is not None and isinstance(error, errors.RateLimited):
        wait = _WINDOW
    elif patience is not None and request.attempt >= policy.attempts:
        wait = min(wait, patience)  # the last attempt begins when the patience ends
    return None if left is not None and wait >= left else wait


def _back_off(policy: RetryPolicy, attempt: int) -> float:
    return min(policy.wait_max, policy.wait_initial * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))


def pause(policy: RetryPolicy, error: errors.TicketSourceError, wait: float | None) -> float:
    """Return the seconds for which all calls with this key pause after a failed attempt; 0 for no pause.

    If the server asks for more than `max_retry_after`, nothing pauses and each call raises the error at once.
    """
    if not isinstance(error, errors.RateLimited):
        return 0.0
    if error.retry_after is None:  # a job waits for a window, but single calls need not
        return min(wait or 0.0, _back_off(policy, error.attempts))
    return error.retry_after + _ROUNDING_MARGIN if error.retry_after <= policy.max_retry_after else 0.0


def is_outage(error: errors.TicketSourceError) -> bool:
    """Say whether an attempt failed for a reason that affects all calls and may be over in a minute."""
    match error:
        case errors.ConnectFailed(cause=cause):
            return not cause.startswith(_PERMANENT_FAILURES)
        case errors.ConnectionLost() | errors.RequestTimedOut() | errors.RateLimited():
            return True
        case errors.AccessBlocked(status=status) | errors.APIError(status=status):
            return status in _TRANSIENT_STATUSES
        case _:
            return False


def _may_be_retried(request: Request, error: errors.TicketSourceError, *, in_job: bool) -> bool:
    match error:
        case errors.ConnectFailed() | errors.RateLimited():  # nothing was processed
            return True
        case errors.RequestTimedOut(phase="connect"):
            return True
        case errors.RequestTimedOut(phase="deadline"):
            return False
        case errors.ConnectionLost() | errors.RequestTimedOut():
            is_transient = True
        case errors.AccessBlocked(status=status) | errors.APIError(status=status):
            is_transient = status in _TRANSIENT_STATUSES
        case errors.InvalidResponse(status=status):  # the page may have been damaged on its way
            return in_job and request.method == "GET" and 200 <= status < 300
        case _:
            is_transient = False
    return is_transient and request.is_idempotent


def may_have_taken_effect(request: Request, error: errors.TicketSourceError) -> bool:
    """Say whether this attempt was a write that may have been carried out."""
    if request.method == "GET":
        return False
    match error:
        # A gateway may have sent the error although the API carried out the write.
        case errors.ConnectionLost() | errors.ServerError() | errors.AccessBlocked(status=503):
            return True
        case errors.RequestTimedOut(phase=phase):
            return phase not in ("connect", "slot")
        case errors.InvalidResponse(status=status):
            return status < 400  # 0 is no HTTP at all, and the API may redirect after it has carried out the write
        case errors.APIError(status=408 | 499):  # a gateway sends these when it stops waiting for the API
            return True
        case _:
            return False


def is_deleted(request: Request, error: errors.TicketSourceError, unknown: errors.TicketSourceError | None) -> bool:
    """Say whether a 404 for a DELETE means that an earlier attempt has deleted the record.

    It does only if the 404 comes from the API itself.
    """
    return (
        request.method == "DELETE"
        and unknown is not None
        and isinstance(error, errors.NotFound)
        and _names_code_or_field(error)
    )


def _names_code_or_field(error: errors.APIError) -> bool:
    """Say whether an error names a code or a field; only the API does, not a gateway.

    `NotFound.is_from_api` asks for the code of a 404. A refused write may name fields only.
    """
    return any("code" in entry or "field" in entry for entry in error.errors)


def final_error(
    request: Request, error: errors.TicketSourceError, unknown: errors.TicketSourceError | None
) -> errors.TicketSourceError:
    """Return what to raise when a call ends in `error`.

    `unknown` is the error of the latest attempt that may have been carried out, None if there was none.
    """
    # If the API itself refuses the write now, it has refused the earlier attempts too. A gateway's page proves nothing.
    refused = isinstance(error, errors.NotFound | errors.ValidationFailed) and _names_code_or_field(error)
    if unknown is None or refused:
        return error
    why = without_advice(unknown)
    if error is not unknown:
        why = f"{why} Then: {without_advice(error)}"
    advice = "Look at the record before you send the request again: somebody else may have changed it meanwhile."
    if request.method == "POST":
        advice = "Look for the new record before you send the request again: a second create makes a second record."
    return errors.OutcomeUnknown(
        f"It is not known whether {request} took effect. {why} {advice}",
        request.method,
        request.url.path,
        request.ids(),
        request.attempt,
        f"{type(unknown).__name__}: {without_advice(unknown)}",
        getattr(unknown, "request_id", None),
    )


def updated_unread(refused: errors.InvalidResponse, why: str) -> errors.InvalidResponse:
    """Return the error for an update that the API accepted, if neither its answer nor a later read has the record."""
    return errors.InvalidResponse(
        f"{refused.method} {refused.path} was accepted ({refused.status}), but the answer has no usable record, and a "
        f"later read failed: {why} Get the record later. Do not send the update again.",
        *refused.args[1:],
    )


def interrupted(
    request: Request, unknown: errors.TicketSourceError | None, when: str, *, in_flight: bool
) -> errors.TicketSourceError:
    """Return the error of a call that was interrupted before its answer came; `when` says by what."""
    doing = "in flight" if in_flight else "waiting"
    message = f"{request} was {doing} {when}."
    lost = errors.ConnectionLost(message, request.method, request.url.path, request.attempt)
    if in_flight and may_have_taken_effect(request, lost):
        unknown = lost
    return final_error(request, errors.ClientClosed(message) if unknown is not lost else lost, unknown)


def deadline_passed(
    request: Request,
    seconds: float,
    last: errors.TicketSourceError | None,
    unknown: errors.TicketSourceError | None,
    *,
    in_flight: bool,
) -> errors.TicketSourceError:
    """Return the error of a call whose deadline of `seconds` passed while it was in flight or waited."""
    if not in_flight and last is not None:
        return final_error(request, last, unknown)
    phase, doing = ("deadline", "was in flight") if in_flight else ("slot", "waited for its turn")
    timed_out = errors.RequestTimedOut(
        f"{request} {doing} when its deadline of {seconds:g} s passed. {Advice.DEADLINE}",
        request.method,
        request.url.path,
        request.attempt,
        "",
        phase,
        seconds,
    )
    return final_error(request, timed_out, timed_out if may_have_taken_effect(request, timed_out) else unknown)
