"""Continuous monitoring: block e-detectors, which may watch for ever.

Against "the conditional mean stays on its side of m", each stake ``lambda_k`` grows by the
Shiryaev–Roberts recursion ``M_b = exp(l_b) (1 + M_{b-1})``, where ``l_b`` is the block's log
increment; the evidence is ``S_b = mean_k M_{b,k}``. While the null holds, ``S_b - b`` is a
supermartingale, so the expected number of blocks to an alarm ``S_b >= c`` is at least c: exact, at
any sample size, looked at after every block. Delay is about ``ln c / KL`` rows.

Blocks without rows are skipped: silence neither starts a bet nor settles one, and the promise then
counts blocks with rows. The average of e-detectors is an e-detector under any dependence.

Source: Shin, Ramdas & Rinaldo, E-detectors, NEJSDS 2024 (arXiv 2203.03532), sections 2.3 and 4.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats import saved
from trimtab.stats.bets import BernoulliBlock, BetGrid, Block, BoundedBlock, Side
from trimtab.stats.logspace import LN10, FloatArray, log_mean_exp, log_sum_exp

__all__ = ["BernoulliBlock", "BetGrid", "BoundedBlock", "EAverage", "EDetector", "Evidence", "Side"]


class Evidence(Protocol):
    """Anything that carries evidence and can be averaged."""

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; ``-inf`` while there is none."""
        ...


@dataclass(slots=True, eq=False)
class EDetector:
    """Shiryaev–Roberts mixture over a grid of stakes; state is K floats and two counts.

    >>> errors = EDetector.against(0.02, "above")
    >>> for _ in range(5):
    ...     errors.update_counts(successes=2, trials=100)
    >>> errors.alarm(log10_threshold=6.0)
    False
    >>> errors.update_counts(successes=30, trials=100)
    >>> errors.alarm(log10_threshold=6.0)
    True
    """

    grid: BetGrid
    log_wealth: FloatArray = field(repr=False)
    blocks: int = 0
    rows: int = 0

    @classmethod
    def against(cls, m: float, side: Side, k: int = 12) -> Self:
        """Watch for a mean above (or below) ``m`` with k stakes; raises as :class:`BetGrid`."""
        return cls(BetGrid(m, side, k), np.zeros(k))

    def update(self, block: Block) -> None:
        """Take in one block; a block without rows, or a vacuous null, changes nothing."""
        if block.trials == 0 or self.grid.vacuous:
            return
        start = np.logaddexp(0.0, self.log_wealth) if self.blocks else 0.0
        self.log_wealth = self.grid.settle(block) + start
        self.blocks += 1
        self.rows += block.trials

    def update_counts(self, successes: int, trials: int) -> None:
        """Take in one block of a 0/1 signal."""
        self.update(BernoulliBlock(successes, trials))

    def update_values(self, values: ArrayLike) -> None:
        """Take in one block of a real signal in [0, 1]."""
        self.update(BoundedBlock.of(values, self.grid))

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of S; ``-inf`` before the first block."""
        return log_mean_exp(self.log_wealth) if self.blocks else -math.inf

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of S, always finite; 0.0 (neutral) before the first block."""
        return self.log_evidence / LN10 if self.blocks else 0.0

    def alarm(self, log10_threshold: float) -> bool:
        """Whether ``S >= 10**log10_threshold``; false alarms are then that many blocks apart."""
        return self.log_evidence >= log10_threshold * LN10

    def reset(self) -> None:
        """Forget all evidence, for an explicitly acknowledged new reference."""
        self.log_wealth, self.blocks, self.rows = np.zeros(self.grid.k), 0, 0

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        state: dict[str, object] = {"log_wealth": self.log_wealth.tolist()}
        return state | {"grid": self.grid.to_dict(), "blocks": self.blocks, "rows": self.rows}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        grid = BetGrid.from_dict(saved.part(state, "grid"))
        wealth = np.array(saved.reals(state, "log_wealth"), dtype=np.float64)
        if wealth.size != grid.k:
            raise ValueError(f"saved state: {grid.k} stakes need as many wealths")
        return cls(grid, wealth, saved.whole(state, "blocks"), saved.whole(state, "rows"))


@dataclass(frozen=True, slots=True)
class EAverage:
    """Weighted average of evidence, and each part's share of it (sums to 1, or all 0).

    >>> loud, silent = EDetector.against(0.1, "above"), EDetector.against(0.1, "above")
    >>> loud.update_counts(50, 100)
    >>> both = EAverage.of([loud, silent])
    >>> both.contributions
    (1.0, 0.0)
    >>> round(loud.log10_evidence - both.log10_evidence, 12) == round(math.log10(2), 12)
    True
    """

    log_evidence: float
    contributions: tuple[float, ...]

    @classmethod
    def of(cls, parts: Iterable[Evidence], weights: Sequence[float] | None = None) -> Self:
        """Average detectors, e-processes or averages; weights are normalised to sum 1.

        Raises ``ValueError`` when there is no part, or the weights are not as many nonnegative
        finite numbers with a positive sum.
        """
        return cls.of_logs([part.log_evidence for part in parts], weights)

    @classmethod
    def of_logs(cls, values: ArrayLike, weights: Sequence[float] | None = None) -> Self:
        """Average evidence given as natural logarithms; raises as :meth:`of`."""
        logs = np.asarray(values, dtype=np.float64)
        shares = np.ones(logs.size) if weights is None else np.array(weights, dtype=np.float64)
        fit = shares.size == logs.size and bool(np.isfinite(shares).all() and (shares >= 0).all())
        if not fit or not shares.sum() > 0:
            raise ValueError(f"{logs.size} parts need as many nonnegative weights, not {weights!r}")
        kept = shares > 0
        weighted = np.full(logs.size, -math.inf)
        weighted[kept] = logs[kept] + np.log(shares[kept] / shares.sum())
        total = log_sum_exp(weighted)
        parts = np.zeros(logs.size) if total == -math.inf else np.exp(weighted - total)
        return cls(total, tuple(parts.tolist()))

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the average, always finite; 0.0 while every part is silent."""
        return self.log_evidence / LN10 if self.log_evidence > -math.inf else 0.0

    def alarm(self, log10_threshold: float) -> bool:
        """Whether the average evidence reaches ``10**log10_threshold``."""
        return self.log_evidence >= log10_threshold * LN10
