"""Callers whose labels are the opposite of what was answered, while those of others are as ever.

Who reports what came of a request may lie, or a client may have its two outcomes the wrong way
round. The labels come by the same way as all others, so no sender stands out; but those of this
caller's requests say otherwise than the answers, and all others go on as before. A harder world, or
one that changes, makes more answers wrong; it hardly makes most of one caller's wrong at once.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Rows
from trimtab.judge.signals.breaks import JUMP
from trimtab.judge.signals.callers import FEW, GROUPS, groups_of
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.prominent import Prominent

MOST = 0.5 - JUMP
"""A caller's labels may always be unlike the answers in this share of its requests and `JUMP` more:
told is only where most are."""


def unlike(rows: Rows, wrong: NDArray[np.bool_]) -> dict[int, Tally]:
    """Labels that say otherwise than the prediction, by group of those callers that have a name."""
    units = rows.fixed.get("unit", np.zeros(len(rows), dtype=np.uint64))
    named = np.asarray(units > 0)
    groups = groups_of(units[named])
    n, hits = (np.bincount(each, minlength=GROUPS) for each in (groups, groups[wrong[named]]))
    return {group: Tally(int(hits[group]), int(n[group])) for group in np.flatnonzero(n).tolist()}


class Unlike(Prominent):
    """How many of the labels of each group of callers say otherwise than the predictions."""

    def take(self, start: float, came: Mapping[int, Tally], log10_threshold: float) -> None:
        """Take in the labels that came in the block that began at `start`."""
        if came:
            self.settle_tallies(start, came, log10_threshold, MOST)

    @property
    def told(self) -> list[int]:
        """Groups in alarm; where too many are, it is not the callers."""
        return self.broken if len(self.broken) <= FEW else []
