"""What a POST or PATCH sends of a draft."""

import json
from decimal import Decimal

from rows import KARL_DRAFT, KARL_SENT

from ticketsource_async import Address, ConsentDraft, CustomerDraft, MembershipDraft, NoteDraft
from ticketsource_async._wire import drafts


def test_the_guides_create_example_is_sent_key_by_key() -> None:
    """A full draft gives the guide's body, keys in the guide's order."""
    assert drafts.body(KARL_DRAFT, CustomerDraft) == json.dumps(KARL_SENT, separators=(",", ":")).encode()


def test_unset_is_left_out_none_is_null_and_an_update_names_the_id() -> None:
    """Only what is set is sent, None as null, and the envelope of an update carries `data.id`."""
    draft = CustomerDraft(telephone=None, consent=ConsentDraft(sms=False), membership=MembershipDraft(end_date=None))

    assert json.loads(drafts.body(draft, CustomerDraft, "cst-1")) == {
        "data": {
            "type": "customer",
            "id": "cst-1",
            "attributes": {"phone": None, "membership": {"end_date": None}, "consent": {"sms": False}},
        }
    }


def test_a_record_in_the_place_of_a_nested_draft_sends_all_its_fields() -> None:
    """An Address sends every field, None as null, and what is unknown, which an API that replaces it would lose."""
    draft = CustomerDraft(address=Address(line_1="1 High Street", extra={"county": "\ud800", "since": Decimal("1.5")}))

    assert json.loads(drafts.body(draft, CustomerDraft))["data"]["attributes"]["address"] == {
        "line_1": "1 High Street",
        "line_2": None,
        "line_3": None,
        "line_4": None,
        "postcode": None,
        "county": "\ud800",
        "since": 1.5,
    }


def test_a_note_draft_has_the_type_of_a_note() -> None:
    """A note goes out as `customer_note`."""
    assert json.loads(drafts.body(NoteDraft(description="x"), NoteDraft)) == {
        "data": {"type": "customer_note", "attributes": {"description": "x"}}
    }
