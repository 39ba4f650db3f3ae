"""The warehouse of the whole box office: loaded, followed, killed, asked, and counted against the sandbox's truth."""

import asyncio
import importlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from servers import PostgresServer
from warehouse import EXAMPLE, Warehouse, answer_with, pages_of, rows_at

from ticketsource_async import Booking, EventDate, TicketSource
from ticketsource_async.reports.seats import state_of
from ticketsource_async.sandbox import Sandbox

LATER = "2026-06-01T00:00:00+00:00"


@pytest.fixture(name="warehouse")
def _warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse("duckdb", tmp_path)


@pytest.fixture(name="any_warehouse", params=["duckdb", "postgres"])
def _any_warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    if request.param == "duckdb":
        return Warehouse("duckdb", tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with psycopg.connect(server.url) as connection:
        for schema in ("ticketsource", "ticketsource_staging"):
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    return Warehouse("postgres", tmp_path, server.url)


@pytest.fixture(name="source")
def _source(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module("ticketsource_source")


@pytest.fixture(name="shows")
async def _shows() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=6, events=2, dates_per_event=2, bookings_per_date=3, rate_limit=None) as shows:
        yield shows


def dates_read(asked: list[str]) -> set[str]:
    """Return the dates whose bookings were asked for."""
    return {path.split("/")[2] for path in asked if path.startswith("/dates/") and path.endswith("/bookings")}


async def dates_of(box: Sandbox) -> list[EventDate]:
    """Return all dates, the first first."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        dates = [one async for _, one, _ in ts.programme()]
    return sorted(dates, key=lambda one: str(one.start))


def by_id(asked: list[str]) -> set[str]:
    """Return the customers who were asked for one by one."""
    return {path.removeprefix("/customers/") for path in asked if path.startswith("/customers/")}


# Customers


@pytest.mark.slow
async def test_the_warehouse_keeps_the_history_of_every_customer(any_warehouse: Warehouse) -> None:
    """Who is deleted is valid no more, who is hidden is, and a consent has dates, after a run was killed."""
    async with Sandbox(customers=450, events=0, rate_limit=None) as box:
        everybody = box.customers.ids()
        await any_warehouse.kill_at(box, "/customers", page=4)
        await any_warehouse.load(box)
        pages = pages_of(box)

        gone, changed = everybody[0], everybody[150]
        box.customers.delete([gone])
        email = not box.customers.get(changed)["attributes"]["consent"]["email"]  # type: ignore[index]  # it is there
        box.customers.update(changed, {"consent": {"email": email}})
        box.fail(page=2, path="/customers", delete=2)  # and two later ones are hidden
        await any_warehouse.load(box)
        await any_warehouse.load(box)

    assert pages == [1, 2, 3, 4, 5]
    versions = any_warehouse.ask(
        "SELECT id, consent_email, _dlt_valid_to IS NULL FROM customers ORDER BY _dlt_valid_from"
    )
    types = dict(
        any_warehouse.ask("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'customers'")
    )
    assert {version[0] for version in versions} == set(everybody)
    assert len(versions) == 450 + 1
    assert [version[1:] for version in versions if version[0] == changed] == [(not email, False), (email, True)]
    assert {version[0] for version in versions if not version[2]} == {*everybody[:3], changed}
    assert {types["consent_sms"].lower(), types["membership_end_date"].lower()} == {"boolean", "date"}
    assert {types["title"].lower(), types["updated_at"].lower()} & {"varchar", "character varying"}
    assert types["updated_at"].lower() == "timestamp with time zone"


@pytest.mark.slow
async def test_the_warehouse_follows_a_box_office_from_empty_to_empty(warehouse: Warehouse) -> None:
    """Nobody is no reason to fail, and all are valid no more when the API itself says of each that they are gone."""
    async with Sandbox(customers=0, events=0, rate_limit=None) as box:
        await warehouse.load(box, "--notes", "--seats")
        nobody = warehouse.valid()
        tables = warehouse.column("SELECT table_name FROM information_schema.tables WHERE table_schema = 'ticketsource'")

        everybody = sorted(box.customers.insert(3))
        await warehouse.load(box)
        all_there = warehouse.valid()

        box.customers.delete(everybody)
        box.fail(path=f"/customers/{everybody[1]}", status=404, html=True)  # by a gateway
        said, _ = await warehouse.load(box, ends_in=1)
        still_there = warehouse.valid()
        _, asked = await warehouse.load(box)

    assert nobody == []
    kinds = {"customers", "notes", "events", "venues", "dates", "bookings", "booking_lines", "seats"}
    assert kinds < set(tables)
    assert all_there == everybody
    assert still_there == [everybody[1]]
    assert f"GET /customers/{everybody[1]} was answered 404" in said
    assert by_id(asked) == {everybody[1]}
    assert warehouse.valid() == []
    assert warehouse.ask("SELECT count(*) FROM customers") == [(3,)]
    assert warehouse.ask("SELECT resource, part, error FROM unread") == [("customers", everybody[1], "NotFound")]


@pytest.mark.slow
async def test_the_warehouse_keeps_who_cannot_be_read_and_follows_the_others(warehouse: Warehouse) -> None:
    """Their row stays valid as it is, somebody else's withdrawal is loaded, and the run ends with 1."""
    async with Sandbox(customers=3, events=0, rate_limit=None) as box:
        await warehouse.load(box)
        odd, other, _ = box.customers.ids()
        box.customers.update(other, {"consent": {"email": False, "sms": True}})
        rows = box.customers.rows(0, 3)
        rows[0]["attributes"] = None
        rows[2]["attributes"]["membership"] = {"end_date": "31.12.2020"}  # type: ignore[index]  # it is JSON
        answer_with(box, "/customers", rows, times=1)
        box.fail(path=f"/customers/{odd}", status=501, times=None)
        said, _ = await warehouse.load(box, ends_in=1)

    versions = warehouse.ask("SELECT id, consent_sms FROM customers WHERE _dlt_valid_to IS NULL")
    assert {version[0] for version in versions} == set(box.customers.ids())
    assert (other, True) in versions
    assert warehouse.ask(f"SELECT count(*) FROM customers WHERE id = '{odd}'") == [(1,)]
    assert warehouse.ask("SELECT invalid ->> '$.\"membership.end_date\"' FROM customers WHERE invalid IS NOT NULL") == [
        ("31.12.2020",)
    ]
    assert "Could not be read: 2" in said
    assert "at $.data[0].attributes" in said
    assert f"GET /customers/{odd} was answered 501" in said


@pytest.mark.slow
async def test_a_list_of_customers_that_ends_early_ends_nobodys_history(warehouse: Warehouse) -> None:
    """Nobody is asked for by id, as the list is not whole."""
    async with Sandbox(customers=150, events=0, rate_limit=None) as box:
        await warehouse.load(box)
        box.fail(path="/customers", next="back", times=None)
        said, asked = await warehouse.load(box, ends_in=1)
        box.fail(path="/customers", status=501, times=None)

    assert warehouse.valid() == sorted(box.customers.ids())
    assert "The list was left before its end" in said
    assert len(by_id(asked)) <= 10  # to see whether the key is of this box office


@pytest.mark.slow
async def test_the_warehouse_refuses_another_box_office_but_takes_a_new_key(warehouse: Warehouse) -> None:
    """Another box office does not read as if all were deleted, nothing of it is read, and no key is in any file."""
    async with (
        Sandbox(customers=3, events=0, rate_limit=None) as box,
        Sandbox(customers=3, seed=1, events=0, rate_limit=None) as another,
    ):
        await warehouse.load(box)
        shutil.rmtree(warehouse.folder / "pipelines")  # as on another machine
        for customer_id in box.customers.ids():
            another.fail(path=f"/customers/{customer_id}", status=404, html=True)
        outage, _ = await warehouse.load(another, ends_in=1)
        said, asked = await warehouse.load(another, ends_in=1)
        refused = warehouse.valid()

        box.api_key = "skl-replaced"
        said += (await warehouse.load(box))[0]

    assert "is known to this API key" not in outage
    assert "was answered 404" in outage
    assert "is known to this API key" in said
    assert by_id(asked) == set(box.customers.ids())
    assert "/customers" not in asked
    assert refused == warehouse.valid() == sorted(box.customers.ids())
    files = [path.read_bytes() for path in warehouse.folder.rglob("*") if path.is_file()]
    assert not any(key in text for key in (b"skl-sandbox", b"skl-replaced") for text in (said.encode(), *files))


@pytest.mark.slow
async def test_a_second_run_at_the_same_time_is_refused(warehouse: Warehouse) -> None:
    """It reads nothing, and the first goes on; a run that was killed holds up nobody."""
    async with Sandbox(customers=3, events=0, rate_limit=None) as box:
        await warehouse.kill_at(box, "/customers")
        box.fail(path="/customers", slow=60)
        first = await warehouse.begin(box)
        while not box.requests or first.returncode is not None:
            await asyncio.sleep(0.01)
        said, asked = await warehouse.load(box, ends_in=1)
        first.kill()
        await first.communicate()
        await warehouse.load(box)

    assert "Another run is loading here" in said
    assert asked == []
    assert warehouse.valid() == sorted(box.customers.ids())


# The programme, bookings, seats and notes


async def everything_in(box: Sandbox) -> dict[str, Counter[Any]]:
    """Return what each table should have, read record by record."""
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        async for customer in ts.customers.list():
            found["customers"][customer.id] += 1
            async for note in ts.notes.list(customer):
                found["notes"][note.id, customer.id, note.description] += 1
        async for event in ts.events.list():
            found["events"][event.id, event.name] += 1
            async for venue in ts.events.list_venues(event):
                found["venues"][venue.id, event.id] += 1
            async for one in ts.events.list_dates(event):
                found["dates"][one.id, event.id, one.venue_id, one.start] += 1
                async for booking in ts.dates.list_bookings(one):
                    found["bookings"][booking.id, one.id, booking.customer_id, booking.totals().gross] += 1
                    for number, line in enumerate(booking.lines or (), 1):
                        assert line.amount is not None
                        found["booking_lines"][booking.id, number, line.amount.net, line.is_refund] += 1
                    async for seat in ts.bookings.list_seats(booking):
                        found["seats"][seat.id, booking.id, seat.price_category] += 1
    return found


COLUMNS = {
    "customers": "id",
    "notes": "id, customer_id, description",
    "events": "id, name",
    "venues": "id, event_id",
    "dates": "id, event_id, venue_id, start",
    "bookings": "id, date_id, customer_id, gross",
    "booking_lines": "booking_id, line, net, is_refund",
    "seats": "id, booking_id, price_category",
}


def rows_in(warehouse: Warehouse) -> dict[str, Counter[Any]]:
    """Return what each table has."""
    rows = {table: warehouse.ask(f"SELECT {names} FROM {table}") for table, names in COLUMNS.items()}
    return {table: Counter(row[0] if table == "customers" else row for row in found) for table, found in rows.items()}


@pytest.mark.slow
async def test_all_seven_kinds_of_records_are_in_the_warehouse_once_after_any_number_of_runs(
    any_warehouse: Warehouse,
) -> None:
    """A run that is killed while it reads bookings or notes repeats no more than was not loaded."""
    async with Sandbox(customers=250, events=3, dates_per_event=4, bookings_per_date=3, rate_limit=None) as box:
        truth = await everything_in(box)
        dates = [one.id for one in await dates_of(box)]
        third = sorted(truth["dates"])[0][0]
        every = ("--notes", "--seats")
        await any_warehouse.kill_at(box, f"/dates/{third}/bookings", *every, at_once=2)
        _, asked = await any_warehouse.load(box, *every, now=LATER, at_once=2)
        first = rows_in(any_warehouse)
        _, again = await any_warehouse.load(box, *every, now=LATER, at_once=100)

    assert first == rows_in(any_warehouse) == truth
    assert dates_read(asked) <= set(dates)
    assert len(dates_read(asked)) == len([path for path in asked if path.endswith("/bookings")])
    assert dates_read(again) == set()
    money = any_warehouse.ask(
        "SELECT numeric_precision, numeric_scale FROM information_schema.columns "
        "WHERE table_name = 'booking_lines' AND column_name = 'net'"
    )
    assert money == [(38, 18)]


@pytest.mark.slow
async def test_bookings_of_a_date_are_read_until_it_is_over_then_and_a_week_later(
    shows: Sandbox, warehouse: Warehouse
) -> None:
    """A refund that is made within a week is found then, and later ones with --full."""
    first, *others = [one.id for one in await dates_of(shows)]
    path = f"/dates/{first}/bookings"
    bookings = await rows_at(shows, path)

    def refund(pence: str) -> None:
        line = bookings[0]["attributes"]["lines"][0]
        bookings[0]["attributes"]["lines"].append(
            {**line, "is_refund": True, "amount": {"gross": -1, "net": -1, "fee": 0, "fee_vat": 0, "x": pence}}
        )
        answer_with(shows, path, bookings)

    lines = f"SELECT count(*) FROM booking_lines WHERE booking_id = '{bookings[0]['id']}'"
    found = []
    for day, options in (
        ("2026-01-05T00:00", ()),  # the first was on 3 January
        ("2026-01-06T00:00", ()),
        ("2026-01-12T00:00", ()),
        ("2026-06-01T00:00", ()),
        ("2026-06-02T00:00", ("--full",)),
    ):
        _, asked = await warehouse.load(shows, *options, now=f"{day}+00:00")
        found.append((dates_read(asked), warehouse.column(lines)[0]))
        shows._faults._waiting.clear()
        refund(day)

    begin = len(bookings[0]["attributes"]["lines"]) - 5
    second, third, fourth = others
    assert found == [
        ({first, second, third, fourth}, begin),
        ({second, third, fourth}, begin),
        ({first, second, third, fourth}, begin + 2),
        ({second, third, fourth}, begin + 2),
        ({first, second, third, fourth}, begin + 4),
    ]
