"""The commands for syncing customers to another system: `changes` and `forget`."""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ticketsource_async._words import counted
from ticketsource_async.cli.common import FAILED, box_office, fail, progress, reporting_unreadable, run, say, with_notes
from ticketsource_async.cli.options import (
    IDS,
    TEXT,
    StoreFile,
    WholeNumber,
    chosen_format,
    command,
    format_option,
    output_option,
    quiet_option,
)
from ticketsource_async.errors import (
    APIError,
    InvalidID,
    InvalidResponse,
    TicketSourceError,
    TooManyRemoved,
    TransportError,
)

if TYPE_CHECKING:
    from tqdm import tqdm

    from ticketsource_async import CallEvent, Change, Customer


def _store_option(*, exists: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--store",
        type=StoreFile() if exists else click.Path(dir_okay=False, path_type=Path),
        required=True,
        help="The file that keeps the customers as of the last run."
        + ("" if exists else " The first run creates it. Use one file for each box office."),
    )


@command("customers changes", epilog="Example: ticketsource customers changes --store customers.db -o changes.jsonl")
@_store_option(exists=False)
@output_option
@format_option(
    "jsonl",
    "json and jsonl have the whole record before and after. All others have two columns for each field: now and "
    "before.",
)
@click.option(
    "--rebind",
    is_flag=True,
    help="Use this once after the API key or the address of the API has changed. It works if the box office still has "
    "a customer of the store.",
)
@click.option(
    "--max-removed",
    type=WholeNumber(),
    metavar="N",
    help="Allow at most N deletions and erasures in this run. If there are more, the command writes none of them and "
    "ends with exit code 1.  [default: 5 % of the customers in the store, or 20 if that is more. At most half of them, "
    "or 20 if that is more, may be missing from the list]",
)
@click.option(
    "--order",
    type=click.Choice(["found", "safe"]),
    default="found",
    show_default=True,
    help="found: write each change when it is found. safe: write deletions, erasures and withdrawn consents first. The "
    "other changes wait in a temporary file, and all changes are acknowledged at the end.",
)
@quiet_option
def follow_customers(
    *,
    store: Path,
    output: Path,
    format: str | None,  # noqa: A002 - as the option is called
    rebind: bool,
    max_removed: int | None,
    order: str,
    quiet: bool,
) -> None:
    """Write which customers changed since the last run.

    In the first run every customer is "created". A customer is "erased" if the name, e-mail, telephone and address are
    all empty now. In json and jsonl, each change has "change", "id" and these fields:

    \b
    created  customer, consent_changed
    updated  before, after, fields, consent_changed
    erased   before, after, consent_changed
    deleted  before, same_contact, ignored_contacts

    A change comes again in each run until it is acknowledged. With --output, all changes are acknowledged when the file
    is complete. Without --output, each line is acknowledged when it is printed: if no program reads the line, the
    change is lost. With json, parquet, xlsx and html, all changes are acknowledged at the end. A deletion that comes
    again counts again for --max-removed. If a customer cannot be read, a message names the customer.
    """  # noqa: D301 - click wants a real \b above lines that it must not join
    if str(output) != "-" and os.path.realpath(output) == os.path.realpath(store):
        raise click.UsageError("--output and --store are the same file. Give them different names.")
    kind = chosen_format(output, format, "jsonl")
    a_line_each = str(output) == "-" and kind.by_line and order == "found"
    counts: Counter[str] = Counter()
    failures: list[TicketSourceError] = []

    async def follow() -> None:
        from ticketsource_async import CustomerStore, files  # noqa: PLC0415 - help can do without
        from ticketsource_async.tables import CHANGES  # noqa: PLC0415 - as above

        _check_is_free(output)
        with progress("customers", quiet=quiet, rows_to=output) as shown:
            async with box_office(on_event=_counting_rows(shown)) as ts, CustomerStore(store) as in_store:
                if rebind:
                    await ts.customers.rebind(in_store)
                skip = _counting_skipped(counts)
                changes = ts.customers.changes(
                    in_store, acknowledge=a_line_each, on_invalid=skip, max_removed=max_removed
                )
                with reporting_unreadable(strict=False, in_cells=kind.has_cells) as note:
                    found = _safest_first(changes) if order == "safe" else changes
                    rows = _counting_changes(found, counts, note, failures)
                    await files.write(rows, CHANGES, output, format=kind.name, on_warning=say)
                await in_store.acknowledge_all()  # the file is complete and has its name
        _conclude(counts, failures, quiet=quiet)

    run(
        follow(),
        unread="The last changes may be acknowledged although no program read them. Use --output."
        if a_line_each
        else "",
    )


def _conclude(counts: Counter[str], failures: list[TicketSourceError], *, quiet: bool) -> None:
    """Print what was written, and end with the exit code of the failures."""
    if not quiet:
        from ticketsource_async import Change, Erased  # noqa: PLC0415 - as above

        told = [kind.__name__ for kind in get_args(Change) if kind is not Erased or counts["Erased"]]
        kinds = ", ".join(f"{counts[name]:,} {name.lower()}" for name in told)
        say(f"{kinds}; {counts['consents']:,} changed a consent.")
    for failure in failures:
        raise failure
    if counts["unreadable"]:
        fail(f"{counted(counts['unreadable'], 'customer')} could not be read. Their changes are missing.", FAILED)


async def _safest_first(changes: "AsyncGenerator[Change, None]") -> "AsyncGenerator[Change, None]":
    """Yield the changes that may forbid contact first. Raise a failure after all changes."""
    from ticketsource_async.output import Spool  # noqa: PLC0415 - as above

    failure: TicketSourceError | None = None
    with Spool["Change"]() as others:
        try:
            async with aclosing(changes):
                async for change in changes:
                    if _may_forbid_contact(change):
                        yield change
                    else:
                        others.add(change)
        except TicketSourceError as error:
            failure = error
        for change in others:
            yield change
    if failure is not None:
        raise failure


def _may_forbid_contact(change: "Change") -> bool:
    """Say whether a change may forbid contact with a person."""
    if change.kind != "updated":
        return change.consent_changed or change.kind == "deleted"
    before, after = _consents(change.before), _consents(change.after)
    # A version yielded earlier may have had another consent than the acknowledged one.
    ways = {name for path in change.fields for part, _, name in [path.partition(".")] if part == "consent"}
    ways = {*before, *after} if "" in ways else {way.removeprefix("extra.") for way in ways}
    withdrawn = any(value is True and after.get(way) is not True for way, value in before.items())
    return withdrawn or any(after.get(way) is not True for way in ways)


def _consents(customer: "Customer") -> dict[str, object]:
    consent = customer.consent
    return (
        {} if consent is None else {"email": consent.email, "post": consent.post, "sms": consent.sms, **consent.extra}
    )


def _check_is_free(output: Path) -> None:
    if output.is_file() and output.stat().st_size:
        fail(
            f"{output} already has changes of an earlier run. Copy them to your other system, delete the file, and run "
            "the command again.",
            FAILED,
        )


async def _counting_changes(
    changes: "AsyncGenerator[Change, None]",
    counts: Counter[str],
    note: "Callable[[Customer], None]",
    failures: list[TicketSourceError],
) -> "AsyncGenerator[Change, None]":
    """Yield the changes and count them. Add an error that does not concern all of them to the failures.

    Such an error is of a single customer, or there are too many deletions: the changes of customers in the list were
    yielded.
    """
    try:
        async with aclosing(changes):
            async for change in changes:
                yield change
                _note_newly_unreadable(change, note)
                counts[type(change).__name__] += 1
                counts["consents"] += change.consent_changed and change.kind != "erased"
    except (InvalidID, TooManyRemoved) as error:
        failures.append(error)
    except (APIError, InvalidResponse, TransportError) as error:
        from ticketsource_async.bulk import affects_all_calls  # noqa: PLC0415 - help can do without

        # The list or all calls failed, so changes are missing.
        if error.path.endswith("/customers") or affects_all_calls(error):
            raise
        failures.append(error)


def _note_newly_unreadable(change: "Change", note: "Callable[[Customer], None]") -> None:
    """Note the values of a customer that cannot be read now and could be read before."""
    from attrs import evolve  # noqa: PLC0415 - help can do without

    if change.after is not None and change.after.invalid:
        before = getattr(change, "before", None)
        known = before.invalid if before is not None else {}
        new = {path: value for path, value in change.after.invalid.items() if path not in known}
        note(evolve(change.after, invalid=new))


def _counting_rows(shown: "tqdm[Any]") -> "Callable[[CallEvent], None]":
    from ticketsource_async import PageEvent  # noqa: PLC0415

    def count(event: "CallEvent") -> None:
        if isinstance(event, PageEvent):
            shown.update(event.rows)

    return count


def _counting_skipped(counts: Counter[str]) -> Callable[[InvalidResponse], None]:
    def skip(error: InvalidResponse) -> None:
        counts["unreadable"] += 1
        say(with_notes(error, f"ticketsource: {error}"))

    return skip


@command(
    "customers forget",
    calls_api=False,
    epilog=f"Example: ticketsource customers forget {IDS['customers'].sample} --store customers.db",
)
@click.argument("customer_id", metavar="ID", type=TEXT)
@_store_option(exists=True)
def forget_customer(*, customer_id: str, store: Path) -> None:
    """Erase a customer from the store of `customers changes`.

    The store keeps no trace of the person. The customer stays in TicketSource. So delete the customer there first: if
    not, the next `customers changes` adds the customer to the store again, as created.
    """

    async def forget() -> None:
        from ticketsource_async import CustomerStore  # noqa: PLC0415

        async with CustomerStore(store) as in_store:
            if not await in_store.erase(customer_id):
                say(f"Nothing was erased: {store} has no customer with the id {customer_id}.")

    run(forget())
