"""Make the pictures of the pages from the sample box office: `uv run --all-extras python docs/pictures.py`.

It needs Chromium, LibreOffice and pdftoppm (poppler-utils). Run it by hand when what a picture shows has changed, and
look at what it made in docs/pages/images.
"""

import csv
import html
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

IMAGES: Final = Path(__file__).parent / "pages" / "images"
JANUARY: Final = ("--from", "2026-01-01", "--to", "2026-01-31")
COLUMNS: Final = 88
MOST_BYTES: Final = 150_000

TERMINAL: Final = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 20px 24px; background: #1e2129; color: #e6e8ee; }
pre { margin: 0; font: 15px/1.4 "DejaVu Sans Mono", monospace; }
b { color: #8fd3a6; font-weight: normal; }
</style><pre><b>$</b> """


def run(*command: object) -> str:
    """Run a program and return what it printed."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout  # noqa: S603 - our own words


def ticketsource(*arguments: object) -> str:
    """Run the command against the sample box office and return what it printed."""
    return run(sys.executable, "-m", "ticketsource_async", *arguments, "--sandbox")


def chromium(folder: Path, *arguments: object) -> None:
    """Run the browser without a window."""
    run("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/browser", *arguments)


def photograph(page: Path, picture: str, width: int, height: int) -> None:
    """Make a picture of the top of a page in a window of this size."""
    chromium(page.parent, f"--screenshot={IMAGES / picture}", f"--window-size={width},{height}", page.as_uri())


def draw(pdf: Path, picture: str, width: int, height: int) -> None:
    """Make a picture of the top left of the first page, of this size at 100 dots an inch."""
    stem = IMAGES / Path(picture).stem
    run("pdftoppm", "-png", "-singlefile", "-r", 100, "-x", 0, "-y", 0, "-W", width, "-H", height, pdf, stem)


def report(folder: Path) -> None:
    """Make the picture of the top of a report."""
    page = folder / "report.html"
    ticketsource("report", *JANUARY, "-o", page)
    photograph(page, "report.png", 960, 800)


def door_list(folder: Path) -> None:
    """Make the picture of a printed door list."""
    programme = csv.DictReader(ticketsource("programme", "export", *JANUARY).splitlines())
    page, pdf = folder / "door.html", folder / "door.pdf"
    ticketsource("door-list", next(programme)["date_id"], "-o", page)
    chromium(folder, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    draw(pdf, "door-list.png", 1169, 420)


def spreadsheet(folder: Path) -> None:
    """Make the picture of a workbook in LibreOffice."""
    workbook = folder / "customers.xlsx"
    ticketsource("customers", "export", "--limit", 10, "-o", workbook)
    profile = f"-env:UserInstallation={(folder / 'office').as_uri()}"
    whole = 'pdf:calc_pdf_Export:{"SinglePageSheets":{"type":"boolean","value":"true"}}'
    run("soffice", profile, "--headless", "--convert-to", whole, "--outdir", folder, workbook)
    draw(workbook.with_suffix(".pdf"), "customers.png", 1240, 240)


def terminal(folder: Path) -> None:
    """Make the picture of a table in a terminal."""
    words = ("sales", "--by", "event", "--format", "table", *JANUARY)
    shown = f"ticketsource sales --by event {' '.join(JANUARY)}\n{ticketsource(*words)}"
    page = folder / "terminal.html"
    page.write_text(TERMINAL + html.escape(shown))
    photograph(page, "terminal.png", COLUMNS * 9 + 56, (shown.count("\n") + 1) * 21 + 24)


def main() -> None:
    """Make all pictures; refuse one that is too large for a page."""
    with TemporaryDirectory() as folder:
        for make in (report, door_list, spreadsheet, terminal):
            make(Path(folder))
    large = [picture.name for picture in IMAGES.glob("*.png") if picture.stat().st_size > MOST_BYTES]
    if large:
        sys.exit(f"More than {MOST_BYTES} bytes: {', '.join(large)}")


if __name__ == "__main__":
    main()
