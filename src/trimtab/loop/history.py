"""What was recorded, as screens ask for it: read from its end, and no more than is shown."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from trimtab.domain import events as e
from trimtab.domain.events import Entry, kind_of, subject_of
from trimtab.ports.journal import Past

OPENED, CLOSED = kind_of(e.IncidentOpened), kind_of(e.IncidentClosed)
REQUESTED, SCALED = kind_of(e.RunRequested), kind_of(e.Scaled)
INCIDENTS = (OPENED, kind_of(e.IncidentUpdated), CLOSED)
SHARES = (
    kind_of(e.RolloutStarted),
    kind_of(e.RolloutAdvanced),
    kind_of(e.RolloutEnded),
    kind_of(e.Proven),
    kind_of(e.RolledBackTo),
)
"""Kinds of events at which a deployment's traffic is shared out otherwise, or may be."""


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in order. Older ones are before `earlier`; None where there are none."""

    entries: tuple[Entry, ...]
    earlier: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Questions about the past; each is of one deployment where it names one."""

    past: Past

    def events(
        self,
        limit: int,
        deployment: str | None = None,
        before: int | None = None,
        kinds: tuple[str, ...] = (),
    ) -> Page:
        """The newest entries."""
        found = self.past.newest(limit + 1, deployment, kinds, before)
        kept = found[-limit:]
        return Page(kept, kept[0].seq if len(found) > limit else None)

    def incidents(
        self,
        limit: int,
        deployment: str | None = None,
        before: int | None = None,
        beside: Iterable[str] = (),
    ) -> Page:
        """What is known of the newest incidents, and of those with the ids `beside`."""
        page = self.events(limit, deployment, before, (OPENED,))
        return Page(self.told({*_subjects(page), *beside}), page.earlier)

    def told(self, incidents: Collection[str]) -> tuple[Entry, ...]:
        """What is known of incidents, by their ids; nothing of those that there are not."""
        found = self.past.about(incidents)
        return tuple(entry for entry in found if kind_of(entry.event) in INCIDENTS)

    def closed(self) -> set[str]:
        """The id of the incident that was closed last, if one was."""
        return _subjects(self.events(1, kinds=(CLOSED,)))

    def runs(self, limit: int, deployment: str | None = None, before: int | None = None) -> Page:
        """What is known of the newest pipeline runs."""
        page = self.events(limit, deployment, before, (REQUESTED,))
        return Page(self.past.about(_subjects(page)), page.earlier)

    def scalings(self, limit: int, deployment: str | None = None) -> tuple[Entry, ...]:
        """The newest changes of worker counts."""
        return self.past.newest(limit, deployment, (SCALED,))

    def shares(self, limit: int, deployment: str) -> Page:
        """The newest entries about who gets which share of a deployment's traffic."""
        return self.events(limit, deployment, kinds=SHARES)

    def last(self, deployments: Iterable[str]) -> tuple[Entry, ...]:
        """The newest entry of each deployment that has one."""
        return tuple(entry for name in deployments for entry in self.past.newest(1, name))


def _subjects(page: Page) -> set[str]:
    named = (subject_of(entry.event) for entry in page.entries)
    return {name for name in named if name is not None}
