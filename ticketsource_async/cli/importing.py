"""The command that imports customers from a file, and its options."""

from pathlib import Path

import click

from ticketsource_async.cli.options import TEXT, command, quiet_option, sandbox_option


def _mapping(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return the columns of --column, by name in the file."""
    mapping = {}
    for text in given:
        name, separator, column = text.rpartition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f'{text!r} is not "NAME=COLUMN", such as "Date Joined=membership_start_date".')
        if name in mapping:
            raise click.BadParameter(f"{name!r} is there twice.", param=option)
        mapping[name] = column.strip()
    return mapping


@command(
    "customers import",
    epilog="Example: ticketsource customers import members.xlsx --match email",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--match",
    type=click.Choice(["email", "id", "membership"]),
    required=True,
    help="How to find the customer of a row. email: by the e-mail. id: by the id. membership: by the membership "
    "number, and also by the surname if several people have the number. With email and membership, a customer is "
    "created if nobody is found. With id, the e-mail of the row is written, even if somebody else has the same e-mail.",
)
@click.option("--apply", is_flag=True, help="Write to TicketSource. Without this, only show what would be written.")
@click.option(
    "--give-consent",
    is_flag=True,
    help="Let a row set a consent to true. Without this, the row is refused: the customer may have withdrawn the "
    "consent after the file was made.",
)
@click.option(
    "--column",
    "columns",
    metavar="NAME=COLUMN",
    type=TEXT,
    multiple=True,
    callback=_mapping,
    help='Say which column a name in the file stands for, such as "Date Joined=membership_start_date". May be '
    'repeated. "NAME=" leaves a column out. A consent needs the name of the export (consent_email) or this option. '
    "The column must say yes where the person agrees, so do not use it for 'Unsubscribed'.",
)
@click.option("--ignore-unknown", is_flag=True, help="Leave out columns with unknown names.")
@click.option(
    "--dates",
    type=click.Choice(["dmy", "mdy"]),
    help="How the file writes days: dmy is 31/01/2026, mdy is 01/31/2026.",
)
@click.option("--sheet", metavar="NAME", type=TEXT, help="The sheet to import, if several sheets have rows.")
@click.option(
    "--encoding",
    metavar="NAME",
    help="The encoding of a CSV, such as windows-1252. Give it if the first line of the output names a wrong one.",
)
@click.option("--delimiter", metavar="TEXT", help='The character between the cells of a CSV, such as ";" or tab.')
@click.option(
    "--refused",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the refused rows to this file, with the reason in a column. Correct them there and import that file.",
)
@click.option(
    "--changes",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write each change to this file: row, customer, column, before and after.",
)
@sandbox_option
@click.option("--json", is_flag=True, help="Print one line of JSON for each row, also on a terminal.")
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Remove the quote (') that an export puts before a formula.  [default: on]",
)
@quiet_option
def import_customers(**given: object) -> None:
    """Create or update customers from a spreadsheet or a CSV.

    FILE is an xlsx, ods, xls or CSV file. With -, the command reads a file from a pipe. Columns have the names of the
    export, or other usual names (Surname, Mobile, Post Code). An empty cell changes nothing. A consent is true or
    false, yes or no, 1 or 0. Without --apply nothing is written: look at the output, then run it again with --apply.

    A row is refused if a cell does not fit its column, if a spreadsheet has damaged it, if it is an error such as #N/A,
    or if it is a formula that no program has computed. A row is also refused if it is not certain which customer it
    means, or if the customer was changed after the export. The column updated_at of an export shows this, so keep it.
    If a row is refused, the exit code is 1. If a spreadsheet has taken a cell for a number (a telephone without its
    zero), the stored value stays. A value that only looks damaged is written, and the last lines of the output name its
    row.

    Without --apply, a terminal shows a table of the changes, and a table of the refused rows. A pipe gets one line of
    JSON for each row. A consent that stays true is not sent. It is not known whether the API then keeps the other
    consents, so look at the "changes" in the output.

    The command writes new customers first. After a failure, run it again: rows that are already written are then
    unchanged. If you stop it with Ctrl-C, wait a minute before the next import. TicketSource may still be creating a
    customer, and the next import would create the same customer again. For the same reason, run only one import at a
    time.
    """
    from ticketsource_async.cli.import_run import Options, import_file  # noqa: PLC0415 - help can do without

    import_file(Options(**given))  # type: ignore[arg-type]  # click checks them
