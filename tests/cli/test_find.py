"""How users find customers by a name, an e-mail, a telephone or a membership number."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import run, table
from rows import customer_row

from ticketsource_async import CustomerStore, StoreError, TicketSource
from ticketsource_async.sandbox import Sandbox

JOSE: dict[str, Any] = {
    "first_name": "José",
    "last_name": "Núñez-O\u2019Brien",
    "email": "Jose.Nunez@Example.COM",
    "telephone": "+44 (0)1632 960 001",
    "membership": {"identifier": "AB 123", "start_date": None, "end_date": None},
}


def only_people(box: Sandbox, *people: dict[str, Any]) -> None:
    """Let the box office have only these people, as cst-0, cst-1 and so on."""
    nobody = dict.fromkeys(("first_name", "last_name", "email", "telephone", "address", "membership"))
    rows = [customer_row(number, **nobody | one) | {"id": f"cst-{number}"} for number, one in enumerate(people)]
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {"next": None}}), times=None)


def ids(out: str) -> list[str]:
    """Return the ids in JSON Lines."""
    return [json.loads(line)["id"] for line in out.splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "jose",
            "JOSÉ",
            "Jose\u0301",
            "nunez",
            "nuñez jose",
            "jos nun",
            "Núñez, José",
            "  José  ",
            "o'brien",
            "OBrien",
        ),
        *("nunez obrien", "nunez-o`brien", "NunezOBrien", "\uff2aose", "jo\u00adse", "jos\u200be"),
        *("jose.nunez@example.com", "@example.com", "JOSE.NUNEZ"),
        *("01632960001", "01632 960001", "+441632960001", "+44 (0)1632 960001", "0044 1632 960001", "441632960001"),
        *("(01632) 960-001", "960001", "+44 1632", "441632", "01632\u2013960001", "\uff10\uff11\uff16\uff13\uff12"),
        *("AB 123", "ab123", "b 12"),
        *("mailto:jose.nunez@example.com", "MAILTO:Jose.Nunez%40example.com?subject=x", "tel:+44-1632-960001"),
        *("José Núñez <jose.nunez@example.com>", "<Jose.Nunez@example.com>", "cst-1", " cst-1 "),
    ],
)
async def test_a_customer_is_found_by_what_people_type(box: Sandbox, text: str) -> None:
    """They type a part of the name, the e-mail, a telephone, or the membership number."""
    only_people(box, {"first_name": "Ann", "last_name": "Other", "telephone": "07700 900123"}, JOSE)

    done = await run("customers", "find", text, box=box)

    assert (done.code, ids(done.out)) == (0, ["cst-1"])
    assert done.err == "1 found among 2 customers.\n"


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("soren", {"first_name": "Søren"}),
        ("lukasz", {"first_name": "Łukasz"}),
        ("strasse", {"last_name": "Straße"}),
        ("isik", {"last_name": "IŞIK"}),
        ("isik", {"last_name": "I\u015f\u0131k"}),
        ("i\u0307stanbul", {"last_name": "İstanbul"}),
        ("angharad twm", {"first_name": "Twm", "last_name": "ap Angharad"}),
        ("ty newydd", {"last_name": "Tŷ Newydd"}),
        ("maryann", {"first_name": "Mary-Ann"}),
        ("mary ann", {"first_name": "Mary-Ann"}),
        ("vanderberg", {"last_name": "van der Berg"}),
        ("山田", {"last_name": "山田"}),
        ("муравьёв", {"last_name": "Муравьев"}),
        ("02079460477", {"telephone": "0044 (0)20 7946 0477"}),
        ("02079460477", {"telephone": "tel: +44 20 7946 0477 ext 12"}),
        ("07700900123", {"telephone": "01632 960001 / +44 7700 900123"}),
        ("07700 900123", {"telephone": "01632 960001 or 07700900123"}),
        ("0353 1", {"telephone": "0353 1 496 0000"}),
        ("+353 1 496", {"telephone": "00353 1 4960000"}),
        ("0353 1 496", {"telephone": "+353 1 4960000"}),
        ("0169772345", {"telephone": "+44 16977 2345"}),
        *((typed, {"telephone": "7700900123"}) for typed in ("07700 900123", "+447700900123", "7700 900123")),
        ("01632 960001", {"telephone": "1632960001.0"}),
        ("02079460477", {"telephone": "3000000000 / 2079460477"}),
    ],
)
async def test_unusual_names_and_telephones_are_found(box: Sandbox, text: str, person: dict[str, str]) -> None:
    """They have special letters, other scripts, several numbers in one field, or other countries."""
    only_people(box, person)

    assert ids((await run("customers", "find", text, box=box)).out) == ["cst-0"]


@pytest.mark.parametrize("text", ["john", "jose x", "josenunezx", "01632 960002", "+44 20 1632", "00", "0 1", "ab1234"])
async def test_a_text_that_matches_no_customer_ends_with_1(box: Sandbox, text: str) -> None:
    """Nothing is on stdout, and stderr gives the number of customers. grep has the same exit code."""
    only_people(box, JOSE, {})

    done = await run("customers", "find", text, box=box)

    assert (done.code, done.out) == (1, "")
    assert done.err == "0 found among 2 customers.\n"


async def test_the_words_of_a_name_need_no_quotes(box: Sandbox) -> None:
    """The shell splits them. The customer must have all of them."""
    only_people(box, JOSE, {"first_name": "José", "last_name": "Other"})

    done = await run("customers", "find", "Jose", "nunez", "--limit", "5", box=box)

    assert (done.code, ids(done.out)) == (0, ["cst-0"])


@pytest.mark.parametrize("telephone", ["20123456789", "27700900123", "770090012", "4700900123"])
async def test_a_zero_is_added_only_to_a_number_that_may_have_lost_it(box: Sandbox, telephone: str) -> None:
    """Such a number has ten digits, and the first is 1, 2, 3 or 7."""
    only_people(box, {"telephone": telephone})

    assert (await run("customers", "find", f"0{telephone[:9]}", box=box)).code == 1


@pytest.mark.parametrize("text", ["", "  ", "\u200b", "\u0301"])
async def test_an_empty_text_is_wrong_use(box: Sandbox, text: str) -> None:
    """A text of invisible characters counts as empty. It does not find all customers."""
    done = await run("customers", "find", text, box=box)

    assert (done.code, done.out) == (2, "")
    assert "TEXT is empty" in done.err
    assert not box.requests


async def test_a_scan_reads_all_pages_or_stops_at_the_limit(many: Sandbox) -> None:
    """The summary says if it stopped. `--quiet` prints no summary."""
    everybody = await run("customers", "find", "@", box=many)
    asked = len(many.requests)
    limited = await run("customers", "find", "@", "--limit", "3", box=many)
    quiet = await run("customers", "find", "@", "--limit", "3", "--quiet", box=many)

    assert everybody.code == limited.code == quiet.code == 0
    assert len(ids(everybody.out)) > 200
    assert everybody.err == f"{len(ids(everybody.out))} found among 300 customers.\n"
    assert ids(limited.out) == ids(everybody.out)[:3]
    assert limited.err.endswith(" customers. There may be more. To see them, give a larger --limit.\n")
    assert len(many.requests) - asked < 2 * asked
    assert (quiet.out, quiet.err) == (limited.out, "")


@pytest.mark.parametrize(
    ("name", "read"),
    [("csv", lambda out: [row["id"] for row in table(out)]), ("json", lambda out: [r["id"] for r in json.loads(out)])],
)
async def test_found_customers_are_printed_in_every_format(box: Sandbox, name: str, read: Any) -> None:
    """The formats are those of an export."""
    only_people(box, JOSE, {}, JOSE)

    done = await run("customers", "find", "jose", "--format", name, box=box)

    assert (done.code, read(done.out)) == (0, ["cst-0", "cst-2"])


async def test_a_value_that_could_not_be_searched_is_reported(box: Sandbox) -> None:
    """Its customer is named. A value that is never searched is not reported."""
    only_people(
        box, JOSE, {"email": ["jose@example.com"], "created_at": "?"}, {"membership": "AB"}, {"consent": {"email": 1}}
    )

    done = await run("customers", "find", "jose", box=box)
    strict = await run("customers", "find", "jose", "--strict", box=box)

    assert done.err == (
        "1 found among 4 customers.\n"
        "email of 1 customer could not be read: cst-1\nmembership of 1 customer could not be read: cst-2\n"
    )
    assert (done.code, strict.code) == (0, 1)
    assert ids(done.out) == ids(strict.out) == ["cst-0"]


async def test_an_empty_cell_of_an_unreadable_value_is_reported(box: Sandbox) -> None:
    """In CSV it looks like a value that is not set."""
    only_people(box, JOSE | {"title": ["Mr"]})

    as_csv = await run("customers", "find", "jose", "--format", "csv", "-q", box=box)
    as_json = await run("customers", "find", "jose", "-q", box=box)

    assert as_csv.err == "title of 1 customer could not be read, so the cells are empty: cst-0\n"
    assert as_json.err == "title of 1 customer could not be read: cst-0\n"


async def test_an_unreadable_row_is_reported_and_found_customers_are_printed(box: Sandbox) -> None:
    """The exit code is 1, since a customer may be missing."""
    rows = [customer_row(1, **JOSE), {"id": "bkg-1", "type": "booking", "attributes": {}}, customer_row(2, **JOSE)]
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {"next": None}}))

    done = await run("customers", "find", "jose", box=box)

    assert (done.code, len(ids(done.out))) == (1, 2)
    assert "data[1]" in done.err


async def test_a_store_is_searched_without_a_request(many: Sandbox, tmp_path: Path) -> None:
    """It needs no key and finds the same customers as the API. The search does not change the store."""
    store = tmp_path / "customers.db"
    await run("customers", "changes", "--store", str(store), "-o", str(tmp_path / "all.jsonl"), box=many)
    asked = len(many.requests)

    found = await run("customers", "find", "example.com", "--store", str(store))
    again = await run("customers", "changes", "--store", str(store), box=many)
    live = await run("customers", "find", "example.com", box=many)

    assert (found.code, sorted(ids(found.out))) == (0, sorted(ids(live.out)))
    assert found.err == f"{len(ids(live.out))} found among 300 customers in {store}.\n"
    assert again.err == "0 created, 0 updated, 0 deleted; 0 changed a consent.\n"
    assert asked > 0


async def test_a_store_has_the_customers_of_the_latest_sync(box: Sandbox, tmp_path: Path) -> None:
    """It has unacknowledged changes and deletions, too."""
    first, second, *_ = box.customers.ids()
    async with (
        TicketSource(box.api_key, base_url=box.url) as ts,
        CustomerStore(tmp_path / "customers.db") as store,
    ):
        assert len([change async for change in ts.customers.changes(store)]) == 25
        box.customers.update(first, {"first_name": "Zebedee"})
        box.customers.delete([second])
        assert len([change async for change in ts.customers.changes(store, acknowledge=False)]) == 2
        now = {customer.id: customer async for customer in store.customers()}

    assert now[first].first_name == "Zebedee"
    assert second not in now
    assert len(now) == 24


async def test_several_processes_can_search_a_store_but_not_while_it_is_written(box: Sandbox, tmp_path: Path) -> None:
    """A sync cannot start during a search, and a search cannot start during a sync. No other file is left."""
    path = tmp_path / "customers.db"
    find = ("customers", "find", "@", "--store", str(path))
    follow = ("customers", "changes", "--store", str(path), "-q")
    await run(*follow, box=box)

    async with CustomerStore(path, read_only=True) as store, CustomerStore(path, read_only=True) as other:
        found = await run(*find)
        writing = await run(*follow, box=box)
        assert [c async for c in store.customers()] == [c async for c in other.customers()]
        with pytest.raises(StoreError):
            await store.erase(box.customers.ids()[0])
    async with CustomerStore(path):
        meanwhile = await run(*find)

    assert (found.code, writing.code, meanwhile.code) == (0, 75, 75)
    assert "in use" in writing.err
    assert "in use" in meanwhile.err
    assert [file.name for file in tmp_path.iterdir()] == ["customers.db"]
    assert (await run(*follow, box=box)).code == 0


@pytest.mark.parametrize("change", ["DROP TABLE to_wipe", "INSERT INTO to_wipe VALUES ('cst-0')"])
async def test_a_store_of_an_older_version_or_of_a_killed_run_can_be_searched(
    box: Sandbox, tmp_path: Path, change: str
) -> None:
    """A search does not change the file. The next sync can use it."""
    import sqlite3

    path = tmp_path / "customers.db"
    await run("customers", "changes", "--store", str(path), "-q", box=box)
    with sqlite3.connect(path) as file:
        file.execute(change)
    file.close()
    before = path.read_bytes()

    found = await run("customers", "find", "@", "--store", str(path))

    assert (found.code, path.read_bytes() == before) == (0, True)
    assert (await run("customers", "changes", "--store", str(path), "-q", box=box)).code == 0


async def test_opening_a_missing_store_read_only_does_not_create_it(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StoreError, match=r"customers\.db"):
        await CustomerStore(tmp_path / "customers.db", read_only=True).__aenter__()

    assert not list(tmp_path.iterdir())


async def test_a_search_skips_a_damaged_row_of_a_store_and_names_it(box: Sandbox, tmp_path: Path) -> None:
    """All other rows are searched, and the exit code is 1."""
    import sqlite3

    path = tmp_path / "customers.db"
    await run("customers", "changes", "--store", str(path), "-o", str(tmp_path / "all.jsonl"), box=box)
    damaged = box.customers.ids()[0]
    with sqlite3.connect(path) as file:
        file.execute("UPDATE customer SET record = x'7b' WHERE id = ?", (damaged,))
    file.close()

    done = await run("customers", "find", "@", "--store", str(path))

    assert done.code == 1
    assert len(ids(done.out)) >= 20
    assert f"damaged in the row of the customer {damaged}" in done.err
    assert "among 24 customers" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--store", "missing.db"), 2, "does not exist"),
        (("--store", __file__), 1, "is another kind of file"),
        (("--store", __file__, "--sandbox"), 2, "Use --store or --sandbox, not both."),
        (("--limit", "0"), 2, "--limit"),
        (("--format", "xls"), 2, "--format"),
        (("--format", "parquet"), 2, "--format"),
    ],
)
async def test_invalid_options_of_a_search_are_refused(arguments: tuple[str, ...], code: int, said: str) -> None:
    """Nothing is printed on stdout."""
    done = await run("customers", "find", "jose", *arguments)

    assert (done.code, done.out) == (code, "")
    assert said in done.err


async def test_get_finds_a_customer_by_the_complete_e_mail(box: Sandbox) -> None:
    """Capitals and spaces do not matter. Accents do. stderr says that all customers are read."""
    only_people(box, {"email": "xjose.nunez@example.com"}, JOSE, {"email": "josé.nunez@example.com"})

    done = await run("customers", "get", " jose.nunez@EXAMPLE.com", box=box)
    quiet = await run("customers", "get", "JOSE.NUNEZ@example.com", "--quiet", box=box)

    assert (done.code, json.loads(done.out)["id"]) == (0, "cst-1")
    assert done.err == "The API has no search, so the command reads all customers, 100 with each request.\n"
    assert (quiet.code, quiet.out, quiet.err) == (0, done.out, "")


@pytest.mark.parametrize("text", ["mailto:jose.nunez@example.com", "José <jose.nunez@example.com>"])
async def test_get_finds_a_customer_by_a_copied_e_mail_with_extra_text(box: Sandbox, text: str) -> None:
    """It may be copied from a page or from the header of an e-mail."""
    only_people(box, JOSE)

    done = await run("customers", "get", text, "-q", box=box)

    assert (done.code, json.loads(done.out)["id"]) == (0, "cst-0")


@pytest.mark.parametrize("text", ["Renee", "Renee Kelly", "07700 900123"])
async def test_for_a_text_that_is_no_id_get_mentions_find(box: Sandbox, text: str) -> None:
    """A user who knows only the name learns how to find the customer."""
    done = await run("customers", "get", text, box=box)

    assert (done.code in (1, 2), done.out) == (True, "")
    assert "`customers find TEXT`" in done.err


async def test_get_finds_a_customer_even_if_another_row_cannot_be_read(box: Sandbox) -> None:
    """The exit code is 1, since the other customer may have the same e-mail."""
    rows = [customer_row(1, **JOSE), {"id": "bkg-1", "type": "booking", "attributes": {}}]
    box.fail(path="/customers", status=200, body=json.dumps({"data": rows, "links": {"next": None}}))

    done = await run("customers", "get", "jose.nunez@example.com", "-q", box=box)

    assert (done.code, json.loads(done.out)["id"]) == (1, rows[0]["id"])
    assert "data[1]" in done.err


async def test_get_refuses_an_e_mail_of_several_customers(box: Sandbox) -> None:
    """The error names them, and the exit code is 1."""
    only_people(box, JOSE, {"email": "other@example.com"}, JOSE | {"first_name": None, "last_name": None})

    done = await run("customers", "get", "jose.nunez@example.com", "-q", box=box)

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "ticketsource: 2 customers have the e-mail jose.nunez@example.com: José Núñez-O\u2019Brien (cst-0), "
        "Jose.Nunez@Example.COM (cst-2). Give the id of one of them.\n"
    )


async def test_get_does_not_find_an_unknown_e_mail(box: Sandbox) -> None:
    """Stderr says how many customers were read, and whose e-mail could not be read."""
    only_people(box, JOSE, {"email": ["x"]}, {"telephone": []})

    done = await run("customers", "get", "x@example.com", "-q", box=box)

    assert (done.code, done.out) == (1, "")
    assert "nobody among 3 customers has the e-mail x@example.com.\n" in done.err
    assert "email of 1 customer could not be read: cst-1\n" in done.err
    assert "telephone" not in done.err
