"""What people write without this library: a loop that follows `next`, and looks at each customer's e-mail address."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import aiohttp
import httpx
import msgspec
import pydantic

HEADERS = {"Authorization": "Bearer skl-benchmark", "Accept": "application/json"}


def _following(next_url: str | None) -> str | None:
    return next_url and f"{next_url}&per_page=100"


async def aiohttp_msgspec(url: str) -> int:
    """Decode with msgspec into dicts."""
    count, following = 0, _following(f"{url}/customers?page=1")
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while following:
            async with session.get(following) as response:
                document = msgspec.json.decode(await response.read())
            for row in document["data"]:
                count += row["attributes"]["email"] is not None
            following = _following(document["links"]["next"])
    return count


async def aiohttp_json(url: str) -> int:
    """Decode with the standard library into dicts."""
    count, following = 0, _following(f"{url}/customers?page=1")
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while following:
            async with session.get(following) as response:
                document = await response.json()
            for row in document["data"]:
                count += row["attributes"]["email"] is not None
            following = _following(document["links"]["next"])
    return count


async def httpx_json(url: str) -> int:
    """The same with httpx."""
    count, following = 0, _following(f"{url}/customers?page=1")
    async with httpx.AsyncClient(headers=HEADERS) as client:
        while following:
            document = (await client.get(following)).json()
            for row in document["data"]:
                count += row["attributes"]["email"] is not None
            following = _following(document["links"]["next"])
    return count


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


async def httpx_pydantic(url: str) -> int:
    """The same with a pydantic model made of each item."""
    count, following = 0, _following(f"{url}/customers?page=1")
    async with httpx.AsyncClient(headers=HEADERS) as client:
        while following:
            document = (await client.get(following)).json()
            for row in document["data"]:
                count += _Customer(**row).attributes.email is not None
            following = _following(document["links"]["next"])
    return count


async def one_by_one(url: str, calls: int) -> None:
    """Get a single customer so many times, decoded into dicts."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for _ in range(calls):
            async with session.get(f"{url}/customers/cst-1") as response:
                msgspec.json.decode(await response.read())


LOOPS: dict[str, Callable[[str], Awaitable[int]]] = {
    "aiohttp + msgspec, untyped": aiohttp_msgspec,
    "aiohttp + json": aiohttp_json,
    "httpx + json": httpx_json,
    "httpx + pydantic": httpx_pydantic,
}


def run(loop: Callable[[str], Awaitable[int]], url: str) -> int:
    """Run a loop in an event loop of its own."""

    async def counting() -> int:
        return await loop(url)

    return asyncio.run(counting())
