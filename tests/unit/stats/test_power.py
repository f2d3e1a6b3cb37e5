"""What a bet can see, against simulation and against the bound of information theory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.bets import BetGrid, Side
from trimtab.stats.edetector import EDetector
from trimtab.stats.power import Gains, divergence, rows_to_prove

K = 12
LOG_C = math.log(1e4)


def delays(mean: float, m: float, side: Side) -> np.ndarray:
    """Rows until an e-detector alarms, in blocks of 20, over 60 streams."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(60):
        detector = EDetector.against(m, side, K)
        while not detector.alarm(LOG_C / math.log(10.0)):
            detector.update_counts(int(rng.binomial(20, mean)), 20)
        found.append(detector.rows)
    return np.array(found)


@pytest.mark.parametrize(
    ("m", "side", "rows"),
    [(0.02, "above", 1500), (0.2, "above", 800), (0.2, "above", 4000), (0.5, "below", 1000)],
)
def test_what_is_said_to_show_within_some_rows_does_show(m: float, side: Side, rows: int) -> None:
    """The median delay is no longer than said, and not by so much shorter that it says nothing."""
    grid = BetGrid(m, side, K)
    needed = LOG_C + math.log(K)
    gains = Gains.of(grid.on_one.tolist(), grid.on_zero.tolist())
    mean = gains.provable_mean(rows, needed)
    assert 0.4 * rows <= np.median(delays(mean, m, side)) <= 1.05 * rows


@given(st.floats(0.01, 0.9), st.floats(0.01, 0.99), st.floats(1.0, 20.0))
def test_no_grid_is_faster_than_information_allows(m: float, mean: float, log_c: float) -> None:
    grid = BetGrid(m, "above" if mean > m else "below", K)
    bound = log_c / max(divergence(mean, m), 1e-300)
    assert rows_to_prove(mean, grid.on_one, grid.on_zero, log_c) >= bound * (1.0 - 1e-9)


@given(st.floats(0.05, 0.8), st.floats(0.05, 0.95))
def test_the_grid_is_within_a_third_of_what_information_allows(m: float, p: float) -> None:
    """Between a hundredth of a standard deviation and certainty, where stakes lie."""
    mean = m + p * (1.0 - m)
    grid = BetGrid(m, "above", K)
    assert rows_to_prove(mean, grid.on_one, grid.on_zero, 1.0) <= 1.35 / divergence(mean, m)


@given(st.floats(0.05, 0.9), st.sampled_from(["above", "below"]), st.integers(50, 10_000))
def test_the_smallest_provable_mean_takes_exactly_the_rows(m: float, side: Side, rows: int) -> None:
    grid = BetGrid(m, side, K)
    gains = Gains.of(grid.on_one.tolist(), grid.on_zero.tolist())
    mean = gains.provable_mean(rows, LOG_C)
    if math.isnan(mean):
        extreme = 1.0 if side == "above" else 0.0
        assert rows_to_prove(extreme, grid.on_one, grid.on_zero, LOG_C) >= rows * (1 - 1e-9)
    else:
        assert rows_to_prove(mean, grid.on_one, grid.on_zero, LOG_C) == pytest.approx(rows)


def test_stakes_that_gain_nothing_prove_no_mean() -> None:
    assert math.isnan(Gains.of([0.0, 0.0], [0.0, 0.0]).provable_mean(1e9, LOG_C))


def test_what_never_grows_is_never_proven() -> None:
    grid = BetGrid(0.2, "above", K)
    assert rows_to_prove(0.1, grid.on_one, grid.on_zero, LOG_C) == math.inf


def test_divergence_is_zero_at_the_border_and_infinite_where_it_excludes() -> None:
    assert divergence(0.3, 0.3) == 0.0
    assert divergence(0.3, 0.0) == math.inf
    assert divergence(0.0, 0.5) == pytest.approx(math.log(2.0))
    with pytest.raises(ValueError, match="must be in"):
        divergence(1.5, 0.5)
