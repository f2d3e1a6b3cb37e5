"""Causes with those who ask and those who answer: callers, and whoever sends labels."""

from trimtab.domain.verdicts import Cause, RuledOut
from trimtab.judge.causes.case import MOVES, Opinion, Strength, Suspicion, Trouble
from trimtab.judge.describe import WORSE


def hostile_client(trouble: Trouble) -> Opinion:
    """One caller against its own past, and against the others at the same time."""
    if trouble.kind == "labels":
        return None
    bad = trouble.found("callers")
    if bad:
        evidence = tuple(verdict.reason for verdict in bad)
        # Failures and impossible values are what callers are compared by; of quality and of
        # distributions it is not known what the others bring.
        compared = trouble.kind in ("callers", "service", "upstream")
        strength = Strength.COMPARED if compared else Strength.FITTING
        return Suspicion(Cause.HOSTILE_CLIENT, strength, evidence)
    surge = trouble.case.surge if trouble.kind == "service" else None
    if surge is not None and surge.explains(trouble.since(), trouble.case.block_seconds):
        return Suspicion(Cause.HOSTILE_CLIENT, Strength.LIKELY, (str(surge), *trouble.reasons))
    alike = [v for v in trouble.every if v.signal == "callers" and v.verdict == "ok"]
    return RuledOut(Cause.HOSTILE_CLIENT, alike[0].reason) if alike else None


def label_fault(trouble: Trouble) -> Opinion:
    """The labels themselves: whether they come, how late, and whether they contradict each other.

    What is measured by labels that are at fault says nothing of the model: neither quality, nor
    what scores mean.
    """
    if trouble.kind == "labels":
        return Suspicion(Cause.LABEL_FAULT, Strength.LIKELY, trouble.reasons)
    if trouble.kind != "quality" and not trouble.changed:
        return None
    bad = trouble.found("labels", "feedback")
    if bad:
        evidence = tuple(verdict.reason for verdict in bad)
        return Suspicion(Cause.LABEL_FAULT, Strength.LIKELY, evidence)
    elsewhere = _turned_around(trouble) or _of_other_rows(trouble)
    if elsewhere is not None:
        return elsewhere
    sound = [v.reason for v in trouble.every if v.signal == "feedback" and v.verdict == "ok"]
    return RuledOut(Cause.LABEL_FAULT, sound[0]) if sound else None


def _turned_around(trouble: Trouble) -> Suspicion | None:
    """Labels that say the opposite, nearly all of them. Other rows that come do not do that."""
    told = trouble.case.explained
    opposed = [] if told is None else [tie for tie in told.lately if tie.opposed]
    if not opposed or trouble.found("upstream", "parity"):
        return None
    if trouble.case.at_boundary(trouble.since(*WORSE)):
        return None
    asked = "hardly a world makes a model worse than its opposite: look at what a label says now"
    return Suspicion(Cause.LABEL_FAULT, Strength.LIKELY, (opposed[0].opposite, asked))


def _of_other_rows(trouble: Trouble) -> Suspicion | None:
    """Labels that do not belong to their rows, while neither inputs nor answers have moved.

    Where positives are as many as negatives, a world in which answers turn around at random looks
    the same.
    """
    told, other = trouble.case.explained, trouble.found(*MOVES, "upstream", "parity")
    if told is None or not told.tie.loose or other:
        return None
    if trouble.case.at_boundary(trouble.since(*WORSE)):
        return None
    evidence = (
        str(told.tie),
        "labels, or inputs, may be those of other requests: look at the join",
    )
    strength = Strength.LIKELY if told.tie.dealt else Strength.POSSIBLE
    return Suspicion(Cause.LABEL_FAULT, strength, evidence)
