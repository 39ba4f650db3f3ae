"""The public API as a user's type checker sees it: checked by mypy and pyright, never run."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, assert_never, assert_type

import attrs

from ticketsource_async import (
    UNSET,
    Address,
    AddressDraft,
    Answer,
    APIError,
    AttemptEvent,
    Booking,
    BranchError,
    BranchesFailed,
    Bulk,
    CallEvent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    DoorEntry,
    DoorList,
    Event,
    EventDate,
    FailedBranch,
    InvalidResponse,
    Links,
    ListEndedEvent,
    ListReport,
    LocalRateLimiter,
    MembershipDraft,
    Note,
    NoteDraft,
    Operations,
    Outcome,
    OutcomeUnknown,
    Page,
    PageEvent,
    Pager,
    RateLimit,
    RateLimited,
    RateLimiter,
    Record,
    RetryEvent,
    RetryPolicy,
    SalesRow,
    SalesTally,
    Tally,
    TicketSource,
    TicketSourceError,
    Timeouts,
    Unset,
    Venue,
    WaitEvent,
    files,
)
from ticketsource_async.report_tables import door_list_table
from ticketsource_async.tables import BOOKINGS, CUSTOMERS, Table, sold_lines


async def reading() -> None:
    """Read customers and notes."""
    async with TicketSource("skl-test", auth="basic", max_connections=4) as ts:
        assert_type(ts, TicketSource)
        pager = ts.customers.list(per_page=50, max_items=None, on_invalid=print)
        assert_type(pager, Pager[Customer])
        assert_type(aiter(pager), AsyncGenerator[Customer, None])
        async with aclosing(aiter(pager)) as customers:
            assert_type(await anext(customers), Customer)
        async for page in pager.pages():
            assert_type(page, Page[Customer])
            assert_type(page.items, tuple[Customer, ...])
            assert_type(page.next_url, str | None)
        assert_type(await pager.first(), Customer | None)
        assert_type(await pager.collect(), list[Customer])
        customer = await ts.customers.get("cst-1")
        assert_type(customer, Customer)
        assert_type(await ts.customers.get(customer), Customer)
        assert_type(await ts.notes.list(customer).first(), Note | None)
        assert_type((await ts.notes.get(customer, "csn-1")).customer_id, str | None)


@attrs.frozen
class Voucher(Record):
    """A record of the user's own."""

    API_TYPE = "voucher"
    code: str | None = None
    amount: Decimal | None = None


async def anything(ts: TicketSource) -> None:
    """Call an endpoint that this library does not know."""
    answer = await ts.request("GET", "/vouchers", query={"state": "unsold", "page": 2})
    assert_type(answer, Answer)
    assert_type(answer.data, object)
    assert_type(answer.headers, Mapping[str, str])
    await ts.request("POST", "/vouchers", json={"data": {"type": "voucher", "attributes": {"amount": Decimal(5)}}})
    assert_type(ts.paginate("/vouchers", max_items=5), Pager[dict[str, object]])
    assert_type(ts.paginate("/vouchers", model=dict), Pager[dict[str, object]])
    vouchers = ts.paginate("/vouchers", model=Voucher, query={"state": "unsold"}, concurrency=4)
    assert_type(vouchers, Pager[Voucher])
    async for voucher in vouchers:
        assert_type(voucher.id, str)
        assert_type(voucher.amount, Decimal | None)
        assert_type(voucher.invalid, Mapping[str, object])
    view = ts.with_options(timeouts=Timeouts(total=90), on_event=None, priority="bulk", headers={"X-Venue": "hall"})
    assert_type(view, Operations)
    assert_type(await view.customers.get("cst-1"), Customer)
    assert_type(Voucher("vch-1", "SPRING", extra={"spent": True}).code, str | None)


async def many(ts: TicketSource, pairs: list[tuple[Customer, CustomerDraft]], ids: AsyncIterator[str]) -> None:
    """Make many calls at once, and lists that are read ahead or verified."""
    pager = ts.customers.list(concurrency=8, verify=True, max_passes=6)
    assert_type(pager.report, ListReport)
    assert_type(pager.report.complete, bool)
    async for got in ts.customers.get_many(["cst-1", "cst-2"], concurrency=4, fail_fast=True):
        assert_type(got, Outcome[str, Customer])
        assert_type(got.input, str)
        assert_type(got.value, Customer | None)
        assert_type(got.error, Exception | None)
        assert_type(got.unwrap(), Customer)
    assert_type(ts.customers.get_many(ids), Bulk[str, Customer])
    created = ts.customers.create_many(CustomerDraft(first_name=name) for name in ("A", "B"))
    assert_type(created.undelivered, list[Outcome[CustomerDraft, Customer]])
    ts.customers.update_many({"cst-1": CustomerDraft(first_name="A")})
    ts.customers.update_many(pairs)
    async for deleted in ts.customers.delete_many([customer for customer, _ in pairs]):
        assert_type(deleted, Outcome[Customer, None])


async def listings(ts: TicketSource) -> None:
    """Read the programme, bookings and a door list."""
    failed: list[FailedBranch] = []
    door_list = await ts.reports.door_list("dat-1", notes=True, on_progress=print)
    assert_type(door_list, DoorList)
    assert_type(door_list_table(door_list), Table[DoorEntry])
    assert_type(files.as_text(door_list.entries, door_list_table(door_list), "html"), str)
    async for _, _, venue in ts.programme(on_branch_error=failed.append):
        assert_type(venue, Venue | None)
    async for _, _, booking in ts.all_bookings(on_branch_error=print):
        assert_type(booking, Booking)
    assert_type(failed[0].date, EventDate | None)
    assert_type(failed[0].error, TicketSourceError)
    assert_type(BranchesFailed().branches, list[BranchError])


async def reports(ts: TicketSource, tally: Tally) -> None:
    """Report sales, also with a report of the user's own."""
    sales = await ts.reports.sales(by="month", events=["evt-1"], payment_methods=True)
    assert_type(sales.total, SalesRow)
    assert_type(sales.rows[0].gross, Decimal | None)
    assert_type(sales.failed, tuple[FailedBranch, ...])
    await ts.reports.read(SalesTally("sold-day"), tally)
    await ts.reports.sales(by="year")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def writing(ts: TicketSource, before: Customer, after: Customer) -> None:
    """Write customers and notes."""
    draft = CustomerDraft(
        first_name=None,
        last_name=UNSET,
        address=AddressDraft(line_1="1 High Street"),
        membership=MembershipDraft(start_date=date(2020, 1, 1)),
        consent=ConsentDraft(email=False),
    )
    assert_type(await ts.customers.create(draft), Customer)
    assert_type(await ts.customers.update(before, CustomerDraft.diff(before, after)), Customer)
    assert_type(await ts.customers.update("cst-1", CustomerDraft(address=Address())), Customer)
    await ts.customers.delete(before)
    assert_type(await ts.notes.create(before, NoteDraft(description="x")), Note)


def fields(customer: Customer, draft: CustomerDraft) -> None:
    """Look at the fields of a record and a draft."""
    assert_type(customer.id, str)
    assert_type(customer.created_at, datetime | None)
    assert_type(customer.links, Links)
    assert_type(customer.extra, Mapping[str, object])
    assert_type(customer.to_dict(), dict[str, object])
    assert_type(draft.first_name, str | Unset | None)
    if draft.first_name is not UNSET:
        assert_type(draft.first_name, str | None)


def look(event: CallEvent) -> None:
    """Look at the fields of an event."""
    match event:
        case AttemptEvent():
            assert_type(event.status, int | None)
        case WaitEvent():
            assert_type(event.waited, float)
        case RetryEvent():
            assert_type(event.wait, float)
        case PageEvent():
            assert_type(event.rows, int)
        case ListEndedEvent():
            assert_type(event.reason, str)
        case _:
            assert_never(event)


class OwnLimiter:
    """A limiter of the user's own."""

    @asynccontextmanager
    async def slot(self, *, key: str, priority: Literal["interactive", "bulk"]) -> AsyncGenerator[None, None]:
        """Give a slot."""
        yield

    async def pause(self, seconds: float, *, key: str) -> None:
        """Pause."""


def settings(own: OwnLimiter) -> None:
    """Build clients with settings."""
    limiter: RateLimiter = LocalRateLimiter(RateLimit(120, per=60))
    TicketSource("skl-test", limiter=limiter, on_event=look, timeouts=Timeouts(total=90), retry=RetryPolicy(deadline=9))
    TicketSource("skl-test", limiter=own, max_body=1_000_000)
    TicketSource.from_env(rate_limit=None)


def failures(error: APIError | InvalidResponse | OutcomeUnknown) -> None:
    """Look at the fields of an error."""
    match error:
        case RateLimited():
            assert_type(error.retry_after, float | None)
        case APIError():
            assert_type(error.errors[0].get("detail"), str | None)
        case InvalidResponse():
            assert_type(error.id, str | None)
        case OutcomeUnknown():
            assert_type(error.ids, list[str])


def mistakes(ts: TicketSource) -> None:
    """Make mistakes that the type checkers must find."""
    TicketSource("skl-test", auth="digest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ts.paginate("/vouchers", model=list)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ts.paginate("/vouchers", limit=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    ts.request("get", "/vouchers")  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    view = ts.with_options(priority="urgent")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ts.with_options(timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TicketSource("skl-test", timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ts.customers.search("x")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    list(ts.customers.list())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    view.aclose()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    ts.customers.list(limit=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RateLimit("240")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicy(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomerDraft(phone="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ConsentDraft(email="false")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def writing_files(ts: TicketSource, event: Event, event_date: EventDate, booking: Booking) -> None:
    """Write records to files."""
    assert_type(await files.write(ts.customers.list(), CUSTOMERS, "people.xlsx"), int)
    assert_type(await files.write(sold_lines(event, event_date, booking), BOOKINGS, Path("sold"), format="csv"), int)
    await files.write([booking], CUSTOMERS, "x.csv")  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
