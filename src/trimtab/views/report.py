"""The monitoring report, from what the monitors said and what was counted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from trimtab.domain.plurals import many
from trimtab.domain.profile import ColumnProfile, QualityProfile, ReferenceProfile
from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge import budget
from trimtab.judge.describe import group, scope
from trimtab.judge.draft import storable
from trimtab.judge.signals.bias import Reading
from trimtab.judge.signals.counts import Bins
from trimtab.judge.signals.quality import Cohort
from trimtab.judge.watch import Point, interval
from trimtab.stats.distributions import jensen_shannon, psi_excess
from trimtab.views import report_shapes as s
from trimtab.views.seen import moment
from trimtab.views.shapes import CauseView, RuledOutView
from trimtab.views.words import plain

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}")
"""How `judge.describe.day` writes a moment."""

_GRAVITY: dict[s.StreamWord, int] = {"bad": 0, "watch": 1, "unknown": 2, "ok": 3}
_TIERS = {"page": 0, "ticket": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Clock:
    """Blocks of the live data: length in seconds, number of the first, and rows of a block where
    rows have no time (then seconds are made up: a block is a day)."""

    seconds: float
    first: int
    since: float
    until: float
    rows: int | None = None

    def block(self, at: float) -> int:
        """The block that begins at `at`, counted from 1."""
        return int(np.floor(at / self.seconds)) - self.first + 1

    def at(self, seconds: float | None) -> datetime | None:
        """A moment; None where rows have no time."""
        return None if seconds is None or self.rows is not None else moment(seconds)

    def told(self, text: str) -> str:
        """A sentence of the judge's, in which made-up moments become rows."""
        return text if self.rows is None else _MOMENT.sub(self._row, text)

    def _row(self, found: re.Match[str]) -> str:
        at = datetime.strptime(found[0], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
        if at > self.until + self.seconds:
            return found[0]  # no moment of these data: part of a name
        return f"row {round(at / self.seconds * (self.rows or 1)) + 1:,}"


@dataclass(frozen=True, slots=True)
class Moment:
    """What every stream had to say at the end of a block: evidence and threshold by signal."""

    at: float
    evidence: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Size:
    """A segment of the live data; `quality` is value, lower and upper end."""

    segment: str
    rows: int
    labelled: int
    positive: float | None
    quality: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything a report is made from. `unwatched` says of signals why they were not judged."""

    name: str
    version: str
    profile: ReferenceProfile
    quality: QualityProfile | None
    false_alarms_per_year: float
    clock: Clock
    rows: int
    verdicts: Sequence[Verdict]
    incidents: Sequence[Incident]
    moments: Sequence[Moment]
    columns: Mapping[str, Bins]
    score: Bins | None
    cohorts: Mapping[int, Cohort]
    sizes: Sequence[Size]
    groups: Sequence[Reading]
    unwatched: Mapping[str, str]
    notes: Sequence[str]
    release: str | None = None


def build_report(story: Story) -> s.ReportView:
    """The view of a report."""
    streams = _streams(story)
    word = overall(streams)
    clock = story.clock
    return s.ReportView(
        name=story.name,
        verdict=word,
        summary=_summary(word, streams, story),
        rows=story.rows,
        reference_rows=story.profile.rows,
        since=clock.at(clock.since),
        until=clock.at(clock.until),
        blocks=len(story.moments),
        block_seconds=clock.seconds if clock.rows is None else None,
        block_rows=clock.rows,
        false_alarms_per_year=story.false_alarms_per_year,
        streams=streams,
        incidents=tuple(_finding(incident, clock) for incident in story.incidents),
        evidence=_evidence(story),
        quality=None if story.quality is None else _quality(story, story.quality),
        distributions=_distributions(story),
        segments=tuple(_segment(size, streams) for size in story.sizes),
        groups=tuple(_group(each) for each in story.groups),
        notes=tuple(story.notes),
        trimtab=story.version,
        release=story.release,
    )


def overall(streams: Sequence[s.StreamView]) -> s.StreamWord:
    """One word for all streams: drift of an input alone, a note, is something to watch."""
    loud = [each.verdict for each in streams if each.tier != "note"]
    if "bad" in loud:
        return "bad"
    if any(each.verdict in ("bad", "watch") for each in streams):
        return "watch"
    return "ok" if any(each.verdict == "ok" for each in streams) else "unknown"


def word_of(verdict: Verdict) -> s.StreamWord:
    """The verdict, or `watch` with at least half of the evidence for an alarm, in logarithms."""
    if verdict.verdict == "ok" and verdict.evidence_log10 >= verdict.threshold_log10 / 2.0:
        return "watch"
    return verdict.verdict


def _streams(story: Story) -> tuple[s.StreamView, ...]:
    """The gravest first; what is not watched is unknown, with its reason."""
    made = [_stream(storable(verdict), story.clock) for verdict in story.verdicts]
    made += [_unwatched(signal, reason) for signal, reason in story.unwatched.items()]
    return tuple(sorted(made, key=_gravity))


def _gravity(stream: s.StreamView) -> tuple[int, int, float]:
    distance = stream.threshold_log10 - stream.evidence_log10
    return _GRAVITY[stream.verdict], _TIERS[stream.tier], distance


def _stream(verdict: Verdict, clock: Clock) -> s.StreamView:
    since = verdict.since
    return s.StreamView(
        signal=verdict.signal,
        scope=verdict.scope,
        tier=verdict.tier,
        verdict=word_of(verdict),
        reason=clock.told(verdict.reason),
        evidence_log10=verdict.evidence_log10,
        threshold_log10=verdict.threshold_log10,
        estimate=verdict.estimate,
        lower=verdict.lower,
        upper=verdict.upper,
        reference=verdict.reference,
        tolerance=verdict.tolerance,
        n=verdict.n,
        since=clock.at(since),
        since_block=None if since is None else clock.block(since),
    )


def _unwatched(signal: str, reason: str) -> s.StreamView:
    return s.StreamView(
        signal=signal,
        scope=scope(signal),
        tier=budget.tier(group(signal)),
        verdict="unknown",
        reason=reason,
        evidence_log10=0.0,
        threshold_log10=0.0,
        estimate=None,
        lower=None,
        upper=None,
        reference=None,
        tolerance=None,
        n=0,
        since=None,
        since_block=None,
    )


def _summary(word: s.StreamWord, streams: Sequence[s.StreamView], story: Story) -> str:
    found = [each for each in streams if each.verdict == "bad"]
    unknown = [each.signal for each in streams if each.verdict == "unknown"]
    causes = dict.fromkeys(
        plain(each.causes[0].cause) for each in story.incidents if each.closed_at is None
    )
    if found:
        told = f"{len(found)} of {many(len(streams), 'stream')} left their harmless zone"
        told += f": {', '.join(causes)}" if causes else ""
    elif word == "unknown":
        told = "nothing could be judged"
    else:
        told = f"no evidence of harm in {many(len(streams) - len(unknown), 'stream')}"
    lasting = f"; {len(unknown)} unknown" if unknown and word != "unknown" else ""
    return told + lasting


def _finding(incident: Incident, clock: Clock) -> s.FindingView:
    begun = incident.first_evidence_at

    closed = incident.closed_at
    return s.FindingView(
        id=incident.id,
        tier=incident.tier,
        signals=incident.signals,
        severity=clock.told(incident.severity),
        first_evidence_at=clock.at(begun),
        first_block=clock.block(begun),
        opened_block=clock.block(incident.opened_at - clock.seconds),
        closed_block=None if closed is None else clock.block(closed - clock.seconds),
        causes=tuple(
            CauseView(each.cause, each.rank, tuple(map(clock.told, each.evidence)))
            for each in incident.causes
        ),
        ruled_out=tuple(
            RuledOutView(each.cause, clock.told(each.by)) for each in incident.ruled_out
        ),
    )


def _evidence(story: Story) -> tuple[s.EvidenceLine, ...]:
    signals = dict.fromkeys(name for moment in story.moments for name in moment.evidence)
    return tuple(s.EvidenceLine(signal, tuple(_steps(signal, story))) for signal in signals)


def _steps(signal: str, story: Story) -> list[s.EvidenceStep]:
    clock = story.clock
    return [
        s.EvidenceStep(
            clock.block(each.at - clock.seconds), clock.at(each.at), *each.evidence[signal]
        )
        for each in story.moments
        if signal in each.evidence
    ]


def _quality(story: Story, quality: QualityProfile) -> s.QualityView:
    cohorts = sorted(story.cohorts.items())
    predicted = sum(cohort.predicted for _, cohort in cohorts)
    labelled = sum(cohort.labelled for _, cohort in cohorts)
    return s.QualityView(
        metric=quality.metric,
        value=quality.told(quality.value),
        lower=quality.told(quality.lower),
        upper=quality.told(quality.upper),
        coverage_ratio=labelled / predicted if predicted else 0.0,
        cohorts=tuple(_cohort(number, each, quality, story.clock) for number, each in cohorts),
    )


def _cohort(number: int, cohort: Cohort, quality: QualityProfile, clock: Clock) -> s.CohortView:
    measured = cohort.measured(quality.metric)
    value = lower = upper = None
    if measured is not None and measured[1]:
        total, trials = measured
        ends = interval([Point(0.0, trials, total / trials, 0.0)], None)
        value, lower, upper = map(quality.told, ends)
    return s.CohortView(
        block=number - clock.first + 1,
        at=clock.at(number * clock.seconds),
        predicted=cohort.predicted,
        labelled=cohort.labelled,
        value=value,
        lower=lower,
        upper=upper,
    )


def _segment(size: Size, streams: Sequence[s.StreamView]) -> s.SegmentView:
    value, lower, upper = size.quality or (None, None, None)
    signal = f"estimate:{size.segment}"
    told = next((each for each in streams if each.signal == signal), None)
    return s.SegmentView(
        segment=size.segment,
        rows=size.rows,
        labelled=size.labelled,
        positive_ratio=size.positive,
        quality=value,
        lower=lower,
        upper=upper,
        expected=None if told is None else told.estimate,
        expected_lower=None if told is None else told.lower,
        expected_upper=None if told is None else told.upper,
        expected_reason=None if told is None or told.verdict != "unknown" else told.reason,
    )


def _group(reading: Reading) -> s.GroupView:
    low, high = (None, None) if reading.zone is None else reading.zone
    return s.GroupView(
        group=reading.group,
        measure=reading.measure,
        verdict=reading.verdict,
        reason=reading.reason,
        gap=reading.gap,
        lower=reading.lower,
        upper=reading.upper,
        reference=reading.reference,
        harmless_lower=low,
        harmless_upper=high,
        n=reading.n,
    )


def _distributions(story: Story) -> tuple[s.DistributionView, ...]:
    """The score first, then the inputs in their order."""
    every = [(column, story.columns.get(column.name)) for column in story.profile.inputs]
    if story.profile.score is not None:
        every.insert(0, (story.profile.score, story.score))
    return tuple(_distribution(column, bins) for column, bins in every if bins is not None)


def _distribution(column: ColumnProfile, bins: Bins) -> s.DistributionView:
    known = max(bins.n - bins.missing, 1)
    reference = np.array(column.masses) * column.n * (1.0 - column.missing)
    return s.DistributionView(
        column=column.name,
        kind=column.kind,
        bins=_names(column),
        reference=column.masses,
        live=tuple(count / known for count in bins.counts),
        missing_reference_ratio=column.missing,
        missing_live_ratio=bins.missing / max(bins.n, 1),
        outside_ratio=None if column.kind == "categorical" else bins.outside / max(bins.n, 1),
        n=bins.n,
        jensen_shannon=jensen_shannon(reference, bins.counts),
        psi_excess=psi_excess(reference, bins.counts),
    )


def _names(column: ColumnProfile) -> tuple[str, ...]:
    if column.kind == "categorical":
        return (*column.categories, "others")
    if not column.cuts:
        return ("all",)
    # A cut lies a hair beside the value it is of, which shows where that is zero.
    hair = max(map(abs, column.cuts)) * 1e-5
    cuts = [f"{cut if abs(cut) > hair else 0.0:.4g}" for cut in column.cuts]
    middle = [f"{low} – {high}" for low, high in pairwise(cuts)]
    return (f"up to {cuts[0]}", *middle, f"above {cuts[-1]}")
