"""What came of the runs: who was told what, when, and whether it was right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from catalogue.faults import BY_NAME, Fault
from catalogue.life import Harm, Lived
from catalogue.tables import MONDAY
from trimtab.domain import events as e
from trimtab.domain.verdicts import Cause, Incident

TIERS = ("page", "ticket", "note")
LOUD = ("page", "ticket")
"""Tiers of which a message goes out."""


RIGHT: Mapping[Cause, tuple[str, ...]] = {
    Cause.UPSTREAM_BREAK: ("alert owner and hold",),
    Cause.TRAINING_SERVING_SKEW: ("alert owner and hold",),
    Cause.DATA_DRIFT: ("retrain", "retrain waits"),
    Cause.CONCEPT_DRIFT: ("retrain", "retrain waits"),
    Cause.LABEL_FAULT: ("alert owner",),
    Cause.INFRASTRUCTURE: ("alert owner",),
    Cause.ENVIRONMENT_MISALIGNMENT: ("rolled back", "alert owner"),
    Cause.BAD_RELEASE: ("rolled back",),
    Cause.BAD_WORKER: ("replace",),
    Cause.HOSTILE_CLIENT: ("hold",),
}
"""What should be done about harm of each cause, as the journal's words begin. Of an environment the
agent itself replaces the workers that fail the golden replay; where all do, another release serves.
"""
HARMLESS = {Cause.DATA_DRIFT: ("watch",)}
"""The same where nobody is harmed, if that is something else."""


def right_actions(fault: Fault) -> tuple[str, ...]:
    """What should be done about a fault; of several, each is right."""
    known = RIGHT if fault.harmful else {**RIGHT, **HARMLESS}
    return tuple(dict.fromkeys(word for cause in fault.causes for word in known[cause]))


@dataclass(frozen=True)
class Seen:
    """An incident as the journal has it at `at`."""

    at: float
    incident: Incident


@dataclass(frozen=True)
class Outcome:
    """A run, judged. Times are seconds after the fault began, None for never.

    `lead` is the incident that a person would look at first when the run ends: the loudest, of
    these the oldest. `detected` is when the first message went out, `right` when the incident that
    was then the lead first named a right cause first. `false` are the tiers of incidents that
    opened before the fault; in `quiet_seconds` of the run nothing was wrong.
    """

    fault: Fault
    data: str
    lead: Incident | None
    detected: float | None
    right: float | None
    false: tuple[str, ...]
    opened: tuple[Incident, ...]
    quiet_seconds: float
    before: Harm
    during: Harm

    @property
    def harmful(self) -> bool:
        """Whether anybody suffers."""
        return self.fault.harms(self.data)

    @property
    def first(self) -> Cause | None:
        """The cause that was ranked first."""
        return self.lead.causes[0].cause if self.lead else None

    @property
    def named_first(self) -> bool:
        """Whether it was right."""
        return self.first in self.fault.causes

    @property
    def acted(self) -> bool:
        """Whether what was done about it is right for it."""
        done = self.lead.action.partition(":")[0] if self.lead else ""
        # Two of the actions go on with a name: of a release, or of workers.
        word = next((each for each in ("rolled back", "replace") if done.startswith(each)), done)
        return word in right_actions(self.fault)

    @property
    def named(self) -> bool:
        """Whether a right cause was among the first two."""
        ranked = self.lead.causes[:2] if self.lead else ()
        return any(each.cause in self.fault.causes for each in ranked)


def judged(life: Lived) -> Outcome:
    """What the journal says of a run."""
    fault = BY_NAME[life.fault]
    history = tuple(_history(life))
    opened: dict[str, float] = {}
    for seen in history:
        opened.setdefault(seen.incident.id, seen.at)
    since = [seen for seen in history if opened[seen.incident.id] >= life.began]
    newest = {seen.incident.id: seen.incident for seen in since}
    told = [seen.at for seen in since if seen.incident.tier in LOUD]
    right = _right(fault, since)
    false = {s.incident.id: s.incident.tier for s in history if opened[s.incident.id] < life.began}
    return Outcome(
        fault,
        life.data,
        _lead(list(newest.values())),
        told[0] - life.began if told else None,
        None if right is None else right - life.began,
        tuple(false.values()),
        tuple(newest.values()),
        (life.ended if fault.null else life.began) - MONDAY,
        life.before,
        life.during,
    )


def _history(life: Lived) -> Iterator[Seen]:
    for entry in life.journal:
        match entry.event:
            case e.IncidentOpened(incident=incident) | e.IncidentUpdated(incident=incident):
                yield Seen(entry.at, incident)
            case _:
                pass


def _right(fault: Fault, since: Sequence[Seen]) -> float | None:
    newest: dict[str, Incident] = {}
    for seen in since:
        newest[seen.incident.id] = seen.incident
        lead = _lead(list(newest.values()))
        if lead is not None and lead.causes[0].cause in fault.causes:
            return seen.at
    return None


def _lead(incidents: Sequence[Incident]) -> Incident | None:
    """The loudest, of these the oldest; notes lead where nothing else is."""
    return min(incidents, key=lambda i: (TIERS.index(i.tier), i.opened_at), default=None)


def quantile(values: Sequence[float], share: float) -> float | None:
    """A quantile of what is there, None of nothing."""
    return float(np.quantile(values, share)) if values else None
