"""Door lists on paper and on a screen: pages in a real Chromium, sheets in a real LibreOffice."""

import asyncio
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pypdf import PdfReader
from servers import need
from test_libreoffice import saved_as

from ticketsource_async import (
    Booking,
    Customer,
    DoorEntry,
    DoorList,
    Event,
    EventDate,
    Fetched,
    Seat,
    SeatReference,
    ServerError,
    Venue,
    files,
)
from ticketsource_async.report_tables import door_list_table

pytestmark = pytest.mark.slow

REMINDER = "42nd Street & M&G, 2026-01-03 19:30, Town Hall"
EVIL = "<script>document.body.textContent = 'taken'</script><img src=x onerror=\"document.body.textContent = 'taken'\">"


def entries(number: int) -> Iterator[DoorEntry]:
    """Yield this number of entries. Some are long, cancelled, hostile or unreadable."""
    for index in range(number):
        cancelled = index % 10 == 9
        seats = [
            Seat(f"sea-{index}-{place}", True, cancelled, SeatReference("ABCD"[place // 20], str(place + 1)), "Adult")
            for place in range(40 if index == 3 else 1 + index % 4)
        ]
        name = {1: EVIL, 2: "x" * 300, 4: "van der Somewhere-or-Other " * 8}.get(index, f"Surname{index:03}")
        person = Customer(f"cst-{index}", None, "Ann", name, None, f"01632 {960000 + index}")
        failed = Fetched[Sequence[Seat]](None, (ServerError("failed"),))
        yield DoorEntry(
            Booking(f"bkg-{index}", f"R{index:05}"), Fetched(person), failed if index == 7 else Fetched(seats)
        )


def door_list(number: int, *, cancelled: bool = False) -> DoorList:
    """Return a list with this number of bookings."""
    start = datetime(2026, 1, 3, 19, 30, tzinfo=UTC)
    date = EventDate("dat-1", start=start, cancelled=cancelled)
    event, venue = Event("evt-1", "42nd Street & M&G"), Venue("ven-1", "Town Hall")
    return DoorList(
        "dat-1",
        date,
        event,
        venue,
        tuple(entries(number)),
        (),
        0,
        None,
        has_seats=True,
        has_notes=False,
        read_at=start,
    )


async def browsed(page: Path, *options: str) -> str:
    """Let a browser open a page, and return what it writes to stdout."""
    profile = f"--user-data-dir={page.parent / 'browser'}"
    command = (need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", profile, *options, page.as_uri())
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=240)
    return done.stdout.decode()


async def printed(page: Path) -> list[str]:
    """Return the text of each A4 page that a browser prints."""
    paper = page.with_suffix(".pdf")
    await browsed(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    return pages_of(paper)


def pages_of(paper: Path) -> list[str]:
    """Return the text of each page. Check that all pages are A4 in landscape."""
    pages = PdfReader(paper).pages
    sizes = {tuple(round(side / 72 * 25.4) for side in (page.mediabox.width, page.mediabox.height)) for page in pages}
    assert sizes == {(297, 210)}  # in millimetres
    return [page.extract_text() for page in pages]


async def test_a_page_is_printed_with_the_performance_and_the_header_on_every_sheet(tmp_path: Path) -> None:
    """Each sheet has its number and says that the list is not complete. No booking is missing."""
    found = door_list(200)
    await files.write(found.entries, door_list_table(found), tmp_path / "door.html")

    pages = await printed(tmp_path / "door.html")

    assert len(pages) > 5
    for number, text in enumerate(pages, 1):
        assert f"{REMINDER} - NOT COMPLETE" in text
        assert re.search("arrived name ref seats places attendees telephone remarks", text.replace("\n", " "))
        assert f"{number} / {len(pages)}" in text
    text = "\n".join(pages)
    assert re.findall(r"\bR\d{5}\b", text) == [entry.reference for entry in found.entries]
    assert "All or some of the seats of 1 booking could not be read." in pages[0]
    assert text.count("CANCELLED") == 20
    assert EVIL[:8] in text
    assert "A1-A20, B21-B40" in " ".join(text.split())


async def test_a_browser_runs_no_script_in_a_name(tmp_path: Path) -> None:
    """The page shows all its rows."""
    found = door_list(20)
    await files.write(found.entries, door_list_table(found), tmp_path / "door.html")

    shown = await browsed(tmp_path / "door.html", "--dump-dom")

    assert shown.count("<tr") == 22
    assert "<img" not in shown
    assert "<script" not in shown
    assert "document.body.textContent" in shown.replace("<wbr>", "")


@pytest.mark.parametrize("width", [320, 1280])
async def test_a_page_is_drawn_on_a_narrow_and_a_wide_screen(tmp_path: Path, width: int) -> None:
    """The browser makes a picture of it."""
    found = door_list(20)
    await files.write(found.entries, door_list_table(found), tmp_path / "door.html")
    picture = tmp_path / "door.png"

    await browsed(tmp_path / "door.html", f"--window-size={width},800", f"--screenshot={picture}")

    assert picture.read_bytes().startswith(b"\x89PNG")


async def test_a_date_without_bookings_is_printed_on_one_sheet_that_says_so(tmp_path: Path) -> None:
    """It also says that the performance is cancelled."""
    found = door_list(0, cancelled=True)
    await files.write(found.entries, door_list_table(found), tmp_path / "door.html")

    (text,) = await printed(tmp_path / "door.html")

    assert f"{REMINDER} - CANCELLED" in text
    assert "This performance is cancelled." in text
    assert "Nobody has booked." in text


async def test_a_spreadsheet_is_printed_with_the_performance_and_the_header_on_every_page(tmp_path: Path) -> None:
    """It is as wide as the page, and has the same texts as in a browser. The ids are not printed."""
    need("soffice")
    found = door_list(200)
    file = tmp_path / "door.xlsx"
    await files.write(found.entries, door_list_table(found), file)

    pages = pages_of(await saved_as("pdf", file))

    assert len(pages) > 5
    for number, text in enumerate(pages, 1):
        assert f"{REMINDER} - NOT COMPLETE" in text
        assert "All or some of the seats of 1 booking could not be read." in text
        assert re.search("arrived *name *ref *seats *places *attendees *telephone *remarks", text.replace("\n", " "))
        assert f"{number} / {len(pages)}" in text
    text = "\n".join(pages)
    assert re.findall(r"\bR\d{5}\b", text) == [entry.reference for entry in found.entries]
    assert "bkg-" not in text
    assert text.count("CANCELLED") == 20
