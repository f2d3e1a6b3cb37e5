"""A watched signal: evidence that its mean has left its harm-free zone, and that it came back."""

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.stats.bets import BetGrid, Side
from trimtab.stats.logspace import LN10, log_mean_exp

STAKES = 8
Z99 = 2.5758
REMEMBERED = 60
RECOVERED = 1.3
"""log10 of the evidence that ends an alarm."""

LINGERING = 0.35
"""Many indicators have recovered when "outside in this share of the blocks" is refuted; a single
one when its mean is proven to be back inside."""

Grain = Literal["block", "row"]

WEALTH = "<f8"
PREPARED = 1 << 14
"""Watches whose stakes are kept at hand; the others compute them again."""


@lru_cache(maxsize=4096)
def _odds(m: float, side: Side) -> tuple[list[float], list[float]]:
    """What the stakes of a bet win on a one and on a zero, as logarithms."""
    grid = BetGrid(m, side, STAKES)
    return grid.on_one.tolist(), grid.on_zero.tolist()


class Bet(msgspec.Struct):
    """An e-detector as plain state: `wealth` are natural logarithms per stake.

    The CUSUM form, `M = exp(l) max(1, M)`, keeps quiet for years where nothing happens. It is at
    most Shiryaev–Roberts over its stakes, so the promise of the e-detector holds (Shin, Ramdas &
    Rinaldo, section 2).
    """

    m: float
    side: Side
    wealth: list[float] = []

    def take(self, mean: float, rows: float) -> None:
        """Take in a block whose `mean` in [0, 1] counts as that of `rows` independent rows.

        It is settled as 0/1 rows of that mean would be, which is never more than what rows in
        between would gain: the logarithm is concave.
        """
        # A thousand streams of feeds come here in each block: for eight numbers an array costs
        # more than the arithmetic, which is the same to the bit.
        rest = 1.0 - mean
        held = self.wealth or [0.0] * STAKES
        self.wealth = [
            rows * (mean * one + rest * zero) + max(0.0, each)
            for one, zero, each in zip(*_odds(self.m, self.side), held, strict=True)
        ]

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; 0.0 before any block."""
        return log_mean_exp(np.array(self.wealth)) if self.wealth else 0.0

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence."""
        return self.log_evidence / LN10


class Zone(msgspec.Struct, frozen=True):
    """Where the mean of one indicator may be without harm; None means no border on that side."""

    low: float | None
    high: float | None

    def excess(self, value: float) -> float:
        """How far `value` is outside, negative inside."""
        over = -math.inf if self.high is None else value - self.high
        under = -math.inf if self.low is None else self.low - value
        return max(over, under)

    def border(self, side: Side) -> float:
        """The border on a side; without one 1.0 above or 0.0 below, which no mean crosses."""
        given, none = (self.high, 1.0) if side == "above" else (self.low, 0.0)
        return none if given is None else given

    @property
    def borders(self) -> list[tuple[float, Side]]:
        """The borders that can be crossed, and the side on which there is harm."""
        above: list[tuple[float, Side]] = [(self.border("above"), "above")]
        below: list[tuple[float, Side]] = [(self.border("below"), "below")]
        return [each for each in above if each[0] < 1.0] + [each for each in below if each[0] > 0.0]

    def return_bets(self) -> list[Bet]:
        """The same borders, from the other side: is the mean back inside?"""
        sides: dict[Side, Side] = {"above": "below", "below": "above"}
        return [Bet(m, sides[side]) for m, side in self.borders]


class Stakes(NamedTuple):
    """The bets of a watch, a row each: the indicator bet on, its border, what a stake gains."""

    indicator: NDArray[np.int64]
    m: NDArray[np.float64]
    on_one: NDArray[np.float64]
    on_zero: NDArray[np.float64]


@lru_cache(PREPARED)
def stakes(zones: tuple[Zone, ...], summed: bool) -> Stakes:
    """One bet for each border of each zone, with the stakes that `Bet` has."""
    return _stakes(zones, zones, summed)


def _stakes(zones: tuple[Zone, ...], moved: tuple[Zone, ...], summed: bool) -> Stakes:
    """The bets of `zones`, on borders that have `moved`; what can no longer be crossed is not
    staked on."""
    borders = [
        (i, zone.border(side), side)
        for i, (fixed, zone) in enumerate(zip(zones, moved, strict=True))
        for _, side in fixed.borders
    ]
    grids = [BetGrid(m, side, STAKES) for _, m, side in borders]
    kept = slice(STAKES // 2 * summed, None)
    shape = (len(grids), len(range(STAKES)[kept]))
    return Stakes(
        np.array([i for i, _, _ in borders], dtype=np.int64),
        np.array([m for _, m, _ in borders], dtype=np.float64),
        np.array([grid.on_one[kept] for grid in grids]).reshape(shape),
        np.array([grid.on_zero[kept] for grid in grids]).reshape(shape),
    )


class Point(msgspec.Struct, frozen=True):
    """One closed block: its start, rows, mean of the first indicator and largest excess."""

    start: float
    n: int
    mean: float
    excess: float


class Watch(msgspec.Struct):
    """Watches indicators in [0, 1] of one signal, averaging their evidence.

    Rows of a day share their day. So where the reference knows by how much days differ (`spread`,
    the 99 % quantile of their distance from the mean), a block counts as no more rows than its mean
    is worth: as many as would vary as much; without `spread` all its rows count. Once in
    alarm the watch is frozen until it has recovered. Evidence is valid for any dependence between
    blocks as long as each block's expected mean, given the past, is inside the zone.

    `wealth` holds the natural logarithms of all stakes, as little-endian doubles in the order of
    `stakes`; it is empty before the first block. It grows as that of `Bet` does, or, `summed`, by
    the Shiryaev–Roberts form, `M = exp(l) (1 + M)`, which finds small and lasting changes sooner;
    that leaves out the timid half of the stakes, which add up without saying anything.
    """

    zones: tuple[Zone, ...]
    spread: float | None
    log10_threshold: float
    summed: bool = False
    wealth: bytes = b""
    history: list[Point] = []
    since: float | None = None
    frozen: float | None = None
    back: list[Bet] = []
    n: int = 0

    def take(
        self, start: float, totals: list[float], n: int, zones: tuple[Zone, ...] | None = None
    ) -> None:
        """Take in the block that began at `start`: the total of each indicator over `n` rows.

        `zones` are those of this block where what is usual depends on its hours. Each block is bet
        on with borders known before it, so the promise of the e-detector holds.
        """
        here = self.zones if zones is None else zones
        excess = max(zone.excess(total / n) for zone, total in zip(here, totals, strict=True))
        self.history = [*self.history, Point(start, n, totals[0] / n, excess)][-REMEMBERED:]
        self.n += n
        if self.frozen is None:
            fixed = stakes(self.zones, self.summed)
            bets = fixed if zones is None else _stakes(self.zones, zones, self.summed)
            self._bet(bets, np.minimum(np.array(totals) / n, 1.0), n)
        else:
            self._recover(totals[0] / n, n, excess, here)

    def _bet(self, bets: Stakes, means: NDArray[np.float64], n: int) -> None:
        mean = means[bets.indicator, None]
        rows = effective_rows(bets.m, self.spread, n)[:, None]
        grown = rows * (mean * bets.on_one + (1.0 - mean) * bets.on_zero)
        if self.wealth:
            wealth = self._log_wealth.reshape(grown.shape)
            grown += np.logaddexp(0.0, wealth) if self.summed else np.maximum(0.0, wealth)
        self.wealth = grown.astype(WEALTH).tobytes()
        if self.log10_evidence >= self.log10_threshold:
            self.frozen, self.since = self.log10_evidence, excursion(self.history)
            alone = len(self.zones) == 1
            self.back = self.zones[0].return_bets() if alone else [Bet(LINGERING, "below")]

    def _recover(self, mean: float, n: int, excess: float, here: tuple[Zone, ...]) -> None:
        for bet in self.back:
            if len(self.zones) == 1:
                bet.m = here[0].border("below" if bet.side == "above" else "above")
                rows = float(effective_rows(np.array([bet.m]), self.spread, n)[0])
                bet.take(min(mean, 1.0), rows)
            else:
                bet.take(float(excess > 0.0), 1)
        if min(bet.log10_evidence for bet in self.back) >= RECOVERED:
            self.rearm()

    def rearm(self) -> None:
        """Forget all evidence; the zone stays what it is."""
        self.frozen, self.since, self.back, self.wealth = None, None, [], b""

    @property
    def _log_wealth(self) -> NDArray[np.float64]:
        return np.frombuffer(self.wealth, dtype=WEALTH).astype(np.float64, copy=False)

    @property
    def log10_evidence(self) -> float:
        """The evidence, that of the alarm while in alarm."""
        if self.frozen is not None:
            return self.frozen
        return log_mean_exp(self._log_wealth) / LN10 if self.wealth else 0.0


def grain(spread: float | None) -> Grain:
    """What is one observation: a day where days are known to differ, else a row."""
    return "row" if spread is None else "block"


def effective_rows(m: NDArray[np.float64], spread: float | None, n: int) -> NDArray[np.float64]:
    """How many independent 0/1 rows of mean `m` a block of `n` rows is worth, at least one."""
    if spread is None:
        return np.full(m.shape, float(n))
    deviation = spread / Z99
    return np.minimum(np.maximum(m * (1.0 - m) / max(deviation**2, 1e-12), 1.0), n)


def excursion(history: list[Point]) -> float:
    """Start of the stretch up to now whose excess, weighted by rows, sums to the most."""
    sums = np.cumsum([point.excess * point.n for point in reversed(history)])
    return history[len(history) - 1 - int(np.argmax(sums))].start


def interval(points: list[Point], unit: Grain) -> tuple[float, float, float]:
    """Mean of the points with a 95 % interval (normal approximation), for display only."""
    n = sum(point.n for point in points)
    if unit == "row":
        mean = sum(point.mean * point.n for point in points) / n
        half = 1.96 * math.sqrt(mean * (1.0 - mean) / n)
    else:
        means = np.array([point.mean for point in points])
        mean = float(means.mean())
        half = 1.96 * float(means.std()) / math.sqrt(means.size)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)
