"""Counts of one block's rows, column by column: bins, missing, strange, and by segment.

What is ordinary is counted by vector instructions. Whatever is not – a value outside the recent
range, one that was never seen – goes through the code of `judge.signals` itself, so that the fast
way and the slow way cannot differ in meaning. The counts merge exactly, in any order.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.build.memory import Array, absent, arrow_of, texts_of, viewed
from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Floats, Ints
from trimtab.judge.signals.breaks import Cell, Recent, Seen, first_names
from trimtab.judge.signals.counts import Bins
from trimtab.judge.signals.parts import Odd, odd_parts
from trimtab.judge.signals.still import Placed
from trimtab.monitoring import kernels
from trimtab.monitoring.arrays import Coded
from trimtab.stats.edges import Numbers
from trimtab.stats.limits import Limits, limits

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Division:
    """A column that is divided into segments: `names` (`column=value`), and for each text of
    `texts`, and for a missing one, the position of its segment, their number for none."""

    names: tuple[str, ...]
    texts: Coded
    segment: Ints

    @property
    def size(self) -> int:
        """How many segments there are."""
        return len(self.names)

    @cached_property
    def codes(self) -> Ints:
        """The position of the segment of each row."""
        return self.segment.take(self.texts.places)

    @cached_property
    def placed(self) -> Placed:
        """The rows by their segments."""
        return Placed(self.texts.places, self.segment, self._sums(self.texts.counts))

    @property
    def rows(self) -> list[int]:
        """How many rows are in each segment."""
        found: list[int] = self.placed.n.tolist()
        return found

    def count(self, mask: Mask) -> list[int]:
        """How many rows of a mask are in each segment."""
        size = self.segment.size
        found: list[int] = self._sums(np.bincount(self.texts.places, mask, size)).tolist()
        return found

    def _sums(self, counts: NDArray[Any]) -> Ints:
        """What is counted of each text, by segment."""
        sums = np.bincount(self.segment, counts, self.size + 1)[: self.size]
        return sums.astype(np.int64)


@dataclass(frozen=True)
class Segments:
    """Which rows of a part are in which segment. `unnamed` are the parts that nobody named, in the
    same way."""

    divisions: tuple[Division, ...] = ()
    unnamed: "Segments | None" = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All segments."""
        return tuple(name for each in self.divisions for name in each.names)

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """How many rows are in each segment, in the order of `names`."""
        return tuple(n for each in self.divisions for n in each.rows)

    def count(self, mask: Mask) -> tuple[int, ...]:
        """How many rows of a mask are in each segment, in the order of `names`."""
        return tuple(n for each in self.divisions for n in each.count(mask))


def positions(texts: Coded, values: Sequence[str]) -> Ints:
    """The position among `values` of each text, `len(values)` for others; one more for missing."""
    found: Array = pc.index_in(texts.texts, value_set=texts_of(values, texts.texts.type))
    place, other = viewed(found).astype(np.int64), absent(found)
    if other is not None:
        place[other] = len(values)
    return np.append(place, len(values))


def segment_of(names: tuple[str, ...], texts: Coded) -> Ints:
    """The position among the segments `names` (`column=value`) of each text."""
    return positions(texts, [name.partition("=")[2] for name in names])


class ColumnCounts(NamedTuple):
    """All that is kept of one input column in a block, until it closes."""

    bins: Bins
    seen: Seen
    cells: dict[str, Cell]
    limits: Limits | None
    """Those of a column of numbers, None for texts."""
    parts: dict[str, Odd]


@dataclass(frozen=True, slots=True)
class Strange:
    """Missing and strange values of a part; None is none at all."""

    missing: Mask | None = None
    strange: Mask | None = None

    def within(self, segments: Segments) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How many are missing, and strange, in each segment."""
        none = (0,) * len(segments.names)
        gone = none if self.missing is None else segments.count(self.missing)
        return gone, none if self.strange is None else segments.count(self.strange)

    def cells(self, column: str, rows: int, segments: Segments) -> dict[str, Cell]:
        """Counts over all rows and by segment, keyed as the monitors key them."""
        gone, odd = self.within(segments)
        cells = {f"{column}\n": Cell(rows, _total(self.missing), _total(self.strange))}
        for name, n, missing, strange in zip(segments.names, segments.rows, gone, odd, strict=True):
            cells[f"{column}\n{name}"] = Cell(n, missing, strange)
        return cells

    def parts(self, column: str, segments: Segments) -> dict[str, Odd]:
        """What is missing or strange in the parts that nobody named."""
        if segments.unnamed is None or (self.missing is None and self.strange is None):
            return {}
        return odd_parts(column, segments.unnamed.names, *self.within(segments.unnamed))


def _total(mask: Mask | None) -> int:
    return 0 if mask is None else int(np.count_nonzero(mask))


def count_numbers(
    profile: ColumnProfile, recent: Recent, values: Numbers, segments: Segments
) -> ColumnCounts:
    """Count numbers of any type against the reference and the recent past. Needs one row."""
    ends = limits(values)
    gone = ends.missing
    missing = np.isnan(values) if gone else None
    if gone == values.size:
        bins = Bins([0] * len(profile.masses), gone, 0, gone)
        odd = Strange(missing)
        cells = odd.cells(profile.name, gone, segments)
        return ColumnCounts(bins, Seen(), cells, ends, odd.parts(profile.name, segments))
    few = _distinct(values, missing) if recent.known else None
    if _ordinary(profile, recent, ends, few):
        seen, strange = Seen(ends.low, ends.high), None
    else:
        seen, strange = _against(profile, recent, values, few)
    bins = Bins.of_numbers(profile, values, ends)
    odd = Strange(missing, strange)
    cells = odd.cells(profile.name, values.size, segments)
    return ColumnCounts(bins, seen, cells, ends, odd.parts(profile.name, segments))


def _ordinary(profile: ColumnProfile, recent: Recent, ends: Limits, few: Floats | None) -> bool:
    """Whether nothing is strange or new, seen by the limits and the different values, if listed.

    When neither end is strange for its size, nothing between them is.
    """
    known = few is None or set(recent.known).issuperset(few.tolist())
    return known and ends.finite and ends.within(*recent.ordinary(profile))


def _against(
    profile: ColumnProfile, recent: Recent, values: Numbers, few: Floats | None
) -> tuple[Seen, Mask | None]:
    """What was seen, and which rows are strange; None when none is.

    `few` are the different values of the column, None when they are many.
    """
    if few is not None and np.isfinite(few).all():
        seen, strange = recent.look(profile, few)
        if not strange.any() and not seen.leaps:
            return seen, None
    return recent.look(profile, np.asarray(values, dtype=np.float64))


def _distinct(values: Numbers, missing: Mask | None) -> Floats:
    """The different values that are there."""
    known = values if missing is None else values[~missing]
    if known.dtype.kind != "f":
        wholes = kernels.distinct_wholes(known)
        return np.unique(known).astype(np.float64) if wholes is None else wholes
    different: Array = pc.unique(arrow_of(known))
    return np.asarray(viewed(different), dtype=np.float64)


class Vocabulary:
    """What the texts of a dictionary mean for one column. Dictionaries seldom change: the last one
    is remembered, until the column's recent past is another."""

    def __init__(self, profile: ColumnProfile) -> None:
        self._profile = profile
        self._texts: Array | None = None
        self._tables: dict[Hashable, NDArray[Any]] = {}
        self._names: list[str] | None = None
        self._strange: Mask = np.empty(0, dtype=np.bool_)

    def table(
        self, name: Hashable, coded: Coded, make: Callable[[Coded], NDArray[Any]]
    ) -> NDArray[Any]:
        """What `make` says of each text of the dictionary, made once and remembered by `name`."""
        texts = coded.texts
        if self._texts is None or not self._texts.equals(texts):
            self._texts, self._tables, self._names = texts, {}, None
        if name not in self._tables:
            self._tables[name] = make(coded)
        return self._tables[name]

    def bins(self, coded: Coded) -> Ints:
        """The bin of each text of the dictionary."""
        return self.table("bins", coded, self._bins)

    def _bins(self, coded: Coded) -> Ints:
        return positions(coded, self._profile.categories)[:-1]

    def strange(self, coded: Coded, recent: Recent) -> Mask:
        """Which texts of the dictionary are strange."""
        self.bins(coded)
        if self._names != recent.names:
            known = texts_of(["", *recent.names], coded.texts.type)
            found: Array = pc.is_in(coded.texts, value_set=known)
            self._names, self._strange = recent.names, viewed(found) == 0
        return self._strange


def count_texts(
    vocabulary: Vocabulary, profile: ColumnProfile, recent: Recent, coded: Coded, rows: Segments
) -> ColumnCounts:
    """Count texts against the reference and the recent past."""
    bins, counts = text_bins(vocabulary, profile, coded)
    odd = vocabulary.strange(coded, recent) & (counts > 0)
    missing = coded.places == len(counts) if bins.missing else None
    strange = np.append(odd, False).take(coded.places) if odd.any() else None
    names = coded.texts.filter(arrow_of(odd)).to_pylist() if odd.any() else []
    seen = Seen(names=first_names(dict(zip(names, counts[odd].tolist(), strict=True))))
    found = Strange(missing, strange)
    cells = found.cells(profile.name, coded.places.size, rows)
    return ColumnCounts(bins, seen, cells, None, found.parts(profile.name, rows))


def text_bins(vocabulary: Vocabulary, profile: ColumnProfile, coded: Coded) -> tuple[Bins, Ints]:
    """The bins of a categorical column, and how often each text of its dictionary comes."""
    known, counts = len(coded.texts), coded.counts
    size = len(profile.masses)
    totals = np.bincount(vocabulary.bins(coded), weights=counts[:known], minlength=size)
    bins = Bins(totals.astype(np.int64).tolist(), int(counts[known]), 0, coded.places.size)
    return bins, counts[:known]
