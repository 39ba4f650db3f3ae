"""The import of customers from a CSV."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from command import EXPORT, Done, run
from doubles import until

from ticketsource_async import Consent, ConsentDraft, CustomerDraft, TicketSource
from ticketsource_async.sandbox import Sandbox


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


async def import_(file: Path, *options: str, box: Sandbox) -> tuple[Done, list[dict[str, Any]]]:
    """Import a file, and return what each line came to as well."""
    done = await run("customers", "import", str(file), *options, box=box)
    return done, [json.loads(line) for line in done.out.splitlines()]


def writes(box: Sandbox) -> list[str]:
    """Return the methods of the requests that write."""
    return [request.method for request in box.requests if request.method != "GET"]


@pytest.mark.parametrize("match", ["id", "email"])
async def test_what_was_exported_is_imported_unchanged(many: Sandbox, file: Path, match: str) -> None:
    """Accents, line breaks, defused formulas and empty cells of an export say nothing new."""
    await run(*EXPORT, "--excel", "--limit", "200", "-o", str(file), box=many)  # more would wait for the rate limit

    done, outcomes = await import_(file, "--match", match, "--apply", box=many)

    reasons = {outcome.get("reason", outcome["outcome"]) for outcome in outcomes}
    assert reasons <= {"unchanged", "it has no email, by which to find the customer"}
    assert len(outcomes) == 200
    assert ("unchanged" if match == "id" else "refused") in done.err
    assert writes(many) == []


async def test_a_dry_run_says_what_would_be_done_and_the_same_lines_then_do_it(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """Whoever is found is updated in what differs, who is not is created, and a second run finds nothing to do."""
    zoe = await ts.customers.create(CustomerDraft(email="Zoe@example.com", last_name="Old"))
    box.requests.clear()
    file.write_text(
        "email,last_name,address_line_1,consent_post,telephone\n"
        'zoe@example.com,\'=New,"1 High Street,\nFlat 2",,\n'
        "karl@example.com,Jenkins,,TRUE,+447700900001\n"
    )

    dry, would = await import_(file, "--match", "email", box=box)
    assert writes(box) == []
    applied, done = await import_(file, "--match", "email", "--apply", box=box)
    assert writes(box) == ["PATCH", "POST"]
    again, nothing = await import_(file, "--match", "email", "--apply", box=box)

    changes = {"last_name": ["Old", "=New"], "address_line_1": [None, "1 High Street,\nFlat 2"]}
    values = {"email": "karl@example.com", "last_name": "Jenkins", "consent_post": True, "telephone": "+447700900001"}
    assert would == [
        {"line": 2, "outcome": "would update", "id": zoe.id, "changes": changes},
        {"line": 4, "outcome": "would create", "values": values},
    ]
    assert (dry.code, dry.err) == (0, "1 would update, 1 would create. Nothing was written: --apply writes.\n")
    assert done[0] == {"line": 2, "outcome": "updated", "id": zoe.id, "changes": changes}
    assert (applied.code, applied.err) == (0, "1 updated, 1 created.\n")
    karl = await ts.customers.get(done[1]["id"])
    assert (karl.telephone, karl.consent and karl.consent.post) == ("+447700900001", True)
    saved = await ts.customers.get(zoe)
    assert (saved.last_name, saved.email) == ("=New", "Zoe@example.com")
    assert [outcome["outcome"] for outcome in nothing] == ["unchanged", "unchanged"]
    assert again.err == "2 unchanged.\n"


@pytest.mark.parametrize(
    ("match", "row", "reason"),
    [
        ("email", "twice@example.com,,", "2 customers have this email: cst-"),
        ("email", ",,x", "it has no email, by which to find the customer"),
        ("email", "new@example.com,cst-1,x", "its id is cst-1, but its email is of nobody"),
        ("email", "x@example.com,,x,y", "it has 1 cells too many"),
        ("email", "x@example.com", "it has 2 cells too few"),
        ("id", "x@example.com,,x", "it has no id, by which to find the customer"),
        ("id", "x@example.com,cst-nobody,x", "there is no customer with this id"),
        ("id", "x@example.com,booking 7,x", "there is no customer with this id"),
    ],
)
async def test_a_line_that_is_not_certain_is_refused_and_the_others_are_not(
    box: Sandbox, ts: TicketSource, file: Path, match: str, row: str, reason: str
) -> None:
    """The reason is told, the exit code is 1, and the line beside it is written."""
    for _ in range(2):
        await ts.customers.create(CustomerDraft(email="Twice@example.com"))
    good = await ts.customers.create(CustomerDraft(email="good@example.com"))
    file.write_text(f"email,id,last_name\n{row}\ngood@example.com,{good.id},Good\n")

    done, (refused, other) = await import_(file, "--match", match, "--apply", box=box)

    assert done.code == 1
    assert (refused["line"], refused["outcome"]) == (2, "refused")
    assert reason in refused["reason"]
    assert (other["outcome"], other["id"]) == ("updated", good.id)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("consent_email", "yes"),
        ("consent_email", "1"),
        ("membership_end_date", "31/01/2026"),
        ("membership_start_date", "2026-02-30"),
    ],
)
async def test_a_cell_that_its_column_does_not_take_refuses_its_line(
    box: Sandbox, file: Path, column: str, cell: str
) -> None:
    """Nothing is guessed: yes, 1 and a day in another order are refused, with column and cell."""
    file.write_text(f"email,{column}\nnew@example.com,{cell}\n")

    done, (refused,) = await import_(file, "--match", "email", "--apply", box=box)

    assert (done.code, refused["outcome"]) == (1, "refused")
    assert column in refused["reason"]
    assert cell in refused["reason"]
    assert writes(box) == []


async def test_two_lines_for_one_customer_are_both_refused(box: Sandbox, file: Path) -> None:
    """Which one counts is not guessed; small and capital letters make no two people."""
    file.write_text("email,last_name\nnew@example.com,One\n\nNEW@example.com,Two\n")

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)

    assert [(o["line"], o["reason"]) for o in outcomes] == [
        (2, "line 4 has the same email"),
        (4, "line 2 has the same email"),
    ]
    assert done.code == 1
    assert not box.requests


async def test_a_file_gives_no_consent_that_may_have_been_withdrawn(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """A yes over a no is refused unless told otherwise; a no over a yes is a withdrawal, and written."""
    consent = ConsentDraft(email=False, post=True)
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=consent))
    file.write_text("email,consent_email,consent_post\nzoe@example.com,true,\n")
    refused, (told,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text("email,consent_email,consent_post\nzoe@example.com,,false\n")
    _, (withdrawn,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text("email,consent_email,consent_post\nzoe@example.com,true,\n")
    _, (given,) = await import_(file, "--match", "email", "--apply", "--give-consent", box=box)

    assert (refused.code, told["outcome"], told["id"]) == (1, "refused", zoe.id)
    assert told["reason"] == "the customer does not give consent_email; --give-consent lets a line do so"
    assert withdrawn["changes"] == {"consent_post": [True, False]}
    assert given["changes"] == {"consent_email": [False, True]}
    now = await ts.customers.get(zoe)
    assert now.consent == Consent(email=True, post=False, sms=False)


async def test_a_withdrawal_since_the_list_was_read_is_not_undone(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """Consents are sent whole, so those that the line does not name are sent as they are at that moment."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=ConsentDraft(email=True, post=True)))
    file.write_text("email,consent_post\nzoe@example.com,false\n")
    box.requests.clear()
    box.fail(path=f"/customers/{zoe.id}", status=429, headers={"Retry-After": "0"})
    importing = asyncio.create_task(import_(file, "--match", "email", "--apply", box=box))
    await until(lambda: any(request.path == f"/customers/{zoe.id}" for request in box.requests))
    box.customers.update(zoe.id, {"consent": {"email": False}})
    _, (outcome,) = await importing

    assert outcome["outcome"] == "updated"
    now = await ts.customers.get(zoe)
    assert now.consent == Consent(email=False, post=False, sms=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"email;last_name\n", "no column 'email;last_name' in an export"),
        (b"email,lastname\n", "no column 'lastname'"),
        (b"email,email\n", "'email' is there twice"),
        (b"last_name\n", "no column 'email', which --match email needs"),
        (b"", "no column 'email'"),
        (b"email\n\xe9\n", "is not in UTF-8"),
        (b'email\n"x"y\n', "is not a CSV"),
    ],
)
async def test_a_file_that_is_no_export_is_wrong_use(box: Sandbox, file: Path, content: bytes, said: str) -> None:
    """It ends with 2 before anything is asked for."""
    file.write_bytes(content)

    done = await run("customers", "import", str(file), "--match", "email", box=box)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not box.requests


async def test_what_the_api_refuses_is_told_and_the_rest_goes_on(box: Sandbox, file: Path) -> None:
    """Its reason is in the line; a create whose answer got lost is unknown, and found by the next run."""
    file.write_text("email,last_name\nnot an address,X\nlost@example.com,Lost\nnew@example.com,New\n")
    box.fail(method="POST", after=1, cut="after_write")

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)
    again, later = await import_(file, "--match", "email", "--apply", "--quiet", box=box)

    assert [outcome["outcome"] for outcome in outcomes] == ["refused", "unknown", "created"]
    assert "must be a valid email" in outcomes[0]["reason"]
    assert "Look at the record" in outcomes[1]["reason"]
    assert done.code == 1
    assert [outcome["outcome"] for outcome in later] == ["refused", "unchanged", "unchanged"]
    assert again.err == ""


async def test_a_failure_ends_the_import_and_the_next_run_goes_on(box: Sandbox, file: Path) -> None:
    """Lines before it are written and told; it ends with the code of the failure."""
    file.write_text("email\none@example.com\ntwo@example.com\n")
    box.fail(method="POST", after=1, status=401)

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)
    _, later = await import_(file, "--match", "email", "--apply", box=box)

    assert done.code == 4
    assert [outcome["outcome"] for outcome in outcomes] == ["created"]
    assert "run it again" in done.err.lower()
    assert [outcome["outcome"] for outcome in later] == ["unchanged", "created"]


async def test_people_who_are_hidden_by_a_deletion_are_not_created_again(file: Path) -> None:
    """The list is read until nobody is missed."""
    async with Sandbox(customers=250, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        hidden = next(c for c in (await ts.customers.list().collect())[100:105] if c.email)
        file.write_text(f"email\n{hidden.email}\n")
        box.fail(page=2, delete=5)

        _, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    assert outcome == {"line": 2, "outcome": "unchanged", "id": hidden.id}
