"""The monitors of one release: rows and labels in, verdicts and incidents out. Pure.

What is watched is the business of the families in `judge.signals`; here they are started, fed,
closed in order, saved and resumed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Heard, Labelled, Outcome, Paired, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Incident
from trimtab.judge import incidents, replays, resources
from trimtab.judge.causes.case import Calibration, Case
from trimtab.judge.explained import Explained
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.said import Verdicts
from trimtab.judge.signals.callers import Callers
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.family import Breaks, Family, Target
from trimtab.judge.signals.feedback import Feedback
from trimtab.judge.signals.parity import Parity
from trimtab.judge.signals.quality import Quality
from trimtab.judge.signals.registry import FAMILIES
from trimtab.judge.signals.segments import Segments

Counted = Mapping[str, Mapping[int, Any]]
"""Counts by family and block number."""


class Saved(msgspec.Struct, frozen=True):
    """Monitors as they are stored: the state of each family by its name."""

    target: Target
    opened: int
    families: dict[str, msgspec.Raw]


class Monitors:
    """Watches one release of a deployment against its reference profile.

    `notes` says what could not be resumed.
    """

    def __init__(self, target: Target) -> None:
        """Begin to watch."""
        self._target = target
        made = [family.of(target) for family in FAMILIES]
        self._families: list[Family[Any, Any]] = [family for family in made if family is not None]
        self._related = target.related
        self._opened = 0
        self.notes: tuple[str, ...] = ()

    @classmethod
    def start(
        cls,
        spec: DeploymentSpec,
        signature: Signature,
        profile: ReferenceProfile | None,
        release: str,
        started_clock: float,
    ) -> "Monitors":
        """Begin to watch `release` (as the rows name it). Without a profile: errors and latency."""
        return cls(Target(spec, signature, profile, release, started_clock))

    @classmethod
    def load(cls, saved: bytes) -> "Monitors":
        """Resume what `dump` wrote, bit for bit. Raises msgspec.DecodeError for anything else.

        A family that is not in `saved`, or that cannot be read from it, starts anew.
        """
        stored = msgspec.msgpack.decode(saved, type=Saved)
        monitors = cls(stored.target)
        monitors._opened = stored.opened
        monitors.notes = monitors._resume(dict(stored.families))
        return monitors

    def _resume(self, states: dict[str, msgspec.Raw]) -> tuple[str, ...]:
        notes = []
        for family in self._families:
            raw = states.pop(family.name, None)
            try:
                if raw is None:
                    raise msgspec.DecodeError("nothing was saved of it")
                family.state = msgspec.msgpack.decode(raw, type=type(family.state))
            except ValueError as error:
                notes.append(f"{family.name} is watched anew: {error}")
        notes += [f"{name} is no longer watched: its evidence is dropped" for name in states]
        return tuple(notes)

    def dump(self) -> bytes:
        """Everything, as MessagePack."""
        states = {
            family.name: msgspec.Raw(msgspec.msgpack.encode(family.state))
            for family in self._families
        }
        return msgspec.msgpack.encode(Saved(self._target, self._opened, states))

    @property
    def release(self) -> str:
        """The release that is watched."""
        return self._target.release

    @property
    def families(self) -> tuple[Family[Any, Any], ...]:
        """What is watched, for those who count by other means and `take` the counts."""
        return tuple(self._families)

    def observe(self, rows: Rows) -> None:
        """Count rows; those of other releases, and shadow copies, are skipped."""
        self.take(self.count(rows))

    def count(self, rows: Rows) -> Counted:
        """What `take` takes; it changes nothing, so parts may be counted elsewhere."""
        tried = rows.take(
            self._mine(rows)
            & (rows.has("outcome", Outcome.OK) | rows.has("outcome", Outcome.FAILED))
        )
        trusted = tried.take(~self._accused(tried))
        return {
            family.name: family.count(tried if isinstance(family, Callers) else trusted)
            for family in self._families
        }

    def _accused(self, rows: Rows) -> NDArray[np.bool_]:
        """Rows of callers that are in alarm: what they bring is no evidence about the model."""
        return self._callers.accused(rows)

    @property
    def _callers(self) -> Callers:
        return next(each for each in self._families if isinstance(each, Callers))

    def take(self, counted: Counted) -> None:
        """Take in counts of these monitors' families, by name. Their order does not matter."""
        for family in self._families:
            family.take(counted.get(family.name, {}))

    def learn(self, labelled: Labelled) -> None:
        """Take labels to this release's answers."""
        rows = labelled.rows
        mine = labelled.take(self._mine(rows) & rows.has("outcome", Outcome.OK))
        trusted = mine.take(~self._accused(mine.rows))
        self.take({family.name: family.learn(trusted) for family in self._families})

    def hear(self, heard: Heard) -> None:
        """Take in labels by what became of them, whichever release they are about."""
        for family in self._families:
            if isinstance(family, Feedback):
                family.take(family.hear(heard))

    def compare(self, paired: Paired) -> None:
        """Take what training would have used for this release's answers."""
        rows = paired.rows
        mine = paired.take(self._mine(rows) & rows.has("outcome", Outcome.OK))
        trusted = mine.take(~self._accused(mine.rows))
        for family in self._families:
            if isinstance(family, Parity):
                family.take(family.compare(trusted))

    def _mine(self, rows: Rows) -> NDArray[np.bool_]:
        return rows.has("release", self.release) & ~rows.has("mode", "shadow")

    def assess(
        self, clock: float, open_incidents: tuple[Incident, ...], surroundings: Surroundings
    ) -> MonitorReport:
        """Close what `clock` (seconds on the deployment's clock) lets close, and judge.

        `open_incidents` are this deployment's; the report says which are new, changed or over.
        """
        breaks = Breaks(ahead=surroundings.ahead)
        for family in self._families:
            family.close(clock, breaks)
        told = [
            *(family.verdicts() for family in self._families),
            resources.verdicts(self.release, surroundings),
            replays.verdicts(self.release, surroundings),
        ]
        verdicts = Verdicts(entry for each in told for entry in Verdicts(each).entries)
        case = self._case(clock, surroundings, breaks.mended)
        report = incidents.reconcile(case, verdicts, open_incidents)
        self._opened += len(report.opened)
        return report

    def _case(self, clock: float, surroundings: Surroundings, mended: float | None) -> Case:
        target, quality = self._target, self._quality()
        return Case(
            deployment=target.spec.name,
            release=target.release,
            clock=clock,
            block_seconds=target.block_seconds,
            started=target.started,
            surroundings=surroundings,
            explained=None if quality is None else self._explained(quality),
            calibration=None if quality is None else self._calibration(quality),
            labels="labels are not watched" if quality is None else quality.labels,
            opened=self._opened,
            false_alarms=target.spec.monitor.false_alarms_per_year,
            related=self._related,
            mended=mended,
            accused=self._callers.state.accused,
            surge=self._callers.state.volume.surge,
        )

    def _quality(self) -> Quality | None:
        return next((each for each in self._families if isinstance(each, Quality)), None)

    def _explained(self, quality: Quality) -> Explained | None:
        """How much of the fall of the first metric that fell the inputs explain, or where none did,
        of that of a segment."""
        expected = next((each for each in self._families if isinstance(each, Estimated)), None)
        told = [expected.explained(*each) for each in quality.fell.items()] if expected else []
        segments = next((each for each in self._families if isinstance(each, Segments)), None)
        if segments is not None and not quality.fell:
            return segments.explained
        return next((each for each in told if each is not None), None)

    def _calibration(self, quality: Quality) -> Calibration | None:
        """Label minus score since quality fell, against the reference."""
        profile, live = self._target.profile, quality.gap
        if live is None or profile is None or profile.calibration is None:
            return None
        return Calibration(live, profile.calibration)
