"""Run one sync."""

from typing import Any

from ticketsource_async import (
    Change,
    CustomerStore,
    TicketSource,
)


async def sync(ts: TicketSource, store: CustomerStore, **options: Any) -> list[Change]:
    """Return every change of one sync run."""
    return [change async for change in ts.customers.changes(store, **options)]


D, ODD_DAY = "2030-01-31", "31.12.2020"
