"""What a bet can see: the smallest change that so many rows will prove, and how many rows it takes.

At mean p, a stake's logarithm of wealth grows by ``p a + (1 - p) b`` a row, a and b being what it
gains on 1 and on 0. The best of all stakes grows at most by the Kullback–Leibler divergence between
p and the border m, and on a geometric grid little less. An average over B stakes reaches c once one
of them reaches B c, so evidence c takes about ``ln(B c)`` divided by that growth: a cautious
figure, as neighbouring stakes grow too.

Source: Shin, Ramdas & Rinaldo, E-detectors, NEJSDS 2024 (arXiv 2203.03532), section 4; for the
divergence Lorden, Annals of Mathematical Statistics 1971.
"""

import math
from collections.abc import Sequence

from trimtab.stats.logspace import FloatArray


def divergence(p: float, m: float) -> float:
    """Return the Kullback–Leibler divergence of 0/1 signals of means p and m, in nats a row.

    ``inf`` where m excludes what p allows. ``ValueError`` unless both are in [0, 1].

    >>> round(divergence(0.5, 0.25), 4)
    0.1438
    """
    if not (0.0 <= p <= 1.0 and 0.0 <= m <= 1.0):
        raise ValueError(f"means must be in [0, 1], not {p!r}, {m!r}")
    parts = ((p, m), (1.0 - p, 1.0 - m))
    if any(a > 0.0 and b == 0.0 for a, b in parts):
        return math.inf
    return sum(a * math.log(a / b) for a, b in parts if a > 0.0)


def rows_to_prove(
    mean: float, on_one: FloatArray, on_zero: FloatArray, log_evidence: float
) -> float:
    """Return the rows of that mean after which the best stake is expected at ``log_evidence``.

    ``on_one`` and ``on_zero`` hold each stake's gains, in nats a row; ``inf`` where none grows.

    >>> import numpy as np
    >>> gains = np.log1p(np.array([0.5, 1.0]))
    >>> round(rows_to_prove(1.0, gains, -gains, math.log(1000.0)), 3)
    9.966
    """
    growth = float((mean * on_one + (1.0 - mean) * on_zero).max())
    return log_evidence / growth if growth > 0.0 else math.inf


def provable_mean(
    on_one: Sequence[float], on_zero: Sequence[float], rows: float, log_evidence: float
) -> float:
    """Return the mean nearest to a bet's border that ``rows`` rows should prove.

    ``on_one`` and ``on_zero`` hold the gains of its stakes, in nats a row. A bet on a mean above
    has stakes that gain on 1, a bet on one below stakes that gain on 0. NaN where not even a mean
    of 1 (or 0) would do.

    >>> gains = [math.log1p(stake) for stake in (0.5, 1.0)]
    >>> round(provable_mean(gains, [-gain for gain in gains], 20.0, math.log(1000.0)), 4)
    0.7491
    """
    # In plain numbers: thousands of streams ask it of eight stakes in each block.
    needed, gains = log_evidence / rows, list(zip(on_one, on_zero, strict=True))
    nearest = min if all(one > zero for one, zero in gains) else max
    mean = nearest(
        (needed - zero) / (one - zero) if one != zero else math.inf for one, zero in gains
    )
    return mean if 0.0 <= mean <= 1.0 else math.nan
