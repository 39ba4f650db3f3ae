"""How answers are read: a table of errors, and answers that are not from the API."""

import json

import pytest

from ticketsource_async import errors
from ticketsource_async._wire import response
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async._wire.response import Envelope, RawResponse

KEY = "skl-not-a-real-key"
CREDENTIALS = Credentials.of(Secret(KEY), "https://api.ticketsource.io", "tests/1", "bearer")
HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def request(method: str = "GET", path: str = "customers/cst-1") -> Request:
    """Return a request to the API."""
    url = CREDENTIALS.base_url.joinpath(*path.split("/"))
    return Request(CREDENTIALS, method, url, b"{}" if method == "POST" else None)


def failure(answer: RawResponse, method: str = "GET") -> errors.TicketSourceError:
    """Return the error that an answer raises."""
    with pytest.raises(errors.TicketSourceError) as caught:
        response.read(request(method), answer)
    return caught.value


def error_body(status: int, code: str = "some_code", detail: str = "Some detail.") -> bytes:
    """Return an error as the API sends it."""
    entry = {"id": "e-1", "links": {"about": "x"}, "status": status, "code": code, "title": "T", "detail": detail}
    return json.dumps({"errors": [entry]}).encode()


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
def test_each_status_raises_its_error_with_call_reason_and_advice(status: int, kind: type) -> None:
    """The message has call, status, code and detail and ends in advice; the fields have the rest."""
    error = failure(
        RawResponse(status, {"x-request-id": "r-1", "content-type": "application/json"}, error_body(status))
    )

    assert type(error) is kind
    assert isinstance(error, errors.APIError)
    answered = f"GET /customers/cst-1 was answered {status} (request id r-1)"
    assert str(error).startswith(f"{answered}: some_code: Some detail. ")
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
        (b'{"errors": {"email": ["bad"]}}', "email: bad"),
        (b'\xef\xbb\xbf{"message": "Server Error"}', "Server Error"),
        (b'{"error": "Unauthenticated."}', "Unauthenticated"),
        (
            b'<br />\n<b>Warning</b>:  Array in <b>/srv/Customer.php</b> on line <b>12</b><br />\n{"data": []}',
            "PHP's 'warning' (of Customer.php, line 12) before the JSON",
        ),
        (
            b'PHP Deprecated:  strlen(): {"a" in C:\\app\\helpers.php(7) : eval()\'d code on line 3\n{}',
            "PHP's 'deprecated' (of helpers.php, line 3) before the JSON",
        ),
        (
            b'{"data": [{"name": "Karl"}]}\nFatal error: Allowed memory in /srv/x.php on line 9',
            "PHP's 'fatal error' (of x.php, line 9) behind the JSON",
        ),
        (b'{"name": "Karl"}{"name": "Eva"}', "15 characters behind the JSON"),
        (b'connected to db1\n{"data": []}', "17 characters before the JSON"),
        (b'{"data": [{"name": "Karl"}, {"na', "32 bytes that are not what the API sends"),
        (b'{"errors": [{"code": 7, "detail": null}]}', "no reason given"),
        (b'{"n": 1e99999999999999999999}', "29 bytes that are not what the API sends"),
        (b'["x"]', "5 bytes that are not what the API sends"),
        (b"\xff\xfe", "2 bytes that are not what the API sends"),
        (b"[" * 5000, "5000 bytes that are not what the API sends"),
        (HTML, "an HTML page titled 'Just a moment...'"),
        (b"<html><h1>Bad Gateway</h1>", "an HTML page"),
        (b'<html><title>Oops</title><script>x = {"a": 1}</script></html>', "an HTML page titled 'Oops'"),
        (f'{{"message": "bad key {KEY}"}}'.encode(), "bad key ***"),
        (f'{{"errors": [{{"detail": "bad key {KEY}"}}]}}'.encode(), "bad key ***"),
    ],
)
def test_the_error_describes_any_body_in_words(body: bytes, said: str) -> None:
    """Empty, HTML, Laravel's and other bodies are described. The error does not have the key."""
    error = failure(RawResponse(500, {}, body))

    assert str(error).startswith(f"GET /customers/cst-1 was answered 500: {said}. ")
    assert KEY not in repr(error.to_dict())


@pytest.mark.parametrize(
    ("status", "headers", "body", "blocked"),
    [
        (403, {"content-type": "text/html; charset=UTF-8"}, b"x", True),
        (403, {}, HTML, True),
        (503, {}, HTML, False),
        (503, {}, b"<html><title>Just a moment...</title><script>window._cf_chl_opt = {};</script>", True),
        (503, {"retry-after": "30"}, b'<html><script src="/cdn-cgi/challenge-platform/h/g/orchestrate">', True),
        (503, {"cf-mitigated": "challenge"}, b"", True),
        (503, {"server": "cloudflare", "cf-ray": "8f"}, b"<html><title>Be right back.</title>", False),
        (503, {}, b"", False),
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
def test_a_wall_in_front_of_the_api_is_distinguished_from_the_api(
    status: int, headers: dict[str, str], body: bytes, blocked: bool
) -> None:
    """The answer of a wall is AccessBlocked, which mentions the user agent. That of the API or a gateway is not."""
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
        ({"x-ratelimit-reset": "1795514000", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"x-ratelimit-reset": "1", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 1.0),
        ({"x-ratelimit-reset": "45"}, 45.0),
        ({"x-ratelimit-reset": " 0.5 "}, 0.5),
        ({"x-ratelimit-reset": "99999999"}, 99_999_999.0),
        ({"x-ratelimit-reset": "100000000"}, None),
        ({"x-ratelimit-reset": "soon", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
        ({"x-ratelimit-reset": "1795514430"}, None),
        ({"retry-after": "2", "x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 2.0),
        ({"retry-after": "-1", "x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_none(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and dates are read. Any other value is None."""
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
    """The error is InvalidResponse, with the status and the JSON path."""
    error = failure(RawResponse(status, {}, body))

    assert isinstance(error, errors.InvalidResponse)
    assert said in str(error)
    assert (error.json_path, error.status) == (path, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}"])
def test_the_body_of_a_successful_delete_is_ignored(body: bytes) -> None:
    """The status alone says that the record is deleted."""
    assert response.read(request("DELETE"), RawResponse(204, {}, body)).data is None


def test_the_key_is_scrubbed_from_ids_that_the_server_sends() -> None:
    """If a server sends the key back in a request id or a record id, the error does not have it."""
    refused = failure(RawResponse(404, {"x-request-id": f"r-{KEY}"}, b""))
    broken = Envelope({}, {}, request(), 200).invalid("x", "$", resource="customer", record_id=KEY)

    assert isinstance(refused, errors.NotFound)
    assert refused.request_id == "r-***"
    assert KEY not in repr(broken.to_dict())


def test_a_page_with_many_unclosed_titles_is_described() -> None:
    """The title is searched only once, in the beginning of the page."""
    error = failure(RawResponse(500, {"content-type": "text/html"}, b"<title" * 120_000))

    assert "an HTML page." in str(error)


def test_a_message_gives_the_first_reasons_and_counts_the_others() -> None:
    """The message stays short enough to read."""
    entry = {"code": "x", "detail": "Too long " * 500}
    error = failure(RawResponse(422, {}, json.dumps({"errors": [entry] * 2_000}).encode()))

    assert "; and 1,980 more. " in str(error)
    assert len(str(error)) < 20_000


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\x07", "\r", "\x9b", "\u202e", "\u2066", "\u2028"])
def test_control_characters_of_the_api_are_escaped_in_a_message(character: str) -> None:
    """A terminal would execute them."""
    error = failure(RawResponse(422, {}, error_body(422, detail=f"Not{character}[31mgood")))

    assert character not in str(error)
    assert character not in str(error.to_dict())
    assert character.encode("unicode_escape").decode() in str(error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"data":{"id":"cst-1","type":"customer","attributes":{"x":[%s]}}}'),
        (200, b'{"data":[%s]}'),
        (200, b'{"data":[],"links":{"x":[%s]}}'),
        (200, b'{"x":[%s]}'),
        (200, b"[%s]"),
        (400, b'{"errors":[%s]}'),
        (500, b'{"message":[%s]}'),
    ],
)
def test_an_answer_with_more_than_a_million_objects_is_refused(status: int, body: bytes) -> None:
    """No answer of the API has so many, and they would take much memory."""
    error = failure(RawResponse(status, {}, body % b",".join([b"{}"] * 1_000_001)))

    assert "bytes with more than 1,000,000 objects" in str(error)


def test_thousands_of_errors_are_counted_and_the_first_hundred_kept() -> None:
    """The message counts them all."""
    body = json.dumps({"errors": [{"code": "c", "detail": f"d{n}"} for n in range(5000)]}).encode()

    error = failure(RawResponse(400, {}, body))

    assert isinstance(error, errors.APIError)
    assert [entry.get("detail") for entry in error.errors] == [f"d{n}" for n in range(100)]
    assert "c: d19; and 4,980 more" in str(error)


@pytest.mark.parametrize("piece", ["/", "//", "//a", "//a ", "//a@", "@", "\x1b", "a//\u202e", KEY, "//u:p@h "])
def test_a_long_text_is_shortened_without_the_key_or_a_password(piece: str) -> None:
    """The text has many characters that could make the search for passwords slow."""
    error = failure(RawResponse(500, {}, json.dumps({"message": "//user:pa/ss@proxy " + piece * 1_000_000}).encode()))

    assert "//***@proxy" in str(error)
    assert len(str(error)) < 1000
    assert KEY not in str(error)


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (429, {"retry-after": "900"}, "The API asks to wait 900 s. Wait before"),
        (429, {"retry-after": "1000000000"}, "The API asks to wait 1,000,000,000 s. "),
        (429, {"x-ratelimit-reset": "1795514430", "date": "Tue, 24 Nov 2026 10:00:00 GMT"}, "asks to wait 30 s. "),
        (503, {"retry-after": "1.5"}, "The API asks to wait 1.5 s. The server is overloaded or under repair"),
    ],
)
def test_the_message_gives_the_wait_that_the_api_asks_for(status: int, headers: dict[str, str], said: str) -> None:
    """The user then knows when to try again."""
    assert said in str(failure(RawResponse(status, headers, b"")))


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (
            {"email": ["The email must be valid.", "It is taken."], "address.postcode": ["Too long."]},
            [
                {"field": "email", "detail": "The email must be valid."},
                {"field": "email", "detail": "It is taken."},
                {"field": "address.postcode", "detail": "Too long."},
            ],
        ),
        ({"email": "bad"}, [{"field": "email", "detail": "bad"}]),
        (
            {"email": "bad", "title": "too long"},
            [{"field": "email", "detail": "bad"}, {"field": "title", "detail": "too long"}],
        ),
        (
            {"email": {"0": "bad", "2": "worse"}},
            [{"field": "email", "detail": "bad"}, {"field": "email", "detail": "worse"}],
        ),
        ({"email": {"unique": "taken"}}, [{"field": "email", "detail": "taken"}]),
        ({"email": [{"code": "taken"}]}, [{"code": "taken", "field": "email"}]),
        ({"email": [], "phone": None, "sms": [7, ["x"]]}, []),
        (["Too long.", {"code": "x"}, 7, None], [{"detail": "Too long."}, {"code": "x"}]),
        ({"0": {"code": "x"}, "2": "Too long."}, [{"code": "x"}, {"detail": "Too long."}]),
        ("Too long.", [{"detail": "Too long."}]),
        ({"status": 422, "code": "x", "detail": "Too long."}, [{"code": "x", "detail": "Too long.", "status": 422}]),
        ({f"bad {KEY}": [f"\x1b {KEY}"]}, [{"field": "bad ***", "detail": "\\x1b ***"}]),
        ({}, []),
        (None, []),
        (7, []),
    ],
)
def test_errors_by_field_or_as_plain_texts_are_read(listed: object, found: list[errors.ErrorObject]) -> None:
    """Laravel sends an object of lists in the place of the API's own objects, others send texts."""
    error = failure(
        RawResponse(422, {}, json.dumps({"message": "The given data was invalid.", "errors": listed}).encode())
    )

    assert isinstance(error, errors.ValidationFailed)
    assert error.errors == found
    if not found:
        assert "The given data was invalid. " in str(error)


def test_the_message_names_the_fields_that_were_refused() -> None:
    """The user can correct them without looking at the attributes of the error."""
    body = {"message": "The given data was invalid.", "errors": {"email": ["It is taken."], "phone": ["Too long."]}}

    error = failure(RawResponse(422, {}, json.dumps(body).encode()), "POST")

    assert str(error).startswith("POST /customers/cst-1 was answered 422: email: It is taken; phone: Too long. Correct")


@pytest.mark.parametrize("marks", [b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 3, b"\n\xef\xbb\xbf \xef\xbb\xbf\r\n"])
def test_a_byte_order_mark_before_the_json_is_ignored(marks: bytes) -> None:
    """PHP sends one for each of its files that begins with such a mark."""
    assert response.read(request(), RawResponse(200, {}, marks + b'{"data": {"n": 1}}')).data == {"n": 1}


@pytest.mark.parametrize(
    ("data", "rows"),
    [(b"null", []), (b"{}", []), (b"[]", []), (b'{"0": 1, "2": 3}', [1, 3]), (b'{"7": 1}', [1]), (b"[1]", [1])],
)
def test_a_list_is_read_in_each_form_that_php_writes(data: bytes, rows: list[object]) -> None:
    """A list with gaps is an object with numeric keys, and an empty list may be null."""
    assert response.read(request(), RawResponse(200, {}, b'{"data": %b}' % data)).rows() == rows


@pytest.mark.parametrize("data", [b'{"id": "cst-1"}', b'{"0": 1, "x": 2}', b'{"-1": 1}', b'"x"', b"7", b"false"])
def test_data_that_is_not_a_list_is_refused(data: bytes) -> None:
    """One record is not taken for a list of its fields."""
    with pytest.raises(errors.InvalidResponse, match="`data` is not a list"):
        response.read(request(), RawResponse(200, {}, b'{"data": %b}' % data)).rows()


@pytest.mark.parametrize(
    "text",
    [
        b'{"a' * 30_000,
        b"x" * 60_000 + b'{"',
        b"Warning " * 9_000 + b"{}",
        b"\xef\xbb\xbf " * 50_000,
        b'{"a": 1}' * 9_000,
    ],
)
def test_a_body_with_much_text_around_json_has_a_short_description(text: bytes) -> None:
    """Such a body could make the search for JSON slow."""
    error = failure(RawResponse(200, {}, b"<" + text))

    assert len(str(error)) < 300
