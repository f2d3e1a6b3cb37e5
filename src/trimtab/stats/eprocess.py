"""One-off decisions: betting e-processes, which may be looked at as often as one likes.

The evidence is the mean over stakes of the product of all bets since the start (no restart). Under
the null its chance of *ever* reaching ``1/alpha`` is at most alpha (Ville 1939). Use it where the
question ends with an answer: "the rate is positively below x", "the stream has recovered".

State is a sum of blocks, so evidence does not depend on the order of what was seen, and the states
of two halves of a stream give exactly the state of the whole.

Source: Waudby-Smith & Ramdas, JRSS-B 2024 (arXiv 2010.09686), section 4.
"""

from dataclasses import dataclass
from typing import Self

from numpy.typing import ArrayLike

from trimtab.stats import saved
from trimtab.stats.bets import BernoulliBlock, BetGrid, Block, BoundedBlock, Side
from trimtab.stats.logspace import LN10, log_mean_exp


@dataclass(slots=True)
class EProcess:
    """Evidence for "the mean is above m" (null: at most m), or "below m" (null: at least m).

    >>> recovered = EProcess.against(0.10, "below")
    >>> recovered.update_counts(successes=1, trials=100)
    >>> recovered.log10_evidence > 2
    True
    >>> EProcess.from_dict(recovered.to_dict()) == recovered
    True
    """

    grid: BetGrid
    counts: BernoulliBlock
    sums: BoundedBlock
    log10_max: float = 0.0

    @classmethod
    def against(cls, m: float, side: Side, k: int = 12) -> Self:
        """Bet that the mean is on the given side of ``m``; raises as :class:`BetGrid`."""
        return cls(BetGrid(m, side, k), BernoulliBlock(0, 0), BoundedBlock.empty(k))

    def update(self, block: Block) -> None:
        """Take in one block of either kind."""
        if isinstance(block, BernoulliBlock):
            self.counts = self.counts.merge(block)
        else:
            self.sums = self.sums.merge(block)
        self.log10_max = max(self.log10_max, self.log10_evidence)

    def update_counts(self, successes: int, trials: int) -> None:
        """Take in counts of a 0/1 signal."""
        self.update(BernoulliBlock(successes, trials))

    def update_values(self, values: ArrayLike) -> None:
        """Take in values of a real signal in [0, 1]."""
        self.update(BoundedBlock.of(values, self.grid))

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self.counts.trials + self.sums.trials

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; 0.0 before any row."""
        return log_mean_exp(self.grid.settle(self.counts) + self.grid.settle(self.sums))

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence now; always finite."""
        return self.log_evidence / LN10

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value: the inverse of the largest evidence seen after any update."""
        return float(10.0**-self.log10_max)

    def reset(self) -> None:
        """Start the question anew."""
        self.counts, self.sums = BernoulliBlock(0, 0), BoundedBlock.empty(self.grid.k)
        self.log10_max = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        state: dict[str, object] = {"grid": self.grid.to_dict(), "counts": self.counts.to_dict()}
        return state | {"sums": self.sums.to_dict(), "log10_max": self.log10_max}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        sums = BoundedBlock.from_dict(saved.part(state, "sums"))
        grid = BetGrid.from_dict(saved.part(state, "grid"))
        if len(sums.units) != grid.k:
            raise ValueError(f"saved state: {grid.k} stakes need as many sums")
        counts = BernoulliBlock.from_dict(saved.part(state, "counts"))
        return cls(grid, counts, sums, saved.real(state, "log10_max"))
