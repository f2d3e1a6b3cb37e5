"""The cause that has a time: the release that began to serve when the trouble began."""

from trimtab.domain.verdicts import Cause, RuledOut
from trimtab.judge.causes.case import Opinion, Strength, Suspicion, Trouble
from trimtab.judge.describe import WORSE, day

_BEGAN = "it began when this release began to serve"


def bad_release(trouble: Trouble) -> Opinion:
    """The boundary of the release holds the world fixed: before it, another one served."""
    if trouble.kind == "service":
        since = trouble.since()
        if trouble.case.at_boundary(since):
            evidence = (*trouble.reasons, _BEGAN)
            return Suspicion(Cause.BAD_RELEASE, Strength.FITTING, evidence)
        by = f"the release served within its objectives until {day(since)}"
        return RuledOut(Cause.BAD_RELEASE, by)
    if trouble.kind == "bias":
        since = trouble.since("bias")
        if trouble.case.at_boundary(since):
            return Suspicion(Cause.BAD_RELEASE, Strength.LIKELY, (*trouble.reasons, _BEGAN))
        by = f"no gap between groups was too wide under this release until {day(since)}"
        return RuledOut(Cause.BAD_RELEASE, by)
    if trouble.kind == "quality":
        since = trouble.since(*WORSE)
        if trouble.case.at_boundary(since):
            return Suspicion(Cause.BAD_RELEASE, Strength.POSSIBLE, (_BEGAN,))
        by = f"quality was in its zone under this release until {day(since)}"
        return RuledOut(Cause.BAD_RELEASE, by)
    return None
