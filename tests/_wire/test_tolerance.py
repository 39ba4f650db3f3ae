"""Harmless differences between a server and the documentation, over real sockets."""

import asyncio
import gzip
import json
import zlib
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Self

import aiohttp
import pytest
from aiohttp import web
from loops import call
from mocked import ONCE
from rows import customer_row
from talking import Talk, answer, says, server

from ticketsource_async import AttemptEvent, CallEvent, InvalidResponse, OutcomeUnknown, TicketSource
from ticketsource_async._wire.unpacking import Broken, Unpacking
from ticketsource_async.ratelimit import Priority

ROWS = [customer_row(1), customer_row(2)]
PAGE = json.dumps({"data": ROWS, "links": {"next": None}}).encode()
IDS = [row["id"] for row in ROWS]


async def ids_at(talk: Talk) -> list[str]:
    """Return the ids in the list that a server answers with."""
    async with server(talk) as (url, seen), TicketSource("skl-test", base_url=url, retry=ONCE) as ts:
        found = [customer.id async for customer in ts.customers.list()]
    assert seen == ["GET"]
    return found


def raw_deflate(data: bytes) -> bytes:
    """Compress without any header, as some servers understand "deflate"."""
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


PACKED = {
    "two members": (gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:]), "gzip"),
    "many members": (b"".join(gzip.compress(PAGE[i : i + 9]) for i in range(0, len(PAGE), 9)), "gzip"),
    "an empty member": (gzip.compress(PAGE) + gzip.compress(b""), "gzip"),
    "zeros behind it": (gzip.compress(PAGE) + b"\0" * 512, "gzip"),
    "a line end behind it": (gzip.compress(PAGE) + b"\r\n", "gzip"),
    "padding between members": (gzip.compress(PAGE[:100]) + b"\0\n" + gzip.compress(PAGE[100:]) + b"\0", "gzip"),
    "its old name": (gzip.compress(PAGE), "x-gzip"),
    "capitals": (gzip.compress(PAGE), "GZip"),
    "deflate with a header": (zlib.compress(PAGE), "deflate"),
    "deflate without a header": (raw_deflate(PAGE), "deflate"),
    "deflate with padding": (zlib.compress(PAGE) + b"\0\n", "deflate"),
    "stored deflate": (zlib.compress(PAGE, 0), "deflate"),
}


@pytest.mark.parametrize("form", PACKED)
async def test_a_packed_body_is_read_in_each_form_that_servers_send(form: str) -> None:
    """Members, padding and both kinds of deflate are read."""
    body, encoding = PACKED[form]

    assert await ids_at(says(answer(body, f"Content-Encoding: {encoding}"))) == IDS


@pytest.mark.parametrize("form", PACKED)
async def test_a_packed_body_can_arrive_byte_by_byte(form: str) -> None:
    """It can be split at any byte."""
    body, encoding = PACKED[form]
    unpacking = Unpacking(encoding.lower(), 100_000)

    assert b"".join(unpacking.piece(body[i : i + 1]) for i in range(len(body))) == PAGE
    unpacking.end()


def test_a_gzip_body_with_too_many_empty_members_is_refused() -> None:
    """Such members take time, but the body never becomes too large."""
    unpacking = Unpacking("gzip", 32_000_000)

    with pytest.raises(Broken, match="goes on after its gzip"):
        unpacking.piece(gzip.compress(b"") * 1001)


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + PAGE, b"\xef\xbb\xbf\xef\xbb\xbf\r\n" + PAGE])
async def test_a_byte_order_mark_is_ignored(body: bytes) -> None:
    """A PHP file that begins with one sends it first."""
    assert await ids_at(says(answer(body))) == IDS
    assert await ids_at(says(answer(gzip.compress(body), "Content-Encoding: gzip"))) == IDS


@pytest.mark.parametrize(
    ("data", "ids"), [({"0": ROWS[0], "4": ROWS[1]}, IDS), ({"17": ROWS[1]}, IDS[1:]), (None, []), ({}, [])]
)
async def test_a_list_can_have_each_form_that_php_writes(data: object, ids: list[str]) -> None:
    """A list with gaps is an object with numeric keys, and an empty one may be null."""
    assert await ids_at(says(answer(json.dumps({"data": data, "links": {"next": None}}).encode()))) == ids


async def test_one_record_is_not_taken_for_a_list() -> None:
    """An error says that `data` is not a list."""
    with pytest.raises(InvalidResponse, match="`data` is not a list"):
        await ids_at(says(answer(json.dumps({"data": ROWS[0]}).encode())))


@pytest.mark.parametrize("size", [9_000, 60_000])
@pytest.mark.parametrize("borrowed", [False, True])
async def test_a_long_header_is_read(size: int, borrowed: bool) -> None:
    """A policy, or the cookies of a gateway, can be longer than aiohttp allows by default."""
    talk = says(answer(PAGE, f"Content-Security-Policy: {'x' * size}"))
    async with (
        server(talk) as (url, _),
        aiohttp.ClientSession() as session,
        TicketSource("skl-test", base_url=url, retry=ONCE, session=session if borrowed else None) as ts,
    ):
        assert [customer.id async for customer in ts.customers.list()] == IDS


async def test_an_endless_header_is_cut_off() -> None:
    """No API sends a header of more than 64 kB."""

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    with pytest.raises(InvalidResponse, match="not HTTP") as caught:
        await ids_at(endless)

    assert len(str(caught.value)) < 1000


class Moved:
    """A server that redirects the addresses in `moved`, and answers all others."""

    def __init__(self, moved: dict[str, str], status: int = 301) -> None:
        self.seen: list[str] = []
        self._moved, self._status = moved, status

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(f"{request.method} {request.path_qs}")
        if to := self._moved.get(request.path_qs) or self._moved.get(request.path):
            return web.Response(status=self._status, headers={"Location": to.format(url=self.url)}, text="<html>moved")
        one = "cst-" in request.path
        return web.json_response({"data": ROWS[0] if one else ROWS, "links": {"next": None}})


LISTED = "/customers?page=1&per_page=100"
WITH_SLASH = "/customers/?page=1&per_page=100"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", [WITH_SLASH, f"{{url}}{WITH_SLASH}", "{url}/customers/?per_page=100&page=1"])
async def test_a_read_follows_a_redirect_that_adds_a_slash(to: str, status: int) -> None:
    """Some web servers and frameworks require a slash at the end of a path."""
    async with Moved({LISTED: to}, status) as api, TicketSource("skl-test", base_url=api.url, retry=ONCE) as ts:
        assert [customer.id async for customer in ts.customers.list()] == IDS

    assert api.seen[0] == f"GET {LISTED}"
    assert [line.partition("?")[0] for line in api.seen[1:]] == ["GET /customers/"]


async def test_a_get_with_a_path_in_its_base_url_follows_such_a_redirect() -> None:
    """The slash is at the end of the path of one record."""
    path = f"/v1/customers/{IDS[0]}"
    async with Moved({path: f"{path}/"}) as api, TicketSource("skl-test", base_url=f"{api.url}/v1", retry=ONCE) as ts:
        assert (await ts.customers.get(IDS[0])).id == IDS[0]

    assert api.seen == [f"GET {path}", f"GET {path}/"]


@pytest.mark.parametrize(
    "to",
    [
        "http://elsewhere.invalid{slash}",
        "https://127.0.0.1{slash}",
        "//127.0.0.1:1{slash}",
        "http://user:pw@{host}{slash}",
        "{url}/login",
        "{url}/customers/",
        "{url}/customers/?page=2&per_page=100",
        "{url}/customers//?page=1&per_page=100",
        "{url}/Customers/?page=1&per_page=100",
        "{url}{slash}#x",
        "{url}" + LISTED,
        "http://[",
        "",
    ],
)
async def test_no_other_redirect_is_followed(to: str) -> None:
    """The key goes to no other origin, and a read to no other address."""
    moved: dict[str, str] = {}
    async with Moved(moved) as api, TicketSource("skl-test", base_url=api.url, retry=ONCE) as ts:
        moved[LISTED] = to.format(url=api.url, host=api.url[7:], slash=WITH_SLASH) or " "
        with pytest.raises(InvalidResponse, match="a redirect to"):
            await ts.customers.list().collect()

    assert api.seen == [f"GET {LISTED}"]


async def test_only_one_redirect_is_followed() -> None:
    """The redirects lead back and forth."""
    back_and_forth = Moved({LISTED: WITH_SLASH, WITH_SLASH: LISTED})
    async with back_and_forth as api, TicketSource("skl-test", base_url=api.url, retry=ONCE) as ts:
        with pytest.raises(InvalidResponse, match=r"GET /customers/\?page=1&per_page=100 was answered 301"):
            await ts.customers.list().collect()

    assert len(api.seen) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_a_write_follows_no_redirect(method: str) -> None:
    """The server may have processed the write, and would process it twice."""
    paths = {"/customers": "/customers/", "/customers/cst-1": "/customers/cst-1/"}
    async with Moved(paths, 308) as api, TicketSource("skl-test", base_url=api.url) as ts:
        with pytest.raises(OutcomeUnknown, match="a redirect to"):
            await call(ts, method)

    assert len(api.seen) == 1


async def test_a_followed_redirect_takes_its_own_slot_and_is_no_further_attempt() -> None:
    """The rate limit counts it, and the retry policy does not."""
    events: list[CallEvent] = []
    slots = Slots()
    async with (
        Moved({LISTED: WITH_SLASH}) as api,
        TicketSource("skl-test", base_url=api.url, limiter=slots, on_event=events.append) as ts,
    ):
        await ts.customers.list().collect()

    assert slots.given == 2
    attempts = [event for event in events if isinstance(event, AttemptEvent)]
    assert [(event.attempt, event.status, event.error) for event in attempts] == [(1, 301, None), (1, 200, None)]


class Slots:
    """A limiter that counts its slots."""

    given = 0

    def slot(self, *, key: str, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Return a slot at once."""
        self.given += 1
        return nullcontext()

    async def pause(self, seconds: float, *, key: str) -> None:
        """Do nothing."""
