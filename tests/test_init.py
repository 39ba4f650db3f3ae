"""The public names, and the modules that an import loads."""

import subprocess
import sys

import pytest

import ticketsource_async


def modules_after(code: str) -> set[str]:
    """Return the modules that are loaded after running `code` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_public_name_can_be_imported() -> None:
    """It can be imported alone or with `*`, and `dir` shows it."""
    names = ticketsource_async.__all__  # type: ignore[attr-defined]  # what is imported in the stub is public
    everything: dict[str, object] = {}
    exec("from ticketsource_async import *", everything)

    assert {"TicketSource", "Customer", "InvalidID"} <= set(names) <= everything.keys()
    for name in names:
        assert getattr(ticketsource_async, name) is not None
        assert name in dir(ticketsource_async)


def test_the_modules_of_files_and_tables_are_attributes_of_the_package() -> None:
    """They are loaded when they are first used."""
    modules = modules_after("import ticketsource_async as t; assert t.files.FORMATS; assert t.tables.CUSTOMERS")

    assert {"ticketsource_async.files", "ticketsource_async.tables"} <= modules
    assert "ticketsource_async.files" not in modules_after("import ticketsource_async; ticketsource_async.Customer")


def test_an_unknown_name_raises_attribute_error() -> None:
    """The error names the package."""
    with pytest.raises(AttributeError, match="'ticketsource_async' has no attribute 'Ticketsource'"):
        ticketsource_async.Ticketsource  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_client_loads_neither_the_command_nor_the_sandbox() -> None:
    """It loads no library of the command and no web server."""
    loaded = modules_after("from ticketsource_async import TicketSource, Customer")

    assert not {"click", "rich", "tqdm", "aiohttp.web", "ticketsource_async.sandbox", "ticketsource_async.cli"} & loaded


def test_importing_the_package_the_plugin_or_the_command_does_not_load_the_http_library() -> None:
    """So the pytest plugin does not slow other test suites, and help is quick."""
    loaded = modules_after("import ticketsource_async, ticketsource_async.pytest_plugin, ticketsource_async.cli")

    assert not {"aiohttp", "msgspec", "cattrs", "tqdm", "rich"} & loaded


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["customers", "--help"], {"asyncio", "attr", "rich"}),
        (["--help"], {"asyncio", "attr", "rich"}),
        (["events", "list", "--sandbox"], {"rich"}),
        (["customers", "find", "ann", "--sandbox", "--format", "csv"], {"rich"}),
    ],
)
def test_a_command_does_not_load_modules_that_it_does_not_need(arguments: list[str], unneeded: set[str]) -> None:
    """Help is quick, and the library for tables is loaded only to draw one."""
    code = f"""
import sys
from ticketsource_async.cli import cli
cli({arguments!r}, standalone_mode=False)
sys.stdout.flush()
print()"""

    assert not unneeded & modules_after(code)
