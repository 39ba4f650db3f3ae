"""The table of sales: every format takes any names of price categories."""

from pathlib import Path
from typing import get_args

import pytest
from command import rows_in
from selling import booking, line, performance

from ticketsource_async import Sales, SalesTally, Seat, SeatsOfBooking, files
from ticketsource_async.report_tables import DONATIONS, DOOR_LIST, sales_on_terminal, sales_table
from ticketsource_async.reports.sales import By

HOSTILE = ("=cmd|' /C calc'!A0", "a\nb\x00\x1b[31m", "\u202e", "Adult", "ADULT", "category not known", "B" * 40_000)


def sales_with(*categories: str | None, booked: bool | None = True) -> Sales:
    """Return sales with a seat of each of these categories."""
    tally = SalesTally("event", seats=True)
    tally.add(performance(1, booking(1, line())))
    seats = [
        Seat(f"sea-{number}", price_category=category, is_booked=booked, is_cancelled=False)
        for number, category in enumerate(categories)
    ]
    tally.add_seats(SeatsOfBooking("bkg-1", seats))
    return tally.result()


@pytest.mark.parametrize("kind", files.FORMATS)
async def test_every_format_takes_price_categories_of_any_name(kind: str, tmp_path: Path) -> None:
    """Each has its own column, whose name is printable."""
    sales = sales_with(*HOSTILE, HOSTILE[-1] + "x", "", None)
    table = sales_table(sales)

    await files.write([*sales.rows, sales.total], table, target := tmp_path / f"sales.{kind}", format=kind)

    first, total = rows_in(target, kind)
    sold = [name for name in first if name.startswith("sold")]
    assert len(sold) == len(HOSTILE) + 2
    assert all(name.isprintable() and len(name) < 120 for name in sold)
    assert [float(first[name]) for name in sold] == [float(total[name]) for name in sold]
    assert float(first["sold, category not known"]) == 2
    assert float(first["seats_sold"]) == len(HOSTILE) + 3


def test_a_terminal_heads_each_column_of_a_report_by_its_own_name() -> None:
    """People find the same word in a file. A heading that joins several columns has a word of its own."""
    all_shown = [*DOOR_LIST.shown, *DONATIONS.shown, *sales_on_terminal(sales_with("Adult", booked=None)).shown]
    for by in get_args(By):
        all_shown += sales_on_terminal(SalesTally(by, payment_methods=True).result()).shown

    differing = {
        shown.heading: shown.names
        for shown in all_shown
        if shown.names not in ((shown.heading,), (shown.heading.replace(" ", "_"),))
    }

    assert differing == {
        "donor": ("customer_first_name", "customer_last_name"),
        **dict.fromkeys(("event", "day", "month", "sold day"), ("label",)),  # the first column, which also says Total
    }


def test_seats_whose_state_is_not_known_are_on_a_terminal_where_there_are_some() -> None:
    """Else their number would be in no column."""
    known, unknown = (sales_on_terminal(sales_with("Adult", booked=booked)) for booked in (True, None))

    assert "seats unknown" in [shown.heading for shown in unknown.shown]
    assert "seats unknown" not in [shown.heading for shown in known.shown]


def test_price_categories_after_the_first_two_hundred_share_a_column() -> None:
    """The order is alphabetical."""
    sales = sales_with(*[f"c{number:03}" for number in range(300)])
    table = sales_table(sales)
    row = dict(zip(table.names, table.row(sales.total), strict=True))

    assert row["sold: c199"] == 1
    assert "sold: c200" not in row
    assert (row["sold, other categories"], row["seats_sold"]) == (100, 300)


def test_seats_of_unknown_state_have_a_column_if_there_are_any() -> None:
    """They do not count as sold."""
    known, unknown = (sales_table(sales_with("Adult", booked=booked)) for booked in (True, None))
    sales = sales_with("Adult", booked=None)
    row = dict(zip(unknown.names, unknown.row(sales.total), strict=True))

    assert "unknown: Adult" not in known.names
    assert (row["sold: Adult"], row["unknown: Adult"], row["seats_unknown"]) == (0, 1, 1)


def test_the_columns_on_a_terminal_are_columns_of_the_table() -> None:
    """This holds for each kind of row, with payment methods and without."""
    for by in ("date", "event", "day", "month", "sold-day"):
        for payment_methods in (True, False):
            tally = SalesTally(by, payment_methods=payment_methods)
            tally.add(performance(1, booking(1, line()), cancelled=True))
            table = sales_on_terminal(tally.result())
            assert {name for shown in table.shown for name in shown.names} <= set(table.names)
