"""Customers as rows and lines."""

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketsource_async import Address, Consent, Customer, Membership
from ticketsource_async.export import COLUMNS, csv_writer, defuse, flat, jsonl_writer, undefuse

ZOE = Customer(
    id="cst-1",
    first_name="Zoë",
    last_name='=HYPERLINK("x")',
    telephone="+44 (0)20 7946-0958",
    address=Address(line_1="Flat 1,\n2 High Street", postcode="LS1 1AA"),
    membership=Membership(identifier="-12", start_date=date(2024, 1, 31)),
    consent=Consent(email=True, post=False),
    created_at=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
    extra={"vip": True},
)


def test_a_customer_is_one_flat_row_under_a_stable_header() -> None:
    """The cells stand under their columns; None is empty, booleans are true and false, dates ISO 8601."""
    row = dict(zip(COLUMNS, flat(ZOE), strict=True))

    assert row["id"] == "cst-1"
    assert row["address_line_1"] == "Flat 1,\n2 High Street"
    assert (row["consent_email"], row["consent_post"], row["consent_sms"]) == ("true", "false", "")
    assert (row["membership_start_date"], row["created_at"]) == ("2024-01-31", "2024-05-01T09:30:00+00:00")
    assert (row["email"], row["updated_at"]) == ("", "")
    assert flat(Customer(id="cst-2")) == ("cst-2", *[""] * (len(COLUMNS) - 1))


@pytest.mark.parametrize(
    "cell",
    [
        "=cmd|'/c calc'!A1",
        "@SUM(A1)",
        "+1+cmd|x",
        "-2+3+cmd",
        "\t=1",
        "\r=1",
        "\n=1",
        "=1+1",
        "-",
        "+x",
        "\uff1d1",
        "\uff0da",
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_defused(cell: str) -> None:
    """A formula gets a quote before it."""
    assert defuse(cell) == (cell if cell == "-" else f"'{cell}")


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
    ],
)
def test_phones_numbers_and_plain_text_stay_as_they_are(cell: str) -> None:
    """What is no formula is not touched."""
    assert defuse(cell) == cell


@given(st.text("'=+-@\t 0a", max_size=6) | st.text())
def test_what_was_defused_is_read_back_as_it_was(cell: str) -> None:
    """Whatever a name begins with, quotes of its own included, and a quote is all that is ever added."""
    assert undefuse(defuse(cell)) == cell
    assert defuse(cell).removesuffix(cell) in ("", "'")


@pytest.mark.parametrize(("escape", "name"), [(True, '\'=HYPERLINK("x")'), (False, '=HYPERLINK("x")')])
def test_csv_is_read_back_as_it_was_written(escape: bool, name: str) -> None:
    """Commas, quotes, line breaks and accents survive; the guard is on unless turned off."""
    stream = io.StringIO(newline="")
    write = csv_writer(stream, escape_formulas=escape)
    write(ZOE)
    write(Customer(id="cst-2", first_name="cr\rlf\n"))

    header, zoe, other = csv.reader(io.StringIO(stream.getvalue(), newline=""))

    assert tuple(header) == COLUMNS
    assert dict(zip(COLUMNS, zoe, strict=True))["last_name"] == name
    assert dict(zip(COLUMNS, zoe, strict=True))["telephone"] == "+44 (0)20 7946-0958"
    assert dict(zip(COLUMNS, zoe, strict=True))["address_line_1"] == "Flat 1,\n2 High Street"
    assert other[2] == "cr\rlf\n"


def test_json_lines_have_everything_one_customer_a_line() -> None:
    """Each line is what `to_dict` gives, with accents as they are."""
    stream = io.StringIO()
    write = jsonl_writer(stream)
    write(ZOE)
    write(Customer(id="cst-2", first_name="line\nbreak"))

    lines = stream.getvalue().splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["cst-1", "cst-2"]
    assert json.loads(lines[0]) == ZOE.to_dict()
    assert "Zoë" in lines[0]
