"""Pages read quickly: the same records as the strict way makes, or none at all."""

import json
import pickle
from copy import deepcopy
from typing import Any

import attrs
import pytest
from doubles import API, DATE_ROW, EVENT_ROW, SEAT_ROW, VENUE_ROW, customer_row, page
from hypothesis import given, settings, strategies
from yarl import URL

from ticketsource_async import Booking, Customer, Event, EventDate, InvalidResponse, Note, Seat, Venue
from ticketsource_async._wire import converters, protocol, quick
from ticketsource_async.models import NOTHING

MEMBER = {"identifier": "A1", "start_date": "2020-01-01", "end_date": "2021-12-31T00:00:00+00:00"}
EVENT = {**EVENT_ROW, "attributes": {k: v for k, v in EVENT_ROW["attributes"].items() if k != "settled"}}
NOTE: dict[str, Any] = {
    "id": "csn-1",
    "type": "customer_note",
    "attributes": {"description": "Leg room", "created_by": None, "created_at": "2022-09-26T09:00:00Z"},
    "links": {"self": "https://x/csn-1", "customer": "https://x/cst-1"},
}
ROWS: list[tuple[type[Any], dict[str, Any]]] = [
    (Customer, customer_row()),
    (Customer, customer_row(membership=MEMBER, consent=None, address={})),
    (Note, NOTE),
    (Event, EVENT),
    (Venue, VENUE_ROW),
    (EventDate, DATE_ROW),
    (Seat, SEAT_ROW),
]
ACCESS = protocol.Access.of("skl-test", API, "test", "bearer")


def read(model: type[Any], body: bytes, *, quickly: bool) -> object:
    """Return the records of a page, or the place and reason of what is wrong with it."""
    reader = quick.reader(model) if quickly else None
    request = protocol.build(ACCESS, "GET", URL(f"{API}/x"), quick=reader)
    try:
        envelope = protocol.read(request, protocol.RawResponse(200, {}, body))
        rows = envelope.data
        assert isinstance(rows, list)
        return [converters.structure(row, model, envelope, index) for index, row in enumerate(rows)], envelope.links
    except InvalidResponse as error:
        return error.json_path, str(error), error.id


def was_quick(model: type[Any], row: dict[str, Any]) -> bool:
    """Say whether a page of the row is read quickly."""
    reader = quick.reader(model)
    assert reader is not None
    return reader(json.dumps(page([row])).encode()) is not None


@pytest.mark.parametrize(("model", "row"), ROWS)
def test_what_is_as_promised_is_read_quickly_and_equal(model: type[Any], row: dict[str, Any]) -> None:
    """The records are equal, of the same classes down to the parts, hash alike, survive pickle and are frozen."""
    body = json.dumps(page([row, row], "https://x/?page=2")).encode()
    assert was_quick(model, row)

    result, strictly = read(model, body, quickly=True), read(model, body, quickly=False)
    assert result == strictly
    assert repr(result) == repr(strictly)
    record = result[0][0]  # type: ignore[index]  # there are records
    assert type(record) is model
    assert hash(record) == hash(strictly[0][0])  # type: ignore[index]  # likewise
    assert pickle.loads(pickle.dumps(record)) == deepcopy(record) == record
    assert record.to_dict() == strictly[0][0].to_dict()  # type: ignore[index]  # likewise
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.id = "x"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del record.links.self_


LEAVES = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(-(10**20), 10**20),
    strategies.floats(allow_nan=False, allow_infinity=False),
    strategies.sampled_from(
        ["", "false", "0.1", "2020-01-01", "2020-02-30", "2020-01-01T00:00:00", "2020-01-01T10:00:00+01:00", "cst-1"]
    ),
    strategies.just([]),
    strategies.just({}),
)
NAMES = strategies.sampled_from(["id", "type", "links", "self", "extra", "phone", "telephone", "email", "new", "start"])


def places(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to everything within a row."""
    within = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in within for place in places(value, (*path, key)))]


@settings(max_examples=500)
@given(
    which=strategies.sampled_from(ROWS),
    edits=strategies.lists(strategies.tuples(strategies.integers(0, 10**6), NAMES, LEAVES), min_size=1, max_size=3),
)
def test_whatever_is_changed_both_ways_agree(
    which: tuple[type[Any], dict[str, Any]], edits: list[tuple[int, str, object]]
) -> None:
    """Values replaced, added and removed anywhere in a row: the same records, or the same error at the same place."""
    model, row = which
    page_of: dict[str, Any] = {"data": [deepcopy(row), deepcopy(row)], "links": {}}
    for number, name, value in edits:
        page_of["data"] = page_of["data"] or [deepcopy(row)]
        paths = places(page_of["data"])[1:]
        node: Any = page_of
        *above, last = ["data", *paths[number % len(paths)]]
        for key in above:
            node = node[key]
        if isinstance(node[last], dict) and number % 3:
            node[last][name] = deepcopy(value)
        elif number % 7 == 0 and above:
            del node[last]
        else:
            node[last] = deepcopy(value)
    body = json.dumps(page_of).encode()

    assert read(model, body, quickly=True) == read(model, body, quickly=False)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": {}}', b'{"data": [], "links": []}', b'{"data": [1e999]}']
)
def test_what_is_no_page_is_left_to_the_strict_way(body: bytes) -> None:
    """Nothing is raised here."""
    reader = quick.reader(Customer)
    assert reader is not None
    assert reader(body) is None


@pytest.mark.parametrize(
    "attributes",
    [{"new": 1}, {"phone": "1"}, {"id": "x"}, {"extra": {}}, {"created_at": "2020-01-01T00:00:00"}, {"consent": []}],
)
def test_a_page_with_anything_unusual_is_left_to_the_strict_way(attributes: dict[str, Any]) -> None:
    """One attribute that is not known is enough."""
    assert not was_quick(Customer, customer_row(**attributes))


def test_records_with_money_have_no_quick_way() -> None:
    """A text would pass for a number."""
    assert quick.reader(Booking) is None


def test_the_extra_of_records_in_which_nothing_is_unknown_takes_nothing() -> None:
    """Records share it, so none may change it for the others; copies and pickles are the same thing."""
    extra = Customer("cst-1").extra
    assert extra is NOTHING is pickle.loads(pickle.dumps(NOTHING)) is deepcopy(NOTHING)
    assert extra == {}
    assert json.dumps(extra) == "{}"
    changes: list[Any] = [
        lambda extra: extra.update(a=1),
        lambda extra: extra.setdefault("a", 1),
        lambda extra: extra.__setitem__("a", 1),
        lambda extra: extra.__ior__({"a": 1}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="frozen"):
            change(extra)
