"""The read-only half of the sandbox: every link leads to what it says, and everything adds up."""

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
async def test_there_is_nothing_under_an_unknown_id(box: Sandbox, path: str) -> None:
    """An id that is none, or of another kind, is 404."""
    await get(box, path, 404)


async def test_places_that_an_event_or_a_booking_does_not_have_are_not_there() -> None:
    """The first event has one venue, the first booking one seat: no id leads to a second."""
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
async def test_the_filter_of_dates_is_by_day(box: Sandbox, operator: str, value: str, starts: list[str]) -> None:
    """On, before and after a day, the bounds not included."""
    event = (await rows(box, "/events"))[0]
    query = f"filter[start][operator]={operator}&filter[start][value]={value}"

    found = (await get(box, f"/events/{event['id']}/dates?{query}"))["data"]

    assert [date["attributes"]["start"][:10] for date in found] == starts


@pytest.mark.parametrize("query", ["filter[start][operator]=near", "filter[start][operator]=on"])
async def test_a_filter_that_the_sandbox_does_not_know_is_refused(box: Sandbox, query: str) -> None:
    """An unknown operator, and one without a value, are 400."""
    event = (await rows(box, "/events"))[0]

    await get(box, f"/events/{event['id']}/dates?{query}", 400)


async def test_without_customers_nobody_has_booked() -> None:
    """A sandbox with nobody in it has events, and no booking."""
    async with Sandbox(customers=0, events=1, rate_limit=None) as box:
        (event,) = await rows(box, "/events")
        (date, *_) = await rows(box, f"/events/{event['id']}/dates")
        assert await rows(box, f"/dates/{date['id']}/bookings") == []
