"""Write the page about sales as one HTML file with its charts, to read, print or send."""

from typing import Final

from ticketsource_async.files import charts
from ticketsource_async.files.html import environment
from ticketsource_async.reports.charting import moment, scale_of
from ticketsource_async.reports.page import MEASURE, SalesPage, about_bars, about_line, about_others

_BARS_A_DRAWING: Final = 10  # a printer can begin a new page after each drawing


def check_extra() -> None:
    """Raise `ConfigurationError` if a package that draws or writes the page is not installed."""
    charts.check_extra()
    environment()


def html_of(page: SalesPage) -> str:
    """Return the page as HTML. It needs no other file.

    Raises `ConfigurationError` without the extra `report`.
    """
    charts.check_extra()
    points = page.periods.points
    html = (
        environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            made=moment(page.made),
            measure=MEASURE[0].upper() + MEASURE[1:],
            missing=f", {page.missing}" if page.missing else "",
            others=about_others(page.bars),
            bar_charts=_bar_charts(page),
            line_charts=[charts.line_chart(points, about_line(page.periods, page.missing))] if points else [],
        )
    )
    return f"{html}\n"


def _bar_charts(page: SalesPage) -> list[tuple[str, ...]]:
    shown = page.bars.shown
    scale = scale_of(bar.amount for bar in shown)
    found = []
    for first in range(0, len(shown), _BARS_A_DRAWING):
        bars = shown[first : first + _BARS_A_DRAWING]
        found.append(charts.bar_chart(bars, scale, about_bars(bars, first + 1, len(shown), page.missing)))
    return found
