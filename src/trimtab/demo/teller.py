"""Between what is watched and who narrates it: entries become lines, polls the live status."""

import time

from trimtab.demo.gate import Gate
from trimtab.demo.ledger import Ledger
from trimtab.demo.observed import Observed
from trimtab.demo.timeline import Live, Narrator, Note
from trimtab.demo.told import shares, told_event, words
from trimtab.views.shapes import DeploymentView, EventView

_SMOOTHING = 0.3


class Teller:
    """The listener of a watcher that tells a narrator."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._gate: Gate | None = None
        self._ledger: Ledger | None = None
        self._rate = 0.0
        self._last = (time.monotonic(), 0)

    def follow(self, gate: Gate, ledger: Ledger) -> None:
        """Take the clock and the client's counts from here on."""
        self._gate, self._ledger = gate, ledger

    def act(self, number: int, title: str) -> None:
        """An act begins."""
        self._narrator.act(number, title)

    def note(self, note: Note) -> None:
        """Something happened outside the system."""
        self._narrator.note(note)

    def on_event(self, event: EventView, observed: Observed) -> None:
        """A new entry of the journal."""
        clock = self._gate.clock if self._gate else 0.0
        note = told_event(event, observed, clock)
        if note is not None:
            self._narrator.note(note)

    def on_status(self, status: DeploymentView) -> None:
        """A poll."""
        if self._gate is None or self._ledger is None:
            return
        then, before = self._last
        now, done = time.monotonic(), self._ledger.done
        if now > then:
            self._rate += _SMOOTHING * ((done - before) / (now - then) - self._rate)
        self._last = now, done
        holds = sorted(self._gate.holds)
        told = (shares(status), words(status.verdicts), holds)
        self._narrator.live(Live(self._gate.clock, done, self._rate, *told))
