"""A few labels and many predictions: means that are as valid as the labels, and sharper.

An audit labels rows by chance. With a predicted loss f for every row, ``lam * mean_others(f) +
mean_labelled(Y - lam * f)`` has the right mean whatever f is; the better f, the smaller the
variance, and ``lam`` tuned on the data never makes it worse than the labels alone (asymptotically).

Source: Angelopoulos, Duchi & Zrnic, PPI++, arXiv 2311.01453.
"""

from dataclasses import dataclass

from trimtab.stats.logspace import FloatArray


@dataclass(frozen=True, slots=True)
class Powered:
    """A mean with its variance; ``weight`` is how far the predictions were trusted (0 to 1)."""

    value: float
    variance: float
    weight: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts per cell (C,) of rows with the same predicted loss, and what the labelled ones lost.

    ``rows`` are all rows, ``labelled`` those of them with a label, ``lost`` and ``squares`` the
    sums of their losses and squared losses; ``predicted`` is the predicted loss. Sums of two audits
    with the same cells add up. Labels must have come by chance, independent of the loss.

    >>> import numpy as np
    >>> audit = Audit(*map(np.array, ([0.1, 0.6], [900, 100], [90, 10], [9.0, 6.0], [9.0, 6.0])))
    >>> powered = audit.mean()
    >>> round(powered.value, 4), round(powered.weight, 4)
    (0.15, 0.9)
    """

    predicted: FloatArray
    rows: FloatArray
    labelled: FloatArray
    lost: FloatArray
    squares: FloatArray

    def mean(self) -> Powered | None:
        """Return the prediction-powered mean loss; ``None`` with fewer than two labels."""
        n, every = float(self.labelled.sum()), float(self.rows.sum())
        if n < 2.0:
            return None
        mean_y, mean_f = float(self.lost.sum()) / n, float(self.labelled @ self.predicted) / n
        centred = self.predicted - mean_f
        var_y = float(self.squares.sum()) / n - mean_y**2
        var_f = float(self.labelled @ centred**2) / n
        cov = float(self.lost @ centred) / n
        ratio = n / max(every - n, 1e-12)
        weight = min(max(cov / (var_f * (1.0 + ratio)), 0.0), 1.0) if var_f > 0.0 else 0.0
        others = self.rows - self.labelled
        mean_others = float(others @ self.predicted) / max(float(others.sum()), 1e-12)
        moved = weight * (mean_others - mean_f) if every > n else 0.0
        rest = max(var_y - 2.0 * weight * cov + weight**2 * var_f, 0.0)
        variance = rest / (n - 1.0) + (weight**2 * var_f / (every - n) if every > n else 0.0)
        return Powered(mean_y + moved, variance, weight)
