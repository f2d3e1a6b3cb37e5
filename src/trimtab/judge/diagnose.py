"""Why: causes ranked by what speaks for them, and what was ruled out by which observation.

The comparisons are controlled where they can be: golden replay holds the data fixed, the boundary
of the last release holds the world fixed, the calibration of the scores separates inputs that got
harder (the model still knows how unsure to be) from a world that answers differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.domain.verdicts import Cause, Diagnosis, RankedCause, RuledOut, Verdict
from trimtab.judge.describe import day, group
from trimtab.judge.reports import Surroundings

MISCALIBRATED = 0.02
"""Change of mean (label - score) beyond which the world answers differently."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Mean of label minus score: since quality fell, and on the reference."""

    live: float
    reference: float

    @property
    def moved(self) -> bool:
        """Whether the scores no longer mean what they meant."""
        return abs(self.live - self.reference) > MISCALIBRATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known about a deployment when its verdicts are put together.

    `started` is the deployment's clock when the release began to be watched, `opened` how many
    incidents these monitors have opened, `labels` how complete the labels are, in words.
    """

    deployment: str
    release: str
    clock: float
    block_seconds: float
    started: float
    surroundings: Surroundings
    calibration: Calibration | None
    labels: str
    opened: int

    def at_boundary(self, since: float) -> bool:
        """Whether trouble began with the release, as far as blocks can tell."""
        boundary = self.surroundings.boundary
        start = self.started if boundary is None else boundary
        return since <= start + 2.0 * self.block_seconds


def began(bad: Sequence[Verdict], clock: float) -> float:
    """Event time of the first evidence among `bad`, `clock` when none has one."""
    return min((verdict.since for verdict in bad if verdict.since is not None), default=clock)


def diagnose(kind: str, case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Diagnosis:
    """The causes of an incident of `kind`: `service`, `upstream`, `quality`, `drift`, `labels`."""
    found, excluded = _golden(case)
    more = {
        "service": _service,
        "upstream": _upstream,
        "quality": _quality,
        "drift": _drift,
        "labels": _labels,
    }
    causes, ruled_out = more[kind](case, bad, every)
    found += causes
    ranked = tuple(
        RankedCause(cause, rank, tuple(evidence))
        for rank, (cause, evidence) in enumerate(found, start=1)
    )
    return Diagnosis(ranked, (*excluded, *ruled_out))


Found = list[tuple[Cause, list[str]]]
Finding = tuple[Found, list[RuledOut]]


def _golden(case: Case) -> Finding:
    failed = case.surroundings.golden_failures
    if failed:
        text = f"the golden set is not reproduced by {', '.join(failed)}"
        return [(Cause.ENVIRONMENT_MISALIGNMENT, [text])], []
    by = "every worker reproduces the golden set: the same inputs still give the same outputs"
    return [], [RuledOut(Cause.ENVIRONMENT_MISALIGNMENT, by)]


def _service(case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Finding:
    around, reasons = case.surroundings, [verdict.reason for verdict in bad]
    only_slow = all(verdict.signal == "latency" for verdict in bad)
    strain = ["the machine lacked CPU or memory"] * around.host_pressure
    strain += [f"{around.restarts} workers were restarted"] * (around.restarts > 0)
    strain += ["stable itself burns while a candidate is tried"] * around.candidate
    infrastructure = (Cause.INFRASTRUCTURE, reasons + strain)
    release = (Cause.BAD_RELEASE, [*reasons, "it began when this release began to serve"])
    first = began(bad, case.clock)
    if not case.at_boundary(first):
        by = f"the release served within its objectives until {day(first)}"
        found = [infrastructure] if strain or only_slow else [(Cause.UNKNOWN, reasons)]
        return found, [RuledOut(Cause.BAD_RELEASE, by)]
    return [infrastructure, release] if strain else [release, infrastructure], []


def _upstream(case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Finding:
    breaks = [verdict for verdict in bad if group(verdict.signal) == "upstream"]
    evidence = [verdict.reason for verdict in breaks]
    columns = sum(group(verdict.signal) == "input" for verdict in every)
    evidence.append(f"{columns - len(breaks)} of {columns} columns did not jump at that time")
    local = sorted({f"{k} {v}" for b in breaks for k, v in b.scope.items() if k != "column"})
    evidence += [f"only {text} is affected, the others are not" for text in local]
    first = day(began(breaks, case.clock))
    by = f"the change came within one block ({first}), against the stream's own recent past"
    return [(Cause.UPSTREAM_BREAK, evidence)], [
        RuledOut(Cause.DATA_DRIFT, by),
        RuledOut(Cause.CONCEPT_DRIFT, "quality while a feed is broken says nothing of the model"),
    ]


def _quality(case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Finding:
    quality = next(verdict for verdict in bad if verdict.signal == "quality")
    moved = [v for v in every if v.verdict == "bad" and group(v.signal) in MOVES]
    causes, ruled_out = _drifts(case, quality, moved)
    causes[0][1].extend(_estimated(every))
    intact = "no column jumped against its recent past"
    ruled_out.append(RuledOut(Cause.UPSTREAM_BREAK, intact))
    first = began([quality], case.clock)
    if case.at_boundary(first):
        text = "it began when this release began to serve"
        causes.append((Cause.BAD_RELEASE, [text]))
    else:
        by = f"quality was in its zone under this release until {day(first)}"
        ruled_out.append(RuledOut(Cause.BAD_RELEASE, by))
    return causes, ruled_out


MOVES = ("input", "prediction", "positive_rate")


def _drifts(case: Case, quality: Verdict, moved: Sequence[Verdict]) -> Finding:
    """Concept drift, or data drift that does harm: the calibration of the scores decides."""
    calibration = case.calibration
    inputs = f"{', '.join(verdict.signal for verdict in moved)} moved out of band"
    if calibration is None:
        asked = "without scores it cannot be told whether the relation itself changed"
        if moved:
            return [(Cause.DATA_DRIFT, [quality.reason, inputs, asked])], []
        by = "inputs and predictions are in their bands"
        found: Found = [(Cause.CONCEPT_DRIFT, [quality.reason, by])]
        return found, [RuledOut(Cause.DATA_DRIFT, by)]
    gap = (
        f"label minus score is {calibration.live:+.3f}, {calibration.reference:+.3f} on the "
        "reference"
    )
    return _by_calibration(quality, calibration.moved, gap, inputs if moved else "")


def _by_calibration(quality: Verdict, shifted: bool, gap: str, inputs: str) -> Finding:
    harder = "the scores still mean what they meant: the inputs became harder"
    concept = (Cause.CONCEPT_DRIFT, [quality.reason, f"{gap}: the same scores come true otherwise"])
    data = (Cause.DATA_DRIFT, [quality.reason, *([inputs] if inputs else []), f"{gap}: {harder}"])
    if not inputs:
        by = "inputs and predictions are in their bands"
        if not shifted:
            concept = (Cause.CONCEPT_DRIFT, [quality.reason, by, gap])
        return [concept], [RuledOut(Cause.DATA_DRIFT, by)]
    if shifted:
        return [concept, (Cause.DATA_DRIFT, [inputs])], []
    return [data, (Cause.CONCEPT_DRIFT, [gap])], []


def _drift(case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Finding:
    evidence = [f"{verdict.signal}: {verdict.reason}" for verdict in bad]
    evidence.append(f"realised quality shows no harm so far; {case.labels}")
    evidence += [] if any(verdict.signal == "estimate" for verdict in bad) else _estimated(every)
    intact = "no column jumped against its recent past"
    # The same scores come true otherwise: no move of the inputs does that.
    changed = any(verdict.signal == "calibration" for verdict in bad)
    cause = Cause.CONCEPT_DRIFT if changed else Cause.DATA_DRIFT
    return [(cause, evidence)], [RuledOut(Cause.UPSTREAM_BREAK, intact)]


def _estimated(every: Sequence[Verdict]) -> list[str]:
    """What was expected of quality without labels, as far as anything was."""
    return [
        f"estimate: {verdict.reason}"
        for verdict in every
        if verdict.signal == "estimate" and (verdict.n or verdict.estimate is not None)
    ]


def _labels(case: Case, bad: Sequence[Verdict], every: Sequence[Verdict]) -> Finding:
    evidence = [verdict.reason for verdict in bad]
    by = "labels that do not come say nothing of the model"
    return [(Cause.LABEL_FAULT, evidence)], [RuledOut(Cause.CONCEPT_DRIFT, by)]
