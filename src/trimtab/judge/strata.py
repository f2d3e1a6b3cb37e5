"""Hours of the week: what is usual on Monday at nine is not what is usual on Sunday at night.

A reference of at least four weeks says what each hour of the week looks like. A live block is then
held against the mixture of the hours that its own rows come from. Hours are those of UTC.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats, Ints

HOUR = 3600.0
HOURS_OF_WEEK = 168
DAYS_OF_WEEK = 7
FEWEST_DAYS = 28

LENGTHS = (1, 3, 6, 24)
"""Hours of a stratum; each divides the day."""

FEWEST_ROWS = 50
"""Rows of the reference that a stratum holds on average."""

LARGEST = 65_536
"""Shares that the strata of all columns together may take in a profile."""

THIN = 5.0
"""Each stratum is mixed with so many rows of the whole, so that empty ones are like the whole."""

WORTH = 0.8
"""Strata are kept where they take at least a fifth off the differences between days."""


def length(time: Floats | None, shares: int) -> int:
    """Hours of the finest strata that the reference can fill; 0 when it is too short, or untimed.

    `time` is epoch seconds of its rows, `shares` how many numbers one stratum of all columns takes.
    """
    if time is None or np.unique(time // (24.0 * HOUR)).size < FEWEST_DAYS:
        return 0
    for hours in LENGTHS:
        count = HOURS_OF_WEEK // hours
        if time.size >= FEWEST_ROWS * count and shares * count <= LARGEST:
            return hours
    return 0


def stratum(time: Floats, hours: int) -> Ints:
    """The stratum of each row, from 0 to 168 / hours - 1."""
    return np.asarray(time // (hours * HOUR) % (HOURS_OF_WEEK // hours), dtype=np.int64)


def mixture(strata: tuple[tuple[float, ...], ...], rows: list[int]) -> NDArray[np.float64]:
    """The shares that are usual for a block that has so many rows in each stratum, at least one."""
    weights = np.array(rows, dtype=np.float64)
    return np.asarray(weights @ np.array(strata) / weights.sum())


class When(NamedTuple):
    """When rows came: their day from 0, and their stratum of `hours` hours (0: no strata)."""

    day: Ints
    place: Ints
    hours: int

    def take(self, rows: NDArray[np.bool_]) -> "When":
        """The rows where the mask is true."""
        return When(self.day[rows], self.place[rows], self.hours)


class Strata(NamedTuple):
    """Shares of each stratum, and how far a day lies from the mixture of its own hours (99 %)."""

    shares: tuple[tuple[float, ...], ...]
    spread: float


def learn(bins: Ints, size: int, when: When, cumulative: bool) -> Strata:
    """What rows, by their bin (of `size`), say of the week; distances are as in `ColumnProfile`."""
    count = HOURS_OF_WEEK // when.hours
    whole = np.bincount(bins, minlength=size) / bins.size
    mixed = _counts(when.place, count, bins, size) + THIN * whole
    shares = np.round(mixed / mixed.sum(axis=1, keepdims=True), 6)
    days = int(when.day.max()) + 1
    hourly = _counts(when.day, days, when.place, count)
    known = hourly.sum(axis=1) > 0
    rows = hourly[known].sum(axis=1, keepdims=True)
    apart = (_counts(when.day, days, bins, size)[known] - hourly[known] @ shares) / rows
    if cumulative:
        apart = np.cumsum(apart, axis=1)
    # Each day had a part in what is usual for its own hours: one in as many as there are weeks.
    weeks = days / DAYS_OF_WEEK
    spread = float(np.quantile(np.abs(apart).max(axis=1), 0.99)) * weeks / (weeks - 1.0)
    return Strata(tuple(tuple(row) for row in shares.tolist()), spread)


def _counts(outer: Ints, sizes: int, inner: Ints, size: int) -> NDArray[np.int64]:
    flat = np.bincount(outer * size + inner, minlength=sizes * size)
    return np.asarray(flat.reshape(sizes, size))
