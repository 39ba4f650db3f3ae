"""The history of all customers in DuckDB, by dlt: run `python with_dlt.py` every night, with `dlt[duckdb,parquet]`.

The table `customers` has a row for each version of a customer, valid from `_dlt_valid_from` to `_dlt_valid_to`, so it
tells who consented to what, and when; whoever was deleted has no row that is still valid. For example:

    SELECT id, consent_email, _dlt_valid_from, _dlt_valid_to FROM ticketsource.customers ORDER BY id, _dlt_valid_from

The list is first read into a table of its own, `crawled`, in chunks of pages. Where it goes on is kept with what was
loaded, so that a run that is killed meanwhile repeats one chunk at most, if it began less than a day ago. When the list
is whole, dlt compares it with `customers`. Rows shift while one reads, so who was not read is asked for by id before
they count as deleted. A value that cannot be read is NULL, so such a consent is no yes. A customer whose row is no
customer at all stays as they are here, and the run ends with that error after all else.

A warehouse is for one box office: another API key is refused unless it finds somebody who is in here. It keeps those
who were deleted, with their history: to erase a person, as data protection law asks, delete them in TicketSource, run
it, and then `DELETE FROM ticketsource.customers WHERE id = ...`.

For a plain copy every night, without history and without care for those who are hidden by deletions, dlt's own
`rest_api` source is enough.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import dlt

from ticketsource_async import (
    ConfigurationError,
    Customer,
    InvalidResponse,
    NotFound,
    ServerError,
    TicketSource,
    TicketSourceError,
)
from ticketsource_async.tables import CUSTOMERS

PAGES_A_CHUNK = int(os.environ.get("PAGES_A_CHUNK", "100"))
A_DAY = timedelta(days=1)  # a crawl that began before that would tell of people as they were, not as they are
TYPES = {"day": "date", "yes": "bool", "moment": "timestamp"}
TYPED: Any = {  # also if all is null
    column.name: {"data_type": TYPES.get(column.kind, "text"), "nullable": True} for column in CUSTOMERS.columns
}
ALL = ", ".join(CUSTOMERS.names)

Row = dict[str, Any]


def row_of(customer: Customer) -> Row:
    return in_utc(CUSTOMERS.row(customer))


def in_utc(values: tuple[Any, ...]) -> Row:
    """Return a row that is the same for the same moment, or dlt would take it for another version."""
    same = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]
    return dict(zip(CUSTOMERS.names, same, strict=True))


def box_office() -> str:
    """Return what tells a box office from others, without its key."""
    names = ("TICKETSOURCE_BASE_URL", "TICKETSOURCE_API_KEY")
    return sha256("\n".join(os.environ.get(name, "") for name in names).encode()).hexdigest()


@dlt.resource(columns=TYPED, primary_key="id")
async def crawled(start: int, resumed: bool, unreadable: list[InvalidResponse]) -> AsyncIterator[list[Row]]:
    state = dlt.current.resource_state()
    if start == 1:
        state.update(box_office=box_office(), began=datetime.now(UTC))
    yield dlt.mark.materialize_table_schema()  # or there would be no table if there is nobody
    # The client is made here, since dlt runs this in a thread and an event loop of its own.
    async with (
        TicketSource.from_env() as ts,
        aclosing(ts.customers.list(start_page=start, on_invalid=unreadable.append).pages()) as pages,
    ):
        try:
            async for page in pages:
                yield [row_of(customer) for customer in page.items]
                state["next_page"] = None if page.next_url is None else page.number + 1
                if page.number % PAGES_A_CHUNK == 0:
                    return
        except NotFound:
            if not resumed:
                raise
            state["next_page"] = 1  # the list has become shorter since


@dlt.resource(columns=TYPED, write_disposition={"disposition": "merge", "strategy": "scd2"})
async def customers(pipeline: dlt.Pipeline, failed: dict[str, TicketSourceError]) -> AsyncIterator[list[Row]]:
    yield dlt.mark.materialize_table_schema()  # or dlt would not compare, and nobody be deleted, if there is nobody
    missed = [row[0] for row in valid(pipeline, "id", "AND id NOT IN (SELECT id FROM crawled)")]
    query = f"SELECT DISTINCT ON (id) {ALL} FROM crawled"  # noqa: S608 - our own names
    with pipeline.sql_client() as sql, sql.execute_query(query) as rows:
        while some := rows.fetchmany(1000):
            yield [in_utc(row) for row in some]
    async with aclosing(still_there(missed, failed)) as hidden:
        async for customer in hidden:
            yield [row_of(customer)]
    if failed:
        ids = ", ".join(f"'{customer_id}'" for customer_id in failed)
        yield [in_utc(row) for row in valid(pipeline, ALL, f"AND id IN ({ids})")]


def valid(pipeline: dlt.Pipeline, columns: str, which: str) -> list[Any]:
    if "customers" not in pipeline.default_schema.tables:
        return []
    query = f"SELECT {columns} FROM customers WHERE _dlt_valid_to IS NULL {which}"  # noqa: S608 - as above
    with pipeline.sql_client() as sql:
        return list(sql.execute_sql(query) or ())


async def still_there(ids: list[str], failed: dict[str, TicketSourceError]) -> AsyncGenerator[Customer, None]:
    async with TicketSource.from_env() as ts, aclosing(ts.customers.get_many(ids)) as asked:
        async for outcome in asked:
            error = outcome.error
            if isinstance(error, NotFound) and error.is_from_api:
                continue
            if isinstance(error, NotFound | ServerError | InvalidResponse):  # of this one alone
                failed[outcome.input] = error
            else:
                yield outcome.unwrap()


async def is_anybody_known(ids: list[str]) -> bool:
    failed: dict[str, TicketSourceError] = {}
    async with aclosing(still_there(ids, failed)) as known:
        found = await anext(known, None) is not None
    if failed and not found:
        raise next(iter(failed.values()))
    return found


def sync(pipeline: dlt.Pipeline) -> None:
    pipeline.run()  # what a run that was killed has read, but not loaded
    state = crawled.state
    same = state.get("box_office") == box_office()
    if state and not same:  # a new key of the same box office finds its customers; with another all would be deleted
        some = [row[0] for row in valid(pipeline, "id", "ORDER BY random() LIMIT 100")]
        if some and not asyncio.run(is_anybody_known(some)):
            raise ConfigurationError(
                f"None of {len(some)} customers of this warehouse is known to this API key: set TICKETSOURCE_API_KEY "
                "and TICKETSOURCE_BASE_URL to those of their box office (a key that replaced its former one will do), "
                "or give another box office another pipeline and dataset."
            )
    resumed = same and state["next_page"] is not None and datetime.now(UTC) - state["began"] < A_DAY
    start = state["next_page"] if resumed else 1
    unreadable: list[InvalidResponse] = []
    failed: dict[str, TicketSourceError] = {}
    while start:
        chunk = crawled(start, resumed, unreadable)
        pipeline.run(chunk, write_disposition="replace" if start == 1 else "merge", loader_file_format="parquet")
        start, resumed = chunk.state["next_page"], False
    pipeline.run(customers(pipeline, failed), loader_file_format="parquet")
    if unreadable or failed:
        raise ExceptionGroup("all is loaded but who could not be read", [*unreadable, *failed.values()])


if __name__ == "__main__":
    dlt.config["runtime.dlthub_telemetry"] = False
    sync(
        dlt.pipeline(
            "box_office",
            pipelines_dir="pipelines",
            destination=dlt.destinations.duckdb("box_office.duckdb"),
            dataset_name="ticketsource",
        )
    )
