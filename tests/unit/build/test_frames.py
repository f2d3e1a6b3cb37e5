"""Frames of other libraries as Arrow tables; what else there is, is refused in words."""

import re
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
        (POLARS.lazy(), "a LazyFrame holds no rows before .collect()"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(thing: Any, told: str) -> None:
    with pytest.raises(TypeError, match=f"{re.escape(told)}; give a pandas or polars frame"):
        table_of_frame(thing)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (pd.DataFrame({"a": [1], "b": [2**70]}), "column 'b': Python int too large"),
        (pd.DataFrame({"a": [1, 2], "b": [1, "x"]}), "column 'b': Could not convert 'x'"),
        (
            pd.DataFrame({"a": [1], "b": ["\udcff"]}, dtype=object),
            "column 'b': 'utf-8' codec can't",
        ),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"]), "several columns are named 'b'"),
    ],
)
def test_a_column_that_no_table_can_hold_is_named(frame: pd.DataFrame, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        table_of_frame(frame)
