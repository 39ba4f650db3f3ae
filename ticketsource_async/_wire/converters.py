"""Between the API's `data` envelope and our attrs classes, both ways; pure.

- `structure` makes a record of one entry of `data`: flat, strict, unknown attributes in `extra`
- `body` makes the envelope of a POST or PATCH from a draft: what is UNSET is left out, None is null

msgspec builds the records because cattrs alone turns the string "false" into True and None into "None"; it coerces
nothing and says where.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar, cast, get_args, get_type_hints

import attrs
import msgspec
from attrs import frozen
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from ticketsource_async import models
from ticketsource_async._wire import protocol

RecordT = TypeVar("RecordT")

RESOURCES: Final[Mapping[type, str]] = {
    models.Customer: "customer",
    models.CustomerDraft: "customer",
    models.Note: "customer_note",
    models.NoteDraft: "customer_note",
    models.Event: "event",
    models.Venue: "venue",
    models.EventDate: "date",
    models.Booking: "booking",
    models.Seat: "seat",
}
"""The API's `type` of what each class stands for."""

_MOST_DIGITS: Final = 100
_OURS: Final = {"id", "links", "extra"}


@frozen
class _Shape:
    """What is particular to the fields of a record, or of a part of one."""

    names: frozenset[str]
    parts: Mapping[str, type]
    lists: frozenset[str]
    money: frozenset[str]
    moments: frozenset[str]


def _shape_of(cls: type, shapes: dict[type, _Shape]) -> None:
    hints = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(cls).items() if name not in _OURS}
    parts: dict[str, type] = {}
    lists: set[str] = set()
    for name, choices in hints.items():
        for choice in choices:
            inner = (get_args(choice) or (choice,))[0]
            if attrs.has(inner):
                parts[name] = inner
                lists |= {name} if inner is not choice else set()
                _shape_of(inner, shapes)

    def having(kind: type) -> frozenset[str]:
        return frozenset(name for name, choices in hints.items() if kind in choices)

    # An attribute called `id`, `links` or `extra` is an unknown attribute: it may not overwrite a field of ours.
    shapes[cls] = _Shape(frozenset(hints), parts, frozenset(lists), having(Decimal), having(datetime))


def _all_shapes() -> dict[type, _Shape]:
    shapes: dict[type, _Shape] = {}
    for model in _RECORDS:
        _shape_of(model, shapes)
    customer = shapes[models.Customer]
    shapes[models.Customer] = attrs.evolve(customer, names=customer.names | {"phone"})
    return shapes


_RECORDS: Final = (
    *(models.Customer, models.Note),
    *(models.Event, models.Venue, models.EventDate, models.Booking, models.Seat),
)
_SHAPES: Final = _all_shapes()
_LINKS: Final = frozenset(f.name for f in attrs.fields(models.Links)) - {"self_", "extra"} | {"self"}


def _sift(raw: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if raw.keys() <= known:
        return dict(raw)
    return {k: v for k, v in raw.items() if k in known} | {"extra": {k: v for k, v in raw.items() if k not in known}}


def _links(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw or {}  # PHP writes an empty object as []
    links = _sift(raw, _LINKS)
    if "self" in links:
        links["self_"] = links.pop("self")
    return links


class _Refused(Exception):
    """A value that is not what the API promises; `path` is its place in the entry."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)
        self.what, self.path = what, path


def _convert(raw: object, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        raise _Refused(what, path + inner.rstrip("`")) from None


def day(text: str, path: str) -> date:
    """Return the day that a text begins with: the guide writes a day, the vendor's file a date-time."""
    if len(text) > 10 and _convert(text, datetime, path).tzinfo is None:
        raise _Refused("Expected a date, or a date-time with its offset", path)
    found: date = _convert(text[:10], date, path)
    return found


def _sifted(raw: Mapping[str, Any], cls: type, path: str) -> dict[str, Any]:
    """Return the attributes of a record, or of a part, with what is unknown in `extra`, and so on all the way down."""
    shape = _SHAPES[cls]
    flat = _sift(raw, shape.names)
    for name, part in shape.parts.items():
        value = flat.get(name)
        if isinstance(value, dict):
            flat[name] = _sifted(value, part, f"{path}.{name}")
        elif isinstance(value, list) and name in shape.lists:
            flat[name] = [
                _sifted(row, part, f"{path}.{name}[{index}]") if isinstance(row, dict) else row
                for index, row in enumerate(value)
            ]
    for name in shape.money:
        value = flat.get(name)
        if isinstance(value, str):  # msgspec would take it
            raise _Refused("Expected a number, got text", f"{path}.{name}")
        if isinstance(value, Decimal) and abs(value.adjusted()) > _MOST_DIGITS:  # a sum would fill the memory
            raise _Refused("Expected an amount of money", f"{path}.{name}")
    return flat


def _check_moments(record: Any, path: str) -> None:
    shape = _SHAPES[type(record)]
    for name in shape.moments:
        moment = getattr(record, name)
        if moment is not None and moment.tzinfo is None:
            raise _Refused("Expected a date-time with its offset", f"{path}.{name}")
    for name in shape.parts:
        value = getattr(record, name)
        if name in shape.lists:
            for index, row in enumerate(value or ()):
                _check_moments(row, f"{path}.{name}[{index}]")
        elif value is not None:
            _check_moments(value, f"{path}.{name}")


def _structure_customer(raw: Mapping[str, Any], _: type) -> models.Customer:
    flat = _attributes(raw, models.Customer)
    if isinstance(membership := flat.get("membership"), dict):
        for name in membership.keys() & {"start_date", "end_date"}:
            if isinstance(text := membership[name], str):
                membership[name] = day(text, f".attributes.membership.{name}")
    phone = flat.pop("phone", None)
    if flat.get("telephone") is None:
        flat["telephone"] = _convert(phone, str | None, ".attributes.phone")
    elif phone is not None and phone != flat["telephone"]:
        flat["extra"] = {**flat.get("extra", {}), "phone": phone}
    return _record(flat, models.Customer)


def _structure_record(raw: Mapping[str, Any], model: type[RecordT]) -> RecordT:
    return _record(_attributes(raw, model), model)


def _attributes(raw: object, model: type) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise _Refused("Expected an object", "")
    if raw.get("type", kind := RESOURCES[model]) != kind:
        raise _Refused(f"Expected the type {kind!r}", ".type")
    if not isinstance(raw.get("id"), str) or not raw["id"]:
        raise _Refused("Expected an id", ".id")
    if not isinstance(raw.get("attributes"), dict):
        raise _Refused("Expected an object", ".attributes")
    return {
        **_sifted(raw["attributes"], model, ".attributes"),
        "id": raw["id"],
        "links": _links(raw.get("links")),
    }


def _record(flat: dict[str, Any], model: type[RecordT]) -> RecordT:
    try:
        record: RecordT = _convert(flat, model, "")
    except _Refused as refused:
        place = refused.path.replace(".links.self_", ".links.self")
        raise _Refused(refused.what, place if place.startswith(".links") else f".attributes{place}") from None
    _check_moments(record, ".attributes")
    return record


def _make_converter() -> Converter:
    converter = Converter()
    converter.register_structure_hook(models.Customer, _structure_customer)
    for model in set(_RECORDS) - {models.Customer}:
        converter.register_structure_hook(model, _structure_record)
    for nested in (models.Address, models.Membership, models.Consent):
        converter.register_unstructure_hook(
            nested, make_dict_unstructure_fn(nested, converter, extra=override(omit=True))
        )
    for draft in (
        models.AddressDraft,
        models.MembershipDraft,
        models.ConsentDraft,
        models.CustomerDraft,
        models.NoteDraft,
    ):
        # Only where the default is UNSET: with a default of None, an explicit None would be dropped.
        converter.register_unstructure_hook(
            draft, make_dict_unstructure_fn(draft, converter, _cattrs_omit_if_default=True)
        )
    return converter


converter: Final = _make_converter()


class QuickRow(msgspec.Struct):
    """An entry of `data` that `quick.py` has read: all in it is as promised, but for the days of a membership.

    `row.record()` makes the record of it.
    """

    id: str
    record: ClassVar[Callable[[Any], Any]]


def quick_records(rows: list[Any]) -> list[Any] | None:
    """Return the records of a page that was read quickly; None if it was not, or a row of it has to be refused."""
    try:
        return [row.record() for row in rows] if rows and isinstance(rows[0], QuickRow) else None
    except _Refused:
        return None


def ids_of(rows: list[Any]) -> list[str | None]:
    """Return the id in each entry of `data`, None where there is none."""
    if rows and isinstance(rows[0], QuickRow):
        return [row.id for row in rows]
    return [_id_of(row) for row in rows]


def _id_of(row: object) -> str | None:
    if isinstance(row, QuickRow):
        return row.id
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, str) else None


def structure(row: object, model: type[RecordT], envelope: protocol.Envelope, index: int | None = None) -> RecordT:
    """Return the record in `data`, or in the entry of it at this index; raise `InvalidResponse` naming the place."""
    try:
        return cast(Any, row).record() if isinstance(row, QuickRow) else converter.structure(row, model)
    except _Refused as error:
        refused = error
    place = "$.data" if index is None else f"$.data[{index}]"
    raise envelope.invalid(refused.what, place + refused.path, resource=RESOURCES[model], record_id=_id_of(row))


def body(draft: models.CustomerDraft | models.NoteDraft, record_id: str | None = None) -> bytes:
    """Return the body that sends a draft; an update names the record's id a second time, as the API wants it."""
    named = {} if record_id is None else {"id": record_id}
    return msgspec.json.encode(
        {"data": {"type": RESOURCES[type(draft)], **named, "attributes": converter.unstructure(draft)}}
    )
