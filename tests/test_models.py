"""Records and drafts as plain values."""

import json
import pickle
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from ticketsource_async import (
    UNSET,
    Address,
    AddressDraft,
    Amount,
    Booking,
    BookingLine,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Links,
    Membership,
    MembershipDraft,
    Note,
    TicketSource,
)
from ticketsource_async.models.base import Record
from ticketsource_async.sandbox import Sandbox

BEFORE = Customer(
    id="cst-1",
    first_name="Zoë",
    last_name="O'Neill",
    telephone="01632 960001",
    email="zoe@example.com",
    address=Address(line_1="1 High Street", line_3="Leeds", postcode="LS1 1AA"),
    membership=Membership(identifier="M1", start_date=date(2024, 1, 1)),
    consent=Consent(email=True, post=True, sms=False),
    created_at=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
)


def test_unset_is_one_falsy_value_that_survives_pickle() -> None:
    """A pickle of UNSET gives the same object."""
    assert not UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert repr(UNSET) == "UNSET"


def test_records_cannot_be_changed_and_can_be_hashed_and_pickled() -> None:
    """A record with unknown attributes can be hashed and pickled, too, and differs from one without them."""
    odd = attrs.evolve(BEFORE, extra={"loyalty": {"points": [1, 2]}})

    assert pickle.loads(pickle.dumps(odd)) == odd != BEFORE
    assert len({odd, BEFORE}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        BEFORE.first_name = "x"  # type: ignore[misc]  # that is the point


def test_to_dict_is_nested_and_can_be_written_as_json() -> None:
    """Dates are texts, and the self link has the name that the API gives it."""
    data = attrs.evolve(BEFORE, links=Links(self_="https://x/1"), extra={"vip": True}).to_dict()

    assert json.loads(json.dumps(data)) == data
    assert data["created_at"] == "2024-05-01T09:30:00+00:00"
    assert data["membership"] == {"identifier": "M1", "start_date": "2024-01-01", "end_date": None, "extra": {}}
    assert data["links"] == {"self": "https://x/1", "extra": {}}
    assert data["extra"] == {"vip": True}
    assert Address(line_1="x").to_dict()["line_1"] == "x"


ODD = attrs.evolve(
    BEFORE,
    links=Links(self_="https://x/1", extra={"shop": "https://x/shop"}),
    extra={"vip": True, "score": Decimal("0.1"), "ratings": [Decimal("2.50"), {"deep": None}], "id": "x"},
)
SOLD = Booking(
    id="bkg-1",
    lines=(BookingLine(line_type="TICKETS", amount=Amount(gross=Decimal("12.50"), net=Decimal(10))),),
    created_at=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
)


@pytest.mark.parametrize("record", [BEFORE, ODD, Customer(id="cst-2"), SOLD, Note(id="csn-1", description="x")])
def test_a_record_is_read_back_from_its_json_unchanged(record: Record) -> None:
    """`from_dict` reads the result of `to_dict`, with unknown attributes and money."""
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_an_unknown_number_is_a_text_in_json_only_if_a_float_would_round_it() -> None:
    """Otherwise it is a number, as the API sends it."""
    long = Decimal("0.12345678901234567890123")
    data = attrs.evolve(BEFORE, extra={"score": Decimal("0.10"), "count": 3, "long": long}).to_dict()

    assert data["extra"] == {"score": 0.1, "count": 3, "long": str(long)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"consent": {"email": "false"}}, "it gives no such value at $.consent.email"),
        ({"consent": {"email": 1}}, "at $.consent.email"),
        ({"consent": {"email": ""}}, "at $.consent.email"),
        ({"email": 7}, "at $.email"),
        ({"id": None}, "no usable id at $.id"),
        ({"id": ""}, "no usable id at $.id"),
        ({"id": 7}, "no usable id at $.id"),
        ({"consent_email": True}, "no 'consent_email', at $"),
        ({"consent": {"emial": True}}, "no 'emial', at $.consent"),
        ({"links": {"selfie": "x"}}, "no 'selfie', at $.links"),
        ({"consent": []}, "no object at $.consent"),
        ({"extra": []}, "no object at $.extra"),
        ({"invalid": []}, "no object at $.invalid"),
        ({"consent": {"extra": None}}, "no object at $.consent.extra"),
        ({"links": {"self_": "x"}}, "no 'self_', at $.links"),
        ({"created_at": "2024-05-01T09:30:00"}, "at $.created_at"),
        ({"created_at": "2024-05-01"}, "at $.created_at"),
        ({"created_at": "2024-05-01 09:30:00Z"}, "at $.created_at"),
        ({"membership": {"start_date": "2024-05-01T00:00:00Z"}}, "at $.membership.start_date"),
    ],
)
def test_from_dict_refuses_a_value_that_to_dict_never_gives(change: dict[str, object], said: str) -> None:
    """No value is coerced, no unknown name is dropped, and the error names the place."""
    with pytest.raises(ValueError, match=re.escape(said)):
        Customer.from_dict({**BEFORE.to_dict(), **change})


@pytest.mark.parametrize(
    "net", [12.5, 12, "NaN", "Infinity", "12,50", "", "1_000", " 1.5", "+5", "\uff11\uff12", "1E+101"]
)
def test_money_that_is_not_the_text_of_a_number_is_refused(net: object) -> None:
    """A number of JSON may have lost digits."""
    data = json.loads(json.dumps(SOLD.to_dict()))
    data["lines"][0]["amount"]["net"] = net

    with pytest.raises(ValueError, match=re.escape("it gives no such value at $.lines[0].amount.net")):
        Booking.from_dict(data)


@pytest.mark.parametrize(
    ("link", "customer_id"),
    [(None, None), ("https://x/customers/cst-1", "cst-1"), ("https://x/customers/cst-1?page=2", "cst-1"), ("", None)],
)
def test_the_customer_of_a_note_is_read_from_its_link(link: str | None, customer_id: str | None) -> None:
    """Without a link it is None."""
    assert Note(id="csn-1", links=Links(customer=link)).customer_id == customer_id


def test_a_draft_is_false_while_nothing_is_set() -> None:
    """None counts as set."""
    assert not CustomerDraft()
    assert CustomerDraft(email=None)
    assert ConsentDraft(email=False)


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (ConsentDraft, "email", "false", "ConsentDraft.email takes bool, None or UNSET, not str"),
        (ConsentDraft, "sms", 1, "not int"),
        (CustomerDraft, "first_name", 5, "CustomerDraft.first_name takes str"),
        (CustomerDraft, "address", {"line_1": "x"}, "takes AddressDraft or Address, None or UNSET, not dict"),
        (MembershipDraft, "start_date", "2020-01-01", "takes date"),
        (MembershipDraft, "end_date", datetime(2020, 1, 1, tzinfo=UTC), "not datetime"),
    ],
)
def test_a_draft_refuses_a_value_of_another_type(kind: type, field: str, value: Any, message: str) -> None:
    """No value is coerced. The error is raised when the draft is built."""
    with pytest.raises(TypeError, match=message):
        kind(**{field: value})


def test_a_draft_refuses_an_empty_nested_draft() -> None:
    """An empty nested draft could clear the whole object on the server."""
    with pytest.raises(ValueError, match=r"CustomerDraft\.address has nothing set"):
        CustomerDraft(last_name="x", address=AddressDraft())


def test_the_diff_ignores_fields_that_cannot_be_written() -> None:
    """Here only such fields differ."""
    after = attrs.evolve(
        BEFORE,
        updated_at=datetime(2025, 1, 1, tzinfo=UTC),
        extra={"new": 1},
        address=Address(line_1="1 High Street", line_3="Leeds", postcode="LS1 1AA", extra={"county": "x"}),
    )

    assert not CustomerDraft.diff(BEFORE, after)


def test_the_diff_has_only_changed_texts_and_whole_nested_objects() -> None:
    """A nested object that changed is sent whole."""
    after = attrs.evolve(
        BEFORE,
        last_name=None,
        telephone="07700 900123",
        consent=Consent(email=False, post=True, sms=False),
        membership=None,
    )

    assert CustomerDraft.diff(BEFORE, after) == CustomerDraft(
        last_name=None, telephone="07700 900123", consent=Consent(email=False, post=True, sms=False), membership=None
    )


CHANGES: list[dict[str, Any]] = [
    {"address": Address(line_1="2 Low Road", postcode="LS2 2BB")},
    {"address": None},
    {"consent": Consent(email=False, post=True, sms=True)},
    {"membership": Membership(identifier=None, end_date=date(2030, 1, 31))},
    {"first_name": None, "last_name": "Smith", "telephone": None, "email": "new@example.org"},
]


@pytest.mark.parametrize("nested", ["merge", "replace"])
@pytest.mark.parametrize("change", CHANGES)
async def test_an_update_by_diff_is_right_whether_the_server_merges_or_replaces(
    nested: Any, change: dict[str, Any]
) -> None:
    """After the update, the record is equal to `after`."""
    async with (
        Sandbox(customers=0, rate_limit=None, nested=nested) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        before = await ts.customers.create(CustomerDraft.diff(Customer(id="cst-0"), BEFORE))
        after = attrs.evolve(before, **change)

        result = await ts.customers.update(before, CustomerDraft.diff(before, after))

    assert attrs.evolve(result, updated_at=None) == after
