"""What a POST or PATCH sends of a draft."""

import json
import pickle
from copy import deepcopy
from decimal import Decimal

import pytest
from rows import KARL_DRAFT, KARL_SENT

from ticketsource_async import Address, ConsentDraft, Customer, CustomerDraft, MembershipDraft, NoteDraft
from ticketsource_async._wire import drafts
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async._wire.response import RawResponse, read
from ticketsource_async.models.reader import read_row

CREDENTIALS = Credentials.of(Secret("skl-test"), "https://api.ticketsource.io", "tests/1", "bearer")
GET = Request(CREDENTIALS, "GET", CREDENTIALS.base_url.joinpath("customers", "cst-1"))


def test_the_create_example_of_the_guide_is_sent_exactly() -> None:
    """A full draft gives the guide's body, keys in the guide's order."""
    assert drafts.body(KARL_DRAFT, CustomerDraft) == json.dumps(KARL_SENT, separators=(",", ":")).encode()


def test_only_set_fields_are_sent_and_an_update_names_the_id() -> None:
    """None is sent as null. The id of an update is in `data.id`."""
    draft = CustomerDraft(telephone=None, consent=ConsentDraft(sms=False), membership=MembershipDraft(end_date=None))

    assert json.loads(drafts.body(draft, CustomerDraft, "cst-1")) == {
        "data": {
            "type": "customer",
            "id": "cst-1",
            "attributes": {"phone": None, "membership": {"end_date": None}, "consent": {"sms": False}},
        }
    }


def test_a_record_in_place_of_a_nested_draft_is_sent_with_all_its_fields() -> None:
    """An Address sends every field, None as null, and its unknown attributes. The API may replace the whole."""
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


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        *((number, number) for number in ("1", "0", "-0.0", "1.50", "0.1", "12345678901234567890.123", "9" * 5000)),
        *(("1e5", "1E+5"), ("1e400", "1E+400"), ("-1e-400", "-1E-400")),
        *((number, number) for number in ("1e99999999999999999999", "-1e-99999999999999999999")),
    ],
)
@pytest.mark.parametrize("part", ["address", "membership", "consent"])
def test_an_unknown_number_is_sent_back_as_the_same_number(part: str, number: str, sent: str) -> None:
    """A number that a float cannot hold does not become a text, and a text does not become a number."""
    row = '{"data": {"id": "cst-1", "type": "customer", "attributes": {"%s": {"x": [{"y": %s}], "z": "%s"}}}}'
    customer = read_row(read(GET, RawResponse(200, {}, (row % (part, number, number)).encode())).data, Customer)
    customer = pickle.loads(pickle.dumps(deepcopy(customer)))

    body = drafts.body(CustomerDraft(**{part: getattr(customer, part)}), CustomerDraft).decode()

    assert f'"x":[{{"y":{sent}}}]' in body
    assert f'"z":"{number}"' in body
    assert Customer.from_dict(json.loads(json.dumps(customer.to_dict()))) == customer


def test_a_note_draft_has_the_type_of_a_note() -> None:
    """A note is sent as `customer_note`."""
    assert json.loads(drafts.body(NoteDraft(description="x"), NoteDraft)) == {
        "data": {"type": "customer_note", "attributes": {"description": "x"}}
    }
