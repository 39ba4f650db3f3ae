"""A server that fails in every way that a socket allows, chosen by a seed, and a record of its requests and writes."""

import asyncio
import gzip
import json
import random
import re
import select
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import Final
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from talking import answer

READERS: Final = [f"cst-r{number}" for number in range(120)]
"""The ids of the customers in the list. No call changes them."""
STRAY: Final = "an answer to nobody"
"""The first name of all customers in answers that no call requested."""


class End(Enum):
    """How the server ends a connection after its answer."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()


Step = bytes | float | End
"""Bytes to send, seconds to wait, or an end."""


@define(eq=False, repr=False)
class Arrival:
    """A request that the server read to its end. `done` says whether it was a write that took effect."""

    method: str
    token: str
    fault: str
    done: bool


@define(eq=False, repr=False)
class Asked:
    """The parts of a script: the right answer, another answer, and a random generator."""

    chance: random.Random
    right: bytes
    body: bytes
    status: int
    method: str


def name_of(token: str) -> str:
    """Return the first name of the customer with this id, or of the customer that a create makes."""
    return f"name of {token}"


def row(customer_id: str, first_name: str, last_name: str | None = None) -> dict[str, object]:
    """Return a customer as the API sends it."""
    attributes = {"first_name": first_name, "last_name": last_name}
    return {"type": "customer", "id": customer_id, "attributes": attributes}


def _stray(asked: Asked) -> bytes:
    """Return an answer that no call requested: to a read or a write of any customer, or to a list."""
    someone = row(asked.chance.choice([*READERS, "cst-stray"]), STRAY, STRAY)
    bodies: list[object] = [{"data": someone}, {"data": [someone], "links": {"next": None}}, {"data": []}]
    return answer(json.dumps(asked.chance.choice(bodies)).encode(), keep=True) * asked.chance.choice([1, 1, 2])


def _head_of(data: bytes) -> int:
    return data.index(b"\r\n\r\n") + 4


def _cut(asked: Asked, low: int, high: int) -> list[Step]:
    here = asked.chance.randrange(low, max(high, low + 1))
    return [asked.right[:here], asked.chance.choice([End.CLOSE, End.RESET])]


def _pieces(asked: Asked, seconds: float) -> list[Step]:
    here = sorted(asked.chance.sample(range(1, len(asked.right)), 2))
    first, second, third = asked.right[: here[0]], asked.right[here[0] : here[1]], asked.right[here[1] :]
    return [first, seconds, second, seconds, third, End.KEEP]


def _chunked(asked: Asked, *after: Step) -> list[Step]:
    head = b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (asked.status, len(asked.body))
    return [head + asked.body + b"\r\n", *after]


def _status(asked: Asked, *statuses: int) -> list[Step]:
    status = asked.chance.choice(statuses)
    headers = {429: ["Retry-After: 0"], 101: ["Upgrade: h2c", "Connection: Upgrade"], 302: ["Location: /customers"]}
    page = asked.chance.choice([b"", b"<html><title>Gateway</title></html>", b'{"message": "Server Error"}'])
    end = asked.chance.choice([End.KEEP, End.CLOSE])
    return [answer(page, *headers.get(status, []), status=status, keep=True), end]


def _endless_103() -> list[Step]:
    steps: list[Step] = []
    for _ in range(20):
        steps += [b"HTTP/1.1 103 X\r\n\r\n", 0.1]
    return [*steps, End.CLOSE]


def _two_hundred(asked: Asked, *bodies: bytes) -> list[Step]:
    return [answer(asked.chance.choice(bodies), status=asked.status, keep=True), End.KEEP]


def _length(asked: Asked, wrong: int) -> list[Step]:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (asked.status, max(0, len(asked.body) + wrong))
    return [head + asked.body, asked.chance.choice([End.CLOSE, End.KEEP, End.SILENCE])]


# A script with a 2xx answer follows a write that took effect. Before the other scripts in LOST, the write may or may
# not have taken effect. A script in REFUSED says that nothing was done, which is true.
FINE: Final[dict[str, Callable[[Asked], list[Step]]]] = {
    "right": lambda asked: [asked.right, End.KEEP],
    "right, then hung up": lambda asked: [asked.right, End.CLOSE],
    "right, then reset": lambda asked: [asked.right, 0.001, End.RESET],
    "right, in chunks": lambda asked: _chunked(asked, b"0\r\n\r\n", End.KEEP),
    "right after 103": lambda asked: [b"HTTP/1.1 103 X\r\nLink: x\r\n\r\n" * 3 + asked.right, End.KEEP],
    "right and slow": lambda asked: _pieces(asked, 0.1),
    "another at once": lambda asked: [asked.right + _stray(asked), End.KEEP],
    "another a moment later": lambda asked: [asked.right, asked.chance.uniform(0, 0.02), _stray(asked), End.KEEP],
    "half of another later": lambda asked: [asked.right, asked.chance.uniform(0, 0.02), _stray(asked)[:25], End.KEEP],
    "a flood afterwards": lambda asked: [asked.right + b"\r\n" + _stray(asked) * 300, End.KEEP],
    "too slow": lambda asked: _pieces(asked, 0.35),
    "cut in the head": lambda asked: _cut(asked, 1, _head_of(asked.right)),
    "cut in the body": lambda asked: _cut(asked, _head_of(asked.right), len(asked.right) - 1),
    "cut in a chunk": lambda asked: _chunked(asked, b"20\r\nnot so many", End.CLOSE),
    "a bad chunk": lambda asked: _chunked(asked, b"zz\r\nwhat\r\n0\r\n\r\n", End.KEEP),
    "too long a length": lambda asked: _length(asked, asked.chance.randrange(1, 100)),
    "too short a length": lambda asked: _length(asked, -asked.chance.randrange(1, 100)),
    "no record": lambda asked: _two_hundred(asked, b"", b"{}", b"[]", b'{"data": 7}', b'{"data": {"id": 7}}'),
    "no JSON": lambda asked: _two_hundred(asked, b"<html>", b"OK", b'{"data": {"id"', b"\xff\xfe"),
    "no gzip": lambda asked: [answer(b"{}", "Content-Encoding: gzip", status=asked.status), End.CLOSE],
    "a flood": lambda asked: [answer(b" " * 100_000 + asked.body, status=asked.status), End.CLOSE],
    "a bomb": lambda asked: [
        answer(gzip.compress(b" " * 300_000), "Content-Encoding: gzip", status=asked.status),
        End.CLOSE,
    ],
}
STRAYS: Final = ("another at once", "another a moment later", "half of another later")
LOST: Final[dict[str, Callable[[Asked], list[Step]]]] = {
    "reset": lambda _: [End.RESET],
    "hung up": lambda _: [End.CLOSE],
    "silence": lambda _: [End.SILENCE],
    "no HTTP": lambda asked: [asked.chance.choice([b"SSH-2.0-x\r\n\r\n", bytes(200), b"\r\n" * 50]), End.CLOSE],
    "endless headers": lambda _: [b"HTTP/1.1 200 X\r\n" + b"X-Header: x\r\n" * 20_000, End.CLOSE],
    "a header of 100 KB": lambda _: [b"HTTP/1.1 200 X\r\nX-Header: " + b"x" * 100_000 + b"\r\n\r\n", End.CLOSE],
    "an endless 103": lambda _: _endless_103(),
    "a redirect or an upgrade": lambda asked: _status(asked, 101, 300, 302, 307),
    "a gateway that gave up": lambda asked: _status(asked, 408, 499),
    "a status of its own": lambda asked: _status(asked, 199, 304, 501, 599, 999),
    "a status that passes": lambda asked: _status(asked, 500, 502, 503, 504, 520),
}
REFUSED: Final[dict[str, Callable[[Asked], list[Step]]]] = {
    "a refusal": lambda asked: _status(asked, 401, 403, 404, 405, 409, 418, 451),
    "429": lambda asked: _status(asked, 429),
}


@define(eq=False, repr=False)
class Chaos:
    """The server. Its answer depends on the seed, the request, and how often the request came, not on the order."""

    seed: int
    arrivals: defaultdict[str, list[Arrival]] = field(factory=lambda: defaultdict(list))
    made: dict[str, dict[str, object]] = field(factory=dict)
    deleted: set[str] = field(factory=set)
    last_names: dict[str, str] = field(factory=dict)
    connections: set["asyncio.Task[None]"] = field(factory=set)
    opened: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection. About one in fifty is reset before anything is read."""
        self.opened += 1
        try:
            if random.Random(f"{self.seed} connection {self.opened}").random() < 0.02:
                _reset(writer)
                return
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, target, _ = head.split(" ", 2)
        said = False
        for step in self._answer(method, target, body):
            if isinstance(step, bytes):
                if writer.is_closing():
                    return False
                # By the rules of HTTP, this would be the answer to the client's next request.
                if said and step.startswith(b"HTTP/1.1 200") and _waits(reader, writer):
                    return True
                writer.write(step)
                await writer.drain()
                said = True
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step is End.SILENCE:
                await reader.read()
                return False
            elif step is End.RESET:
                _reset(writer)
                return False
            else:
                return step is End.KEEP
        raise AssertionError("a script has an end")

    def _answer(self, method: str, target: str, body: bytes) -> list[Step]:
        """Record a request, carry it out or not, and return the script of the answer."""
        token = self._token(method, target, body)
        before = [arrival for arrival in self.arrivals[token] if arrival.method == method]
        chance = random.Random(f"{self.seed} {method} {target} {token} {len(before)}")
        refuses = random.Random(f"{self.seed} {method} {token}").random() < 0.05 and method != "GET"
        scripts = chance.choices([FINE, LOST, REFUSED], [86, 9, 5])[0]
        fault = chance.choice(list(scripts))
        if chance.random() < 0.5:
            fault = chance.choice(["right", "right", "right", *STRAYS])
        scripts = FINE if fault in FINE else scripts
        done = method != "GET" and not refuses and token not in self.deleted
        done = done and (scripts is FINE or (scripts is LOST and chance.random() < 0.5))
        status, document = self._right(method, target, token, body, done=done, refuses=refuses)
        written = b"" if document is None else json.dumps(document).encode()
        packed = chance.random() < 0.3 and written
        right = answer(
            gzip.compress(written) if packed else written,
            *(["Content-Encoding: gzip"] if packed else []),
            status=status,
            keep=True,
        )
        self.arrivals[token].append(Arrival(method, token, fault, done))
        return scripts[fault](Asked(chance, right, written, status, method))

    @staticmethod
    def _token(method: str, target: str, body: bytes) -> str:
        if method == "POST":
            return str(json.loads(body)["data"]["attributes"]["first_name"])
        return target if "?" in target else target.rpartition("/")[2]

    def _right(
        self, method: str, target: str, token: str, body: bytes, *, done: bool, refuses: bool
    ) -> tuple[int, object]:
        """Carry out the request if `done`; return the status and the body of the right answer."""
        if refuses:
            return 422, {"errors": [{"status": 422, "code": "validation_failed", "detail": "no"}]}
        if token in self.deleted:
            return 404, {"errors": [{"status": 404, "code": "not_found", "detail": "gone"}]}
        if method == "POST":
            customer_id = f"cst-{len(self.made)}new"
            if done:
                self.made[customer_id] = row(customer_id, token)
            return 201, {"data": row(customer_id, token)}
        if method == "DELETE":
            if done:
                self.deleted.add(token)
            return 204, None
        if method == "PATCH" and done:
            self.last_names[token] = json.loads(body)["data"]["attributes"]["last_name"]
        if "?" in target:
            return 200, _page(parse_qs(urlsplit(target).query))
        return 200, {"data": row(token, name_of(token), self.last_names.get(token))}


def _page(query: dict[str, list[str]]) -> object:
    page, size = int(query.get("page", ["1"])[0]), int(query["per_page"][0])
    ids = READERS[(page - 1) * size : page * size]
    following = f"/customers?page={page + 1}&per_page={size}" if page * size < len(READERS) else None
    return {"data": [row(customer_id, name_of(customer_id)) for customer_id in ids], "links": {"next": following}}


def _reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Say whether a client has sent something that was not read yet."""
    there, _, _ = select.select([writer.get_extra_info("socket").fileno()], [], [], 0)
    return bool(there or reader._buffer)  # type: ignore[attr-defined]


@asynccontextmanager
async def chaos(seed: int) -> AsyncIterator[Chaos]:
    """Serve on a free port, and end with no connection open."""
    server = Chaos(seed)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.serve(reader, writer))
        server.connections.add(task)
        task.add_done_callback(server.connections.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in list(server.connections):
            task.cancel()
        await asyncio.gather(*server.connections, return_exceptions=True)
