"""Texts of a column keep their places from batch to batch."""

import numpy as np
import pyarrow as pa

from trimtab.monitoring.arrays import MOST_REMEMBERED, Coded, Lexicon, coded, numbers


def read(found: Coded) -> list[str | None]:
    return list(found.objects())


def test_texts_keep_their_places_whatever_order_a_batch_lists_them_in() -> None:
    lexicon = Lexicon()
    first = lexicon.placed(coded(pa.array(["a", "b", None])))
    second = lexicon.placed(coded(pa.array(["b", None, "a", "b"])))
    assert second.texts.equals(first.texts)
    assert read(second) == ["b", None, "a", "b"]
    third = lexicon.placed(coded(pa.array(["c", "a", None])))
    assert read(third) == ["c", "a", None]
    assert third.texts.to_pylist() == ["a", "b", "c"]
    assert read(lexicon.placed(coded(pa.array(["b", "c"])))) == ["b", "c"]


def test_a_list_that_grows_too_long_begins_again() -> None:
    lexicon = Lexicon()
    for start in range(0, 3 * MOST_REMEMBERED, MOST_REMEMBERED // 2):
        texts = [f"t{number}" for number in range(start, start + MOST_REMEMBERED)]
        found = lexicon.placed(coded(pa.array(texts)))
        assert read(found) == texts
        assert len(found.texts) <= 2 * MOST_REMEMBERED


def test_many_different_texts_are_not_remembered() -> None:
    lexicon = Lexicon()
    lexicon.placed(coded(pa.array(["a"])))
    texts = [f"t{number}" for number in range(MOST_REMEMBERED + 1)]
    given = coded(pa.array(texts))
    assert lexicon.placed(given) is given
    assert lexicon.placed(coded(pa.array(["a"]))).texts.to_pylist() == ["a"]


def test_texts_of_another_layout_begin_a_list_of_their_own() -> None:
    lexicon = Lexicon()
    lexicon.placed(Coded(pa.array(["a"]), np.zeros(1, np.int32)))
    large = Coded(pa.array(["b"], pa.large_string()), np.zeros(2, np.int32))
    assert read(lexicon.placed(large)) == ["b", "b"]


def test_missing_numbers_of_any_type_are_nan() -> None:
    assert numbers(pa.array([1, 2], pa.int8())).dtype == np.int8
    for column in (
        pa.array([1, None, 0], pa.int64()),
        pa.array([True, None, False]),
        pa.array([1.0, None, 0.0], pa.float32()),
    ):
        np.testing.assert_array_equal(numbers(column), [1.0, np.nan, 0.0])
    assert numbers(pa.array([1.0, None], pa.float32())).dtype == np.float32
