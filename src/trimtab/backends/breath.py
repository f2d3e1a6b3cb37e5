"""An event loop whose thread does not keep a processor for long, whatever it does."""

import selectors
import signal
from types import FrameType

from trimtab.backends.pace import Pace


class Breath(selectors.EpollSelector):
    """Between two waits of the loop that has this selector, once `started`, its thread rests as its
    `pace` says. It has to be the main thread, `SIGALRM` belongs to it, and the loop must not have
    signal handlers of its own: each alarm would be written into the pipe that tells it of them.

    The functions that do the work know nothing of time, so it is not they who rest: a timer
    interrupts them, and the rest is taken in the signal's handler, between two instructions of the
    interpreter. A call into numpy is not interrupted. Other threads work on.
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._started = False
        self._working = False

    def start(self) -> None:
        """Rest from now on."""
        signal.signal(signal.SIGALRM, self._interrupt)
        signal.siginterrupt(signal.SIGALRM, False)
        self._started = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, as any selector. What comes between two waits is one stretch of work."""
        if self._working:
            self._working = False
            self._set(0.0)
        events = super().select(timeout)
        if self._started:
            self._working = True
            self._pace.begin()
            self._set(self._pace.piece)
        return events

    def close(self) -> None:
        """Release the selector. An alarm that came later would end the process."""
        self._started = self._working = False
        self._set(0.0)
        super().close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The timer is set again when the rest is over: a rest is not interrupted itself."""
        if self._working:
            self._pace.rest()
            self._set(self._pace.piece)

    def _set(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
