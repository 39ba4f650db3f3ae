"""The sums of booking lines: exact, and empty where an amount is missing."""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import count
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from selling import EVENT, booking, line, performance

from ticketsource_async import (
    Event,
    FailedBranch,
    InvalidResponse,
    NotFound,
    Sales,
    SalesRow,
    SalesTally,
    Seat,
    SeatCount,
    SeatsOfBooking,
    Sold,
)
from ticketsource_async.errors import ListEnded, ServerError
from ticketsource_async.reports.sales import By
from ticketsource_async.reports.sums import SUMS, total

GONE = ServerError("it is broken")
ODD_ROW = InvalidResponse("it is odd", json_path="$.data[3]")
BYS: tuple[By, ...] = ("date", "event", "day", "month", "sold-day")


def sales_of(*found: Sold | FailedBranch, by: By = "date", payment_methods: bool = False) -> Sales:
    """Return the sales of these performances, and of branches that have failed."""
    tally = SalesTally(by, payment_methods=payment_methods)
    for one in found:
        if isinstance(one, FailedBranch):
            tally.add_failed(one)
        else:
            tally.add(one)
    return tally.result()


def row_of(*lines: object) -> SalesRow:
    """Return the row of a performance with one booking that has these lines."""
    (row,) = sales_of(performance(1, booking(1, *lines))).rows
    return row


def sums(row: SalesRow) -> dict[str, Decimal | None]:
    """Return the sums of a row."""
    return {name: getattr(row, name) for name in SUMS}


def values_of(row: SalesRow, *names: str) -> tuple[object, ...]:
    """Return some attributes of a row."""
    return tuple(getattr(row, name) for name in names)


def amount(**changed: object) -> dict[str, Any]:
    """Return an amount as the API sends it, with some of its parts changed."""
    made: dict[str, Any] = line()["amount"]
    return made | changed


def test_tickets_donations_and_other_lines_have_separate_sums() -> None:
    """Refunds are part of gross and net. The other types of lines are named."""
    row = row_of(
        line(gross=20),
        line(amount=amount(gross=-10, fee=0, fee_vat=0, net=-10, discounts={"automatic": 0.5}), is_refund=True),
        line("DONATION", 5),
        line("DONATION", -2, is_refund=True),
        line("SUNDRY", "3.10"),
        line("VOUCHER", 7),
    )

    assert {name: str(value) for name, value in sums(row).items()} == {
        "gross": "10",
        "discounts": "2.0",
        "fees": "0.65",
        "fee_vat": "0.13",
        "net": "-0.78",
        "refunds": "-10",
        "donations": "3",
        "other": "10.10",
    }
    assert (row.other_types, row.bookings, row.missing) == (("SUNDRY", "VOUCHER"), 1, "")


TICKETS = {"gross", "discounts", "fees", "fee_vat", "net"}
NO_AMOUNT = "; ".join(f"1 line without {what}" for what in ("VAT of the fee", "a fee", "discounts", "gross", "net"))


@pytest.mark.parametrize(
    ("odd", "empty", "missing"),
    [
        (line(gross=None), {"gross"}, "1 line without gross"),
        (line(gross="abc"), {"gross"}, "1 line without gross"),
        (line(gross=None, is_refund=True), {"gross", "refunds"}, "1 line without gross"),
        (line(amount=amount(fee="")), {"fees"}, "1 line without a fee"),
        (line(amount=amount(fee_vat=[])), {"fee_vat"}, "1 line without VAT of the fee"),
        (line(amount=amount(net=None)), {"net"}, "1 line without net"),
        (line(amount=None), TICKETS, NO_AMOUNT),
        (line(amount=[]), TICKETS, NO_AMOUNT),
        (line("DONATION", None), {"donations"}, "1 line without gross"),
        (line("SUNDRY", "1,50"), {"other"}, "1 line without gross"),
        (line(None), set(SUMS), "1 line without a type"),
        (line(""), set(SUMS), "1 line without a type"),
        (line({}), set(SUMS), "1 line without a type"),
        (None, set(SUMS), "1 line without a type"),
        (7, set(SUMS), "1 line without a type"),
        ([], set(SUMS), "1 line without a type"),
        (line(gross=-1, is_refund=None), {"refunds"}, "1 line without a word on whether it is a refund"),
        (line(gross=-1, is_refund="yes"), {"refunds"}, "1 line without a word on whether it is a refund"),
        (
            line(gross=None, is_refund=None),
            {"gross", "refunds"},
            "1 line without a word on whether it is a refund; 1 line without gross",
        ),
        (line(gross=1, is_refund=None), set(), ""),
        (line(gross=10, is_refund=True), {*TICKETS, "refunds"}, "1 line without the minus of a refund"),
        (line("DONATION", 10, is_refund=True), {"donations"}, "1 line without the minus of a refund"),
        (line("SUNDRY", 10, is_refund=True), {"other"}, "1 line without the minus of a refund"),
        (line(amount=amount(gross=0), is_refund=True), set(), ""),
        (line("SUNDRY", -1, is_refund=None), set(), ""),
    ],
)
def test_a_sum_with_a_missing_amount_is_empty_and_counted(odd: object, empty: set[str], missing: str) -> None:
    """The other sums are complete. The total lacks the same sums as the row."""
    sales = sales_of(performance(1, booking(1, line(), odd), booking(2, line())), performance(2, booking(3, line())))
    row, other = sales.rows

    assert {name for name, value in sums(row).items() if value is None} == empty
    assert {name for name, value in sums(sales.total).items() if value is None} == empty
    assert (row.missing, sales.total.missing, other.missing) == (missing, missing, "")
    assert None not in sums(other).values()
    assert (row.bookings, other.bookings, sales.total.bookings) == (2, 1, 3)


@pytest.mark.parametrize(
    ("discounts", "expected"),
    [
        ({"automatic": 1, "code": {"description": "FRIEND", "amount": "0.50"}}, "1.50"),
        ({"automatic": 1, "code": {"description": "", "amount": 0}}, "1"),
        ({"automatic": 1, "code": {"description": "", "amount": 2}}, "3"),
        ({"automatic": 1, "code": {"description": "", "amount": None}}, "1"),
        ({"automatic": 1, "code": {"description": None, "amount": None}}, "1"),
        ({"automatic": 1, "code": None}, "1"),
        ({"automatic": 1, "code": []}, "1"),
        ({"automatic": 1}, "1"),
        ({"automatic": 1, "code": {"description": "FRIEND", "amount": None}}, None),
        ({"automatic": 1, "code": {"description": "FRIEND", "amount": "abc"}}, None),
        ({"automatic": 1, "code": {"description": "", "amount": "abc"}}, None),
        ({"automatic": 1, "code": {"description": ["FRIEND"], "amount": None}}, None),
        ({"automatic": 1, "code": 3}, None),
        ({"automatic": None, "code": None}, None),
        ([], None),
        (None, None),
        ("", None),
    ],
)
def test_discounts_are_known_only_if_both_kinds_are(discounts: object, expected: str | None) -> None:
    """Without a code, the discount by code is zero."""
    row = row_of(
        line(amount=amount(discounts={"automatic": 0, "code": None})), line(amount=amount(discounts=discounts))
    )

    assert (None if row.discounts is None else str(row.discounts)) == expected
    assert row.missing == ("" if expected else "1 line without discounts")


def test_a_negative_line_that_is_no_refund_counts_in_gross_and_not_in_refunds() -> None:
    """The API says whether a line is a refund."""
    row = row_of(line(gross=10), line(gross=-4, is_refund=False))

    assert values_of(row, "gross", "refunds") == (6, 0)


@pytest.mark.parametrize(
    ("lines", "known", "missing"),
    [(None, False, "1 booking without lines"), ("", False, "1 booking without lines"), ([], True, ""), ({}, True, "")],
)
@pytest.mark.parametrize("by", BYS)
@pytest.mark.parametrize("payment_methods", [True, False])
def test_a_booking_without_lines_is_counted(
    lines: object, known: bool, missing: str, by: By, payment_methods: bool
) -> None:
    """If its lines are not known, the sums are not known either."""
    sales = sales_of(performance(1, booking(1, attributes={"lines": lines})), by=by, payment_methods=payment_methods)

    (row,) = sales.rows
    assert (row.bookings, row.gross == 0, row.missing, sales.total.missing) == (1, known, missing, missing)
    assert (sales.total.gross is None) != known


def test_money_is_exact_with_any_precision_of_the_program() -> None:
    """Twenty digits are summed to the last one."""
    with localcontext(prec=3):
        sales = sales_of(performance(1, booking(1, line(gross="12345678901234567.89"), line(gross="0.01"))))

    assert str(sales.total.gross) == "12345678901234567.90"


@pytest.mark.parametrize(
    ("cancelled", "mark", "counts"),
    [
        (True, "cancelled", (1, 0)),
        (False, "", (0, 0)),
        (None, "perhaps cancelled", (0, 1)),
        ("no", "perhaps cancelled", (0, 1)),
        (0, "perhaps cancelled", (0, 1)),
    ],
)
def test_a_cancelled_date_is_marked(cancelled: object, mark: str, counts: tuple[int, int]) -> None:
    """If the API does not say whether it is, it is perhaps cancelled."""
    found = performance(1, cancelled=cancelled), performance(2)
    (row, other), (event,) = sales_of(*found).rows, sales_of(*found, by="event").rows

    assert (row.mark, other.mark) == (mark, "")
    assert (row.cancelled, row.perhaps_cancelled) == counts == (event.cancelled, event.perhaps_cancelled)
    assert event.mark == (f"1 of 2 {mark}" if mark else "")


@pytest.mark.parametrize(
    ("archived", "mark"), [(True, "event archived"), (False, ""), (None, "event perhaps archived")]
)
def test_an_archived_event_is_marked(archived: bool | None, mark: str) -> None:
    """The rows of its dates are marked too."""
    found = performance(1, event=attrs.evolve(EVENT, archived=archived))

    assert [sales_of(found, by=by).rows[0].mark for by in ("date", "event", "month")] == [mark, mark, ""]


def test_a_repeated_booking_counts_once() -> None:
    """It may be repeated under another date, or with its date. The sales count the repetitions."""
    sales = sales_of(
        performance(1, booking(1, line()), booking(1, line())),
        performance(2, booking(1, line()), booking(2, line())),
        performance(1, booking(1, line()), booking(3, line())),
    )

    assert [values_of(row, "date_id", "bookings", "gross") for row in sales.rows] == [
        ("dat-1", 2, 20),
        ("dat-2", 1, 10),
    ]
    assert values_of(sales.total, "performances", "bookings", "gross") == (2, 3, 30)
    assert sales.repeated == 3


def test_a_date_of_two_events_counts_once_and_both_rows_name_their_event() -> None:
    """A row without a name would be useless."""
    other = attrs.evolve(EVENT, id="evt-2", name="Other")
    sales = sales_of(performance(1, booking(1, line())), performance(1, booking(1, line()), event=other), by="event")

    rows = [values_of(row, "event_id", "event", "performances", "gross") for row in sales.rows]
    assert sorted(rows, key=str) == sorted([("evt-2", "Other", 0, 0), (EVENT.id, EVENT.name, 1, 10)], key=str)
    assert sales.total.performances == 1


def test_the_days_and_the_order_of_rows_follow_the_times_as_written() -> None:
    """An offset does not change the day. Performances without a start come last."""
    found = [
        performance(1, booking(1, line()), start=None),
        performance(2, booking(2, line()), start="2026-05-11T00:30:00+09:00"),
        performance(3, booking(3, line()), start="2026-05-10T23:30:00-05:00"),
        performance(4, booking(4, line()), start="0000-00-00 00:00:00"),
        performance(5, booking(5, line()), start="2026-04-30T19:30:00Z", event=attrs.evolve(EVENT, id="evt-2")),
    ]

    assert [row.date_id for row in sales_of(*found).rows] == ["dat-5", "dat-3", "dat-2", "dat-1", "dat-4"]
    assert [(str(row.day), row.bookings) for row in sales_of(*found, by="day").rows] == [
        ("2026-04-30", 1),
        ("2026-05-10", 1),
        ("2026-05-11", 1),
        ("None", 2),
    ]
    assert [(str(row.day), row.bookings) for row in sales_of(*found, by="month").rows] == [
        ("2026-04-01", 1),
        ("2026-05-01", 2),
        ("None", 2),
    ]
    assert [(row.event_id, row.performances) for row in sales_of(*found, by="event").rows] == [
        ("evt-2", 1),
        (EVENT.id, 4),
    ]


def test_a_row_of_several_performances_has_the_first_and_last_start_and_all_venues() -> None:
    """A venue that could not be read has its id."""
    (row,) = sales_of(
        performance(1, start="2026-05-12T19:30:00+00:00"),
        performance(2, start="2026-05-10T19:30:00+00:00", venue=None),
        performance(3, start=None),
        by="event",
    ).rows

    assert (str(row.start)[:10], str(row.last_start)[:10], row.venue) == (
        "2026-05-10",
        "2026-05-12",
        "Town Hall; ven-1",
    )


def test_lines_count_on_the_day_on_which_they_were_made() -> None:
    """A booking with lines on two days counts in both rows, and once in the total."""
    sales = sales_of(
        performance(
            1,
            booking(
                1,
                line(gross=10, created_at="2026-01-01T23:59:00+00:00"),
                line(gross=-10, created_at="2026-01-03T00:00:00+00:00", is_refund=True),
                line(gross=1, created_at="2026-01-03T00:00:00+00:00"),
            ),
            booking(2, line(gross=5, created_at=None)),
        ),
        by="sold-day",
    )

    assert [(str(row.day), *values_of(row, "bookings", "gross", "performances")) for row in sales.rows] == [
        ("2026-01-01", 1, 10, None),
        ("2026-01-03", 1, -9, None),
        ("None", 1, 5, None),
    ]
    assert values_of(sales.total, "bookings", "gross", "performances") == (2, 6, 1)


def test_rows_by_payment_method_do_not_count_performances() -> None:
    """An unknown method has its own row, and a performance without sales has one row."""
    sales = sales_of(
        performance(
            1,
            booking(1, line(gross=10), line("DONATION", 2, payment_method="CASH")),
            booking(2, line(gross=5, payment_method=None), line(gross=1, payment_method="")),
        ),
        performance(2),
        payment_methods=True,
    )

    names = ("payment_method", "bookings", "gross", "donations", "performances", "cancelled")
    assert [values_of(row, "date_id", *names) for row in sales.rows] == [
        ("dat-1", "CASH", 1, 0, 2, None, None),
        ("dat-1", "TS", 1, 10, 0, None, None),
        ("dat-1", None, 1, 6, 0, None, None),
        ("dat-2", None, 0, 0, 0, None, None),
    ]
    assert [values_of(row, *names) for row in sales.method_totals] == [
        ("CASH", 1, 0, 2, None, None),
        ("TS", 1, 10, 0, None, None),
        (None, 1, 6, 0, None, None),
    ]
    assert values_of(sales.total, *names) == (None, 2, 16, 2, 2, 0)


DATE = performance(1).date
FAILURES = [
    ("1 performance", FailedBranch(EVENT, DATE, None, GONE)),
    ("1 performance", FailedBranch(EVENT, DATE, None, ListEnded("it goes on for ever"))),
    ("1 booking", FailedBranch(EVENT, DATE, None, ODD_ROW)),
    ("1 performance", FailedBranch(EVENT, None, None, ODD_ROW)),
    ("the performances of 1 event", FailedBranch(EVENT, None, None, GONE)),
    ("the performances of 1 event", FailedBranch(None, None, None, ODD_ROW)),
    ("further performances of 1 event", FailedBranch(EVENT, None, None, ListEnded("it goes on for ever"))),
    ("further events", FailedBranch(None, None, None, ListEnded("it goes on for ever"))),
]


@pytest.mark.parametrize("by", BYS)
@pytest.mark.parametrize(("what", "failed"), FAILURES)
@pytest.mark.parametrize("payment_methods", [True, False])
def test_a_failed_branch_empties_the_total_which_says_what_is_missing(
    what: str, failed: FailedBranch, by: By, payment_methods: bool
) -> None:
    """No row looks complete if something may be missing in it."""
    sales = sales_of(
        performance(1, booking(2, line()), failed=[failed] if failed.date else []),
        *([] if failed.date else [failed]),
        performance(2, booking(1, line()), event=attrs.evolve(EVENT, id="evt-2"), start="2026-07-01T19:30:00Z"),
        by=by,
        payment_methods=payment_methods,
    )

    for row in (sales.total, *sales.method_totals):
        assert (set(sums(row).values()), row.bookings, row.missing) == ({None}, None, f"without {what}")
        assert (row.performances, row.cancelled) == (None, None)
    assert sales.failed == (failed,)
    own, *others = sales.rows
    if (failed.date and by != "sold-day") or (failed.event and by == "event"):
        assert (set(sums(own).values()), own.bookings, own.missing) == ({None}, None, f"without {what}")
    elif by in ("date", "event"):
        assert values_of(own, "gross", "missing") == (10, "")
    else:
        assert values_of(own, "gross", "missing") == (20 if by == "sold-day" else 10, f"perhaps without {what}")
    perhaps = "" if by in ("date", "event") or failed.date else f"perhaps without {what}"
    assert [values_of(row, "gross", "missing") for row in others] == ([] if by == "sold-day" else [(10, perhaps)])


def test_a_performance_that_could_not_be_read_has_a_row() -> None:
    """The row shows its start, and no sum."""
    failed = FailedBranch(EVENT, performance(7, cancelled=True).date, None, GONE)

    (row,) = sales_of(failed).rows

    assert (row.date_id, str(row.start)[:10], row.mark, row.bookings) == ("dat-7", "2026-05-10", "cancelled", None)


def test_several_failures_are_counted() -> None:
    """Each kind is counted separately."""
    dates = [performance(number).date for number in range(3)]
    failed = [*(FailedBranch(EVENT, date, None, GONE) for date in dates), FAILURES[2][1], FAILURES[4][1]]

    assert sales_of(*failed).total.missing == "without 3 performances, 1 booking and the performances of 1 event"


def test_a_venue_that_cannot_be_read_leaves_the_sums_complete() -> None:
    """It is reported, and its row has the id of the venue."""
    failed = FailedBranch(EVENT, None, "ven-1", NotFound("no venue"))
    sales = sales_of(performance(1, booking(1, line()), venue=None), failed)

    assert sales.failed == (failed,)
    assert values_of(sales.total, "gross", "missing") == (10, "")
    assert sales.rows[0].venue == "ven-1"


def seat(category: str | None, *, booked: bool | None = True, cancelled: bool | None = False) -> Seat:
    """Return a seat."""
    return Seat("sea-1", price_category=category, is_booked=booked, is_cancelled=cancelled)


def test_seats_are_counted_by_price_category() -> None:
    """A seat of unknown state is counted separately. A seat without a category counts too."""
    tally = SalesTally("event", seats=True)
    tally.add(performance(1, booking(1, line()), booking(2, line())))
    adults = [seat("Adult"), seat("Adult", cancelled=True), seat("Adult", booked=None)]
    tally.add_seats(SeatsOfBooking("bkg-1", [*adults, seat(None), seat("")]))
    tally.add_seats(SeatsOfBooking("bkg-2", [seat("Adult", cancelled=None)]))
    sales = tally.result()

    assert sales.total.seats == {"Adult": SeatCount(1, 1, 2), None: SeatCount(2)} == sales.rows[0].seats
    assert sales.categories == ("Adult", None)


def test_seats_that_could_not_be_read_leave_the_sums_of_money_complete() -> None:
    """The row and the total have no seats. The other rows do."""
    tally = SalesTally(seats=True)
    tally.add(performance(1, booking(1, line())))
    tally.add(performance(2, booking(2, line())))
    failed = FailedBranch(None, None, None, GONE, "bkg-1")
    tally.add_seats(SeatsOfBooking("bkg-1", [], [failed]))
    tally.add_seats(SeatsOfBooking("bkg-2", [seat("Adult")]))
    sales = tally.result()

    assert [row.seats for row in (*sales.rows, sales.total)] == [None, {"Adult": SeatCount(1)}, None]
    assert [row.missing for row in (*sales.rows, sales.total)] == [said := "without the seats of 1 booking", "", said]
    assert values_of(sales.total, "gross", "bookings") == (20, 2)
    assert sales.failed == (failed,)
    assert str(failed) == "the list of seats of booking bkg-1 could not be read: it is broken"


@pytest.mark.parametrize(
    "options", [{"by": "year"}, {"by": "sold-day", "seats": True}, {"payment_methods": True, "seats": True}]
)
def test_an_impossible_report_is_refused(options: Any) -> None:
    """A seat does not say how, or on which day, it was paid for."""
    with pytest.raises(ValueError, match=r"by is one of date, event|seats do not say"):
        SalesTally(**options)


def test_a_sum_without_one_of_its_amounts_is_none() -> None:
    """The sum of no amounts is zero. Any sum is exact."""
    assert total([Decimal(1), None]) is None
    assert total([]) == 0
    with localcontext(prec=2):
        assert total([Decimal("1E+40"), Decimal("0.01")]) == Decimal("1" + "0" * 40 + ".01")


# Against an independent computation from the JSON

MONEY: st.SearchStrategy[object] = st.one_of(
    st.integers(-5000, 5000),
    st.decimals(-500, 500, places=2, allow_nan=False).map(str),
    st.sampled_from([None, "abc", [], "", "1e3", True]),
)
DISCOUNTS: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.just([]),
    st.fixed_dictionaries(
        {"automatic": MONEY},
        optional={
            "code": st.one_of(
                st.none(),
                st.fixed_dictionaries({"description": st.sampled_from(["", None, "FRIEND"]), "amount": MONEY}),
            )
        },
    ),
)
AMOUNT = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("gross", "fee", "fee_vat", "net"), MONEY) | {"discounts": DISCOUNTS}
    ),
)
LINE = st.one_of(
    st.fixed_dictionaries(
        {
            "line_type": st.sampled_from(["TICKETS"] * 5 + ["DONATION", "SUNDRY", "tickets", "", None]),
            "amount": AMOUNT,
            "is_refund": st.sampled_from([True, False, False, None, "no"]),
            "payment_method": st.sampled_from(["TS", "CASH", "", None]),
            "created_at": st.sampled_from(["2026-01-01T23:00:00-05:00", "2026-01-02T01:00:00+00:00", None]),
        }
    ),
    st.none(),
)
START = st.sampled_from(["2026-05-10T23:30:00-05:00", "2026-05-11T00:30:00+09:00", "2026-06-01T19:30:00Z", None])
PERFORMANCES = st.lists(
    st.tuples(st.sampled_from(["evt-1", "evt-2"]), START, st.lists(st.lists(LINE, max_size=3), max_size=3)), max_size=4
)


def money(value: object) -> Fraction | None:
    """Return an amount in JSON as the rules of the project have it."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value in ("abc", "", "1e3"):
        return None
    return Fraction(value)


def is_in_doubt(one: dict[str, Any] | None, gross: Fraction | None) -> bool:
    """Say whether a line is marked as a refund and has no minus."""
    return one is not None and one["is_refund"] is True and gross is not None and gross > 0


def discounts_of(off: dict[str, Any]) -> Fraction | None:
    """Return both kinds of discounts together."""
    code = off.get("code") or {"description": "", "amount": None}
    by_code = money(code["amount"])
    if by_code is None and not code["description"] and code["amount"] in (None, ""):
        by_code = Fraction(0)
    automatic = money(off.get("automatic"))
    return None if automatic is None or by_code is None else automatic + by_code


def computed(lines: Iterable[dict[str, Any] | None]) -> dict[str, Fraction | None]:
    """Return the sums over lines, straight from the JSON."""
    totals: dict[str, Fraction | None] = dict.fromkeys(SUMS, Fraction(0))

    def put(name: str, value: Fraction | None) -> None:
        before = totals[name]
        totals[name] = None if before is None or value is None else before + value

    for one in lines:
        kind = (one or {}).get("line_type")
        found = (one or {}).get("amount") or {}
        gross = money(found.get("gross"))
        if not kind:
            for name in SUMS:
                put(name, None)
        elif is_in_doubt(one, gross):
            for name in {"TICKETS": SUMS[:6], "DONATION": SUMS[6:7]}.get(kind, SUMS[7:]):
                put(name, None)
        elif kind == "TICKETS":
            assert one is not None
            for name, key in (("gross", "gross"), ("fees", "fee"), ("fee_vat", "fee_vat"), ("net", "net")):
                put(name, money(found.get(key)))
            put("discounts", discounts_of(found.get("discounts") or {}))
            is_known = one["is_refund"] in (True, False) or (gross is not None and gross >= 0)
            put("refunds", (gross if one["is_refund"] is True else Fraction(0)) if is_known else None)
        else:
            put("donations" if kind == "DONATION" else "other", gross)
    return totals


def keys_of(by: By, number: int, event: str, start: str | None, one: dict[str, Any] | None) -> str | None:
    """Return what a line belongs to."""
    made = (one or {}).get("created_at")
    return {
        "date": f"dat-{number}",
        "event": event,
        "day": start and start[:10],
        "month": start and start[:7],
        "sold-day": made and made[:10],
    }[by]


def key_of(row: SalesRow) -> str | None:
    """Return what a row belongs to, in the form of `keys_of`."""
    day = None if row.day is None else str(row.day)
    return {
        "date": row.date_id,
        "event": row.event_id,
        "day": day,
        "month": day and day[:7],
        "sold-day": day,
    }.get(row.kind)


@settings(max_examples=300, deadline=None)
@given(PERFORMANCES, st.sampled_from(BYS), st.booleans())
def test_the_sums_equal_those_computed_from_the_json(found: Any, by: By, payment_methods: bool) -> None:
    """Each row and the total are computed in another way."""
    ids = count(1)
    sales = sales_of(
        *[
            performance(
                number,
                *[booking(next(ids), *lines) for lines in bookings],
                event=Event(event, name=event, archived=False),
                start=start,
            )
            for number, (event, start, bookings) in enumerate(found)
        ],
        by=by,
        payment_methods=payment_methods,
    )

    by_row: dict[tuple[str | None, str | None], list[dict[str, Any] | None]] = {}
    all_lines = []
    for number, (event, start, bookings) in enumerate(found):
        for one in [one for lines in bookings for one in lines]:
            method = ((one or {}).get("payment_method") or None) if payment_methods else None
            by_row.setdefault((keys_of(by, number, event, start, one), method), []).append(one)
            all_lines.append(one)
    rows = {(key_of(row), row.payment_method): row for row in sales.rows}
    assert len(rows) == len(sales.rows)
    assert by_row.keys() <= rows.keys()
    for key, row in rows.items():
        assert exact(row) == computed(by_row.get(key, []))
    assert exact(sales.total) == computed(all_lines)
    assert sales.total.bookings == sum(len(bookings) for _, _, bookings in found)
    assert sales.total.performances == len(found)
    if payment_methods:
        for row in sales.method_totals:
            assert exact(row) == computed(
                one for (_, method), lines in by_row.items() if method == row.payment_method for one in lines
            )


def exact(row: SalesRow) -> dict[str, Fraction | None]:
    """Return the sums of a row as fractions."""
    return {name: None if value is None else Fraction(value) for name, value in sums(row).items()}
