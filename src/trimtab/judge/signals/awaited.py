"""Of whose predictions labels are awaited: of those callers for whom labels came before.

A job asks about a million old rows, or a new client begins, and nobody ever labels what they were
answered. No label is missing there that ever came. So predictions count as far as their callers
brought predictions that were labelled: what a group of callers asks beyond twice of that, weighs no
more than that. How many a group asks says nothing of how many of them are labelled, so that the
share of labels that are missing stays what it is wherever callers are as they were.

They are counted by what was answered as well: a table may lose the labels of one outcome only, or
of all that was declined, which are few of all labels, and most of those that belong to an answer.
"""

import msgspec
import numpy as np

from trimtab.domain.profile import Coarse
from trimtab.domain.records import Floats, Ints, Rows
from trimtab.judge.signals.breaks import FEWEST_ROWS, RECENT
from trimtab.judge.signals.counts import sums

CALLERS = 32
"""Groups of callers; those that do not name themselves are one more, the first."""

TWICE = 2.0
"""A group may bring so many times the most of late."""


PARTS = 4
"""Parts of equal mass of the reference in which answers are counted, or as many classes."""


def by_caller(rows: Rows, parts: Ints, size: int) -> list[int]:
    """How many of the rows are of each group of callers and, `parts` being the part of each row's
    answer, in each of `size` parts: in one row, group by group."""
    units = rows.fixed.get("unit", np.zeros(len(rows), dtype=np.uint64))
    groups = np.where(units > 0, units % np.uint64(CALLERS) + np.uint64(1), 0).astype(np.int64)
    found = np.bincount(groups * size + parts, minlength=(CALLERS + 1) * size)
    counts: list[int] = found.tolist()
    return counts


def part_names(answers: Coarse) -> list[str]:
    """The parts of the answers, in words."""
    cuts = [f"{cut:.3g}" for cut in answers.cuts]
    ends = zip(["", *cuts], [*cuts, ""], strict=True) if cuts else []
    between = [" ".join(_ends(low, high)) for low, high in ends]
    others = [] if cuts else ["none of these"]
    return [*between, *answers.categories, *others, "nothing"]


def _ends(low: str, high: str) -> list[str]:
    return [*([f"above {low}"] if low else []), *([f"up to {high}"] if high else [])]


class Awaited(msgspec.Struct, frozen=True):
    """Predictions of a block by group of callers and part of the answers, those of which the label
    is known, and the whole seconds that these labels took."""

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
        asked, told = _table(cohort.asked).sum(axis=1), _table(cohort.told).sum(axis=1)
        told = np.minimum(told, asked)
        weight = self._weight(asked)
        n = float(weight @ asked)
        return max(1.0 - float(weight @ told) / n, 0.0), int(n)

    def by_part(self, cohort: Awaited) -> list[tuple[float, int]]:
        """The same of each part of the answers; of one that has no predictions 0 of 0."""
        asked, told = _table(cohort.asked), _table(cohort.told)
        weight = self._weight(asked.sum(axis=1))
        sizes, known = weight @ asked, weight @ np.minimum(told, asked)
        shares = np.maximum(1.0 - known / np.maximum(sizes, 1e-9), 0.0) * (sizes > 0.0)
        return list(zip(shares.tolist(), sizes.astype(np.int64).tolist(), strict=True))

    def strangers(self, cohort: Awaited) -> float:
        """The share of predictions that are not counted."""
        asked = _table(cohort.asked).sum(axis=1)
        return 1.0 - float(self._weight(asked) @ asked) / max(cohort.predicted, 1)

    def _weight(self, asked: Floats) -> Floats:
        """How much each prediction of a group counts."""
        usual = TWICE * np.max(self.recent, axis=0) if self.recent else asked
        weight = np.minimum(usual, asked) / np.maximum(asked, 1.0)
        return weight if weight @ asked >= FEWEST_ROWS else np.ones(asked.size)

    def learn(self, cohort: Awaited) -> None:
        """Take in a cohort that is as it should be: as many labels came for a group as would have
        for so many predictions, had all callers been labelled alike."""
        if cohort.labelled:
            worth = cohort.predicted / cohort.labelled
            told = _table(cohort.told).sum(axis=1).tolist()
            self.recent = [*self.recent, [worth * n for n in told]][-RECENT:]


def _table(counts: list[int]) -> Floats:
    """Counts as groups by parts; of none at all, zeros of one part."""
    held = np.array(counts or [0] * (CALLERS + 1), dtype=np.float64)
    return held.reshape(CALLERS + 1, -1)
