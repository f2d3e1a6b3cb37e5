"""One caller that asks for more than all brought before, while the others ask as ever.

A loop without a pause, or a table that is scored row by row by the service for people, sends valid
rows, each as quick as any: nothing in them tells. But requests wait in the queue, and the machine
has its hands full. How much a caller asks is its own affair, and no alarm; where requests are slow
or fail since then, it is why.
"""

from collections.abc import Mapping

import msgspec

from trimtab.judge.describe import day

BLOCKS = 7
"""Blocks that tell how much is usual."""

FEWEST = 3
"""Blocks before which nothing is known to be usual."""

TWICE = 2.0
"""By so many times more than ever must come of a caller, and as many times more than of the others
at the same time."""

LEAST = 0.4
"""Share of all rows that it must bring."""

AS_EVER = 0.75
"""The others must go on to bring so much of what all brought: else they go through this caller."""

NEAR = 2.0
"""Blocks within which trouble began with a surge."""


class Surge(msgspec.Struct, frozen=True):
    """A group of callers that brings far more since the block that began at `since`: so many `rows`
    in these `blocks`, while the `rest` came of others. Until then the group brought at most
    `before` in a block, and all together `usual` on average."""

    group: int
    since: float
    before: int
    usual: float
    rows: int = 0
    rest: int = 0
    blocks: int = 0

    def and_these(self, rows: int, rest: int) -> "Surge":
        """With one block more."""
        return msgspec.structs.replace(
            self, rows=self.rows + rows, rest=self.rest + rest, blocks=self.blocks + 1
        )

    @property
    def share(self) -> float:
        """What it brings of all."""
        return self.rows / max(self.rows + self.rest, 1)

    def explains(self, since: float, block_seconds: float) -> bool:
        """Whether trouble since then began with it, and the others bring as much as ever."""
        more = self.rest >= AS_EVER * self.usual * self.blocks
        return more and abs(since - self.since) <= NEAR * block_seconds

    def __str__(self) -> str:
        return (
            f"one caller brings {self.rows:,} rows since {day(self.since)}, {self.share:.0%} of "
            f"all, and at most {self.before:,} in a block before; the others bring as many as ever"
        )


class Volume(msgspec.Struct):
    """How many rows came in the last blocks without a surge, the most that each group of callers
    brought in one, and the surge that lasts."""

    usual: list[int] = []
    most: dict[int, int] = {}
    surge: Surge | None = None

    def take(self, start: float, rows: Mapping[int, int]) -> None:
        """Take in how many rows each group brought in the block that began at `start`."""
        if not rows:
            return
        total, lasting = sum(rows.values()), self.surge
        if lasting is None or not self._lasts(lasting, rows, total):
            lasting = self._begun(start, rows, total)
        if lasting is None:
            self._learn(rows, total)
        else:
            mine = rows[lasting.group]
            lasting = lasting.and_these(mine, total - mine)
        self.surge = lasting

    def _lasts(self, surge: Surge, rows: Mapping[int, int], total: int) -> bool:
        """Hours differ by how much comes in them, so it is the share that shows its end."""
        back = (surge.share + surge.before / max(self.usual)) / 2.0
        return rows.get(surge.group, 0) > back * total

    def _begun(self, start: float, rows: Mapping[int, int], total: int) -> Surge | None:
        if len(self.usual) < FEWEST:
            return None
        group = max(sorted(rows), key=lambda each: rows[each])
        mine, before = rows[group], self.most.get(group, 0)
        usual = sum(self.usual) / len(self.usual)
        grown = max(1.0, (total - mine) / usual)
        if mine < LEAST * total or mine < TWICE * grown * before:
            return None
        return Surge(group, start, before, usual)

    def _learn(self, rows: Mapping[int, int], total: int) -> None:
        self.usual = [*self.usual, total][-BLOCKS:]
        most = {group: max(n, self.most.get(group, 0)) for group, n in rows.items()}
        self.most = dict(sorted({**self.most, **most}.items()))
