"""Make the body of a POST or PATCH from a draft; pure.

An UNSET field is left out. None is sent as null. A part of a record (`Address`, `Membership`, `Consent`) is sent whole,
with its `extra`, because the API may replace the whole part.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from ticketsource_async import models
from ticketsource_async._mistakes import await_first
from ticketsource_async.models.values import NumberText


def _unstructure_whole(part: type, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    known: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(part, converter, extra=override(omit=True))
    return lambda value: {**known(value), **value.extra}


def _make_converter() -> Converter:
    converter = Converter()
    for part in (models.Address, models.Membership, models.Consent):
        converter.register_unstructure_hook(part, _unstructure_whole(part, converter))
    for draft in (
        *(models.AddressDraft, models.MembershipDraft, models.ConsentDraft),
        *(models.CustomerDraft, models.NoteDraft),
    ):
        names: dict[str, Any] = {
            field.name: override(rename=field.metadata["sent_as"])
            for field in attrs.fields(draft)
            if "sent_as" in field.metadata
        }
        # For drafts only, whose default is UNSET. With a default of None, cattrs would drop an explicit None.
        converter.register_unstructure_hook(
            draft, make_dict_unstructure_fn(draft, converter, _cattrs_omit_if_default=True, **names)
        )
    return converter


_converter: Final = _make_converter()


def body(
    draft: models.CustomerDraft | models.NoteDraft,
    kind: type[models.CustomerDraft | models.NoteDraft],
    record_id: str | None = None,
) -> bytes:
    """Return the body that sends a draft.

    The body of an update repeats the record's id, because the API requires it. Raises TypeError for a draft of another
    kind than the call takes, and ValueError for a draft with nothing set.
    """
    if not isinstance(draft, kind):
        raise TypeError(f"this call takes a {kind.__name__}, not {type(draft).__name__}{await_first(draft)}")
    if not draft:
        raise ValueError(f"this {type(draft).__name__} has nothing set, so there is nothing to send")
    named = {} if record_id is None else {"id": record_id}
    data = {"type": draft.API_TYPE, **named, "attributes": _converter.unstructure(draft)}
    return encoded({"data": data})


def encoded(value: object) -> bytes:
    """Return a value as JSON; raise TypeError or ValueError for a value that JSON cannot hold."""
    try:
        return _json(value).encode()
    except RecursionError:
        raise ValueError("json is nested too deep, or contains itself, so it cannot be sent") from None


def _json(value: object) -> str:
    """Return a value as JSON with every digit of each number; `json` would make a float of a `Decimal`."""
    if isinstance(value, Mapping):
        if wrong := [name for name in value if not isinstance(name, str)]:
            raise TypeError(f"the names in a JSON object are texts, not {type(wrong[0]).__name__}")
        return "{" + ",".join([f"{json.dumps(name)}:{_json(inner)}" for name, inner in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"JSON has no number {value}")
    if isinstance(value, Decimal | NumberText):
        return str(value)
    return json.dumps(value.isoformat() if isinstance(value, date) else value, allow_nan=False)
