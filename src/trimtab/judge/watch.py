"""A watched signal: evidence that its mean has left its harm-free zone, and that it came back."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.judge.bet import STAKES, Bet
from trimtab.stats.bets import BetGrids, Side
from trimtab.stats.logspace import LN10

Z95, Z99 = 1.96, 2.5758
REMEMBERED = 60
RECOVERED = 1.3
"""log10 of the evidence that ends an alarm."""

LINGERING = 0.35
"""Many indicators have recovered when "outside in this share of the blocks" is refuted; a single
one when its mean is proven to be back inside."""

WEALTH = "<f8"
PENNILESS = np.full(STAKES, -np.inf).astype(WEALTH).tobytes()
"""The stakes of a bet before any block."""

KEPT = 64
"""Sets of watches, as a few releases have them block after block, whose stakes are kept at hand."""


class Zone(msgspec.Struct, frozen=True, gc=False):
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


class Staked(NamedTuple):
    """A watch as far as its bets go: its zones, by how much days differ, and the zones of a block
    where these are others."""

    zones: tuple[Zone, ...]
    spread: float | None
    moved: tuple[Zone, ...] | None = None

    @property
    def here(self) -> tuple[Zone, ...]:
        """The zones of the block."""
        return self.zones if self.moved is None else self.moved

    @property
    def bets(self) -> list[tuple[int, float, Side]]:
        """The indicator of each bet, its border and side; what can no longer be crossed is not
        staked on."""
        return [
            (i, zone.border(side), side)
            for i, (fixed, zone) in enumerate(zip(self.zones, self.here, strict=True))
            for _, side in fixed.borders
        ]


class Stakes(NamedTuple):
    """The bets of watches, one behind the other.

    `widths` are the indicators of each watch, `first` is where they begin, `low` and `high` are the
    ends of the zone of each, infinite without a border. `sizes` are the bets of each watch; of each
    bet there are the indicator bet on, its border, the rows that a day is worth (infinite where
    rows are independent), and what its stakes gain on a one, on a zero, and on a row of the mean
    that they are best for.
    """

    widths: NDArray[np.int64]
    first: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sizes: NDArray[np.int64]
    indicator: NDArray[np.int64]
    m: NDArray[np.float64]
    worn: NDArray[np.float64]
    on_one: NDArray[np.float64]
    on_zero: NDArray[np.float64]
    at_best: NDArray[np.float64]


def stakes(watches: tuple[Staked, ...]) -> Stakes:
    """One bet for each border of each zone, with the stakes that `Bet` has."""
    here = [each.here for each in watches]
    widths = np.array([len(zones) for zones in here], dtype=np.int64)
    first = np.cumsum(widths) - widths
    low = [-math.inf if zone.low is None else zone.low for zones in here for zone in zones]
    high = [math.inf if zone.high is None else zone.high for zones in here for zone in zones]
    every = [(each.spread, each.bets) for each in watches]
    sizes = np.array([len(own) for _, own in every], dtype=np.int64)
    spreads = [spread for spread, own in every for _ in own]
    bets = [bet for _, own in every for bet in own]
    indicator = np.array([i for i, _, _ in bets], dtype=np.int64) + np.repeat(first, sizes)
    m = np.array([m for _, m, _ in bets], dtype=np.float64)
    above = np.array([side == "above" for _, _, side in bets], dtype=np.bool_)
    grids = BetGrids.of(m, above, STAKES)
    # A stake is best for the mean q where 1 + stake (X - m) is the likelihood ratio of q and m.
    best = m[:, None] * np.exp(grids.on_one)
    return Stakes(
        widths=widths,
        first=first,
        low=np.array(low),
        high=np.array(high),
        sizes=sizes,
        indicator=indicator,
        m=m,
        worn=_worn(m, spreads),
        on_one=grids.on_one,
        on_zero=grids.on_zero,
        at_best=best * grids.on_one + (1.0 - best) * grids.on_zero,
    )


_kept = lru_cache(KEPT)(stakes)


class Point(msgspec.Struct, frozen=True, gc=False):
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

    def recover(self, point: Point, here: tuple[Zone, ...]) -> None:
        """Take in a block while in alarm, whose zones are `here`, and end the alarm on evidence."""
        for bet in self.back:
            if len(self.zones) > 1:
                bet.take(float(point.excess > 0.0), 1)
                continue
            if not self.eased:
                bet.m = here[0].border("below" if bet.side == "above" else "above")
            bet.take(min(point.mean, 1.0), worth(bet.m, self.spread, point.n))
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
    def staked(self) -> Staked:
        """What is bet on, and where."""
        return Staked(self.watch.zones, self.watch.spread, self.zones)


def take_all(blocks: Sequence[Block]) -> None:
    """Take in blocks, each of another watch: the bets of all are settled at once."""
    if not blocks:
        return
    moved = any(block.zones is not None for block in blocks)
    bets = (stakes if moved else _kept)(tuple(block.staked for block in blocks))
    rows = np.array([block.n for block in blocks], dtype=np.float64)
    totals = np.array([total for block in blocks for total in block.totals], dtype=np.float64)
    means = totals / np.repeat(rows, bets.widths)
    beyond = np.maximum.reduceat(np.maximum(means - bets.high, bets.low - means), bets.first)
    calm = [block.watch.frozen is None for block in blocks]
    told = zip(blocks, means[bets.first].tolist(), beyond.tolist(), calm, strict=True)
    for block, mean, excess, quiet in told:
        point = Point(block.start, block.n, mean, excess)
        block.watch.note(point)
        if not quiet:
            block.watch.recover(point, block.here)
    grown = _grown(blocks, bets, np.minimum(means, 1.0), rows)
    staked = bets.sizes > 0
    held = zip(np.flatnonzero(staked).tolist(), _shared(bets.sizes[staked], grown), strict=True)
    for place, (wealth, found) in held:
        if calm[place]:
            blocks[place].watch.hold(wealth, found)


def _grown(
    blocks: Sequence[Block], bets: Stakes, means: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The wealth of the stakes of each bet after blocks of so many rows."""
    worth = np.minimum(bets.worn, np.repeat(rows, bets.sizes))[:, None]
    mean = means[bets.indicator, None]
    grown = worth * (mean * bets.on_one + (1.0 - mean) * bets.on_zero)
    pairs = zip(blocks, bets.sizes.tolist(), strict=True)
    held = b"".join(block.watch.wealth or PENNILESS * size for block, size in pairs)
    wealth = np.frombuffer(held, dtype=WEALTH).reshape(grown.shape)
    grown += np.maximum(0.0, wealth)
    if any(block.watch.summed for block in blocks):
        needed = [_needed(b.watch, STAKES * n) for b, n in zip(blocks, bets.sizes, strict=True)]
        # Those that show what they are best for in time sum up past blocks.
        summed = worth * bets.at_best >= np.repeat(needed, bets.sizes)[:, None]
        # What log(1 + M) is above log max(1, M).
        grown[summed] += np.log1p(np.exp(-np.abs(wealth[summed])))
    return grown


def _needed(watch: Watch, count: int) -> float:
    """What a block must gain, in nats, for one of `count` stakes to alarm within the run length."""
    if not watch.summed or not count:
        return math.inf
    limit = watch.log10_threshold * LN10
    return (limit + math.log(count)) * math.exp(-limit)


def _shared(sizes: NDArray[np.int64], grown: NDArray[np.float64]) -> list[tuple[bytes, float]]:
    """The wealth and the evidence of each watch, which has so many bets, at least one."""
    lengths, flat = sizes * grown.shape[1], grown.ravel()
    ends = np.cumsum(lengths)
    starts = ends - lengths
    peaks = np.maximum.reduceat(flat, starts)
    sums = np.add.reduceat(np.exp(flat - np.repeat(peaks, lengths)), starts)
    evidence = (peaks + np.log(sums) - np.log(lengths)) / LN10
    raw, item = flat.astype(WEALTH).tobytes(), flat.itemsize
    told = zip((starts * item).tolist(), (ends * item).tolist(), evidence.tolist(), strict=True)
    return [(raw[start:end], found) for start, end, found in told]


def worth(m: float, spread: float | None, n: int) -> float:
    """How many independent 0/1 rows of mean `m` a block of `n` rows is worth, at least one."""
    if spread is None:
        return float(n)
    return min(max(m * (1.0 - m) / _noise(spread), 1.0), float(n))


def _noise(spread: float) -> float:
    """The variance of the mean of a day."""
    return max((spread / Z99) ** 2, 1e-12)


def _worn(m: NDArray[np.float64], spreads: Sequence[float | None]) -> NDArray[np.float64]:
    """What `worth` says of each border `m` however many rows there are, by the spread of each."""
    noise = np.array([1.0 if each is None else _noise(each) for each in spreads])
    dated = np.array([each is not None for each in spreads], dtype=np.bool_)
    return np.where(dated, np.maximum(m * (1.0 - m) / noise, 1.0), np.inf)


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
    # Of a mean at an end of [0, 1] rounding may leave the interval a hair short of it.
    return mean, min(max(middle - half, 0.0), mean), max(min(middle + half, 1.0), mean)
