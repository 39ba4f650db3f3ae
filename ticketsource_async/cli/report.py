"""The command that makes the page about sales."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from ticketsource_async.cli.common import (
    TEXT,
    LeftOut,
    box_office,
    checked_ids,
    command,
    on_terminal,
    output_option,
    progress,
    quiet_option,
    reporting_unreadable,
    run,
    sandbox_option,
    say,
    strict_option,
)
from ticketsource_async.cli.export import days_options

if TYPE_CHECKING:
    from ticketsource_async import FailedBranch, StartFilter
    from ticketsource_async.listings import Sold
    from ticketsource_async.models.base import Record

_SETTINGS: Final = "MPLCONFIGDIR"  # where matplotlib looks for settings, and keeps what it knows of fonts


class _Watch:
    """A tally that shows how far the reading is, and notes what could not be read."""

    def __init__(self, note: "Callable[[Record], None]", count: Callable[[], object], left_out: LeftOut) -> None:
        self._note = note
        self._count = count
        self._left_out = left_out
        self.performances = 0

    def add(self, sold: "Sold", /) -> None:
        """Count a performance."""
        for record in (sold.event, sold.date, *sold.bookings):
            self._note(record)
        for failed in sold.failed:
            self._left_out(failed)
        self.performances += 1
        self._count()

    def add_failed(self, failed: "FailedBranch", /) -> None:
        """Take what could not be read at all."""
        self._left_out(failed)


@command("report", epilog="Example: ticketsource report --from 2026-01-01 --to 2026-01-31 -o report.html")
@sandbox_option
@quiet_option
@strict_option
@output_option
@click.option(
    "--event",
    "events",
    metavar="ID",
    type=TEXT,
    multiple=True,
    help="Only performances of this event; may be repeated. `events list` prints the ids.",
)
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
    """Make a page about sales, to look at, to print and to send on.

    The page has totals, the sales of each performance as bars, and the sales over time as a line, each with its table.
    It is one HTML file: it runs no script, a browser loads nothing for it, and it has no personal data. A browser
    prints it on A4, and saves it as PDF. It needs the extra report: pip install 'ticketsource-async[report]'.

    If an event or a date cannot be read, the page has the rest and says what it is without. Then there are no totals,
    stderr names what is missing, and the exit code is 1. Times are as TicketSource writes them; their zone is not
    known.
    """
    from ticketsource_async.files import ending_of  # noqa: PLC0415 - help can do without
    from ticketsource_async.output import check_writable  # noqa: PLC0415 - as above

    if str(output) == "-" and on_terminal(sys.stdout):
        raise click.UsageError("The page is for a browser, not for a terminal: name a file, such as -o report.html.")
    if (ending := ending_of(output)) not in ("", "html", "htm"):
        raise click.BadParameter(
            f"the page is HTML, not {ending}. Write it to a file that ends in .html, open that in a browser, and print "
            "it there; a browser saves PDF too.",
            param_hint="--output",
        )

    async def make() -> None:
        from ticketsource_async.files.charts import check_extra  # noqa: PLC0415 - as above

        check_extra()
        check_writable(output)
        with LeftOut() as left_out, reporting_unreadable(strict=strict, in_cells=False) as note:
            await _write(output, start, events, note, left_out, quiet=quiet, sandbox=sandbox)

    with _no_trace_of_matplotlib():
        run(make())


async def _write(
    output: Path,
    start: "StartFilter | None",
    events: tuple[str, ...],
    note: "Callable[[Record], None]",
    left_out: LeftOut,
    *,
    quiet: bool,
    sandbox: bool,
) -> None:
    """Read the bookings once, and write the page."""
    from ticketsource_async.errors import TicketSourceError  # noqa: PLC0415 - as above
    from ticketsource_async.files.report_page import html_of  # noqa: PLC0415
    from ticketsource_async.output import opened  # noqa: PLC0415
    from ticketsource_async.reports.page import sales_page, scope_of  # noqa: PLC0415
    from ticketsource_async.reports.sales import SalesTally  # noqa: PLC0415

    by_date, by_sold_day = SalesTally("date"), SalesTally("sold-day")
    async with box_office(sandbox=sandbox) as ts:
        with (
            progress("performances", quiet=quiet, rows_to=output) as shown,
            checked_ids("--event", explained="an event: `events list` prints them."),
        ):
            watch = _Watch(note, shown.update, left_out)
            await ts.reports.read(by_date, by_sold_day, watch, start=start, events=events or None)
    if left_out.count and not watch.performances:
        kept = "" if str(output) == "-" else f", so {output} was not written"
        raise TicketSourceError(f"no performance could be read{kept}.")
    sales = by_date.result()
    scope = scope_of(start, events, sales.rows)
    now = datetime.now()  # noqa: DTZ005 - people's own time
    page = html_of(sales_page(sales, by_sold_day.result(), scope, now))
    with opened(output, "utf-8", say) as stream:
        stream.write(page)


@contextmanager
def _no_trace_of_matplotlib() -> Iterator[None]:
    """Let matplotlib write nothing to stderr, and to no folder that stays unless the user has named one for it."""
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
