"""What is expected of all rows, or of a segment: estimated, doubted when labels contradict it, or
refused.

Matured labels of a cohort are held against the chances that the estimates go by; where they are
only a sample of the cohort, they and the predictions together give a prediction-powered mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
import numpy as np

from trimtab.domain.figures import figures, within
from trimtab.domain.profile import RISING, QualityProfile
from trimtab.domain.records import Floats
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.describe import day
from trimtab.judge.estimate import (
    FEWEST,
    Learned,
    Refusal,
    Seen,
    estimates,
    loss_by_outcome,
    wobble_of,
)
from trimtab.judge.explained import Split
from trimtab.judge.labelled_part import FEWEST as FEWEST_LABELLED
from trimtab.judge.labelled_part import Audited, Powered, Priced, powered
from trimtab.judge.profile import DAY
from trimtab.judge.signals.estimate_counts import Part
from trimtab.judge.signals.family import COVERED
from trimtab.judge.trust import Told, Trust, spread_of
from trimtab.judge.watch import Z99, Block, Watch
from trimtab.stats.fixed_point import MICRO


class Latest(msgspec.Struct, frozen=True):
    """The last rows that were estimated, or refused for a `reason`; `start` is their block's."""

    start: float
    n: int
    value: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    reason: str = ""


class Stream(msgspec.Struct):
    """What changes of one metric."""

    watch: Watch
    latest: Latest | None = None
    powered: Powered | None = None
    splits: list[Split] = []


class Waiting(msgspec.Struct, frozen=True):
    """Rows since the block that began at `start`, too few to be estimated yet."""

    start: float
    seen: Seen


class Believed(msgspec.Struct):
    """What changes of one scope, by metric: estimates, and the trust in them."""

    streams: dict[str, Stream]
    trust: Trust = msgspec.field(default_factory=Trust)
    audit: Audited = msgspec.field(default_factory=Audited)
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a scope is judged: the length of its blocks, for how many of them rows may
    wait for company, evidence to alarm, and the share of its rows that is audited."""

    release: str
    seconds: float
    patience: int
    limit: float
    audit: float


@dataclass(frozen=True)
class Expectation:
    """A scope with what was learned of it, and its metrics by the name of their signal.

    `of` and `scope` say which rows it is about: nothing, or ` of carrier=UA` and the column's
    value.
    """

    terms: Terms
    learned: Learned
    qualities: Mapping[str, QualityProfile]
    signals: Mapping[str, str]
    of: str = ""
    scope: Mapping[str, str] = field(default_factory=dict)

    def judge(self, known: Believed, start: float, seen: Seen) -> list[Block]:
        """Estimate the rows of a block that is over, with those that waited for company. What is
        evidence is for the watches to take in."""
        seconds, waiting = self.terms.seconds, known.waiting
        if waiting is not None and start - waiting.start < self.terms.patience * seconds:
            seen = waiting.seen.merge(seen)
        else:
            waiting = Waiting(start, seen)
        known.waiting = None
        if seen.n < FEWEST and self.terms.patience > 1:
            known.waiting = Waiting(waiting.start, seen)
            return []
        return self._estimate(known, waiting.start, seen, start + seconds - waiting.start)

    def _estimate(self, known: Believed, start: float, seen: Seen, seconds: float) -> list[Block]:
        evidence, n = [], seen.n
        made = estimates(self.learned, seen, known.streams, max(seconds / DAY, 1.0))
        for metric, stream in known.streams.items():
            found = made[metric]
            if isinstance(found, Refusal):
                stream.latest = Latest(start, n, reason=found.reason)
                continue
            stream.latest = Latest(start, n, found.value, found.lower, found.upper)
            if known.trust.since is None:
                # Only what is outside with its whole interval is evidence of harm.
                near = found.upper if metric in RISING else found.lower
                trials = _trials(self.learned, seen, metric)
                evidence.append(Block(stream.watch, start, [near * trials], trials))
        return evidence

    def compare(self, known: Believed, start: float, cohort: Part) -> None:
        """Hold the labels of a matured cohort against the chances that stood for them."""
        n, trusted = cohort.told.n, known.trust.since is None
        if n >= FEWEST_LABELLED:
            known.trust.take(start, self._streams(cohort), self.terms.limit)
        if self.terms.audit:
            self._audit(known, cohort, trusted and known.trust.since is not None)
            found = {metric: known.audit.powered(metric) for metric in self._priced}
        elif FEWEST_LABELLED <= n < COVERED * cohort.seen.n:
            priced = self._of_cohort(cohort)
            found = {metric: powered(start, each, cohort.told) for metric, each in priced.items()}
        else:
            return
        for metric, stream in known.streams.items():
            stream.powered = found.get(metric)

    def _audit(self, known: Believed, cohort: Part, lost: bool) -> None:
        if lost:
            # What was audited before says nothing of the world since, nor may the cohort that
            # told of the change be the first to count.
            known.audit = Audited()
        elif cohort.seen.cells:
            priced = self._of_cohort(cohort)
            known.audit.take(priced, cohort.audited, cohort.asked, self.terms.audit)

    @cached_property
    def _priced(self) -> dict[str, tuple[Floats, Floats]]:
        """The losses of cells by each metric that is a mean loss."""
        costs = {metric: loss_by_outcome(self.learned.profile, metric) for metric in self.qualities}
        return {metric: pair for metric, pair in costs.items() if pair is not None}

    def _of_cohort(self, cohort: Part) -> dict[str, Priced]:
        rows = np.array(cohort.seen.cells, dtype=np.float64)
        chance = self.learned.chance
        return {metric: Priced(*pair, chance, rows) for metric, pair in self._priced.items()}

    def _streams(self, cohort: Part) -> list[Told | None]:
        """What labels said of the mean loss, of all rows, and of each group of cells."""
        rows, hits = np.array(cohort.told.labelled), np.array(cohort.told.hits) / MICRO
        members, gains, down = self._members
        labelled = rows @ members
        weight = gains * rows[:, None] / np.maximum(labelled, 1.0)
        less = np.zeros(labelled.size)
        less[0] = rows @ down / max(float(labelled[0]), 1.0)
        real = hits @ gains / np.maximum(labelled, 1.0) + less
        expected = self.learned.chance @ weight + less
        error = Z99 * np.sqrt(self.learned.variance(weight))
        told = zip(real.tolist(), expected.tolist(), error.tolist(), self._spreads, strict=True)
        return [
            Told(n, *numbers) if n else None
            for n, numbers in zip(labelled.astype(np.int64).tolist(), told, strict=True)
        ]

    @cached_property
    def _members(self) -> tuple[Floats, Floats, Floats]:
        """Which cells are in which stream, what an outcome in one adds to the loss or to the share
        there (C, 2 + G), and what is lost without one (C,)."""
        group, (up, down) = np.array(self.learned.profile.group), self._loss[1]
        within = np.eye(int(group.max()) + 1)[group]
        members = np.hstack([np.ones((group.size, 2)), within])
        gain = np.ones(members.shape)
        gain[:, 0] = up - down
        return members, members * gain, down

    @cached_property
    def _spreads(self) -> list[float | None]:
        """By how much days differ in each of the streams; None where rows are independent."""
        profile = self.learned.profile
        if not profile.days:
            return [None] * (max(profile.group) + 3)
        return [spread_of(each) for each in (wobble_of(profile, self._loss[0]), *profile.drifts)]

    @cached_property
    def _loss(self) -> tuple[str, tuple[Floats, Floats]]:
        """The loss that stands for the watched metrics: the first that has one, else Brier's, or
        that of the task."""
        profile = self.learned.profile
        every = (*self.qualities, "brier", *profile.metrics)
        found = ((metric, loss_by_outcome(profile, metric)) for metric in every)
        return next((metric, costs) for metric, costs in found if costs is not None)

    @property
    def _scale(self) -> float:
        """What a share of one stands for in the loss that trust goes by."""
        quality = self.qualities.get(self._loss[0])
        return 1.0 if quality is None else quality.scale

    def verdict(self, known: Believed, metric: str, latest_start: float) -> Verdict:
        """The word on a metric; `latest_start` is that of the last block of all rows."""
        stream, quality = known.streams[metric], self.qualities[metric]
        unknown = describe.unknown(self.signals[metric], self.terms.release, self.terms.limit, "")
        bare = msgspec.structs.replace(
            unknown,
            scope=dict(self.scope),
            evidence_log10=stream.watch.log10_evidence,
            reference=quality.told(quality.value),
        )
        powered = None if stream.powered is None else stream.powered.times(quality.scale)
        sampled = self._sampled(known, metric, powered)
        if known.trust.since is not None:
            reason = known.trust.reason(self._scale)
            return _doubted(bare, powered, known.trust.since, f"{reason}{sampled}")
        refused = self._refused(stream.latest, latest_start)
        if refused or stream.latest is None:
            return msgspec.structs.replace(bare, reason=f"{refused}{sampled}")
        return self._estimated(bare, stream.watch, stream.latest, (metric, sampled))

    def _refused(self, latest: Latest | None, latest_start: float) -> str:
        """Why nothing is estimated; empty where something is."""
        patience = self.terms.patience
        if latest is None and patience == 1:
            return "no block of predictions has closed yet"
        if latest is None:
            return f"no {patience} blocks had {FEWEST} rows{self.of} together yet"
        if patience > 1 and latest_start - latest.start >= 2 * patience * self.terms.seconds:
            return f"the last {patience} blocks had fewer than {FEWEST} rows{self.of}"
        return f"not estimated: {latest.reason}" if latest.reason else ""

    def _sampled(self, known: Believed, metric: str, powered: Powered | None) -> str:
        """What labels of a part say, or what an audit lacks to say it."""
        if powered is not None:
            return f"; {powered.told(metric)}"
        if self.terms.audit and metric in self._priced:
            return f"; {known.audit.missing}"
        return ""

    def _estimated(
        self, bare: Verdict, watch: Watch, latest: Latest, words: tuple[str, str]
    ) -> Verdict:
        (metric, sampled), zone = words, watch.zones[0]
        told = self.qualities[metric].told
        value, lower, upper = told(latest.value), told(latest.lower), told(latest.upper)
        side = "from" if zone.high is None else "up to"
        border = told((zone.low or 0.0) if zone.high is None else zone.high)
        return msgspec.structs.replace(
            bare,
            verdict="ok" if watch.since is None else "bad",
            reason=(
                f"{metric}{self.of} without labels {within(value, lower, upper)} "
                f"from {day(latest.start)} (n={latest.n}), harmless {side} "
                f"{figures(border)}{sampled}; if labels still go by scores as they did"
            ),
            estimate=value,
            lower=lower,
            upper=upper,
            n=latest.n,
            since=watch.since,
        )


def _doubted(bare: Verdict, powered: Powered | None, since: float, why: str) -> Verdict:
    reason = f"not trusted since {day(since)}, {why}"
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
