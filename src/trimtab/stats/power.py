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
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

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


class Gains(NamedTuple):
    """What the stakes of one bet gain, as thousands of streams ask it in each block: in plain
    numbers, what each gains on 0 and by how much more on 1, in nats a row.

    >>> gains = [math.log1p(stake) for stake in (0.5, 1.0)]
    >>> bet = Gains.of(gains, [-gain for gain in gains])
    >>> round(bet.provable_mean(20.0, math.log(1000.0)), 4)
    0.7491
    """

    pairs: tuple[tuple[float, float], ...]
    nearest: Callable[[Iterable[float]], float]

    @classmethod
    def of(cls, on_one: Sequence[float], on_zero: Sequence[float]) -> Self:
        """The gains of a bet's stakes. A bet on a mean above has stakes that gain on 1, a bet on
        one below stakes that gain on 0; of one without stakes none gains on either."""
        pairs = tuple((zero, one - zero) for one, zero in zip(on_one, on_zero, strict=True))
        if not all(span for _, span in pairs):
            pairs = ()
        return cls(pairs, min if all(span > 0.0 for _, span in pairs) else max)

    def provable_mean(self, rows: float, log_evidence: float) -> float:
        """Return the mean nearest to the bet's border that ``rows`` rows should prove; NaN where
        not even a mean of 1 (or 0) would do."""
        if not self.pairs:
            return math.nan
        needed = log_evidence / rows
        mean = self.nearest([(needed - zero) / span for zero, span in self.pairs])
        return mean if 0.0 <= mean <= 1.0 else math.nan
