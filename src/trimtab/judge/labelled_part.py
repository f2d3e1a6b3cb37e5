"""What labels of a part of the predictions say of all: labels that came, or an audit by chance."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from trimtab.domain.figures import within
from trimtab.domain.plurals import many
from trimtab.domain.records import Floats, Ints
from trimtab.judge.describe import day
from trimtab.judge.signals.counts import sums
from trimtab.stats.audits import AuditedCells, AuditSequence
from trimtab.stats.combined import Part, combined_interval
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.prediction_powered import Audit

FEWEST = 30
"""Labels below which a part says nothing of the whole."""

HEARD = 0.95
"""Share of the labels asked for that must have come: who does not answer may be unlike the rest."""


class Outcomes(msgspec.Struct, frozen=True):
    """Rows with a label per cell, their outcomes and squared outcomes (2**-20)."""

    labelled: list[int] = []
    hits: list[int] = []
    squares: list[int] = []

    @classmethod
    def of(cls, cells: Ints, outcome: Floats, size: int) -> "Outcomes":
        """Count outcomes in [0, 1] by cell."""
        made = [
            np.bincount(cells, np.rint(values * MICRO), minlength=size).astype(np.int64).tolist()
            for values in (outcome, outcome**2)
        ]
        return cls(np.bincount(cells, minlength=size).tolist(), *made)

    @property
    def n(self) -> int:
        """Rows with a label."""
        return sum(self.labelled)

    def merge(self, other: "Outcomes") -> "Outcomes":
        """The counts of both."""
        return Outcomes(
            sums(self.labelled, other.labelled),
            sums(self.hits, other.hits),
            sums(self.squares, other.squares),
        )


class Priced(NamedTuple):
    """Cells of a cohort by a loss: what a row loses by an outcome of 1 (`up`) and of 0 (`down`),
    the chance of 1, and all rows."""

    up: Floats
    down: Floats
    chance: Floats
    rows: Floats

    @property
    def predicted(self) -> Floats:
        """The loss that is expected of a row."""
        return self.chance * self.up + (1.0 - self.chance) * self.down

    def lost(self, told: Outcomes) -> tuple[Floats, Floats, Floats]:
        """Labelled rows, of the rows seen, and the sums of what they lost and of its squares."""
        labelled = np.minimum(np.array(told.labelled, dtype=np.float64), self.rows)
        hits, squares = np.array(told.hits) / MICRO, np.array(told.squares) / MICRO
        gain, down = self.up - self.down, self.down
        lost = hits * gain + labelled * down
        return labelled, lost, squares * gain**2 + 2.0 * hits * gain * down + labelled * down**2


class Powered(msgspec.Struct, frozen=True):
    """A mean loss with its 95 % interval, by predictions and the labels of a part together, and in
    words which part that was."""

    part: str
    labelled: int
    value: float
    lower: float
    upper: float

    def times(self, scale: float) -> "Powered":
        """In the unit of which `scale` is a loss of one."""
        return Powered(
            self.part, self.labelled, self.value * scale, self.lower * scale, self.upper * scale
        )

    def told(self, metric: str) -> str:
        """As a person reads it."""
        return f"{self.part} {metric} {within(self.value, self.lower, self.upper)}"


def powered(start: float, cells: Priced, told: Outcomes) -> Powered | None:
    """The mean loss of a cohort with labels for a part of it, which came as if by chance; None
    with fewer than two, and where all that it may be is no loss of any row: then they did not."""
    mean = Audit(cells.predicted, cells.rows, *cells.lost(told)).mean()
    if mean is None:
        return None
    n, rows = int(np.minimum(told.labelled, cells.rows).sum()), int(cells.rows.sum())
    ends = combined_interval(mean.value, [Part(mean.variance, n - 1)])
    if ends.upper < 0.0 or ends.lower > 1.0:
        return None
    part = f"by labels for {n} of {many(rows, 'row')} of {day(start)}"
    value, lower, upper = np.clip([mean.value, *ends], 0.0, 1.0).tolist()
    return Powered(part, n, value, lower, upper)


class Audited(msgspec.Struct):
    """An audit since it began: rows asked for, those with a label, and for each metric that is a
    mean loss its sequence. Cohorts in which too few were heard of are `unheard`."""

    asked: int = 0
    labelled: int = 0
    unheard: int = 0
    sequences: dict[str, AuditSequence] = {}

    def take(self, cohort: Mapping[str, Priced], told: Outcomes, asked: int, rate: float) -> None:
        """Take in a matured cohort, priced by each metric; every `rate`-th row was asked for."""
        if told.n < HEARD * asked or not asked:
            self.unheard += asked
            return
        self.asked, self.labelled = self.asked + asked, self.labelled + told.n
        heard = min(max(told.n / asked, HEARD), 1.0) * rate
        for metric, cells in cohort.items():
            guess = float(cells.rows @ cells.predicted / cells.rows.sum())
            known = self.sequences.get(metric) or AuditSequence(HEARD * rate, guess)
            known.update(AuditedCells(cells.predicted, cells.rows, *cells.lost(told)), heard)
            self.sequences = {**self.sequences, metric: known}

    def powered(self, metric: str) -> Powered | None:
        """What it says by now, at all times at once; None with too few labels."""
        known = self.sequences.get(metric)
        if known is None or known.estimate is None or self.labelled < FEWEST:
            return None
        ends = known.interval()
        part = f"by an audit of {self.labelled} rows ({self.coverage}), at any time"
        value = min(max(known.estimate, 0.0), 1.0)
        return Powered(part, self.labelled, value, ends.lower, ends.upper)

    @property
    def coverage(self) -> str:
        """How many of those asked for were heard of, in words."""
        left = f", {self.unheard} more in blocks that are short of labels" * (self.unheard > 0)
        return f"{self.labelled / max(self.asked, 1):.0%} of those asked for{left}"

    @property
    def missing(self) -> str:
        """Why it says nothing yet, in words."""
        if self.unheard and not self.asked:
            return f"the audit waits for labels: {HEARD:.0%} of those asked for are needed"
        return f"the audit has {many(self.labelled, 'label')}, at least {FEWEST} are needed"
