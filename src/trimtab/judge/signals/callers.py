"""Callers: does one of them bring most of what is bad, while the others bring what they always did?

A caller is a unit (`parameters.unit`, hashed); requests without one belong to nobody. Units are put
into as many groups as are watched, so that memory is bounded whoever calls. Bad are requests that
fail, and rows with a value that the reference cannot have held: those of a group are compared with
its own recent past, and with the other groups at the same time. So is by how much it brings one row
again and again (`signals.repeats`), rows that hold together as those of nobody else do
(`signals.farfetched`), or rows over which the model takes too long (`signals.heavy`).

What a group brings while it is in alarm is no evidence about the model: `Monitors` leaves it out of
everything else, so that one caller alone can neither start a retraining nor end a release.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.signals.breaks import FEWEST_ROWS, JUMP, BreakWatch, Recent, settle_all
from trimtab.judge.signals.counts import (
    Blocks,
    C,
    by_block,
    column_of,
    every,
    merged,
    sample,
    with_size,
)
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.farfetched import Lifted
from trimtab.judge.signals.heavy import heavy
from trimtab.judge.signals.prominent import LOOKED_AT, Marked, Marks, Prominent, first_ids
from trimtab.judge.signals.repeats import Alike, Repeats, alike
from trimtab.judge.surge import Volume

GROUPS = 256
"""Groups of callers."""

_ALIKE = "are alike"
_ODD = "hold values that come beside each other more rarely than by chance"
_HEAVY = "take the model alone longer than is promised"
"""What is said of the rows of callers that stand out."""

USUAL = 0.05
"""A caller may always bring this share of bad rows, whatever its past."""

LARGEST = 0.5
"""A group with a larger share of the rows cannot be told from the service as a whole."""

FEW = 2
"""At most so many groups are callers that misbehave; when more do, it is not the callers."""


class Brought(msgspec.Struct, frozen=True):
    """Rows of a group of callers, the bad ones, and the first of their ids by the alphabet."""

    n: int = 0
    bad: int = 0
    sample: str = ""

    def merge(self, other: "Brought") -> "Brought":
        """The counts of both."""
        samples = [each for each in (self.sample, other.sample) if each]
        return Brought(self.n + other.n, self.bad + other.bad, min(samples, default=""))


class Crowd(msgspec.Struct, frozen=True):
    """What each group brought in a block, and of a sample of it what was alike (`repeats.alike`),
    what far-fetched (`farfetched.Lifted`), and what too long for the model (`heavy.heavy`)."""

    groups: dict[int, Brought] = {}
    places: dict[int, Alike] = {}
    fetched: dict[int, Marked] = {}
    heavy: dict[int, Marked] = {}

    def merge(self, other: "Crowd") -> "Crowd":
        """The counts of both, in the order of the groups."""
        return Crowd(
            _sorted(merged(self.groups, other.groups)),
            _sorted(merged(self.places, other.places)),
            _sorted(merged(self.fetched, other.fetched)),
            _sorted(merged(self.heavy, other.heavy)),
        )


def _sorted(counts: Mapping[int, C]) -> dict[int, C]:
    return dict(sorted(counts.items()))


class Gathered(msgspec.Struct, frozen=True):
    """What a group brought since the block that began at `since`."""

    since: float
    brought: Brought = Brought()


class State(msgspec.Struct):
    """What changes while callers are watched. `others` is the share of bad rows of the groups that
    are not in alarm, in the last block; `samples` name a bad request of those that are. `gathered`
    are rows of groups that have brought too few to be judged by; `sizes` are the rows of the last
    blocks, `accused` is the start of the last one in which a group was in alarm."""

    watches: dict[int, BreakWatch] = {}
    gathered: dict[int, Gathered] = {}
    samples: dict[int, str] = {}
    others: float = 0.0
    n: int = 0
    sizes: list[int] = []
    accused: float | None = None
    repeats: Repeats = msgspec.field(default_factory=Repeats)
    farfetched: Marks = msgspec.field(default_factory=Marks)
    heavy: Marks = msgspec.field(default_factory=Marks)
    volume: Volume = msgspec.field(default_factory=Volume)
    blocks: Blocks[Crowd] = msgspec.field(default_factory=Blocks[Crowd])


class Callers:
    """The share of bad rows of each group of callers, of those that are alike, of far-fetched ones
    and of those that take too long."""

    name: ClassVar[str] = "callers"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seconds = target.spec.monitor.block_seconds
        self._limit = target.threshold("callers", self._seconds, GROUPS + 3 * LOOKED_AT)
        columns = () if target.profile is None else target.profile.inputs
        self._known = [(column, Recent.of(column)) for column in columns]
        self._lifted = Lifted(target.profile)
        self.state: State = State()

    @classmethod
    def of(cls, target: Target) -> "Callers":
        """The callers of every release are watched."""
        return cls(target)

    def accused(self, rows: Rows) -> NDArray[np.bool_]:
        """Rows of callers that are in alarm, as a mask."""
        guilty = self._alarmed()
        units = rows.fixed.get("unit")
        if units is None or not guilty:
            return np.zeros(len(rows), dtype=np.bool_)
        return np.asarray(np.isin(groups_of(units), guilty) & (units > 0), dtype=np.bool_)

    def count(self, rows: Rows) -> Mapping[int, Crowd]:
        """Count rows of callers that have a unit."""
        units = rows.fixed.get("unit")
        if units is None or not (units > 0).any():
            return {}
        named = rows.take(np.asarray(units > 0, dtype=np.bool_))
        return {number: self._crowd(part) for number, part in by_block(named, self._seconds)}

    def _crowd(self, rows: Rows) -> Crowd:
        bad = rows.has("outcome", Outcome.FAILED)
        for column, recent in self._known:
            bad |= recent.strange(column, column_of(rows, column))
        groups = groups_of(rows.fixed["unit"])
        n, wrong = (np.bincount(each, minlength=GROUPS) for each in (groups, groups[bad]))
        samples = first_ids(rows.fixed["request_id"][bad], groups[bad])
        return Crowd(
            {
                group: Brought(int(n[group]), int(wrong[group]), samples.get(group, ""))
                for group in np.flatnonzero(n).tolist()
            },
            *self._sampled(rows),
        )

    def _sampled(self, rows: Rows) -> tuple[dict[int, Alike], dict[int, Marked], dict[int, Marked]]:
        """Where a sample of the rows lie, which are far-fetched, and which took too long; none
        before it is known how many a block holds."""
        if not self.state.sizes:
            return {}, {}, {}
        some = rows.take(sample(rows, every(self.state.sizes)))
        columns, groups = [column for column, _ in self._known], groups_of(some.fixed["unit"])
        slow = heavy(some, groups, self._target.spec.objective.latency_seconds)
        return alike(columns, some, groups), self._lifted.count(some, groups), slow

    def learn(self, labelled: Labelled) -> Mapping[int, Crowd]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Crowd]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over."""
        for number in self.state.blocks.due(clock, self._seconds):
            start, crowd = number * self._seconds, self.state.blocks.pop(number)
            self.state.repeats.take(start, crowd.places, self._limit)
            self.state.farfetched.take(start, crowd.fetched, self._limit)
            self.state.heavy.take(start, crowd.heavy, self._limit)
            self.state.volume.take(start, {name: each.n for name, each in crowd.groups.items()})
            self._judge(start, crowd.groups)
            self.state.sizes = with_size(self.state.sizes, self.state.n)
            if self._alarmed():
                self.state.accused = start

    def _judge(self, start: float, groups: Mapping[int, Brought]) -> None:
        state = self.state
        state.n = sum(each.n for each in groups.values())
        met = [
            self._gather(start, number, brought)
            for number, brought in sorted(groups.items())
            if brought.n <= LARGEST * state.n
        ]
        settle_all([watch for watch in met if watch is not None], self._limit)
        broken = self._broken()
        rest = [brought for number, brought in groups.items() if number not in broken]
        if n := sum(each.n for each in rest):
            state.others = sum(each.bad for each in rest) / n
        state.samples = {number: state.samples.get(number, "") for number in broken}

    def _gather(self, start: float, number: int, brought: Brought) -> BreakWatch | None:
        """The watch of a group that bets, once it has brought enough, in this block or since the
        last judgement. How much has come, says nothing of how good it is, so a caller of few
        requests is found as surely, only later."""
        state, few = self.state, brought.n < FEWEST_ROWS
        before = state.gathered.pop(number, Gathered(start)) if few else Gathered(start)
        brought = before.brought.merge(brought)
        if brought.n < FEWEST_ROWS:
            state.gathered[number] = Gathered(before.since, brought)
            return None
        # What a block that is enough by itself brings is not mixed with what came long before it.
        state.gathered.pop(number, None)
        watch = state.watches.setdefault(number, BreakWatch("", "strange", "", USUAL))
        if brought.sample:
            state.samples[number] = brought.sample
        return watch if watch.meet(before.since, brought.bad / brought.n, brought.n) else None

    def _broken(self) -> list[int]:
        return [number for number, watch in self.state.watches.items() if watch.broken]

    def _guilty(self) -> list[int]:
        """Groups that broke while the others did not."""
        broken = self._broken()
        return broken if len(broken) <= FEW and self.state.others <= USUAL + JUMP else []

    def _stuck(self) -> list[int]:
        """Groups that bring one row again and again, and nothing worse."""
        return _apart(self.state.repeats, self._guilty())

    def _inventing(self) -> list[int]:
        """Groups that bring far-fetched rows, and nothing else that is said of them."""
        return _apart(self.state.farfetched, [*self._guilty(), *self._stuck()])

    def _asking(self) -> list[int]:
        """Groups that ask for too much, and of which nothing else is said."""
        return _apart(self.state.heavy, [*self._guilty(), *self._stuck(), *self._inventing()])

    def _alarmed(self) -> list[int]:
        """All groups in alarm."""
        return [*self._guilty(), *self._stuck(), *self._inventing(), *self._asking()]

    def verdicts(self) -> tuple[Verdict, ...]:
        """One bad verdict for each group in alarm, or a single one that no caller stands out."""
        state = self.state
        if self._alarmed():
            return (
                *map(self._misbehaves, self._guilty()),
                *(self._stands_out(state.repeats, each, _ALIKE) for each in self._stuck()),
                *(self._stands_out(state.farfetched, each, _ODD) for each in self._inventing()),
                *(self._stands_out(state.heavy, each, _HEAVY) for each in self._asking()),
            )
        watches = self.state.watches
        if len(watches) < 2:
            reason = "no two callers that name themselves (parameters.unit) brought enough rows"
            return (describe.unknown("callers", self._target.release, self._limit, reason),)
        verdict = Verdict(
            signal="callers",
            tier=budget.tier("callers"),
            verdict="ok",
            reason=f"none of {len(watches)} groups of callers brings what the others do not",
            release=self._target.release,
            evidence_log10=max(watch.evidence for watch in watches.values()),
            threshold_log10=self._limit,
            n=self.state.n,
        )
        return (verdict,)

    def _misbehaves(self, number: int) -> Verdict:
        watch = self.state.watches[number]
        told = (
            f"{watch.share:.0%} of the rows of one caller (such as request "
            f"{self.state.samples[number]}) fail or hold what the reference never held since "
            f"{describe.day(watch.since or 0.0)}, {self.state.others:.1%} of the others'"
        )
        return self._bad(number, watch, told, self.state.others)

    def _stands_out(self, watched: Prominent, number: int, what: str) -> Verdict:
        watch = watched.watches[number]
        told = (
            f"{watch.share:.0%} of the rows of one caller {what} (such as request "
            f"{watched.samples[number]}) since {describe.day(watch.since or 0.0)}, at most "
            f"{watch.before:.0%} before or of the others'"
        )
        return self._bad(number, watch, told, watch.before)

    def _bad(self, number: int, watch: BreakWatch, told: str, reference: float) -> Verdict:
        return Verdict(
            signal=f"callers:{number}",
            tier=budget.tier("callers"),
            verdict="bad",
            reason=told,
            release=self._target.release,
            scope={"callers": f"{number} of {GROUPS}"},
            evidence_log10=watch.evidence,
            threshold_log10=self._limit,
            estimate=watch.share,
            reference=reference,
            n=watch.n,
            since=watch.since,
        )


def _apart(watched: Prominent, others: list[int]) -> list[int]:
    """Groups in alarm that are not among the others; none where too many are."""
    broken = watched.broken if len(watched.broken) <= FEW else []
    return [number for number in broken if number not in others]


def groups_of(units: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The group of each caller."""
    return (units % np.uint64(GROUPS)).astype(np.int64)
