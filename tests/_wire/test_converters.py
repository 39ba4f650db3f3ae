"""From wire bytes to records and back."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from doubles import KARL_DRAFT, KARL_SENT, KEY, customer_row
from yarl import URL

from ticketsource_async import (
    Address,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    InvalidResponse,
    Links,
    MembershipDraft,
    Note,
    NoteDraft,
)
from ticketsource_async._wire import converters, protocol

ACCESS = protocol.Access.of(KEY, "https://api.ticketsource.io", "tests/1", "bearer")
SENT = protocol.build(ACCESS, "GET", URL("https://api.ticketsource.io/customers/cst-1"))


def read(row: object, model: Any = Customer) -> Any:
    """Return the record that the bytes of an answer with this row give."""
    envelope = protocol.read(SENT, protocol.RawResponse(200, {}, json.dumps({"data": row}).encode()))
    return converters.structure(envelope.data, model, envelope, "$.data")


def test_the_guides_customer_is_read_flat() -> None:
    """The guide's sample becomes one flat record, null as None, times aware."""
    customer = read(customer_row())

    assert customer == Customer(
        id="cst-xxxxxxxxxx1",
        first_name="Sample",
        last_name="Customer",
        address=Address("Off Edge", "Station Approach", "Penarth", "United Kingdom", "CF64 3EE"),
        telephone="03336664466",
        email="support@ticketsource.co.uk",
        membership=customer.membership,
        consent=Consent(email=True, post=False, sms=False),
        created_at=datetime(2019, 2, 12, 10, 58, 34, tzinfo=UTC),
        links=Links(
            self_="https://api.ticketsource.io/customers/cst-xxxxxxxxxx1",
            bookings="https://api.ticketsource.io/customers/cst-xxxxxxxxxx1/bookings",
        ),
    )
    assert customer.membership is not None
    assert customer.extra == {}


def test_whatever_may_be_null_or_left_out_is_none() -> None:
    """Null objects, missing attributes and missing links are None or empty, nothing else."""
    bare = {"id": "cst-1", "type": "customer", "attributes": {"address": None, "email": ""}}

    assert read(bare) == Customer(id="cst-1", email="")
    assert read({**bare, "links": None}) == read({**bare, "links": []}) == read(bare)


@pytest.mark.parametrize(
    ("attributes", "telephone", "extra"),
    [
        ({"telephone": "1", "phone": "1"}, "1", {}),
        ({"telephone": "1", "phone": None}, "1", {}),
        ({"telephone": None, "phone": "2"}, "2", {}),
        ({"phone": "2"}, "2", {}),
        ({"telephone": None}, None, {}),
        ({"telephone": "", "phone": None}, "", {}),
        ({"telephone": "1", "phone": "2"}, "1", {"phone": "2"}),
    ],
)
def test_telephone_is_read_with_phone_as_fall_back(attributes: dict[str, Any], telephone: Any, extra: Any) -> None:
    """`telephone` wins, `phone` stands in for it, and a `phone` that differs is not lost."""
    customer = read({"id": "cst-1", "type": "customer", "attributes": attributes})

    assert (customer.telephone, customer.extra) == (telephone, extra)


@pytest.mark.parametrize(
    "text", ["2022-03-26", "2022-03-26T00:00:00+00:00", "2022-03-26T23:30:00-05:00", "2022-03-26T09:00:00.123Z"]
)
def test_membership_dates_are_read_in_both_notations(text: str) -> None:
    """A date and a date-time give the calendar day as written, whatever its offset."""
    customer = read(customer_row(membership={"identifier": "M", "start_date": text, "end_date": None}))

    assert customer.membership.start_date == date(2022, 3, 26)


def test_unknown_attributes_are_kept_and_overwrite_nothing() -> None:
    """What we do not know lands in `extra` on its level, even if it is called like a field of ours."""
    row = customer_row(id="evil", links={"x": 1}, extra="e", vip=True, self_="s", type="t")
    row["attributes"]["address"]["county"] = "Glamorgan"
    row["attributes"]["consent"]["extra"] = 1
    row["links"] |= {"self_": "x", "loyalty": "https://x"}

    customer = read(row)

    assert customer.id == "cst-xxxxxxxxxx1"
    assert customer.extra == {"id": "evil", "links": {"x": 1}, "extra": "e", "vip": True, "self_": "s", "type": "t"}
    assert customer.address.extra == {"county": "Glamorgan"}
    assert customer.consent.extra == {"extra": 1}
    assert customer.links.self_ == "https://api.ticketsource.io/customers/cst-xxxxxxxxxx1"
    assert customer.links.extra == {"self_": "x", "loyalty": "https://x"}


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"consent": {"email": "false"}}, "consent.email"),
    ({"consent": {"sms": 0}}, "consent.sms"),
    ({"consent": "yes"}, "consent"),
    ({"consent": []}, "consent"),
    ({"first_name": 5}, "first_name"),
    ({"telephone": 1632960001}, "telephone"),
    ({"telephone": None, "phone": 1632960001}, "phone"),
    ({"address": {"postcode": ["x"]}}, "address.postcode"),
    ({"created_at": "2019-02-12T10:58:34"}, "created_at"),
    ({"updated_at": "yesterday"}, "updated_at"),
    ({"updated_at": 1549969114}, "updated_at"),
    ({"membership": {"start_date": "2022-13-01"}}, "membership.start_date"),
    ({"membership": {"start_date": "2022-03-26 nonsense"}}, "membership.start_date"),
    ({"membership": {"end_date": "2022-03-26T10:00:00"}}, "membership.end_date"),
    ({"membership": {"end_date": ""}}, "membership.end_date"),
    ({"membership": {"end_date": 20220326}}, "membership.end_date"),
]


@pytest.mark.parametrize(("attributes", "place"), BROKEN)
def test_nothing_is_coerced_and_the_error_says_where(attributes: dict[str, Any], place: str) -> None:
    """A value of the wrong type raises InvalidResponse with resource, id and JSON path, and without the value."""
    with pytest.raises(InvalidResponse) as caught:
        read(customer_row(**attributes))

    error = caught.value
    assert (error.resource, error.id) == ("customer", "cst-xxxxxxxxxx1")
    assert error.json_path == f"$.data.attributes.{place}"
    assert "1632960001" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (7, "$.data"),
        (None, "$.data"),
        ([], "$.data"),
        ({"type": "customer", "attributes": {}}, "$.data.id"),
        ({"id": "", "attributes": {}}, "$.data.id"),
        ({"id": 7, "attributes": {}}, "$.data.id"),
        ({"id": "cst-1", "type": "venue", "attributes": {}}, "$.data.type"),
        ({"id": "cst-1", "type": "customer"}, "$.data.attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": []}, "$.data.attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": {}, "links": "x"}, "$.data.links"),
        ({"id": "cst-1", "type": "customer", "attributes": {}, "links": {"self": 7}}, "$.data.links.self"),
    ],
)
def test_a_row_that_is_no_record_says_what_is_missing(row: object, path: str) -> None:
    """A row without id, attributes or the right type is refused at its place."""
    with pytest.raises(InvalidResponse) as caught:
        read(row)

    assert caught.value.json_path == path


def test_a_note_is_read_with_its_customer() -> None:
    """A note has its own type and knows its customer."""
    row = {
        "id": "csn-1",
        "type": "customer_note",
        "attributes": {"description": "x", "created_by": None, "colour": "red"},
        "links": {"customer": "https://api.ticketsource.io/customers/cst-1"},
    }

    note = read(row, Note)

    assert (note.description, note.customer_id, note.extra) == ("x", "cst-1", {"colour": "red"})


def test_the_guides_create_example_is_sent_key_by_key() -> None:
    """A full draft gives the guide's body, keys in the guide's order."""
    assert converters.body(KARL_DRAFT) == json.dumps(KARL_SENT, separators=(",", ":")).encode()


def test_unset_is_left_out_none_is_null_and_an_update_names_the_id() -> None:
    """Only what is set is sent, None as null, and the envelope of an update carries `data.id`."""
    draft = CustomerDraft(phone=None, consent=ConsentDraft(sms=False), membership=MembershipDraft(end_date=None))

    assert json.loads(converters.body(draft, "cst-1")) == {
        "data": {
            "type": "customer",
            "id": "cst-1",
            "attributes": {"phone": None, "membership": {"end_date": None}, "consent": {"sms": False}},
        }
    }


def test_a_record_in_the_place_of_a_nested_draft_sends_all_its_fields_but_extra() -> None:
    """An Address sends every field, None as null, and never what we do not know."""
    draft = CustomerDraft(address=Address(line_1="1 High Street", extra={"county": "x"}))

    assert json.loads(converters.body(draft))["data"]["attributes"]["address"] == {
        "line_1": "1 High Street",
        "line_2": None,
        "line_3": None,
        "line_4": None,
        "postcode": None,
    }


def test_a_note_draft_has_the_type_of_a_note() -> None:
    """A note goes out as `customer_note`."""
    assert json.loads(converters.body(NoteDraft(description="x"))) == {
        "data": {"type": "customer_note", "attributes": {"description": "x"}}
    }
