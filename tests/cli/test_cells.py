"""From the columns of the CSV to the draft of a customer."""

import pytest

from ticketsource_async import Consent, ConsentDraft, Customer
from ticketsource_async.cli import cells
from ticketsource_async.tables import apply_values


@pytest.mark.parametrize(
    ("before", "values", "sent"),
    [
        (Consent(email=True, post=None, sms=False), {"consent_email": False}, ConsentDraft(email=False, sms=False)),
        (Consent(email=True, post=True), {"consent_email": True, "consent_post": False}, ConsentDraft(post=False)),
        (None, {"consent_email": False}, ConsentDraft(email=False)),
        (Consent(email=False), {"consent_email": True}, ConsentDraft(email=True)),
    ],
)
def test_an_update_sends_changed_consents_and_every_no(
    before: Consent | None, values: dict[str, bool], sent: ConsentDraft
) -> None:
    """An unchanged yes may have been withdrawn meanwhile, and the API may refuse a null."""
    customer = Customer(id="cst-1", consent=before)

    assert cells.update_draft(customer, apply_values(customer, values)).consent == sent


def test_unchanged_values_are_not_sent() -> None:
    """An empty draft is false."""
    customer = Customer(id="cst-1", last_name="Zoë", consent=Consent(email=True))

    same = apply_values(customer, {"last_name": "Zoë", "consent_email": True, "address_line_1": None})

    assert same == customer
    assert not cells.update_draft(customer, same)
