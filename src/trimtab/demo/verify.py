"""Whether an alarm was true, by what the client knows and the system was not told.

The client knows the faults it injected, what it sent, every score it was given and every label.
Nothing here looks at why the system alarmed, only at whether what it said was so.
"""

from dataclasses import dataclass

import numpy as np

from trimtab.demo.faults import Feed
from trimtab.demo.ledger import Ledger
from trimtab.demo.options import PROMISED_SECONDS, PROMISED_SHARE
from trimtab.demo.world import World
from trimtab.domain.verdicts import Cause
from trimtab.examples.flights.data import WEATHER
from trimtab.views.shapes import IncidentView

_DAY = 86_400.0
_GAP = 0.05
"""Share of an airport's day without a temperature that is a gap: without one it is .5 % at most."""

_ENOUGH = 200


@dataclass(frozen=True, slots=True)
class Truth:
    """What the client knows. `bad` is the release it broke, `feed` the feed, None if it did not."""

    world: World
    ledger: Ledger
    bad: str | None
    feed: Feed | None

    def false_alarms(self, incidents: tuple[IncidentView, ...]) -> list[str]:
        """Pages that said what was not so, each as a sentence."""
        checked = ((i, self.objection(i)) for i in incidents if i.tier == "page")
        return [f"{incident.id}: {why}" for incident, why in checked if why]

    def objection(self, incident: IncidentView) -> str | None:
        """Why the incident's first cause is not so; None when it is."""
        cause = incident.causes[0].cause if incident.causes else Cause.UNKNOWN
        start, end = incident.first_evidence_at.timestamp(), incident.opened_at.timestamp()
        match cause:
            case Cause.CONCEPT_DRIFT | Cause.DATA_DRIFT:
                return self._no_loss(incident, start, end)
            case Cause.UPSTREAM_BREAK:
                broken = self.feed_broken(start, end)
                return None if broken else "the feed was whole"
            case Cause.BAD_RELEASE:
                worse = incident.release == self.bad or self._worse(incident.release, start, end)
                return None if worse else f"{incident.release} answered no worse than the rest"
            case Cause.INFRASTRUCTURE:
                return self._quick(start, end)
            case _:
                return f"nothing of the kind {cause.value} had happened"

    def feed_broken(self, start: float, end: float) -> bool:
        """Whether the feed was broken by us, or had a gap of its own, between the two moments."""
        if self.feed is not None:
            span = self.feed.span
            if span.start.timestamp() < end and start < span.end.timestamp():
                return True
        return bool(self._gaps(start - _DAY, end))

    def _no_loss(self, incident: IncidentView, start: float, end: float) -> str | None:
        """An objection when the loss was within the tolerance that the incident itself names."""
        limits = [
            v.reference + v.tolerance
            for v in incident.verdicts
            if v.verdict == "bad" and v.signal.startswith("quality") and v.reference is not None
            if v.tolerance is not None
        ]
        measured = self.ledger.loss(start, end)
        if not limits or measured is None:
            return None if measured else "no label was known"
        if measured[0] > min(limits):
            return None
        return f"the loss was {measured[0]:.3f}, within {min(limits):.3f}"

    def _quick(self, start: float, end: float) -> str | None:
        """An objection when the answers came as they were promised, by the client's own watch: the
        machine that this runs on may be slow, and then it is so."""
        slow = self.ledger.slow(start, end, PROMISED_SECONDS)
        if slow > 1.0 - PROMISED_SHARE:
            return None
        return f"of the answers of an hour {slow:.1%} at the most were slow"

    def _worse(self, release: str, start: float, end: float) -> bool:
        """Whether its own answers had a larger loss than all answers of the time."""
        own, every = self.ledger.loss(start, end, release), self.ledger.loss(start, end)
        return own is not None and every is not None and own[1] >= _ENOUGH and own[0] > every[0]

    def _gaps(self, start: float, end: float) -> list[str]:
        """Airports that had a day with a gap in the record itself."""
        world = self.world
        chosen = (world.time >= start) & (world.time < end)
        part = world.flights.filter(chosen)
        origins = np.array(part["origin"].to_pylist())
        days = world.time[chosen] // _DAY
        lost = np.asarray(part[WEATHER[0]].is_null().to_numpy())
        return [
            str(origin)
            for origin in np.unique(origins)
            for day in np.unique(days)
            if (here := (origins == origin) & (days == day)).any() and lost[here].mean() > _GAP
        ]
