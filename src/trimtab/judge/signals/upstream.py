"""Broken feeds: columns that jumped against their own recent past, everywhere or in a segment."""

import math
from collections.abc import Mapping
from typing import ClassVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import CodedTexts, Floats, Ints, Labelled, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.declared import declared
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.sameness import varied
from trimtab.judge.signals.breaks import (
    FEWEST_ROWS,
    BreakWatch,
    Cell,
    Recent,
    Seen,
    jumps,
    settle_all,
    watches,
)
from trimtab.judge.signals.counts import Blocks, by_block, column_of, merged, missing_values
from trimtab.judge.signals.family import Breaks, Span, Target, prolonged
from trimtab.judge.signals.parts import Brought, Odd, Parts, Unnamed, odd_parts
from trimtab.judge.signals.still import Placed, Spots, Still

NAMED = 3
"""New categories that a verdict names, each shortened."""
LONGEST_NAME = 40

WORDS = {
    "missing": "missing",
    "strange": "impossible or never seen",
    "stuck": "one and the same number",
}
"""What is said of the rows of a broken column, by the kind of break."""


class Feeds(msgspec.Struct, frozen=True):
    """What each column brought, and how much of it was missing or strange in each stream; in parts
    that nobody named, only where anything was, and which numbers stood still."""

    seen: dict[str, Seen] = {}
    cells: dict[str, Cell] = {}
    parts: Brought = Brought()

    def merge(self, other: "Feeds") -> "Feeds":
        """The counts of both."""
        seen, cells = merged(self.seen, other.seen), merged(self.cells, other.cells)
        return Feeds(seen, cells, self.parts.merge(other.parts))


class State(msgspec.Struct):
    """What changes while feeds are watched."""

    watches: list[BreakWatch]
    recent: dict[str, Recent]
    unseen: dict[str, list[str]] = {}
    """The commonest texts that a column never held, in the last block that brought any."""
    spans: list[Span] = []
    parts: Parts = msgspec.field(default_factory=Parts)
    blocks: Blocks[Feeds] = msgspec.field(default_factory=Blocks[Feeds])


class Upstream:
    """Two streams (missing, strange) for each column, over all rows and for each segment, and one
    (stuck) over all rows for numbers that take many values. One more is that of all columns in all
    parts of the rows that nobody named: the mean of the evidence of each of them.

    What is strange is read from the recent past: blocks that are counted in parallel must all be
    counted after the last block before them has closed.
    """

    name: ClassVar[str] = "upstream"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target = target
        self._columns = {column.name: column for column in profile.inputs}
        segments = _segments(target.spec.monitor.segments, profile)
        every = [watch for column in profile.inputs for watch in watches(column, segments)]
        self._groups = sorted(segments)
        self._jumps = {column.name: jumps(column) for column in profile.inputs}
        self._limit = limit(target, profile)
        self.unnamed = Unnamed.of(profile, {name.partition("=")[0] for name in segments})
        self._cost = math.log10(self.unnamed.streams)
        numbers = any(varied(column) for column in profile.inputs)
        self._unbuilt = bool(numbers and self.unnamed.columns and not profile.sameness.numbers)
        self.state: State = State(every, {name: Recent.of(c) for name, c in self._columns.items()})

    @classmethod
    def of(cls, target: Target) -> "Upstream | None":
        """Feeds are watched where a profile says what they bring."""
        return None if target.profile is None else cls(target, target.profile)

    def count(self, rows: Rows) -> Mapping[int, Feeds]:
        """Count missing and strange values."""
        parts = by_block(rows, self._target.block_seconds)
        return {number: self._feeds(part) for number, part in parts}

    def _feeds(self, rows: Rows) -> Feeds:
        groups = [(segment, self._inside(rows, segment)) for segment in self._groups]
        places = [
            coarse_bins(column, column_of(rows, self._columns[column.name]))
            for column in self.unnamed.columns
        ]
        seen, cells = {}, {}
        odd: dict[str, Odd] = {}
        for name, column in self._columns.items():
            values = column_of(rows, column)
            missing = missing_values(values)
            seen[name], strange = self.state.recent[name].look(column, values)
            cells[f"{name}\n"] = Cell.of(missing, strange)
            for segment, mask in groups:
                cells[f"{name}\n{segment}"] = Cell.of(missing[mask], strange[mask])
            if missing.any() or strange.any():
                gone, wrong = (
                    self.unnamed.count([each[mask] for each in places])
                    for mask in (missing, strange)
                )
                odd |= odd_parts(name, self.unnamed.names, gone, wrong)
        sizes = dict(zip(self.unnamed.names, self.unnamed.count(places), strict=True))
        return Feeds(seen, cells, Brought(sizes, odd, self._still(rows, places)))

    def _still(self, rows: Rows, places: list[Ints]) -> Still:
        moving = self.unnamed.moving
        if not moving.numbers:
            return Still()
        values = [cast(Floats, column_of(rows, self._columns[name])) for name in moving.numbers]
        columns = self.unnamed.columns
        placed = [Placed.of(*each) for each in zip(columns, places, strict=True)]
        return moving.count(Spots.of(columns, placed), values)

    def _inside(self, rows: Rows, segment: str) -> NDArray[np.bool_]:
        name, _, value = segment.partition("=")
        return CodedTexts.of(column_of(rows, self._columns[name])).equal(value)

    def learn(self, labelled: Labelled) -> Mapping[int, Feeds]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Feeds]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over, and tell which columns were broken in it."""
        seconds = self._target.block_seconds
        for number in self.state.blocks.due(clock, seconds):
            start, feeds = number * seconds, self.state.blocks.pop(number)
            broken = self._judge(start, feeds)
            breaks.tell(start, broken)
            for name, seen in feeds.seen.items():
                self._remember(start, name, seen, bool(broken))
            self._distrust()
        breaks.spans = [*breaks.spans, *self.state.spans]

    def _remember(self, start: float, name: str, seen: Seen, broken: bool) -> None:
        names = seen.names
        if names:
            common = sorted(names, key=lambda text: (-names[text], text))[:NAMED]
            self.state.unseen[name] = [text[:LONGEST_NAME] for text in common]
        # A feed breaks as a whole: what its other columns bring meanwhile is not learned.
        if broken:
            self.state.recent[name].quarantine(start, seen)
        else:
            self.state.recent[name].close(start, seen)

    def _distrust(self) -> None:
        """What a column brings while it is suspected is not learned: evidence may need more blocks
        than the quarantine has, and would never come about something known."""
        for watch in self._streams:
            if watch.suspected and not watch.broken:
                self.state.recent[watch.column].forget()

    def _judge(self, start: float, feeds: Feeds) -> frozenset[str]:
        state = self.state
        staked = []
        for watch in state.watches:
            cell = feeds.cells[watch.key]
            if cell.n >= FEWEST_ROWS:
                share = cell.share(watch.kind, feeds.seen[watch.column])
                jump = self._jumps[watch.column][watch.kind]
                if watch.meet(self._since(watch, start), share, cell.n, jump):
                    staked.append(watch)
        settle_all(staked, self._limit)
        state.parts.take(start, self.unnamed, feeds.parts, self._limit + self._cost)
        broken = [watch for watch in self._streams if watch.broken]
        since = min((watch.since or start for watch in broken), default=None)
        state.spans = prolonged(state.spans, start, since)
        return frozenset(watch.column for watch in broken)

    def _since(self, watch: BreakWatch, start: float) -> float:
        """When what is strange in a block began: with the block before, where that was a leap."""
        leapt = self.state.recent[watch.column].leapt
        return start if leapt is None or watch.kind != "strange" else leapt

    @property
    def _streams(self) -> list[BreakWatch]:
        """All that are kept."""
        return [*self.state.watches, *self.state.parts.watches.values()]

    def verdicts(self) -> tuple[Verdict, ...]:
        """One bad verdict for each broken column, or a single one that nothing is broken; and what
        of the release is not watched."""
        columns = dict.fromkeys(watch.column for watch in self._streams if watch.broken)
        told = tuple(self._broken(column) for column in columns) or (self._sound,)
        return (*told, *([self._unwatched] if self._unbuilt else []))

    @property
    def _sound(self) -> Verdict:
        n = max((watch.n for watch in self._streams), default=0)
        own = [watch.evidence for watch in self.state.watches]
        # That of a part is one of many whose mean it is.
        parts = [watch.evidence - self._cost for watch in self.state.parts.watches.values()]
        return Verdict(
            signal="upstream",
            tier=budget.tier("upstream"),
            verdict="ok" if n else "unknown",
            reason="no column jumped against its recent past" if n else "no block has closed yet",
            release=self._target.release,
            evidence_log10=max([*own, *parts], default=0.0),
            threshold_log10=self._limit,
            n=n,
        )

    @property
    def _unwatched(self) -> Verdict:
        reason = "the release does not know which numbers stand still by nature: build it anew"
        bare = describe.unknown("upstream:still", self._target.release, self._limit, reason)
        return msgspec.structs.replace(bare, scope={})

    def _broken(self, column: str) -> Verdict:
        mine = [watch for watch in self.state.watches if watch.column == column]
        parts = [watch for watch in self.state.parts.broken if watch.column == column]
        broken = [watch for watch in mine if watch.broken] or parts
        worst = max(broken, key=lambda watch: (watch.evidence, watch.share, watch.n))
        scope, where = _scope(column, mine) if broken is not parts else _part(worst, parts)
        what = WORDS[worst.kind]
        if worst.kind == "strange" and column in self.state.unseen:
            what += f" ({', '.join(self.state.unseen[column])})"
        since = min(watch.since or 0.0 for watch in broken)
        return Verdict(
            signal=f"upstream:{column}",
            tier=budget.tier("upstream"),
            verdict="bad",
            reason=(
                f"{column} is {worst.share:.0%} {what}{where} since {describe.day(since)}, "
                f"at most {worst.before:.0%} before"
            ),
            release=self._target.release,
            scope=scope,
            evidence_log10=worst.evidence - (self._cost if broken is parts else 0.0),
            threshold_log10=self._limit,
            estimate=worst.share,
            reference=worst.before,
            n=worst.n,
            since=since,
        )


def _part(worst: BreakWatch, parts: list[BreakWatch]) -> tuple[dict[str, str], str]:
    """Where a column is broken in parts alone: in categories of the column that tells them best."""
    name = worst.segment.partition("=")[0]
    told = {each.segment.partition("=") for each in parts}
    values = ",".join(sorted(value for column, _, value in told if column == name))
    return {"column": worst.column, name: values}, f" where {name} is {values}"


def _scope(column: str, mine: list[BreakWatch]) -> tuple[dict[str, str], str]:
    """Where the column is broken: in some segments, while others are intact, or everywhere."""
    segments = {watch.segment for watch in mine if watch.broken} - {""}
    intact = {watch.segment for watch in mine if not watch.broken} - segments - {""}
    if not segments or not intact:
        return {"column": column}, ""
    name, _, values = ",".join(sorted(segments)).partition("=")
    values = values.replace(f"{name}=", "")
    return {"column": column, name: values}, f" where {name} is {values}"


def limit(target: Target, profile: ReferenceProfile) -> float:
    """log10 of the evidence at which a stream is broken: those of columns, over all rows and in
    segments, the one of all parts, and those of relations (`signals.contradictions`) and of numbers
    that crowd (`signals.crowded`)."""
    segments = _segments(target.spec.monitor.segments, profile)
    streams = sum(len(watches(column, segments)) for column in profile.inputs)
    related = len(profile.multivariate.scores) if profile.multivariate else 0
    crowded = sum(map(varied, profile.inputs))
    return target.threshold("upstream", target.block_seconds, streams + 1 + related + crowded)


def _segments(asked: tuple[str, ...], profile: ReferenceProfile) -> list[str]:
    columns = declared({*asked, *profile.segments}, profile.inputs)
    return [f"{column.name}={value}" for column in columns for value in column.categories]
