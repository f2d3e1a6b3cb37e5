"""Quality before labels come: estimated, doubted when labels contradict it, or refused.

A block of rows is estimated when it closes. A block of labels, the cohort of the predictions made
in it, is held against the estimate's chances once it has matured; where labels are only a sample of
the cohort, they and the predictions together give a prediction-powered mean.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import EstimateProfile, QualityProfile
from trimtab.domain.records import Floats, Ints, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.describe import day
from trimtab.judge.estimate import (
    Learned,
    Refusal,
    Seen,
    cells_of,
    coarse_bins,
    estimate,
    scores_and_sides,
    strange_rows,
    wobble_of,
)
from trimtab.judge.estimate_profile import outcomes
from trimtab.judge.profile import DAY
from trimtab.judge.quality import FEWEST_LABELS, watched
from trimtab.judge.signals.counts import MICRO, Blocks, block_numbers, by_block, values_of
from trimtab.judge.signals.family import COVERED, Breaks, Target
from trimtab.judge.signals.quality import quality_zone
from trimtab.judge.trust import Told, Trust, spread_of
from trimtab.judge.watch import Z99, Watch
from trimtab.stats.combined import Part, combined_interval, jackknife_variance
from trimtab.stats.prediction_powered import Audit

AUDITED = 30
"""Labels of a cohort below which they are no audit."""


class Counted(msgspec.Struct, frozen=True):
    """Rows seen, and per cell the labelled ones, their outcomes and squared outcomes (2**-20)."""

    seen: Seen = Seen()
    labelled: list[int] = []
    hits: list[int] = []
    squares: list[int] = []

    @classmethod
    def told(cls, size: int, cells: Ints, outcome: Floats) -> "Counted":
        """Count labelled rows by their cell, of `size` cells, and their outcome in [0, 1]."""
        sums = [
            np.bincount(cells, np.rint(values * MICRO), minlength=size).astype(np.int64).tolist()
            for values in (outcome, outcome**2)
        ]
        return cls(Seen(), np.bincount(cells, minlength=size).tolist(), *sums)

    def merge(self, other: "Counted") -> "Counted":
        """The counts of both."""
        return Counted(
            self.seen.merge(other.seen),
            _sums(self.labelled, other.labelled),
            _sums(self.hits, other.hits),
            _sums(self.squares, other.squares),
        )


class Shown(msgspec.Struct, frozen=True):
    """The last block that was estimated, or refused for a `reason`."""

    start: float
    n: int
    value: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    reason: str = ""


class Powered(msgspec.Struct, frozen=True):
    """The last cohort with labels for a part of it, by predictions and labels together."""

    start: float
    labelled: int
    predicted: int
    value: float
    lower: float
    upper: float


class State(msgspec.Struct):
    """What changes while quality is estimated. Rows and labels of a block close apart."""

    watch: Watch
    blocks: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    cohorts: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    trust: Trust = msgspec.field(default_factory=Trust)
    shown: Shown | None = None
    powered: Powered | None = None


class Estimated:
    """One stream: the metric that the deployment promises, as expected of the rows at hand."""

    name: ClassVar[str] = "estimate"

    def __init__(self, target: Target, quality: QualityProfile) -> None:
        self._target, self._quality = target, quality
        self._profile = profile = None if target.profile is None else target.profile.estimate
        self._learned = None if profile is None else Learned.of(profile)
        self._columns = () if target.profile is None else target.profile.inputs
        self._limit = target.threshold("estimate", target.block_seconds)
        zone = quality_zone(quality, target.spec.monitor.quality_tolerance)
        self.state: State = State(Watch((zone,), quality.spread, self._limit))

    @classmethod
    def of(cls, target: Target) -> "Estimated | None":
        """Quality is estimated where it is watched."""
        quality = watched(target.spec.monitor, target.profile)
        return None if quality is None else cls(target, quality)

    def count(self, rows: Rows) -> Mapping[int, Counted]:
        """Count answers by cell and by feature."""
        profile = self._profile
        if profile is None:
            return {}
        answered = rows.take(np.asarray(rows.fixed["outcome"] == Outcome.OK, dtype=np.bool_))
        if not self._answers(answered):
            return {}
        parts = by_block(answered, self._target.block_seconds)
        return {number: Counted(self._seen(profile, part)) for number, part in parts}

    def _answers(self, rows: Rows) -> bool:
        """Whether the output that quality goes by is there; a torn segment may have lost it."""
        names = {"binary": "score", "regression": "prediction"}
        return names.get(self._target.signature.task, "label") in rows.outputs

    def _seen(self, profile: EstimateProfile, rows: Rows) -> Seen:
        inputs = self._inputs(rows)
        score, side = scores_and_sides(profile, self._target.signature, inputs, rows.outputs)
        known = np.isfinite(score)
        cells = np.bincount(
            cells_of(profile, score[known], side[known]), minlength=len(profile.chance)
        )
        columns = () if profile.shift is None else profile.shift.columns
        values = {**inputs, "": rows.outputs.get("prediction", score)}
        features = [
            np.bincount(coarse_bins(column, values[column.name][known]), minlength=column.size)
            for column in columns
        ]
        return Seen(
            cells.tolist(),
            [n for bins in features for n in bins.tolist()],
            int(strange_rows(self._columns, inputs).sum()),
            int((~known).sum()),
        )

    def _inputs(self, rows: Rows) -> dict[str, NDArray[Any]]:
        return {column.name: values_of(rows, column) for column in self._columns}

    def learn(self, labelled: Labelled) -> Mapping[int, Counted]:
        """Count labels into the cohorts of their predictions."""
        profile = self._profile
        if profile is None or not self._answers(labelled.rows):
            return {}
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        parts = {number: labelled.take(numbers == number) for number in np.unique(numbers).tolist()}
        return {number: self._told(profile, part) for number, part in parts.items()}

    def _told(self, profile: EstimateProfile, labelled: Labelled) -> Counted:
        signature, outputs = self._target.signature, labelled.rows.outputs
        score, side = scores_and_sides(profile, signature, self._inputs(labelled.rows), outputs)
        outcome = outcomes(signature, self._quality, outputs, labelled.label)
        known = np.isfinite(score) & np.isfinite(outcome)
        cells = cells_of(profile, score[known], side[known])
        return Counted.told(len(profile.chance), cells, outcome[known])

    def take(self, counted: Mapping[int, Counted]) -> None:
        """Late rows count in the oldest open block; what is late for a closed cohort is dropped."""
        state = self.state
        state.blocks.take({n: Counted(each.seen) for n, each in counted.items() if each.seen.cells})
        open_now = {n: each for n, each in counted.items() if not state.cohorts.closed(n)}
        state.cohorts.take(open_now)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Estimate each block that is over, and hold matured cohorts against their estimates."""
        learned = self._learned
        if learned is None:
            return
        state, seconds = self.state, self._target.block_seconds
        for number in state.blocks.due(clock, seconds):
            start, counted = number * seconds, state.blocks.pop(number)
            if not breaks.at(start) and not self._target.partial(start):
                self._judge(learned, start, counted.seen)
        matured = clock - self._target.spec.monitor.maturity_seconds
        for number in state.cohorts.due(clock, seconds):
            start, cohort = number * seconds, state.cohorts.counts[number]
            complete = sum(cohort.labelled) >= COVERED * cohort.seen.n
            if start + seconds > matured and not complete:
                return
            state.cohorts.pop(number)
            if not breaks.overlap(start, start + seconds) and not self._target.partial(start):
                self._compare(learned, start, cohort)

    def _judge(self, learned: Learned, start: float, seen: Seen) -> None:
        state, metric = self.state, self._quality.metric
        made = estimate(learned, seen, metric, self._days)
        if isinstance(made, Refusal):
            state.shown = Shown(start, seen.n, reason=made.reason)
            return
        state.shown = Shown(start, seen.n, made.value, made.lower, made.upper)
        if state.trust.since is None:
            # Only what is outside with its whole interval is evidence of harm.
            near = made.upper if metric == "roc_auc" else made.lower
            trials = self._trials(learned, seen) if metric == "roc_auc" else seen.n
            state.watch.take(start, [near * trials], max(trials, 1))

    @property
    def _days(self) -> float:
        return max(self._target.block_seconds / DAY, 1.0)

    def _trials(self, learned: Learned, seen: Seen) -> int:
        """As many pairs of a positive and a negative as there are disjoint ones."""
        positive = float(np.array(seen.cells) @ learned.chance)
        return int(min(positive, seen.n - positive))

    def _compare(self, learned: Learned, start: float, cohort: Counted) -> None:
        n = sum(cohort.labelled)
        if n >= AUDITED:
            self.state.trust.take(start, self._streams(learned, cohort), self._limit)
        if AUDITED <= n < COVERED * cohort.seen.n:
            self.state.powered = self._powered(learned, start, cohort)

    def _streams(self, learned: Learned, cohort: Counted) -> list[Told | None]:
        """What labels said of the mean loss, of all rows, and of each group of cells."""
        profile, chances = learned.profile, [learned.chance, *learned.without]
        rows, hits = np.array(cohort.labelled), np.array(cohort.hits) / MICRO
        up, down = self._costs(profile) or _pair(profile.costs["brier"])
        wobble = wobble_of(profile, self._loss) if profile.days else None
        lost = hits * (up - down) + rows * down
        expected = [chance * up + (1.0 - chance) * down for chance in chances]
        group = np.array(profile.group)
        every = group >= 0
        masks = [every, *(group == number for number in range(max(profile.group) + 1))]
        drifts: tuple[float | None, ...] = profile.drifts or (None,) * len(masks)
        told = [_told(rows, lost, expected, wobble)]
        for mask, drift in zip(masks, drifts, strict=True):
            within = [chance[mask] for chance in chances]
            told.append(_told(rows[mask], hits[mask], within, drift))
        return told

    @property
    def _loss(self) -> str:
        """The loss that stands for the watched metric."""
        return "brier" if self._quality.metric == "roc_auc" else self._quality.metric

    def _powered(self, learned: Learned, start: float, cohort: Counted) -> Powered | None:
        """The mean loss of a cohort with labels for a sample; None for what is no such mean."""
        costs = self._costs(learned.profile)
        if costs is None:
            return None
        up, down = costs
        rows = np.array(cohort.seen.cells, dtype=np.float64)
        labelled = np.minimum(np.array(cohort.labelled, dtype=np.float64), rows)
        hits, squares = np.array(cohort.hits) / MICRO, np.array(cohort.squares) / MICRO
        chance, gain = learned.chance, up - down
        audit = Audit(
            predicted=chance * up + (1.0 - chance) * down,
            rows=rows,
            labelled=labelled,
            lost=hits * gain + labelled * down,
            squares=squares * gain**2 + 2.0 * hits * gain * down + labelled * down**2,
        )
        mean = audit.mean()
        if mean is None:
            return None
        n = int(labelled.sum())
        ends = combined_interval(mean.value, [Part(mean.variance, n - 1)])
        return Powered(
            start, n, int(rows.sum()), mean.value, max(ends.lower, 0.0), min(ends.upper, 1.0)
        )

    def _costs(self, profile: EstimateProfile) -> tuple[Floats, Floats] | None:
        """Loss of a cell's row by its outcome, 1 and 0; None for the AUC."""
        metric, size = self._quality.metric, len(profile.chance)
        if metric in profile.costs:
            return _pair(profile.costs[metric])
        if profile.residual:
            return np.ones(size), np.zeros(size)
        if "roc_auc" not in profile.metrics:
            return np.zeros(size), np.ones(size)
        decided = np.repeat([0.0, 1.0], size // 2)
        return None if metric == "roc_auc" else (1.0 - decided, decided)

    def verdicts(self) -> tuple[Verdict, ...]:
        """`estimate`."""
        watch, shown, trust = self.state.watch, self.state.shown, self.state.trust
        reason = self._missing() if shown is None else f"not estimated: {shown.reason}"
        unknown = describe.unknown("estimate", self._target.release, self._limit, reason)
        bare = msgspec.structs.replace(
            unknown, evidence_log10=watch.log10_evidence, reference=self._quality.value
        )
        if trust.since is not None:
            return (self._doubted(bare),)
        if shown is None or shown.reason:
            return (bare,)
        return (self._estimated(bare, shown),)

    def _missing(self) -> str:
        if self._profile is not None:
            return "no block of predictions has closed yet"
        if self._quality.n < FEWEST_LABELS:
            return f"the reference has {self._quality.n} labels, {FEWEST_LABELS} are needed"
        return "the release was built before quality was estimated, or for too many classes"

    def _doubted(self, bare: Verdict) -> Verdict:
        trust, powered = self.state.trust, self.state.powered
        reason = f"not trusted since {day(trust.since or 0.0)}, {trust.reason}"
        if powered is None:
            return msgspec.structs.replace(bare, reason=reason)
        return msgspec.structs.replace(
            bare,
            reason=f"{reason}; {self._sampled(powered)}",
            estimate=powered.value,
            lower=powered.lower,
            upper=powered.upper,
            n=powered.labelled,
        )

    def _sampled(self, powered: Powered) -> str:
        return (
            f"by labels for {powered.labelled} of {powered.predicted} rows of {day(powered.start)} "
            f"{self._quality.metric} {powered.value:.4g} [{powered.lower:.4g}, {powered.upper:.4g}]"
        )

    def _estimated(self, bare: Verdict, shown: Shown) -> Verdict:
        watch, powered = self.state.watch, self.state.powered
        zone = watch.zones[0]
        border = f"up to {zone.high:.4g}" if zone.high is not None else f"from {zone.low or 0:.4g}"
        sampled = "" if powered is None else f"; {self._sampled(powered)}"
        return msgspec.structs.replace(
            bare,
            verdict="ok" if watch.since is None else "bad",
            reason=(
                f"{self._quality.metric} without labels {shown.value:.4g} "
                f"[{shown.lower:.4g}, {shown.upper:.4g}] from {day(shown.start)} (n={shown.n}), "
                f"harmless {border}{sampled}; if labels still go by scores as they did"
            ),
            estimate=shown.value,
            lower=shown.lower,
            upper=shown.upper,
            n=shown.n,
            since=watch.since,
        )


def _pair(costs: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[Floats, Floats]:
    return np.array(costs[0]), np.array(costs[1])


def _told(
    rows: NDArray[np.int64], sums: Floats, expected: list[Floats], variance: float | None
) -> Told | None:
    """Cells with their labelled rows, the sums over these, and the means expected: by the whole
    reference, then without each fold."""
    n = int(rows.sum())
    if n == 0:
        return None
    known, *without = (float(rows @ mean) / n for mean in expected)
    error = Z99 * math.sqrt(jackknife_variance(without))
    return Told(n, float(sums.sum()) / n, known, error, spread_of(variance))


def _sums(left: list[int], right: list[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)] if left and right else left or right
