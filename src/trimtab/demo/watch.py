"""Watching the system: what changed, how far it has judged, and how far the world may go on."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trimtab import errors
from trimtab.demo.admin import Admin
from trimtab.demo.gate import Gate
from trimtab.demo.observed import Moment, Observed
from trimtab.demo.options import DEPLOYMENT, Pace
from trimtab.views.shapes import DeploymentView, EventView

_DAY = 86_400.0
_RUN, _CANDIDATE = "a run is in progress", "the candidate's workers start"


@dataclass(slots=True)
class Lag:
    """How far the event clock was ahead of the system's, in seconds of event time, poll by poll."""

    largest: float = 0.0
    total: float = 0.0
    polls: int = 0
    waiting_seconds: float = 0.0
    """Wall time for which something held the clock."""

    def add(self, seconds: float) -> None:
        """Take in one poll."""
        self.largest = max(self.largest, seconds)
        self.total += seconds
        self.polls += 1

    @property
    def mean(self) -> float:
        """Over all polls."""
        return self.total / max(self.polls, 1)


class Watcher:
    """Polls the admin listener and moves the gate of the event clock.

    `on_event` hears every new entry of the journal, `on_status` every poll. The clock stands while
    a run is in progress or a candidate's workers start; a build is held for by who makes it.
    `clock` is the event time that the system has judged by.
    """

    def __init__(self, admin: Admin, gate: Gate, pace: Pace, tell: "Listener") -> None:
        self.observed = Observed()
        self.lag = Lag()
        self.clock = gate.clock
        self._admin = admin
        self._gate = gate
        self._pace = pace
        self._tell = tell
        self._start = gate.clock
        self._allowance = 0.0
        self._last_poll = self._progress = time.monotonic()
        self._reached = 0.0
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Watch until cancelled. Raises `TimedOut` TT-903 when nothing moves any more."""
        while True:
            await self.poll()
            self._check_progress()
            await asyncio.sleep(self._pace.poll_seconds)

    async def poll(self) -> None:
        """Look once."""
        status = await self._admin.status()
        deployment = next((d for d in status.deployments if d.name == DEPLOYMENT), None)
        if deployment is None:
            return
        now = Moment.of(deployment, time.time(), self._start)
        if status.seq > self.observed.last_seq:
            await self._learn(status.seq - self.observed.last_seq)
        self.clock = max(self.clock, now.clock)
        self._pace_by(now)
        self.observed.see(now)
        self._tell.on_status(deployment)
        async with self._changed:
            self._changed.notify_all()

    async def _learn(self, count: int) -> None:
        known = self.observed.last_seq
        fresh = [event for event in await self._admin.history(count) if event.seq > known]
        self.observed.events += fresh
        if any(event.kind.startswith("incident_") for event in fresh):
            self.observed.incidents = await self._admin.why()
        if any(event.kind.startswith("run_") for event in fresh):
            self.observed.runs = await self._admin.runs()
        for event in fresh:
            self._tell.on_event(event, self.observed)

    async def until(self, true: Callable[[Observed], bool], what: str, seconds: float) -> None:
        """Return once `true` of what was observed; raises `TimedOut` TT-903 after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: true(self.observed))
        except TimeoutError:
            raise _stuck(what, seconds) from None

    def _pace_by(self, now: Moment) -> None:
        """Let the event clock go on, as far as the system has followed."""
        gate, elapsed = self._gate, time.monotonic() - self._last_poll
        self._last_poll += elapsed
        if gate.holds:
            self.lag.waiting_seconds += elapsed
        else:
            self._allowance += elapsed * (self._pace.days_per_second or 0.0) * _DAY
        if now.clock > self._start:
            self.lag.add(max(0.0, gate.clock - now.clock))
        for reason, holds in ((_RUN, now.run), (_CANDIDATE, now.phase == "preparing")):
            (gate.hold if holds else gate.release)(reason)
        limit = now.clock + self._pace.lead_days * _DAY
        if self._pace.days_per_second is not None:
            limit = min(limit, self._start + self._allowance)
        if not gate.holds:
            gate.allow(limit)

    def _check_progress(self) -> None:
        now = time.monotonic()
        if self._gate.clock > self._reached:
            self._reached, self._progress = self._gate.clock, now
        elif now - self._progress > self._pace.patience_seconds:
            what = ", ".join(sorted(self._gate.holds)) or "the system has not judged this far"
            raise _stuck(f"the event clock: {what}", self._pace.patience_seconds)


class Listener(Protocol):
    """What hears of a watched deployment."""

    def on_event(self, event: EventView, observed: Observed) -> None:
        """A new entry of the journal."""
        ...

    def on_status(self, status: DeploymentView) -> None:
        """A poll."""
        ...


def _stuck(what: str, seconds: float) -> errors.TimedOut:
    return errors.TimedOut(
        errors.DEMO_FAILED,
        "wait for",
        what,
        f"not in {seconds:g} s",
        unchanged="the system is still up while the demo ends",
        hint=f"trimtab status {DEPLOYMENT}",
    )
