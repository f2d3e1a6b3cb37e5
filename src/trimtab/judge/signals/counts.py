"""What is kept of a block until it closes: counts that merge exactly, in any order."""

from collections.abc import Iterable, Mapping
from operator import add
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import CodedTexts, Column, Rows
from trimtab.judge import free_text
from trimtab.judge.column_profile import category_bins
from trimtab.judge.quality import texts
from trimtab.stats.edges import Numbers, at_most, between
from trimtab.stats.limits import Limits, limits

MOST_OPEN = 1024
"""Blocks open at once, beside those that wait for labels, where it is not known how many there can
be. Rows may carry any event time, so the farthest are given up."""

MIXER = np.uint64(0x9E3779B97F4A7C15)
"""An odd number whose products look like chance in their upper bits (Knuth, TAOCP 6.4)."""

SAMPLED = 4_096
"""Rows of a block that are looked at, at least, where blocks hold more and all would cost too much.
"""

SIZES = 7
"""Blocks that tell how many rows the next one will hold."""

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
    if not left or not right:
        return left or right
    if len(left) != len(right):
        raise ValueError(f"counts of {len(left)} places and of {len(right)} have no sum")
    return list(map(add, left, right))


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Successes and trials of a 0/1 signal."""

    hits: int = 0
    n: int = 0

    @classmethod
    def of(cls, hits: NDArray[Any]) -> "Tally":
        """Count a mask."""
        return cls(int(np.count_nonzero(hits)), hits.size)

    def merge(self, other: "Tally") -> "Tally":
        """The counts of both."""
        return Tally(self.hits + other.hits, self.n + other.n)


class Bins(msgspec.Struct, frozen=True, gc=False):
    """Counts of one column: its bins, missing values, values out of the reference's range."""

    counts: list[int]
    missing: int = 0
    outside: int = 0
    n: int = 0

    @classmethod
    def of(cls, profile: ColumnProfile, values: Column) -> "Bins":
        """Count values into the bins of `profile`."""
        if profile.kind == "categorical" or isinstance(values, CodedTexts):
            return cls.of_texts(profile, CodedTexts.of(values))
        return cls.of_numbers(profile, values, limits(values))

    @classmethod
    def of_texts(cls, profile: ColumnProfile, values: CodedTexts) -> "Bins":
        """Count texts: what a name means is asked once."""
        bins = category_bins(profile.categories, texts(np.array(values.names, dtype=object)))
        found = values.counts()
        counts = np.bincount(bins, weights=found, minlength=len(profile.masses))
        missing = len(values) - int(found.sum())
        return cls(counts.astype(np.int64).tolist(), missing, 0, len(values))

    @classmethod
    def of_numbers(cls, profile: ColumnProfile, values: Numbers, ends: Limits) -> "Bins":
        """Count numbers of any type, whose limits are `ends`."""
        known, outside = values.size - ends.missing, 0
        counts = between(values, profile.cuts, known)
        low, high = profile.minimum, profile.maximum
        if low is not None and high is not None and not ends.within(low, high):
            # An end that is not beyond the reference's needs no second look.
            if ends.low < low:
                outside += int(at_most(values, (float(np.nextafter(low, -np.inf)),))[0])
            if ends.high > high:
                outside += known - int(at_most(values, (high,))[0])
        return cls(counts, ends.missing, outside, values.size)

    @classmethod
    def none(cls, profile: ColumnProfile) -> "Bins":
        """The counts of no value."""
        return cls([0] * len(profile.masses))

    def merge(self, other: "Bins") -> "Bins":
        """The counts of both. `ValueError` when the bins differ in number."""
        counts = sums(self.counts, other.counts)
        missing, outside = self.missing + other.missing, self.outside + other.outside
        return Bins(counts, missing, outside, self.n + other.n)


def column_of(rows: Rows, column: ColumnProfile) -> Column:
    """The values of an input, or of the view of one that a column is: float64, or coded texts.

    All are missing where a torn segment lost the column or its type.
    """
    numeric = column.kind == "continuous"
    held = rows.input(column.name)
    if held is None and column.view:
        source = rows.input(column.source)
        held = None if source is None else free_text.seen(column.view, source)
    if held is None or _numbers(held) != numeric:
        return np.full(len(rows), np.nan) if numeric else CodedTexts.missing(len(rows))
    return held if numeric else CodedTexts.of(held)


def _numbers(values: Column) -> bool:
    return not isinstance(values, CodedTexts) and values.dtype.kind == "f"


def values_of(rows: Rows, column: ColumnProfile) -> NDArray[Any]:
    """The same as float64, or objects of str | None."""
    held = column_of(rows, column)
    return held.objects() if isinstance(held, CodedTexts) else held


def missing_values(values: Column) -> NDArray[np.bool_]:
    """Which values are missing: NaN or None."""
    if isinstance(values, CodedTexts):
        return np.asarray(values.places < 0, dtype=np.bool_)
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), dtype=np.bool_)
    return np.array([value is None for value in values.tolist()], dtype=np.bool_)


class Blocks(msgspec.Struct, Generic[C]):
    """Open blocks by number (event time // seconds). None of them is below `first`."""

    first: int | None = None
    counts: dict[int, C] = {}

    def take(self, counted: Mapping[int, C], most: int) -> None:
        """Merge counts in. What belongs to a closed block goes to the oldest that may be open; of
        more than `most` the oldest stay open."""
        known = len(self.counts)
        for number, counts in counted.items():
            place = number if self.first is None else max(number, self.first)
            held = self.counts.get(place)
            self.counts[place] = counts if held is None else held.merge(counts)
        if len(self.counts) > known:
            # Sorted, so that what is saved does not tell who came first.
            self.counts = dict(sorted(self.counts.items())[:most])

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
    if not len(rows):
        return []
    times = rows.fixed["event_time"]
    first, last = np.floor(np.array([times.min(), times.max()]) / seconds).tolist()
    # A segment of the log is mostly of one block: no need to number the rows for each family.
    if first == last:
        return [(int(first), rows)]
    numbers = block_numbers(rows, seconds)
    return [(n, rows.take(numbers == n)) for n in np.unique(numbers).tolist()]


def with_size(sizes: list[int], rows: int) -> list[int]:
    """The sizes of the last blocks with that of one more."""
    return [*sizes, rows][-SIZES:]


def usual(sizes: list[int]) -> int:
    """Median of the sizes of the last blocks; 0 before any."""
    rising = sorted(sizes) or [0]
    return rising[len(rising) // 2]


def every(sizes: list[int]) -> int:
    """One of how many rows is looked at, by the sizes of the last blocks."""
    return max(usual(sizes) // SAMPLED, 1)


def sample(rows: Rows, one_of: int) -> NDArray[np.bool_]:
    """One of so many rows, the same ones whoever counts them: when a request was received says
    nothing of what is in it, and nobody can choose its last bits."""
    if one_of == 1:
        return np.ones(len(rows), dtype=np.bool_)
    received = np.ascontiguousarray(rows.fixed["received_at"]).view(np.uint64)
    places = upper_bits(mixed([received]), 31) + rows.fixed["row"]
    return np.asarray(places % one_of == 0, dtype=np.bool_)


def mixed(columns: Iterable[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """A number of each row by all that it holds, of at least one column, which looks like chance;
    the same in every process."""
    codes: NDArray[np.uint64] = np.zeros(1, dtype=np.uint64)
    for column in columns:
        codes = codes ^ column
        codes *= MIXER
        codes ^= codes >> np.uint64(32)
    return codes


def upper_bits(codes: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """So many bits of what is mixed, those that depend on all others."""
    return ((codes * MIXER) >> np.uint64(64 - bits)).astype(np.int64)
