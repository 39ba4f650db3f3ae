"""`ticketsource report`: a page about sales."""

import asyncio
import re
import subprocess
import sys
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest
from command import on_terminal, run, start, table
from processes import pointed_at

from ticketsource_async import TicketSource
from ticketsource_async.sandbox import Sandbox

IMPORTS = "import sys; sys.modules['{}'] = None; from ticketsource_async.__main__ import main; main()"


def totals(page: str) -> dict[str, str]:
    """Return the totals of a page, by name."""
    return dict(re.findall(r"<dt>([^<]*)</dt><dd[^>]*>([^<]*)</dd>", page))


def rows(page: str) -> list[list[str]]:
    """Return the cells of the rows of a page's tables, with a line end between the lines of a name."""
    found = re.findall(r'<tr role="row"><th scope="row".*?</tr>', page)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in found]
    return [[unescape(re.sub("<[^>]*>", "", cell.replace("</span><", "\n<"))) for cell in row] for row in cells]


def amount(row: dict[str, str], name: str) -> str:
    """Return an amount of the command `sales` in the form of the page."""
    return f"{Decimal(row[name]):.2f}"


async def first_date(box: Sandbox) -> tuple[str, str]:
    """Return the id of the first event, and that of its first date."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        event, event_date, _ = await anext(ts.programme())
    return event.id, event_date.id


async def test_the_page_has_the_sums_of_the_command_sales(shows: Sandbox, tmp_path: Path) -> None:
    """It has the sums by performance and by day of sale, and reads the bookings once."""
    sold = table((await run("sales", box=shows)).out)
    asked = len(shows.requests)
    by_day = table((await run("sales", "--by", "sold-day", box=shows)).out)
    before = len(shows.requests)
    target = tmp_path / "report.html"

    done = await run("report", "-o", str(target), box=shows)

    page = target.read_text("utf-8")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert len(shows.requests) - before == asked
    assert totals(page) == {
        "Performances": "12",
        "Bookings": "24",
        "Gross after refunds": amount(sold[-1], "gross_after_refunds"),
        "Refunds": amount(sold[-1], "refunds"),
        "Discounts": amount(sold[-1], "discounts"),
        "Fees": amount(sold[-1], "fees"),
        "VAT of fees": amount(sold[-1], "fee_vat"),
        "Net": amount(sold[-1], "net_after_refunds"),
        "Donations": amount(sold[-1], "donations"),
        "Other sales": amount(sold[-1], "other"),
    }
    by_name = [
        [row["event"], row["bookings"], amount(row, "gross_after_refunds"), amount(row, "refunds")] for row in sold[:-1]
    ]
    assert [[cells[0].split("\n")[0], *cells[1:4]] for cells in rows(page)[:12]] == by_name
    assert [cells[1] for cells in rows(page)[13:]] == [amount(row, "gross_after_refunds") for row in by_day[:-1]]
    assert page.count("<svg") == 2 * 3


async def test_days_and_events_choose_performances_and_the_page_says_so(shows: Sandbox, tmp_path: Path) -> None:
    """It does not say that they are all performances."""
    event, _ = await first_date(shows)
    target = tmp_path / "report.html"

    done = await run(
        "report", "--event", event, "--from", "2026-01-01", "--to", "2026-01-31", "-o", str(target), box=shows
    )

    page = target.read_text("utf-8")
    assert done.code == 0
    assert ">Performances of 1 event from 1 Jan 2026 to 31 Jan 2026.<" in page
    assert ">Event: The Lighthouse.<" in page
    assert "All performances." not in page
    assert {cells[0].split("\n")[0] for cells in rows(page) if "\n" in cells[0]} == {"The Lighthouse"}


async def test_an_unreadable_date_is_reported_on_the_page_which_has_no_total(shows: Sandbox, tmp_path: Path) -> None:
    """The other dates are there. stderr names the date, and the exit code is 1."""
    event, event_date = await first_date(shows)
    shows.fail(path=f"/dates/{event_date}/bookings", status=404)
    target = tmp_path / "report.html"

    done = await run("report", "-o", str(target), box=shows)

    page = target.read_text("utf-8")
    assert done.code == 1
    assert done.err.startswith(f"ticketsource: date {event_date} of event {event} could not be read: ")
    assert ">Not complete: without 1 performance. A sum is not shown if a part of it is missing.<" in page
    assert set(totals(page).values()) == {"no sum: without 1 performance", "not known: without 1 performance"}
    assert len(rows(page)[:12]) == 12
    assert rows(page)[0][0].endswith(", without 1 performance")
    assert rows(page)[0][1:] == ["not known", *["no sum"] * 4]
    assert rows(page)[12] == ["All performances", "not known", *["no sum"] * 4]
    assert len(re.findall(r'aria-label="[^"]*, without 1 performance\.', page)) == 6


async def test_an_incomplete_list_is_reported_on_the_page(shows: Sandbox, tmp_path: Path) -> None:
    """The exit code is 1."""
    _, event_date = await first_date(shows)
    async with TicketSource(shows.api_key, base_url=shows.url, rate_limit=None) as ts:
        answer = await ts.request("GET", f"/dates/{event_date}/bookings")
    assert answer.data
    endless = '{"data": [], "links": {"next": "' + f"{shows.url}/dates/{event_date}/bookings?page=" + '%d"}}'
    for page in range(1, 15):
        shows.fail(path=f"/dates/{event_date}/bookings", page=page, status=200, body=endless % (page + 1))
    target = tmp_path / "report.html"

    done = await run("report", "-o", str(target), box=shows)

    assert done.code == 1
    assert "Not complete: without 1 performance." in target.read_text("utf-8")


async def test_the_old_page_is_kept_if_no_performance_can_be_read(shows: Sandbox, tmp_path: Path) -> None:
    """It is more useful than an empty page."""
    event, _ = await first_date(shows)
    shows.fail(path=f"/events/{event}/dates", status=404)
    target = tmp_path / "report.html"
    target.write_text("old")

    done = await run("report", "--event", event, "-o", str(target), box=shows)

    assert (done.code, target.read_text()) == (1, "old")
    assert f"no performance could be read, so {target} was not written." in done.err
    assert list(tmp_path.iterdir()) == [target]


async def test_a_box_office_without_performances_gets_a_page(tmp_path: Path) -> None:
    """The page says that there are none."""
    target = tmp_path / "report.html"
    async with Sandbox(0, events=0) as empty:
        done = await run("report", "-o", str(target), box=empty)

    assert (done.code, done.err) == (0, "No performance.\n")
    assert "There are no performances." in target.read_text("utf-8")


@pytest.mark.parametrize("name", ["report.pdf", "report.csv", ".pdf", "report.HTML.xlsx"])
async def test_another_kind_of_file_is_refused_before_the_first_request(
    shows: Sandbox, tmp_path: Path, name: str
) -> None:
    """The error says how to get a PDF."""
    done = await run("report", "-o", str(tmp_path / name), box=shows)

    assert done.code == 2
    assert "A browser can print it or save it as PDF." in " ".join(done.err.split())
    assert not shows.requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["report.HTML", "report.htm", "report"])
async def test_the_name_of_a_page_can_end_in_html_or_have_no_ending(shows: Sandbox, tmp_path: Path, name: str) -> None:
    """Capitals do not matter."""
    done = await run("report", "-o", str(tmp_path / name), box=shows)

    assert done.code == 0
    assert (tmp_path / name).read_text("utf-8").startswith("<!DOCTYPE html>")


async def test_a_page_is_written_to_a_pipe_and_not_to_a_terminal(shows: Sandbox) -> None:
    """On a terminal, the error says to name a file, and no request is made."""
    code, shown = await on_terminal("report", box=shows)

    assert code == 2
    assert "name a file, such as -o report.html." in " ".join(shown.split())
    assert not shows.requests
    assert (await run("report", box=shows)).out.endswith("</html>\n")


@pytest.mark.parametrize(("library", "extra"), [("matplotlib", "report"), ("jinja2", "html")])
async def test_without_the_extra_the_command_says_what_to_install(
    shows: Sandbox, tmp_path: Path, library: str, extra: str
) -> None:
    """It does so before the first request, and leaves no file."""
    command = (sys.executable, "-c", IMPORTS.format(library), "report", "-o", str(tmp_path / "report.html"))
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=pointed_at(shows))

    assert done.returncode == 2
    assert f"pip install 'ticketsource-async[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not shows.requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("home", ["empty", "file"])
async def test_only_the_page_is_written(shows: Sandbox, tmp_path: Path, home: str) -> None:
    """Nothing is written in the home folder, where matplotlib keeps its settings, or in the temporary folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    folders = {"HOME": str(tmp_path / home), "TMPDIR": str(tmp_path / "temporary"), "MPLCONFIGDIR": ""}
    unset = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DISPLAY"), "")

    process = await start("report", "-o", str(tmp_path / "report.html"), box=shows, env=folders | unset)
    out, err = await process.communicate()

    assert (process.returncode, out, err) == (0, b"", b"")
    written = [path for path in tmp_path.rglob("*") if path.name not in ("empty", "file", "temporary")]
    assert written == [tmp_path / "report.html"]


async def test_the_matplotlib_folder_of_the_user_is_used(shows: Sandbox, tmp_path: Path) -> None:
    """Matplotlib can keep its list of fonts there. Settings there do not change the page."""
    plain = await run("report", box=shows)
    (tmp_path / "matplotlibrc").write_text("font.size: 40\ntext.usetex: True\nfigure.facecolor: red\n")

    process = await start("report", box=shows, env={"MPLCONFIGDIR": str(tmp_path)})
    out, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    made_on = re.compile("Made on [^<]*")
    assert made_on.sub("", out.decode()) == made_on.sub("", plain.out)
    assert len(list(tmp_path.iterdir())) == 2


async def test_ctrl_c_leaves_the_old_page_and_nothing_else(tmp_path: Path) -> None:
    """The bookings are being read."""
    (tmp_path / "temporary").mkdir()
    target = tmp_path / "report.html"
    target.write_text("old")
    async with Sandbox(20, events=4, latency=0.3, rate_limit=None) as slow:
        code, shown = await on_terminal(
            *("report", "-o", str(target)),
            box=slow,
            env={"TMPDIR": str(tmp_path / "temporary")},
            interrupt_at=b"performances",
            interrupt_if=lambda: len(slow.requests) > 3,
        )

    assert code == 130, shown
    assert target.read_text() == "old"
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "temporary"}


async def test_an_unreadable_value_is_reported_and_its_sum_is_not_guessed(shows: Sandbox, tmp_path: Path) -> None:
    """With `--strict`, the exit code is 1."""
    _, event_date = await first_date(shows)
    body = (
        '{"data": [{"type": "booking", "id": "bkg-odd", "attributes": {"lines": [{"line_type": "TICKETS", "is_refund":'
        ' false, "amount": {"gross": "abc", "fee": 0, "fee_vat": 0, "net": 5, "discounts": {"automatic": 0}}}]}}]}'
    )
    shows.fail(path=f"/dates/{event_date}/bookings", status=200, body=body, times=None)
    target = tmp_path / "report.html"

    done = await run("report", "-o", str(target), box=shows)
    strict = await run("report", "--strict", "-o", str(target), box=shows)

    page = target.read_text("utf-8")
    assert (done.code, strict.code) == (0, 1)
    assert "lines[].amount.gross of 1 booking could not be read: bkg-odd" in done.err
    assert rows(page)[0][0].endswith(", 1 line without gross")
    assert rows(page)[0][2] == "no sum"
    assert totals(page)["Gross after refunds"] == "no sum: 1 line without gross"
    assert "no sum" not in totals(page)["Net"]
    assert "The sales over time are without the lines whose day cannot be read: no sum of tickets." in page
