"""The header of a file: which names are known, and what the error says about the others."""

from pathlib import Path

import pytest
import xlsxwriter
from importing import import_

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import CUSTOMERS


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Last Name", "last_name"),
        ("last-name", "last_name"),
        ("LASTNAME", "last_name"),
        ("last_name\u00a0", "last_name"),
        ("\ufefflast_name", "last_name"),
        ("Surname", "last_name"),
        ("Family Name", "last_name"),
        ("Forename", "first_name"),
        ("Given Name", "first_name"),
        ("Phone", "telephone"),
        ("Mobile", "telephone"),
        ("Mobile Phone", "telephone"),
        ("Tel. No.", "telephone"),
        ("Post Code", "address_postcode"),
        ("Postcode", "address_postcode"),
        ("ZIP", "address_postcode"),
        ("Address 1", "address_line_1"),
        ("Address Line 2", "address_line_2"),
        ("Membership Number", "membership_identifier"),
    ],
)
async def test_a_column_is_found_by_its_usual_names(box: Sandbox, file: Path, name: str, column: str) -> None:
    """Capitals, spaces, underscores and hyphens do not matter."""
    file.write_text(f"{name},E-mail Address\nText,new@example.com\n", "utf-8")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["values"] == {column: "Text", "email": "new@example.com"}


@pytest.mark.parametrize(
    "name", ["SMS", "Opt in", "Opted In", "Unsubscribed", "Consent", "Newsletter", "Email Consent"]
)
async def test_only_the_own_names_of_a_consent_or_an_option_mean_a_consent(box: Sandbox, file: Path, name: str) -> None:
    """It is not known what a yes under another name covers, unless `--column` says it."""
    file.write_text(f"email,{name}\nnew@example.com,Yes\n")
    how = ("--match", "email", "--give-consent")

    refused, _ = await import_(file, *how, box=box)
    _, (without,) = await import_(file, *how, "--ignore-unknown", box=box)
    _, (mapped,) = await import_(file, *how, "--column", f"{name}=consent_email", box=box)
    file.write_text("Email,Consent Email\nnew@example.com,Yes\n")
    _, (own,) = await import_(file, *how, box=box)

    assert refused.code == 2
    assert f"- {name!r} is not known." in refused.err
    assert without["values"] == {"email": "new@example.com"}
    assert mapped["values"] == own["values"] == {"email": "new@example.com", "consent_email": True}


async def test_all_mistakes_of_a_header_are_reported_together(box: Sandbox, file: Path) -> None:
    """The error suggests the nearest name, and lists all names."""
    file.write_text("Mobile,Phone,frst_name,Shoe size,,last_name\n1,2,3,4,5,6\n")

    done, outcomes = await import_(
        file, "--match", "email", "--column", "Joined=nowhere", "--column", "Shoe size=shoe", box=box
    )

    assert (done.code, outcomes) == (2, [])
    for said in (
        "The header in row 1 cannot be used:\n",
        "- --column says what 'Joined' is, but the file has no column 'Joined'.\n",
        "- --column says that 'Shoe size' is 'shoe', but that is not a column.",
        "- 'frst_name' is not known. Did you mean first_name?\n",
        "- 'Mobile' and 'Phone' both mean telephone. Choose one of them with --column.\n",
        "- Column 5 has cells, such as '5' in row 2, but no name.\n",
        "- The file has no column 'email', and --match email needs it.\n",
        f"The columns are {', '.join(CUSTOMERS.names)}.\n",
    ):
        assert said in done.err
    assert not box.requests


async def test_options_map_leave_out_and_choose_columns(box: Sandbox, file: Path) -> None:
    """Stderr names the columns that are left out."""
    file.write_text("Mobile,Phone,Name = Surname,Notes,Mail\n1632,01632 960001,Jones,x,new@example.com\n")
    options = ("--column", "Phone=telephone", "--column", "Name = Surname=Last Name", "--column", "Notes=")

    refused, _ = await import_(file, "--match", "email", *options, box=box)
    done, (outcome,) = await import_(file, "--match", "email", *options, "--ignore-unknown", box=box)
    quiet, _ = await import_(file, "--match", "email", *options, "--ignore-unknown", "-q", box=box)

    assert "- 'Mobile' means telephone, but --column says that another column is telephone." in refused.err
    assert outcome["values"] == {"telephone": "01632 960001", "last_name": "Jones", "email": "new@example.com"}
    assert "Columns left out: Notes, Mobile.\n" in done.err
    assert quiet.err == ""


@pytest.mark.parametrize("text", ["Phone", "=telephone", " =telephone"])
async def test_an_invalid_mapping_is_wrong_use(box: Sandbox, file: Path, text: str) -> None:
    """The error shows an example."""
    file.write_text("email\n")

    done, _ = await import_(file, "--match", "email", "--column", text, box=box)

    assert done.code == 2
    assert '"Date Joined=membership_start_date"' in done.err


async def test_blank_columns_and_missing_cells_are_ignored(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """A row may be shorter than the header. A row with a cell behind the last column is refused."""
    file.write_text(
        "Email,last_name,,,\nshort@example.com\nlong@example.com,Long,,,\nmore@example.com,More,,,,,\n"
        "spilt@example.com,Spilt,,x\n"
    )

    done, outcomes = await import_(file, "--match", "email", box=box)

    assert done.code == 1
    assert [outcome.get("values") for outcome in outcomes] == [
        {"email": "short@example.com"},
        {"email": "long@example.com", "last_name": "Long"},
        {"email": "more@example.com", "last_name": "More"},
        None,
    ]
    assert outcomes[3]["reason"] == "it has 1 cell too many"


async def test_an_option_ignores_a_column_without_a_name(box: Sandbox, file: Path) -> None:
    """Some programs write the number of the row in such a column."""
    file.write_text(",email\n0,new@example.com\n")

    refused, _ = await import_(file, "--match", "email", box=box)
    _, (outcome,) = await import_(file, "--match", "email", "--ignore-unknown", box=box)

    assert "- Column 1 has cells, such as '0' in row 2, but no name." in refused.err
    assert outcome["values"] == {"email": "new@example.com"}


async def test_an_option_ignores_a_column_of_a_workbook_behind_the_header(box: Sandbox, tmp_path: Path) -> None:
    """Such a column has no name. A row may have a note there."""
    file = tmp_path / "people.xlsx"
    book = xlsxwriter.Workbook(str(file))
    sheet = book.add_worksheet()
    for place, row in enumerate((["email", "last_name"], ["new@example.com", "New", None, "note"])):
        sheet.write_row(place, 0, row)
    book.close()

    refused, _ = await import_(file, "--match", "email", box=box)
    done, (outcome,) = await import_(file, "--match", "email", "--ignore-unknown", box=box)

    assert "- Column 4 has cells, such as 'note' in row 2, but no name." in refused.err
    assert "Columns left out: column 4, which has no name.\n" in done.err
    assert outcome["values"] == {"email": "new@example.com", "last_name": "New"}


@pytest.mark.parametrize("name", ["consent_email", "Consent Email"])
async def test_a_consent_column_is_not_left_out_without_its_own_option(box: Sandbox, file: Path, name: str) -> None:
    """The column that the option does not name says no."""
    file.write_text(f"email,Opt in,{name}\nnew@example.com,yes,no\n")
    how = ("--match", "email", "--give-consent", "--ignore-unknown", "--column", "Opt in=consent_email")

    refused, _ = await import_(file, *how, box=box)
    _, (outcome,) = await import_(file, *how, "--column", f"{name}=", box=box)

    assert refused.code == 2
    assert f"- {name!r} is in the file, but --column says that another column is consent_email. " in refused.err
    assert outcome["values"] == {"email": "new@example.com", "consent_email": True}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("email consent", " Did you mean consent_email?"),
        ("consent by post", " Did you mean consent_post?"),
        ("sms_consent", " Did you mean consent_sms?"),
        ("marketing consent", ""),
        ("consents", ""),
        ("Opt-in consent", ""),
        ("name last", " Did you mean last_name?"),
    ],
)
async def test_a_consent_is_suggested_only_for_a_name_with_its_word(
    box: Sandbox, file: Path, name: str, said: str
) -> None:
    """The order of the words does not matter."""
    file.write_text(f"email,{name}\nnew@example.com,yes\n")

    done, _ = await import_(file, "--match", "email", box=box)

    assert f"- {name!r} is not known.{said}\n" in done.err


async def test_two_columns_of_one_name_must_be_renamed_in_the_file(box: Sandbox, file: Path) -> None:
    """An option cannot distinguish them."""
    file.write_text("email,phone,Phone\nnew@example.com,1,2\n")

    done, _ = await import_(file, "--match", "email", "--column", "phone=telephone", box=box)

    assert "- 'phone' and 'Phone' both mean telephone. Rename one of them in the file.\n" in done.err


async def test_for_a_header_of_one_cell_the_error_mentions_the_delimiter(box: Sandbox, file: Path) -> None:
    """The names alone do not show this mistake."""
    file.write_text("email^last_name\nnew@example.com^New\n")

    done, _ = await import_(file, "--match", "email", box=box)
    _, (outcome,) = await import_(file, "--match", "email", "--delimiter", "^", box=box)

    assert '- The header has only one cell. The file was read as UTF-8, ",". If another character ' in done.err
    assert outcome["values"] == {"email": "new@example.com", "last_name": "New"}


async def test_the_header_can_follow_blank_rows(box: Sandbox, file: Path) -> None:
    """The row numbers count them."""
    file.write_text("\n,\nemail\nnew@example.com\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["row"] == 4
