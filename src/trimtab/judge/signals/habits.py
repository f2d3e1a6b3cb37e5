"""What workers answered up to now, and the evidence that one of them answers otherwise.

Tables hold counts (inputs, bins, parts of the answers). What is guessed of a worker, and of the
others together, is what each answered of late, drawn towards what all did by some requests a bin.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import msgspec
import numpy as np

from trimtab.domain.records import Floats
from trimtab.judge.signals.workers import EVENTS
from trimtab.stats.alike import log_evidence
from trimtab.stats.logspace import LN10, log_mean_exp

REMEMBERED = 1_500.0
"""Requests of a worker that are remembered; older ones fade."""

USUAL = 30_000.0
"""The same of all workers together, as they answered before any doubt."""

DOUBT = 20.0
"""Requests of a bin that what is guessed for all is worth, beside those of a worker itself."""

DOUBTED = 0.5
"""At so much of the evidence that alarms, what is answered is not taken for usual any more."""

CLEARLY = 1.5
"""By so many times as far as another worker one must have left what was usual to be named."""

STORED = np.dtype("<f4")


class Sides(NamedTuple):
    """Answers of a worker and of the others in a block, and the chances that were guessed of each
    before it; `counted` is as how much of itself the block counts, since requests of a batch share
    their worker, and often what they ask."""

    mine: Floats
    others: Floats
    chances: Floats
    theirs: Floats
    counted: float

    @property
    def gains(self) -> Floats:
        """Evidence that they differ, in nats, by column."""
        return self.counted * log_evidence(self.mine, self.others, self.chances, self.theirs)

    def back(self, column: int) -> float:
        """Evidence that the worker is as the others, and not as it was, by one column."""
        gained = self.mine[column] * np.log(self.theirs[column] / self.chances[column])
        return self.counted * float(gained.sum())


class Habit(msgspec.Struct):
    """A worker up to now. `past` is what it answered of late; `wealth` the evidence in nats that it
    answers otherwise than the others, by column, and `began` the starts of the blocks since when it
    has any; `unseen` counts the last blocks without it.

    In alarm `since` a block, it answers otherwise where the `column` is the same, in a share of
    `apart` of `n` requests; `back` is the evidence that it no longer does.
    """

    past: bytes
    wealth: list[float]
    began: list[float]
    n: int = 0
    unseen: int = 0
    since: float | None = None
    evidence: float = 0.0
    column: int = 0
    apart: float = 0.0
    back: float = 0.0

    @classmethod
    def new(cls, like: Floats) -> Self:
        """One of whom nothing is known, with tables of this shape."""
        empty = np.zeros(like.shape, dtype=STORED).tobytes()
        return cls(empty, [0.0] * len(like), [0.0] * len(like))

    @property
    def log10_evidence(self) -> float:
        """That it answers otherwise: the mean of the evidence by each column."""
        return float(log_mean_exp(np.array(self.wealth))) / LN10

    def bet(self, start: float, sides: Sides, limit: float) -> None:
        """Take in the block that began at `start`; an alarm ends at `limit` (log10) as well: blocks
        are of few requests, and come often."""
        self.n += int(sides.mine[0].sum())
        if self.since is not None:
            self.back = max(self.back, 0.0) + sides.back(self.column)
            if self.back >= limit * LN10:
                self._rearm(sides.mine)
            return
        held = zip(self.wealth, self.began, strict=True)
        self.began = [start if wealth <= 0.0 else began for wealth, began in held]
        self.wealth = (np.maximum(self.wealth, 0.0) + sides.gains).tolist()

    def _rearm(self, like: Floats) -> None:
        """Forget all: it answers as the others again."""
        fresh = self.new(like)
        self.past, self.wealth, self.began = fresh.past, fresh.wealth, fresh.began
        self.since, self.back, self.evidence = None, 0.0, 0.0

    def accuse(self, column: int, apart: float) -> None:
        """Alarm: it answers otherwise where a column is the same."""
        self.since, self.evidence = self.began[column], self.log10_evidence
        self.column, self.apart = column, apart

    def forgive(self) -> None:
        """Forget the evidence."""
        self.wealth = [0.0] * len(self.wealth)


class Habits(msgspec.Struct):
    """All workers by name, and what they answered for long."""

    workers: dict[str, Habit] = {}
    usual: bytes = b""

    def take(self, start: float, came: Mapping[str, Floats], limit: float) -> None:
        """Take in the tables of a block that began at `start`; alarms come at `limit` (log10)."""
        like = next(iter(came.values()))
        for name in came:
            self.workers.setdefault(name, Habit.new(like))
        good = [name for name in came if self.workers[name].since is None]
        pasts = {name: _table(self.workers[name].past, like) for name in came}
        known = _sum((pasts[name] for name in good), like)
        guessed = {name: chances(past, known) for name, past in pasts.items()}
        requests = sum(float(each[0].sum()) for each in came.values())
        counted = min(EVENTS * len(came) / max(requests, 1.0), 1.0)
        for name, mine in came.items():
            others = self._farther(name, [o for o in good if o != name], guessed, known)
            if others:
                now, before = (_sum((each[o] for o in others), like) for each in (came, pasts))
                sides = Sides(mine, now, guessed[name], chances(before, known), counted)
                self.workers[name].bet(start, sides, limit)
        self._accuse({name: pasts[name] for name in good}, limit)
        self._learn({name: came[name] for name in good}, limit)

    def _farther(
        self, name: str, others: list[str], guessed: Mapping[str, Floats], known: Floats
    ) -> list[str]:
        """The half of the others that is farther from a worker up to now: what is wrong with it may
        be wrong with all of its node."""
        at = int(np.argmax(self.workers[name].wealth))
        shares, mine = _shares(known[at]), guessed[name][at]
        apart = {other: _apart(guessed[other][at], mine, shares) for other in others}
        return sorted(others, key=lambda other: -apart[other])[: (len(others) + 1) // 2]

    def _accuse(self, pasts: Mapping[str, Floats], limit: float) -> None:
        """Whoever has left what was usual farthest, once it is proven to differ. The others seemed
        to differ from it: what is held against them is forgotten. Of two that differed from the
        first neither has left it, and none is named."""
        proven = [name for name in pasts if self.workers[name].log10_evidence >= limit]
        if not proven:
            return
        loudest = max(proven, key=lambda name: self.workers[name].log10_evidence)
        at = int(np.argmax(self.workers[loudest].wealth))
        known = _sum(pasts.values(), pasts[loudest])
        usual, shares = chances(_table(self.usual, known), known)[at], _shares(known[at])
        left = {
            name: _apart(chances(past, known)[at], usual, shares) for name, past in pasts.items()
        }
        worst = max(left, key=lambda name: left[name])
        if worst in proven and left[worst] >= CLEARLY * min(left.values()):
            mine, rest = (chances(each, known)[at] for each in (pasts[worst], known - pasts[worst]))
            self.workers[worst].accuse(at, _apart(mine, rest, shares))
            for name in pasts:
                self.workers[name].forgive()

    def _learn(self, came: Mapping[str, Floats], limit: float) -> None:
        """Remember what was answered by workers that are not in alarm."""
        for name, mine in came.items():
            habit = self.workers[name]
            if habit.since is None:
                habit.past = _faded(_table(habit.past, mine) + mine, REMEMBERED)
        doubted = [self.workers[name].log10_evidence >= DOUBTED * limit for name in came]
        if came and not any(doubted):
            every = _sum(came.values(), next(iter(came.values())))
            self.usual = _faded(_table(self.usual, every) + every, USUAL)

    def forget(self, came: Mapping[str, Floats], blocks: int) -> None:
        """A worker that was not seen for so many blocks is neither good nor bad."""
        for name, habit in self.workers.items():
            habit.unseen = 0 if name in came else habit.unseen + 1
        self.workers = {name: each for name, each in self.workers.items() if each.unseen < blocks}


def chances(past: Floats, known: Floats) -> Floats:
    """The chances of each part in each bin, by what is known of one side and of all."""
    parts = known.shape[-1]
    every = (known + 1.0 / parts) / (known.sum(axis=-1, keepdims=True) + 1.0)
    return np.asarray((past + DOUBT * every) / (past.sum(axis=-1, keepdims=True) + DOUBT))


def _shares(table: Floats) -> Floats:
    """The share of the requests that is in each bin."""
    return np.asarray(table.sum(axis=-1) / max(float(table.sum()), 1.0))


def _apart(chances: Floats, others: Floats, shares: Floats) -> float:
    """How far chances are from others: the least share of requests of which the part must differ,
    where so many are in each bin."""
    return float(shares @ np.abs(chances - others).sum(axis=-1)) / 2.0


def _sum(tables: Iterable[Floats], like: Floats) -> Floats:
    return sum(tables, np.zeros(like.shape))


def _table(stored: bytes, like: Floats) -> Floats:
    if not stored:
        return np.zeros(like.shape)
    return np.frombuffer(stored, dtype=STORED).astype(np.float64).reshape(like.shape)


def _faded(table: Floats, most: float) -> bytes:
    """A table of as many requests at most, as it is stored."""
    n = float(table[0].sum())
    return (table * min(most / max(n, 1.0), 1.0)).astype(STORED).tobytes()
