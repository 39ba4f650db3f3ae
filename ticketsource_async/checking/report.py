"""The result of a check: findings, a dict for programs, and Markdown to send to others. It makes no calls."""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from ticketsource_async._version import __version__
from ticketsource_async.checking.calls import MOST_REQUESTS, Results
from ticketsource_async.checking.connection import Connection, of_connection
from ticketsource_async.checking.findings import MODELS, Finding, of_records
from ticketsource_async.checking.lists import of_lists, of_size, of_times
from ticketsource_async.checking.search import Search
from ticketsource_async.checking.shapes import Shape
from ticketsource_async.models import Customer

_LEGEND: Final = (
    "This report has no value, no id and no key. It has the names of attributes that many records share. `open` means "
    "that this check cannot find it out, such as what an update does."
)

NOTHING_ELSE: Final = "Nothing else was checked."


@frozen
class Checked:
    """The result of a check."""

    findings: list[Finding]
    shapes: list[Shape]
    requests: int
    search: Search | None
    nothing_else: bool
    """Whether the check ended before a good answer came. Then the findings are only about the connection."""

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON-able data."""
        return {
            "version": __version__,
            "requests": self.requests,
            "customers": {"least": self.search and self.search.least, "most": self.search and self.search.most},
            "findings": [
                {"group": found.group, "name": found.name, "state": found.state, "says": found.says}
                for found in self.findings
            ],
            "records": {
                shape.name: {
                    "read": shape.records,
                    "fields": {path: dict(kinds) for path, kinds in shape.kinds.items()},
                    "dates": {path: dict(forms) for path, forms in shape.forms.items()},
                    "unknown": {path: dict(kinds) for path, kinds in shape.unknown().items()},
                }
                for shape in self.shapes
            },
        }

    def to_markdown(self) -> str:
        """Return the result as a report with only paths, kinds and findings."""
        lines = [
            "# A check of the TicketSource API",
            "",
            f"Made by ticketsource-async {__version__} with {self.requests} requests (at most {MOST_REQUESTS}).",
            _LEGEND,
            *_table(
                ("", "what", "answer"),
                [(found.state, f"{found.group}: {found.name}", found.says) for found in self.findings],
            ),
            *(["", NOTHING_ELSE] if self.nothing_else else []),
        ]
        for shape in self.shapes:
            if shape.records:
                lines += ["", f"## {shape.name}: {shape.records} records", *_fields(shape)]
        return "\n".join([*lines, ""])


def _fields(shape: Shape) -> list[str]:
    rows = []
    for path, kinds in [*shape.kinds.items(), *shape.unknown().items()]:
        known = "" if path in shape.kinds else "not documented"
        rows.append((f"`{path}`", _counts(kinds), _counts(shape.forms.get(path, {})), known))
    return _table(("path", "kinds", "forms of dates", ""), rows)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in found.items())


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", *(f"| {' | '.join(cells)} |" for cells in [head, ("---",) * len(head), *rows])]


def checked(found: Results, connection: Connection, *, same: bool | None = None) -> Checked:
    """Return the result; `same` is as in `of_times`."""
    shapes = [Shape(model) for model in MODELS]
    for shape in shapes:
        shape.add(found.rows_of(shape.name))
    customers = next(shape for shape in shapes if shape.model is Customer)
    findings = of_connection(found, connection)
    if found.is_empty:
        return Checked(findings, shapes, len(connection.statuses), None, nothing_else=True)
    findings += [
        *of_lists(found, connection.base_url, customers),
        of_times(found, same=same),
        *(finding for shape in shapes for finding in of_records(found, shape)),
        *of_size(found),
    ]
    return Checked(findings, shapes, len(connection.statuses), found.search, nothing_else=False)
