"""Callers that bring one row again and again: a client that is stuck, and counts as many.

A row that it repeats is a possible one, so nothing in it is strange; but as a share of all rows it
moves whatever is counted. The rows of a group of callers are put into places by all that is in
them: rows that are alike share a place, others are spread. So the fullest place holds at least as
many rows as the commonest of them comes, and little more. Places are counted, so that counts of
parts merge exactly. Only callers that bring a good part of all rows are looked at, against what
they themselves and the others at the same time do by nature.
"""

from collections.abc import Mapping, Sequence
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import CodedTexts, Column, Rows
from trimtab.judge.signals.counts import column_of, mixed, upper_bits
from trimtab.judge.signals.prominent import Prominent

PLACES = 64
"""Places of a group of callers; a power of two."""

MISSING = 1
"""What stands for a text that is missing."""


class Alike(msgspec.Struct, frozen=True, gc=False):
    """Rows of a place, and the first of their ids by the alphabet."""

    n: int = 0
    sample: str = ""

    def merge(self, other: "Alike") -> "Alike":
        """The counts of both."""
        return Alike(self.n + other.n, min(self.sample, other.sample))


def alike(
    columns: Sequence[ColumnProfile], rows: Rows, groups: NDArray[np.int64]
) -> dict[int, Alike]:
    """Count the rows of each group by place; the key of a place is `PLACES * group + place`."""
    if not columns:
        return {}
    keys = groups * PLACES + _places(columns, rows)
    found, n = np.unique(keys, return_counts=True)
    samples: dict[int, str] = {}
    for key, name in zip(keys.tolist(), rows.fixed["request_id"].tolist(), strict=True):
        samples[key] = min(samples.get(key, name), name)
    return {k: Alike(each, samples[k]) for k, each in zip(found.tolist(), n.tolist(), strict=True)}


def _places(columns: Sequence[ColumnProfile], rows: Rows) -> NDArray[np.int64]:
    """The place of each row, the same whoever counts it."""
    codes = mixed(_coded(column_of(rows, column)) for column in columns)
    return upper_bits(codes, PLACES.bit_length() - 1)


def _coded(values: Column) -> NDArray[np.uint64]:
    """Values as whole numbers; all that are missing are alike, and zeros of both signs."""
    if isinstance(values, CodedTexts):
        names = [crc32(str(name).encode()) for name in values.names]
        return np.array([*names, MISSING], dtype=np.uint64)[values.places]
    numbers = np.where(np.isnan(values), np.nan, values + 0.0)
    return np.asarray(numbers.astype(np.float64).view(np.uint64))


class Repeats(Prominent):
    """How much of the rows of each group the fullest place holds; samples are of that place."""

    def take(self, start: float, came: Mapping[int, Alike], log10_threshold: float) -> None:
        """Take in the block that began at `start`."""
        if not came:
            return
        groups = _by_group(came)
        sizes = {group: sum(places.values()) for group, places in groups.items()}
        every = [sum(each.get(place, 0) for each in groups.values()) for place in range(PLACES)]

        def shares(group: int) -> tuple[float, float]:
            mine = groups[group]
            return max(mine.values()) / sizes[group], _fullest(every, mine)

        self.settle(start, sizes, shares, log10_threshold)
        self.samples = {group: self._sample(group, came) for group in self.broken}

    def _sample(self, group: int, came: Mapping[int, Alike]) -> str:
        """A request of the fullest place of a group; the one that is known where none came."""
        mine = [each for key, each in came.items() if key // PLACES == group]
        fullest = max(mine, key=lambda each: each.n, default=None)
        return self.samples[group] if fullest is None else fullest.sample


def _by_group(came: Mapping[int, Alike]) -> dict[int, dict[int, int]]:
    """Rows by group and place."""
    groups: dict[int, dict[int, int]] = {}
    for key, each in sorted(came.items()):
        groups.setdefault(key // PLACES, {})[key % PLACES] = each.n
    return groups


def _fullest(every: Sequence[int], mine: Mapping[int, int]) -> float:
    """The share of the rows of all other groups, at least one row, that their fullest place holds;
    of all and of one group by place."""
    others = [n - mine.get(place, 0) for place, n in enumerate(every)]
    return max(others) / sum(others)
