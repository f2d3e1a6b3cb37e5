"""How far two distributions are apart: severity to show beside evidence, never to alarm on.

All three read bin counts only. Fixed thresholds on them have no error rate: even without change
their size depends on the number of bins and rows.

Sources: Yurdakul, Statistical properties of population stability index, 2018 (PSI without change);
Lin, IEEE Transactions on Information Theory 1991 (JS); Ramdas, Garcia & Cuturi, Entropy 2017 (W1).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.bins import BinCounts, quantile_cuts
from trimtab.stats.logspace import FloatArray

__all__ = [
    "BinCounts",
    "bin_positions",
    "jensen_shannon",
    "psi_excess",
    "quantile_cuts",
    "wasserstein",
]


def psi_excess(reference: ArrayLike, live: ArrayLike) -> float | None:
    """Return the population stability index minus what it is without any change.

    Counts per bin, two arrays of one length B. Half a count is added to each bin, so that empty
    bins stay finite. Subtracted is ``(B - 1) (1/n + 1/m)``; around 0 without change, negative as
    often as positive. ``None`` when a side has no rows. Raises ``ValueError`` when shapes differ or
    a count is negative.

    >>> round(psi_excess([500, 500], [500, 500]), 6)
    -0.002
    """
    counts, other = _counts(reference, live)
    n, m = float(counts.sum()), float(other.sum())
    if n == 0.0 or m == 0.0:
        return None
    p, q = (counts + 0.5) / (n + 0.5 * counts.size), (other + 0.5) / (m + 0.5 * other.size)
    psi = float(((q - p) * np.log(q / p)).sum())
    return psi - (counts.size - 1) * (1.0 / n + 1.0 / m)


def jensen_shannon(reference: ArrayLike, live: ArrayLike) -> float | None:
    """Return the Jensen–Shannon distance (square root of the divergence in bits), in [0, 1].

    ``None`` when a side has no rows; raises as :func:`psi_excess`.

    >>> jensen_shannon([10, 0], [0, 7]), jensen_shannon([1, 2], [10, 20])
    (1.0, 0.0)
    """
    p, q = _counts(reference, live)
    if p.sum() == 0.0 or q.sum() == 0.0:
        return None
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2.0
    bits = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / (2.0 * math.log(2.0))
    return math.sqrt(min(max(bits, 0.0), 1.0))


def wasserstein(reference: ArrayLike, live: ArrayLike, positions: ArrayLike) -> float | None:
    """Return the Wasserstein-1 distance, in the unit of ``positions`` (one per bin, rising).

    Exact for mass at the positions. ``None`` when a side has no rows; raises as
    :func:`psi_excess`, and when there is not one position per bin.

    >>> wasserstein([1, 1, 0], [0, 1, 1], [0.0, 10.0, 20.0])
    10.0
    """
    p, q = _counts(reference, live)
    places = np.asarray(positions, dtype=np.float64)
    if places.shape != p.shape:
        raise ValueError(f"need one position per bin, not {places.shape} for {p.shape}")
    if p.sum() == 0.0 or q.sum() == 0.0:
        return None
    apart = np.abs(np.cumsum(p / p.sum()) - np.cumsum(q / q.sum()))
    return float((apart[:-1] * np.diff(places)).sum())


def bin_positions(cuts: ArrayLike) -> FloatArray:
    """Return a place for each bin of ``len(cuts) + 1``: mid between cuts, outer bins at the cut.

    >>> bin_positions([1.0, 3.0]).tolist()
    [1.0, 2.0, 3.0]
    """
    edges = np.asarray(cuts, dtype=np.float64)
    if edges.size == 0:
        return np.zeros(1)
    return np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2.0, edges[-1:]])


def _relative_entropy(p: FloatArray, q: FloatArray) -> float:
    seen = p > 0.0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())


def _counts(reference: ArrayLike, live: ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, q = np.asarray(reference, dtype=np.float64), np.asarray(live, dtype=np.float64)
    fit = p.ndim == 1 and p.shape == q.shape and p.size > 0
    if not fit or not bool((np.isfinite(p) & np.isfinite(q) & (p >= 0.0) & (q >= 0.0)).all()):
        raise ValueError(f"need counts >= 0 for the same bins, not shapes {p.shape}, {q.shape}")
    return p, q
