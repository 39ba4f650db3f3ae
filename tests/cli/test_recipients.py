"""Exports of customers with consent who can be reached, and of customers who have booked."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from command import EXPORT, on_terminal, run, start, table
from loops import until
from rows import ZOE

from ticketsource_async import Address, TicketSource
from ticketsource_async.cli.recipients import Recipients, requests_taken as requests
from ticketsource_async.sandbox import Sandbox

WITH_CUSTOMER = ("bookings", "export", "--with-customer")


@pytest.mark.parametrize(
    ("need", "field", "values", "no_values"),
    [
        (
            "email",
            "email",
            ["a@example.com", " a@b "],
            [None, "", " ", "n/a", "none", "@", "a@", "a b@c d", "x.example.com"],
        ),
        ("telephone", "telephone", ["01632 960001", "+44 1632"], [None, "", " ", "n/a", "0", "00000 000000", "-"]),
        (
            "post-address",
            "address",
            [Address(line_1="1 A Street", postcode="LS1 1AA"), Address(line_3="1 A Street", postcode="LS1 1AA")],
            [None, Address(), Address(line_1="1 A Street"), Address(line_1=" ", line_2="", postcode="LS1 1AA")],
        ),
    ],
)
def test_require_accepts_only_a_usable_email_telephone_or_address(
    need: str, field: str, values: list[object], no_values: list[object]
) -> None:
    """Texts such as "n/a" do not count."""
    people = [evolve(ZOE, **{field: value}) for value in (*values, *no_values)]  # type: ignore[arg-type]  # as listed
    takes = [Recipients((), (need,)).take(person) for person in people]

    assert takes == [True] * len(values) + [False] * len(no_values)


async def test_customers_without_an_email_are_counted_or_left_out(many: Sandbox) -> None:
    """Without `--require` the summary counts them. With it they are not in the file."""
    without = await run(*EXPORT, "--consent", "email", box=many)
    rows = table(without.out)
    reachable = [row["id"] for row in rows if row["email"]]
    twice = ("--require", "email", "--require", "email", "--consent", "email")
    required = await run(*EXPORT, "--consent", "email", *twice, box=many)
    quiet = await run(*EXPORT, "--consent", "email", "--quiet", box=many)

    few = len(rows) - len(reachable)
    assert 1 < few < len(rows) < 300
    assert without.err == (
        f"{300 - len(rows)} left out: no consent to email.\n"
        f"{few} of {len(rows)} with consent to email have no e-mail address: --require email leaves them out.\n"
    )
    assert [row["id"] for row in table(required.out)] == reachable
    assert required.err == f"{300 - len(rows)} left out: no consent to email.\n{few} left out: no e-mail address.\n"
    assert (quiet.code, quiet.err) == (0, "")


async def test_a_customer_must_have_everything_that_is_required(many: Sandbox) -> None:
    """`--require` works without `--consent`. The limit counts the written customers."""
    everybody = table((await run(*EXPORT, box=many)).out)
    wanted = [row["id"] for row in everybody if row["email"] and row["telephone"]]
    both = await run(*EXPORT, "--require", "email", "--require", "telephone", box=many)
    limited = await run(*EXPORT, "--require", "telephone", "--require", "email", "--limit", "7", box=many)

    assert [row["id"] for row in table(both.out)] == wanted
    assert 7 < len(wanted) < 300
    assert [row["id"] for row in table(limited.out)] == wanted[:7]
    assert sum(int(line.split()[0]) for line in both.err.splitlines()) == 300 - len(wanted)


async def booked(box: Sandbox) -> list[tuple[str, str, str]]:
    """Return event, date and customer of all bookings."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        return [(event.id, date.id, booking.customer_id or "") async for event, date, booking in ts.all_bookings()]


def _may_get_a_letter(row: dict[str, str]) -> bool:
    return row["consent_post"] == "true" and bool(row["address_line_1"] and row["address_postcode"])


@pytest.fixture(name="regulars")
async def _regulars() -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=5, events=3, dates_per_event=2, bookings_per_date=4, rate_limit=None) as box:
        yield box


async def test_each_customer_of_an_event_is_exported_once_and_the_requests_are_announced(regulars: Sandbox) -> None:
    """Each customer is requested once, with any number of bookings."""
    sold = await booked(regulars)
    event = sold[0][0]
    customers = list(dict.fromkeys(customer for of, _, customer in sold if of == event))
    before = len(regulars.requests)

    done = await run(*EXPORT, "--event", event, "--event", event, box=regulars)

    assert (done.code, [row["id"] for row in table(done.out)]) == (0, customers)
    assert len(sold) > len(customers) > 1
    assert done.err == (
        "Reading the bookings for 2 dates: at least 2 requests.\n"
        f"Reading the {len(customers)} customers who booked: {len(customers)} requests.\n"
    )
    assert len(regulars.requests) - before == 1 + 2 + len(customers)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        *[(1, "1 request"), (240, "240 requests"), (241, "241 requests, which take 1 minute or more")],
        (1_000, "1,000 requests, which take 4 minutes or more"),
    ],
)
def test_the_minutes_of_requests_beyond_the_rate_limit_are_announced(number: int, said: str) -> None:
    """The first 240 requests do not wait."""
    assert requests(number) == said


async def test_a_limit_is_announced_before_the_customers_are_read(regulars: Sandbox) -> None:
    """Requests after the limit are not needed."""
    sold = await booked(regulars)
    customers = list(dict.fromkeys(customer for of, _, customer in sold if of == sold[0][0]))

    done = await run(*EXPORT, "--event", sold[0][0], "--limit", "2", box=regulars)

    assert [row["id"] for row in table(done.out)] == customers[:2]
    number = len(customers)
    assert f"Reading the {number} customers who booked, until 2 are found: at most {number} requests.\n" in done.err


async def test_an_event_without_bookings_is_reported(regulars: Sandbox) -> None:
    """The output has only a header."""
    sold = await booked(regulars)
    for date in {date for of, date, _ in sold if of == sold[0][0]}:
        regulars.fail(path=f"/dates/{date}/bookings", status=200, body='{"data": [], "links": {"next": null}}')

    done = await run(*EXPORT, "--event", sold[0][0], box=regulars)

    assert (done.code, table(done.out)) == (0, [])
    assert done.err == "Reading the bookings for 2 dates: at least 2 requests.\nNobody has booked.\n"


async def test_the_dates_of_an_event_are_read_at_the_same_time(regulars: Sandbox) -> None:
    """A slow date does not delay another."""
    sold = await booked(regulars)
    paths = {f"/dates/{date}/bookings" for of, date, _ in sold if of == sold[0][0]}
    regulars.requests.clear()
    for path in paths:
        regulars.fail(path=path, slow=60)

    process = await start(*EXPORT, "--event", sold[0][0], box=regulars)
    await until(lambda: paths <= {request.path for request in regulars.requests})
    process.kill()
    await process.communicate()

    assert len(paths) == 2


async def test_messages_on_a_terminal_are_on_their_own_lines(regulars: Sandbox, tmp_path: Path) -> None:
    """The progress is below them. It shows the number of customers of their total."""
    event = (await booked(regulars))[0][0]
    target = ("-o", str(tmp_path / "x.csv"))

    code, by_event = await on_terminal(*EXPORT, "--event", event, *target, box=regulars)
    other, with_customer = await on_terminal(*WITH_CUSTOMER, *target, box=regulars)

    assert (code, other) == (0, 0)
    said = [line.rpartition("\r")[2] for line in (by_event + with_customer).split("\n")]
    assert "Reading the bookings for 2 dates: at least 2 requests." in said
    assert sum("Reading the" in line for line in said) == 3
    assert not any("Reading the" in line and "/s" in line for line in said)
    assert "5/5" in with_customer


async def test_dates_and_events_can_be_combined_with_consent_and_require(shows: Sandbox) -> None:
    """A date that belongs to the event is read once."""
    sold = await booked(shows)
    event, other = sold[0][0], sold[-1][1]
    wanted = list(dict.fromkeys(customer for of, date, customer in sold if of == event or date == other))
    everybody = {row["id"]: row for row in table((await run(*EXPORT, box=shows)).out)}
    before = len(shows.requests)

    choice = ("--event", event, "--date", other, "--date", sold[0][1])
    done = await run(*EXPORT, *choice, "--consent", "post", "--require", "post-address", "--quiet", box=shows)

    rows = table(done.out)
    assert (done.code, done.err) == (0, "")
    assert {row["id"] for row in rows} == {c for c in wanted if _may_get_a_letter(everybody[c])}
    assert 0 < len(rows) < len(wanted)
    paths = [request.path for request in list(shows.requests)[before:]]
    assert len(paths) == len(set(paths)) == 1 + 4 + len(wanted)


async def test_deleted_customers_are_counted_and_named(regulars: Sandbox) -> None:
    """They may be merged, purged or deleted, which is no failure. All others are written."""
    sold = await booked(regulars)
    gone = sold[0][2]
    regulars.customers.delete([gone])

    done = await run(*EXPORT, "--event", sold[0][0], "--quiet", box=regulars)

    assert done.code == 0
    assert done.err == f"1 customer of these bookings can no longer be found in TicketSource: {gone}\n"
    assert {row["id"] for row in table(done.out)} == {c for of, _, c in sold if of == sold[0][0]} - {gone}


async def test_an_unreadable_event_is_named_and_the_exit_code_is_1(regulars: Sandbox, tmp_path: Path) -> None:
    """The customers of the other events are written. If no event can be read, no file is written."""
    sold = await booked(regulars)
    target = tmp_path / "x.csv"
    nobody = "evt-nobody"

    some = await run(*EXPORT, "--event", nobody, "--event", sold[0][0], "--quiet", box=regulars)
    none = await run(*EXPORT, "--event", nobody, "-o", str(target), "--quiet", box=regulars)

    assert (some.code, none.code, target.exists()) == (1, 1, False)
    assert some.err.startswith(f"ticketsource: GET /events/{nobody}/dates?page=1&per_page=100 was answered 404")
    assert {row["id"] for row in table(some.out)} == {c for of, _, c in sold if of == sold[0][0]}
    assert "no row could be read" in none.err


async def test_an_unreadable_customer_is_named_and_the_exit_code_is_1(regulars: Sandbox) -> None:
    """All others are written."""
    sold = await booked(regulars)
    odd = sold[0][2]
    regulars.fail(path=f"/customers/{odd}", status=200, body=json.dumps({"data": {"id": odd, "type": "event"}}))

    done = await run(*EXPORT, "--date", sold[0][1], "--quiet", box=regulars)

    assert done.code == 1
    assert f"GET /customers/{odd}" in done.err
    assert {row["id"] for row in table(done.out)} == {c for _, date, c in sold if date == sold[0][1]} - {odd}


@pytest.mark.parametrize(("option", "wrong"), [("--event", "dat-1"), ("--date", "../x"), ("--event", "")])
async def test_an_invalid_id_is_wrong_use(regulars: Sandbox, option: str, wrong: str) -> None:
    """No request is made."""
    done = await run(*EXPORT, option, wrong, box=regulars)

    assert (done.code, done.out, len(regulars.requests)) == (2, "", 0)
    assert option in done.err


async def test_bookings_are_exported_with_the_name_email_and_telephone_of_their_customer(regulars: Sandbox) -> None:
    """Each customer is requested once, and the number of requests is announced."""
    everybody = {row["id"]: row for row in table((await run(*EXPORT, box=regulars)).out)}
    plain = table((await run("bookings", "export", box=regulars)).out)
    before = [request.path for request in regulars.requests]

    done = await run("bookings", "export", "--with-customer", box=regulars)

    rows = table(done.out)
    assert (done.code, done.err) == (0, "Reading the 5 customers who booked: 5 requests.\n")
    asked = [request.path for request in regulars.requests][len(before) :]
    assert sum(path.startswith("/customers/") for path in asked) == 5
    parts = ("first_name", "last_name", "email", "telephone")
    assert [{name: row[name] for name in plain[0]} for row in rows] == plain
    assert list(rows[0])[-4:] == [f"customer_{part}" for part in parts]
    for row in rows:
        assert [row[f"customer_{part}"] for part in parts] == [everybody[row["customer_id"]][part] for part in parts]


async def test_bookings_get_their_customers_from_a_store_without_a_request(regulars: Sandbox, tmp_path: Path) -> None:
    """A customer who is not in the store has empty cells, and is named."""
    store = ("--store", str(tmp_path / "customers.db"))
    gone, *_ = regulars.customers.ids()
    await run("customers", "changes", *store, box=regulars)
    whole = await run("bookings", "export", "--with-customer", *store, box=regulars)
    same = await run("bookings", "export", "--with-customer", "--quiet", box=regulars)
    await run("customers", "forget", gone, *store)
    before = len(regulars.requests)
    done = await run("bookings", "export", "--with-customer", *store, box=regulars)

    assert (whole.code, whole.err, whole.out) == (0, "", same.out)
    assert [path.name for path in tmp_path.iterdir()] == ["customers.db"]
    assert not any(request.path.startswith("/customers/") for request in list(regulars.requests)[before:])
    assert {row["customer_id"] for row in table(done.out) if not row["customer_last_name"]} == {gone}
    assert done.err == (
        f"1 customer of these bookings cannot be found in {store[1]}, so their cells are empty: {gone}. If they "
        "are new, run `customers changes` first: it adds them to the store.\n"
    )


async def test_a_store_of_another_box_office_is_refused(regulars: Sandbox, tmp_path: Path) -> None:
    """The same id may be another person there. No request is made, and no file is written."""
    store, target = tmp_path / "customers.db", tmp_path / "x.csv"
    async with Sandbox(customers=5, rate_limit=None, api_key="skl-of-another") as other:
        await run("customers", "changes", "--store", str(store), box=other)

    done = await run(*WITH_CUSTOMER, "--store", str(store), "-o", str(target), box=regulars)

    assert (done.code, target.exists(), len(regulars.requests)) == (1, False, 0)
    assert "belongs to http" in done.err
    assert "customers changes --rebind" in done.err


@pytest.mark.parametrize("command", [("customers", "find", "a"), WITH_CUSTOMER])
async def test_an_empty_file_is_refused_as_a_store_and_stays_empty(
    regulars: Sandbox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Reading it does not make it a database."""
    store = tmp_path / "customers.db"
    store.touch()

    done = await run(*command, "--store", str(store), box=regulars)

    assert (done.code, done.out, store.read_bytes()) == (1, "", b"")
    assert "is empty: name a store that `customers changes` has filled" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["customers.db"]


async def test_the_option_store_needs_with_customer(regulars: Sandbox, tmp_path: Path) -> None:
    """Otherwise the user would expect the customers in the file."""
    store = tmp_path / "customers.db"
    await run("customers", "changes", "--store", str(store), box=regulars)

    done = await run("bookings", "export", "--store", str(store), box=regulars)

    assert (done.code, done.out) == (2, "")
    assert "--with-customer" in done.err


async def test_a_damaged_row_of_the_store_empties_only_its_own_cells(regulars: Sandbox, tmp_path: Path) -> None:
    """It is named, and the exit code is 1."""
    store = tmp_path / "customers.db"
    await run("customers", "changes", "--store", str(store), box=regulars)
    odd, *_ = regulars.customers.ids()
    with closing(sqlite3.connect(store)) as sql, sql:
        sql.execute("UPDATE customer SET record = '{' WHERE id = ?", (odd,))

    done = await run("bookings", "export", "--with-customer", "--store", str(store), "--quiet", box=regulars)

    rows = table(done.out)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert f"is damaged in the row of the customer {odd}" in done.err
    assert {row["customer_id"] for row in rows if not row["customer_last_name"]} == {odd}
    assert len({row["customer_id"] for row in rows}) == 5
