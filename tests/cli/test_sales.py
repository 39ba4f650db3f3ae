"""`ticketsource sales`: its output on a terminal and in files."""

import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from command import on_terminal, rows_in, run, table
from halls import answer_with, first_date

from ticketsource_async import TicketSource
from ticketsource_async.cli.sales import BY
from ticketsource_async.files import FORMATS
from ticketsource_async.reports.sales import By
from ticketsource_async.sandbox import Sandbox

SUMS = ("gross_after_refunds", "discounts", "fees", "fee_vat", "net_after_refunds", "refunds", "donations", "other")


@pytest.fixture(name="hall")
async def _hall() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=30, events=7, dates_per_event=6, bookings_per_date=3, rate_limit=None) as hall:
        yield hall


def test_the_option_by_has_the_choices_of_the_library() -> None:
    """The names are the same."""
    assert get_args(By) == BY


async def test_a_terminal_gets_a_table_with_a_total(hall: Sandbox) -> None:
    """The headings say that refunds are subtracted. Cancelled performances are marked."""
    code, shown = await on_terminal("sales", "--by", "event", box=hall, columns=160)

    lines = shown.splitlines()
    assert code == 0
    assert "gross after" in shown
    assert "net after" in shown
    assert re.search(r"^The Lighthouse +2026-01-03 19:30 +18 ", shown, re.MULTILINE)
    assert re.search(r"^Total +126 +[0-9]+\.[0-9]{2} +-[0-9]+\.[0-9]{2} ", shown, re.MULTILINE)
    assert re.search(r"^The Lighthouse.* 1 of 6", shown, re.MULTILINE)
    assert lines[-1].startswith("Not shown: ")


@pytest.mark.parametrize("by", BY)
async def test_the_rows_of_a_file_add_up_to_the_total(hall: Sandbox, by: str) -> None:
    """The column `row` marks the total, so that a spreadsheet counts nothing twice."""
    done = await run("sales", "--by", by, box=hall)

    *rows, total = table(done.out)
    assert (done.code, done.err) == (0, "")
    assert {row["row"] for row in rows} == {by}
    assert total["row"] == "total"
    for name in SUMS:
        assert sum(Decimal(row[name]) for row in rows) == Decimal(total[name])
    assert total["bookings"] == "126"
    assert (sum(int(row["bookings"]) for row in rows) == 126) == (by != "sold-day")
    assert {row["other_types"] for row in rows} <= {"", "SUNDRY"}


async def test_each_payment_method_has_its_rows_and_its_total(hall: Sandbox) -> None:
    """Only the total has the number of performances."""
    done = await run("sales", "--by", "month", "--payment-methods", box=hall)

    rows = table(done.out)
    split = [row for row in rows if row["row"] == "month"]
    methods = [row for row in rows if row["row"] == "total of a payment method"]
    (total,) = [row for row in rows if row["row"] == "total"]
    assert {row["payment_method"] for row in methods} == {row["payment_method"] for row in split} > {"TS", "CASH"}
    assert {row["performances"] + row["cancelled"] for row in (*split, *methods)} == {""}
    assert (total["payment_method"], total["performances"], total["cancelled"]) == ("", "42", "1")
    for name in SUMS:
        assert sum(Decimal(row[name]) for row in split) == sum(Decimal(row[name]) for row in methods)
        assert sum(Decimal(row[name]) for row in split) == Decimal(total[name])


@pytest.mark.parametrize("kind", FORMATS)
async def test_the_sales_are_written_in_every_format(hall: Sandbox, tmp_path: Path, kind: str) -> None:
    """The last row is the total."""
    target = tmp_path / f"sales.{kind}"

    done = await run("sales", "--by", "day", "-o", str(target), box=hall)

    rows = rows_in(target, kind)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert rows[0]["event"] == "The Lighthouse"
    assert rows[-1]["row"] == "total"
    assert Decimal(str(rows[-1]["gross_after_refunds"])) == sum(
        Decimal(str(row["gross_after_refunds"])) for row in rows[:-1]
    )


async def test_days_and_events_choose_performances(hall: Sandbox) -> None:
    """An invalid event is refused before any request."""
    event, _, _ = await first_date(hall)
    hall.requests.clear()

    chosen = await run("sales", "--event", event, "--from", "2026-01-10", "--to", "2026-01-17", box=hall)
    wrong = await run("sales", "--event", "cst-1", box=hall)
    backwards = await run("sales", "--from", "2026-01-10", "--to", "2026-01-09", box=hall)

    assert [row["start"][:10] for row in table(chosen.out)] == ["2026-01-10", "2026-01-17", ""]
    assert (wrong.code, wrong.out) == (2, "")
    assert "'cst-1' is not the id of an event. Such an id begins with evt-. To find it, run `events list`." in wrong.err
    assert backwards.code == 2
    assert len(hall.requests) == 1 + 1 + 1 + 2


async def test_an_unreadable_performance_is_reported_and_the_total_is_empty(hall: Sandbox, tmp_path: Path) -> None:
    """The exit code is 1, and the file has all other rows."""
    _, date_id, _ = await first_date(hall)
    hall.fail(path=f"/dates/{date_id}/bookings", status=501)
    target = tmp_path / "sales.csv"

    done = await run("sales", "-o", str(target), box=hall)

    rows = rows_in(target, "csv")
    assert done.code == 1
    assert done.err.startswith(f"ticketsource: date {date_id} of event ")
    assert done.err.count("\n") == 1
    assert [row["date_id"] for row in rows if not row["gross_after_refunds"]] == [date_id, ""]
    assert [row["missing"] for row in rows if row["missing"]] == ["without 1 performance"] * 2
    assert {rows[-1][name] for name in (*SUMS, "bookings")} == {""}


async def test_a_table_says_below_what_is_missing(hall: Sandbox) -> None:
    """Each day of sale may lack lines of any performance. The table says so once."""
    _, date_id, _ = await first_date(hall)
    hall.fail(path=f"/dates/{date_id}/bookings", status=501, times=None)

    by_date = await run("sales", "--format", "table", box=hall)
    by_sale = await run("sales", "--format", "table", "--by", "sold-day", box=hall)

    assert by_date.out.endswith(
        "The Lighthouse, 2026-01-03 19:30: without 1 performance.\nTotal: without 1 performance.\n"
    )
    assert re.search(r"^The Lighthouse +2026-01-03 19:30$", by_date.out, re.MULTILINE)
    assert by_sale.out.endswith("\nTotal: without 1 performance.\nOther rows may lack the same as the total.\n")
    assert by_sale.out.count("without 1 performance") == 1


async def test_a_table_names_twenty_incomplete_rows_and_counts_the_others(hall: Sandbox) -> None:
    """The total is incomplete, too."""
    hall.fail(path=None, after=15, status=501, times=30)

    done = await run("sales", "--format", "table", box=hall)

    assert "more rows lack something.\nTotal: without " in done.out
    assert len(re.findall(": without 1 performance", done.out)) == 20


async def test_the_old_file_is_kept_if_no_performance_could_be_read(hall: Sandbox, tmp_path: Path) -> None:
    """An empty file would look as if nothing was sold."""
    target = tmp_path / "sales.csv"
    target.write_text("old")

    done = await run("sales", "--event", "evt-gone", "-o", str(target), box=hall)

    assert (done.code, target.read_text()) == (1, "old")
    assert f"no performance could be read, so {target} was not written." in done.err


async def test_unreadable_values_empty_their_sums_and_are_reported(hall: Sandbox) -> None:
    """The column `missing` and stderr report them. With `--strict`, the exit code is 1."""
    _, date_id, rows = await first_date(hall)
    rows[0]["attributes"]["lines"][0]["amount"]["gross"] = "abc"
    rows[1]["attributes"]["lines"][0]["line_type"] = None
    rows[2]["attributes"]["lines"].append({"line_type": "GIFT\x1b[31m CARD", "amount": {"gross": 3}})
    answer_with(hall, f"/dates/{date_id}/bookings", rows)

    done = await run("sales", box=hall)
    strict = await run("sales", "--strict", "--quiet", box=hall)
    shown = (await run("sales", "--format", "table", box=hall)).out

    row = next(row for row in table(done.out) if row["date_id"] == date_id)
    assert (done.code, strict.code, strict.out) == (0, 1, done.out)
    assert {row[name] for name in SUMS} == {""}
    assert row["missing"] == "1 line without a type; 1 line without gross"
    assert row["other_types"].startswith("GIFT")
    assert done.err == (
        f"lines[].amount.gross of 1 booking could not be read, so the cells are empty: {rows[0]['id']}\n"
    )
    assert "\x1b" not in shown
    assert "The Lighthouse, 2026-01-03 19:30: 1 line without a type; 1 line without gross.\nTotal: 1 line" in shown


async def test_a_repeated_booking_is_reported(hall: Sandbox) -> None:
    """It counts once."""
    event, date_id, rows = await first_date(hall)
    async with TicketSource(hall.api_key, base_url=hall.url) as ts:
        second = (await ts.events.list_dates(event).collect())[1].id
    answer_with(hall, f"/dates/{second}/bookings", rows)

    done = await run("sales", box=hall)

    assert done.err == "3 bookings came more than once from the API. Each counts once.\n"
    assert [row["bookings"] for row in table(done.out) if row["date_id"] in (date_id, second)] == ["3", "0"]


async def test_tickets_are_counted_by_price_category_and_the_requests_are_announced(hall: Sandbox) -> None:
    """There is a column for each category."""
    event, _, _ = await first_date(hall)
    hall.requests.clear()

    done = await run("sales", "--by", "event", "--tickets", "--event", event, box=hall)
    quiet = await run("sales", "--by", "event", "--tickets", "--event", event, "-q", "--format", "json", box=hall)
    on_screen = await run("sales", "--tickets", "--event", event, "--format", "table", box=hall)

    row, total = table(done.out)
    assert done.err == "Reading the seats of 18 bookings: 18 requests.\n"
    assert quiet.err == ""
    assert [row[f"seats_{name}"] for name in ("sold", "cancelled", "unknown")] == ["41", "2", "0"]
    assert [int(row[f"sold: {one}"]) for one in ("Adult", "Child", "Concession")] == [26, 12, 3]
    assert "cancelled: Adult" in row
    assert "unknown: Adult" not in row
    assert {name: row[name] for name in row if "sold" in name} == {name: total[name] for name in row if "sold" in name}
    assert json.loads(quiet.out)[0]["seats_sold"] == 41
    assert re.search(r"bookings +sold +cancelled", on_screen.out)


async def test_the_minutes_for_the_seats_of_many_bookings_are_announced() -> None:
    """The rate limit is 240 requests a minute. The number is printed before the first of these requests."""
    async with Sandbox(customers=30, events=1, dates_per_event=1, bookings_per_date=250, rate_limit=None) as hall:
        _, _, bookings = await first_date(hall)
        for booking in bookings:  # so that nothing is waited for
            hall.fail(path=f"/bookings/{booking['id']}/seats", status=401)
        done = await run("sales", "--by", "month", "--tickets", box=hall)

    assert done.code == 4
    first, *_ = done.err.splitlines()
    assert first == "Reading the seats of 250 bookings: 250 requests, which take 1 minute or more."


async def test_without_bookings_no_requests_are_announced() -> None:
    """Stderr is empty."""
    async with Sandbox(customers=0, events=1, rate_limit=None) as hall:
        done = await run("sales", "--by", "event", "--tickets", "--format", "table", box=hall)

    assert (done.code, done.err) == (0, "")
    assert re.search(r"^Total +0 +0 +0 +0\.00", done.out, re.MULTILINE)


async def test_unreadable_seats_and_seats_of_unknown_state_are_reported(hall: Sandbox) -> None:
    """Stderr names the bookings of the first, and an unreadable value of the second."""
    event, _, rows = await first_date(hall)
    hall.fail(path=f"/bookings/{rows[0]['id']}/seats", status=501)
    odd = {"id": "sea-1", "type": "seat", "attributes": {"is_booked": 1, "is_cancelled": False, "price_category": "=A"}}
    hall.fail(path=f"/bookings/{rows[1]['id']}/seats", status=200, body=json.dumps({"data": [odd], "links": {}}))

    done = await run("sales", "--tickets", "--event", event, box=hall)

    first, *others, total = table(done.out)
    assert done.code == 1
    assert f"ticketsource: the list of seats of booking {rows[0]['id']} could not be read: " in done.err
    assert "is_booked of 1 seat could not be read" in done.err
    assert (first["seats_sold"], first["missing"]) == ("", "without the seats of 1 booking")
    assert (total["seats_sold"], total["missing"]) == ("", "without the seats of 1 booking")
    assert total["gross_after_refunds"]
    assert {row["missing"] for row in others} == {""}
    assert all(row["seats_sold"] for row in others)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--tickets", "--payment-methods"],
        ["--tickets", "--by", "sold-day"],
        ["--format", "table", "-o", "sales.csv"],
        ["--format", "table", "--excel"],
        ["--format", "json", "--excel"],
        ["-o", "sales.docx"],
        ["--by", "year"],
    ],
)
async def test_contradictory_options_are_wrong_use(hall: Sandbox, wrong: list[str]) -> None:
    """No request is made."""
    done = await run("sales", *wrong, box=hall)

    assert (done.code, done.out, len(hall.requests)) == (2, "", 0)


async def test_the_help_explains_the_sums() -> None:
    """It also says that the time zone is not known."""
    said = " ".join((await run("sales", "--help")).out.split())

    for words in ("Refunds are taken off", "are for tickets", "time zone is not known", "names no currency"):
        assert words in said


async def test_an_incomplete_list_of_bookings_gives_no_total(hall: Sandbox) -> None:
    """It is reported, and the exit code is 1."""
    _, date_id, rows = await first_date(hall)
    path = f"/dates/{date_id}/bookings"
    for page in range(1, 20):
        body = {"data": rows if page == 1 else [], "links": {"next": f"?page={page + 1}"}}
        hall.fail(path=path, page=page, status=200, body=json.dumps(body))

    done = await run("sales", box=hall)

    *others, total = table(done.out)
    assert done.code == 1
    assert f"ticketsource: the rest of date {date_id} of event " in done.err
    assert (total["gross_after_refunds"], total["missing"]) == ("", "without 1 performance")
    assert [row["date_id"] for row in others if not row["gross_after_refunds"]] == [date_id]
