"""The output on a terminal: tables, and never a control character of the API."""

import asyncio
import json
import os
import pty
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from command import on_terminal, read_terminal, run, table

from ticketsource_async.models.values import RECORD_KINDS
from ticketsource_async.sandbox import Sandbox

# Clear the screen, set the title, move left, ring, delete, C1's "escape [", right to left, a mark, a line separator.
EVIL = "\x1b[2J\x1b]0;x\x07\rtoo\x08\x00\x7f\x9b1m\u202egro\u200e\u2066\u061c\u2028\x85\x0b\x0c"
CONTROLS = {*map(chr, (*range(32), *range(0x7F, 0xA0))), *"\u202e\u200e\u200f\u2066\u061c\u2028\u2029"} - set("\t\n")


def row(kind: str, record_id: str, **attributes: Any) -> dict[str, Any]:
    """Return a row of the API."""
    return {"id": record_id, "type": kind, "attributes": attributes}


def answer_with_control_characters(box: Sandbox, times: int = 1) -> None:
    """Let the next answers have control characters in all values."""
    part = {"line_1": EVIL, EVIL: EVIL}
    one = row("customer", "cst-1", first_name=EVIL, last_name="x\r\nline\ttab", telephone=[EVIL], address=part)
    box.fail(
        status=200, body=json.dumps({"data": [one, row("customer", "cst-2", consent={"email": EVIL})]}), times=times
    )


def controls_in(shown: str) -> set[str]:
    """Return the control characters, except line ends."""
    return CONTROLS & set(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        *(("export", "--format", name) for name in ("csv", "json", "jsonl")),
        ("export", "--no-escape-formulas", "--excel"),
    ],
)
async def test_an_export_to_a_terminal_shows_escapes(box: Sandbox, arguments: tuple[str, ...]) -> None:
    """This holds for every format. Line breaks and tabs are unchanged."""
    answer_with_control_characters(box)

    code, shown = await on_terminal("customers", *arguments, box=box)

    assert code == 0
    assert controls_in(shown) == set()
    assert "[2J" in shown
    assert "\\u202e" in shown


@pytest.mark.parametrize("to", ["stdout", "file"])
async def test_a_file_and_a_pipe_get_the_data_unchanged(box: Sandbox, tmp_path: Path, to: str) -> None:
    """Only a terminal gets escapes."""
    answer_with_control_characters(box)
    target = tmp_path / "x.csv"

    done = await run("customers", "export", *(() if to == "stdout" else ("-o", str(target))), box=box)

    written = done.out if to == "stdout" else target.read_bytes().decode()
    assert EVIL in written


async def test_a_terminal_that_is_named_as_output_file_shows_escapes(box: Sandbox) -> None:
    """`-o` has the name of a terminal."""
    answer_with_control_characters(box)
    ours, terminal = pty.openpty()

    done = await run("customers", "export", "-o", os.ttyname(terminal), box=box)
    os.close(terminal)

    assert done.code == 0
    shown = (await asyncio.to_thread(read_terminal, ours)).decode().replace("\r\r\n", "\r\n")
    assert controls_in(shown) == set()
    assert "[2J" in shown


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("bookings", "export"), None),
        (("programme", "export"), None),
        (("events", "list"), None),
        (("customers", "get", "cst-1"), {"data": row("customer", "cst-1", first_name=EVIL, telephone=[EVIL])}),
        (("customers", "get", "cst-1"), {"data": row("customer", EVIL)}),
        (("customers", "get", "cst-1"), {"data": {"id": "cst-1", "type": EVIL, "attributes": EVIL}}),
    ],
)
async def test_a_terminal_shows_no_control_character_of_a_record(
    box: Sandbox, arguments: tuple[str, ...], body: object
) -> None:
    """This holds for records and for the errors of unreadable ones."""
    everything = {"data": [row("event", "evt-1", name=EVIL, description=EVIL)]}
    dates = {"data": [row("date", "dat-1", start="2026-01-01T10:00:00+00:00")]}
    bookings = {"data": [row("booking", "bkg-1", ref=EVIL, lines=[{"line_type": EVIL}])]}
    for path, found in (("/events", everything), ("/events/evt-1/dates", dates), ("/dates/dat-1/bookings", bookings)):
        box.fail(path=path, status=200, body=json.dumps(found), times=None)
    box.fail(path="/customers/cst-1", status=200, body=json.dumps(body), times=None)
    box.fail(path="/events/evt-1/venues", status=200, body='{"data": []}', times=None)

    code, shown = await on_terminal(*arguments, box=box)

    assert code in (0, 1)
    assert controls_in(shown) == set()
    assert "u001b" in shown or "x1b" in shown or "something unexpected" in shown


@pytest.mark.parametrize("status", [400, 401, 404, 409, 418, 500])
async def test_a_terminal_shows_no_control_character_of_an_error(box: Sandbox, status: int) -> None:
    """The API's text is shown with escapes."""
    entry = {"code": EVIL, "title": EVIL, "detail": EVIL, "status": status}
    box.fail(status=status, body=json.dumps({"errors": [entry]}), headers={"X-Request-Id": "\x9b1m"}, times=None)

    code, shown = await on_terminal("notes", "create", "cst-1", "text", box=box)

    assert code not in (0, 2)
    assert controls_in(shown) == set()
    assert "\\x1b[2J" in shown


async def test_a_terminal_shows_no_control_character_of_an_import(box: Sandbox, tmp_path: Path) -> None:
    """This holds for the cells of the file, for refused rows, and for a wrong header."""
    evil = EVIL.replace("\x00", "")
    file, wrong, no_csv = tmp_path / "in.csv", tmp_path / "wrong.csv", tmp_path / "no.csv"
    lines = [f'"{evil}","{name}@example.com","{day}"' for name, day in (("a", ""), (evil, ""), ("b", evil))]
    file.write_text("\n".join(["first_name,email,membership_start_date", *lines]), "utf-8", newline="")
    wrong.write_text(f'"{evil}",email\n', "utf-8", newline="")
    no_csv.write_text(f'email\n"a"{evil}\n', "utf-8", newline="")

    # Without the progress bar, which moves to the start of its line.
    imported = await on_terminal("customers", "import", str(file), "--match", "email", "--quiet", box=box)
    as_json = await on_terminal("customers", "import", str(file), "--match", "email", "-q", "--json", box=box)
    refused = await on_terminal("customers", "import", str(wrong), "--match", "email", box=box)
    broken = await on_terminal("customers", "import", str(no_csv), "--match", "email", box=box)

    everything = (imported, as_json, refused, broken)
    assert [code for code, _ in everything] == [1, 1, 2, 2]
    assert [controls_in(shown) for _, shown in everything] == [set()] * 4
    assert "with a line break: look for a quote too many" in " ".join(imported[1].split())
    assert "refused" in as_json[1]


@pytest.mark.parametrize("evil", [EVIL.replace("\x00", ""), "\x1b[8m"])
async def test_a_question_and_an_error_message_show_escapes(box: Sandbox, tmp_path: Path, evil: str) -> None:
    """A program may take an id, a file name or an option from the API."""
    somebody = box.customers.ids()[0]
    box.customers.update(somebody, {"first_name": evil})
    asked = await on_terminal("customers", "delete", somebody, box=box, answer=b"n\n", stdin=True)
    piped = await on_terminal("customers", "delete", somebody, box=box, answer=b"n\n", stdin=True, stdout=False)
    others = [
        await on_terminal(*arguments, box=box)
        for arguments in (
            ("customers", "get", evil),
            ("customers", "delete", "-y", evil),
            ("customers", evil),
            (evil,),
            (f"--{evil}",),
            ("customers", "export", f"--{evil}"),
            ("customers", "export", "--format", evil),
            ("customers", "export", "-o", str(tmp_path / evil / "x")),
            ("customers", "export", "--from", evil),
            ("customers", "create", "--consent-email", evil),
            ("customers", "create", "--membership-start-date", evil),
            ("customers", "import", evil, "--match", "id"),
            ("customers", "changes", "--store", str(tmp_path / evil / "x")),
            ("bookings", "export", "--from", evil),
            ("sandbox", "--port", evil),
        )
    ]

    for code, shown in (asked, piped, *others):
        assert code in (1, 2), shown
        assert controls_in(shown) == set(), shown
    assert "Delete the customer \\x1b[" in asked[1]


async def test_changes_on_a_terminal_show_escapes(box: Sandbox, tmp_path: Path) -> None:
    """The message for an unknown customer shows them, too."""
    answer_with_control_characters(box, times=2)
    store = str(tmp_path / "store.db")

    code, shown = await on_terminal("customers", "changes", "--store", store, box=box)
    _, nobody = await on_terminal("customers", "forget", EVIL.replace("\x00", ""), "--store", store, box=box)

    assert code == 0
    assert controls_in(shown.replace("\r", "")) == controls_in(nobody) == set()
    assert "no customer with the id \\x1b[2J" in nobody


# Tables


def lines(shown: str) -> list[str]:
    """Return the lines that a terminal shows."""
    return shown.replace("\r\n", "\n").splitlines()


def width_of(line: str) -> int:
    """Return how many cells of a terminal a line takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def listing(box: Sandbox, kind: str, path: str, *rows: dict[str, Any]) -> None:
    """Let a list have these rows, each given by its attributes, as cst-1, cst-2 and so on."""
    prefix = RECORD_KINDS[kind]
    data = [
        {"links": attributes.pop("links", {})} | row(kind, f"{prefix}{number}", **attributes)
        for number, attributes in enumerate(rows, 1)
    ]
    box.fail(path=path, status=200, body=json.dumps({"data": data, "links": {"next": None}}), times=None)
    for one in data:
        box.fail(path=f"{path}/{one['id']}", status=200, body=json.dumps({"data": one}), times=None)


async def test_a_list_is_a_table_with_columns_for_people(box: Sandbox) -> None:
    """It has headings, a rule and a line for each record. Times have the offset that the API sends."""
    listing(
        box,
        "date",
        "/events/evt-1/dates",
        {"start": "2026-07-04T19:30:00+00:00", "end": "2026-07-04T21:30:15+00:00", "cancelled": False, "public": True},
        {"start": "2026-07-05T19:30:00+01:00", "end": "2026-07-05T21:30:00+00:00", "cancelled": True},
    )

    code, shown = await on_terminal("events", "dates", "evt-1", box=box, columns=120)

    assert code == 0
    assert lines(shown) == [
        "id     start                    end +00:00           cancelled  on sale  public  doors open  event  venue",
        "-----  -----------------------  -------------------  ---------  -------  ------  ----------  -----  -----",
        "dat-1  2026-07-04 19:30 +00:00  2026-07-04 21:30:15  no                  yes",
        "dat-2  2026-07-05 19:30 +01:00  2026-07-05 21:30     yes",
    ]


async def test_one_record_is_a_table_of_its_fields(box: Sandbox) -> None:
    """Each field has a line, even if it is not set or unknown. Consents are in words."""
    listing(
        box,
        "customer",
        "/customers",
        {
            "first_name": "Zoë",
            "last_name": "",
            "address": {"line_1": "Flat 1,\n2 High Street", "floor": 3},
            "consent": {"email": True, "post": False, "sms": None},
            "membership": {"identifier": " ", "start_date": "2026-01-31"},
            "created_at": "2019-02-12T10:58:34+00:00",
            "shoe_size": [44],
        },
    )

    code, shown = await on_terminal("customers", "get", "cst-1", box=box)

    assert code == 0
    assert lines(shown) == [
        "id                     cst-1",
        "title",
        "first name             Zoë",
        'last name              ""',
        "address line 1         Flat 1,",
        "                       2 High Street",
        "address line 2",
        "address line 3",
        "address line 4",
        "address postcode",
        "telephone",
        "email",
        'membership identifier  " "',
        "membership start date  2026-01-31",
        "membership end date",
        "consent email          yes",
        "consent post           no",
        "consent sms            unknown",
        "created at             2019-02-12 10:58:34 +00:00",
        "updated at",
        "address floor          3",
        "shoe_size              [44]",
    ]


async def test_money_has_at_least_two_decimals_and_is_never_rounded(box: Sandbox) -> None:
    """A booking has a table of its lines. A sum with an unreadable part is marked."""
    amounts = [{"gross": 12.5, "fee": 1, "net": "1E3"}, {"gross": -12.5, "fee": "0.125", "net": "abc"}]
    booking_lines = [{"line_type": "TICKETS", "is_refund": bool(n), "amount": one} for n, one in enumerate(amounts)]
    listing(box, "booking", "/bookings", {"ref": "ABC", "lines": booking_lines})

    code, shown = await on_terminal("bookings", "get", "bkg-1", box=box, columns=120)

    assert code == 0
    assert "gross                0.00" in shown
    assert "fee                  1.125" in shown
    assert 'net                  (unreadable: "1E3", "abc")' in shown
    heading, _, *sold = lines(shown)[19:23]
    assert heading.split() == [
        *("type", "payment", "refund", "gross", "fee", "fee", "vat", "net", "gift", "aid"),
        *("discount", "code", "off", "by", "code"),
    ]
    assert [line.split() for line in sold] == [
        ["TICKETS", "no", "12.50", "1.00", "(unreadable)"],
        ["TICKETS", "yes", "-12.50", "0.125", "(unreadable)"],
    ]


async def test_an_unreadable_value_is_not_an_empty_cell(box: Sandbox) -> None:
    """A list says that the value is unreadable. A record shows it. stderr names the record."""
    odd = {"first_name": {"a": 1}, "last_name": "Half", "consent": {"email": 1}, "telephone": ["[red]"]}
    listing(box, "customer", "/customers", odd, {"address": "x", "email": "a@example.com"})

    _, found = await on_terminal("customers", "find", "half", "--quiet", box=box, columns=200)
    _, got = await on_terminal("customers", "get", "cst-1", box=box)
    _, other = await on_terminal("customers", "get", "cst-2", box=box)

    row_of_table = lines(found)[2].split("  ")
    assert [cell.strip() for cell in row_of_table if cell] == [
        *("cst-1", "(unreadable) Half", "(unreadable)", "(unreadable)", "unknown", "unknown"),
    ]
    assert "consent email          (unreadable: 1)" in got
    assert 'telephone              (unreadable: ["[red]"])' in got
    assert 'first name             (unreadable: {"a": 1})' in got
    assert 'address postcode       (unreadable: "x")' in other
    assert "telephone of 1 customer could not be read: cst-1" in got


async def test_a_name_that_looks_like_markup_is_shown_unchanged(box: Sandbox) -> None:
    """This holds for lists, records and unknown attributes."""
    names = ["[red]Ann[/red]", "[bold", "[/]", ":smile:", "[link=http://x]y[/link]", "\\[b]", "\\x41"]
    listing(box, "customer", "/customers", *({"first_name": name, "last_name": "Ng"} for name in names), {"[b]": "[i]"})

    _, found = await on_terminal("customers", "find", "ng", box=box, columns=200, env={"TERM": "xterm-256color"})
    _, got = await on_terminal("customers", "get", "cst-5", box=box, env={"TERM": "xterm-256color"})
    _, unknown = await on_terminal("customers", "get", "cst-8", box=box, env={"TERM": "xterm-256color"})

    assert all(f"{name} Ng" in found for name in names)
    assert names[4] in got
    assert "[b]" in unknown
    assert '"[i]"' in unknown


@pytest.mark.parametrize("columns", [250, 60, 20])
async def test_no_line_is_wider_than_the_terminal_and_no_character_is_lost(box: Sandbox, columns: int) -> None:
    """Long words continue on the next line. The output names columns without room."""
    people = [
        {"first_name": "山田" * 10, "last_name": "e\u0301" * 30, "email": f"{'x' * 50}@example.com"},
        {"first_name": "שלום", "last_name": "محمد", "telephone": "+44 (0)20 7946 0477"},
    ]
    listing(box, "customer", "/customers", *people)

    code, shown = await on_terminal("customers", "find", "e", "--quiet", box=box, columns=columns)
    _, got = await on_terminal("customers", "get", "cst-1", box=box, columns=columns)

    assert code == 0
    assert max(width_of(line) for line in lines(shown + got)) <= columns
    assert "cst-1" in "".join(lines(shown))
    assert got.count("山") == 10
    assert got.count("x") == 50 + 1  # of example
    assert ("Not shown" in shown) == (columns < 250)


async def test_80_columns_show_complete_ids_and_names(box: Sandbox) -> None:
    """A few long names do not fold the other cells. Columns that would fold most rows are left out."""
    ids = [f"evt-{'x' * 16}{number:02}" for number in range(20)]
    names = ["Swan Lake in the Park"] * 18 + ["word " * 60, "q" * 300]
    rows = [
        row("event", one, name=name, category="Theatre", genre="Musical", public=True, archived=False, reference="R1")
        | {"links": {}}
        for one, name in zip(ids, names, strict=True)
    ]
    box.fail(path="/events", status=200, body=json.dumps({"data": rows, "links": {"next": None}}), times=None)

    _, shown = await on_terminal("events", "list", box=box)

    cells = [line.split("  ") for line in lines(shown)]
    first = {row[0]: [cell.strip() for cell in row if cell] for row in cells}
    assert all(first[one] == [one, "Swan Lake in the Park", "Theatre", "Musical", "yes"] for one in ids[:18])
    assert set(ids) <= first.keys()
    assert "Not shown: archived, reference, created. Use a wider window or --format json.\n" in shown
    assert shown.count("word ") + shown.count("word\n") == 60
    assert shown.count("q") == 300


@pytest.mark.parametrize("columns", [0, 1, 19])
async def test_a_terminal_too_narrow_for_a_table_gets_the_complete_table(box: Sandbox, columns: int) -> None:
    """The terminal folds the lines itself. A terminal without a width gets 80 columns."""
    listing(box, "customer", "/customers", {"first_name": "Ann", "email": "ann@example.com"})

    code, shown = await on_terminal("customers", "find", "ann", box=box, columns=columns)
    _, got = await on_terminal("customers", "get", "cst-1", box=box, columns=columns)

    assert code == 0
    assert "cst-1" in shown
    assert ("ann@example.com" in shown) == (columns == 0)
    assert "ann@exam" in got


async def test_a_table_has_the_first_100_rows_without_a_limit(many: Sandbox) -> None:
    """The last line says how to get more rows. Without more rows, there is no such line."""
    bookings = [{"ref": f"R{number}"} for number in range(101)]
    listing(many, "booking", "/dates/dat-1/bookings", *bookings)
    listing(many, "booking", "/dates/dat-2/bookings", *bookings[:100])
    command = ("dates", "bookings", "dat-1")

    first = await on_terminal(*command, box=many)
    exactly = await on_terminal("dates", "bookings", "dat-2", box=many)
    three = await on_terminal(*command, "--limit", "3", box=many)
    all_of_them = await on_terminal(*command, "--limit", "101", box=many)
    piped = await run(*command, box=many)
    some = await run(*command, "--limit", "3", box=many)

    more = "... more rows: use --limit N or --format csv"
    assert [code for code, _ in (first, exactly, three, all_of_them)] == [0] * 4
    assert [shown.count("bkg-") for _, shown in (first, exactly, three, all_of_them)] == [100, 100, 3, 101]
    assert [more in shown for _, shown in (first, exactly, three, all_of_them)] == [True, False, True, False]
    assert [len(done.out.splitlines()) for done in (piped, some)] == [101, 3]
    assert more not in some.out + some.err


async def test_an_empty_list_is_reported_on_a_terminal(box: Sandbox) -> None:
    """A pipe gets nothing, and a CSV its header."""
    listing(box, "event", "/events")

    shown = await on_terminal("events", "list", box=box)
    piped = await run("events", "list", box=box)
    as_csv = await run("events", "list", "--format", "csv", box=box)

    assert shown == (0, "No rows.\n")
    assert (piped.code, piped.out) == (0, "")
    assert as_csv.out.startswith("id,name,")
    assert table(as_csv.out) == []


async def test_the_absence_of_duplicates_is_reported_once(box: Sandbox) -> None:
    """The summary reports it, or the line "No rows" with `--quiet`."""
    for customer_id in box.customers.ids():
        box.customers.purge(customer_id)

    shown = await on_terminal("customers", "duplicates", box=box)
    quiet = await on_terminal("customers", "duplicates", "-q", box=box)

    assert (shown[0], quiet) == (0, (0, "No rows.\n"))
    assert "No duplicates were found among 25 customers." in shown[1]
    assert "No rows" not in shown[1]


async def test_an_unsuccessful_search_is_reported_once(box: Sandbox) -> None:
    """The summary reports it, or the line "No rows" with `--quiet`."""
    found = await on_terminal("customers", "find", "nobody-at-all", box=box)
    quiet = await on_terminal("customers", "find", "nobody-at-all", "-q", box=box)

    assert (found[0], quiet) == (1, (1, "No rows.\n"))
    assert "0 found among 25 customers." in found[1]
    assert "No rows" not in found[1]


@pytest.mark.parametrize(("columns", "least"), [(80, 57), (40, 20), (30, 20)])
async def test_the_values_of_a_narrow_record_keep_at_least_twenty_columns(
    box: Sandbox, columns: int, least: int
) -> None:
    """The names are folded first."""
    listing(box, "customer", "/customers", {"email": "x" * 60})

    _, shown = await on_terminal("customers", "get", "cst-1", box=box, columns=columns)

    assert max(line.count("x") for line in lines(shown)) == least


async def test_a_list_that_fails_shows_the_rows_that_were_read(many: Sandbox) -> None:
    """The error follows them."""
    many.fail(page=2, status=501)

    code, shown = await on_terminal("customers", "find", "@", "--limit", "200", box=many)

    assert code == 75
    assert 50 < shown.count("cst-") <= 101
    assert "answered 501" in lines(shown)[-1]


async def test_ctrl_c_shows_the_rows_that_were_read(many: Sandbox) -> None:
    """The last line says that these are not all rows."""
    many.fail(page=2, slow=60)

    code, shown = await on_terminal(
        *("customers", "find", "@", "--limit", "200"),
        box=many,
        interrupt_at=b"customers",
        interrupt_if=lambda: len(many.requests) >= 2,
    )

    assert code == 130
    assert 50 < shown.count("cst-") <= 100
    assert lines(shown)[-1] == "... The list ended early. Rows are missing."


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
async def test_colour_is_used_only_on_terminals_that_support_it(
    box: Sandbox, env: dict[str, str], coloured: bool
) -> None:
    """NO_COLOR turns it off. The words say everything that a colour says."""
    listing(box, "customer", "/customers", {"first_name": "Ann", "telephone": ["x"]})

    _, shown = await on_terminal("customers", "find", "ann", box=box, env=env)

    assert ("\x1b[" in shown) == coloured
    assert "(unreadable)" in shown


async def test_a_table_in_a_pipe_has_no_colour(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR does not change that. The table has 80 columns, or the number in COLUMNS."""
    listing(box, "customer", "/customers", {"first_name": "Ann " * 50, "telephone": ["x"]})
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)

    narrow = await run("customers", "find", "ann", "--format", "table", box=box)
    monkeypatch.setenv("COLUMNS", "200")
    wide = await run("customers", "find", "ann", "--format", "table", box=box)

    assert "\x1b" not in narrow.out + wide.out
    assert max(map(len, narrow.out.splitlines())) <= 80 < max(map(len, wide.out.splitlines())) <= 200


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
async def test_a_table_is_aligned_on_a_terminal_of_any_encoding(box: Sandbox, encoding: str) -> None:
    """Letters that the encoding lacks are shown as escapes."""
    listing(
        box, "customer", "/customers", {"first_name": "Zoë 山", "email": "a@example.com"}, {"email": "b@example.com"}
    )

    code, shown = await on_terminal(
        *("customers", "find", "@", "-q"),
        box=box,
        columns=200,
        encoding=encoding,
        env={"PYTHONIOENCODING": encoding, "LC_ALL": "C"},
    )

    name = "Zoë 山".encode(encoding, "backslashreplace").decode(encoding)
    assert code == 0
    assert name in shown
    _, _, first, second, *_ = lines(shown)
    assert width_of(first.partition("a@")[0]) == width_of(second.partition("b@")[0])


@pytest.mark.parametrize("format_", ["json", "csv"])
async def test_a_named_format_is_used_on_a_terminal(box: Sandbox, format_: str) -> None:
    """The output is that of a pipe, even for one record."""
    listing(box, "customer", "/customers", {"first_name": "Zoë"})

    commands = [("customers", *what, "--format", format_) for what in (("find", "z", "-q"), ("get", "cst-1"))]

    shown = [await on_terminal(*command, box=box) for command in commands]
    piped = [await run(*command, box=box) for command in commands]

    for (code, on_screen), done in zip(shown, piped, strict=True):
        assert (code, done.code) == (0, 0)
        assert on_screen.replace("\r\n", "\n") == done.out.replace("\r\n", "\n")
        assert "Zoë" in done.out
