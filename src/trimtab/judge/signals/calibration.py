"""Calibration: do scores still come true as they say?"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.plurals import many
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.quality import FEWEST_LABELS, Told
from trimtab.judge.reach import LATELY
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Watch, Zone
from trimtab.stats.fixed_point import MICRO

TOLERANCE = 0.02
"""Mean of label minus score that may move without harm."""

FEWEST_ROWS = 30
"""Labelled rows of a cohort below which its mean says too little."""

Z99 = 2.5758


class Matured(msgspec.Struct, frozen=True):
    """Predictions of a block; of those with a usable label and score their number, the positives
    among them, and the sum of their scores in units of 2**-20."""

    predicted: int = 0
    labelled: int = 0
    positive: int = 0
    score: int = 0

    @classmethod
    def told(cls, told: Told) -> "Matured":
        """Count labelled rows."""
        score, positive = told.usable
        whole = np.rint(score * MICRO).astype(np.int64)
        return cls(0, score.size, int(positive.sum()), int(whole.sum()))

    def merge(self, other: "Matured") -> "Matured":
        """The counts of both."""
        return Matured(
            self.predicted + other.predicted,
            self.labelled + other.labelled,
            self.positive + other.positive,
            self.score + other.score,
        )


class State(msgspec.Struct):
    """What changes while calibration is watched; `scores` are mean scores by the start of a block,
    as many as the watch remembers."""

    watch: Watch
    scores: dict[float, float] = {}
    blocks: Blocks[Matured] = msgspec.field(default_factory=Blocks[Matured])


class Calibration:
    """The share of positives, against what the scores of the very same rows promised.

    The border of a block is the mean of its scores, known before its labels, so the promise of the
    e-detector holds: rows of unequal chances gain no more than rows of their mean, as the logarithm
    is concave.
    """

    name: ClassVar[str] = "calibration"

    def __init__(self, target: Target, profile: ReferenceProfile, gap: float) -> None:
        self._target, self._gap, self._rows = target, gap, profile.calibration_rows
        spread = profile.calibration_spread
        days = Z99 * 0.5 / np.sqrt(self._rows) if spread is None else spread / np.sqrt(profile.days)
        self.width = target.tolerance("calibration", TOLERANCE) + float(days)
        """How far the gap may be from that of the reference, its error included."""
        limit = target.threshold("calibration", target.block_seconds)
        self.state: State = State(Watch((self._zone(0.5),), spread, limit))

    def _zone(self, score: float) -> Zone:
        """Where the share of positives may be when scores are that high on average."""
        return Zone(score + self._gap - self.width, score + self._gap + self.width)

    @classmethod
    def of(cls, target: Target) -> "Calibration | None":
        """Scores are watched where the reference had labels, unless quality is switched off."""
        profile, off = target.profile, target.spec.monitor.quality == "none"
        # Profiles of older releases do not tell how surely they know their gap.
        if off or profile is None or profile.calibration is None or not profile.calibration_rows:
            return None
        return cls(target, profile, profile.calibration)

    def count(self, rows: Rows) -> Mapping[int, Matured]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Matured(len(part)) for number, part in parts}

    def learn(self, labelled: Labelled) -> Mapping[int, Matured]:
        """Count labels into the cohorts of their predictions."""
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        score = labelled.rows.outputs["score"]
        told = Told.of(self._target.signature, score, labelled.label)
        parts = {number: numbers == number for number in np.unique(numbers).tolist()}
        return {number: Matured.told(told.take(rows)) for number, rows in parts.items()}

    def take(self, counted: Mapping[int, Matured]) -> None:
        """What is late for a closed cohort is dropped."""
        self._target.gather(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge the cohorts whose labels have matured, but for those with a broken feed."""
        seconds = self._target.block_seconds
        for start, cohort in self._target.ripe(self.state.blocks, clock - breaks.ahead):
            few = cohort.labelled < FEWEST_ROWS or self._rows < FEWEST_LABELS
            broken = breaks.overlap(start, start + seconds)
            if not (few or broken or self._target.partial(start)):
                self._judge(start, cohort)

    def _judge(self, start: float, cohort: Matured) -> None:
        watch, score = self.state.watch, cohort.score / MICRO / cohort.labelled
        watch.take(start, [float(cohort.positive)], cohort.labelled, (self._zone(score),))
        kept = {point.start for point in watch.history}
        scores = {**self.state.scores, start: score}
        self.state.scores = {at: score for at, score in scores.items() if at in kept}

    def verdicts(self) -> tuple[Verdict, ...]:
        """`calibration`: label minus score."""
        watch, release = self.state.watch, self._target.release
        if self._rows < FEWEST_LABELS:
            reason = f"the reference has {many(self._rows, 'label')}, {FEWEST_LABELS} are needed"
            return (describe.unknown("calibration", release, watch.log10_threshold, reason),)
        bare = describe.verdict("calibration", watch, release, describe.Subject("", None))
        if bare.verdict == "unknown":
            return (bare,)
        return (self._told(bare),)

    def _told(self, bare: Verdict) -> Verdict:
        """In terms of the gap: the watch knows shares of positives only."""
        watch = self.state.watch
        shown = watch.history[-LATELY:]
        if watch.since is not None:
            shown = [p for p in watch.history if p.start >= watch.since]
        n = sum(point.n for point in shown)
        gap = sum((p.mean - self.state.scores[p.start]) * p.n for p in shown) / n
        when = "lately" if watch.since is None else f"since {describe.day(watch.since)}"
        return msgspec.structs.replace(
            bare,
            reason=f"label minus score {gap:+.4g} {when} (n={n}), {self._gap:+.4g} on the "
            f"reference, harmless within {self.width:.3g} of that",
            estimate=gap,
            lower=None,
            upper=None,
            reference=self._gap,
            tolerance=self.width,
        )
