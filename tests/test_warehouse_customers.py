"""The customers in the warehouse of examples/warehouse: the history of each, and their box office."""

import shutil

import pytest
from warehouse import Warehouse, answer_with, end_early, pages_of

from ticketsource_async.sandbox import Sandbox


def by_id(asked: list[str]) -> set[str]:
    """Return the customers who were requested by id."""
    return {path.removeprefix("/customers/") for path in asked if path.startswith("/customers/")}


@pytest.mark.slow
async def test_the_warehouse_keeps_the_history_of_every_customer(any_warehouse: Warehouse) -> None:
    """A deleted customer has no valid row. A customer whom the list hides has one. A changed consent has two rows."""
    async with Sandbox(customers=450, events=0, rate_limit=None) as box:
        everybody = box.customers.ids()
        async with any_warehouse.stopped_at(box, "/customers", page=4):
            pass
        await any_warehouse.load(box)
        pages = pages_of(box)

        gone, changed = everybody[0], everybody[150]
        box.customers.delete([gone])
        email = not box.customers.get(changed)["attributes"]["consent"]["email"]  # type: ignore[index]  # it is there
        box.customers.update(changed, {"consent": {"email": email}})
        box.fail(page=2, path="/customers", delete=2)  # and two later ones are hidden
        await any_warehouse.load(box)
        await any_warehouse.load(box)

    assert pages == [1, 2, 3, 4, 5]
    versions = any_warehouse.ask(
        "SELECT id, consent_email, _dlt_valid_to IS NULL FROM customers ORDER BY _dlt_valid_from"
    )
    types = dict(
        any_warehouse.ask(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'customers'"
        )
    )
    assert {version[0] for version in versions} == set(everybody)
    assert len(versions) == 450 + 1
    assert [version[1:] for version in versions if version[0] == changed] == [(not email, False), (email, True)]
    assert {version[0] for version in versions if not version[2]} == {*everybody[:3], changed}
    assert {types["consent_sms"].lower(), types["membership_end_date"].lower()} == {"boolean", "date"}
    assert {types["title"].lower(), types["updated_at"].lower()} & {"varchar", "character varying"}
    assert types["updated_at"].lower() == "timestamp with time zone"


@pytest.mark.slow
async def test_the_warehouse_follows_customers_who_are_added_and_then_all_deleted(warehouse: Warehouse) -> None:
    """An empty box office is no error. A customer has no valid row when the API itself answers 404."""
    async with Sandbox(customers=0, events=0, rate_limit=None) as box:
        await warehouse.load(box, "--notes", "--seats")
        nobody = warehouse.valid()
        tables = warehouse.column(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'ticketsource'"
        )

        everybody = sorted(box.customers.insert(3))
        await warehouse.load(box)
        all_there = warehouse.valid()

        box.customers.delete(everybody)
        box.fail(path=f"/customers/{everybody[1]}", status=404, html=True)  # by a gateway
        said, _ = await warehouse.load(box, ends_in=1)
        still_there = warehouse.valid()
        _, asked = await warehouse.load(box)

    assert nobody == []
    kinds = {"customers", "notes", "events", "venues", "dates", "bookings", "booking_lines", "seats"}
    assert kinds < set(tables)
    assert all_there == everybody
    assert still_there == [everybody[1]]
    assert f"GET /customers/{everybody[1]} was answered 404" in said
    assert by_id(asked) == {everybody[1]}
    assert warehouse.valid() == []
    assert warehouse.ask("SELECT count(*) FROM customers") == [(3,)]
    assert warehouse.readable_by_others() == set()
    assert warehouse.ask("SELECT resource, part, error FROM unread") == [("customers", everybody[1], "NotFound")]


@pytest.mark.slow
async def test_the_warehouse_keeps_an_unreadable_customer_and_updates_the_others(warehouse: Warehouse) -> None:
    """Their row stays valid, the withdrawal of another customer is loaded, and the run ends with 1."""
    async with Sandbox(customers=3, events=0, rate_limit=None) as box:
        await warehouse.load(box)
        odd, other, _ = box.customers.ids()
        box.customers.update(other, {"consent": {"email": False, "sms": True}})
        rows = box.customers.rows(0, 3)
        rows[0]["attributes"] = None
        rows[2]["attributes"]["membership"] = {"end_date": "31.12.2020"}  # type: ignore[index]  # it is JSON
        answer_with(box, "/customers", rows, times=1)
        box.fail(path=f"/customers/{odd}", status=501, times=None)
        said, _ = await warehouse.load(box, ends_in=1)

    versions = warehouse.ask("SELECT id, consent_sms FROM customers WHERE _dlt_valid_to IS NULL")
    assert {version[0] for version in versions} == set(box.customers.ids())
    assert (other, True) in versions
    assert warehouse.ask(f"SELECT count(*) FROM customers WHERE id = '{odd}'") == [(1,)]
    assert warehouse.ask("SELECT invalid ->> '$.\"membership.end_date\"' FROM customers WHERE invalid IS NOT NULL") == [
        ("31.12.2020",)
    ]
    assert "Could not be read: 2" in said
    assert "at $.data[0].attributes" in said
    assert f"GET /customers/{odd} was answered 501" in said


@pytest.mark.slow
async def test_a_list_that_ends_early_marks_no_customer_as_deleted(warehouse: Warehouse) -> None:
    """No customer is requested by id, since the list is incomplete."""
    async with Sandbox(customers=150, events=0, rate_limit=None) as box:
        await warehouse.load(box)
        end_early(box, "/customers", 2)
        said, asked = await warehouse.load(box, ends_in=1)

    assert warehouse.valid() == sorted(box.customers.ids())
    assert "The list was left before its end" in said
    assert by_id(asked) == set()


@pytest.mark.slow
async def test_the_warehouse_refuses_another_box_office_but_accepts_a_new_key(warehouse: Warehouse) -> None:
    """No customer of another box office is read, nobody is marked as deleted, and no key is in any file."""
    async with (
        Sandbox(customers=3, events=0, rate_limit=None) as box,
        Sandbox(customers=3, seed=1, events=0, rate_limit=None) as another,
    ):
        await warehouse.load(box)
        shutil.rmtree(warehouse.folder / "pipelines")  # as on another machine
        for customer_id in box.customers.ids():
            another.fail(path=f"/customers/{customer_id}", status=404, html=True)
        outage, _ = await warehouse.load(another, ends_in=1)
        said, asked = await warehouse.load(another, ends_in=1)
        refused = warehouse.valid()

        box.api_key = "skl-replaced"
        said += (await warehouse.load(box))[0]

    assert "is known to this API key" not in outage
    assert "was answered 404" in outage
    assert "is known to this API key" in said
    assert by_id(asked) == set(box.customers.ids())
    assert "/customers" not in asked
    assert refused == warehouse.valid() == sorted(box.customers.ids())
    files = [path.read_bytes() for path in warehouse.folder.rglob("*") if path.is_file()]
    assert not any(key in text for key in (b"skl-sandbox", b"skl-replaced") for text in (said.encode(), *files))


@pytest.mark.slow
async def test_a_second_run_at_the_same_time_is_refused(warehouse: Warehouse) -> None:
    """It reads nothing. After the first run is killed, a run is possible again."""
    async with Sandbox(customers=3, events=0, rate_limit=None) as box:
        async with warehouse.stopped_at(box, "/customers"):
            said, asked = await warehouse.load(box, ends_in=1)
        await warehouse.load(box)

    assert "Another run is loading here" in said
    assert asked == []
    assert warehouse.valid() == sorted(box.customers.ids())
