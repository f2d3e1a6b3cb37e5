"""The gap between the rates of two groups: evidence that it is too wide, and an interval for it.

In a block, n rows of a group and m rows of the others show values in [0, 1]. Around a centre (a, b)
that was chosen before, a gambler stakes ``lambda = h w / n`` on each row of the group and
``mu = h w / m`` against each row of the others. As the rows' chances come to a mean p and q,

    E prod (1 + lambda (X - a)) prod (1 - mu (Y - b))  <=  exp(h w ((p - q) - (a - b)))

by the inequality of the means: only the gap of the two mean chances is left, whatever the base rate
is and wherever it drifts, and however chances differ between rows. At a centre on the border of the
hypothesis this is the e-variable of a 2x2 table by reverse information projection. Blocks multiply,
so for each stake h the product over ``exp(h sum w d)``, d being the gaps, is a supermartingale. It
gives an e-detector against "the gap is at most g" (put g for each d), and a confidence sequence for
the mean of the d, weighted by w. Values between 0 and 1 are settled as 0/1 rows of their mean would
be, which is never more, as the logarithm is concave.

Sources: Turner, Ly & Gruenwald, Generic e-variables for exact sequential k-sample tests that allow
for optional stopping, JSPI 2024 (arXiv 2106.02693); Chugg et al., Auditing fairness by betting,
NeurIPS 2023 (arXiv 2305.17570); Howard et al., Annals of Statistics 2021 (arXiv 1810.08240).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.stats.logspace import FloatArray
from trimtab.stats.sequences import Interval

STAKES = np.geomspace(1e-3, 0.2, 10)
"""Gaps beyond a border (or half-widths of an interval) that each stake is best for."""

EDGE = 0.01
STEPS = 30
SAFE = 0.9
"""A row never costs more than this share of the wealth."""


class Sample(NamedTuple):
    """Rows of one group: the sum of their values in [0, 1], and their number, at least one."""

    total: float
    n: int


class Term(NamedTuple):
    """A sample, the rate that is expected of it, known before the block, and the sign (1 or -1) of
    its rate in what is bet on."""

    sample: Sample
    rate: float
    sign: float


class Centre(NamedTuple):
    """The rates that are expected of the group and of the others, known before the block."""

    group: float
    others: float


class Growth(NamedTuple):
    """What a block says of its gap d: ``above - h w d`` is the logarithm of an e-variable for each
    stake h, and so is ``below + h w d``. ``weight`` is w, in rows."""

    above: FloatArray
    below: FloatArray
    weight: float

    def shifted(self, by: float) -> "Growth":
        """The growth about d - by, for a part of the gap that is known beforehand."""
        return Growth(
            self.above - STAKES * self.weight * by,
            self.below + STAKES * self.weight * by,
            self.weight,
        )

    def worth(self, share: float) -> "Growth":
        """The growth when the block counts as a share in [0, 1] of its rows: by Jensen's
        inequality a power of an e-variable is one."""
        return Growth(self.above * share, self.below * share, self.weight * share)


def clipped(rate: float) -> float:
    """A rate as a centre may have it."""
    return min(max(rate, EDGE), 1.0 - EDGE)


def variance(centre: Centre, n: int, m: int) -> float:
    """Return the variance of the gap of n and m independent 0/1 rows of the centre's rates.

    >>> round(variance(Centre(0.5, 0.5), 100, 100), 6)
    0.005
    """
    group, others = _each(centre)
    return group / n + others / m


def variances(centre: Centre, n: NDArray[np.int64], m: NDArray[np.int64]) -> FloatArray:
    """Return the `variance` for each pair of numbers of rows (k,).

    >>> variances(Centre(0.5, 0.5), np.array([100, 50]), np.array([100, 50])).round(6).tolist()
    [0.005, 0.01]
    """
    group, others = _each(centre)
    return np.asarray(group / n + others / m)


def _each(centre: Centre) -> tuple[float, float]:
    """The variance of a single row of the group, and of the others."""
    a, b = clipped(centre.group), clipped(centre.others)
    return a * (1.0 - a), b * (1.0 - b)


def growth(group: Sample, others: Sample, centre: Centre) -> Growth:
    """Settle a block. Raises ``ValueError`` unless 0 <= total <= n and n >= 1 in both samples.

    >>> block = growth(Sample(60.0, 100), Sample(40.0, 100), Centre(0.5, 0.5))
    >>> round(block.weight, 1), round(float(block.above.max()), 2)
    (200.0, 4.03)
    """
    return settle((Term(group, centre.group, 1.0), Term(others, centre.others, -1.0)))


def settle(terms: Sequence[Term]) -> Growth:
    """Settle a block of samples whose rates add up, each with its sign, to what is bet on: two make
    a gap, four the difference of two gaps. The same inequality holds for any number of them.

    Raises ``ValueError`` unless 0 <= total <= n and n >= 1 in each.

    >>> here = Term(Sample(60.0, 100), 0.5, 1.0), Term(Sample(40.0, 100), 0.5, -1.0)
    >>> there = Term(Sample(40.0, 100), 0.5, -1.0), Term(Sample(40.0, 100), 0.5, 1.0)
    >>> block = settle((*here, *there))
    >>> round(block.weight, 1), round(float(block.above.max()), 2)
    (100.0, 2.0)
    """
    for sample, _, _ in terms:
        if not (sample.n >= 1 and 0.0 <= sample.total <= sample.n):
            raise ValueError(f"need 0 <= total <= n and n >= 1, not {sample}")
    known = [(sample, clipped(rate), sign) for sample, rate, sign in terms]
    largest = SAFE / float(STAKES[-1])
    weight = min(
        1.0 / sum(rate * (1.0 - rate) / sample.n for sample, rate, _ in known),
        *(sample.n * largest / max(rate, 1.0 - rate) for sample, rate, _ in known),
    )
    offset = STAKES * weight * sum(sign * rate for _, rate, sign in known)
    above, below = offset, -offset
    for sample, rate, sign in known:
        stakes = sign * STAKES * weight / sample.n
        above = above + _settled(sample, stakes, rate)
        below = below + _settled(sample, -stakes, rate)
    return Growth(above, below, weight)


class Samples(NamedTuple):
    """Rows of several groups, an element each: sums of their values in [0, 1], how many they are,
    at least one, and the rates that are expected of them, known before the block."""

    total: FloatArray
    n: FloatArray
    rate: FloatArray


def growths(groups: Samples, others: Samples) -> tuple[FloatArray, FloatArray]:
    """Return `above` (groups, stakes) and `weight` (groups,) of many gaps, each of a group to its
    others, as :func:`growth` has them of one. With the two exchanged it is `below`.

    >>> groups = Samples(np.array([60.0]), np.array([100.0]), np.array([0.5]))
    >>> others = Samples(np.array([40.0]), np.array([100.0]), np.array([0.5]))
    >>> above, weight = growths(groups, others)
    >>> weight.round(1).tolist(), round(float(above.max()), 2)
    ([200.0], 4.03)
    """
    a, b = (np.clip(each.rate, EDGE, 1.0 - EDGE) for each in (groups, others))
    n, m = groups.n, others.n
    largest = SAFE / float(STAKES[-1])
    bounds = (n * largest / np.maximum(a, 1.0 - a), m * largest / np.maximum(b, 1.0 - b))
    weight = np.minimum(1.0 / (a * (1.0 - a) / n + b * (1.0 - b) / m), np.minimum(*bounds))
    staked = STAKES * weight[:, None]
    above = staked * (a - b)[:, None]
    for (total, rows, _), rate, sign in ((groups, a, 1.0), (others, b, -1.0)):
        bets, zeros = sign * staked / rows[:, None], (rows - total)[:, None]
        above = above + total[:, None] * np.log1p(bets * (1.0 - rate)[:, None])
        above = above + zeros * np.log1p(-bets * rate[:, None])
    return above, weight


class Signs(NamedTuple):
    """Pairs of one group by the difference of their values, 1, -1 or 0: how many are 1, how many
    -1, and all, at least one."""

    plus: int
    minus: int
    n: int


def settle_pairs(group: Signs, others: Signs, differing: Centre) -> Growth:
    """Settle a block of pairs: what is bet on is the mean difference of the group less that of the
    others. ``differing`` are the shares of pairs that are expected to differ, known before.

    Pairs that do not differ cost nothing, so few rows tell that hardly any do. Raises
    ``ValueError`` unless the signs are at most as many as the pairs, and there is one of each.

    >>> block = settle_pairs(Signs(1, 0, 100), Signs(0, 1, 100), Centre(0.02, 0.02))
    >>> round(block.weight, 1), round(float(block.above.max()), 2)
    (450.0, 1.28)
    """
    for signs in (group, others):
        if not (signs.n >= 1 and min(signs[:2]) >= 0 and signs.plus + signs.minus <= signs.n):
            raise ValueError(f"need plus + minus <= n and n >= 1, not {signs}")
    a, b = clipped(differing.group), clipped(differing.others)
    largest = SAFE / float(STAKES[-1])
    weight = min(1.0 / (a / group.n + b / others.n), group.n * largest, others.n * largest)
    own, other = STAKES * weight / group.n, STAKES * weight / others.n
    above = _signed(group, own) + _signed(others, -other)
    return Growth(above, _signed(group, -own) + _signed(others, other), weight)


def _signed(signs: Signs, stakes: FloatArray) -> FloatArray:
    return np.asarray(signs.plus * np.log1p(stakes) + signs.minus * np.log1p(-stakes))


def mean_gap(above: FloatArray, below: FloatArray, weight: float, alpha: float = 0.05) -> Interval:
    """Return the interval for the mean gap of many blocks, weighted by their weights.

    ``above``, ``below`` and ``weight`` are sums over the blocks since a start that was fixed before
    looking. With probability >= 1 - alpha the interval holds at all later times at once. (-1, 1)
    without rows. Raises ``ValueError`` unless 0 < alpha < 1.

    >>> block = growth(Sample(600.0, 1000), Sample(400.0, 1000), Centre(0.5, 0.5))
    >>> [round(end, 3) for end in mean_gap(*block)]
    [0.125, 0.276]
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), not {alpha!r}")
    if weight == 0.0:
        return Interval(-1.0, 1.0)
    need = math.log(2.0 / alpha)
    return Interval(_least(above, weight, need), -_least(below, weight, need))


def variance_between(values: ArrayLike, variances: ArrayLike) -> float:
    """Return the variance of several estimates of one value beyond their own variances; 0.0 for
    fewer than two, or when they differ no more than by chance.

    By the method of moments (DerSimonian & Laird, Controlled Clinical Trials 1986).

    >>> round(variance_between([0.1, 0.3, 0.5], [0.01, 0.01, 0.01]), 6)
    0.03
    """
    seen, own = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if seen.size < 2:
        return 0.0
    weights = 1.0 / own
    around = float((weights * (seen - np.average(seen, weights=weights)) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max((around - (seen.size - 1)) / scale, 0.0)


def _settled(sample: Sample, stakes: FloatArray, centre: float) -> FloatArray:
    ones = sample.total * np.log1p(stakes * (1.0 - centre))
    return ones + (sample.n - sample.total) * np.log1p(-stakes * centre)


def _least(grown: FloatArray, weight: float, need: float) -> float:
    """The gap up to which the evidence excludes every one, from above and rounded outwards.

    The evidence falls with the gap and is convex, so Newton's steps never pass the end.
    """
    gap, slopes, usual = -1.0, STAKES * weight, math.log(STAKES.size)
    for _ in range(STEPS):
        logs = grown - slopes * gap
        peak = float(logs.max())
        shares = np.exp(logs - peak)
        total = float(shares.sum())
        # What `log_mean_exp` says of the logarithms, beyond what is needed.
        over = peak + math.log(total) - usual - need
        if over <= 0.0:
            break
        gap += over * (total / float(shares @ STAKES)) / weight
    return gap
