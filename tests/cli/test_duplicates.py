"""`customers duplicates`: customers who may be one person."""

import csv
import json
from pathlib import Path

import pytest
from command import rows_in, run

from ticketsource_async.files import FORMATS
from ticketsource_async.sandbox import Sandbox

DUPLICATES = ("customers", "duplicates")
NOBODY = {"email": None, "telephone": None, "first_name": "A", "last_name": None, "address": None}


@pytest.fixture(name="people")
def _people(box: Sandbox) -> list[str]:
    """Return the ids of customers. Only the first six are duplicates, in pairs."""
    ids = box.customers.ids()
    for customer_id in ids:
        box.customers.update(customer_id, NOBODY)
    given: tuple[dict[str, object], ...] = (
        {"email": "zoe@example.com"},
        {"email": "ZOE@Example.com "},
        {"first_name": "Mary-Ann", "last_name": "O'Neill", "address": {"postcode": "LS1 1AA"}},
        {"first_name": "maryann", "last_name": "ONEILL", "address": {"postcode": "ls11aa"}},
        {"last_name": "Müller", "telephone": "01632 960001"},
        {"last_name": "Muller", "telephone": "+44 (0)1632 960001 / 07700 900001"},
        {"last_name": "Smith", "telephone": "01632 960001"},
        {"last_name": "Smith", "address": {"postcode": "LS1 1AA"}},
    )
    for customer_id, attributes in zip(ids, given, strict=False):
        box.customers.overwrite(customer_id, attributes)
    return ids


async def test_customers_with_the_same_contact_are_one_group_with_a_row_each(box: Sandbox, people: list[str]) -> None:
    """A row says what the group shares. A customer with another surname is another person."""
    done = await run(*DUPLICATES, box=box)

    rows = list(csv.DictReader(done.out.splitlines()))
    assert done.code == 0
    assert [(row["group"], row["group_size"], row["id"], row["same"]) for row in rows] == [
        ("1", "2", people[0], "email"),
        ("1", "2", people[1], "email"),
        ("2", "2", people[2], "name and postcode"),
        ("2", "2", people[3], "name and postcode"),
        ("3", "2", people[4], "telephone and surname"),
        ("3", "2", people[5], "telephone and surname"),
    ]
    assert (rows[4]["last_name"], rows[4]["telephone"]) == ("Müller", "01632 960001")
    assert done.err == "6 of 25 customers may be duplicates, in 3 groups.\n"


async def test_groups_that_share_the_most_come_first_and_then_the_largest(box: Sandbox, people: list[str]) -> None:
    """A customer who belongs to two groups joins them."""
    box.customers.overwrite(people[4], {"email": "pat@example.com"})
    box.customers.overwrite(people[5], {"email": "pat@example.com"})
    for customer_id in people[10:13]:
        box.customers.overwrite(customer_id, {"email": "family@example.com"})
    box.customers.overwrite(people[20], {**NOBODY, "email": "lea@example.com", "last_name": "Lea"})
    box.customers.overwrite(people[21], {"email": "lea@example.com", "last_name": "Fox", "telephone": "020 7946 0001"})
    box.customers.overwrite(people[22], {"last_name": "Fox", "telephone": "+442079460001"})

    done = await run(*DUPLICATES, "--format", "jsonl", "--quiet", box=box)

    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == [*people[20:23], *people[4:6], *people[10:13], *people[:4]]
    assert [row["same"] for row in rows][:5] == [
        "email",
        "email, telephone and surname",
        "telephone and surname",
        "email, telephone and surname",
        "email, telephone and surname",
    ]
    assert done.err == ""


@pytest.mark.parametrize("telephone", ["1632960001", "1632960001.0", "07700 900001 or 1632960001"])
async def test_a_telephone_without_its_leading_zero_is_the_same(
    box: Sandbox, people: list[str], telephone: str
) -> None:
    """A spreadsheet may have dropped the zero. `customers find` finds such a telephone, too."""
    box.customers.overwrite(people[10], {"last_name": "Smith", "telephone": telephone})

    done = await run(*DUPLICATES, "--format", "jsonl", "--quiet", box=box)

    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [*people[:6], people[6], people[10]]


@pytest.mark.parametrize("kind", FORMATS)
async def test_duplicates_are_written_in_every_format(
    box: Sandbox, people: list[str], tmp_path: Path, kind: str
) -> None:
    """`--limit` completes the last group. Without duplicates, the file has no rows."""
    done = await run(*DUPLICATES, "-o", str(tmp_path / f"d.{kind}"), "--limit", "3", box=box)
    for customer_id in people:
        box.customers.overwrite(customer_id, NOBODY)
    nobody = await run(*DUPLICATES, "-o", str(tmp_path / f"none.{kind}"), box=box)

    assert (done.code, nobody.code) == (0, 0)
    assert [row["id"] for row in rows_in(tmp_path / f"d.{kind}", kind)] == people[:4]
    assert rows_in(tmp_path / f"none.{kind}", kind) == []


@pytest.mark.parametrize(("limit", "rows"), [("1", 2), ("2", 2), ("3", 4), ("5", 6), ("6", 6), ("99", 6)])
async def test_a_limit_does_not_cut_a_group(box: Sandbox, people: list[str], limit: str, rows: int) -> None:
    """The output ends with the group in which the limit is reached."""
    file = await run(*DUPLICATES, "--limit", limit, box=box)
    drawn = await run(*DUPLICATES, "--limit", limit, "--format", "table", box=box)

    assert [row["id"] for row in csv.DictReader(file.out.splitlines())] == people[:rows]
    assert [customer_id for customer_id in people if customer_id in drawn.out] == people[:rows]
    assert ("... more rows" in drawn.out) is (rows < 6)


async def test_the_limit_of_a_hundred_rows_does_not_cut_a_group(many: Sandbox) -> None:
    """Each group has three rows, and the hundredth row is the first of a group."""
    ids = many.customers.ids()
    for number, customer_id in enumerate(ids):
        many.customers.update(customer_id, {**NOBODY, "email": f"{number // 3}@example.com"})

    drawn = await run(*DUPLICATES, "--format", "table", box=many)

    assert [customer_id for customer_id in ids if customer_id in drawn.out] == ids[:102]
    assert "... more rows" in drawn.out


async def test_a_contact_of_more_than_ten_customers_is_ignored_and_reported(box: Sandbox, people: list[str]) -> None:
    """It is probably that of a venue. The customers are still compared by other contacts."""
    for customer_id in people[8:18]:
        box.customers.overwrite(customer_id, {"email": "info@venue.example.com"})
    ten = await run(*DUPLICATES, box=box)
    for customer_id in people[1:8]:
        box.customers.overwrite(customer_id, {"email": "info@venue.example.com"})
    more = await run(*DUPLICATES, box=box)
    quiet = await run(*DUPLICATES, "--quiet", box=box)

    assert ten.err == "16 of 25 customers may be duplicates, in 4 groups.\n"
    assert {row["id"] for row in csv.DictReader(more.out.splitlines())} == {*people[2:6]}
    assert more.err == (
        "4 of 25 customers may be duplicates, in 2 groups. 1 contact was ignored, since more than 10 customers have "
        "it.\n"
    )
    assert (more.code, quiet.err) == (0, "")


async def test_the_summary_uses_the_singular_for_one_group(box: Sandbox, people: list[str]) -> None:
    """The last line is a sentence for people."""
    for customer_id in people[2:]:
        box.customers.overwrite(customer_id, NOBODY)

    assert (await run(*DUPLICATES, box=box)).err == "2 of 25 customers may be duplicates, in 1 group.\n"


async def test_a_table_has_a_row_for_each_duplicate_and_goes_to_stdout(
    box: Sandbox, people: list[str], tmp_path: Path
) -> None:
    """It cannot be written to a file."""
    shown = await run(*DUPLICATES, "--format", "table", box=box)
    file = await run(*DUPLICATES, "--format", "table", "-o", str(tmp_path / "d.txt"), box=box)

    assert shown.code == 0
    assert all(customer_id in shown.out for customer_id in people[:6])
    assert people[6] not in shown.out
    assert (file.code, "--format table cannot be written to a file" in file.err) == (2, True)
    assert shown.out.split()[:3] == ["group", "same", "id"]


async def test_duplicates_in_a_store_need_no_request(box: Sandbox, people: list[str], tmp_path: Path) -> None:
    """The store has the customers of the last sync."""
    store = str(tmp_path / "customers.db")
    await run("customers", "changes", "--store", store, box=box)
    asked = len(box.requests)

    done = await run(*DUPLICATES, "--store", store)
    both = await run(*DUPLICATES, "--store", store, "--sandbox")

    assert len(box.requests) == asked
    assert {row["id"] for row in csv.DictReader(done.out.splitlines())} == set(people[:6])
    assert done.err == f"6 of 25 customers in {store} may be duplicates, in 3 groups.\n"
    assert both.code == 2


async def test_a_customer_who_is_listed_twice_is_no_duplicate(many: Sandbox) -> None:
    """Rows may shift while the list is read."""
    before = await run(*DUPLICATES, "--quiet", box=many)
    many.fail(page=2, insert=3)
    done = await run(*DUPLICATES, "--quiet", box=many)

    ids = [row["id"] for row in csv.DictReader(done.out.splitlines())]
    assert (before.code, done.code, len(ids)) == (0, 0, len(set(ids)))


async def test_an_unreadable_row_is_named_and_the_others_are_compared(box: Sandbox, people: list[str]) -> None:
    """The exit code is 1."""
    rows = box.customers.rows(0, 25)
    rows[8]["attributes"] = None
    box.fail(page=1, status=200, body=json.dumps({"data": rows, "links": {}}))

    done = await run(*DUPLICATES, box=box)

    assert (done.code, people[8] in done.err) == (1, True)
    assert len(done.out.splitlines()) == 1 + 6
