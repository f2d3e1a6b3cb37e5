"""Numbers that stand still in parts of the rows, while elsewhere they move as ever.

Of each column of numbers and each part a block keeps the one number that all its rows hold, or that
they hold several: so counts stay small and merge exactly. Nearly always the second is plain from
three rows of the part, and no other is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

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


class Spots(NamedTuple):
    """Three rows of each part of a chunk (its first, its last, one between them where there is
    any), how many rows each has, and where all are: the bins of a column, and which of them."""

    rows: Ints
    n: Ints
    bins: tuple[tuple[Ints, int], ...]

    @classmethod
    def of(cls, columns: Sequence[Coarse], places: Sequence[Ints]) -> "Spots":
        """`places` are the bins of rows in each of the columns that make parts."""
        rows, n, bins = [], [], []
        for column, place in zip(columns, places, strict=True):
            n.append(np.bincount(place, minlength=column.size)[: len(column.categories)])
            rows.append(_spots(place, column.size, n[-1]))
            bins += [(place, each) for each in range(n[-1].size)]
        return cls(np.concatenate(rows, axis=1), np.concatenate(n), tuple(bins))

    def whole(self, part: int, values: Numbers) -> float:
        """What all rows of a part hold."""
        place, bin_ = self.bins[part]
        mine = values[place == bin_]
        known = mine[np.isfinite(mine)]
        if not known.size:
            return np.nan
        return float(known[0]) if (known == known[0]).all() else SEVERAL


def _spots(place: Ints, size: int, n: Ints) -> Ints:
    """Of the first of `size` bins, which have `n` rows each."""
    here, half = n > 0, place.size // 2
    ends = place[:NEAR], place[-NEAR:]
    near = place.size > 2 * NEAR and all(
        bool((np.bincount(end, minlength=size)[: n.size] > 0)[here].all()) for end in ends
    )
    first, last = ends if near else (place, place)
    middle = place[max(half - NEAR, 0) : half]
    found = np.zeros((3, size), dtype=np.int64)
    # Of several rows that are put in one place, numpy keeps the last.
    found[0, first[::-1]] = np.arange(first.size)[::-1]
    found[1] = found[0]
    found[1, middle] = np.arange(half - middle.size, half)
    found[2, last] = np.arange(place.size - last.size, place.size)
    return found[:, : n.size]


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
