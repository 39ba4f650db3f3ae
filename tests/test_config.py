"""The settings of a client: which values they refuse, and with which error."""

from math import inf, nan
from typing import Any

import pytest

from ticketsource_async import ConfigurationError, RateLimit, RetryPolicy, Timeouts


@pytest.mark.parametrize("wrong", [0, -1, nan, inf, 1e9, "10", True, None])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Timeouts, "connect"),
        (Timeouts, "response"),
        (Timeouts, "total"),
        (RetryPolicy, "wait_initial"),
        (RetryPolicy, "wait_max"),
        (RetryPolicy, "max_retry_after"),
        (RetryPolicy, "deadline"),
    ],
)
def test_the_error_names_a_setting_with_wrong_seconds(kind: Any, name: str, wrong: object) -> None:
    """Zero, negative numbers, other types and more than a day are refused. Only a deadline may be None."""
    if (name, wrong) == ("deadline", None):
        assert RetryPolicy(deadline=None).deadline is None
        return
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}\.{name} must be seconds"):
        kind(**{name: wrong})


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "4", True, None, 10**12])
def test_the_error_names_a_setting_with_a_wrong_count(wrong: Any) -> None:
    """Attempts and the limit are whole numbers from 1."""
    with pytest.raises(ConfigurationError, match=r"RetryPolicy\.attempts must be a whole number from 1 to 100,000"):
        RetryPolicy(attempts=wrong)
    with pytest.raises(ConfigurationError, match=r"RateLimit\.limit must be a whole number from 1 to 100,000"):
        RateLimit(wrong)


def test_a_total_shorter_than_another_timeout_is_refused() -> None:
    """Such a total would end each call before its other timeouts."""
    with pytest.raises(ConfigurationError, match=r"Timeouts\.total"):
        Timeouts(connect=10, response=1, total=5)
    with pytest.raises(ConfigurationError, match=r"Timeouts\.total"):
        Timeouts(connect=1, response=10, total=5)


def test_settings_compare_by_value_and_cannot_be_changed() -> None:
    """Settings are hashable values."""
    assert RateLimit(240) == RateLimit(240, per=60.0)
    assert len({Timeouts(), Timeouts(connect=15)}) == 1
    with pytest.raises(AttributeError):
        RateLimit(240).limit = 300  # type: ignore[misc]  # that is the point


def test_more_processes_than_requests_cannot_share_a_limit() -> None:
    """The share of each process is at least one request."""
    with pytest.raises(ConfigurationError, match="less than one request"):
        RateLimit(3, share=4)
