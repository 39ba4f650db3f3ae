"""From wire bytes to records and back."""

import json
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from doubles import BOOKING_ROW, DATE_ROW, EVENT_ROW, KARL_DRAFT, KARL_SENT, KEY, SEAT_ROW, VENUE_ROW, customer_row
from yarl import URL

from ticketsource_async import (
    Address,
    Amount,
    Attendee,
    Booking,
    BookingConsent,
    BoxOffice,
    Company,
    Consent,
    ConsentDraft,
    Customer,
    CustomerDraft,
    DiscountCode,
    Discounts,
    Donation,
    Event,
    EventDate,
    EventImage,
    InvalidResponse,
    Links,
    MembershipDraft,
    Note,
    NoteDraft,
    Seat,
    SeatReference,
    ThirdPartyConsent,
    Totals,
    Venue,
)
from ticketsource_async._wire import converters, protocol

ACCESS = protocol.Access.of(KEY, "https://api.ticketsource.io", "tests/1", "bearer")
SENT = protocol.build(ACCESS, "GET", URL("https://api.ticketsource.io/customers/cst-1"))


def read(row: object, model: Any = Customer) -> Any:
    """Return the record that the bytes of an answer with this row give."""
    envelope = protocol.read(SENT, protocol.RawResponse(200, {}, json.dumps({"data": row}).encode()))
    return converters.structure(envelope.data, model, envelope)


def test_the_guides_customer_is_read_flat() -> None:
    """The guide's sample becomes one flat record, null as None, times aware."""
    customer = read(customer_row())

    assert customer == Customer(
        id="cst-xxxxxxxxxx1",
        first_name="Sample",
        last_name="Customer",
        address=Address("Off Edge", "Station Approach", "Penarth", "United Kingdom", "CF64 3EE"),
        telephone="03336664466",
        email="support@ticketsource.co.uk",
        membership=customer.membership,
        consent=Consent(email=True, post=False, sms=False),
        created_at=datetime(2019, 2, 12, 10, 58, 34, tzinfo=UTC),
        links=Links(
            self_="https://api.ticketsource.io/customers/cst-xxxxxxxxxx1",
            bookings="https://api.ticketsource.io/customers/cst-xxxxxxxxxx1/bookings",
        ),
    )
    assert customer.membership is not None
    assert customer.extra == {}


def test_whatever_may_be_null_or_left_out_is_none() -> None:
    """Null objects, missing attributes and missing links are None or empty, nothing else."""
    bare = {"id": "cst-1", "type": "customer", "attributes": {"address": None, "email": ""}}

    assert read(bare) == Customer(id="cst-1", email="")
    assert read({**bare, "links": None}) == read({**bare, "links": []}) == read(bare)


@pytest.mark.parametrize(
    ("attributes", "telephone", "extra"),
    [
        ({"telephone": "1", "phone": "1"}, "1", {}),
        ({"telephone": "1", "phone": None}, "1", {}),
        ({"telephone": None, "phone": "2"}, "2", {}),
        ({"phone": "2"}, "2", {}),
        ({"telephone": None}, None, {}),
        ({"telephone": "", "phone": None}, "", {}),
        ({"telephone": "1", "phone": "2"}, "1", {"phone": "2"}),
    ],
)
def test_telephone_is_read_with_phone_as_fall_back(attributes: dict[str, Any], telephone: Any, extra: Any) -> None:
    """`telephone` wins, `phone` stands in for it, and a `phone` that differs is not lost."""
    customer = read({"id": "cst-1", "type": "customer", "attributes": attributes})

    assert (customer.telephone, customer.extra) == (telephone, extra)


@pytest.mark.parametrize(
    "text", ["2022-03-26", "2022-03-26T00:00:00+00:00", "2022-03-26T23:30:00-05:00", "2022-03-26T09:00:00.123Z"]
)
def test_membership_dates_are_read_in_both_notations(text: str) -> None:
    """A date and a date-time give the calendar day as written, whatever its offset."""
    customer = read(customer_row(membership={"identifier": "M", "start_date": text, "end_date": None}))

    assert customer.membership.start_date == date(2022, 3, 26)


def test_unknown_attributes_are_kept_and_overwrite_nothing() -> None:
    """What we do not know lands in `extra` on its level, even if it is called like a field of ours."""
    row = customer_row(id="evil", links={"x": 1}, extra="e", vip=True, self_="s", type="t")
    row["attributes"]["address"]["county"] = "Glamorgan"
    row["attributes"]["consent"]["extra"] = 1
    row["links"] |= {"self_": "x", "loyalty": "https://x"}

    customer = read(row)

    assert customer.id == "cst-xxxxxxxxxx1"
    assert customer.extra == {"id": "evil", "links": {"x": 1}, "extra": "e", "vip": True, "self_": "s", "type": "t"}
    assert customer.address.extra == {"county": "Glamorgan"}
    assert customer.consent.extra == {"extra": 1}
    assert customer.links.self_ == "https://api.ticketsource.io/customers/cst-xxxxxxxxxx1"
    assert customer.links.extra == {"self_": "x", "loyalty": "https://x"}


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"consent": {"email": "false"}}, "consent.email"),
    ({"consent": {"sms": 0}}, "consent.sms"),
    ({"consent": "yes"}, "consent"),
    ({"consent": []}, "consent"),
    ({"first_name": 5}, "first_name"),
    ({"telephone": 1632960001}, "telephone"),
    ({"telephone": None, "phone": 1632960001}, "phone"),
    ({"address": {"postcode": ["x"]}}, "address.postcode"),
    ({"created_at": "2019-02-12T10:58:34"}, "created_at"),
    ({"updated_at": "yesterday"}, "updated_at"),
    ({"updated_at": 1549969114}, "updated_at"),
    ({"membership": {"start_date": "2022-13-01"}}, "membership.start_date"),
    ({"membership": {"start_date": "2022-03-26 nonsense"}}, "membership.start_date"),
    ({"membership": {"end_date": "2022-03-26T10:00:00"}}, "membership.end_date"),
    ({"membership": {"end_date": ""}}, "membership.end_date"),
    ({"membership": {"end_date": 20220326}}, "membership.end_date"),
]


@pytest.mark.parametrize(("attributes", "place"), BROKEN)
def test_nothing_is_coerced_and_the_error_says_where(attributes: dict[str, Any], place: str) -> None:
    """A value of the wrong type raises InvalidResponse with resource, id and JSON path, and without the value."""
    with pytest.raises(InvalidResponse) as caught:
        read(customer_row(**attributes))

    error = caught.value
    assert (error.resource, error.id) == ("customer", "cst-xxxxxxxxxx1")
    assert error.json_path == f"$.data.attributes.{place}"
    assert "1632960001" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (7, "$.data"),
        (None, "$.data"),
        ([], "$.data"),
        ({"type": "customer", "attributes": {}}, "$.data.id"),
        ({"id": "", "attributes": {}}, "$.data.id"),
        ({"id": 7, "attributes": {}}, "$.data.id"),
        ({"id": "cst-1", "type": "venue", "attributes": {}}, "$.data.type"),
        ({"id": "cst-1", "type": "customer"}, "$.data.attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": []}, "$.data.attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": {}, "links": "x"}, "$.data.links"),
        ({"id": "cst-1", "type": "customer", "attributes": {}, "links": {"self": 7}}, "$.data.links.self"),
    ],
)
def test_a_row_that_is_no_record_says_what_is_missing(row: object, path: str) -> None:
    """A row without id, attributes or the right type is refused at its place."""
    with pytest.raises(InvalidResponse) as caught:
        read(row)

    assert caught.value.json_path == path


def test_a_note_is_read_with_its_customer() -> None:
    """A note has its own type and knows its customer."""
    row = {
        "id": "csn-1",
        "type": "customer_note",
        "attributes": {"description": "x", "created_by": None, "colour": "red"},
        "links": {"customer": "https://api.ticketsource.io/customers/cst-1"},
    }

    note = read(row, Note)

    assert (note.description, note.customer_id, note.extra) == ("x", "cst-1", {"colour": "red"})


def test_the_guides_create_example_is_sent_key_by_key() -> None:
    """A full draft gives the guide's body, keys in the guide's order."""
    assert converters.body(KARL_DRAFT) == json.dumps(KARL_SENT, separators=(",", ":")).encode()


def test_unset_is_left_out_none_is_null_and_an_update_names_the_id() -> None:
    """Only what is set is sent, None as null, and the envelope of an update carries `data.id`."""
    draft = CustomerDraft(phone=None, consent=ConsentDraft(sms=False), membership=MembershipDraft(end_date=None))

    assert json.loads(converters.body(draft, "cst-1")) == {
        "data": {
            "type": "customer",
            "id": "cst-1",
            "attributes": {"phone": None, "membership": {"end_date": None}, "consent": {"sms": False}},
        }
    }


def test_a_record_in_the_place_of_a_nested_draft_sends_all_its_fields_but_extra() -> None:
    """An Address sends every field, None as null, and never what we do not know."""
    draft = CustomerDraft(address=Address(line_1="1 High Street", extra={"county": "x"}))

    assert json.loads(converters.body(draft))["data"]["attributes"]["address"] == {
        "line_1": "1 High Street",
        "line_2": None,
        "line_3": None,
        "line_4": None,
        "postcode": None,
    }


def test_a_note_draft_has_the_type_of_a_note() -> None:
    """A note goes out as `customer_note`."""
    assert json.loads(converters.body(NoteDraft(description="x"))) == {
        "data": {"type": "customer_note", "attributes": {"description": "x"}}
    }


def changed(row: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a row in which one attribute is another; the path has numbers for the places of a list."""
    row = deepcopy(row)
    *above, last = path.split(".")
    inner: Any = row["attributes"]
    for step in above:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return row


def read_text(text: str, model: Any) -> Any:
    """Return the record that an answer with this very text gives."""
    envelope = protocol.read(SENT, protocol.RawResponse(200, {}, f'{{"data": {text}}}'.encode()))
    return converters.structure(envelope.data, model, envelope)


def test_an_event_is_read_to_the_last_field() -> None:
    """Images, the third party's consent and an unknown field are where they belong."""
    event = read(EVENT_ROW, Event)

    assert event.images == (EventImage("header", "https://x/1.png"), EventImage("thumb"))
    assert event.third_party_consent == ThirdPartyConsent(
        capture=True, name="Visiting Company", show_consent=Consent(email=True, post=False)
    )
    assert (event.category, event.public, event.comment) == ("Theatre", True, None)
    assert event.extra == {"settled": False}
    assert event.links.venues == "https://api.ticketsource.io/events/evt-1/venues"


def test_a_venue_and_a_date_know_where_they_belong() -> None:
    """Ids that are in links alone are properties, None if the link is null or missing; times are not converted."""
    venue, event_date = read(VENUE_ROW, Venue), read(DATE_ROW, EventDate)

    assert venue.boxoffice == BoxOffice(telephone="01632960000")
    assert venue.address == Address(line_1="1 High Street", postcode="AB1 2CD")
    assert (venue.event_id, event_date.event_id, event_date.venue_id) == ("evt-1", "evt-1", "ven-1")
    assert event_date.start == datetime(2026, 5, 10, 19, 30, tzinfo=UTC)
    assert event_date.links.book_now == "https://x/booking/dat-1"
    without: list[object] = [{"event": None, "venue": None}, {}, []]
    for links in without:
        lost = read({**DATE_ROW, "links": links}, EventDate)
        assert (lost.event_id, lost.venue_id) == (None, None)
    summer = read(changed(DATE_ROW, "start", "2026-07-01T19:30:00+01:00"), EventDate)
    assert summer.start.isoformat() == "2026-07-01T19:30:00+01:00"


def test_a_booking_is_read_to_the_last_digit_and_adds_up() -> None:
    """Lines, discounts, donation, refund and consent; sums take refunds off."""
    booking = read(BOOKING_ROW, Booking)
    tickets, donation, refund = booking.lines

    assert tickets.amount == Amount(
        gross=Decimal(10),
        fee=Decimal("0.65"),
        fee_vat=Decimal("0.13"),
        net=Decimal("9.22"),
        discounts=Discounts(Decimal(0), DiscountCode("FRIEND", Decimal("1.5"))),
    )
    assert donation.donation == Donation(gift_aid=True)
    assert refund.is_refund
    assert booking.consent == BookingConsent(third_party="Visiting Company", email=True, post=False)
    assert (booking.customer_id, booking.date_id, booking.user_booked_by) == ("cst-1", "dat-1", "")
    assert booking.totals() == Totals(
        gross=Decimal("12.5"),
        fee=Decimal("0.65"),
        fee_vat=Decimal("0.13"),
        net=Decimal("11.72"),
        refunds=Decimal("-2.5"),
        donations=Decimal(5),
    )


def test_a_sum_that_lacks_an_amount_is_none_and_one_without_lines_is_nothing() -> None:
    """What is not known is not guessed to be 0."""
    partly = read(changed(BOOKING_ROW, "lines.0.amount.fee", None), Booking).totals()
    wholly = read(changed(BOOKING_ROW, "lines.1.amount", None), Booking).totals()

    assert (partly.fee, partly.gross) == (None, Decimal("12.5"))
    assert (wholly.gross, wholly.donations, wholly.refunds) == (None, None, Decimal("-2.5"))
    assert read(changed(BOOKING_ROW, "lines", []), Booking).totals() == Totals(*[Decimal(0)] * 6)
    assert read(changed(BOOKING_ROW, "lines", None), Booking).totals() == Totals(*[None] * 6)


@pytest.mark.parametrize(
    "written", ["0.38", "0.10", "1", "0", "-12.50", "1234567.8901234567", "12345678901234567", "1.0"]
)
def test_money_is_exactly_what_is_written(written: str) -> None:
    """No digit of a number is lost, added or rounded on its way, nor in a sum or in the text of it."""
    text = json.dumps(BOOKING_ROW).replace('"gross": 10,', f'"gross": {written},')

    booking = read_text(text, Booking)

    assert str(booking.lines[0].amount.gross) == written
    assert booking.to_dict()["lines"][0]["amount"]["gross"] == written
    assert booking.totals().gross == Decimal(written) + Decimal("2.5")


@pytest.mark.parametrize(
    ("row", "model", "path", "value", "place"),
    [
        (BOOKING_ROW, Booking, "lines.0.amount.gross", "0.38", "lines[0].amount.gross"),
        (BOOKING_ROW, Booking, "lines.1.amount.fee", True, "lines[1].amount.fee"),
        (BOOKING_ROW, Booking, "lines.0.amount.discounts.code.amount", "1", "lines[0].amount.discounts.code.amount"),
        (BOOKING_ROW, Booking, "lines.2.is_refund", "true", "lines[2].is_refund"),
        (BOOKING_ROW, Booking, "lines.0.created_at", "2022-09-26T09:00:00", "lines[0].created_at"),
        (BOOKING_ROW, Booking, "lines", {}, "lines"),
        (BOOKING_ROW, Booking, "lines.0", 7, "lines[0]"),
        (BOOKING_ROW, Booking, "consent.email", "false", "consent.email"),
        (DATE_ROW, EventDate, "start", "2026-05-10T19:30:00", "start"),
        (DATE_ROW, EventDate, "cancelled", 0, "cancelled"),
        (EVENT_ROW, Event, "third_party_consent.show_consent.sms", "no", "third_party_consent.show_consent.sms"),
        (SEAT_ROW, Seat, "attendee.company.name", 7, "attendee.company.name"),
    ],
)
def test_a_wrong_value_at_any_depth_is_refused_with_its_place(
    row: dict[str, Any], model: Any, path: str, value: object, place: str
) -> None:
    """Nothing is coerced anywhere, and the error says where."""
    row = changed(BOOKING_ROW, "lines", [value]) if path == "lines.0" else changed(row, path, value)

    with pytest.raises(InvalidResponse) as caught:
        read(row, model)

    assert caught.value.json_path == f"$.data.attributes.{place}"
    assert caught.value.id == row["id"]


def test_unknown_attributes_are_kept_at_every_depth() -> None:
    """What this library does not know is in the `extra` of the part that it came with."""
    row = changed(changed(BOOKING_ROW, "lines.0.amount.currency", "GBP"), "lines.0.amount.discounts.code.extra", 1)
    seat = changed(SEAT_ROW, "attendee.company.vat", "x")

    amount = read(row, Booking).lines[0].amount

    assert amount.extra == {"currency": "GBP"}
    assert amount.discounts.code.extra == {"extra": 1}
    assert read(seat, Seat).attendee == Attendee(
        first_name="Alex", last_name="Sample", company=Company("Acme", extra={"vat": "x"})
    )


@pytest.mark.parametrize(
    ("row", "model"),
    [(EVENT_ROW, Event), (VENUE_ROW, Venue), (DATE_ROW, EventDate), (BOOKING_ROW, Booking), (SEAT_ROW, Seat)],
)
def test_whatever_is_null_or_left_out_of_the_read_only_records_is_none(row: dict[str, Any], model: Any) -> None:
    """Every attribute may be null, or missing, or all of them."""
    nulls = read({**row, "attributes": dict.fromkeys(row["attributes"])}, model)
    bare = read({"id": row["id"], "type": row["type"], "attributes": {}}, model)

    assert all(value is None for name, value in vars_of(nulls).items() if name not in ("id", "links", "extra"))
    assert all(value is None for name, value in vars_of(bare).items() if name not in ("id", "links", "extra"))
    assert json.loads(json.dumps(read(row, model).to_dict()))["id"] == row["id"]


def vars_of(record: Any) -> dict[str, object]:
    """Return the fields of a record."""
    return {name: getattr(record, name) for name in record.__slots__ if name != "__weakref__"}


def test_a_seat_that_is_not_allocated_has_no_row() -> None:
    """A reference of nulls is a reference all the same, and the booking is in the links."""
    seat = read(SEAT_ROW, Seat)

    assert seat.reference == SeatReference(None, None)
    assert seat.booking_id == "bkg-1"


def test_an_amount_beyond_all_money_is_refused() -> None:
    """A number whose sum would fill the memory is no amount."""
    for wild in ("1e999999999", "1e-999999999"):
        with pytest.raises(InvalidResponse, match="Expected an amount of money"):
            read_text(json.dumps(BOOKING_ROW).replace('"gross": 10,', f'"gross": {wild},'), Booking)


def test_a_link_that_is_no_address_has_no_id() -> None:
    """Nothing can be read from it, and nothing breaks."""
    assert read({**DATE_ROW, "links": {"venue": "http://["}}, EventDate).venue_id is None
