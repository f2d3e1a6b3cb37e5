"""Bets that a mean left its side of a border, as plain state, settled many at once."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.bets import BetGrids, Side
from trimtab.stats.logspace import LN10, FloatArray, log_means_exp

STAKES = 8

NOTHING = (0.0,) * STAKES


class Bet(msgspec.Struct, gc=False):
    """An e-detector as plain state: `wealth` are natural logarithms per stake.

    The CUSUM form, `M = exp(l) max(1, M)`, keeps quiet for years where nothing happens. It is at
    most Shiryaev–Roberts over its stakes, so the promise of the e-detector holds (Shin, Ramdas &
    Rinaldo, section 2).
    """

    m: float
    side: Side
    wealth: tuple[float, ...] = ()

    def take(self, mean: float, rows: float) -> None:
        """Take in a block, as `settle` does."""
        settle([self], [mean], [rows])

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; 0.0 before any block."""
        return log_evidences([self])[0]

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence."""
        return self.log_evidence / LN10


def settle(bets: Sequence[Bet], means: ArrayLike, rows: ArrayLike) -> FloatArray:
    """Take in a block for each bet, whose mean in [0, 1] counts as that of so many independent
    rows, and return the wealth of each (B, STAKES).

    It is settled as 0/1 rows of that mean would be, which is never more than what rows in between
    would gain: the logarithm is concave.
    """
    above = np.array([bet.side == "above" for bet in bets], dtype=np.bool_)
    grids = BetGrids.of(np.array([bet.m for bet in bets], dtype=np.float64), above, STAKES)
    mean = np.asarray(means, dtype=np.float64)[:, None]
    grown = mean * grids.on_one + (1.0 - mean) * grids.on_zero
    grown *= np.asarray(rows, dtype=np.float64)[:, None]
    grown += np.maximum(0.0, _wealth(bets))
    for bet, wealth in zip(bets, zip(*grown.T.tolist(), strict=True), strict=True):
        bet.wealth = wealth
    return grown


def log_evidences(bets: Sequence[Bet]) -> list[float]:
    """The natural logarithm of the evidence of each bet."""
    found: list[float] = log_means_exp(_wealth(bets)).tolist()
    return found


def _wealth(bets: Sequence[Bet]) -> FloatArray:
    held = [bet.wealth or NOTHING for bet in bets]
    return np.array(held, dtype=np.float64).reshape(-1, STAKES)
