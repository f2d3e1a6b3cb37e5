"""Confidence sequences: intervals that hold at all times at once, however often one looks.

:class:`RateSequence` inverts Robbins' beta mixture for a 0/1 signal of constant conditional mean.
It is valid for any signal in [0, 1] given by its sum, but wide where that varies little.
:class:`MeanSequence` inverts the empirical-Bernstein supermartingale ``exp(lambda (S - n mu) -
psi(lambda) V)`` with ``psi(lambda) = -log(1 - lambda) - lambda`` and ``V = sum (x - centre)**2``,
where the centre is known before the row; mixed over a geometric grid of lambda in (0, 1). It covers
the running average of conditional means, so it stays true while the mean moves.

Source: Howard, Ramdas, McAuliffe & Sekhon, Time-uniform, nonparametric, nonasymptotic confidence
sequences, Annals of Statistics 2021 (arXiv 1810.08240), theorem 4 and section 3.2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats import saved
from trimtab.stats.bets import unit_values
from trimtab.stats.logspace import log_mean_exp

# Values are counted in whole steps of 2**-20, so that sums are exact integers and merge to the last
# bit; half a step of slack is given back to the interval.
STEP = 2.0**-20
CHUNK = 2**22
LAMBDAS = np.geomspace(2e-4, 0.95, 24)
PSI = -np.log1p(-LAMBDAS) - LAMBDAS


class Interval(NamedTuple):
    """Both ends of an interval, in the unit of what it bounds."""

    lower: float
    upper: float


@dataclass(slots=True)
class RateSequence:
    """Interval for a rate from two counts; merges exactly, in any order.

    >>> errors = RateSequence(alpha=0.05)
    >>> errors.update(213, 1000)
    >>> [round(end, 3) for end in errors.interval]
    [0.168, 0.263]
    """

    alpha: float = 0.05
    successes: int = 0
    trials: int = 0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless 0 < alpha < 1 and 0 <= successes <= trials."""
        _check_alpha(self.alpha)
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"need 0 <= successes <= trials, not {self.successes}, {self.trials}")

    def update(self, successes: int, trials: int) -> None:
        """Take in counts. ``ValueError`` unless 0 <= successes <= trials."""
        added = type(self)(self.alpha, successes, trials)
        self.successes, self.trials = self.successes + successes, self.trials + added.trials

    def merge(self, other: Self) -> Self:
        """Return the sequence of both streams, at this one's alpha."""
        return type(self)(self.alpha, self.successes + other.successes, self.trials + other.trials)

    @property
    def estimate(self) -> float | None:
        """The observed rate; ``None`` without trials."""
        return self.successes / self.trials if self.trials else None

    @property
    def interval(self) -> Interval:
        """The interval; (0, 1) without trials."""
        hits, misses = self.successes, self.trials - self.successes
        if self.trials == 0:
            return Interval(0.0, 1.0)
        mixture = _log_beta(hits + 0.5, misses + 0.5) - _log_beta(0.5, 0.5)
        cut = mixture + math.log(self.alpha)
        middle = hits / self.trials

        def kept(rate: float) -> bool:
            return _times_log(hits, rate) + _times_log(misses, 1.0 - rate) > cut

        return Interval(_border(kept, middle, 0.0), _border(kept, middle, 1.0))

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        return {"alpha": self.alpha, "successes": self.successes, "trials": self.trials}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        successes, trials = saved.whole(state, "successes"), saved.whole(state, "trials")
        return cls(saved.real(state, "alpha"), successes, trials)


@dataclass(frozen=True, slots=True)
class MeanBlock:
    """Count, sum and sum of squares of values in [0, 1], as whole numbers of 2**-20 and 2**-40.

    >>> MeanBlock.of([0.5, 1.0]).merge(MeanBlock.of([0.25])) == MeanBlock.of([1.0, 0.25, 0.5])
    True
    """

    rows: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Sum the values. ``ValueError`` unless each is in [0, 1]."""
        steps = np.rint(unit_values(values) / STEP).astype(np.int64)
        chunks = [steps[start : start + CHUNK] for start in range(0, steps.size, CHUNK)]
        squares = sum(int((chunk * chunk).sum()) for chunk in chunks)
        return cls(steps.size, int(steps.sum()), squares)

    def merge(self, other: Self) -> Self:
        """Return the block of both; exact, in any order."""
        return type(self)(
            self.rows + other.rows, self.total + other.total, self.squares + other.squares
        )

    def spread(self, centre: float) -> float:
        """Return the sum of squared distances from the centre."""
        around = self.squares * STEP * STEP - 2.0 * centre * self.total * STEP
        return max(around + self.rows * centre * centre, 0.0)

    def to_dict(self) -> dict[str, object]:
        """Return the sums as plain JSON values (integers as text, so that they stay exact)."""
        return {"rows": self.rows, "total": str(self.total), "squares": str(self.squares)}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        return cls(*(saved.whole(state, key) for key in ("rows", "total", "squares")))


@dataclass(slots=True)
class MeanSequence:
    """Interval for the running mean of a signal in [0, 1].

    ``centre`` is the expected mean, known beforehand (such as the reference's); later blocks are
    centred at the mean so far. The better the centre, the narrower the interval; any is valid.

    >>> loss = MeanSequence(alpha=0.05, centre=0.25)
    >>> loss.update_values([0.25, 0.3, 0.2, 0.25] * 250)
    >>> [round(end, 3) for end in loss.interval]
    [0.241, 0.259]
    """

    alpha: float = 0.05
    centre: float = 0.5
    seen: MeanBlock = MeanBlock()
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless 0 < alpha < 1 and the centre is in [0, 1]."""
        _check_alpha(self.alpha)
        if not 0.0 <= self.centre <= 1.0:
            raise ValueError(f"centre must be in [0, 1], not {self.centre!r}")

    def update(self, block: MeanBlock) -> None:
        """Take in one block; blocks of several workers are merged before."""
        # The given centre weighs as one row, so that the first rows do not throw it far off.
        before = (self.centre + self.seen.total * STEP) / (1 + self.seen.rows)
        self.spread += block.spread(before)
        self.seen = self.seen.merge(block)

    def update_values(self, values: ArrayLike) -> None:
        """Take in values. ``ValueError`` unless each is in [0, 1]."""
        self.update(MeanBlock.of(values))

    @property
    def estimate(self) -> float | None:
        """The observed mean; ``None`` without rows."""
        return self.seen.total * STEP / self.seen.rows if self.seen.rows else None

    @property
    def interval(self) -> Interval:
        """The interval; (0, 1) without rows."""
        rows = self.seen.rows
        if rows == 0:
            return Interval(0.0, 1.0)
        half = deviation(self.spread, self.alpha / 2.0) / rows + STEP / 2.0
        mean = self.seen.total * STEP / rows
        return Interval(max(mean - half, 0.0), min(mean + half, 1.0))

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        state: dict[str, object] = {"alpha": self.alpha, "centre": self.centre}
        return state | {"seen": self.seen.to_dict(), "spread": self.spread}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        seen = MeanBlock.from_dict(saved.part(state, "seen"))
        alpha, centre = saved.real(state, "alpha"), saved.real(state, "centre")
        return cls(alpha, centre, seen, saved.real(state, "spread"))


def deviation(spread: float, alpha: float) -> float:
    """Return the largest ``S - n mu`` (in rows) that the mixture does not reject at alpha.

    ``spread`` is the sum of squared distances of values in [0, 1] from centres known before them.
    """
    cost = PSI * spread
    need = math.log(1.0 / alpha)

    def kept(far: float) -> bool:
        return log_mean_exp(LAMBDAS * far - cost) < need

    most = float(((need + math.log(LAMBDAS.size) + cost) / LAMBDAS).min())
    return _border(kept, 0.0, most)


def _border(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where keeping ends between a kept and a further point, rounded outwards."""
    if kept(outside):
        return outside
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside


def _times_log(count: int, rate: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(rate) if rate > 0.0 else -math.inf


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), not {alpha!r}")
