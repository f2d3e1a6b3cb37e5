"""Errors and slow answers, against what the callers were promised."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from trimtab.domain.records import Labelled, Outcome, Rows
from trimtab.judge import describe
from trimtab.judge.said import Verdicts
from trimtab.judge.signals.counts import Blocks, Tally, by_block
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Block, Watch, Zone, take_all

LATENCY_TOLERANCE = 0.02
ERROR_TOLERANCE = 0.004


class Answers(msgspec.Struct, frozen=True):
    """Failures among all attempts, slow ones among the answers."""

    errors: Tally = Tally()
    slow: Tally = Tally()

    def merge(self, other: "Answers") -> "Answers":
        """The counts of both."""
        return Answers(self.errors.merge(other.errors), self.slow.merge(other.slow))


class State(msgspec.Struct):
    """What changes while the service is watched."""

    errors: Watch
    latency: Watch
    blocks: Blocks[Answers] = msgspec.field(default_factory=Blocks[Answers])


class Service:
    """The share of failed attempts and the share of slow answers."""

    name: ClassVar[str] = "service"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._described = describe.Described(target.release)
        self._seconds = target.spec.monitor.block_seconds
        objective = target.spec.objective
        lost = 1.0 - objective.availability
        high = lost + target.tolerance("errors", max(lost, ERROR_TOLERANCE))
        slow = 1.0 - objective.latency_quantile + target.tolerance("latency", LATENCY_TOLERANCE)
        self.state: State = State(
            Watch((Zone(None, high),), None, target.threshold("errors", self._seconds)),
            Watch((Zone(None, slow),), None, target.threshold("latency", self._seconds)),
        )

    @classmethod
    def of(cls, target: Target) -> "Service":
        """Every release is watched."""
        return cls(target)

    def count(self, rows: Rows) -> Mapping[int, Answers]:
        """Count attempts."""
        return {number: self._answers(part) for number, part in by_block(rows, self._seconds)}

    def _answers(self, rows: Rows) -> Answers:
        ok = rows.has("outcome", Outcome.OK)
        timed = ok & rows.prompt
        slow = rows.fixed["total_seconds"][timed] > self._target.spec.objective.latency_seconds
        return Answers(Tally.of(~ok), Tally.of(slow))

    def learn(self, labelled: Labelled) -> Mapping[int, Answers]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Answers]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over; a broken feed excuses no failure."""
        state = self.state
        for number in state.blocks.due(clock, self._seconds):
            answers = state.blocks.pop(number)
            pairs = (state.errors, answers.errors), (state.latency, answers.slow)
            start = number * self._seconds
            counted = [(watch, tally) for watch, tally in pairs if tally.n]
            take_all([Block(w, start, [float(tally.hits)], tally.n) for w, tally in counted])

    def verdicts(self) -> Verdicts:
        """`errors` and `latency`."""
        objective = self._target.spec.objective
        failed = describe.Subject("share of failed attempts", 1.0 - objective.availability)
        text = f"share slower than {objective.latency_seconds * 1000:g} ms"
        slow = describe.Subject(text, 1.0 - objective.latency_quantile)
        return Verdicts(
            [
                self._described.verdict("errors", self.state.errors, failed),
                self._described.verdict("latency", self.state.latency, slow),
            ]
        )
