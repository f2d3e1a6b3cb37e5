"""Labels: do they still come, also of each part of the answers, and how long do they take?"""

import math
from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.durations import span
from trimtab.domain.profile import Coarse
from trimtab.domain.records import Ints, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.profile import score_column
from trimtab.judge.relations import coarse
from trimtab.judge.signals.awaited import PARTS, Awaited, Known, by_caller, part_names
from trimtab.judge.signals.breaks import FEWEST_ROWS, QUARANTINE, BreakWatch, settle_all
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block
from trimtab.judge.signals.family import Breaks, Target

STREAMS = 3
"""Labels of all, of the parts of the answers, and of segments (`signals.unlabelled`)."""


class State(msgspec.Struct):
    """What changes while labels are awaited; `delay` is that of the last cohort, in seconds.
    `parts` watch the labels of each part of the answers."""

    watch: BreakWatch
    parts: list[BreakWatch]
    delay: float | None = None
    known: Known = msgspec.field(default_factory=Known)
    blocks: Blocks[Awaited] = msgspec.field(default_factory=Blocks[Awaited])


class Labels:
    """The share of predictions without a label once labels have matured, against its own past: of
    all, and the mean of the evidence by part of the answers."""

    name: ClassVar[str] = "labels"

    def __init__(self, target: Target) -> None:
        self._target = target
        score = None if target.profile is None else target.profile.score
        self._answers = coarse(score, PARTS - 1) if score else Coarse(name="")
        names = part_names(self._answers)
        self._cost = math.log10(len(names))
        self._limit = target.threshold("labels", target.block_seconds, STREAMS)
        # No reference knows how many labels come: the past must first be seen.
        parts = [BreakWatch(name, "missing", "own past", 0.0) for name in names]
        self.state: State = State(BreakWatch("labels", "missing", "own past", 0.0), parts)

    @classmethod
    def of(cls, target: Target) -> "Labels | None":
        """Labels are awaited where quality is watched."""
        return cls(target) if target.qualities else None

    def count(self, rows: Rows) -> Mapping[int, Awaited]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Awaited(self._counted(part)) for number, part in parts}

    def _counted(self, rows: Rows) -> list[int]:
        return by_caller(rows, self._parts(rows), self._answers.size)

    def _parts(self, rows: Rows) -> Ints:
        """The part of each answer."""
        values = score_column(self._target.signature, rows.outputs)
        if values is None:
            return np.full(len(rows), self._answers.size - 1)
        return coarse_bins(self._answers, values)

    def learn(self, labelled: Labelled) -> Mapping[int, Awaited]:
        """Count labels into the cohorts of their predictions."""
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        took = np.maximum(labelled.labelled_at - labelled.rows.fixed["event_time"], 0.0)
        return {
            n: Awaited(
                [],
                self._counted(labelled.rows.take(numbers == n)),
                int(np.floor(took[numbers == n]).sum()),
            )
            for n in np.unique(numbers).tolist()
        }

    def take(self, counted: Mapping[int, Awaited]) -> None:
        """What is late for a closed cohort is dropped."""
        self._target.gather(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each cohort once its labels have matured or nearly all are there."""
        state = self.state
        for start, cohort in self._target.ripe(state.blocks, clock - breaks.ahead):
            if cohort.labelled:
                state.delay = cohort.seconds / cohort.labelled
            if cohort.predicted >= FEWEST_ROWS:
                state.watch.take(start, *state.known.missing(cohort), self._limit)
                self._take_parts(start, cohort)
            watches = [state.watch, *state.parts]
            if not any(each.broken or each.suspected for each in watches):
                state.known.learn(cohort)

    def _take_parts(self, start: float, cohort: Awaited) -> None:
        """Judge the parts of the answers that have enough predictions."""
        came = zip(self.state.parts, self.state.known.by_part(cohort), strict=True)
        staked = [
            watch for watch, (share, n) in came if n >= FEWEST_ROWS and watch.meet(start, share, n)
        ]
        settle_all(staked, self._limit + self._cost)

    @property
    def _took(self) -> str:
        """How long labels took, in words. Without times of their own they have the predictions'."""
        delay = self.state.delay
        if delay is None or delay < 1.0:
            return "" if delay is None else ", dated within a second of them"
        return f", after {span(delay)} on average"

    def verdicts(self) -> tuple[Verdict, ...]:
        """`labels`, and `labels:answers` where those of a part of the answers are missing alone."""
        broken = [watch for watch in self.state.parts if watch.broken]
        alone = bool(broken) and not self.state.watch.broken
        return (self._of_all, *([self._of_part(broken)] if alone else []))

    def _of_part(self, broken: list[BreakWatch]) -> Verdict:
        """Labels that are missing of the part that lacks most."""
        worst = max(broken, key=lambda watch: (watch.share, watch.n))
        return Verdict(
            signal="labels:answers",
            tier=budget.tier("labels"),
            verdict="bad",
            reason=f"labels came for {1.0 - worst.share:.0%} of the predictions that answered "
            f"{worst.column}, at least {1.0 - worst.before:.0%} before; for "
            f"{1.0 - self.state.watch.share:.0%} of all",
            release=self._target.release,
            scope={"answers": worst.column},
            evidence_log10=worst.evidence - self._cost,
            threshold_log10=self._limit,
            estimate=1.0 - worst.share,
            reference=1.0 - worst.before,
            n=worst.n,
            since=min(watch.since or 0.0 for watch in broken),
        )

    @property
    def _of_all(self) -> Verdict:
        watch = self.state.watch
        release = self._target.release
        if len(watch.recent) < QUARANTINE:
            reason = f"{QUARANTINE} cohorts are needed to know how many labels come"
            return describe.unknown("labels", release, self._limit, reason)
        if watch.share >= 1.0 and not watch.broken:
            reason = "no label has come in time"
            return describe.unknown("labels", release, self._limit, reason)
        return Verdict(
            signal="labels",
            tier=budget.tier("labels"),
            verdict="bad" if watch.broken else "ok",
            reason=f"labels came for {1.0 - watch.share:.0%} of the predictions{self._took}; "
            f"at least {1.0 - watch.before:.0%} before",
            release=release,
            evidence_log10=watch.evidence,
            threshold_log10=self._limit,
            estimate=1.0 - watch.share,
            reference=1.0 - watch.before,
            n=watch.n,
            since=watch.since,
        )
