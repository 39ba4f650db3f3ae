"""An asyncio client for the TicketSource API; `__init__.pyi` lists the public names.

A name is loaded when it is first used, so that neither the pytest plugin nor `ticketsource --help` loads the HTTP
library.
"""

from importlib import import_module

from ticketsource_async._version import __version__ as __version__

_found: dict[str, str] = {}


def _modules() -> dict[str, str]:
    """Return the module of each public name; all that `models` imports is public."""
    if _found:
        return _found
    # Only here: they take 30 ms, in which the command cannot yet end quietly at Ctrl-C.
    import re  # noqa: PLC0415
    from importlib import resources  # noqa: PLC0415
    from types import ModuleType  # noqa: PLC0415

    stub = resources.files(__name__).joinpath("__init__.pyi").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    # Not by `ast`: in Python 3.11 that fails if a finalizer formats a traceback meanwhile (cpython issue 106905).
    sections: list[tuple[str, str]] = re.findall(r"^from (\S+) import ([^(\n]+|\([^)]*\))", stub, re.MULTILINE)
    for module, imported in sections:
        names: list[str] = re.findall(r"(\w+) as \w+", imported)
        if not names:
            loaded = vars(import_module(module)).items()
            names = [n for n, value in loaded if not n.startswith("_") and not isinstance(value, ModuleType)]
        found |= dict.fromkeys(names, module)
    _found.update(found)
    return _found


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_modules().keys() - {"__version__"})
    if name.startswith("__") or (module := _modules().get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    is_module = module == __name__
    globals()[name] = found = import_module(f"{module}.{name}") if is_module else getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules()})
