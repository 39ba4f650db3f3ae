"""The page about sales, as text and in a real browser."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from browser import browser
from pypdf import PdfReader

from ticketsource_async.errors import ServerError
from ticketsource_async.failed_branches import FailedBranch
from ticketsource_async.files.report_page import html_of
from ticketsource_async.listings import Sold
from ticketsource_async.models import Amount, Booking, BookingLine, Discounts, Event, EventDate
from ticketsource_async.reports.page import sales_page
from ticketsource_async.reports.sales import SalesTally

NAMES = (
    "The Lighthouse",
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "</svg><img src=x onerror=alert(1)>",
    "$5 night $x^2$ & {{ 7 * 7 }}",
    "W" * 200,
    "ليلة الموسيقى العربية الكبرى",
    "春のコンサート" * 8,
    "\U0001f3ad Panto \U0001f9d1\u200d\U0001f3a4",
    "bell \x07 and escape \x1b[31m",
)
GROSS = ("1234.5", "-120", None, "0", "7000", "3000.55", "812.25", "12", "1E+30", "5")
OPENING = datetime(2026, 1, 3, 19, 30, tzinfo=UTC)
MADE = datetime(2026, 1, 4, 9, 15, tzinfo=UTC)


def page_of(performances: int, days: int = 40, *, failed: int = 0) -> str:
    """Return the page about these numbers of performances and of days with sales. `failed` more could not be read."""
    tallies = SalesTally("date"), SalesTally("sold-day")
    for number in range(performances + failed):
        event = Event(f"evt-{number}", name=NAMES[number % len(NAMES)], archived=False)
        event_date = EventDate(
            f"dat-{number}", start=OPENING + timedelta(days=number), cancelled=(False, True, None)[number % 3]
        )
        for tally in tallies:
            if number >= performances:
                tally.add_failed(FailedBranch(event, event_date, None, ServerError("Server error", 500)))
            else:
                tally.add(Sold(event, event_date, None, [_booking(number, days)]))
    by_date, by_sold_day = (tally.result() for tally in tallies)
    return html_of(sales_page(by_date, by_sold_day, ["All performances."], MADE))


def _booking(number: int, days: int) -> Booking:
    gross = GROSS[number % len(GROSS)]
    money = None if gross is None else Decimal(gross)
    amount = Amount(gross=money, fee=Decimal(0), fee_vat=Decimal(0), net=money, discounts=Discounts(Decimal(0)))
    sold = OPENING - timedelta(days=number * 7 % days)
    line = BookingLine("TICKETS", is_refund=False, amount=amount, created_at=sold)
    return Booking(f"bkg-{number}", lines=(line,))


def colours(page: str) -> list[dict[str, str]]:
    """Return the colours of a page by name, for light and for dark."""
    found = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{.*?\}", page, re.DOTALL)
    ]
    return [block for block in found if block]


def luminance_of(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG defines it."""
    dark, light = sorted((luminance_of(one), luminance_of(other)))
    return (light + 0.05) / (dark + 0.05)


def test_texts_and_bars_stand_out_in_light_and_in_dark() -> None:
    """WCAG 2.2 (AA) requires 4.5 to 1 for text, and 3 to 1 for the parts of a chart."""
    light, dark = colours(page_of(1))

    for colour in (light, dark):
        assert contrast(colour["ink"], colour["paper"]) >= 7
        assert contrast(colour["muted"], colour["paper"]) >= 4.5
        assert contrast(colour["bar"], colour["paper"]) >= 3
        assert contrast(colour["below"], colour["paper"]) >= 3


# How those see colours who lack one kind of cones, for linear light (Viénot, Brettel and Mollon, 1999; Machado,
# Oliveira and Fernandes, 2009, for the last).
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.mark.parametrize("matrix", BLINDNESS.values(), ids=list(BLINDNESS))
def test_bars_differ_for_colour_blind_people(matrix: tuple[tuple[float, float, float], ...]) -> None:
    """These are bars above and below zero. They also go to different sides and have a sign."""
    for colour in colours(page_of(1)):
        seen = []
        for name in ("bar", "below"):
            parts = [int(colour[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            seen.append([sum(a * b for a, b in zip(row, linear, strict=True)) for row in matrix])
        assert max(abs(a - b) for a, b in zip(*seen, strict=True)) > 0.15


@pytest.mark.parametrize("performances", [0, 1, 9, 500])
def test_the_page_runs_no_script_and_loads_nothing(performances: int) -> None:
    """Names of events may be hostile. The policy for the browser forbids it, too."""
    page = page_of(performances)

    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert re.findall(r"(?i)<(?:script|link|img|iframe|object|embed|base|form|use|image)\b", page) == []
    assert re.findall(r"(?i)<[^>]*\s(?:on\w+|src|href|action|id)=", page) == []
    assert re.findall(r"(?i)https?:|url\(|@import|\bdata:", page) == []
    assert "default-src 'none'" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page)


def test_the_same_sales_make_the_same_page() -> None:
    """The pages are equal to the last byte."""
    assert page_of(30) == page_of(30)
    assert "Made on 4 Jan 2026, 09:15." in page_of(30)


def test_an_incomplete_page_says_so_at_each_total_chart_and_table() -> None:
    """The text for screen readers says so, too."""
    page = page_of(9, failed=2)

    for said in (
        "<p>Not complete: without 2 performances; ",
        "<dd>no sum: without 2 performances; ",
        "<dd>not known: without 2 performances; ",
        "Gross of tickets after refunds, without 2 performances; ",
        "by performance, bars 1 to 10 of 11, without 2 performances; ",
        "1 line without gross",
    ):
        assert said in page
    drawings = re.findall(r'<svg [^>]*aria-label="([^"]*)"', page)
    assert len(drawings) == 6
    assert all("without 2 performances" in words for words in drawings)
    assert re.findall('<dd class="amount">', page) == []


def test_a_cancelled_performance_is_named_as_cancelled() -> None:
    """The bar and the table say so, also if it is unknown whether it is cancelled."""
    page = page_of(3)

    assert page.count(">4 Jan 2026, 19:30, cancelled<") == 3
    assert page.count(">5 Jan 2026, 19:30, perhaps cancelled, ") == 3


def test_the_highest_of_500_performances_have_bars_and_all_are_in_the_table() -> None:
    """The page says so. Each bar has a drawing for telephones and one for other screens."""
    page = page_of(500)

    assert "The 40 performances with the highest amounts have a bar. The 460 others together have no sum." in page
    assert page.count("<svg ") == 2 * (40 // 10) + 2
    assert page.count('role="rowheader"') == 500 + 1 + 40


def test_a_page_without_performances_says_so() -> None:
    """It has no chart and no table."""
    page = page_of(0)

    assert "<p>There are no performances.</p>" in page
    assert "<p>There are no sales with a known day.</p>" in page
    assert "<svg" not in page
    assert "<table" not in page


@pytest.mark.slow
@pytest.mark.parametrize(("performances", "days"), [(0, 1), (1, 1), (12, 40), (500, 1100)])
async def test_the_page_fits_screens_from_320_to_1280_pixels(tmp_path: Path, performances: int, days: int) -> None:
    """It makes no request, logs nothing, is not wider than the screen, and shows one drawing of each chart."""
    file = tmp_path / "report.html"
    file.write_text(page_of(performances, days), "utf-8")

    async with browser(tmp_path / "profile") as tab:
        for width in (320, 390, 800, 1280):
            await tab.show(file, width=width, dark=width == 390)
            assert await tab.evaluate("document.documentElement.scrollWidth") == width
            shown = await tab.evaluate("[...document.querySelectorAll('svg')].map(s => s.clientWidth).filter(w => w)")
            assert len(shown) == await tab.evaluate("document.querySelectorAll('svg').length / 2")
            assert all(280 <= width_of_one <= 720 for width_of_one in shown)
            letters = await tab.evaluate(
                "Math.min(...[...document.querySelectorAll('svg text')].filter(t => t.textContent.trim())"
                ".map(t => t.getBoundingClientRect().height).filter(h => h), 99)"
            )
            assert letters >= 9

        assert set(tab.requested) == {file.as_uri()}
        assert tab.messages == []


@pytest.mark.slow
async def test_no_text_of_a_chart_overlaps_another(tmp_path: Path) -> None:
    """Long names of any script are cut before the amounts."""
    file = tmp_path / "report.html"
    file.write_text(page_of(20), "utf-8")
    overlapping = """
        [...document.querySelectorAll('svg')].filter(s => s.clientWidth).flatMap(svg => {
            const boxes = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim())
                .map(t => [t.textContent, t.getBoundingClientRect()]);
            const outer = svg.getBoundingClientRect();
            const out = boxes.filter(([, b]) => b.left < outer.left - 1 || b.right > outer.right + 1).map(([t]) => t);
            return [...out, ...boxes.flatMap(([t, a], i) => boxes.slice(i + 1)
                .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top + 3 < b.bottom - 3
                    && b.top + 3 < a.bottom - 3).map(([u]) => t + ' / ' + u))];
        })"""

    async with browser(tmp_path / "profile") as tab:
        for width in (320, 390, 1280):
            await tab.show(file, width=width)
            assert await tab.evaluate(overlapping) == []


@pytest.mark.slow
async def test_a_screen_reader_gets_headings_charts_in_words_and_tables(tmp_path: Path) -> None:
    """They come in this order, also on a telephone. A chart is one picture with a text."""
    file = tmp_path / "report.html"
    file.write_text(page_of(12, failed=1), "utf-8")
    heard = {}

    async with browser(tmp_path / "profile") as tab:
        for width in (390, 1280):
            await tab.show(file, width=width)
            heard[width] = await tab.read_aloud()

    for parts in heard.values():
        assert parts[0] == ("RootWebArea", "Sales report")
        assert [name for role, name in parts if role == "heading"] == [
            *("Sales report", "Totals", "Sales by performance", "Sales over time", "How to read this page"),
        ]
        pictures = [name for role, name in parts if role == "image"]
        assert [words[:11] for words in pictures] == ["Bar chart o", "Bar chart o", "Line chart "]
        assert all("without 1 performance" in words for words in pictures)
        assert sum(role == "table" for role, _ in parts) == 2
        assert [name for role, name in parts if role == "columnheader"][:6] == [
            *("Performance", "Bookings", "Gross", "Refunds", "Net", "Donations"),
        ]
        headers = [name for role, name in parts if role == "rowheader"]
        assert headers[1] == "<script>alert(1)</script> 4 Jan 2026, 19:30, cancelled"


@pytest.mark.slow
async def test_the_page_is_printed_on_a4_in_light_colours_with_no_bar_cut(tmp_path: Path) -> None:
    """This is so also from a dark screen. Each page has its number."""
    file = tmp_path / "report.html"
    file.write_text(page_of(60, 300), "utf-8")

    async with browser(tmp_path / "profile") as tab:
        await tab.show(file, width=390, dark=True)
        await tab.print(tmp_path / "report.pdf")
        await tab.call(
            "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
        )
        on_paper = await tab.evaluate("getComputedStyle(document.body).backgroundColor")

    sheets = PdfReader(tmp_path / "report.pdf").pages
    assert on_paper == "rgb(255, 255, 255)"
    assert {tuple(round(side / 72 * 25.4) for side in sheet.mediabox.upper_right) for sheet in sheets} == {(210, 297)}
    bars: list[int] = []
    with_table = 0
    for number, sheet in enumerate(sheets, 1):
        text = sheet.extract_text()
        assert re.search(rf"\b{number} ?/ ?{len(sheets)}\b", text)
        before, in_table, after = text.partition("Performance ")
        if in_table:
            with_table += 1
            assert after.startswith("Bookings Gross Refunds Net Donations")
        if with_table <= bool(in_table):
            bars.append(len(re.findall(", 19:30", before)))
    assert sum(bars) == 40
    assert all(number % 10 == 0 for number in bars)
    assert with_table >= 2
