"""The warehouse of the whole box office, compared with the sandbox after changes, failures and killed runs."""

import importlib
import json
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from attrs import evolve
from warehouse import Warehouse, answer_with, end_early, rows_at
from warehouse_program import EXAMPLE

from ticketsource_async import EventDate, NoteDraft, TicketSource
from ticketsource_async.sandbox import Sandbox

LATER = "2026-06-01T00:00:00+00:00"


@pytest.fixture(name="source")
def _source(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module("ticketsource_source")


@pytest.fixture(name="shows")
async def _shows() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=6, events=2, dates_per_event=2, bookings_per_date=3, rate_limit=None) as shows:
        async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
            for customer_id in shows.customers.ids(0, 2):
                for text in ("Sits on the aisle.", "Called on Monday."):
                    await ts.notes.create(customer_id, NoteDraft(description=text))
        yield shows


def dates_read(asked: list[str]) -> set[str]:
    """Return the dates whose bookings were requested."""
    return {path.split("/")[2] for path in asked if path.startswith("/dates/") and path.endswith("/bookings")}


async def dates_of(box: Sandbox) -> list[EventDate]:
    """Return all dates, the earliest first."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        dates = [one async for _, one, _ in ts.programme()]
    return sorted(dates, key=lambda one: str(one.start))


async def everything_in(box: Sandbox) -> dict[str, Counter[Any]]:
    """Return the expected rows of each table, read from the API record by record."""
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
    """Return the rows of each table."""
    rows = {table: warehouse.ask(f"SELECT {names} FROM {table}") for table, names in COLUMNS.items()}
    return {table: Counter(row[0] if table == "customers" else row for row in found) for table, found in rows.items()}


@pytest.mark.slow
async def test_each_record_is_in_the_warehouse_once_after_several_runs(
    any_warehouse: Warehouse,
) -> None:
    """The run after a killed run reads no bookings twice."""
    async with Sandbox(customers=110, events=2, dates_per_event=3, bookings_per_date=3, rate_limit=None) as box:
        truth = await everything_in(box)
        dates = [one.id for one in await dates_of(box)]
        third = min(truth["dates"])[0]
        every = ("--notes", "--seats")
        async with any_warehouse.stopped_at(box, f"/dates/{third}/bookings", *every, at_once=2):
            pass
        _, asked = await any_warehouse.load(box, *every, now=LATER, at_once=2)
        first = rows_in(any_warehouse)
        _, again = await any_warehouse.load(box, *every, now=LATER, at_once=100)

    assert first == rows_in(any_warehouse) == truth
    assert dates_read(asked) <= set(dates)
    assert len(dates_read(asked)) == len([path for path in asked if path.endswith("/bookings")])
    assert dates_read(again) == set()
    money = any_warehouse.ask(
        "SELECT numeric_precision, numeric_scale FROM information_schema.columns "
        "WHERE table_schema = 'ticketsource' AND table_name = 'booking_lines' AND column_name = 'net'"
    )
    assert money == [(38, 18)]


@pytest.mark.slow
async def test_runs_killed_between_reading_and_loading_lose_and_repeat_nothing(
    shows: Sandbox, any_warehouse: Warehouse
) -> None:
    """They are killed in three steps of dlt. The next run loads what was read, and reads the rest."""
    truth = await everything_in(shows)
    every = ("--notes", "--seats")
    for step in ("normalize 4", "load 4", "complete_package 5"):
        await any_warehouse.load(shows, *every, at_once=1, dies_in=step, ends_in=-signal.SIGKILL)
    await any_warehouse.load(shows, *every)

    assert rows_in(any_warehouse) == truth


@pytest.mark.slow
async def test_bookings_are_read_until_a_date_is_over_and_again_a_week_later(
    shows: Sandbox, warehouse: Warehouse
) -> None:
    """A refund within a week is found a week later. A later refund is found with --full."""
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


def test_a_date_is_due_until_it_is_over_and_again_a_week_later(source: Any) -> None:
    """A time may be in any zone, so a day is added. A date without a start, or that was changed, is due, too."""

    def at(day: float) -> datetime:
        return datetime(2026, 3, 1, 20, tzinfo=UTC) + timedelta(days=day)

    def due(read: float, now: float, **fields: Any) -> bool:
        return bool(source.is_due(evolve(EventDate("dat-1", start=at(0)), **fields), at(read), at(now)))

    assert source.is_due(EventDate("dat-1", start=at(0)), None, at(500))
    assert [due(0.9, now) for now in (0.95, 1, 50)] == [True, True, True]
    assert [due(1, now) for now in (1.5, 7.9, 8, 50)] == [False, False, True, True]
    assert [due(8, now) for now in (9, 5000)] == [False, False]
    assert [due(1, now, end=at(3)) for now in (2, 4, 50)] == [True, True, True]
    assert [due(4, now, end=at(3)) for now in (10.9, 11)] == [False, True]
    assert due(8, 9, end=at(-3)) is False
    assert due(500, 501, start=None)
    assert due(500, 501, start=at(499.5))  # it was moved
    assert due(8, 9, updated_at=at(7.5))
    assert not due(8, 9, updated_at=at(6.9))
    assert not due(8, 9, cancelled=True)


@pytest.mark.slow
async def test_an_unreadable_part_keeps_its_rows_and_is_read_by_the_next_run(
    shows: Sandbox, warehouse: Warehouse
) -> None:
    """It is reported, also in a table, and the other parts are loaded. A list that ends early counts as unreadable."""
    first, second, third, _ = [one.id for one in await dates_of(shows)]
    event = (await rows_at(shows, "/events"))[0]["id"]
    before = {one: await rows_at(shows, f"/dates/{one}/bookings") for one in (first, second, third)}
    await warehouse.load(shows)
    rows = dict(warehouse.ask("SELECT date_id, count(*) FROM bookings GROUP BY 1"))
    other = warehouse.column("SELECT count(*) FROM dates")

    shows.fail(path=f"/dates/{first}/bookings", status=501)
    answer_with(shows, f"/dates/{second}/bookings", [{**before[second][0], "attributes": None}], times=1)
    end_early(shows, f"/dates/{third}/bookings", 1)
    shows.fail(path=f"/events/{event}/venues", status=501)
    said, _ = await warehouse.load(shows, now=LATER, ends_in=1)
    kept = dict(warehouse.ask("SELECT date_id, count(*) FROM bookings GROUP BY 1"))
    told = warehouse.ask("SELECT resource, part, error FROM unread ORDER BY 1, 2")
    shows._faults._waiting.clear()
    _, asked = await warehouse.load(shows, now=LATER)

    assert rows == kept == dict(warehouse.ask("SELECT date_id, count(*) FROM bookings GROUP BY 1"))
    assert other == warehouse.column("SELECT count(*) FROM dates")
    assert Counter(told) == Counter(
        [
            ("bookings", first, "ServerError"),
            ("bookings", f"a row of {second}", "InvalidResponse"),
            ("bookings", third, "TicketSourceError"),
            ("programme", f"venues of {event}", "ServerError"),
        ]
    )
    assert "Could not be read: 4" in said
    assert dates_read(asked) == {first, second, third}


@pytest.mark.slow
async def test_a_moved_booking_has_its_new_date_and_a_deleted_one_has_no_rows(
    shows: Sandbox, warehouse: Warehouse
) -> None:
    """A booking that its list hides keeps its rows."""
    first, second, *_ = [one.id for one in await dates_of(shows)]
    moved, gone, hidden = await rows_at(shows, f"/dates/{first}/bookings")
    before = "2026-01-03T00:00:00+00:00"  # so that all dates are due
    await warehouse.load(shows, "--seats", now=before)
    answer_with(shows, f"/dates/{first}/bookings", [])
    answer_with(shows, f"/bookings/{moved['id']}", {**moved, "links": {"date": f"{shows.url}/dates/{second}"}})
    shows.fail(path=f"/bookings/{gone['id']}", status=404)
    await warehouse.load(shows, "--seats", now=before)

    dates = dict(warehouse.ask("SELECT id, date_id FROM bookings"))
    assert len(dates) == 11
    assert (dates[moved["id"]], dates[hidden["id"]], dates.get(gone["id"])) == (second, first, None)
    for table in ("booking_lines", "seats"):
        found = set(warehouse.column(f"SELECT booking_id FROM {table}"))
        assert found == set(dates)


@pytest.mark.slow
async def test_seats_and_notes_requested_later_are_read_and_a_deleted_note_is_removed(
    shows: Sandbox, warehouse: Warehouse
) -> None:
    """They are read once for dates that are long over, too."""
    await warehouse.load(shows, now=LATER)
    _, asked = await warehouse.load(shows, "--seats", "--notes", now=LATER)
    _, again = await warehouse.load(shows, "--seats", now=LATER)
    truth = await everything_in(shows)
    assert rows_in(warehouse) == truth

    deleted = next(iter(truth["notes"]))
    note, customer, _ = deleted
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        await ts.notes.delete(customer, note)
    odd = next(key for key in truth["notes"] if key[1] != customer)
    answer_with(shows, f"/customers/{odd[1]}/notes", [{"id": odd[0], "type": "customer_note", "attributes": None}])
    await warehouse.load(shows, "--notes", now=LATER, ends_in=1)

    assert len(dates_read(asked)) == 4
    assert dates_read(again) == set()
    assert rows_in(warehouse)["notes"] == truth["notes"] - Counter([deleted])


ODD = "=1+1 \x00 \uf026abc \\ 'x' \"y\" E'' %s {x} \t\r\n ; -- \U0001f600"


@pytest.mark.slow
async def test_the_warehouse_loads_odd_values(any_warehouse: Warehouse) -> None:
    """Texts are unchanged, except for characters that PostgreSQL refuses. Money is exact, or NULL and in `invalid`."""
    amounts = ["12.499999999999998", "-0.1", "1E+3", "1e-30", "1e25", "null", '"free"', "99999999999999999999"]
    async with Sandbox(customers=2, events=1, dates_per_event=1, bookings_per_date=1, rate_limit=None) as box:
        person, other = box.customers.ids()
        box.customers.overwrite(person, {"first_name": ODD, "last_name": "", "created_at": "0001-01-01T00:00:00+05:00"})
        box.customers.overwrite(
            other, {"x\x00": {"n": 10**40, "y": ["\x00"]}, "created_at": "9999-12-31T23:59:59-05:00"}
        )
        date_id = (await dates_of(box))[0].id
        path = f"/dates/{date_id}/bookings"
        (booking,) = await rows_at(box, path)
        lines = ", ".join(
            f'{{"line_type": "TICKETS", "amount": {{"gross": {amount}, "tax": 1}}}}' for amount in amounts
        )
        body = f'{{"data": [{{"id": "{booking["id"]}", "type": "booking", "attributes": {{"lines": [{lines}]}}}}]}}'
        box.fail(path=path, status=200, body=body, times=None)
        await any_warehouse.load(box)
        await any_warehouse.load(box)

    customers = any_warehouse.ask("SELECT id, first_name, last_name, extra FROM customers WHERE _dlt_valid_to IS NULL")
    people = {row[0]: row[1:] for row in customers}
    assert people[person][:2] == (ODD.replace("\x00", "\N{REPLACEMENT CHARACTER}"), "")
    extra = people[other][2]
    extra = json.loads(extra) if isinstance(extra, str) else extra
    assert extra == {"x\N{REPLACEMENT CHARACTER}": {"n": 10**40, "y": ["\N{REPLACEMENT CHARACTER}"]}}
    assert len(any_warehouse.ask("SELECT id FROM customers")) == 2
    gross = any_warehouse.column("SELECT gross FROM booking_lines ORDER BY line")
    assert gross == [*map(Decimal, amounts[:3]), *[None] * 4, Decimal(amounts[7])]
    ((date_of, total, extra, invalid),) = any_warehouse.ask("SELECT date_id, gross, extra, invalid FROM bookings")
    extra, invalid = (json.loads(value) if isinstance(value, str) else value for value in (extra, invalid))
    assert (date_of, total) == (date_id, None)
    assert extra == {f"lines[{index}].amount.tax": 1 for index in range(len(amounts))}
    assert invalid == {"lines[3].gross": "1E-30", "lines[4].gross": "1E+25", "lines[6].amount.gross": "free"}


@pytest.mark.slow
async def test_each_finished_run_into_files_adds_a_snapshot(shows: Sandbox, tmp_path: Path) -> None:
    """A killed run adds none. A run that could not read a part says so in one of its files."""
    files = Warehouse("parquet", tmp_path)
    truth = await everything_in(shows)
    first = next(iter(truth["dates"]))[0]
    async with files.stopped_at(shows, f"/dates/{first}/bookings"):
        pass
    every = ("--notes", "--seats")
    await files.load(shows, *every, now=LATER)
    shows.fail(path=f"/dates/{first}/bookings", status=501)
    await files.load(shows, *every, now=LATER, ends_in=1)

    folder = tmp_path / "box_office_parquet" / "ticketsource"
    runs = sorted(json.loads(path.read_text())["load_id"] for path in folder.glob("_dlt_loads/*.jsonl"))
    assert len(runs) == 2
    found = []
    for run in runs:
        tables = {}
        for table, names in COLUMNS.items():
            rows = duckdb.execute(f"SELECT {names} FROM '{folder}/{table}/{run}.*.parquet'").fetchall()
            tables[table] = Counter(row[0] if table == "customers" else row for row in rows)
        found.append(tables)
    assert found[0] == truth
    assert found[1]["seats"] < truth["seats"]
    assert {table: rows for table, rows in found[1].items() if table not in ("bookings", "booking_lines", "seats")} == {
        table: rows for table, rows in truth.items() if table not in ("bookings", "booking_lines", "seats")
    }
    unread = f"SELECT part FROM '{folder}/unread/{runs[1]}.*.parquet'"
    assert duckdb.execute(unread).fetchall() == [(first,)]
    gross = duckdb.execute(f"SELECT typeof(gross) FROM '{folder}/booking_lines/{runs[0]}.*.parquet' LIMIT 1").fetchall()
    assert gross == [("DECIMAL(38,18)",)]
    assert files.readable_by_others() == set()
