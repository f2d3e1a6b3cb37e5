"""Realised quality: what predictions were worth once their labels are known."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.plurals import many
from trimtab.domain.profile import RISING, QualityProfile
from trimtab.domain.records import Floats, Labelled, Outcome, Rows
from trimtab.domain.signature import Signature
from trimtab.judge import describe
from trimtab.judge.own_loss import Clipped, OwnLoss, Row
from trimtab.judge.quality import (
    AUC_BINS,
    FEWEST_LABELS,
    RATIOS,
    Decided,
    Told,
    auc_of_counts,
    decisions,
    scaled_losses,
    score_bins,
)
from trimtab.judge.said import Entry, Verdicts
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import REMEMBERED, Z99, Block, Watch, Zone, take_all
from trimtab.stats.fixed_point import MICRO

FEWEST_ROWS = 30
"""Labelled rows of a day that is judged as one observation."""

FLOORS = {"log_loss": 0.0025, **dict.fromkeys(RISING, 0.01)}
"""Least tolerance of a metric in [0, 1], where it is not .005. The log loss of a good model is a
small part of its bound; what counts pairs, or only rows of a class, has fewer trials."""

FLOOR = 0.005
RELATIVE = 0.03
WEEK = 7.0


class Cohort(msgspec.Struct, frozen=True):
    """Predictions made in one block, and what their labels said so far.

    `unusable` counts labels of rows without a usable output; `losses` (by metric) and `gap` (label
    minus score) are in units of 2**-20; `clipped` losses of the user's own were outside their
    bounds; `up` and `down` count positives and negatives by score,
    `right` and `wrong` decisions by class of the truth.
    """

    predicted: int = 0
    labelled: int = 0
    unusable: int = 0
    losses: dict[str, int] = {}
    gap: int = 0
    up: list[int] = []
    down: list[int] = []
    right: list[int] = []
    wrong: list[int] = []
    clipped: int = 0

    @classmethod
    def of(
        cls,
        qualities: tuple[QualityProfile, ...],
        signature: Signature,
        known: Labelled,
        own: Floats | None = None,
    ) -> "Cohort":
        """Count labelled rows; one that any of the metrics cannot use is used for none.

        `own` are losses of the user's own, in units of their bound, where they are among the
        metrics and were not calculated by their formula."""
        outputs, label = known.rows.outputs, known.label
        own = _own_losses(qualities, signature, known) if own is None else own
        if signature.task == "binary":
            told = Told.of(signature, outputs["score"], label)
            return cls.told(qualities, signature.threshold, told, own)
        given = _given(qualities, own, lambda each: scaled_losses(each, signature, outputs, label))
        usable = ~np.isnan(np.sum(given, axis=0))
        cohort = cls(
            labelled=int(usable.sum()),
            unusable=int((~usable).sum()),
            losses=_losses(qualities, [loss[usable] for loss in given]),
            clipped=0 if own is None else Clipped.of(own[usable]).outside,
        )
        if not _asks_for_decisions(qualities):
            return cohort
        decided, truth = decisions(signature, outputs, label)
        found = Decided.of_places(decided[usable], truth[usable], len(signature.classes))
        return msgspec.structs.replace(cohort, right=found.right, wrong=found.wrong)

    @classmethod
    def told(
        cls,
        qualities: tuple[QualityProfile, ...],
        threshold: float,
        told: Told,
        own: Floats | None = None,
    ) -> "Cohort":
        """Count labelled rows of a binary task; `own` as above."""
        if own is not None:
            told = told.where(~np.isnan(own))
            own = own[~np.isnan(told.score)]
        score, truth = usable = told.usable
        given = _given(qualities, own, lambda each: usable.scaled(each, threshold))
        bins = score_bins(score)
        down, up = np.bincount(2 * bins + truth, minlength=2 * AUC_BINS).reshape(-1, 2).T
        cohort = cls(
            labelled=score.size,
            unusable=told.score.size - score.size,
            losses=_losses(qualities, given),
            gap=int(np.rint((truth - score) * MICRO).sum()),
            up=up.tolist(),
            down=down.tolist(),
            clipped=0 if own is None else Clipped.of(own).outside,
        )
        if not _asks_for_decisions(qualities):
            return cohort
        found = Decided.of_places(*usable.decisions(threshold), 2)
        return msgspec.structs.replace(cohort, right=found.right, wrong=found.wrong)

    def merge(self, other: "Cohort") -> "Cohort":
        """The counts of both."""
        metrics = self.losses or other.losses
        return Cohort(
            self.predicted + other.predicted,
            self.labelled + other.labelled,
            self.unusable + other.unusable,
            {name: self.losses.get(name, 0) + other.losses.get(name, 0) for name in metrics},
            self.gap + other.gap,
            sums(self.up, other.up),
            sums(self.down, other.down),
            sums(self.right, other.right),
            sums(self.wrong, other.wrong),
            self.clipped + other.clipped,
        )

    def measured(self, metric: str) -> tuple[float, int] | None:
        """Total and trials of the metric in [0, 1]; None while it cannot be measured.

        The AUC over all pairs stands for as many trials as there are disjoint pairs: by Jensen's
        inequality a bet settled on it grows no more, in expectation, than on disjoint pairs
        (Hoeffding, JASA 1963, section 5). Metrics of decisions: see `Decided.measured`.
        """
        if metric in RATIOS:
            found = Decided(self.right, self.wrong).measured(metric) if self.labelled else None
            return None if found is None else (found[0] * found[1], found[1])
        if metric != "roc_auc":
            return (self.losses[metric] / MICRO, self.labelled) if self.labelled else None
        pairs = min(sum(self.up), sum(self.down))
        if not pairs:
            return None
        return auc_of_counts(np.array(self.up), np.array(self.down)) * pairs, pairs


def _given(
    qualities: tuple[QualityProfile, ...],
    own: Floats | None,
    scaled: Callable[[QualityProfile], Floats],
) -> list[Floats]:
    """What rows lose by each metric, a loss of the user's own as it was calculated."""
    return [
        own if own is not None and each.metric == "loss" else scaled(each) for each in qualities
    ]


def _losses(qualities: tuple[QualityProfile, ...], given: list[Floats]) -> dict[str, int]:
    return {
        quality.metric: int(np.rint(Clipped.of(loss).loss * MICRO).sum())
        for quality, loss in zip(qualities, given, strict=True)
    }


def _own_losses(
    qualities: tuple[QualityProfile, ...], signature: Signature, known: Labelled
) -> Floats | None:
    """What rows lose by a formula that is among the metrics."""
    quality = next((each for each in qualities if each.formula), None)
    if quality is None:
        return None
    return OwnLoss(quality.formula, quality.scale).of(signature, Row.of(known))


def _asks_for_decisions(qualities: tuple[QualityProfile, ...]) -> bool:
    return any(quality.metric in RATIOS for quality in qualities)


class Gap(msgspec.Struct, frozen=True):
    """Mean of label minus score in the block that began at `start`."""

    start: float
    n: int
    mean: float


class State(msgspec.Struct):
    """What changes while quality is watched: a watch for each metric, by its name. Counts are
    predictions; `late`, `excluded` and `unusable` labels were no evidence. `early` are the labels
    that were, and `lagging` those that came too late, with what they lost."""

    watches: dict[str, Watch]
    gaps: list[Gap] = []
    late: int = 0
    early: Cohort = Cohort()
    lagging: Cohort = Cohort()
    excluded: int = 0
    unusable: int = 0
    predicted: int = 0
    labelled: int = 0
    clipped: int = 0
    blocks: Blocks[Cohort] = msgspec.field(default_factory=Blocks[Cohort])


class Quality:
    """The metrics that the deployment promises, by cohort of the prediction's time.

    The first of them is the signal `quality`, any other `quality:METRIC`; they share the weight of
    `quality` in the alarm budget alike, those included that cannot be watched.
    """

    name: ClassVar[str] = "quality"

    def __init__(self, target: Target) -> None:
        self._target, self._lacking = target, target.lacking
        self._described = describe.Described(target.release)
        self.qualities = target.qualities
        self._qualities: dict[str, QualityProfile] = {q.metric: q for q in self.qualities}
        limit = target.threshold("quality", target.block_seconds, len(target.metrics))
        self._limit = limit
        self.state: State = State(
            {
                metric: Watch(
                    (target_zone(target, quality),), quality.spread, limit, summed=True, eased=True
                )
                for metric, quality in self._qualities.items()
            }
        )

    @classmethod
    def of(cls, target: Target) -> "Quality | None":
        """Quality is watched where the reference had labels, unless it is switched off."""
        return cls(target) if target.metrics else None

    def count(self, rows: Rows) -> Mapping[int, Cohort]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Cohort(predicted=len(part)) for number, part in parts}

    def learn(self, labelled: Labelled) -> Mapping[int, Cohort]:
        """Count labels into the cohorts of their predictions."""
        qualities, signature = self.qualities, self._target.signature
        if not qualities:
            return {}
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        parts = {number: labelled.take(numbers == number) for number in np.unique(numbers).tolist()}
        return {n: Cohort.of(qualities, signature, part) for n, part in parts.items()}

    def take(self, counted: Mapping[int, Cohort]) -> None:
        """Labels of a closed cohort are late: counted, and no evidence."""
        blocks = self.state.blocks
        late = [cohort for number, cohort in counted.items() if blocks.closed(number)]
        self.state.late += sum(cohort.labelled + cohort.unusable for cohort in late)
        for cohort in late:
            self.state.lagging = self.state.lagging.merge(_lost(cohort))
        self._target.gather(blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge cohorts in order, each once its labels have matured or nearly all are there."""
        seconds = self._target.block_seconds
        for start, cohort in self._target.ripe(self.state.blocks, clock - breaks.ahead):
            self._judge(start, cohort, breaks.overlap(start, start + seconds))

    def _judge(self, start: float, cohort: Cohort, broken: bool) -> None:
        state = self.state
        state.unusable += cohort.unusable
        measured = {
            metric: found
            for metric, quality in self._qualities.items()
            if (found := cohort.measured(metric)) is not None and not _few(quality, cohort)
        }
        if not measured or broken or self._target.partial(start):
            state.excluded += cohort.labelled
            return
        state.predicted += cohort.predicted
        state.labelled += cohort.labelled
        state.clipped += cohort.clipped
        state.early = state.early.merge(_lost(cohort))
        gap = Gap(start, cohort.labelled, cohort.gap / MICRO / cohort.labelled)
        state.gaps = [*state.gaps, gap][-REMEMBERED:]
        take_all(
            [
                Block(state.watches[metric], start, [total], trials)
                for metric, (total, trials) in measured.items()
            ]
        )

    def verdicts(self) -> Verdicts:
        """`quality`, and one of each further metric."""
        return Verdicts(self._verdict(metric) for metric in self._target.metrics)

    def _verdict(self, metric: str) -> Entry:
        signal, release = self._target.signal("quality", metric), self._target.release
        if metric in self._lacking:
            reason = f"{metric} cannot be watched: {self._lacking[metric]}"
            return describe.unknown(signal, release, self._limit, reason)
        quality = self._qualities[metric]
        if quality.n < FEWEST_LABELS:
            reason = f"the reference has {many(quality.n, 'label')}, {FEWEST_LABELS} are needed"
            return describe.unknown(signal, release, self._limit, reason)
        note = f"{self.labels}{self._outside(quality)}{self._apart(metric)}"
        subject = describe.Subject(metric, quality.value, note=note, scale=quality.scale)
        return self._described.verdict(signal, self.state.watches[metric], subject)

    def _outside(self, quality: QualityProfile) -> str:
        """How many losses of the user's own were clipped, in words."""
        share = self.state.clipped / max(self.state.labelled, 1)
        if not quality.formula or not share:
            return ""
        return (
            f", {share:.1%} of the losses were outside 0 to {quality.scale:g}, "
            f"{quality.clipped:.1%} on the reference"
        )

    def _apart(self, metric: str) -> str:
        """What labels that came too late say, beside those that were evidence, in words."""
        late, early = self.state.lagging, self.state.early
        if metric in RISING or min(late.labelled, early.labelled) < FEWEST_ROWS:
            return ""
        told = self._qualities[metric].told
        lost = [told(each.losses[metric] / MICRO / each.labelled) for each in (late, early)]
        return f", {metric} {lost[0]:.4g} of those that came too late, {lost[1]:.4g} of the others"

    @property
    def labels(self) -> str:
        """How complete the labels are, in words."""
        state = self.state
        share = f"labels for {state.labelled / max(state.predicted, 1):.0%} of the predictions"
        none = "counts yet" if state.excluded else "has its labels yet"
        parts = [share if state.predicted else f"no cohort of predictions {none}"]
        if state.late:
            parts.append(f"{state.late:,} came too late to count")
        if state.excluded:
            left_out = "were left out (an upstream break, part of a day, or too few)"
            parts.append(f"{state.excluded:,} {left_out}")
        if state.unusable:
            parts.append(f"{state.unusable:,} had no usable score or label")
        return ", ".join(parts)

    @property
    def fell(self) -> dict[str, float]:
        """The metrics that are in alarm, and since when."""
        watches = self.state.watches.items()
        return {metric: watch.since for metric, watch in watches if watch.since is not None}

    @property
    def gap(self) -> float | None:
        """Mean of label minus score since quality fell; None while it has not."""
        fell = self.fell.values()
        gaps = [gap for gap in self.state.gaps if fell and gap.start >= min(fell)]
        if not gaps:
            return None
        return float(np.average([gap.mean for gap in gaps], weights=[gap.n for gap in gaps]))


def _lost(cohort: Cohort) -> Cohort:
    """Of a cohort, what its labels lost."""
    return Cohort(labelled=cohort.labelled, losses=cohort.losses)


def _few(quality: QualityProfile, cohort: Cohort) -> bool:
    """Whether a reference, or a day that is one observation, has too few labels to judge."""
    few = quality.spread is not None and cohort.labelled < FEWEST_ROWS
    return few or quality.n < FEWEST_LABELS


def target_zone(target: Target, quality: QualityProfile) -> Zone:
    """The harm-free zone of a metric in a deployment: by its own tolerance, if it has one."""
    own = target.spec.monitor.tolerances.get(f"quality:{quality.metric}")
    return quality_zone(quality, target.spec.monitor.quality_tolerance if own is None else own)


def quality_zone(quality: QualityProfile, tolerance: float | None) -> Zone:
    """The harm-free zone: what the release showed, as surely as it is known, and a tolerance.

    A tolerance of the user's own, in the unit of the metric, counts from the value, and nothing is
    added to it.
    """
    value, rising = quality.value, quality.metric in RISING
    if tolerance is not None:
        own = tolerance / quality.scale
        return Zone(value - own, None) if rising else Zone(None, value + own)
    width = learned_tolerance(quality)
    if rising:
        return Zone(min(value - width, quality.lower), None)
    return Zone(None, max(value + width, quality.upper))


def learned_tolerance(quality: QualityProfile) -> float:
    """How far from the reference is harmless: a floor, or what an ordinary week differs by.

    The latter is the standard deviation of the mean of seven days, as days of the reference differ;
    it keeps a long reference, whose mean is known well, from taking each bad week for harm.
    """
    least = FLOORS.get(quality.metric, FLOOR)
    if quality.metric not in RISING:
        least = max(least, RELATIVE * quality.value)
    return max(least, (quality.spread or 0.0) / Z99 / math.sqrt(WEEK))
