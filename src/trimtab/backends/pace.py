"""Work that rests between its pieces, so that it holds no processor for long."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

BRIEF = 0.0004
"""Seconds of work that are worth a rest beside requests. Who works on keeps the processor until the
next tick of the scheduler, which on many systems comes each 4 ms: longer than an answer takes."""


@dataclass(slots=True)
class Pace:
    """Takes `share` of a processor, above 0 and at most 1, for the thread that made or began it.

    `piece` are the seconds of work that are worth a rest. After `most` seconds of rest in all it
    works on without. `worked` are seconds that the thread has worked; waiting is not work.
    """

    share: float
    piece: float = 0.002
    most: float = float("inf")
    worked: Callable[[], float] = time.thread_time
    sleep: Callable[[float], None] = time.sleep
    _rested_at: float = field(init=False)
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new piece, and as much rest as at first."""
        self._rested_at, self._left = self.worked(), self.most

    def rest(self) -> None:
        """Between two pieces: leave the processor to others for their share of the time."""
        spent = self.worked() - self._rested_at
        if spent < self.piece or self.share >= 1.0 or self._left <= 0.0:
            return
        pause = min(spent * (1.0 / self.share - 1.0), self._left)
        self._left -= pause
        self.sleep(pause)
        self._rested_at = self.worked()
