"""From the rows of the API to records: which values are kept, flagged or refused."""

import json
import linecache
import pickle
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from mocked import KEY
from rows import BOOKING_ROW, DATE_ROW, EVENT_ROW, SEAT_ROW, VENUE_ROW, customer_row
from yarl import URL

from ticketsource_async import (
    Address,
    Amount,
    Attendee,
    Booking,
    BookingConsent,
    BookingLine,
    BoxOffice,
    Company,
    Consent,
    Customer,
    DiscountCode,
    Discounts,
    Donation,
    Event,
    EventDate,
    EventImage,
    InvalidID,
    Links,
    Note,
    Record,
    Seat,
    SeatReference,
    ThirdPartyConsent,
    Totals,
    Venue,
)
from ticketsource_async._wire import response
from ticketsource_async._wire.request import Credentials, Request, Secret
from ticketsource_async.models.ids import checked_id
from ticketsource_async.models.reader import NOT_ATTRIBUTES, Refused, read_row, reader_of
from ticketsource_async.models.values import NOTHING

CREDENTIALS = Credentials.of(Secret(KEY), "https://api.ticketsource.io", "tests/1", "bearer")
SENT = Request(CREDENTIALS, "GET", URL("https://api.ticketsource.io/customers/cst-1"))


def read(row: object, model: Any = Customer) -> Any:
    """Return the record that is read from an answer with this row."""
    envelope = response.read(SENT, response.RawResponse(200, {}, json.dumps({"data": row}).encode()))
    return read_row(envelope.data, model)


def test_the_guides_customer_is_read_flat() -> None:
    """A null is None, and times have a time zone."""
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


def test_a_null_or_missing_value_is_none() -> None:
    """Null objects and missing attributes are None, and missing links are empty."""
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
        ({"telephone": None, "phone": ["2"]}, None, {}),
    ],
)
def test_the_telephone_is_read_from_phone_if_it_is_missing(
    attributes: dict[str, Any], telephone: Any, extra: Any
) -> None:
    """If both are there and differ, `phone` is in `extra`."""
    customer = read({"id": "cst-1", "type": "customer", "attributes": attributes})

    assert (customer.telephone, customer.extra) == (telephone, extra)


@pytest.mark.parametrize(
    "text",
    [
        "2022-03-26",
        "2022-03-26T00:00:00+00:00",
        "2022-03-26 00:00:00",
        "2022-03-26T00:00:00.000000Z",
        "2022-03-26T00:00:00-05:00",
    ],
)
def test_membership_dates_are_read_in_both_notations(text: str) -> None:
    """They may be days, or days with a time of exactly midnight."""
    customer = read(customer_row(membership={"identifier": "M", "start_date": text, "end_date": None}))

    assert customer.membership.start_date == date(2022, 3, 26)


def test_unknown_attributes_are_kept_and_replace_no_field() -> None:
    """They are in `extra` of their level, even if they have the name of a field."""
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


ODD: list[tuple[Any, Any, str, object]] = [
    (customer_row(), Customer, "consent.email", "false"),
    (customer_row(), Customer, "consent.email", 1),
    (customer_row(), Customer, "consent.email", "1"),
    (customer_row(), Customer, "consent.sms", 0),
    (customer_row(), Customer, "consent.post", []),
    (customer_row(), Customer, "consent.post", "true"),
    (customer_row(), Customer, "consent", "yes"),
    (customer_row(), Customer, "consent", True),
    (customer_row(), Customer, "first_name", True),
    (customer_row(), Customer, "first_name", {"en": "Karl"}),
    (customer_row(), Customer, "address.postcode", ["x"]),
    (customer_row(), Customer, "address", "1 High Street"),
    (customer_row(), Customer, "created_at", "2019-02-12T10:58:34"),
    (customer_row(), Customer, "created_at", "2019-02-12T10:58:34+0000"),
    (customer_row(), Customer, "created_at", "2019-02-12T10:58+00:00"),
    (customer_row(), Customer, "created_at", "20190212T105834Z"),
    (customer_row(), Customer, "created_at", "2019-W07-2T10:58:34+00:00"),
    (customer_row(), Customer, "created_at", "2019-02-12T24:00:00+00:00"),
    (customer_row(), Customer, "created_at", "2019-02-12T10:58:34+00:99"),
    (customer_row(), Customer, "created_at", "2019-02-12"),
    (customer_row(), Customer, "created_at", "2019-02-30T10:58:34Z"),
    (customer_row(), Customer, "created_at", "\uff12019-02-12T10:58:34Z"),
    (customer_row(), Customer, "created_at", 1549969114),
    (customer_row(), Customer, "membership.start_date", "2022-13-01"),
    (customer_row(), Customer, "membership.start_date", "2022-03-26 nonsense"),
    (customer_row(), Customer, "membership.start_date", "20220326"),
    (customer_row(), Customer, "membership.end_date", "31.12.2020"),
    (customer_row(), Customer, "membership.end_date", "2022-03-26T23:30:00-05:00"),
    (customer_row(), Customer, "membership.end_date", "2022-03-26T00:00:00.001Z"),
    (customer_row(), Customer, "membership.end_date", 20220326),
    (customer_row(), Customer, "membership.end_date", False),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "abc"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "1,50"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", " 1.50"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "\uff11"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "1e5"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "NaN"),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", 10**120),
    (BOOKING_ROW, Booking, "lines[1].amount.fee", True),
    (BOOKING_ROW, Booking, "lines[2].is_refund", "true"),
    (BOOKING_ROW, Booking, "lines[0].created_at", "2022-09-26T09:00:00"),
    (BOOKING_ROW, Booking, "lines[0].amount.discounts.code", 3),
    (BOOKING_ROW, Booking, "lines", {"a": {}}),
    (BOOKING_ROW, Booking, "lines[0]", 7),
    (BOOKING_ROW, Booking, "lines[1]", None),
    (BOOKING_ROW, Booking, "consent.email", "false"),
    (DATE_ROW, EventDate, "start", "2026-05-10T19:30:00"),
    (DATE_ROW, EventDate, "cancelled", 0),
    (EVENT_ROW, Event, "third_party_consent.show_consent.sms", "no"),
    (EVENT_ROW, Event, "images[1].src", False),
    (SEAT_ROW, Seat, "attendee.company.name", []),
]


def value_at(record: Any, path: str) -> Any:
    """Return the value of a record at a path."""
    for step in path.replace("[", ".").replace("]", "").split("."):
        record = record[int(step)] if step.isdigit() else getattr(record, step)
    return record


@pytest.mark.parametrize(("row", "model", "path", "value"), ODD)
def test_an_unreadable_value_is_none_and_is_kept_in_invalid(row: Any, model: Any, path: str, value: object) -> None:
    """All other fields are read as usual."""
    whole, record = read(row, model), read(changed(row, path, value), model)

    assert record.invalid == {path: value}
    read_as = value_at(record, path)
    assert read_as is None or read_as == BookingLine()  # an item of a list keeps its place
    other = model.from_dict({k: v for k, v in record.to_dict().items() if k != "invalid"})
    expected = changed({"attributes": whole.to_dict()}, path, None)["attributes"]
    if read_as is None:
        assert other.to_dict() == expected
    assert model.from_dict(json.loads(json.dumps(record.to_dict()))) == record != other
    assert hash(record) == hash(other)


LOSSLESS: list[tuple[Any, Any, str, object, object]] = [
    (customer_row(), Customer, "address", [], Address()),
    (customer_row(), Customer, "address", "", None),
    (customer_row(), Customer, "consent", [], Consent()),
    (customer_row(), Customer, "consent.email", "", None),
    (customer_row(), Customer, "telephone", 1632960001, "1632960001"),
    (customer_row(), Customer, "membership.identifier", 12.5, "12.5"),
    (customer_row(), Customer, "created_at", "", None),
    (customer_row(), Customer, "updated_at", "0000-00-00 00:00:00", None),
    (customer_row(), Customer, "updated_at", "-0001-11-30T00:00:00+00:00", None),
    (customer_row(), Customer, "updated_at", "-0001-11-30T00:00:00.000000Z", None),
    (customer_row(), Customer, "updated_at", "-0001-11-30T00:00:00-00:01:15", None),
    (
        customer_row(),
        Customer,
        "updated_at",
        "2019-02-12 10:58:34.123456Z",
        datetime(2019, 2, 12, 10, 58, 34, 123456, UTC),
    ),
    (customer_row(), Customer, "membership.start_date", "0000-00-00", None),
    (customer_row(), Customer, "membership.start_date", "0000-00-00 00:00:00", None),
    (customer_row(), Customer, "membership.end_date", "", None),
    (customer_row(), Customer, "membership.end_date", "-0001-11-30T00:00:00+00:00", None),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "12.50", Decimal("12.50")),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "-7", Decimal(-7)),
    (BOOKING_ROW, Booking, "lines[0].amount.gross", "", None),
    (BOOKING_ROW, Booking, "lines[1].donation", [], Donation()),
    (BOOKING_ROW, Booking, "lines[0]", [], BookingLine()),
    (BOOKING_ROW, Booking, "lines", [], ()),
    (BOOKING_ROW, Booking, "lines", {}, ()),
    (
        BOOKING_ROW,
        Booking,
        "lines",
        {"0": {"line_type": "A"}, "2": {"line_type": "B"}},
        (BookingLine("A"), BookingLine("B")),
    ),
    (BOOKING_ROW, Booking, "lines", "", None),
    (EVENT_ROW, Event, "name", 42, "42"),
]


@pytest.mark.parametrize(("row", "model", "path", "value", "expected"), LOSSLESS)
def test_another_form_of_a_value_is_read_without_a_flag(
    row: Any, model: Any, path: str, value: object, expected: object
) -> None:
    """PHP, MySQL and spreadsheets write some values in other forms, which lose nothing."""
    record = read(changed(row, path, value), model)

    assert value_at(record, path) == expected
    assert type(value_at(record, path)) is type(expected)
    assert record.invalid == {}
    assert record.invalid is NOTHING


@pytest.mark.parametrize("links", ["x", 7, {"self": 7.5, "bookings": False}])
def test_unreadable_links_are_kept_in_invalid(links: Any) -> None:
    """The record comes without them."""
    customer = read({**customer_row(), "links": links})

    assert (customer.links.bookings, customer.email) == (None, "support@ticketsource.co.uk")
    assert set(customer.invalid) == ({"links"} if not isinstance(links, dict) else {"links.bookings"})


@pytest.mark.parametrize(("kind", "flag"), [("loyal_customer", "loyal_customer"), (None, None), ([], []), (7, 7)])
def test_an_unknown_type_is_kept_in_invalid(kind: object, flag: object) -> None:
    """It may be a new word for the same kind of record."""
    row = customer_row()
    row["type"] = kind
    assert read(row).invalid == {"type": flag}
    del row["type"]
    assert read(row).invalid == {"type": None}


@pytest.mark.parametrize(
    ("given", "record_id"), [(12345, "12345"), ("Customer_7", "Customer_7"), ("cst-a.b~c", "cst-a.b~c")]
)
def test_an_id_is_kept_as_the_api_sends_it(given: object, record_id: str) -> None:
    """A number becomes its digits. A call accepts such an id."""
    assert read({**customer_row(), "id": given}).id == record_id
    assert checked_id(record_id, Customer) == record_id


@pytest.mark.parametrize(("kind", "what"), [(Event, "an event"), (Venue, "a venue")])
def test_the_error_for_a_wrong_id_names_the_kind_of_record(kind: type[Record], what: str) -> None:
    """The article fits the name."""
    with pytest.raises(InvalidID, match=f"'cst-1' is not the id of {what}: "):
        checked_id("cst-1", kind)


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (7, ""),
        ({"id": "cst-1", "type": json.loads("[" * 400 + "]" * 400), "attributes": {}}, ""),
        ({"id": "cst-1", "type": "customer", "attributes": {"vip": json.loads("[" * 400 + "]" * 400)}}, ""),
        (None, ""),
        ([], ""),
        ({"type": "customer", "attributes": {}}, ".id"),
        ({"id": "", "attributes": {}}, ".id"),
        ({"id": True, "attributes": {}}, ".id"),
        ({"id": "../x", "attributes": {}}, ".id"),
        ({"id": "..", "attributes": {}}, ".id"),
        ({"id": "a b", "attributes": {}}, ".id"),
        ({"id": "evt-1", "attributes": {}}, ".id"),
        ({"id": 7.5, "attributes": {}}, ".id"),
        ({"id": "cst-1", "type": "venue", "attributes": {}}, ".type"),
        ({"id": "cst-1", "type": "customer"}, ".attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": None}, ".attributes"),
        ({"id": "cst-1", "type": "customer", "attributes": "x"}, ".attributes"),
    ],
)
def test_the_error_of_a_row_that_is_no_record_names_the_place(row: object, path: str) -> None:
    """A row needs an id, attributes and the right type."""
    with pytest.raises(Refused) as caught:
        read(row)

    assert caught.value.path == path


def test_a_note_is_read_with_its_customer() -> None:
    """The id of its customer is in its link."""
    row = {
        "id": "csn-1",
        "type": "customer_note",
        "attributes": {"description": "x", "created_by": None, "colour": "red"},
        "links": {"customer": "https://api.ticketsource.io/customers/cst-1"},
    }

    note = read(row, Note)

    assert (note.description, note.customer_id, note.extra) == ("x", "cst-1", {"colour": "red"})


def changed(row: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a row with one attribute changed."""
    row = deepcopy(row)
    *above, last = [
        int(step) if step.isdigit() else step for step in path.replace("[", ".").replace("]", "").split(".")
    ]
    inner: Any = row["attributes"]
    for step in above:
        inner = inner[step]
    inner[last] = value
    return row


def read_text(text: str, model: Any) -> Any:
    """Return the record that is read from an answer with exactly this text."""
    envelope = response.read(SENT, response.RawResponse(200, {}, f'{{"data": {text}}}'.encode()))
    return read_row(envelope.data, model)


def test_an_event_is_read_with_its_parts() -> None:
    """These are images, the consent for a third party, and an unknown field."""
    event = read(EVENT_ROW, Event)

    assert event.images == (EventImage("header", "https://x/1.png"), EventImage("thumb"))
    assert event.third_party_consent == ThirdPartyConsent(
        capture=True, name="Visiting Company", show_consent=Consent(email=True, post=False)
    )
    assert (event.category, event.public, event.comment) == ("Theatre", True, None)
    assert event.extra == {"settled": False}
    assert event.links.venues == "https://api.ticketsource.io/events/evt-1/venues"


def test_venues_and_dates_have_the_ids_of_their_links() -> None:
    """An id is None if its link is null or missing. Times keep their offset."""
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


def test_a_booking_is_read_with_exact_amounts_and_totals() -> None:
    """Totals subtract refunds."""
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


def test_a_total_without_an_amount_is_none_and_one_without_lines_is_zero() -> None:
    """An unknown amount is not counted as 0."""
    partly = read(changed(BOOKING_ROW, "lines[0].amount.fee", None), Booking).totals()
    wholly = read(changed(BOOKING_ROW, "lines[1].amount", None), Booking).totals()

    assert (partly.fee, partly.gross) == (None, Decimal("12.5"))
    assert (wholly.gross, wholly.donations, wholly.refunds) == (None, None, Decimal("-2.5"))
    assert read(changed(BOOKING_ROW, "lines", []), Booking).totals() == Totals(*[Decimal(0)] * 6)
    assert read(changed(BOOKING_ROW, "lines", None), Booking).totals() == Totals(*[None] * 6)


@pytest.mark.parametrize(
    ("path", "value", "unknown"),
    [
        ("lines[0]", "x", {"gross", "fee", "fee_vat", "net", "refunds", "donations"}),
        ("lines[0].is_refund", "no", {"refunds"}),
        ("lines[0].line_type", [], {"donations"}),
        ("lines[0].payment_method", [], set()),
    ],
)
def test_a_total_is_none_if_the_kind_of_a_line_is_unreadable(path: str, value: object, unknown: set[str]) -> None:
    """Otherwise a refund or a donation would silently be missing from it."""
    totals = read(changed(BOOKING_ROW, path, value), Booking).totals()

    assert {name for name, amount in attrs.asdict(totals).items() if amount is None} == unknown


@pytest.mark.parametrize(
    "written", ["0.38", "0.10", "1", "0", "-12.50", "1234567.8901234567", "12345678901234567", "1.0"]
)
def test_money_keeps_every_digit(written: str) -> None:
    """No digit is lost, added or rounded in the record, in a total, or in `to_dict`."""
    text = json.dumps(BOOKING_ROW).replace('"gross": 10,', f'"gross": {written},')

    booking = read_text(text, Booking)

    assert str(booking.lines[0].amount.gross) == written
    assert booking.to_dict()["lines"][0]["amount"]["gross"] == written
    assert booking.totals().gross == Decimal(written) + Decimal("2.5")


def test_unknown_attributes_are_kept_at_every_depth() -> None:
    """They are in `extra` of their part."""
    row = changed(changed(BOOKING_ROW, "lines[0].amount.currency", "GBP"), "lines[0].amount.discounts.code.extra", 1)
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
def test_a_null_or_missing_value_of_a_read_only_record_is_none(row: dict[str, Any], model: Any) -> None:
    """All attributes may be null, or missing."""
    nulls = read({**row, "attributes": dict.fromkeys(row["attributes"])}, model)
    bare = read({"id": row["id"], "type": row["type"], "attributes": {}}, model)

    assert all(value is None for name, value in vars_of(nulls).items() if name not in NOT_ATTRIBUTES)
    assert all(value is None for name, value in vars_of(bare).items() if name not in NOT_ATTRIBUTES)
    assert json.loads(json.dumps(read(row, model).to_dict()))["id"] == row["id"]


def vars_of(record: Any) -> dict[str, object]:
    """Return the fields of a record."""
    return {name: getattr(record, name) for name in record.__slots__ if name != "__weakref__"}


def test_an_unallocated_seat_has_neither_row_nor_number() -> None:
    """Its reference exists, and has nulls. The id of its booking is in the links."""
    seat = read(SEAT_ROW, Seat)

    assert seat.reference == SeatReference(None, None)
    assert seat.booking_id == "bkg-1"


@pytest.mark.parametrize("wild", ["1e999999999", "1e-999999999", "1e99999999999999999999", "9" * 5000])
def test_an_absurd_amount_is_none_and_kept_in_invalid(wild: str) -> None:
    """Its total would fill the memory, or Python cannot hold it."""
    booking = read_text(json.dumps(BOOKING_ROW).replace('"gross": 10,', f'"gross": {wild},'), Booking)

    assert booking.lines[0].amount.gross is None
    assert list(booking.invalid) == ["lines[0].amount.gross"]
    assert Booking.from_dict(json.loads(json.dumps(booking.to_dict()))) == booking


def test_a_link_that_is_no_url_has_no_id() -> None:
    """It raises no error."""
    assert read({**DATE_ROW, "links": {"venue": "http://["}}, EventDate).venue_id is None


def test_half_a_surrogate_pair_is_kept_in_invalid() -> None:
    """UTF-8 cannot encode it, so no file could have it."""
    customer = read_text(json.dumps(customer_row(first_name="\ud800", note="\udc00")), Customer)

    assert (customer.first_name, customer.last_name) == (None, "Customer")
    assert customer.invalid == {"first_name": "\ud800"}
    assert customer.extra == {"note": "\udc00"}
    assert Customer.from_dict(json.loads(json.dumps(customer.to_dict()))) == customer


def test_an_empty_extra_cannot_be_changed() -> None:
    """All records without unknown attributes share it. Copies and pickles give the same object."""
    extra = Customer("cst-1").extra
    assert extra is NOTHING is pickle.loads(pickle.dumps(NOTHING)) is deepcopy(NOTHING)
    assert extra == {}
    assert json.dumps(extra) == "{}"
    changes: list[Any] = [
        lambda extra: extra.update(a=1),
        lambda extra: extra.setdefault("a", 1),
        lambda extra: extra.__setitem__("a", 1),
        lambda extra: extra.__ior__({"a": 1}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="frozen"):
            change(extra)


def test_a_traceback_shows_the_line_of_the_generated_reader() -> None:
    """This helps to debug it."""
    read(customer_row())

    lines = linecache.getlines("<generated ticketsource_async.models.reader.read_Customer>")
    assert lines[0].startswith("def read_Customer(")
    for names, reader in reader_of(Customer).items():
        lines = linecache.getlines(reader.__code__.co_filename)
        assert lines[0].startswith(f"def {reader.__name__}("), names
    assert len({reader.__code__.co_filename for reader in reader_of(Customer).values()}) == len(reader_of(Customer))


def test_no_reader_is_generated_for_a_row_with_a_thousand_names() -> None:
    """Python would take long to compile one. The row is read without it."""
    many = {f"unknown_{n}": n for n in range(1000)}

    assert read(customer_row(**many)).extra == many
    assert max(map(len, reader_of(Customer))) < 1000
