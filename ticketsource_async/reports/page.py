"""The texts of the page about sales, for readers who see the charts and for those who do not."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from attrs import frozen

from ticketsource_async._words import counted, counted_once
from ticketsource_async.models import StartFilter
from ticketsource_async.reports.charting import (
    NO_SUM,
    Bar,
    Bars,
    Periods,
    Point,
    bars_of,
    day,
    moment,
    money,
    periods_of,
)
from ticketsource_async.reports.sales import Sales, SalesRow

MEASURE: Final = "gross of tickets after refunds"
"""The amount that the charts show."""

_MOST_NAMED: Final = 12  # of the events that you asked for
_ALWAYS: Final = (
    "Gross, discounts, fees, VAT of fees and net are for tickets, after refunds.",
    "Refunds are for tickets. They are already taken off in gross and net.",
    "Donations and other sales are not in gross. Their own refunds are taken off, and their fees are not shown.",
    "A sale counts on the day when it was made. A refund counts on the day of the refund.",
    "Amounts have no currency sign, since the API does not name the currency.",
    "Times and days are as the API writes them. Their time zone is not known.",
)
_TOTALS: Final = (
    ("Gross after refunds", "gross"),
    ("Refunds", "refunds"),
    ("Discounts", "discounts"),
    ("Fees", "fees"),
    ("VAT of fees", "fee_vat"),
    ("Net", "net"),
    ("Donations", "donations"),
    ("Other sales", "other"),
)


@frozen
class Total:
    """A total over all performances: its name and its text, or `lacking`, which says why there is none."""

    name: str
    text: str
    lacking: str = ""


@frozen
class Grid:
    """A table of texts: its caption, its headings, its rows, and a last row of totals.

    The first column has the name of the row, and more about it in a second line.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    last: tuple[str, ...] = ()


@frozen
class SalesPage:
    """The content of a page about sales.

    `scope` says which performances it is about. `missing` says which could not be read ("without 2 performances").
    `warnings` says what to know before you read the numbers, and `notes` how to read them.
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


def sales_page(by_date: Sales, by_sold_day: Sales, scope: Sequence[str], made: datetime) -> SalesPage:
    """Return the page about sales, from the sales of the same bookings by performance and by day of sale."""
    total = by_date.total
    bars = [Bar(_name(row), _detail(row), row.gross) for row in by_date.rows]
    days = {row.day: row for row in by_sold_day.rows if row.day is not None}
    undated = [row for row in by_sold_day.rows if row.day is None]
    periods = periods_of({value: row.gross for value, row in days.items()})
    unit = periods.unit
    return SalesPage(
        scope=tuple(scope),
        made=made,
        missing=total.missing,
        warnings=tuple(_warnings(by_date, undated)),
        totals=(
            Total("Performances", *_count(total.performances, total.missing)),
            Total("Bookings", *_count(total.bookings, total.missing)),
            *(Total(name, *_amount(getattr(total, field), total.missing)) for name, field in _TOTALS),
        ),
        bars=bars_of(bars),
        performances=Grid(
            f"Sales by performance: tickets after refunds{_and(total.missing)}",
            ("Performance", "Bookings", "Gross", "Refunds", "Net", "Donations"),
            tuple((f"{_name(row)}\n{_detail(row)}", *_cells(row)) for row in by_date.rows),
            ("All performances", *_cells(total)),
        ),
        periods=periods,
        sold=Grid(
            f"Sales by {unit} of sale: tickets after refunds{_and(total.missing)}",
            (f"{unit.capitalize()} of sale", "Gross"),
            tuple((point.name, _amount(point.amount)[0]) for point in periods.points if point.sold),
        ),
        notes=tuple(_notes(by_date)),
    )


def scope_of(start: StartFilter | None, events: Iterable[str], rows: Iterable[SalesRow]) -> list[str]:
    """Return which performances a page is about, in words. `events` are the ids of the chosen events."""
    names: Mapping[str | None, str | None] = {row.event_id: row.event for row in rows}
    chosen = [name if (name := names.get(event)) else event for event in dict.fromkeys(events)]
    more = len(chosen) - _MOST_NAMED
    said = [*chosen[:_MOST_NAMED], *([counted(more, "more event")] if more > 0 else [])]
    what = f"All performances of {counted(len(chosen), 'event')}" if chosen else "All performances"
    if start is not None:
        first, last = (value and day(value) for value in (start.first, start.last))
        span = (f"from {first}" if first else "", f"to {last}" if last else "")
        what = " ".join(filter(None, (what.removeprefix("All ").capitalize(), *span)))
    return [f"{what}.", *([f"{'Event' if len(chosen) == 1 else 'Events'}: {'; '.join(said)}."] if chosen else [])]


def _name(row: SalesRow) -> str:
    return row.event or "an event without a name"


def _detail(row: SalesRow) -> str:
    start = moment(row.start) if row.start else "start not known"
    return ", ".join(filter(None, (start, row.mark, row.missing)))


def _amount(amount: Decimal | None, missing: str = "") -> tuple[str, str]:
    """Return an amount as text, and the text to show if there is none."""
    return (NO_SUM, f"{NO_SUM}: {missing}" if missing else NO_SUM) if amount is None else (money(amount), "")


def _count(count: int | None, missing: str = "") -> tuple[str, str]:
    return ("not known", f"not known: {missing}" if missing else "not known") if count is None else (f"{count:,}", "")


def _cells(row: SalesRow) -> tuple[str, ...]:
    amounts = (row.gross, row.refunds, row.net, row.donations)
    return (_count(row.bookings)[0], *(_amount(amount)[0] for amount in amounts))


def _warnings(sales: Sales, undated: Sequence[SalesRow]) -> Iterable[str]:
    """Yield sentences about what the page lacks."""
    if sales.total.missing:
        yield f"Not complete: {sales.total.missing}. A sum is not shown if a part of it is missing."
    for row in undated:
        if not any(getattr(row, field) != 0 for _, field in _TOTALS):
            continue  # bookings without a line
        yield (
            f"The sales over time are without the lines whose day cannot be read: {_amount(row.gross)[0]} of tickets. "
            "The totals include them."
        )


def _notes(sales: Sales) -> Iterable[str]:
    """Yield sentences about how to read the numbers."""
    yield from _ALWAYS
    if others := ", ".join(sales.total.other_types):
        yield f"Other sales are of these types: {others}."
    if sales.repeated:
        yield counted_once(sales.repeated)


def about_bars(bars: Sequence[Bar], first: int, count: int, missing: str) -> str:
    """Return a text about a chart of some of the bars: those from number `first`, of `count` in all."""
    which = f"bars {first} to {first + len(bars) - 1} of {count}" if count > len(bars) else counted(count, "bar")
    return _sentences(
        f"Bar chart of the {MEASURE} by performance, {which}{_and(missing)}",
        *_ends([(str(bar), bar.amount) for bar in bars]),
        _lacking([bar.amount for bar in bars], "performance"),
        "The table after the charts has every amount",
    )


def about_line(periods: Periods, missing: str) -> str:
    """Return a text about the chart of amounts over time."""
    points = periods.points
    names = [point.name for point in points]
    span = " to ".join(dict.fromkeys((names[0], names[-1])))
    lacking = _lacking([point.amount for point in points], periods.unit)
    return _sentences(
        f"Line chart of the {MEASURE} by {periods.unit} of sale, {span}{_and(missing)}",
        *_ends([(_said(point), point.amount) for point in points]),
        lacking and f"{lacking}: the line is interrupted there",
        "The table after the chart has every amount",
    )


def about_others(bars: Bars) -> str:
    """Return a text about the performances without a bar; empty if all have one."""
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
    return f"{count} {what}{'s have' if count > 1 else ' has'} {NO_SUM}" if count and len(amounts) > 1 else ""


def _ends(said: Sequence[tuple[str, Decimal | None]]) -> list[str]:
    """Return texts about the highest and the lowest amount, if there are several."""
    known = [(amount, text) for text, amount in said if amount is not None]
    if len(said) == 1:
        return [said[0][0]]
    if not known:
        return []
    highest, lowest = max(known, key=lambda pair: pair[0]), min(known, key=lambda pair: pair[0])
    return [f"Highest: {highest[1]}", f"Lowest: {lowest[1]}"] if highest[0] != lowest[0] else [f"Each: {highest[1]}"]


def _sentences(*parts: str) -> str:
    return " ".join(f"{part}." for part in parts if part)
