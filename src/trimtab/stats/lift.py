"""How two columns in bins go together: what their joint counts say beyond their own shares.

The lift of a cell is the logarithm of how much more often its two bins come together than they
would if the columns had nothing to do with each other; its mean is the mutual information. Source:
Cover & Thomas, "Elements of Information Theory", section 2.3.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.stats.logspace import FloatArray

__all__ = ["held_out", "information", "log_lift"]

PRIOR = 10.0
"""Rows of no relation that each cell is shrunk by, so that rare cells say nothing."""

LARGEST = 3.0
"""Lifts beyond it are cut off: a single cell should not outweigh all others."""


def log_lift(joint: NDArray[Any]) -> FloatArray:
    """Return the lift of each cell of ``joint`` counts (..., a, b), in nats within ``LARGEST``.

    >>> log_lift(np.array([[400, 100], [100, 400]])).round(2).tolist()
    [[0.46, -0.86], [-0.86, 0.46]]
    """
    shrunk = np.log((joint + PRIOR) / (_apart(joint) + PRIOR))
    return np.asarray(np.clip(shrunk, -LARGEST, LARGEST), dtype=np.float64)


def information(joint: NDArray[Any], lift: FloatArray) -> FloatArray:
    """Return the mean of ``lift`` over the rows counted in ``joint``, both (..., a, b), in nats;
    0.0 where no row is.

    >>> both = np.array([[400, 100], [100, 400]])
    >>> round(float(information(both, log_lift(both))), 3)
    0.192
    """
    weighed = (joint * lift).reshape(*joint.shape[:-2], -1).sum(axis=-1)
    return np.asarray(weighed / np.maximum(joint.sum(axis=(-2, -1)), 1), dtype=np.float64)


def held_out(first: NDArray[Any], second: NDArray[Any]) -> FloatArray:
    """Return what the lifts of each half's joint counts (..., a, b) are worth on the other, in
    nats.

    It is the mutual information as far as it is the same in both; what only one half holds counts
    against it. An empty half tells nothing.

    >>> both = np.array([[400, 100], [100, 400]])
    >>> round(float(held_out(both, both)), 3), round(float(held_out(both, both[::-1])), 3)
    (0.192, -0.597)
    """
    return (information(first, log_lift(second)) + information(second, log_lift(first))) / 2.0


def _apart(joint: NDArray[Any]) -> FloatArray:
    """Counts to be expected of columns that have nothing to do with each other."""
    across, down = joint.sum(axis=-1, keepdims=True), joint.sum(axis=-2, keepdims=True)
    every = across.sum(axis=-2, keepdims=True)
    return np.asarray(across * down / np.maximum(every, 1), dtype=np.float64)
