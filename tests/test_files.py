"""Tables as files: CSV and its protection from formulas, JSON, and unknown formats."""

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command import rows_in
from hypothesis import given, strategies as st
from pyarrow import parquet
from python_calamine import CalamineWorkbook
from rows import ZOE

from ticketsource_async import (
    Amount,
    Booking,
    BookingLine,
    ConfigurationError,
    Customer,
    Donation,
    Event,
    EventDate,
    TicketSource,
    files,
)
from ticketsource_async.files import FORMATS, format_named
from ticketsource_async.files.csv import defuse, undefuse
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import BOOKINGS, CUSTOMERS, SoldLine


@pytest.mark.parametrize(
    "cell",
    [
        "=cmd|'/c calc'!A1",
        "@SUM(A1)",
        "+1+cmd|x",
        "-2+3+cmd",
        "=1+1",
        " =1",
        '"=1',
        "+x",
        "+44-1632-960001",
        "+44 - 1632 - 960001 ",
        "+(44)-1632",
        "+44+1632",
        "-1-2",
        "+44--1632",
        "\uff1d1",
        "\uff0da",
    ],
)
def test_a_cell_that_looks_like_a_formula_is_defused(cell: str) -> None:
    """A formula gets a quote before it."""
    assert defuse(cell) == f"'{cell}"


@pytest.mark.parametrize("separator", [*";|\t\r\n\v\f\x1e\x85\u2028", "\r\n", ";;\n"])
@pytest.mark.parametrize("formula", ["=1", "+1", "+1+x", "-1", "@SUM(1)", "\uff1d1", " =1", '"=1', "''=1", "' \"'=1"])
@pytest.mark.parametrize("before", ["", "a", "'", '"', "=2"])
def test_a_formula_after_another_separator_is_defused(before: str, separator: str, formula: str) -> None:
    """If a spreadsheet splits lines at `;`, the text after it becomes another cell."""
    first = "'" if before == "=2" else ""
    assert defuse(f"{before}{separator}{formula};b") == f"{first}{before}{separator}'{formula};b"
    assert defuse(f"{before}{separator}{formula}") == f"{first}{before}{separator}'{formula}"


@given(st.lists(st.text("'\"=+-@;|\t\r\n ,0a") | st.text(), min_size=1), st.sampled_from(";|\t"))
def test_no_cell_is_a_formula_with_another_delimiter(cells: list[str], delimiter: str) -> None:
    """A reader with another delimiter, which also drops quotes and spaces, finds no formula."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow(["id", *map(defuse, cells)])
    taken = csv.reader(io.StringIO(stream.getvalue(), newline=""), delimiter=delimiter)

    for cell in (cell for row in taken for cell in row):
        bare = cell.strip('" ')
        assert not bare.startswith(("=", "+", "-", "@")), cell


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "+447700900000",
        "+44 (0)20 7946-0958",
        "+44 1632-960001",
        "+44-(0)1632-960001",
        "01632-960001",
        "-12.50",
        "01632 960001",
        "Anne-Marie",
        "a=b",
        "O'=1",
        "'n'",
        "x@example.com",
        "-",
        "01632 960001;01632 960002",
        "Ring first; ask for Anne-Marie",
        " +44 (0)20 7946-0958 ",
        "\t\n",
    ],
)
def test_telephones_numbers_and_plain_texts_are_not_changed(cell: str) -> None:
    """Only formulas are changed."""
    assert defuse(cell) == cell


@given(st.text("'\"=+-@;|\t\r\n 0a", max_size=9) | st.text())
def test_a_defused_cell_is_read_back_unchanged(cell: str) -> None:
    """Only quotes are added, also to a text that begins with a quote."""
    assert undefuse(defuse(cell)) == cell
    assert defuse(cell).replace("'", "") == cell.replace("'", "")


def test_a_very_long_cell_is_defused() -> None:
    """Thousands of separators, spaces or quotes do not make it slow."""
    for piece in (";", "\n", " ", "'", '"', "; ", "-", "1 ", "-1", "+1 ", ";'"):
        cell = piece * 200_000 + "=1"
        assert undefuse(defuse(cell)) == cell


@pytest.mark.parametrize(("escape", "name"), [(True, '\'=HYPERLINK("x")'), (False, '=HYPERLINK("x")')])
def test_csv_keeps_commas_quotes_line_breaks_and_accents(escape: bool, name: str) -> None:
    """A formula is defused unless `escape_formulas` is off."""
    stream = io.StringIO(newline="")
    with FORMATS["csv"].open(stream, CUSTOMERS, escape_formulas=escape) as write:
        write(ZOE)
        write(Customer(id="cst-2", first_name="cr\rlf\n"))

    header, zoe, other = csv.reader(io.StringIO(stream.getvalue(), newline=""))

    assert tuple(header) == CUSTOMERS.names
    assert dict(zip(CUSTOMERS.names, zoe, strict=True))["last_name"] == name
    assert dict(zip(CUSTOMERS.names, zoe, strict=True))["telephone"] == "+44 (0)20 7946-0958"
    assert dict(zip(CUSTOMERS.names, zoe, strict=True))["address_line_1"] == "Flat 1,\n2 High Street"
    assert other[2] == "cr\rlf\n"


def test_json_lines_have_one_whole_customer_in_each_line() -> None:
    """Each line has the result of `to_dict`, with accents unescaped."""
    stream = io.StringIO()
    with FORMATS["jsonl"].open(stream, CUSTOMERS, escape_formulas=True) as write:
        write(ZOE)
        write(Customer(id="cst-2", first_name="line\nbreak"))

    lines = stream.getvalue().splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["cst-1", "cst-2"]
    assert json.loads(lines[0]) == ZOE.to_dict()
    assert "Zoë" in lines[0]


@pytest.mark.parametrize("name", ["xml", "", " csv", "jsonlines"])
def test_an_unknown_format_is_refused(name: str) -> None:
    """The error names the known formats."""
    with pytest.raises(ConfigurationError, match="Choose one of csv, tsv, json, jsonl, parquet, xlsx, html"):
        format_named(name)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_every_kind_of_value(name: str, tmp_path: Path) -> None:
    """Money keeps its digits, and times keep their moment."""
    line = BookingLine(is_refund=False, amount=Amount(gross=Decimal("12.50")), donation=Donation(gift_aid=True))
    start = datetime(2026, 1, 31, 19, 30, tzinfo=UTC)
    row = SoldLine(Event("evt-1"), EventDate("dat-1", start=start), Booking("bkg-1", lines=(line,)), 1, line)
    file = tmp_path / "lines"
    with (
        file.open("w", encoding="utf-8", newline="") as stream,
        FORMATS[name].open(stream, BOOKINGS, escape_formulas=True) as write,
    ):
        write(row)

    if name == "parquet":
        (read,) = parquet.read_table(file).to_pylist()
    elif name == "xlsx":
        header, values = CalamineWorkbook.from_path(file).get_sheet_by_name("bookings").to_python()
        read = dict(zip(header, values, strict=True))
        assert (read["gross"], read["line"], read["gift_aid"]) == (12.5, 1, True)
        read |= {"gross": "12.50", "line": 1}
    elif name == "html":
        (read,) = rows_in(file, name)
    elif name in ("csv", "tsv"):
        text = io.StringIO(file.read_bytes().decode(), newline="")
        (read,) = csv.DictReader(text, delimiter="," if name == "csv" else "\t")
    else:
        (read,) = [data] if isinstance(data := json.loads(file.read_text("utf-8")), dict) else data

    assert tuple(read) == BOOKINGS.names
    assert (read["gross"], str(read["line"]), str(read["gift_aid"]).lower()) == ("12.50", "1", "true")
    assert str(read["date_start"]).replace(" ", "T") == "2026-01-31T19:30:00+00:00"


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2067", "\u200f"])
def test_json_escapes_control_characters(character: str) -> None:
    """A terminal would obey them. Escapes do not change the meaning of JSON."""
    name = f"a{character}b"
    stream = io.StringIO()
    with FORMATS["jsonl"].open(stream, CUSTOMERS, escape_formulas=True) as write:
        write(Customer(id="cst-1", first_name=name))

    assert character not in stream.getvalue()
    assert json.loads(stream.getvalue())["first_name"] == name


# files.write


def people(number: int) -> list[Customer]:
    """Return this number of customers with different ids."""
    return [Customer(id=f"cst-{index}") for index in range(number)]


async def one_by_one(customers: list[Customer]) -> AsyncIterator[Customer]:
    """Yield customers as a list of the API does."""
    for customer in customers:
        await asyncio.sleep(0)
        yield customer


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "rows", [people, lambda number: one_by_one(people(number)), lambda number: iter(people(number))]
)
async def test_write_takes_any_rows_and_the_ending_sets_the_format(
    tmp_path: Path, name: str, rows: Callable[[int], Iterable[Customer] | AsyncIterable[Customer]]
) -> None:
    """It returns the number of rows. No other user can read the file."""
    target = tmp_path / f"people.{name.upper()}"

    written = await files.write(rows(1_203), CUSTOMERS, target)

    assert written == len(rows_in(target, name)) == 1_203
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("name", FORMATS)
async def test_as_text_returns_the_text_of_the_file(tmp_path: Path, name: str) -> None:
    """A binary format is refused."""
    await files.write(people(3), CUSTOMERS, tmp_path / f"people.{name}")

    if FORMATS[name].is_binary:
        with pytest.raises(ConfigurationError, match=f"{name} is not a text"):
            files.as_text(people(3), CUSTOMERS, name)
    else:
        written = (tmp_path / f"people.{name}").read_bytes().decode()
        assert files.as_text(iter(people(3)), CUSTOMERS, name) == written


async def test_a_list_of_the_api_is_written_to_a_file(many: Sandbox, tmp_path: Path) -> None:
    """This is the example of the docstring."""
    async with TicketSource(many.api_key, base_url=many.url, rate_limit=None) as ts:
        written = await files.write(ts.customers.list(), CUSTOMERS, tmp_path / "people.xlsx")

    assert written == len(rows_in(tmp_path / "people.xlsx", "xlsx")) == 300


@pytest.mark.parametrize("name", FORMATS)
async def test_an_error_of_the_rows_keeps_the_old_file_and_closes_the_rows(tmp_path: Path, name: str) -> None:
    """The error has a note about the file."""
    target = tmp_path / f"people.{name}"
    target.write_text("old")
    closed: list[bool] = []

    async def rows() -> AsyncIterator[Customer]:
        try:
            for customer in people(3):
                yield customer
            raise ZeroDivisionError
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError) as failed:
        await files.write(rows(), CUSTOMERS, target)

    assert (target.read_text(), closed) == ("old", [True])
    assert "is unchanged: it is still the file of" in failed.value.__notes__[0]
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


async def test_a_row_that_cannot_be_written_closes_the_rows(tmp_path: Path) -> None:
    """They are closed before the error is raised, not by the garbage collector."""
    closed: list[bool] = []

    async def rows() -> AsyncIterator[Any]:
        try:
            yield "no customer"
        finally:
            closed.append(True)

    with pytest.raises(AttributeError):
        await files.write(rows(), CUSTOMERS, tmp_path / "people.csv")

    assert closed == [True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["csv", "xlsx", "parquet"])
async def test_a_write_that_is_cancelled_leaves_no_file(tmp_path: Path, name: str) -> None:
    """It may be cancelled while the rows come, or while the file is finished."""
    ended = asyncio.Event()

    async def rows(*, stuck: bool) -> AsyncIterator[Customer]:
        for customer in people(2_000):
            yield customer
        ended.set()
        if stuck:
            await asyncio.Event().wait()

    for stuck in (True, False):
        ended.clear()
        task = asyncio.create_task(files.write(rows(stuck=stuck), CUSTOMERS, tmp_path / f"people.{name}"))
        await ended.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []


async def test_other_tasks_run_while_rows_are_written(tmp_path: Path) -> None:
    """A web service can go on answering, although these rows never wait."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await files.write(people(5_000), CUSTOMERS, tmp_path / "people.csv")
    other.cancel()

    assert turns >= 10


async def test_a_warning_is_logged_unless_on_warning_takes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Here the warning is about a cell that is too long for XLSX."""
    taken: list[str] = []
    rows = [Customer(id="cst-1", first_name="x" * 40_000)]

    await files.write(rows, CUSTOMERS, tmp_path / "people.xlsx")
    await files.write(rows, CUSTOMERS, tmp_path / "people.xlsx", on_warning=taken.append)

    (logged,) = caplog.messages
    assert [logged] == taken
    assert "1 of first_name" in logged


async def test_the_format_option_overrides_the_ending_of_the_file(tmp_path: Path) -> None:
    """Without the option, a file with an unknown ending is refused."""
    target = tmp_path / "people.txt"

    await files.write(people(1), CUSTOMERS, target, format="csv", byte_order_mark=True)
    with pytest.raises(ConfigurationError, match=r"people\.txt ends in \.txt.* \.csv, \.tsv"):
        await files.write(one_by_one(people(1)), CUSTOMERS, target)

    assert target.read_bytes().startswith(b"\xef\xbb\xbfid,")
    await files.write(people(1), CUSTOMERS, target, format="JSONL")
    assert len(rows_in(target, "jsonl")) == 1
    with pytest.raises(ConfigurationError, match="no format 'xls'"):
        await files.write(people(1), CUSTOMERS, target, format="xls")


@pytest.mark.parametrize("name", ["json", "jsonl", "parquet", "xlsx"])
async def test_a_byte_order_mark_is_refused_in_json_parquet_and_xlsx(tmp_path: Path, name: str) -> None:
    """Few programs can read JSON that begins with one."""
    with pytest.raises(ConfigurationError, match=f"byte_order_mark is for csv and tsv only. For {name}, leave it out"):
        await files.write(people(1), CUSTOMERS, tmp_path / f"people.{name}", byte_order_mark=True)

    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="there no lock tells whether a folder is in use")
async def test_temporary_files_of_a_killed_run_are_removed_by_the_next_run(tmp_path: Path) -> None:
    """They have people's addresses. Files that another run still uses stay, and so do other files with such names."""
    code = """
import asyncio, sys
from ticketsource_async import Customer, files
from ticketsource_async.tables import CUSTOMERS
async def rows():
    for number in range(3):
        yield Customer(id=f"cst-{number}", last_name="Jenkins")
    print("here", flush=True)
    await asyncio.sleep(60)
asyncio.run(files.write(rows(), CUSTOMERS, sys.argv[1]))
"""
    aside = tmp_path / "aside"
    aside.mkdir()
    environment = {**os.environ, "TMPDIR": str(aside)}
    runs = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(tmp_path / f"{name}.xlsx")), env=environment, stdout=subprocess.PIPE
        )
        for name in ("killed", "going-on")
    ]
    for run in runs:
        assert run.stdout is not None
        assert await run.stdout.readline() == b"here\n"
    killed, going_on = runs
    both = len(list(aside.iterdir()))
    killed.kill()
    await killed.communicate()
    (aside / "ticketsource-scratch-link").symlink_to(tmp_path)
    (aside / "ticketsource-scratch-file").write_text("other")
    next_one = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code.replace("60", "0"), str(tmp_path / "next.xlsx")), env=environment
    )
    await next_one.communicate()
    left = sorted(path.name for path in aside.iterdir())
    going_on.terminate()
    await going_on.communicate()

    assert (both, next_one.returncode) == (2, 0)
    assert {"ticketsource-scratch-file", "ticketsource-scratch-link"} < set(left)
    assert len(left) == 3  # and that of the run which goes on
    assert len(rows_in(tmp_path / "next.xlsx", "xlsx")) == 3
