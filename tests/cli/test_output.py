"""The files that the command writes, and the pipes and devices that it writes to."""

import asyncio
import errno
import os
import signal
import tempfile
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import click
import pytest
from command import EXPORT, run, run_with_streams, start, table
from loops import until
from nodes import NODES

from ticketsource_async.cli.common import run as run_coroutine
from ticketsource_async.output import open_output, temporary_file_for
from ticketsource_async.sandbox import Sandbox


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def _part_file_of_a_killed_export(target: Path, box: Sandbox) -> Path:
    """Kill an export to this file while it waits for its second page, and return its part file."""
    before = set(target.parent.iterdir())
    box.fail(page=2, slow=60)
    process = await start(*EXPORT, "-o", str(target), box=box)
    asked = len(box.requests)
    await until(lambda: len(box.requests) >= asked + 2)
    process.kill()
    await process.communicate()
    (part,) = set(target.parent.iterdir()) - before
    return part


async def test_the_part_file_of_a_killed_run_is_removed_by_the_next_run_to_that_file(
    many: Sandbox, tmp_path: Path
) -> None:
    """This holds even if the next run fails. The part file of another file remains."""
    target = tmp_path / "customers.csv"
    part = await _part_file_of_a_killed_export(target, many)
    of_another = await _part_file_of_a_killed_export(tmp_path / "more-customers.csv", many)
    await run(*EXPORT, "--format", "csv", "-o", str(tmp_path / "customers.csv.x"), box=many)
    there = part.exists()
    many.fail(page=3, status=501)
    failed = await run(*EXPORT, "-o", str(target), box=many)

    assert part.name.startswith("customers.csv.")
    assert (there, part.exists(), failed.code) == (True, False, 75)
    await _part_file_of_a_killed_export(target, many)
    assert (await run(*EXPORT, "-o", str(target), box=many)).code == 0
    assert _names(tmp_path) == sorted(["customers.csv", "customers.csv.x", of_another.name])


async def test_the_part_file_of_a_running_export_is_not_removed(many: Sandbox, tmp_path: Path) -> None:
    """Another run to the same file succeeds meanwhile."""
    target = tmp_path / "customers.csv"
    many.fail(page=2, slow=60)
    slow = await start(*EXPORT, "-o", str(target), box=many)
    await until(lambda: len(many.requests) >= 2)
    (part,) = tmp_path.iterdir()
    other = await run(*EXPORT, "-o", str(target), box=many)
    names = _names(tmp_path)
    slow.send_signal(signal.SIGTERM)
    await slow.communicate()

    assert (other.code, names) == (0, ["customers.csv", part.name])
    assert _names(tmp_path) == ["customers.csv"]


@pytest.mark.parametrize("kind", NODES)
async def test_a_node_with_the_name_of_a_part_file_is_not_removed(box: Sandbox, tmp_path: Path, kind: str) -> None:
    """It is not a regular file, so the command did not create it."""
    named = tmp_path / "customers.csv.ticketsource-abcd1234.part"
    NODES[kind](named)
    before = named.lstat()

    done = await run(*EXPORT, "-o", str(tmp_path / "customers.csv"), box=box)

    assert done.code == 0
    assert (named.lstat().st_ino, named.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_a_new_file_that_cannot_replace_the_old_one_is_kept_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On Windows, Excel may have the old file open. Here a folder has its name. The next run keeps the file, too."""
    target = tmp_path / "customers.csv"

    async def write(text: str, *, meanwhile: Callable[[], None]) -> None:
        with open_output(target, "utf-8") as stream:
            stream.write(text)
            meanwhile()

    with pytest.raises(click.exceptions.Exit) as ended:
        run_coroutine(write("whole", meanwhile=target.mkdir))
    (kept,) = (path for path in tmp_path.iterdir() if path != target)
    target.rmdir()
    run_coroutine(write("next", meanwhile=lambda: None))

    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        f"ticketsource: {target} cannot be written: Is a directory. The new file is complete and stays as {kept}: "
        "close the program that has customers.csv open, then rename it.\n"
    )
    assert (kept.read_text(), kept.suffix, target.read_text()) == ("whole", ".csv", "next")
    assert _names(tmp_path) == sorted([target.name, kept.name])


def test_a_file_system_that_forbids_chmod_causes_a_warning(tmp_path: Path) -> None:
    """Some file systems do so, such as vfat. The file is written."""
    target = tmp_path / "customers.csv"
    target.write_text("old")
    target.chmod(0o640)

    def refuse(file: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(file))

    warnings: list[str] = []
    with open_output(target, "utf-8", warnings.append, chmod=refuse) as stream:
        stream.write("new")

    assert target.read_text() == "new"
    assert warnings == [f"The mode of {target} cannot be set to 640 (Operation not permitted): check who may read it."]
    assert _names(tmp_path) == ["customers.csv"]


async def test_a_pipe_can_be_written_to_and_read_from(box: Sandbox, tmp_path: Path) -> None:
    """It is neither replaced nor made private."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    before = pipe.stat()
    export = await start(*EXPORT, "-o", str(pipe), box=box)
    text = await asyncio.to_thread(pipe.read_text, "utf-8")
    await export.communicate()
    importing = await start("customers", "import", str(pipe), "--match", "id", box=box)
    await asyncio.to_thread(pipe.write_text, text, "utf-8")
    out, _ = await importing.communicate()

    assert (export.returncode, importing.returncode) == (0, 0)
    assert (len(table(text)), out.count(b'"unchanged"')) == (25, 25)
    assert (pipe.stat().st_ino, pipe.stat().st_mode) == (before.st_ino, before.st_mode)
    assert _names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("kind", sorted({"device", "socket"} & NODES.keys()))
async def test_a_device_can_be_written_to_and_a_socket_is_refused(box: Sandbox, tmp_path: Path, kind: str) -> None:
    """It is neither replaced nor made private."""
    node = tmp_path / "node"
    NODES[kind](node)
    before = node.stat()

    export = await run(*EXPORT, "-o", str(node), box=box)
    follow = await run("customers", "changes", "--store", str(tmp_path / "store.db"), "-o", str(node), box=box)
    importing = await run("customers", "import", str(node), "--match", "id", box=box)

    after = node.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    if kind == "device":
        assert (export.code, follow.code) == (0, 0)
        assert (importing.code, "has no rows" in importing.err) == (2, True)
    else:
        assert (export.code, follow.code, importing.code) == (1, 1, 1)
        assert export.err == f"ticketsource: {node} cannot be written: No such device or address.\n"
        assert importing.err == f"ticketsource: {node}: No such device or address\n"


async def test_a_link_that_leads_to_itself_causes_no_traceback(box: Sandbox, tmp_path: Path) -> None:
    """An export replaces the link. A store does not."""
    loop = tmp_path / "loop"
    loop.symlink_to("loop")

    follow = await run("customers", "changes", "--store", str(loop), box=box)
    export = await run(*EXPORT, "-o", str(loop), box=box)

    assert (follow.code, "is not a regular file" in follow.err) == (1, True)
    assert (export.code, len(table(loop.read_text("utf-8")))) == (0, 25)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is full")
@pytest.mark.parametrize(
    ("output", "named", "redirected"), [("/dev/full", "/dev/full", ""), ("-", "stdout", ">/dev/full")]
)
async def test_a_full_disk_names_what_cannot_be_written(box: Sandbox, output: str, named: str, redirected: str) -> None:
    """The error of the system does not say which file it was."""
    done = await run_with_streams(redirected, *EXPORT, "-q", "-o", output, box=box)

    assert done == (1, "", f"ticketsource: {named} cannot be written: No space left on device.\n")


async def test_a_file_that_is_too_large_is_named_and_the_old_one_is_kept(many: Sandbox, tmp_path: Path) -> None:
    """The system limits the size of files."""
    target = tmp_path / "x.csv"
    target.write_text("old")

    done = await run_with_streams("", *EXPORT, "-q", "-o", str(target), box=many, before="ulimit -f 1")

    assert done.code == 1
    assert done.err.startswith(f"ticketsource: {target} cannot be written: File too large. {target} is unchanged")
    assert target.read_text() == "old"


def test_the_error_for_a_full_disk_names_the_temporary_folder() -> None:
    """The file is assembled there, on a disk that may differ from that of the file."""

    def fill() -> None:
        with temporary_file_for(TextIOWrapper(BytesIO())):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as full:
        fill()

    assert full.value.__notes__ == [
        f"The file is made in {tempfile.gettempdir()} first. Set TMPDIR to a folder with more space."
    ]
