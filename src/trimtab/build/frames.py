"""Frames of any library as Arrow tables, without importing one: pandas is asked through Arrow, and
polars, DuckDB and others through the Arrow C stream that they all speak."""

from typing import Any

import pyarrow as pa

from trimtab.domain.names import repeated
from trimtab.domain.plurals import some

FRAMES = "give a pandas or polars frame, an Arrow table, or a DuckDB relation"
_UNHELD = (pa.ArrowException, OverflowError, UnicodeEncodeError)
"""What Arrow raises for values that it cannot hold."""


def table_of_frame(data: Any) -> pa.Table:
    """An Arrow table or batch, a pandas or polars frame, or a DuckDB relation, as a table.

    Raises `TypeError`, which says in words why anything else is no table, and `ValueError` for a
    column that cannot be one of it."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if _is_column(data):
        raise TypeError(f"{_kind(data)} is one column and no table; {FRAMES}")
    if type(data).__module__.partition(".")[0] == "pandas":
        return _of_pandas(data)
    if hasattr(data, "__arrow_c_stream__"):
        return _without_views(pa.table(data))
    if hasattr(data, "to_arrow_table"):
        table: pa.Table = data.to_arrow_table()
        return table
    if hasattr(data, "collect"):
        raise TypeError(f"{_kind(data)} holds no rows before .collect(); {FRAMES}")
    raise TypeError(f"{_kind(data)} is no table; {FRAMES}")


def _of_pandas(data: Any) -> pa.Table:
    if twice := repeated(map(str, data.columns)):
        raise ValueError(f"several columns are named {some(twice)}")
    try:
        return pa.Table.from_pandas(data, preserve_index=False)
    except _UNHELD:
        for name, values in data.items():
            _check_column(name, values)
        raise


def _check_column(name: Any, values: Any) -> None:
    """Not every error of Arrow's names the column that it is about."""
    try:
        pa.array(values, from_pandas=True)
    except _UNHELD as cause:
        told = str(cause).partition("\n")[0].rstrip(".")
        raise ValueError(f"column {name!r}: {told}") from cause


def _kind(data: Any) -> str:
    name = type(data).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _is_column(data: Any) -> bool:
    """A series of pandas or polars, or an array of Arrow: it has a stream too, of no columns."""
    series = hasattr(data, "to_frame") and not hasattr(data, "columns")
    return series or isinstance(data, pa.Array | pa.ChunkedArray)


def _without_views(table: pa.Table) -> pa.Table:
    """Texts in a layout that Arrow can filter and look up; polars hands over views."""
    columns = [_without_view(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _without_view(column: Any) -> Any:
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        return pa.chunked_array(
            [
                pa.DictionaryArray.from_arrays(
                    chunk.indices, chunk.dictionary.cast(pa.large_string())
                )
                for chunk in column.chunks
            ]
        )
    return column
