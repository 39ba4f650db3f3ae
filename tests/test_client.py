"""The client: how it is built, opened and closed, and that it never shows the key."""

import asyncio
import gc
import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loops import until
from mocked import KEY, ONCE
from processes import run_strictly

from ticketsource_async import (
    AuthenticationFailed,
    CallEvent,
    ClientClosed,
    ConfigurationError,
    Customer,
    CustomerDraft,
    LocalRateLimiter,
    RateLimit,
    TicketSource,
    TicketSourceError,
    __version__,
)
from ticketsource_async.sandbox import Sandbox


def test_a_client_is_built_without_a_loop_and_opens_nothing() -> None:
    """Building a client outside of asyncio works, and leaving it alone warns of nothing."""
    ts = TicketSource(KEY)

    assert repr(ts) == "<TicketSource https://api.ticketsource.io not opened>"
    del ts
    gc.collect()


async def test_a_client_opens_with_its_first_request_and_closes_once(box: Sandbox) -> None:
    """The state follows the session, `aclose` may come twice, and a call after it raises ClientClosed."""
    ts = TicketSource(box.api_key, base_url=box.url)
    states = [repr(ts).split()[-1]]
    await ts.customers.list().first()
    states.append(repr(ts).split()[-1])
    await ts.aclose()
    await ts.aclose()
    states.append(repr(ts).split()[-1])

    assert states == ["opened>", "open>", "closed>"]
    with pytest.raises(ClientClosed, match="make a new one"):
        await ts.customers.list().first()
    with pytest.raises(ClientClosed):
        async with ts:
            pass


async def test_closing_ends_the_calls_in_flight_without_cancelling_their_tasks(box: Sandbox) -> None:
    """A read in flight or waiting ends with ClientClosed, a write in flight with OutcomeUnknown."""
    box.fail(slow=3600, times=None)
    ts = TicketSource(box.api_key, base_url=box.url, max_connections=2)

    async def call(work: Awaitable[object]) -> tuple[str, int]:
        try:
            await work
        except TicketSourceError as error:
            task = asyncio.current_task()
            assert task is not None
            return type(error).__name__, task.cancelling()
        return "", 0

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(call(ts.customers.list().collect()))
        writing = group.create_task(call(ts.customers.create(CustomerDraft(title="x"))))
        waiting = group.create_task(call(ts.customers.list().collect()))
        await until(lambda: len(box.requests) == 2 and all(request.status for request in box.requests))
        await ts.aclose()

    assert [task.result() for task in (reading, writing, waiting)] == [
        ("ClientClosed", 0),
        ("OutcomeUnknown", 0),
        ("ClientClosed", 0),
    ]


async def test_a_cancelled_call_stays_cancelled_though_the_client_is_closed_too(box: Sandbox) -> None:
    """The task ends with CancelledError, not with ClientClosed."""
    box.fail(slow=3600)
    ts = TicketSource(box.api_key, base_url=box.url)
    reading = asyncio.create_task(ts.customers.list().collect())
    await until(lambda: len(box.requests) == 1)
    reading.cancel()
    await ts.aclose()

    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_async_with_closes_the_client_when_the_body_raises(box: Sandbox) -> None:
    """Leaving the block by an error closes the client."""
    ts = TicketSource(box.api_key, base_url=box.url)
    with pytest.raises(KeyError):
        async with ts:
            raise KeyError
    with pytest.raises(ClientClosed):
        await ts.customers.list().first()


@pytest.mark.parametrize("auth", ["bearer", "basic"])
async def test_both_kinds_of_authentication_are_accepted(box: Sandbox, auth: Any) -> None:
    """The sandbox accepts the key as Bearer and as Basic."""
    async with TicketSource(box.api_key, base_url=box.url, auth=auth) as ts:
        assert await ts.customers.list().first()


async def test_a_wrong_key_fails_authentication(box: Sandbox) -> None:
    """A key that the API does not know raises AuthenticationFailed with the API's words."""
    async with TicketSource(KEY, base_url=box.url) as ts:
        with pytest.raises(AuthenticationFailed, match="unauthorized: No valid API Key provided"):
            await ts.customers.list().first()


async def test_the_user_agent_names_the_library_and_can_be_replaced(box: Sandbox) -> None:
    """By default the user agent has the name and the version. One from TicketSource support replaces it."""
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        await ts.customers.list().first()
    async with TicketSource(box.api_key, base_url=box.url, user_agent="venue-sync/7") as ts:
        await ts.customers.list().first()

    own, replaced = [request.headers["user-agent"] for request in box.requests]
    assert own.startswith(f"ticketsource-async/{__version__} ")
    assert replaced == "venue-sync/7"


async def test_a_borrowed_session_is_used_and_left_open(box: Sandbox) -> None:
    """A session that was passed in carries the requests and is neither changed nor closed."""
    async with aiohttp.ClientSession(headers={"X-Venue": "hall"}) as session:
        async with TicketSource(box.api_key, base_url=box.url, session=session) as ts:
            await ts.customers.list().first()

        assert not session.closed
        assert dict(session.headers) == {"X-Venue": "hall"}
        assert box.requests[0].headers["x-venue"] == "hall"


async def test_a_closed_borrowed_session_raises_client_closed(box: Sandbox) -> None:
    """The error says that the borrowed session is closed."""
    session = aiohttp.ClientSession()
    await session.close()
    async with TicketSource(box.api_key, base_url=box.url, session=session) as ts:
        with pytest.raises(ClientClosed, match="borrows is closed"):
            await ts.customers.list().first()


async def test_a_borrowed_session_that_raises_for_status_still_raises_typed_errors(box: Sandbox) -> None:
    """`raise_for_status` of a borrowed session has no effect."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        TicketSource(KEY, base_url=box.url, session=session) as ts,
    ):
        with pytest.raises(AuthenticationFailed):
            await ts.customers.list().first()


async def test_a_borrowed_session_with_its_own_auth_is_refused() -> None:
    """Two kinds of authentication on one request cannot work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer aiohttp prefers a header
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "pw"))
    async with session:
        with pytest.raises(ConfigurationError, match="auth"):
            TicketSource(KEY, session=session)


async def test_a_borrowed_session_that_takes_a_password_from_netrc_fails_with_a_typed_error(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Newer versions of aiohttp refuse the second kind of authentication. Older versions send it instead of the key."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password pw")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        TicketSource(box.api_key, base_url=box.url, session=session) as ts,
    ):
        with pytest.raises((ConfigurationError, AuthenticationFailed)):
            await ts.customers.list().first()


def test_from_env_reads_three_variables_and_an_option_replaces_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, base URL and user agent come from the environment, unless they are passed."""
    monkeypatch.setenv("TICKETSOURCE_API_KEY", KEY)
    monkeypatch.setenv("TICKETSOURCE_BASE_URL", "https://one.example")
    monkeypatch.setenv("TICKETSOURCE_USER_AGENT", "venue-sync/7")

    ts = TicketSource.from_env()

    assert "https://one.example" in repr(ts)
    assert ts._sender.credentials.headers["User-Agent"] == "venue-sync/7"
    assert ts._sender.credentials.secrets[0] == KEY
    assert "https://two.example" in repr(TicketSource.from_env(base_url="https://two.example"))


def test_from_env_without_a_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is a ConfigurationError that says what to set; empty variables count as not set."""
    monkeypatch.setenv("TICKETSOURCE_API_KEY", "")
    with pytest.raises(ConfigurationError, match="TICKETSOURCE_API_KEY is not set"):
        TicketSource.from_env()
    monkeypatch.setenv("TICKETSOURCE_API_KEY", KEY)
    monkeypatch.setenv("TICKETSOURCE_BASE_URL", "")
    assert "https://api.ticketsource.io" in repr(TicketSource.from_env())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 1.5}, "max_connections"),
        ({"base_url": "x"}, "base_url"),
        ({"max_body": 0}, "max_body"),
        ({"timeouts": 5}, r"timeouts must be Timeouts\(\.\.\.\), not 5"),
        ({"retry": None}, "retry must be RetryPolicy"),
        ({"rate_limit": 240}, "rate_limit must be RateLimit"),
        ({"limiter": RateLimit(5)}, "limiter must be a RateLimiter"),
        ({"on_event": asyncio.sleep}, "on_event must be a plain function"),
        ({"rate_limit": RateLimit(5), "limiter": LocalRateLimiter(RateLimit(5))}, "give one of them"),
    ],
)
def test_the_error_names_a_setting_that_cannot_work(options: Any, named: str) -> None:
    """A wrong setting raises ConfigurationError when the client is built."""
    with pytest.raises(ConfigurationError, match=named):
        TicketSource(KEY, **options)


@pytest.mark.parametrize("option", [{"trust_env": True}, {"trace_configs": [aiohttp.TraceConfig()]}])
async def test_session_options_are_refused_with_a_borrowed_session(option: Any) -> None:
    """An option that would have no effect is refused."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match=next(iter(option))):
            TicketSource(KEY, session=session, **option)


async def test_no_more_requests_are_in_flight_than_max_connections() -> None:
    """Twelve calls at once over two connections are never more than two at the server."""
    async with (
        Sandbox(customers=12, rate_limit=None, latency=0.01) as box,
        TicketSource(box.api_key, base_url=box.url, max_connections=2) as ts,
    ):
        async with asyncio.TaskGroup() as group:
            for customer_id in box.customers.ids():
                group.create_task(ts.customers.get(customer_id))
            at_once: set[int] = set()

            def all_have_come() -> bool:
                at_once.add(sum(request.status is None for request in box.requests))
                return len(box.requests) == 12

            await until(all_have_come)

        assert max(at_once) == 2


async def test_calls_that_run_at_once_each_get_their_own_answer(ts: TicketSource, box: Sandbox) -> None:
    """No answer goes to another call."""
    ids = list(box.customers.ids())

    customers = await asyncio.gather(*(ts.customers.get(customer_id) for customer_id in ids))

    assert [c.id for c in customers] == ids


async def test_a_cancelled_call_frees_its_connection(box: Sandbox) -> None:
    """The next call can use the only connection."""
    box.fail(slow=60)
    async with TicketSource(box.api_key, base_url=box.url, max_connections=1) as ts:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ts.customers.list().first()

        assert await ts.customers.list().first()


SECOND_RUN = """
import asyncio, gc, sys
from ticketsource_async import TicketSource

ts = TicketSource(sys.argv[2], base_url=sys.argv[1])

async def look():
    print((await ts.customers.list().first()).id)

async def look_and_close():
    await look()
    await ts.aclose()

asyncio.run(look())
gc.collect()
asyncio.run(look())
gc.collect()
asyncio.run(look_and_close())
del ts
gc.collect()
"""

DELETED = """
import asyncio, gc, sys, warnings
from ticketsource_async import TicketSource

async def main():
    ts = TicketSource(sys.argv[2], base_url=sys.argv[1])
    await ts.customers.list().first()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del ts
        gc.collect()
        await asyncio.sleep(0)
    print([(w.category.__name__, str(w.message)) for w in caught])

asyncio.run(main())
"""


async def test_a_client_works_again_in_a_second_asyncio_run(box: Sandbox) -> None:
    """One client opens again in each of three event loops, without a warning."""
    out, err = await run_strictly(SECOND_RUN, box.url, box.api_key)

    assert out.split() == [box.customers.ids()[0]] * 3
    assert err == ""


async def test_an_open_client_that_is_garbage_collected_warns(box: Sandbox) -> None:
    """There is one ResourceWarning, which says what to do."""
    out, err = await run_strictly(DELETED, box.url, box.api_key)

    assert out.startswith("[('ResourceWarning', 'unclosed <TicketSource http://127.0.0.1:")
    assert out.count("ResourceWarning") == 1
    assert "use `async with` or `await ts.aclose()`" in out
    assert err == ""


async def test_a_client_can_be_closed_in_another_loop(box: Sandbox) -> None:
    """The loop in which it was used has ended."""
    ts = TicketSource(box.api_key, base_url=box.url)
    await asyncio.to_thread(asyncio.run, ts.customers.list().collect())

    await ts.aclose()

    with pytest.raises(ClientClosed):
        await ts.customers.list().first()


def test_a_client_cannot_be_pickled() -> None:
    """A pickle of a client would contain the key."""
    with pytest.raises(TypeError, match="build one in each process"):
        pickle.dumps(TicketSource(KEY))
    with pytest.raises(TypeError, match="build one in each process"):
        pickle.dumps(TicketSource(KEY).customers.list())


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401},
        {"status": 500},
        {"status": 429, "headers": {"Retry-After": "3"}},
        {"status": 403, "html": True},
        {"status": 302, "headers": {"Location": f"https://elsewhere.example/?key={KEY}"}, "body": ""},
        {"status": 400, "body": f'{{"errors": [{{"code": "{KEY}", "detail": "{KEY}"}}]}}'},
        {"cut": "before", "times": 2},
        {"cut": "body"},
        {"body": f"<html><title>{KEY}</title></html>"},
        {"next": "cursor", "times": 2},
    ],
)
@pytest.mark.parametrize("method", ["list", "create"])
async def test_the_key_is_in_no_error_log_repr_or_pickle(
    caplog: pytest.LogCaptureFixture, fault: dict[str, Any], method: str
) -> None:
    """The key is neither in the error, its chain and its traceback, nor in the events."""
    caplog.set_level(logging.DEBUG)
    events: list[CallEvent] = []
    async with (
        Sandbox(customers=25, api_key=KEY) as box,
        TicketSource(KEY, base_url=box.url, retry=ONCE, on_event=events.append) as ts,
    ):
        box.fail(**fault)
        listing = method == "list" or "next" in fault
        call = ts.customers.list(per_page=10).collect() if listing else ts.customers.create(CustomerDraft(title="x"))
        with pytest.raises(TicketSourceError) as caught:
            await call
        shown = f"{ts!r} {ts.customers!r} {ts.customers.list()!r} {ts._transport!r} {ts._sender.credentials!r}"

    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in (
        shown,
        repr(error),
        str(error),
        str(error.to_dict()),
        "".join(traceback.format_exception(error)),
        pickle.dumps(error).decode("latin-1"),
        caplog.text,
        repr(events),
    ):
        assert KEY not in text
    assert caplog.records
    assert events


async def test_an_error_shows_no_data_of_a_customer(ts: TicketSource, box: Sandbox) -> None:
    """The error of a failed write has the ids, but no value that was sent."""
    customer = Customer(id=box.customers.ids()[0])
    box.fail(cut="before")

    with pytest.raises(TicketSourceError) as caught:
        await ts.customers.update(customer, CustomerDraft(last_name="Canarybird"))

    assert "Canarybird" not in f"{caught.value!r} {caught.value.to_dict()}"
    assert customer.id in str(caught.value)


def test_a_client_shows_its_base_url_and_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `trust_env`, this is the proxy of the environment, shown without its password."""
    monkeypatch.setenv("HTTPS_PROXY", "http://karl:secret@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    direct, proxied = TicketSource(KEY), TicketSource(KEY, trust_env=True)
    local = TicketSource(KEY, base_url="http://127.0.0.1:8080", trust_env=True)

    assert (direct.base_url, direct.proxy) == ("https://api.ticketsource.io", None)
    assert proxied.proxy == "http://proxy.example:3128"
    assert (local.base_url, local.proxy) == ("http://127.0.0.1:8080", None)
