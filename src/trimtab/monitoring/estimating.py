"""Counts for the estimate of quality without labels: cells, features and strange rows of a part.

As in `counting`, what is ordinary is counted by vector instructions; `judge.estimate` says what is
counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import accumulate, pairwise

import msgspec
import numpy as np

from trimtab.domain.profile import Coarse, ColumnProfile, EstimateProfile
from trimtab.domain.records import Floats, Ints
from trimtab.judge.estimate import Seen, cells_of, loss_by_outcome
from trimtab.judge.signals.estimate_counts import (
    Counted,
    Members,
    Part,
    Placed,
    by_segment,
    seen_in,
    segment_names,
)
from trimtab.monitoring.arrays import Coded
from trimtab.monitoring.counting import ColumnCounts, Mask, Vocabulary, positions
from trimtab.stats import edges
from trimtab.stats.edges import Numbers
from trimtab.stats.limits import Limits

Values = Mapping[str, Numbers | Coded]
NOWHERE = -1
"""The cell of a row without a usable score."""


class ByScore:
    """Counts rows of a binary task against what a release learned for estimates; `segments` are the
    columns whose values are estimated one by one."""

    def __init__(
        self,
        profile: EstimateProfile,
        inputs: tuple[ColumnProfile, ...],
        vocabularies: Mapping[str, Vocabulary],
        threshold: float,
        segments: Sequence[Coarse] = (),
    ) -> None:
        self._profile = profile
        self._inputs = {column.name: column for column in inputs}
        self._vocabularies = vocabularies
        self._threshold = threshold
        self._segments = segments

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self._profile.chance)

    @cached_property
    def wrong(self) -> Floats:
        """How likely a decision is wrong, by cell."""
        costs = loss_by_outcome(self._profile, "error")
        assert costs is not None
        chance = np.array(self._profile.chance)
        return np.asarray(chance * costs[0] + (1.0 - chance) * costs[1])

    @property
    def _columns(self) -> tuple[Coarse, ...]:
        return () if self._profile.shift is None else self._profile.shift.columns

    def cells(self, score: Floats) -> Ints:
        """The cell of each row, `NOWHERE` where the score is no finite number."""
        side = (score >= self._threshold).astype(np.int64)
        found = cells_of(self._profile, score, side)
        known = np.isfinite(score)
        return found if known.all() else np.where(known, found, NOWHERE)

    def members(self, values: Values) -> list[Members]:
        """Who of the rows is in which segment."""
        return [
            Members(segment_names(column), self.bins(column, values, "segments"))
            for column in self._segments
        ]

    def bins(self, column: Coarse, values: Values, name: str) -> Ints:
        """The coarse bin of each row; `name` tells tables of the same column apart."""
        found = values[column.name]
        if isinstance(found, Coded):
            vocabulary = self._vocabularies[column.name]
            table: Ints = vocabulary.table(name, found, partial(_coarse_bins, column))
            return table.take(found.places)
        bins = edges.bins_of(found, np.array(column.cuts))
        if found.dtype.kind != "f":
            return bins
        gone = np.isnan(found)
        return np.where(gone, column.size - 1, bins) if gone.any() else bins

    def counted(
        self,
        values: Values,
        cells: Ints,
        counts: Mapping[str, ColumnCounts],
        every: Sequence[Members] = (),
    ) -> Counted:
        """What a part of scored rows says; `counts` are those of the same rows."""
        known = cells != NOWHERE
        strange = strange_rows(self._inputs.values(), values, counts, self._vocabularies)
        whole = self._seen(values, cells, known, counts)
        if strange is not None:
            whole = msgspec.structs.replace(whole, strange=int(np.count_nonzero(strange)))
        if not every:
            return Counted(Part(whole))
        rows = slice(None) if known.all() else known
        features = [(self.bins(c, values, "coarse")[rows], c.size) for c in self._columns]
        placed = Placed(known, cells[rows], self.size, features)
        return Counted(Part(whole), by_segment({"seen": seen_in(every, placed, strange)}))

    def _seen(
        self, values: Values, cells: Ints, known: Mask, counts: Mapping[str, ColumnCounts]
    ) -> Seen:
        usable = cells if known.all() else cells[known]
        features = [self._feature(c, values, known, counts).tolist() for c in self._columns]
        return Seen(
            np.bincount(usable, minlength=self.size).tolist(),
            [n for bins in features for n in bins],
            mute=cells.size - usable.size,
        )

    def _feature(
        self, column: Coarse, values: Values, known: Mask, counts: Mapping[str, ColumnCounts]
    ) -> Ints:
        """How many of the known rows are in each coarse bin of a column."""
        found = values[column.name]
        if isinstance(found, Coded):
            return text_feature(column, self._vocabularies[column.name], found, known)
        if known.all() and column.name in counts:
            return joined(column, self._inputs[column.name], counts[column.name])
        chosen = found[known]
        gone = int(np.count_nonzero(np.isnan(chosen)))
        return np.array([*edges.between(chosen, column.cuts, chosen.size - gone), gone])


def joined(column: Coarse, profile: ColumnProfile, counts: ColumnCounts) -> Ints:
    """The coarse bins of numbers from their fine ones: each coarse cut is one of the profile's."""
    bins = counts.bins
    below = list(accumulate(bins.counts))
    inner = [below[place] for place in _places(profile.cuts, column.cuts)]
    ends = pairwise([0, *inner, bins.n - bins.missing])
    return np.array([*(end - start for start, end in ends), bins.missing], dtype=np.int64)


@lru_cache(maxsize=1024)
def _places(cuts: tuple[float, ...], some: tuple[float, ...]) -> list[int]:
    """Where some of the cuts are among all."""
    found: list[int] = np.searchsorted(cuts, some).tolist()
    return found


def text_feature(column: Coarse, vocabulary: Vocabulary, values: Coded, known: Mask) -> Ints:
    """How many of the known rows are in each coarse bin of texts."""
    bins = vocabulary.table("coarse", values, partial(_coarse_bins, column))
    counts = (values if known.all() else values.take(known)).counts
    return np.bincount(bins, weights=counts, minlength=column.size).astype(np.int64)


def _coarse_bins(column: Coarse, values: Coded) -> Ints:
    listed = positions(values, [*column.categories, ""])
    others, gone = len(column.categories), len(column.categories) + 1
    # Of the texts, those beyond the categories are others; the empty one, listed last, is missing.
    bins = np.where(listed == others, gone, np.where(listed > others, others, listed))
    bins[-1] = gone
    return np.asarray(bins, dtype=np.int64)


def strange_rows(
    inputs: Iterable[ColumnProfile],
    values: Values,
    counts: Mapping[str, ColumnCounts],
    vocabularies: Mapping[str, Vocabulary],
) -> Mask | None:
    """Rows with a value that the reference never held, None when there is none."""
    strange: Mask | None = None
    for column in inputs:
        found = values[column.name]
        if isinstance(found, Coded):
            odd = _odd_texts(column, vocabularies[column.name], found)
        else:
            limits = counts[column.name].limits
            odd = None if limits is None else _odd(column, found, limits)
        if odd is not None:
            strange = odd if strange is None else strange | odd
    return strange


def _odd(column: ColumnProfile, values: Numbers, limits: Limits) -> Mask | None:
    odd = np.isnan(values) if limits.missing and column.missing == 0.0 else None
    if column.minimum is None or column.maximum is None or limits.missing == values.size:
        return odd
    if limits.low >= column.minimum and limits.high <= column.maximum:
        return odd
    every = np.asarray(values, dtype=np.float64)
    if limits.low >= column.minimum:
        outside = every > column.maximum
    elif limits.high <= column.maximum:
        outside = every < column.minimum
    else:
        outside = (every < column.minimum) | (every > column.maximum)
    return outside if odd is None else odd | outside


def _odd_texts(column: ColumnProfile, vocabulary: Vocabulary, values: Coded) -> Mask | None:
    odd: Mask = vocabulary.table("odd", values, partial(_odd_names, column))
    if not odd.any():
        return None
    return odd.take(values.places) if (odd & (values.counts > 0)).any() else None


def _odd_names(column: ColumnProfile, values: Coded) -> Mask:
    """A text is odd when all of the reference's were listed and it is none; so is a missing one
    where none was missing."""
    listed = positions(values, ["", *column.categories])
    gone = listed == 0
    gone[-1] = True
    unseen = listed == len(column.categories) + 1
    unseen[-1] = False
    odd = np.zeros(listed.size, dtype=np.bool_)
    if column.masses and column.masses[-1] == 0.0:
        odd |= unseen
    if column.missing == 0.0:
        odd |= gone
    return odd
