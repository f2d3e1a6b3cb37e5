"""Counts against edges are those of a search for each value."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trimtab.stats.edges import BLOCK, COMPARED, FEW, at_most, between, bins_of

EDGES = st.sets(st.floats(-5, 5), max_size=COMPARED + 6).map(lambda edges: tuple(sorted(edges)))


@example(tuple(map(float, range(COMPARED + 1))), [3.0, 3.5, np.nan, -1.0, 99.0])
@given(EDGES, st.lists(st.floats(-6, 6) | st.sampled_from([np.inf, np.nan])))
def test_values_are_counted_between_the_edges(edges: tuple[float, ...], drawn: list[float]) -> None:
    values = np.array(drawn, dtype=np.float64)
    known = values[~np.isnan(values)]
    places = np.searchsorted(np.array(edges), known, side="left").astype(np.int64)
    counted = np.bincount(places, minlength=len(edges) + 1).tolist()
    assert between(values, edges, known.size) == counted


@example(tuple(map(float, range(COMPARED + 1))), [3.0, 3.5, np.nan, -1.0, 99.0])
@example((1.0, 2.0), [1.0, 2.5, np.nan, -np.inf])
@given(EDGES, st.lists(st.floats(-6, 6) | st.sampled_from([np.inf, np.nan])))
def test_the_bin_of_a_value_is_that_of_a_search(
    edges: tuple[float, ...], drawn: list[float]
) -> None:
    """NaN is above no edge."""
    places = [sum(value > edge for edge in edges) for value in drawn]
    for times in (1, FEW):
        bins = bins_of(np.array(drawn * times, np.float64), np.array(edges, dtype=np.float64))
        assert bins.tolist() == places * times


@given(EDGES, st.lists(st.integers(-6, 6)))
def test_whole_numbers_are_compared_as_they_are(edges: tuple[float, ...], drawn: list[int]) -> None:
    values = np.array(drawn, dtype=np.int8)
    assert at_most(values, edges).tolist() == [sum(v <= edge for v in drawn) for edge in edges]


def test_edges_beyond_a_type_are_below_or_above_all_its_numbers() -> None:
    edges = (-1.5, 2.5, 254.9, 300.0)
    values = np.array([0, 3, 255], dtype=np.uint8)
    assert at_most(values, edges).tolist() == [0, 1, 2, 3]
    assert bins_of(values, np.array(edges)).tolist() == [1, 2, 3]


def test_many_values_are_counted_and_put_into_bins_block_by_block() -> None:
    values = np.tile(np.arange(5.0), BLOCK // 4)
    assert at_most(values, (0.5, 2.0)).tolist() == [BLOCK // 4, 3 * (BLOCK // 4)]
    assert bins_of(values, np.array([0.5, 2.0])).tolist() == [0, 1, 1, 2, 2] * (BLOCK // 4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_bins_of_narrow_numbers_are_exact(dtype: type) -> None:
    values: NDArray[np.floating[Any]] = np.array([0.1, 0.25, 0.3, np.nan], dtype=dtype)
    edges = np.array([0.1, 0.25, 0.3])
    wide = values.astype(np.float64)
    expected = [0 if np.isnan(each) else int((each > edges).sum()) for each in wide]
    assert bins_of(values, edges).tolist() == expected
