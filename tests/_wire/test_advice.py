"""The last sentence of an error, which says what to do, and the message without it."""

import pytest

from ticketsource_async import errors
from ticketsource_async._wire.advice import Advice, without_advice


@pytest.mark.parametrize("advice", list(Advice))
def test_a_message_without_its_advice_says_only_what_happened(advice: Advice) -> None:
    """Another message can then add an advice of its own. No advice is the end of another one."""
    error = errors.TicketSourceError(f"GET /customers failed. {advice}")

    assert without_advice(error) == "GET /customers failed."


def test_a_message_that_has_no_advice_is_kept() -> None:
    """Such as the error of a rate limiter of the user's own."""
    assert without_advice(ValueError("Try again later. But not today")) == "Try again later. But not today"
