"""Quality in segments that nobody named: does any part of the rows lose more than it may?"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.plurals import many
from trimtab.domain.profile import (
    Coarse,
    EstimateProfile,
    GapProfile,
    ReferenceProfile,
    SegmentLosses,
    SegmentProfile,
)
from trimtab.domain.records import Floats, Ints, Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.estimate import coarse_bins, row_losses
from trimtab.judge.explained import Explained
from trimtab.judge.groups import MEASURES, Loss
from trimtab.judge.quality import losses
from trimtab.judge.reach import Reach
from trimtab.judge.segment_watch import Borders, Part, SegmentWatch, Stretch
from trimtab.judge.segments import between
from trimtab.judge.signals.counts import Blocks, block_numbers, by_block, column_of, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Z95
from trimtab.stats.combined import student_quantile
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.gaps import Centre, variance

TOLERANCE = 0.05
"""The loss of a segment may rise beside that of the others by this much without harm."""

SURE = 0.01
"""Chance that the error of the reference is larger than is allowed for, in any segment."""

NAMED = 3
"""Segments that a verdict names beside the worst."""


class Lost(msgspec.Struct, frozen=True):
    """Predictions of a block, those with a usable label, what these lost and were expected to (in
    units of 2**-20), and the same by segment."""

    predicted: int = 0
    labelled: int = 0
    lost: int = 0
    expected: int = 0
    rows_of: list[int] = []
    lost_of: list[int] = []
    expected_of: list[int] = []

    def merge(self, other: "Lost") -> "Lost":
        """The counts of both."""
        return Lost(
            self.predicted + other.predicted,
            self.labelled + other.labelled,
            self.lost + other.lost,
            self.expected + other.expected,
            sums(self.rows_of, other.rows_of),
            sums(self.lost_of, other.lost_of),
            sums(self.expected_of, other.expected_of),
        )

    @property
    def parts(self) -> tuple[Part, Part]:
        """Each segment, and the others of each."""
        n, lost, expected = (
            np.array(each, dtype=np.float64)
            for each in (self.rows_of, self.lost_of, self.expected_of)
        )
        others = Part(
            self.labelled - n, (self.lost - lost) / MICRO, (self.expected - expected) / MICRO
        )
        return Part(n, lost / MICRO, expected / MICRO), others


class State(msgspec.Struct):
    """What changes while segments are watched; `labelled` counts the rows that were evidence."""

    watch: SegmentWatch = msgspec.field(default_factory=SegmentWatch)
    labelled: int = 0
    blocks: Blocks[Lost] = msgspec.field(default_factory=Blocks[Lost])


class Segments:
    """One stream for all bins of all columns that part the reference: the loss of the rows in each,
    beside that of all other rows of the same block."""

    name: ClassVar[str] = "segments"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target = target
        known = profile.segment_losses or SegmentLosses()
        self._built = profile.segment_losses is not None
        self.columns, self.segments = known.columns, known.segments
        self._loss = Loss.of(target.signature, profile.quality)
        self._estimate = profile.estimate
        asked = {column.name for column in self.columns} | _asked(profile.estimate)
        self._inputs = [column for column in profile.inputs if column.name in asked]
        self._limit = target.threshold("segments", target.block_seconds)
        self.borders = borders(target, self.segments)
        self.state: State = State()
        self._reached: tuple[bytes, Reach | None] = (b"", None)

    @classmethod
    def of(cls, target: Target) -> "Segments | None":
        """Segments are watched where quality is."""
        profile = target.profile
        if profile is None or not target.metrics or not MEASURES[target.signature.task]:
            return None
        return cls(target, profile)

    def count(self, rows: Rows) -> Mapping[int, Lost]:
        """Count predictions."""
        answered = rows.take(rows.has("outcome", Outcome.OK))
        parts = by_block(answered, self._target.block_seconds)
        return {number: Lost(predicted=len(part)) for number, part in parts}

    def learn(self, labelled: Labelled) -> Mapping[int, Lost]:
        """Count losses into the cohorts of their predictions."""
        if not self.segments:
            return {}
        numbers = block_numbers(labelled.rows, self._target.block_seconds)
        parts = {number: labelled.take(numbers == number) for number in np.unique(numbers).tolist()}
        return {number: self._lost(part) for number, part in parts.items()}

    def _lost(self, known: Labelled) -> Lost:
        rows, signature = known.rows, self._target.signature
        lost = losses(self._loss.metric, signature, rows.outputs, known.label) / self._loss.scale
        usable = ~np.isnan(lost)
        rows, lost = rows.take(usable), np.minimum(lost[usable], 1.0)
        inputs = {column.name: column_of(rows, column) for column in self._inputs}
        asked = inputs, rows.outputs
        expected = row_losses(self._estimate, self._loss.metric, signature, asked)
        bins = [coarse_bins(column, inputs[column.name]) for column in self.columns]
        return self.counted(bins, lost, np.zeros(lost.size) if expected is None else expected)

    def counted(self, bins: Sequence[Ints], lost: Floats, expected: Floats) -> Lost:
        """The counts of labelled rows: their bins in each of the columns, what each lost, and what
        it was expected to lose, both in [0, 1]."""
        lost, expected = (np.rint(each * MICRO) for each in (lost, expected))
        tables = [
            [
                np.bincount(places, weights=each, minlength=column.size)
                for places, column in zip(bins, self.columns, strict=True)
            ]
            for each in (np.ones(lost.size), lost, expected)
        ]
        by_segment = [
            [int(table[each.column][each.place]) for each in self.segments] for table in tables
        ]
        return Lost(0, lost.size, int(lost.sum()), int(expected.sum()), *by_segment)

    def counted_by_kind(
        self, bins: Sequence[Ints], kind: Ints, lost: Floats, expected: Floats
    ) -> Lost:
        """The same of rows of a few kinds: `lost` and `expected` are those of a row of each."""
        lost_of, expected_of = (np.rint(each * MICRO).astype(np.int64) for each in (lost, expected))
        rows, kinds = np.bincount(kind, minlength=lost.size), lost.size
        tables = [
            np.bincount(places * kinds + kind, minlength=column.size * kinds).reshape(-1, kinds)
            for places, column in zip(bins, self.columns, strict=True)
        ]
        found = [tables[each.column][each.place] for each in self.segments]
        by_segment = np.array(found, dtype=np.int64).reshape(-1, kinds)
        sums = [(by_segment @ each).tolist() for each in (np.ones_like(rows), lost_of, expected_of)]
        return Lost(0, kind.size, int(rows @ lost_of), int(rows @ expected_of), *sums)

    def take(self, counted: Mapping[int, Lost]) -> None:
        """Labels of a closed cohort are late, and no evidence."""
        self._target.gather(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge cohorts in order, each once its labels have matured or nearly all are there."""
        seconds = self._target.block_seconds
        for start, cohort in self._target.ripe(self.state.blocks, clock - breaks.ahead):
            broken = breaks.overlap(start, start + seconds) or self._target.partial(start)
            if cohort.rows_of and not broken:
                self.state.labelled += cohort.labelled
                self.state.watch.take(start, cohort.parts, self.borders, self._limit)

    def verdicts(self) -> tuple[Verdict, ...]:
        """`segments`."""
        watch = self.state.watch
        if not self.segments or not watch.stretches:
            reason = self._missing
            return (describe.unknown("segments", self._target.release, self._limit, reason),)
        seen = self._reach
        if watch.harmed:
            return (self._harmed(seen),)
        verdict = Verdict(
            signal="segments",
            tier=budget.tier("segments"),
            verdict="ok",
            reason=f"none of {many(len(self.segments), 'segment')} loses more beside others than "
            "it may",
            release=self._target.release,
            evidence_log10=watch.evidence,
            threshold_log10=self._limit,
            n=self.state.labelled,
            detectable=None if seen is None else self._loss.told(seen.effect),
            detectable_seconds=None if seen is None else seen.seconds,
        )
        return (verdict,)

    @property
    def _reach(self) -> Reach | None:
        """What would show by now, found once for each block: it is asked for far more often."""
        watch = self.state.watch
        if self._reached[0] != watch.weights:
            self._reached = watch.weights, watch.reach(self.borders, self._limit)
        return self._reached[1]

    @property
    def _missing(self) -> str:
        if not self._built:
            return "the release has no losses by segment: build it anew"
        if not self.segments:
            return "no column of the reference parts it into segments with labels enough"
        return "no cohort of predictions has its labels yet"

    def _harmed(self, sees: Reach | None) -> Verdict:
        place, seen = self._worst
        column, value = self.named(place)
        told, harmed = self._loss.told, self.state.watch.harmed
        gap, half = seen.gap / seen.weight, Z95 / math.sqrt(seen.weight)
        before = self._reference_gap(place)
        return Verdict(
            signal="segments",
            tier=budget.tier("segments"),
            verdict="bad",
            reason=f"{self._said(place, seen)}{self._also(place)}",
            release=self._target.release,
            scope={column: value} if self._listed(place) else {},
            evidence_log10=harmed[place].evidence,
            threshold_log10=self._limit,
            estimate=told(gap),
            lower=told(max(gap - half, -1.0)),
            upper=told(min(gap + half, 1.0)),
            reference=told(before),
            tolerance=told(float(self.borders.high[place]) - before),
            n=int(seen.n),
            since=harmed[place].since,
            detectable=None if sees is None else told(sees.effect),
            detectable_seconds=None if sees is None else sees.seconds,
        )

    def _said(self, place: int, seen: Stretch) -> str:
        (column, value), told = self.named(place), self._loss.told
        gap, half = told(seen.gap / seen.weight), told(Z95 / math.sqrt(seen.weight))
        usual, border = told(self.borders.usual[place]), told(self.borders.high[place])
        return (
            f"{self._loss.metric} is {told(seen.lost / seen.n):.4g} where {column} is {value} "
            f"since {describe.day(seen.start)} (n={seen.n:.0f}), {usual:.4g} on the reference; "
            f"it is {gap:+.3f} [{gap - half:+.3f}, {gap + half:+.3f}] from that of the others, "
            f"{told(self._reference_gap(place)):+.3f} on the reference, harmless up to "
            f"{border:+.3f}"
        )

    def _also(self, place: int) -> str:
        """The other segments in alarm."""
        beside = [
            " is ".join(self.named(each)) for each in self.state.watch.harmed if each != place
        ]
        return also_where(beside)

    @property
    def _worst(self) -> tuple[int, Stretch]:
        """Of segments in alarm the one that is surest to be outside: neither a part of the harmed
        one, which has fewer rows, nor one that holds it, whose gap is smaller."""
        watch = self.state.watch
        seen = {place: watch.stretch(place) for place in watch.harmed}
        return max(seen.items(), key=lambda each: self._deviation(*each))

    def _deviation(self, place: int, seen: Stretch) -> float:
        return (seen.gap / seen.weight - float(self.borders.high[place])) * math.sqrt(seen.weight)

    def _reference_gap(self, place: int) -> float:
        return float(self.borders.usual[place] - self.borders.others[place])

    def named(self, place: int) -> tuple[str, str]:
        """The column of a segment, and which of its values are meant."""
        return named(self.columns, self.segments[place])

    def _listed(self, place: int) -> bool:
        """Whether a segment is the rows of one value."""
        segment = self.segments[place]
        return segment.place < len(self.columns[segment.column].categories)

    @property
    def explained(self) -> Explained | None:
        """How much of the worst segment's loss the inputs explain; None while there is none, or
        where that is not known."""
        if not self.state.watch.harmed or not any(each.gap.promised for each in self.segments):
            return None
        place, seen = self._worst
        usual, promised = float(self.borders.usual[place]), self.segments[place].gap.promised
        # What the chances of all rows let expect of a segment may always have been a little off.
        moved = seen.expected / seen.n - promised / MICRO / self.segments[place].gap.n
        where, told = " ".join(self.named(place)), self._loss.told
        return Explained(
            f"{self._loss.metric} where {where}",
            told(usual),
            told(usual + moved),
            told(seen.lost / seen.n),
        )


def _asked(learned: EstimateProfile | None) -> set[str]:
    """The inputs that the loss of a regression is expected from."""
    model = None if learned is None else learned.loss
    return set() if model is None else {column.name for column in model.columns}


def borders(target: Target, segments: tuple[SegmentProfile, ...]) -> Borders:
    """Up to where the gaps of segments do no harm: what they were on the reference, a tolerance,
    and how well the reference knows them all at once."""
    quality = () if target.profile is None else target.profile.quality
    own = target.spec.monitor.tolerances.get("segments")
    width = TOLERANCE if own is None else own / Loss.of(target.signature, quality).scale
    days = 1 if target.profile is None else max(target.profile.days, 1)
    sure = student_quantile(1.0 - SURE / max(len(segments), 1), math.inf)
    rows = [_border(segment.gap, days, sure, width) for segment in segments]
    made = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Borders(*made)


def _border(gap: GapProfile, days: int, sure: float, width: float) -> tuple[float, ...]:
    usual, others = gap.total / MICRO / gap.n, gap.others_total / MICRO / gap.others_n
    chance = variance(Centre(usual, others), gap.n, gap.others_n) + gap.variance / days
    return usual, others, usual - others + width + sure * math.sqrt(chance), gap.variance


def also_where(segments: Sequence[str]) -> str:
    """The first of further segments, as the end of a sentence; "" of none."""
    more = f" and {len(segments) - NAMED} more" if len(segments) > NAMED else ""
    return f"; also where {', '.join(segments[:NAMED])}{more}" if segments else ""


def named(columns: Sequence[Coarse], segment: SegmentProfile) -> tuple[str, str]:
    """The column of a segment, and which of its values are meant, as people read it."""
    column = columns[segment.column]
    return column.name, value_of(column, segment.place)


def value_of(column: Coarse, place: int) -> str:
    """Which values of a column are in a bin, as people read it."""
    if place == column.size - 1:
        return "missing"
    if column.categories:
        return column.categories[place] if place < len(column.categories) else "anything else"
    if not column.cuts:
        return "not missing"
    ends = ["", *(f"{cut:g}" for cut in column.cuts), ""]
    return between(ends[place], ends[place + 1])
