"""`ticketsource door-list`: its output for people."""

import asyncio
import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import Rows, on_terminal, rows_in, run, table

from ticketsource_async import TicketSource
from ticketsource_async.files import FORMATS
from ticketsource_async.sandbox import Sandbox

DOOR_LIST = ("door-list",)
READ = (
    "Read from TicketSource on [-0-9]{10} at [0-9]{2}:[0-9]{2}[.] "
    "The start is as TicketSource writes it, in UTC[+]00:00[.]"
)


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=20, events=1, dates_per_event=2, bookings_per_date=10, rate_limit=None) as hall:
        yield hall


@pytest.fixture(name="date")
async def _date(hall: Sandbox) -> str:
    """Return the id of a date, for which the first ten customers have booked."""
    async with TicketSource(hall.api_key, base_url=hall.url, rate_limit=None) as ts:
        (date, _) = [date.id async for event in ts.events.list() async for date in ts.events.list_dates(event)]
    hall.requests.clear()
    return date


async def bookings(hall: Sandbox, date: str) -> list[str]:
    """Return the ids of the bookings for a date, in the order of the API."""
    async with TicketSource(hall.api_key, base_url=hall.url, rate_limit=None) as ts:
        return [booking.id async for booking in ts.dates.list_bookings(date)]


async def test_a_door_list_is_sorted_by_surname_and_announces_its_requests(hall: Sandbox, date: str) -> None:
    """There is one request for each booking and for each customer, besides those for the performance."""
    done = await run(*DOOR_LIST, date, box=hall)

    rows = table(done.out)
    assert done.code == 0
    assert {row["booking_id"] for row in rows} == set(await bookings(hall, date))
    assert [row["name"].lower() for row in rows] == sorted(row["name"].lower() for row in rows)
    assert all(row["ref"] and row["seats"] and row["customer_id"] for row in rows)
    first, last = done.err.splitlines()
    assert first == "Reading seats and customers: 20 requests."
    assert re.fullmatch(f"10 bookings, [0-9]+ places; [0-9]+ bookings? cancelled or refunded[.] {READ}", last)


@pytest.mark.parametrize(
    ("options", "said", "columns"),
    [
        ((), "Reading seats and customers: 20 requests.", {"seats", "places", "attendees"}),
        (("--notes",), "Reading seats, customers and notes: 30 requests.", {"seats", "places", "attendees", "notes"}),
        (("--fast",), "Reading customers: 10 requests.", set()),
        (("--fast", "--notes"), "Reading customers and notes: 20 requests.", {"notes"}),
    ],
)
async def test_columns_that_are_not_requested_are_left_out_and_take_no_requests(
    hall: Sandbox, date: str, options: tuple[str, ...], said: str, columns: set[str]
) -> None:
    """The other columns are always there."""
    done = await run(*DOOR_LIST, date, *options, box=hall)

    assert done.err.splitlines()[0] == said
    always = {"arrived", "name", "ref", "telephone", "remarks", "booking_id", "customer_id"}
    assert set(table(done.out)[0]) == always | columns
    assert len(hall.requests) == 4 + int(said.split()[-2])


async def test_many_requests_are_announced_with_their_minutes() -> None:
    """They are announced before they begin."""
    async with Sandbox(customers=250, events=1, dates_per_event=1, bookings_per_date=250, rate_limit=None) as hall:
        async with TicketSource(hall.api_key, base_url=hall.url, rate_limit=None) as ts:
            (date,) = [date.id async for event in ts.events.list() async for date in ts.events.list_dates(event)]
        for customer in hall.customers.ids():  # so that nothing is waited for
            hall.fail(path=f"/customers/{customer}", status=401)
        done = await run(*DOOR_LIST, date, box=hall)

    assert done.code == 4
    assert done.err.splitlines()[0] == "Reading seats and customers: 500 requests, which take 2 minutes or more."


async def test_quiet_prints_nothing_on_stderr_if_nothing_fails(hall: Sandbox, date: str) -> None:
    """The list is the same."""
    done = await run(*DOOR_LIST, date, "--quiet", box=hall)

    assert (done.code, done.err, len(table(done.out))) == (0, "", 10)


@pytest.mark.parametrize("kind", FORMATS)
async def test_a_door_list_is_written_in_every_format(hall: Sandbox, date: str, tmp_path: Path, kind: str) -> None:
    """A page has no ids: at a door, nobody needs them."""
    file = tmp_path / f"door.{kind}"

    done = await run(*DOOR_LIST, date, "-o", str(file), box=hall)

    rows = rows_in(file, kind)
    assert (done.code, done.out, len(rows)) == (0, "", 10)
    assert ("booking_id" in rows[0]) == (kind != "html")
    plain = table((await run(*DOOR_LIST, date, box=hall)).out)
    assert [row["name"] for row in rows] == [row["name"] for row in plain]
    assert [row["seats"] for row in rows] == [row["seats"] for row in plain]


async def test_a_terminal_shows_a_table_with_the_performance_below(hall: Sandbox, date: str) -> None:
    """All bookings are in the table."""
    code, shown = await on_terminal(*DOOR_LIST, date, "--quiet", box=hall, columns=120)

    lines = shown.splitlines()
    assert code == 0
    assert lines[0].split()[:3] == ["name", "ref", "seats"]
    assert len(lines) == 2 + 10 + 4
    assert lines[-3] == "The Lighthouse, 2026-01-03 19:30, Town Hall"
    assert re.fullmatch(f"10 bookings, .*{READ}", " ".join(lines[-2:]))


async def test_a_surname_that_looks_like_a_script_is_text_on_the_page(hall: Sandbox, date: str, tmp_path: Path) -> None:
    """Somebody may have typed it when they booked."""
    evil = "<script>document.title='taken'</script>"
    hall.customers.overwrite(hall.customers.ids()[2], {"last_name": evil, "first_name": None})

    await run(*DOOR_LIST, date, "-o", str(tmp_path / "door.html"), box=hall)

    page = (tmp_path / "door.html").read_text("utf-8")
    assert "<script" not in page
    assert evil in [row["name"] for row in Rows.of(page)]


async def test_a_deleted_customer_is_on_the_list_and_is_reported(hall: Sandbox, date: str) -> None:
    """That is no failure: TicketSource has only the booking."""
    gone = hall.customers.ids()[4]
    hall.customers.delete([gone])

    done = await run(*DOOR_LIST, date, "--notes", box=hall)

    (row,) = [row for row in table(done.out) if row["customer_id"] == gone]
    assert done.code == 0
    assert row["ref"]
    assert "this customer is no longer in TicketSource" in row["remarks"]
    assert f"1 customer can no longer be found in TicketSource: {gone}\n" in done.err


async def test_unreadable_seats_and_customers_keep_their_rows_and_are_reported(
    hall: Sandbox, date: str, tmp_path: Path
) -> None:
    """The exit code is 1."""
    odd = (await bookings(hall, date))[1]
    hall.fail(path=f"/bookings/{odd}/seats", status=501)
    hall.fail(path=f"/customers/{hall.customers.ids()[3]}", status=501)
    file = tmp_path / "door.html"

    done = await run(*DOOR_LIST, date, "-o", str(file), "--quiet", box=hall)

    page = file.read_text("utf-8")
    assert done.code == 1
    assert len(Rows.of(page)) == 10
    assert f"ticketsource: GET /bookings/{odd}/seats?page=1&per_page=100 was answered 501" in done.err
    for warning in (
        "The customer of 1 booking could not be read.",
        "All or some of the seats of 1 booking could not be read.",
    ):
        assert warning in done.err
        assert f'<p dir="auto">{warning}</p>' in page
    assert "NOT COMPLETE</th>" in page
    assert {row["seats"] for row in Rows.of(page) if "seats could not" in row["remarks"]} == {"(could not be read)"}


async def test_a_page_from_an_endless_list_says_that_people_may_be_missing(
    hall: Sandbox, date: str, tmp_path: Path
) -> None:
    """The exit code is 1."""
    for number in range(1, 20):
        body = json.dumps({"data": [], "links": {"next": f"?page={number + 1}"}})
        hall.fail(path=f"/dates/{date}/bookings", status=200, body=body)

    done = await run(*DOOR_LIST, date, "-o", str(tmp_path / "door.html"), box=hall)

    page = (tmp_path / "door.html").read_text("utf-8")
    assert done.code == 1
    assert "People may be missing" in page
    assert "<p>Nobody who has booked could be read.</p>" in page
    assert "Rows may be missing." in done.err


@pytest.mark.parametrize(
    ("cancelled", "on_page"),
    [(True, "CANCELLED</th>"), (None, "PERHAPS CANCELLED</th>"), (False, None), (1, "PERHAPS CANCELLED</th>")],
)
async def test_a_cancelled_performance_is_marked_on_the_page(
    hall: Sandbox, date: str, tmp_path: Path, cancelled: object, on_page: str | None
) -> None:
    """A missing or unreadable value does not count as no."""
    async with TicketSource(hall.api_key, base_url=hall.url, rate_limit=None) as ts:
        answer = await ts.request("GET", f"/dates/{date}")
    row = json.loads(json.dumps(answer.data))
    row["attributes"]["cancelled"] = cancelled
    hall.fail(path=f"/dates/{date}", status=200, body=json.dumps({"data": row}))

    await run(*DOOR_LIST, date, "-o", str(tmp_path / "door.html"), box=hall)

    page = (tmp_path / "door.html").read_text("utf-8")
    assert ("CANCELLED</th>" in page) == (on_page is not None)
    assert on_page is None or f"Town Hall - {on_page}" in page


async def test_a_date_without_bookings_gives_a_page(hall: Sandbox, date: str, tmp_path: Path) -> None:
    """The page says that nobody has booked."""
    hall.fail(path=f"/dates/{date}/bookings", status=200, body='{"data": [], "links": {}}')
    done = await run(*DOOR_LIST, date, "-o", str(tmp_path / "door.html"), box=hall)

    page = (tmp_path / "door.html").read_text("utf-8")
    assert done.code == 0
    assert "<p>Nobody has booked.</p>" in page
    assert '<h1 dir="auto">The Lighthouse, 2026-01-03 19:30, Town Hall</h1>' in page
    assert re.fullmatch(f"0 bookings, 0 places[.] {READ} Nobody has booked[.]\n", done.err)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("evt-1",), 2, "'evt-1' is not the id of a date. Such an id begins with dat-. To find it, run `programme "),
        (
            ("dat-a b",),
            2,
            "'dat-a b' is not the id of a date. Such an id begins with dat-. To find it, run `programme ",
        ),
        (("dat-nothing",), 1, "was answered 404"),
        (("dat-1", "--format", "table", "-o", "x.txt"), 2, "--format table cannot be written to a file"),
        (("dat-1", "-o", "x.pdf"), 2, "x.pdf ends in .pdf, which is not a format"),
        ((), 2, "DATE_ID"),
    ],
)
async def test_an_invalid_date_or_format_is_refused(
    hall: Sandbox, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """Nothing is printed."""
    done = await run(*DOOR_LIST, *arguments, box=hall)

    assert (done.code, done.out) == (code, "")
    assert said in " ".join(done.err.split())


@pytest.mark.parametrize("wrong", ["tonight", "evt-1"])
async def test_an_invalid_id_is_refused_before_an_extra_or_a_key_is_needed(tmp_path: Path, wrong: str) -> None:
    """No other error hides this one."""
    program = "import sys; sys.modules['jinja2'] = None; from ticketsource_async.__main__ import main; main()"
    words = ("door-list", wrong, "-o", str(tmp_path / "none" / "door.html"))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TICKETSOURCE_")}
    done = await asyncio.to_thread(
        subprocess.run, (sys.executable, "-c", program, *words), capture_output=True, text=True, env=settings
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{wrong!r} is not the id of a date. Such an id begins with dat-." in " ".join(done.stderr.split())


async def test_values_that_could_not_be_read_are_counted(hall: Sandbox, date: str) -> None:
    """With --strict the exit code is 1."""
    hall.customers.overwrite(hall.customers.ids()[1], {"telephone": {"number": 1}})

    done = await run(*DOOR_LIST, date, box=hall)
    strict = await run(*DOOR_LIST, date, "--strict", box=hall)

    assert (done.code, strict.code) == (0, 1)
    assert "telephone of 1 customer could not be read: " in done.err
    assert "(unreadable)" in [row["telephone"] for row in csv.DictReader(done.out.splitlines())]


async def test_a_formula_in_a_name_is_not_run_by_a_spreadsheet(hall: Sandbox, date: str) -> None:
    """It is escaped as in every export."""
    hall.customers.overwrite(hall.customers.ids()[1], {"last_name": "=1+1", "first_name": None})

    done = await run(*DOOR_LIST, date, box=hall)

    assert "'=1+1" in [row["name"] for row in table(done.out)]


async def test_the_sample_box_office_has_door_lists(hall: Sandbox) -> None:
    """Users can try the command without an account."""
    async with Sandbox() as box, TicketSource(box.api_key, base_url=box.url) as ts:
        (date, *_) = [
            date.id async for event in ts.events.list(max_items=1) async for date in ts.events.list_dates(event)
        ]

    done = await run(*DOOR_LIST, date, "--sandbox")

    assert (done.code, len(table(done.out))) == (0, 5)
