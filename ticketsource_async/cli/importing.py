"""The command that imports customers from a file, and its options."""

from pathlib import Path

import click

from ticketsource_async.cli.common import TEXT, command, quiet_option


def _mapping(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return what --column says, by name of the file."""
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
    epilog="Example: ticketsource customers import members.xlsx --match email  (then again with --apply)",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--match",
    type=click.Choice(["email", "id", "membership"]),
    required=True,
    help="How a row finds its customer. email: by e-mail; id: by id; membership: by membership number; if several "
    "people have the number, also by surname. With email and membership, a row that finds nobody creates a customer. "
    "With id, the e-mail of a row is written, even if somebody else has the same.",
)
@click.option("--apply", is_flag=True, help="Write. Without this, say what would be written.")
@click.option(
    "--give-consent",
    is_flag=True,
    help="Allow a row to set a consent to true. Without this such a row is refused, since the file may be older than "
    "a withdrawal.",
)
@click.option(
    "--column",
    "columns",
    metavar="NAME=COLUMN",
    type=TEXT,
    multiple=True,
    callback=_mapping,
    help='Say which column a name in the file is, such as "Date Joined=membership_start_date"; may be repeated. '
    '"NAME=" leaves the column out. A consent column needs its own name (consent_email) or this option. The column '
    "must say yes where the person agrees; do not map 'Unsubscribed'.",
)
@click.option("--ignore-unknown", is_flag=True, help="Leave out columns that are not known.")
@click.option(
    "--dates",
    type=click.Choice(["dmy", "mdy"]),
    help="The order of days such as 31/01/2026 (dmy) or 01/31/2026 (mdy).",
)
@click.option("--sheet", metavar="NAME", type=TEXT, help="The sheet of a spreadsheet, if several have rows.")
@click.option(
    "--encoding",
    metavar="NAME",
    help="The encoding of a CSV, such as windows-1252, if the first line of the output names a wrong one.",
)
@click.option("--delimiter", metavar="TEXT", help='What separates the cells of a CSV: ";" or tab, for example.')
@click.option(
    "--refused",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the refused rows to this file, with a column for the reason: correct them and import that file.",
)
@click.option("--json", is_flag=True, help="Print a line of JSON for each row on a terminal too.")
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="Remove the quote that an export puts before a formula.  [default: on]",
)
@quiet_option
def import_customers(**given: object) -> None:
    """Create or update customers from a spreadsheet or a CSV.

    FILE is an xlsx, ods, xls or CSV file; - is stdin. Columns are found by the names of the export, or by other usual
    ones (Surname, Mobile, Post Code). Without --apply nothing is written. An empty cell changes nothing. A cell
    with an error, such as #N/A, counts as empty in a spreadsheet; in a CSV its row is refused. A consent is true or
    false, yes or no, 1 or 0.

    A cell that a spreadsheet took for a number (a telephone without its zero) is left as it is stored. A row is refused
    if a cell is not what its column takes, if it seems damaged, if it is not certain whom it is for, or if the customer
    was changed after the export; then the exit code is 1. A terminal shows a table of these rows; a pipe gets a line of
    JSON for each row. A consent that stays true is not sent. It is not known whether the API then keeps
    the other consents: look at the "changes" in the output.

    New customers come first. To go on after a failure run it again: what is written already is then unchanged. If you
    interrupt it, wait a minute first: TicketSource may still be creating a customer, and the next import would create
    the same one again. Run one import at a time, for the same reason.
    """
    from ticketsource_async.cli.import_run import Options, import_file  # noqa: PLC0415 - help can do without

    import_file(Options(**given))  # type: ignore[arg-type]  # click checks them
