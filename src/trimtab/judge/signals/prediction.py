"""What the release answers, against the distribution of its answers on the reference."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.judge import describe
from trimtab.judge.profile import score_column
from trimtab.judge.said import Verdicts
from trimtab.judge.signals import columns
from trimtab.judge.signals.counts import Bins, Blocks, Tally, by_block, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Block, Watch, Zone, take_all

POSITIVE_TOLERANCE = 0.03


class Answers(msgspec.Struct, frozen=True):
    """Counts of scores, of decisions for the positive class, and of rows by hours of the week."""

    score: Bins
    positive: Tally = Tally()
    hours: list[int] = []

    def merge(self, other: "Answers") -> "Answers":
        """The counts of both."""
        return Answers(
            self.score.merge(other.score),
            self.positive.merge(other.positive),
            sums(self.hours, other.hours),
        )


class State(msgspec.Struct):
    """What changes while predictions are watched; `positive` is None for all but `binary`."""

    score: Watch
    positive: Watch | None = None
    blocks: Blocks[Answers] = msgspec.field(default_factory=Blocks[Answers])


class Prediction:
    """The distribution of the score (or class, or predicted number), and of the decision."""

    name: ClassVar[str] = "prediction"

    def __init__(self, target: Target, score: ColumnProfile, positive: float | None) -> None:
        self._target, self._score, self._positive = target, score, positive
        self._described = describe.Described(target.release)
        self._stream = columns.Stream(target, score, "prediction")
        limit = target.threshold("prediction", target.block_seconds)
        self.state: State = State(self._stream.watch(limit))
        if positive is not None:
            zone = positive_zone(target, score, positive)
            limit = target.threshold("positive_rate", target.block_seconds)
            self.state.positive = Watch((zone,), score.spread, limit)

    @classmethod
    def of(cls, target: Target) -> "Prediction | None":
        """Predictions are watched where the profile knows their distribution."""
        profile = target.profile
        if profile is None or profile.score is None:
            return None
        return cls(target, profile.score, profile.positive_rate)

    def count(self, rows: Rows) -> Mapping[int, Answers]:
        """Count the answers."""
        parts = by_block(rows, self._target.block_seconds)
        return {number: self._answers(part) for number, part in parts}

    def _answers(self, rows: Rows) -> Answers:
        answered = rows.take(rows.has("outcome", Outcome.OK))
        signature = self._target.signature
        values = score_column(signature, answered.outputs)
        if values is None:
            return Answers(Bins.none(self._score))
        bins, hours = Bins.of(self._score, values), columns.hours(self._target, answered)
        if self._positive is None:
            return Answers(bins, hours=hours)
        return Answers(bins, Tally.of(values[~np.isnan(values)] >= signature.threshold), hours)

    def learn(self, labelled: Labelled) -> Mapping[int, Answers]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Answers]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block in which no feed was broken."""
        seconds = self._target.block_seconds
        for number in self.state.blocks.due(clock, seconds):
            start, block = number * seconds, self.state.blocks.pop(number)
            if not breaks.at(start):
                self._judge(start, block)

    def _judge(self, start: float, block: Answers) -> None:
        part, scores = columns.Part(start, block.score, block.hours), None
        if not columns.unfit(self._score):
            scores = columns.block(self._stream, self.state.score, part)
        blocks = [] if scores is None else [scores]
        watch, tally = self.state.positive, block.positive
        judged = watch is not None and not self._target.partial(start)
        if watch is not None and judged and tally.n >= columns.fewest(watch):
            blocks.append(Block(watch, start, [float(tally.hits)], tally.n))
        take_all(blocks)

    def verdicts(self) -> Verdicts:
        """`prediction`, and `positive_rate` where something is decided."""
        release, unfit = self._target.release, columns.unfit(self._score)
        score, positive = self.state.score, self.state.positive
        shown = (
            describe.unknown("prediction", release, score.log10_threshold, unfit)
            if unfit
            else self._described.verdict("prediction", score, columns.DISTANCE)
        )
        if positive is None:
            return Verdicts([shown])
        subject = describe.Subject("share decided positive", self._positive)
        return Verdicts([shown, self._described.verdict("positive_rate", positive, subject)])


def positive_zone(target: Target, score: ColumnProfile, positive: float) -> Zone:
    """The harm-free zone of the share decided positive."""
    # The hours of the week are not told apart here, so all that days differ by counts.
    whole = msgspec.structs.replace(score, strata=())
    width = target.tolerance("positive_rate", POSITIVE_TOLERANCE) + columns.error(target, whole)
    return Zone(positive - width, positive + width)
