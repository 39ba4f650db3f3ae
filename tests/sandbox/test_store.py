"""What the sandbox stores and refuses."""

from typing import Any

import pytest

from ticketsource_async.sandbox.store import Customers, Nested, Notes, Refused


def customers(count: int = 5, *, nested: Nested = "merge") -> Customers:
    """Return a store that needs no server."""
    return Customers(count, 0, nested=nested, base_url=lambda: "http://box")


def test_a_large_box_office_is_not_built_in_advance() -> None:
    """The last of 200,000 customers can be read, and no record was stored."""
    store = customers(200_000)
    [last] = store.ids(199_999)

    assert len(store) == 200_000
    assert (store.get(last) or {})["id"] == last
    assert not store._written


def test_inserted_and_deleted_customers_shift_the_list() -> None:
    """New customers are at the given place. Deleted ones cannot be deleted again."""
    store = customers(3)
    before = store.ids()

    front = store.insert(2, at=0)
    [end] = store.insert()
    store.delete([before[1]])

    assert store.ids() == [*front, before[0], before[2], end]
    assert store.get(before[1]) is None
    assert store.get(front[0]) is not None
    with pytest.raises(KeyError):
        store.delete([before[1]])


@pytest.mark.parametrize("customer_id", ["", "cst-", "cst-nobody", "csn-0000000000000000", "cst-zzzzzzzzzzzzzzzz"])
def test_an_unknown_id_finds_no_customer(customer_id: str) -> None:
    """An update with such an id raises KeyError."""
    store = customers()

    assert store.get(customer_id) is None
    with pytest.raises(KeyError):
        store.update(customer_id, {"first_name": "x"})


def test_a_new_customer_has_null_for_missing_attributes_and_no_consent() -> None:
    """Empty texts become null, and unknown attributes are ignored."""
    made: Any = customers().create({"first_name": "Ann", "phone": "01632 960001", "last_name": "", "shoe_size": 7})

    attributes = made["attributes"]
    assert list(attributes) == [
        *("title", "first_name", "last_name", "address", "telephone", "email", "membership", "consent"),
        *("created_at", "updated_at"),
    ]
    assert (attributes["first_name"], attributes["last_name"], attributes["telephone"]) == ("Ann", None, "01632 960001")
    assert set(attributes["address"].values()) == set(attributes["membership"].values()) == {None}
    assert attributes["consent"] == {"email": False, "post": False, "sms": False}
    assert attributes["created_at"].endswith("+00:00")
    assert attributes["updated_at"] is None


@pytest.mark.parametrize(
    ("nested", "consent", "line_1"), [("merge", {"email": True, "post": True}, "1 High Street"), ("replace", {}, None)]
)
def test_a_partly_sent_nested_object_is_merged_or_replaced(nested: Nested, consent: Any, line_1: Any) -> None:
    """The option `nested` decides between the two."""
    store = customers(nested=nested)
    made: Any = store.create({"address": {"line_1": "1 High Street"}, "consent": {"email": True, "post": True}})

    after: Any = store.update(made["id"], {"address": {"postcode": "LS1 1AA"}, "consent": {"sms": True}})["attributes"]

    assert (after["address"]["line_1"], after["address"]["postcode"]) == (line_1, "LS1 1AA")
    assert after["consent"] == {"email": False, "post": False} | consent | {"sms": True}


def test_null_clears_and_a_cleared_object_can_be_filled_again() -> None:
    """Null clears a text or an object. Parts that are sent later start with an empty object."""
    store = customers()
    made: Any = store.create({"email": "ann@example.com", "address": {"line_1": "1 High Street"}})

    cleared: Any = store.update(made["id"], {"email": None, "address": None})["attributes"]
    filled: Any = store.update(made["id"], {"address": {"line_2": "x"}})["attributes"]

    assert (cleared["email"], cleared["address"]) == (None, None)
    assert (filled["address"]["line_1"], filled["address"]["line_2"]) == (None, "x")


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ({"first_name": 5}, "The first_name must be a string."),
        ({"phone": 1632960001}, "The phone must be a string."),
        ({"email": "not-an-email"}, "The email must be a valid email address."),
        ({"email": "a@b"}, "The email must be a valid email address."),
        ({"address": "x"}, "The address must be an object."),
        ({"address": {"line_1": []}}, "The address.line_1 must be a string."),
        ({"membership": []}, "The membership must be an object."),
        (
            {"membership": {"identifier": "x" * 21}},
            "The membership.identifier must be a string of at most 20 characters.",
        ),
        ({"membership": {"start_date": "2020-02-30"}}, "The membership.start_date must be a date as YYYY-MM-DD."),
        ({"membership": {"end_date": "20200201"}}, "The membership.end_date must be a date as YYYY-MM-DD."),
        ({"membership": {"end_date": 5}}, "The membership.end_date must be a date as YYYY-MM-DD."),
        ({"consent": None}, "The consent must be an object."),
        ({"consent": {"email": "true"}}, "The consent.email must be true or false."),
        ({"consent": {"sms": None}}, "The consent.sms must be true or false."),
    ],
)
def test_an_invalid_attribute_is_refused_and_nothing_changes(sent: dict[str, Any], detail: str) -> None:
    """Create and update report the same mistake."""
    store = customers()
    [somebody] = store.ids(0, 1)
    before = store.get(somebody)

    with pytest.raises(Refused) as created:
        store.create(sent)
    with pytest.raises(Refused) as updated:
        store.update(somebody, sent)

    assert created.value.details == updated.value.details == [detail]
    assert store.get(somebody) == before
    assert len(store) == 5


def test_notes_are_deleted_with_their_customer() -> None:
    """A note links to its customer."""
    store = customers()
    notes = Notes(0, store, base_url=lambda: "http://box")
    made: Any = store.create({"first_name": "Ann"})

    note: Any = notes.create(made["id"], {"description": "Aisle", "created_by": ""})

    assert note["attributes"]["created_by"] is None
    assert note["links"]["customer"] == f"http://box/customers/{made['id']}"
    assert list(notes.of(made["id"]).values()) == [note]
    store.delete([made["id"]])
    with pytest.raises(KeyError):
        notes.of(made["id"])


@pytest.mark.parametrize("sent", [{}, {"description": ""}, {"description": 5}, {"description": "x", "created_by": 5}])
def test_a_note_needs_a_description(sent: dict[str, Any]) -> None:
    """An empty text, or a value that is not a text, is refused."""
    store = customers()
    with pytest.raises(Refused):
        Notes(0, store, base_url=lambda: "http://box").create(store.ids()[0], sent)


def test_sample_customers_have_the_same_notes_at_every_call() -> None:
    """Each note has its own id."""
    store = customers(200)
    notes = Notes(0, store, base_url=lambda: "http://box")

    first = {customer_id: dict(notes.of(customer_id)) for customer_id in store.ids()}

    assert {customer_id: notes.of(customer_id) for customer_id in store.ids()} == first
    ids = [note_id for found in first.values() for note_id in found]
    assert len(ids) == len(set(ids)) > 5


def test_changing_a_returned_customer_does_not_change_the_store() -> None:
    """`get` returns a deep copy, even of a customer who was updated."""
    customers = Customers(1, 0, nested="merge", base_url=lambda: "http://box")
    [one] = customers.ids()
    customers.update(one, {"address": {"line_1": "1 A Street"}})
    seen: Any = customers.get(one)
    seen["attributes"]["address"]["line_1"] = "elsewhere"

    again: Any = customers.get(one)
    assert again["attributes"]["address"]["line_1"] == "1 A Street"


def test_a_negative_number_of_customers_cannot_be_inserted() -> None:
    """All customers remain."""
    customers = Customers(2, 0, nested="merge", base_url=lambda: "http://box")
    with pytest.raises(ValueError, match="count"):
        customers.insert(-1)

    assert all(customers.get(one) for one in customers.ids())


def test_sample_notes_do_not_depend_on_the_order_of_the_calls() -> None:
    """The ids are the same in both orders, and differ from those of new notes."""
    customers = Customers(300, 0, nested="merge", base_url=lambda: "http://box")
    forwards, backwards = (Notes(0, customers, base_url=lambda: "http://box") for _ in range(2))

    there = {one: list(forwards.of(one)) for one in customers.ids()}
    back = {one: list(backwards.of(one)) for one in reversed(customers.ids())}
    written = [forwards.create(customers.ids()[0], {"description": "x"})["id"] for _ in range(3)]

    ids = [*written, *(note_id for some in there.values() for note_id in some)]
    assert there == back
    assert len(set(ids)) == len(ids) > 3
