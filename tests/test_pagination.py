"""Lists, page by page and item by item."""

import asyncio
import gc
from contextlib import aclosing
from typing import Any

import pytest
from doubles import API, KEY, MockedAPI, customer_row, page

from ticketsource_async import Customer, InvalidResponse, PaginationError, TicketSource, TicketSourceError
from ticketsource_async.sandbox import Sandbox


def pages_asked_for(box: Sandbox) -> list[str]:
    """Return the page numbers of the requests that the sandbox saw."""
    return [request.query["page"] for request in box.requests]


async def read_until_it_raises(
    ts: TicketSource, *, per_page: int = 10, max_items: int | None = None
) -> tuple[list[str], TicketSourceError | None]:
    """Return the ids of the customers that came before the error, and the error."""
    seen: list[str] = []
    try:
        async for customer in ts.customers.list(per_page=per_page, max_items=max_items):
            seen.append(customer.id)  # noqa: PERF401 - a comprehension would lose them
    except TicketSourceError as error:
        return seen, error
    return seen, None


def our_tasks() -> set[str]:
    """Return the names of the tasks that run, but for those in which the sandbox serves."""
    return {t.get_name() for t in asyncio.all_tasks() if "RequestHandler" not in repr(t.get_coro())}


async def test_every_customer_comes_once_in_order(ts: TicketSource, box: Sandbox) -> None:
    """A loop over the list gives every customer, each once, and `per_page` is put back on every next."""
    ids = [customer.id async for customer in ts.customers.list(per_page=10)]

    assert ids == list(box.customers.ids())
    assert [(r.query["page"], r.query["per_page"]) for r in box.requests] == [("1", "10"), ("2", "10"), ("3", "10")]


async def test_pages_say_their_number_and_what_follows(ts: TicketSource, box: Sandbox) -> None:
    """A page has its items, number, size, the address of the next, and the links as received."""
    pages = [page async for page in ts.customers.list(per_page=10).pages()]

    assert [(len(p.items), p.number, p.per_page) for p in pages] == [(10, 1, 10), (10, 2, 10), (5, 3, 10)]
    assert pages[0].next_url == f"{box.url}/customers?page=2&per_page=10"
    assert pages[0].raw_links["next"] == f"{box.url}/customers?page=2"
    assert pages[-1].next_url is None


async def test_a_pager_starts_anew_with_every_loop_and_sends_nothing_before(ts: TicketSource, box: Sandbox) -> None:
    """Making a pager sends nothing; two loops give the same items."""
    pager = ts.customers.list()
    assert not box.requests

    assert await pager.collect() == await pager.collect()
    assert len(box.requests) == 2
    assert repr(pager) == "<Pager of Customer at /customers>"


async def test_first_is_the_first_item_or_none(ts: TicketSource, box: Sandbox) -> None:
    """`first` asks for one page, and gives None for an empty list."""
    first = await ts.customers.list(per_page=1).first()
    assert first is not None
    assert first.id == box.customers.ids()[0]
    assert await ts.customers.list(start_page=9).first() is None
    assert len(box.requests) == 2


async def test_max_items_of_250_makes_exactly_three_requests() -> None:
    """With pages of 100, 250 items take three requests and not one more."""
    async with Sandbox(customers=1000) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        customers = await ts.customers.list(max_items=250).collect()

        assert [c.id for c in customers] == list(box.customers.ids(0, 250))
        assert pages_asked_for(box) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("max_items", "per_page", "requests"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (99, 10, 3)]
)
async def test_no_page_is_asked_for_beyond_max_items(
    ts: TicketSource, box: Sandbox, max_items: int, per_page: int, requests: int
) -> None:
    """The number of requests is that of the pages needed."""
    customers = await ts.customers.list(max_items=max_items, per_page=per_page).collect()

    assert len(customers) == min(max_items, 25)
    assert len(box.requests) == requests


async def test_a_list_goes_on_from_start_page(ts: TicketSource, box: Sandbox) -> None:
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
        {"on_invalid": "skip"},
        {"on_invalid": asyncio.sleep},
    ],
)
def test_an_option_out_of_bounds_is_refused_at_once(options: Any) -> None:
    """A wrong option raises ValueError naming it, when the list is made."""
    with pytest.raises(ValueError, match=next(iter(options))):
        TicketSource("skl-test").customers.list(**options)


@pytest.mark.parametrize("shape", ["missing", "no-links"])
async def test_a_missing_next_or_links_is_the_end(ts: TicketSource, box: Sandbox, shape: Any) -> None:
    """A page without `next`, or without links at all, is the last."""
    box.fail(page=2, next=shape)

    assert len(await ts.customers.list(per_page=10).collect()) == 20


async def test_an_empty_page_with_a_next_is_not_the_end(mocked: TicketSource, api: MockedAPI) -> None:
    """Rows after an empty page are not lost."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?page=2"))
    api.answer("GET", "/customers?page=2&per_page=100", page([], f"{API}/customers?page=3"))
    api.answer("GET", "/customers?page=3&per_page=100", page([customer_row(2)]))

    assert [c.id for c in await mocked.customers.list().collect()] == ["cst-xxxxxxxxxx1", "cst-xxxxxxxxxx2"]


async def test_a_next_without_a_page_number_is_followed(mocked: TicketSource, api: MockedAPI) -> None:
    """A list that goes on by some other parameter is followed link by link."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?cursor=abc"))
    api.answer("GET", "/customers?cursor=abc&per_page=100", page([customer_row(2)], f"{API}/customers?cursor=def"))
    api.answer("GET", "/customers?cursor=def&per_page=100", page([customer_row(3)]))

    pages = [p async for p in mocked.customers.list().pages()]

    assert [(p.number, p.items[0].id[-1]) for p in pages] == [(1, "1"), (2, "2"), (3, "3")]


@pytest.mark.parametrize(
    ("fault", "reason"), [("cross-origin", "another origin"), ("loop", "read before"), ("back", "read before")]
)
async def test_a_next_that_leads_astray_raises_after_its_items(
    ts: TicketSource, box: Sandbox, fault: Any, reason: str
) -> None:
    """The items of the page come first; then the error names page and items so far, and nothing more is asked for."""
    box.fail(page=2, next=fault)

    seen, error = await read_until_it_raises(ts)

    assert isinstance(error, PaginationError)
    assert reason in str(error)
    assert seen == list(box.customers.ids(0, 20))
    assert (error.page, error.items, error.path) == (2, 20, "/customers")
    assert "20 items were yielded" in str(error)
    assert len(box.requests) == 2


async def test_another_origin_never_receives_a_request() -> None:
    """A `next` that points to another server sends that server nothing, so it cannot get the key."""
    async with (
        Sandbox(customers=25) as box,
        Sandbox(customers=25) as elsewhere,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        body = f'{{"data": [], "links": {{"next": "{elsewhere.url}/customers?page=2"}}}}'
        box.fail(status=200, body=body)

        with pytest.raises(PaginationError) as caught:
            await ts.customers.list().collect()

        assert not elsewhere.requests
        assert caught.value.next_url == f"{elsewhere.url}/customers?page=2&per_page=100"


async def test_a_wandering_next_does_not_matter_once_max_items_are_read(ts: TicketSource, box: Sandbox) -> None:
    """A `next` that will not be followed does no harm."""
    box.fail(page=1, next="loop")

    assert len(await ts.customers.list(per_page=10, max_items=10).collect()) == 10


async def test_an_error_on_a_page_comes_after_the_items_before_it(ts: TicketSource, box: Sandbox) -> None:
    """Items of the pages before a broken one are there before the error is."""
    box.fail(page=3, body="<html>", status=200)

    seen, error = await read_until_it_raises(ts)

    assert isinstance(error, InvalidResponse)
    assert "page=3" in str(error)
    assert seen == list(box.customers.ids(0, 20))


BAD_ROWS = page([customer_row(1), customer_row(2, consent={"email": "false"}), customer_row(3)])


async def test_an_invalid_row_raises_with_its_place(mocked: TicketSource, api: MockedAPI) -> None:
    """By default the error of a row names its index on the page, its id and its path."""
    api.answer("GET", "/customers?page=1&per_page=100", BAD_ROWS)

    with pytest.raises(InvalidResponse) as caught:
        await mocked.customers.list().collect()

    assert caught.value.json_path == "$.data[1].attributes.consent.email"
    assert caught.value.id == "cst-xxxxxxxxxx2"


@pytest.mark.parametrize(("max_items", "ids"), [(None, ["1", "3"]), (2, ["1"]), (3, ["1", "3"])])
async def test_an_invalid_row_may_be_handed_over_and_then_counts_as_read(
    mocked: TicketSource, api: MockedAPI, max_items: int | None, ids: list[str]
) -> None:
    """`on_invalid` gets the error of the row, the others come, and `max_items` counts it."""
    api.answer("GET", "/customers?page=1&per_page=100", BAD_ROWS)
    handed: list[InvalidResponse] = []

    customers = await mocked.customers.list(on_invalid=handed.append, max_items=max_items).collect()

    assert [c.id[-1] for c in customers] == ids
    assert [e.id for e in handed] == ["cst-xxxxxxxxxx2"]


@pytest.mark.parametrize(("max_items", "raises"), [(1, False), (None, True)])
async def test_a_broken_next_raises_after_its_items_and_only_if_it_is_needed(
    mocked: TicketSource, api: MockedAPI, max_items: int | None, raises: bool
) -> None:
    """The rows of a page are not lost because its `next` is no address."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], 7))

    seen, error = await read_until_it_raises(mocked, max_items=max_items, per_page=100)

    assert len(seen) == 1
    assert isinstance(error, InvalidResponse) is raises


async def test_a_next_that_echoes_the_key_does_not_get_it_into_the_error(mocked: TicketSource, api: MockedAPI) -> None:
    """The address in the error is scrubbed."""
    api.answer("GET", "/customers?page=1&per_page=100", page([], f"https://elsewhere.example/?page=2&key={KEY}"))

    with pytest.raises(PaginationError) as caught:
        await mocked.customers.list().collect()

    assert KEY not in repr(caught.value)
    assert "key=***" in (caught.value.next_url or "")


@pytest.mark.parametrize("link", [f"{API}/customers?page=2&token={KEY}", f"{API}/{KEY}/customers?page=2"])
async def test_a_next_with_the_key_in_it_is_not_followed(mocked: TicketSource, api: MockedAPI, link: str) -> None:
    """An address is told in errors, logs and events, so the key must be in none."""
    api.answer("GET", "/customers?page=1&per_page=100", page([], link))

    with pytest.raises(PaginationError, match="it has the API key in it") as caught:
        await mocked.customers.list().collect()

    assert KEY not in repr(caught.value)


async def test_data_that_is_no_list_is_invalid(mocked: TicketSource, api: MockedAPI) -> None:
    """One record in the place of a list is an error, not one item."""
    api.answer("GET", "/customers?page=1&per_page=100", {"data": customer_row()})

    with pytest.raises(InvalidResponse, match="`data` is not a list"):
        await mocked.customers.list().collect()


async def test_nothing_is_held_between_items(ts: TicketSource, box: Sandbox) -> None:
    """While a loop rests on an item, the one connection allowed is free for other calls."""
    async with TicketSource(box.api_key, base_url=box.url, max_connections=1) as narrow:
        async for customer in narrow.customers.list(per_page=10):
            assert await asyncio.wait_for(narrow.customers.get(customer), 5) == customer


async def test_a_loop_that_is_left_early_leaves_nothing_behind(ts: TicketSource, box: Sandbox) -> None:
    """After `break`, or `aclosing`, no task is left and no further page is asked for."""
    before = our_tasks()
    async for _ in ts.customers.list(per_page=10):
        break
    async with aclosing(aiter(ts.customers.list(per_page=10))) as customers:
        assert isinstance(await anext(customers), Customer)
    gc.collect()
    await asyncio.sleep(0)

    assert pages_asked_for(box) == ["1", "1"]
    assert our_tasks() == before


async def test_rows_that_shift_while_one_reads_are_as_the_docs_say(ts: TicketSource, box: Sandbox) -> None:
    """A deletion before the place of reading makes one miss a row, an insertion makes one come twice."""
    ids = list(box.customers.ids())
    box.fail(page=2, delete=1)
    missed = [c.id async for c in ts.customers.list(per_page=10)]
    box.fail(page=2, insert=1)
    doubled = [c.id async for c in ts.customers.list(per_page=10)]

    assert missed == ids[:10] + ids[11:]
    assert doubled == [*ids[1:11], *ids[10:]]
