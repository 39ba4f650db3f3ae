"""What both examples in this folder need: the changes since the last run, what a customer agreed to, and retries."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from ticketsource_async import (
    Change,
    ConfigurationError,
    Customer,
    CustomerStore,
    InvalidID,
    StoreError,
    TicketSource,
    TicketSourceError,
    TooManyRemoved,
)

WAYS = ("email", "post", "sms")
LONGEST_WAIT = 600  # seconds; if the other system asks for more, the next run goes on

T = TypeVar("T")


class Refused(Exception):
    """The other system did not take one record."""


class Unavailable(Exception):
    """The other system is away or busy, or refuses all; `wait` are the seconds that it asks for."""

    def __init__(self, message: str, wait: str = "") -> None:
        super().__init__(message)
        self.wait = float(wait) if wait.isdecimal() else None


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do something, and again up to three times if the other system is not available."""
    for wait in (1, 5, 25):
        try:
            return await work()
        except Unavailable as error:
            seconds = wait if error.wait is None else error.wait
            if seconds > LONGEST_WAIT:
                raise
            await asyncio.sleep(seconds)
    return await work()


async def read_changes(
    ts: TicketSource, store: CustomerStore, on_failure: Callable[[Exception], None]
) -> tuple[list[Change], bool]:
    """Return what changed, unacknowledged, and whether the list of customers was read to its end.

    If it was not, somebody on a page that is missing may have withdrawn a consent, so take consents away, but give
    none. One customer who cannot be read, and deletions that are too many, go to `on_failure` and stop nobody else.
    """
    found: list[Change] = []
    try:
        changes = ts.customers.changes(store, acknowledge=False, on_invalid=on_failure)
        async with aclosing(changes):
            async for change in changes:
                found.append(change)  # noqa: PERF401 - what was found before a failure is kept
    except TicketSourceError as error:
        if isinstance(error, StoreError | ConfigurationError) and not isinstance(error, TooManyRemoved):
            raise
        on_failure(error)
        # After the list, customers who were not in it are asked for one by one.
        of_one = isinstance(error, InvalidID) or "/customers/" in getattr(error, "path", "")
        return found, of_one or isinstance(error, TooManyRemoved)
    return found, True


def agreed(customer: Customer | None) -> set[str]:
    """Return the ways in which a customer may be contacted; None and what cannot be read are no yes."""
    consent = None if customer is None else customer.consent
    return {way for way in WAYS if getattr(consent, way, None) is True}
