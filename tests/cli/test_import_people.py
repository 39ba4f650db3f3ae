"""Whom a row is for, and who is never created."""

import json
import re
from pathlib import Path

import pytest
from importing import import_, writes

from ticketsource_async import CustomerDraft, MembershipDraft, TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


async def add(ts: TicketSource, number: str | None, last_name: str, email: str | None = None) -> str:
    """Create a member, and return the id."""
    draft = CustomerDraft(last_name=last_name, email=email, membership=MembershipDraft(identifier=number))
    return (await ts.customers.create(draft)).id


@pytest.mark.parametrize(
    ("stored", "cell"),
    [
        ("person3@example.com", "person3@example.com\u200b"),
        ("person3@example.com", "\ufeffPerson3@Example.com\u00a0"),
        ("person3@example.com", "per\u00adson3@exam\u200dple.com"),
        ("jose\u0301@example.com", "josé@example.com"),
        ("josé@example.com", "jose\u0301@example.com"),
        ("zoe\u200b@example.com", "zoe@example.com"),
    ],
)
async def test_an_email_is_found_however_it_is_written(
    box: Sandbox, ts: TicketSource, file: Path, stored: str, cell: str
) -> None:
    """Characters that nobody sees, and two ways to write an accent, make no second person."""
    zoe = box.customers.create({"email": stored})["id"]
    file.write_text(f"email\n{cell}\n", "utf-8")

    _, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    assert outcome == {"row": 2, "outcome": "unchanged", "id": zoe}
    assert writes(box) == []


async def test_a_row_that_repeats_the_header_is_refused(box: Sandbox, file: Path) -> None:
    """Two files were put together, the second with its own header."""
    file.write_text(
        "Email,Last Name,consent_post\na@example.com,A,no\nE-mail,Surname,consent_post\nb@example.com,B,no\n"
    )

    done, outcomes = await import_(file, "--match", "email", box=box)

    assert done.code == 1
    assert [(o["row"], o.get("reason", o["outcome"])) for o in outcomes] == [
        (2, "would create"),
        (3, "it repeats the header"),
        (4, "would create"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        *("n/a", "none", "-", "zoe@", "@example.com", "zoe example.com", "zoe @example.com", "mailto:zoe@example.com"),
        *("<zoe@example.com>", "Zoe (zoe@example.com)", "zoe@example.com; karl@example.com", "zoe@a@example.com"),
        *("zoe@example.com.", "zoe@.example.com", "[zoe@example.com](x)", "zoe@example.com/x"),
    ],
)
async def test_nobody_is_created_with_what_is_no_email(box: Sandbox, ts: TicketSource, file: Path, cell: str) -> None:
    """Nor does it replace the e-mail of somebody who is there."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com"))
    file.write_text(f'email,last_name\n"{cell}",Test\n')
    _, (created,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text(f'id,email\n{zoe.id},"{cell}"\n')
    _, (changed,) = await import_(file, "--match", "id", "--apply", box=box)

    assert created["reason"] == changed["reason"] == f"email {cell!r} is no e-mail address"
    assert writes(box) == ["POST"]


@pytest.mark.parametrize("cell", ["o'brien@example.com", "a+b/c=d@example.com", "josé@exämple.com", "x@y"])
async def test_an_email_may_have_odd_letters(box: Sandbox, file: Path, cell: str) -> None:
    """What has the form x@y is left to the API."""
    file.write_text(f"email\n{cell}\n", "utf-8")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["values"] == {"email": cell}


async def test_members_are_found_by_number_and_by_surname_where_they_share_it(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """A number of one customer is enough; a new member needs a number and a surname, and no e-mail."""
    alone = await add(ts, "M1", "Old")
    anna, ben = await add(ts, "M2", "Smith"), await add(ts, "M2", "Jones")
    file.write_text(
        "Membership No,Surname,Forename\nM1,New,\nM2,smith,Anna\nM2,Jones,Ben\nM3,Adams,Cleo\nM3,Baker,Dan\nM4,,Eve\n"
    )

    done, outcomes = await import_(file, "--match", "membership", "--apply", box=box)
    _, again = await import_(file, "--match", "membership", box=box)

    by_row = {outcome["row"]: outcome for outcome in outcomes}
    assert done.code == 1
    assert by_row[2]["changes"] == {"last_name": ["Old", "New"]}
    assert [by_row[row]["id"] for row in (2, 3, 4)] == [alone, anna, ben]
    assert by_row[3]["changes"] == {"first_name": [None, "Anna"], "last_name": ["Smith", "smith"]}
    assert [by_row[row]["outcome"] for row in (5, 6)] == ["created", "created"]
    assert by_row[7]["reason"] == "it has no last_name, without which no member is created"
    assert {outcome["outcome"] for outcome in again if outcome["row"] != 7} == {"unchanged"}


@pytest.mark.parametrize(
    ("members", "rows", "reasons"),
    [
        # Who of the two is meant, or whether it is a third, is not certain.
        ([("M1", "Smith"), ("M1", "Jones")], ["M1,Adams"], ["may be that of ID0, ID1: give the last_name as stored"]),
        ([("M1", "Smith"), ("M1", "Jones")], ["M1,"], ["may be that of ID0, ID1: give the last_name as stored"]),
        (
            [("M1", "Smith"), ("M1", "Smith")],
            ["M1,Smith"],
            ["2 customers have this membership number and surname: ID0"],
        ),
        ([("M1", "Smith")], ["M1,Smith", "M1,Smith"], ["row OTHER has the same membership number and surname"] * 2),
        ([("M1", "Smith")], ["M1,Adams", "M1,Jones"], ["may be that of ID0: give the last_name as stored"] * 2),
        ([], ["M1,", "M1,Jones"], ["so it needs a last_name", None]),
        ([("M1", "Smith")], ["M1,Adams", "M1,,,x"], ["may be that of ID0: give the last_name as stored", "too many"]),
        # A spreadsheet took the zeros.
        ([("007", "Bond")], ["7,Bond"], [None]),
        ([("007", "Bond")], ["7.0,bond"], [None]),
        ([("007", "Bond")], ["7,"], ["may be that of ID0: give the last_name as stored"]),
        ([("007", "Bond"), ("7", "Dwarf")], ["7,Doc"], [None]),
        ([("007", "Bond")], ["7,Bond", "007,Bond"], ["the same customer, ID0"] * 2),
    ],
)
async def test_a_member_who_is_not_certain_is_refused(
    box: Sandbox,
    ts: TicketSource,
    file: Path,
    members: list[tuple[str, str]],
    rows: list[str],
    reasons: list[str | None],
) -> None:
    """Nobody is there twice, and nobody gets the name of somebody else."""
    ids = [await add(ts, *member) for member in members]
    file.write_text("\n".join(["membership_identifier,last_name", *rows]))

    _, outcomes = await import_(file, "--match", "membership", box=box)

    for outcome, reason in zip(sorted(outcomes, key=lambda o: o["row"]), reasons, strict=True):
        if reason is None:
            assert outcome["outcome"] != "refused"
        else:
            said = re.sub(r"ID(\d)", lambda found: ids[int(found[1])], reason)
            assert said.replace("OTHER", str(5 - outcome["row"])) in outcome["reason"]


async def test_a_number_is_not_enough_if_all_names_are_others(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """One number can cover several people, of whom TicketSource may have one; a new surname alone is a change."""
    draft = CustomerDraft(first_name="Anna", last_name="Smith", membership=MembershipDraft(identifier="M1"))
    anna = await ts.customers.create(draft)
    file.write_text("membership_identifier,first_name,last_name\nM1,Ben,Jones\n")
    _, (ben,) = await import_(file, "--match", "membership", box=box)
    file.write_text("membership_identifier,first_name,last_name\nM1,ANNA,Jones\n")
    _, (married,) = await import_(file, "--match", "membership", box=box)

    assert ben["reason"] == f"its membership number is that of {anna.id}, who has other names"
    assert (married["outcome"], married["id"]) == ("would update", anna.id)


async def test_a_new_member_who_is_there_without_a_number_is_refused(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The e-mail and the surname tell; a relative with the same e-mail is created."""
    zoe = await add(ts, None, "Jones", email="family@example.com")
    file.write_text("member id,last_name,email\n1,Jones,FAMILY@example.com\n2,Smith,family@example.com\n")

    _, outcomes = await import_(file, "--match", "membership", box=box)

    assert outcomes[0]["reason"] == f"{zoe} has this email and surname, but not this membership number"
    assert outcomes[1]["outcome"] == "would create"


async def test_a_row_of_the_list_that_cannot_be_read_stops_only_who_may_be_that_person(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """Customers who are known are updated; nobody is created who may be there."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com"))
    known = {"id": zoe.id, "type": "customer", "attributes": {"email": "zoe@example.com"}}
    file.write_text("email,last_name\nzoe@example.com,New\nnew@example.com,New\n")
    body = json.dumps({"data": [known, {"id": "cst-odd", "type": "customer"}], "links": {}})
    box.fail(path="/customers", status=200, body=body, times=None)

    done, outcomes = await import_(file, "--match", "email", box=box)

    by_row = {outcome["row"]: outcome for outcome in outcomes}
    assert done.code == 1
    assert by_row[2]["outcome"] == "would update"
    assert "that of cst-odd could not be read" in by_row[3]["reason"]
