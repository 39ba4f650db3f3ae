"""Find the columns of a customer for the header of an imported file. The module reads and writes nothing."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Final, Literal

import click

from ticketsource_async.cli.damage import clean
from ticketsource_async.files.csv import undefuse
from ticketsource_async.files.reading import FileRows
from ticketsource_async.tables import CUSTOMERS, WRITABLE, is_consent

Match = Literal["email", "id", "membership"]

KEYS: Final[Mapping[Match, str]] = {"email": "email", "id": "id", "membership": "membership_identifier"}
"""The column by which an import finds the customer of a row."""

REASON: Final = "refused_because"
"""The column that `--refused` adds. An import leaves it out."""

_SKIP: Final = str.maketrans("", "", " _-.:*\u00a0\t\n")
_LEAST_LIKENESS: Final = 0.6
_WORD: Final = re.compile(r"[^\W_]+")


def plain(name: str) -> str:
    """Return a name for comparison: without capitals, spaces, underscores and hyphens."""
    return clean(name).lower().translate(_SKIP)


def is_reason(name: str) -> bool:
    """Say whether `--refused` added this column."""
    return plain(name) == plain(REASON)


_OWN_NAMES: Final = {plain(name): name for name in CUSTOMERS.names}
_USUAL_NAMES: Final[Mapping[str, str]] = {
    plain(other): column
    for column, others in {
        "first_name": "forename, forenames, first names, given name, fname",
        "last_name": "surname, family name, lname",
        "address_line_1": "address 1, address line 1, addr 1, street, street address, address 1 street",
        "address_line_2": "address 2, addr 2",
        "address_line_3": "address 3, addr 3",
        "address_line_4": "address 4, addr 4",
        "address_postcode": "postcode, postal code, zip, zip code, zip/postal code, address 1 postal code",
        "telephone": "phone, phone number, phone no, telephone number, telephone no, tel, tel no, tel number, mobile, "
        "mobile phone, mobile number, mobile no, mobile telephone, cell, cell phone, landline, home phone, phone 1, "
        "phone 1 value, contact number",
        "email": "email address, mail, email addr, primary email, email 1, email 1 value",
        "membership_identifier": "membership number, membership no, membership id, member number, member no, member id",
        "membership_start_date": "membership start",
        "membership_end_date": "membership end, membership expiry, membership expiry date, membership expires",
    }.items()
    for other in others.split(",")
}
"""Other usual names of columns. None of them is a consent: it is not known what "Opt in" covers."""
_SORTED_NAMES: Final = {"".join(sorted(name.split("_"))): name for name in CUSTOMERS.names}


def known(name: str) -> str | None:
    """Return the column that a name means without --column, None if there is none."""
    return _OWN_NAMES.get(plain(name)) or _USUAL_NAMES.get(plain(name))


class Columns:
    """The columns of a file. `at` has the column at each place, `left_out` the names of columns that are not read."""

    def __init__(self, file: FileRows, mapping: Mapping[str, str], match: Match, *, ignore_unknown: bool) -> None:
        """Raise click.UsageError with everything that is wrong with the header.

        `mapping` has the column for a name of the file, or an empty text to leave it out.
        """
        needed = KEYS[match]
        self.at: dict[int, str] = {}
        self.left_out: list[str] = []
        self.width = len(file.header.cells)
        self._needed = needed
        self._names = [undefuse(clean(name)) for name in file.header.cells]
        self._reasons = {place for place, name in enumerate(self._names) if is_reason(name)}
        problems = [*self._mapped(mapping), *self._found(mapping, ignore_unknown=ignore_unknown)]
        problems += self._unnamed(file, ignore_unknown=ignore_unknown)
        if needed not in self.at.values():
            problems.append(f"The file has no column {needed!r}, and --match {match} needs it.")
            if file.delimiter and self.width == 1:
                problems.append(
                    f"The header has only one cell. The file was read as {file.taken}. If another character "
                    "separates the cells, give it as --delimiter."
                )
        if problems:
            listed = "".join(f"\n- {problem}" for problem in problems)
            raise click.UsageError(
                f"The header in row {file.header.number} cannot be used:{listed}\n"
                f"The columns are {', '.join(CUSTOMERS.names)}.\n"
                'To say which of these a column is, add --column "NAME=COLUMN". To leave a column out, add --column '
                '"NAME=". To leave out all columns that are not known, add --ignore-unknown.'
            )

    def repeats_header(self, cells: Mapping[int, str]) -> bool:
        """Say whether a row repeats the header. This happens if somebody joins two files."""
        given = {place: cell for place, cell in cells.items() if cell and place not in self._reasons}
        key = next((cell for place, cell in given.items() if self.at.get(place) == self._needed), "")
        if known(key):
            return True
        names = {plain(name) for name in self._names}
        if len(given) > 1 and all(known(cell) or plain(cell) in names for cell in given.values()):
            return True
        return bool(given) and all(
            (place < len(self._names) and plain(cell) == plain(self._names[place]))
            or (known(cell) or "") == self.at.get(place)
            for place, cell in given.items()
        )

    def _mapped(self, mapping: Mapping[str, str]) -> Iterator[str]:
        """Use --column, and yield the errors in it."""
        for name, column in mapping.items():
            places = [place for place, found in enumerate(self._names) if found and plain(found) == plain(name)]
            if not places:
                yield f"--column says what {name!r} is, but the file has no column {name!r}."
            elif column and plain(column) not in _OWN_NAMES:
                yield f"--column says that {name!r} is {column!r}, but that is not a column.{_nearest(column)}"
            elif not column:
                self.left_out += [self._names[place] for place in places]
            else:
                self.at |= dict.fromkeys(places, _OWN_NAMES[plain(column)])

    def _found(self, mapping: Mapping[str, str], *, ignore_unknown: bool) -> Iterator[str]:
        """Use the columns with known names, and yield the errors in the others."""
        said = {plain(name) for name in mapping}
        chosen = set(self.at.values())
        for place, name in enumerate(self._names):
            if not name or plain(name) in said or place in self._reasons:
                continue
            column = known(name)
            if column and column not in chosen:
                self.at[place] = column
            elif plain(name) in _OWN_NAMES:
                # The file's own column, such as a consent, is never silently replaced by another.
                yield (
                    f"{name!r} is in the file, but --column says that another column is {column}. Leave one of them "
                    f'out, such as --column "{name}=".'
                )
            elif ignore_unknown:
                self.left_out.append(name)
            elif column:
                yield (
                    f"{name!r} means {column}, but --column says that another column is {column}. Leave one of them "
                    f'out, such as --column "{name}=".'
                )
            else:
                yield f"{name!r} is not known.{_nearest(name)}"
        for column, names in self._names_by_column().items():
            if len(set(map(plain, names))) < len(names):
                yield f"{' and '.join(map(repr, names))} both mean {column}. Rename one of them in the file."
            elif len(names) > 1:
                yield f"{' and '.join(map(repr, names))} both mean {column}. Choose one of them with --column."

    def _names_by_column(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = defaultdict(list)
        for place, column in sorted(self.at.items()):
            names[column].append(self._names[place])
        return names

    def _unnamed(self, file: FileRows, *, ignore_unknown: bool) -> Iterator[str]:
        """Yield errors for columns without a name that have cells, and set the width without such columns at the end.

        In a text file, an unquoted comma may have moved a cell there. So only the row is refused, also in the sheet
        that `--refused` made of the file. In other sheets the column is refused.
        """
        while (file.delimiter or self._reasons) and self.width and not self._names[self.width - 1]:
            self.width -= 1
        unnamed = [place for place, name in enumerate(self._names[: self.width]) if not name]
        for place in unnamed:
            row = next((row for row in file.rows if len(row.cells) > place and clean(row.cells[place])), None)
            if row is not None and ignore_unknown:
                self.left_out.append(f"column {place + 1}, which has no name")
            elif row is not None:
                yield f"Column {place + 1} has cells, such as {row.cells[place]!r} in row {row.number}, but no name."


def _nearest(name: str) -> str:
    """Return the known name that is most like an unknown one, as the end of a sentence.

    A consent is suggested only for a name with the word of the consent in it.
    """
    forms = {plain(name), "".join(sorted(_WORD.findall(name.lower())))}
    ratios: dict[str, float] = {}
    for other, column in {**_USUAL_NAMES, **_OWN_NAMES, **_SORTED_NAMES}.items():
        if column not in WRITABLE or not is_consent(column) or column.rpartition("_")[2] in plain(name):
            ratios[column] = max(ratios.get(column, 0), *(SequenceMatcher(None, other, form).ratio() for form in forms))
    column, likeness = max(ratios.items(), key=lambda it: it[1])
    return f" Did you mean {column}?" if likeness >= _LEAST_LIKENESS else ""
