"""Which fields differ, and what a change says of them."""

import json
from typing import Any

import attrs
import pytest
from mocked import KEY, ONCE, MockedAPI
from rows import customer_row, page
from syncing import ODD_DAY, D, sync

from ticketsource_async import (
    Created,
    Customer,
    CustomerStore,
    Deleted,
    TicketSource,
    Updated,
)
from ticketsource_async.models.reader import read_row
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync import changes as sync_changes


async def test_a_changed_consent_is_marked(box: Sandbox, ts: TicketSource, store: CustomerStore) -> None:
    """`consent_changed` is true if a consent differs, and only then; the field says which."""
    await sync(ts, store)
    first, second = box.customers.ids(0, 2)
    email = not (await ts.customers.get(first)).consent.email  # type: ignore[union-attr]  # samples have one
    box.customers.update(first, {"consent": {"email": email}})
    box.customers.update(second, {"telephone": "01632 960999", "phone": "01632 960999"})

    changes = {change.id: change for change in await sync(ts, store)}

    assert changes[first].consent_changed
    assert "consent.email" in changes[first].fields  # type: ignore[union-attr]  # it is an update
    assert not changes[second].consent_changed
    assert not Created(Customer(id="cst-1")).consent_changed
    assert not Deleted(Customer(id="cst-1")).consent_changed


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the fields in which two customers differ, each given by attributes of a row."""
    return list(sync_changes._differing(*(read_row(customer_row(1, **given), Customer) for given in (before, after))))


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({"membership": {"end_date": D}}, {"membership": {"end_date": ODD_DAY}}, []),
        (
            {"membership": {"end_date": D}},
            {"membership": {"end_date": ODD_DAY, "identifier": "M"}},
            ["membership.identifier"],
        ),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": D}}, ["membership.end_date"]),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": None}}, ["membership.end_date"]),
        ({"membership": {"end_date": ODD_DAY}}, {"membership": {"end_date": "1.1.2021"}}, []),
        ({"membership": {"end_date": D}}, {"membership": "none"}, []),
        ({"membership": None}, {"membership": {"identifier": "M", "end_date": ODD_DAY}}, ["membership.identifier"]),
        ({"membership": {"end_date": D}}, {"membership": None}, ["membership"]),
        ({"membership": {"end_date": D}}, {"membership": []}, ["membership.end_date"]),
        ({"membership": None}, {"membership": {"identifier": None}}, []),
        ({"membership": None}, {"membership": []}, []),
        ({"consent": {"email": True}}, {"consent": {"email": 1}}, ["consent.email"]),
        ({"consent": {"email": True}}, {"consent": "yes"}, ["consent"]),
        ({"consent": {"email": 1}}, {"consent": {"email": None}}, ["consent.email"]),
        ({"consent": {"email": 1}}, {"consent": {"email": 0}}, []),
        ({"telephone": "1"}, {"telephone": ["2"]}, []),
        ({"telephone": ["1"]}, {"telephone": ["2"]}, []),
        ({"address": {"line_1": [], "line_2": "2"}}, {"address": None}, ["address"]),
        ({"telephone": "1"}, {"telephone": None, "phone": ["1"]}, []),
    ],
)
def test_a_field_that_becomes_unreadable_is_no_change_unless_it_is_a_consent(
    before: dict[str, Any], after: dict[str, Any], fields: list[str]
) -> None:
    """The consumer keeps its value of the field. A consent that cannot be read counts as no consent."""
    assert differing(before, after) == fields


async def test_a_withdrawal_is_yielded_even_if_another_field_cannot_be_read(
    box: Sandbox, ts: TicketSource, store: CustomerStore
) -> None:
    """The change names only the consent. `after.invalid` has the other field, whose next good value is a change."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}, "membership": {"end_date": D}})
    await sync(ts, store)
    rows = box.customers.rows(0, 25)
    rows[0]["attributes"]["consent"]["email"] = False  # type: ignore[index]  # it is JSON
    rows[0]["attributes"]["membership"]["end_date"] = ODD_DAY  # type: ignore[index]  # it is JSON
    body = json.dumps({"data": rows, "links": {}})
    box.fail(page=1, status=200, body=body, times=2)
    (change,) = await sync(ts, store)
    nothing = await sync(ts, store)
    box.customers.update(zoe, {"consent": {"email": False}})
    (later,) = await sync(ts, store)

    assert isinstance(change, Updated)
    assert (change.id, change.fields, change.consent_changed) == (zoe, ("consent.email",), True)
    assert change.after.invalid == {"membership.end_date": ODD_DAY}
    assert nothing == []
    assert isinstance(later, Updated)
    assert "membership.end_date" in later.fields


async def test_each_differing_field_is_named(api: MockedAPI, store: CustomerStore) -> None:
    """A part is named by its fields, or as a whole if it comes or goes. Unknown attributes are named, links are not."""
    old = customer_row(1, membership=None, vip=True, old="x")
    new = customer_row(
        1, address=None, membership={"identifier": "M1"}, consent={"email": False, "post": False}, vip=False, new=None
    )
    new["links"]["self"] = "https://elsewhere/1"
    linked = json.loads(json.dumps(new))
    linked["links"]["self"] = "https://elsewhere/2"
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        for row in (old, new, linked, linked):
            api.answer("GET", "/customers?page=1&per_page=100", page([row]))
        runs = [await sync(ts, store) for _ in range(4)]

    (updated,) = runs[1]
    assert isinstance(updated, Updated)
    assert updated.fields == (
        "address",
        "membership",
        "consent.email",
        "consent.sms",
        "extra.vip",
        "extra.old",
        "extra.new",
    )
    assert updated.consent_changed
    assert runs[2:] == [[], []]


def test_thousands_of_differing_unknown_attributes_are_all_named() -> None:
    """Each is named once, even if its name begins like another one."""
    names = [*(f"n{number}" for number in range(30_000)), "n1.x"]

    assert differing({}, dict.fromkeys(names, True)) == [f"extra.{name}" for name in names]


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        (
            {"address": "weird"},
            {"address": {"line_1": "12 High St", "line_2": None, "postcode": ["x"]}},
            ["address.line_1", "address.line_2", "address.line_3", "address.line_4"],
        ),
        ({"address": "weird"}, {"address": {"line_1": "12 High St"}}, ["address"]),
        ({"address": {"line_2": ["x"]}}, {"address": {"line_1": ["x"], "line_2": "2"}}, ["address.line_2"]),
    ],
)
def test_the_readable_fields_of_a_partly_readable_part_are_named(
    before: dict[str, Any], after: dict[str, Any], fields: list[str]
) -> None:
    """Otherwise a line that was cleared meanwhile would stay for ever in the other system."""
    assert differing(before, after) == fields


def test_links_that_could_not_be_read_are_no_change() -> None:
    """Links are never compared."""
    odd, even = ({**customer_row(1), "links": {"self": link}} for link in (7, "https://elsewhere/1"))

    assert list(sync_changes._differing(read_row(odd, Customer), read_row(even, Customer))) == []


def test_a_change_has_a_json_form() -> None:
    """`to_dict` has the kind of the change, the id, and the complete records."""
    zoe = Customer(id="cst-1", first_name="Zoë")
    changed = attrs.evolve(zoe, first_name="Zoe")

    assert Created(zoe).to_dict() == {
        "change": "created",
        "id": "cst-1",
        "consent_changed": False,
        "customer": zoe.to_dict(),
    }
    assert Deleted(zoe, ("cst-2",), 1).to_dict() == {
        "change": "deleted",
        "id": "cst-1",
        "before": zoe.to_dict(),
        "same_contact": ["cst-2"],
        "ignored_contacts": 1,
    }
    assert Updated(zoe, changed, ("first_name",)).to_dict() == {
        "change": "updated",
        "id": "cst-1",
        "fields": ["first_name"],
        "consent_changed": False,
        "before": zoe.to_dict(),
        "after": changed.to_dict(),
    }
