"""What a release learns at build of each segment, to estimate its quality without labels."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Coarse, EstimateProfile, SegmentEstimate, Wobble
from trimtab.domain.records import Floats, Ints
from trimtab.judge.estimate import FEWEST, Learned, coarse_bins, wobble_of
from trimtab.judge.estimate_profile import (
    Known,
    beyond,
    days_of,
    metric_gaps,
    outcome_gaps,
    rounded,
)
from trimtab.judge.segment_estimate import Effects, effects, of_segment
from trimtab.stats.shrinkage import spread_of_effects

MOST_SEGMENTS = 32
"""Segments that are learned, the largest."""


def learn_segments(
    profile: EstimateProfile, known: Known, columns: Sequence[Coarse]
) -> tuple[SegmentEstimate, ...]:
    """The segments of the declared columns, given what all rows tell."""
    whole = Learned.of(profile)
    every = [(column, coarse_bins(column, known.columns[column.name])) for column in columns]
    sizes = [np.bincount(places, minlength=column.size)[:-2] for column, places in every]
    least = _least([int(n) for each in sizes for n in each])
    made: list[SegmentEstimate] = []
    for (column, places), size in zip(every, sizes, strict=True):
        names = zip(column.categories, size.tolist(), strict=True)
        bare = [SegmentEstimate(column=column.name, value=v, n=n) for v, n in names]
        told = [
            each if each.n < least else _counted(profile, known, each, places == place)
            for place, each in enumerate(bare)
        ]
        spread = _with_spreads(whole, told)
        made += [
            each if not each.cells else _daily(whole, known, each, places == place)
            for place, each in enumerate(spread)
        ]
    return tuple(made)


def _least(sizes: list[int]) -> int:
    """Rows of the smallest segment that is learned."""
    largest = sorted(sizes, reverse=True)[:MOST_SEGMENTS]
    return max(FEWEST, largest[-1] if len(sizes) > MOST_SEGMENTS else 0)


def _counted(
    profile: EstimateProfile, known: Known, bare: SegmentEstimate, mask: NDArray[np.bool_]
) -> SegmentEstimate:
    cell, fold, outcome = known.cell[mask], known.fold[mask], known.outcome[mask]
    shape = len(profile.rows), max(profile.group) + 1
    place = fold * shape[1] + np.array(profile.group)[cell]
    rows, hits = (
        np.bincount(place, weights, shape[0] * shape[1]).reshape(shape)
        for weights in (None, outcome)
    )
    return msgspec.structs.replace(
        bare,
        cells=tuple(np.bincount(cell, minlength=len(profile.chance)).tolist()),
        rows=tuple(tuple(each) for each in rows.tolist()),
        hits=tuple(rounded(each) for each in hits),
        features=_features(profile, known, mask),
    )


def _features(profile: EstimateProfile, known: Known, mask: NDArray[np.bool_]) -> tuple[float, ...]:
    """The mean of the features of the shift."""
    columns = () if profile.shift is None else profile.shift.columns
    shares: list[float] = []
    for column in columns:
        bins = coarse_bins(column, known.columns[column.name][mask])
        shares += rounded(np.bincount(bins, minlength=column.size) / bins.size)
    return tuple(shares)


def _with_spreads(whole: Learned, segments: Sequence[SegmentEstimate]) -> list[SegmentEstimate]:
    """How far segments lie from all rows, and groups of cells from their segment: by the segment
    itself, and no less than by its whole column."""
    found = {each.value: effects(whole, each) for each in segments if each.cells}
    together = _spreads(list(found.values()))
    own = {value: np.maximum(together, _spreads([each])) for value, each in found.items()}
    return [
        msgspec.structs.replace(each, spreads=rounded(own[each.value])) if each.cells else each
        for each in segments
    ]


def _spreads(found: Sequence[Effects]) -> Floats:
    """The variances, beyond chance, of effects of segments and of what groups are beyond these."""
    overall = np.array([each.overall for each in found]).reshape(-1, 2)
    beyond = np.array([each.apart[0] - each.overall[0] for each in found]).ravel()
    variance = np.array([each.variance for each in found]).ravel()
    told = np.isfinite(variance)
    return np.array(
        [
            spread_of_effects(overall[:, 0], overall[:, 1]),
            spread_of_effects(beyond[told], variance[told]),
        ]
    )


def _daily(
    whole: Learned, known: Known, segment: SegmentEstimate, mask: NDArray[np.bool_]
) -> SegmentEstimate:
    """With how its days differ from what is expected of them: no less than those of all rows."""
    profile = whole.profile
    if known.day is None:
        return segment
    mine = known.take(mask)
    day: Ints = np.unique(known.day[mask], return_inverse=True)[1].astype(np.int64)
    chances = of_segment(whole, profile, segment).without
    gaps = metric_gaps(profile, days_of(profile, mine, day), chances)
    left = mine.outcome - chances[mine.fold, mine.cell]
    wobbles = {metric: max(beyond(*gap), wobble_of(profile, metric)) for metric, gap in gaps}
    drifts = zip(outcome_gaps(profile, mine, day, left), profile.drifts, strict=True)
    return msgspec.structs.replace(
        segment,
        wobbles=tuple(Wobble(*each) for each in wobbles.items()),
        drifts=tuple(max(beyond(*gap), all_rows) for gap, all_rows in drifts),
    )
