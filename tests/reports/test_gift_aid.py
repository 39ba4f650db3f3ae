"""The schedule of donations with Gift Aid, and what is to be completed first."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from donated import donation, found_in, line, person, refund
from hypothesis import given, strategies as st

from ticketsource_async import Customer
from ticketsource_async.report_tables import GIFT_AID_SCHEDULE, GIFT_AID_TO_COMPLETE
from ticketsource_async.reports.donations import BookingDonations, Donations, Period
from ticketsource_async.reports.gift_aid import GiftAidSchedule, gift_aid_schedule
from ticketsource_async.reports.sums import total

Row = dict[str, Any]
TODAY = date(2026, 11, 27)
JANUARY = Period(first=date(2026, 1, 1), last=date(2026, 1, 31))


def bookings(*lists: Sequence[Row]) -> tuple[BookingDonations, ...]:
    """Return the donations of bookings with these lines, all of one customer."""
    found = [found_in(*lines, number=number) for number, lines in enumerate(lists, 1)]
    return tuple(one for one in found if one is not None)


def scheduled(*lists: Sequence[Row], donor: Customer | None = None, period: Period = JANUARY) -> GiftAidSchedule:
    """Return the schedule for bookings with these lines."""
    donors = {"cst-1": person() if donor is None else donor}
    return gift_aid_schedule(Donations(period=period, bookings=bookings(*lists), donors=donors), TODAY)


def test_a_row_has_the_columns_of_hmrc_in_their_order() -> None:
    """The rows can be copied to HMRC's spreadsheet."""
    schedule = scheduled([donation(5)])

    assert dict(zip(GIFT_AID_SCHEDULE.names, GIFT_AID_SCHEDULE.row(schedule.rows[0]), strict=True)) == {
        "Title": "Ms",
        "First name or initial": "Alex",
        "Last name": "Sample",
        "House name or number": "1 High Street",
        "Postcode": "NE12 4AB",
        "Aggregated donations": "",
        "Sponsored event": "",
        "Donation date": "05/01/26",
        "Amount": Decimal("5.00"),
    }
    assert GIFT_AID_TO_COMPLETE.names[: len(GIFT_AID_SCHEDULE.names)] == GIFT_AID_SCHEDULE.names
    assert schedule.to_complete == ()


@pytest.mark.parametrize(
    ("amount", "written"),
    [(5, "5.00"), (5.5, "5.50"), (0.01, "0.01"), ("1234567.890", "1234567.89"), ("5E+2", "500.00")],
)
def test_an_amount_has_two_decimals_and_no_sign(amount: object, written: str) -> None:
    """It is exact."""
    found = bookings([donation(5)])[0]
    given = evolve(found, lines=(evolve(found.lines[0], amount=Decimal(str(amount))),))
    schedule = gift_aid_schedule(Donations(period=JANUARY, bookings=(given,), donors={"cst-1": person()}), TODAY)

    assert [str(row.amount) for row in schedule.rows] == [written]


@pytest.mark.parametrize(
    ("title", "written", "left_out"),
    [
        *(("Mr", "Mr", 0), ("Mr.", "Mr", 0), ("Prof", "Prof", 0), ("Miss", "Miss", 0), (" Rev ", "Rev", 0)),
        *(("Professor", "", 1), ("M", "", 1), ("Mr & Mrs", "", 1), ("Dr2", "", 1), ("", "", 0), (None, "", 0)),
    ],
)
def test_a_title_that_hmrc_would_refuse_is_left_empty_and_counted(
    title: str | None, written: str, left_out: int
) -> None:
    """HMRC does not need it. It is counted once for each donor."""
    schedule = scheduled([donation(5)], [donation(6)], donor=person(title=title))

    assert [row.title for row in schedule.rows] == [written, written]
    assert schedule.titles == left_out


@pytest.mark.parametrize(
    ("postcode", "written"),
    [
        *(("ne12 4ab", "NE12 4AB"), ("NE124AB", "NE12 4AB"), (" NE 12 4 AB ", "NE12 4AB"), ("m11aa", "M1 1AA")),
        *(("SW1A 1AA", "SW1A 1AA"), ("w1a0ax", "W1A 0AX"), ("gir0aa", "GIR 0AA"), ("BF1 2AT", "BF1 2AT")),
        ("NE12\u00a04AB", "NE12 4AB"),
    ],
)
def test_a_postcode_gets_its_capitals_and_its_space(postcode: str, written: str) -> None:
    """HMRC would refuse the postcode without them."""
    schedule = scheduled([donation(5)], donor=person(address={"line_1": "1", "postcode": postcode}))

    assert [row.postcode for row in schedule.rows] == [written]


@pytest.mark.parametrize(
    ("attributes", "row"),
    [
        ({"first_name": "Zoë"}, "Zoë Sample"),
        ({"first_name": "Zoe\u0308"}, "Zoë Sample"),
        ({"first_name": "  Mary \n Ann "}, "Mary Ann Sample"),
        ({"first_name": "Mary-Ann"}, "Mary-Ann Sample"),
        ({"last_name": "House-Martin"}, "Alex House Martin"),
        ({"last_name": "House \u2013 Martin"}, "Alex House Martin"),
        ({"last_name": "O\u2019Brien"}, "Alex O'Brien"),
        ({"first_name": "A", "last_name": "x" * 35}, f"A {'x' * 35}"),
    ],
)
def test_a_name_is_written_as_hmrc_asks_for_it(attributes: Row, row: str) -> None:
    """The hyphen of a surname becomes a space, and an apostrophe becomes the plain one."""
    schedule = scheduled([donation(5)], donor=person(**attributes))

    assert [f"{row.first_name} {row.last_name}" for row in schedule.rows] == [row]


LACKS: dict[str, Row] = {
    "the first name is missing": {"first_name": " "},
    "the last name is missing": {"last_name": None},
    "the last name could not be read": {"last_name": ["Sample"]},
    "the first name has 36 characters, but HMRC takes only 35": {"first_name": "x" * 36},
    "the last name has 36 characters, but HMRC takes only 35": {"last_name": "x" * 36},
    "the first name has letters that HMRC drops: Ł": {"first_name": "Łukasz"},
    "the last name has letters that HMRC drops: 李 明": {"last_name": "李明"},
    "the last name has letters that HMRC drops: U+200B": {"last_name": "Sam\u200bple"},
    "the first address line is missing": {"address": {"line_2": "2 High Street", "postcode": "NE12 4AB"}},
    "the first address line has 41 characters, but HMRC takes only 40": {
        "address": {"line_1": "x" * 41, "postcode": "NE12 4AB"}
    },
    "the postcode is missing": {"address": {"line_1": "1"}},
    "the postcode could not be read": {"address": {"line_1": "1", "postcode": {}}},
    "the first address line is missing; the postcode is missing": {"address": None},
    "the first address line could not be read; the postcode could not be read": {"address": "1 High Street"},
    "12345 is not a postcode of the United Kingdom (write X for a donor who lives abroad)": {
        "address": {"line_1": "1", "postcode": "12345"}
    },
    "X is not a postcode of the United Kingdom (write X for a donor who lives abroad)": {
        "address": {"line_1": "1", "postcode": "X"}
    },
    "BFPO 57 is not a postcode of the United Kingdom (write X for a donor who lives abroad)": {
        "address": {"line_1": "1", "postcode": "BFPO 57"}
    },
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_donor_without_the_data_that_hmrc_requires_is_to_be_completed(lack: str) -> None:
    """The row says what is missing. No value is cut or invented."""
    donor = person(**LACKS[lack])
    schedule = scheduled([donation(5)], donor=donor)

    assert schedule.rows == ()
    [row] = schedule.to_complete
    assert (row.to_complete, str(row.amount)) == (lack, "5.00")
    assert row.first_name == (donor.first_name or "").strip()
    assert row.house == ((donor.address and donor.address.line_1) or "")


HELD: dict[str, tuple[list[Row], int]] = {
    "its Gift Aid could not be read": ([donation(5, gift_aid="true")], 1),
    "the day of the donation is not known": ([donation(5, None)], 1),
    "the amount 5.005 is not in pounds and pence": ([donation(5.005)], 1),
    "the amount 10000000000000 is not in pounds and pence": ([donation(10_000_000_000_000)], 1),
    "line 1 of the booking may be a refund; the amount of the donation is not known": ([donation(None)], 1),
    "line 2 of the booking may be a refund": ([donation(5), donation(5, is_refund="no")], 2),
    "the refund of -3 on 2026-01-06 may be of line 1 or 2, and the API does not say of which": (
        [donation(5), donation(5), refund(-3)],
        2,
    ),
    "the refund of -4 on 2026-01-06 may be of line 1 or 2, and the API does not say of which": (
        [donation(5), donation(5, gift_aid=False), refund(-4)],
        1,
    ),
    "line 2 of the booking may be a donation or a refund: its type is not known": ([donation(5), line("GIFT", 5)], 1),
}


@pytest.mark.parametrize("why", HELD)
def test_a_doubtful_donation_is_to_be_completed(why: str) -> None:
    """Nothing is guessed, and no refund is subtracted."""
    lines, count = HELD[why]
    schedule = scheduled(lines)

    assert [row.to_complete for row in schedule.to_complete] == [why] * count
    assert schedule.rows == ()
    assert schedule.refunded == 0


@pytest.mark.parametrize("day", ["1999-12-31", "2026-11-28"])
def test_a_donation_on_a_day_that_hmrc_refuses_is_to_be_completed(day: str) -> None:
    """The day is in the future, or its year does not fit in two digits."""
    schedule = scheduled([donation(5, day)], period=Period())

    assert [row.to_complete for row in schedule.to_complete] == [f"HMRC takes no donation made on {day}"]


def test_only_a_yes_to_gift_aid_is_claimed_and_missing_answers_are_counted() -> None:
    """A null is no yes."""
    schedule = scheduled([donation(5), donation(6, gift_aid=False), donation(7, gift_aid=None), line("DONATION", 8)])

    assert [str(row.amount) for row in schedule.rows] == ["5.00"]
    assert (schedule.to_complete, schedule.no_answer) == ((), 2)


def test_a_donation_of_zero_and_a_refunded_donation_are_in_neither_list() -> None:
    """There is nothing to claim."""
    schedule = scheduled([donation(0)], [donation(5), refund(-5)])

    assert (schedule.rows, schedule.to_complete, schedule.earliest) == ((), (), None)
    assert schedule.refunded == 5
    assert schedule.sum == 0


def test_a_refund_after_the_period_is_subtracted_from_a_donation_within_it() -> None:
    """Otherwise it would be claimed."""
    schedule = scheduled([donation(5), refund(-2, "2026-03-01")])

    assert [str(row.amount) for row in schedule.rows] == ["3.00"]
    assert schedule.refunded == 2
    assert schedule.earlier == ()


def test_a_refund_of_a_donation_before_the_period_is_reported() -> None:
    """The donation may have been claimed already. One without Gift Aid was not."""
    schedule = scheduled(
        [donation(5, "2025-12-01"), refund(-5)],
        [donation(5, "2025-12-01", gift_aid=False), refund(-5)],
        [donation(5, "2025-12-01"), refund(-5, "2025-12-02"), donation(5), refund(-5)],
        [donation(5, "2025-12-01"), donation(5, "2025-12-01"), refund(-5)],
    )

    assert [booking.booking_id for booking in schedule.earlier] == ["bkg-1", "bkg-4"]
    assert (schedule.rows, schedule.to_complete) == ((), ())


def test_the_schedule_is_sorted_by_day() -> None:
    """The first row is the earliest, for which HMRC's spreadsheet asks."""
    schedule = scheduled([donation(5, "2026-01-09"), donation(6, "2026-01-02")], [donation(7, "2026-01-05")])

    assert [row.donation_date for row in schedule.rows] == ["02/01/26", "05/01/26", "09/01/26"]
    assert schedule.earliest is schedule.rows[0]
    assert schedule.sum == 18


DAYS = st.integers(0, 60).map(lambda number: str(date(2025, 12, 15) + timedelta(number)))
MONEY = st.integers(-2000, 2000).map(lambda pence: pence / 100)
LINES = st.lists(
    st.builds(
        donation,
        st.one_of(MONEY, MONEY, st.sampled_from([None, "abc", 5, -5, 5.005])),
        st.one_of(DAYS, DAYS, st.none()),
        st.sampled_from([True, True, False, None, "yes"]),
        is_refund=st.sampled_from([True, False, False, None, "no"]),
    )
    | st.builds(refund, st.sampled_from([-5, -5.5]), DAYS)
    | st.builds(line, st.sampled_from(["TICKETS", "VOUCHER", None]), MONEY, DAYS),
    max_size=5,
)


@given(lists=st.lists(LINES, max_size=5), lacks=st.booleans())
def test_the_lists_and_the_refunds_add_up_to_all_donations_with_gift_aid(lists: list[list[Row]], lacks: bool) -> None:
    """With any lines, no penny is lost and none is claimed twice."""
    found = bookings(*lists)
    donor = person(last_name=None) if lacks else person()
    schedule = gift_aid_schedule(Donations(period=JANUARY, bookings=found, donors={"cst-1": donor}), TODAY)

    given_with_gift_aid = [
        line.amount
        for booking in found
        for line in booking.lines
        if (line.gift_aid or line.gift_aid_is_unreadable)
        and JANUARY.has(line.day)
        and (line.kind == "donation" or line.is_refund is not True)
        and line.amount is not None
    ]
    held = [row.amount for row in schedule.to_complete if row.amount is not None]
    assert total([schedule.sum, *held, schedule.refunded]) == total(given_with_gift_aid)
    assert all(row.amount and row.amount > 0 and row.line.day for row in schedule.rows)
    assert lacks <= (not schedule.rows)
    claimed = [(row.booking.booking_id, row.line.number) for row in (*schedule.rows, *schedule.to_complete)]
    assert len({*claimed}) == len(claimed)
