"""Importance weights under covariate shift, by least squares on a few bounded features.

The ratio w(x) of live to reference density is fitted as a linear function of features f(x) (here
mostly bins of the columns, one by one) by least squares against the true ratio, which needs nothing
of the live rows but the mean of their features:

    w(x) = 1 + (f(x) - mean_ref)' alpha,    alpha = (C + ridge)^-1 (mean_live - mean_ref),

C being the covariance of the features on the reference. A weighted sum over the reference is then
linear in alpha, so that sums of (outcome x feature), made once, replace the reference's rows; and
``1 + (mean_live - mean_ref)' (C + ridge)^-1 (mean_live - mean_ref)`` bounds the mean of w**2, by
which the reference is worth fewer rows (its effective sample size).

What is assumed: the label given the features and the score is as it was (no concept change), and
the ratio is near to linear in the features. Dual to it, and often better known: with an outcome
that is linear in the features the weighted mean equals its ridge regression at the live mean.

Source: Kanamori, Hido & Sugiyama, A least-squares approach to direct importance estimation, JMLR
2009 (uLSIF); weighted recalibration as in Białek et al., PAPE, arXiv 2401.08348; effective sample
size: Kish, Survey Sampling, 1965.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.logspace import FloatArray

RIDGE = 0.02
"""Share of each feature's variance that is added to it."""

TINY = 1e-9


@dataclass(frozen=True, slots=True)
class DensityRatio:
    """Mean of the reference's features (p,) and the inverse of their ridged covariance (p, p).

    >>> ratio = DensityRatio.fit(np.array([[0.0], [0.0], [1.0], [1.0]]), ridge=0.0)
    >>> [round(float(weight), 6) for weight in ratio.weights(np.array([[0.0], [1.0]]), [0.75])]
    [0.5, 1.5]
    >>> round(ratio.inflation([0.75]), 6)
    1.25
    """

    mean: FloatArray
    inverse: FloatArray

    @classmethod
    def fit(cls, features: ArrayLike, ridge: float = RIDGE) -> Self:
        """Fit to the features (n, p) of the reference.

        Raises ``ValueError`` unless there is a row and every feature is finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or not len(rows) or not bool(np.isfinite(rows).all()):
            raise ValueError(f"need finite features (n, p) of some rows, not {rows.shape}")
        mean = rows.mean(axis=0)
        return cls.of_moments(mean, (rows - mean).T @ (rows - mean) / len(rows), ridge)

    @classmethod
    def of_moments(cls, mean: FloatArray, covariance: FloatArray, ridge: float = RIDGE) -> Self:
        """Fit to the mean (p,) and the covariance (p, p) of the reference's features."""
        added = ridge * np.diag(covariance) + TINY
        inverse = np.linalg.inv(covariance + np.diag(added))
        return cls(mean, np.asarray(inverse, dtype=np.float64))

    def slope(self, live_mean: ArrayLike) -> FloatArray:
        """Return alpha (p,) for the mean (p,) of the live rows' features."""
        return np.asarray(self.inverse @ self._moved(live_mean), dtype=np.float64)

    def inflation(self, live_mean: ArrayLike) -> float:
        """Return (a bound of) the mean of w**2: reference rows per effective row, at least 1."""
        moved = self._moved(live_mean)
        return 1.0 + float(moved @ self.inverse @ moved)

    def weights(self, features: ArrayLike, live_mean: ArrayLike) -> FloatArray:
        """Return w (n,) of rows given by their features (n, p); it may be negative far out."""
        moved = np.asarray(features, dtype=np.float64) - self.mean
        return np.asarray(1.0 + moved @ self.slope(live_mean), dtype=np.float64)

    def _moved(self, live_mean: ArrayLike) -> FloatArray:
        mean = np.asarray(live_mean, dtype=np.float64)
        if mean.shape != self.mean.shape:
            raise ValueError(f"need a mean of {self.mean.shape} features, not {mean.shape}")
        return mean - self.mean
