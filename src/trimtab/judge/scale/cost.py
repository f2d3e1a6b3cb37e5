"""What a batch costs a worker: `batch + row · n` seconds for n rows, as it was measured."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trimtab.domain.records import Floats

MOST_CALLS, MOST_ROWS = 64, 4096
"""The largest batch a gateway makes."""
BEYOND = 2.0
"""How many times the largest batch seen may be counted on."""
OUTLIER = 5.0
"""A batch that took longer than this many medians of its size counts as that long."""
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one worker. `rows` is the mean of a call, `largest` the largest batch that may be
    counted on, in calls; `spread` is the coefficient of variation of a batch's time."""

    row: float
    batch: float
    rows: float = 1.0
    largest: float = 1.0
    spread: float = 0.0

    @property
    def alone(self) -> float:
        """A call that has the worker to itself."""
        return self.batch + self.row * self.rows

    @property
    def call(self) -> float:
        """What each call adds to a batch."""
        return self.row * self.rows

    @property
    def least(self) -> float:
        """A call's part of the largest batch: one over the most calls a worker can answer."""
        return self.call + self.batch / self.largest

    def slow(self, quantile: float) -> float:
        """The quantile of a call that has the worker to itself, as far as `spread` tells."""
        return self.alone * (1.0 + deviations(quantile) * self.spread)


def deviations(quantile: float) -> float:
    """How many standard deviations a quantile is above the mean, by the normal distribution; 0
    below the median."""
    return max(0.0, NormalDist().inv_cdf(quantile))


def fit(sizes: Floats, seconds: Floats, rows: float) -> Cost | None:
    """The cost of batches of `sizes` rows that took `seconds`; None with fewer than 8 of them.

    A line through all of them, in which batches of like size (powers of two) weigh together as
    much as those of another, each without its outliers. Where all sizes are alike nothing is known
    about sharing: then all of the time counts as the rows' own. The slope is taken a standard error
    too high, for its error is dear: a worker too few. `rows` is the mean of a call."""
    if len(sizes) < FEWEST:
        return None
    group = np.floor(np.log2(np.maximum(sizes, 1.0)))
    seconds = _without_outliers(group, seconds)
    row, batch = _line(group, sizes, seconds)
    expected = batch + row * sizes
    spread = float((seconds / np.maximum(expected, 1e-9)).std())
    seen = BEYOND * float(sizes.max()) / rows
    largest = max(1.0, min(seen, MOST_CALLS, MOST_ROWS / rows))
    return Cost(row, batch, rows, largest, spread)


def _without_outliers(group: Floats, seconds: Floats) -> Floats:
    kept = seconds.copy()
    for each in np.unique(group):
        mine = group == each
        kept[mine] = np.minimum(kept[mine], OUTLIER * float(np.median(kept[mine])))
    return kept


def _line(group: Floats, sizes: Floats, seconds: Floats) -> tuple[float, float]:
    """Slope and intercept, neither below 0, each size group having the same weight."""
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[place]
    total = float(weight.sum())
    middle, level = float(sizes @ weight) / total, float(seconds @ weight) / total
    away = sizes - middle
    width = float(away**2 @ weight)
    if len(counts) == 1 or width == 0.0:
        return level / middle, 0.0
    slope = float((away * (seconds - level)) @ weight) / width
    left = seconds - level - slope * away
    error = float(np.sqrt(((weight * away * left) ** 2).sum())) / width
    row = min(max(slope + error, 0.0), level / middle)
    return row, max(0.0, level - row * middle)
