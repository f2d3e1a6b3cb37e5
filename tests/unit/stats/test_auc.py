"""AUC as disjoint pairs and as a rank statistic."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.auc import pair_outcomes, rank_auc

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=40)


@given(rows=ROWS)
def test_the_rank_statistic_is_the_share_of_all_pairs_won(rows: list[tuple[bool, int]]) -> None:
    """Against the double loop; absent without both classes."""
    ups = [score for label, score in rows if label]
    downs = [score for label, score in rows if not label]
    found = rank_auc([label for label, _ in rows], [score for _, score in rows])
    if not ups or not downs:
        assert found is None
    else:
        won = sum((up > down) + 0.5 * (up == down) for up in ups for down in downs)
        assert found == pytest.approx(won / (len(ups) * len(downs)), abs=1e-12)


@given(rows=ROWS)
def test_disjoint_pairs_meet_in_the_order_of_arrival(rows: list[tuple[bool, int]]) -> None:
    """The i-th positive against the i-th negative; the rest is not used."""
    ups = [score for label, score in rows if label]
    downs = [score for label, score in rows if not label]
    expected = [(up > down) + 0.5 * (up == down) for up, down in zip(ups, downs, strict=False)]
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    assert pair_outcomes(labels, scores).tolist() == expected


def test_infinite_scores_are_ordered_like_any_other() -> None:
    """Two equal infinities are a tie."""
    assert pair_outcomes([1, 0, 1, 0], [math.inf, math.inf, 0.0, -math.inf]).tolist() == [0.5, 1.0]


def test_both_estimate_the_same_area() -> None:
    """On a stream with known AUC (normal scores one deviation apart: 0.7602)."""
    generator = np.random.default_rng(7)
    labels = generator.random(20_000) < 0.3
    scores = generator.normal(size=20_000) + labels
    assert rank_auc(labels, scores) == pytest.approx(0.7602, abs=0.01)
    assert pair_outcomes(labels, scores).mean() == pytest.approx(0.7602, abs=0.02)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([1, 0], [0.5]), ([[1, 0]], [[0.5, 0.1]]), ([2, 0], [0.5, 0.1]), ([1, 0], [math.nan, 0.1])],
)
def test_labels_and_scores_that_do_not_fit_are_refused(
    labels: list[float], scores: list[float]
) -> None:
    """One label of 0 or 1 and one number each."""
    with pytest.raises(ValueError, match="labels"):
        rank_auc(labels, scores)
