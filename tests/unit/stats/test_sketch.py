"""The quantile sketch keeps its relative error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.sketch import QuantileSketch


@given(
    values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200),
    q=st.floats(0, 1),
    error=st.sampled_from([0.01, 0.05]),
)
def test_a_quantile_is_within_the_relative_error(
    values: list[float], q: float, error: float
) -> None:
    """Of the value of that rank."""
    sketch = QuantileSketch(error)
    sketch.add(values)
    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    found = sketch.quantile(q)
    assert found is not None
    assert abs(found - exact) <= error * exact * (1 + 1e-9)
    assert sketch.count == len(values)


def test_zero_and_the_enormous_are_held_to_the_range() -> None:
    """So that memory is bounded whatever is measured."""
    sketch = QuantileSketch()
    sketch.add([0.0, 1e300])
    assert sketch.quantile(0.0) == pytest.approx(1e-9, rel=0.01)
    assert sketch.quantile(1.0) == pytest.approx(1e9, rel=0.01)
    sketch.add(np.geomspace(1e-12, 1e12, 50_000))
    assert len(sketch.buckets) < 2200


def test_an_empty_sketch_has_no_quantile() -> None:
    """Not zero, not NaN."""
    assert QuantileSketch().quantile(0.5) is None


def test_what_cannot_be_sketched_is_refused() -> None:
    """Negative or infinite values, other errors, ranks beyond the data."""
    sketch = QuantileSketch()
    for value in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            sketch.add([value])
    with pytest.raises(ValueError, match="same relative error"):
        sketch.merge(QuantileSketch(0.02))
    with pytest.raises(ValueError, match="q must"):
        sketch.quantile(1.5)
    with pytest.raises(ValueError, match="relative_error"):
        QuantileSketch(0.0)
