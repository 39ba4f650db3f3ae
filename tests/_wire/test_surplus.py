"""No call gets the answer to another: data beyond an answer ends the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from loops import call, until
from mocked import KEY, ONCE
from talking import answer, read_request, server

from ticketsource_async import CustomerDraft, InvalidResponse, OutcomeUnknown, TicketSource

WRITES = ("POST", "PATCH", "DELETE")
ANSWER = answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {"first_name": "Karl"}}}', keep=True)
OTHER = answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {"first_name": "Emilie"}}}', keep=True)
SURPLUS = {
    "a whole answer": OTHER,
    "two answers": OTHER * 2,
    "the beginning of an answer": OTHER[:30],
    "an empty line": b"\r\n",
    "a few bytes": b"}}}",
    "a flood": OTHER * 20_000,
}


class Keeper:
    """A server that keeps its connections open and records the connection and method of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.after_answer = b""  # what to send together with each answer
        self.on_request = b""  # what to send when the next request has come

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        """Answer each request. The first one has already been read."""
        self.writers.append(writer)
        number = len(self.writers)
        while True:
            self.seen.append((number, method))
            writer.write(ANSWER + self.after_answer)
            method = await read_request(reader)
            writer.write(self.on_request)


@asynccontextmanager
async def keeping() -> AsyncIterator[tuple[Keeper, str]]:
    """Serve with a Keeper."""
    keeper = Keeper()
    async with server(lambda reader, writer: keeper.talk(reader, writer, first[-1])) as (url, first):
        yield keeper, url


@pytest.mark.parametrize("surplus", [name for name in SURPLUS if name != "a few bytes"])
@pytest.mark.parametrize("method", ["GET", *WRITES])
async def test_surplus_data_with_an_answer_reaches_no_other_call(method: str, surplus: str) -> None:
    """The server sends more than one answer at once; the next call gets its own."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        keeper.after_answer = SURPLUS[surplus]
        first = await call(ts, method)
        keeper.after_answer = b""
        second = await ts.customers.get("cst-1")

    assert getattr(first, "first_name", "Karl") == second.first_name == "Karl"


@pytest.mark.parametrize("method", ["GET", *WRITES])
async def test_surplus_data_that_is_not_http_fails_only_its_own_call(method: str) -> None:
    """A write has an unknown outcome then. The next call gets its answer."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        keeper.after_answer = b"}}}"
        with pytest.raises(InvalidResponse if method == "GET" else OutcomeUnknown, match="not HTTP"):
            await call(ts, method)
        keeper.after_answer = b""
        record = await ts.customers.get("cst-1")

    assert record.first_name == "Karl"


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("method", ["GET", *WRITES])
@pytest.mark.parametrize("turns", [0, 50])
async def test_surplus_data_after_an_answer_reaches_no_other_call(method: str, surplus: str, turns: int) -> None:
    """The server sends it over a kept connection. The next call begins `turns` turns of the event loop later."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        await ts.customers.get("cst-1")
        keeper.writers[0].write(SURPLUS[surplus])
        for _ in range(turns):
            await asyncio.sleep(0)
        record = await call(ts, method)

    assert getattr(record, "first_name", "Karl") == "Karl"
    assert keeper.seen == [(1, "GET"), (2, method)]


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_does_not_use_a_connection_that_was_used_before(method: str) -> None:
    """On a used connection, surplus data could not be distinguished from the answer to the write."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        keeper.on_request = OTHER
        await ts.customers.get("cst-1")
        record = await call(ts, method)

    assert getattr(record, "first_name", "Karl") == "Karl"
    assert keeper.seen == [(1, "GET"), (2, method)]


@pytest.mark.parametrize("method", WRITES)
async def test_reads_share_a_connection_and_each_write_has_its_own(method: str) -> None:
    """The next read uses a silent connection again. The connection of a write is used once."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        await ts.customers.get("cst-1")
        await call(ts, method)
        await ts.customers.get("cst-1")
        await call(ts, method)
        await ts.customers.get("cst-1")

    assert keeper.seen == [(1, "GET"), (2, method), (1, "GET"), (3, method), (1, "GET")]


async def test_a_kept_connection_that_the_server_closes_is_not_used_again() -> None:
    """The next read opens another one."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE) as ts:
        for number in range(5):
            await ts.customers.get("cst-1")
            keeper.writers[number].close()
            await keeper.writers[number].wait_closed()

    assert keeper.seen == [(number, "GET") for number in (1, 2, 3, 4, 5)]


async def test_a_read_cancelled_while_it_takes_a_kept_connection_leaves_none_open() -> None:
    """The connection that it was about to use is closed."""
    async with keeping() as (keeper, url), TicketSource(KEY, base_url=url, retry=ONCE, rate_limit=None) as ts:
        for turns in range(12):
            await ts.customers.get("cst-1")
            task = asyncio.create_task(call(ts, "GET"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await ts.customers.get("cst-1")

    await until(lambda: all(writer.is_closing() for writer in keeper.writers))


@pytest.mark.parametrize("method", ["GET", *WRITES])
async def test_a_write_in_a_borrowed_session_asks_the_server_to_close_its_connection(method: str) -> None:
    """So surplus data after its answer reaches no other call. A read does not ask for it."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER)
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)

    async with (
        server(talk) as (url, _),
        aiohttp.ClientSession() as session,
        TicketSource(KEY, base_url=url, session=session, retry=ONCE) as ts,
    ):
        await ts.customers.get("cst-1")
        await call(ts, method)

    assert (b"connection: close\r\n" in heads[0].lower()) is (method != "GET")


async def test_bulk_creates_get_their_own_records_from_a_server_that_answers_twice() -> None:
    """Each draft is returned with its own name. The surplus answers come at two different moments."""
    names: list[str] = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                name = (await reader.readexactly(length)).split(b'"first_name":"')[1].split(b'"')[0]
                names.append(name.decode())
                body = b'{"data": {"id": "cst-%b", "type": "customer", "attributes": {"first_name": "%b"}}}'
                writer.write(answer(body % (name, name), keep=True) * 2)
                await asyncio.sleep(0)
                writer.write(answer(body % (name, name), keep=True))
        except asyncio.IncompleteReadError:
            writer.close()

    listener = await asyncio.start_server(twice, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    drafts = [CustomerDraft(first_name=f"n{number}") for number in range(320)]
    async with listener, TicketSource(KEY, base_url=url, retry=ONCE, rate_limit=None) as ts:
        outcomes = await ts.customers.create_many(drafts).collect()

    assert [outcome.unwrap().first_name for outcome in outcomes] == [draft.first_name for draft in drafts]
    assert sorted(names) == sorted(str(draft.first_name) for draft in drafts)
