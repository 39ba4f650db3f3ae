"""The donations of bookings, and their refunds."""

from datetime import date
from typing import Any

import pytest
from attrs import evolve
from donated import booking, donation, found_in, line, person, refund, tickets

from ticketsource_async import Booking
from ticketsource_async.models.reader import read_row
from ticketsource_async.reports.donations import BookingDonations, Donations, Period, donations_of

Row = dict[str, Any]


def donations_in(*lines: Row) -> BookingDonations:
    """Return the donations of a booking with these lines."""
    found = found_in(*lines)
    assert found is not None
    return found


def left_of_each(found: BookingDonations) -> list[str]:
    """Return what is left of each donation."""
    return [str((line.amount or 0) - line.refunded) for line in found.lines if line.kind == "donation"]


CERTAIN: dict[str, tuple[list[Row], list[str]]] = {
    "nothing was refunded": ([donation(5), donation(10)], ["5", "10"]),
    "all of a donation was refunded": ([donation(5), refund(-5)], ["0"]),
    "a part of the only donation was refunded": ([donation(5), refund(-2)], ["3"]),
    "two parts of it were refunded": ([donation(5), refund(-2), refund(-1, "2026-01-07")], ["2"]),
    "all of two donations was refunded at once": ([donation(5), donation(10, gift_aid=False), refund(-15)], ["0", "0"]),
    "a refund is taken off the donation before it, not off a later one": (
        [donation(5, "2026-01-01"), refund(-5, "2026-01-02"), donation(5, "2026-01-03")],
        ["0", "5"],
    ),
    "each refund follows its donation": (
        [
            *(donation(5, "2026-01-01"), donation(7, "2026-01-03")),
            *(refund(-7, "2026-01-04"), refund(-5, "2026-01-02")),
        ],
        ["0", "0"],
    ),
    "the refund was at the same time": ([donation(5, "2026-01-05"), refund(-5, "2026-01-05")], ["0"]),
    "the refund is not marked as one": ([donation(5), donation(-5, "2026-01-06")], ["0"]),
    "the refund says neither": ([donation(5), refund(-5, is_refund=None)], ["0"]),
    "it is not said whether the donation is a refund": ([donation(5, is_refund=None)], ["5"]),
    "it could not be read whether a negative line is a refund": ([donation(5), refund(-5, is_refund="1")], ["0"]),
    "tickets were refunded": ([donation(5), tickets(-5, "2026-01-06", is_refund=True)], ["5"]),
    "the amount of tickets could not be read": ([donation(5), tickets("abc")], ["5"]),
    "a sundry was sold": ([donation(5), line("SUNDRY", 3)], ["5"]),
    "the donation is zero": ([donation(0), refund(0)], ["0"]),
    "a donation of zero is beside it": ([donation(5), donation(0), refund(-5), refund(0)], ["0", "0"]),
    "the donation has more decimals than money has": ([donation(5.005)], ["5.005"]),
    "the day of the donation is not known": ([donation(5, None)], ["5"]),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_the_rest_of_a_refunded_donation_is_known(case: str) -> None:
    """The lines are clear, so nothing is in doubt."""
    lines, expected = CERTAIN[case]
    found = donations_in(*lines)

    assert (left_of_each(found), found.doubt) == (expected, "")


DOUBTFUL: dict[str, tuple[list[Row], str]] = {
    "a part of two donations was refunded": (
        [donation(5), donation(5), refund(-5)],
        "the refund of -5 on 2026-01-06 may be of line 1 or 2, and the API does not say of which",
    ),
    "one of two answers to Gift Aid was refunded": (
        [donation(5), donation(5, gift_aid=False), refund(-5)],
        "the refund of -5 on 2026-01-06 may be of line 1 or 2, and the API does not say of which",
    ),
    "the refund is before the donation": (
        [donation(5, "2026-01-05"), refund(-5, "2026-01-04")],
        "the refund of -5 on 2026-01-04 is before the donations of the booking, or more than they were",
    ),
    "the refund is an hour before the donation": (
        [donation(5, "2026-01-05T10:00"), refund(-5, "2026-01-05T09:00")],
        "the refund of -5 on 2026-01-05 is before the donations of the booking, or more than they were",
    ),
    "more was refunded than was given": (
        [donation(5), refund(-6)],
        "the refund of -6 on 2026-01-06 is more than was left of the donation",
    ),
    "it was refunded twice": (
        [donation(5), refund(-5), refund(-5, "2026-01-07")],
        "the refund of -5 on 2026-01-07 is before the donations of the booking, or more than they were",
    ),
    "a refund is marked as one and positive": ([donation(5), refund(5)], "line 2 of the booking may be a refund"),
    "an amount could not be read": ([donation(5), donation("abc")], "line 2 of the booking may be a refund"),
    "an amount is null": ([donation(5), donation(None)], "line 2 of the booking may be a refund"),
    "all of an amount could not be read": ([donation("abc")], "line 1 of the booking may be a refund"),
    "it could not be read whether a line is a refund": (
        [donation(5), donation(5, is_refund="true")],
        "line 2 of the booking may be a refund",
    ),
    "the day of a refund is not known": (
        [donation(5), refund(-5, None)],
        "a donation of the booking was refunded, and the day of a line is not known",
    ),
    "the day of a refund could not be read": (
        [donation(5), refund(-5, created_at="5 January")],
        "a donation of the booking was refunded, and the day of a line is not known",
    ),
    "the day of a donation is not known and there is a refund": (
        [donation(5, None), donation(5), refund(-5)],
        "a donation of the booking was refunded, and the day of a line is not known",
    ),
    "a line has a type that is new": (
        [donation(5), line("VOUCHER", -5)],
        "line 2 of the booking may be a donation or a refund: its type is not known",
    ),
    "a line has a type in other letters": (
        [donation(5), line("donation", -5)],
        "line 2 of the booking may be a donation or a refund: its type is not known",
    ),
    "a line has no type": (
        [line(None, 5), donation(5)],
        "line 1 of the booking may be a donation or a refund: its type is not known",
    ),
    "the type of a line could not be read": (
        [line(["DONATION"], 5), donation(5)],
        "line 1 of the booking may be a donation or a refund: its type is not known",
    ),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_an_unclear_refund_is_not_guessed(case: str) -> None:
    """No donation is reduced, and `doubt` says why."""
    lines, doubt = DOUBTFUL[case]
    found = donations_in(*lines)

    assert found.doubt == doubt
    assert [line.refunded for line in found.lines] == [0] * len(found.lines)


def test_a_line_that_is_no_object_may_be_a_donation() -> None:
    """Its type is not known."""
    row = booking(1, donation(5))
    row["attributes"]["lines"].append("line")
    found = donations_of(donations_in(donation(5)).event, donations_in(donation(5)).date, read_row(row, Booking))

    assert found is not None
    assert found.doubt == "line 2 of the booking may be a donation or a refund: its type is not known"


@pytest.mark.parametrize("lines", [[], [tickets()], [line("SUNDRY", 5)]])
def test_a_booking_without_a_donation_is_left_out(lines: list[Row]) -> None:
    """So it takes no memory."""
    assert found_in(*lines) is None


def test_a_booking_whose_lines_cannot_be_read_may_have_a_donation() -> None:
    """It concerns every period."""
    row = booking(1)
    row["attributes"]["lines"] = "none"
    one = donations_in(donation(5))
    found = donations_of(one.event, one.date, read_row(row, Booking))

    assert found is not None
    assert not found.has_lines
    assert found.concerns(Period(first=date(2020, 1, 1), last=date(2020, 1, 1)))


REMARKS: dict[str, Row] = {
    "": donation(5),
    "it counts as a refund, since its amount is negative, but it is not marked as one": donation(-5),
    "it is marked as a refund, but its amount is positive": refund(5),
    "its amount could not be read": donation("abc"),
    "it has no amount": donation(None),
    "it may be a refund, since that could not be read": donation(5, is_refund="no"),
    "its day could not be read": donation(5, created_at="yesterday"),
    "it has no day": donation(5, None),
    "its Gift Aid could not be read": donation(5, gift_aid="yes"),
}


@pytest.mark.parametrize("remark", REMARKS)
def test_a_row_of_the_list_says_what_is_odd_about_its_line(remark: str) -> None:
    """The line is still in the list."""
    found = donations_in(REMARKS[remark])
    [row] = Donations(period=Period(), bookings=(found,), donors={"cst-1": person()}).rows()

    assert row.remark == remark


@pytest.mark.parametrize(("gift_aid", "said"), [(True, "yes"), (False, "no"), (None, "unknown"), (1, "unknown")])
def test_gift_aid_is_yes_only_for_a_clear_yes(gift_aid: object, said: str) -> None:
    """A consent is read in the same way."""
    [row] = Donations(period=Period(), bookings=(donations_in(donation(5, gift_aid=gift_aid)),)).rows()

    assert row.gift_aid == said


def test_a_period_uses_the_day_as_written_and_includes_lines_without_a_day() -> None:
    """It includes its first and its last day. The rows are in the order of their days."""
    days = ("2026-01-31", None, "2026-01-01", "2026-02-01", "2025-12-31")
    found = donations_in(*(donation(number, day) for number, day in enumerate(days, 1)))
    late = donations_in(donation(6, created_at="2026-01-31T23:30:00-05:00"))  # February in UTC
    donations = Donations(period=Period(first=date(2026, 1, 1), last=date(2026, 1, 31)), bookings=(found, late))

    assert [row.line.amount for row in donations.rows()] == [3, 1, 6, 2]


@pytest.mark.parametrize(
    ("donations", "why"),
    [
        (Donations(period=Period(), gone=("cst-1",)), "customer cst-1 is no longer in TicketSource"),
        (Donations(period=Period(), unread={"cst-1": ValueError()}), "customer cst-1 could not be read"),  # type: ignore[dict-item]  # any error
        (Donations(period=Period(), donors={"cst-1": person()}), ""),
    ],
)
def test_a_row_says_why_its_donor_is_not_known(donations: Donations, why: str) -> None:
    """The row still has the id of the customer."""
    [row] = evolve(donations, bookings=(donations_in(donation(5)),)).rows()

    assert (row.remark, row.booking.customer_id) == (why, "cst-1")


def test_a_row_says_that_its_booking_has_no_customer() -> None:
    """No customer is requested."""
    found = found_in(donation(5), customer=None)
    assert found is not None
    donations = Donations(period=Period(), bookings=(found,))

    assert [row.remark for row in donations.rows()] == ["the booking has no customer"]
    assert donations.donor_ids() == []


def test_only_donors_whose_donations_may_be_claimed_are_requested_for_gift_aid() -> None:
    """Each is requested once."""
    given = {
        "cst-yes": [donation(5), donation(7)],
        "cst-no": [donation(5, gift_aid=False)],
        "cst-null": [donation(5, gift_aid=None)],
        "cst-odd": [donation(5, gift_aid="yes")],
        "cst-back": [donation(5), refund(-5)],
        "cst-zero": [donation(0)],
        "cst-late": [donation(5, "2027-01-01")],
        "cst-unclear": [donation(None)],
    }
    found = [found_in(*lines, customer=name) for name, lines in given.items()]
    period = Period(last=date(2026, 12, 31))
    donations = Donations(period=period, bookings=tuple(one for one in (*found, *found) if one is not None))

    assert donations.donor_ids(gift_aid=True) == ["cst-yes", "cst-odd", "cst-unclear"]
    assert donations.donor_ids() == [name for name in given if name != "cst-late"]


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    """It has no day."""
    with pytest.raises(ValueError, match="no day is from 2026-01-02 to 2026-01-01"):
        Period(first=date(2026, 1, 2), last=date(2026, 1, 1))
