"""The commands that find customers without their id: `find`, and `get` by e-mail."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ticketsource_async.cli.common import (
    FAILED,
    MOST_NAMED,
    LeftOut,
    box_office,
    called,
    checked_ids,
    fail,
    progress,
    reporting_unreadable,
    run,
    say,
)
from ticketsource_async.cli.options import (
    IDS,
    TEXT,
    about_ids,
    command,
    quiet_option,
    sandbox_option,
    stored_customers_option,
    strict_option,
)
from ticketsource_async.cli.terminal import Printing, limit_option, print_format_option
from ticketsource_async.contacts import comparable_email, folded, is_telephone, national, words_of

if TYPE_CHECKING:
    from ticketsource_async import Customer
    from ticketsource_async.models.base import Record

# The search


_SEARCHED: Final = ("title", "first_name", "last_name", "email", "telephone", "membership", "membership.identifier")


def matcher(text: str) -> "Callable[[Customer], bool]":
    """Return a function that says whether a customer's name, e-mail, telephone, membership number or id matches a text.

    The words of a name may come in any order. A telephone needs at least three digits and no letters.
    """
    wanted, words = folded(text).strip(), words_of(text)
    dialled = set[str]()
    if not re.search(r"[^\W0-9_]", wanted):
        abroad = re.match(r"\W*44", wanted)  # also if the user typed only the beginning of a number
        dialled = {number for number in (national(text), national(f"+{text}") if abroad else "") if len(number) >= 3}

    def matches(customer: "Customer") -> bool:
        parts = [words_of(part) for part in (customer.title, customer.first_name, customer.last_name) if part]
        name = [word for part in parts for word in (*part, "".join(part))]  # Mary-Ann is also Maryann
        member = customer.membership.identifier if customer.membership else None
        return (
            (bool(words) and all(any(word in known for known in name) for word in words))
            or wanted in folded(customer.email or "")
            or wanted.replace(" ", "") in folded(member or "").replace(" ", "")
            or any(is_telephone(digits, customer.telephone or "") for digits in dialled)
            or customer.id == text
        )

    return matches


def _as_stored(text: str) -> str:
    """Return a text that the user copied from a page or an e-mail, in the form that a box office stores.

    `mailto:ann@example.com?subject=x` and `Ann <ann@example.com>` are `ann@example.com`, `tel:01632` is `01632`.
    """
    text = text.strip()
    if between := re.search("<([^<>]+@[^<>]+)>", text):
        text = between[1].strip()
    if link := re.match("(?:mailto|tel):", text, re.IGNORECASE):
        from urllib.parse import unquote  # noqa: PLC0415 - help can do without

        text = unquote(text[link.end() :].partition("?")[0])
    return text.strip()


# The commands


_BY_NAME: Final = "To find a customer by name, telephone or membership number, run `customers find TEXT`."


@command("customers find", epilog="Example: ticketsource customers find jenkins karl")
@click.argument("texts", metavar="TEXT...", type=TEXT, nargs=-1, required=True)
@sandbox_option
@strict_option
@quiet_option
@stored_customers_option("Search in this store, and make no request.")
@print_format_option("jsonl")
@limit_option
def find_customers(
    *,
    texts: tuple[str, ...],
    limit: int | None,
    format: str | None,  # noqa: A002 - as users know it
    store: Path | None,
    quiet: bool,
    strict: bool,
    sandbox: bool,
) -> None:
    """Find customers by a part of their name, e-mail or telephone.

    You can also give a part of the membership number, or the whole id.

    Capital letters and accents make no difference: jose finds José. The words of a name may come in any order. You can
    write a telephone with 0 or with +44, and with any spaces. Give at least three digits of it.

    The API has no search. So the command reads all customers, 100 with each request, and stops at --limit. With --store
    it makes no request.

    If nobody is found, the exit code is 1.
    """
    text = _as_stored(" ".join(texts))
    if not folded(text).strip():
        raise click.UsageError("TEXT is empty. Give a part of a name, an e-mail or a telephone.")
    if store is not None and sandbox:
        raise click.UsageError("Use --store or --sandbox, not both.")
    printing, matches = Printing(format, limit), matcher(text)

    async def find() -> None:
        from ticketsource_async import Customer  # noqa: PLC0415 - help can do without

        read = found = 0
        with LeftOut() as left_out, reporting_unreadable(strict=strict, in_cells=printing.has_cells) as note:
            with (
                printing.records(Customer, no_rows="No rows." if quiet else "") as write,
                progress("customers", quiet=quiet, rows_to=None if printing.is_table else Path("-")) as shown,
            ):
                async with all_customers(store, left_out, sandbox=sandbox) as customers:
                    async for customer in customers:
                        read += 1
                        shown.update()
                        if not matches(customer):
                            note_some(customer, note, _SEARCHED)
                            continue
                        note(customer)
                        found += 1
                        write(customer)
                        if found == printing.most:
                            break
            if not quiet:
                where = f" in {store}" if store else ""
                more = " There may be more. To see them, give a larger --limit." if found == printing.most else ""
                say(f"{found:,} found among {read:,} customers{where}.{more}")
        if not found:
            raise click.exceptions.Exit(FAILED)

    run(find())


@asynccontextmanager
async def all_customers(
    store: Path | None, left_out: LeftOut, *, sandbox: bool
) -> AsyncIterator["AsyncGenerator[Customer, None]"]:
    """Yield all customers of the store, or of the box office if there is no store."""
    if store is None:
        async with (
            box_office(sandbox=sandbox) as ts,
            aclosing(aiter(ts.customers.list(concurrency=8, on_invalid=left_out))) as listed,
        ):
            yield listed
    else:
        from ticketsource_async import CustomerStore  # noqa: PLC0415 - as above

        async with (
            CustomerStore(store, read_only=True) as in_store,
            aclosing(in_store.customers(on_damaged=left_out)) as stored,
        ):
            yield stored


def note_some(record: "Record", note: "Callable[[Record], None]", paths: Collection[str]) -> None:
    """Note the unreadable values of a record at these paths."""
    if record.invalid:
        from attrs import evolve  # noqa: PLC0415 - as above

        note(evolve(record, invalid={path: raw for path, raw in record.invalid.items() if path in paths}))


@command("customers get", epilog=f"Example: ticketsource customers get {IDS['customers'].sample}")
@click.argument("customer", metavar="ID_OR_EMAIL", type=TEXT)
@sandbox_option
@strict_option
@quiet_option
@print_format_option("json")
def get_customer(
    *,
    customer: str,
    format: str | None,  # noqa: A002 - as above
    quiet: bool,
    strict: bool,
    sandbox: bool,
) -> None:
    """Print one customer, by the id or by the whole e-mail.

    The API has no search. So for an e-mail the command reads all customers, 100 with each request. Capital letters make
    no difference. If several customers have the e-mail, a message names them, no record is printed, and the exit code
    is 1.
    """
    printing, wanted = Printing(format), _as_stored(customer)

    async def get() -> None:
        with LeftOut() as left_out, reporting_unreadable(strict=strict, in_cells=printing.has_cells) as note:
            if "@" in wanted:
                record = await _with_email(wanted, left_out, note, quiet=quiet, sandbox=sandbox)
            else:
                record = await _with_id(wanted, sandbox=sandbox)
            note(record)
            printing.record(record)

    run(get())


async def _with_id(customer_id: str, *, sandbox: bool) -> "Customer":
    """Return the customer with an id; if there is none, fail with a text that says how to find one without the id."""
    from ticketsource_async import NotFound  # noqa: PLC0415 - as above

    async with box_office(sandbox=sandbox) as ts:
        with checked_ids("ID_OR_EMAIL", explained=about_ids(IDS["customers"])):
            try:
                return await ts.customers.get(customer_id)
            except NotFound as error:
                error.add_note(_BY_NAME)
                raise


async def _with_email(
    email: str, left_out: LeftOut, note: "Callable[[Record], None]", *, quiet: bool, sandbox: bool
) -> "Customer":
    """Return the customer with an e-mail; if there is not exactly one, end the command with an error."""
    if not quiet:
        say("The API has no search, so the command reads all customers, 100 with each request.")
    wanted, read = comparable_email(email), 0
    found: list[Customer] = []
    with progress("customers", quiet=quiet) as shown:
        async with all_customers(None, left_out, sandbox=sandbox) as customers:
            async for customer in customers:
                read += 1
                shown.update()
                if comparable_email(customer.email or "") == wanted:
                    found.append(customer)
                elif "email" in customer.invalid:
                    note(customer)
    if not found:
        fail(f"nobody among {read:,} customers has the e-mail {email}.", FAILED)
    if len(found) > 1:
        named = ", ".join(map(called, found[:MOST_NAMED])) + (", ..." if found[MOST_NAMED:] else "")
        fail(f"{len(found):,} customers have the e-mail {email}: {named}. Give the id of one of them.", FAILED)
    return found[0]
