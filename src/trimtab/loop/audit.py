"""The part of the journal that a start did not verify, verified while the loop runs."""

import logging

from trimtab import errors
from trimtab.ports.clock import Clock
from trimtab.ports.journal import Journal

log = logging.getLogger(__name__)

PIECE = 500
"""Entries of a piece: some milliseconds, in which nothing else can happen."""
PAUSE = 0.25
"""Seconds between two pieces."""


class Audit:
    """Verifies the hash chain of the first `until` entries, a piece at a time.

    What is damaged there was folded long ago and decides nothing any more, so the loop goes on;
    that it is damaged is told until somebody restores it.
    """

    def __init__(self, journal: Journal, until: int) -> None:
        self.broken = ""
        """Why the history is not what was recorded; "" as far as is known."""
        self._journal = journal
        self._until = until
        self._checked = 0

    async def run(self, clock: Clock) -> None:
        """Verify everything, or up to what is damaged."""
        while self._checked < self._until and not self.broken:
            await clock.sleep(PAUSE)
            try:
                self._checked = self._journal.verify(self._checked, PIECE)
            except errors.Integrity as error:
                self.broken = error.message
                log.error("the journal is damaged: %s", self.broken)
            except errors.TrimtabError as error:
                log.warning("a piece of the journal is verified later: %s", error)
