"""Columns that contradict those that they went together with: a feed that broke without a trace.

Codes that are numbered anew, or two columns in each other's place, hold nothing strange, and may
keep their shares. But their values are beside each other more rarely than chance would put them. No
move of one column alone does that, however far: where the others come to it as ever, the mean lift
of a pair is the mean of divergences, sum over a of q(a) KL(P(b | a) || P(b)), which are never below
zero, whatever the shares q of its values became. So below zero it is no other rows that came.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

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


class Torn(NamedTuple):
    """A column that contradicts others, or two that contradict each other alone, of which it cannot
    be told which is broken; with the places of their pairs, and the sum of these pairs' mean lifts.
    """

    columns: tuple[str, ...]
    pairs: tuple[int, ...]
    lift: float


def contradicting(
    partners: Partners, lift: Floats, usual: Floats, suspects: list[str]
) -> list[Torn]:
    """Those of `suspects` that contradict their partners.

    `lift` is that of each pair, `usual` the same on the reference. The worst is named first; its
    pairs say nothing of its partners, so that a column is not blamed for another. Where the other
    columns came apart as well, or closer, it is other rows that came, and none is named.
    """
    found: list[Torn] = []
    while True:
        named = {name for torn in found for name in torn.columns}
        left = {
            name: tuple(at for other, at in pairs.items() if other not in named)
            for name, pairs in partners.items()
            if name not in named
        }
        sums = {name: sum(float(lift[at]) for at in left.get(name, ())) for name in suspects}
        worst = min(sums, key=lambda name: sums[name], default=None)
        if worst is None or sums[worst] >= -LEAST:
            return found if _alone(found, usual - lift) else []
        alike = tuple(name for name, pairs in left.items() if pairs == left[worst])
        found.append(Torn(alike, left[worst], sums[worst]))


def _alone(found: Collection[Torn], fallen: Floats) -> bool:
    """Whether hardly any pair moved but those of the columns found."""
    theirs = {at for torn in found for at in torn.pairs}
    rest = [at for at in range(fallen.size) if at not in theirs]
    return float(np.abs(fallen[rest]).sum()) <= REST * float(fallen[sorted(theirs)].sum())


class Contradictions:
    """What is said of columns that contradict the others. `limit` is the evidence, as log10, that a
    column must show to be a break."""

    def __init__(self, release: str, profile: MultivariateProfile, limit: float) -> None:
        self._release, self._limit = release, limit
        self._usual = np.array([pair.usual for pair in profile.pairs]) / THOUSANDTHS

    def found(
        self, partners: Partners, blocks: list[list[int]], watches: Mapping[str, Watch]
    ) -> list[Torn]:
        """The columns that contradict others in these blocks, the last ones; none before any."""
        suspects = [name for name, watch in watches.items() if self._proven(watch)]
        if not (suspects and blocks):
            return []
        return contradicting(partners, lately(blocks), self._usual, suspects)

    def loudest(self, torn: Torn, watches: Mapping[str, Watch]) -> Watch:
        """The watch that proves it: columns with the same pairs have the same score."""
        proven = [watches[name] for name in torn.columns if self._proven(watches[name])]
        return max(proven, key=lambda watch: watch.log10_evidence)

    def _proven(self, watch: Watch) -> bool:
        return watch.since is not None and watch.log10_evidence >= self._limit

    def verdict(self, partners: Partners, torn: Torn, watch: Watch) -> Verdict:
        """`upstream:relations:COLUMN`, or `upstream:relations:ONE or OTHER`."""
        one, usual = torn.columns[0], float(self._usual[list(torn.pairs)].sum())
        others = [name for name, at in partners[one].items() if at in torn.pairs]
        since = f"since {describe.day(watch.since or 0.0)}"
        if len(torn.columns) == 1:
            broken = f"{one} contradicts {', '.join(others)} {since}: its values come beside theirs"
        else:
            broken = (
                f"{describe.named(torn.columns)} is broken {since}, it cannot be told which: "
                "values of one come beside those of the other"
            )
        return Verdict(
            signal=f"upstream:relations:{describe.named(torn.columns)}",
            tier=budget.tier("upstream"),
            verdict="bad",
            reason=f"{broken} more rarely than by chance ({torn.lift:+.2f} nats, {usual:+.2f} on "
            "the reference), as no move of one column alone would do",
            release=self._release,
            scope=describe.either(torn.columns),
            evidence_log10=watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=torn.lift,
            reference=usual,
            n=watch.n,
            since=watch.since,
        )
