"""What the reference lost by segment: the losses that live segments are compared with.

A segment is a category of a text, or a quarter of the values of a number, or its missing values.
Of many columns those are taken that tell most of the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trimtab.domain.profile import (
    Coarse,
    ColumnProfile,
    GapProfile,
    SegmentLosses,
    SegmentProfile,
)
from trimtab.domain.records import Column, Floats, Ints
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.estimate_profile import told_beyond_chance
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.gaps import Centre, variance_between, variances

MOST_COLUMNS = 16
"""Columns that part rows: their values are held with each prediction that waits for its label."""

MOST_CATEGORIES = 16
LEAST_SHARE = 0.02
"""Share of the reference that a category must have to be a segment."""

FEWEST_ROWS = 100
"""Labelled reference rows of a segment, and beside it."""

QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class LostRows:
    """Reference rows with a label: their columns, what each lost in [0, 1], what it was expected to
    lose, and its day, None where days are too few."""

    columns: Mapping[str, Column]
    loss: Floats
    expected: Floats
    day: Ints | None


def build_segment_losses(inputs: Sequence[ColumnProfile], rows: LostRows) -> SegmentLosses:
    """The segments of a reference that have rows enough, by column."""
    coarse = [segmented(column) for column in inputs if not column.view]
    bins = {each.name: (coarse_bins(each, rows.columns[each.name]), each.size) for each in coarse}
    micros = np.rint(rows.loss * MICRO), np.rint(rows.expected * MICRO)
    told = told_beyond_chance(bins, rows.loss)
    columns: list[Coarse] = []
    segments: list[SegmentProfile] = []
    for column in sorted(coarse, key=lambda each: -told[each.name]):
        found = _segments(len(columns), *bins[column.name], (rows.day, *micros))
        if len(found) > 1 and len(columns) < MOST_COLUMNS:
            columns.append(column)
            segments += found
    return SegmentLosses(columns=tuple(columns), segments=tuple(segments))


def segmented(column: ColumnProfile) -> Coarse:
    """The parts of a column: its commonest categories, or quarters of its values."""
    if column.kind == "categorical":
        common = zip(column.categories[:MOST_CATEGORIES], column.masses, strict=False)
        names = tuple(name for name, mass in common if mass >= LEAST_SHARE)
        return Coarse(name=column.name, categories=names)
    below = np.cumsum(column.masses)[:-1]
    nearest = {int(np.argmin(np.abs(below - share))) for share in QUARTERS if below.size}
    return Coarse(name=column.name, cuts=tuple(column.cuts[place] for place in sorted(nearest)))


class _Table(NamedTuple):
    """By day and bin: rows, what they lost and what they were expected to, in units of 2**-20."""

    n: Ints
    lost: Ints
    expected: Ints


def _segments(
    column: int, places: Ints, size: int, rows: tuple[Ints | None, Floats, Floats]
) -> list[SegmentProfile]:
    """`rows` are the day of each, what it lost and what it was expected to, in units of 2**-20."""
    day, *micros = rows
    days, at = (1, places) if day is None else (int(day.max()) + 1, day * size + places)
    sums = [
        np.bincount(at, weights=each, minlength=days * size).astype(np.int64).reshape(days, size)
        for each in (None, *micros)
    ]
    table = _Table(*sums)
    n = table.n.sum(axis=0)
    enough = (n >= FEWEST_ROWS) & (at.size - n >= FEWEST_ROWS)
    return [
        SegmentProfile(column=column, place=place, gap=_gap(table, place))
        for place in np.flatnonzero(enough).tolist()
    ]


def _gap(table: _Table, place: int) -> GapProfile:
    mine = _Table(*(each[:, place] for each in table))
    others = _Table(*(each.sum(axis=1) - each[:, place] for each in table))
    own, rest = (_Table(*(each.sum() for each in part)) for part in (mine, others))
    centre = Centre(float(own.lost / MICRO / own.n), float(rest.lost / MICRO / rest.n))
    return GapProfile(
        measure="error",
        total=int(own.lost),
        n=int(own.n),
        promised=int(own.expected),
        others_total=int(rest.lost),
        others_n=int(rest.n),
        others_promised=int(rest.expected),
        variance=_between_days(mine, others, centre),
    )


def _between_days(mine: _Table, others: _Table, centre: Centre) -> float:
    """By how much the gap differs between days, beyond chance."""
    both = (mine.n > 0) & (others.n > 0)
    n, m = mine.n[both], others.n[both]
    gaps = mine.lost[both] / MICRO / n - others.lost[both] / MICRO / m
    return variance_between(gaps, variances(centre, n, m)) if mine.n.size > 1 else 0.0
