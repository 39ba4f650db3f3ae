"""Build the site into docs/build/site, or into `site` of another folder: `uv run --all-extras python docs/build.py`.

The pages of docs/pages are written by hand. The pages of the reference that list names, commands and columns are made
here, from the code that they describe.
"""

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from entries import GROUPS, PACKAGE

from ticketsource_async import errors, models, record_tables, tables
from ticketsource_async.cli import cli

DOCS: Final = Path(__file__).parent
PROJECT: Final = DOCS.parent

def python_pages() -> Iterator[tuple[str, str]]:
    """Yield the pages of the Python names, in groups; a name of no group must be a record or an error."""
    grouped = {name for _, _, names in GROUPS.values() for name in names}
    rest = [name for name in import_module(PACKAGE).__all__ if name not in grouped]
    records = [name for name in rest if name in vars(models)]
    for page, (title, purpose, names) in GROUPS.items():
        yield f"reference/python/{page}.md", _python_page(title, purpose, names or tuple(records))
    of_errors = [name for name in rest if name not in records]
    if lost := [name for name in of_errors if name not in vars(errors)]:
        raise SystemExit(f"GROUPS has no page for {', '.join(lost)}.")
    purpose = "The fields of each error. [Errors](../errors.md) says what each means."
    yield "reference/python/errors.md", _python_page("Errors in Python", purpose, tuple(of_errors))


def _python_page(title: str, purpose: str, names: tuple[str, ...]) -> str:
    entries = "\n".join(f"::: {PACKAGE}.{name}\n" for name in names)
    return f"# {title}\n\n{purpose}\n\n```python\n{_imports(names)}\n```\n\n{entries}"


def _imports(names: tuple[str, ...]) -> str:
    """Return the code that imports the names, a statement for each module."""
    by_module: dict[str, list[str]] = {}
    for module, _, name in (f"{PACKAGE}.{name}".rpartition(".") for name in names):
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
    settings.write_text((DOCS / "zensical.toml").read_text().replace('"PROJECT', json.dumps(str(PROJECT))[:-1]))
    builder = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(settings)]
    return subprocess.run(builder, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
