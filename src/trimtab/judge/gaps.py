"""A watched gap between a group and the others: evidence that it has left its harm-free zone."""

import math
from typing import NamedTuple

import msgspec
import numpy as np

from trimtab.judge.groups import Sums
from trimtab.judge.reach import HORIZONS, LATELY, Reach
from trimtab.judge.watch import RECOVERED, WEALTH, Point, Watch, Zone
from trimtab.stats.bets import Side
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.gaps import STAKES, Centre, Growth, Sample, growth, mean_gap, variance
from trimtab.stats.logspace import LN10, log_mean_exp
from trimtab.stats.sequences import Interval

MEMORY = 0.8
"""What the rates of the past weigh after one more block, when the next ones are expected."""

REFERENCE_ROWS = 400.0
"""Rows that the reference counts for among the rates that are expected of the first blocks."""


class Block(NamedTuple):
    """A closed block: its start, and a measure of the group and of the others, of rows each."""

    start: float
    group: Sums
    others: Sums

    @property
    def gap(self) -> float:
        """The gap in this block."""
        return self.group.surplus - self.others.surplus

    @property
    def promised(self) -> float:
        """The part of the gap of the rates that is known beforehand."""
        own, others = self.group, self.others
        return own.promised / MICRO / own.n - others.promised / MICRO / others.n


class Expected(msgspec.Struct):
    """The rates that the next block is expected to have: sums of values and rows, fading."""

    total: float
    n: float
    others_total: float
    others_n: float

    @classmethod
    def of(cls, rate: float, others: float) -> "Expected":
        """As on the reference."""
        return cls(rate * REFERENCE_ROWS, REFERENCE_ROWS, others * REFERENCE_ROWS, REFERENCE_ROWS)

    @property
    def centre(self) -> Centre:
        """The two rates."""
        return Centre(self.total / self.n, self.others_total / self.others_n)

    def take(self, block: Block) -> None:
        """Learn from a block that was bet on."""
        self.total = MEMORY * self.total + block.group.total / MICRO
        self.n = MEMORY * self.n + block.group.n
        self.others_total = MEMORY * self.others_total + block.others.total / MICRO
        self.others_n = MEMORY * self.others_n + block.others.n


class Stretch(msgspec.Struct):
    """Blocks since a start, and what their stakes gained about their gaps, as `stats.gaps` says.

    `gap` is the sum of the gaps times their weights; `n` counts rows of the group.
    """

    start: float | None = None
    above: list[float] = []
    below: list[float] = []
    weight: float = 0.0
    gap: float = 0.0
    blocks: int = 0
    n: int = 0

    def take(self, block: Block, grown: Growth) -> None:
        """Take in a block."""
        self.start = block.start if self.start is None else self.start
        self.above = _added(self.above, grown.above.tolist())
        self.below = _added(self.below, grown.below.tolist())
        self.weight += grown.weight
        self.gap += grown.weight * block.gap
        self.blocks += 1
        self.n += block.group.n

    @property
    def mean(self) -> float:
        """The mean gap, weighted by how well each block tells it. There must be a block."""
        return self.gap / self.weight

    @property
    def interval(self) -> Interval:
        """The interval for it, at 95 %, valid at all times since the start."""
        return mean_gap(np.array(self.above), np.array(self.below), self.weight)


def _added(left: list[float], right: list[float]) -> list[float]:
    return [a + b for a, b in zip(left, right, strict=True)] if left else right


class GapWatch(msgspec.Struct):
    """Watches one gap, in [-1, 1]; its zone has both ends.

    `variance` is by how much the gap differs between days beyond chance: a block counts as no more
    rows than would vary as much. `whole` are all blocks since the watch was armed, `high` and `low`
    those since the gap began to lie above its zone, or below, as far as can be told. Once it is
    bad, `back` is the evidence of a recovery, of each stake for each end.
    """

    watch: Watch
    variance: float
    expected: Expected
    whole: Stretch = msgspec.field(default_factory=Stretch)
    high: Stretch = msgspec.field(default_factory=Stretch)
    low: Stretch = msgspec.field(default_factory=Stretch)
    back: list[list[float]] = []

    @property
    def zone(self) -> tuple[float, float]:
        """Both ends of the harm-free zone."""
        return self.watch.zones[0].border("below"), self.watch.zones[0].border("above")

    @property
    def bad(self) -> bool:
        """Whether it is in alarm."""
        return self.watch.frozen is not None

    @property
    def shown(self) -> Stretch:
        """The blocks that tell how it stands: those outside while it is bad, else all."""
        if not self.bad:
            return self.whole
        return self.high if self.excess(self.high, "above") > 0.0 else self.low

    @property
    def deviation(self) -> float:
        """How far the shown blocks lie outside, in standard errors."""
        low, high = self.zone
        mean = self.shown.mean
        return max(mean - high, low - mean) * math.sqrt(self.shown.weight)

    def take(self, block: Block) -> None:
        """Take in a block; one without rows on either side says nothing."""
        if not block.group.n or not block.others.n:
            return
        grown, excess = self._grown(block), self.watch.zones[0].excess(block.gap)
        self.watch.note(Point(block.start, block.group.n, block.gap, excess))
        self.expected.take(block)
        for stretch in (self.whole, self.high, self.low):
            stretch.take(block, grown)
        if self.bad:
            self._recover(grown)
        else:
            self._forget()
            self._bet(grown)

    def _forget(self) -> None:
        """A stretch that lies inside by now began too early: it begins anew."""
        if self.excess(self.high, "above") <= 0.0:
            self.high = Stretch()
        if self.excess(self.low, "below") <= 0.0:
            self.low = Stretch()

    def excess(self, stretch: Stretch, side: Side) -> float:
        """How far the mean gap of a stretch lies outside on one side, negative inside and without
        a block."""
        if not stretch.blocks:
            return -1.0
        low, high = self.zone
        return stretch.mean - high if side == "above" else low - stretch.mean

    def _grown(self, block: Block) -> Growth:
        centre = self.expected.centre
        own, others = block.group, block.others
        samples = Sample(own.total / MICRO, own.n), Sample(others.total / MICRO, others.n)
        chance = variance(centre, own.n, others.n)
        made = growth(*samples, centre).shifted(block.promised)
        return made.worth(chance / (chance + self.variance))

    def _bet(self, grown: Growth) -> None:
        low, high = self.zone
        reach = STAKES * grown.weight
        gained = np.concatenate([grown.above - reach * high, grown.below + reach * low])
        held = np.frombuffer(self.watch.wealth, dtype=WEALTH)
        wealth = gained + (np.maximum(0.0, held) if held.size else 0.0)
        self.watch.hold(wealth.astype(WEALTH).tobytes(), log_mean_exp(wealth) / LN10)
        if self.bad:
            self.watch.since = self.shown.start
            self.back = [[0.0] * STAKES.size] * 2

    def _recover(self, grown: Growth) -> None:
        """Evidence that the gap is below the upper end, and above the lower one."""
        low, high = self.zone
        reach = STAKES * grown.weight
        gained = (grown.below + reach * high, grown.above - reach * low)
        self.back = [
            (np.maximum(0.0, held) + more).tolist()
            for held, more in zip(self.back, gained, strict=True)
        ]
        if min(log_mean_exp(np.array(held)) for held in self.back) >= RECOVERED * LN10:
            self.watch.rearm()
            self.whole, self.high, self.low, self.back = Stretch(), Stretch(), Stretch(), []

    def reach(self, reference: float) -> Reach | None:
        """The lasting gap, counted from that of the reference, that shows within a day, a week or
        30 days at today's traffic. At a gap x beyond its end a stake h gains about w h (x - h / 2).
        """
        points = self.watch.history[-LATELY:]
        if len(points) < 2:
            return None
        spacing = (points[-1].start - points[0].start) / (len(points) - 1)
        need = self.watch.log10_threshold * LN10 + math.log(2.0 * STAKES.size)
        for seconds in HORIZONS:
            weight = self.whole.weight / self.whole.blocks * math.floor(seconds / spacing)
            beyond = float((need / (weight * STAKES) + STAKES / 2.0).min()) if weight else math.inf
            furthest = max(abs(end - reference) for end in self.zone) + beyond
            if furthest < 1.0:
                return Reach(furthest, seconds)
        return None


def gap_watch(zone: Zone, day_variance: float, expected: Expected, threshold: float) -> GapWatch:
    """A watch that begins."""
    return GapWatch(Watch((zone,), None, threshold), day_variance, expected)
