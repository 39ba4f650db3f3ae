"""Records and drafts as plain values."""

import json
import pickle
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

from ticketsource_async import (
    UNSET,
    Address,
    AddressDraft,
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
    """UNSET is false, is itself after pickle, and says its name."""
    assert not UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert repr(UNSET) == "UNSET"


def test_records_cannot_be_changed_and_can_be_hashed_and_pickled() -> None:
    """A record is frozen; unknown attributes do not hinder hash or pickle, and count in comparison."""
    odd = attrs.evolve(BEFORE, extra={"loyalty": {"points": [1, 2]}})

    assert pickle.loads(pickle.dumps(odd)) == odd != BEFORE
    assert len({odd, BEFORE}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        BEFORE.first_name = "x"  # type: ignore[misc]  # that is the point


def test_to_dict_is_json_able_and_whole() -> None:
    """`to_dict` has every field, nested, with dates as text and the API's name of the self link."""
    data = attrs.evolve(BEFORE, links=Links(self_="https://x/1"), extra={"vip": True}).to_dict()

    assert json.loads(json.dumps(data)) == data
    assert data["created_at"] == "2024-05-01T09:30:00+00:00"
    assert data["membership"] == {"identifier": "M1", "start_date": "2024-01-01", "end_date": None, "extra": {}}
    assert data["links"] == {"self": "https://x/1", "extra": {}}
    assert data["extra"] == {"vip": True}
    assert Address(line_1="x").to_dict()["line_1"] == "x"


@pytest.mark.parametrize(
    ("link", "customer_id"),
    [(None, None), ("https://x/customers/cst-1", "cst-1"), ("https://x/customers/cst-1?page=2", "cst-1"), ("", None)],
)
def test_a_notes_customer_is_read_from_its_link(link: str | None, customer_id: str | None) -> None:
    """A note knows its customer by its link, and says None without one."""
    assert Note(id="csn-1", links=Links(customer=link)).customer_id == customer_id


def test_a_draft_is_false_while_nothing_is_set() -> None:
    """A draft is false until something is set; None is something."""
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
def test_a_draft_takes_no_value_of_another_type(kind: type, field: str, value: Any, message: str) -> None:
    """A value that would have to be coerced is refused when the draft is built."""
    with pytest.raises(TypeError, match=message):
        kind(**{field: value})


def test_a_draft_takes_no_nested_draft_with_nothing_set() -> None:
    """An empty nested draft could wipe the whole object on the server, so it is refused."""
    with pytest.raises(ValueError, match=r"CustomerDraft\.address has nothing set"):
        CustomerDraft(last_name="x", address=AddressDraft())


def test_diff_of_equals_is_an_empty_draft() -> None:
    """Nothing is sent for what the API does not let us write."""
    after = attrs.evolve(
        BEFORE,
        updated_at=datetime(2025, 1, 1, tzinfo=UTC),
        extra={"new": 1},
        address=Address(line_1="1 High Street", line_3="Leeds", postcode="LS1 1AA", extra={"county": "x"}),
    )

    assert not CustomerDraft.diff(BEFORE, after)


def test_diff_sends_changed_texts_alone_and_nested_objects_whole() -> None:
    """A changed text goes alone, a changed telephone as `phone`, a nested object whole."""
    after = attrs.evolve(
        BEFORE,
        last_name=None,
        telephone="07700 900123",
        consent=Consent(email=False, post=True, sms=False),
        membership=None,
    )

    assert CustomerDraft.diff(BEFORE, after) == CustomerDraft(
        last_name=None, phone="07700 900123", consent=Consent(email=False, post=True, sms=False), membership=None
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
async def test_a_diff_ends_in_after_whether_the_server_merges_or_replaces(nested: Any, change: dict[str, Any]) -> None:
    """Sending the difference makes the record equal to `after`, whatever the server does with nested objects."""
    async with (
        Sandbox(customers=0, rate_limit=None, nested=nested) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        before = await ts.customers.create(CustomerDraft.diff(Customer(id="cst-0"), BEFORE))
        after = attrs.evolve(before, **change)

        result = await ts.customers.update(before, CustomerDraft.diff(before, after))

    assert attrs.evolve(result, updated_at=None) == after
