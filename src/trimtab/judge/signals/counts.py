"""What is kept of a block until it closes: counts that merge exactly, in any order."""

from collections.abc import Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Rows
from trimtab.judge import free_text
from trimtab.judge.profile import category_bins
from trimtab.judge.quality import texts
from trimtab.stats.edges import between

MOST_OPEN = 1024
"""Blocks open at once. Rows may carry any event time, so the farthest are given up."""

GRACE = 0.1
LONGEST_GRACE = 3600.0


class Counts(Protocol):
    """Counts of some rows. `a.merge(b)` is what counting the rows of both at once would give."""

    def merge(self, other: Self) -> Self:
        """The counts of both: exact, associative, and in either order the same."""
        ...


C = TypeVar("C", bound=Counts)
K = TypeVar("K")


def merged(left: Mapping[K, C], right: Mapping[K, C]) -> dict[K, C]:
    """The counts of both, key by key."""
    both = dict(left)
    for key, counts in right.items():
        both[key] = both[key].merge(counts) if key in both else counts
    return both


def sums(left: list[int], right: list[int]) -> list[int]:
    """Counts place by place; an empty list stands for none at all."""
    return [a + b for a, b in zip(left, right, strict=True)] if left and right else left or right


class Tally(msgspec.Struct, frozen=True):
    """Successes and trials of a 0/1 signal."""

    hits: int = 0
    n: int = 0

    @classmethod
    def of(cls, hits: NDArray[Any]) -> "Tally":
        """Count a mask."""
        return cls(int(hits.sum()), hits.size)

    def merge(self, other: "Tally") -> "Tally":
        """The counts of both."""
        return Tally(self.hits + other.hits, self.n + other.n)


class Bins(msgspec.Struct, frozen=True):
    """Counts of one column: its bins, missing values, values out of the reference's range."""

    counts: list[int]
    missing: int = 0
    outside: int = 0
    n: int = 0

    @classmethod
    def of(cls, profile: ColumnProfile, values: NDArray[Any]) -> "Bins":
        """Count values into the bins of `profile`."""
        missing = missing_values(values)
        known = values[~missing]
        if profile.kind == "categorical":
            bins = category_bins(profile.categories, texts(known))
            counts = np.bincount(bins, minlength=len(profile.masses)).tolist()
            outside = 0
        else:
            counts = between(known, profile.cuts, known.size)
            low, high = profile.minimum, profile.maximum
            outside = 0 if low is None else int(((known < low) | (known > high)).sum())
        return cls(counts, int(missing.sum()), outside, values.size)

    @classmethod
    def none(cls, profile: ColumnProfile) -> "Bins":
        """The counts of no value."""
        return cls([0] * len(profile.masses))

    def merge(self, other: "Bins") -> "Bins":
        """The counts of both. `ValueError` when the bins differ in number."""
        counts = sums(self.counts, other.counts)
        missing, outside = self.missing + other.missing, self.outside + other.outside
        return Bins(counts, missing, outside, self.n + other.n)


def values_of(rows: Rows, column: ColumnProfile) -> NDArray[Any]:
    """The values of an input, or of the view of one that a column is.

    All are missing where a torn segment lost the column or its type.
    """
    numeric = column.kind == "continuous"
    values = rows.inputs.get(column.name)
    if values is None and column.view:
        source = rows.inputs.get(column.source)
        values = None if source is None else free_text.seen(column.view, source)
    if values is None or (values.dtype.kind == "f") != numeric:
        return np.full(len(rows), np.nan if numeric else None, dtype=float if numeric else object)
    return values


def missing_values(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are missing: NaN or None."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), dtype=np.bool_)
    return np.array([value is None for value in values.tolist()], dtype=np.bool_)


class Blocks(msgspec.Struct, Generic[C]):
    """Open blocks by number (event time // seconds). None of them is below `first`."""

    first: int | None = None
    counts: dict[int, C] = {}

    def take(self, counted: Mapping[int, C]) -> None:
        """Merge counts in. What belongs to a closed block goes to the oldest that may be open."""
        for number, counts in counted.items():
            place = number if self.first is None else max(number, self.first)
            self.counts = merged(self.counts, {place: counts})
        # Sorted, so that what is saved does not tell who came first.
        self.counts = dict(sorted(self.counts.items())[:MOST_OPEN])

    def closed(self, number: int) -> bool:
        """Whether the block has closed."""
        return self.first is not None and number < self.first

    def due(self, clock: float, seconds: float) -> list[int]:
        """Blocks that are over, oldest first, with some grace for rows still on their way."""
        grace = min(GRACE * seconds, LONGEST_GRACE)
        return [n for n in sorted(self.counts) if (n + 1) * seconds + grace <= clock]

    def pop(self, number: int) -> C:
        """Close the block and return its counts."""
        self.first = number + 1
        return self.counts.pop(number)


def block_numbers(rows: Rows, seconds: float) -> NDArray[np.int64]:
    """The number of each row's block."""
    return np.asarray(np.floor(rows.fixed["event_time"] / seconds), dtype=np.int64)


def by_block(rows: Rows, seconds: float) -> list[tuple[int, Rows]]:
    """The rows of each block, blocks rising."""
    numbers = block_numbers(rows, seconds)
    present = np.unique(numbers).tolist()
    # A segment of the log is mostly of one block: no need to copy it for each family.
    return [(n, rows if len(present) == 1 else rows.take(numbers == n)) for n in present]
