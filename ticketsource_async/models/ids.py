"""Check the ids of records: those that the API sends, and those that users pass; pure."""

import re
from typing import Any, Final

from ticketsource_async._mistakes import await_first
from ticketsource_async.errors import InvalidID
from ticketsource_async.models.values import RECORD_KINDS

_PATH_SAFE: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~-]{1,200}")


def id_of(value: Any, prefix: str) -> str | None:
    """Return a value as an id; None if a path cannot contain it, or if it is the id of another kind of record."""
    if value.__class__ is str and value.startswith(prefix) and value[len(prefix) :].isalnum() and value.isascii():
        return value  # as documented
    found = str(value) if value.__class__ is int else value
    if not isinstance(found, str) or not _PATH_SAFE.fullmatch(found) or found == prefix:
        return None
    others = tuple(other for other in RECORD_KINDS.values() if other != prefix)
    return None if not found.startswith(prefix) and found.startswith(others) else found


def checked_id(given: object, kind: Any) -> str:
    """Return the id of a record; the user may pass the record or its id.

    Raises `InvalidID` for a value that cannot be an id of this kind of record.
    """
    value = given if isinstance(given, str) else getattr(given, "id", None)
    if isinstance(value, str) and (found := id_of(value, kind.ID_PREFIX)) is not None:
        return found
    shown = repr(given if value is None else value)
    article = "an" if kind.API_TYPE == "event" else "a"
    if forgotten := await_first(given):
        raise InvalidID(f"{shown} is not the id of {article} {kind.API_TYPE}{forgotten}.", shown)
    raise InvalidID(
        f"{shown} is not the id of {article} {kind.API_TYPE}: such an id is {kind.ID_PREFIX!r} followed by letters and "
        "digits. Pass it as the API sends it, or pass the record.",
        shown,
    )
