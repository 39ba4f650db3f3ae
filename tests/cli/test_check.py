"""`ticketsource check`: its report on the API, on an API that differs, and on one that is unreachable."""

import json
import re
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from command import Done, on_terminal, run, start
from differing import PRIVATE, Difference, Differing, differing
from loops import until
from mocked import KEY

from ticketsource_async.checking.calls import MOST_REQUESTS
from ticketsource_async.sandbox import Sandbox

Lines = dict[str, tuple[str, str]]


def lines_in(done: Done) -> Lines:
    """Return the state and the words of each line of `check --json`, by its group and name."""
    findings = json.loads(done.out)["findings"]
    return {f"{found['group']}: {found['name']}": (found["state"], found["says"]) for found in findings}


async def checked(api: Differing | Sandbox, *options: str) -> Lines:
    """Return the lines of a check of a server that can be checked."""
    if isinstance(api, Sandbox):
        return lines_in(await run("check", "--json", "--quiet", *options, box=api))
    return lines_in(await run("check", "--json", "--quiet", *options, url=api.url))


def states(lines: Lines, *but: str) -> dict[str, str]:
    """Return the states that are not ok."""
    return {name: state for name, (state, _) in lines.items() if state not in ("ok", *but)}


async def test_a_server_as_documented_is_ok_in_every_line_but_one() -> None:
    """Nobody has answered the question about summer. All requests are GET."""
    async with differing() as api:
        done = await run("check", "--json", url=api.url)

    assert states(lines_in(done)) == {"times: summer": "open"}
    assert done.code == 0
    assert api.methods == {"GET"}
    assert len(api.asked) == json.loads(done.out)["requests"] <= MOST_REQUESTS


async def test_the_check_reports_the_differences_of_the_sandbox(many: Sandbox) -> None:
    """It drops `per_page`, has an attribute that the vendor's file lacks, and sends no request id or limit here."""
    lines = await checked(many)

    assert states(lines) == {
        "connection: rate limit": "open",
        "connection: request id": "open",
        "lists: `per_page` in `next`": "odd",
        "times: summer": "open",
        "customer notes: records": "open",
        "events: attributes": "odd",
    }
    assert lines["events: attributes"][1] == "Not documented, kept in `extra`: settled (true or false)."
    assert lines["size: customers"] == ("ok", "About 300.")
    assert lines["size: export"][1].startswith("3 requests, less than a minute at 240 a minute.")
    assert {request.method for request in many.requests} == {"GET"}


DIFFERENCES: dict[Difference, dict[str, tuple[str, str]]] = {
    "drops per_page": {"lists: `per_page` in `next`": ("odd", "`next` lacks `per_page`. The library adds it.")},
    "caps pages": {
        "lists: rows a page": (
            "odd",
            "50 rows came, although 100 were requested: an export makes 2 times as many requests.",
        ),
    },
    "shuffles": {
        "lists: order": ("odd", "Two reads of a page had another order"),
        "lists: page numbers": ("odd", "customers are on page 1 and on page 2"),
        "size: customers": ("open", "its pages overlap"),
        "size: export": ("open", "its pages overlap"),
        "size: sync": ("open", "its pages overlap"),
    },
    "limits to 60": {"connection: rate limit": ("odd", "The limit is 60, not 240")},
    "no limit headers": {"connection: rate limit": ("open", "No header says what the limit is.")},
    "others use the key": {"connection: rate limit": ("odd", "others use the same key or address")},
    "fast clock": {"connection: clock": ("odd", "s behind that of the API")},
    "unknown attributes": {
        "customers: attributes": (
            "odd",
            (
                "Not documented, kept in `extra`: (a name that may be data) (object, text), consent.(a name that may "
                "be data) (true or false), consent.whatsapp (true or false), loyalty_points (whole number), "
                "preferences (object)."
            ),
        )
    },
    "odd values": {
        "customers: values": (
            "odd",
            (
                "Could not be read; in `record.invalid`, and None in the field: consent.email, membership.end_date, "
                "membership.start_date. Could be read, although another kind is documented: address (empty list), "
                "telephone (whole number)."
            ),
        ),
        "customers: dates": ("odd", "membership.end_date (another text), membership.start_date (99.99.9999)"),
    },
    "lacks fields": {"customers: fields": ("odd", "In no record: consent.sms, telephone.")},
    "no links to records": {
        "bookings: fields": ("odd", "In no record: links.customer, links.date."),
        "customer notes: fields": ("odd", "In no record: links.customer."),
        "dates: fields": ("odd", "In no record: links.event, links.venue."),
        "seats: fields": ("odd", "In no record: links.booking."),
        "venues: fields": ("odd", "In no record: links.event."),
    },
    "no offsets": {
        "times: summer": ("odd", "Dates come without an offset."),
        **{
            f"{group}: dates": ("odd", "created_at (YYYY-MM-DDThh:mm:ss)")
            for group in ("customers", "customer notes", "events", "venues", "dates", "bookings", "seats")
        },
        "bookings: values": ("odd", "lines[].created_at"),
        **{
            f"{group}: values": (
                "odd",
                "Could not be read; in `record.invalid`, and None in the field: created_at",
            )
            for group in ("customers", "customer notes", "events", "venues", "dates", "seats")
        },
    },
    "summer time": {"times: summer": ("ok", "Dates in summer have the offset +01:00, so their times are correct.")},
    "internal next": {"lists: address in `next`": ("odd", "`next` has another host and port and path")},
    "relative next": {"lists: address in `next`": ("odd", "`next` is a relative address.")},
    "forbids unknown ids": {"lists: unknown id": ("failed", "a sync after a deletion ends in an error")},
    "ignores the filter": {"lists: dates by day": ("odd", "The API ignores the filter")},
    "includes the day": {
        "lists: dates by day": ("ok", "`after` includes the day itself. `before` includes the day itself.")
    },
    "filter loses dates": {"lists: dates by day": ("failed", "--from and --to would miss it")},
    "refuses the filter": {
        "connection: answers": ("failed", "GET /events/{id}/dates ended in NotFound (404)"),
        "lists: dates by day": ("failed", "do not use --from and --to"),
    },
    "tells the total": {
        "lists: `links` and `meta`": (
            "odd",
            (
                "Not documented: meta.(a name that may be data), meta.total. `links.last` leads to the last page. "
                "`meta.per_page` is a text."
            ),
        )
    },
    "no links": {
        "lists: `links` and `meta`": ("odd", "Without `links`: /bookings/{id}/seats, /customers"),
        "lists: `per_page` in `next`": ("odd", "A full page has no `next`."),
        "lists: address in `next`": ("odd", "A full page has no `next`."),
    },
    "broken seats": {
        "connection: answers": ("failed", "GET /bookings/{id}/seats ended in ServerError (500)."),
        "seats: records": ("failed", "GET /bookings/{id}/seats ended in ServerError (500)."),
    },
    "one page for all": {
        "lists: page numbers": ("failed", "Page 2 has the customers of page 1 again"),
        "size: customers": ("open", "its pages overlap"),
        "size: export": ("open", "its pages overlap"),
        "size: sync": ("open", "its pages overlap"),
    },
    "pages overlap": {
        "lists: page numbers": ("odd", "5 customers are on page 1 and on page 2."),
        "size: customers": ("open", "its pages overlap"),
        "size: export": ("open", "its pages overlap"),
        "size: sync": ("open", "its pages overlap"),
    },
    "404 beyond the end": {},
    "redirects": {
        "connection: redirects": ("odd", "requests were redirected. A redirect needs one more request, or fails."),
        "lists: address in `next`": ("odd", "`next` has another path than the request."),
    },
    "more by id": {
        "lists: one record": ("odd", "Only in the list, or only in the answer by id: (a name that may be data)."),
    },
}
"""The lines that change with each way, and their text. The lines of a kind that is not read are missing."""


@pytest.mark.parametrize("way", DIFFERENCES)
async def test_a_difference_is_reported_only_in_its_own_lines(way: Difference) -> None:
    """So the reader knows what is different, and what is not."""
    async with differing() as api:
        usual = await checked(api)
        api.ways.add(way)
        found = await checked(api)

    for name, (state, words) in DIFFERENCES[way].items():
        assert found[name][0] == state
        assert words in found[name][1]
    ignored = {"connection: answers"} if states(found).get("connection: answers") != "failed" else set()
    changed = {name for name in found if found[name] != usual.get(name)} - ignored
    changed -= {name for name in changed if found[name][0] == usual[name][0] and name not in DIFFERENCES[way]}
    assert changed == DIFFERENCES[way].keys()


TEN: tuple[Difference, ...] = (
    "drops per_page",
    "caps pages",
    "limits to 60",
    "fast clock",
    "unknown attributes",
    "odd values",
    "internal next",
    "more by id",
    "ignores the filter",
    "tells the total",
)


async def test_ten_differences_are_reported_each_in_its_own_line() -> None:
    """None of them is a failure."""
    async with differing(*TEN) as api:
        done = await run("check", "--json", url=api.url)

    lines = lines_in(done)
    assert set(states(lines, "open")) == {
        "connection: rate limit",
        "connection: clock",
        "lists: rows a page",
        "lists: `per_page` in `next`",
        "lists: address in `next`",
        "lists: `links` and `meta`",
        "lists: one record",
        "lists: dates by day",
        "customers: attributes",
        "customers: values",
        "customers: dates",
    }
    assert lines["size: customers"] == ("ok", "About 230.")
    assert done.code == 0


@pytest.mark.parametrize("customers", [1, 230])
async def test_no_private_value_is_shown(tmp_path: Path, customers: int) -> None:
    """No value, id or key is shown, also if the server differs in many ways."""
    report = tmp_path / "report.md"
    told = ""
    others: tuple[Difference, ...] = ("no offsets", "broken seats", "no links", "more by id", "refuses the filter")
    people: tuple[Difference, ...] = ("names of people",)
    for ways in ((), TEN + people, others + people):
        async with differing(*ways, customers=customers) as api:
            as_json = await run("check", "--json", "--report", str(report), url=api.url)
            in_lines = await run("check", url=api.url)
        told += as_json.out + in_lines.out + report.read_text()

    assert ("loyalty_points" in told) is (customers > 1)
    assert "zzqname" not in told
    assert PRIVATE.lower() not in told.lower()
    assert KEY not in told
    assert not re.search(r"@|127\.0\.0\.1|10\.1\.2\.3|skl-|\b(cst|csn|evt|ven|dat|bkg|sea)-|01632|2026-0|19:30", told)


async def test_an_attribute_name_of_a_single_record_is_not_shown() -> None:
    """It may be the name of a person. This holds for records, for links, and for `links` and `meta` of a list."""
    async with differing("names of people") as api:
        lines = await checked(api)

    assert lines["customers: attributes"][1] == (
        "Not documented, kept in `extra`: (a name that may be data) (true or false), links.(a name that may be "
        "data) (text)."
    )
    assert lines["lists: `links` and `meta`"][1] == (
        "Not documented: links.(a name that may be data), meta.(a name that may be data)."
    )
    assert lines["lists: `per_page` in `next`"][1] == ("`next` has no `page`, but (a name that may be data), per_page.")
    assert lines["lists: one record"][1] == "Only in the list, or only in the answer by id: (a name that may be data)."


async def test_the_report_has_the_kinds_of_values_at_each_path(tmp_path: Path) -> None:
    """So others can see how the API really is."""
    async with differing("odd values", "unknown attributes") as api:
        await run("check", "--report", str(tmp_path / "report.md"), url=api.url)

    report = (tmp_path / "report.md").read_text().splitlines()
    assert "| `consent.email` | whole number (230) |  |  |" in report
    assert "| `membership.start_date` | text (230) | 99.99.9999 (230) |  |" in report
    assert "| `loyalty_points` | whole number (230) |  | not documented |" in report
    assert "| ok | connection: key | The API accepts the key. |" in report


@pytest.mark.parametrize("customers", [0, 1, 2, 99, 100, 101, 1000, 4321, 100_000, 150_000])
async def test_the_check_estimates_the_number_of_customers(customers: int) -> None:
    """It uses the requests that are left. An export needs one request a page."""
    async with Sandbox(customers, rate_limit=None) as box:
        lines = await checked(box)

    pages = max(1, -(-customers // 100))
    said = [int(number.replace(",", "")) for number in re.findall("[0-9,]+", lines["size: customers"][1])]
    requests = int(re.findall("[0-9,]+", lines["size: export"][1])[0].replace(",", ""))
    if customers < 100_000:
        assert said == ([round(customers, -max(0, len(str(customers)) - 2))] if customers else [])
        assert requests == pages
    else:
        assert said[0] <= customers <= said[-1]
        assert requests * 100 <= said[-1]
        assert requests >= pages
    assert len(box.requests) <= MOST_REQUESTS


async def test_an_empty_box_office_is_open_and_not_failed() -> None:
    """Without records, nothing can be odd."""
    async with differing("no rows") as api:
        done = await run("check", "--json", url=api.url)

    lines = lines_in(done)
    assert done.code == 0
    assert states(lines, "open") == {}
    assert lines["size: customers"] == ("ok", "None.")
    assert lines["customers: records"] == ("open", "None read: the lists are empty.")
    assert lines["lists: order"] == ("open", "Not known: no customer was read.")
    assert lines["seats: records"] == ("open", "None read: no record was found that has such a list.")


async def test_pages_are_checked_even_if_all_customers_fit_on_one() -> None:
    """The check then requests pages of one customer each."""
    async with differing("drops per_page", customers=3) as api:
        lines = await checked(api)

    assert lines["lists: rows a page"] == ("ok", "The API sends 100 rows a page, as requested.")
    assert lines["lists: `per_page` in `next`"][0] == "odd"
    assert lines["lists: page numbers"] == ("ok", "With one row a page, page 2 has the second row of the list.")


@pytest.mark.parametrize("status", [500, 503])
async def test_a_check_never_makes_more_requests_than_it_announces(status: int) -> None:
    """This holds even if each request is tried twice."""
    async with Sandbox(150_000, rate_limit=None) as box:
        for path in ("/events", "/customers"):
            box.fail(path=path, after=1 if path == "/customers" else 0, times=None, status=status)
        done = await run("check", "--json", box=box)

    assert len(box.requests) <= MOST_REQUESTS
    assert json.loads(done.out)["requests"] == len(box.requests)
    assert done.code == 75
    assert f"ServerError ({status})" in lines_in(done)["events: records"][1]


async def test_retries_and_redirects_count_as_requests() -> None:
    """This is the worst case: each call takes two requests, and more with a failure."""
    async with differing("redirects", "broken seats", customers=5000) as api:
        done = await run("check", "--json", url=api.url)

    assert len(api.asked) <= MOST_REQUESTS
    assert json.loads(done.out)["requests"] == len(api.asked)


async def test_a_key_that_is_not_accepted_is_reported(box: Sandbox) -> None:
    """The check makes one request only."""
    done = await run("check", "--json", box=box, key="skl-wrong")

    lines = lines_in(done)
    assert done.code == 4
    assert lines["connection: key"][0] == "failed"
    assert "it is wrong, revoked or of another account" in lines["connection: key"][1]
    assert lines["connection: firewall"][0] == "ok"
    assert len(box.requests) == 1
    assert "skl-wrong" not in done.out + done.err
    assert "No valid API Key provided" in done.err


async def test_a_key_without_permission_to_read_is_reported(box: Sandbox) -> None:
    """Here the API itself refuses."""
    box.fail(status=403, times=None)

    done = await run("check", "--json", box=box)

    assert done.code == 4
    assert lines_in(done)["connection: key"] == (
        "failed",
        "The key is valid but may not read this: ask the owner of the account.",
    )


async def test_for_a_firewall_the_check_says_what_to_ask_support_for(box: Sandbox) -> None:
    """The firewall does not say whether the key is good."""
    box.fail(status=403, html=True, times=None)

    done = await run("check", "--json", box=box)

    lines = lines_in(done)
    assert done.code == 1
    assert lines["connection: firewall"][0] == "failed"
    assert "Ask TicketSource support for the user agent" in lines["connection: firewall"][1]
    assert "TICKETSOURCE_USER_AGENT" in lines["connection: firewall"][1]
    assert lines["connection: key"][0] == lines["connection: reached"][0] == "open"
    assert len(box.requests) == 1


async def test_for_a_firewall_that_refuses_a_set_user_agent_the_check_says_so(
    box: Sandbox,
) -> None:
    """It would not help to set it once more."""
    box.fail(status=403, html=True, times=None)
    agent = {"TICKETSOURCE_USER_AGENT": "Example/1 (private)"}

    process = await start("check", "--json", box=box, env=agent)
    out, err = await process.communicate()

    assert process.returncode == 1
    assert "TICKETSOURCE_USER_AGENT is set already: ask whether its value is still right." in out.decode()
    assert "Example/1" not in (out + err).decode()


async def test_the_errors_of_a_refused_key_are_used_for_the_other_lines() -> None:
    """They have a request id. The lines that need a good answer are open."""
    async with differing("refuses the key") as api:
        done = await run("check", "--json", url=api.url)
        in_lines = await run("check", url=api.url)

    lines = lines_in(done)
    assert done.code == in_lines.code == 4
    assert lines["connection: request id"] == ("ok", "Errors have one. Tell it to TicketSource support.")
    assert lines["connection: clock"] == lines["connection: rate limit"]
    assert lines["connection: clock"] == ("open", "Not known: no good answer came.")
    assert {name.partition(":")[0] for name in lines} == {"connection"}
    assert re.search(r"\nNothing else was checked\.\n[0-9]+ ok, 0 odd, 2 open, 2 failed\n\Z", in_lines.out)


async def test_the_request_id_of_a_firewall_is_reported(box: Sandbox, tmp_path: Path) -> None:
    """Support can find the request by it."""
    box.fail(status=403, html=True, headers={"CF-Ray": "r-1"}, times=None)

    done = await run("check", "--report", str(tmp_path / "report.md"), box=box)

    assert "  ok      request id: Errors have one." in done.out
    assert "  open    rate limit: Not known: no good answer came." in done.out
    assert (tmp_path / "report.md").read_text().endswith("\n\nNothing else was checked.\n")


async def test_a_key_that_is_refused_after_good_answers_is_failed() -> None:
    """It was revoked meanwhile, or the API has a fault."""
    async with Sandbox(300, rate_limit=None) as box:
        box.fail(path="/events", status=401, times=None)
        done = await run("check", "--json", box=box)

    lines = lines_in(done)
    assert done.code == 4
    assert lines["connection: key"] == (
        "failed",
        "The API accepted the key at first, and refused it later: ask the owner of the account.",
    )
    assert lines["customers: records"] == ("ok", "200 read.")
    assert lines["events: records"][0] == "failed"
    assert lines["lists: dates by day"] == ("open", "Not known: the check stopped early.")
    assert lines["bookings: records"] == ("open", "None read: the check stopped early.")
    assert lines["size: customers"][1] == "At least 200. Not known: the check stopped early."


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 500}, {"status": 200, "html": True}])
async def test_an_unknown_id_is_open_if_every_call_fails_in_the_same_way(box: Sandbox, fault: Any) -> None:
    """The check cannot know then how the API answers for a deleted customer."""
    box.fail(times=None, **fault)

    lines = lines_in(await run("check", "--json", box=box))

    state, says = lines["lists: unknown id"]
    assert state == "open"
    assert says.startswith("Not known: the list of customers failed in the same way. GET /customers/{id} ended in ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("path", ["/customers", "/events"])
async def test_an_interruption_of_a_wait_is_reported_as_an_interruption(number: signal.Signals, path: str) -> None:
    """The report does not say that the API has no answer or that no request was left."""
    async with Sandbox(300, rate_limit=None) as box:
        box.fail(path=path, status=429, headers={"Retry-After": "50"}, times=None)
        process = await start("check", box=box)
        assert process.stderr is not None
        while b"waiting" not in (line := await process.stderr.readline()) and line:
            pass
        process.send_signal(number)
        out, _ = await process.communicate()

    told = out.decode()
    assert process.returncode == 128 + number
    assert "  failed  rate limit: The API says that there were too many requests." in told
    if path == "/customers":
        assert "  open    key: Not known: the check was interrupted." in told
        assert "  open    clock: Not known: the check was interrupted." in told
        assert told.endswith("Nothing else was checked.\n")
    else:
        assert "  ok      key: The API accepts the key." in told
        assert "  open    dates by day: Not known: the check was interrupted." in told
        assert "  open    records: None read: the check was interrupted." in told
        assert "  open    customers: Not known: the check was interrupted." in told
    assert "no request was left" not in told


async def test_an_html_page_is_not_an_answer_of_the_api(box: Sandbox) -> None:
    """This holds even with status 200."""
    box.fail(status=200, html=True, times=None)

    done = await run("check", "--json", box=box)

    assert done.code == 1
    assert "GET /customers ended in InvalidResponse (200)" in lines_in(done)["connection: answers"][1]
    assert "an HTML page titled" in done.err


async def test_a_redirect_to_another_host_is_not_followed(box: Sandbox) -> None:
    """The key would be sent there."""
    box.fail(status=301, headers={"Location": "https://elsewhere.example/"}, body="", times=None)

    done = await run("check", "--json", box=box)

    lines = lines_in(done)
    assert done.code == 1
    assert lines["connection: redirects"][0] == "odd"
    assert lines["connection: answers"][0] == "failed"
    assert "elsewhere" not in done.out


async def test_for_too_many_requests_the_exit_code_means_try_again_later(box: Sandbox) -> None:
    """If the API asks for a long wait, the check ends."""
    box.fail(status=429, headers={"Retry-After": "1000"}, times=None)

    done = await run("check", "--json", box=box)

    assert done.code == 75
    assert lines_in(done)["connection: rate limit"][0] == "failed"


async def test_for_a_refused_connection_the_exit_code_means_try_again_later() -> None:
    """The lines say which step failed."""
    done = await run("check", "--json", url="http://127.0.0.1:1")

    lines = lines_in(done)
    assert done.code == 75
    assert lines["connection: reached"] == (
        "failed",
        "ConnectFailed ended the check before any answer came. Try again later.",
    )
    assert lines["connection: key"][0] == "open"
    assert {name.partition(":")[0] for name in lines} == {"connection"}


async def test_an_unknown_host_name_is_reported() -> None:
    """The steps after it are open."""
    done = await run("check", "--json", "--no-proxy", url="https://nobody.invalid")

    lines = lines_in(done)
    assert done.code == 75
    assert lines["connection: name resolution"][0] == "failed"
    assert lines["connection: TLS"][0] == "open"
    assert "nobody.invalid" not in done.out


async def test_an_untrusted_certificate_is_reported() -> None:
    """No request was sent to such a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with differing(tls=context) as api:
        done = await run("check", "--json", "--no-proxy", url=api.url)

    lines = lines_in(done)
    assert done.code == 75
    assert lines["connection: TLS"][0] == "failed"
    assert "SSL_CERT_FILE" in done.err
    assert api.asked == []


async def test_a_base_url_with_a_password_is_refused_and_not_shown() -> None:
    """A password must not be in the URL."""
    done = await run("check", url="https://karl:geheim@api.example.com")

    assert done.code == 2
    assert "geheim" not in done.out + done.err


async def test_without_a_key_the_check_says_how_to_set_one() -> None:
    """Every command does so."""
    done = await run("check")

    assert (done.code, done.out) == (4, "")
    assert "Set the environment variable TICKETSOURCE_API_KEY" in done.err


async def test_a_check_of_the_sandbox_needs_no_key() -> None:
    """Users can see what a check looks like."""
    done = await run("check", "--sandbox", "--quiet")

    assert (done.code, done.err) == (0, "")
    assert "  odd     attributes: Not documented, kept in `extra`: settled (true or false)." in done.out
    assert done.out.endswith(" 0 failed\n")


async def test_a_report_needs_an_existing_folder_and_a_file(box: Sandbox, tmp_path: Path) -> None:
    """A missing folder ends the command before any request. The report cannot go to stdout."""
    missing = await run("check", "--quiet", "--report", str(tmp_path / "none" / "report.md"), box=box)
    stdout = await run("check", "--report", "-", box=box)

    assert missing.code == 1
    assert f"there is no folder {tmp_path / 'none'}." in missing.err
    assert not box.requests
    assert stdout.code == 2


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (b"1\n", "odd", "The times are local times, although they are written with +00:00. Do not convert them."),
        (b"2\n", "ok", "The offset +00:00 is correct in summer too. Convert the times to local time."),
        (b"?\n", "open", "Not known whether this is the local time"),
        (b"\n", "open", "Not known whether this is the local time"),
    ],
)
async def test_the_user_is_asked_for_the_local_time_of_a_date_in_summer(
    box: Sandbox, tmp_path: Path, answer: bytes, state: str, words: str
) -> None:
    """Only the user knows it. The question shows both possible times, and the report has neither.

    If it is neither of them, the offset is not known.
    """
    report = tmp_path / "report.md"

    code, shown = await on_terminal("check", "--report", str(report), box=box, answer=answer, stdin=True)

    assert code == 0
    asked = re.search(
        r"as 2026-0[4-9]-[0-9]{2}T([0-9]{2}):30:00\+00:00\.\r?\n'[^']+' on [0-9]{1,2} [A-Z][a-z]+ 2026: at which local "
        r"time does it start\? Type 1 for ([0-9]{2}):30, 2 for ([0-9]{2}):30, or \? if neither",
        shown,
    )
    assert asked is not None, shown
    assert int(asked[1]) == int(asked[2]) == int(asked[3]) - 1
    text = report.read_text()
    assert f"| {state} | times: summer |" in text
    assert words in text
    assert "2026-" not in text


async def test_no_question_is_asked_if_stdin_is_not_a_terminal(box: Sandbox) -> None:
    """Only stdout is a terminal."""
    code, shown = await on_terminal("check", box=box)

    assert code == 0
    assert "local time does it start" not in shown


async def test_ctrl_c_at_the_question_ends_the_check(box: Sandbox) -> None:
    """The lines were printed before."""
    code, shown = await on_terminal("check", box=box, stdin=True, interrupt_at=b"do not know [?]: ")

    assert code == 130
    assert "customers: About 25." in shown
    assert "Traceback" not in shown


async def test_ctrl_c_prints_the_lines_that_are_known(tmp_path: Path) -> None:
    """The other lines are open, and there is no report."""
    async with Sandbox(300, rate_limit=None) as box:
        box.fail(path="/events", times=None, slow=60)
        process = await start("check", "--report", str(tmp_path / "report.md"), box=box)
        await until(lambda: any(request.path == "/events" for request in box.requests))
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

    assert process.returncode == 130
    assert "key: The API accepts the key." in out.decode()
    assert "open    records: None read: the check was interrupted." in out.decode()
    assert "open    dates by day: Not known: the check was interrupted." in out.decode()
    assert "Traceback" not in err.decode()
    assert not (tmp_path / "report.md").exists()


async def test_the_json_has_the_kinds_of_values_at_each_path(many: Sandbox) -> None:
    """It is for programs."""
    done = await run("check", "--json", "--quiet", box=many)

    found: dict[str, Any] = json.loads(done.out)
    assert done.err == ""
    assert found["records"]["customer"]["read"] == 300
    assert found["records"]["customer"]["fields"]["consent.email"] == {"true or false": 300}
    assert found["records"]["event"]["unknown"] == {"settled": {"true or false": 20}}


ODD_BODIES = (
    "[]",
    "{}",
    '"text"',
    '{"data": "text"}',
    '{"data": {"id": "cst-1"}}',
    '{"data": [1, null, "text", [], {}, {"id": null}]}',
    '{"data": {"3": {"id": "cst-1", "type": "customer", "attributes": [], "links": []}}}',
    '{"data": [{"id": 5, "type": null, "attributes": {"start": 5, "": 1}, "links": "x"}], "links": {"next": {"a": 1}}}',
    '{"data": [{"id": "evt-1", "attributes": {"start": "9999-12-31T00:00:00Z"}, "links": [1]}], "meta": {"to": []}}',
    '{"data": [{"id": "dat-1", "attributes": {"start": "2026-06-31T00:00:00Z"}}], "links": {"next": "http://[::1"}}',
    '{"data": [{"id": "dat-1", "attributes": {"start": "0001-06-30T00:00:00Z"}}], "links": {"next": "?cursor=x"}}',
    '{"data": [{"id": "x", "attributes": {"address": {"line_1": {}}, "lines": {"5": []}, "": "\\ud800"}}], "links": 1}',
)


@pytest.mark.parametrize("body", ODD_BODIES)
async def test_no_odd_answer_stops_the_check(box: Sandbox, body: str) -> None:
    """The check reports what it can, even if rows, links or values have another form."""
    box.fail(status=200, body=body, times=None)

    as_json = await run("check", "--json", box=box)
    in_lines = await run("check", box=box)

    assert as_json.code == in_lines.code == 1
    assert states(lines_in(as_json), "odd", "open")
    assert as_json.err.count("ticketsource:") == 0
    assert len(box.requests) <= 2 * MOST_REQUESTS


async def test_a_page_that_fails_while_customers_are_counted_is_reported() -> None:
    """An export would fail at it too."""
    async with Sandbox(5000, rate_limit=None) as box:
        box.fail(path="/customers", page=4, times=None, status=500)
        done = await run("check", "--json", box=box)

    lines = lines_in(done)
    assert done.code == 75
    assert lines["customers: records"] == ("failed", "GET /customers ended in ServerError (500).")
    assert lines["size: customers"][0] == "open"


async def test_a_server_that_ignores_per_page_is_reported() -> None:
    """It sends all rows at once."""
    async with differing("no links", customers=500) as api:
        rows = await checked(api)
        api.ways.add("all at once")
        lines = await checked(api)

    assert rows["lists: rows a page"][0] == "ok"
    assert lines["lists: rows a page"] == (
        "odd",
        "The API ignores `per_page`: more than the requested 100 rows came.",
    )
    assert lines["lists: page numbers"][0] == "failed"
