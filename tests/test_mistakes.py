"""Likely mistakes: each gets an error that names the right option, field or operation."""

import asyncio
import copy
import pickle
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from mocked import KEY
from test_secrets import ours_of

from ticketsource_async import (
    Address,
    AddressDraft,
    Booking,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    EventDate,
    InvalidID,
    MembershipDraft,
    NoteDraft,
    RateLimit,
    RetryPolicy,
    TicketSource,
    Timeouts,
)
from ticketsource_async.sandbox import Sandbox

CUSTOMER: Any = Customer("cst-1", address=Address(line_1="1 High Street"), extra={"vip": True})
BOOKING: Any = Booking("bkg-1")
DATE: Any = EventDate("dat-1")
Make = Callable[..., Any]

WRONG_OPTIONS: list[tuple[Callable[[Any], object], str]] = [
    (lambda ts: ts.customers.list(limit=3), "list() has no 'limit': use max_items="),
    (lambda ts: ts.notes.list("cst-1", page_size=50), "list() has no 'page_size': use per_page="),
    (lambda ts: ts.events.list(page=2), "list() has no 'page': use start_page="),
    (lambda ts: ts.events.list_dates("evt-1", workers=2), "list_dates() has no 'workers': use concurrency="),
    (
        lambda ts: ts.customers.list(email="x"),
        "list() has no 'email': filter the rows with `if`, since the API cannot search",
    ),
    (lambda ts: ts.customers.list(query={"email": "x"}), "list() has no 'query': filter the rows with `if`"),
    (
        lambda ts: ts.events.list_dates("evt-1", start=None, predicate=bool),
        "list_dates() has no 'predicate': it has start, per_page,",
    ),
    (lambda ts: ts.customers.list(order_by="id"), "use sorted() on what came, since the API cannot sort"),
    (lambda ts: ts.customers.list(updated_since="x"), "list() has no 'updated_since': use ts.customers.changes(store)"),
    (
        lambda ts: ts.customers.list(timeout=5),
        "list() has no 'timeout': call `ts.with_options(timeouts=...).customers.list()`",
    ),
    (lambda ts: ts.customers.list(maxitems=3), "list() has no 'maxitems': use max_items="),
    (lambda ts: ts.paginate("/vouchers", limit=3), "paginate() has no 'limit': use max_items="),
    (lambda ts: ts.paginate("/vouchers", params={}), "paginate() has no 'params': use query={...}"),
    (
        lambda ts: ts.events.list_dates("evt-1", date="x"),
        "list_dates() has no 'date': use start=StartFilter.between(first, last)",
    ),
    (
        lambda ts: ts.venues.list_dates("ven-1", since="x"),
        "list_dates() has no 'since': use start=StartFilter.between(first, last)",
    ),
    (
        lambda ts: ts.customers.list(colour="red"),
        "list() has no 'colour': it has per_page, start_page, max_items, concurrency, verify, max_passes, on_invalid",
    ),
    (lambda ts: ts.customers.get_many([], workers=3), "a bulk call has no 'workers': use concurrency="),
    (lambda ts: ts.customers.delete_many([], stop_on_error=True), "a bulk call has no 'stop_on_error': use fail_fast="),
    (lambda ts: ts.programme(since="x"), "programme() has no 'since': use start=StartFilter.between(first, last)"),
    (lambda ts: ts.all_bookings(limit=3), "all_bookings() has no 'limit': use a `break` where you have enough"),
    (lambda ts: ts.with_options(timeout=5), "with_options() has no 'timeout': use timeouts=Timeouts(total=...)"),
    (lambda ts: ts.with_options(rate_limit=None), "use another TicketSource, since it is set for a whole client"),
    (lambda _: CustomerDraft(phone="1"), "CustomerDraft has no 'phone': use telephone="),  # type: ignore[call-arg]
    (lambda _: make(CustomerDraft, address_line_1="x"), "use address=AddressDraft(line_1=...)"),
    (lambda _: make(CustomerDraft, postcode="x"), "use address=AddressDraft(postcode=...)"),
    (lambda _: make(CustomerDraft, consent_sms=True), "use consent=ConsentDraft(sms=...)"),
    (lambda _: make(CustomerDraft, membership_identifier="x"), "use membership=MembershipDraft(identifier=...)"),
    (lambda _: make(CustomerDraft, surname="x"), "CustomerDraft has no 'surname': use last_name="),
    (lambda _: make(CustomerDraft, id="cst-1"), "CustomerDraft has no 'id': leave it out, since the API sets it"),
    (lambda _: make(CustomerDraft, colour="x"), "CustomerDraft has no 'colour': it has title, first_name, last_name,"),
    (lambda _: make(AddressDraft, town="x"), "use line_1= to line_4=, since the API has no field for it"),
    (lambda _: make(AddressDraft, line1="x"), "AddressDraft has no 'line1': use line_1="),
    (lambda _: make(MembershipDraft, number="x"), "MembershipDraft has no 'number': use identifier="),
    (lambda _: make(ConsentDraft, mail=True), "ConsentDraft has no 'mail': use email="),
    (lambda _: make(NoteDraft, text="x"), "NoteDraft has no 'text': use description="),
    (lambda _: make(Timeouts, read=5), "Timeouts has no 'read': use response="),
    (lambda _: make(RetryPolicy, max_retries=5), "RetryPolicy has no 'max_retries': use attempts="),
    (lambda _: make(RateLimit, requests=5), "RateLimit has no 'requests': use limit="),
    (lambda _: make(TicketSource, KEY, timeout=5), "TicketSource has no 'timeout': use timeouts=Timeouts(total=...)"),
    (
        lambda _: make(TicketSource, KEY, retries=5),
        "TicketSource has no 'retries': use retry=RetryPolicy(attempts=...)",
    ),
    (lambda _: make(TicketSource, key=KEY), "TicketSource has no 'key': use the key as its first argument"),
    (lambda _: make(TicketSource, api_token=KEY, timeout=5), "use the key as its first argument"),
    (lambda _: make(TicketSource, KEY, proxy="x"), "use HTTPS_PROXY in the environment and trust_env=True"),
    (lambda _: attrs.evolve(CUSTOMER, phone="1"), "Customer has no 'phone': use telephone="),
    (
        lambda _: attrs.evolve(CUSTOMER, address_line_1="1"),
        "Customer has no 'address_line_1': use address=Address(line_1=...)",
    ),
]


def make(kind: Make, *arguments: object, **fields: object) -> object:
    """Call something with arguments that a type checker would refuse."""
    return kind(*arguments, **fields)


@pytest.mark.parametrize(("mistake", "said"), WRONG_OPTIONS, ids=[said for _, said in WRONG_OPTIONS])
def test_the_error_of_a_wrong_option_names_the_right_one(mistake: Callable[[object], object], said: str) -> None:
    """It is raised when the list, the draft or the client is made."""
    with pytest.raises(TypeError) as caught:
        mistake(TicketSource(KEY))

    assert said in str(caught.value)
    assert not any(KEY in seen for seen in [str(caught.value), *ours_of(caught.value)])


@pytest.mark.parametrize(
    ("method", "option", "said"),
    [
        ("GET", "params", "request() has no 'params': use query="),
        ("POST", "data", "request() has no 'data': use json="),
        (
            "GET",
            "headers",
            "request() has no 'headers': call `ts.with_options(headers=...).request(...)`",
        ),
    ],
)
async def test_the_error_of_a_wrong_option_of_request_names_the_right_one(
    box: Sandbox, ts: Any, method: str, option: str, said: str
) -> None:
    """Other libraries have other names for these options."""
    with pytest.raises(TypeError) as caught:
        await ts.request(method, "/customers", **{option: {}})

    assert str(caught.value) == said
    assert not box.requests


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (
            lambda ts: ts.customers.update("cst-1", first_name="x"),
            "update() has no 'first_name': use CustomerDraft(first_name=...)",
        ),
        (
            lambda ts: ts.customers.create(first_name="x", email="y"),
            "create() has no 'first_name': use CustomerDraft(first_name=...)",
        ),
        (lambda ts: ts.customers.create(phone="x"), "create() has no 'phone': use CustomerDraft(telephone=...)"),
        (
            lambda ts: ts.customers.create(postcode="x"),
            "create() has no 'postcode': use CustomerDraft(address=AddressDraft(postcode=...))",
        ),
        (
            lambda ts: ts.customers.update("cst-1", note="x"),
            "update() has no 'note': use ts.notes.create(customer, NoteDraft(description=...))",
        ),
        (lambda ts: ts.customers.create(created_at="x"), "create() has no 'created_at': leave it out"),
        (
            lambda ts: ts.customers.create(colour="x"),
            "create() has no 'colour': it takes a CustomerDraft, which has title",
        ),
        (
            lambda ts: ts.customers.update(customer="cst-1", draft=CustomerDraft(title="x")),
            "update() has no 'customer': the customer, or the id, is the first argument, without a name",
        ),
        (lambda ts: ts.notes.create("cst-1", text="x"), "create() has no 'text': use NoteDraft(description=...)"),
    ],
)
async def test_the_error_of_a_field_without_a_draft_names_the_draft(
    box: Sandbox, ts: Any, mistake: Callable[[Any], Any], said: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(TypeError) as caught:
        await mistake(ts)

    assert str(caught.value).startswith(said)
    assert not box.requests


def test_a_subclass_of_the_client_may_have_other_options() -> None:
    """Here the key is made from the name of a theatre."""

    class Mine(TicketSource):
        def __init__(self, theatre: str) -> None:
            super().__init__(f"skl-{theatre}")

    assert "not opened" in repr(Mine(theatre="globe"))


WRONG_NAMES: list[tuple[Callable[[Any], object], str]] = [
    (
        lambda ts: ts.venues.list(),
        "Venues has no 'list': use ts.events.list_venues(event), since the API lists venues by event",
    ),
    (lambda ts: ts.dates.list(), "use ts.events.list_dates(event) or ts.venues.list_dates(venue)"),
    (lambda ts: ts.bookings.list(), "use ts.dates.list_bookings(date) or ts.customers.list_bookings(customer)"),
    (lambda ts: ts.seats.list(), "Seats has no 'list': use ts.bookings.list_seats(booking)"),
    (lambda ts: ts.seats.all(), "Seats has no 'all': it has get"),
    (lambda ts: ts.notes.update("csn-1"), "use `delete` and `create`, since a note cannot be changed"),
    (lambda ts: ts.customers.search("x"), "use list(), and look at each customer: the API cannot search"),
    (lambda ts: ts.customers.retrieve("x"), "Customers has no 'retrieve': use get(id)"),
    (lambda ts: ts.customers.get_all(), "Customers has no 'get_all': use list()"),
    (lambda ts: ts.customers.bookings("x"), "Customers has no 'bookings': use list_bookings"),
    (lambda ts: ts.events.create("x"), "Events has no 'create': do that on the TicketSource web site"),
    (lambda ts: ts.customer, "TicketSource has no 'customer': use customers"),
    (lambda ts: ts.close(), "TicketSource has no 'close': use `await ts.aclose()`"),
    (lambda ts: ts.post("/x"), "TicketSource has no 'post': use ts.request(\"GET\", path)"),
    (lambda ts: ts.with_options(priority="bulk").aclose(), "use `aclose` of the client, with which its views end"),
    (lambda ts: ts.with_options(priority="bulk").event, "Operations has no 'event': use events"),
    (lambda ts: ts.customers.list().all(), "Pager has no 'all': use `await pager.collect()`"),
    (lambda ts: ts.customers.get_many([]).results, "Bulk has no 'results': use `await bulk.collect()`"),
    (lambda _: CUSTOMER.phone, "Customer has no 'phone': use telephone"),
    (lambda _: CUSTOMER.address_line_1, "Customer has no 'address_line_1': use address.line_1"),
    (lambda _: CUSTOMER.postcode, "Customer has no 'postcode': use address.postcode"),
    (lambda _: CUSTOMER.sms, "Customer has no 'sms': use consent.sms"),
    (lambda _: CUSTOMER.vip, "Customer has no field 'vip': use extra['vip']"),
    (lambda _: CUSTOMER.firstname, "Customer has no 'firstname': use first_name"),
    (lambda _: CUSTOMER.address.town, "Address has no 'town': use line_1 to line_4"),
    (lambda _: BOOKING.total, "Booking has no 'total': use totals()"),
    (lambda _: DATE.venue, "EventDate has no 'venue': use venue_id"),
]


@pytest.mark.parametrize(("mistake", "said"), WRONG_NAMES, ids=[said for _, said in WRONG_NAMES])
def test_the_error_of_a_wrong_name_names_the_right_one(mistake: Callable[[object], object], said: str) -> None:
    """It may be the name of an operation, or of a field of a record."""
    with pytest.raises(AttributeError) as caught:
        mistake(TicketSource(KEY))

    assert said in str(caught.value)


def test_hasattr_getattr_copy_and_pickle_still_work() -> None:
    """They work as with any other object."""
    ts: Any = TicketSource(KEY)

    assert not any(hasattr(thing, "nothing") for thing in (ts, ts.customers, ts.customers.list(), CUSTOMER, Consent()))
    assert getattr(CUSTOMER, "shoe_size", 43) == 43
    assert copy.deepcopy(CUSTOMER) == pickle.loads(pickle.dumps(CUSTOMER)) == CUSTOMER
    assert CUSTOMER.to_dict()["extra"] == {"vip": True}


async def test_the_error_of_a_plain_for_names_async_for(ts: Any) -> None:
    """This is so for a list and for a bulk call. `[0]` and a plain `with` raise such errors, too."""
    with pytest.raises(
        TypeError, match="<Pager of Customer at /customers> is read with `async for`, or all at once with"
    ):
        for _ in ts.customers.list():
            pass
    with pytest.raises(TypeError, match="made with `async for`"):
        list(ts.customers.get_many([]))
    with pytest.raises(TypeError, match="is read with `async for`"):
        ts.customers.list()[0]
    with pytest.raises(TypeError, match="a TicketSource client is opened with `async with`"), ts:
        pass
    with pytest.raises(TypeError, match="a bulk call is left with `async with`"), ts.customers.get_many([]):
        pass


def test_a_list_is_only_an_async_iterable() -> None:
    """Other libraries must not take it for a plain iterable, an awaitable or a sequence."""
    ts = TicketSource(KEY)
    kinds = (Iterable, Awaitable, Sequence)

    assert not isinstance(ts.customers.list(), kinds)
    assert not isinstance(ts.customers.get_many([]), kinds)
    assert isinstance(ts.customers.list(), AsyncIterable)


async def test_a_list_can_be_the_input_of_a_bulk_call(ts: TicketSource) -> None:
    """The bulk call reads it with `async for`."""
    assert len(await ts.customers.get_many(ts.customers.list(max_items=3)).collect()) == 3


CALLS_WITHOUT_AWAIT: list[Callable[[Any, Any], Any]] = [
    lambda ts, forgotten: ts.customers.get(forgotten),
    lambda ts, forgotten: ts.customers.update(forgotten, CustomerDraft(title="x")),
    lambda ts, forgotten: ts.customers.create(forgotten),
    lambda ts, forgotten: ts.customers.save(CUSTOMER, forgotten),
    lambda ts, forgotten: CustomerDraft.diff(forgotten, CUSTOMER),
    lambda ts, forgotten: ts.notes.list(forgotten),
    lambda ts, forgotten: ts.customers.get_many(forgotten),
    lambda _, forgotten: CustomerDraft(first_name=forgotten),
    lambda _, forgotten: CustomerDraft(address=forgotten),
]


@pytest.mark.parametrize("mistake", CALLS_WITHOUT_AWAIT)
async def test_the_error_names_a_forgotten_await(
    box: Sandbox, ts: TicketSource, mistake: Callable[[Any, Any], Any]
) -> None:
    """It is raised where the result is used, and nothing is sent."""
    forgotten: Coroutine[Any, Any, Customer] = ts.customers.get("cst-1")

    async def make_it() -> None:
        if asyncio.iscoroutine(made := mistake(ts, forgotten)):
            await made

    with pytest.raises((TypeError, InvalidID), match=r"coroutine.*Put `await` in front of that call"):
        await make_it()
    forgotten.close()

    assert not box.requests


def test_correct_arguments_still_work() -> None:
    """Positional fields, `from_dict` and `evolve` work."""
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert RateLimit(120, per=30) == RateLimit(limit=120, per=30)
    assert attrs.evolve(CUSTOMER, telephone="1", created_at=at).telephone == "1"
    assert Customer.from_dict(CUSTOMER.to_dict()) == CUSTOMER
