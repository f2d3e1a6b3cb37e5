"""Callers that bring a good part of all rows, by a share of theirs that may stand out.

What one of many callers does by nature is its own business as long as it moves nothing. One that
counts as many is held against its own past, and against the others at the same time: a share that
rises for all of them is none of its doing.
"""

from collections.abc import Callable, Mapping

import msgspec

from trimtab.judge.signals.breaks import CLUSTERS, FEWEST_ROWS, QUARANTINE, BreakWatch, settle_all

LEAST = 0.05
"""A group with a smaller share of the rows moves nothing much, whatever it brings."""

MOST = 0.9
"""One with a larger share leaves no others to be judged by, were it left out."""

LOOKED_AT = round(1.0 / LEAST)
"""Groups that can be looked at in a block."""


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
