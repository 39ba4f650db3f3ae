"""What the page about sales says."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from attrs import evolve

from ticketsource_async.models import StartFilter
from ticketsource_async.reports.charting import Bar, bars_of, periods_of
from ticketsource_async.reports.page import about_bars, about_line, about_others, sales_page, scope_of
from ticketsource_async.reports.sales import By, Sales, SalesRow

NAMES = ("gross", "discounts", "fees", "fee_vat", "net", "refunds", "donations", "other")


def amounts(**known: float) -> dict[str, Any]:
    """Return the sums of a row, zero for those that are not named."""
    return {name: Decimal(str(known.get(name, 0))) for name in NAMES}


LIGHTHOUSE = SalesRow(
    kind="date",
    event_id="evt-1",
    event="The Lighthouse",
    start=datetime(2026, 1, 3, 19, 30, tzinfo=UTC),
    bookings=1200,
    **amounts(gross=1234.5, refunds=-12.5, net=1100, donations=5),
)
SONGS = evolve(LIGHTHOUSE, event_id="evt-2", event=None, start=None, mark="perhaps cancelled", gross=None)
TOTAL = evolve(LIGHTHOUSE, kind="total", event=None, start=None, performances=2, bookings=2400)
SOLD = SalesRow(kind="sold-day", day=date(2026, 1, 1), bookings=1, **amounts(gross=7))
MADE = datetime(2026, 11, 27, 16, 5, tzinfo=UTC)


def sales(*rows: SalesRow, by: By = "date", total: SalesRow = TOTAL, repeated: int = 0) -> Sales:
    """Return the sales with these rows."""
    return Sales(
        by=by,
        payment_methods=False,
        rows=rows,
        method_totals=(),
        total=total,
        failed=(),
        repeated=repeated,
        categories=(),
    )


def test_the_page_has_each_performance_with_its_marks_and_the_totals() -> None:
    """A mark and an unknown name or start are given in words."""
    page = sales_page(sales(LIGHTHOUSE, SONGS), sales(SOLD, by="sold-day"), ["All performances."], MADE)

    assert page.bars.shown == (
        Bar("The Lighthouse", "3 Jan 2026, 19:30", Decimal("1234.5")),
        Bar("an event without a name", "start not known, perhaps cancelled", None),
    )
    assert page.performances.rows == (
        ("The Lighthouse\n3 Jan 2026, 19:30", "1,200", "1,234.50", "-12.50", "1,100.00", "5.00"),
        (
            *("an event without a name\nstart not known, perhaps cancelled", "1,200", "no sum"),
            *("-12.50", "1,100.00", "5.00"),
        ),
    )
    assert page.performances.last[:3] == ("All performances", "2,400", "1,234.50")
    assert {total.name: total.text for total in page.totals} == {
        "Performances": "2",
        "Bookings": "2,400",
        "Gross after refunds": "1,234.50",
        "Refunds": "-12.50",
        "Discounts": "0.00",
        "Fees": "0.00",
        "VAT of fees": "0.00",
        "Net": "1,100.00",
        "Donations": "5.00",
        "Other sales": "0.00",
    }
    assert page.sold.rows == (("1 Jan 2026", "7.00"),)
    assert (page.missing, page.warnings) == ("", ())


def test_an_incomplete_page_says_what_is_missing() -> None:
    """It says so in a warning, in place of each total, and in the captions."""
    total = SalesRow(kind="total", missing="without 2 performances")
    page = sales_page(sales(LIGHTHOUSE, total=total), sales(SOLD, by="sold-day", total=total), [], MADE)

    assert page.warnings == ("Not complete: without 2 performances. A sum is not shown if a part of it is missing.",)
    assert {total.lacking for total in page.totals} == {
        "not known: without 2 performances",
        "no sum: without 2 performances",
    }
    assert page.performances.caption.endswith(", without 2 performances")
    assert page.sold.caption.endswith(", without 2 performances")
    assert set(page.performances.last[1:]) == {"not known", "no sum"}


def test_sales_whose_day_cannot_be_read_are_reported() -> None:
    """A booking without any line does not count as one."""
    undated = evolve(SOLD, day=None)
    nothing = SalesRow(kind="sold-day", bookings=1, **amounts())

    said = [sales_page(sales(), sales(SOLD, row, by="sold-day"), [], MADE) for row in (undated, nothing)]

    assert said[0].warnings == (
        "The sales over time are without the lines whose day cannot be read: 7.00 of tickets. The totals include them.",
    )
    assert said[1].warnings == ()
    assert said[0].sold == said[1].sold


def test_repeated_bookings_and_other_sales_are_reported() -> None:
    """They explain differences from other sums."""
    total = evolve(TOTAL, other_types=("FEE", "SUNDRY"))
    page = sales_page(sales(total=total, repeated=1), sales(by="sold-day"), [], MADE)

    assert page.warnings == ()
    assert page.notes[-2:] == (
        "Other sales are of these types: FEE, SUNDRY.",
        "1 booking came more than once from the API. Each counts once.",
    )


def test_the_scope_names_the_requested_performances() -> None:
    """It gives the days and the names of the events. An unknown event has its id."""
    rows = (LIGHTHOUSE, SONGS)
    first, last = date(2026, 1, 3), date(2026, 1, 31)

    assert scope_of(None, (), rows) == ["All performances."]
    assert scope_of(StartFilter(first, last), (), rows) == ["Performances from 3 Jan 2026 to 31 Jan 2026."]
    assert scope_of(StartFilter(first), (), rows) == ["Performances from 3 Jan 2026."]
    assert scope_of(StartFilter(None, last), ("evt-1",), rows) == [
        "Performances of 1 event to 31 Jan 2026.",
        "Event: The Lighthouse.",
    ]
    assert scope_of(None, ("evt-1", "evt-2", "evt-3", "evt-1"), rows) == [
        "All performances of 3 events.",
        "Events: The Lighthouse; evt-2; evt-3.",
    ]
    assert scope_of(None, map(str, range(14)), ())[1].endswith("; 11; 2 more events.")


def test_a_bar_chart_is_described_in_words() -> None:
    """The text gives the number of bars, the highest, the lowest, bars without a sum, and what is missing."""
    bars = [Bar("a", "", Decimal(5)), Bar("b", "", None), Bar("c", "", Decimal(-2))]

    assert about_bars(bars, 11, 40, "without 2 performances") == (
        "Bar chart of the gross of tickets after refunds by performance, bars 11 to 13 of 40, without 2 performances. "
        "Highest: a: 5.00. Lowest: c: -2.00. 1 performance has no sum. The table after the charts has every amount."
    )
    assert about_bars(bars[:1], 1, 1, "") == (
        "Bar chart of the gross of tickets after refunds by performance, 1 bar. a: 5.00. The table after the charts "
        "has every amount."
    )
    assert "3 bars. Each: a: 5.00." in about_bars([bars[0]] * 3, 1, 3, "")
    assert "2 bars. 2 performances have no sum." in about_bars([bars[1]] * 2, 1, 2, "")
    assert about_bars([bars[1]], 1, 1, "").count("no sum") == 1


def test_a_chart_over_time_is_described_in_words() -> None:
    """The text gives the first and the last day, the highest, the lowest, and interruptions."""
    periods = periods_of({date(2026, 1, 1): Decimal(5), date(2026, 1, 3): Decimal(-1), date(2026, 1, 4): None})

    assert about_line(periods, "without 2 performances") == (
        "Line chart of the gross of tickets after refunds by day of sale, 1 Jan 2026 to 4 Jan 2026, without 2 "
        "performances. Highest: 1 Jan 2026: 5.00. Lowest: 3 Jan 2026: -1.00. 1 day has no sum: the line is "
        "interrupted there. The table after the chart has every amount."
    )
    assert "by day of sale, 1 Jan 2026. 1 Jan 2026: 5.00." in about_line(periods_of({date(2026, 1, 1): Decimal(5)}), "")


def test_performances_without_a_bar_are_counted() -> None:
    """Their sum is given. If all have a bar, there is no such text."""
    bars = [Bar("x", "", Decimal(number)) for number in range(500)]

    assert about_others(bars_of(bars)) == (
        "The 40 performances with the highest amounts have a bar. The 460 others together come to 105,570.00. The "
        "table has all of them."
    )
    assert "The 461 others together have no sum." in about_others(bars_of([*bars, Bar("x", "", None)]))
    assert about_others(bars_of(bars[:40])) == ""
