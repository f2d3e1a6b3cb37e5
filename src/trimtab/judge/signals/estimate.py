"""Quality before labels come, of all rows and of each declared segment.

A block of rows is estimated when it closes. A block of labels, the cohort of the predictions made
in it, is held against the estimate's chances once it has matured. Rows are placed in their cell
once; segments are counted by the same places.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.plurals import many
from trimtab.domain.profile import Coarse, EstimateProfile, QualityProfile, ReferenceProfile
from trimtab.domain.records import Column, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.audit import asked
from trimtab.judge.estimate import (
    Learned,
    cells_of,
    coarse_bins,
    scores_and_sides,
    strange_rows,
    with_costs,
)
from trimtab.judge.estimate_profile import outcomes
from trimtab.judge.explained import Explained, explained, splits
from trimtab.judge.labelled_part import FEWEST
from trimtab.judge.quality import FEWEST_LABELS
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block, column_of
from trimtab.judge.signals.echoes import METRIC, Echoes
from trimtab.judge.signals.estimate_counts import (
    Counted,
    Part,
    Placed,
    by_segment,
    columns_of,
    counts_in,
    members,
    seen_in,
    told,
)
from trimtab.judge.signals.estimated_segments import (
    Segment,
    learned_segments,
    signal_of,
    unlearned,
)
from trimtab.judge.signals.expectation import Believed, Expectation, Stream, Terms
from trimtab.judge.signals.family import COVERED, Breaks, Target
from trimtab.judge.signals.feedback import limit
from trimtab.judge.signals.quality import target_zone
from trimtab.judge.signals.steps import Steps, StepWatch
from trimtab.judge.tie import Tie
from trimtab.judge.watch import REMEMBERED, Watch, take_all
from trimtab.stats.fixed_point import MICRO

PATIENCE = 7
"""Blocks for which the rows of a segment may wait until they are enough to be estimated."""


class State(Believed):
    """What changes while quality is estimated: of all rows, and by segment. Rows and labels of a
    block close apart; `last` is the start of the last block of rows that closed, `echo` and `step`
    watch for labels that repeat the answers."""

    segments: dict[str, Believed] = msgspec.field(default_factory=dict)
    blocks: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    cohorts: Blocks[Counted] = msgspec.field(default_factory=Blocks[Counted])
    last: float = 0.0
    echo: Watch | None = None
    step: StepWatch = msgspec.field(default_factory=StepWatch)


class Estimated:
    """The metrics that the deployment promises, as expected of the rows at hand.

    As of `quality`, the first is the signal `estimate`, any other `estimate:METRIC`; of a segment
    it is `estimate:carrier=UA` or `estimate:METRIC:carrier=UA`. Where segments are estimated, all
    rows have half of the group's budget, and segments share the other half alike.
    """

    name: ClassVar[str] = "estimate"

    def __init__(self, target: Target, reference: ReferenceProfile) -> None:
        self._target, self._columns = target, reference.inputs
        self._basis = reference.quality[0]
        self._qualities: dict[str, QualityProfile] = {q.metric: q for q in target.qualities}
        self._profile = _profile(reference, target.qualities)
        whole = None if self._profile is None else Learned.of(self._profile)
        segments = () if whole is None else learned_segments(target, whole)
        halves, each = 2 if segments else 1, max(len(segments), 1)
        terms = self._terms(1, halves * len(self._qualities))
        self._limit = terms.limit
        self._whole = None if whole is None else self._expectation(terms, whole)
        own = self._terms(PATIENCE, halves * len(self._qualities) * each)
        self._segments = {s.of.name: self._of_segment(own, s) for s in segments}
        self._unlearned = unlearned(target, self._estimable(), segments, own.limit)
        self._members = columns_of([s.of for s in segments])
        self._echoes = Echoes(target)
        self._steps = self._leaping(target)
        self.state: State = State(
            self._streams(self._qualities, terms),
            segments={s.of.name: Believed(self._streams(s.qualities, own)) for s in segments},
        )

    @classmethod
    def of(cls, target: Target) -> "Estimated | None":
        """Quality is estimated where it is watched."""
        profile = target.profile
        return None if profile is None or not target.qualities else cls(target, profile)

    def _leaping(self, target: Target) -> Steps | None:
        """Labels can leap at a threshold where there is one."""
        if self._profile is None or target.signature.task != "binary":
            return None
        return Steps(target, self._profile, limit(target))

    def _terms(self, patience: int, streams: int) -> Terms:
        target = self._target
        limit = target.threshold("estimate", target.block_seconds, streams)
        return Terms(target.release, target.block_seconds, patience, limit, self._rate)

    def _expectation(self, terms: Terms, learned: Learned) -> Expectation:
        signals = {metric: self._target.signal("estimate", metric) for metric in self._qualities}
        return Expectation(terms, learned, self._qualities, signals)

    def _of_segment(self, terms: Terms, segment: Segment) -> Expectation:
        of = segment.of
        signals = {m: signal_of(self._target, m, of.name) for m in segment.qualities}
        scope = {of.column: of.value}
        return Expectation(
            terms, segment.learned, segment.qualities, signals, f" of {of.name}", scope
        )

    def _streams(self, qualities: Mapping[str, QualityProfile], terms: Terms) -> dict[str, Stream]:
        zones = {metric: target_zone(self._target, each) for metric, each in qualities.items()}
        return {
            metric: Stream(Watch((zone,), qualities[metric].spread, terms.limit))
            for metric, zone in zones.items()
        }

    def _estimable(self) -> list[str]:
        """The metrics that are estimated of all rows."""
        known = () if self._profile is None else self._profile.metrics
        return [metric for metric in self._qualities if metric in known]

    def count(self, rows: Rows) -> Mapping[int, Counted]:
        """Count answers by cell and by feature."""
        profile = self._profile
        if profile is None:
            return {}
        answered = rows.take(rows.has("outcome", Outcome.OK))
        if not self._answers(answered):
            return {}
        parts = by_block(answered, self._target.block_seconds)
        return {number: self._counted(profile, part) for number, part in parts}

    @property
    def members(self) -> tuple[Coarse, ...]:
        """The columns whose values are segments, for those who count by other means."""
        return self._members

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
        placed = self._placed(profile, rows, inputs)
        strange = strange_rows(self._columns, inputs, len(rows))
        whole = msgspec.structs.replace(placed.seen, strange=int(strange.sum()))
        every = members(self._members, inputs)
        fields: dict[str, Mapping[str, Any]] = {"seen": seen_in(every, placed, strange)}
        if not self._rate:
            return Counted(Part(whole), by_segment(fields))
        audited = self._asked(rows) & placed.known
        fields["asked"] = counts_in(every, audited)
        return Counted(Part(whole, asked=int(audited.sum())), by_segment(fields))

    def _placed(self, profile: EstimateProfile, rows: Rows, inputs: Mapping[str, Column]) -> Placed:
        score, side = scores_and_sides(profile, self._target.signature, inputs, rows.outputs)
        known = np.isfinite(score)
        values = {**inputs, "": rows.outputs.get("prediction", score)}
        columns = () if profile.shift is None else profile.shift.columns
        features = [(coarse_bins(c, values[c.name][known]), c.size) for c in columns]
        cell = cells_of(profile, score[known], side[known])
        return Placed(known, cell, len(profile.chance), features)

    def _inputs(self, rows: Rows) -> dict[str, Column]:
        return {column.name: column_of(rows, column) for column in self._columns}

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
        inputs = self._inputs(labelled.rows)
        score, side = scores_and_sides(profile, signature, inputs, outputs)
        outcome = outcomes(signature, self._basis, outputs, labelled.label)
        known = np.isfinite(score) & np.isfinite(outcome)
        every = [each.take(known) for each in members(self._members, inputs)]
        cells = cells_of(profile, score[known], side[known])
        counted = told(every, cells, outcome[known], len(profile.chance))
        if not self._rate:
            return counted
        chosen = self._asked(labelled.rows)[known]
        some = [each.take(chosen) for each in every]
        audited = told(some, cells[chosen], outcome[known][chosen], len(profile.chance))
        return counted.with_audited(audited)

    def take(self, counted: Mapping[int, Counted]) -> None:
        """Late rows count in the oldest open block; what is late for a closed cohort is dropped."""
        state = self.state
        rows = {n: each.rows for n, each in counted.items() if each.whole.seen.cells}
        self._target.hold(state.blocks, rows)
        self._target.gather(state.cohorts, {n: each.cohort for n, each in counted.items()})

    def close(self, clock: float, breaks: Breaks) -> None:
        """Estimate each block that is over, and hold matured cohorts against their estimates."""
        whole = self._whole
        if whole is None:
            return
        state, seconds = self.state, self._target.block_seconds
        for number in state.blocks.due(clock, seconds):
            start, counted = number * seconds, state.blocks.pop(number)
            if not breaks.at(start) and not self._target.partial(start):
                self._judge(whole, start, counted)
        matured = clock - breaks.ahead - self._target.spec.monitor.maturity_seconds
        for number in state.cohorts.due(clock - breaks.ahead, seconds):
            start, cohort = number * seconds, state.cohorts.counts[number]
            complete = cohort.whole.told.n >= COVERED * cohort.whole.seen.n
            if start + seconds > matured and not complete:
                return
            state.cohorts.pop(number)
            if not breaks.overlap(start, start + seconds) and not self._target.partial(start):
                self._compare(whole, start, cohort)

    def _judge(self, whole: Expectation, start: float, counted: Counted) -> None:
        state = self.state
        state.last = start
        evidence = whole.judge(state, start, counted.whole.seen)
        for name, part in counted.segments.items():
            evidence += self._segments[name].judge(state.segments[name], start, part.seen)
        take_all(evidence)

    def _compare(self, whole: Expectation, start: float, cohort: Counted) -> None:
        state = self.state
        self._split(whole.learned, start, cohort.whole)
        whole.compare(state, start, cohort.whole)
        for name, part in cohort.segments.items():
            self._segments[name].compare(state.segments[name], start, part)

    def _split(self, learned: Learned, start: float, cohort: Part) -> None:
        """What was expected of the cohort, beside what came of it."""
        if not cohort.told.n:
            return
        rows = np.array(cohort.told.labelled, dtype=np.float64)
        hits = np.array(cohort.told.hits) / MICRO
        tie = Tie()
        if self._steps is not None:
            self._steps.take(self.state.step, start, rows, hits)
            tie = Tie.of(learned.chance, rows, hits)
        if cohort.told.n < FEWEST:
            return
        streams, counted = self.state.streams, (cohort.seen, rows, hits)
        found = splits(learned, streams, start, counted, tie)
        for metric, made in found.items():
            streams[metric].splits = [*streams[metric].splits, made][-REMEMBERED:]
        if METRIC in found:
            self.state.echo = self._echoes.take(self.state.echo, found[METRIC])

    def explained(self, metric: str, since: float) -> Explained | None:
        """How much of what became of a metric since a time the inputs explain; None where that is
        not known."""
        stream = self.state.streams.get(metric)
        splits = [] if stream is None else [s for s in stream.splits if s.start >= since]
        return explained(self._qualities[metric], splits) if splits else None

    def verdicts(self) -> tuple[Verdict, ...]:
        """`estimate`, and one of each further metric; then those of segments, and `feedback:echoed`
        where labels repeat the answers."""
        state, whole = self.state, self._whole
        if whole is None:
            return tuple(self._missing(metric) for metric in self._qualities)
        own = [
            each.verdict(state.segments[name], metric, state.last)
            for name, each in self._segments.items()
            for metric in each.qualities
        ]
        every = [whole.verdict(state, metric, state.last) for metric in self._qualities]
        return (*every, *own, *self._unlearned, *self._echoed)

    @property
    def _echoed(self) -> tuple[Verdict, ...]:
        leapt = () if self._steps is None else self._steps.verdicts(self.state.step)
        stream = self.state.streams.get(METRIC)
        if leapt or stream is None:
            return leapt
        return self._echoes.verdicts(self.state.echo, stream.splits)

    def _missing(self, metric: str) -> Verdict:
        """Why nothing is estimated at all."""
        quality = self._qualities[metric]
        few = f"the reference has {many(quality.n, 'label')}, {FEWEST_LABELS} are needed"
        old = "the release was built before quality was estimated, or for too many classes"
        unknown = describe.unknown(
            self._target.signal("estimate", metric),
            self._target.release,
            self._limit,
            few if quality.n < FEWEST_LABELS else old,
        )
        return msgspec.structs.replace(unknown, reference=quality.told(quality.value))


def _profile(
    reference: ReferenceProfile, qualities: tuple[QualityProfile, ...]
) -> EstimateProfile | None:
    """What the release learned, with the costs of the deployment."""
    profile = reference.estimate
    for quality in qualities:
        profile = None if profile is None else with_costs(profile, quality)
    return profile
