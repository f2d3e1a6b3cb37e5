"""The monitors led through the blocks of a table: judged after each, as the control loop does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.describe import group
from trimtab.judge.monitors import Counted, Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.said import Verdicts
from trimtab.judge.signals.bias import Bias, Reading
from trimtab.judge.signals.counts import GRACE, LONGEST_GRACE, MOST_OPEN, Bins, merged
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.inputs import Columns
from trimtab.judge.signals.prediction import Answers
from trimtab.judge.signals.quality import Cohort
from trimtab.judge.signals.registry import SERVED
from trimtab.monitoring.precount import Subject
from trimtab.views.report import Moment

UNSEEN = frozenset({Cause.ENVIRONMENT_MISALIGNMENT, Cause.BAD_RELEASE})
"""Ruled out by golden replay and by the history of a release, and a table shows neither."""


@dataclass(slots=True)
class Seen:
    """What was counted, for the report: totals of each column, and each block's cohort."""

    columns: dict[str, Bins] = field(default_factory=dict)
    score: Bins | None = None
    cohorts: dict[int, Cohort] = field(default_factory=dict)

    def add(self, counted: Counted) -> None:
        """Take in the counts of a part."""
        inputs: dict[int, Columns] = dict(counted.get("inputs", {}))
        for made in inputs.values():
            self.columns = merged(self.columns, made.columns)
        answers: dict[int, Answers] = dict(counted.get("prediction", {}))
        for each in answers.values():
            self.score = each.score if self.score is None else self.score.merge(each.score)
        cohorts: dict[int, Cohort] = dict(counted.get("quality", {}))
        self.cohorts = merged(self.cohorts, cohorts)


UNTOLD = frozenset(chain.from_iterable(SERVED.values()))
"""Groups of signals of which a table says nothing."""


class Judging:
    """Takes counts, closes blocks, and remembers what was said after each."""

    def __init__(
        self, spec: DeploymentSpec, subject: Subject, started: float, blocks: int = 0
    ) -> None:
        told = spec, subject.signature, subject.profile, subject.release
        # Where rows are in no order, all blocks may be open until the last row is read.
        self.monitors = Monitors(Target(*told, started, max(blocks, MOST_OPEN)))
        self.moments: list[Moment] = []
        self.verdicts: Sequence[Verdict] = ()
        self.seen = Seen()
        self._seconds = spec.monitor.block_seconds
        self._open: dict[str, Incident] = {}
        self._over: list[Incident] = []
        self._waiting: set[int] = set()

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All incidents, those that are still open first."""
        return tuple(_seen(each) for each in (*self._open.values(), *reversed(self._over)))

    @property
    def groups(self) -> tuple[Reading, ...]:
        """How each protected group stands, as of the last block judged."""
        bias = next((each for each in self.monitors.families if isinstance(each, Bias)), None)
        return () if bias is None else bias.readings()

    @property
    def blocks(self) -> int:
        """Blocks that were judged."""
        return len(self.moments)

    def take(self, number: int, counted: Counted) -> None:
        """Take in rows of a block that is still open."""
        self.monitors.take(counted)
        self.seen.add(counted)
        self._waiting.add(number)

    def close(self, below: int | None = None) -> None:
        """Judge the open blocks below this number, all of them without one, in their order."""
        for number in sorted(n for n in self._waiting if below is None or n < below):
            self._waiting.remove(number)
            self._assess((number + 1) * self._seconds)

    def _assess(self, end: float) -> None:
        clock = end + min(GRACE * self._seconds, LONGEST_GRACE)
        report = self.monitors.assess(clock, tuple(self._open.values()), Surroundings())
        self._open.update({each.id: each for each in (*report.opened, *report.updated)})
        for name in report.closed:
            over = self._open.pop(name)
            self._over.append(msgspec.structs.replace(over, closed_at=end))
        told = Verdicts(report.verdicts).where(lambda signal: group(signal) not in UNTOLD)
        said = {v.signal: (v.evidence_log10, v.threshold_log10) for v in told.entries}
        self.verdicts = told
        self.moments.append(Moment(end, said))


def _seen(incident: Incident) -> Incident:
    """The incident without what only a running service could have excluded."""
    kept = tuple(each for each in incident.ruled_out if each.cause not in UNSEEN)
    return msgspec.structs.replace(incident, ruled_out=kept)
