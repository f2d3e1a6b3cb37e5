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
from trimtab.judge.signals.breaks import CLUSTERS, FEWEST_ROWS, QUARANTINE, BreakWatch, settle_all
from trimtab.judge.signals.counts import column_of, mixed, upper_bits

PLACES = 64
"""Places of a group of callers; a power of two."""

LEAST = 0.05
"""A group with a smaller share of the rows moves nothing much, whatever it repeats."""

MOST = 0.9
"""One with a larger share leaves no others to be judged by, were it left out."""

LOOKED_AT = round(1.0 / LEAST)
"""Groups that can be looked at in a block."""

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


class Repeats(msgspec.Struct):
    """What changes while repeats are watched, by group: how much of its rows the fullest place
    holds, and a request of that place for those in alarm. `seen` are blocks that were counted."""

    watches: dict[int, BreakWatch] = {}
    samples: dict[int, str] = {}
    seen: int = 0

    def take(self, start: float, came: Mapping[int, Alike], log10_threshold: float) -> None:
        """Take in the block that began at `start`."""
        if not came:
            return
        self.seen += 1
        groups = _by_group(came)
        sizes = {group: sum(places.values()) for group, places in groups.items()}
        total, staked = sum(sizes.values()), []
        every = [sum(each.get(place, 0) for each in groups.values()) for place in range(PLACES)]
        for group, n in sizes.items():
            if max(FEWEST_ROWS, LEAST * total) <= n <= MOST * total:
                watch = self.watches.setdefault(group, BreakWatch("", "strange", "", 0.0))
                watch.base = _fullest(every, groups[group])
                if self._met(watch, start, max(groups[group].values()) / n, n):
                    staked.append(watch)
        for group in self.broken:
            if sizes.get(group, 0) < LEAST * total and total >= FEWEST_ROWS:
                self.watches[group].meet(start, 0.0, CLUSTERS)
        settle_all(staked, log10_threshold)
        self.samples = {group: self._sample(group, came) for group in self.broken}

    def _met(self, watch: BreakWatch, start: float, share: float, n: int) -> bool:
        """Whether a watch bets on a block: what a service is like from the first is no fault."""
        if self.seen > QUARANTINE:
            return watch.meet(start, share, n)
        watch.recent = [*watch.recent, share]
        return False

    def _sample(self, group: int, came: Mapping[int, Alike]) -> str:
        """A request of the fullest place of a group; the one that is known where none came."""
        mine = [each for key, each in came.items() if key // PLACES == group]
        fullest = max(mine, key=lambda each: each.n, default=None)
        return self.samples[group] if fullest is None else fullest.sample

    @property
    def broken(self) -> list[int]:
        """Groups in alarm."""
        return [group for group, watch in self.watches.items() if watch.broken]


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
