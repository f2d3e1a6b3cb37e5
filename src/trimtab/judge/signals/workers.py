"""Each worker against the other workers of the release, on the same traffic at the same time.

Requests are dealt to workers without regard to what is in them, so this is a controlled
comparison: of requests with a certain end (failed, slow, an answer of a certain size) a worker
that is like the others has its share of the requests. With `n` of the worker's and `m` of the
others' requests in a block, and an end that is `ratio` times as likely at the worker, it has
`n ratio / (n ratio + m)` of those with that end, however likely the end is at that time: bursts and
cycles cancel (Lindon & Malek, *Anytime-Valid Inference for Multinomial Count Data*, 2022). Of a
finite block the count is hypergeometric, whose evidence is at most that of the binomial bet on.

Workers share nodes, and may fail together. So failures and slow answers of a worker are compared
with those of the half of the others that had fewer of them up to now: which half that is, is known
before the block, and under the hypothesis no half is better than another by more than is tolerated.

Where a deployment has workers for the batch lane alone, its work is not dealt to all: then it is
left out, and with it those workers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.profile import score_column
from trimtab.judge.signals.counts import Bins, Blocks, by_block, merged, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Watch, Zone

LONGEST_BLOCK = 60.0
"""Seconds of a block on the host's clock; on a clock of events blocks are those of the plan."""

FEWEST = 20
"""Requests that are compared at once; where fewer come, they are gathered for up to a block of the
plan, since a single request has no other to be compared with."""

RATIO = 2.0
"""A worker may fail or be slow so many times as often as the others."""

ANSWERS_RATIO = 1.5
"""A part of the answers may be so many times as likely at one worker as at the others."""

PARTS = 4
"""Parts of equal mass of the reference in which answers are compared; a last one is no numbers."""

MOST = 64
"""Workers that are compared."""

EVENTS = 12
"""At most this many requests with an end count as independent in a block: those of a batch share
their worker and often their fate."""

RECENT = 12
"""Blocks that are told of, and after which a worker that brings nothing is forgotten."""

FAILED, SLOW, ANSWERS = 0, 1, 2
"""Ends; those from `ANSWERS` on are the parts of the answers."""


_TOLD = {FAILED: "fails in", SLOW: "is too slow in"}


class Dealt(msgspec.Struct, frozen=True):
    """Requests dealt to a worker, those it answered, and those with each end: failed, slow, and
    answers by their part."""

    n: int = 0
    answered: int = 0
    ends: list[int] = []

    def merge(self, other: "Dealt") -> "Dealt":
        """The counts of both."""
        ends = sums(self.ends, other.ends)
        return Dealt(self.n + other.n, self.answered + other.answered, ends)

    def of(self, end: int) -> tuple[int, int]:
        """Requests with this end, and those that could have had it."""
        return self.ends[end], self.n if end == FAILED else self.answered


class Deal(msgspec.Struct, frozen=True):
    """What each worker was dealt in a block."""

    workers: dict[str, Dealt] = {}

    @classmethod
    def of(cls, workers: Mapping[str, Dealt]) -> "Deal":
        """The first by the alphabet, whose counts are exact however the rows were split."""
        return cls(dict(sorted(workers.items())[:MOST]))

    def merge(self, other: "Deal") -> "Deal":
        """The counts of both."""
        return Deal.of(merged(self.workers, other.workers))


class Pair(msgspec.Struct, frozen=True):
    """One end in one block: at the worker and at the others, hits among trials."""

    start: float
    hits: int
    n: int
    others: int
    of: int

    @property
    def events(self) -> int:
        """Requests with this end, wherever."""
        return self.hits + self.others

    def border(self, ratio: float) -> float:
        """The worker's share of them when the end is `ratio` times as likely there."""
        return ratio * self.n / (ratio * self.n + self.of)


class Versus(msgspec.Struct):
    """One worker against the others, for one end. `back` is the rate that proves recovery."""

    worker: str
    end: int
    watch: Watch
    recent: list[Pair] = []
    back: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether it is in alarm."""
        return self.watch.since is not None

    @property
    def rates(self) -> tuple[float, float]:
        """How likely the end is at the worker and at the others, since the alarm's first block."""
        since = self.watch.since
        told = [pair for pair in self.recent if since is None or pair.start >= since]
        hits, n = sum(each.hits for each in told), sum(each.n for each in told)
        others, of = sum(each.others for each in told), sum(each.of for each in told)
        return hits / max(n, 1), others / max(of, 1)

    def take(self, pair: Pair) -> None:
        """Take in a block. In alarm the worker is compared with what it was, not with others."""
        if self.bad:
            self.watch.take(pair.start, [float(pair.hits)], pair.n, (Zone(None, self.back),))
            return
        self.recent = [*self.recent, pair][-RECENT:]
        border = pair.border(RATIO if self.end < ANSWERS else ANSWERS_RATIO)
        counted = min(pair.events, EVENTS, _most(self.watch.log10_threshold, border))
        mine = pair.hits / pair.events * counted
        self.watch.take(pair.start, [mine], counted, (Zone(None, border),))
        self.back = sum(self.rates) / 2.0


class State(msgspec.Struct):
    """What changes while workers are compared; `unseen` counts the last blocks without a worker.
    `gathered` are requests of closed blocks, from `since` on, that are too few to compare."""

    pairs: dict[str, Versus] = {}
    unseen: dict[str, int] = {}
    gathered: Deal = Deal()
    since: float = 0.0
    blocks: Blocks[Deal] = msgspec.field(default_factory=Blocks[Deal])


class Workers:
    """Failures, slow answers and what is answered, of each worker against the others."""

    name: ClassVar[str] = "workers"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seconds, self._limit = block_length(target), limit(target)
        self._score = None if target.profile is None else target.profile.score
        self._ends = _ends(target)
        self.state: State = State()

    @classmethod
    def of(cls, target: Target) -> "Workers | None":
        """Workers are watched where a release may have more than one."""
        return cls(target) if target.spec.scale.max > 1 else None

    def count(self, rows: Rows) -> Mapping[int, Deal]:
        """Count requests by the first of their rows."""
        parts = by_block(first_rows(rows, self._target), self._seconds)
        return {number: self._deal(part) for number, part in parts}

    def _deal(self, rows: Rows) -> Deal:
        workers = rows.texts("worker")
        dealt = zip(workers.names, workers.counts().tolist(), strict=True)
        return Deal.of(
            {name: self._dealt(rows.take(workers.equal(name))) for name, n in dealt if n}
        )

    def _dealt(self, rows: Rows) -> Dealt:
        ok = rows.has("outcome", Outcome.OK)
        slow = rows.fixed["total_seconds"] > self._target.spec.objective.latency_seconds
        answered, late = int(ok.sum()), int((slow & ok & rows.prompt).sum())
        ends = [len(rows) - answered, late, *self._answers(rows.take(ok))]
        return Dealt(len(rows), answered, ends)

    def _answers(self, rows: Rows) -> list[int]:
        """Answers by their part of the reference; the last are missing or no number."""
        if self._score is None:
            return []
        values = score_column(self._target.signature, rows.outputs)
        if values is None:
            return [0] * (PARTS + 1)
        bins = Bins.of(self._score, values)
        return [*in_parts(self._score, bins.counts), bins.missing]

    def learn(self, labelled: Labelled) -> Mapping[int, Deal]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Deal]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over; a broken feed breaks for every worker alike."""
        for number in self.state.blocks.due(clock, self._seconds):
            self._gather(number * self._seconds, self.state.blocks.pop(number))

    def _gather(self, start: float, deal: Deal) -> None:
        """Compare once enough has come. How much has, says nothing of how it ended."""
        state = self.state
        if not state.gathered.workers:
            state.since = start
        state.gathered = state.gathered.merge(deal)
        requests = sum(each.n for each in state.gathered.workers.values())
        latest = state.since + self._target.spec.monitor.block_seconds
        if requests < FEWEST and start + self._seconds < latest:
            return
        workers, state.gathered = state.gathered.workers, Deal()
        for end in range(self._ends):
            self._compare(state.since, end, workers)
        self._forget(workers)

    def _compare(self, start: float, end: int, deal: Mapping[str, Dealt]) -> None:
        """Each worker against those that are not themselves in alarm."""
        good = [name for name in deal if not self._bad(name, end)]
        past = {name: self._past(name, end) for name in good}
        for name in deal:
            others = [deal[each].of(end) for each in _sounder(past, name, end)]
            hits, n = sum(each for each, _ in others), sum(each for _, each in others)
            pair = Pair(start, *deal[name].of(end), hits, n)
            if pair.n and (self._bad(name, end) or _comparable(pair, end, len(others))):
                self._versus(name, end).take(pair)

    def _past(self, worker: str, end: int) -> float:
        """How likely the end was at a worker in the last blocks, but for this one."""
        known = self.state.pairs.get(f"{worker}\n{end}")
        return 0.0 if known is None else known.rates[0]

    def _versus(self, worker: str, end: int) -> Versus:
        key = f"{worker}\n{end}"
        if key not in self.state.pairs:
            watch = Watch((Zone(None, 0.5),), None, self._limit)
            self.state.pairs[key] = Versus(worker, end, watch)
        return self.state.pairs[key]

    def _bad(self, worker: str, end: int) -> bool:
        known = self.state.pairs.get(f"{worker}\n{end}")
        return known is not None and known.bad

    def _forget(self, deal: Mapping[str, Dealt]) -> None:
        """A worker that is gone is neither good nor bad."""
        unseen = {name: n + 1 for name, n in self.state.unseen.items()} | dict.fromkeys(deal, 0)
        self.state.unseen = {name: n for name, n in sorted(unseen.items()) if n < RECENT}
        self.state.pairs = {
            key: each for key, each in self.state.pairs.items() if each.worker in self.state.unseen
        }

    def verdicts(self) -> tuple[Verdict, ...]:
        """One bad verdict for each worker that differs, or a single one that none does."""
        pairs = list(self.state.pairs.values())
        names = sorted({each.worker for each in pairs if each.bad})
        if names:
            return tuple(self._differs(name) for name in names)
        if len(self.state.unseen) < 2:
            reason = "there are not two workers to compare"
            return (describe.unknown("workers", self._target.release, self._limit, reason),)
        verdict = Verdict(
            signal="workers",
            tier=budget.tier("workers"),
            verdict="ok",
            reason=f"{len(self.state.unseen)} workers do alike on the same traffic",
            release=self._target.release,
            evidence_log10=max((each.watch.log10_evidence for each in pairs), default=0.0),
            threshold_log10=self._limit,
            n=max((each.watch.n for each in pairs), default=0),
        )
        return (verdict,)

    def _differs(self, worker: str) -> Verdict:
        mine = [each for each in self.state.pairs.values() if each.worker == worker and each.bad]
        worst = max(mine, key=lambda each: (each.end < ANSWERS, each.watch.log10_evidence))
        rate, others = worst.rates
        since = min(each.watch.since or 0.0 for each in mine)
        return Verdict(
            signal=f"workers:{worker}",
            tier=budget.tier("workers"),
            verdict="bad",
            reason=f"{worker} {_TOLD.get(worst.end, 'answers otherwise in')} {rate:.1%} of its "
            f"requests since {describe.day(since)}, the others in {others:.1%} at the same time",
            release=self._target.release,
            scope={"worker": worker, "differs": "answers" if worst.end >= ANSWERS else "service"},
            evidence_log10=worst.watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=rate,
            reference=others,
            n=worst.watch.n,
            since=since,
        )


def block_length(target: Target) -> float:
    """Seconds of a block in which workers are compared."""
    seconds = target.spec.monitor.block_seconds
    return min(seconds, LONGEST_BLOCK) if target.spec.clock == "wall" else seconds


def limit(target: Target) -> float:
    """log10 of the evidence at which a worker differs: by how requests end, or by what it answers
    to requests that are alike (`signals.answers`)."""
    streams = target.spec.scale.max * (_ends(target) + 1)
    return target.threshold("workers", block_length(target), streams)


def _ends(target: Target) -> int:
    """How many ends of requests are compared."""
    known = target.profile is not None and target.profile.score is not None
    return ANSWERS + (PARTS + 1 if known else 0)


def first_rows(rows: Rows, target: Target) -> Rows:
    """The first row of each request that a worker had, and that was dealt to all of them."""
    if "worker" not in rows.fixed:
        return rows.take(np.zeros(len(rows), dtype=np.bool_))
    had = np.asarray(rows.texts("worker").places >= 0, dtype=np.bool_)
    if target.spec.scale.batch:
        had &= rows.prompt
    return rows.take(np.asarray(had & (rows.fixed["row"] == 0), dtype=np.bool_))


def in_parts(profile: ColumnProfile, counts: Sequence[int]) -> list[int]:
    """Counts of a profile's bins as those of parts of about equal mass."""
    parts, before = [0] * PARTS, 0.0
    for mass, count in zip(profile.masses, counts, strict=True):
        middle = before + mass / 2.0
        parts[min(int(middle * PARTS), PARTS - 1)] += count
        before += mass
    return parts


def _sounder(past: Mapping[str, float], worker: str, end: int) -> list[str]:
    """The workers that one is compared with, by how likely the end was at each up to now.

    Of failures and slow answers it is the half at which there were fewer, and those like them: what
    is wrong with a worker may be wrong with all of its node. Of answers no part is worse than
    another: it is all of them.
    """
    others = {name: rate for name, rate in past.items() if name != worker}
    if end >= ANSWERS or not others:
        return list(others)
    middle = sorted(others.values())[(len(others) - 1) // 2]
    return [name for name, rate in others.items() if rate <= middle]


def _most(log10_threshold: float, border: float) -> int:
    """How many events of a block count at most, so that no block alone brings more than half of
    what alarms: what happens to a worker within minutes may be a single event."""
    return max(int(log10_threshold / 2.0 / -math.log10(border)), 1)


def _comparable(pair: Pair, end: int, others: int) -> bool:
    """Whether there is something to compare. Of two workers that answer differently, either may be
    the one that is wrong."""
    return pair.of > 0 and pair.events > 0 and others >= (2 if end >= ANSWERS else 1)
