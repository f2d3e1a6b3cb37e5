"""The golden set holds what is remarkable, and tells sameness by numbers."""

import numpy as np

from trimtab.build.golden import MOST_ROWS, golden_rows, input_tensors, largest_difference
from trimtab.domain.signature import Column, Datatype
from trimtab.worker.tensors import array_of


def test_extremes_missing_values_and_rare_categories_are_in_it() -> None:
    rows = 10_000
    number = np.arange(rows, dtype=np.float64)
    number[[77, 5_000]] = [1e9, np.nan]
    number[1_234] = -5.0
    text = np.array(["common"] * rows, dtype=object)
    text[[42, 4_242]] = ["rare", None]
    columns = [
        Column("number", Datatype.FP64, nullable=True),
        Column("text", Datatype.BYTES, nullable=True, categories=("common", "rare")),
    ]
    chosen = golden_rows(columns, {"number": number, "text": text}, rows)
    assert {77, 5_000, 1_234, 42, 4_242, 0} <= set(chosen.tolist())
    assert len(chosen) <= MOST_ROWS
    assert np.array_equal(chosen, np.unique(chosen))


def test_a_small_reference_is_taken_whole() -> None:
    columns = [Column("x", Datatype.FP64)]
    assert golden_rows(columns, {"x": np.array([1.0, 2.0, 3.0])}, 3).tolist() == [0, 1, 2]


def test_a_column_without_any_value_is_no_trouble() -> None:
    columns = [Column("x", Datatype.FP64, nullable=True)]
    assert golden_rows(columns, {"x": np.full(2, np.nan)}, 2).tolist() == [0, 1]


def test_rows_travel_as_tensors_of_the_wire() -> None:
    columns = [Column("x", Datatype.INT64), Column("t", Datatype.BYTES)]
    inputs = {"x": np.array([1.0, 2.0]), "t": np.array(["a", None], dtype=object)}
    x, t = input_tensors(columns, inputs, np.array([1, 0]))
    assert array_of(x).tolist() == [2.0, 1.0]
    assert array_of(t).tolist() == [None, "a"]


def test_the_largest_difference_is_over_all_outputs() -> None:
    one = {"score": np.array([0.1, 0.2]), "label": np.array(["0", "1"], dtype=object)}
    other = {"score": np.array([0.1, 0.25]), "label": np.array(["0", "1"], dtype=object)}
    assert largest_difference(one, one) == 0.0
    assert abs(largest_difference(one, other) - 0.05) < 1e-12


def test_texts_that_differ_are_infinitely_apart_unless_ignored() -> None:
    one = {"label": np.array(["0"], dtype=object)}
    other = {"label": np.array(["1"], dtype=object)}
    assert largest_difference(one, other) == float("inf")
    assert largest_difference(one, other, ("label",)) == 0.0


def test_a_number_that_is_missing_on_one_side_is_infinitely_apart() -> None:
    one, other = {"x": np.array([np.nan])}, {"x": np.array([1.0])}
    assert largest_difference(one, other) == float("inf")
