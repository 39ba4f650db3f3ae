"""ts.reports: what a report reads, and how it handles failures."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from donated import booking, box_office, customer, donation, tickets
from mocked import KEY

from ticketsource_async import (
    AuthenticationFailed,
    BranchesFailed,
    FailedBranch,
    ServerError,
    TicketSource,
    TicketSourceError,
    gift_aid_schedule,
)


async def test_donations_have_their_donors_and_each_donor_is_read_once() -> None:
    """The bookings of all dates are read, but only the donors of the period."""
    first = [booking(1, donation(5)), booking(2, tickets()), booking(3, donation(7, "2026-02-01"), customer="cst-2")]
    second = [booking(4, donation(6, gift_aid=False), customer="cst-3"), booking(5, donation(8))]
    told: list[int] = []
    async with (
        box_office(first, second, customers=[customer("cst-1"), customer("cst-3")]) as office,
        TicketSource(KEY, base_url=office.url) as ts,
    ):
        found = await ts.reports.donations(last=date(2026, 1, 31), on_donors=told.append)
        asked = [*office.asked]
        claimed = await ts.reports.donations(last=date(2026, 1, 31), gift_aid=True)

    assert [(row.booking.ref, row.donor and row.donor.id) for row in found.rows()] == [
        ("REF1", "cst-1"),
        ("REF4", "cst-3"),
        ("REF5", "cst-1"),
    ]
    assert told == [2]
    assert sorted(path for path in asked if path.startswith("/customers")) == ["/customers/cst-1", "/customers/cst-3"]
    assert not found.lost
    assert (list(claimed.donors), gift_aid_schedule(claimed, date(2026, 11, 27)).sum) == (["cst-1"], Decimal(13))


async def test_a_booking_that_is_listed_twice_is_claimed_once() -> None:
    """Two dates may list the same booking, and HMRC must not be asked for its tax twice."""
    lists = ([booking(1, donation(5)), booking(1, donation(5))], [booking(1, donation(5))])
    async with box_office(*lists) as office, TicketSource(KEY, base_url=office.url) as ts:
        found = await ts.reports.donations(gift_aid=True)

    assert [row.booking.ref for row in found.rows()] == ["REF1"]
    assert gift_aid_schedule(found, date(2026, 11, 27)).sum == Decimal(5)
    assert found.repeated == 1


async def test_the_bookings_of_performances_before_a_day_are_not_read() -> None:
    """That saves requests."""
    async with box_office([booking(1, donation(5))], [booking(2, donation(6))]) as office:
        office.dates = {"dat-1": "2026-05-31T19:30:00+00:00", "dat-2": "2026-06-01T19:30:00+00:00"}
        async with TicketSource(KEY, base_url=office.url) as ts:
            found = await ts.reports.donations(performances_from=date(2026, 6, 1))

    assert [row.booking.ref for row in found.rows()] == ["REF2"]
    assert "/dates/dat-1/bookings" not in office.asked


async def test_a_performance_or_a_donor_that_cannot_be_read_is_raised() -> None:
    """A sum without it would be wrong."""
    async with box_office([booking(1, donation(5))], [booking(2, donation(6))]) as office:
        office.failing.add("/dates/dat-1/bookings")
        async with TicketSource(KEY, base_url=office.url) as ts:
            with pytest.raises(BranchesFailed, match="date dat-1 of event evt-1"):
                await ts.reports.donations()
            office.failing = {"/customers/cst-1"}
            with pytest.raises(ServerError, match="GET /customers/cst-1"):
                await ts.reports.donations()


async def test_on_error_gets_each_failure_and_the_result_names_them() -> None:
    """The result has all other rows."""
    odd = booking(4, donation(9))
    odd["id"] = "bkg 4"
    lists = ([booking(1, donation(5))], [booking(2, donation(6)), odd], [booking(3, donation(7), customer="cst-2")])
    got: list[FailedBranch | TicketSourceError] = []
    async with box_office(*lists) as office:
        office.failing = {"/dates/dat-1/bookings", "/customers/cst-1"}
        async with TicketSource(KEY, base_url=office.url) as ts:
            found = await ts.reports.donations(on_error=got.append)

    assert [(row.booking.ref, row.donor) for row in found.rows()] == [("REF2", None), ("REF3", None)]
    assert found.lost.words() == "1 performance and 1 booking"
    assert [type(error).__name__ for error in got] == ["FailedBranch", "FailedBranch", "ServerError"]
    assert (list(found.unread), found.gone) == (["cst-1"], ("cst-2",))


async def test_a_refused_key_ends_the_report_while_donors_are_read() -> None:
    """The key would be refused for every donor."""
    async with box_office([booking(1, donation(5))]) as office:
        office.refusing.add("/customers/cst-1")
        async with TicketSource(KEY, base_url=office.url) as ts:
            with pytest.raises(AuthenticationFailed):
                await ts.reports.donations(on_error=lambda _: None)


async def coroutine_function(_: object) -> None:
    """Do nothing: a callback must not be a coroutine function."""


async def test_an_invalid_period_or_option_is_refused_before_any_request() -> None:
    """The error names it."""
    async with box_office([]) as office, TicketSource(KEY, base_url=office.url) as ts:
        with pytest.raises(ValueError, match="no day is from 2026-01-02 to 2026-01-01"):
            await ts.reports.donations(first=date(2026, 1, 2), last=date(2026, 1, 1))
        with pytest.raises(ValueError, match="concurrency must be a whole number"):
            await ts.reports.donations(concurrency=0)
        wrong: Any = coroutine_function
        for options in ({"on_error": wrong}, {"on_donors": wrong}):
            with pytest.raises(ValueError, match=f"{next(iter(options))} must be a plain function"):
                await ts.reports.donations(**options)
        with pytest.raises(TypeError, match="performances_from"):
            await ts.reports.donations(performance_from=date(2026, 1, 1))  # type: ignore[arg-type]

    assert office.asked == []
