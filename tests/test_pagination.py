"""Lists, page by page and item by item."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from loops import our_tasks, read_until_it_raises, until
from mocked import ONCE, MockedAPI
from rows import API, customer_row, page

from ticketsource_async import (
    AttemptEvent,
    CallEvent,
    ClientClosed,
    Customer,
    InvalidResponse,
    ListReport,
    NotFound,
    Page,
    PaginationError,
    ServerError,
    TicketSource,
)
from ticketsource_async._wire.response import Envelope
from ticketsource_async.sandbox import Sandbox


def requested_pages(box: Sandbox) -> list[str]:
    """Return the page numbers of the requests that the sandbox saw."""
    return [request.query["page"] for request in box.requests]


async def test_every_customer_comes_once_in_order(ts: TicketSource, box: Sandbox) -> None:
    """`per_page` is added to each `next` that does not have it."""
    ids = [customer.id async for customer in ts.customers.list(per_page=10)]

    assert ids == list(box.customers.ids())
    assert [(r.query["page"], r.query["per_page"]) for r in box.requests] == [("1", "10"), ("2", "10"), ("3", "10")]


async def test_a_page_has_its_number_and_the_url_of_the_next(ts: TicketSource, box: Sandbox) -> None:
    """It also has its items, its size, and the links as the API sent them."""
    pages = [page async for page in ts.customers.list(per_page=10).pages()]

    assert [(len(p.items), p.number, p.per_page) for p in pages] == [(10, 1, 10), (10, 2, 10), (5, 3, 10)]
    assert pages[0].next_url == f"{box.url}/customers?page=2&per_page=10"
    assert pages[0].raw_links["next"] == f"{box.url}/customers?page=2"
    assert pages[-1].next_url is None


async def test_each_loop_over_a_pager_reads_the_list_again(ts: TicketSource, box: Sandbox) -> None:
    """Nothing is sent before the first loop."""
    pager = ts.customers.list()
    assert not box.requests

    assert await pager.collect() == await pager.collect()
    assert len(box.requests) == 2
    assert repr(pager) == "<Pager of Customer at /customers>"


async def test_first_returns_the_first_item_or_none(ts: TicketSource, box: Sandbox) -> None:
    """It requests one page. For an empty list it returns None."""
    first = await ts.customers.list(per_page=1).first()
    assert first is not None
    assert first.id == box.customers.ids()[0]
    assert await ts.customers.list(start_page=9).first() is None
    assert len(box.requests) == 2


async def test_a_list_of_250_items_takes_three_requests() -> None:
    """A page has 100 items."""
    async with Sandbox(customers=1000) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        customers = await ts.customers.list(max_items=250).collect()

        assert [c.id for c in customers] == list(box.customers.ids(0, 250))
        assert requested_pages(box) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("max_items", "per_page", "requests"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (99, 10, 3)]
)
async def test_no_page_is_requested_beyond_max_items(
    ts: TicketSource, box: Sandbox, max_items: int, per_page: int, requests: int
) -> None:
    """Only the pages with these items are requested."""
    customers = await ts.customers.list(max_items=max_items, per_page=per_page).collect()

    assert len(customers) == min(max_items, 25)
    assert len(box.requests) == requests


async def test_a_list_begins_at_start_page(ts: TicketSource, box: Sandbox) -> None:
    """`start_page` skips the pages before it."""
    ids = [c.id async for c in ts.customers.list(per_page=10, start_page=2)]

    assert ids == list(box.customers.ids(10))


@pytest.mark.parametrize(
    "options",
    [
        {"per_page": 0},
        {"per_page": 101},
        {"per_page": "10"},
        {"per_page": True},
        {"start_page": 0},
        {"max_items": -1},
        {"max_items": 2.5},
        {"concurrency": 0},
        {"max_passes": 1},
        {"on_invalid": "skip"},
        {"on_invalid": asyncio.sleep},
    ],
)
def test_an_option_out_of_bounds_is_refused(options: Any) -> None:
    """The error names the option. It is raised when the list is made."""
    with pytest.raises(ValueError, match=next(iter(options))):
        TicketSource("skl-test").customers.list(**options)


async def test_an_empty_page_with_a_next_does_not_end_the_list(mocked: TicketSource, api: MockedAPI) -> None:
    """Rows after an empty page are not lost."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?page=2"))
    api.answer("GET", "/customers?page=2&per_page=100", page([], f"{API}/customers?page=3"))
    api.answer("GET", "/customers?page=3&per_page=100", page([customer_row(2)]))

    assert [c.id for c in await mocked.customers.list().collect()] == ["cst-xxxxxxxxxx1", "cst-xxxxxxxxxx2"]


async def test_a_next_without_a_page_number_is_followed(mocked: TicketSource, api: MockedAPI) -> None:
    """Such a list is followed link by link."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?cursor=abc"))
    api.answer("GET", "/customers?cursor=abc&per_page=100", page([customer_row(2)], f"{API}/customers?cursor=def"))
    api.answer("GET", "/customers?cursor=def&per_page=100", page([customer_row(3)]))

    pages = [p async for p in mocked.customers.list().pages()]

    assert [(p.number, p.items[0].id[-1]) for p in pages] == [(1, "1"), (2, "2"), (3, "3")]


async def test_an_error_on_a_page_comes_after_the_items_before_it(ts: TicketSource, box: Sandbox) -> None:
    """The items of the pages before a broken page come first."""
    box.fail(page=3, body="<html>", status=200)

    seen, error = await read_until_it_raises(ts.customers.list(per_page=10))

    assert isinstance(error, InvalidResponse)
    assert "page=3" in str(error)
    assert [customer.id for customer in seen] == list(box.customers.ids(0, 20))


NO_CUSTOMER = {**customer_row(2), "attributes": None}
BAD_ROWS = page([customer_row(1), NO_CUSTOMER, customer_row(3)])


async def test_the_error_of_an_invalid_row_names_its_place(mocked: TicketSource, api: MockedAPI) -> None:
    """It has the path in the JSON and the id of the row."""
    api.answer("GET", "/customers?page=1&per_page=100", BAD_ROWS)

    with pytest.raises(InvalidResponse) as caught:
        await mocked.customers.list().collect()

    assert caught.value.json_path == "$.data[1].attributes"
    assert caught.value.id == "cst-xxxxxxxxxx2"


@pytest.mark.parametrize(("max_items", "ids"), [(None, ["1", "3"]), (2, ["1"]), (3, ["1", "3"])])
async def test_on_invalid_gets_an_invalid_row_and_max_items_counts_it(
    mocked: TicketSource, api: MockedAPI, max_items: int | None, ids: list[str]
) -> None:
    """The other rows come."""
    api.answer("GET", "/customers?page=1&per_page=100", BAD_ROWS)
    handed: list[InvalidResponse] = []

    customers = await mocked.customers.list(on_invalid=handed.append, max_items=max_items).collect()

    assert [c.id[-1] for c in customers] == ids
    assert [e.id for e in handed] == ["cst-xxxxxxxxxx2"]


@pytest.mark.parametrize("rows", [2500, pytest.param(300_000, marks=pytest.mark.slow)])
async def test_on_invalid_gets_thousands_of_rows_while_other_tasks_run(
    ts: TicketSource, box: Sandbox, rows: int
) -> None:
    """Each row is counted. Other tasks run after at most a thousand rows."""
    good = json.dumps(customer_row(1)).encode()
    box.fail(status=200, body=b'{"data": [' + b"{}," * rows + good + b"]}")
    told, turns = Counter[str](), set[int]()

    async def others() -> None:
        while True:
            turns.add(told.total())
            await asyncio.sleep(0)

    def tell(error: InvalidResponse) -> None:
        told[error.json_path if told.total() < 3 else "$.data[...].id"] += 1

    other = asyncio.create_task(others())
    pager = ts.customers.list(on_invalid=tell)
    customers = await pager.collect()
    other.cancel()

    assert [customer.id for customer in customers] == [customer_row(1)["id"]]
    assert pager.report.invalid == told.total() == rows
    assert [told[f"$.data[{n}].id"] for n in range(3)] == [1, 1, 1]
    assert len([turn for turn in turns if 0 < turn < rows]) >= rows // 1000


async def test_a_row_with_an_unreadable_value_comes_and_is_counted(
    mocked: TicketSource, api: MockedAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """The log reports each path once, without the value. The report counts the records."""
    rows = [customer_row(n, consent={"email": "secret"}, images=[{"x": "secret"}]) for n in range(1, 4)]
    api.answer("GET", "/customers?page=1&per_page=100", page(rows), repeat=True)
    pager = mocked.customers.list()

    for _ in range(2):
        assert [customer.consent and customer.consent.email for customer in await pager.collect()] == [None] * 3
    assert pager.report == ListReport(passes=1, requests=1, unreadable=3)
    assert [record.getMessage() for record in caplog.records] == [
        "customer.consent.email could not be read in a record: it is None there, `record.invalid` has it."
    ]


async def test_an_answer_without_a_list_is_invalid(mocked: TicketSource, api: MockedAPI) -> None:
    """One record instead of a list is an error, not one item."""
    api.answer("GET", "/customers?page=1&per_page=100", {"data": customer_row()})

    with pytest.raises(InvalidResponse, match="`data` is not a list"):
        await mocked.customers.list().collect()


async def test_a_list_holds_no_connection_between_items(ts: TicketSource, box: Sandbox) -> None:
    """Between two items, the only connection is free for other calls."""
    async with TicketSource(box.api_key, base_url=box.url, max_connections=1) as narrow:
        async for customer in narrow.customers.list(per_page=10):
            assert await asyncio.wait_for(narrow.customers.get(customer), 5) == customer


async def test_a_loop_that_ends_early_leaves_no_task(ts: TicketSource, box: Sandbox) -> None:
    """It ends by `break`, or by `aclosing`. No further page is requested."""
    before = our_tasks()
    async for _ in ts.customers.list(per_page=10):
        break
    async with aclosing(aiter(ts.customers.list(per_page=10))) as customers:
        assert isinstance(await anext(customers), Customer)
    gc.collect()
    await asyncio.sleep(0)

    assert requested_pages(box) == ["1", "1"]
    assert our_tasks() == before


async def test_a_deletion_hides_a_row_and_an_insertion_repeats_none(ts: TicketSource, box: Sandbox) -> None:
    """The documentation says so: without `verify`, a deletion shifts a row to a page that was read before."""
    ids = list(box.customers.ids())
    box.fail(page=2, delete=1)
    missed = [c.id async for c in ts.customers.list(per_page=10)]
    box.fail(page=2, insert=1)
    pager = ts.customers.list(per_page=10)
    once = [c.id async for c in pager]

    assert missed == ids[:10] + ids[11:]
    assert once == ids[1:]
    assert pager.report == ListReport(passes=1, requests=3, duplicates=1)


# Pages ahead


@pytest.mark.parametrize("customers", [0, 1, 10, 20, 75, 80, 83])
@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
async def test_pages_read_ahead_come_in_order_with_few_requests_past_the_end(customers: int, concurrency: int) -> None:
    """The items are those of the plain list. Fewer pages past the end are requested than the concurrency."""
    async with (
        Sandbox(customers=customers, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts,
    ):
        pager = ts.customers.list(per_page=10, concurrency=concurrency)
        ids = [customer.id async for customer in pager]

        pages = max(1, -(-customers // 10))
        assert ids == list(box.customers.ids())
        assert pages <= len(box.requests) <= pager.report.requests <= pages + concurrency - 1
        assert sorted(requested_pages(box), key=int) == [str(n + 1) for n in range(len(box.requests))]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 2), (5, 5), (8, 8)])
async def test_reading_ahead_starts_slowly_and_keeps_to_the_concurrency(concurrency: int, most: int) -> None:
    """The first page is requested alone, then two pages, then as many as the concurrency."""
    async with (
        Sandbox(customers=300, rate_limit=None, latency=0.02) as box,
        TicketSource(box.api_key, base_url=box.url, max_connections=50) as ts,
    ):
        reading = asyncio.create_task(ts.customers.list(per_page=10, concurrency=concurrency).collect())
        waiting: dict[int, int] = {}
        while not reading.done():
            answered = sum(request.status is not None for request in box.requests)
            waiting[answered] = max(waiting.get(answered, 0), len(box.requests) - answered)
            await asyncio.sleep(0.001)

    assert len(await reading) == 300
    assert waiting[0] == 1
    assert waiting[1] <= 2
    assert max(waiting.values()) == most


async def test_no_more_pages_are_in_memory_than_the_concurrency(ts: TicketSource, box: Sandbox) -> None:
    """Pages that are requested, waiting or in the loop count together."""
    kept: list[int] = []
    box.customers.insert(35)
    read = 0
    async for _ in ts.customers.list(per_page=5, concurrency=4):
        read += 1
        if read % 5 == 1:
            await until(lambda: all(request.status is not None for request in box.requests))
            await asyncio.sleep(0.01)  # the answers arrive, and the task that brought this page ends
            gc.collect()  # finished tasks may refer to one another in circles
            kept.append(sum(isinstance(thing, (Page, Envelope)) for thing in gc.get_objects()))

    assert max(kept) == 4


@pytest.mark.parametrize(("max_items", "requests"), [(0, 0), (5, 1), (10, 1), (11, 2), (64, 7)])
async def test_no_page_is_read_ahead_beyond_max_items(max_items: int, requests: int) -> None:
    """Only the pages with these items are requested."""
    async with (
        Sandbox(customers=500, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        customers = await ts.customers.list(per_page=10, concurrency=8, max_items=max_items).collect()

        assert [c.id for c in customers] == list(box.customers.ids(0, max_items))
        assert len(box.requests) == requests


async def test_a_list_without_page_numbers_is_followed_link_by_link(mocked: TicketSource, api: MockedAPI) -> None:
    """No page is predicted if a `next` has no page number, or has a cursor too."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?page=2&cursor=a"))
    api.answer("GET", "/customers?page=2&cursor=a&per_page=100", page([customer_row(2)], f"{API}/customers?cursor=b"))
    api.answer("GET", "/customers?cursor=b&per_page=100", page([customer_row(3)]))
    pager = mocked.customers.list(concurrency=8)

    assert [customer.id[-1] for customer in await pager.collect()] == ["1", "2", "3"]
    assert pager.report.requests == 3


async def test_pages_that_were_predicted_wrongly_are_dropped(mocked: TicketSource, api: MockedAPI) -> None:
    """If a `next` skips pages, the rows of pages read ahead do not come."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?page=2"))
    api.answer("GET", "/customers?page=2&per_page=100", page([customer_row(2)], f"{API}/customers?page=7"))
    for number in (3, 8, 9, 10):
        api.answer("GET", f"/customers?page={number}&per_page=100", page([customer_row(666)]))
    api.answer("GET", "/customers?page=7&per_page=100", page([customer_row(7)]))

    pages = [page async for page in mocked.customers.list(concurrency=3).pages()]

    assert [(page.number, page.items[0].id[-1]) for page in pages] == [(1, "1"), (2, "2"), (7, "7")]


async def test_wrong_predictions_of_pages_stop(mocked: TicketSource, api: MockedAPI) -> None:
    """A list that writes its page numbers in another way is followed link by link."""
    for number in range(1, 21):
        spelled = "1" if number == 1 else f"{number:03}"
        following = f"{API}/customers?page={number + 1:03}" if number < 20 else None
        api.answer("GET", f"/customers?page={spelled}&per_page=100", page([customer_row(number)], following))
    for number in range(3, 30):
        api.answer("GET", f"/customers?page={number}&per_page=100", page([customer_row(666)]))
    pager = mocked.customers.list(concurrency=8)

    assert [customer.id for customer in await pager.collect()] == [f"cst-xxxxxxxxxx{n}" for n in range(1, 21)]
    assert pager.report.requests <= 20 + 7


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_error_on_a_page_ends_the_pages_read_ahead(ts: TicketSource, box: Sandbox, concurrency: int) -> None:
    """The rows before it come first, and no task is left."""
    box.customers.insert(100)
    box.fail(page=5, status=500)
    before = our_tasks()

    seen, error = await read_until_it_raises(ts.customers.list(per_page=10, concurrency=concurrency))

    assert isinstance(error, ServerError)
    assert "page=5" in str(error)
    assert [customer.id for customer in seen] == list(box.customers.ids(0, 40))
    assert our_tasks() == before


@pytest.mark.parametrize("way", ["aclosing", "break", "cancel", "aclose"])
async def test_a_loop_over_pages_read_ahead_leaves_no_task_however_it_ends(box: Sandbox, way: str) -> None:
    """It may end by `aclosing`, `break`, a cancellation, or `aclose` of the client."""
    box.customers.insert(300)
    before = our_tasks()
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        customers = aiter(ts.customers.list(per_page=5, concurrency=8))
        if way == "aclosing":
            async with aclosing(customers):
                for _ in range(50):
                    await anext(customers)
            assert our_tasks() == before
        elif way == "break":
            for _ in range(50):
                await anext(customers)
            async for _ in customers:
                break
            del customers
            gc.collect()
            await until(lambda: our_tasks() == before)
        else:
            for _ in range(50):
                await anext(customers)
            box.fail(slow=3600, times=None)
            reading = asyncio.create_task(read_all(customers))
            await until(lambda: len(box.requests) > 15)
            if way == "cancel":
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            else:
                await ts.aclose()
                assert our_tasks() - before <= {reading}
                with pytest.raises(ClientClosed):
                    await reading
    assert our_tasks() == before


async def read_all(items: AsyncIterator[object]) -> None:
    """Read all items."""
    async for _ in items:
        pass


# A list that misses nobody


def client_that_changes(box: Sandbox, change: Callable[[], None]) -> TicketSource:
    """Return a client whose answers each change the box office."""

    def on_event(event: CallEvent) -> None:
        if isinstance(event, AttemptEvent):
            change()

    return TicketSource(box.api_key, base_url=box.url, rate_limit=None, on_event=on_event)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_verified_list_finds_rows_that_deletions_hid(concurrency: int) -> None:
    """After each page three early rows are deleted and three are added at the end. Each row that stays comes once."""
    async with Sandbox(customers=400, rate_limit=None) as box:
        everybody = set(box.customers.ids())

        def change() -> None:
            box.customers.delete(box.customers.ids(0, 3))
            box.customers.insert(3)

        async with client_that_changes(box, change) as ts:
            plain = [c.id async for c in ts.customers.list(per_page=20)]
            staying = everybody & set(box.customers.ids())
            assert staying - set(plain)

            pager = ts.customers.list(per_page=20, concurrency=concurrency, verify=True)
            everybody = set(box.customers.ids())
            verified = [c.id async for c in pager]

        assert everybody & set(box.customers.ids()) <= set(verified)
        assert len(set(verified)) == len(verified)
        assert pager.report.found_later > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=strategies.data())
def test_a_verified_list_is_complete_despite_deletions_and_additions_at_the_end(data: strategies.DataObject) -> None:
    """Between any two answers, rows are deleted or added. Each customer who stays comes once."""
    changes = data.draw(strategies.lists(strategies.tuples(strategies.integers(0, 3), strategies.integers(0, 40))))
    per_page = data.draw(strategies.integers(1, 7))
    concurrency = data.draw(strategies.sampled_from([1, 3]))

    async def check() -> None:
        async with Sandbox(customers=data.draw(strategies.integers(0, 30)), rate_limit=None) as box:
            everybody, left = set(box.customers.ids()), list(changes)

            def change() -> None:
                added, place = left.pop() if left else (0, 1000)
                box.customers.delete(box.customers.ids(place, place + 2))
                box.customers.insert(added)

            async with client_that_changes(box, change) as ts:
                seen = [c.id async for c in ts.customers.list(per_page=per_page, concurrency=concurrency, verify=True)]

            assert everybody & set(box.customers.ids()) <= set(seen)
            assert len(set(seen)) == len(seen)

    asyncio.run(check())


async def test_an_unchanged_list_is_verified_by_two_passes(ts: TicketSource, box: Sandbox) -> None:
    """One pass goes forward, one goes backward from the last page. The report counts both passes."""
    pager = ts.customers.list(per_page=10, verify=True)
    pages = [(page.number, len(page.items)) async for page in pager.pages()]

    assert pages == [(1, 10), (2, 10), (3, 5), (3, 0), (2, 0), (1, 0)]
    assert requested_pages(box) == ["1", "2", "3", "3", "2", "1"]
    assert pager.report == ListReport(passes=2, requests=6, complete=True)


async def test_a_verified_list_finds_rows_added_at_its_end(ts: TicketSource, box: Sandbox) -> None:
    """They are added while the first pass reads the last page, and the second pass finds them."""
    pager = ts.customers.list(per_page=10, verify=True)
    seen: list[str] = []
    async for customer in pager:
        seen.append(customer.id)
        if len(seen) == 25:
            box.customers.insert(10)

    assert seen[:25] == list(box.customers.ids(0, 25))
    assert sorted(seen) == sorted(box.customers.ids())
    assert requested_pages(box)[3:8] == ["3", "4", "3", "2", "1"]
    assert pager.report == ListReport(passes=3, requests=12, found_later=10, complete=True)


async def test_a_404_for_the_last_page_does_not_end_the_verification(ts: TicketSource, box: Sandbox) -> None:
    """A server may answer 404 to a page that is empty now. The pass goes on with the page before it."""
    box.fail(page=3, after=1, status=404)
    seen: list[str] = []
    async for customer in ts.customers.list(per_page=10, verify=True):
        seen.append(customer.id)  # noqa: PERF401 - it is a loop that is tested

    assert seen == list(box.customers.ids())
    assert requested_pages(box) == ["1", "2", "3", "3", "2", "1"]


async def test_a_404_for_the_first_page_ends_the_verification(ts: TicketSource, box: Sandbox) -> None:
    """It raises NotFound."""
    box.fail(page=1, after=1, status=404)

    with pytest.raises(NotFound):
        await ts.customers.list(verify=True).collect()


@pytest.mark.parametrize(("inserted", "doubled"), [(1, 0), (15, 0), (30, 0), (95, 0), (120, 0), (125, 30)])
async def test_rows_repeated_by_an_insertion_are_dropped_within_ten_pages(
    ts: TicketSource, box: Sandbox, inserted: int, doubled: int
) -> None:
    """Rows repeat only if more than about ten pages are inserted at once, and not whole pages."""
    box.customers.insert(100)
    box.fail(page=4, insert=inserted)
    pager = ts.customers.list(per_page=10)
    ids = [customer.id async for customer in pager]

    assert len(ids) - len(set(ids)) == doubled
    assert pager.report.duplicates == min(30, inserted) - doubled


async def test_a_verification_ends_after_max_passes_and_is_reported_as_incomplete(
    ts: TicketSource, box: Sandbox
) -> None:
    """The second pass has found new rows, so a third would be needed."""
    pager = ts.customers.list(per_page=10, verify=True, max_passes=2)
    seen = 0
    async for _ in pager:
        seen += 1
        if seen == 25:
            box.customers.insert(5)

    assert pager.report == ListReport(passes=2, requests=6, found_later=5, complete=False)


async def test_a_list_without_page_numbers_cannot_be_verified(mocked: TicketSource, api: MockedAPI) -> None:
    """Its rows come first. The error says that the list cannot be verified."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?cursor=b"))
    api.answer("GET", "/customers?cursor=b&per_page=100", page([customer_row(2)]), repeat=True)

    seen, error = await read_until_it_raises(mocked.customers.list(verify=True))

    assert isinstance(error, PaginationError)
    assert "cannot be verified" in str(error)
    assert len(seen) == 2


async def test_a_verified_list_reports_an_invalid_row_once(mocked: TicketSource, api: MockedAPI) -> None:
    """Only the first pass gives such rows to `on_invalid`, with an id or without one."""
    rows = [customer_row(1), NO_CUSTOMER, {"type": "customer"}]
    api.answer("GET", "/customers?page=1&per_page=100", page(rows), repeat=True)
    handed: list[InvalidResponse] = []
    pager = mocked.customers.list(verify=True, on_invalid=handed.append)

    assert len(await pager.collect()) == 1
    assert [error.id for error in handed] == ["cst-xxxxxxxxxx2", None]
    assert pager.report == ListReport(passes=2, requests=2, invalid=2, complete=True)


@pytest.mark.parametrize("options", [{"max_items": 5}, {"start_page": 2}])
def test_a_part_of_a_list_cannot_be_verified(options: Any) -> None:
    """Rows may move from this part to another, so it cannot be complete."""
    with pytest.raises(ValueError, match="verify reads the whole list"):
        TicketSource("skl-test").customers.list(verify=True, **options)
