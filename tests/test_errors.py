"""Every exception survives pickle, copy, JSON, and rebuilding from `args`."""

import asyncio
import copy
import inspect
import json
import pickle
from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from loops import call, until
from mocked import ONCE
from talking import answer, says, server

from ticketsource_async import Address, Customer, CustomerStore, FailedBranch, RetryPolicy, TicketSource, errors
from ticketsource_async.errors import TicketSourceError
from ticketsource_async.files.reading import read
from ticketsource_async.ratelimit.redis import RedisRateLimiter
from ticketsource_async.sandbox import Sandbox

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
    "field": "address.postcode",
    "value": "'evt-1'",
    "file": "people.csv",
    "page": 3,
    "items": 200,
    "next_url": "https://elsewhere.example/",
    "branches": [
        {"event_id": "evt-1", "date_id": "dat-1", "venue_id": None, "error": "NotFound", "message": "It is gone."}
    ],
    "count": 31,
    "remembered": 1000,
    "missing": 400,
    "removed": 51,
    "allowed": 50,
}


def full(kind: type[TicketSourceError]) -> TicketSourceError:
    """Return an error with every field set, in the order of its constructor."""
    names = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(*(SAMPLES[name] for name in names))


def survives(error: TicketSourceError) -> None:
    """Check that every kind of copy of an error is equal to it."""
    for twin in (
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
        copy.deepcopy(error),
        type(error)(*error.args),
        type(error)(*json.loads(json.dumps(error.args))),
    ):
        assert type(twin) is type(error)
        assert twin.to_dict() == error.to_dict()
        assert twin.args == error.args
        assert str(twin) == str(error)


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_field_survives_pickle_copy_and_rebuilding_from_args(kind: type[TicketSourceError]) -> None:
    """Pickle, copy, `type(e)(*e.args)` and a JSON round trip of the arguments keep every field."""
    error = full(kind)

    assert str(error) == "what happened"
    survives(error)


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_to_dict_has_the_class_name_and_every_field_as_json(kind: type[TicketSourceError]) -> None:
    """A note that was added to the error is not in it."""
    error = full(kind)
    error.add_note("seen in the nightly run")

    data = json.loads(json.dumps(error.to_dict()))

    assert data.pop("error") == kind.__name__
    assert list(data.values()) == json.loads(json.dumps(error.args))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_field_has_a_default(kind: type[TicketSourceError]) -> None:
    """Some task queues build an error without arguments."""
    assert str(kind()) == ""


FAULTS: dict[str, dict[str, Any]] = {
    "APIError": {"status": 409},
    "ValidationFailed": {"status": 400},
    "AuthenticationFailed": {"status": 401},
    "PermissionDenied": {"status": 403},
    "NotFound": {"status": 404},
    "RateLimited": {"status": 429, "headers": {"Retry-After": "7"}},
    "ServerError": {"status": 500},
    "AccessBlocked": {"status": 403, "html": True},
    "ConnectionLost": {"cut": "body"},
    "InvalidResponse": {"body": "<html>"},
    "PaginationError": {"next": "cursor", "times": 2},
    "BranchesFailed": {"status": 404, "after": 1},
}


async def produce(kind: str, box: Sandbox) -> TicketSourceError:
    """Return an error of this kind, caused by a real server or a real call."""
    async with TicketSource(box.api_key, base_url=box.url, retry=ONCE) as ts:
        if kind in FAULTS:
            box.fail(**FAULTS[kind])
            listed = ts.customers.list(per_page=10).collect
            work: Awaitable[object] = read_programme(ts) if kind == "BranchesFailed" else listed()
        elif kind == "OutcomeUnknown":
            box.fail(cut="after_write")
            work = call(ts, "POST")
        elif kind == "ClientClosed":
            box.fail(slow=3600)
            work = asyncio.ensure_future(call(ts, "GET"))
            await until(lambda: len(box.requests) == 1)
            await ts.aclose()
        elif kind == "ConnectFailed":
            async with server(says(answer(b""))) as (url, _):
                pass
            return await produced(call(TicketSource("skl-test", base_url=url, retry=ONCE), "GET"))
        elif kind == "RequestTimedOut":
            box.fail(slow=3600)
            deadline = RetryPolicy(deadline=0.1)
            async with TicketSource(box.api_key, base_url=box.url, retry=deadline) as impatient:
                return await produced(impatient.customers.list().collect())
        elif kind == "LimiterUnavailable":
            async with (
                RedisRateLimiter("redis://127.0.0.1:1", on_unavailable="raise") as limiter,
                TicketSource(box.api_key, base_url=box.url, limiter=limiter) as limited,
            ):
                return await produced(limited.customers.list().collect())
        elif kind in ("StoreError", "StoreInUse", "TooManyRemoved"):
            return await of_a_store(kind, box, ts)
        elif kind == "InvalidID":
            work = ts.customers.get("evt-1")
        elif kind == "UnreadableValue":
            karl = Customer("cst-1", address=Address("1 High Street"), invalid={"address.postcode": ["x"]})
            work = ts.customers.save(karl, attrs.evolve(karl, address=Address("2 High Street")))
        else:
            ways: dict[str, Callable[[], Awaitable[object]]] = {
                "ConfigurationError": configure,
                "UnreadableFile": read_markup,
                "ListEnded": partial(read_endless_list, box, ts),
            }
            return await produced(ways[kind]())
        return await produced(work)


async def of_a_store(kind: str, box: Sandbox, ts: TicketSource) -> TicketSourceError:
    """Return an error of a customer store."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "customers.db"
        async with CustomerStore(path) as store:
            if kind == "TooManyRemoved":
                assert (await anext(ts.customers.changes(store))).kind == "created"
                box.fail(body='{"data": []}')
                return await produced(anext(ts.customers.changes(store)))
            return await produced(CustomerStore(path if kind == "StoreInUse" else path / "deeper").__aenter__())


async def read_endless_list(box: Sandbox, ts: TicketSource) -> None:
    """Read a programme whose list of events has empty pages for ever, and raise the error of that branch."""
    for page in range(1, 20):
        box.fail(page=page, body=f'{{"data": [], "links": {{"next": "?page={page + 1}"}}}}')
    failed: list[FailedBranch] = []
    async for _ in ts.programme(on_branch_error=failed.append):
        pass
    raise failed[0].error


async def read_programme(ts: TicketSource) -> None:
    """Read the programme."""
    async for _ in ts.programme():
        pass


async def read_markup() -> None:
    """Read a page of HTML as if it were a CSV."""
    read(BytesIO(b"<html></html>"))


async def configure() -> None:
    """Build a client with an invalid key."""
    TicketSource("skl bad")


async def produced(work: Awaitable[object]) -> TicketSourceError:
    """Return the error that work ends with."""
    with pytest.raises(TicketSourceError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize(
    "kind", [kind for kind in EVERY_ERROR if kind not in (TicketSourceError, errors.TransportError)]
)
async def test_every_error_can_be_provoked_and_survives_pickle_copy_and_json(
    kind: type[TicketSourceError], box: Sandbox
) -> None:
    """Each class is raised by a real call, and its message says what happened."""
    error = await produce(kind.__name__, box)

    assert type(error) is kind
    assert len(str(error)) > 30
    survives(error)


def test_the_drawing_of_the_errors_matches_the_classes() -> None:
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
