"""Pages read at once, for speed: what is exactly as promised goes from bytes to records without a dict between; pure.

`converters.py` remains the judge: a page with anything else in it, be it one unknown attribute, is read over there. For
what passes here, both make equal records. Models with money have no quick way: msgspec takes a text for a number.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import product
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import attrs
import msgspec

from ticketsource_async._wire.converters import RESOURCES, QuickRow, day
from ticketsource_async._wire.protocol import NOT_JSON, QuickReader
from ticketsource_async.models import NOTHING

_MOMENT: Any = Annotated[datetime, msgspec.Meta(tz=True)]


class _TooParticular(Exception):
    """A model with a field that msgspec alone does not read strictly enough."""


def _make_reader(model: type) -> QuickReader | None:
    try:
        row: Any = _row(model)
    except _TooParticular:
        return None
    page = msgspec.defstruct(
        "Page", [("data", list[row]), ("links", dict[str, str | None], msgspec.field(default_factory=dict))]
    )
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)

    def read(body: bytes) -> tuple[list[object], Mapping[str, object]] | None:
        try:
            found = decoder.decode(body)
        except NOT_JSON:
            return None
        return found.data, found.links

    return read


reader: Final[Callable[[type], QuickReader | None]] = cache(_make_reader)
"""Returns what reads a page of such records quickly, if that can be; its rows are for `converters.structure`."""


def _row(model: type) -> Any:
    """Return the struct of an entry of `data`, which makes a record of itself."""
    links, build_links = _part(get_type_hints(model)["links"], ".links")
    fields, names, lines = _parts(model, ".attributes", without=("id", "links"))
    lines += ["x.id = row.id", "x.links = build_links(row.links)"]
    build = _function(
        "row", ["w = row.attributes", *_filling(model, lines, names)], names | {"build_links": build_links}
    )
    return msgspec.defstruct(
        f"{model.__name__}Row",
        [
            ("id", Annotated[str, msgspec.Meta(min_length=1)]),
            ("type", Literal[RESOURCES[model]]),
            ("attributes", _struct(model, fields)),
            ("links", links, msgspec.field(default_factory=links)),
        ],
        bases=(QuickRow,),
        namespace={"record": build},
        forbid_unknown_fields=True,
        gc=False,
    )


def _part(cls: type, path: str) -> tuple[Any, Callable[..., Any]]:
    """Return the struct of a part of a record, and what builds the part from it.

    Records are frozen, so they share the parts that are many times the same: those in which nothing is set, and those
    that are made of nothing but yes, no and unknown.
    """
    fields, names, lines = _parts(cls, path)
    struct = _struct(cls, fields)
    wired = [f"w.{name}" for name, _, _ in fields]
    if all(kind == bool | None for _, kind, _ in fields):
        names["all_there_are"] = {choice: cls(*choice) for choice in product((None, False, True), repeat=len(fields))}
        return struct, _function("w", [f"return all_there_are[({', '.join(wired)},)]"], names)
    names["unset"] = cls()
    unset = f"if {' is None and '.join(wired)} is None: return unset"
    return struct, _function("w", [unset, *_filling(cls, lines, names)], names)


def _struct(cls: type, fields: list[tuple[str, Any, Any]]) -> Any:
    return msgspec.defstruct(cls.__name__, fields, rename={"self_": "self"}, forbid_unknown_fields=True, gc=False)


def _parts(
    cls: type, path: str, without: Collection[str] = ()
) -> tuple[list[tuple[str, Any, Any]], dict[str, Any], list[str]]:
    """Return the fields of a struct, the lines that set those of a class `x` from it, and what the lines name."""
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, Any] = {}
    lines: list[str] = []
    hints = get_type_hints(cls)
    for name in [f.name for f in attrs.fields(cls) if f.name != "extra" and f.name not in without]:
        kind, value, names[f"make_{name}"] = _field(hints[name], f"{path}.{name}")
        fields.append((name, kind, None))
        lines.append(f"x.{name} = " + value.format(f"w.{name}", f"make_{name}"))
    return fields, names, lines


def _filling(cls: type, lines: list[str], names: dict[str, Any]) -> list[str]:
    """Return the lines with those around them that make an `x` of the class and return it."""
    names |= {"new": object.__new__, "Open": _open(cls), "cls": cls, "NOTHING": NOTHING}
    return ["x = new(Open)", "x.extra = NOTHING", *lines, "x.__class__ = cls", "return x"]


def _function(argument: str, lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    # Written out field by field, as attrs and cattrs do it: a loop over the fields would cost what all this saves.
    text = "\n    ".join([f"def build({argument}):", *lines])
    exec(text, names)  # noqa: S102 - made of the names of our own fields alone
    build: Callable[..., Any] = names["build"]
    return build


def _field(hint: Any, path: str) -> tuple[Any, str, Callable[..., Any] | None]:
    """Return how a field is on the wire, how its value is made of that, and what helps to do so."""
    kinds = get_args(hint) or (hint,)
    if Decimal in kinds:
        raise _TooParticular
    if date in kinds:
        return str | None, "None if {0} is None else {1}({0})", lru_cache(partial(day, path=path))  # days repeat
    for kind in kinds:
        inner = (get_args(kind) or (kind,))[0]
        if not attrs.has(inner):
            continue
        struct, build = _part(inner, path)
        if inner is kind:
            return struct | None, "None if {0} is None else {1}({0})", build
        return list[struct] | None, "None if {0} is None else tuple(map({1}, {0}))", build  # type: ignore[valid-type]
    return (_MOMENT | None if datetime in kinds else hint), "{0}", None


def _open(cls: type) -> type:
    """Return the class while its fields can still be set.

    The `__init__` of a frozen class sets each of them through `object.__setattr__`, which takes three times as long.
    """
    thawed = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"Open{cls.__name__}", (cls,), thawed)
