"""The columns of tables, and how values are written back."""

from datetime import date
from decimal import Decimal

import attrs
import pytest
from rows import ZOE

from ticketsource_async import Amount, Customer, CustomerDraft, Unset
from ticketsource_async.tables import BOOKINGS, CUSTOMERS, PROGRAMME, WRITABLE, Value, apply_values, draft_of, text_of


def test_a_customer_is_one_flat_row() -> None:
    """None is an empty cell, booleans are true and false, dates are in ISO 8601."""
    row = dict(zip(CUSTOMERS.names, map(text_of, CUSTOMERS.row(ZOE)), strict=True))

    assert row["id"] == "cst-1"
    assert row["address_line_1"] == "Flat 1,\n2 High Street"
    assert (row["consent_email"], row["consent_post"], row["consent_sms"]) == ("true", "false", "")
    assert (row["membership_start_date"], row["created_at"]) == ("2024-01-31", "2024-05-01T09:30:00+00:00")
    assert (row["email"], row["updated_at"]) == ("", "")
    assert CUSTOMERS.row(Customer(id="cst-2")) == ("cst-2", *[None] * (len(CUSTOMERS.names) - 1))


@pytest.mark.parametrize(("amount", "cell"), [("-1E2", "-100"), ("1e-7", "0.0000001"), ("0.10", "0.10")])
def test_money_in_a_cell_has_the_same_text_as_in_to_dict(amount: str, cell: str) -> None:
    """It has all digits and no exponent."""
    assert text_of(Decimal(amount)) == cell == Amount(gross=Decimal(amount)).to_dict()["gross"]


def test_some_known_columns_keep_their_places() -> None:
    """Spreadsheets and programs of users rely on the names and their order."""
    assert CUSTOMERS.names[:3] == ("id", "title", "first_name")
    assert CUSTOMERS.names[16:19] == ("consent_sms", "created_at", "updated_at")
    assert (BOOKINGS.names[0], BOOKINGS.names[25]) == ("event_id", "updated_at")
    assert (PROGRAMME.names[0], PROGRAMME.names[14]) == ("event_id", "book_now")


def test_every_field_of_a_draft_has_a_column_that_writes_it() -> None:
    """Each written value is in the record afterwards."""
    samples: dict[str, Value] = {"yes": True, "day": date(2026, 1, 31)}
    values = {name: samples.get(column.kind, name) for name, column in WRITABLE.items()}

    draft = draft_of(values)
    customer = apply_values(Customer("cst-1"), values)

    fields = [getattr(draft, name) for name in attrs.fields_dict(CustomerDraft)]
    parts = [field for field in fields if attrs.has(type(field))]
    assert not any(isinstance(value, Unset) for part in parts for value in attrs.astuple(part, recurse=False))
    assert not any(isinstance(field, Unset) for field in fields)
    assert {name: column.get(customer) for name, column in WRITABLE.items()} == values
