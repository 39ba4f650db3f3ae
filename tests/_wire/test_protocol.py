"""The pure rules as tables: settings, answers, next pages."""

import json
from typing import Any

import pytest
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire import protocol
from ticketsource_async._wire.protocol import Access, Envelope, RawResponse, Request

KEY = "skl-not-a-real-key"
ACCESS = Access.of(KEY, "https://api.ticketsource.io", "tests/1", "bearer")
HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def request(method: str = "GET", path: str = "customers/cst-1") -> Request:
    """Return a request to the API."""
    return protocol.build(
        ACCESS, method, ACCESS.base_url.joinpath(*path.split("/")), b"{}" if method == "POST" else None
    )


def failure(response: RawResponse, method: str = "GET") -> errors.TicketSourceError:
    """Return the error that an answer is read as."""
    with pytest.raises(errors.TicketSourceError) as caught:
        protocol.read(request(method), response)
    return caught.value


def error_body(status: int, code: str = "some_code", detail: str = "Some detail.") -> bytes:
    """Return an error as the API sends it."""
    entry = {"id": "e-1", "links": {"about": "x"}, "status": status, "code": code, "title": "T", "detail": detail}
    return json.dumps({"errors": [entry]}).encode()


@pytest.mark.parametrize(
    ("auth", "header"),
    [("bearer", f"Bearer {KEY}"), ("basic", "Basic c2tsLW5vdC1hLXJlYWwta2V5Og==")],
)
def test_the_key_goes_into_the_header_in_either_notation(auth: Any, header: str) -> None:
    """Bearer carries the key, Basic has it as the user name with an empty password."""
    access = Access.of(KEY, "https://api.ticketsource.io", "tests/1", auth)

    assert protocol.build(access, "GET", access.base_url).headers["Authorization"] == header


@pytest.mark.parametrize("auth", ["bearer", "basic"])
def test_no_repr_shows_the_key_and_foreign_text_is_scrubbed_of_it(auth: Any) -> None:
    """Neither repr nor scrubbed text has the key, in clear or in Base64."""
    access = Access.of(KEY, "https://api.ticketsource.io", "tests/1", auth)
    sent = protocol.build(access, "GET", access.base_url)

    shown = f"{access!r} {sent!r} {sent} {sent.scrub(str(sent.headers))}"

    assert KEY not in shown
    assert "c2tsLW5v" not in shown
    assert len(sent.scrub("x" * 10_000)) < 600


@pytest.mark.parametrize("key", ["", " ", "skl-a b", "skl-a\n", "skl-ä", None, b"skl-a"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key: Any) -> None:
    """White space, line ends and other characters in a key are a ConfigurationError that does not show the key."""
    with pytest.raises(errors.ConfigurationError, match="api_key") as caught:
        Access.of(key, "https://api.ticketsource.io", "tests/1", "bearer")

    assert "skl-a" not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "fits"),
    [
        ("https://api.ticketsource.io", True),
        ("https://api.ticketsource.io/", True),
        ("https://proxy.example:8443/ticketsource/", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000", True),
        ("http://api.ticketsource.io", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("ftp://localhost", False),
        ("api.ticketsource.io", False),
        ("https://", False),
        ("https://user:pw@api.ticketsource.io", False),
        ("ftp://user:pw@api.ticketsource.io", False),
        ("https://api.ticketsource.io/?a=1", False),
        ("https://api.ticketsource.io/#a", False),
        ("https://api.ticketsource.io:99999", False),
        (None, False),
    ],
)
def test_the_base_url_must_be_https_unless_it_is_this_machine(base_url: Any, fits: bool) -> None:
    """Everything but https, or http on loopback, is a ConfigurationError that names base_url."""
    if fits:
        url = Access.of(KEY, base_url, "tests/1", "bearer").base_url
        assert str(url.joinpath("customers", "cst-1")).endswith("/customers/cst-1")
        assert "//customers" not in str(url.joinpath("customers"))
    else:
        with pytest.raises(errors.ConfigurationError, match="base_url") as caught:
            Access.of(KEY, base_url, "tests/1", "bearer")
        assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("setting", "value"), [("user_agent", "a\r\nX: y"), ("user_agent", ""), ("auth", "digest")])
def test_other_wrong_settings_are_named(setting: str, value: str) -> None:
    """A user agent that would break the header and an unknown kind of authentication are refused by name."""
    settings: dict[str, Any] = {"user_agent": "tests/1", "auth": "bearer", setting: value}
    with pytest.raises(errors.ConfigurationError, match=setting):
        Access.of(KEY, "https://api.ticketsource.io", **settings)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ValidationFailed),
        (401, errors.AuthenticationFailed),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (405, errors.APIError),
        (409, errors.APIError),
        (418, errors.APIError),
        (422, errors.ValidationFailed),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
        (599, errors.ServerError),
    ],
)
def test_each_status_is_an_error_of_its_own_that_says_what_where_and_what_next(status: int, kind: type) -> None:
    """The message has call, status, code and detail and ends in advice; the fields have the rest."""
    error = failure(
        RawResponse(status, {"x-request-id": "r-1", "content-type": "application/json"}, error_body(status))
    )

    assert type(error) is kind
    assert isinstance(error, errors.APIError)
    assert str(error).startswith(f"GET /customers/cst-1 was answered {status}: some_code: Some detail. ")
    assert len(str(error).partition("Some detail. ")[2]) > 20
    assert (error.status, error.method, error.path, error.request_id) == (status, "GET", "/customers/cst-1", "r-1")
    assert error.errors == [
        {"id": "e-1", "status": status, "code": "some_code", "title": "T", "detail": "Some detail."}
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b'{"message": "Too Many Attempts."}', "Too Many Attempts"),
        (b'{"errors": [{"code": "a"}, {"title": "B"}, {}, 7]}', "a; B; no reason given"),
        (b'{"errors": {"email": ["bad"]}}', "30 bytes that are not what the API sends"),
        (b'{"errors": [{"code": 7, "detail": null}]}', "no reason given"),
        (b'{"n": 1e99999999999999999999}', "29 bytes that are not what the API sends"),
        (b'["x"]', "5 bytes that are not what the API sends"),
        (b"\xff\xfe", "2 bytes that are not what the API sends"),
        (b"[" * 5000, "5000 bytes that are not what the API sends"),
        (HTML, "an HTML page titled 'Just a moment...'"),
        (b"<html><h1>Bad Gateway</h1>", "an HTML page"),
        (f'{{"message": "bad key {KEY}"}}'.encode(), "bad key ***"),
        (f'{{"errors": [{{"detail": "bad key {KEY}"}}]}}'.encode(), "bad key ***"),
    ],
)
def test_whatever_the_body_is_the_error_says_it_in_words(body: bytes, said: str) -> None:
    """Empty, HTML, Laravel's and nonsense bodies are described, never shown raw, and the key is not in it."""
    error = failure(RawResponse(500, {}, body))

    assert str(error).startswith(f"GET /customers/cst-1 was answered 500: {said}. ")
    assert KEY not in repr(error.to_dict())


@pytest.mark.parametrize(
    ("status", "headers", "body", "blocked"),
    [
        (403, {"content-type": "text/html; charset=UTF-8"}, b"x", True),
        (403, {}, HTML, True),
        (503, {}, HTML, True),
        (503, {"retry-after": "30"}, HTML, False),
        (503, {"cf-mitigated": "challenge", "retry-after": "30"}, HTML, True),
        (403, {}, b"error code: 1010", True),
        (403, {}, b"", True),
        (403, {}, b'{"message": "This action is unauthorized."}', False),
        (403, {"cf-mitigated": "challenge"}, b"{}", True),
        (403, {}, error_body(403), False),
        (503, {}, error_body(503), False),
        (502, {}, HTML, False),
        (429, {}, HTML, False),
        (401, {}, HTML, False),
    ],
)
def test_a_wall_in_front_of_the_api_is_told_from_the_api(
    status: int, headers: dict[str, str], body: bytes, blocked: bool
) -> None:
    """What no API would say is AccessBlocked, which tells of the user agent; what the API or a gateway says is not."""
    error = failure(RawResponse(status, headers, body))

    assert isinstance(error, errors.AccessBlocked) is blocked
    if blocked:
        assert "support for the user agent they hand out" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "date": "x"}, None),
        ({"retry-after": "1000000000"}, 1e9),
        ({"retry-after": "9" * 400}, None),
        ({"x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"x-ratelimit-reset": "1", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"x-ratelimit-reset": "soon", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
        ({"x-ratelimit-reset": "1795514430"}, None),
        ({"retry-after": "2", "x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 2.0),
        ({"retry-after": "-1", "x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_none(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and dates are read, nonsense is None."""
    error = failure(RawResponse(429, headers, b""))

    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "path", "said"),
    [
        (200, b"", "$", "an empty body instead of a `data` envelope"),
        (200, HTML, "$", "an HTML page titled"),
        (200, b"{}", "$", "instead of a `data` envelope"),
        (200, b"[]", "$", "instead of a `data` envelope"),
        (204, b"", "$", "an empty body"),
        (200, b'{"data": [], "links": "x"}', "$.links", "`links` is not an object"),
        (302, b"", "$", "a redirect to nowhere, which is not followed"),
    ],
)
def test_a_success_without_an_envelope_and_a_redirect_are_invalid(
    status: int, body: bytes, path: str, said: str
) -> None:
    """What is not the promised envelope is InvalidResponse, with status and place."""
    error = failure(RawResponse(status, {}, body))

    assert isinstance(error, errors.InvalidResponse)
    assert said in str(error)
    assert (error.json_path, error.status) == (path, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}"])
def test_the_body_of_a_delete_is_never_read(body: bytes) -> None:
    """Whatever comes with a 2xx, the record is deleted."""
    assert protocol.read(request("DELETE"), RawResponse(204, {}, body)).data is None


def test_the_key_is_scrubbed_from_ids_that_the_server_gives() -> None:
    """A server that echoes the key in a request id or a record id does not get it into an error."""
    refused = failure(RawResponse(404, {"x-request-id": f"r-{KEY}"}, b""))
    broken = Envelope({}, {}, request(), 200).invalid("x", "$", resource="customer", record_id=KEY)

    assert isinstance(refused, errors.NotFound)
    assert refused.request_id == "r-***"
    assert KEY not in repr(broken.to_dict())


HERE = "https://api.ticketsource.io/customers?page=2&per_page=100"
OURS = {"page": "1", "per_page": "100"}


def following(link: object, here: str = HERE) -> URL | None:
    """Return where a page leads."""
    sent = protocol.build(ACCESS, "GET", URL(here))
    return protocol.next_url(Envelope([], {"next": link}, sent, 200), OURS)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("https://api.ticketsource.io/customers?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
        (
            "https://api.ticketsource.io/customers?per_page=50&page=3",
            "https://api.ticketsource.io/customers?per_page=50&page=3",
        ),
        (
            "https://api.ticketsource.io/customers?cursor=a%2Fb",
            "https://api.ticketsource.io/customers?cursor=a/b&per_page=100",
        ),
        ("?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
        ("/customers?page=3", "https://api.ticketsource.io/customers?page=3&per_page=100"),
    ],
)
def test_a_next_link_gets_back_what_it_lacks_of_ours(link: str | None, expected: str | None) -> None:
    """Missing parameters are put back, but never the page; relative links are resolved."""
    url = following(link)

    assert (None if url is None else str(url)) == expected


@pytest.mark.parametrize("link", [7, True, [], {}, "http://[oops"])
def test_a_next_that_is_no_address_is_invalid_not_the_end(link: object) -> None:
    """A broken `next` must not end the list in silence."""
    with pytest.raises(errors.InvalidResponse, match="`next` is neither an address nor null") as caught:
        following(link)

    assert caught.value.json_path == "$.links.next"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://api.ticketsource.io/customers?page=3", None),
        ("https://api.ticketsource.io:443/customers?page=3", None),
        ("https://API.ticketsource.io/customers?page=3", None),
        ("https://api.ticketsource.io/customers?cursor=abc", None),
        ("https://elsewhere.example/customers?page=3", "another origin"),
        ("http://api.ticketsource.io/customers?page=3", "another origin"),
        ("https://api.ticketsource.io:444/customers?page=3", "another origin"),
        ("https://x:y@api.ticketsource.io/customers?page=3", "another origin"),
        ("//elsewhere.example/customers?page=3", "another origin"),
        ("javascript:alert(1)", "another origin"),
        ("https://api.ticketsource.io/customers?page=2", "read before"),
        ("https://api.ticketsource.io/customers?per_page=100&page=2", "read before"),
        ("https://api.ticketsource.io/customers?page=1", "does not advance"),
        (f"https://api.ticketsource.io/customers?page={'9' * 5000}", None),
        ("https://api.ticketsource.io/customers?page=0", "does not advance"),
        ("https://api.ticketsource.io/customers", "names no page"),
        ("", "read before"),
    ],
)
def test_a_next_that_must_not_be_followed_is_told_with_its_reason(link: str, reason: str | None) -> None:
    """Another origin, a page read before, one that does not advance and none at all are refused."""
    url = following(link)
    assert url is not None

    told = protocol.why_not_follow(url, URL(HERE), {protocol.fingerprint(URL(HERE))}, OURS)

    assert told is None if reason is None else reason in (told or "")
