"""Every method meets every fault over real sockets: the requests that arrive, the waits, and the error.

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
    """Send nothing until the client disconnects."""
    await reader.read()


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a few bytes from time to time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(20)  # less than the silence that a client accepts


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send many bytes, for ever."""
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


def all_attempts(kind: str | None, sleeps: list[float] = BACK_OFF) -> Ends:
    """Expect as many attempts as allowed."""
    return Ends(len(sleeps) + 1, sleeps, kind)


def one_attempt(kind: str | None) -> Ends:
    """Expect one attempt."""
    return Ends(1, [], kind)


def retried_if_safe(kind: str) -> dict[str, Ends]:
    """Expect retries of the methods that may be repeated, and an unknown outcome for every write."""
    unknown = all_attempts("OutcomeUnknown")
    return {"GET": all_attempts(kind), "POST": one_attempt("OutcomeUnknown"), "PATCH": unknown, "DELETE": unknown}


def unknown_for_writes(kind: str) -> dict[str, Ends]:
    """Expect no retry, and an unknown outcome for every write."""
    return {**for_every_method(one_attempt("OutcomeUnknown")), "GET": one_attempt(kind)}


def for_every_method(ends: Ends) -> dict[str, Ends]:
    """Expect the same for every method."""
    return dict.fromkeys(METHODS, ends)


UNREADABLE = {
    **for_every_method(one_attempt("OutcomeUnknown")),
    "GET": one_attempt("InvalidResponse"),
    "DELETE": one_attempt(None),
}
NOW = "Date: Tue, 24 Nov 2026 10:00:00 GMT"

MATRIX: dict[str, tuple[Talk | None, dict[str, Ends]]] = {
    "refused": (None, for_every_method(Ends(0, BACK_OFF, "ConnectFailed"))),
    "reset before headers": (reset, retried_if_safe("ConnectionLost")),
    "hang-up before headers": (says(b""), retried_if_safe("ConnectionLost")),
    "cut in headers": (says(b"HTTP/1.1 200 OK\r\nContent-Len"), retried_if_safe("ConnectionLost")),
    "cut in body": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), retried_if_safe("ConnectionLost")),
    "slow headers": (hang, retried_if_safe("RequestTimedOut")),
    "slow body": (trickle, retried_if_safe("RequestTimedOut")),
    "429": (error(429), for_every_method(all_attempts("RateLimited"))),
    "429 after 0": (error(429, "Retry-After: 0"), for_every_method(all_attempts("RateLimited", [1.0, 1.0]))),
    "429 after 7": (error(429, "Retry-After: 7"), for_every_method(all_attempts("RateLimited", [8.0, 8.0]))),
    "429 after 1.5": (error(429, "Retry-After: 1.5"), for_every_method(all_attempts("RateLimited", [2.5, 2.5]))),
    "429 at a date": (
        error(429, NOW, "Retry-After: Tue, 24 Nov 2026 10:00:30 GMT"),
        for_every_method(all_attempts("RateLimited", [31.0, 31.0])),
    ),
    "429 at a past date": (
        error(429, NOW, "Retry-After: Tue, 24 Nov 2026 09:00:00 GMT"),
        for_every_method(all_attempts("RateLimited", [1.0, 1.0])),
    ),
    "429 with a reset": (
        error(429, NOW, "X-RateLimit-Reset: 1795514420"),
        for_every_method(all_attempts("RateLimited", [21.0, 21.0])),
    ),
    "429 with a reset in seconds": (
        error(429, "X-RateLimit-Reset: 20"),
        for_every_method(all_attempts("RateLimited", [21.0, 21.0])),
    ),
    "429 after an hour": (error(429, "Retry-After: 3600"), for_every_method(one_attempt("RateLimited"))),
    "429 after 10^9": (error(429, "Retry-After: 1000000000"), for_every_method(one_attempt("RateLimited"))),
    "429 after -5": (error(429, "Retry-After: -5"), for_every_method(all_attempts("RateLimited"))),
    "429 after nan": (error(429, "Retry-After: nan"), for_every_method(all_attempts("RateLimited"))),
    "429 in HTML": (
        says(answer(HTML, "Content-Type: text/html", "Retry-After: 5", status=429)),
        for_every_method(all_attempts("RateLimited", [6.0, 6.0])),
    ),
    "500": (error(500), retried_if_safe("ServerError")),
    "502 in HTML": (says(answer(HTML, "Content-Type: text/html", status=502)), retried_if_safe("ServerError")),
    "503": (error(503), retried_if_safe("ServerError")),
    "503 after 4": (
        error(503, "Retry-After: 4"),
        {
            **for_every_method(all_attempts("OutcomeUnknown", [5.0, 5.0])),
            "GET": all_attempts("ServerError", [5.0, 5.0]),
            "POST": one_attempt("OutcomeUnknown"),
        },
    ),
    "503 in HTML": (says(answer(HTML, "Content-Type: text/html", status=503)), retried_if_safe("ServerError")),
    "503 wall": (says(answer(HTML, "cf-mitigated: challenge", status=503)), retried_if_safe("AccessBlocked")),
    "504": (error(504), retried_if_safe("ServerError")),
    "522": (says(answer(b"error code: 522", status=522)), retried_if_safe("ServerError")),
    "530": (says(answer(b"error code: 1033", status=530)), retried_if_safe("ServerError")),
    "519": (says(answer(b"", status=519)), unknown_for_writes("ServerError")),
    "403 wall": (
        says(answer(HTML, "Content-Type: text/html", status=403)),
        for_every_method(one_attempt("AccessBlocked")),
    ),
    "101": (says(b"HTTP/1.1 101 X\r\n\r\n"), unknown_for_writes("InvalidResponse")),
    "101 with an upgrade": (
        says(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00\x12\x04"),
        unknown_for_writes("InvalidResponse"),
    ),
    "302": (
        says(answer(b"", "Location: https://elsewhere.example/", status=302)),
        unknown_for_writes("InvalidResponse"),
    ),
    "408": (says(answer(b"", status=408)), retried_if_safe("APIError")),
    "425": (
        says(answer(b"", status=425)),
        for_every_method(all_attempts("APIError")) | {"POST": one_attempt("APIError")},
    ),
    "499": (says(answer(b"", status=499)), unknown_for_writes("APIError")),
    "not JSON": (says(answer(b"hello")), UNREADABLE),
    "wrong JSON": (says(answer(b'{"customers": []}')), UNREADABLE),
    "no record": (says(answer(b"")), {**UNREADABLE, "PATCH": Ends(2, [], "InvalidResponse")}),
    # The envelope is correct, so the write was accepted, but the record is not a customer. A PATCH then reads it.
    "wrong type": (
        says(answer(b'{"data": {"id": "cst-1", "type": "event", "attributes": {"name": "x"}}}')),
        {
            **for_every_method(one_attempt("InvalidResponse")),
            "PATCH": Ends(2, [], "InvalidResponse"),
            "DELETE": one_attempt(None),
        },
    ),
    "not HTTP": (
        says(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
        {**for_every_method(one_attempt("OutcomeUnknown")), "GET": one_attempt("InvalidResponse")},
    ),
    "endless body": (endless, UNREADABLE),
    "none": (says(FINE), for_every_method(one_attempt(None))),
}


async def failure_of(calling: Awaitable[object]) -> TicketSourceError | None:
    """Return the error that a call raises, if any."""
    try:
        await calling
    except TicketSourceError as failure:
        return failure
    return None


async def call_with_fault(method: str, fault: str, wrap: Callable[[Talk], Talk] = lambda talk: talk) -> Ends:
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
async def test_a_permanent_fault_ends_each_call_as_in_the_matrix(method: str, fault: str) -> None:
    """Arrivals, sleeps and error are those of the matrix. No POST that may have been processed is sent twice."""
    assert await call_with_fault(method, fault) == MATRIX[fault][1][method]


def then_fine(talk: Talk) -> Talk:
    """Let only the first request meet the fault."""
    struck: list[bool] = []

    async def first_then_fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        struck.append(True)
        await (talk if len(struck) == 1 else says(FINE))(reader, writer)

    return first_then_fine


@pytest.mark.virtual_time
@pytest.mark.parametrize(("method", "fault"), [c for c in CELLS if c[1] != "refused"])
async def test_a_temporary_fault_is_overcome_where_the_call_is_retried(method: str, fault: str) -> None:
    """A call that is retried succeeds after one wait. Any other call ends as with a permanent fault."""
    stays = MATRIX[fault][1][method]

    ends = await call_with_fault(method, fault, then_fine)

    assert ends == (Ends(2, stays.sleeps[:1], None) if stays.arrivals > 1 else stays)


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", ["reset before headers", "cut in body", "slow headers", "500", "503 in HTML"])
async def test_a_delete_whose_answer_was_lost_succeeds_on_a_404(fault: str) -> None:
    """The first DELETE has deleted the record, so the second one is answered 404. That is no error."""
    talk = MATRIX[fault][0]
    assert talk is not None
    struck: list[bool] = []

    async def then_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        struck.append(True)
        await (talk if len(struck) == 1 else error(404))(reader, writer)

    assert await call_with_fault("DELETE", fault, lambda _: then_gone) == Ends(2, [0.5], None)


async def _table() -> None:
    sys.stdout.write(f"{'fault':24}{'':8}{'arrivals':>9}  {'waits asked for':18}outcome\n")
    for method, fault in CELLS:
        ends = await call_with_fault(method, fault)
        waits = ", ".join(f"{wait:g}" for wait in ends.sleeps) or "-"
        title = fault if method == "GET" else ""
        sys.stdout.write(f"{title:24}{method:8}{ends.arrivals:9}  {waits:18}{ends.error or 'done'}\n")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.Runner(loop_factory=VirtualLoop).run(_table())
