"""An unreadable value stops no command: its row is there, its cell is empty, and stderr names the record."""

import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from command import EXPORT, run, run_with_streams, table

from ticketsource_async import ConsentDraft, CustomerDraft, MembershipDraft, TicketSource
from ticketsource_async.sandbox import Sandbox

Change = Callable[[int, dict[str, Any]], None]


def answer_with(box: Sandbox, change: Change, *, times: int | None = None) -> list[dict[str, Any]]:
    """Let the list of customers have changed attributes, and return its rows."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(box.customers.rows(0, 100)))
    for number, row in enumerate(rows):
        change(number, row["attributes"])
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {}}), times=times)
    return rows


def odd_day(number: int, attributes: dict[str, Any]) -> None:
    """Write the day of the fourth customer in another form."""
    if number == 3:
        attributes["membership"] = {"identifier": "M", "start_date": "31.12.2020", "end_date": None}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n, a: a.update(address=[] if n == 4 else a["address"]), ""),
        (lambda n, a: a.update(membership={"start_date": "0000-00-00"} if n == 4 else None), ""),
        (lambda n, a: a.update(created_at=""), ""),
        (lambda n, a: a.update(telephone=1632960001 if n == 4 else None), ""),
        (
            lambda n, a: a.update(membership={"start_date": "31.12.2020"}),
            (
                "membership.start_date of 25 customers could not be read, so the cells are empty: ID0, ID1, ID2 and 22 "
                "more\n"
            ),
        ),
        (odd_day, "membership.start_date of 1 customer could not be read, so the cells are empty: ID3\n"),
        (
            lambda n, a: a.update(consent={"email": n % 2, "post": None, "sms": "1"}),
            "".join(
                f"consent.{way} of 25 customers could not be read, so the cells are empty: ID0, ID1, ID2 and 22 more\n"
                for way in ("email", "sms")
            ),
        ),
        (
            lambda n, a: a.update(first_name="\ud800" if n == 3 else "Zoë"),
            "first_name of 1 customer could not be read, so the cells are empty: ID3\n",
        ),
    ],
)
async def test_an_export_has_every_row_and_reports_empty_cells(
    box: Sandbox, tmp_path: Path, change: Change, said: str
) -> None:
    """The exit code is 0, or with `--strict` 1 if a value could not be read."""
    rows = answer_with(box, change)
    said = re.sub(r"ID(\d+)", lambda found: str(rows[int(found[1])]["id"]), said)
    target = tmp_path / "all.csv"

    done = await run(*EXPORT, "--quiet", "-o", str(target), box=box)
    strict = await run(*EXPORT, "--quiet", "--strict", "-o", str(tmp_path / "strict.csv"), box=box)
    lines = await run(*EXPORT, "--format", "jsonl", "--quiet", box=box)

    assert (done.code, done.err) == (0, said)
    assert (strict.code, strict.err) == (1 if said else 0, said)
    assert lines.code == 0
    assert lines.err == said.replace(", so the cells are empty", "")
    ids = [row["id"] for row in rows]
    assert [row["id"] for row in table(target.read_text("utf-8"))] == ids
    assert [json.loads(line)["id"] for line in lines.out.splitlines()] == ids
    assert (tmp_path / "strict.csv").read_bytes() == target.read_bytes()


@pytest.mark.parametrize("consent", [1, "1", "true", [], {"yes": True}])
async def test_an_unreadable_consent_counts_as_no(box: Sandbox, consent: object) -> None:
    """`--consent` exports no such customer."""
    answer_with(box, lambda n, a: a["consent"].update(email=consent))

    done = await run(*EXPORT, "--consent", "email", box=box)

    assert (done.code, table(done.out)) == (0, [])
    assert "25 left out: no consent to email.\n" in done.err


async def test_a_failed_export_says_that_the_file_is_the_old_one(box: Sandbox, tmp_path: Path) -> None:
    """It gives the time of the old file. Without an old file, it says nothing about it."""
    box.fail(status=501, times=2)
    target = tmp_path / "all.csv"
    first = await run(*EXPORT, "-o", str(target), box=box)
    target.write_text("old")
    os.utime(target, (moment := datetime(2026, 3, 1, 9, 30).astimezone().timestamp(), moment))

    failed = await run(*EXPORT, "-o", str(target), box=box)

    assert "the old one" not in first.err
    assert failed.code == 75
    assert failed.err.endswith(f"{target} is unchanged: it is still the file of 2026-03-01 09:30.\n")
    assert failed.err.count("\n") == 1


async def test_money_as_text_is_read_and_an_unreadable_amount_is_named_by_its_path() -> None:
    """The path has no number of the line, since the fault is the same in each line."""
    async with Sandbox(customers=5, events=1, dates_per_event=1, bookings_per_date=8, rate_limit=None) as box:
        async with TicketSource(box.api_key, base_url=box.url) as ts:
            (_, event_date, _), *_ = [found async for found in ts.all_bookings()]
            bookings: list[Any] = [b.to_dict() async for b in ts.dates.list_bookings(event_date)]
        rows = [
            {"id": b["id"], "type": "booking", "attributes": {"ref": b["ref"], "lines": lines}, "links": {}}
            for number, b in enumerate(bookings)
            for lines in [[{"amount": {"gross": "12.50", "net": "abc" if number else "-1"}}, {"amount": {"net": "?"}}]]
        ]
        box.fail(path=f"/dates/{event_date.id}/bookings", status=200, body=json.dumps({"data": rows, "links": {}}))

        done = await run("bookings", "export", box=box)

    assert done.code == 0
    assert [row["gross"] for row in table(done.out)] == ["12.50", ""] * 8
    ids = [row["id"] for row in rows]
    assert done.err == (
        f"lines[].amount.net of 8 bookings could not be read, so the cells are empty: {', '.join(ids[:3])} and 5 more\n"
    )


async def test_get_shows_a_record_with_its_unreadable_values(box: Sandbox) -> None:
    """The record has them in "invalid", and stderr names the record."""
    odd = json.loads(json.dumps(box.customers.rows(3, 4)))[0]
    odd_day(3, odd["attributes"])
    box.fail(path=f"/customers/{odd['id']}", status=200, body=json.dumps({"data": odd}))

    done = await run("customers", "get", odd["id"], box=box)

    assert (done.code, json.loads(done.out)["invalid"]) == (0, {"membership.start_date": "31.12.2020"})
    assert done.err == f"membership.start_date of 1 customer could not be read: {odd['id']}\n"


async def test_changes_have_a_withdrawal_and_report_an_unreadable_value_once(box: Sandbox, tmp_path: Path) -> None:
    """The change has all readable values. stderr names the customer only in the first run."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    zoe = box.customers.ids()[3]
    box.customers.update(zoe, {"consent": {"email": True}})
    await run(*follow, box=box)

    def withdrawn(number: int, attributes: dict[str, Any]) -> None:
        odd_day(number, attributes)
        if number == 3:
            attributes["consent"]["email"] = False

    answer_with(box, withdrawn, times=1)
    first = await run(*follow, box=box)

    def moved(number: int, attributes: dict[str, Any]) -> None:
        withdrawn(number, attributes)
        if number == 3:
            attributes["last_name"] = "Moved"

    answer_with(box, moved, times=1)
    second = await run(*follow, "--quiet", box=box)

    change = json.loads(first.out)
    assert (change["id"], change["consent_changed"], "consent.email" in change["fields"]) == (zoe, True, True)
    assert first.code == second.code == 0
    assert f"membership.start_date of 1 customer could not be read: {zoe}\n" in first.err
    assert json.loads(second.out)["fields"] == ["last_name"]
    assert second.err == ""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("last_name", None),
        ("consent_email", None),
        ("membership_start_date", None),
        ("membership_identifier", "membership of ID cannot be sent whole: its start_date could not be read"),
    ],
)
async def test_a_customer_with_an_unreadable_value_is_updated_unless_it_would_be_lost(
    box: Sandbox, ts: TicketSource, tmp_path: Path, written: str, said: str | None
) -> None:
    """This holds for `update` and `import`. The error names the field and says what to do."""
    consent = ConsentDraft(email=True)
    zoe = await ts.customers.create(
        CustomerDraft(email="zoe@example.com", consent=consent, membership=MembershipDraft(identifier="M"))
    )
    value = {"consent_email": "false", "membership_start_date": "2026-01-31"}.get(written, "New")
    file = tmp_path / "people.csv"
    file.write_text(f"email,{written}\nzoe@example.com,{value}\n")
    odd = json.loads(json.dumps(box.customers.get(zoe.id)))
    odd["attributes"]["membership"]["start_date"] = "31.12.2020"
    for _ in range(2):
        box.fail(method="GET", path=f"/customers/{zoe.id}", status=200, body=json.dumps({"data": odd}))
    box.requests.clear()

    updated = await run("customers", "update", zoe.id, f"--{written.replace('_', '-')}", value, box=box)
    rows = json.loads(json.dumps(box.customers.rows(0, 100)))
    for row in rows:
        if row["id"] == zoe.id:
            row["attributes"] = odd["attributes"]
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {}}), times=2)
    imported = await run("customers", "import", str(file), "--match", "email", "--apply", box=box)

    outcome = json.loads(imported.out)
    if said is None:
        assert (updated.code, imported.code, outcome["outcome"]) == (0, 0, "updated")
    else:
        assert (updated.code, imported.code, outcome["outcome"]) == (1, 1, "refused")
        for text in (updated.err, outcome["reason"]):
            assert said.replace("ID", zoe.id) in text
            assert "Set start_date too. Or correct it in TicketSource first." in text
        assert "PATCH" not in {request.method for request in box.requests}


@pytest.mark.parametrize(
    ("attributes", "given", "sent"),
    [
        ({"telephone": {}}, ["--telephone", ""], {"phone": None}),
        ({"telephone": None, "phone": []}, ["--telephone", "1"], {"phone": "1"}),
        ({"address": {"line_1": "1", "line_2": {}}}, ["--address-line-2", ""], {"address": {"line_1": "1"}}),
        ({"address": {"line_1": {}, "line_2": {}}}, ["--address-line-2", ""], "its line_1 could not be read"),
        ({"address": "1 High Street"}, ["--address-line-1", "x"], "cannot be changed in part"),
        ({"address": "1 High Street"}, ["--address-line-1", ""], "cannot be changed in part"),
        ({"address": "1 High Street"}, ["--last-name", "New"], {"last_name": "New"}),
        ({"consent": "yes"}, ["--consent-email", "false"], {"consent": {"email": False}}),
        ({"consent": {"email": True, "sms": 1}}, ["--consent-email", "false"], {"consent": {"email": False}}),
    ],
)
async def test_an_update_sends_the_given_fields_and_keeps_unreadable_values(
    box: Sandbox, attributes: dict[str, Any], given: list[str], sent: dict[str, Any] | str
) -> None:
    """An empty text clears an unreadable value only if it is given for this field."""
    zoe = box.customers.ids()[3]
    odd = json.loads(json.dumps(box.customers.get(zoe)))
    odd["attributes"].update(attributes)
    box.fail(method="GET", path=f"/customers/{zoe}", status=200, body=json.dumps({"data": odd}), times=1)
    box.fail(method="PATCH", path=f"/customers/{zoe}", status=200, body=json.dumps({"data": odd}), times=1)

    done = await run("customers", "update", zoe, *given, box=box)

    bodies = [json.loads(request.body) for request in box.requests if request.method == "PATCH"]
    if isinstance(sent, str):
        assert (done.code, bodies) == (1, [])
        assert sent in done.err
        assert done.err.endswith("in TicketSource first.\n")
    else:
        (body,) = bodies
        assert _without_nulls(body["data"]["attributes"], sent) == sent


def _without_nulls(attributes: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Leave out the values of a part that are null."""
    return {
        name: {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value
        for name, value in attributes.items()
    }


async def test_stderr_has_one_line_for_an_unreadable_value(box: Sandbox) -> None:
    """A separate process prints no log line either."""
    rows = answer_with(box, odd_day)

    done = await run_with_streams("", *EXPORT, box=box)

    assert done.err == (
        f"membership.start_date of 1 customer could not be read, so the cells are empty: {rows[3]['id']}\n"
    )


async def test_an_import_by_email_is_not_stopped_by_another_unreadable_customer(box: Sandbox, tmp_path: Path) -> None:
    """This customer is in the list, and not in the file."""
    answer_with(box, odd_day)
    file = tmp_path / "people.csv"
    file.write_text("email\nnew@example.com\n")

    done = await run("customers", "import", str(file), "--match", "email", box=box)

    assert (done.code, json.loads(done.out)["outcome"]) == (0, "would create")


async def test_an_import_does_not_create_a_customer_who_may_have_an_unreadable_email(
    box: Sandbox, tmp_path: Path
) -> None:
    """The customer could exist twice. Rows for customers with a readable e-mail are accepted."""

    def odd_email(number: int, attributes: dict[str, Any]) -> None:
        attributes["email"] = ["new@example.com"] if number == 3 else f"{number}@example.com"

    rows = answer_with(box, odd_email)
    file = tmp_path / "people.csv"
    file.write_text("email,last_name\nnew@example.com,New\n5@example.com,Newer\n")

    done = await run("customers", "import", str(file), "--match", "email", box=box)

    outcomes = {line["row"]: line for line in map(json.loads, done.out.splitlines())}
    assert done.code == 1
    assert [outcomes[line]["outcome"] for line in (2, 3)] == ["refused", "would update"]
    assert f"that of {rows[3]['id']} could not be read: correct it in TicketSource first" in outcomes[2]["reason"]


async def test_an_exported_row_is_refused_if_updated_at_of_the_customer_is_unreadable(
    box: Sandbox, tmp_path: Path
) -> None:
    """The export has an empty cell for it, which must not mean "never changed"."""
    zoe = box.customers.ids()[3]
    odd = json.loads(json.dumps(box.customers.get(zoe)))
    odd["attributes"].update(last_name="Changed by staff", updated_at="31.12.2025 10:00")
    box.fail(method="GET", path=f"/customers/{zoe}", status=200, body=json.dumps({"data": odd}), times=2)
    file = tmp_path / "people.csv"
    file.write_text(f"id,last_name,updated_at\n{zoe},Old,\n")

    done = await run("customers", "import", str(file), "--match", "id", "--apply", box=box)

    assert (done.code, json.loads(done.out)["outcome"]) == (1, "refused")
    assert "updated_at of the customer could not be read" in done.out
    assert "PATCH" not in {request.method for request in box.requests}


async def test_an_update_that_does_not_clear_an_unreadable_value_is_a_failure(box: Sandbox) -> None:
    """The API answers with the same odd value."""
    zoe = box.customers.ids()[3]
    odd = json.loads(json.dumps(box.customers.get(zoe)))
    odd["attributes"]["title"] = {"a": 1}
    for method in ("GET", "PATCH"):
        box.fail(method=method, path=f"/customers/{zoe}", status=200, body=json.dumps({"data": odd}), times=1)

    done = await run("customers", "update", zoe, "--title", "", box=box)

    assert done.code == 1
    assert done.err.endswith("the API did not take title.\n")


async def test_a_command_that_fails_reports_the_unreadable_values_before(box: Sandbox, tmp_path: Path) -> None:
    """The first page has an unreadable value, and the second page fails."""
    rows = json.loads(json.dumps(box.customers.rows(0, 2)))
    rows[0]["attributes"]["created_at"] = "yesterday"
    body = json.dumps({"data": rows, "links": {"next": f"{box.url}/customers?page=2&per_page=100"}})
    box.fail(path="/customers", status=200, body=body, times=1)
    box.fail(path="/customers", status=501, times=None)  # the third page may be asked for first

    done = await run(*EXPORT, "-o", str(tmp_path / "all.csv"), box=box)

    assert done.code == 75
    assert done.err.startswith(
        f"created_at of 1 customer could not be read, so the cells are empty: {rows[0]['id']}\nticketsource: "
    )


async def test_changes_report_a_field_that_became_unreadable(box: Sandbox, tmp_path: Path) -> None:
    """The second run does not report it again."""
    follow = ("customers", "changes", "--store", str(tmp_path / "customers.db"))
    await run(*follow, box=box)
    answer_with(box, odd_day)

    first = await run(*follow, box=box)
    again = await run(*follow, "--quiet", box=box)

    change = json.loads(first.out)
    assert (change["change"], change["fields"]) == ("updated", ["membership.identifier"])
    assert "membership.start_date of 1 customer could not be read" in first.err
    assert (again.out, again.err) == ("", "")
