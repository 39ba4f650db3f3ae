"""The content of a chart of money before it is drawn: the scale, the bars, and the points in time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import MAX_PREC, ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Final

from attrs import frozen

from ticketsource_async.reports.sums import total

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""The names of months in English. Those of `strftime` depend on the program's locale."""

NO_SUM: Final = "no sum"

_MOST_BARS: Final = 40
_MOST_POINTS: Final = 120
_LONGEST: Final = 14  # letters of an amount in a chart


def money(amount: Decimal) -> str:
    """Return an amount for people: exact, with commas between thousands, and at least two decimals."""
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:
        with localcontext(prec=MAX_PREC):
            amount = amount.quantize(Decimal("0.01"))
    return f"{amount:,f}"


def day(value: date) -> str:
    """Return a day for people, in English: 9 Jan 2026."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def moment(value: datetime) -> str:
    """Return a time for people as the API writes it, without its offset: 9 Jan 2026, 19:30."""
    return f"{day(value)}, {value:%H:%M}"


@frozen
class Scale:
    """The scale of a chart: its ends and its ticks. It always includes zero."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...] = ()

    def place(self, amount: Decimal) -> float:
        """Return the place of an amount: 0 is the low end, 1 the high end. An amount of any size has a place."""
        with localcontext(prec=28):
            return float((amount - self.low) / (self.high - self.low))


def scale_of(amounts: Iterable[Decimal | None]) -> Scale:
    """Return the smallest scale that has room for the amounts."""
    known = [amount for amount in amounts if amount is not None]
    low, high = min([*known, Decimal(0)]), max([*known, Decimal(0)])
    return Scale(low, high if low < high else Decimal(1))


def with_ticks(scale: Scale, steps: int) -> Scale:
    """Return the scale, extended to about `steps` steps of 1, 2 or 5 times a power of ten."""
    with localcontext(prec=28):
        rough = (scale.high - scale.low) / steps
        power = Decimal(1).scaleb(rough.adjusted())
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = (scale.low / step).to_integral_value(ROUND_FLOOR)
        last = (scale.high / step).to_integral_value(ROUND_CEILING)
        ticks = tuple(step * (first + number) for number in range(int(last - first) + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def short(amount: Decimal) -> str:
    """Return an amount that fits into a chart: a very long one is rounded to three digits."""
    return _fitting(money(amount), amount)


def tick(amount: Decimal) -> str:
    """Return the text beside a tick of a scale."""
    with localcontext(prec=28):
        return _fitting(money(amount.normalize()).removesuffix(".00"), amount)


def _fitting(exact: str, amount: Decimal) -> str:
    with localcontext(prec=28):
        return exact if len(exact) <= _LONGEST else f"{amount:.2E}"


@frozen
class Bar:
    """A bar: its name, a second line, and its amount; None if a part of the amount is missing."""

    name: str
    detail: str
    amount: Decimal | None

    def __str__(self) -> str:
        what = ", ".join(filter(None, (self.name, self.detail)))
        return f"{what}: {NO_SUM if self.amount is None else money(self.amount)}"


@frozen
class Bars:
    """The bars of a chart in their order, and those that are left out because there are too many."""

    shown: tuple[Bar, ...]
    others: int
    others_amount: Decimal | None


def bars_of(bars: Sequence[Bar], most: int = _MOST_BARS) -> Bars:
    """Return the bars to show: all of them, or the `most` highest."""
    ranked = sorted(range(len(bars)), key=lambda i: (bars[i].amount is None, -(bars[i].amount or 0), i))
    kept = set(ranked[:most])
    left = [bar.amount for number, bar in enumerate(bars) if number not in kept]
    return Bars(tuple(bar for number, bar in enumerate(bars) if number in kept), len(left), total(left))


@frozen
class Point:
    """The amount of a period: its name and its sum; None if a part of the sum is missing.

    `sold` says whether the period has any sale or refund.
    """

    name: str
    amount: Decimal | None
    sold: bool = True


@frozen
class Periods:
    """Amounts over time, one for each day, week, month or year from the first to the last."""

    unit: str
    points: tuple[Point, ...]


_UNITS: Final[dict[str, Callable[[date], int]]] = {
    "day": lambda value: value.toordinal(),
    "week": lambda value: (value.toordinal() - 1) // 7,  # day 1 of the calendar was a Monday
    "month": lambda value: value.year * 12 + value.month - 1,
    "year": lambda value: value.year,
}


def _name(unit: str, number: int) -> str:
    if unit == "year":
        return str(number)
    if unit == "month":
        return f"{MONTHS[number % 12]} {number // 12}"
    if unit == "week":
        return f"week of {day(date.fromordinal(number * 7 + 1))}"
    return day(date.fromordinal(number))


def periods_of(days: Mapping[date, Decimal | None]) -> Periods:
    """Return the amounts by day, or by the shortest unit that does not give too many points.

    A unit without a sale, between the first and the last, has zero.
    """
    if not days:
        return Periods("day", ())
    first, last = min(days), max(days)
    unit = next((u for u, number in _UNITS.items() if number(last) - number(first) < _MOST_POINTS), "year")
    sums: dict[int, list[Decimal | None]] = {}
    for value, amount in days.items():
        sums.setdefault(_UNITS[unit](value), []).append(amount)
    numbers = range(_UNITS[unit](first), _UNITS[unit](last) + 1)
    return Periods(
        unit, tuple(Point(_name(unit, number), total(sums.get(number, ())), number in sums) for number in numbers)
    )
