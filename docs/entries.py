"""Prepare the entries of the reference of Python names. This is an extension of Griffe, which reads the code.

It adds what the code does not show: the constructors and the defaults of attrs classes, the values of types and
defaults whose names are not public, links in the texts, and a list of the fields of each class.
"""

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
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
    TypeAlias,
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
besides. `InvalidID` is raised before any request, for a text that cannot be an id. A list raises the errors of its
requests in the loop, and a bulk call has them in its outcomes.""",
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
            *("reports.donations.Period", "reports.lost.Lost"),
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
        (
            "sandbox.Sandbox",
            "sandbox.Fault",
            "sandbox.RecordedRequest",
            "sandbox.store.Customers",
            "testing.no_waiting",
        ),
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
    "LocalRateLimiter": {"slot", "pause"},
    "Lost": {"counts", "any_sum", "any_performance", "words"},
    "CustomerStore": {"path", "get", "customers", "count", "acknowledge", "acknowledge_all", "erase", "aclose"},
    "ticketsource_async.sandbox.store.Customers": {
        *("ids", "rows", "get", "insert", "delete", "purge", "merge", "create", "update"),
    },
}
"""The members to show of a class whose other members are only for the library itself."""

STANDS_FOR: Final = {"AnyChange": "Change"}
"""The public types to show in place of wider types of the library."""

SAID_ONCE: Final = {
    "address": "The postal address.",
    "attempt": "The number of the attempt, from 1.",
    "attempts": "How many requests were sent for the call.",
    "booking": "The booking.",
    "booking_id": "The id of the booking.",
    "created_at": "When TicketSource made the record.",
    "date": "The date of the event.",
    "date_id": "The id of the date of the event.",
    "email": "The e-mail address.",
    "event": "The event.",
    "event_id": "The id of the event.",
    "extra": "The values that have no field.",
    "first_name": "The first name.",
    "genre": "The genre.",
    "id": "The id.",
    "last_name": "The last name.",
    "line": "The line of the booking.",
    "line_1": "Line 1 of the address.",
    "line_2": "Line 2 of the address.",
    "line_3": "Line 3 of the address.",
    "line_4": "Line 4 of the address.",
    "method": "The HTTP method of the request.",
    "name": "The name.",
    "path": "The path of the request, without the query.",
    "postcode": "The postcode.",
    "request_id": "The id of the request, for questions to TicketSource support; None if the answer has none.",
    "seats": "The seats.",
    "status": "The HTTP status of the answer.",
    "telephone": "The telephone number.",
    "title": "The title, such as Ms.",
    "updated_at": "When the record was last changed.",
    "venue": "The venue.",
}
"""The descriptions of fields that mean the same in many classes, for classes that do not describe them."""


class Entries(Extension):
    """The extension of Griffe."""

    def on_package(self, *, pkg: Module, **_: object) -> None:
        """Prepare all entries of the package."""
        if pkg.path == PACKAGE:
            self._pkg = pkg
            self._public = set(import_module(PACKAGE).__all__)
            everything = list(_all_in(pkg))
            self._declared = {each.path: self._types(each) for each in everything if isinstance(each, Class)}
            for found in everything:
                self._prepare(found)
            for found in everything:
                if isinstance(found, Attribute) and isinstance(found.parent, Module):
                    self._prepare_attribute(found, found.parent)

    def _types(self, cls: Class) -> dict[str, Any]:
        """Write out the types of the fields that a class declares, and return them by name."""
        found: dict[str, Any] = {}
        for each in cls.members.values():
            if isinstance(each, Attribute):
                found[each.name] = each.annotation = self._written_out(each.annotation)
        return found

    def _prepare(self, found: Object) -> None:
        if isinstance(found, Function):
            # A parameter of the type Never only gives a mistake an error of its own.
            shown = (each for each in found.parameters if str(each.annotation) != "Never")
            found.parameters = Parameters(*map(self._parameter, shown))
            found.returns = self._written_out(found.returns)
            for overload in found.overloads or ():
                self._prepare(overload)
            if any(str(each.value).startswith("pytest.fixture") for each in found.decorators):
                _as_fixture(found)
        elif isinstance(found, Class):
            self._prepare_class(found)
        if found.docstring is not None and not isinstance(found, Class):
            found.docstring.value = linked(found.docstring.value, found)

    def _prepare_attribute(self, found: Attribute, module: Module) -> None:
        """Show the type of a constant, and the value of an alias."""
        found.labels.clear()
        if isinstance(found.annotation, ExprSubscript) and str(found.annotation.left) == "Final":
            found.annotation = found.annotation.slice
        if isinstance(found.value, ExprCall) and str(found.annotation) == "Final":
            found.annotation = found.value.function
        found.annotation = self._written_out(found.annotation)
        if str(found.value).startswith("TypeVar("):
            module.del_member(found.name)
        elif found.annotation is None and not isinstance(found.value, ExprCall):
            alias = TypeAlias(found.name, value=found.value, docstring=found.docstring, parent=module)
            module.set_member(found.name, alias)
        found.value = None

    def _parameter(self, parameter: Parameter) -> Parameter:
        """Write out the type and the default of a parameter, and return it."""
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
        if isinstance(expression, ExprName) and expression.name in STANDS_FOR:
            return ExprName(STANDS_FOR[expression.name], parent=self._pkg)
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

    def _prepare_class(self, cls: Class) -> None:
        """Put the fields of a class into a list below its text, and show its constructor if programs make it."""
        kind = vars(import_module(cls.module.path)).get(cls.name)
        if not isclass(kind):
            return
        if attrs.has(kind):
            cls.set_member("__init__", self._constructor(cls, kind))
        shown = MEMBERS.get(cls.name, MEMBERS.get(cls.path, set(cls.members)))
        own = [each for each in cls.members.values() if isinstance(each, Attribute)]
        fields_shown = [each for each in own if each.name in shown and _is_field(each)]
        if attrs.has(kind) and cls.name in MADE:  # the constructor shows the other fields
            fields_shown = [each for each in fields_shown if each.docstring is not None]
        listed = [self._field(cls, kind, each) for each in fields_shown]
        kept = shown - {each.name for each in own} - {"__init__"} | ({"__init__"} if cls.name in MADE else set())
        for name in set(cls.members) - kept:
            cls.del_member(name)
        text = cls.docstring.value if cls.docstring is not None else ""
        cls.docstring = Docstring(linked(f"{text}\n\n{self._bases(kind)}", cls), parent=cls, parser="google")
        if listed:
            cls.docstring.parsed.append(DocstringSectionAttributes(listed))

    def _constructor(self, cls: Class, kind: type) -> Function:
        """Return the constructor that attrs makes."""
        parameters = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
        for field in attrs.fields(kind):
            declared = (self._declared.get(f"{base.__module__}.{base.__name__}", {}) for base in kind.__mro__)
            parameters.append(
                Parameter(
                    field.alias or field.name,
                    annotation=next((types[field.name] for types in declared if field.name in types), None),
                    kind=ParameterKind.keyword_only if field.kw_only else ParameterKind.positional_or_keyword,
                    default=_default(field),
                )
            )
        return Function("__init__", parameters=Parameters(*parameters), returns="None", parent=cls)

    def _field(self, cls: Class, kind: type, found: Attribute) -> DocstringAttribute:
        """Return the entry of a field in the list of its class."""
        text = linked(found.docstring.value, found) if found.docstring is not None else ""
        annotation, value, init = found.annotation, found.value, cls.members.get("__init__")
        # The code gives a field that `__init__` sets no type: take it from the value.
        if annotation is None and isinstance(value, ExprCall) and isinstance(value.function, ExprName):
            made = vars(import_module(cls.module.path)).get(value.function.name)
            annotation = value.function if isclass(made) else None
            text = text or _first_sentence(made)
        elif annotation is None and isinstance(value, ExprName) and isinstance(init, Function):
            annotation = next((each.annotation for each in init.parameters if each.name == value.name), None)
        elif annotation is None and str(value).isdigit():
            annotation = "int"
        if not text and not _is_named(found.name, cls):
            text = SAID_ONCE.get(found.name) or self._of_type(annotation)
        of_attrs = attrs.fields_dict(kind).get(found.name) if attrs.has(kind) else None
        default = None if of_attrs is None else _default(of_attrs)
        return DocstringAttribute(found.name, annotation=self._written_out(annotation), description=text, value=default)

    def _of_type(self, annotation: Any) -> str:
        """Return the first sentence about the class of this package that is the type of a field."""
        name = str(annotation).removesuffix(" | None")
        kind = getattr(import_module(PACKAGE), name) if name in self._public else None
        return linked(_first_sentence(kind))

    def _bases(self, kind: type) -> str:
        """Return the sentence that names the base classes, whose members are not listed again."""
        ours = [base.__name__ for base in kind.__mro__[1:] if base.__name__ in self._public]
        pythons = [base.__name__ for base in kind.__bases__ if base in (ValueError, TypeError)]
        if not ours or ours[0] == "RateLimiter":  # a protocol: its methods are listed again
            return ""
        also = f" It is also a subclass of `{pythons[0]}`." if pythons else ""
        return f"It is a subclass of `{ours[0]}` and has the fields and methods of that class.{also}"


@cache
def _paths() -> dict[str, str]:
    """Return the path of the entry of each name."""
    named = [name for _, _, names in GROUPS.values() for name in names]
    public: list[str] = import_module(PACKAGE).__all__
    # Of two names that are alike, such as the two `Customers`, the first one gets the links, and a public one always.
    paths = {name.rpartition(".")[2]: f"{PACKAGE}.{name}" for name in [*reversed(named), *public]}
    return {name: path for name, path in paths.items() if name not in ("files", "tables")}  # also common words


def linked(text: str, owner: Object | None = None) -> str:
    """Return a text in which each name of an entry links to it, but the name of the owner does not."""
    own = owner if isinstance(owner, Class) or owner is None else owner.parent

    def link(match: re.Match[str]) -> str:
        first = match[1].partition(".")[0]
        is_own = own is not None and first == own.name
        return match[0] if is_own or first not in _paths() else f"[{match[0]}][{_paths()[first]}]"

    text = re.sub(r"(?<![\[`])`([A-Za-z][\w.]*)`(?![`\]])", link, text)
    return re.sub(r"docs/pages/(\S+)\.md", lambda page: f"[{_title(page[1])}](../../{page[1]}.md)", text)


def _is_named(field: str, cls: Object | Alias) -> bool:
    """Return whether the text of a class names a field."""
    return cls.docstring is not None and re.search(rf"`{field}[`=.]", cls.docstring.value) is not None


def _as_fixture(function: Function) -> None:
    """Show a fixture of pytest as what a test gets."""
    function.labels.add("fixture")
    function.parameters = Parameters()
    if isinstance(function.returns, ExprSubscript):  # Iterator[...]
        function.returns = function.returns.slice


def _is_field(member: Attribute) -> bool:
    """Return whether an attribute of a class is a field that programs read."""
    return not member.name.startswith("_") and not member.name.isupper() and member.name != "args"  # of an exception


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


def _first_sentence(kind: object) -> str:
    """Return the first sentence of the text of a class; empty for anything else."""
    return re.split(r"(?<=\.)\s", (kind.__doc__ or "").strip())[0] if isclass(kind) else ""


def _title(page: str) -> str:
    """Return the title of a page of the site."""
    return (Path(__file__).parent / "pages" / f"{page}.md").read_text().partition("\n")[0].removeprefix("# ")
