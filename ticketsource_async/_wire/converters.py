"""Between the API's `data` envelope and our attrs classes, both ways; pure.

- `structure` makes a record of one entry of `data`: flat, strict, unknown attributes in `extra`
- `body` makes the envelope of a POST or PATCH from a draft: what is UNSET is left out, None is null
- `pack` and `unpack` make bytes of a customer to keep, and the customer of these again

msgspec builds the records because cattrs alone turns the string "false" into True and None into "None"; it coerces
nothing and says where.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar, cast

import attrs
import msgspec
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from ticketsource_async import models
from ticketsource_async._wire import protocol
from ticketsource_async.models.base import MOST_DIGITS, naive_moment, shape_of

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

_RECORDS: Final = (
    *(models.Customer, models.Note),
    *(models.Event, models.Venue, models.EventDate, models.Booking, models.Seat),
)
_NAMES: Final[Mapping[type, frozenset[str]]] = {models.Customer: shape_of(models.Customer).names | {"phone"}}
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
    shape = shape_of(cls)
    flat = _sift(raw, _NAMES.get(cls, shape.names))
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
        if isinstance(value, Decimal) and abs(value.adjusted()) > MOST_DIGITS:
            raise _Refused("Expected an amount of money", f"{path}.{name}")
    return flat


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
    if (naive := naive_moment(record, ".attributes")) is not None:
        raise _Refused("Expected a date-time with its offset", naive)
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


pack: Final[Callable[[models.Customer], bytes]] = msgspec.json.Encoder(decimal_format="number").encode
"""Return the bytes by which a store remembers a customer: the same for the same record."""

unpack: Final[Callable[[bytes], models.Customer]] = msgspec.json.Decoder(models.Customer, float_hook=Decimal).decode
"""Return the customer of these bytes, also if a later or earlier version of this library has packed them."""
