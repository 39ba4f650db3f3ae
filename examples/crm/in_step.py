"""What both examples in this folder need: settings, the changes since the last run, consents, retries and a report."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

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
LONGEST_WAIT = 600  # seconds; a longer wait is left to the next run

T = TypeVar("T")


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[TicketSource, CustomerStore, aiohttp.ClientSession]]:
    """Yield TicketSource, the store, and a session for the other system."""
    async with (
        TicketSource.from_env() as ts,
        CustomerStore("customers.db") as store,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        yield ts, store, http


def secret(variable: str) -> str:
    """Return the secret in the file that this variable names."""
    return Path(os.environ[variable]).read_text(encoding="utf-8").strip()


class Refused(Exception):
    """The other system refused one record."""


class Unavailable(Exception):
    """The other system cannot be reached, is busy, or refuses everything. `wait` has the seconds that it asks for."""

    def __init__(self, message: str, wait: str = "") -> None:
        super().__init__(message)
        self.wait = float(wait) if wait.isdecimal() else None


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of some work. If the other system is unavailable, try up to three more times."""
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
    """Return the changes, unacknowledged, and whether the list of customers was read to its end.

    If it was not, a customer on a missing page may have withdrawn a consent. So withdraw consents then, but give none.
    A customer who cannot be read, and too many deletions, go to `on_failure` and do not stop the others.
    """
    found: list[Change] = []
    try:
        changes = ts.customers.changes(store, acknowledge=False, on_invalid=on_failure)
        async with aclosing(changes):
            async for change in changes:
                found.append(change)  # noqa: PERF401 - a comprehension would lose the changes before a failure
    except TicketSourceError as error:
        if isinstance(error, StoreError | ConfigurationError) and not isinstance(error, TooManyRemoved):
            raise
        on_failure(error)
        # After the list, customers who were not in it are requested one by one.
        of_one = isinstance(error, InvalidID) or "/customers/" in getattr(error, "path", "")
        return found, of_one or isinstance(error, TooManyRemoved)
    return found, True


def agreed(customer: Customer | None) -> set[str]:
    """Return the ways in which a customer may be contacted. None, or a value that cannot be read, is not a yes."""
    consent = None if customer is None else customer.consent
    return {way for way in WAYS if getattr(consent, way, None) is True}


def report(done: str, failures: list[Exception]) -> None:
    """Print what was done, and raise the failures."""
    print(done)
    if failures:
        raise ExceptionGroup("All is in step but this, which the next run tries again", failures)
