"""How much of a fall in quality the inputs explain, and how much they do not.

A metric of labelled rows differs from the reference for two reasons: other rows came, or the same
rows come true otherwise. What the chances of the reference, weighted like the live rows, let expect
of these very rows lies between both (the same chances that estimate quality without labels, see
`judge.estimate`): from the reference to there is the part of the inputs, from there to what labels
show is the part of the relation (Cai, Namkoong & Yadlowsky, *Diagnosing Model Performance Under
Distribution Shift*, 2023, split a fall so).
"""

from collections.abc import Iterable, Sequence
from functools import reduce

import msgspec
import numpy as np

from trimtab.domain.profile import RISING, EstimateProfile, QualityProfile
from trimtab.domain.records import Floats
from trimtab.judge.estimate import Learned, Seen, cells_at, expected, values
from trimtab.judge.tie import Tie

LAST = 3
"""Blocks that say how labels go with chances of late."""


class Split(msgspec.Struct, frozen=True):
    """A metric of the `n` labelled predictions of the block that began at `start`: as `expected` of
    them, and as it was."""

    start: float
    n: int
    expected: float
    real: float
    tie: Tie = Tie()


class Explained(msgspec.Struct, frozen=True):
    """A metric on the reference, as expected of the rows that came, and as it was; for `binary` how
    labels go with chances, in all of its blocks, and `lately`: in the newer half of them and in the
    last ones."""

    metric: str
    reference: float
    expected: float
    real: float
    tie: Tie = Tie()
    lately: tuple[Tie, ...] = ()

    @property
    def by_inputs(self) -> float:
        """By how much it is worse because of the rows that came."""
        return self._worse(self.reference, self.expected)

    @property
    def by_relation(self) -> float:
        """By how much it is worse because these come true otherwise."""
        return self._worse(self.expected, self.real)

    @property
    def changed(self) -> bool:
        """Whether the relation of inputs and labels explains more than the inputs do."""
        return self.by_relation > self.by_inputs

    def _worse(self, before: float, after: float) -> float:
        return before - after if self.metric in RISING else after - before

    def __str__(self) -> str:
        return (
            f"{self.metric} was {self.reference:.4g} on the reference, {self.expected:.4g} is "
            f"expected of the rows that came, and {self.real:.4g} came of them"
        )


def splits(
    learned: Learned,
    metrics: Iterable[str],
    start: float,
    counted: tuple[Seen, Floats, Floats],
    tie: Tie,
) -> dict[str, Split]:
    """Split a matured block, given as the rows seen and, per cell, the labelled rows and what
    became of them, by each metric that can be expected and is defined for these rows."""
    known, (seen, rows, hits) = learned.profile, counted
    told = values(learned, seen, [metric for metric in metrics if metric in known.metrics])
    came = cells_at(known, rows, _realised(known, rows, hits))
    found = {}
    for metric, value in told.items():
        real, plain = expected(known, came, metric), None
        if value is None:
            plain = expected(known, cells_at(known, rows, learned.chance), metric)
        usual = value if plain is None else plain.value
        if usual is not None and real is not None:
            found[metric] = Split(start, int(rows.sum()), usual, real.value, tie)
    return found


def _realised(profile: EstimateProfile, rows: Floats, hits: Floats) -> Floats:
    """The share of outcomes in each cell; one without rows has its chance, which weighs nothing."""
    share = np.divide(hits, rows, out=np.array(profile.chance), where=rows > 0.0)
    return np.asarray(np.clip(share, 0.0, 1.0))


def explained(quality: QualityProfile, splits: Sequence[Split]) -> Explained | None:
    """All blocks together, by their rows; None without one."""
    if not splits:
        return None
    n = [each.n for each in splits]
    mean = float(np.average([each.expected for each in splits], weights=n))
    real = float(np.average([each.real for each in splits], weights=n))
    told = quality.told
    # Evidence begins with chance: the first of these blocks may be from before the fault.
    parts = (splits, splits[len(splits) // 2 :], splits[-LAST:])
    tie, *lately = (reduce(Tie.merge, (each.tie for each in part)) for part in parts)
    return Explained(
        quality.metric, told(quality.value), told(mean), told(real), tie, tuple(lately)
    )
