"""Whether to try again and what is known at the end, as tables."""

import pytest
from attrs import evolve
from hypothesis import given, strategies as st
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire import retry
from ticketsource_async._wire.advice import Advice
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async.config import RetryPolicy

CREDENTIALS = Credentials.of(Secret("skl-not-a-real-key"), "https://api.ticketsource.io", "tests/1", "bearer")
POLICY = RetryPolicy()
API_ERRORS = [errors.ErrorObject(code="not_found")]
LOST = errors.ConnectionLost("lost")


def request(method: str = "GET", path: str = "customers/cst-1", attempt: int = 1) -> Request:
    """Return an attempt of a call."""
    made = Request(CREDENTIALS, method, CREDENTIALS.base_url.joinpath(*path.split("/")))
    for _ in range(attempt - 1):
        made = evolve(made, attempt=made.attempt + 1)
    return made


def wait(
    error: errors.TicketSourceError,
    *,
    method: str = "GET",
    attempt: int = 1,
    policy: RetryPolicy = POLICY,
    chance: float = 1.0,
    left: float | None = None,
) -> float | None:
    """Return the wait before the next attempt, or None if there is none."""
    return retry.wait_before_next(policy, request(method, attempt=attempt), error, chance=chance, left=left)


def timed_out(phase: str) -> errors.RequestTimedOut:
    """Return a timeout in a phase."""
    return errors.RequestTimedOut("slow", phase=phase)


EVERY = "GET PATCH DELETE POST"
SAFE = "GET PATCH DELETE"


@pytest.mark.parametrize(
    ("error", "methods"),
    [
        (errors.ConnectFailed("x"), EVERY),
        (timed_out("connect"), EVERY),
        (errors.RateLimited("x", 429), EVERY),
        (timed_out("response"), SAFE),
        (timed_out("total"), SAFE),
        (LOST, SAFE),
        (errors.ServerError("x", 500), SAFE),
        (errors.ServerError("x", 502), SAFE),
        (errors.ServerError("x", 503), SAFE),
        (errors.ServerError("x", 504), SAFE),
        (errors.AccessBlocked("x", 503), SAFE),
        (errors.ServerError("x", 501), ""),
        (errors.AccessBlocked("x", 403), ""),
        (errors.NotFound("x", 404), ""),
        (errors.ValidationFailed("x", 400), ""),
        (errors.AuthenticationFailed("x", 401), ""),
        (errors.APIError("x", 409), ""),
        (errors.InvalidResponse("x", status=200), ""),
        (errors.InvalidResponse("x", status=302), ""),
        (errors.ConfigurationError("x"), ""),
        (errors.ClientClosed("x"), ""),
        (timed_out("deadline"), ""),
    ],
)
@pytest.mark.parametrize("method", EVERY.split())
def test_a_call_is_retried_only_if_that_can_do_no_harm(
    error: errors.TicketSourceError, methods: str, method: str
) -> None:
    """All methods retry if nothing was processed. POST does not retry after any other temporary failure."""
    assert (wait(error, method=method) is not None) is (method in methods.split())


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (50, 30.0), (99, 30.0)])
def test_the_wait_doubles_up_to_a_limit_and_is_random_below_it(attempt: int, longest: float) -> None:
    """This is full jitter, from zero to the limit."""
    policy = RetryPolicy(attempts=100)
    assert wait(LOST, attempt=attempt, policy=policy) == longest
    assert wait(LOST, attempt=attempt, policy=policy, chance=0.25) == longest / 4
    assert wait(LOST, attempt=attempt, policy=policy, chance=0.0) == 0.0


def test_no_more_attempts_are_made_than_allowed() -> None:
    """This holds for one, a few and very many attempts."""
    assert [wait(LOST, attempt=n) is None for n in (1, 2, 3, 4, 5)] == [False, False, False, True, True]
    assert wait(LOST, policy=RetryPolicy(attempts=1)) is None
    assert wait(LOST, attempt=5000, policy=RetryPolicy(attempts=9999)) == 30.0


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 1.0), (5.0, 6.0), (119.0, 120.0), (120.0, 121.0), (121.0, None)])
@pytest.mark.parametrize("kind", [errors.RateLimited, errors.ServerError])
def test_a_call_waits_a_second_longer_than_the_server_asks_or_ends(
    kind: type[errors.APIError], asked: float, waited: float | None
) -> None:
    """Rounded seconds may be one too few. Beyond `max_retry_after` the call ends."""
    error = kind("x", 429 if kind is errors.RateLimited else 503, retry_after=asked)

    assert wait(error, chance=0.0) == waited


@given(
    asked=st.one_of(st.none(), st.floats(0, 1e15)),
    chance=st.floats(0, 1),
    attempt=st.integers(1, 4),
    left=st.one_of(st.none(), st.floats(-10, 1000)),
)
def test_a_wait_is_never_shorter_than_asked_or_longer_than_the_time_left(
    asked: float | None, chance: float, attempt: int, left: float | None
) -> None:
    """This holds for any answer of the server and any random number."""
    waited = wait(errors.RateLimited("x", 429, retry_after=asked), chance=chance, attempt=attempt, left=left)

    if waited is not None:
        assert attempt < 4
        assert waited >= (0 if asked is None else asked)
        assert waited <= POLICY.max_retry_after + 1
        assert left is None or waited < left


@pytest.mark.parametrize(
    ("error", "decided", "seconds"),
    [
        (errors.RateLimited("x", 429, retry_after=5), 6.0, 6.0),
        (errors.RateLimited("x", 429, retry_after=5), None, 6.0),
        (errors.RateLimited("x", 429, retry_after=3600), None, 0.0),
        (errors.RateLimited("x", 429), 0.4, 0.4),
        (errors.RateLimited("x", 429), None, 0.0),
        (errors.ServerError("x", 503, retry_after=5), 6.0, 0.0),
    ],
)
def test_a_429_pauses_all_calls_for_as_long_as_it_asks(
    error: errors.TicketSourceError, decided: float | None, seconds: float
) -> None:
    """The others pause even if this call gives up. No call pauses for a very long time or for another answer."""
    assert retry.pause(POLICY, error, decided) == seconds


@pytest.mark.parametrize(
    ("method", "error", "unknown"),
    [
        ("GET", LOST, False),
        ("POST", LOST, True),
        ("PATCH", LOST, True),
        ("DELETE", LOST, True),
        ("POST", errors.ServerError("x", 500), True),
        ("POST", timed_out("total"), True),
        ("POST", timed_out("response"), True),
        ("POST", timed_out("deadline"), True),
        ("POST", timed_out("connect"), False),
        ("POST", timed_out("slot"), False),
        ("POST", errors.ConnectFailed("x"), False),
        ("POST", errors.RateLimited("x", 429), False),
        ("POST", errors.ValidationFailed("x", 400), False),
        ("POST", errors.AccessBlocked("x", 403), False),
        ("POST", errors.AccessBlocked("x", 503), True),
        ("POST", errors.InvalidResponse("x", status=201), True),
        ("POST", errors.InvalidResponse("x", status=302), True),
        ("POST", errors.APIError("x", 408), True),
        ("POST", errors.APIError("x", 499), True),
        ("POST", errors.APIError("x", 409), False),
        ("POST", errors.InvalidResponse("not HTTP"), True),
    ],
)
def test_only_a_write_that_may_have_been_processed_has_an_unknown_outcome(
    method: str, error: errors.TicketSourceError, unknown: bool
) -> None:
    """It was sent, and it was not clearly refused."""
    assert retry.may_have_taken_effect(request(method), error) is unknown


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (errors.RateLimited("x", 429), errors.OutcomeUnknown),
        (errors.ConnectFailed("x"), errors.OutcomeUnknown),
        (errors.AuthenticationFailed("x", 401), errors.OutcomeUnknown),
        (errors.InvalidResponse("x", status=302), errors.OutcomeUnknown),
        (errors.NotFound("x", 404, API_ERRORS), errors.NotFound),
        (errors.ValidationFailed("x", 400, API_ERRORS), errors.ValidationFailed),
        (errors.NotFound("a gateway's page", 404), errors.OutcomeUnknown),
    ],
)
def test_an_earlier_attempt_with_an_unknown_outcome_is_not_forgotten(
    last: errors.TicketSourceError, kind: type[errors.TicketSourceError]
) -> None:
    """The outcome stays unknown unless the API says that the change was not made."""
    final = retry.final_error(request("PATCH", attempt=2), last, LOST)

    assert type(final) is kind
    assert retry.final_error(request("PATCH", attempt=2), last, None) is last


@pytest.mark.parametrize(
    ("method", "error", "unknown", "deleted"),
    [
        ("DELETE", errors.NotFound("x", 404, API_ERRORS), LOST, True),
        ("DELETE", errors.NotFound("x", 404, API_ERRORS), None, False),
        ("DELETE", errors.NotFound("a gateway's page", 404), LOST, False),
        ("DELETE", errors.ServerError("x", 500), LOST, False),
        ("PATCH", errors.NotFound("x", 404, API_ERRORS), LOST, False),
    ],
)
def test_a_404_after_a_delete_with_an_unknown_outcome_means_deleted(
    method: str, error: errors.TicketSourceError, unknown: errors.TicketSourceError | None, deleted: bool
) -> None:
    """The first DELETE worked, if the API itself does not find the record any more."""
    assert retry.is_deleted(request(method, attempt=2), error, unknown) is deleted


def test_an_unknown_outcome_names_the_ids_the_attempts_and_both_reasons() -> None:
    """The error has all that a person needs to find the record."""
    error = retry.final_error(
        request("DELETE", "customers/cst-1/notes/csn-2", 3), errors.ConnectFailed("refused."), LOST
    )

    assert isinstance(error, errors.OutcomeUnknown)
    assert error.ids == ["cst-1", "csn-2"]
    assert error.attempts == 3
    assert error.cause == "ConnectionLost: lost"
    assert "DELETE /customers/cst-1/notes/csn-2 (attempt 3)" in str(error)
    assert "lost Then: refused." in str(error)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("advice", list(Advice))
def test_an_unknown_outcome_gives_one_instruction(method: str, advice: Advice) -> None:
    """The errors of the attempts have advice of their own, such as to try again. The write must not be sent again."""
    broken = errors.ConnectionLost(f"the connection broke. {advice}")
    refused = errors.ConnectFailed(f"no connection. {advice}")
    error = retry.final_error(request(method, attempt=2), refused, broken)

    assert isinstance(error, errors.OutcomeUnknown)
    assert "the connection broke. Then: no connection. Look" in str(error)
    assert str(error).count("before you send the request again") == 1
    assert advice not in str(error)
    assert error.cause == "ConnectionLost: the connection broke."


@pytest.mark.parametrize(
    ("method", "in_flight", "unknown", "kind"),
    [
        ("GET", True, None, errors.ClientClosed),
        ("GET", False, None, errors.ClientClosed),
        ("POST", False, None, errors.ClientClosed),
        ("POST", True, None, errors.OutcomeUnknown),
        ("DELETE", False, LOST, errors.OutcomeUnknown),
        ("DELETE", True, LOST, errors.OutcomeUnknown),
    ],
)
def test_a_call_that_ends_with_its_client_is_closed_or_of_unknown_outcome(
    method: str, in_flight: bool, unknown: errors.TicketSourceError | None, kind: type[errors.TicketSourceError]
) -> None:
    """A write that is or was in flight has an unknown outcome. Any other call is ClientClosed."""
    assert type(retry.interrupted(request(method), unknown, "at the end", in_flight=in_flight)) is kind


@pytest.mark.parametrize(
    ("method", "in_flight", "last", "unknown", "kind", "phase"),
    [
        ("GET", False, None, None, errors.RequestTimedOut, "slot"),
        ("GET", True, None, None, errors.RequestTimedOut, "deadline"),
        ("GET", True, LOST, None, errors.RequestTimedOut, "deadline"),
        ("GET", False, LOST, None, errors.ConnectionLost, None),
        ("POST", False, None, None, errors.RequestTimedOut, "slot"),
        ("POST", True, None, None, errors.OutcomeUnknown, None),
        ("PATCH", False, errors.RateLimited("x", 429), LOST, errors.OutcomeUnknown, None),
    ],
)
def test_a_call_that_reaches_its_deadline_raises_the_most_useful_error(
    method: str,
    in_flight: bool,
    last: errors.TicketSourceError | None,
    unknown: errors.TicketSourceError | None,
    kind: type[errors.TicketSourceError],
    phase: str | None,
) -> None:
    """During a wait, that is the last error or the wait. In flight, it is the deadline or an unknown outcome."""
    error = retry.deadline_passed(request(method), 7.0, last, unknown, in_flight=in_flight)

    assert type(error) is kind
    if isinstance(error, errors.RequestTimedOut):
        assert (error.phase, error.seconds) == (phase, 7.0)


def test_a_request_shows_its_attempt_from_the_second_on() -> None:
    """The first attempt has no number, so that messages stay short."""
    assert str(request()) == "GET /customers/cst-1"
    assert str(request(attempt=3)) == "GET /customers/cst-1 (attempt 3)"
    assert request(attempt=3).url == URL("https://api.ticketsource.io/customers/cst-1")
