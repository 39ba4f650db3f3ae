"""The report of an import: the outcome of each row, the sums, the changes, and the rows to correct."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final, TypeVar

from attrs import frozen

from ticketsource_async import RateLimit
from ticketsource_async._words import counted
from ticketsource_async.cli.columns import REASON, is_reason
from ticketsource_async.cli.damage import clean, is_error
from ticketsource_async.cli.lines import Line
from ticketsource_async.files.csv import defuse, undefuse
from ticketsource_async.files.reading import Row
from ticketsource_async.models.values import escape_controls
from ticketsource_async.tables import Column, Shown, Table, is_consent

_TO_CORRECT: Final = ("refused", "unknown")
_REQUESTS: Final = {"would create": 1, "would update": 2}  # an update first reads the current record
_MOST_SHOWN: Final = 40
_MOST_NAMED: Final = 5

T = TypeVar("T")

_Shown = str | bool | int | None


@dataclass
class Outcome:
    """The outcome of a row."""

    line: Line
    outcome: str
    id: str = ""
    reason: str = ""
    values: Mapping[str, _Shown] = field(default_factory=dict)
    changes: Mapping[str, tuple[_Shown, _Shown]] | None = None
    as_stored: list[str] = field(default_factory=list)
    odd: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_to_correct(self) -> bool:
        """Whether the row was not written, or it is not known whether it was."""
        return self.outcome in _TO_CORRECT

    def to_dict(self) -> dict[str, object]:
        """Return the outcome as JSON-able data."""
        said: dict[str, object] = {"row": self.line.row.number, "outcome": self.outcome}
        for name in ("id", "reason", "values", "as_stored", "odd"):
            if value := getattr(self, name):
                said[name] = value
        return said if self.changes is None else {**said, "changes": self.changes}


@frozen
class Change:
    """A change of one cell: of a known customer, or the first value of a new one."""

    outcome: Outcome
    column: str
    before: str
    after: str


class Outcomes:
    """The outcomes of all rows."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._consents: dict[str, list[int]] = {"given": [], "withdrawn": []}
        self._as_stored: Counter[str] = Counter()
        self._odd: dict[tuple[str, str], list[int]] = {}
        self._to_correct: list[Outcome] = []
        self._changing: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a row."""
        self._counts[outcome.outcome] += 1
        if outcome.is_to_correct:
            self._to_correct.append(outcome)
        else:
            self._as_stored.update(outcome.as_stored)
            for column_and_what in outcome.odd.items():
                self._odd.setdefault(column_and_what, []).append(outcome.line.row.number)
        if outcome.changes or outcome.values:
            self._changing.append(outcome)
        changes = outcome.changes or {name: (None, value) for name, value in outcome.values.items()}
        for name, (old, new) in changes.items():
            if is_consent(name) and new is True:
                self._consents["given"].append(outcome.line.row.number)
            elif is_consent(name) and old is True:
                self._consents["withdrawn"].append(outcome.line.row.number)

    @property
    def changes(self) -> list[Change]:
        """The changes of all rows, in the order of the file."""
        found = []
        for outcome in sorted(self._changing, key=lambda outcome: outcome.line.row.number):
            found += [
                Change(outcome, name, _words(name, old), _words(name, new))
                for name, (old, new) in (outcome.changes or {}).items()
            ]
            found += [Change(outcome, name, "", _words(name, new)) for name, new in outcome.values.items()]
        return found

    @property
    def to_correct(self) -> list[Outcome]:
        """The rows that were not written, in the order of the file."""
        return sorted(self._to_correct, key=lambda outcome: outcome.line.row.number)

    def summary(self, *, applied: bool) -> Iterator[str]:
        """Yield the sums as lines."""
        counted = ", ".join(f"{count:,} {kind}" for kind, count in self._counts.items()) or "no rows"
        yield f"{counted}." if applied else f"{counted}. {self._cost()}Nothing was written. To write, add --apply."
        if any(self._consents.values()):
            counts = [f"{len(rows):,} {what}{_in_rows(rows)}" for what, rows in self._consents.items()]
            yield f"Consents: {', '.join(counts)}."

    def warnings(self) -> Iterator[str]:
        """Yield lines about cells that are left as stored, and about values that look odd."""
        if self._as_stored:
            columns = ", ".join(f"{count:,} in {name}" for name, count in self._as_stored.items())
            yield f"A spreadsheet has turned cells into numbers. The stored values stay: {columns}."
        for (column, what), rows in self._odd.items():
            yield f"{column} {what}: {_rows(rows)}."

    def _cost(self) -> str:
        """Return how many requests the writes take, and how long that is at the rate limit."""
        if not (requests := sum(count * self._counts[kind] for kind, count in _REQUESTS.items())):
            return ""
        limit = RateLimit()
        minutes = ceil(requests / limit.limit * limit.per / 60)
        about = f", about {minutes:,} minutes" if minutes > 1 else ""
        return f"Writing takes {counted(requests, 'request')}{about}. "

    def show_to_correct(self, all_in: Path | None) -> None:
        """Print a table of the rows that were not written on a terminal. `all_in` is the file that has all of them."""
        _show(_REFUSED, self.to_correct, all_in, "--refused refused.xlsx")

    def show_changes(self, all_in: Path | None) -> None:
        """Print a table of the changes on a terminal. `all_in` is the file that has all of them."""
        _show(_CHANGES_SHOWN, self.changes, all_in, "--changes changes.xlsx")


def _show(table: Table[T], rows: list[T], all_in: Path | None, option: str) -> None:
    """Print the first rows of a table. `option` writes all of them to a file."""
    if not rows:
        return
    from ticketsource_async.cli.terminal import print_rows  # noqa: PLC0415 - only where a table is drawn

    below = [""]
    if (more := len(rows) - _MOST_SHOWN) > 0:
        where = f"{escape_controls(str(all_in))} has all" if all_in else f"add {option} to write all of them to a file"
        below = [f"{more:,} more: {where}.", ""]
    print_rows(table, rows[:_MOST_SHOWN], below, instead="--json")


def _rows(numbers: list[int]) -> str:
    """Return the numbers of the first rows: "rows 2, 3, 4, 5, 6 and 3 more"."""
    shown = sorted(set(numbers))
    more = f" and {len(shown) - _MOST_NAMED:,} more" if len(shown) > _MOST_NAMED else ""
    return f"row{'s' if len(shown) > 1 else ''} {', '.join(map(str, shown[:_MOST_NAMED]))}{more}"


def _in_rows(numbers: list[int]) -> str:
    return f" ({_rows(numbers)})" if numbers else ""


def _words(column: str, value: _Shown) -> str:
    """Return a value before or after a change for people."""
    if is_consent(column):
        return "unknown" if value is None else "yes" if value else "no"
    return "" if value is None else str(value)


def _who(outcome: Outcome) -> str:
    """Return the name of the customer, else the e-mail, else the text that identifies the customer."""
    line, before = outcome.line, outcome.line.before
    cells = {column: cell for column, cell in line.cells.items() if not is_error(cell)}
    names = (before.first_name, before.last_name) if before else (cells.get("first_name"), cells.get("last_name"))
    email = before.email if before else cells.get("email")
    return clean(" ".join(filter(None, names))) or email or line.key


CHANGES: Final = Table[Change](
    (
        Column("row", "number", lambda change: change.outcome.line.row.number),
        Column("outcome", "text", lambda change: change.outcome.outcome),
        Column("id", "text", lambda change: change.outcome.id),
        Column("who", "text", lambda change: _who(change.outcome)),
        Column("column", "text", lambda change: change.column),
        Column("before", "text", lambda change: change.before),
        Column("after", "text", lambda change: change.after),
        Column("odd", "text", lambda change: change.outcome.odd.get(change.column, "")),
    ),
    name="changes",
)
"""The table of --changes."""

_CHANGES_SHOWN: Final = Table[Change](
    (*CHANGES.columns, Column("new", "text", lambda change: "(new)" if "create" in change.outcome.outcome else "")),
    shown=(Shown("row"), Shown("who", ("who", "new")), Shown("column"), Shown("before"), Shown("after")),
)

_REFUSED: Final = Table[Outcome](
    (
        Column("row", "number", lambda outcome: outcome.line.row.number),
        Column("who", "text", _who),
        Column("why it is not written", "text", lambda outcome: outcome.reason),
    ),
    shown=(Shown("row"), Shown("who"), Shown("why it is not written", ("why it is not written",))),
)


def table_to_correct(
    header: Row, outcomes: list[Outcome], *, escape_formulas: bool, guard_names: bool
) -> Table[Outcome]:
    """Return the table of the rows to correct: a column with the reason, then the unchanged columns of the file.

    `guard_names` puts a quote before a name that a spreadsheet would run as a formula. The writer does the same with
    cells.
    """
    width = max((len(row.cells) for row in (header, *(outcome.line.row for outcome in outcomes))), default=0)
    names = [undefuse(clean(name)) for name in header.cells] + [""] * (width - len(header.cells))

    def column(place: int) -> Column[Outcome]:
        def get(outcome: Outcome) -> str:
            cells = outcome.line.row.cells
            cell = cells[place] if place < len(cells) else ""
            return undefuse(cell) if escape_formulas else cell

        return Column(defuse(names[place]) if guard_names else names[place], "text", get)

    kept = [place for place, name in enumerate(names) if not is_reason(name)]
    return Table((Column(REASON, "text", lambda outcome: outcome.reason), *map(column, kept)))
