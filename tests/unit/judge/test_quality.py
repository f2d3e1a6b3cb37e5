"""What rows lose, and what right and wrong decisions come to."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score
from tests.support.traffic import BINARY

from trimtab.domain.profile import QualityProfile
from trimtab.domain.signature import Datatype, Output, Signature
from trimtab.judge.measured import FEWEST_DAYS, of_days, of_f1
from trimtab.judge.quality import (
    LOG_LOSS_BOUND,
    RATIOS,
    Decided,
    decisions,
    losses,
    scaled_losses,
)
from trimtab.stats.bets import BetGrid

THREE = Signature(
    (),
    (Output("scores", Datatype.FP64, (3,)), Output("label", Datatype.BYTES)),
    "multiclass",
    ("a", "b", "c"),
)


def texts(*values: str) -> np.ndarray:
    """Labels."""
    return np.array(values, dtype=object)


def test_log_loss_is_minus_the_log_of_what_came_true_up_to_a_bound() -> None:
    outputs = {"score": np.array([0.25, 0.25, 0.0, 2.0, np.nan])}
    found = losses("log_loss", BINARY, outputs, texts("1", "0", "1", "1", "1"))
    assert found[:3].tolist() == pytest.approx([-math.log(0.25), -math.log(0.75), LOG_LOSS_BOUND])
    assert np.isnan(found[3:]).all()


def test_log_loss_of_classes_goes_by_the_score_of_the_true_one() -> None:
    scores = np.empty(5, dtype=object)
    scores[:] = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], None, [1.0], [2.0, -1.0, 0.0]]
    outputs = {"label": texts(*"aaaaa"), "scores": scores}
    found = losses("log_loss", THREE, outputs, texts("a", "z", "a", "a", "a"))
    assert found[:2].tolist() == pytest.approx([math.log(2.0), LOG_LOSS_BOUND])
    assert np.isnan(found[2:]).all()
    bare = losses("log_loss", THREE, {"label": texts("a")}, texts("a"))
    assert np.isnan(bare).all()


def test_costs_go_by_decision_and_truth_and_an_unknown_truth_costs_the_most() -> None:
    price = ((0.0, 0.5, 0.1), (1.0, 0.0, 0.2), (0.3, 0.4, 0.0))
    cost = QualityProfile(metric="cost", value=0.0, lower=0.0, upper=1.0, n=1, costs=price)
    outputs = {"label": texts("a", "b", "c", "b", "z")}
    found = scaled_losses(cost, THREE, outputs, texts("b", "a", "c", "z", "a"))
    assert found[:4].tolist() == [0.5, 1.0, 0.0, 1.0]
    assert np.isnan(found[4])


def test_a_binary_row_without_a_usable_score_or_label_costs_nothing_that_is_known() -> None:
    cost = QualityProfile(
        metric="cost", value=0.0, lower=0.0, upper=1.0, n=1, costs=((0.0, 1.0), (0.2, 0.0))
    )
    outputs = {"score": np.array([0.9, 0.1, 0.9, np.nan, 7.0])}
    found = scaled_losses(cost, BINARY, outputs, texts("0", "1", "maybe", "1", "1"))
    assert found[:2].tolist() == [0.2, 1.0]
    assert np.isnan(found[2:]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_ratios_of_decisions_are_those_of_an_independent_implementation(
    pairs: list[tuple[bool, bool]],
) -> None:
    decided, truth = (np.array(each, dtype=np.int64) for each in zip(*pairs, strict=True))
    found = Decided.of_places(decided, truth, 2)
    for name, oracle in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        made = found.measured(name)
        if made is not None:
            assert made[0] == pytest.approx(oracle(truth, decided))
            assert 1 <= made[1] <= len(pairs)
    made = found.measured("macro_recall")
    if made is not None:
        assert made[0] == pytest.approx(recall_score(truth, decided, average="macro"))


@pytest.mark.parametrize("metric", RATIOS)
def test_what_is_not_defined_is_not_measured(metric: str) -> None:
    assert Decided([5, 0], [0, 0]).measured(metric) is None


def test_half_a_trial_is_none() -> None:
    """One mistake alone says nothing of F1 yet."""
    assert Decided([5, 0], [1, 0]).measured("f1") is None


@given(st.floats(0.05, 0.95), st.floats(0.0, 0.5))
def test_a_bet_on_f1_gains_nothing_while_f1_is_at_its_border(border: float, above: float) -> None:
    """Each mistake settles half a trial; the expected factor of a row in the union is at most 1."""
    f1 = min(border + above, 1.0)
    share = f1 / (2.0 - f1)
    grid = BetGrid(border, "below", 8)
    factor = share * np.exp(grid.on_one) + (1.0 - share) * np.exp(grid.on_zero / 2.0)
    assert (factor <= 1.0 + 1e-12).all()


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_a_bet_on_macro_recall_gains_nothing_while_it_is_at_its_border(
    recalls: list[float],
) -> None:
    """One row of each class: the product of the expected factors is at most 1."""
    border = sum(recalls) / len(recalls)
    grid = BetGrid(border, "below", 8)
    chances = np.array(recalls)[:, np.newaxis]
    factors = chances * np.exp(grid.on_one) + (1.0 - chances) * np.exp(grid.on_zero)
    assert (np.log(np.maximum(factors, 1e-300)).sum(axis=0) <= 1e-5).all()


def test_rows_of_no_class_and_undecided_rows_are_not_counted() -> None:
    outputs = {"label": texts("a", "b", "z", "a")}
    label = texts("a", "a", "a", "z")
    assert decisions(THREE, outputs, label)[0].tolist() == [0, 1, -1, 0]
    assert Decided.of(THREE, outputs, label) == Decided([1, 0, 0], [1, 0, 0])


def test_too_few_days_on_which_a_metric_is_defined_are_no_days() -> None:
    assert of_days([0.5] * (FEWEST_DAYS - 1) + [None]) is None
    assert of_days([0.5] * FEWEST_DAYS + [None]) is not None


def test_the_interval_of_f1_is_that_of_the_share_it_goes_by() -> None:
    found = of_f1(0.8, 500)
    assert found.lower < 0.8 < found.upper
    assert found.upper - found.lower == pytest.approx(0.084, abs=0.02)
