"""Realised quality: what predictions were worth once their labels are known."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.profile import QualityProfile
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.quality import (
    AUC_BINS,
    FEWEST_LABELS,
    Metric,
    Told,
    auc_of_counts,
    losses,
    score_bins,
    watched,
)
from trimtab.judge.signals.counts import MICRO, Blocks, block_numbers, by_block, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import REMEMBERED, Watch, Zone

FEWEST_ROWS = 30
"""Labelled rows of a day that is judged as one observation."""

QUALITY_TOLERANCE = 0.01
AUC_TOLERANCE = 0.02


class Cohort(msgspec.Struct, frozen=True):
    """Predictions made in one block, and what their labels said so far.

    `unusable` counts labels of rows without a usable output; `loss` and `gap` (label minus score)
    are in units of 2**-20; `up` and `down` count positives and negatives by score.
    """

    predicted: int = 0
    labelled: int = 0
    unusable: int = 0
    loss: int = 0
    gap: int = 0
    up: list[int] = []
    down: list[int] = []

    @classmethod
    def of(cls, quality: QualityProfile, signature: Signature, known: Labelled) -> "Cohort":
        """Count labelled rows; those without a usable output have no loss."""
        if signature.task == "binary":
            told = Told.of(signature, known.rows.outputs["score"], known.label)
            return cls.told(quality, signature.threshold, told)
        loss = losses(quality.metric, signature, known.rows.outputs, known.label) / quality.scale
        usable = ~np.isnan(loss)
        return cls(
            labelled=int(usable.sum()),
            unusable=int((~usable).sum()),
            loss=int(np.rint(np.minimum(loss[usable], 1.0) * MICRO).sum()),
        )

    @classmethod
    def told(cls, quality: QualityProfile, threshold: float, told: Told) -> "Cohort":
        """Count labelled rows of a binary task."""
        score, truth = usable = told.usable
        loss = usable.losses(quality.metric, threshold) / quality.scale
        bins = score_bins(score)
        every = np.bincount(bins, minlength=AUC_BINS)
        up = np.bincount(bins[truth], minlength=AUC_BINS)
        return cls(
            labelled=score.size,
            unusable=told.score.size - score.size,
            loss=int(np.rint(np.minimum(loss, 1.0) * MICRO).sum()),
            gap=int(np.rint((truth - score) * MICRO).sum()),
            up=up.tolist(),
            down=(every - up).tolist(),
        )

    def merge(self, other: "Cohort") -> "Cohort":
        """The counts of both."""
        return Cohort(
            self.predicted + other.predicted,
            self.labelled + other.labelled,
            self.unusable + other.unusable,
            self.loss + other.loss,
            self.gap + other.gap,
            sums(self.up, other.up),
            sums(self.down, other.down),
        )

    def measured(self, metric: Metric) -> tuple[float, int] | None:
        """Total and trials of the metric in [0, 1]; None while it cannot be measured.

        The AUC over all pairs stands for as many trials as there are disjoint pairs: by Jensen's
        inequality a bet settled on it grows no more, in expectation, than on disjoint pairs
        (Hoeffding, JASA 1963, section 5).
        """
        if metric != "roc_auc":
            return (self.loss / MICRO, self.labelled) if self.labelled else None
        pairs = min(sum(self.up), sum(self.down))
        if not pairs:
            return None
        return auc_of_counts(np.array(self.up), np.array(self.down)) * pairs, pairs


class Gap(msgspec.Struct, frozen=True):
    """Mean of label minus score in the block that began at `start`."""

    start: float
    n: int
    mean: float


class State(msgspec.Struct):
    """What changes while quality is watched. Counts are predictions; `late`, `excluded` and
    `unusable` labels were no evidence."""

    watch: Watch
    gaps: list[Gap] = []
    late: int = 0
    excluded: int = 0
    unusable: int = 0
    predicted: int = 0
    labelled: int = 0
    blocks: Blocks[Cohort] = msgspec.field(default_factory=Blocks[Cohort])


class Quality:
    """One stream: the metric that the deployment promises, by cohort of the prediction's time."""

    name: ClassVar[str] = "quality"

    def __init__(self, target: Target, quality: QualityProfile) -> None:
        self._target, self.quality = target, quality
        zone = quality_zone(quality, target.spec.monitor.quality_tolerance)
        limit = target.threshold("quality", target.block_seconds)
        self.state: State = State(Watch((zone,), quality.spread, limit, summed=True))

    @classmethod
    def of(cls, target: Target) -> "Quality | None":
        """Quality is watched where the reference had labels, unless it is switched off."""
        quality = watched(target.spec.monitor, target.profile)
        return None if quality is None else cls(target, quality)

    def count(self, rows: Rows) -> Mapping[int, Cohort]:
        """Count predictions."""
        answered = rows.take(np.asarray(rows.fixed["outcome"] == Outcome.OK, dtype=np.bool_))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Cohort(predicted=len(part)) for number, part in parts}

    def learn(self, labelled: Labelled) -> Mapping[int, Cohort]:
        """Count labels into the cohorts of their predictions."""
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        parts = {number: labelled.take(numbers == number) for number in np.unique(numbers).tolist()}
        signature = self._target.signature
        return {n: Cohort.of(self.quality, signature, part) for n, part in parts.items()}

    def take(self, counted: Mapping[int, Cohort]) -> None:
        """Labels of a closed cohort are late: counted, and no evidence."""
        blocks = self.state.blocks
        late = [cohort for number, cohort in counted.items() if blocks.closed(number)]
        self.state.late += sum(cohort.labelled + cohort.unusable for cohort in late)
        blocks.take({n: cohort for n, cohort in counted.items() if not blocks.closed(n)})

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge cohorts in order, each once its labels have matured or nearly all are there."""
        blocks, seconds = self.state.blocks, self._target.block_seconds
        for number in blocks.due(clock, seconds):
            cohort = blocks.counts[number]
            if not self._target.ripe(number, clock, cohort.predicted, cohort.labelled):
                return
            blocks.pop(number)
            broken = breaks.overlap(number * seconds, (number + 1) * seconds)
            self._judge(number * seconds, cohort, broken)

    def _judge(self, start: float, cohort: Cohort, broken: bool) -> None:
        state, measured = self.state, cohort.measured(self.quality.metric)
        state.unusable += cohort.unusable
        few = self.quality.spread is not None and cohort.labelled < FEWEST_ROWS
        small = few or self.quality.n < FEWEST_LABELS
        if measured is None or broken or small or self._target.partial(start):
            state.excluded += cohort.labelled
            return
        state.predicted += cohort.predicted
        state.labelled += cohort.labelled
        gap = Gap(start, cohort.labelled, cohort.gap / MICRO / cohort.labelled)
        state.gaps = [*state.gaps, gap][-REMEMBERED:]
        state.watch.take(start, [measured[0]], measured[1])

    def verdicts(self) -> tuple[Verdict, ...]:
        """`quality`."""
        if self.quality.n < FEWEST_LABELS:
            reason = f"the reference has {self.quality.n} labels, {FEWEST_LABELS} are needed"
            limit = self.state.watch.log10_threshold
            return (describe.unknown("quality", self._target.release, limit, reason),)
        subject = describe.Subject(self.quality.metric, self.quality.value, note=self.labels)
        return (describe.verdict("quality", self.state.watch, self._target.release, subject),)

    @property
    def labels(self) -> str:
        """How complete the labels are, in words."""
        state = self.state
        share = f"labels for {state.labelled / max(state.predicted, 1):.0%} of the predictions"
        parts = [share if state.predicted else "no cohort of predictions has its labels yet"]
        if state.late:
            parts.append(f"{state.late} came too late to count")
        if state.excluded:
            left_out = "were left out (an upstream break, part of a day, or too few)"
            parts.append(f"{state.excluded} {left_out}")
        if state.unusable:
            parts.append(f"{state.unusable} had no usable score or label")
        return ", ".join(parts)

    @property
    def gap(self) -> float | None:
        """Mean of label minus score since quality fell; None while it has not."""
        since = self.state.watch.since
        gaps = [gap for gap in self.state.gaps if since is not None and gap.start >= since]
        if not gaps:
            return None
        return float(np.average([gap.mean for gap in gaps], weights=[gap.n for gap in gaps]))


def quality_zone(quality: QualityProfile, tolerance: float | None) -> Zone:
    """The harm-free zone: what the release showed, as surely as it is known, and a tolerance.

    A tolerance of the user's own counts from the value, and nothing is added to it.
    """
    if quality.metric == "roc_auc":
        floor = quality.value - (AUC_TOLERANCE if tolerance is None else tolerance)
        return Zone(floor if tolerance is not None else min(floor, quality.lower), None)
    own = max(QUALITY_TOLERANCE, 0.05 * quality.value) if tolerance is None else tolerance
    top = quality.value + own
    return Zone(None, top if tolerance is not None else max(top, quality.upper))
