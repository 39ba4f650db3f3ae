"""From the columns of the CSV to what is written of a customer."""

import pytest

from ticketsource_async import Consent, ConsentDraft, Customer
from ticketsource_async.cli import cells
from ticketsource_async.export import COLUMNS


def test_all_columns_of_the_export_but_those_of_the_api_can_be_written() -> None:
    """The list that help is made of is that of the export."""
    assert tuple(column for column in COLUMNS if column not in cells.READ_ONLY) == cells.WRITABLE


@pytest.mark.parametrize(
    ("before", "values", "sent"),
    [
        (Consent(email=True, post=None, sms=False), {"consent_email": False}, ConsentDraft(email=False, sms=False)),
        (Consent(email=True, post=True), {"consent_email": True, "consent_post": False}, ConsentDraft(post=False)),
        (None, {"consent_email": False}, ConsentDraft(email=False)),
        (Consent(email=False), {"consent_email": True}, ConsentDraft(email=True)),
    ],
)
def test_an_update_sends_the_consents_that_differ_and_each_no(
    before: Consent | None, values: dict[str, bool], sent: ConsentDraft
) -> None:
    """A yes that stays might be withdrawn meanwhile, and a null be refused with the withdrawal beside it."""
    customer = Customer(id="cst-1", consent=before)

    assert cells.update_draft(customer, cells.written(customer, values)).consent == sent


def test_what_stays_as_it_is_is_not_sent() -> None:
    """A draft of nothing is false."""
    customer = Customer(id="cst-1", last_name="Zoë", consent=Consent(email=True))

    same = cells.written(customer, {"last_name": "Zoë", "consent_email": True, "address_line_1": None})

    assert same == customer
    assert not cells.update_draft(customer, same)
