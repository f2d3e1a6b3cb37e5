"""Bets, alone and together, and a watch over a signal that cannot leave its zone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.judge.watch import STAKES, Bet, Watch, Zone
from trimtab.stats.bets import BetGrid, Side
from trimtab.stats.logspace import LN10, log_mean_exp


def test_a_zone_without_borders_gathers_no_evidence() -> None:
    watch = Watch((Zone(None, 1.0),), None, 1.0)
    watch.take(0.0, [50.0], 100)
    assert watch.log10_evidence == 0.0
    assert watch.since is None


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 500)), min_size=1, max_size=12),
    st.floats(0.01, 0.99),
    st.sampled_from(["above", "below"]),
)
def test_a_bet_is_settled_to_the_bit_as_arrays_would_settle_it(
    blocks: list[tuple[float, int]], m: float, side: Side
) -> None:
    bet, grid, wealth = Bet(m, side), BetGrid(m, side, STAKES), np.zeros(STAKES)
    for mean, rows in blocks:
        bet.take(mean, rows)
        grown = rows * (mean * grid.on_one + (1.0 - mean) * grid.on_zero)
        wealth = grown + np.maximum(0.0, wealth)
    assert list(bet.wealth) == wealth.tolist()
    assert bet.log10_evidence == pytest.approx(log_mean_exp(wealth) / LN10)
