"""What a cause is judged by: verdicts that are bad together, and what is known around them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from trimtab.domain.verdicts import Cause, RuledOut, Verdict
from trimtab.judge.describe import group
from trimtab.judge.explained import Explained
from trimtab.judge.reports import Surroundings
from trimtab.judge.said import Verdicts
from trimtab.judge.surge import Surge

MOVES = ("input", "multivariate", "prediction", "positive_rate")
"""Signals of what comes in and of what is answered."""

MISCALIBRATED = 0.02
"""Change of mean (label - score) beyond which the world answers differently."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Mean of label minus score: since quality fell, and on the reference."""

    live: float
    reference: float

    @property
    def moved(self) -> bool:
        """Whether the scores no longer mean what they meant."""
        return abs(self.live - self.reference) > MISCALIBRATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known about a deployment when its verdicts are put together.

    `started` is the deployment's clock when the release began to be watched, `opened` how many
    incidents these monitors have opened, `labels` how complete the labels are, in words, and
    `false_alarms` how many false pages a year are tolerated. `explained` is how much of the fall of
    quality the inputs explain; `calibration` stands for it where nothing can be expected of them.
    `related` are, by column, those that it goes together with; `mended` is the event time since
    when all feeds are sound again, None where one is broken or none ever was, `accused` the start
    of the last block in which a caller was in alarm, `surge` a caller that asks for far more now.
    """

    deployment: str
    release: str
    clock: float
    block_seconds: float
    started: float
    surroundings: Surroundings
    explained: Explained | None
    calibration: Calibration | None
    labels: str
    opened: int
    false_alarms: float
    related: Mapping[str, Collection[str]] = field(default_factory=dict)
    mended: float | None = None
    accused: float | None = None
    surge: Surge | None = None

    def at_boundary(self, since: float) -> bool:
        """Whether trouble began with the release, as far as blocks can tell."""
        boundary = self.surroundings.boundary
        start = self.started if boundary is None else boundary
        return since <= start + 2.0 * self.block_seconds


class Strength(IntEnum):
    """How much is said for a cause. The strongest ranks first and is acted on."""

    POSSIBLE = 1
    """Nothing excludes it."""
    FITTING = 2
    """What was observed fits it, and other causes as well."""
    LIKELY = 3
    """What was observed is what this cause does, and hardly another."""
    COMPARED = 4
    """A controlled comparison shows it: all else was the same."""
    REPLAYED = 5
    """Fixed inputs show it: neither the data nor the callers can be why."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A cause, how much is said for it, and the observations that say it."""

    cause: Cause
    strength: Strength
    evidence: tuple[str, ...]


Opinion = Suspicion | RuledOut | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident in the making: `bad` verdicts of one `kind`, among `every` verdict given.

    Kinds are those of `judge.incidents.KINDS`.
    """

    kind: str
    case: Case
    bad: Sequence[Verdict]
    every: Verdicts

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is bad, in words."""
        return tuple(verdict.reason for verdict in self.bad)

    @property
    def changed(self) -> bool:
        """Whether the same scores come true otherwise: no move of the inputs does that."""
        return any(verdict.signal == "calibration" for verdict in self.bad)

    def since(self, *groups: str) -> float:
        """Event time of the first evidence, of these groups of signals only if any are named."""
        return began([v for v in self.bad if not groups or group(v.signal) in groups], self.case)

    def found(self, *groups: str) -> list[Verdict]:
        """All bad verdicts of these groups of signals, whichever incident they belong to."""
        return [v for v in self.every.bad if group(v.signal) in groups]


def began(bad: Sequence[Verdict], case: Case) -> float:
    """Event time of the first evidence among `bad`, the case's clock when none has one."""
    return min((verdict.since for verdict in bad if verdict.since is not None), default=case.clock)
