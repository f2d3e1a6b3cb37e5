"""What each worker answers where requests are alike, against the other workers at the same time.

A worker on a node with another clock, another table to look up from or another locale reads one of
its inputs otherwise. It answers as often this and that as before, so its answers as a whole tell
little; but to requests alike in that input it answers otherwise than the others do. So answers are
counted by part and by the bin of each input. Requests are dealt to workers without regard to what
is in them: of those of one bin, a worker that is like the others has the same chances of each part,
whatever these are at the time (`stats.alike`). Which chances are bet on is learned of it, and of
the others, from what was answered before.

That two differ does not say which of them is wrong. It is the one that left what all answered for
long; where it is the others, they are found by the same measure.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Coarse, ReferenceProfile
from trimtab.domain.records import CodedTexts, Ints, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.estimate import CoarseBins, coarse_bins
from trimtab.judge.profile import score_column
from trimtab.judge.relations import coarse
from trimtab.judge.signals.counts import (
    Blocks,
    by_block,
    column_of,
    every,
    sample,
    sums,
    with_size,
)
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.habits import Habits
from trimtab.judge.signals.workers import FEWEST, MOST, RECENT, block_length, first_rows, limit

BINS = 8
"""Cuts or categories of an input, at most, by which requests are alike."""

COLUMNS = 1024
"""Inputs of all workers together, at most 64 of each, by which answers are counted: the first."""

PARTS = 4
"""Parts of equal mass of the reference in which answers are counted, or as many classes."""


class Answered(msgspec.Struct, frozen=True):
    """How many answers of each worker are of each part in each bin of each column, in one row."""

    workers: dict[str, list[int]] = {}

    def merge(self, other: "Answered") -> "Answered":
        """The counts of both; of too many workers the first by the alphabet are exact."""
        workers = {
            name: sums(self.workers.get(name, []), other.workers.get(name, []))
            for name in sorted({*self.workers, *other.workers})[:MOST]
        }
        return Answered(workers)


class State(msgspec.Struct):
    """What changes while answers are compared. `sizes` are the requests of the last blocks,
    `gathered` answers of closed blocks, from `since` on, that are too few to compare."""

    habits: Habits = msgspec.field(default_factory=Habits)
    sizes: list[int] = []
    gathered: Answered = Answered()
    since: float = 0.0
    blocks: Blocks[Answered] = msgspec.field(default_factory=Blocks[Answered])


class Answers:
    """One stream for each worker: the mean of the evidence by each column. Counts have the `shape`
    (inputs, bins, parts of the answers)."""

    name: ClassVar[str] = "answers"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target = target
        self._seconds, self._limit = block_length(target), limit(target)
        most = min(COLUMNS // min(target.spec.scale.max, MOST), 64)
        self._inputs = profile.inputs[:most]
        self._columns = [coarse(each, BINS) for each in self._inputs]
        self._score = coarse(profile.score, PARTS - 1) if profile.score else Coarse(name="")
        self._bins = CoarseBins(self._columns)
        bins = max(each.size for each in self._columns)
        self.shape = len(self._columns), bins, self._score.size
        self._begins = np.arange(len(self._columns))[:, None] * (bins * self._score.size)
        self.state: State = State()

    @classmethod
    def of(cls, target: Target) -> "Answers | None":
        """Where a release may have more than one worker and its profile says what is answered."""
        profile = target.profile
        if target.spec.scale.max < 2 or profile is None or not (profile.score and profile.inputs):
            return None
        return cls(target, profile)

    def count(self, rows: Rows) -> Mapping[int, Answered]:
        """Count the answers of a sample of the requests by the first of their rows."""
        some = first_rows(rows.take(sample(rows, every(self.state.sizes))), self._target)
        parts = by_block(some.take(some.has("outcome", Outcome.OK)), self._seconds)
        return {number: self._answered(part) for number, part in parts}

    def _answered(self, rows: Rows) -> Answered:
        values = score_column(self._target.signature, rows.outputs)
        if values is None:
            return Answered()
        ends = coarse_bins(self._score, values)
        bins = self._bins.of([column_of(rows, each) for each in self._inputs])
        return Answered(self._counted(bins, ends, rows.texts("worker")))

    def _counted(
        self, bins: NDArray[np.int8], ends: Ints, workers: CodedTexts
    ) -> dict[str, list[int]]:
        """How often each worker's answers are of each cell; of the first by the alphabet."""
        dealt = zip(workers.names, workers.counts().tolist(), strict=True)
        first = sorted(name for name, n in dealt if n)[:MOST]
        size, turns = math.prod(self.shape), {name: turn for turn, name in enumerate(first)}
        turn = np.array([turns.get(name, MOST) for name in workers.names], dtype=np.int64)
        cells = np.multiply(bins, self.shape[2], dtype=np.int64)
        cells += ends + turn[workers.places] * size
        cells += self._begins
        found = np.bincount(cells.ravel(), minlength=len(first) * size)
        return {name: found[size * n : size * (n + 1)].tolist() for name, n in turns.items()}

    def learn(self, labelled: Labelled) -> Mapping[int, Answered]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Answered]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over; a broken feed breaks for every worker alike."""
        for number in self.state.blocks.due(clock, self._seconds):
            self._gather(number * self._seconds, self.state.blocks.pop(number))

    def _gather(self, start: float, answered: Answered) -> None:
        """Compare once enough has come. How much has, says nothing of what was answered."""
        state = self.state
        state.sizes = with_size(state.sizes, self._requests(answered) * every(state.sizes))
        if not state.gathered.workers:
            state.since = start
        state.gathered = state.gathered.merge(answered)
        latest = state.since + self._target.spec.monitor.block_seconds
        if self._requests(state.gathered) < FEWEST and start + self._seconds < latest:
            return
        came, state.gathered = state.gathered.workers, Answered()
        tables = {
            name: np.array(each, dtype=np.float64).reshape(self.shape)
            for name, each in came.items()
        }
        if tables:
            state.habits.take(state.since, tables, self._limit)
        state.habits.forget(tables, RECENT)

    def _requests(self, answered: Answered) -> int:
        return sum(map(sum, answered.workers.values())) // self.shape[0]

    def verdicts(self) -> tuple[Verdict, ...]:
        """One bad verdict for each worker that differs; once there is a past, `workers` says that
        none does."""
        habits = self.state.habits.workers
        if not habits:
            reason = "no worker has answered enough requests yet"
            bare = describe.unknown("workers:answers", self._target.release, self._limit, reason)
            return (msgspec.structs.replace(bare, scope={}),)
        return tuple(
            self._differs(name) for name, each in sorted(habits.items()) if each.since is not None
        )

    def _differs(self, worker: str) -> Verdict:
        habit = self.state.habits.workers[worker]
        column = self._inputs[habit.column].name
        return Verdict(
            signal=f"workers:{worker}:answers",
            tier=budget.tier("workers"),
            verdict="bad",
            reason=f"{worker} answers otherwise than the others where {column} is alike, in "
            f"{habit.apart:.1%} of its requests at least, since {describe.day(habit.since or 0.0)}",
            release=self._target.release,
            scope={"worker": worker, "differs": "answers"},
            evidence_log10=habit.evidence,
            threshold_log10=self._limit,
            estimate=habit.apart,
            n=habit.n,
            since=habit.since,
        )
