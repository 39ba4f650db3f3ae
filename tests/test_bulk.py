"""Many calls at once: each input has its outcome, and a loop that ends early says what became of the rest."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import aiohttp
import pytest
from loops import our_tasks, until
from mocked import ONCE
from processes import run_strictly

from ticketsource_async import (
    AuthenticationFailed,
    Bulk,
    ClientClosed,
    ConfigurationError,
    Customer,
    CustomerDraft,
    InvalidID,
    LocalRateLimiter,
    NotFound,
    Outcome,
    OutcomeUnknown,
    RateLimit,
    ServerError,
    TicketSource,
    TicketSourceError,
    ValidationFailed,
)
from ticketsource_async.ratelimit import Priority
from ticketsource_async.sandbox import Sandbox


def drafts(count: int) -> list[CustomerDraft]:
    """Return drafts of customers with numbered first names."""
    return [CustomerDraft(first_name=f"Person {number}") for number in range(count)]


def first_names(box: Sandbox, start: int = 0) -> list[str]:
    """Return the first names of the customers, beginning at this place."""
    return [str(row["attributes"]["first_name"]) for row in box.customers.rows(start, 1000)]  # type: ignore[index]  # rows are JSON


async def take_outcomes(bulk: Bulk[Any, Any], seen: list[Outcome[Any, Any]]) -> None:
    """Append each outcome to `seen`."""
    async for outcome in bulk:
        seen.append(outcome)  # noqa: PERF401 - a comprehension would lose them


async def test_each_outcome_has_its_input_and_its_index(ts: TicketSource, box: Sandbox) -> None:
    """The outcomes of all inputs come in the order of completion."""
    ids = box.customers.ids()
    found = {outcome.index: outcome async for outcome in ts.customers.get_many(ids)}

    assert [found[index].input for index in range(25)] == list(ids)
    assert [found[index].unwrap().id for index in range(25)] == list(ids)


async def test_outcomes_come_in_the_order_of_completion(ts: TicketSource, box: Sandbox) -> None:
    """A slow answer does not delay the other outcomes."""
    slow, *others = box.customers.ids()
    box.fail(path=f"/customers/{slow}", slow=0.3)

    order = [outcome.input async for outcome in ts.customers.get_many([slow, *others], concurrency=3)]

    assert order[-1] == slow
    assert sorted(order[:-1]) == sorted(others)


async def test_a_failed_call_does_not_affect_the_others(ts: TicketSource, box: Sandbox) -> None:
    """An unknown id, an invalid id, and an error of the server each have an outcome."""
    one, two = box.customers.ids(0, 2)
    box.fail(path=f"/customers/{two}", status=500)

    inputs: list[Any] = [one, "cst-nobody", 7, two, one]
    found = {o.index: o async for o in ts.customers.get_many(inputs)}

    assert [type(found[index].error) for index in range(5)] == [
        type(None),
        NotFound,
        InvalidID,
        ServerError,
        type(None),
    ]
    with pytest.raises(NotFound):
        found[1].unwrap()


async def test_each_draft_is_created_once(ts: TicketSource, box: Sandbox) -> None:
    """Each valid draft makes one customer. A draft that is not valid has an outcome with its error."""
    made = [outcome async for outcome in ts.customers.create_many([*drafts(20), CustomerDraft()])]

    assert sorted(first_names(box, 25)) == sorted(f"Person {number}" for number in range(20))
    assert [type(outcome.error) for outcome in made if outcome.error] == [ValueError]
    assert {o.input.first_name: o.unwrap().first_name for o in made if not o.error} == {
        f"Person {number}": f"Person {number}" for number in range(20)
    }


@pytest.mark.parametrize("kind", ["mapping", "pairs"])
async def test_changes_are_given_as_a_mapping_or_as_pairs(ts: TicketSource, box: Sandbox, kind: str) -> None:
    """Both send each draft to its customer; a pair may have the customer itself."""
    customers = await ts.customers.list().collect()
    changes: Any = {c.id: CustomerDraft(last_name=f"Of {c.id}") for c in customers}
    if kind == "pairs":
        changes = [(customer, changes[customer.id]) for customer in customers]

    updated = [outcome.unwrap() async for outcome in ts.customers.update_many(changes)]

    assert {c.id: c.last_name for c in updated} == {c.id: f"Of {c.id}" for c in customers}


@pytest.mark.parametrize("pair", [tuple, list])
async def test_changes_of_one_customer_are_made_in_order(
    ts: TicketSource, box: Sandbox, pair: Callable[[Any], Any]
) -> None:
    """The last draft for a customer is the last one sent, even if the first answers are slow."""
    one, two = box.customers.ids(0, 2)
    box.fail(path=f"/customers/{one}", slow=0.05, times=3)
    changes = [pair((one, CustomerDraft(last_name=str(number)))) for number in range(5)]

    order = [o.index async for o in ts.customers.update_many([*changes, (two, CustomerDraft(last_name="X"))])]

    assert [index for index in order if index < 5] == [0, 1, 2, 3, 4]
    assert (await ts.customers.get(one)).last_name == "4"
    assert [r.path for r in box.requests][:2] == [f"/customers/{one}", f"/customers/{two}"]


@pytest.mark.parametrize("change", [7, (), ("cst-1",), ("cst-1", None), (None, CustomerDraft(first_name="A"))])
async def test_an_input_that_is_no_change_has_an_outcome_with_an_error(ts: TicketSource, change: Any) -> None:
    """No error is raised in the loop."""
    found = [outcome async for outcome in ts.customers.update_many([change])]

    assert isinstance(found[0].error, TypeError | ValueError)


async def test_customers_are_deleted(ts: TicketSource, box: Sandbox) -> None:
    """A customer that is given twice is not found the second time."""
    one, two, three = box.customers.ids(0, 3)
    gone = [outcome async for outcome in ts.customers.delete_many([one, two, one], concurrency=1)]

    assert [type(outcome.error) for outcome in gone] == [type(None), type(None), NotFound]
    assert box.customers.ids()[0] == three


async def test_a_verified_list_may_be_deleted_while_it_is_read(ts: TicketSource, box: Sandbox) -> None:
    """Deletions hide rows from a plain list; a verified one finds them."""
    async for outcome in ts.customers.delete_many(ts.customers.list(per_page=5, verify=True)):
        outcome.unwrap()

    assert len(box.customers) == 0


async def test_no_more_inputs_are_read_than_calls_may_run_at_once(ts: TicketSource, box: Sandbox) -> None:
    """So endless inputs, plain or async, are possible."""
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield box.customers.ids()[0]

    async def slowly() -> AsyncIterator[str]:
        for customer_id in endless():
            await asyncio.sleep(0)
            yield customer_id

    for inputs in (endless(), slowly()):
        read = taken = 0
        async with aclosing(aiter(ts.customers.get_many(inputs, concurrency=4))) as outcomes:
            async for _ in outcomes:
                taken += 1
                await asyncio.sleep(0.002)
                assert read - taken <= 3
                if taken == 40:
                    break


async def test_outcomes_come_while_the_next_input_is_still_awaited(ts: TicketSource, box: Sandbox) -> None:
    """Slow inputs do not delay the outcomes of finished calls."""
    taken = asyncio.Event()

    async def trickle() -> AsyncIterator[str]:
        yield box.customers.ids()[0]
        await taken.wait()
        yield box.customers.ids()[1]

    seen = []
    async for outcome in ts.customers.get_many(trickle()):
        seen.append(outcome.index)
        taken.set()

    assert seen == [0, 1]


async def test_an_error_of_the_inputs_is_raised_after_the_outcomes_before_it(ts: TicketSource, box: Sandbox) -> None:
    """The outcomes of the inputs before it come first."""

    def broken() -> Iterator[str]:
        yield from box.customers.ids(0, 5)
        raise OSError("the file is gone")

    seen: list[Outcome[Any, Any]] = []
    with pytest.raises(OSError, match="the file is gone"):
        await take_outcomes(ts.customers.get_many(broken()), seen)
    assert len(seen) == 5


@pytest.mark.parametrize("before", [0, 3])
async def test_fail_fast_yields_the_failure_and_then_the_writes_that_it_cut_off(box: Sandbox, before: int) -> None:
    """The order of the inputs does not matter. The inputs after them are not sent."""
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts:
        box.fail(method="POST", status=422, after=before)
        box.fail(method="POST", slow=3600, times=None)
        bulk = ts.customers.create_many(drafts(100), concurrency=4, fail_fast=True)
        seen = [outcome async for outcome in bulk]

    assert isinstance(seen[0].error, ValidationFailed)
    assert all(isinstance(outcome.error, OutcomeUnknown) for outcome in seen[1:])
    assert bulk.undelivered == []
    done = {outcome.input.first_name for outcome in seen[1:]}
    assert set(first_names(box, 25)) <= done
    assert len(box.requests) <= 4


@pytest.mark.parametrize("way", ["cancel", "raise", "break"])
async def test_every_write_is_accounted_for_when_the_loop_ends_early(
    box: Sandbox, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each write is in the outcomes or in `undelivered`. The log has the writes of unknown outcome."""
    caplog.set_level(logging.WARNING)
    before = our_tasks()
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        box.fail(method="POST", after=3, slow=3600, times=None)
        bulk = ts.customers.create_many(drafts(100), concurrency=6)
        seen: list[Outcome[Any, Any]] = []
        undelivered_at_once = []
        if way == "cancel":
            taking = asyncio.create_task(take_outcomes(bulk, seen))
            await until(lambda: len(box.requests) == 9)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
        elif way == "raise":
            try:
                async with aclosing(bulk):
                    async for outcome in bulk:
                        seen.append(outcome)
                        await until(lambda: len(box.requests) >= 6)
                        raise ZeroDivisionError  # noqa: TRY301 - an error in the body of the loop is the case
            except ZeroDivisionError:
                undelivered_at_once = bulk.undelivered
        else:
            async for outcome in bulk:
                seen.append(outcome)
                await until(lambda: len(box.requests) >= 6)
                break
            gc.collect()
        await until(lambda: our_tasks() == before)

    assert bulk.undelivered == undelivered_at_once or way != "raise"
    sent = set(first_names(box, 25))
    unknown = [outcome for outcome in bulk.undelivered if outcome.error]
    assert sent <= {outcome.input.first_name for outcome in [*seen, *bulk.undelivered]}
    assert unknown
    assert all(isinstance(outcome.error, OutcomeUnknown) for outcome in unknown)
    assert [r.getMessage() for r in caplog.records if "was in flight when it was cancelled" in r.getMessage()]
    assert len(sent) < 15


async def test_a_failure_is_kept_if_the_loop_is_cancelled_at_that_moment(box: Sandbox) -> None:
    """The write whose answer was lost has its outcome, though closing the inputs takes time."""

    async def inputs() -> AsyncIterator[CustomerDraft]:
        try:
            yield drafts(1)[0]
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)

    async with TicketSource(box.api_key, base_url=box.url) as ts:
        box.fail(method="POST", cut="after_write")
        bulk = ts.customers.create_many(inputs(), fail_fast=True)
        seen: list[Outcome[Any, Any]] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await take_outcomes(bulk, seen)

    assert [type(outcome.error) for outcome in [*seen, *bulk.undelivered]] == [OutcomeUnknown]


async def test_with_fail_fast_no_call_begins_after_a_refused_write(box: Sandbox) -> None:
    """This is so even if the loop takes the other outcomes slowly."""
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts:
        box.fail(method="POST", after=3, status=422)
        bulk = ts.customers.create_many(drafts(100), concurrency=4, fail_fast=True)
        async with aclosing(bulk):
            async for _ in bulk:
                await asyncio.sleep(0.05)

    assert len(box.requests) == 4


async def test_a_cancellation_of_the_inputs_is_raised(ts: TicketSource, box: Sandbox) -> None:
    """It must not look like the end of the inputs."""

    async def inputs() -> AsyncIterator[str]:
        yield box.customers.ids()[0]
        waited_for = asyncio.create_task(asyncio.sleep(3600))
        waited_for.cancel()
        await waited_for

    with pytest.raises(asyncio.CancelledError):
        await take_outcomes(ts.customers.get_many(inputs()), [])


async def test_a_call_that_the_limiter_cancels_has_an_outcome_with_an_error(box: Sandbox) -> None:
    """No input is without an outcome."""

    class Cancels(LocalRateLimiter):
        def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
            raise asyncio.CancelledError

    async with TicketSource(box.api_key, base_url=box.url, limiter=Cancels(RateLimit(9))) as ts:
        found = [outcome async for outcome in ts.customers.get_many(box.customers.ids(0, 3))]

    assert [type(outcome.error) for outcome in found] == [TicketSourceError] * 3


async def test_inputs_are_closed_when_the_loop_ends(ts: TicketSource, box: Sandbox) -> None:
    """A bulk call over the outcomes of another bulk call leaves no task."""
    before = our_tasks()

    async def created() -> AsyncIterator[str]:
        async for outcome in ts.customers.create_many(drafts(100)):
            yield outcome.unwrap().id

    bulk = ts.customers.get_many(created())
    async with aclosing(bulk):
        async for _ in bulk:
            break
    await until(lambda: our_tasks() == before)


async def test_after_a_cancellation_calls_that_were_not_sent_have_no_outcome(box: Sandbox) -> None:
    """These calls still waited for the limiter."""
    limiter = LocalRateLimiter(RateLimit(2, per=3600))
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        bulk = ts.customers.create_many(drafts(10))
        seen: list[Outcome[Any, Any]] = []
        taking = asyncio.create_task(take_outcomes(bulk, seen))
        await until(lambda: len(seen) == 2)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    assert bulk.undelivered == []
    assert len(box.customers) == 27


@pytest.mark.parametrize("idle", [False, True])
async def test_closing_the_client_ends_a_bulk_call(box: Sandbox, idle: bool) -> None:
    """Writes in flight have an unknown outcome. Then ClientClosed is raised, even while the loop waits for an input."""
    before = our_tasks()
    ts = TicketSource(box.api_key, base_url=box.url)
    box.fail(method="POST", slow=3600, times=None)
    never = asyncio.Event()

    async def inputs() -> AsyncIterator[CustomerDraft]:
        for draft in drafts(0 if idle else 100):
            yield draft
        await never.wait()

    seen: list[Outcome[Any, Any]] = []
    taking = asyncio.create_task(take_outcomes(ts.customers.create_many(inputs(), concurrency=3), seen))
    await until(lambda: len(our_tasks() - before) > 1 if idle else len(box.requests) == 3)
    await ts.aclose()

    with pytest.raises(ClientClosed):
        await taking
    assert len(seen) == (0 if idle else 3)
    assert all(isinstance(outcome.error, OutcomeUnknown) for outcome in seen)
    assert our_tasks() == before


async def test_a_second_loop_over_a_bulk_call_is_refused(ts: TicketSource, box: Sandbox) -> None:
    """It would write everything again."""
    bulk = ts.customers.create_many(drafts(2))
    assert len([outcome async for outcome in bulk]) == 2

    with pytest.raises(ConfigurationError, match="once"):
        await anext(aiter(bulk))
    assert len(box.customers) == 27


@pytest.mark.parametrize("inputs", ["cst-1", b"cst-1", 7, None])
async def test_get_many_refuses_a_single_value(ts: TicketSource, inputs: Any) -> None:
    """A text is an iterable of letters, but one id is meant."""
    with pytest.raises(TypeError, match="many inputs are an iterable"):
        ts.customers.get_many(inputs)


async def test_a_concurrency_of_zero_is_refused(ts: TicketSource) -> None:
    """It is refused when the call is made, not in the loop."""
    with pytest.raises(ValueError, match="concurrency"):
        ts.customers.get_many([], concurrency=0)


async def test_a_wrong_key_is_the_error_of_each_input(box: Sandbox) -> None:
    """No error is raised in the loop."""
    async with TicketSource("skl-wrong", base_url=box.url) as ts:
        errors = {type(outcome.error) async for outcome in ts.customers.get_many(box.customers.ids())}

    assert errors == {AuthenticationFailed}


async def test_a_single_call_does_not_queue_behind_bulk_calls_and_lists(box: Sandbox) -> None:
    """They use up the limit, but a few slots are reserved for single calls."""
    limiter = LocalRateLimiter(RateLimit(96, per=3600))
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        one = box.customers.ids()[0]
        working = [
            asyncio.create_task(take_outcomes(ts.customers.get_many([one] * 1000), [])),
            asyncio.create_task(ts.customers.list(per_page=1, concurrency=8).collect()),
        ]
        # A page that was requested ahead and cancelled may have taken a slot without reaching the server.
        await until(lambda: "2 free, 0 in flight" in repr(limiter))

        assert isinstance(await asyncio.wait_for(ts.customers.get(one), 20), Customer)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


STRICTLY = """
import asyncio, gc, sys
from contextlib import aclosing
from ticketsource_async import CustomerDraft, TicketSource

async def main():
    async with TicketSource(sys.argv[2], base_url=sys.argv[1], rate_limit=None) as ts:
        rows = [c async for c in ts.customers.list(per_page=2, concurrency=8)]
        for start in (
            lambda: ts.customers.list(per_page=2, concurrency=8),
            lambda: ts.customers.list(per_page=2, concurrency=4, verify=True),
            lambda: ts.customers.get_many(rows * 10),
            lambda: ts.customers.create_many(CustomerDraft(first_name="A") for _ in range(50)),
            ts.all_bookings,
            ts.programme,
        ):
            async for _ in start():
                break
            async with aclosing(aiter(start())) as items:
                await anext(items)
                await anext(items)
            try:
                async with asyncio.timeout(0.02):
                    async for _ in start():
                        await asyncio.sleep(0.001)
            except TimeoutError:
                pass
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)
        print([t.get_name() for t in asyncio.all_tasks() if t is not asyncio.current_task()])
    gc.collect()

asyncio.run(main(), debug=True)
gc.collect()
"""


async def test_a_loop_that_ends_early_leaves_no_task_and_no_warning(box: Sandbox) -> None:
    """Loops over lists, bulk calls and listings end by `break`, `aclosing` and timeouts, in debug mode."""
    out, err = await run_strictly(STRICTLY, box.url, box.api_key)

    assert out == "[]\n"
    assert [line for line in err.splitlines() if "nobody knows whether it took effect" not in line] == []


@pytest.mark.parametrize("way", ["cancel", "close", "inputs"])
async def test_a_collect_that_ends_early_loses_no_outcome_of_a_write(box: Sandbox, way: str) -> None:
    """`undelivered` has what was created."""

    def inputs() -> Iterator[CustomerDraft]:
        yield from drafts(20)
        if way == "inputs":
            raise LookupError("no more")
        yield from drafts(500)

    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE, rate_limit=None) as ts:
        before = set(box.customers.ids())
        bulk = ts.customers.create_many(inputs(), concurrency=2)
        collecting = asyncio.create_task(bulk.collect())
        await until(lambda: len(box.customers.ids()) >= len(before) + 10)
        if way == "cancel":
            collecting.cancel()
        if way == "close":
            await ts.aclose()
        with pytest.raises((asyncio.CancelledError, ClientClosed, LookupError)):
            await collecting

    created = {outcome.value.id for outcome in bulk.undelivered if outcome.value is not None}
    uncertain = [outcome for outcome in bulk.undelivered if isinstance(outcome.error, OutcomeUnknown)]
    missing = set(box.customers.ids()) - before - created
    assert created <= set(box.customers.ids())
    assert len(missing) <= len(uncertain)


async def test_collect_returns_all_outcomes_in_the_order_of_the_inputs(ts: TicketSource, box: Sandbox) -> None:
    """A failed call is among them. Nothing is undelivered."""
    ids = [*box.customers.ids(0, 5), "cst-nobody"]
    bulk = ts.customers.get_many(ids, concurrency=3)

    outcomes = await bulk.collect()

    assert [outcome.input for outcome in outcomes] == ids
    assert [type(outcome.error) for outcome in outcomes] == [*[type(None)] * 5, NotFound]
    assert bulk.undelivered == []


async def test_with_fail_fast_no_call_begins_after_an_invalid_id(ts: TicketSource, box: Sandbox) -> None:
    """An invalid id fails before any request, and nothing is deleted after it."""
    ids = box.customers.ids()

    async with ts.customers.delete_many(["bad/id", *ids[:6]], concurrency=1, fail_fast=True) as bulk:
        outcomes = [outcome async for outcome in bulk]

    assert [type(outcome.error) for outcome in outcomes] == [InvalidID]
    assert box.customers.ids() == ids


async def test_inputs_that_ignore_their_cancellation_start_no_further_call(ts: TicketSource, box: Sandbox) -> None:
    """The loop has ended, so the input that comes then is not sent."""

    async def inputs() -> AsyncIterator[CustomerDraft]:
        yield drafts(1)[0]
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            yield CustomerDraft(first_name="Late")

    before = len(box.customers.ids())
    async with ts.customers.create_many(inputs()) as bulk:
        async for _ in bulk:
            break

    assert len(box.customers.ids()) == before + 1
    assert bulk.undelivered == []


async def test_a_borrowed_session_that_is_closed_ends_the_loop_with_an_error(box: Sandbox) -> None:
    """The loop must not look complete while some inputs were not tried."""
    async with aiohttp.ClientSession() as session:
        ts = TicketSource(box.api_key, base_url=box.url, session=session)

        async def read() -> None:
            async for outcome in ts.customers.get_many(box.customers.ids(), concurrency=2):
                if outcome.index == 3:
                    await session.close()

        with pytest.raises(ClientClosed):
            await read()
        await ts.aclose()


async def test_closing_the_client_after_the_last_outcome_is_no_error(ts: TicketSource, box: Sandbox) -> None:
    """Every input has its outcome."""
    found = []
    async for outcome in ts.customers.get_many(box.customers.ids(0, 3)):
        found.append(outcome)
        if len(found) == 3:
            await ts.aclose()

    assert [outcome.error for outcome in found] == [None] * 3
