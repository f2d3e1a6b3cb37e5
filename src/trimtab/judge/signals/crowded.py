"""Numbers that crowd: one value that is suddenly in many rows, as a default or a limit is.

A join that loses its keys fills in a median, a sensor that saturates brings the end of its scale.
Nothing is missing or impossible, and the rest of the column moves as ever; but a number that takes
many values holds one of them far oftener than any was held of late. Other rows that come bring
other shares of many values, not a jump of one.

Which value is looked for in a block is known before it: the commonest of some rows of the last one,
drawn by chance. How large its share may be is what the commonest value of a block was of late,
whichever it was: where days are alike in themselves, as of a slow measurement, one value fills
them by nature, though not the next ones. Both are known before the block, so the promise of the
e-detector holds (`signals.breaks`). A value that rises is found a block later than it came.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Floats, Labelled, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.sameness import varied
from trimtab.judge.signals.breaks import FEWEST_ROWS, JUMP, RECENT, BreakWatch, settle_all
from trimtab.judge.signals.counts import (
    Blocks,
    Tally,
    by_block,
    column_of,
    merged,
    mixed,
    upper_bits,
)
from trimtab.judge.signals.family import Breaks, Span, Target, prolonged
from trimtab.judge.signals.upstream import limit

DRAWN = 64
"""Rows of a block that are drawn to find its commonest values."""

MARGIN = JUMP / 2.0
"""By so much the share of one value may rise: of a number that takes many, each has a small one."""

GONE = np.inf
"""Stands for a number that a drawn row does not hold."""


class Crowd(msgspec.Struct, frozen=True):
    """Of each column the rows that hold the value looked for, among those that hold a number; and
    the rows drawn by chance, each as its mark and its numbers in the order of the columns."""

    columns: dict[str, Tally] = {}
    drawn: list[tuple[float, ...]] = []

    def merge(self, other: "Crowd") -> "Crowd":
        """The counts of both."""
        return Crowd(merged(self.columns, other.columns), _first([*self.drawn, *other.drawn]))


def _first(drawn: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Those of the lowest marks: of a union these are the first of the parts, in any order."""
    return sorted(drawn)[:DRAWN]


class State(msgspec.Struct):
    """What changes while crowds are watched. `sought` are the values that are looked for, `usual`
    the shares of the commonest value among the rows that were drawn of the last blocks."""

    watches: dict[str, BreakWatch]
    sought: dict[str, float] = {}
    usual: dict[str, list[float]] = {}
    spans: list[Span] = []
    blocks: Blocks[Crowd] = msgspec.field(default_factory=Blocks[Crowd])


class Crowded:
    """One stream for each column of numbers that takes many values, over all rows.

    Which value is counted is read from the last closed block: blocks that are counted in parallel
    must all be counted after the one before them has closed.
    """

    name: ClassVar[str] = "crowded"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target = target
        self._columns = [column for column in profile.inputs if varied(column)]
        self._limit = limit(target, profile)
        # What no value exceeded by nature is not in the reference: the past must first be seen.
        watches = {c.name: BreakWatch(c.name, "stuck", "", 0.0) for c in self._columns}
        self.state: State = State(watches)

    @classmethod
    def of(cls, target: Target) -> "Crowded | None":
        """Where a profile says which numbers take many values, and any does."""
        profile = target.profile
        if profile is None or not any(varied(column) for column in profile.inputs):
            return None
        return cls(target, profile)

    def count(self, rows: Rows) -> Mapping[int, Crowd]:
        """Count the values looked for, and draw rows."""
        parts = by_block(rows, self._target.block_seconds)
        return {number: self.crowd(part) for number, part in parts}

    def crowd(self, rows: Rows) -> Crowd:
        """Counts of `rows`, at least one, all of one block."""
        columns = [rows.fixed["received_at"], *(column_of(rows, each) for each in self._columns)]
        known = np.array(columns, dtype=np.float64)
        np.copyto(known, GONE, where=~np.isfinite(known))
        return Crowd(self._tallied(known[1:]), _draw(known))

    def _tallied(self, numbers: Floats) -> dict[str, Tally]:
        """How often each column (columns, rows) holds what is looked for; nothing before a block
        has closed."""
        sought = self.state.sought
        values = np.array([sought.get(each.name, np.nan) for each in self._columns])
        hits = np.count_nonzero(numbers == values[:, np.newaxis], axis=1).tolist()
        held = np.count_nonzero(numbers != GONE, axis=1).tolist()
        return {
            each.name: Tally(*counts)
            for each, *counts in zip(self._columns, hits, held, strict=True)
            if each.name in sought
        }

    def learn(self, labelled: Labelled) -> Mapping[int, Crowd]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Crowd]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over, but for columns that are broken otherwise, and tell which
        columns are crowded."""
        state, seconds = self.state, self._target.block_seconds
        for number in state.blocks.due(clock, seconds):
            start, crowd = number * seconds, state.blocks.pop(number)
            breaks.tell(start, self._judge(start, crowd, breaks.at(start)))
            self._seek(crowd)
        breaks.spans = [*breaks.spans, *state.spans]

    def _judge(self, start: float, crowd: Crowd, elsewhere: frozenset[str]) -> frozenset[str]:
        state, staked = self.state, []
        for name, tally in crowd.columns.items():
            watch = state.watches[name]
            if tally.n >= FEWEST_ROWS and name not in elsewhere:
                # The newest block is left out, as of the watch's own past.
                watch.base = max(state.usual[name][:-1], default=0.0)
                if watch.meet(start, tally.hits / tally.n, tally.n, MARGIN):
                    staked.append(watch)
        settle_all(staked, self._limit)
        broken = self._broken
        since = min((watch.since or start for watch in broken), default=None)
        state.spans = prolonged(state.spans, start, since)
        return frozenset(watch.column for watch in broken)

    def _seek(self, crowd: Crowd) -> None:
        """Look for what was drawn oftenest; what is suspected to crowd is looked for on."""
        columns = zip(*crowd.drawn, strict=True)
        next(columns)
        for column, drawn in zip(self._columns, columns, strict=True):
            watch = self.state.watches[column.name]
            counts = Counter(value for value in drawn if value != GONE)
            if counts and not (watch.broken or watch.suspected):
                self._learn(column.name, counts)

    def _learn(self, name: str, counts: Counter[float]) -> None:
        state = self.state
        # Of values that were drawn as often, the least.
        value = min(counts, key=lambda each: (-counts[each], each))
        share = counts[value] / counts.total()
        state.sought[name] = value
        state.usual[name] = [*state.usual.get(name, []), share][-RECENT:]

    @property
    def _broken(self) -> list[BreakWatch]:
        return [watch for watch in self.state.watches.values() if watch.broken]

    def verdicts(self) -> tuple[Verdict, ...]:
        """`upstream:crowded:COLUMN` for each column that is. Once there is a past, `upstream` says
        that feeds are sound."""
        if not self.state.usual:
            reason = "no block has closed yet"
            bare = describe.unknown("upstream:crowded", self._target.release, self._limit, reason)
            return (msgspec.structs.replace(bare, scope={}),)
        return tuple(self._crowded(watch) for watch in self._broken)

    def _crowded(self, watch: BreakWatch) -> Verdict:
        value, since = self.state.sought[watch.column], watch.since or 0.0
        return Verdict(
            signal=f"upstream:crowded:{watch.column}",
            tier=budget.tier("upstream"),
            verdict="bad",
            reason=f"{watch.column} is {value:.6g} in {watch.share:.0%} of the rows since "
            f"{describe.day(since)}; one value was in at most {watch.before:.0%} before",
            release=self._target.release,
            scope={"column": watch.column},
            evidence_log10=watch.evidence,
            threshold_log10=self._limit,
            estimate=watch.share,
            reference=watch.before,
            n=watch.n,
            since=since,
        )


def _draw(columns: Floats) -> list[tuple[float, ...]]:
    """Of columns (columns, rows) the rows of the lowest marks, with the numbers of all but the
    first, the time."""
    mark = _marks(columns)
    last = min(DRAWN, mark.size) - 1
    low = np.flatnonzero(mark <= np.partition(mark, last)[last])
    table = columns[:, low]
    table[0] = mark[low]
    return _first(map(tuple, table.T.tolist()))


def _marks(columns: Floats) -> Floats:
    """A number of each row that looks like chance, by what is in it: so it is the same whoever
    counts the row, and where times are days the numbers still tell rows apart."""
    # Zero has two signs, which are equal.
    codes = mixed((values + 0.0).view(np.uint64) for values in columns)
    return upper_bits(codes, 53).astype(np.float64)
