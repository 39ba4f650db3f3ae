"""What rows are made of, without their values."""

from decimal import Decimal
from typing import Any

import pytest
from rows import BOOKING_ROW, DATE_ROW, EVENT_ROW, SEAT_ROW, VENUE_ROW, customer_row

from ticketsource_async.checking.shapes import NOT_SHOWN, Shape, date_form, is_in_summer, json_kind, offset_in, shown
from ticketsource_async.models import Booking, Customer, Event, EventDate, Record, Seat, Venue


def shape_of(model: type[Record], *rows: object) -> Shape:
    """Return the shape of rows."""
    shape = Shape(model)
    shape.add(rows)
    return shape


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("2026-06-13T19:30:00+00:00", "YYYY-MM-DDThh:mm:ss+00:00"),
        ("2026-06-13T19:30:00+01:00", "YYYY-MM-DDThh:mm:ss+01:00"),
        ("2026-06-13T19:30:00.123456Z", "YYYY-MM-DDThh:mm:ss.fZ"),
        ("2026-06-13 19:30:00", "YYYY-MM-DD hh:mm:ss"),
        ("2026-06-13T19:30", "YYYY-MM-DDThh:mm"),
        ("2026-06-13", "YYYY-MM-DD"),
        ("0000-00-00 00:00:00", "a date of zeros"),
        ("-0001-11-30T00:00:00+00:00", "a date of zeros"),
        ("31.12.2020", "99.99.9999"),
        ("1767225600", "9999999999"),
        ("next Tuesday", "another text"),
        ("01632 960001 and more than forty characters 1", "another text"),
    ],
)
def test_the_form_of_a_date_has_no_digit_of_it(written: str, form: str) -> None:
    """But for the offset, which is what one wants to know."""
    assert date_form(written) == form


def test_the_offset_of_a_date_and_its_season_are_read_from_the_text() -> None:
    """A day has no offset, and March and October are neither surely summer nor winter."""
    assert offset_in("2026-06-13T19:30:00+01:00") == "+01:00"
    assert offset_in("2026-06-13T19:30:00") == ""
    assert offset_in("2026-06-13") is offset_in(None) is offset_in("0000-00-00T00:00:00+00:00") is None
    assert [is_in_summer(f"2026-{month:02}-15T19:30:00Z") for month in (3, 4, 9, 10)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "true or false"),
        (0, "whole number"),
        (Decimal("0.5"), "decimal number"),
        ("", "empty text"),
        ("x", "text"),
        ({}, "object"),
        ([], "empty list"),
        ([1], "list"),
    ],
)
def test_the_kind_of_a_value_is_that_of_json(value: object, kind: str) -> None:
    """A bool is no number."""
    assert json_kind(value) == kind


@pytest.mark.parametrize("name", ["loyalty_points", "line_12", "vip"])
def test_a_name_of_the_form_that_the_api_uses_is_shown(name: str) -> None:
    """Small letters with underscores, and a number at the end."""
    assert shown(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "Karl Jenkins",
        "Karl",
        "karlJ",
        "o-neill",
        "karl@example.com",
        "cst-abcdef",
        "skl-abcdef",
        "01632",
        "x" * 41,
        "Zoë",
        "",
        "a1b2c3",
    ],
)
def test_a_name_that_may_be_data_is_not_shown(name: str) -> None:
    """Some APIs have objects whose names are people, ids or keys."""
    assert shown(name) == NOT_SHOWN


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (Customer, customer_row()),
        (Event, {**EVENT_ROW, "attributes": {k: v for k, v in EVENT_ROW["attributes"].items() if k != "settled"}}),
        (Venue, VENUE_ROW),
        (EventDate, DATE_ROW),
        (Seat, SEAT_ROW),
    ],
)
def test_a_row_as_documented_has_nothing_odd(model: type[Record], row: dict[str, Any]) -> None:
    """Every path of it is known, and every known path is there."""
    shape = shape_of(model, row)

    assert (shape.records, shape.missing(), shape.unknown()) == (1, [], {})
    assert (shape.unusual(), shape.unusual_forms(), shape.unread, shape.unlinked) == ({}, {}, {}, {})


def test_the_lines_of_a_booking_are_looked_into() -> None:
    """A field counts as there if one of the lines has it."""
    shape = shape_of(Booking, BOOKING_ROW)

    assert shape.missing() == []
    assert shape.kinds["lines[].amount.gross"] == {"whole number": 2, "decimal number": 1}
    assert shape.kinds["lines[].donation.gift_aid"] == {"true or false": 1}


def test_a_telephone_under_its_other_name_is_not_missing() -> None:
    """The vendor's file lists both."""
    row = customer_row()
    row["attributes"]["phone"] = row["attributes"].pop("telephone")
    shape = shape_of(Customer, row)

    assert (shape.missing(), shape.unknown()) == ([], {})
    assert shape.kinds["phone"] == {"text": 1}


def test_a_name_that_few_records_have_is_not_shown() -> None:
    """An object by the names of people has other names in each record."""
    rows = [customer_row(number, shared=1, **{name: True}) for number, name in enumerate(("karl", *["anna"] * 39))]
    shape = shape_of(Customer, *rows)

    assert shape.unknown() == {
        "shared": {"whole number": 40},
        "anna": {"true or false": 39},
        NOT_SHOWN: {"true or false": 1},
    }


@pytest.mark.parametrize("records", [1, 2, 10, 25])
def test_a_name_that_one_record_has_is_never_shown(records: int) -> None:
    """However few records there are: it may be the name of a person."""
    rows = [customer_row(number) for number in range(records)]
    rows[0]["attributes"] |= {"karl": True, "consent": {"karl": True}}
    shape = shape_of(Customer, *rows)

    assert shape.unknown() == {NOT_SHOWN: {"true or false": 1}, f"consent.{NOT_SHOWN}": {"true or false": 1}}


def test_a_name_that_one_record_has_in_many_places_is_not_shown() -> None:
    """A booking has many lines, which may all be for one person."""
    line = {**BOOKING_ROW["attributes"]["lines"][0], "karl": 1}
    row = {**BOOKING_ROW, "attributes": {**BOOKING_ROW["attributes"], "lines": [line] * 5}}
    shape = shape_of(Booking, row, {**BOOKING_ROW, "id": "bkg-2"})

    assert shape.unknown() == {f"lines[].{NOT_SHOWN}": {"whole number": 5}}


def test_a_name_that_two_of_few_records_have_is_shown() -> None:
    """It is one of the API then."""
    shape = shape_of(Customer, *(customer_row(number, loyalty_points=1) for number in range(2)))

    assert shape.unknown() == {"loyalty_points": {"whole number": 2}}


def test_a_row_that_is_no_record_is_counted_with_its_reason() -> None:
    """And not with what it has."""
    shape = shape_of(
        Customer, "Karl", {"id": "cst-1"}, {**customer_row(), "type": "venue"}, {**customer_row(), "id": ""}
    )

    assert shape.records == 0
    assert shape.refused == {
        "Expected an object at the row itself": 1,
        "Expected an object at attributes": 1,
        "Expected the type 'customer' at type": 1,
        "Expected an id at id": 1,
    }


def test_a_link_that_ends_in_no_id_is_counted() -> None:
    """The library takes the id of the customer of a booking from its link."""
    link = "https://api.example/customers/cst-1/profile"
    shape = shape_of(Booking, {**BOOKING_ROW, "links": {**BOOKING_ROW["links"], "customer": link}})

    assert shape.unlinked == {"links.customer": 1}


def test_an_id_in_another_form_is_counted() -> None:
    """The library uses it as it is."""
    shape = shape_of(Customer, {**customer_row(), "id": 17}, {**customer_row(), "id": "c_17"}, customer_row())

    assert (shape.records, shape.odd_ids) == (3, 2)
