"""Any value in a row: `list()` yields the row, and its other fields do not change."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from rows import BOOKING_ROW, customer_row

from ticketsource_async import Booking, Customer, TicketSource
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.sync._packing import pack, unpack

HERE = "@@here@@"


def texts() -> st.SearchStrategy[str]:
    """Return JSON strings. Some are half surrogate pairs or dates."""
    some = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
    dates = st.sampled_from(
        ["", "0000-00-00", "2020-02-30", "31.12.2020", "-0001-11-30T00:00:00Z", "true", "12.50", "1"]
    )
    return st.one_of(some, dates).map(json.dumps)


numbers = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,22})?", fullmatch=True),
    st.integers(4000, 6000).map(lambda digits: "7" * digits),
)
plain = st.one_of(st.sampled_from(["null", "true", "false"]), numbers, texts())


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return JSON arrays and objects. A key may come twice in an object."""
    keys = st.one_of(
        st.sampled_from(["email", "post", "line_1", "start_date", "amount", "extra", "self", "0", "1"]).map(json.dumps),
        texts(),
    )
    members = st.lists(st.tuples(keys, inner).map(": ".join), max_size=4).map(", ".join)
    return st.one_of(members.map("{{{}}}".format), st.lists(inner, max_size=4).map(", ".join).map("[{}]".format))


def nested(value: str, levels: list[bool]) -> str:
    """Return JSON with these levels around it."""
    for is_list in levels:
        value = f"[{value}]" if is_list else f'{{"a": {value}}}'
    return value


values = st.one_of(
    st.recursive(plain, objects, max_leaves=12), st.builds(nested, plain, st.lists(st.booleans(), max_size=100))
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths to all values in a row, and to an unknown name on each level."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*path, key))]
        found.append((*path, "unknown"))
    elif isinstance(value, list):
        found += [place for index, inner in enumerate(value) for place in places(inner, (*path, index))]
    return found


def without(data: Any, path: tuple[str | int, ...]) -> Any:
    """Return the dict of a record without the value at a path, or in `extra` there."""
    data = deepcopy(data)
    data.pop("invalid", None)
    inner: Any = data
    for step in path[:-1]:
        inner = inner[step]
    with suppress(KeyError, AttributeError, TypeError):
        inner.get("extra", {}).pop(path[-1], None)
    with suppress(KeyError, IndexError):
        del inner[path[-1]]
    return data


CASES = [
    (model, kind, row, (part, *path))
    for model, kind, row in ((Customer, "customers", customer_row()), (Booking, "bookings", BOOKING_ROW))
    for part in ("attributes", "links")
    for path in places(row[part])
]


def with_value(row: dict[str, Any], path: tuple[str | int, ...], text: str) -> str:
    """Return a row as JSON, with exactly this text at a path."""
    row = deepcopy(row)
    inner: Any = row
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = HERE
    return json.dumps(row).replace(json.dumps(HERE), text)


def check(read: Callable[[str, str], Any], case: Any, value: str) -> None:
    """Read a row with an odd value, and compare it with the same row without the value."""
    model, kind, row, path = case
    text = with_value(row, path, value)
    record, usual = read(kind, text), read(kind, with_value(row, path, "null"))

    raw = json.loads(text, parse_int=str)["attributes"]["consent"]
    for way in ("email", "post", "sms"):
        given_ = raw.get(way) if isinstance(raw, dict) else None
        assert getattr(record.consent, way, None) is not True or given_ is True
    place = path[1:] if path[0] == "attributes" else path
    assert without(record.to_dict(), place) == without(usual.to_dict(), place)
    assert model.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    if model is Customer:
        assert unpack(pack(record)) == record


def run(examples: int) -> None:
    """Check this number of examples over one server."""
    with asyncio.Runner() as runner:
        box = Sandbox(customers=1, rate_limit=None)
        runner.run(box.start())
        ts = TicketSource(box.api_key, base_url=box.url, rate_limit=None)

        async def read_one(kind: str, text: str) -> Any:
            box.fail(status=200, body=f'{{"data": [{text}], "links": {{}}}}'.encode())
            pager: Any = ts.customers.list() if kind == "customers" else ts.dates.list_bookings("dat-1")
            (record,) = await pager.collect()
            return record

        @settings(max_examples=examples, deadline=None, database=None)
        @given(case=st.sampled_from(CASES), value=values)
        def any_value(case: Any, value: str) -> None:
            check(lambda kind, text: runner.run(read_one(kind, text)), case, value)

        try:
            any_value()
        finally:
            runner.run(ts.aclose())
            runner.run(box.stop())


def test_any_value_in_a_row_leaves_all_other_fields_as_they_are() -> None:
    """No consent becomes a yes, and the record survives JSON and the store."""
    run(300)


@pytest.mark.slow
def test_thousands_of_values_leave_all_other_fields_as_they_are() -> None:
    """This is the test above with more examples."""
    run(3_000)
