"""Where a list goes on, and where it ends, when its links are missing or wrong."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from lists import Query, ordinary, page_of, part, people, serving
from loops import read_until_it_raises
from mocked import KEY, ONCE, MockedAPI
from rows import API, customer_row, page

from ticketsource_async import (
    CallEvent,
    InvalidResponse,
    ListEndedEvent,
    ListReport,
    NotFound,
    PaginationError,
    ServerError,
    TicketSource,
)


def number_of(query: Query) -> int:
    """Return the number of the requested page."""
    return int(query["page"])


async def read(
    answer: Callable[[Query], Any], *, events: list[CallEvent] | None = None, **options: Any
) -> tuple[list[str], ListReport, list[int]]:
    """Return the ids that a list yields, its report, and the numbers of the requested pages."""
    async with (
        serving(answer) as served,
        TicketSource(
            KEY, base_url=served.url, retry=ONCE, on_event=(events if events is not None else []).append
        ) as ts,
    ):
        pager = ts.customers.list(**options)
        return (
            [customer.id async for customer in pager],
            pager.report,
            [int(query.get("page", 0)) for query in served.asked],
        )


def ids(number: int) -> list[str]:
    """Return the ids of this number of people."""
    return [row["id"] for row in people(number)]


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("shape", ["no links", "no next", "", False, [], None])
async def test_a_full_page_without_a_next_is_followed_by_the_page_after_it(shape: Any, concurrency: int) -> None:
    """All 250 customers come, with or without links. A short page ends the list."""

    def answer(query: Query) -> dict[str, Any]:
        rows = part(people(250), query)
        links = {"no links": {}, "no next": {"links": {"prev": None}}}
        if isinstance(shape, str) and shape in links:
            return {"data": rows, **links[shape]}
        return {"data": rows, "links": shape if shape in ([], None) else {"next": shape}}

    found, report, asked = await read(answer, concurrency=concurrency)

    assert found == ids(250)
    assert asked == [1, 2, 3] or concurrency > 1
    assert report.ended is None


@pytest.mark.parametrize("after_the_end", ["empty", "404", "the last page", "the first page"])
async def test_a_full_last_page_without_a_next_needs_one_more_request(after_the_end: str) -> None:
    """Without a `next`, a full page may or may not be the last. A page without a new row ends the list."""

    def answer(query: Query) -> Any:
        if number_of(query) <= 2:
            return {"data": part(people(200), query)}
        if after_the_end == "404":
            return web.Response(status=404, text='{"errors": [{"status": 404}]}')
        number = {"empty": "3", "the last page": "2", "the first page": "1"}[after_the_end]
        return {"data": part(people(200), {**query, "page": number})}

    found, report, asked = await read(answer)

    assert found == ids(200)
    assert (asked, report.ended) == ([1, 2, 3], None)


@pytest.mark.parametrize("said", [50, "50"])
async def test_the_per_page_of_the_answer_says_when_a_page_is_full(said: object) -> None:
    """The API may send fewer rows in a page than were requested."""

    def answer(query: Query) -> dict[str, Any]:
        return {"data": part(people(120), {**query, "per_page": "50"}), "meta": {"per_page": said}}

    found, _, asked = await read(answer)

    assert found == ids(120)
    assert asked == [1, 2, 3]


async def test_a_null_next_ends_the_list_after_a_full_page() -> None:
    """The API promises this, so no further page is requested."""
    found, _, asked = await read(lambda query: ordinary(people(200), query))

    assert (found, asked) == (ids(200), [1, 2])


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    "link",
    [
        "http://api.ticketsource.io/customers?page={n}",
        "https://10.0.0.7:8080/customers?page={n}&per_page=10",
        "https://elsewhere.example/customers?page={n}",
        "//elsewhere.example/customers?page={n}",
        "https://x:y@elsewhere.example/customers?page={n}",
        "https://api.ticketsource.io/?page={n}",
        "https://api.ticketsource.io/customers/?page={n}#top",
        "https://api.ticketsource.io?page={n}",
        "/customers?page={n}",
        "?page={n}",
        "page={n}",
    ],
)
async def test_only_the_query_of_a_next_is_used(link: str, concurrency: int) -> None:
    """Scheme, host, port and path are those of the list itself, so the key is never sent to another server."""

    def answer(query: Query) -> dict[str, Any]:
        size = 10 if "per_page=10" in link else 100
        number = number_of(query)
        found = ordinary(people(30 if size == 10 else 250), {**query, "per_page": query.get("per_page", str(size))})
        return found | {"links": {"next": found["links"]["next"] and link.format(n=number + 1)}}

    found, report, asked = await read(answer, concurrency=concurrency, per_page=10 if "per_page=10" in link else 100)

    assert found == ids(len(found))
    assert len(found) in (30, 250)
    assert asked == [1, 2, 3] or concurrency > 1
    assert report.ended is None


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("?page=2", "read before"),
        ("?page=1", "read before"),
        ("?page=0", "does not advance"),
        ("?per_page=10", "names no page"),
        ("https://api.ticketsource.io/customers", "names no page"),
        ("javascript:alert(1)", "names no page"),
        ("http://[oops", "names no page"),
        (7, "neither an address nor null"),
        (True, "neither an address nor null"),
        ([], "neither an address nor null"),
        ({"href": "?page=3"}, "neither an address nor null"),
        (f"?page=3&token={KEY}", "the API key in it"),
    ],
)
async def test_pages_are_requested_by_number_if_a_next_is_wrong(
    link: object, reason: str, concurrency: int, caplog: pytest.LogCaptureFixture
) -> None:
    """All rows come once. A page without a new row ends the list, and the log has the reason."""

    def answer(query: Query) -> dict[str, Any]:
        return page_of(people(35), query, next_=f"?page={number_of(query) + 1}" if query["page"] == "1" else link)

    caplog.set_level(logging.WARNING)
    found, report, asked = await read(answer, per_page=10, concurrency=concurrency)

    assert found == ids(35)
    assert asked == [1, 2, 3, 4, 5] or (concurrency > 1 and {1, 2, 3, 4, 5} <= set(asked))
    assert (report.ended, report.duplicates) == (None, 0)
    assert "The list at /customers ends before page 5" in caplog.text
    assert reason in caplog.text
    assert KEY not in caplog.text


async def test_a_next_to_the_same_page_repeats_no_customer() -> None:
    """A server may ignore the page parameter."""
    found, report, asked = await read(lambda query: {"data": people(10), "links": {"next": "?page=1"}}, per_page=10)

    assert found == ids(10)
    assert (asked, report.ended) == ([1, 2], None)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (lambda query: people(10) if query["page"] == "1" else [], "10 pages in a row have no rows"),
        (lambda query: people(10), "3 pages in a row have only rows that came before"),
        (lambda query: part(people(20), {**query, "page": str(min(number_of(query), 2))}), "3 pages in a row"),
        (lambda query: part(people(20), {**query, "page": str(number_of(query) % 2 + 1)}), "3 pages in a row"),
        (lambda query: part(people(50), {**query, "page": str(number_of(query) % 5 + 1)}), "6 pages in a row"),
        (lambda query: people(10) if number_of(query) % 3 == 1 else [], "3 pages in a row"),
    ],
    ids=["empty", "all the same", "the last again", "two in turn", "all over again", "with empty ones"],
)
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_an_endless_list_is_ended_and_reported(
    rows: Callable[[Query], list[Any]], reason: str, concurrency: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody comes once. The report, the log and an event say that the list was ended."""
    events: list[CallEvent] = []
    caplog.set_level(logging.WARNING)

    def answer(query: Query) -> dict[str, Any]:
        return {"data": rows(query), "links": {"next": f"?page={number_of(query) + 1}"}}

    found, report, asked = await read(answer, events=events, per_page=10, concurrency=concurrency)

    assert len(found) == len(set(found))
    assert set(found) <= set(ids(50))
    assert len(asked) <= 16
    assert report.ended is not None
    assert reason in report.ended
    assert report.ended in caplog.text
    assert [event.path for event in events if isinstance(event, ListEndedEvent)] == ["/customers"]


@pytest.mark.parametrize("inserted", [30, 35, 60])
async def test_a_list_that_grows_at_its_front_is_read_to_its_end(inserted: int) -> None:
    """Many rows come again, also whole pages of them. The rows after them are not lost."""
    behind = people(100)
    front = [customer_row(n) for n in range(1000, 1000 + inserted)]

    def answer(query: Query) -> dict[str, Any]:
        return ordinary(behind if number_of(query) <= 6 else front + behind, query)

    found, report, _ = await read(answer, per_page=10)

    assert found == ids(100)
    assert (report.ended, report.duplicates) == (None, min(inserted, 60))


async def test_a_list_that_ends_early_is_not_complete() -> None:
    """Rows may be missing, even if it is read again."""
    _, report, _ = await read(
        lambda query: {"data": people(10), "links": {"next": f"?page={number_of(query) + 1}"}}, per_page=10, verify=True
    )

    assert report.ended is not None
    assert not report.complete


async def test_a_circle_of_cursors_raises_an_error(mocked: TicketSource, api: MockedAPI) -> None:
    """There is no page number to request. The rows come first, and the error names page, items and link."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?cursor=b"))
    api.answer("GET", "/customers?cursor=b&per_page=100", page([customer_row(2)], f"{API}/customers?cursor=b"))

    seen, error = await read_until_it_raises(mocked.customers.list())

    assert len(seen) == 2
    assert isinstance(error, PaginationError)
    assert (error.path, error.page, error.items) == ("/customers", 2, 2)
    assert "that page was read before" in str(error)


async def test_no_error_shows_the_key_in_a_next(mocked: TicketSource, api: MockedAPI) -> None:
    """Errors show URLs, so no URL may have the key in it."""
    api.answer("GET", "/customers?page=1&per_page=100", page([customer_row(1)], f"{API}/customers?cursor=b"))
    api.answer("GET", "/customers?cursor=b&per_page=100", page([], f"{API}/customers?cursor=c&token={KEY}"))

    with pytest.raises(PaginationError, match="it has the API key in it") as caught:
        await mocked.customers.list().collect()

    assert KEY not in repr(caught.value)
    assert "token=***" in (caught.value.next_url or "")


async def test_the_error_of_a_page_requested_by_number_is_raised() -> None:
    """Only a page without a new row, or a 404, ends such a list."""

    def answer(query: Query) -> Any:
        return {"data": people(10)} if query["page"] == "1" else web.Response(status=503)

    with pytest.raises(ServerError):
        await read(answer, per_page=10)


async def test_a_wrong_next_is_ignored_once_max_items_are_read() -> None:
    """No further page is requested."""
    found, _, asked = await read(lambda query: page_of(people(30), query, next_="?page=1"), per_page=10, max_items=10)

    assert (found, asked) == (ids(10), [1])


async def test_a_page_of_rows_without_ids_does_not_end_the_list() -> None:
    """Such rows may be new. The pages after them are read."""

    def answer(query: Query) -> dict[str, Any]:
        rows = part(people(300), query)
        return {"data": [{**row, "id": None} for row in rows] if query["page"] == "2" else rows}

    told: list[InvalidResponse] = []
    found, report, _ = await read(answer, on_invalid=told.append)

    assert found == [*ids(100), *ids(300)[200:]]
    assert (len(told), report.ended) == (100, None)


async def test_ten_pages_of_rows_without_ids_end_the_list_and_three_do_not() -> None:
    """The reason says that the rows have no id."""

    def answer(query: Query) -> dict[str, Any]:
        number = number_of(query)
        rows = people(10) if number == 1 else [{"id": None}] * 10 if number != 5 else [customer_row(77)]
        return {"data": rows, "links": {"next": f"?page={number + 1}"}}

    found, report, _ = await read(answer, per_page=10, on_invalid=lambda _: None)

    assert found == [*ids(10), customer_row(77)["id"]]
    assert "10 pages in a row have no rows with an id" in str(report.ended)


async def test_a_404_of_a_gateway_does_not_end_the_list() -> None:
    """Only a 404 of the API itself means that there is no such page."""

    def answer(query: Query) -> Any:
        return {"data": people(10)} if query["page"] == "1" else web.Response(status=404, text="<html>nginx</html>")

    with pytest.raises(NotFound):
        await read(answer, per_page=10)


async def test_a_list_that_shrinks_by_many_pages_is_still_verified() -> None:
    """Pages that no longer exist are skipped on the way back."""
    asked: list[int] = []

    def answer(query: Query) -> Any:
        asked.append(number_of(query))
        rows = people(100 if len(asked) <= 10 else 65)
        gone = (number_of(query) - 1) * 10 >= len(rows)
        return web.Response(status=404, text='{"errors": [{"status": 404}]}') if gone else ordinary(rows, query)

    found, report, _ = await read(answer, per_page=10, verify=True)

    assert found == ids(100)
    assert report.complete
