"""The page about sales: one HTML file with its charts, to read, to print and to send on."""

from typing import Final

from ticketsource_async.files.charts import bar_chart, check_extra, line_chart
from ticketsource_async.files.html import environment
from ticketsource_async.reports.charting import moment, scale_of
from ticketsource_async.reports.page import MEASURE, SalesPage, about_bars, about_line, about_others

_BARS_A_DRAWING: Final = 10  # a printer can begin a new page after each drawing


def html_of(page: SalesPage) -> str:
    """Return the page as HTML; all that it needs is in it.

    Raises `ConfigurationError` without the extra `report`.
    """
    check_extra()
    template = environment().get_template("report.html.jinja")
    return template.render(
        page=page,
        made=moment(page.made),
        measure=MEASURE[0].upper() + MEASURE[1:],
        missing=f", {page.missing}" if page.missing else "",
        others=about_others(page.bars),
        bar_charts=_bar_charts(page),
        line_charts=[line_chart(page.periods.points, about_line(page.periods, page.missing))]
        if page.periods.points
        else [],
    )


def _bar_charts(page: SalesPage) -> list[tuple[str, ...]]:
    shown = page.bars.shown
    scale = scale_of(bar.amount for bar in shown)
    parts = [(first, shown[first : first + _BARS_A_DRAWING]) for first in range(0, len(shown), _BARS_A_DRAWING)]
    return [bar_chart(bars, scale, about_bars(bars, first + 1, len(shown), page.missing)) for first, bars in parts]
