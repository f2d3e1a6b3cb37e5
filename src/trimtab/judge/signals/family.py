"""The contract of a family of signals, and what all families share: target and broken feeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Protocol, Self, TypeVar

import msgspec

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.plurals import many
from trimtab.domain.profile import QualityProfile, ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.budget import log10_threshold
from trimtab.judge.measured import FEWEST_DAYS
from trimtab.judge.profile import DAY
from trimtab.judge.promised import lacking, named, promised
from trimtab.judge.relations import partners
from trimtab.judge.signals.counts import MOST_OPEN, Blocks, C, Counts

COVERED = 0.95
"""A cohort whose labels are this complete need not wait until they mature."""


class Awaiting(Counts, Protocol):
    """Counts of predictions and of the labels that came for them."""

    @property
    def predicted(self) -> int:
        """Predictions."""
        ...

    @property
    def labelled(self) -> int:
        """Labels."""
        ...


L = TypeVar("L", bound=Awaiting)


class Target(msgspec.Struct, frozen=True):
    """What is watched, and against what. `release` is its digest, as rows name it.

    `started` is the deployment's clock when the release began to serve. Without a profile there is
    nothing to compare inputs, predictions and quality with. `most_open` blocks may be open at once,
    beside those that wait for labels.
    """

    spec: DeploymentSpec
    signature: Signature
    profile: ReferenceProfile | None
    release: str
    started: float
    most_open: int = MOST_OPEN

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of quality that are asked for, the one that stands for all first."""
        return named(self.spec.monitor, self.profile)

    @property
    def qualities(self) -> tuple[QualityProfile, ...]:
        """Those of them that can be watched."""
        return promised(self.spec.monitor, self.profile, self.signature)

    @property
    def lacking(self) -> dict[str, str]:
        """Those that cannot, and why."""
        return lacking(self.spec.monitor, self.profile, self.signature)

    def signal(self, group: str, metric: str) -> str:
        """The name of a metric's signal: the first is that of the group itself."""
        return group if metric == self.metrics[0] else f"{group}:{metric}"

    @property
    def timed(self) -> bool:
        """Whether the reference knows by how much days differ."""
        return self.profile is not None and self.profile.days >= FEWEST_DAYS

    @property
    def related(self) -> dict[str, dict[str, int]]:
        """By column, those that it goes together with, as the reference has it."""
        learned = None if self.profile is None else self.profile.multivariate
        return {} if learned is None else partners(learned)

    @property
    def block_seconds(self) -> float:
        """Length of a block of inputs or quality: with a timed reference whole days, hours differ.

        Families that count rows against a promise of the caller's take the plan's own length.
        """
        return max(self.spec.monitor.block_seconds, DAY if self.timed else 0.0)

    @property
    def block_reason(self) -> str:
        """Why a block is as long as that, in a few words."""
        if self.profile is None:
            return "as monitor.block says: the release has no reference"
        if self.profile.days == 0:
            return "as monitor.block says: the reference has no times"
        if not self.timed:
            days = f"the reference has {many(self.profile.days, 'day')} of {FEWEST_DAYS}"
            return f"as monitor.block says: {days} that would show how days differ"
        if self.spec.monitor.block_seconds > DAY:
            return "as monitor.block says"
        return "as days are compared, which the reference shows to differ"

    def tolerance(self, signal: str, otherwise: float) -> float:
        """The user's own tolerance of a signal, or what holds without one."""
        return self.spec.monitor.tolerances.get(signal, otherwise)

    def hold(self, blocks: Blocks[C], counted: Mapping[int, C]) -> None:
        """Merge counts into blocks; what belongs to a closed one goes to the oldest that may be
        open."""
        blocks.take(counted, self.most_open)

    def gather(self, cohorts: Blocks[C], counted: Mapping[int, C]) -> None:
        """Merge counts into cohorts; what belongs to a closed one is dropped. However short blocks
        are, all cohorts stay open that labels may still mature of."""
        waiting = math.ceil(self.spec.monitor.maturity_seconds / self.block_seconds)
        open_now = {n: counts for n, counts in counted.items() if not cohorts.closed(n)}
        cohorts.take(open_now, self.most_open + waiting)

    def ripe(self, cohorts: Blocks[L], clock: float) -> Iterator[tuple[float, L]]:
        """Close cohorts in order, each once its labels have matured or nearly all are there: when
        it began, and its counts."""
        for number in cohorts.due(clock, self.block_seconds):
            counts, end = cohorts.counts[number], (number + 1) * self.block_seconds
            matured = end <= clock - self.spec.monitor.maturity_seconds
            if not matured and counts.labelled < COVERED * counts.predicted:
                return
            yield number * self.block_seconds, cohorts.pop(number)

    def partial(self, start: float) -> bool:
        """Whether a day was seen only in part: it cannot be compared with whole days."""
        return self.timed and start < self.started

    def threshold(self, group: str, seconds: float, streams: int = 1) -> float:
        """log10 of the evidence at which one of `streams` streams of a group alarms.

        `group` is an entry of `judge.budget.GROUPS`, `seconds` the length of its blocks.
        """
        return log10_threshold(group, streams, self.spec.monitor.false_alarms_per_year, seconds)


S = TypeVar("S", bound=msgspec.Struct)


class Span(msgspec.Struct):
    """Event times of a break; rows inside are no evidence about the model. None while it lasts."""

    since: float
    until: float | None = None


def prolonged(spans: list[Span], start: float, since: float | None) -> list[Span]:
    """The spans after the block that began at `start`: `since` when what is broken in it has been,
    None where nothing is."""
    lasting = bool(spans) and spans[-1].until is None
    if since is not None and not lasting:
        return [*spans, Span(since)]
    if since is None and lasting:
        return [*spans[:-1], Span(spans[-1].since, start)]
    return spans


class Breaks(msgspec.Struct):
    """Broken feeds, told by `upstream`, `crowded` and `multivariate`, which close first, to the
    families that close after them.

    `columns` holds, by start, the columns that were broken in each block that closes just now.
    `ahead` are seconds of the clock that did not pass: a feed that breaks as well, of time.
    """

    spans: list[Span] = []
    columns: dict[float, frozenset[str]] = {}
    ahead: float = 0.0

    def tell(self, start: float, columns: frozenset[str]) -> None:
        """Take in the columns that are broken in the block that began at `start`."""
        self.columns = {**self.columns, start: self.at(start) | columns}

    @property
    def mended(self) -> float | None:
        """Event time since when all feeds are sound again, as far as is known by now; None where
        one is broken, or none ever was."""
        ends = [span.until for span in self.spans]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    def at(self, start: float) -> frozenset[str]:
        """The columns that are broken in the block that began at `start`."""
        return self.columns.get(start, frozenset())

    def overlap(self, start: float, end: float) -> bool:
        """Whether any feed was broken between two event times, as far as is known by now."""
        return any(
            span.since < end and (span.until is None or span.until > start) for span in self.spans
        )


class Family(Protocol[C, S]):
    """Signals that are counted together, as `C`, and remembered, as `S`. The engine calls:

        family.take(family.count(rows))          # for each segment of the request log
        family.take(family.learn(labelled))      # when labels come
        family.close(clock, breaks)              # in each tick of the control loop
        family.verdicts()

    `count` and `learn` change nothing: they read the target and what was learned up to the last
    `close`. So workers and threads may count parts of the rows, and one place takes and judges;
    counts made elsewhere (by a compiled pass over a file) are taken in the same way. By law, the
    parts of any split, merged in any order, are equal to the bit to what counting at once gives.

    `state` is everything that changes, as one Struct. It is saved by `name` and put back into a
    family made by `of`; a family must therefore read it from `self.state` each time, and keep
    nothing else. A state whose family is gone, or cannot be read, is dropped with a note.

    Evidence is kept by `judge.watch.Watch` against `target.threshold(group, seconds, streams)`, and
    put into words by `judge.describe`. What cannot be judged is `unknown` with its reason,
    never `ok`; nothing here raises on rows or labels, whatever they hold.
    """

    name: ClassVar[str]
    state: S

    @classmethod
    def of(cls, target: Target) -> Self | None:
        """The family as it begins; None where the target has nothing for it to watch."""
        ...

    def count(self, rows: Rows) -> Mapping[int, C]:
        """Counts by block number of attempts of the watched release, answered (`ok`) or failed.

        Outputs of failed ones are missing.
        """
        ...

    def learn(self, labelled: Labelled) -> Mapping[int, C]:
        """Counts by the block number of the prediction, of answers whose label is known now.

        Each prediction is given once. A family without use for labels returns `{}`.
        """
        ...

    def take(self, counted: Mapping[int, C]) -> None:
        """Merge counts into the open blocks; late ones as the family states."""
        ...

    def close(self, clock: float, breaks: Breaks) -> None:
        """Close the blocks that are over at `clock` (the deployment's, in seconds) and judge them.

        Families close in the order of the registry. Rows of broken feeds are left out.
        """
        ...

    def verdicts(self) -> Sequence[Verdict]:
        """One verdict for each signal, as of the last block closed; the order is stable."""
        ...
