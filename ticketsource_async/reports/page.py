"""What a page about sales says, in words: for those who see its charts and for those who do not."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from attrs import frozen

from ticketsource_async.reports.charting import Bar, Bars, Periods, Point, money

MEASURE: Final = "gross after refunds"
"""What the charts show."""

NO_SUM: Final = "no sum"


@frozen
class Total:
    """An amount of all performances together; without one, `lacking` says why."""

    name: str
    amount: Decimal | None
    lacking: str = ""


@frozen
class Grid:
    """A table of texts: its caption, its headings, its rows, and a last row of totals; the first column names a row."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    last: tuple[str, ...] = ()


@frozen
class SalesPage:
    """All that a page about sales has.

    `scope` says which performances these are, `missing` which are not there ("without 2 performances"), `warnings` what
    else is lacking, and `notes` how to read the numbers.
    """

    scope: tuple[str, ...]
    made: datetime
    missing: str
    warnings: tuple[str, ...]
    totals: tuple[Total, ...]
    bars: Bars
    performances: Grid
    periods: Periods
    sold: Grid
    notes: tuple[str, ...]


def about_bars(bars: Sequence[Bar], first: int, count: int, missing: str) -> str:
    """Return what a chart of some of the bars shows; they are those from number `first` of so many."""
    which = f"performances {first} to {first + len(bars) - 1} of {count}" if count > len(bars) else f"{count} performance"
    which += "s" if 1 < count == len(bars) else ""
    return _sentences(
        f"Bar chart of the {MEASURE} of {which}{_and(missing)}",
        *_ends([(str(bar), bar.amount) for bar in bars]),
        _lacking([bar.amount for bar in bars], "performance"),
        "The table after the charts has every amount",
    )


def about_line(periods: Periods, missing: str) -> str:
    """Return what the chart of amounts over time shows."""
    points = periods.points
    span = f"{points[0].name} to {points[-1].name}" if len(points) > 1 else points[0].name
    lacking = _lacking([point.amount for point in points], periods.unit)
    return _sentences(
        f"Line chart of the {MEASURE} by {periods.unit} of sale, {span}{_and(missing)}",
        *_ends([(_said(point), point.amount) for point in points]),
        lacking and f"{lacking}: the line is interrupted there",
        "The table after the chart has every amount",
    )


def about_others(bars: Bars) -> str:
    """Return what is said of the performances that have no bar; nothing if all have one."""
    if not bars.others:
        return ""
    amount = f"have {NO_SUM}" if bars.others_amount is None else f"come to {money(bars.others_amount)}"
    return (
        f"The {len(bars.shown)} performances with the highest amounts have a bar. The {bars.others} others together "
        f"{amount}. The table has all of them."
    )


def _said(point: Point) -> str:
    return f"{point.name}: {NO_SUM if point.amount is None else money(point.amount)}"


def _and(missing: str) -> str:
    return f", {missing}" if missing else ""


def _lacking(amounts: Sequence[Decimal | None], what: str) -> str:
    count = sum(amount is None for amount in amounts)
    return f"{count} {what}{'s have' if count > 1 else ' has'} {NO_SUM}" if count else ""


def _ends(said: Sequence[tuple[str, Decimal | None]]) -> list[str]:
    """Return what is highest and what is lowest, if there are several."""
    known = [(amount, text) for text, amount in said if amount is not None]
    if len(said) == 1:
        return [said[0][0]]
    if not known:
        return []
    highest, lowest = max(known, key=lambda pair: pair[0]), min(known, key=lambda pair: pair[0])
    return [f"Highest: {highest[1]}", f"Lowest: {lowest[1]}"] if highest[0] != lowest[0] else [f"Each: {highest[1]}"]


def _sentences(*parts: str) -> str:
    return " ".join(f"{part}." for part in parts if part)
