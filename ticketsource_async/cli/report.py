"""The command that makes the page about sales."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from ticketsource_async.cli.common import LeftOut, box_office, on_terminal, reporting_unreadable, run, say
from ticketsource_async.cli.options import (
    command,
    days_options,
    output_option,
    quiet_option,
    sandbox_option,
    strict_option,
)
from ticketsource_async.cli.sales import Hooks, check_any_read, events_option, read_sales

if TYPE_CHECKING:
    from ticketsource_async import Sales, StartFilter

_SETTINGS: Final = "MPLCONFIGDIR"  # matplotlib's folder for its settings and its cache of fonts


@command("report", epilog="Example: ticketsource report --from 2026-01-01 --to 2026-01-31 -o report.html")
@sandbox_option
@quiet_option
@strict_option
@output_option
@events_option
@days_options
def report(
    *,
    start: "StartFilter | None",
    events: tuple[str, ...],
    output: Path,
    strict: bool,
    quiet: bool,
    sandbox: bool,
) -> None:
    """Make a page with charts of sales, to read, print or send.

    The page has the totals, a bar for each performance, a line of the sales over time, and the tables of both. A
    performance is one date of an event. The page is one HTML file without scripts and without personal data. A browser
    can print it on A4 or save it as PDF. The command needs an extra: pip install 'ticketsource-async[report]'.

    If an event or a performance cannot be read, the page shows the rest, without totals, and says what is missing.
    A message names it, and the exit code is 1. Times are as TicketSource writes them, and their time zone is not known.
    """
    from ticketsource_async.files import ending_of  # noqa: PLC0415 - help can do without
    from ticketsource_async.output import check_writable  # noqa: PLC0415 - as above

    if str(output) == "-" and on_terminal(sys.stdout):
        raise click.UsageError("The page is for a browser, not for a terminal: name a file, such as -o report.html.")
    if (ending := ending_of(output)) not in ("", "html", "htm"):
        raise click.BadParameter(
            f"the page is HTML, not {ending}. Name a file that ends in .html, and open it in a browser. A browser can "
            "print it or save it as PDF.",
            param_hint="--output",
        )

    async def make() -> None:
        from ticketsource_async import SalesTally  # noqa: PLC0415 - as above
        from ticketsource_async.files.report_page import check_extra  # noqa: PLC0415

        check_extra()
        check_writable(output)
        by_date, by_sold_day = SalesTally("date"), SalesTally("sold-day")
        with LeftOut() as left_out, reporting_unreadable(strict=strict, in_cells=False) as note:
            async with box_office(sandbox=sandbox) as ts:
                hooks = Hooks(note, left_out)
                await read_sales(ts, by_date, by_sold_day, hooks=hooks, quiet=quiet, start=start, events=events)
            check_any_read(by_date, left_out, output)
            _write(by_date.result(), by_sold_day.result(), output, start=start, events=events)

    with _no_trace_of_matplotlib():
        run(make())


def _write(
    by_date: "Sales", by_sold_day: "Sales", output: Path, *, start: "StartFilter | None", events: tuple[str, ...]
) -> None:
    from ticketsource_async.files.report_page import html_of  # noqa: PLC0415 - as above
    from ticketsource_async.output import open_output  # noqa: PLC0415
    from ticketsource_async.reports.page import sales_page, scope_of  # noqa: PLC0415

    now = datetime.now()  # noqa: DTZ005 - people's own time
    page = html_of(sales_page(by_date, by_sold_day, scope_of(start, events, by_date.rows), now))
    with open_output(output, "utf-8", say) as stream:
        stream.write(page)


@contextmanager
def _no_trace_of_matplotlib() -> Iterator[None]:
    """Let matplotlib write nothing to stderr, and to a temporary folder unless the user has set a folder for it."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if os.environ.get(_SETTINGS):
        yield
        return
    with TemporaryDirectory(prefix="ticketsource-matplotlib-", ignore_cleanup_errors=True) as folder:
        os.environ[_SETTINGS] = folder
        try:
            yield
        finally:
            del os.environ[_SETTINGS]
