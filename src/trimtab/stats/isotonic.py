"""Isotonic calibration: how often what was scored so high came true, never falling with the score.

The weighted least-squares fit under monotonicity, by pooling adjacent violators: neighbours whose
means fall are replaced by their common mean until none falls.

Source: Ayer, Brunk, Ewing, Reid & Silverman, Annals of Mathematical Statistics 1955; as calibration
of scores: Zadrozny & Elkan, KDD 2002.
"""

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.logspace import FloatArray


def isotonic(totals: ArrayLike, weights: ArrayLike) -> FloatArray:
    """Return the rising means of bins in order; ``totals`` and ``weights`` are sums per bin (B,).

    A bin without weight gets what its neighbours suggest, linearly by position. Raises
    ``ValueError`` when the shapes differ, a weight is negative or not finite, or none is positive.

    >>> isotonic([1.0, 0.0, 0.0, 4.0], [2.0, 2.0, 0.0, 4.0]).tolist()
    [0.25, 0.25, 0.625, 1.0]
    """
    sums, mass = np.asarray(totals, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    fit = sums.ndim == 1 and sums.shape == mass.shape and bool((mass >= 0.0).all())
    if not fit or not bool(np.isfinite(sums).all()) or not 0.0 < float(mass.sum()) < np.inf:
        raise ValueError(f"need totals and weights >= 0 per bin, not {sums.shape}, {mass.shape}")
    known = np.flatnonzero(mass > 0.0)
    places = np.arange(mass.size)
    return np.interp(places, known, _pooled(sums[known], mass[known]))


def _pooled(sums: FloatArray, mass: FloatArray) -> FloatArray:
    totals: list[float] = []
    weights: list[float] = []
    bins: list[int] = []
    for total, weight in zip(sums.tolist(), mass.tolist(), strict=True):
        totals.append(total)
        weights.append(weight)
        bins.append(1)
        while len(totals) > 1 and totals[-2] * weights[-1] >= totals[-1] * weights[-2]:
            last = totals.pop(), weights.pop(), bins.pop()
            totals[-1] += last[0]
            weights[-1] += last[1]
            bins[-1] += last[2]
    return np.repeat(np.array(totals) / np.array(weights), bins)
