"""Build the site into docs/build/site, or into `site` of another folder: `uv run --all-extras python docs/build.py`.

The pages of docs/pages are written by hand. The pages of the reference that list names, commands and columns are made
here, from the code that they describe.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from ticketsource_async import errors, models, record_tables, tables
from ticketsource_async.cli import cli

DOCS: Final = Path(__file__).parent
PROJECT: Final = DOCS.parent

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
        ("CustomerStore", "Change", "Created", "Updated", "Deleted", "Erased", "contacts_of", "comparable_email"),
    ),
    "reports": (
        "Reports",
        "What `ts.reports` gives: sales, door lists, donations and Gift Aid.",
        (
            *("Sales", "SalesRow", "SeatCount", "SalesTally", "Tally", "Sold", "SeatsOfBooking"),
            *("DoorList", "DoorEntry", "Fetched"),
            *("Donations", "BookingDonations", "DonationLine", "DonationRow", "UnknownLine"),
            *("gift_aid_schedule", "GiftAidSchedule", "GiftAidRow"),
        ),
    ),
    "rate-limiters": (
        "Rate limiters",
        "Share the 240 requests a minute.",
        ("RateLimit", "RateLimiter", "LocalRateLimiter", "ratelimit.redis.RedisRateLimiter"),
    ),
    "files": ("Files and tables", "Write any list to a file.", ("files", "tables", "report_tables")),
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

MEMBERS: Final = {
    "CustomerStore": ("path", "get", "customers", "count", "acknowledge", "acknowledge_all", "erase", "aclose"),
}
"""The members to show of a class that has others, which only the library itself uses."""


def python_pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of the Python names, in groups; a name of no group must be a record or an error."""
    grouped = {name for _, _, names in GROUPS.values() for name in names}
    rest = [name for name in import_module("ticketsource_async").__all__ if name not in grouped]
    records = [name for name in rest if name in vars(models)]
    for page, (title, purpose, names) in GROUPS.items():
        yield f"reference/python/{page}.md", f"# {title}\n\n{purpose}\n\n" + "\n".join(map(_named, names or records))
    of_errors = [name for name in rest if name not in records]
    if lost := [name for name in of_errors if name not in vars(errors)]:
        raise SystemExit(f"GROUPS has no page for {', '.join(lost)}.")
    text = "# Errors in Python\n\nThe fields of each error. [Errors](../errors.md) says what each means.\n\n"
    yield "reference/python/errors.md", text + "\n".join(map(_named, of_errors))


def _named(name: str) -> str:
    members = MEMBERS.get(name)
    chosen = f"    options:\n      members: [{', '.join(members)}]\n" if members else ""
    return f"::: ticketsource_async.{name}\n{chosen}"


LANGUAGES: Final = {".py": "python", ".sql": "sql", ".service": "ini", ".timer": "ini", "": "sh"}


def example_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each folder of examples, with the text of its files."""
    for folder in sorted(path for path in (PROJECT / "examples").iterdir() if path.is_dir()):
        parts = [f"# Examples: {folder.name}", "", f"The files of the folder `examples/{folder.name}`.", ""]
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            text = file.read_text().rstrip()
            parts += [f"## {file.name}", "", f"````{LANGUAGES.get(file.suffix, 'text')}", text, "````", ""]
        yield f"reference/examples/{folder.name}.md", "\n".join(parts)


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
    "yes": "true, false or empty",
    "number": "whole number",
    "money": "amount, as TicketSource writes it",
    "day": "day, as 2026-01-31",
    "time": "day and time, as TicketSource writes them",
}


def columns_page() -> str:
    """Return the page of the columns of each table."""
    parts = ["# Columns of files", "", "The columns of each file, in their order. New columns come at the end.", ""]
    for name, table in (*vars(tables).items(), *vars(record_tables).items()):
        if isinstance(table, tables.Table) and f"## {_heading(name)}" not in parts:
            parts += [f"## {_heading(name)}", "", "| column | kind |", "|---|---|"]
            parts += [f"| `{column.name}` | {KINDS.get(column.kind, column.kind)} |" for column in table.columns]
            parts.append("")
    return "\n".join(parts)


def _heading(constant: str) -> str:
    return constant.replace("_", " ").capitalize()


def generated() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page that is made from the code."""
    yield "reference/commands.md", commands_page()
    yield "reference/columns.md", columns_page()
    yield "reference/changelog.md", (PROJECT / "CHANGELOG.md").read_text()
    yield from python_pages()
    yield from example_pages()


def main() -> int:
    """Build the site and return the exit code of the builder, which refuses links that lead nowhere."""
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "build"
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(DOCS / "pages", build / "pages")
    for path, text in generated():
        page = build / "pages" / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    settings = build / "zensical.toml"
    settings.write_text((DOCS / "zensical.toml").read_text().replace('"PROJECT"', json.dumps(str(PROJECT))))
    builder = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(settings)]
    return subprocess.run(builder, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
