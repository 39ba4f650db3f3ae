"""The ids of records: what can be one, and what users give for one; pure."""

import re
from typing import Any, Final

from ticketsource_async._mistakes import await_first
from ticketsource_async.errors import InvalidID
from ticketsource_async.models.values import RECORD_KINDS

_PATH_SAFE: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~-]{1,200}")


def id_of(value: Any, prefix: str) -> str | None:
    """Return the id in a value; None if it has characters that a path cannot have, or is of another kind of record."""
    if value.__class__ is str and value.startswith(prefix) and value[len(prefix) :].isalnum() and value.isascii():
        return value  # as documented
    found = str(value) if value.__class__ is int else value
    if not isinstance(found, str) or not _PATH_SAFE.fullmatch(found) or found == prefix:
        return None
    others = tuple(other for other in RECORD_KINDS.values() if other != prefix)
    return None if not found.startswith(prefix) and found.startswith(others) else found


def checked_id(given: object, kind: Any) -> str:
    """Return the id of a record that a user gives, or gives the id of.

    Raises `InvalidID` for what cannot be an id of this kind of record.
    """
    value = given if isinstance(given, str) else getattr(given, "id", None)
    if isinstance(value, str) and (found := id_of(value, kind.ID_PREFIX)) is not None:
        return found
    shown = repr(given if value is None else value)
    if forgotten := await_first(given):
        raise InvalidID(f"{shown} is not the id of a {kind.API_TYPE}{forgotten}.", shown)
    raise InvalidID(
        f"{shown} is not the id of a {kind.API_TYPE}: an id here is {kind.ID_PREFIX!r} followed by letters and digits. "
        "Pass it as the API sends it, or pass the record.",
        shown,
    )
