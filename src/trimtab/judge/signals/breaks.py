"""Abrupt breaks upstream: a column that goes missing or turns impossible from one day to the next.

Drift is slow against the recent past, a broken feed is not. So each stream (a column, over all rows
and over each segment) is compared with its own last blocks: the share of missing values, and the
share of *strange* ones. A number is strange when it lies farther outside the range of the recent
past than half of its width, or when the column takes only certain values (a rounded measurement)
and it lies between two neighbours among them: a change of unit shows so at once. A text is strange
when it was never seen. A number that takes many values is *stuck* where a whole block holds a
single one, as when a cache goes on answering whose source has stopped.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import CodedTexts, Column
from trimtab.judge.bet import Bet, settle
from trimtab.judge.quality import texts
from trimtab.judge.sameness import varied
from trimtab.stats.limits import Limits, limits
from trimtab.stats.logspace import LN10, log_means_exp

Kind = Literal["missing", "strange", "stuck"]

RECENT = 7
"""Blocks of the recent past."""

AGEING = 60
"""Blocks of a break in which the past grows old by the width of its range."""

QUARANTINE = 3
"""Blocks after which a new value is known: a break is found before it is taken for normal."""

JUMP = 0.25
"""A share may rise by this much over its recent past without being called a break."""

UNSEEN = 0.1
"""The same of texts that were never seen, in a column that takes few of them. There the reference
knows all: that one comes which it did not hold is no question of more or less."""

CLOSED = 0.01
"""Chance that the next text of a column is a new one, up to which its texts are all known."""

NEIGHBOURS = 0.9
"""Share of the gaps between known values that are ordinary; the others are wider."""

SINGLE = 2.0**-23
"""What single precision may add to a number, or take from it, as a share of it."""

LEAPS = 8
"""So many rows of a block that are far from the recent past, but not from the reference, are a
leap."""

CLUSTERS = 24
"""At most this many rows of a block count as independent: feeds fail for hours, not for rows."""

FEWEST_ROWS = 16

LARGEST_KNOWN = 1024
MENDED = 2.0
"""log10 of the evidence that ends a break."""


class Cell(msgspec.Struct, frozen=True, gc=False):
    """What one stream saw in a block that is still open."""

    n: int = 0
    missing: int = 0
    strange: int = 0

    @classmethod
    def of(cls, missing: NDArray[np.bool_], strange: NDArray[np.bool_]) -> "Cell":
        """Count rows."""
        return cls(missing.size, int(np.count_nonzero(missing)), int(np.count_nonzero(strange)))

    def share(self, kind: Kind, seen: "Seen") -> float:
        """Of its rows, at least one, those that are of this kind; `seen` is the column's."""
        if kind == "stuck":
            return float(seen.single and self.n - self.missing - self.strange >= FEWEST_ROWS)
        return (self.missing if kind == "missing" else self.strange) / self.n

    def merge(self, other: "Cell") -> "Cell":
        """The counts of both."""
        missing, strange = self.missing + other.missing, self.strange + other.strange
        return Cell(self.n + other.n, missing, strange)


class Recent(msgspec.Struct):
    """What is normal for a column: the range of its last blocks and the values it is known to take.

    `known` is empty when the column takes too many values to tell a strange one; `waiting` holds
    new values per closed block until their quarantine ends. `leapt` is when the last block began,
    if it held numbers far from the recent past that the reference knows: rows of a day share its
    weather, so that one such day is one observation, and only the next one is strange.
    """

    known: list[float] = []
    names: list[str] = []
    lows: list[float] = []
    highs: list[float] = []
    waiting: list[list[float]] = []
    waiting_names: list[list[str]] = []
    stale: int = 0
    leapt: float | None = None

    @classmethod
    def of(cls, profile: ColumnProfile) -> "Recent":
        """Start with what the reference held."""
        if profile.minimum is None or profile.maximum is None:
            return cls(names=list(profile.categories))
        return cls(known=list(profile.values), lows=[profile.minimum], highs=[profile.maximum])

    def look(self, profile: ColumnProfile, values: Column) -> "tuple[Seen, NDArray[np.bool_]]":
        """What a column brought, and which of its values are strange; missing ones are not."""
        if not isinstance(values, CodedTexts) and values.dtype.kind == "f":
            ends = limits(values)
            if self._usual(profile, values, ends):
                return Seen(ends.low, ends.high), np.zeros(values.size, dtype=np.bool_)
            strange, leaps = self._strange_numbers(profile, values)
            seen = Seen.of_numbers(self, values, strange | leaps, int(np.count_nonzero(leaps)))
            return seen, strange if self.leapt is None else strange | leaps
        coded = CodedTexts.of(values)
        named = texts(np.array(coded.names, dtype=object))
        odd = self._strange_names(named)
        return Seen.of_names(named[odd], coded.counts()[odd]), np.append(odd, False)[coded.places]

    def strange(self, profile: ColumnProfile, values: Column) -> NDArray[np.bool_]:
        """Which of the values are strange."""
        return self.look(profile, values)[1]

    def _usual(self, profile: ColumnProfile, values: NDArray[np.float64], ends: Limits) -> bool:
        """Whether there are numbers, all ordinary for their size, and none is new."""
        if not (ends.finite and ends.within(*self.ordinary(profile))):
            return False
        if not self.known:
            return True
        known = np.array(self.known)
        place = np.searchsorted(known, values).clip(max=known.size - 1)
        return int(np.count_nonzero(known[place] == values)) + ends.missing == values.size

    def _strange_names(self, named: NDArray[np.object_]) -> NDArray[np.bool_]:
        known = {"", *self.names}
        return np.array([name not in known for name in named.tolist()], dtype=np.bool_)

    def _strange_numbers(
        self, profile: ColumnProfile, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which values are strange in any block, and which are in the second one in a row."""
        low, high = self.ordinary(profile)
        outside = (values < low) | (values > high)
        missed = self._missed(values) if len(self.known) > 1 else np.zeros_like(outside)
        held = np.zeros_like(outside)
        if profile.minimum is not None and profile.maximum is not None:
            held = (values >= profile.minimum) & (values <= profile.maximum)
        return (outside & ~held) | missed, outside & held & ~missed

    def _missed(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values lie between two that are known, as near to each other as neighbours
        usually are: had the column taken such values, it would have been seen. Where known values
        are rare, as far from the middle, one between them is no wonder."""
        known = np.array(self.known)
        place = np.searchsorted(known, values).clip(1, known.size - 1)
        # A known value that comes in single precision is no other one. Infinite ones lie between
        # none, and gaps may be wider than the largest number.
        slack = SINGLE * np.where(np.isfinite(values), np.abs(values), 0.0)
        among = (values > known[place - 1] + slack) & (values < known[place] - slack)
        with np.errstate(over="ignore"):
            gaps = np.diff(known)
        near = gaps <= np.quantile(gaps, NEIGHBOURS, method="higher")
        return np.asarray(among & near[place - 1])

    def ordinary(self, profile: ColumnProfile) -> tuple[float, float]:
        """Between which numbers none is strange for its size."""
        if not self.lows:
            return -math.inf, math.inf
        low, high = min(self.lows), max(self.highs)
        # The reference's own range keeps a calm week from making an ordinary day impossible; while
        # a break lasts, the past that it is compared with grows old.
        width = max(high - low, _limit(profile.maximum) - _limit(profile.minimum))
        reach = width * (0.5 + self.stale / AGEING)
        return low - reach, high + reach

    def close(self, start: float, seen: "Seen") -> None:
        """Take in what a closed block without a break held, which began at `start`."""
        self.stale, self.leapt = 0, start if seen.leaps >= LEAPS else None
        if seen.low is not None and seen.high is not None:
            self.lows = [*self.lows, seen.low][-RECENT:]
            self.highs = [*self.highs, seen.high][-RECENT:]
        self.waiting = [*self.waiting, seen.values]
        self.waiting_names = [*self.waiting_names, list(seen.names)]
        if len(self.waiting) > QUARANTINE:
            self._learn(self.waiting.pop(0), self.waiting_names.pop(0))

    def _learn(self, values: list[float], names: list[str]) -> None:
        # Those that are known stay so, whatever comes: of new ones as many as there is room for.
        new = sorted({*names}.difference(self.names))
        room = max(LARGEST_KNOWN - len(self.names), 0)
        self.names = sorted([*self.names, *new[:room]])
        if self.known:
            known = sorted({*self.known, *values})
            self.known = known if len(known) <= LARGEST_KNOWN else []

    def quarantine(self, start: float, seen: "Seen") -> None:
        """A break lasts in the block that began at `start`, which held `seen`: what the last blocks
        brought is not to be learned, and one that leapt is remembered until it is over."""
        self.forget()
        self.stale += 1
        if self.leapt is None and seen.leaps >= LEAPS:
            self.leapt = start

    def forget(self) -> None:
        """What waits to be known is not to be learned."""
        self.waiting, self.waiting_names = [], []


def _limit(value: float | None) -> float:
    return 0.0 if value is None else value


class Seen(msgspec.Struct, frozen=True, gc=False):
    """Range of the ordinary values of a column in an open block, and the values not known yet.

    `names` counts the texts that were never seen; of too many the first by the alphabet are kept,
    whose counts are then exact however the rows were split. `leaps` are the rows far from the
    recent past that the reference knows.
    """

    low: float | None = None
    high: float | None = None
    values: list[float] = []
    names: dict[str, int] = {}
    leaps: int = 0

    @classmethod
    def of_numbers(
        cls, recent: Recent, values: NDArray[np.float64], strange: NDArray[np.bool_], leaps: int
    ) -> "Seen":
        """Take in numbers, of which the strange ones, and leaps, are not ordinary; order does not
        matter."""
        known = values[np.isfinite(values)]
        ordinary = known[~strange[np.isfinite(values)]]
        new = known[~np.isin(known, recent.known)].tolist() if recent.known else []
        if not ordinary.size:
            return cls(values=_least(new), leaps=leaps)
        return cls(float(ordinary.min()), float(ordinary.max()), _least(new), leaps=leaps)

    @classmethod
    def of_names(cls, named: NDArray[np.object_], counts: NDArray[np.int64]) -> "Seen":
        """Take in texts that were never seen, by how often they came."""
        came = zip(named.tolist(), counts.tolist(), strict=True)
        return cls(names=first_names({name: n for name, n in came if n}))

    @property
    def single(self) -> bool:
        """Whether all ordinary values were one and the same number."""
        return self.low is not None and self.low == self.high

    def merge(self, other: "Seen") -> "Seen":
        """What both saw."""
        names = dict(self.names)
        for name, n in other.names.items():
            names[name] = names.get(name, 0) + n
        return Seen(
            _either(min, self.low, other.low),
            _either(max, self.high, other.high),
            _least([*self.values, *other.values]),
            first_names(names),
            self.leaps + other.leaps,
        )


def _either(
    chosen: Callable[[float, float], float], one: float | None, other: float | None
) -> float | None:
    """The one of two ends that is chosen, or the one there is."""
    if one is None or other is None:
        return other if one is None else one
    return chosen(one, other)


def _least(values: list[float]) -> list[float]:
    """The smallest distinct values: of a union these are those of the parts, in any order."""
    return sorted(set(values))[:LARGEST_KNOWN]


def first_names(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of the first texts by the alphabet, as many as are kept."""
    return dict(sorted(counts.items())[:LARGEST_KNOWN])


class BreakWatch(msgspec.Struct):
    """Evidence that a share jumped above its recent past, in one stream.

    The evidence is an e-detector whose border moves with the past: each block is bet on with the
    border known before it, so the promise of the e-detector holds.
    """

    column: str
    kind: Kind
    segment: str
    base: float
    recent: list[float] = []
    bet: Bet = msgspec.field(default_factory=lambda: Bet(0.5, "above"))
    back: Bet | None = None
    evidence: float = 0.0
    since: float | None = None
    started: float | None = None
    before: float = 0.0
    share: float = 0.0
    n: int = 0

    def meet(self, start: float, share: float, n: int, jump: float = JUMP) -> bool:
        """Meet the share of a closed block of `n` rows that began at `start`, which may rise by
        `jump` over its recent past; say whether it is bet on, which `settle_all` does."""
        self.share, self.n = share, n
        if self.back is not None:
            self._mend(self.back)
            return False
        if (self.segment or self.kind == "stuck") and len(self.recent) < QUARANTINE:
            # The reference knows neither segments nor blocks: these are judged by their own past.
            self.recent = [*self.recent, share]
            return False
        # The newest block is left out: it may hold the first hours of a break.
        self.before = max([self.base, *self.recent[:-1]])
        # What is nearly always missing cannot jump: nothing is bet on it.
        self.bet.m = border = min(self.before + jump, 1.0)
        self.started = (self.started or start) if share > border else None
        return True

    def hold(self, log10_evidence: float, log10_threshold: float) -> None:
        """Hold the evidence after a block that was bet on, and tell a break when it is enough."""
        self.evidence = log10_evidence
        if log10_evidence >= log10_threshold and self.share > self.bet.m:
            # Half-way back is enough: what a feed brings after a break need not be quite as before.
            self.since, self.back = self.started, Bet((self.bet.m + self.share) / 2.0, "below")
        elif not self.suspected:
            # Were the past to take in what is above it, a break had to be proven in two blocks.
            self.recent = [*self.recent, self.share][-RECENT:]

    def take(
        self, start: float, share: float, n: int, log10_threshold: float, jump: float = JUMP
    ) -> None:
        """Take in a block that `meet` has, by itself."""
        settle_all([self] if self.meet(start, share, n, jump) else [], log10_threshold)

    def _mend(self, back: Bet) -> None:
        back.take(self.share, min(self.n, CLUSTERS))
        if back.log10_evidence >= MENDED:
            self.back, self.since, self.started = None, None, None
            self.bet.wealth = ()
            self.evidence = 0.0

    @property
    def key(self) -> str:
        """Where a block counts the rows of this stream."""
        return f"{self.column}\n{self.segment}"

    @property
    def name(self) -> str:
        """What tells this stream from all others."""
        return f"{self.key}\n{self.kind}"

    @property
    def suspected(self) -> bool:
        """Whether the last block was above the border, though not yet proven to be a break."""
        return self.started is not None

    @property
    def quiet(self) -> bool:
        """Whether nothing is held that a stream which begins anew would not have."""
        usual = max([*self.recent, self.share]) <= self.base
        return usual and not self.broken and max(self.bet.wealth, default=0.0) <= 0.0

    @property
    def broken(self) -> bool:
        """Whether the stream is broken and has not recovered."""
        return self.back is not None


def settle_all(watches: Sequence[BreakWatch], log10_threshold: float) -> None:
    """Settle what watches bet on the block that they have met, all at once."""
    if not watches:
        return
    shares = [watch.share for watch in watches]
    trials = np.minimum([watch.n for watch in watches], CLUSTERS)
    wealth = settle([watch.bet for watch in watches], shares, trials)
    evidences = (log_means_exp(wealth) / LN10).tolist()
    for watch, log10_evidence in zip(watches, evidences, strict=True):
        watch.hold(log10_evidence, log10_threshold)


def bases(profile: ColumnProfile) -> dict[Kind, float]:
    """The shares of a column that are usual, by the kinds of break that can be told of it."""
    spread = profile.missing_spread or 0.0
    unlisted = profile.masses[-1] if profile.kind == "categorical" else 0.0
    found: dict[Kind, float] = {"missing": profile.missing + spread, "strange": unlisted}
    if profile.minimum is not None and profile.minimum == profile.maximum:
        # Beside a single number every other one is strange: a new year, a new version.
        del found["strange"]
    return found


def novelty(profile: ColumnProfile) -> float:
    """How likely the next text of a column is one that the reference does not list.

    Good & Turing: what was never seen comes as often as what was seen once (Good, Biometrika 1953).
    One more is added, so that few rows do not know all.
    """
    known = round(profile.n * (1.0 - profile.missing))
    once = sum(0.5 < mass * known < 1.5 for mass in profile.masses[:-1])
    return profile.masses[-1] + (once + 1) / max(known, 1)


def jumps(profile: ColumnProfile) -> dict[Kind, float]:
    """By how much the share of each kind of break may rise over its recent past."""
    closed = profile.kind == "categorical" and novelty(profile) <= CLOSED
    return {"missing": JUMP, "strange": UNSEEN if closed else JUMP, "stuck": JUMP}


def watches(profile: ColumnProfile, segments: list[str]) -> list[BreakWatch]:
    """The streams of a column: all rows, and each segment, for each kind of break."""
    made = [
        BreakWatch(profile.name, kind, segment, base)
        for segment in ["", *segments]
        for kind, base in bases(profile).items()
    ]
    return [*made, BreakWatch(profile.name, "stuck", "", 0.0)] if varied(profile) else made
