"""Causes with those who ask and those who answer: callers, and whoever sends labels."""

from trimtab.domain.verdicts import Cause
from trimtab.judge.causes.case import Opinion, Strength, Suspicion, Trouble


def label_fault(trouble: Trouble) -> Opinion:
    """The labels themselves are at fault."""
    if trouble.kind != "labels":
        return None
    return Suspicion(Cause.LABEL_FAULT, Strength.LIKELY, trouble.reasons)
