"""Frames of other libraries as Arrow tables; what else there is, is refused in words."""

from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pytest

from trimtab.build.frames import table_of_frame

TABLE = pa.table({"age": [1.5, None], "plan": ["a", None]})
POLARS = polars.DataFrame(TABLE.to_pydict())


@pytest.mark.parametrize(
    "frame",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_pandas(),
        POLARS,
        POLARS.with_columns(polars.col("plan").cast(polars.Categorical)),
        duckdb.from_arrow(TABLE),
    ],
    ids=["table", "batch", "pandas", "polars", "categories", "duckdb"],
)
def test_a_frame_of_any_library_is_the_same_table(frame: Any) -> None:
    assert table_of_frame(frame).to_pylist() == TABLE.to_pylist()


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (pd.Series([1.0]), "a Series is one column and no table"),
        (polars.Series([1.0]), "a Series is one column and no table"),
        (TABLE["age"], "a ChunkedArray is one column and no table"),
        (pa.array([1]), "an Int64Array is one column and no table"),
        (5, "an int is no table"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(thing: Any, told: str) -> None:
    with pytest.raises(TypeError, match=f"{told}; give a pandas or polars frame"):
        table_of_frame(thing)
