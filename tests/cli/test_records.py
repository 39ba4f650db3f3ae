"""The commands that look records up, and the exports of bookings and the programme."""

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command import run

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="shows")
async def _shows() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=4, dates_per_event=3, bookings_per_date=2, rate_limit=None) as shows:
        yield shows


async def test_every_kind_of_record_can_be_listed_and_got(shows: Sandbox) -> None:
    """From the list of events one gets, id by id, to a seat, a customer's bookings and notes; lists are JSON Lines."""

    async def lines(*arguments: str) -> list[dict[str, Any]]:
        done = await run(*arguments, box=shows)
        assert (done.code, done.err) == (0, "")
        return [json.loads(line) for line in done.out.splitlines()]

    async def record(*arguments: str) -> dict[str, Any]:
        done = await run(*arguments, box=shows)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)  # type: ignore[no-any-return]  # it is an object

    event = (await lines("events", "list"))[0]
    assert await record("events", "get", event["id"]) == event
    venue = (await lines("events", "venues", event["id"]))[0]
    assert await record("venues", "get", venue["id"]) == venue
    date = (await lines("venues", "dates", venue["id"]))[0]
    assert date in await lines("events", "dates", event["id"])
    assert await record("dates", "get", date["id"]) == date
    booking = (await lines("dates", "bookings", date["id"]))[0]
    assert await record("bookings", "get", booking["id"]) == booking
    seat = (await lines("bookings", "seats", booking["id"]))[0]
    assert await record("seats", "get", seat["id"]) == seat
    customer_id = booking["links"]["customer"].rpartition("/")[2]
    assert booking in await lines("customers", "bookings", customer_id)
    async with TicketSource(shows.api_key, base_url=shows.url) as ts:
        noted, *_ = [customer.id async for customer in ts.customers.list() if await ts.notes.list(customer).first()]
    note = (await lines("notes", "list", noted))[0]
    assert await record("notes", "get", noted, note["id"]) == note


async def test_a_wrong_id_of_any_kind_is_wrong_use(shows: Sandbox) -> None:
    """An id of another kind ends with 2 and says what an id is here."""
    for arguments in (["events", "get", "ven-1"], ["dates", "bookings", "../x"], ["notes", "get", "cst-1", "evt-1"]):
        done = await run(*arguments, box=shows)

        assert done.code == 2
        assert "an id here is" in done.err


async def test_bookings_are_exported_a_row_a_line_with_event_and_date(shows: Sandbox) -> None:
    """Each line of each booking is a row; money is as written, and the filter is by the day of the date."""
    whole = list(csv.DictReader(io.StringIO((await run("bookings", "export", box=shows)).out)))
    few = await run("bookings", "export", "--from", "2026-01-04", "--to", "2026-01-10", "--format", "jsonl", box=shows)

    assert len({row["booking_id"] for row in whole}) == 4 * 3 * 2
    assert len(whole) > 24
    for row in whole:
        assert Decimal(row["net"]) == Decimal(row["gross"]) - Decimal(row["fee"]) - Decimal(row["fee_vat"])
        assert row["event_name"]
    assert any(row["gross"] == "-12.5" and row["is_refund"] == "true" for row in whole)
    rows = [json.loads(line) for line in few.out.splitlines()]
    assert {row["date_start"][:10] for row in rows} == {"2026-01-06", "2026-01-09", "2026-01-10"}
    assert list(rows[0]) == list(whole[0])
    assert rows[0]["gross"] == "12.5" or Decimal(rows[0]["gross"]) > 0


async def test_the_programme_is_exported_to_a_file(shows: Sandbox, tmp_path: Path) -> None:
    """A date a row, with event and venue."""
    target = tmp_path / "programme.csv"

    done = await run("programme", "export", "-o", str(target), box=shows)

    assert (done.code, done.out, done.err) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert len({row["date_id"] for row in rows}) == len(rows) == 12
    assert all(row["venue_name"] and row["event_name"] and row["start"] for row in rows)


@pytest.mark.parametrize(
    "wrong", [["--from", "2026-02-01", "--to", "2026-01-01"], ["--from", "soon"], ["--format", "jsonl", "--excel"]]
)
async def test_what_cannot_be_exported_is_wrong_use(shows: Sandbox, wrong: list[str]) -> None:
    """Days in the wrong order, no day, and Excel's mark in JSON end with 2."""
    assert (await run("programme", "export", *wrong, box=shows)).code == 2


async def test_a_note_is_added_and_deleted(box: Sandbox) -> None:
    """It is printed as the API keeps it; the deletion asks unless told not to."""
    customer_id = box.customers.ids()[0]

    created = await run("notes", "create", customer_id, "Needs leg room", "--created-by", "Zoë", box=box)
    note = json.loads(created.out)
    asked = await run("notes", "delete", customer_id, note["id"], box=box)
    deleted = await run("notes", "delete", customer_id, note["id"], "-y", box=box)
    gone = await run("notes", "get", customer_id, note["id"], box=box)
    wrong = await run("notes", "create", "evt-1", "x", box=box)

    assert (note["description"], note["created_by"]) == ("Needs leg room", "Zoë")
    assert asked.code == 1
    assert (deleted.code, deleted.out, deleted.err, gone.code) == (0, "", "", 1)
    assert wrong.code == 2
    assert "an id here is 'cst-'" in wrong.err
