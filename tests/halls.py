"""A sandbox whose lists a test reads as JSON and changes, and a client for it that never waits."""

import json
from typing import Any

import aiohttp
from mocked import ONCE

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox

Rows = list[dict[str, Any]]


def desk_of(hall: Sandbox) -> TicketSource:
    """Return a client for a sandbox, without a rate limit and without retries."""
    return TicketSource(hall.api_key, base_url=hall.url, retry=ONCE, rate_limit=None)


async def rows_of(hall: Sandbox, path: str) -> Rows:
    """Return the rows of a list as the API sends them, with its amounts as texts; the sandbox forgets the requests."""
    rows: Rows = []
    headers = {"Authorization": f"Bearer {hall.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        url: str | None = f"{hall.url}{path}?per_page=100"
        while url is not None:
            async with http.get(url) as answer:
                page = json.loads(await answer.text(), parse_float=str)
            rows += page["data"]
            url = page["links"]["next"]
    hall.requests.clear()
    return rows


async def first_date(hall: Sandbox) -> tuple[str, str, Rows]:
    """Return the ids of the first event and its first date, and the rows of the bookings for it."""
    event = (await rows_of(hall, "/events"))[0]["id"]
    date = (await rows_of(hall, f"/events/{event}/dates"))[0]["id"]
    return event, date, await rows_of(hall, f"/dates/{date}/bookings")


def answer_with(hall: Sandbox, path: str, rows: list[Any]) -> None:
    """Let a list have these rows from now on."""
    body = json.dumps({"data": rows, "links": {"next": None}})
    hall.fail(path=path, status=200, body=body, times=None)


def answer_without_end(hall: Sandbox, path: str, rows: list[Any]) -> None:
    """Let a list have these rows from now on, and then empty pages for ever."""
    for number in range(1, 15):
        body = json.dumps({"data": rows if number == 1 else [], "links": {"next": f"?page={number + 1}"}})
        hall.fail(path=path, page=number, status=200, body=body, times=None)


def fail_after(hall: Sandbox, path: str, rows: list[Any], **fault: Any) -> None:
    """Let a list have these rows on its first page from now on, and let its second page fail."""
    body = json.dumps({"data": rows, "links": {"next": "?page=2"}})
    hall.fail(path=path, page=1, status=200, body=body, times=None)
    hall.fail(path=path, page=2, times=None, **fault)
