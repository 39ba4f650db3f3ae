"""The import of customers from a CSV."""

import asyncio
import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from command import EXPORT, run, run_with_streams, start
from importing import import_, writes
from loops import until

from ticketsource_async import Consent, ConsentDraft, CustomerDraft, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.tables import draft_of


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


@pytest.mark.parametrize("match", ["id", "email"])
async def test_an_export_is_imported_unchanged(many: Sandbox, file: Path, match: str) -> None:
    """Accents, line breaks, escaped formulas and empty cells of an export are no changes."""
    await run(*EXPORT, "--excel", "--limit", "200", "-o", str(file), box=many)  # more would wait for the rate limit

    done, outcomes = await import_(file, "--match", match, "--apply", box=many)

    reasons = {outcome.get("reason", outcome["outcome"]) for outcome in outcomes}
    assert reasons <= {"unchanged", "it has no email, and --match email needs it"}
    assert len(outcomes) == 200
    assert ("unchanged" if match == "id" else "refused") in done.err
    assert writes(many) == []


async def test_a_dry_run_announces_what_the_import_then_does(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """A known customer is updated, an unknown one is created, and a second run has nothing to do."""
    zoe = await ts.customers.create(CustomerDraft(email="Zoe@example.com", last_name="Old"))
    box.requests.clear()
    file.write_text(
        "email,last_name,address_line_1,consent_post,telephone\n"
        'zoe@example.com,\'=New,"1 High Street,\nFlat 2", ,\n'
        "\u00a0karl@example.com ,Jenkins,\u00a0,TRUE,+447700900001\n"
        ",,,,\n"
    )
    how = ("--match", "email", "--give-consent")

    dry, would = await import_(file, *how, box=box)
    assert writes(box) == []
    applied, done = await import_(file, *how, "--apply", box=box)
    assert writes(box) == ["POST", "PATCH"]  # new customers first
    again, nothing = await import_(file, *how, "--apply", box=box)

    changes = {"last_name": ["Old", "=New"], "address_line_1": [None, "1 High Street,\nFlat 2"]}
    values = {"email": "karl@example.com", "last_name": "Jenkins", "consent_post": True, "telephone": "+447700900001"}
    assert would == [
        {"row": 3, "outcome": "would create", "values": values},
        {"row": 2, "outcome": "would update", "id": zoe.id, "changes": changes},
    ]
    assert dry.code == 0
    assert dry.err.splitlines() == [
        f'{file}: UTF-8, ","',
        "1 would create, 1 would update. Writing takes 3 requests. Nothing was written. To write, add --apply.",
        "Consents: 1 given (row 3), 0 withdrawn.",
    ]
    assert done[1] == {"row": 2, "outcome": "updated", "id": zoe.id, "changes": changes}
    assert (applied.code, applied.err.splitlines()[1]) == (0, "1 created, 1 updated.")
    karl = await ts.customers.get(done[0]["id"])
    assert karl.email == "karl@example.com"
    assert (karl.telephone, karl.consent and karl.consent.post) == ("+447700900001", True)
    saved = await ts.customers.get(zoe)
    assert (saved.last_name, saved.email) == ("=New", "Zoe@example.com")
    assert [outcome["outcome"] for outcome in nothing] == ["unchanged", "unchanged"]
    assert again.err.splitlines()[1:] == ["2 unchanged."]


async def test_an_email_of_many_customers_is_refused_with_a_short_reason(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The reason names ten of them, and counts the others."""
    made = [await ts.customers.create(CustomerDraft(email="same@example.com")) for _ in range(13)]
    file.write_text("email,last_name\nsame@example.com,x\n")

    _, (refused,) = await import_(file, "--match", "email", box=box)

    ids = ", ".join(customer.id for customer in made[:10])
    assert refused["reason"] == f"13 customers have this email: {ids} and 3 more"


@pytest.mark.parametrize(
    ("match", "row", "reason"),
    [
        ("email", "twice@example.com,,", "2 customers have this email: cst-"),
        ("email", ",,x", "it has no email, and --match email needs it"),
        ("email", "new@example.com,cst-1,x", "its id is cst-1, but nobody has its email"),
        ("email", "x@example.com,,x,y", "it has 1 cell too many"),
        ("email", "x@example.com,,x,,y", "it has 1 cell too many"),
        ("id", "x@example.com,,x", "it has no id, and --match id needs it"),
        ("id", "x@example.com,cst-nobody,x", "there is no customer with this id"),
        ("id", "x@example.com,booking 7,x", "there is no customer with this id"),
    ],
)
async def test_an_uncertain_row_is_refused_and_the_others_are_written(
    box: Sandbox, ts: TicketSource, file: Path, match: str, row: str, reason: str
) -> None:
    """The outcome gives the reason, and the exit code is 1."""
    for _ in range(2):
        await ts.customers.create(CustomerDraft(email="Twice@example.com"))
    good = await ts.customers.create(CustomerDraft(email="good@example.com"))
    file.write_text(f"email,id,last_name\n{row}\ngood@example.com,{good.id},Good\n")

    done, (refused, other) = await import_(file, "--match", match, "--apply", box=box)

    assert done.code == 1
    assert (refused["row"], refused["outcome"]) == (2, "refused")
    assert reason in refused["reason"]
    assert (other["outcome"], other["id"]) == ("updated", good.id)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("consent_email", "y"),
        ("consent_email", "2"),
        ("consent_email", "1.0"),
        ("membership_end_date", "31/01/2026"),
        ("membership_start_date", "2026-02-30"),
        ("telephone", "4.47701E+11"),
        ("membership_identifier", "1.2E+15"),
        ("updated_at", "01/02/2026 09:30"),
        ("updated_at", "2026-02-01T09:30:00"),
    ],
)
async def test_an_invalid_cell_refuses_its_row(box: Sandbox, file: Path, column: str, cell: str) -> None:
    """Nothing is guessed, such as the order of a day. The reason names the column and the cell."""
    file.write_text(f"email,{column}\nnew@example.com,{cell}\n")

    done, (refused,) = await import_(file, "--match", "email", "--apply", box=box)

    assert (done.code, refused["outcome"]) == (1, "refused")
    assert column in refused["reason"]
    assert cell in refused["reason"]
    assert writes(box) == []


async def test_two_rows_for_one_customer_are_both_refused(box: Sandbox, file: Path) -> None:
    """It is not guessed which row counts. Capitals do not matter, and a row with a cell too many counts, too."""
    file.write_text("email,last_name\nnew@example.com,One\n\nNEW@example.com,Two\nNew@example.com,Three,x\n")

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)

    assert [(o["row"], o["reason"]) for o in outcomes] == [
        (2, "rows 4, 5 have the same email"),
        (4, "rows 2, 5 have the same email"),
        (5, "it has 1 cell too many; rows 2, 4 have the same email"),
    ]
    assert done.code == 1
    assert not box.requests


async def test_a_consent_is_given_only_with_the_option(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """A no may be a withdrawal, so a yes needs `--give-consent`. A no is always written."""
    consent = ConsentDraft(email=False, post=True)
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=consent))
    file.write_text("email,consent_email,consent_post\nzoe@example.com,true,\n")
    refused, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text("email,consent_email,consent_post\nzoe@example.com,,false\n")
    _, (withdrawn,) = await import_(file, "--match", "email", "--apply", box=box)
    file.write_text("email,consent_email,consent_post\nzoe@example.com,true,\n")
    _, (given,) = await import_(file, "--match", "email", "--apply", "--give-consent", box=box)

    file.write_text("email,consent_sms\nnew@example.com,true\n")
    _, (new,) = await import_(file, "--match", "email", "--apply", box=box)

    assert (new["outcome"], new["reason"]) == (
        "refused",
        "it sets consent_sms to yes for a new customer: that needs --give-consent",
    )
    assert (refused.code, outcome["outcome"], outcome["id"]) == (1, "refused", zoe.id)
    assert (
        outcome["reason"] == "it sets consent_email to yes, which the customer has not given: that needs --give-consent"
    )
    assert withdrawn["changes"] == {"consent_post": [True, False]}
    assert given["changes"] == {"consent_email": [False, True]}
    now = await ts.customers.get(zoe)
    assert now.consent == Consent(email=True, post=False, sms=False)


@pytest.mark.parametrize("while_waiting", ["GET", "PATCH"])
@pytest.mark.parametrize("command", ["import", "update"])
async def test_a_withdrawal_during_the_command_is_not_undone(
    box: Sandbox, ts: TicketSource, file: Path, command: str, while_waiting: str
) -> None:
    """An update does not send a consent that the user did not give, even if it waits for a long time."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=ConsentDraft(email=True, post=True)))
    file.write_text("email,consent_post\nzoe@example.com,false\n")
    box.requests.clear()
    box.fail(method=while_waiting, path=f"/customers/{zoe.id}", status=429, headers={"Retry-After": "0"})
    writing = asyncio.create_task(
        run("customers", "import", str(file), "--match", "email", "--apply", box=box)
        if command == "import"
        else run("customers", "update", zoe.id, "--consent-post", "false", box=box)
    )
    await until(lambda: any((r.method, r.path) == (while_waiting, f"/customers/{zoe.id}") for r in box.requests))
    box.customers.update(zoe.id, {"consent": {"email": False}})
    done = await writing

    assert done.code == 0
    now = await ts.customers.get(zoe)
    assert now.consent == Consent(email=False, post=False, sms=False)
    if (command, while_waiting) == ("import", "PATCH"):
        changes = {"consent_email": [True, False], "consent_post": [True, False]}
        assert json.loads(done.out)["changes"] == changes


@pytest.mark.parametrize("match", ["id", "email"])
async def test_a_row_exported_before_the_first_change_of_its_customer_is_refused(
    box: Sandbox, ts: TicketSource, file: Path, match: str
) -> None:
    """An empty updated_at in an export means "never changed". A file that the user wrote need not have it."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    await run(*EXPORT, "-o", str(file), box=box)
    (header, *_, exported) = file.read_text("utf-8").splitlines()
    await ts.customers.update(zoe, CustomerDraft(last_name="Married"))
    file.write_text(f"{header}\n{exported.replace('Old', 'Older')}\n")
    done, (old,) = await import_(file, "--match", match, "--apply", box=box)
    file.write_text("email,first_name,updated_at\nzoe@example.com,Zoë,\n")
    _, (own,) = await import_(file, "--match", "email", "--apply", box=box)

    assert (done.code, old["outcome"]) == (1, "refused")
    assert "was changed in TicketSource" in old["reason"]
    assert own["outcome"] == "updated"


@pytest.mark.parametrize("nested", ["merge", "replace"])
async def test_a_change_of_the_other_consents_by_the_api_is_reported(
    file: Path, nested: Literal["merge", "replace"]
) -> None:
    """An unchanged yes is not sent. If the API clears it then, the outcome says so."""
    async with (
        Sandbox(customers=0, nested=nested, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        consent = ConsentDraft(email=True, post=True, sms=False)
        await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=consent))
        file.write_text("email,consent_post\nzoe@example.com,false\n")
        _, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    lost = {"consent_email": [True, False]} if nested == "replace" else {}
    assert outcome["changes"] == {**lost, "consent_post": [True, False]}


async def test_a_value_that_the_api_ignores_is_not_reported_as_updated(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """A withdrawal that the API ignored must not look done."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", consent=ConsentDraft(email=True)))
    file.write_text("email,last_name,consent_email\nzoe@example.com,New,false\n")
    box.fail(method="PATCH", status=200, body=json.dumps({"data": box.customers.get(zoe.id)}))

    done, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    assert (done.code, outcome["outcome"], outcome["changes"]) == (1, "unknown", {})
    assert outcome["reason"] == "the API did not take last_name and consent_email"


async def test_a_row_exported_before_a_change_of_its_customer_is_refused(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """A row with an old updated_at would restore old values."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    zoe = await ts.customers.update(zoe, CustomerDraft(first_name="Zoë"))
    assert zoe.updated_at is not None
    header = "id,last_name,updated_at\n"
    file.write_text(f"{header}{zoe.id},New,{zoe.updated_at - timedelta(hours=1)}\n")
    refused, (old,) = await import_(file, "--match", "id", "--apply", box=box)
    assert writes(box) == ["POST", "PATCH"]
    file.write_text(f"{header}{zoe.id},New,{zoe.updated_at.isoformat()}\n")
    _, (fresh,) = await import_(file, "--match", "id", "--apply", box=box)
    _, (again,) = await import_(file, "--match", "id", "--apply", box=box)

    assert (refused.code, old["outcome"]) == (1, "refused")
    assert old["reason"] == (
        f"the customer was changed in TicketSource ({zoe.updated_at:%Y-%m-%d %H:%M} UTC) after this file was exported: "
        "make a new export, correct the customer there, and import that file"
    )
    assert (fresh["outcome"], fresh["changes"]) == ("updated", {"last_name": ["Old", "New"]})
    assert again["outcome"] == "unchanged"


async def test_an_export_without_updated_at_brings_a_warning(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """Its rows could replace newer values. A file without ids is no export, and has no such column."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    file.write_text(f"id,last_name\n{zoe.id},New\n")
    unsafe, _ = await import_(file, "--match", "id", "--quiet", box=box)
    file.write_text(f"id,last_name,updated_at\n{zoe.id},New,\n")
    safe, _ = await import_(file, "--match", "id", "--quiet", box=box)
    file.write_text("email,last_name\nzoe@example.com,New\n")
    own, _ = await import_(file, "--match", "email", "--quiet", box=box)

    assert unsafe.err == (
        "Without a column updated_at, the command cannot see who was changed in TicketSource after the export.\n"
    )
    assert (safe.err, own.err) == ("", "")


async def test_corrections_are_undone_from_a_new_export_or_without_updated_at(
    box: Sandbox, ts: TicketSource, tmp_path: Path
) -> None:
    """The old export itself is refused, since the import has changed the customers."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com", last_name="Old"))
    names = ("people.csv", "corrected.csv", "again.csv", "old.csv")
    exported, corrected, again, undated = (tmp_path / name for name in names)
    how = ("--match", "id", "--apply")
    await run(*EXPORT, "-o", str(exported), box=box)
    corrected.write_text(exported.read_text("utf-8").replace(",Old,", ",New,"), "utf-8")
    await import_(corrected, *how, box=box)

    kept, refused = await import_(exported, *how, box=box)
    await run(*EXPORT, "-o", str(again), box=box)
    again.write_text(again.read_text("utf-8").replace(",New,", ",Old,"), "utf-8")
    _, undone = await import_(again, *how, box=box)
    await ts.customers.update(zoe, CustomerDraft(last_name="New"))
    undated.write_text(exported.read_text("utf-8").replace("updated_at", "exported"), "utf-8")
    unsafe, overwritten = await import_(undated, *how, "--ignore-unknown", box=box)

    assert kept.code == 1
    for rows, outcome in ((refused, "refused"), (undone, "updated"), (overwritten, "updated")):
        assert [(row["id"], row["outcome"]) for row in rows if row["outcome"] != "unchanged"] == [(zoe.id, outcome)]
    assert "Without a column updated_at" in unsafe.err
    assert (await ts.customers.get(zoe)).last_name == "Old"


@pytest.mark.parametrize(
    ("column", "before", "cell"),
    [
        ("telephone", "+447700900001", "447700900001"),
        ("telephone", "07700 900001", "7700900001"),
        ("telephone", "+44 1632 960001", "441632960001.0"),
        ("telephone", "+441632960001", "4.41633E+11"),
        ("address_postcode", "01067", "1067"),
        ("membership_identifier", "0000", "0"),
    ],
)
async def test_a_cell_that_became_a_number_is_ignored_and_its_row_is_written(
    box: Sandbox, ts: TicketSource, file: Path, column: str, before: str, cell: str
) -> None:
    """A plus or a zero that a spreadsheet dropped stays stored. Corrections in the row are written."""
    zoe = await ts.customers.create(draft_of({column: before, "last_name": "Smth"}))
    file.write_text(f'id,last_name,{column}\n{zoe.id},Smith,"{cell}"\n')
    done, (outcome,) = await import_(file, "--match", "id", "--apply", box=box)
    _, (again,) = await import_(file, "--match", "id", "--apply", box=box)
    file.write_text(f"id,{column}\n{zoe.id},01632 960\n")
    _, (other,) = await import_(file, "--match", "id", "--apply", box=box)

    assert (done.code, outcome["outcome"], outcome["as_stored"]) == (0, "updated", [column])
    assert outcome["changes"] == {"last_name": ["Smth", "Smith"]}
    assert f"A spreadsheet has turned cells into numbers. The stored values stay: 1 in {column}.\n" in done.err
    assert (again["outcome"], again["as_stored"]) == ("unchanged", [column])
    assert other["changes"] == {column: [before, "01632 960"]}


@pytest.mark.parametrize("theirs", ["strasse@example.com", "\u212aarl@example.com"])
async def test_only_ascii_letters_are_compared_without_capitals(
    box: Sandbox, ts: TicketSource, file: Path, theirs: str
) -> None:
    """Python would treat ß as ss and the Kelvin sign as k, but these are different e-mails."""
    row = {"data": [{"id": "cst-1", "type": "customer", "attributes": {"email": theirs}}], "links": {}}
    box.fail(page=1, status=200, body=json.dumps(row))
    file.write_text(f"email\n{theirs.replace('ss', 'ß').replace(chr(0x212A), 'k')}\n")

    _, (outcome,) = await import_(file, "--match", "email", box=box)

    assert outcome["outcome"] == "would create"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"email,nickname\n", "- 'nickname' is not known."),
        (b"email,email\n", "- 'email' and 'email' both mean email"),
        (b"last_name\n", "The file has no column 'email', and --match email needs it."),
        (b"", "has no rows"),
        (b"email\nx\x81\n", "line 2 has the byte 81"),
        (b'email\n"x"y\n', "cannot be read as CSV: row 2"),
    ],
)
async def test_an_unusable_file_is_wrong_use(box: Sandbox, file: Path, content: bytes, said: str) -> None:
    """The exit code is 2, and no request is made."""
    file.write_bytes(content)

    done = await run("customers", "import", str(file), "--match", "email", box=box)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not box.requests


async def test_a_row_that_the_api_refuses_is_reported_and_the_others_are_written(box: Sandbox, file: Path) -> None:
    """The outcome has the API's reason. A create whose answer was lost is unknown, and the next run finds it."""
    file.write_text("email,last_name\nx@example.com,X\nlost@example.com,Lost\nnew@example.com,New\n")
    body = json.dumps({"errors": [{"code": "validation_failed", "detail": "The email must be a valid email address."}]})
    box.fail(method="POST", status=400, body=body)
    box.fail(method="POST", cut="after_write")

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)
    box.fail(method="POST", status=400, body=body)
    again, later = await import_(file, "--match", "email", "--apply", "--quiet", box=box)

    assert [outcome["outcome"] for outcome in outcomes] == ["refused", "unknown", "created"]
    assert "must be a valid email" in outcomes[0]["reason"]
    assert "Look for the new record" in outcomes[1]["reason"]
    assert done.code == 1
    assert [outcome["outcome"] for outcome in later] == ["refused", "unchanged", "unchanged"]
    assert again.err == ""


async def test_a_failure_ends_the_import_and_the_next_run_continues(box: Sandbox, file: Path) -> None:
    """The rows before it are written and reported. The output says at which row the import ended."""
    file.write_text("email\none@example.com\ntwo@example.com\n")
    box.fail(method="POST", after=1, status=401)

    done, outcomes = await import_(file, "--match", "email", "--apply", box=box)
    _, later = await import_(file, "--match", "email", "--apply", box=box)

    assert done.code == 4
    assert [outcome["outcome"] for outcome in outcomes] == ["created"]
    assert "\nThe import ended at row 3: run it again to go on.\nticketsource: POST /customers " in done.err
    assert [(outcome["row"], outcome["outcome"]) for outcome in later] == [(3, "created"), (2, "unchanged")]


@pytest.mark.parametrize("how", ["closed pipe", "SIGINT", "SIGTERM"])
async def test_an_import_that_is_interrupted_says_at_which_row(box: Sandbox, file: Path, how: str) -> None:
    """The exit code is not 0, so an incomplete import does not look complete."""
    file.write_text("email\none@example.com\ntwo@example.com\nthree@example.com\n")
    box.fail(method="POST", after=1, slow=0.4 if how == "closed pipe" else 60)
    process = await start("customers", "import", str(file), "--match", "email", "--apply", box=box)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    await until(lambda: writes(box) == ["POST"] * 2)
    if how == "closed pipe":
        process.stdout._transport.close()  # type: ignore[attr-defined]  # as a reader that dies
    else:
        process.send_signal(signal.Signals[how])
    err = (await process.stderr.read()).decode()

    assert await process.wait() == {"closed pipe": 1, "SIGINT": 130, "SIGTERM": 143}[how]
    first = "" if how == "closed pipe" else "wait a minute, since TicketSource may still be at work on that row, then "
    assert f"The import ended at row 3: {first}run it again to go on.\n" in err
    assert "Traceback" not in err


async def test_a_row_for_a_customer_who_cannot_be_read_is_refused(box: Sandbox, ts: TicketSource, file: Path) -> None:
    """The other rows are written. Nothing was sent, so the outcome is not unknown."""
    odd, zoe = [(await ts.customers.create(CustomerDraft(last_name=name))).id for name in ("Odd", "Zoë")]
    box.fail(method="GET", path=f"/customers/{odd}", status=200, body='{"data": {"id": 7}}')
    file.write_text(f"id,last_name\n{odd},New\n{zoe},New\n")

    done, (outcome, other) = await import_(file, "--match", "id", "--apply", box=box)

    assert (done.code, outcome["outcome"], other["outcome"]) == (1, "refused", "updated")
    assert "$.data.attributes" in outcome["reason"]


async def test_a_customer_whose_email_changed_meanwhile_is_not_updated(
    box: Sandbox, ts: TicketSource, file: Path
) -> None:
    """The customer was found by an e-mail that is another when the row is written."""
    zoe = await ts.customers.create(CustomerDraft(email="zoe@example.com"))
    file.write_text("email,last_name\nzoe@example.com,New\n")
    box.requests.clear()
    box.fail(method="GET", path=f"/customers/{zoe.id}", status=429, headers={"Retry-After": "0"})
    importing = asyncio.create_task(import_(file, "--match", "email", "--apply", box=box))
    await until(lambda: any(request.path == f"/customers/{zoe.id}" for request in box.requests))
    box.customers.update(zoe.id, {"email": "moved@example.com"})

    _, (outcome,) = await importing

    assert (outcome["outcome"], outcome["reason"]) == ("refused", "the customer has another email now")
    assert writes(box) == []


async def test_for_a_list_that_changes_too_fast_the_exit_code_means_try_again_later(file: Path) -> None:
    """While each reading finds new customers, the customer of the row may exist already."""
    async with Sandbox(customers=300, rate_limit=None) as box:
        file.write_text("email\nnew@example.com\n")
        box.fail(path="/customers", times=None, insert=1)

        done, outcomes = await import_(file, "--match", "email", "--apply", box=box)

    assert (done.code, outcomes) == (75, [])
    assert "changes too fast" in done.err
    assert writes(box) == []


EMPTY = json.dumps({"data": [], "links": {}, "meta": {}})


@pytest.mark.parametrize(("times", "is_said"), [(None, "is still empty"), (2, "has other customers")])
async def test_a_list_that_is_wrongly_empty_ends_the_import_after_one_new_customer(
    box: Sandbox, ts: TicketSource, file: Path, times: int | None, is_said: str
) -> None:
    """Otherwise the import would create everybody a second time. The dry run has a warning."""
    for name in ("ann", "zoe"):
        await ts.customers.create(CustomerDraft(email=f"{name}@example.com"))
    file.write_text("email\nann@example.com\nzoe@example.com\n")
    box.requests.clear()
    box.fail(path="/customers", method="GET", status=200, body=EMPTY, times=2)
    dry, _ = await import_(file, "--match", "email", "--quiet", box=box)
    box.fail(path="/customers", method="GET", status=200, body=EMPTY, times=times)
    done, outcomes = await import_(file, "--match", "email", "--quiet", "--apply", box=box)

    assert dry.err == (
        "The API lists no customer. If your box office has customers, do not add --apply: they would be created "
        "again.\n"
    )
    assert (done.code, [outcome["outcome"] for outcome in outcomes], writes(box)) == (75, ["created"], ["POST"])
    new = outcomes[0]["id"]
    assert done.err == (
        f"ticketsource: the list of customers was empty. After row 2 created {new}, it {is_said}. So the list cannot "
        "be trusted, and the import ended: the other rows could create customers a second time. If this person is in "
        f"TicketSource twice, delete {new}. Import again when `customers export` writes your customers.\n"
    )


async def test_an_empty_box_office_takes_all_rows(file: Path) -> None:
    """The list is read once more after the first new customer."""
    file.write_text("email\nann@example.com\nzoe@example.com\nkarl@example.com\n")
    async with Sandbox(customers=0, rate_limit=None) as box:
        done, _ = await import_(file, "--match", "email", "--apply", box=box)

        assert (done.code, writes(box)) == (0, ["POST"] * 3)
        assert [request.method for request in box.requests][-4:] == ["POST", "GET", "POST", "POST"]


async def test_an_option_keeps_the_quote_before_a_formula(box: Sandbox, file: Path) -> None:
    """If formulas were not escaped by the export, the quote is part of the name."""
    file.write_text("email,last_name\nnew@example.com,'=x\n")

    _, (plain,) = await import_(file, "--match", "email", "--no-escape-formulas", box=box)

    assert plain["values"]["last_name"] == "'=x"


async def test_a_file_can_come_from_stdin(box: Sandbox, file: Path) -> None:
    """`-` is stdin. It may have a byte order mark. A closed stdin is wrong use."""
    file.write_text("email\nnew@example.com\n", "utf-8-sig")
    command = ("customers", "import", "-", "--match", "email")

    read = await run_with_streams(f"<{file}", *command, box=box)
    closed = await run_with_streams("<&-", *command, box=box)

    assert json.loads(read.out)["values"] == {"email": "new@example.com"}
    assert (closed.code, closed.out) == (2, "")
    assert "stdin is closed" in closed.err


async def test_customers_missing_from_the_list_are_not_created_again(file: Path) -> None:
    """A deletion moves rows to a page that was already read. So the list is read again."""
    async with Sandbox(customers=250, rate_limit=None) as box, TicketSource(box.api_key, base_url=box.url) as ts:
        hidden = next(c for c in (await ts.customers.list().collect())[100:105] if c.email)
        file.write_text(f"email\n{hidden.email}\n")
        box.fail(page=2, delete=5)

        _, (outcome,) = await import_(file, "--match", "email", "--apply", box=box)

    assert outcome == {"row": 2, "outcome": "unchanged", "id": hidden.id}


async def test_the_reason_names_a_few_of_many_rows_with_the_same_key(box: Sandbox, tmp_path: Path) -> None:
    """Otherwise the output would grow with the square of the number of rows."""
    file = tmp_path / "people.csv"
    file.write_text("email,last_name\n" + "zoe@example.com,New\n" * 3_000 + ",Nobody\n" * 3_000)

    done = await run("customers", "import", str(file), "--match", "email", box=box)

    reasons = [json.loads(line)["reason"] for line in done.out.splitlines()]
    assert done.code == 1
    assert len(reasons) == 6_000
    assert reasons[0] == "rows 3, 4, 5 and 2,996 more have the same email"
    assert reasons[-1] == "it has no email, and --match email needs it"
    assert len(done.out) < 1_000_000
