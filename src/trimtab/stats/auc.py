"""Area under the ROC curve: as a bounded mean that can be monitored, and as the usual number.

AUC is the probability that a random positive scores above a random negative (ties count half). The
i-th positive of a block is paired with its i-th negative, in order of arrival: the outcomes 0, 1/2,
1 have mean AUC, and as no row is in two pairs they can be bet on like any bounded signal. The rank
statistic uses all pairs, which is better to show but has no valid stream of its own.

Source: Hanley & McNeil, Radiology 1982 (AUC as a probability); pairing as in Podkopaev & Ramdas,
Tracking the risk of a deployed model, ICLR 2022.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.stats.logspace import FloatArray


def pair_outcomes(labels: ArrayLike, scores: ArrayLike) -> FloatArray:
    """Return 1, 1/2 or 0 per disjoint (positive, negative) pair of the block, in arrival order.

    ``labels`` (n,) are 0/1 or booleans, ``scores`` (n,) any ordered numbers. What is left of the
    larger class is not used. Raises ``ValueError`` when the shapes differ, a label is neither 0 nor
    1, or a score is not a number.

    >>> pair_outcomes([1, 0, 1, 0, 1], [0.9, 0.1, 0.4, 0.4, 0.7]).tolist()
    [1.0, 0.5]
    """
    positive, ranked = _checked(labels, scores)
    ups, downs = ranked[positive], ranked[~positive]
    pairs = min(ups.size, downs.size)
    # Signs of comparisons, not of differences: two infinite scores are a tie, not a NaN.
    above = (ups[:pairs] > downs[:pairs]).astype(np.float64)
    below = (ups[:pairs] < downs[:pairs]).astype(np.float64)
    return (1.0 + above - below) / 2.0


def rank_auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the AUC over all pairs, ties counted half; ``None`` when one class is absent.

    Raises as :func:`pair_outcomes`.

    >>> rank_auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
    0.875
    """
    positive, ranked = _checked(labels, scores)
    ups = int(positive.sum())
    downs = positive.size - ups
    if ups == 0 or downs == 0:
        return None
    _, place, counts = np.unique(ranked, return_inverse=True, return_counts=True)
    doubled_ranks = 2 * np.cumsum(counts) - counts + 1
    doubled = int(doubled_ranks[place][positive].sum()) - ups * (ups + 1)
    return doubled / (2 * ups * downs)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], FloatArray]:
    classes = np.asarray(labels, dtype=np.float64)
    ranked = np.asarray(scores, dtype=np.float64)
    if classes.shape != ranked.shape or classes.ndim != 1:
        raise ValueError(
            f"need labels and scores of one length, not {classes.shape}, {ranked.shape}"
        )
    if not bool(np.isin(classes, (0.0, 1.0)).all()) or bool(np.isnan(ranked).any()):
        raise ValueError("labels must be 0 or 1, and scores numbers")
    return classes == 1.0, ranked
