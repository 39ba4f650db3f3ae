"""Loops that people write without this library: they follow `next`, and look at each customer's e-mail address."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

import aiohttp
import httpx
import msgspec
import pydantic

from benchmarks.server import KEY

HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}


def _following(next_url: str | None) -> str | None:
    return next_url and f"{next_url}&per_page=100"


async def _aiohttp(
    decode: Callable[[aiohttp.ClientResponse], Awaitable[Any]],
    url: str,
    path: str = "/customers",
    counted: str = "email",
) -> int:
    count, following = 0, _following(f"{url}{path}?page=1")
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while following:
            async with session.get(following) as response:
                document = await decode(response)
            for row in document["data"]:
                count += row["attributes"][counted] is not None
            following = _following(document["links"]["next"])
    return count


async def _httpx(with_email: Callable[[list[Any]], int], url: str) -> int:
    count, following = 0, _following(f"{url}/customers?page=1")
    async with httpx.AsyncClient(headers=HEADERS) as client:
        while following:
            document = (await client.get(following)).json()
            count += with_email(document["data"])
            following = _following(document["links"]["next"])
    return count


async def _msgspec(response: aiohttp.ClientResponse) -> Any:
    return msgspec.json.decode(await response.read())


async def untyped(url: str, path: str) -> int:
    """Stream all rows of any list as dicts, and count those with a `created_at`."""
    return await _aiohttp(_msgspec, url, path, "created_at")


async def _json(response: aiohttp.ClientResponse) -> Any:
    return await response.json()


def _as_dicts(rows: list[Any]) -> int:
    return sum(row["attributes"]["email"] is not None for row in rows)


class _Address(pydantic.BaseModel):
    line_1: str | None = None
    line_2: str | None = None
    line_3: str | None = None
    line_4: str | None = None
    postcode: str | None = None


class _Membership(pydantic.BaseModel):
    identifier: str | None = None
    start_date: str | None = None
    end_date: str | None = None


class _Consent(pydantic.BaseModel):
    email: bool | None = None
    post: bool | None = None
    sms: bool | None = None


class _Attributes(pydantic.BaseModel):
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address: _Address | None = None
    telephone: str | None = None
    email: str | None = None
    membership: _Membership | None = None
    consent: _Consent | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Customer(pydantic.BaseModel):
    id: str
    type: str
    attributes: _Attributes
    links: dict[str, str | None]


def _as_models(rows: list[Any]) -> int:
    return sum(_Customer(**row).attributes.email is not None for row in rows)


async def one_by_one(url: str, calls: int) -> None:
    """Get a single customer this number of times, decoded into dicts."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for _ in range(calls):
            async with session.get(f"{url}/customers/cst-1") as response:
                msgspec.json.decode(await response.read())


LOOPS: dict[str, Callable[[str], Coroutine[Any, Any, int]]] = {
    "aiohttp + msgspec, untyped": partial(_aiohttp, _msgspec),
    "aiohttp + json": partial(_aiohttp, _json),
    "httpx + json": partial(_httpx, _as_dicts),
    "httpx + pydantic": partial(_httpx, _as_models),
}
"""Functions that stream all customers from an address, and count those with an e-mail address, by name."""
