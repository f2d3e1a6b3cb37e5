"""Arrow's columns are read by their memory, wherever a slice of them begins."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trimtab.build.memory import absent, arrow_of, floats, texts_of, viewed


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float64()])
def test_numbers_are_viewed_where_they_lie(kind: Any) -> None:
    array = pa.array(np.arange(9).astype(kind.to_pandas_dtype()))
    assert viewed(array.slice(3, 4)).tolist() == [3, 4, 5, 6]
    assert viewed(array).dtype == kind.to_pandas_dtype()
    assert viewed(array.slice(9)).tolist() == []


def test_truth_values_are_zeros_and_ones() -> None:
    array = pa.array([True, False, True, True] * 5)
    assert viewed(array.slice(11, 3)).tolist() == [1, 1, 0]
    assert viewed(array.slice(20)).dtype == np.uint8


def test_what_is_missing_is_told_and_becomes_nan() -> None:
    array = pa.array([1, None, 3, None, 5] * 4, pa.int64())
    gone = absent(array.slice(6, 3))
    assert gone is not None
    assert gone.tolist() == [True, False, True]
    np.testing.assert_array_equal(floats(array.slice(6, 3)), [np.nan, 3.0, np.nan])
    assert absent(pa.array([1, 2])) is None
    assert floats(pa.array([1, 2])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("values", [[2, 7, 9], [0.5, -1.0], [True, False, True], []])
def test_arrays_of_numpy_are_those_of_arrow(values: list[Any]) -> None:
    array = np.array(values)
    assert arrow_of(array).equals(pa.array(array))
    assert arrow_of(np.repeat(array, 2)[::2]).equals(pa.array(array))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_are_those_of_arrow(kind: Any) -> None:
    for texts in ([], ["", "a", "Zürich", "東京"]):
        assert texts_of(texts, kind).equals(pa.array(texts, kind))
