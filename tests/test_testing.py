"""`ticketsource_async.testing`, as the tests of other programs use it."""

import asyncio
from typing import Any

import pytest

from ticketsource_async import LocalRateLimiter, RateLimit, RateLimited, RetryPolicy, ServerError, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting


@pytest.mark.virtual_time
async def test_a_client_does_not_wait_in_the_block_and_waits_after_it(box: Sandbox) -> None:
    """The client was made before the block. The block lists the skipped waits."""
    clock = asyncio.get_running_loop().time
    limiter = LocalRateLimiter(RateLimit(1, per=120), clock=clock)
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        box.fail(status=429, headers={"Retry-After": "60"})
        box.fail(status=503)
        with no_waiting() as skipped:
            await ts.customers.list().first()
            await ts.customers.list().first()
        in_block = clock()
        await ts.customers.list().first()
        box.fail(status=429, headers={"Retry-After": "60"})
        await ts.customers.list().first()

    assert skipped == [61.0, 1.0]
    assert in_block < 1
    assert clock() >= 120


@pytest.mark.virtual_time
async def test_a_client_without_a_limit_waits_between_attempts_except_in_the_block(box: Sandbox) -> None:
    """Before and after the block, a call waits as long as the server asks for."""
    clock = asyncio.get_running_loop().time
    took: list[float] = []
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:

        async def call() -> None:
            box.fail(status=429, headers={"Retry-After": "60"})
            began = clock()
            await ts.customers.list().first()
            took.append(clock() - began)

        await call()
        with no_waiting() as skipped:
            await call()
        await call()

    before, inside, after = took
    assert skipped == [61.0]
    assert before >= 60
    assert inside < 1
    assert after >= 60


@pytest.mark.parametrize(("given", "attempts"), [({}, 4), ({"attempts": 2}, 2), ({"attempts": 1000}, 100)])
async def test_the_number_of_attempts_is_capped(box: Sandbox, given: Any, attempts: int) -> None:
    """So a policy with many attempts does not slow a test. A policy with fewer attempts is not changed."""
    box.fail(status=503, times=None)
    patient = RetryPolicy(attempts=100)
    async with TicketSource(box.api_key, base_url=box.url, retry=patient, rate_limit=None) as ts:
        with no_waiting(**given), pytest.raises(ServerError):
            await ts.customers.list().first()
        sent = len(box.requests)
        with no_waiting(), pytest.raises(ServerError):
            async with TicketSource(box.api_key, base_url=box.url, retry=RetryPolicy(attempts=1)) as impatient:
                await impatient.customers.list().first()

    assert (sent, len(box.requests)) == (attempts, attempts + 1)


async def test_a_wait_that_is_too_long_is_still_an_error(box: Sandbox) -> None:
    """The server asks for an hour, which no call waits for. Nothing was skipped."""
    box.fail(status=429, headers={"Retry-After": "3600"})
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        with no_waiting() as skipped, pytest.raises(RateLimited):
            await ts.customers.list().first()

    assert skipped == []


@pytest.mark.virtual_time
async def test_blocks_may_end_in_any_order(box: Sandbox) -> None:
    """Two tasks may each have a block. After both, a call waits again."""
    clock = asyncio.get_running_loop().time
    first, second = no_waiting(attempts=1), no_waiting()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    box.fail(status=429, headers={"Retry-After": "60"})
    limiter = LocalRateLimiter(RateLimit(9), clock=clock)
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        await ts.customers.list().first()

    assert clock() >= 61


def test_an_error_in_the_block_is_raised_and_zero_attempts_are_refused() -> None:
    """The block does not begin with zero attempts."""
    with pytest.raises(ZeroDivisionError), no_waiting():
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="attempts must be a whole number, 1 or more, not 0"), no_waiting(attempts=0):
        raise AssertionError("the block must not begin")
