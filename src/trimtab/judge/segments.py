"""The segment that an excess of harm lies in, if it lies in one.

Rows show harm as a value each: a loss, or 1 for a value that came more often than it should. What
each segment shows since the trouble began is held against what the same segment showed before, so
that rows that were always harder blame nobody. The excess of a segment is its rows times the rise
of their mean, and its share is that over its own and the rest's. Rows are taken as independent; the
variance of the share follows from those of the four means by the delta method. Every segment that
is looked at shares the error, so the interval of the one named holds although it was chosen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Floats, Ints, Rows
from trimtab.domain.verdicts import Concentration
from trimtab.judge.column_profile import category_bins
from trimtab.judge.quality import texts
from trimtab.judge.signals.counts import missing_values, values_of
from trimtab.stats.combined import student_quantile

FEWEST = 50
"""Rows of a segment, and of the rest, before and since, below which nothing is said of it."""

HALF = 0.5
"""Share of the excess that a segment must hold to be named."""

TIMES = 2.0
"""So many times the excess of another row must be that of one of its rows, beyond doubt."""

ERROR = 0.05
"""Chance that the interval of any segment misses."""

MOST_COLUMNS = 64
"""Columns that are looked at, the first of the profile."""

MOST_VALUES = 32
"""Categories of a column that are segments, the most frequent."""


@dataclass(frozen=True, slots=True)
class Parting:
    """How a column parts rows: into the bins of its profile, then missing values, then those below
    and above all of the reference."""

    column: ColumnProfile

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.column.masses) + 3

    @property
    def reference(self) -> Floats:
        """The share of the reference in each bin."""
        column = self.column
        masses = np.array(column.masses) * (1.0 - column.missing)
        return np.concatenate([masses, [column.missing, 0.0, 0.0]])

    def places(self, values: NDArray[Any]) -> Ints:
        """The bin of each value: float64 of a continuous column, objects of a categorical one."""
        column, count = self.column, len(self.column.masses)
        missing = missing_values(values)
        bins = np.full(len(values), count, dtype=np.int64)
        if column.kind == "categorical":
            bins[~missing] = category_bins(column.categories, texts(values[~missing]))
            return bins
        numbers = values[~missing]
        placed = np.searchsorted(np.array(column.cuts), numbers, side="left").astype(np.int64)
        if column.minimum is not None and column.maximum is not None:
            placed[numbers < column.minimum] = count + 1
            placed[numbers > column.maximum] = count + 2
        bins[~missing] = placed
        return bins

    def runs(self) -> Iterator[range]:
        """The bins that are a segment: each alone, and of numbers also neighbours, but not all."""
        ordered = len(self.column.cuts) + 1 if self.column.kind == "continuous" else 0
        for first in range(ordered):
            for last in range(first, min(ordered, first + ordered - 1)):
                yield range(first, last + 1)
        alone = MOST_VALUES if self.column.kind == "categorical" else ordered
        for place in range(ordered, self.size):
            if place < alone or place >= len(self.column.masses):
                yield range(place, place + 1)

    def name(self, run: range) -> str:
        """What the bins of a run are called."""
        column, count, first = self.column, len(self.column.masses), run[0]
        if first >= count:
            ends = ("", column.minimum, column.maximum)
            said = ("missing", "less than ever before", "more than ever before")[first - count]
            end = ends[first - count]
            return said if end in ("", None) else f"{said} ({end:g})"
        if column.kind == "categorical":
            if first == len(column.categories):
                return "texts that are not in the profile"
            return repr(column.categories[first])
        bounds = ["", *(f"{cut:g}" for cut in column.cuts), ""]
        return between(bounds[first], bounds[run[-1] + 1])


def between(low: str, high: str) -> str:
    """Numbers above one border and up to another; "" is none."""
    if low and high:
        return f"above {low} up to {high}"
    return f"above {low}" if low else f"up to {high}" if high else "any number"


class Spread:
    """Harm of rows by the segment that they are in, before the trouble began and since.

    Memory is that of three sums for each bin of each column.
    """

    def __init__(self, columns: Sequence[ColumnProfile]) -> None:
        self._partings = [Parting(column) for column in columns[:MOST_COLUMNS]]
        self._sums = [np.zeros((2, each.size, 3)) for each in self._partings]

    def take(self, rows: Rows, harm: Floats, since: bool) -> None:
        """Count rows and the harm of each; one that is not finite is not known."""
        known = np.isfinite(harm)
        mine, values = rows.take(known), harm[known]
        for parting, sums in zip(self._partings, self._sums, strict=True):
            places = parting.places(values_of(mine, parting.column))
            for at, weights in enumerate((None, values, values**2)):
                sums[int(since), :, at] += np.bincount(
                    places, weights=weights, minlength=parting.size
                )

    def concentration(self, besides: str = "") -> Concentration | None:
        """The segment that surely holds the largest part of the excess beyond its part of the rows;
        None where the excess is not known to lie in one. The column `besides` makes no segment."""
        found = [
            (parting, run, sums)
            for parting, sums in zip(self._partings, self._sums, strict=True)
            if parting.column.origin != besides
            for run in parting.runs()
        ]
        if not found:
            return None
        sure = student_quantile(1.0 - ERROR / 2.0 / len(found), math.inf)
        told = (_held(parting, run, sums, sure) for parting, run, sums in found)
        named = [each for each in told if each is not None]
        return max(named, key=lambda each: each.lower - each.rows, default=None)


class _Excess(NamedTuple):
    """Rows times the rise of their mean, and its variance."""

    total: float
    variance: float

    @classmethod
    def of(cls, before: Floats, since: Floats) -> "_Excess":
        (n, mean, spread), (_, usual, noise) = _mean(since), _mean(before)
        return cls(n * (mean - usual), n**2 * (spread + noise))


def _mean(sums: Floats) -> tuple[float, float, float]:
    """Rows, mean, and the variance of the mean, of a row's number, sum and sum of squares.

    One more row of each of the values 0 and 1 counts for the variance, so that rows that are all
    alike are not taken for certain.
    """
    n, total, squares = sums.tolist()
    around = (squares + 1.0) / (n + 2.0) - ((total + 1.0) / (n + 2.0)) ** 2
    return n, total / n, max(around, 0.0) / n


def _held(parting: Parting, run: range, sums: Floats, sure: float) -> Concentration | None:
    """What a segment holds of the excess, if it is to be named; `sure` is in standard errors."""
    mine = sums[:, run.start : run.stop].sum(axis=1)
    rest = sums.sum(axis=1) - mine
    if min(mine[:, 0].min(), rest[:, 0].min()) < FEWEST:
        return None
    own, others = _Excess.of(*mine), _Excess.of(*rest)
    whole = own.total + others.total
    if whole <= sure * math.sqrt(own.variance + others.variance):
        return None
    share = own.total / whole
    spread = others.total**2 * own.variance + own.total**2 * others.variance
    half = sure * math.sqrt(spread) / whole**2
    rows = float(mine[1, 0] / (mine[1, 0] + rest[1, 0]))
    lower = max(share - half, 0.0)
    if share < HALF or lower * (1.0 - rows) <= TIMES * rows * (1.0 - lower):
        return None
    return Concentration(
        column=parting.column.name,
        value=parting.name(run),
        share=min(share, 1.0),
        lower=lower,
        upper=min(share + half, 1.0),
        rows=rows,
        before=float(mine[0, 1] / mine[0, 0]),
        since=float(mine[1, 1] / mine[1, 0]),
    )
