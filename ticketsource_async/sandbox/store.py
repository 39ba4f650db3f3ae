"""The customers and notes of the sandbox, and the rules for writing them.

This module has no HTTP. Sample customers are computed on demand; only what was written is stored.
"""

import re
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, get_args

from ticketsource_async.sandbox import sample

Nested = Literal["merge", "replace"]
Purged = Literal["null", "empty", "gone"]
Merged = Literal["gone", "survivor"]

_FIRST_ADDED: Final = 10**12  # more than there are sample notes
_TEXTS: Final = ("title", "first_name", "last_name", "telephone", "email")
_PARTS: Final = {
    "address": ("line_1", "line_2", "line_3", "line_4", "postcode"),
    "membership": ("identifier", "start_date", "end_date"),
    "consent": ("email", "post", "sms"),
}
_ORDER: Final = (
    *("title", "first_name", "last_name", "address", "telephone", "email", "membership", "consent"),
    *("created_at", "updated_at"),
)


class Refused(Exception):
    """The sent data break the rules; `details` has a text for each."""

    def __init__(self, details: list[str]) -> None:
        super().__init__(details)
        self.details = details


class Customers:
    """The customers of a sandbox (`box.customers`), in the order of the list. New ones are at its end."""

    def __init__(self, count: int, seed: int, *, nested: Nested, base_url: Callable[[], str]) -> None:
        self._seed = seed
        self._nested: Nested = nested
        self._base_url = base_url
        self._order = list(range(count))
        self._next = count
        self._gone: set[int] = set()
        self._written: dict[int, dict[str, object]] = {}
        self._merged: dict[int, int] = {}
        self._answered_with_kept: set[int] = set()

    def __len__(self) -> int:
        return len(self._order)

    def ids(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Return the ids, or a slice of them, in the order of the list."""
        return [self.id_of(index) for index in self._order[start:stop]]

    def rows(self, start: int, stop: int) -> list[dict[str, object]]:
        """Return a slice of the list as the API shows it."""
        return [self._resource(index) for index in self._order[start:stop]]

    def get(self, customer_id: str) -> dict[str, object] | None:
        """Return a customer as the API shows it, None if there is none."""
        index = self._index_of(customer_id)
        if index in self._answered_with_kept:
            index = self._merged[index]
        return None if index is None or index in self._gone else self._resource(index)

    def insert(self, count: int = 1, *, at: int | None = None) -> list[str]:
        """Insert new sample customers at a place of the list, and return their ids. 0 is the front, None the end."""
        if count < 0:
            raise ValueError("count must be 0 or more")
        new = list(range(self._next, self._next + count))
        self._next += count
        place = len(self._order) if at is None else at
        self._order[place:place] = new
        return [self.id_of(index) for index in new]

    def delete(self, ids: Collection[str]) -> None:
        """Delete customers; raise KeyError for one that is not there."""
        for customer_id in ids:
            if (index := self._find(customer_id)) is None:
                raise KeyError(customer_id)
            self._order.remove(index)
            self._gone.add(index)
            self._written.pop(index, None)

    def purge(self, customer_id: str, *, form: Purged = "null") -> None:
        """Erase a person as TicketSource does when the retention period ends; the bookings stay.

        It is not documented how this looks in the API, so `form` chooses it. "null": all personal data are null, also
        inside the address. "empty": they are empty texts. "gone": a call for the customer is answered with 404. Raises
        KeyError if there is no such customer.
        """
        if form not in get_args(Purged):
            raise ValueError(f"form must be one of {get_args(Purged)}")
        if form == "gone":
            self.delete([customer_id])
            return
        if (index := self._find(customer_id)) is None:
            raise KeyError(customer_id)
        nothing = None if form == "null" else ""
        blank: dict[str, Any] = {**dict.fromkeys(_TEXTS, nothing), "consent": _blank("consent")}
        blank |= {part: dict.fromkeys(_PARTS[part], nothing) for part in ("address", "membership")}
        self._written[index] = _in_order({**self._attributes(index), **blank, "updated_at": _now()})

    def merge(self, kept: str, gone: str, *, form: Merged = "gone") -> None:
        """Merge two records of one person: `kept` stays as it is and gets the bookings, `gone` leaves the list.

        It is not documented which of the two stays, what it takes from the other, or how a call for the other is
        answered. So `form` chooses the answer to a call by the id of `gone`. "gone": a 404. "survivor": the record of
        `kept`, with the id of `kept`. Raises KeyError if one of them is not there, and ValueError if they are the same.
        """
        if form not in get_args(Merged):
            raise ValueError(f"form must be one of {get_args(Merged)}")
        into, index = self._find(kept), self._find(gone)
        if into is None or index is None:
            raise KeyError(kept if into is None else gone)
        if into == index:
            raise ValueError("kept and gone are the same customer")
        self.delete([gone])
        self._merged = {one: into if other == index else other for one, other in self._merged.items()} | {index: into}
        if form == "survivor":
            self._answered_with_kept.add(index)

    def create(self, sent: Mapping[str, object]) -> dict[str, object]:
        """Add a customer with the attributes that were sent."""
        _check_customer(sent)
        blank: dict[str, Any] = dict.fromkeys(_TEXTS)
        blank |= {part: _blank(part) for part in _PARTS}
        self.insert()
        index = self._order[-1]
        self._written[index] = _in_order({**_apply(blank, sent, "merge"), "created_at": _now(), "updated_at": None})
        return self._resource(index)

    def update(self, customer_id: str, sent: Mapping[str, object]) -> dict[str, object]:
        """Change the attributes that were sent; raise KeyError if there is no such customer."""
        if (index := self._find(customer_id)) is None:
            raise KeyError(customer_id)
        _check_customer(sent)
        self._written[index] = _in_order({**_apply(self._attributes(index), sent, self._nested), "updated_at": _now()})
        return self._resource(index)

    def overwrite(self, customer_id: str, attributes: Mapping[str, object]) -> None:
        """Let the API show these attributes unchanged, also odd ones; raise KeyError if there is no such customer."""
        if (index := self._find(customer_id)) is None:
            raise KeyError(customer_id)
        self._written[index] = {**self._attributes(index), **attributes}

    def index(self, customer_id: str) -> int | None:
        """Return the index of the customer in `sample`, None if there is none."""
        return self._find(customer_id)

    def owner_of(self, index: int) -> str:
        """Return the id of the customer who now has the bookings of this sample customer."""
        return self.id_of(self._merged.get(index, index))

    def merged_into(self, index: int) -> list[int]:
        """Return the sample customers whose bookings a customer has. The customer's own index is first."""
        return [index, *(one for one, into in self._merged.items() if into == index)]

    def id_of(self, index: int) -> str:
        """Return the id of the customer with this index in `sample`, also if the customer was deleted."""
        return f"cst-{sample.name_of(self._seed, index)}"

    def _find(self, customer_id: str) -> int | None:
        index = self._index_of(customer_id)
        return None if index in self._gone else index

    def _index_of(self, customer_id: str) -> int | None:
        """Return the index in `sample` of a customer who is there, or was."""
        prefix, _, name = customer_id.partition("-")
        index = sample.index_of(self._seed, name) if prefix == "cst" else None
        return index if index is not None and index < self._next else None

    def _attributes(self, index: int) -> dict[str, object]:
        return deepcopy(self._written.get(index)) or sample.attributes_of(self._seed, index)

    def _resource(self, index: int) -> dict[str, object]:
        address = f"{self._base_url()}/customers/{self.id_of(index)}"
        return {
            "id": self.id_of(index),
            "type": "customer",
            "attributes": self._attributes(index),
            "links": {"self": address, "bookings": f"{address}/bookings"},
        }


class Notes:
    """The notes on customers. Notes of sample customers are made when they are first read."""

    def __init__(self, seed: int, customers: Customers, *, base_url: Callable[[], str]) -> None:
        self._seed = seed
        self._customers = customers
        self._base_url = base_url
        self._notes: dict[str, dict[str, dict[str, object]]] = {}
        self._count = 0

    def of(self, customer_id: str) -> dict[str, dict[str, object]]:
        """Return a customer's notes by id; raise KeyError if there is no such customer."""
        index = self._customers.index(customer_id)
        if index is None:
            self._notes.pop(customer_id, None)
            raise KeyError(customer_id)
        if customer_id not in self._notes:
            self._notes[customer_id] = {}
            for number, attributes in enumerate(sample.notes_of(self._seed, index)):
                self._add(customer_id, -1 - 2 * index - number, attributes)  # no customer has more than two
        return self._notes[customer_id]

    def create(self, customer_id: str, sent: Mapping[str, object]) -> dict[str, object]:
        """Add a note to a customer; raise KeyError if there is no such customer."""
        self.of(customer_id)
        sent = _without_empty(sent)
        problems = [
            f"The {name} must be a string." for name in ("description", "created_by") if not _is_text(sent.get(name))
        ]
        if sent.get("description") is None:
            problems.append("The description is required.")
        if problems:
            raise Refused(problems)
        written = {"description": sent["description"], "created_by": sent.get("created_by")}
        self._count += 1
        return self._add(
            customer_id, -_FIRST_ADDED - self._count, {**written, "created_at": _now(), "updated_at": None}
        )

    def _add(self, customer_id: str, number: int, attributes: dict[str, object]) -> dict[str, Any]:
        # Numbers of notes count down from the end of the range of ids, so that they do not meet those of customers.
        note_id = f"csn-{sample.name_of(self._seed, number)}"
        customer = f"{self._base_url()}/customers/{customer_id}"
        self._notes[customer_id][note_id] = {
            "id": note_id,
            "type": "customer_note",
            "attributes": attributes,
            "links": {"self": f"{customer}/notes/{note_id}", "customer": customer},
        }
        return self._notes[customer_id][note_id]


def _check_customer(sent: Mapping[str, Any]) -> None:
    sent = _without_empty(sent)
    email = sent.get("email")
    parts = {part: sent[part] if isinstance(sent.get(part), dict) else {} for part in _PARTS}
    identifier = parts["membership"].get("identifier")
    rules = [
        *((f"The {name} must be a string.", _is_text(sent.get(name))) for name in (*_TEXTS, "phone")),
        (
            "The email must be a valid email address.",
            not isinstance(email, str) or re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email),
        ),
        ("The address must be an object.", isinstance(sent.get("address"), dict | None)),
        ("The membership must be an object.", isinstance(sent.get("membership"), dict | None)),
        ("The consent must be an object.", isinstance(sent.get("consent", {}), dict)),
        *((f"The address.{n} must be a string.", _is_text(parts["address"].get(n))) for n in _PARTS["address"]),
        (
            "The membership.identifier must be a string of at most 20 characters.",
            _is_text(identifier) and len(identifier or "") <= 20,
        ),
        *(
            (f"The membership.{n} must be a date as YYYY-MM-DD.", _is_day(parts["membership"].get(n)))
            for n in ("start_date", "end_date")
        ),
        *(
            (f"The consent.{n} must be true or false.", isinstance(parts["consent"].get(n, False), bool))
            for n in _PARTS["consent"]
        ),
    ]
    if problems := [message for message, holds in rules if not holds]:
        raise Refused(problems)


def _blank(part: str) -> dict[str, Any]:
    return dict.fromkeys(_PARTS[part], False if part == "consent" else None)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_day(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str) and date.fromisoformat(value).isoformat() == value)
    except ValueError:
        return False


def _apply(before: Mapping[str, Any], sent: Mapping[str, Any], nested: Nested) -> dict[str, Any]:
    sent = _without_empty(sent)
    after = dict(before) | {name: sent[name] for name in _TEXTS if name in sent}
    if "phone" in sent:
        after["telephone"] = sent["phone"]
    for part, names in _PARTS.items():
        if part not in sent:
            continue
        kept = (before[part] or _blank(part)) if nested == "merge" else _blank(part)
        given = sent[part]
        after[part] = None if given is None else {**kept, **{name: given[name] for name in names if name in given}}
    return after


def _without_empty(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if value == "" else _without_empty(value) if isinstance(value, dict) else value
        for name, value in sent.items()
    }


def _in_order(attributes: Mapping[str, object]) -> dict[str, object]:
    return {name: attributes[name] for name in _ORDER}


def _now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()
