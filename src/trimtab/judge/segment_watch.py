"""Many segments watched as one: evidence that one of them loses more beside the others than it may.

A segment is held against all other rows of the same block, so that a bad day, which all share, is
no evidence. The mean of their e-detectors is one, whatever they share of their rows: it has one
threshold, and to tell which of K segments it is costs no more than log K of the evidence.
"""

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.judge.gaps import MEMORY, REFERENCE_ROWS
from trimtab.judge.reach import HORIZONS, LATELY, Reach
from trimtab.judge.watch import RECOVERED, WEALTH
from trimtab.stats.gaps import EDGE, STAKES, Samples, growths
from trimtab.stats.logspace import LN10, FloatArray, log_mean_exp

Mask = NDArray[np.bool_]

STEPS = 4
"""Until the effect that is forecast and the weight at that effect agree to a few thousandths."""

PATIENCE = 5.0
"""A block brings at most one part in so many of what alarms: a storm of a day or two over one place
is no reason to learn anew."""


class Borders(NamedTuple):
    """What is fixed of the segments, an element each: the loss of their rows on the reference and
    that of the others, up to which gap they do no harm, and by how much it differs between days
    beyond chance (a variance)."""

    usual: FloatArray
    others: FloatArray
    high: FloatArray
    variance: FloatArray


class Part(NamedTuple):
    """Rows of each segment in a block: how many, what they lost, and what was expected of them."""

    n: FloatArray
    lost: FloatArray
    expected: FloatArray


class Stretch(msgspec.Struct, frozen=True):
    """A segment since its gap began to be too wide, as far as can be told: its rows, what they lost
    and were expected to lose, the same of the others, and of its gaps weight and weighted sum."""

    start: float
    n: float
    lost: float
    expected: float
    others_n: float
    others_lost: float
    weight: float
    gap: float


WIDTH = len(Stretch.__struct_fields__)
RATES = 4
"""Of each segment lost and rows, and of its others, fading: what the next block is expected to
have."""


class Harmed(msgspec.Struct):
    """A segment in alarm: since when, with which evidence (log10) all of them alarmed, the gap that
    it must fall below to be well again, and the evidence of that, by stake."""

    since: float
    evidence: float
    level: float
    back: list[float]


class SegmentWatch(msgspec.Struct):
    """What changes while segments are watched, an array of a row each, as little-endian doubles;
    empty before the first block. `harmed` are, by their place, those in alarm: nothing is bet on
    them until they have recovered. `evidence` is the decimal logarithm of that of all others.
    `weights` are those of the gaps in a block, as the mean of `blocks` that fade, and `starts` when
    the last ones began."""

    wealth: bytes = b""
    rates: bytes = b""
    stretches: bytes = b""
    harmed: dict[int, Harmed] = {}
    evidence: float = 0.0
    weights: bytes = b""
    blocks: float = 0.0
    starts: list[float] = []

    def take(
        self, start: float, parts: tuple[Part, Part], borders: Borders, log10_threshold: float
    ) -> None:
        """Take in the block that began at `start`: the segments, and the others of each."""
        segment, others = parts
        told = (segment.n > 0.0) & (others.n > 0.0)
        if not told.any():
            return
        block = _Block(start, told, segment, others, self._rates(borders))
        above, weight = block.growths(borders)
        self._pace(start, np.where(told, weight, 0.0))
        wealth = self._wealth(told.size)
        self._recover(block, borders)
        self.stretches = _stored(self._stretched(block, weight, borders))
        reach = STAKES * weight[:, None] * borders.high[:, None]
        # An e-variable that is cut off above is one.
        most = (log10_threshold * LN10 + math.log(wealth.size)) / PATIENCE
        gained = np.minimum(above - reach, most)
        grown = np.where(told[:, None], gained + np.maximum(0.0, wealth), wealth)
        grown[list(self.harmed)] = -np.inf
        self.rates = _stored(block.learned())
        self._hold(grown, borders, log10_threshold)

    def _stretched(self, block: "_Block", weight: FloatArray, borders: Borders) -> FloatArray:
        """The stretches with this block. One that lay inside up to it began too early."""
        known = self._stretches(weight.size)
        fresh = block.told & (known[:, -1] <= borders.high * known[:, -2])
        fresh[list(self.harmed)] = False
        made = np.where(fresh[:, None], 0.0, known)
        made[fresh, 0] = block.start
        made[block.told, 1:] += block.added(weight)[block.told]
        return made

    def _hold(self, wealth: FloatArray, borders: Borders, log10_threshold: float) -> None:
        """Hold the wealth, and alarm of the segments that make it too much, the loudest first."""
        left = wealth.copy()
        self.evidence = _evidence(left)
        while (evidence := _evidence(left)) >= log10_threshold:
            loudest = int(np.argmax(left.max(axis=1)))
            left[loudest] = -np.inf
            if self._worse(loudest, borders):
                self.harmed[loudest] = self._harmed(loudest, evidence, borders)
                wealth[loudest] = -np.inf
        self.wealth = _stored(wealth)

    def _harmed(self, place: int, evidence: float, borders: Borders) -> Harmed:
        seen = self.stretch(place)
        level = (float(borders.high[place]) + seen.gap / seen.weight) / 2.0
        return Harmed(seen.start, evidence, level, [0.0] * STAKES.size)

    def _worse(self, place: int, borders: Borders) -> bool:
        """Whether the segment itself got worse, by half of what is tolerated: where only the others
        got better, nobody is harmed."""
        seen, usual = self.stretch(place), float(borders.usual[place])
        room = float(borders.high[place]) - (usual - float(borders.others[place]))
        return seen.lost > (usual + room / 2.0) * seen.n

    def _recover(self, block: "_Block", borders: Borders) -> None:
        """Evidence that more than half of the harm of a segment in alarm is gone."""
        below, weight = block.growths(borders, turned=True)
        for place in [place for place in self.harmed if block.told[place]]:
            harmed = self.harmed[place]
            grown = below[place] + STAKES * weight[place] * harmed.level
            harmed.back = (np.maximum(0.0, harmed.back) + grown).tolist()
            if log_mean_exp(np.array(harmed.back)) >= RECOVERED * LN10:
                del self.harmed[place]
                stretches = self._stretches(weight.size)
                stretches[place] = 0.0
                self.stretches = _stored(stretches)

    def stretch(self, place: int) -> Stretch:
        """A segment since its gap began to be too wide. There must have been a block."""
        rows = np.frombuffer(self.stretches, dtype=WEALTH).reshape(-1, WIDTH)
        return Stretch(*rows[place].tolist())

    def _pace(self, start: float, weight: FloatArray) -> None:
        """Keep what a block of late is worth."""
        held = np.frombuffer(self.weights, dtype=WEALTH) if self.weights else 0.0
        self.weights = _stored(MEMORY * held + weight)
        self.blocks = MEMORY * self.blocks + 1.0
        self.starts = [*self.starts, start][-LATELY:]

    def reach(self, borders: Borders, log10_threshold: float) -> Reach | None:
        """The lasting rise of a segment's gap, counted from that of the reference, that shows at
        today's traffic within a day, a week or 30 days: in the middle one of all segments, so that
        in half of them less shows. At a gap x beyond its border a stake h gains about
        w h (x - h / 2). None before the second block, or where not even the largest rise shows.
        """
        if len(self.starts) < 2:
            return None
        spacing = (self.starts[-1] - self.starts[0]) / (len(self.starts) - 1)
        weight = np.frombuffer(self.weights, dtype=WEALTH) / self.blocks
        need = log10_threshold * LN10 + math.log(weight.size * STAKES.size)
        for seconds in HORIZONS:
            blocks = math.floor(seconds / spacing) - 1  # the one in which it began is half of it
            effect = _effect(weight * blocks, borders, need) if blocks >= PATIENCE else 1.0
            if effect < 1.0:
                return Reach(effect, seconds)
        return None

    def _rates(self, borders: Borders) -> FloatArray:
        if self.rates:
            return np.frombuffer(self.rates, dtype=WEALTH).reshape(-1, RATES).copy()
        each = np.full(borders.usual.size, REFERENCE_ROWS)
        lost = borders.usual * REFERENCE_ROWS, borders.others * REFERENCE_ROWS
        return np.column_stack([lost[0], each, lost[1], each])

    def _wealth(self, size: int) -> FloatArray:
        if not self.wealth:
            return np.full((size, STAKES.size), -np.inf)
        return np.frombuffer(self.wealth, dtype=WEALTH).reshape(size, STAKES.size).copy()

    def _stretches(self, size: int) -> FloatArray:
        if not self.stretches:
            return np.zeros((size, WIDTH))
        return np.frombuffer(self.stretches, dtype=WEALTH).reshape(size, WIDTH).copy()


class _Block(NamedTuple):
    """A closed block, the segments that it says anything of, and the rates expected of all."""

    start: float
    told: Mask
    segment: Part
    others: Part
    rates: FloatArray

    def growths(self, borders: Borders, turned: bool = False) -> tuple[FloatArray, FloatArray]:
        """What stakes gain on each gap, or turned around, and its weight. A block counts as no more
        rows than would vary as much as days do."""
        own, rest = self._samples(self.segment, 0), self._samples(self.others, 2)
        above, weight = growths(rest, own) if turned else growths(own, rest)
        chance = _chance(own) + _chance(rest)
        worth = chance / (chance + borders.variance)
        return above * worth[:, None], weight * worth

    def _samples(self, part: Part, at: int) -> Samples:
        # A segment without a row says nothing: what is made of one row of it is not looked at.
        n = np.maximum(part.n, 1.0)
        return Samples(np.minimum(part.lost, n), n, self.rates[:, at] / self.rates[:, at + 1])

    def added(self, weight: FloatArray) -> FloatArray:
        """What the block adds to the stretches, but for where these start."""
        own, rest = self.segment, self.others
        gap = own.lost / np.maximum(own.n, 1.0) - rest.lost / np.maximum(rest.n, 1.0)
        sums = [own.n, own.lost, own.expected, rest.n, rest.lost, weight, weight * gap]
        return np.column_stack(sums)

    def learned(self) -> FloatArray:
        """The rates that the next block is expected to have."""
        own, rest = self.segment, self.others
        added = np.column_stack([own.lost, own.n, rest.lost, rest.n])
        return np.where(self.told[:, None], MEMORY * self.rates + added, self.rates)


def _effect(weight: FloatArray, borders: Borders, need: float) -> float:
    """The rise of the gap that brings so much evidence, in nats, in the middle one of all segments.

    Rows that lose more often vary more, so each of them weighs less: a few steps find how much."""
    tolerated = borders.high - (borders.usual - borders.others)
    calm = _spread(borders.usual)
    effect = tolerated
    for _ in range(STEPS):
        # A segment without a row of late shows nothing within any time.
        left = np.maximum(weight * calm / _spread(borders.usual + effect), need)
        effect = tolerated + (need / (left[:, None] * STAKES) + STAKES / 2.0).min(axis=1)
    return float(np.median(effect))


def _spread(rate: FloatArray) -> FloatArray:
    """Variance of a 0/1 row; beyond one half it does not fall, for the whole way there counts."""
    inside = np.clip(rate, EDGE, 0.5)
    return np.asarray(inside * (1.0 - inside))


def _chance(samples: Samples) -> FloatArray:
    """Variance by chance of the mean of 0/1 rows."""
    rate = np.clip(samples.rate, EDGE, 1.0 - EDGE)
    return np.asarray(rate * (1.0 - rate) / samples.n)


def _evidence(wealth: FloatArray) -> float:
    """Decimal logarithm of the mean; 0.0 where nothing is bet on."""
    found = log_mean_exp(wealth.ravel())
    return found / LN10 if found > -math.inf else 0.0


def _stored(values: FloatArray) -> bytes:
    return values.astype(WEALTH).tobytes()
