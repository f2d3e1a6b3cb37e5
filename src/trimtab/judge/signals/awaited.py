"""Of whose predictions labels are awaited: of those callers for whom labels came before.

A job asks about a million old rows, or a new client begins, and nobody ever labels what they were
answered. No label is missing there that ever came. So predictions count as far as their callers
brought predictions that were labelled: what a group of callers asks beyond twice of that, weighs no
more than that. How many a group asks says nothing of how many of them are labelled, so that the
share of labels that are missing stays what it is wherever callers are as they were.
"""

import msgspec
import numpy as np

from trimtab.domain.records import Rows
from trimtab.judge.signals.breaks import FEWEST_ROWS, RECENT
from trimtab.judge.signals.counts import sums

CALLERS = 32
"""Groups of callers; those that do not name themselves are one more, the first."""

TWICE = 2.0
"""A group may bring so many times the most of late."""


def by_caller(rows: Rows) -> list[int]:
    """How many of the rows are of each group of callers."""
    units = rows.fixed.get("unit")
    if units is None:
        return [len(rows), *[0] * CALLERS]
    groups = np.where(units > 0, units % np.uint64(CALLERS) + np.uint64(1), 0).astype(np.int64)
    found: list[int] = np.bincount(groups, minlength=CALLERS + 1).tolist()
    return found


class Awaited(msgspec.Struct, frozen=True):
    """Predictions of a block by group of callers, those of which the label is known, and the whole
    seconds that these labels took."""

    asked: list[int] = []
    told: list[int] = []
    seconds: int = 0

    @property
    def predicted(self) -> int:
        """Predictions."""
        return sum(self.asked)

    @property
    def labelled(self) -> int:
        """Labels."""
        return sum(self.told)

    def merge(self, other: "Awaited") -> "Awaited":
        """The counts of both."""
        asked, told = sums(self.asked, other.asked), sums(self.told, other.told)
        return Awaited(asked, told, self.seconds + other.seconds)


class Known(msgspec.Struct):
    """How many predictions of each group were worth labels, in each of the last cohorts."""

    recent: list[list[float]] = []

    def missing(self, cohort: Awaited) -> tuple[float, int]:
        """The share of predictions that lack a label, and how many count; where too few are of
        callers that are known, all do."""
        asked = np.array(cohort.asked, dtype=np.float64)
        told = np.minimum(np.array(cohort.told or np.zeros(asked.size)), asked)
        usual = TWICE * np.max(self.recent, axis=0) if self.recent else asked
        weight = np.minimum(usual, asked) / np.maximum(asked, 1.0)
        if weight @ asked < FEWEST_ROWS:
            weight = np.ones(asked.size)
        n = float(weight @ asked)
        return max(1.0 - float(weight @ told) / n, 0.0), int(n)

    def learn(self, cohort: Awaited) -> None:
        """Take in a cohort that is as it should be: as many labels came for a group as would have
        for so many predictions, had all callers been labelled alike."""
        if cohort.labelled:
            worth = cohort.predicted / cohort.labelled
            self.recent = [*self.recent, [worth * n for n in cohort.told]][-RECENT:]
