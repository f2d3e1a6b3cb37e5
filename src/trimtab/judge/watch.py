"""A watched signal: evidence that its mean has left its harm-free zone, and that it came back."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.stats.bets import BetGrid, Side
from trimtab.stats.logspace import LN10, log_mean_exp

STAKES = 8

Z95, Z99 = 1.96, 2.5758
REMEMBERED = 60
RECOVERED = 1.3
"""log10 of the evidence that ends an alarm."""

LINGERING = 0.35
"""Many indicators have recovered when "outside in this share of the blocks" is refuted; a single
one when its mean is proven to be back inside."""

WEALTH = "<f8"
NOTHING = (0.0,) * STAKES
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
    wealth: tuple[float, ...] = ()

    def take(self, mean: float, rows: float) -> None:
        """Take in a block whose `mean` in [0, 1] counts as that of `rows` independent rows.

        It is settled as 0/1 rows of that mean would be, which is never more than what rows in
        between would gain: the logarithm is concave.
        """
        self.wealth = _grown(self.m, self.side, self.wealth, mean, rows)

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; 0.0 before any block."""
        return _log_mean(self.wealth) if self.wealth else 0.0

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence."""
        return self.log_evidence / LN10


@lru_cache(PREPARED)
def _grown(
    m: float, side: Side, wealth: tuple[float, ...], mean: float, rows: float
) -> tuple[float, ...]:
    """The wealth after a block. Most of thousands of feeds are quiet and alike, so that what a
    block does to one of them it does to all."""
    # For eight numbers an array costs more than the arithmetic, which is the same to the bit.
    rest = 1.0 - mean
    return tuple(
        rows * (mean * one + rest * zero) + max(0.0, each)
        for one, zero, each in zip(*_odds(m, side), wealth or NOTHING, strict=True)
    )


@lru_cache(PREPARED)
def _log_mean(wealth: tuple[float, ...]) -> float:
    return log_mean_exp(np.array(wealth))


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

    def return_bets(self, level: float | None = None) -> list[Bet]:
        """The same borders, from the other side: is the mean back inside?

        Of a harm with a `level`, the border that it crossed lies half way to it.
        """
        sides: dict[Side, Side] = {"above": "below", "below": "above"}
        return [Bet(_half_way(m, side, level), sides[side]) for m, side in self.borders]


def _half_way(m: float, side: Side, level: float | None) -> float:
    if level is None or (level > m) != (side == "above"):
        return m
    return (m + level) / 2.0


class Stakes(NamedTuple):
    """The bets of a watch, a row each: the indicator bet on, its border, what a stake gains on a
    one, on a zero, and on a row of the mean that it is best for."""

    indicator: NDArray[np.int64]
    m: NDArray[np.float64]
    on_one: NDArray[np.float64]
    on_zero: NDArray[np.float64]
    at_best: NDArray[np.float64]


@lru_cache(PREPARED)
def stakes(zones: tuple[Zone, ...]) -> Stakes:
    """One bet for each border of each zone, with the stakes that `Bet` has."""
    return _stakes(zones, zones)


def _stakes(zones: tuple[Zone, ...], moved: tuple[Zone, ...]) -> Stakes:
    """The bets of `zones`, on borders that have `moved`; what can no longer be crossed is not
    staked on."""
    borders = [
        (i, zone.border(side), side)
        for i, (fixed, zone) in enumerate(zip(zones, moved, strict=True))
        for _, side in fixed.borders
    ]
    grids = [BetGrid(m, side, STAKES) for _, m, side in borders]
    shape = (len(grids), STAKES)
    m = np.array([m for _, m, _ in borders], dtype=np.float64)
    on_one = np.array([grid.on_one for grid in grids]).reshape(shape)
    on_zero = np.array([grid.on_zero for grid in grids]).reshape(shape)
    # A stake is best for the mean q where 1 + stake (X - m) is the likelihood ratio of q and m.
    best = m[:, None] * np.exp(on_one)
    at_best = best * on_one + (1.0 - best) * on_zero
    return Stakes(np.array([i for i, _, _ in borders], dtype=np.int64), m, on_one, on_zero, at_best)


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

    `evidence` is the decimal logarithm of the average. `wealth` holds the natural logarithms of all
    stakes, as little-endian doubles in the order of `stakes`; it is empty before the first block.
    It grows as that of `Bet` does. `summed`, a stake grows by the Shiryaev–Roberts form,
    `M = exp(l) (1 + M)`, which is sooner, where the change that it is best for shows within as many
    blocks as the threshold promises. A more timid one would add up without saying anything.

    `eased`, an alarm of a single indicator ends when more than half of its harm is refuted and what
    shows that is inside the zone as a whole. In a narrow zone to refute all harm takes many times
    as long as to find it: the mean that is back lies close to the border.
    """

    zones: tuple[Zone, ...]
    spread: float | None
    log10_threshold: float
    summed: bool = False
    eased: bool = False
    wealth: bytes = b""
    evidence: float = 0.0
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
        take_all([Block(self, start, totals, n, zones)])

    def note(self, point: Point) -> None:
        """Remember a block that is taken in."""
        self.history = [*self.history, point][-REMEMBERED:]
        self.n += point.n

    def hold(self, wealth: bytes, log10_evidence: float) -> None:
        """Hold the wealth after a block, and alarm when it is enough."""
        self.wealth, self.evidence = wealth, log10_evidence
        if log10_evidence >= self.log10_threshold:
            self.frozen, self.since = log10_evidence, excursion(self.history)
            self.back = self._return_bets()

    def _return_bets(self) -> list[Bet]:
        if len(self.zones) > 1:
            return [Bet(LINGERING, "below")]
        if not self.eased:
            return self.zones[0].return_bets()
        harmed = [point for point in self.history if point.start >= (self.since or 0.0)]
        level = sum(p.mean * p.n for p in harmed) / sum(p.n for p in harmed)
        return self.zones[0].return_bets(level)

    def recover(self, block: "Block") -> None:
        """Take in a block while in alarm, and end the alarm on evidence."""
        for bet in self.back:
            if len(self.zones) > 1:
                bet.take(float(block.excess > 0.0), 1)
                continue
            if not self.eased:
                bet.m = block.here[0].border("below" if bet.side == "above" else "above")
            bet.take(min(block.means[0], 1.0), worth(bet.m, self.spread, block.n))
        proven = min(bet.log10_evidence for bet in self.back) >= RECOVERED
        if proven and (not self.eased or self._inside()):
            self.rearm()

    def _inside(self) -> bool:
        """Whether the blocks up to now that say most against half of the harm are inside."""
        half = max(self.zones[0].excess(bet.m) for bet in self.back)
        since = _outlying([(p.start, (half - p.excess) * p.n) for p in self.history])
        return sum(p.excess * p.n for p in self.history if p.start >= since) <= 0.0

    def rearm(self) -> None:
        """Forget all evidence; the zone stays what it is."""
        self.frozen, self.since, self.back = None, None, []
        self.wealth, self.evidence = b"", 0.0

    @property
    def log10_evidence(self) -> float:
        """The evidence, that of the alarm while in alarm."""
        return self.evidence if self.frozen is None else self.frozen


class Block(NamedTuple):
    """A block for a watch to take in, as `Watch.take` has it."""

    watch: Watch
    start: float
    totals: list[float]
    n: int
    zones: tuple[Zone, ...] | None = None

    @property
    def here(self) -> tuple[Zone, ...]:
        """The zones of this block."""
        return self.watch.zones if self.zones is None else self.zones

    @property
    def means(self) -> list[float]:
        """The mean of each indicator."""
        return [total / self.n for total in self.totals]

    @property
    def excess(self) -> float:
        """The largest excess of an indicator over its zone."""
        return max(map(Zone.excess, self.here, self.means))

    @property
    def point(self) -> Point:
        """What is remembered of it."""
        return Point(self.start, self.n, self.totals[0] / self.n, self.excess)

    @property
    def stakes(self) -> Stakes:
        """The bets on it."""
        fixed = self.watch.zones
        return stakes(fixed) if self.zones is None else _stakes(fixed, self.zones)


def take_all(blocks: Sequence[Block]) -> None:
    """Take in blocks, each of another watch: the bets of all are settled at once."""
    for block in blocks:
        block.watch.note(block.point)
    calm = [block for block in blocks if block.watch.frozen is None]
    for block in blocks:
        if block.watch.frozen is not None:
            block.watch.recover(block)
    staked = [(block, bets) for block in calm if (bets := block.stakes).m.size]
    if staked:
        _bet([block for block, _ in staked], [bets for _, bets in staked])


def _bet(blocks: list[Block], bets: list[Stakes]) -> None:
    """Settle the bets of the watches, those of each side by side."""
    sizes = [each.m.size for each in bets]
    first = np.cumsum([0, *(len(block.totals) for block in blocks)])
    place = np.concatenate([each.indicator for each in bets]) + np.repeat(first[:-1], sizes)
    means = np.minimum([mean for block in blocks for mean in block.means], 1.0)[place, None]
    rows = _worths(np.concatenate([each.m for each in bets]), blocks, sizes)[:, None]
    on_one = np.concatenate([each.on_one for each in bets])
    grown = rows * (means * on_one + (1.0 - means) * np.concatenate([b.on_zero for b in bets]))
    empty = np.full(STAKES, -np.inf).astype(WEALTH).tobytes()
    held = [b.watch.wealth or empty * size for b, size in zip(blocks, sizes, strict=True)]
    wealth = np.frombuffer(b"".join(held), dtype=WEALTH).reshape(grown.shape)
    grown += np.maximum(0.0, wealth)
    if any(block.watch.summed for block in blocks):
        summed = _summed(blocks, bets, rows)
        # What log(1 + M) is above log max(1, M).
        grown[summed] += np.log1p(np.exp(-np.abs(wealth[summed])))
    _share_out(blocks, sizes, grown)


def _summed(
    blocks: list[Block], bets: list[Stakes], rows: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which stakes sum up past blocks: those that show what they are best for in time."""
    sizes = [each.m.size for each in bets]
    needed = [
        _needed(block.watch, STAKES * size) for block, size in zip(blocks, sizes, strict=True)
    ]
    gains = rows * np.concatenate([each.at_best for each in bets])
    return np.asarray(gains >= np.repeat(needed, sizes)[:, None])


def _needed(watch: Watch, count: int) -> float:
    """What a block must gain, in nats, for one of `count` stakes to alarm within the run length."""
    if not watch.summed:
        return math.inf
    limit = watch.log10_threshold * LN10
    return (limit + math.log(count)) * math.exp(-limit)


def _share_out(blocks: list[Block], sizes: list[int], grown: NDArray[np.float64]) -> None:
    """Give each watch the wealth of its bets, of which it has `sizes`, and their evidence."""
    width = grown.shape[1]
    ends = np.cumsum(sizes) * width
    starts, flat = ends - np.array(sizes) * width, grown.ravel()
    peaks = np.maximum.reduceat(flat, starts)
    sums = np.add.reduceat(np.exp(flat - np.repeat(peaks, ends - starts)), starts)
    evidence = (peaks + np.log(sums) - np.log(ends - starts)) / LN10
    raw, item = flat.astype(WEALTH).tobytes(), flat.itemsize
    spans = zip((starts * item).tolist(), (ends * item).tolist(), strict=True)
    for block, (start, end), found in zip(blocks, spans, evidence.tolist(), strict=True):
        block.watch.hold(raw[start:end], found)


def worth(m: float, spread: float | None, n: int) -> float:
    """How many independent 0/1 rows of mean `m` a block of `n` rows is worth, at least one."""
    if spread is None:
        return float(n)
    return min(max(m * (1.0 - m) / _noise(spread), 1.0), float(n))


def _noise(spread: float) -> float:
    """The variance of the mean of a day."""
    return max((spread / Z99) ** 2, 1e-12)


def _worths(m: NDArray[np.float64], blocks: list[Block], sizes: list[int]) -> NDArray[np.float64]:
    """What `worth` says of each border `m`, of which each block has `sizes`."""
    n = np.repeat([float(block.n) for block in blocks], sizes)
    spreads = [block.watch.spread for block in blocks]
    noise = np.repeat([1.0 if each is None else _noise(each) for each in spreads], sizes)
    worn = np.minimum(np.maximum(m * (1.0 - m) / noise, 1.0), n)
    return np.where(np.repeat([each is None for each in spreads], sizes), n, worn)


def excursion(history: list[Point]) -> float:
    """Start of the stretch up to now whose excess, weighted by rows, sums to the most."""
    return _outlying([(point.start, point.excess * point.n) for point in history])


def _outlying(sums: list[tuple[float, float]]) -> float:
    """Start of the stretch up to now that sums to the most; each part has its start."""
    running = np.cumsum([each for _, each in reversed(sums)])
    return sums[len(sums) - 1 - int(np.argmax(running))][0]


def interval(points: list[Point], spread: float | None) -> tuple[float, float, float]:
    """Mean of the points with a 95 % interval, for display only.

    Of rows it is that of Wilson (Probable inference, JASA 1927), which one row does not shrink to a
    point. Of days, whose reference has `spread`, it is normal, and that spread counts as a day.
    """
    if spread is None:
        return _of_rows(points)
    means = np.array([point.mean for point in points])
    mean = float(means.mean())
    variance = float(means.var()) + (spread / Z99) ** 2 / means.size
    half = Z95 * math.sqrt(variance / means.size)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)


def _of_rows(points: list[Point]) -> tuple[float, float, float]:
    n = sum(point.n for point in points)
    mean = sum(point.mean * point.n for point in points) / n
    whole = 1.0 + Z95**2 / n
    middle = (mean + Z95**2 / (2.0 * n)) / whole
    half = Z95 / whole * math.sqrt(mean * (1.0 - mean) / n + (Z95 / (2.0 * n)) ** 2)
    return mean, max(middle - half, 0.0), min(middle + half, 1.0)
