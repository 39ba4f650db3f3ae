"""XLSX files, as spreadsheets read them."""

import io
import re
import zipfile
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import evolve
from python_calamine import CalamineWorkbook
from rows import ZOE

from ticketsource_async import Amount, Booking, BookingLine, Customer, Event, EventDate, Membership
from ticketsource_async.files import xlsx
from ticketsource_async.tables import BOOKINGS, CUSTOMERS, Printed, SoldLine, Table

T = TypeVar("T")

COLUMN = {name: index for index, name in enumerate(CUSTOMERS.names)}


def written(table: Table[T], rows: Iterable[T], warnings: list[str], most_rows: int = 1_048_576) -> bytes:
    """Return the bytes of the file that is written."""
    stream = io.TextIOWrapper(made := io.BytesIO(), "utf-8", newline="")
    with xlsx.writer(stream, table, on_warning=warnings.append, most_rows=most_rows) as write:
        for row in rows:
            write(row)
    return made.getvalue()


def book_of(
    customers: Iterable[Customer], warnings: list[str] | None = None, most_rows: int = 1_048_576
) -> tuple[CalamineWorkbook, zipfile.ZipFile]:
    """Return the workbook that is written for these customers, as a spreadsheet and as an archive."""
    made = written(CUSTOMERS, customers, [] if warnings is None else warnings, most_rows)
    return CalamineWorkbook.from_filelike(io.BytesIO(made)), zipfile.ZipFile(io.BytesIO(made))


def names_in(book: CalamineWorkbook) -> list[object]:
    """Return the first names on the first sheet."""
    return [row[COLUMN["first_name"]] for row in book.get_sheet_by_index(0).to_python()[1:]]


@pytest.mark.parametrize(
    ("name", "sheets"),
    [
        ("what/is: on?", ["what is  on", "what is  on 2"]),
        ("x" * 40, ["x" * 28, f"{'x' * 28} 2"]),
        ("'[]'", ["rows", "rows 2"]),
    ],
)
def test_the_name_of_a_table_becomes_a_valid_name_of_a_sheet(name: str, sheets: list[str]) -> None:
    """Characters that Excel refuses are replaced or left out, and long names are cut."""
    book = written(evolve(CUSTOMERS, name=name), [ZOE, ZOE], [], most_rows=2)

    assert CalamineWorkbook.from_filelike(io.BytesIO(book)).sheet_names == sheets


def test_a_wide_character_counts_twice_for_the_width_of_a_column() -> None:
    """Characters of Chinese, Japanese and Korean are wide."""
    wide, narrow = (
        re.findall(r'<col min="3" max="3" width="([0-9.]+)"', archive.read("xl/worksheets/sheet1.xml").decode())
        for _, archive in (book_of([evolve(ZOE, first_name=name)]) for name in ("\u5c71" * 20, "x" * 40))
    )

    assert wide == narrow
    assert len(wide) == 1


@pytest.mark.parametrize(
    "text",
    [
        *("01632 960001", "+441632960001", "007", "1-2", "4.4E+11", "12345678901234567890", "1/2/2026", "TRUE", "50%"),
        *(
            "=1+1",
            "=HYPERLINK(A1)",
            "{=1}",
            "@SUM(A1)",
            "+1",
            "-1",
            "https://example.com",
            "mailto:a@example.com",
            "#N/A",
        ),
        *(
            "<r>a</r>",
            "<r><t>a & b</t></r>",
            "<r></r>",
            "a<b>&c",
            "_x0041_",
            "a\rb\r\nc\td",
            "\x00\x1b[31m",
            " a ",
            "'a",
        ),
        *("#N/A", " a ", "'a", "\u202e\u2028\x85", "Zoë", "\U0001f3ad" * 3),
    ],
)
def test_a_text_that_looks_like_a_number_or_a_formula_is_a_text_cell(text: str) -> None:
    """No zero and no plus is lost. Nothing becomes a date, a number or a link."""
    book, archive = book_of([evolve(ZOE, first_name=text, telephone=text)])
    (sheet,) = (name for name in archive.namelist() if "/sheet" in name and name.endswith(".xml"))

    row = book.get_sheet_by_index(0).to_python()[1]

    assert (row[COLUMN["first_name"]], row[COLUMN["telephone"]]) == (text, text)
    xml = archive.read(sheet).decode()
    assert not re.search("<f[> ]|hyperlink", xml)
    assert not any("rels" in name and "sheet" in name for name in archive.namelist())


def test_days_are_dates_consents_are_booleans_and_times_are_text() -> None:
    """A cell without a value is empty."""
    book, _ = book_of([ZOE])

    row = dict(zip(CUSTOMERS.names, book.get_sheet_by_name("customers").to_python()[1], strict=True))

    assert (row["membership_start_date"], row["membership_end_date"]) == (date(2024, 1, 31), "")
    assert (row["consent_email"], row["consent_post"], row["consent_sms"]) == (True, False, "")
    assert row["created_at"] == "2024-05-01T09:30:00+00:00"


@pytest.mark.parametrize("day", [date(1899, 12, 31), date(1900, 2, 28), date(1752, 9, 14)])
def test_a_day_before_march_1900_is_a_text(day: date) -> None:
    """Excel counts a 29 February 1900, and has no day before that year. So spreadsheets do not agree on such days."""
    book, _ = book_of([evolve(ZOE, membership=Membership(start_date=day, end_date=date(1900, 3, 1)))])

    row = book.get_sheet_by_index(0).to_python()[1]

    assert row[COLUMN["membership_start_date"]] == day.isoformat()
    assert row[COLUMN["membership_end_date"]] == date(1900, 3, 1)


@pytest.mark.parametrize(
    ("amount", "cell"),
    [
        *[("12.50", 12.5), ("-0.1", -0.1), ("1E+2", 100.0), ("0", 0.0), ("999999999999.99", 999999999999.99)],
        *[("1234567890123456.78", "1234567890123456.78"), ("0.1234567890123456", "0.1234567890123456"), ("NaN", "NaN")],
    ],
)
def test_money_is_a_number_unless_a_spreadsheet_would_round_it(amount: str, cell: object) -> None:
    """Excel keeps 15 digits of a number."""
    line = BookingLine(amount=Amount(gross=Decimal(amount)))
    rows = [
        SoldLine(Event("evt-1"), EventDate("dat-1"), Booking("bkg-1"), number, sold)
        for number, sold in ((1, line), (2, BookingLine()))
    ]

    made = written(BOOKINGS, rows, [])

    _, first, second = CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_name("bookings").to_python()

    assert (first[BOOKINGS.names.index("gross")], second[BOOKINGS.names.index("gross")]) == (cell, "")
    assert (first[BOOKINGS.names.index("line")], second[BOOKINGS.names.index("line")]) == (1, 2)


def test_the_header_stays_in_view_has_a_filter_and_the_columns_are_wide_enough() -> None:
    """The width is that of the longest cell in the first thousand rows, up to 60."""
    people = [evolve(ZOE, first_name="x", last_name="y" * 500) for _ in range(1_000)]
    _, archive = book_of([*people, evolve(ZOE, first_name="z" * 40)])
    xml = archive.read("xl/worksheets/sheet1.xml").decode()
    ranges: list[tuple[str, ...]] = re.findall(r'<col min="(\d+)" max="(\d+)" width="([\d.]+)"', xml)
    widths = [float(width) for first, last, width in ranges for _ in range(int(first), int(last) + 1)]
    looks = archive.read("xl/styles.xml").decode()

    assert '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>' in xml
    assert '<autoFilter ref="A1:S1002"/>' in xml
    assert "numberStoredAsText" in xml  # else Excel offers to make numbers of telephones
    assert 13 <= widths[COLUMN["first_name"]] < 20
    assert 60 <= widths[COLUMN["last_name"]] < 62
    assert 25 <= widths[COLUMN["created_at"]] < 30
    assert re.search('numFmtId="49"', looks)  # text, also what is typed into a cell that is empty
    assert 'formatCode="yyyy\\-mm\\-dd"' in looks or 'formatCode="yyyy-mm-dd"' in looks


def test_rows_beyond_one_sheet_go_on_another_with_the_header() -> None:
    """Nothing is lost, and each sheet has a filter for its rows."""
    people = [Customer(id=f"cst-{number}") for number in range(8)]
    book, archive = book_of(people, most_rows=4)
    sheets = [[row[0] for row in book.get_sheet_by_name(name).to_python()] for name in book.sheet_names]

    assert book.sheet_names == ["customers", "customers 2", "customers 3"]
    assert sheets == [["id", "cst-0", "cst-1", "cst-2"], ["id", "cst-3", "cst-4", "cst-5"], ["id", "cst-6", "cst-7"]]
    assert b'<autoFilter ref="A1:S4"/>' in archive.read("xl/worksheets/sheet2.xml")
    assert b'<autoFilter ref="A1:S3"/>' in archive.read("xl/worksheets/sheet3.xml")


def test_no_empty_sheet_follows_a_full_sheet() -> None:
    """The sheet of an empty table has only the header."""
    full, _ = book_of([Customer(id=f"cst-{number}") for number in range(3)], most_rows=4)
    empty, _ = book_of([])

    assert full.sheet_names == empty.sheet_names == ["customers"]
    assert empty.get_sheet_by_index(0).to_python() == [list(CUSTOMERS.names)]


def test_a_cell_that_is_too_long_is_cut_counted_and_reported() -> None:
    """The length is counted in UTF-16, and no character is cut in half."""
    warnings: list[str] = []
    fits = "a" * 32_767
    people = [
        evolve(ZOE, first_name=name, last_name=last)
        for name, last in ((fits, "b"), (fits + "a", "b"), ("a" + "\U0001f3ad" * 20_000, "c" * 40_000))
    ]
    book, _ = book_of(people, warnings)

    assert names_in(book) == [fits, fits, "a" + "\U0001f3ad" * 16_383]
    assert warnings == [
        "A cell in XLSX has at most 32,767 characters, so longer cells were cut: 2 of first_name, 1 of last_name."
    ]


def test_a_table_without_a_name_has_a_sheet_named_rows() -> None:
    """Excel needs a name for each sheet."""
    made = written(Table(CUSTOMERS.columns[:2]), [ZOE], [])

    assert CalamineWorkbook.from_filelike(io.BytesIO(made)).sheet_names == ["rows"]


def test_a_failed_file_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are people's addresses."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = io.TextIOWrapper(made := io.BytesIO(), "utf-8")

    def write_one_and_fail() -> None:
        with xlsx.writer(stream, CUSTOMERS) as write:
            write(ZOE)
            write(ZOE)
            assert list(tmp_path.iterdir()) != []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_one_and_fail()

    assert list(tmp_path.iterdir()) == []
    assert made.getvalue() == b""


# Sheets to print


PRINTED = Printed[Customer](
    "The title", {"id": 12, "title": 10}, ("a line",), ("a warning",), "2 & more", ticked="title"
)


def test_a_table_to_print_has_a_page_setup() -> None:
    """It is A4 in landscape, as wide as the page, with the first columns, and with both headers on each page."""
    made = written(evolve(CUSTOMERS, printed=PRINTED), [ZOE] * 3, [], most_rows=3)
    archive = zipfile.ZipFile(io.BytesIO(made))
    first, second = (archive.read(f"xl/worksheets/sheet{number}.xml").decode() for number in (1, 2))
    names = archive.read("xl/workbook.xml").decode()

    for sheet in (first, second):
        assert re.search(r'<pageSetup paperSize="9" (?:scale="100" )?fitToHeight="0" orientation="landscape"/>', sheet)
        assert '<pageSetUpPr fitToPage="1"/>' in sheet
        assert "<oddHeader>&amp;L&amp;12 2 &amp;&amp; more\na warning\na line</oddHeader>" in sheet
        assert "<oddFooter>&amp;R&amp;P / &amp;N</oddFooter>" in sheet
        assert 'gridLines="1"' in sheet
    for wanted in (
        "customers!$1:$1",
        "$A$1:$B$3",
        "'customers 2'!$1:$1",
        "$A$1:$B$2",
    ):
        assert wanted in names
    plain = book_of([ZOE])[1].read("xl/worksheets/sheet1.xml").decode()
    assert "pageSetup" not in plain
    assert "oddHeader" not in plain


def fonts_of(made: bytes) -> dict[str, str]:
    """Return the font of each cell of the first sheet as XML, by the name of the cell."""
    archive = zipfile.ZipFile(io.BytesIO(made))
    styles = archive.read("xl/styles.xml").decode()
    fonts = re.findall(r"<font>(.*?)</font>", styles)
    formats = re.findall(r'<xf [^>]*fontId="([0-9]+)"', styles[styles.index("<cellXfs") :])
    cells = re.findall(r'<c r="([A-Z]+[0-9]+)" s="([0-9]+)"', archive.read("xl/worksheets/sheet1.xml").decode())
    return {name: fonts[int(formats[int(style)])] for name, style in cells}


def test_a_sheet_to_print_has_boxes_to_tick_and_strikes_out_what_does_not_count() -> None:
    """As the page in HTML has. A cell that is not ticked has no box."""
    printed = evolve(PRINTED, of_row="id", is_void=lambda person: person.title == "gone")
    people = [evolve(ZOE, title=None), evolve(ZOE, title="gone", last_name=None), evolve(ZOE, title="")]

    made = written(evolve(CUSTOMERS, printed=printed), people, [])

    rows = CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_index(0).to_python()[1:]
    fonts = fonts_of(made)
    assert [row[COLUMN["title"]] for row in rows] == ["\N{BALLOT BOX}", "gone", "\N{BALLOT BOX}"]
    assert [row[COLUMN["last_name"]] for row in rows][1] == ""
    assert ["<strike/>" in fonts[f"A{row}"] for row in (2, 3, 4)] == [False, True, False]
    assert ["<strike/>" in font for name, font in fonts.items() if name != "A3"].count(True) == 0
    assert {"FF595959" in font for name, font in fonts.items() if name.endswith("3") and name != "B3"} == {True}
    assert "<b/>" in fonts["B3"]


def test_a_row_to_print_is_as_high_as_its_lines() -> None:
    """A spreadsheet does not set the height when it opens the file. A row cannot be higher than a page."""
    people = [evolve(ZOE, id=name) for name in ("short", "a word " * 8, "x" * 100, "a\nb\nc", "y " * 5_000)]
    made = written(evolve(CUSTOMERS, printed=PRINTED), people, [])
    sheet = zipfile.ZipFile(io.BytesIO(made)).read("xl/worksheets/sheet1.xml").decode()

    heights = [float(height) for height in re.findall(r'<row r="[0-9]+"[^>]* ht="([0-9.]+)"', sheet)]

    assert [height / 15 for height in heights[-4:]] == [8, 10, 3, 27]


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (["42nd Street"], "&L&12 42nd Street"),
        (["M&G", "A & B", "&[Picture]", "&&G"], "&L&12 M&&&I&IG\nA && B\n&&&I&I[Picture]\n&&&&&I&IG"),
        (["&"], "&L&12 &&"),
        (["a\x00b\nc"], "&L&12 a\\x00b\\nc"),
        (["x" * 300], f"&L&12 {'x' * 246}..."),
        (["&" * 200], f"&L&12 {'&' * 246}..."),
        (["\U0001f3ad" * 200], "&L&12 " + "\U0001f3ad" * 123 + "..."),
        ([], "&L&12 "),
    ],
)
def test_the_header_of_a_page_has_its_texts_up_to_255_characters(lines: list[str], header: str) -> None:
    """A header may have 255 characters, and codes that begin with &, so each & is escaped."""
    made = xlsx.header_of(lines)

    assert made == header
    assert len(made.encode("utf-16-le")) <= 2 * 255
    assert "&G" not in made.replace("&[Picture]", "&G")
