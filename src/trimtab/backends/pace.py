"""Work that rests between its pieces, so that it holds no processor for long."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

PIECE = 0.002
"""Seconds of work that are worth a rest."""


@dataclass(slots=True)
class Pace:
    """Takes `share` of a processor, above 0 and at most 1, for the thread that made it.

    `worked` are seconds that the thread has worked; waiting is not work.
    """

    share: float
    worked: Callable[[], float] = time.thread_time
    sleep: Callable[[float], None] = time.sleep
    _rested_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._rested_at = self.worked()

    def rest(self) -> None:
        """Between two pieces: leave the processor to others for their share of the time."""
        spent = self.worked() - self._rested_at
        if spent < PIECE or self.share >= 1.0:
            return
        self.sleep(spent * (1.0 / self.share - 1.0))
        self._rested_at = self.worked()
