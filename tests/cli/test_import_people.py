"""Which customer a row belongs to, and which rows create no customer."""

import json
import re
from pathlib import Path

import pytest
from importing import import_, writes

from ticketsource_async import CustomerDraft, MembershipDraft, TicketSource
from ticketsource_async.sandbox import Sandbox

INVISIBLE = "\ufe0f\u3164\x7f\U000e0041\u115f\u1160\uffa0\u180b\u180d\ufff9\ufffb\x01\x1a\x1f\x80\x9f\v\u2028"
OTHER_NAME = "its membership number is that of ID0, who has another name: match by id to change it"
NO_SURNAME = "it has no last_name, by which people with the same membership number are told apart"


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


async def create_member(ts: TicketSource, number: str | None, last_name: str, email: str | None = None) -> str:
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
        *(("zoe@example.com", f"{character}zoe@example.com{character}") for character in INVISIBLE),
    ],
)
async def test_an_email_is_found_in_every_notation(
    box: Sandbox, ts: TicketSource, file: Path, stored: str, cell: str
) -> None:
    """Invisible characters and the two notations of an accent do not create a second customer."""
    zoe = box.customers.create({"email": stored})["id"]
    file.write_text(f"email\n{cell}\n", "utf-8")

    _, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    assert outcome == {"row": 2, "outcome": "unchanged", "id": zoe}
    assert writes(box) == []


async def test_a_repeated_header_is_refused(box: Sandbox, file: Path) -> None:
    """Two files were joined, and the second has its own header."""
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
    ("match", "header", "row"),
    [
        ("membership", "membership_identifier,last_name,first_name", "last name,membership number,first name"),
        ("membership", "membership_identifier,last_name", "Membership No,Name"),
        ("membership", "last_name,membership_identifier", "Smith,Member ID"),
        ("email", "email,last_name,first_name", "Last Name,Email,First Name"),
        ("email", "email,last_name,Shoe size", "Shoe Size,E-mail,"),
        ("email", "email,last_name,first_name", "E-Mail,Nachname,Vorname"),
        ("id", "id,last_name,first_name", "Surname,Forename,ID"),
    ],
)
async def test_a_repeated_header_with_another_order_or_other_names_is_refused(
    box: Sandbox, file: Path, match: str, header: str, row: str
) -> None:
    """No customer has the name of a column as e-mail, number or id."""
    file.write_text(f"{header}\n{row}\n")

    _, (outcome,) = await import_(file, "--match", match, "--ignore-unknown", box=box)

    assert outcome["reason"].startswith("it repeats the header")


async def test_a_person_can_have_the_name_of_a_column(box: Sandbox, file: Path) -> None:
    """The e-mail shows that the row is not a header."""
    file.write_text("email,last_name,first_name\nmail@example.com,Street,Mobile\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["outcome"] == "would create"


@pytest.mark.parametrize("cell", ["n/a", "N/A", "none", "-", "--", "?", "null", "tbc", "ABCDEFGHIJKLMNOPQRSTU"])
@pytest.mark.parametrize("match", ["membership", "email"])
async def test_an_invalid_membership_number_is_refused(box: Sandbox, file: Path, match: str, cell: str) -> None:
    """One that the API would refuse is refused in the dry run, too."""
    file.write_text(f"membership_identifier,last_name,email\n{cell},Smith,new@example.com\n")

    _, (outcome,) = await import_(file, "--match", match, box=box)

    is_long = len(cell) > 20
    said = "is longer than 20 characters" if is_long else "is no number"
    assert outcome["reason"] == f"membership_identifier {cell!r} {said}"


@pytest.mark.parametrize(
    "cell",
    [
        *("n/a", "none", "-", "zoe@", "@example.com", "zoe example.com", "zoe @example.com", "mailto:zoe@example.com"),
        *("<zoe@example.com>", "Zoe (zoe@example.com)", "zoe@example.com; karl@example.com", "zoe@a@example.com"),
        *("zoe@example.com.", "zoe@.example.com", "[zoe@example.com](x)", "zoe@example.com/x"),
        *(
            "“zoe@example.com”",
            "\u2039zoe@example.com\u203a",
            "zoe@example.com…",
            "zoe@exa..mple.com",
            "zo..e@example.com",
        ),
        *("zoe@example.com?subject=x", "mailto=zoe@example.com", "#@#", "-@-", "#@example.com", "zoe@-example.com"),
        *(
            "zoe@localhost",
            "zo..e@example.com",
            ".zoe@example.com",
            "zoe.@example.com",
            "zoe@example\u3002com",
            "«zoe@example.com»",
        ),
    ],
)
async def test_an_invalid_email_is_refused(box: Sandbox, ts: TicketSource, file: Path, cell: str) -> None:
    """It creates no customer, and replaces no e-mail of an existing one."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com"))
    file.write_text(f'email,last_name\n"{cell}",Test\n')
    _, (created,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text(f'id,email\n{zoe.id},"{cell}"\n')
    _, (changed,) = await import_(file, "--match", "id", "--apply", box=box)

    assert created["reason"] == changed["reason"] == f"email {cell!r} is no e-mail address"
    assert writes(box) == ["POST"]


@pytest.mark.parametrize(
    "cell", ["o'brien@example.com", "a+b/c=d@example.com", "josé@exämple.com", "x_y@a-b.c", "नमस्ते@example.com"]
)
async def test_an_email_can_have_unusual_letters(box: Sandbox, file: Path, cell: str) -> None:
    """If it has the form x@y.z, the API decides."""
    file.write_text(f"email\n{cell}\n", "utf-8")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["values"] == {"email": cell}


async def test_members_are_found_by_number_and_by_surname_if_they_share_it(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """A number that only one customer has is enough. A new member needs a number and a surname, and no e-mail."""
    alone = await create_member(ts, "M1", "Old")
    await ts.customers.update(alone, CustomerDraft(first_name="Al"))
    anna, ben = await create_member(ts, "M2", "Smith"), await create_member(ts, "M2", "Jones")
    file.write_text(
        "Membership No,Surname,Forename\nM1,New,AL\nM2,smith,Anna\nM2,Jones,Ben\nM3,Adams,Cleo\nM3,Baker,Dan\nM4,,Eve\n"
    )

    done, outcomes = await import_(file, "--match", "membership", "--apply", box=box)
    _, again = await import_(file, "--match", "membership", box=box)

    by_row = {outcome["row"]: outcome for outcome in outcomes}
    assert done.code == 1
    assert by_row[2]["changes"] == {"first_name": ["Al", "AL"], "last_name": ["Old", "New"]}
    assert [by_row[row]["id"] for row in (2, 3, 4)] == [alone, anna, ben]
    assert by_row[3]["changes"] == {"first_name": [None, "Anna"], "last_name": ["Smith", "smith"]}
    assert [by_row[row]["outcome"] for row in (5, 6)] == ["created", "created"]
    assert by_row[7]["reason"] == NO_SURNAME
    assert {outcome["outcome"] for outcome in again if outcome["row"] != 7} == {"unchanged"}


@pytest.mark.parametrize(
    ("members", "rows", "reasons"),
    [
        # It is not certain which of the two members is meant, or whether it is a third.
        ([("M1", "Smith"), ("M1", "Jones")], ["M1,Adams"], ["may be that of ID0, ID1: give the last_name as stored"]),
        ([("M1", "Smith"), ("M1", "Jones")], ["M1,"], [NO_SURNAME]),
        (
            [("M1", "Smith"), ("M1", "Smith")],
            ["M1,Smith"],
            ["2 customers have this membership number and surname: ID0"],
        ),
        ([("M1", "Smith")], ["M1,Smith", "M1,Smith"], ["row OTHER has the same membership number and surname"] * 2),
        ([("M1", "Smith")], ["M1,Adams", "M1,Jones"], ["may be that of ID0: give the last_name as stored"] * 2),
        ([], ["M1,", "M1,Jones"], [NO_SURNAME, None]),
        ([("M1", "Smith")], ["M1,"], [NO_SURNAME]),
        ([("M1", "Smith")], ["M1,Jones"], [OTHER_NAME]),
        ([("M1", "Smith")], ["M1,Adams", "M1,,,x"], ["may be that of ID0: give the last_name as stored", "too many"]),
        # A spreadsheet has removed the zeros.
        ([("007", "Bond")], ["7,Bond"], [None]),
        ([("007", "Bond")], ["7.0,bond"], [None]),
        ([("007", "Bond")], ["7,"], [NO_SURNAME]),
        ([("007", "Bond"), ("7", "Dwarf")], ["7,Doc"], ["may be that of ID0, ID1: give the last_name as stored"]),
        ([("007", "Bond"), ("7", "Dwarf")], ["7,Bond"], [None]),
        ([("007", "Bond")], ["7,Bond", "007,Bond"], ["row OTHER has the same membership number and surname"] * 2),
        ([], ["7,Bond", "007,Bond"], ["row OTHER has the same membership number and surname"] * 2),
    ],
)
async def test_a_row_for_an_uncertain_member_is_refused(
    box: Sandbox,
    ts: TicketSource,
    file: Path,
    members: list[tuple[str, str]],
    rows: list[str],
    reasons: list[str | None],
) -> None:
    """No member is created twice, and none gets the name of another person."""
    ids = [await create_member(ts, *member) for member in members]
    file.write_text("\n".join(["membership_identifier,last_name", *rows]))

    _, outcomes = await import_(file, "--match", "membership", box=box)

    for outcome, reason in zip(sorted(outcomes, key=lambda o: o["row"]), reasons, strict=True):
        if reason is None:
            assert outcome["outcome"] != "refused"
        else:
            said = re.sub(r"ID(\d)", lambda found: ids[int(found[1])], reason)
            assert said.replace("OTHER", str(5 - outcome["row"])) in outcome["reason"]


@pytest.mark.parametrize(
    ("row", "is_anna"),
    [
        ("M1,ANNA,Jones,1", True),
        ("M1,Anna,,1", None),
        ("M1,,Smith,1", True),
        ("M1,,Jones,1", False),
        ("M1,Ben,Smith,1", False),
        ("M1,Ben,Jones,1", False),
    ],
)
async def test_a_number_is_not_enough_if_the_names_may_be_those_of_a_partner(
    box: Sandbox, ts: TicketSource, file: Path, row: str, *, is_anna: bool | None
) -> None:
    """Several people can share a number, and TicketSource may have one of them. A surname can change."""
    draft = CustomerDraft(first_name="Anna", last_name="Smith", membership=MembershipDraft(identifier="M1"))
    anna = await ts.customers.create(draft)
    file.write_text(f"membership_identifier,first_name,last_name,telephone\n{row}\n")

    _, (outcome,) = await import_(file, "--match", "membership", box=box)

    if is_anna:
        assert (outcome["outcome"], outcome["id"]) == ("would update", anna.id)
    elif is_anna is None:
        assert outcome["reason"] == NO_SURNAME
    else:
        assert outcome["reason"] == OTHER_NAME.replace("ID0", anna.id)


async def test_a_shared_surname_is_not_enough_if_the_first_name_differs(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The row may be for a third person with the number."""
    draft = CustomerDraft(first_name="Anna", last_name="Smith", membership=MembershipDraft(identifier="M1"))
    anna = await ts.customers.create(draft)
    await create_member(ts, "M1", "Jones")
    file.write_text("membership_identifier,first_name,last_name\nM1,Ben,Smith\n")

    _, (outcome,) = await import_(file, "--match", "membership", box=box)

    assert outcome["reason"] == OTHER_NAME.replace("ID0", anna.id)


async def test_a_file_without_surnames_finds_members_by_number_alone(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The number must be unique, with and without leading zeros."""
    anna, ben = await create_member(ts, "M1", "Smith"), await create_member(ts, "7", "Jones")
    await create_member(ts, "007", "Bond")
    file.write_text("membership_identifier,telephone\nM1,01632 960001\n7,01632 960002\n")

    _, (unsure, found) = await import_(file, "--match", "membership", box=box)

    assert (found["outcome"], found["id"]) == ("would update", anna)
    assert f"its membership number may be that of {ben}, " in unsure["reason"]


@pytest.mark.parametrize(
    ("stored", "cell"),
    [
        ("1E5", "100000"),
        ("3/4", "0.75"),
        ("3/4", "46115"),
        ("MAR1", "46082"),
        ("12345", "12,345"),
        ("12345", "12 345"),
        ("12345", "12.345"),
        ("AB-123", "ab 123"),
        ("AB-123", "AB\u2011123"),
        ("AB-123", "AB123"),
        ("AB 123", "AB/123"),
        ("1234567890123456", "1234567890123450"),
        ("5", "-5"),
    ],
)
async def test_a_damaged_number_creates_no_second_member(
    box: Sandbox, ts: TicketSource, file: Path, stored: str, cell: str
) -> None:
    """A member with the number in another form, and with the same surname or none, is the same person."""
    zoe, nameless = await create_member(ts, stored, "Smith"), await create_member(ts, f"{stored}", "")
    file.write_text(f'membership_identifier,last_name\n"{cell}",SMITH\n"{cell}",Other\n', "utf-8")

    _, outcomes = await import_(file, "--match", "membership", "--apply", box=box)

    reason = f"its membership number looks like {stored!r} of {{}} in another form: write it as stored"
    assert [o["reason"] for o in outcomes] == [reason.format(zoe), reason.format(nameless)]
    assert writes(box) == ["POST"] * 2


@pytest.mark.parametrize("cell", ["01-Mar", "2026-03-01", "01/03/2026", "Mar-26", "03-Apr", "10:30"])
async def test_a_day_is_refused_as_a_membership_number(box: Sandbox, file: Path, cell: str) -> None:
    """A spreadsheet has converted MAR1 or 3/4."""
    file.write_text(f"membership_identifier,last_name,email\n{cell},Smith,new@example.com\n")

    for match in ("membership", "email"):
        _, (outcome,) = await import_(file, "--match", match, box=box)

        assert f"membership_identifier is {cell!r}, a day or a time" in outcome["reason"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["009,Smith,,", "9,Smith,,"], "the same membership number and surname"),
        (["AB-9,Smith,,", "ab 9,SMITH,,"], "almost the same membership number and the same surname"),
        (["9,Smith,,a@example.com", "10,Smith,,A@Example.com"], "the same email and name"),
        (["9,Smith,Al,a@example.com", "10,Smith,AL,A@Example.com"], "the same email and name"),
        (["9,Smith,Al,a@example.com", "10,Smith,,A@Example.com"], "the same email and name"),
        (["9,Smith,Al,a@example.com", "10,Smith,Bea,a@example.com"], None),
        (["9,Smith,,a@example.com", "9,Jones,,a@example.com"], None),
    ],
)
async def test_a_file_creates_no_person_twice(box: Sandbox, file: Path, rows: list[str], reason: str | None) -> None:
    """Relatives who share an e-mail or a number have different names."""
    file.write_text("\n".join(["membership_identifier,last_name,first_name,email", *rows]))

    _, outcomes = await import_(file, "--match", "membership", box=box)

    expected = ["row 3 has", "row 2 has"] if reason else [None, None]
    assert [o.get("reason") for o in outcomes] == [said and f"{said} {reason}" for said in expected]


async def test_a_new_member_who_exists_without_a_number_is_refused(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """The e-mail and the surname are the same. A relative with the same e-mail is created."""
    zoe = await create_member(ts, None, "Jones", email="family@example.com")
    file.write_text("member id,last_name,email\n1,Jones,FAMILY@example.com\n2,Smith,family@example.com\n")

    _, outcomes = await import_(file, "--match", "membership", box=box)

    assert outcomes[0]["reason"] == f"{zoe} has this email and surname, but not this membership number"
    assert outcomes[1]["outcome"] == "would create"


async def test_an_unreadable_customer_stops_only_rows_that_may_create_them_again(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """Known customers are updated. No customer is created who may exist already."""
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
