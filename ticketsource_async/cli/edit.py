"""The commands that write one record: create, update and delete customers and notes."""

from typing import TYPE_CHECKING, Final

import click

from ticketsource_async.cli.common import FAILED, box_office, called, checked_ids, confirm_deletion, fail, run
from ticketsource_async.cli.help import Command
from ticketsource_async.cli.options import IDS, TEXT, about_ids, command, yes_option
from ticketsource_async.cli.terminal import Printing, print_format_option

if TYPE_CHECKING:
    from ticketsource_async import TicketSource
    from ticketsource_async.tables import Value


FIELDS: Final = {
    "title": "The title, such as Dr.",
    "first_name": "The first name.",
    "last_name": "The surname.",
    "address_line_1": "The first line of the address.",
    "address_line_2": "The second line of the address.",
    "address_line_3": "The third line of the address.",
    "address_line_4": "The fourth line of the address.",
    "address_postcode": "The postcode.",
    "telephone": "The telephone number.",
    "email": "The e-mail address.",
    "membership_identifier": "The membership number.",
    "membership_start_date": "The first day of the membership, such as 2026-01-31.",
    "membership_end_date": "The last day of the membership, such as 2026-12-31.",
    "consent_email": "Whether the customer agrees to contact by e-mail.",
    "consent_post": "Whether the customer agrees to contact by post.",
    "consent_sms": "Whether the customer agrees to contact by text message.",
}
"""The help of each writable column."""


class _WithFields(Command):
    """A command with an option for each writable field. The options are made when they are needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared options, then those of the fields."""
        from ticketsource_async.tables import WRITABLE  # noqa: PLC0415 - help of a group can do without

        fields: list[click.Parameter] = [
            click.Option(
                [f"--{name.replace('_', '-')}", name],
                type=click.Choice(["true", "false"]) if column.kind == "yes" else TEXT,
                metavar={"day": "DAY", "text": "TEXT"}.get(column.kind),
                help=FIELDS[name],
            )
            for name, column in WRITABLE.items()
        ]
        *declared, help_option = super().get_params(ctx)
        return [*declared, *fields, help_option]


def _values(given: dict[str, str | None]) -> "dict[str, Value]":
    """Return the values of the fields that were given."""
    from ticketsource_async.cli import cells  # noqa: PLC0415 - help of a group can do without

    values: dict[str, Value] = {}
    for column, text in given.items():
        if text is None:
            continue
        try:
            values[column] = cells.value_of(column, text) if text else None
        except ValueError as error:
            raise click.UsageError(f"{error}.") from None
    return values


_CUSTOMER: Final = IDS["customers"]
_NOTE: Final = IDS["notes"]
_ABOUT_ID: Final = about_ids(_CUSTOMER)
_ABOUT_IDS: Final = about_ids(_CUSTOMER, _NOTE)
_NOTHING: Final = "Nothing to write: give at least one field, such as --last-name."


@command(
    "customers create",
    cls=_WithFields,
    epilog="Example: ticketsource customers create --first-name Karl --last-name Jenkins --consent-email true",
)
@print_format_option("json")
def create_customer(*, format: str | None, **given: str | None) -> None:  # noqa: A002 - as users know it
    """Create a customer and print the record."""
    values = {column: value for column, value in _values(given).items() if value is not None}
    if not values:
        raise click.UsageError(_NOTHING)

    async def create() -> None:
        from ticketsource_async.tables import draft_of  # noqa: PLC0415 - as above

        async with box_office() as ts:
            Printing(format).record(await ts.customers.create(draft_of(values)))

    run(create(), unread="the customer is created.")


@command(
    "customers update",
    cls=_WithFields,
    epilog=f'Example: ticketsource customers update {_CUSTOMER.sample} --telephone "" --consent-sms false',
)
@click.argument("customer_id", metavar="ID", type=TEXT)
@print_format_option("json")
def update_customer(*, customer_id: str, format: str | None, **given: str | None) -> None:  # noqa: A002 - as above
    """Change fields of a customer and print the record.

    To clear a text or a day, give "" for it.
    """
    values = _values(given)
    if not values:
        raise click.UsageError(_NOTHING)

    async def update() -> None:
        from ticketsource_async.cli import cells  # noqa: PLC0415 - as above
        from ticketsource_async.tables import apply_values  # noqa: PLC0415 - as above

        async with box_office() as ts:
            with checked_ids("ID", explained=_ABOUT_ID):
                before = await ts.customers.get(customer_id)
            after = apply_values(before, values)
            draft = cells.update_draft(before, after)
            saved = await ts.customers.update(before.id, draft) if draft else before
        Printing(format).record(saved)
        if ignored := cells.not_taken(before, after, saved):
            fail(f"the API did not take {' and '.join(ignored)}.", FAILED)

    run(update(), unread="the update is done.")


@command("customers delete", epilog=f"Example: ticketsource customers delete {_CUSTOMER.sample}")
@click.argument("customer_id", metavar="ID", type=TEXT)
@yes_option
def delete_customer(*, customer_id: str, yes: bool) -> None:
    """Delete a customer for good.

    The command first shows the name of the customer and asks.
    """

    async def named(ts: "TicketSource") -> str:
        return f"customer {called(await ts.customers.get(customer_id))}"

    confirm_deletion(named, "ID", yes=yes, explained=_ABOUT_ID)

    async def delete() -> None:
        async with box_office() as ts:
            with checked_ids("ID", explained=_ABOUT_ID):
                await ts.customers.delete(customer_id)

    run(delete())


@command("notes create", epilog=f'Example: ticketsource notes create {_CUSTOMER.sample} "Needs leg room"')
@click.argument("customer_id", metavar="CUSTOMER_ID", type=TEXT)
@click.argument("description", metavar="TEXT", type=TEXT)
@click.option("--created-by", metavar="NAME", type=TEXT, help="The name of the person who wrote the note.")
@print_format_option("json")
def create_note(
    *,
    customer_id: str,
    description: str,
    created_by: str | None,
    format: str | None,  # noqa: A002 - as above
) -> None:
    """Add a note to a customer and print it."""

    async def create() -> None:
        from ticketsource_async import NoteDraft  # noqa: PLC0415

        draft = NoteDraft(description) if created_by is None else NoteDraft(description, created_by)
        async with box_office() as ts:
            with checked_ids("CUSTOMER_ID", explained=_ABOUT_ID):
                note = await ts.notes.create(customer_id, draft)
        Printing(format).record(note)

    run(create(), unread="the note is created.")


@command("notes delete", epilog=f"Example: ticketsource notes delete {_CUSTOMER.sample} {_NOTE.sample}")
@click.argument("customer_id", metavar="CUSTOMER_ID", type=TEXT)
@click.argument("note_id", metavar="NOTE_ID", type=TEXT)
@yes_option
def delete_note(*, customer_id: str, note_id: str, yes: bool) -> None:
    """Delete a note for good.

    The command first shows the first words of the note and asks.
    """

    async def named(ts: "TicketSource") -> str:
        note = await ts.notes.get(customer_id, note_id)
        text = " ".join((note.description or "").split())
        begin = text if len(text) <= 60 else f"{text[:57]}..."
        return f'note {note.id}, "{begin}",' if text else f"note {note.id}"

    confirm_deletion(named, "CUSTOMER_ID", "NOTE_ID", yes=yes, explained=_ABOUT_IDS)

    async def delete() -> None:
        async with box_office() as ts:
            with checked_ids("CUSTOMER_ID", "NOTE_ID", explained=_ABOUT_IDS):
                await ts.notes.delete(customer_id, note_id)

    run(delete())
