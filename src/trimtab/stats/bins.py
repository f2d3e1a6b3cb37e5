"""Binning: cut points frozen from a reference, and counts of live values between them.

Bin j holds the values in ``(cut[j-1], cut[j]]``, so that the running count up to bin j is the count
of ``x <= cut[j]``: the indicator whose reference rate the release knows. Missing values (NaN) and
infinite ones are counted beside the bins, never in them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats import saved
from trimtab.stats.logspace import FloatArray


def quantile_cuts(values: ArrayLike, bins: int, weights: ArrayLike | None = None) -> FloatArray:
    """Return at most ``bins - 1`` strictly rising cuts that split the mass evenly.

    Cuts are observed values; values that repeat give fewer cuts, and a constant gives one. Values
    that are not finite are left out; without any left there is no cut. Raises ``ValueError`` when
    bins < 1 or the weights are not as many nonnegative finite numbers as the values.

    >>> quantile_cuts([1, 2, 3, 4, 5, 6, 7, 8], 4).tolist()
    [2.0, 4.0, 6.0]
    >>> quantile_cuts([0, 0, 0, 0, 0, 0, 1, 2], 4).tolist()
    [0.0]
    """
    rows = np.asarray(values, dtype=np.float64).ravel()
    mass = np.ones(rows.size) if weights is None else np.asarray(weights, np.float64).ravel()
    fit = mass.size == rows.size and bool((np.isfinite(mass) & (mass >= 0.0)).all())
    if bins < 1 or not fit:
        raise ValueError(f"need bins >= 1 and nonnegative weights for {rows.size} values")
    kept = np.isfinite(rows) & (mass > 0.0)
    points, place = np.unique(rows[kept], return_inverse=True)
    if points.size == 0 or bins == 1:
        return np.empty(0)
    below = np.cumsum(np.bincount(place, weights=mass[kept]))
    # A hair below each target, so that rounding in the sums does not step over an exact quantile.
    targets = below[-1] * np.arange(1, bins) / bins * (1.0 - 1e-12)
    return np.unique(points[np.searchsorted(below, targets)])


HAIR = 1e-6
"""How far a cut is from the value it was, in parts of the span of all cuts: more than what another
BLAS, an engine or single precision changes in a sum, and less than anybody looks at."""


def above_values(cuts: FloatArray, rising: FloatArray) -> FloatArray:
    """Move each cut a hair above the value that it is, and less than half of the way to the next.

    `cuts` are rising values of the sorted, finite `rising`. Neither changes on which side any of
    them is, but a cut *on* a value that many rows share would send them to the other side when they
    are rounded otherwise.

    >>> above_values(np.array([0.0]), np.array([0.0, 0.0, 1.0, 2.0])).tolist()
    [1e-06]
    """
    if not cuts.size:
        return cuts
    following = np.append(rising, np.inf)[np.searchsorted(rising, cuts, side="right")]
    end = following[-1] if np.isfinite(following[-1]) else cuts[-1]
    # Of numbers that are further apart than there are numbers, cuts stay where they are.
    with np.errstate(over="ignore"):
        moved = cuts + np.minimum(HAIR * (end - cuts[0]), (following - cuts) / 2.0)
    return np.where(moved < following, moved, cuts)


def below_values(cuts: FloatArray, rising: FloatArray) -> FloatArray:
    """The same downwards, for cuts whose own value belongs to the bin above them.

    >>> below_values(np.array([1.0]), np.array([0.0, 0.0, 1.0, 1.0])).tolist()
    [0.999999]
    """
    return -above_values(-cuts[::-1], -rising[::-1])[::-1]


@dataclass(frozen=True, slots=True)
class BinCounts:
    """Counts per bin of one block, and of what has no place in a bin; merges exactly.

    >>> counts = BinCounts.of([1.0, 2.0, 2.5, np.nan, np.inf], cuts=[2.0])
    >>> counts
    BinCounts(counts=(2, 1), missing=1, infinite=1)
    >>> counts.merge(counts).at_most
    (4, 6)
    """

    counts: tuple[int, ...]
    missing: int = 0
    infinite: int = 0

    @classmethod
    def of(cls, values: ArrayLike, cuts: ArrayLike) -> Self:
        """Count values (any shape) between strictly rising cuts; gives ``len(cuts) + 1`` bins."""
        rows = np.asarray(values, dtype=np.float64).ravel()
        edges = np.asarray(cuts, dtype=np.float64)
        if not bool(np.isfinite(edges).all() and (np.diff(edges) > 0.0).all()):
            raise ValueError("cuts must be finite and strictly rising")
        finite = rows[np.isfinite(rows)]
        counts = np.bincount(np.searchsorted(edges, finite), minlength=edges.size + 1)
        missing = int(np.isnan(rows).sum())
        return cls(tuple(counts.tolist()), missing, rows.size - finite.size - missing)

    def merge(self, other: Self) -> Self:
        """Return the counts of both, in any order. ``ValueError`` if the bins differ in number."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        missing, infinite = self.missing + other.missing, self.infinite + other.infinite
        return type(self)(counts, missing, infinite)

    @property
    def finite(self) -> int:
        """Values that are in a bin."""
        return sum(self.counts)

    @property
    def total(self) -> int:
        """All values, missing and infinite ones too."""
        return self.finite + self.missing + self.infinite

    @property
    def at_most(self) -> tuple[int, ...]:
        """Running counts: entry j counts ``x <= cut[j]``; the last one is all finite values."""
        return tuple(np.cumsum(self.counts).tolist())

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON values."""
        state: dict[str, object] = {"counts": list(self.counts)}
        return state | {"missing": self.missing, "infinite": self.infinite}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        counts = tuple(saved.wholes(state, "counts"))
        return cls(counts, saved.whole(state, "missing"), saved.whole(state, "infinite"))
