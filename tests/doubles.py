"""What tests put in the place of the network, and the guide's own payloads."""

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import date
from typing import Any
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses

from ticketsource_async import AddressDraft, ConsentDraft, CustomerDraft, MembershipDraft

API = "https://api.ticketsource.io"
KEY = "skl-not-a-real-key"


class _Response(aiohttp.ClientResponse):
    """What aioresponses answers with; aiohttp >= 3.14 wants an argument that aioresponses does not know."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs["stream_writer"] = Mock()
        super().__init__(*args, **kwargs)


class MockedAPI(aioresponses):
    """aioresponses at the API's address, with the requests it saw as plain data."""

    def answer(self, method: str, path: str, payload: object = None, *, status: int = 200, **how: Any) -> None:
        """Answer the next such request; `how` may have `body`, `headers` or `repeat`."""
        if payload is not None:
            how["body"] = json.dumps(payload)
        self.add(f"{API}{path}", method, status=status, response_class=_Response, **how)

    @property
    def sent(self) -> list[tuple[str, str, Any]]:
        """Method, path with query, and decoded body of each request, in order of first appearance of their address."""
        return [
            (method, url.path_qs, json.loads(call.kwargs["data"]) if call.kwargs["data"] is not None else None)
            for (method, url), calls in self.requests.items()
            for call in calls
        ]

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of each request, in the same order."""
        return [dict(call.kwargs["headers"]) for calls in self.requests.values() for call in calls]


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


def customer_row(number: int = 1, **attributes: object) -> dict[str, Any]:
    """Return a row as the guide shows it, with an id of its own; `attributes` replace those of the guide."""
    path = f"{API}/customers/cst-xxxxxxxxxx{number}"
    return {
        "id": f"cst-xxxxxxxxxx{number}",
        "type": "customer",
        "attributes": {
            "title": None,
            "first_name": "Sample",
            "last_name": "Customer",
            "address": {
                "line_1": "Off Edge",
                "line_2": "Station Approach",
                "line_3": "Penarth",
                "line_4": "United Kingdom",
                "postcode": "CF64 3EE",
            },
            "telephone": "03336664466",
            "email": "support@ticketsource.co.uk",
            "membership": {"identifier": None, "start_date": None, "end_date": None},
            "consent": {"email": True, "post": False, "sms": False},
            "created_at": "2019-02-12T10:58:34+00:00",
            "updated_at": None,
            **attributes,
        },
        "links": {"self": path, "bookings": f"{path}/bookings"},
    }


KARL_SENT: dict[str, Any] = {
    "data": {
        "type": "customer",
        "attributes": {
            "title": "",
            "first_name": "Karl",
            "last_name": "Jenkins",
            "address": {
                "line_1": "1 A Street",
                "line_2": "A Town",
                "line_3": "",
                "line_4": "",
                "postcode": "AB123CD",
            },
            "email": "karl@karljenkins.com",
            "phone": "01234555678",
            "membership": {"identifier": "A12345BCD", "start_date": "2020-01-01", "end_date": "2021-12-31"},
            "consent": {"email": True, "post": False, "sms": False},
        },
    }
}
"""The body of the guide's create example."""

KARL_DRAFT = CustomerDraft(
    title="",
    first_name="Karl",
    last_name="Jenkins",
    address=AddressDraft(line_1="1 A Street", line_2="A Town", line_3="", line_4="", postcode="AB123CD"),
    email="karl@karljenkins.com",
    phone="01234555678",
    membership=MembershipDraft(identifier="A12345BCD", start_date=date(2020, 1, 1), end_date=date(2021, 12, 31)),
    consent=ConsentDraft(email=True, post=False, sms=False),
)
"""The draft that sends it."""

KARL = customer_row(
    2,
    first_name="Karl",
    last_name="Jenkins",
    address={"line_1": "1 A Street", "line_2": "A Town", "line_3": None, "line_4": None, "postcode": "AB123CD"},
    telephone="01234555678",
    email="karl@karljenkins.com",
    membership={"identifier": "A12345BCD", "start_date": "2020-01-01", "end_date": "2021-12-31"},
    created_at="2020-04-09T16:36:05+00:00",
)
"""The record that the guide's create example answers with."""


def page(rows: list[dict[str, Any]], next_: object = None, number: int = 1, per_page: int = 100) -> dict[str, Any]:
    """Return a list answer as the guide shows it."""
    path = f"{API}/customers"
    return {
        "data": rows,
        "links": {"first": f"{path}?page=1", "last": None, "prev": None, "next": next_},
        "meta": {"current_page": number, "from": 1, "path": path, "per_page": per_page, "to": len(rows)},
    }
