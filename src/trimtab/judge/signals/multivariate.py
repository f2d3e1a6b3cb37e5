"""Inputs beside each other: whether columns still go together as on the reference.

Each column that goes together with others has one stream: the distribution of its score, which says
how usual its value is beside those of its partners (`judge.relations`).
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from trimtab.domain.plurals import many
from trimtab.domain.profile import MultivariateProfile, ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.judge import describe
from trimtab.judge.describe import Subject
from trimtab.judge.relations import FEWEST_REFERENCE, lifts, partners, scores, tables
from trimtab.judge.said import Unsaid, Verdicts
from trimtab.judge.signals import columns, contradictions, upstream
from trimtab.judge.signals.contradictions import Contradictions, Torn
from trimtab.judge.signals.counts import (
    SAMPLED,
    Bins,
    Blocks,
    by_block,
    column_of,
    every,
    merged,
    sample,
    sums,
    usual,
    with_size,
)
from trimtab.judge.signals.family import Breaks, Span, Target, prolonged
from trimtab.judge.watch import Block, Watch, take_all

MOST_SCORED = 64 * SAMPLED
"""Scored rows of a block beyond which no more are scored, and it is not judged: its size was not
foreseen, as that of the first one is not."""


class Related(msgspec.Struct, frozen=True):
    """Counts of the rows that were scored: scores by column, and the sum of lifts by pair.

    `rows` counts all rows, scored or not; `passed` those of which none was to be scored any more.
    """

    rows: int = 0
    columns: dict[str, Bins] = {}
    lifts: list[int] = []
    passed: int = 0

    @property
    def scored(self) -> int:
        """How many rows were scored."""
        return max((bins.n for bins in self.columns.values()), default=0)

    def merge(self, other: "Related") -> "Related":
        """The counts of both."""
        return Related(
            self.rows + other.rows,
            merged(self.columns, other.columns),
            sums(self.lifts, other.lifts),
            self.passed + other.passed,
        )


class State(msgspec.Struct):
    """What changes while relations are watched. `sizes` are rows of the last blocks; `moved` is,
    for each pair, mean lift minus that of the reference in the last block, in thousandths; `lately`
    are the rows and lifts of the last blocks (`contradictions.recent`), `spans` when columns
    contradicted each other; `full` are open blocks of which enough was scored."""

    watches: dict[str, Watch]
    sizes: list[int] = []
    moved: list[float] = []
    lately: list[list[int]] = []
    spans: list[Span] = []
    full: list[int] = []
    blocks: Blocks[Related] = msgspec.field(default_factory=Blocks[Related])


class Multivariate:
    """One stream for each column that goes together with others."""

    name: ClassVar[str] = "multivariate"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target, self._reference = target, profile
        self._described = describe.Described(target.release)
        self._profile = profile.multivariate or MultivariateProfile()
        self._partners, self._tables = partners(self._profile), tables(self._profile)
        inputs = {column.name: column for column in profile.inputs}
        self._inputs = [inputs[column.name] for column in self._profile.columns]
        self._scores = {column.name: column for column in self._profile.scores}
        streams = max(len(self._scores), 1)
        self._limit = target.threshold("multivariate", target.block_seconds, streams)
        self._contradictions = Contradictions(
            target.release, self._profile, upstream.limit(target, profile)
        )
        self.state: State = State({name: self._watch(name) for name in self._scores})

    @classmethod
    def of(cls, target: Target) -> "Multivariate | None":
        """Where columns go together, and where it is not known whether they do."""
        profile = target.profile
        if profile is None or sum(not columns.unfit(each) for each in profile.inputs) < 2:
            return None
        learned = profile.multivariate if profile.rows >= FEWEST_REFERENCE else None
        return None if learned is not None and not learned.pairs else cls(target, profile)

    @property
    def streams(self) -> int:
        """How many columns are watched."""
        return len(self._scores)

    def count(self, rows: Rows) -> Mapping[int, Related]:
        """Score a sample of the rows, taken by when they were received."""
        if not self.streams:
            return {}
        parts = by_block(rows, self._target.block_seconds)
        return {number: self._related(number, part) for number, part in parts}

    def _related(self, number: int, rows: Rows) -> Related:
        if number in self.state.full:
            return Related(len(rows), passed=len(rows))
        return self.scored(rows.take(sample(rows, every(self.state.sizes))), len(rows))

    def scored(self, rows: Rows, of: int) -> Related:
        """Counts of `rows` of one block, which stand for `of` rows."""
        values = {column.name: column_of(rows, column) for column in self._inputs}
        found = lifts(self._profile, self._tables, values)
        bins = {
            name: Bins.of(self._scores[name], each)
            for name, each in scores(self._partners, found).items()
        }
        return Related(of, bins, [int(lift.sum()) for lift in found])

    def learn(self, labelled: Labelled) -> Mapping[int, Related]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Related]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge the columns that did not jump, nor any of their partners, and tell which contradict
        the others: their own relations are judged on, to see when they hold again."""
        state, seconds = self.state, self._target.block_seconds
        for number in state.blocks.due(clock, seconds):
            start, block, rows = number * seconds, state.blocks.pop(number), usual(state.sizes)
            state.sizes = with_size(state.sizes, block.rows)
            whole = not block.passed and not self._target.partial(start)
            if whole and block.rows >= rows / 2.0:
                self._judge(start, block, breaks.at(start))
            breaks.tell(start, self._torn(start))
        breaks.spans = [*breaks.spans, *state.spans]
        open_now = state.blocks.counts.items()
        state.full = [number for number, block in open_now if block.scored > MOST_SCORED]

    def _judge(self, start: float, block: Related, broken: frozenset[str]) -> None:
        state, parts = self.state, []
        if block.scored and not broken & self._partners.keys():
            state.lately = contradictions.recent(state.lately, block.scored, block.lifts)
        for name, bins in block.columns.items():
            watch = state.watches[name]
            least = 1 if watch.spread is None else columns.FEWEST_ROWS
            if bins.n >= least and not broken & {name, *self._partners[name]}:
                totals = columns.totals(self._scores[name], bins)
                parts.append(Block(watch, start, totals, bins.n))
                pairs = zip(block.lifts, self._profile.pairs, strict=True)
                state.moved = [total / bins.n - pair.usual for total, pair in pairs]
        take_all(parts)

    def _torn(self, start: float) -> frozenset[str]:
        """The columns that contradict others by now. Of two of which it is not known which, neither
        is left out of what is judged by columns: its own shares may tell."""
        state, found = self.state, self._found()
        since = min((watch.since or start for _, watch in found), default=None)
        state.spans = prolonged(state.spans, start, since)
        return frozenset(describe.named(torn.columns) for torn, _ in found)

    def _found(self) -> list[tuple[Torn, Watch]]:
        """What contradicts others, with the watch that proves it."""
        told, watches = self._contradictions, self.state.watches
        found = told.found(self._partners, self.state.lately, watches)
        return [(torn, told.loudest(torn, watches)) for torn in found]

    def _watch(self, name: str) -> Watch:
        stream = columns.Stream(self._target, self._scores[name], f"multivariate:{name}")
        return stream.watch(self._limit)

    def verdicts(self) -> Verdicts:
        """`multivariate:NAME` for each column that goes together with others, else why none is;
        and `upstream:relations:NAME` for those that contradict them."""
        state = self.state
        made = [self._verdict(name, watch) for name, watch in state.watches.items()]
        if not made:
            release, reason = self._target.release, self._missing
            return Verdicts([describe.unknown("multivariate", release, self._limit, reason)])
        told = self._contradictions
        broken = [told.verdict(self._partners, torn, watch) for torn, watch in self._found()]
        return Verdicts([*made, *broken])

    def _verdict(self, name: str, watch: Watch) -> Unsaid:
        apart = "" if watch.since is None else f"it goes least with {self._apart(name)} as it did"
        subject = Subject("distance from the reference", None, apart, distance=True)
        return self._described.verdict(f"multivariate:{name}", watch, subject)

    def _apart(self, name: str) -> str:
        """The partner that a column has come apart from most."""
        found = self._partners[name]
        return min(found, key=lambda other: self.state.moved[found[other]])

    @property
    def _missing(self) -> str:
        """Why no relation is watched."""
        if self._reference.multivariate is None:
            return (
                "the release was built before relations between columns were learned: build it "
                "again to have them watched"
            )
        rows = many(self._reference.rows, "row")
        return f"the reference holds {rows}, {FEWEST_REFERENCE} are needed"
