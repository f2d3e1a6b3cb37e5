"""Bad events of two arms, counted per candidate weight: what every rate-ratio method reads."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np

from trimtab.stats import saved
from trimtab.stats.logspace import FloatArray


class Bad(NamedTuple):
    """Bad events of the two arms that shared one candidate weight."""

    candidate: int
    stable: int


@dataclass(frozen=True, slots=True)
class BadEvents:
    """Bad events per candidate weight: the sufficient statistic; merges exactly, in any order.

    >>> first = BadEvents().add(0.01, candidate_bad=1, stable_bad=7)
    >>> both = first.merge(BadEvents().add(0.05, 2, 5)).add(0.01, 0, 1)
    >>> both.by_weight
    {0.01: Bad(candidate=1, stable=8), 0.05: Bad(candidate=2, stable=5)}
    """

    by_weight: dict[float, Bad] = field(default_factory=dict)

    def add(self, weight: float, candidate_bad: int, stable_bad: int) -> Self:
        """Return the events with these added.

        At weight 0 or 1 there is no concurrent control, hence no evidence: such events are dropped.
        Raises ``ValueError`` when the weight is outside [0, 1] or a count is negative.
        """
        if not 0.0 <= weight <= 1.0 or min(candidate_bad, stable_bad) < 0:
            raise ValueError(
                f"need a weight in [0, 1] and counts >= 0, "
                f"not {weight!r}, {candidate_bad!r}, {stable_bad!r}"
            )
        if weight in (0.0, 1.0) or candidate_bad + stable_bad == 0:
            return self
        old = self.by_weight.get(weight, Bad(0, 0))
        new = Bad(old.candidate + candidate_bad, old.stable + stable_bad)
        return type(self)(dict(sorted((self.by_weight | {weight: new}).items())))

    def merge(self, other: Self) -> Self:
        """Return the events of both."""
        total = self
        for weight, bad in other.by_weight.items():
            total = total.add(weight, *bad)
        return total

    @property
    def candidate(self) -> int:
        """Bad events of the candidate, over all weights."""
        return sum(bad.candidate for bad in self.by_weight.values())

    @property
    def stable(self) -> int:
        """Bad events of the stable release, over all weights."""
        return sum(bad.stable for bad in self.by_weight.values())

    def log_likelihood(self, log_ratios: FloatArray) -> FloatArray:
        """Return the conditional log likelihood (nats) at each ``log(rho)``; concave in it."""
        total = np.zeros_like(log_ratios)
        for weight, bad in self.by_weight.items():
            odds = log_ratios + (math.log(weight) - math.log1p(-weight))
            total -= bad.candidate * np.logaddexp(0.0, -odds) + bad.stable * np.logaddexp(0.0, odds)
        return total

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON values."""
        return {"rows": [[weight, *bad] for weight, bad in self.by_weight.items()]}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        total = cls()
        for row in saved.items(state, "rows"):
            weight, candidate, stable = saved.reals({"row": row}, "row")
            total = total.add(weight, int(candidate), int(stable))
        return total
