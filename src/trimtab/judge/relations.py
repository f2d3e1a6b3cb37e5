"""How columns go together: learned from the reference at build, and told of live rows.

Columns that still have their own distributions may have come apart: two of them swapped, one joined
to the wrong rows, a sign turned around. Each column is therefore scored beside the few others that
tell most of it. Lifts are whole numbers, so that sums are exact in any order.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Coarse, ColumnProfile, MultivariateProfile, Pair
from trimtab.domain.records import Column, Floats, Ints
from trimtab.judge.estimate import coarse_bins
from trimtab.stats.lift import held_out, information, log_lift

FEWEST_REFERENCE = 500
"""Rows of a reference below which nothing is learned of how its columns go together."""

BINS = 10
"""Cuts or categories of a column, at most, by which it is paired."""

ROWS_PER_CELL = 50
"""Rows of the reference for each cell of a pair: fewer would know themselves too well, and rows
that had no part in it would score lower."""

MOST_COLUMNS = 256
"""Columns, the first ones, of which all pairs are looked at."""

MOST_ROWS = 50_000
"""Rows of the reference, evenly spaced, that relations are learned from."""

LOOKED_AT = 10_000
"""Rows, evenly spaced, that tell which pairs to keep."""

PARTNERS = 4
MOST_PAIRS = 128
LEAST = 0.002
"""Nats of information below which two columns have nothing to do with each other."""

LASTING = 0.5
"""Share of the information that each half of the reference must give of the other: rows of a day
share their day, and what a few days happened to have in common is no relation."""

THOUSANDTHS = 1000.0

Places = tuple[int, int]


def learned_relations(
    columns: Sequence[ColumnProfile], values: Mapping[str, Column], half: NDArray[np.bool_]
) -> MultivariateProfile:
    """The pairs of reference columns that go together, without the distributions of scores.

    `half` says which rows are of the second half.
    """
    rows = len(values[columns[0].name])
    most = min(int(np.sqrt(rows / ROWS_PER_CELL)) - 2, BINS)
    shaped = tuple(coarse(each, most) for each in columns[:MOST_COLUMNS])
    codes = [coarse_bins(each, values[each.name]) for each in shaped]
    chosen = _chosen(shaped, codes, half)
    used = sorted({place for pair in chosen for place in pair})
    kept, codes = tuple(shaped[place] for place in used), [codes[place] for place in used]
    pairs = [(used.index(i), used.index(j)) for i, j in chosen]
    return MultivariateProfile(
        columns=kept, pairs=tuple(_pair(pair, _joint(kept, codes, pair)) for pair in pairs)
    )


def coarse(column: ColumnProfile, most: int) -> Coarse:
    """A column in at most so many cuts or categories, beside others and missing values."""
    cuts = np.array(column.cuts)
    places = np.linspace(-1, cuts.size, min(most, cuts.size) + 2)[1:-1].round().astype(np.int64)
    kept = tuple(cuts[places].tolist())
    return Coarse(name=column.name, cuts=kept, categories=column.categories[:most])


def _chosen(
    columns: Sequence[Coarse], codes: Sequence[Ints], half: NDArray[np.bool_]
) -> list[Places]:
    """Each column with the few that tell most of it."""
    count = len(columns)
    rows = np.linspace(0, half.size - 1, min(half.size, LOOKED_AT)).astype(np.int64)
    some, late = [each[rows] for each in codes], half[rows].astype(np.int64)
    told = np.full((count, count), -np.inf)
    for i, column in enumerate(columns):
        # Columns of as many bins are held against one at once.
        for size in dict.fromkeys(each.size for each in columns[i + 1 :]):
            others = [j for j in range(i + 1, count) if columns[j].size == size]
            place = (late * column.size + some[i]) * size
            shape = 2, column.size, size
            joint = np.stack([_counted(place + some[j], shape) for j in others], axis=1)
            told[i, others] = told[others, i] = _lasting(*joint)
    kept: dict[Places, None] = {}
    # Every column's best partner comes before any column's second, so that none is left out.
    for ranked in np.argsort(-told, axis=1, kind="stable")[:, :PARTNERS].T:
        best = told[np.arange(count), ranked]
        for i in np.argsort(-best, kind="stable").tolist():
            if np.isfinite(best[i]):
                kept[min(i, int(ranked[i])), max(i, int(ranked[i]))] = None
    return list(kept)[:MOST_PAIRS]


def _lasting(first: Ints, second: Ints) -> Floats:
    """What columns tell of another in both halves, given by their joint counts (columns, a, b);
    minus infinity when it is nothing."""
    much, whole = held_out(first, second), first + second
    seen = information(whole, log_lift(whole))
    return np.where(much > np.maximum(LEAST, LASTING * seen), much, -np.inf)


def _joint(columns: Sequence[Coarse], codes: Sequence[Ints], pair: Places) -> Ints:
    """Counts of the bins of two columns together, (bins of the first, bins of the second)."""
    i, j = pair
    shape = columns[i].size, columns[j].size
    return _counted(codes[i] * shape[1] + codes[j], shape)


def _counted(places: Ints, shape: tuple[int, ...]) -> Ints:
    return np.bincount(places, minlength=math.prod(shape)).reshape(shape).astype(np.int64)


def _thousandths(counts: Ints) -> Ints:
    return np.rint(log_lift(counts) * THOUSANDTHS).astype(np.int64)


def _pair(pair: Places, counts: Ints) -> Pair:
    lift = _thousandths(counts)
    usual = float((counts * lift).sum() / counts.sum())
    return Pair(*pair, tuple(lift.ravel().tolist()), usual)


def tables(profile: MultivariateProfile) -> list[Ints]:
    """The lift of each pair by the bin of the first and that of the second, in one row."""
    return [np.array(pair.lift, dtype=np.int64) for pair in profile.pairs]


def lifts(
    profile: MultivariateProfile, known: Sequence[Ints], values: Mapping[str, Column]
) -> list[Ints]:
    """The lift of each pair in each live row; `known` is what `tables` says."""
    codes = [coarse_bins(each, values[each.name]) for each in profile.columns]
    return [
        table[codes[pair.first] * profile.columns[pair.second].size + codes[pair.second]]
        for pair, table in zip(profile.pairs, known, strict=True)
    ]


def partners(profile: MultivariateProfile) -> dict[str, dict[str, int]]:
    """By column, the columns that it is paired with and the place of each pair."""
    found: dict[str, dict[str, int]] = {each.name: {} for each in profile.columns}
    for place, pair in enumerate(profile.pairs):
        first, second = profile.columns[pair.first].name, profile.columns[pair.second].name
        found[first][second] = found[second][first] = place
    return found


def scores(paired: Mapping[str, Mapping[str, int]], found: Sequence[Ints]) -> dict[str, Floats]:
    """By column, each row's score: the sum of the lifts of the column's pairs.

    `paired` is what `partners` says, `found` what `lifts` does.
    """
    return {
        name: np.sum([found[place] for place in places.values()], axis=0).astype(np.float64)
        for name, places in paired.items()
    }
