"""`with_options`: a view of a client, whose calls have other options."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loops import until
from mocked import KEY, ONCE, MockedAPI
from rows import customer_row
from test_secrets import ours_of

from ticketsource_async import (
    AttemptEvent,
    CallEvent,
    ClientClosed,
    ConfigurationError,
    CustomerDraft,
    Operations,
    OutcomeUnknown,
    PageEvent,
    RequestTimedOut,
    RetryPolicy,
    ServerError,
    TicketSource,
    Timeouts,
)
from ticketsource_async.sandbox import Sandbox
from ticketsource_async.testing import no_waiting


async def test_a_view_has_the_session_and_the_operations_of_its_client(box: Sandbox, ts: TicketSource) -> None:
    """A view of a view has them, too."""
    view = ts.with_options(retry=ONCE).with_options(timeouts=Timeouts(total=50))
    first = await view.customers.list().first()
    assert first is not None
    await view.customers.get(first)
    await view.request("GET", "/customers")

    assert await view.paginate("/events", max_items=1).first()
    assert [event.id async for event, _, _ in view.programme()]
    assert "open" in repr(ts)
    assert repr(view) == f"<Operations of {box.url}>"


async def test_a_view_keeps_its_client_alive(box: Sandbox) -> None:
    """A view of a view does so, too: the client is not closed, and nothing warns, while the view is in use."""
    client = TicketSource(box.api_key, base_url=box.url)
    view = client.with_options(retry=ONCE).with_options(priority="bulk")
    gone = weakref.ref(client)
    del client
    gc.collect()
    await view.request("GET", "/customers")

    alive = gone()
    assert alive is not None
    await alive.aclose()


def test_a_view_has_the_base_url_and_the_proxy_of_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a function that takes `Operations` can report them."""
    monkeypatch.setenv("HTTPS_PROXY", "http://karl:geheim@proxy.example:3128")
    view = TicketSource(KEY, trust_env=True).with_options(priority="bulk")

    assert view.base_url == "https://api.ticketsource.io"
    assert view.proxy == TicketSource(KEY, trust_env=True).proxy
    assert "proxy.example" in str(view.proxy)
    assert "geheim" not in str(view.proxy)


def test_a_view_can_be_neither_closed_nor_entered() -> None:
    """Only its client can be closed."""
    view = TicketSource(KEY).with_options(priority="bulk")

    assert not any(hasattr(view, name) for name in ("aclose", "__aenter__", "__aexit__", "__enter__"))


async def test_closing_the_client_ends_the_calls_of_a_view(box: Sandbox) -> None:
    """A write in flight has an unknown outcome."""
    box.fail(slow=3600)
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        view = ts.with_options(retry=ONCE)
        writing = asyncio.create_task(view.customers.create(CustomerDraft(first_name="x")))
        await until(lambda: bool(box.requests) and bool(box.requests[0].status))

    with pytest.raises(OutcomeUnknown, match="in flight when the client was closed"):
        await writing
    with pytest.raises(ClientClosed):
        await view.customers.get("cst-1")


async def test_a_view_has_its_own_retries(box: Sandbox) -> None:
    """The retries of the client do not change."""
    async with TicketSource(box.api_key, base_url=box.url) as ts:
        with no_waiting():
            box.fail(status=503, times=5)
            with pytest.raises(ServerError) as once:
                await ts.with_options(retry=ONCE).customers.list().first()
            with pytest.raises(ServerError) as often:
                await ts.request("GET", "/customers")

    assert (once.value.attempts, often.value.attempts) == (1, 4)


async def test_a_view_has_its_own_timeouts(box: Sandbox, ts: TicketSource) -> None:
    """The timeouts of the client do not change."""
    box.fail(slow=3600)
    hasty = ts.with_options(timeouts=Timeouts(connect=0.1, response=0.2, total=0.2))
    with pytest.raises(RequestTimedOut) as caught:
        await hasty.customers.get("cst-1")

    assert (caught.value.phase, caught.value.seconds) in {("response", 0.2), ("total", 0.2)}
    assert len(await ts.customers.list().collect()) == 25


async def test_a_view_has_its_own_on_event(box: Sandbox) -> None:
    """With None, its calls have no events."""
    ours: list[CallEvent] = []
    theirs: list[CallEvent] = []
    async with TicketSource(box.api_key, base_url=box.url, on_event=ours.append) as ts:
        await ts.with_options(on_event=theirs.append).customers.list().collect()
        await ts.with_options(on_event=None).customers.list().collect()
        await ts.with_options(retry=ONCE).request("GET", "/customers")

    kinds = [type(event) for event in theirs if isinstance(event, AttemptEvent | PageEvent)]
    assert kinds == [AttemptEvent, PageEvent]
    assert [event.path for event in ours if isinstance(event, AttemptEvent)] == ["/customers"]


class RecordingLimiter:
    """A limiter that records the requested priorities."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @asynccontextmanager
    async def slot(self, *, key: str, priority: str) -> AsyncIterator[None]:
        """Give a slot."""
        self.asked.append(priority)
        yield

    async def pause(self, seconds: float, *, key: str) -> None:
        """Pause."""


async def test_a_view_has_its_own_priority(box: Sandbox) -> None:
    """With "bulk", single calls and first pages are bulk, too. Calls of the client keep their priority."""
    (customer_id,) = box.customers.ids(0, 1)
    limiter = RecordingLimiter()
    async with TicketSource(box.api_key, base_url=box.url, limiter=limiter) as ts:
        for view in (ts.with_options(priority="interactive"), ts.with_options(priority="bulk")):
            await view.customers.get(customer_id)
            await view.customers.get_many([customer_id]).collect()
            await view.customers.list().collect()
            await view.request("GET", "/customers")
        asked = limiter.asked.copy()
        await ts.customers.get(customer_id)

    assert asked == ["interactive", "bulk", "interactive", "interactive", *["bulk"] * 4]
    assert limiter.asked[8:] == ["interactive"]


async def test_the_headers_of_a_view_are_added_to_its_requests(api: MockedAPI) -> None:
    """`Accept` is replaced, in any spelling. The client itself does not send them."""
    for _ in range(3):
        api.answer("GET", "/customers/cst-xxxxxxxxxx1", {"data": customer_row()})
    async with TicketSource(KEY, retry=ONCE, rate_limit=None) as ts:
        view = ts.with_options(headers={"X-Venue": "hall", "accept": "text/csv"})
        await view.customers.get("cst-xxxxxxxxxx1")
        await view.with_options(headers={"x-venue": "foyer", "X-More": ""}).customers.get("cst-xxxxxxxxxx1")
        await ts.customers.get("cst-xxxxxxxxxx1")

    own = {"Accept-Encoding", "Authorization", "User-Agent"}
    first, second, plain = ({k: v for k, v in sent.items() if k not in own} for sent in api.headers)
    assert first == {"X-Venue": "hall", "accept": "text/csv"}
    assert second == {"x-venue": "foyer", "accept": "text/csv", "X-More": ""}
    assert plain == {"Accept": "application/json"}
    assert all(sent["Authorization"] == f"Bearer {KEY}" for sent in api.headers)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Authorization": f"Bearer {KEY}"}, "headers may not have Authorization: the client sends the key"),
        ({"AUTHORIZATION": KEY}, "headers may not have AUTHORIZATION"),
        ({"aUthorization": KEY}, "headers may not have aUthorization"),
        ({"Proxy-Authorization": KEY}, "HTTPS_PROXY"),
        ({"Host": "evil.example"}, "headers may not have Host: it belongs to the request itself"),
        ({"content-length": "0"}, "headers may not have content-length"),
        ({"Content-Type": "text/plain"}, "headers may not have Content-Type"),
        ({"Transfer-Encoding": "chunked"}, "headers may not have Transfer-Encoding"),
        ({"Accept-Encoding": "br"}, "headers may not have Accept-Encoding"),
        ({"Connection": "keep-alive"}, "headers may not have Connection"),
        ({"Expect": "100-continue"}, "headers may not have Expect"),
        ({"X-HTTP-Method-Override": "DELETE"}, "it would change the method"),
        ({"User-Agent": "x"}, "pass user_agent= to TicketSource"),
        ({"Authorization ": KEY}, "a name that no header can have"),
        ({"X\r\nAuthorization": KEY}, "a name that no header can have"),
        ({"": KEY}, "a name that no header can have"),
        ({1: KEY}, "a name that no header can have"),
        ({"X-A": f"1\r\nAuthorization: {KEY}"}, "a value for X-A that cannot be sent"),
        ({"X-A": f" {KEY}"}, "a value for X-A that cannot be sent"),
        ({"X-A": "Zoë"}, "a value for X-A that cannot be sent"),
        ({"X-A": 5}, "a value for X-A that cannot be sent"),
        ({"X-A": KEY, "x-a": KEY}, "a name twice"),
        ([("X-A", KEY)], "headers must be a dict of names and texts, not list"),
        (None, "headers must be a dict of names and texts, not NoneType"),
    ],
)
def test_headers_that_would_break_a_call_are_refused(headers: Any, said: str) -> None:
    """A value may be a key, so neither the error nor its locals show one."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        TicketSource("skl-another").with_options(headers=headers)

    assert KEY not in str(caught.value)
    assert not any(KEY in seen for seen in ours_of(caught.value))


async def test_logs_and_locals_do_not_show_the_headers_of_a_view(
    box: Sandbox, caplog: pytest.LogCaptureFixture, ts: TicketSource
) -> None:
    """Their values may be secret. No repr shows them either."""
    caplog.set_level(logging.DEBUG)
    box.fail(status=500)
    view = ts.with_options(headers={"X-Token": "sekret"})
    with pytest.raises(ServerError) as caught:
        await view.customers.get("cst-1")

    assert "sekret" not in "".join([repr(view), repr(view._sender), caplog.text, *ours_of(caught.value)])
    assert box.requests[0].headers["x-token"] == "sekret"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X-Token": KEY}, "priority": "urgent"},
        {"headers": {"X-Token": KEY}, "timeout": 5},
        {"header": {"Authorization": KEY}},
    ],
)
def test_no_error_about_another_option_shows_the_headers(options: Any) -> None:
    """It does not show the value of an unknown option either."""
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        TicketSource("skl-another").with_options(**options)

    assert not any(KEY in seen for seen in [str(caught.value), *ours_of(caught.value)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeouts": 5}, r"timeouts must be Timeouts\(...\), not 5"),
        ({"retry": None}, r"retry must be RetryPolicy\(...\), not None"),
        ({"on_event": "print"}, "on_event must be a plain function"),
        ({"on_event": asyncio.sleep}, "on_event must be a plain function"),
        ({"priority": "urgent"}, 'priority must be "interactive" or "bulk", not \'urgent\''),
        ({"priority": None}, "priority must be"),
    ],
)
def test_the_error_names_an_option_that_cannot_work(options: Any, said: str) -> None:
    """The same is true when a client is built."""
    with pytest.raises(ConfigurationError, match=said):
        TicketSource(KEY).with_options(**options)


async def test_a_view_is_patient_after_an_answer_to_its_client(box: Sandbox) -> None:
    """After an answer, a list of the view makes more than two attempts."""
    async with TicketSource(box.api_key, base_url=box.url, rate_limit=None) as ts:
        await ts.customers.list(max_items=1).collect()
        policy = RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.001)
        view = ts.with_options(retry=policy, priority="bulk")
        box.fail(status=503, times=5)

        assert len(await view.customers.list().collect()) == 25
    assert len(box.requests) == 7


async def test_a_function_can_take_a_client_or_a_view(ts: TicketSource) -> None:
    """Both have the type `Operations`."""

    async def count(operations: Operations) -> int:
        return len(await operations.customers.list().collect())

    counted: Callable[[Operations], Any] = count
    assert [await counted(ts), await counted(ts.with_options(retry=ONCE))] == [25, 25]
