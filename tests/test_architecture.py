"""The rooms and their shelves: a room imports only from shelves below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ticketsource_async"
MODELS = {"models", *(f"models.{name}" for name in ("base", "values", "forms", "bookings", "customers", "shows"))}
WORDS = {"errors", "config", "call_events"} | MODELS
RULES = {"_wire.protocol", "_wire.drafts", "_wire.retry"}
MACHINES = {"ratelimit", "ratelimit.local", "ratelimit.redis", "_wire.transport", "_wire.sender"}
COUNTER = {"pagination", "bulk", "changes", "customer_store", "_store_file", "resources", "fanout", "client"}
CLI = {"cli", "cli.cells", "cli.common", "cli.customers", "cli.importing", "cli.records"}
BELOW: dict[str, set[str]] = {
    **dict.fromkeys(WORDS, WORDS),
    **dict.fromkeys(RULES, WORDS | RULES),
    **{room: WORDS - MODELS | RULES - {"_wire.drafts"} | MACHINES for room in MACHINES},
    **{room: WORDS | RULES | MACHINES | COUNTER | {""} for room in COUNTER},
    "export": WORDS | COUNTER,
    **{room: WORDS | COUNTER | CLI | {"", "export", "sandbox"} for room in CLI},
    "__main__": {"cli"},
    "testing": {"_wire.sender"},
    "pytest_plugin": {"client", "sandbox.server", "testing"},
    "": WORDS | COUNTER,
    "_wire": set(),
}
MAY_IMPORT = {
    "aiohttp": {"_wire.transport", "sandbox"},
    "cattrs": {"_wire.drafts"},
    "msgspec": {"_wire.protocol"},
    "sqlite3": {"customer_store", "_store_file"},
    "concurrent": {"customer_store", "pytest_plugin"},
    "yarl": {"_wire.protocol", "pagination", "resources"},
    "click": {"cli", "__main__"},
    "tqdm": {"cli", "__main__"},
    "pytest": {"pytest_plugin"},
    "limits": {"ratelimit.redis"},
    "redis": {"ratelimit.redis"},
    "pyarrow": {"export"},
    "asyncio": {
        "_wire.transport",
        "_wire.sender",
        "ratelimit.local",
        "ratelimit.redis",
        "pagination",
        "bulk",
        "fanout",
        "customer_store",
        "cli",
        "sandbox",
        "pytest_plugin",
    },
    "time": {"_wire.sender", "ratelimit.local", "ratelimit.redis", "sandbox"},
    "random": {"_wire.sender", "ratelimit.redis", "sandbox"},
    "logging": {"_wire.sender", "ratelimit.local", "ratelimit.redis", "sandbox", "cli"},
    "attrs": WORDS | RULES | {"_wire.sender", "ratelimit.redis"} | COUNTER | {"cli", "sandbox"},
}


def rooms() -> list[str]:
    """Return the dotted names of all modules, relative to the package."""
    paths = [p.relative_to(PACKAGE).with_suffix("") for p in PACKAGE.rglob("*.py")]
    return sorted(".".join(p.parts).removesuffix("__init__").removesuffix(".") for p in paths)


def source(room: str) -> Path:
    """Return the file of a room."""
    path = PACKAGE.joinpath(*room.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(room: str) -> Iterator[str]:
    """Yield what a room imports when it runs, as absolute dotted names; TYPE_CHECKING blocks do not count."""
    tree = ast.parse(source(room).read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = ["ticketsource_async", *room.split(".")]
                parents = parents[: len(parents) - node.level + (source(room).name == "__init__.py")]
                base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                deeper = f"{base}.{alias.name}".removeprefix("ticketsource_async.")
                yield f"ticketsource_async.{deeper}" if deeper in rooms() else base


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_from_shelves_below(room: str) -> None:
    """Each import within the package goes down, and the sandbox imports nothing outside of itself."""
    within = {
        name.removeprefix("ticketsource_async").removeprefix(".")
        for name in imports(room)
        if name.startswith("ticketsource_async")
    }
    if room.startswith("sandbox"):
        assert all(name.startswith("sandbox") for name in within)
    else:
        assert within <= BELOW[room]


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_the_libraries_of_its_shelf(room: str) -> None:
    """Each library is known in few rooms, so that it could be changed there."""
    for name in imports(room):
        allowed = MAY_IMPORT.get(name.partition(".")[0])
        assert allowed is None or room in allowed or room.partition(".")[0] in allowed, f"{room} imports {name}"


@pytest.mark.parametrize("room", rooms())
def test_no_file_and_no_function_is_too_long(room: str) -> None:
    """A file has at most 450 lines, a function at most 60."""
    text = source(room).read_text()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert text.count("\n") <= 450
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno > 60] == []
