"""The chances of a segment: those of all rows, and what its own outcomes say beside them.

A segment's rows fall into the same cells as all rows. Its outcomes lie apart from the chances of
all rows by an effect, and those of each group of like cells by one beyond it; of each more is
believed the more rows tell it (`trimtab.stats.shrinkage`). So a small segment is expected to do
what all rows do, a large one what it did itself; the interval is as wide as if all that was seen
were believed.
"""

from typing import NamedTuple

import numpy as np

from trimtab.domain.profile import EstimateProfile, SegmentEstimate
from trimtab.domain.records import Floats
from trimtab.judge.estimate import Learned, monotone
from trimtab.stats.combined import jackknife_variance
from trimtab.stats.density_ratio import DensityRatio
from trimtab.stats.shrinkage import kept

CERTAIN = 0.25
"""A quarter of a row counts beside those of a group: rows of no chance are not certain."""


class Effects(NamedTuple):
    """By how much outcomes of each group of cells lie above the chances of all rows: by the whole
    reference, then without each fold (1 + F, G). `variance` is that by chance and `mass` the rows
    (G,); a group without rows has an infinite variance."""

    apart: Floats
    variance: Floats
    mass: Floats

    @property
    def overall(self) -> tuple[float, float]:
        """The effect of all groups together, and its variance."""
        share, known = self.mass / self.mass.sum(), np.where(self.mass > 0.0, self.variance, 0.0)
        return float(share @ self.apart[0]), float(share**2 @ known)

    def drawn(self, spreads: tuple[float, float]) -> Floats:
        """What is believed of the effect of each group: that of all, and what is beyond it (G,)."""
        (effect, variance), (among, within) = self.overall, spreads
        beyond = (self.apart[0] - effect) * kept(within, self.variance)
        return np.asarray(effect * float(kept(among, variance)) + beyond, dtype=np.float64)


def effects(whole: Learned, segment: SegmentEstimate) -> Effects:
    """What a segment with rows enough tells beside all rows."""
    profile = whole.profile
    members = np.eye(max(profile.group) + 1)[np.array(profile.group)]
    cells = np.array(segment.cells, dtype=np.float64)
    rows, hits = (_folded(np.array(each)) for each in (segment.rows, segment.hits))
    chances = np.vstack([whole.chance, whole.without])
    mass = cells @ members
    usual = (chances * cells) @ members / np.maximum(mass, 1.0)
    apart = np.where(rows > 0.0, hits / np.maximum(rows, 1.0) - usual, 0.0)
    unit = np.array(profile.residual) if profile.residual else whole.chance * (1.0 - whole.chance)
    chance = ((cells * unit) @ members + CERTAIN) / np.maximum(mass, 1.0) ** 2
    # Of rows that share their days, chance alone says too little.
    variance = np.maximum(chance, jackknife_variance(apart[1:])) if profile.days else chance
    return Effects(apart, np.where(mass > 0.0, variance, np.inf), mass)


def _folded(sums: Floats) -> Floats:
    """The sum over folds, then that without each of them."""
    total = sums.sum(axis=0, dtype=np.float64)
    return np.vstack([total, total - sums])


def of_segment(whole: Learned, profile: EstimateProfile, segment: SegmentEstimate) -> Learned:
    """What each block asks of a segment; `profile` holds its metrics, wobbles and drifts.

    Where its inputs move, chances move as those of all rows do, from its own reference on.
    """
    found, group = effects(whole, segment), np.array(profile.group)
    rows = np.array(profile.rows, dtype=np.float64).sum(axis=0)
    moved = np.clip(whole.chance + found.drawn(segment.spreads)[group], 0.0, 1.0)
    chance = monotone(profile, moved, rows)
    # A drawn guess is nearer on average, but this one may be off by as much as what was seen.
    seen = np.vstack([whole.chance, whole.without]) + found.apart[:, group]
    without = np.clip(chance + seen[1:] - seen[0], 0.0, 1.0)
    ratio = None
    if whole.ratio is not None:
        ratio = DensityRatio(np.array(segment.features), whole.ratio.inverse)
    return Learned(profile, chance, without, ratio, segment.n)
