"""Rows as the API sends them, and drafts."""

from datetime import UTC, date, datetime
from typing import Any

from ticketsource_async import (
    Address,
    AddressDraft,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    Membership,
    MembershipDraft,
)

API = "https://api.ticketsource.io"


def customer_row(number: int = 1, **attributes: object) -> dict[str, Any]:
    """Return the row of the guide with another id; `attributes` replace those of the guide."""
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
    telephone="01234555678",
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


def _row(kind: str, record_id: str, attributes: dict[str, Any], **links: str) -> dict[str, Any]:
    times = {"created_at": "2022-09-26T09:00:00+00:00", "updated_at": None}
    return {"id": record_id, "type": kind, "attributes": {**attributes, **times}, "links": links}


# One row of each read-only kind, as the API sends it.

EVENT_ROW = _row(
    "event",
    "evt-1",
    {
        "name": "The Mousetrap's Cousin",
        "reference": "MOUSE",
        "description": "<p>Who did it?</p>",
        "comment": None,
        "keywords": None,
        "terms": None,
        "category": "Theatre",
        "genre": "Crime",
        "images": [{"type": "header", "src": "https://x/1.png"}, {"type": "thumb", "src": None}],
        "third_party_consent": {
            "capture": True,
            "name": "Visiting Company",
            "show_consent": {"email": True, "post": False, "sms": None},
        },
        "activated": True,
        "archived": False,
        "public": True,
        "settled": False,
    },
    self=f"{API}/events/evt-1",
    venues=f"{API}/events/evt-1/venues",
    dates=f"{API}/events/evt-1/dates",
)


VENUE_ROW = _row(
    "venue",
    "ven-1",
    {
        "name": "Town Hall",
        "address": {"line_1": "1 High Street", "line_2": None, "line_3": None, "line_4": None, "postcode": "AB1 2CD"},
        "boxoffice": {"telephone": "01632960000", "email": None},
    },
    self=f"{API}/venues/ven-1",
    event=f"{API}/events/evt-1",
    dates=f"{API}/venues/ven-1/dates",
)


DATE_ROW = _row(
    "date",
    "dat-1",
    {
        "doors_open": None,
        "start": "2026-05-10T19:30:00+00:00",
        "end": "2026-05-10T22:00:00+00:00",
        "on_sale": True,
        "on_sale_start": "2026-01-01T09:00:00+00:00",
        "on_sale_end": None,
        "public": True,
        "cancelled": False,
    },
    self=f"{API}/dates/dat-1",
    event=f"{API}/events/evt-1",
    venue=f"{API}/venues/ven-1",
    bookings=f"{API}/dates/dat-1/bookings",
    book_now="https://x/booking/dat-1",
)


BOOKING_ROW = _row(
    "booking",
    "bkg-1",
    {
        "ref": "A12BCD",
        "lines": [
            {
                "line_type": "TICKETS",
                "payment_method": "TS",
                "is_refund": False,
                "amount": {
                    "gross": 10,
                    "fee": 0.65,
                    "fee_vat": 0.13,
                    "net": 9.22,
                    "discounts": {"automatic": 0, "code": {"description": "FRIEND", "amount": 1.5}},
                },
                "created_at": "2022-09-26T09:00:00+00:00",
                "updated_at": None,
            },
            {
                "line_type": "DONATION",
                "payment_method": "CASH",
                "is_refund": False,
                "amount": {"gross": 5, "fee": 0, "fee_vat": 0, "net": 5},
                "donation": {"gift_aid": True},
            },
            {
                "line_type": "TICKETS",
                "payment_method": "TS",
                "is_refund": True,
                "amount": {"gross": -2.5, "fee": 0, "fee_vat": 0, "net": -2.5},
            },
        ],
        "consent": {"third_party": "Visiting Company", "email": True, "post": False, "sms": None},
        "user_booked_by": "",
    },
    self=f"{API}/bookings/bkg-1",
    seats=f"{API}/bookings/bkg-1/seats",
    customer=f"{API}/customers/cst-1",
    date=f"{API}/dates/dat-1",
)


SEAT_ROW = _row(
    "seat",
    "sea-1",
    {
        "is_booked": True,
        "is_cancelled": False,
        "reference": {"row": None, "seat": None},
        "price_category": "Adult",
        "attendee": {
            "title": None,
            "first_name": "Alex",
            "last_name": "Sample",
            "company": {"name": "Acme", "title": None},
            "telephone": None,
            "email": None,
        },
    },
    self=f"{API}/seats/sea-1",
    booking=f"{API}/bookings/bkg-1",
)

ZOE = Customer(
    id="cst-1",
    first_name="Zoë",
    last_name='=HYPERLINK("x")',
    telephone="+44 (0)20 7946-0958",
    address=Address(line_1="Flat 1,\n2 High Street", postcode="LS1 1AA"),
    membership=Membership(identifier="-12", start_date=date(2024, 1, 31)),
    consent=Consent(email=True, post=False),
    created_at=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
    extra={"vip": True},
)
"""A customer with values that are difficult to write to a file."""
