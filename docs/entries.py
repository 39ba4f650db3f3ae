"""Prepare the entries of the reference of Python names, as an extension of Griffe, which reads them from the code.

It adds what the code does not show by itself: the constructors and the defaults of attrs classes, the values behind the
names of types and of defaults that are not public, links in the texts, and a list of the fields of each class.
"""

import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from inspect import isclass
from pathlib import Path
from typing import Any, Final

import attrs
from griffe import (
    Alias,
    Attribute,
    Class,
    Docstring,
    DocstringAttribute,
    DocstringSectionAttributes,
    Expr,
    ExprAttribute,
    ExprCall,
    ExprName,
    ExprSubscript,
    Extension,
    Function,
    Module,
    Object,
    Parameter,
    ParameterKind,
    Parameters,
)

PACKAGE: Final = "ticketsource_async"

GROUPS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "client": (
        "Client",
        "Open a client, set its options, and call any endpoint.",
        ("TicketSource", "ClientOptions", "Timeouts", "RetryPolicy", "Operations", "Answer"),
    ),
    "operations": (
        "Operations",
        """What `ts.customers`, `ts.notes`, `ts.events` and the others do. You need the imports only to annotate types.

Each call can raise the [errors](../errors.md) of every call: `AuthenticationFailed`, `PermissionDenied`, `RateLimited`,
`ServerError`, `AccessBlocked`, `ConnectFailed`, `ConnectionLost`, `RequestTimedOut`, `InvalidResponse`,
`LimiterUnavailable`, `ClientClosed` and `ConfigurationError`. The text of a call names the errors that it can raise
besides. A list raises them in the loop, and a bulk call has them in its outcomes.""",
        (
            "resources.customers.Customers",
            "resources.notes.Notes",
            "resources.events.Events",
            "resources.events.Venues",
            "resources.events.Dates",
            "resources.bookings.Bookings",
            "resources.bookings.Seats",
            "resources.reports.Reports",
        ),
    ),
    "lists": (
        "Lists and bulk calls",
        "Read lists of any length, and make many calls at a time.",
        ("Pager", "Page", "ListOptions", "ListReport", "FailedBranch", "Bulk", "BulkOptions", "Outcome"),
    ),
    "records": (
        "Records and drafts",
        "What the API sends, and what it takes.",
        (
            *("Customer", "CustomerDraft", "Address", "AddressDraft", "Membership", "MembershipDraft"),
            *("Consent", "ConsentDraft", "UNSET", "Unset", "Note", "NoteDraft"),
            *("Event", "EventImage", "ThirdPartyConsent", "Venue", "BoxOffice", "EventDate", "StartFilter"),
            *("Booking", "BookingLine", "Amount", "Discounts", "DiscountCode", "Donation", "BookingConsent", "Totals"),
            *("Seat", "SeatReference", "Attendee", "Company", "Links", "Record", "Part"),
        ),
    ),
    "sync": (
        "Changes of customers",
        "Find out which customers have changed since the last time.",
        ("CustomerStore", "Change", "Created", "Updated", "Deleted", "Erased", "contacts_of", "comparable_email"),
    ),
    "reports": (
        "Reports",
        "What `ts.reports` gives: sales, door lists, donations and Gift Aid.",
        (
            *("Sales", "SalesRow", "SeatCount", "SalesTally", "Tally", "Sold", "SeatsOfBooking"),
            *("DoorList", "DoorEntry", "Fetched"),
            *("Donations", "BookingDonations", "DonationLine", "DonationRow", "UnknownLine"),
            *("gift_aid_schedule", "GiftAidSchedule", "GiftAidRow"),
        ),
    ),
    "rate-limiters": (
        "Rate limiters",
        "Share the 240 requests a minute.",
        ("RateLimit", "RateLimiter", "LocalRateLimiter", "ratelimit.redis.RedisRateLimiter"),
    ),
    "files": ("Files and tables", "Write any list to a file.", ("files", "tables", "report_tables")),
    "events": (
        "Events of calls",
        "See what the client does: each attempt, wait and page.",
        ("CallEvent", "AttemptEvent", "RetryEvent", "WaitEvent", "PageEvent", "ListEndedEvent"),
    ),
    "sandbox": (
        "Sandbox and tests",
        "Test your own program against a local TicketSource.",
        ("sandbox.Sandbox", "sandbox.Fault", "sandbox.RecordedRequest", "sandbox.store.Customers", "testing.no_waiting"),
    ),
}
"""The pages of the reference of Python names: title, what the names are for, and the names."""

MADE: Final = {
    *("TicketSource", "Timeouts", "RetryPolicy", "RateLimit", "CustomerStore", "LocalRateLimiter", "RedisRateLimiter"),
    *("AddressDraft", "ConsentDraft", "CustomerDraft", "MembershipDraft", "NoteDraft", "StartFilter"),
    *("Sandbox", "Fault", "Table", "Column", "Shown", "Printed", "Format"),
}
"""The classes that programs make: their entries show the constructor."""

MEMBERS: Final = {
    "CustomerStore": {"path", "get", "customers", "count", "acknowledge", "acknowledge_all", "erase", "aclose"},
    "ticketsource_async.sandbox.store.Customers": {
        *("ids", "rows", "get", "insert", "delete", "purge", "merge", "create", "update"),
    },
}
"""The members to show of a class that has others, which only the library itself uses."""

SAID_ONCE: Final = {
    "attempt": "The number of the attempt, from 1.",
    "attempts": "How many requests were sent for the call.",
    "created_at": "When TicketSource made the record.",
    "event_id": "The id of the event.",
    "extra": "The values that have no field.",
    "first_name": "The first name.",
    "id": "The id.",
    "last_name": "The last name.",
    "method": "The HTTP method of the request.",
    "path": "The path of the request, without the query.",
    "request_id": "The id of the request, for questions to TicketSource support; None if the answer has none.",
    "status": "The status of the answer.",
    "title": "The title, such as Ms.",
    "updated_at": "When the record was last changed.",
}
"""The descriptions of fields that mean the same in many classes, and have no text of their own there."""


class Entries(Extension):
    """The extension of Griffe."""

    def on_package(self, *, pkg: Module, **_: object) -> None:
        """Prepare all entries of the package."""
        if pkg.path == PACKAGE:
            self._pkg = pkg
            self._public = set(import_module(PACKAGE).__all__)
            named = [name for _, _, names in GROUPS.values() for name in names]
            self._entries = {name.rpartition(".")[2]: f"{PACKAGE}.{name}" for name in [*reversed(named), *self._public]}
            everything = list(_all_in(pkg))
            for found in everything:
                self._prepare(found)
            for found in everything:
                if isinstance(found, Attribute) and isinstance(found.parent, Module):
                    self._prepare_attribute(found)

    def _prepare(self, found: Object) -> None:
        if isinstance(found, Function):
            found.parameters = Parameters(*map(self._parameter, self._shown(found.parameters)))
            found.returns = self._written_out(found.returns)
            for overload in found.overloads or ():
                self._prepare(overload)
            if any(str(each.value).startswith("pytest.fixture") for each in found.decorators):
                _as_fixture(found)
        elif isinstance(found, Class):
            self._prepare_class(found)
        if found.docstring is not None and not isinstance(found, Class):
            found.docstring.value = self._linked(found.docstring.value, found)

    def _prepare_attribute(self, found: Attribute) -> None:
        """Show the type of a constant, and the value of an alias."""
        found.labels.clear()
        if isinstance(found.annotation, ExprSubscript) and str(found.annotation.left) == "Final":
            found.annotation = found.annotation.slice
        if isinstance(found.value, ExprCall) and str(found.annotation) == "Final":
            found.annotation = found.value.function
        found.annotation = self._written_out(found.annotation)
        if found.annotation is not None or isinstance(found.value, ExprCall):
            found.value = None

    def _shown(self, parameters: Parameters) -> Iterator[Parameter]:
        return (each for each in parameters if str(each.annotation) != "Never")

    def _parameter(self, parameter: Parameter) -> Parameter:
        parameter.annotation = self._written_out(parameter.annotation)
        if isinstance(parameter.default, ExprAttribute):
            parameter.default = str(parameter.default)
        if isinstance(parameter.default, ExprName) and parameter.default.name not in self._public:
            constant = self._constant(parameter.default)
            parameter.default = parameter.default if constant is None else constant.value
        return parameter

    def _constant(self, name: ExprName) -> Attribute | None:
        """Return the constant or the alias of this package that has this name."""
        path = name.canonical_path.removeprefix(f"{PACKAGE}.")
        try:
            found = self._pkg[path]
        except KeyError:
            return None
        return found if isinstance(found, Attribute) and found.value is not None else None

    def _written_out(self, expression: Any) -> Any:
        """Return a type with its value in place of each alias that is not public."""
        if isinstance(expression, ExprName) and expression.name not in self._public:
            alias = self._constant(expression)
            is_type = alias is not None and not str(alias.value).startswith("TypeVar(")
            return self._written_out(alias.value) if alias is not None and is_type else expression
        if isinstance(expression, Expr):
            for field in fields(expression):
                value = getattr(expression, field.name)
                if isinstance(value, list | tuple):
                    setattr(expression, field.name, [self._written_out(each) for each in value])
                elif isinstance(value, Expr):
                    setattr(expression, field.name, self._written_out(value))
        return expression

    def _linked(self, text: str, owner: Object) -> str:
        """Return a text in which the name of a public class or function links to its entry, but not to its own."""
        own = owner if isinstance(owner, Class) else owner.parent

        def link(match: re.Match[str]) -> str:
            name, first = match[1], match[1].partition(".")[0]
            if own is not None and first == own.name:
                return match[0]
            is_module = first in ("files", "tables")
            return f"[{match[0]}][{self._entries[first]}]" if first in self._entries and not is_module else match[0]

        text = re.sub(r"(?<![\[`])`([A-Za-z][\w.]*)`(?![`\]])", link, text)
        return re.sub(r"docs/pages/(\S+)\.md", lambda page: f"[{_title(page[1])}](../../{page[1]}.md)", text)

    def _prepare_class(self, cls: Class) -> None:
        kind = vars(import_module(cls.module.path)).get(cls.name)
        if not isclass(kind):
            return
        shown = MEMBERS.get(cls.name, MEMBERS.get(cls.path))
        for name in [name for name in cls.members if shown is not None and name not in shown and name != "__init__"]:
            cls.del_member(name)
        for each in cls.members.values():
            if isinstance(each, Attribute):
                each.annotation = self._written_out(each.annotation)
        if attrs.has(kind):
            self._add_constructor(cls, kind)
        listed = [self._field(cls, kind, each) for each in list(cls.members.values()) if _is_field(each)]
        for name in [each.name for each in cls.members.values() if isinstance(each, Attribute)]:
            cls.del_member(name)
        if cls.name not in MADE and "__init__" in cls.members:
            cls.del_member("__init__")
        if cls.docstring is None:
            cls.docstring = Docstring("", parent=cls)
        if bases := self._bases(kind):
            cls.docstring.value += f"\n\n{bases}"
        cls.docstring.value = self._linked(cls.docstring.value, cls)
        if listed and not (cls.name in MADE and attrs.has(kind) and not any(each.description for each in listed)):
            cls.docstring.parsed.append(DocstringSectionAttributes(listed))

    def _add_constructor(self, cls: Class, kind: type) -> None:
        """Add the constructor that attrs makes, and remember the defaults of the fields."""
        parameters = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
        for field in attrs.fields(kind):
            annotation = next(
                (self._pkg_member(base, field.name) for base in kind.__mro__ if field.name in vars(base).get("__annotations__", ())),
                None,
            )
            how = ParameterKind.keyword_only if field.kw_only else ParameterKind.positional_or_keyword
            parameters.append(Parameter(field.alias or field.name, annotation=annotation, kind=how, default=_default(field)))
        init = Function("__init__", parameters=Parameters(*parameters), returns="None", parent=cls)
        cls.set_member("__init__", init)

    def _pkg_member(self, kind: type, name: str) -> Any:
        found = self._pkg[f"{kind.__module__}.{kind.__name__}".removeprefix(f"{PACKAGE}.")].members.get(name)
        return self._written_out(found.annotation) if isinstance(found, Attribute) else None

    def _field(self, cls: Class, kind: type, found: Attribute) -> DocstringAttribute:
        """Return the entry of a field in the list of its class."""
        text = self._linked(found.docstring.value, found) if found.docstring is not None else ""
        annotation, default = found.annotation, None
        if attrs.has(kind) and found.name in attrs.fields_dict(kind):
            default = _default(attrs.fields_dict(kind)[found.name])
        if annotation is None and isinstance(found.value, ExprCall) and isinstance(found.value.function, ExprName):
            made = vars(import_module(cls.module.path)).get(found.value.function.name)
            annotation = found.value.function if isclass(made) else None
            text = text or (_first_sentence(made) if isclass(made) else "")
        elif annotation is None and isinstance(found.value, ExprName) and "__init__" in cls.members:
            given = {each.name: each.annotation for each in cls.members["__init__"].parameters}
            annotation = given.get(found.value.name)
        if not text and (cls.docstring is None or f"`{found.name}`" not in cls.docstring.value):
            text = SAID_ONCE.get(found.name, "")
        return DocstringAttribute(found.name, annotation=self._written_out(annotation), description=text, value=default)

    def _bases(self, kind: type) -> str:
        """Return the sentence that names the base of a class whose members the class has, too."""
        ours = [base.__name__ for base in kind.__mro__[1:] if base.__name__ in self._public]
        also = [base.__name__ for base in kind.__bases__ if base in (ValueError, TypeError)]
        text = f"It is made from `{ours[0]}` and has its fields and methods, too." if ours and ours[0] != "RateLimiter" else ""
        return f"{text} It is also a `{also[0]}`." if also else text


def _as_fixture(function: Function) -> None:
    """Show a fixture of pytest as what a test gets."""
    function.labels.add("fixture")
    function.parameters = Parameters()
    if isinstance(function.returns, ExprSubscript):  # Iterator[...]
        function.returns = function.returns.slice


def _is_field(member: Object | Alias) -> bool:
    return isinstance(member, Attribute) and not member.name.startswith("_") and not member.name.isupper()


def _all_in(owner: Module | Class) -> Iterator[Object]:
    """Yield the modules, classes, functions and attributes below, the innermost first."""
    for member in owner.members.values():
        if isinstance(member, Module | Class):
            yield from _all_in(member)
        if isinstance(member, Object):
            yield member


def _default(field: Any) -> str | None:
    """Return the default of a field of an attrs class as code; None if it has none."""
    if field.default is attrs.NOTHING:
        return None
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        return "{}" if field.default.factory is dict else f"{field.default.factory.__name__}()"
    return "..." if callable(field.default) and not isclass(field.default) else repr(field.default)


def _first_sentence(kind: type) -> str:
    return re.split(r"(?<=\.)\s", (kind.__doc__ or "").strip())[0]


def _title(page: str) -> str:
    """Return the title of a page of the site."""
    return (Path(__file__).parent / "pages" / f"{page}.md").read_text().partition("\n")[0].removeprefix("# ")
