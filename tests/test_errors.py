"""Every exception survives what happens to exceptions: pickle, copy, JSON, rebuilding from `args`."""

import copy
import inspect
import json
import pickle
from typing import Any

import pytest

from ticketsource_async import errors
from ticketsource_async.errors import TicketSourceError

EVERY_ERROR = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TicketSourceError)]
SAMPLES: dict[str, Any] = {
    "message": "what happened",
    "status": 418,
    "errors": [{"id": "e1", "status": 400, "code": "validation_failed", "title": "Bad Request", "detail": "no"}],
    "method": "GET",
    "path": "/customers/cst-1",
    "request_id": "req-1",
    "retry_after": 7.5,
    "attempts": 3,
    "cause": "ServerDisconnectedError",
    "phase": "total",
    "seconds": 60.0,
    "ids": ["cst-1"],
    "resource": "customer",
    "id": "cst-1",
    "json_path": "$.data.id",
    "page": 3,
    "items": 200,
    "next_url": "https://elsewhere.example/",
}


def full(kind: type[TicketSourceError]) -> TicketSourceError:
    """Return an error with every field set, in the order of its constructor."""
    names = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(*(SAMPLES[name] for name in names))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_field_survives_pickle_copy_and_rebuilding_from_args(kind: type[TicketSourceError]) -> None:
    """Pickle, copy, `type(e)(*e.args)` and a JSON round trip of the arguments keep every field."""
    error = full(kind)

    for twin in (
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
        copy.deepcopy(error),
        type(error)(*error.args),
        type(error)(*json.loads(json.dumps(error.args))),
    ):
        assert type(twin) is kind
        assert twin.to_dict() == error.to_dict()
        assert twin.args == error.args
        assert str(twin) == "what happened"


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_to_dict_has_the_class_name_and_every_field_as_json(kind: type[TicketSourceError]) -> None:
    """`to_dict` is JSON-able and has the class name and every field; a note added to the error stays out of it."""
    error = full(kind)
    error.add_note("seen in the nightly run")

    data = json.loads(json.dumps(error.to_dict()))

    assert data.pop("error") == kind.__name__
    assert list(data.values()) == json.loads(json.dumps(error.args))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_field_has_a_default(kind: type[TicketSourceError]) -> None:
    """An error can be built without arguments, as some task queues do."""
    assert str(kind()) == ""


def test_the_tree_at_the_top_of_the_file_is_the_tree_of_the_classes() -> None:
    """The drawing names every class, indented under its base."""
    drawn = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if line.startswith("TicketSourceError"):
            above = ["TicketSourceError"]
        elif "── " in line:
            depth = line.index("── ") // 4 + 1
            name = line.split("── ")[1].split()[0]
            drawn[name] = above[depth - 1]
            above[depth:] = [name]

    assert drawn == {k.__name__: k.__base__.__name__ for k in EVERY_ERROR if k.__base__ and k is not TicketSourceError}
