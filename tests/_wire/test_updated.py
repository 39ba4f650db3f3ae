"""An update that is accepted without a record in its answer: the record is read, and the update is never sent again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from mocked import KEY
from talking import answer, server

from ticketsource_async import (
    ClientClosed,
    CustomerDraft,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    RequestTimedOut,
    RetryPolicy,
    ServerError,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async.testing import no_waiting

RECORD = answer(b'{"data": {"id": "cst-1", "type": "customer", "attributes": {"first_name": "Emilie"}}}')
WITHOUT_RECORD = {
    "no content": answer(b"", status=204),
    "an empty body": answer(b""),
    "white space": answer(b" \r\n"),
    "an empty object": answer(b"{}", status=202),
    "an empty list": answer(b"[]"),
    "null": answer(b"null"),
    "no data": answer(b'{"links": {}, "meta": {}}'),
    "null data": answer(b'{"data": null}'),
    "a list of records": answer(b'{"data": [{"id": "cst-1", "type": "customer", "attributes": {}}]}'),
    "a number": answer(b'{"data": 1}'),
    "no id": answer(b'{"data": {"type": "customer", "attributes": {}}}'),
    "no attributes": answer(b'{"data": {"id": "cst-1", "type": "customer"}}'),
    "another kind of record": answer(b'{"data": {"id": "cst-1", "type": "event", "attributes": {"name": "x"}}}'),
}
DRAFT = CustomerDraft(first_name="Emilie")


class Answers:
    """The answers to the PATCH and to the GETs after it. The last one is repeated. None sends nothing."""

    def __init__(self, patch: bytes, *gets: bytes | None) -> None:
        self._patch, self._gets = patch, list(gets)
        self.sent: list[str] = []
        self.silent = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        """Answer one request."""
        self.sent.append(method)
        said = self._patch if method == "PATCH" else self._gets.pop(0) if len(self._gets) > 1 else self._gets[0]
        if said is None:
            self.silent.set()
            await reader.read()
        else:
            writer.write(said)


async def update(
    answers: Answers,
    *,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - it is frozen
    bulk: bool = False,
    meanwhile: Callable[[TicketSource, "asyncio.Task[object]"], object] | None = None,
) -> object:
    """Update a customer. Call `meanwhile` when the server is silent, and await it if that is possible."""
    async with (
        server(lambda reader, writer: answers.talk(reader, writer, seen[-1])) as (url, seen),
        TicketSource(KEY, base_url=url, retry=retry, rate_limit=None) as ts,
    ):
        if meanwhile is None:
            with no_waiting():
                if bulk:
                    return (await ts.customers.update_many({"cst-1": DRAFT}).collect())[0].unwrap()
                return await ts.customers.update("cst-1", DRAFT)
        task = asyncio.create_task(ts.customers.update("cst-1", DRAFT))
        await answers.silent.wait()
        result = meanwhile(ts, task)
        if asyncio.iscoroutine(result):
            await result
        return await task


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("without", WITHOUT_RECORD)
async def test_the_record_is_read_after_an_update_whose_answer_has_no_record(without: str, bulk: bool) -> None:
    """There is one PATCH and one GET."""
    answers = Answers(WITHOUT_RECORD[without], RECORD)

    record = await update(answers, bulk=bulk)

    assert getattr(record, "first_name", None) == "Emilie"
    assert answers.sent == ["PATCH", "GET"]


@pytest.mark.parametrize("bulk", [False, True])
async def test_the_read_after_an_update_is_retried_and_the_update_is_not(bulk: bool) -> None:
    """It is retried like any other read."""
    answers = Answers(WITHOUT_RECORD["no content"], answer(b"", status=502), answer(b"", status=429), RECORD)

    record = await update(answers, bulk=bulk)

    assert getattr(record, "first_name", None) == "Emilie"
    assert answers.sent == ["PATCH", "GET", "GET", "GET"]


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize(
    ("get", "cause"),
    [
        (answer(b"", status=500), ServerError),
        (answer(b'{"errors": [{"code": "not_found"}]}', status=404), NotFound),
        (answer(b'{"data": null}'), InvalidResponse),
        (answer(b'{"data": {"id": "cst-2", "type": "customer", "attributes": {}}}'), InvalidResponse),
    ],
)
async def test_the_error_says_that_an_update_whose_record_cannot_be_read_was_accepted(
    get: bytes, cause: type[TicketSourceError], bulk: bool
) -> None:
    """The error names the update. Its cause is the failure of the read."""
    answers = Answers(WITHOUT_RECORD["no content"], get)

    with pytest.raises(InvalidResponse, match=r"PATCH /customers/cst-1 was accepted \(204\).*GET.*not be") as caught:
        await update(answers, retry=RetryPolicy(attempts=2), bulk=bulk)

    assert (caught.value.method, caught.value.status, caught.value.resource) == ("PATCH", 204, "customer")
    assert isinstance(caught.value.__cause__, cause)
    assert answers.sent.count("PATCH") == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(b"<html><title>Log in to this network</title></html>"),
        answer(b"hello"),
        answer(b'{"errors": [{"code": "validation_failed"}]}'),
        answer(b'{"message": "Updated."}'),
        answer(b'{"success": false}'),
        answer(b'{"status": "error", "message": "The update failed."}'),
        answer(b'{"error": "Unauthenticated."}'),
        answer(b"\x1f\x8bnothing", "Content-Encoding: gzip"),
        answer(b'{"data": {"id": "cst-2", "type": "customer", "attributes": {}}}'),
    ],
)
async def test_an_answer_that_may_not_belong_to_the_update_is_an_unknown_outcome(said: bytes) -> None:
    """It is of another program, has a failure in its body, or has another customer."""
    answers = Answers(said, RECORD)

    with pytest.raises(OutcomeUnknown):
        await update(answers)

    assert answers.sent == ["PATCH"]


@pytest.mark.virtual_time
async def test_the_read_after_an_update_ends_with_the_deadline_of_the_update() -> None:
    """The two are one call, with one deadline."""
    answers = Answers(WITHOUT_RECORD["no content"], None)
    began = asyncio.get_running_loop().time()

    with pytest.raises(InvalidResponse, match="was accepted") as caught:
        await update(answers, retry=RetryPolicy(deadline=5))

    assert isinstance(caught.value.__cause__, RequestTimedOut)
    assert asyncio.get_running_loop().time() - began < 6


async def test_an_update_whose_read_ends_with_the_client_is_reported_as_accepted() -> None:
    """Nobody needs to check whether it was made."""
    answers = Answers(WITHOUT_RECORD["no content"], None)

    with pytest.raises(InvalidResponse, match="was accepted") as caught:
        await update(answers, meanwhile=lambda ts, _: ts.aclose())

    assert isinstance(caught.value.__cause__, ClientClosed)


async def test_the_cancellation_of_the_read_logs_that_the_update_was_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The call raises CancelledError."""
    answers = Answers(WITHOUT_RECORD["no content"], None)

    with pytest.raises(asyncio.CancelledError):
        await update(answers, meanwhile=lambda _, task: task.cancel())

    assert "PATCH /customers/cst-1 was accepted (204)" in caplog.text


async def test_a_bulk_update_cancelled_during_the_read_reports_it_as_accepted() -> None:
    """It is in `undelivered` with that error."""
    answers = Answers(WITHOUT_RECORD["no content"], None)
    async with (
        server(lambda reader, writer: answers.talk(reader, writer, seen[-1])) as (url, seen),
        TicketSource(KEY, base_url=url) as ts,
    ):
        bulk = ts.customers.update_many({"cst-1": DRAFT})
        task = asyncio.create_task(bulk.collect())
        await answers.silent.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    [left] = bulk.undelivered
    assert isinstance(left.error, InvalidResponse)
    assert "was accepted" in str(left.error)
