"""Boosted symmetric trees on bins."""

import numpy as np
import pytest

from trimtab.stats.boosting import Boosted


def table(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins of three columns, a target by an interaction of two, and its mean."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 6, (n, 3))
    mean = np.where((codes[:, 0] > 2) & (codes[:, 1] > 3), 0.8, 0.2)
    return codes, mean + generator.normal(0.0, 0.1, n), mean


def test_an_interaction_is_found_and_holds_on_new_rows() -> None:
    codes, target, _ = table(1)
    fresh, _, mean = table(2)
    assert Boosted.fit(codes, target).predict(fresh) == pytest.approx(mean, abs=0.05)


def test_fitting_is_deterministic_and_each_tree_helps() -> None:
    codes, target, _ = table(3)
    few, many = (Boosted.fit(codes, target, trees=trees) for trees in (5, 40))
    again = Boosted.fit(codes, target, trees=5)
    assert (few.feature.tolist(), few.leaf.tolist()) == (
        again.feature.tolist(),
        again.leaf.tolist(),
    )
    lost = [float(((model.predict(codes) - target) ** 2).mean()) for model in (few, many)]
    assert lost[1] < lost[0]


def test_a_constant_column_asks_nothing() -> None:
    model = Boosted.fit(np.zeros((50, 1), dtype=np.int64), np.full(50, 0.4), trees=2)
    assert model.predict(np.array([[0], [3]])).tolist() == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize(
    ("codes", "target"),
    [(np.zeros(3), np.zeros(3)), (np.zeros((0, 2)), np.zeros(0)), (np.zeros((2, 1)), np.zeros(3))],
)
def test_what_is_no_table_is_refused(codes: np.ndarray, target: np.ndarray) -> None:
    with pytest.raises(ValueError, match="need codes"):
        Boosted.fit(codes, target)
