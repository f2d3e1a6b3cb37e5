"""Expected metrics of cells, against metrics of drawn labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from trimtab.stats.confidence_based import Cells, Expected

ROWS = np.array([[300.0, 200.0, 0.0, 0.0], [0.0, 0.0, 150.0, 350.0]])
CHANCE = np.array([[0.1, 0.3, 0.3, 0.3], [0.6, 0.6, 0.6, 0.9]])
CELLS = Cells(ROWS, CHANCE)


def drawn(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, decisions and scores of the rows in the cells."""
    side, place = np.indices(ROWS.shape)
    count = ROWS.astype(int).ravel()
    chance, decided, score = (np.repeat(x.ravel(), count) for x in (CHANCE, side, place))
    return generator.random(chance.size) < chance, decided, score


Measure = Callable[[Any, Any, Any], float]

METRICS: dict[str, tuple[Expected | None, Measure]] = {
    "error": (CELLS.error(), lambda y, d, s: float((y != d).mean())),
    "precision": (CELLS.precision(), lambda y, d, s: float(precision_score(y, d))),
    "recall": (CELLS.recall(), lambda y, d, s: float(recall_score(y, d))),
    "f1": (CELLS.f1(), lambda y, d, s: float(f1_score(y, d))),
    "roc_auc": (CELLS.roc_auc(), lambda y, d, s: float(roc_auc_score(y, s))),
}


@pytest.mark.parametrize("name", METRICS)
def test_value_and_variance_are_those_of_the_metric_of_drawn_labels(name: str) -> None:
    expected, measure = METRICS[name]
    assert expected is not None
    generator = np.random.default_rng(7)
    values = np.array([measure(*drawn(generator)) for _ in range(200)])
    error = values.std() / np.sqrt(values.size)
    assert abs(values.mean() - expected.value) < 4.0 * error
    assert values.var() == pytest.approx(expected.variance, rel=0.35)


def test_a_mean_cost_needs_no_sampling_to_be_exact() -> None:
    cells = Cells(np.array([[3.0, 1.0]]), np.array([[0.5, 1.0]]))
    found = cells.mean_cost(2.0, 0.0)
    assert found[:2] == (1.25, 3.0 * 0.25 * (2.0 / 4.0) ** 2)
    assert found.slope.tolist() == [[0.5, 0.5]]


def test_metrics_without_the_class_that_they_need_are_absent() -> None:
    none = Cells(np.array([[5.0], [0.0]]), np.array([[0.0], [0.0]]))
    assert (none.precision(), none.recall(), none.f1(), none.roc_auc()) == (None,) * 4
    assert none.error()[:2] == (0.0, 0.0)


@pytest.mark.parametrize("name", METRICS)
def test_the_slope_is_how_a_metric_moves_with_what_comes_true(name: str) -> None:
    step, here = 1e-6, getattr(CELLS, name)()
    for place in np.ndindex(ROWS.shape):
        moved = CHANCE.copy()
        moved[place] += step
        there = getattr(Cells(ROWS, moved), name)()
        by_chance = here.slope[place] * ROWS[place]
        assert (there.value - here.value) / step == pytest.approx(by_chance, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "chance"),
    [
        (np.array([1.0]), np.array([0.5])),
        (np.array([[1.0]]), np.array([[0.5, 0.5]])),
        (np.array([[-1.0, 2.0]]), np.array([[0.5, 0.5]])),
        (np.array([[0.0]]), np.array([[0.5]])),
        (np.array([[1.0]]), np.array([[1.5]])),
        (np.array([[1.0]]), np.array([[np.nan]])),
    ],
)
def test_what_are_no_cells_is_refused(rows: np.ndarray, chance: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"rows per cell|every chance"):
        Cells(rows, chance)
