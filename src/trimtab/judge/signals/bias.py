"""Bias: how far protected groups are from the others, in what is decided and how well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np

from trimtab.domain.plurals import many
from trimtab.domain.profile import GapProfile, GroupProfile, Measure, ReferenceProfile
from trimtab.domain.records import Ints, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict, Word
from trimtab.judge import budget, describe
from trimtab.judge.gaps import Block, Expected, GapWatch, gap_watch
from trimtab.judge.groups import (
    ANSWERS,
    BEFORE_LABELS,
    LABELS,
    MEASURES,
    WIDTH,
    Cell,
    Division,
    Loss,
    answer_counts,
    label_counts,
    sums_of,
)
from trimtab.judge.reach import LATELY
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block, merged
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Zone
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.gaps import Centre, variance

TOLERANCE = 0.05
"""A gap may be wider than on the reference by this much without harm."""

FEWEST_TRIALS = 50
"""Rows of a group, and of the others, below which no gap is told: on the reference, and live."""

Z99 = 2.5758
NAMED = 3
"""Groups that a verdict names beside the worst."""

NO_GROUPS = "no group of these columns had rows enough on the reference"

MEANT: dict[str, str] = {
    "selection": "share decided positive",
    "score": "mean score",
    "tpr": "share of the positive that were found",
    "fpr": "share of the negative that were taken for positive",
    "error": "mean loss",
    "calibration": "label minus score",
}


class Groups(msgspec.Struct, frozen=True):
    """Answers of a block, and the counts of each group; those of a basis are under its name."""

    predicted: int = 0
    labelled: int = 0
    cells: dict[str, Cell] = {}

    def merge(self, other: "Groups") -> "Groups":
        """The counts of both."""
        predicted, labelled = self.predicted + other.predicted, self.labelled + other.labelled
        return Groups(predicted, labelled, merged(self.cells, other.cells))


class State(msgspec.Struct):
    """What changes while groups are watched. `watches` are by `MEASURE GROUP`; `answers` and
    `labels` are the starts of the last blocks judged without and with labels; `unplaced` are, by
    column, the shares of the last block's rows in which it was missing, and had a value that is no
    group."""

    watches: dict[str, GapWatch]
    answers: float | None = None
    labels: float | None = None
    unplaced: dict[str, tuple[float, float]] = {}
    blocks: Blocks[Groups] = msgspec.field(default_factory=Blocks[Groups])
    cohorts: Blocks[Groups] = msgspec.field(default_factory=Blocks[Groups])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one measure of one group stands: its gap, with the interval that holds at all times.

    Numbers are None, and `reason` says why, where `verdict` is unknown. `n` counts rows of the
    group, `since` is set while it is bad.
    """

    measure: Measure
    group: str
    verdict: Word
    reason: str = ""
    gap: float | None = None
    lower: float | None = None
    upper: float | None = None
    reference: float | None = None
    zone: tuple[float, float] | None = None
    n: int = 0
    since: float | None = None


class Said(NamedTuple):
    """Verdicts, and the blocks of a state that they are of: they hold until another is judged."""

    state: State
    answers: float | None
    labels: float | None
    verdicts: tuple[Verdict, ...]


class Stream(NamedTuple):
    """What is fixed of one measure of one group: its gap on the reference, and why it cannot be
    judged, if so."""

    measure: Measure
    group: GroupProfile
    gap: GapProfile | None
    unfit: str

    @property
    def key(self) -> str:
        """Its name among the watches."""
        return f"{self.measure} {self.group.name}"


class Bias:
    """For each measure one stream a group, against all rows that are in none of its values.

    A gap is harmless between none and what it was on the reference, and a tolerance beyond, or
    within the bound that the user states.
    """

    name: ClassVar[str] = "bias"

    def __init__(self, target: Target, profile: ReferenceProfile | None) -> None:
        self._target, self._profile = target, profile
        wanted = target.spec.monitor.groups
        known = () if profile is None else profile.group_columns
        self._unprofiled = [name for name in wanted if name not in known]
        groups = () if profile is None else profile.groups
        self._groups = [group for group in groups if set(group.values) <= set(wanted)]
        self._measures = MEASURES[target.signature.task]
        self._division = Division.of(wanted, profile)
        self._loss = Loss.of(target.signature, () if profile is None else profile.quality)
        self._streams = [self._stream(m, g) for m in self._measures for g in self._groups]
        count = max(sum(not stream.unfit for stream in self._streams), 1)
        self._limit = target.threshold("bias", target.block_seconds, count)
        self._said: Said | None = None
        self.state: State = State(
            {s.key: self._watch(s.measure, s.gap) for s in self._streams if s.gap and not s.unfit}
        )

    @classmethod
    def of(cls, target: Target) -> "Bias | None":
        """Groups are watched where the deployment names protected columns and something of the
        model's answers can be compared."""
        if not target.spec.monitor.groups or not MEASURES[target.signature.task]:
            return None
        return cls(target, target.profile)

    def _stream(self, measure: Measure, group: GroupProfile) -> Stream:
        gap = next((each for each in group.gaps if each.measure == measure), None)
        few = 0 if gap is None else min(gap.n, gap.others_n)
        unfit = ""
        if few < FEWEST_TRIALS:
            rows = many(few, "row")
            unfit = f"the reference has {rows} to tell it by, {FEWEST_TRIALS} are needed"
        return Stream(measure, group, gap, unfit)

    def _watch(self, measure: Measure, gap: GapProfile) -> GapWatch:
        own, others = gap.total / MICRO / gap.n, gap.others_total / MICRO / gap.others_n
        zone = self._zone(measure, gap)
        return gap_watch(zone, gap.variance, Expected.of(own, others), self._limit)

    def _zone(self, measure: Measure, gap: GapProfile) -> Zone:
        bound = self._target.spec.monitor.bias.get(measure)
        if bound is not None:
            return Zone(-bound, bound)
        width = self._target.tolerance(f"bias:{measure}", TOLERANCE) + self._error(gap)
        before = reference_gap(gap)
        return Zone(min(before, 0.0) - width, max(before, 0.0) + width)

    def _error(self, gap: GapProfile) -> float:
        """How well the reference knows its gap, at 99 %."""
        days = max(self._profile.days if self._profile is not None else 0, 1)
        centre = Centre(gap.total / MICRO / gap.n, gap.others_total / MICRO / gap.others_n)
        chance = variance(centre, gap.n, gap.others_n)
        return Z99 * float(np.sqrt(chance + gap.variance / days))

    def count(self, rows: Rows) -> Mapping[int, Groups]:
        """Count the answers."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: self._answers(part) for number, part in parts}

    def _answers(self, rows: Rows) -> Groups:
        counts = np.zeros((len(rows), WIDTH), dtype=np.int64)
        counts[:, ANSWERS] = answer_counts(self._target.signature, rows.outputs, len(rows))
        return Groups(len(rows), 0, self._cells(rows, counts))

    def learn(self, labelled: Labelled) -> Mapping[int, Groups]:
        """Count labels into the cohorts of their predictions."""
        counts = np.zeros((len(labelled.rows), WIDTH), dtype=np.int64)
        outputs, label = labelled.rows.outputs, labelled.label
        counts[:, LABELS] = label_counts(self._target.signature, self._loss, outputs, label)
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        made = {}
        for number in np.unique(numbers).tolist():
            mask = numbers == number
            cells = self._cells(labelled.rows.take(mask), counts[mask])
            made[number] = Groups(0, int(mask.sum()), cells)
        return made

    def _cells(self, rows: Rows, counts: Ints) -> dict[str, Cell]:
        return self._division.cells(self._division.places(rows), counts)

    def take(self, counted: Mapping[int, Groups]) -> None:
        """Late answers count in the oldest open block; late labels are dropped."""
        state = self.state
        answered = {n: each for n, each in counted.items() if each.predicted}
        self._target.hold(state.blocks, answered)
        self._target.gather(state.cohorts, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge what is over, but for blocks with a broken feed."""
        self._close_answers(clock, breaks)
        self._close_cohorts(clock, breaks)

    def _close_answers(self, clock: float, breaks: Breaks) -> None:
        state, seconds = self.state, self._target.block_seconds
        for number in state.blocks.due(clock, seconds):
            start, block = number * seconds, state.blocks.pop(number)
            if not breaks.at(start) and not self._target.partial(start):
                state.answers = start
                state.unplaced = {
                    name: self._unplaced(name, block) for name in self._division.values
                }
                self._judge(start, block, before_labels=True)

    def _close_cohorts(self, clock: float, breaks: Breaks) -> None:
        state, seconds = self.state, self._target.block_seconds
        for start, cohort in self._target.ripe(state.cohorts, clock - breaks.ahead):
            if not breaks.overlap(start, start + seconds) and not self._target.partial(start):
                state.labels = start
                self._judge(start, cohort, before_labels=False)

    def _unplaced(self, name: str, block: Groups) -> tuple[float, float]:
        placed = sum(block.cells[f"{name}={value}"].rows for value in self._division.values[name])
        known = block.cells[name].rows
        return 1.0 - known / block.predicted, (known - placed) / block.predicted

    def _judge(self, start: float, block: Groups, before_labels: bool) -> None:
        for stream in self._streams:
            mine = (stream.measure in BEFORE_LABELS) == before_labels
            watch = self.state.watches.get(stream.key)
            if not mine or watch is None or stream.group.name not in block.cells:
                continue
            cell = block.cells[stream.group.name]
            others = block.cells[" & ".join(stream.group.values)].less(cell)
            watch.take(Block(start, sums_of(stream.measure, cell), sums_of(stream.measure, others)))

    def verdicts(self) -> tuple[Verdict, ...]:
        """`bias:MEASURE` for each measure: the group that is worst off."""
        state, said = self.state, self._said
        if said is None or said.state is not state or said[1:3] != (state.answers, state.labels):
            made = tuple(self._verdict(measure) for measure in self._measures)
            said = self._said = Said(state, state.answers, state.labels, made)
        return said.verdicts

    def readings(self) -> tuple[Reading, ...]:
        """How each group stands in each measure, for those who show them all."""
        return tuple(self._reading(stream) for stream in self._streams)

    def _reading(self, stream: Stream) -> Reading:
        lacking, watch = self._lacking(stream), self.state.watches.get(stream.key)
        if lacking or watch is None or stream.gap is None:
            n = 0 if watch is None else watch.whole.n
            return Reading(
                measure=stream.measure,
                group=stream.group.name,
                verdict="unknown",
                reason=lacking,
                n=n,
            )
        seen = watch.shown
        lower, upper = seen.interval
        return Reading(
            measure=stream.measure,
            group=stream.group.name,
            verdict="bad" if watch.bad else "ok",
            gap=seen.mean,
            lower=lower,
            upper=upper,
            reference=reference_gap(stream.gap),
            zone=watch.zone,
            n=seen.n,
            since=watch.watch.since,
        )

    def _lacking(self, stream: Stream) -> str:
        """Why nothing can be said of a group at present; empty when something can."""
        watch = self.state.watches.get(stream.key)
        if watch is None:
            return stream.unfit
        if watch.bad:
            return ""
        if watch.whole.n < FEWEST_TRIALS:
            return f"needs {FEWEST_TRIALS - watch.whole.n} more rows"
        last = self.state.answers if stream.measure in BEFORE_LABELS else self.state.labels
        newest = watch.watch.history[-1].start
        if (last or newest) - newest >= LATELY * self._target.block_seconds:
            return f"has had no row since {describe.day(newest)}"
        return ""

    def _verdict(self, measure: Measure) -> Verdict:
        streams = [stream for stream in self._streams if stream.measure == measure]
        lacking = {stream.group.name: self._lacking(stream) for stream in streams}
        judged = [stream for stream in streams if not lacking[stream.group.name]]
        notes = self._notes({name: reason for name, reason in lacking.items() if reason})
        if not judged:
            reason = notes or NO_GROUPS
            bare = describe.unknown(f"bias:{measure}", self._target.release, self._limit, reason)
            return msgspec.structs.replace(bare, scope={})
        worst = max(judged, key=self._gravity)
        bad = [each for each in judged if each is not worst and self.state.watches[each.key].bad]
        if bad:
            more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
            names = ", ".join(each.group.name for each in bad[:NAMED])
            notes = "; ".join(filter(None, [f"also {names}{more}", notes]))
        return self._told(worst, notes)

    def _gravity(self, stream: Stream) -> tuple[bool, float, int]:
        """Of bad groups the one that is most surely outside: neither a part of the harmed group,
        which has fewer rows, nor one that holds it, whose gap is smaller. Of two that mirror each
        other it is the smaller one. Of others the one with the most evidence, or the largest."""
        watch = self.state.watches[stream.key]
        if watch.bad:
            return True, round(watch.deviation, 6), -watch.shown.n
        return False, max(watch.watch.log10_evidence, 0.0), watch.whole.n

    def _told(self, stream: Stream, notes: str) -> Verdict:
        watch, reading = self.state.watches[stream.key], self._reading(stream)
        assert reading.reference is not None
        seen = watch.reach(reading.reference)
        return Verdict(
            signal=f"bias:{stream.measure}",
            tier=budget.tier("bias"),
            verdict=reading.verdict,
            reason="; ".join(filter(None, [sentence(reading), notes])),
            release=self._target.release,
            scope=dict(stream.group.values) if watch.bad else {},
            evidence_log10=watch.watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=reading.gap,
            lower=reading.lower,
            upper=reading.upper,
            reference=reading.reference,
            tolerance=watch.zone[1] - max(reading.reference, 0.0),
            n=reading.n,
            since=watch.watch.since,
            detectable=None if seen is None else seen.effect,
            detectable_seconds=None if seen is None else seen.seconds,
        )

    def _notes(self, lacking: Mapping[str, str]) -> str:
        """What is not judged, and why: groups, rows without a group, columns without counts."""
        told = []
        if self._unprofiled:
            told.append(
                f"the release has no counts of {', '.join(self._unprofiled)}: "
                "build it anew with them as groups"
            )
        for name, reason in list(lacking.items())[:NAMED]:
            told.append(f"{name} {reason}")
        if len(lacking) > NAMED:
            told.append(f"{len(lacking) - NAMED} more groups are unknown")
        for name, (missing, other) in self.state.unplaced.items():
            told += [f"{missing:.0%} of rows lack {name}"] * (missing > 0.0)
            told += [f"{other:.0%} have a new or rare {name}"] * (other > 0.0)
        return "; ".join(told)


def reference_gap(gap: GapProfile) -> float:
    """The gap on the reference."""
    own = (gap.total - gap.promised) / MICRO / gap.n
    return own - (gap.others_total - gap.others_promised) / MICRO / gap.others_n


def sentence(reading: Reading) -> str:
    """A reading in words. It must not be unknown."""
    assert reading.zone is not None
    since = "" if reading.since is None else f" since {describe.day(reading.since)}"
    low, high = reading.zone
    return (
        f"{MEANT[reading.measure]} of {reading.group} is {reading.gap:+.3f} "
        f"[{reading.lower:+.3f}, {reading.upper:+.3f}] from that of the others{since} "
        f"(n={reading.n}), {reading.reference:+.3f} on the reference, "
        f"harmless from {low:+.3f} to {high:+.3f}"
    )
