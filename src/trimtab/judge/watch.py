"""A watched signal: evidence that its mean has left its harm-free zone, and that it came back."""

import math
from typing import Literal

import msgspec
import numpy as np

from trimtab.stats.bets import BernoulliBlock, BetGrid, Block, BoundedBlock, Side
from trimtab.stats.edetector import EAverage, EDetector

STAKES = 8
REMEMBERED = 60
RECOVERED = 1.3
"""log10 of the evidence that ends an alarm: "outside that often" (`LINGERING`) is then refuted."""

Grain = Literal["block", "row"]

LINGERING: dict[Grain, float] = {"block": 0.25, "row": 0.5}
"""Share of blocks outside that counts as not recovered. The mean of a day says less than the mean of
many rows, so more of them must be inside."""


class Bet(msgspec.Struct):
    """An e-detector as plain state: `wealth` are natural logarithms per stake."""

    m: float
    side: Side
    wealth: list[float] = []
    blocks: int = 0
    rows: int = 0

    def detector(self) -> EDetector:
        """The e-detector in this state."""
        wealth = np.array(self.wealth or [0.0] * STAKES)
        return EDetector(BetGrid(self.m, self.side, STAKES), wealth, self.blocks, self.rows)

    def take(self, block: Block) -> None:
        """Take in one block."""
        detector = self.detector()
        detector.update(block)
        self.wealth = detector.log_wealth.tolist()
        self.blocks, self.rows = detector.blocks, detector.rows

    def forget(self) -> None:
        """Start anew."""
        self.wealth, self.blocks, self.rows = [], 0, 0


class Zone(msgspec.Struct, frozen=True):
    """Where the mean of one indicator may be without harm; None means no border on that side."""

    low: float | None
    high: float | None

    def excess(self, value: float) -> float:
        """How far `value` is outside, negative inside."""
        over = -math.inf if self.high is None else value - self.high
        under = -math.inf if self.low is None else self.low - value
        return max(over, under)

    def bets(self) -> list[Bet]:
        """One bet for each border that can be crossed."""
        above = [] if self.high is None or self.high >= 1.0 else [Bet(self.high, "above")]
        below = [] if self.low is None or self.low <= 0.0 else [Bet(self.low, "below")]
        return above + below


class Point(msgspec.Struct, frozen=True):
    """One closed block: its start, rows, mean of the first indicator and largest excess."""

    start: float
    n: int
    mean: float
    excess: float


class Watch(msgspec.Struct):
    """Watches indicators in [0, 1] of one signal, averaging their evidence.

    With grain `block` a block's mean is one observation, because the rows of a block share their
    day; with grain `row` each row is one (a sum that is not whole is rounded against alarm).
    Once in alarm it is frozen until it has recovered. Evidence is valid for any dependence between
    blocks as long as each block's expected mean, given the past, is inside the zone.
    """

    zones: list[Zone]
    grain: Grain
    log10_threshold: float
    bets: list[list[Bet]] = []
    history: list[Point] = []
    since: float | None = None
    frozen: float | None = None
    back: Bet | None = None
    n: int = 0

    def take(self, start: float, totals: list[float], n: int) -> None:
        """Take in the block that began at `start`: the total of each indicator over `n` rows."""
        if not self.bets:
            self.bets = [zone.bets() for zone in self.zones]
        excess = max(zone.excess(total / n) for zone, total in zip(self.zones, totals, strict=True))
        self.history = [*self.history, Point(start, n, totals[0] / n, excess)][-REMEMBERED:]
        self.n += n
        if self.back is None:
            self._bet(totals, n)
        else:
            self._recover(self.back, excess)

    def _bet(self, totals: list[float], n: int) -> None:
        for bets, total in zip(self.bets, totals, strict=True):
            for bet in bets:
                bet.take(self._block(bet, total, n))
        if self.log10_evidence >= self.log10_threshold:
            self.frozen, self.since = self.log10_evidence, excursion(self.history)
            self.back = Bet(LINGERING[self.grain], "below")

    def _block(self, bet: Bet, total: float, n: int) -> Block:
        if self.grain == "block":
            return BoundedBlock.of([min(total / n, 1.0)], BetGrid(bet.m, bet.side, STAKES))
        whole = math.floor(total) if bet.side == "above" else math.ceil(total)
        return BernoulliBlock(min(whole, n), n)

    def _recover(self, back: Bet, excess: float) -> None:
        back.take(BernoulliBlock(int(excess > 0.0), 1))
        if back.detector().log10_evidence >= RECOVERED:
            self.rearm()

    def rearm(self) -> None:
        """Forget all evidence; the zone stays what it is."""
        self.frozen, self.since, self.back = None, None, None
        self.bets = [zone.bets() for zone in self.zones]

    @property
    def log10_evidence(self) -> float:
        """The evidence, that of the alarm while in alarm."""
        if self.frozen is not None:
            return self.frozen
        detectors = [bet.detector() for bets in self.bets for bet in bets]
        return EAverage.of(detectors).log10_evidence if detectors else 0.0


def excursion(history: list[Point]) -> float:
    """Start of the stretch up to now whose excess, weighted by rows, sums to the most."""
    sums = np.cumsum([point.excess * point.n for point in reversed(history)])
    return history[len(history) - 1 - int(np.argmax(sums))].start


def interval(points: list[Point], grain: Grain) -> tuple[float, float, float]:
    """Mean of the points with a 95 % interval (normal approximation), for display only."""
    n = sum(point.n for point in points)
    if grain == "row":
        mean = sum(point.mean * point.n for point in points) / n
        half = 1.96 * math.sqrt(mean * (1.0 - mean) / n)
    else:
        means = np.array([point.mean for point in points])
        mean = float(means.mean())
        half = 1.96 * float(means.std()) / math.sqrt(means.size)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)
