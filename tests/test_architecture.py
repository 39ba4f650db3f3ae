"""The layers: a module imports only from its own layer and those below, and there is no circular import."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ticketsource_async"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "errors", "config", "call_events", "_environment", "_mistakes", "_words", "models", "contacts"),
    (
        "_wire.advice",
        "_wire.request",
        "_wire.headers",
        "_wire.response",
        "_wire.paging",
        "_wire.drafts",
        "_wire.retry",
        "_wire.unpacking",
    ),
    ("ratelimit", "_wire.connector", "_wire.transport", "_wire.sending", "_wire.sender", "_wire.tasks"),
    (
        "list_progress",
        "broken_pages",
        "pagination",
        "bulk",
        "sync",
        "failed_branches",
        "reports",
        "resources",
        "listings",
        "operations",
        "client",
    ),
    ("output", "duplicates", "tables", "record_tables", "report_tables", "files", "checking"),
    ("cli", "_signals", "__main__"),
)
"""The lowest layer is first. A package stands for its modules."""

APART: dict[str, tuple[str, ...]] = {
    "": ("_version",),
    "sandbox": ("sandbox",),
    "testing": ("_wire.sender", "_wire.sending", "config"),
    "pytest_plugin": ("client", "sandbox", "testing"),
    "_wire": (),
}
"""The modules beside the layers, and what each may import. The package itself finds its public names in the stub."""

MAY_NOT_IMPORT = {"sync": ("client", "resources"), "_wire.transport": ("models",), "cli": ("_wire",)}

MAY_IMPORT = {
    "aiohttp": ("_wire.transport", "_wire.connector", "client", "sandbox"),
    "cattrs": ("_wire.drafts",),
    "msgspec": ("_wire.response",),
    "sqlite3": ("sync",),
    "concurrent": ("sync.store", "pytest_plugin"),
    "yarl": ("_wire", "list_progress", "broken_pages", "pagination"),
    "click": ("cli", "__main__"),
    "tqdm": ("cli", "__main__"),
    "rich": ("cli.terminal",),
    "pytest": ("pytest_plugin",),
    "limits": ("ratelimit.redis",),
    "redis": ("ratelimit.redis",),
    "pyarrow": ("files.parquet",),
    "xlsxwriter": ("files.xlsx",),
    "python_calamine": ("files.reading",),
    "jinja2": ("files.html",),
    "matplotlib": ("files.charts",),
    "asyncio": (
        *(
            "_wire.transport",
            "_wire.connector",
            "_wire.sending",
            "_wire.sender",
            "_wire.tasks",
            "ratelimit",
            "pagination",
            "bulk",
            "listings",
        ),
        *("sync.store", "files", "cli", "_signals", "sandbox", "pytest_plugin"),
    ),
    "time": ("_wire.sender", "ratelimit", "sandbox", "cli.common"),
    "random": ("_wire.sender", "ratelimit.redis", "sandbox"),
    "logging": ("_environment", "_wire.sender", "pagination", "ratelimit", "sync._sqlite", "output", "sandbox", "cli"),
}
"""Each library is known in few modules, so that it can be replaced there."""


@cache
def modules() -> list[str]:
    """Return the dotted names of all modules, relative to the package."""
    paths = [p.relative_to(PACKAGE).with_suffix("") for p in PACKAGE.rglob("*.py")]
    return sorted(".".join(p.parts).removesuffix("__init__").removesuffix(".") for p in paths)


def source(module: str) -> Path:
    """Return the file of a module."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def imports(module: str) -> frozenset[str]:
    """Return the absolute dotted names that a module imports, also those only for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source(module).read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports within the package are written out"
            base = node.module or ""
            for alias in node.names:
                deeper = f"{base}.{alias.name}".removeprefix("ticketsource_async.")
                found.add(f"ticketsource_async.{deeper}" if deeper in modules() else base)
    return frozenset(found)


def within(module: str) -> set[str]:
    """Return the modules of the package that a module imports; the package itself stands for its public names."""
    names = {name for name in imports(module) if name.partition(".")[0] == "ticketsource_async"}
    return {name.removeprefix("ticketsource_async").removeprefix(".") for name in names}


def is_in(module: str, names: tuple[str, ...]) -> bool:
    """Return whether a module is one of these, or is in one of these packages."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def layer(module: str) -> int | None:
    """Return the number of the layer that a module is in, or None for a module beside the layers."""
    return next((number for number, names in enumerate(LAYERS) if is_in(module, names)), None)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_its_layer_and_those_below(module: str) -> None:
    """For a module beside the layers, `APART` says what it may import."""
    if (own := layer(module)) is None:
        allowed = APART[module if module in APART else module.partition(".")[0]]
        assert all(is_in(name, allowed) for name in within(module))
        return
    top = len(LAYERS) - 1
    for name in within(module):
        below = layer(name)
        assert (below is not None and below <= own) or (own == top and name in ("", "sandbox", "_version"))
        assert not any(is_in(module, (by,)) and is_in(name, names) for by, names in MAY_NOT_IMPORT.items())


def test_no_module_imports_itself_through_others() -> None:
    """Imports only for type checkers count, too."""
    graph = {module: {name for name in within(module) if name != module} for module in modules()}
    graph[""] = set()  # the public names are loaded when they are used

    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", modules())
def test_a_library_is_imported_only_by_its_own_modules(module: str) -> None:
    """A library that is not in the table may be imported anywhere."""
    for name in imports(module):
        allowed = MAY_IMPORT.get(name.partition(".")[0])
        assert allowed is None or is_in(module, allowed), f"{module} imports {name}"


@pytest.mark.parametrize("module", modules())
def test_no_file_and_no_function_is_too_long(module: str) -> None:
    """A file has at most 450 lines, a function at most 60."""
    text = source(module).read_text()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert text.count("\n") <= 450
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno > 60] == []
