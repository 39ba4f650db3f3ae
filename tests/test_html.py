"""Tables as pages."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from browser import browser
from command import Rows, rows_in, run
from pypdf import PdfReader
from rows import ZOE

from ticketsource_async import Customer, files
from ticketsource_async.files import html
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import CUSTOMERS, Column, Printed, Table

if TYPE_CHECKING:
    from ticketsource_async.models.reader import Kind

HOSTILE = (
    "<script>alert(1)</script>",
    "</td></table><script src='https://example.com/x.js'></script>",
    '" onmouseover="alert(1)',
    "' style='background: url(https://example.com)",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; <!-- ",
    "javascript:alert(1)",
    "=HYPERLINK(A1)",
)
PRINTED = Printed[Customer]("The <b>title</b>", {"id": 20, "title": 10}, ticked="title")


def page_of(people: Iterable[Customer], table: Table[Customer] = CUSTOMERS) -> str:
    """Return the page that is written for these customers."""
    stream = io.StringIO()
    with html.writer(stream, table) as write:
        for person in people:
            write(person)
    return stream.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_html_in_a_name_is_shown_as_text(name: str) -> None:
    """No tag and no attribute of a page comes from a name."""
    printed = evolve(PRINTED, title=name, lines=(name,), warnings=(name,), reminder=name)
    page = page_of([evolve(ZOE, last_name=name)])
    as_printed = page_of([evolve(ZOE, id=name, title=name)], evolve(CUSTOMERS, name=name, printed=printed))

    assert Rows.of(page)[0]["last_name"] == name
    assert Rows.of(as_printed) == [{"id": name, "title": name}]
    plain = page_of([ZOE])
    assert re.findall("<[a-z]+", page.replace("<wbr>", "")) == re.findall("<[a-z]+", plain)
    assert re.findall(r"<[^>]*\s(?:on\w+|src|href)=", page + as_printed) == []


def test_a_page_has_a_language_a_title_a_heading_and_a_header_for_each_column() -> None:
    """A screen reader needs these."""
    page = page_of([ZOE], evolve(CUSTOMERS, name="people & friends"))

    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>people &amp; friends</title>" in page
    assert '<h1 dir="auto">people &amp; friends</h1>' in page
    assert page.count('<th scope="col"') == len(CUSTOMERS.columns)
    assert '<td dir="auto">Zo\xeb</td>' in page


def test_a_page_runs_no_script_and_loads_nothing() -> None:
    """Its policy forbids the browser to do so."""
    page = page_of([ZOE])

    assert "default-src 'none'" in page
    assert re.findall("(?i)<script|<link|<img|<iframe|url\\(|@import|http:|https:", page) == []


def test_the_page_of_a_table_without_rows_says_so() -> None:
    """A printed table may have another text for this."""
    printed = evolve(PRINTED, if_empty="Nobody has booked.")

    assert Rows.of(page_of([])) == []
    assert "<p>No rows.</p>" in page_of([])
    assert "<p>Nobody has booked.</p>" in page_of([], evolve(CUSTOMERS, printed=printed))
    assert "No rows." not in page_of([ZOE])


def test_control_characters_are_escaped_and_letters_of_all_scripts_stay() -> None:
    """HTML may not have control characters. Marks of direction are part of a name."""
    (row,) = Rows.of(page_of([evolve(ZOE, first_name="\x00a\x1b[31m\x85", last_name="\u05d0\u200f \U0001f3ad \u5c71")]))

    assert row["first_name"] == "\\x00a\\x1b[31m\\x85"
    assert row["last_name"] == "\u05d0\u200f \U0001f3ad \u5c71"


def test_a_printed_table_has_its_own_columns_boxes_to_tick_and_void_rows() -> None:
    """A reminder is on every page, and the other columns are left out."""
    printed = evolve(PRINTED, reminder="tonight", is_void=lambda person: person.title == "gone")
    people = [evolve(ZOE, title=None), evolve(ZOE, title="gone")]

    page = page_of(people, evolve(CUSTOMERS, printed=printed))

    assert Rows.of(page) == [{"id": "cst-1", "title": ""}, {"id": "cst-1", "title": "gone"}]
    assert page.count('<span class="box" role="img" aria-label="a box to tick"></span>') == 1
    assert page.count('<tr class="void">') == 1
    assert '<tr><th class="on-every-page" colspan="2" dir="auto">tonight</th></tr>' in page


def test_a_page_is_written_row_by_row() -> None:
    """Each row is written at once, and nothing is written before the first."""
    stream = io.StringIO()
    with html.writer(stream, CUSTOMERS) as write:
        assert stream.getvalue() == ""
        for number in range(3):
            write(evolve(ZOE, id=f"cst-{number}"))
            assert f"cst-{number}" in stream.getvalue()


def test_a_long_word_may_break_and_keeps_its_text() -> None:
    """Otherwise one name would make the page wider than the paper."""
    page = page_of([evolve(ZOE, last_name=f"Short {'<' * 50}", first_name="Hyphens-break-by-themselves")])

    assert f'<td dir="auto">Short {"&lt;" * 20}<wbr>{"&lt;" * 20}<wbr>{"&lt;" * 10}</td>' in page
    assert page.count("<wbr>") == 2
    assert Rows.of(page)[0]["last_name"] == f"Short {'<' * 50}"


AMOUNTS = Table[str](
    (
        Column("gross", "money", Decimal),
        Column("count", "number", len),
    ),
    name="amounts",
)


def test_an_amount_has_at_least_two_decimals_and_is_never_rounded() -> None:
    """So that amounts stand below each other. A number of things has none."""
    stream = io.StringIO()
    with html.writer(stream, AMOUNTS) as write:
        for amount in ("125.0", "7", "-2.5", "1.005", "1E+3"):
            write(amount)

    rows = [(row["gross"], row["count"]) for row in Rows.of(stream.getvalue())]
    assert rows == [("125.00", "5"), ("7.00", "1"), ("-2.50", "4"), ("1.005", "5"), ("1000.00", "4")]


def wide(number: int) -> Table[str]:
    """Return a table with so many columns, of which some have long words, and the headings look like code."""
    kinds: tuple[Kind, ...] = ("text", "number", "money", "yes", "day", "moment")
    odd = ('"; } td { display: none } "', "</style><script>", "\\", "unbreakable" * 5, "")
    columns = (
        Column[str](odd[place] if place < len(odd) else f"column_{place}", kinds[place % 6], lambda text: text)
        for place in range(number)
    )
    return Table(tuple(columns), name="wide")


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 6, 12, 18, 24, 40, 600])
async def test_a_table_with_any_number_of_columns_is_no_wider_than_the_paper(tmp_path: Path, number: int) -> None:
    """It is printed on A4 on its side. Each value is there, and if a row is a paragraph, each with its heading."""
    page = files.as_text(["x", "W" * 200, "short words " * 20, ""], table := wide(number), "html")
    (tmp_path / "wide.html").write_text(page, "utf-8")

    async with browser(tmp_path / "profile") as tab:
        await tab.show(tmp_path / "wide.html", width=1054)  # A4 without its margins
        await tab.call("Emulation.setEmulatedMedia", media="print")
        widest = await tab.evaluate(
            "Math.max(...[...document.querySelectorAll('th, td')].map(cell => cell.getBoundingClientRect().right))"
        )
        spilling = await tab.evaluate(
            "[...document.querySelectorAll('td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
        )
        shown = await tab.evaluate("[...document.querySelectorAll('td')].filter(cell => cell.clientWidth).length")
        type_ = await tab.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
        labels = await tab.evaluate(
            "[...document.querySelector('tbody tr').children].map(cell => getComputedStyle(cell, '::before').content)"
        )
        await tab.print(tmp_path / "wide.pdf")

    sheet = PdfReader(tmp_path / "wide.pdf").pages[0]
    assert (round(sheet.mediabox.width / 72 * 25.4), round(sheet.mediabox.height / 72 * 25.4)) == (297, 210)
    assert widest <= 1054
    assert spilling == 0
    assert shown in (3 * number, 4 * number)  # an empty value takes no room in a paragraph
    assert type_ >= 5.5 * 96 / 72
    if labels[0] != "none":
        assert [json.loads(label) for label in labels] == [f"{name.replace('_', ' ')}: " for name in table.names]
    assert (labels[0] == "none") == (number <= 18)
    assert tab.messages == []


async def test_customers_can_be_exported_as_a_page(box: Sandbox, tmp_path: Path) -> None:
    """The ending of the file or `--format` chooses it."""
    file = tmp_path / "people.html"

    done = await run("customers", "export", "-o", str(file), box=box)
    printed = await run("customers", "export", "--format", "html", box=box)

    assert (done.code, printed.code) == (0, 0)
    assert [row["id"] for row in rows_in(file, "html")] == box.customers.ids()
    assert printed.out == file.read_text("utf-8")


def test_the_error_names_the_missing_extra_for_html() -> None:
    """Nothing is written."""
    program = (
        "import sys; sys.modules['jinja2'] = None\n"
        "import asyncio; from ticketsource_async import files, tables\n"
        "asyncio.run(files.write([], tables.CUSTOMERS, '-', format='html'))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.stderr.rstrip().endswith("To write HTML, install an extra: pip install 'ticketsource-async[html]'")
    assert done.stdout == ""


def test_a_table_without_columns_is_a_page() -> None:
    """A program may leave out all columns."""
    assert "No rows." in files.as_text([], Table[Customer](()), "html")
