"""Files of other programs can be imported unchanged."""

import subprocess
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from command import EXPORT, run, run_with_streams, table
from importing import import_, writes
from servers import need

from ticketsource_async import CustomerDraft, MembershipDraft, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import draft_of


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.mark.parametrize(
    ("encoding", "taken"),
    [("cp1252", 'Windows-1252, ";"'), ("utf-16", 'UTF-16, ";"'), ("utf-8-sig", 'UTF-8, ";"')],
)
async def test_the_import_says_how_it_reads_a_file(box: Sandbox, file: Path, encoding: str, taken: str) -> None:
    """So the user sees a wrong guess before anything is written."""
    file.write_text("Email Address;Surname\nnew@example.com;Zoë\n", encoding)

    done, (outcome,) = await import_(file, "--match", "email", box=box)
    stdin = await run_with_streams(f"<{file}", "customers", "import", "-", "--match", "email", box=box)

    assert done.err.startswith(f"{file}: {taken}\n")
    assert stdin.err.startswith(f"stdin: {taken}\n")
    assert outcome["values"]["last_name"] == "Zoë"


async def test_the_encoding_and_the_delimiter_can_be_given(box: Sandbox, file: Path) -> None:
    """An unknown encoding is wrong use."""
    file.write_text("email|last_name\nnew@example.com|Zoë\n", "mac-roman")
    how = ("--match", "email")

    _, (outcome,) = await import_(file, *how, "--encoding", "mac-roman", "--delimiter", "|", box=box)
    wrong, _ = await import_(file, *how, "--encoding", "klingon", box=box)
    no_sheet, _ = await import_(file, *how, "--sheet", "x", box=box)

    assert outcome["values"]["last_name"] == "Zoë"
    assert (wrong.code, no_sheet.code) == (2, 2)
    assert "no encoding 'klingon'" in wrong.err
    assert "--sheet is for spreadsheets only" in no_sheet.err


async def test_a_workbook_is_imported_with_its_numbers_and_consents(
    box: Sandbox, ts: TicketSource, tmp_path: Path
) -> None:
    """The numbers 1 and 0 are consents, and a row with an error is refused."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", telephone="+44 1632 960001", last_name="Z"))
    file = tmp_path / "people.xlsx"
    book: Any = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("People")
    book.add_worksheet("Notes")
    for column, name in enumerate(("Email", "Phone", "Last Name", "consent_email", "consent_post", "consent_sms")):
        sheet.write_string(0, column, name)
    sheet.write_string(2, 0, "zoe@example.com")
    sheet.write_number(2, 1, 441632960001)
    sheet.write_formula(2, 2, "=NA()", None, "#N/A")
    sheet.write_number(2, 3, 1)
    sheet.write_number(2, 4, 0)
    sheet.write_number(2, 5, 2)
    sheet.write_string(3, 0, "new@example.com")
    sheet.write_number(3, 3, 0)
    sheet.write_boolean(3, 4, 1)
    book.close()

    done, (new, refused) = await import_(file, "--match", "email", "--give-consent", box=box)

    assert done.err.startswith(f'{file}: sheet "People"\n')
    assert new["values"] == {"email": "new@example.com", "consent_email": False, "consent_post": True}
    assert (refused["row"], refused["id"]) == (3, zoe.id)
    assert refused["reason"] == (
        "last_name is '#N/A', an error of a spreadsheet: correct or empty the cell; "
        "consent_sms must be true or false, yes or no, 1 or 0, not '2'"
    )


async def test_the_sheet_of_a_workbook_can_be_named(box: Sandbox, tmp_path: Path) -> None:
    """If two sheets have rows, none is guessed."""
    file = tmp_path / "people.xlsx"
    book = xlsxwriter.Workbook(file)
    for name in ("Old", "New"):
        for row, cell in enumerate(("email", f"{name.lower()}@example.com")):
            (book.get_worksheet_by_name(name) or book.add_worksheet(name)).write_string(row, 0, cell)
    book.close()

    refused, _ = await import_(file, "--match", "email", box=box)
    _, (outcome,) = await import_(file, "--match", "email", "--sheet", "New", box=box)

    assert refused.code == 2
    assert 'several sheets with rows: "Old", "New". Choose one with --sheet.' in refused.err
    assert outcome["values"] == {"email": "new@example.com"}


@pytest.mark.parametrize(
    ("order", "cell"),
    [
        ("dmy", "31/01/2026"),
        ("dmy", "31.1.2026"),
        ("dmy", "31-01-2026 00:00"),
        ("mdy", "01/31/2026"),
        ("mdy", "1-31-2026"),
        ("dmy", "2026/01/31"),
        ("mdy", "31 January 2026"),
        ("dmy", "31-Jan-2026"),
        ("dmy", "January 31st, 2026"),
        ("mdy", "2026-01-31 00:00:00"),
        (None, "2026-01-31"),
        (None, "2026-01-31T00:00:00"),
    ],
)
async def test_days_are_read_in_the_given_order(box: Sandbox, file: Path, order: str | None, cell: str) -> None:
    """A month in letters and ISO 8601 are read in any order."""
    file.write_text(f'email,Membership start\nnew@example.com,"{cell}"\n')

    _, (outcome,) = await import_(file, "--match", "email", *(("--dates", order) if order else ()), box=box)

    assert outcome["values"]["membership_start_date"] == "2026-01-31"


@pytest.mark.parametrize(
    ("options", "cell", "said"),
    [
        ((), "31/01/2026", "'31/01/2026'; for such days say --dates dmy"),
        (("--dates", "mdy"), "31/01/2026", "not '31/01/2026'"),
        (("--dates", "dmy"), "31/01/26", "has a year of two digits"),
        (("--dates", "dmy"), "30/02/2026", "not '30/02/2026'"),
        (("--dates", "dmy"), "2026-02-30", "not '2026-02-30'"),
        (("--dates", "dmy"), "46054", "not '46054'"),
        (("--dates", "dmy"), "31/01/2026 09:30", "not '31/01/2026 09:30'"),
        ((), "########", "an error of a spreadsheet"),
    ],
)
async def test_a_text_that_is_no_day_in_the_given_order_is_refused(
    box: Sandbox, file: Path, options: tuple[str, ...], cell: str, said: str
) -> None:
    """Nothing is guessed."""
    file.write_text(f"email,membership_start_date\nnew@example.com,{cell}\n")

    _, (outcome,) = await import_(file, "--match", "email", *options, box=box)

    assert said in outcome["reason"]


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d-%b-%Y", "%Y/%m/%d", "%d/%m/%Y 00:00:00"])
async def test_days_in_another_form_equal_the_stored_ones(
    box: Sandbox, ts: TicketSource, file: Path, form: str
) -> None:
    """All days of the column equal the stored ones in one order. stderr says so."""
    people = [c for c in await ts.customers.list().collect() if c.membership and c.membership.start_date]
    cells = [(c.id, f"{c.membership.start_date:{form}}") for c in people if c.membership]
    file.write_text("\n".join(["id,membership_start_date,last_name", *(f"{key},{day},New" for key, day in cells)]))

    done, outcomes = await import_(file, "--match", "id", box=box)

    assert len(outcomes) == len(people) > 1
    assert {tuple(outcome["changes"]) for outcome in outcomes} == {("last_name",)}
    said = f"membership_start_date: {len(people)} days are written in another form, but equal the stored ones.\n"
    assert said in done.err


async def test_one_day_that_differs_makes_the_order_uncertain(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """With `--dates`, it is a change, and the other day is unchanged."""
    day = MembershipDraft(start_date=date(2026, 1, 31))
    ids = [(await ts.customers.create(CustomerDraft(last_name="x", membership=day))).id for _ in range(2)]
    file.write_text(f"id,membership_start_date\n{ids[0]},31/01/2026\n{ids[1]},01/02/2026\n")

    _, refused = await import_(file, "--match", "id", box=box)
    _, (same, changed) = await import_(file, "--match", "id", "--dates", "dmy", box=box)

    assert [outcome["outcome"] for outcome in refused] == ["refused", "refused"]
    assert same["outcome"] == "unchanged"
    assert changed["changes"] == {"membership_start_date": ["2026-01-31", "2026-02-01"]}


@pytest.mark.parametrize(
    ("field", "stored", "cell"),
    [
        ("address_line_1", "1-2", "02-Jan"),
        ("telephone", "+44-1632-960001", "-961589"),
        ("last_name", "Zoë", "Zo?"),
        ("last_name", "Zoë", "#NAME?"),
        ("membership_identifier", "1234567890123456", "1234567890123450"),
        ("telephone", "01632 960001", '="01632960001"'),
    ],
)
async def test_a_damaged_row_is_refused_with_its_reason(
    box: Sandbox, ts: TicketSource, file: Path, field: str, stored: str, cell: str
) -> None:
    """Nothing of the row is written."""
    zoe = (await ts.customers.create(draft_of({field: stored}))).id
    quoted = '"' + cell.replace('"', '""') + '"'
    file.write_text(f"id,first_name,{field}\n{zoe},New,{quoted}\n", "utf-8")

    done, (outcome,) = await import_(file, "--match", "id", "--apply", box=box)

    assert (done.code, outcome["outcome"], outcome["id"]) == (1, "refused", zoe)
    assert repr(cell) in outcome["reason"]
    assert writes(box) == ["POST"]


async def test_a_text_that_looks_damaged_is_written_and_reported(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """It may be right, also where another text is stored. --quiet shows such warnings, too."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    file.write_text(f"id,address_line_1,last_name\n{zoe.id},02-Jan,ZoÃ«\n", "utf-8")

    done, (outcome,) = await import_(file, "--match", "id", "--apply", "--quiet", box=box)

    assert (done.code, outcome["outcome"]) == (0, "updated")
    assert outcome["odd"].keys() == {"address_line_1", "last_name"}
    assert "address_line_1 looks like a day that a spreadsheet made of a text: row 2.\n" in done.err
    assert "last_name looks as if it was read or saved in another encoding: row 2.\n" in done.err


@pytest.mark.parametrize("proof", ["ZoÃ«", "Zo?"])
async def test_a_file_with_letters_in_a_wrong_encoding_is_doubted_in_all_its_rows(
    box: Sandbox, ts: TicketSource, file: Path, proof: str
) -> None:
    """The stored name of one customer proves it. Rows without such letters are written."""
    await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Zoë"))
    await ts.customers.create(CustomerDraft(email="ben@example.com", last_name="Who?"))
    rows = ("new@example.com,ZajÄ…c", "ann@example.com,M?ller", f"zoe@example.com,{proof}")
    file.write_text("\n".join(("email,last_name", *rows, "ben@example.com,What?", "karl@example.com,Smith")), "utf-8")

    _, outcomes = await import_(file, "--match", "email", box=box)

    by_row = {outcome["row"]: outcome for outcome in outcomes}
    said = "may have been read or saved in another encoding, as row 4 was: correct the letters"
    assert by_row[2]["reason"] == f"last_name 'ZajÄ…c' {said}"
    assert by_row[3]["reason"] == f"last_name 'M?ller' {said}"
    assert "it was read or saved in another encoding; correct the letters" in by_row[4]["reason"]
    assert [by_row[row]["outcome"] for row in (5, 6)] == ["would update", "would create"]


async def test_a_formula_that_was_never_computed_is_not_written(box: Sandbox, ts: TicketSource, tmp_path: Path) -> None:
    """Its row is refused and says what to do. In a column that is not imported, it does no harm."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    file, refused = tmp_path / "people.xlsx", tmp_path / "refused.csv"
    book: Any = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ("email", "last_name", "full name"))
    for row, email in enumerate(("zoe@example.com", "new@example.com"), 1):
        sheet.write_string(row, 0, email)
        sheet.write_formula(row, 2, f"=A{row}&B{row}")
    sheet.write_formula(1, 1, '="N"&"ew"')
    sheet.write_string(2, 1, "New")
    for row in (3, 4):
        sheet.write_formula(row, 0, f'="a"&"@example.com"&{row}')
        sheet.write_string(row, 1, "Formula")
    book.close()

    how = ("--match", "email", "--ignore-unknown", "--refused", str(refused))
    done, outcomes = await import_(file, *how, "--apply", box=box)
    _, again = await import_(refused, "--match", "email", "--ignore-unknown", box=box)

    by_row = {outcome["row"]: outcome for outcome in outcomes}
    said = (
        "is '#NOT COMPUTED!': no program has computed this formula. Open the file in Excel, or in LibreOffice with "
        "Ctrl+Shift+F9, and save it"
    )
    assert (done.code, by_row[2]["reason"], by_row[2]["id"]) == (1, f"last_name {said}", zoe.id)
    assert by_row[3]["outcome"] == "created"
    assert [by_row[row]["reason"] for row in (4, 5)] == [f"email {said}"] * 2
    assert [outcome["outcome"] for outcome in again] == ["refused"] * 3
    assert (await ts.customers.get(zoe)).last_name == "Old"


async def test_an_export_with_escaped_formulas_is_imported_unchanged(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The escaping quotes may remain in a workbook, which needs none."""
    names = ("=New", "'=New", "'Quoted", "O'Brien", "-5 Jones")
    made = [await ts.customers.create(CustomerDraft(last_name=n, telephone="+44-1632-960001")) for n in names]
    await run(*EXPORT, "-o", str(file), box=box)
    rows = table(file.read_text("utf-8"))
    workbook = file.with_suffix(".xlsx")
    book: Any = xlsxwriter.Workbook(workbook)
    sheet = book.add_worksheet()
    for number, cells in enumerate((list(rows[0]), *(list(row.values()) for row in rows))):
        for column, cell in enumerate(cells):
            sheet.write_string(number, column, cell)
    book.close()

    for taken in (file, workbook):
        _, outcomes = await import_(taken, "--match", "id", box=box)
        assert {outcome["outcome"] for outcome in outcomes} == {"unchanged"}
    assert {row["telephone"] for row in rows if row["id"] in {c.id for c in made}} == {"'+44-1632-960001"}
    assert writes(box) == ["POST"] * len(names)


async def test_corrected_surnames_are_accepted_even_if_the_telephones_lost_their_zeros(file: Path) -> None:
    """All 300 rows have damaged telephones."""
    async with Sandbox(customers=0, rate_limit=None) as box:
        for number in range(300):
            box.customers.create(
                {"email": f"{number}@example.com", "last_name": "Smth", "phone": f"01632 96{number:04}"}
            )
        rows = [f"{number}@example.com,Smith,163296{number:04}" for number in range(300)]
        file.write_text("\n".join(["Email,Surname,Phone", *rows]))

        done, outcomes = await import_(file, "--match", "email", box=box)

    assert done.code == 0
    assert Counter(outcome["outcome"] for outcome in outcomes) == {"would update": 300}
    assert {tuple(outcome["changes"]) for outcome in outcomes} == {("last_name",)}
    assert "The stored values stay: 300 in telephone.\n" in done.err


ODD_TEXTS = (
    *("01632 960001", "+441632960001", "+44-1632-960001", "+44 (0)1632 960001", "0161-496-0001", "(01632) 960001"),
    *("0044 1632 960001", "1632960001.0", "007", "0", "00", "0.50", ".5", "5.", "1 1/2", "1/2", "1 000", "1\u00a0000"),
    *("1,234", "1.234.567", "1'234", "1,5", "1.2", "1.2.3.4", "4.4E+11", "1e5", "12E5", "1E-5", "12345678901234567890"),
    *(
        "1-2",
        "1/2/2026",
        "31.12.2020",
        "2026-01-31",
        "10/11",
        "3-51",
        "12-5-7",
        "13-1",
        "2/30",
        "1.1.",
        "MAR1",
        "Mar 5",
    ),
    *("5 Mar", "Sept 2", "March 2026", "1 Jan", "Jan", "12:30", "1:2:3", "24:00", "12 A", "2 p", "12h", "TRUE", "True"),
    *("50%", "5%", "$5", "£5", "€5.50", "(123)", "123-", "5-", "-5", "+5", "=1+1", "='", "@SUM(A1)", "#N/A", "####"),
    *(
        "Err:502",
        " a ",
        "'a",
        "'01632",
        "a\nb",
        "a\r\nb",
        "\ta",
        "Zoë",
        "\U0001f3ad",
        "½",
        "1;2",
        "a;=1",
        "1_000",
        "0x10",
    ),
    *('"q"', 'a"b', "-", "--", "+", "=", "INF", "NaN", "2nd", "1T", "99/99/99", "#1", "O'Brien", "http://x.example"),
)


@pytest.mark.parametrize("kind", ["csv", "tsv", "xlsx"])
async def test_an_export_of_odd_texts_is_imported_unchanged(tmp_path: Path, kind: str) -> None:
    """Formulas, errors, line breaks and invisible characters are not damage if they are stored."""
    texts = (
        *ODD_TEXTS,
        "Zoe\u0308\u200b",
        "a\u2028b",
        "a\x0bb",
        "'=x",
        "''+1-1",
        '="1"',
        "\u00a0x",
        "-1-2",
        "mailto:x",
    )
    async with Sandbox(customers=0, rate_limit=None) as box:
        for text in texts:
            box.customers.create({"phone": text, "last_name": text, "address": {"line_1": text}})
        await run(*EXPORT, "-o", str(tmp_path / f"all.{kind}"), box=box)

        _, outcomes = await import_(tmp_path / f"all.{kind}", "--match", "id", box=box)

    assert {outcome["outcome"] for outcome in outcomes} == {"unchanged"}
    assert len(outcomes) == len(texts)
    assert not any("as_stored" in outcome for outcome in outcomes)


def saved_by_libreoffice(file: Path, kind: str, locale: int = 2057) -> Path:
    """Open a file in LibreOffice, let it convert texts to numbers and days, and save it."""
    folder = file.parent / "saved"
    read_as = [f"--infilter=CSV:44,34,76,1,,{locale},false,true"] if file.suffix == ".csv" else []
    profile = f"-env:UserInstallation={(file.parent / 'profile').as_uri()}"
    command = [need("soffice"), "--headless", profile, *read_as]
    command += ["--convert-to", kind, "--outdir", str(folder), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / f"{file.stem}.{kind}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exported", "saved"), [("xlsx", "xlsx"), ("xlsx", "ods"), ("xlsx", "xls"), ("csv", "csv"), ("csv", "ods")]
)
async def test_an_export_that_libreoffice_saved_is_imported_unchanged(
    tmp_path: Path, exported: str, saved: str
) -> None:
    """It has 1,000 customers. A CSV may have lost the zeros and pluses of its telephones."""
    async with Sandbox(customers=1000, rate_limit=None) as box:
        await run(*EXPORT, "-o", str(tmp_path / f"all.{exported}"), box=box)
        file = saved_by_libreoffice(tmp_path / f"all.{exported}", saved)
        box.requests.clear()

        done, outcomes = await import_(file, "--match", "id", box=box)

    assert done.code == 0
    assert Counter(outcome["outcome"] for outcome in outcomes) == {"unchanged": 1000}
    lost_form = sum("as_stored" in outcome for outcome in outcomes)
    assert (lost_form > 100) == (exported == "csv")
    assert len(box.requests) < 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ods", "xlsx"])
async def test_a_formula_that_libreoffice_has_computed_is_written(box: Sandbox, tmp_path: Path, kind: str) -> None:
    """An error stays refused. An empty result is an empty cell."""
    file = tmp_path / "people.xlsx"
    book: Any = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ("email", "last_name", "title"))
    for row, formula in enumerate(('="N"&"ew"', "=NA()", '=IF(1,"","x")'), 1):
        sheet.write_string(row, 0, f"{row}@example.com")
        sheet.write_formula(row, 1, formula, None, "")  # as openpyxl writes it
        sheet.write_string(row, 2, "Ms")
    book.close()

    before, refused = await import_(file, "--match", "email", box=box)
    after, outcomes = await import_(saved_by_libreoffice(file, kind), "--match", "email", box=box)

    assert (before.code, len(refused)) == (1, 3)
    assert all("no program has computed this formula" in outcome["reason"] for outcome in refused)
    by_row = {outcome["row"]: outcome for outcome in outcomes}
    assert after.code == 1
    assert by_row[2]["values"] == {"email": "1@example.com", "last_name": "New", "title": "Ms"}
    assert by_row[3]["reason"] == "last_name is '#N/A', an error of a spreadsheet: correct or empty the cell"
    assert by_row[4]["values"] == {"email": "3@example.com", "title": "Ms"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "ods", "xlsx"])
@pytest.mark.parametrize("locale", [2057, 1031])
async def test_no_conversion_by_libreoffice_is_taken_for_a_change(tmp_path: Path, locale: int, kind: str) -> None:
    """With British and German settings, a row is unchanged or refused."""
    async with Sandbox(customers=0, rate_limit=None) as box:
        for text in ODD_TEXTS:
            box.customers.create({"phone": text, "last_name": text, "address": {"line_1": text}})
        await run(*EXPORT, "-o", str(tmp_path / "all.csv"), box=box)
        await run(*EXPORT, "-o", str(tmp_path / "book.xlsx"), box=box)

        _, outcomes = await import_(saved_by_libreoffice(tmp_path / "all.csv", kind, locale), "--match", "id", box=box)
        _, of_book = await import_(saved_by_libreoffice(tmp_path / "book.xlsx", "xlsx"), "--match", "id", box=box)

    assert [outcome.get("changes") for outcome in outcomes] == [None] * len(ODD_TEXTS)
    assert {outcome["outcome"] for outcome in outcomes} == {"unchanged", "refused"}
    assert [outcome["outcome"] for outcome in of_book] == ["unchanged"] * len(ODD_TEXTS)
