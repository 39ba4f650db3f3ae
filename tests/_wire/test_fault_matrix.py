"""Every method meets every fault, over real sockets: what arrives at the server, what is waited, what is raised.

Run this file to see the matrix as a table: `python tests/_wire/test_fault_matrix.py`.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from attrs import frozen
from loops import VirtualLoop, call
from mocked import KEY
from talking import Talk, answer, says, server

from ticketsource_async import RetryPolicy, TicketSource, TicketSourceError
from ticketsource_async.testing import no_waiting

METHODS = ("GET", "POST", "PATCH", "DELETE")
POLICY = RetryPolicy(attempts=3)
BACK_OFF = [0.5, 1.0]
HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head></html>"
FINE = answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {"first_name": "Karl"}}}')


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cut the connection with a RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the client has gone."""
    await reader.read()


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a little now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(20)  # less than the silence that a client accepts


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a lot, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        await writer.drain()


def error(status: int, *headers: str) -> Talk:
    """Answer with an error as the API sends it."""
    return says(answer(b'{"errors": [{"status": %d, "code": "c", "detail": "d"}]}' % status, *headers, status=status))


@frozen
class Ends:
    """How a call ends: requests at the server, seconds asked to sleep, class of the error (None: it succeeds)."""

    arrivals: int
    sleeps: list[float]
    error: str | None


def again(kind: str | None, sleeps: list[float] = BACK_OFF) -> Ends:
    """Expect that it was tried as often as allowed."""
    return Ends(len(sleeps) + 1, sleeps, kind)


def once(kind: str | None) -> Ends:
    """Expect that it was tried once."""
    return Ends(1, [], kind)


def passing(kind: str) -> dict[str, Ends]:
    """Expect retries for what may be repeated, and an unknown outcome for every write."""
    unknown = again("OutcomeUnknown")
    return {"GET": again(kind), "POST": once("OutcomeUnknown"), "PATCH": unknown, "DELETE": unknown}


def unsure(kind: str) -> dict[str, Ends]:
    """Expect no retry, and an unknown outcome for every write."""
    return {**alike(once("OutcomeUnknown")), "GET": once(kind)}


def alike(ends: Ends) -> dict[str, Ends]:
    """Expect the same for every method."""
    return dict.fromkeys(METHODS, ends)


UNREADABLE = {**alike(once("OutcomeUnknown")), "GET": once("InvalidResponse"), "DELETE": once(None)}
NOW = "Date: Tue, 24 Nov 2026 10:00:00 GMT"

MATRIX: dict[str, tuple[Talk | None, dict[str, Ends]]] = {
    "refused": (None, alike(Ends(0, BACK_OFF, "ConnectFailed"))),
    "reset before headers": (reset, passing("ConnectionLost")),
    "hang-up before headers": (says(b""), passing("ConnectionLost")),
    "cut in headers": (says(b"HTTP/1.1 200 OK\r\nContent-Len"), passing("ConnectionLost")),
    "cut in body": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), passing("ConnectionLost")),
    "slow headers": (hang, passing("RequestTimedOut")),
    "slow body": (trickle, passing("RequestTimedOut")),
    "429": (error(429), alike(again("RateLimited"))),
    "429 after 0": (error(429, "Retry-After: 0"), alike(again("RateLimited", [1.0, 1.0]))),
    "429 after 7": (error(429, "Retry-After: 7"), alike(again("RateLimited", [8.0, 8.0]))),
    "429 after 1.5": (error(429, "Retry-After: 1.5"), alike(again("RateLimited", [2.5, 2.5]))),
    "429 at a date": (
        error(429, NOW, "Retry-After: Tue, 24 Nov 2026 10:00:30 GMT"),
        alike(again("RateLimited", [31.0, 31.0])),
    ),
    "429 at a past date": (
        error(429, NOW, "Retry-After: Tue, 24 Nov 2026 09:00:00 GMT"),
        alike(again("RateLimited", [1.0, 1.0])),
    ),
    "429 with a reset": (
        error(429, NOW, "X-RateLimit-Reset: 1795514420"),
        alike(again("RateLimited", [21.0, 21.0])),
    ),
    "429 with a reset in seconds": (error(429, "X-RateLimit-Reset: 20"), alike(again("RateLimited", [21.0, 21.0]))),
    "429 after an hour": (error(429, "Retry-After: 3600"), alike(once("RateLimited"))),
    "429 after 10^9": (error(429, "Retry-After: 1000000000"), alike(once("RateLimited"))),
    "429 after -5": (error(429, "Retry-After: -5"), alike(again("RateLimited"))),
    "429 after nan": (error(429, "Retry-After: nan"), alike(again("RateLimited"))),
    "429 in HTML": (
        says(answer(HTML, "Content-Type: text/html", "Retry-After: 5", status=429)),
        alike(again("RateLimited", [6.0, 6.0])),
    ),
    "500": (error(500), passing("ServerError")),
    "502 in HTML": (says(answer(HTML, "Content-Type: text/html", status=502)), passing("ServerError")),
    "503": (error(503), passing("ServerError")),
    "503 after 4": (
        error(503, "Retry-After: 4"),
        {
            **alike(again("OutcomeUnknown", [5.0, 5.0])),
            "GET": again("ServerError", [5.0, 5.0]),
            "POST": once("OutcomeUnknown"),
        },
    ),
    "503 in HTML": (says(answer(HTML, "Content-Type: text/html", status=503)), passing("ServerError")),
    "503 firewall": (says(answer(HTML, "cf-mitigated: challenge", status=503)), passing("AccessBlocked")),
    "504": (error(504), passing("ServerError")),
    "522": (says(answer(b"error code: 522", status=522)), passing("ServerError")),
    "530": (says(answer(b"error code: 1033", status=530)), passing("ServerError")),
    "519": (says(answer(b"", status=519)), unsure("ServerError")),
    "403 firewall": (says(answer(HTML, "Content-Type: text/html", status=403)), alike(once("AccessBlocked"))),
    "101": (says(b"HTTP/1.1 101 X\r\n\r\n"), unsure("InvalidResponse")),
    "101 with an upgrade": (
        says(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00\x12\x04"),
        unsure("InvalidResponse"),
    ),
    "302": (says(answer(b"", "Location: https://elsewhere.example/", status=302)), unsure("InvalidResponse")),
    "408": (says(answer(b"", status=408)), passing("APIError")),
    "425": (says(answer(b"", status=425)), alike(again("APIError")) | {"POST": once("APIError")}),
    "499": (says(answer(b"", status=499)), unsure("APIError")),
    "not JSON": (says(answer(b"hello")), UNREADABLE),
    "wrong JSON": (says(answer(b'{"customers": []}')), UNREADABLE),
    "no record": (says(answer(b"")), {**UNREADABLE, "PATCH": Ends(2, [], "InvalidResponse")}),
    # The envelope is as promised, so the write was accepted; it is no customer that came back. A PATCH reads it then.
    "wrong type": (
        says(answer(b'{"data": {"id": "cst-1", "type": "event", "attributes": {"name": "x"}}}')),
        {**alike(once("InvalidResponse")), "PATCH": Ends(2, [], "InvalidResponse"), "DELETE": once(None)},
    ),
    "not HTTP": (
        says(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
        {**alike(once("OutcomeUnknown")), "GET": once("InvalidResponse")},
    ),
    "endless body": (endless, UNREADABLE),
    "none": (says(FINE), alike(once(None))),
}


async def failure_of(calling: Awaitable[object]) -> TicketSourceError | None:
    """Return the error that a call ends with, if it does."""
    try:
        await calling
    except TicketSourceError as failure:
        return failure
    return None


async def meet(method: str, fault: str, wrap: Callable[[Talk], Talk] = lambda talk: talk) -> Ends:
    """Make the call against a server with the fault and return how it ended."""
    talk = MATRIX[fault][0]
    async with server(wrap(talk or hang)) as (url, seen):
        options: dict[str, Any] = {"retry": POLICY, "max_body": 100_000, "rate_limit": None}
        if talk is None:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{unused.getsockname()[1]}"  # noqa: PLW2901 - it is refused, as nobody listens
        async with TicketSource(KEY, base_url=url, **options) as ts:
            with no_waiting() as slept:
                failure = await failure_of(call(ts, method))
    assert set(seen) <= {method, *(["GET"] if method == "PATCH" else [])}
    if failure is None:
        return Ends(len(seen), slept, None)
    assert getattr(failure, "attempts", None) == len(slept) + 1
    return Ends(len(seen), slept, type(failure).__name__)


CELLS = [(method, fault) for fault in MATRIX for method in METHODS]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("method", "fault"), CELLS)
async def test_a_fault_that_stays_ends_as_it_should(method: str, fault: str) -> None:
    """Arrivals, sleeps and error are those of the matrix; no POST that may have been processed comes twice."""
    assert await meet(method, fault) == MATRIX[fault][1][method]


def then_fine(talk: Talk) -> Talk:
    """Let the fault strike the first request alone."""
    struck: list[bool] = []

    async def first_then_fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        struck.append(True)
        await (talk if len(struck) == 1 else says(FINE))(reader, writer)

    return first_then_fine


@pytest.mark.virtual_time
@pytest.mark.parametrize(("method", "fault"), [c for c in CELLS if c[1] != "refused"])
async def test_a_fault_that_passes_is_overcome_where_it_is_tried_again(method: str, fault: str) -> None:
    """What is tried at all again succeeds after one wait; what is not ends as if the fault had stayed."""
    stays = MATRIX[fault][1][method]

    ends = await meet(method, fault, then_fine)

    assert ends == (Ends(2, stays.sleeps[:1], None) if stays.arrivals > 1 else stays)


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", ["reset before headers", "cut in body", "slow headers", "500", "503 in HTML"])
async def test_a_delete_that_took_effect_though_its_answer_was_lost_is_done(fault: str) -> None:
    """The second DELETE is answered 404 because of the first: the record is deleted, and that is no error."""
    talk = MATRIX[fault][0]
    assert talk is not None
    struck: list[bool] = []

    async def then_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        struck.append(True)
        await (talk if len(struck) == 1 else error(404))(reader, writer)

    assert await meet("DELETE", fault, lambda _: then_gone) == Ends(2, [0.5], None)


async def _table() -> None:
    sys.stdout.write(f"{'fault':24}{'':8}{'arrivals':>9}  {'waits asked for':18}outcome\n")
    for method, fault in CELLS:
        ends = await meet(method, fault)
        waits = ", ".join(f"{wait:g}" for wait in ends.sleeps) or "-"
        title = fault if method == "GET" else ""
        sys.stdout.write(f"{title:24}{method:8}{ends.arrivals:9}  {waits:18}{ends.error or 'done'}\n")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.Runner(loop_factory=VirtualLoop).run(_table())
