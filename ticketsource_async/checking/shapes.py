"""Collect the paths, kinds and forms of the API's rows, without any value. The class makes no calls."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any, Final, get_type_hints

from attrs import define, field

from ticketsource_async.models.base import Record
from ticketsource_async.models.reader import Field, Kind, Refused, fields_of, read_row
from ticketsource_async.models.values import RECORD_KINDS, Unreadable, as_list

_USUAL: Final[Mapping[Kind, tuple[str, ...]]] = {
    "text": ("text", "empty text"),
    "yes": ("true or false",),
    "money": ("whole number", "decimal number"),
    "part": ("object",),
    "parts": ("list", "empty list"),
}
"""The documented kinds of JSON of a field, besides null. For dates see `date_form`."""

_WHEN: Final = re.compile(
    r"(?P<day>[0-9]{4}-(?P<month>[0-9]{2})-[0-9]{2})"
    r"(?P<clock>[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?(?P<fraction>[.,][0-9]+)?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_ZERO: Final = ("0000", "-0001")
_DIGITS_ONLY: Final = re.compile(r"[0-9.,:/ TZ+-]{1,40}")
# The API's own names have this form. Any other name may be data, such as the name of a person or an id.
_NAME: Final = re.compile(r"(?=.{1,40}\Z)[a-z]+(_[a-z]+)*(_[0-9]{1,2})?")
_SUMMER: Final = range(4, 10)  # months that are completely in summer time in the United Kingdom
_YEARS: Final = range(1900, 9000)
_LEAST_SHARED: Final = 2  # a name is shown if at least this many records have it
_MOST_RARE: Final = 10  # and at least one record in this many
NOT_SHOWN: Final = "(a name that may be data)"


def shown(name: object) -> str:
    """Return the name of an attribute if it has the form of the API's names."""
    is_id = isinstance(name, str) and name.startswith(("skl-", *filter(None, RECORD_KINDS.values())))
    return name if isinstance(name, str) and _NAME.fullmatch(name) and not is_id else NOT_SHOWN


def json_kind(value: object) -> str:
    """Return the kind of a JSON value."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text" if value else "empty text"
    if isinstance(value, list | tuple):
        return "list" if value else "empty list"
    for kind, name in _JSON_KINDS.items():
        if isinstance(value, kind):
            return name
    return "null"


_JSON_KINDS: Final[Mapping[Any, str]] = {
    int: "whole number",
    Decimal | float: "decimal number",
    Mapping: "object",
    Unreadable: "text or number that Python cannot hold",
}


def date_form(text: str) -> str:
    """Return the form of a date: with its offset, without its digits."""
    if text.startswith(_ZERO):
        return "a date of zeros"
    if found := _WHEN.fullmatch(text):
        clock = found["clock"] or ""
        for letters in ("hh", "mm", "ss"):
            clock = re.sub("[0-9]{2}", letters, clock, count=1)
        return "".join(["YYYY-MM-DD", clock, ".f" if found["fraction"] else "", found["offset"] or ""])
    return re.sub("[0-9]", "9", text) if _DIGITS_ONLY.fullmatch(text) else "another text"


def offset_in(text: object) -> str | None:
    """Return the offset of a date-time, an empty text if it has none; None for any other value."""
    found = _WHEN.fullmatch(text) if isinstance(text, str) and not text.startswith(_ZERO) else None
    return found["offset"] or "" if found and found["clock"] else None


def is_in_summer(text: object) -> bool:
    """Say whether a date is certainly in the summer time of the United Kingdom."""
    found = _WHEN.fullmatch(text) if isinstance(text, str) else None
    return found is not None and int(found["month"]) in _SUMMER


_GOOD_MOMENT: Final = re.compile(r"YYYY-MM-DDThh:mm:ss([+-][0-9]{2}:[0-9]{2}|Z)")
_GOOD_DAY: Final = re.compile("YYYY-MM-DD")


@define
class Shape:
    """The form of the rows of one kind of record.

    `kinds` counts the kinds of values at each path of a known field. `forms` counts the forms of dates. `refused`
    counts the rows that are no record. `unread` counts, by path, the records with an unreadable value. `unlinked`
    counts links that should end in an id and do not.
    """

    model: type[Record]
    records: int = 0
    kinds: dict[str, Counter[str]] = field(factory=dict)
    forms: dict[str, Counter[str]] = field(factory=dict)
    refused: Counter[str] = field(factory=Counter)
    unread: Counter[str] = field(factory=Counter)
    unlinked: Counter[str] = field(factory=Counter)
    odd_ids: int = 0
    _unknown: dict[str, dict[str, Counter[str]]] = field(factory=dict)  # by the path of the object and the name
    _records_with_name: Counter[tuple[str, str]] = field(factory=Counter)  # the number of records that have the name
    _names_in_record: set[tuple[str, str]] = field(factory=set)  # the names in the current record
    _fields: dict[str, Field] = field(factory=dict)  # by path, for each part that was found

    @property
    def name(self) -> str:
        """The API's `type` of these records."""
        return self.model.API_TYPE

    def add(self, rows: Iterable[object]) -> None:
        """Add rows, each as the API sends it."""
        for row in rows:
            try:
                record = read_row(row, self.model)
            except Refused as refused:
                self.refused[f"{refused.what} at {refused.path or 'the row itself'}".replace("at .", "at ")] += 1
                continue
            self.records += 1
            self.unread.update({re.sub(r"\[[0-9]+]", "[]", path) for path in record.invalid})
            assert isinstance(row, dict)  # noqa: S101 - else it would have been refused
            self._count_values(row["attributes"] or {}, self.model, "")
            links = row.get("links")
            self._count_values(links if isinstance(links, dict) else {}, get_type_hints(self.model)["links"], "links.")
            self._count_ids(record)
            self._records_with_name.update(self._names_in_record)
            self._names_in_record.clear()

    def _count_values(self, given: Mapping[Any, object], model: type, parent: str) -> None:
        known = {known.key: known for known in fields_of(model)}
        self._fields.update({f"{parent}{key}": found for key, found in known.items()})
        known |= {found.other_name: found for found in known.values() if found.other_name}
        for key, value in given.items():
            if (found := known.get(key)) is None:
                names, name = self._unknown.setdefault(parent, {}), shown(key)
                names.setdefault(name, Counter())[json_kind(value)] += 1
                self._names_in_record.add((parent, name))
                continue
            path = f"{parent}{key}"
            self.kinds.setdefault(path, Counter())[json_kind(value)] += 1
            self._fields[path] = found
            if found.kind in ("moment", "day") and isinstance(value, str) and value:
                self.forms.setdefault(path, Counter())[date_form(value)] += 1
            if found.part is not None:
                self._count_part(value, found, path)

    def _count_part(self, value: object, found: Field, path: str) -> None:
        assert found.part is not None  # noqa: S101 - a part has a class
        if found.kind == "part" and isinstance(value, dict):
            self._count_values(value, found.part, f"{path}.")
        elif found.kind == "parts":
            for item in as_list(value) or ():
                if isinstance(item, dict):
                    self._count_values(item, found.part, f"{path}[].")

    def _count_ids(self, record: Any) -> None:
        """Count ids that are not as documented, and links without an id from which the library takes ids."""
        self.odd_ids += not _is_documented(record.id, self.model.ID_PREFIX)
        for name in _linked(self.model):
            if getattr(record.links, name) is not None:
                is_id = _is_documented(getattr(record, f"{name}_id"), RECORD_KINDS[name])
                self.unlinked.update([] if is_id else [f"links.{name}"])

    def unknown(self) -> dict[str, Counter[str]]:
        """Return the counted kinds of values at paths that are no known field.

        A name that few records have may be data, such as the name of a person. It is not shown.
        """
        found: dict[str, Counter[str]] = {}
        for parent, names in self._unknown.items():
            for name, kinds in names.items():
                found.setdefault(self.named(name, parent), Counter()).update(kinds)
        return found

    def named(self, name: object, parent: str = "") -> str:
        """Return the path of a name below another path. A name that may be data is left out."""
        model: type = self.model
        is_known = not parent and any(name in (known.key, known.other_name) for known in fields_of(model))
        is_shared = self._records_with_name[parent, shown(name)] >= max(_LEAST_SHARED, self.records / _MOST_RARE)
        return f"{parent}{shown(name) if is_known or is_shared else NOT_SHOWN}"

    def missing(self) -> list[str]:
        """Return the paths of known fields that no record has, not even as null or under another name."""
        links = [f"links.{name}" for name in _linked(self.model)]
        wanted = {path: known for path, known in self._fields.items() if not path.startswith("links.") or path in links}
        return [p for p, known in wanted.items() if p not in self.kinds and known.other_name not in self.kinds]

    def unusual(self) -> dict[str, list[str]]:
        """Return the undocumented kinds of JSON of the fields, by path."""
        found: dict[str, list[str]] = {}
        for path, kinds in self.kinds.items():
            usual = (*_USUAL.get(self._fields[path].kind, ("text",)), "null")
            if others := [kind for kind in kinds if kind not in usual]:
                found[path] = others
        return found

    def unusual_forms(self) -> dict[str, list[str]]:
        """Return the undocumented forms of dates, by path."""
        found: dict[str, list[str]] = {}
        for path, forms in self.forms.items():
            good = _GOOD_DAY if self._fields[path].kind == "day" else _GOOD_MOMENT
            if others := [form for form in forms if not good.fullmatch(form)]:
                found[path] = others
        return found


def _is_documented(record_id: str | None, prefix: str) -> bool:
    """Say whether an id has the prefix of its kind, followed by letters and digits."""
    return record_id is not None and re.fullmatch(f"{prefix}[A-Za-z0-9]+", record_id) is not None


def _linked(model: type) -> list[str]:
    """Return the kinds of records whose ids are read from the links of a record."""
    names = [name.removesuffix("_id") for name in vars(model) if name.endswith("_id")]
    return [name for name in names if isinstance(vars(model)[f"{name}_id"], property)]


def days_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, date]:
    """Return the day of the start of each date as written, by id.

    Dates without a start are left out, and dates so near to the ends of the calendar that there is no day beyond them.
    """
    found: dict[str, date] = {}
    for row in rows:
        start = row["attributes"].get("start")
        with suppress(ValueError):  # the 30th of February
            if offset_in(start) is not None and (day := date.fromisoformat(start[:10])).year in _YEARS:
                found[row["id"]] = day
    return found
