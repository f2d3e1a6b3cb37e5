"""Monitors that are asked again and again, with the incidents that became of it."""

from dataclasses import dataclass, field

from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings

from .traffic import DAY


@dataclass
class Followed:
    """What monitors say when they are asked, and which incidents are open, or ever were."""

    day: int = 20
    incidents: dict[str, Incident] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    opened: list[Incident] = field(default_factory=list)
    monitors: Monitors = field(init=False)

    def judge(self, clock: float | None = None) -> None:
        """Judge at a time, by default when the blocks of the day before have closed."""
        clock = (self.day + 1) * DAY + 3600.0 if clock is None else clock
        report = self.monitors.assess(clock, tuple(self.incidents.values()), Surroundings(0.0))
        self.verdicts = {verdict.signal: verdict for verdict in report.verdicts}
        self.opened += report.opened
        for incident in (*report.opened, *report.updated):
            self.incidents[incident.id] = incident
        for closed in report.closed:
            del self.incidents[closed]
