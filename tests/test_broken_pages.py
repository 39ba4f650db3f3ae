"""Pages that the API cannot answer because of one row: all other rows come, and the broken row is reported."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
from aiohttp import web
from lists import Query, ordinary, part, people, serving
from loops import read_until_it_raises
from mocked import KEY, ONCE

from ticketsource_async import AuthenticationFailed, InvalidResponse, RetryPolicy, ServerError, TicketSource
from ticketsource_async.testing import no_waiting


def breaking(rows: list[dict[str, Any]], bad: Collection[int], *, body: str | None = None) -> Callable[[Query], Any]:
    """Return a function that answers with pages, but with a 500, or this body, for each page with a bad row."""

    def answer(query: Query) -> Any:
        number, size = int(query["page"]), int(query["per_page"])
        if any((number - 1) * size <= place < number * size for place in bad):
            return web.Response(status=500) if body is None else web.Response(text=body)
        return ordinary(rows, query)

    return answer


async def read(
    answer: Callable[[Query], Any], *, retry: RetryPolicy | None = None, **options: Any
) -> tuple[list[str], list[InvalidResponse], int]:
    """Return the ids that came, the errors of the reported rows, and the number of requests."""
    told: list[InvalidResponse] = []
    with no_waiting():
        async with (
            serving(answer) as served,
            TicketSource(KEY, base_url=served.url, retry=retry or RetryPolicy(), rate_limit=None) as ts,
        ):
            pager = ts.customers.list(on_invalid=told.append, **options)
            found = [customer.id async for customer in pager]
            assert pager.report.invalid == len(told)
            return found, told, len(served.asked)


def ids(number: int, *, but: Collection[int] = ()) -> list[str]:
    """Return the ids of this number of people, without those at some places."""
    return [row["id"] for place, row in enumerate(people(number)) if place not in but]


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("body", [None, '{"data": [{"id": "cst-', "<b>Warning</b>", '{"oops": 1}'])
async def test_one_broken_row_among_3000_is_reported_and_all_others_come(body: str | None, concurrency: int) -> None:
    """The error names the page and the row."""
    found, told, asked = await read(breaking(people(3000), [1234], body=body), concurrency=concurrency)

    assert found == ids(3000, but=[1234])
    assert [(error.json_path, error.path) for error in told] == [("$.data[34]", "/customers")]
    assert "Row 35 of page 13 of /customers cannot be read" in str(told[0])
    assert asked < 30 + 40 + concurrency


@pytest.mark.parametrize("bad", [[0], [99], [100], [249], [0, 1, 2, 3, 4], [100, 149, 150, 199, 175], [0, 100, 200]])
@pytest.mark.parametrize("per_page", [100, 10])
async def test_broken_rows_may_be_anywhere_in_the_list(bad: list[int], per_page: int) -> None:
    """A page may have up to five, also the first and the last page."""
    found, told, _ = await read(breaking(people(250), bad), per_page=per_page)

    assert found == ids(250, but=bad)
    assert len(told) == len(bad)


async def test_a_list_with_a_broken_last_row_ends() -> None:
    """A broken row does not tell whether more rows follow, so the next page is requested."""
    found, told, _ = await read(breaking(people(100), [99]))

    assert (found, len(told)) == (ids(99), 1)


@pytest.mark.parametrize("per_page", [7, 1, 30, 64])
async def test_a_broken_page_of_any_size_is_read_in_parts(per_page: int) -> None:
    """The size of a part divides the size of the page."""
    found, told, _ = await read(breaking(people(130), [65]), per_page=per_page)

    assert found == ids(130, but=[65])
    assert len(told) == 1


@pytest.mark.parametrize(
    "bad", [[0, 1, 2, 3, 4, 5], [0, 100, 200, 300, 400, 500]], ids=["six rows of a page", "six pages"]
)
async def test_more_than_five_broken_rows_or_pages_end_the_list_with_an_error(bad: list[int]) -> None:
    """Then single rows are not the cause, and no more parts are requested."""
    requests: list[Query] = []

    def answer(query: Query) -> Any:
        requests.append(query)
        return breaking(people(700), bad)(query)

    with pytest.raises(ServerError) as caught:
        await read(answer)

    assert (caught.value.status, caught.value.attempts) == (500, 4)
    assert len(requests) < 6 * 40


@pytest.mark.parametrize("least", [10, 100])
async def test_a_broken_page_fails_if_its_parts_have_too_many_rows(least: int) -> None:
    """Otherwise rows would come twice, or not at all."""

    def answer(query: Query) -> Any:
        return breaking(people(250), [123])({**query, "per_page": str(max(least, int(query["per_page"])))})

    with pytest.raises(ServerError):
        await read(answer)


async def test_a_broken_page_fails_if_its_parts_have_too_few_rows() -> None:
    """It is unknown which rows a part of another size has."""

    def answer(query: Query) -> Any:
        made = breaking(people(250), [123])(query)
        size = int(query["per_page"])
        return made if size == 100 or isinstance(made, web.Response) else {**made, "data": part(people(250), query)[:3]}

    with pytest.raises(ServerError):
        await read(answer)


async def test_a_broken_row_raises_an_error_without_on_invalid() -> None:
    """The rows of the pages before it come first."""
    with no_waiting():
        async with serving(breaking(people(250), [150])) as served, TicketSource(KEY, base_url=served.url) as ts:
            seen, error = await read_until_it_raises(ts.customers.list())

    assert len(seen) == 100
    assert isinstance(error, InvalidResponse)
    assert "Row 51 of page 2" in str(error)


@pytest.mark.parametrize("retry", [ONCE, RetryPolicy(attempts=4)])
async def test_a_server_that_always_fails_ends_the_list_with_its_error(retry: RetryPolicy) -> None:
    """This is so with retries and without."""
    answer = breaking(people(250), range(100, 250))
    failing = iter([False, *([True] * 1000)])

    with pytest.raises(ServerError):
        await read(lambda query: web.Response(status=500) if next(failing) else answer(query), retry=retry)


async def test_a_verified_list_reports_a_broken_row_once() -> None:
    """Such a list is read more than once."""
    found, told, _ = await read(breaking(people(250), [150]), verify=True)

    assert found == ids(250, but=[150])
    assert len(told) == 1


async def test_a_broken_page_fails_if_the_server_shortens_pages() -> None:
    """Then it is unknown where a page begins, so rows could be lost."""

    def answer(query: Query) -> Any:
        capped = {**query, "per_page": str(min(50, int(query["per_page"])))}
        return breaking(people(300), [60])(capped)

    with pytest.raises(ServerError):
        await read(answer)


@pytest.mark.parametrize(("rows", "bad"), [(60, 17), (100, 99), (200, 199), (100, 0)])
async def test_a_broken_page_is_read_though_parts_beyond_the_end_are_answered_404(rows: int, bad: int) -> None:
    """It is not documented whether such pages are empty or answered 404."""

    def answer(query: Query) -> Any:
        beyond = (int(query["page"]) - 1) * int(query["per_page"]) >= rows
        gone = web.Response(status=404, text='{"errors": [{"status": 404, "code": "not_found"}]}')
        return gone if beyond else breaking(people(rows), [bad])(query)

    found, told, _ = await read(answer)

    assert found == ids(rows, but=[bad])
    assert len(told) == 1


async def test_a_key_revoked_while_parts_are_read_raises_authentication_failed() -> None:
    """The page was broken; the error of its part is of another kind."""

    def answer(query: Query) -> Any:
        if query["per_page"] == "50":
            return web.Response(status=401, text='{"errors": [{"status": 401, "code": "unauthorized"}]}')
        return breaking(people(250), [150])(query)

    with pytest.raises(AuthenticationFailed):
        await read(answer)
