"""What a chart shows, before it is drawn."""

from datetime import date, timedelta
from decimal import Decimal, localcontext

import pytest

from ticketsource_async.reports.charting import (
    Bar,
    bars_of,
    money,
    periods_of,
    scale_of,
    short,
    tick,
    with_ticks,
)
from ticketsource_async.reports.sums import total

FIRST = date(2026, 1, 30)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("12", "12.00"),
        ("1234567.5", "1,234,567.50"),
        ("-0.5", "-0.50"),
        ("3.125", "3.125"),
        ("1E+3", "1,000.00"),
        ("0.00", "0.00"),
    ],
)
def test_money_is_exact_and_has_at_least_two_decimals(amount: str, text: str) -> None:
    """The decimal precision of the program does not matter."""
    with localcontext(prec=2):
        assert money(Decimal(amount)) == text


def test_an_amount_too_long_for_a_chart_is_rounded_there() -> None:
    """The table beside the chart has it in full."""
    assert short(Decimal("1234567.5")) == "1,234,567.50"
    assert short(Decimal(-123456789012345)) == "-1.23E+14"
    assert tick(Decimal("1E+99")) == "1.00E+99"
    assert (tick(Decimal("1E+3")), tick(Decimal("2.5"))) == ("1,000", "2.50")


@pytest.mark.parametrize(
    ("amounts", "ticks"),
    [
        ((), ["0", "0.50", "1"]),
        ((None, None), ["0", "0.50", "1"]),
        ((0,), ["0", "0.50", "1"]),
        ((7, None), ["0", "2", "4", "6", "8"]),
        ((-120, 250), ["-200", "-100", "0", "100", "200", "300"]),
        ((-3,), ["-3", "-2", "-1", "0"]),
        ((1, 10**9), ["0", "500,000,000", "1,000,000,000"]),
        ((Decimal("1E+90"),), ["0", "5.00E+89", "1.00E+90"]),
        ((Decimal("0.03"),), ["0", "0.01", "0.02", "0.03"]),
    ],
)
def test_the_ticks_are_round_numbers_and_include_zero(amounts: tuple[int | None, ...], ticks: list[str]) -> None:
    """This holds without any amount and with a very large one."""
    scale = with_ticks(scale_of(amount if amount is None else Decimal(amount) for amount in amounts), 4)

    assert [tick(amount) for amount in scale.ticks] == ticks
    assert [scale.place(scale.low), scale.place(scale.high)] == [0, 1]


def test_amounts_larger_than_any_float_have_a_place() -> None:
    """A chart does not fail because of such an amount."""
    scale = scale_of([Decimal("-1E+400"), Decimal("3E+400"), Decimal(5)])

    assert [scale.place(amount) for amount in (scale.low, Decimal(5), scale.high)] == [0, 0.25, 1]


def test_few_bars_are_all_shown() -> None:
    """They keep their order."""
    bars = [Bar(str(number), "", Decimal(number)) for number in range(40)]

    assert bars_of(bars).shown == tuple(bars)
    assert bars_of(bars).others == 0


def test_the_highest_of_many_bars_are_shown_and_the_others_are_counted() -> None:
    """The highest keep their order. A bar without a sum is one of the others, whose sum is then None."""
    bars = [Bar(str(number), "", Decimal(number * 7 % 500)) for number in range(500)]

    made = bars_of(bars)

    assert [bar.amount for bar in made.shown] == [bar.amount for bar in bars if (bar.amount or 0) >= 460]
    assert made.others == 460
    assert made.others_amount == sum(range(460))
    assert bars_of([*bars, Bar("x", "", None)]).others_amount is None
    assert bars_of([Bar("x", "", None)] * 50).others == 10


def test_the_text_of_a_bar_has_its_name_and_its_amount() -> None:
    """It is for people who cannot see the bar."""
    assert str(Bar("Winter Songs", "9 Jan 2026", Decimal(12))) == "Winter Songs, 9 Jan 2026: 12.00"
    assert str(Bar("Winter Songs", "", None)) == "Winter Songs: no sum"


def test_a_day_without_sales_is_zero() -> None:
    """The chart has a point for it, and the table does not list it."""
    periods = periods_of({FIRST: Decimal(5), FIRST + timedelta(days=3): None})

    assert periods.unit == "day"
    assert [(p.name, p.amount, p.sold) for p in periods.points] == [
        ("30 Jan 2026", 5, True),
        ("31 Jan 2026", 0, False),
        ("1 Feb 2026", 0, False),
        ("2 Feb 2026", None, True),
    ]


@pytest.mark.parametrize(
    ("days", "unit", "names"),
    [
        (0, "day", ["30 Jan 2026"]),
        (119, "day", ["30 Jan 2026", "29 May 2026"]),
        (120, "week", ["week of 26 Jan 2026", "week of 25 May 2026"]),
        (3 * 365, "month", ["Jan 2026", "Jan 2029"]),
        (20 * 365, "year", ["2026", "2046"]),
        (365 * 7900, "year", ["2026", "9920"]),
    ],
)
def test_a_long_period_is_shown_by_week_month_or_year(days: int, unit: str, names: list[str]) -> None:
    """Each unit has the sum of its days."""
    periods = periods_of({FIRST: Decimal(1), FIRST + timedelta(days=days): Decimal(2)})

    assert periods.unit == unit
    assert list(dict.fromkeys([periods.points[0].name, periods.points[-1].name])) == names
    assert total(point.amount for point in periods.points) == (3 if days else 2)


def test_a_week_without_the_amount_of_one_day_has_no_sum() -> None:
    """A week begins on its Monday."""
    periods = periods_of({FIRST: Decimal(1), date(2026, 2, 1): None, date(2026, 12, 1): Decimal(1)})

    assert [point.name for point in periods.points if point.amount is None] == ["week of 26 Jan 2026"]


@pytest.mark.parametrize("days", [{}, {date.min: Decimal(1)}, {date.min: Decimal(1), date.max: Decimal(2)}])
def test_the_first_and_last_day_of_the_calendar_are_shown(days: dict[date, Decimal | None]) -> None:
    """Without any day, there is no point."""
    assert sum(point.sold for point in periods_of(days).points) == len(days)
