"""Plan what a row of a file writes to its customer, or why it is refused. The module makes no calls."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ticketsource_async._words import counted
from ticketsource_async.cli import cells, damage
from ticketsource_async.cli.columns import KEYS, Columns, Match
from ticketsource_async.cli.damage import clean
from ticketsource_async.errors import UnreadableValue
from ticketsource_async.files.csv import undefuse
from ticketsource_async.files.reading import FileRows, Row
from ticketsource_async.models import Customer, CustomerDraft
from ticketsource_async.tables import WRITABLE, Value, apply_values, draft_of, is_consent

_TEXT_MARK: Final = re.compile(r"'+(?=[+(]?[0-9])")
_JOINERS: Final = re.compile(f"[{damage.JOINERS}]")
_DOMAIN_PART: Final = r"\w(?:[\w-]*\w)?"
_EMAIL: Final = re.compile(
    r"(?!mailto\b)(?=[^@]*\w)(?![.'])(?:[\w!#$%&'*+/=?^`~-]|\.(?!\.))+(?<![.'])"
    rf"@{_DOMAIN_PART}(?:\.{_DOMAIN_PART})+",
    re.IGNORECASE,
)
_NO_NUMBER: Final = re.compile(r"[\W_]*|n/?a|n\.a\.|none|null|nil|unknown|tb[ac]", re.IGNORECASE)
_LONGEST_NUMBER: Final = 20  # the API accepts no longer number
_SMALL: Final = {ord("A") + place: ord("a") + place for place in range(26)}


@dataclass(frozen=True)
class Rules:
    """The options for all rows, and what the whole file shows.

    `as_stored` has the columns whose days differ from the stored ones only in form. `misread_row` is the number of the
    first row that has letters in a wrong encoding, compared with its customer.
    """

    match: Match
    give_consent: bool
    dates: cells.Order | None = None
    as_stored: frozenset[str] = frozenset()
    misread_row: int | None = None


@dataclass
class Line:
    """A row of the file: its cells, its customer, and the reasons if it is refused."""

    row: Row
    key: str
    cells: dict[str, str]
    """The cells by column, without empty ones."""
    guarded: dict[str, tuple[str, ...]]
    """The cells as in the file, and the same without the first quote: a stored text may itself begin with quotes."""
    dated: bool = False
    updated_at: datetime | None = None
    problems: list[str] = field(default_factory=list)
    before: Customer | None = None

    @property
    def surname(self) -> str:
        """The surname for comparison of people who share a membership number."""
        return self.cells.get("last_name", "").casefold()


@dataclass
class Plan:
    """The plan for a row: `draft` is sent, `after` is the resulting customer."""

    does: Literal["refuse", "nothing", "create", "update"] = "refuse"
    reason: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    after: Customer | None = None
    draft: CustomerDraft | None = None
    as_stored: list[str] = field(default_factory=list)
    """Columns that stay as stored, since the cell is only the stored text as a number."""
    odd: dict[str, str] = field(default_factory=dict)
    """Texts about odd values that are written, by column."""

    @property
    def writes(self) -> bool:
        """Whether there is anything to send."""
        return self.does in ("create", "update")


def email_key(email: str) -> str:
    """Return an e-mail for comparison. Only ASCII capitals make no difference: others may be of two people."""
    return clean(_JOINERS.sub("", email).translate(_SMALL))


def member_key(number: str) -> str:
    """Return a membership number for comparison, without leading zeros and `.0`, which a spreadsheet may change."""
    return re.sub(r"(?<=[0-9])[.,]0+\Z", "", number).lstrip("0").casefold() or "0"


def same_key(before: Customer, now: Customer, match: Match) -> bool:
    """Say whether a row is still for the customer who was found before."""
    if match == "email":
        return email_key(before.email or "") == email_key(now.email or "")
    return match == "id" or WRITABLE[KEYS[match]].get(before) == WRITABLE[KEYS[match]].get(now)


# Rows


def lines_of(file: FileRows, columns: Columns, match: Match, *, escape_formulas: bool) -> list[Line]:
    """Return the rows of a file. Rows that cannot be for one customer already have their problems."""
    rows = [row for row in file.rows if any(map(clean, row.cells))]
    lines = [_line(row, columns, match, escape_formulas=escape_formulas) for row in rows]
    what = "membership number and surname" if match == "membership" else match
    refuse_alike(
        [line for line in lines if line.key],
        lambda line: (member_key(line.key), line.surname) if match == "membership" else line.key,
        lambda others, _: f"{others} the same {what}",
    )
    return lines


def refuse_alike(lines: Iterable[Line], same: Callable[[Line], object], reason: Callable[[str, Line], str]) -> None:
    """Refuse all lines with an equal result of `same`, since it is not known which one is right.

    `reason` is called with some of the other rows, such as "row 7 has", and the line.
    """
    alike: dict[object, list[Line]] = defaultdict(list)
    for line in lines:
        alike[same(line)].append(line)
    for group in alike.values():
        for line in group if len(group) > 1 else ():
            others = [str(other.row.number) for other in group[:4] if other is not line][:3]
            more = f" and {len(group) - 1 - len(others):,} more" if len(group) - 1 > len(others) else ""
            line.problems.append(
                reason(f"rows {', '.join(others)}{more} have" if len(group) > 2 else f"row {others[0]} has", line)
            )


def _line(row: Row, columns: Columns, match: Match, *, escape_formulas: bool) -> Line:
    by_place = {place: clean(cell) for place, cell in enumerate(row.cells)}
    if columns.repeats_header(by_place):
        return Line(row, "", {}, {}, problems=["it repeats the header"])
    in_file = {column: cell for place, column in columns.at.items() if (cell := by_place.get(place, ""))}
    given = {column: _unguarded(column, cell) if escape_formulas else cell for column, cell in in_file.items()}
    if "email" in given:
        given["email"] = _JOINERS.sub("", given["email"])
    key = given.get(KEYS[match], "")
    line = Line(row, email_key(key) if match == "email" else key, given, {})
    if escape_formulas:
        line.guarded = {column: (cell, undefuse(cell)) for column, cell in in_file.items()}
    if row.doubt:
        line.problems.append(row.doubt)
    if surplus := sum(1 for place, cell in by_place.items() if cell and place >= columns.width):
        line.problems.append(f"it has {counted(surplus, 'cell')} too many")
    if damage.is_error(key):
        line.problems.append(damage.breakage(KEYS[match], "", key))
        line.key = ""  # rows with the same error are not for the same customer
    elif not line.key:
        line.problems.append(f"it has no {KEYS[match]}, and --match {match} needs it")
    elif match == "membership" and "last_name" in columns.at.values() and not line.surname:
        # In a file with this row alone, it cannot be seen that other rows have the same number.
        line.problems.append("it has no last_name: several people may have the same membership number")
    # In an export, an empty updated_at means a customer who was never changed. In a row without an id it means nothing.
    line.dated = "updated_at" in columns.at.values() and ("id" in given or "updated_at" in given)
    try:
        line.updated_at = _moment(given.get("updated_at", ""))
    except ValueError as error:
        line.problems.append(str(error))
    return line


def _unguarded(column: str, cell: str) -> str:
    """Return a cell without the quote before a formula, or before digits that are a text."""
    return (
        _TEXT_MARK.sub("", cell, count=1)
        if column in damage.OFTEN_DIGITS and _TEXT_MARK.match(cell)
        else undefuse(cell)
    )


def _moment(cell: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(cell) if cell else None
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - refused below, like every time without an offset
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"updated_at is a time such as 2026-01-31T09:30:00+00:00, not {cell!r}: leave it as exported")
    return moment


def days_as_stored(lines: Iterable[Line]) -> dict[str, int]:
    """Return the columns with days that are stored, but not written in ISO 8601, with the number of such cells.

    All such cells of a column must be days in the same order, and the stored day of their customer.
    """
    found = {}
    for column in (name for name, column in WRITABLE.items() if column.kind == "day"):
        others = [line for line in lines if (cell := line.cells.get(column)) and not cells.is_iso(cell)]
        for order in ("dmy", "mdy"):
            if others and all(_is_as_stored(line, column, order) for line in others):
                found[column] = len(others)
    return found


def _is_as_stored(line: Line, column: str, order: cells.Order) -> bool:
    cell = line.cells[column]
    if line.problems:  # the row is not written
        return cells.day_of(cell, order) is not None
    return line.before is not None and cells.is_same_day(cell, order, WRITABLE[column].get(line.before))


def first_misread_row(lines: Iterable[Line]) -> int | None:
    """Return the number of the first row with letters in a wrong encoding, compared with its customer."""
    for line in lines:
        if line.before is None or line.problems:
            continue
        for column, cell in line.cells.items():
            if column in WRITABLE and WRITABLE[column].kind == "text":
                stored = _stored_text(WRITABLE[column].get(line.before))
                if not _is_stored(line, column, stored) and damage.is_misread(stored, cell):
                    return line.row.number
    return None


# Plans


def plan(line: Line, before: Customer | None, rules: Rules) -> Plan:
    """Return the plan for a row. `before` is the customer of the row, None for a new one."""
    made = Plan()
    problems = list(line.problems)
    if not problems:
        problems = _take_cells(made, line, before, rules)
    if not problems:
        try:
            problems = _for_new(made, rules) if before is None else _for_known(made, line, before, rules)
        except UnreadableValue as error:
            problems = [str(error)]
    if problems:
        return Plan(reason="; ".join(problems), as_stored=made.as_stored)
    return made


def _take_cells(made: Plan, line: Line, before: Customer | None, rules: Rules) -> list[str]:
    """Add the values of the cells to the plan, and return why some cannot be written."""
    problems = []
    for column, cell in line.cells.items():
        if column in WRITABLE and (before is None or column != KEYS[rules.match]):
            old = None if before is None else WRITABLE[column].get(before)
            if WRITABLE[column].kind != "text":
                problem = _take_day_or_consent(made, column, cell, old, rules)
            else:
                stored = _stored_text(old)
                problem = "" if _is_stored(line, column, stored) else _take_text(made, column, cell, stored, rules)
            if problem:
                problems.append(problem)
    return problems


def _stored_text(value: Value) -> str:
    return clean(value) if isinstance(value, str) else ""


def _is_stored(line: Line, column: str, stored: str) -> bool:
    """Say whether a cell has the stored text, with or without the quote that an export puts before a formula."""
    return bool(stored) and stored in (line.cells[column], *line.guarded.get(column, ()))


def _take_text(made: Plan, column: str, cell: str, stored: str, rules: Rules) -> str:
    """Add a text to the plan, or return why it cannot be written."""
    if stored and damage.is_number_form(stored, cell):
        made.as_stored.append(column)
        return ""
    if broken := damage.breakage(column, stored, cell):
        return broken
    if wrong := _wrong(column, cell):
        return wrong
    if rules.misread_row is not None and damage.may_be_misread(cell) and not damage.may_be_misread(stored):
        return (
            f"{column} {cell!r} may have been read or saved in another encoding, as row {rules.misread_row} was: "
            "correct the letters"
        )
    made.values[column] = cell
    if odd := damage.oddity(column, stored, cell):
        made.odd[column] = odd
    return ""


def _wrong(column: str, cell: str) -> str:
    """Return why a text cannot be written or used; empty if it can."""
    if column == "email":
        # \w does not match combining marks, such as vowels of Hindi.
        letters = "".join("a" if unicodedata.category(letter)[0] == "M" else letter for letter in cell)
        return "" if _EMAIL.fullmatch(letters) else f"email {cell!r} is not an e-mail address"
    if column == "membership_identifier" and _NO_NUMBER.fullmatch(cell):
        return f"membership_identifier {cell!r} is not a membership number"
    if column == "membership_identifier" and len(cell) > _LONGEST_NUMBER:
        return f"membership_identifier {cell!r} is longer than {_LONGEST_NUMBER} characters"
    return ""


def _take_day_or_consent(made: Plan, column: str, cell: str, old: Value, rules: Rules) -> str:
    """Add a day or a consent to the plan, or return why it cannot be written."""
    if column in rules.as_stored or cells.is_same_day(cell, rules.dates, old):
        return ""
    if broken := damage.breakage(column, "", cell):
        return broken
    try:
        made.values[column] = cells.value_of(column, cell, rules.dates)
    except ValueError as error:
        orders = [order for order in ("dmy", "mdy") if rules.dates is None and cells.day_of(cell, order) is not None]
        hint = f"; for such days say --dates {' or '.join(orders)}" if WRITABLE[column].kind == "day" and orders else ""
        return f"{error}{hint}"
    return ""


def _for_new(made: Plan, rules: Rules) -> list[str]:
    problems = []
    if rules.match == "membership" and "last_name" not in made.values:
        problems.append("it has no last_name, without which no member is created")
    if given := _given_consents(made.values, rules):
        problems.append(f"it sets {given} to yes for a new customer: that needs --give-consent")
    made.does, made.draft = "create", draft_of(made.values)
    return problems


def _for_known(made: Plan, line: Line, before: Customer, rules: Rules) -> list[str]:
    made.after = apply_values(before, made.values)
    if made.after == before:
        made.does = "nothing"
        return []
    problems = []
    if line.dated and "updated_at" in before.invalid:
        problems.append(
            "the updated_at of the customer could not be read, so this file may be older: correct it in TicketSource"
        )
    elif line.dated and line.updated_at != before.updated_at:
        at = f" ({before.updated_at:%Y-%m-%d %H:%M %Z})" if before.updated_at else ""
        problems.append(
            f"the customer was changed in TicketSource{at} after this file was exported: make a new export, correct "
            "the customer there, and import that file"
        )
    changed = {column: new for column, (_, new) in cells.differing(before, made.after).items()}
    if given := _given_consents(changed, rules):
        problems.append(f"it sets {given} to yes, which the customer has not given: that needs --give-consent")
    made.does, made.draft = "update", cells.update_draft(before, made.after)
    return problems


def _given_consents(written: Mapping[str, object], rules: Rules) -> str:
    """Return the consents that a row would give without permission."""
    given = [column for column, value in written.items() if value is True and is_consent(column)]
    return "" if rules.give_consent else " and ".join(given)
