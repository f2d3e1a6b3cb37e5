"""Training/serving skew: the same answers, as they were served and as training computes them."""

from trimtab.domain.verdicts import Cause, Verdict
from trimtab.judge.causes.case import Opinion, Strength, Suspicion, Trouble
from trimtab.judge.describe import columns, group

APART = ("service", "labels", "callers", "golden")
"""Kinds of trouble that no value of an input makes."""


def training_serving_skew(trouble: Trouble) -> Opinion:
    """The pairing holds the world fixed: what it does to a column is in both values."""
    differing = trouble.found("parity")
    if not differing or trouble.kind in APART or _elsewhere(trouble, differing):
        return None
    compared = [v for v in trouble.every if v.signal.startswith("parity:") and v.n]
    same = len(compared) - len(differing)
    evidence = (
        *(verdict.reason for verdict in differing),
        f"{same} of {len(compared)} columns that were compared are served as training has them",
    )
    return Suspicion(Cause.TRAINING_SERVING_SKEW, Strength.COMPARED, evidence)


def _elsewhere(trouble: Trouble, differing: list[Verdict]) -> bool:
    """Whether the trouble is in columns alone, and in none of those that differ. Of a broken feed,
    what it explains is no trouble of its own."""
    breaks = [verdict for verdict in trouble.bad if group(verdict.signal) == "upstream"]
    held = [columns(verdict) for verdict in breaks or trouble.bad]
    named = {name for names in held for name in names}
    return all(held) and not {v.scope["column"] for v in differing} & named
