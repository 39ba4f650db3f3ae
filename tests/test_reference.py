"""The reference of Python names is made from the code, and each name is described."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest

from ticketsource_async import RetryPolicy, TicketSource, Timeouts

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(name="entries", scope="module")
def _entries() -> Iterator[tuple[griffe.Module, list[str]]]:
    """Return the package as the reference shows it, and the names that it shows."""
    sys.path.insert(0, str(DOCS))
    try:
        import build
    finally:
        sys.path.remove(str(DOCS))
    extensions = griffe.load_extensions(str(DOCS / "entries.py"))
    package = griffe.load("ticketsource_async", search_paths=[str(DOCS.parent)], extensions=extensions)
    assert isinstance(package, griffe.Module)
    yield package, [name for _, _, names in build.pages_of_names() for name in names]


def undescribed(entry: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Yield the names without a description: the entry, its members and its fields."""
    text = entry.docstring.value if entry.docstring else ""
    if not text.strip():
        yield entry.path
    for section in entry.docstring.parsed if entry.docstring else ():
        if isinstance(section, griffe.DocstringSectionAttributes):
            for field in section.value:
                if not field.description and f"`{field.name}`" not in text:
                    yield f"{entry.path}.{field.name}"
    public = entry.exports if entry.is_module else None
    for name, member in entry.members.items():
        is_shown = not name.startswith("_") and (public is None or name in public)
        if is_shown and (not member.is_alias or public is not None) and (entry.is_class or entry.is_module):
            yield from undescribed(member)


def test_each_name_is_described(entries: tuple[griffe.Module, list[str]]) -> None:
    """Each class, function and constant has a text. Each field has one too, or the text of its class names it."""
    package, names = entries

    assert [lost for name in names for lost in undescribed(package[name])] == []
