"""Predictions that wait for labels, read again from the log beside the control loop.

A day of a service that is asked once a second are 86,400 segments: the controller answers, routes
and takes orders meanwhile, and judges nothing.
"""

from collections.abc import Iterator

import msgspec

from trimtab.loop.joiner import Joiner, Read, SavedJoiner, Terms

STEP = 200
"""Segments that are read at once: some hundredths of a second."""


class Recall:
    """The way from `saved` to a joiner that holds it, begun at `since`, host epoch seconds.

    `read` may be asked in any thread, by one at a time."""

    def __init__(self, saved: SavedJoiner, read: Read, since: float) -> None:
        self.saved = saved
        self.since = since
        self._read = read
        self._joiner, self._steps = self._begun()

    def _begun(self) -> tuple[Joiner, Iterator[None]]:
        joiner = Joiner(self.saved.terms)
        return joiner, joiner.restore(self.saved, self._read)

    def under(self, terms: Terms) -> "Recall":
        """The same predictions and labels under changed terms, from the beginning."""
        return Recall(msgspec.structs.replace(self.saved, terms=terms), self._read, self.since)

    def some(self, segments: int = STEP) -> Joiner | None:
        """Read some more; the joiner once it holds everything. Raises what `read` does, and begins
        anew the next time."""
        try:
            for _ in range(segments):
                if next(self._steps, self) is self:
                    return self._joiner
        except BaseException:
            self._joiner, self._steps = self._begun()
            raise
        return None
