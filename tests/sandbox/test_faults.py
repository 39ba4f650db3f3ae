"""Faults: which are refused, and what an answer has besides its status."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from ticketsource_async.sandbox import Fault, Sandbox


@pytest.fixture(name="http")
async def _http(box: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(box.url, headers={"Authorization": f"Bearer {box.api_key}"}) as http:
        yield http


@pytest.mark.parametrize(
    "nonsense",
    [
        {"status": 500, "method": "get"},
        {"status": 500, "path": "customers"},
        {"status": 500, "path": "/customers?page=2"},
        {"cut": "before", "status": 500},
        {"cut": "after_write", "html": True},
        {"cut": "body", "slow": 1},
    ],
)
def test_a_fault_that_matches_no_request_or_has_two_effects_is_refused(nonsense: Any) -> None:
    """It raises as soon as it is created."""
    with pytest.raises(ValueError, match=r"capitals|without a query|no answer|two ways"):
        Fault(**nonsense)


async def test_a_content_type_of_the_caller_replaces_the_default(box: Sandbox, http: aiohttp.ClientSession) -> None:
    """The capitals of the header's name do not matter."""
    box.fail(body="slow down", status=429, headers={"content-type": "text/plain"})

    async with http.get("/customers") as response:
        assert response.headers.getall("Content-Type") == ["text/plain"]


@pytest.mark.parametrize("more", [{}, {"cut": "body"}, {"slow": 0}])
async def test_a_204_answer_has_no_body(box: Sandbox, http: aiohttp.ClientSession, more: Any) -> None:
    """It has no content type, and does not affect the next answer."""
    box.fail(status=204, **more)

    async with http.get("/customers") as response:
        assert (response.status, await response.read()) == (204, b"")
        assert "Content-Type" not in response.headers
    async with http.get("/customers") as response:
        assert response.status == 200


async def test_a_list_can_lack_its_next_link_or_all_links(box: Sandbox, http: aiohttp.ClientSession) -> None:
    """A page may lack `next`, or links and meta altogether. A single record does not change."""
    documents = []
    for kind, path in (("missing", ""), ("no-links", ""), ("loop", f"/{box.customers.ids()[0]}")):
        box.fail(next=kind)  # type: ignore[arg-type]  # a table of its values
        async with http.get(f"/customers{path}") as response:
            documents.append(await response.json())
    missing, bare, single = documents

    assert list(missing["links"]) == ["first", "last", "prev"]
    assert list(bare) == ["data"]
    assert single == {"data": box.customers.get(box.customers.ids()[0])}
