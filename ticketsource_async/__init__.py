"""An asyncio client for the TicketSource API; `__init__.pyi` lists the public names.

A name is loaded when it is first used, so that neither the pytest plugin nor `ticketsource --help` loads the HTTP
library.
"""

import ast
from functools import cache
from importlib import import_module, resources

from ticketsource_async._version import __version__ as __version__


@cache
def _modules() -> dict[str, str]:
    """Return the module of each public name."""
    stub = ast.parse(resources.files(__name__).joinpath("__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names if alias.name != "__version__"}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_modules())
    if name.startswith("__") or (module := _modules().get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules()})
