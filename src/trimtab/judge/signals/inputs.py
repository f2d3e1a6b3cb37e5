"""Inputs, column by column, against the distribution of the reference."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.judge import describe
from trimtab.judge.said import Entry, Verdicts
from trimtab.judge.signals import columns
from trimtab.judge.signals.counts import Bins, Blocks, by_block, column_of, merged, sums
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Watch, take_all

UNKNOWN_INPUT = "a tolerance is set for it, and the reference has no such input"
UNKNOWN_SEGMENT = "it is named as a segment, and the reference has no such input"


class Columns(msgspec.Struct, frozen=True):
    """Counts of the input columns, by name, and the hours of the week that the rows are of.

    `hours` counts rows by stratum (`judge.strata.stratum`), where the profile has `stratum_hours`.
    """

    columns: dict[str, Bins] = {}
    hours: list[int] = []

    def merge(self, other: "Columns") -> "Columns":
        """The counts of both."""
        return Columns(merged(self.columns, other.columns), sums(self.hours, other.hours))


class State(msgspec.Struct):
    """What changes while inputs are watched."""

    watches: dict[str, Watch]
    blocks: Blocks[Columns] = msgspec.field(default_factory=Blocks[Columns])


class Inputs:
    """One stream for each input column of the profile."""

    name: ClassVar[str] = "inputs"

    def __init__(self, target: Target, profile: ReferenceProfile) -> None:
        self._target = target
        self._described = describe.Described(target.release)
        self._unfit = {column.name: columns.unfit(column) for column in profile.inputs}
        self._columns = {
            column.name: column for column in profile.inputs if not self._unfit[column.name]
        }
        for signal in target.spec.monitor.tolerances:
            group, _, name = signal.partition(":")
            if group == "input":
                self._unfit.setdefault(name, UNKNOWN_INPUT)
        # A text of many values is profiled by its measures, such as `note.length`.
        known = {part for name in self._unfit for part in (name, name.rpartition(".")[0])}
        for name in target.spec.monitor.segments:
            if name not in known:
                self._unfit[name] = UNKNOWN_SEGMENT
        self._limit = limit = target.threshold("input", target.block_seconds, len(profile.inputs))
        self.state: State = State({name: self._stream(name).watch(limit) for name in self._columns})

    @classmethod
    def of(cls, target: Target) -> "Inputs | None":
        """Inputs are watched where a profile says what they were."""
        return cls(target, target.profile) if target.profile and target.profile.inputs else None

    def count(self, rows: Rows) -> Mapping[int, Columns]:
        """Count the values of each column."""
        return {
            number: Columns(
                {name: Bins.of(c, column_of(part, c)) for name, c in self._columns.items()},
                columns.hours(self._target, part),
            )
            for number, part in by_block(rows, self._target.block_seconds)
        }

    def learn(self, labelled: Labelled) -> Mapping[int, Columns]:
        """Labels say nothing here."""
        return {}

    def take(self, counted: Mapping[int, Columns]) -> None:
        """Late rows count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge the columns that are not broken."""
        seconds = self._target.block_seconds
        for number in self.state.blocks.due(clock, seconds):
            start, block = number * seconds, self.state.blocks.pop(number)
            hours = block.hours
            broken = breaks.at(start)
            parts = (
                columns.block(
                    self._stream(name), self.state.watches[name], columns.Part(start, bins, hours)
                )
                for name, bins in block.columns.items()
                if name in self._columns and name not in broken
            )
            take_all([part for part in parts if part is not None])

    def _stream(self, name: str) -> columns.Stream:
        return columns.Stream(self._target, self._columns[name], f"input:{name}")

    def verdicts(self) -> Verdicts:
        """`input:NAME` for each column."""
        return Verdicts(self._verdict(name, reason) for name, reason in self._unfit.items())

    def _verdict(self, name: str, unfit: str) -> Entry:
        signal = f"input:{name}"
        if unfit:
            return describe.unknown(signal, self._target.release, self._limit, unfit)
        return self._described.verdict(signal, self.state.watches[name], columns.DISTANCE)
