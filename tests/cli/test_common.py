"""The command as a process: its output, the files it leaves, and its exit code."""

import asyncio
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from aiohttp import web
from command import EXPORT, on_terminal, run, run_with_streams, start, table
from lists import Query, ordinary, people, serving
from loops import until

from ticketsource_async import __version__, cli as cli_package
from ticketsource_async.cli import setting_lines
from ticketsource_async.cli.options import COMMANDS
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting


async def test_without_a_key_one_line_names_both_ways_to_continue() -> None:
    """The exit code is 4. The line names the variable for the key and `--sandbox`."""
    done = await run(*EXPORT)

    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert "TICKETSOURCE_API_KEY" in done.err
    assert "--sandbox" in done.err


async def test_a_file_is_written_atomically(many: Sandbox, tmp_path: Path) -> None:
    """A run that fails leaves the old file and no other. A run that succeeds replaces it."""
    target = tmp_path / "customers.csv"
    target.write_text("old")
    many.fail(page=3, status=501)

    failed = await run(*EXPORT, "-o", str(target), box=many)
    kept = target.read_text()
    done = await run(*EXPORT, "-o", str(target), box=many)

    assert (failed.code, kept) == (75, "old")
    assert (done.code, done.out) == (0, "")
    assert len(table(target.read_text("utf-8"))) == 300
    assert [p.name for p in tmp_path.iterdir()] == ["customers.csv"]


async def test_a_new_file_is_private_and_an_existing_one_keeps_its_mode(many: Sandbox, tmp_path: Path) -> None:
    """A new file has mode 600. The part file of another run is unchanged."""
    new, shared, other = tmp_path / "new.csv", tmp_path / "shared.csv", tmp_path / "new.csv.other.part"
    shared.write_text("old")
    shared.chmod(0o640)
    other.write_text("of another run")

    for target in (new, shared):
        assert (await run(*EXPORT, "-o", str(target), box=many)).code == 0

    assert [path.stat().st_mode & 0o777 for path in (new, shared)] == [0o600, 0o640]
    assert other.read_text() == "of another run"


async def test_a_file_is_written_through_a_symbolic_link(many: Sandbox, tmp_path: Path) -> None:
    """The link remains."""
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")

    await run(*EXPORT, "-o", str(tmp_path / "link.csv"), box=many)

    assert (tmp_path / "link.csv").is_symlink()
    assert len(table((tmp_path / "real.csv").read_text("utf-8"))) == 300


async def test_a_file_that_cannot_be_written_is_reported_before_any_request(many: Sandbox, tmp_path: Path) -> None:
    """Here its folder is missing. The exit code is 1, and the message names the path."""
    target = tmp_path / "missing" / "x.csv"

    done = await run(*EXPORT, "-o", str(target), box=many)

    assert done.code == 1
    assert done.err == f"ticketsource: {target} cannot be written: there is no folder {target.parent}.\n"
    assert not many.requests


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"status": 429, "headers": {"Retry-After": "3600"}}, 75, "answered 429"),
        ({"status": 503, "times": None}, 75, "(attempt 4) was answered 503"),
        ({"cut": "before", "times": None}, 75, "connection broke"),
        ({"status": 401}, 4, "answered 401"),
        ({"status": 403}, 4, "answered 403"),
        ({"status": 403, "html": True}, 1, "user agent"),
        ({"status": 400}, 1, "answered 400"),
        ({"body": "<html>"}, 1, "HTML"),
        ({"next": "cursor", "times": 2}, 1, "must not be followed"),
    ],
)
async def test_a_failure_is_one_line_and_an_exit_code(
    many: Sandbox, ticketsource_no_waiting: object, fault: dict[str, object], code: int, said: str
) -> None:
    """Each kind of failure ends with its documented code and one line on stderr, without a traceback."""
    many.fail(**fault)  # type: ignore[arg-type]  # a table of keyword arguments

    done = await run(*EXPORT, box=many)

    assert done.code == code
    assert done.err.startswith("ticketsource: ")
    assert said in done.err
    assert done.err.count("\n") == 1


async def test_the_rows_of_an_endless_list_are_written_and_the_list_is_reported(tmp_path: Path) -> None:
    """One line says that rows may be missing, and the exit code is 1."""
    target = tmp_path / "customers.csv"

    def answer(query: Query) -> dict[str, object]:
        return {"data": people(3), "links": {"next": f"?page={int(query['page']) + 1}"}}

    async with serving(answer) as served:
        done = await run(*EXPORT, "-o", str(target), "--quiet", url=served.url)

    assert done.code == 1
    assert len(table(target.read_text())) == 3
    assert done.err == (
        "ticketsource: the list at /customers was not read beyond page 4: 3 pages in a row have only rows that came "
        "before. Rows may be missing.\n"
    )


async def test_a_row_that_makes_its_page_fail_is_left_out_and_reported(
    tmp_path: Path, ticketsource_no_waiting: object
) -> None:
    """The file has all other rows. One line says which row is missing, and the exit code is 1."""
    target = tmp_path / "customers.csv"

    def answer(query: Query) -> object:
        size = int(query["per_page"])
        failing = (int(query["page"]) - 1) * size <= 123 < int(query["page"]) * size
        return web.Response(status=500) if failing else ordinary(people(250), query)

    async with serving(answer) as served:
        done = await run(*EXPORT, "-o", str(target), "--quiet", url=served.url)

    assert done.code == 1
    assert len(table(target.read_text())) == 249
    assert done.err.startswith("ticketsource: Row 24 of page 2 of /customers cannot be read")
    assert done.err.count("\n") == 1


async def test_a_command_says_which_call_it_waits_for_and_how_long(tmp_path: Path) -> None:
    """The API asks for the wait, and then the command continues. With `--quiet`, it prints nothing."""
    asked_to_wait = iter([True, False, False, True])

    def answer(query: Query) -> object:
        if query["page"] == "2" and next(asked_to_wait):
            return web.Response(status=429, headers={"Retry-After": "9"})
        return ordinary(people(150), query)

    async with serving(answer) as served:
        with no_waiting():
            said = await run(*EXPORT, "-o", str(tmp_path / "a.csv"), url=served.url)
            _ = next(asked_to_wait)
            quiet = await run(*EXPORT, "-o", str(tmp_path / "b.csv"), "--quiet", url=served.url)

    assert (said.code, quiet.code) == (0, 0)
    assert said.err.splitlines()[0] == (
        "ticketsource: waiting: GET /customers failed (429 RateLimited). The next attempt is in 10 s."
    )
    assert quiet.err == ""


async def test_an_invalid_setting_in_the_environment_is_wrong_use(box: Sandbox) -> None:
    """The exit code for an invalid key is 2, and the key is not shown."""
    done = await run(*EXPORT, box=box, key="skl bad")

    assert done.code == 2
    assert "api_key" in done.err
    assert "skl bad" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        (*EXPORT, "--limit", "0"),
        (*EXPORT, "--format", "xml"),
        (*EXPORT, "--format", "jsonl", "--excel"),
        (*EXPORT, "--api-key", "x"),
        ("sandbox", "--port", "99999"),
        ("sandbox", "--api-key", ""),
    ],
)
async def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    """Unknown commands and options, invalid values, and a key as an argument are refused."""
    done = await run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err


async def test_the_command_has_a_version_and_help() -> None:
    """`--version` prints the version, `-h` the exit codes."""
    assert __version__ in (await run("--version")).out
    assert "75   try again later" in (await run("-h")).out


async def test_ctrl_c_ends_quietly_and_leaves_no_file(many: Sandbox, tmp_path: Path) -> None:
    """An interrupted export ends with 130, prints nothing, and leaves neither the file nor a part of it."""
    many.fail(page=2, slow=60)
    process = await start(*EXPORT, "-o", str(tmp_path / "x.csv"), box=many)
    await until(lambda: len(many.requests) >= 2)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert (process.returncode, out, err) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


async def test_a_closed_pipe_ends_quietly(many: Sandbox) -> None:
    """When the reader closes the pipe, the export ends with 0 and without a message."""
    process = await start(*EXPORT, box=many)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `head` does when it ends
    err = await process.stderr.read()

    assert (await process.wait(), err) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_sigterm_and_sighup_leave_no_file(many: Sandbox, tmp_path: Path, number: signal.Signals) -> None:
    """The exit code is 128 plus the signal's number, and the part file is removed."""
    many.fail(page=2, slow=60)
    process = await start(*EXPORT, "-o", str(tmp_path / "x.csv"), box=many)
    await until(lambda: len(many.requests) >= 2)
    process.send_signal(number)
    out, err = await process.communicate()

    assert (process.returncode, out, err) == (128 + number, b"", b"")
    assert list(tmp_path.iterdir()) == []


async def test_an_ignored_sighup_does_not_end_the_command(many: Sandbox, tmp_path: Path) -> None:
    """`nohup` relies on this."""
    many.fail(page=2, slow=0.4)
    process = await start(*EXPORT, "-o", str(tmp_path / "x.csv"), box=many, ignore="HUP")
    await until(lambda: len(many.requests) >= 2)
    process.send_signal(signal.SIGHUP)

    assert await process.wait() == 0
    assert len(table((tmp_path / "x.csv").read_text("utf-8"))) == 300


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "said"),
    [
        (">&-", ("customers", "export"), 1, "ticketsource: stdout cannot be written: it is closed.\n"),
        (">&-", ("customers", "get", "ID"), 1, "ticketsource: stdout cannot be written: it is closed.\n"),
        (">&-", ("customers", "export", "-o", "FILE"), 0, ""),
        ("2>&-", ("customers", "export", "--consent", "email"), 0, ""),
        ("2>&-", ("customers", "get", "cst-nobody"), 1, ""),
        ("<&-", ("customers", "delete", "ID"), 2, "stdin is closed, so the command cannot ask. Add --yes"),
    ],
)
async def test_a_closed_stream_causes_no_traceback(
    box: Sandbox, tmp_path: Path, closed: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """Without stdout nothing can be written, and without stdin no question can be asked."""
    given = {"ID": box.customers.ids()[0], "FILE": str(tmp_path / "x.csv")}
    arguments = tuple(given.get(part, part) for part in arguments)

    done = await run_with_streams(closed, *arguments, box=box)

    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
    assert len(box.customers) == 25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("customers", "create", "--last-name", "X"), "The customer is created."),
        (("customers", "update", "ID", "--last-name", "X"), "The update is done."),
        (("notes", "create", "ID", "X"), "The note is created."),
    ],
)
async def test_a_write_is_reported_even_if_nobody_reads_the_printed_record(
    box: Sandbox, arguments: tuple[str, ...], said: str
) -> None:
    """Otherwise the user would write it once more."""
    arguments = tuple(box.customers.ids()[0] if part == "ID" else part for part in arguments)
    box.fail(method="POST" if "create" in arguments else "PATCH", slow=0.3)
    process = await start(*arguments, box=box)
    assert process.stdout is not None
    assert process.stderr is not None
    await until(lambda: any(request.method != "GET" for request in box.requests))
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as a reader that dies
    err = await process.stderr.read()

    assert (await process.wait(), err.decode()) == (
        1,
        f"ticketsource: the program that reads the output ended early. {said}\n",
    )


@pytest.mark.parametrize(("to", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")])
async def test_a_write_is_reported_even_if_its_record_cannot_be_printed(box: Sandbox, to: str, why: str) -> None:
    """The message is on stderr."""
    done = await run_with_streams(to, "customers", "create", "--last-name", "X", box=box)

    assert len(box.customers) == 26
    assert (done.code, done.err) == (1, f"ticketsource: stdout cannot be written: {why}. The customer is created.\n")


@pytest.mark.parametrize("arguments", [("--help",), ("customers", "export", "--help"), ("completion", "bash")])
async def test_help_that_cannot_be_printed_ends_in_one_line(box: Sandbox, arguments: tuple[str, ...]) -> None:
    """A full disk is no reason for a traceback."""
    done = await run_with_streams(">/dev/full", *arguments, box=box)

    assert (done.code, done.err) == (1, "ticketsource: stdout cannot be written: No space left on device.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sandbox", "customers", "export"), "No such option '--sandbox'. Put options after the command, such as "),
        (("customers", "--sandbox", "export"), "No such option '--sandbox'. Put options after the command, such as "),
        ((*EXPORT, "a.xlsx"), "'a.xlsx' is one argument too many. To write to this file, use -o a.xlsx."),
        (("customers", "get", "Ann", "Lee"), "'Lee' is one argument too many. Put a text that has spaces in quotes"),
        (("programme", "export", "--format", "table"), "This command prints no table. To see one in Excel, write a "),
        ((*EXPORT, "--format", "excel"), "'excel' is not one of csv, tsv, json, jsonl, parquet, xlsx, html. For Excel"),
        (("events", "list", "--format", "xlsx"), "This command only prints, and xlsx cannot be printed. For Excel, "),
        ((*EXPORT, "--limit", "many"), "'many' is not a whole number of 1 or more."),
        ((*EXPORT, "--limit", "0"), "'0' is not a whole number of 1 or more."),
        (("sandbox", "--port", "65536"), "'65536' is not a whole number from 0 to 65535."),
        (("customers", "find", "ann", "--store", "x.db"), "To make it, run `customers changes --store x.db`."),
    ],
)
async def test_wrong_use_is_answered_with_what_to_do(arguments: tuple[str, ...], said: str) -> None:
    """The exit code is 2, and the text names the right option, format or command."""
    done = await run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


async def test_a_group_explains_itself_with_an_example_before_its_options() -> None:
    """So does the command as a whole, whose help also says where to put options."""
    whole, group = (await run("--help")).out, (await run("customers", "--help")).out

    assert whole.index("Examples:\n  ticketsource customers export --sandbox") < whole.index("\nOptions:")
    assert group.index("Example:\n  ticketsource customers export") < group.index("\nOptions:")


async def test_dev_stdout_is_written_to_like_a_pipe(many: Sandbox) -> None:
    """`/dev/stdout` is not replaced by a file."""
    done = await run_with_streams("", *EXPORT, "-o", "/dev/stdout", box=many)

    assert (done.code, len(table(done.out))) == (0, 300)


async def test_ctrl_c_at_a_question_ends_with_130(box: Sandbox) -> None:
    """Nothing is deleted. Without an answer, the exit code is 1."""
    ours, terminal = os.openpty()
    process = await start("customers", "delete", box.customers.ids()[0], box=box, stdin=terminal)
    assert process.stderr is not None
    assert b"for good?" in await process.stderr.readuntil(b"?")
    state = Path(f"/proc/{process.pid}/stat")
    await until(lambda: state.read_text().rpartition(") ")[2].startswith("S"))
    process.send_signal(signal.SIGINT)  # while the process waits in its read: a signal before the read would not end it
    _, err = await process.communicate()
    os.close(terminal)
    os.close(ours)

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert (await run("customers", "delete", box.customers.ids()[0], box=box)).code == 1
    assert [request.method for request in box.requests] == ["GET", "GET"]  # to ask by name


async def test_no_at_the_question_deletes_nothing(box: Sandbox) -> None:
    """The command says so, and ends with 1."""
    code, shown = await on_terminal("customers", "delete", box.customers.ids()[0], box=box, answer=b"n\n", stdin=True)

    assert code == 1
    assert shown.endswith("Nothing was deleted.\n")
    assert len(box.customers) == 25


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        ("posix", ["export A=http://127.0.0.1:80", "export B='it'\"'\"'s $5'"]),
        ("nt", ["$env:A = 'http://127.0.0.1:80'", "$env:B = 'it''s $5'"]),
    ],
)
def test_the_settings_of_the_sandbox_suit_the_shell(system: str, lines: list[str]) -> None:
    """PowerShell has another syntax for variables and for quotes."""
    assert setting_lines({"A": "http://127.0.0.1:80", "B": "it's $5"}, system) == lines


async def test_the_sandbox_command_serves_until_ctrl_c() -> None:
    """It prints the two variables to set, serves with them, and ends with 130 after Ctrl-C."""
    server = await start("sandbox", "--customers", "7", "--seed", "3", "--api-key", "skl-mine", "--rate-limit", "0")
    assert server.stdout is not None
    lines = [(await server.stdout.readline()).decode().strip() for _ in range(2)]
    settings = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticketsource_async", *EXPORT),
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
    )
    out, _ = await client.communicate()
    server.send_signal(signal.SIGINT)
    _, err = await server.communicate()

    assert len(table(out.decode())) == 7
    assert settings["TICKETSOURCE_API_KEY"] == "skl-mine"
    assert server.returncode == 130
    assert err.decode() == (
        "The sample box office has 7 customers. Copy both lines into a second terminal. To stop it, press Ctrl-C: your "
        "changes are gone then.\n"
    )


async def test_a_port_in_use_is_reported_in_one_line(box: Sandbox) -> None:
    """The sandbox ends with 1."""
    done = await run("sandbox", "--port", box.url.rpartition(":")[2])

    assert (done.code, done.out) == (1, "")
    assert "is in use by another program. Choose another --port" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("library", ["click", "rich", "tqdm"])
def test_without_the_extra_the_command_says_how_to_install_it(library: str) -> None:
    """If a library is missing, the command ends with 2 and prints the command to install it."""
    code = f"import sys; sys.modules['{library}'] = None; from ticketsource_async.__main__ import main; main()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pip install 'ticketsource-async[cli]'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_completes_the_command(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed script calls the command, which answers with its commands and options."""
    script = (await run("completion", shell)).out
    monkeypatch.setenv("_TICKETSOURCE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "ticketsource customers ex")
    monkeypatch.setenv("COMP_CWORD", "ex" if shell == "fish" else "2")

    completed = (await run()).out

    assert f"_TICKETSOURCE_COMPLETE={shell}_complete" in script
    assert "export" in completed
    assert "update" not in completed


def test_every_command_is_in_the_group_that_loads_it() -> None:
    """A command whose module does not have the name of its group would not be found."""
    for module in Path(cli_package.__file__).parent.glob("[a-z]*.py"):
        import_module(f"ticketsource_async.cli.{module.stem}")

    groups = {name: group for name, group in cli_package.cli.commands.items() if isinstance(group, click.Group)}
    alone = {"": {name: cli_package.cli.commands[name] for name in COMMANDS[""]}}
    assert {name: group.commands for name, group in groups.items()} | alone == COMMANDS
