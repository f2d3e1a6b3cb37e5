"""Segments of which labels no longer come, beside those of all other rows.

A branch reports no outcomes any more, or a join finds none for one source. Those are few of all
labels and nearly all of its own. So each segment's part of the labels is held against its part of
the predictions, relative to the other rows: labels that are fewer, or later, everywhere change
nothing of it.

Of callers for whom labels never came none is missed (`signals.awaited`). All that they asked may be
rows of the segment, so as many of its rows do not count.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np

from trimtab.domain.profile import ReferenceProfile, SegmentLosses
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.estimate import CoarseBins
from trimtab.judge.signals.awaited import Awaited, Known, by_caller
from trimtab.judge.signals.breaks import (
    FEWEST_ROWS,
    JUMP,
    QUARANTINE,
    BreakWatch,
    settle_all,
)
from trimtab.judge.signals.counts import (
    Blocks,
    Tally,
    by_block,
    column_of,
    every,
    sample,
    sums,
    with_size,
)
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.labels import STREAMS
from trimtab.judge.signals.segments import also_where, named

WORTH = 0.7
"""What an independent label is worth as one of a binomial share: a number of labels is spread as
Poisson's law says, of which the chances of large losses fall off no faster than those of so many
trials."""


FIRST = 8
"""One of so many rows is counted before it is known how many come."""


class Shared(msgspec.Struct, frozen=True):
    """Rows, and how many of them are in each segment."""

    n: int = 0
    of: list[int] = []

    def merge(self, other: "Shared") -> "Shared":
        """The counts of both."""
        return Shared(self.n + other.n, sums(self.of, other.of))

    def within(self, place: int, strangers: int = 0) -> Tally:
        """How many of the rows are in one segment, if so many that do not count all are."""
        return Tally(max(self.of[place] - strangers, 0), self.n - strangers)


class Sampled(msgspec.Struct, frozen=True):
    """Predictions of a cohort and those of which the label is known, by group of callers, and a
    sample of both by segment."""

    callers: Awaited = Awaited()
    asked: Shared = Shared()
    told: Shared = Shared()

    def merge(self, other: "Sampled") -> "Sampled":
        """The counts of both."""
        asked, told = self.asked.merge(other.asked), self.told.merge(other.told)
        return Sampled(self.callers.merge(other.callers), asked, told)


class Waiting(msgspec.Struct, frozen=True):
    """Predictions since the cohort that began at `since`, and their labels; the hits of both are
    those of one segment."""

    since: float
    asked: Tally = Tally()
    told: Tally = Tally()

    def merge(self, asked: Tally, told: Tally) -> "Waiting":
        """These and those of another cohort."""
        return Waiting(self.since, self.asked.merge(asked), self.told.merge(told))


class Compared(NamedTuple):
    """The share of a segment's labels that did not come, though those of the others did, and as how
    many independent predictions that counts."""

    missing: float = 0.0
    worth: int = 0

    @classmethod
    def of(cls, seen: Waiting) -> "Compared":
        """By the odds that a label is one of the segment beside those that a prediction is."""
        parts = [each.hits for each in (seen.asked, seen.told)]
        others = [each.n - each.hits for each in (seen.asked, seen.told)]
        if not (parts[0] and all(others)):
            return cls()
        expected = others[1] * parts[0] / others[0]
        spread = 1.0 / expected + 1.0 / parts[0] + 1.0 / others[0] + 1.0 / others[1]
        return cls(max(1.0 - parts[1] / expected, 0.0), int(WORTH / spread))


class State(msgspec.Struct):
    """What changes while segments are watched: `waiting` is what is too little to judge by, `known`
    for whom labels came, `sizes` are the predictions of the last blocks, up to number `sized`."""

    watches: list[BreakWatch]
    waiting: dict[int, Waiting] = {}
    known: Known = msgspec.field(default_factory=Known)
    sizes: list[int] = []
    sized: int = -1
    blocks: Blocks[Sampled] = msgspec.field(default_factory=Blocks[Sampled])


class Unlabelled:
    """One stream for all segments of which the reference knows what they lost: the mean of the
    evidence that labels are missing of each alone. Cohorts are judged once their labels have
    matured: a segment may always have been later than others."""

    name: ClassVar[str] = "unlabelled"

    def __init__(self, target: Target, profile: ReferenceProfile, known: SegmentLosses) -> None:
        self._target, self._columns, self.segments = target, known.columns, known.segments
        inputs = {each.name: each for each in profile.inputs}
        self._inputs = [inputs[column.name] for column in self._columns]
        self._bins = CoarseBins(self._columns)
        self._width = max(column.size for column in self._columns)
        self._begins = np.arange(len(self._columns))[:, None] * self._width
        self._cost = math.log10(len(self.segments))
        self._limit = target.threshold("labels", target.block_seconds, STREAMS)
        watches = [BreakWatch("", "missing", "own past", 0.0) for _ in self.segments]
        self.state: State = State(watches)

    @classmethod
    def of(cls, target: Target) -> "Unlabelled | None":
        """Labels are awaited where quality is watched, of the segments of the reference."""
        profile = target.profile
        known = None if profile is None else profile.segment_losses
        if profile is None or known is None or not (known.segments and target.qualities):
            return None
        inputs = {column.name for column in profile.inputs}
        # A release that lost the profile of an input says nothing of its segments.
        return cls(target, profile, known) if inputs >= _names(known) else None

    def count(self, rows: Rows) -> Mapping[int, Sampled]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {
            number: Sampled(Awaited(_callers(part)), self._counted(part)) for number, part in parts
        }

    def learn(self, labelled: Labelled) -> Mapping[int, Sampled]:
        """Count labels into the cohorts of their predictions."""
        parts = by_block(labelled.rows, self._target.block_seconds)
        return {
            number: Sampled(Awaited(told=_callers(part)), told=self._counted(part))
            for number, part in parts
        }

    def _counted(self, rows: Rows) -> Shared:
        """How many of a sample of the rows are in each segment."""
        sizes = self.state.sizes
        some = rows.take(sample(rows, every(sizes) if sizes else FIRST))
        if not len(some):
            return Shared()
        bins = self._bins.of([column_of(some, each) for each in self._inputs])
        size = len(self._columns) * self._width
        found = np.bincount((bins + self._begins).ravel(), minlength=size).tolist()
        of = [found[each.column * self._width + each.place] for each in self.segments]
        return Shared(len(some), of)

    def take(self, counted: Mapping[int, Sampled]) -> None:
        """What is late for a closed cohort is dropped."""
        self._target.gather(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each cohort once its labels have matured."""
        seconds, blocks = self._target.block_seconds, self.state.blocks
        self._measure(blocks.due(clock, seconds))
        matured = clock - breaks.ahead - self._target.spec.monitor.maturity_seconds
        for number in blocks.due(matured, seconds):
            cohort, start = blocks.pop(number), number * seconds
            # Of the cohort in which the release began labels may come for what was not counted.
            if start >= self._target.started and cohort.asked.n and cohort.told.n:
                self._judge(start, cohort)

    def _measure(self, over: list[int]) -> None:
        """Learn how many predictions a block has, long before their labels have matured."""
        state = self.state
        for number in over:
            if number > state.sized:
                predicted = state.blocks.counts[number].callers.predicted
                state.sizes, state.sized = with_size(state.sizes, predicted), number

    def _judge(self, start: float, cohort: Sampled) -> None:
        """Judge the segments by one more cohort, each once what is known of it is enough."""
        watches, known = self.state.watches, self.state.known
        staked = [
            watches[place]
            for place, since, each in self._enough(start, cohort)
            if watches[place].meet(since, each.missing, each.worth)
        ]
        settle_all(staked, self._limit + self._cost)
        if not any(each.broken or each.suspected for each in watches):
            known.learn(cohort.callers)

    def _enough(self, start: float, cohort: Sampled) -> Iterator[tuple[int, float, Compared]]:
        """Segments of which enough is known by now, and since when."""
        strangers = round(self.state.known.strangers(cohort.callers) * cohort.asked.n)
        for place in range(len(self.segments)):
            seen = self.state.waiting.pop(place, Waiting(start))
            asked = cohort.asked.within(place, strangers)
            seen = seen.merge(asked, cohort.told.within(place))
            compared = Compared.of(seen)
            if compared.worth >= FEWEST_ROWS:
                yield place, seen.since, compared
            else:
                self.state.waiting[place] = seen

    @property
    def broken(self) -> list[int]:
        """Segments whose labels are missing, those first that are surest to be."""
        found = [place for place, watch in enumerate(self.state.watches) if watch.broken]
        return sorted(found, key=self._sureness, reverse=True)

    def _sureness(self, place: int) -> float:
        """Neither a part of a segment comes first, which has fewer rows, nor what holds it, of
        which less is missing."""
        watch = self.state.watches[place]
        return (watch.share - watch.before - JUMP) * math.sqrt(watch.n)

    def verdicts(self) -> tuple[Verdict, ...]:
        """`labels:segments` while labels of a segment are missing; once there is a past, `labels`
        says that they come."""
        broken = self.broken
        if broken:
            return (self._lacks(broken),)
        if any(len(watch.recent) >= QUARANTINE for watch in self.state.watches):
            return ()
        reason = f"no segment has labels of {QUARANTINE} cohorts yet"
        bare = describe.unknown("labels:segments", self._target.release, self._limit, reason)
        return (msgspec.structs.replace(bare, scope={}),)

    def _lacks(self, broken: list[int]) -> Verdict:
        worst, (column, value) = self.state.watches[broken[0]], self.named(broken[0])
        beside = [" is ".join(self.named(place)) for place in broken[1:]]
        return Verdict(
            signal="labels:segments",
            tier=budget.tier("labels"),
            verdict="bad",
            reason=f"where {column} is {value}, predictions are labelled {1.0 - worst.share:.0%} "
            f"as often as the others, at least {1.0 - worst.before:.0%} before"
            f"{also_where(beside)}",
            release=self._target.release,
            scope={column: value},
            evidence_log10=worst.evidence - self._cost,
            threshold_log10=self._limit,
            estimate=1.0 - worst.share,
            reference=1.0 - worst.before,
            n=worst.n,
            since=min(self.state.watches[place].since or 0.0 for place in broken),
        )

    def named(self, place: int) -> tuple[str, str]:
        """The column of a segment, and which of its values are meant."""
        return named(self._columns, self.segments[place])


def _names(known: SegmentLosses) -> set[str]:
    return {column.name for column in known.columns}


def _callers(rows: Rows) -> list[int]:
    return by_caller(rows, np.zeros(len(rows), dtype=np.int64), 1)
