"""What a failed attempt means and whether to try again: pure decisions, no clock, no sleep, no randomness.

The loop around them is in `sender.py`; it is our own, because stamina's sleep can neither be injected nor be ended by
`aclose` without patching.
"""

from ticketsource_async import errors
from ticketsource_async._wire.request import Request
from ticketsource_async.config import RetryPolicy

_PASSING = (408, 425, 500, 502, 503, 504, *range(520, 528), 530)  # from 520 on, Cloudflare's own
_GUARD = 1.0  # Laravel says whole seconds, up to one too few
_WINDOW = 60.0  # of the rate limit, as the vendor has it
_MOST_DOUBLINGS = 60
# As aiohttp calls them: nothing that time mends.
_NO_OUTAGE = ("ClientConnectorCertificateError", "ServerFingerprintMismatch", "InvalidURL")


def wait_before_next(
    policy: RetryPolicy,
    request: Request,
    error: errors.TicketSourceError,
    *,
    chance: float,
    left: float | None,
    patience: float | None = None,
) -> float | None:
    """Return the seconds to wait before the next attempt, None to stop.

    `chance` is random, from 0 to 1; `left` are the seconds until the deadline, None if there is none. `patience` are
    the seconds for which a part of a job goes on beyond `policy.attempts`; None for a single call.
    """
    asked = error.retry_after if isinstance(error, errors.APIError) else None
    if not _may_be_repeated(request, error, in_job=patience is not None):
        return None
    if request.attempt >= policy.attempts and not patience:
        return None
    if asked is not None and asked > policy.max_retry_after:
        return None
    wait = chance * _back_off(policy, request.attempt)
    if asked is not None:
        wait = max(wait, asked + _GUARD)
    elif patience is not None and isinstance(error, errors.RateLimited):
        wait = _WINDOW
    elif patience is not None and request.attempt >= policy.attempts:
        wait = min(wait, patience)  # the last attempt is at its end
    return None if left is not None and wait >= left else wait


def _back_off(policy: RetryPolicy, attempt: int) -> float:
    return min(policy.wait_max, policy.wait_initial * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))


def pause(policy: RetryPolicy, error: errors.TicketSourceError, wait: float | None) -> float:
    """Return for how many seconds everybody with this key has to pause after a failed attempt, 0 for not at all.

    A server that asks for more than `max_retry_after` pauses nobody: each call raises the error at once.
    """
    if not isinstance(error, errors.RateLimited):
        return 0.0
    if error.retry_after is None:  # a job waits for a window, but single calls need not
        return min(wait or 0.0, _back_off(policy, error.attempts))
    return error.retry_after + _GUARD if error.retry_after <= policy.max_retry_after else 0.0


def is_outage(error: errors.TicketSourceError) -> bool:
    """Say whether an attempt failed in a way that may be over in a minute, for all calls alike."""
    match error:
        case errors.ConnectFailed(cause=cause):
            return not cause.startswith(_NO_OUTAGE)
        case errors.ConnectionLost() | errors.RequestTimedOut() | errors.RateLimited():
            return True
        case errors.AccessBlocked(status=status) | errors.APIError(status=status):
            return status in _PASSING
        case _:
            return False


def _may_be_repeated(request: Request, error: errors.TicketSourceError, *, in_job: bool) -> bool:
    match error:
        case errors.ConnectFailed() | errors.RateLimited():  # nothing was processed
            return True
        case errors.RequestTimedOut(phase="connect"):
            return True
        case errors.RequestTimedOut(phase="deadline"):
            return False
        case errors.ConnectionLost() | errors.RequestTimedOut():
            passes = True
        case errors.AccessBlocked(status=status) | errors.APIError(status=status):
            passes = status in _PASSING
        case errors.InvalidResponse(status=status):  # a page that was cut or mixed up on its way
            return in_job and request.method == "GET" and 200 <= status < 300
        case _:
            passes = False
    return passes and request.may_be_done_twice


def fate_is_unknown(request: Request, error: errors.TicketSourceError) -> bool:
    """Say whether this attempt was a write that may have been carried out."""
    if request.method == "GET":
        return False
    match error:
        case errors.ConnectionLost() | errors.ServerError() | errors.AccessBlocked(status=503):  # maybe a gateway's
            return True
        case errors.RequestTimedOut(phase=phase):
            return phase not in ("connect", "slot")
        case errors.InvalidResponse(status=status):
            return status < 400  # 0: it was not even HTTP; a redirect may follow a write that was done
        case errors.APIError(status=408 | 499):  # a gateway's, which gave up on the API
            return True
        case _:
            return False


def is_deleted(request: Request, error: errors.TicketSourceError, unknown: errors.TicketSourceError | None) -> bool:
    """Say whether a DELETE has done its work, though it was answered 404: an earlier attempt may have.

    Only the API itself can say that there is no such record.
    """
    return (
        request.method == "DELETE"
        and unknown is not None
        and isinstance(error, errors.NotFound)
        and _is_of_the_api(error)
    )


def _is_of_the_api(error: errors.APIError) -> bool:
    """Say whether the API itself has answered: a gateway names no code and no field."""
    return any("code" in entry or "field" in entry for entry in error.errors)


def verdict(
    request: Request, error: errors.TicketSourceError, unknown: errors.TicketSourceError | None
) -> errors.TicketSourceError:
    """Return what to raise when a call ends in `error`; `unknown` is its latest attempt of unknown fate, if any."""
    # If the API itself refuses it, so it has done before. A gateway's page says nothing.
    refused = isinstance(error, errors.NotFound | errors.ValidationFailed) and _is_of_the_api(error)
    if unknown is None or refused:
        return error
    why = str(error) if error is unknown else f"{unknown} Then: {error}"
    advice = "a repeated create makes a second one"
    if request.method != "POST":
        advice = "somebody else may have changed it meanwhile"
    return errors.OutcomeUnknown(
        f"{request} was sent and nobody knows whether it took effect ({why}) "
        f"Look at the record before you send it again: {advice}.",
        request.method,
        request.url.path,
        request.ids(),
        request.attempt,
        f"{type(unknown).__name__}: {unknown}",
        getattr(unknown, "request_id", None),
    )


def updated_unread(refused: errors.InvalidResponse, why: str) -> errors.InvalidResponse:
    """Return the error of an update that was accepted with an answer that has no record, and no read gave it later."""
    return errors.InvalidResponse(
        f"{refused.method} {refused.path} was accepted ({refused.status}), but the answer has no usable record, and it "
        f"could not be read afterwards: {why} Get the record later; the update need not be sent again.",
        *refused.args[1:],
    )


def ended(
    request: Request, unknown: errors.TicketSourceError | None, when: str, *, in_flight: bool
) -> errors.TicketSourceError:
    """Return the error of a call that was ended from outside while it went on; `when` says by what."""
    doing = "in flight" if in_flight else "waiting"
    message = f"{request} was {doing} {when}."
    lost = errors.ConnectionLost(message, request.method, request.url.path, request.attempt)
    if in_flight and fate_is_unknown(request, lost):
        unknown = lost
    return verdict(request, errors.ClientClosed(message) if unknown is not lost else lost, unknown)


def out_of_time(
    request: Request,
    seconds: float,
    last: errors.TicketSourceError | None,
    unknown: errors.TicketSourceError | None,
    *,
    in_flight: bool,
) -> errors.TicketSourceError:
    """Return the error of a call whose deadline of so many seconds was over, in flight or while it waited."""
    if not in_flight and last is not None:
        return verdict(request, last, unknown)
    phase, doing = ("deadline", "was in flight") if in_flight else ("slot", "waited for its turn")
    timed_out = errors.RequestTimedOut(
        f"{request} {doing} when its deadline of {seconds:g} s was over. Try again later, or with a longer deadline.",
        request.method,
        request.url.path,
        request.attempt,
        "",
        phase,
        seconds,
    )
    return verdict(request, timed_out, timed_out if fate_is_unknown(request, timed_out) else unknown)
