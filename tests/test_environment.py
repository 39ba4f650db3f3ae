"""The switches in the environment: the log, and a file with the API key."""

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest
from command import start
from mocked import KEY, ONCE
from processes import pointed_at
from test_secrets import ours_of

from ticketsource_async import (
    AccessBlocked,
    AttemptEvent,
    CallEvent,
    ConfigurationError,
    CustomerDraft,
    InvalidResponse,
    OutcomeUnknown,
    ServerError,
    TicketSource,
)
from ticketsource_async.sandbox import Sandbox

PROGRAM = """
import asyncio, logging
from ticketsource_async import TicketSource

{setup}

async def main():
    async with TicketSource.from_env() as ts:
        await ts.customers.list(max_items=1).collect()
        {then}
        await ts.request("GET", "/events")

asyncio.run(main())
"""


async def said_by(box: Sandbox, log: str, setup: str = "", then: str = "") -> str:
    """Run a program with TICKETSOURCE_LOG set, and return what it has written to stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM.format(setup=setup, then=then)),
        env={**pointed_at(box), "TICKETSOURCE_LOG": log},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return err.decode()


async def test_a_program_without_logging_shows_each_request_if_asked(box: Sandbox) -> None:
    """One line for each attempt, with its time, and never the key."""
    box.fail(status=503, headers={"CF-Ray": "r-7"})
    told = await said_by(box, "debug")
    lines = told.splitlines()

    assert len(lines) == 4
    assert (
        " DEBUG ticketsource_async: GET /customers?page=1&per_page=100: ServerError (request id r-7) after" in lines[0]
    )
    assert (
        " INFO ticketsource_async: GET /customers: attempt 1 of 4 ended in ServerError. The next attempt is in"
        in lines[1]
    )
    assert "GET /customers?page=1&per_page=100 (attempt 2): 200 after" in lines[2]
    assert "GET /events: 200 after" in lines[3]
    assert box.api_key not in told


@pytest.mark.parametrize(("log", "lines"), [("INFO", 1), ("", 0)])
async def test_info_shows_only_what_went_wrong_and_nothing_is_the_default(box: Sandbox, log: str, lines: int) -> None:
    """Retries and pauses, in whatever letters it is asked for."""
    box.fail(status=503)

    assert (await said_by(box, log)).count("\n") == lines


async def test_a_program_that_sets_up_logging_keeps_its_own(box: Sandbox) -> None:
    """Before the client or after it, nothing is written twice, and the level is theirs."""
    before = await said_by(box, "debug", setup="logging.basicConfig(level=logging.INFO, format='theirs %(message)s')")
    after = await said_by(box, "debug", then="logging.basicConfig(format='theirs %(message)s')")

    assert before == ""
    assert "theirs GET /customers" not in after
    assert after.count("GET /customers?page=1") == after.count("GET /events") == 1


async def test_a_level_that_there_is_not_is_told_once(box: Sandbox) -> None:
    """The program goes on."""
    told = await said_by(box, "loud", setup="TicketSource('skl-another')")

    assert told == "TICKETSOURCE_LOG must be debug or info: 'loud' is ignored.\n"


async def test_the_command_shows_its_log_on_stderr(box: Sandbox) -> None:
    """The rows stay alone on stdout."""
    process = await start("customers", "export", box=box, env={"TICKETSOURCE_LOG": "debug"})
    out, err = await process.communicate()

    assert process.returncode == 0
    assert out.count(b"cst-") == 25
    assert b"DEBUG ticketsource_async: GET /customers?page=1&per_page=100: 200 after" in err
    assert box.api_key.encode() not in err


@pytest.mark.parametrize("content", ["{key}", "{key}\n", "\ufeff{key}\r\n", "\n {key} \n"])
async def test_the_key_is_read_from_a_file(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """As secrets of Docker and Kubernetes are mounted, or Notepad writes one."""
    (tmp_path / "key").write_text(content.format(key=box.api_key))
    monkeypatch.setenv("TICKETSOURCE_API_KEY", "")
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", str(tmp_path / "key"))
    async with TicketSource.from_env(base_url=box.url) as ts:
        assert await ts.customers.list().first()


async def test_the_command_reads_the_key_from_a_file(box: Sandbox, tmp_path: Path) -> None:
    """And says what is wrong with the file."""
    (tmp_path / "key").write_text(box.api_key)
    ended = []
    for name in ("key", "none"):
        settings = {"TICKETSOURCE_API_KEY_FILE": str(tmp_path / name), "TICKETSOURCE_BASE_URL": box.url}
        process = await start("customers", "get", box.customers.ids(0, 1)[0], env=settings)
        out, err = await process.communicate()
        ended.append((process.returncode, bool(out), err.decode()))

    assert ended[0] == (0, True, "")
    assert ended[1][:2] == (2, False)
    assert "that TICKETSOURCE_API_KEY_FILE names cannot be read: No such file or directory" in ended[1][2]


def content_of(folder: Path, content: bytes | None) -> str:
    """Return the name of a file with this content, or of the folder itself."""
    if content is None:
        return str(folder)
    (folder / "key").write_bytes(content)
    return str(folder / "key")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: Is a directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (f"{KEY}\n{KEY}".encode(), "must have the API key in it, in one line"),
        *(
            (written.format(KEY).encode(), "must have the key alone, without a name or quotes")
            for written in (
                "TICKETSOURCE_API_KEY={}",
                "export TICKETSOURCE_API_KEY='{}'\n",
                '"{}"',
                "'{}'",
                "Bearer {}",
            )
        ),
        (KEY.encode() + b" " * 10_000, "is no file with a key: it has more than 10,000 bytes"),
        (f"{KEY}é".encode(), "must have the API key in it"),
        (KEY.encode("utf-16"), "must have the API key in it"),
    ],
)
def test_a_file_that_has_no_key_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    """And nothing that is in it."""
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", content_of(tmp_path, content))
    with pytest.raises(ConfigurationError, match=said) as caught:
        TicketSource.from_env()

    assert str(tmp_path) in str(caught.value)
    assert not any(KEY in seen for seen in [str(caught.value), *ours_of(caught.value)])
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TICKETSOURCE_API_KEY": "skl-a", "TICKETSOURCE_API_KEY_FILE": "/run/secrets/key"}, "are both set: unset one"),
        ({"TICKETSOURCE_API_KEY_FILE": KEY}, "The key itself belongs in TICKETSOURCE_API_KEY"),
        ({"TICKETSOURCE_API_KEY_FILE": ""}, "or TICKETSOURCE_API_KEY_FILE to a file with it"),
    ],
)
def test_variables_that_cannot_be_meant_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    """Without the key in the error."""
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        TicketSource.from_env()

    assert not any(KEY in seen for seen in [str(caught.value), *ours_of(caught.value)])


@pytest.mark.parametrize("written", [" {}", "{} ", '"{}"', "'{}'", "Bearer {}", "basic {}", "/run/{}", "x={}"])
@pytest.mark.parametrize("key", [KEY, KEY.upper()])
def test_a_key_in_the_place_of_a_file_is_never_shown(monkeypatch: pytest.MonkeyPatch, written: str, key: str) -> None:
    """However it is written: the error says where the key belongs."""
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", written.format(key))
    with pytest.raises(ConfigurationError, match=r"must be the name of a file\. The key itself belongs in") as caught:
        TicketSource.from_env()

    assert not any(key in seen for seen in [str(caught.value), *ours_of(caught.value)])
    assert caught.value.__context__ is None


def test_a_base64_of_the_key_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands in a header of `Basic`."""
    written = base64.b64encode(f"{KEY}:".encode()).decode()
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", written)
    with pytest.raises(ConfigurationError, match="must be the name of a file") as caught:
        TicketSource.from_env()

    assert written not in str(caught.value)


def test_a_file_whose_name_looks_like_a_key_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only its name is not shown."""
    (tmp_path / "skl-of-the-theatre").write_text(KEY)
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", str(tmp_path / "skl-of-the-theatre"))

    assert KEY not in repr(TicketSource.from_env())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 500}, ServerError),
        ({"status": 403, "html": True}, AccessBlocked),
        ({"status": 200, "body": "[]"}, InvalidResponse),
        ({"status": 200, "body": '{"data": [5]}'}, InvalidResponse),
        ({"status": 302}, InvalidResponse),
    ],
)
async def test_errors_and_events_name_the_request_as_the_api_does(box: Sandbox, fault: Any, kind: Any) -> None:
    """For questions to TicketSource support; Cloudflare's own id if the API has none, and no key in it."""
    events: list[CallEvent] = []
    box.fail(headers={"CF-Ray": f"ray-{box.api_key}"}, **fault)
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE, on_event=events.append) as ts:
        with pytest.raises(kind, match=r"\(request id ray-\*\*\*\)") as caught:
            await ts.customers.list().collect()
        await ts.customers.list().collect()

    assert caught.value.request_id == "ray-***"
    assert [event.request_id for event in events if isinstance(event, AttemptEvent)] == ["ray-***", None]


async def test_a_write_of_unknown_outcome_names_its_request(box: Sandbox, ts: TicketSource) -> None:
    """That of the attempt that may have been carried out."""
    box.fail(status=502, headers={"X-Request-Id": "r-1", "CF-Ray": "r-2"})
    with pytest.raises(OutcomeUnknown) as caught:
        await ts.customers.create(CustomerDraft(first_name="x"))

    assert caught.value.request_id == "r-1"
