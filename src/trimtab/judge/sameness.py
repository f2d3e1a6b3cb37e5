"""How alike the numbers are in each part of the reference: what stands still there by nature.

A feed that stops brings one number on and on. In a part of the rows that says something only where
numbers move: the distance to one airport never does. So the profile holds, for each column of
numbers and each common category, the share of rows that have the commonest number.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trimtab.domain.profile import Coarse, ColumnProfile, Sameness
from trimtab.domain.records import Column, Floats, Ints
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.segment_losses import MOST_COLUMNS, segmented
from trimtab.stats.order import near_wholes

FEWEST_ROWS = 100
"""Rows of a part that hold a number; where they are fewer, all are taken to be alike."""

FEWEST_OF_DAY = 16
"""The same of a day that is looked at by itself."""

MOST_ROWS = 50_000
"""Rows of the reference that are looked at, evenly taken."""


FEWEST_CUTS = 8
"""A number with as many cut points has no value so common that a block might hold no other."""


LARGEST_TABLE = 2**20
"""Days times bins times numbers up to which all are counted in a table, instead of sorted."""


class Ranked(NamedTuple):
    """The numbers of a column: which rows hold none, which hold one that comes again, and the rank
    of these from 0, of `size`."""

    missing: Ints
    again: Ints
    rank: Ints
    size: int

    @classmethod
    def of(cls, values: Floats, alone: bool = False) -> "Ranked":
        """Numbers that are not finite are none; `alone` when none is known to come again."""
        known = np.isfinite(values)
        if alone:
            none = np.empty(0, dtype=np.int64)
            return cls(np.flatnonzero(~known), none, none, 0)
        place, counts = _ranked(values[known])
        often = counts > 1
        again = often[place]
        rank = (np.cumsum(often) - 1)[place[again]]
        return cls(np.flatnonzero(~known), np.flatnonzero(known)[again], rank, int(often.sum()))


def _ranked(values: Floats) -> tuple[Ints, Ints]:
    """The rank of each value among the different ones, and how often each of these comes. Where
    none comes again, one of them stands for all."""
    if near_wholes(values):
        places = (values - values.min()).astype(np.int64)
        table = np.bincount(places)
        return (np.cumsum(table > 0) - 1)[places], table[table > 0]
    rising = np.sort(values)
    if not (rising[1:] == rising[:-1]).any():
        return np.zeros(values.size, dtype=np.int64), np.ones(1, dtype=np.int64)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return place, counts


class Placed(NamedTuple):
    """The place of each row, bin by bin and day by day, and how many rows each has (days, bins)."""

    place: Ints
    n: Ints

    @classmethod
    def of(cls, day: Ints, bins: Ints, size: int) -> "Placed":
        """Rows of days counted from 0, in `size` bins."""
        place, days = day * size + bins, int(day.max(initial=0)) + 1
        return cls(place, np.bincount(place, minlength=days * size).reshape(days, size))


def varied(column: ColumnProfile) -> bool:
    """Whether it is a number that takes many values."""
    return column.kind == "continuous" and len(column.cuts) >= FEWEST_CUTS


def parted(inputs: Sequence[ColumnProfile]) -> tuple[Coarse, ...]:
    """The columns whose common categories are parts of the rows."""
    texts = [each for each in inputs if each.kind == "categorical" and not each.view]
    several = [each for each in map(segmented, texts) if len(each.categories) > 1]
    return tuple(several[:MOST_COLUMNS])


def part_names(columns: Sequence[Coarse]) -> tuple[str, ...]:
    """The parts, column by column: each is called `column=value`."""
    return tuple(f"{column.name}={value}" for column in columns for value in column.categories)


def build_sameness(
    inputs: Sequence[ColumnProfile],
    values: Mapping[str, Column],
    day: Ints | None,
    alone: Collection[str] = (),
) -> Sameness:
    """Of each part, and where there are days of any day of it, the share of the commonest number.

    `values` are the columns of the reference, all of one length, `day` the day of each row; in
    those that are `alone` no number comes again.
    """
    columns, numbers = parted(inputs), [each.name for each in inputs if varied(each)]
    if not columns or not numbers:
        return Sameness()
    rows = len(values[numbers[0]])
    some = np.arange(0, rows, -(-rows // MOST_ROWS))
    days = np.zeros(some.size, dtype=np.int64) if day is None else day[some]
    placed = [
        Placed.of(days, coarse_bins(column, values[column.name][some]), column.size)
        for column in columns
    ]
    shares = []
    for name in numbers:
        ranked = Ranked.of(np.asarray(values[name][some], dtype=np.float64), name in alone)
        found = [
            _shares(ranked, each)[: len(column.categories)]
            for column, each in zip(columns, placed, strict=True)
        ]
        shares.append(tuple(np.concatenate(found).round(3).tolist()))
    return Sameness(numbers=tuple(numbers), parts=part_names(columns), shares=tuple(shares))


def _shares(ranked: Ranked, placed: Placed) -> Floats:
    """Of each bin, the share of its commonest number in all its rows, or in a day where that is
    more."""
    mode, n = modes(ranked, placed)
    share = mode / np.maximum(n, 1)
    of_all = np.where(n[-1] >= FEWEST_ROWS, share[-1], 1.0)
    of_day = np.where(n[:-1] >= FEWEST_OF_DAY, share[:-1], 0.0)
    return np.asarray(np.maximum(of_all, of_day.max(axis=0)))


def modes(ranked: Ranked, placed: Placed) -> tuple[Ints, Ints]:
    """How often the commonest number comes in each bin, and how many rows there hold any: of each
    day, and in the last row of all days (days + 1, bins)."""
    days, bins = placed.n.shape
    gone = np.bincount(placed.place[ranked.missing], minlength=days * bins)
    of_days = placed.n - gone.reshape(days, bins)
    n = np.vstack([of_days, of_days.sum(axis=0)])
    mode = np.minimum(n, 1)
    if not ranked.size:
        return mode, n
    return np.maximum(mode, _often(ranked, placed)), n


def _often(ranked: Ranked, placed: Placed) -> Ints:
    """The same of numbers that come again."""
    (days, bins), size = placed.n.shape, ranked.size
    codes = placed.place[ranked.again] * size + ranked.rank
    if days * bins * size <= LARGEST_TABLE:
        counts = np.bincount(codes, minlength=days * bins * size).reshape(days, bins, size)
        return np.vstack([counts.max(axis=2), counts.sum(axis=0).max(axis=1)])
    found, times = np.unique(codes, return_counts=True)
    daily = np.zeros(days * bins, dtype=np.int64)
    np.maximum.at(daily, found // size, times)
    whole = np.bincount(found % (bins * size), weights=times, minlength=bins * size)
    most = whole.reshape(bins, size).max(axis=1).astype(np.int64)
    return np.vstack([daily.reshape(days, bins), most])
