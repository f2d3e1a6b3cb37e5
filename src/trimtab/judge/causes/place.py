"""Causes that have a place: the environment, one worker, the machine and what is beyond it."""

from trimtab.domain.plurals import many
from trimtab.domain.verdicts import Cause, RuledOut
from trimtab.judge.causes.case import Opinion, Strength, Suspicion, Trouble
from trimtab.judge.describe import group
from trimtab.judge.reports import Surroundings
from trimtab.judge.resources import MEMORY

BEFORE = ("input", "multivariate", "upstream", "callers", "labels", "feedback", "parity")
"""Groups of signals that are decided before any worker is asked."""


def environment_misalignment(trouble: Trouble) -> Opinion:
    """Golden replay holds the data fixed: the same inputs must give the same outputs."""
    failed = trouble.case.surroundings.golden_failures
    if not failed:
        by = "every worker reproduces the golden set: the same inputs still give the same outputs"
        return RuledOut(Cause.ENVIRONMENT_MISALIGNMENT, by)
    if all(group(verdict.signal) in BEFORE for verdict in trouble.bad):
        return None
    text = f"the golden set is not reproduced by {', '.join(failed)}"
    return Suspicion(Cause.ENVIRONMENT_MISALIGNMENT, Strength.REPLAYED, (text,))


def bad_worker(trouble: Trouble) -> Opinion:
    """Workers of a release are dealt the same traffic: one that differs is itself why."""
    if trouble.kind not in ("service", "quality", "drift"):
        return None
    differ = [
        verdict
        for verdict in trouble.found("workers")
        if trouble.kind == "service" or verdict.scope["differs"] == "answers"
    ]
    if differ:
        evidence = tuple(verdict.reason for verdict in differ)
        return Suspicion(Cause.BAD_WORKER, Strength.COMPARED, evidence)
    of_workers = trouble.every.where(lambda signal: signal == "workers")
    alike = [verdict for verdict in of_workers if verdict.verdict == "ok"]
    return RuledOut(Cause.BAD_WORKER, alike[0].reason) if alike else None


def infrastructure(trouble: Trouble) -> Opinion:
    """The machine, a process or what it depends on: seen in what surrounds the release, in time
    alone, or because nothing else is left."""
    if trouble.kind == "resources":
        return Suspicion(Cause.INFRASTRUCTURE, Strength.FITTING, trouble.reasons)
    if trouble.kind != "service":
        return None
    around = _strain(trouble)
    slow = all(verdict.signal == "latency" for verdict in trouble.bad)
    if around:
        strength = Strength.LIKELY
    elif trouble.case.at_boundary(trouble.since()):
        strength = Strength.POSSIBLE
    elif slow or (around := _shared(trouble)):
        strength = Strength.FITTING
    else:
        return _no_strain(trouble.case.surroundings)
    return Suspicion(Cause.INFRASTRUCTURE, strength, (*trouble.reasons, *around))


def _strain(trouble: Trouble) -> list[str]:
    around = trouble.case.surroundings
    strain = [*(around.host_pressure or ()), *around.starved]
    strain += [v.reason for v in trouble.found("resources") if v.signal == MEMORY]
    restarted = f"{many(around.restarts, 'worker')} {'was' if around.restarts == 1 else 'were'}"
    strain += [f"{restarted} restarted"] * (around.restarts > 0)
    strain += ["stable itself burns while a candidate is tried"] * around.candidate
    return strain


def _shared(trouble: Trouble) -> list[str]:
    """What is left of failures that no worker has more of than the others, and for which neither a
    caller nor a feed is why: something that all workers use. Empty where that is not known."""
    if trouble.found("workers", "callers", "upstream"):
        return []
    compared = trouble.every.where(lambda signal: signal in ("workers", "callers", "upstream"))
    sound = {verdict.signal: verdict.reason for verdict in compared if verdict.verdict == "ok"}
    if not {"workers", "upstream"} <= sound.keys():
        return []
    return [*sound.values(), "what all workers use is left, such as what feature code looks up"]


def _no_strain(around: Surroundings) -> Opinion:
    """What is not measured rules nothing out."""
    if around.host_pressure is None:
        return None
    by = "the machine lacked neither processors nor memory nor disks, and no worker was restarted"
    return RuledOut(Cause.INFRASTRUCTURE, by)
