"""Build the site into docs/build/site, or into `site` of another folder: `uv run --all-extras python docs/build.py`.

The pages of docs/pages are written by hand. The pages of the reference that list names, commands and columns are made
here, from the code that they describe.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args

import click
from entries import GROUPS, PACKAGE, linked

from ticketsource_async import SalesTally, TicketSource, errors, pytest_plugin, record_tables, report_tables, tables
from ticketsource_async.cli import cli
from ticketsource_async.client import BASE_URL
from ticketsource_async.pytest_plugin import MARKS
from ticketsource_async.reports.sales import By
from ticketsource_async.sandbox import Sandbox

DOCS: Final = Path(__file__).parent
PROJECT: Final = DOCS.parent


def pages_of_names() -> Iterator[tuple[str, tuple[str, str], Sequence[str]]]:
    """Yield each page of Python names: its name, its title and purpose, and the names."""
    public = import_module(PACKAGE).__all__
    of_errors = [name for name in vars(errors) if name in public]
    of_errors.sort(key=lambda name: not issubclass(vars(errors)[name], Exception))
    if lost := {*public} - {name for _, _, names in GROUPS.values() for name in names} - {*of_errors}:
        raise SystemExit(f"GROUPS has no page for {', '.join(sorted(lost))}.")
    for page, (title, purpose, names) in GROUPS.items():
        yield page, (title, purpose), names
    yield (
        "errors",
        ("Errors in Python", "The fields of each error. [Errors](../errors.md) says what each means."),
        of_errors,
    )


def python_pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of the Python names."""
    for page, (title, purpose), names in pages_of_names():
        entries = "\n".join(f"::: {PACKAGE}.{name}\n" for name in names)
        head = f"# {title}\n\n{linked(purpose)}\n\n```python\n{_imports(names)}\n```\n\n"
        yield f"reference/python/{page}.md", f"{head}{entries}{_besides(page)}"


def _besides(page: str) -> str:
    """Return what a page has after the entries of its names."""
    if page == "records":
        return asyncio.run(_samples())
    return _of_pytest() if page == "sandbox" else ""


async def _samples() -> str:
    """Return a record of each main kind, from the sandbox."""
    async with (
        Sandbox(customers=20, events=2, rate_limit=None) as box,
        TicketSource(box.api_key, base_url=box.url) as ts,
    ):
        [event] = await ts.events.list(max_items=1).collect()
        [date] = await ts.events.list_dates(event, max_items=1).collect()
        [booking] = await ts.dates.list_bookings(date, max_items=1).collect()
        records = [*await ts.customers.list(max_items=1).collect(), event, date, booking]
        texts = [
            json.dumps(each.to_dict(), indent=2, ensure_ascii=False).replace(box.url, BASE_URL) for each in records
        ]
        parts = ["", "## Samples", "", "Records of the sandbox, as `to_dict()` returns them.", ""]
        for record, text in zip(records, texts, strict=True):
            parts += [f"### A sample {type(record).__name__}", "", "```json", text, "```", ""]
    return "\n".join(parts)


def _of_pytest() -> str:
    """Return the entries of the fixtures and the marks of the pytest plugin."""
    parts = ["", "## Fixtures of pytest", "", "pytest loads them by itself. They work in sync and async tests.", ""]
    fixtures = [name for name in vars(pytest_plugin) if name.startswith("ticketsource_")]
    parts += [f"::: {PACKAGE}.pytest_plugin.{name}\n    options:\n      heading_level: 3\n" for name in fixtures]
    parts += ["## Marks of pytest", "", *(f"- `@pytest.mark.{name}`: {text}" for name, text in MARKS.items()), ""]
    return "\n".join(parts)


def _imports(names: Sequence[str]) -> str:
    """Return the code that imports the names, a statement for each module."""
    by_module: dict[str, list[str]] = {}
    for module, _, name in (f"{PACKAGE}.{name}".rpartition(".") for name in names):
        if not module.startswith((f"{PACKAGE}.sandbox.store", f"{PACKAGE}.reports")):  # only parts of others
            by_module.setdefault(module, []).append(name)
    lines: list[str] = []
    for module, found in by_module.items():
        line = f"from {module} import {', '.join(found)}"
        if len(line) > _WIDTH:
            inner = textwrap.fill(", ".join(found), _WIDTH, initial_indent="    ", subsequent_indent="    ")
            line = f"from {module} import (\n{inner},\n)"
        lines.append(line)
    return "\n".join(lines)


_WIDTH: Final = 70
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
    "moment": "day and time, as TicketSource writes them",
}
"""What a column of each kind has. A kind without a text stops the build."""


def columns_page() -> str:
    """Return the page of the columns of each table."""
    parts = [
        "# Columns of files",
        "",
        "The columns of each file and look-up, in their order. New columns come at the end.",
        "",
    ]
    for heading, columns in _columns().items():
        parts += [f"## {heading}", "", "| column | kind |", "|---|---|"]
        parts += [f"| `{column.name}` | {KINDS[column.kind]} |" for column in columns]
        parts.append("")
    return "\n".join(parts)


def _columns() -> dict[str, tuple[tables.Column[Any], ...]]:
    """Return the columns of each table, by its heading."""
    constants = {**vars(tables), **vars(record_tables), **vars(report_tables)}
    found = {
        name.replace("_", " ").capitalize(): table.columns
        for name, table in constants.items()
        if isinstance(table, tables.Table)
    }
    for by in get_args(By):
        found[f"Sales by {by}"] = report_tables.sales_table(SalesTally(by).result()).columns
    return found


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
    settings.write_text((DOCS / "zensical.toml").read_text().replace('"PROJECT', json.dumps(str(PROJECT))[:-1]))
    builder = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(settings)]
    return subprocess.run(builder, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
