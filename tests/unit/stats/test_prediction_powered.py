"""Means from few labels and many predictions."""

import math

import numpy as np
import pytest

from trimtab.stats.prediction_powered import Audit

CHANCE = np.array([0.05, 0.3, 0.8])


def audit(seed: int, predicted: np.ndarray, n: int = 4000, rate: float = 0.05) -> Audit:
    """Rows of three kinds whose losses come with `CHANCE`, labelled at random."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, 3, n)
    lost = generator.random(n) < CHANCE[kind]
    known = generator.random(n) < rate
    rows, labelled = np.bincount(kind, minlength=3), np.bincount(kind[known], minlength=3)
    sums = np.bincount(kind[known], lost[known], minlength=3).astype(np.float64)
    return Audit(predicted, rows.astype(float), labelled.astype(float), sums, sums)


@pytest.mark.parametrize("predicted", [CHANCE, CHANCE[::-1], np.full(3, 0.9)], ids=str)
def test_the_mean_is_right_whatever_the_predictions_are(predicted: np.ndarray) -> None:
    truth = float(CHANCE.mean())
    made = [audit(seed, predicted).mean() for seed in range(300)]
    values = np.array([each.value for each in made if each is not None])
    spread = np.array([each.variance for each in made if each is not None])
    assert abs(values.mean() - truth) < 4.0 * values.std() / math.sqrt(values.size)
    assert values.var() == pytest.approx(spread.mean(), rel=0.35)


def test_good_predictions_save_labels_and_bad_ones_cost_nothing() -> None:
    good, flat = audit(1, CHANCE).mean(), audit(1, np.full(3, 0.5)).mean()
    assert good is not None
    assert flat is not None
    assert good.variance < 0.75 * flat.variance
    assert (flat.weight, good.weight > 0.8) == (0.0, True)


def test_when_every_row_has_a_label_their_mean_is_what_counts() -> None:
    rows = np.array([10.0, 10.0])
    powered = Audit(np.array([0.1, 0.9]), rows, rows, np.array([4.0, 8.0]), np.array([4.0, 8.0]))
    mean = powered.mean()
    assert mean is not None
    assert (mean.value, round(mean.weight, 9)) == (0.6, 0.0)


def test_one_label_is_no_sample() -> None:
    one = np.array([1.0])
    assert Audit(one, np.array([5.0]), one, one, one).mean() is None
