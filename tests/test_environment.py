"""Variables of the environment: the log level, and the file with the API key."""

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


async def test_the_log_level_debug_shows_each_request(box: Sandbox) -> None:
    """Each attempt has one line with its time, without the key."""
    box.fail(status=503, headers={"CF-Ray": "r-7"})
    told = await said_by(box, "debug")
    lines = told.splitlines()

    assert len(lines) == 4
    assert (
        " DEBUG ticketsource_async: GET /customers?page=1&per_page=100: ServerError (request id r-7) after" in lines[0]
    )
    assert " INFO ticketsource_async: GET /customers: attempt 1 of 4 ended in ServerError, the next is in" in lines[1]
    assert "GET /customers?page=1&per_page=100 (attempt 2): 200 after" in lines[2]
    assert "GET /events: 200 after" in lines[3]
    assert box.api_key not in told


@pytest.mark.parametrize(("log", "lines"), [("INFO", 1), ("", 0)])
async def test_the_log_level_info_shows_only_retries_and_an_empty_level_nothing(
    box: Sandbox, log: str, lines: int
) -> None:
    """Capitals in the name of the level make no difference."""
    box.fail(status=503)

    assert (await said_by(box, log)).count("\n") == lines


async def test_a_program_that_sets_up_logging_keeps_its_setup(box: Sandbox) -> None:
    """It may do so before it makes the client, or after. Nothing is logged twice, and the program sets the level."""
    before = await said_by(box, "debug", setup="logging.basicConfig(level=logging.INFO, format='theirs %(message)s')")
    after = await said_by(box, "debug", then="logging.basicConfig(format='theirs %(message)s')")

    assert before == ""
    assert "theirs GET /customers" not in after
    assert after.count("GET /customers?page=1") == after.count("GET /events") == 1


async def test_an_unknown_log_level_is_reported_once(box: Sandbox) -> None:
    """The program is not stopped."""
    told = await said_by(box, "loud", setup="TicketSource('skl-another')")

    assert told == "TICKETSOURCE_LOG must be debug or info: 'loud' is ignored.\n"


async def test_the_command_shows_its_log_on_stderr(box: Sandbox) -> None:
    """Only the rows are on stdout."""
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
    """Secrets of Docker and Kubernetes are such files. Notepad may add a byte order mark or spaces."""
    (tmp_path / "key").write_text(content.format(key=box.api_key))
    monkeypatch.setenv("TICKETSOURCE_API_KEY", "")
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", str(tmp_path / "key"))
    async with TicketSource.from_env(base_url=box.url) as ts:
        assert await ts.customers.list().first()


async def test_the_command_reads_the_key_from_a_file(box: Sandbox, tmp_path: Path) -> None:
    """An error says what is wrong with the file."""
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
def test_the_error_names_a_file_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    """The error shows nothing of its content."""
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
def test_wrong_variables_for_the_key_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    """The error does not show the key."""
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        TicketSource.from_env()

    assert not any(KEY in seen for seen in [str(caught.value), *ours_of(caught.value)])


@pytest.mark.parametrize("written", [" {}", "{} ", '"{}"', "'{}'", "Bearer {}", "basic {}", "/run/{}", "x={}"])
@pytest.mark.parametrize("key", [KEY, KEY.upper()])
def test_a_key_in_place_of_a_file_name_is_not_shown(monkeypatch: pytest.MonkeyPatch, written: str, key: str) -> None:
    """The error says where the key belongs."""
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", written.format(key))
    with pytest.raises(ConfigurationError, match=r"must be the name of a file\. The key itself belongs in") as caught:
        TicketSource.from_env()

    assert not any(key in seen for seen in [str(caught.value), *ours_of(caught.value)])
    assert caught.value.__context__ is None


def test_a_base64_key_in_place_of_a_file_name_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `Basic` header has the key in this form."""
    written = base64.b64encode(f"{KEY}:".encode()).decode()
    monkeypatch.delenv("TICKETSOURCE_API_KEY", raising=False)
    monkeypatch.setenv("TICKETSOURCE_API_KEY_FILE", written)
    with pytest.raises(ConfigurationError, match="must be the name of a file") as caught:
        TicketSource.from_env()

    assert written not in str(caught.value)


def test_a_file_whose_name_looks_like_a_key_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only errors do not show its name."""
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
async def test_errors_and_events_have_the_request_id_of_the_answer(box: Sandbox, fault: Any, kind: Any) -> None:
    """TicketSource support can look it up. If the API sends none, it is the id of Cloudflare, with the key masked."""
    events: list[CallEvent] = []
    box.fail(headers={"CF-Ray": f"ray-{box.api_key}"}, **fault)
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE, on_event=events.append) as ts:
        with pytest.raises(kind, match=r"\(request id ray-\*\*\*\)") as caught:
            await ts.customers.list().collect()
        await ts.customers.list().collect()

    assert caught.value.request_id == "ray-***"
    assert [event.request_id for event in events if isinstance(event, AttemptEvent)] == ["ray-***", None]


async def test_a_write_of_unknown_outcome_has_its_request_id(box: Sandbox, ts: TicketSource) -> None:
    """It is the id of the attempt that may have taken effect."""
    box.fail(status=502, headers={"X-Request-Id": "r-1", "CF-Ray": "r-2"})
    with pytest.raises(OutcomeUnknown) as caught:
        await ts.customers.create(CustomerDraft(first_name="x"))

    assert caught.value.request_id == "r-1"
