"""The command that lists customers who may be one person."""

from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ticketsource_async._words import counted
from ticketsource_async.cli.common import LeftOut, progress, reporting_unreadable, run, say
from ticketsource_async.cli.find import all_customers
from ticketsource_async.cli.options import (
    command,
    output_option,
    quiet_option,
    sandbox_option,
    stored_customers_option,
    strict_option,
)
from ticketsource_async.cli.terminal import TABLE, Printing, limit_option_with, table_or_file_option, table_or_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ticketsource_async.duplicates import Duplicate, Member
    from ticketsource_async.files import Format
    from ticketsource_async.models import Customer


@command("customers duplicates", epilog="Example: ticketsource customers duplicates -o duplicates.xlsx")
@sandbox_option
@strict_option
@quiet_option
@stored_customers_option("Read the customers from this store, and make no request.")
@output_option
@table_or_file_option
@limit_option_with("Stop after N rows, at the end of a group.")
def list_duplicates(
    *,
    limit: int | None,
    format: str | None,  # noqa: A002 - as the option is called
    output: Path,
    store: Path | None,
    quiet: bool,
    strict: bool,
    sandbox: bool,
) -> None:
    """List customers who may be the same person.

    They have the same e-mail, the same name and postcode, or the same telephone and surname. Capitals, accents and
    spaces make no difference, and +44 counts as 0. Each customer has one row. If A may be B, and B may be C, all three
    form one group. Groups with the most in common come first, then the largest groups.

    The command ignores an e-mail or a telephone that more than 10 customers have, such as that of a venue. It also
    ignores values such as Unknown, N/A or 0123456789.

    Look before you merge: they may be a family with one telephone. Never copy a consent from one record to another.

    The command reads all customers, 100 with each request. With --store it makes no request. While it runs, it keeps
    the customers in a temporary file without a name.
    """
    if store is not None and sandbox:
        raise click.UsageError("Use --store or --sandbox, not both.")
    kind = table_or_format(output, format)
    reading = _Reading(store, sandbox, strict, quiet)
    run(_list(reading, kind, output, limit))


@dataclass(frozen=True)  # not attrs, which help would have to load
class _Reading:
    """The customers to read, and the options for messages."""

    store: Path | None
    sandbox: bool
    strict: bool
    quiet: bool


async def _list(reading: _Reading, kind: "Format | None", output: Path, limit: int | None) -> None:
    """Write the duplicates in a format of files, or as a table for None."""
    from ticketsource_async import files  # noqa: PLC0415 - help can do without
    from ticketsource_async.duplicates import Duplicate, DuplicateSearch  # noqa: PLC0415 - as above
    from ticketsource_async.output import Spool  # noqa: PLC0415
    from ticketsource_async.record_tables import DUPLICATES  # noqa: PLC0415

    in_cells = kind is not None and kind.has_cells
    with (
        LeftOut() as left_out,
        reporting_unreadable(strict=reading.strict, in_cells=in_cells) as note,
        Spool["Customer"]() as waiting,
    ):
        alike, places = DuplicateSearch(), list[int]()
        with progress("customers", quiet=reading.quiet) as shown:
            async with all_customers(reading.store, left_out, sandbox=reading.sandbox) as customers:
                async for customer in customers:
                    shown.update()
                    note(customer)
                    if alike.add(customer):
                        places.append(waiting.add(customer))
        groups = alike.groups()
        rows = _rows(groups, lambda number: waiting.get(places[number]))
        most = Printing(TABLE, limit).most if kind is None else limit
        if most is not None:  # the end of the group of that row
            most = next((end for end in accumulate(map(len, groups)) if end >= most), most)
        if kind is None:
            with Printing(TABLE, most).records(Duplicate, no_rows="No rows." if reading.quiet else "") as write:
                for row in rows:
                    if not write(row):
                        break
        else:
            await files.write(islice(rows, most), DUPLICATES, output, format=kind.name, on_warning=say)
        if not reading.quiet:
            _summarize(groups, len(places), alike.ignored, reading.store)


def _rows(groups: "list[list[Member]]", customer_of: "Callable[[int], Customer]") -> "Iterator[Duplicate]":
    from ticketsource_async.duplicates import Duplicate  # noqa: PLC0415 - as above

    for place, group in enumerate(groups, 1):
        for member in group:
            yield Duplicate(place, len(group), member.reasons, customer_of(member.number))


def _summarize(groups: "list[list[Member]]", read: int, ignored: int, store: Path | None) -> None:
    from ticketsource_async.contacts import SHARED_AT_MOST  # noqa: PLC0415 - as above

    where = f" in {store}" if store else ""
    in_groups = counted(len(groups), "group")
    were, them = ("was", "it") if ignored == 1 else ("were", "them")
    many = f" {counted(ignored, 'contact')} {were} ignored, since more than {SHARED_AT_MOST} customers have {them}."
    found = f"{sum(map(len, groups)):,} of {read:,} customers{where} may be duplicates, in {in_groups}."
    if not groups:
        found = f"No duplicates were found among {read:,} customers{where}."
    say(found + many * bool(ignored))
