"""A mocked API for tests of the form of requests."""

import inspect
import json
from typing import Any
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses
from rows import API

from ticketsource_async import (
    RetryPolicy,
)

KEY = "skl-not-a-real-key"


ONCE = RetryPolicy(attempts=1)


class _Response(aiohttp.ClientResponse):
    """The response of aioresponses, with an argument that aiohttp >= 3.14 needs and aioresponses does not pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs["stream_writer"] = Mock()
        super().__init__(*args, **kwargs)


class MockedAPI(aioresponses):
    """aioresponses at the API's address, with its requests as plain data."""

    def answer(self, method: str, path: str, payload: object = None, *, status: int = 200, **how: Any) -> None:
        """Answer the next such request; `how` may have `body`, `headers` or `repeat`."""
        if payload is not None:
            how["body"] = json.dumps(payload)
        self.add(f"{API}{path}", method, status=status, response_class=_Response, **how)

    @property
    def sent(self) -> list[tuple[str, str, Any]]:
        """Method, path with query, and decoded body of each request, in order of first appearance of their address."""
        return [
            (method, url.path_qs, json.loads(call.kwargs["data"]) if call.kwargs["data"] is not None else None)
            for (method, url), calls in self.requests.items()
            for call in calls
        ]

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of each request, in the same order."""
        return [dict(call.kwargs["headers"]) for calls in self.requests.values() for call in calls]
