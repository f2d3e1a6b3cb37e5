"""Golden replays of workers that serve, as a verdict: without statistics, so without a budget."""

from trimtab.domain.verdicts import Tier, Verdict
from trimtab.judge.reports import Surroundings

GOLDEN = "golden"


def verdicts(release: str, around: Surroundings) -> tuple[Verdict, ...]:
    """A bad verdict while any worker does not reproduce the golden set.

    It is a page when every worker of the release is concerned: no other one can take their place.
    """
    failed = around.golden_failures
    if not failed:
        return ()
    everywhere = len(failed) >= around.workers
    tier: Tier = "page" if everywhere else "ticket"
    which = "no worker" if everywhere else f"{len(failed)} of {around.workers} workers"
    verb = "reproduces" if everywhere else "do not reproduce"
    return (
        Verdict(
            signal=GOLDEN,
            tier=tier,
            verdict="bad",
            reason=f"{which} {verb} the golden set: the same inputs give other outputs",
            release=release,
            n=around.workers,
        ),
    )


def everywhere(signals: tuple[str, ...], tier: Tier) -> bool:
    """Whether an incident says that no worker of its release reproduces the golden set."""
    return GOLDEN in signals and tier == "page"
