"""Counts for the estimate of quality without labels: cells, features and strange rows of a part.

As in `counting`, what is ordinary is counted by vector instructions; `judge.estimate` says what is
counted.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from trimtab.domain.profile import Coarse, ColumnProfile, EstimateProfile
from trimtab.domain.records import Floats, Ints
from trimtab.judge.estimate import Seen, cells_of
from trimtab.monitoring import kernels
from trimtab.monitoring.arrays import Coded
from trimtab.monitoring.counting import Mask, positions
from trimtab.stats import edges
from trimtab.stats.edges import Numbers

Values = Mapping[str, Numbers | Coded]


def seen_by_score(
    profile: EstimateProfile,
    inputs: tuple[ColumnProfile, ...],
    values: Values,
    score: Floats,
    threshold: float,
) -> Seen:
    """What a part of scored rows says; a score that is no finite number is in no cell."""
    known = np.isfinite(score)
    usable = score if known.all() else score[known]
    side = (usable >= threshold).astype(np.int64)
    cells = np.bincount(cells_of(profile, usable, side), minlength=len(profile.chance))
    columns = () if profile.shift is None else profile.shift.columns
    features: list[int] = []
    for column in columns:
        found = score if column.name == "" else values[column.name]
        features += feature(column, found, known).tolist()
    strange = strange_rows(inputs, values)
    return Seen(
        cells.tolist(),
        features,
        0 if strange is None else int(np.count_nonzero(strange)),
        score.size - usable.size,
    )


def feature(column: Coarse, values: Numbers | Coded, known: Mask) -> Ints:
    """How many of the known rows are in each coarse bin of a column."""
    if isinstance(values, Coded):
        return _text_feature(column, values, known)
    chosen = values if known.all() else values[known]
    gone = kernels.missing(chosen)
    return np.array([*edges.between(chosen, column.cuts, chosen.size - gone), gone])


def _text_feature(column: Coarse, values: Coded, known: Mask) -> Ints:
    places = values.places if known.all() else values.places[known]
    counts = np.bincount(places, minlength=len(values.texts) + 1)
    listed = positions(values, pa.array([*column.categories, ""], values.texts.type))
    others, gone = len(column.categories), len(column.categories) + 1
    # Of the texts, those beyond the categories are others; the empty one, listed last, is missing.
    bins = np.where(listed == others, gone, np.where(listed > others, others, listed))
    bins[-1] = gone
    return np.bincount(bins, weights=counts, minlength=column.size).astype(np.int64)


def strange_rows(inputs: tuple[ColumnProfile, ...], values: Values) -> Mask | None:
    """Rows with a value that the reference never held, None when there is none."""
    strange: Mask | None = None
    for column in inputs:
        found = values[column.name]
        odd = _odd_texts(column, found) if isinstance(found, Coded) else _odd(column, found)
        if odd is not None:
            strange = odd if strange is None else strange | odd
    return strange


def _odd(column: ColumnProfile, values: Numbers) -> Mask | None:
    gone = kernels.missing(values)
    odd = np.isnan(values) if gone and column.missing == 0.0 else None
    if column.minimum is None or column.maximum is None or gone == values.size:
        return odd
    low, high = kernels.limits(values)
    if low >= column.minimum and high <= column.maximum:
        return odd
    every = np.asarray(values, dtype=np.float64)
    outside = (every < column.minimum) | (every > column.maximum)
    return outside if odd is None else odd | outside


def _odd_texts(column: ColumnProfile, values: Coded) -> Mask | None:
    """A text is odd when all of the reference's were listed and it is none; so is a missing one
    where none was missing."""
    listed = positions(values, pa.array(["", *column.categories], values.texts.type))
    gone = listed == 0
    gone[-1] = True
    unseen = listed == len(column.categories) + 1
    unseen[-1] = False
    odd = np.zeros(listed.size, dtype=np.bool_)
    if column.masses and column.masses[-1] == 0.0:
        odd |= unseen
    if column.missing == 0.0:
        odd |= gone
    present = np.bincount(values.places, minlength=odd.size) > 0
    return odd[values.places] if (odd & present).any() else None
