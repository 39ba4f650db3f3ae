"""Lists and bulk calls go on after an outage of a minute, and fail after a longer one; time is virtual."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from lists import Query, Served, ordinary, people, serving
from mocked import KEY

from ticketsource_async import (
    CallEvent,
    Customer,
    CustomerDraft,
    LocalRateLimiter,
    Pager,
    RateLimit,
    RateLimited,
    RetryEvent,
    RetryPolicy,
    ServerError,
    TicketSource,
    TicketSourceError,
)

pytestmark = pytest.mark.virtual_time

Reply = Callable[[], web.StreamResponse]


def now() -> float:
    """Return the virtual time in seconds."""
    return asyncio.get_running_loop().time()


def client(served: Served, **options: Any) -> TicketSource:
    """Return a client whose limiter uses the virtual time."""
    limiter = LocalRateLimiter(RateLimit(), clock=asyncio.get_running_loop().time)
    return TicketSource(KEY, base_url=served.url, limiter=limiter, **options)


def status(number: int, **headers: str) -> Reply:
    """Return a function that answers with a status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.Response(status=number, headers=named)


def cut() -> web.StreamResponse:
    """Break the connection."""
    raise ConnectionResetError


def truncated_body() -> web.StreamResponse:
    """Answer with truncated JSON."""
    return web.Response(text='{"data": [')


def out_between(begin: float, end: float, reply: Reply) -> Callable[[Query], Any]:
    """Return a function that answers with pages of 500 people, but with `reply` between two moments."""
    rows = people(500)

    def answer(query: Query) -> Any:
        return reply() if begin <= now() < end else ordinary(rows, query)

    return answer


async def read_slowly(pager: Pager[Customer]) -> int:
    """Read a list with a pause of a second after each page; return the number of rows."""
    found = 0
    async for page in pager.pages():
        found += len(page.items)
        await asyncio.sleep(1)
    return found


OUTAGES = {
    **{str(number): status(number) for number in (408, 500, 503, 522)},
    "reset": cut,
    "429 that says nothing": status(429),
}


@pytest.mark.parametrize(("outage", "concurrency"), [*((outage, 1) for outage in OUTAGES), ("503", 4)])
async def test_a_list_goes_on_after_an_outage_of_90_seconds(outage: str, concurrency: int) -> None:
    """All rows come, and few requests are made during the outage."""
    async with serving(out_between(3, 93, OUTAGES[outage])) as served, client(served) as ts:
        pager = ts.customers.list(concurrency=concurrency)
        assert await read_slowly(pager) == 500

    assert pager.report.invalid == 0
    assert len(served.asked) < 15 + 25 * concurrency


async def test_a_list_goes_on_after_a_minute_of_refused_connections() -> None:
    """Refused connections are an outage, too."""
    async with serving(out_between(0, 0, cut)) as served, client(served) as ts:
        reading = asyncio.create_task(read_slowly(ts.customers.list()))
        await asyncio.sleep(3.5)
        await served.stop()
        await asyncio.sleep(60)
        assert not reading.done()
        await served.listen()
        assert await reading == 500


@pytest.mark.parametrize(("outage", "kind"), [("503", ServerError), ("500", ServerError), ("reset", TicketSourceError)])
async def test_a_list_fails_two_minutes_after_the_last_good_answer(outage: str, kind: type[TicketSourceError]) -> None:
    """The error is that of the last attempt."""
    async with serving(out_between(3, 9999, OUTAGES[outage])) as served, client(served) as ts:
        with pytest.raises(kind) as caught:
            await read_slowly(ts.customers.list())
        ended = now()

    assert 123 <= ended <= 125
    assert caught.value.attempts > 4  # type: ignore[attr-defined]  # all of these have it


@pytest.mark.parametrize(
    "policy", [RetryPolicy(attempts=1), RetryPolicy(patience=None), RetryPolicy(patience=10), RetryPolicy(deadline=10)]
)
async def test_a_retry_policy_can_shorten_the_wait_for_the_end_of_an_outage(policy: RetryPolicy) -> None:
    """With one attempt there is no retry. A deadline limits each call."""
    async with (
        serving(out_between(3, 9999, status(503))) as served,
        client(served, retry=policy) as ts,
    ):
        with pytest.raises(ServerError) as caught:
            await read_slowly(ts.customers.list())

        assert now() <= 3 + 10 + 1
        assert caught.value.attempts == 1 or policy.attempts > 1


async def test_a_list_without_any_answer_fails_after_four_attempts() -> None:
    """So a wrong URL is reported within seconds."""
    async with serving(lambda _: web.Response(status=503)) as served, client(served) as ts:
        with pytest.raises(ServerError) as caught:
            await ts.customers.list().collect()

    assert caught.value.attempts == 4


async def test_a_single_call_fails_after_four_attempts() -> None:
    """A person may wait for it."""
    async with serving(out_between(3, 9999, status(503))) as served, client(served) as ts:
        await ts.customers.list().first()
        await asyncio.sleep(5)
        with pytest.raises(ServerError) as caught:
            await ts.customers.get("cst-1")

    assert caught.value.attempts == 4


async def test_after_too_long_an_outage_the_other_calls_of_a_bulk_call_fail_soon() -> None:
    """They do not wait for two minutes each."""
    async with serving(out_between(3, 99999, status(503))) as served, client(served) as ts:
        await ts.customers.list().first()
        await asyncio.sleep(5)
        outcomes = await ts.customers.get_many([f"cst-{n}" for n in range(40)], concurrency=4).collect()

    assert all(isinstance(outcome.error, ServerError) for outcome in outcomes)
    assert now() < 5 + 120 + 10 * 8


async def test_waits_that_the_server_asks_for_do_not_count_as_an_outage() -> None:
    """The server asks for waits of more than three minutes, and all rows come."""
    reply = status(429, Retry_After="100")
    async with serving(out_between(3, 200, reply)) as served, client(served) as ts:
        assert await read_slowly(ts.customers.list()) == 500

    assert now() > 200


@pytest.mark.slow
async def test_repeated_requests_to_wait_are_followed_for_about_an_hour() -> None:
    """Then the list raises RateLimited."""
    reply = status(429, Retry_After="100")
    async with serving(out_between(3, 99999, reply)) as served, client(served) as ts:
        with pytest.raises(RateLimited):
            await read_slowly(ts.customers.list())

    assert 3600 < now() < 4200


async def test_a_list_waits_60_seconds_after_a_429_without_retry_after() -> None:
    """This is the length of the window of the API's limit."""
    waits: list[float] = []

    def note(event: CallEvent) -> None:
        if isinstance(event, RetryEvent):
            waits.append(event.wait)

    async with (
        serving(out_between(3, 25, status(429))) as served,
        client(served, on_event=note) as ts,
    ):
        assert await read_slowly(ts.customers.list()) == 500

    assert waits == [60.0]


async def test_a_truncated_page_is_requested_up_to_four_times() -> None:
    """In a list, broken JSON is a temporary failure."""
    bad = iter(range(3))

    def answer(query: Query) -> Any:
        if query.get("page") == "2" and next(bad, None) is not None:
            return truncated_body()
        return ordinary(people(250), query)

    async with serving(answer) as served, client(served) as ts:
        assert await read_slowly(ts.customers.list()) == 250

    assert [query["page"] for query in served.asked] == ["1", "2", "2", "2", "2", "3"]


async def test_updates_go_on_after_an_outage_and_creates_are_sent_once() -> None:
    """A PATCH is retried. A POST is retried only if it was not sent."""

    def answer(query: Query) -> Any:
        if 5 <= now() < 60:
            return web.Response(status=503)
        return {"data": people(10)[int(query.get("path", "/9")[-1])]}

    ids = [row["id"] for row in people(8)]
    async with serving(answer) as served, client(served) as ts:
        await ts.customers.get(ids[0])
        await asyncio.sleep(5)
        updated = await ts.customers.update_many(
            {customer_id: CustomerDraft(first_name="Karl") for customer_id in ids}, concurrency=4
        ).collect()
        await served.stop()
        creating = asyncio.create_task(
            ts.customers.create_many([CustomerDraft(first_name=name) for name in "abc"]).collect()
        )
        await asyncio.sleep(30)
        before = len(served.asked)
        await served.listen()
        created = await creating

    assert [outcome.error for outcome in updated] == [None] * 8
    assert [outcome.error for outcome in created] == [None] * 3
    assert len(served.asked) - before == 3


async def test_a_call_that_always_fails_while_others_succeed_is_given_up_soon() -> None:
    """That is no outage, so the bulk call does not wait for two minutes."""
    rows = people(40)
    bad = rows[3]["id"]

    async def answer(query: Query) -> Any:
        await asyncio.sleep(1)
        asked_for = query["path"].rpartition("/")[2]
        return web.Response(status=502) if asked_for == bad else {"data": next(r for r in rows if r["id"] == asked_for)}

    async with serving(answer) as served, client(served) as ts:
        bulk = ts.customers.get_many([row["id"] for row in rows[1:]], concurrency=2)
        ended = {outcome.input: (outcome.error, now()) async for outcome in bulk}

    assert [customer_id for customer_id, (error, _) in ended.items() if error is not None] == [bad]
    assert ended[bad][1] < 60


async def test_an_old_failure_does_not_shorten_the_patience_of_the_next_list() -> None:
    """An hour after a failed call, a list goes on after an outage."""

    def answer(query: Query) -> Any:
        failing = "path" in query or (3600 <= now() < 3640 and query["page"] != "1")
        return web.Response(status=502) if failing else ordinary(people(300), query)

    async with serving(answer) as served, client(served) as ts:
        await ts.customers.list().first()
        with pytest.raises(ServerError):
            await ts.customers.get("cst-1")
        await asyncio.sleep(3600 - now())
        assert await read_slowly(ts.customers.list()) == 300


async def test_calls_that_get_a_429_while_others_succeed_are_not_given_up() -> None:
    """Another program may use the same key and the same limit."""
    chance = random.Random(7)
    rows = people(40)

    def answer(query: Query) -> Any:
        if chance.random() < 0.75:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return {"data": next(row for row in rows if query["path"].endswith(row["id"]))}

    async with serving(lambda query: answer({"path": rows[0]["id"], **query})) as served, client(served) as ts:
        outcomes = await ts.customers.get_many([row["id"] for row in rows]).collect()

    assert [outcome.error for outcome in outcomes if outcome.index >= 8] == [None] * 32


@pytest.mark.parametrize("left_by", ["cancellation", "aclose"])
async def test_a_patient_wait_can_be_ended(left_by: str) -> None:
    """A cancellation and `aclose` end it at once."""
    async with serving(out_between(2, 9999, status(503))) as served, client(served) as ts:
        reading = asyncio.create_task(read_slowly(ts.customers.list()))
        await asyncio.sleep(60)
        if left_by == "aclose":
            await ts.aclose()
        else:
            reading.cancel()
        ended = now()
        with pytest.raises((asyncio.CancelledError, TicketSourceError)):
            await reading

    assert now() == ended
