"""Files that the command writes, opened and saved by LibreOffice itself."""

import asyncio
import os
import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import donated
import pytest
from attrs import evolve
from command import rows_in, table
from rows import ZOE

from ticketsource_async import Donations, files, gift_aid_schedule
from ticketsource_async.report_tables import GIFT_AID_SCHEDULE
from ticketsource_async.reports.donations import Period
from ticketsource_async.tables import CUSTOMERS, text_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("soffice") is None and "EVERY_SERVER_IS_HERE" not in os.environ, reason="LibreOffice is not here"
    ),
]

NAMES = (
    *("01632 960001", "+441632960001", "007", "1-2", "4.4E+11", "12345678901234567890", "1/2/2026", "TRUE", "50%"),
    *("=1+1", '=HYPERLINK("http://x")', "@SUM(A1)", "https://example.com", "#N/A", " a ", "'a", "a\nb", "Zoë"),
    *("<r>a</r>", "<b>&", "_x0041_", "\x01", "\U0001f3ad"),
)


async def saved_as(kind: str, file: Path) -> Path:
    """Let LibreOffice open a file and save it as another kind."""
    folder = file.parent / "saved"
    profile = f"-env:UserInstallation={(file.parent / 'profile').as_uri()}"
    command = ("soffice", profile, "--headless", "--convert-to", kind, "--outdir", str(folder), str(file))
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    return folder / f"{file.stem}.{kind.partition(':')[0]}"


async def test_libreoffice_shows_every_text_day_and_consent_of_an_xlsx_unchanged(tmp_path: Path) -> None:
    """No zero, plus or digit is lost, and no formula is run."""
    people = [evolve(ZOE, first_name=name, telephone=name) for name in NAMES]
    file = tmp_path / "people.xlsx"
    await files.write(people, CUSTOMERS, file)

    shown = await saved_as("csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false", file)

    for row, person in zip(table(shown.read_text("utf-8")), people, strict=True):
        expected = dict(zip(CUSTOMERS.names, map(text_of, CUSTOMERS.row(person)), strict=True))
        expected |= {name: cell.upper() for name, cell in expected.items() if name.startswith("consent_")}
        assert row == expected


async def test_an_xlsx_saved_again_by_libreoffice_has_the_same_cells(tmp_path: Path) -> None:
    """Only a boolean becomes a number."""
    people = [evolve(ZOE, first_name=name, telephone=name) for name in NAMES]
    file = tmp_path / "people.xlsx"
    await files.write(people, CUSTOMERS, file)

    again = await saved_as("xlsx:Calc MS Excel 2007 XML", file)

    before, after = rows_in(file, "xlsx"), rows_in(again, "xlsx")
    number = {"True": "1.0", "False": "0.0"}
    assert after == [{name: number.get(cell, cell) for name, cell in row.items()} for row in before]


async def test_the_gift_aid_schedule_keeps_its_texts_days_and_amounts_in_ods(tmp_path: Path) -> None:
    """HMRC reads the texts and amounts of an ODS file. No text has become a day or a number."""
    donor = donated.person(first_name="1-2", last_name="007", address={"line_1": "1/2", "postcode": "e10 1aa"})
    lines = [
        donated.donation(amount, day)
        for amount, day in ((5, "2026-01-02"), (1234.5, "2026-02-28"), (0.01, "2026-03-04"))
    ]
    found = donated.found_in(*lines)
    assert found is not None
    donations = Donations(period=Period(), bookings=(found,), donors={"cst-1": donor})
    file = tmp_path / "schedule.xlsx"
    await files.write(gift_aid_schedule(donations, date(2026, 11, 27)).rows, GIFT_AID_SCHEDULE, file)

    ods = await saved_as("ods", file)

    office, texts = (
        "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}",
        "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}",
    )
    cells = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
    with zipfile.ZipFile(ods) as archive:
        document = ET.fromstring(archive.read("content.xml"))
    rows = [
        [
            (cell.get(f"{office}value-type"), "".join(cell.itertext()))
            for cell in row
            if cell.find(f"{texts}p") is not None
        ]
        for row in document.iter(f"{cells}table-row")
    ]
    donor_cells = [("string", cell) for cell in ("Ms", "1-2", "007", "1/2", "E10 1AA")]
    assert [[cell for _, cell in row] for row in rows[:1]] == [list(GIFT_AID_SCHEDULE.names)]
    assert [row for row in rows[1:] if row] == [
        [*donor_cells, ("string", day), ("float", amount)]
        for day, amount in (("02/01/26", "5.00"), ("28/02/26", "1234.50"), ("04/03/26", "0.01"))
    ]
