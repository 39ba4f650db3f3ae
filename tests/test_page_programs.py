"""The programs that people copy from the pages go on after a kill, an erasure, and false answers."""

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import pointed_at

from ticketsource_async.sandbox import Sandbox

PAGES = Path(__file__).parents[1] / "docs" / "pages" / "how-to"

# Run a program, and kill it when it begins a line with this text for the Nth time.
KILLER = """
import os, signal, sys

text, left = sys.argv.pop(1), int(sys.argv.pop(1))
del sys.argv[0]
with open(sys.argv[0]) as file:
    source = file.read()
numbers = [number for number, line in enumerate(source.splitlines(), 1) if line.strip().startswith(text)]


def in_program(frame, event, argument):
    global left
    left -= event == "line" and frame.f_lineno in numbers
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return in_program


sys.settrace(lambda frame, event, argument: in_program if frame.f_code.co_filename == sys.argv[0] else None)
exec(compile(source, sys.argv[0], "exec"), {"__name__": "__main__"})
"""


def file_of(page: str, name: str) -> str:
    """Return the file that a page writes by a shell block."""
    (text,) = re.findall(rf"^cat > {re.escape(name)} <<'(\w+)'\n(.*?)^\1$", (PAGES / page).read_text(), re.M | re.S)
    return str(text[1])


class Copy:
    """The program of "Copy customers into a database", in a folder of its own."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box, self.folder = box, folder
        (folder / "copy_customers.py").write_text(file_of("database.md", "copy_customers.py"))

    async def run(self, *killed_at: str) -> tuple[int | None, str]:
        """Run the program to its end, or kill it at a line; return the exit code and what it printed."""
        program = ["-c", KILLER, *killed_at] if killed_at else []
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, "copy_customers.py"),
            cwd=self.folder,
            env=pointed_at(self.box),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    def rows(self, what: str = "*") -> list[tuple[Any, ...]]:
        """Return the rows of the table."""
        database = sqlite3.connect(self.folder / "box_office.sqlite")
        try:
            return database.execute(f"SELECT {what} FROM customers ORDER BY id").fetchall()
        finally:
            database.close()

    def expected(self) -> list[tuple[Any, ...]]:
        """Return the rows that the table must have."""
        found: list[tuple[Any, ...]] = []
        for row in self.box.customers.rows(0, len(self.box.customers)):
            of: dict[str, Any] = row["attributes"]
            may_mail = int((of["consent"] or {}).get("email") is True and bool(of["email"]))
            postcode = (of["address"] or {}).get("postcode")
            found.append((row["id"], of["first_name"], of["last_name"], of["email"], postcode, may_mail))
        return sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("await prepare(", 1),
        ("database.execute(TABLE)", 1),
        ("database.commit()", 1),
        ("async for change", 1),
        ("apply(database, change)", 1),
        ("apply(database, change)", 300),
        ("database.commit()", 2),
        ("await store.acknowledge_all()", 1),
        ("apply(database, change)", 900),
        ("await store.acknowledge_all()", 3),
        ("print(rows", 1),
    ],
)
async def test_a_copy_that_was_killed_in_its_first_run_is_made_by_the_next_run(
    line: str, time: int, tmp_path: Path
) -> None:
    """No change is lost, and those of the meantime are written, wherever the program was killed."""
    async with Sandbox(customers=1100, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        killed = await copy.run(line, str(time))
        first, second, third = box.customers.ids(0, 3)
        box.customers.update(first, {"last_name": "Changed"})
        box.customers.delete([second])
        box.customers.purge(third)
        done = await copy.run()

        assert killed == (-signal.SIGKILL, "")
        assert done == (0, "1099 customers\n")
        assert copy.rows() == copy.expected()


@pytest.mark.parametrize("lost", ["box_office.sqlite", "customers.db"])
async def test_a_copy_of_which_one_file_is_lost_says_so_until_the_other_is_deleted(lost: str, tmp_path: Path) -> None:
    """A table that has only what changed since would look whole."""
    (other,) = {"box_office.sqlite", "customers.db"} - {lost}
    async with Sandbox(customers=30, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        await copy.run()
        (tmp_path / lost).unlink()
        message = f"{lost} is lost: delete {other} too, and run this again.\n"

        assert [await copy.run() for _ in range(2)] == [(1, message)] * 2
        (tmp_path / other).unlink()
        assert await copy.run() == (0, "30 customers\n")
        assert copy.rows() == copy.expected()


async def test_an_erased_person_may_not_be_mailed_even_if_the_consent_says_yes(tmp_path: Path) -> None:
    """The same holds for a record that was empty in the first run, and for a consent that changes afterwards."""
    yes, no = {"email": True, "post": False, "sms": False}, {"email": False, "post": False, "sms": False}
    async with Sandbox(customers=30, rate_limit=None) as box:
        copy = Copy(box, tmp_path)
        early, late = box.customers.ids(0, 2)
        box.customers.purge(early)
        box.customers.overwrite(early, {"consent": yes})
        box.customers.overwrite(late, {"consent": yes})
        await copy.run()
        before = dict(copy.rows("id, may_mail"))
        box.customers.purge(late)
        box.customers.overwrite(late, {"consent": yes})
        await copy.run()
        after = dict(copy.rows("id, may_mail"))
        for consent in (no, yes):
            box.customers.overwrite(early, {"consent": consent})
            box.customers.overwrite(late, {"consent": consent})
            await copy.run()
        at_last = dict(copy.rows("id, may_mail"))

        assert (before[early], before[late]) == (0, 1)
        assert (after[early], after[late]) == (0, 0)
        assert (at_last[early], at_last[late]) == (0, 0)
        assert copy.rows() == copy.expected()
