"""The commands that print records."""

import json
from typing import Any

import pytest
from command import run, table

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox


async def test_get_prints_one_customer_as_json(box: Sandbox) -> None:
    """The exit code for an unknown id is 1, and for an invalid one 2."""
    customer_id = box.customers.ids()[0]

    found = await run("customers", "get", customer_id, box=box)
    missing = await run("customers", "get", "cst-nobody", box=box)
    wrong = await run("customers", "get", "../x", box=box)

    assert (found.code, json.loads(found.out)["id"]) == (0, customer_id)
    assert (missing.code, missing.out) == (1, "")
    assert "404: not_found" in missing.err
    assert wrong.code == 2
    assert "is not the id of a customer." in wrong.err


async def test_every_kind_of_record_can_be_listed_and_got(shows: Sandbox) -> None:
    """The ids lead from the list of events to a seat, and to a customer's bookings and notes."""

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
    """The exit code is 2, and the error says which form an id has."""
    for arguments in (["events", "get", "ven-1"], ["dates", "bookings", "../x"], ["notes", "get", "cst-1", "evt-1"]):
        done = await run(*arguments, box=shows)

        assert done.code == 2
        assert "Such an id begins with " in done.err


async def test_help_says_where_to_find_each_id() -> None:
    """With the command that prints it."""
    event, note = [
        " ".join((await run(*name, "--help")).out.split()) for name in (("events", "dates"), ("notes", "get"))
    ]

    assert "ID is the id of an event. Such an id begins with evt-. To find it, run `events list`." in event
    assert "CUSTOMER_ID is the id of a customer. Such an id begins with cst-. To find it, run `customers find " in note
    assert "NOTE_ID is the id of a note. Such an id begins with csn-. To find it, run `notes list CUSTOMER_ID`." in note


async def test_every_kind_of_record_is_printed_in_every_format(shows: Sandbox) -> None:
    """CSV has a column for each field. JSON Lines and JSON have the complete record."""
    ids: dict[str, str] = {}

    async def listed(kind: str, *arguments: str) -> None:
        lines = (await run(*arguments, "--format", "jsonl", box=shows)).out.splitlines()
        array = await run(*arguments, "--format", "json", box=shows)
        rows = table((await run(*arguments, "--format", "csv", box=shows)).out)
        shown = await run(*arguments, "--format", "table", box=shows)

        assert json.loads(array.out) == [json.loads(line) for line in lines]
        assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in lines]
        assert all(row["id"] in shown.out for row in rows)
        ids[kind] = rows[0]["id"]

    async def single(*arguments: str) -> None:
        line = (await run(*arguments, "--format", "jsonl", box=shows)).out
        as_json = await run(*arguments, "--format", "json", box=shows)
        (row,) = table((await run(*arguments, "--format", "csv", box=shows)).out)
        shown = (await run(*arguments, "--format", "table", box=shows)).out

        assert json.loads(as_json.out) == json.loads(line)
        assert as_json.out == (await run(*arguments, box=shows)).out
        assert row["id"] == json.loads(line)["id"]
        for name in row:
            assert f"\n{name.replace('_', ' ')}" in f"\n{shown}"

    await listed("events", "events", "list")
    await listed("venues", "events", "venues", ids["events"])
    await listed("dates", "events", "dates", ids["events"])
    await listed("bookings", "dates", "bookings", ids["dates"])
    await listed("seats", "bookings", "seats", ids["bookings"])
    await listed("customers", "customers", "find", "@")
    for group, record_id in ids.items():
        await single(group, "get", record_id)


async def test_the_columns_of_a_csv_have_the_sums_and_ids_of_a_booking(shows: Sandbox) -> None:
    """The sums are those of its lines. The ids are those of its customer and its date."""
    event = table((await run("events", "list", "--format", "csv", box=shows)).out)[0]
    date = table((await run("events", "dates", event["id"], "--format", "csv", box=shows)).out)[0]
    rows = table((await run("dates", "bookings", date["id"], "--format", "csv", box=shows)).out)
    async with TicketSource(shows.api_key, base_url=shows.url) as ts:
        bookings = await ts.dates.list_bookings(date["id"]).collect()

    assert date["event_id"] == event["id"]
    assert [(row["customer_id"], row["date_id"]) for row in rows] == [(b.customer_id, date["id"]) for b in bookings]
    assert [row["gross"] for row in rows] == [f"{b.totals().gross:f}" for b in bookings]
    assert [row["lines"] for row in rows] == [str(len(b.lines or ())) for b in bookings]


async def test_an_unreadable_row_of_a_list_is_left_out_and_named(shows: Sandbox) -> None:
    """All other rows are printed, and the exit code is 1."""
    events = [json.loads(line) for line in (await run("events", "list", box=shows)).out.splitlines()]
    rows = [{"id": one["id"], "type": "event", "attributes": {"name": one["name"]}, "links": {}} for one in events]
    rows[1]["id"] = "../x"
    shows.fail(path="/events", status=200, body=json.dumps({"data": rows, "links": {"next": None}}), times=2)

    piped = await run("events", "list", box=shows)
    shown = await run("events", "list", "--format", "table", box=shows)

    assert [json.loads(line)["id"] for line in piped.out.splitlines()] == [events[n]["id"] for n in (0, 2, 3)]
    assert shown.out.count("evt-") == 3
    for done in (piped, shown):
        assert done.code == 1
        assert "data[1]" in done.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("csv", "name of 1 event could not be read, so the cells are empty"),
        ("table", "name of 1 event could not be read"),
    ],
)
async def test_a_cell_of_an_unreadable_value_is_reported(shows: Sandbox, name: str, said: str) -> None:
    """A table marks the cell, too."""
    rows = [{"id": "evt-1", "type": "event", "attributes": {"name": ["?"]}, "links": {}}]
    shows.fail(path="/events", status=200, body=json.dumps({"data": rows, "links": {"next": None}}))

    done = await run("events", "list", "--format", name, box=shows)

    assert (done.code, done.err) == (0, f"{said}: evt-1\n")
    assert ("(unreadable)" in done.out) == (name == "table")


async def test_a_limit_ends_a_list_and_its_requests(many: Sandbox) -> None:
    """No page is requested that is not needed."""
    bookings = [{"id": f"bkg-{n}", "type": "booking", "attributes": {}, "links": {}} for n in range(100)]
    following = {"data": bookings, "links": {"next": "?page=2&per_page=100"}}
    many.fail(path="/dates/dat-1/bookings", status=200, body=json.dumps(following), times=None)

    done = await run("dates", "bookings", "dat-1", "--limit", "100", box=many)
    wrong = await run("dates", "bookings", "dat-1", "--limit", "0", box=many)

    assert (done.code, len(done.out.splitlines())) == (0, 100)
    assert len(many.requests) == 1
    assert wrong.code == 2


async def test_a_written_record_is_printed_in_the_named_format(box: Sandbox) -> None:
    """It is printed as by `get`."""
    created = await run("customers", "create", "--first-name", "Zoë", "--format", "table", box=box)
    customer_id = box.customers.ids()[-1]
    updated = await run("customers", "update", customer_id, "--last-name", "Ng", "--format", "csv", box=box)
    noted = await run("notes", "create", customer_id, "Leg room", "--format", "jsonl", box=box)

    assert created.out.startswith(f"id                     {customer_id}\n")
    assert table(updated.out)[0]["last_name"] == "Ng"
    assert json.loads(noted.out)["description"] == "Leg room"
