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

from trimtab.domain.profile import (
    RISING,
    EstimateProfile,
    QualityProfile,
    ReferenceProfile,
)
from trimtab.domain.records import Floats, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.audit import asked
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
    with_costs,
    wobble_of,
)
from trimtab.judge.estimate_profile import outcomes
from trimtab.judge.explained import Explained, Split, explained, split
from trimtab.judge.labelled_part import FEWEST, Audited, Outcomes, Powered, Priced, powered
from trimtab.judge.profile import DAY
from trimtab.judge.quality import FEWEST_LABELS
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block, values_of
from trimtab.judge.signals.family import COVERED, Breaks, Target
from trimtab.judge.signals.quality import target_zone
from trimtab.judge.trust import Told, Trust, spread_of
from trimtab.judge.watch import REMEMBERED, Z99, Watch
from trimtab.stats.combined import jackknife_variance
from trimtab.stats.fixed_point import MICRO


class Counted(msgspec.Struct, frozen=True):
    """Rows seen, what labels told of them, how many were `asked` for in the audit, and what the
    labels of these told."""

    seen: Seen = Seen()
    told: Outcomes = Outcomes()
    asked: int = 0
    audited: Outcomes = Outcomes()

    def merge(self, other: "Counted") -> "Counted":
        """The counts of both."""
        return Counted(
            self.seen.merge(other.seen),
            self.told.merge(other.told),
            self.asked + other.asked,
            self.audited.merge(other.audited),
        )


class Shown(msgspec.Struct, frozen=True):
    """The last block that was estimated, or refused for a `reason`."""

    start: float
    n: int
    value: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    reason: str = ""


class Stream(msgspec.Struct):
    """What changes of one metric."""

    watch: Watch
    shown: Shown | None = None
    powered: Powered | None = None
    splits: list[Split] = []


class State(msgspec.Struct):
    """What changes while quality is estimated, by metric. Rows and labels of a block close
    apart."""

    streams: dict[str, Stream]
    blocks: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    cohorts: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    trust: Trust = msgspec.field(default_factory=Trust)
    audit: Audited = msgspec.field(default_factory=Audited)


class Estimated:
    """The metrics that the deployment promises, as expected of the rows at hand.

    As of `quality`, the first is the signal `estimate`, any other `estimate:METRIC`.
    """

    name: ClassVar[str] = "estimate"

    def __init__(self, target: Target, reference: ReferenceProfile) -> None:
        self._target, self._columns = target, reference.inputs
        self._basis = reference.quality[0]
        self._qualities: dict[str, QualityProfile] = {q.metric: q for q in target.qualities}
        self._profile = _profile(reference, target.qualities)
        self._learned = None if self._profile is None else Learned.of(self._profile)
        self._limit = target.threshold("estimate", target.block_seconds, len(self._qualities))
        self.state: State = State(
            {
                metric: Stream(Watch((target_zone(target, quality),), quality.spread, self._limit))
                for metric, quality in self._qualities.items()
            }
        )

    @classmethod
    def of(cls, target: Target) -> "Estimated | None":
        """Quality is estimated where it is watched."""
        profile = target.profile
        return None if profile is None or not target.qualities else cls(target, profile)

    def count(self, rows: Rows) -> Mapping[int, Counted]:
        """Count answers by cell and by feature."""
        profile = self._profile
        if profile is None:
            return {}
        answered = rows.take(np.asarray(rows.fixed["outcome"] == Outcome.OK, dtype=np.bool_))
        if not self._answers(answered):
            return {}
        parts = by_block(answered, self._target.block_seconds)
        return {number: self._counted(profile, part) for number, part in parts}

    @property
    def _rate(self) -> float:
        """The share of rows that is audited; 0.0 without an audit."""
        return self._target.spec.monitor.audit or 0.0

    def _asked(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows with an output are audited."""
        names, places = rows.fixed["request_id"].tolist(), rows.fixed["row"].tolist()
        return asked(self._target.spec.name, names, places, self._rate)

    def _answers(self, rows: Rows) -> bool:
        """Whether the output that quality goes by is there; a torn segment may have lost it."""
        names = {"binary": "score", "regression": "prediction"}
        return names.get(self._target.signature.task, "label") in rows.outputs

    def _counted(self, profile: EstimateProfile, rows: Rows) -> Counted:
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
        seen = Seen(
            cells.tolist(),
            [n for bins in features for n in bins.tolist()],
            int(strange_rows(self._columns, inputs).sum()),
            int((~known).sum()),
        )
        return Counted(seen, asked=int(self._asked(rows)[known].sum()) if self._rate else 0)

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
        outcome = outcomes(signature, self._basis, outputs, labelled.label)
        known = np.isfinite(score) & np.isfinite(outcome)
        cells = cells_of(profile, score[known], side[known])
        told = Outcomes.of(cells, outcome[known], len(profile.chance))
        if not self._rate:
            return Counted(told=told)
        chosen = self._asked(labelled.rows)[known]
        audited = Outcomes.of(cells[chosen], outcome[known][chosen], len(profile.chance))
        return Counted(told=told, audited=audited)

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
            complete = cohort.told.n >= COVERED * cohort.seen.n
            if start + seconds > matured and not complete:
                return
            state.cohorts.pop(number)
            if not breaks.overlap(start, start + seconds) and not self._target.partial(start):
                self._compare(learned, start, cohort)

    def _judge(self, learned: Learned, start: float, seen: Seen) -> None:
        trusted = self.state.trust.since is None
        for metric, stream in self.state.streams.items():
            made = estimate(learned, seen, metric, self._days)
            if isinstance(made, Refusal):
                stream.shown = Shown(start, seen.n, reason=made.reason)
                continue
            stream.shown = Shown(start, seen.n, made.value, made.lower, made.upper)
            if trusted:
                # Only what is outside with its whole interval is evidence of harm.
                near = made.upper if metric in RISING else made.lower
                trials = _trials(learned, seen, metric)
                stream.watch.take(start, [near * trials], trials)

    @property
    def _days(self) -> float:
        return max(self._target.block_seconds / DAY, 1.0)

    def _compare(self, learned: Learned, start: float, cohort: Counted) -> None:
        n, state = cohort.told.n, self.state
        trusted = state.trust.since is None
        self._split(learned, start, cohort)
        if n >= FEWEST:
            state.trust.take(start, self._streams(learned, cohort), self._limit)
        priced = self._priced(learned, cohort)
        if trusted and state.trust.since is not None:
            # What was audited before says nothing of the world since, nor may the cohort that
            # told of the change be the first to count.
            state.audit = Audited()
        elif self._rate and cohort.seen.cells:
            state.audit.take(priced, cohort.audited, cohort.asked, self._rate)
        if self._rate:
            found = {metric: state.audit.powered(metric) for metric in priced}
        elif FEWEST <= n < COVERED * cohort.seen.n:
            found = {metric: powered(start, each, cohort.told) for metric, each in priced.items()}
        else:
            return
        for metric, stream in state.streams.items():
            stream.powered = found.get(metric)

    def _split(self, learned: Learned, start: float, cohort: Counted) -> None:
        """What was expected of the cohort, beside what came of it."""
        if cohort.told.n < FEWEST:
            return
        rows, hits = np.array(cohort.told.labelled, dtype=np.float64), cohort.told.hits
        counted = cohort.seen, rows, np.array(hits) / MICRO
        for metric, stream in self.state.streams.items():
            made = split(learned, metric, start, counted)
            stream.splits = [*stream.splits, *([] if made is None else [made])][-REMEMBERED:]

    def explained(self, metric: str, since: float) -> Explained | None:
        """How much of what became of a metric since a time the inputs explain; None where that is
        not known."""
        stream = self.state.streams.get(metric)
        splits = [] if stream is None else [s for s in stream.splits if s.start >= since]
        return explained(self._qualities[metric], splits) if splits else None

    def _priced(self, learned: Learned, cohort: Counted) -> dict[str, Priced]:
        """The cells of a cohort by each metric that is a mean loss."""
        rows = np.array(cohort.seen.cells, dtype=np.float64)
        costs = {metric: _costs(learned.profile, metric) for metric in self._qualities}
        return {
            metric: Priced(*pair, learned.chance, rows)
            for metric, pair in costs.items()
            if pair is not None
        }

    def _streams(self, learned: Learned, cohort: Counted) -> list[Told | None]:
        """What labels said of the mean loss, of all rows, and of each group of cells."""
        profile, chances = learned.profile, [learned.chance, *learned.without]
        rows, hits = np.array(cohort.told.labelled), np.array(cohort.told.hits) / MICRO
        loss, (up, down) = self._loss(profile)
        wobble = wobble_of(profile, loss) if profile.days else None
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

    def _loss(self, profile: EstimateProfile) -> tuple[str, tuple[Floats, Floats]]:
        """The loss that stands for the watched metrics: the first that has one, else Brier's, or
        that of the task."""
        every = (*self._qualities, "brier", *profile.metrics)
        found = ((metric, _costs(profile, metric)) for metric in every)
        return next((metric, costs) for metric, costs in found if costs is not None)

    def verdicts(self) -> tuple[Verdict, ...]:
        """`estimate`, and one of each further metric."""
        return tuple(self._verdict(metric) for metric in self._qualities)

    def _verdict(self, metric: str) -> Verdict:
        stream, trust, quality = (
            self.state.streams[metric],
            self.state.trust,
            self._qualities[metric],
        )
        shown = stream.shown
        reason = self._missing(quality) if shown is None else f"not estimated: {shown.reason}"
        signal = self._target.signal("estimate", metric)
        unknown = describe.unknown(signal, self._target.release, self._limit, reason)
        bare = msgspec.structs.replace(
            unknown, evidence_log10=stream.watch.log10_evidence, reference=quality.value
        )
        sampled = self._sampled(metric, stream.powered)
        if trust.since is not None:
            return _doubted(bare, stream.powered, trust, sampled)
        if shown is None or shown.reason:
            return msgspec.structs.replace(bare, reason=f"{bare.reason}{sampled}")
        return _estimated(bare, stream, shown, (metric, sampled))

    def _sampled(self, metric: str, powered: Powered | None) -> str:
        """What labels of a part say, or what an audit lacks to say it."""
        if powered is not None:
            return f"; {powered.told(metric)}"
        if self._rate and self._profile is not None and _costs(self._profile, metric) is not None:
            return f"; {self.state.audit.missing}"
        return ""

    def _missing(self, quality: QualityProfile) -> str:
        if self._profile is not None:
            return "no block of predictions has closed yet"
        if quality.n < FEWEST_LABELS:
            return f"the reference has {quality.n} labels, {FEWEST_LABELS} are needed"
        return "the release was built before quality was estimated, or for too many classes"


def _profile(
    reference: ReferenceProfile, qualities: tuple[QualityProfile, ...]
) -> EstimateProfile | None:
    """What the release learned, with the costs of the deployment."""
    profile = reference.estimate
    for quality in qualities:
        profile = None if profile is None else with_costs(profile, quality)
    return profile


def _doubted(bare: Verdict, powered: Powered | None, trust: Trust, sampled: str) -> Verdict:
    reason = f"not trusted since {day(trust.since or 0.0)}, {trust.reason}{sampled}"
    if powered is None:
        return msgspec.structs.replace(bare, reason=reason)
    return msgspec.structs.replace(
        bare,
        reason=reason,
        estimate=powered.value,
        lower=powered.lower,
        upper=powered.upper,
        n=powered.labelled,
    )


def _estimated(bare: Verdict, stream: Stream, shown: Shown, words: tuple[str, str]) -> Verdict:
    (metric, sampled), watch = words, stream.watch
    zone = watch.zones[0]
    border = f"up to {zone.high:.4g}" if zone.high is not None else f"from {zone.low or 0:.4g}"
    return msgspec.structs.replace(
        bare,
        verdict="ok" if watch.since is None else "bad",
        reason=(
            f"{metric} without labels {shown.value:.4g} "
            f"[{shown.lower:.4g}, {shown.upper:.4g}] from {day(shown.start)} (n={shown.n}), "
            f"harmless {border}{sampled}; if labels still go by scores as they did"
        ),
        estimate=shown.value,
        lower=shown.lower,
        upper=shown.upper,
        n=shown.n,
        since=watch.since,
    )


def _trials(learned: Learned, seen: Seen, metric: str) -> int:
    """How many rows of their own a metric is worth, as far as labels are expected; at least 1."""
    if metric not in RISING:
        return seen.n
    positive = float(np.array(seen.cells) @ learned.chance)
    decided = float(sum(seen.cells[len(seen.cells) // 2 :]))
    trials = {
        "roc_auc": min(positive, seen.n - positive),
        "precision": decided,
        "recall": positive,
        "f1": (positive + decided) / 2.0,
    }
    return max(int(trials[metric]), 1)


def _costs(profile: EstimateProfile, metric: str) -> tuple[Floats, Floats] | None:
    """Loss of a cell's row by its outcome, 1 and 0; None for what is no mean loss."""
    size = len(profile.chance)
    if metric in profile.costs:
        return _pair(profile.costs[metric])
    if metric not in profile.metrics or metric in RISING:
        return None
    if profile.residual:
        return np.ones(size), np.zeros(size)
    if "roc_auc" not in profile.metrics:
        return np.zeros(size), np.ones(size)
    decided = np.repeat([0.0, 1.0], size // 2)
    return 1.0 - decided, decided


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
