"""Convert customers, and the fields of a change, to what the store's file contains, and back."""

import json
from collections.abc import Sequence
from typing import Final

import attrs

from ticketsource_async.models import Customer
from ticketsource_async.models.ids import id_of

_FIELDS: Final = frozenset(field.name for field in attrs.fields(Customer))


def pack(customer: Customer) -> bytes:
    """Return the bytes that the store keeps for a customer. The same record always gives the same bytes."""
    return json.dumps(customer.to_dict(), separators=(",", ":")).encode()


def unpack(packed: bytes) -> Customer:
    """Return the customer; raise ValueError for bytes that this version of the library would not write."""
    return Customer.from_dict(json.loads(packed))


def pack_fields(fields: Sequence[str]) -> str:
    """Return the text that the store keeps for the fields of a change."""
    return json.dumps(fields)


def unpack_fields(packed: str) -> tuple[str, ...]:
    """Return the fields of a change.

    Raise ValueError, TypeError or AttributeError if one of them is no field of a customer.
    """
    fields = json.loads(packed)
    if not all(name.partition(".")[0] in _FIELDS for name in fields):
        raise ValueError("there is no such field")
    return tuple(fields)


def has_impossible_id(customer_id: str, packed: bytes) -> bool:
    """Say whether a record is undamaged but has an id that this version does not accept, so it cannot be asked for."""
    try:
        return id_of(customer_id, Customer.ID_PREFIX) is None and json.loads(packed)["id"] == customer_id
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
