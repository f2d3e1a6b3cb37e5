"""Quantile sketch with relative error: latencies of many processes in a few kilobytes.

A value x is counted in bucket ``ceil(log_gamma x)`` with ``gamma = (1 + a) / (1 - a)``; any value
of a bucket is within a fraction ``a`` of the bucket's representative. Buckets are integers, so
merging adds counts, exactly and in any order. Values are held to [1e-9, 1e9] (0 is 1e-9), which
bounds the sketch to about 2,100 buckets at 1 %.

Source: Masson, Rim & Lee, DDSketch, VLDB 2019 (arXiv 1908.10693).
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats import saved

SMALLEST, LARGEST = 1e-9, 1e9


@dataclass(slots=True)
class QuantileSketch:
    """Mergeable quantiles of nonnegative values (seconds, bytes) to a relative error.

    >>> latency = QuantileSketch()
    >>> latency.add(range(1, 1001))
    >>> abs(latency.quantile(0.99) / 990 - 1) <= 0.01
    True
    """

    relative_error: float = 0.01
    buckets: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless 0 < relative_error < 1."""
        if not 0.0 < self.relative_error < 1.0:
            raise ValueError(f"relative_error must be in (0, 1), not {self.relative_error!r}")

    def add(self, values: ArrayLike) -> None:
        """Count values (any shape). ``ValueError`` when one is negative or not finite."""
        rows = np.asarray(values, dtype=np.float64).ravel()
        if not bool((np.isfinite(rows) & (rows >= 0.0)).all()):
            raise ValueError("values must be finite and >= 0")
        held = np.clip(rows, SMALLEST, LARGEST)
        keys, counts = np.unique(np.ceil(np.log(held) / self._log_gamma), return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            self.buckets[int(key)] += count

    def merge(self, other: Self) -> Self:
        """Return the sketch of both. ``ValueError`` if their relative errors differ."""
        if self.relative_error != other.relative_error:
            raise ValueError("only sketches of the same relative error can be merged")
        return type(self)(self.relative_error, self.buckets + other.buckets)

    @property
    def count(self) -> int:
        """Values counted."""
        return self.buckets.total()

    def quantile(self, q: float) -> float | None:
        """Return the value of rank ``floor(q (count - 1))`` within the relative error.

        ``None`` while empty. Raises ``ValueError`` unless 0 <= q <= 1.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q must be in [0, 1], not {q!r}")
        keys = np.array(sorted(self.buckets), dtype=np.int64)
        if keys.size == 0:
            return None
        below = np.cumsum([self.buckets[int(key)] for key in keys])
        place = int(np.searchsorted(below, math.floor(q * (self.count - 1)), side="right"))
        return self._representative(int(keys[place]))

    def to_dict(self) -> dict[str, object]:
        """Return parameters and counts as plain JSON values."""
        keys = sorted(self.buckets)
        state: dict[str, object] = {"relative_error": self.relative_error, "keys": keys}
        return state | {"counts": [self.buckets[key] for key in keys]}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        keys, counts = saved.wholes(state, "keys"), saved.wholes(state, "counts")
        buckets = Counter(dict(zip(keys, counts, strict=True)))
        return cls(saved.real(state, "relative_error"), buckets)

    @property
    def _log_gamma(self) -> float:
        return math.log1p(self.relative_error) - math.log1p(-self.relative_error)

    def _representative(self, key: int) -> float:
        gamma = math.exp(self._log_gamma)
        return 2.0 * math.exp(key * self._log_gamma) / (gamma + 1.0)
