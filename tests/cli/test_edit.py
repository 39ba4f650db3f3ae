"""The commands that write one record."""

import json

import pytest
from command import run

from ticketsource_async.cli.edit import FIELDS
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import WRITABLE


@pytest.mark.parametrize("arguments", [("delete", "-y"), ("delete",), ("update", "--last-name", "X")])
async def test_for_an_e_mail_in_place_of_an_id_the_error_says_how_to_get_the_id(
    box: Sandbox, arguments: tuple[str, ...]
) -> None:
    """No request is made: several customers may have the e-mail."""
    done = await run("customers", arguments[0], "ann@example.com", *arguments[1:], box=box)

    assert (done.code, len(box.requests)) == (2, 0)
    assert "'ann@example.com' is not the id of a customer. Such an id begins with cst-. To find it, run " in done.err


@pytest.mark.parametrize("name", ["create", "update"])
async def test_the_help_explains_each_field(name: str) -> None:
    """One short sentence is enough."""
    done = await run("customers", name, "--help")

    shown = " ".join(done.out.split())
    assert FIELDS.keys() == WRITABLE.keys()
    assert all(f"--{column.replace('_', '-')} " in shown and text in shown for column, text in FIELDS.items())


async def test_an_update_that_the_api_ignores_is_a_failure(box: Sandbox) -> None:
    """The record is printed as it is now. The exit code is 1."""
    zoe = box.customers.ids()[0]
    box.customers.update(zoe, {"consent": {"email": True}})
    body = json.dumps({"data": box.customers.get(zoe)})
    box.fail(method="PATCH", status=200, body=body)

    done = await run("customers", "update", zoe, "--consent-email", "false", "--last-name", "New", box=box)

    assert (done.code, json.loads(done.out)["consent"]["email"]) == (1, True)
    assert done.err == "ticketsource: the API did not take last_name and consent_email.\n"


async def test_a_customer_is_created_updated_and_deleted(box: Sandbox) -> None:
    """Fields are options. An update sends the given fields, and an empty text clears one. A deletion asks first."""
    created = await run(
        *("customers", "create", "--first-name", "Zoë", "--telephone", "01632 960001", "--address-line-1", "1 High St"),
        *("--consent-email", "true", "--membership-start-date", "2026-01-31"),
        box=box,
    )
    zoe = json.loads(created.out)
    updated = await run(
        *("customers", "update", zoe["id"], "--telephone", "", "--address-postcode", "LS1 1AA"),
        *("--consent-email", "false"),
        box=box,
    )
    same = await run("customers", "update", zoe["id"], "--first-name", "Zoë", box=box)
    asked = await run("customers", "delete", zoe["id"], box=box)
    deleted = await run("customers", "delete", zoe["id"], "--yes", box=box)
    gone = await run("customers", "get", zoe["id"], box=box)

    assert (zoe["first_name"], zoe["telephone"], zoe["consent"]["email"]) == ("Zoë", "01632 960001", True)
    assert zoe["membership"]["start_date"] == "2026-01-31"
    now = json.loads(updated.out)
    assert (now["telephone"], now["consent"]["email"], now["first_name"]) == (None, False, "Zoë")
    assert (now["address"]["line_1"], now["address"]["postcode"]) == ("1 High St", "LS1 1AA")
    assert json.loads(same.out) == now
    assert [r.method for r in box.requests] == ["POST", "GET", "PATCH", "GET", "GET", "DELETE", "GET"]
    assert asked.code == 1
    assert asked.err.startswith(f"Delete the customer Zoë ({zoe['id']}) for good?")
    assert (deleted.code, deleted.out, deleted.err) == (0, "", "")
    assert gone.code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create",), "give at least one field"),
        (("create", "--last-name", ""), "give at least one field"),
        (("create", "--consent-email", "yes"), "'yes' is not one of"),
        (("create", "--membership-end-date", "31/01/2026"), "must be a day such as 2026-01-31"),
        (("update", "cst-1"), "give at least one field"),
        (("update", "bkg-1", "--title", "x"), "is not the id of a customer. Such an id begins with cst-."),
        (("delete", "bkg-1", "--yes"), "is not the id of a customer. Such an id begins with cst-."),
        (("get", "bkg-1"), "is not the id of a customer. Such an id begins with cst-."),
        (("changes",), "Missing option '--store'"),
        (("create", "--last-name", "\udcff"), "it is not in UTF-8"),
        (("get", "cst-\udcff"), "it is not in UTF-8"),
    ],
)
async def test_invalid_arguments_are_wrong_use(box: Sandbox, arguments: tuple[str, ...], said: str) -> None:
    """The exit code is 2. The error says what is wrong, and nothing is sent."""
    done = await run("customers", *arguments, box=box)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not box.requests


async def test_a_note_is_added_and_deleted(box: Sandbox) -> None:
    """The note is printed as the API returns it. The deletion asks, except with `--yes`."""
    customer_id = box.customers.ids()[0]

    created = await run("notes", "create", customer_id, "Needs leg room", "--created-by", "Zoë", box=box)
    note = json.loads(created.out)
    asked = await run("notes", "delete", customer_id, note["id"], box=box)
    deleted = await run("notes", "delete", customer_id, note["id"], "-y", box=box)
    gone = await run("notes", "get", customer_id, note["id"], box=box)
    wrong = await run("notes", "create", "evt-1", "x", box=box)
    swapped = await run("notes", "delete", note["id"], customer_id, "--yes", box=box)

    assert (note["description"], note["created_by"]) == ("Needs leg room", "Zoë")
    assert asked.code == 1
    assert asked.err.startswith(f'Delete the note {note["id"]}, "Needs leg room", for good?')
    assert (deleted.code, deleted.out, deleted.err, gone.code) == (0, "", "", 1)
    assert wrong.code == 2
    assert "is not the id of a customer. Such an id begins with cst-." in wrong.err
    assert swapped.code == 2
    assert "is not the id of a customer or a note. Such an id begins with cst- or csn-." in swapped.err


@pytest.mark.parametrize(
    ("attributes", "asked"),
    [
        ({"first_name": None, "last_name": None, "email": "a@example.com"}, "a@example.com (ID)"),
        ({"first_name": None, "last_name": " ", "email": None}, "ID"),
        ({"first_name": "\x1b[2JAda", "last_name": "Ng"}, "\\x1b[2JAda Ng (ID)"),
    ],
)
async def test_the_question_names_a_customer_without_a_name_by_e_mail_or_id(
    box: Sandbox, attributes: dict[str, str | None], asked: str
) -> None:
    """It never has a control character."""
    ada = box.customers.ids()[0]
    box.customers.update(ada, attributes)

    done = await run("customers", "delete", ada, box=box)

    assert done.code == 1
    assert done.err.startswith(f"Delete the customer {asked.replace('ID', ada)} for good?")


async def test_the_question_about_a_long_note_shows_its_beginning(box: Sandbox) -> None:
    """It is one line, even if the note is one long word."""
    customer_id = box.customers.ids()[0]
    note = json.loads((await run("notes", "create", customer_id, "a\nb " + "x" * 90, box=box)).out)

    done = await run("notes", "delete", customer_id, note["id"], box=box)

    assert done.err.startswith(f'Delete the note {note["id"]}, "a b {"x" * 53}...", for good?')


async def test_a_deletion_of_an_unknown_customer_asks_no_question(box: Sandbox) -> None:
    """The exit code is 1."""
    done = await run("customers", "delete", "cst-nobody", box=box)

    assert done.code == 1
    assert "for good?" not in done.err
    assert "404" in done.err
