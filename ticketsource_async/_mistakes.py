"""Make errors that name the right option, field or operation for a wrong one; pure.

The tables have words of other libraries and of this API. A word that is in no table is compared with the real names.
"""

import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

Method = TypeVar("Method", bound=Callable[..., Coroutine[object, object, object]])

_WITH_OPTIONS: Final = "call `ts.with_options(timeouts=...).customers.list()`"
_LIST_WORDS: Final[Mapping[str, str]] = {
    "max_items=": "limit max maximum count total first top take size n num max_results max_rows",
    "per_page=": "page_size pagesize perpage page_limit batch_size chunk_size",
    "start_page=": "page page_number start first_page offset skip after cursor",
    "concurrency=": "parallel parallelism workers threads max_concurrency max_workers concurrent jobs prefetch",
    "on_invalid=": "on_error errors ignore_errors strict invalid",
    _WITH_OPTIONS: "timeout timeouts retry retries headers priority",
    "filter the rows with `if`, since the API cannot search": "search query q filter filters where name email",
    "sorted() on the rows, since the API cannot sort": "sort sort_by order order_by",
    "ts.customers.changes(store)": "since updated_since modified_since changed_since updated_after created_after",
}
_CALL_WORDS: Final[Mapping[str, str]] = {
    "timeouts=Timeouts(total=...)": "timeout total_timeout request_timeout connect_timeout read_timeout",
    "retry=RetryPolicy(attempts=...)": "retries max_retries attempts retry_policy tries",
    "retry=RetryPolicy(deadline=...)": "deadline",
    "on_event=": "callback on_request on_response hooks event_hooks events logger",
}
_START: Final = "start=StartFilter.between(first, last)"
_DATE_WORDS: Final = "date day dates between from_date to_date since until after before on end start_date"
_LISTING_WORDS: Final[Mapping[str, str]] = {
    _START: _DATE_WORDS,
    "concurrency=": _LIST_WORDS["concurrency="],
    "on_branch_error=": _LIST_WORDS["on_invalid="] + " on_invalid",
    "a `break` when you have enough rows": _LIST_WORDS["max_items="] + " max_items",
}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "list": _LIST_WORDS,
    "list_dates": {_START: _DATE_WORDS, **_LIST_WORDS},
    "paginate": {
        "query={...}": "params parameters filter filters where search q",
        "model=": "cls type record schema",
        **_LIST_WORDS,
    },
    "bulk call": {
        "concurrency=": _LIST_WORDS["concurrency="] + " limit batch_size",
        "fail_fast=": "stop_on_error raise_on_error raise_errors abort_on_error return_exceptions",
        _WITH_OPTIONS: "timeout timeouts retry retries headers priority",
    },
    "programme": _LISTING_WORDS,
    "all_bookings": _LISTING_WORDS,
    "TicketSource": {
        **_CALL_WORDS,
        "base_url=": "url api_url host endpoint server base_uri",
        "the key as its first argument": "key token apikey api_token secret access_token",
        "HTTPS_PROXY in the environment and trust_env=True": "proxy proxies proxy_url https_proxy",
        "ts.with_options(headers=...)": "headers default_headers extra_headers",
        "rate_limit=RateLimit(...)": "rate ratelimit rps requests_per_minute max_requests requests_per_second",
        "max_connections=": "concurrency connections pool_size limit max_concurrency",
        "session=": "http_client client connector transport ssl verify verify_ssl cert",
        "TICKETSOURCE_LOG=debug in the environment": "debug log log_level verbose logging",
    },
    "with_options": {
        **_CALL_WORDS,
        "headers=": "extra_headers default_headers header",
        "another TicketSource, since it is set for a whole client": "api_key key base_url user_agent auth rate_limit "
        "limiter max_connections max_body session trust_env trace_configs proxy",
    },
    "request": {
        "query=": "params parameters param qs querystring args",
        "json=": "data body payload content form",
        "call `ts.with_options(headers=...).request(...)`": "headers timeout timeouts retry retries on_event priority",
    },
    "Timeouts": {
        "response=": "read sock_read read_timeout write silence idle",
        "total=": "timeout overall request all",
        "connect=": "sock_connect connection pool open",
    },
    "RetryPolicy": {
        "attempts=": "retries max_retries max_attempts total tries max_tries stop count",
        "wait_initial=": "backoff backoff_factor wait delay initial wait_min",
        "wait_max=": "max_wait backoff_max max_delay max_backoff",
        "deadline=": "timeout total_timeout max_time",
    },
    "RateLimit": {
        "limit=": "requests max_rate calls rate max_requests max_calls",
        "per=": "seconds period time_period window interval",
        "share=": "processes workers divide shares",
    },
    "CustomerDraft": {
        "telephone=": "phone mobile tel phone_number telephone_number mobile_number cell",
        "first_name=": "firstname given_name forename name fname",
        "last_name=": "lastname surname family_name lname",
        "email=": "mail e_mail email_address",
        "address=AddressDraft(postcode=...)": "postcode post_code zip zip_code postal_code",
        "address=AddressDraft(line_1=...)": "street town city county country line_1 line_2 line_3 line_4 address1",
        "membership=MembershipDraft(identifier=...)": "membership_number member_number membership_id member_id",
        "consent=ConsentDraft(email=...)": "email_consent consents opt_in marketing newsletter sms post gdpr",
        "ts.notes.create(customer, NoteDraft(description=...))": "note notes comment comments description",
        "leave it out, since the API sets it": "id created_at updated_at links extra invalid type",
    },
    "AddressDraft": {
        "line_1= to line_4=, since the API has no field for it": "town city county country state region street",
        "postcode=": "post_code zip zip_code postal_code",
    },
    "MembershipDraft": {
        "identifier=": "number id membership_number member_number code",
        "start_date=": "start since valid_from from_date begin",
        "end_date=": "end until expires expiry valid_until to_date expiry_date",
    },
    "ConsentDraft": {"email=": "mail e_mail", "sms=": "text phone telephone mobile", "post=": "mailing letter postal"},
    "NoteDraft": {
        "description=": "text note body content message comment",
        "created_by=": "author user by staff",
    },
}
_READ_ONLY: Final = {
    "do that on the TicketSource web site, since the API only reads these": "create update delete save edit"
}
_OPERATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Events": _READ_ONLY,
    "Venues": {
        **_READ_ONLY,
        "ts.events.list_venues(event), since the API lists venues by event, or ts.programme()": "list",
    },
    "Dates": {
        **_READ_ONLY,
        "ts.events.list_dates(event) or ts.venues.list_dates(venue), since the API lists dates by these, or "
        "ts.programme()": "list",
    },
    "Bookings": {
        **_READ_ONLY,
        "ts.dates.list_bookings(date) or ts.customers.list_bookings(customer), since the API lists bookings by these, "
        "or ts.all_bookings()": "list",
    },
    "Seats": {**_READ_ONLY, "ts.bookings.list_seats(booking), since the API lists seats by booking": "list"},
    "Notes": {"`delete` and `create`, since a note cannot be changed": "update save edit patch"},
    "Customers": {
        "list(), and look at each customer: the API cannot search": "search find filter query where get_by_email "
        "find_by_email lookup find_one",
        "ts.notes.list(customer)": "notes list_notes get_notes",
        "changes(store)": "sync updates changed since",
    },
    "Address": {"line_1 to line_4, since the API has no field for it": "town city county country state region street"},
    "TicketSource": {"`await ts.aclose()`": "close shutdown stop disconnect"},
    "Operations": {
        "`aclose` of the client, which also ends its views": "aclose close",
        'ts.request("GET", path)': "get post put patch delete send call fetch",
        "ts.customers.list()": "list list_customers get_customers all",
        "ts.customers.changes(store)": "changes sync",
    },
    "Pager": {"`await pager.collect()`": "all to_list list items data rows results fetch read"},
    "Bulk": {"`await bulk.collect()`": "all to_list list items data rows results fetch run"},
    "Customer": {
        "telephone": "phone mobile tel phone_number",
        "first_name and last_name": "name full_name",
        "membership.identifier": "membership_number member_number",
        "ts.notes.list(customer)": "notes",
        "ts.customers.list_bookings(customer)": "bookings",
    },
    "Booking": {
        "totals()": "total amount gross net sum price",
        "ts.bookings.list_seats(booking)": "seats",
        "customer_id": "customer",
        "ts.customers.get(booking.customer_id)": "email telephone phone first_name last_name name address",
        "date_id": "date",
    },
    "Event": {"ts.events.list_dates(event)": "dates", "ts.events.list_venues(event)": "venues venue"},
    "EventDate": {"ts.dates.list_bookings(date)": "bookings", "event_id": "event", "venue_id": "venue"},
}
_COMMON_OPERATIONS: Final[Mapping[str, str]] = {
    "list()": "all list_all get_all fetch_all find_all iter each items",
    "get(id)": "retrieve fetch read find get_one show by_id",
    "create(draft)": "add insert new post make",
    "update(id, draft)": "edit modify patch change put",
    "delete(id)": "remove destroy erase",
}


_VERBS: Final = ("leave ", "call ", "filter ", "do ")  # the first words of advice that is more than a name


def _right_name(table: Mapping[str, str], name: str) -> str | None:
    """Return the right name for a word in a table; None if the word is not in it."""
    return next((right for right, words in table.items() if name in words.split()), None)


def _closest(name: str, known: Iterable[str]) -> str | None:
    found = get_close_matches(name.lower(), list(known), 1, 0.7)
    return found[0] if found else None


def unknown_option_error(call: str, given: Iterable[str], known: Iterable[str]) -> TypeError:
    """Return the error for an option that a call or a class does not have; `given` is emptied if it is a dict."""
    name, known = next(iter(given)), list(known)
    if isinstance(given, dict):
        given.clear()  # a report with locals would show the values, which may be secret
    right = _right_name(_WORDS.get(call, {}), name) or _of_part(call, name, known)
    if right is None and (close := _closest(name, known)) is not None:
        right = f"{close}="
    if right and not right.startswith(_VERBS):
        right = f"use {right}"
    hint = right or f"it has {', '.join(known)}"
    what = call if call[0].isupper() else f"a {call}" if " " in call else f"{call}()"
    return TypeError(f"{what} has no {name!r}: {hint}")


def explains_fields_of(draft: type) -> Callable[[Method], Method]:
    """Return a decorator for a call with a draft: the error for a field that is passed to the call names the draft."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        async def call(self: object, *given: object, **named: object) -> object:
            if unknown := [name for name in named if name != "draft"]:
                named.clear()  # a report with locals would show people's data
                raise TypeError(f"{method.__name__}() has no {unknown[0]!r}: {_in_draft(draft, unknown[0])}")
            return await method(self, *given, **named)

        return cast(Method, call)

    return decorate


def _in_draft(draft: Any, name: str) -> str:
    """Return the text that says how to set a field in a draft."""
    kind, known = draft.__name__, [field.alias for field in attrs.fields(draft)]
    if name in ("customer", "customer_id", "id"):
        return "the customer, or the id, is the first argument, without a name"
    right = f"{name}=" if name in known else _right_name(_WORDS[kind], name) or _of_part(kind, name, known)
    if right is None and (close := _closest(name, known)) is not None:
        right = f"{close}="
    if right is None:
        return f"it takes a {kind}, which has {', '.join(known)}"
    if not re.match(r"\w+=", right):  # the advice is not a field of the draft
        return right if right.startswith(_VERBS) else f"use {right}"
    return f"use {kind}({right}{'...' if right.endswith('=') else ''})"


def _of_part(call: str, name: str, known: Iterable[str]) -> str | None:
    """Return how to set the field of a part, if the name may mean one, such as `address_line_1`; else None."""
    for part in known:
        if name.startswith(f"{part}_"):
            kind = f"{part.title()}{'Draft' if call.endswith('Draft') else ''}"
            return f"{part}={kind}({name.removeprefix(f'{part}_')}=...)"
    return None


def hint_for(owner: type, name: str, besides: Iterable[str] = (), parts: Mapping[str, str] | None = None) -> str:
    """Return the text of the error for an attribute that a class does not have.

    `besides`: attributes of the instances that `dir` of the class does not list. `parts`: the right name for some wrong
    names.
    """
    known = [*besides, *(found for found in dir(owner) if not found.startswith("_") and found.islower())]
    tables = [table for kind in owner.__mro__ if (table := _OPERATIONS.get(kind.__name__)) is not None]
    right = next(filter(None, (_right_name(table, name) for table in tables)), None) or (parts or {}).get(name)
    if right is None and (other := _right_name(_COMMON_OPERATIONS, name)) and other.partition("(")[0] in known:
        right = other
    if right is None:
        right = f"list_{name}" if f"list_{name}" in known else _closest(name, known)
    what = f"{owner.__name__} has no {name!r}"
    if right and right.startswith(_VERBS):
        return f"{what}: {right}"
    return f"{what}: use {right}" if right else f"{what}: it has {', '.join(known)}"


def await_first(value: object) -> str:
    """Return advice for a value that is a coroutine, because its `await` was forgotten; else an empty text."""
    return ". Put `await` in front of that call" if inspect.iscoroutine(value) else ""


class ExplainsOptions:
    """Base of attrs classes whose errors name the right field for a wrong one."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers report a wrong field themselves, from `__init__`

        def __new__(cls, *_: object, **given: object):  # noqa: ANN204 - type checkers do not see it
            """Raise an error that names the right field, before `__init__` raises one without it."""
            known = [field.alias for field in attrs.fields(cls)]
            if unknown := [name for name in given if name not in known]:
                raise unknown_option_error(cls.__name__, unknown, known)
            return object.__new__(cls)
