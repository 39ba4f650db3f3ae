"""The commands that look up."""

import json
from typing import Any

from command import run

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox


async def test_get_prints_one_customer_as_json(box: Sandbox) -> None:
    """`customers get` prints the record; an unknown id ends with 1, one that cannot be with 2."""
    customer_id = box.customers.ids()[0]

    found = await run("customers", "get", customer_id, box=box)
    missing = await run("customers", "get", "cst-nobody", box=box)
    wrong = await run("customers", "get", "../x", box=box)

    assert (found.code, json.loads(found.out)["id"]) == (0, customer_id)
    assert (missing.code, missing.out) == (1, "")
    assert "404: not_found" in missing.err
    assert wrong.code == 2
    assert "an id here is 'cst-'" in wrong.err


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
