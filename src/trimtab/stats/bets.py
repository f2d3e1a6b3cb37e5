"""Bets against a mean: the grid of stakes, and the block statistics they are settled with.

A signal X in [0, 1] with conditional mean at most m cannot be beaten by a gambler who stakes
``lambda in [0, 1/m)`` on it: the factor ``1 + lambda (X - m)`` has conditional mean at most 1. So a
product of such factors is evidence against "the mean is at most m", whatever else X does: no
independence, no shape of distribution is assumed. For "at least m" stake on ``1 - X`` instead.

Source: Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS-B 2024
(arXiv 2010.09686), sections 3 and 4.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.stats import saved
from trimtab.stats.logspace import FloatArray

Side = Literal["above", "below"]

EDGE = 1e-6
LARGEST_FRACTION = 0.9
# Increments are stored as whole multiples of 2**-32, rounded down: sums are then exact integers, so
# that merging is associative to the last bit, and the evidence stays valid because it only shrinks.
SCALE = 2.0**32


@dataclass(frozen=True, slots=True)
class BetGrid:
    """K stakes in a geometric grid against the null "mean <= m" (above) or "mean >= m" (below).

    ``m`` has the unit of the signal, in [0, 1], and is clipped to [1e-6, 1 - 1e-6]. A null that no
    signal in [0, 1] can break (above m >= 1, below m <= 0) is ``vacuous``: nothing is staked.
    The stakes span the best ones from a shift of a hundredth of a standard deviation (of a 0/1
    signal of mean m) to certainty; between neighbours the growth of evidence changes little.

    Raises ``ValueError`` when m is not a number, the side is unknown or k < 1.

    >>> grid = BetGrid(0.25, "above", 3)
    >>> [round(float(stake), 4) for stake in grid.stakes]
    [0.0231, 0.2883, 3.6]
    """

    m: float
    side: Side
    k: int = 12
    vacuous: bool = field(init=False)
    stakes: FloatArray = field(init=False, compare=False, repr=False)
    on_one: FloatArray = field(init=False, compare=False, repr=False)
    on_zero: FloatArray = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Clip m and settle the stakes and their log factors on X = 1 and X = 0."""
        if self.side not in ("above", "below"):
            raise ValueError(f"side must be 'above' or 'below', not {self.side!r}")
        if math.isnan(self.m) or self.k < 1:
            raise ValueError(f"need a number m and k >= 1, not m={self.m!r}, k={self.k!r}")
        every = BetGrids.of(np.array([self.m]), np.array([self.side == "above"]), self.k)
        object.__setattr__(self, "m", float(every.m[0]))
        object.__setattr__(self, "vacuous", bool(every.vacuous[0]))
        object.__setattr__(self, "stakes", every.stakes[0])
        object.__setattr__(self, "on_one", every.on_one[0])
        object.__setattr__(self, "on_zero", every.on_zero[0])

    def settle(self, block: "Block") -> FloatArray:
        """Return the K log increments of a block, in nats.

        Raises ``ValueError`` when the block was summed on a grid of another size.
        """
        if isinstance(block, BernoulliBlock):
            return block.successes * self.on_one + (block.trials - block.successes) * self.on_zero
        if len(block.units) != self.k:
            raise ValueError(f"a block of {len(block.units)} stakes cannot settle {self.k} bets")
        return np.array([units / SCALE for units in block.units], dtype=np.float64)

    def to_dict(self) -> dict[str, object]:
        """Return the parameters as plain JSON values."""
        limit = 1.0 if self.side == "above" else 0.0
        return {"m": limit if self.vacuous else self.m, "side": self.side, "k": self.k}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        side = saved.text(state, "side")
        if side not in ("above", "below"):
            raise ValueError(f"saved state: 'side' must be 'above' or 'below', not {side!r}")
        m, k = saved.real(state, "m"), saved.whole(state, "k")
        return cls(m, "above" if side == "above" else "below", k)


class BetGrids(NamedTuple):
    """Grids of k stakes of B bets, settled side by side: what :class:`BetGrid` has of one.

    ``m`` and ``vacuous`` are (B,), ``stakes``, ``on_one`` and ``on_zero`` (B, k).
    """

    m: FloatArray
    vacuous: NDArray[np.bool_]
    stakes: FloatArray
    on_one: FloatArray
    on_zero: FloatArray

    @classmethod
    def of(cls, m: FloatArray, above: NDArray[np.bool_], k: int) -> Self:
        """Lay k >= 1 stakes against each border ``m`` (B,), none of them NaN, on the mean being
        ``above`` (B,) it, or else below.

        >>> grids = BetGrids.of(np.array([0.25, 0.5]), np.array([True, False]), 3)
        >>> bool((grids.stakes[1] == BetGrid(0.5, "below", 3).stakes).all())
        True
        """
        vacuous = np.where(above, m, 1.0 - m) > 1.0 - EDGE
        clipped = np.minimum(np.maximum(m, EDGE), 1.0 - EDGE)
        null = np.where(above, clipped, 1.0 - clipped)[:, None]
        sign = np.where(vacuous, 0.0, np.where(above, 1.0, -1.0))[:, None]
        stakes = _fractions(null, k) / null * sign
        borders = clipped[:, None]
        on_one, on_zero = np.log1p(stakes * (1.0 - borders)), np.log1p(-stakes * borders)
        return cls(clipped, vacuous, stakes, on_one, on_zero)


@dataclass(frozen=True, slots=True)
class BernoulliBlock:
    """Counts of a 0/1 signal in one block: all that any grid needs to settle its bets.

    >>> BernoulliBlock(2, 10).merge(BernoulliBlock(1, 5))
    BernoulliBlock(successes=3, trials=15)
    """

    successes: int
    trials: int

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless 0 <= successes <= trials."""
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"need 0 <= successes <= trials, not {self.successes}, {self.trials}")

    def merge(self, other: Self) -> Self:
        """Return the block of both; exact, in any order."""
        return type(self)(self.successes + other.successes, self.trials + other.trials)

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON values."""
        return {"successes": self.successes, "trials": self.trials}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        return cls(saved.whole(state, "successes"), saved.whole(state, "trials"))


@dataclass(frozen=True, slots=True)
class BoundedBlock:
    """Sums of log increments per stake for a real signal in [0, 1], in units of 2**-32 nat.

    >>> grid = BetGrid(0.5, "above", 4)
    >>> left, right = BoundedBlock.of([0.25, 1.0], grid), BoundedBlock.of([0.125], grid)
    >>> left.merge(right) == BoundedBlock.of([0.125, 0.25, 1.0], grid)
    True
    """

    units: tuple[int, ...]
    trials: int

    @classmethod
    def empty(cls, k: int) -> Self:
        """Return the block of no rows for k stakes."""
        return cls((0,) * k, 0)

    @classmethod
    def of(cls, values: ArrayLike, grid: BetGrid) -> Self:
        """Settle the values (any shape, each in [0, 1]) with every stake of the grid.

        Raises ``ValueError`` when a value is outside [0, 1] or not a number.
        """
        rows = unit_values(values)
        bets = grid.stakes if rows.size else np.zeros(grid.k)
        shifted = rows - grid.m
        sums = [np.floor(np.log1p(bet * shifted) * SCALE).astype(np.int64).sum() for bet in bets]
        return cls(tuple(int(total) for total in sums), rows.size)

    def merge(self, other: Self) -> Self:
        """Return the block of both; exact, in any order. ``ValueError`` if the sizes differ."""
        units = tuple(a + b for a, b in zip(self.units, other.units, strict=True))
        return type(self)(units, self.trials + other.trials)

    def to_dict(self) -> dict[str, object]:
        """Return the sums as plain JSON values (integers as text, so that they stay exact)."""
        return {"units": [str(unit) for unit in self.units], "trials": self.trials}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote."""
        return cls(tuple(saved.wholes(state, "units")), saved.whole(state, "trials"))


Block = BernoulliBlock | BoundedBlock


def unit_values(values: ArrayLike) -> FloatArray:
    """Return the values as one flat float array. ``ValueError`` unless each is in [0, 1].

    >>> unit_values([0, 1]).tolist()
    [0.0, 1.0]
    """
    rows = np.asarray(values, dtype=np.float64).ravel()
    if not bool(((rows >= 0.0) & (rows <= 1.0)).all()):
        raise ValueError("every value must be in [0, 1]")
    return rows


def _fractions(null: FloatArray, k: int) -> FloatArray:
    """The stakes (B, k) as rising parts of the largest ones, for nulls (B, 1)."""
    smallest = np.minimum(0.01 * np.sqrt(null / (1.0 - null)), 0.1)
    if k == 1:
        return np.full(smallest.shape, LARGEST_FRACTION)
    # To the bit what numpy.geomspace gives, which takes ten times as long over what it accepts.
    first, last = np.log10(LARGEST_FRACTION), np.log10(smallest)
    made = np.power(10.0, np.arange(k) * ((last - first) / (k - 1)) + first)
    made[:, :1], made[:, -1:] = LARGEST_FRACTION, smallest
    return np.asarray(made[:, ::-1].copy())
