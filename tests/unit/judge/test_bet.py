"""Many bets, settled at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab.judge.bet import STAKES, Bet, log_evidences, settle
from trimtab.stats.bets import Side
from trimtab.stats.logspace import LN10

SIDES: tuple[Side, Side] = ("above", "below")
SHARES = st.floats(0.0, 1.0)


@given(
    st.lists(st.tuples(SHARES, st.sampled_from(SIDES), SHARES, st.integers(1, 500)), max_size=8),
    st.integers(1, 3),
)
def test_bets_that_are_settled_at_once_end_to_the_bit_as_each_by_itself(
    given_: list[tuple[float, Side, float, int]], blocks: int
) -> None:
    together = [Bet(m, side) for m, side, _, _ in given_]
    alone = [Bet(m, side) for m, side, _, _ in given_]
    means, rows = [mean for _, _, mean, _ in given_], [n for _, _, _, n in given_]
    wealth = np.zeros((len(given_), STAKES))
    for _ in range(blocks):
        wealth = settle(together, means, rows)
        for bet, mean, n in zip(alone, means, rows, strict=True):
            bet.take(mean, n)
    assert together == alone
    assert [list(bet.wealth) for bet in together] == wealth.tolist()
    assert log_evidences(together) == [bet.log_evidence for bet in alone]


def test_before_any_block_there_is_no_evidence() -> None:
    assert log_evidences([Bet(0.2, "above"), Bet(0.2, "below")]) == [0.0, 0.0]
    assert log_evidences([]) == []


def test_evidence_is_told_as_a_decimal_logarithm() -> None:
    bet = Bet(0.2, "above")
    bet.take(0.9, 100)
    assert bet.log10_evidence == bet.log_evidence / LN10 > 3.0
