"""The reference of Python names is made from the code. Each name is described there, and looks as it does in a REPL."""

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import griffe
import pytest

from ticketsource_async import RetryPolicy, TicketSource

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(name="build", scope="module")
def _build() -> Iterator[ModuleType]:
    """Import the program that builds the site."""
    sys.path.insert(0, str(DOCS))
    yield import_module("build")
    sys.path.remove(str(DOCS))


@pytest.fixture(name="package", scope="module")
def _package() -> griffe.Object | griffe.Alias:
    """Return the package as the reference shows it."""
    extensions = griffe.load_extensions(str(DOCS / "entries.py"))
    return griffe.load("ticketsource_async", search_paths=[str(DOCS.parent)], extensions=extensions)


def fields_of(entry: griffe.Object | griffe.Alias) -> list[griffe.DocstringAttribute]:
    """Return the fields that the entry of a class lists."""
    sections = entry.docstring.parsed if entry.docstring else []
    return [field for s in sections if isinstance(s, griffe.DocstringSectionAttributes) for field in s.value]


def members_of(entry: griffe.Object | griffe.Alias) -> Iterator[griffe.Object | griffe.Alias]:
    """Yield the members of a class or a module that the reference shows, without those that it only imports."""
    exported = entry.exports if entry.is_module else None
    for name, member in entry.members.items() if entry.is_class or entry.is_module else ():
        if not name.startswith("_") and (name in exported if exported is not None else not member.is_alias):
            yield member


def names_of(entry: griffe.Object | griffe.Alias) -> tuple[str, str]:
    """Return the two names by which a list can name an entry: its own, and its path."""
    return entry.name, entry.canonical_path


def undescribed(entry: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Yield the names without a description: the entry, its members and its fields."""
    entry = entry.final_target if isinstance(entry, griffe.Alias) else entry
    text = entry.docstring.value if entry.docstring else ""
    if not text.strip():
        yield entry.path
    for field in fields_of(entry):
        if not field.description and not re.search(rf"`{field.name}[`=.]", text):
            yield f"{entry.path}.{field.name}"
    for member in members_of(entry):
        yield from undescribed(member)


def test_each_name_is_described(package: griffe.Module, build: ModuleType) -> None:
    """Each class, function and constant has a text. Each field has one too, or the text of its class names it."""
    names = [name for _, _, names in build.pages_of_names() for name in names]

    assert [lost for name in names for lost in undescribed(package[name])] == []


def test_the_lists_of_the_reference_name_only_what_exists(package: griffe.Module, build: ModuleType) -> None:
    """A class that was renamed would lose its constructor, and a field its description."""
    entries = import_module("entries")
    found = [package[name] for _, _, names in build.pages_of_names() for name in names]
    found += [member for entry in found if entry.is_module for member in members_of(entry) if member.is_class]
    classes = {name: entry.final_target if entry.is_alias else entry for entry in found for name in names_of(entry)}
    fields = {name: {field.name for field in fields_of(entry)} for name, entry in classes.items()}

    assert entries.MADE - classes.keys() == set()
    assert entries.SAID_ONCE.keys() - set().union(*fields.values()) == set()
    for name, shown in entries.MEMBERS.items():
        assert shown - classes[name].members.keys() - fields[name] == set()


def test_a_name_in_a_text_links_to_its_entry_but_not_from_there(build: ModuleType, package: griffe.Module) -> None:
    """Of two entries with the same name, the first one in the reference gets the links."""
    customers = "ticketsource_async.resources.customers.Customers"

    assert build.linked("See `Customers`, `files`.") == f"See [`Customers`][{customers}], `files`."
    assert build.linked("See `Customers.get`.", package["resources.customers.Customers"]) == "See `Customers.get`."


def test_the_page_of_columns_has_every_table(build: ModuleType) -> None:
    """Also the tables of reports, and each form of the sales."""
    page = build.columns_page()

    assert {"Customers", "Programme", "Donations", "Door list", "Sales by date", "Sales by month"} <= {
        line.removeprefix("## ") for line in page.splitlines()
    }
    assert "| `gross_after_refunds` | amount, as TicketSource writes it |" in page
    assert "| `date_start` | day and time, as TicketSource writes them |" in page


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("RetryPolicy", "wait_initial: float = 0.5"),
        ("TicketSource", "timeouts: Timeouts = Timeouts()"),
        ("TicketSource", "priority: Literal['interactive', 'bulk'] = 'interactive'"),
        ("CustomerDraft", "first_name: str | Unset | None = UNSET"),
        ("sandbox.Sandbox", "customers: int = 1000"),
        ("ratelimit.redis.RedisRateLimiter", "local_share: float = 0.25"),
    ],
)
def test_a_class_that_programs_make_shows_its_constructor(package: griffe.Module, name: str, shown: str) -> None:
    """It has all parameters with types and defaults, and none that only finds mistakes."""
    parameters = package[f"{name}.__init__"].parameters
    texts = [f"{each.name}: {each.annotation} = {each.default}" for each in parameters]

    assert shown in texts
    assert "unknown" not in [each.name for each in parameters]


def test_a_field_shows_its_type_and_default(package: griffe.Module) -> None:
    """Also a field of a record, which programs do not make."""
    [email] = [field for field in fields_of(package["Customer"]) if field.name == "email"]

    assert (str(email.annotation), email.value) == ("str | None", "None")


@pytest.mark.parametrize(
    ("kind", "options"), [(TicketSource, {"base_url", "timeouts"}), (RetryPolicy, {"attempts", "wait_initial"})]
)
def test_the_signature_of_a_class_has_its_options(kind: type, options: set[str]) -> None:
    """`help()` and editors show it, although a wrong option gets an error of its own."""
    assert options <= inspect.signature(kind).parameters.keys()


def test_the_signature_of_a_subclass_is_its_own() -> None:
    """A subclass of the client with another constructor has the parameters of that one."""

    class Ours(TicketSource):
        def __init__(self, house: str) -> None:
            super().__init__("skl-key")
            self.house = house

    assert list(inspect.signature(Ours).parameters) == ["house"]


def test_the_fixtures_and_marks_of_pytest_are_listed(build: ModuleType) -> None:
    """The page about tests has them all, and the import of each other name."""
    page = dict(build.python_pages())["reference/python/sandbox.md"]

    for name in ("ticketsource_sandbox", "ticketsource_client", "ticketsource_no_waiting"):
        assert f"::: ticketsource_async.pytest_plugin.{name}\n" in page
    assert "- `@pytest.mark.ticketsource_sandbox(**options)`: options of the Sandbox" in page
    assert "from ticketsource_async.sandbox import Sandbox, Fault, RecordedRequest\n" in page
    assert "from ticketsource_async.testing import no_waiting\n" in page


def test_the_page_of_records_has_samples(build: ModuleType) -> None:
    """They are records of the sandbox, with the addresses of the real API."""
    page = dict(build.python_pages())["reference/python/records.md"]

    assert '"self": "https://api.ticketsource.io/customers/cst-' in page
    assert "127.0.0.1" not in page
