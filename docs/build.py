"""Build the site into docs/build/site: `uv run --all-extras --group docs python docs/build.py`.

The pages of docs/pages are written by hand. The pages of the reference that list names, commands and columns are made
here, from the code that they describe.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from ticketsource_async import record_tables, tables
from ticketsource_async.cli import cli

DOCS: Final = Path(__file__).parent
PROJECT: Final = DOCS.parent
BUILD: Final = DOCS / "build"

GROUPS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "client": (
        "Client",
        "Open a client, set its options, and call any endpoint.",
        ("TicketSource", "ClientOptions", "Operations", "Answer", "Timeouts", "RetryPolicy", "UNSET", "Unset"),
    ),
    "operations": (
        "Operations",
        "What `ts.customers`, `ts.notes`, `ts.events` and the others do.",
        (
            "resources.customers.Customers",
            "resources.notes.Notes",
            "resources.events.Events",
            "resources.events.Venues",
            "resources.events.Dates",
            "resources.bookings.Bookings",
            "resources.bookings.Seats",
            "resources.reports.Reports",
        ),
    ),
    "lists": (
        "Lists and bulk calls",
        "Read lists of any length, and make many calls at a time.",
        ("Pager", "Page", "ListOptions", "ListReport", "FailedBranch", "Bulk", "BulkOptions", "Outcome"),
    ),
    "records": ("Records and drafts", "What the API sends, and what it takes.", ()),
    "sync": (
        "Changes of customers",
        "Find out which customers have changed since the last time.",
        ("CustomerStore", "Change", "Created", "Updated", "Deleted", "Erased"),
    ),
    "rate-limiters": (
        "Rate limiters",
        "Share the 240 requests a minute.",
        ("RateLimit", "RateLimiter", "LocalRateLimiter", "ratelimit.redis.RedisRateLimiter"),
    ),
    "files": ("Files and tables", "Write any list to a file.", ("files", "tables")),
    "events": (
        "Events of calls",
        "See what the client does: each attempt, wait and page.",
        ("CallEvent", "AttemptEvent", "RetryEvent", "WaitEvent", "PageEvent", "ListEndedEvent"),
    ),
    "sandbox": (
        "Sandbox and tests",
        "Test your own program against a local TicketSource.",
        ("sandbox.server.Sandbox", "sandbox.faults.Fault", "sandbox.faults.RecordedRequest", "testing.no_waiting"),
    ),
}
"""The pages of the reference of Python names: title, what the names are for, and the names."""


def public_names() -> dict[str, str]:
    """Return every public name with the module that has it."""
    stub = (PROJECT / "ticketsource_async" / "__init__.pyi").read_text()
    models = (PROJECT / "ticketsource_async" / "models" / "__init__.py").read_text()
    names = dict.fromkeys(re.findall(r"(\w+) as \1", stub), "")
    listed = re.search(r"__all__ = \((.*?)\)", models, re.DOTALL)
    records = re.findall(r'"(\w+)"', listed[1]) if listed else []
    return names | dict.fromkeys(records, "models")


def python_pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of the Python names, in groups."""
    grouped = {name for _, _, names in GROUPS.values() for name in names}
    of = public_names()
    rest = [name for name in of if of[name] == "models" and name not in grouped]
    errors = [name for name in of if of[name] != "models" and name not in grouped and name != "__version__"]
    for page, (title, purpose, names) in GROUPS.items():
        shown = names or rest
        yield f"reference/python/{page}.md", f"# {title}\n\n{purpose}\n\n" + "\n".join(map(_named, shown))
    text = "# Errors in Python\n\nThe fields of each error. [Errors](../errors.md) says what each means.\n\n"
    yield "reference/python/errors.md", text + "\n".join(map(_named, errors))


def _named(name: str) -> str:
    return f"::: ticketsource_async.{name}\n"


def commands_page() -> str:
    """Return the page of the commands: each with its help, as `--help` prints it."""
    root = click.Context(cli, info_name="ticketsource")
    parts = ["# Commands", "", "Each command prints this help with `--help`.", ""]
    for path, command, context in _commands(cli, root):
        parts += [f"## {path}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(parts)


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(below, click.Context(below, parent=context, info_name=name, terminal_width=80))


KINDS: Final = {
    "text": "text",
    "yes": "yes, no or nothing",
    "number": "whole number",
    "money": "amount, as TicketSource writes it",
    "day": "day, as 2026-01-31",
    "time": "day and time, as TicketSource writes them",
}


def columns_page() -> str:
    """Return the page of the columns of each table."""
    parts = ["# Columns of files", "", "The columns of each file, in their order. New columns are added at the end.", ""]
    shown: list[tables.Table[Any]] = [
        *(table for module in (tables, record_tables) for table in vars(module).values() if isinstance(table, tables.Table))
    ]
    for table in {id(table): table for table in shown}.values():
        name = next(n for module in (tables, record_tables) for n, value in vars(module).items() if value is table)
        parts += [f"## {name.replace('_', ' ').capitalize()}", "", "| column | kind |", "|---|---|"]
        parts += [f"| `{column.name}` | {KINDS.get(column.kind, column.kind)} |" for column in table.columns]
        parts.append("")
    return "\n".join(parts)


def generated() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page that is made from the code."""
    yield "reference/commands.md", commands_page()
    yield "reference/columns.md", columns_page()
    yield "reference/changelog.md", (PROJECT / "CHANGELOG.md").read_text()
    yield from python_pages()


def main() -> int:
    """Build the site and return the exit code of the builder, which refuses links that lead nowhere."""
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(DOCS / "pages", BUILD / "pages")
    for path, text in generated():
        page = BUILD / "pages" / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    shutil.copy(DOCS / "zensical.toml", BUILD)
    builder = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(BUILD / "zensical.toml")]
    return subprocess.run(builder, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
