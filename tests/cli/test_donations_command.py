"""donations: the list of donations, and HMRC's schedule of those with Gift Aid."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import on_terminal, rows_in, run, table
from donated import Row, booking, box_office, customer, donation, line, refund, tickets

from ticketsource_async.files import FORMATS
from ticketsource_async.report_tables import DONATIONS, GIFT_AID_SCHEDULE
from ticketsource_async.sandbox import Sandbox

LIST = ("donations", "--from", "2026-01-01", "--to", "2026-01-31")
GIFT_AID = (*LIST, "--gift-aid")
FIRST_LINE = "Reading the bookings for all performances, since each can have a donation.\n"


def rows_of(out: str, *names: str) -> list[tuple[str, ...]]:
    """Return these cells of each row of a CSV."""
    return [tuple(row[name] for name in names) for row in table(out)]


async def test_each_donation_and_refund_has_a_row_with_donor_booking_and_event() -> None:
    """The day of the line decides, not that of the performance. Each donor is requested once."""
    rows = [
        booking(1, tickets(), donation(5.5, "2026-01-20"), customer="cst-1"),
        booking(2, donation(10, "2026-01-02", gift_aid=False), refund(-4, "2026-01-31"), customer="cst-2"),
        booking(3, donation(3, "2026-01-03", gift_aid=None), customer="cst-1"),
        booking(4, donation(9, "2026-02-01"), tickets(), customer="cst-3"),
    ]
    async with box_office(rows, customers=[customer(f"cst-{number}") for number in (1, 2, 3)]) as office:
        done = await run(*LIST, url=office.url)

    assert done.code == 0
    assert rows_of(done.out, "day", "amount", "gift_aid", "is_refund", "customer_id", "ref", "line", "remark") == [
        ("2026-01-02", "10", "no", "false", "cst-2", "REF2", "1", ""),
        ("2026-01-03", "3", "unknown", "false", "cst-1", "REF3", "1", ""),
        ("2026-01-20", "5.5", "yes", "false", "cst-1", "REF1", "2", ""),
        ("2026-01-31", "-4", "yes", "true", "cst-2", "REF2", "2", ""),
    ]
    assert table(done.out)[0] | {"line": "1"} == dict(
        zip(
            DONATIONS.names,
            (
                *("2026-01-02", "10", "no", "false", "cst-2", "Alex", "Sample", "evt-1", "Swan Lane"),
                *("dat-1", "2026-12-20T19:30:00+00:00", "bkg-2", "REF2", "1", ""),
            ),
            strict=True,
        )
    )
    assert done.err == (
        f"{FIRST_LINE}Reading 2 donors: 2 requests.\nThe command made 5 requests.\n"
        "3 donations and 1 refund: 14.50. Gift Aid: yes 1.50, no 10.00, unknown 3.00.\n"
    )
    assert sorted(path for path in office.asked if "customers" in path) == ["/customers/cst-1", "/customers/cst-2"]


async def test_a_period_without_donations_gives_an_empty_list() -> None:
    """Stderr says so, and announces no request for donors."""
    async with box_office([booking(1, tickets())]) as office:
        done = await run(*LIST, url=office.url)

    assert (done.code, table(done.out)) == (0, [])
    assert done.out.strip() == ",".join(DONATIONS.names)
    assert done.err == (
        f"{FIRST_LINE}The command made 3 requests.\n"
        "0 donations and 0 refunds: 0.00. Gift Aid: yes 0.00, no 0.00, unknown 0.00.\n"
    )


async def test_a_repeated_booking_is_reported() -> None:
    """It counts once."""
    async with box_office([booking(1, donation(5))], [booking(1, donation(5))]) as office:
        done = await run(*LIST, "--quiet", url=office.url)

    assert rows_of(done.out, "ref", "amount") == [("REF1", "5")]
    assert (done.code, done.err) == (0, "1 booking came more than once from the API. Each counts once.\n")


async def test_quiet_prints_nothing_on_stderr() -> None:
    """Nothing went wrong."""
    async with box_office([booking(1, donation(5))]) as office:
        done = await run(*LIST, "--quiet", url=office.url)

    assert (done.code, done.err, len(table(done.out))) == (0, "", 1)


async def test_the_bookings_of_performances_before_a_day_are_not_read() -> None:
    """This saves requests. stderr says which performances are read."""
    async with box_office([booking(1, donation(5))], [booking(2, donation(6))]) as office:
        office.dates = {"dat-1": "2025-12-31T19:30:00+00:00", "dat-2": "2026-01-01T19:30:00+00:00"}
        done = await run(*LIST, "--performances-from", "2026-01-01", url=office.url)

    assert rows_of(done.out, "ref") == [("REF2",)]
    assert "/dates/dat-1/bookings" not in office.asked
    assert done.err.startswith("Reading the bookings for all performances on 2026-01-01 or later, since")


async def test_the_donation_of_a_deleted_donor_is_listed_with_the_id() -> None:
    """TicketSource has no more, so that is no failure."""
    async with box_office([booking(1, donation(5), customer="cst-9")]) as office:
        done = await run(*LIST, url=office.url)

    assert done.code == 0
    assert rows_of(done.out, "customer_id", "customer_last_name", "remark") == [
        ("cst-9", "", "customer cst-9 is no longer in TicketSource")
    ]
    assert done.err.endswith("1 donor can no longer be found in TicketSource: cst-9\n")


async def test_the_donation_of_an_unreadable_donor_is_listed_and_the_command_fails() -> None:
    """Stderr has the error."""
    async with box_office([booking(1, donation(5))]) as office:
        office.failing.add("/customers/cst-1")
        done = await run(*LIST, "--quiet", url=office.url)

    assert done.code == 1
    assert rows_of(done.out, "customer_id", "remark") == [("cst-1", "customer cst-1 could not be read")]
    assert "GET /customers/cst-1" in done.err


async def test_the_donation_of_a_donor_with_an_invalid_id_is_listed() -> None:
    """No request is made for it."""
    async with box_office([booking(1, donation(5), customer="evt-1")]) as office:
        done = await run(*LIST, "--quiet", url=office.url)

    assert done.code == 1
    assert rows_of(done.out, "customer_id", "remark") == [("evt-1", "customer evt-1 could not be read")]
    assert not any("customers" in path for path in office.asked)


async def test_a_sum_with_a_missing_amount_is_not_known() -> None:
    """The row is listed, and stderr says which booking it is."""
    async with box_office([booking(1, donation(5), donation("abc"))]) as office:
        done = await run(*LIST, url=office.url)
        strict = await run(*LIST, "--strict", url=office.url)

    assert (done.code, strict.code) == (0, 1)
    assert rows_of(done.out, "amount", "remark") == [("5", ""), ("", "its amount could not be read")]
    assert "2 donations and 0 refunds: the sum is not known, because of 1 unclear amount." in done.err
    assert "lines[].amount of 1 booking could not be read, so the cells are empty: bkg-1" in done.err


async def test_a_sum_with_a_line_that_may_be_a_refund_is_not_known() -> None:
    """The amount may have to be added or subtracted."""
    async with box_office([booking(1, donation(5), refund(3)), booking(2, donation(4, is_refund="no"))]) as office:
        done = await run(*LIST, url=office.url)

    assert len(table(done.out)) == 3
    assert "3 donations and 0 refunds: the sum is not known, because of 2 unclear amounts.\n" in done.err


async def test_a_donation_without_a_day_is_in_every_list_and_is_reported() -> None:
    """It may belong to another period."""
    async with box_office([booking(1, donation(5, None))]) as office:
        done = await run(*LIST, url=office.url)
        of_all_days = await run("donations", url=office.url)

    said = "The list has 1 row whose day is not known.\n"
    assert rows_of(done.out, "day", "amount", "remark") == [("", "5", "it has no day")]
    assert (said in done.err, said in of_all_days.err) == (True, False)


async def test_an_unreadable_performance_is_reported_and_the_command_fails() -> None:
    """This holds with `--quiet` too: the sum is not complete."""
    async with box_office([booking(1, donation(5))], [booking(2, donation(6))]) as office:
        office.failing.add("/dates/dat-2/bookings")
        done = await run(*LIST, "--quiet", url=office.url)

    assert (done.code, rows_of(done.out, "ref")) == (1, [("REF1",)])
    assert "1 donation and 0 refunds, WITHOUT 1 performance: 5.00." in done.err
    assert "date dat-2 of event evt-1 could not be read" in done.err


async def test_the_old_files_are_kept_if_nothing_could_be_read(tmp_path: Path) -> None:
    """Neither the schedule nor the list of what to complete is replaced."""
    files = [tmp_path / "schedule.csv", tmp_path / "complete.csv"]
    for file in files:
        file.write_text("old")
    async with box_office([booking(1, donation(5))]) as office:
        office.failing.add("/events/evt-1/dates")
        listed = await run(*LIST, "-o", str(files[0]), url=office.url)
        claimed = await run(*GIFT_AID, "-o", str(files[0]), "--to-complete", str(files[1]), url=office.url)

    assert (listed.code, claimed.code) == (1, 1)
    assert [file.read_text() for file in files] == ["old", "old"]
    assert (
        f"no donation was found, but the performances of 1 event could not be read, so {files[0]} was not written."
        in claimed.err
    )


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (
            [line("VOUCHER", 5)],
            0,
            "Left out: 1 line of a type that is not known, which may be donations: REF1 line 1",
        ),
        ([line(None, 5)], 1, "which may be donations: REF1 line 1 (no type)"),
        ([line("GIFT", 5, donation={"gift_aid": True})], 1, "which may be donations: REF1 line 1 (GIFT)"),
        ([line("VOUCHER", 5, "2026-02-01")], 0, ""),
    ],
)
@pytest.mark.parametrize("command", [LIST, GIFT_AID])
async def test_a_line_that_may_be_a_donation_is_reported(
    command: Sequence[str], lines: list[Row], code: int, said: str
) -> None:
    """The command fails if the line has no type, or has Gift Aid."""
    async with box_office([booking(1, *lines)]) as office:
        done = await run(*command, url=office.url)

    assert (done.code, table(done.out)) == (code, [])
    assert said in done.err
    assert ("Left out: 1 line" in done.err) == bool(said)


async def test_a_booking_whose_lines_could_not_be_read_is_reported() -> None:
    """It may have a donation."""
    row = booking(1)
    row["attributes"]["lines"] = "none"
    async with box_office([row]) as office:
        done = await run(*LIST, "--quiet", url=office.url)

    assert done.code == 1
    assert "The lines of 1 booking could not be read: REF1" in done.err


@pytest.mark.parametrize("kind", FORMATS)
async def test_the_list_and_the_schedule_are_written_in_every_format(tmp_path: Path, kind: str) -> None:
    """The ending of the file's name decides."""
    files = [tmp_path / f"{name}.{kind}" for name in ("list", "schedule", "complete")]
    async with box_office([booking(1, donation(5)), booking(2, donation(6), customer=None)]) as office:
        listed = await run(*LIST, "-o", str(files[0]), url=office.url)
        claimed = await run(*GIFT_AID, "-o", str(files[1]), "--to-complete", str(files[2]), url=office.url)

    assert (listed.code, claimed.code) == (0, 0)
    assert [row["ref"] for row in rows_in(files[0], kind)] == ["REF1", "REF2"]
    assert [row["Donation date"] for row in rows_in(files[1], kind)] == ["05/01/26"]
    assert [row["To complete"] for row in rows_in(files[2], kind)] == ["the booking has no customer"]


async def test_the_schedule_has_complete_donations_and_the_others_are_in_a_second_file(tmp_path: Path) -> None:
    """A row of the second file says what is missing. Only the donors in the two files are requested."""
    people = [
        customer("cst-1", last_name="House-Martin", address={"line_1": "The Old Mill", "postcode": "ne124ab"}),
        customer("cst-2", title="Professor", address={"line_1": "2 High Street", "postcode": "75001"}),
    ]
    rows = [
        booking(1, donation(5), refund(-1, "2026-05-01"), customer="cst-1"),
        booking(2, donation(7, "2026-01-02"), customer="cst-2"),
        booking(3, donation(9, gift_aid=False), customer="cst-3"),
        booking(4, donation(9, gift_aid=None), customer="cst-4"),
        booking(5, donation(9, "2025-12-01"), refund(-9, "2026-01-01"), customer="cst-5"),
    ]
    file = tmp_path / "complete.csv"
    async with box_office(rows, customers=people) as office:
        done = await run(*GIFT_AID, "--to-complete", str(file), url=office.url)

    assert done.code == 0
    assert [tuple(row.values()) for row in table(done.out)] == [
        ("Ms", "Alex", "House Martin", "The Old Mill", "NE12 4AB", "", "", "05/01/26", "4.00")
    ]
    [lacking] = rows_in(file, "csv")
    why = "75001 is not a postcode of the United Kingdom (write X for a donor who lives abroad)"
    assert tuple(lacking.values()) == (
        *("", "Alex", "Sample", "2 High Street", "75001", "", "", "02/01/26", "7.00"),
        *(why, "cst-2", "REF2", "bkg-2", "1"),
    )
    assert done.err == (
        f"{FIRST_LINE}Reading 2 donors: 2 requests.\nThe command made 5 requests.\n"
        "The schedule has 1 donation, 4.00 in all. The earliest was made on 05/01/26.\n"
        f"1 donation (7.00) cannot be in the schedule yet: see {file}.\n"
        "Refunds of 1.00 were taken off.\n"
        "Left out: 1 donation without an answer about Gift Aid.\n"
        "The titles of 1 donor were left out: HMRC takes two to four letters.\n"
        "Refunds in this period may belong to Gift Aid donations of another period, in 1 booking: REF5. If you have "
        "claimed for these donations, write what you claimed too much into the cell that the spreadsheet has for it.\n"
    )


async def test_the_command_fails_without_a_file_for_donations_to_complete() -> None:
    """It names the first donations, and what is missing in them."""
    async with box_office([booking(1, donation(5)), booking(2, donation(None))], customers=[]) as office:
        done = await run(*GIFT_AID, "--quiet", url=office.url)

    assert (done.code, table(done.out)) == (1, [])
    assert done.err == (
        "2 donations (the sum is not known, because of 1 unclear amount) cannot be in the schedule yet: REF1 "
        "(customer cst-1 is no longer in TicketSource), REF2 (line 1 of the booking may be a refund; the amount of the "
        "donation is not known; customer cst-1 is no longer in TicketSource). To write them all to a file, add "
        "--to-complete FILE.\n"
    )


async def test_an_incomplete_schedule_is_reported() -> None:
    """This holds with `--quiet` too."""
    async with box_office([booking(1, donation(5))], [booking(2, donation(6))]) as office:
        office.failing.add("/dates/dat-2/bookings")
        done = await run(*GIFT_AID, "--quiet", url=office.url)

    assert (done.code, len(table(done.out))) == (1, 1)
    assert "The schedule has 1 donation, 5.00 in all, WITHOUT 1 performance: it is not complete." in done.err


async def test_more_rows_than_hmrc_accepts_are_reported() -> None:
    """They are all in the file."""
    rows = [booking(number, *(donation(5) for _ in range(20))) for number in range(51)]
    async with box_office(rows) as office:
        done = await run(*GIFT_AID, url=office.url)

    assert (done.code, len(table(done.out))) == (0, 1020)
    assert "HMRC takes 1,000 rows in a schedule: make 2 claims of these.\n" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to-complete", "a.csv"), "--to-complete needs --gift-aid."),
        (("--gift-aid", "--to-complete", "-"), "--output and --to-complete name the same file"),
        (("--gift-aid", "-o", "a.csv", "--to-complete", "a.csv"), "name the same file"),
        (("--gift-aid", "-o", "a.csv", "--to-complete", "./b/../a.csv"), "name the same file"),
        (("--gift-aid", "-o", "a.csv", "--to-complete", "link.csv"), "name the same file"),
        (("--gift-aid", "-o", "hard.csv", "--to-complete", "old.csv"), "name the same file"),
        (("--gift-aid", "-o", "b/new.csv", "--to-complete", "c/new.csv"), "name the same file"),
        (("--to", "2025-12-31"), "--to is before --from."),
        (("--from", "1 January"), "'1 January' is not a day. Write the year"),
        (("--format", "table", "-o", "a.csv"), "--format table cannot be written to a file"),
        (("-o", "a.xls"), "Invalid value for --output: a.xls ends in .xls"),
        (("--gift-aid", "--to-complete", "a.xls"), "Invalid value for --to-complete: a.xls ends in .xls"),
    ],
)
async def test_wrong_use_is_reported_before_any_request(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    """Two outputs can be the same file through links."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "c").symlink_to("b")
    (tmp_path / "link.csv").symlink_to("a.csv")
    (tmp_path / "old.csv").write_text("old")
    os.link(tmp_path / "old.csv", tmp_path / "hard.csv")
    done = await run(*LIST, *arguments, box=box)

    assert (done.code, [*box.requests]) == (2, [])
    assert said in " ".join(done.err.split())


async def test_two_different_files_are_both_written(tmp_path: Path) -> None:
    """One of them may exist already."""
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    files[1].write_text("old")
    async with box_office([booking(1, donation(5))]) as office:
        done = await run(*GIFT_AID, "-o", str(files[0]), "--to-complete", str(files[1]), url=office.url)

    assert done.code == 0
    assert [len(rows_in(file, "csv")) for file in files] == [1, 0]


async def test_a_file_that_cannot_be_written_is_reported_before_any_request(box: Sandbox, tmp_path: Path) -> None:
    """Reading may take an hour."""
    file = tmp_path / "missing" / "complete.csv"
    done = await run(*GIFT_AID, "--to-complete", str(file), box=box)

    assert (done.code, [*box.requests]) == (1, [])
    assert f"there is no folder {file.parent}" in done.err


async def test_a_terminal_shows_a_table(shows: Sandbox) -> None:
    """It has the donor, the amount and the answer about Gift Aid."""
    code, shown = await on_terminal("donations", box=shows, columns=120)
    claimed, schedule = await on_terminal("donations", "--gift-aid", "--to-complete", os.devnull, box=shows)

    assert (code, claimed) == (0, 0)
    assert "day         donor" in shown
    assert "amount  gift aid  ref" in shown
    assert "donor" in schedule
    assert "postcode  date" in schedule


async def test_the_schedule_of_the_sandbox_claims_no_more_than_its_donations(shows: Sandbox) -> None:
    """The donations are summed from the exported bookings."""
    exported = await run("bookings", "export", "--format", "jsonl", box=shows)
    done = await run("donations", "--gift-aid", "--to-complete", os.devnull, "--format", "jsonl", box=shows)

    lines = [json.loads(row) for row in exported.out.splitlines()]
    given = sum(float(row["gross"]) for row in lines if row["line_type"] == "DONATION" and row["gift_aid"])
    claimed = [json.loads(row) for row in done.out.splitlines()]
    assert 0 < sum(float(row["Amount"]) for row in claimed) <= given
    assert list(claimed[0]) == list(GIFT_AID_SCHEDULE.names)


async def test_the_help_says_that_the_user_must_check_the_declarations(box: Sandbox) -> None:
    """It also says how refunds appear."""
    done = await run("donations", "--help", box=box)

    text = " ".join(done.out.split())
    assert "check that you have a Gift Aid declaration from each donor" in text
    assert "a refund has a row of its own, with a negative amount" in text
    assert "and that no donor is a company" in text
