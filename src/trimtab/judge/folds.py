"""What a broken feed or a caller explains: verdicts that are part of its incident, whichever came
first.

A feed that breaks moves its own column, what goes together with it, and what is answered; so does a
caller that counts as many. Families leave both out once they are known, but what the first blocks
brought has been taken in. So these verdicts belong to the cause, and stay with it until they have
recovered as well, which takes some blocks more than the cause itself does.
"""

import math
from collections.abc import Mapping, Sequence

from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.causes.case import Case
from trimtab.judge.describe import WORSE, columns, group

HOSTS = ("upstream", "callers")
"""Kinds of incidents that others may turn out to be part of, which are those of groups alike."""

INPUTS = ("input", "multivariate")

ANSWERS = ("prediction", "positive_rate", "estimate")
"""Groups of signals about what is answered, in which every column has a part."""

TRUTH = ("calibration", *WORSE)
"""Groups about how answers come true: what one caller does to that is not compared with others."""

BEFORE = 2.0
"""Blocks by which what a break explains may seem to have begun before it: the first of them that
stand out are not the same in every signal."""

LINGERING = 20.0
"""Blocks after all feeds are sound again, or no caller is in alarm any more, until which what was
explained may need to recover: columns and answers take 7 blocks that are all inside of their zones,
and mostly 12 to 16. What is bad for longer has another cause."""


def folded(
    case: Case, verdicts: Sequence[Verdict], known: Mapping[str, Incident], host: str
) -> frozenset[str]:
    """The signals of those of `verdicts` that others among them, of the group `host`, explain, or
    that are left of its open incident and need a while to recover. `known` are open incidents by
    their kind."""
    breaks = [verdict for verdict in verdicts if group(verdict.signal) == host]
    left = _left(case, known.get(host), host == "upstream" and bool(breaks))
    opened = {name: each.opened_at for each in known.values() for name in each.signals}
    return frozenset(
        each.signal
        for each in verdicts
        if group(each.signal) not in HOSTS
        and (
            (each.signal, each.since) in left
            or _explained(case, each, breaks, opened.get(each.signal, case.clock))
        )
    )


def _left(case: Case, host: Incident | None, broken: bool) -> frozenset[tuple[str, float | None]]:
    """What an incident holds that may still be because of it, by signal and since when: `broken` as
    long as a feed is."""
    if host is None:
        return frozenset()
    since = case.mended if group(host.signals[0]) == "upstream" else case.accused
    lately = since is not None and case.clock <= since + LINGERING * case.block_seconds
    if not (broken or lately):
        return frozenset()
    return frozenset((each.signal, each.since) for each in host.verdicts)


def _explained(case: Case, verdict: Verdict, breaks: Sequence[Verdict], opened: float) -> bool:
    """Whether a verdict is bad because of a break: it began with it, or was no incident before."""
    began = -math.inf if verdict.since is None else verdict.since + BEFORE * case.block_seconds
    return any(
        max(began, opened) >= (each.since or 0.0) and _reaches(case, each, verdict)
        for each in breaks
    )


def _reaches(case: Case, broken: Verdict, verdict: Verdict) -> bool:
    """Whether a broken feed or a caller has a part in what a verdict is about."""
    mine = group(verdict.signal)
    if group(broken.signal) == "callers":
        # What it brings is left out from then on: what begins later has another cause.
        late = (broken.since or 0.0) + BEFORE * case.block_seconds
        return mine in (*INPUTS, *ANSWERS) and (verdict.since or 0.0) <= late
    if mine not in INPUTS:
        return mine in (*ANSWERS, *TRUTH)
    theirs, names = {*columns(broken)}, {*columns(verdict)}
    if mine == "multivariate":
        names = names.union(*(case.related.get(name, ()) for name in names))
    return bool(theirs & names)
