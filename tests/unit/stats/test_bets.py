"""Bets are fair against their null, settle exactly and never leave the numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.bets import BernoulliBlock, BetGrid, BoundedBlock, Side
from trimtab.stats.logspace import log_sum_exp

SIDES: st.SearchStrategy[Side] = st.sampled_from(["above", "below"])


@given(m=st.floats(-0.5, 1.5), side=SIDES, k=st.integers(1, 20))
def test_a_bet_is_fair_at_the_edge_of_its_null(m: float, side: Side, k: int) -> None:
    """The expected factor of a 0/1 signal with mean m is 1, and all factors are finite."""
    grid = BetGrid(m, side, k)
    expected = grid.m * np.exp(grid.on_one) + (1.0 - grid.m) * np.exp(grid.on_zero)
    assert np.allclose(expected, 1.0, atol=1e-9)
    assert np.isfinite(grid.on_one).all()
    assert np.isfinite(grid.on_zero).all()


@given(m=st.floats(0.01, 0.99), side=SIDES)
def test_stakes_lean_to_their_side_and_never_risk_ruin(m: float, side: Side) -> None:
    """Above stakes are in (0, 1/m), below stakes in (-1/(1-m), 0)."""
    grid = BetGrid(m, side)
    leaning = grid.stakes if side == "above" else -grid.stakes
    limit = 1 / m if side == "above" else 1 / (1 - m)
    assert (leaning > 0).all()
    assert (leaning < limit).all()
    assert (np.diff(leaning) > 0).all()


@given(m=st.floats(0.01, 0.99))
def test_betting_below_mirrors_betting_above(m: float) -> None:
    """A signal below m is its complement above 1 - m."""
    below, above = BetGrid(m, "below"), BetGrid(1.0 - m, "above")
    assert np.allclose(below.on_one, above.on_zero)
    assert np.allclose(below.on_zero, above.on_one)


@pytest.mark.parametrize("m", [1e-6, 0.003, 0.25, 0.5, 0.97, 1.0 - 1e-6])
@pytest.mark.parametrize("k", [1, 2, 8, 12])
def test_stakes_are_a_geometric_grid_to_the_bit(m: float, k: int) -> None:
    smallest = min(0.01 * math.sqrt(m / (1.0 - m)), 0.1)
    expected = np.geomspace(0.9, smallest, k)[::-1] / m
    assert BetGrid(m, "above", k).stakes.tolist() == expected.tolist()


def test_a_null_that_cannot_be_broken_takes_no_bets() -> None:
    """Above 1 and below 0 nothing is staked; the opposite edges are ordinary, clipped nulls."""
    assert BetGrid(1.0, "above").vacuous
    assert BetGrid(0.0, "below").vacuous
    assert not BetGrid(0.0, "above").vacuous
    assert not BetGrid(1.0, "below").vacuous
    assert BetGrid(-3.0, "above").m == 1e-6
    assert BetGrid(7.0, "below").m == 1.0 - 1e-6


@given(
    m=st.floats(0.001, 0.999),
    side=SIDES,
    values=st.lists(st.floats(0, 1), max_size=30),
)
def test_a_block_of_real_values_settles_to_the_product_of_its_bets(
    m: float, side: Side, values: list[float]
) -> None:
    """Rounded down by less than 2**-32 nat a row."""
    grid = BetGrid(m, side, 6)
    settled = grid.settle(BoundedBlock.of(values, grid))
    for stake, total in zip(grid.stakes, settled, strict=True):
        product = math.log(math.prod(1.0 + float(stake) * (x - m) for x in values))
        assert product - len(values) * 2.0**-32 - 1e-9 <= total <= product + 1e-9


@given(successes=st.integers(0, 40), failures=st.integers(0, 40))
def test_counts_and_their_zeros_and_ones_settle_alike(successes: int, failures: int) -> None:
    """The two kinds of block are one statistic."""
    grid = BetGrid(0.2, "above")
    counted = grid.settle(BernoulliBlock(successes, successes + failures))
    listed = grid.settle(BoundedBlock.of([1.0] * successes + [0.0] * failures, grid))
    assert np.allclose(counted, listed, atol=1e-6)


@pytest.mark.parametrize("values", [[-0.1], [1.1], [math.nan], [0.5, math.inf]])
def test_a_value_outside_the_unit_interval_is_refused(values: list[float]) -> None:
    """Betting on it would not be fair."""
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        BoundedBlock.of(values, BetGrid(0.5, "above"))


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    """0 <= successes <= trials."""
    with pytest.raises(ValueError, match="successes"):
        BernoulliBlock(successes, trials)


def test_a_block_of_another_grid_is_refused() -> None:
    """Sums of five stakes cannot settle twelve."""
    with pytest.raises(ValueError, match="5 stakes cannot settle 12"):
        BetGrid(0.5, "above").settle(BoundedBlock.empty(5))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        BoundedBlock.empty(5).merge(BoundedBlock.empty(4))


@pytest.mark.parametrize(
    ("m", "side", "k"), [(math.nan, "above", 3), (0.5, "up", 3), (0.5, "below", 0)]
)
def test_a_grid_needs_a_number_a_side_and_a_stake(m: float, side: Side, k: int) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"side|number"):
        BetGrid(m, side, k)


def test_the_sum_of_nothing_is_nothing() -> None:
    """The logarithm of an empty sum is minus infinity, not an error."""
    assert log_sum_exp(np.empty(0)) == -math.inf
