"""Write Parquet with typed columns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO, TypeVar

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.output import OnWarning, log_warning, temporary_file_for
from ticketsource_async.tables import Table, Value, to_json

T = TypeVar("T")

_ROWS_A_GROUP: Final = 10_000


def check_extra() -> None:
    """Raise `ConfigurationError` without the extra `parquet`."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "To write Parquet, install an extra: pip install 'ticketsource-async[parquet]'"
        ) from None


@contextmanager
def writer(
    stream: TextIO, table: Table[T], *, escape_formulas: bool = True, on_warning: OnWarning = log_warning
) -> Iterator[Callable[[T], None]]:
    """Yield a function that writes one item to the `buffer` of the stream.

    Times are in UTC. Money is text, so that it stays exact.

    Raises `ConfigurationError` without the extra `parquet`.
    """
    del escape_formulas, on_warning  # Parquet runs no formulas and can hold every value
    check_extra()
    import pyarrow as pa  # noqa: PLC0415 - as above
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {"day": pa.date32(), "yes": pa.bool_(), "moment": pa.timestamp("us", "UTC"), "number": pa.int64()}
    schema = pa.schema([(column.name, kinds.get(column.kind, pa.string())) for column in table.columns])
    money = {index for index, column in enumerate(table.columns) if column.kind == "money"}
    rows: list[tuple[Value, ...]] = []
    with temporary_file_for(stream) as path, parquet.ParquetWriter(path, schema) as file:

        def write_group() -> None:
            columns = [
                pa.array(map(to_json, values) if index in money else values, schema.types[index])
                for index, values in enumerate(zip(*rows, strict=True))
            ]
            file.write_table(pa.table(columns, schema=schema))
            rows.clear()

        def write(item: T) -> None:
            rows.append(table.row(item))
            if len(rows) >= _ROWS_A_GROUP:
                write_group()

        yield write
        if rows:
            write_group()
