"""Labels: do they still come, and how long do they take?"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.durations import span
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.signals.awaited import Awaited, Known, by_caller
from trimtab.judge.signals.breaks import FEWEST_ROWS, QUARANTINE, BreakWatch
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block
from trimtab.judge.signals.family import Breaks, Target


class State(msgspec.Struct):
    """What changes while labels are awaited; `delay` is that of the last cohort, in seconds."""

    watch: BreakWatch
    delay: float | None = None
    known: Known = msgspec.field(default_factory=Known)
    blocks: Blocks[Awaited] = msgspec.field(default_factory=Blocks[Awaited])


class Labels:
    """The share of predictions without a label once labels have matured, against its own past."""

    name: ClassVar[str] = "labels"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._limit = target.threshold("labels", target.block_seconds)
        # No reference knows how many labels come: the past must first be seen.
        self.state: State = State(BreakWatch("labels", "missing", "own past", 0.0))

    @classmethod
    def of(cls, target: Target) -> "Labels | None":
        """Labels are awaited where quality is watched."""
        return cls(target) if target.qualities else None

    def count(self, rows: Rows) -> Mapping[int, Awaited]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Awaited(by_caller(part)) for number, part in parts}

    def learn(self, labelled: Labelled) -> Mapping[int, Awaited]:
        """Count labels into the cohorts of their predictions."""
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        took = np.maximum(labelled.labelled_at - labelled.rows.fixed["event_time"], 0.0)
        return {
            n: Awaited(
                [],
                by_caller(labelled.rows.take(numbers == n)),
                int(np.floor(took[numbers == n]).sum()),
            )
            for n in np.unique(numbers).tolist()
        }

    def take(self, counted: Mapping[int, Awaited]) -> None:
        """What is late for a closed cohort is dropped."""
        self.state.blocks.take_open(counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each cohort once its labels have matured or nearly all are there."""
        state = self.state
        for start, cohort in self._target.ripe(state.blocks, clock - breaks.ahead):
            if cohort.labelled:
                state.delay = cohort.seconds / cohort.labelled
            if cohort.predicted >= FEWEST_ROWS:
                state.watch.take(start, *state.known.missing(cohort), self._limit)
            if not (state.watch.broken or state.watch.suspected):
                state.known.learn(cohort)

    @property
    def _took(self) -> str:
        """How long labels took, in words. Without times of their own they have the predictions'."""
        delay = self.state.delay
        if delay is None or delay < 1.0:
            return "" if delay is None else ", dated within a second of them"
        return f", after {span(delay)} on average"

    def verdicts(self) -> tuple[Verdict, ...]:
        """`labels`."""
        watch = self.state.watch
        release = self._target.release
        if len(watch.recent) < QUARANTINE:
            reason = f"{QUARANTINE} cohorts are needed to know how many labels come"
            return (describe.unknown("labels", release, self._limit, reason),)
        if watch.share >= 1.0 and not watch.broken:
            reason = "no label has come in time"
            return (describe.unknown("labels", release, self._limit, reason),)
        verdict = Verdict(
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
        return (verdict,)
