"""What is counted of rows and labels to estimate quality: over all rows, and segment by segment."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Coarse, SegmentEstimate
from trimtab.domain.records import Column, Floats, Ints, kept
from trimtab.judge.estimate import Seen, coarse_bins
from trimtab.judge.labelled_part import Outcomes
from trimtab.judge.signals.counts import merged
from trimtab.stats.fixed_point import MICRO

Mask = NDArray[np.bool_]


class Part(msgspec.Struct, frozen=True):
    """Rows seen, what labels told of them, how many were `asked` for in the audit, and what the
    labels of these told."""

    seen: Seen = Seen()
    told: Outcomes = Outcomes()
    asked: int = 0
    audited: Outcomes = Outcomes()

    def merge(self, other: "Part") -> "Part":
        """The counts of both."""
        return Part(
            self.seen.merge(other.seen),
            self.told.merge(other.told),
            self.asked + other.asked,
            self.audited.merge(other.audited),
        )


class Counted(msgspec.Struct, frozen=True):
    """All rows of a block, and those of each segment that has any."""

    whole: Part = Part()
    segments: dict[str, Part] = {}

    def merge(self, other: "Counted") -> "Counted":
        """The counts of both."""
        return Counted(self.whole.merge(other.whole), merged(self.segments, other.segments))

    @property
    def rows(self) -> "Counted":
        """What is estimated: the rows seen alone."""
        return Counted(_rows(self.whole), {name: _rows(p) for name, p in self.segments.items()})

    @property
    def cohort(self) -> "Counted":
        """What labels are held against. The features of segments are not asked for any more."""
        return Counted(self.whole, {name: _cohort(p) for name, p in self.segments.items()})

    def with_audited(self, audited: "Counted") -> "Counted":
        """With what the labels of audited rows told, which are among those that are here."""
        parts = {
            name: msgspec.structs.replace(part, audited=audited.segments.get(name, Part()).told)
            for name, part in self.segments.items()
        }
        return Counted(msgspec.structs.replace(self.whole, audited=audited.whole.told), parts)


def _rows(part: Part) -> Part:
    return Part(part.seen)


def _cohort(part: Part) -> Part:
    seen = msgspec.structs.replace(part.seen, features=[])
    return msgspec.structs.replace(part, seen=seen)


class Members(NamedTuple):
    """Which rows are in which segment of a column: positions among `names`, beyond them in none."""

    names: tuple[str, ...]
    places: Ints

    def take(self, rows: Mask) -> "Members":
        """The rows where the mask is true."""
        return Members(self.names, kept(self.places, rows))

    def sums(self, bins: Ints, size: int, weights: Floats | None = None) -> Ints:
        """How many rows of each segment are in each of `size` bins, or the sum of whole `weights`
        (segments, size)."""
        # Rows of no segment come behind those of all, and are cut off.
        end = len(self.names) * size
        sums = np.bincount(self.places * size + bins, weights, end)[:end]
        return sums.astype(np.int64).reshape(-1, size)

    def within(self, rows: Mask) -> Ints:
        """How many rows of each segment are among those where the mask is true."""
        return np.bincount(self.places[rows], minlength=len(self.names))[: len(self.names)]


def columns_of(segments: Sequence[SegmentEstimate]) -> tuple[Coarse, ...]:
    """The columns that segments are of, each with its values among them."""
    values: dict[str, tuple[str, ...]] = {}
    for each in segments:
        values[each.column] = (*values.get(each.column, ()), each.value)
    return tuple(Coarse(name=name, categories=own) for name, own in values.items())


def members(columns: Sequence[Coarse], inputs: Mapping[str, Column]) -> list[Members]:
    """Who of the rows is in which segment."""
    return [
        Members(segment_names(column), coarse_bins(column, inputs[column.name]))
        for column in columns
    ]


def segment_names(column: Coarse) -> tuple[str, ...]:
    """The names of the segments of a column, in the order of its values."""
    return tuple(f"{column.name}={value}" for value in column.categories)


class Placed(NamedTuple):
    """Rows with an output among all of a part (`known`): their cell among `cells`, and their bin
    of each feature with the number of its bins."""

    known: Mask
    cell: Ints
    cells: int
    features: Sequence[tuple[Ints, int]]

    @property
    def seen(self) -> Seen:
        """All of them, none strange."""
        bins = [np.bincount(each, minlength=size) for each, size in self.features]
        return Seen(
            np.bincount(self.cell, minlength=self.cells).tolist(),
            [n for counts in bins for n in counts.tolist()],
            mute=int(np.count_nonzero(~self.known)),
        )


def seen_in(every: Sequence[Members], placed: Placed, strange: Mask | None) -> dict[str, Seen]:
    """What of rows is seen in each segment that has any of them."""
    made: dict[str, Seen] = {}
    for each in every:
        scored, mute = each.take(placed.known), each.within(~placed.known).tolist()
        cells = scored.sums(placed.cell, placed.cells).tolist()
        bins = [scored.sums(*feature) for feature in placed.features]
        features = np.hstack(bins).tolist() if bins else [[] for _ in each.names]
        odd = [0] * len(each.names) if strange is None else each.within(strange).tolist()
        for place, name in enumerate(each.names):
            seen = Seen(cells[place], features[place], odd[place], mute[place])
            if seen.n or seen.mute:
                made[name] = seen
    return made


def told(every: Sequence[Members], cells: Ints, outcome: Floats, size: int) -> Counted:
    """What labels tell of rows in `cells`; outcomes are in [0, 1]."""
    parts: dict[str, Part] = {}
    hits, squares = (np.rint(values * MICRO) for values in (outcome, outcome**2))
    for each in every:
        sums = [each.sums(cells, size, weights).tolist() for weights in (None, hits, squares)]
        for name, *counts in zip(each.names, *sums, strict=True):
            found = Outcomes(*counts)
            if found.n:
                parts[name] = Part(told=found)
    return Counted(Part(told=Outcomes.of(cells, outcome, size)), parts)


def counts_in(every: Sequence[Members], rows: Mask) -> dict[str, int]:
    """How many rows of each segment are among those where the mask is true."""
    return {
        name: n
        for each in every
        for name, n in zip(each.names, each.within(rows).tolist(), strict=True)
        if n
    }


def by_segment(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
    """Parts from what was counted of each segment, by field."""
    names = dict.fromkeys(name for found in parts.values() for name in found)
    return {
        name: Part(**{field: found[name] for field, found in parts.items() if name in found})
        for name in names
    }
