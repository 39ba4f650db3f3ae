"""Load the box office every night: `python load.py duckdb`, `postgres` or `parquet`, see `--help`.

- `duckdb` writes `box_office.duckdb`, schema `ticketsource`; it needs `dlt[duckdb,parquet]`.
- `postgres` writes the schema `ticketsource`; it needs `dlt[postgres,parquet]`, and in the environment
  `DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host/database`.
- `parquet` appends a snapshot of everything to the folder `box_office_parquet`; it needs `dlt[parquet]`.

All files are in the current folder. Its folder `pipelines` has the state of dlt between runs. No other user of this
machine can read these files; for PostgreSQL, GRANT on the schema says who can. The run may be killed at any moment: the
next run goes on after the parts that were loaded. If a part cannot be read, the run says so and ends with 1.
"""

import argparse
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import dlt
from ticketsource_source import Unread, has_more, ticketsource

DATES_AT_ONCE = 200  # dates with bookings, or customers with notes, between two loads; a killed run loses no more


def destination(kind: str) -> tuple[Any, Any]:
    """Return the destination of the rows, and the format of the files that dlt loads there."""
    if kind == "duckdb":
        return dlt.destinations.duckdb("box_office.duckdb"), "parquet"
    if kind == "postgres":
        return dlt.destinations.postgres(), "insert_values"  # in CSV an empty text would become NULL
    return dlt.destinations.filesystem(Path("box_office_parquet").absolute().as_uri()), "parquet"


def load(kind: str, *, notes: bool = False, seats: bool = False, full: bool = False) -> list[Unread]:
    """Load everything, and return the parts that could not be read."""
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["load.delete_completed_jobs"] = True  # otherwise each run leaves its rows in `pipelines`
    dlt.config["load.truncate_staging_dataset"] = True  # and its last rows in the database
    where, file_format = destination(kind)
    pipeline = dlt.pipeline(
        f"box_office_{kind}", pipelines_dir="pipelines", destination=where, dataset_name="ticketsource"
    )
    unread: list[Unread] = []
    pipeline.run(loader_file_format=file_format)  # load what a killed run has read, but not loaded
    if kind == "parquet":
        source = ticketsource(notes=notes, seats=seats, snapshot=True, on_unread=unread.append)
        pipeline.run(source, loader_file_format=file_format)  # in one run, so a snapshot is complete or absent
        return unread
    source = ticketsource(notes=notes, seats=seats, full=full, most=DATES_AT_ONCE, on_unread=unread.append)
    for name, resource in source.resources.items():
        more = True
        while more:
            pipeline.run(source.with_resources(name), loader_file_format=file_format)
            more = has_more(resource)
    latest = "SELECT max(version) FROM _dlt_pipeline_state"
    with pipeline.sql_client() as sql:  # otherwise each run leaves another list of all dates that were read
        sql.execute_sql(f"DELETE FROM _dlt_pipeline_state WHERE version + 5 < ({latest})")  # noqa: S608 - our own words
    return unread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["duckdb", "postgres", "parquet"])
    parser.add_argument("--notes", action="store_true", help="the notes on customers too, with a request for each")
    parser.add_argument("--seats", action="store_true", help="the seats too, with a request for each booking")
    parser.add_argument("--full", action="store_true", help="the bookings of all dates, also of those long over")
    options = parser.parse_args()
    os.umask(0o077)  # the files have people's addresses, so other users of this machine cannot read them
    with closing(sqlite3.connect(f"box_office_{options.kind}.lock", timeout=0)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")  # the system frees it when this process ends
        except sqlite3.OperationalError:
            sys.exit("Another run is loading here: wait until it has ended.")
        unread = load(options.kind, notes=options.notes, seats=options.seats, full=options.full)
    for part in unread:
        print(f"Not read: {part}", file=sys.stderr)
    if unread:
        sys.exit(f"Everything else is loaded. Could not be read: {len(unread)}. Run it again.")


if __name__ == "__main__":
    main()
