"""Paired losses of candidate and stable on the same requests: is the candidate worse, and by what?

``D = loss(candidate) - loss(stable)`` is in [-1, 1] for losses in [0, 1]. The bets of
:mod:`trimtab.stats.eprocess` are placed on ``(1 + D) / 2``: what both releases share on a request
cancels, so far fewer rows decide than with two separate means.

Source: Waudby-Smith & Ramdas, JRSS-B 2024 (arXiv 2010.09686), section 4; Howard et al., Annals of
Statistics 2021, for the interval.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats import saved
from trimtab.stats.bets import BoundedBlock, Side
from trimtab.stats.eprocess import EProcess
from trimtab.stats.logspace import FloatArray
from trimtab.stats.sequences import Interval, MeanSequence

Question = Literal["worse", "not_worse"]


@dataclass(slots=True)
class PairedTest:
    """Evidence about the mean of D, valid at any time of looking.

    "worse": the mean is above ``margin`` (null: at most). "not_worse": the mean is below ``margin``
    (null: at least), which is what a promotion asks. ``margin`` has the unit of the loss.

    >>> promote = PairedTest.against(0.02, "not_worse")
    >>> promote.update_differences([0.0] * 95 + [0.1, -0.1] * 300)
    >>> promote.log10_evidence > 1.3
    True
    """

    bets: EProcess

    @classmethod
    def against(cls, margin: float, question: Question, k: int = 12) -> Self:
        """Ask one question. ``ValueError`` unless it is known and -1 <= margin <= 1."""
        if question not in ("worse", "not_worse") or not -1.0 <= margin <= 1.0:
            raise ValueError(f"need a question and a margin in [-1, 1], not {question!r}, {margin}")
        side: Side = "above" if question == "worse" else "below"
        return cls(EProcess.against((1.0 + margin) / 2.0, side, k))

    def block(self, differences: ArrayLike) -> BoundedBlock:
        """Sum differences (each in [-1, 1]) into a block that merges with others."""
        return BoundedBlock.of(unit_of_differences(differences), self.bets.grid)

    def update(self, block: BoundedBlock) -> None:
        """Take in one block."""
        self.bets.update(block)

    def update_differences(self, differences: ArrayLike) -> None:
        """Take in differences. ``ValueError`` unless each is in [-1, 1]."""
        self.update(self.block(differences))

    @property
    def rows(self) -> int:
        """Pairs seen so far."""
        return self.bets.rows

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence."""
        return self.bets.log_evidence

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence now; always finite."""
        return self.bets.log10_evidence

    @property
    def log10_max(self) -> float:
        """The largest decimal logarithm of the evidence after any update."""
        return self.bets.log10_max

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        return {"bets": self.bets.to_dict()}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        return cls(EProcess.from_dict(saved.part(state, "bets")))


@dataclass(slots=True)
class PairedSequence:
    """Interval for the running mean of D in [-1, 1], valid at all times at once.

    >>> gap = PairedSequence.at(alpha=0.05)
    >>> gap.update_differences([0.0] * 1000 + [1.0] * 50)
    >>> [round(end, 2) for end in gap.interval]
    [0.02, 0.08]
    """

    halves: MeanSequence

    @classmethod
    def at(cls, alpha: float = 0.05) -> Self:
        """Start at error level ``alpha``; ``ValueError`` unless 0 < alpha < 1."""
        return cls(MeanSequence(alpha, centre=0.5))

    def update_differences(self, differences: ArrayLike) -> None:
        """Take in differences. ``ValueError`` unless each is in [-1, 1]."""
        self.halves.update_values(unit_of_differences(differences))

    @property
    def estimate(self) -> float | None:
        """The observed mean difference; ``None`` without pairs."""
        half = self.halves.estimate
        return None if half is None else 2.0 * half - 1.0

    @property
    def interval(self) -> Interval:
        """The interval, in the unit of the loss; (-1, 1) without pairs."""
        lower, upper = self.halves.interval
        return Interval(2.0 * lower - 1.0, 2.0 * upper - 1.0)

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        return {"halves": self.halves.to_dict()}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        return cls(MeanSequence.from_dict(saved.part(state, "halves")))


def unit_of_differences(differences: ArrayLike) -> FloatArray:
    """Map D in [-1, 1] to (1 + D) / 2; a value outside leads to a ``ValueError`` downstream.

    >>> unit_of_differences([-1.0, 0.0, 1.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return (1.0 + np.asarray(differences, dtype=np.float64)) / 2.0
