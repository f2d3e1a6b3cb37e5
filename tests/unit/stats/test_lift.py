"""Lifts and information of two columns agree with their definitions, and chance tells nothing."""

import numpy as np
import pytest

from trimtab.stats.lift import LARGEST, held_out, information, log_lift


def test_columns_without_relation_lift_nothing() -> None:
    joint = np.outer([10, 20, 70], [30, 30, 40]) * 10
    assert np.allclose(log_lift(joint), 0.0)
    assert held_out(joint, joint) == pytest.approx(0.0)


def test_what_always_comes_together_is_told_by_its_entropy() -> None:
    joint = np.diag([5_000, 5_000])
    assert held_out(joint, joint) == pytest.approx(np.log(2), abs=3e-3)
    assert log_lift(joint).diagonal() == pytest.approx([np.log(2)] * 2, abs=2e-3)


def test_lifts_are_bounded_and_rare_cells_say_nothing() -> None:
    joint = np.diag([10**6, 10**6, 1])
    assert np.abs(log_lift(joint)).max() == LARGEST
    assert abs(log_lift(joint)[2, 2]) < 0.1


def test_chance_tells_less_than_nothing_of_the_other_half() -> None:
    rng = np.random.default_rng(3)
    told = [
        held_out(*(np.bincount(rng.integers(0, 12, 400), minlength=12).reshape(3, 4) for _ in "ab"))
        for _ in range(300)
    ]
    assert np.mean(told) < 0.0
    assert np.quantile(told, 0.95) < 0.01


def test_an_empty_half_tells_nothing() -> None:
    assert held_out(np.diag([90, 90]), np.zeros((2, 2), dtype=np.int64)) == 0.0


def test_many_pairs_of_columns_tell_to_the_bit_what_each_does() -> None:
    first, second = np.random.default_rng(5).integers(0, 90, (2, 30, 12, 7))
    lift = log_lift(first)
    each = [held_out(a, b) for a, b in zip(first, second, strict=True)]
    assert held_out(first, second).tolist() == each
    assert information(first, lift).tolist() == [
        float((a * log_lift(a)).sum()) / a.sum() for a in first
    ]
