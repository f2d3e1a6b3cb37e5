"""Columns that contradict those that they went together with: a feed that broke without a trace.

Codes that are numbered anew, or two columns in each other's place, hold nothing strange, and may
keep their shares. But their values are beside each other more rarely than chance would put them. No
move of one column alone does that, however far: where the others come to it as ever, the mean lift
of a pair is the mean of divergences, sum over a of q(a) KL(P(b | a) || P(b)), which are never below
zero, whatever the shares q of its values became. So below zero it is no other rows that came.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from trimtab.domain.profile import MultivariateProfile
from trimtab.domain.records import Floats
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.relations import THOUSANDTHS
from trimtab.judge.watch import Watch

BLOCKS = 3
"""Blocks, the last ones, that tell whether columns contradict each other."""

LEAST = 0.05
"""Nats by which the sum of a column's mean lifts must be below zero: sums of weak relations are
near to it anyway."""

REST = 0.5
"""By so much of what a column's pairs have fallen all others together may have moved."""

Partners = Mapping[str, Mapping[str, int]]


def recent(blocks: list[list[int]], rows: int, lifts: list[int]) -> list[list[int]]:
    """The last blocks with one more, each as its rows and the sum of lifts of each pair."""
    return [*blocks, [rows, *lifts]][-BLOCKS:]


def lately(blocks: list[list[int]]) -> Floats:
    """Mean lift of each pair in these blocks, in nats; empty before any."""
    rows, *lifts = np.sum(blocks, axis=0).tolist() if blocks else [1]
    return np.array(lifts, dtype=np.float64) / (rows * THOUSANDTHS)


def contradicting(
    partners: Partners, lift: Floats, usual: Floats, suspects: list[str]
) -> dict[str, float]:
    """Of `suspects` those that contradict their partners, with the sum of their mean lifts.

    `lift` is that of each pair, `usual` the same on the reference. The worst is named first; its
    pairs say nothing of its partners, so that a column is not blamed for another. Where the other
    columns came apart as well, or closer, it is other rows that came, and none is named.
    """
    found: dict[str, float] = {}
    while True:
        sums = {
            name: sum(float(lift[at]) for other, at in partners[name].items() if other not in found)
            for name in suspects
            if name not in found
        }
        worst = min(sums, key=lambda name: sums[name], default=None)
        if worst is None or sums[worst] >= -LEAST:
            return found if _alone(partners, found, usual - lift) else {}
        found[worst] = sums[worst]


def _alone(partners: Partners, found: Collection[str], fallen: Floats) -> bool:
    """Whether hardly any pair moved but those of the columns found."""
    theirs = {at for name in found for at in partners[name].values()}
    rest = [at for at in range(fallen.size) if at not in theirs]
    return float(np.abs(fallen[rest]).sum()) <= REST * float(fallen[sorted(theirs)].sum())


class Contradictions:
    """What is said of columns that contradict the others. `limit` is the evidence, as log10, that a
    column must show to be a break."""

    def __init__(self, release: str, profile: MultivariateProfile, limit: float) -> None:
        self._release, self._profile, self._limit = release, profile, limit

    def verdicts(
        self, partners: Partners, blocks: list[list[int]], watches: Mapping[str, Watch]
    ) -> Iterator[Verdict]:
        """`upstream:relations:COLUMN` for each; none while nothing is contradicted."""
        suspects = [name for name, watch in watches.items() if self._proven(watch)]
        if not (suspects and blocks):
            return
        known = np.array([pair.usual for pair in self._profile.pairs]) / THOUSANDTHS
        for name, total in contradicting(partners, lately(blocks), known, suspects).items():
            usual = float(known[list(partners[name].values())].sum())
            yield self._verdict(name, list(partners[name]), watches[name], (total, usual))

    def _proven(self, watch: Watch) -> bool:
        return watch.since is not None and watch.log10_evidence >= self._limit

    def _verdict(
        self, name: str, others: list[str], watch: Watch, lift: tuple[float, float]
    ) -> Verdict:
        since, (total, usual) = watch.since or 0.0, lift
        return Verdict(
            signal=f"upstream:relations:{name}",
            tier=budget.tier("upstream"),
            verdict="bad",
            reason=f"{name} contradicts {', '.join(others)} since {describe.day(since)}: its "
            f"values come beside theirs more rarely than by chance ({total:+.2f} nats, "
            f"{usual:+.2f} on the reference), as no move of it alone would do",
            release=self._release,
            scope={"column": name},
            evidence_log10=watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=total,
            reference=usual,
            n=watch.n,
            since=since,
        )
