"""Calls to any endpoint, also to one that this library does not know yet."""

import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from mocked import KEY, ONCE

from ticketsource_async import (
    Booking,
    ClientClosed,
    Customer,
    CustomerDraft,
    Event,
    EventDate,
    InvalidResponse,
    Note,
    NoteDraft,
    NotFound,
    OutcomeUnknown,
    PaginationError,
    Part,
    Record,
    RetryPolicy,
    Seat,
    TicketSource,
    ValidationFailed,
    Venue,
)
from ticketsource_async.models.values import RECORD_KINDS
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting


@attrs.frozen
class Voucher(Record):
    """A model of the user's own: six lines without this one."""

    API_TYPE = "voucher"
    code: str | None = None
    amount: Decimal | None = None
    valid_until: date | None = None


def voucher(number: int, **attributes: object) -> dict[str, Any]:
    """Return a row of the endpoint that the sandbox does not have."""
    attributes = {"code": f"SPRING-{number}", "amount": 12.5, "valid_until": "2026-12-31", **attributes}
    return {"id": f"vch-{number}", "type": "voucher", "attributes": attributes, "links": {}}


class Newer(Sandbox):
    """A TicketSource that has one endpoint more, with these rows."""

    rows: Sequence[object] = [voucher(number) for number in range(250)]
    whole: bool = False
    """Whether it ignores `page` and has no links, as a list without pages."""

    def __init__(self) -> None:
        super().__init__(customers=3, rate_limit=None)
        self._routes.append(("/vouchers", {"GET": self._list_vouchers}))

    def _list_vouchers(self, request: Any) -> Any:
        rows: Any = self.rows
        if self.whole:
            return attrs.evolve(self._page(request, 0, lambda *_: []), document={"data": rows})
        return self._page(request, len(rows), lambda start, stop: list(rows[start:stop]))


@pytest.fixture(name="newer")
async def _newer() -> AsyncIterator[Newer]:
    async with Newer() as newer:
        yield newer


@pytest.fixture(name="own")
async def _own(newer: Newer) -> AsyncIterator[TicketSource]:
    async with TicketSource(newer.api_key, base_url=newer.url, retry=ONCE) as ts:
        yield ts


async def test_a_new_endpoint_is_read_with_a_model_of_six_lines(newer: Newer, own: TicketSource) -> None:
    """The rows of all pages come as records. `extra` has unknown attributes, `invalid` has unreadable values."""
    newer.rows = [voucher(1, valid_until="31.12.2026", spent=True), *newer.rows[2:]]
    vouchers = await own.paginate("/vouchers", model=Voucher, concurrency=4).collect()

    assert len(vouchers) == 249
    assert vouchers[1] == Voucher("vch-2", "SPRING-2", Decimal("12.5"), date(2026, 12, 31))
    assert (vouchers[0].valid_until, vouchers[0].invalid) == (None, {"valid_until": "31.12.2026"})
    assert vouchers[0].extra == {"spent": True}
    assert Voucher.from_dict(vouchers[0].to_dict()) == vouchers[0]


async def test_the_answer_of_a_read_has_everything_that_the_api_sent(box: Sandbox, ts: TicketSource) -> None:
    """These are data, links, meta, status, headers, and the request id of the API."""
    document = {"data": [{"id": 1, "price": 9.90}], "links": [], "meta": {"per_page": "2"}, "included": [1]}
    box.fail(status=200, body=json.dumps(document), headers={"X-Request-Id": "r-1", "X-RateLimit-Remaining": "7"})
    answer = await ts.request("GET", "/reports/sales", query={"from": "2026-01-01", "who": "a b&c", "page": 2})

    assert (answer.data, answer.links, answer.meta) == ([{"id": 1, "price": Decimal("9.9")}], {}, {"per_page": "2"})
    assert (answer.status, answer.headers["x-ratelimit-remaining"], answer.request_id) == (200, "7", "r-1")
    assert answer.extra == {"included": [1]}
    assert box.requests[0].query == {"from": "2026-01-01", "who": "a b&c", "page": "2"}
    assert box.requests[0].body == b""


async def test_a_record_is_created_changed_and_deleted(box: Sandbox, ts: TicketSource) -> None:
    """The JSON is sent unchanged. A 204 has no data."""
    body = {"data": {"type": "customer", "attributes": {"first_name": "Karl", "email": None}}}
    made = await ts.request("POST", "/customers", json=body)
    assert isinstance(made.data, dict)
    path = f"/customers/{made.data['id']}"
    body["data"] |= {"id": made.data["id"], "attributes": {"first_name": "Carl"}}
    changed = await ts.request("PATCH", path, json=body)
    gone = await ts.request("DELETE", path)

    assert (made.status, changed.status, gone.status, gone.data) == (201, 200, 204, None)
    assert json.loads(box.requests[1].body) == body
    with pytest.raises(NotFound, match=f"GET {path} was answered 404: not_found"):
        await ts.request("GET", path)


@pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("PATCH", 1), ("POST", 1)])
async def test_a_call_is_retried_unless_a_retry_could_write_twice(box: Sandbox, method: Any, attempts: int) -> None:
    """A POST may have created a record. A PATCH of an unknown endpoint may have added to a value."""
    box.fail(status=503)
    box.fail(status=200, body="{}")
    async with TicketSource(box.api_key, base_url=box.url, retry=RetryPolicy(attempts=2)) as ts:
        with no_waiting():
            if attempts == 1:
                with pytest.raises(OutcomeUnknown, match="nobody knows whether it took effect"):
                    await ts.request(method, "/vouchers/vch-1", json={})
            else:
                assert (await ts.request(method, "/vouchers/vch-1")).data == {}

    assert [request.method for request in box.requests] == [method] * attempts


@pytest.mark.parametrize("fault", [{"cut": "after_write"}, {"status": 503}, {"status": 500}])
async def test_a_patch_sent_by_request_is_retried_only_after_a_429(box: Sandbox, fault: Any) -> None:
    """A 429 means that nothing was done. `customers.update` only sets values, so it is retried after any fault."""
    (customer_id,) = box.customers.ids(0, 1)
    body = {"data": {"id": customer_id, "type": "customer", "attributes": {"first_name": "Karl"}}}
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        with no_waiting():
            box.fail(**fault)
            with pytest.raises(OutcomeUnknown, match="somebody else may have changed it meanwhile"):
                await ts.request("PATCH", f"/customers/{customer_id}", json=body)
            box.fail(status=429)
            await ts.request("PATCH", f"/customers/{customer_id}", json=body)
            box.fail(**fault)
            await ts.customers.update(customer_id, CustomerDraft(first_name="Carl"))

    assert [request.method for request in box.requests] == ["PATCH"] * 5


async def test_a_retried_delete_that_finds_nothing_succeeds(box: Sandbox) -> None:
    """The answer to the first attempt was lost. The second attempt gets a 404."""
    (customer_id,) = box.customers.ids(0, 1)
    box.fail(cut="after_write")
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        with no_waiting():
            answer = await ts.request("DELETE", f"/customers/{customer_id}")

    assert (answer.status, answer.data, len(box.customers)) == (404, None, 24)


@pytest.mark.parametrize(
    "path",
    [
        *("customers", "", "/", "//evil.example/customers", "https://evil.example/", "/customers//x", "/customers/"),
        *(
            "/..",
            "/customers/../events",
            "/customers/./x",
            "/...",
            "/%2e%2e/x",
            "/customers/%2e%2e",
            "/a%2fb",
            "/a%252fb",
        ),
        *(
            "/a\\b",
            "/\\evil.example",
            "/customers?page=2",
            "/customers#x",
            "/..;/x",
            "/a b",
            "/a\n",
            "/a\r\nHost: x",
            "/é",
        ),
        *("/customers/@evil/..", "/" + "a" * 201, "\u2215customers", "/\uff0e\uff0e/x"),
    ],
)
async def test_a_path_with_other_than_plain_parts_is_refused(box: Sandbox, ts: TicketSource, path: str) -> None:
    """Another path could reach another endpoint or server. Nothing is sent."""
    with pytest.raises(ValueError, match="is not a path of the API"):
        await ts.request("GET", path)
    with pytest.raises(ValueError, match="is not a path of the API"):
        ts.paginate(path)

    assert not box.requests


async def test_a_full_url_is_refused_as_a_path(box: Sandbox, ts: TicketSource) -> None:
    """The error says what to pass."""
    with pytest.raises(ValueError, match='as in "/customers/cst-1/notes"'):
        await ts.request("GET", f"{box.url}/customers")


async def test_a_path_is_added_to_the_path_of_the_base_url(box: Sandbox) -> None:
    """Every other call does the same."""
    async with TicketSource(box.api_key, base_url=f"{box.url}/v2", retry=ONCE) as ts:
        with pytest.raises(NotFound, match=r"GET /v2/a:b/c@d,e~f_\.g was answered 404"):
            await ts.request("GET", "/a:b/c@d,e~f_.g")

    assert box.requests[0].path == "/v2/a:b/c@d,e~f_.g"


CIRCLE: dict[str, object] = {}
CIRCLE["a"] = CIRCLE


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [
        ("get", {}, "method is one of GET, POST, PUT, PATCH, DELETE, not 'get'"),
        ("TRACE", {}, "method is one of"),
        ("GET", {"json": {}}, "a GET has no body: parameters go into query="),
        ("POST", {"json": {"a": float("nan")}}, "Out of range float"),
        ("POST", {"json": {"a": Decimal("Infinity")}}, "JSON has no number Infinity"),
        ("POST", {"json": {1: 2}}, "names in a JSON object are texts, not int"),
        ("POST", {"json": {"a": {1}}}, "set is not JSON serializable"),
        ("POST", {"json": CIRCLE}, "contains itself"),
        ("GET", {"query": "page=1"}, "query is a dict"),
        ("GET", {"query": {"a": True}}, "not bool for 'a'"),
        ("GET", {"query": {"a": None}}, "not NoneType for 'a'"),
        ("GET", {"query": {"a": [1]}}, "not list for 'a'"),
    ],
)
async def test_a_request_that_cannot_be_sent_is_refused(
    box: Sandbox, ts: TicketSource, method: Any, given: Any, error: str
) -> None:
    """No request is made."""
    with pytest.raises((ValueError, TypeError), match=error):
        await ts.request(method, "/customers", **given)

    assert not box.requests


@pytest.mark.parametrize(
    "given",
    [
        {"path": f"/customers/{KEY}"},
        {"path": f"/customers?key={KEY}"},
        {"path": f"https://{KEY}@api.example/"},
        {"path": KEY.replace("skl", "%73kl")},
        {"query": {"key": KEY}},
        {"query": {KEY: True}},
        {"query": KEY},
    ],
)
async def test_a_path_or_a_query_with_the_key_is_refused(box: Sandbox, given: Any) -> None:
    """Many programs log URLs. The error does not show the key either."""
    arguments: Any = {"path": "/customers", **given}
    async with TicketSource(KEY, base_url=box.url) as ts:
        with pytest.raises(ValueError, match="the API key is in the path or the query") as caught:
            await ts.request("GET", **arguments)
        with pytest.raises(ValueError, match="the API key is in the path or the query"):
            ts.paginate(**arguments)

    assert KEY not in str(caught.value)
    assert not box.requests


async def test_errors_and_logs_show_no_personal_value_of_a_query(
    box: Sandbox, ts: TicketSource, caplog: pytest.LogCaptureFixture
) -> None:
    """Values of a query may be people's data. Only those of pages and filters are shown."""
    caplog.set_level(logging.DEBUG)
    query = {"email": "karl@example.org", "filter[start][value]": "2026-05-10", "name[]": "Karl & Co"}
    with pytest.raises(
        NotFound, match=r"GET /people\?email=\.\.\.&filter\[start\]\[value\]=2026-05-10&name\[\]=\.\.\. was"
    ):
        await ts.request("GET", "/people", query=query)
    link = "/people?email=karl%40example.org&name%5B%5D=Karl&cursor=c1"
    box.fail(status=200, body=json.dumps({"data": [{"id": 1}], "links": {"next": link}}), times=2)
    with pytest.raises(PaginationError, match="cursor=c1") as caught:
        await ts.paginate("/people", query=query).collect()

    told = f"{caught.value} {caught.value.next_url} {caplog.text}"
    assert not {"karl", "Karl"} & set(re.findall(r"\w+", told))


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("application/json", '[1, {"a": 0.10}]', [1, {"a": Decimal("0.1")}]),
        ("application/json", '"text"', "text"),
        ("application/json", "{}", {}),
        ("application/json", "null", None),
        ("application/json", "", None),
        ("application/json", '{"id": 1}', {"id": 1}),
        ("application/json", '{"data": {"a": [12345678901234567890.125]}}', {"a": ["12345678901234567890.125"]}),
        ("text/plain", "queued", "queued"),
        ("text/csv; charset=utf-8", "\ufeffid,name\n1,Zoë\n", "id,name\n1,Zoë\n"),
        ("text/csv; charset=ISO-8859-1", "Zoë".encode("latin-1"), "Zoë"),
    ],
)
async def test_an_answer_without_an_envelope_is_returned_as_data(
    box: Sandbox, ts: TicketSource, kind: str, body: str | bytes, data: object
) -> None:
    """It may be other JSON, text, or empty."""
    box.fail(status=200, body=body, headers={"Content-Type": kind})
    answer = await ts.request("GET", "/reports/sales")

    assert answer.data == data
    assert (answer.links, answer.meta, answer.extra) == ({}, {}, {})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", "<!DOCTYPE html><title>Down</title>"),
        ("text/plain", "<html><title>Down</title>"),
        ("text/csv", b"\xff\xfe\xe9"),
        ("text/csv; charset=klingon", b"\xe9"),
        ("application/json", '{"data": [1,'),
        ("text/html", 'Warning: x in /a/b.php on line 3 {"data": []}'),
        ("application/pdf", "%PDF-1.7"),
        ("application/json", "[" * 300 + "]" * 300),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_an_answer_that_is_neither_json_nor_text_raises_an_error(
    box: Sandbox, ts: TicketSource, kind: str, body: str | bytes, method: Any
) -> None:
    """A read raises InvalidResponse. A write raises OutcomeUnknown, since it may have been done."""
    box.fail(status=200, body=body, headers={"Content-Type": kind}, times=2)
    with pytest.raises(InvalidResponse, match="GET /reports/sales was answered 200 with something unexpected"):
        await ts.request("GET", "/reports/sales")
    with pytest.raises(OutcomeUnknown):
        await ts.request(method, "/reports/sales")


async def test_links_that_are_no_object_are_kept_in_extra(box: Sandbox, ts: TicketSource) -> None:
    """An unknown member of the answer is in `extra` too."""
    box.fail(status=200, body='{"data": 1, "links": "x", "meta": null, "jsonapi": {"version": "1.0"}}')
    answer = await ts.request("GET", "/reports/sales")

    assert (answer.data, answer.links, answer.meta) == (1, {}, {})
    assert answer.extra == {"links": "x", "jsonapi": {"version": "1.0"}}


async def test_request_raises_the_same_errors_as_other_calls(box: Sandbox, ts: TicketSource) -> None:
    """They are typed, with the API's own words. A closed client raises ClientClosed."""
    with pytest.raises(ValidationFailed, match="The data field is required"):
        await ts.request("POST", "/customers", json={})
    await ts.aclose()
    with pytest.raises(ClientClosed):
        await ts.request("GET", "/customers")


async def test_rows_come_as_dicts_without_a_model(newer: Newer, own: TicketSource) -> None:
    """They come as the API sends them, with exact money."""
    rows = await own.paginate("/vouchers", model=dict, max_items=120).collect()

    assert len(rows) == 120
    assert rows[7] == voucher(7, amount=Decimal("12.5"))
    assert [request.query for request in newer.requests] == [
        {"page": "1", "per_page": "100"},
        {"page": "2", "per_page": "100"},
    ]


async def test_the_query_is_sent_with_every_page(newer: Newer, own: TicketSource) -> None:
    """This is so also if the API drops it from `next`. The list itself sets `page` and `per_page`."""
    assert len(await own.paginate("/vouchers", query={"state": "un sold", "year": 2026}).collect()) == 250

    asked = [(request.query["state"], request.query["year"]) for request in newer.requests]
    assert asked == [("un sold", "2026")] * 3
    for name in ("page", "per_page"):
        with pytest.raises(ValueError, match=f"{name} is set by the list itself: use start_page= and per_page="):
            own.paginate("/vouchers", query={name: 2})


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_all_rows_without_an_id_come(newer: Newer, own: TicketSource, concurrency: int) -> None:
    """There may be many pages, and some rows may be equal."""
    newer.rows = [{"amount": 5, "day": number // 30} for number in range(1500)]
    pager = own.paginate("/vouchers", per_page=20, concurrency=concurrency)

    assert await pager.collect() == newer.rows
    assert (pager.report.duplicates, pager.report.ended) == (0, None)


async def test_rows_without_an_id_come_once_if_the_server_ignores_the_page(newer: Newer, own: TicketSource) -> None:
    """Such a server would send them for ever."""
    newer.rows, newer.whole = [{"amount": number} for number in range(130)], True

    assert await own.paginate("/vouchers").collect() == newer.rows
    assert len(newer.requests) == 2


async def test_rows_of_several_types_may_have_the_same_id(newer: Newer, own: TicketSource) -> None:
    """Type and id together identify a row. A row that comes again is dropped, and counted."""
    newer.rows = [{"type": "a", "id": 1}, {"type": "b", "id": 1}, {"id": 1}, {"type": "a", "id": 1}]
    pager = own.paginate("/vouchers")

    assert await pager.collect() == newer.rows[:3]
    assert pager.report.duplicates == 1


async def test_a_verified_list_refuses_rows_without_an_id(newer: Newer, own: TicketSource) -> None:
    """`on_invalid` gets such a row once, and the others are verified. Without `on_invalid`, the list fails."""
    newer.rows = [*newer.rows[:150], {"amount": 5}]
    refused: list[InvalidResponse] = []
    pager = own.paginate("/vouchers", verify=True, on_invalid=refused.append)

    assert len(await pager.collect()) == 150
    assert [error.json_path for error in refused] == ["$.data[50].id"]
    assert pager.report.complete
    with pytest.raises(InvalidResponse, match="Expected an id, which verify goes by"):
        await own.paginate("/vouchers", verify=True).collect()


async def test_a_row_that_is_no_object_is_refused(newer: Newer, own: TicketSource) -> None:
    """Every list does this."""
    newer.rows = [{"id": 1}, "odd", {"id": 2}]
    refused: list[InvalidResponse] = []

    assert await own.paginate("/vouchers", on_invalid=refused.append).collect() == [{"id": 1}, {"id": 2}]
    assert [error.json_path for error in refused] == ["$.data[1]"]


@attrs.frozen
class Fee(Part):
    """A part of the user's own."""

    net: Decimal | None = None
    vat: Decimal | None = None


@attrs.frozen
class Product(Record):
    """A record with every kind of attribute."""

    API_TYPE = "product"
    ID_PREFIX = "prd-"

    name: str | None
    public: bool | None = None
    stock: int | None = None
    made_at: datetime | None = None
    fee: Fee | None = None
    fees: tuple[Fee, ...] | None = None


async def test_a_model_may_have_every_kind_of_attribute(newer: Newer, own: TicketSource) -> None:
    """It may also have whole numbers, and parts of the user's own."""
    attributes = {
        "name": 5,
        "public": "yes",
        "stock": "12",
        "made_at": "2026-01-01T10:00:00Z",
        "fee": {"net": 1, "x": 2},
    }
    row = {"id": "prd-1", "type": "product", "attributes": {**attributes, "fees": [{"net": "n"}, {}]}, "links": {}}
    odd = {"id": "prd-2", "type": "product", "attributes": {"stock": 1.5}, "links": {"self": "/x"}}
    none = {"id": "prd-3", "type": "product", "attributes": {"stock": "", "name": None, "fee": []}, "links": {}}
    newer.rows = [row, odd, none]
    first, second, third = await own.paginate("/vouchers", model=Product).collect()

    assert (first.name, first.public, first.stock) == ("5", None, 12)
    assert first.fee == Fee(net=Decimal(1), extra={"x": 2})
    assert first.fees == (Fee(), Fee())
    assert first.invalid == {"public": "yes", "fees[0].net": "n"}
    assert (second.stock, second.invalid, second.links.self_) == (None, {"stock": Decimal("1.5")}, "/x")
    assert (third.stock, third.fee, third.invalid) == (None, Fee(), {})
    assert [Product.from_dict(p.to_dict()) for p in (first, second, third)] == [first, second, third]


async def test_a_model_can_add_an_attribute_to_customer(box: Sandbox, ts: TicketSource) -> None:
    """A subclass of `Customer` reads an attribute that otherwise is in `extra`."""

    @attrs.frozen
    class Member(Customer):
        shoe_size: int | None = None

    (customer_id,) = box.customers.ids(0, 1)
    row = {**(box.customers.get(customer_id) or {})}
    row["attributes"] = {**row["attributes"], "shoe_size": 43}  # type: ignore[dict-item]  # it is JSON
    box.fail(status=200, body=json.dumps({"data": [row]}))
    (member,) = await ts.paginate("/customers", model=Member).collect()

    assert member.shoe_size == 43
    assert member.email == row["attributes"]["email"]  # type: ignore[index]  # it is JSON
    assert repr(member).startswith(f"Member(id='{customer_id}', title=None, first_name=")
    assert (await ts.customers.get(customer_id)).id == customer_id


def test_a_model_may_define_its_own_repr() -> None:
    """Without one, the repr shows the fields in the order in which people read them."""

    @attrs.frozen
    class Terse(Voucher):
        def __repr__(self) -> str:
            return self.id

    assert repr(Terse("vch-1")) == "vch-1"
    assert repr(Voucher("vch-1")).startswith(
        "Voucher(id='vch-1', code=None, amount=None, valid_until=None, links=Links("
    )


async def test_a_model_may_have_constants(box: Sandbox, ts: TicketSource) -> None:
    """They may have any name, also one that this library uses inside its own records."""

    @attrs.frozen
    class Kept(Record):
        API_TYPE = "customer_note"
        _names = ("description",)
        description: str | None = None

    customer_id = box.customers.ids()[0]
    made = await ts.notes.create(customer_id, NoteDraft(description="Rang back"))

    (note,) = [note async for note in ts.paginate(f"/customers/{customer_id}/notes", model=Kept)]

    assert (note.id, note._names) == (made.id, ("description",))


def test_a_users_model_is_not_added_to_the_record_kinds() -> None:
    """This table has only the kinds that the API documents."""
    assert sorted(RECORD_KINDS) == ["booking", "customer", "customer_note", "date", "event", "seat", "venue"]


class Bare(Record):
    """A class without attrs."""

    API_TYPE = "bare"
    name: str | None = None


@attrs.frozen
class Typeless(Record):
    """A class without a type."""

    name: str | None = None


@attrs.frozen
class Honest(Record):
    """A record with an attribute that is annotated without None."""

    API_TYPE = "honest"
    name: str = ""


@attrs.frozen
class Unknown(Record):
    """A record with an attribute of a type that the reader does not know."""

    API_TYPE = "unknown"
    name: list[str] | None = None


@attrs.frozen
class Texts(Record):
    """A record with a tuple whose items are no parts."""

    API_TYPE = "texts"
    names: tuple[str, ...] | None = None


@attrs.frozen
class Inner(Record):
    """A record within a record."""

    API_TYPE = "inner"
    customer: Customer | None = None


@attrs.frozen
class Converted(Record):
    """A record with a converter, which would not run."""

    API_TYPE = "converted"
    name: str | None = attrs.field(default=None, converter=str)


@attrs.frozen
class Missing(Record):
    """A record with an annotation that names nothing."""

    API_TYPE = "missing"
    name: "Nowhere | None" = None  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


@attrs.frozen
class NeedsNet(Part):
    """A part that cannot be empty."""

    net: Decimal | None


@attrs.frozen
class HasNeedy(Record):
    """A record with such a part."""

    API_TYPE = "needy"
    fee: NeedsNet | None = None


@pytest.mark.parametrize(
    ("model", "said"),
    [
        *((model, "model is dict, or a class made from ticketsource_async.Record") for model in (list, str, 5, None)),
        *((model, "model is dict, or a class made from") for model in (dict[str, object], Record, Fee, Typeless)),
        (Bare, "Bare needs @attrs.frozen"),
        (Honest, r"Honest.name must be annotated with `\| None`"),
        (Unknown, "no record can have a field of list"),
        (Unknown, "Unknown.name: no record can have a field of list"),
        (Texts, "Texts.names: a tuple holds parts, not str; leave the field out and use `extra`"),
        (Inner, "Inner.customer: Customer must be a class made from ticketsource_async.Part"),
        (Converted, "Converted.name has a converter or a validator, which would not run"),
        (Missing, "the annotations of Missing cannot be used: name 'Nowhere' is not defined"),
        (HasNeedy, "NeedsNet.net needs `= None`"),
    ],
)
async def test_a_model_that_cannot_work_is_refused_at_once(ts: TicketSource, model: Any, said: str) -> None:
    """It is refused when the list is made, not when the list is read."""
    with pytest.raises(TypeError, match=said):
        ts.paginate("/vouchers", model=model)


def fields(**annotated: Any) -> type[Record]:
    """Return a record class with these fields: each is an annotation, or a pair of an annotation and a default."""
    pairs = {name: given if isinstance(given, tuple) else (given, None) for name, given in annotated.items()}
    body = {"API_TYPE": "odd", "__annotations__": {name: hint for name, (hint, _) in pairs.items()}}
    return attrs.frozen(type("Odd", (Record,), {**body, **{name: default for name, (_, default) in pairs.items()}}))


@attrs.frozen
class Named(Part):
    """A part with an id, which parts do not have."""

    id: str | None = None


@attrs.frozen
class Endless(Part):
    """A part that holds itself."""

    inner: "Endless | None" = None


@attrs.frozen
class Computed(Record):
    """A record class that runs code when a record is made."""

    API_TYPE = "computed"
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        raise AssertionError("this must not run")


@attrs.frozen
class Renamed(Record):
    """A record class that declares its id again."""

    API_TYPE = "renamed"
    id: int  # type: ignore[assignment]  # this is the mistake


@attrs.frozen
class MadeFromRenamed(Renamed):
    """A subclass of such a class."""

    API_TYPE = "renamed_again"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (fields(stock=(int | None, 0)), "Odd.stock needs `= None`"),
        (fields(stock=(int | None, attrs.field(factory=int))), "Odd.stock needs `= None`"),
        (
            fields(code=(str | None, attrs.field(default=None, alias="voucher"))),
            "Odd.code has an alias: it must have the name of the attribute in the API",
        ),
        (fields(code=(str | None, attrs.field(default=None, init=False))), "Odd.code has `init=False`"),
        (fields(_code=str | None), "Odd._code cannot begin with an underscore"),
        (fields(to_dict=str | None), "Odd.to_dict: every record has this name; leave the field out"),
        (fields(API_TYPE=(str, "odd")), "Odd.API_TYPE must have no annotation"),
        (fields(code=str | int | None), "Odd.code must have one type besides None"),
        (fields(fees=tuple[Fee, Fee] | None), "Odd.fees must be a tuple of any length"),
        (fields(fees=tuple[Fee, Named] | None), "Odd.fees must be a tuple of any length"),
        (fields(part=Named | None), "Named.id: every record has this name"),
        (fields(part=Endless | None), "Endless.inner: a part cannot hold itself"),
        (fields(type=str | None, type_=str | None), "Odd.type_ and type are the same attribute"),
        (fields(links=(str | None, None)), "Odd.links: every record has this name"),
        (Renamed, "Renamed.id: every record has this name"),
        (MadeFromRenamed, "MadeFromRenamed.id: every record has this name"),
        (Computed, "Computed has __attrs_post_init__, which would not run"),
    ],
)
async def test_a_model_with_a_field_that_cannot_be_read_is_refused(ts: TicketSource, model: Any, said: str) -> None:
    """Its default, name or type would be read as something else. The error names the field."""
    with pytest.raises(TypeError, match=re.escape(said)):
        ts.paginate("/vouchers", model=model)


@pytest.mark.parametrize("model", [Customer, Booking, Event, EventDate, Note, Seat, Venue, Voucher, Product])
async def test_every_record_of_this_library_can_be_a_model(ts: TicketSource, model: type[Record]) -> None:
    """The models of the documentation can, too."""
    assert repr(ts.paginate("/vouchers", model=model)) == f"<Pager of {model.__name__} at /vouchers>"
