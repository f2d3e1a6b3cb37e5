"""The monitors of one release: rows and labels in, verdicts and incidents out. Pure.

Rows are counted into blocks by their event time. A block of requests closes when the deployment's
clock has passed its end; rows that come later are counted into the oldest open block. A block of
quality, the cohort of the predictions made in it, closes when its labels have matured or when
nearly all of them are there; labels that come later are counted as late, not as evidence.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.profile import ColumnProfile, QualityProfile, ReferenceProfile
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge import breaks, describe, incidents, streams
from trimtab.judge.breaks import BreakWatch, Recent
from trimtab.judge.budget import WEIGHTS, log10_threshold
from trimtab.judge.profile import DAY, FEWEST_DAYS, score_column
from trimtab.judge.quality import watched
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.streams import Block, Cohort, Tally
from trimtab.judge.watch import Watch, Zone
from trimtab.stats.confidence import dkw_half_width

COVERED = 0.95
"""A cohort whose labels are this complete need not wait until they mature."""

LATENCY_TOLERANCE = 0.02
ERROR_TOLERANCE = 0.004
POSITIVE_TOLERANCE = 0.03
QUALITY_TOLERANCE = 0.01
AUC_TOLERANCE = 0.02
SEGMENT_MASS = 0.02


class Service(msgspec.Struct):
    """Errors and slow answers of an open block."""

    errors: Tally = msgspec.field(default_factory=Tally)
    slow: Tally = msgspec.field(default_factory=Tally)


class Span(msgspec.Struct):
    """Event times of a break; rows inside are no evidence about the model. None while it lasts."""

    since: float
    until: float | None = None


class Gap(msgspec.Struct, frozen=True):
    """Mean of label minus score in the block that began at `start`."""

    start: float
    n: int
    mean: float


class State(msgspec.Struct):
    """What changes while a release is watched; keys of open blocks are block numbers."""

    service: dict[int, Service] = {}
    inputs: dict[int, Block] = {}
    cohorts: dict[int, Cohort] = {}
    open_service: int | None = None
    open_inputs: int | None = None
    open_cohorts: int | None = None
    watches: dict[str, Watch] = {}
    breaks: list[BreakWatch] = []
    recent: dict[str, Recent] = {}
    spans: list[Span] = []
    gaps: list[Gap] = []
    late_labels: int = 0
    excluded: int = 0
    predicted: int = 0
    labelled: int = 0
    opened: int = 0


class Saved(msgspec.Struct, frozen=True):
    """Monitors as they are stored."""

    spec: DeploymentSpec
    signature: Signature
    profile: ReferenceProfile | None
    release: str
    started_clock: float
    state: State


class Monitors:
    """Watches one release of a deployment against its reference profile."""

    def __init__(self, saved: Saved) -> None:
        """Resume from `saved`; use `start` for a release that begins to serve."""
        self._saved = saved
        self._spec, self._state = saved.spec, saved.state
        self._profile = saved.profile
        self._quality = watched(saved.spec.monitor, saved.profile)
        self._columns = {column.name: column for column in _columns(saved.profile)}

    @classmethod
    def start(
        cls,
        spec: DeploymentSpec,
        signature: Signature,
        profile: ReferenceProfile | None,
        release: str,
        started_clock: float,
    ) -> "Monitors":
        """Begin to watch `release` (as the rows name it). Without a profile: errors and latency."""
        monitors = cls(Saved(spec, signature, profile, release, started_clock, State()))
        monitors._build()
        return monitors

    @classmethod
    def load(cls, saved: bytes) -> "Monitors":
        """Resume what `dump` wrote, bit for bit. Raises msgspec.DecodeError for anything else."""
        return cls(msgspec.json.decode(saved, type=Saved))

    def dump(self) -> bytes:
        """Everything, as JSON."""
        return msgspec.json.encode(self._saved)

    @property
    def release(self) -> str:
        """The release that is watched."""
        return self._saved.release

    def observe(self, rows: Rows) -> None:
        """Count rows; those of other releases, and shadow copies, are skipped."""
        fixed = rows.fixed
        mine = (fixed["release"] == self.release) & (fixed["mode"] != "shadow")
        ok = fixed["outcome"] == Outcome.OK
        tried = rows.take(np.asarray(mine & (ok | (fixed["outcome"] == Outcome.FAILED)), np.bool_))
        if not len(tried):
            return
        for number, part in _split(tried, self._spec.monitor.block_seconds):
            self._count_service(number, part)
        for number, part in _split(tried, self._block_seconds):
            self._count_inputs(number, part)

    def learn(self, labelled: Labelled) -> None:
        """Count labels of this release's answers into the cohorts of their predictions."""
        quality = self._quality
        fixed = labelled.rows.fixed
        mine = (fixed["release"] == self.release) & (fixed["mode"] != "shadow")
        index = np.flatnonzero(np.asarray(mine & (fixed["outcome"] == Outcome.OK), np.bool_))
        if quality is None or not index.size:
            return
        numbers = _numbers(labelled.rows.take(index), self._block_seconds)
        for number in np.unique(numbers).tolist():
            part = index[numbers == number]
            if number < _first(self._state.open_cohorts, number):
                self._state.late_labels += part.size
                continue
            cohort = self._state.cohorts.setdefault(number, Cohort())
            rows = labelled.rows.take(part)
            cohort.add(quality, self._saved.signature, rows, labelled.label[part])

    def assess(
        self, clock: float, open_incidents: tuple[Incident, ...], surroundings: Surroundings
    ) -> MonitorReport:
        """Close what `clock` (seconds on the deployment's clock) lets close, and judge.

        `open_incidents` are this deployment's; the report says which are new, changed or over.
        """
        self._close_service(clock)
        self._close_inputs(clock)
        self._close_cohorts(clock)
        verdicts = self._verdicts()
        case = incidents.Case(
            deployment=self._spec.name,
            release=self.release,
            clock=clock,
            block_seconds=self._block_seconds,
            started=self._saved.started_clock,
            surroundings=surroundings,
            calibration=self._calibration(verdicts),
            labels=self._labels_text(),
            opened=self._state.opened,
        )
        report = incidents.reconcile(case, verdicts, open_incidents)
        self._state.opened += len(report.opened)
        return report

    @property
    def _timed(self) -> bool:
        return self._profile is not None and self._profile.days >= FEWEST_DAYS

    @property
    def _block_seconds(self) -> float:
        """Inputs and quality of a timed reference are compared day with day: hours differ."""
        return max(self._spec.monitor.block_seconds, DAY if self._timed else 0.0)

    def _threshold(self, group: str, streams_in_group: int = 1) -> float:
        plan = self._spec.monitor
        service = group in ("errors", "latency")
        return log10_threshold(
            describe.TIERS[group],
            WEIGHTS[group] / streams_in_group,
            plan.false_alarms_per_year,
            plan.block_seconds if service else self._block_seconds,
        )

    def _build(self) -> None:
        objective, watches = self._spec.objective, self._state.watches
        lost = 1.0 - objective.availability
        high = max(2.0 * lost, lost + ERROR_TOLERANCE)
        slow = 1.0 - objective.latency_quantile + LATENCY_TOLERANCE
        watches["errors"] = Watch([Zone(None, high)], None, self._threshold("errors"))
        watches["latency"] = Watch([Zone(None, slow)], None, self._threshold("latency"))
        if self._quality is not None:
            zone = quality_zone(self._quality, self._spec.monitor.quality_tolerance)
            watches["quality"] = Watch(
                [zone], self._quality.spread, self._threshold("quality"), summed=True
            )
        if self._profile is not None:
            self._build_inputs(self._profile)

    def _build_inputs(self, profile: ReferenceProfile) -> None:
        watches = self._state.watches
        if profile.score is not None:
            zones = self._zones(profile.score)
            watches["prediction"] = Watch(
                zones, profile.score.spread, self._threshold("prediction")
            )
        if profile.positive_rate is not None and profile.score is not None:
            width = POSITIVE_TOLERANCE + self._error(profile.score)
            zone = Zone(profile.positive_rate - width, profile.positive_rate + width)
            watches["positive_rate"] = Watch(
                [zone], profile.score.spread, self._threshold("positive_rate")
            )
        limit = self._threshold("input", len(profile.inputs))
        segments = self._segments(profile)
        for column in profile.inputs:
            zones = self._zones(column)
            watches[f"input:{column.name}"] = Watch(zones, column.spread, limit)
            self._state.recent[column.name] = Recent.of(column)
            self._state.breaks += breaks.watches(column, segments)

    def _zones(self, column: ColumnProfile) -> list[Zone]:
        """A band wide enough that the cycles of ordinary days (of the week, of the weather) fit."""
        tolerance = max(self._spec.monitor.input_tolerance, (column.spread or 0.0) / 3.0)
        return streams.zones(column, tolerance, self._error(column))

    def _error(self, column: ColumnProfile) -> float:
        """How far the reference may be from the truth, in shares."""
        if column.spread is None or self._profile is None:
            return dkw_half_width(column.n, 0.01)
        return column.spread / float(np.sqrt(self._profile.days))

    def _segments(self, profile: ReferenceProfile) -> list[str]:
        names = {*self._spec.monitor.segments, *profile.segments}
        return [
            f"{column.name}={category}"
            for column in profile.inputs
            if column.name in names
            for category, mass in zip(column.categories, column.masses, strict=False)
            if mass >= SEGMENT_MASS
        ]

    def _count_service(self, number: int, rows: Rows) -> None:
        number = max(number, _first(self._state.open_service, number))
        service = self._state.service.setdefault(number, Service())
        ok = np.asarray(rows.fixed["outcome"] == Outcome.OK, dtype=np.bool_)
        service.errors.add(~ok)
        service.slow.add(rows.fixed["total_seconds"][ok] > self._spec.objective.latency_seconds)

    def _count_inputs(self, number: int, rows: Rows) -> None:
        state = self._state
        block = state.inputs.setdefault(max(number, _first(state.open_inputs, number)), Block())
        groups = self._groups(rows)
        for name, column in self._columns.items():
            values = rows.inputs[name]
            streams.add_rows(block, column, values)
            streams.add_cells(block, column, state.recent[name], values, groups)
        answered = rows.take(np.asarray(rows.fixed["outcome"] == Outcome.OK, dtype=np.bool_))
        self._count_scores(block, answered)
        if self._quality is not None and number >= _first(state.open_cohorts, number):
            state.cohorts.setdefault(number, Cohort()).predicted += len(answered)

    def _count_scores(self, block: Block, rows: Rows) -> None:
        values = score_column(self._saved.signature, rows.outputs)
        if values is None or self._profile is None or self._profile.score is None:
            return
        block.score = block.score or streams.empty_bins(self._profile.score)
        block.score.add(self._profile.score, values)
        if self._profile.positive_rate is not None:
            decided = values >= self._saved.signature.threshold
            block.positive.add(np.asarray(decided, dtype=np.bool_))

    def _groups(self, rows: Rows) -> streams.Groups:
        groups = {"": np.ones(len(rows), dtype=np.bool_)}
        for segment in sorted({watch.segment for watch in self._state.breaks} - {""}):
            name, _, value = segment.partition("=")
            groups[segment] = np.asarray(rows.inputs[name] == value, dtype=np.bool_)
        return groups

    def _close_service(self, clock: float) -> None:
        seconds, watches = self._spec.monitor.block_seconds, self._state.watches
        for number in _due(list(self._state.service), clock, seconds):
            service = self._state.service.pop(number)
            self._state.open_service = number + 1
            for name, tally in (("errors", service.errors), ("latency", service.slow)):
                if tally.n:
                    watches[name].take(number * seconds, [float(tally.hits)], tally.n)

    def _close_inputs(self, clock: float) -> None:
        for number in _due(list(self._state.inputs), clock, self._block_seconds):
            block = self._state.inputs.pop(number)
            self._state.open_inputs = number + 1
            start = number * self._block_seconds
            broken = self._close_breaks(start, block)
            for name, column in self._columns.items():
                # A feed breaks as a whole: what its other columns bring meanwhile is not learned.
                if broken:
                    self._state.recent[name].quarantine()
                else:
                    self._state.recent[name].close(block.seen[name])
                if name not in broken:
                    self._take_column(f"input:{name}", start, column, block.columns[name])
            if not broken:
                self._take_scores(start, block)

    def _take_column(
        self, name: str, start: float, column: ColumnProfile, bins: streams.Bins
    ) -> None:
        watch = self._state.watches[name]
        usual = float(np.median([point.n for point in watch.history] or [0]))
        if self._partial(start) or bins.n < usual / 2.0:
            return
        watch.take(start, streams.totals(column, bins), bins.n)

    def _partial(self, start: float) -> bool:
        """Whether a day was seen only in part: it cannot be compared with whole days."""
        return self._timed and start < self._saved.started_clock

    def _take_scores(self, start: float, block: Block) -> None:
        if self._profile is None or self._profile.score is None or block.score is None:
            return
        if block.score.n:
            self._take_column("prediction", start, self._profile.score, block.score)
        if block.positive.n and not self._partial(start):
            tally = block.positive
            self._state.watches["positive_rate"].take(start, [float(tally.hits)], tally.n)

    def _close_breaks(self, start: float, block: Block) -> set[str]:
        state = self._state
        limit = self._threshold("upstream", max(len(state.breaks), 1))
        for watch in state.breaks:
            cell = block.cells[watch.key]
            if cell.n >= breaks.FEWEST_ROWS:
                count = cell.missing if watch.kind == "missing" else cell.strange
                watch.take(start, count / cell.n, cell.n, limit)
        broken = [watch for watch in state.breaks if watch.broken]
        lasting = bool(state.spans) and state.spans[-1].until is None
        if broken and not lasting:
            state.spans.append(Span(min(watch.since or start for watch in broken)))
        if lasting and not broken:
            state.spans[-1].until = start
        return {watch.column for watch in broken}

    def _close_cohorts(self, clock: float) -> None:
        state, seconds = self._state, self._block_seconds
        matured = clock - self._spec.monitor.maturity_seconds
        for number in _due(list(state.cohorts), clock, seconds):
            cohort, end = state.cohorts[number], (number + 1) * seconds
            if end > matured and cohort.labelled < COVERED * cohort.predicted:
                return
            del state.cohorts[number]
            state.open_cohorts = number + 1
            self._take_cohort(number * seconds, end, cohort)

    def _take_cohort(self, start: float, end: float, cohort: Cohort) -> None:
        state, quality = self._state, self._quality
        spans = [span for span in state.spans if span.until is None or span.until > start]
        measured = None if quality is None else cohort.measured(quality.metric)
        broken = any(span.since < end for span in spans)
        if measured is None or broken or self._partial(start):
            state.excluded += cohort.labelled
            return
        state.predicted += cohort.predicted
        state.labelled += cohort.labelled
        gap = Gap(start, cohort.labelled, cohort.gap / streams.MICRO / cohort.labelled)
        state.gaps = [*state.gaps, gap][-60:]
        state.watches["quality"].take(start, [measured[0]], measured[1])

    def _verdicts(self) -> tuple[Verdict, ...]:
        profile, made = self._profile, []
        for name, watch in self._state.watches.items():
            made.append(describe.verdict(name, watch, self.release, self._subject(name)))
        if profile is not None:
            total = len(self._state.breaks)
            limit = self._threshold("upstream", max(total, 1))
            made += describe.upstream(self._state.breaks, self.release, limit)
        return tuple(made)

    def _subject(self, name: str) -> describe.Subject:
        plan, quality = self._spec.objective, self._quality
        if name == "quality" and quality is not None:
            note = self._labels_text()
            return describe.Subject(quality.metric, quality.value, note=note)
        if name == "errors":
            return describe.Subject("share of failed attempts", 1.0 - plan.availability)
        if name == "latency":
            text = f"share slower than {plan.latency_seconds * 1000:g} ms"
            return describe.Subject(text, 1.0 - plan.latency_quantile)
        if name == "positive_rate" and self._profile is not None:
            return describe.Subject("share decided positive", self._profile.positive_rate)
        return describe.Subject("distance from the reference", None, distance=True)

    def _labels_text(self) -> str:
        state = self._state
        if not state.predicted:
            return "no cohort of predictions has its labels yet"
        share = state.labelled / state.predicted
        late = f", {state.late_labels} came too late to count" if state.late_labels else ""
        out = (
            f", {state.excluded} were left out (an upstream break, or part of a day)"
            if state.excluded
            else ""
        )
        return f"labels for {share:.0%} of the predictions{late}{out}"

    def _calibration(self, verdicts: tuple[Verdict, ...]) -> incidents.Calibration | None:
        """Label minus score since quality fell, against the reference."""
        since = next((v.since for v in verdicts if v.signal == "quality" and v.since), None)
        gaps = [gap for gap in self._state.gaps if since is not None and gap.start >= since]
        if not gaps or self._profile is None or self._profile.calibration is None:
            return None
        live = float(np.average([g.mean for g in gaps], weights=[g.n for g in gaps]))
        return incidents.Calibration(live, self._profile.calibration)


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


def _columns(profile: ReferenceProfile | None) -> tuple[ColumnProfile, ...]:
    return () if profile is None else profile.inputs


def _numbers(rows: Rows, seconds: float) -> NDArray[np.int64]:
    return np.floor(rows.fixed["event_time"] / seconds).astype(np.int64)


def _split(rows: Rows, seconds: float) -> list[tuple[int, Rows]]:
    numbers = _numbers(rows, seconds)
    return [(n, rows.take(numbers == n)) for n in np.unique(numbers).tolist()]


def _first(opened: int | None, otherwise: int) -> int:
    return otherwise if opened is None else opened


def _due(numbers: list[int], clock: float, seconds: float) -> list[int]:
    """Blocks whose end is past, with some grace for rows that are still on their way."""
    grace = min(0.1 * seconds, 3600.0)
    return [n for n in sorted(numbers) if (n + 1) * seconds + grace <= clock]
