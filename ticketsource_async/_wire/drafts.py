"""From a draft to the body of a POST or PATCH; pure.

What is UNSET is left out, None is null. A part of a record (`Address`, `Membership`, `Consent`) goes whole, with its
`extra`, so that an API that replaces the part loses nothing.
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


def _whole(part: type, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    known: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(part, converter, extra=override(omit=True))
    return lambda value: {**known(value), **value.extra}


def _make_converter() -> Converter:
    converter = Converter()
    for part in (models.Address, models.Membership, models.Consent):
        converter.register_unstructure_hook(part, _whole(part, converter))
    for draft in (
        *(models.AddressDraft, models.MembershipDraft, models.ConsentDraft),
        *(models.CustomerDraft, models.NoteDraft),
    ):
        names: dict[str, Any] = {
            field.name: override(rename=field.metadata["sent_as"])
            for field in attrs.fields(draft)
            if "sent_as" in field.metadata
        }
        # Only where the default is UNSET: with a default of None, an explicit None would be dropped.
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
    """Return the body that sends a draft; an update names the record's id a second time, as the API wants it.

    Raises TypeError for another kind of draft than the call takes, and ValueError for one with nothing set.
    """
    if not isinstance(draft, kind):
        raise TypeError(f"what is sent here is a {kind.__name__}, not a {type(draft).__name__}{await_first(draft)}")
    if not draft:
        raise ValueError(f"this {type(draft).__name__} has nothing set, so there is nothing to send")
    named = {} if record_id is None else {"id": record_id}
    data = {"type": draft.API_TYPE, **named, "attributes": _converter.unstructure(draft)}
    return encoded({"data": data})


def encoded(value: object) -> bytes:
    """Return JSON; raise TypeError or ValueError for what JSON does not have."""
    try:
        return _json(value).encode()
    except RecursionError:
        raise ValueError("json is nested too deep, or contains itself") from None


def _json(value: object) -> str:
    """Return JSON with each number as it came, which `json` cannot write: it would make a float of it."""
    if isinstance(value, Mapping):
        if odd := [name for name in value if not isinstance(name, str)]:
            raise TypeError(f"the names in a JSON object are texts, not {type(odd[0]).__name__}")
        return "{" + ",".join([f"{json.dumps(name)}:{_json(inner)}" for name, inner in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"JSON has no number {value}")
    if isinstance(value, Decimal | NumberText):
        return str(value)
    return json.dumps(value.isoformat() if isinstance(value, date) else value, allow_nan=False)
