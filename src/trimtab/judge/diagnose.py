"""Why: causes ranked by what speaks for them, and what was ruled out by which observation."""

from trimtab.domain.verdicts import Cause, Diagnosis, RankedCause, RuledOut
from trimtab.judge.causes.case import Suspicion, Trouble
from trimtab.judge.causes.registry import CAUSES


def diagnose(trouble: Trouble) -> Diagnosis:
    """What every cause says of the trouble: the strongest first, `unknown` when none is suspected.

    Of causes with as much evidence, the first of the registry is the likelier one.
    """
    opinions = [cause(trouble) for cause in CAUSES]
    suspected = [each for each in opinions if isinstance(each, Suspicion)]
    suspected.sort(key=lambda each: -each.strength)
    ranked = tuple(
        RankedCause(each.cause, rank, each.evidence) for rank, each in enumerate(suspected, start=1)
    )
    excluded = tuple(each for each in opinions if isinstance(each, RuledOut))
    return Diagnosis(ranked or (RankedCause(Cause.UNKNOWN, 1, trouble.reasons),), excluded)
