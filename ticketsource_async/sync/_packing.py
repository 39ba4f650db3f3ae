"""How the store keeps a customer, and the fields of a change, in its file."""

import json
from collections.abc import Sequence
from typing import Final

import attrs

from ticketsource_async.models import Customer
from ticketsource_async.models.ids import id_of

_FIELDS: Final = frozenset(field.name for field in attrs.fields(Customer))


def pack(customer: Customer) -> bytes:
    """Return a customer as the store keeps them: the same bytes for the same record."""
    return json.dumps(customer.to_dict(), separators=(",", ":")).encode()


def unpack(packed: bytes) -> Customer:
    """Return a customer; raise ValueError for what this version of the library would not pack."""
    return Customer.from_dict(json.loads(packed))


def pack_fields(fields: Sequence[str]) -> str:
    """Return the fields of a change as the store keeps them."""
    return json.dumps(fields)


def unpack_fields(packed: str) -> tuple[str, ...]:
    """Return the fields of a change; raise ValueError, TypeError or AttributeError for others than a customer has."""
    fields = json.loads(packed)
    if not all(name.partition(".")[0] in _FIELDS for name in fields):
        raise ValueError("there is no such field")
    return tuple(fields)


def has_odd_id(customer_id: str, packed: bytes) -> bool:
    """Say whether a record was stored whole under an id that this version takes for none, and cannot ask for."""
    try:
        return id_of(customer_id, Customer.ID_PREFIX) is None and json.loads(packed)["id"] == customer_id
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
