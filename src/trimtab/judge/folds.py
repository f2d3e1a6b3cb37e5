"""What a broken feed explains: verdicts that are part of its incident, whichever came first.

A feed that breaks moves its own column, what goes together with it, and what is answered. Families
leave it out once it is known to be broken, but what the first blocks brought has been taken in. So
these verdicts belong to the break, and stay with it until they have recovered as well, which takes
some blocks more than the feed itself does.
"""

from collections.abc import Sequence

from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.causes.case import Case
from trimtab.judge.describe import WORSE, columns, group

ANSWERS = ("prediction", "positive_rate", "estimate", "calibration", *WORSE)
"""Groups of signals about what is answered, in which every column has a part."""

INPUTS = ("input", "multivariate")

BEFORE = 2.0
"""Blocks by which what a break explains may seem to have begun before it: the first of them that
stand out are not the same in every signal."""

LINGERING = 14.0
"""Blocks after all feeds are sound again until which what a break explained may need to recover:
twice as many as refute that an indicator is outside of its zone in `watch.LINGERING` of them."""


def folded(case: Case, verdicts: Sequence[Verdict], known: Incident | None) -> list[Verdict]:
    """Those of `verdicts` that the broken feeds among them explain, or that are left of the open
    incident of a break, `known`, and need a while to recover."""
    breaks = [verdict for verdict in verdicts if group(verdict.signal) == "upstream"]
    left = _left(case, known) if breaks or _lately(case) else frozenset()
    return [
        each
        for each in verdicts
        if group(each.signal) != "upstream"
        and ((each.signal, each.since) in left or _explained(case, each, breaks))
    ]


def _left(case: Case, known: Incident | None) -> frozenset[tuple[str, float | None]]:
    """What the incident holds already, by signal and since when."""
    held = () if known is None else known.verdicts
    return frozenset((each.signal, each.since) for each in held)


def _lately(case: Case) -> bool:
    """Whether a feed was mended a short time ago."""
    return case.mended is not None and case.clock <= case.mended + LINGERING * case.block_seconds


def _explained(case: Case, verdict: Verdict, breaks: Sequence[Verdict]) -> bool:
    since, early = verdict.since, BEFORE * case.block_seconds
    return since is not None and any(
        since >= (each.since or 0.0) - early and _reaches(case, each, verdict) for each in breaks
    )


def _reaches(case: Case, broken: Verdict, verdict: Verdict) -> bool:
    """Whether a broken feed has a part in what a verdict is about."""
    if group(verdict.signal) not in INPUTS:
        return group(verdict.signal) in ANSWERS
    theirs, mine = {*columns(broken)}, {*columns(verdict)}
    if group(verdict.signal) == "multivariate":
        mine = mine.union(*(case.related.get(name, ()) for name in mine))
    return bool(theirs & mine)
