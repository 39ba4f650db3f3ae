"""The command that lists donations, and writes HMRC's schedule of those with Gift Aid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ticketsource_async._words import counted, counted_once
from ticketsource_async.cli.common import (
    FAILED,
    LeftOut,
    box_office,
    first_few,
    not_written,
    progress,
    reporting_unreadable,
    run,
    say,
)
from ticketsource_async.cli.export import Options, check_options, table_or_file_options, write_file
from ticketsource_async.cli.options import Day, chosen_format, command
from ticketsource_async.cli.recipients import requests_taken
from ticketsource_async.cli.terminal import print_rows, table_or_format
from ticketsource_async.output import is_same_file

if TYPE_CHECKING:
    from ticketsource_async import CallEvent
    from ticketsource_async.files import Format
    from ticketsource_async.models.base import Record
    from ticketsource_async.reports.donations import DonationRow, Donations
    from ticketsource_async.reports.gift_aid import GiftAidSchedule
    from ticketsource_async.tables import Table

T = TypeVar("T")

_OF_DONORS: Final = ("title", "first_name", "last_name", "address", "address.line_1", "address.postcode")
"""The fields of a customer in a row."""
_SHOWN: Final = 40  # the most letters of a line's type that are shown


def _day_option(option: str, name: str, explained: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(option, name, type=Day(), metavar="DAY", help=explained)


@command(
    "donations",
    epilog="Example: ticketsource donations --from 2026-01-01 --to 2026-03-31 --gift-aid -o schedule.xlsx "
    "--to-complete to-complete.xlsx",
)
@_day_option("--from", "first", "Only donations made on this day or later, such as 2026-01-31.")
@_day_option("--to", "last", "Only donations made on this day or earlier.")
@_day_option(
    "--performances-from",
    "performances_from",
    "Read only bookings for performances on this day or later. This saves requests. Donations on other bookings are "
    "left out.",
)
@click.option("--gift-aid", is_flag=True, help="Write the schedule for HM Revenue & Customs in place of the list.")
@click.option(
    "--to-complete",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="With --gift-aid: write the donations that are not ready for the schedule to this file, with the reason.",
)
@table_or_file_options
def list_donations(
    options: Options,
    *,
    first: datetime | None,
    last: datetime | None,
    performances_from: datetime | None,
    gift_aid: bool,
    to_complete: Path | None,
) -> None:
    """List donations, or write the Gift Aid schedule for HMRC.

    --from and --to choose donations by the day when they were made. A donation is part of a booking, and one made in
    January can be on a booking for December. So this command reads the bookings for all performances, past and future.
    It also makes one request for each donor. Days are as the API writes them.

    In the list, a refund has a row of its own, with a negative amount. Gift Aid is yes, no or unknown.

    The schedule has the columns of HMRC's spreadsheet, without the number of the row: copy the rows into that
    spreadsheet. Write it as .xlsx: Excel may change the days of a CSV. The schedule has only donations with a yes to
    Gift Aid. Refunds are taken off, also those made after --to. The house is the first address line. A hyphen in a last
    name becomes a space, as HMRC asks. A title that HMRC would refuse is left out.

    A donation is not in the schedule if HMRC would refuse it, or if its refunds are not certain. --to-complete writes
    such donations to a file of their own, with the reason. Without it the exit code is 1 if there are any.

    Before you claim, check that you have a Gift Aid declaration from each donor, and that no donor is a company. The
    API does not say that.
    """
    if first and last and last < first:
        raise click.UsageError("--to is before --from.")
    if to_complete is not None and not gift_aid:
        raise click.UsageError("--to-complete needs --gift-aid.")
    if to_complete is not None and is_same_file(options.output, to_complete):
        raise click.UsageError("--output and --to-complete name the same file: one would replace the other.")
    kind = table_or_format(options.output, options.format)
    to_complete_kind = chosen_format(to_complete, None, "csv", "--to-complete") if to_complete else None
    check_options(options, kind, *([to_complete_kind] if to_complete_kind else []))
    wanted = _Wanted(
        options=options,
        first=first.date() if first else None,
        last=last.date() if last else None,
        performances_from=performances_from.date() if performances_from else None,
        gift_aid=gift_aid,
        kind=kind,
        to_complete=to_complete,
        to_complete_kind=to_complete_kind,
    )
    run(wanted.write())


@dataclass(frozen=True, kw_only=True)  # not attrs, which help would have to load
class _Wanted:
    """The options of one run, and its work."""

    options: Options
    first: date | None
    last: date | None
    performances_from: date | None
    gift_aid: bool
    kind: "Format | None"  # None for a table on a terminal
    to_complete: Path | None
    to_complete_kind: "Format | None"

    async def write(self) -> None:
        """Read the donations, write them, and report on them."""
        from ticketsource_async import files  # noqa: PLC0415 - help can do without

        for output, kind in ((self.options.output, self.kind), (self.to_complete, self.to_complete_kind)):
            if output is not None and kind is not None:
                files.check_can_write(output, format=kind.name)
        with LeftOut() as left_out, reporting_unreadable(strict=self.options.strict, in_cells=True) as note:
            donations = await self._read(left_out)
            _note(donations, note)
            is_all = await (self._write_schedule if self.gift_aid else self._write_list)(donations)
            if donations.repeated:
                say(counted_once(donations.repeated))
            may_be_more = _say_what_is_not_known(donations)
        if may_be_more or not is_all:
            raise click.exceptions.Exit(FAILED)

    async def _read(self, left_out: LeftOut) -> "Donations":
        from ticketsource_async import AttemptEvent  # noqa: PLC0415 - help can do without

        quiet = self.options.quiet
        made = 0

        def count(event: "CallEvent") -> None:
            nonlocal made
            if isinstance(event, AttemptEvent):
                made += 1
                shown.update()

        def say_donors(number: int) -> None:
            if number and not quiet:
                say(f"Reading {counted(number, 'donor')}: {requests_taken(number)}.")

        async with box_office(sandbox=self.options.sandbox, on_event=count) as ts:
            if not quiet:
                which = f" on {self.performances_from} or later" if self.performances_from else ""
                say(f"Reading the bookings for all performances{which}, since each can have a donation.")
            with progress("requests", quiet=quiet) as shown:
                donations = await ts.reports.donations(
                    first=self.first,
                    last=self.last,
                    performances_from=self.performances_from,
                    gift_aid=self.gift_aid,
                    on_error=left_out,
                    on_donors=say_donors,
                )
        if not quiet:
            say(f"The command made {counted(made, 'request')}.")
        return donations

    async def _write_list(self, donations: "Donations") -> bool:
        """Write the list; return True, since it has everything that was found."""
        from ticketsource_async.report_tables import DONATIONS  # noqa: PLC0415 - as above

        rows = donations.rows()
        self._check_any(rows, donations)
        await self._write_rows(rows, DONATIONS, self.options.output, self.kind)
        if not self.options.quiet or donations.lost:
            say(_summary(rows, donations))
        if (without_day := sum(row.line.day is None for row in rows)) and (self.first or self.last):
            say(f"The list has {counted(without_day, 'row')} whose day is not known.")
        if donations.gone:
            donors = counted(len(donations.gone), "donor")
            say(f"{donors} can no longer be found in TicketSource: {first_few(donations.gone)}")
        return True

    async def _write_schedule(self, donations: "Donations") -> bool:
        """Write the schedule and the rows to complete; return whether they have everything that was found."""
        from ticketsource_async.report_tables import GIFT_AID_SCHEDULE, GIFT_AID_TO_COMPLETE  # noqa: PLC0415 - as above
        from ticketsource_async.reports.gift_aid import gift_aid_schedule  # noqa: PLC0415

        schedule = gift_aid_schedule(donations, date.today())  # noqa: DTZ011 - the claimant's own day
        self._check_any([*schedule.rows, *schedule.to_complete], donations)
        if self.to_complete is not None:  # first, so that there is never a new schedule without its list
            await self._write_rows(schedule.to_complete, GIFT_AID_TO_COMPLETE, self.to_complete, self.to_complete_kind)
        await self._write_rows(schedule.rows, GIFT_AID_SCHEDULE, self.options.output, self.kind)
        if not self.options.quiet or donations.lost:
            say(_total_of(schedule, donations))
        self._say_what_is_to_complete(schedule)
        if not self.options.quiet:
            _say_what_else(schedule)
        return self.to_complete is not None or not schedule.to_complete

    async def _write_rows(self, rows: Sequence[T], table: "Table[T]", output: Path, kind: "Format | None") -> None:
        """Write rows in a format of files, or as a table for None."""
        if kind is not None:
            await write_file(rows, table, output, kind, self.options)
        elif rows:
            print_rows(table, rows)

    def _check_any(self, rows: Sequence[object], donations: "Donations") -> None:
        """Raise if there are no rows because they could not be read. A file then keeps its old contents."""
        from ticketsource_async.errors import TicketSourceError  # noqa: PLC0415 - as above

        if donations.lost and not rows:
            what = f"no donation was found, but {donations.lost.words()} could not be read"
            raise TicketSourceError(f"{what}{not_written(self.options.output)}.")

    def _say_what_is_to_complete(self, schedule: "GiftAidSchedule") -> None:
        if not (rows := schedule.to_complete):
            return
        amount = _sum([row.amount for row in rows])
        what = f"{counted(len(rows), 'donation')} ({amount}) cannot be in the schedule yet"
        if self.to_complete is not None:
            if not self.options.quiet:
                say(f"{what}: see {'stdout' if str(self.to_complete) == '-' else self.to_complete}.")
            return
        named = first_few([f"{row.booking.called} ({row.to_complete})" for row in rows])
        say(f"{what}: {named}. To write them all to a file, add --to-complete FILE.")


def _say_what_is_not_known(donations: "Donations") -> bool:
    """Report lines that may be donations and are in no list; return whether one of them is likely a donation."""
    has = donations.period.has
    unread = [booking.called for booking in donations.bookings if not booking.has_lines]
    if unread:
        say(f"The lines of {counted(len(unread), 'booking')} could not be read: {first_few(unread)}")
    lines = [(b, line) for b in donations.bookings for line in b.unknown if has(line.day)]
    if lines:
        named = [f"{b.called} line {line.number} ({(line.line_type or 'no type')[:_SHOWN]})" for b, line in lines]
        what = f"{counted(len(lines), 'line')} of a type that is not known, which may be donations"
        say(f"Left out: {what}: {first_few(named)}")
    return bool(unread) or any(line.is_likely for _, line in lines)


def _note(donations: "Donations", note: "Callable[[Record], None]") -> None:
    """Note the unreadable values of the fields in the rows."""
    from ticketsource_async import Booking  # noqa: PLC0415 - as above
    from ticketsource_async.cli.find import note_some  # noqa: PLC0415

    for booking in donations.bookings:
        note(Booking(id=booking.booking_id, invalid=booking.invalid))
        note_some(booking.event, note, ("name",))
        note_some(booking.date, note, ("start",))
    for donor in donations.donors.values():
        note_some(donor, note, _OF_DONORS)


def _sum(amounts: Sequence[Any]) -> str:
    """Return the sum in words."""
    from ticketsource_async.reports.sums import total  # noqa: PLC0415 - as above
    from ticketsource_async.tables import money_text  # noqa: PLC0415

    found = total(amounts)
    if found is not None:
        return money_text(found)
    return f"the sum is not known, because of {counted(amounts.count(None), 'unclear amount')}"


def _summary(rows: "Sequence[DonationRow]", donations: "Donations") -> str:
    """Return the text about the list of donations."""
    refunds = [row for row in rows if row.line.kind == "refund"]
    what = f"{counted(len(rows) - len(refunds), 'donation')} and {counted(len(refunds), 'refund')}"
    without = f", WITHOUT {donations.lost.words()}" if donations.lost else ""
    known = [None if row.line.kind == "unclear" else row.line.amount for row in rows]
    if None in known:
        return f"{what}{without}: {_sum(known)}."
    answers = ", ".join(
        f"{answer} {_sum([row.line.amount for row in rows if row.gift_aid == answer])}"
        for answer in ("yes", "no", "unknown")
    )
    return f"{what}{without}: {_sum(known)}. Gift Aid: {answers}."


def _total_of(schedule: "GiftAidSchedule", donations: "Donations") -> str:
    """Return the text about the whole schedule."""
    from ticketsource_async.tables import money_text  # noqa: PLC0415 - as above

    without = f", WITHOUT {donations.lost.words()}: it is not complete" if donations.lost else ""
    total = f"The schedule has {counted(len(schedule.rows), 'donation')}, {money_text(schedule.sum)} in all{without}."
    earliest = schedule.earliest
    return f"{total} The earliest was made on {earliest.donation_date}." if earliest else total


def _say_what_else(schedule: "GiftAidSchedule") -> None:
    """Report what a person who sends the schedule should know."""
    from ticketsource_async.reports.gift_aid import MOST_ROWS  # noqa: PLC0415 - as above
    from ticketsource_async.tables import money_text  # noqa: PLC0415

    if schedule.refunded:
        say(f"Refunds of {money_text(schedule.refunded)} were taken off.")
    if schedule.no_answer:
        say(f"Left out: {counted(schedule.no_answer, 'donation')} without an answer about Gift Aid.")
    if schedule.titles:
        say(f"The titles of {counted(schedule.titles, 'donor')} were left out: HMRC takes two to four letters.")
    if (rows := len(schedule.rows)) > MOST_ROWS:
        claims = (rows - 1) // MOST_ROWS + 1
        say(f"HMRC takes {MOST_ROWS:,} rows in a schedule: make {claims} claims of these.")
    if schedule.earlier:
        named = first_few([booking.called for booking in schedule.earlier])
        say(
            f"Refunds in this period may belong to Gift Aid donations of another period, in "
            f"{counted(len(schedule.earlier), 'booking')}: {named}. If you have claimed for these donations, "
            "write what you claimed too much into the cell that the spreadsheet has for it."
        )
