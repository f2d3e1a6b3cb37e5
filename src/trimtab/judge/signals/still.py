"""Numbers that stand still in parts of the rows, while elsewhere they move as ever.

Of each column of numbers and each part a block keeps the one number that all its rows hold, or that
they hold several: so counts stay small and merge exactly. Nearly always the second is plain from
three rows of the part, and no other is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Coarse, Sameness
from trimtab.domain.records import Floats, Ints
from trimtab.judge.sameness import part_names
from trimtab.stats.edges import Numbers

MOST_ALIKE = 0.6
"""Share of rows with the same number up to which a column is known to move in a part."""

NEAR = 512
"""Rows at each end of a chunk among which the rows of a part are looked for before all are."""

SEVERAL = np.inf
"""Stands for more than one number; NaN for none. Numbers that are not finite count as missing."""


class Still(msgspec.Struct, frozen=True):
    """The one number of each column and part, column by column, as float64; empty for no rows."""

    numbers: bytes = b""

    def merge(self, other: "Still") -> "Still":
        """What the rows of both hold."""
        if not (self.numbers and other.numbers):
            return self if self.numbers else other
        mine, others = np.frombuffer(self.numbers), np.frombuffer(other.numbers)
        either = np.where(np.isnan(mine), others, mine)
        alike = (mine == others) | np.isnan(mine) | np.isnan(others)
        return Still(np.where(alike, either, SEVERAL).tobytes())

    def lasting(self, before: "Still") -> "Still":
        """What rows hold that those `before` held as well."""
        if not (self.numbers and before.numbers):
            return Still()
        mine, others = np.frombuffer(self.numbers), np.frombuffer(before.numbers)
        return Still(np.where(mine == others, mine, SEVERAL).tobytes())

    def after(self, before: "Still") -> "Still":
        """What was held last, in parts without rows that is what was held `before`."""
        if not (self.numbers and before.numbers):
            return self if self.numbers else before
        mine = np.frombuffer(self.numbers)
        return Still(np.where(np.isnan(mine), np.frombuffer(before.numbers), mine).tobytes())


class Placed(NamedTuple):
    """Rows by the bins of a column that makes parts: a code of each row, the bin of each code, and
    how many rows each part has. Of most chunks only a few rows are asked where they are."""

    codes: NDArray[Any]
    bins: Ints
    n: Ints

    @classmethod
    def of(cls, column: Coarse, bins: Ints) -> "Placed":
        """Rows of which each has its bin."""
        counts = np.bincount(bins, minlength=column.size)
        return cls(bins, np.arange(column.size), counts[: len(column.categories)])

    def within(self, rows: slice) -> Ints:
        """The bins of some rows."""
        return self.bins.take(self.codes[rows])


class Spots(NamedTuple):
    """Three rows of each part of a chunk (its first, its last, one between them where there is
    any), how many rows each has, and where all are: in which column, and in which of its bins."""

    rows: Ints
    n: Ints
    bins: tuple[tuple[Placed, int], ...]

    @classmethod
    def of(cls, columns: Sequence[Coarse], placed: Sequence[Placed]) -> "Spots":
        """`placed` are the rows in each of the columns that make parts."""
        rows, bins = [], []
        for column, each in zip(columns, placed, strict=True):
            rows.append(_spots(each, column.size))
            bins += [(each, part) for part in range(each.n.size)]
        n = np.concatenate([each.n for each in placed])
        return cls(np.concatenate(rows, axis=1), n, tuple(bins))

    def whole(self, part: int, values: Numbers) -> float:
        """What all rows of a part hold."""
        placed, bin_ = self.bins[part]
        mine = values[placed.within(slice(None)) == bin_]
        known = mine[np.isfinite(mine)]
        if not known.size:
            return np.nan
        return float(known[0]) if (known == known[0]).all() else SEVERAL


def _spots(placed: Placed, size: int) -> Ints:
    """Of the bins of a column that are parts; it has `size` bins."""
    rows, here = placed.codes.size, placed.n > 0
    half = rows // 2
    ends = placed.within(slice(NEAR)), placed.within(slice(max(rows - NEAR, 0), None))
    near = rows > 2 * NEAR and all(
        bool((np.bincount(end, minlength=size)[: here.size] > 0)[here].all()) for end in ends
    )
    first, last = ends if near else (placed.within(slice(None)),) * 2
    middle = placed.within(slice(max(half - NEAR, 0), half))
    found = np.zeros((3, size), dtype=np.int64)
    # Of several rows that are put in one place, numpy keeps the last.
    found[0, first[::-1]] = np.arange(first.size)[::-1]
    found[1] = found[0]
    found[1, middle] = np.arange(half - middle.size, half)
    found[2, last] = np.arange(rows - last.size, rows)
    return found[:, : here.size]


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """Columns of numbers and parts. `usual` is the share of rows that hold the same number as a
    rule, (numbers, parts); 1.0 where it is too large, or not known: that is not watched."""

    numbers: tuple[str, ...]
    parts: tuple[str, ...]
    usual: Floats

    @classmethod
    def of(cls, sameness: Sameness, columns: Sequence[Coarse]) -> "Moving":
        """What is watched in the parts that `columns` make."""
        parts = part_names(columns)
        place = {part: index for index, part in enumerate(sameness.parts)}
        rows = [
            [1.0 if part not in place else shares[place[part]] for part in parts]
            for shares in sameness.shares
        ]
        usual = np.array(rows, dtype=np.float64).reshape(len(rows), len(parts))
        usual = np.where(usual > MOST_ALIKE, 1.0, usual)
        some = np.flatnonzero((usual < 1.0).any(axis=1))
        return cls(tuple(sameness.numbers[each] for each in some.tolist()), parts, usual[some])

    @property
    def streams(self) -> int:
        """How many pairs are watched."""
        return int(np.count_nonzero(self.usual < 1.0))

    def share(self, column: str, part: str) -> float:
        """What is usual of a pair; 1.0 where it is not watched."""
        if column not in self.numbers or part not in self.parts:
            return 1.0
        return float(self.usual[self.numbers.index(column), self.parts.index(part)])

    def count(self, spots: Spots, values: Sequence[Numbers]) -> Still:
        """What the rows of a chunk hold; `values` are the columns of `numbers`."""
        if not values:
            return Still()
        seen = np.stack([each[spots.rows] for each in values]).astype(np.float64)
        seen[~np.isfinite(seen)] = np.nan
        low, high = np.fmin.reduce(seen, axis=1), np.fmax.reduce(seen, axis=1)
        # A part of two rows is known by them.
        found = np.where(low < high, SEVERAL, low)
        look = ~(low < high) & (spots.n > 2) & (self.usual < 1.0)
        for column, part in np.argwhere(look).tolist():
            found[column, part] = spots.whole(part, values[column])
        found[:, spots.n == 0] = np.nan
        found[self.usual == 1.0] = SEVERAL
        # Zero has two signs, which are equal.
        return Still((found + 0.0).tobytes())

    def stuck(self, still: Still) -> Iterator[str]:
        """`COLUMN\\nPART` of the pairs of which all rows hold one number."""
        if still.numbers:
            held = np.isfinite(np.frombuffer(still.numbers).reshape(self.usual.shape))
            for column, part in np.argwhere(held).tolist():
                yield f"{self.numbers[column]}\n{self.parts[part]}"
