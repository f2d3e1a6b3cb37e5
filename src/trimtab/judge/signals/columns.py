"""A column against its reference: the zones of its indicators, and what a block says of them."""

from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.plurals import many
from trimtab.domain.profile import ColumnProfile, ReferenceProfile
from trimtab.domain.records import Floats, Rows
from trimtab.judge.describe import Subject
from trimtab.judge.signals.counts import Bins
from trimtab.judge.signals.family import Target
from trimtab.judge.strata import DAYS_OF_WEEK, HOUR, HOURS_OF_WEEK, mixture, stratum
from trimtab.judge.watch import Block, Watch, Zone
from trimtab.stats.confidence import dkw_half_width
from trimtab.stats.limits import limits

NARROW = 0.02

FEWEST_REFERENCE = 100
"""A reference of fewer rows knows its shares to more than .16: nothing would ever be outside."""

FEWEST_ROWS = 30
"""Rows of a block that is judged as few observations; where rows are the observations, one will do,
as its evidence is exact at any size."""

DISTANCE = Subject("distance from the reference", None, distance=True)


def totals(profile: ColumnProfile, bins: Bins) -> list[float]:
    """Totals of the column's indicators in a block, in the order of `zones`.

    Cumulative counts up to each cut point (continuous) or the count of each category, both scaled
    up to all rows so that missing values do not look like a shift; then missing, then outside.
    """
    known = bins.n - bins.missing
    # A block without any known value says nothing of their distribution.
    shares = [count / known for count in bins.counts] if known else list(profile.masses)
    if profile.kind == "continuous":
        shares = list(accumulate(shares))[:-1]
    return [*(share * bins.n for share in shares), float(bins.missing), float(bins.outside)]


def zones(
    profile: ColumnProfile, tolerance: float, error: float, usual: NDArray[Any] | None = None
) -> tuple[Zone, ...]:
    """The harm-free zone of each indicator; `error` is how well the reference knows its shares.

    `usual` are the shares of the bins to compare with, those of the whole reference when absent.
    """
    masses = np.array(profile.masses) if usual is None else usual
    if profile.kind == "continuous":
        shares, widths = np.cumsum(masses)[:-1], np.full(len(masses) - 1, tolerance)
    else:
        shares, widths = masses, np.minimum(tolerance, 0.01 + 0.2 * masses)
    widths = widths + error
    around = [Zone(p - w, p + w) for p, w in zip(shares.tolist(), widths.tolist(), strict=True)]
    missing = profile.missing + (profile.missing_spread or 0.0) + tolerance
    return (*around, Zone(None, missing), Zone(None, NARROW + tolerance))


def error(target: Target, column: ColumnProfile) -> float:
    """How far the reference may be from the truth, in shares."""
    spread = column.day_spread
    if spread is None or target.profile is None:
        return dkw_half_width(column.n, 0.01)
    weeks = DAYS_OF_WEEK if column.strata else 1
    return spread / float(np.sqrt(target.profile.days / weeks))


def tolerance(target: Target, column: ColumnProfile, signal: str) -> float:
    """The harm-free distance: a band so wide that the cycles of ordinary days fit."""
    learned = max(target.spec.monitor.input_tolerance, (column.day_spread or 0.0) / 3.0)
    return target.tolerance(signal, learned)


class Stream(NamedTuple):
    """A column that is watched as `signal`."""

    target: Target
    column: ColumnProfile
    signal: str

    def watch(self, limit: float) -> Watch:
        """Its watch, which alarms at `limit` (log10)."""
        return Watch(self.zones(), self.column.day_spread, limit)

    def zones(self, usual: NDArray[Any] | None = None) -> tuple[Zone, ...]:
        """Its zones, around the shares that are usual for a block."""
        width = tolerance(self.target, self.column, self.signal)
        return zones(self.column, width, error(self.target, self.column), usual)


def hours(target: Target, rows: Rows) -> list[int]:
    """How many rows each stratum of the week has; empty where the reference has no strata."""
    return [] if target.profile is None else hours_of(target.profile, rows.fixed["event_time"])


def hours_of(profile: ReferenceProfile, times: Floats) -> list[int]:
    """How many of these times, in epoch seconds, are in each stratum of the profile."""
    length = profile.stratum_hours
    if not length:
        return []
    # Rows of a segment are mostly of one hour.
    ends = limits(times)
    first, last = (np.array([ends.low, ends.high]) // (length * HOUR)).tolist()
    alike = first == last
    if not alike and bool((times[1:] >= times[:-1]).all()):
        return _rising_hours(times, np.arange(first, last + 1.0), length)
    places = stratum(times[:1] if alike else times, length)
    counts = np.bincount(places, minlength=HOURS_OF_WEEK // length)
    return [n * (times.size if alike else 1) for n in counts.tolist()]


def _rising_hours(times: Floats, hours: Floats, length: int) -> list[int]:
    """The same of times that never fall, by the numbers of all `hours` that they may be of."""
    borders = np.searchsorted(times, hours[1:] * (length * HOUR))
    rows = np.diff(borders, prepend=0, append=times.size)
    places = stratum(hours * (length * HOUR), length)
    counts = np.bincount(places, weights=rows, minlength=HOURS_OF_WEEK // length)
    found: list[int] = counts.astype(np.int64).tolist()
    return found


def unfit(column: ColumnProfile) -> str:
    """Why live values cannot be held against this reference; empty when they can."""
    if column.n < FEWEST_REFERENCE:
        return f"the reference holds {many(column.n, 'row')}, {FEWEST_REFERENCE} are needed"
    if column.missing >= 1.0:
        return "the reference holds no value of it"
    if constant(column) or len(column.categories) == 1:
        return "the reference holds a single value of it"
    return ""


def constant(column: ColumnProfile) -> bool:
    """Whether all numbers of the reference are one and the same."""
    return column.minimum is not None and column.minimum == column.maximum


class Part(NamedTuple):
    """A column in a closed block that began at `start`, with the `hours` that its rows are of."""

    start: float
    bins: Bins
    hours: list[int]


def block(stream: Stream, watch: Watch, part: Part) -> Block | None:
    """What the watch is to take in of a closed block; None for a day in part, too few rows, or half
    of the usual.

    Where the reference has strata, counts that do not tell their hours are left out too.
    """
    (target, column, _), (start, bins, rows) = stream, part
    if target.partial(start) or bins.n < max(_usual(watch) / 2.0, fewest(watch)):
        return None
    if not column.strata:
        return Block(watch, start, totals(column, bins), bins.n)
    if not sum(rows):
        return None
    usual = stream.zones(mixture(column.strata, rows))
    return Block(watch, start, totals(column, bins), bins.n, usual)


def fewest(watch: Watch) -> int:
    """How many rows a block must have to be judged."""
    return 1 if watch.spread is None else FEWEST_ROWS


def _usual(watch: Watch) -> float:
    """Median of the rows of the last blocks; 0.0 before any."""
    sizes = sorted(point.n for point in watch.history) or [0]
    return (sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2.0
