"""The guard of one rollout: is the candidate worse than stable, and is it proven not to be? Pure.

Rolling back and advancing are two questions with an error level each. The candidate goes when one
of its signals is worse beyond doubt (`alpha` for the whole rollout, split over the signals). It
advances only when every signal is positively not worse (`beta`): either its bad rate is below the
step's multiple of stable's, or it is below an absolute limit that is harmless by itself. Only first
attempts of requests that were assigned by chance count, and a unit counts as bad once in ten
seconds, so that one client that retries cannot decide. Where a deployment names protected columns,
groups are compared too (`judge.treatment`).
"""

import math
from typing import Any

import msgspec
import numpy as np

from trimtab.domain.deployment import DeploymentSpec, RolloutPlan
from trimtab.domain.profile import Metric, ReferenceProfile
from trimtab.domain.records import BATCH, Floats, Labelled, Outcome, Rows
from trimtab.domain.rollout import Phase, Standing
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict, Word
from trimtab.judge.groups import Division, Loss
from trimtab.judge.quality import TELLING, losses
from trimtab.judge.reports import GuardReport
from trimtab.judge.treatment import Judged, Terms, Treated, Treatment
from trimtab.judge.trial import Arm, Compared, Paired, frozen_quantiles

MARGINS = (5.0, 3.0, 2.0, 1.5, 1.5)
"""How many times stable's bad rate must be excluded, by step; the last holds for later steps."""

SHARES = {"errors": 0.40, "attempts": 0.15, "latency": 0.125, "paired": 0.10, "quality": 0.10}
"""Parts of alpha. `latency` counts twice, for p90 and p99; the sum is 1."""

GROUPS = 0.15
"""What groups count beside the others, where there are any: all are then parts of 1.15."""

SLOWER = 2.0
"""A candidate that exceeds stable's quantile up to twice as often is not worse by latency."""

WRONG = 1.1
"""Nor one by quality whose decisions are wrong up to a tenth more often."""

HARMLESS = 0.01
"""No bad rate below this is held against a candidate when it asks to advance."""

WINDOW = 10.0
FREEZE_AFTER = 200
FEWEST_AT_STEP = 20
MOST_WAITING = 5000
MOST_LOST = 1e300
"""No row loses more: the distance of what a regression answers may leave float64, and a loss that
is not finite can neither be compared nor saved."""
FIRST = 5
COUNTED = (
    "release",
    "mode",
    "lane",
    "weight",
    "unit",
    "outcome",
    "event_time",
    "total_seconds",
)
"""Fixed columns by which an attempt counts."""


class Trial(msgspec.Struct):
    """What changes while a rollout is guarded."""

    errors: Compared = msgspec.field(default_factory=Compared)
    slow90: Compared = msgspec.field(default_factory=Compared)
    slow99: Compared = msgspec.field(default_factory=Compared)
    wrong: Compared = msgspec.field(default_factory=Compared)
    alone: Arm = msgspec.field(default_factory=Arm)
    every: Arm = msgspec.field(default_factory=Arm)
    slo: Arm = msgspec.field(default_factory=Arm)
    paired: Paired = msgspec.field(default_factory=lambda: Paired(0.0))
    treatment: Treatment = msgspec.field(default_factory=Treatment)
    first: list[bool] = []
    first_units: list[str] = []
    seconds: list[float] = []
    limits: list[float] = []
    waiting: dict[str, list[float]] = {}
    counted: dict[str, float] = {}
    phase: str = ""
    step: int = 0
    since: float = 0.0
    rows_before: int = 0
    shadowed: int = 0


class Saved(msgspec.Struct, frozen=True):
    """A guard as it is stored."""

    plan: RolloutPlan
    spec: DeploymentSpec
    candidate: Standing
    stable: Standing
    signature: Signature
    trial: Trial
    division: Division = Division()
    loss: Loss = Loss("error")


class Guard:
    """Compares a candidate with the stable release on one rollout's rows."""

    def __init__(self, saved: Saved) -> None:
        """Resume from `saved`; use `start` for a new rollout."""
        self._saved = saved
        self._trial, self._plan = saved.trial, saved.plan
        lost = 1.0 - saved.spec.objective.availability
        self._limit = max(2.0 * lost, HARMLESS)
        self._treated = _treated(saved) if saved.spec.monitor.groups else None

    @classmethod
    def start(
        cls,
        plan: RolloutPlan,
        spec: DeploymentSpec,
        candidate: Standing,
        stable: Standing,
        told: tuple[Signature, ReferenceProfile | None],
    ) -> "Guard":
        """Begin to guard a rollout of `candidate` against `stable`; `told` is what the candidate
        says of itself."""
        signature, profile = told
        trial = Trial(paired=Paired(plan.quality_margin))
        division = Division.of(spec.monitor.groups, profile)
        loss = Loss.of(signature, () if profile is None else profile.quality)
        return cls(Saved(plan, spec, candidate, stable, signature, trial, division, loss))

    @classmethod
    def load(cls, saved: bytes) -> "Guard":
        """Resume what `dump` wrote, bit for bit. Raises msgspec.DecodeError for anything else."""
        return cls(msgspec.json.decode(saved, type=Saved))

    def dump(self) -> bytes:
        """Everything, as JSON."""
        return msgspec.json.encode(self._saved)

    def observe(self, rows: Rows) -> None:
        """Count rows of this rollout (the caller keeps the others out)."""
        tried = rows.has("outcome", Outcome.OK) | rows.has("outcome", Outcome.FAILED)
        tried &= (rows.fixed["row"] == 0) & (rows.fixed["attempt"] == 0)
        fixed = rows.take(tried & ~rows.has("mode", "explicit")).fixed
        names = [name for name in COUNTED if name in fixed]
        for attempt in zip(*(fixed[name].tolist() for name in names), strict=True):
            self._count(dict(zip(names, attempt, strict=True)))
        if self._treated is not None:
            self._treated.observe(rows)

    def learn(self, labelled: Labelled) -> None:
        """Count labels: pairs of a shadow copy with its answer, and decisions of both arms."""
        metric = self._metric
        if self._treated is not None:
            self._treated.learn(labelled)
        if metric is None or not len(labelled.rows):
            return
        signature, fixed = self._saved.signature, labelled.rows.fixed
        keep = np.flatnonzero(np.asarray(fixed["outcome"] == Outcome.OK, dtype=np.bool_))
        rows, label = labelled.rows.take(keep), labelled.label[keep]
        loss = np.minimum(losses(metric, signature, rows.outputs, label), MOST_LOST)
        wrong = losses("error", signature, rows.outputs, label)
        self._pair(rows, loss)
        if signature.task != "regression":
            self._count_wrong(rows, wrong)

    def assess(self, phase: Phase, step: int, clock: float) -> GuardReport:
        """Judge the candidate in this phase and step; `clock` is the deployment's, seconds."""
        trial = self._trial
        if (trial.phase, trial.step) != (phase, step):
            trial.phase, trial.step, trial.since = phase, step, clock
            trial.rows_before = trial.errors.candidate.n
        margin = MARGINS[min(step, len(MARGINS) - 1)] if phase == "canary" else MARGINS[-1]
        groups = self._groups(margin, phase)
        told = [self._errors(margin), *self._latency(margin, phase), *self._quality(margin)]
        verdicts = [*told, *(each.verdict for each in groups)]
        words = [verdict.verdict for verdict in verdicts]
        awaited = [*told, *(each.verdict for each in groups if each.awaited)]
        missing = [v.reason for v in awaited if v.verdict == "unknown"] + self._short_of(phase)
        bad = "bad" in words
        word: Word = "bad" if bad else "unknown" if missing else "ok"
        return GuardReport(
            verdict=word,
            advance="ok" if word == "ok" else "unknown",
            verdicts=tuple(verdicts),
            waiting_for="" if bad or not missing else self._waiting(missing, clock),
        )

    @property
    def _metric(self) -> Metric | None:
        """The loss by which rows that both answered are compared; None without any."""
        switched_off = self._saved.spec.monitor.quality == "none"
        return None if switched_off else TELLING.get(self._saved.signature.task)

    def _count(self, row: dict[str, Any]) -> None:
        trial = self._trial
        candidate = row["release"] == self._saved.candidate.digest
        failed, seconds = row["outcome"] == Outcome.FAILED, float(row["total_seconds"])
        weight = int(row["weight"])
        hurried = row.get("lane") != BATCH
        if candidate:
            self._count_candidate(row, failed)
        elif hurried and not failed and len(trial.seconds) < FREEZE_AFTER:
            self._freeze(seconds)
        if weight == 0 or row["mode"] == "shadow":
            return
        unit = str(row["unit"])
        trial.errors.add(weight, candidate, failed and self._once("e", candidate, row), unit)
        if failed or not hurried or not trial.limits:
            return
        for name, signal, limit in zip(
            "np", (trial.slow90, trial.slow99), trial.limits, strict=True
        ):
            slow = seconds > limit
            signal.add(weight, candidate, slow and self._once(name, candidate, row), unit)

    def _count_candidate(self, row: dict[str, Any], failed: bool) -> None:
        """Attempts of the candidate wherever they came from: shadow, canary or bake."""
        trial = self._trial
        if len(trial.first) < FIRST:
            trial.first = [*trial.first, bool(failed)]
            trial.first_units = sorted({*trial.first_units, str(row["unit"])})
        counted = failed and self._once("a", True, row)
        trial.every.n += 1
        trial.every.bad += counted
        trial.shadowed += row["mode"] == "shadow"
        if int(row["weight"]) == 0 or row["mode"] == "shadow":
            trial.alone.n += 1
            trial.alone.bad += counted
        if row["mode"] != "shadow":
            objective = self._saved.spec.objective.latency_seconds
            trial.slo.n += 1
            late = row.get("lane") != BATCH and row["total_seconds"] > objective
            trial.slo.bad += bool(failed or late)

    def _freeze(self, seconds: float) -> None:
        """Collect stable's first answers; its quantiles are then frozen for the whole rollout."""
        trial = self._trial
        trial.seconds = [*trial.seconds, seconds]
        if len(trial.seconds) == FREEZE_AFTER:
            # Below half of the objective nobody is harmed by slower answers, and on a busy host a
            # candidate's few small batches are always a little slower than stable's large ones.
            floor = self._saved.spec.objective.latency_seconds / 2.0
            trial.limits = [max(limit, floor) for limit in frozen_quantiles(trial.seconds)]

    def _once(self, signal: str, candidate: bool, row: dict[str, Any]) -> bool:
        """Whether this unit has not yet gone bad in this window."""
        counted, at = self._trial.counted, float(row["event_time"])
        window = math.floor(at / WINDOW)
        key = f"{signal}{int(candidate)}/{row['unit']}/{window}"
        if key in counted:
            return False
        counted[key] = at
        if len(counted) > MOST_WAITING:
            del counted[next(iter(counted))]
        return True

    def _pair(self, rows: Rows, loss: Floats) -> None:
        """Match a shadow copy with the answer to the same row, whichever label comes first."""
        fixed, found = rows.fixed, []
        shadow = fixed["mode"] == "shadow"
        eligible = shadow | ((fixed["mode"] == "stable") & (fixed["weight"] == 0))
        for place in np.flatnonzero(np.asarray(eligible & ~np.isnan(loss), np.bool_)).tolist():
            key = f"{fixed['request_id'][place]}/{fixed['row'][place]}"
            mine = [float(shadow[place]), float(loss[place])]
            other = self._trial.waiting.pop(key, None)
            if other is not None and other[0] != mine[0]:
                candidate, stable = (mine, other) if shadow[place] else (other, mine)
                found.append(self._difference(candidate[1], stable[1]))
            else:
                self._wait(key, mine)
        if found:
            self._trial.paired.add(np.array(found))

    def _wait(self, key: str, mine: list[float]) -> None:
        waiting = self._trial.waiting
        waiting[key] = mine
        if len(waiting) > MOST_WAITING:
            del waiting[next(iter(waiting))]

    def _difference(self, candidate: float, stable: float) -> float:
        """Losses of regressions have no bound, so that they are compared as a share of both."""
        if self._saved.signature.task != "regression":
            return candidate - stable
        return (candidate - stable) / max(candidate + stable, 1e-300)

    def _count_wrong(self, rows: Rows, wrong: Floats) -> None:
        fixed = rows.fixed
        chance = (fixed["weight"] > 0) & (fixed["attempt"] == 0)
        chance &= (fixed["mode"] == "canary") | (fixed["mode"] == "stable")
        for place in np.flatnonzero(np.asarray(chance & ~np.isnan(wrong), np.bool_)).tolist():
            row = {name: column[place] for name, column in fixed.items()}
            candidate = row["release"] == self._saved.candidate.digest
            bad = wrong[place] > 0.5 and self._once("w", candidate, row)
            self._trial.wrong.add(int(row["weight"]), candidate, bool(bad), str(row["unit"]))

    def _alpha(self, part: str) -> float:
        """log10 of the evidence at which this part of alpha is spent."""
        whole = 1.0 if self._treated is None else 1.0 + GROUPS
        return -math.log10(self._plan.alpha * {**SHARES, "groups": GROUPS}[part] / whole)

    @property
    def _beta(self) -> float:
        """log10 of the evidence that one of two ways to be not worse needs."""
        return -math.log10(self._plan.beta / 2.0)

    def _errors(self, margin: float) -> Verdict:
        trial = self._trial
        outage = len(trial.first) == FIRST and all(trial.first) and len(trial.first_units) > 1
        if outage and not (trial.errors.stable.n >= FIRST and trial.errors.stable.rate >= 0.5):
            return self._verdict("errors", "bad", f"the first {FIRST} attempts all failed", 0.0)
        alone = trial.alone.above(self._limit)
        if alone >= self._alpha("attempts") and trial.alone.rate > 2.0 * trial.errors.stable.rate:
            reason = f"{trial.alone.bad} of {trial.alone.n} attempts failed"
            return self._verdict("errors", "bad", reason, alone, threshold=self._alpha("attempts"))
        absolute = trial.every.below(self._limit * max(margin / 2.0, 1.0))
        seen = f"{trial.every.bad}/{trial.every.n} of its attempts"
        return self._compare("errors", trial.errors, (1.0, margin), absolute, seen)

    def _latency(self, margin: float, phase: Phase) -> list[Verdict]:
        """A shadow copy waits behind real requests: its latency says nothing."""
        trial = self._trial
        if phase in ("preparing", "shadow"):
            return []
        promised = 2.0 * (1.0 - self._saved.spec.objective.latency_quantile)
        absolute = trial.slo.below(max(promised, HARMLESS) * max(margin / 2.0, 1.0))
        nulls = (SLOWER, SLOWER * margin)
        seen = f"{trial.slo.bad}/{trial.slo.n} of its answers failed or late"
        return [
            self._compare("latency_p90", trial.slow90, nulls, absolute, seen),
            self._compare("latency_p99", trial.slow99, nulls, absolute, seen),
        ]

    def _quality(self, margin: float) -> list[Verdict]:
        trial = self._trial
        paired = trial.paired
        # A release that was put in place at once left nothing to compare it with.
        unseen = trial.phase == "bake" and not paired.rows and not trial.wrong.candidate.n
        if unseen or self._metric is None:
            return []
        worse, limit = paired.test("worse").log10_evidence, self._alpha("paired")
        carried = paired.test("not_worse").log10_evidence
        if worse >= limit:
            more, rows = paired.mean or 0.0, f"{paired.rows:,} rows that both answered"
            reason = f"its loss is {more:.4f} above that of the stable release on {rows}"
            return [self._verdict("quality", "bad", reason, worse, threshold=limit)]
        ratios = WRONG, max(margin, WRONG)
        return [self._compare("quality", trial.wrong, ratios, carried, self._both())]

    def _both(self) -> str:
        """What labels of rows that both answered say so far."""
        paired = self._trial.paired
        if not paired.rows:
            return "no label yet of a row that both answered"
        more = paired.mean or 0.0
        return (
            f"its loss is {more:+.4f} against stable's on {paired.rows:,} rows that both answered"
        )

    def _groups(self, margin: float, phase: Phase) -> list[Judged]:
        """Rows are compared in shadow and while chance assigns them: in bake there is nothing left
        to wait for."""
        if self._treated is None or phase == "preparing":
            return []
        return self._treated.judged(
            Terms(
                release=self._saved.candidate.name,
                since=self._trial.since,
                limit=self._alpha("groups"),
                proof=self._beta,
                margin=margin,
                held=phase != "bake",
            )
        )

    def _compare(
        self,
        name: str,
        signal: Compared,
        ratios: tuple[float, float],
        absolute: float,
        otherwise: str,
    ) -> Verdict:
        """One signal: worse beyond the first ratio, or not worse than the second, or unknown.

        `otherwise` tells what `absolute` evidence is from: it is said where that is the proof, and
        before chance has assigned a request to either release."""
        part, called = name.partition("_")[0], self._called(name)
        limit, worse = self._alpha(part), signal.worse(ratios[0])
        candidate, stable = signal.candidate, signal.stable
        counts = f"{candidate.bad}/{candidate.n} against {stable.bad}/{stable.n} of stable"
        if not candidate.n and not stable.n:
            counts = otherwise
        if worse >= limit and len(signal.units) > 1:
            return self._verdict(name, "bad", f"{called}: {counts}", worse, signal, threshold=limit)
        proof = max(absolute, relative := signal.not_worse(ratios[1]))
        if proof >= self._beta:
            counts = counts if relative >= self._beta else otherwise
            return self._verdict(
                name,
                "ok",
                f"{called}: not worse, {counts}",
                worse,
                signal,
                threshold=limit,
            )
        reason = f"{called}: evidence 10^{proof:.1f} of 10^{self._beta:.1f} ({counts})"
        return self._verdict(name, "unknown", reason, worse, signal, threshold=limit)

    def _called(self, name: str) -> str:
        regression = self._saved.signature.task == "regression"
        return "loss" if regression and name == "quality" else NAMES[name]

    def _verdict(
        self,
        name: str,
        word: Word,
        reason: str,
        evidence: float,
        signal: Compared | None = None,
        threshold: float = 0.0,
    ) -> Verdict:
        ratio = None if signal is None else signal.interval
        return Verdict(
            signal=name,
            tier="page",
            verdict=word,
            reason=reason,
            release=self._saved.candidate.name,
            evidence_log10=evidence,
            threshold_log10=threshold,
            estimate=None if ratio is None else ratio.estimate,
            lower=None if ratio is None else ratio.lower,
            upper=None if ratio is None else ratio.upper,
            reference=1.0,
            n=self._trial.every.n if signal is None else signal.candidate.n,
            since=self._trial.since,
        )

    def _short_of(self, phase: Phase) -> list[str]:
        """Rows that are still missing, whatever the evidence says."""
        trial, plan = self._trial, self._plan
        if phase == "shadow" and trial.shadowed < plan.shadow_rows:
            return [f"{plan.shadow_rows - trial.shadowed} more shadow copies"]
        at_step = trial.errors.candidate.n - trial.rows_before
        if phase == "canary" and at_step < FEWEST_AT_STEP:
            return [f"{FEWEST_AT_STEP - at_step} more requests at this step"]
        return []

    def _waiting(self, missing: list[str], clock: float) -> str:
        """What is missing, in one sentence, with the traffic it has to come from."""
        trial = self._trial
        stayed = clock - trial.since
        got = trial.errors.candidate.n - trial.rows_before
        if stayed <= 0.0 or not got:
            return f"waits for {'; '.join(missing)}"
        rate = got / stayed
        share = max(self._missing_share(), 0.01)
        seconds = share * max(trial.every.n, FEWEST_AT_STEP) / rate
        return f"waits for {'; '.join(missing)}; about {_span(seconds)} at the present traffic"

    def _missing_share(self) -> float:
        """Requests still needed over those seen, if every further one is good."""
        gained = self._trial.every.below(self._limit)
        return self._beta / gained - 1.0 if gained > 0.0 else 1.0


def _treated(saved: Saved) -> Treated:
    return Treated(
        saved.spec.monitor,
        saved.signature,
        saved.division,
        saved.loss,
        saved.candidate.digest,
        saved.trial.treatment,
    )


NAMES = {
    "errors": "failed requests",
    "latency_p90": "answers slower than nine in ten of stable's",
    "latency_p99": "answers slower than 99 in 100 of stable's",
    "quality": "wrong decisions",
}


def _span(seconds: float) -> str:
    for size, name in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"
