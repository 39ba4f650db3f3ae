"""The request of each operation: method, path, query and body, and the type of its result."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from attrs import evolve
from mocked import KEY, MockedAPI
from rows import BOOKING_ROW, DATE_ROW, EVENT_ROW, KARL, KARL_DRAFT, KARL_SENT, SEAT_ROW, VENUE_ROW, customer_row, page

from ticketsource_async import (
    Address,
    AddressDraft,
    Booking,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Event,
    EventDate,
    InvalidResponse,
    MembershipDraft,
    Note,
    NoteDraft,
    NotFound,
    OutcomeUnknown,
    Pager,
    Seat,
    StartFilter,
    TicketSource,
    UnreadableValue,
    ValidationFailed,
    Venue,
)
from ticketsource_async.sandbox import Sandbox

CST, CSN = "cst-xxxxxxxxxx1", "csn-47azjpMWXREgVQN8"
NOTE_ROW = {
    "id": CSN,
    "type": "customer_note",
    "attributes": {
        "description": "Needs leg room",
        "created_by": "Staff Member",
        "created_at": "2022-09-26T09:00:00+00:00",
        "updated_at": None,
    },
    "links": {"self": f"https://x/customers/{CST}/notes/{CSN}", "customer": f"https://x/customers/{CST}"},
}
Call = Callable[[TicketSource], Awaitable[Any]]


def note_body(**attributes: str) -> dict[str, Any]:
    """Return the body that adds a note."""
    return {"data": {"type": "customer_note", "attributes": attributes}}


def update_body(**attributes: object) -> dict[str, Any]:
    """Return the body that updates the customer."""
    return {"data": {"type": "customer", "id": CST, "attributes": attributes}}


Operation = tuple[Call, str, str, object, int, object, type]


def listed(call: Callable[[TicketSource], Pager[Any]], path: str, row: object, kind: type) -> Operation:
    """Return the row of a list."""
    return lambda ts: call(ts).first(), "GET", f"{path}?page=1&per_page=100", None, 200, [row], kind


def got(call: Call, path: str, row: object, kind: type) -> Operation:
    """Return the row of a single record."""
    return call, "GET", path, None, 200, row, kind


OPERATIONS: list[Operation] = [
    (
        lambda ts: ts.customers.list().first(),
        "GET",
        "/customers?page=1&per_page=100",
        None,
        200,
        [customer_row()],
        Customer,
    ),
    (lambda ts: ts.customers.get(CST), "GET", f"/customers/{CST}", None, 200, customer_row(), Customer),
    (lambda ts: ts.customers.create(KARL_DRAFT), "POST", "/customers", KARL_SENT, 201, KARL, Customer),
    (
        lambda ts: ts.customers.update(CST, CustomerDraft(last_name="Jenkin")),
        "PATCH",
        f"/customers/{CST}",
        update_body(last_name="Jenkin"),
        200,
        customer_row(last_name="Jenkin"),
        Customer,
    ),
    (lambda ts: ts.customers.delete(CST), "DELETE", f"/customers/{CST}", None, 204, None, type(None)),
    (
        lambda ts: ts.notes.list(CST, per_page=5, start_page=2).first(),
        "GET",
        f"/customers/{CST}/notes?page=2&per_page=5",
        None,
        200,
        [NOTE_ROW],
        Note,
    ),
    (lambda ts: ts.notes.get(CST, CSN), "GET", f"/customers/{CST}/notes/{CSN}", None, 200, NOTE_ROW, Note),
    (
        lambda ts: ts.notes.create(CST, NoteDraft(description="Needs leg room")),
        "POST",
        f"/customers/{CST}/notes",
        note_body(description="Needs leg room"),
        201,
        NOTE_ROW,
        Note,
    ),
    (lambda ts: ts.notes.delete(CST, CSN), "DELETE", f"/customers/{CST}/notes/{CSN}", None, 204, None, type(None)),
    listed(lambda ts: ts.customers.list_bookings(CST), f"/customers/{CST}/bookings", BOOKING_ROW, Booking),
    listed(lambda ts: ts.events.list(), "/events", EVENT_ROW, Event),
    got(lambda ts: ts.events.get("evt-1"), "/events/evt-1", EVENT_ROW, Event),
    listed(lambda ts: ts.events.list_venues("evt-1"), "/events/evt-1/venues", VENUE_ROW, Venue),
    listed(lambda ts: ts.events.list_dates("evt-1"), "/events/evt-1/dates", DATE_ROW, EventDate),
    got(lambda ts: ts.venues.get("ven-1"), "/venues/ven-1", VENUE_ROW, Venue),
    listed(lambda ts: ts.venues.list_dates("ven-1"), "/venues/ven-1/dates", DATE_ROW, EventDate),
    got(lambda ts: ts.dates.get("dat-1"), "/dates/dat-1", DATE_ROW, EventDate),
    listed(lambda ts: ts.dates.list_bookings("dat-1"), "/dates/dat-1/bookings", BOOKING_ROW, Booking),
    got(lambda ts: ts.bookings.get("bkg-1"), "/bookings/bkg-1", BOOKING_ROW, Booking),
    listed(lambda ts: ts.bookings.list_seats("bkg-1"), "/bookings/bkg-1/seats", SEAT_ROW, Seat),
    got(lambda ts: ts.seats.get("sea-1"), "/seats/sea-1", SEAT_ROW, Seat),
]


def test_the_table_has_every_operation_of_the_api() -> None:
    """The API has twenty-one operations."""
    assert len({(method, path.split("?")[0]) for _, method, path, *_ in OPERATIONS}) == len(OPERATIONS) == 21


@pytest.mark.parametrize(("call", "method", "path", "body", "status", "data", "kind"), OPERATIONS)
async def test_an_operation_sends_the_request_of_the_guide_and_returns_its_model(
    mocked: TicketSource,
    api: MockedAPI,
    call: Call,
    method: str,
    path: str,
    body: object,
    status: int,
    data: object,
    kind: type,
) -> None:
    """The body has the same JSON as in the guide."""
    api.answer(method, path, None if data is None else {"data": data}, status=status)

    result = await call(mocked)

    assert type(result) is kind
    assert api.sent == [(method, path, body)]


async def test_a_request_has_the_key_the_user_agent_and_the_media_types(mocked: TicketSource, api: MockedAPI) -> None:
    """It has a Content-Type only if it has a body."""
    api.answer("GET", f"/customers/{CST}", {"data": customer_row()})
    api.answer("PATCH", f"/customers/{CST}", {"data": customer_row()})

    await mocked.customers.get(CST)
    await mocked.customers.update(CST, CustomerDraft(first_name="Karl"))

    for headers in api.headers:
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["User-Agent"].startswith("ticketsource-async/")
        assert headers["Accept"] == "application/json"
    assert ["Content-Type" in headers for headers in api.headers] == [False, True]


async def test_a_record_may_be_passed_instead_of_its_id(ts: TicketSource) -> None:
    """This is so for customers and notes."""
    customer = await ts.customers.list().first()
    assert customer is not None

    note = await ts.notes.create(customer, NoteDraft(description="Aisle seat"))

    assert await ts.customers.get(customer) == customer
    assert await ts.notes.get(customer, note) == note
    assert note.customer_id == customer.id
    await ts.notes.delete(customer, note)
    with pytest.raises(NotFound):
        await ts.notes.get(customer, note)


WRONG_IDS = [
    "",
    "csn-abc",
    "cst-",
    "cst-a/b",
    "cst-a b",
    "evt-1",
    "..",
    " cst-a",
    "cst-a\n",
    "cst-ä",
    None,
    7,
]


@pytest.mark.parametrize("wrong", WRONG_IDS)
@pytest.mark.parametrize("call", ["get", "update", "delete"])
async def test_a_wrong_customer_id_is_refused_before_any_request(
    ts: TicketSource, box: Sandbox, call: str, wrong: Any
) -> None:
    """It raises ValueError."""
    more = [CustomerDraft(first_name="x")] if call == "update" else []

    with pytest.raises(ValueError, match="such an id is 'cst-'"):
        await getattr(ts.customers, call)(wrong, *more)
    with pytest.raises(ValueError, match="such an id is 'cst-'"):
        ts.notes.list(wrong)

    assert not box.requests


async def test_a_wrong_note_id_is_refused_before_any_request(ts: TicketSource, box: Sandbox) -> None:
    """It raises ValueError, also if it is the id of a customer."""
    with pytest.raises(ValueError, match="'csn-'"):
        await ts.notes.get(CST, CST)
    with pytest.raises(ValueError, match="'csn-'"):
        await ts.notes.delete(CST, "csn-../x")

    assert not box.requests


async def test_an_empty_draft_is_refused_before_any_request(ts: TicketSource, box: Sandbox) -> None:
    """It raises ValueError."""
    with pytest.raises(ValueError, match="nothing set"):
        await ts.customers.update(CST, CustomerDraft())
    with pytest.raises(ValueError, match="nothing set"):
        await ts.customers.create(CustomerDraft())
    with pytest.raises(ValueError, match="nothing set"):
        await ts.notes.create(CST, NoteDraft())

    assert not box.requests


async def test_another_object_than_the_draft_is_refused_before_any_request(ts: TicketSource, box: Sandbox) -> None:
    """A dict, a record or a draft of another kind raises TypeError."""
    wrong: Any
    for wrong in ({"first_name": "x"}, Customer(id=CST), NoteDraft(description="x"), None):
        with pytest.raises(TypeError, match="this call takes a CustomerDraft"):
            await ts.customers.update(CST, wrong)

    assert not box.requests


async def test_save_sends_only_changed_texts_and_whole_parts(api: MockedAPI, mocked: TicketSource) -> None:
    """A changed name is sent alone, a changed consent with the other consents. Nothing is sent if nothing differs."""
    for _ in range(2):
        api.answer("GET", "/customers/cst-xxxxxxxxxx1", {"data": customer_row(1)})
        api.answer("PATCH", "/customers/cst-xxxxxxxxxx1", {"data": customer_row(1, last_name="New")})
    before = await mocked.customers.get("cst-xxxxxxxxxx1")
    assert before.consent is not None
    renamed = await mocked.customers.save(before, evolve(before, last_name="New"))
    await mocked.customers.save(before, evolve(before, consent=evolve(before.consent, email=False)))
    same = await mocked.customers.save(before, evolve(before, extra={"vip": True}))
    with pytest.raises(ValueError, match="must be the same customer"):
        await mocked.customers.save(before, evolve(before, id="cst-2"))

    assert renamed.last_name == "New"
    assert same is before
    sent = [body["data"]["attributes"] for method, _, body in api.sent if method == "PATCH"]
    assert sent == [{"last_name": "New"}, {"consent": {"email": False, "post": False, "sms": False}}]


async def test_the_customer_of_the_guide_is_created_updated_and_deleted(ts: TicketSource, box: Sandbox) -> None:
    """These are the three examples of the guide. No other customer changes."""
    others = await ts.customers.list().collect()

    karl = await ts.customers.create(KARL_DRAFT)
    renamed = await ts.customers.update(karl.id, CustomerDraft(last_name="Jenkin"))
    everybody = await ts.customers.list().collect()
    await ts.customers.delete(karl.id)

    assert karl.telephone == "01234555678"
    assert karl.title is None
    assert karl.membership is not None
    assert karl.membership.end_date == date(2021, 12, 31)
    assert (renamed.id, renamed.first_name, renamed.last_name) == (karl.id, "Karl", "Jenkin")
    assert renamed.updated_at is not None
    assert everybody == [*others, renamed]
    assert await ts.customers.list().collect() == others
    assert [r.body for r in box.requests if r.method == "DELETE"] == [b""]
    with pytest.raises(NotFound) as caught:
        await ts.customers.get(karl.id)
    assert caught.value.path == f"/customers/{karl.id}"


async def test_a_none_clears_a_field_and_unset_keeps_it(ts: TicketSource) -> None:
    """A field that is not sent keeps its value."""
    karl = await ts.customers.create(KARL_DRAFT)

    cleared = await ts.customers.update(karl, CustomerDraft(telephone=None, membership=None))

    assert (cleared.telephone, cleared.membership) == (None, None)
    assert (cleared.email, cleared.address, cleared.consent) == (karl.email, karl.address, karl.consent)


async def test_a_refused_draft_raises_validation_failed_with_the_reasons(ts: TicketSource) -> None:
    """The reasons are in the message and in `errors`."""
    draft = CustomerDraft(email="not-an-email", membership=MembershipDraft(identifier="x" * 21))

    with pytest.raises(ValidationFailed, match="POST /customers was answered 400: validation_failed") as caught:
        await ts.customers.create(draft)

    assert len(caught.value.errors) == 2
    assert {e.get("code") for e in caught.value.errors} == {"validation_failed"}


async def test_an_update_answered_with_another_record_has_an_unknown_outcome(
    mocked: TicketSource, api: MockedAPI
) -> None:
    """It may be the answer to another call. So the error does not say that the write was accepted."""
    api.answer("PATCH", f"/customers/{CST}", {"data": customer_row(2)})

    with pytest.raises(OutcomeUnknown, match="requested record was cst-xxxxxxxxxx1") as caught:
        await mocked.customers.update(CST, CustomerDraft(email=None))

    assert "accepted" not in str(caught.value)


async def test_a_get_answered_with_another_record_raises_invalid_response(mocked: TicketSource, api: MockedAPI) -> None:
    """The other record is not returned."""
    api.answer("GET", f"/customers/{CST}", {"data": customer_row(2)})

    with pytest.raises(InvalidResponse, match="requested record was cst-xxxxxxxxxx1") as caught:
        await mocked.customers.get(CST)

    assert (caught.value.resource, caught.value.id, caught.value.json_path) == (
        "customer",
        "cst-xxxxxxxxxx2",
        "$.data.id",
    )


async def test_the_error_of_an_unreadable_created_record_has_its_id(mocked: TicketSource, api: MockedAPI) -> None:
    """The error also says that the write was accepted."""
    api.answer("POST", "/customers", {"data": {**customer_row(), "attributes": None}}, status=201)

    with pytest.raises(InvalidResponse, match="The write itself was accepted") as caught:
        await mocked.customers.create(KARL_DRAFT)

    assert (caught.value.id, caught.value.status) == (CST, 201)
    assert caught.value.json_path == "$.data.attributes"


async def test_a_record_with_an_unreadable_value_is_returned_by_every_call(
    mocked: TicketSource, api: MockedAPI
) -> None:
    """The value is in `invalid` after a create, a get and an update."""
    odd = {"data": customer_row(consent={"email": "false"})}
    api.answer("POST", "/customers", odd, status=201)
    api.answer("GET", f"/customers/{CST}", odd)
    api.answer("PATCH", f"/customers/{CST}", odd)

    for customer in (
        await mocked.customers.create(KARL_DRAFT),
        await mocked.customers.get(CST),
        await mocked.customers.update(CST, KARL_DRAFT),
    ):
        assert customer.invalid == {"consent.email": "false"}


async def test_a_part_with_an_unreadable_value_is_not_sent_without_it(mocked: TicketSource, api: MockedAPI) -> None:
    """Sending it would clear the value. The part is sent if the draft sets the value, or if only an id is given."""
    before = attrs.evolve(
        Customer(CST, address=Address("1 High Street"), consent=Consent(email=True)),
        invalid={"address.postcode": ["x"], "telephone": {}},
    )
    moved = attrs.evolve(before, address=Address("2 High Street"))
    works: list[Coroutine[Any, Any, Customer]] = [
        mocked.customers.save(before, moved),
        mocked.customers.update(before, CustomerDraft(address=moved.address)),
    ]
    for work in works:
        with pytest.raises(UnreadableValue, match="Set postcode too") as caught:
            await work
        assert (caught.value.id, caught.value.field) == (CST, "address.postcode")
    api.answer("PATCH", f"/customers/{CST}", {"data": customer_row()}, repeat=True)

    await mocked.customers.save(before, attrs.evolve(moved, address=Address("2 High Street", postcode="AB1 2CD")))
    await mocked.customers.save(before, attrs.evolve(before, consent=Consent(email=False), telephone="1"))
    await mocked.customers.update(CST, CustomerDraft(address=moved.address))

    sent = [body["data"]["attributes"] for _, _, body in api.sent]
    assert [sorted(attributes) for attributes in sent] == [["address"], ["consent", "phone"], ["address"]]


ODD = attrs.evolve(
    Customer(CST, consent=Consent(email=True)),
    invalid={"address": "1 High Street", "telephone": {}, "consent.sms": 1},
)


@pytest.mark.parametrize(
    ("after", "field", "advice"),
    [
        (attrs.evolve(ODD, address=Address("1 High Street")), "address", "CustomerDraft(address=AddressDraft(...))"),
        (attrs.evolve(ODD, consent=Consent(email=False)), "consent.sms", "ConsentDraft(email=False)"),
        (attrs.evolve(ODD, invalid={"address": "", "consent.sms": 1}), "telephone", "CustomerDraft(telephone=None)"),
        (
            attrs.evolve(ODD, invalid={"address": "", "telephone": {}}),
            "consent.sms",
            "CustomerDraft(consent=ConsentDraft(sms=None))",
        ),
    ],
)
async def test_save_neither_replaces_nor_clears_an_unreadable_value(
    mocked: TicketSource, after: Customer, field: str, advice: str
) -> None:
    """The error says how to write it."""
    with pytest.raises(UnreadableValue) as caught:
        await mocked.customers.save(ODD, after)

    assert (caught.value.id, caught.value.field) == (CST, field)
    assert advice in str(caught.value)


async def test_a_draft_replaces_an_unreadable_value(mocked: TicketSource, api: MockedAPI) -> None:
    """A draft sends only the fields that it names."""
    api.answer("PATCH", f"/customers/{CST}", {"data": customer_row()}, repeat=True)

    await mocked.customers.update(ODD, CustomerDraft(address=AddressDraft(line_1="1 High Street")))
    await mocked.customers.update(ODD, CustomerDraft(consent=ConsentDraft(email=False)))
    await mocked.customers.update(ODD, CustomerDraft(telephone=None, address=None))
    await mocked.customers.save(ODD, attrs.evolve(ODD, telephone="1", invalid={"address": "", "consent.sms": 1}))

    assert [body["data"]["attributes"] for _, _, body in api.sent] == [
        {"address": {"line_1": "1 High Street"}},
        {"consent": {"email": False}},
        {"phone": None, "address": None},
        {"phone": "1"},
    ]


async def test_a_write_without_a_readable_answer_has_an_unknown_outcome(mocked: TicketSource, api: MockedAPI) -> None:
    """It may have taken effect. A server error is such an answer, too."""
    api.answer("POST", "/customers", status=201, body="<html>oops")
    api.answer("PATCH", f"/customers/{CST}", status=500)

    with pytest.raises(OutcomeUnknown, match="It is not known whether POST /customers took effect") as created:
        await mocked.customers.create(KARL_DRAFT)
    with pytest.raises(OutcomeUnknown) as updated:
        await mocked.customers.update(CST, CustomerDraft(first_name="Karl"))

    assert created.value.ids == []
    assert updated.value.ids == [CST]
    assert updated.value.cause.startswith("ServerError: ")
    assert "Karl" not in str(updated.value.to_dict())


async def test_a_list_of_notes_yields_each_note_once(ts: TicketSource) -> None:
    """They come in two pages or more."""
    karl = await ts.customers.create(KARL_DRAFT)
    made = [await ts.notes.create(karl, NoteDraft(description=f"note {n}", created_by="Ann")) for n in range(5)]

    notes = [note async for note in ts.notes.list(karl, per_page=2)]

    assert notes == made


DAY = date(2026, 5, 10)


def date_row(number: int, start: str | None) -> dict[str, Any]:
    """Return a date that starts then."""
    return {**DATE_ROW, "id": f"dat-{number}", "attributes": {**DATE_ROW["attributes"], "start": start}}


STARTS = {
    "2026-05-08T19:30:00+00:00": "before",
    "2026-05-09T23:59:59+01:00": "before",
    "2026-05-10T00:00:00+01:00": "on",
    "2026-05-10T23:59:59+00:00": "on",
    "2026-05-11T00:00:00+00:00": "after",
    "2026-05-12T19:30:00-05:00": "after",
}


@pytest.mark.parametrize("owner", ["events", "venues"])
@pytest.mark.parametrize(
    ("start", "operator", "value", "kept"),
    [
        (StartFilter.on(DAY), "after", "2026-05-08", {"on"}),
        (StartFilter.before(DAY), "before", "2026-05-11", {"before"}),
        (StartFilter.after(DAY), "after", "2026-05-09", {"after"}),
        (StartFilter.between(date(2026, 5, 9), DAY), "after", "2026-05-07", {"on", "2026-05-09T23:59:59+01:00"}),
    ],
)
async def test_a_date_filter_requests_more_days_and_keeps_the_wanted_dates(
    mocked: TicketSource, api: MockedAPI, owner: str, start: StartFilter, operator: str, value: str, kept: set[str]
) -> None:
    """Here the server ignores the filter. Dates without a start are kept, too."""
    query = f"filter[start][operator]={operator}&filter[start][value]={value}&page=1&per_page=100"
    rows = [date_row(n, text) for n, text in enumerate([*STARTS, None])]
    parent = f"/{owner}/{'evt' if owner == 'events' else 'ven'}-1/dates"
    api.answer("GET", f"{parent}?{query}", page(rows))

    dates = await getattr(mocked, owner).list_dates(f"{parent.split('/')[2]}", start=start).collect()

    wanted = [text for text, where in STARTS.items() if where in kept or text in kept]
    assert [None if d.start is None else d.start.isoformat() for d in dates] == [*wanted, None]


async def test_dates_that_a_filter_drops_do_not_count_towards_max_items(mocked: TicketSource, api: MockedAPI) -> None:
    """The first wanted date is on the second page, which is requested with the same filter."""
    query = "filter[start][operator]=after&filter[start][value]=2026-05-09"
    path = "/events/evt-1/dates"
    early = [date_row(n, "2026-05-01T19:30:00+00:00") for n in range(9)]
    api.answer("GET", f"{path}?{query}&page=1&per_page=100", page(early, f"https://api.ticketsource.io{path}?page=2"))
    late = [date_row(9, "2026-05-11T19:30:00+00:00"), date_row(10, "2026-05-12T19:30:00+00:00")]
    api.answer("GET", f"{path}?page=2&{query}&per_page=100", page(late, f"https://api.ticketsource.io{path}?page=3"))

    dates = await mocked.events.list_dates("evt-1", start=StartFilter.after(DAY), max_items=1).collect()

    assert [d.id for d in dates] == ["dat-9"]


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=-12)), UTC, timezone(timedelta(hours=14))])
@pytest.mark.parametrize(
    "start", [StartFilter.on(DAY), StartFilter.between(DAY, DAY), StartFilter.after(DAY), StartFilter.before(DAY)]
)
def test_a_date_filter_requests_enough_days_for_any_time_zone_of_the_server(start: StartFilter, zone: timezone) -> None:
    """The server may compare days in another zone, and may leave out the named day."""
    asked = start.query()
    bound = date.fromisoformat(asked["filter[start][value]"])
    moments = [datetime(2026, 5, 7, hour % 24, tzinfo=UTC) + timedelta(days=hour // 24) for hour in range(7 * 24)]

    kept = [moment for moment in moments if start.keeps(EventDate("dat-1", start=moment))]

    days = [moment.astimezone(zone).date() for moment in kept]
    assert all(day > bound if asked["filter[start][operator]"] == "after" else day < bound for day in days)


def test_a_date_filter_at_the_ends_of_the_calendar_requests_everything() -> None:
    """There is no day before the first, so no filter is sent."""
    assert StartFilter.on(date.min).query() == {}
    assert StartFilter.before(date.max).query() == {}
    assert StartFilter().query() == {}


def test_a_date_filter_with_wrong_days_is_refused() -> None:
    """The last day may not be before the first, and a text is no day."""
    with pytest.raises(ValueError, match="give the earlier day first"):
        StartFilter.between(DAY, date(2026, 5, 9))
    with pytest.raises(TypeError, match="first must be a day"):
        StartFilter.between("2026-05-09", DAY)  # type: ignore[arg-type]  # that is the point
