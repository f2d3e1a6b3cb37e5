"""A small regression on binned features: gradient boosting of symmetric trees.

Each tree asks the same ``depth`` questions ("is the bin of feature j above t?") of every row, so
that a row's leaf is a number of ``depth`` bits and a tree is a handful of numbers. Trees are fitted
one after the other to what is left of the target (squared loss), by histograms, and shrunk. Nothing
is random.

Source: Friedman, Annals of Statistics 2001; symmetric trees: Prokhorenkova et al., CatBoost,
NeurIPS 2018, section 4.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trimtab.stats.logspace import FloatArray

Codes = NDArray[np.int64]

RATE = 0.15
RIDGE = 50.0
"""Rows of no effect that each leaf is shrunk by."""


@dataclass(frozen=True, slots=True)
class Boosted:
    """A fitted regression: ``base`` plus one leaf of each tree.

    ``feature`` and ``above`` are the questions (trees, depth), ``leaf`` the values (trees,
    2**depth); the first question is the lowest bit.

    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 500)
    >>> model = Boosted.fit(codes, np.array([0.0, 0.0, 0.0, 1.0] * 500), trees=40, depth=2)
    >>> [round(float(value), 2) for value in model.predict(codes[:4])]
    [0.0, 0.0, 0.0, 1.0]
    """

    base: float
    feature: Codes
    above: Codes
    leaf: FloatArray

    @classmethod
    def fit(cls, codes: Codes, target: FloatArray, trees: int = 60, depth: int = 3) -> Self:
        """Fit to bins ``codes`` (n, d), from 0, and ``target`` (n,).

        Raises ``ValueError`` unless there are rows and features, as many codes as targets.
        """
        if codes.ndim != 2 or 0 in codes.shape or target.shape != codes.shape[:1]:
            raise ValueError(
                f"need codes (n, d) and target (n,), not {codes.shape}, {target.shape}"
            )
        base = float(target.mean())
        left = target - base
        grown = []
        for _ in range(trees):
            questions, leaf = _questions(codes, left, depth)
            values = _leaves(leaf, left, depth)
            left = left - values[leaf]
            grown.append((questions, values))
        feature = np.array([[j for j, _ in questions] for questions, _ in grown], dtype=np.int64)
        above = np.array([[t for _, t in questions] for questions, _ in grown], dtype=np.int64)
        leaves = np.array([values for _, values in grown], dtype=np.float64)
        shape = (trees, depth)
        return cls(base, feature.reshape(shape), above.reshape(shape), leaves)

    def predict(self, codes: Codes) -> FloatArray:
        """Return the prediction (n,) for bins (n, d)."""
        made = np.full(len(codes), self.base)
        for feature, above, leaf in zip(self.feature, self.above, self.leaf, strict=True):
            bits = (codes[:, feature] > above) << np.arange(feature.size)
            made += leaf[bits.sum(axis=1)]
        return made


def _questions(codes: Codes, left: FloatArray, depth: int) -> tuple[list[tuple[int, int]], Codes]:
    """The questions that explain most, one level after the other, and each row's leaf."""
    leaf, asked = np.zeros(len(codes), dtype=np.int64), list[tuple[int, int]]()
    for level in range(depth):
        feature, above = _best(codes, left, leaf, 2**level)
        asked.append((feature, above))
        leaf = leaf + ((codes[:, feature] > above).astype(np.int64) << level)
    return asked, leaf


def _best(codes: Codes, left: FloatArray, leaf: Codes, leaves: int) -> tuple[int, int]:
    best, found = -1.0, (0, 0)
    for feature in range(codes.shape[1]):
        size = int(codes[:, feature].max()) + 1
        place = leaf * size + codes[:, feature]
        rows = np.bincount(place, minlength=leaves * size).reshape(leaves, size).cumsum(axis=1)
        sums = np.bincount(place, left, minlength=leaves * size).reshape(leaves, size)
        sums = sums.cumsum(axis=1)
        gain = sums**2 / (rows + RIDGE) + (sums[:, -1:] - sums) ** 2 / (rows[:, -1:] - rows + RIDGE)
        total = gain.sum(axis=0)
        above = int(total.argmax())
        if float(total[above]) > best:
            best, found = float(total[above]), (feature, above)
    return found


def _leaves(leaf: Codes, left: FloatArray, depth: int) -> FloatArray:
    rows = np.bincount(leaf, minlength=2**depth)
    sums = np.bincount(leaf, left, minlength=2**depth)
    return np.asarray(RATE * sums / (rows + RIDGE), dtype=np.float64)
