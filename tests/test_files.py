"""Tables as files: CSV and its guard, JSON, and what is no format."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
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
)
from ticketsource_async.files import FORMATS, format_named
from ticketsource_async.files.csv import defuse, undefuse
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
        "\uff1d1",
        "\uff0da",
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_defused(cell: str) -> None:
    """A formula gets a quote before it."""
    assert defuse(cell) == f"'{cell}"


@pytest.mark.parametrize("separator", [*";|\t\r\n\v\f\x1e\x85\u2028", "\r\n", ";;\n"])
@pytest.mark.parametrize("formula", ["=1", "+1", "+1+x", "-1", "@SUM(1)", "\uff1d1", " =1", '"=1', "''=1", "' \"'=1"])
@pytest.mark.parametrize("before", ["", "a", "'", '"', "=2"])
def test_a_formula_behind_another_separator_is_defused(before: str, separator: str, formula: str) -> None:
    """Where lists are separated by `;`, a spreadsheet takes what is behind one in a cell for a cell of its own."""
    first = "'" if before == "=2" else ""
    assert defuse(f"{before}{separator}{formula};b") == f"{first}{before}{separator}'{formula};b"
    assert defuse(f"{before}{separator}{formula}") == f"{first}{before}{separator}'{formula}"


@given(st.lists(st.text("'\"=+-@;|\t\r\n ,0a") | st.text(), min_size=1), st.sampled_from(";|\t"))
def test_no_cell_of_a_row_is_a_formula_whatever_separates_them(cells: list[str], delimiter: str) -> None:
    """What reads the file with another delimiter, and drops quotes and spaces, finds no formula in it."""
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
def test_phones_numbers_and_plain_text_stay_as_they_are(cell: str) -> None:
    """What is no formula is not touched."""
    assert defuse(cell) == cell


@given(st.text("'\"=+-@;|\t\r\n 0a", max_size=9) | st.text())
def test_what_was_defused_is_read_back_as_it_was(cell: str) -> None:
    """Whatever a name begins with, quotes of its own included, and a quote is all that is ever added."""
    assert undefuse(defuse(cell)) == cell
    assert defuse(cell).replace("'", "") == cell.replace("'", "")


def test_a_long_cell_is_defused_at_once() -> None:
    """Neither separators, spaces nor quotes by the thousand are looked at more than a few times."""
    for piece in (";", "\n", " ", "'", '"', "; ", "-", "1 ", ";'"):
        cell = piece * 200_000 + "=1"
        assert undefuse(defuse(cell)) == cell


@pytest.mark.parametrize(("escape", "name"), [(True, '\'=HYPERLINK("x")'), (False, '=HYPERLINK("x")')])
def test_csv_is_read_back_as_it_was_written(escape: bool, name: str) -> None:
    """Commas, quotes, line breaks and accents survive; the guard is on unless turned off."""
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


def test_json_lines_have_everything_one_customer_a_line() -> None:
    """Each line is what `to_dict` gives, with accents as they are."""
    stream = io.StringIO()
    with FORMATS["jsonl"].open(stream, CUSTOMERS, escape_formulas=True) as write:
        write(ZOE)
        write(Customer(id="cst-2", first_name="line\nbreak"))

    lines = stream.getvalue().splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["cst-1", "cst-2"]
    assert json.loads(lines[0]) == ZOE.to_dict()
    assert "Zoë" in lines[0]


@pytest.mark.parametrize("name", ["xml", "", "CSV", "jsonlines"])
def test_what_is_no_format_is_refused(name: str) -> None:
    """Nothing is written in another format instead."""
    with pytest.raises(ConfigurationError, match="choose one of csv, tsv, json, jsonl, parquet, xlsx"):
        format_named(name)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_every_kind_of_value(name: str, tmp_path: Path) -> None:
    """Money keeps its digits, and times their moment, in a table of any kind."""
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
    elif name in ("csv", "tsv"):
        text = io.StringIO(file.read_bytes().decode(), newline="")
        (read,) = csv.DictReader(text, delimiter="," if name == "csv" else "\t")
    else:
        (read,) = [data] if isinstance(data := json.loads(file.read_text("utf-8")), dict) else data

    assert tuple(read) == BOOKINGS.names
    assert (read["gross"], str(read["line"]), str(read["gift_aid"]).lower()) == ("12.50", "1", "true")
    assert str(read["date_start"]).replace(" ", "T") == "2026-01-31T19:30:00+00:00"


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2067", "\u200f"])
def test_json_has_control_characters_as_escapes(character: str) -> None:
    """A terminal would obey them, and JSON is the same with them as escapes."""
    name = f"a{character}b"
    stream = io.StringIO()
    with FORMATS["jsonl"].open(stream, CUSTOMERS, escape_formulas=True) as write:
        write(Customer(id="cst-1", first_name=name))

    assert character not in stream.getvalue()
    assert json.loads(stream.getvalue())["first_name"] == name
