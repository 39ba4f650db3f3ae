"""The README: its code is run, and its claims are checked."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import run_with

import ticketsource_async
from ticketsource_async import errors
from ticketsource_async.cli import cli
from ticketsource_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    """Return the code block under the marker of that name."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_tour_of_the_readme_runs(box: Sandbox) -> None:
    """It runs against a sandbox with only the two variables set."""
    out, err = await run_with("-c", block("tour"), box=box)

    assert err == ""
    assert out.count("@") > 5
    assert len(box.customers) == 26


def test_ci_runs_the_commands_of_the_readme() -> None:
    """`.ci/run` takes its commands from these blocks of the README."""
    script = (ROOT / ".ci" / "run").read_text()

    assert "block tests" in script
    assert "block export" in script
    assert block("tests") == "python3 -m pip install -q uv && uv run --all-extras pytest\n"
    assert block("export").startswith(
        "python3 -m pip install -q uv && uv run --extra cli ticketsource customers export"
    )


def test_every_error_is_in_the_table_of_errors() -> None:
    """Each class has a row in the table of the page about errors. The README links to that page."""
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.TicketSourceError)]
    table = (ROOT / "docs" / "pages" / "reference" / "errors.md").read_text()

    assert "(docs/pages/reference/errors.md)" in README
    assert [k.__name__ for k in kinds if f"| `{k.__name__}` |" not in table] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_every_link_within_the_project_names_an_existing_file(path: Path) -> None:
    """This is about links that are no web addresses."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_changelog_has_the_version_or_unreleased_changes() -> None:
    """One of the two headings is in the changelog."""
    changelog = (ROOT / "CHANGELOG.md").read_text()

    assert f"## [{ticketsource_async.__version__}]" in changelog or "## [Unreleased]" in changelog


def commands(group: object = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every command and group."""
    below = getattr(group, "commands", {})
    return [path, *(found for name, command in below.items() for found in commands(command, (*path, name)))]


@pytest.mark.parametrize("path", commands())
def test_every_command_has_a_help_with_an_example(path: tuple[str, ...]) -> None:
    """The example is before the options."""
    result = CliRunner().invoke(cli, [*path, "--help"], prog_name="ticketsource")

    assert result.exit_code == 0
    command = cli
    for name in path:
        command = command.commands[name]  # type: ignore[assignment]  # a group until the last name
    assert command.help
    if path and not hasattr(command, "commands"):
        assert f"\n\nExample:\n  ticketsource {' '.join(path)}" in result.output.split("Options:")[0]
