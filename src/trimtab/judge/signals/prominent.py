"""Callers that bring a good part of all rows, by a share of theirs that may stand out.

What one of many callers does by nature is its own business as long as it moves nothing. One that
counts as many is held against its own past, and against the others at the same time: a share that
rises for all of them is none of its doing.
"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Rows
from trimtab.judge.signals.breaks import CLUSTERS, FEWEST_ROWS, QUARANTINE, BreakWatch, settle_all
from trimtab.judge.signals.counts import Tally

LEAST = 0.05
"""A group with a smaller share of the rows moves nothing much, whatever it brings."""

MOST = 0.9
"""One with a larger share leaves no others to be judged by, were it left out."""

LOOKED_AT = round(1.0 / LEAST)
"""Groups that can be looked at in a block."""


class Marked(msgspec.Struct, frozen=True, gc=False):
    """Rows of a group of callers, those that stand out, and the first of their ids by the alphabet;
    empty where none does."""

    rows: Tally = Tally()
    sample: str = ""

    def merge(self, other: "Marked") -> "Marked":
        """The counts of both."""
        samples = [each for each in (self.sample, other.sample) if each]
        return Marked(self.rows.merge(other.rows), min(samples, default=""))


def marked(rows: Rows, groups: NDArray[np.int64], odd: NDArray[np.bool_]) -> dict[int, Marked]:
    """Count the rows of each group, and those that are `odd`."""
    theirs = groups[odd]
    n, hits = (np.bincount(each, minlength=1) for each in (groups, theirs))
    hits = np.append(hits, np.zeros(n.size - hits.size, dtype=np.int64))
    first = first_ids(rows.fixed["request_id"][odd], theirs)
    return {
        group: Marked(Tally(int(hits[group]), int(n[group])), first.get(group, ""))
        for group in np.flatnonzero(n).tolist()
    }


def first_ids(names: NDArray[np.object_], groups: NDArray[np.int64]) -> dict[int, str]:
    """By group, the first of the ids by the alphabet."""
    first: dict[int, str] = {}
    for group, name in zip(groups.tolist(), names.tolist(), strict=True):
        first[group] = min(first.get(group, name), name)
    return first


class Prominent(msgspec.Struct):
    """What changes while the groups of callers that count as many are watched for one share of
    their rows. `samples` has a request for those in alarm; `seen` are blocks that were counted."""

    watches: dict[int, BreakWatch] = {}
    samples: dict[int, str] = {}
    seen: int = 0

    def settle(
        self,
        start: float,
        sizes: Mapping[int, int],
        shares: Callable[[int], tuple[float, float]],
        log10_threshold: float,
    ) -> None:
        """Take in the block that began at `start`: the rows of each group, and of one that is
        looked at its own share and that of the others."""
        self.seen += 1
        total, staked = sum(sizes.values()), []
        for group, n in sizes.items():
            if max(FEWEST_ROWS, LEAST * total) <= n <= MOST * total:
                watch = self.watches.setdefault(group, BreakWatch("", "strange", "", 0.0))
                share, watch.base = shares(group)
                if self._met(watch, start, share, n):
                    staked.append(watch)
        for group in self.broken:
            if sizes.get(group, 0) < LEAST * total and total >= FEWEST_ROWS:
                self.watches[group].meet(start, 0.0, CLUSTERS)
        settle_all(staked, log10_threshold)

    def settle_tallies(
        self, start: float, came: Mapping[int, Tally], log10_threshold: float, least: float = 0.0
    ) -> None:
        """Take in the block that began at `start`, in which some of the rows of each group stand
        out; they always may in a share of `least`."""
        hits, total = (
            sum(each.hits for each in came.values()),
            sum(each.n for each in came.values()),
        )

        def shares(group: int) -> tuple[float, float]:
            mine = came[group]
            return mine.hits / mine.n, max((hits - mine.hits) / (total - mine.n), least)

        sizes = {group: each.n for group, each in came.items()}
        self.settle(start, sizes, shares, log10_threshold)

    def _met(self, watch: BreakWatch, start: float, share: float, n: int) -> bool:
        """Whether a watch bets on a block: what a service is like from the first is no fault."""
        if self.seen > QUARANTINE:
            return watch.meet(start, share, n)
        watch.recent = [*watch.recent, share]
        return False

    @property
    def broken(self) -> list[int]:
        """Groups in alarm."""
        return [group for group, watch in self.watches.items() if watch.broken]


class Marks(Prominent):
    """How many of the rows of each group stand out in one way; samples are such requests."""

    def take(self, start: float, came: Mapping[int, Marked], log10_threshold: float) -> None:
        """Take in the block that began at `start`."""
        if not came:
            return
        tallies = {group: each.rows for group, each in came.items()}
        self.settle_tallies(start, tallies, log10_threshold)
        told = {group: came[group].sample for group in self.broken if group in came}
        self.samples = {g: told.get(g) or self.samples.get(g, "") for g in self.broken}
