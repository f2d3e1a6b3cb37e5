"""Quality without labels, from calibrated chances: confidence-based performance estimation (CBPE).

Rows are counted in cells: what was decided, by score bin. If of the rows in a cell a share p are
positive, a metric of the cells' expected counts estimates the metric on those very rows. What is
left to chance is the labels: a row's label moves the metric by its derivative, so that the variance
given the scores is the sum of ``rows p (1 - p) derivative**2`` (delta method; exact for means).

It holds as far as p is right for the rows at hand. A change of the labels given the inputs (concept
change) is invisible to it.

Source: Kivimäki, Białek, Kuberski & Nurminen, Performance estimation in binary classification using
calibrated confidence, Machine Learning 2025 (arXiv 2505.05295); NannyML documents the estimator.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.logspace import FloatArray


class Expected(NamedTuple):
    """Expected metric of the rows at hand, its variance by their labels' chance alone, and its
    `slope`: by how much it moves when a row of a cell comes true (D, B)."""

    value: float
    variance: float
    slope: FloatArray


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows per decision and rising score bin (D, B), and the chance of a positive in each.

    With D = 2, row 0 was decided negative and row 1 positive. Raises ``ValueError`` unless both are
    (D, B), rows are >= 0, chances in [0, 1] and some row is there.

    >>> cells = Cells(np.array([[60.0, 0.0], [0.0, 40.0]]), np.array([[0.1, 0.1], [0.8, 0.8]]))
    >>> round(cells.precision().value, 4), round(cells.precision().variance, 4)
    (0.8, 0.004)
    >>> round(cells.recall().value, 4)
    0.8421
    """

    rows: FloatArray
    chance: FloatArray

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        fit = self.rows.ndim == 2 and self.rows.shape == self.chance.shape
        if not fit or not bool((self.rows >= 0.0).all()) or not float(self.rows.sum()) > 0.0:
            raise ValueError(f"need rows per cell, not {self.rows.shape}, {self.chance.shape}")
        if not bool(((self.chance >= 0.0) & (self.chance <= 1.0)).all()):
            raise ValueError("every chance must be in [0, 1]")

    @property
    def positives(self) -> FloatArray:
        """Expected positives per cell (D, B)."""
        return self.rows * self.chance

    def mean_cost(self, positive: ArrayLike, negative: ArrayLike) -> Expected:
        """Return the mean of a loss that is ``positive`` or ``negative`` by the label, per cell.

        Both broadcast to (D, B); in the unit of the loss.
        """
        up, down = (np.asarray(cost, dtype=np.float64) for cost in (positive, negative))
        total = float(self.rows.sum())
        value = float((self.rows * (self.chance * up + (1.0 - self.chance) * down)).sum()) / total
        return self._expected(value, (up - down) / total)

    def error(self) -> Expected:
        """Return the share of wrong decisions."""
        decided = np.array([[0.0], [1.0]])
        return self.mean_cost(1.0 - decided, decided)

    def precision(self) -> Expected | None:
        """Return the share of true among the decided positives; ``None`` when there are none."""
        decided = float(self.rows[1].sum())
        if decided == 0.0:
            return None
        value = float(self.positives[1].sum()) / decided
        return self._expected(value, np.array([[0.0], [1.0 / decided]]))

    def recall(self) -> Expected | None:
        """Return the share of positives that are decided so; ``None`` when none is expected."""
        every = float(self.positives.sum())
        if every == 0.0:
            return None
        value = float(self.positives[1].sum()) / every
        return self._expected(value, np.array([[-value / every], [(1.0 - value) / every]]))

    def f1(self) -> Expected | None:
        """Return the harmonic mean of precision and recall; ``None`` without any positives."""
        both = float(self.positives.sum() + self.rows[1].sum())
        if both == 0.0:
            return None
        value = 2.0 * float(self.positives[1].sum()) / both
        return self._expected(value, np.array([[-value / both], [(2.0 - value) / both]]))

    def roc_auc(self) -> Expected | None:
        """Return the AUC, ties in a bin counted half; ``None`` when a class is not expected."""
        up = self.positives.sum(axis=0)
        down = self.rows.sum(axis=0) - up
        ups, downs = float(up.sum()), float(down.sum())
        if min(ups, downs) < 1e-9:
            return None
        below, above = np.cumsum(down) - down / 2.0, ups - np.cumsum(up) + up / 2.0
        value = float((up * below).sum()) / (ups * downs)
        slope = (below - above) / (ups * downs) - value * (1.0 / ups - 1.0 / downs)
        return self._expected(value, slope[np.newaxis, :])

    def _expected(self, value: float, slope: FloatArray) -> Expected:
        spread = self.rows * self.chance * (1.0 - self.chance)
        every = np.broadcast_to(slope, self.rows.shape)
        return Expected(value, float((spread * slope**2).sum()), every)
