"""Read the server's answer: return its envelope, or the error that it means; pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NoReturn, cast

import msgspec
from attrs import field, frozen
from yarl import URL

from ticketsource_async import errors
from ticketsource_async._wire.advice import Advice
from ticketsource_async._wire.headers import asked_wait, request_id, with_id
from ticketsource_async._wire.request import Request
from ticketsource_async.errors import ErrorObject
from ticketsource_async.models import values
from ticketsource_async.models.reader import Refused

ERRORS: Final[Mapping[int, tuple[type[errors.APIError], Advice]]] = {
    400: (errors.ValidationFailed, Advice.DATA),
    401: (errors.AuthenticationFailed, Advice.KEY),
    403: (errors.PermissionDenied, Advice.PERMISSION),
    404: (errors.NotFound, Advice.ID),
    422: (errors.ValidationFailed, Advice.DATA),
    429: (errors.RateLimited, Advice.RATE_LIMIT),
    503: (errors.ServerError, Advice.OVERLOADED),
}
_NO_RECORD: Final = (b"", b"{}", b"[]", b"null")
_MOST_REASONS: Final = 20
_MOST_ERRORS: Final = 100
_MOST_OBJECTS: Final = 1_000_000  # the API sends about one object for each hundred bytes
_MOST_BYTES_SEARCHED: Final = 65_536
_MOST_STARTS_TRIED: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SERVER_ERROR: Final = (errors.ServerError, Advice.SERVER)
_OTHER_ERROR: Final = (errors.APIError, Advice.OTHER_STATUS)


@frozen
class RawResponse:
    """An answer as plain data, with header names in lower case.

    `broken` says why a body was thrown away; it is empty for a usable body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    broken: str = ""


@frozen
class Envelope:
    """The parts of the answer's envelope, and its request; `links` and `meta` are empty if the API left them out.

    `moved`: the address to ask instead. The envelope is empty then. `extra`: the other parts of the answer of an
    unknown endpoint.
    """

    data: object = field(repr=False)
    links: Mapping[str, object]
    request: Request
    status: int
    meta: Mapping[str, object] = field(factory=dict[str, object], repr=False)
    moved: URL | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    extra: Mapping[str, object] = field(default=values.NOTHING, repr=False)

    def rows(self) -> list[object]:
        """Return the rows of a list; raise `InvalidResponse` if `data` is not a list."""
        rows = [] if self.data is None else values.as_list(self.data)
        if rows is None:
            raise self.invalid("`data` is not a list", "$.data")
        return rows

    def invalid(
        self, what: str, json_path: str, *, resource: str = "", record_id: str | None = None
    ) -> errors.InvalidResponse:
        """Return the error for an answer that is not what the API promises."""
        return _invalid(self.request, self.status, self.headers, what, json_path, resource, record_id)

    def refused(self, refused: Refused, model: type, row: object, index: int | None = None) -> errors.InvalidResponse:
        """Return the error for `data` that is no record, or for its entry at this index that is none."""
        place = "$.data" if index is None else f"$.data[{index}]"
        resource = getattr(model, "API_TYPE", "")
        return self.invalid(refused.what, place + refused.path, resource=resource, record_id=id_in(row))


def id_in(row: object) -> str | None:
    """Return the id in an entry of `data`, usable or not; None if there is none."""
    found = row.get("id") if isinstance(row, dict) else None
    if isinstance(found, str):
        return found
    return str(found) if found.__class__ is int else None


def read(request: Request, response: RawResponse) -> Envelope:
    """Return the envelope of an answer, or raise the error that the answer means."""
    if not 200 <= response.status < 300:
        if (moved := _slash_redirect(request, response)) is not None:
            return Envelope(None, {}, request, response.status, moved=moved)
        raise _error(request, response)
    if request.accepts_any_answer:
        return _read_any_answer(request, response)
    if request.method == "DELETE":  # a 204 has no body, and no other body is documented
        return Envelope(None, {}, request, response.status)
    document = _document(response)
    if not isinstance(document, dict):
        document = {}
    if request.method == "PATCH" and _has_no_record(response, document):
        return Envelope(None, {}, request, response.status, headers=response.headers)
    if "data" not in document:
        found = _describe(request, response, document, *_error_objects(request, document))
        raise _invalid(request, response.status, response.headers, f"{found} instead of a `data` envelope")
    links = document.get("links") or {}  # PHP writes an empty object as []
    if not isinstance(links, dict):
        raise _invalid(request, response.status, response.headers, "`links` is not an object", "$.links")
    meta = document.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return Envelope(document["data"], links, request, response.status, meta, headers=response.headers)


def _read_any_answer(request: Request, response: RawResponse) -> Envelope:
    """Return the answer of an unknown endpoint: an envelope, other JSON, a text, or nothing."""
    status, headers = response.status, response.headers
    bare = not response.broken and response.body.strip() in (b"", b"null")
    found = _document(response)
    if found is None and not bare and not response.broken:
        found = _plain_text(response)
    if found is None and not bare:
        what = _describe(request, response, {}, [], 0)
        raise _invalid(request, status, headers, f"{what} instead of JSON or text")
    try:
        found = values.plain_json(found)
    except RecursionError:
        raise _invalid(request, status, headers, f"more than {values.MOST_LEVELS} levels of nesting") from None
    if not isinstance(found, dict) or "data" not in found:
        return Envelope(found, {}, request, status, headers=headers)
    data, given = found.pop("data"), {name: found.get(name) or {} for name in ("links", "meta")}
    parts = {name: part for name, part in given.items() if isinstance(part, dict)}
    extra = {name: value for name, value in found.items() if name not in parts}
    links, meta = parts.get("links", {}), parts.get("meta", {})
    return Envelope(data, links, request, status, meta, headers=headers, extra=extra)


def _plain_text(response: RawResponse) -> str | None:
    """Return the text of an answer with a text type; None for HTML, which no API sends, and for other types."""
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/") or _is_html(response):
        return None
    charset = re.search(r"charset=\"?([\w.:-]+)", kind)
    try:
        return response.body.decode(charset[1] if charset else "utf-8").removeprefix("\ufeff")
    except (ValueError, LookupError):
        return None


def _has_no_record(response: RawResponse, document: Mapping[str, object]) -> bool:
    """Say whether an answer of the API reports no failure but has no record."""
    if response.broken or not document:
        return not response.broken and response.body.strip() in _NO_RECORD
    return document.keys() <= {"links", "meta"}


def _slash_redirect(request: Request, response: RawResponse) -> URL | None:
    """Return the target of a redirect of a read if it differs from our address only by a slash at the end."""
    if response.status not in _REDIRECTS or request.method != "GET" or request.redirected:
        return None
    ours = request.url
    try:
        url = ours.join(URL(response.headers.get("location", "")))
    except ValueError:
        return None
    same_origin = (url.scheme, url.host, url.port) == (ours.scheme, ours.host, ours.port)
    same_query = sorted(url.query.items()) == sorted(ours.query.items())  # Symfony sorts it
    by_a_slash = url.path == f"{ours.path}/" or f"{url.path}/" == ours.path
    nothing_else = not (url.user or url.password or url.fragment)
    return url if same_origin and same_query and by_a_slash and nothing_else else None


def _invalid(
    request: Request,
    status: int,
    headers: Mapping[str, str],
    what: str,
    json_path: str = "$",
    resource: str = "",
    record_id: str | None = None,
) -> errors.InvalidResponse:
    record_id = request.scrub(record_id) if record_id else None
    about = f" about {resource} {record_id}" if record_id else ""
    found = request_id(request, headers)
    # If a PATCH gets here, its answer has another record: that does not show whether the update was accepted.
    done = "The write itself was accepted. " if request.method == "POST" and resource else ""
    return errors.InvalidResponse(
        f"{request} was answered {with_id(status, found)} with something unexpected{about}: {what}, at {json_path}. "
        f"{done}{Advice.INVALID}",
        resource,
        record_id,
        json_path,
        status,
        request.method,
        request.url.path,
        request.attempt,
        found,
    )


def _error(request: Request, response: RawResponse) -> errors.TicketSourceError:
    status, path = response.status, request.url.path
    if status < 200:
        return _invalid(request, status, response.headers, "a change of protocol that was not requested")
    if status < 400:
        target = request.scrub(response.headers.get("location", "nowhere"))
        what = f"a redirect to {target}, to which the API key must not be sent"
        return _invalid(request, status, response.headers, what)
    document = _document(response)
    if not isinstance(document, dict):
        document = {}
    listed, total = _error_objects(request, document)
    described = _describe(request, response, document, listed, total)
    found = request_id(request, response.headers)
    if _is_firewall_page(response, document):
        return errors.AccessBlocked(
            f"{request} was answered {with_id(status, found)} by a firewall in front of the API, not by the API "
            f"({described}). {Advice.FIREWALL}",
            status,
            request.method,
            path,
            request.attempt,
            found,
        )
    kind, advice = ERRORS.get(status, _SERVER_ERROR if status >= 500 else _OTHER_ERROR)
    wait = asked_wait(status, response.headers)
    asks = f"The API asks to wait {wait:,.15g} s. " if wait else ""
    return kind(
        f"{request} was answered {with_id(status, found)}: {described}. {asks}{advice}",
        status,
        listed,
        request.method,
        path,
        found,
        wait,
        request.attempt,
    )


# Parts of the page by which Cloudflare checks for a browser, of today and of earlier years.
_CHALLENGE: Final = re.compile(
    rb"/cdn-cgi/challenge-platform/|_cf_chl_|challenges\.cloudflare\.com|cf-browser-verification"
)


def _is_firewall_page(response: RawResponse, document: Mapping[str, object]) -> bool:
    if response.status == 403:  # the API itself gives the reason in JSON
        return "cf-mitigated" in response.headers or not document
    if response.status == 503:  # a server under repair may send any other page
        return "cf-mitigated" in response.headers or (
            _is_html(response) and _CHALLENGE.search(response.body[:_MOST_BYTES_SEARCHED]) is not None
        )
    return False


def _is_html(response: RawResponse) -> bool:
    declared = "html" in response.headers.get("content-type", "")
    return declared or re.match(rb"<(!doctype\s+)?html", _without_bom(response.body), re.IGNORECASE) is not None


# Money keeps every digit. A float would turn 0.10 into 0.1.
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)

_NOT_JSON: Final = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)


def _has_too_many_objects(body: bytes) -> bool:
    """Say whether a body may have so many objects that they fill the memory: `{},` needs thirty times its length."""
    return len(body) > 2 * _MOST_OBJECTS and body.count(b"{") + body.count(b"[") > _MOST_OBJECTS


def _document(response: RawResponse) -> object:
    """Return the JSON of an answer; None if the answer is not JSON."""
    if _has_too_many_objects(response.body):
        return None
    body = response.body if response.body[:1] == b"{" else _without_bom(response.body)
    try:
        return _DECODER.decode(body)
    except _NOT_JSON:
        return _decode_anything(body)


def _without_bom(body: bytes) -> bytes:
    """Return a body without white space and byte order marks at its start.

    PHP sends one mark for each of its source files that begins with one.
    """
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")


def _decode_anything(body: bytes) -> object:
    """Return JSON with half a surrogate pair or a number of any size; None if it is not JSON.

    msgspec refuses such JSON. `json` reads it, at a tenth of the speed.
    """
    try:
        text = body.decode()
        document = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_refuse)
        return _mark_unreadable(document)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> object:
    try:
        return int(text) if text.lstrip("-").isdigit() and len(text) < 4000 else Decimal(text)
    except ArithmeticError:  # 1e99999999999999999999
        return values.Unreadable(values.NumberText(text))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and the infinities are not JSON


def _mark_unreadable(value: object) -> object:
    """Return JSON in which each text that UTF-8 cannot hold is marked as unreadable."""
    if isinstance(value, dict):
        return {name: _mark_unreadable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mark_unreadable(inner) for inner in value]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return values.Unreadable(value)
    return value


_TEXTS: Final = ("id", "code", "title", "detail", "field")


def _error_objects(request: Request, document: Mapping[str, object]) -> tuple[list[ErrorObject], int]:
    """Return the first error objects, and the number of all of them."""
    found: list[ErrorObject] = []
    count = 0
    for entry in _entries(document.get("errors")):
        count += 1
        if count <= _MOST_ERRORS:
            texts = {name: request.scrub(text) for name in _TEXTS if isinstance(text := entry.get(name), str)}
            status = {"status": entry["status"]} if isinstance(entry.get("status"), int) else {}
            found.append(cast(ErrorObject, texts | status))
    return found, count


def _entries(listed: object) -> Iterator[Mapping[str, object]]:
    """Yield each error in `errors`: the API sends objects, Laravel sends texts by field, and plain texts count too."""
    fields: Iterable[tuple[str, object]] = [("", listed)]
    if isinstance(listed, dict) and values.as_list(listed) is None:
        is_one_object = any(isinstance(listed.get(name), str) for name in ("code", "detail"))
        fields = [("", [listed])] if is_one_object else listed.items()
    for name, said in fields:
        of_field = {"field": name} if name else {}
        several = said.values() if isinstance(said, dict) else said if isinstance(said, list) else [said]
        for entry in several:
            if isinstance(entry, str):
                yield {**of_field, "detail": entry}
            elif isinstance(entry, dict):
                yield {**entry, **of_field}


def _describe(
    request: Request, response: RawResponse, document: Mapping[str, object], listed: list[ErrorObject], total: int
) -> str:
    if listed:
        more = f"; and {total - _MOST_REASONS:,} more" if total > _MOST_REASONS else ""
        return "; ".join(map(_reason, listed[:_MOST_REASONS])) + more
    for name in ("message", "error"):  # Laravel's own errors do not have the API's form
        if isinstance(message := document.get(name), str):
            return request.scrub(message).rstrip(".")
    if response.broken:
        return response.broken
    if not response.body.strip():
        return "an empty body"
    if _has_too_many_objects(response.body):
        return f"{len(response.body)} bytes with more than {_MOST_OBJECTS:,} objects"
    return _text_around_json(_without_bom(response.body)) or _describe_page(request, response)


def _describe_page(request: Request, response: RawResponse) -> str:
    if not _is_html(response):
        return f"{len(response.body)} bytes that are not what the API sends"
    # The search is bounded: on a page that repeats "<title" it would take half a minute.
    title = re.search(rb"<title[^<>]{0,200}>([^<]{1,200})", response.body[:_MOST_BYTES_SEARCHED], re.IGNORECASE)
    return (
        f"an HTML page titled {request.scrub(title[1].decode(errors='replace').strip())!r}" if title else "an HTML page"
    )


_ENVELOPE: Final = re.compile(rb"\{\s*[\"}]")
_PHP_SAYS: Final = re.compile(r"\b(warning|notice|deprecated|fatal error|parse error)\b", re.IGNORECASE)
_PHP_FILE: Final = re.compile(r"([\w.-]{1,80}\.php)\b[^\n]{0,60}? on line \D{0,10}([0-9]{1,9})")


def _text_around_json(body: bytes) -> str | None:
    """Say what stands before or behind the JSON of a body; None if nothing does.

    The text itself is not shown, because it may hold people's data.
    """
    starts = [0] if body[:1] == b"{" else [found.start() for found in _ENVELOPE.finditer(body[:_MOST_BYTES_SEARCHED])]
    for start in starts[:_MOST_STARTS_TRIED]:
        text = body[start:].decode(errors="replace")
        try:
            end = json.JSONDecoder().raw_decode(text)[1]
        except (ValueError, RecursionError):
            continue
        before, behind = body[:start].decode(errors="replace"), text[end:]
        where, beside = ("before", before) if before else ("after", behind)
        if not beside.strip():
            return None
        if before and behind.strip():  # then it is not an answer of the API but a script in a page
            continue
        says, file = (pattern.search(beside[:_MOST_BYTES_SEARCHED]) for pattern in (_PHP_SAYS, _PHP_FILE))
        if says and file:
            return f"PHP's message {says[1].lower()!r} (from {file[1]}, line {file[2]}) {where} the JSON"
        return f"{len(beside):,} characters {where} the JSON"
    return None


def _reason(error: ErrorObject) -> str:
    said = [
        error.get("field", ""),
        error.get("code", ""),
        (error.get("detail") or error.get("title") or "").rstrip("."),
    ]
    return ": ".join(filter(None, said)) or "no reason given"
