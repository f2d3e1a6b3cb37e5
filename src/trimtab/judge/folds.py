"""What a broken feed explains: verdicts that are part of its incident, whichever came first.

A feed that breaks moves its own column, what goes together with it, and what is answered. Families
leave it out once it is known to be broken, but what the first blocks brought has been taken in. So
these verdicts belong to the break, and stay with it until they have recovered as well, which takes
some blocks more than the feed itself does.
"""

import math
from collections.abc import Mapping, Sequence

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


def folded(
    case: Case, verdicts: Sequence[Verdict], known: Mapping[str, Incident]
) -> frozenset[str]:
    """The signals of those of `verdicts` that the broken feeds among them explain, or that are left
    of the open incident of a break and need a while to recover. `known` are open incidents by their
    kind."""
    breaks = [verdict for verdict in verdicts if group(verdict.signal) == "upstream"]
    host = known.get("upstream") if breaks or _lately(case) else None
    left = {(each.signal, each.since) for each in host.verdicts} if host else set()
    opened = {name: each.opened_at for each in known.values() for name in each.signals}
    return frozenset(
        each.signal
        for each in verdicts
        if group(each.signal) != "upstream"
        and (
            (each.signal, each.since) in left
            or _explained(case, each, breaks, opened.get(each.signal, case.clock))
        )
    )


def _lately(case: Case) -> bool:
    """Whether a feed was mended a short time ago."""
    return case.mended is not None and case.clock <= case.mended + LINGERING * case.block_seconds


def _explained(case: Case, verdict: Verdict, breaks: Sequence[Verdict], opened: float) -> bool:
    """Whether a verdict is bad because of a break: it began with it, or was no incident before."""
    began = -math.inf if verdict.since is None else verdict.since + BEFORE * case.block_seconds
    return any(
        max(began, opened) >= (each.since or 0.0) and _reaches(case, each, verdict)
        for each in breaks
    )


def _reaches(case: Case, broken: Verdict, verdict: Verdict) -> bool:
    """Whether a broken feed has a part in what a verdict is about."""
    if group(verdict.signal) not in INPUTS:
        return group(verdict.signal) in ANSWERS
    theirs, mine = {*columns(broken)}, {*columns(verdict)}
    if group(verdict.signal) == "multivariate":
        mine = mine.union(*(case.related.get(name, ()) for name in mine))
    return bool(theirs & mine)
