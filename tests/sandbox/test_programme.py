"""The read-only half of the sandbox: its links are correct, and its records agree."""

from typing import Any

import aiohttp
import pytest

from ticketsource_async.sandbox import Sandbox


async def get(box: Sandbox, path: str, status: int = 200) -> Any:
    """Return the answer to a GET."""
    headers = {"Authorization": f"Bearer {box.api_key}"}
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}{path}", headers=headers) as response:
        assert response.status == status
        return await response.json()


async def rows(box: Sandbox, path: str) -> list[dict[str, Any]]:
    """Return the first page of a list."""
    listed: list[dict[str, Any]] = (await get(box, f"{path}?per_page=100"))["data"]
    return listed


async def test_every_link_of_every_record_leads_to_its_record(box: Sandbox) -> None:
    """From the events downwards: `self` is the record itself, lists have what belongs there, parents exist."""
    for event in (await rows(box, "/events"))[:3]:
        base = f"/events/{event['id']}"
        venues, dates = await rows(box, f"{base}/venues"), await rows(box, f"{base}/dates")
        assert {date["links"]["event"] for date in dates} == {f"{box.url}{base}"}
        at_venues = [date for venue in venues for date in await rows(box, f"/venues/{venue['id']}/dates")]
        assert sorted(date["id"] for date in at_venues) == sorted(date["id"] for date in dates)
        bookings = await rows(box, f"/dates/{dates[0]['id']}/bookings")
        seats = await rows(box, f"/bookings/{bookings[0]['id']}/seats")
        for record in (event, venues[0], dates[0], bookings[0], seats[0]):
            path = record["links"]["self"].removeprefix(box.url)
            assert (await get(box, path))["data"] == record
        customer = bookings[0]["links"]["customer"].removeprefix(box.url)
        assert bookings[0] in await rows(box, f"{customer}/bookings")


@pytest.mark.parametrize(
    "path", ["/events/evt-x", "/venues/cst-1", "/dates/dat-0/bookings", "/customers/cst-x/bookings"]
)
async def test_an_unknown_id_is_not_found(box: Sandbox, path: str) -> None:
    """An invalid id, or one of another kind of record, is answered 404."""
    await get(box, path, 404)


async def test_the_first_event_has_one_venue_and_the_first_booking_one_seat() -> None:
    """No second venue or seat is listed."""
    async with Sandbox(customers=3, events=1, rate_limit=None) as box:
        (event,) = await rows(box, "/events")
        assert len(await rows(box, f"/events/{event['id']}/venues")) == 1
        (date, *_) = await rows(box, f"/events/{event['id']}/dates")
        (booking, *_) = await rows(box, f"/dates/{date['id']}/bookings")
        assert len(await rows(box, f"/bookings/{booking['id']}/seats")) == 1


@pytest.mark.parametrize(
    ("operator", "value", "starts"),
    [
        ("on", "2026-01-10", ["2026-01-10"]),
        ("before", "2026-01-17", ["2026-01-03", "2026-01-10"]),
        ("after", "2026-01-31", ["2026-02-07"]),
    ],
)
async def test_dates_are_filtered_by_day(box: Sandbox, operator: str, value: str, starts: list[str]) -> None:
    """The filter takes dates on, before or after a day. The last two do not include the day."""
    event = (await rows(box, "/events"))[0]
    query = f"filter[start][operator]={operator}&filter[start][value]={value}"

    found = (await get(box, f"/events/{event['id']}/dates?{query}"))["data"]

    assert [date["attributes"]["start"][:10] for date in found] == starts


@pytest.mark.parametrize("query", ["filter[start][operator]=near", "filter[start][operator]=on"])
async def test_an_invalid_filter_of_dates_is_refused(box: Sandbox, query: str) -> None:
    """An unknown operator, and an operator without a value, are answered 400."""
    event = (await rows(box, "/events"))[0]

    await get(box, f"/events/{event['id']}/dates?{query}", 400)


async def test_a_sandbox_without_customers_has_no_bookings() -> None:
    """It has events and dates."""
    async with Sandbox(customers=0, events=1, rate_limit=None) as box:
        (event,) = await rows(box, "/events")
        (date, *_) = await rows(box, f"/events/{event['id']}/dates")
        assert await rows(box, f"/dates/{date['id']}/bookings") == []


async def all_dates(box: Sandbox) -> list[dict[str, Any]]:
    """Return all dates."""
    return [date for event in await rows(box, "/events") for date in await rows(box, f"/events/{event['id']}/dates")]


async def test_the_sample_bookings_have_every_case_that_reports_distinguish() -> None:
    """Lines of all types and days, full and partial refunds, Gift Aid in every form, all payment methods."""
    async with Sandbox(rate_limit=None) as box:
        sold = [row for date in await all_dates(box) for row in await rows(box, f"/dates/{date['id']}/bookings")]
        seats = [seat["attributes"] for row in sold[:60] for seat in await rows(box, f"/bookings/{row['id']}/seats")]
        made_by = [row["links"]["customer"].removeprefix(f"{box.url}/customers/") for row in sold]
        gone = [one for one in made_by if one not in box.customers.ids()]
        await get(box, f"/customers/{gone[0]}", 404)
    bookings = [row["attributes"]["lines"] for row in sold]
    lines = [line for booking in bookings for line in booking]
    donations = [line for line in lines if line["line_type"] == "DONATION"]
    gift_aid = {(line.get("donation", {"gift_aid": "absent"})["gift_aid"], line["is_refund"]) for line in donations}
    refunded = [
        -sum(line["amount"]["gross"] for line in booking if line["is_refund"]) / booking[0]["amount"]["gross"]
        for booking in bookings
    ]

    assert {line["line_type"] for line in lines} == {"TICKETS", "DONATION", "SUNDRY"}
    assert {line["line_type"] for line in lines if line["is_refund"]} == {"TICKETS", "DONATION", "SUNDRY"}
    assert all(line["is_refund"] == (line["amount"]["gross"] < 0) for line in lines)
    assert {line["payment_method"] for line in lines} == {"TS", "CASH", "CARD", "CHEQUE"}
    assert gift_aid >= {(True, False), (False, False), (None, False), ("absent", False), (True, True)}
    assert {0 < part < 1 for part in refunded} == {part == 1 for part in refunded} == {True, False}
    assert {bool(line["amount"]["discounts"]["automatic"]) for line in lines} == {True, False}
    assert len({line["created_at"][:10] for line in lines}) > 60
    assert any(booking[0]["created_at"] < booking[-1]["created_at"] for booking in bookings)
    assert {seat["is_cancelled"] for seat in seats} == {True, False}
    assert {seat["reference"]["seat"] is None for seat in seats} == {True, False}
    assert {seat["attendee"]["last_name"] for seat in seats} == {None, "Sample"}
    assert {seat["price_category"] for seat in seats} == {"Adult", "Child", "Concession"}
    assert len(gone) == 12


async def test_some_bookings_of_a_cancelled_date_are_not_refunded() -> None:
    """The seats of the refunded bookings are cancelled."""
    states = set()
    async with Sandbox(customers=30, events=7, rate_limit=None) as box:
        (off,) = [date for date in await all_dates(box) if date["attributes"]["cancelled"]]
        for booking in await rows(box, f"/dates/{off['id']}/bookings"):
            lines = [line for line in booking["attributes"]["lines"] if line["line_type"] == "TICKETS"]
            seats = await rows(box, f"/bookings/{booking['id']}/seats")
            is_refunded = sum(line["amount"]["gross"] for line in lines) == 0
            states.add((is_refunded, all(seat["attributes"]["is_cancelled"] for seat in seats)))

    assert states == {(True, True), (False, False)}
