"""No report of an error shows the API key, even with the locals of all frames."""

import asyncio
import base64
import io
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rich.console
import rich.traceback
import sentry_sdk
from mocked import KEY
from sentry_sdk.transport import Transport

from ticketsource_async import CustomerDraft, RetryPolicy, TicketSource, TicketSourceError, Timeouts
from ticketsource_async.sandbox import Sandbox

BASIC = base64.b64encode(f"{KEY}:".encode()).decode()

Way = Callable[[Awaitable[object]], Awaitable[object]]


async def timed_out(work: Awaitable[object]) -> None:
    """Cut work off by a timeout."""
    async with asyncio.timeout(0.1):
        await work


async def waited_for(work: Awaitable[object]) -> None:
    """Cut work off by `wait_for`."""
    await asyncio.wait_for(work, 0.1)


async def cancelled(work: Awaitable[object]) -> None:
    """Cancel the task of work."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.1)
    task.cancel()
    await task


async def in_a_failing_group(work: Awaitable[object]) -> None:
    """Cancel work by a failure of another task in its group."""

    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise LookupError("another task")

    async def call() -> None:
        try:
            await work
        except asyncio.CancelledError as error:
            raise RuntimeError("told elsewhere") from error

    async with asyncio.TaskGroup() as group:
        group.create_task(call())
        group.create_task(fail())


class StoringTransport(Transport):
    """Stores what Sentry would send."""

    sent: list[bytes]

    def capture_envelope(self, envelope: Any) -> None:
        """Store an envelope."""
        self.sent.append(envelope.serialize())


@pytest.fixture(name="sentry")
def _sentry() -> Iterator[list[bytes]]:
    StoringTransport.sent = []
    with sentry_sdk.new_scope():
        sentry_sdk.init(dsn="http://public@127.0.0.1:9/1", transport=StoringTransport, default_integrations=False)
        yield StoringTransport.sent
        sentry_sdk.init()


def reports(error: BaseException, sentry: list[bytes]) -> str:
    """Return all texts of reports about an error, with locals."""
    written = io.StringIO()
    console = rich.console.Console(file=written, width=200)
    kind, value, frames = type(error), error, error.__traceback__
    console.print(
        rich.traceback.Traceback.from_exception(kind, value, frames, show_locals=True, locals_max_string=10_000)
    )
    sentry_sdk.capture_exception(error)
    assert sentry, "Sentry has sent nothing"
    plain = "".join(traceback.TracebackException(kind, value, frames, capture_locals=True).format())
    return written.getvalue() + plain + b"".join(sentry).decode()


def ours_of(error: BaseException) -> list[str]:
    """Return the locals of all frames of the package."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [repr(frame.f_locals) for frame in frames if "ticketsource_async" in Path(frame.f_code.co_filename).parts]


def files_of(error: BaseException | None) -> Iterator[str]:
    """Yield the files of all frames of an error and of the errors that it is linked to."""
    if error is None:
        return
    yield from (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from files_of(other)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://karl:sekret@127.0.0.1:1", "through the proxy http://127.0.0.1:1 ("),
        ("http://karl:sek#ret@127.0.0.1:1", "percent-encode"),
        ("socks5://karl:sekret@127.0.0.1:1", "begins with 'socks5'"),
    ],
)
async def test_the_error_of_an_unusable_proxy_shows_no_password(
    sentry: list[bytes], monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    """The password is in the environment, and the proxy needs it."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    async with TicketSource(KEY, trust_env=True, retry=RetryPolicy(attempts=1)) as ts:
        with pytest.raises(TicketSourceError, match=f"(?i){re.escape(said)}") as caught:
            await ts.customers.get("cst-1")

    assert not [found for found in ours_of(caught.value) if "sek" in found]
    assert KEY not in reports(caught.value, sentry)


@pytest.mark.parametrize("way", [timed_out, waited_for, cancelled, in_a_failing_group])
@pytest.mark.parametrize("auth", ["bearer", "basic"])
async def test_the_error_of_an_interrupted_call_shows_no_key(sentry: list[bytes], way: Way, auth: Any) -> None:
    """A report has no frame of the HTTP library either: the locals there have the headers."""
    async with (
        Sandbox(customers=1, api_key=KEY, latency=5) as box,
        TicketSource(KEY, base_url=box.url, auth=auth) as ts,
    ):
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
            await way(ts.customers.create(CustomerDraft(first_name="Karl")))

    told = reports(caught.value, sentry)
    assert KEY not in told
    assert BASIC not in told
    assert not any("aiohttp" in Path(file).parts for file in files_of(caught.value))


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 401}, {"cut": "after_write"}, {"body": "<html>"}, {"slow": 5}]
)
async def test_the_error_of_a_failed_call_shows_no_key(sentry: list[bytes], fault: dict[str, Any]) -> None:
    """The API may answer with an error, with nothing, or too late."""
    times, retry = Timeouts(connect=0.1, response=0.2, total=0.3), RetryPolicy(attempts=1)
    async with (
        Sandbox(customers=1, api_key=KEY) as box,
        TicketSource(KEY, base_url=box.url, timeouts=times, retry=retry) as ts,
    ):
        box.fail(**fault)
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
            await ts.customers.create(CustomerDraft(first_name="Karl"))

    told = reports(caught.value, sentry)
    assert KEY not in told
    assert BASIC not in told


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "ftp://x"}, {"auth": "digest"}, {"user_agent": ""}, {"max_body": 0}, {"retry": 3}, {"limiter": 1}],
)
def test_the_error_of_a_wrong_option_shows_no_key(sentry: list[bytes], wrong: dict[str, Any]) -> None:
    """The error is raised when the client is built."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
        TicketSource(_key(), **wrong)

    frames = ours_of(caught.value)
    assert KEY not in str(frames)
    assert KEY not in str(caught.value)


def _key() -> str:
    return KEY


def test_the_locals_of_the_error_of_an_invalid_key_show_no_key(sentry: list[bytes]) -> None:
    """It may be a valid key with a line end."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - of any kind
        TicketSource("".join([_key(), chr(10)]))

    frames = ours_of(caught.value)
    assert KEY not in str(frames)
