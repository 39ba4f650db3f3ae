"""Files that the command writes, opened and saved by LibreOffice itself."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve
from command import rows_in, table
from rows import ZOE

from ticketsource_async import files
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


async def test_libreoffice_shows_every_text_day_and_consent_of_an_xlsx_as_it_is(tmp_path: Path) -> None:
    """No zero, no plus and no digit is lost, and no formula comes to life."""
    people = [evolve(ZOE, first_name=name, telephone=name) for name in NAMES]
    file = tmp_path / "people.xlsx"
    await files.write(people, CUSTOMERS, file)

    shown = await saved_as("csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false", file)

    for row, person in zip(table(shown.read_text("utf-8")), people, strict=True):
        expected = dict(zip(CUSTOMERS.names, map(text_of, CUSTOMERS.row(person)), strict=True))
        expected |= {name: cell.upper() for name, cell in expected.items() if name.startswith("consent_")}
        assert row == expected


async def test_what_libreoffice_saves_as_xlsx_again_has_the_same_cells(tmp_path: Path) -> None:
    """Only a boolean becomes a number."""
    people = [evolve(ZOE, first_name=name, telephone=name) for name in NAMES]
    file = tmp_path / "people.xlsx"
    await files.write(people, CUSTOMERS, file)

    again = await saved_as("xlsx:Calc MS Excel 2007 XML", file)

    before, after = rows_in(file, "xlsx"), rows_in(again, "xlsx")
    number = {"True": "1.0", "False": "0.0"}
    assert after == [{name: number.get(cell, cell) for name, cell in row.items()} for row in before]
