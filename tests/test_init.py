"""The front door."""

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


def test_every_public_name_is_there_and_sorted() -> None:
    """`__all__` is sorted as ruff sorts it, each name can be imported, and `dir` shows it."""
    from ticketsource_async import __all__ as names

    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(ticketsource_async, name) is not None
        assert name in dir(ticketsource_async)


def test_what_type_checkers_see_is_what_there_is() -> None:
    """The imports for type checkers and `__all__` name the same."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(ticketsource_async))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert seen == set(ticketsource_async.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public raises AttributeError that names the package."""
    with pytest.raises(AttributeError, match="'ticketsource_async' has no attribute 'Ticketsource'"):
        ticketsource_async.Ticketsource  # noqa: B018


def test_importing_the_client_loads_neither_the_command_nor_the_sandbox() -> None:
    """`from ticketsource_async import TicketSource` pulls in no CLI library, no web server, no sandbox."""
    loaded = modules_after("from ticketsource_async import TicketSource, Customer")

    assert not {"click", "tqdm", "aiohttp.web", "ticketsource_async.sandbox", "ticketsource_async.cli"} & loaded


def test_importing_the_package_the_plugin_or_the_command_does_not_load_the_http_library() -> None:
    """The pytest plugin costs other suites nothing, and help is quick."""
    loaded = modules_after("import ticketsource_async, ticketsource_async.pytest_plugin, ticketsource_async.cli")

    assert not {"aiohttp", "msgspec", "cattrs", "tqdm"} & loaded
