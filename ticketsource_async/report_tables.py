"""The tables of the reports: each column once."""

from typing import Final

from ticketsource_async.reports.donations import DonationRow
from ticketsource_async.reports.gift_aid import GiftAidRow
from ticketsource_async.tables import Column, Shown, Table

DONATIONS: Final = Table[DonationRow](
    (
        Column("day", "day", lambda row: row.line.day),
        Column("amount", "money", lambda row: row.line.amount),
        Column("gift_aid", "text", lambda row: row.gift_aid),
        Column("is_refund", "yes", lambda row: row.line.is_refund),
        Column("customer_id", "text", lambda row: row.booking.customer_id),
        Column("customer_first_name", "text", lambda row: row.donor.first_name if row.donor else None),
        Column("customer_last_name", "text", lambda row: row.donor.last_name if row.donor else None),
        Column("event_id", "text", lambda row: row.booking.event.id),
        Column("event_name", "text", lambda row: row.booking.event.name),
        Column("date_id", "text", lambda row: row.booking.date.id),
        Column("date_start", "moment", lambda row: row.booking.date.start),
        Column("booking_id", "text", lambda row: row.booking.booking_id),
        Column("ref", "text", lambda row: row.booking.ref),
        Column("line", "number", lambda row: row.line.number),
        Column("remark", "text", lambda row: row.remark),
    ),
    name="donations",
    shown=(
        Shown("day"),
        Shown("donor", ("customer_first_name", "customer_last_name")),
        Shown("amount"),
        Shown("gift aid"),
        Shown("booking", ("ref",)),
        Shown("event", ("event_name",)),
        Shown("remark"),
    ),
)

_HMRC: Final[tuple[Column[GiftAidRow], ...]] = (
    Column("Title", "text", lambda row: row.title),
    Column("First name or initial", "text", lambda row: row.first_name),
    Column("Last name", "text", lambda row: row.last_name),
    Column("House name or number", "text", lambda row: row.house),
    Column("Postcode", "text", lambda row: row.postcode),
    Column("Aggregated donations", "text", lambda _: ""),  # of several donors in one row
    Column("Sponsored event", "text", lambda _: ""),
    Column("Donation date", "text", lambda row: row.donation_date),
    Column("Amount", "money", lambda row: row.amount),
)
"""The columns of HMRC's spreadsheet in its order, without the number of the row, which is there already."""

_HMRC_SHOWN: Final = (
    Shown("donor", ("Title", "First name or initial", "Last name")),
    Shown("house", ("House name or number",)),
    Shown("postcode", ("Postcode",)),
    Shown("date", ("Donation date",)),
    Shown("amount", ("Amount",)),
)

GIFT_AID_SCHEDULE: Final = Table[GiftAidRow](_HMRC, name="schedule", shown=_HMRC_SHOWN)

GIFT_AID_TO_COMPLETE: Final = Table[GiftAidRow](
    (
        *_HMRC,
        Column("To complete", "text", lambda row: row.to_complete),
        Column("Customer id", "text", lambda row: row.booking.customer_id),
        Column("Booking", "text", lambda row: row.booking.ref),
        Column("Booking id", "text", lambda row: row.booking.booking_id),
        Column("Line", "number", lambda row: row.line.number),
    ),
    name="to complete",
    shown=(Shown("to complete", ("To complete",)), *_HMRC_SHOWN, Shown("booking", ("Booking",))),
)
