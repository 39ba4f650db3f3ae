"""The answers of the sandbox to a plain HTTP client, and its failures on demand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from loops import until
from rows import KARL, KARL_SENT

import ticketsource_async.sandbox
from ticketsource_async.sandbox import Fault, Sandbox


@pytest.fixture(name="http")
async def _http(box: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(box.url, headers={"Authorization": f"Bearer {box.api_key}"}) as session:
        yield session


async def ask(http: aiohttp.ClientSession, method: str, path: str, body: object = None, **how: Any) -> tuple[int, Any]:
    """Return status and document of an answer."""
    async with http.request(method, path, json=body, **how) as response:
        return response.status, await response.json() if await response.read() else None


async def test_a_page_has_the_shape_of_the_guide(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """Data, links and meta have the guide's keys. The query of a link is only the page."""
    status, first = await ask(http, "GET", "/customers")
    _, last = await ask(http, "GET", "/customers?page=3&per_page=10")
    _, past = await ask(http, "GET", "/customers?page=4&per_page=10")

    assert status == 200
    assert len(first["data"]) == 10
    assert first["links"] == {
        "first": f"{box.url}/customers?page=1",
        "last": None,
        "prev": None,
        "next": f"{box.url}/customers?page=2",
    }
    assert first["meta"] == {"current_page": 1, "from": 1, "path": f"{box.url}/customers", "per_page": 10, "to": 10}
    assert (last["links"]["prev"], last["links"]["next"]) == (f"{box.url}/customers?page=2", None)
    assert (past["data"], past["meta"]["from"], past["meta"]["to"]) == ([], None, None)
    row = first["data"][0]
    assert list(row) == ["id", "type", "attributes", "links"]
    assert list(row["attributes"]) == list(KARL["attributes"])
    assert list(row["links"]) == list(KARL["links"])


async def test_next_links_can_keep_the_query() -> None:
    """With `next_keeps_query`, a link repeats the query of the request."""
    async with Sandbox(customers=5, next_keeps_query=True) as box, aiohttp.ClientSession(box.url) as http:
        _, page = await ask(http, "GET", "/customers?per_page=2", headers={"Authorization": "Bearer skl-sandbox"})

    assert page["links"]["next"] == f"{box.url}/customers?per_page=2&page=2"


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=101", "per_page=0", "per_page=-1", "page="])
async def test_a_page_out_of_bounds_is_a_validation_error(http: aiohttp.ClientSession, query: str) -> None:
    """An invalid page number or page size is refused."""
    status, document = await ask(http, "GET", f"/customers?{query}")

    assert (status, document["errors"][0]["code"]) == (400, "validation_failed")


async def test_the_examples_of_the_guide_are_answered_as_in_the_guide(http: aiohttp.ClientSession) -> None:
    """Create, update and delete answer what the guide shows."""
    status, made = await ask(http, "POST", "/customers", KARL_SENT)
    path = f"/customers/{made['data']['id']}"
    body = {"data": {"type": "customer", "id": made["data"]["id"], "attributes": {"last_name": "Jenkin"}}}
    changed_status, changed = await ask(http, "PATCH", path, body)
    deleted = await ask(http, "DELETE", path)

    same = {"created_at": "", "updated_at": ""}
    assert status == 201
    assert made["data"]["attributes"] | same == KARL["attributes"] | same
    assert changed_status == 200
    assert changed["data"]["attributes"] | same == KARL["attributes"] | {"last_name": "Jenkin"} | same
    assert deleted == (204, None)
    assert (await ask(http, "GET", path))[0] == 404
    assert (await ask(http, "PATCH", path, body))[0] == 404
    assert (await ask(http, "DELETE", path))[0] == 404


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (None, "The data field is required."),
        ({"type": "person", "attributes": {}}, "The data.type must be customer."),
        ({"type": "customer"}, "The data.attributes field is required."),
    ],
)
async def test_a_wrong_envelope_is_refused(http: aiohttp.ClientSession, data: object, detail: str) -> None:
    """The error says what is wrong."""
    status, document = await ask(http, "POST", "/customers", {"data": data})

    assert (status, document["errors"][0]["detail"]) == (400, detail)


async def test_all_mistakes_of_a_request_are_reported_together(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """Each mistake has an error object. The id in the body of an update must be that of its path."""
    attributes = {"email": "x", "consent": {"sms": "no"}}
    _, created = await ask(http, "POST", "/customers", {"data": {"type": "customer", "attributes": attributes}})
    [customer_id] = box.customers.ids(0, 1)
    body = {"data": {"type": "customer", "id": "cst-other", "attributes": {}}}
    status, updated = await ask(http, "PATCH", f"/customers/{customer_id}", body)

    assert len(created["errors"]) == 2
    assert set(created["errors"][0]) == {"id", "links", "status", "code", "title", "detail"}
    assert (status, updated["errors"][0]["detail"]) == (400, "The data.id must match the id of the request.")


async def test_unknown_paths_methods_and_bodies_have_different_errors(
    http: aiohttp.ClientSession, box: Sandbox
) -> None:
    """404, 405 and 400 are answered as JSON."""
    [somebody] = box.customers.ids(0, 1)
    note = {"data": {"type": "customer_note", "attributes": {"description": "x"}}}

    answers = [
        await ask(http, "GET", "/nonsense"),
        await ask(http, "PUT", "/customers"),
        await ask(http, "GET", "/customers/cst-nobody/notes"),
        await ask(http, "POST", "/customers/cst-nobody/notes", note),
        await ask(http, "GET", f"/customers/{somebody}/notes/csn-none"),
        await ask(http, "DELETE", f"/customers/{somebody}/notes/csn-none"),
    ]
    async with http.post("/customers", data=b"{") as response:
        malformed = await response.json()

    assert [(status, document["errors"][0]["code"]) for status, document in answers] == [
        (404, "not_found"),
        (405, "method_not_allowed"),
        *[(404, "not_found")] * 4,
    ]
    assert malformed["errors"][0]["detail"] == "The body is not JSON."


@pytest.mark.parametrize("authorization", ["", "Bearer skl-wrong", "Basic skl-sandbox", "skl-sandbox"])
async def test_a_request_without_the_key_is_refused(box: Sandbox, authorization: str) -> None:
    """The error is that of the API."""
    async with aiohttp.ClientSession(box.url, headers={"Authorization": authorization}) as http:
        status, document = await ask(http, "GET", "/customers")

    assert status == 401
    assert document["errors"][0] | {"id": ""} == {
        "id": "",
        "links": {"about": "https://docs.example/errors/unauthorized"},
        "status": 401,
        "code": "unauthorized",
        "title": "Unauthorized",
        "detail": "No valid API Key provided",
    }


async def test_the_rate_limit_is_a_fixed_window_with_laravels_headers() -> None:
    """It starts with the first request. A request over the limit gets 429 with whole seconds, rounded down."""
    now = [1000.0]
    key = {"Authorization": "Bearer skl-sandbox"}
    async with Sandbox(3, rate_limit=(2, 60), clock=lambda: now[0]) as box, aiohttp.ClientSession(box.url) as http:
        seen = []
        for time, headers in ((1000.0, {}), (1000.5, key), (1020.0, key), (1030.2, key), (1060.4, key), (1060.5, key)):
            now[0] = time
            async with http.get("/customers", headers=headers) as response:
                get = response.headers.get
                seen.append(
                    (response.status, get("X-RateLimit-Remaining"), get("Retry-After"), get("X-RateLimit-Reset"))
                )

    assert seen == [
        (401, None, None, None),
        (200, "1", None, None),
        (200, "0", None, None),
        (429, "0", "30", "1060"),
        (429, "0", "0", "1060"),
        (200, "1", None, None),
    ]


async def test_a_fault_affects_only_the_requests_that_it_matches(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """Method, path, page, `after` and `times` choose the requests. The first fault that matches is used."""
    box.fail(method="POST", status=500)
    box.fail(page=2, after=1, times=2, status=503, headers={"X-Why": "test"})
    box.fail(path="/customers", status=418)

    first = await ask(http, "GET", "/customers?page=2")
    second = [(await ask(http, "GET", "/customers?page=2"))[0] for _ in range(4)]

    assert first[0] == 418
    assert second == [503, 503, 200, 200]
    assert [r.status for r in box.requests] == [418, 503, 503, 200, 200]


async def test_a_fault_can_last_for_ever(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """`times=None` has no end."""
    box.fail(times=None, body=b"\xff", status=200)

    for _ in range(3):
        async with http.get("/customers") as response:
            assert await response.read() == b"\xff"


async def test_a_fault_can_answer_with_the_html_of_a_wall(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """`html` is a page with the type of HTML. With 403, it has the header of Cloudflare."""
    box.fail(html=True, status=403)
    box.fail(html=True)

    async with http.get("/customers") as wall:
        assert (wall.status, wall.content_type, wall.headers["cf-mitigated"]) == (403, "text/html", "challenge")
        assert "<title>Just a moment...</title>" in await wall.text()
    async with http.get("/customers") as page:
        assert (page.status, "cf-mitigated" in page.headers) == (200, False)


async def test_a_connection_is_cut_at_the_given_point(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """The points are before the write, after it, and in the middle of the body."""
    box.fail(cut="before", method="POST")
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, "POST", "/customers", KARL_SENT)
    nobody = len(box.customers)
    box.fail(cut="after_write", method="POST")
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, "POST", "/customers", KARL_SENT)
    box.fail(cut="body")
    async with http.get("/customers") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert (nobody, len(box.customers)) == (25, 26)
    assert [r.status for r in box.requests] == [None, None, 200]


async def test_a_slow_body_is_complete(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """It is sent in pieces."""
    box.fail(slow=0)

    status, document = await ask(http, "GET", "/customers?per_page=100")

    assert (status, len(document["data"])) == (200, 25)


async def test_a_fault_can_make_the_next_link_relative(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """A single record is answered as usual."""
    box.fail(next="relative", times=None)
    _, page = await ask(http, "GET", "/customers?page=1")
    single, _ = await ask(http, "GET", f"/customers/{page['data'][0]['id']}")

    assert page["links"]["next"] == "?page=2"
    assert single == 200


async def test_a_fault_of_a_list_is_not_used_up_by_other_requests(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """A wrong `next` and a fault of a page wait for the next list."""
    box.fail(next="loop")
    box.fail(page=1, status=503)
    made_status, made = await ask(http, "POST", "/customers", KARL_SENT)
    single_status, _ = await ask(http, "GET", f"/customers/{made['data']['id']}")
    _, listed = await ask(http, "GET", "/customers")
    last_status, _ = await ask(http, "GET", "/customers")

    assert (made_status, single_status, last_status) == (201, 200, 503)
    assert listed["links"]["next"] == f"{box.url}/customers?page=1"


async def test_a_fault_can_insert_and_delete_customers(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """It inserts or deletes them at the front of the list, and the answer is as usual."""
    before = box.customers.ids()
    box.fail(insert=2)
    box.fail(delete=3)

    _, inserted = await ask(http, "GET", "/customers?per_page=100")
    _, deleted = await ask(http, "GET", "/customers?per_page=100")

    assert [row["id"] for row in inserted["data"]][2:] == before
    assert [row["id"] for row in deleted["data"]] == before[1:]


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"times": 0, "status": 500},
        {"after": -1, "status": 500},
        {"insert": -1},
        {"slow": -1.0},
        {"status": 99},
        {"cut": "there"},
        {"next": "nowhere"},
        {"html": True, "body": "x"},
        {"next": "loop", "status": 500},
        {"next": "loop", "cut": "before"},
        {"headers": {"X": "y"}, "cut": "before"},
    ],
)
def test_an_invalid_fault_is_refused(nonsense: Any) -> None:
    """It raises ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        Fault(**nonsense)


@pytest.mark.parametrize(
    "nonsense",
    [{"customers": -1}, {"latency": -1.0}, {"api_key": ""}, {"rate_limit": (0, 60)}, {"nested": "shake"}],
)
def test_an_invalid_option_of_a_sandbox_is_refused(nonsense: Any) -> None:
    """Its value is out of bounds."""
    with pytest.raises(ValueError, match=r"\w"):
        Sandbox(**nonsense)


async def test_stop_does_not_wait_for_slow_answers_and_can_be_called_twice() -> None:
    """It cuts an answer that is being sent, and frees the port."""
    box = Sandbox(customers=3)
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = box.url
    await box.start()
    box.fail(slow=3600)
    async with aiohttp.ClientSession(box.url, headers={"Authorization": f"Bearer {box.api_key}"}) as http:
        asking = asyncio.create_task(ask(http, "GET", "/customers"))
        await until(lambda: len(box.requests) == 1 and box.requests[0].status is not None)
        await box.stop()
        await box.stop()
        with pytest.raises(aiohttp.ClientError):
            await asking
    async with Sandbox(customers=3, port=int(box.url.rpartition(":")[2])) as again:
        assert again.url == box.url


async def test_two_sandboxes_with_one_seed_have_the_same_customers() -> None:
    """Another seed gives other customers."""
    async with Sandbox(5, 1) as one, Sandbox(5, 1) as two, Sandbox(5, 2) as other:
        assert one.customers.ids() == two.customers.ids() != other.customers.ids()


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """The package has its public names and no others."""
    with pytest.raises(AttributeError, match="no attribute 'Sandpit'"):
        ticketsource_async.sandbox.Sandpit  # noqa: B018


async def test_the_first_window_has_its_full_length_with_any_clock() -> None:
    """The clock may begin near zero."""
    now = 10.0
    key = {"Authorization": "Bearer skl-sandbox"}
    async with (
        Sandbox(3, rate_limit=(1, 60), clock=lambda: now) as box,
        aiohttp.ClientSession(box.url, headers=key) as http,
    ):
        await ask(http, "GET", "/customers")
        now = 65.0
        async with http.get("/customers") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "5")


async def test_a_link_that_keeps_the_query_encodes_it() -> None:
    """Odd characters of the request are encoded in the link."""
    key = {"Authorization": "Bearer skl-sandbox"}
    async with Sandbox(5, next_keeps_query=True) as box, aiohttp.ClientSession(box.url, headers=key) as http:
        _, page = await ask(http, "GET", "/customers?per_page=2&q=a%26b%20c")

    assert page["links"]["next"] == f"{box.url}/customers?per_page=2&q=a%26b+c&page=2"


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"data": {"type": "customer", "attributes": {"first_name": "\\ud800"}}}']
)
async def test_json_that_cannot_be_parsed_or_encoded_is_refused(http: aiohttp.ClientSession, data: bytes) -> None:
    """Neither deeply nested lists nor half a surrogate pair crash the server."""
    async with http.post("/customers", data=data) as response:
        assert (response.status, (await response.json())["errors"][0]["detail"]) == (400, "The body is not JSON.")


@pytest.mark.parametrize("nonsense", [{"port": -1}, {"port": 65_536}, {"host": ""}])
def test_an_invalid_host_or_port_is_refused(nonsense: Any) -> None:
    """Host and port are checked before the start."""
    with pytest.raises(ValueError, match="host must not be empty, and port must be"):
        Sandbox(**nonsense)


async def test_a_running_sandbox_cannot_be_started_again(box: Sandbox) -> None:
    """A start that has failed can be repeated."""
    with pytest.raises(RuntimeError, match="started already"):
        await box.start()
    second = Sandbox(port=int(box.url.rpartition(":")[2]))
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await box.stop()
    async with second:
        assert second.url == box.url


async def test_a_note_is_written_listed_read_and_deleted(http: aiohttp.ClientSession, box: Sandbox) -> None:
    """The newest note is the last of the list. A customer's notes are deleted with the customer."""
    _, made = await ask(http, "POST", "/customers", KARL_SENT)
    customer = f"/customers/{made['data']['id']}"
    sent = {"data": {"type": "customer_note", "attributes": {"description": "Leg room", "created_by": "Staff"}}}
    status, written = await ask(http, "POST", f"{customer}/notes", sent)
    _, later = await ask(http, "POST", f"{customer}/notes", sent)
    path = f"{customer}/notes/{written['data']['id']}"

    assert status == 201
    assert written["data"]["links"] == {"self": f"{box.url}{path}", "customer": f"{box.url}{customer}"}
    assert (await ask(http, "GET", f"{customer}/notes"))[1]["data"] == [written["data"], later["data"]]
    assert await ask(http, "GET", path) == (200, written)
    assert (await ask(http, "PATCH", path))[0] == 405
    assert await ask(http, "DELETE", path) == (204, None)
    assert [(await ask(http, method, path))[0] for method in ("GET", "DELETE")] == [404, 404]
    assert (await ask(http, "DELETE", customer))[0] == 204
    assert (await ask(http, "GET", f"{customer}/notes"))[0] == 404


async def test_latency_does_not_change_the_answer() -> None:
    """The list has all customers."""
    key = {"Authorization": "Bearer skl-sandbox"}
    async with Sandbox(5, latency=0.001) as box, aiohttp.ClientSession(box.url, headers=key) as http:
        _, page = await ask(http, "GET", "/customers")

        assert [row["id"] for row in page["data"]] == box.customers.ids()
